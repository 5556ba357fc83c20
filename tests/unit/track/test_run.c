/* test_run.c -- runs and what they log, straight on the room: write-once
 * params, latest and history of metrics, all-or-nothing batches, searches,
 * files. */
#include "tests/unit/track/fixture.h"

#define T0 INT64_C(1700000000000)

static enum slw_rc
log_all(struct fixture *f, struct slw_str run, const struct slw_kv *params,
        size_t param_count, const struct slw_metric *metrics,
        size_t metric_count, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, f->store, err));
    TRY(slw_track_log(&tx, run, params, param_count, metrics, metric_count,
                      NULL, 0, err));
    return slw_tx_commit(&tx, err);
}

static struct slw_run_full
read_run(struct fixture *f, struct slw_str run)
{
    struct slw_err err;
    struct slw_run_full full;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_track_read(&tx, f->store, &err), err);
    assert_ok(slw_track_run_full(&tx, run, &f->arena, &full, &err), err);
    return full;
}

static void
a_conflicting_param_writes_nothing_of_its_batch(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_str run = new_run(f, T0);
    const struct slw_kv first[] = {{SLW_STR("a"), SLW_STR("1")}};
    const struct slw_kv second[] = {{SLW_STR("b"), SLW_STR("1")},
                                    {SLW_STR("a"), SLW_STR("2")}};
    const struct slw_metric m = {SLW_STR("m"), 1.0, T0, 0};
    assert_ok(log_all(f, run, first, 1, NULL, 0, &err), err);
    assert_ok(log_all(f, run, first, 1, NULL, 0, &err), err);
    assert_fails(log_all(f, run, second, 2, &m, 1, &err), SLW_CONFLICT, err,
                 "'old_value': '1', 'new_value': '2'");
    struct slw_run_full full = read_run(f, run);
    assert_int_equal(full.param_count, 1);
    assert_int_equal(full.metric_count, 0);
}

static void
latest_is_the_greatest_by_step_time_value_in_any_order(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_str run = new_run(f, T0);
    const struct slw_metric in[] = {{SLW_STR("m"), 5.0, 100, 7},
                                    {SLW_STR("n"), NAN, 1, 1},
                                    {SLW_STR("m"), 9.0, 200, 3},
                                    {SLW_STR("m"), 4.0, 100, 7},
                                    {SLW_STR("m"), 8.0, 99, 7}};
    for (size_t i = 0; i < ARRAY_LEN(in); i++)
        assert_ok(log_all(f, run, NULL, 0, &in[i], 1, &err), err);
    struct slw_str together = new_run(f, T0);
    assert_ok(log_all(f, together, NULL, 0, in, ARRAY_LEN(in), &err), err);
    for (int turn = 0; turn < 2; turn++) {
        struct slw_run_full full = read_run(f, turn ? together : run);
        assert_int_equal(full.metric_count, 2);
        assert_near(full.metrics[0].value, 5.0, 0.0);
        assert_int_equal(full.metrics[0].step, 7);
        assert_true(isnan(full.metrics[1].value));
    }
}

static void
history_is_sorted_and_without_repeats(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_str run = new_run(f, T0), other = new_run(f, T0);
    const struct slw_metric in[] = {
        {SLW_STR("m"), 3.0, 30, 2},  {SLW_STR("x"), 1.0, 5, 0},
        {SLW_STR("m"), 1.0, 10, -4}, {SLW_STR("m"), 1.0, 10, -4},
        {SLW_STR("m"), NAN, 10, -4}, {SLW_STR("m"), -INFINITY, 20, 1}};
    assert_ok(log_all(f, run, NULL, 0, in, 3, &err), err);
    assert_ok(log_all(f, other, NULL, 0, in, ARRAY_LEN(in), &err), err);
    assert_ok(log_all(f, run, NULL, 0, in, ARRAY_LEN(in), &err), err);
    struct slw_metric *points = NULL;
    size_t count = 0;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_track_read(&tx, f->store, &err), err);
    assert_ok(slw_track_history(&tx, run, SLW_STR("m"), &f->arena, &points,
                                &count, &err),
              err);
    assert_int_equal(count, 4);
    assert_true(isnan(points[0].value)); /* NaN sorts as 0 */
    assert_int_equal(points[0].step, -4);
    assert_near(points[1].value, 1.0, 0.0);
    assert_near(points[2].value, -1.7976931348623157e308, 0.0);
    assert_near(points[3].value, 3.0, 0.0);
}

