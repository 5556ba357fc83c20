/* runs.c -- runs and logged models.
 *
 * A run and its first points are one transaction.  While more points follow,
 * or the run goes on over there, a row of migrate_run says how far they are;
 * it goes with the last ones.  So a run that is here without such a row is
 * here as a whole. */
#include <math.h>

#include "migrate/migrate_internal.h"

static const char SQL_PART_GET[] =
    "SELECT point_at FROM migrate_run WHERE run_id = ?1";
static const char SQL_PART_PUT[] =
    "INSERT INTO migrate_run(run_id, point_at) VALUES(?1, ?2)"
    " ON CONFLICT(run_id) DO UPDATE SET point_at = excluded.point_at";
static const char SQL_PART_REMOVE[] =
    "DELETE FROM migrate_run WHERE run_id = ?1";

/* The queries about one run. */
struct queries {
    struct slw_stmt params, tags, points, latest, inputs, input_tags, links;
    struct slw_stmt point_count;
};

static void
queries_done(struct queries *q)
{
    slw_stmt_done(&q->params);
    slw_stmt_done(&q->tags);
    slw_stmt_done(&q->points);
    slw_stmt_done(&q->latest);
    slw_stmt_done(&q->inputs);
    slw_stmt_done(&q->input_tags);
    slw_stmt_done(&q->links);
    slw_stmt_done(&q->point_count);
}

static enum slw_rc
queries_prepare(struct migrate_import *im, struct queries *q,
                struct slw_err *err)
{
    TRY(migrate_query(im, &q->params, "params",
                      "SELECT key, value FROM params WHERE run_uuid = ?1",
                      err));
    TRY(migrate_query(im, &q->tags, "tags",
                      "SELECT key, value FROM tags WHERE run_uuid = ?1", err));
    /* That index has been there since 2022; no other order streams. */
    TRY(migrate_query(im, &q->points, "metrics",
                      "SELECT rowid, key, value, timestamp, step, is_nan"
                      " FROM metrics INDEXED BY index_metrics_run_uuid"
                      " WHERE run_uuid = ?1 AND rowid > ?2 ORDER BY rowid",
                      err));
    TRY(migrate_query(im, &q->point_count, "metrics",
                      "SELECT count(*) FROM metrics WHERE run_uuid = ?1", err));
    /* What has no history, as metrics of very old servers. */
    TRY(migrate_query(im, &q->latest, "latest_metrics",
                      "SELECT 0, key, value, timestamp, step, is_nan"
                      " FROM latest_metrics l WHERE run_uuid = ?1"
                      " AND NOT EXISTS (SELECT 1 FROM metrics m WHERE"
                      " m.key = l.key AND m.timestamp = l.timestamp AND"
                      " m.step = l.step AND m.run_uuid = l.run_uuid)",
                      err));
    TRY(migrate_query(
        im, &q->inputs, "datasets",
        "SELECT i.input_uuid, d.name, d.digest, d.dataset_source_type,"
        " d.dataset_source, d.dataset_schema, d.dataset_profile"
        " FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id"
        " WHERE i.destination_type = 'RUN' AND i.destination_id = ?1"
        " AND i.source_type = 'DATASET' ORDER BY i.rowid",
        err));
    TRY(migrate_query(im, &q->input_tags, "input_tags",
                      "SELECT name, value FROM input_tags"
                      " WHERE input_uuid = ?1",
                      err));
    return migrate_query(im, &q->links, "inputs",
                         "SELECT source_type, destination_id, {inputs.step:0}"
                         " FROM inputs WHERE source_type IN"
                         " ('RUN_INPUT', 'RUN_OUTPUT') AND source_id = ?1",
                         err);
}

/* ---- points ---- */

/* *out_at: rowid of the last point here; -1: the run is here as a whole. */
static enum slw_rc
part_get(struct migrate_import *im, struct slw_str run_id, int64_t *out_at,
         struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(slw_stmt_prepare(&st, &im->tx, SQL_PART_GET, err));
    slw_stmt_str(&st, 1, run_id);
    TRY(slw_stmt_step(&st, &row, err));
    *out_at = row ? slw_col_i64(&st, 0) : -1;
    return SLW_OK;
}

