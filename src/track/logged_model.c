/* logged_model.c -- logged models: bytes that a run (or nobody) produced,
 * with params, tags and metrics of their own.  They are what MLflow 3 clients
 * write before anything is registered. */
#include <float.h>
#include <math.h>

#include "base/rng.h"
#include "track/track_internal.h"

static const char SQL_ADD[] =
    "INSERT INTO track_model(id, experiment_id, name, model_type,"
    " source_run_id, artifact_uri, status, status_message, deleted,"
    " created_at_ms, updated_at_ms)"
    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, 1, '', 0, ?7, ?7)";
static const char SQL_GET[] =
    "SELECT id, experiment_id, name, model_type, source_run_id, artifact_uri,"
    " status, status_message, deleted, created_at_ms, updated_at_ms"
    " FROM track_model WHERE id = ?1";
static const char SQL_STATUS[] =
    "UPDATE track_model SET status = ?2, updated_at_ms = ?3 WHERE id = ?1";
static const char SQL_DELETE[] =
    "UPDATE track_model SET deleted = 1, updated_at_ms = ?2 WHERE id = ?1";
static const char SQL_PARAM_ADD[] =
    "INSERT INTO track_model_param(model_id, key, value) VALUES(?1, ?2, ?3)"
    " ON CONFLICT(model_id, key) DO NOTHING";
static const char SQL_TAG_PUT[] =
    "INSERT INTO track_model_tag(model_id, key, value) VALUES(?1, ?2, ?3)"
    " ON CONFLICT(model_id, key) DO UPDATE SET value = excluded.value";
static const char SQL_TAG_REMOVE[] =
    "DELETE FROM track_model_tag WHERE model_id = ?1 AND key = ?2";
static const char SQL_METRIC_ADD[] =
    "INSERT INTO track_model_metric(model_id, key, at_ms, step, run_id, value,"
    " dataset_name, dataset_digest)"
    " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8"
    " WHERE EXISTS (SELECT 1 FROM track_model WHERE id = ?1)"
    " ON CONFLICT(model_id, key, at_ms, step, run_id) DO NOTHING";
static const char SQL_PARAMS[] =
    "SELECT key, value FROM track_model_param WHERE model_id = ?1 ORDER BY key";
static const char SQL_TAGS[] =
    "SELECT key, value FROM track_model_tag WHERE model_id = ?1 ORDER BY key";
static const char SQL_METRICS[] =
    "SELECT key, value, at_ms, step, run_id, dataset_name, dataset_digest"
    " FROM track_model_metric WHERE model_id = ?1"
    " ORDER BY key, at_ms, step, run_id";

static enum slw_rc
not_found(struct slw_str id, struct slw_err *err)
{
    return slw_fail(err, SLW_NOT_FOUND,
                    "Logged model with ID '%.*s' not found.", SLW_FMT(id));
}

static enum slw_rc
name_check(struct slw_str name, struct slw_err *err)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] && strchr("/:.%\"'", name.ptr[i]))
            return slw_fail(
                err, SLW_INVALID,
                "Invalid model name ('%.*s') provided. Model name must be a "
                "non-empty string and cannot contain the following "
                "characters: ('/', ':', '.', '%%', '\"', \"'\")",
                SLW_FMT(slw_track_cut(name, 100)));
    }
    return SLW_OK;
}

static enum slw_rc
model_insert(struct slw_tx *tx, const struct slw_logged_model *m,
             struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_ADD, err));
    slw_stmt_str(&st, 1, m->id);
    slw_stmt_i64(&st, 2, m->experiment_id);
    slw_stmt_str(&st, 3, m->name);
    slw_stmt_str(&st, 4, m->model_type);
    slw_stmt_str(&st, 5, m->source_run_id);
    slw_stmt_str(&st, 6, m->artifact_uri);
    slw_stmt_i64(&st, 7, m->created_at_ms);
    return slw_stmt_run(&st, err);
}

