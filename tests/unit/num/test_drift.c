/* test_drift.c -- bins, PSI, KS and BH against hand-worked values, SciPy and
 * brute force; and that a test at 5 % alarms in 5 % of quiet samples.
 *
 * Values marked [S] were printed by SciPy 1.17.1 / NumPy 2.4.6. */
#include "num/drift.h"

#include "base/rng.h"
#include "num/stats.h"
#include "tests/slw_test.h"

static const int64_t REF[] = {10, 20, 30, 40};

static void
psi_equals_the_value_worked_by_hand(void **state)
{
    /* Bins 1 and 2 agree; bin 0 gives 0.1 ln 2, bin 3 gives -0.1 ln 0.75. */
    struct slw_err err;
    double psi = NAN;
    const int64_t cur[] = {20, 20, 30, 30};
    assert_ok(slw_psi(REF, cur, 4, &psi, &err), err);
    assert_near(psi, 0.0980829253011726, 1e-15);
    assert_ok(slw_psi(REF, REF, 4, &psi, &err), err);
    assert_near(psi, 0, 0);
}

static void
psi_of_the_shared_oracle_and_with_empty_bins(void **state)
{
    struct slw_err err;
    double psi = NAN;
    /* [S] p = [16,18,16,14,12,12]/88, q = [16,16,16,16,16,8]/88:
     * ((q - p) * np.log(q / p)).sum() */
    const int64_t p[] = {16, 18, 16, 14, 12, 12}, q[] = {16, 16, 16, 16, 16, 8};
    assert_ok(slw_psi(p, q, 6, &psi, &err), err);
    assert_near(psi, 0.037218381577290835, 1e-15);
    /* [S] the same with shares of 0 replaced by 1e-4 */
    const int64_t a[] = {10, 0, 90}, b[] = {0, 10, 90};
    assert_ok(slw_psi(a, b, 3, &psi, &err), err);
    assert_near(psi, 1.380169504740631, 1e-14);
}

static void
psi_refuses_bad_counts_and_leaves_the_output_alone(void **state)
{
    static const int64_t bad[][4] = {{20, -1, 30, 30}, {0, 0, 0, 0}};
    struct slw_err err;
    double psi = 7.0;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(slw_psi(REF, bad[i], 4, &psi, &err), SLW_INVALID);
        assert_non_null(strstr(err.msg, "current"));
        assert_int_equal(slw_psi(bad[i], REF, 4, &psi, &err), SLW_INVALID);
        assert_non_null(strstr(err.msg, "reference"));
    }
    assert_fails(slw_psi(REF, REF, 1, &psi, &err), SLW_INVALID, err, "not 1");
    assert_fails(slw_psi(REF, REF, SLW_BINS_MAX + 1, &psi, &err), SLW_INVALID,
                 err, "not 1025");
    assert_near(psi, 7.0, 0.0);
}

