/* test_bring.c -- what is brought over stands as it was there, and what is
 * here already stays. */
#include <math.h>

#include "tests/slw_test.h"
#include "track/track.h"

#define T0 INT64_C(1600000000000)
#define RUN "0123456789abcdef0123456789abcdef"

static struct slw_store *store;
static struct slw_arena arena;

static int
setup(void **state)
{
    struct slw_err err;
    char dir[256];
    slw_test_dir(dir);
    const struct slw_store_options opt = {.dir = dir, .server = true};
    assert_ok(slw_store_open(&store, &opt, &err), err);
    return 0;
}

static int
teardown(void **state)
{
    slw_store_close(store);
    slw_arena_done(&arena);
    return 0;
}

static int64_t
bring_experiment(int64_t id, const char *name, const char *tag)
{
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    int64_t got = -7;
    const struct slw_kv tags = {SLW_STR("k"), slw_str_of(tag)};
    const struct slw_experiment e = {.id = id,
                                     .name = slw_str_of(name),
                                     .deleted = true,
                                     .created_at_ms = T0,
                                     .updated_at_ms = T0 + 1};
    assert_ok(slw_tx_begin(&tx, store, &err), err);
    assert_ok(slw_track_experiment_bring(&tx, &e, &tags, 1, &got, &err), err);
    assert_ok(slw_tx_commit(&tx, &err), err);
    return got;
}

static void
an_experiment_keeps_its_number_and_is_merged_by_its_name(void **state)
{
    struct slw_err err;
    struct slw_experiment e;
    struct slw_kv *tags = NULL;
    size_t count = 0;
    assert_int_equal(bring_experiment(70, "seventy", "a"), 70);
    assert_int_equal(bring_experiment(-1, "any", "a"), 71);
    assert_int_equal(bring_experiment(70, "seventy", "b"), 70);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, store, &err), err);
    assert_ok(slw_track_experiment_get(&tx, 70, &arena, &e, &err), err);
    assert_true(e.deleted);
    assert_int_equal(e.created_at_ms, T0);
    assert_true(slw_str_eqz(e.artifact_location, "mlflow-artifacts:/70"));
    assert_ok(slw_track_experiment_tags(&tx, 70, &arena, &tags, &count, &err),
              err);
    assert_int_equal(count, 1);
    assert_true(slw_str_eqz(tags[0].value, "a")); /* not overwritten */
}

static void
points_of_a_deleted_run_are_one_row_and_the_latest_is_known(void **state)
{
    struct slw_err err;
    static struct slw_kv long_param = {{"p", 1}, {0}};
    char text[7001];
    memset(text, 'x', 7000);
    long_param.value = (struct slw_str){text, 7000};
    const struct slw_run_full r = {.run = {.id = SLW_STR(RUN),
                                           .name = SLW_STR("n"),
                                           .status = SLW_RUN_KILLED,
                                           .deleted = true,
                                           .start_ms = T0,
                                           .end_ms = T0 + 5,
                                           .artifact_uri = SLW_STR("s3://b/x")},
                                   .params = &long_param,
                                   .param_count = 1};
    const struct slw_metric points[] = {{SLW_STR("a"), 1, T0, 0},
                                        {SLW_STR("a"), 3, T0 + 2, 2},
                                        {SLW_STR("a"), 2, T0 + 1, 1},
                                        {SLW_STR("a"), 3, T0 + 2, 2},
                                        {SLW_STR("b"), (double)NAN, T0, 0}};
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, store, &err), err);
        assert_ok(slw_track_run_bring(&tx, 1, &r, &err), err);
        assert_ok(slw_track_points_bring(&tx, r.run.id, points, 5, &err), err);
        assert_ok(slw_tx_commit(&tx, &err), err);
    }
    SLW_AUTO(slw_tx, tx);
    struct slw_run_full got;
    struct slw_metric *history = NULL;
    size_t count = 0;
    assert_ok(slw_tx_read(&tx, store, &err), err);
    assert_ok(slw_track_run_full(&tx, r.run.id, &arena, &got, &err), err);
    assert_true(got.run.deleted);
    assert_int_equal(got.run.status, SLW_RUN_KILLED);
    assert_int_equal(got.run.end_ms, T0 + 5);
    assert_int_equal(got.params[0].value.len, 7000); /* not cut */
    assert_int_equal(got.metric_count, 2);
    assert_near(got.metrics[0].value, 3, 0);
    assert_true(isnan(got.metrics[1].value));
    assert_ok(slw_track_history(&tx, r.run.id, SLW_STR("a"), &arena, &history,
                                &count, &err),
              err);
    assert_int_equal(count, 3); /* sent twice, there once */
    SLW_AUTO(slw_point_walk, walk);
    assert_ok(slw_track_points_begin(&walk, &tx, SLW_STR("[0]"), &err), err);
    for (size_t i = 0; i <= 5; i++) {
        struct slw_metric m;
        bool more = false;
        assert_ok(slw_track_points_next(&walk, &m, &more, &err), err);
        assert_int_equal(more, i < 5);
        assert_true(!more || slw_str_eqz(walk.run_id, RUN));
    }
}

static void
a_run_that_is_here_is_a_conflict(void **state)
{
    struct slw_err err;
    const struct slw_run_full r = {
        .run = {.id = SLW_STR("aa"), .status = SLW_RUN_FINISHED}};
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, store, &err), err);
    assert_ok(slw_track_run_bring(&tx, 1, &r, &err), err);
    assert_int_equal(slw_track_run_bring(&tx, 1, &r, &err), SLW_CONFLICT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            an_experiment_keeps_its_number_and_is_merged_by_its_name),
        cmocka_unit_test(
            points_of_a_deleted_run_are_one_row_and_the_latest_is_known),
        cmocka_unit_test(a_run_that_is_here_is_a_conflict),
    };
    return cmocka_run_group_tests_name("track/bring", tests, setup, teardown);
}
