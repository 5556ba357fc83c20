/* test_foreign.c -- another program's database is read in one snapshot and
 * never written; what is none gets one sentence. */
#include "store/foreign.h"

#include <sqlite3.h>

#include "base/file.h"
#include "tests/slw_test.h"

static char dir[256];

static const char *
database(struct slw_arena *a, const char *name, const char *sql)
{
    sqlite3 *db = NULL;
    const char *path = slw_path(a, dir, "%s", name);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return path;
}

static int64_t
count(struct slw_foreign *f)
{
    struct slw_err err;
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    assert_ok(slw_stmt_prepare_text(&st, &f->tx,
                                    SLW_STR("SELECT count(*) FROM t"), &err),
              err);
    assert_ok(slw_stmt_step(&st, &row, &err), err);
    return slw_col_i64(&st, 0);
}

static void
it_is_read_as_of_one_instant(void **state)
{
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_foreign, f);
    const char *path = database(&a, "snapshot.db",
                                "PRAGMA journal_mode = WAL; CREATE TABLE t(a);"
                                "INSERT INTO t VALUES(1)");
    assert_ok(slw_foreign_open(&f, path, &err), err);
    (void)database(&a, "snapshot.db", "INSERT INTO t VALUES(2)");
    assert_int_equal(count(&f), 1);
}

static void
it_is_never_written(void **state)
{
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_foreign, f);
    SLW_AUTO(slw_stmt, st);
    const char *path = database(&a, "write.db", "CREATE TABLE t(a)");
    assert_ok(slw_foreign_open(&f, path, &err), err);
    assert_ok(slw_stmt_prepare_text(&st, &f.tx,
                                    SLW_STR("INSERT INTO t VALUES(1)"), &err),
              err);
    assert_int_not_equal(slw_stmt_run(&st, &err), SLW_OK);
    assert_int_equal(count(&f), 0);
}

static void
tables_and_columns_are_asked_for(void **state)
{
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_foreign, f);
    bool has = false;
    const char *path = database(&a, "has.db", "CREATE TABLE t(a)");
    assert_ok(slw_foreign_open(&f, path, &err), err);
    assert_ok(slw_foreign_has(&f, "t", "", &has, &err), err);
    assert_true(has);
    assert_ok(slw_foreign_has(&f, "t", "a", &has, &err), err);
    assert_true(has);
    assert_ok(slw_foreign_has(&f, "t", "b", &has, &err), err);
    assert_false(has);
    assert_ok(slw_foreign_has(&f, "u", "a", &has, &err), err);
    assert_false(has);
}

static void
what_is_none_is_named(void **state)
{
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_foreign, f);
    const char *path = slw_path(&a, dir, "text.db");
    const char *text = "this is certainly not a database of anybody's, "
                       "although it is long enough to have been one once";
    assert_ok(slw_file_put(path, slw_str_of(text), &err), err);
    assert_int_equal(slw_foreign_open(&f, path, &err), SLW_CORRUPT);
    assert_non_null(strstr(err.msg, "text.db is not an SQLite database"));
    assert_int_equal(slw_foreign_open(&f, slw_path(&a, dir, "absent.db"), &err),
                     SLW_NOT_FOUND);
    assert_false(slw_file_exists(slw_path(&a, dir, "absent.db")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_read_as_of_one_instant),
        cmocka_unit_test(it_is_never_written),
        cmocka_unit_test(tables_and_columns_are_asked_for),
        cmocka_unit_test(what_is_none_is_named),
    };
    slw_test_dir(dir);
    return cmocka_run_group_tests_name("store/foreign", tests, NULL, NULL);
}