static void
psi_p_is_the_scaled_chi_squared_tail(void **state)
{
    /* [S] stats.chi2.sf(psi / (1/n + 1/m), bins - 1) */
    assert_near_rel(slw_psi_p(.1, 10000, 100, 10), 0.3585599957539034, 1e-12);
    assert_near_rel(slw_psi_p(.2, 10000, 100, 10), 0.019174563218166737, 1e-12);
    assert_near_rel(slw_psi_p(.1, 10000, 50, 10), 0.8364713141807527, 1e-12);
    /* 95 % critical values of the literature: n = m, ten bins and others */
    static const struct {
        int64_t n, m;
        size_t bins;
        double critical;
    } table[] = {
        {100, 100, 10, .3384},    {1000, 1000, 10, .0338},
        {10000, 1000, 10, .0186}, {100, 100, 20, .6029},
        {1000, 1000, 5, .0190},   {1000, 1000, 30, .0851},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_near(
            slw_psi_p(table[i].critical, table[i].n, table[i].m, table[i].bins),
            .05, 5e-4);
}

static int
f64_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void
bins_are_those_of_numpys_quantiles_and_searchsorted(void **state)
{
    /* [S] x = np.sort((np.arange(1000)*7919%1009)/100.0)
     *     ed = np.unique(np.quantile(x, [i/10 for i in range(1,10)]))
     *     c = (np.arange(500)*4241%1201)/100.0
     *     np.bincount(np.searchsorted(ed, c, side='left')) */
    static const double expected[] = {1.0090000000000001,
                                      2.0180000000000002,
                                      3.0269999999999997,
                                      4.046,
                                      5.055,
                                      6.053999999999999,
                                      7.063,
                                      8.072000000000001,
                                      9.071};
    static const int64_t expected_counts[] = {37, 43, 47, 38, 39,
                                              47, 41, 38, 46, 124};
    static double x[1000], c[501];
    for (int i = 0; i < 1000; i++)
        x[i] = i * 7919 % 1009 / 100.0;
    for (int i = 0; i < 500; i++)
        c[i] = i * 4241 % 1201 / 100.0;
    c[500] = NAN;
    qsort(x, 1000, sizeof *x, f64_compare);
    struct slw_err err;
    double edges[9];
    size_t edge_count = 0;
    int64_t counts[10], null_count = -1;
    assert_ok(slw_bins_fit(x, 1000, 10, edges, &edge_count, &err), err);
    assert_int_equal(edge_count, 9);
    for (size_t i = 0; i < 9; i++)
        assert_near(edges[i], expected[i], 1e-14);
    slw_bins_count(edges, edge_count, c, 501, counts, &null_count);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(counts[i], expected_counts[i]);
    assert_int_equal(null_count, 1);
}

static void
tied_values_share_an_edge_and_belong_to_the_bin_below(void **state)
{
    /* 50 zeros, 30 ones, 15 twos, 5 nines.  [S] np.unique of the deciles:
     * 0, 0.5, 1, 1.2, 2; the two in the middle are interpolated. */
    double x[100];
    for (int i = 0; i < 100; i++)
        x[i] = i < 50 ? 0 : i < 80 ? 1 : i < 95 ? 2 : 9;
    struct slw_err err;
    double edges[9];
    size_t edge_count = 0;
    int64_t counts[10], null_count;
    assert_ok(slw_bins_fit(x, 100, 10, edges, &edge_count, &err), err);
    static const double expected[] = {0, .5, 1, 1.2, 2};
    assert_int_equal(edge_count, ARRAY_LEN(expected));
    for (size_t i = 0; i < edge_count; i++)
        assert_near(edges[i], expected[i], 1e-12);
    slw_bins_count(edges, edge_count, x, 100, counts, &null_count);
    static const int64_t expected_counts[] = {50, 0, 30, 0, 15, 5};
    for (size_t i = 0; i <= edge_count; i++)
        assert_int_equal(counts[i], expected_counts[i]);
}

static void
a_constant_reference_still_gives_two_bins(void **state)
{
    static const double x[] = {5, 5, 5, 5};
    struct slw_err err;
    double edges[9];
    size_t edge_count = 0;
    int64_t counts[2], null_count;
    assert_ok(slw_bins_fit(x, 4, 10, edges, &edge_count, &err), err);
    assert_int_equal(edge_count, 1);
    static const double later[] = {5, 6, 4, -INFINITY, INFINITY};
    slw_bins_count(edges, edge_count, later, 5, counts, &null_count);
    assert_int_equal(counts[0], 3);
    assert_int_equal(counts[1], 2);
    assert_int_equal(null_count, 0);
}

static void
bins_refuse_no_rows_and_bad_numbers_of_bins(void **state)
{
    static const double x[] = {1, 2};
    struct slw_err err;
    double edges[9] = {7};
    size_t edge_count = 42;
    assert_fails(slw_bins_fit(x, 0, 10, edges, &edge_count, &err), SLW_INVALID,
                 err, "at least one row");
    assert_fails(slw_bins_fit(x, 2, 1, edges, &edge_count, &err), SLW_INVALID,
                 err, "not 1");
    assert_fails(slw_bins_fit(x, 2, 5000, edges, &edge_count, &err),
                 SLW_INVALID, err, "not 5000");
    assert_int_equal(edge_count, 42);
    assert_near(edges[0], 7, 0);
}

/* ---- Kolmogorov-Smirnov ---- */

static void
ks_of_the_shared_oracles(void **state)
{
    /* [S] stats.ks_2samp(a, b, method='exact'); the asymptotic p, .049, would
     * turn the verdict at 5 % around. */
    static const double a[] = {38.7, 41.5, 43.8, 44.5, 45.5, 46.0, 47.7, 58.0};
    static const double b[] = {39.2, 39.3, 39.7, 41.4, 41.8, 42.9, 43.3, 45.8};
    struct slw_err err;
    double d = NAN, p = NAN;
    assert_ok(slw_ks_two_sample(a, 8, b, 8, &d, &p, &err), err);
    assert_near(d, 0.625, 0);
    assert_near_rel(p, 0.08702408702408701, 1e-14);
    /* Ties: values 1..6 with these counts. */
    static const int ref[] = {16, 18, 16, 14, 12, 12},
                     cur[] = {16, 16, 16, 16, 16, 8};
    double x[88], y[88];
    size_t n = 0, m = 0;
    for (int v = 0; v < 6; v++) {
        for (int i = 0; i < ref[v]; i++)
            x[n++] = v + 1;
        for (int i = 0; i < cur[v]; i++)
            y[m++] = v + 1;
    }
    assert_ok(slw_ks_two_sample(x, n, y, m, &d, &p, &err), err);
    assert_near(d, 0.045454545454545456, 1e-16);
    assert_near_rel(p, 0.9999926089855543, 1e-14);
}

static void
ks_exact_equals_scipys_down_to_the_smallest_p(void **state)
{
    /* [S] x = np.arange(n)/n, y = sh + np.arange(m)/m;
     * stats.ks_2samp(x, y, method='exact') */
    static const struct {
        size_t n, m;
        double sh, d, p;
    } cases[] = {
        {5, 7, .4, 0.5714285714285714, 0.23737373737373738},
        {10, 12, .31, 0.4, 0.2829492488935213},
        {30, 50, .35, 0.38, 0.006573285090836188},
        {100, 100, .2, 0.21, 0.024055802841094577},
        {100, 100, .55, 0.56, 8.771130313572204e-15},
        {1, 1, .5, 1, 1},
        {3, 100, .75, 1, 1.1308954996013593e-05},
        {97, 103, .5, 0.50995896306676, 2.0428538670819018e-12},
        {90, 110, .15, 0.1606060606060606, 0.13737342468956995},
        {40, 60, 2, 1, 1.4549439350345037e-28},
    };
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        double x[200], y[200], d = NAN, p = NAN;
        for (size_t i = 0; i < cases[k].n; i++)
            x[i] = (double)i / (double)cases[k].n;
        for (size_t j = 0; j < cases[k].m; j++)
            y[j] = cases[k].sh + (double)j / (double)cases[k].m;
        struct slw_err err;
        assert_ok(slw_ks_two_sample(x, cases[k].n, y, cases[k].m, &d, &p, &err),
                  err);
        assert_near_rel(d, cases[k].d, 1e-15);
        assert_near_rel(p, cases[k].p, 1e-12);
        assert_ok(slw_ks_two_sample(y, cases[k].m, x, cases[k].n, &d, &p, &err),
                  err);
        assert_near_rel(p, cases[k].p, 1e-12); /* either way round */
    }
}

