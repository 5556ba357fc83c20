/* native_models.c -- models, versions, aliases, deployments, predictions and
 * labels over HTTP. */
#include "api/api_internal.h"
#include "api/routes.h"
#include "monitor/monitor.h"
#include "registry/registry.h"
#include "store/blob.h"
#include "train/train.h"

#include <math.h>

/* Which versions of a model are shown. */
struct version_page {
    struct api_page page;
    bool oldest_first;
};

static enum slw_rc
version_page_of(struct slw_http_req *req, int64_t dflt,
                struct version_page *out, struct slw_err *err)
{
    struct slw_str sort = slw_http_query(req, "sort");
    TRY(api_page_of(req, dflt, 1000, &out->page, err));
    out->oldest_first = slw_str_eqz(sort, "version");
    if (sort.ptr && !out->oldest_first && !slw_str_eqz(sort, "-version"))
        return slw_fail(err, SLW_INVALID,
                        "versions are sorted by version or -version");
    return SLW_OK;
}

static enum slw_rc
write_model(struct slw_tx *tx, struct slw_str name, struct slw_arena *a,
            const struct version_page *p, struct slw_jw *w, struct slw_err *err)
{
    slw_jw_obj(w);
    slw_jw_kstr(w, "name", name);
    struct slw_str def;
    bool defined = slw_train_model_get(tx, name, a, &def, err) == SLW_OK;
    if (defined)
        slw_jw_kraw(w, "definition", def);
    slw_jw_key(w, "aliases");
    slw_jw_obj(w);
    static const char *const aliases[] = {"champion", "challenger"};
    for (size_t i = 0; i < SLW_ARRAY_LEN(aliases); i++) {
        int64_t version = 0;
        if (slw_registry_alias_at(tx, name, slw_str_of(aliases[i]), INT64_MAX,
                                  &version, err) == SLW_OK)
            slw_jw_ki64(w, aliases[i], version);
    }
    slw_jw_obj_end(w);
    struct slw_version *versions = NULL;
    size_t count = 0;
    int64_t total = 0;
    enum slw_rc rc = slw_registry_version_page(tx, name, p->oldest_first,
                                               p->page.offset, p->page.limit, a,
                                               &versions, &count, &total, err);
    if (rc != SLW_OK && (rc != SLW_NOT_FOUND || !defined))
        return rc;
    slw_jw_key(w, "versions");
    slw_jw_arr(w);
    for (size_t i = 0; i < count; i++)
        slw_registry_version_write(w, &versions[i]);
    slw_jw_arr_end(w);
    slw_jw_ki64(w, "total", total);
    slw_jw_obj_end(w);
    return SLW_OK;
}

