/* test_ingest.c -- files become versions: the same rows the same bytes, every
 * broken file refused in a sentence, appended rows replacing older ones. */
#include "data/data.h"

#include "tests/unit/data/fixture.h"

static const char DEF[] = "{\"entity\": \"symbol\", \"event_time\": \"date\"}";
static const char CSV[] = "date,symbol,close,volume\n"
                          "2023-01-03,B,21.5,7\n"
                          "2023-01-02,B,20,6\n"
                          "2023-01-02,A,10.25,5\n"
                          "2023-01-03,A,11,\n";

static struct fixture f;

static int
setup(void **state)
{
    fixture_open(&f);
    source_put(&f, "prices", DEF);
    return 0;
}

static int
teardown(void **state)
{
    fixture_close(&f);
    return 0;
}

static void
a_csv_becomes_a_sorted_typed_version(void **state)
{
    const struct slw_dataset d =
        ingest(&f, "prices", "p.csv", CSV, "", DAY(19500));
    assert_int_equal(d.version, 1);
    assert_int_equal(d.parent, 0);
    assert_int_equal(d.row_count, 4);
    assert_int_equal(d.quarantined_count, 0);
    assert_int_equal(d.event_min_ms, time_of("2023-01-02"));
    assert_int_equal(d.event_max_ms, time_of("2023-01-03"));
    assert_int_equal(d.known_at_ms, DAY(19500));
    assert_string_equal(d.schema.ptr,
                        "[{\"name\":\"date\",\"type\":\"DATE\"},"
                        "{\"name\":\"symbol\",\"type\":\"VARCHAR\"},"
                        "{\"name\":\"close\",\"type\":\"DOUBLE\"},"
                        "{\"name\":\"volume\",\"type\":\"BIGINT\"}]");
    /* Read back: sorted by date, then symbol. */
    struct slw_err err;
    SLW_AUTO(slw_json, out);
    const char *path = slw_path(&f.a, f.dir, "out.csv");
    const struct slw_str spec = slw_arena_printf(
        &f.a, "{\"ref\": \"prices\", \"format\": \"csv\", \"path\": \"%s\"}",
        path);
    assert_ok(task_run_here(&f, slw_data_export_task, spec.ptr, &out, &err),
              err);
    SLW_AUTO(slw_buf, text);
    assert_ok(slw_file_get(path, 10000, &text, &err), err);
    assert_string_equal(text.ptr, "date,symbol,close,volume\n"
                                  "2023-01-02,A,10.25,5\n"
                                  "2023-01-02,B,20.0,6\n"
                                  "2023-01-03,A,11.0,\n"
                                  "2023-01-03,B,21.5,7\n");
}

static void
the_same_rows_in_any_order_and_format_have_one_hash(void **state)
{
    const struct slw_dataset a =
        ingest(&f, "prices", "p.csv", CSV, "", DAY(19500));
    /* Other order, other delimiter, quotes, CRLF, a mark at the start. */
    const struct slw_job job =
        ingest_full(&f, "prices",
                    file_put(&f, "q.csv",
                             "\xEF\xBB\xBF"
                             "date;symbol;\"close\";volume\r\n"
                             "2023-01-03;\"A\";11.0;\r\n"
                             "2023-01-02;A;1.025e1;5\r\n"
                             "2023-01-02;B;20;6\r\n"
                             "2023-01-03;B;21.5;7\r\n"),
                    "", DAY(19501));
    assert_int_equal(job.state, SLW_JOB_SUCCEEDED);
    assert_non_null(strstr(job.result.ptr, "\"unchanged\":true"));
    assert_non_null(strstr(job.result.ptr, a.hash.ptr));
    /* As JSON, an object a line. */
    const struct slw_job json = ingest_full(
        &f, "prices",
        file_put(&f, "r.json",
                 "{\"date\":\"2023-01-02\",\"symbol\":\"A\",\"close\":10.25,"
                 "\"volume\":5}\n"
                 "{\"date\":\"2023-01-02\",\"symbol\":\"B\",\"close\":20,"
                 "\"volume\":6}\n"
                 "{\"date\":\"2023-01-03\",\"symbol\":\"A\",\"close\":11,"
                 "\"volume\":null}\n"
                 "{\"date\":\"2023-01-03\",\"symbol\":\"B\",\"close\":21.5,"
                 "\"volume\":7}\n"),
        "", DAY(19502));
    assert_non_null(strstr(json.result.ptr, "\"unchanged\":true"));
}

