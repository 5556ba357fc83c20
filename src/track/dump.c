/* dump.c -- everything this room keeps, as tables that need no knowledge of
 * how it keeps them: ids instead of numbers, words instead of codes. */
#include <float.h>

#include "track/track_internal.h"

#include "base/bytes.h"

/* The wanted runs, and the wanted logged models. */
#define RUNS                                                                   \
    " FROM track_run r WHERE (?1 IS NULL OR r.experiment_id IN"                \
    " (SELECT value FROM json_each(?1)))"
#define OF_RUNS(table)                                                         \
    " FROM track_run r JOIN " table " x ON x.run = r.number"                   \
    " JOIN track_key k ON k.id = x.key WHERE (?1 IS NULL OR r.experiment_id"   \
    " IN (SELECT value FROM json_each(?1))) ORDER BY r.number, x.key"
#define OF_MODELS(table)                                                       \
    " FROM track_model m JOIN " table " x ON x.model_id = m.id"                \
    " WHERE (?1 IS NULL OR m.experiment_id IN"                                 \
    " (SELECT value FROM json_each(?1))) ORDER BY m.id, x.key"
#define WANTED(column)                                                         \
    " WHERE (?1 IS NULL OR " column " IN (SELECT value FROM json_each(?1)))"
#define DATASETS                                                               \
    " FROM track_run r JOIN track_input i ON i.run = r.number"                 \
    " JOIN track_dataset d ON d.id = i.dataset_id"
#define STAGE "CASE deleted WHEN 0 THEN 'active' ELSE 'deleted' END"
#define STAGE_OF(t) "CASE " t ".deleted WHEN 0 THEN 'active' ELSE 'deleted' END"

const struct slw_dump_table slw_track_dump_tables[] = {
    {"experiments",
     "experiment_id:BIGINT name:VARCHAR artifact_location:VARCHAR"
     " lifecycle_stage:VARCHAR created_at_ms:BIGINT updated_at_ms:BIGINT",
     "SELECT id, name, artifact_location, " STAGE ", created_at_ms,"
     " updated_at_ms FROM track_experiment" WANTED("id") " ORDER BY id"},
    {"experiment_tags", "experiment_id:BIGINT key:VARCHAR value:VARCHAR",
     "SELECT experiment_id, key, value FROM track_experiment_tag" WANTED(
         "experiment_id") " ORDER BY experiment_id, key"},
    {"runs",
     "run_id:VARCHAR experiment_id:BIGINT name:VARCHAR user:VARCHAR"
     " status:VARCHAR lifecycle_stage:VARCHAR start_ms:BIGINT end_ms:BIGINT"
     " artifact_uri:VARCHAR",
     "SELECT r.id, r.experiment_id, r.name, r.user, CASE r.status"
     " WHEN 1 THEN 'RUNNING' WHEN 2 THEN 'SCHEDULED' WHEN 3 THEN 'FINISHED'"
     " WHEN 4 THEN 'FAILED' ELSE 'KILLED' END, " STAGE_OF(
         "r") ", r.start_ms,"
              " nullif(r.end_ms, 0), r.artifact_uri" RUNS " ORDER BY r.number"},
    {"params", "run_id:VARCHAR key:VARCHAR value:VARCHAR",
     "SELECT r.id, k.name, x.value" OF_RUNS("track_param")},
    {"tags", "run_id:VARCHAR key:VARCHAR value:VARCHAR",
     "SELECT r.id, k.name, x.value" OF_RUNS("track_tag")},
    {"latest_metrics",
     "run_id:VARCHAR key:VARCHAR value:DOUBLE at_ms:BIGINT step:BIGINT",
     "SELECT r.id, k.name, x.value, x.at_ms, x.step" OF_RUNS("track_metric")},
    {"inputs",
     "run_id:VARCHAR dataset_name:VARCHAR dataset_digest:VARCHAR"
     " source_type:VARCHAR source:VARCHAR schema:VARCHAR profile:VARCHAR",
     "SELECT r.id, d.name, d.digest, d.source_type, d.source,"
     " nullif(d.schema, ''), nullif(d.profile, '')" DATASETS WANTED(
         "r.experiment_id") " ORDER BY r.number, d.id"},
    {"input_tags",
     "run_id:VARCHAR dataset_name:VARCHAR dataset_digest:VARCHAR key:VARCHAR"
     " value:VARCHAR",
     "SELECT r.id, d.name, d.digest, t.key, t.value" DATASETS
     " JOIN track_input_tag t ON t.run = i.run AND t.dataset_id ="
     " i.dataset_id" WANTED("r.experiment_id") " ORDER BY r.number, d.id"},
    {"model_links",
     "run_id:VARCHAR direction:VARCHAR model_id:VARCHAR step:BIGINT",
     "SELECT r.id, CASE l.is_output WHEN 0 THEN 'input' ELSE 'output' END,"
     " l.model_id, l.step FROM track_run r JOIN track_model_link l"
     " ON l.run = r.number" WANTED("r.experiment_id") " ORDER BY r.number"},
    {"logged_models",
     "model_id:VARCHAR experiment_id:BIGINT name:VARCHAR model_type:VARCHAR"
     " source_run_id:VARCHAR status:VARCHAR status_message:VARCHAR"
     " lifecycle_stage:VARCHAR created_at_ms:BIGINT updated_at_ms:BIGINT"
     " artifact_uri:VARCHAR",
     "SELECT id, experiment_id, name, nullif(model_type, ''),"
     " nullif(source_run_id, ''), CASE status WHEN 1 THEN 'PENDING' WHEN 2"
     " THEN 'READY' ELSE 'FAILED' END, nullif(status_message, ''), " STAGE
     ", created_at_ms, updated_at_ms, artifact_uri FROM track_model" WANTED(
         "experiment_id") " ORDER BY created_at_ms, id"},
    {"logged_model_params", "model_id:VARCHAR key:VARCHAR value:VARCHAR",
     "SELECT x.model_id, x.key, x.value" OF_MODELS("track_model_param")},
    {"logged_model_tags", "model_id:VARCHAR key:VARCHAR value:VARCHAR",
     "SELECT x.model_id, x.key, x.value" OF_MODELS("track_model_tag")},
    {"logged_model_metrics",
     "model_id:VARCHAR key:VARCHAR value:DOUBLE at_ms:BIGINT step:BIGINT"
     " run_id:VARCHAR dataset_name:VARCHAR dataset_digest:VARCHAR",
     "SELECT x.model_id, x.key, x.value, x.at_ms, x.step,"
     " x.run_id, nullif(x.dataset_name, ''),"
     " nullif(x.dataset_digest, '')" OF_MODELS("track_model_metric")},
    {"artifacts", "path:VARCHAR size:BIGINT sha256:VARCHAR",
     "SELECT path, size, blob FROM track_artifact WHERE (?1 IS NULL OR"
     " CAST(substr(path, 1, instr(path, '/') - 1) AS INTEGER) IN"
     " (SELECT value FROM json_each(?1))) ORDER BY path"},
};
const size_t slw_track_dump_table_count = SLW_ARRAY_LEN(slw_track_dump_tables);

