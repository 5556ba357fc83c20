/* test_event.c -- the log of events: order, filters, cursors, and that every
 * kind of tampering is seen. */
#include "store/event.h"

#include <sqlite3.h>

#include "tests/slw_test.h"

#define T0 INT64_C(1700000000000)

static struct slw_store *
open_server(const char *dir)
{
    struct slw_err err;
    struct slw_store *s = NULL;
    const struct slw_store_options opt = {.dir = dir, .server = true};
    assert_ok(slw_store_open(&s, &opt, &err), err);
    return s;
}

static void
emit(struct slw_store *s, const char *kind, const char *subject)
{
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, s, &err), err);
    assert_ok(slw_event_emit(&tx, T0, kind, slw_str_of(subject),
                             SLW_STR("{\"v\":1}"), &err),
              err);
    assert_ok(slw_tx_commit(&tx, &err), err);
}

static int64_t
after(struct slw_store *s, int64_t id, const char *prefix, const char *subject)
{
    struct slw_err err;
    struct slw_event e;
    SLW_AUTO(slw_arena, arena);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, s, &err), err);
    const enum slw_rc rc = slw_event_after(
        &tx, id, slw_str_of(prefix), slw_str_of(subject), &arena, &e, &err);
    if (rc == SLW_NOT_FOUND)
        return 0;
    assert_ok(rc, err);
    assert_true(slw_str_starts(e.kind, prefix));
    return e.id;
}

static enum slw_rc
verify(struct slw_store *s, int64_t *count, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, s, err));
    return slw_event_verify(&tx, count, err);
}

static void
events_are_found_in_order_by_kind_and_subject(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    struct slw_store *s = open_server(dir);
    emit(s, "registry.alias_set", "next/3");  /* 1 */
    emit(s, "monitor.alerted", "next");       /* 2 */
    emit(s, "registry.version_added", "a/1"); /* 3 */
    emit(s, "registry.alias_set", "a/1");     /* 4 */
    emit(s, "jobs.finished", "7");            /* 5 */
    assert_int_equal(after(s, 0, "", ""), 1);
    assert_int_equal(after(s, 1, "", ""), 2);
    assert_int_equal(after(s, 5, "", ""), 0);
    assert_int_equal(after(s, 0, "registry.", ""), 1);
    assert_int_equal(after(s, 1, "registry.", ""), 3);
    assert_int_equal(after(s, 3, "registry.", ""), 4);
    assert_int_equal(after(s, 4, "registry.", ""), 0);
    assert_int_equal(after(s, 1, "registry.alias_set", ""), 4);
    assert_int_equal(after(s, 0, "r", ""), 1);
    assert_int_equal(after(s, 0, "nothing.", ""), 0);
    assert_int_equal(after(s, 0, "", "a/1"), 3);
    assert_int_equal(after(s, 3, "registry.", "a/1"), 4);
    assert_int_equal(after(s, 0, "monitor.", "a/1"), 0);
    assert_int_equal(after(s, 0, "", "a"), 0); /* the whole subject */
    slw_store_close(s);
}

static void
a_cursor_moves_with_the_transaction_or_not_at_all(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    struct slw_store *s = open_server(dir);
    struct slw_err err;
    int64_t id = -1;
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, s, &err), err);
        assert_ok(slw_event_cursor_get(&tx, "flow", &id, &err), err);
        assert_int_equal(id, 0);
        assert_ok(slw_event_cursor_put(&tx, "flow", 4, &err), err);
        assert_ok(slw_tx_commit(&tx, &err), err);
    }
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, s, &err), err);
        assert_ok(slw_event_cursor_put(&tx, "flow", 9, &err), err);
    }
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, s, &err), err);
    assert_ok(slw_event_cursor_get(&tx, "flow", &id, &err), err);
    assert_int_equal(id, 4);
    slw_tx_done(&tx);
    slw_store_close(s);
}

/* The bytes of docs/formats/event.md, hashed by another program:
 *   z=$(printf '0%.0s' $(seq 64))
 *   printf "$z|1|1700000000000|10:test.begun1:x7:{\"v\":1}" | sha256sum */
