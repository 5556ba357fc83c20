/* predict.c -- one request: route it, find its features, ask the model, the
 * rule and the shadow, decide who answers, keep what was answered.
 *
 * The rule is computed before the model, so that it is there whatever the
 * model does; whether the model was in time is judged when it has answered.
 * What is kept is what was answered, not what might have been. */
#include "serve/serve_internal.h"

#include "base/hash.h"

#include <errno.h>
#include <math.h>

/* A request on its way. */
struct call {
    struct slw_serve *s;
    struct serve_slot *slot;
    struct serve_live *live;
    const struct slw_predict_in *in;
    struct slw_arena *a;
    size_t n; /* rows */
    int64_t begin_ns, event_ms;
    bool is_canary;
    const struct serve_release *routed, *shadow;
    /* Rows in the order of each release's own columns. */
    const double *champion_x, *routed_x, *shadow_x;
    double *y, *model_y, *rule_y, *shadow_y; /* [n] */
    enum serve_reason reason;                /* of all rows; or NOT_FINITE */
    struct slw_err why;                      /* missing features */
};

const char *
serve_reason_name(enum serve_reason r)
{
    static const char *const names[SERVE_REASON_COUNT] = {
        [SERVE_REASON_NONE] = "",
        [SERVE_REASON_WITHDRAWN] = "withdrawn",
        [SERVE_REASON_NOT_LOADED] = "not_loaded",
        [SERVE_REASON_MISSING_FEATURES] = "missing_features",
        [SERVE_REASON_ERROR] = "error",
        [SERVE_REASON_NOT_FINITE] = "not_finite",
        [SERVE_REASON_LATE] = "late",
    };
    SLW_ASSERT((unsigned)r < SERVE_REASON_COUNT);
    return names[r];
}

/* ---- holding what is live ---- */

static enum slw_rc
no_version(const struct serve_slot *slot, const struct serve_live *live,
           int64_t version, struct slw_err *err)
{
    char canary[48] = "";
    if (live->canary)
        (void)snprintf(canary, sizeof canary, " and the canary %lld",
                       (long long)live->canary->version);
    return slw_fail(err, SLW_NOT_FOUND,
                    "version %lld is not live on '%.*s': the champion is "
                    "%lld%s",
                    (long long)version, SLW_FMT(slot->name),
                    (long long)live->champion->version, canary);
}

enum slw_rc
slw_serving_begin(struct slw_serving *out, struct slw_serve *s,
                  struct slw_str deployment, int64_t version,
                  struct slw_err *err)
{
    struct serve_slot *slot = serve_slot_find(s, deployment);
    if (!slot)
        return slw_fail(err, SLW_NOT_FOUND, "there is no deployment '%.*s'",
                        SLW_FMT(deployment));
    struct serve_live *live = serve_live_get(slot);
    if (!live || !live->champion) {
        serve_live_unref(live);
        return slw_fail(err, SLW_BUSY, "nothing is deployed on '%.*s' yet",
                        SLW_FMT(deployment));
    }
    const struct serve_release *r = live->champion;
    if (version != 0 && version != r->version)
        r = live->canary && live->canary->version == version ? live->canary
                                                             : NULL;
    if (!r) {
        enum slw_rc rc = no_version(slot, live, version, err);
        serve_live_unref(live);
        return rc;
    }
    if (!r->model && r->signature.column_count == 0) {
        enum slw_rc rc =
            slw_fail(err, SLW_BUSY,
                     "the release of version %lld on '%.*s' "
                     "cannot be read: %.300s",
                     (long long)r->version, SLW_FMT(deployment), r->why.msg);
        serve_live_unref(live);
        return rc;
    }
    *out = (struct slw_serving){.slot = slot,
                                .live = live,
                                .deployment = slot->name,
                                .champion_version = live->champion->version,
                                .canary_version =
                                    live->canary ? live->canary->version : 0,
                                .version = r->version,
                                .signature = &r->signature,
                                .entity = r->entity,
                                .flavour = r->flavour};
    return SLW_OK;
}

