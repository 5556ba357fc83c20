/* test_points.c -- points of metrics through every way they are stored: call
 * by call, folded, in one large call; read whole and by pages. */
#include <math.h>

#include "tests/unit/track/fixture.h"

#define CALLS 2600 /* two folds and a tail */

static int
setup_run(void **state)
{
    (void)setup(state);
    struct fixture *f = *state;
    f->run = new_run(f, 1);
    return 0;
}

/* One call with `count` points of each of two metrics, from step `step`. */
static void
log_call(struct fixture *f, struct slw_tx *tx, int64_t step, size_t count,
         int64_t at_ms)
{
    struct slw_err err;
    struct slw_metric *m =
        SLW_ARENA_NEW(&f->arena, struct slw_metric, 2 * count);
    for (size_t i = 0; i < count; i++) {
        const int64_t s = step + (int64_t)i;
        m[2 * i] = (struct slw_metric){SLW_STR("a"), (double)s / 8, at_ms, s};
        m[2 * i + 1] = (struct slw_metric){SLW_STR("b"), (double)-s, at_ms, s};
    }
    assert_ok(slw_track_log(tx, f->run, NULL, 0, m, 2 * count, NULL, 0, &err),
              err);
}

static size_t
read_all(struct fixture *f, const char *key, struct slw_metric **out)
{
    struct slw_err err;
    size_t count = 0;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, f->store, &err), err);
    assert_ok(slw_track_history(&tx, f->run, slw_str_of(key), &f->arena, out,
                                &count, &err),
              err);
    return count;
}

static void
pages_make_the_whole(struct fixture *f, const char *key, size_t page)
{
    struct slw_metric *all = NULL;
    const size_t count = read_all(f, key, &all);
    SLW_AUTO(slw_tx, tx);
    struct slw_err err;
    assert_ok(slw_tx_read(&tx, f->store, &err), err);
    for (size_t at = 0; at < count + page; at += page) {
        struct slw_metric *got = NULL;
        size_t got_count = 0, total = 0;
        assert_ok(slw_track_history_page(&tx, f->run, slw_str_of(key), at, page,
                                         &f->arena, &got, &got_count, &total,
                                         &err),
                  err);
        assert_int_equal(total, count);
        assert_int_equal(got_count, at >= count         ? 0
                                    : count - at < page ? count - at
                                                        : page);
        for (size_t i = 0; i < got_count; i++) {
            assert_int_equal(got[i].step, all[at + i].step);
            assert_int_equal(got[i].at_ms, all[at + i].at_ms);
            assert_memory_equal(&got[i].value, &all[at + i].value, 8);
        }
    }
}

static void
points_logged_one_by_one_are_all_there_in_order(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, f->store, &err), err);
        for (int64_t i = 0; i < CALLS; i++)
            log_call(f, &tx, i, 1, 1000 + i / 3); /* times repeat */
        assert_ok(slw_tx_commit(&tx, &err), err);
    }
    struct slw_metric *m = NULL;
    assert_int_equal(read_all(f, "b", &m), CALLS);
    for (int64_t i = 0; i < CALLS; i++) {
        assert_int_equal(m[i].step, i);
        assert_int_equal(m[i].at_ms, 1000 + i / 3);
        assert_near(m[i].value, (double)-i, 0.0);
    }
    assert_int_equal(read_all(f, "absent", &m), 0);
    pages_make_the_whole(f, "a", 100);
    pages_make_the_whole(f, "a", 1024);
    pages_make_the_whole(f, "b", 2599);
    nothing_is_wrong(f);
}

static void
points_that_come_backwards_and_twice_are_sorted_and_once(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, f->store, &err), err);
        for (int64_t i = CALLS - 1; i >= 0; i--)
            log_call(f, &tx, i, 1, 1000 + i);
        for (int64_t i = 0; i < CALLS; i += 2)
            log_call(f, &tx, i, 1, 1000 + i);
        assert_ok(slw_tx_commit(&tx, &err), err);
    }
    struct slw_metric *m = NULL;
    assert_int_equal(read_all(f, "a", &m), CALLS);
    for (int64_t i = 0; i < CALLS; i++)
        assert_int_equal(m[i].step, i);
    pages_make_the_whole(f, "a", 333);
    nothing_is_wrong(f);
}

static void
large_calls_and_small_ones_mix(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    int64_t step = 0;
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, f->store, &err), err);
        for (int i = 0; i < 40; i++) {
            const size_t count = i % 4 == 0 ? 400 : (size_t)(1 + i % 7);
            log_call(f, &tx, step, count, 1000 + step);
            step += (int64_t)count;
        }
        assert_ok(slw_tx_commit(&tx, &err), err);
    }
    struct slw_metric *m = NULL;
    assert_int_equal(read_all(f, "a", &m), step);
    for (int64_t i = 0; i < step; i++)
        assert_int_equal(m[i].step, i);
    pages_make_the_whole(f, "b", 97);
    nothing_is_wrong(f);
}

static void
what_is_rolled_back_was_never_folded(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_metric *m = NULL;
    for (int round = 0; round < 2; round++) {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, f->store, &err), err);
        for (int64_t i = 0; i < 1500; i++)
            log_call(f, &tx, round * 1500 + i, 1, i);
        if (round == 1)
            break; /* no commit: all of it is undone, its names too */
        assert_ok(slw_tx_commit(&tx, &err), err);
    }
    assert_int_equal(read_all(f, "a", &m), 1500);
    nothing_is_wrong(f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            points_logged_one_by_one_are_all_there_in_order, setup_run,
            teardown),
        cmocka_unit_test_setup_teardown(
            points_that_come_backwards_and_twice_are_sorted_and_once, setup_run,
            teardown),
        cmocka_unit_test_setup_teardown(large_calls_and_small_ones_mix,
                                        setup_run, teardown),
        cmocka_unit_test_setup_teardown(what_is_rolled_back_was_never_folded,
                                        setup_run, teardown),
    };
    return cmocka_run_group_tests_name("track/points", tests, NULL, NULL);
}
