/* test_scan.c -- DuckDB behind store/scan.h: types, NULLs, files, refusals.
 * Expected values are written out by hand.  Skipped where the engine is not
 * installed. */
#include "store/scan.h"

#include "base/file.h"
#include "tests/slw_test.h"

static struct slw_arena arena;

static struct slw_scan
scan_open(void)
{
    struct slw_err err;
    struct slw_scan sc = {0};
    const enum slw_rc rc = slw_scan_open(&sc, 1, 0, NULL, &err);
    if (rc == SLW_NOT_FOUND) {
        print_message("%s\n", err.msg);
        skip();
    }
    assert_ok(rc, err);
    return sc;
}

static struct slw_scan_result
query(struct slw_scan *sc, const char *sql)
{
    struct slw_err err;
    struct slw_scan_result r;
    assert_ok(slw_scan_query(sc, 100000, &arena, &r, slw_str_of(sql), &err),
              err);
    return r;
}

static void
assert_text(struct slw_str got, const char *want)
{
    if (!slw_str_eqz(got, want))
        fail_msg("'%.*s' is not '%s'", SLW_FMT(got), want);
}

static void
each_number_type_reads_exactly(void **state)
{
    SLW_AUTO(slw_scan, sc);
    sc = scan_open();
    const struct slw_scan_result r = query(
        &sc, "SELECT true AS b, (-128)::TINYINT AS i8, 200::UTINYINT AS u8,"
             " (-32768)::SMALLINT AS i16, 65535::USMALLINT AS u16,"
             " (-2147483648)::INTEGER AS i32, 4294967295::UINTEGER AS u32,"
             " (-9223372036854775808)::BIGINT AS i64,"
             " 9223372036854775807::UBIGINT AS u64,"
             " 0.1::DOUBLE AS f64, 0.5::FLOAT AS f32,"
             " 12.34::DECIMAL(4,2) AS d4, 1234567.89::DECIMAL(9,2) AS d9,"
             " (-0.001)::DECIMAL(18,3) AS d18,"
             " 12345678901234567890.5::DECIMAL(30,1) AS d30,"
             " 18446744073709551616::HUGEINT AS huge,"
             " (-3)::HUGEINT AS minus");
    assert_int_equal(r.row_count, 1);
    assert_int_equal(slw_scan_col(&r, "b")->type, SLW_COL_BOOL);
    assert_int_equal(slw_scan_col(&r, "b")->i64[0], 1);
    assert_int_equal(slw_scan_col(&r, "i8")->i64[0], -128);
    assert_int_equal(slw_scan_col(&r, "u8")->i64[0], 200);
    assert_int_equal(slw_scan_col(&r, "i16")->i64[0], -32768);
    assert_int_equal(slw_scan_col(&r, "u16")->i64[0], 65535);
    assert_true(slw_scan_col(&r, "i32")->i64[0] == INT32_MIN);
    assert_true(slw_scan_col(&r, "u32")->i64[0] == INT64_C(4294967295));
    assert_true(slw_scan_col(&r, "i64")->i64[0] == INT64_MIN);
    assert_true(slw_scan_col(&r, "u64")->i64[0] == INT64_MAX);
    assert_near(slw_scan_col(&r, "f64")->f64[0], 0.1, 0);
    assert_near(slw_scan_col(&r, "f32")->f64[0], 0.5, 0);
    assert_near(slw_scan_col(&r, "d4")->f64[0], 12.34, 0);
    assert_near(slw_scan_col(&r, "d9")->f64[0], 1234567.89, 0);
    assert_near(slw_scan_col(&r, "d18")->f64[0], -0.001, 0);
    assert_near(slw_scan_col(&r, "d30")->f64[0], 12345678901234567890.5, 0);
    assert_near(slw_scan_col(&r, "huge")->f64[0], 18446744073709551616.0, 0);
    assert_near(slw_scan_col(&r, "minus")->f64[0], -3, 0);
    assert_text(slw_scan_col(&r, "d9")->sql_type, "DECIMAL(9,2)");
    assert_text(slw_scan_col(&r, "u64")->sql_type, "UBIGINT");
    assert_null(slw_scan_col(&r, "absent"));
}

