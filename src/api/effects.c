/* effects.c -- ?dry_run=true: what a request would do, in sentences.
 *
 * The handler itself is run, in a dry run of the store (store/dry.h): the very
 * code that acts, with all its checks, on a transaction that is rolled back.
 * What it would have announced is said here, each kind of event by one
 * template; the page shows these sentences before it asks for the act.  A
 * kind without a template is named as it is, so nothing is left out.
 *
 * The answer is {"effects": [{"sentence", "before", "after", "kind",
 * "subject"}], "refused": null or why}.  What the state does not allow is an
 * answer; a request that is wrong in itself is an error, as it would be. */
#include "api/api_internal.h"
#include "api/routes.h"
#include "store/dry.h"

#define TEXT_MAX 512

/* One effect while it is said. */
struct saying {
    struct slw_api *api;
    struct slw_arena *a;
    struct slw_tx *tx; /* a snapshot: how it is now */
    const struct slw_effect *effect;
    const struct json_t *payload;
    struct slw_str sentence, before, after; /* the latter may be empty */
};

static struct slw_str
text_of(const struct saying *s, const char *key)
{
    return slw_json_str_or(slw_json_get(s->payload, key), SLW_STR(""));
}

static long long
number_of(const struct saying *s, const char *key)
{
    return (long long)slw_json_i64_or(slw_json_get(s->payload, key), 0);
}

/* "version 7", "the rule" while withdrawn, or "nothing". */
static struct slw_str
answering(const struct saying *s, const struct slw_deployment *d)
{
    if (!d->champion_version)
        return SLW_STR("nothing");
    if (d->withdrawn)
        return slw_arena_printf(s->a, "the rule (version %lld withdrawn)",
                                (long long)d->champion_version);
    if (!d->canary_version)
        return slw_arena_printf(s->a, "version %lld 100 %%",
                                (long long)d->champion_version);
    return slw_arena_printf(
        s->a, "version %lld %g %%, version %lld %g %%",
        (long long)d->champion_version, 100 * (1 - d->canary_weight),
        (long long)d->canary_version, 100 * d->canary_weight);
}

static struct slw_str
with_weight(const struct saying *s, long long champion, long long canary)
{
    double share = 100 * slw_json_f64_or(slw_json_get(s->payload, "weight"), 0);
    return slw_arena_printf(s->a, "version %lld %g %%, version %lld %g %%",
                            champion, 100 - share, canary, share);
}

/* ---- serve ---- */

static void
say_champion(struct saying *s, const struct slw_deployment *now)
{
    long long to = number_of(s, "to");
    s->sentence = slw_arena_printf(
        s->a,
        "Version %lld becomes the champion of '%.*s' and answers all "
        "requests",
        to, SLW_FMT(s->effect->subject));
    s->before = answering(s, now);
    s->after = slw_arena_printf(s->a, "version %lld 100 %%", to);
}

static void
say_share(struct saying *s, const struct slw_deployment *now)
{
    long long to = number_of(s, "to");
    double share = 100 * slw_json_f64_or(slw_json_get(s->payload, "weight"), 0);
    s->sentence = slw_arena_printf(
        s->a,
        "Version %lld answers %g %% of the keys of '%.*s' as canary, "
        "version %lld the rest",
        to, share, SLW_FMT(s->effect->subject),
        (long long)now->champion_version);
    s->before = answering(s, now);
    s->after = with_weight(s, (long long)now->champion_version, to);
}

static void
say_rollback(struct saying *s, const struct slw_deployment *now)
{
    long long to = number_of(s, "to"), from = number_of(s, "from");
    if (now->canary_version)
        s->sentence = slw_arena_printf(
            s->a,
            "The canary version %lld of '%.*s' is dropped; version %lld "
            "answers all requests",
            from, SLW_FMT(s->effect->subject), to);
    else
        s->sentence = slw_arena_printf(
            s->a, "'%.*s' goes back from version %lld to version %lld",
            SLW_FMT(s->effect->subject), from, to);
    s->before = answering(s, now);
    s->after = slw_arena_printf(s->a, "version %lld 100 %%", to);
}