void
slw_serving_done(struct slw_serving *v)
{
    serve_live_unref(v->live);
    *v = (struct slw_serving){0};
}

/* ---- routing ---- */

static uint64_t
hash_of_nobody(uint64_t salt)
{
    static _Thread_local uint64_t counter;
    const struct {
        uint64_t count, thread;
    } mark = {++counter, (uint64_t)(uintptr_t)&counter};
    return slw_hash64(&mark, sizeof mark, salt);
}

/* The same key goes the same way as long as the weight stands, and a greater
 * weight only adds keys to the canary. */
static bool
goes_to_canary(const struct serve_slot *slot, const struct serve_live *live,
               const struct slw_predict_in *in)
{
    if (live->canary_below == 0)
        return false;
    uint64_t h;
    if (in->sticky.len)
        h = slw_hash64(in->sticky.ptr, in->sticky.len, slot->salt);
    else if (in->key.len)
        h = slw_hash64(in->key.ptr, in->key.len, slot->salt);
    else if (in->id.len)
        h = slw_hash64(in->id.ptr, in->id.len, slot->salt);
    else
        h = hash_of_nobody(slot->salt);
    return h % SERVE_WEIGHT_UNITS < live->canary_below;
}

static enum slw_rc
route(struct call *c, struct slw_err *err)
{
    const struct serve_live *live = c->live;
    const int64_t version = c->in->version;
    if (version == 0)
        c->is_canary = goes_to_canary(c->slot, live, c->in);
    else if (live->canary && live->canary->version == version)
        c->is_canary = true;
    else if (live->champion->version != version)
        return no_version(c->slot, live, version, err);
    c->routed = c->is_canary ? live->canary : live->champion;
    if (live->shadow && live->shadow != c->routed)
        c->shadow = live->shadow;
    else if (live->shadow_challenger && live->canary && !c->is_canary)
        c->shadow = live->canary;
    if (c->shadow && !c->shadow->model)
        c->shadow = NULL;
    return SLW_OK;
}

/* ---- features ---- */

/* Rows in another release's order of columns.
 * Out  *missing set when a column is not among those given */
static const double *
reorder(struct call *c, const double *x, size_t from_count, const int32_t *map,
        size_t to_count, bool *missing)
{
    if (!map)
        return x;
    double *to = SLW_ARENA_NEW(c->a, double, c->n *to_count);
    for (size_t r = 0; r < c->n; r++)
        for (size_t i = 0; i < to_count; i++)
            to[r * to_count + i] =
                map[i] < 0 ? NAN : x[r * from_count + (size_t)map[i]];
    for (size_t i = 0; i < to_count; i++)
        *missing |= map[i] < 0;
    return to;
}

static enum slw_rc
room_check(const struct call *c, struct slw_err *err)
{
    const size_t columns = c->live->champion->signature.column_count +
                           c->routed->signature.column_count +
                           (c->shadow ? c->shadow->signature.column_count : 0) +
                           8;
    if (c->n > slw_arena_room(c->a) / sizeof(double) / columns)
        return slw_fail(err, SLW_LIMIT, "%zu rows are too many for a request",
                        c->n);
    return SLW_OK;
}

/* The caller's rows: by the champion's signature, or by the canary's where
 * that version was asked for. */
