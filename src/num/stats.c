/* stats.c -- means, quantiles and sorting. */
#include "num/stats.h"

#include <math.h>

#include "num/num_internal.h"

double
num_sum(const double *x, size_t count)
{
    if (count <= 64) {
        double sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += x[i];
        return sum;
    }
    size_t half = count / 2;
    return num_sum(x, half) + num_sum(x + half, count - half);
}

/* Sum of (x - centre)^power, power 1 | 2, by halves. */
static double
moment_sum(const double *x, size_t count, double centre, int power)
{
    if (count <= 64) {
        double sum = 0;
        for (size_t i = 0; i < count; i++) {
            double d = x[i] - centre;
            sum += power == 1 ? d : d * d;
        }
        return sum;
    }
    size_t half = count / 2;
    return moment_sum(x, half, centre, power) +
           moment_sum(x + half, count - half, centre, power);
}

double
slw_mean(const double *x, size_t count)
{
    if (count == 0)
        return NAN;
    double n = (double)count, mean = num_sum(x, count) / n;
    if (!isfinite(mean))
        return mean;
    /* The second pass takes back what the first one rounded away. */
    return mean + moment_sum(x, count, mean, 1) / n;
}

double
slw_variance(const double *x, size_t count, int ddof)
{
    SLW_ASSERT(ddof == 0 || ddof == 1);
    if (count <= (size_t)ddof)
        return NAN;
    double mean = slw_mean(x, count);
    /* Corrected two-pass (Chan, Golub & LeVeque 1983). */
    double square = moment_sum(x, count, mean, 2);
    double drift = moment_sum(x, count, mean, 1);
    double sum = square - drift * drift / (double)count;
    if (sum < 0)
        sum = 0;
    return sum / (double)(count - (size_t)ddof);
}

double
slw_quantile_sorted(const double *sorted, size_t count, double q)
{
    if (count == 0 || isnan(q))
        return NAN;
    SLW_ASSERT(q >= 0);
    SLW_ASSERT(q <= 1);
    double place = q * (double)(count - 1);
    size_t below = (size_t)place;
    if (below >= count - 1)
        return sorted[count - 1];
    double share = place - (double)below;
    double low = sorted[below], high = sorted[below + 1];
    if (share == 0 || low == high)
        return low;
    /* From the nearer end, as NumPy does: monotone, and exact at both. */
    double step = high - low;
    if (!isfinite(step))
        return low * (1 - share) + high * share;
    return share < 0.5 ? low + step * share : high - step * (1 - share);
}

/* ---- sorting: quicksort, heapsort where it degenerates ---- */

static void
swap(double *a, double *b)
{
    double t = *a;
    *a = *b;
    *b = t;
}

static void
insertion_sort(double *x, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        double v = x[i];
        size_t j = i;
        for (; j > 0 && x[j - 1] > v; j--)
            x[j] = x[j - 1];
        x[j] = v;
    }
}

static void
sift_down(double *x, size_t root, size_t count)
{
    for (;;) {
        size_t child = 2 * root + 1;
        if (child >= count)
            return;
        if (child + 1 < count && x[child + 1] > x[child])
            child++;
        if (!(x[child] > x[root]))
            return;
        swap(&x[root], &x[child]);
        root = child;
    }
}

static void
heap_sort(double *x, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift_down(x, i, count);
    for (size_t end = count; end-- > 1;) {
        swap(&x[0], &x[end]);
        sift_down(x, 0, end);
    }
}

static double
median_of_three(double a, double b, double c)
{
    if (a < b)
        return b < c ? b : (a < c ? c : a);
    return a < c ? a : (b < c ? c : b);
}

/* No NaN; `depth` bad splits are borne, then heapsort bounds the cost. */
static void
quick_sort(double *x, size_t count, int depth)
{
    while (count > 24) {
        if (depth-- == 0) {
            heap_sort(x, count);
            return;
        }
        double pivot = median_of_three(x[0], x[count / 2], x[count - 1]);
        size_t low = 0, high = count - 1;
        for (;;) { /* Hoare: equal values are split evenly */
            while (x[low] < pivot)
                low++;
            while (x[high] > pivot)
                high--;
            if (low >= high)
                break;
            swap(&x[low++], &x[high--]);
        }
        /* Left of low all <= pivot, from low on all >= pivot. */
        if (low < count - low) {
            quick_sort(x, low, depth);
            x += low;
            count -= low;
        } else {
            quick_sort(x + low, count - low, depth);
            count = low;
        }
    }
    insertion_sort(x, count);
}

void
slw_sort_f64(double *x, size_t count)
{
    size_t numbers = 0;
    for (size_t i = 0; i < count; i++)
        if (!isnan(x[i]))
            swap(&x[numbers++], &x[i]);
    int depth = 2;
    for (size_t n = numbers; n > 1; n /= 2)
        depth += 2;
    quick_sort(x, numbers, depth);
}
