/* train_job.c -- from pins to a registered version.
 *
 * Everything the search depends on is resolved here (pins, view definitions,
 * thresholds, the project's hash) and goes into the release, so that it can
 * be built again.  Version, alias, event and the job's end are one
 * transaction: a job that is started twice registers once. */
#include "flow/flow_internal.h"

#include <math.h>

#include "store/event.h"

static const char SQL_PROJECT_HASH[] =
    "SELECT hash FROM flow_project WHERE id = 1";

struct training {
    struct slw_job_ctx *ctx;
    struct slw_str model;
    int64_t as_of_ms, seed, trials;
    struct slw_str url;
    struct slw_json def, pins, hashes, views, extra;
};

static void
training_done(struct training *t)
{
    slw_json_done(&t->def);
    slw_json_done(&t->pins);
    slw_json_done(&t->hashes);
    slw_json_done(&t->views);
    slw_json_done(&t->extra);
}

static enum slw_rc
spec_read(struct training *t, struct slw_err *err)
{
    const struct json_t *spec = t->ctx->spec;
    t->as_of_ms = t->ctx->now_ms;
    t->seed = t->trials = -1;
    t->url = SLW_STR("");
    TRY(slw_json_need_str(spec, "model", &t->model, err));
    TRY(slw_json_opt_i64(spec, "as_of_ms", &t->as_of_ms, err));
    TRY(slw_json_opt_i64(spec, "seed", &t->seed, err));
    TRY(slw_json_opt_i64(spec, "trials", &t->trials, err));
    return slw_json_opt_str(spec, "url", &t->url, err);
}

/* ---- pins ---- */

/* Versions given by the caller: their hashes. */
static enum slw_rc
pins_given(struct training *t, const struct json_t *given, struct slw_err *err)
{
    struct slw_arena *a = t->ctx->arena;
    SLW_AUTO(slw_buf, text);
    SLW_AUTO(slw_buf, pins);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, t->ctx->store, err));
    for (void *it = slw_json_iter(given); it; it = slw_json_next(given, it)) {
        struct slw_dataset d;
        int64_t version = 0;
        const char *name = slw_arena_strz(a, slw_json_iter_key(it));
        TRY(slw_json_need_i64(given, name, &version, err));
        TRY(slw_data_get(
            &tx, slw_arena_printf(a, "%s@%lld", name, (long long)version), a,
            &d, err));
        slw_jw_key(&w, name);
        slw_jw_str(&w, d.hash);
    }
    slw_jw_obj_end(&w);
    slw_json_dump(&pins, given);
    TRY(slw_json_parse(&t->pins, slw_buf_view(&pins), err));
    return slw_json_parse(&t->hashes, slw_buf_view(&text), err);
}

static enum slw_rc
pins_read(struct training *t, struct slw_err *err)
{
    const struct json_t *given = slw_json_get(t->ctx->spec, "pins");
    if (slw_json_type(given) == SLW_JSON_OBJECT)
        return pins_given(t, given, err);
    return flow_pins_at(t->ctx->store, t->as_of_ms, &t->pins, &t->hashes, err);
}

/* ---- definitions ---- */

static enum slw_rc
views_read(struct training *t, struct slw_tx *tx, struct slw_err *err)
{
    const struct json_t *names = slw_json_get(t->def.root, "features");
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_arr(&w);
    for (size_t i = 0; i < slw_json_len(names); i++) {
        struct slw_view view;
        TRY(slw_features_view_get(
            tx, slw_json_str_or(slw_json_at(names, i), SLW_STR("")),
            t->ctx->arena, &view, err));
        slw_jw_raw(&w, view.def);
    }
    slw_jw_arr_end(&w);
    return slw_json_parse(&t->views, slw_buf_view(&text), err);
}

/* What the monitor of the model's deployment declares; {} without one. */
static enum slw_rc
thresholds_of(struct training *t, struct slw_tx *tx, struct slw_str *out,
              struct slw_err *err)
{
    struct slw_str deployment;
    *out = SLW_STR("{}");
    TRY(flow_deployment_of(tx, t->model, t->ctx->arena, &deployment, err));
    if (deployment.len == 0)
        return SLW_OK;
    const enum slw_rc rc =
        slw_monitor_get(tx, deployment, t->ctx->arena, out, err);
    if (rc == SLW_NOT_FOUND) {
        *out = SLW_STR("{}");
        return SLW_OK;
    }
    return rc;
}

static enum slw_rc
project_hash(struct training *t, struct slw_tx *tx, struct slw_str *out,
             struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_PROJECT_HASH, err));
    TRY(slw_stmt_step(&st, &row, err));
    *out = row ? slw_col_dup(&st, 0, t->ctx->arena) : SLW_STR("");
    return SLW_OK;
}

/* Members of the release that only this room knows. */
static enum slw_rc
extra_read(struct training *t, struct slw_tx *tx, struct slw_err *err)
{
    struct slw_str thresholds, hash;
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    TRY(thresholds_of(t, tx, &thresholds, err));
    TRY(project_hash(t, tx, &hash, err));
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    slw_jw_key(&w, "code");
    slw_jw_obj(&w);
    slw_jw_kz(&w, "slipway", SLIPWAY_VERSION);
    slw_jw_kstr(&w, "project_hash", hash);
    slw_jw_kz(&w, "git", "");
    slw_jw_obj_end(&w);
    slw_jw_kraw(&w, "thresholds", thresholds);
    slw_jw_obj_end(&w);
    return slw_json_parse(&t->extra, slw_buf_view(&text), err);
}