static enum slw_rc
features_given(struct call *c, size_t given_count, bool by_canary,
               struct slw_err *err)
{
    const struct serve_live *live = c->live;
    const struct serve_release *base =
        by_canary ? live->canary : live->champion;
    const size_t count = base->signature.column_count;
    if (given_count && given_count != count)
        return slw_fail(err, SLW_INVALID,
                        "%zu columns were given, version %lld takes %zu",
                        given_count, (long long)base->version, count);
    bool missing = false, ignored = false;
    const double *x = c->in->x;
    c->champion_x =
        by_canary ? reorder(c, x, count, live->champion_map,
                            live->champion->signature.column_count, &ignored)
                  : x;
    if (!c->is_canary || by_canary)
        c->routed_x = c->is_canary ? x : c->champion_x;
    else
        c->routed_x = reorder(c, x, count, live->canary_map,
                              live->canary->signature.column_count, &missing);
    if (c->shadow)
        c->shadow_x = reorder(
            c, c->champion_x, live->champion->signature.column_count,
            c->shadow == live->canary ? live->canary_map : live->shadow_map,
            c->shadow->signature.column_count, &ignored);
    if (missing) {
        c->reason = SERVE_REASON_MISSING_FEATURES;
        slw_fail(&c->why, SLW_NOT_FOUND,
                 "version %lld needs columns that version %lld does not have, "
                 "and the request was read by the latter",
                 (long long)c->routed->version, (long long)base->version);
    }
    return SLW_OK;
}

static enum slw_rc
features_looked_up(struct call *c, struct slw_err *err)
{
    const struct serve_release *champion = c->live->champion;
    struct serve_lookup l[3] = {{.release = champion}};
    size_t count = 1, routed_at = 0, shadow_at = 0;
    if (c->in->key.len == 0)
        return slw_fail(err, SLW_INVALID,
                        "give the %.*s whose features are to be looked up",
                        SLW_FMT(champion->entity));
    if (c->routed != champion) {
        routed_at = count;
        l[count++].release = c->routed;
    }
    if (c->shadow) {
        shadow_at = count;
        l[count++].release = c->shadow;
    }
    TRY(serve_lookup_run(c->s, c->in->key, c->a, l, count, &c->event_ms, err));
    if (c->in->event_ms)
        c->event_ms = c->in->event_ms;
    c->champion_x = l[0].x;
    c->routed_x = l[routed_at].x;
    if (c->shadow)
        c->shadow_x = l[shadow_at].x;
    if (l[routed_at].missing) {
        c->reason = SERVE_REASON_MISSING_FEATURES;
        c->why = l[routed_at].why;
    }
    return SLW_OK;
}

/* ---- answering ---- */

