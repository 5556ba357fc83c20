/* action.c -- changing what is deployed.
 *
 * An action is: read the row; work out the row after it (a pure function that
 * refuses what the state does not allow); load what that row names; write
 * row, history, alias and event in one transaction; swap in memory.  Nothing
 * has changed anywhere until the transaction is committed, and after it
 * nothing can fail.  A dry run goes the same way and stops before the swap. */
#include "serve/serve_internal.h"

#include "store/dry.h"
#include "store/event.h"

#include <math.h>

static const struct {
    const char *name, *event;
} ACTIONS[] = {
    [SLW_SERVE_DEPLOY] = {"deploy", "serve.deployed"},
    [SLW_SERVE_CANARY] = {"canary", "serve.canaried"},
    [SLW_SERVE_WEIGHT] = {"weight", "serve.weighted"},
    [SLW_SERVE_PROMOTE] = {"promote", "serve.promoted"},
    [SLW_SERVE_ROLLBACK] = {"rollback", "serve.rolled_back"},
    [SLW_SERVE_WITHDRAW] = {"withdraw", "serve.withdrawn"},
    [SLW_SERVE_RESTORE] = {"restore", "serve.restored"},
    [SLW_SERVE_SHADOW] = {"shadow", "serve.shadowed"},
    [SLW_SERVE_RULE] = {"rule", "serve.ruled"},
};

/* ---- declaring ---- */

static enum slw_rc
rollout_check(const struct json_t *rollout, struct slw_err *err)
{
    if (slw_json_type(rollout) != SLW_JSON_ARRAY)
        return slw_fail(err, SLW_INVALID,
                        "rollout must be a list of {\"canary\": share, "
                        "\"requests\": count}");
    if (slw_json_len(rollout) > SERVE_ROLLOUT_MAX)
        return slw_fail(err, SLW_INVALID, "rollout has more than %d steps",
                        SERVE_ROLLOUT_MAX);
    double last = 0;
    for (size_t i = 0; i < slw_json_len(rollout); i++) {
        const struct json_t *step = slw_json_at(rollout, i);
        double share = 0;
        int64_t requests = 0;
        TRY(slw_json_need_f64(step, "canary", &share, err));
        TRY(slw_json_opt_i64(step, "requests", &requests, err));
        if (!(share > 0 && share <= 1) || share < last || requests < 0)
            return slw_fail(err, SLW_INVALID,
                            "rollout step %zu: canary must be above 0, at "
                            "most 1 and not below the step before; requests "
                            "not negative",
                            i + 1);
        last = share;
    }
    return SLW_OK;
}

static enum slw_rc
shadow_check(const struct json_t *shadow, struct slw_err *err)
{
    for (size_t i = 0; i < slw_json_len(shadow); i++) {
        struct slw_str s =
            slw_json_str_or(slw_json_at(shadow, i), SLW_STR("?"));
        if (!slw_str_eqz(s, "fallback") && !slw_str_eqz(s, "challenger"))
            return slw_fail(err, SLW_INVALID,
                            "shadow may name \"fallback\" and \"challenger\", "
                            "not '%.*s'",
                            SLW_FMT(s));
    }
    if (slw_json_type(shadow) != SLW_JSON_ARRAY)
        return slw_fail(err, SLW_INVALID, "shadow must be a list");
    return SLW_OK;
}

/* Members this room does not know are kept: later rooms read them. */
static enum slw_rc
def_check(const struct json_t *def, struct slw_str name,
          struct slw_str *out_model, struct slw_err *err)
{
    struct slw_str given = name;
    int64_t timeout_ms = SERVE_TIMEOUT_MS_DEFAULT;
    if (slw_json_type(def) != SLW_JSON_OBJECT)
        return slw_fail(err, SLW_INVALID,
                        "a deployment's definition must be a JSON object");
    TRY(slw_json_opt_str(def, "name", &given, err));
    if (!slw_str_eq(given, name))
        return slw_fail(err, SLW_INVALID,
                        "the definition is of '%.*s', not of '%.*s'",
                        SLW_FMT(given), SLW_FMT(name));
    TRY(slw_json_need_str(def, "model", out_model, err));
    if (!slw_name_ok(*out_model))
        return slw_fail(err, SLW_INVALID, "'%.*s' is no name of a model",
                        SLW_FMT(*out_model));
    TRY(slw_json_opt_i64(def, "timeout_ms", &timeout_ms, err));
    if (timeout_ms < 1 || timeout_ms > SERVE_TIMEOUT_MS_MAX)
        return slw_fail(err, SLW_INVALID, "timeout_ms must be 1 to %d",
                        SERVE_TIMEOUT_MS_MAX);
    const struct json_t *rollout = slw_json_get(def, "rollout");
    if (rollout)
        TRY(rollout_check(rollout, err));
    const struct json_t *shadow = slw_json_get(def, "shadow");
    return shadow ? shadow_check(shadow, err) : SLW_OK;
}

