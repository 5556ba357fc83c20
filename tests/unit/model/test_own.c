/* test_own.c -- the two formats of our own, svr and arnet: answers worked by
 * hand, missing inputs, files that come back as they went, damage. */
#include "model/model.h"

#include "tests/slw_test.h"

#include "base/hash.h"
#include "base/rng.h"

#define COLUMNS 3

static struct slw_str names[COLUMNS] = {{"a", 1}, {"b", 1}, {"c", 1}};
static const struct slw_signature SIG = {names, COLUMNS, -1};

static const double MEAN[] = {1, 2, 3}, SCALE[] = {1, 2, 4};
static const double COEF[] = {2, -1};
static const double SV[] = {0, 0, 0, 1, 0, -1};
static const struct slw_svr SVR = {.column_count = COLUMNS,
                                   .sv_count = 2,
                                   .mean = MEAN,
                                   .scale = SCALE,
                                   .gamma = 0.5,
                                   .rho = 0.25,
                                   .y_mean = 10,
                                   .y_scale = 3,
                                   .coef = COEF,
                                   .sv = SV};

static const int32_t USED[] = {2, 0};
static const float F_MEAN[] = {3, 1}, F_SCALE[] = {4, 1};
static const float W0[] = {0.5f, -1}, W1[] = {1, 0, -1, 2, 0, 1};
static const float B1[] = {0, 0.5f, -9}, W2[] = {2, 1, 100};
static const struct slw_arnet NET = {.column_count = COLUMNS,
                                     .used_count = 2,
                                     .used = USED,
                                     .hidden_count = 3,
                                     .mean = F_MEAN,
                                     .scale = F_SCALE,
                                     .w0 = W0,
                                     .b0 = 0.125f,
                                     .y_mean = 1,
                                     .y_scale = 2,
                                     .w1 = W1,
                                     .b1 = B1,
                                     .w2 = W2};

static struct slw_model *
load_ok(enum slw_flavour flavour, const struct slw_buf *bytes)
{
    struct slw_err err;
    struct slw_model *m = NULL;
    assert_ok(slw_model_load(&m, flavour, &SIG, slw_buf_view(bytes), &err),
              err);
    return m;
}

static void
written(struct slw_buf *svr, struct slw_buf *net)
{
    struct slw_err err;
    assert_ok(slw_svr_write(&SVR, svr, &err), err);
    assert_ok(slw_arnet_write(&NET, net, &err), err);
}

static void
svr_answers_the_value_worked_by_hand(void **state)
{
    /* x = (1, 2, 3): z = 0; distances 0 and 2: 2 e^0 - e^-1 - 0.25 */
    const double x[] = {1, 2, 3, /* z = (1, 0, -1): 2 e^-1 - 1 - 0.25 */
                        2, 2, -1};
    double y[2];
    SLW_AUTO(slw_buf, svr);
    SLW_AUTO(slw_buf, net);
    written(&svr, &net);
    struct slw_model *m = load_ok(SLW_FLAVOUR_SVR, &svr);
    slw_model_predict(m, x, 2, y);
    assert_near(y[0], 10 + 3 * (2 - exp(-1) - 0.25), 1e-14);
    assert_near(y[1], 10 + 3 * (2 * exp(-1) - 1 - 0.25), 1e-14);
    slw_model_unref(m);
}

static void
arnet_answers_the_value_worked_by_hand(void **state)
{
    /* x = (3, ?, 7): z = (1, 2); linear 0.125 + 0.5 - 2 = -1.375
     * hidden: relu(1) = 1, relu(-1 + 4 + 0.5) = 3.5, relu(2 - 9) = 0
     * f = -1.375 + 2 + 3.5 = 4.125; answer 1 + 2 f = 9.25; all exact */
    const double x[] = {3, NAN, 7}; /* column 1 is not used */
    double y;
    SLW_AUTO(slw_buf, svr);
    SLW_AUTO(slw_buf, net);
    written(&svr, &net);
    struct slw_model *m = load_ok(SLW_FLAVOUR_ARNET, &net);
    slw_model_predict(m, x, 1, &y);
    assert_near(y, 9.25, 0);
    slw_model_unref(m);
}

static void
a_missing_or_infinite_input_gives_nan(void **state)
{
    const double x[] = {NAN, 2, 3, 1, 2, INFINITY, 1, 2, -INFINITY};
    double y[3];
    SLW_AUTO(slw_buf, svr);
    SLW_AUTO(slw_buf, net);
    written(&svr, &net);
    const struct slw_buf *files[] = {&svr, &net};
    for (int i = 0; i < 2; i++) {
        struct slw_model *m =
            load_ok(i ? SLW_FLAVOUR_ARNET : SLW_FLAVOUR_SVR, files[i]);
        slw_model_predict(m, x, 3, y);
        for (int r = 0; r < 3; r++)
            assert_true(isnan(y[r]));
        slw_model_unref(m);
    }
}

