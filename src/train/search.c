/* search.c -- the search: every candidate's trials, the best of each refitted,
 * everything scored on the test window, and the choice.
 *
 * The test window decides nothing here: trials are compared on validation,
 * and so are candidates.  A candidate that cannot be fitted fails alone; the
 * store or the disk failing ends the search.  Nothing but tracked runs is
 * written until the caller commits the result. */
#include "train/train_internal.h"

#include "base/file.h"

#include <math.h>

/* ---- progress ---- */

static void
step_tell(struct train_search *s, struct slw_str what, int64_t trial,
          int64_t trial_count)
{
    const double share = (double)s->step_done / (double)s->step_count;
    char best[96] = "", left[48] = "";
    if (s->best_name.len)
        snprintf(best, sizeof(best), ", best %s %.4g (%.*s)",
                 train_metric_name(s->def.metric), s->best,
                 (int)(s->best_name.len < 40 ? s->best_name.len : 40),
                 s->best_name.ptr);
    if (s->step_done > 0) {
        const double spent = (double)(slw_mono_ns() - s->start_ns) / 1e9;
        snprintf(left, sizeof(left), ", about %.0f s left",
                 spent * (1 - share) / share);
    }
    if (trial)
        slw_job_progress(s->ctx, share, "%.*s: trial %lld of %lld%s%s",
                         SLW_FMT(what), (long long)trial,
                         (long long)trial_count, best, left);
    else
        slw_job_progress(s->ctx, share, "%.*s: fitting the best again%s%s",
                         SLW_FMT(what), best, left);
}

static void
step_done_tell(struct train_search *s, struct slw_str name, double value)
{
    s->step_done++;
    if (isnan(value) || (s->best_name.len &&
                         !train_metric_better(s->def.metric, value, s->best)))
        return;
    s->best = value;
    s->best_name = name;
}

/* ---- fitting ---- */

enum slw_rc
train_fit_rows(const struct train_set *set, enum slw_flavour flavour,
               enum train_metric metric, const struct train_rows *rows,
               const struct train_rows *valid, struct slw_str params,
               int64_t seed, struct train_fit_out *out, struct slw_err *err)
{
    SLW_AUTO(slw_json, doc);
    TRY(slw_json_parse(&doc, params, err));
    const struct train_fit_in in = {
        .flavour = flavour,
        .sig = &set->sig,
        .x = rows->fit_x,
        .y = rows->fit_y,
        .row_count = rows->count,
        .valid_x = valid ? valid->fit_x : NULL,
        .valid_y = valid ? valid->fit_y : NULL,
        .valid_count = valid ? valid->count : 0,
        .params = doc.root,
        .absolute_loss = metric == TRAIN_MAE || metric == TRAIN_MAPE,
        .seed = (uint64_t)seed,
    };
    return train_fit(&in, out, err);
}

/* Load and measure.  Errors INVALID: answers that are no numbers. */
static enum slw_rc
model_measure(const struct train_set *set, enum slw_flavour flavour,
              struct slw_str bytes, const struct train_rows *rows,
              struct slw_arena *a, double **out_yhat, struct slw_metrics *out,
              struct slw_err *err)
{
    struct slw_model *m = NULL;
    struct slw_metrics metrics;
    TRY(slw_model_load(&m, flavour, &set->sig, bytes, err));
    double *yhat = train_predict(m, rows, a);
    slw_model_unref(m);
    train_measure(rows, yhat, &metrics);
    if (metrics.bad_count > 0 || metrics.row_count == 0)
        return slw_fail(err, SLW_INVALID, "%lld of %zu answers are no numbers",
                        (long long)metrics.bad_count, rows->count);
    *out_yhat = yhat;
    *out = metrics;
    return SLW_OK;
}

/* Rounds or epochs after which the refit stops. */
static int
rounds_of(enum slw_flavour flavour, const struct train_fit_out *fit)
{
    if (flavour != SLW_FLAVOUR_ARNET || fit->curve_count == 0)
        return fit->rounds;
    size_t best = 0; /* the network ran on for `patience` epochs */
    for (size_t i = 1; i < fit->curve_count; i++)
        if (fit->curve[i] < fit->curve[best])
            best = i;
    return (int)best + 1;
}

/* ---- one candidate ---- */

static double
seconds_since(int64_t start_ns)
{
    return (double)(slw_mono_ns() - start_ns) / 1e9;
}

