/* test_predict.c -- routing, every reason for the rule to answer, shadows,
 * counts, metrics, and roll-back under load. */
#include "serve/serve.h"
#include "tests/slw_test.h"

#include "tests/unit/serve/fixture.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- routing ---- */

static void
keys_are_split_by_weight_and_stay_where_they_are(void **state)
{
    struct fixture *f = *state;
    enum { KEY_COUNT = 100000 };
    static unsigned char went[KEY_COUNT];
    struct slw_predict_out out;
    char key[32];
    long canary = 0;
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    do_act(f, SLW_SERVE_CANARY, 2, 0.1);
    for (int i = 0; i < KEY_COUNT; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        answer(f, key, 1, 2, &out);
        went[i] = out.by == SLW_BY_CANARY;
        canary += went[i];
    }
    /* Binomial: sd = sqrt(1e5 * 0.1 * 0.9) = 95; five of them. */
    assert_in_range(canary, 10000 - 475, 10000 + 475);
    do_act(f, SLW_SERVE_WEIGHT, 0, 0.3);
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        answer(f, key, 1, 2, &out);
        if (went[i]) /* a greater weight takes nobody away */
            assert_int_equal(out.by, SLW_BY_CANARY);
        enum slw_answer_by by = out.by;
        answer(f, key, 5, 6, &out);
        assert_int_equal(out.by, by);
    }
}

static void
requests_without_a_key_are_split_too(void **state)
{
    struct fixture *f = *state;
    struct slw_predict_out out;
    long canary = 0;
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    do_act(f, SLW_SERVE_CANARY, 2, 0.5);
    for (int i = 0; i < 4000; i++) {
        answer(f, "", 1, 2, &out);
        canary += out.by == SLW_BY_CANARY;
    }
    assert_in_range(canary, 2000 - 160, 2000 + 160); /* five sd of 31.6 */
}

static void
a_sticky_key_routes_in_the_place_of_the_key(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    const double x[] = {1, 2};
    int canary[2] = {0};
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    do_act(f, SLW_SERVE_CANARY, 2, 0.5);
    for (int i = 0; i < 200; i++) {
        char text[2][32] = {"always the same", ""};
        snprintf(text[1], sizeof text[1], "user-%d", i);
        for (int k = 0; k < 2; k++) {
            const struct slw_predict_in in = {.key = slw_str_of(text[!k]),
                                              .sticky = slw_str_of(text[k]),
                                              .x = x,
                                              .row_count = 1};
            struct slw_predict_out out = {0};
            assert_ok(predict(f->serve, SLW_STR("d"), &in, &a, &out, &err),
                      err);
            canary[k] += out.by == SLW_BY_CANARY;
        }
    }
    assert_true(canary[0] == 0 || canary[0] == 200);
    assert_in_range(canary[1], 60, 140);
}

static void
a_version_can_be_asked_for(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    const double x[] = {1, 2};
    struct slw_predict_in in = {.x = x, .row_count = 1, .version = 2};
    struct slw_predict_out out = {0};
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    do_act(f, SLW_SERVE_CANARY, 2, 0.0001);
    assert_ok(predict(f->serve, SLW_STR("d"), &in, &a, &out, &err), err);
    assert_near(out.y[0], 103, 0);
    in.version = 3;
    assert_fails(predict(f->serve, SLW_STR("d"), &in, &a, &out, &err),
                 SLW_NOT_FOUND, err, "version 3 is not live");
}

/* ---- the rule answers ---- */

static void
the_rule_answers_when_the_model_says_nan(void **state)
{
    struct fixture *f = *state;
    struct slw_predict_out out;
    do_act(f, SLW_SERVE_DEPLOY, 3, 0);
    assert_near(answer(f, "k", 6, 3, &out), 2, 0);
    assert_near(answer(f, "k", 6, 0, &out), -6, 0);
    assert_int_equal(out.by, SLW_BY_FALLBACK);
    assert_string_equal(out.reason, "not_finite");
    assert_int_equal(out.version, 3);
}

