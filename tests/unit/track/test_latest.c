/* test_latest.c -- newest values against a model that keeps all points: many
 * runs, calls large and small, reads, ends and restarts in between. */
#include <math.h>

#include "store/verify.h"
#include "track/track.h"

#include "tests/slw_test.h"

#define RUNS 300 /* more than may wait */
#define KEYS 7
#define ROUNDS 6000

struct expected {
    bool is_there;
    struct slw_metric m;
};

struct fixture {
    char dir[256];
    struct slw_store *store;
    struct slw_arena arena;
    struct slw_str runs[RUNS];
    struct expected newest[RUNS][KEYS];
    uint64_t seed;
};

static const char *const NAMES[KEYS] = {"a", "b", "c", "d", "e", "f", "g"};

static void
open_store(struct fixture *f)
{
    struct slw_err err;
    const struct slw_store_options opt = {.dir = f->dir, .server = true};
    assert_ok(slw_store_open(&f->store, &opt, &err), err);
}

static int
setup(void **state)
{
    static struct fixture f;
    struct slw_err err;
    f = (struct fixture){.seed = 42};
    slw_test_dir(f.dir);
    open_store(&f);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, f.store, &err), err);
    for (int i = 0; i < RUNS; i++) {
        struct slw_run run;
        assert_ok(slw_track_run_create(&tx, 1, 0, SLW_STR(""), SLW_STR("me"),
                                       NULL, 0, &f.arena, &run, &err),
                  err);
        f.runs[i] = run.id;
    }
    assert_ok(slw_tx_commit(&tx, &err), err);
    *state = &f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    slw_store_close(f->store);
    slw_arena_done(&f->arena);
    return 0;
}

static int
any(struct fixture *f, int below)
{
    f->seed = f->seed * 6364136223846793005U + 1442695040888963407U;
    return (int)((f->seed >> 33) % (uint64_t)below);
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
        const int key = any(f, KEYS);
        const int v = any(f, 5);
        m[i] = (struct slw_metric){slw_str_of(NAMES[key]),
                                   v ? (double)(v - 2) : NAN, any(f, 3),
                                   any(f, 9) - 4};
        expect(&f->newest[run][key], &m[i]);
    }
    assert_ok(slw_track_log(tx, f->runs[run], NULL, 0, m, (size_t)count, NULL,
                            0, &err),
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
    assert_ok(slw_track_run_full(&tx, f->runs[run], &a, &full, &err), err);
    for (int key = 0; key < KEYS; key++) {
        const struct expected *e = &f->newest[run][key];
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

static void
nothing_is_wrong(struct fixture *f)
{
    struct slw_err err;
    SLW_AUTO(slw_verify, v);
    assert_ok(slw_verify_begin(&v, f->store, &err), err);
    assert_ok(slw_track_verify(&v, &err), err);
    assert_int_equal(v.fault_count, 0);
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
                log_some(f, &tx, any(f, 4) ? any(f, RUNS) : any(f, 3),
                         any(f, 40) ? 1 + any(f, 20) : 256 + any(f, 300));
            if (any(f, 5) == 0)
                assert_ok(slw_track_run_end(&tx, f->runs[any(f, RUNS)],
                                            SLW_RUN_FINISHED, 9, &err),
                          err);
            assert_ok(slw_tx_commit(&tx, &err), err);
        }
        most = waiting(f) > most ? waiting(f) : most;
        if (any(f, 10) == 0)
            nothing_is_wrong(f);
        if (any(f, 30) == 0) {
            slw_store_close(f->store);
            open_store(f);
        }
        if (any(f, 60) == 0)
            compare(f, any(f, RUNS));
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
        memset(f->newest[0], 0, sizeof(f->newest[0]));
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
        assert_ok(slw_track_run_update(&tx, f->runs[1],
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
            what_is_read_is_the_greatest_whatever_came_between, setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            what_is_rolled_back_leaves_nothing_to_settle, setup, teardown),
        cmocka_unit_test_setup_teardown(a_run_that_ends_waits_no_longer, setup,
                                        teardown),
    };
    return cmocka_run_group_tests_name("track/latest", tests, NULL, NULL);
}
