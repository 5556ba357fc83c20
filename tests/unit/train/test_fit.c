/* test_fit.c -- fitting one candidate: it learns, it repeats to the byte, and
 * our evaluators answer as the libraries do.
 *
 * Needs the engines (SLIPWAY_ENGINES, SLIPWAY_LIBS).  The comparison with
 * XGBoost is bit for bit; with libsvm within 1e-12 of the size of the sum. */
#include "train/fit.h"

#include "tests/slw_test.h"

#include "base/engine.h"
#include "train/engines.h"

#define ROWS 600
#define VALID 200
#define COLUMNS 6

static struct slw_str names[COLUMNS] = {{"price", 5},       {"range_lag10", 11},
                                        {"range_lag0", 10}, {"range_lag1", 10},
                                        {"range_lag2", 10}, {"noise", 5}};
static const struct slw_signature SIG = {names, COLUMNS, -1};

/* y = 3 + 2 a - b c + little noise, columns of different sizes. */
struct sample {
    double x[ROWS + VALID][COLUMNS];
    double y[ROWS + VALID];
};

static struct sample *
sample_new(uint64_t seed, double missing_share)
{
    struct sample *s = slw_alloc(sizeof(*s));
    struct slw_rng rng;
    slw_rng_init(&rng, seed);
    for (size_t r = 0; r < ROWS + VALID; r++) {
        double z[COLUMNS];
        for (size_t k = 0; k < COLUMNS; k++) {
            z[k] = slw_rng_normal(&rng);
            s->x[r][k] = k == 0 ? 1000 + 50 * z[k] : z[k];
        }
        s->y[r] = 3 + 2 * z[2] - z[3] * z[0] + 0.05 * slw_rng_normal(&rng);
        for (size_t k = 0; k < COLUMNS; k++)
            if (slw_rng_f64(&rng) < missing_share)
                s->x[r][k] = NAN;
    }
    return s;
}

static struct train_fit_in
fit_in(enum slw_flavour flavour, const struct sample *s,
       const struct slw_json *params)
{
    return (struct train_fit_in){.flavour = flavour,
                                 .sig = &SIG,
                                 .x = s->x[0],
                                 .y = s->y,
                                 .row_count = ROWS,
                                 .valid_x = s->x[ROWS],
                                 .valid_y = s->y + ROWS,
                                 .valid_count = VALID,
                                 .params = params->root,
                                 .seed = 42};
}

static struct train_fit_out *
fit_ok(enum slw_flavour flavour, const struct sample *s, const char *json)
{
    struct slw_err err;
    SLW_AUTO(slw_json, params);
    struct train_fit_out *out = slw_alloc(sizeof(*out));
    assert_ok(slw_json_parse(&params, slw_str_of(json), &err), err);
    struct train_fit_in in = fit_in(flavour, s, &params);
    assert_ok(train_fit(&in, out, &err), err);
    return out;
}

static void
fit_out_free(struct train_fit_out *out)
{
    train_fit_out_done(out);
    slw_free(out);
}

/* Root mean square error on the validation rows. */
static double
valid_rmse(enum slw_flavour flavour, const struct train_fit_out *out,
           const struct sample *s)
{
    struct slw_err err;
    struct slw_model *m = NULL;
    double y[VALID], squares = 0;
    assert_ok(
        slw_model_load(&m, flavour, &SIG, slw_buf_view(&out->bytes), &err),
        err);
    slw_model_predict(m, s->x[ROWS], VALID, y);
    slw_model_unref(m);
    for (size_t r = 0; r < VALID; r++)
        squares += (y[r] - s->y[ROWS + r]) * (y[r] - s->y[ROWS + r]);
    return sqrt(squares / VALID);
}

/* ---- every flavour ---- */

