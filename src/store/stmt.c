/* stmt.c -- binding, running and reading prepared statements.
 *
 * A failed bind is remembered and reported by the next run or step, so that
 * callers bind without checking each. */
#include "store/store_internal.h"

#include <math.h>

static void
note_bind(struct slw_stmt *st, int rc)
{
    if (rc != SQLITE_OK && st->bind_error == SQLITE_OK)
        st->bind_error = rc;
}

void
slw_stmt_i64(struct slw_stmt *st, int at, int64_t v)
{
    note_bind(st, sqlite3_bind_int64(st->stmt, at, v));
}

void
slw_stmt_f64(struct slw_stmt *st, int at, double v)
{
    if (isnan(v))
        slw_stmt_null(st, at);
    else
        note_bind(st, sqlite3_bind_double(st->stmt, at, v));
}

void
slw_stmt_str(struct slw_stmt *st, int at, struct slw_str v)
{
    note_bind(st, sqlite3_bind_text64(st->stmt, at, v.ptr ? v.ptr : "", v.len,
                                      SQLITE_STATIC, SQLITE_UTF8));
}

void
slw_stmt_blob(struct slw_stmt *st, int at, const void *bytes, size_t len)
{
    note_bind(st, sqlite3_bind_blob64(st->stmt, at, bytes ? bytes : "", len,
                                      SQLITE_STATIC));
}

void
slw_stmt_null(struct slw_stmt *st, int at)
{
    note_bind(st, sqlite3_bind_null(st->stmt, at));
}

/* SQLITE_RANGE is a wrong ?n: our own mistake.  TOOBIG and NOMEM are not. */
static enum slw_rc
check_binds(struct slw_stmt *st, struct slw_err *err)
{
    SLW_ASSERT(st->stmt);
    SLW_ASSERT(st->tx->db);
    SLW_ASSERT(st->bind_error != SQLITE_RANGE);
    SLW_ASSERT(st->bind_error != SQLITE_MISUSE);
    if (st->bind_error == SQLITE_OK)
        return SLW_OK;
    st->bind_error = SQLITE_OK;
    return slw_fail(err, SLW_LIMIT, "a value is too large for the database");
}

enum slw_rc
slw_stmt_step(struct slw_stmt *st, bool *out_row, struct slw_err *err)
{
    TRY(check_binds(st, err));
    const int rc = sqlite3_step(st->stmt);
    if (rc == SQLITE_ROW) {
        *out_row = true;
        return SLW_OK;
    }
    if (rc != SQLITE_DONE) {
        const enum slw_rc failed =
            store_conn_fail(st->tx->db, rc, "cannot run a query", err);
        (void)sqlite3_reset(st->stmt);
        return failed;
    }
    (void)sqlite3_reset(st->stmt);
    *out_row = false;
    return SLW_OK;
}

enum slw_rc
slw_stmt_run(struct slw_stmt *st, struct slw_err *err)
{
    bool row = true;
    while (row) /* RETURNING gives rows that nobody reads here */
        TRY(slw_stmt_step(st, &row, err));
    return SLW_OK;
}

void
slw_stmt_reset(struct slw_stmt *st)
{
    if (st->stmt && st->tx->db)
        (void)sqlite3_reset(st->stmt);
}

int64_t
slw_col_i64(struct slw_stmt *st, int at)
{
    return sqlite3_column_int64(st->stmt, at);
}

double
slw_col_f64(struct slw_stmt *st, int at)
{
    if (slw_col_null(st, at))
        return (double)NAN;
    return sqlite3_column_double(st->stmt, at);
}

struct slw_str
slw_col_str(struct slw_stmt *st, int at)
{
    const unsigned char *text = sqlite3_column_text(st->stmt, at);
    if (!text)
        return SLW_STR("");
    return (struct slw_str){(const char *)text,
                            (size_t)sqlite3_column_bytes(st->stmt, at)};
}

struct slw_str
slw_col_blob(struct slw_stmt *st, int at)
{
    const void *bytes = sqlite3_column_blob(st->stmt, at);
    if (!bytes)
        return SLW_STR("");
    return (struct slw_str){bytes, (size_t)sqlite3_column_bytes(st->stmt, at)};
}

bool
slw_col_null(struct slw_stmt *st, int at)
{
    return sqlite3_column_type(st->stmt, at) == SQLITE_NULL;
}

struct slw_str
slw_col_dup(struct slw_stmt *st, int at, struct slw_arena *a)
{
    return slw_arena_str(a, slw_col_str(st, at));
}