static void
say_withdrawn(struct saying *s, const struct slw_deployment *now)
{
    s->sentence = slw_arena_printf(
        s->a,
        "Version %lld of '%.*s' is withdrawn: the rule answers all "
        "requests until it is restored or another is deployed",
        number_of(s, "from"), SLW_FMT(s->effect->subject));
    s->before = answering(s, now);
    s->after = SLW_STR("the rule");
}

static void
say_restored(struct saying *s, const struct slw_deployment *now)
{
    struct slw_deployment after = *now;
    after.withdrawn = false;
    s->sentence = slw_arena_printf(
        s->a, "Version %lld of '%.*s' answers again, not the rule",
        number_of(s, "to"), SLW_FMT(s->effect->subject));
    s->before = answering(s, now);
    s->after = answering(s, &after);
}

static void
say_shadowed(struct saying *s, const struct slw_deployment *now)
{
    long long to = number_of(s, "to");
    s->sentence =
        to ? slw_arena_printf(s->a,
                              "Version %lld is scored beside every "
                              "answer of '%.*s' and answers none",
                              to, SLW_FMT(s->effect->subject))
           : slw_arena_printf(s->a,
                              "No version is scored beside the answers "
                              "of '%.*s' any more",
                              SLW_FMT(s->effect->subject));
    if (now->shadow_version)
        s->before = slw_arena_printf(s->a, "shadow version %lld",
                                     (long long)now->shadow_version);
    if (to)
        s->after = slw_arena_printf(s->a, "shadow version %lld", to);
}

static void
say_drilled(struct saying *s, const struct slw_deployment *now)
{
    struct slw_str mode = text_of(s, "mode");
    (void)now;
    if (!mode.len)
        s->sentence = slw_arena_printf(s->a, "The fire drill of '%.*s' ends",
                                       SLW_FMT(s->effect->subject));
    else
        s->sentence = slw_arena_printf(
            s->a,
            "The model of '%.*s' is made to %s from now on, so that the "
            "rule answers, until the drill is ended or the server "
            "starts again",
            SLW_FMT(s->effect->subject),
            slw_str_eqz(mode, "nan")    ? "answer NaN"
            : slw_str_eqz(mode, "slow") ? "be late"
                                        : "fail");
    s->after = mode;
}

static void
say_declared(struct saying *s, const struct slw_deployment *now)
{
    s->sentence = slw_arena_printf(
        s->a,
        now->name.len ? "The definition of deployment '%.*s' changes"
                      : "Deployment '%.*s' is declared; it answers "
                        "nothing before a version is deployed",
        SLW_FMT(s->effect->subject));
    s->before = now->def;
    s->after = api_dump(s->a, slw_json_get(s->payload, "definition"));
}

static void
say_ruled(struct saying *s, const struct slw_deployment *now)
{
    s->sentence = slw_arena_printf(
        s->a, "The rule of version %lld answers all requests of '%.*s'",
        number_of(s, "to"), SLW_FMT(s->effect->subject));
    s->before = answering(s, now);
    s->after = SLW_STR("the rule");
}

static const struct {
    const char *kind;
    void (*say)(struct saying *s, const struct slw_deployment *now);
} SERVE_SAYINGS[] = {
    {"serve.deployed", say_champion},    {"serve.promoted", say_champion},
    {"serve.canaried", say_share},       {"serve.weighted", say_share},
    {"serve.rolled_back", say_rollback}, {"serve.withdrawn", say_withdrawn},
    {"serve.restored", say_restored},    {"serve.shadowed", say_shadowed},
    {"serve.drilled", say_drilled},      {"serve.declared", say_declared},
    {"serve.ruled", say_ruled},
};

static bool
say_serve(struct saying *s)
{
    struct slw_deployment now = {0};
    struct slw_err err;
    for (size_t i = 0; i < SLW_ARRAY_LEN(SERVE_SAYINGS); i++) {
        if (!slw_str_eqz(s->effect->kind, SERVE_SAYINGS[i].kind))
            continue;
        if (slw_serve_get(s->tx, s->effect->subject, s->a, &now, &err) !=
            SLW_OK)
            now = (struct slw_deployment){0}; /* not there yet */
        SERVE_SAYINGS[i].say(s, &now);
        return true;
    }
    return false;
}

