/* block.c -- the drift test: is this window further from the reference than
 * stretches of the reference are from one another?
 *
 * Rows of production are dependent: entities move together, and one day is
 * like the next.  Tests made for independent rows therefore alarm on almost
 * every window.  Here the reference itself says how far a window of this
 * length strays by chance:
 *
 *   1. bins are quantiles of the reference; PSI(window, reference) with half a
 *      row added to each bin;
 *   2. for every run of n consecutive days inside the reference (n = days of
 *      the window) the PSI of that run against the rest;
 *   3. their logarithms are near normal; with mean L and deviation s,
 *        t = (ln PSI - L) / (s sqrt(1 + 1/k)),  k = max(3, floor(m / n))
 *      runs that do not overlap, and p = P(T_{k-1} > t).
 *
 * The same is done for the Kolmogorov-Smirnov distance over percentiles.
 * Measured on simulated series (day correlation 0 to 0.97, common factor):
 * P(p < 0.05) between 0.006 and 0.094; naive tests: 0.9 and more. */
#include "monitor/monitor_internal.h"

#include <math.h>

#include "base/clock.h"
#include "num/drift.h"
#include "num/stats.h"

/* Counts of one column: a row a block, a column a bin, summed up over the
 * blocks so that any run of blocks is one difference. */
struct cube {
    size_t block_count, bin_count;
    int64_t *sums; /* [block_count + 1][bin_count] */
};

static void
cube_make(struct cube *c, const struct monitor_sample *s, int64_t block_ms,
          const double *edges, size_t edge_count, struct slw_arena *a)
{
    size_t bins = edge_count + 1;
    c->bin_count = bins;
    c->block_count = 0;
    c->sums = SLW_ARENA_NEW(a, int64_t, (s->row_count + 1) * bins);
    int64_t present = INT64_MIN;
    for (size_t i = 0; i < s->row_count; i++) {
        if (isnan(s->x[i]))
            continue;
        int64_t block = slw_time_index(s->event_ms[i], block_ms);
        if (block != present || c->block_count == 0) {
            c->block_count++;
            memcpy(&c->sums[c->block_count * bins],
                   &c->sums[(c->block_count - 1) * bins],
                   bins * sizeof *c->sums);
            present = block;
        }
        c->sums[c->block_count * bins +
                slw_bin_of(edges, edge_count, s->x[i])]++;
    }
}

/* Counts of blocks [from, to) into out[bin_count]; returns their sum. */
static int64_t
cube_slice(const struct cube *c, size_t from, size_t to, int64_t *out)
{
    int64_t total = 0;
    for (size_t b = 0; b < c->bin_count; b++) {
        out[b] =
            c->sums[to * c->bin_count + b] - c->sums[from * c->bin_count + b];
        total += out[b];
    }
    return total;
}

/* PSI with half a row added to each bin: finite for any counts. */
static double
psi_half(const int64_t *ref, int64_t ref_total, const int64_t *cur,
         int64_t cur_total, size_t bins)
{
    double psi = 0;
    for (size_t b = 0; b < bins; b++) {
        double p =
            ((double)ref[b] + 0.5) / ((double)ref_total + 0.5 * (double)bins);
        double q =
            ((double)cur[b] + 0.5) / ((double)cur_total + 0.5 * (double)bins);
        psi += (q - p) * log(q / p);
    }
    return psi;
}

/* Greatest distance of the distribution functions at the bins' edges. */
static double
ks_bins(const int64_t *ref, int64_t ref_total, const int64_t *cur,
        int64_t cur_total, size_t bins)
{
    double f = 0, g = 0, d = 0;
    for (size_t b = 0; b + 1 < bins; b++) {
        f += (double)ref[b] / (double)ref_total;
        g += (double)cur[b] / (double)cur_total;
        d = fmax(d, fabs(f - g));
    }
    return d;
}

typedef double (*distance_fn)(const int64_t *ref, int64_t ref_total,
                              const int64_t *cur, int64_t cur_total,
                              size_t bins);