static enum slw_rc
definitions_read(struct training *t, struct slw_err *err)
{
    struct slw_str def;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, t->ctx->store, err));
    TRY(slw_train_model_get(&tx, t->model, t->ctx->arena, &def, err));
    TRY(slw_json_parse(&t->def, def, err));
    TRY(views_read(t, &tx, err));
    return extra_read(t, &tx, err);
}

/* ---- the end ---- */

static double
error_in(const struct json_t *release, const char *of, struct slw_arena *a)
{
    const char *metric = slw_arena_strz(
        a, slw_json_str_or(slw_json_get(release, "metric"), SLW_STR("mae")));
    const struct json_t *m = slw_json_get(slw_json_get(release, "metrics"), of);
    return slw_json_f64_or(slw_json_get(m, metric), NAN);
}

static void
result_write(const struct training *t, const struct slw_train_result *r,
             const struct json_t *release, struct slw_str hash, int64_t version,
             struct slw_jw *w)
{
    slw_jw_obj(w);
    slw_jw_kstr(w, "model", t->model);
    slw_jw_ki64(w, "version", version);
    slw_jw_kstr(w, "release", hash);
    slw_jw_kstr(w, "candidate", r->candidate);
    slw_jw_kstr(
        w, "metric",
        slw_json_str_or(slw_json_get(release, "metric"), SLW_STR("mae")));
    slw_jw_kf64(w, "test", error_in(release, "test", t->ctx->arena));
    slw_jw_kf64(w, "fallback", error_in(release, "fallback", t->ctx->arena));
    slw_jw_kraw(w, "table", r->table);
    slw_jw_kstr(w, "run_id", r->run_id);
    slw_jw_obj_end(w);
}

static enum slw_rc
version_register(struct training *t, struct slw_tx *tx,
                 const struct slw_train_result *r, struct slw_str hash,
                 int64_t *out_version, struct slw_err *err)
{
    const int64_t now_ms = t->ctx->now_ms;
    struct slw_str about = SLW_STR("");
    TRY(slw_json_opt_str(t->def.root, "description", &about, err));
    TRY(slw_registry_model_ensure(tx, now_ms, t->model, about, err));
    TRY(slw_registry_version_add(
        tx, now_ms, t->model, hash, r->run_id,
        slw_arena_printf(t->ctx->arena, "runs:/%.*s/model", SLW_FMT(r->run_id)),
        slw_arena_printf(t->ctx->arena, "trained as %.*s by job %lld",
                         SLW_FMT(r->candidate), (long long)t->ctx->job->id),
        out_version, err));
    TRY(slw_registry_alias_set(tx, now_ms, t->model, SLW_STR("challenger"),
                               *out_version, SLW_STR("trained"), err));
    SLW_AUTO(slw_buf, payload);
    struct slw_jw w;
    slw_jw_init(&w, &payload);
    slw_jw_obj(&w);
    slw_jw_ki64(&w, "version", *out_version);
    slw_jw_kstr(&w, "release", hash);
    slw_jw_kstr(&w, "candidate", r->candidate);
    slw_jw_ki64(&w, "job", t->ctx->job->id);
    slw_jw_obj_end(&w);
    return slw_event_emit(tx, now_ms, "flow.trained", t->model,
                          slw_buf_view(&payload), err);
}

static enum slw_rc
training_finish(struct training *t, const struct slw_train_result *r,
                struct slw_err *err)
{
    struct slw_str hash;
    int64_t version = 0;
    SLW_AUTO(slw_json, release);
    TRY(slw_json_parse(&release, r->release, err));
    TRY(slw_release_put(t->ctx->store, release.root, t->ctx->arena, &hash,
                        err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, t->ctx->store, err));
    TRY(version_register(t, &tx, r, hash, &version, err));
    SLW_AUTO(slw_buf, result);
    struct slw_jw w;
    slw_jw_init(&w, &result);
    result_write(t, r, release.root, hash, version, &w);
    TRY(slw_buf_check(&result, err));
    TRY(slw_job_finish(t->ctx, &tx, slw_buf_view(&result), err));
    return slw_tx_commit(&tx, err);
}

enum slw_rc
slw_flow_train_job(struct slw_job_ctx *ctx, struct slw_err *err)
{
    struct slw_train_result result;
    SLW_AUTO(training, t);
    t.ctx = ctx;
    TRY(spec_read(&t, err));
    TRY(definitions_read(&t, err));
    TRY(pins_read(&t, err));
    if (slw_json_len(t.pins.root) == 0)
        return slw_fail(err, SLW_CONFLICT,
                        "no dataset was known by then; add one first");
    const struct slw_train_spec spec = {
        .def = t.def.root,
        .pins = t.pins.root,
        .hashes = t.hashes.root,
        .views = t.views.root,
        .extra = t.extra.root,
        .as_of_ms = t.as_of_ms,
        .seed = t.seed,
        .trials = t.trials,
        .params = slw_json_get(ctx->spec, "params"),
        .server_url = t.url.len ? slw_arena_strz(ctx->arena, t.url) : NULL};
    TRY(slw_train_search(ctx, &spec, &result, err));
    return training_finish(&t, &result, err);
}