static void
sleep_ms(int64_t ms)
{
    struct timespec left = {.tv_sec = ms / 1000,
                            .tv_nsec = (ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

static void
fill(double *y, size_t n, double v)
{
    for (size_t i = 0; i < n; i++)
        y[i] = v;
}

static void
run_or_nan(const struct slw_model *m, const double *x, size_t n, double *y)
{
    if (m)
        slw_model_predict(m, x, n, y);
    else
        fill(y, n, NAN);
}

/* Ask the routed model, with the fire drill's help. */
static void
model_ask(struct call *c)
{
    const enum serve_drill drill = (enum serve_drill)atomic_load_explicit(
        &c->slot->drill, memory_order_relaxed);
    if (!c->routed->model)
        c->reason = SERVE_REASON_NOT_LOADED;
    else if (drill == SERVE_DRILL_ERROR)
        c->reason = SERVE_REASON_ERROR;
    if (c->reason != SERVE_REASON_NONE) {
        fill(c->model_y, c->n, NAN);
        return;
    }
    if (drill == SERVE_DRILL_SLOW) {
        const int64_t ms = c->live->timeout_ns / 1000000 + 5;
        sleep_ms(ms < SERVE_DRILL_SLEEP_MS_MAX ? ms : SERVE_DRILL_SLEEP_MS_MAX);
    }
    slw_model_predict(c->routed->model, c->routed_x, c->n, c->model_y);
    if (drill == SERVE_DRILL_NAN)
        fill(c->model_y, c->n, NAN);
    if (c->live->withdrawn && !c->is_canary)
        c->reason = SERVE_REASON_WITHDRAWN; /* its word is kept, not given */
    else if (drill == SERVE_DRILL_SLOW ||   /* also where the bound was less */
             slw_mono_ns() - c->begin_ns > c->live->timeout_ns)
        c->reason = SERVE_REASON_LATE;
}

/* Out  y, and the row the rule had no number for, or n */
static size_t
decide(struct call *c)
{
    size_t bad = c->n;
    const bool all_by_rule = c->reason != SERVE_REASON_NONE;
    for (size_t i = 0; i < c->n; i++) {
        const bool by_rule = all_by_rule || !isfinite(c->model_y[i]);
        c->y[i] = by_rule ? c->rule_y[i] : c->model_y[i];
        if (by_rule && !all_by_rule)
            c->reason = SERVE_REASON_NOT_FINITE;
        if (by_rule && !isfinite(c->y[i]) && bad == c->n)
            bad = i;
    }
    return bad;
}

static bool
row_by_rule(const struct call *c, size_t row)
{
    if (c->reason == SERVE_REASON_NOT_FINITE)
        return !isfinite(c->model_y[row]);
    return c->reason != SERVE_REASON_NONE;
}

static enum slw_answer_by
who(const struct call *c, bool by_rule)
{
    if (by_rule)
        return SLW_BY_FALLBACK;
    return c->is_canary ? SLW_BY_CANARY : SLW_BY_CHAMPION;
}

static void
keep(struct call *c)
{
    const int64_t latency_ns = slw_mono_ns() - c->begin_ns;
    const size_t column_count = c->routed->signature.column_count;
    struct slw_prediction p = {.id = c->in->id,
                               .key = c->in->key,
                               .at_ms = slw_clock_now_ms(c->s->clock),
                               .event_ms = c->event_ms,
                               .latency_ns = latency_ns,
                               .column_count = column_count};
    for (size_t i = 0; i < c->n; i++) {
        p.by = who(c, row_by_rule(c, i));
        p.y = c->y[i];
        p.model_y = c->model_y[i];
        p.rule_y = c->rule_y[i];
        p.shadow_y = c->shadow_y[i];
        p.x = c->routed_x + i * column_count;
        serve_log_append(&c->slot->log, &p, c->routed->hash_bytes);
    }
}

static void
count(struct call *c)
{
    struct serve_live *l = c->live;
    const bool fell = c->reason != SERVE_REASON_NONE;
    struct serve_series *series = fell           ? l->fallback_series
                                  : c->is_canary ? l->canary_series
                                                 : l->champion_series;
    serve_series_observe(series, slw_mono_ns() - c->begin_ns, c->n);
    atomic_fetch_add_explicit(c->is_canary ? &l->canary_count
                                           : &l->champion_count,
                              1, memory_order_relaxed);
    if (!fell)
        return;
    atomic_fetch_add_explicit(&l->fallback_count, 1, memory_order_relaxed);
    if (c->is_canary)
        atomic_fetch_add_explicit(&l->canary_failed, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->slot->fallbacks[c->reason], 1,
                              memory_order_relaxed);
}

/* Neither the model nor the rule has a number. */
static enum slw_rc
nobody_answers(const struct call *c, size_t row, struct slw_err *err)
{
    if (c->reason == SERVE_REASON_MISSING_FEATURES) {
        *err = c->why;
        return err->rc;
    }
    if (c->reason == SERVE_REASON_NOT_LOADED)
        return slw_fail(err, SLW_BUSY,
                        "version %lld on '%.*s' cannot be loaded (%.200s), and "
                        "its rule has no answer for row %zu",
                        (long long)c->routed->version, SLW_FMT(c->slot->name),
                        c->routed->why.msg, row);
    return slw_fail(err, SLW_INTERNAL,
                    "the model of '%.*s' did not answer (%s), and its rule has "
                    "no number for row %zu",
                    SLW_FMT(c->slot->name), serve_reason_name(c->reason), row);
}

static enum slw_rc
answer(struct call *c, struct slw_err *err)
{
    /* One piece: y where the caller has none, and what is kept. */
    double *room = SLW_ARENA_NEW(c->a, double, c->n * 4);
    if (!c->y)
        c->y = room;
    c->model_y = room + c->n;
    c->rule_y = room + c->n * 2;
    c->shadow_y = room + c->n * 3;
    run_or_nan(c->live->champion->rule, c->champion_x, c->n, c->rule_y);
    model_ask(c);
    const size_t bad = decide(c);
    if (bad < c->n && (c->reason == SERVE_REASON_MISSING_FEATURES ||
                       c->reason == SERVE_REASON_NOT_LOADED))
        return nobody_answers(c, bad, err); /* nothing worth keeping */
    run_or_nan(c->shadow ? c->shadow->model : NULL, c->shadow_x, c->n,
               c->shadow_y);
    keep(c);
    count(c);
    return bad < c->n ? nobody_answers(c, bad, err) : SLW_OK;
}

enum slw_rc
slw_serving_predict(struct slw_serve *s, const struct slw_serving *v,
                    const struct slw_predict_in *in, struct slw_arena *a,
                    struct slw_predict_out *out, struct slw_err *err)
{
    SLW_ASSERT(v->live);
    SLW_ASSERT(in->row_count == 0 || in->x);
    if (in->key.len > SLW_SERVE_KEY_SIZE_MAX)
        return slw_fail(err, SLW_INVALID,
                        "the key has %zu bytes, at most %d are taken",
                        in->key.len, SLW_SERVE_KEY_SIZE_MAX);
    struct call c = {.s = s,
                     .slot = v->slot,
                     .live = v->live,
                     .in = in,
                     .a = a,
                     .n = in->row_count ? in->row_count : 1,
                     .begin_ns =
                         in->begin_mono_ns ? in->begin_mono_ns : slw_mono_ns(),
                     .event_ms = in->event_ms,
                     .y = out->y};
    TRY(route(&c, err));
    TRY(room_check(&c, err));
    const struct serve_release *canary = c.live->canary;
    if (in->row_count == 0)
        TRY(features_looked_up(&c, err));
    else
        TRY(features_given(&c, in->column_count,
                           canary && v->version == canary->version, err));
    if (c.event_ms == 0)
        c.event_ms = slw_clock_now_ms(s->clock);
    TRY(answer(&c, err));
    const bool fell = c.reason != SERVE_REASON_NONE;
    const struct serve_release *by = fell ? c.live->champion : c.routed;
    out->y = c.y;
    out->by = who(&c, fell);
    out->reason = serve_reason_name(c.reason);
    memcpy(out->release, by->hash, sizeof out->release);
    out->version = by->version;
    out->event_ms = c.event_ms;
    return SLW_OK;
}

/* ---- questions ---- */

bool
slw_serve_ready(struct slw_serve *s, struct slw_str deployment)
{
    struct slw_err err;
    SLW_AUTO(slw_serving, v);
    if (slw_serving_begin(&v, s, deployment, 0, &err) != SLW_OK)
        return false;
    const struct serve_live *l = v.live;
    return l->champion->model || l->champion->rule;
}

enum slw_rc
slw_serve_counts(struct slw_serve *s, struct slw_str deployment,
                 int64_t *out_champion, int64_t *out_canary,
                 int64_t *out_canary_failed, int64_t *out_fallback,
                 struct slw_err *err)
{
    struct serve_slot *slot = serve_slot_find(s, deployment);
    if (!slot)
        return slw_fail(err, SLW_NOT_FOUND, "there is no deployment '%.*s'",
                        SLW_FMT(deployment));
    struct serve_live *l = serve_live_get(slot);
    *out_champion = l ? atomic_load(&l->champion_count) : 0;
    *out_canary = l ? atomic_load(&l->canary_count) : 0;
    *out_canary_failed = l ? atomic_load(&l->canary_failed) : 0;
    *out_fallback = l ? atomic_load(&l->fallback_count) : 0;
    serve_live_unref(l);
    return SLW_OK;
}
