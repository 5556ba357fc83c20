/* fixture.h -- a store in a folder of its own, for the tests of this room. */
#ifndef SLW_TESTS_TRACK_FIXTURE_H
#define SLW_TESTS_TRACK_FIXTURE_H

#include "store/verify.h"
#include "track/track.h"

#include "tests/slw_test.h"

struct fixture {
    char dir[256];
    struct slw_store *store;
    struct slw_arena arena;
    struct slw_str run; /* of tests that need one only */
};

static inline void
open_store(struct fixture *f)
{
    struct slw_err err;
    const struct slw_store_options opt = {.dir = f->dir, .server = true};
    assert_ok(slw_store_open(&f->store, &opt, &err), err);
}

static inline int
setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){0};
    slw_test_dir(f.dir);
    open_store(&f);
    *state = &f;
    return 0;
}

static inline int
teardown(void **state)
{
    struct fixture *f = *state;
    slw_store_close(f->store);
    slw_arena_done(&f->arena);
    return 0;
}

static inline struct slw_str
new_run(struct fixture *f, int64_t start_ms)
{
    struct slw_err err;
    struct slw_run run;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, f->store, &err), err);
    assert_ok(slw_track_run_create(&tx, start_ms, 0, SLW_STR(""), SLW_STR("me"),
                                   NULL, 0, &f->arena, &run, &err),
              err);
    assert_ok(slw_tx_commit(&tx, &err), err);
    return run.id;
}

static inline void
nothing_is_wrong(struct fixture *f)
{
    struct slw_err err;
    SLW_AUTO(slw_verify, v);
    assert_ok(slw_verify_begin(&v, f->store, &err), err);
    assert_ok(slw_track_verify(&v, &err), err);
    assert_int_equal(v.fault_count, 0);
}

#endif