/* Share of all orders of n a's and m b's with a D of at least `d`: what the
 * exact p is by definition, by trying every one. */
static double
brute_force_p(int n, int m, double d)
{
    long all = 0, as_far = 0;
    for (unsigned mask = 0; mask < 1u << (n + m); mask++) {
        if (__builtin_popcount(mask) != n)
            continue;
        int i = 0, j = 0;
        double greatest = 0;
        for (int k = 0; k < n + m; k++) {
            if (mask >> k & 1)
                i++;
            else
                j++;
            double gap = fabs((double)i / n - (double)j / m);
            if (gap > greatest)
                greatest = gap;
        }
        all++;
        as_far += greatest >= d - 1e-9;
    }
    return (double)as_far / (double)all;
}

static void
ks_exact_equals_counting_every_order(void **state)
{
    struct slw_rng rng;
    slw_rng_init(&rng, 3);
    for (int round = 0; round < 60; round++) {
        double x[7], y[7], d = NAN, p = NAN;
        int n = 1 + (int)slw_rng_below(&rng, 7);
        int m = 1 + (int)slw_rng_below(&rng, 7);
        for (int i = 0; i < n; i++)
            x[i] = slw_rng_normal(&rng);
        for (int j = 0; j < m; j++)
            y[j] = slw_rng_normal(&rng) + 1;
        slw_sort_f64(x, (size_t)n);
        slw_sort_f64(y, (size_t)m);
        struct slw_err err;
        assert_ok(slw_ks_two_sample(x, (size_t)n, y, (size_t)m, &d, &p, &err),
                  err);
        assert_near_rel(p, brute_force_p(n, m, d), 1e-12);
    }
}

