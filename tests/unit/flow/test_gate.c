/* Tests of the gate's judgement on made series of errors. */
#include "flow/flow_internal.h"
#include "tests/slw_test.h"

#define DAYS 60
#define A_DAY 3 /* rows */
#define ROWS (DAYS * A_DAY)

struct rows {
    int64_t event_ms[ROWS];
    double y[ROWS], candidate[ROWS], other[ROWS];
};

/* Errors of the candidate and the other around these means, with a wave that
 * both share and one of the difference's own. */
static void
rows_make(struct rows *r, double candidate, double other)
{
    for (size_t i = 0; i < ROWS; i++) {
        const double day = (double)(i / A_DAY);
        const double wave = 1 + 0.5 * sin(day);
        r->event_ms[i] = (int64_t)(i / A_DAY) * SLW_DAY_MS + 3600000;
        r->y[i] = 10;
        r->candidate[i] = 10 + candidate * wave;
        r->other[i] = 10 - other * wave * (1 + 0.1 * sin(3 * day));
    }
}

static struct flow_check
judge(const struct rows *r, size_t count, enum flow_loss loss, double by,
      struct slw_arena *a)
{
    struct flow_days days;
    struct flow_check c;
    flow_days_of(r->event_ms, r->y, r->candidate, r->other, count, loss, a,
                 &days);
    flow_gate_beats(&days, loss, by, 0.95, "fallback", a, &c);
    return c;
}

static void
days_are_means_over_pairs_only(void **state)
{
    struct flow_days days;
    SLW_AUTO(slw_arena, a);
    const int64_t at[] = {0, 1000, SLW_DAY_MS, SLW_DAY_MS + 5};
    const double y[] = {1, 1, 1, NAN};
    const double candidate[] = {2, 5, 4, 1}, other[] = {3, NAN, 0, 1};
    flow_days_of(at, y, candidate, other, 4, FLOW_ABSOLUTE, &a, &days);
    assert_int_equal(days.count, 2);
    assert_int_equal(days.row_count, 2);
    assert_near(days.candidate[0], 1, 0);
    assert_near(days.other[0], 2, 0);
    assert_near(days.candidate[1], 3, 0);
    assert_near(days.candidate_mean, 2, 0);
    assert_near(days.other_mean, 1.5, 0);
}

static void
a_clearly_better_candidate_passes_and_says_so(void **state)
{
    static struct rows r;
    SLW_AUTO(slw_arena, a);
    rows_make(&r, 0.7, 1.0);
    const struct flow_check c = judge(&r, ROWS, FLOW_ABSOLUTE, 0, &a);
    assert_true(c.passed);
    assert_true(c.p < 0.001);
    assert_true(c.value < c.limit);
    assert_non_null(strstr(c.why.ptr, "beats the rule: 0.7"));
    assert_non_null(strstr(c.why.ptr, "over 60 days"));
}

static void
a_worse_or_equal_candidate_is_refused(void **state)
{
    static struct rows r;
    SLW_AUTO(slw_arena, a);
    rows_make(&r, 1.1, 1.0);
    const struct flow_check worse = judge(&r, ROWS, FLOW_ABSOLUTE, 0, &a);
    assert_false(worse.passed);
    assert_non_null(strstr(worse.why.ptr, "does not beat the rule"));
    rows_make(&r, 1.0, 1.0);
    assert_false(judge(&r, ROWS, FLOW_ABSOLUTE, 0, &a).passed);
}

static void
by_asks_for_more_and_a_margin_for_less(void **state)
{
    static struct rows r;
    SLW_AUTO(slw_arena, a);
    rows_make(&r, 0.97, 1.0); /* three percent better */
    assert_true(judge(&r, ROWS, FLOW_ABSOLUTE, 0, &a).passed);
    assert_false(judge(&r, ROWS, FLOW_ABSOLUTE, 0.05, &a).passed);
    rows_make(&r, 1.02, 1.0); /* two percent worse */
    assert_false(judge(&r, ROWS, FLOW_ABSOLUTE, 0, &a).passed);
    const struct flow_check margin = judge(&r, ROWS, FLOW_ABSOLUTE, -0.05, &a);
    assert_true(margin.passed);
    assert_non_null(strstr(margin.why.ptr, "at most 5 % worse"));
    rows_make(&r, 1.07, 1.0);
    assert_false(judge(&r, ROWS, FLOW_ABSOLUTE, -0.05, &a).passed);
}

static void
by_speaks_of_the_error_whatever_the_loss(void **state)
{
    static struct rows r;
    SLW_AUTO(slw_arena, a);
    rows_make(&r, 0.90, 1.0); /* ten percent less, squares 19 */
    assert_true(judge(&r, ROWS, FLOW_SQUARED, 0.05, &a).passed);
    assert_false(judge(&r, ROWS, FLOW_SQUARED, 0.15, &a).passed);
}

static void
too_few_days_are_a_refusal_not_a_pass(void **state)
{
    static struct rows r;
    SLW_AUTO(slw_arena, a);
    rows_make(&r, 0.1, 1.0);
    const struct flow_check c = judge(&r, 5 * A_DAY, FLOW_ABSOLUTE, 0, &a);
    assert_false(c.passed);
    assert_non_null(strstr(c.why.ptr, "cannot be compared"));
    assert_non_null(strstr(c.why.ptr, "5 days"));
}

static void
one_failed_check_refuses_and_comes_first_in_the_sentence(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct flow_check checks[] = {
        {.name = "beats fallback", .passed = true, .why = SLW_STR("good")},
        {.name = "latency", .why = SLW_STR("too slow")},
        {.name = "beats champion", .skipped = true, .why = SLW_STR("none")}};
    assert_false(flow_gate_verdict(checks, 3));
    assert_string_equal(flow_gate_sentence(checks, 3, &a).ptr,
                        "too slow; good; none");
    checks[1].passed = true;
    assert_true(flow_gate_verdict(checks, 3));
}

static void
a_gate_in_which_everything_is_skipped_passes_nothing(void **state)
{
    const struct flow_check checks[] = {{.name = "x", .skipped = true}};
    assert_false(flow_gate_verdict(checks, 1));
    assert_false(flow_gate_verdict(checks, 0));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days_are_means_over_pairs_only),
        cmocka_unit_test(a_clearly_better_candidate_passes_and_says_so),
        cmocka_unit_test(a_worse_or_equal_candidate_is_refused),
        cmocka_unit_test(by_asks_for_more_and_a_margin_for_less),
        cmocka_unit_test(by_speaks_of_the_error_whatever_the_loss),
        cmocka_unit_test(too_few_days_are_a_refusal_not_a_pass),
        cmocka_unit_test(
            one_failed_check_refuses_and_comes_first_in_the_sentence),
        cmocka_unit_test(a_gate_in_which_everything_is_skipped_passes_nothing),
    };
    return cmocka_run_group_tests_name("flow/gate", tests, NULL, NULL);
}