/* at < 0: the run is whole. */
static enum slw_rc
part_put(struct migrate_import *im, struct slw_str run_id, int64_t at,
         struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &im->tx, at < 0 ? SQL_PART_REMOVE : SQL_PART_PUT,
                         err));
    slw_stmt_str(&st, 1, run_id);
    if (at >= 0)
        slw_stmt_i64(&st, 2, at);
    return slw_stmt_run(&st, err);
}

static int
by_key(const void *a, const void *b)
{
    return slw_str_cmp(((const struct slw_metric *)a)->key,
                       ((const struct slw_metric *)b)->key);
}

/* Read up to MIGRATE_POINT_COUNT points; *io_at is the last one's rowid. */
static enum slw_rc
points_read(struct migrate_import *im, struct slw_stmt *st,
            struct slw_metric **out, size_t *out_count, int64_t *io_at,
            struct slw_err *err)
{
    slw_arena_reset(&im->batch);
    struct slw_metric *list =
        SLW_ARENA_NEW(&im->batch, struct slw_metric, MIGRATE_POINT_COUNT);
    size_t count = 0;
    while (count < MIGRATE_POINT_COUNT) {
        bool row = false;
        TRY(migrate_step(st, &row, err));
        if (!row)
            break;
        *io_at = slw_col_i64(st, 0);
        list[count++] = (struct slw_metric){
            .key = slw_col_dup(st, 1, &im->batch),
            .value = slw_col_i64(st, 5) ? (double)NAN : slw_col_f64(st, 2),
            .at_ms = slw_col_i64(st, 3),
            .step = slw_col_i64(st, 4)};
    }
    if (count)
        qsort(list, count, sizeof *list, by_key);
    *out = list;
    *out_count = count;
    return SLW_OK;
}

/* The points behind rowid `at`, batch by batch; `parted`: there is a row that
 * says so.  It stays for a run that goes on there. */
static enum slw_rc
points_bring(struct migrate_import *im, struct queries *q,
             const struct slw_run *run, int64_t at, bool parted,
             struct slw_err *err)
{
    struct slw_metric *list = NULL;
    size_t count = 0, last = 0;
    int64_t none = 0;
    const bool goes_on = run->status == SLW_RUN_RUNNING && !run->deleted;
    migrate_ask(&q->points, run->id);
    slw_stmt_i64(&q->points, 2, at);
    for (;;) {
        TRY(points_read(im, &q->points, &list, &last, &at, err));
        TRY(migrate_tx(im, err));
        if (last)
            TRY(slw_track_points_bring(&im->tx, run->id, list, last, err));
        im->counts[MIGRATE_POINTS].brought += (int64_t)last;
        if (last < MIGRATE_POINT_COUNT)
            break;
        parted = true;
        TRY(part_put(im, run->id, at, err));
        TRY(migrate_tick(im, last, err));
    }
    migrate_ask(&q->latest, run->id);
    TRY(points_read(im, &q->latest, &list, &count, &none, err));
    if (count)
        TRY(slw_track_points_bring(&im->tx, run->id, list, count, err));
    if (goes_on || parted)
        TRY(part_put(im, run->id, goes_on ? at : -1, err));
    return migrate_tick(im, last, err);
}

/* ---- runs ---- */

static bool
fits(struct slw_str s, size_t least, size_t most)
{
    return s.len >= least && slw_track_cut(s, most).len == s.len;
}

/* The limits of slw_track_inputs_put, which are MLflow's own. */
static bool
input_fits(const struct slw_input *in)
{
    for (size_t i = 0; i < in->tag_count; i++)
        if (!fits(in->tags[i].key, 0, 255) || !fits(in->tags[i].value, 0, 500))
            return false;
    return fits(in->name, 1, 500) && fits(in->digest, 1, 36) &&
           fits(in->source, 0, 65535) && fits(in->schema, 0, 1048575) &&
           fits(in->profile, 0, 16777215);
}

