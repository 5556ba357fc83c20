/* cmd_metric.c -- every value a run logged of a metric: as a plot of dots
 * where somebody looks at it, else as CSV or JSON. */
#include "app/app.h"
#include "base/clock.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#define PAGE_SIZE 25000
#define POINT_MAX 1000000
#define PLOT_WIDTH 72
#define PLOT_HEIGHT 12
/* A braille character is 2 dots wide and 4 high. */
#define DOT_WIDTH_MAX (2 * 400)
#define DOT_HEIGHT (4 * PLOT_HEIGHT)

struct point {
    int64_t step, at_ms;
    double value;
};
/* Infinities are stored as the greatest double. */
static bool
can_be_drawn(double v)
{
    return fabs(v) < DBL_MAX; /* false for NaN */
}

struct points {
    struct point *items;
    size_t count, cap;
};

static double
metric_value(const struct json_t *v)
{
    struct slw_str s = slw_json_str_or(v, SLW_STR(""));
    if (slw_str_eqz(s, "Infinity"))
        return INFINITY;
    if (slw_str_eqz(s, "-Infinity"))
        return -INFINITY;
    return slw_json_f64_or(v, NAN);
}

static int
by_step(const void *va, const void *vb)
{
    const struct point *a = va, *b = vb;
    if (a->step != b->step)
        return a->step < b->step ? -1 : 1;
    return a->at_ms < b->at_ms ? -1 : a->at_ms > b->at_ms;
}

static enum slw_rc
points_get(struct app_args *a, struct slw_str run_id, const char *metric,
           struct points *out, struct slw_err *err)
{
    const char *token = "";
    do {
        SLW_AUTO(slw_json, doc);
        const char *path =
            app_text(a,
                     "/api/2.0/mlflow/metrics/get-history?run_id=%.*s"
                     "&metric_key=%s&max_results=%d%s%s",
                     SLW_FMT(run_id), app_segment(a, metric), PAGE_SIZE,
                     *token ? "&page_token=" : "", token);
        TRY(app_request_json(a, "GET", path, SLW_STR(""), &doc, err));
        const struct json_t *list = slw_json_get(doc.root, "metrics");
        for (size_t i = 0; i < slw_json_len(list); i++) {
            const struct json_t *m = slw_json_at(list, i);
            out->items =
                slw_arena_grow(&a->arena, out->items, sizeof *out->items,
                               out->count, &out->cap);
            out->items[out->count++] =
                (struct point){slw_json_i64_or(slw_json_get(m, "step"), 0),
                               slw_json_i64_or(slw_json_get(m, "timestamp"), 0),
                               metric_value(slw_json_get(m, "value"))};
        }
        struct slw_str next = app_str_of(doc.root, "next_page_token");
        token = app_segment(a, slw_arena_strz(&a->arena, next));
        if (out->count > POINT_MAX)
            return slw_fail(err, SLW_LIMIT,
                            "'%s' has more than %d points; the page of the run "
                            "shows them",
                            metric, POINT_MAX);
    } while (*token);
    if (out->count == 0)
        return slw_fail(err, SLW_NOT_FOUND, "run %.*s has no metric '%s'",
                        SLW_FMT(run_id), metric);
    qsort(out->items, out->count, sizeof *out->items, by_step);
    return SLW_OK;
}

/* At most n points: the least and the greatest of each stretch, in order. */
static void
points_thin(struct points *p, size_t n)
{
    if (p->count <= n || n < 2)
        return;
    const size_t stretches = n / 2;
    size_t kept = 0;
    for (size_t s = 0; s < stretches; s++) {
        const size_t from = p->count * s / stretches;
        const size_t to = p->count * (s + 1) / stretches;
        size_t low = from, high = from;
        for (size_t i = from; i < to; i++) {
            low = p->items[i].value < p->items[low].value ? i : low;
            high = p->items[i].value > p->items[high].value ? i : high;
        }
        const size_t first = low < high ? low : high;
        const size_t second = low < high ? high : low;
        p->items[kept++] = p->items[first];
        if (second != first)
            p->items[kept++] = p->items[second];
    }
    p->count = kept;
}

static void
history_csv(const struct points *p)
{
    char time[SLW_TIME_TEXT_SIZE];
    puts("step,time,value");
    for (size_t i = 0; i < p->count; i++)
        printf("%lld,%s,%.17g\n", (long long)p->items[i].step,
               slw_time_text(p->items[i].at_ms, time), p->items[i].value);
}

static void
history_json(const struct json_t *run, const char *metric, size_t total,
             const struct points *p)
{
    SLW_AUTO(slw_buf, b);
    struct slw_jw w;
    slw_jw_init(&w, &b);
    w.nan_as_text = true;
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "run", app_str_of(run, "id"));
    slw_jw_kz(&w, "metric", metric);
    slw_jw_ki64(&w, "total", (int64_t)total);
    slw_jw_key(&w, "points");
    slw_jw_arr(&w);
    for (size_t i = 0; i < p->count; i++) {
        slw_jw_obj(&w);
        slw_jw_ki64(&w, "step", p->items[i].step);
        slw_jw_ki64(&w, "at_ms", p->items[i].at_ms);
        slw_jw_kf64(&w, "value", p->items[i].value);
        slw_jw_obj_end(&w);
    }
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    printf("%.*s\n", SLW_FMT(slw_buf_view(&b)));
}

struct plot {
    bool dots[DOT_HEIGHT][DOT_WIDTH_MAX];
    int width;           /* dots */
    double low, high;    /* values at the lower and the upper edge */
    int64_t first, last; /* steps at the edges */
};

