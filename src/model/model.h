/* model.h -- models as immutable objects that answer rows of numbers.
 *
 * A model is made from bytes and never changes; threads share it by count.
 * Flavours: XGBoost trees by our own flat evaluator (bit for bit what the
 * library answers), support vector regression, the autoregressive network,
 * and the rule, a SQL expression over the same columns.  No engine is needed
 * to predict. */
#ifndef SLW_MODEL_MODEL_H
#define SLW_MODEL_MODEL_H

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"

#define SLW_MODEL_COLUMN_MAX 4096
#define SLW_MODEL_SIZE_MAX ((size_t)512 << 20)

enum slw_flavour {
    SLW_FLAVOUR_XGBOOST, /* UBJSON or JSON, as XGBoost 1.0..3.2 writes them */
    SLW_FLAVOUR_SVR,     /* docs/formats/svr.md */
    SLW_FLAVOUR_ARNET,   /* docs/formats/arnet.md */
    SLW_FLAVOUR_RULE,    /* text of an expression */
    SLW_FLAVOUR_COUNT
};
const char *slw_flavour_name(enum slw_flavour f); /* "xgboost" … */
SLW_MUST_USE enum slw_rc slw_flavour_parse(struct slw_str name,
                                           enum slw_flavour *out,
                                           struct slw_err *err);

/* What a request must bring: column i of a row is the feature columns[i]. */
struct slw_signature {
    struct slw_str *columns; /* [column_count], unique */
    size_t column_count;
    /* Index of the column the answer is relative to, or -1:
     * answer = column * (1 + what the model says).  Not for rules.  That
     * column is no input: the model is fitted and evaluated with 0 in its
     * place (a level would tie the model to the range it was trained in). */
    int relative_to;
};

struct slw_model; /* Owner: atomic count, immutable after load */

/* Read, check and flatten a model.
 * In     sig is copied; bytes are not kept
 * Errors INVALID: not such a file, damaged, cycles, indices out of range, a
 *        column the rule names is not in the signature; UNSUPPORTED: a
 *        booster we do not evaluate (gblinear …); LIMIT
 * Cost   O(size) */
SLW_MUST_USE enum slw_rc slw_model_load(struct slw_model **out,
                                        enum slw_flavour flavour,
                                        const struct slw_signature *sig,
                                        struct slw_str bytes,
                                        struct slw_err *err);
struct slw_model *slw_model_ref(struct slw_model *m);
void slw_model_unref(struct slw_model *m); /* accepts NULL */

/* What it is, and what a row must bring; views live as long as the model. */
const struct slw_signature *slw_model_signature(const struct slw_model *m);

/* In     x[row_count][column_count], row-major; NaN is a missing value
 * Out    y[row_count], unit of the target; NaN where the model cannot say
 *        (SVR and arnet with a missing input, a rule that divides by zero)
 * Cost   no allocation (stack scratch up to a stated size inside; larger
 *        models use a scratch of the loading thread's making)
 * Thread any number at once */
void slw_model_predict(const struct slw_model *m, const double *x,
                       size_t row_count, double *y);

/* ---- expressions: the rule language ---- */
/* A scalar SQL expression over columns: numbers, column names (plain or
 * "quoted"), + - * / ( ), unary -, comparison = <> < <= > >=, AND OR NOT,
 * CASE WHEN … THEN … ELSE … END, and abs ln log10 exp sqrt pow power least
 * greatest coalesce nullif round floor ceil.  NULL is NaN.  The value equals
 * DuckDB's for finite results. */
struct slw_expr; /* Owner: immutable after parse; one owner */
SLW_MUST_USE enum slw_rc slw_expr_parse(struct slw_expr **out,
                                        struct slw_str text,
                                        const struct slw_str *columns,
                                        size_t column_count,
                                        struct slw_err *err);
void slw_expr_free(struct slw_expr *e);
double slw_expr_eval(const struct slw_expr *e, const double *row);

/* ---- writing our own formats (the trainers call these) ---- */
struct slw_svr {
    size_t column_count, sv_count;
    const double *mean, *scale; /* [column_count] input standardisation */
    double gamma, rho;          /* f(x) = sum coef K(sv, x) - rho */
    double y_mean, y_scale;     /* answer = y_mean + y_scale * f */
    const double *coef;         /* [sv_count] */
    const double *sv;           /* [sv_count][column_count], standardised */
};
SLW_MUST_USE enum slw_rc slw_svr_write(const struct slw_svr *svr,
                                       struct slw_buf *out,
                                       struct slw_err *err);
/* The autoregressive network: standardised inputs, a linear part and,
 * where hidden_count > 0, one hidden layer of ReLU units added to it:
 * z = (x-mean)/scale;  f = b0 + w0.z + w2.relu(W1 z + b1);
 * answer = y_mean + y_scale * f.  All single precision in evaluation. */
struct slw_arnet {
    size_t column_count; /* of the signature */
    size_t used_count;   /* inputs the network sees … */
    const int32_t *used; /* … [used_count] indices into the signature */
    size_t hidden_count;
    const float *mean, *scale; /* [used_count] */
    const float *w0;           /* [used_count] */
    float b0, y_mean, y_scale;
    const float *w1, *b1; /* [hidden_count][used_count], [hidden_count] */
    const float *w2;      /* [hidden_count] */
};
SLW_MUST_USE enum slw_rc slw_arnet_write(const struct slw_arnet *net,
                                         struct slw_buf *out,
                                         struct slw_err *err);
/* An arnet model file as ONNX (opset 13): input "input" float
 * [N][column_count] in signature order, output "output" float [N][1]; before
 * relative_to (put 0 in that column, multiply afterwards). */
SLW_MUST_USE enum slw_rc slw_arnet_to_onnx(struct slw_str arnet_bytes,
                                           struct slw_buf *out,
                                           struct slw_err *err);

#endif
