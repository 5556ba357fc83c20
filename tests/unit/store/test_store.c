/* test_store.c -- opening a data folder: what is refused, and with which
 * sentence; migrations; transactions and statements. */
#include "store/store.h"

#include <sqlite3.h>

#include <pthread.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/file.h"
#include "tests/slw_test.h"

static struct slw_store *
open_server(const char *dir)
{
    struct slw_err err;
    struct slw_store *s = NULL;
    const struct slw_store_options opt = {.dir = dir, .server = true};
    assert_ok(slw_store_open(&s, &opt, &err), err);
    return s;
}

static enum slw_rc
try_open(const char *dir, bool server, struct slw_err *err)
{
    struct slw_store *s = NULL;
    const struct slw_store_options opt = {.dir = dir, .server = server};
    const enum slw_rc rc = slw_store_open(&s, &opt, err);
    if (rc != SLW_OK)
        assert_null(s);
    slw_store_close(s);
    return rc;
}

/* Behind the store's back. */
static void
tamper(const char *dir, const char *sql)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/slipway.db", dir);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    char *said = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &said) != SQLITE_OK)
        fail_msg("%s: %s", sql, said);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void
put(struct slw_store *s, const char *key, const char *value)
{
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, s, &err), err);
    assert_ok(slw_meta_set(&tx, key, slw_str_of(value), &err), err);
    assert_ok(slw_tx_commit(&tx, &err), err);
}

static bool
has(struct slw_store *s, const char *key, const char *value)
{
    struct slw_err err;
    SLW_AUTO(slw_arena, arena);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, s, &err), err);
    struct slw_str got;
    const enum slw_rc rc = slw_meta_get(&tx, key, &arena, &got, &err);
    if (rc == SLW_NOT_FOUND)
        return false;
    assert_ok(rc, err);
    return slw_str_eqz(got, value);
}

static void
a_fresh_folder_gets_its_layout_and_keeps_what_is_written(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    char sub[512];
    (void)snprintf(sub, sizeof(sub), "%s/a/b", dir);
    struct slw_store *s = open_server(sub);
    assert_string_equal(slw_store_dir(s), sub);
    put(s, "color", "green");
    put(s, "color", "blue");
    slw_store_close(s);
    const char *names[] = {"slipway.db", "lock", "blobs",       "cache",
                           "tmp",        "jobs", "predictions", "backup"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[1024];
        (void)snprintf(path, sizeof(path), "%s/%s", sub, names[i]);
        assert_true(access(path, F_OK) == 0);
    }
    s = open_server(sub);
    assert_true(has(s, "color", "blue"));
    assert_false(has(s, "shape", ""));
    struct slw_err err;
    assert_ok(slw_store_check(s, &err), err);
    slw_store_close(s);
}

static void
a_second_server_on_the_folder_is_refused_by_name(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    struct slw_store *s = open_server(dir);
    char pid[64];
    (void)snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
    struct slw_err err;
    assert_fails(try_open(dir, true, &err), SLW_BUSY, err,
                 "another slipway server is running on ");
    assert_non_null(strstr(err.msg, pid));
    assert_ok(try_open(dir, false, &err), err); /* a job child may */
    slw_store_close(s);
    assert_ok(try_open(dir, true, &err), err);
}

static void
the_lock_of_a_killed_server_is_free(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)open_server(dir);
        (void)kill(getpid(), SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    struct slw_err err;
    assert_ok(try_open(dir, true, &err), err);
}

static void
a_child_finds_no_data_in_an_empty_folder(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    struct slw_err err;
    assert_fails(try_open(dir, false, &err), SLW_NOT_FOUND, err,
                 "there is no Slipway data in");
}

static void
foreign_and_broken_files_are_refused(void **state)
{
    struct slw_err err;
    char dir[256];
    slw_test_dir(dir);
    tamper(dir, "CREATE TABLE song(title TEXT)");
    assert_fails(try_open(dir, true, &err), SLW_CORRUPT, err,
                 "is a database of another program");

    slw_test_dir(dir);
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/slipway.db", dir);
    assert_ok(slw_file_put(path,
                           SLW_STR("no database at all, but long enough "
                                   "to be read as the head of one: "
                                   "0123456789012345678901234567890123"),
                           &err),
              err);
    assert_fails(try_open(dir, true, &err), SLW_CORRUPT, err,
                 "is not an SQLite database");
}

