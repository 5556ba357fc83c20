/* test_block.c -- the drift test: it alarms on a shift, keeps its false-alarm
 * rate on dependent rows, and refuses to judge what is too small. */
#include "monitor/monitor_internal.h"

#include <math.h>

#include "base/clock.h"
#include "base/rng.h"
#include "tests/slw_test.h"

#define ENTITY_COUNT 7
#define DAY_MAX 600

struct series {
    double x[DAY_MAX * ENTITY_COUNT];
    int64_t t[DAY_MAX * ENTITY_COUNT];
    size_t count;
};

static const struct monitor_drift HOW = {.alpha = 0.05,
                                         .floor = 0.25,
                                         .block_ms = SLW_DAY_MS,
                                         .min_rows = 50,
                                         .min_blocks = 5};

/* Days that resemble their neighbours (AR(1) with `phi`) and entities that
 * share the day's value: what makes naive tests alarm. */
static void
simulate(struct series *s, struct slw_rng *rng, size_t day_count, double phi,
         double *level, size_t first_day, double shift)
{
    s->count = 0;
    for (size_t d = 0; d < day_count; d++) {
        *level = phi * *level + sqrt(1 - phi * phi) * slw_rng_normal(rng);
        for (size_t e = 0; e < ENTITY_COUNT; e++) {
            s->t[s->count] = (int64_t)(first_day + d) * SLW_DAY_MS;
            s->x[s->count++] = shift + *level + 0.5 * slw_rng_normal(rng);
        }
    }
}

static struct monitor_sample
sample(const struct series *s)
{
    return (struct monitor_sample){
        .x = s->x, .event_ms = s->t, .row_count = s->count};
}

static void
judge(const struct series *ref, const struct series *cur,
      struct monitor_column *out)
{
    SLW_AUTO(slw_arena, a);
    struct monitor_sample r = sample(ref), c = sample(cur);
    *out = (struct monitor_column){.name = SLW_STR("x")};
    monitor_block_test(&r, &c, &HOW, &a, out);
}

static void
psi_and_ks_equal_values_worked_by_hand(void **state)
{
    /* Reference: 100 days of one row, the values 1..100: ten deciles of ten
     * rows.  Window: 50 days, all above the ninth edge (90.1): counts 0 … 0,
     * 50.  With half a row in each bin: p = 10.5/105 = 0.1 everywhere, q =
     * 0.5/55 nine times and 50.5/55 once;
     * PSI = 9 (1/110 - 0.1) ln(1/11) + (50.5/55 - 0.1) ln(505/55)
     *     = 3.77567…, and KS at the edge below the last bin is 0.9 or more. */
    struct series ref = {.count = 100}, cur = {.count = 50};
    for (size_t i = 0; i < 100; i++) {
        ref.x[i] = (double)(i + 1);
        ref.t[i] = (int64_t)i * SLW_DAY_MS;
    }
    for (size_t i = 0; i < 50; i++) {
        cur.x[i] = 95;
        cur.t[i] = (int64_t)(100 + i) * SLW_DAY_MS;
    }
    struct monitor_column c;
    judge(&ref, &cur, &c);
    double expected = 9 * (1 / 110.0 - 0.1) * log(1 / 11.0) +
                      (50.5 / 55 - 0.1) * log(505 / 55.0);
    assert_near(c.psi, expected, 1e-12);
    assert_near(c.ks, 0.94, 0.011);
    assert_int_equal(c.ref_blocks, 100);
    assert_int_equal(c.cur_blocks, 50);
    assert_true(isnan(c.p)); /* 100 days are fewer than 3 x 50 */
}

static void
a_shift_of_two_deviations_is_found(void **state)
{
    static struct series ref, cur;
    struct slw_rng rng;
    int found = 0;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        double level = 0;
        struct monitor_column c;
        slw_rng_init(&rng, seed);
        simulate(&ref, &rng, 250, 0.5, &level, 0, 0);
        simulate(&cur, &rng, 20, 0.5, &level, 250, 2);
        judge(&ref, &cur, &c);
        size_t judged = 0;
        monitor_decide(&c, 1, &HOW, &judged);
        found += c.drifted ? 1 : 0;
    }
    assert_true(found >= 45);
}

/* The stated rate is 5 %; 400 series without drift may exceed it by what
 * strong dependence costs (measured 0.094 at most), never by much more. */
static void
false_alarms_stay_near_the_stated_rate_on_dependent_rows(void **state)
{
    static struct series ref, cur;
    static const double phis[] = {0, 0.5, 0.9};
    for (size_t k = 0; k < SLW_ARRAY_LEN(phis); k++) {
        int alarms = 0;
        for (uint64_t seed = 1; seed <= 400; seed++) {
            struct slw_rng rng;
            double level = 0;
            struct monitor_column c;
            slw_rng_init(&rng, seed * 1000 + (uint64_t)k);
            simulate(&ref, &rng, 250, phis[k], &level, 0, 0);
            simulate(&cur, &rng, 21, phis[k], &level, 250, 0);
            judge(&ref, &cur, &c);
            assert_true(!isnan(c.p));
            alarms += c.p <= 0.05;
        }
        printf("# day correlation %.1f: %d of 400 alarms at 5 %%\n", phis[k],
               alarms);
        assert_true(alarms <= 44); /* 11 % */
    }
}

static void
too_few_days_or_a_constant_are_not_judged(void **state)
{
    static struct series ref, cur;
    struct slw_rng rng;
    double level = 0;
    struct monitor_column c;
    slw_rng_init(&rng, 7);
    simulate(&ref, &rng, 250, 0, &level, 0, 0);
    simulate(&cur, &rng, 4, 0, &level, 250, 3);
    judge(&ref, &cur, &c);
    assert_true(isnan(c.p));
    for (size_t i = 0; i < ref.count; i++)
        ref.x[i] = 1;
    simulate(&cur, &rng, 20, 0, &level, 250, 3);
    judge(&ref, &cur, &c);
    assert_true(isnan(c.p));
    size_t judged = 1;
    assert_int_equal(monitor_decide(&c, 1, &HOW, &judged), 0);
    assert_int_equal(judged, 0);
}

static void
a_small_effect_is_no_drift_however_sure_it_is(void **state)
{
    struct monitor_column c[2] = {{.psi = 0.2, .p = 1e-9},
                                  {.psi = 0.3, .p = 1e-9}};
    size_t judged = 0;
    assert_int_equal(monitor_decide(c, 2, &HOW, &judged), 1);
    assert_false(c[0].drifted);
    assert_true(c[1].drifted);
    assert_int_equal(judged, 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(psi_and_ks_equal_values_worked_by_hand),
        cmocka_unit_test(a_shift_of_two_deviations_is_found),
        cmocka_unit_test(
            false_alarms_stay_near_the_stated_rate_on_dependent_rows),
        cmocka_unit_test(too_few_days_or_a_constant_are_not_judged),
        cmocka_unit_test(a_small_effect_is_no_drift_however_sure_it_is),
    };
    return cmocka_run_group_tests_name("monitor/block", tests, NULL, NULL);
}