/* p of `value` among the distances of n-block runs of the reference from the
 * rest of it. */
static double
block_p(const struct cube *ref, size_t n, double value, distance_fn distance,
        struct slw_arena *a)
{
    size_t m = ref->block_count, run_count = m - n + 1, used = 0;
    double *logs = SLW_ARENA_NEW(a, double, run_count);
    int64_t all[MONITOR_FINE_COUNT], run[MONITOR_FINE_COUNT],
        rest[MONITOR_FINE_COUNT];
    int64_t all_total = cube_slice(ref, 0, m, all);
    for (size_t i = 0; i < run_count; i++) {
        int64_t run_total = cube_slice(ref, i, i + n, run);
        for (size_t b = 0; b < ref->bin_count; b++)
            rest[b] = all[b] - run[b];
        double d = distance(rest, all_total - run_total, run, run_total,
                            ref->bin_count);
        if (d > 0)
            logs[used++] = log(d);
    }
    if (used < 3 || !(value > 0))
        return value > 0 ? NAN : 1;
    double mean = slw_mean(logs, used);
    double sd = sqrt(slw_variance(logs, used, 1));
    if (!(sd > 0))
        return NAN;
    double k = (double)(m / n);
    if (k < 3)
        k = 3;
    double t = (log(value) - mean) / (sd * sqrt(1 + 1 / k));
    return slw_student_sf(t, k - 1);
}

static double
mean_of(const struct monitor_sample *s, int64_t *out_nulls)
{
    double sum = 0;
    int64_t count = 0;
    for (size_t i = 0; i < s->row_count; i++)
        if (!isnan(s->x[i])) {
            sum += s->x[i];
            count++;
        }
    *out_nulls = (int64_t)s->row_count - count;
    return count ? sum / (double)count : NAN;
}

/* Quantile edges of the reference's values; 0 when it is constant or empty. */
static size_t
fit_edges(const struct monitor_sample *ref, size_t bin_count, double *edges,
          struct slw_arena *a)
{
    double *sorted = SLW_ARENA_NEW(a, double, ref->row_count + 1);
    size_t count = 0, edge_count = 0;
    struct slw_err ignored;
    for (size_t i = 0; i < ref->row_count; i++)
        if (!isnan(ref->x[i]))
            sorted[count++] = ref->x[i];
    slw_sort_f64(sorted, count);
    if (count == 0 || sorted[0] == sorted[count - 1] ||
        slw_bins_fit(sorted, count, bin_count, edges, &edge_count, &ignored) !=
            SLW_OK)
        return 0;
    return edge_count;
}

/* Distance and p over quantile bins; NaN where it cannot be judged. */
static void
judge(const struct monitor_sample *ref, const struct monitor_sample *cur,
      const struct monitor_drift *how, size_t bin_count, distance_fn distance,
      struct slw_arena *a, struct cube *ref_cube, struct cube *cur_cube,
      double *edges, double *out_value, double *out_p)
{
    int64_t rc[MONITOR_FINE_COUNT], cc[MONITOR_FINE_COUNT];
    *out_value = *out_p = NAN;
    size_t edge_count = fit_edges(ref, bin_count, edges, a);
    if (edge_count == 0)
        return;
    cube_make(ref_cube, ref, how->block_ms, edges, edge_count, a);
    cube_make(cur_cube, cur, how->block_ms, edges, edge_count, a);
    size_t n = cur_cube->block_count, m = ref_cube->block_count;
    if (n == 0 || m == 0)
        return;
    int64_t rt = cube_slice(ref_cube, 0, m, rc);
    int64_t ct = cube_slice(cur_cube, 0, n, cc);
    *out_value = distance(rc, rt, cc, ct, ref_cube->bin_count);
    if ((int64_t)n >= how->min_blocks && ct >= how->min_rows && m >= 3 * n)
        *out_p = block_p(ref_cube, n, *out_value, distance, a);
}

