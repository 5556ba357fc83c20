/* micro_trees.c -- our evaluator of trees against XGBoost's own library, in
 * one process on one core, one row and a thousand rows at a time.
 *
 * Prints one JSON object a setting: microseconds a row of both, the median of
 * rounds that take turns, and their ratio (above 1: ours is faster).  Answers
 * are compared bit for bit before anything is timed.  The booster is trained
 * through the engine; the library is then called directly, with its model
 * loaded once, by its quickest way (inplace prediction).
 *
 *   SLIPWAY_ENGINES=… SLIPWAY_LIBS=… OMP_NUM_THREADS=1 micro_trees */
#include "model/model.h"

#include <dlfcn.h>
#include <limits.h>
#include <math.h>
#include <time.h>

#include "base/engine.h"
#include "base/rng.h"
#include "train/engines.h"

#define ROWS 1000
#define ROUNDS 15

static struct {
    int (*create)(void *const[], uint64_t, void **);
    int (*load)(void *, const void *, uint64_t);
    int (*set)(void *, const char *, const char *);
    int (*predict)(void *, const char *, const char *, void *,
                   const uint64_t **, uint64_t *, const float **);
    int (*free)(void *);
} lib;

static void
die(const char *what)
{
    fprintf(stderr, "micro_trees: %s\n", what);
    exit(1);
}

static void
take(void *handle, const char *name, void *slot)
{
    void *found = dlsym(handle, name);
    if (!found)
        die(name);
    memcpy(slot, &found, sizeof(found));
}

static void
library_open(void)
{
    char path[PATH_MAX];
    const char *libs = getenv("SLIPWAY_LIBS");
    snprintf(path, sizeof(path), "%s/xgboost/xgboost/lib/libxgboost.so",
             libs ? libs : ".");
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        die(dlerror());
    take(handle, "XGBoosterCreate", &lib.create);
    take(handle, "XGBoosterLoadModelFromBuffer", &lib.load);
    take(handle, "XGBoosterSetParam", &lib.set);
    take(handle, "XGBoosterPredictFromDense", &lib.predict);
    take(handle, "XGBoosterFree", &lib.free);
}

struct setting {
    const char *label, *depth, *grow, *leaves;
    int trees;
    size_t columns;
};

static const struct setting SETTINGS[] = {
    {"depth 4", "4", "depthwise", "0", 100, 10},
    {"depth 6", "6", "depthwise", "0", 100, 20},
    {"depth 6, 500 trees", "6", "depthwise", "0", 500, 20},
    {"depth 12", "12", "depthwise", "0", 100, 20},
    {"lossguide, 255 leaves", "0", "lossguide", "255", 100, 20},
};

static double
now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double
median(double *v)
{
    qsort(v, ROUNDS, sizeof(*v), compare);
    return v[ROUNDS / 2];
}

struct subject {
    struct slw_model *model;
    void *booster;
    double *wide;
    float *narrow;
    size_t columns;
};

static void
theirs(const struct subject *s, size_t begin, size_t count, float *out)
{
    static const char config[] =
        "{\"type\":0,\"training\":false,\"iteration_begin\":0,"
        "\"iteration_end\":0,\"strict_shape\":true,\"missing\":NaN}";
    char array[160];
    const uint64_t *shape;
    uint64_t dim;
    const float *answers;
    snprintf(array, sizeof(array),
             "{\"data\":[%llu,true],\"shape\":[%zu,%zu],\"typestr\":\"<f4\","
             "\"version\":3}",
             (unsigned long long)(uintptr_t)(s->narrow + begin * s->columns),
             count, s->columns);
    if (lib.predict(s->booster, array, config, NULL, &shape, &dim, &answers))
        die("the library does not predict");
    memcpy(out, answers, count * sizeof(*out));
}

static void
check(const struct subject *s)
{
    static double ours[ROWS];
    static float others[ROWS];
    slw_model_predict(s->model, s->wide, ROWS, ours);
    theirs(s, 0, ROWS, others);
    for (size_t r = 0; r < ROWS; r++) {
        float narrow = (float)ours[r];
        if (memcmp(&narrow, &others[r], sizeof(narrow)) != 0)
            die("the answers differ");
    }
}

