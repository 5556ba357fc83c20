/* test_metric.c -- errors of a forecast and the paired test, against an
 * independent NumPy computation.
 *
 * Values marked [S] were printed by NumPy 2.4.6 / SciPy 1.17.1 with the code
 * quoted beside them. */
#include "num/metric.h"

#include "base/rng.h"
#include "tests/slw_test.h"

static const double Y[] = {10.0, 3.5,  -2.25, 0.0,  7.125,
                           8.0,  12.5, 1.0,   -4.0, 6.75};
static const double H[] = {9.5,  4.0,  -2.0, 0.5,  7.0,
                           8.25, 11.0, 1.5,  -4.5, 7.0};

static void
metrics_equal_numpys(void **state)
{
    /* [S] e = h - y; nz = y != 0; np.abs(e).mean(), np.sqrt((e**2).mean()),
     * np.abs(e[nz]/y[nz]).mean(), 1 - (e**2).sum()/((y-y.mean())**2).sum(),
     * e.mean() */
    struct slw_metrics m;
    slw_metrics_of(Y, H, 10, &m);
    assert_near(m.mae, 0.4875, 1e-15);
    assert_near(m.rmse, 0.6085330722319042, 1e-15);
    assert_near(m.mape, 0.12608879451715707, 1e-15);
    assert_near(m.r2, 0.9862440434386409, 1e-15);
    assert_near(m.bias, -0.0375, 1e-15);
    assert_int_equal(m.row_count, 10);
    assert_int_equal(m.bad_count, 0);
}

static void
rows_that_are_not_finite_are_left_out_and_counted(void **state)
{
    double y[13], h[13];
    memcpy(y, Y, sizeof Y);
    memcpy(h, H, sizeof H);
    y[10] = 1;
    h[10] = NAN;
    y[11] = NAN;
    h[11] = 1;
    y[12] = 1;
    h[12] = INFINITY;
    struct slw_metrics m;
    slw_metrics_of(y, h, 13, &m);
    assert_int_equal(m.row_count, 10);
    assert_int_equal(m.bad_count, 2);
    assert_near(m.mae, 0.4875, 1e-15);
    assert_near(m.r2, 0.9862440434386409, 1e-15);
}

static void
what_is_not_known_is_nan(void **state)
{
    struct slw_metrics m;
    slw_metrics_of(Y, H, 0, &m);
    assert_near(m.mae, NAN, 0);
    assert_near(m.rmse, NAN, 0);
    assert_near(m.r2, NAN, 0);
    assert_int_equal(m.row_count, 0);
    static const double flat[] = {0.1, 0.1, 0.1}, h[] = {0.1, 0.2, 0.3};
    slw_metrics_of(flat, h, 3, &m);
    assert_near(m.r2, NAN, 0);
    assert_near(m.mae, 0.1, 1e-15);
    static const double zero[] = {0, 0};
    slw_metrics_of(zero, h, 2, &m);
    assert_near(m.mape, NAN, 0);
    assert_near(m.mae, 0.15, 1e-15);
}

static void
paired_test_equals_an_independent_computation(void **state)
{
    /* [S] i = np.arange(n); d = .3 + np.sin(i*.9) + .5*np.cos(i*.31)
     *   L = int(np.floor(n**(1/3) + 1e-9)); c = d - d.mean()
     *   g = [(c[k:]*c[:n-k]).sum()/n for k in range(L+1)]
     *   v = g[0] + 2*sum((1-k/(L+1))*g[k] for k in range(1, L+1))
     *   t = d.mean()/np.sqrt(v/n)*np.sqrt((n-1)/n)
     *   d.mean(), stats.t.sf(t, n-1)
     * The lag is 2, 3 (27 is a cube), 3, 5. */
    static const struct {
        int n;
        double mean, p;
    } cases[] = {{8, 0.4798480968549267, 0.16935140774566346},
                 {27, 0.39161131394949616, 0.037826497259379775},
                 {60, 0.32975781944017085, 0.011350483844912133},
                 {200, 0.30477033807306636, 1.8701881874177859e-07}};
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        double d[200], mean = NAN, p = NAN;
        for (int i = 0; i < cases[k].n; i++)
            d[i] = .3 + sin(i * .9) + .5 * cos(i * .31);
        struct slw_err err;
        assert_ok(slw_paired_test(d, (size_t)cases[k].n, &mean, &p, &err), err);
        assert_near_rel(mean, cases[k].mean, 1e-13);
        assert_near_rel(p, cases[k].p, 1e-10);
    }
    double d[60], mean = NAN, p = NAN; /* [S] d = -.4 + np.sin(i*.9) */
    for (int i = 0; i < 60; i++)
        d[i] = -.4 + sin(i * .9);
    struct slw_err err;
    assert_ok(slw_paired_test(d, 60, &mean, &p, &err), err);
    assert_near_rel(mean, -0.36378543112121714, 1e-13);
    assert_near_rel(p, 0.9995282844573615, 1e-12);
}

