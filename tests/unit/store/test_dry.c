/* test_dry.c -- dry runs: the same writes, none of which stays. */
#include "store/dry.h"
#include "tests/slw_test.h"

#include <pthread.h>

static struct slw_store *
store_new(char dir[static 256])
{
    struct slw_store *s = NULL;
    struct slw_err err;
    slw_test_dir(dir);
    struct slw_store_options opt = {.dir = dir, .server = true};
    assert_ok(slw_store_open(&s, &opt, &err), err);
    return s;
}

/* One event and one setting, as an action writes them. */
static enum slw_rc
act(struct slw_tx *tx, void *value, struct slw_err *err)
{
    TRY(slw_meta_set(tx, "test", slw_str_of(value), err));
    return slw_event_emit(tx, 7, "test.done", SLW_STR("thing"),
                          SLW_STR("{\"a\":1}"), err);
}

static void
act_now(struct slw_store *s, const char *value)
{
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, s, &err), err);
    assert_ok(act(&tx, (void *)(uintptr_t)value, &err), err);
    assert_ok(slw_tx_commit(&tx, &err), err);
}

static void
assert_state(struct slw_store *s, const char *value, int64_t event_count)
{
    struct slw_err err;
    struct slw_str got = SLW_STR("");
    int64_t count = -1;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, s, &err), err);
    enum slw_rc rc = slw_meta_get(&tx, "test", &a, &got, &err);
    assert_true(rc == SLW_OK || rc == SLW_NOT_FOUND);
    assert_true(slw_str_eqz(got, value));
    assert_ok(slw_event_last(&tx, &count, &err), err);
    assert_int_equal(count, event_count);
    assert_ok(slw_event_verify(&tx, &count, &err), err);
    assert_int_equal(count, event_count);
}

static void
a_dry_run_writes_nothing_and_keeps_what_would_be_announced(void **state)
{
    char dir[256];
    struct slw_store *s = store_new(dir);
    SLW_AUTO(slw_arena, a);
    {
        SLW_AUTO(slw_dry, dry);
        slw_dry_begin(&dry, &a);
        assert_true(slw_dry_is_on());
        act_now(s, "one");
        act_now(s, "two");
        slw_dry_done(&dry);
        assert_false(slw_dry_is_on());
        assert_int_equal(dry.count, 2);
        assert_true(slw_str_eqz(dry.first->kind, "test.done"));
        assert_true(slw_str_eqz(dry.first->subject, "thing"));
        assert_true(slw_str_eqz(dry.first->payload, "{\"a\":1}"));
        assert_null(dry.last->next);
    }
    assert_state(s, "", 0);
    act_now(s, "three");
    assert_state(s, "three", 1);
    slw_store_close(s);
}

static void
what_is_written_in_a_group_is_dry_too(void **state)
{
    char dir[256];
    struct slw_err err;
    struct slw_store *s = store_new(dir);
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_dry, dry);
    slw_dry_begin(&dry, &a);
    assert_ok(slw_store_group(s, act, (void *)(uintptr_t) "one", &err), err);
    slw_dry_done(&dry);
    assert_int_equal(dry.count, 1);
    assert_state(s, "", 0);
    assert_ok(slw_store_group(s, act, (void *)(uintptr_t) "two", &err), err);
    assert_state(s, "two", 1);
    slw_store_close(s);
}

static void *
acts_elsewhere(void *s)
{
    act_now(s, "elsewhere");
    return NULL;
}

static void
another_thread_acts_meanwhile(void **state)
{
    char dir[256];
    pthread_t other;
    struct slw_store *s = store_new(dir);
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_dry, dry);
    slw_dry_begin(&dry, &a);
    act_now(s, "here");
    assert_int_equal(pthread_create(&other, NULL, acts_elsewhere, s), 0);
    pthread_join(other, NULL);
    act_now(s, "here again");
    slw_dry_done(&dry);
    assert_int_equal(dry.count, 2);
    assert_state(s, "elsewhere", 1);
    slw_store_close(s);
}

static void
a_failure_in_a_dry_run_is_the_failure_of_the_act(void **state)
{
    char dir[256];
    struct slw_err err;
    struct slw_store *s = store_new(dir);
    SLW_AUTO(slw_arena, a);
    {
        SLW_AUTO(slw_dry, dry);
        slw_dry_begin(&dry, &a);
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, s, &err), err);
        assert_ok(act(&tx, (void *)(uintptr_t) "one", &err), err);
        /* left without a commit */
    }
    assert_false(slw_dry_is_on());
    assert_state(s, "", 0);
    slw_store_close(s);
}

static void
outside_a_dry_run_effects_cost_and_leave_nothing(void **state)
{
    char dir[256];
    struct slw_err err;
    struct slw_store *s = store_new(dir);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, s, &err), err);
    slw_effect_add(&tx, "test.done", SLW_STR("x"), SLW_STR("{}"));
    assert_null(tx.dry);
    assert_ok(slw_tx_commit(&tx, &err), err);
    slw_store_close(s);
}

static void
events_are_read_backwards_as_forwards(void **state)
{
    char dir[256];
    struct slw_err err;
    struct slw_store *s = store_new(dir);
    static const char *const kinds[] = {"a.one", "b.two", "a.three"};
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, s, &err), err);
        for (int i = 0; i < 30; i++)
            assert_ok(slw_event_emit(&tx, i, kinds[i % 3],
                                     i % 2 ? SLW_STR("x") : SLW_STR("y"),
                                     SLW_STR("{}"), &err),
                      err);
        assert_ok(slw_tx_commit(&tx, &err), err);
    }
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, s, &err), err);
    static const char *const filters[][2] = {{"", ""},  {"a.", ""},  {"b", ""},
                                             {"", "x"}, {"a.", "y"}, {"c", ""}};
    for (size_t f = 0; f < SLW_ARRAY_LEN(filters); f++) {
        int64_t forward[40], backward[40];
        size_t fn = 0, bn = 0;
        struct slw_str kind = slw_str_of(filters[f][0]);
        struct slw_str about = slw_str_of(filters[f][1]);
        struct slw_event e;
        for (int64_t at = 0;
             slw_event_after(&tx, at, kind, about, &a, &e, &err) == SLW_OK;
             at = e.id)
            forward[fn++] = e.id;
        for (int64_t at = INT64_MAX;
             slw_event_before(&tx, at, kind, about, &a, &e, &err) == SLW_OK;
             at = e.id)
            backward[bn++] = e.id;
        assert_int_equal(err.rc, SLW_NOT_FOUND);
        assert_int_equal(fn, bn);
        assert_true(f == 5 ? fn == 0 : fn > 0);
        for (size_t i = 0; i < fn; i++)
            assert_int_equal(forward[i], backward[bn - 1 - i]);
    }
    slw_tx_done(&tx);
    slw_store_close(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_dry_run_writes_nothing_and_keeps_what_would_be_announced),
        cmocka_unit_test(what_is_written_in_a_group_is_dry_too),
        cmocka_unit_test(another_thread_acts_meanwhile),
        cmocka_unit_test(a_failure_in_a_dry_run_is_the_failure_of_the_act),
        cmocka_unit_test(outside_a_dry_run_effects_cost_and_leave_nothing),
        cmocka_unit_test(events_are_read_backwards_as_forwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
