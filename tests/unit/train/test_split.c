/* test_split.c -- rows cut by time: borders, purging, what is left out, and
 * the column that the target is relative to. */
#include "fixture.h"

static struct train_def
def_days(int64_t validate, int64_t test)
{
    return (struct train_def){.target_sql = SLW_STR("lead(v) OVER w"),
                              .target_of = SLW_STR("p"),
                              .validate_ms = validate * SLW_DAY_MS,
                              .test_ms = test * SLW_DAY_MS};
}

static void
parts_follow_each_other_in_time_and_hold_every_labelled_row(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_err err;
    struct train_set s;
    const struct slw_frame f = frame_make(&a);
    const struct train_def d = def_days(60, 90);
    assert_ok(train_set_make(&f, &d, NOW_MS, &a, &s, &err), err);
    /* 399 labelled days: the last 90 test, the 60 before validate. */
    assert_int_equal(s.test.count, 90 * ENTITIES);
    assert_int_equal(s.valid.count, 60 * ENTITIES);
    assert_int_equal(s.train.count, 249 * ENTITIES);
    assert_int_equal(s.refit.count, s.train.count + s.valid.count);
    assert_int_equal(s.unlabelled_count, ENTITIES);
    assert_int_equal(s.missing_count, 0);
    assert_int_equal(s.purged_count, 0);
    assert_int_equal(s.test_to_ms, DAY0_MS + 398 * SLW_DAY_MS);
    assert_true(s.train.event_ms[s.train.count - 1] == s.train_to_ms);
    assert_true(s.valid.event_ms[0] == s.train_to_ms + SLW_DAY_MS);
    assert_true(s.valid.event_ms[s.valid.count - 1] == s.valid_to_ms);
    assert_true(s.test.event_ms[s.test.count - 1] == s.test_to_ms);
}

static void
a_label_known_only_after_the_next_part_began_is_purged(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_err err;
    struct train_set s;
    struct slw_frame f = frame_make(&a);
    const struct train_def d = def_days(60, 90);
    for (size_t r = 0; r + ENTITIES < f.row_count; r++)
        f.label_known_ms[r] = f.event_ms[r] + 5 * SLW_DAY_MS;
    assert_ok(train_set_make(&f, &d, NOW_MS, &a, &s, &err), err);
    /* Known 5 days later: the last 4 days of train and of validation. */
    assert_int_equal(s.purged_count, 2 * 4 * ENTITIES);
    assert_int_equal(s.train.count, 245 * ENTITIES);
    assert_int_equal(s.valid.count, 56 * ENTITIES);
    /* By the test they are known, but for validation's own last days. */
    assert_int_equal(s.refit.count, (249 + 56) * ENTITIES);
    for (size_t r = 0; r < s.refit.count; r++)
        assert_true(s.refit.event_ms[r] + 5 * SLW_DAY_MS <= s.test.event_ms[0]);
}

static void
rows_without_a_feature_or_a_label_are_left_out_and_counted(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_err err;
    struct train_set s;
    struct slw_frame f = frame_make(&a);
    struct slw_str gone = SLW_STR("noise");
    struct train_def d = def_days(60, 90);
    f.x[3] = NAN;                       /* noise of the first row */
    f.x[1 * f.column_count] = INFINITY; /* lag_0 of the second */
    f.y[2] = NAN;
    assert_ok(train_set_make(&f, &d, NOW_MS, &a, &s, &err), err);
    assert_int_equal(s.missing_count, 2);
    assert_int_equal(s.unlabelled_count, ENTITIES + 1);
    d.exclude = &gone;
    d.exclude_count = 1;
    assert_ok(train_set_make(&f, &d, NOW_MS, &a, &s, &err), err);
    assert_int_equal(s.missing_count, 1); /* nobody asks for noise now */
    assert_int_equal(s.sig.column_count, 4);
    assert_true(slw_str_eqz(s.sig.columns[3], "close"));
    assert_near(s.train.x[3], f.x[4], 0);
}

static void
the_newest_label_counts_as_of_the_time_asked_for(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_err err;
    struct train_set s;
    const struct slw_frame f = frame_make(&a);
    const struct train_def d = def_days(60, 90);
    const int64_t as_of = DAY0_MS + 300 * SLW_DAY_MS;
    assert_ok(train_set_make(&f, &d, as_of, &a, &s, &err), err);
    assert_int_equal(s.test_to_ms, DAY0_MS + 299 * SLW_DAY_MS);
    assert_fails(train_set_make(&f, &d, DAY0_MS, &a, &s, &err), SLW_INVALID,
                 err, "nothing to learn from");
}

static void
the_relative_column_is_no_input_and_folds_into_the_target(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_err err;
    struct train_set s;
    const struct slw_frame f = frame_make(&a);
    struct train_def d = def_days(60, 90);
    d.relative_to = SLW_STR("close");
    assert_ok(train_set_make(&f, &d, NOW_MS, &a, &s, &err), err);
    assert_int_equal(s.sig.relative_to, 4);
    for (size_t r = 0; r < s.train.count; r++) {
        const double *fit = s.train.fit_x + r * 5, *x = s.train.x + r * 5;
        assert_near(fit[4], 0, 0);
        assert_near(fit[0], x[0], 0);
        assert_near(x[4], s.train.base[r], 0);
        assert_near(s.train.base[r] * (1 + s.train.fit_y[r]), s.train.target[r],
                    1e-12);
    }
}

static void
a_column_nobody_yields_and_a_split_too_long_say_what_to_do(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_err err;
    struct train_set s;
    const struct slw_frame f = frame_make(&a);
    struct train_def d = def_days(60, 90);
    struct slw_str open = SLW_STR("open");
    d.relative_to = open;
    assert_fails(train_set_make(&f, &d, NOW_MS, &a, &s, &err), SLW_INVALID, err,
                 "add open to a feature view (columns: lag_0, lag_1");
    d = def_days(200, 200);
    assert_fails(train_set_make(&f, &d, NOW_MS, &a, &s, &err), SLW_INVALID, err,
                 "leaves 0 rows to train on");
    d = def_days(60, 90);
    d.exclude = &open;
    d.exclude_count = 1;
    assert_fails(train_set_make(&f, &d, NOW_MS, &a, &s, &err), SLW_INVALID, err,
                 "exclude names 'open'");
}

static void
errors_by_day_are_means_over_the_rows_of_a_day(void **state)
{
    double target[] = {1, 2, 3}, yhat[] = {2, 2, 1}, other[] = {1, 5, 4};
    int64_t event[] = {0, 3600000, SLW_DAY_MS + 5};
    const struct train_rows rows = {
        .count = 3, .target = target, .event_ms = event};
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    train_days_write(&w, &rows, yhat, other);
    /* Day 0: |1|, |0| and |0|, |3|; day 1: |-2| and |1|. */
    assert_string_equal(text.ptr, "[[0,0.5,1.5],[86400000,2.0,1.0]]");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            parts_follow_each_other_in_time_and_hold_every_labelled_row),
        cmocka_unit_test(
            a_label_known_only_after_the_next_part_began_is_purged),
        cmocka_unit_test(
            rows_without_a_feature_or_a_label_are_left_out_and_counted),
        cmocka_unit_test(the_newest_label_counts_as_of_the_time_asked_for),
        cmocka_unit_test(
            the_relative_column_is_no_input_and_folds_into_the_target),
        cmocka_unit_test(
            a_column_nobody_yields_and_a_split_too_long_say_what_to_do),
        cmocka_unit_test(errors_by_day_are_means_over_the_rows_of_a_day),
    };
    return cmocka_run_group_tests_name("train/split", tests, NULL, NULL);
}
