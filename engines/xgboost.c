/* xgboost.c -- plug-in around libxgboost: gradient boosted trees.
 *
 * No header of XGBoost is installed with the library, so the functions we use
 * are declared here by hand, from its C API (3.2.0; stable since 1.7).  One
 * thread, one seed: the same rows give the same bytes. */
#include <dlfcn.h>
#include <limits.h>
#include <math.h>

#include "base/engine.h"
#include "train/engines.h"

typedef uint64_t bst_ulong;

/* X(result, name, arguments): every function, all of them needed. */
#define XGB_TABLE(X)                                                           \
    X(void, XGBoostVersion, (int *, int *, int *))                             \
    X(const char *, XGBGetLastError, (void))                                   \
    X(int, XGBSetGlobalConfig, (const char *))                                 \
    X(int, XGBRegisterLogCallback, (void (*)(const char *)))                   \
    X(int, XGDMatrixCreateFromDense, (const char *, const char *, void **))    \
    X(int, XGDMatrixSetInfoFromInterface,                                      \
      (void *, const char *, const char *))                                    \
    X(int, XGDMatrixFree, (void *))                                            \
    X(int, XGBoosterCreate, (void *const[], bst_ulong, void **))               \
    X(int, XGBoosterFree, (void *))                                            \
    X(int, XGBoosterSetParam, (void *, const char *, const char *))            \
    X(int, XGBoosterUpdateOneIter, (void *, int, void *))                      \
    X(int, XGBoosterEvalOneIter,                                               \
      (void *, int, void *[], const char *[], bst_ulong, const char **))       \
    X(int, XGBoosterPredictFromDMatrix,                                        \
      (void *, void *, const char *, const bst_ulong **, bst_ulong *,          \
       const float **))                                                        \
    X(int, XGBoosterPredictFromDense,                                          \
      (void *, const char *, const char *, void *, const bst_ulong **,         \
       bst_ulong *, const float **))                                           \
    X(int, XGBoosterSaveModelToBuffer,                                         \
      (void *, const char *, bst_ulong *, const char **))                      \
    X(int, XGBoosterLoadModelFromBuffer, (void *, const void *, bst_ulong))    \
    X(int, XGBoosterSlice, (void *, int, int, int, void **))

/* Owner: filled once under the loader's lock, immutable after. */
static struct {
#define X(result, name, arguments) result(*name) arguments;
    XGB_TABLE(X)
#undef X
} lib;

/* Our own mistake or the caller's: the library's sentence, its first line. */
static enum slw_rc
xgb_failed(const char *doing, struct slw_err *err)
{
    struct slw_str why = slw_str_of(lib.XGBGetLastError()), line, rest;
    slw_str_cut(slw_str_trim(why), '\n', &line, &rest);
    return slw_fail(err, SLW_INTERNAL, "XGBoost could not %s: %.*s", doing,
                    SLW_FMT(line));
}

#define XGB(call, doing)                                                       \
    do {                                                                       \
        if ((call) != 0)                                                       \
            return xgb_failed((doing), err);                                   \
    } while (0)

/* Handles that end with their scope. */
struct xgb_matrix {
    void *handle;
};
struct xgb_booster {
    void *handle;
};

static void
xgb_matrix_done(struct xgb_matrix *m)
{
    if (m->handle)
        lib.XGDMatrixFree(m->handle);
    m->handle = NULL;
}

static void
xgb_booster_done(struct xgb_booster *b)
{
    if (b->handle)
        lib.XGBoosterFree(b->handle);
    b->handle = NULL;
}

/* NumPy's array interface of float32 rows. */
static void
array_text(char out[160], const float *x, size_t row_count, size_t col_count)
{
    if (col_count)
        snprintf(out, 160,
                 "{\"data\":[%llu,true],\"shape\":[%zu,%zu],\"typestr\":"
                 "\"<f4\",\"version\":3}",
                 (unsigned long long)(uintptr_t)x, row_count, col_count);
    else
        snprintf(out, 160,
                 "{\"data\":[%llu,true],\"shape\":[%zu],\"typestr\":\"<f4\","
                 "\"version\":3}",
                 (unsigned long long)(uintptr_t)x, row_count);
}

static enum slw_rc
matrix_make(struct xgb_matrix *out, const float *x, const float *y,
            size_t row_count, size_t col_count, struct slw_err *err)
{
    char text[160];
    array_text(text, x, row_count, col_count);
    XGB(lib.XGDMatrixCreateFromDense(text, "{\"missing\":NaN,\"nthread\":1}",
                                     &out->handle),
        "take the rows");
    if (!y)
        return SLW_OK;
    array_text(text, y, row_count, 0);
    XGB(lib.XGDMatrixSetInfoFromInterface(out->handle, "label", text),
        "take the labels");
    return SLW_OK;
}

