/* native_rehearse.c -- rehearsals: begun as a job, read from their folder. */
#include "api/api_internal.h"
#include "api/routes.h"
#include "base/file.h"
#include "flow/flow.h"
#include "rehearse/rehearse.h"

static const char *
root_of(const struct slw_api *api, struct slw_arena *a)
{
    return slw_path(a, api->data_dir, "rehearsals");
}

enum slw_rc
api_rehearsals_list(struct slw_http_req *req, struct slw_http_res *res,
                    struct slw_err *err)
{
    struct slw_str list;
    struct slw_jw w;
    TRY(slw_rehearse_list(root_of(req->app, req->arena), req->arena, &list,
                          err));
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_kraw(&w, "rehearsals", list);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_rehearsals_get(struct slw_http_req *req, struct slw_http_res *res,
                   struct slw_err *err)
{
    struct slw_str doc;
    TRY(slw_rehearse_get(root_of(req->app, req->arena), slw_http_var(req, "id"),
                         req->arena, &doc, err));
    slw_buf_str(&res->body, doc);
    return SLW_OK;
}

/* What would be refused anyway is refused before it is a job. */
static enum slw_rc
start_check(struct slw_api *api, const struct json_t *body, struct slw_arena *a,
            struct slw_err *err)
{
    static const struct {
        const char *key;
        int64_t most;
    } numbers[] = {{"requests", SLW_REHEARSE_REQUESTS_MAX},
                   {"workers", SLW_REHEARSE_WORKERS_MAX}};
    struct slw_str yaml, json;
    for (size_t i = 0; i < SLW_ARRAY_LEN(numbers); i++) {
        int64_t v = 1;
        TRY(slw_json_opt_i64(body, numbers[i].key, &v, err));
        if (v < 1 || v > numbers[i].most)
            return slw_fail(err, SLW_INVALID, "%s must be 1 to %lld",
                            numbers[i].key, (long long)numbers[i].most);
    }
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    return slw_project_get(&tx, a, &yaml, &json, err);
}

enum slw_rc
api_rehearsals_start(struct slw_http_req *req, struct slw_http_res *res,
                     struct slw_err *err)
{
    static const char *const known[] = {
        "from", "to", "deployment", "policies", "requests", "workers", "again"};
    int64_t from_ms = INT64_MIN, to_ms = INT64_MIN;
    struct slw_str deployment = SLW_STR("");
    SLW_AUTO(slw_json, body);
    SLW_AUTO(slw_buf, spec);
    struct slw_jw w;
    TRY(api_body(req, &body, err));
    TRY(slw_json_only(body.root, known, SLW_ARRAY_LEN(known),
                      "a rehearsal has from, to, deployment, policies,"
                      " requests, workers and again",
                      err));
    TRY(api_time_member(body.root, "from", false, &from_ms, err));
    TRY(api_time_member(body.root, "to", true, &to_ms, err));
    TRY(slw_json_opt_str(body.root, "deployment", &deployment, err));
    if (from_ms == INT64_MIN || to_ms == INT64_MIN || to_ms <= from_ms)
        return slw_fail(err, SLW_INVALID,
                        "a rehearsal needs \"from\" and, after it, \"to\"");
    TRY(start_check(req->app, body.root, req->arena, err));
    slw_jw_init(&w, &spec);
    slw_jw_obj(&w);
    slw_jw_ki64(&w, "from_ms", from_ms);
    slw_jw_ki64(&w, "to_ms", to_ms);
    for (size_t i = 2; i < SLW_ARRAY_LEN(known); i++) {
        const struct json_t *v = slw_json_get(body.root, known[i]);
        if (!v)
            continue;
        slw_jw_key(&w, known[i]);
        slw_jw_node(&w, v);
    }
    slw_jw_obj_end(&w);
    return api_job_start(req->app, res, "rehearse.run", deployment,
                         slw_buf_view(&spec), err);
}