static enum slw_rc
event_declared(struct slw_tx *tx, int64_t now_ms,
               const struct slw_deployment *d, struct slw_err *err)
{
    SLW_AUTO(slw_buf, b);
    struct slw_jw w;
    slw_jw_init(&w, &b);
    slw_jw_obj(&w);
    slw_jw_ki64(&w, "revision", d->revision);
    slw_jw_kraw(&w, "definition", d->def);
    slw_jw_obj_end(&w);
    return slw_event_emit(tx, now_ms, "serve.declared", d->name,
                          slw_buf_view(&b), err);
}

/* What serves keeps its model: its versions belong to that one. */
static enum slw_rc
model_check(const struct slw_deployment *d, struct slw_str model,
            struct slw_err *err)
{
    if (d->champion.len && !slw_str_eq(d->model, model))
        return slw_fail(err, SLW_CONFLICT,
                        "'%.*s' serves versions of the model '%.*s'; declare "
                        "another deployment for '%.*s'",
                        SLW_FMT(d->name), SLW_FMT(d->model), SLW_FMT(model));
    return SLW_OK;
}

/* Out  d: the row as it is to be; *exists, *changed */
static enum slw_rc
declare_plan(struct slw_serve *s, struct slw_str name, struct slw_str model,
             struct slw_str def, struct slw_arena *a, struct slw_deployment *d,
             bool *exists, bool *changed, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, s->store, err));
    enum slw_rc rc = slw_serve_get(&tx, name, a, d, err);
    *exists = rc == SLW_OK;
    if (rc == SLW_NOT_FOUND) {
        const struct slw_str none = SLW_STR("");
        *d = (struct slw_deployment){.name = name,
                                     .champion = none,
                                     .canary = none,
                                     .previous = none,
                                     .shadow = none,
                                     .rollout_step = -1};
        rc = SLW_OK;
    }
    TRY(rc);
    TRY(model_check(d, model, err));
    *changed = !*exists || !slw_str_eq(d->def, def);
    d->model = model;
    d->def = def;
    d->revision++;
    return SLW_OK;
}

static enum slw_rc
declare_locked(struct slw_serve *s, int64_t now_ms, struct slw_str name,
               struct slw_str model, struct slw_str def, struct slw_err *err)
{
    bool exists = false, changed = false;
    struct slw_deployment d;
    struct serve_slot *slot = NULL;
    SLW_AUTO(slw_arena, a);
    TRY(declare_plan(s, name, model, def, &a, &d, &exists, &changed, err));
    if (!changed)
        return SLW_OK;
    if (!slw_dry_is_on())
        TRY(serve_slot_ensure(s, name, &slot, err));
    struct serve_change change = {.action = "declare",
                                  .from_version = d.champion_version,
                                  .to_version = d.champion_version};
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, s->store, err));
    if (exists)
        TRY(serve_row_update(&tx, now_ms, &d, err));
    else
        TRY(serve_row_insert(&tx, now_ms, &d, err));
    TRY(serve_change_add(&tx, now_ms, &d, &change, err));
    TRY(event_declared(&tx, now_ms, &d, err));
    TRY(slw_tx_commit(&tx, err));
    if (slot) /* else it was a dry run */
        serve_live_swap(slot, serve_live_build(s, slot, &d));
    return SLW_OK;
}

static enum slw_rc
declare_check(struct slw_str name, struct slw_str def_json,
              struct slw_json *doc, struct slw_str *out_model,
              struct slw_err *err)
{
    if (!slw_name_ok(name) || slw_str_eqz(name, "stats"))
        return slw_fail(err, SLW_INVALID,
                        "'%.*s' is no name of a deployment: letters, digits, "
                        "'_', '-' and '.', at most 128, and not \"stats\"",
                        SLW_FMT(name));
    TRY(slw_json_parse(doc, def_json, err));
    return def_check(doc->root, name, out_model, err);
}