/* ---- training ---- */

static enum slw_rc
booster_make(struct xgb_booster *out, void *const matrices[], size_t count,
             const struct slw_xgboost_param *params, size_t param_count,
             struct slw_err *err)
{
    XGB(lib.XGBoosterCreate(matrices, count, &out->handle), "make a booster");
    XGB(lib.XGBoosterSetParam(out->handle, "nthread", "1"), "be set up");
    XGB(lib.XGBoosterSetParam(out->handle, "verbosity", "0"), "be set up");
    for (size_t i = 0; i < param_count; i++) {
        char doing[96];
        snprintf(doing, sizeof(doing), "take the parameter %.60s",
                 params[i].name);
        XGB(lib.XGBoosterSetParam(out->handle, params[i].name, params[i].value),
            doing);
    }
    return SLW_OK;
}

/* "[3]\tvalid-rmse:0.25" -> 0.25, turned so that less is better. */
static enum slw_rc
metric_of(const char *text, double *out_shown, double *out_loss,
          struct slw_err *err)
{
    static const char *const rising[] = {"auc", "map", "ndcg", "pre"};
    const char *colon = strrchr(text, ':');
    const char *dash = strrchr(text, '-');
    /* A value may itself hold a minus: the name's dash is before the colon. */
    while (dash && colon && dash > colon) {
        const char *before = NULL;
        for (const char *at = text; at < dash; at++)
            if (*at == '-')
                before = at;
        dash = before;
    }
    if (!colon || !dash)
        return slw_fail(err, SLW_INTERNAL,
                        "XGBoost's evaluation is not understood: %.100s", text);
    struct slw_str value = slw_str_trim(slw_str_of(colon + 1));
    struct slw_err why;
    if (slw_str_f64(value, out_shown, &why) != SLW_OK)
        *out_shown = NAN; /* "nan", "-nan", "inf" */
    *out_loss = *out_shown;
    for (size_t i = 0; i < SLW_ARRAY_LEN(rising); i++)
        if (strncmp(dash + 1, rising[i], strlen(rising[i])) == 0)
            *out_loss = -*out_shown;
    return SLW_OK;
}

struct stopper {
    int early_rounds; /* 0: never */
    int best_round;
    double best_loss;
};

static bool
stopper_sees(struct stopper *s, int round, double loss)
{
    if (round == 0 || loss < s->best_loss) {
        s->best_round = round;
        s->best_loss = isnan(loss) ? INFINITY : loss;
    }
    return s->early_rounds > 0 && round - s->best_round >= s->early_rounds;
}

static enum slw_rc
save(void *booster, struct slw_buf *out, struct slw_err *err)
{
    bst_ulong size = 0;
    const char *bytes = NULL;
    XGB(lib.XGBoosterSaveModelToBuffer(booster, "{\"format\":\"ubj\"}", &size,
                                       &bytes),
        "save the model");
    slw_buf_add(out, bytes, (size_t)size);
    return slw_buf_check(out, err);
}

/* Boost; *out_rounds are those worth keeping, *out_done those made. */
static enum slw_rc
boost(void *booster, void *train, void *valid, int round_max, int early_rounds,
      double *curve, int *out_rounds, int *out_done, struct slw_err *err)
{
    struct stopper stop = {.early_rounds = early_rounds};
    int round = 0;
    for (; round < round_max; round++) {
        XGB(lib.XGBoosterUpdateOneIter(booster, round, train), "boost");
        if (!valid)
            continue;
        const char *names[] = {"valid"}, *text = NULL;
        void *matrices[] = {valid};
        double shown = 0, loss = 0;
        XGB(lib.XGBoosterEvalOneIter(booster, round, matrices, names, 1, &text),
            "evaluate a round");
        TRY(metric_of(text, &shown, &loss, err));
        if (curve)
            curve[round] = shown;
        if (stopper_sees(&stop, round, loss)) {
            round++;
            break;
        }
    }
    *out_done = round;
    *out_rounds = valid && early_rounds > 0 ? stop.best_round + 1 : round;
    return SLW_OK;
}

