/* gate_job.c -- may this version go to production?
 *
 * The test window of the version's release is built again from its pins, and
 * the version, its rule and the champion answer the same rows.  Neither the
 * version nor its rule has been chosen by these rows.  The verdict, refusals
 * too, is stored with its numbers in the transaction that ends the job. */
#include "flow/flow_internal.h"

#include <math.h>

#define LATENCY_COUNT 2000
#define CHECKS_MAX 8
#define SLICES_MAX 1000

struct gate_def {
    bool with_fallback, with_champion;
    double by_fallback, by_champion, confidence;
    double p99_ms; /* NaN: no limit */
};

/* One release with what it answers on the rows. */
struct contender {
    struct slw_json doc;
    struct slw_model *model, *rule;
    struct slw_frame frame;
    size_t *column_at; /* [signature's columns] in the frame */
    double *yhat;      /* [row_count]; NaN where a feature is missing */
    int64_t version;
};

struct gate {
    struct slw_job_ctx *ctx;
    struct slw_str model;
    int64_t version;
    struct gate_def def;
    enum flow_loss loss;
    struct contender candidate, champion; /* champion.version 0: none */
    struct slw_json pins;
    struct slw_str champion_why; /* it cannot be loaded; or "" */
    double *rule;                /* [row_count] */
    struct flow_check checks[CHECKS_MAX];
    size_t check_count;
};

static void
contender_done(struct contender *c)
{
    slw_model_unref(c->model);
    slw_model_unref(c->rule);
    slw_json_done(&c->doc);
}

static void
gate_done(struct gate *g)
{
    contender_done(&g->candidate);
    contender_done(&g->champion);
    slw_json_done(&g->pins);
}

/* ---- what is asked ---- */

static void
opponent_take(struct gate_def *d, struct slw_str name, double by)
{
    if (slw_str_eqz(name, "fallback")) {
        d->with_fallback = true;
        d->by_fallback = by;
    } else if (slw_str_eqz(name, "champion")) {
        d->with_champion = true;
        d->by_champion = by;
    }
}

/* {"beats": {"fallback": 0, …}} or {"beats": ["fallback", …], "by": 0}.
 * Without a gate in the definition: better than the rule. */
static enum slw_rc
gate_def_read(const struct json_t *gate, struct gate_def *out,
              struct slw_err *err)
{
    const struct json_t *beats = slw_json_get(gate, "beats");
    struct gate_def d = {.confidence = 0.95, .p99_ms = NAN};
    double by = 0;
    TRY(slw_json_opt_f64(gate, "by", &by, err));
    TRY(slw_json_opt_f64(gate, "confidence", &d.confidence, err));
    TRY(slw_json_opt_f64(gate, "p99_ms", &d.p99_ms, err));
    if (!beats)
        opponent_take(&d, SLW_STR("fallback"), 0);
    if (slw_json_type(beats) == SLW_JSON_OBJECT)
        for (void *it = slw_json_iter(beats); it; it = slw_json_next(beats, it))
            opponent_take(&d, slw_json_iter_key(it),
                          slw_json_f64_or(slw_json_iter_value(it), 0));
    else
        for (size_t i = 0; i < slw_json_len(beats); i++)
            opponent_take(
                &d, slw_json_str_or(slw_json_at(beats, i), SLW_STR("")), by);
    if (!(d.confidence >= 0.5 && d.confidence < 1))
        return slw_fail(err, SLW_INVALID,
                        "gate.confidence must be from 0.5 to below 1, not %g",
                        d.confidence);
    *out = d;
    return SLW_OK;
}

static enum flow_loss
loss_by(struct slw_str metric)
{
    if (slw_str_eqz(metric, "rmse") || slw_str_eqz(metric, "r2"))
        return FLOW_SQUARED;
    return slw_str_eqz(metric, "mape") ? FLOW_RELATIVE : FLOW_ABSOLUTE;
}

static struct flow_check *
check_add(struct gate *g, const char *name)
{
    SLW_ASSERT(g->check_count < CHECKS_MAX);
    struct flow_check *c = &g->checks[g->check_count++];
    *c =
        (struct flow_check){.name = name, .value = NAN, .limit = NAN, .p = NAN};
    return c;
}

/* ---- rows and answers ---- */

