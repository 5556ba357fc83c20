/* engines.h -- the tables of the training engines (engines/xgboost.c,
 * engines/libsvm.c, engines/openblas.c); obtained by slw_engine_get() and
 * called in job children only. */
#ifndef SLW_TRAIN_ENGINES_H
#define SLW_TRAIN_ENGINES_H

#include "base/base.h"
#include "base/buf.h"

struct slw_xgboost_param {
    const char *name, *value; /* as XGBoost's documentation names them */
};
struct slw_xgboost_ops {
    /* Train a booster on x[row_count][col_count] (float, NaN missing) and
     * save it as UBJSON.  With valid_count > 0 and early_rounds > 0, stop
     * when the validation metric has not improved for early_rounds and keep
     * the best round count (the trees after it are sliced off).
     * Out  *out_bytes the model, *out_rounds kept; valid_curve, if not NULL,
     *      gets one metric value a round (capacity round_max).
     * Errors INVALID, INTERNAL with XGBoost's message; IO when cancelled */
    enum slw_rc (*train)(const struct slw_xgboost_param *params,
                         size_t param_count, int round_max, int early_rounds,
                         const float *x, const float *y, size_t row_count,
                         size_t col_count, const float *valid_x,
                         const float *valid_y, size_t valid_count,
                         double *valid_curve, struct slw_buf *out_bytes,
                         int *out_rounds, struct slw_err *err);
    /* The library's own answer, to check ours against. */
    enum slw_rc (*predict)(struct slw_str bytes, const float *x,
                           size_t row_count, size_t col_count, float *out,
                           struct slw_err *err);
};
struct slw_libsvm_ops {
    /* epsilon-SVR, RBF kernel, on standardised x[row_count][col_count].
     * Out  *out_sv_count; sv_index[row_count] and coef[row_count] filled for
     *      the first *out_sv_count; *out_rho */
    enum slw_rc (*train)(const double *x, const double *y, size_t row_count,
                         size_t col_count, double c, double epsilon,
                         double gamma, double tolerance, int32_t *sv_index,
                         double *coef, size_t *out_sv_count, double *out_rho,
                         struct slw_err *err);
    /* libsvm's own svm_predict for the same problem, to check ours. */
    enum slw_rc (*predict)(const double *sv, const double *coef,
                           size_t sv_count, size_t col_count, double gamma,
                           double rho, const double *x, size_t row_count,
                           double *out, struct slw_err *err);
};
struct slw_blas_ops {
    /* C = alpha*op(A)*op(B) + beta*C, row-major, single precision. */
    void (*sgemm)(bool trans_a, bool trans_b, int m, int n, int k, float alpha,
                  const float *a, int lda, const float *b, int ldb, float beta,
                  float *c, int ldc);
    const char *(*config)(void);
};

#endif