static enum slw_rc
trial_fit(struct train_search *s, const struct train_candidate *c,
          struct slw_str params, struct train_fit_out *fit,
          struct slw_metrics *out, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    double *yhat = NULL;
    TRY(train_fit_rows(&s->set, c->flavour, s->def.metric, &s->set.train,
                       &s->set.valid, params, s->seed, fit, err));
    TRY(model_measure(&s->set, c->flavour, slw_buf_view(&fit->bytes),
                      &s->set.valid, &a, &yhat, out, err));
    if (isnan(train_metric_of(s->def.metric, out)))
        return slw_fail(err, SLW_INVALID,
                        "%s is not defined on the validation"
                        " rows",
                        train_metric_name(s->def.metric));
    return SLW_OK;
}

/* Parameters that the caller gives: of an earlier search.  "" none */
static struct slw_str
params_given(const struct train_search *s, const struct train_candidate *c)
{
    const struct json_t *v =
        slw_json_get(s->spec->params, slw_arena_strz(s->ctx->arena, c->name));
    if (slw_json_type(v) != SLW_JSON_OBJECT)
        return SLW_STR("");
    SLW_AUTO(slw_buf, text);
    slw_json_dump(&text, v);
    return slw_arena_str(s->ctx->arena, slw_buf_view(&text));
}

static enum slw_rc
trial_run(struct train_search *s, struct train_entry *e, int64_t number,
          struct slw_err *err)
{
    const struct train_candidate *c = e->candidate;
    const int64_t start_ns = slw_mono_ns();
    struct slw_metrics valid;
    struct slw_err why;
    SLW_AUTO(train_fit_out, fit);
    struct train_trial t = {
        .candidate = c, .number = number, .params = params_given(s, c)};
    if (t.params.len == 0)
        t.params = train_spaces_draw(c, s->seed, number, s->ctx->arena);
    const enum slw_rc rc = trial_fit(s, c, t.params, &fit, &valid, &why);
    t.seconds = seconds_since(start_ns);
    t.curve = fit.curve;
    t.curve_count = fit.curve_count;
    if (rc == SLW_OK)
        t.valid = &valid;
    else
        t.note = slw_arena_str(s->ctx->arena, slw_str_of(why.msg));
    struct slw_str run_id;
    TRY(train_record_trial(s, &t, &run_id, err));
    e->trials++;
    e->seconds += t.seconds;
    const double value =
        rc == SLW_OK ? train_metric_of(s->def.metric, &valid) : NAN;
    step_done_tell(s, c->name, value);
    if (rc != SLW_OK) {
        e->failed++;
        e->note = t.note;
        e->run_id = e->has_valid ? e->run_id : run_id;
        return SLW_OK;
    }
    if (e->has_valid &&
        !train_metric_better(s->def.metric, value,
                             train_metric_of(s->def.metric, &e->valid)))
        return SLW_OK;
    e->has_valid = true;
    e->valid = valid;
    e->params = t.params;
    e->run_id = run_id;
    e->rounds = rounds_of(c->flavour, &fit);
    return SLW_OK;
}

/* The best trial's parameters on train + validation; scored on the test. */
static enum slw_rc
refit(struct train_search *s, struct train_entry *e, struct slw_err *err)
{
    const int64_t start_ns = slw_mono_ns();
    struct slw_arena *a = s->ctx->arena;
    SLW_AUTO(train_fit_out, fit);
    SLW_AUTO(slw_json, doc);
    TRY(slw_json_parse(&doc, e->params, err));
    const struct slw_str params =
        train_params_final(e->flavour, doc.root, e->rounds, a);
    TRY(train_fit_rows(&s->set, e->flavour, s->def.metric, &s->set.refit, NULL,
                       params, s->seed, &fit, err));
    if (fit.bytes.len > slw_arena_room(a) / 2)
        return slw_fail(err, SLW_LIMIT, "the model of %zu bytes is too large",
                        fit.bytes.len);
    TRY(model_measure(&s->set, e->flavour, slw_buf_view(&fit.bytes),
                      &s->set.test, a, &e->test_yhat, &e->test, err));
    e->params = params;
    e->bytes = slw_arena_str(a, slw_buf_view(&fit.bytes));
    memcpy(e->engine, fit.engine, sizeof(e->engine));
    memcpy(e->engine_version, fit.engine_version, sizeof(e->engine_version));
    e->seconds += seconds_since(start_ns);
    e->has_test = e->servable = true;
    return SLW_OK;
}