static void
ks_of_large_samples_uses_kolmogorovs_law(void **state)
{
    /* [S] special.kolmogorov(d * np.sqrt(n*m/(n+m))); the exact values are
     * .1915 and .0792 */
    static const struct {
        size_t n, m;
        double sh, d, p;
    } cases[] = {{1000, 800, .05, 0.051, 0.19793324859557346},
                 {200, 300, .11, 0.115, 0.08366571147783006}};
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        static double x[1000], y[1000];
        double d = NAN, p = NAN;
        for (size_t i = 0; i < cases[k].n; i++)
            x[i] = (double)i / (double)cases[k].n;
        for (size_t j = 0; j < cases[k].m; j++)
            y[j] = cases[k].sh + (double)j / (double)cases[k].m;
        struct slw_err err;
        assert_ok(slw_ks_two_sample(x, cases[k].n, y, cases[k].m, &d, &p, &err),
                  err);
        assert_near_rel(d, cases[k].d, 1e-14);
        assert_near_rel(p, cases[k].p, 1e-12);
    }
}

static void
ks_refuses_an_empty_sample(void **state)
{
    static const double x[] = {1, 2};
    struct slw_err err;
    double d = 7, p = 7;
    assert_fails(slw_ks_two_sample(x, 0, x, 2, &d, &p, &err), SLW_INVALID, err,
                 "first sample");
    assert_fails(slw_ks_two_sample(x, 2, x, 0, &d, &p, &err), SLW_INVALID, err,
                 "second sample");
    assert_near(d + p, 14, 0);
    assert_ok(slw_ks_two_sample(x, 2, x, 2, &d, &p, &err), err);
    assert_near(d, 0, 0);
    assert_near(p, 1, 0);
}

/* ---- multiplicity ---- */

static void
bh_equals_the_example_of_1995(void **state)
{
    /* Benjamini & Hochberg 1995, section 4; adjusted values by
     * [S] stats.false_discovery_control(p).  Four are rejected at 5 %. */
    static const double p[] = {.0001, .0004, .0019, .0095, .0201,
                               .0278, .0298, .0344, .0459, .3240,
                               .4262, .5719, .6528, .7590, 1};
    static const double expected[] = {0.0015,
                                      0.003,
                                      0.0095,
                                      0.035625,
                                      0.0603,
                                      0.06385714285714286,
                                      0.06385714285714286,
                                      0.0645,
                                      0.0765,
                                      0.486,
                                      0.5811818181818181,
                                      0.7148749999999999,
                                      0.7532307692307693,
                                      0.8132142857142857,
                                      1.0};
    double q[15];
    slw_bh_adjust(p, 15, q);
    int rejected = 0;
    for (size_t i = 0; i < 15; i++) {
        assert_near(q[i], expected[i], 1e-15);
        rejected += q[i] <= .05;
    }
    assert_int_equal(rejected, 4);
}

static void
bh_keeps_the_order_of_its_input(void **state)
{
    /* [S] stats.false_discovery_control(p) */
    static const double p[] = {.04, .001, .04, .9, .02, .001};
    static const double expected[] = {.048, .003, .048, .9, .04, .003};
    double q[6], one[1];
    slw_bh_adjust(p, 6, q);
    for (size_t i = 0; i < 6; i++)
        assert_near(q[i], expected[i], 1e-15);
    slw_bh_adjust(p, 1, one);
    assert_near(one[0], .04, 0);
    slw_bh_adjust(p, 0, one);
    slw_bh_adjust(p, 6, q);
    static double many[4096], adjusted[4096];
    for (size_t i = 0; i < 4096; i++)
        many[i] = (double)(i * 1103 % 4096) / 4096;
    slw_bh_adjust(many, 4096, adjusted);
    for (size_t i = 0; i < 4096; i++) /* p_(i) n/i = (i-1)/i, rising */
        assert_near(adjusted[i], many[i] * 4096 / (many[i] * 4096 + 1), 1e-12);
}