enum slw_rc
api_models_list(struct slw_http_req *req, struct slw_http_res *res,
                struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str *defined = NULL, *registered = NULL;
    size_t defined_count = 0, registered_count = 0;
    struct version_page page;
    int64_t total = 0;
    TRY(version_page_of(req, 20, &page, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_train_model_list(&tx, req->arena, &defined, &defined_count, err));
    TRY(slw_registry_model_list(&tx, req->arena, &registered, &registered_count,
                                err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "models");
    slw_jw_arr(&w);
    total = (int64_t)defined_count;
    for (size_t i = 0; i < defined_count; i++)
        TRY(write_model(&tx, defined[i], req->arena, &page, &w, err));
    for (size_t i = 0; i < registered_count; i++) {
        bool seen = false;
        for (size_t k = 0; k < defined_count; k++)
            seen = seen || slw_str_eq(defined[k], registered[i]);
        total += !seen;
        if (!seen)
            TRY(write_model(&tx, registered[i], req->arena, &page, &w, err));
    }
    slw_jw_arr_end(&w);
    slw_jw_ki64(&w, "total", total);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_models_get(struct slw_http_req *req, struct slw_http_res *res,
               struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct version_page page;
    TRY(version_page_of(req, 100, &page, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    return write_model(&tx, slw_http_var(req, "name"), req->arena, &page, &w,
                       err);
}

enum slw_rc
api_models_put(struct slw_http_req *req, struct slw_http_res *res,
               struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_json, body);
    TRY(api_body(req, &body, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_train_model_put(&tx, api_now(api), slw_http_var(req, "name"),
                            api_dump(req->arena, body.root), err));
    TRY(slw_tx_commit(&tx, err));
    slw_buf_z(&res->body, "{}");
    return SLW_OK;
}

enum slw_rc
api_models_train(struct slw_http_req *req, struct slw_http_res *res,
                 struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str name = slw_http_var(req, "name");
    SLW_AUTO(slw_json, body);
    TRY(api_body(req, &body, err));
    int64_t as_of_ms = api_now(api);
    TRY(api_time_member(body.root, "as_of", true, &as_of_ms, err));
    {
        struct slw_str def;
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, api->store, err));
        TRY(slw_train_model_get(&tx, name, req->arena, &def, err));
    }
    SLW_AUTO(slw_buf, spec);
    struct slw_jw w;
    slw_jw_init(&w, &spec);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "model", name);
    slw_jw_ki64(&w, "as_of_ms", as_of_ms);
    static const char *const keys[] = {"pins", "seed", "trials"};
    for (size_t i = 0; i < SLW_ARRAY_LEN(keys); i++) {
        const struct json_t *v = slw_json_get(body.root, keys[i]);
        if (v) {
            slw_jw_key(&w, keys[i]);
            slw_jw_node(&w, v);
        }
    }
    slw_jw_kz(&w, "url", api->url);
    slw_jw_obj_end(&w);
    return api_job_start(api, res, "flow.train", name, slw_buf_view(&spec),
                         err);
}

/* The version that {name} and {ref} of the path mean. */
static enum slw_rc
find_version(struct slw_http_req *req, struct slw_version *out,
             struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    return slw_registry_version_find(&tx, slw_http_var(req, "name"),
                                     slw_http_var(req, "ref"), req->arena, out,
                                     err);
}

/* Its release document. */
static enum slw_rc
find_release(struct slw_http_req *req, struct slw_version *v,
             struct slw_json *out, struct slw_err *err)
{
    struct slw_api *api = req->app;
    TRY(find_version(req, v, err));
    if (v->release.len == 0)
        return slw_fail(err, SLW_CONFLICT,
                        "version %lld of %.*s was registered by a client and "
                        "has no release",
                        (long long)v->version, SLW_FMT(v->model));
    return slw_release_get(api->store, slw_arena_strz(req->arena, v->release),
                           out, err);
}

#define GATE_SHOWN 20

enum slw_rc
api_versions_get(struct slw_http_req *req, struct slw_http_res *res,
                 struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_version v;
    int64_t gate_count = 0;
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, api->store, err));
        TRY(slw_registry_version_find(&tx, slw_http_var(req, "name"),
                                      slw_http_var(req, "ref"), req->arena, &v,
                                      err));
        slw_jw_key(&w, "version");
        slw_registry_version_write(&w, &v);
        slw_jw_key(&w, "gates");
        TRY(api_gates_write(&tx, &v, 0, GATE_SHOWN, false, req->arena, &w,
                            &gate_count, err));
    }
    SLW_AUTO(slw_json, release);
    if (v.release.len)
        TRY(slw_release_get(api->store, slw_arena_strz(req->arena, v.release),
                            &release, err));
    slw_jw_key(&w, "release");
    if (release.root)
        slw_jw_node(&w, release.root);
    else
        slw_jw_null(&w);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_versions_lineage(struct slw_http_req *req, struct slw_http_res *res,
                     struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_version v;
    TRY(find_version(req, &v, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    return slw_registry_lineage(api->store, &v, req->arena, &w, err);
}

enum slw_rc
api_versions_model(struct slw_http_req *req, struct slw_http_res *res,
                   struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_version v;
    SLW_AUTO(slw_json, release);
    TRY(find_release(req, &v, &release, err));
    struct slw_str blob;
    TRY(slw_json_need_str(release.root, "model_blob", &blob, err));
    res->content_type = "application/octet-stream";
    return slw_blob_cached(api->store, slw_arena_strz(req->arena, blob),
                           ".model", req->arena, &res->file_path, err);
}

static enum slw_rc
version_job(struct slw_http_req *req, struct slw_http_res *res,
            const char *kind, struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_version v;
    SLW_AUTO(slw_json, release);
    TRY(find_release(req, &v, &release, err));
    SLW_AUTO(slw_buf, spec);
    struct slw_jw w;
    slw_jw_init(&w, &spec);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "model", v.model);
    slw_jw_ki64(&w, "version", v.version);
    slw_jw_obj_end(&w);
    return api_job_start(api, res, kind, v.model, slw_buf_view(&spec), err);
}

enum slw_rc
api_versions_gate(struct slw_http_req *req, struct slw_http_res *res,
                  struct slw_err *err)
{
    return version_job(req, res, "flow.gate", err);
}

enum slw_rc
api_versions_reproduce(struct slw_http_req *req, struct slw_http_res *res,
                       struct slw_err *err)
{
    return version_job(req, res, "flow.reproduce", err);
}

enum slw_rc
api_aliases_get(struct slw_http_req *req, struct slw_http_res *res,
                struct slw_err *err)
{
    struct slw_api *api = req->app;
    int64_t at_ms = INT64_MAX, version = 0;
    TRY(api_time_query(req, "at", true, &at_ms, err));
    struct slw_version v;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_registry_alias_at(&tx, slw_http_var(req, "name"),
                              slw_http_var(req, "alias"), at_ms, &version,
                              err));
    TRY(slw_registry_version_get(&tx, slw_http_var(req, "name"), version,
                                 req->arena, &v, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_registry_version_write(&w, &v);
    return SLW_OK;
}

enum slw_rc
api_gate_check(struct slw_tx *tx, struct slw_str model, int64_t version,
               const struct json_t *body, struct slw_arena *a,
               struct slw_err *err)
{
    struct slw_version v;
    bool force = false;
    TRY(slw_json_opt_bool(body, "force", &force, err));
    TRY(slw_registry_version_get(tx, model, version, a, &v, err));
    if (force || !slw_str_eqz(v.gate_verdict, "refused"))
        return SLW_OK;
    return slw_fail(err, SLW_CONFLICT,
                    "the gate refused version %lld of '%.*s'; \"force\" "
                    "(--force) uses it all the same",
                    (long long)version, SLW_FMT(model));
}

enum slw_rc
api_aliases_put(struct slw_http_req *req, struct slw_http_res *res,
                struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_json, body);
    TRY(api_body(req, &body, err));
    int64_t version = 0;
    struct slw_str who = SLW_STR(""), why = SLW_STR("");
    TRY(slw_json_need_i64(body.root, "version", &version, err));
    TRY(slw_json_opt_str(body.root, "why", &why, err));
    TRY(api_who_of(req, body.root, &who, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, api->store, err));
    if (slw_str_eqz(slw_http_var(req, "alias"), "champion"))
        TRY(api_gate_check(&tx, slw_http_var(req, "name"), version, body.root,
                           req->arena, err));
    TRY(slw_registry_alias_move(&tx, api_now(api), slw_http_var(req, "name"),
                                slw_http_var(req, "alias"), version, who, why,
                                err));
    TRY(slw_tx_commit(&tx, err));
    slw_buf_z(&res->body, "{}");
    return SLW_OK;
}

/* ---- deployments ---- */

enum slw_rc
api_deployments_list(struct slw_http_req *req, struct slw_http_res *res,
                     struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_deployment *list = NULL;
    size_t count = 0;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_serve_list(&tx, req->arena, &list, &count, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "deployments");
    slw_jw_arr(&w);
    for (size_t i = 0; i < count; i++)
        slw_serve_write(&w, &list[i]);
    slw_jw_arr_end(&w);
    slw_jw_ki64(&w, "total", (int64_t)count);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

static enum slw_rc
write_deployment(struct slw_http_req *req, struct slw_http_res *res,
                 struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str name = slw_http_var(req, "name");
    struct slw_deployment d;
    int64_t champion = 0, canary = 0, canary_failed = 0, fallback = 0;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_serve_get(&tx, name, req->arena, &d, err));
    TRY(slw_serve_counts(api->serve, name, &champion, &canary, &canary_failed,
                         &fallback, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "deployment");
    slw_serve_write(&w, &d);
    slw_jw_kbool(&w, "ready", slw_serve_ready(api->serve, name));
    slw_jw_kz(&w, "drill", slw_serve_drill_mode(api->serve, name));
    slw_jw_key(&w, "since_change");
    slw_jw_obj(&w);
    slw_jw_ki64(&w, "champion", champion);
    slw_jw_ki64(&w, "canary", canary);
    slw_jw_ki64(&w, "canary_failed", canary_failed);
    slw_jw_ki64(&w, "fallback", fallback);
    slw_jw_obj_end(&w);
    slw_jw_key(&w, "history");
    TRY(slw_serve_history(&tx, name, 50, &w, err));
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_deployments_get(struct slw_http_req *req, struct slw_http_res *res,
                    struct slw_err *err)
{
    return write_deployment(req, res, err);
}

enum slw_rc
api_deployments_put(struct slw_http_req *req, struct slw_http_res *res,
                    struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_json, body);
    TRY(api_body(req, &body, err));
    TRY(slw_serve_declare(api->serve, api_now(api), slw_http_var(req, "name"),
                          api_dump(req->arena, body.root), err));
    return write_deployment(req, res, err);
}

static const struct {
    const char *name;
    enum slw_serve_action action;
    bool needs_version, needs_weight;
} ACTIONS[] = {{"deploy", SLW_SERVE_DEPLOY, true, false},
               {"canary", SLW_SERVE_CANARY, true, true},
               {"weight", SLW_SERVE_WEIGHT, false, true},
               {"promote", SLW_SERVE_PROMOTE, false, false},
               {"rollback", SLW_SERVE_ROLLBACK, false, false},
               {"withdraw", SLW_SERVE_WITHDRAW, false, false},
               {"restore", SLW_SERVE_RESTORE, false, false},
               {"shadow", SLW_SERVE_SHADOW, true, false}};

/* Of the version that would begin to answer. */
static enum slw_rc
act_gate_check(struct slw_http_req *req, enum slw_serve_action action,
               int64_t version, const struct json_t *body, struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_deployment d;
    if (action != SLW_SERVE_DEPLOY && action != SLW_SERVE_CANARY &&
        action != SLW_SERVE_RESTORE)
        return SLW_OK;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_serve_get(&tx, slw_http_var(req, "name"), req->arena, &d, err));
    if (action == SLW_SERVE_RESTORE)
        version = d.champion_version;
    if (version <= 0)
        return SLW_OK; /* refused in other words */
    return api_gate_check(&tx, d.model, version, body, req->arena, err);
}

enum slw_rc
api_deployments_act(struct slw_http_req *req, struct slw_http_res *res,
                    struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str name = slw_http_var(req, "name");
    struct slw_str verb = slw_http_var(req, "action");
    SLW_AUTO(slw_json, body);
    TRY(api_body(req, &body, err));
    if (slw_str_eqz(verb, "drill")) {
        struct slw_str mode = SLW_STR("");
        TRY(slw_json_opt_str(body.root, "mode", &mode, err));
        TRY(slw_serve_drill(api->serve, api_now(api), name, mode, err));
        return write_deployment(req, res, err);
    }
    size_t i = 0;
    while (i < SLW_ARRAY_LEN(ACTIONS) && !slw_str_eqz(verb, ACTIONS[i].name))
        i++;
    if (i == SLW_ARRAY_LEN(ACTIONS))
        return slw_fail(err, SLW_NOT_FOUND,
                        "unknown action '%.*s'; there are deploy, canary, "
                        "weight, promote, rollback, withdraw, restore, shadow "
                        "and drill",
                        SLW_FMT(verb));
    int64_t version = 0;
    double weight = 0;
    struct slw_str who = SLW_STR(""), why = SLW_STR("by hand");
    if (ACTIONS[i].needs_version)
        TRY(slw_json_need_i64(body.root, "version", &version, err));
    if (ACTIONS[i].needs_weight)
        TRY(slw_json_need_f64(body.root, "weight", &weight, err));
    TRY(slw_json_opt_str(body.root, "why", &why, err));
    TRY(api_who_of(req, body.root, &who, err));
    TRY(act_gate_check(req, ACTIONS[i].action, version, body.root, err));
    TRY(slw_serve_act_as(api->serve, api_now(api), name, ACTIONS[i].action,
                         version, weight, -1, who, why, err));
    return write_deployment(req, res, err);
}

/* ---- predictions: the newest `limit` of a range ---- */

struct tail {
    struct slw_str *rows; /* ring of JSON texts */
    size_t limit, seen;
    struct slw_arena *arena;
};

static void
kf64(struct slw_jw *w, const char *key, double v)
{
    if (!isnan(v))
        slw_jw_kf64(w, key, v);
}

static enum slw_rc
keep_prediction(void *ctx, const struct slw_prediction *p, struct slw_err *err)
{
    static const char *const by[] = {"champion", "canary", "fallback"};
    struct tail *t = ctx;
    char at[SLW_TIME_TEXT_SIZE], event[SLW_TIME_TEXT_SIZE];
    SLW_AUTO(slw_buf, b);
    struct slw_jw w;
    slw_jw_init(&w, &b);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "id", p->id);
    slw_jw_kstr(&w, "key", p->key);
    slw_jw_kz(&w, "at", slw_time_text(p->at_ms, at));
    slw_jw_kz(&w, "event_time", slw_time_text(p->event_ms, event));
    slw_jw_kz(&w, "release", p->release);
    slw_jw_kz(&w, "served_by", by[p->by]);
    slw_jw_kf64(&w, "prediction", p->y);
    kf64(&w, "model", p->model_y);
    kf64(&w, "rule", p->rule_y);
    kf64(&w, "shadow", p->shadow_y);
    slw_jw_kf64(&w, "latency_us", (double)p->latency_ns * 1e-3);
    slw_jw_key(&w, "features");
    slw_jw_arr(&w);
    for (size_t i = 0; i < p->column_count; i++)
        slw_jw_f64(&w, p->x[i]);
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    t->rows[t->seen % t->limit] = api_buf_str(t->arena, &b);
    t->seen++;
    return SLW_OK;
}

