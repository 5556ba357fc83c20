/* native_history.c -- which version had an alias or a stage when, who moved it
 * and why; putting an earlier state back; every verdict on a version.
 *
 * Each answer is read in one snapshot, so what it says of aliases, stages and
 * their moves was true together. */
#include "api/api_internal.h"
#include "api/routes.h"
#include "registry/registry.h"

static void
ktime(struct slw_jw *w, int64_t ms)
{
    char text[SLW_TIME_TEXT_SIZE];
    slw_jw_kz(w, "at", slw_time_text(ms, text));
    slw_jw_ki64(w, "at_ms", ms);
}

static void
kversion(struct slw_jw *w, const char *key, int64_t version)
{
    slw_jw_key(w, key);
    if (version)
        slw_jw_i64(w, version);
    else
        slw_jw_null(w);
}

static void
kstage(struct slw_jw *w, const char *key, struct slw_str stage)
{
    slw_jw_key(w, key);
    if (stage.len)
        slw_jw_str(w, stage);
    else
        slw_jw_null(w);
}

static void
write_move(struct slw_jw *w, const struct slw_registry_move *m)
{
    slw_jw_obj(w);
    slw_jw_kz(w, "kind", m->alias.len ? "alias" : "stage");
    if (m->alias.len) {
        slw_jw_kstr(w, "alias", m->alias);
        kversion(w, "from", m->previous);
        kversion(w, "to", m->version);
    } else {
        slw_jw_ki64(w, "version", m->version);
        kstage(w, "from", m->from);
        kstage(w, "to", m->to);
    }
    ktime(w, m->at_ms);
    slw_jw_kstr(w, "who", m->who);
    slw_jw_kstr(w, "why", m->why);
    slw_jw_obj_end(w);
}

static void
write_held(struct slw_jw *w, const struct slw_registry_move *m)
{
    slw_jw_obj(w);
    slw_jw_kz(w, "kind", m->alias.len ? "alias" : "stage");
    slw_jw_kstr(w, "name", m->alias.len ? m->alias : m->to);
    slw_jw_ki64(w, "version", m->version);
    slw_jw_key(w, "since"); /* and so on: the move that made it so */
    char text[SLW_TIME_TEXT_SIZE];
    slw_jw_z(w, slw_time_text(m->at_ms, text));
    slw_jw_ki64(w, "since_ms", m->at_ms);
    slw_jw_kstr(w, "who", m->who);
    slw_jw_kstr(w, "why", m->why);
    slw_jw_obj_end(w);
}

/* A time that is not ahead; the end of today's date is now. */
static enum slw_rc
past_check(struct slw_api *api, int64_t begin_ms, int64_t *at_ms,
           struct slw_err *err)
{
    char at[SLW_TIME_TEXT_SIZE], now[SLW_TIME_TEXT_SIZE];
    const int64_t now_ms = api_now(api);
    if (*at_ms > now_ms && begin_ms <= now_ms)
        *at_ms = now_ms;
    if (*at_ms <= now_ms)
        return SLW_OK;
    return slw_fail(err, SLW_INVALID, "at: %s lies in the future; it is %s now",
                    slw_time_text(*at_ms, at), slw_time_text(now_ms, now));
}

static enum slw_rc
write_held_at(struct slw_tx *tx, struct slw_str model,
              const struct slw_registry_past *p, struct slw_arena *a,
              struct slw_jw *w, struct slw_err *err)
{
    struct slw_registry_move *held = NULL;
    size_t count = 0;
    char text[SLW_TIME_TEXT_SIZE];
    slw_jw_kz(w, "at", slw_time_text(p->until_ms, text));
    slw_jw_ki64(w, "at_ms", p->until_ms);
    slw_jw_key(w, "held");
    slw_jw_arr(w);
    if (p->alias.len || !p->stage.len) {
        TRY(slw_registry_aliases_at(tx, model, p->alias, p->until_ms, a, &held,
                                    &count, err));
        for (size_t i = 0; i < count; i++)
            write_held(w, &held[i]);
    }
    if (p->stage.len || !p->alias.len) {
        TRY(slw_registry_stages_at(tx, model, p->stage, p->until_ms, a, &held,
                                   &count, err));
        for (size_t i = 0; i < count; i++)
            write_held(w, &held[i]);
    }
    slw_jw_arr_end(w);
    return SLW_OK;
}