static void
a_changed_migration_stops_the_start(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    slw_store_close(open_server(dir));
    tamper(dir, "UPDATE schema_migration SET sha256 = 'abc' WHERE number = 1");
    struct slw_err err;
    assert_fails(try_open(dir, true, &err), SLW_CORRUPT, err,
                 "migration 0001_base.sql was changed");
    assert_fails(try_open(dir, false, &err), SLW_CORRUPT, err, "was changed");
}

static void
a_newer_schema_is_not_touched(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    slw_store_close(open_server(dir));
    tamper(dir, "INSERT INTO schema_migration"
                " VALUES(999, '0999_future.sql', 'abc')");
    struct slw_err err;
    assert_fails(try_open(dir, true, &err), SLW_UNSUPPORTED, err,
                 "newer Slipway (migration 0999_future.sql");
}

static void
an_older_database_is_backed_up_and_migrated(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    struct slw_store *s = open_server(dir);
    put(s, "color", "green");
    slw_store_close(s);
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/backup/before-0002.db", dir);
    assert_false(slw_file_exists(path)); /* a fresh one has none */
    tamper(dir, "DELETE FROM schema_migration WHERE number = 2;"
                "DROP TABLE jobs_job");
    struct slw_err err;
    assert_fails(try_open(dir, false, &err), SLW_UNSUPPORTED, err,
                 "of an older Slipway (migration 0002_jobs.sql");
    s = open_server(dir);
    assert_true(has(s, "color", "green"));
    assert_ok(slw_store_check(s, &err), err);
    slw_store_close(s);
    assert_true(slw_file_exists(path));

    sqlite3 *db = NULL; /* the copy is whole, and of before */
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "SELECT value FROM store_meta", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "SELECT id FROM jobs_job", NULL, NULL, NULL),
        SQLITE_ERROR);
    (void)sqlite3_close(db);
}

static void
what_a_killed_server_left_in_tmp_is_removed(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    slw_store_close(open_server(dir));
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/tmp/blob-1-1", dir);
    struct slw_err err;
    assert_ok(slw_file_put(path, SLW_STR("half"), &err), err);
    slw_store_close(open_server(dir));
    assert_false(slw_file_exists(path));
}

static void
a_damaged_page_is_found_by_the_check(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    struct slw_store *s = open_server(dir);
    for (int i = 0; i < 400; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "key-%d", i);
        char value[400];
        memset(value, 'x', sizeof(value));
        value[sizeof(value) - 1] = '\0';
        put(s, key, value);
    }
    slw_store_close(s);
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/slipway.db", dir);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    /* Overwrite the last two pages: leaves of the table just filled. */
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    const long size = ftell(f);
    const long from = size - 2 * 8192;
    assert_int_equal(fseek(f, from, SEEK_SET), 0);
    for (long i = from; i < size; i++)
        assert_int_not_equal(fputc(0xa5, f), EOF);
    assert_int_equal(fclose(f), 0);
    s = open_server(dir);
    struct slw_err err;
    assert_fails(slw_store_check(s, &err), SLW_CORRUPT, err, "damaged");
    slw_store_close(s);
}

static void
a_backup_is_taken_while_running(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    struct slw_store *s = open_server(dir);
    put(s, "color", "green");
    char copy[512];
    (void)snprintf(copy, sizeof(copy), "%s/copy", dir);
    struct slw_err err;
    assert_ok(slw_dir_make(copy, &err), err);
    char path[600];
    (void)snprintf(path, sizeof(path), "%s/slipway.db", copy);
    assert_ok(slw_store_backup(s, path, &err), err);
    put(s, "color", "blue");
    assert_ok(slw_store_backup(s, path, &err), err); /* replaces the old one */
    assert_fails(slw_store_backup(s, "/nowhere/x.db", &err), SLW_IO, err,
                 "cannot back up to /nowhere/x.db");
    slw_store_close(s);
    s = open_server(copy);
    assert_true(has(s, "color", "blue"));
    slw_store_close(s);
}

/* ---- transactions and statements ---- */

