/* bring.c -- taking over what another tracking server kept: rows as they were
 * there, with their ids, times and life cycle.  Unlike the functions that
 * clients reach, these cut nothing and ask for no active run.
 *
 * What is here already wins: nothing is ever overwritten. */
#include "track/track_internal.h"

static const char SQL_EXPERIMENT_ADD[] =
    "INSERT INTO track_experiment(id, name, artifact_location, deleted,"
    " created_at_ms, updated_at_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
static const char SQL_EXPERIMENT_ANY[] =
    "INSERT INTO track_experiment(name, artifact_location, deleted,"
    " created_at_ms, updated_at_ms) VALUES(?2, ?3, ?4, ?5, ?6)";
static const char SQL_EXPERIMENT_LOCATE[] =
    "UPDATE track_experiment SET artifact_location = 'mlflow-artifacts:/' || id"
    " WHERE id = ?1";
static const char SQL_EXPERIMENT_TAG[] =
    "INSERT INTO track_experiment_tag(experiment_id, key, value)"
    " VALUES(?1, ?2, ?3) ON CONFLICT(experiment_id, key) DO NOTHING";
static const char SQL_RUN_ADD[] =
    "INSERT INTO track_run(id, experiment_id, name, user, artifact_uri, status,"
    " deleted, start_ms, end_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
static const char SQL_RUN_STATE[] =
    "UPDATE track_run SET status = ?2, end_ms = ?3 WHERE number = ?1";
static const char SQL_RUN_LOCATE[] =
    "UPDATE track_run SET artifact_uri = ?2 WHERE id = ?1";
static const char SQL_PARAM[] =
    "INSERT INTO track_param(run, key, value) VALUES(?1, ?2, ?3)"
    " ON CONFLICT(run, key) DO NOTHING";
static const char SQL_TAG[] =
    "INSERT INTO track_tag(run, key, value) VALUES(?1, ?2, ?3)"
    " ON CONFLICT(run, key) DO NOTHING";
static const char SQL_MODEL_ADD[] =
    "INSERT INTO track_model(id, experiment_id, name, model_type,"
    " source_run_id, artifact_uri, status, status_message, deleted,"
    " created_at_ms, updated_at_ms)"
    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
static const char SQL_MODEL_PARAM[] =
    "INSERT INTO track_model_param(model_id, key, value) VALUES(?1, ?2, ?3)"
    " ON CONFLICT(model_id, key) DO NOTHING";
static const char SQL_MODEL_TAG[] =
    "INSERT INTO track_model_tag(model_id, key, value) VALUES(?1, ?2, ?3)"
    " ON CONFLICT(model_id, key) DO NOTHING";
static const char SQL_MODEL_LOCATE[] =
    "UPDATE track_model SET artifact_uri = ?2 WHERE id = ?1";

/* ---- experiments ---- */

static enum slw_rc
experiment_insert(struct slw_tx *tx, const struct slw_experiment *e,
                  int64_t *out_id, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(
        &st, tx, e->id < 0 ? SQL_EXPERIMENT_ANY : SQL_EXPERIMENT_ADD, err));
    if (e->id >= 0)
        slw_stmt_i64(&st, 1, e->id);
    slw_stmt_str(&st, 2, e->name);
    slw_stmt_str(&st, 3, e->artifact_location);
    slw_stmt_i64(&st, 4, e->deleted);
    slw_stmt_i64(&st, 5, e->created_at_ms);
    slw_stmt_i64(&st, 6, e->updated_at_ms);
    TRY(slw_stmt_run(&st, err));
    *out_id = slw_tx_last_id(tx);
    if (e->artifact_location.len)
        return SLW_OK;
    SLW_AUTO(slw_stmt, put);
    TRY(slw_stmt_prepare(&put, tx, SQL_EXPERIMENT_LOCATE, err));
    slw_stmt_i64(&put, 1, *out_id);
    return slw_stmt_run(&put, err);
}

enum slw_rc
slw_track_experiment_bring(struct slw_tx *tx, const struct slw_experiment *e,
                           const struct slw_kv *tags, size_t tag_count,
                           int64_t *out_id, struct slw_err *err)
{
    SLW_ASSERT(tx->write);
    SLW_AUTO(slw_arena, a);
    struct slw_experiment here;
    int64_t id = -1;
    enum slw_rc rc = slw_track_experiment_by_name(tx, e->name, &a, &here, err);
    if (rc == SLW_NOT_FOUND)
        TRY(experiment_insert(tx, e, &id, err));
    else
        TRY(rc);
    if (rc == SLW_OK)
        id = here.id;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_EXPERIMENT_TAG, err));
    for (size_t i = 0; i < tag_count; i++) {
        slw_stmt_i64(&st, 1, id);
        slw_stmt_str(&st, 2, tags[i].key);
        slw_stmt_str(&st, 3, tags[i].value);
        TRY(slw_stmt_run(&st, err));
    }
    *out_id = id;
    return SLW_OK;
}

/* ---- runs ---- */

