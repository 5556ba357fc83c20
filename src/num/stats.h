/* stats.h -- descriptive statistics, distributions and the special functions
 * behind them.  Pure functions: no allocation unless a scratch array is named,
 * no lock, no I/O; any thread may call them. */
#ifndef SLW_NUM_STATS_H
#define SLW_NUM_STATS_H

#include "base/base.h"

/* Pairwise-stable sums: two-pass mean and variance.  NaN in, NaN out. */
double slw_mean(const double *x, size_t count);               /* 0 rows: NaN */
double slw_variance(const double *x, size_t count, int ddof); /* ddof 0 | 1 */
/* Quantile q in 0..1 of sorted[count], linear between order statistics
 * (Hyndman & Fan 1996, type 7: NumPy's default). */
double slw_quantile_sorted(const double *sorted, size_t count, double q);
/* Sort ascending in place, NaN last. O(n log n), deterministic. */
void slw_sort_f64(double *x, size_t count);

/* Standard normal distribution function and its inverse. */
double slw_normal_cdf(double z);
double slw_normal_quantile(double p);
/* Student's t: P(T > t) with df degrees of freedom. */
double slw_student_sf(double t, double df);
/* Chi-squared: P(X > x) with df degrees of freedom; inverse in p. */
double slw_chi2_sf(double x, double df);
double slw_chi2_quantile(double p, double df);
/* Kolmogorov distribution: P(K > x). */
double slw_kolmogorov_sf(double x);
/* Regularised incomplete gamma P(a,x) and beta I_x(a,b). */
double slw_gamma_p(double a, double x);
double slw_beta_inc(double a, double b, double x);

#endif
