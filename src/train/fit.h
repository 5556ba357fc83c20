/* fit.h -- private to train: fit one candidate with one set of parameters.
 * The same inputs and seed give the same bytes. */
#ifndef SLW_TRAIN_FIT_H
#define SLW_TRAIN_FIT_H

#include "base/json.h"
#include "base/rng.h"
#include "model/model.h"

struct train_fit_in {
    enum slw_flavour flavour;
    const struct slw_signature *sig; /* relative_to already folded into y */
    const double *x; /* [row_count][column_count], rows in time order */
    const double *y; /* [row_count], finite */
    size_t row_count;
    const double
        *valid_x; /* later in time; for early stopping; may be 0 rows */
    const double *valid_y;
    size_t valid_count;
    const struct json_t *params; /* one trial's parameters, numbers by name:
        xgboost: eta max_depth rounds subsample colsample min_child_weight
                 lambda alpha gamma max_bin; early_rounds (0: none)
        svr:     c epsilon gamma max_rows tolerance
        arnet:   lags hidden lr epochs batch l2 patience; lag_prefix is text */
    /* The loss follows the metric that is searched for: absolute error for
       mae and mape (xgboost reg:absoluteerror; the network's gradient clipped
       at a tenth of the target's deviation), squared error otherwise.  The
       SVR's loss is its own. */
    bool absolute_loss;
    uint64_t seed;
};
struct train_fit_out {
    struct slw_buf bytes; /* model file */
    int rounds;           /* xgboost rounds kept, arnet epochs run */
    double curve[4096];   /* validation loss a round or epoch */
    size_t curve_count;
    char engine[32];         /* "xgboost" */
    char engine_version[64]; /* "3.2.0" */
};
void train_fit_out_done(struct train_fit_out *out);

/* Errors INVALID: a parameter is missing or out of range (names it); too few
 *        rows; NOT_FOUND: engine missing; INTERNAL: the engine's own. */
SLW_MUST_USE enum slw_rc train_fit(const struct train_fit_in *in,
                                   struct train_fit_out *out,
                                   struct slw_err *err);

#endif