static const char SQL_PUT[] =
    "INSERT INTO store_meta(key, value) VALUES(?1, ?2)";
static const char SQL_KEYS[] = "SELECT key FROM store_meta"
                               " WHERE key LIKE 'k%' ORDER BY key";

static void
without_a_commit_nothing_is_written(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    struct slw_store *s = open_server(dir);
    struct slw_err err;
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, s, &err), err);
        assert_ok(slw_meta_set(&tx, "a", SLW_STR("1"), &err), err);
    }
    assert_false(has(s, "a", "1"));
    slw_store_close(s);
}

static void
a_snapshot_does_not_see_later_commits(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    struct slw_store *s = open_server(dir);
    put(s, "a", "1");
    struct slw_err err;
    SLW_AUTO(slw_arena, arena);
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_read(&tx, s, &err), err);
        put(s, "a", "2");
        struct slw_str got;
        assert_ok(slw_meta_get(&tx, "a", &arena, &got, &err), err);
        assert_true(slw_str_eqz(got, "1"));
    }
    assert_true(has(s, "a", "2"));
    slw_store_close(s);
}

static void
a_statement_that_outlives_its_transaction_is_harmless(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    struct slw_store *s = open_server(dir);
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, s, &err), err);
    SLW_AUTO(slw_stmt, put_stmt);
    SLW_AUTO(slw_stmt, keys);
    SLW_AUTO(slw_stmt, text);
    assert_ok(slw_stmt_prepare(&put_stmt, &tx, SQL_PUT, &err), err);
    for (int i = 0; i < 3; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%d", i);
        slw_stmt_str(&put_stmt, 1, slw_str_of(key));
        slw_stmt_str(&put_stmt, 2, SLW_STR("v"));
        assert_ok(slw_stmt_run(&put_stmt, &err), err);
        assert_int_equal(slw_tx_changes(&tx), 1);
    }
    bool row = false;
    assert_ok(slw_stmt_prepare(&keys, &tx, SQL_KEYS, &err), err);
    assert_ok(slw_stmt_step(&keys, &row, &err), err); /* left in the middle */
    assert_true(row);
    assert_ok(slw_stmt_prepare_text(&text, &tx, SLW_STR("SELECT 1"), &err),
              err);
    assert_ok(slw_stmt_step(&text, &row, &err), err);
    assert_ok(slw_tx_commit(&tx, &err), err);
    /* The three are open still; the connection is free all the same. */
    put(s, "k3", "v");
    put(s, "k4", "v");
    slw_tx_done(&tx);
    {
        SLW_AUTO(slw_tx, again);
        SLW_AUTO(slw_stmt, st);
        assert_ok(slw_tx_read(&again, s, &err), err);
        assert_ok(slw_stmt_prepare(&st, &again, SQL_KEYS, &err), err);
        int count = 0;
        for (;; count++) {
            assert_ok(slw_stmt_step(&st, &row, &err), err);
            if (!row)
                break;
        }
        assert_int_equal(count, 5);
    }
    slw_stmt_done(&put_stmt);
    slw_stmt_done(&keys);
    slw_stmt_done(&text);
    slw_store_close(s);
}

static void
the_same_query_may_run_inside_itself(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    struct slw_store *s = open_server(dir);
    for (int i = 0; i < 5; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%d", i);
        put(s, key, "v");
    }
    struct slw_err err;
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_read(&tx, s, &err), err);
        SLW_AUTO(slw_stmt, outer);
        assert_ok(slw_stmt_prepare(&outer, &tx, SQL_KEYS, &err), err);
        int pairs = 0;
        for (;;) {
            bool row = false;
            assert_ok(slw_stmt_step(&outer, &row, &err), err);
            if (!row)
                break;
            SLW_AUTO(slw_stmt, inner);
            assert_ok(slw_stmt_prepare(&inner, &tx, SQL_KEYS, &err), err);
            for (;; pairs++) {
                assert_ok(slw_stmt_step(&inner, &row, &err), err);
                if (!row)
                    break;
            }
        }
        assert_int_equal(pairs, 25);
    }
    slw_store_close(s);
}

