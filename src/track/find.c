/* find.c -- which run a person means: by its id, the beginning of it, or its
 * name where only one run has that name. */
#include "track/track_internal.h"

#define ID_SIZE 32
#define PREFIX_MIN 4

/* 'g' is the letter behind the digits of an id. */
static const char SQL_PREFIX[] =
    "SELECT id FROM track_run WHERE id >= ?1 AND id < ?1 || 'g'"
    " ORDER BY id LIMIT 2";

static bool
is_hex(struct slw_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!strchr("0123456789abcdef", s.ptr[i]) || !s.ptr[i])
            return false;
    return s.len > 0;
}

/* Runs that begin so: *out_id of the first, how many (2: more than one). */
static enum slw_rc
by_prefix(struct slw_tx *tx, struct slw_str prefix, struct slw_arena *a,
          struct slw_str *out_id, size_t *out_count, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    size_t count = 0;
    TRY(slw_stmt_prepare(&st, tx, SQL_PREFIX, err));
    slw_stmt_str(&st, 1, prefix);
    for (;; count++) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        if (count == 0)
            *out_id = slw_col_dup(&st, 0, a);
    }
    *out_count = count;
    return SLW_OK;
}

/* By the tag that is the name, which has an index. */
static enum slw_rc
by_name(struct slw_tx *tx, struct slw_str name, struct slw_arena *a,
        struct slw_str *out_id, size_t *out_count, struct slw_err *err)
{
    const char quote = memchr(name.ptr, '\'', name.len) ? '"' : '\'';
    struct slw_run_row *rows = NULL;
    size_t count = 0;
    int64_t total = 0;
    *out_count = 0;
    if (!name.len || memchr(name.ptr, quote, name.len))
        return SLW_OK; /* has both quotes: no filter can say it */
    const struct slw_track_query q = {
        .filter = slw_arena_printf(a, "tags.`mlflow.runName` = %c%.*s%c", quote,
                                   SLW_FMT(name), quote),
        .view = SLW_VIEW_ACTIVE,
        .every_experiment = true,
        .limit = 2};
    TRY(slw_track_run_rows(tx, &q, NULL, 0, a, &rows, &count, &total, err));
    if (count)
        *out_id = rows[0].run.id;
    *out_count = (size_t)total;
    return SLW_OK;
}

enum slw_rc
slw_track_run_find(struct slw_tx *tx, struct slw_str ref, struct slw_arena *a,
                   struct slw_str *out_id, struct slw_err *err)
{
    struct slw_str id = {"", 0};
    size_t count = 0;
    const bool hex = is_hex(ref);
    if (hex && ref.len == ID_SIZE) {
        TRY(by_prefix(tx, ref, a, &id, &count, err));
        if (count == 0)
            return slw_fail(err, SLW_NOT_FOUND, "Run with id=%.*s not found",
                            SLW_FMT(ref));
        *out_id = id;
        return SLW_OK;
    }
    const struct slw_str cut = slw_track_cut(ref, 100);
    TRY(by_name(tx, ref, a, &id, &count, err));
    if (count > 1)
        return slw_fail(err, SLW_INVALID,
                        "%zu runs are called '%.*s'; name one by its id, the "
                        "newest is %.*s",
                        count, SLW_FMT(cut), SLW_FMT(id));
    if (count == 0 && hex && ref.len < ID_SIZE) {
        if (ref.len < PREFIX_MIN)
            return slw_fail(err, SLW_NOT_FOUND,
                            "no run is called '%.*s'; of an id the first %d "
                            "characters are wanted at least",
                            SLW_FMT(cut), PREFIX_MIN);
        TRY(by_prefix(tx, ref, a, &id, &count, err));
        if (count > 1)
            return slw_fail(err, SLW_INVALID,
                            "more than one run's id begins with %.*s",
                            SLW_FMT(cut));
    }
    if (count == 0)
        return slw_fail(err, SLW_NOT_FOUND,
                        "no run is called '%.*s', and no run's id begins so",
                        SLW_FMT(cut));
    *out_id = id;
    return SLW_OK;
}
