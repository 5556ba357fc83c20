/* figures.c -- traffic and latency of the last minutes, for people.
 *
 * The counters of metrics.c only grow.  Here they are read every two seconds
 * and what they grew by is kept in rings, 15 minutes of them.  Requests pay
 * nothing for it.  A series without traffic has no ring, so that a thousand
 * versions that once answered take no memory. */
#include "serve/serve_internal.h"

#define BINS (SERVE_LATENCY_BIN_COUNT + 1)
#define POINT_MAX 180

/* What one series grew by between two readings. */
struct serve_figure {
    uint32_t rows;
    uint32_t latency[BINS]; /* requests by bin */
};

/* Owner: slw_serve.figures_mutex. */
struct serve_figures {
    long long seen_rows, seen_latency[BINS];
    struct serve_figure *ring; /* NULL: nothing in the last 15 minutes */
    int quiet_count;           /* readings without a request */
};

/* Sums over series and readings. */
struct sum {
    double seconds;
    long long rows, latency[BINS], requests, fallbacks, errors;
};

void
serve_figures_free(struct serve_figures *f)
{
    if (f)
        slw_free(f->ring);
    slw_free(f);
}

/* ---- reading ---- */

static void
read_series(struct serve_series *s, int at)
{
    if (!s->figures)
        s->figures = slw_alloc(sizeof *s->figures);
    struct serve_figures *f = s->figures;
    struct serve_figure now = {0};
    bool any = false;
    long long rows = atomic_load_explicit(&s->count, memory_order_relaxed);
    now.rows = (uint32_t)(rows - f->seen_rows);
    f->seen_rows = rows;
    for (int i = 0; i < BINS; i++) {
        long long n =
            atomic_load_explicit(&s->latency[i], memory_order_relaxed);
        now.latency[i] = (uint32_t)(n - f->seen_latency[i]);
        f->seen_latency[i] = n;
        any = any || now.latency[i];
    }
    f->quiet_count = any ? 0 : f->quiet_count + 1;
    if (any && !f->ring)
        f->ring = slw_alloc(sizeof *f->ring * SERVE_FIGURES_COUNT);
    if (f->ring && f->quiet_count > SERVE_FIGURES_COUNT) {
        slw_free(f->ring);
        f->ring = NULL;
    }
    if (f->ring)
        f->ring[at] = now;
}

static void
read_slot(struct serve_slot *slot, int at)
{
    long long fallbacks = 0, errors = 0;
    for (int r = SERVE_REASON_NONE + 1; r < SERVE_REASON_COUNT; r++) {
        long long n =
            atomic_load_explicit(&slot->fallbacks[r], memory_order_relaxed);
        fallbacks += n;
        if (r == SERVE_REASON_ERROR || r == SERVE_REASON_NOT_FINITE ||
            r == SERVE_REASON_LATE)
            errors += n;
    }
    if (!slot->failures)
        slot->failures = slw_alloc(sizeof *slot->failures);
    struct serve_failures *f = slot->failures;
    f->fallbacks[at] = (uint32_t)(fallbacks - f->seen_fallbacks);
    f->errors[at] = (uint32_t)(errors - f->seen_errors);
    f->seen_fallbacks = fallbacks;
    f->seen_errors = errors;
    for (struct serve_series *s =
             atomic_load_explicit(&slot->series, memory_order_acquire);
         s; s = s->next)
        read_series(s, at);
}

void
slw_serve_tick(struct slw_serve *s, int64_t mono_ns)
{
    pthread_mutex_lock(&s->figures_mutex);
    int at = s->figures_next;
    int before = (at + SERVE_FIGURES_COUNT - 1) % SERVE_FIGURES_COUNT;
    s->figures_took_ns[at] = s->figures_count
                                 ? mono_ns - s->figures_ns[before]
                                 : (int64_t)SLW_SERVE_TICK_MS * 1000000;
    s->figures_ns[at] = mono_ns;
    for (size_t i = 0; i < SERVE_TABLE_SIZE; i++) {
        struct serve_slot *slot =
            atomic_load_explicit(&s->table[i], memory_order_acquire);
        if (slot)
            read_slot(slot, at);
    }
    s->figures_next = (at + 1) % SERVE_FIGURES_COUNT;
    if (s->figures_count < SERVE_FIGURES_COUNT)
        s->figures_count++;
    pthread_mutex_unlock(&s->figures_mutex);
}

/* ---- sums ---- */

static void
add_series(struct sum *sum, const struct serve_series *s, int at)
{
    if (!s->figures || !s->figures->ring)
        return;
    const struct serve_figure *f = &s->figures->ring[at];
    sum->rows += f->rows;
    for (int i = 0; i < BINS; i++) {
        sum->latency[i] += f->latency[i];
        sum->requests += f->latency[i];
    }
}

static void
add_slot(struct slw_serve *s, struct sum *sum, struct serve_slot *slot, int at)
{
    sum->seconds += (double)s->figures_took_ns[at] * 1e-9;
    if (!slot->failures)
        return;
    sum->fallbacks += slot->failures->fallbacks[at];
    sum->errors += slot->failures->errors[at];
    for (struct serve_series *one =
             atomic_load_explicit(&slot->series, memory_order_acquire);
         one; one = one->next)
        add_series(sum, one, at);
}

/* Quantile in milliseconds, straight lines within a bin; what is over the last
 * bound counts as that bound. */
