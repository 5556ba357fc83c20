/* native_page.c -- what the web page asks for besides the rooms' own paths:
 * the loop at a glance, error over time with what was done about it, figures
 * of the last minutes.  Every answer is bounded, whatever the store holds. */
#include "api/api_internal.h"
#include "api/routes.h"
#include "data/data.h"
#include "features/features.h"
#include "monitor/monitor.h"
#include "registry/registry.h"
#include "store/event.h"
#include "track/track.h"
#include "train/train.h"

#include <math.h>

#define NAME_MAX_SHOWN 200 /* sources, views, models in the overview */
#define ALERT_SHOWN 20
#define JOB_SHOWN 20
#define FLOW_SHOWN 10
#define EVENT_SHOWN 20
#define MARK_MAX 1000 /* rows of each kind that are looked at */
#define LIVE_SECONDS_MAX 900

/* What is counted on the way, for sentences. */
struct facts {
    int64_t source_count, stale_count, alert_count, running_count;
    int64_t deployment_count, withdrawn_count, canary_count, empty_count;
};

static void
kopt(struct slw_jw *w, const char *key, int64_t v)
{
    slw_jw_key(w, key);
    if (v)
        slw_jw_i64(w, v);
    else
        slw_jw_null(w);
}

/* ---- sources and features ---- */

/* "fresh(3d)" among the expectations, as text or as {"check"}; 0: none. */
static int64_t
fresh_ms_of(struct slw_str def)
{
    SLW_AUTO(slw_json, doc);
    struct slw_err err;
    int64_t ms = 0;
    if (slw_json_parse(&doc, def, &err) != SLW_OK)
        return 0;
    const struct json_t *expect = slw_json_get(doc.root, "expect");
    for (size_t i = 0; i < slw_json_len(expect); i++) {
        const struct json_t *e = slw_json_at(expect, i);
        struct slw_str text =
            slw_json_type(e) == SLW_JSON_OBJECT
                ? slw_json_str_or(slw_json_get(e, "check"), SLW_STR(""))
                : slw_json_str_or(e, SLW_STR(""));
        text = slw_str_trim(text);
        if (!slw_str_starts(text, "fresh(") || !slw_str_ends(text, ")"))
            continue;
        struct slw_str age =
            slw_str_trim((struct slw_str){text.ptr + 6, text.len - 7});
        if (slw_duration_parse(age, &ms, &err) != SLW_OK)
            ms = 0;
    }
    return ms;
}

static enum slw_rc
write_sources(struct slw_api *api, struct slw_tx *tx, struct slw_arena *a,
              struct facts *f, struct slw_jw *w, struct slw_err *err)
{
    struct slw_dataset *list = NULL;
    size_t count = 0;
    int64_t now_ms = api_now(api);
    TRY(slw_data_list(tx, a, &list, &count, err));
    slw_jw_key(w, "sources");
    slw_jw_arr(w);
    for (size_t i = 0; i < count && i < NAME_MAX_SHOWN; i++) {
        struct slw_str def = SLW_STR("");
        struct slw_err ignored;
        int64_t allowed_ms = 0;
        if (slw_data_source_get(tx, list[i].name, a, &def, &ignored) == SLW_OK)
            allowed_ms = fresh_ms_of(def);
        bool has = list[i].version > 0;
        bool fresh = has && now_ms - list[i].event_max_ms <= allowed_ms;
        slw_jw_obj(w);
        slw_jw_kstr(w, "name", list[i].name);
        kopt(w, "version", list[i].version);
        kopt(w, "newest_ms", has ? list[i].event_max_ms : 0);
        kopt(w, "known_at_ms", has ? list[i].known_at_ms : 0);
        slw_jw_ki64(w, "rows", list[i].row_count);
        kopt(w, "fresh_ms", allowed_ms);
        slw_jw_key(w, "fresh"); /* null: no expectation, or no data */
        if (has && allowed_ms)
            slw_jw_bool(w, fresh);
        else
            slw_jw_null(w);
        slw_jw_obj_end(w);
        f->source_count++;
        f->stale_count += has && allowed_ms && !fresh;
    }
    slw_jw_arr_end(w);
    return SLW_OK;
}

