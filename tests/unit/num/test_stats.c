/* test_stats.c -- means, quantiles, sorting and distributions against NumPy
 * and SciPy.
 *
 * All values marked [S] were printed by SciPy 1.17.1 / NumPy 2.4.6 with the
 * call named beside them. */
#include "num/stats.h"

#include "base/rng.h"
#include "tests/slw_test.h"

static void
mean_and_variance_keep_their_digits_far_from_zero(void **state)
{
    /* [S] x = [1e8 + i*.1 for i in range(1000)], in long double: np.mean(x),
     * np.var(x), np.var(x, ddof=1).  A textbook sum of squares has no correct
     * digit left here. */
    static double x[1000];
    for (int i = 0; i < 1000; i++)
        x[i] = 1e8 + i * .1;
    assert_near(slw_mean(x, 1000), 100000049.95, 1e-8);
    assert_near_rel(slw_variance(x, 1000, 0), 833.332500000596, 1e-13);
    assert_near_rel(slw_variance(x, 1000, 1), 834.1666666672633, 1e-13);
}

static void
mean_of_a_million_equal_numbers_is_that_number(void **state)
{
    enum { N = 1000000 };
    double *x = slw_alloc(N * sizeof *x);
    for (int i = 0; i < N; i++)
        x[i] = 0.1;
    assert_near(slw_mean(x, N), 0.1, 0);
    assert_near(slw_variance(x, N, 0), 0, 0);
    slw_free(x);
}

static void
small_samples_and_nan_have_defined_answers(void **state)
{
    const double one[] = {5}, nan[] = {1, NAN, 3}, inf[] = {1, INFINITY};
    assert_near(slw_mean(one, 0), NAN, 0);
    assert_near(slw_mean(one, 1), 5, 0);
    assert_near(slw_variance(one, 1, 0), 0, 0);
    assert_near(slw_variance(one, 1, 1), NAN, 0);
    assert_near(slw_variance(one, 0, 0), NAN, 0);
    assert_near(slw_mean(nan, 3), NAN, 0);
    assert_near(slw_variance(nan, 3, 0), NAN, 0);
    assert_near(slw_mean(inf, 2), INFINITY, 0);
}

static void
quantiles_are_those_of_numpy(void **state)
{
    /* [S] np.quantile(x, q) */
    static const double x[] = {1, 2, 4, 8, 16, 32, 64.5};
    static const double cases[][2] = {{0, 1},       {.1, 1.6},
                                      {.25, 3},     {.5, 8},
                                      {.77, 25.92}, {.9, 45.000000000000014},
                                      {1, 64.5}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_near_rel(slw_quantile_sorted(x, ARRAY_LEN(x), cases[i][0]),
                        cases[i][1], 1e-15);
    assert_near(slw_quantile_sorted(x, 1, .3), 1, 0);
    assert_near(slw_quantile_sorted(x, 0, .3), NAN, 0);
    static const double far[] = {-1e308, 1e308};
    assert_near(slw_quantile_sorted(far, 2, .5), 0, 0);
    static const double inf[] = {1, INFINITY, INFINITY};
    assert_near(slw_quantile_sorted(inf, 3, .75), INFINITY, 0);
}

static int
f64_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One of the shapes that hurt quicksorts. */
static double
shape(int kind, int i, int n, struct slw_rng *rng)
{
    switch (kind) {
    case 0:
        return slw_rng_normal(rng);
    case 1:
        return (double)i;
    case 2:
        return (double)-i;
    case 3:
        return 7;
    case 4:
        return (double)slw_rng_below(rng, 3);
    case 5: /* organ pipe */
        return (double)(i < n / 2 ? i : n - i);
    default: /* median-of-three killer */
        return i % 2 ? (double)i : (double)(n / 2 + i / 2);
    }
}

static void
sorting_agrees_with_the_c_library_on_every_shape(void **state)
{
    static double x[20000], y[20000];
    struct slw_rng rng;
    slw_rng_init(&rng, 11);
    static const int sizes[] = {0, 1, 2, 3, 24, 25, 26, 100, 1000, 20000};
    for (int kind = 0; kind < 7; kind++) {
        for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
            int n = sizes[s];
            for (int i = 0; i < n; i++)
                x[i] = y[i] = shape(kind, i, n, &rng);
            slw_sort_f64(x, (size_t)n);
            qsort(y, (size_t)n, sizeof *y, f64_compare);
            for (int i = 0; i < n; i++)
                if (x[i] != y[i])
                    fail_msg("shape %d, size %d, place %d", kind, n, i);
        }
    }
}

static void
nan_is_sorted_last_and_infinities_at_the_ends(void **state)
{
    double x[] = {NAN, 3, -INFINITY, NAN, INFINITY, 1, NAN};
    static const double sorted[] = {-INFINITY, 1, 3, INFINITY, NAN, NAN, NAN};
    slw_sort_f64(x, ARRAY_LEN(x));
    for (size_t i = 0; i < ARRAY_LEN(x); i++)
        assert_near(x[i], sorted[i], 0);
}