/* ---- jobs ---- */

static void
say_queued(struct saying *s)
{
    struct slw_str kind = text_of(s, "kind"), about = s->effect->subject;
    const struct json_t *spec = slw_json_get(s->payload, "spec");
    long long version =
        (long long)slw_json_i64_or(slw_json_get(spec, "version"), 0);
    struct slw_str mode =
        slw_json_str_or(slw_json_get(spec, "mode"), SLW_STR(""));
    s->after = SLW_STR("queued");
    if (slw_str_eqz(kind, "flow.train"))
        s->sentence = slw_arena_printf(
            s->a,
            "A job searches, fits and evaluates '%.*s', registers a new "
            "version and names it challenger; nothing is deployed",
            SLW_FMT(about));
    else if (slw_str_eqz(kind, "flow.gate"))
        s->sentence = slw_arena_printf(
            s->a,
            "A job judges version %lld of '%.*s' against the rule and "
            "the champion and keeps the verdict; nothing is deployed",
            version, SLW_FMT(about));
    else if (slw_str_eqz(kind, "flow.reproduce"))
        s->sentence = slw_arena_printf(
            s->a,
            "A job rebuilds version %lld of '%.*s' from its pins and "
            "compares the bytes; the version stays as it is",
            version, SLW_FMT(about));
    else if (slw_str_eqz(kind, "data.ingest"))
        s->sentence = slw_arena_printf(
            s->a,
            "A job reads %zu file%s, checks %s and, if the expectations "
            "hold, adds a version of '%.*s' that %s; features and "
            "labels follow",
            slw_json_len(slw_json_get(spec, "files")),
            slw_json_len(slw_json_get(spec, "files")) == 1 ? "" : "s",
            slw_json_len(slw_json_get(spec, "files")) == 1 ? "it" : "them",
            SLW_FMT(about),
            slw_str_eqz(mode, "append") ? "adds these rows to the last one"
                                        : "has these rows and no others");
    else if (slw_str_eqz(kind, "features.materialize"))
        s->sentence = SLW_STR("A job computes the feature views and writes "
                              "the newest row of each entity for online use");
    else if (slw_str_eqz(kind, "rehearse.run"))
        s->sentence = SLW_STR("A job lives through these days under each "
                              "policy, in a store of its own; nothing here "
                              "changes");
    else
        s->sentence =
            slw_arena_printf(s->a, "A job '%.*s' is queued", SLW_FMT(kind));
}

/* ---- the others ---- */

static void
say_alias(struct saying *s)
{
    struct slw_str alias = text_of(s, "alias"), model = text_of(s, "model");
    long long to = number_of(s, "version"), from = number_of(s, "previous");
    if (from)
        s->before = slw_arena_printf(s->a, "version %lld", from);
    if (!to) {
        s->sentence = slw_arena_printf(
            s->a, "The alias '%.*s' of model '%.*s' is removed", SLW_FMT(alias),
            SLW_FMT(model));
        return;
    }
    s->after = slw_arena_printf(s->a, "version %lld", to);
    s->sentence =
        from && from != to
            ? slw_arena_printf(s->a,
                               "The alias '%.*s' of model '%.*s' moves "
                               "from version %lld to version %lld",
                               SLW_FMT(alias), SLW_FMT(model), from, to)
            : slw_arena_printf(s->a,
                               "The alias '%.*s' of model '%.*s' names "
                               "version %lld",
                               SLW_FMT(alias), SLW_FMT(model), to);
}

static void
say_stage(struct saying *s)
{
    s->before = text_of(s, "previous");
    s->after = text_of(s, "stage");
    s->sentence = slw_arena_printf(
        s->a, "Version %lld of model '%.*s' goes from stage %.*s to %.*s",
        number_of(s, "version"), SLW_FMT(text_of(s, "model")),
        SLW_FMT(s->before), SLW_FMT(s->after));
}

static void
say_version(struct saying *s)
{
    s->after = slw_arena_printf(s->a, "version %lld", number_of(s, "version"));
    s->sentence = slw_arena_printf(
        s->a,
        "Model '%.*s' gets %.*s from run %.*s; it is not judged, no alias "
        "moves and nothing is deployed",
        SLW_FMT(s->effect->subject), SLW_FMT(s->after),
        SLW_FMT(text_of(s, "run_id")));
}