static enum slw_rc
write_features(struct slw_tx *tx, struct slw_arena *a, struct slw_jw *w,
               struct slw_err *err)
{
    struct slw_view *views = NULL;
    size_t count = 0;
    TRY(slw_features_view_list(tx, a, &views, &count, err));
    slw_jw_key(w, "features");
    slw_jw_arr(w);
    for (size_t i = 0; i < count && i < NAME_MAX_SHOWN; i++) {
        slw_jw_obj(w);
        slw_jw_kstr(w, "name", views[i].name);
        kopt(w, "materialized_at_ms", views[i].materialized_at_ms);
        slw_jw_ki64(w, "online_count", views[i].online_count);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
    return SLW_OK;
}

/* ---- models ---- */

static int64_t
alias_of(struct slw_tx *tx, struct slw_str model, const char *alias)
{
    int64_t version = 0;
    struct slw_err ignored;
    if (slw_registry_alias_at(tx, model, slw_str_of(alias), INT64_MAX, &version,
                              &ignored) != SLW_OK)
        return 0;
    return version;
}

static void
kfigure(struct slw_jw *w, const char *key, const struct json_t *v)
{
    slw_jw_key(w, key);
    if (v)
        slw_jw_f64(w, slw_json_f64_or(v, 0));
    else
        slw_jw_null(w);
}

/* The last verdict on a version in few figures, or null. */
static void
write_gate(struct slw_tx *tx, struct slw_str model, int64_t version,
           struct slw_arena *a, struct slw_jw *w)
{
    struct slw_version v;
    struct slw_err ignored;
    SLW_AUTO(slw_json, gate);
    if (!version ||
        slw_registry_version_get(tx, model, version, a, &v, &ignored) !=
            SLW_OK ||
        !v.gate.len || slw_json_parse(&gate, v.gate, &ignored) != SLW_OK) {
        slw_jw_null(w);
        return;
    }
    const struct json_t *checks = slw_json_get(gate.root, "checks");
    const struct json_t *rule = NULL; /* the check against the rule */
    int64_t passed = 0, asked = 0;
    for (size_t i = 0; i < slw_json_len(checks); i++) {
        const struct json_t *one = slw_json_at(checks, i);
        if (slw_json_bool_or(slw_json_get(one, "skipped"), false))
            continue;
        asked++;
        passed += slw_json_bool_or(slw_json_get(one, "passed"), false);
        if (slw_str_eqz(slw_json_str_or(slw_json_get(one, "name"), SLW_STR("")),
                        "beats fallback"))
            rule = one;
    }
    slw_jw_obj(w);
    slw_jw_ki64(w, "version", version);
    slw_jw_kstr(w, "verdict", v.gate_verdict);
    slw_jw_ki64(w, "passed", passed);
    slw_jw_ki64(w, "checks", asked);
    kfigure(w, "error", slw_json_get(rule, "value"));
    kfigure(w, "rule_error", slw_json_get(rule, "limit"));
    slw_jw_kstr(
        w, "sentence",
        slw_json_str_or(slw_json_get(gate.root, "sentence"), SLW_STR("")));
    slw_jw_obj_end(w);
}

static enum slw_rc
write_model(struct slw_tx *tx, struct slw_str name, struct slw_arena *a,
            struct slw_jw *w, struct slw_err *err)
{
    struct slw_version *newest = NULL;
    size_t count = 0;
    int64_t total = 0;
    enum slw_rc rc = slw_registry_version_page(tx, name, false, 0, 1, a,
                                               &newest, &count, &total, err);
    if (rc != SLW_OK && rc != SLW_NOT_FOUND)
        return rc;
    int64_t champion = alias_of(tx, name, "champion");
    int64_t challenger = alias_of(tx, name, "challenger");
    slw_jw_obj(w);
    slw_jw_kstr(w, "name", name);
    slw_jw_ki64(w, "versions", total);
    kopt(w, "newest", count ? newest[0].version : 0);
    kopt(w, "champion", champion);
    kopt(w, "challenger", challenger);
    slw_jw_key(w, "gate"); /* of who wants to be champion, or is */
    write_gate(tx, name, challenger ? challenger : champion, a, w);
    slw_jw_key(w, "champion_gate");
    write_gate(tx, name, champion, a, w);
    slw_jw_obj_end(w);
    return SLW_OK;
}

static enum slw_rc
write_models(struct slw_tx *tx, struct slw_arena *a, struct slw_jw *w,
             struct slw_err *err)
{
    struct slw_str *defined = NULL, *registered = NULL;
    size_t defined_count = 0, registered_count = 0, shown = 0;
    TRY(slw_train_model_list(tx, a, &defined, &defined_count, err));
    TRY(slw_registry_model_list(tx, a, &registered, &registered_count, err));
    slw_jw_key(w, "models");
    slw_jw_arr(w);
    for (size_t i = 0; i < defined_count && shown < NAME_MAX_SHOWN; i++) {
        TRY(write_model(tx, defined[i], a, w, err));
        shown++;
    }
    for (size_t i = 0; i < registered_count && shown < NAME_MAX_SHOWN; i++) {
        bool seen = false;
        for (size_t k = 0; k < defined_count && !seen; k++)
            seen = slw_str_eq(defined[k], registered[i]);
        if (seen)
            continue;
        TRY(write_model(tx, registered[i], a, w, err));
        shown++;
    }
    slw_jw_arr_end(w);
    return SLW_OK;
}

/* ---- deployments and what moves ---- */

/* The last window in few figures. */
static enum slw_rc
write_window(struct slw_tx *tx, struct slw_str name, struct slw_jw *w,
             struct slw_err *err)
{
    static const char *const keys[] = {
        "from_ms",  "to_ms",          "verdict",         "rows",
        "labelled", "judged_columns", "drifted_columns", "performance"};
    SLW_AUTO(slw_buf, b);
    SLW_AUTO(slw_json, doc);
    struct slw_jw jw;
    slw_jw_init(&jw, &b);
    TRY(slw_monitor_windows(tx, name, 1, &jw, err));
    TRY(slw_json_parse(&doc, slw_buf_view(&b), err));
    const struct json_t *window = slw_json_at(doc.root, 0);
    if (!window) {
        slw_jw_null(w);
        return SLW_OK;
    }
    slw_jw_obj(w);
    for (size_t i = 0; i < SLW_ARRAY_LEN(keys); i++) {
        const struct json_t *v = slw_json_get(window, keys[i]);
        if (!v)
            continue;
        slw_jw_key(w, keys[i]);
        slw_jw_node(w, v);
    }
    slw_jw_obj_end(w);
    return SLW_OK;
}

static enum slw_rc
write_deployments(struct slw_tx *tx, struct slw_arena *a, struct facts *f,
                  struct slw_jw *w, struct slw_err *err)
{
    struct slw_deployment *list = NULL;
    size_t count = 0;
    TRY(slw_serve_list(tx, a, &list, &count, err));
    slw_jw_key(w, "deployments");
    slw_jw_arr(w);
    for (size_t i = 0; i < count; i++) {
        slw_serve_write(w, &list[i]);
        f->deployment_count++;
        f->withdrawn_count += list[i].withdrawn;
        f->canary_count += list[i].canary_version != 0;
        f->empty_count += list[i].champion_version == 0;
    }
    slw_jw_arr_end(w);
    slw_jw_key(w, "windows");
    slw_jw_obj(w);
    for (size_t i = 0; i < count; i++) {
        slw_jw_keys(w, list[i].name);
        TRY(write_window(tx, list[i].name, w, err));
    }
    slw_jw_obj_end(w);
    return SLW_OK;
}

static enum slw_rc
write_moving(struct slw_tx *tx, struct slw_arena *a, struct facts *f,
             struct slw_jw *w, struct slw_err *err)
{
    struct slw_job *jobs = NULL;
    size_t count = 0;
    int64_t total = 0;
    slw_jw_key(w, "alerts");
    TRY(slw_monitor_alert_page(tx, SLW_STR(""), SLW_STR("open"), 0, ALERT_SHOWN,
                               w, &f->alert_count, err));
    TRY(slw_job_moving(tx, JOB_SHOWN, a, &jobs, &count, err));
    TRY(slw_job_active(tx, &f->running_count, err));
    slw_jw_key(w, "running");
    slw_jw_arr(w);
    for (size_t i = 0; i < count; i++)
        slw_job_write(w, &jobs[i]);
    slw_jw_arr_end(w);
    slw_jw_key(w, "flows");
    TRY(slw_flow_run_page(tx, SLW_STR(""), 0, FLOW_SHOWN, w, &total, err));
    slw_jw_key(w, "events");
    slw_jw_arr(w);
    int64_t before = INT64_MAX;
    for (int i = 0; i < EVENT_SHOWN; i++) {
        struct slw_event e;
        enum slw_rc rc =
            slw_event_before(tx, before, SLW_STR(""), SLW_STR(""), a, &e, err);
        if (rc == SLW_NOT_FOUND)
            break;
        TRY(rc);
        api_event_write(w, &e);
        before = e.id;
    }
    slw_jw_arr_end(w);
    return SLW_OK;
}

static enum slw_rc
write_facts(struct slw_tx *tx, const struct facts *f, struct slw_jw *w,
            struct slw_err *err)
{
    int64_t runs = 0, events = 0;
    TRY(slw_track_run_count(tx, &runs, err));
    TRY(slw_event_last(tx, &events, err));
    slw_jw_ki64(w, "runs", runs);
    slw_jw_key(w, "sentence_facts");
    slw_jw_obj(w);
    slw_jw_ki64(w, "sources", f->source_count);
    slw_jw_ki64(w, "stale_sources", f->stale_count);
    slw_jw_ki64(w, "deployments", f->deployment_count);
    slw_jw_ki64(w, "without_version", f->empty_count);
    slw_jw_ki64(w, "on_rule", f->withdrawn_count);
    slw_jw_ki64(w, "canaries", f->canary_count);
    slw_jw_ki64(w, "open_alerts", f->alert_count);
    slw_jw_ki64(w, "running", f->running_count);
    slw_jw_ki64(w, "runs", runs);
    slw_jw_ki64(w, "events", events);
    slw_jw_obj_end(w);
    return SLW_OK;
}

enum slw_rc
api_overview(struct slw_http_req *req, struct slw_http_res *res,
             struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_arena *a = req->arena;
    struct facts facts = {0};
    struct slw_str yaml, def;
    SLW_AUTO(slw_json, project);
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "project");
    enum slw_rc rc = slw_project_get(&tx, a, &yaml, &def, err);
    if (rc == SLW_OK) {
        TRY(slw_json_parse(&project, def, err));
        slw_jw_str(&w, slw_json_str_or(slw_json_get(project.root, "project"),
                                       SLW_STR("")));
    } else if (rc == SLW_NOT_FOUND) {
        slw_jw_null(&w);
    } else {
        return rc;
    }
    slw_jw_ki64(&w, "now_ms", api_now(api));
    TRY(write_sources(api, &tx, a, &facts, &w, err));
    TRY(write_features(&tx, a, &w, err));
    TRY(write_models(&tx, a, &w, err));
    TRY(write_deployments(&tx, a, &facts, &w, err));
    TRY(write_moving(&tx, a, &facts, &w, err));
    TRY(write_facts(&tx, &facts, &w, err));
    slw_jw_obj_end(&w);
    return SLW_OK;
}

