/* foreign.c -- a connection to a database that is not ours, behind the same
 * statements. */
#include "store/foreign.h"

#include "store/store_internal.h"

static const char SQL_TABLE[] =
    "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
static const char SQL_COLUMN[] =
    "SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2";

enum slw_rc
slw_foreign_open(struct slw_foreign *f, const char *path, struct slw_err *err)
{
    int64_t size = 0, rows = 0;
    struct store_conn *c = NULL;
    TRY(slw_file_size(path, &size, err));
    TRY(store_conn_open_foreign(&c, path, err));
    enum slw_rc rc = store_conn_exec(c, "BEGIN", err);
    if (rc == SLW_OK) /* the first read takes the snapshot */
        rc =
            store_conn_i64(c, "SELECT count(*) FROM sqlite_schema", &rows, err);
    if (rc != SLW_OK) {
        store_conn_free(c);
        return rc;
    }
    *f = (struct slw_foreign){.tx = {.db = c}};
    return SLW_OK;
}

void
slw_foreign_done(struct slw_foreign *f)
{
    struct store_conn *c = f->tx.db;
    *f = (struct slw_foreign){0};
    if (!c)
        return;
    store_conn_settle(c);
    store_conn_rollback(c);
    store_conn_free(c);
}

enum slw_rc
slw_foreign_has(struct slw_foreign *f, const char *table, const char *column,
                bool *out, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(slw_stmt_prepare(&st, &f->tx, *column ? SQL_COLUMN : SQL_TABLE, err));
    slw_stmt_str(&st, 1, slw_str_of(table));
    if (*column)
        slw_stmt_str(&st, 2, slw_str_of(column));
    TRY(slw_stmt_step(&st, &row, err));
    *out = row;
    return SLW_OK;
}