/* Texts made at run time: more than are kept, in turns, one in use twice. */
static void
a_text_gives_its_own_rows_however_often_it_is_asked(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    struct slw_store *s = open_server(dir);
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, s, &err), err);
    for (int i = 0; i < 300; i++) {
        bool row = false;
        char sql[64];
        (void)snprintf(sql, sizeof(sql), "SELECT ?1 * %d", i % 19 % 11);
        SLW_AUTO(slw_stmt, outer);
        SLW_AUTO(slw_stmt, inner);
        assert_ok(slw_stmt_prepare_text(&outer, &tx, slw_str_of(sql), &err),
                  err);
        slw_stmt_i64(&outer, 1, i);
        assert_ok(slw_stmt_step(&outer, &row, &err), err);
        assert_int_equal(slw_col_i64(&outer, 0), i * (i % 19 % 11));
        assert_ok(slw_stmt_prepare_text(&inner, &tx, slw_str_of(sql), &err),
                  err);
        assert_ok(slw_stmt_step(&inner, &row, &err), err);
        assert_true(slw_col_null(&inner, 0)); /* bound by nobody */
        assert_int_equal(slw_col_i64(&outer, 0), i * (i % 19 % 11));
    }
    slw_tx_done(&tx);
    slw_store_close(s);
}

static void
values_come_back_as_they_were_bound(void **state)
{
    static const char SQL[] = "SELECT ?1, ?2, ?3, ?4, ?5, ?6";
    char dir[256];
    slw_test_dir(dir);
    struct slw_store *s = open_server(dir);
    struct slw_err err;
    {
        SLW_AUTO(slw_arena, arena);
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_read(&tx, s, &err), err);
        SLW_AUTO(slw_stmt, st);
        assert_ok(slw_stmt_prepare(&st, &tx, SQL, &err), err);
        slw_stmt_i64(&st, 1, INT64_MIN);
        slw_stmt_f64(&st, 2, 0.1);
        slw_stmt_f64(&st, 3, (double)NAN);
        slw_stmt_str(&st, 4, (struct slw_str){0});
        slw_stmt_blob(&st, 5, "a\0b", 3);
        slw_stmt_null(&st, 6);
        bool row = false;
        assert_ok(slw_stmt_step(&st, &row, &err), err);
        assert_true(row);
        assert_true(slw_col_i64(&st, 0) == INT64_MIN);
        assert_near(slw_col_f64(&st, 1), 0.1, 0);
        assert_true(isnan(slw_col_f64(&st, 2)));
        assert_true(slw_col_null(&st, 2));
        assert_false(slw_col_null(&st, 3));
        assert_int_equal(slw_col_dup(&st, 3, &arena).len, 0);
        assert_int_equal(slw_col_blob(&st, 4).len, 3);
        assert_memory_equal(slw_col_blob(&st, 4).ptr, "a\0b", 3);
        assert_true(slw_col_null(&st, 5));
    }
    slw_store_close(s);
}

static void
a_broken_rule_is_a_conflict_and_a_reader_cannot_write(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    struct slw_store *s = open_server(dir);
    put(s, "a", "1");
    struct slw_err err;
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, s, &err), err);
        SLW_AUTO(slw_stmt, st);
        assert_ok(slw_stmt_prepare(&st, &tx, SQL_PUT, &err), err);
        slw_stmt_str(&st, 1, SLW_STR("a"));
        slw_stmt_str(&st, 2, SLW_STR("2"));
        assert_fails(slw_stmt_run(&st, &err), SLW_CONFLICT, err,
                     "UNIQUE constraint failed: store_meta.key");
        /* The transaction goes on. */
        slw_stmt_str(&st, 1, SLW_STR("b"));
        slw_stmt_str(&st, 2, SLW_STR("2"));
        assert_ok(slw_stmt_run(&st, &err), err);
        assert_ok(slw_tx_commit(&tx, &err), err);
    }
    assert_true(has(s, "b", "2"));
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_read(&tx, s, &err), err);
        assert_int_not_equal(slw_meta_set(&tx, "a", SLW_STR("9"), &err),
                             SLW_OK);
    }
    assert_true(has(s, "a", "1"));
    slw_store_close(s);
}

