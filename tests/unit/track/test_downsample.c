/* test_downsample.c -- a history thinned for a drawing: no spike is lost, what
 * is no number is told apart, and the answer does not depend on the order in
 * which points come. */
#include "track/track.h"

#include <float.h>
#include <math.h>

#include "base/rng.h"
#include "tests/slw_test.h"

#define POINTS(...)                                                            \
    (const struct slw_point[])                                                 \
    {                                                                          \
        __VA_ARGS__                                                            \
    }

static const struct slw_thin_options ALL = {.axis = SLW_THIN_STEP,
                                            .from = INT64_MIN,
                                            .to = INT64_MAX,
                                            .bucket_count = 4};

static struct slw_thin
thin(struct slw_arena *a, const struct slw_point *points, size_t count,
     const struct slw_thin_options *opt)
{
    struct slw_thin t;
    struct slw_err err;
    assert_ok(slw_track_thin(points, count, opt, a, &t, &err), err);
    return t;
}

static void
line_is(struct slw_thin_line line, const struct slw_thin_point *want,
        size_t count)
{
    assert_int_equal(line.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(line.points[i].x, want[i].x);
        assert_true(line.points[i].y == want[i].y);
    }
}
#define LINE_IS(line, ...)                                                     \
    line_is((line), (const struct slw_thin_point[]){__VA_ARGS__},              \
            sizeof((const struct slw_thin_point[]){__VA_ARGS__}) /             \
                sizeof(struct slw_thin_point))

static void
nothing_and_one_point_are_what_they_are(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_thin none = thin(&a, NULL, 0, &ALL);
    assert_int_equal(none.total, 0);
    assert_int_equal(none.raw.count, 0);
    assert_int_equal(none.break_count, 0);
    struct slw_thin one = thin(&a, POINTS({5, -7, 2.5}), 1, &ALL);
    assert_int_equal(one.total, 1);
    assert_int_equal(one.shown, 1);
    LINE_IS(one.raw, {-7, 2.5});
    assert_int_equal(one.x_min, -7);
    assert_int_equal(one.x_max, -7);
}

static void
of_each_bucket_the_least_and_the_greatest_stay(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_thin_options opt = ALL;
    opt.bucket_count = 2; /* steps 0..4 and 5..9 */
    struct slw_thin t =
        thin(&a,
             POINTS({0, 0, 3}, {0, 1, 9}, {0, 2, 4}, {0, 3, 1}, {0, 4, 5},
                    {0, 5, 5}, {0, 6, 5}, {0, 7, -2}, {0, 8, 5}, {0, 9, 4}),
             10, &opt);
    LINE_IS(t.raw, {0, 3}, {1, 9}, {3, 1}, {5, 5}, {7, -2}, {9, 4});
    assert_int_equal(t.shown, 10);
}

static void
a_constant_series_is_one_value_however_smoothed(void **state)
{
    static struct slw_point points[1000];
    SLW_AUTO(slw_arena, a);
    struct slw_thin_options opt = ALL;
    opt.smooth = 0.9;
    for (int i = 0; i < 1000; i++)
        points[i] = (struct slw_point){i, i, 0.1};
    struct slw_thin t = thin(&a, points, 1000, &opt);
    assert_in_range(t.raw.count, 2, 6);
    assert_int_equal(t.raw.points[0].x, 0);
    assert_int_equal(t.raw.points[t.raw.count - 1].x, 999);
    for (size_t i = 0; i < t.smooth.count; i++)
        assert_true(t.smooth.points[i].y == 0.1); /* no waves */
}

static void
what_is_no_number_is_counted_apart_by_bucket(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_thin_options opt = ALL;
    opt.bucket_count = 2;
    opt.smooth = 0.5;
    struct slw_thin t =
        thin(&a,
             POINTS({0, 0, 1}, {0, 1, NAN}, {0, 2, INFINITY}, {0, 3, NAN},
                    {0, 4, 2}, {0, 5, -DBL_MAX}, {0, 6, NAN}, {0, 7, 3}),
             8, &opt);
    LINE_IS(t.raw, {0, 1}, {4, 2}, {7, 3});
    assert_int_equal(t.break_count, 2);
    assert_int_equal(t.breaks[0].x, 1);
    assert_int_equal(t.breaks[0].nan_count, 2);
    assert_int_equal(t.breaks[0].above_count, 1);
    assert_int_equal(t.breaks[0].below_count, 0);
    assert_int_equal(t.breaks[1].x, 5);
    assert_int_equal(t.breaks[1].below_count, 1);
    assert_int_equal(t.nan_count, 3);
    assert_int_equal(t.above_count, 1);
    assert_int_equal(t.below_count, 1);
    /* by hand: 1; (0.5*1 + 1*2)/1.5 = 5/3; (0.5*2.5 + 3)/1.75 = 17/7 */
    assert_int_equal(t.smooth.count, 3);
    assert_float_equal(t.smooth.points[0].y, 1, 0);
    assert_float_equal(t.smooth.points[1].y, 5.0 / 3, 1e-15);
    assert_float_equal(t.smooth.points[2].y, 17.0 / 7, 1e-15);
    struct slw_thin nothing = thin(&a, POINTS({0, 1, NAN}), 1, &opt);
    assert_int_equal(nothing.raw.count, 0);
    assert_int_equal(nothing.break_count, 1);
    assert_int_equal(nothing.total, 1);
}