/* Params or tags of a run. */
static enum slw_rc
values_put(struct slw_tx *tx, const char *sql, int64_t run,
           const struct slw_kv *kv, size_t count, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, find);
    SLW_AUTO(slw_stmt, put);
    if (count == 0)
        return SLW_OK;
    TRY(track_key_find_prepare(tx, &find, err));
    TRY(slw_stmt_prepare(&put, tx, sql, err));
    for (size_t i = 0; i < count; i++) {
        int64_t key = 0;
        TRY(track_key_intern_with(tx, &find, kv[i].key, &key, err));
        slw_stmt_i64(&put, 1, run);
        slw_stmt_i64(&put, 2, key);
        slw_stmt_str(&put, 3, kv[i].value);
        TRY(slw_stmt_run(&put, err));
    }
    return SLW_OK;
}

enum slw_rc
slw_track_run_bring(struct slw_tx *tx, int64_t now_ms,
                    const struct slw_run_full *r, struct slw_err *err)
{
    SLW_ASSERT(tx->write);
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_RUN_ADD, err));
    slw_stmt_str(&st, 1, r->run.id);
    slw_stmt_i64(&st, 2, r->run.experiment_id);
    slw_stmt_str(&st, 3, r->run.name);
    slw_stmt_str(&st, 4, r->run.user);
    slw_stmt_str(&st, 5, r->run.artifact_uri);
    slw_stmt_i64(&st, 6, (int64_t)r->run.status);
    slw_stmt_i64(&st, 7, 0); /* until its inputs are in */
    slw_stmt_i64(&st, 8, r->run.start_ms);
    slw_stmt_i64(&st, 9, r->run.end_ms);
    TRY(slw_stmt_run(&st, err));
    const int64_t number = slw_tx_last_id(tx);
    TRY(values_put(tx, SQL_PARAM, number, r->params, r->param_count, err));
    TRY(values_put(tx, SQL_TAG, number, r->tags, r->tag_count, err));
    TRY(slw_track_inputs_put(tx, r->run.id, r->inputs, r->input_count, err));
    TRY(slw_track_model_links_put(tx, r->run.id, false, r->model_inputs,
                                  r->model_input_count, err));
    TRY(slw_track_model_links_put(tx, r->run.id, true, r->model_outputs,
                                  r->model_output_count, err));
    return r->run.deleted ? slw_track_run_mark(tx, now_ms, r->run.id, true, err)
                          : SLW_OK;
}

enum slw_rc
slw_track_run_follow(struct slw_tx *tx, const struct slw_run_full *r,
                     struct slw_err *err)
{
    int64_t number = 0;
    TRY(track_run_number(tx, r->run.id, true, &number, err));
    TRY(values_put(tx, SQL_PARAM, number, r->params, r->param_count, err));
    TRY(values_put(tx, SQL_TAG, number, r->tags, r->tag_count, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_RUN_STATE, err));
    slw_stmt_i64(&st, 1, number);
    slw_stmt_i64(&st, 2, (int64_t)r->run.status);
    slw_stmt_i64(&st, 3, r->run.end_ms);
    return slw_stmt_run(&st, err);
}

static enum slw_rc
locate(struct slw_tx *tx, const char *sql, struct slw_str id,
       struct slw_str uri, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, sql, err));
    slw_stmt_str(&st, 1, id);
    slw_stmt_str(&st, 2, uri);
    return slw_stmt_run(&st, err);
}

enum slw_rc
slw_track_run_locate(struct slw_tx *tx, struct slw_str id, struct slw_str uri,
                     struct slw_err *err)
{
    return locate(tx, SQL_RUN_LOCATE, id, uri, err);
}

/* ---- logged models ---- */

static enum slw_rc
model_values_put(struct slw_tx *tx, const char *sql, struct slw_str id,
                 const struct slw_kv *kv, size_t count, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, sql, err));
    for (size_t i = 0; i < count; i++) {
        slw_stmt_str(&st, 1, id);
        slw_stmt_str(&st, 2, kv[i].key);
        slw_stmt_str(&st, 3, kv[i].value);
        TRY(slw_stmt_run(&st, err));
    }
    return SLW_OK;
}

enum slw_rc
slw_track_logged_bring(struct slw_tx *tx, const struct slw_logged_model *m,
                       struct slw_err *err)
{
    SLW_ASSERT(tx->write);
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_MODEL_ADD, err));
    slw_stmt_str(&st, 1, m->id);
    slw_stmt_i64(&st, 2, m->experiment_id);
    slw_stmt_str(&st, 3, m->name);
    slw_stmt_str(&st, 4, m->model_type);
    slw_stmt_str(&st, 5, m->source_run_id);
    slw_stmt_str(&st, 6, m->artifact_uri);
    slw_stmt_i64(&st, 7, (int64_t)m->status);
    slw_stmt_str(&st, 8, m->status_message);
    slw_stmt_i64(&st, 9, m->deleted);
    slw_stmt_i64(&st, 10, m->created_at_ms);
    slw_stmt_i64(&st, 11, m->updated_at_ms);
    TRY(slw_stmt_run(&st, err));
    TRY(model_values_put(tx, SQL_MODEL_PARAM, m->id, m->params, m->param_count,
                         err));
    TRY(model_values_put(tx, SQL_MODEL_TAG, m->id, m->tags, m->tag_count, err));
    return slw_track_logged_metrics(tx, m->metrics, m->metric_count, err);
}

enum slw_rc
slw_track_logged_locate(struct slw_tx *tx, struct slw_str id,
                        struct slw_str uri, struct slw_err *err)
{
    return locate(tx, SQL_MODEL_LOCATE, id, uri, err);
}
