/* metrics.c -- counters of answers, for Prometheus.
 *
 * A series is made when a version comes live, so it is shown at 0 from the
 * start, and only known names become labels.  A scrape reads atomics. */
#include "serve/serve_internal.h"

/* Upper bounds in nanoseconds and as they are written. */
static const struct {
    int64_t ns;
    const char *le;
} BINS[SERVE_LATENCY_BIN_COUNT] = {
    {5000, "0.000005"},  {10000, "0.00001"}, {25000, "0.000025"},
    {50000, "0.00005"},  {100000, "0.0001"}, {250000, "0.00025"},
    {500000, "0.0005"},  {1000000, "0.001"}, {2500000, "0.0025"},
    {5000000, "0.005"},  {10000000, "0.01"}, {50000000, "0.05"},
    {250000000, "0.25"}, {1000000000, "1"}};

static const char *const ROLES[] = {
    [SLW_BY_CHAMPION] = "champion",
    [SLW_BY_CANARY] = "canary",
    [SLW_BY_FALLBACK] = "fallback",
};

int64_t
serve_latency_bound_ns(int bin)
{
    SLW_ASSERT(bin >= 0 && bin < SERVE_LATENCY_BIN_COUNT);
    return BINS[bin].ns;
}

struct serve_series *
serve_series_of(struct serve_slot *slot, int64_t version, enum slw_answer_by by)
{
    struct serve_series *first =
        atomic_load_explicit(&slot->series, memory_order_acquire);
    for (struct serve_series *s = first; s; s = s->next)
        if (s->version == version && s->by == by)
            return s;
    struct serve_series *s = slw_alloc(sizeof *s);
    s->next = first;
    s->version = version;
    s->by = by;
    atomic_store_explicit(&slot->series, s, memory_order_release);
    return s;
}

void
serve_series_observe(struct serve_series *s, int64_t latency_ns,
                     size_t row_count)
{
    int i = 0;
    while (i < SERVE_LATENCY_BIN_COUNT && latency_ns > BINS[i].ns)
        i++;
    atomic_fetch_add_explicit(&s->count, (long long)row_count,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&s->latency[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->latency_sum_ns, latency_ns,
                              memory_order_relaxed);
}

typedef void (*slot_fn)(struct serve_slot *slot, struct slw_buf *out);

static void
each_slot(struct slw_serve *s, slot_fn fn, struct slw_buf *out)
{
    for (size_t i = 0; i < SERVE_TABLE_SIZE; i++) {
        struct serve_slot *slot =
            atomic_load_explicit(&s->table[i], memory_order_acquire);
        if (slot)
            fn(slot, out);
    }
}

static long long
get(atomic_llong *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static struct serve_series *
series_first(struct serve_slot *slot)
{
    return atomic_load_explicit(&slot->series, memory_order_acquire);
}

static void
write_labels(struct serve_slot *slot, const struct serve_series *s,
             struct slw_buf *out)
{
    /* Names are of slw_name_ok(): nothing to escape. */
    slw_buf_printf(out, "deployment=\"%.*s\",version=\"%lld\",role=\"%s\"",
                   SLW_FMT(slot->name), (long long)s->version, ROLES[s->by]);
}

static void
write_predictions(struct serve_slot *slot, struct slw_buf *out)
{
    for (struct serve_series *s = series_first(slot); s; s = s->next) {
        slw_buf_z(out, "slipway_predictions_total{");
        write_labels(slot, s, out);
        slw_buf_printf(out, "} %lld\n", get(&s->count));
    }
}

static void
write_fallbacks(struct serve_slot *slot, struct slw_buf *out)
{
    for (int r = SERVE_REASON_NONE + 1; r < SERVE_REASON_COUNT; r++)
        slw_buf_printf(out,
                       "slipway_fallbacks_total{deployment=\"%.*s\","
                       "reason=\"%s\"} %lld\n",
                       SLW_FMT(slot->name),
                       serve_reason_name((enum serve_reason)r),
                       get(&slot->fallbacks[r]));
}

static void
write_bucket(struct serve_slot *slot, const struct serve_series *s,
             const char *le, long long n, struct slw_buf *out)
{
    slw_buf_z(out, "slipway_prediction_duration_seconds_bucket{");
    write_labels(slot, s, out);
    slw_buf_printf(out, ",le=\"%s\"} %lld\n", le, n);
}

static void
write_histograms(struct serve_slot *slot, struct slw_buf *out)
{
    for (struct serve_series *s = series_first(slot); s; s = s->next) {
        long long n = 0;
        for (int i = 0; i < SERVE_LATENCY_BIN_COUNT; i++) {
            n += get(&s->latency[i]);
            write_bucket(slot, s, BINS[i].le, n, out);
        }
        n += get(&s->latency[SERVE_LATENCY_BIN_COUNT]);
        write_bucket(slot, s, "+Inf", n, out);
        slw_buf_z(out, "slipway_prediction_duration_seconds_sum{");
        write_labels(slot, s, out);
        slw_buf_printf(out, "} %.9f\n", (double)get(&s->latency_sum_ns) * 1e-9);
        slw_buf_z(out, "slipway_prediction_duration_seconds_count{");
        write_labels(slot, s, out);
        slw_buf_printf(out, "} %lld\n", n);
    }
}

static void
write_dropped(struct serve_slot *slot, struct slw_buf *out)
{
    slw_buf_printf(out,
                   "slipway_prediction_log_dropped_total"
                   "{deployment=\"%.*s\"} %lld\n",
                   SLW_FMT(slot->name), get(&slot->log.dropped_count));
}

void
slw_serve_metrics(struct slw_serve *s, struct slw_buf *out)
{
    slw_buf_z(out, "# HELP slipway_predictions_total Rows answered.\n"
                   "# TYPE slipway_predictions_total counter\n");
    each_slot(s, write_predictions, out);
    slw_buf_z(out,
              "# HELP slipway_fallbacks_total Requests the rule answered.\n"
              "# TYPE slipway_fallbacks_total counter\n");
    each_slot(s, write_fallbacks, out);
    slw_buf_z(out, "# HELP slipway_prediction_duration_seconds Time to answer"
                   " a request.\n"
                   "# TYPE slipway_prediction_duration_seconds histogram\n");
    each_slot(s, write_histograms, out);
    slw_buf_z(out, "# HELP slipway_prediction_log_dropped_total Answers that"
                   " could not be kept.\n"
                   "# TYPE slipway_prediction_log_dropped_total counter\n");
    each_slot(s, write_dropped, out);
}