static void
a_logarithmic_axis_leaves_out_what_has_no_place_on_it(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_thin_options opt = ALL;
    opt.bucket_count = 1;
    opt.log = true;
    struct slw_thin t = thin(
        &a, POINTS({0, 0, -1}, {0, 1, 0.01}, {0, 2, 0}, {0, 3, 100}, {0, 4, 1}),
        5, &opt);
    LINE_IS(t.raw, {1, 0.01}, {3, 100}, {4, 1});
    assert_int_equal(t.hidden_count, 2);
    assert_int_equal(t.shown, 5);
}

static void
a_range_has_its_neighbours_so_that_the_line_leaves_the_picture(void **state)
{
    SLW_AUTO(slw_arena, a);
    const struct slw_point points[] = {
        {0, 0, 1}, {0, 10, 2}, {0, 20, 3}, {0, 30, 4}, {0, 40, 5}};
    struct slw_thin_options opt = ALL;
    opt.from = 15;
    opt.to = 35;
    struct slw_thin t = thin(&a, points, 5, &opt);
    LINE_IS(t.raw, {10, 2}, {20, 3}, {30, 4}, {40, 5});
    assert_int_equal(t.shown, 2);
    assert_int_equal(t.total, 5);
    assert_int_equal(t.x_max, 40); /* of the whole */
    opt.from = 21;
    opt.to = 29;
    t = thin(&a, points, 5, &opt);
    LINE_IS(t.raw, {20, 3}, {30, 4});
    assert_int_equal(t.shown, 0);
    opt.from = 100;
    opt.to = INT64_MAX;
    assert_int_equal(thin(&a, points, 5, &opt).raw.count, 0);
    opt.to = 200;
    assert_int_equal(thin(&a, points, 5, &opt).raw.count, 0);
}

static void
the_mean_is_of_all_points_whatever_range_is_asked(void **state)
{
    static struct slw_point points[100];
    SLW_AUTO(slw_arena, a);
    struct slw_thin_options opt = ALL;
    opt.smooth = 0.8;
    opt.bucket_count = 100;
    for (int i = 0; i < 100; i++)
        points[i] = (struct slw_point){0, i, (i * 37) % 11};
    struct slw_thin whole = thin(&a, points, 100, &opt);
    opt.from = 50;
    opt.to = 59;
    struct slw_thin part = thin(&a, points, 100, &opt);
    assert_int_equal(part.smooth.count, 12); /* neighbours too */
    for (size_t i = 0; i < part.smooth.count; i++)
        assert_true(part.smooth.points[i].y == whole.smooth.points[49 + i].y);
}

static void
axes_are_steps_times_or_time_since_the_first_point(void **state)
{
    SLW_AUTO(slw_arena, a);
    const struct slw_point points[] = {
        {1000, 3, 1}, {4000, 1, 2}, {2000, 2, 3}};
    struct slw_thin_options opt = ALL;
    LINE_IS(thin(&a, points, 3, &opt).raw, {1, 2}, {2, 3}, {3, 1});
    opt.axis = SLW_THIN_TIME;
    LINE_IS(thin(&a, points, 3, &opt).raw, {1000, 1}, {2000, 3}, {4000, 2});
    opt.axis = SLW_THIN_RELATIVE;
    LINE_IS(thin(&a, points, 3, &opt).raw, {0, 1}, {1000, 3}, {3000, 2});
}