static enum slw_rc
inputs_read(struct migrate_import *im, struct queries *q,
            struct slw_run_full *r, struct slw_err *err)
{
    size_t cap = 0;
    migrate_ask(&q->inputs, r->run.id);
    for (;;) {
        bool row = false;
        TRY(migrate_step(&q->inputs, &row, err));
        if (!row)
            return SLW_OK;
        struct slw_input in = {.name = migrate_text(im, &q->inputs, 1),
                               .digest = migrate_text(im, &q->inputs, 2),
                               .source_type = migrate_text(im, &q->inputs, 3),
                               .source = migrate_text(im, &q->inputs, 4),
                               .schema = migrate_text(im, &q->inputs, 5),
                               .profile = migrate_text(im, &q->inputs, 6)};
        TRY(migrate_pairs(im, &q->input_tags, migrate_text(im, &q->inputs, 0),
                          &in.tags, &in.tag_count, err));
        if (!input_fits(&in)) {
            migrate_leave(im, MIGRATE_INPUTS,
                          "a name, digest, tag or text of it is too long",
                          "dataset '%.*s' of run %.*s",
                          SLW_FMT(slw_track_cut(in.name, 100)),
                          SLW_FMT(r->run.id));
            continue;
        }
        r->inputs = slw_arena_grow(&im->item, r->inputs, sizeof in,
                                   r->input_count, &cap);
        r->inputs[r->input_count++] = in;
    }
}

static enum slw_rc
links_read(struct migrate_import *im, struct queries *q, struct slw_run_full *r,
           struct slw_err *err)
{
    size_t in_cap = 0, out_cap = 0;
    migrate_ask(&q->links, r->run.id);
    for (;;) {
        bool row = false;
        TRY(migrate_step(&q->links, &row, err));
        if (!row)
            return SLW_OK;
        const bool out = slw_str_eqz(slw_col_str(&q->links, 0), "RUN_OUTPUT");
        struct slw_model_link **list =
            out ? &r->model_outputs : &r->model_inputs;
        size_t *count = out ? &r->model_output_count : &r->model_input_count;
        *list = slw_arena_grow(&im->item, *list, sizeof **list, *count,
                               out ? &out_cap : &in_cap);
        (*list)[(*count)++] = (struct slw_model_link){
            migrate_text(im, &q->links, 1), slw_col_i64(&q->links, 2)};
    }
}

/* The row of `runs`; its name may stand in a tag only. */
static void
run_read(struct migrate_import *im, struct slw_stmt *st,
         struct slw_run_full *out)
{
    struct slw_err err;
    *out = (struct slw_run_full){
        .run = {.id = migrate_text(im, st, 0),
                .name = migrate_text(im, st, 1),
                .user = migrate_text(im, st, 2),
                .status = SLW_RUN_FAILED,
                .start_ms = slw_col_i64(st, 4),
                .end_ms = slw_col_i64(st, 5),
                .deleted = slw_str_eqz(slw_col_str(st, 6), "deleted"),
                .artifact_uri = migrate_text(im, st, 7),
                .experiment_id = slw_col_i64(st, 8)}};
    if (slw_run_status_parse(slw_col_str(st, 3), &out->run.status, &err) !=
        SLW_OK)
        out->run.status = SLW_RUN_FAILED;
}

/* The proxy's URIs name the experiment, whose number may be another here. */
static void
uri_place(struct migrate_import *im, struct slw_run *run)
{
    struct slw_str path;
    if (migrate_place_of(run->artifact_uri, &im->item, &path) == MIGRATE_OURS)
        run->artifact_uri =
            slw_arena_printf(&im->item, "mlflow-artifacts:/%lld/%.*s/artifacts",
                             (long long)run->experiment_id, SLW_FMT(run->id));
}

static enum slw_rc
points_count(struct queries *q, struct slw_str run_id, int64_t *io_count,
             struct slw_err *err)
{
    bool row = false;
    migrate_ask(&q->point_count, run_id);
    TRY(migrate_step(&q->point_count, &row, err));
    *io_count += slw_col_i64(&q->point_count, 0);
    return SLW_OK;
}

static enum slw_rc
run_new(struct migrate_import *im, struct queries *q, struct slw_run_full *r,
        struct slw_err *err)
{
    TRY(migrate_pairs(im, &q->params, r->run.id, &r->params, &r->param_count,
                      err));
    TRY(migrate_pairs(im, &q->tags, r->run.id, &r->tags, &r->tag_count, err));
    TRY(inputs_read(im, q, r, err));
    TRY(links_read(im, q, r, err));
    for (size_t i = 0; i < r->tag_count && r->run.name.len == 0; i++)
        if (slw_str_eqz(r->tags[i].key, "mlflow.runName"))
            r->run.name = r->tags[i].value;
    uri_place(im, &r->run);
    if (!im->o->dry_run)
        TRY(slw_track_run_bring(&im->tx, im->o->now_ms, r, err));
    im->counts[MIGRATE_RUNS].brought++;
    im->counts[MIGRATE_PARAMS].brought += (int64_t)r->param_count;
    im->counts[MIGRATE_TAGS].brought += (int64_t)r->tag_count;
    im->counts[MIGRATE_INPUTS].brought += (int64_t)r->input_count;
    if (!im->o->dry_run)
        return points_bring(im, q, &r->run, 0, false, err);
    return points_count(q, r->run.id, &im->counts[MIGRATE_POINTS].brought, err);
}

