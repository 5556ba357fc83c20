/* test_checks.c -- expectations: quarantined rows, refused sets, and the
 * sentences that say which rows were wrong. */
#include "data/data.h"

#include "tests/unit/data/fixture.h"

static struct fixture f;

static int
setup(void **state)
{
    fixture_open(&f);
    return 0;
}

static int
teardown(void **state)
{
    fixture_close(&f);
    return 0;
}

#define SOURCE(expect, more)                                                   \
    "{\"entity\": \"symbol\", \"event_time\": \"date\", \"expect\": [" expect  \
    "]" more "}"

static const char CSV[] = "date,symbol,close\n"
                          "2023-01-02,A,10\n2023-01-03,A,-1\n"
                          "2023-01-04,A,12\n2023-01-05,A,\n"
                          "2023-01-05,B,5\n2023-01-06,B,6\n";

static void
rows_that_fail_are_set_aside_with_their_reason(void **state)
{
    source_put(&f, "p",
               SOURCE("\"close > 0\", \"not_null(close)\"",
                      ", \"quarantine_max\": 0.5"));
    const struct slw_dataset d = ingest(&f, "p", "p.csv", CSV, "", DAY(19400));
    assert_int_equal(d.row_count, 4);
    assert_int_equal(d.quarantined_count, 2);
    assert_string_equal(
        d.checks.ptr,
        "[{\"check\":\"not_null(date)\",\"failed\":0,\"on_fail\":"
        "\"quarantine\",\"implied\":true,\"examples\":[]},"
        "{\"check\":\"not_null(symbol)\",\"failed\":0,\"on_fail\":"
        "\"quarantine\",\"implied\":true,\"examples\":[]},"
        "{\"check\":\"close > 0\",\"failed\":1,\"on_fail\":\"quarantine\","
        "\"implied\":false,\"examples\":[\"A 2023-01-03 close=-1\"]},"
        "{\"check\":\"not_null(close)\",\"failed\":1,\"on_fail\":"
        "\"quarantine\",\"implied\":false,\"examples\":[\"A 2023-01-05"
        " close=NULL\"]}]");
    struct slw_err err;
    SLW_AUTO(slw_json, out);
    const char *path = slw_path(&f.a, f.dir, "bad.csv");
    const struct slw_str spec = slw_arena_printf(
        &f.a,
        "{\"ref\": \"p@1\", \"format\": \"csv\", \"path\": \"%s\","
        " \"quarantine\": true}",
        path);
    assert_ok(task_run_here(&f, slw_data_export_task, spec.ptr, &out, &err),
              err);
    SLW_AUTO(slw_buf, text);
    assert_ok(slw_file_get(path, 10000, &text, &err), err);
    assert_string_equal(text.ptr, "date,symbol,close,slw_reason\n"
                                  "2023-01-03,A,-1,close > 0\n"
                                  "2023-01-05,A,,not_null(close)\n");
}