static void
models_of_other_columns_and_kinds_are_refused(void **state)
{
    struct slw_err err;
    struct slw_model *m = NULL;
    const struct slw_signature two = {names, 2, -1};
    SLW_AUTO(slw_buf, svr);
    SLW_AUTO(slw_buf, net);
    written(&svr, &net);
    assert_fails(
        slw_model_load(&m, SLW_FLAVOUR_SVR, &two, slw_buf_view(&svr), &err),
        SLW_INVALID, err, "wants 3 columns, the signature has 2");
    assert_fails(
        slw_model_load(&m, SLW_FLAVOUR_ARNET, &two, slw_buf_view(&net), &err),
        SLW_INVALID, err, "wants 3 columns, the signature has 2");
    assert_fails(
        slw_model_load(&m, SLW_FLAVOUR_ARNET, &SIG, slw_buf_view(&svr), &err),
        SLW_INVALID, err, "no arnet model file");
    SLW_AUTO(slw_buf, onnx);
    assert_fails(slw_arnet_to_onnx(slw_buf_view(&svr), &onnx, &err),
                 SLW_INVALID, err, "no arnet model file");
    assert_int_equal(onnx.len, 0);
}

static void
numbers_that_make_no_model_are_not_written(void **state)
{
    struct slw_err err;
    SLW_AUTO(slw_buf, out);
    struct slw_svr svr = SVR;
    svr.gamma = 0;
    assert_fails(slw_svr_write(&svr, &out, &err), SLW_INVALID, err, "finite");
    svr = SVR;
    svr.rho = NAN;
    assert_fails(slw_svr_write(&svr, &out, &err), SLW_INVALID, err, "finite");
    struct slw_arnet net = NET;
    const int32_t far[] = {0, 3};
    net.used = far;
    assert_fails(slw_arnet_write(&net, &out, &err), SLW_INVALID, err,
                 "column 3 of 3");
    net = NET;
    net.scale = W0;
    assert_fails(slw_arnet_write(&net, &out, &err), SLW_INVALID, err,
                 "positive");
    net = NET;
    net.hidden_count = 5000;
    assert_fails(slw_arnet_write(&net, &out, &err), SLW_INVALID, err, "5000");
    assert_int_equal(out.len, 0);
}

/* Half of the damaged files get a right checksum, so that the checks behind
 * it are met as well. */
static void
twenty_thousand_mutations_are_refused_or_answer(void **state)
{
    struct slw_rng rng;
    size_t loaded = 0, refused = 0;
    SLW_AUTO(slw_buf, svr);
    SLW_AUTO(slw_buf, net);
    written(&svr, &net);
    slw_rng_init(&rng, 4);
    for (size_t i = 0; i < 20000; i++) {
        const struct slw_buf *seed = i % 2 ? &svr : &net;
        size_t size = seed->len;
        if (slw_rng_below(&rng, 4) == 0)
            size = slw_rng_below(&rng, size + 1);
        char *bytes = slw_alloc(size ? size : 1);
        memcpy(bytes, seed->ptr, size);
        for (size_t n = slw_rng_below(&rng, 3); size && n <= 2; n++)
            bytes[slw_rng_below(&rng, size)] = (char)slw_rng_u64(&rng);
        if (slw_rng_below(&rng, 2) && size >= 12) {
            uint32_t crc = slw_crc32c(0, bytes, size - 4);
            memcpy(bytes + size - 4, &crc, sizeof(crc));
        }
        struct slw_err err = {0};
        struct slw_model *m = NULL;
        enum slw_rc rc =
            slw_model_load(&m, i % 2 ? SLW_FLAVOUR_SVR : SLW_FLAVOUR_ARNET,
                           &SIG, (struct slw_str){bytes, size}, &err);
        if (rc == SLW_OK) {
            const double x[] = {1, 2, 3, -5, 1e30, 0};
            double y[2];
            slw_model_predict(m, x, 2, y);
            loaded++;
        } else {
            assert_int_equal(rc, SLW_INVALID);
            assert_true(strlen(err.msg) > 10);
            refused++;
        }
        slw_model_unref(m);
        slw_free(bytes);
    }
    assert_true(loaded > 1000);
    assert_true(refused > 5000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(svr_answers_the_value_worked_by_hand),
        cmocka_unit_test(arnet_answers_the_value_worked_by_hand),
        cmocka_unit_test(a_missing_or_infinite_input_gives_nan),
        cmocka_unit_test(models_of_other_columns_and_kinds_are_refused),
        cmocka_unit_test(numbers_that_make_no_model_are_not_written),
        cmocka_unit_test(twenty_thousand_mutations_are_refused_or_answer),
    };
    return cmocka_run_group_tests_name("model/own", tests, NULL, NULL);
}
