/* test_figures.c -- traffic of the last minutes: rates, quantiles, shares,
 * by release, with a clock of the test's own; and acts that are only tried. */
#include "serve/serve.h"
#include "store/dry.h"
#include "tests/slw_test.h"

#include "tests/unit/serve/fixture.h"

#define TICK_NS ((int64_t)SLW_SERVE_TICK_MS * 1000000)

static struct slw_json
figures(struct fixture *f)
{
    struct slw_err err;
    struct slw_json doc = {0};
    struct slw_jw w;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_buf, b);
    slw_jw_init(&w, &b);
    slw_serve_figures(f->serve, &a, &w);
    assert_ok(slw_json_parse(&doc, slw_buf_view(&b), &err), err);
    return doc;
}

static struct slw_json
figures_of(struct fixture *f, int64_t seconds)
{
    struct slw_err err;
    struct slw_json doc = {0};
    struct slw_jw w;
    SLW_AUTO(slw_buf, b);
    slw_jw_init(&w, &b);
    assert_ok(
        slw_serve_figures_of(f->serve, SLW_STR("d"), seconds, NOW_MS, &w, &err),
        err);
    assert_ok(slw_json_parse(&doc, slw_buf_view(&b), &err), err);
    return doc;
}

static double
f64(const struct json_t *o, const char *key)
{
    return slw_json_f64_or(slw_json_get(o, key), -1);
}

static void
rates_are_of_the_last_interval_only(void **state)
{
    struct fixture *f = *state;
    struct slw_predict_out out;
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    slw_serve_tick(f->serve, TICK_NS);
    for (int i = 0; i < 100; i++)
        answer(f, "k", 1, 2, &out);
    slw_serve_tick(f->serve, 3 * TICK_NS); /* took four seconds */
    {
        SLW_AUTO(slw_json, doc);
        doc = figures(f);
        assert_int_equal(slw_json_len(doc.root), 1);
        const struct json_t *d = slw_json_at(doc.root, 0);
        assert_true(f64(d, "requests_per_s") == 25);
        assert_true(f64(d, "p50_ms") > 0);
        assert_true(f64(d, "p50_ms") <= f64(d, "p99_ms"));
        assert_true(f64(d, "errors_per_s") == 0);
        assert_true(f64(d, "fallback_share") == 0);
    }
    slw_serve_tick(f->serve, 4 * TICK_NS);
    SLW_AUTO(slw_json, doc);
    doc = figures(f);
    const struct json_t *d = slw_json_at(doc.root, 0);
    assert_true(f64(d, "requests_per_s") == 0);
    assert_int_equal(slw_json_type(slw_json_get(d, "p99_ms")), SLW_JSON_NULL);
}

static void
failures_of_the_model_are_errors_and_withdrawal_is_none(void **state)
{
    struct fixture *f = *state;
    struct slw_predict_out out;
    do_act(f, SLW_SERVE_DEPLOY, 3, 0); /* a / b */
    slw_serve_tick(f->serve, TICK_NS);
    for (int i = 0; i < 8; i++)
        answer(f, "k", 1, i < 2 ? 0 : 1, &out); /* two are not finite */
    slw_serve_tick(f->serve, 2 * TICK_NS);
    {
        SLW_AUTO(slw_json, doc);
        doc = figures(f);
        const struct json_t *d = slw_json_at(doc.root, 0);
        assert_true(f64(d, "requests_per_s") == 4);
        assert_true(f64(d, "errors_per_s") == 1);
        assert_true(f64(d, "fallback_share") == 0.25);
    }
    do_act(f, SLW_SERVE_WITHDRAW, 0, 0);
    for (int i = 0; i < 4; i++)
        answer(f, "k", 1, 1, &out);
    slw_serve_tick(f->serve, 3 * TICK_NS);
    SLW_AUTO(slw_json, doc);
    doc = figures(f);
    const struct json_t *d = slw_json_at(doc.root, 0);
    assert_true(f64(d, "errors_per_s") == 0);
    assert_true(f64(d, "fallback_share") == 1);
}

