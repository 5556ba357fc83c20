/* test_online.c -- materialising, reading one entity, the caller's own rows,
 * and definitions in the store. */
#include "features/features.h"

#include "tests/unit/features/fixture.h"

static const char PRICES[] = "date,symbol,close\n"
                             "2023-01-02,A,10\n2023-01-03,A,11.5\n"
                             "2023-01-02,B,100\n";
static const char DEF[] =
    "{\"entity\": \"symbol\", \"event_time\": \"date\", \"ttl_ms\": 172800000,"
    " \"sql\": \"SELECT symbol, date, close, close - lag(close) OVER w AS step"
    " FROM prices WINDOW w AS (PARTITION BY symbol ORDER BY date)\"}";

static struct fixture f;

static int
setup(void **state)
{
    fixture_open(&f);
    source_put(&f, "prices",
               "{\"entity\": \"symbol\", \"event_time\": \"date\","
               " \"known_after_ms\": 79200000}");
    (void)ingest(&f, "prices", "p.csv", PRICES, "", DAY(19400));
    view_put(&f, "momentum", DEF);
    return 0;
}

static int
teardown(void **state)
{
    fixture_close(&f);
    return 0;
}

static struct slw_job
materialize(const char *spec, int64_t now_ms)
{
    return job_run_here(&f, "features.materialize",
                        slw_features_materialize_job, spec, now_ms);
}

static struct slw_online_row
online(const char *entity, int64_t now_ms)
{
    struct slw_err err;
    struct slw_online_row r;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, f.store, &err), err);
    assert_ok(slw_features_online_get(&tx, SLW_STR("momentum"),
                                      slw_str_of(entity), now_ms, &f.a, &r,
                                      &err),
              err);
    return r;
}

static void
the_newest_row_of_each_entity_is_online(void **state)
{
    const struct slw_job job = materialize("{}", DAY(19401));
    assert_int_equal(job.state, SLW_JOB_SUCCEEDED);
    char want[200];
    snprintf(want, sizeof want,
             "{\"views\":[{\"name\":\"momentum\",\"entities\":2,"
             "\"event_max_ms\":%lld}]}",
             (long long)time_of("2023-01-03"));
    assert_string_equal(job.result.ptr, want);
    const struct slw_online_row a = online("A", time_of("2023-01-04"));
    assert_true(a.found);
    assert_int_equal(a.event_ms, time_of("2023-01-03"));
    assert_int_equal(a.column_count, 2);
    assert_string_equal(slw_arena_strz(&f.a, a.columns[0]), "close");
    assert_string_equal(slw_arena_strz(&f.a, a.columns[1]), "step");
    assert_near(a.values[0], 11.5, 0);
    assert_near(a.values[1], 1.5, 0);
    const struct slw_online_row b = online("B", time_of("2023-01-04"));
    assert_true(b.found); /* two days old, to the millisecond */
    assert_true(isnan(b.values[1]));
    assert_false(online("B", time_of("2023-01-04") + 1).found);
    assert_false(online("C", time_of("2023-01-04")).found);
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    struct slw_view v;
    assert_ok(slw_tx_read(&tx, f.store, &err), err);
    assert_ok(slw_features_view_get(&tx, SLW_STR("momentum"), &f.a, &v, &err),
              err);
    assert_int_equal(v.online_count, 2);
    assert_int_equal(v.materialized_at_ms, DAY(19401));
    assert_string_equal(v.pins.ptr, "{\"prices\":1}");
    struct slw_online_row r;
    assert_fails(slw_features_online_get(&tx, SLW_STR("other"), SLW_STR("A"), 0,
                                         &f.a, &r, &err),
                 SLW_NOT_FOUND, err, "no feature view 'other'");
}

static void
older_rows_never_replace_newer_ones(void **state)
{
    (void)materialize("{}", DAY(19401));
    (void)ingest(&f, "prices", "q.csv",
                 "date,symbol,close\n2023-01-02,A,10\n2023-01-05,B,70\n", "",
                 DAY(19402));
    (void)materialize("{\"views\": [\"momentum\"]}", DAY(19403));
    assert_int_equal(online("A", 0).event_ms, time_of("2023-01-03"));
    assert_near(online("B", 0).values[0], 70, 0);
    /* Another definition starts from nothing. */
    view_put(&f, "momentum",
             "{\"entity\": \"symbol\", \"event_time\": \"date\","
             " \"sql\": \"SELECT symbol, date, close FROM prices\"}");
    (void)materialize("{}", DAY(19404));
    assert_int_equal(online("A", 0).event_ms, time_of("2023-01-02"));
    assert_int_equal(online("A", 0).column_count, 1);
}