/* An alias that never was is a slip of the pen, not an empty history. */
static enum slw_rc
alias_check(struct slw_tx *tx, struct slw_str model, struct slw_str alias,
            struct slw_arena *a, struct slw_err *err)
{
    const struct slw_registry_past p = {.alias = alias,
                                        .stage = SLW_STR(""),
                                        .until_ms = INT64_MAX,
                                        .limit = 1};
    struct slw_registry_move *moves = NULL;
    size_t count = 0;
    int64_t total = 0;
    if (!alias.len)
        return SLW_OK;
    TRY(slw_registry_history(tx, model, &p, a, &moves, &count, &total, err));
    if (total)
        return SLW_OK;
    return slw_fail(err, SLW_NOT_FOUND,
                    "model '%.*s' never had an alias '%.*s'", SLW_FMT(model),
                    SLW_FMT(alias));
}

static struct slw_str
query_text(const struct slw_http_req *req, const char *name)
{
    struct slw_str s = slw_http_query(req, name);
    return s.ptr ? s : SLW_STR("");
}

enum slw_rc
api_models_history(struct slw_http_req *req, struct slw_http_res *res,
                   struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str model = slw_http_var(req, "name");
    struct slw_registry_past p = {.alias = query_text(req, "alias"),
                                  .stage = query_text(req, "stage"),
                                  .until_ms = INT64_MAX};
    struct api_page page;
    struct slw_registry_move *moves = NULL;
    size_t count = 0;
    int64_t total = 0, begin_ms = INT64_MAX;
    TRY(api_page_of(req, 100, 1000, &page, err));
    TRY(api_time_query(req, "at", true, &p.until_ms, err));
    TRY(api_time_query(req, "at", false, &begin_ms, err));
    const bool at = p.until_ms != INT64_MAX;
    if (at)
        TRY(past_check(api, begin_ms, &p.until_ms, err));
    p.limit = page.limit;
    p.offset = page.offset;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_registry_history(&tx, model, &p, req->arena, &moves, &count, &total,
                             err));
    if (total == 0)
        TRY(alias_check(&tx, model, p.alias, req->arena, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "model", model);
    if (at)
        TRY(write_held_at(&tx, model, &p, req->arena, &w, err));
    slw_jw_key(&w, "moves");
    slw_jw_arr(&w);
    for (size_t i = 0; i < count; i++)
        write_move(&w, &moves[i]);
    slw_jw_arr_end(&w);
    slw_jw_ki64(&w, "total", total);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

/* ---- putting back ---- */

/* {"at": T} or {"version": N}; exactly one. */
static enum slw_rc
target_of(struct slw_api *api, const struct json_t *body, bool version_ok,
          int64_t *at_ms, int64_t *version, struct slw_err *err)
{
    int64_t begin_ms = INT64_MAX;
    *at_ms = INT64_MAX;
    *version = 0;
    TRY(api_time_member(body, "at", true, at_ms, err));
    TRY(api_time_member(body, "at", false, &begin_ms, err));
    if (version_ok)
        TRY(slw_json_opt_i64(body, "version", version, err));
    if ((*at_ms == INT64_MAX) == (*version == 0))
        return slw_fail(err, SLW_INVALID,
                        version_ok
                            ? "give either \"at\", a time, or \"version\", one "
                              "that the alias named before"
                            : "give \"at\", a time");
    return *version ? SLW_OK : past_check(api, begin_ms, at_ms, err);
}

/* Deployments that answer with another version than the champion now named:
 * an alias moves no traffic. */
static enum slw_rc
write_serving(struct slw_tx *tx, struct slw_str model, int64_t version,
              struct slw_arena *a, struct slw_jw *w, struct slw_err *err)
{
    struct slw_deployment *list = NULL;
    size_t count = 0;
    TRY(slw_serve_list(tx, a, &list, &count, err));
    slw_jw_key(w, "not_deployed");
    slw_jw_arr(w);
    for (size_t i = 0; i < count; i++) {
        if (!slw_str_eq(list[i].model, model) ||
            list[i].champion_version == version || !list[i].champion_version)
            continue;
        slw_jw_obj(w);
        slw_jw_kstr(w, "deployment", list[i].name);
        slw_jw_ki64(w, "champion_version", list[i].champion_version);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
    return SLW_OK;
}

static enum slw_rc
act_of(struct slw_http_req *req, const struct json_t *body,
       struct slw_registry_act *out, struct slw_err *err)
{
    *out = (struct slw_registry_act){.now_ms = api_now(req->app),
                                     .why = SLW_STR("")};
    TRY(slw_json_opt_str(body, "why", &out->why, err));
    return api_who_of(req, body, &out->who, err);
}

enum slw_rc
api_aliases_restore(struct slw_http_req *req, struct slw_http_res *res,
                    struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str model = slw_http_var(req, "name");
    struct slw_str alias = slw_http_var(req, "alias");
    const bool champion = slw_str_eqz(alias, "champion");
    struct slw_registry_act act;
    int64_t at_ms = 0, version = 0, previous = 0, wanted = 0;
    SLW_AUTO(slw_json, body);
    TRY(api_body(req, &body, err));
    TRY(target_of(api, body.root, true, &at_ms, &wanted, err));
    TRY(act_of(req, body.root, &act, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_registry_alias_restore(&tx, &act, model, alias, at_ms, wanted,
                                   &version, &previous, err));
    if (champion && version != previous)
        TRY(api_gate_check(&tx, model, version, body.root, req->arena, err));
    slw_jw_kstr(&w, "model", model);
    slw_jw_kstr(&w, "alias", alias);
    slw_jw_ki64(&w, "version", version);
    kversion(&w, "previous", previous);
    slw_jw_kbool(&w, "changed", version != previous);
    if (champion)
        TRY(write_serving(&tx, model, version, req->arena, &w, err));
    TRY(slw_tx_commit(&tx, err));
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_stages_restore(struct slw_http_req *req, struct slw_http_res *res,
                   struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str model = slw_http_var(req, "name");
    struct slw_str stage = slw_http_var(req, "stage");
    struct slw_registry_act act;
    int64_t at_ms = 0, none = 0, *versions = NULL;
    size_t count = 0, changed = 0;
    SLW_AUTO(slw_json, body);
    TRY(api_body(req, &body, err));
    TRY(target_of(api, body.root, false, &at_ms, &none, err));
    TRY(act_of(req, body.root, &act, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_registry_stage_restore(&tx, &act, model, stage, at_ms, req->arena,
                                   &versions, &count, &changed, err));
    TRY(slw_tx_commit(&tx, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "model", model);
    slw_jw_kstr(&w, "stage", stage);
    slw_jw_key(&w, "versions");
    slw_jw_arr(&w);
    for (size_t i = 0; i < count; i++)
        slw_jw_i64(&w, versions[i]);
    slw_jw_arr_end(&w);
    slw_jw_kbool(&w, "changed", changed > 0);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

/* ---- verdicts ---- */

enum slw_rc
api_gates_write(struct slw_tx *tx, const struct slw_version *v, size_t offset,
                size_t limit, bool whole, struct slw_arena *a, struct slw_jw *w,
                int64_t *out_total, struct slw_err *err)
{
    struct slw_gate_result *gates = NULL;
    size_t count = 0;
    TRY(slw_registry_gate_list(tx, v->model, v->version, a, &gates, &count,
                               err));
    slw_jw_arr(w);
    for (size_t i = offset; i < count && i - offset < limit; i++) {
        SLW_AUTO(slw_json, gate);
        TRY(slw_json_parse(&gate, gates[i].gate, err));
        slw_jw_obj(w);
        ktime(w, gates[i].at_ms);
        slw_jw_kz(w, "verdict", gates[i].passed ? "passed" : "refused");
        slw_jw_kstr(
            w, "sentence",
            slw_json_str_or(slw_json_get(gate.root, "sentence"), SLW_STR("")));
        if (whole)
            slw_jw_kraw(w, "gate", gates[i].gate);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
    *out_total = (int64_t)count;
    return SLW_OK;
}

enum slw_rc
api_versions_gates(struct slw_http_req *req, struct slw_http_res *res,
                   struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_version v;
    struct api_page page;
    int64_t total = 0;
    TRY(api_page_of(req, 100, 1000, &page, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_registry_version_find(&tx, slw_http_var(req, "name"),
                                  slw_http_var(req, "ref"), req->arena, &v,
                                  err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "model", v.model);
    slw_jw_ki64(&w, "version", v.version);
    slw_jw_key(&w, "gates");
    TRY(api_gates_write(&tx, &v, page.offset, page.limit, true, req->arena, &w,
                        &total, err));
    slw_jw_ki64(&w, "total", total);
    slw_jw_obj_end(&w);
    return SLW_OK;
}
