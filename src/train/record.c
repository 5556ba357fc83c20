/* record.c -- what a search leaves in the tracking store: a parent run with
 * the dataset inputs, and a child run a trial.
 *
 * Each trial is one transaction after its work, so a job that is killed
 * leaves whole trials and open parents; the next attempt closes the latter.
 * Times are the job's own now: a rehearsal's runs lie in the past that it
 * rehearses. */
#include "train/train_internal.h"

#include "store/blob.h"

#include <math.h>

#define TAG_MAX 8
#define PARAM_MAX 64
#define METRIC_FIELD_COUNT 5

/* ---- stale runs ---- */

static struct slw_str
job_text(const struct train_search *s)
{
    return slw_arena_printf(s->ctx->arena, "%lld", (long long)s->ctx->job->id);
}

static enum slw_rc
stale_kill(struct train_search *s, struct slw_tx *tx, struct slw_err *err)
{
    const struct slw_track_query q = {
        .filter = slw_arena_printf(
            s->ctx->arena,
            "tags.`slipway.job` = '%.*s' AND attributes.status = 'RUNNING'",
            SLW_FMT(job_text(s))),
        .view = SLW_VIEW_ACTIVE,
        .experiment_ids = &s->experiment_id,
        .experiment_count = 1,
        .limit = 1000,
    };
    struct slw_run_full *runs = NULL;
    size_t count = 0;
    bool more = false;
    TRY(slw_track_run_search(tx, &q, s->ctx->arena, &runs, &count, &more, err));
    for (size_t i = 0; i < count; i++)
        TRY(slw_track_run_end(tx, runs[i].run.id, SLW_RUN_KILLED,
                              s->ctx->now_ms, err));
    return SLW_OK;
}

/* ---- the parent ---- */

static enum slw_rc
inputs_log(struct train_search *s, struct slw_tx *tx, struct slw_err *err)
{
    const struct json_t *pins = s->spec->pins;
    for (void *it = slw_json_iter(pins); it; it = slw_json_next(pins, it)) {
        const struct slw_str name = slw_json_iter_key(it);
        const char *key = slw_arena_strz(s->ctx->arena, name);
        const struct slw_str hash =
            slw_json_str_or(slw_json_get(s->spec->hashes, key), SLW_STR(""));
        SLW_AUTO(slw_buf, source);
        struct slw_jw w;
        slw_jw_init(&w, &source);
        slw_jw_obj(&w);
        slw_jw_kstr(&w, "dataset", name);
        slw_jw_ki64(&w, "version", slw_json_i64_or(slw_json_iter_value(it), 0));
        slw_jw_kstr(&w, "hash", hash);
        slw_jw_obj_end(&w);
        if (hash.len)
            TRY(slw_track_input(tx, s->parent_id, name, hash,
                                slw_buf_view(&source), SLW_STR("training"),
                                err));
    }
    return SLW_OK;
}

static struct slw_kv
count_param(struct train_search *s, const char *key, size_t count)
{
    return (struct slw_kv){slw_str_of(key),
                           slw_arena_printf(s->ctx->arena, "%zu", count)};
}

static struct slw_kv
time_param(struct train_search *s, const char *key, int64_t ms)
{
    char text[SLW_TIME_TEXT_SIZE];
    return (struct slw_kv){
        slw_str_of(key),
        slw_arena_str(s->ctx->arena, slw_str_of(slw_time_text(ms, text)))};
}