enum slw_rc
slw_serve_declare_check(struct slw_tx *tx, struct slw_str name,
                        struct slw_str def_json, struct slw_err *err)
{
    struct slw_str model;
    struct slw_deployment d;
    SLW_AUTO(slw_json, doc);
    TRY(declare_check(name, def_json, &doc, &model, err));
    SLW_AUTO(slw_arena, a);
    enum slw_rc rc = slw_serve_get(tx, name, &a, &d, err);
    if (rc == SLW_NOT_FOUND)
        return SLW_OK;
    TRY(rc);
    return model_check(&d, model, err);
}

enum slw_rc
slw_serve_declare(struct slw_serve *s, int64_t now_ms, struct slw_str name,
                  struct slw_str def_json, struct slw_err *err)
{
    struct slw_str model;
    SLW_AUTO(slw_json, doc);
    TRY(declare_check(name, def_json, &doc, &model, err));
    SLW_AUTO(slw_buf, canonical);
    slw_json_dump(&canonical, doc.root);
    (void)pthread_mutex_lock(&s->act);
    enum slw_rc rc =
        declare_locked(s, now_ms, name, model, slw_buf_view(&canonical), err);
    (void)pthread_mutex_unlock(&s->act);
    return rc;
}

/* ---- acting ---- */

struct action {
    enum slw_serve_action kind;
    int64_t version;
    struct slw_str release; /* of that version */
    double weight;
    int step;
    struct slw_str who, why;
    /* Filled by the plan. */
    int64_t from_version, to_version;
    bool same;         /* nothing to write */
    const char *alias; /* to move to alias_version, or NULL */
    int64_t alias_version;
    struct slw_str must_load; /* release that has to load, or empty */
};

static enum slw_rc
refuse(const struct slw_deployment *d, const char *why, struct slw_err *err)
{
    return slw_fail(err, SLW_CONFLICT, "'%.*s': %s", SLW_FMT(d->name), why);
}

static void
drop_canary(struct slw_deployment *d)
{
    d->canary = SLW_STR("");
    d->canary_version = 0;
    d->canary_weight = 0;
    d->rollout_step = -1;
}

/* A withdrawn champion does not become `previous`: nobody wants to roll back
 * to what was taken out of service, or never passed its gate. */
static void
set_champion(struct slw_deployment *d, struct action *a, struct slw_str release,
             int64_t version)
{
    a->from_version = d->champion_version;
    a->to_version = version;
    a->alias = "champion";
    a->alias_version = version;
    a->must_load = release;
    if (d->champion.len && d->champion_version != version && !d->withdrawn) {
        d->previous = d->champion;
        d->previous_version = d->champion_version;
    } else if (d->previous_version == version) {
        d->previous = SLW_STR(""); /* it is the champion now */
        d->previous_version = 0;
    }
    d->champion = release;
    d->champion_version = version;
    d->withdrawn = false;
    drop_canary(d);
}

static enum slw_rc
plan_deploy(struct slw_deployment *d, struct action *a, struct slw_err *err)
{
    a->same = d->champion_version == a->version && !d->withdrawn &&
              d->canary.len == 0;
    set_champion(d, a, a->release, a->version);
    return SLW_OK;
}

static enum slw_rc
plan_weight(struct slw_deployment *d, struct action *a, struct slw_err *err)
{
    if (d->canary.len == 0)
        return refuse(d, "there is no canary whose weight could change", err);
    a->from_version = a->to_version = d->canary_version;
    d->canary_weight = a->weight;
    d->rollout_step = a->step;
    return SLW_OK;
}

static enum slw_rc
plan_canary(struct slw_deployment *d, struct action *a, struct slw_err *err)
{
    if (d->champion.len == 0)
        return refuse(d, "a canary needs a champion beside it; deploy one",
                      err);
    if (d->champion_version == a->version)
        return refuse(d, "this version is the champion already", err);
    if (d->canary.len && d->canary_version != a->version)
        return refuse(d,
                      "another canary is running; promote it or roll it "
                      "back first",
                      err);
    a->from_version = d->champion_version;
    a->to_version = a->version;
    a->alias = "challenger";
    a->alias_version = a->version;
    a->must_load = a->release;
    d->canary = a->release;
    d->canary_version = a->version;
    d->canary_weight = a->weight;
    d->rollout_step = a->step;
    return SLW_OK;
}