static void
the_hash_is_the_documented_one(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    struct slw_store *s = open_server(dir);
    emit(s, "test.begun", "x");
    struct slw_err err;
    struct slw_event e;
    SLW_AUTO(slw_arena, arena);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, s, &err), err);
    assert_ok(
        slw_event_after(&tx, 0, SLW_STR(""), SLW_STR(""), &arena, &e, &err),
        err);
    assert_true(e.at_ms == T0);
    assert_true(slw_str_eqz(e.payload, "{\"v\":1}"));
    if (!slw_str_eqz(e.hash, "3db4056cfd54767ce11b70b60355b2be"
                             "3289c3d3c2a07c9525f3c0b020f103d9"))
        fail_msg("%.*s", SLW_FMT(e.hash));
    slw_tx_done(&tx);
    slw_store_close(s);
}

static void
tampering_is_seen_wherever_it_happens(void **state)
{
    static const struct {
        const char *sql;
        const char *says;
    } cases[] = {
        {"UPDATE store_event SET payload = '{\"v\":2}' WHERE id = 3",
         "event 3 (test.begun) was changed"},
        {"UPDATE store_event SET at_ms = at_ms + 1 WHERE id = 1",
         "event 1 (test.begun) was changed"},
        {"UPDATE store_event SET subject = 'es', kind = 'test.begunt'"
         " WHERE id = 5",
         "event 5 (test.begunt) was changed"},
        {"DELETE FROM store_event WHERE id = 3", "event 3 was removed"},
        {"DELETE FROM store_event WHERE id = 1", "event 1 was removed"},
        {"DELETE FROM store_event WHERE id = 5",
         "event 5 was removed from the end"},
        {"DELETE FROM store_event", "event 1 was removed from the end"},
        {"INSERT INTO store_event SELECT id + 1, at_ms, kind, subject,"
         " payload, hash FROM store_event WHERE id = 5",
         "event 6 (test.begun) was changed"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char dir[256];
        char path[300];
        slw_test_dir(dir);
        struct slw_store *s = open_server(dir);
        for (int j = 0; j < 5; j++)
            emit(s, "test.begun", "tes");
        struct slw_err err;
        int64_t count = 0;
        assert_ok(verify(s, &count, &err), err);
        assert_int_equal(count, 5);
        slw_store_close(s);
        (void)snprintf(path, sizeof(path), "%s/slipway.db", dir);
        sqlite3 *db = NULL;
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, cases[i].sql, NULL, NULL, NULL),
                         SQLITE_OK);
        (void)sqlite3_close(db);
        s = open_server(dir);
        assert_fails(verify(s, &count, &err), SLW_CORRUPT, err, cases[i].says);
        slw_store_close(s);
    }
}

/* Cut the tail off and go on: the next event continues from the head. */
static void
a_log_that_goes_on_after_a_cut_shows_the_gap(void **state)
{
    char dir[256];
    char path[300];
    slw_test_dir(dir);
    struct slw_store *s = open_server(dir);
    for (int j = 0; j < 5; j++)
        emit(s, "test.begun", "x");
    slw_store_close(s);
    (void)snprintf(path, sizeof(path), "%s/slipway.db", dir);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "DELETE FROM store_event WHERE id > 3",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    (void)sqlite3_close(db);
    s = open_server(dir);
    emit(s, "test.begun", "x");
    struct slw_err err;
    int64_t count = 0;
    assert_fails(verify(s, &count, &err), SLW_CORRUPT, err,
                 "event 4 was removed from the log (event 6 follows event 3)");
    slw_store_close(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_found_in_order_by_kind_and_subject),
        cmocka_unit_test(a_cursor_moves_with_the_transaction_or_not_at_all),
        cmocka_unit_test(the_hash_is_the_documented_one),
        cmocka_unit_test(tampering_is_seen_wherever_it_happens),
        cmocka_unit_test(a_log_that_goes_on_after_a_cut_shows_the_gap),
    };
    return cmocka_run_group_tests_name("store/event", tests, NULL, NULL);
}
