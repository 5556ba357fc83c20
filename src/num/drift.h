/* drift.h -- how far two samples of one column have moved apart, and whether
 * that is more than chance.
 *
 * Pure functions.  A profile is a vector of counts over bins fixed on the
 * reference; effect size (PSI, KS) and p-value are reported side by side,
 * because a fixed PSI threshold alarms on small undrifted samples. */
#ifndef SLW_NUM_DRIFT_H
#define SLW_NUM_DRIFT_H

#include "base/base.h"

#define SLW_BINS_MAX 1024
/* The share an empty bin is given, so that the logarithm stays finite. */
#define SLW_PSI_SHARE_MIN 1e-4

/* Inner edges of bins holding equal shares of the sorted reference.
 * In     sorted[count] without NaN, ascending; bin_count 2..SLW_BINS_MAX
 * Out    edges[bin_count-1], ascending, without duplicates; *out_edge_count
 *        (fewer when values tie, at least 1); bin i holds
 *        edges[i-1] < x <= edges[i]
 * Errors INVALID: no rows, bad bin_count */
SLW_MUST_USE enum slw_rc slw_bins_fit(const double *sorted, size_t count,
                                      size_t bin_count, double *edges,
                                      size_t *out_edge_count,
                                      struct slw_err *err);
/* The bin of a number that is not NaN: 0..edge_count. */
size_t slw_bin_of(const double *edges, size_t edge_count, double x);
/* Count x[count] into counts[edge_count+1]; NaN into *out_null_count. */
void slw_bins_count(const double *edges, size_t edge_count, const double *x,
                    size_t count, int64_t *counts, int64_t *out_null_count);

/* Population stability index of two profiles over the same bins.
 * In     ref[bin_count], cur[bin_count]  counts, each >= 0
 *        bin_count 2..SLW_BINS_MAX
 * Out    *out_psi nats, >= 0
 * Errors INVALID: a negative count, an empty profile, too few or too many
 *        bins; *out_psi is then left as it was
 * Source Kullback & Leibler 1951, symmetric divergence, natural log
 * Note   0.1 and 0.25 are habit, not a test: see slw_psi_p(). */
SLW_MUST_USE enum slw_rc slw_psi(const int64_t *ref, const int64_t *cur,
                                 size_t bin_count, double *out_psi,
                                 struct slw_err *err);
/* P(PSI >= psi) for independent rows without drift: (1/n+1/m) chi2_{B-1}.
 * Source Yurdakul 2018 */
double slw_psi_p(double psi, int64_t ref_count, int64_t cur_count,
                 size_t bin_count);

/* Two-sample Kolmogorov-Smirnov.
 * In     a[a_count], b[b_count] sorted ascending, no NaN, counts > 0
 * Out    *out_d in 0..1; *out_p two-sided: exact by path counting while
 *        a_count*b_count <= 10000, else Kolmogorov with n = nm/(n+m)
 * Errors INVALID: an empty sample
 * Cost   O(a_count+b_count), and 10,000 steps for an exact p
 * Source Hodges 1957 (paths); Kolmogorov 1933, Smirnov 1939
 * Note   with ties p is too large, never too small */
SLW_MUST_USE enum slw_rc slw_ks_two_sample(const double *a, size_t a_count,
                                           const double *b, size_t b_count,
                                           double *out_d, double *out_p,
                                           struct slw_err *err);

/* Benjamini & Hochberg 1995: adjusted p-values, in place order kept.
 * Reject where adjusted <= q: the expected share of false alarms is <= q.
 * In p[count] in 0..1; count <= 4096. */
void slw_bh_adjust(const double *p, size_t count, double *out_adjusted);

#endif
