/* metric.h -- how wrong a forecast is, and whether one forecast is better
 * than another by more than chance.  Pure functions. */
#ifndef SLW_NUM_METRIC_H
#define SLW_NUM_METRIC_H

#include "base/base.h"

/* All over rows where both values are finite. */
struct slw_metrics {
    double mae;  /* unit of the target */
    double rmse; /* unit of the target */
    double mape; /* share 0.., over rows with |y| > 0 */
    double r2;   /* 1 - SSE/SST; NaN when the target is constant */
    double bias; /* mean of prediction - y */
    int64_t row_count;
    int64_t bad_count; /* rows with a non-finite prediction */
};
void slw_metrics_of(const double *y, const double *yhat, size_t count,
                    struct slw_metrics *out);

#define SLW_PAIRED_PERIODS_MIN 8
/* Is the mean of a dependent series of paired loss differences above zero?
 * One-sided Diebold-Mariano test with Newey-West variance (Bartlett weights,
 * lag floor(count^(1/3))) and the small-sample correction of Harvey, Leybourne
 * and Newbold 1997 (one step ahead); Student's t with count-1 degrees.
 * In     d[count]  loss(other) - loss(candidate), one a period in time order
 *                  (average rows of one period first: they are not independent)
 * Out    *out_mean, *out_p = P(mean this large | no difference)
 * Errors INVALID: fewer than SLW_PAIRED_PERIODS_MIN periods, a non-finite value
 * Note   all differences equal: p = 0 when positive, 1 otherwise
 * Source Diebold & Mariano 1995; Newey & West 1987 */
SLW_MUST_USE enum slw_rc slw_paired_test(const double *d, size_t count,
                                         double *out_mean, double *out_p,
                                         struct slw_err *err);

#endif