static void
say_token(struct saying *s)
{
    if (slw_str_eqz(s->effect->kind, "access.token_revoked")) {
        s->sentence =
            slw_arena_printf(s->a, "The token '%.*s' stops working at once",
                             SLW_FMT(s->effect->subject));
        s->before = SLW_STR("valid");
        s->after = SLW_STR("revoked");
        return;
    }
    struct slw_str role = text_of(s, "role");
    s->sentence = slw_arena_printf(
        s->a,
        "A token '%.*s' with the role %.*s is made; its secret is shown "
        "once%s",
        SLW_FMT(s->effect->subject), SLW_FMT(role),
        slw_access_is_open(s->api->access)
            ? "; from then on every request needs a token"
            : "");
    s->after = role;
}

static void
say_ack(struct saying *s)
{
    struct slw_str who = text_of(s, "who");
    s->sentence = slw_arena_printf(
        s->a,
        "Alert %lld of '%.*s' is acknowledged by %.*s; it stays until a "
        "window is well again",
        number_of(s, "alert"), SLW_FMT(s->effect->subject), SLW_FMT(who));
    s->before = SLW_STR("open");
    s->after = SLW_STR("acknowledged");
}

static void
say_started(struct saying *s)
{
    s->sentence = slw_arena_printf(
        s->a,
        "A retrain of '%.*s' starts: snapshot, training and the gate; "
        "if it passes, its rollout",
        SLW_FMT(s->effect->subject));
    s->after = text_of(s, "state");
}

static void
say_applied(struct saying *s)
{
    const struct json_t *changed = slw_json_get(s->payload, "changed");
    SLW_AUTO(slw_buf, b);
    slw_buf_printf(&b, "The project '%.*s' is applied; changed: ",
                   SLW_FMT(s->effect->subject));
    for (size_t i = 0; i < slw_json_len(changed); i++) {
        struct slw_str name =
            slw_json_str_or(slw_json_at(changed, i), SLW_STR(""));
        slw_buf_printf(&b, "%s%.*s", i ? ", " : "", SLW_FMT(name));
    }
    s->sentence = api_buf_str(s->a, &b);
}

static const struct {
    const char *kind;
    void (*say)(struct saying *s);
    const char *sentence; /* of %.*s, the subject; for plain ones */
    const char *before, *after;
} SAYINGS[] = {
    {.kind = "registry.alias_set", .say = say_alias},
    {.kind = "registry.alias_removed", .say = say_alias},
    {.kind = "registry.stage_set", .say = say_stage},
    {.kind = "registry.version_added", .say = say_version},
    {.kind = "access.token_made", .say = say_token},
    {.kind = "access.token_revoked", .say = say_token},
    {.kind = "monitor.alert_acknowledged", .say = say_ack},
    {.kind = "jobs.queued", .say = say_queued},
    {.kind = "flow.run_started", .say = say_started},
    {.kind = "flow.project_applied", .say = say_applied},
    {.kind = "jobs.finished",
     .sentence = "Job %.*s is cancelled; what it has not finished is lost",
     .after = "cancelled"},
    {.kind = "track.run_deleted",
     .sentence = "Run %.*s is deleted; it can be restored",
     .before = "active",
     .after = "deleted"},
    {.kind = "track.run_restored",
     .sentence = "Run %.*s is restored",
     .before = "deleted",
     .after = "active"},
    {.kind = "registry.model_deleted",
     .sentence = "Model '%.*s' is deleted with all its versions, which cannot "
                 "be undone"},
    {.kind = "registry.version_deleted",
     .sentence = "A version of '%.*s' is deleted, which cannot be undone"},
    {.kind = "data.source_put", .sentence = "Source '%.*s' is declared"},
    {.kind = "features.view_put",
     .sentence = "Feature view '%.*s' is declared"},
    {.kind = "train.model_put",
     .sentence = "How model '%.*s' is trained is declared"},
    {.kind = "monitor.declared", .sentence = "Monitor '%.*s' is declared"},
};

