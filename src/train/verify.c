/* verify.c -- definitions of models against their hashes and history. */
#include "train/train_internal.h"

#define ROOM "train"
#define FIX "declare it again (slipway apply)"

static const char SQL_MODELS[] =
    "SELECT m.name, m.def, m.hash, m.version, h.def FROM train_model m"
    " LEFT JOIN train_model_history h"
    " ON h.name = m.name AND h.version = m.version";
static const char SQL_GAPS[] =
    "SELECT 0, name || ': ' || count(*) || ' of ' || max(version)"
    " FROM train_model_history GROUP BY name HAVING count(*) <> max(version)";

enum slw_rc
slw_train_verify(struct slw_verify *v, struct slw_err *err)
{
    int64_t count = 0;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &v->tx, SQL_MODELS, err));
    for (;; count++) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        if (!slw_verify_hash_ok(slw_col_str(&st, 2), slw_col_str(&st, 1)))
            slw_verify_fault(v, ROOM, FIX,
                             "the definition of model %.*s is not the one its "
                             "hash names",
                             SLW_FMT(slw_col_str(&st, 0)));
        if (!slw_str_eq(slw_col_str(&st, 1), slw_col_str(&st, 4)))
            slw_verify_fault(v, ROOM, FIX,
                             "definition %lld of model %.*s is not in its "
                             "history",
                             (long long)slw_col_i64(&st, 3),
                             SLW_FMT(slw_col_str(&st, 0)));
    }
    slw_verify_counted(v, "declared models", count);
    return slw_verify_none(v, ROOM, SQL_GAPS,
                           "definitions are missing of model", FIX, err);
}