enum slw_rc
slw_track_logged_create(struct slw_tx *tx, int64_t now_ms,
                        const struct slw_logged_model *model,
                        struct slw_arena *a, struct slw_logged_model *out,
                        struct slw_err *err)
{
    SLW_ASSERT(tx->write);
    struct slw_experiment e = {0};
    struct slw_logged_model m = *model;
    char hex[33];
    TRY(name_check(m.name, err));
    TRY(track_experiment_active(tx, m.experiment_id, a, &e, err));
    slw_random_hex32(hex);
    m.id = slw_arena_printf(a, "m-%s", hex);
    if (m.name.len == 0)
        m.name = track_name_invent(a, hex);
    const char *slash = slw_str_ends(e.artifact_location, "/") ? "" : "/";
    m.artifact_uri = slw_arena_printf(a, "%.*s%smodels/m-%s/artifacts",
                                      SLW_FMT(e.artifact_location), slash, hex);
    m.created_at_ms = now_ms;
    TRY(model_insert(tx, &m, err));
    TRY(slw_track_logged_put(tx, now_ms, m.id, model->params,
                             model->param_count, model->tags, model->tag_count,
                             err));
    return slw_track_logged_get(tx, m.id, false, a, out, err);
}

static enum slw_rc
kv_read(struct slw_tx *tx, const char *sql, struct slw_str id,
        struct slw_arena *a, struct slw_kv **out, size_t *out_count,
        struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    struct slw_kv *items = NULL;
    size_t count = 0, cap = 0;
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, sql, err));
    slw_stmt_str(&st, 1, id);
    for (;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        items = slw_arena_grow(a, items, sizeof(*items), count, &cap);
        items[count++] =
            (struct slw_kv){slw_col_dup(&st, 0, a), slw_col_dup(&st, 1, a)};
    }
    *out = items;
    *out_count = count;
    return SLW_OK;
}

static enum slw_rc
metrics_read(struct slw_tx *tx, struct slw_logged_model *m, struct slw_arena *a,
             struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    size_t cap = 0;
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_METRICS, err));
    slw_stmt_str(&st, 1, m->id);
    for (;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return SLW_OK;
        m->metrics = slw_arena_grow(a, m->metrics, sizeof(*m->metrics),
                                    m->metric_count, &cap);
        m->metrics[m->metric_count++] = (struct slw_model_metric){
            .m = {.key = slw_col_dup(&st, 0, a),
                  .value = slw_col_f64(&st, 1),
                  .at_ms = slw_col_i64(&st, 2),
                  .step = slw_col_i64(&st, 3)},
            .model_id = m->id,
            .run_id = slw_col_dup(&st, 4, a),
            .dataset_name = slw_col_dup(&st, 5, a),
            .dataset_digest = slw_col_dup(&st, 6, a),
        };
    }
}

enum slw_rc
slw_track_logged_get(struct slw_tx *tx, struct slw_str id, bool deleted_too,
                     struct slw_arena *a, struct slw_logged_model *out,
                     struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_GET, err));
    slw_stmt_str(&st, 1, id);
    TRY(slw_stmt_step(&st, &row, err));
    if (!row || (slw_col_i64(&st, 8) && !deleted_too))
        return not_found(id, err);
    struct slw_logged_model m = {
        .id = slw_col_dup(&st, 0, a),
        .experiment_id = slw_col_i64(&st, 1),
        .name = slw_col_dup(&st, 2, a),
        .model_type = slw_col_dup(&st, 3, a),
        .source_run_id = slw_col_dup(&st, 4, a),
        .artifact_uri = slw_col_dup(&st, 5, a),
        .status = (enum slw_logged_status)slw_col_i64(&st, 6),
        .status_message = slw_col_dup(&st, 7, a),
        .deleted = slw_col_i64(&st, 8) != 0,
        .created_at_ms = slw_col_i64(&st, 9),
        .updated_at_ms = slw_col_i64(&st, 10),
    };
    TRY(kv_read(tx, SQL_PARAMS, m.id, a, &m.params, &m.param_count, err));
    TRY(kv_read(tx, SQL_TAGS, m.id, a, &m.tags, &m.tag_count, err));
    TRY(metrics_read(tx, &m, a, err));
    *out = m;
    return SLW_OK;
}

/* The row must be there and alive. */
static enum slw_rc
require(struct slw_tx *tx, struct slw_str id, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_GET, err));
    slw_stmt_str(&st, 1, id);
    TRY(slw_stmt_step(&st, &row, err));
    if (!row || slw_col_i64(&st, 8))
        return not_found(id, err);
    return SLW_OK;
}

