/* special.c -- the incomplete gamma and beta functions and the distributions
 * made of them.
 *
 * Series where they converge fast, continued fractions (modified Lentz) where
 * those do; each tail is computed directly, so that small p-values keep their
 * digits.  Formula numbers are those of the NIST Digital Library of
 * Mathematical Functions, https://dlmf.nist.gov. */
#include <float.h>
#include <math.h>

#include "num/num_internal.h"
#include "num/stats.h"

#define TINY 1e-300
/* The series needs about 8 sqrt(a) terms near x = a. */
#define ITERATIONS_MAX 1000000

static double
log_gamma(double x)
{
    int sign; /* lgamma() would write a global */
    return lgamma_r(x, &sign);
}

/* log(1+u) - u, without cancellation for small u. */
static double
log1p_minus(double u)
{
    if (fabs(u) > 0.3)
        return log1p(u) - u;
    double term = -u * u, sum = term / 2;
    for (int k = 3; k < 60; k++) {
        term *= -u;
        double step = term / k;
        sum += step;
        if (fabs(step) <= DBL_EPSILON / 4 * fabs(sum))
            break;
    }
    return sum;
}

/* log gamma(a) - [(a - 1/2) log a - a + log(2 pi)/2] (5.11.1), a >= 10. */
static double
stirling_rest(double a)
{
    double r = 1 / (a * a);
    return (1.0 / 12 -
            r * (1.0 / 360 -
                 r * (1.0 / 1260 -
                      r * (1.0 / 1680 - r * (1.0 / 1188 - r * (691.0 / 360360 -
                                                               r / 156)))))) /
           a;
}

/* x^a e^-x / gamma(a + 1).  For large a the three factors are huge and nearly
 * cancel; written about x = a they do not. */
static double
gamma_front(double a, double x)
{
    if (a < 10)
        return exp(a * log(x) - x - log_gamma(a + 1));
    double u = (x - a) / a;
    double log_ratio = u > -1 ? a * log1p_minus(u) : -INFINITY;
    return exp(log_ratio - stirling_rest(a)) / sqrt(2 * M_PI * a);
}

/* P(a,x) by its series (8.11.4). */
static double
gamma_series(double a, double x)
{
    double term = 1, sum = 1;
    for (int n = 1; n < ITERATIONS_MAX; n++) {
        term *= x / (a + n);
        sum += term;
        if (term < sum * DBL_EPSILON / 4)
            break;
    }
    return sum * gamma_front(a, x);
}

/* Q(a,x) by its continued fraction (8.9.2). */
static double
gamma_fraction(double a, double x)
{
    double b = x + 1 - a, c = 1 / TINY, d = 1 / b, h = d;
    for (int n = 1; n < ITERATIONS_MAX; n++) {
        double an = -n * (n - a);
        b += 2;
        d = an * d + b;
        d = 1 / (fabs(d) < TINY ? TINY : d);
        c = b + an / c;
        if (fabs(c) < TINY)
            c = TINY;
        double step = d * c;
        h *= step;
        if (fabs(step - 1) <= DBL_EPSILON)
            break;
    }
    return h * gamma_front(a, x) * a; /* gamma(a+1) = a gamma(a) */
}

static bool
gamma_edge(double a, double x, double *out_p)
{
    SLW_ASSERT(isnan(a) || a > 0);
    if (isnan(a) || isnan(x))
        *out_p = NAN;
    else if (x <= 0)
        *out_p = 0;
    else if (isinf(x))
        *out_p = 1;
    else
        return false;
    return true;
}

double
slw_gamma_p(double a, double x)
{
    double p;
    if (gamma_edge(a, x, &p))
        return p;
    return x < a + 1 ? gamma_series(a, x) : 1 - gamma_fraction(a, x);
}

double
num_gamma_q(double a, double x)
{
    double p;
    if (gamma_edge(a, x, &p))
        return 1 - p;
    return x < a + 1 ? 1 - gamma_series(a, x) : gamma_fraction(a, x);
}