static enum slw_rc
release_load(struct gate *g, struct slw_str hash, int64_t version,
             struct contender *out, struct slw_err *err)
{
    struct slw_store *s = g->ctx->store;
    TRY(slw_release_get(s, slw_arena_strz(g->ctx->arena, hash), &out->doc,
                        err));
    TRY(slw_release_models(s, out->doc.root, &out->model, &out->rule, err));
    out->version = version;
    return SLW_OK;
}

/* The candidate's test window, with the features of `c`. */
static enum slw_rc
frame_build(struct gate *g, struct contender *c, struct slw_err *err)
{
    const struct json_t *doc = g->candidate.doc.root;
    const struct json_t *target = slw_json_get(doc, "target");
    const struct json_t *split = slw_json_get(doc, "split");
    struct slw_frame_spec spec = {.pins = g->pins.root,
                                  .views =
                                      slw_json_get(c->doc.root, "features"),
                                  .extra_sql = SLW_STR(""),
                                  .memo = g->ctx->memo};
    int64_t valid_to_ms = 0;
    TRY(slw_json_need_str(target, "of", &spec.spine_source, err));
    TRY(slw_json_need_str(target, "sql", &spec.target_sql, err));
    TRY(slw_json_opt_i64(target, "known_after_ms", &spec.known_after_ms, err));
    TRY(slw_json_need_i64(split, "valid_to_ms", &valid_to_ms, err));
    TRY(slw_json_need_i64(split, "test_to_ms", &spec.to_ms, err));
    TRY(slw_json_need_i64(doc, "as_of_ms", &spec.as_of_ms, err));
    spec.from_ms = valid_to_ms + 1;
    return slw_features_frame(g->ctx->store, &spec, g->ctx->arena, &c->frame,
                              err);
}

static enum slw_rc
columns_find(struct gate *g, struct contender *c, struct slw_err *err)
{
    const struct slw_signature *sig = slw_model_signature(c->model);
    c->column_at = SLW_ARENA_NEW(g->ctx->arena, size_t, sig->column_count + 1);
    for (size_t i = 0; i < sig->column_count; i++) {
        size_t at = 0;
        while (at < c->frame.column_count &&
               !slw_str_eq(c->frame.columns[at], sig->columns[i]))
            at++;
        if (at == c->frame.column_count)
            return slw_fail(err, SLW_INVALID,
                            "version %lld takes the column '%.*s', which its"
                            " features do not yield",
                            (long long)c->version, SLW_FMT(sig->columns[i]));
        c->column_at[i] = at;
    }
    return SLW_OK;
}

/* Row r in the order of the signature; false: a feature is missing. */
static bool
row_take(const struct contender *c, size_t r, double *x)
{
    const struct slw_signature *sig = slw_model_signature(c->model);
    const double *from = c->frame.x + r * c->frame.column_count;
    bool whole = true;
    for (size_t i = 0; i < sig->column_count; i++) {
        x[i] = from[c->column_at[i]];
        whole = whole && isfinite(x[i]);
    }
    return whole;
}

/* Answers of the model (and rule, where rule_y is given) on complete rows. */
static enum slw_rc
answer(struct gate *g, struct contender *c, double *rule_y, struct slw_err *err)
{
    struct slw_arena *a = g->ctx->arena;
    TRY(columns_find(g, c, err));
    const size_t n = c->frame.row_count;
    double *x = SLW_ARENA_NEW(a, double,
                              slw_model_signature(c->model)->column_count + 1);
    c->yhat = SLW_ARENA_NEW(a, double, n + 1);
    for (size_t r = 0; r < n; r++) {
        const bool whole = row_take(c, r, x);
        c->yhat[r] = NAN;
        if (whole)
            slw_model_predict(c->model, x, 1, &c->yhat[r]);
        if (!rule_y)
            continue;
        rule_y[r] = NAN;
        if (whole && c->rule)
            slw_model_predict(c->rule, x, 1, &rule_y[r]);
    }
    return SLW_OK;
}

/* Two frames over one spine have the same rows. */
static enum slw_rc
frames_same(const struct slw_frame *a, const struct slw_frame *b,
            struct slw_err *err)
{
    bool same = a->row_count == b->row_count;
    for (size_t r = 0; same && r < a->row_count; r++)
        same = a->event_ms[r] == b->event_ms[r] &&
               slw_str_eq(a->entity[r], b->entity[r]);
    if (!same)
        return slw_fail(err, SLW_INTERNAL,
                        "two frames over the same rows differ in their rows");
    return SLW_OK;
}

