/* points.c -- where the points of metrics lie.
 *
 * A call's points are packed into one row of track_point: one insert, however
 * many metrics.  Such rows are quick to write and slow to read, a row for each
 * step and all metrics in one.  So the writer folds them from time to time:
 * the points that came together are sorted by metric and time and become one
 * row a metric in track_series.  Both happen in the caller's transaction, so
 * a point is in one of the two tables, and in no other.  What is the newest
 * value of a metric is entered apart, and later (latest.c). */
#include <math.h>

#include "track/track_internal.h"

#include "base/bytes.h"

static const char SQL_ADD[] =
    "INSERT INTO track_point(id, points) VALUES(?1, ?2)";
/* Three seeks; min and max in one SELECT would be a scan. */
static const char SQL_ENDS[] =
    "SELECT (SELECT min(id) FROM track_point WHERE id >= ?1 AND id < ?2),"
    " (SELECT max(id) FROM track_point WHERE id >= ?1 AND id < ?2),"
    " (SELECT first FROM track_unsettled WHERE run = ?3)";
static const char SQL_TAIL[] =
    "SELECT points FROM track_point WHERE id >= ?1 AND id < ?2 ORDER BY id";
static const char SQL_TAIL_REMOVE[] =
    "DELETE FROM track_point WHERE id >= ?1 AND id < ?2";
static const char SQL_SEQ[] =
    "SELECT max(seq) FROM track_series WHERE run = ?1 AND key = ?2";
static const char SQL_SERIES_ADD[] =
    "INSERT INTO track_series(run, key, seq, count, first_at_ms, first_step,"
    " last_at_ms, last_step, points)"
    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
static const char SQL_SERIES[] =
    "SELECT id, count, first_at_ms, first_step, last_at_ms, last_step"
    " FROM track_series WHERE run = ?1 AND key = ?2 ORDER BY seq";
static const char SQL_SERIES_POINTS[] =
    "SELECT points FROM track_series WHERE id = ?1";

/* Calls of a run between two folds, and points that a fold takes at most (28
 * MB): large calls are folded more often. */
#define FOLD_CALLS 1024
#define FOLD_POINTS ((size_t)1 << 20)
/* A call of so many points is settled at once, and so many of one metric go to
 * track_series. */
#define SERIES_AT_ONCE 256

static int64_t
tail_begin(int64_t run)
{
    return run << TRACK_POINT_SEQ_BITS;
}

static void
pack(const struct track_point *p, uint8_t *to)
{
    uint64_t bits;
    memcpy(&bits, &p->at.value, sizeof(bits));
    slw_put_u32(to, (uint32_t)p->key);
    slw_put_u64(to + 4, bits);
    slw_put_u64(to + 12, (uint64_t)p->at.at_ms);
    slw_put_u64(to + 20, (uint64_t)p->at.step);
}

static inline void
unpack(const uint8_t *from, struct slw_point *p)
{
    const uint64_t bits = slw_get_u64(from + 4);
    memcpy(&p->value, &bits, sizeof(p->value));
    p->at_ms = (int64_t)slw_get_u64(from + 12);
    p->step = (int64_t)slw_get_u64(from + 20);
}

/* NaN counts as 0, as in MLflow, but is a point of its own. */
static int
value_compare(double a, double b)
{
    const double x = isnan(a) ? 0 : a, y = isnan(b) ? 0 : b;
    if (x < y || x > y)
        return x < y ? -1 : 1;
    return (isnan(a) != 0) - (isnan(b) != 0);
}

static int
by_time(const void *va, const void *vb)
{
    const struct slw_point *a = va, *b = vb;
    if (a->at_ms != b->at_ms)
        return a->at_ms < b->at_ms ? -1 : 1;
    if (a->step != b->step)
        return a->step < b->step ? -1 : 1;
    return value_compare(a->value, b->value);
}

static int
by_key_then_time(const void *va, const void *vb)
{
    const struct track_point *a = va, *b = vb;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return by_time(&a->at, &b->at);
}

/* Sorts by metric and time and drops what is there twice; the number left. */
static size_t
tidy(struct track_point *points, size_t count)
{
    size_t kept = 0;
    bool sorted = true;
    for (size_t i = 1; i < count && sorted; i++)
        sorted = by_key_then_time(&points[i - 1], &points[i]) <= 0;
    if (!sorted)
        qsort(points, count, sizeof(*points), by_key_then_time);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || by_key_then_time(&points[kept - 1], &points[i]) != 0)
            points[kept++] = points[i];
    return kept;
}