static void
the_normal_distribution_equals_scipys(void **state)
{
    /* [S] special.ndtr(z) */
    static const double cdf[][2] = {{0, 0.5},
                                    {1, 0.8413447460685429},
                                    {-1, 0.15865525393145707},
                                    {1.96, 0.9750021048517795},
                                    {-5, 2.866515718791933e-07},
                                    {-20, 2.7536241186061556e-89},
                                    {-37, 5.7255712225239266e-300},
                                    {8, 0.9999999999999993}};
    for (size_t i = 0; i < ARRAY_LEN(cdf); i++)
        assert_near_rel(slw_normal_cdf(cdf[i][0]), cdf[i][1], 1e-13);
    /* [S] special.ndtri(p) */
    static const double ppf[][2] = {{.5, 0},
                                    {.975, 1.959963984540054},
                                    {.025, -1.9599639845400545},
                                    {.9, 1.2815515655446004},
                                    {1e-3, -3.090232306167813},
                                    {1e-10, -6.361340902404056},
                                    {1e-300, -37.0470962993612},
                                    {.9999999, 5.199337582290661},
                                    {.076, -1.4325027208258116},
                                    {.3, -0.5244005127080409}};
    for (size_t i = 0; i < ARRAY_LEN(ppf); i++)
        assert_near(slw_normal_quantile(ppf[i][0]), ppf[i][1], 2e-14);
    assert_near(slw_normal_quantile(0), -INFINITY, 0);
    assert_near(slw_normal_quantile(1), INFINITY, 0);
    assert_near(slw_normal_quantile(-.1), NAN, 0);
    assert_near(slw_normal_quantile(NAN), NAN, 0);
}

static void
students_t_equals_scipys(void **state)
{
    /* [S] stats.t.sf(t, df) */
    static const double sf[][3] = {{0, 5, 0.5},
                                   {1, 1, 0.25},
                                   {2.015, 5, 0.05000308616340318},
                                   {-2.5, 7, 0.9795038907071235},
                                   {10, 3, 0.0010641995292070751},
                                   {1.96, 1000, 0.025136592477874368},
                                   {50, 20, 8.766690224621138e-23},
                                   {1e-5, 4, 0.4999962500000001},
                                   {3, 1e6, 0.0013499312707109},
                                   {.2, .7, 0.44199766927095957}};
    for (size_t i = 0; i < ARRAY_LEN(sf); i++)
        assert_near_rel(slw_student_sf(sf[i][0], sf[i][1]), sf[i][2], 1e-11);
    assert_near(slw_student_sf(INFINITY, 3), 0, 0);
    assert_near(slw_student_sf(-INFINITY, 3), 1, 0);
    assert_near(slw_student_sf(1e200, 3), 0, 0);
    assert_near(slw_student_sf(NAN, 3), NAN, 0);
}

static void
chi_squared_equals_scipys_in_both_directions(void **state)
{
    /* [S] stats.chi2.sf(x, df) */
    static const double sf[][3] = {
        {.5, 1, 0.47950012218695337},       {3.84, 1, 0.05004352124870519},
        {16.9, 9, 0.0503051901243108},      {100, 9, 1.5735176303753876e-17},
        {1000, 9, 1.7240681189224405e-209}, {5, 30, 0.9999999308468613},
        {300, 200, 5.924540335483916e-06},  {1023, 1023, 0.494120089867273},
        {1e-3, 2, 0.9995001249791693},      {9.5, .5, 0.0006530648101074597}};
    for (size_t i = 0; i < ARRAY_LEN(sf); i++)
        assert_near_rel(slw_chi2_sf(sf[i][0], sf[i][1]), sf[i][2], 1e-12);
    assert_near(slw_chi2_sf(0, 4), 1, 0);
    assert_near(slw_chi2_sf(-1, 4), 1, 0);
    assert_near(slw_chi2_sf(INFINITY, 4), 0, 0);
    assert_near(slw_chi2_sf(NAN, 4), NAN, 0);
    /* [S] stats.chi2.ppf(p, df) */
    static const double ppf[][3] = {
        {.95, 9, 16.918977604620448},   {.99, 9, 21.665994333461924},
        {.95, 19, 30.14352720564616},   {.95, 4, 9.487729036781154},
        {.05, 9, 3.325112843066815},    {1e-6, 3, 0.00024181048720124264},
        {.5, 1, 0.454936423119572},     {.999999, 29, 80.43597042040733},
        {.95, 1023, 1098.5207819245886}};
    for (size_t i = 0; i < ARRAY_LEN(ppf); i++)
        assert_near_rel(slw_chi2_quantile(ppf[i][0], ppf[i][1]), ppf[i][2],
                        1e-11);
    assert_near(slw_chi2_quantile(0, 5), 0, 0);
    assert_near(slw_chi2_quantile(1, 5), INFINITY, 0);
    assert_near(slw_chi2_quantile(1.5, 5), NAN, 0);
}