static enum slw_rc
plan_promote(struct slw_deployment *d, struct action *a, struct slw_err *err)
{
    if (d->canary.len == 0)
        return refuse(d, "there is no canary to promote", err);
    if (a->version && a->version != d->canary_version)
        return refuse(d, "the canary is another version", err);
    set_champion(d, a, d->canary, d->canary_version);
    return SLW_OK;
}

static enum slw_rc
plan_rollback(struct slw_deployment *d, struct action *a, struct slw_err *err)
{
    if (d->canary.len) {
        a->from_version = d->canary_version;
        a->to_version = d->champion_version;
        drop_canary(d);
        return SLW_OK;
    }
    if (d->previous.len == 0)
        return refuse(d,
                      "there is no canary and nothing before the champion "
                      "to roll back to",
                      err);
    set_champion(d, a, d->previous, d->previous_version);
    return SLW_OK;
}

static enum slw_rc
plan_withdrawn(struct slw_deployment *d, struct action *a, bool withdrawn,
               struct slw_err *err)
{
    if (d->champion.len == 0)
        return refuse(d, "nothing is deployed", err);
    if (d->withdrawn == withdrawn)
        return refuse(d,
                      withdrawn ? "the champion is withdrawn already"
                                : "the champion is not withdrawn",
                      err);
    a->from_version = a->to_version = d->champion_version;
    d->withdrawn = withdrawn;
    if (!withdrawn) { /* with "rule" it may never have been the alias's */
        a->alias = "champion";
        a->alias_version = d->champion_version;
    }
    return SLW_OK;
}

static enum slw_rc
plan_shadow(struct slw_deployment *d, struct action *a, struct slw_err *err)
{
    if (d->champion.len == 0)
        return refuse(d, "nothing is deployed that could have a shadow", err);
    a->from_version = d->shadow_version;
    a->to_version = a->version;
    d->shadow = a->version ? a->release : SLW_STR("");
    d->shadow_version = a->version;
    a->must_load = d->shadow;
    return SLW_OK;
}

/* A version that may not answer brings its rule. */
static enum slw_rc
plan_rule(struct slw_deployment *d, struct action *a, struct slw_err *err)
{
    if (d->champion.len)
        return refuse(d, "something is deployed; withdraw it instead", err);
    set_champion(d, a, a->release, a->version);
    a->alias = NULL;
    d->withdrawn = true;
    return SLW_OK;
}

/* The row after the action.  Errors CONFLICT: the state does not allow it. */
static enum slw_rc
plan(struct slw_deployment *d, struct action *a, struct slw_err *err)
{
    a->must_load = SLW_STR("");
    switch (a->kind) {
    case SLW_SERVE_DEPLOY:
        return plan_deploy(d, a, err);
    case SLW_SERVE_CANARY:
        return plan_canary(d, a, err);
    case SLW_SERVE_WEIGHT:
        return plan_weight(d, a, err);
    case SLW_SERVE_PROMOTE:
        return plan_promote(d, a, err);
    case SLW_SERVE_ROLLBACK:
        return plan_rollback(d, a, err);
    case SLW_SERVE_WITHDRAW:
        return plan_withdrawn(d, a, true, err);
    case SLW_SERVE_RESTORE:
        return plan_withdrawn(d, a, false, err);
    case SLW_SERVE_RULE:
        return plan_rule(d, a, err);
    case SLW_SERVE_SHADOW:
        break;
    }
    return plan_shadow(d, a, err);
}

static enum slw_rc
input_check(const struct action *a, struct slw_err *err)
{
    const bool named = a->kind == SLW_SERVE_DEPLOY ||
                       a->kind == SLW_SERVE_RULE || a->kind == SLW_SERVE_CANARY;
    if (a->version < 0 || (named && a->version == 0))
        return slw_fail(err, SLW_INVALID, "name the version to %s",
                        a->kind == SLW_SERVE_CANARY ? "give requests to"
                                                    : "deploy");
    if (a->kind == SLW_SERVE_CANARY && !(a->weight > 0 && a->weight <= 1))
        return slw_fail(err, SLW_INVALID,
                        "a canary's weight is above 0 and at most 1, not %g",
                        a->weight);
    if (a->kind == SLW_SERVE_WEIGHT && !(a->weight >= 0 && a->weight <= 1))
        return slw_fail(err, SLW_INVALID, "a canary's weight is 0 to 1, not %g",
                        a->weight);
    if (a->step < -1 || a->step >= SERVE_ROLLOUT_MAX)
        return slw_fail(err, SLW_INVALID, "%d is no step of a rollout",
                        a->step);
    return SLW_OK;
}