/* ---- error over time ---- */

struct marks {
    struct slw_jw *w;
    int64_t from_ms, to_ms;
};

/* to_ms 0: it lasts. */
static void
mark(struct marks *m, const char *kind, int64_t from_ms, int64_t to_ms,
     struct slw_str ref, struct slw_str reason)
{
    if (from_ms > m->to_ms || (to_ms && to_ms < m->from_ms))
        return;
    slw_jw_obj(m->w);
    slw_jw_kz(m->w, "kind", kind);
    slw_jw_ki64(m->w, "from", from_ms);
    kopt(m->w, "to", to_ms);
    slw_jw_kstr(m->w, "ref", ref);
    slw_jw_kstr(m->w, "reason", reason);
    slw_jw_obj_end(m->w);
}

static int64_t
i64_of(const struct json_t *o, const char *key)
{
    return slw_json_i64_or(slw_json_get(o, key), 0);
}

static struct slw_str
str_of(const struct json_t *o, const char *key)
{
    return slw_json_str_or(slw_json_get(o, key), SLW_STR(""));
}

static enum slw_rc
mark_alerts(struct marks *m, struct slw_tx *tx, struct slw_str name,
            struct slw_arena *a, struct slw_err *err)
{
    SLW_AUTO(slw_buf, b);
    SLW_AUTO(slw_json, doc);
    struct slw_jw w;
    slw_jw_init(&w, &b);
    TRY(slw_monitor_alerts(tx, name, SLW_STR(""), MARK_MAX, &w, err));
    TRY(slw_json_parse(&doc, slw_buf_view(&b), err));
    for (size_t i = 0; i < slw_json_len(doc.root); i++) {
        const struct json_t *o = slw_json_at(doc.root, i);
        mark(m, "alert", i64_of(o, "raised_at_ms"), i64_of(o, "closed_at_ms"),
             slw_arena_printf(a, "%lld", (long long)i64_of(o, "id")),
             str_of(o, "reason"));
    }
    return SLW_OK;
}

