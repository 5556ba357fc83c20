/* drift.c -- bins, PSI, Kolmogorov-Smirnov, Benjamini-Hochberg.
 *
 * The exact two-sample KS p-value counts lattice paths: under the hypothesis
 * each order of the n+m values is equally likely, and an order is a path from
 * (0,0) to (n,m).  We sum the probability of having left the band, not of
 * having stayed inside: all terms are positive, so that a p-value of 1e-30
 * is right to its last digits. */
#include "num/drift.h"

#include <math.h>

#include "num/stats.h"

/* ---- bins ---- */

enum slw_rc
slw_bins_fit(const double *sorted, size_t count, size_t bin_count,
             double *edges, size_t *out_edge_count, struct slw_err *err)
{
    if (bin_count < 2 || bin_count > SLW_BINS_MAX)
        return slw_fail(err, SLW_INVALID, "there must be 2 to %d bins, not %zu",
                        SLW_BINS_MAX, bin_count);
    if (count == 0)
        return slw_fail(err, SLW_INVALID,
                        "bins need at least one row of the reference");
    size_t edge_count = 0;
    for (size_t i = 1; i < bin_count; i++) {
        double edge =
            slw_quantile_sorted(sorted, count, (double)i / (double)bin_count);
        if (isnan(edge)) /* between the two infinities */
            continue;
        if (edge_count == 0 || edge > edges[edge_count - 1])
            edges[edge_count++] = edge;
    }
    *out_edge_count = edge_count;
    return SLW_OK;
}