/* ---- checks ---- */

static void
check_finite(struct gate *g)
{
    const struct contender *c = &g->candidate;
    struct slw_arena *a = g->ctx->arena;
    int64_t whole = 0, bad = 0;
    double *x = SLW_ARENA_NEW(a, double,
                              slw_model_signature(c->model)->column_count + 1);
    for (size_t r = 0; r < c->frame.row_count; r++) {
        if (!row_take(c, r, x))
            continue;
        whole++;
        bad += !isfinite(c->yhat[r]);
    }
    struct flow_check *k = check_add(g, "finite");
    k->value = (double)bad;
    k->limit = 0;
    k->passed = bad == 0 && whole > 0;
    if (bad)
        k->why = slw_arena_printf(a, "%lld of %lld answers are no numbers",
                                  (long long)bad, (long long)whole);
    else
        k->why = slw_arena_printf(a, "all %lld answers are numbers",
                                  (long long)whole);
    if (whole == 0)
        k->why = SLW_STR("no row of the test window has all features");
}

static int
by_value(const void *pa, const void *pb)
{
    const int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;
    return a < b ? -1 : a > b;
}

/* A row at a time, as serving asks. */
static void
check_latency(struct gate *g)
{
    const struct contender *c = &g->candidate;
    struct slw_arena *a = g->ctx->arena;
    int64_t *ns = SLW_ARENA_NEW(a, int64_t, LATENCY_COUNT);
    double *x = SLW_ARENA_NEW(a, double,
                              slw_model_signature(c->model)->column_count + 1);
    if (c->frame.row_count == 0)
        return;
    for (size_t i = 0; i < LATENCY_COUNT; i++) {
        double y = 0;
        (void)row_take(c, i % c->frame.row_count, x);
        const int64_t begin = slw_mono_ns();
        slw_model_predict(c->model, x, 1, &y);
        ns[i] = slw_mono_ns() - begin;
    }
    qsort(ns, LATENCY_COUNT, sizeof *ns, by_value);
    struct flow_check *k = check_add(g, "latency");
    k->value = (double)ns[LATENCY_COUNT * 99 / 100] / 1e6;
    k->limit = g->def.p99_ms;
    k->skipped = isnan(g->def.p99_ms);
    k->passed = !k->skipped && k->value <= k->limit;
    k->why = slw_arena_printf(a, "p99 of one prediction %.3g ms", k->value);
    if (!k->skipped)
        k->why = slw_arena_printf(a, "%.*s, %s %.4g", SLW_FMT(k->why),
                                  k->passed ? "within" : "over", k->limit);
}

static void
compare(struct gate *g, const double *other, double by, const char *name)
{
    struct flow_days days;
    const struct slw_frame *f = &g->candidate.frame;
    flow_days_of(f->event_ms, f->y, g->candidate.yhat, other, f->row_count,
                 g->loss, g->ctx->arena, &days);
    struct flow_check *k = check_add(g, "beats");
    flow_gate_beats(&days, g->loss, by, g->def.confidence, name, g->ctx->arena,
                    k);
}

static void
check_rule(struct gate *g)
{
    if (!g->def.with_fallback)
        return;
    if (g->candidate.rule) {
        compare(g, g->rule, g->def.by_fallback, "fallback");
        return;
    }
    struct flow_check *k = check_add(g, "beats fallback");
    k->skipped = true;
    k->why = SLW_STR("the release has no rule to compare with");
}

/* A champion that cannot be loaded does not answer anyway; one whose features
 * cannot be built on this data has not been beaten. */
static void
check_champion(struct gate *g)
{
    struct slw_err why;
    struct contender *c = &g->champion;
    if (!g->def.with_champion)
        return;
    if (c->version == 0 || c->version == g->version) {
        struct flow_check *k = check_add(g, "beats champion");
        k->skipped = true;
        k->why = c->version ? SLW_STR("it is the champion itself")
                            : SLW_STR("there is no champion to compare with");
        if (g->champion_why.len)
            k->why = g->champion_why;
        return;
    }
    enum slw_rc rc = frame_build(g, c, &why);
    if (rc == SLW_OK)
        rc = frames_same(&g->candidate.frame, &c->frame, &why);
    if (rc == SLW_OK)
        rc = answer(g, c, NULL, &why);
    if (rc == SLW_OK) {
        compare(g, c->yhat, g->def.by_champion, "champion");
        return;
    }
    struct flow_check *k = check_add(g, "beats champion");
    k->why = slw_arena_printf(g->ctx->arena,
                              "the champion, version %lld, cannot be compared:"
                              " %s",
                              (long long)c->version, why.msg);
}