static int64_t
trials_of(const struct train_search *s, const struct train_candidate *c)
{
    if (params_given(s, c).len)
        return 1;
    return c->is_script || train_spaces_fixed(c) ? 1 : s->trials;
}

static enum slw_rc
fitted_run(struct train_search *s, struct train_entry *e, struct slw_err *err)
{
    const int64_t count = trials_of(s, e->candidate);
    for (int64_t i = 1; i <= count; i++) {
        step_tell(s, e->name, i, count);
        TRY(trial_run(s, e, i, err));
    }
    step_tell(s, e->name, 0, 0);
    s->step_done++;
    if (!e->has_valid)
        return SLW_OK;
    struct slw_err why;
    if (refit(s, e, &why) != SLW_OK) {
        e->note = slw_arena_printf(s->ctx->arena, "fitted again: %s", why.msg);
        return SLW_OK;
    }
    e->note = e->failed
                  ? slw_arena_printf(s->ctx->arena,
                                     "%lld trials failed, the last: %.*s",
                                     (long long)e->failed, SLW_FMT(e->note))
                  : SLW_STR("");
    return train_record_best(s, e, err);
}

/* ---- a script as candidate ---- */

static enum slw_rc
script_measure(struct train_search *s, struct train_entry *e,
               const struct train_script_out *out, struct slw_err *err)
{
    struct slw_metrics valid, test;
    train_measure(&s->set.valid, out->valid_yhat, &valid);
    train_measure(&s->set.test, out->test_yhat, &test);
    if (valid.bad_count + test.bad_count > 0)
        return slw_fail(err, SLW_INVALID,
                        "%lld of its predictions are no numbers",
                        (long long)(valid.bad_count + test.bad_count));
    e->valid = valid;
    e->test = test;
    e->test_yhat = out->test_yhat;
    e->has_valid = e->has_test = true;
    e->bytes = out->model;
    e->servable = out->model.len > 0;
    e->note = out->note;
    snprintf(e->engine, sizeof(e->engine), "script");
    snprintf(e->engine_version, sizeof(e->engine_version), "%.*s",
             SLW_FMT(e->candidate->framework));
    return SLW_OK;
}

static enum slw_rc
script_attempt(struct train_search *s, struct train_entry *e,
               struct slw_str run_id, struct slw_str *out_log,
               struct slw_err *err)
{
    const struct train_script_run in = {
        .candidate = e->candidate,
        .set = &s->set,
        .dir = slw_path(s->ctx->arena, s->ctx->dir, "%.*s", SLW_FMT(e->name)),
        .server_url = s->spec->server_url,
        .run_id = run_id,
        .seed = s->seed,
    };
    struct train_script_out out = {.log = SLW_STR("")};
    if (!s->spec->server_url)
        return slw_fail(err, SLW_INVALID,
                        "a script needs the server's address to log to, and"
                        " this search was started without one");
    const enum slw_rc rc = train_script_run(&in, s->ctx->arena, &out, err);
    *out_log = out.log;
    return rc == SLW_OK ? script_measure(s, e, &out, err) : rc;
}

static enum slw_rc
script_run(struct train_search *s, struct train_entry *e, struct slw_err *err)
{
    const int64_t start_ns = slw_mono_ns();
    struct slw_arena *a = s->ctx->arena;
    struct slw_str log = SLW_STR("");
    struct slw_err why;
    e->params = train_script_params(e->candidate, a);
    struct train_trial t = {
        .candidate = e->candidate, .number = 1, .params = e->params};
    step_tell(s, e->name, 1, 1);
    TRY(train_record_open(s, &t, &t.run_id, err));
    e->trials = 1;
    if (script_attempt(s, e, t.run_id, &log, &why) != SLW_OK) {
        e->failed = 1;
        e->note = slw_arena_str(a, slw_str_of(why.msg));
    }
    e->seconds = t.seconds = seconds_since(start_ns);
    t.note = e->note;
    t.valid = e->has_valid ? &e->valid : NULL;
    TRY(train_record_trial(s, &t, &e->run_id, err));
    if (log.len)
        TRY(train_record_file(s, e->run_id, "script.log", log, err));
    step_done_tell(s, e->name,
                   e->has_valid ? train_metric_of(s->def.metric, &e->valid)
                                : NAN);
    s->step_done++;
    return e->has_valid ? train_record_best(s, e, err) : SLW_OK;
}

