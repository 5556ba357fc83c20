/* fit_xgboost.c -- boosted trees by the XGBoost engine: absolute or squared
 * error, histogram method, one thread, the trial's seed. */
#include <float.h>
#include <math.h>

#include "train/engines.h"
#include "train/fit_internal.h"

enum {
    P_ETA,
    P_MAX_DEPTH,
    P_ROUNDS,
    P_SUBSAMPLE,
    P_COLSAMPLE,
    P_MIN_CHILD_WEIGHT,
    P_LAMBDA,
    P_ALPHA,
    P_GAMMA,
    P_EARLY_ROUNDS,
    P_MAX_BIN,
    P_COUNT
};

static const struct train_param PARAMS[P_COUNT] = {
    [P_ETA] = {"eta", 0.1, 1e-6, 1, false},
    [P_MAX_DEPTH] = {"max_depth", 6, 1, 24, true},
    [P_ROUNDS] = {"rounds", 200, 1, 4096, true},
    [P_SUBSAMPLE] = {"subsample", 1, 0.01, 1, false},
    [P_COLSAMPLE] = {"colsample", 1, 0.01, 1, false},
    [P_MIN_CHILD_WEIGHT] = {"min_child_weight", 1, 0, 1e9, false},
    [P_LAMBDA] = {"lambda", 1, 0, 1e9, false},
    [P_ALPHA] = {"alpha", 0, 0, 1e9, false},
    [P_GAMMA] = {"gamma", 0, 0, 1e9, false},
    [P_EARLY_ROUNDS] = {"early_rounds", 0, 0, 4096, true},
    [P_MAX_BIN] = {"max_bin", 256, 2, 65536, true},
};

/* XGBoost's name of each parameter that is passed on; NULL: ours. */
static const char *const NAMES[P_COUNT] = {
    [P_ETA] = "eta",
    [P_MAX_DEPTH] = "max_depth",
    [P_SUBSAMPLE] = "subsample",
    [P_COLSAMPLE] = "colsample_bytree",
    [P_MIN_CHILD_WEIGHT] = "min_child_weight",
    [P_LAMBDA] = "lambda",
    [P_ALPHA] = "alpha",
    [P_GAMMA] = "gamma",
    [P_MAX_BIN] = "max_bin",
};

/* XGBoost refuses infinities in training; the largest float32 takes the same
 * way through every split as an infinity does when the model answers. */
static float *
narrow(const double *x, size_t count)
{
    float *out = slw_alloc((count + 1) * sizeof(*out));
    for (size_t i = 0; i < count; i++) {
        float v = (float)x[i];
        out[i] = isinf(v) ? copysignf(FLT_MAX, v) : v;
    }
    return out;
}

struct floats {
    float *x, *y, *valid_x, *valid_y;
};

static void
floats_done(struct floats *f)
{
    slw_free(f->x);
    slw_free(f->y);
    slw_free(f->valid_x);
    slw_free(f->valid_y);
}

enum slw_rc
train_fit_xgboost(const struct train_fit_in *in, struct train_fit_out *out,
                  struct slw_err *err)
{
    double v[P_COUNT];
    char texts[P_COUNT + 1][SLW_F64_TEXT_SIZE];
    struct slw_xgboost_param params[P_COUNT + 4];
    const void *table = NULL;
    size_t count = 0, columns = in->sig->column_count;
    TRY(train_params_read(in->params, "xgboost", PARAMS, P_COUNT, NULL, v,
                          err));
    TRY(train_engine("xgboost", &table, out, err));
    for (size_t i = 0; i < P_COUNT; i++) {
        if (!NAMES[i])
            continue;
        slw_f64_text(v[i], texts[i]);
        params[count++] = (struct slw_xgboost_param){NAMES[i], texts[i]};
    }
    snprintf(texts[P_COUNT], sizeof(texts[P_COUNT]), "%u",
             (unsigned)(in->seed & 0x7fffffff));
    params[count++] = (struct slw_xgboost_param){"seed", texts[P_COUNT]};
    params[count++] = (struct slw_xgboost_param){"tree_method", "hist"};
    params[count++] = (struct slw_xgboost_param){
        "objective",
        in->absolute_loss ? "reg:absoluteerror" : "reg:squarederror"};
    params[count++] = (struct slw_xgboost_param){
        "eval_metric", in->absolute_loss ? "mae" : "rmse"};

    SLW_AUTO(floats, f);
    f.x = narrow(in->x, in->row_count * columns);
    f.y = narrow(in->y, in->row_count);
    f.valid_x = narrow(in->valid_x, in->valid_count * columns);
    f.valid_y = narrow(in->valid_y, in->valid_count);
    const struct slw_xgboost_ops *ops = table;
    int round_max = (int)v[P_ROUNDS];
    _Static_assert(SLW_ARRAY_LEN(out->curve) >= 4096, "a value a round");
    for (int i = 0; i < round_max; i++)
        out->curve[i] = NAN;
    TRY(ops->train(params, count, round_max, (int)v[P_EARLY_ROUNDS], f.x, f.y,
                   in->row_count, columns, f.valid_x, f.valid_y,
                   in->valid_count, out->curve, &out->bytes, &out->rounds,
                   err));
    out->curve_count = 0;
    while (out->curve_count < (size_t)round_max &&
           !isnan(out->curve[out->curve_count]))
        out->curve_count++;
    return SLW_OK;
}
