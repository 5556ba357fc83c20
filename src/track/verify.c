/* verify.c -- runs: what they logged belongs to a run, the newest value of a
 * metric is one of its points (of those that are settled: latest.c), and
 * artifacts have their bytes. */
#include "track/track_internal.h"

#include "base/bytes.h"

#define ROOM "track"
#define FIX "restore a backup (slipway restore)"
#define POINT_SIZE 28

static const char SQL_COUNT[] = "SELECT count(*) FROM track_run";
static const char SQL_METRIC_COUNT[] = "SELECT count(*) FROM track_metric";
static const char SQL_ARTIFACTS[] =
    "SELECT path, blob, size FROM track_artifact ORDER BY path";
static const char SQL_ORPHANS[] =
    "SELECT 0, 'metrics of ' || count(DISTINCT run) || ' runs'"
    " FROM track_metric WHERE run NOT IN (SELECT number FROM track_run)"
    " HAVING count(*) > 0 UNION ALL "
    "SELECT 0, 'parameters of ' || count(DISTINCT run) || ' runs'"
    " FROM track_param WHERE run NOT IN (SELECT number FROM track_run)"
    " HAVING count(*) > 0 UNION ALL "
    "SELECT 0, 'tags of ' || count(DISTINCT run) || ' runs'"
    " FROM track_tag WHERE run NOT IN (SELECT number FROM track_run)"
    " HAVING count(*) > 0 UNION ALL "
    "SELECT 0, 'points of ' || count(DISTINCT id / 16777216) || ' runs'"
    " FROM track_point WHERE id / 16777216 NOT IN"
    " (SELECT number FROM track_run) HAVING count(*) > 0 UNION ALL "
    "SELECT 0, 'series of ' || count(DISTINCT run) || ' runs'"
    " FROM track_series WHERE run NOT IN (SELECT number FROM track_run)"
    " HAVING count(*) > 0 UNION ALL "
    "SELECT 0, 'inputs of ' || count(DISTINCT run) || ' runs'"
    " FROM track_input WHERE run NOT IN (SELECT number FROM track_run)"
    " HAVING count(*) > 0 UNION ALL "
    "SELECT 0, 'unsettled values of ' || count(*) || ' runs'"
    " FROM track_unsettled WHERE run NOT IN (SELECT number FROM track_run)"
    " HAVING count(*) > 0";
static const char SQL_NAMELESS[] =
    "SELECT 0, count(*) || ' metrics' FROM track_metric"
    " WHERE key NOT IN (SELECT id FROM track_key) HAVING count(*) > 0"
    " UNION ALL SELECT 0, count(*) || ' parameters' FROM track_param"
    " WHERE key NOT IN (SELECT id FROM track_key) HAVING count(*) > 0"
    " UNION ALL SELECT 0, count(*) || ' tags' FROM track_tag"
    " WHERE key NOT IN (SELECT id FROM track_key) HAVING count(*) > 0";
static const char SQL_POINTS[] =
    "SELECT p.id / 16777216, p.points, u.run IS NULL OR p.id < u.first"
    " FROM track_point p LEFT JOIN track_unsettled u"
    " ON u.run = p.id / 16777216 ORDER BY p.id";
static const char SQL_SERIES[] = "SELECT run, points, 1 FROM track_series"
                                 " ORDER BY run, key, seq";
static const char SQL_METRICS[] =
    "SELECT run, key, at_ms, step FROM track_metric ORDER BY run, key";

/* The greatest point of one metric of the present run. */
struct greatest {
    int64_t key, at_ms, step;
};
struct walk {
    struct slw_verify *v;
    struct slw_stmt metrics;
    bool more; /* the metrics' statement stands on a row */
    int64_t run;
    struct greatest *list; /* by key */
    size_t count, cap;
    int64_t point_count;
};

static void
walk_done(struct walk *w)
{
    slw_stmt_done(&w->metrics);
    slw_free(w->list);
}