/* ---- the whole ---- */

static void
rule_measure(struct train_search *s, struct train_entry *e)
{
    struct slw_arena *a = s->ctx->arena;
    *e = (struct train_entry){.name = SLW_STR("fallback"),
                              .flavour = SLW_FLAVOUR_RULE,
                              .note = SLW_STR("the rule"),
                              .run_id = SLW_STR(""),
                              .has_valid = true,
                              .has_test = true,
                              .servable = true};
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "sql", s->def.fallback_sql);
    slw_jw_obj_end(&w);
    e->params = slw_arena_str(a, slw_buf_view(&text));
    train_measure(&s->set.valid, train_predict(s->rule, &s->set.valid, a),
                  &e->valid);
    e->test_yhat = train_predict(s->rule, &s->set.test, a);
    train_measure(&s->set.test, e->test_yhat, &e->test);
}

static enum slw_rc
choose(struct train_search *s, struct train_entry **out, struct slw_err *err)
{
    struct train_entry *best = NULL;
    for (size_t i = 0; i < s->def.candidate_count; i++) {
        struct train_entry *e = &s->entries[i]; /* by name: ties are the
                                                   first's */
        if (!e->servable || !e->has_valid || !e->has_test)
            continue;
        if (!best ||
            train_metric_better(s->def.metric,
                                train_metric_of(s->def.metric, &e->valid),
                                train_metric_of(s->def.metric, &best->valid)))
            best = e;
    }
    if (best) {
        best->chosen = true;
        *out = best;
        return SLW_OK;
    }
    SLW_AUTO(slw_buf, notes);
    for (size_t i = 0; i < s->def.candidate_count; i++)
        slw_buf_printf(&notes, "%s%.*s: %.*s", i ? "; " : "",
                       SLW_FMT(s->entries[i].name),
                       SLW_FMT(s->entries[i].note));
    return slw_fail(err, SLW_INVALID, "no candidate can be served: %.*s",
                    SLW_FMT(slw_buf_view(&notes)));
}

static void
entry_write(struct slw_jw *w, const struct train_entry *e)
{
    slw_jw_obj(w);
    slw_jw_kstr(w, "candidate", e->name);
    slw_jw_ki64(w, "trials", e->trials);
    slw_jw_ki64(w, "failed", e->failed);
    slw_jw_kstr(w, "run_id", e->run_id);
    slw_jw_kraw(w, "params", e->params.len ? e->params : SLW_STR("{}"));
    slw_jw_key(w, "valid");
    if (e->has_valid)
        train_metrics_write(w, &e->valid);
    else
        slw_jw_null(w);
    slw_jw_key(w, "test");
    if (e->has_test)
        train_metrics_write(w, &e->test);
    else
        slw_jw_null(w);
    slw_jw_kf64(w, "seconds", e->seconds);
    slw_jw_kbool(w, "chosen", e->chosen);
    slw_jw_kbool(w, "servable", e->servable);
    slw_jw_kstr(w, "note", e->note);
    slw_jw_obj_end(w);
}

/* The table as JSON text, in the arena. */
static struct slw_str
table_text(const struct train_search *s)
{
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_arr(&w);
    for (size_t i = 0; i < s->entry_count; i++)
        entry_write(&w, &s->entries[i]);
    slw_jw_arr_end(&w);
    return slw_arena_str(s->ctx->arena, slw_buf_view(&text));
}

static enum slw_rc
candidates_run(struct train_search *s, struct slw_train_result *out,
               struct slw_err *err)
{
    const size_t count = s->def.candidate_count;
    s->entry_count = count + 1;
    s->entries = SLW_ARENA_NEW(s->ctx->arena, struct train_entry, count + 1);
    for (size_t i = 0; i < count; i++)
        s->step_count += trials_of(s, &s->def.candidates[i]) + 1;
    s->start_ns = slw_mono_ns();
    for (size_t i = 0; i < count; i++) {
        struct train_entry *e = &s->entries[i];
        e->candidate = &s->def.candidates[i];
        e->name = e->candidate->name;
        e->flavour = e->candidate->flavour;
        TRY(e->candidate->is_script ? script_run(s, e, err)
                                    : fitted_run(s, e, err));
    }
    rule_measure(s, &s->entries[count]);
    struct train_entry *chosen = NULL;
    TRY(choose(s, &chosen, err));
    struct slw_train_result r = {.run_id = s->parent_id,
                                 .candidate = chosen->name};
    r.table = table_text(s);
    TRY(train_release_text(s, chosen, &r.release, err));
    TRY(train_record_end(s, chosen, r.table, err));
    *out = r;
    return SLW_OK;
}