static void
one_bad_row_does_not_fail_its_neighbours(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    const double x[] = {6, 3, 6, 0, 8, 2};
    const struct slw_predict_in in = {.x = x, .row_count = 3};
    struct slw_predict_out out = {0};
    do_act(f, SLW_SERVE_DEPLOY, 3, 0);
    assert_ok(predict(f->serve, SLW_STR("d"), &in, &a, &out, &err), err);
    assert_near(out.y[0], 2, 0);
    assert_near(out.y[1], -6, 0);
    assert_near(out.y[2], 4, 0);
    assert_int_equal(out.by, SLW_BY_FALLBACK);
}

static void
fire_drills_show_each_fallback(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *mode, *reason;
    } cases[] = {{"error", "error"}, {"nan", "not_finite"}, {"slow", "late"}};
    struct slw_err err;
    struct slw_predict_out out;
    assert_ok(slw_serve_declare(f->serve, NOW_MS, SLW_STR("d"),
                                SLW_STR("{\"model\":\"m\",\"timeout_ms\":20}"),
                                &err),
              err);
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_ok(slw_serve_drill(f->serve, NOW_MS, SLW_STR("d"),
                                  slw_str_of(cases[i].mode), &err),
                  err);
        assert_near(answer(f, "k", 1, 2, &out), -1, 0);
        assert_int_equal(out.by, SLW_BY_FALLBACK);
        assert_string_equal(out.reason, cases[i].reason);
    }
    /* The sleep is bounded; a drill is late all the same. */
    assert_ok(
        slw_serve_declare(f->serve, NOW_MS, SLW_STR("d"), SLW_STR(DEF), &err),
        err);
    answer(f, "k", 1, 2, &out);
    assert_string_equal(out.reason, "late");
    assert_string_equal(slw_serve_drill_mode(f->serve, SLW_STR("d")), "slow");
    assert_ok(
        slw_serve_drill(f->serve, NOW_MS, SLW_STR("d"), SLW_STR("off"), &err),
        err);
    assert_string_equal(slw_serve_drill_mode(f->serve, SLW_STR("d")), "off");
    do_act(f, SLW_SERVE_WITHDRAW, 0, 0);
    assert_near(answer(f, "k", 1, 2, &out), -1, 0);
    assert_string_equal(out.reason, "withdrawn");
    do_act(f, SLW_SERVE_RESTORE, 0, 0);
    assert_fails(
        slw_serve_drill(f->serve, NOW_MS, SLW_STR("d"), SLW_STR("flood"), &err),
        SLW_INVALID, err, "'flood'");
}

static void
an_answer_that_comes_too_late_is_the_rules(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    const double x[] = {1, 2};
    struct slw_predict_in in = {.x = x,
                                .row_count = 1,
                                .begin_mono_ns =
                                    slw_mono_ns() - INT64_C(61000000000)};
    struct slw_predict_out out = {0};
    do_act(f, SLW_SERVE_DEPLOY, 1, 0); /* 60 s */
    assert_ok(predict(f->serve, SLW_STR("d"), &in, &a, &out, &err), err);
    assert_near(out.y[0], -1, 0);
    assert_string_equal(out.reason, "late");
}

static void
no_number_from_the_rule_either_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_predict_out out;
    double y;
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    assert_fails(ask(f, "k", NAN, 2, &y, &out, &err), SLW_INTERNAL, err,
                 "its rule has no number for row 0");
}

