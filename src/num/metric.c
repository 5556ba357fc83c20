/* metric.c -- errors of a forecast, and the test of one against another.
 *
 * The test looks at the mean difference of losses a period.  Neighbouring
 * periods resemble each other, so the variance of that mean is estimated with
 * the autocovariances (Newey-West), not as if the periods were independent. */
#include "num/metric.h"

#include <math.h>

#include "num/stats.h"

/* A sum that carries its rounding error along (Neumaier 1974). */
struct sum {
    double value, rest;
};

static void
sum_add(struct sum *s, double v)
{
    double t = s->value + v;
    s->rest +=
        fabs(s->value) >= fabs(v) ? (s->value - t) + v : (v - t) + s->value;
    s->value = t;
}

static double
sum_total(const struct sum *s)
{
    return s->value + s->rest;
}

void
slw_metrics_of(const double *y, const double *yhat, size_t count,
               struct slw_metrics *out)
{
    struct sum size = {0}, square = {0}, share = {0}, error = {0};
    struct sum target = {0}, spread = {0};
    int64_t rows = 0, bad = 0, share_rows = 0;
    bool constant = true;
    double first = NAN;
    for (size_t i = 0; i < count; i++) {
        bad += !isfinite(yhat[i]);
        if (!isfinite(yhat[i]) || !isfinite(y[i]))
            continue;
        double e = yhat[i] - y[i];
        if (rows++ == 0)
            first = y[i];
        constant = constant && y[i] == first;
        sum_add(&size, fabs(e));
        sum_add(&square, e * e);
        sum_add(&error, e);
        sum_add(&target, y[i]);
        if (y[i] != 0) {
            share_rows++;
            sum_add(&share, fabs(e / y[i]));
        }
    }
    double n = (double)rows, mean = sum_total(&target) / n;
    for (size_t i = 0; i < count; i++)
        if (isfinite(yhat[i]) && isfinite(y[i]))
            sum_add(&spread, (y[i] - mean) * (y[i] - mean));
    /* No rows: 0/0 is NaN, which is what is known. */
    *out = (struct slw_metrics){
        .mae = sum_total(&size) / n,
        .rmse = sqrt(sum_total(&square) / n),
        .mape = sum_total(&share) / (double)share_rows,
        .r2 = constant ? NAN : 1 - sum_total(&square) / sum_total(&spread),
        .bias = sum_total(&error) / n,
        .row_count = rows,
        .bad_count = bad,
    };
}

/* (1/count) sum of (d[t] - mean) (d[t-lag] - mean) */
static double
autocovariance(const double *d, size_t count, double mean, size_t lag)
{
    struct sum s = {0};
    for (size_t t = lag; t < count; t++)
        sum_add(&s, (d[t] - mean) * (d[t - lag] - mean));
    return sum_total(&s) / (double)count;
}

static size_t
lag_of(size_t count)
{
    size_t lag = 0;
    while ((lag + 1) * (lag + 1) * (lag + 1) <= count)
        lag++;
    return lag;
}

/* Variance of the series' long-run mean times count. */
static double
long_run_variance(const double *d, size_t count, double mean)
{
    size_t lag = lag_of(count);
    double own = autocovariance(d, count, mean, 0), sum = own;
    for (size_t k = 1; k <= lag; k++) {
        double weight = 1 - (double)k / (double)(lag + 1);
        sum += 2 * weight * autocovariance(d, count, mean, k);
    }
    /* Bartlett's weights keep it above zero up to rounding. */
    return sum > own * 1e-12 ? sum : own * 1e-12;
}

enum slw_rc
slw_paired_test(const double *d, size_t count, double *out_mean, double *out_p,
                struct slw_err *err)
{
    if (count < SLW_PAIRED_PERIODS_MIN)
        return slw_fail(err, SLW_INVALID,
                        "a paired test needs at least %d periods, not %zu",
                        SLW_PAIRED_PERIODS_MIN, count);
    bool equal = true;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(d[i]))
            return slw_fail(err, SLW_INVALID,
                            "the difference of period %zu is not a finite "
                            "number",
                            i);
        equal = equal && d[i] == d[0];
    }
    if (equal) {
        *out_mean = d[0];
        *out_p = d[0] > 0 ? 0 : 1;
        return SLW_OK;
    }
    double n = (double)count, mean = slw_mean(d, count);
    double variance = long_run_variance(d, count, mean) / n;
    /* Harvey, Leybourne & Newbold 1997, eq. 9 with horizon 1. */
    double t = mean / sqrt(variance) * sqrt((n - 1) / n);
    *out_mean = mean;
    *out_p = slw_student_sf(t, n - 1);
    return SLW_OK;
}