/* The target's spread is about 2.2; the noise 0.05. */
static void
every_flavour_learns_and_says_who_fitted_it(void **state)
{
    static const struct {
        enum slw_flavour flavour;
        const char *params, *engine;
        double rmse_max;
    } cases[] = {
        {SLW_FLAVOUR_XGBOOST, "{\"rounds\":300,\"max_depth\":4}", "xgboost",
         0.6},
        {SLW_FLAVOUR_SVR, "{\"c\":10,\"epsilon\":0.01}", "libsvm", 0.7},
        {SLW_FLAVOUR_ARNET, "{\"hidden\":32,\"lag_prefix\":\"range_lag\"}",
         "openblas", 0.5},
        {SLW_FLAVOUR_ARNET, "{\"hidden\":0}", "openblas", 1.2},
        {SLW_FLAVOUR_XGBOOST, "{}", "xgboost", 0.7},
        {SLW_FLAVOUR_SVR, "{}", "libsvm", 1.0},
    };
    struct sample *s = sample_new(1, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct train_fit_out *out =
            fit_ok(cases[i].flavour, s, cases[i].params);
        double rmse = valid_rmse(cases[i].flavour, out, s);
        if (!(rmse < cases[i].rmse_max))
            fail_msg("case %zu: rmse %g", i, rmse);
        assert_string_equal(out->engine, cases[i].engine);
        assert_true(strlen(out->engine_version) >= 3);
        if (cases[i].flavour != SLW_FLAVOUR_SVR) {
            assert_true(out->rounds > 0);
            assert_int_equal(out->curve_count, out->rounds);
            assert_true(out->curve[out->curve_count - 1] < out->curve[0]);
        }
        fit_out_free(out);
    }
    slw_free(s);
}

static void
the_same_seed_gives_the_same_bytes_and_another_seed_others(void **state)
{
    static const struct {
        enum slw_flavour flavour;
        const char *params;
        bool random;
    } cases[] = {
        {SLW_FLAVOUR_XGBOOST, "{\"rounds\":40,\"subsample\":0.5}", true},
        {SLW_FLAVOUR_SVR, "{}", false},
        {SLW_FLAVOUR_ARNET, "{\"epochs\":5}", true},
    };
    struct sample *s = sample_new(2, 0.02);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slw_err err;
        SLW_AUTO(slw_json, params);
        struct train_fit_out *a = fit_ok(cases[i].flavour, s, cases[i].params);
        struct train_fit_out *b = fit_ok(cases[i].flavour, s, cases[i].params);
        struct train_fit_out *c = slw_alloc(sizeof(*c));
        assert_true(
            slw_str_eq(slw_buf_view(&a->bytes), slw_buf_view(&b->bytes)));
        assert_ok(slw_json_parse(&params, slw_str_of(cases[i].params), &err),
                  err);
        struct train_fit_in in = fit_in(cases[i].flavour, s, &params);
        in.seed = 43;
        assert_ok(train_fit(&in, c, &err), err);
        assert_int_equal(
            slw_str_eq(slw_buf_view(&a->bytes), slw_buf_view(&c->bytes)),
            !cases[i].random);
        fit_out_free(a);
        fit_out_free(b);
        fit_out_free(c);
    }
    slw_free(s);
}

static void
early_stopping_keeps_the_best_rounds_only(void **state)
{
    struct sample *s = sample_new(3, 0);
    /* Trees this greedy overfit soon. */
    struct train_fit_out *out =
        fit_ok(SLW_FLAVOUR_XGBOOST, s,
               "{\"eta\":0.9,\"max_depth\":10,\"rounds\":200,"
               "\"early_rounds\":5}");
    size_t best = 0;
    for (size_t i = 1; i < out->curve_count; i++)
        if (out->curve[i] < out->curve[best])
            best = i;
    assert_int_equal(out->rounds, best + 1);
    assert_int_equal(out->curve_count, best + 6);
    assert_near(valid_rmse(SLW_FLAVOUR_XGBOOST, out, s), out->curve[best],
                1e-5);
    fit_out_free(out);

    out = fit_ok(SLW_FLAVOUR_ARNET, s,
                 "{\"lr\":0.05,\"hidden\":64,\"epochs\":400,\"patience\":4}");
    best = 0;
    for (size_t i = 1; i < out->curve_count; i++)
        if (out->curve[i] < out->curve[best])
            best = i;
    assert_true(out->curve_count < 400);
    assert_near(valid_rmse(SLW_FLAVOUR_ARNET, out, s), out->curve[best], 1e-4);
    fit_out_free(out);
    slw_free(s);
}