/* The blob of a version's model is damaged while the server is down. */
static void
a_model_that_cannot_be_loaded_leaves_the_rule(void **state)
{
    struct fixture *f = *state;
    struct slw_predict_out out;
    struct slw_err err;
    char path[512];
    struct slw_blob_info blob;
    do_act(f, SLW_SERVE_DEPLOY, 2, 0);
    assert_ok(slw_blob_put(f->store, SLW_STR("a + b + 100"), &blob, &err), err);
    snprintf(path, sizeof path, "%s/blobs/%.2s/%s", f->dir, blob.hash,
             blob.hash + 2);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(unlink(path), 0);
    fixture_close(f);
    fixture_open(f);
    assert_near(answer(f, "k", 1, 2, &out), -1, 0);
    assert_string_equal(out.reason, "not_loaded");
    assert_true(slw_serve_ready(f->serve, SLW_STR("d")));
    /* Repaired: deploying it again, which changes nothing, loads it. */
    assert_ok(slw_blob_put(f->store, SLW_STR("a + b + 100"), &blob, &err), err);
    do_act(f, SLW_SERVE_DEPLOY, 2, 0);
    assert_near(answer(f, "k", 1, 2, &out), 103, 0);
}

static void
columns_that_do_not_fit_are_refused(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    const double x[] = {1, 2, 3};
    struct slw_predict_in in = {.x = x, .row_count = 1, .column_count = 3};
    struct slw_predict_out out = {0};
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    assert_fails(predict(f->serve, SLW_STR("d"), &in, &a, &out, &err),
                 SLW_INVALID, err, "3 columns were given, version 1 takes 2");
}

static void
a_canary_of_other_columns_gets_them_by_name(void **state)
{
    struct fixture *f = *state;
    struct slw_predict_out out;
    int64_t swapped = add_version(f, "b - a", "-a", "\"b\", \"a\"", "[]");
    int64_t wider = add_version(f, "a + c", "-a", "\"a\", \"b\", \"c\"", "[]");
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    do_act(f, SLW_SERVE_CANARY, swapped, 1.0);
    assert_near(answer(f, "k", 1, 5, &out), 4, 0);
    do_act(f, SLW_SERVE_ROLLBACK, 0, 0);
    do_act(f, SLW_SERVE_CANARY, wider, 1.0);
    assert_near(answer(f, "k", 1, 5, &out), -1, 0);
    assert_string_equal(out.reason, "missing_features");
}

/* ---- a hold ---- */

static void
a_request_in_flight_finishes_on_what_it_began_with(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_serving, v);
    const double x[] = {1, 2};
    const struct slw_predict_in in = {.x = x, .row_count = 1};
    struct slw_predict_out out = {0};
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    assert_ok(slw_serving_begin(&v, f->serve, SLW_STR("d"), 0, &err), err);
    do_act(f, SLW_SERVE_DEPLOY, 2, 0);
    do_act(f, SLW_SERVE_DEPLOY, 3, 0);
    assert_ok(slw_serving_predict(f->serve, &v, &in, &a, &out, &err), err);
    assert_near(out.y[0], 3, 0);
    assert_int_equal(out.version, 1);
    assert_int_equal(v.signature->column_count, 2);
    assert_true(slw_str_eqz(v.entity, "symbol"));
}

/* ---- counts and metrics ---- */

static void
counts_start_anew_with_each_change(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_predict_out out;
    int64_t champion, canary, failed, fallback;
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    for (int i = 0; i < 5; i++)
        answer(f, "k", 1, 2, &out);
    assert_ok(slw_serve_counts(f->serve, SLW_STR("d"), &champion, &canary,
                               &failed, &fallback, &err),
              err);
    assert_int_equal(champion, 5);
    assert_int_equal(fallback, 0);
    do_act(f, SLW_SERVE_CANARY, 3, 1.0);
    answer(f, "k", 6, 3, &out);
    answer(f, "k", 6, 0, &out);
    assert_ok(slw_serve_counts(f->serve, SLW_STR("d"), &champion, &canary,
                               &failed, &fallback, &err),
              err);
    assert_int_equal(champion, 0);
    assert_int_equal(canary, 2);
    assert_int_equal(failed, 1);
    assert_int_equal(fallback, 1);
}

