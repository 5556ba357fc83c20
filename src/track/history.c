/* history.c -- reading back what runs logged: every point of a metric, and
 * the latest values, params and tags of a run.
 *
 * Points lie packed in one row a call, all rows of a run side by side, so a
 * history is one scan over the run.  Duplicates are dropped here: identity of
 * a point is (at_ms, step, value). */
#include <math.h>

#include "track/track_internal.h"

#include "base/bytes.h"

static const char SQL_POINTS[] =
    "SELECT points FROM track_point WHERE id >= ?1 AND id < ?2 ORDER BY id";
static const char SQL_LATEST[] =
    "SELECT key, value, at_ms, step FROM track_metric WHERE run = ?1";
static const char SQL_PARAMS[] =
    "SELECT key, value FROM track_param WHERE run = ?1";
static const char SQL_TAGS[] =
    "SELECT key, value FROM track_tag WHERE run = ?1";

static double
sortable(double v)
{
    return isnan(v) ? 0 : v;
}

static int
by_time(const void *va, const void *vb)
{
    const struct slw_metric *a = va, *b = vb;
    if (a->at_ms != b->at_ms)
        return a->at_ms < b->at_ms ? -1 : 1;
    if (a->step != b->step)
        return a->step < b->step ? -1 : 1;
    double x = sortable(a->value), y = sortable(b->value);
    if (x != y)
        return x < y ? -1 : 1;
    return (isnan(a->value) != 0) - (isnan(b->value) != 0);
}

/* Sorts and drops what is there twice; the number left. */
static size_t
tidy(struct slw_metric *points, size_t count)
{
    size_t kept = 0;
    qsort(points, count, sizeof(*points), by_time);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || by_time(&points[kept - 1], &points[i]) != 0)
            points[kept++] = points[i];
    }
    return kept;
}

enum slw_rc
slw_track_history(struct slw_tx *tx, struct slw_str run_id, struct slw_str key,
                  struct slw_arena *a, struct slw_metric **out,
                  size_t *out_count, struct slw_err *err)
{
    int64_t run = 0, key_id = -1;
    TRY(track_run_number(tx, run_id, false, &run, err));
    TRY(track_key_find(tx, key, &key_id, err));
    struct slw_str name = slw_arena_str(a, key);
    SLW_AUTO(slw_buf, found); /* doubles on the heap, not in the arena */
    slw_buf_init(&found, SLW_TRACK_HISTORY_MAX * sizeof(struct slw_metric));
    SLW_AUTO(slw_stmt, st);
    bool row = key_id >= 0;
    TRY(slw_stmt_prepare(&st, tx, SQL_POINTS, err));
    slw_stmt_i64(&st, 1, run << TRACK_POINT_SEQ_BITS);
    slw_stmt_i64(&st, 2, (run + 1) << TRACK_POINT_SEQ_BITS);
    while (row) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        struct slw_str blob = slw_col_blob(&st, 0);
        const uint8_t *p = (const uint8_t *)blob.ptr;
        for (size_t i = 0; i + TRACK_POINT_SIZE <= blob.len;
             i += TRACK_POINT_SIZE) {
            if (slw_get_u32(p + i) != (uint32_t)key_id)
                continue;
            uint64_t bits = slw_get_u64(p + i + 4);
            struct slw_metric m = {.key = name,
                                   .at_ms = (int64_t)slw_get_u64(p + i + 12),
                                   .step = (int64_t)slw_get_u64(p + i + 20)};
            memcpy(&m.value, &bits, sizeof(m.value));
            slw_buf_add(&found, &m, sizeof(m));
        }
    }
    TRY(slw_buf_check(&found, err));
    size_t count = found.len / sizeof(struct slw_metric);
    if (slw_arena_room(a) < found.len + 64)
        return slw_fail(err, SLW_LIMIT,
                        "metric '%.*s' has %zu points: too many for one "
                        "answer, ask with max_results",
                        SLW_FMT(key), count);
    struct slw_metric *points = SLW_ARENA_NEW(a, struct slw_metric, count + 1);
    if (count)
        memcpy(points, found.ptr, found.len);
    *out_count = tidy(points, count);
    *out = points;
    return SLW_OK;
}

static int
metric_by_key(const void *a, const void *b)
{
    return slw_str_cmp(((const struct slw_metric *)a)->key,
                       ((const struct slw_metric *)b)->key);
}

static enum slw_rc
latest_read(struct slw_tx *tx, int64_t run, struct track_names *names,
            struct slw_arena *a, struct slw_run_full *out, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    size_t cap = 0;
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_LATEST, err));
    slw_stmt_i64(&st, 1, run);
    for (;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        struct slw_metric m = {.value = slw_col_f64(&st, 1),
                               .at_ms = slw_col_i64(&st, 2),
                               .step = slw_col_i64(&st, 3)};
        TRY(track_name(tx, names, slw_col_i64(&st, 0), &m.key, err));
        out->metrics =
            slw_arena_grow(a, out->metrics, sizeof(m), out->metric_count, &cap);
        out->metrics[out->metric_count++] = m;
    }
    if (out->metric_count > 1)
        qsort(out->metrics, out->metric_count, sizeof(*out->metrics),
              metric_by_key);
    return SLW_OK;
}

static enum slw_rc
kv_read(struct slw_tx *tx, const char *sql, int64_t run,
        struct track_names *names, struct slw_arena *a, struct slw_kv **out,
        size_t *out_count, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    struct slw_kv *items = NULL;
    size_t count = 0, cap = 0;
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, sql, err));
    slw_stmt_i64(&st, 1, run);
    for (;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        struct slw_kv kv = {.value = slw_col_dup(&st, 1, a)};
        TRY(track_name(tx, names, slw_col_i64(&st, 0), &kv.key, err));
        items = slw_arena_grow(a, items, sizeof(*items), count, &cap);
        items[count++] = kv;
    }
    if (count > 1)
        qsort(items, count, sizeof(*items), track_kv_compare);
    *out = items;
    *out_count = count;
    return SLW_OK;
}

enum slw_rc
track_run_fill(struct slw_tx *tx, int64_t number, struct track_names *names,
               struct slw_arena *a, struct slw_run_full *out,
               struct slw_err *err)
{
    TRY(latest_read(tx, number, names, a, out, err));
    TRY(kv_read(tx, SQL_PARAMS, number, names, a, &out->params,
                &out->param_count, err));
    TRY(kv_read(tx, SQL_TAGS, number, names, a, &out->tags, &out->tag_count,
                err));
    return track_inputs_read(tx, number, a, out, err);
}

enum slw_rc
slw_track_run_full(struct slw_tx *tx, struct slw_str id, struct slw_arena *a,
                   struct slw_run_full *out, struct slw_err *err)
{
    struct slw_run_full full = {0};
    struct track_names names = {.arena = a};
    int64_t number = 0;
    TRY(track_run_number(tx, id, false, &number, err));
    TRY(slw_track_run_get(tx, id, a, &full.run, err));
    TRY(track_run_fill(tx, number, &names, a, &full, err));
    *out = full;
    return SLW_OK;
}