static void
bad_parameters_are_named(void **state)
{
    static const struct {
        enum slw_flavour flavour;
        const char *params, *part;
    } cases[] = {
        {SLW_FLAVOUR_XGBOOST, "{\"etaa\":1}", "is 'eta' meant"},
        {SLW_FLAVOUR_XGBOOST, "{\"eta\":2}", "eta of xgboost is 2"},
        {SLW_FLAVOUR_XGBOOST, "{\"max_depth\":2.5}", "whole number"},
        {SLW_FLAVOUR_XGBOOST, "{\"rounds\":\"x\"}", "rounds"},
        {SLW_FLAVOUR_XGBOOST, "[]", "not an object"},
        {SLW_FLAVOUR_SVR, "{\"c\":0}", "c of svr is 0"},
        {SLW_FLAVOUR_ARNET, "{\"lag_prefix\":\"zz\"}", "'zz'"},
        {SLW_FLAVOUR_ARNET, "{\"lag_prefix\":3}", "lag_prefix"},
        {SLW_FLAVOUR_ARNET, "{\"completely_else\":3}", "completely_else"},
        {SLW_FLAVOUR_RULE, "{}", "rule are not fitted"},
    };
    struct sample *s = sample_new(4, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slw_err err = {0};
        SLW_AUTO(slw_json, params);
        struct train_fit_out *out = slw_alloc(sizeof(*out));
        assert_ok(slw_json_parse(&params, slw_str_of(cases[i].params), &err),
                  err);
        struct train_fit_in in = fit_in(cases[i].flavour, s, &params);
        assert_fails(train_fit(&in, out, &err), SLW_INVALID, err,
                     cases[i].part);
        fit_out_free(out);
    }
    slw_free(s);
}

static void
rows_that_cannot_be_fitted_are_refused(void **state)
{
    struct slw_err err = {0};
    struct sample *s = sample_new(5, 0);
    struct slw_json none = {0};
    struct train_fit_out *out = slw_alloc(sizeof(*out));
    struct train_fit_in in = fit_in(SLW_FLAVOUR_SVR, s, &none);
    in.row_count = 9;
    assert_fails(train_fit(&in, out, &err), SLW_INVALID, err, "9 rows");
    in.row_count = ROWS;
    s->y[17] = NAN;
    assert_fails(train_fit(&in, out, &err), SLW_INVALID, err, "row 17");
    s->y[17] = 0;
    for (size_t r = 5; r < ROWS; r++)
        s->x[r][r % COLUMNS] = NAN;
    assert_fails(train_fit(&in, out, &err), SLW_INVALID, err, "only 5 rows");
    in.flavour = SLW_FLAVOUR_ARNET;
    assert_fails(train_fit(&in, out, &err), SLW_INVALID, err, "only 5 rows");
    fit_out_free(out);
    slw_free(s);
}

/* ---- which columns and rows ---- */

/* The used columns are behind three counts of the file. */
static void
arnet_takes_the_first_lags_by_number_and_all_other_columns(void **state)
{
    static const int32_t wanted[] = {2, 3, 0, 5}; /* lag0 lag1 price noise */
    struct sample *s = sample_new(6, 0);
    struct train_fit_out *out =
        fit_ok(SLW_FLAVOUR_ARNET, s,
               "{\"lags\":2,\"lag_prefix\":\"range_lag\",\"epochs\":1}");
    assert_true(out->bytes.len > 36);
    assert_memory_equal(out->bytes.ptr + 20, wanted, sizeof(wanted));
    fit_out_free(out);
    slw_free(s);
}

static void
svr_takes_the_most_recent_rows(void **state)
{
    struct sample *s = sample_new(7, 0);
    struct train_fit_out *a = fit_ok(SLW_FLAVOUR_SVR, s, "{\"max_rows\":50}");
    for (size_t r = 0; r < ROWS - 50; r++)
        s->y[r] = -77;
    struct train_fit_out *b = fit_ok(SLW_FLAVOUR_SVR, s, "{\"max_rows\":50}");
    assert_true(slw_str_eq(slw_buf_view(&a->bytes), slw_buf_view(&b->bytes)));
    fit_out_free(a);
    fit_out_free(b);
    slw_free(s);
}

static void
infinite_inputs_do_not_stop_xgboost(void **state)
{
    struct sample *s = sample_new(8, 0);
    s->x[3][1] = INFINITY;
    s->x[4][1] = -INFINITY;
    s->x[5][1] = 1e300;
    struct train_fit_out *out =
        fit_ok(SLW_FLAVOUR_XGBOOST, s, "{\"rounds\":100}");
    assert_true(valid_rmse(SLW_FLAVOUR_XGBOOST, out, s) < 1);
    fit_out_free(out);
    slw_free(s);
}

/* ---- our trees against XGBoost's ---- */

struct floats {
    float *ptr;
    size_t count, cap;
};

static void
floats_add(struct floats *f, float v)
{
    if (f->count == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 1024;
        f->ptr = slw_realloc(f->ptr, f->cap * sizeof(float));
    }
    f->ptr[f->count++] = v;
}

