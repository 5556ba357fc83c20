/* test_latest.c -- newest values against a model that keeps all points: many
 * runs, calls large and small, reads, ends and restarts in between. */
#include <math.h>

#include "base/rng.h"

#include "tests/unit/track/fixture.h"

#define RUNS 300 /* more than may wait */
#define KEYS 7
#define ROUNDS 6000

struct expected {
    bool is_there;
    struct slw_metric m;
};

static struct slw_str runs[RUNS];
static struct expected newest[RUNS][KEYS];
static struct slw_rng rng;

static const char *const NAMES[KEYS] = {"a", "b", "c", "d", "e", "f", "g"};

static int
setup_runs(void **state)
{
    (void)setup(state);
    for (int i = 0; i < RUNS; i++)
        runs[i] = new_run(*state, 1);
    memset(newest, 0, sizeof(newest));
    slw_rng_init(&rng, 42);
    return 0;
}

static int
any(int below)
{
    return (int)(slw_rng_u64(&rng) % (uint64_t)below);
}

/* As MLflow says: by step, then time, then value, NaN as 0; the first stays. */
static void
expect(struct expected *e, const struct slw_metric *m)
{
    const double was = isnan(e->m.value) ? 0 : e->m.value;
    const double is = isnan(m->value) ? 0 : m->value;
    bool greater = is > was;
    if (m->at_ms != e->m.at_ms)
        greater = m->at_ms > e->m.at_ms;
    if (m->step != e->m.step)
        greater = m->step > e->m.step;
    if (e->is_there && !greater)
        return;
    e->is_there = true;
    e->m = *m;
}

/* One call of a run: points of any metrics, few values, so that they tie. */
static void
log_some(struct fixture *f, struct slw_tx *tx, int run, int count)
{
    SLW_AUTO(slw_arena, a);
    struct slw_err err;
    struct slw_metric *m = SLW_ARENA_NEW(&a, struct slw_metric, (size_t)count);
    for (int i = 0; i < count; i++) {
        const int key = any(KEYS);
        const int v = any(5);
        m[i] =
            (struct slw_metric){slw_str_of(NAMES[key]),
                                v ? (double)(v - 2) : NAN, any(3), any(9) - 4};
        expect(&newest[run][key], &m[i]);
    }
    assert_ok(
        slw_track_log(tx, runs[run], NULL, 0, m, (size_t)count, NULL, 0, &err),
        err);
}

static void
compare(struct fixture *f, int run)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_tx, tx);
    struct slw_err err;
    struct slw_run_full full;
    size_t at = 0;
    assert_ok(slw_track_read(&tx, f->store, &err), err);
    assert_ok(slw_track_run_full(&tx, runs[run], &a, &full, &err), err);
    for (int key = 0; key < KEYS; key++) {
        const struct expected *e = &newest[run][key];
        if (!e->is_there)
            continue;
        assert_true(at < full.metric_count);
        assert_string_equal(full.metrics[at].key.ptr, NAMES[key]);
        assert_int_equal(full.metrics[at].step, e->m.step);
        assert_int_equal(full.metrics[at].at_ms, e->m.at_ms);
        assert_int_equal(isnan(full.metrics[at].value), isnan(e->m.value));
        if (!isnan(e->m.value))
            assert_near(full.metrics[at].value, e->m.value, 0.0);
        at++;
    }
    assert_int_equal(at, full.metric_count);
}

static int64_t
waiting(struct fixture *f)
{
    struct slw_err err;
    bool row = false;
    SLW_AUTO(slw_tx, tx);
    SLW_AUTO(slw_stmt, st);
    assert_ok(slw_tx_read(&tx, f->store, &err), err);
    assert_ok(slw_stmt_prepare(&st, &tx, "SELECT count(*) FROM track_unsettled",
                               &err),
              err);
    assert_ok(slw_stmt_step(&st, &row, &err), err);
    return slw_col_i64(&st, 0);
}

static void
what_is_read_is_the_greatest_whatever_came_between(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    int64_t most = 0;
    for (int round = 0; round < ROUNDS / 20; round++) {
        {
            SLW_AUTO(slw_tx, tx);
            assert_ok(slw_tx_begin(&tx, f->store, &err), err);
            for (int i = 0; i < 20; i++)
                log_some(f, &tx, any(4) ? any(RUNS) : any(3),
                         any(40) ? 1 + any(20) : 256 + any(300));
            if (any(5) == 0)
                assert_ok(slw_track_run_end(&tx, runs[any(RUNS)],
                                            SLW_RUN_FINISHED, 9, &err),
                          err);
            assert_ok(slw_tx_commit(&tx, &err), err);
        }
        most = waiting(f) > most ? waiting(f) : most;
        if (any(10) == 0)
            nothing_is_wrong(f);
        if (any(30) == 0) {
            slw_store_close(f->store);
            open_store(f);
        }
        if (any(60) == 0)
            compare(f, any(RUNS));
    }
    assert_in_range(most, 200, 256);
    for (int run = 0; run < RUNS; run++)
        compare(f, run);
    assert_int_equal(waiting(f), 0);
    nothing_is_wrong(f);
}

static void
what_is_rolled_back_leaves_nothing_to_settle(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, f->store, &err), err);
        log_some(f, &tx, 0, 9);
        memset(newest[0], 0, sizeof(newest[0]));
    }
    assert_int_equal(waiting(f), 0);
    compare(f, 0);
}

static void
a_run_that_ends_waits_no_longer(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    for (int turn = 0; turn < 2; turn++) {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, f->store, &err), err);
        log_some(f, &tx, 1, 5);
        assert_ok(slw_track_run_update(&tx, runs[1],
                                       turn ? SLW_RUN_FAILED : SLW_RUN_RUNNING,
                                       -1, SLW_STR(""), &err),
                  err);
        assert_ok(slw_tx_commit(&tx, &err), err);
        assert_int_equal(waiting(f), turn ? 0 : 1);
    }
    compare(f, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            what_is_read_is_the_greatest_whatever_came_between, setup_runs,
            teardown),
        cmocka_unit_test_setup_teardown(
            what_is_rolled_back_leaves_nothing_to_settle, setup_runs, teardown),
        cmocka_unit_test_setup_teardown(a_run_that_ends_waits_no_longer,
                                        setup_runs, teardown),
    };
    return cmocka_run_group_tests_name("track/latest", tests, NULL, NULL);
}