static enum slw_rc
search_begin(struct train_search *s, struct slw_err *err)
{
    const struct slw_train_spec *spec = s->spec;
    s->seed = spec->seed < 0 ? s->def.seed : spec->seed;
    s->trials = spec->trials < 0 ? s->def.trials : spec->trials;
    if (s->trials < 1 || s->trials > TRAIN_TRIALS_MAX)
        return slw_fail(err, SLW_INVALID, "trials must be from 1 to %d",
                        TRAIN_TRIALS_MAX);
    TRY(train_set_make(s->frame, &s->def, spec->as_of_ms, s->ctx->arena,
                       &s->set, err));
    if (slw_model_load(&s->rule, SLW_FLAVOUR_RULE, &s->set.sig,
                       s->def.fallback_sql, err) != SLW_OK)
        return slw_err_prefix(
            err, "fallback '%.*s': ", SLW_FMT(s->def.fallback_sql));
    return train_record_begin(s, err);
}

static enum slw_rc
def_take(const struct slw_train_spec *spec, struct slw_arena *a,
         struct train_def *out, struct slw_err *err)
{
    TRY(train_def_parse(spec->def, a, out, err));
    if (out->name.len == 0)
        return slw_fail(err, SLW_INVALID, "the model definition has no name");
    if (!spec->params)
        return SLW_OK;
    size_t kept = 0;
    for (size_t i = 0; i < out->candidate_count; i++)
        if (slw_json_get(spec->params,
                         slw_arena_strz(a, out->candidates[i].name)))
            out->candidates[kept++] = out->candidates[i];
    if (kept == 0)
        return slw_fail(err, SLW_INVALID,
                        "the parameters to fit again are of no candidate that"
                        " '%.*s' still has",
                        SLW_FMT(out->name));
    out->candidate_count = kept;
    return SLW_OK;
}

enum slw_rc
train_search_frame(struct slw_job_ctx *ctx, const struct slw_train_spec *spec,
                   const struct slw_frame *frame, struct slw_train_result *out,
                   struct slw_err *err)
{
    struct train_search s = {.ctx = ctx, .spec = spec, .frame = frame};
    TRY(def_take(spec, ctx->arena, &s.def, err));
    enum slw_rc rc = search_begin(&s, err);
    if (rc == SLW_OK)
        rc = candidates_run(&s, out, err);
    if (rc != SLW_OK)
        train_record_failed(&s, err);
    slw_model_unref(s.rule);
    return rc == SLW_OK
               ? rc
               : slw_err_prefix(err, "model '%.*s': ", SLW_FMT(s.def.name));
}

enum slw_rc
train_frame_get(struct slw_store *store, const struct train_def *def,
                const struct json_t *pins, const struct json_t *views,
                int64_t as_of_ms, struct slw_memo *memo, struct slw_arena *a,
                struct slw_frame *out, struct slw_err *err)
{
    const struct slw_frame_spec spec = {
        .pins = pins,
        .views = views,
        .spine_source = def->target_of,
        .from_ms = def->train_from_ms,
        .to_ms = as_of_ms,
        .target_sql = def->target_sql,
        .known_after_ms = def->known_after_ms,
        .as_of_ms = as_of_ms,
        .extra_sql = SLW_STR(""),
        .memo = memo,
    };
    return slw_features_frame(store, &spec, a, out, err);
}

enum slw_rc
slw_train_search(struct slw_job_ctx *ctx, const struct slw_train_spec *spec,
                 struct slw_train_result *out, struct slw_err *err)
{
    struct train_def def;
    struct slw_frame frame;
    TRY(def_take(spec, ctx->arena, &def, err));
    slw_job_progress(ctx, 0, "%.*s: building the training set",
                     SLW_FMT(def.name));
    TRY(train_frame_get(ctx->store, &def, spec->pins, spec->views,
                        spec->as_of_ms, ctx->memo, ctx->arena, &frame, err));
    return train_search_frame(ctx, spec, &frame, out, err);
}