static void
the_past_is_kept_by_release_for_fifteen_minutes(void **state)
{
    struct fixture *f = *state;
    struct slw_predict_out out;
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    for (int i = 0; i < 10; i++)
        answer(f, "k", 1, 2, &out);
    slw_serve_tick(f->serve, TICK_NS);
    do_act(f, SLW_SERVE_DEPLOY, 2, 0);
    for (int i = 0; i < 30; i++)
        answer(f, "k", 1, 2, &out);
    slw_serve_tick(f->serve, 2 * TICK_NS);
    {
        SLW_AUTO(slw_json, doc);
        doc = figures_of(f, 60);
        const struct json_t *points = slw_json_get(doc.root, "points");
        const struct json_t *releases = slw_json_get(doc.root, "releases");
        assert_int_equal(slw_json_len(points), 2);
        assert_true(f64(slw_json_at(points, 0), "requests_per_s") == 5);
        assert_true(f64(slw_json_at(points, 1), "requests_per_s") == 15);
        assert_true(f64(slw_json_at(points, 1), "t_ms") == (double)NOW_MS);
        assert_true(f64(slw_json_at(points, 0), "t_ms") ==
                    (double)(NOW_MS - SLW_SERVE_TICK_MS));
        assert_int_equal(slw_json_len(releases), 2);
        double sum = 0;
        for (size_t i = 0; i < 2; i++)
            sum += f64(slw_json_at(releases, i), "requests") *
                   f64(slw_json_at(releases, i), "version");
        assert_true(sum == 10 * 1 + 30 * 2);
        SLW_AUTO(slw_json, last);
        last = figures_of(f, 2); /* only the last reading */
        assert_int_equal(slw_json_len(slw_json_get(last.root, "releases")), 1);
    }
    for (int i = 3; i < 1000; i++)
        slw_serve_tick(f->serve, i * TICK_NS);
    SLW_AUTO(slw_json, doc);
    doc = figures_of(f, 900);
    assert_int_equal(slw_json_len(slw_json_get(doc.root, "releases")), 0);
    assert_in_range(slw_json_len(slw_json_get(doc.root, "points")), 100, 180);
}

static void
an_unknown_deployment_has_no_figures(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_jw w;
    SLW_AUTO(slw_buf, b);
    slw_jw_init(&w, &b);
    assert_int_equal(
        slw_serve_figures_of(f->serve, SLW_STR("none"), 60, NOW_MS, &w, &err),
        SLW_NOT_FOUND);
}

static void
an_act_in_a_dry_run_changes_no_row_and_no_answer(void **state)
{
    struct fixture *f = *state;
    struct slw_predict_out out;
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    SLW_AUTO(slw_buf, before);
    SLW_AUTO(slw_buf, after);
    slw_serve_metrics(f->serve, &before);
    {
        SLW_AUTO(slw_dry, dry);
        slw_dry_begin(&dry, &a);
        do_act(f, SLW_SERVE_DEPLOY, 2, 0);
        assert_int_equal(dry.count, 2); /* alias and deployment */
        do_act(f, SLW_SERVE_CANARY, 2, 0.5);
        do_act(f, SLW_SERVE_WITHDRAW, 0, 0);
        assert_ok(slw_serve_drill(f->serve, NOW_MS, SLW_STR("d"),
                                  SLW_STR("error"), &err),
                  err);
        assert_ok(slw_serve_declare(f->serve, NOW_MS, SLW_STR("new"),
                                    SLW_STR("{\"model\": \"m\"}"), &err),
                  err);
        /* each refusal is that of the act */
        assert_int_equal(act(f, SLW_SERVE_PROMOTE, 0, 0, &err), SLW_CONFLICT);
        assert_int_equal(act(f, SLW_SERVE_DEPLOY, 9, 0, &err), SLW_NOT_FOUND);
    }
    assert_true(answer(f, "k", 1, 2, &out) == 3); /* version 1: a + b */
    assert_int_equal(out.by, SLW_BY_CHAMPION);
    slw_serve_metrics(f->serve, &after);
    assert_int_equal(before.len, after.len); /* no new series */
    struct slw_str *names = NULL;
    size_t count = 0;
    slw_serve_names(f->serve, &a, &names, &count);
    assert_int_equal(count, 1);
    SLW_AUTO(slw_tx, tx);
    struct slw_deployment d;
    assert_ok(slw_tx_read(&tx, f->store, &err), err);
    assert_ok(slw_serve_get(&tx, SLW_STR("d"), &a, &d, &err), err);
    assert_int_equal(d.champion_version, 1);
    assert_int_equal(d.canary_version, 0);
    assert_false(d.withdrawn);
}

#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(rates_are_of_the_last_interval_only),
        T(failures_of_the_model_are_errors_and_withdrawal_is_none),
        T(the_past_is_kept_by_release_for_fifteen_minutes),
        T(an_unknown_deployment_has_no_figures),
        T(an_act_in_a_dry_run_changes_no_row_and_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
