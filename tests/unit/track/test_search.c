/* test_search.c -- the ways a search can begin find the same runs in the same
 * order: from a small set, from the order's beginning, from all runs. */
#include <math.h>

#include "base/rng.h"
#include "track/track_internal.h"

#include "tests/unit/track/fixture.h"

#define RUNS 240
#define QUERIES 300

static void
run_put(struct slw_tx *tx, struct slw_rng *rng, int64_t i, struct slw_arena *a)
{
    struct slw_err err;
    struct slw_run run;
    struct slw_metric metrics[4];
    struct slw_kv params[3];
    size_t m = 0, p = 0;
    assert_ok(slw_track_run_create(tx, 1000 + i / 3, 0, SLW_STR(""),
                                   SLW_STR("me"), NULL, 0, a, &run, &err),
              err);
    for (int k = 0; k < 4; k++)
        if (slw_rng_u64(rng) % 6)
            metrics[m++] = (struct slw_metric){
                .key = slw_arena_printf(a, "m%d", k),
                .value = slw_rng_u64(rng) % 9
                             ? (double)(slw_rng_u64(rng) % 40) / 4 - 3
                             : (double)NAN,
                .at_ms = 1};
    for (int k = 0; k < 3; k++)
        if (slw_rng_u64(rng) % 5)
            params[p++] = (struct slw_kv){
                slw_arena_printf(a, "p%d", k),
                slw_arena_printf(a, "%d", (int)(slw_rng_u64(rng) % 8))};
    assert_ok(slw_track_log(tx, run.id, params, p, metrics, m, NULL, 0, &err),
              err);
    if (slw_rng_u64(rng) % 10 == 0)
        assert_ok(slw_track_run_mark(tx, 2000, run.id, true, &err), err);
}

static int
setup_runs(void **state)
{
    struct slw_err err;
    struct slw_rng rng;
    (void)setup(state);
    struct fixture *f = *state;
    slw_rng_init(&rng, 7);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, f->store, &err), err);
    for (int64_t i = 0; i < RUNS; i++)
        run_put(&tx, &rng, i, &f->arena);
    assert_ok(slw_tx_commit(&tx, &err), err);
    return 0;
}

static struct slw_str
clause(struct slw_rng *rng, struct slw_arena *a)
{
    static const char *const ops[] = {">", "<", ">=", "<=", "=", "!="};
    const int k = (int)(slw_rng_u64(rng) % 4);
    switch (slw_rng_u64(rng) % 4) {
    case 0:
        return slw_arena_printf(a, "params.p%d = '%d'", k,
                                (int)(slw_rng_u64(rng) % 9));
    case 1:
        return slw_arena_printf(a, "params.p%d IS NOT NULL", k);
    case 2:
        return slw_arena_printf(a, "attributes.start_time > %d",
                                (int)(1000 + slw_rng_u64(rng) % 80));
    default:
        return slw_arena_printf(a, "metrics.m%d %s %g", k,
                                ops[slw_rng_u64(rng) % 6],
                                (double)(slw_rng_u64(rng) % 40) / 4 - 3);
    }
}

static struct slw_track_query
query(struct slw_rng *rng, struct slw_arena *a)
{
    static const int64_t experiment[] = {0};
    static const char *const orders[] = {
        "metrics.m0 ASC", "metrics.m1 DESC",       "metrics.absent DESC",
        "params.p0 ASC",  "attributes.start_time", "start_time DESC",
        "metrics.m2",     "end_time DESC"};
    struct slw_str *order = SLW_ARENA_NEW(a, struct slw_str, 2);
    struct slw_track_query q = {.experiment_ids = experiment,
                                .experiment_count = 1,
                                .filter = SLW_STR(""),
                                .order_by = order,
                                .limit = 1 + slw_rng_u64(rng) % 40,
                                .offset = slw_rng_u64(rng) % 30};
    const size_t clauses = slw_rng_u64(rng) % 4;
    for (size_t i = 0; i < clauses; i++) {
        const struct slw_str c = clause(rng, a);
        q.filter = slw_arena_printf(a, "%.*s%s%.*s", SLW_FMT(q.filter),
                                    i ? " AND " : "", SLW_FMT(c));
    }
    const size_t first = slw_rng_u64(rng) % 12;
    if (first < SLW_ARRAY_LEN(orders))
        order[q.order_count++] = slw_str_of(orders[first]);
    if (first < 4)
        order[q.order_count++] = SLW_STR("metrics.m3 DESC");
    q.view = slw_rng_u64(rng) % 8 ? SLW_VIEW_ACTIVE : SLW_VIEW_ALL;
    return q;
}