/* The same of points of one metric. */
static size_t
tidy_one(struct slw_point *points, size_t count)
{
    size_t kept = 0;
    bool sorted = true;
    for (size_t i = 1; i < count && sorted; i++)
        sorted = by_time(&points[i - 1], &points[i]) <= 0;
    if (!sorted)
        qsort(points, count, sizeof(*points), by_time);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || by_time(&points[kept - 1], &points[i]) != 0)
            points[kept++] = points[i];
    return kept;
}

/* ---- writing ---- */

/* Points of one metric, tidy. */
static enum slw_rc
series_add(struct slw_tx *tx, int64_t run, const struct track_point *points,
           size_t count, struct slw_err *err)
{
    SLW_AUTO(slw_buf, packed);
    SLW_AUTO(slw_stmt, seq);
    SLW_AUTO(slw_stmt, add);
    bool row = false;
    for (size_t i = 0; i < count; i++) {
        uint8_t bytes[TRACK_POINT_SIZE];
        pack(&points[i], bytes);
        slw_buf_add(&packed, bytes, sizeof(bytes));
    }
    TRY(slw_buf_check(&packed, err));
    TRY(slw_stmt_prepare(&seq, tx, SQL_SEQ, err));
    slw_stmt_i64(&seq, 1, run);
    slw_stmt_i64(&seq, 2, points[0].key);
    TRY(slw_stmt_step(&seq, &row, err));
    const int64_t next = slw_col_null(&seq, 0) ? 0 : slw_col_i64(&seq, 0) + 1;
    slw_stmt_reset(&seq);
    TRY(slw_stmt_prepare(&add, tx, SQL_SERIES_ADD, err));
    slw_stmt_i64(&add, 1, run);
    slw_stmt_i64(&add, 2, points[0].key);
    slw_stmt_i64(&add, 3, next);
    slw_stmt_i64(&add, 4, (int64_t)count);
    slw_stmt_i64(&add, 5, points[0].at.at_ms);
    slw_stmt_i64(&add, 6, points[0].at.step);
    slw_stmt_i64(&add, 7, points[count - 1].at.at_ms);
    slw_stmt_i64(&add, 8, points[count - 1].at.step);
    slw_stmt_blob(&add, 9, packed.ptr, packed.len);
    return slw_stmt_run(&add, err);
}

/* Points of any metrics: those of one with at least `least` become a row of
 * track_series; the others are moved to the front of the array. */
static enum slw_rc
series_split(struct slw_tx *tx, int64_t run, struct track_point *points,
             size_t *count, size_t least, struct slw_err *err)
{
    size_t left = 0, end;
    const size_t all = tidy(points, *count);
    for (size_t i = 0; i < all; i = end) {
        for (end = i + 1; end < all && points[end].key == points[i].key;)
            end++;
        if (end - i >= least) {
            TRY(series_add(tx, run, points + i, end - i, err));
            continue;
        }
        memmove(points + left, points + i, (end - i) * sizeof(*points));
        left += end - i;
    }
    *count = left;
    return SLW_OK;
}

/* Rows from..end of track_point one after the other, packed as they are. */
static enum slw_rc
tail_read(struct slw_tx *tx, int64_t from, int64_t end,
          void (*take)(void *ctx, const uint8_t *point), void *ctx,
          struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = true;
    TRY(slw_stmt_prepare(&st, tx, SQL_TAIL, err));
    slw_stmt_i64(&st, 1, from);
    slw_stmt_i64(&st, 2, end);
    for (;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return SLW_OK;
        const struct slw_str blob = slw_col_blob(&st, 0);
        for (size_t i = 0; i + TRACK_POINT_SIZE <= blob.len;
             i += TRACK_POINT_SIZE)
            take(ctx, (const uint8_t *)blob.ptr + i);
    }
}

static void
take_with_key(void *ctx, const uint8_t *from)
{
    struct track_point p = {.key = slw_get_u32(from)};
    unpack(from, &p.at);
    slw_buf_add(ctx, &p, sizeof(p));
}

enum slw_rc
track_points_tail(struct slw_tx *tx, int64_t run, int64_t from,
                  struct slw_buf *out, struct slw_err *err)
{
    TRY(tail_read(tx, from, tail_begin(run + 1), take_with_key, out, err));
    return slw_buf_check(out, err);
}

