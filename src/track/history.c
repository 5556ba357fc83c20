/* history.c -- reading back what runs logged: the points of a metric, and
 * the latest values, params and tags of a run. */
#include <math.h>

#include "track/track_internal.h"

static const char SQL_LATEST[] =
    "SELECT key, value, at_ms, step FROM track_metric WHERE run = ?1";
static const char SQL_PARAMS[] =
    "SELECT key, value FROM track_param WHERE run = ?1";
static const char SQL_TAGS[] =
    "SELECT key, value FROM track_tag WHERE run = ?1";

enum slw_rc
slw_track_history_page(struct slw_tx *tx, struct slw_str run_id,
                       struct slw_str key, size_t offset, size_t limit,
                       struct slw_arena *a, struct slw_metric **out,
                       size_t *out_count, size_t *out_total,
                       struct slw_err *err)
{
    int64_t run = 0, key_id = -1;
    size_t total = 0;
    TRY(track_run_number(tx, run_id, false, &run, err));
    TRY(track_key_find(tx, key, &key_id, err));
    SLW_AUTO(slw_buf, found); /* doubles on the heap, not in the arena */
    slw_buf_init(&found, SLW_TRACK_HISTORY_MAX * sizeof(struct slw_point));
    if (key_id >= 0)
        TRY(track_points_read(tx, run, key_id, offset, limit, &found, &total,
                              err));
    const struct slw_point *p = (const struct slw_point *)(void *)found.ptr;
    const size_t count = found.len / sizeof(*p);
    if (slw_arena_room(a) < (count + 1) * sizeof(struct slw_metric) + key.len)
        return slw_fail(err, SLW_LIMIT,
                        "metric '%.*s' has %zu points: too many for one "
                        "answer, ask with max_results",
                        SLW_FMT(key), count);
    const struct slw_str name = slw_arena_str(a, key);
    struct slw_metric *points = SLW_ARENA_NEW(a, struct slw_metric, count + 1);
    for (size_t i = 0; i < count; i++)
        points[i] = (struct slw_metric){.key = name,
                                        .value = p[i].value,
                                        .at_ms = p[i].at_ms,
                                        .step = p[i].step};
    *out = points;
    *out_count = count;
    *out_total = total;
    return SLW_OK;
}

enum slw_rc
slw_track_history(struct slw_tx *tx, struct slw_str run_id, struct slw_str key,
                  struct slw_arena *a, struct slw_metric **out,
                  size_t *out_count, struct slw_err *err)
{
    size_t total = 0;
    return slw_track_history_page(tx, run_id, key, 0, SLW_TRACK_HISTORY_MAX, a,
                                  out, out_count, &total, err);
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