static void
the_order_in_which_points_come_does_not_matter(void **state)
{
    enum { COUNT = 3000 };
    static struct slw_point points[COUNT];
    SLW_AUTO(slw_arena, a);
    struct slw_rng rng;
    slw_rng_init(&rng, 7);
    struct slw_thin_options opt = ALL;
    opt.bucket_count = 37;
    opt.smooth = 0.6;
    for (int i = 0; i < COUNT; i++)
        points[i] = (struct slw_point){i / 3, i / 2,
                                       i % 100 ? sin(i) * i : (double)NAN};
    struct slw_thin want = thin(&a, points, COUNT, &opt);
    for (size_t i = COUNT - 1; i > 0; i--) {
        size_t k = (size_t)slw_rng_below(&rng, i + 1);
        struct slw_point p = points[i];
        points[i] = points[k];
        points[k] = p;
    }
    struct slw_thin got = thin(&a, points, COUNT, &opt);
    line_is(got.raw, want.raw.points, want.raw.count);
    line_is(got.smooth, want.smooth.points, want.smooth.count);
    assert_int_equal(got.break_count, want.break_count);
}

/* The promise itself: in every bucket the extremes of all points are there. */
static void
no_spike_is_lost_and_the_line_is_bounded(void **state)
{
    enum { COUNT = 20000, BUCKETS = 64 };
    static struct slw_point points[COUNT];
    SLW_AUTO(slw_arena, a);
    struct slw_rng rng;
    slw_rng_init(&rng, 11);
    struct slw_thin_options opt = ALL;
    opt.bucket_count = BUCKETS;
    for (int i = 0; i < COUNT; i++)
        points[i] = (struct slw_point){0, i, slw_rng_normal(&rng)};
    struct slw_thin t = thin(&a, points, COUNT, &opt);
    assert_true(t.raw.count <= 2 * BUCKETS + 4);
    for (int b = 0; b < BUCKETS; b++) {
        double low = INFINITY, high = -INFINITY;
        double got_low = INFINITY, got_high = -INFINITY;
        for (int i = 0; i < COUNT; i++)
            if (i * BUCKETS / COUNT == b) {
                low = fmin(low, points[i].value);
                high = fmax(high, points[i].value);
            }
        for (size_t i = 0; i < t.raw.count; i++)
            if ((int)(t.raw.points[i].x * BUCKETS / COUNT) == b) {
                got_low = fmin(got_low, t.raw.points[i].y);
                got_high = fmax(got_high, t.raw.points[i].y);
            }
        assert_true(low == got_low && high == got_high);
    }
}

static void
the_widest_axis_and_values_do_not_overflow(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_thin_options opt = ALL;
    opt.smooth = 0.5;
    struct slw_thin t = thin(&a,
                             POINTS({0, INT64_MIN, -1.7e308}, {0, 0, 1.7e308},
                                    {0, INT64_MAX, -1e308}),
                             3, &opt);
    LINE_IS(t.raw, {INT64_MIN, -1.7e308}, {0, 1.7e308}, {INT64_MAX, -1e308});
    for (size_t i = 0; i < t.smooth.count; i++)
        assert_true(isfinite(t.smooth.points[i].y));
}

static void
options_out_of_range_are_refused_in_words(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_thin t = {.total = 77};
    struct slw_err err;
    struct slw_thin_options opt = ALL;
    opt.bucket_count = 0;
    assert_int_equal(slw_track_thin(NULL, 0, &opt, &a, &t, &err), SLW_INVALID);
    assert_string_equal(err.msg, "points must be 1 to 4000");
    opt = ALL;
    opt.smooth = 1;
    assert_int_equal(slw_track_thin(NULL, 0, &opt, &a, &t, &err), SLW_INVALID);
    opt.smooth = NAN;
    assert_int_equal(slw_track_thin(NULL, 0, &opt, &a, &t, &err), SLW_INVALID);
    opt = ALL;
    opt.from = 2;
    opt.to = 1;
    assert_int_equal(slw_track_thin(NULL, 0, &opt, &a, &t, &err), SLW_INVALID);
    assert_string_equal(err.msg, "from lies behind to");
    assert_int_equal(t.total, 77);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_and_one_point_are_what_they_are),
        cmocka_unit_test(of_each_bucket_the_least_and_the_greatest_stay),
        cmocka_unit_test(a_constant_series_is_one_value_however_smoothed),
        cmocka_unit_test(what_is_no_number_is_counted_apart_by_bucket),
        cmocka_unit_test(a_logarithmic_axis_leaves_out_what_has_no_place_on_it),
        cmocka_unit_test(
            a_range_has_its_neighbours_so_that_the_line_leaves_the_picture),
        cmocka_unit_test(the_mean_is_of_all_points_whatever_range_is_asked),
        cmocka_unit_test(axes_are_steps_times_or_time_since_the_first_point),
        cmocka_unit_test(the_order_in_which_points_come_does_not_matter),
        cmocka_unit_test(no_spike_is_lost_and_the_line_is_bounded),
        cmocka_unit_test(the_widest_axis_and_values_do_not_overflow),
        cmocka_unit_test(options_out_of_range_are_refused_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