/* ---- calibration ---- */

static void
quiet_samples_alarm_as_often_as_the_level_says(void **state)
{
    /* Two samples of one law, 2000 times.  A fixed threshold of PSI 0.1 would
     * alarm in about 70 % of these; the p-values alarm in 5 %, within five
     * standard errors (5 sqrt(.05 .95 / 2000) = .0244).  KS with an exact p
     * is discrete and stays below its level. */
    enum { ROUNDS = 2000, N = 200, M = 100, BINS = 10 };
    struct slw_rng rng;
    slw_rng_init(&rng, 20261);
    int psi_alarms = 0, fixed_alarms = 0, ks_alarms = 0;
    double edges[BINS - 1];
    for (size_t i = 1; i < BINS; i++) /* the true deciles */
        edges[i - 1] = slw_normal_quantile((double)i / BINS);
    for (int round = 0; round < ROUNDS; round++) {
        double x[N], y[M], psi = NAN, d, p = NAN;
        int64_t ref[BINS], cur[BINS], null_count;
        struct slw_err err;
        for (int i = 0; i < N; i++)
            x[i] = slw_rng_normal(&rng);
        for (int i = 0; i < M; i++)
            y[i] = slw_rng_normal(&rng);
        slw_bins_count(edges, BINS - 1, x, N, ref, &null_count);
        slw_bins_count(edges, BINS - 1, y, M, cur, &null_count);
        assert_ok(slw_psi(ref, cur, BINS, &psi, &err), err);
        psi_alarms += slw_psi_p(psi, N, M, BINS) < .05;
        fixed_alarms += psi >= .1;
        slw_sort_f64(x, N / 2); /* 100 x 100: exact */
        slw_sort_f64(y, M);
        assert_ok(slw_ks_two_sample(x, N / 2, y, M, &d, &p, &err), err);
        ks_alarms += p < .05;
    }
    print_message("alarms of %d: PSI p %d, PSI >= 0.1 %d, KS %d (seed 20261)\n",
                  ROUNDS, psi_alarms, fixed_alarms, ks_alarms);
    assert_near((double)psi_alarms / ROUNDS, .05, .0244);
    assert_true((double)ks_alarms / ROUNDS <= .05 + .0244);
    assert_true(ks_alarms > ROUNDS / 100);
    assert_true(fixed_alarms > ROUNDS / 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(psi_equals_the_value_worked_by_hand),
        cmocka_unit_test(psi_of_the_shared_oracle_and_with_empty_bins),
        cmocka_unit_test(psi_refuses_bad_counts_and_leaves_the_output_alone),
        cmocka_unit_test(psi_p_is_the_scaled_chi_squared_tail),
        cmocka_unit_test(bins_are_those_of_numpys_quantiles_and_searchsorted),
        cmocka_unit_test(tied_values_share_an_edge_and_belong_to_the_bin_below),
        cmocka_unit_test(a_constant_reference_still_gives_two_bins),
        cmocka_unit_test(bins_refuse_no_rows_and_bad_numbers_of_bins),
        cmocka_unit_test(ks_of_the_shared_oracles),
        cmocka_unit_test(ks_exact_equals_scipys_down_to_the_smallest_p),
        cmocka_unit_test(ks_exact_equals_counting_every_order),
        cmocka_unit_test(ks_of_large_samples_uses_kolmogorovs_law),
        cmocka_unit_test(ks_refuses_an_empty_sample),
        cmocka_unit_test(bh_equals_the_example_of_1995),
        cmocka_unit_test(bh_keeps_the_order_of_its_input),
        cmocka_unit_test(quiet_samples_alarm_as_often_as_the_level_says),
    };
    return cmocka_run_group_tests_name("num/drift", tests, NULL, NULL);
}