/* ---- points ---- */

static const char SQL_POINTS[] =
    "SELECT r.id, p.points FROM track_run r JOIN track_point p ON"
    " p.id >= r.number * 16777216 AND p.id < (r.number + 1) * 16777216" WANTED(
        "r.experiment_id") " ORDER BY r.number, p.id";
static const char SQL_SERIES[] =
    "SELECT r.id, p.points FROM track_run r CROSS JOIN track_series p ON"
    " p.run = r.number" WANTED("r.experiment_id") " ORDER BY r.number, p.key,"
                                                  " p.seq";

enum slw_rc
slw_track_points_begin(struct slw_point_walk *w, struct slw_tx *tx,
                       struct slw_str experiments, struct slw_err *err)
{
    _Static_assert(1 << TRACK_POINT_SEQ_BITS == 16777216, "as in SQL_POINTS");
    TRY(slw_stmt_prepare(&w->st, tx, SQL_POINTS, err));
    TRY(slw_stmt_prepare(&w->series, tx, SQL_SERIES, err));
    if (experiments.len) {
        slw_stmt_str(&w->st, 1, experiments);
        slw_stmt_str(&w->series, 1, experiments);
    }
    struct track_names *names = SLW_ARENA_NEW(&w->arena, struct track_names, 1);
    names->arena = &w->arena;
    w->names = names;
    return SLW_OK;
}

enum slw_rc
slw_track_points_next(struct slw_point_walk *w, struct slw_metric *out,
                      bool *out_more, struct slw_err *err)
{
    while (w->at + TRACK_POINT_SIZE > w->points.len) {
        struct slw_stmt *st = w->in_series ? &w->series : &w->st;
        TRY(slw_stmt_step(st, out_more, err));
        if (!*out_more && w->in_series)
            return SLW_OK;
        w->at = 0;
        w->points = (struct slw_str){"", 0};
        if (!*out_more) {
            w->in_series = true;
            continue;
        }
        w->run_id = slw_col_str(st, 0);
        w->points = slw_col_blob(st, 1);
    }
    const uint8_t *p = (const uint8_t *)w->points.ptr + w->at;
    const uint64_t bits = slw_get_u64(p + 4);
    w->at += TRACK_POINT_SIZE;
    *out_more = true;
    TRY(track_name(w->st.tx, w->names, slw_get_u32(p), &out->key, err));
    memcpy(&out->value, &bits, sizeof(out->value));
    out->at_ms = (int64_t)slw_get_u64(p + 12);
    out->step = (int64_t)slw_get_u64(p + 20);
    return SLW_OK;
}

void
slw_point_walk_done(struct slw_point_walk *w)
{
    slw_stmt_done(&w->st);
    slw_stmt_done(&w->series);
    slw_arena_done(&w->arena);
}