/* Said with its experiment; what it has is counted. */
static enum slw_rc
run_leave(struct migrate_import *im, struct queries *q, struct slw_run_full *r,
          struct slw_err *err)
{
    TRY(migrate_pairs(im, &q->params, r->run.id, &r->params, &r->param_count,
                      err));
    TRY(migrate_pairs(im, &q->tags, r->run.id, &r->tags, &r->tag_count, err));
    TRY(inputs_read(im, q, r, err));
    im->counts[MIGRATE_RUNS].left_out++;
    im->counts[MIGRATE_PARAMS].left_out += (int64_t)r->param_count;
    im->counts[MIGRATE_TAGS].left_out += (int64_t)r->tag_count;
    im->counts[MIGRATE_INPUTS].left_out += (int64_t)r->input_count;
    return points_count(q, r->run.id, &im->counts[MIGRATE_POINTS].left_out,
                        err);
}

static enum slw_rc
run_bring(struct migrate_import *im, struct queries *q, struct slw_stmt *st,
          struct slw_err *err)
{
    struct slw_run_full r;
    struct slw_run here;
    int64_t at = -1;
    run_read(im, st, &r);
    r.run.experiment_id = migrate_experiment_of(im, r.run.experiment_id);
    if (r.run.experiment_id < 0)
        return run_leave(im, q, &r, err);
    TRY(migrate_tx(im, err));
    const enum slw_rc rc =
        slw_track_run_get(&im->tx, r.run.id, &im->item, &here, err);
    if (rc == SLW_NOT_FOUND) {
        const enum slw_rc made = run_new(im, q, &r, err);
        if (made != SLW_OK)
            return slw_err_prefix(err, "run %.*s: ", SLW_FMT(r.run.id));
        return migrate_tick(im, 1 + r.param_count + r.tag_count, err);
    }
    TRY(rc);
    TRY(part_get(im, r.run.id, &at, err));
    if (at < 0 || im->o->dry_run)
        return SLW_OK;
    if (here.status == SLW_RUN_RUNNING && !here.deleted) {
        TRY(migrate_pairs(im, &q->params, r.run.id, &r.params, &r.param_count,
                          err));
        TRY(migrate_pairs(im, &q->tags, r.run.id, &r.tags, &r.tag_count, err));
        TRY(slw_track_run_follow(&im->tx, &r, err));
    }
    return points_bring(im, q, &r.run, at, true, err);
}

enum slw_rc
migrate_runs(struct migrate_import *im, struct slw_err *err)
{
    SLW_AUTO(queries, q);
    SLW_AUTO(slw_stmt, st);
    TRY(queries_prepare(im, &q, err));
    TRY(migrate_query(im, &st, "runs",
                      "SELECT run_uuid, name, user_id, status, start_time,"
                      " end_time, lifecycle_stage, artifact_uri,"
                      " experiment_id FROM runs ORDER BY rowid",
                      err));
    for (;;) {
        bool row = false;
        TRY(migrate_step(&st, &row, err));
        if (!row)
            return SLW_OK;
        slw_arena_reset(&im->item);
        TRY(run_bring(im, &q, &st, err));
    }
}

/* ---- logged models ---- */

struct logged_queries {
    struct slw_stmt models, params, tags, metrics;
};

static void
logged_queries_done(struct logged_queries *q)
{
    slw_stmt_done(&q->models);
    slw_stmt_done(&q->params);
    slw_stmt_done(&q->tags);
    slw_stmt_done(&q->metrics);
}