static struct greatest *
greatest_of(struct walk *w, int64_t key)
{
    size_t low = 0, high = w->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (w->list[middle].key == key)
            return &w->list[middle];
        if (w->list[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    if (w->count == w->cap) {
        w->cap = w->cap ? w->cap * 2 : 64;
        w->list = slw_realloc(w->list, w->cap * sizeof *w->list);
    }
    memmove(w->list + low + 1, w->list + low,
            (w->count - low) * sizeof *w->list);
    w->count++;
    w->list[low] = (struct greatest){key, INT64_MIN, INT64_MIN};
    return &w->list[low];
}

static void
points_take(struct walk *w, struct slw_str points, bool settled)
{
    w->point_count += (int64_t)(points.len / POINT_SIZE);
    if (points.len % POINT_SIZE)
        slw_verify_fault(w->v, ROOM, FIX,
                         "run number %lld has points of %zu bytes, no multiple "
                         "of %d",
                         (long long)w->run, points.len, POINT_SIZE);
    for (size_t at = 0; settled && at + POINT_SIZE <= points.len;
         at += POINT_SIZE) {
        const uint8_t *p = (const uint8_t *)points.ptr + at;
        struct greatest *g = greatest_of(w, slw_get_u32(p));
        const int64_t at_ms = (int64_t)slw_get_u64(p + 12);
        const int64_t step = (int64_t)slw_get_u64(p + 20);
        if (step > g->step || (step == g->step && at_ms > g->at_ms)) {
            g->step = step;
            g->at_ms = at_ms;
        }
    }
}

/* The run's points are read: its metrics must be the greatest of them. */
static enum slw_rc
run_compare(struct walk *w, struct slw_err *err)
{
    size_t seen = 0, wrong = 0;
    while (w->more && slw_col_i64(&w->metrics, 0) <= w->run) {
        if (slw_col_i64(&w->metrics, 0) == w->run) {
            const struct greatest *g =
                greatest_of(w, slw_col_i64(&w->metrics, 1));
            wrong += g->at_ms != slw_col_i64(&w->metrics, 2) ||
                     g->step != slw_col_i64(&w->metrics, 3);
            seen++;
        } else {
            slw_verify_fault(w->v, ROOM, FIX,
                             "run number %lld has a metric and no point of it",
                             (long long)slw_col_i64(&w->metrics, 0));
        }
        TRY(slw_stmt_step(&w->metrics, &w->more, err));
    }
    if (wrong || seen != w->count)
        slw_verify_fault(w->v, ROOM, FIX,
                         "run number %lld has %zu metrics, %zu of them not "
                         "their newest point, and points of %zu",
                         (long long)w->run, seen, wrong, w->count);
    w->count = 0;
    return SLW_OK;
}

static enum slw_rc
points_check(struct slw_verify *v, struct slw_err *err)
{
    SLW_AUTO(walk, w);
    SLW_AUTO(slw_stmt, tail);
    SLW_AUTO(slw_stmt, series);
    bool in_tail = false, in_series = false;
    w.v = v;
    TRY(slw_stmt_prepare(&w.metrics, &v->tx, SQL_METRICS, err));
    TRY(slw_stmt_step(&w.metrics, &w.more, err));
    TRY(slw_stmt_prepare(&tail, &v->tx, SQL_POINTS, err));
    TRY(slw_stmt_prepare(&series, &v->tx, SQL_SERIES, err));
    TRY(slw_stmt_step(&tail, &in_tail, err));
    TRY(slw_stmt_step(&series, &in_series, err));
    while (in_tail || in_series) { /* both go up by run: take the lower */
        const bool first =
            !in_series ||
            (in_tail && slw_col_i64(&tail, 0) <= slw_col_i64(&series, 0));
        struct slw_stmt *st = first ? &tail : &series;
        const int64_t run = slw_col_i64(st, 0);
        if (run != w.run && w.count)
            TRY(run_compare(&w, err));
        w.run = run;
        points_take(&w, slw_col_blob(st, 1), slw_col_i64(st, 2) != 0);
        TRY(slw_stmt_step(st, first ? &in_tail : &in_series, err));
    }
    if (w.count)
        TRY(run_compare(&w, err));
    w.run = INT64_MAX;
    TRY(run_compare(&w, err)); /* metrics behind the last point */
    slw_verify_counted(v, "metric points", w.point_count);
    return SLW_OK;
}

static enum slw_rc
artifacts_check(struct slw_verify *v, struct slw_err *err)
{
    int64_t count = 0;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &v->tx, SQL_ARTIFACTS, err));
    for (;; count++) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        (void)slw_verify_need(v, ROOM, slw_col_str(&st, 1), slw_col_i64(&st, 2),
                              "artifact %.*s", SLW_FMT(slw_col_str(&st, 0)));
    }
    slw_verify_counted(v, "artifacts", count);
    return SLW_OK;
}

enum slw_rc
slw_track_verify(struct slw_verify *v, struct slw_err *err)
{
    int64_t runs = 0, metrics = 0;
    TRY(slw_verify_number(v, SQL_COUNT, &runs, err));
    TRY(slw_verify_number(v, SQL_METRIC_COUNT, &metrics, err));
    slw_verify_counted(v, "runs", runs);
    slw_verify_counted(v, "metrics", metrics);
    TRY(slw_verify_none(v, ROOM, SQL_ORPHANS, "there are no longer runs for",
                        FIX, err));
    TRY(slw_verify_none(v, ROOM, SQL_NAMELESS, "names are missing of", FIX,
                        err));
    TRY(points_check(v, err));
    return artifacts_check(v, err);
}