static const struct track_search_limits WALK_ALL = {0, 1000, 0, 1000, 0},
                                        WALK_SOME = {0, 1000, 0, 50, 0};

static size_t
search(struct fixture *f, const struct slw_track_query *q,
       struct track_search_limits limits, struct slw_run_full **out, bool *more)
{
    struct slw_err err;
    size_t count = 0;
    const struct track_search_limits usual = track_search_limits;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_track_read(&tx, f->store, &err), err);
    track_search_limits = limits;
    assert_ok(slw_track_run_search(&tx, q, &f->arena, out, &count, more, &err),
              err);
    track_search_limits = usual;
    return count;
}

static void
every_way_to_begin_finds_the_same(void **state)
{
    struct fixture *f = *state;
    struct slw_rng rng;
    static const struct track_search_limits limits[] = {
        /* pages of a driver, of a beginning; rows of them; the last driver */
        {0, 1000, 1000, 1000, 1000}, {0, 1000, 0, 20, 0},
        {0, 1000, 0, 3, 1000},       {0, 1000, 12, 60, 40},
        {0, 1000, 0, 100, 1000},     {1, 1, 1000, 1000, 1000},
        {0, 1, 20, 100, 50},         {2, 4, 0, 900, 0},
        {0, 2, 0, 40, 1000}};
    slw_rng_init(&rng, 11);
    size_t found = 0;
    for (int i = 0; i < QUERIES; i++) {
        const struct slw_track_query q = query(&rng, &f->arena);
        struct slw_run_full *want = NULL;
        bool want_more = false;
        const size_t want_count = search(f, &q, WALK_ALL, &want, &want_more);
        found += want_count;
        for (size_t k = 0; k < SLW_ARRAY_LEN(limits); k++) {
            struct slw_run_full *got = NULL;
            bool more = false;
            const size_t count = search(f, &q, limits[k], &got, &more);
            assert_int_equal(count, want_count);
            assert_int_equal(more, want_more);
            for (size_t n = 0; n < count; n++)
                assert_true(slw_str_eq(got[n].run.id, want[n].run.id));
        }
    }
    assert_true(found > QUERIES); /* or nothing was compared */
}

static void
pages_leave_out_what_was_made_meanwhile(void **state)
{
    struct fixture *f = *state;
    static const int64_t experiment[] = {0};
    struct slw_err err;
    struct slw_rng rng;
    struct slw_run_full *whole = NULL, *page = NULL;
    struct slw_track_query q = {.experiment_ids = experiment,
                                .experiment_count = 1,
                                .filter = SLW_STR(""),
                                .limit = 1000};
    bool more = false;
    const size_t count = search(f, &q, WALK_ALL, &whole, &more);
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_track_read(&tx, f->store, &err), err);
        assert_ok(slw_track_run_newest(&tx, &q.newest, &err), err);
    }
    slw_rng_init(&rng, 3);
    q.limit = 25;
    for (q.offset = 0; q.offset < count; q.offset += q.limit) {
        const size_t n = search(f, &q, WALK_SOME, &page, &more);
        assert_int_equal(n, count - q.offset < q.limit ? count - q.offset
                                                       : q.limit);
        for (size_t i = 0; i < n; i++)
            assert_true(slw_str_eq(page[i].run.id, whole[q.offset + i].run.id));
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, f->store, &err), err);
        run_put(&tx, &rng, 900, &f->arena); /* the newest of all */
        assert_ok(slw_tx_commit(&tx, &err), err);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_way_to_begin_finds_the_same,
                                        setup_runs, teardown),
        cmocka_unit_test_setup_teardown(pages_leave_out_what_was_made_meanwhile,
                                        setup_runs, teardown),
    };
    return cmocka_run_group_tests_name("track/search", tests, NULL, NULL);
}