/* The oldest rows of the tail, which are all but in folders of old. */
static enum slw_rc
fold(struct slw_tx *tx, int64_t run, int64_t from, struct slw_err *err)
{
    const int64_t end = from + FOLD_CALLS;
    SLW_AUTO(slw_buf, all);
    SLW_AUTO(slw_stmt, remove);
    TRY(track_settle(tx, run, err)); /* that reads them here */
    TRY(tail_read(tx, from, end, take_with_key, &all, err));
    TRY(slw_buf_check(&all, err));
    struct track_point *points = (struct track_point *)(void *)all.ptr;
    size_t count = all.len / sizeof(*points);
    TRY(series_split(tx, run, points, &count, 1, err));
    TRY(slw_stmt_prepare(&remove, tx, SQL_TAIL_REMOVE, err));
    slw_stmt_i64(&remove, 1, from);
    slw_stmt_i64(&remove, 2, end);
    return slw_stmt_run(&remove, err);
}

/* Where the run's tail lies. */
struct tail {
    int64_t first, next; /* ids */
    int64_t unsettled;   /* from this id on; -1: nothing is */
};

static enum slw_rc
tail_find(struct slw_tx *tx, int64_t run, struct tail *out, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, ends);
    bool row = false;
    TRY(slw_stmt_prepare(&ends, tx, SQL_ENDS, err));
    slw_stmt_i64(&ends, 1, tail_begin(run));
    slw_stmt_i64(&ends, 2, tail_begin(run + 1));
    slw_stmt_i64(&ends, 3, run);
    TRY(slw_stmt_step(&ends, &row, err));
    const bool empty = slw_col_null(&ends, 0);
    out->first = empty ? tail_begin(run) : slw_col_i64(&ends, 0);
    out->next = empty ? out->first : slw_col_i64(&ends, 1) + 1;
    out->unsettled = slw_col_null(&ends, 2) ? -1 : slw_col_i64(&ends, 2);
    if (out->next >= tail_begin(run + 1))
        return slw_fail(err, SLW_LIMIT, "the run has too many points");
    return SLW_OK;
}

static enum slw_rc
tail_add(struct slw_tx *tx, int64_t id, const struct track_point *points,
         size_t count, struct slw_arena *a, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, add);
    uint8_t *bytes = slw_arena_alloc_many(a, TRACK_POINT_SIZE, count);
    for (size_t i = 0; i < count; i++)
        pack(&points[i], bytes + i * TRACK_POINT_SIZE);
    TRY(slw_stmt_prepare(&add, tx, SQL_ADD, err));
    slw_stmt_i64(&add, 1, id);
    slw_stmt_blob(&add, 2, bytes, count * TRACK_POINT_SIZE);
    return slw_stmt_run(&add, err);
}

enum slw_rc
track_points_add(struct slw_tx *tx, int64_t run, struct track_point *points,
                 size_t count, struct slw_arena *a, struct slw_err *err)
{
    struct tail tail;
    const bool many = count >= SERIES_AT_ONCE;
    if (many) {
        TRY(track_settle(tx, run, err));
        TRY(track_latest_put(tx, run, points, count, a, err));
        TRY(series_split(tx, run, points, &count, SERIES_AT_ONCE, err));
    }
    if (count == 0)
        return SLW_OK;
    TRY(tail_find(tx, run, &tail, err));
    TRY(tail_add(tx, tail.next, points, count, a, err));
    if (!many)
        TRY(track_unsettle(tx, run, tail.unsettled, tail.next, err));
    const size_t calls = (size_t)(tail.next - tail.first) + 1;
    if (calls < FOLD_CALLS && calls * count < FOLD_POINTS)
        return SLW_OK;
    return fold(tx, run, tail.first, err);
}

/* ---- reading ---- */

/* One row of track_series. */
struct piece {
    int64_t id;
    size_t count;
    struct slw_point first, last; /* without values */
};

static enum slw_rc
pieces_read(struct slw_tx *tx, int64_t run, int64_t key, struct slw_buf *out,
            struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = true;
    TRY(slw_stmt_prepare(&st, tx, SQL_SERIES, err));
    slw_stmt_i64(&st, 1, run);
    slw_stmt_i64(&st, 2, key);
    for (;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return slw_buf_check(out, err);
        const struct piece p = {
            .id = slw_col_i64(&st, 0),
            .count = (size_t)slw_col_i64(&st, 1),
            .first = {slw_col_i64(&st, 2), slw_col_i64(&st, 3), 0},
            .last = {slw_col_i64(&st, 4), slw_col_i64(&st, 5), 0}};
        slw_buf_add(out, &p, sizeof(p));
    }
}

