/* downsample.c -- a metric's history, of however many points, as the few that
 * a drawing needs.
 *
 * The axis is cut into buckets, one a pixel; of each bucket the least and the
 * greatest value stay, so that no spike is lost and the outline is that of
 * all points.  Which of two values is greater does not change on a
 * logarithmic axis, only values at or below zero have no place there: they
 * are counted and left out before buckets are filled.  Not-a-numbers and
 * infinities are no values: they are counted by bucket, for the drawing to
 * break its line there and to say so.  MLflow's meaning of an infinity is the
 * greatest double, so that counts as one.
 *
 * The smoothed line is the exponential mean of all stored points in the order
 * of the axis, without the bias of its start, thinned by the same rule after
 * it is computed: neither zoom nor width changes its values.
 *
 * Points go by in the order of the axis, so a bucket is finished when the
 * next one begins, and nothing but the answer is kept. */
#include "track/track_internal.h"

#include <float.h>
#include <math.h>

/* One line while points go by. */
struct line {
    const struct slw_thin_options *opt;
    int64_t lo, hi; /* the range */
    double scale;   /* buckets per unit */
    struct slw_thin_point *out;
    size_t count;
    struct slw_thin_point low, high, before, first, last;
    size_t bucket, seen, low_at, high_at; /* ..._at: arrival in the bucket */
    bool any, has_before, has_after;      /* any: a point in the range */
};

struct ema {
    double keep, mean, weight, share;
};

static inline int64_t
axis_of(const struct slw_point *p, enum slw_thin_axis axis, int64_t origin_ms)
{
    if (axis == SLW_THIN_STEP)
        return p->step;
    if (axis == SLW_THIN_TIME)
        return p->at_ms;
    uint64_t since = (uint64_t)p->at_ms - (uint64_t)origin_ms;
    return since > INT64_MAX ? INT64_MAX : (int64_t)since;
}