size_t
slw_bin_of(const double *edges, size_t edge_count, double x)
{
    size_t low = 0, high = edge_count; /* first edge with x <= edge */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (x <= edges[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void
slw_bins_count(const double *edges, size_t edge_count, const double *x,
               size_t count, int64_t *counts, int64_t *out_null_count)
{
    int64_t null_count = 0;
    memset(counts, 0, (edge_count + 1) * sizeof *counts);
    for (size_t row = 0; row < count; row++) {
        if (isnan(x[row])) {
            null_count++;
            continue;
        }
        counts[slw_bin_of(edges, edge_count, x[row])]++;
    }
    *out_null_count = null_count;
}

/* ---- PSI ---- */

static enum slw_rc
profile_total(const char *name, const int64_t *counts, size_t bin_count,
              double *out_total, struct slw_err *err)
{
    double total = 0;
    for (size_t i = 0; i < bin_count; i++) {
        if (counts[i] < 0)
            return slw_fail(err, SLW_INVALID,
                            "bin %zu of the %s profile has the negative count "
                            "%lld",
                            i, name, (long long)counts[i]);
        total += (double)counts[i];
    }
    if (total <= 0)
        return slw_fail(err, SLW_INVALID, "the %s profile is empty", name);
    *out_total = total;
    return SLW_OK;
}

enum slw_rc
slw_psi(const int64_t *ref, const int64_t *cur, size_t bin_count,
        double *out_psi, struct slw_err *err)
{
    if (bin_count < 2 || bin_count > SLW_BINS_MAX)
        return slw_fail(err, SLW_INVALID, "there must be 2 to %d bins, not %zu",
                        SLW_BINS_MAX, bin_count);
    double ref_total, cur_total, psi = 0;
    TRY(profile_total("reference", ref, bin_count, &ref_total, err));
    TRY(profile_total("current", cur, bin_count, &cur_total, err));
    for (size_t i = 0; i < bin_count; i++) {
        double p = (double)ref[i] / ref_total, q = (double)cur[i] / cur_total;
        p = p > 0 ? p : SLW_PSI_SHARE_MIN;
        q = q > 0 ? q : SLW_PSI_SHARE_MIN;
        psi += (q - p) * log(q / p);
    }
    *out_psi = psi;
    return SLW_OK;
}

double
slw_psi_p(double psi, int64_t ref_count, int64_t cur_count, size_t bin_count)
{
    SLW_ASSERT(ref_count > 0);
    SLW_ASSERT(cur_count > 0);
    SLW_ASSERT(bin_count >= 2);
    double scale = 1 / (double)ref_count + 1 / (double)cur_count;
    return slw_chi2_sf(psi / scale, (double)(bin_count - 1));
}

/* ---- Kolmogorov-Smirnov ---- */

#define KS_EXACT_PRODUCT_MAX 10000
#define KS_EXACT_SIDE_MAX 100 /* the shorter side then has at most that */

/* max |i/n - j/m| over the merged samples as the integer max |i m - j n|;
 * inside a run of equal values there is no step to look at. */
static uint64_t
ks_statistic(const double *a, size_t n, const double *b, size_t m)
{
    uint64_t greatest = 0;
    size_t i = 0, j = 0;
    while (i < n && j < m) {
        double v = a[i] < b[j] ? a[i] : b[j];
        while (i < n && a[i] == v)
            i++;
        while (j < m && b[j] == v)
            j++;
        uint64_t x = (uint64_t)i * m, y = (uint64_t)j * n;
        uint64_t gap = x > y ? x - y : y - x;
        if (gap > greatest)
            greatest = gap;
    }
    return greatest; /* where one sample has ended the gap only shrinks */
}

/* P(a random path leaves the band |i m - j n| < gap), m the shorter side.
 * left[j] is the chance, given the path passes (i,j), that it has left before
 * or there; it came from (i-1,j) with probability i/(i+j). */
static double
ks_exact_p(uint64_t gap, size_t n, size_t m)
{
    double left[KS_EXACT_SIDE_MAX + 1];
    SLW_ASSERT(m <= KS_EXACT_SIDE_MAX);
    if (gap == 0)
        return 1;
    for (size_t i = 0; i <= n; i++) {
        for (size_t j = 0; j <= m; j++) {
            uint64_t x = (uint64_t)i * m, y = (uint64_t)j * n;
            double whole = (double)(i + j), p = 0;
            if (i > 0)
                p += (double)i / whole * left[j];
            if (j > 0)
                p += (double)j / whole * left[j - 1];
            left[j] = (x > y ? x - y : y - x) >= gap ? 1 : p;
        }
    }
    return left[m];
}

enum slw_rc
slw_ks_two_sample(const double *a, size_t a_count, const double *b,
                  size_t b_count, double *out_d, double *out_p,
                  struct slw_err *err)
{
    if (a_count == 0 || b_count == 0)
        return slw_fail(err, SLW_INVALID,
                        "the %s sample of a Kolmogorov-Smirnov test is empty",
                        a_count ? "second" : "first");
    SLW_ASSERT(a_count <= UINT32_MAX);
    SLW_ASSERT(b_count <= UINT32_MAX);
    uint64_t gap = ks_statistic(a, a_count, b, b_count);
    uint64_t product = (uint64_t)a_count * b_count;
    double d = (double)gap / (double)product, p;
    if (product <= KS_EXACT_PRODUCT_MAX)
        p = a_count > b_count ? ks_exact_p(gap, a_count, b_count)
                              : ks_exact_p(gap, b_count, a_count);
    else
        p = slw_kolmogorov_sf(
            d * sqrt((double)product / (double)(a_count + b_count)));
    *out_d = d;
    *out_p = p;
    return SLW_OK;
}

/* ---- multiplicity ---- */

#define BH_COUNT_MAX 4096

/* Order of p by heapsort on indices: ties keep any order, they get the same
 * adjusted value. */
static void
index_sift(uint16_t *index, const double *p, size_t root, size_t count)
{
    for (;;) {
        size_t child = 2 * root + 1;
        if (child >= count)
            return;
        if (child + 1 < count && p[index[child + 1]] > p[index[child]])
            child++;
        if (!(p[index[child]] > p[index[root]]))
            return;
        uint16_t t = index[root];
        index[root] = index[child];
        index[child] = t;
        root = child;
    }
}

void
slw_bh_adjust(const double *p, size_t count, double *out_adjusted)
{
    uint16_t index[BH_COUNT_MAX];
    SLW_ASSERT(count <= BH_COUNT_MAX);
    for (size_t i = 0; i < count; i++) {
        SLW_ASSERT(p[i] >= 0);
        SLW_ASSERT(p[i] <= 1);
        index[i] = (uint16_t)i;
    }
    for (size_t i = count / 2; i-- > 0;)
        index_sift(index, p, i, count);
    /* The heap gives the greatest first, which is the order of the formula:
     * adjusted_(i) = min over j >= i of p_(j) count / j. */
    double least = 1;
    for (size_t rank = count; rank > 0; rank--) {
        uint16_t at = index[0];
        double v = p[at] * (double)count / (double)rank;
        if (v < least)
            least = v;
        index[0] = index[rank - 1];
        index_sift(index, p, 0, rank - 1);
        out_adjusted[at] = least;
    }
}