static void
at_an_earlier_instant_only_what_was_known_then_is_used(void **state)
{
    (void)ingest(&f, "prices", "q.csv",
                 "date,symbol,close\n2023-01-02,A,1\n2023-01-09,A,3\n", "",
                 DAY(19402));
    char spec[64];
    snprintf(spec, sizeof spec, "{\"at_ms\": %lld}", (long long)DAY(19401));
    (void)materialize(spec, DAY(19403));
    assert_near(online("A", 0).values[0], 11.5, 0);
    const struct slw_job no =
        materialize("{\"views\": [\"other\"]}", DAY(19403));
    assert_int_equal(no.state, SLW_JOB_FAILED);
    assert_non_null(strstr(no.error.ptr, "no feature view 'other'; there are:"
                                         " momentum"));
}

static void
a_view_that_peeks_never_comes_online(void **state)
{
    view_put(&f, "momentum",
             "{\"entity\": \"symbol\", \"event_time\": \"date\", \"sql\":"
             " \"SELECT symbol, date, lead(close) OVER (PARTITION BY symbol"
             " ORDER BY date) AS next FROM prices\"}");
    const struct slw_job job = materialize("{}", DAY(19401));
    assert_int_equal(job.state, SLW_JOB_FAILED);
    assert_non_null(strstr(job.error.ptr,
                           "view 'momentum': feature 'next' of A at"
                           " 2023-01-02T00:00:00Z changes when later rows"
                           " arrive (from missing to 11.5)"));
    assert_false(online("A", 0).found);
}