static int
i64_order(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int
value_order(double a, double b)
{
    if (isnan(a) || isnan(b))
        return (isnan(a) != 0) - (isnan(b) != 0);
    return (a > b) - (a < b);
}

static int
by_step(const void *va, const void *vb)
{
    const struct slw_point *a = va, *b = vb;
    int order = i64_order(a->step, b->step);
    order = order ? order : i64_order(a->at_ms, b->at_ms);
    return order ? order : value_order(a->value, b->value);
}

static int
by_time(const void *va, const void *vb)
{
    const struct slw_point *a = va, *b = vb;
    int order = i64_order(a->at_ms, b->at_ms);
    order = order ? order : i64_order(a->step, b->step);
    return order ? order : value_order(a->value, b->value);
}

static void
line_add(struct line *l, struct slw_thin_point p)
{
    /* The first and the last point may be what their bucket has, too. */
    if (l->count && l->out[l->count - 1].x == p.x &&
        l->out[l->count - 1].y == p.y)
        return;
    l->out[l->count++] = p;
}

static void
line_flush(struct line *l)
{
    if (!l->seen)
        return;
    bool low_first = l->low_at <= l->high_at;
    line_add(l, low_first ? l->low : l->high);
    if (l->low_at != l->high_at)
        line_add(l, low_first ? l->high : l->low);
    l->seen = 0;
}

static size_t
bucket_of(const struct line *l, int64_t x)
{
    double at = (double)((uint64_t)x - (uint64_t)l->lo) * l->scale;
    size_t bucket = (size_t)at;
    size_t last = l->opt->bucket_count - 1;
    return bucket < last ? bucket : last;
}

static void
line_feed(struct line *l, int64_t x, double y)
{
    struct slw_thin_point p = {x, y};
    if (x < l->lo) {
        l->before = p;
        l->has_before = true;
        return;
    }
    if (x > l->hi) {
        if (l->has_after)
            return;
        line_flush(l);
        if (l->any)
            line_add(l, l->last);
        line_add(l, p); /* the line leaves the picture towards it */
        l->has_after = true;
        return;
    }
    size_t bucket = bucket_of(l, x);
    if (!l->any) {
        if (l->has_before)
            line_add(l, l->before);
        line_add(l, p);
        l->bucket = bucket;
        l->any = true;
    }
    if (bucket != l->bucket)
        line_flush(l);
    l->bucket = bucket;
    if (!l->seen || y < l->low.y) {
        l->low = p;
        l->low_at = l->seen;
    }
    if (!l->seen || y > l->high.y) {
        l->high = p;
        l->high_at = l->seen;
    }
    l->seen++;
    l->last = p;
}

/* What is left when all points went by. */
static void
line_end(struct line *l, struct slw_thin_line *out)
{
    line_flush(l);
    if (l->any && !l->has_after)
        line_add(l, l->last);
    if (!l->any && l->has_before && l->has_after) {
        /* No point in the range: the line crosses the picture. */
        l->out[1] = l->out[0];
        l->out[0] = l->before;
        l->count = 2;
    } else if (!l->any) {
        l->count = 0;
    }
    *out = (struct slw_thin_line){l->out, l->count};
}

/* The mean moves by a share of the difference, so that a constant stays
 * exactly what it is. */
static double
ema_next(struct ema *e, double v)
{
    double weight = e->weight * e->keep + (1 - e->keep);
    if (weight != e->weight) /* soon it is 1, for good */
        e->share = (1 - e->keep) / weight;
    e->weight = weight;
    double step = v - e->mean;
    e->mean = isfinite(step) ? e->mean + e->share * step
                             : e->mean * (1 - e->share) + e->share * v;
    return e->mean;
}

/* Counts what is no number, one entry a bucket. */
static void
break_add(struct slw_thin *t, const struct line *l, int64_t x, double v)
{
    size_t last = t->break_count;
    if (x < l->lo || x > l->hi)
        return;
    if (!last || bucket_of(l, t->breaks[last - 1].x) != bucket_of(l, x))
        t->breaks[t->break_count++] = (struct slw_thin_break){.x = x};
    struct slw_thin_break *b = &t->breaks[t->break_count - 1];
    b->nan_count += isnan(v) != 0;
    b->above_count += !isnan(v) && v > 0;
    b->below_count += !isnan(v) && v < 0;
    t->nan_count += isnan(v) != 0;
    t->above_count += !isnan(v) && v > 0;
    t->below_count += !isnan(v) && v < 0;
}

static void
thin_sorted(const struct slw_point *points, size_t count, int64_t origin_ms,
            const struct slw_thin_options *opt, struct line *raw,
            struct line *smooth, struct slw_thin *t)
{
    struct ema ema = {.keep = opt->smooth};
    for (size_t i = 0; i < count; i++) {
        int64_t x = axis_of(&points[i], opt->axis, origin_ms);
        double v = points[i].value;
        bool inside = x >= raw->lo && x <= raw->hi;
        t->shown += inside;
        if (!(fabs(v) < DBL_MAX)) {
            break_add(t, raw, x, v);
            continue;
        }
        if (!opt->log || v > 0)
            line_feed(raw, x, v);
        else
            t->hidden_count += inside;
        if (!smooth->out)
            continue;
        double mean = ema_next(&ema, v);
        if (isfinite(mean) && (!opt->log || mean > 0))
            line_feed(smooth, x, mean);
    }
    line_end(raw, &t->raw);
    if (smooth->out)
        line_end(smooth, &t->smooth);
}

static enum slw_rc
options_check(const struct slw_thin_options *opt, struct slw_err *err)
{
    if (opt->bucket_count < 1 || opt->bucket_count > SLW_THIN_BUCKET_MAX)
        return slw_fail(err, SLW_INVALID, "points must be 1 to %d",
                        SLW_THIN_BUCKET_MAX);
    if (!(opt->smooth >= 0 && opt->smooth < 1))
        return slw_fail(err, SLW_INVALID,
                        "smooth must be at least 0 and below 1");
    if (opt->from > opt->to)
        return slw_fail(err, SLW_INVALID, "from lies behind to");
    return SLW_OK;
}

static void
line_init(struct line *l, const struct slw_thin_options *opt,
          const struct slw_thin *t, struct slw_arena *a)
{
    *l = (struct line){.opt = opt,
                       .lo = opt->from == INT64_MIN ? t->x_min : opt->from,
                       .hi = opt->to == INT64_MAX ? t->x_max : opt->to};
    double span = (double)((uint64_t)l->hi - (uint64_t)l->lo) + 1;
    l->scale = (double)opt->bucket_count / span;
    /* two a bucket; first and last; one beyond each end */
    l->out = SLW_ARENA_NEW(a, struct slw_thin_point, 2 * opt->bucket_count + 4);
}

enum slw_rc
slw_track_thin(const struct slw_point *points, size_t count,
               const struct slw_thin_options *opt, struct slw_arena *a,
               struct slw_thin *out, struct slw_err *err)
{
    struct slw_thin t = {.total = count};
    struct line raw, smooth = {0};
    int64_t origin_ms = INT64_MAX, was = 0;
    bool sorted = true;
    int (*order)(const void *, const void *) =
        opt->axis == SLW_THIN_STEP ? by_step : by_time;
    TRY(options_check(opt, err));
    if (opt->axis == SLW_THIN_RELATIVE)
        for (size_t i = 0; i < count; i++)
            if (points[i].at_ms < origin_ms)
                origin_ms = points[i].at_ms;
    for (size_t i = 0; i < count; i++) {
        int64_t x = axis_of(&points[i], opt->axis, origin_ms);
        if (i &&
            (x < was || (x == was && order(&points[i - 1], &points[i]) > 0)))
            sorted = false;
        if (!i || x < t.x_min)
            t.x_min = x;
        if (!i || x > t.x_max)
            t.x_max = x;
        was = x;
    }
    line_init(&raw, opt, &t, a);
    if (raw.lo > raw.hi) { /* a range that is open and lies elsewhere */
        *out = t;
        return SLW_OK;
    }
    if (opt->smooth > 0)
        line_init(&smooth, opt, &t, a);
    t.breaks = SLW_ARENA_NEW(a, struct slw_thin_break, opt->bucket_count);
    struct slw_point *copy = NULL;
    if (!sorted) {
        copy = slw_alloc(count * sizeof(*copy));
        memcpy(copy, points, count * sizeof(*copy));
        qsort(copy, count, sizeof(*copy), order);
        points = copy;
    }
    thin_sorted(points, count, origin_ms, opt, &raw, &smooth, &t);
    slw_free(copy);
    *out = t;
    return SLW_OK;
}

enum slw_rc
slw_track_history_thin(struct slw_tx *tx, struct slw_str run_id,
                       struct slw_str key, const struct slw_thin_options *opt,
                       struct slw_arena *a, struct slw_thin *out,
                       struct slw_err *err)
{
    int64_t run = 0, key_id = -1;
    size_t total = 0;
    TRY(track_run_number(tx, run_id, false, &run, err));
    TRY(track_key_find(tx, key, &key_id, err));
    SLW_AUTO(slw_buf, all); /* gone before the answer is */
    slw_buf_init(&all, SLW_TRACK_HISTORY_MAX * sizeof(struct slw_point));
    if (key_id >= 0)
        TRY(track_points_read(tx, run, key_id, 0, SLW_TRACK_HISTORY_MAX, &all,
                              &total, err));
    return slw_track_thin((const struct slw_point *)(void *)all.ptr,
                          all.len / sizeof(struct slw_point), opt, a, out, err);
}