static double
quantile_ms(const struct sum *sum, double q)
{
    double want = q * (double)sum->requests, below = 0;
    for (int i = 0; i < SERVE_LATENCY_BIN_COUNT; i++) {
        double n = (double)sum->latency[i];
        double low = i ? (double)serve_latency_bound_ns(i - 1) : 0;
        double high = (double)serve_latency_bound_ns(i);
        if (n > 0 && below + n >= want)
            return (low + (high - low) * (want - below) / n) * 1e-6;
        below += n;
    }
    return (double)serve_latency_bound_ns(SERVE_LATENCY_BIN_COUNT - 1) * 1e-6;
}

static void
write_quantile(struct slw_jw *w, const char *key, const struct sum *sum,
               double q)
{
    slw_jw_key(w, key);
    if (sum->requests)
        slw_jw_f64(w, quantile_ms(sum, q));
    else
        slw_jw_null(w);
}

static void
write_sum(struct slw_jw *w, const struct sum *sum)
{
    double seconds = sum->seconds > 0 ? sum->seconds : 1;
    slw_jw_kf64(w, "requests_per_s", (double)sum->requests / seconds);
    write_quantile(w, "p50_ms", sum, 0.5);
    write_quantile(w, "p99_ms", sum, 0.99);
    slw_jw_kf64(w, "errors_per_s", (double)sum->errors / seconds);
    slw_jw_kf64(w, "fallback_share",
                sum->requests ? (double)sum->fallbacks / (double)sum->requests
                              : 0);
}

void
slw_serve_figures(struct slw_serve *s, struct slw_arena *a, struct slw_jw *w)
{
    struct slw_str *names = NULL;
    size_t count = 0;
    slw_serve_names(s, a, &names, &count);
    pthread_mutex_lock(&s->figures_mutex);
    int last =
        (s->figures_next + SERVE_FIGURES_COUNT - 1) % SERVE_FIGURES_COUNT;
    slw_jw_arr(w);
    for (size_t i = 0; i < count; i++) {
        struct serve_slot *slot = serve_slot_find(s, names[i]);
        struct sum sum = {0};
        if (slot && s->figures_count)
            add_slot(s, &sum, slot, last);
        slw_jw_obj(w);
        slw_jw_kstr(w, "name", names[i]);
        write_sum(w, &sum);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
    pthread_mutex_unlock(&s->figures_mutex);
}

/* The reading `back` places before the newest (0). */
static int
reading(const struct slw_serve *s, int back)
{
    return (s->figures_next + 2 * SERVE_FIGURES_COUNT - 1 - back) %
           SERVE_FIGURES_COUNT;
}

static void
write_points(struct slw_serve *s, struct serve_slot *slot, int count,
             int64_t now_ms, struct slw_jw *w)
{
    int step = (count + POINT_MAX - 1) / POINT_MAX;
    slw_jw_key(w, "points");
    slw_jw_arr(w);
    for (int back = count - 1; back >= 0;) {
        struct sum sum = {0};
        int64_t at_ns = 0;
        for (int k = 0; k < step && back >= 0; k++, back--) {
            add_slot(s, &sum, slot, reading(s, back));
            at_ns = s->figures_ns[reading(s, back)];
        }
        slw_jw_obj(w);
        slw_jw_ki64(w, "t_ms",
                    now_ms - (s->figures_ns[reading(s, 0)] - at_ns) / 1000000);
        write_sum(w, &sum);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
}

static void
write_releases(struct slw_serve *s, struct serve_slot *slot, int count,
               double seconds, struct slw_jw *w)
{
    static const char *const roles[] = {[SLW_BY_CHAMPION] = "champion",
                                        [SLW_BY_CANARY] = "canary",
                                        [SLW_BY_FALLBACK] = "fallback"};
    slw_jw_key(w, "releases");
    slw_jw_arr(w);
    for (struct serve_series *one =
             atomic_load_explicit(&slot->series, memory_order_acquire);
         one; one = one->next) {
        struct sum sum = {.seconds = seconds};
        for (int back = 0; back < count; back++)
            add_series(&sum, one, reading(s, back));
        if (!sum.requests)
            continue;
        slw_jw_obj(w);
        slw_jw_ki64(w, "version", one->version);
        slw_jw_kz(w, "role", roles[one->by]);
        slw_jw_ki64(w, "requests", sum.requests);
        slw_jw_ki64(w, "rows", sum.rows);
        slw_jw_kf64(w, "requests_per_s",
                    (double)sum.requests / (seconds > 0 ? seconds : 1));
        write_quantile(w, "p50_ms", &sum, 0.5);
        write_quantile(w, "p90_ms", &sum, 0.9);
        write_quantile(w, "p99_ms", &sum, 0.99);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
}

enum slw_rc
slw_serve_figures_of(struct slw_serve *s, struct slw_str deployment,
                     int64_t seconds, int64_t now_ms, struct slw_jw *w,
                     struct slw_err *err)
{
    struct serve_slot *slot = serve_slot_find(s, deployment);
    if (!slot)
        return slw_fail(err, SLW_NOT_FOUND, "there is no deployment '%.*s'",
                        SLW_FMT(deployment));
    pthread_mutex_lock(&s->figures_mutex);
    int count = 0;
    double took = 0;
    while (count < s->figures_count && took < (double)seconds) {
        took += (double)s->figures_took_ns[reading(s, count)] * 1e-9;
        count++;
    }
    slw_jw_obj(w);
    slw_jw_kstr(w, "name", deployment);
    slw_jw_kf64(w, "seconds", took);
    write_points(s, slot, count, now_ms, w);
    write_releases(s, slot, count, took, w);
    slw_jw_obj_end(w);
    pthread_mutex_unlock(&s->figures_mutex);
    return SLW_OK;
}
