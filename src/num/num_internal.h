/* num_internal.h -- shared by the files of this room only. */
#ifndef SLW_NUM_NUM_INTERNAL_H
#define SLW_NUM_NUM_INTERNAL_H

#include "base/base.h"

/* Sum by halves: the rounding error grows with log(count), not with count.
 * Source Higham 1993, "The accuracy of floating point summation" */
double num_sum(const double *x, size_t count);

/* Regularised upper incomplete gamma Q(a,x), without the cancellation of
 * 1 - P(a,x). */
double num_gamma_q(double a, double x);

#endif