enum slw_rc
api_deployments_predictions(struct slw_http_req *req, struct slw_http_res *res,
                            struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str name = slw_http_var(req, "name");
    int64_t from_ms = INT64_MIN, to_ms = INT64_MAX;
    struct tail t = {.arena = req->arena};
    TRY(api_time_query(req, "from", false, &from_ms, err));
    TRY(api_time_query(req, "to", true, &to_ms, err));
    TRY(api_limit(req, 100, 10000, &t.limit, err));
    {
        struct slw_deployment d;
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, api->store, err));
        TRY(slw_serve_get(&tx, name, req->arena, &d, err));
    }
    t.rows = SLW_ARENA_NEW(req->arena, struct slw_str, t.limit);
    TRY(slw_serve_log_scan(api->store, name, from_ms, to_ms, keep_prediction,
                           &t, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_ki64(&w, "count", (int64_t)t.seen);
    slw_jw_key(&w, "predictions");
    slw_jw_arr(&w);
    size_t kept = t.seen < t.limit ? t.seen : t.limit;
    for (size_t i = 0; i < kept; i++)
        slw_jw_raw(&w, t.rows[(t.seen - kept + i) % t.limit]);
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

#define LABELS_MAX 100000

enum slw_rc
api_labels_put(struct slw_http_req *req, struct slw_http_res *res,
               struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_json, body);
    TRY(api_body(req, &body, err));
    const struct json_t *rows = slw_json_get(body.root, "labels");
    size_t count = slw_json_len(rows);
    if (slw_json_type(rows) != SLW_JSON_ARRAY || count == 0)
        return slw_fail(err, SLW_INVALID,
                        "give \"labels\": [{\"key\", \"event_time\", "
                        "\"value\"}, …]");
    if (count > LABELS_MAX)
        return slw_fail(err, SLW_LIMIT, "more than %d labels in one request",
                        LABELS_MAX);
    struct slw_label *labels =
        SLW_ARENA_NEW(req->arena, struct slw_label, count);
    for (size_t i = 0; i < count; i++) {
        const struct json_t *row = slw_json_at(rows, i);
        struct slw_label *l = &labels[i];
        l->event_ms = INT64_MIN;
        l->known_ms = api_now(api);
        enum slw_rc rc = slw_json_need_str(row, "key", &l->key, err);
        if (rc == SLW_OK)
            rc = slw_json_need_f64(row, "value", &l->value, err);
        if (rc == SLW_OK)
            rc = api_time_member(row, "event_time", false, &l->event_ms, err);
        if (rc == SLW_OK)
            rc = api_time_member(row, "known_at", true, &l->known_ms, err);
        if (rc == SLW_OK && l->event_ms == INT64_MIN)
            rc = slw_fail(err, SLW_INVALID, "\"event_time\" is missing");
        if (rc != SLW_OK)
            return slw_err_prefix(err, "labels[%zu]: ", i);
    }
    int64_t changed = 0;
    struct slw_deployment d;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_serve_get(&tx, slw_http_var(req, "name"), req->arena, &d, err));
    TRY(slw_monitor_labels_put(&tx, d.name, labels, count, &changed, err));
    TRY(slw_tx_commit(&tx, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_ki64(&w, "received", (int64_t)count);
    slw_jw_ki64(&w, "changed", changed);
    slw_jw_obj_end(&w);
    return SLW_OK;
}