static enum slw_rc
state_read(struct slw_serve *s, struct slw_str name, struct action *a,
           struct slw_arena *arena, struct slw_deployment *d,
           struct slw_err *err)
{
    struct slw_version v;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, s->store, err));
    TRY(slw_serve_get(&tx, name, arena, d, err));
    if (a->version == 0 || a->kind == SLW_SERVE_WEIGHT)
        return SLW_OK;
    TRY(slw_registry_version_get(&tx, d->model, a->version, arena, &v, err));
    if (v.release.len == 0)
        return slw_fail(err, SLW_CONFLICT,
                        "version %lld of '%.*s' was registered without a "
                        "release, so it cannot be served; train or import it "
                        "here",
                        (long long)a->version, SLW_FMT(d->model));
    a->release = v.release;
    return SLW_OK;
}

static enum slw_rc
loaded_check(const struct serve_live *l, struct slw_str hash,
             struct slw_err *err)
{
    const struct serve_release *const rs[] = {l->champion, l->canary,
                                              l->shadow};
    for (size_t i = 0; i < SLW_ARRAY_LEN(rs); i++)
        if (rs[i] && slw_str_eqz(hash, rs[i]->hash) && !rs[i]->model)
            return slw_fail(err, SLW_CORRUPT,
                            "version %lld cannot be loaded, so nothing was "
                            "changed: %.300s",
                            (long long)rs[i]->version, rs[i]->why.msg);
    return SLW_OK;
}

static enum slw_rc
event_acted(struct slw_tx *tx, int64_t now_ms, const struct slw_deployment *d,
            const struct action *a, struct slw_err *err)
{
    SLW_AUTO(slw_buf, b);
    struct slw_jw w;
    slw_jw_init(&w, &b);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "action", ACTIONS[a->kind].name);
    slw_jw_kstr(&w, "model", d->model);
    slw_jw_ki64(&w, "from", a->from_version);
    slw_jw_ki64(&w, "to", a->to_version);
    slw_jw_kf64(&w, "weight", d->canary_weight);
    slw_jw_ki64(&w, "step", d->rollout_step);
    slw_jw_kstr(&w, "release", d->champion);
    slw_jw_ki64(&w, "revision", d->revision);
    slw_jw_kstr(&w, "why", a->why.ptr ? a->why : SLW_STR(""));
    slw_jw_obj_end(&w);
    return slw_event_emit(tx, now_ms, ACTIONS[a->kind].event, d->name,
                          slw_buf_view(&b), err);
}

/* A version that was made champion is no longer the one that wants to be. */
static enum slw_rc
challenger_end(struct slw_tx *tx, int64_t now_ms, struct slw_str model,
               const struct action *a, struct slw_err *err)
{
    int64_t challenger = 0;
    enum slw_rc rc = slw_registry_alias_at(tx, model, SLW_STR("challenger"),
                                           INT64_MAX, &challenger, err);
    if (rc == SLW_NOT_FOUND || (rc == SLW_OK && challenger != a->alias_version))
        return SLW_OK;
    TRY(rc);
    return slw_registry_alias_remove(tx, now_ms, model, SLW_STR("challenger"),
                                     a->who, SLW_STR("it became champion"),
                                     err);
}

static enum slw_rc
act_write(struct slw_serve *s, int64_t now_ms, const struct slw_deployment *d,
          const struct action *a, struct slw_err *err)
{
    const struct serve_change change = {.action = ACTIONS[a->kind].name,
                                        .from_version = a->from_version,
                                        .to_version = a->to_version,
                                        .why = a->why};
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, s->store, err));
    TRY(serve_row_update(&tx, now_ms, d, err));
    TRY(serve_change_add(&tx, now_ms, d, &change, err));
    if (a->alias)
        TRY(slw_registry_alias_move(&tx, now_ms, d->model, slw_str_of(a->alias),
                                    a->alias_version, a->who,
                                    a->why.ptr ? a->why : SLW_STR(""), err));
    if (a->alias && strcmp(a->alias, "champion") == 0)
        TRY(challenger_end(&tx, now_ms, d->model, a, err));
    TRY(event_acted(&tx, now_ms, d, a, err));
    return slw_tx_commit(&tx, err);
}

/* The very object, not another load of the same release. */
static bool
is_live(struct serve_slot *slot, const struct serve_release *champion)
{
    struct serve_live *now = serve_live_get(slot);
    const bool is = now && now->champion == champion;
    serve_live_unref(now);
    return is;
}