static enum slw_rc
parent_log(struct train_search *s, struct slw_tx *tx, struct slw_err *err)
{
    const struct train_set *set = &s->set;
    const struct slw_kv params[] = {
        {SLW_STR("metric"), slw_str_of(train_metric_name(s->def.metric))},
        {SLW_STR("target"), s->def.target_sql},
        {SLW_STR("fallback"), s->def.fallback_sql},
        {SLW_STR("seed"),
         slw_arena_printf(s->ctx->arena, "%lld", (long long)s->seed)},
        time_param(s, "as_of", s->spec->as_of_ms),
        time_param(s, "train_to", set->train_to_ms),
        time_param(s, "valid_to", set->valid_to_ms),
        time_param(s, "test_to", set->test_to_ms),
        count_param(s, "columns", set->sig.column_count),
        count_param(s, "train_rows", set->train.count),
        count_param(s, "valid_rows", set->valid.count),
        count_param(s, "test_rows", set->test.count),
        count_param(s, "left_out_missing", set->missing_count),
        count_param(s, "left_out_unlabelled", set->unlabelled_count),
        count_param(s, "left_out_purged", set->purged_count),
    };
    const struct slw_kv tags[] = {
        {SLW_STR("slipway.frame"), slw_str_of(s->frame->hash)},
        count_param(s, "slipway.rows_missing", set->missing_count),
        count_param(s, "slipway.rows_unlabelled", set->unlabelled_count),
    };
    return slw_track_log(tx, s->parent_id, params, SLW_ARRAY_LEN(params), NULL,
                         0, tags, SLW_ARRAY_LEN(tags), err);
}

enum slw_rc
train_record_begin(struct train_search *s, struct slw_err *err)
{
    char date[SLW_TIME_TEXT_SIZE];
    struct slw_arena *a = s->ctx->arena;
    const struct slw_str name =
        slw_arena_printf(a, "%.*s as of %s", SLW_FMT(s->def.name),
                         slw_date_text(s->spec->as_of_ms, date));
    const struct slw_kv tags[] = {
        {SLW_STR("slipway.model"), s->def.name},
        {SLW_STR("slipway.kind"), SLW_STR("search")},
        {SLW_STR("slipway.job"), job_text(s)},
    };
    struct slw_run run;
    struct slw_str ours;
    struct slw_err elsewhere;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, s->ctx->store, err));
    TRY(slw_track_experiment_ensure(&tx, s->ctx->now_ms, s->def.name,
                                    &s->experiment_id, err));
    TRY(stale_kill(s, &tx, err));
    TRY(slw_track_run_create(&tx, s->ctx->now_ms, s->experiment_id, name,
                             SLW_STR("slipway"), tags, SLW_ARRAY_LEN(tags), a,
                             &run, err));
    if (slw_track_artifact_root(run.artifact_uri, &ours, &elsewhere) != SLW_OK)
        return slw_fail(
            err, SLW_INVALID,
            "experiment '%.*s' keeps its artifacts at '%.*s', where "
            "training jobs cannot write; rename it, so that "
            "training makes its own",
            SLW_FMT(s->def.name), SLW_FMT(run.artifact_uri));
    s->parent_id = run.id;
    TRY(parent_log(s, &tx, err));
    TRY(inputs_log(s, &tx, err));
    return slw_tx_commit(&tx, err);
}

/* ---- trials ---- */

static struct slw_str
param_text(const struct json_t *v, struct slw_arena *a)
{
    if (slw_json_type(v) == SLW_JSON_STR)
        return slw_json_str_or(v, SLW_STR(""));
    SLW_AUTO(slw_buf, text);
    slw_json_dump(&text, v);
    return slw_arena_str(a, slw_buf_view(&text));
}

static enum slw_rc
params_log(struct train_search *s, struct slw_tx *tx, struct slw_str run_id,
           struct slw_str json, struct slw_err *err)
{
    struct slw_kv params[PARAM_MAX];
    size_t count = 0;
    SLW_AUTO(slw_json, doc);
    TRY(slw_json_parse(&doc, json, err));
    for (void *it = slw_json_iter(doc.root); it && count < PARAM_MAX;
         it = slw_json_next(doc.root, it)) {
        if (slw_str_eqz(slw_json_iter_key(it), "files"))
            continue; /* texts of scripts are no parameters */
        params[count++] =
            (struct slw_kv){slw_json_iter_key(it),
                            param_text(slw_json_iter_value(it), s->ctx->arena)};
    }
    return slw_track_log(tx, run_id, params, count, NULL, 0, NULL, 0, err);
}