/* ---- by entity, for information ---- */

struct slice {
    struct slw_str name;
    int64_t rows;
    double sums[3]; /* absolute errors of candidate, rule, champion */
};

static struct slice *
slice_of(struct slice *slices, size_t *count, struct slw_str name)
{
    for (size_t i = 0; i < *count; i++)
        if (slw_str_eq(slices[i].name, name))
            return &slices[i];
    if (*count == SLICES_MAX)
        return NULL;
    slices[*count] = (struct slice){.name = name};
    return &slices[(*count)++];
}

static int
by_slice_name(const void *a, const void *b)
{
    return slw_str_cmp(((const struct slice *)a)->name,
                       ((const struct slice *)b)->name);
}

static size_t
slices_fill(const struct gate *g, struct slice *slices)
{
    const struct slw_frame *f = &g->candidate.frame;
    const double *answers[3] = {g->candidate.yhat, g->rule, g->champion.yhat};
    size_t count = 0;
    for (size_t r = 0; r < f->row_count; r++) {
        bool whole = isfinite(f->y[r]);
        for (size_t k = 0; k < 3; k++)
            whole = whole && (!answers[k] || isfinite(answers[k][r]));
        struct slice *s = whole ? slice_of(slices, &count, f->entity[r]) : NULL;
        if (!s)
            continue;
        s->rows++;
        for (size_t k = 0; k < 3; k++)
            s->sums[k] += answers[k] ? fabs(answers[k][r] - f->y[r]) : 0;
    }
    qsort(slices, count, sizeof *slices, by_slice_name);
    return count;
}

static void
slices_write(const struct gate *g, struct slw_jw *w)
{
    static const char *const names[3] = {"candidate", "fallback", "champion"};
    struct slice *slices =
        SLW_ARENA_NEW(g->ctx->arena, struct slice, SLICES_MAX);
    const size_t count = g->candidate.yhat ? slices_fill(g, slices) : 0;
    slw_jw_arr(w);
    for (size_t i = 0; i < count; i++) {
        slw_jw_obj(w);
        slw_jw_kstr(w, "slice", slices[i].name);
        slw_jw_ki64(w, "rows", slices[i].rows);
        for (size_t k = 0; k < 3; k++)
            if ((k != 1 || g->candidate.rule) && (k != 2 || g->champion.yhat))
                slw_jw_kf64(w, names[k],
                            slices[i].sums[k] / (double)slices[i].rows);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
}

/* ---- the job ---- */

/* The version and the champion's, if there is one. */
static enum slw_rc
versions_read(struct gate *g, struct slw_version *version,
              struct slw_version *champion, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, g->ctx->store, err));
    TRY(slw_registry_version_get(&tx, g->model, g->version, g->ctx->arena,
                                 version, err));
    g->version = version->version;
    *champion = (struct slw_version){0};
    const enum slw_rc rc = slw_registry_version_find(
        &tx, g->model, SLW_STR("champion"), g->ctx->arena, champion, err);
    if (rc == SLW_NOT_FOUND)
        *champion = (struct slw_version){0};
    else
        TRY(rc);
    return SLW_OK;
}

/* The gate as the model declares it now. */
static enum slw_rc
def_read(struct gate *g, struct slw_err *err)
{
    struct slw_str text;
    SLW_AUTO(slw_json, def);
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, g->ctx->store, err));
    const enum slw_rc rc =
        slw_train_model_get(&tx, g->model, g->ctx->arena, &text, err);
    if (rc == SLW_NOT_FOUND) /* imported: nobody declared it here */
        return gate_def_read(NULL, &g->def, err);
    TRY(rc);
    TRY(slw_json_parse(&def, text, err));
    return gate_def_read(slw_json_get(def.root, "gate"), &g->def, err);
}

static void
check_servable(struct gate *g, const struct slw_err *why)
{
    struct flow_check *k = check_add(g, "servable");
    k->why =
        slw_arena_printf(g->ctx->arena, "version %lld cannot be served: %s",
                         (long long)g->version, why->msg);
}