static enum slw_rc
mark_retrains(struct marks *m, struct slw_tx *tx, struct slw_str name,
              struct slw_str model, struct slw_arena *a, struct slw_err *err)
{
    SLW_AUTO(slw_buf, b);
    SLW_AUTO(slw_json, doc);
    int64_t total = 0;
    struct slw_jw w;
    slw_jw_init(&w, &b);
    TRY(slw_flow_run_page(tx, model, 0, MARK_MAX, &w, &total, err));
    TRY(slw_json_parse(&doc, slw_buf_view(&b), err));
    for (size_t i = 0; i < slw_json_len(doc.root); i++) {
        const struct json_t *o = slw_json_at(doc.root, i);
        struct slw_str to = str_of(o, "deployment");
        if (to.len && !slw_str_eq(to, name))
            continue;
        mark(m, "retrain", i64_of(o, "started_at_ms"), i64_of(o, "ended_at_ms"),
             slw_arena_printf(a, "%lld", (long long)i64_of(o, "id")),
             str_of(o, "reason"));
    }
    return SLW_OK;
}

/* Changes come newest first; a stretch on the rule ends with the change after
 * it that brings a model back. */
static enum slw_rc
mark_changes(struct marks *m, struct slw_tx *tx, struct slw_str name,
             struct slw_arena *a, struct slw_err *err)
{
    SLW_AUTO(slw_buf, b);
    SLW_AUTO(slw_json, doc);
    struct slw_jw w;
    slw_jw_init(&w, &b);
    TRY(slw_serve_history(tx, name, MARK_MAX, &w, err));
    TRY(slw_json_parse(&doc, slw_buf_view(&b), err));
    int64_t back_ms = 0;
    for (size_t i = 0; i < slw_json_len(doc.root); i++) {
        const struct json_t *o = slw_json_at(doc.root, i);
        struct slw_str action = str_of(o, "action"), why = str_of(o, "why");
        struct slw_str ref =
            slw_arena_printf(a, "%lld", (long long)i64_of(o, "to"));
        int64_t at_ms = 0;
        TRY(slw_time_parse(str_of(o, "at"), &at_ms, err));
        bool release =
            slw_str_eqz(action, "deploy") || slw_str_eqz(action, "promote");
        bool back = slw_str_eqz(action, "rollback");
        if (release)
            mark(m, "release", at_ms, at_ms, ref, why);
        else if (back)
            mark(m, "rollback", at_ms, at_ms, ref, why);
        else if (slw_str_eqz(action, "withdraw") || slw_str_eqz(action, "rule"))
            mark(m, "fallback", at_ms, back_ms, ref, why);
        if (release || back || slw_str_eqz(action, "restore"))
            back_ms = at_ms;
    }
    return SLW_OK;
}

