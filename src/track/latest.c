/* latest.c -- the newest value of each metric of a run: the greatest of its
 * points by (step, at_ms, value), in track_metric, where searches find it.
 *
 * Entering a value costs a row and its place in the index by value, many times
 * what the point itself costs, and the next call replaces it.  So a call only
 * notes that its run is unsettled (track_unsettled); what its points changed is
 * entered for many calls at once: every SETTLE_CALLS of them, when too many
 * runs wait, when the run ends, and before anybody reads. */
#include <math.h>

#include "base/log.h"
#include "track/track_internal.h"

/* One row, or many at once: half the work of a row is the statement's. */
#define PUT_ROW "(?, ?, ?, ?, ?)"
#define PUT_ROWS_4 PUT_ROW ", " PUT_ROW ", " PUT_ROW ", " PUT_ROW
#define PUT(rows)                                                              \
    "INSERT INTO track_metric(run, key, value, at_ms, step) VALUES " rows      \
    " ON CONFLICT(run, key) DO UPDATE SET"                                     \
    " value = excluded.value, at_ms = excluded.at_ms, step = excluded.step"    \
    " WHERE (excluded.step, excluded.at_ms, coalesce(excluded.value, 0))"      \
    " > (track_metric.step, track_metric.at_ms,"                               \
    " coalesce(track_metric.value, 0))"
static const char SQL_PUT[] = PUT(PUT_ROW);
#define PUT_MANY 16
static const char SQL_PUT_MANY[] =
    PUT(PUT_ROWS_4 ", " PUT_ROWS_4 ", " PUT_ROWS_4 ", " PUT_ROWS_4);
static const char SQL_WAITING[] =
    "SELECT first FROM track_unsettled WHERE run = ?1";
static const char SQL_NOTE[] =
    "INSERT INTO track_unsettled(run, first) VALUES(?1, ?2)";
static const char SQL_COUNT[] = "SELECT count(*) FROM track_unsettled";
static const char SQL_NEXT[] =
    "SELECT run, first FROM track_unsettled ORDER BY run LIMIT 1";
static const char SQL_SETTLED[] = "DELETE FROM track_unsettled WHERE run = ?1";

/* What a reader may have to wait for: runs, and calls of each. */
#define UNSETTLED_RUNS_MAX 256
#define SETTLE_CALLS 32

static bool
is_greater(const struct slw_point *a, const struct slw_point *b)
{
    if (a->step != b->step)
        return a->step > b->step;
    if (a->at_ms != b->at_ms)
        return a->at_ms > b->at_ms;
    return (isnan(a->value) ? 0 : a->value) > (isnan(b->value) ? 0 : b->value);
}

static int
by_key(const void *va, const void *vb)
{
    const struct track_point *a = va, *b = vb;
    return (a->key > b->key) - (a->key < b->key);
}

/* The greatest point of each metric, by metric; the number of them.  `out` has
 * room for as many as there are points. */
static size_t
greatest_of(const struct track_point *points, size_t count,
            struct track_point *out, struct slw_arena *a)
{
    size_t found = 0, slots = 16;
    while (slots < count * 2)
        slots *= 2;
    uint32_t *table = slw_arena_alloc_many(a, sizeof(*table), slots);
    memset(table, 0, sizeof(*table) * slots);
    for (size_t i = 0; i < count; i++) {
        size_t at =
            (size_t)((uint64_t)points[i].key * 0x9e3779b97f4a7c15U >> 32);
        for (at &= slots - 1; table[at]; at = (at + 1) & (slots - 1))
            if (out[table[at] - 1].key == points[i].key)
                break;
        if (!table[at]) {
            out[found++] = points[i];
            table[at] = (uint32_t)found;
        } else if (is_greater(&points[i].at, &out[table[at] - 1].at)) {
            out[table[at] - 1].at = points[i].at;
        }
    }
    qsort(out, found, sizeof(*out), by_key);
    return found;
}

/* Rows of so many points, which a statement for that many takes. */
static enum slw_rc
rows_put(struct slw_stmt *put, int64_t run, const struct track_point *points,
         size_t count, struct slw_err *err)
{
    for (size_t i = 0; i < count; i++) {
        const int at = (int)i * 5;
        slw_stmt_i64(put, at + 1, run);
        slw_stmt_i64(put, at + 2, points[i].key);
        slw_stmt_f64(put, at + 3, points[i].at.value);
        slw_stmt_i64(put, at + 4, points[i].at.at_ms);
        slw_stmt_i64(put, at + 5, points[i].at.step);
    }
    return slw_stmt_run(put, err);
}