static void
a_search_driven_by_a_param_equals_a_walk(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    for (int i = 0; i < 60; i++) {
        struct slw_str run = new_run(f, T0 + i);
        char text[8];
        snprintf(text, sizeof(text), "%d", i % 4);
        const struct slw_kv p = {SLW_STR("p"), slw_str_of(text)};
        const struct slw_metric m = {SLW_STR("m"), (double)(i % 7), T0, 0};
        assert_ok(log_all(f, run, &p, 1, &m, 1, &err), err);
    }
    static const char *const filters[] = {
        /* the second forms do not let the param drive */
        "params.p = '2' AND metrics.m > 3",
        "params.p LIKE '2' AND metrics.m > 3",
    };
    const struct slw_str order[] = {SLW_STR("metrics.m DESC")};
    struct slw_run_full *found[2];
    size_t count[2];
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_track_read(&tx, f->store, &err), err);
    for (size_t i = 0; i < 2; i++) {
        const int64_t experiment = 0;
        bool more = false;
        struct slw_track_query q = {.filter = slw_str_of(filters[i]),
                                    .order_by = order,
                                    .order_count = 1,
                                    .experiment_ids = &experiment,
                                    .experiment_count = 1,
                                    .limit = 5};
        assert_ok(slw_track_run_search(&tx, &q, &f->arena, &found[i], &count[i],
                                       &more, &err),
                  err);
        assert_true(more);
    }
    assert_int_equal(count[0], 5);
    assert_int_equal(count[1], 5);
    for (size_t i = 0; i < 5; i++) {
        assert_true(slw_str_eq(found[0][i].run.id, found[1][i].run.id));
        assert_int_equal(found[0][i].metric_count, 1);
        assert_true(found[0][i].metrics[0].value > 3);
        assert_true(slw_str_eqz(found[0][i].params[0].value, "2"));
    }
}

static enum slw_rc
put_file(struct fixture *f, const char *path, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, f->store, err));
    TRY(slw_track_file_put(&tx, slw_str_of(path), SLW_STR("hash"), 3, err));
    return slw_tx_commit(&tx, err);
}

static void
files_are_listed_one_level_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    static const char *const paths[] = {"t/b/x", "t/b-1",   "t/b.txt", "t/b0",
                                        "t/a",   "t/b/y/z", "tt/a",    "t/é"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        assert_ok(put_file(f, paths[i], &err), err);
    assert_fails(put_file(f, "t/b", &err), SLW_INVALID, err, "directory");
    assert_fails(put_file(f, "t/a/x", &err), SLW_INVALID, err, "is a file");
    struct slw_artifact *files = NULL;
    size_t count = 0;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, f->store, &err), err);
    assert_ok(
        slw_track_file_list(&tx, SLW_STR("t"), &f->arena, &files, &count, &err),
        err);
    static const char *const want[] = {"a", "b-1", "b.txt", "b", "b0", "é"};
    assert_int_equal(count, ARRAY_LEN(want));
    for (size_t i = 0; i < count; i++) {
        assert_true(slw_str_eqz(files[i].path, want[i]));
        assert_int_equal(files[i].is_dir, i == 3);
    }
    assert_ok(slw_track_file_remove(&tx, SLW_STR("t/b"), &err), err);
    assert_ok(
        slw_track_file_list(&tx, SLW_STR("t"), &f->arena, &files, &count, &err),
        err);
    assert_int_equal(count, 5);
}