enum slw_rc
slw_track_logged_finalize(struct slw_tx *tx, int64_t now_ms, struct slw_str id,
                          enum slw_logged_status status, struct slw_err *err)
{
    if (status < SLW_LOGGED_PENDING || status > SLW_LOGGED_FAILED)
        return slw_fail(err, SLW_INVALID,
                        "Invalid value %d for parameter 'status' supplied: it "
                        "is 1 (pending), 2 (ready) or 3 (failed)",
                        (int)status);
    TRY(require(tx, id, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_STATUS, err));
    slw_stmt_str(&st, 1, id);
    slw_stmt_i64(&st, 2, (int64_t)status);
    slw_stmt_i64(&st, 3, now_ms);
    return slw_stmt_run(&st, err);
}

enum slw_rc
slw_track_logged_delete(struct slw_tx *tx, int64_t now_ms, struct slw_str id,
                        struct slw_err *err)
{
    TRY(require(tx, id, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_DELETE, err));
    slw_stmt_str(&st, 1, id);
    slw_stmt_i64(&st, 2, now_ms);
    return slw_stmt_run(&st, err);
}

static enum slw_rc
kv_write(struct slw_tx *tx, const char *sql, struct slw_str id,
         struct slw_kv kv, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, sql, err));
    slw_stmt_str(&st, 1, id);
    slw_stmt_str(&st, 2, kv.key);
    slw_stmt_str(&st, 3, kv.value);
    return slw_stmt_run(&st, err);
}

enum slw_rc
slw_track_logged_put(struct slw_tx *tx, int64_t now_ms, struct slw_str id,
                     const struct slw_kv *params, size_t param_count,
                     const struct slw_kv *tags, size_t tag_count,
                     struct slw_err *err)
{
    (void)now_ms; /* MLflow's last_updated moves with the status only */
    TRY(require(tx, id, err));
    for (size_t i = 0; i < param_count; i++) {
        struct slw_kv p = {
            params[i].key,
            slw_track_cut(params[i].value, SLW_TRACK_PARAM_CHARS_MAX)};
        TRY(slw_track_key_check(p.key, "key", err));
        TRY(kv_write(tx, SQL_PARAM_ADD, id, p, err));
        if (slw_tx_changes(tx) == 0)
            return slw_fail(err, SLW_CONFLICT,
                            "Logged model '%.*s' has param '%.*s' already",
                            SLW_FMT(id), SLW_FMT(p.key));
    }
    for (size_t i = 0; i < tag_count; i++) {
        struct slw_kv t = {
            tags[i].key, slw_track_cut(tags[i].value, SLW_TRACK_TAG_CHARS_MAX)};
        TRY(slw_track_key_check(t.key, "key", err));
        TRY(kv_write(tx, SQL_TAG_PUT, id, t, err));
    }
    return SLW_OK;
}

enum slw_rc
slw_track_logged_tag_remove(struct slw_tx *tx, struct slw_str id,
                            struct slw_str key, struct slw_err *err)
{
    TRY(require(tx, id, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_TAG_REMOVE, err));
    slw_stmt_str(&st, 1, id);
    slw_stmt_str(&st, 2, key);
    TRY(slw_stmt_run(&st, err));
    if (slw_tx_changes(tx) == 0)
        return slw_fail(err, SLW_NOT_FOUND,
                        "No tag with key '%.*s' found for model with ID "
                        "'%.*s'.",
                        SLW_FMT(key), SLW_FMT(id));
    return SLW_OK;
}

enum slw_rc
slw_track_logged_metrics(struct slw_tx *tx,
                         const struct slw_model_metric *metrics,
                         size_t metric_count, struct slw_err *err)
{
    for (size_t i = 0; i < metric_count; i++) {
        const struct slw_model_metric *m = &metrics[i];
        double value =
            isinf(m->m.value) ? copysign(DBL_MAX, m->m.value) : m->m.value;
        SLW_AUTO(slw_stmt, st);
        TRY(slw_stmt_prepare(&st, tx, SQL_METRIC_ADD, err));
        slw_stmt_str(&st, 1, m->model_id);
        slw_stmt_str(&st, 2, m->m.key);
        slw_stmt_i64(&st, 3, m->m.at_ms);
        slw_stmt_i64(&st, 4, m->m.step);
        slw_stmt_str(&st, 5, m->run_id);
        slw_stmt_f64(&st, 6, value);
        slw_stmt_str(&st, 7, m->dataset_name);
        slw_stmt_str(&st, 8, m->dataset_digest);
        TRY(slw_stmt_run(&st, err));
    }
    return SLW_OK;
}