static void
metrics_show_answers_and_fallbacks_by_version(void **state)
{
    struct fixture *f = *state;
    struct slw_predict_out out;
    SLW_AUTO(slw_buf, b);
    do_act(f, SLW_SERVE_DEPLOY, 3, 0);
    for (int i = 0; i < 4; i++)
        answer(f, "k", 6, 3, &out);
    answer(f, "k", 6, 0, &out);
    slw_serve_metrics(f->serve, &b);
    static const char *const parts[] = {
        "slipway_predictions_total{deployment=\"d\",version=\"3\","
        "role=\"champion\"} 4\n",
        "slipway_predictions_total{deployment=\"d\",version=\"3\","
        "role=\"fallback\"} 1\n",
        "slipway_fallbacks_total{deployment=\"d\",reason=\"not_finite\"} 1\n",
        "slipway_fallbacks_total{deployment=\"d\",reason=\"late\"} 0\n",
        "slipway_prediction_duration_seconds_count{deployment=\"d\","
        "version=\"3\",role=\"champion\"} 4\n",
        "slipway_prediction_duration_seconds_bucket{deployment=\"d\","
        "version=\"3\",role=\"champion\",le=\"+Inf\"} 4\n",
        "slipway_prediction_log_dropped_total{deployment=\"d\"} 0\n"};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (!strstr(b.ptr, parts[i])) {
            print_error("not in the metrics: %s\n%s\n", parts[i], b.ptr);
            fail();
        }
}

/* ---- changes while threads predict ---- */

struct load {
    struct fixture *f;
    atomic_bool stop;
    atomic_long answered, wrong;
};

static void *
load_main(void *arg)
{
    struct load *l = arg;
    SLW_AUTO(slw_arena, a);
    while (!atomic_load(&l->stop)) {
        struct slw_err err;
        const double x[] = {1, 2};
        const struct slw_predict_in in = {
            .key = SLW_STR("k"), .x = x, .row_count = 1};
        struct slw_predict_out out = {0};
        slw_arena_reset(&a);
        enum slw_rc rc =
            predict(l->f->serve, SLW_STR("d"), &in, &a, &out, &err);
        /* Whatever is live just then: its own answer under its own number. */
        const bool right = rc == SLW_OK && out.by != SLW_BY_FALLBACK &&
                           ((out.version == 1 && out.y[0] == 3) ||
                            (out.version == 2 && out.y[0] == 103));
        atomic_fetch_add(&l->answered, 1);
        if (!right)
            atomic_fetch_add(&l->wrong, 1);
    }
    return NULL;
}

static void
roll_back_under_load_fails_no_request(void **state)
{
    struct fixture *f = *state;
    struct load l = {.f = f};
    pthread_t threads[4];
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, load_main, &l), 0);
    for (int i = 0; i < 15; i++) {
        do_act(f, SLW_SERVE_CANARY, 2, 0.5);
        do_act(f, SLW_SERVE_PROMOTE, 0, 0);
        do_act(f, SLW_SERVE_ROLLBACK, 0, 0);
        SLW_AUTO(slw_buf, b);
        slw_serve_metrics(f->serve, &b);
    }
    atomic_store(&l.stop, true);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(atomic_load(&l.answered) > 100);
    assert_int_equal(atomic_load(&l.wrong), 0);
}

#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(keys_are_split_by_weight_and_stay_where_they_are),
        T(requests_without_a_key_are_split_too),
        T(a_sticky_key_routes_in_the_place_of_the_key),
        T(a_version_can_be_asked_for),
        T(the_rule_answers_when_the_model_says_nan),
        T(one_bad_row_does_not_fail_its_neighbours),
        T(fire_drills_show_each_fallback),
        T(an_answer_that_comes_too_late_is_the_rules),
        T(no_number_from_the_rule_either_is_an_error),
        T(a_model_that_cannot_be_loaded_leaves_the_rule),
        T(columns_that_do_not_fit_are_refused),
        T(a_canary_of_other_columns_gets_them_by_name),
        T(a_request_in_flight_finishes_on_what_it_began_with),
        T(counts_start_anew_with_each_change),
        T(metrics_show_answers_and_fallbacks_by_version),
        T(roll_back_under_load_fails_no_request),
    };
    return cmocka_run_group_tests_name("serve/predict", tests, NULL, NULL);
}