/* More different queries than a reader keeps. */
static void
the_cache_of_statements_forgets_the_oldest(void **state)
{
    static char sql[300][32];
    char dir[256];
    slw_test_dir(dir);
    struct slw_store *s = open_server(dir);
    struct slw_err err;
    for (int i = 0; i < 300; i++)
        (void)snprintf(sql[i], sizeof(sql[i]), "SELECT %d", i);
    for (int round = 0; round < 2; round++) {
        SLW_AUTO(slw_tx, tx);
        assert_ok(round ? slw_tx_begin(&tx, s, &err)
                        : slw_tx_read(&tx, s, &err),
                  err);
        for (int i = 0; i < 600; i++) {
            SLW_AUTO(slw_stmt, st);
            bool row = false;
            assert_ok(slw_stmt_prepare(&st, &tx, sql[i % 300], &err), err);
            assert_ok(slw_stmt_step(&st, &row, &err), err);
            assert_true(row);
            assert_int_equal(slw_col_i64(&st, 0), i % 300);
        }
    }
    slw_store_close(s);
}

/* ---- threads ---- */

struct crowd {
    struct slw_store *store;
    int round_count;
};

/* Each thread adds one to the same counter, and reads between. */
static void *
count_up(void *arg)
{
    const struct crowd *c = arg;
    struct slw_err err;
    for (int i = 0; i < c->round_count; i++) {
        SLW_AUTO(slw_arena, arena);
        SLW_AUTO(slw_tx, tx);
        struct slw_str got = {0};
        int64_t count = 0;
        SLW_ASSERT(slw_tx_begin(&tx, c->store, &err) == SLW_OK);
        if (slw_meta_get(&tx, "count", &arena, &got, &err) == SLW_OK)
            SLW_ASSERT(slw_str_i64(got, &count, &err) == SLW_OK);
        SLW_ASSERT(slw_meta_set(&tx, "count",
                                slw_arena_printf(&arena, "%d", (int)count + 1),
                                &err) == SLW_OK);
        SLW_ASSERT(slw_tx_commit(&tx, &err) == SLW_OK);
        SLW_ASSERT(slw_tx_read(&tx, c->store, &err) == SLW_OK);
        SLW_ASSERT(slw_meta_get(&tx, "count", &arena, &got, &err) == SLW_OK);
        slw_tx_done(&tx);
    }
    return NULL;
}

static void
many_threads_take_turns_and_lose_nothing(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    struct crowd crowd = {.store = open_server(dir), .round_count = 10};
    pthread_t threads[48]; /* more than there are read connections */
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, &crowd),
                         0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(has(crowd.store, "count", "480"));
    slw_store_close(crowd.store);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_fresh_folder_gets_its_layout_and_keeps_what_is_written),
        cmocka_unit_test(a_second_server_on_the_folder_is_refused_by_name),
        cmocka_unit_test(the_lock_of_a_killed_server_is_free),
        cmocka_unit_test(a_child_finds_no_data_in_an_empty_folder),
        cmocka_unit_test(foreign_and_broken_files_are_refused),
        cmocka_unit_test(a_changed_migration_stops_the_start),
        cmocka_unit_test(a_newer_schema_is_not_touched),
        cmocka_unit_test(an_older_database_is_backed_up_and_migrated),
        cmocka_unit_test(what_a_killed_server_left_in_tmp_is_removed),
        cmocka_unit_test(a_damaged_page_is_found_by_the_check),
        cmocka_unit_test(a_backup_is_taken_while_running),
        cmocka_unit_test(without_a_commit_nothing_is_written),
        cmocka_unit_test(a_snapshot_does_not_see_later_commits),
        cmocka_unit_test(a_statement_that_outlives_its_transaction_is_harmless),
        cmocka_unit_test(the_same_query_may_run_inside_itself),
        cmocka_unit_test(a_text_gives_its_own_rows_however_often_it_is_asked),
        cmocka_unit_test(values_come_back_as_they_were_bound),
        cmocka_unit_test(a_broken_rule_is_a_conflict_and_a_reader_cannot_write),
        cmocka_unit_test(the_cache_of_statements_forgets_the_oldest),
        cmocka_unit_test(many_threads_take_turns_and_lose_nothing),
    };
    return cmocka_run_group_tests_name("store/store", tests, NULL, NULL);
}