/* The continued fraction of I_x(a,b) (8.17.22). */
static double
beta_fraction(double a, double b, double x)
{
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < TINY ? TINY : d);
    double h = d;
    for (int m = 1; m < ITERATIONS_MAX; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd =
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double step = 1;
        for (int half = 0; half < 2; half++) {
            double an = half == 0 ? even : odd;
            d = 1 + an * d;
            d = 1 / (fabs(d) < TINY ? TINY : d);
            c = 1 + an / c;
            if (fabs(c) < TINY)
                c = TINY;
            step = d * c;
            h *= step;
        }
        if (fabs(step - 1) <= DBL_EPSILON)
            break;
    }
    return h;
}

/* log(gamma(a + b) / gamma(a)), a >= 10, b of any size: what is large in both
 * (5.11.1) is taken away on paper. */
static double
log_gamma_ratio(double a, double b)
{
    return (a - 0.5) * log1p(b / a) + b * (log(a + b) - 1) +
           stirling_rest(a + b) - stirling_rest(a);
}

/* log(x^a y^b / B(a,b)); for large a or b huge terms would nearly cancel, so
 * they are combined first. */
static double
log_beta_front(double a, double b, double x, double y)
{
    if (a >= 10 && b >= 10) { /* written about the mode, x = a/(a+b) */
        double off = b * x - a * y, n = a + b;
        return a * log1p_minus(off / a) + b * log1p_minus(-off / b) +
               0.5 * log(a / n * b / (2 * M_PI)) + stirling_rest(n) -
               stirling_rest(a) - stirling_rest(b);
    }
    double log_x = y < 0.5 ? log1p(-y) : log(x);
    double log_y = x < 0.5 ? log1p(-x) : log(y);
    double powers = a * log_x + b * log_y;
    if (a >= 10)
        return log_gamma_ratio(a, b) - log_gamma(b) + powers;
    if (b >= 10)
        return log_gamma_ratio(b, a) - log_gamma(a) + powers;
    return log_gamma(a + b) - log_gamma(a) - log_gamma(b) + powers;
}

/* I_x(a,b) with y = 1 - x given, so that neither loses digits. */
static double
beta_inc(double a, double b, double x, double y)
{
    double front = exp(log_beta_front(a, b, x, y));
    if (x <= (a + 1) / (a + b + 2))
        return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, y) / b;
}

double
slw_beta_inc(double a, double b, double x)
{
    if (isnan(a) || isnan(b) || isnan(x))
        return NAN;
    SLW_ASSERT(a > 0);
    SLW_ASSERT(b > 0);
    if (x <= 0)
        return 0;
    if (x >= 1)
        return 1;
    return beta_inc(a, b, x, 1 - x);
}

/* ---- distributions ---- */

double
slw_normal_cdf(double z)
{
    return 0.5 * erfc(-z * M_SQRT1_2);
}

static double
polynomial(const double *coefficients, size_t count, double x)
{
    double v = 0;
    for (size_t i = count; i-- > 0;)
        v = v * x + coefficients[i];
    return v;
}

/* Wichura 1988, "The percentage points of the normal distribution", AS 241,
 * PPND16: about 16 digits. */