/* Errors that are about the version are a refusal, not a failure. */
static bool
is_about_version(enum slw_rc rc)
{
    return rc == SLW_INVALID || rc == SLW_UNSUPPORTED || rc == SLW_CORRUPT ||
           rc == SLW_LIMIT;
}

static enum slw_rc
champion_load(struct gate *g, const struct slw_version *v, struct slw_err *err)
{
    struct slw_err why;
    if (v->release.len == 0 || v->version == g->version) {
        g->champion.version = v->release.len ? v->version : 0;
        return SLW_OK;
    }
    const enum slw_rc rc =
        release_load(g, v->release, v->version, &g->champion, &why);
    if (rc == SLW_OK)
        return SLW_OK;
    *err = why;
    if (!is_about_version(rc))
        return rc;
    contender_done(&g->champion);
    g->champion = (struct contender){0};
    g->champion_why = slw_arena_printf(
        g->ctx->arena, "the champion, version %lld, cannot be loaded: %s",
        (long long)v->version, why.msg);
    return SLW_OK;
}

static enum slw_rc
judge(struct gate *g, const struct slw_version *version,
      const struct slw_version *champion, struct slw_err *err)
{
    struct contender *c = &g->candidate;
    const enum slw_rc rc =
        release_load(g, version->release, version->version, c, err);
    if (is_about_version(rc)) {
        const struct slw_err why = *err;
        check_servable(g, &why);
        return SLW_OK;
    }
    TRY(rc);
    g->loss = loss_by(
        slw_json_str_or(slw_json_get(c->doc.root, "metric"), SLW_STR("mae")));
    TRY(slw_train_pins(c->doc.root, &g->pins, err));
    TRY(champion_load(g, champion, err));
    slw_job_progress(g->ctx, 0.1, "building the test window");
    TRY(frame_build(g, c, err));
    g->rule = SLW_ARENA_NEW(g->ctx->arena, double, c->frame.row_count + 1);
    TRY(answer(g, c, g->rule, err));
    slw_job_progress(g->ctx, 0.6, "comparing");
    check_rule(g);
    check_champion(g);
    check_finite(g);
    check_latency(g);
    return SLW_OK;
}

static void
result_write(const struct gate *g, bool passed, struct slw_jw *w)
{
    slw_jw_obj(w);
    slw_jw_kz(w, "verdict", passed ? "passed" : "refused");
    slw_jw_kstr(w, "sentence",
                flow_gate_sentence(g->checks, g->check_count, g->ctx->arena));
    slw_jw_kstr(w, "model", g->model);
    slw_jw_ki64(w, "version", g->version);
    slw_jw_key(w, "champion");
    if (g->champion.version)
        slw_jw_i64(w, g->champion.version);
    else
        slw_jw_null(w);
    slw_jw_kf64(w, "confidence", g->def.confidence);
    slw_jw_key(w, "checks");
    flow_checks_write(w, g->checks, g->check_count);
    slw_jw_key(w, "slices");
    slices_write(g, w);
    slw_jw_obj_end(w);
}

enum slw_rc
slw_flow_gate_job(struct slw_job_ctx *ctx, struct slw_err *err)
{
    struct slw_version version, champion;
    SLW_AUTO(gate, g);
    g.ctx = ctx;
    TRY(slw_json_need_str(ctx->spec, "model", &g.model, err));
    TRY(slw_json_opt_i64(ctx->spec, "version", &g.version, err));
    TRY(versions_read(&g, &version, &champion, err));
    if (version.release.len == 0)
        return slw_fail(err, SLW_CONFLICT,
                        "version %lld of '%.*s' was registered without a"
                        " release, so it cannot be gated",
                        (long long)g.version, SLW_FMT(g.model));
    TRY(def_read(&g, err));
    TRY(judge(&g, &version, &champion, err));
    const bool passed = flow_gate_verdict(g.checks, g.check_count);
    SLW_AUTO(slw_buf, result);
    struct slw_jw w;
    slw_jw_init(&w, &result);
    result_write(&g, passed, &w);
    TRY(slw_buf_check(&result, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, ctx->store, err));
    TRY(slw_registry_gate_put(&tx, ctx->now_ms, g.model, g.version, passed,
                              slw_buf_view(&result), err));
    TRY(slw_job_finish(ctx, &tx, slw_buf_view(&result), err));
    return slw_tx_commit(&tx, err);
}
