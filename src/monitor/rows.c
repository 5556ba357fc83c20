/* rows.c -- predictions with their labels: one row an entity and instant.
 *
 * Sorted by event time and key, as labels are, so that one walk joins them. */
#include "monitor/monitor_internal.h"

#include <math.h>

static const char SQL_LABELS[] =
    "SELECT key, event_ms, value FROM monitor_label WHERE deployment = ?1"
    " AND event_ms BETWEEN ?2 AND ?3 AND known_ms <= ?4"
    " ORDER BY event_ms, key";

static int
by_event_and_key(const void *pa, const void *pb)
{
    const struct monitor_row *a = pa, *b = pb;
    if (a->event_ms != b->event_ms)
        return a->event_ms < b->event_ms ? -1 : 1;
    int c = slw_str_cmp(a->key, b->key);
    if (c)
        return c;
    return a->order < b->order ? -1 : a->order > b->order;
}

size_t
monitor_rows_settle(struct monitor_row *rows, size_t count)
{
    size_t kept = 0;
    if (count)
        qsort(rows, count, sizeof *rows, by_event_and_key);
    for (size_t i = 0; i < count; i++) {
        bool last =
            i + 1 == count || rows[i].event_ms != rows[i + 1].event_ms ||
            rows[i].key.len == 0 || !slw_str_eq(rows[i].key, rows[i + 1].key);
        if (last)
            rows[kept++] = rows[i];
    }
    return kept;
}

enum slw_rc
monitor_rows_label(struct slw_tx *tx, struct slw_str deployment,
                   int64_t from_ms, int64_t to_ms, int64_t now_ms,
                   struct monitor_row *rows, size_t count, struct slw_err *err)
{
    size_t at = 0;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_LABELS, err));
    slw_stmt_str(&st, 1, deployment);
    slw_stmt_i64(&st, 2, from_ms);
    slw_stmt_i64(&st, 3, to_ms);
    slw_stmt_i64(&st, 4, now_ms);
    for (;;) {
        bool got = false;
        TRY(slw_stmt_step(&st, &got, err));
        if (!got)
            return SLW_OK;
        struct monitor_row wanted = {.key = slw_col_str(&st, 0),
                                     .event_ms = slw_col_i64(&st, 1)};
        while (at < count) {
            wanted.order = rows[at].order;
            if (by_event_and_key(&rows[at], &wanted) >= 0)
                break;
            at++;
        }
        if (at < count && rows[at].event_ms == wanted.event_ms &&
            slw_str_eq(rows[at].key, wanted.key))
            rows[at].label = slw_col_f64(&st, 2);
    }
}

/* ---- error over time ---- */

struct errors {
    struct slw_arena arena;
    struct monitor_row *rows;
    size_t count, cap;
};

static void
errors_done(struct errors *e)
{
    slw_free(e->rows);
    slw_arena_done(&e->arena);
}

static enum slw_rc
keep(void *ctx, const struct slw_prediction *p, struct slw_err *err)
{
    struct errors *e = ctx;
    if (e->count == MONITOR_ROW_MAX)
        return slw_fail(err, SLW_LIMIT,
                        "more than %d predictions in the range; choose a "
                        "shorter one",
                        MONITOR_ROW_MAX);
    if (e->count == e->cap) {
        e->cap = e->cap ? 2 * e->cap : 1024;
        e->rows = slw_realloc(e->rows, e->cap * sizeof *e->rows);
    }
    e->rows[e->count] =
        (struct monitor_row){.key = slw_arena_str(&e->arena, p->key),
                             .event_ms = p->event_ms,
                             .model_y = p->model_y,
                             .rule_y = p->rule_y,
                             .label = NAN,
                             .order = e->count};
    e->count++;
    return SLW_OK;
}

static int64_t
day_of(int64_t ms)
{
    int64_t d = ms / SLW_DAY_MS;
    return ms % SLW_DAY_MS < 0 ? d - 1 : d;
}

struct mean {
    double sum;
    int64_t count;
};

static void
mean_add(struct mean *m, double label, double y)
{
    if (!isfinite(y))
        return;
    m->sum += fabs(label - y);
    m->count++;
}

static void
mean_write(struct slw_jw *w, const char *key, const struct mean *m)
{
    slw_jw_key(w, key);
    if (m->count)
        slw_jw_f64(w, m->sum / (double)m->count);
    else
        slw_jw_null(w);
}

static void
points_write(const struct errors *e, int64_t first_day, int64_t step,
             struct slw_jw *w)
{
    slw_jw_arr(w);
    for (size_t i = 0; i < e->count;) {
        int64_t group = (day_of(e->rows[i].event_ms) - first_day) / step;
        struct mean model = {0}, rule = {0};
        int64_t rows = 0;
        for (; i < e->count &&
               (day_of(e->rows[i].event_ms) - first_day) / step == group;
             i++) {
            const struct monitor_row *r = &e->rows[i];
            if (!isfinite(r->label))
                continue;
            rows++;
            mean_add(&model, r->label, r->model_y);
            mean_add(&rule, r->label, r->rule_y);
        }
        if (!rows)
            continue;
        slw_jw_obj(w);
        slw_jw_ki64(w, "t", (first_day + group * step) * SLW_DAY_MS);
        mean_write(w, "model_error", &model);
        mean_write(w, "rule_error", &rule);
        slw_jw_ki64(w, "rows", rows);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
}

enum slw_rc
slw_monitor_errors(struct slw_store *s, int64_t now_ms,
                   struct slw_str deployment, int64_t from_ms, int64_t to_ms,
                   size_t point_max, struct slw_jw *w, struct slw_err *err)
{
    SLW_AUTO(errors, e);
    TRY(slw_serve_log_scan(s, deployment, from_ms, to_ms, keep, &e, err));
    e.count = monitor_rows_settle(e.rows, e.count);
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, s, err));
        TRY(monitor_rows_label(&tx, deployment, from_ms, to_ms, now_ms, e.rows,
                               e.count, err));
    }
    int64_t first = 0, days = 0;
    if (e.count) {
        first = day_of(e.rows[0].event_ms);
        days = day_of(e.rows[e.count - 1].event_ms) - first + 1;
    }
    int64_t most = (int64_t)point_max;
    points_write(&e, first, days > most ? (days + most - 1) / most : 1, w);
    return SLW_OK;
}