static size_t
metric_points(struct train_search *s, const char *prefix,
              const struct slw_metrics *m, struct slw_metric *out)
{
    const struct {
        const char *name;
        double value;
    } fields[METRIC_FIELD_COUNT] = {{"mae", m->mae},
                                    {"rmse", m->rmse},
                                    {"mape", m->mape},
                                    {"r2", m->r2},
                                    {"bias", m->bias}};
    for (size_t i = 0; i < METRIC_FIELD_COUNT; i++)
        out[i] =
            (struct slw_metric){.key = slw_arena_printf(s->ctx->arena, "%s_%s",
                                                        prefix, fields[i].name),
                                .value = fields[i].value,
                                .at_ms = s->ctx->now_ms};
    return METRIC_FIELD_COUNT;
}

static enum slw_rc
trial_metrics_log(struct train_search *s, struct slw_tx *tx,
                  struct slw_str run_id, const struct train_trial *t,
                  struct slw_err *err)
{
    const size_t cap = t->curve_count + METRIC_FIELD_COUNT + 1;
    struct slw_metric *points =
        SLW_ARENA_NEW(s->ctx->arena, struct slw_metric, cap);
    size_t count = 0;
    if (t->valid)
        count = metric_points(s, "valid", t->valid, points);
    points[count++] = (struct slw_metric){.key = SLW_STR("seconds"),
                                          .value = t->seconds,
                                          .at_ms = s->ctx->now_ms};
    for (size_t i = 0; i < t->curve_count; i++)
        points[count++] = (struct slw_metric){.key = SLW_STR("valid_loss"),
                                              .value = t->curve[i],
                                              .at_ms = s->ctx->now_ms,
                                              .step = (int64_t)i};
    return slw_track_log(tx, run_id, NULL, 0, points, count, NULL, 0, err);
}

static enum slw_rc
child_create(struct train_search *s, struct slw_tx *tx,
             const struct train_trial *t, struct slw_str *out_id,
             struct slw_err *err)
{
    struct slw_arena *a = s->ctx->arena;
    const struct slw_str number =
        slw_arena_printf(a, "%lld", (long long)t->number);
    const struct slw_str name = slw_arena_printf(
        a, "%.*s/%.*s", SLW_FMT(t->candidate->name), SLW_FMT(number));
    const struct slw_kv tags[] = {
        {SLW_STR("mlflow.parentRunId"), s->parent_id},
        {SLW_STR("slipway.model"), s->def.name},
        {SLW_STR("slipway.kind"), SLW_STR("trial")},
        {SLW_STR("slipway.candidate"), t->candidate->name},
        {SLW_STR("slipway.trial"), number},
        {SLW_STR("slipway.job"), job_text(s)},
    };
    struct slw_run run;
    TRY(slw_track_run_create(tx, s->ctx->now_ms, s->experiment_id, name,
                             SLW_STR("slipway"), tags, SLW_ARRAY_LEN(tags), a,
                             &run, err));
    *out_id = run.id;
    return SLW_OK;
}

enum slw_rc
train_record_open(struct train_search *s, const struct train_trial *t,
                  struct slw_str *out_run_id, struct slw_err *err)
{
    struct slw_str id;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, s->ctx->store, err));
    TRY(child_create(s, &tx, t, &id, err));
    TRY(slw_tx_commit(&tx, err));
    *out_run_id = id;
    return SLW_OK;
}

enum slw_rc
train_record_trial(struct train_search *s, const struct train_trial *t,
                   struct slw_str *out_run_id, struct slw_err *err)
{
    struct slw_str id = t->run_id;
    const bool failed = t->valid == NULL;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, s->ctx->store, err));
    if (id.len == 0) {
        TRY(child_create(s, &tx, t, &id, err));
        TRY(params_log(s, &tx, id, t->params, err));
    }
    TRY(trial_metrics_log(s, &tx, id, t, err));
    const struct slw_kv tag = {
        failed ? SLW_STR("slipway.error") : SLW_STR("slipway.note"), t->note};
    if (t->note.len)
        TRY(slw_track_log(&tx, id, NULL, 0, NULL, 0, &tag, 1, err));
    TRY(slw_track_run_end(&tx, id, failed ? SLW_RUN_FAILED : SLW_RUN_FINISHED,
                          s->ctx->now_ms, err));
    TRY(slw_tx_commit(&tx, err));
    *out_run_id = id;
    return SLW_OK;
}