static void
times_are_milliseconds_also_before_1970(void **state)
{
    SLW_AUTO(slw_scan, sc);
    sc = scan_open();
    const struct slw_scan_result r =
        query(&sc, "SELECT DATE '2023-08-31' AS d, DATE '1969-12-31' AS early,"
                   " TIMESTAMP '2023-08-31 22:00:00.25' AS us,"
                   " TIMESTAMP '1969-12-31 23:59:59.9995' AS just,"
                   " TIMESTAMP_S '2023-08-31 22:00:00' AS s,"
                   " TIMESTAMP_MS '2023-08-31 22:00:00.001' AS ms,"
                   " TIMESTAMP_NS '2023-08-31 22:00:00.001999999' AS ns,"
                   " TIMESTAMPTZ '2023-08-31 22:00:00+02' AS tz,"
                   " '2023-08-31 22:00:00'::TIMESTAMPTZ AS utc");
    /* 19600 days = 1693440000000 ms */
    assert_int_equal(slw_scan_col(&r, "d")->type, SLW_COL_TIME);
    assert_true(slw_scan_col(&r, "d")->i64[0] == INT64_C(1693440000000));
    assert_true(slw_scan_col(&r, "early")->i64[0] == -86400000);
    assert_true(slw_scan_col(&r, "us")->i64[0] == INT64_C(1693519200250));
    assert_true(slw_scan_col(&r, "just")->i64[0] == -1);
    assert_true(slw_scan_col(&r, "s")->i64[0] == INT64_C(1693519200000));
    assert_true(slw_scan_col(&r, "ms")->i64[0] == INT64_C(1693519200001));
    assert_true(slw_scan_col(&r, "ns")->i64[0] == INT64_C(1693519200001));
    assert_true(slw_scan_col(&r, "tz")->i64[0] == INT64_C(1693512000000));
    assert_true(slw_scan_col(&r, "utc")->i64[0] == INT64_C(1693519200000));
    assert_text(slw_scan_col(&r, "tz")->sql_type, "TIMESTAMP WITH TIME ZONE");
}

static void
nulls_and_texts_of_any_length_over_many_chunks(void **state)
{
    SLW_AUTO(slw_scan, sc);
    sc = scan_open();
    const struct slw_scan_result r =
        query(&sc, "SELECT CASE WHEN i % 3 = 0 THEN NULL ELSE i END AS n,"
                   " CASE WHEN i % 5 = 0 THEN NULL ELSE i / 2.0::DOUBLE END"
                   " AS f, repeat('ü', (i % 20)::INT) AS t"
                   " FROM range(10000) r(i)");
    assert_int_equal(r.row_count, 10000);
    const struct slw_scan_col *n = slw_scan_col(&r, "n");
    const struct slw_scan_col *f = slw_scan_col(&r, "f");
    const struct slw_scan_col *t = slw_scan_col(&r, "t");
    for (size_t i = 0; i < r.row_count; i++) {
        assert_int_equal(n->is_null[i], i % 3 == 0);
        assert_int_equal(f->is_null[i], i % 5 == 0);
        assert_int_equal(t->is_null[i], 0);
        if (i % 3 != 0)
            assert_int_equal(n->i64[i], i);
        assert_near(f->f64[i], i % 5 == 0 ? (double)NAN : (double)i / 2, 0);
        assert_int_equal(t->str[i].len, 2 * (i % 20));
    }
}

static void
what_has_no_plain_form_is_read_as_text(void **state)
{
    SLW_AUTO(slw_scan, sc);
    sc = scan_open();
    const struct slw_scan_result r =
        query(&sc, "SELECT [1, 2] AS l, {'a': 1} AS s, TIME '10:00:00' AS t,"
                   " INTERVAL 3 DAY AS v, 7 AS n, NULL AS nothing,"
                   " 'x'::ENUM('x', 'y') AS \"odd \"\"name\""
                   " ORDER BY 1; -- with a comment");
    assert_text(slw_scan_col(&r, "l")->str[0], "[1, 2]");
    assert_text(slw_scan_col(&r, "s")->str[0], "{'a': 1}");
    assert_text(slw_scan_col(&r, "t")->str[0], "10:00:00");
    assert_text(slw_scan_col(&r, "v")->str[0], "3 days");
    assert_int_equal(slw_scan_col(&r, "n")->i64[0], 7);
    assert_int_equal(slw_scan_col(&r, "nothing")->is_null[0], 1);
    assert_text(slw_scan_col(&r, "odd \"name")->str[0], "x");
}