/* Microseconds a row, ours and theirs in turns. */
static void
measure(const struct subject *s, size_t batch, double *out_ours,
        double *out_theirs)
{
    static double y[ROWS];
    static float f[ROWS];
    double a[ROUNDS], b[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        double t0 = now_us();
        for (int n = 0; n < 5; n++)
            for (size_t r = 0; r < ROWS; r += batch)
                slw_model_predict(s->model, s->wide + r * s->columns, batch,
                                  y + r);
        double t1 = now_us();
        for (size_t r = 0; r < ROWS; r += batch)
            theirs(s, r, batch, f + r);
        double t2 = now_us();
        a[i] = (t1 - t0) / (5 * ROWS);
        b[i] = (t2 - t1) / ROWS;
    }
    *out_ours = median(a);
    *out_theirs = median(b);
}

static void
train(const struct setting *set, struct subject *s)
{
    struct slw_err err;
    const void *table;
    struct slw_rng rng;
    static struct slw_str names[64];
    static char texts[64][8];
    enum { TRAIN_ROWS = 20000 };
    SLW_AUTO(slw_buf, bytes);
    int rounds;
    float *x = slw_alloc(TRAIN_ROWS * set->columns * sizeof(*x));
    float *y = slw_alloc(TRAIN_ROWS * sizeof(*y));
    slw_rng_init(&rng, 1);
    for (size_t i = 0; i < TRAIN_ROWS * set->columns; i++)
        x[i] = (float)slw_rng_normal(&rng);
    for (size_t r = 0; r < TRAIN_ROWS; r++) {
        const float *row = x + r * set->columns;
        y[r] = row[0] * row[1] + sinf(3 * row[2]) + row[3] * row[4] +
               (float)slw_rng_normal(&rng);
    }
    const struct slw_xgboost_param params[] = {
        {"objective", "reg:squarederror"}, {"tree_method", "hist"},
        {"max_depth", set->depth},         {"grow_policy", set->grow},
        {"max_leaves", set->leaves},       {"eta", "0.1"}};
    if (slw_engine_get("xgboost", &table, &err) != SLW_OK)
        die(err.msg);
    const struct slw_xgboost_ops *ops = table;
    if (ops->train(params, SLW_ARRAY_LEN(params), set->trees, 0, x, y,
                   TRAIN_ROWS, set->columns, NULL, NULL, 0, NULL, &bytes,
                   &rounds, &err) != SLW_OK)
        die(err.msg);
    for (size_t k = 0; k < set->columns; k++) {
        snprintf(texts[k], sizeof(texts[k]), "c%zu", k);
        names[k] = slw_str_of(texts[k]);
    }
    const struct slw_signature sig = {names, set->columns, -1};
    if (slw_model_load(&s->model, SLW_FLAVOUR_XGBOOST, &sig,
                       slw_buf_view(&bytes), &err) != SLW_OK)
        die(err.msg);
    if (lib.create(NULL, 0, &s->booster) ||
        lib.set(s->booster, "nthread", "1") ||
        lib.load(s->booster, bytes.ptr, bytes.len))
        die("the library does not load the model");
    s->columns = set->columns;
    s->narrow = slw_alloc(ROWS * set->columns * sizeof(float));
    s->wide = slw_alloc(ROWS * set->columns * sizeof(double));
    for (size_t i = 0; i < ROWS * set->columns; i++) {
        float v = (float)slw_rng_normal(&rng);
        s->narrow[i] = slw_rng_below(&rng, 20) == 0 ? NAN : v;
        s->wide[i] = (double)s->narrow[i];
    }
    slw_free(x);
    slw_free(y);
}

int
main(void)
{
    library_open();
    for (size_t i = 0; i < SLW_ARRAY_LEN(SETTINGS); i++) {
        struct subject s = {0};
        train(&SETTINGS[i], &s);
        check(&s);
        for (size_t batch = 1; batch <= ROWS; batch *= ROWS) {
            double ours, others;
            measure(&s, batch, &ours, &others);
            printf("{\"bench\":\"trees\",\"setting\":\"%s\",\"trees\":%d,"
                   "\"columns\":%zu,\"rows_a_call\":%zu,\"ours_us\":%.3f,"
                   "\"xgboost_us\":%.3f,\"ratio\":%.2f}\n",
                   SETTINGS[i].label, SETTINGS[i].trees, SETTINGS[i].columns,
                   batch, ours, others, others / ours);
        }
        slw_model_unref(s.model);
        lib.free(s.booster);
        slw_free(s.narrow);
        slw_free(s.wide);
    }
    return 0;
}
