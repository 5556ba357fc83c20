/* gate.c -- what a gate said about a version: every verdict is kept, refusals
 * too; the last one stands in the version. */
#include "registry/registry_internal.h"
#include "store/event.h"

static const char SQL_ADD[] =
    "INSERT INTO registry_gate(version_id, at_ms, passed, gate)"
    " VALUES(?1, ?2, ?3, ?4)";
static const char SQL_POINT[] =
    "UPDATE registry_version SET gate_id = ?2, updated_at_ms = ?3"
    " WHERE id = ?1";
static const char SQL_LIST[] =
    "SELECT at_ms, passed, gate FROM registry_gate WHERE version_id = ?1"
    " ORDER BY id DESC";

static enum slw_rc
announce(struct slw_tx *tx, int64_t now_ms, struct slw_str model,
         int64_t version, bool passed, struct slw_str gate_json,
         struct slw_err *err)
{
    SLW_AUTO(slw_buf, payload);
    struct slw_jw w;
    slw_jw_init(&w, &payload);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "model", model);
    slw_jw_ki64(&w, "version", version);
    slw_jw_kbool(&w, "passed", passed);
    slw_jw_kraw(&w, "gate", gate_json);
    slw_jw_obj_end(&w);
    return slw_event_emit(tx, now_ms, "registry.gated", model,
                          slw_buf_view(&payload), err);
}

enum slw_rc
slw_registry_gate_put(struct slw_tx *tx, int64_t now_ms, struct slw_str model,
                      int64_t version, bool passed, struct slw_str gate_json,
                      struct slw_err *err)
{
    SLW_ASSERT(tx->write);
    int64_t id = 0;
    SLW_AUTO(slw_json, doc); /* what is stored must be readable */
    TRY(slw_json_parse(&doc, gate_json, err));
    if (slw_json_type(doc.root) != SLW_JSON_OBJECT)
        return slw_fail(err, SLW_INVALID, "a gate's result is a JSON object");
    TRY(registry_version_id(tx, model, version, &id, err));
    SLW_AUTO(slw_stmt, add);
    TRY(slw_stmt_prepare(&add, tx, SQL_ADD, err));
    slw_stmt_i64(&add, 1, id);
    slw_stmt_i64(&add, 2, now_ms);
    slw_stmt_i64(&add, 3, passed);
    slw_stmt_str(&add, 4, gate_json);
    TRY(slw_stmt_run(&add, err));
    int64_t gate_id = slw_tx_last_id(tx);
    SLW_AUTO(slw_stmt, point);
    TRY(slw_stmt_prepare(&point, tx, SQL_POINT, err));
    slw_stmt_i64(&point, 1, id);
    slw_stmt_i64(&point, 2, gate_id);
    slw_stmt_i64(&point, 3, now_ms);
    TRY(slw_stmt_run(&point, err));
    return announce(tx, now_ms, model, version, passed, gate_json, err);
}

enum slw_rc
slw_registry_gate_list(struct slw_tx *tx, struct slw_str model, int64_t version,
                       struct slw_arena *a, struct slw_gate_result **out,
                       size_t *out_count, struct slw_err *err)
{
    int64_t id = 0;
    SLW_AUTO(slw_stmt, st);
    struct slw_gate_result *items = NULL;
    size_t count = 0, cap = 0;
    bool row = false;
    TRY(registry_version_id(tx, model, version, &id, err));
    TRY(slw_stmt_prepare(&st, tx, SQL_LIST, err));
    slw_stmt_i64(&st, 1, id);
    for (;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        items = slw_arena_grow(a, items, sizeof(*items), count, &cap);
        items[count++] = (struct slw_gate_result){
            .at_ms = slw_col_i64(&st, 0),
            .passed = slw_col_i64(&st, 1) != 0,
            .gate = slw_col_dup(&st, 2, a),
        };
    }
    *out = items;
    *out_count = count;
    return SLW_OK;
}
