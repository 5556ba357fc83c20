/* fit_internal.h -- shared by the fitters of this room only. */
#ifndef SLW_TRAIN_FIT_INTERNAL_H
#define SLW_TRAIN_FIT_INTERNAL_H

#include "train/fit.h"

#define TRAIN_ROWS_MIN 10

/* A parameter of a trial: a number with its default and its range. */
struct train_param {
    const char *name;
    double dflt, least, most;
    bool whole;
};

/* Read a trial's parameters into values[count], in the order of the table.
 * In     text_name: the one parameter that is a text, or NULL; it is checked
 *        to be one and not read
 * Errors INVALID: not of the table, not a number, out of range; names it */
enum slw_rc train_params_read(const struct json_t *params, const char *flavour,
                              const struct train_param *table, size_t count,
                              const char *text_name, double *values,
                              struct slw_err *err);
/* The engine of a flavour; fills out->engine and out->engine_version. */
enum slw_rc train_engine(const char *name, const void **out_ops,
                         struct train_fit_out *out, struct slw_err *err);
/* Mean and standard deviation (1 where there is none) of every step-th value:
 * values[0], values[step], … */
void train_standard(const double *values, size_t count, size_t step,
                    double *out_mean, double *out_scale);
/* Indices of rows whose used columns and target are finite, in time order.
 * Owner of out_rows: the caller frees. */
size_t train_rows_complete(const double *x, const double *y, size_t row_count,
                           size_t column_count, const int32_t *used,
                           size_t used_count, uint32_t **out_rows);

enum slw_rc train_fit_xgboost(const struct train_fit_in *in,
                              struct train_fit_out *out, struct slw_err *err);
enum slw_rc train_fit_svr(const struct train_fit_in *in,
                          struct train_fit_out *out, struct slw_err *err);
enum slw_rc train_fit_arnet(const struct train_fit_in *in,
                            struct train_fit_out *out, struct slw_err *err);

#endif