double
slw_normal_quantile(double p)
{
    static const double a[] = {
        3.3871328727963666080e0, 1.3314166789178437745e2,
        1.9715909503065514427e3, 1.3731693765509461125e4,
        4.5921953931549871457e4, 6.7265770927008700853e4,
        3.3430575583588128105e4, 2.5090809287301226727e3};
    static const double b[] = {1.0,
                               4.2313330701600911252e1,
                               6.8718700749205790830e2,
                               5.3941960214247511077e3,
                               2.1213794301586595867e4,
                               3.9307895800092710610e4,
                               2.8729085735721942674e4,
                               5.2264952788528545610e3};
    static const double c[] = {
        1.42343711074968357734e0,  4.63033784615654529590e0,
        5.76949722146069140550e0,  3.64784832476320460504e0,
        1.27045825245236838258e0,  2.41780725177450611770e-1,
        2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double d[] = {1.0,
                               2.05319162663775882187e0,
                               1.67638483018380384940e0,
                               6.89767334985100004550e-1,
                               1.48103976427480074590e-1,
                               1.51986665636164571966e-2,
                               5.47593808499534494600e-4,
                               1.05075007164441684324e-9};
    static const double e[] = {
        6.65790464350110377720e0,  5.46378491116411436990e0,
        1.78482653991729133580e0,  2.96560571828504891230e-1,
        2.65321895265761230930e-2, 1.24266094738807843860e-3,
        2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double f[] = {1.0,
                               5.99832206555887937690e-1,
                               1.36929880922735805310e-1,
                               1.48753612908506148525e-2,
                               7.86869131145613259100e-4,
                               1.84631831751005468180e-5,
                               1.42151175831644588870e-7,
                               2.04426310338993978564e-15};
    if (!(p >= 0 && p <= 1))
        return NAN;
    double q = p - 0.5;
    if (fabs(q) <= 0.425) {
        double r = 0.180625 - q * q;
        return q * polynomial(a, 8, r) / polynomial(b, 8, r);
    }
    double tail = q < 0 ? p : 1 - p;
    if (tail == 0)
        return q < 0 ? -INFINITY : INFINITY;
    double r = sqrt(-log(tail));
    double z = r <= 5 ? polynomial(c, 8, r - 1.6) / polynomial(d, 8, r - 1.6)
                      : polynomial(e, 8, r - 5) / polynomial(f, 8, r - 5);
    return q < 0 ? -z : z;
}

double
slw_student_sf(double t, double df)
{
    if (isnan(t) || isnan(df))
        return NAN;
    SLW_ASSERT(df > 0);
    if (isinf(t))
        return t > 0 ? 0 : 1;
    double whole = df + t * t;
    double x = df / whole, y = t * t / whole;
    if (isinf(whole)) {
        x = 0;
        y = 1;
    }
    if (y == 0)
        return 0.5;
    double tail = x == 0 ? 0 : 0.5 * beta_inc(df / 2, 0.5, x, y);
    return t > 0 ? tail : 1 - tail;
}

double
slw_chi2_sf(double x, double df)
{
    return num_gamma_q(df / 2, x / 2);
}

double
slw_chi2_quantile(double p, double df)
{
    if (!(p >= 0 && p <= 1) || isnan(df))
        return NAN;
    SLW_ASSERT(df > 0);
    if (p == 0)
        return 0;
    if (p == 1)
        return INFINITY;
    /* Bracket, then bisect the distribution function in whichever tail is
     * the smaller: sure, and 200 steps are nothing for a threshold. */
    double low = 0, high = df;
    while (slw_gamma_p(df / 2, high / 2) < p && high < 1e300)
        high *= 2;
    for (int i = 0; i < 2000; i++) {
        double middle = low + (high - low) / 2;
        if (middle <= low || middle >= high)
            break;
        bool below = p < 0.5 ? slw_gamma_p(df / 2, middle / 2) < p
                             : num_gamma_q(df / 2, middle / 2) > 1 - p;
        if (below)
            low = middle;
        else
            high = middle;
    }
    return low + (high - low) / 2;
}

/* Kolmogorov 1933 for the alternating sum; for small x the same function by
 * Jacobi's theta transformation, which converges there. */
double
slw_kolmogorov_sf(double x)
{
    if (isnan(x))
        return NAN;
    if (x <= 0)
        return 1;
    double sum = 0;
    if (x < 1) {
        double t = -M_PI * M_PI / (8 * x * x);
        for (int k = 1; k < 20; k += 2)
            sum += exp(t * k * k);
        return 1 - sqrt(2 * M_PI) / x * sum;
    }
    for (int k = 1, sign = 1; k < 20; k++, sign = -sign)
        sum += sign * exp(-2 * x * x * k * k);
    return 2 * sum;
}