/* Does b begin behind a's end, whatever their values are? */
static bool
is_behind(const struct slw_point *a, const struct slw_point *b)
{
    return b->at_ms > a->at_ms || (b->at_ms == a->at_ms && b->step > a->step);
}

static enum slw_rc
piece_points(struct slw_tx *tx, const struct piece *p, struct slw_buf *out,
             struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_SERIES_POINTS, err));
    slw_stmt_i64(&st, 1, p->id);
    TRY(slw_stmt_step(&st, &row, err));
    const struct slw_str blob = slw_col_blob(&st, 0);
    if (!row || blob.len != p->count * TRACK_POINT_SIZE)
        return slw_fail(err, SLW_CORRUPT,
                        "row %lld of track_series has %zu bytes for %zu points",
                        (long long)p->id, blob.len, p->count);
    struct slw_point *to = slw_buf_room(out, p->count * sizeof(*to));
    for (size_t i = 0; to && i < p->count; i++)
        unpack((const uint8_t *)blob.ptr + i * TRACK_POINT_SIZE, &to[i]);
    return slw_buf_check(out, err);
}

/* Drop all of `found` but the points from `offset`, at most `limit`. */
static void
cut(struct slw_buf *found, size_t offset, size_t limit)
{
    const size_t size = sizeof(struct slw_point);
    const size_t count = found->len / size;
    const size_t from = offset < count ? offset : count;
    const size_t left = count - from < limit ? count - from : limit;
    if (left)
        memmove(found->ptr, found->ptr + from * size, left * size);
    found->len = left * size;
}

/* Points of one metric on their way out of the tail. */
struct wanted {
    uint32_t key;
    struct slw_buf *out;
};

static void
take_wanted(void *ctx, const uint8_t *from)
{
    const struct wanted *w = ctx;
    struct slw_point p;
    if (slw_get_u32(from) != w->key)
        return;
    unpack(from, &p);
    slw_buf_add(w->out, &p, sizeof(p));
}

enum slw_rc
track_points_read(struct slw_tx *tx, int64_t run, int64_t key, size_t offset,
                  size_t limit, struct slw_buf *out, size_t *out_total,
                  struct slw_err *err)
{
    SLW_AUTO(slw_buf, list);
    SLW_AUTO(slw_buf, tail);
    struct wanted wanted = {(uint32_t)key, &tail};
    TRY(pieces_read(tx, run, key, &list, err));
    TRY(tail_read(tx, tail_begin(run), tail_begin(run + 1), take_wanted,
                  &wanted, err));
    TRY(slw_buf_check(&tail, err));
    const struct piece *pieces = (const struct piece *)(void *)list.ptr;
    struct slw_point *last = (struct slw_point *)(void *)tail.ptr;
    const size_t count = list.len / sizeof(*pieces);
    const size_t tail_count = tidy_one(last, tail.len / sizeof(*last));
    tail.len = tail_count * sizeof(*last);
    bool in_order = true;
    size_t total = tail_count;
    for (size_t i = 0; i < count; i++) {
        in_order = in_order &&
                   (i == 0 || is_behind(&pieces[i - 1].last, &pieces[i].first));
        total += pieces[i].count;
    }
    if (count && tail_count)
        in_order = in_order && is_behind(&pieces[count - 1].last, last);
    if (!in_order || limit >= total)
        slw_buf_reserve(out, total * sizeof(struct slw_point));
    size_t skipped = 0; /* points of pieces before the page */
    for (size_t i = 0, at = 0; i < count; at += pieces[i++].count) {
        if (in_order && at + pieces[i].count <= offset)
            skipped += pieces[i].count;
        else if (!in_order || at < offset + limit)
            TRY(piece_points(tx, &pieces[i], out, err));
    }
    slw_buf_add(out, tail.ptr, tail.len);
    TRY(slw_buf_check(out, err));
    if (!in_order) {
        total = tidy_one((struct slw_point *)(void *)out->ptr,
                         out->len / sizeof(*last));
        out->len = total * sizeof(*last);
    }
    cut(out, offset - skipped, limit);
    *out_total = total;
    return SLW_OK;
}