/* Every number of the split_conditions arrays of a UBJSON file: thresholds,
 * and leaves too, which do no harm. */
static void
thresholds_of(struct slw_str bytes, struct floats *out)
{
    static const char key[] = "split_conditions[$d#L";
    size_t size = sizeof(key) - 1;
    for (size_t at = 0; at + size + 8 < bytes.len; at++) {
        if (memcmp(bytes.ptr + at, key, size) != 0)
            continue;
        const unsigned char *p = (const unsigned char *)bytes.ptr + at + size;
        uint64_t count = 0;
        for (int i = 0; i < 8; i++)
            count = count << 8 | *p++;
        for (uint64_t i = 0; i < count; i++, p += 4) {
            uint32_t bits = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
                            (uint32_t)p[2] << 8 | p[3];
            float v;
            memcpy(&v, &bits, sizeof(v));
            floats_add(out, v);
        }
    }
}

static float
probe(struct slw_rng *rng, const struct floats *cuts, bool infinities)
{
    static const float special[] = {0.0f,   -0.0f,   1e-45f,   -1e-45f,
                                    1e-39f, 3.4e38f, -3.4e38f, 1.0f};
    float cut = cuts->ptr[slw_rng_below(rng, cuts->count)];
    switch (slw_rng_below(rng, 8)) {
    case 0:
        return NAN;
    case 1:
        return special[slw_rng_below(rng, ARRAY_LEN(special))];
    case 2:
        return cut;
    case 3:
        return nextafterf(cut, INFINITY);
    case 4:
        return nextafterf(cut, -INFINITY);
    case 5:
        return infinities ? (slw_rng_u64(rng) & 1 ? INFINITY : -INFINITY) : 0;
    default:
        return (float)(slw_rng_normal(rng) * 2);
    }
}

#define PROBES 3000

static void
compare_rows(const struct slw_xgboost_ops *ops, const struct slw_model *m,
             struct slw_str bytes, uint64_t seed, bool infinities,
             const char *label)
{
    struct slw_err err;
    struct slw_rng rng;
    struct floats cuts = {0};
    float *x = slw_alloc(PROBES * COLUMNS * sizeof(*x));
    float *theirs = slw_alloc(PROBES * sizeof(*theirs));
    double *wide = slw_alloc(PROBES * COLUMNS * sizeof(*wide));
    double *ours = slw_alloc(PROBES * sizeof(*ours));
    thresholds_of(bytes, &cuts);
    assert_true(cuts.count > 2);
    slw_rng_init(&rng, seed);
    for (size_t i = 0; i < PROBES * COLUMNS; i++) {
        x[i] = probe(&rng, &cuts, infinities);
        wide[i] = (double)x[i];
    }
    assert_ok(ops->predict(bytes, x, PROBES, COLUMNS, theirs, &err), err);
    slw_model_predict(m, wide, PROBES, ours);
    for (size_t r = 0; r < PROBES; r++) {
        float narrow = (float)ours[r];
        if (memcmp(&narrow, &theirs[r], sizeof(narrow)) != 0)
            fail_msg("%s, seed %llu, row %zu: %.9g, not %.9g", label,
                     (unsigned long long)seed, r, (double)narrow,
                     (double)theirs[r]);
    }
    slw_free(cuts.ptr);
    slw_free(x);
    slw_free(theirs);
    slw_free(wide);
    slw_free(ours);
}

/* objective, how the label is made of y, then name and value pairs */
struct tree_case {
    const char *objective;
    char label; /* y as it is, 0/1 'b', positive 'p' */
    const char *extra[8];
};

