/* native_flow.c -- monitors, drift, alerts, flow runs and decisions. */
#include "api/api_internal.h"
#include "api/routes.h"
#include "monitor/monitor.h"

#define JUDGE_TIMEOUT_MS 120000

enum slw_rc
api_monitors_list(struct slw_http_req *req, struct slw_http_res *res,
                  struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str *names = NULL;
    size_t count = 0;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_monitor_list(&tx, req->arena, &names, &count, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "monitors");
    slw_jw_arr(&w);
    for (size_t i = 0; i < count; i++) {
        struct slw_str def;
        TRY(slw_monitor_get(&tx, names[i], req->arena, &def, err));
        slw_jw_obj(&w);
        slw_jw_kstr(&w, "name", names[i]);
        slw_jw_kraw(&w, "definition", def);
        slw_jw_key(&w, "open_alerts");
        TRY(slw_monitor_alerts(&tx, names[i], SLW_STR("open"), 20, &w, err));
        slw_jw_obj_end(&w);
    }
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_monitors_get(struct slw_http_req *req, struct slw_http_res *res,
                 struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str name = slw_http_var(req, "name"), def;
    struct api_page page;
    int64_t total = 0;
    TRY(api_page_of(req, 20, 1000, &page, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_monitor_get(&tx, name, req->arena, &def, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "name", name);
    slw_jw_kraw(&w, "definition", def);
    slw_jw_key(&w, "windows");
    TRY(slw_monitor_window_page(&tx, name, page.offset, page.limit, &w, &total,
                                err));
    slw_jw_ki64(&w, "total", total);
    slw_jw_key(&w, "alerts");
    TRY(slw_monitor_alerts(&tx, name, SLW_STR(""), page.limit, &w, err));
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_monitors_put(struct slw_http_req *req, struct slw_http_res *res,
                 struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_json, body);
    TRY(api_body(req, &body, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_monitor_put(&tx, api_now(api), slw_http_var(req, "name"),
                        api_dump(req->arena, body.root), err));
    TRY(slw_tx_commit(&tx, err));
    slw_buf_z(&res->body, "{}");
    return SLW_OK;
}

/* Both ends of a range must be given. */
static enum slw_rc
range_of(const struct json_t *o, const char *what, int64_t *from_ms,
         int64_t *to_ms, struct slw_err *err)
{
    *from_ms = *to_ms = INT64_MIN;
    TRY(api_time_member(o, "from", false, from_ms, err));
    TRY(api_time_member(o, "to", true, to_ms, err));
    if (*from_ms == INT64_MIN || *to_ms == INT64_MIN || *from_ms > *to_ms)
        return slw_fail(err, SLW_INVALID,
                        "%s needs \"from\" and, not before it, \"to\"", what);
    return SLW_OK;
}

enum slw_rc
api_monitors_window(struct slw_http_req *req, struct slw_http_res *res,
                    struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_json, body);
    TRY(api_body(req, &body, err));
    int64_t from_ms = 0, to_ms = 0;
    TRY(range_of(body.root, "a window", &from_ms, &to_ms, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    return slw_monitor_window(api->store, api_now(api),
                              slw_http_var(req, "name"), from_ms, to_ms, &w,
                              err);
}

static void
write_range(struct slw_jw *w, const char *key, int64_t from_ms, int64_t to_ms)
{
    slw_jw_key(w, key);
    slw_jw_obj(w);
    slw_jw_ki64(w, "from_ms", from_ms);
    slw_jw_ki64(w, "to_ms", to_ms);
    slw_jw_obj_end(w);
}

enum slw_rc
api_drift(struct slw_http_req *req, struct slw_http_res *res,
          struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_json, body);
    TRY(api_body(req, &body, err));
    const struct json_t *views = slw_json_get(body.root, "views");
    if (slw_json_type(views) != SLW_JSON_ARRAY || slw_json_len(views) == 0)
        return slw_fail(err, SLW_INVALID, "\"views\" must list feature views");
    int64_t rf = 0, rt = 0, wf = 0, wt = 0;
    TRY(range_of(slw_json_get(body.root, "reference"), "\"reference\"", &rf,
                 &rt, err));
    TRY(range_of(slw_json_get(body.root, "window"), "\"window\"", &wf, &wt,
                 err));
    SLW_AUTO(slw_buf, spec);
    struct slw_jw w;
    slw_jw_init(&w, &spec);
    slw_jw_obj(&w);
    slw_jw_key(&w, "views");
    slw_jw_node(&w, views);
    write_range(&w, "reference", rf, rt);
    write_range(&w, "window", wf, wt);
    static const char *const keys[] = {"drift", "columns"};
    for (size_t i = 0; i < SLW_ARRAY_LEN(keys); i++) {
        const struct json_t *v = slw_json_get(body.root, keys[i]);
        if (v) {
            slw_jw_key(&w, keys[i]);
            slw_jw_node(&w, v);
        }
    }
    slw_jw_ki64(&w, "at_ms", api_now(api));
    slw_jw_obj_end(&w);
    return slw_task_run(api->store, "monitor.judge", slw_buf_view(&spec),
                        JUDGE_TIMEOUT_MS, &res->body, err);
}

enum slw_rc
api_alerts_list(struct slw_http_req *req, struct slw_http_res *res,
                struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct api_page page;
    int64_t total = 0;
    TRY(api_page_of(req, 100, 1000, &page, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "alerts");
    TRY(slw_monitor_alert_page(&tx, slw_http_query(req, "deployment"),
                               slw_http_query(req, "state"), page.offset,
                               page.limit, &w, &total, err));
    slw_jw_ki64(&w, "total", total);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_alerts_ack(struct slw_http_req *req, struct slw_http_res *res,
               struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_json, body);
    TRY(api_body(req, &body, err));
    int64_t id = 0;
    struct slw_str who = SLW_STR("somebody");
    TRY(api_var_i64(req, "id", &id, err));
    TRY(slw_json_opt_str(body.root, "who", &who, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_monitor_alert_ack(&tx, api_now(api), id, who, err));
    TRY(slw_tx_commit(&tx, err));
    slw_buf_z(&res->body, "{}");
    return SLW_OK;
}

enum slw_rc
api_notify_put(struct slw_http_req *req, struct slw_http_res *res,
               struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_json, body);
    TRY(api_body(req, &body, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_monitor_notify_put(&tx, api_dump(req->arena, body.root), err));
    TRY(slw_tx_commit(&tx, err));
    slw_buf_z(&res->body, "{}");
    return SLW_OK;
}

/* ---- flow ---- */

enum slw_rc
api_flows_list(struct slw_http_req *req, struct slw_http_res *res,
               struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct api_page page;
    int64_t total = 0;
    TRY(api_page_of(req, 50, 1000, &page, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "flows");
    TRY(slw_flow_run_page(&tx, slw_http_query(req, "model"), page.offset,
                          page.limit, &w, &total, err));
    slw_jw_ki64(&w, "total", total);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

/* Times of the request become milliseconds; everything else passes. */
enum slw_rc
api_flows_start(struct slw_http_req *req, struct slw_http_res *res,
                struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_json, body);
    TRY(api_body(req, &body, err));
    int64_t as_of_ms = api_now(api), id = 0;
    TRY(api_time_member(body.root, "as_of", true, &as_of_ms, err));
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    slw_jw_ki64(&w, "as_of_ms", as_of_ms);
    static const char *const keys[] = {"model",  "pins",  "seed",  "trials",
                                       "search", "until", "reason"};
    for (size_t i = 0; i < SLW_ARRAY_LEN(keys); i++) {
        const struct json_t *v = slw_json_get(body.root, keys[i]);
        if (v) {
            slw_jw_key(&w, keys[i]);
            slw_jw_node(&w, v);
        }
    }
    slw_jw_obj_end(&w);
    SLW_AUTO(slw_json, spec);
    TRY(slw_json_parse(&spec, slw_buf_view(&text), err));
    TRY(slw_flow_run_start(api->flow, api_now(api), spec.root, &id, err));
    res->status = 202;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_ki64(&w, "run", id);
    char url[64];
    snprintf(url, sizeof url, "/api/v1/flows/%lld", (long long)id);
    slw_jw_kz(&w, "url", url);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_flows_get(struct slw_http_req *req, struct slw_http_res *res,
              struct slw_err *err)
{
    struct slw_api *api = req->app;
    int64_t id = 0;
    TRY(api_var_i64(req, "id", &id, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    return slw_flow_run_write(&tx, id, &w, err);
}

enum slw_rc
api_decisions_list(struct slw_http_req *req, struct slw_http_res *res,
                   struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct api_page page;
    int64_t total = 0;
    TRY(api_page_of(req, 50, 1000, &page, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "decisions");
    TRY(slw_flow_decision_page(&tx, slw_http_query(req, "model"), page.offset,
                               page.limit, &w, &total, err));
    slw_jw_ki64(&w, "total", total);
    slw_jw_obj_end(&w);
    return SLW_OK;
}