void
monitor_block_test(const struct monitor_sample *ref,
                   const struct monitor_sample *cur,
                   const struct monitor_drift *how, struct slw_arena *a,
                   struct monitor_column *out)
{
    double fine[MONITOR_FINE_COUNT];
    struct cube rc = {0}, cc = {0}, rf = {0}, cf = {0};
    out->ref_mean = mean_of(ref, &out->ref_nulls);
    out->cur_mean = mean_of(cur, &out->cur_nulls);
    out->adjusted_p = NAN;
    judge(ref, cur, how, MONITOR_BIN_COUNT, psi_half, a, &rc, &cc, out->edges,
          &out->psi, &out->p);
    judge(ref, cur, how, MONITOR_FINE_COUNT, ks_bins, a, &rf, &cf, fine,
          &out->ks, &out->ks_p);
    out->ref_blocks = (int64_t)rc.block_count;
    out->cur_blocks = (int64_t)cc.block_count;
    out->bin_count = rc.bin_count;
    if (rc.bin_count) {
        cube_slice(&rc, 0, rc.block_count, out->ref_counts);
        cube_slice(&cc, 0, cc.block_count, out->cur_counts);
    }
}

size_t
monitor_decide(struct monitor_column *cols, size_t count,
               const struct monitor_drift *how, size_t *out_judged)
{
    double p[MONITOR_COLUMN_MAX] = {0}, adjusted[MONITOR_COLUMN_MAX] = {0};
    size_t judged = 0, drifted = 0;
    SLW_ASSERT(count <= MONITOR_COLUMN_MAX);
    for (size_t i = 0; i < count; i++)
        if (!isnan(cols[i].p))
            p[judged++] = cols[i].p;
    slw_bh_adjust(p, judged, adjusted);
    for (size_t i = 0, k = 0; i < count; i++) {
        if (isnan(cols[i].p))
            continue;
        cols[i].adjusted_p = adjusted[k++];
        cols[i].drifted =
            cols[i].adjusted_p <= how->alpha && cols[i].psi > how->floor;
        drifted += cols[i].drifted;
    }
    *out_judged = judged;
    return drifted;
}

static void
write_counts(struct slw_jw *w, const char *key, const int64_t *counts,
             size_t count)
{
    slw_jw_key(w, key);
    slw_jw_arr(w);
    for (size_t i = 0; i < count; i++)
        slw_jw_i64(w, counts[i]);
    slw_jw_arr_end(w);
}

void
monitor_columns_write(struct slw_jw *w, const struct monitor_column *cols,
                      size_t count)
{
    slw_jw_arr(w);
    for (size_t i = 0; i < count; i++) {
        const struct monitor_column *c = &cols[i];
        slw_jw_obj(w);
        slw_jw_kstr(w, "name", c->name);
        slw_jw_kbool(w, "drifted", c->drifted);
        slw_jw_kf64(w, "psi", c->psi);
        slw_jw_kf64(w, "p", c->p);
        slw_jw_kf64(w, "adjusted_p", c->adjusted_p);
        slw_jw_kf64(w, "ks", c->ks);
        slw_jw_kf64(w, "ks_p", c->ks_p);
        slw_jw_ki64(w, "days", c->cur_blocks);
        slw_jw_ki64(w, "reference_days", c->ref_blocks);
        slw_jw_ki64(w, "nulls", c->cur_nulls);
        slw_jw_ki64(w, "reference_nulls", c->ref_nulls);
        slw_jw_kf64(w, "mean", c->cur_mean);
        slw_jw_kf64(w, "reference_mean", c->ref_mean);
        slw_jw_key(w, "edges");
        slw_jw_arr(w);
        for (size_t b = 0; b + 1 < c->bin_count; b++)
            slw_jw_f64(w, c->edges[b]);
        slw_jw_arr_end(w);
        write_counts(w, "counts", c->cur_counts, c->bin_count);
        write_counts(w, "reference_counts", c->ref_counts, c->bin_count);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
}