static const struct tree_case TREE_CASES[] = {
    {"reg:squarederror", 'y', {"max_depth", "1"}},
    {"reg:squarederror", 'y', {"max_depth", "6"}},
    {"reg:squarederror", 'y', {"max_depth", "14"}},
    {"reg:squarederror",
     'y',
     {"grow_policy", "lossguide", "max_leaves", "60", "max_depth", "0"}},
    {"reg:squarederror", 'y', {"num_parallel_tree", "3", "subsample", "0.6"}},
    {"reg:squarederror", 'y', {"base_score", "0.3333333"}},
    {"reg:squarederror", 'y', {"booster", "dart", "rate_drop", "0.5"}},
    {"reg:squarederror",
     'y',
     {"booster", "dart", "rate_drop", "0.3", "normalize_type", "forest"}},
    {"reg:absoluteerror", 'y', {"max_depth", "5"}},
    {"reg:pseudohubererror", 'y', {"max_depth", "4"}},
    {"reg:quantileerror", 'y', {"quantile_alpha", "0.8"}},
    {"reg:squaredlogerror", 'p', {"max_depth", "4"}},
    {"reg:logistic", 'b', {"max_depth", "4"}},
    {"binary:logistic", 'b', {"max_depth", "7"}},
    {"binary:logistic", 'b', {"eta", "30", "lambda", "0", "base_score", "1"}},
    {"binary:logitraw", 'b', {"max_depth", "4"}},
    {"binary:hinge", 'b', {"max_depth", "4"}},
    {"count:poisson", 'p', {"max_depth", "4"}},
    {"reg:gamma", 'p', {"max_depth", "4"}},
    {"reg:tweedie", 'p', {"max_depth", "4"}},
    {"survival:cox", 'p', {"max_depth", "4"}},
    {"rank:pairwise", 'b', {"max_depth", "4"}},
};

static void
train_case(const struct slw_xgboost_ops *ops, const struct tree_case *c,
           const struct sample *s, struct slw_buf *out)
{
    struct slw_err err;
    int rounds;
    float *x = slw_alloc(ROWS * COLUMNS * sizeof(*x));
    float *y = slw_alloc(ROWS * sizeof(*y));
    struct slw_xgboost_param params[8] = {
        {"objective", c->objective}, {"tree_method", "hist"}, {"seed", "5"}};
    size_t count = 3;
    for (size_t i = 0; i + 1 < ARRAY_LEN(c->extra) && c->extra[i]; i += 2)
        params[count++] =
            (struct slw_xgboost_param){c->extra[i], c->extra[i + 1]};
    const double *wide = s->x[0];
    for (size_t i = 0; i < ROWS * COLUMNS; i++)
        x[i] = (float)wide[i];
    for (size_t r = 0; r < ROWS; r++) {
        double v = s->y[r];
        y[r] = (float)(c->label == 'b'   ? v > 3
                       : c->label == 'p' ? floor(fabs(v)) + 1
                                         : v);
    }
    assert_ok(ops->train(params, count, 21, 0, x, y, ROWS, COLUMNS, NULL, NULL,
                         0, NULL, out, &rounds, &err),
              err);
    assert_int_equal(rounds, 21);
    slw_free(x);
    slw_free(y);
}

static void
our_trees_equal_xgboosts_bit_for_bit(void **state)
{
    struct slw_err err;
    const void *table = NULL;
    assert_ok(slw_engine_get("xgboost", &table, &err), err);
    const struct slw_xgboost_ops *ops = table;
    struct sample *s = sample_new(9, 0.1);
    for (size_t i = 0; i < ARRAY_LEN(TREE_CASES); i++) {
        struct slw_model *m = NULL;
        char label[96];
        SLW_AUTO(slw_buf, bytes);
        snprintf(label, sizeof(label), "case %zu, %s %s", i,
                 TREE_CASES[i].objective, TREE_CASES[i].extra[0]);
        train_case(ops, &TREE_CASES[i], s, &bytes);
        assert_ok(slw_model_load(&m, SLW_FLAVOUR_XGBOOST, &SIG,
                                 slw_buf_view(&bytes), &err),
                  err);
        compare_rows(ops, m, slw_buf_view(&bytes), 100 + i, false, label);
        /* dart takes infinities by another road only, which sums otherwise. */
        if (!TREE_CASES[i].extra[1] ||
            strcmp(TREE_CASES[i].extra[1], "dart") != 0)
            compare_rows(ops, m, slw_buf_view(&bytes), 200 + i, true, label);
        slw_model_unref(m);
    }
    slw_free(s);
}

static void
a_fitted_booster_answers_as_the_library(void **state)
{
    struct slw_err err;
    const void *table = NULL;
    struct slw_model *m = NULL;
    struct sample *s = sample_new(10, 0.05);
    assert_ok(slw_engine_get("xgboost", &table, &err), err);
    struct train_fit_out *out =
        fit_ok(SLW_FLAVOUR_XGBOOST, s,
               "{\"rounds\":150,\"early_rounds\":10,\"colsample\":0.7}");
    assert_ok(slw_model_load(&m, SLW_FLAVOUR_XGBOOST, &SIG,
                             slw_buf_view(&out->bytes), &err),
              err);
    compare_rows(table, m, slw_buf_view(&out->bytes), 77, true, "fitted");
    slw_model_unref(m);
    fit_out_free(out);
    slw_free(s);
}

