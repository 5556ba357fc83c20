/* bring.c -- taking over what another registry kept: names, numbers, stages
 * and times as they were there.  What is here already wins.
 *
 * A version brought over is old news: it emits no event.  Its aliases are
 * moved by slw_registry_alias_move and do. */
#include "registry/registry_internal.h"

static const char SQL_MODEL_TIMES[] =
    "UPDATE registry_model SET created_at_ms = ?2, updated_at_ms = ?3"
    " WHERE name = ?1";
static const char SQL_RESERVE[] =
    "UPDATE registry_model SET next_version = ?2 WHERE id = ?1"
    " AND next_version < ?2";
static const char SQL_VERSION_ADD[] =
    "INSERT INTO registry_version(model_id, version, release, run_id,"
    " run_link, source, logged_model, description, stage, status, gate_id,"
    " created_at_ms, updated_at_ms) VALUES(?1, ?2, '', ?3, ?4, ?5, ?6, ?7,"
    " ?8, ?9, 0, ?10, ?11)";
static const char SQL_VERSION_SOURCE[] =
    "UPDATE registry_version SET source = ?2 WHERE id = ?1";

enum slw_rc
slw_registry_model_bring(struct slw_tx *tx,
                         const struct slw_registered_model *m, bool *out_new,
                         struct slw_err *err)
{
    int64_t id = 0;
    const enum slw_rc rc =
        registry_model_put(tx, m->created_at_ms, m->name, m->description,
                           m->tags, m->tag_count, &id, err);
    if (rc == SLW_CONFLICT) {
        *out_new = false;
        return SLW_OK;
    }
    TRY(rc);
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_MODEL_TIMES, err));
    slw_stmt_str(&st, 1, m->name);
    slw_stmt_i64(&st, 2, m->created_at_ms);
    slw_stmt_i64(&st, 3, m->updated_at_ms);
    TRY(slw_stmt_run(&st, err));
    *out_new = true;
    return SLW_OK;
}

enum slw_rc
slw_registry_version_reserve(struct slw_tx *tx, struct slw_str model,
                             int64_t version, struct slw_err *err)
{
    int64_t model_id = 0;
    TRY(registry_model_id(tx, model, &model_id, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_RESERVE, err));
    slw_stmt_i64(&st, 1, model_id);
    slw_stmt_i64(&st, 2, version + 1);
    return slw_stmt_run(&st, err);
}

/* What is known of its stages: that it was registered, and what it is in. */
static enum slw_rc
stages_bring(struct slw_tx *tx, int64_t model_id, const struct slw_version *v,
             struct slw_err *err)
{
    struct registry_stage_move m = {.now_ms = v->created_at_ms,
                                    .model_id = model_id,
                                    .version = v->version,
                                    .from = SLW_STR(""),
                                    .to = SLW_STR("None"),
                                    .who = SLW_STR(""),
                                    .why = SLW_STR("")};
    TRY(registry_stage_record(tx, &m, err));
    if (slw_str_eqz(v->stage, "None"))
        return SLW_OK;
    m.now_ms = v->updated_at_ms;
    m.from = SLW_STR("None");
    m.to = v->stage;
    m.why = SLW_STR("brought over; at the latest then");
    return registry_stage_record(tx, &m, err);
}

enum slw_rc
slw_registry_version_bring(struct slw_tx *tx, const struct slw_version *v,
                           struct slw_err *err)
{
    SLW_ASSERT(tx->write);
    int64_t model_id = 0, id = 0;
    TRY(registry_model_id(tx, v->model, &model_id, err));
    {
        SLW_AUTO(slw_stmt, st);
        TRY(slw_stmt_prepare(&st, tx, SQL_VERSION_ADD, err));
        slw_stmt_i64(&st, 1, model_id);
        slw_stmt_i64(&st, 2, v->version);
        slw_stmt_str(&st, 3, v->run_id);
        slw_stmt_str(&st, 4, v->run_link);
        slw_stmt_str(&st, 5, v->source);
        slw_stmt_str(&st, 6, v->logged_model);
        slw_stmt_str(&st, 7, v->description);
        slw_stmt_str(&st, 8, v->stage);
        slw_stmt_str(&st, 9, v->status);
        slw_stmt_i64(&st, 10, v->created_at_ms);
        slw_stmt_i64(&st, 11, v->updated_at_ms);
        TRY(slw_stmt_run(&st, err));
        id = slw_tx_last_id(tx);
    }
    for (size_t i = 0; i < v->tag_count; i++)
        TRY(registry_version_tag_put(tx, id, v->tags[i], err));
    TRY(stages_bring(tx, model_id, v, err));
    return slw_registry_version_reserve(tx, v->model, v->version, err);
}

enum slw_rc
slw_registry_version_locate(struct slw_tx *tx, struct slw_str model,
                            int64_t version, struct slw_str source,
                            struct slw_err *err)
{
    int64_t id = 0;
    TRY(registry_version_id(tx, model, version, &id, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_VERSION_SOURCE, err));
    slw_stmt_i64(&st, 1, id);
    slw_stmt_str(&st, 2, source);
    return slw_stmt_run(&st, err);
}