enum slw_rc
track_latest_put(struct slw_tx *tx, int64_t run,
                 const struct track_point *points, size_t count,
                 struct slw_arena *a, struct slw_err *err)
{
    struct track_point *greatest = SLW_ARENA_NEW(a, struct track_point, count);
    size_t left = greatest_of(points, count, greatest, a), done = 0;
    if (left >= PUT_MANY) {
        SLW_AUTO(slw_stmt, many);
        TRY(slw_stmt_prepare(&many, tx, SQL_PUT_MANY, err));
        for (; left >= PUT_MANY; left -= PUT_MANY, done += PUT_MANY)
            TRY(rows_put(&many, run, greatest + done, PUT_MANY, err));
    }
    SLW_AUTO(slw_stmt, one);
    TRY(slw_stmt_prepare(&one, tx, SQL_PUT, err));
    for (; left > 0; left--, done++)
        TRY(rows_put(&one, run, greatest + done, 1, err));
    return SLW_OK;
}

/* Enter what the points from `first` on changed. */
static enum slw_rc
settle_from(struct slw_tx *tx, int64_t run, int64_t first, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_buf, points);
    SLW_AUTO(slw_stmt, settled);
    TRY(track_points_tail(tx, run, first, &points, err));
    TRY(track_latest_put(tx, run,
                         (const struct track_point *)(void *)points.ptr,
                         points.len / sizeof(struct track_point), &a, err));
    TRY(slw_stmt_prepare(&settled, tx, SQL_SETTLED, err));
    slw_stmt_i64(&settled, 1, run);
    return slw_stmt_run(&settled, err);
}

enum slw_rc
track_settle(struct slw_tx *tx, int64_t run, struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_WAITING, err));
    slw_stmt_i64(&st, 1, run);
    TRY(slw_stmt_step(&st, &row, err));
    return row ? settle_from(tx, run, slw_col_i64(&st, 0), err) : SLW_OK;
}

/* Settle waiting runs until at most `left` wait. */
static enum slw_rc
settle_some(struct slw_tx *tx, int64_t left, struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, count);
    TRY(slw_stmt_prepare(&count, tx, SQL_COUNT, err));
    TRY(slw_stmt_step(&count, &row, err));
    const int64_t waiting = row ? slw_col_i64(&count, 0) : 0;
    slw_stmt_reset(&count);
    for (int64_t i = waiting; i > left; i--) {
        SLW_AUTO(slw_stmt, next);
        TRY(slw_stmt_prepare(&next, tx, SQL_NEXT, err));
        TRY(slw_stmt_step(&next, &row, err));
        SLW_ASSERT(row);
        const int64_t run = slw_col_i64(&next, 0), from = slw_col_i64(&next, 1);
        slw_stmt_reset(&next);
        TRY(settle_from(tx, run, from, err));
    }
    return SLW_OK;
}

enum slw_rc
track_unsettle(struct slw_tx *tx, int64_t run, int64_t first, int64_t id,
               struct slw_err *err)
{
    if (first >= 0)
        return id - first + 1 < SETTLE_CALLS ? SLW_OK
                                             : settle_from(tx, run, first, err);
    SLW_AUTO(slw_stmt, note);
    TRY(slw_stmt_prepare(&note, tx, SQL_NOTE, err));
    slw_stmt_i64(&note, 1, run);
    slw_stmt_i64(&note, 2, id);
    TRY(slw_stmt_run(&note, err));
    return settle_some(tx, UNSETTLED_RUNS_MAX, err);
}

/* ---- readers ---- */

static enum slw_rc
any_waits(struct slw_tx *tx, bool *out, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_NEXT, err));
    return slw_stmt_step(&st, out, err);
}

static enum slw_rc
settle_all(struct slw_store *s, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, s, err));
    TRY(settle_some(&tx, 0, err));
    return slw_tx_commit(&tx, err);
}

enum slw_rc
slw_track_read(struct slw_tx *tx, struct slw_store *s, struct slw_err *err)
{
    bool waits = false;
    struct slw_err failed;
    TRY(slw_tx_read(tx, s, err));
    TRY(any_waits(tx, &waits, err));
    if (!waits)
        return SLW_OK;
    slw_tx_done(tx);
    if (settle_all(s, &failed) != SLW_OK)
        slw_log_err(SLW_LOG_WARN, "track.unsettled", &failed);
    return slw_tx_read(tx, s, err);
}