static void
what_fails_refuses_the_set_in_one_sentence(void **state)
{
    static const struct {
        const char *def, *part;
    } bad[] = {
        {SOURCE("\"close > 0\"", ""),
         "p: 1 of 6 rows fail a check, more than the share of 0.01 that may be"
         " quarantined: 1 row fails 'close > 0' (A 2023-01-03 close=-1)"},
        {SOURCE("{\"check\": \"close > 0\", \"on_fail\": \"refuse\"}",
                ", \"quarantine_max\": 1"),
         "p (6 rows): 1 row fails 'close > 0' (A 2023-01-03 close=-1)"},
        {SOURCE("{\"check\": \"close > 100\", \"on_fail\": \"refuse\"}", ""),
         "5 rows fail 'close > 100' (A 2023-01-02 close=10; A 2023-01-03"
         " close=-1; A 2023-01-04 close=12; ...)"},
        {SOURCE("\"unique(date)\"", ""),
         "p (6 rows): 1 row fails 'unique(date)' (B 2023-01-05)"},
        {SOURCE("\"rows(1000)\"", ""),
         "p (6 rows): rows(1000) fails: there are 6 rows"},
        {SOURCE("\"rows(1, 5)\"", ""), "rows(1, 5) fails: there are 6 rows"},
        {SOURCE("\"fresh(3d)\"", ""),
         "fresh(3d) fails: the newest date is 2023-01-06T00:00:00Z, and it is"
         " 2023-02-12T00:00:00Z"},
        {SOURCE("\"clse > 0\"", ""), "check 'clse > 0' cannot be evaluated: "},
        {SOURCE("\"not_null(clse)\"", ""),
         "check 'not_null(clse)' names no column of the data; the columns are:"
         " date, symbol, close"},
        {SOURCE("\"close > (SELECT max(c) FROM read_csv('/etc/passwd') t(c))\"",
                ""),
         "cannot be evaluated: "},
        {SOURCE("\"fresh(3d)\", \"rows(9)\"", ""), ", and rows(9) fails"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        source_put(&f, "p", bad[i].def);
        ingest_refused(&f, "p", "p.csv", CSV, "", DAY(19400), bad[i].part);
    }
}

static void
checks_that_hold_let_the_set_pass(void **state)
{
    source_put(&f, "p",
               SOURCE("\"close > -5 -- a comment\", \"unique(symbol, date)\","
                      " \"rows(5, 6)\", \"fresh(37d)\","
                      " {\"check\": \"unique(date)\", \"on_fail\":"
                      " \"quarantine\"}",
                      ", \"quarantine_max\": 0.2"));
    const struct slw_dataset d = ingest(&f, "p", "p.csv", CSV, "", DAY(19400));
    /* B's row of the 5th goes for its date, the NULL passes its check. */
    assert_int_equal(d.quarantined_count, 1);
    assert_int_equal(d.row_count, 5);
}

static void
a_row_without_its_event_time_never_enters(void **state)
{
    source_put(&f, "p", SOURCE("", ", \"quarantine_max\": 0.5"));
    const struct slw_dataset d =
        ingest(&f, "p", "p.csv",
               "date,symbol,close\n2023-01-02,A,1\n,A,2\n2023-01-03,,3\n"
               "2023-01-04,A,4\n",
               "", DAY(19400));
    assert_int_equal(d.row_count, 2);
    assert_int_equal(d.quarantined_count, 2);
}

static void
a_bad_definition_is_refused_by_its_key(void **state)
{
    static const struct {
        const char *def, *part;
    } bad[] = {
        {"{\"entity\": \"s\"}", "event_time"},
        {"{\"event_time\": \"d\", \"expext\": []}", "unknown key 'expext'"},
        {"{\"event_time\": \"d\", \"expect\": \"x > 0\"}",
         "expect must be a list"},
        {"{\"event_time\": \"d\", \"expect\": [\"fresh(soon)\"]}",
         "check 'fresh(soon)' wants a duration, as in fresh(3d)"},
        {"{\"event_time\": \"d\", \"expect\": [\"rows(many)\"]}",
         "wants a least number of rows"},
        {"{\"event_time\": \"d\", \"expect\": [\"unique()\"]}",
         "wants column names"},
        {"{\"event_time\": \"d\", \"expect\": [{\"check\": \"rows(5)\","
         " \"on_fail\": \"quarantine\"}]}",
         "speaks of the whole set"},
        {"{\"event_time\": \"d\", \"expect\": [{\"check\": \"x\","
         " \"on_fail\": \"warn\"}]}",
         "it can be quarantine or refuse"},
        {"{\"event_time\": \"d\", \"quarantine_max\": 5}", "from 0 to 1"},
        {"{\"event_time\": \"d\", \"known_after_ms\": -1}", "0 or more"},
        {"{\"event_time\": \"d\", \"types\": {\"a\": \"float\"}}",
         "must be one of text, number"},
        {"{\"event_time\": \"d\", \"name\": \"q\"}", "own name is 'q'"},
        {"[]", "must be an object"},
    };
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, f.store, &err), err);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_fails(slw_data_source_put(&tx, 0, SLW_STR("p"),
                                         slw_str_of(bad[i].def), &err),
                     SLW_INVALID, err, bad[i].part);
    assert_fails(
        slw_data_source_put(&tx, 0, SLW_STR("a/b"), SLW_STR("{}"), &err),
        SLW_INVALID, err, "bad source name");
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(rows_that_fail_are_set_aside_with_their_reason),
        T(what_fails_refuses_the_set_in_one_sentence),
        T(checks_that_hold_let_the_set_pass),
        T(a_row_without_its_event_time_never_enters),
        T(a_bad_definition_is_refused_by_its_key),
    };
    return cmocka_run_group_tests_name("data/checks", tests, NULL, NULL);
}