static void
history_keeps_order_count_and_duplicates_of_the_callers_rows(void **state)
{
    struct slw_err err;
    SLW_AUTO(slw_json, out);
    assert_ok(
        task_run_here(
            &f, slw_features_historical_task,
            "{\"views\": [\"momentum\"], \"rows\": ["
            "{\"symbol\": \"B\", \"event_time\": \"2023-01-02\", \"id\": 7},"
            "{\"symbol\": \"A\", \"event_time\": \"2023-01-03\", \"id\": 8},"
            "{\"symbol\": \"A\", \"event_time\": \"2023-01-03\", \"id\": 8},"
            "{\"symbol\": \"A\", \"event_time\": \"2023-01-03T21:59:59.999Z\"},"
            "{\"symbol\": \"A\", \"event_time\": \"2023-01-03T22:00:00Z\"},"
            "{\"symbol\": \"Z\", \"event_time\": \"2023-01-03\"},"
            "{\"symbol\": \"A\", \"event_time\": \"2023-02-01\"}]}",
            &out, &err),
        err);
    SLW_AUTO(slw_buf, text);
    slw_json_dump(&text, out.root);
    assert_string_equal(
        text.ptr,
        "{\"columns\":[\"symbol\",\"event_time\",\"id\",\"close\",\"step\"],"
        "\"rows\":[[\"B\",\"2023-01-02\",7,100.0,null],"
        "[\"A\",\"2023-01-03\",8,11.5,1.5],[\"A\",\"2023-01-03\",8,11.5,1.5],"
        "[\"A\",\"2023-01-03T21:59:59.999Z\",null,10.0,null],"
        "[\"A\",\"2023-01-03T22:00:00Z\",null,11.5,1.5],"
        "[\"Z\",\"2023-01-03\",null,null,null],"
        "[\"A\",\"2023-02-01\",null,null,null]]}");
    static const struct {
        const char *spec, *part;
    } bad[] = {
        {"{\"views\": [\"momentum\"]}", "either as \"rows\" or as"},
        {"{\"views\": [], \"rows\": [{}]}", "must list 1 to"},
        {"{\"views\": [\"momentum\"], \"rows\": [{\"symbol\": \"A\"}]}",
         "row 1 needs an event_time"},
        {"{\"views\": [\"momentum\"], \"rows\": [{\"event_time\": 5}]}",
         "row 1 has no 'symbol'"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        SLW_AUTO(slw_json, doc);
        assert_fails(task_run_here(&f, slw_features_historical_task,
                                   bad[i].spec, &doc, &err),
                     SLW_INVALID, err, bad[i].part);
    }
}

static void
history_joins_onto_a_file_and_writes_a_file(void **state)
{
    struct slw_err err;
    const char *in = file_put(&f, "rows.csv",
                              "id,symbol,event_time\n3,A,2023-01-03\n"
                              "1,B,2023-01-02\n3,A,2023-01-03\n");
    const char *to = slw_path(&f.a, f.dir, "joined.csv");
    const struct slw_str spec = slw_arena_printf(
        &f.a,
        "{\"views\": [\"momentum\"], \"path\": \"%s\", \"out_path\": \"%s\"}",
        in, to);
    SLW_AUTO(slw_json, out);
    assert_ok(
        task_run_here(&f, slw_features_historical_task, spec.ptr, &out, &err),
        err);
    assert_int_equal(slw_json_i64_or(slw_json_get(out.root, "rows"), 0), 3);
    SLW_AUTO(slw_buf, text);
    assert_ok(slw_file_get(to, 10000, &text, &err), err);
    assert_string_equal(text.ptr, "id,symbol,event_time,close,step\n"
                                  "3,A,2023-01-03,11.5,1.5\n"
                                  "1,B,2023-01-02,100.0,\n"
                                  "3,A,2023-01-03,11.5,1.5\n");
}

static void
a_whole_view_can_be_exported(void **state)
{
    struct slw_err err;
    const char *to = slw_path(&f.a, f.dir, "view.csv");
    const struct slw_str spec = slw_arena_printf(
        &f.a, "{\"view\": \"momentum\", \"format\": \"csv\", \"path\": \"%s\"}",
        to);
    SLW_AUTO(slw_json, out);
    assert_ok(task_run_here(&f, slw_features_export_task, spec.ptr, &out, &err),
              err);
    SLW_AUTO(slw_buf, text);
    assert_ok(slw_file_get(to, 10000, &text, &err), err);
    assert_string_equal(text.ptr, "symbol,date,close,step\n"
                                  "A,2023-01-02 00:00:00,10.0,\n"
                                  "B,2023-01-02 00:00:00,100.0,\n"
                                  "A,2023-01-03 00:00:00,11.5,1.5\n");
}

static void
a_definition_counts_its_changes_and_nothing_else(void **state)
{
    struct slw_err err;
    struct slw_view v;
    view_put(&f, "momentum", DEF);
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_read(&tx, f.store, &err), err);
        assert_ok(
            slw_features_view_get(&tx, SLW_STR("momentum"), &f.a, &v, &err),
            err);
        assert_int_equal(v.version, 1);
        assert_int_equal(v.hash.len, 64);
    }
    static const struct {
        const char *def, *part;
    } bad[] = {
        {"{\"entity\": \"s\"}", "event_time"},
        {"{\"entity\": \"s\", \"event_time\": \"d\", \"sql\": \"DROP x\"}",
         "must be one SELECT"},
        {"{\"entity\": \"s\", \"event_time\": \"d\", \"sql\": \"SELECT 1\","
         " \"ttl_ms\": -1}",
         "ttl_ms must be 0"},
        {"{\"entity\": \"s\", \"event_time\": \"d\", \"sql\": \"SELECT 1\","
         " \"lags\": [{\"of\": \"x\", \"count\": 0}]}",
         "count must be 1 to"},
        {"{\"entity\": \"s\", \"event_time\": \"d\", \"sql\": \"SELECT 1\","
         " \"name\": \"other\"}",
         "the definition's own name is 'other'"},
        {"[]", "must be an object"},
        {"{", "view 'momentum'"},
    };
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, f.store, &err), err);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_fails(slw_features_view_put(&tx, 0, SLW_STR("momentum"),
                                           slw_str_of(bad[i].def), &err),
                     SLW_INVALID, err, bad[i].part);
    assert_fails(slw_features_view_get(&tx, SLW_STR("x"), &f.a, &v, &err),
                 SLW_NOT_FOUND, err, "there are: momentum");
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_newest_row_of_each_entity_is_online),
        T(older_rows_never_replace_newer_ones),
        T(at_an_earlier_instant_only_what_was_known_then_is_used),
        T(a_view_that_peeks_never_comes_online),
        T(history_keeps_order_count_and_duplicates_of_the_callers_rows),
        T(history_joins_onto_a_file_and_writes_a_file),
        T(a_whole_view_can_be_exported),
        T(a_definition_counts_its_changes_and_nothing_else),
    };
    return cmocka_run_group_tests_name("features/online", tests, NULL, NULL);
}