static enum slw_rc
logged_prepare(struct migrate_import *im, struct logged_queries *q,
               struct slw_err *err)
{
    TRY(migrate_query(im, &q->models, "logged_models",
                      "SELECT model_id, experiment_id, name,"
                      " artifact_location, creation_timestamp_ms,"
                      " last_updated_timestamp_ms, status, lifecycle_stage,"
                      " model_type, source_run_id, status_message"
                      " FROM logged_models ORDER BY rowid",
                      err));
    TRY(migrate_query(im, &q->params, "logged_model_params",
                      "SELECT param_key, param_value FROM logged_model_params"
                      " WHERE model_id = ?1",
                      err));
    TRY(migrate_query(im, &q->tags, "logged_model_tags",
                      "SELECT tag_key, tag_value FROM logged_model_tags"
                      " WHERE model_id = ?1",
                      err));
    return migrate_query(im, &q->metrics, "logged_model_metrics",
                         "SELECT metric_name, metric_value,"
                         " metric_timestamp_ms, metric_step, run_id,"
                         " dataset_name, dataset_digest"
                         " FROM logged_model_metrics WHERE model_id = ?1",
                         err);
}

static enum slw_rc
logged_metrics_read(struct migrate_import *im, struct logged_queries *q,
                    struct slw_logged_model *m, struct slw_err *err)
{
    size_t cap = 0;
    migrate_ask(&q->metrics, m->id);
    for (;;) {
        bool row = false;
        TRY(migrate_step(&q->metrics, &row, err));
        if (!row)
            return SLW_OK;
        m->metrics = slw_arena_grow(&im->item, m->metrics, sizeof *m->metrics,
                                    m->metric_count, &cap);
        m->metrics[m->metric_count++] = (struct slw_model_metric){
            .m = {.key = migrate_text(im, &q->metrics, 0),
                  .value = slw_col_f64(&q->metrics, 1),
                  .at_ms = slw_col_i64(&q->metrics, 2),
                  .step = slw_col_i64(&q->metrics, 3)},
            .model_id = m->id,
            .run_id = migrate_text(im, &q->metrics, 4),
            .dataset_name = migrate_text(im, &q->metrics, 5),
            .dataset_digest = migrate_text(im, &q->metrics, 6)};
    }
}

static enum slw_rc
logged_bring(struct migrate_import *im, struct logged_queries *q,
             struct slw_err *err)
{
    struct slw_str path;
    struct slw_stmt *st = &q->models;
    struct slw_logged_model here,
        m = {.id = migrate_text(im, st, 0),
             .experiment_id = migrate_experiment_of(im, slw_col_i64(st, 1)),
             .name = migrate_text(im, st, 2),
             .artifact_uri = migrate_text(im, st, 3),
             .created_at_ms = slw_col_i64(st, 4),
             .updated_at_ms = slw_col_i64(st, 5),
             .status = (enum slw_logged_status)slw_col_i64(st, 6),
             .deleted = slw_str_eqz(slw_col_str(st, 7), "deleted"),
             .model_type = migrate_text(im, st, 8),
             .source_run_id = migrate_text(im, st, 9),
             .status_message = migrate_text(im, st, 10)};
    if (m.experiment_id < 0) {
        im->counts[MIGRATE_LOGGED].left_out++;
        return SLW_OK;
    }
    TRY(migrate_tx(im, err));
    const enum slw_rc rc =
        slw_track_logged_get(&im->tx, m.id, true, &im->item, &here, err);
    if (rc != SLW_NOT_FOUND)
        return rc;
    TRY(migrate_pairs(im, &q->params, m.id, &m.params, &m.param_count, err));
    TRY(migrate_pairs(im, &q->tags, m.id, &m.tags, &m.tag_count, err));
    TRY(logged_metrics_read(im, q, &m, err));
    if (migrate_place_of(m.artifact_uri, &im->item, &path) == MIGRATE_OURS)
        m.artifact_uri = slw_arena_printf(
            &im->item, "mlflow-artifacts:/%lld/models/%.*s/artifacts",
            (long long)m.experiment_id, SLW_FMT(m.id));
    if (!im->o->dry_run)
        TRY(slw_track_logged_bring(&im->tx, &m, err));
    im->counts[MIGRATE_LOGGED].brought++;
    return migrate_tick(im, 1 + m.metric_count, err);
}

enum slw_rc
migrate_logged(struct migrate_import *im, struct slw_err *err)
{
    SLW_AUTO(logged_queries, q);
    TRY(logged_prepare(im, &q, err));
    for (;;) {
        bool row = false;
        TRY(migrate_step(&q.models, &row, err));
        if (!row)
            return SLW_OK;
        slw_arena_reset(&im->item);
        TRY(logged_bring(im, &q, err));
    }
}