static void
incomplete_gamma_and_beta_equal_scipys(void **state)
{
    /* [S] special.gammainc(a, x) */
    static const double p[][3] = {{.5, .1, 0.34527915398142317},
                                  {1, 1, 0.6321205588285577},
                                  {2.5, 10, 0.9987502694369687},
                                  {10, 3, 0.0011024881301154815},
                                  {100, 90, 0.15822098918643007},
                                  {100, 110, 0.8417213299399129},
                                  {1000, 1000, 0.5042052441802155},
                                  {1e5, 1e5 + 300, 0.8286363112512075},
                                  {1e-3, 1e-5, 0.9891230446957835},
                                  /* mpmath 1.4.1, 60 digits:
                                   * gammainc(a, 0, x, regularized=True) */
                                  {1e6, 998000, 0.022696114006736803}};
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        assert_near_rel(slw_gamma_p(p[i][0], p[i][1]), p[i][2], 1e-12);
    /* [S] special.betainc(a, b, x) */
    static const double b[][4] = {{.5, .5, .3, 0.36901011956554536},
                                  {2, 3, .5, 0.6875},
                                  {10, 1, .9, 0.34867844010000004},
                                  {100, 200, .3, 0.10884306564490986},
                                  {100, 200, .4, 0.9916844649260862},
                                  {1e4, 1e4, .505, 0.9213529911183369},
                                  {.1, 50, .01, 0.9411645901311703},
                                  {5, .5, .99, 0.7571581091015623},
                                  /* mpmath 1.4.1, 60 digits:
                                   * betainc(a, b, 0, x, regularized=True) */
                                  {5e4, .5, .9999, 0.001565019762173495},
                                  {.5, 5e4, 1e-5, 0.6826894921431353},
                                  {1000, 3, .997, 0.42150923786952587}};
    for (size_t i = 0; i < ARRAY_LEN(b); i++)
        assert_near_rel(slw_beta_inc(b[i][0], b[i][1], b[i][2]), b[i][3],
                        1e-12);
    assert_near(slw_beta_inc(2, 3, 0), 0, 0);
    assert_near(slw_beta_inc(2, 3, 1), 1, 0);
    assert_near(slw_beta_inc(2, NAN, 1), NAN, 0);
    for (int i = 1; i < 100; i++) { /* I_x(a,b) = 1 - I_{1-x}(b,a) */
        double x = i / 100.0;
        assert_near(slw_beta_inc(3.5, 12, x) + slw_beta_inc(12, 3.5, 1 - x), 1,
                    1e-13);
    }
}

static void
kolmogorovs_distribution_equals_scipys(void **state)
{
    /* [S] special.kolmogorov(x); the tabulated quantiles 1.22385, 1.35810,
     * 1.62762, 1.94947 from special.kolmogi */
    static const double sf[][2] = {{.1, 1},
                                   {.2, 0.999999999999495},
                                   {.3, 0.9999906941986655},
                                   {.5, 0.9639452436648751},
                                   {.8, 0.5441424115741981},
                                   {.999, 0.27107316411506394},
                                   {1, 0.26999967167735456},
                                   {1.2238478702170825, .1},
                                   {1.3580986393225505, .05},
                                   {1.6276236115189504, .01},
                                   {1.9494746035043753, .001},
                                   {2, 0.0006709252557796953},
                                   {3, 3.045995948942526e-08},
                                   {5, 3.8574996959278356e-22}};
    for (size_t i = 0; i < ARRAY_LEN(sf); i++)
        assert_near_rel(slw_kolmogorov_sf(sf[i][0]), sf[i][1], 1e-14 * 20);
    assert_near(slw_kolmogorov_sf(0), 1, 0);
    assert_near(slw_kolmogorov_sf(-1), 1, 0);
    assert_near(slw_kolmogorov_sf(NAN), NAN, 0);
    /* Both expansions meet at 1. */
    assert_near(slw_kolmogorov_sf(1 - 1e-12), slw_kolmogorov_sf(1), 3e-12);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mean_and_variance_keep_their_digits_far_from_zero),
        cmocka_unit_test(mean_of_a_million_equal_numbers_is_that_number),
        cmocka_unit_test(small_samples_and_nan_have_defined_answers),
        cmocka_unit_test(quantiles_are_those_of_numpy),
        cmocka_unit_test(sorting_agrees_with_the_c_library_on_every_shape),
        cmocka_unit_test(nan_is_sorted_last_and_infinities_at_the_ends),
        cmocka_unit_test(the_normal_distribution_equals_scipys),
        cmocka_unit_test(students_t_equals_scipys),
        cmocka_unit_test(chi_squared_equals_scipys_in_both_directions),
        cmocka_unit_test(incomplete_gamma_and_beta_equal_scipys),
        cmocka_unit_test(kolmogorovs_distribution_equals_scipys),
    };
    return cmocka_run_group_tests_name("num/stats", tests, NULL, NULL);
}