static enum slw_rc
xgb_train(const struct slw_xgboost_param *params, size_t param_count,
          int round_max, int early_rounds, const float *x, const float *y,
          size_t row_count, size_t col_count, const float *valid_x,
          const float *valid_y, size_t valid_count, double *valid_curve,
          struct slw_buf *out_bytes, int *out_rounds, struct slw_err *err)
{
    SLW_AUTO(xgb_matrix, train);
    SLW_AUTO(xgb_matrix, valid);
    SLW_AUTO(xgb_booster, booster);
    SLW_AUTO(xgb_booster, kept);
    int rounds = 0, done = 0;
    if (row_count == 0 || col_count == 0 || round_max < 1)
        return slw_fail(err, SLW_INVALID,
                        "XGBoost needs rows, columns and at least one round");
    TRY(matrix_make(&train, x, y, row_count, col_count, err));
    if (valid_count)
        TRY(matrix_make(&valid, valid_x, valid_y, valid_count, col_count, err));
    void *const matrices[] = {train.handle, valid.handle};
    TRY(booster_make(&booster, matrices, valid_count ? 2 : 1, params,
                     param_count, err));
    TRY(boost(booster.handle, train.handle, valid.handle, round_max,
              early_rounds, valid_curve, &rounds, &done, err));
    void *chosen = booster.handle;
    if (rounds < done) {
        XGB(lib.XGBoosterSlice(booster.handle, 0, rounds, 1, &kept.handle),
            "cut the trees after the best round");
        chosen = kept.handle;
    }
    TRY(save(chosen, out_bytes, err));
    *out_rounds = rounds;
    return SLW_OK;
}

/* ---- predicting, to check our evaluator ---- */

static bool
has_infinity(const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (isinf(x[i]))
            return true;
    return false;
}

static enum slw_rc
xgb_predict(struct slw_str bytes, const float *x, size_t row_count,
            size_t col_count, float *out, struct slw_err *err)
{
    static const char dense[] =
        "{\"type\":0,\"training\":false,\"iteration_begin\":0,"
        "\"iteration_end\":0,\"strict_shape\":true,\"missing\":NaN}";
    static const char config[] =
        "{\"type\":0,\"training\":false,\"iteration_begin\":0,"
        "\"iteration_end\":0,\"strict_shape\":true}";
    const bst_ulong *shape = NULL;
    bst_ulong dim = 0, total = 1;
    const float *answers = NULL;
    SLW_AUTO(xgb_matrix, rows);
    SLW_AUTO(xgb_booster, booster);
    TRY(booster_make(&booster, NULL, 0, NULL, 0, err));
    XGB(lib.XGBoosterLoadModelFromBuffer(booster.handle, bytes.ptr, bytes.len),
        "load the model");
    /* A DMatrix refuses infinities; the other way takes them. */
    if (has_infinity(x, row_count * col_count)) {
        char text[160];
        array_text(text, x, row_count, col_count);
        XGB(lib.XGBoosterPredictFromDense(booster.handle, text, dense, NULL,
                                          &shape, &dim, &answers),
            "predict");
    } else {
        TRY(matrix_make(&rows, x, NULL, row_count, col_count, err));
        XGB(lib.XGBoosterPredictFromDMatrix(booster.handle, rows.handle, config,
                                            &shape, &dim, &answers),
            "predict");
    }
    for (bst_ulong i = 0; i < dim; i++)
        total *= shape[i];
    if (total != row_count)
        return slw_fail(err, SLW_UNSUPPORTED,
                        "the model has more than one output a row");
    memcpy(out, answers, row_count * sizeof(*out));
    return SLW_OK;
}

/* ---- opening ---- */

static void
be_silent(const char *text)
{
    (void)text;
}

static void *
library_open(const char *library_dir)
{
    char path[PATH_MAX];
    void *found = NULL;
    if (library_dir && library_dir[0]) {
        snprintf(path, sizeof(path), "%s/xgboost/xgboost/lib/libxgboost.so",
                 library_dir);
        found = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    }
    if (!found)
        found = dlopen("libxgboost.so", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    return found;
}

static enum slw_rc
xgb_open(const char *library_dir, const void **out_ops, char out_version[64],
         struct slw_err *err)
{
    static const struct slw_xgboost_ops ops = {.train = xgb_train,
                                               .predict = xgb_predict};
    int major = 0, minor = 0, patch = 0;
    void *handle = library_open(library_dir);
    if (!handle)
        return slw_fail(err, SLW_NOT_FOUND,
                        "XGBoost's library does not load:"
                        " %.300s",
                        dlerror());
#define X(result, name, arguments)                                             \
    *(void **)(void *)&lib.name = dlsym(handle, #name);                        \
    if (!lib.name)                                                             \
        return slw_fail(err, SLW_NOT_FOUND,                                    \
                        "XGBoost's library lacks %s: it is too old", #name);
    XGB_TABLE(X)
#undef X
    lib.XGBoostVersion(&major, &minor, &patch);
    XGB(lib.XGBRegisterLogCallback(be_silent), "be silenced");
    XGB(lib.XGBSetGlobalConfig("{\"verbosity\":0}"), "be silenced");
    snprintf(out_version, 64, "%d.%d.%d", major, minor, patch);
    *out_ops = &ops;
    return SLW_OK;
}

extern const struct slw_engine_head slw_engine;
const struct slw_engine_head slw_engine = {
    .abi = SLW_ENGINE_ABI,
    .name = "xgboost",
    .remedy = "get it with 'make setup'",
    .open = xgb_open,
};