/* ---- our SVR against libsvm's ---- */

static void
our_svr_equals_libsvms_predict(void **state)
{
    enum { SVS = 257, ALL = 64 };
    struct slw_err err;
    struct slw_rng rng;
    const void *table = NULL;
    struct slw_model *m = NULL;
    static double sv[SVS][COLUMNS], coef[SVS], x[ALL][COLUMNS], z[ALL][COLUMNS];
    double mean[COLUMNS], scale[COLUMNS], theirs[ALL], ours[ALL];
    assert_ok(slw_engine_get("libsvm", &table, &err), err);
    const struct slw_libsvm_ops *ops = table;
    slw_rng_init(&rng, 11);
    for (size_t k = 0; k < COLUMNS; k++) {
        mean[k] = 10 * slw_rng_normal(&rng);
        scale[k] = 0.5 + slw_rng_f64(&rng);
    }
    for (size_t i = 0; i < SVS; i++) {
        coef[i] = slw_rng_normal(&rng);
        for (size_t k = 0; k < COLUMNS; k++)
            sv[i][k] = slw_rng_normal(&rng);
    }
    for (size_t r = 0; r < ALL; r++) {
        for (size_t k = 0; k < COLUMNS; k++) {
            x[r][k] = mean[k] + scale[k] * slw_rng_normal(&rng);
            z[r][k] = (x[r][k] - mean[k]) / scale[k];
        }
    }
    const struct slw_svr svr = {.column_count = COLUMNS,
                                .sv_count = SVS,
                                .mean = mean,
                                .scale = scale,
                                .gamma = 0.37,
                                .rho = 0.21,
                                .y_mean = 0,
                                .y_scale = 1,
                                .coef = coef,
                                .sv = sv[0]};
    SLW_AUTO(slw_buf, bytes);
    assert_ok(slw_svr_write(&svr, &bytes, &err), err);
    assert_ok(
        slw_model_load(&m, SLW_FLAVOUR_SVR, &SIG, slw_buf_view(&bytes), &err),
        err);
    slw_model_predict(m, x[0], ALL, ours);
    assert_ok(ops->predict(sv[0], coef, SVS, COLUMNS, 0.37, 0.21, z[0], ALL,
                           theirs, &err),
              err);
    for (size_t r = 0; r < ALL; r++) /* cancellation: of the terms' size, 1 */
        assert_near(ours[r], theirs[r], 1e-12 * fmax(1, fabs(theirs[r])));
    slw_model_unref(m);
}

static void
openblas_is_the_flavour_with_locks_and_multiplies(void **state)
{
    struct slw_err err;
    const void *table = NULL;
    const float a[] = {1, 2, 3, 4, 5, 6}; /* 2 x 3 */
    const float b[] = {1, 0, 2, 1, 0, 3}; /* 3 x 2 */
    float c[] = {100, 100, 100, 100};
    assert_ok(slw_engine_get("openblas", &table, &err), err);
    const struct slw_blas_ops *ops = table;
    assert_null(strstr(ops->config(), "SINGLE_THREADED"));
    ops->sgemm(false, false, 2, 2, 3, 1, a, 3, b, 2, 0.5f, c, 2);
    assert_near((double)c[0], 50 + 5, 0);
    assert_near((double)c[1], 50 + 11, 0);
    assert_near((double)c[2], 50 + 14, 0);
    assert_near((double)c[3], 50 + 23, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flavour_learns_and_says_who_fitted_it),
        cmocka_unit_test(
            the_same_seed_gives_the_same_bytes_and_another_seed_others),
        cmocka_unit_test(early_stopping_keeps_the_best_rounds_only),
        cmocka_unit_test(bad_parameters_are_named),
        cmocka_unit_test(rows_that_cannot_be_fitted_are_refused),
        cmocka_unit_test(
            arnet_takes_the_first_lags_by_number_and_all_other_columns),
        cmocka_unit_test(svr_takes_the_most_recent_rows),
        cmocka_unit_test(infinite_inputs_do_not_stop_xgboost),
        cmocka_unit_test(our_trees_equal_xgboosts_bit_for_bit),
        cmocka_unit_test(a_fitted_booster_answers_as_the_library),
        cmocka_unit_test(our_svr_equals_libsvms_predict),
        cmocka_unit_test(openblas_is_the_flavour_with_locks_and_multiplies),
    };
    return cmocka_run_group_tests_name("train/fit", tests, NULL, NULL);
}