static void
equal_differences_are_certain_one_way_or_the_other(void **state)
{
    double d[20], mean = NAN, p = NAN;
    static const double levels[][2] = {{.1, 0}, {0, 1}, {-.1, 1}};
    for (size_t k = 0; k < ARRAY_LEN(levels); k++) {
        for (int i = 0; i < 20; i++)
            d[i] = levels[k][0];
        struct slw_err err;
        assert_ok(slw_paired_test(d, 20, &mean, &p, &err), err);
        assert_near(mean, levels[k][0], 0);
        assert_near(p, levels[k][1], 0);
    }
}

static void
too_few_or_infinite_differences_are_refused(void **state)
{
    double d[8] = {1, 2, 3, 4, 5, 6, 7, 8}, mean = 7, p = 7;
    struct slw_err err;
    assert_fails(slw_paired_test(d, 7, &mean, &p, &err), SLW_INVALID, err,
                 "at least 8 periods, not 7");
    d[5] = INFINITY;
    assert_fails(slw_paired_test(d, 8, &mean, &p, &err), SLW_INVALID, err,
                 "period 5");
    d[5] = NAN;
    assert_fails(slw_paired_test(d, 8, &mean, &p, &err), SLW_INVALID, err,
                 "period 5");
    assert_near(mean + p, 14, 0);
}

static void
dependent_periods_alarm_far_less_than_a_naive_t_test(void **state)
{
    /* 2000 series of 100 periods without any difference, autoregressive with
     * coefficient .4.  Treated as independent, about 14 % would be called
     * better at 5 %; the test halves the excess (7.7 %). */
    enum { ROUNDS = 2000, N = 100 };
    struct slw_rng rng;
    slw_rng_init(&rng, 8128);
    int alarms = 0, naive = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double d[N], last = 0, sum = 0, square = 0, mean = NAN, p = NAN;
        for (int i = -50; i < N; i++) {
            last = .4 * last + slw_rng_normal(&rng);
            if (i >= 0) {
                d[i] = last;
                sum += last;
                square += last * last;
            }
        }
        struct slw_err err;
        assert_ok(slw_paired_test(d, N, &mean, &p, &err), err);
        alarms += p < .05;
        double sd = sqrt((square - sum * sum / N) / (N - 1));
        naive += sum / N / (sd / sqrt(N)) > 1.66;
    }
    print_message("alarms of %d: %d, naive %d (seed 8128)\n", ROUNDS, alarms,
                  naive);
    assert_true((double)alarms / ROUNDS < .09);
    assert_true((double)alarms / ROUNDS > .03);
    assert_true(naive > alarms * 3 / 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_equal_numpys),
        cmocka_unit_test(rows_that_are_not_finite_are_left_out_and_counted),
        cmocka_unit_test(what_is_not_known_is_nan),
        cmocka_unit_test(paired_test_equals_an_independent_computation),
        cmocka_unit_test(equal_differences_are_certain_one_way_or_the_other),
        cmocka_unit_test(too_few_or_infinite_differences_are_refused),
        cmocka_unit_test(dependent_periods_alarm_far_less_than_a_naive_t_test),
    };
    return cmocka_run_group_tests_name("num/metric", tests, NULL, NULL);
}