enum slw_rc
api_deployments_error(struct slw_http_req *req, struct slw_http_res *res,
                      struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str name = slw_http_var(req, "name");
    struct slw_deployment d;
    struct slw_jw w;
    struct marks m = {.w = &w, .from_ms = INT64_MIN, .to_ms = INT64_MAX};
    int64_t points = 0;
    TRY(api_time_query(req, "from", false, &m.from_ms, err));
    TRY(api_time_query(req, "to", true, &m.to_ms, err));
    TRY(slw_http_query_i64(req, "points", 400, &points, err));
    if (points < 1 || points > 4000)
        return slw_fail(err, SLW_INVALID, "points must be 1 to 4000");
    if (m.from_ms > m.to_ms)
        return slw_fail(err, SLW_INVALID, "from lies behind to");
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, api->store, err));
        TRY(slw_serve_get(&tx, name, req->arena, &d, err));
        slw_jw_kstr(&w, "name", name);
        slw_jw_kz(&w, "metric", "mae");
        slw_jw_key(&w, "marks");
        slw_jw_arr(&w);
        TRY(mark_alerts(&m, &tx, name, req->arena, err));
        TRY(mark_retrains(&m, &tx, name, d.model, req->arena, err));
        TRY(mark_changes(&m, &tx, name, req->arena, err));
        slw_jw_arr_end(&w);
    }
    slw_jw_key(&w, "points");
    TRY(slw_monitor_errors(api->store, api_now(api), name, m.from_ms, m.to_ms,
                           (size_t)points, &w, err));
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_deployments_live(struct slw_http_req *req, struct slw_http_res *res,
                     struct slw_err *err)
{
    struct slw_api *api = req->app;
    int64_t seconds = 0;
    struct slw_clock clock; /* a person's, whatever the server's is set to */
    struct slw_jw w;
    TRY(slw_http_query_i64(req, "seconds", 300, &seconds, err));
    if (seconds < 1 || seconds > LIVE_SECONDS_MAX)
        return slw_fail(err, SLW_INVALID, "seconds must be 1 to %d",
                        LIVE_SECONDS_MAX);
    slw_clock_init_system(&clock);
    slw_jw_init(&w, &res->body);
    return slw_serve_figures_of(api->serve, slw_http_var(req, "name"), seconds,
                                slw_clock_now_ms(&clock), &w, err);
}