static enum slw_rc
act_locked(struct slw_serve *s, int64_t now_ms, struct slw_str name,
           struct action *a, struct slw_err *err)
{
    struct slw_deployment d;
    struct serve_slot *slot = NULL;
    SLW_AUTO(slw_arena, arena);
    TRY(state_read(s, name, a, &arena, &d, err));
    TRY(plan(&d, a, err));
    TRY(serve_slot_ensure(s, name, &slot, err));
    struct serve_live *l = serve_live_build(s, slot, &d);
    enum slw_rc rc = loaded_check(l, a->must_load, err);
    d.revision++;
    if (rc == SLW_OK && !a->same)
        rc = act_write(s, now_ms, &d, a, err);
    if (rc != SLW_OK || slw_dry_is_on()) {
        serve_live_unref(l);
        return rc;
    }
    serve_slot_log_open(s, slot, now_ms);
    if (a->same && is_live(slot, l->champion))
        serve_live_unref(l); /* the counts go on */
    else
        serve_live_swap(slot, l);
    return SLW_OK;
}

enum slw_rc
slw_serve_act(struct slw_serve *s, int64_t now_ms, struct slw_str name,
              enum slw_serve_action kind, int64_t version, double weight,
              int step, struct slw_str why, struct slw_err *err)
{
    return slw_serve_act_as(s, now_ms, name, kind, version, weight, step,
                            SLW_REGISTRY_SELF, why, err);
}

enum slw_rc
slw_serve_act_as(struct slw_serve *s, int64_t now_ms, struct slw_str name,
                 enum slw_serve_action kind, int64_t version, double weight,
                 int step, struct slw_str who, struct slw_str why,
                 struct slw_err *err)
{
    SLW_ASSERT((size_t)kind < SLW_ARRAY_LEN(ACTIONS));
    struct action a = {.kind = kind,
                       .version = version,
                       .weight = weight,
                       .step = step,
                       .who = who,
                       .why = why};
    TRY(input_check(&a, err));
    (void)pthread_mutex_lock(&s->act);
    enum slw_rc rc = act_locked(s, now_ms, name, &a, err);
    (void)pthread_mutex_unlock(&s->act);
    return rc;
}

/* ---- the fire drill ---- */

static const char *const DRILLS[] = {[SERVE_DRILL_NONE] = "off",
                                     [SERVE_DRILL_ERROR] = "error",
                                     [SERVE_DRILL_NAN] = "nan",
                                     [SERVE_DRILL_SLOW] = "slow"};

static enum slw_rc
drill_parse(struct slw_str mode, enum serve_drill *out, struct slw_err *err)
{
    if (mode.len == 0) {
        *out = SERVE_DRILL_NONE;
        return SLW_OK;
    }
    for (size_t i = 0; i < SLW_ARRAY_LEN(DRILLS); i++)
        if (slw_str_eqz(mode, DRILLS[i])) {
            *out = (enum serve_drill)i;
            return SLW_OK;
        }
    return slw_fail(err, SLW_INVALID,
                    "a drill is error, nan, slow or off, not '%.*s'",
                    SLW_FMT(mode));
}

enum slw_rc
slw_serve_drill(struct slw_serve *s, int64_t now_ms, struct slw_str name,
                struct slw_str mode, struct slw_err *err)
{
    enum serve_drill drill;
    TRY(drill_parse(mode, &drill, err));
    struct serve_slot *slot = serve_slot_find(s, name);
    if (!slot)
        return slw_fail(err, SLW_NOT_FOUND, "there is no deployment '%.*s'",
                        SLW_FMT(name));
    SLW_AUTO(slw_buf, b);
    struct slw_jw w;
    slw_jw_init(&w, &b);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "mode", drill ? DRILLS[drill] : "");
    slw_jw_obj_end(&w);
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, s->store, err));
    TRY(slw_event_emit(&tx, now_ms, "serve.drilled", name, slw_buf_view(&b),
                       err));
    TRY(slw_tx_commit(&tx, err));
    if (!slw_dry_is_on())
        atomic_store(&slot->drill, drill);
    return SLW_OK;
}

const char *
slw_serve_drill_mode(struct slw_serve *s, struct slw_str name)
{
    struct serve_slot *slot = serve_slot_find(s, name);
    return DRILLS[slot ? atomic_load(&slot->drill) : SERVE_DRILL_NONE];
}