static void
files_go_out_and_come_back(void **state)
{
    struct slw_err err;
    char dir[256];
    slw_test_dir(dir);
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/it's.parquet", dir);
    const struct slw_str file = slw_sql_literal(&arena, slw_str_of(path));
    SLW_AUTO(slw_scan, sc);
    sc = scan_open();
    assert_ok(slw_scan_exec(&sc, &err,
                            "CREATE TABLE t AS SELECT i AS id, 'n' || i AS %.*s"
                            " FROM range(5000) r(i);"
                            " COPY t TO %.*s (FORMAT parquet)",
                            SLW_FMT(slw_sql_name(&arena, SLW_STR("a \"b\""))),
                            SLW_FMT(file)),
              err);
    const struct slw_str sql = slw_arena_printf(
        &arena, "SELECT * FROM read_parquet(%.*s) ORDER BY id DESC",
        SLW_FMT(file));
    const struct slw_scan_result r = query(&sc, sql.ptr);
    assert_int_equal(r.row_count, 5000);
    assert_int_equal(r.cols[0].i64[0], 4999);
    assert_text(r.cols[1].name, "a \"b\"");
    assert_text(r.cols[1].str[4999], "n0");
}

static void
refusals_are_one_line(void **state)
{
    struct slw_err err;
    struct slw_scan_result r = {.row_count = 77};
    SLW_AUTO(slw_scan, sc);
    sc = scan_open();
    assert_fails(slw_scan_query(&sc, 10, &arena, &r,
                                SLW_STR("SELECT colour FROM (SELECT 1 AS a)"),
                                &err),
                 SLW_INVALID, err, "colour");
    assert_null(strchr(err.msg, '\n'));
    assert_fails(slw_scan_query(&sc, 10, &arena, &r, SLW_STR("SELEC 1"), &err),
                 SLW_INVALID, err, "syntax error");
    assert_fails(
        slw_scan_query(&sc, 10, &arena, &r, SLW_STR("SELECT 'x'::INT"), &err),
        SLW_INVALID, err, "Could not convert");
    assert_fails(slw_scan_query(&sc, 10, &arena, &r,
                                SLW_STR("SELECT * FROM range(11)"), &err),
                 SLW_LIMIT, err, "more than 10 rows");
    assert_fails(slw_scan_query(&sc, 10, &arena, &r,
                                SLW_STR("SELECT 18446744073709551615::UBIGINT"
                                        " AS big"),
                                &err),
                 SLW_INVALID, err, "column 'big' holds an integer of more");
    assert_fails(slw_scan_query(&sc, 10, &arena, &r,
                                SLW_STR("SELECT 'infinity'::DATE AS d"), &err),
                 SLW_INVALID, err, "column 'd' holds an infinite date");
    assert_fails(slw_scan_query(&sc, 10, &arena, &r, SLW_STR("SELECT ?"), &err),
                 SLW_INVALID, err, "parameters");
    assert_fails(slw_scan_exec(&sc, &err, "SELECT * FROM '/nowhere/x.csv'"),
                 SLW_INVALID, err, "No files found");
    assert_int_equal(r.row_count, 77); /* untouched */
    struct slw_arena small = {0};
    slw_arena_init(&small, 100000);
    assert_fails(slw_scan_query(&sc, 100000, &small, &r,
                                SLW_STR("SELECT * FROM range(50000)"), &err),
                 SLW_LIMIT, err, "do not fit in memory");
    assert_fails(slw_scan_query(&sc, 100000, &small, &r,
                                SLW_STR("SELECT repeat('x', 40000) FROM"
                                        " range(10)"),
                                &err),
                 SLW_LIMIT, err, "do not fit in memory");
    slw_arena_done(&small);
}

static void
settings_are_the_deterministic_ones(void **state)
{
    SLW_AUTO(slw_scan, sc);
    sc = scan_open();
    const struct slw_scan_result r =
        query(&sc, "SELECT current_setting('threads') AS threads,"
                   " current_setting('memory_limit') AS memory,"
                   " current_setting('TimeZone') AS zone,"
                   " current_setting('autoinstall_known_extensions') AS auto,"
                   " current_setting('preserve_insertion_order') AS ordered");
    assert_int_equal(slw_scan_col(&r, "threads")->i64[0], 1);
    assert_text(slw_scan_col(&r, "memory")->str[0], "1.0 GiB");
    assert_text(slw_scan_col(&r, "zone")->str[0], "UTC");
    assert_int_equal(slw_scan_col(&r, "auto")->i64[0], 0);
    assert_int_equal(slw_scan_col(&r, "ordered")->i64[0], 1);
}

static int
arena_free(void **state)
{
    slw_arena_done(&arena);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_number_type_reads_exactly),
        cmocka_unit_test(times_are_milliseconds_also_before_1970),
        cmocka_unit_test(nulls_and_texts_of_any_length_over_many_chunks),
        cmocka_unit_test(what_has_no_plain_form_is_read_as_text),
        cmocka_unit_test(files_go_out_and_come_back),
        cmocka_unit_test(refusals_are_one_line),
        cmocka_unit_test(settings_are_the_deterministic_ones),
    };
    return cmocka_run_group_tests_name("store/scan", tests, NULL, arena_free);
}