static void
say_other(struct saying *s)
{
    for (size_t i = 0; i < SLW_ARRAY_LEN(SAYINGS); i++) {
        if (!slw_str_eqz(s->effect->kind, SAYINGS[i].kind))
            continue;
        if (SAYINGS[i].say) {
            SAYINGS[i].say(s);
            return;
        }
        struct slw_str about = s->effect->subject;
        const char *gap = strstr(SAYINGS[i].sentence, "%.*s");
        s->sentence = slw_arena_printf(
            s->a, "%.*s%.*s%s", (int)(gap - SAYINGS[i].sentence),
            SAYINGS[i].sentence, SLW_FMT(about), gap + 4);
        s->before = slw_str_of(SAYINGS[i].before);
        s->after = slw_str_of(SAYINGS[i].after);
        return;
    }
    s->sentence = slw_arena_printf(s->a, "%.*s: %.*s", SLW_FMT(s->effect->kind),
                                   SLW_FMT(s->effect->subject));
}

static void
write_value(struct slw_jw *w, const char *key, struct slw_str v)
{
    slw_jw_key(w, key);
    if (v.len)
        slw_jw_str(w, v);
    else
        slw_jw_null(w);
}

static enum slw_rc
write_effect(struct saying *s, struct slw_jw *w, struct slw_err *err)
{
    SLW_AUTO(slw_json, payload);
    TRY(slw_json_parse(&payload, s->effect->payload, err));
    s->payload = payload.root;
    s->before = s->after = SLW_STR("");
    if (!say_serve(s))
        say_other(s);
    slw_jw_obj(w);
    slw_jw_kstr(w, "sentence", s->sentence);
    write_value(w, "before", s->before);
    write_value(w, "after", s->after);
    slw_jw_kstr(w, "kind", s->effect->kind);
    slw_jw_kstr(w, "subject", s->effect->subject);
    slw_jw_obj_end(w);
    return SLW_OK;
}

/* ---- the run ---- */

enum slw_rc
api_dry_wanted(const struct slw_http_req *req, bool *out, struct slw_err *err)
{
    struct slw_str v = slw_http_query(req, "dry_run");
    if (!v.ptr || slw_str_eqz(v, "false") || slw_str_eqz(v, "0")) {
        *out = false;
        return SLW_OK;
    }
    if (!slw_str_eqz(v, "true") && !slw_str_eqz(v, "1") && v.len)
        return slw_fail(err, SLW_INVALID,
                        "dry_run is true or false, not '%.*s'",
                        (int)(v.len < 40 ? v.len : 40), v.ptr);
    *out = true;
    return SLW_OK;
}

static enum slw_rc
answer(struct slw_http_req *req, struct slw_http_res *res,
       const struct slw_dry *dry, const struct slw_err *refused,
       struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    struct saying s = {.api = api, .a = req->arena, .tx = &tx};
    slw_buf_clear(&res->body);
    res->status = 200;
    res->header_count = 0;
    res->content_type = NULL;
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "effects");
    slw_jw_arr(&w);
    for (s.effect = refused ? NULL : dry->first; s.effect;
         s.effect = s.effect->next)
        TRY(write_effect(&s, &w, err));
    slw_jw_arr_end(&w);
    slw_jw_kz(&w, "refused", refused ? refused->msg : NULL);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_dry_run(slw_http_fn fn, struct slw_http_req *req, struct slw_http_res *res,
            struct slw_err *err)
{
    bool wanted = false;
    TRY(api_dry_wanted(req, &wanted, err));
    if (!wanted)
        return fn(req, res, err);
    struct slw_err why = {0};
    SLW_AUTO(slw_dry, dry);
    slw_dry_begin(&dry, req->arena);
    enum slw_rc rc = fn(req, res, &why);
    slw_dry_done(&dry);
    switch (rc) {
    case SLW_OK:
        return answer(req, res, &dry, NULL, err);
    case SLW_CONFLICT:
    case SLW_LIMIT:
    case SLW_UNSUPPORTED:
    case SLW_CORRUPT:
        return answer(req, res, &dry, &why, err);
    default:
        *err = why;
        return rc;
    }
}