enum slw_rc
train_record_best(struct train_search *s, const struct train_entry *e,
                  struct slw_err *err)
{
    struct slw_metric points[METRIC_FIELD_COUNT];
    const size_t count = metric_points(s, "test", &e->test, points);
    const struct slw_kv tag = {SLW_STR("slipway.best"), SLW_STR("true")};
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, s->ctx->store, err));
    TRY(slw_track_log(&tx, e->run_id, NULL, 0, points, count, &tag, 1, err));
    return slw_tx_commit(&tx, err);
}

/* ---- the end ---- */

enum slw_rc
train_record_file(struct train_search *s, struct slw_str run_id,
                  const char *path, struct slw_str bytes, struct slw_err *err)
{
    struct slw_blob_info blob;
    TRY(slw_blob_put(s->ctx->store, bytes, &blob, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, s->ctx->store, err));
    TRY(slw_track_artifact_put(&tx, run_id, slw_str_of(path),
                               slw_str_of(blob.hash), blob.size, err));
    return slw_tx_commit(&tx, err);
}

static enum slw_rc
parent_end(struct train_search *s, const struct train_entry *chosen,
           struct slw_err *err)
{
    const struct train_entry *rule = &s->entries[s->entry_count - 1];
    struct slw_metric points[3 * METRIC_FIELD_COUNT];
    size_t count = metric_points(s, "valid", &chosen->valid, points);
    count += metric_points(s, "test", &chosen->test, points + count);
    count += metric_points(s, "fallback_test", &rule->test, points + count);
    const struct slw_kv tags[] = {
        {SLW_STR("slipway.candidate"), chosen->name},
        {SLW_STR("slipway.best_run"), chosen->run_id},
    };
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, s->ctx->store, err));
    TRY(slw_track_log(&tx, s->parent_id, NULL, 0, points, count, tags,
                      SLW_ARRAY_LEN(tags), err));
    TRY(slw_track_run_end(&tx, s->parent_id, SLW_RUN_FINISHED, s->ctx->now_ms,
                          err));
    return slw_tx_commit(&tx, err);
}

enum slw_rc
train_record_end(struct train_search *s, const struct train_entry *chosen,
                 struct slw_str table, struct slw_err *err)
{
    const char *file = slw_arena_strz(
        s->ctx->arena,
        slw_arena_printf(s->ctx->arena, "model/%s",
                         train_model_file(chosen->flavour, chosen->bytes)));
    TRY(train_record_file(s, s->parent_id, "table.json", table, err));
    TRY(train_record_file(s, s->parent_id, file, chosen->bytes, err));
    SLW_AUTO(slw_buf, about);
    SLW_AUTO(slw_buf, needs);
    if (train_mlmodel(s, chosen, &about)) {
        slw_buf_printf(&needs, "mlflow\nxgboost==%s\n", chosen->engine_version);
        TRY(train_record_file(s, s->parent_id, "model/MLmodel",
                              slw_buf_view(&about), err));
        TRY(train_record_file(s, s->parent_id, "model/requirements.txt",
                              slw_buf_view(&needs), err));
    }
    if (chosen->flavour == SLW_FLAVOUR_ARNET) {
        SLW_AUTO(slw_buf, onnx); /* for whoever wants to run it elsewhere */
        TRY(slw_arnet_to_onnx(chosen->bytes, &onnx, err));
        TRY(train_record_file(s, s->parent_id, "model/model.onnx",
                              slw_buf_view(&onnx), err));
    }
    return parent_end(s, chosen, err);
}

static enum slw_rc
failure_write(struct train_search *s, const struct slw_err *why,
              struct slw_err *err)
{
    const struct slw_kv tag = {SLW_STR("slipway.error"), slw_str_of(why->msg)};
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, s->ctx->store, err));
    TRY(slw_track_log(&tx, s->parent_id, NULL, 0, NULL, 0, &tag, 1, err));
    TRY(slw_track_run_end(&tx, s->parent_id, SLW_RUN_FAILED, s->ctx->now_ms,
                          err));
    return slw_tx_commit(&tx, err);
}

void
train_record_failed(struct train_search *s, const struct slw_err *why)
{
    struct slw_err err;
    if (s->parent_id.len && failure_write(s, why, &err) != SLW_OK)
        return; /* the cause is what the caller reports */
}