static void
broken_rows_are_refused_with_file_line_and_column(void **state)
{
    static const struct {
        const char *text, *part;
    } bad[] = {
        {"date,symbol,close\n2023-01-02,A,1\n2023-01-03,A\n",
         "p.csv, line 3: 2 fields where the header has 3: '2023-01-03,A'"},
        {"date,symbol,close\n2023-01-02,A,1,9\n",
         "p.csv, line 2: 4 fields where the header has 3"},
        {"date,symbol,close\n2023-01-02,A,1\n2023-01-02,B,1\n"
         "2023-01-02,C,1\n2023-01-02,D,1\n2023-01-02,E,1\n2023-01-02,F,1\n"
         "2023-01-02,G,1\n2023-01-02,H,1\n2023-01-02,I,1\n2023-01-02,J,1\n"
         "2023-01-02,K,ten\n",
         "p.csv, line 12, column 'close': 'ten' is not a number"},
        {"date,symbol,close\n2023-01-02,A,1\n2023-13-03,A,2\n",
         "line 3, column 'date': '2023-13-03' is not a time"},
        {"date,symbol,close\n2023-01-02,\"A,1\n", "line 2"},
        {"date,symbol,close\n2023-01-02,A\xff,1\n", "is not UTF-8"},
        {"2023-01-02,A,1\n2023-01-03,A,2\n", "must be a header"},
        {"date,symbol,symbol\n2023-01-02,A,1\n",
         "two columns are called 'symbol'"},
        {"date,symbol,\n2023-01-02,A,1\n", "column 3 has no name"},
        {"", "is empty"},
        {"date,symbol,close\n", "no rows"},
        {"day,symbol,close\n2023-01-02,A,1\n",
         "no column 'date', which the source declares as its event_time; the"
         " columns are: day, symbol, close"},
        {"date,name,close\n2023-01-02,A,1\n", "the columns are: date, name"},
        {"date,symbol,close\n01/02/2023,A,1\n", "write dates as 2023-08-31"},
        {"date,symbol,close\n1672617600,A,1\n",
         "holds no times but values such as '1672617600'"},
        {"date,symbol,known_time_ms\n2023-01-02,A,1\n", "is reserved"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ingest_refused(&f, "prices", "p.csv", bad[i].text, "", DAY(19500),
                       bad[i].part);
    ingest_refused(&f, "prices", "p.json", "{\"date\": \"2023-01-02\",\n", "",
                   DAY(19500), "p.json");
    ingest_refused(&f, "prices", "p.parquet", "no parquet", "", DAY(19500),
                   "it is no Parquet");
    ingest_refused(&f, "nothing", "p.csv", CSV, "", DAY(19500),
                   "no source 'nothing'; there are: prices");
    /* Nothing of all this left a version. */
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    struct slw_dataset d;
    assert_ok(slw_tx_read(&tx, f.store, &err), err);
    assert_fails(slw_data_get(&tx, SLW_STR("prices"), &f.a, &d, &err),
                 SLW_NOT_FOUND, err, "has no version yet");
}

static void
text_is_typed_over_all_rows_and_the_users_word_wins(void **state)
{
    source_put(&f, "t",
               "{\"entity\": \"id\", \"event_time\": \"at\","
               " \"types\": {\"zip\": \"text\"}}");
    const struct slw_dataset d =
        ingest(&f, "t", "t.csv",
               "at,id,zip,yes,some,none\n"
               "2023-01-02T10:00:00+02:00,1,01234,true,NA,\n"
               "2023-01-02 08:00:00.5,2,99,false,2.5,\n",
               "", DAY(19500));
    assert_string_equal(d.schema.ptr,
                        "[{\"name\":\"at\",\"type\":\"TIMESTAMP\"},"
                        "{\"name\":\"id\",\"type\":\"BIGINT\"},"
                        "{\"name\":\"zip\",\"type\":\"VARCHAR\"},"
                        "{\"name\":\"yes\",\"type\":\"BOOLEAN\"},"
                        "{\"name\":\"some\",\"type\":\"DOUBLE\"},"
                        "{\"name\":\"none\",\"type\":\"INTEGER\"}]");
    assert_int_equal(d.event_min_ms, time_of("2023-01-02T08:00:00Z"));
    assert_int_equal(d.event_max_ms, time_of("2023-01-02T08:00:00.5Z"));
    assert_non_null(strstr(d.profile.ptr, "\"value\":\"01234\""));
}

static void
several_files_are_united_by_name(void **state)
{
    const char *a =
        file_put(&f, "a.csv", "date,symbol,close\n2023-01-02,A,1\n");
    const char *b =
        file_put(&f, "b.csv", "symbol,volume,date\nA,5,2023-01-03\n");
    const struct slw_str spec = slw_arena_printf(
        &f.a,
        "{\"name\": \"prices\", \"files\": [{\"path\": \"%s\"},"
        " {\"path\": \"%s\"}]}",
        a, b);
    const struct slw_job job = job_run_here(
        &f, "data.ingest", slw_data_ingest_job, spec.ptr, DAY(19500));
    assert_int_equal(job.state, SLW_JOB_SUCCEEDED);
    assert_non_null(strstr(job.result.ptr, "\"row_count\":2"));
    const char *c =
        file_put(&f, "c.csv", "date,symbol,close\n2023-01-04,A,high\n");
    const struct slw_str clash = slw_arena_printf(
        &f.a,
        "{\"name\": \"prices\", \"files\": [{\"path\": \"%s\"},"
        " {\"path\": \"%s\"}]}",
        a, c);
    const struct slw_job no = job_run_here(
        &f, "data.ingest", slw_data_ingest_job, clash.ptr, DAY(19500));
    assert_int_equal(no.state, SLW_JOB_FAILED);
    assert_non_null(strstr(no.error.ptr, "column 'close' is a number in a.csv"
                                         " and text in c.csv"));
}

static void
appended_rows_replace_those_of_their_entity_and_time(void **state)
{
    const struct slw_dataset a =
        ingest(&f, "prices", "p.csv", CSV, "", DAY(19500));
    const struct slw_dataset b = ingest(
        &f, "prices", "q.csv",
        "date,symbol,close,volume\n2023-01-03,A,12,8\n2023-01-04,A,13,9\n",
        ", \"mode\": \"append\"", DAY(19501));
    assert_int_equal(b.version, 2);
    assert_int_equal(b.parent, a.version);
    assert_int_equal(b.row_count, 5);
    SLW_AUTO(slw_json, out);
    struct slw_err err;
    assert_ok(task_run_here(&f, slw_data_diff_task,
                            "{\"a\": \"prices@1\", \"b\": \"prices@2\"}", &out,
                            &err),
              err);
    const struct json_t *rows = slw_json_get(out.root, "rows");
    assert_int_equal(slw_json_i64_or(slw_json_get(rows, "added"), -1), 1);
    assert_int_equal(slw_json_i64_or(slw_json_get(rows, "removed"), -1), 0);
    assert_int_equal(slw_json_i64_or(slw_json_get(rows, "changed"), -1), 1);
    /* Replacing everything by the union gives the very same bytes. */
    const struct slw_job same =
        ingest_full(&f, "prices",
                    file_put(&f, "r.csv",
                             "date,symbol,close,volume\n2023-01-03,B,21.5,7\n"
                             "2023-01-02,B,20,6\n2023-01-02,A,10.25,5\n"
                             "2023-01-03,A,12,8\n2023-01-04,A,13,9\n"),
                    "", DAY(19502));
    assert_non_null(strstr(same.result.ptr, "\"unchanged\":true"));
    ingest_refused(&f, "prices", "s.csv",
                   "date,symbol,close\n2023-01-05,A,high\n",
                   ", \"mode\": \"append\"", DAY(19503),
                   "s.csv, line 2, column 'close': 'high' is not a number,"
                   " which the column is in the version before");
}

static void
what_is_known_only_grows(void **state)
{
    (void)ingest(&f, "prices", "p.csv", CSV, "", DAY(19500));
    ingest_refused(&f, "prices", "q.csv",
                   "date,symbol,close\n2023-01-04,A,13\n", "", DAY(19499),
                   "version 1 was already known at 2023-05-23T00:00:00Z");
}

static void
until_keeps_rows_up_to_an_instant(void **state)
{
    const struct slw_str more = slw_arena_printf(
        &f.a, ", \"until_ms\": %lld", (long long)time_of("2023-01-02"));
    const struct slw_dataset d =
        ingest(&f, "prices", "p.csv", CSV, more.ptr, DAY(19500));
    assert_int_equal(d.row_count, 2);
    assert_int_equal(d.event_max_ms, time_of("2023-01-02"));
    ingest_refused(&f, "prices", "p.csv", CSV, ", \"until_ms\": 5", DAY(19500),
                   "no rows until 1970-01-01");
}

static void
a_version_is_announced_once_in_the_event_log(void **state)
{
    struct slw_err err;
    const struct slw_dataset d =
        ingest(&f, "prices", "p.csv", CSV, "", DAY(19500));
    (void)ingest(&f, "prices", "p.csv", CSV, "", DAY(19501));
    SLW_AUTO(slw_tx, tx);
    struct slw_event e;
    assert_ok(slw_tx_read(&tx, f.store, &err), err);
    assert_ok(slw_event_after(&tx, 0, SLW_STR("data.version_added"),
                              SLW_STR("prices"), &f.a, &e, &err),
              err);
    assert_non_null(strstr(e.payload.ptr, d.hash.ptr));
    assert_non_null(strstr(e.payload.ptr, "\"rows\":4"));
    assert_int_equal(e.at_ms, DAY(19500));
    struct slw_event again;
    assert_fails(slw_event_after(&tx, e.id, SLW_STR("data.version_added"),
                                 SLW_STR(""), &f.a, &again, &err),
                 SLW_NOT_FOUND, err, "no later event");
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_csv_becomes_a_sorted_typed_version),
        T(the_same_rows_in_any_order_and_format_have_one_hash),
        T(broken_rows_are_refused_with_file_line_and_column),
        T(text_is_typed_over_all_rows_and_the_users_word_wins),
        T(several_files_are_united_by_name),
        T(appended_rows_replace_those_of_their_entity_and_time),
        T(what_is_known_only_grows),
        T(until_keeps_rows_up_to_an_instant),
        T(a_version_is_announced_once_in_the_event_log),
    };
    return cmocka_run_group_tests_name("data/ingest", tests, NULL, NULL);
}