static void
paths_that_climb_are_refused_however_they_are_coded(void **state)
{
    static const char *const bad[] = {
        "",     "/",          "/a",       "a/",         "a//b",
        ".",    "..",         "a/..",     "../a",       "a/./b",
        "a\\b", "a/%2e%2e/b", "a/%2E./b", "a%2f..%2fb", "a/%252e%252e/b",
        "%00",  "a\nb",       "\xff"};
    static const char *const good[] = {"a",        "a/b",  "a..b/c",
                                       "...",      "100%", "a%zz",
                                       "ünï cödé", "a b",  "a%20b"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(slw_track_path_ok(slw_str_of(bad[i])));
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(slw_track_path_ok(slw_str_of(good[i])));
}

static void
a_folder_of_ours_is_known_by_its_uri(void **state)
{
    struct slw_err err;
    struct slw_str path = SLW_STR("untouched");
    assert_fails(slw_track_artifact_root(SLW_STR("s3://b/x"), &path, &err),
                 SLW_UNSUPPORTED, err, "s3://b/x");
    assert_fails(slw_track_artifact_root(SLW_STR("mlflow-artifacts:/a/../b"),
                                         &path, &err),
                 SLW_INVALID, err, "Invalid");
    assert_true(slw_str_eqz(path, "untouched"));
    assert_ok(slw_track_artifact_root(
                  SLW_STR("mlflow-artifacts:/1/r/artifacts"), &path, &err),
              err);
    assert_true(slw_str_eqz(path, "1/r/artifacts"));
    assert_ok(slw_track_artifact_root(
                  SLW_STR("mlflow-artifacts://host:5000/1/r"), &path, &err),
              err);
    assert_true(slw_str_eqz(path, "1/r"));
}

static void
a_key_is_refused_with_the_path_it_would_be(void **state)
{
    static const char *const cases[][2] = {{"a//b", "'a/b'"},
                                           {"x/", "'x'"},
                                           {"./x", "'x'"},
                                           {"a/../b", "'b'"},
                                           {"../x", "'../x'"},
                                           {"../../x", "'../../x'"},
                                           {"/../x", "'/x'"},
                                           {"a/..", "'.'"},
                                           {".", "'.'"},
                                           {"/", "'/'"},
                                           {"", "'.'"},
                                           {"..a", "'..a'"},
                                           {"a\tb", "\"a\\tb\""},
                                           {"\"", "\"\\\"\""},
                                           {"ü?", "\"\\u00fc?\""},
                                           {"😀?", "\"\\ud83d\\ude00?\""}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slw_err err;
        assert_fails(slw_track_key_check(slw_str_of(cases[i][0]), "key", &err),
                     SLW_INVALID, err, cases[i][1]);
    }
}

static void
characters_are_counted_not_bytes(void **state)
{
    assert_int_equal(slw_track_cut(SLW_STR("äöü"), 2).len, 4);
    assert_int_equal(slw_track_cut(SLW_STR("äöü"), 3).len, 6);
    assert_int_equal(slw_track_cut(SLW_STR("abc"), 0).len, 0);
}

static void
a_deleted_experiment_takes_no_runs(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_run run;
    int64_t id = 0;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, f->store, &err), err);
    assert_ok(slw_track_experiment_ensure(&tx, T0, SLW_STR("e"), &id, &err),
              err);
    int64_t again = 0;
    assert_ok(slw_track_experiment_ensure(&tx, T0, SLW_STR("e"), &again, &err),
              err);
    assert_int_equal(id, again);
    assert_ok(slw_track_experiment_mark(&tx, T0, id, true, &err), err);
    assert_fails(slw_track_run_create(&tx, T0, id, SLW_STR(""), SLW_STR(""),
                                      NULL, 0, &f->arena, &run, &err),
                 SLW_INVALID, err, "'active' state");
    assert_fails(slw_track_experiment_mark(&tx, T0, id, true, &err),
                 SLW_NOT_FOUND, err, "No Experiment");
}

static void
a_run_is_found_by_id_beginning_and_name(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_str id = new_run(f, T0), found = SLW_STR("untouched");
    struct slw_str name = read_run(f, id).run.name;
    const struct slw_str refs[] = {id, {id.ptr, 8}, {id.ptr, 4}, name};
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_track_read(&tx, f->store, &err), err);
        for (size_t i = 0; i < ARRAY_LEN(refs); i++) {
            assert_ok(slw_track_run_find(&tx, refs[i], &f->arena, &found, &err),
                      err);
            assert_true(slw_str_eq(found, id));
        }
        found = SLW_STR("untouched");
        static const struct slw_str absent[] = {
            SLW_STR(""),     SLW_STR("zz"),
            SLW_STR("abc"),  SLW_STR("it's \"x\""),
            SLW_STR("\0\0"), SLW_STR("00000000000000000000000000000000")};
        for (size_t i = 0; i < ARRAY_LEN(absent); i++)
            assert_int_equal(
                slw_track_run_find(&tx, absent[i], &f->arena, &found, &err),
                SLW_NOT_FOUND);
    }
    {
        struct slw_run twin;
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, f->store, &err), err);
        assert_ok(slw_track_run_create(&tx, T0 + 1, 0, name, SLW_STR("me"),
                                       NULL, 0, &f->arena, &twin, &err),
                  err);
        assert_fails(slw_track_run_find(&tx, name, &f->arena, &found, &err),
                     SLW_INVALID, err, "2 runs are called");
        assert_ok(slw_tx_commit(&tx, &err), err);
    }
    assert_true(slw_str_eqz(found, "untouched"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_run_is_found_by_id_beginning_and_name,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_conflicting_param_writes_nothing_of_its_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(
            latest_is_the_greatest_by_step_time_value_in_any_order, setup,
            teardown),
        cmocka_unit_test_setup_teardown(history_is_sorted_and_without_repeats,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_search_driven_by_a_param_equals_a_walk, setup, teardown),
        cmocka_unit_test_setup_teardown(files_are_listed_one_level_at_a_time,
                                        setup, teardown),
        cmocka_unit_test(paths_that_climb_are_refused_however_they_are_coded),
        cmocka_unit_test(a_folder_of_ours_is_known_by_its_uri),
        cmocka_unit_test(a_key_is_refused_with_the_path_it_would_be),
        cmocka_unit_test(characters_are_counted_not_bytes),
        cmocka_unit_test_setup_teardown(a_deleted_experiment_takes_no_runs,
                                        setup, teardown),
    };
    return cmocka_run_group_tests_name("track/run", tests, NULL, NULL);
}