static int
dot_y(const struct plot *p, double v)
{
    const double span = p->high - p->low;
    if (!(span > 0))
        return DOT_HEIGHT / 2;
    return (int)lround((p->high - v) / span * (DOT_HEIGHT - 1));
}

/* A dot and those between it and the one before in this column. */
static void
stroke(struct plot *p, int x, int from, int to)
{
    const int way = to < from ? -1 : 1;
    for (int y = from; y != to + way; y += way)
        p->dots[y][x] = true;
}

/* A line from point to point; what cannot be drawn is a gap. */
static void
plot_draw(struct plot *p, const struct points *points)
{
    int x0 = -1, y0 = 0;
    const double span = (double)p->last - (double)p->first;
    for (size_t i = 0; i < points->count; i++) {
        const struct point *q = &points->items[i];
        if (!can_be_drawn(q->value)) {
            x0 = -1;
            continue;
        }
        const double share =
            span > 0 ? ((double)q->step - (double)p->first) / span : 0;
        const int x1 = (int)lround(share * (p->width - 1));
        const int y1 = dot_y(p, q->value);
        if (x0 < 0 || x0 == x1)
            stroke(p, x1, x0 < 0 ? y1 : y0, y1);
        for (int x = x0 + 1, before = y0; x0 >= 0 && x <= x1; x++) {
            const int y =
                y0 + (int)lround((double)(y1 - y0) * (x - x0) / (x1 - x0));
            stroke(p, x, before, y);
            before = y;
        }
        x0 = x1;
        y0 = y1;
    }
}

/* Is a dot of the character set whose left column is x? */
static bool
row_has(const struct plot *p, int row, int x)
{
    for (int dy = 0; dy < 4; dy++)
        if (p->dots[row * 4 + dy][x] || p->dots[row * 4 + dy][x + 1])
            return true;
    return false;
}

static void
plot_print(const struct plot *p)
{
    static const unsigned char bits[4][2] = {
        {0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    for (int row = 0; row < PLOT_HEIGHT; row++) {
        if (row == 0 || row == PLOT_HEIGHT - 1)
            printf("%11.5g ", row ? p->low : p->high);
        else
            printf("%12s", "");
        int end = p->width;
        while (end >= 2 && !row_has(p, row, end - 2))
            end -= 2;
        for (int x = 0; x < end; x += 2) {
            unsigned mask = 0;
            for (int dy = 0; dy < 4; dy++)
                for (int dx = 0; dx < 2; dx++)
                    if (p->dots[row * 4 + dy][x + dx])
                        mask |= bits[dy][dx];
            if (mask) /* U+2800 and the dots, in UTF-8 */
                printf("\xe2%c%c", (int)(0xa0 + (mask >> 6)),
                       (int)(0x80 + (mask & 0x3f)));
            else
                putchar(' ');
        }
        puts("");
    }
    char first[24], last[24];
    snprintf(first, sizeof first, "%lld", (long long)p->first);
    snprintf(last, sizeof last, "%lld", (long long)p->last);
    printf("%12s%s%*s\n", "", first, p->width / 2 - (int)strlen(first), last);
}

static void
history_plot(struct app_args *a, const struct json_t *run, const char *metric,
             const struct points *points)
{
    struct plot *p = SLW_ARENA_NEW(&a->arena, struct plot, 1);
    const int terminal = app_terminal_width();
    int width = terminal ? terminal - 13 : PLOT_WIDTH;
    width = width < 16 ? 16 : width > 120 ? 120 : width;
    p->width = 2 * width;
    p->low = INFINITY;
    p->high = -INFINITY;
    const struct point *low = NULL, *high = NULL;
    for (size_t i = 0; i < points->count; i++) {
        const struct point *q = &points->items[i];
        if (can_be_drawn(q->value) && (!low || q->value < low->value))
            low = q;
        if (can_be_drawn(q->value) && (!high || q->value > high->value))
            high = q;
    }
    const struct point *last = &points->items[points->count - 1];
    printf("%s of %.*s: %zu points, last %.6g at step %lld", metric,
           SLW_FMT(app_str_of(run, "name")), points->count, last->value,
           (long long)last->step);
    if (!low) {
        puts("; none is a finite number");
        return;
    }
    printf(", least %.6g at %lld, greatest %.6g at %lld\n\n", low->value,
           (long long)low->step, high->value, (long long)high->step);
    p->low = low->value;
    p->high = high->value;
    p->first = points->items[0].step;
    p->last = last->step;
    plot_draw(p, points);
    plot_print(p);
}

int
app_runs_history(struct app_args *a)
{
    struct slw_err err;
    SLW_AUTO(slw_json, doc);
    struct points points = {0};
    int64_t wanted = 0;
    const char *text = app_option(a, "points");
    if (text && slw_str_i64(slw_str_of(text), &wanted, &err) != SLW_OK)
        return app_error(a, &err);
    if (text && wanted < 2) {
        (void)!slw_fail(&err, SLW_INVALID, "--points is 2 or more");
        return app_error(a, &err);
    }
    if (app_run_get(a, a->words[0], &doc, &err) != SLW_OK)
        return app_error(a, &err);
    const struct json_t *run = slw_json_get(doc.root, "run");
    if (points_get(a, app_str_of(run, "id"), a->words[1], &points, &err) !=
        SLW_OK)
        return app_error(a, &err);
    const size_t total = points.count;
    if (wanted)
        points_thin(&points, (size_t)wanted);
    if (a->json)
        history_json(run, a->words[1], total, &points);
    else if (app_option(a, "csv"))
        history_csv(&points);
    else
        history_plot(a, run, a->words[1], &points);
    return APP_OK;
}
