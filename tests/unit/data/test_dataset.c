/* test_dataset.c -- references, lists, pins, profiles, the difference of two
 * versions, and chunks that they share. */
#include "data/data.h"

#include "base/buf.h"
#include "base/rng.h"
#include "tests/unit/data/fixture.h"

static struct fixture f;

static int
setup(void **state)
{
    fixture_open(&f);
    source_put(&f, "prices",
               "{\"entity\": \"symbol\", \"event_time\": \"date\"}");
    return 0;
}

static int
teardown(void **state)
{
    fixture_close(&f);
    return 0;
}

static const char V1[] = "date,symbol,close\n2023-01-02,A,1\n2023-01-03,A,2\n";
static const char V2[] = "date,symbol,close,extra\n2023-01-02,A,1,x\n"
                         "2023-01-03,A,2.5,y\n2023-01-04,A,3,z\n";

static int64_t
version_of(const char *ref)
{
    struct slw_err err;
    struct slw_dataset d;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, f.store, &err), err);
    assert_ok(slw_data_get(&tx, slw_str_of(ref), &f.a, &d, &err), err);
    return d.version;
}

static void
a_reference_names_a_version_by_number_day_time_or_hash(void **state)
{
    const struct slw_dataset a =
        ingest(&f, "prices", "a.csv", V1, "", time_of("2023-08-31T22:00:00Z"));
    (void)ingest(&f, "prices", "b.csv", V2, "",
                 time_of("2023-09-30T22:00:00Z"));
    assert_int_equal(version_of("prices"), 2);
    assert_int_equal(version_of("prices@latest"), 2);
    assert_int_equal(version_of("prices@1"), 1);
    assert_int_equal(version_of("prices@2023-08-31"), 1);
    assert_int_equal(version_of("prices@2023-09-29"), 1);
    assert_int_equal(version_of("prices@2023-09-30"), 2);
    assert_int_equal(version_of("prices@2023-09-30T21:59:59Z"), 1);
    assert_int_equal(
        version_of(slw_arena_printf(&f.a, "prices@%s", a.hash.ptr).ptr), 1);
    static const struct {
        const char *ref, *part;
        enum slw_rc rc;
    } bad[] = {
        {"prices@3", "has no version 3; there are 1 to 2", SLW_NOT_FOUND},
        {"prices@2023-08-30", "the first known at 2023-08-31T22:00:00Z",
         SLW_NOT_FOUND},
        {"price", "no dataset 'price'; there are: prices", SLW_NOT_FOUND},
        {"prices@newest", "names no version: write NAME", SLW_INVALID},
    };
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    struct slw_dataset d;
    assert_ok(slw_tx_read(&tx, f.store, &err), err);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_fails(slw_data_get(&tx, slw_str_of(bad[i].ref), &f.a, &d, &err),
                     bad[i].rc, err, bad[i].part);
}

static void
lists_and_pins_show_what_there_was_at_an_instant(void **state)
{
    struct slw_err err;
    source_put(&f, "empty", "{\"event_time\": \"date\"}");
    const struct slw_dataset a =
        ingest(&f, "prices", "a.csv", V1, "", DAY(19400));
    (void)ingest(&f, "prices", "b.csv", V2, "", DAY(19410));
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, f.store, &err), err);
    struct slw_dataset *list = NULL;
    size_t count = 0;
    assert_ok(slw_data_list(&tx, &f.a, &list, &count, &err), err);
    assert_int_equal(count, 2);
    assert_string_equal(list[0].name.ptr, "empty");
    assert_int_equal(list[0].version, 0);
    assert_int_equal(list[1].version, 2);
    assert_ok(slw_data_log(&tx, SLW_STR("prices"), &f.a, &list, &count, &err),
              err);
    assert_int_equal(count, 2);
    assert_int_equal(list[0].version, 2);
    assert_int_equal(list[0].parent, 1);
    assert_int_equal(list[1].version, 1);
    static const struct {
        int64_t at_ms;
        const char *versions;
    } want[] = {{DAY(19399), "{}"},
                {DAY(19409), "{\"prices\":1}"},
                {INT64_MAX, "{\"prices\":2}"}};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        SLW_AUTO(slw_buf, v);
        SLW_AUTO(slw_buf, h);
        struct slw_jw vw;
        struct slw_jw hw;
        slw_jw_init(&vw, &v);
        slw_jw_init(&hw, &h);
        assert_ok(slw_data_pins(&tx, want[i].at_ms, &vw, &hw, &err), err);
        assert_string_equal(v.ptr, want[i].versions);
        if (i == 1)
            assert_non_null(strstr(h.ptr, a.hash.ptr));
    }
}

static void
a_profile_says_what_the_columns_look_like(void **state)
{
    /* close = 1..100: mean 50.5, std sqrt(100*101/12) = 29.011491975882016,
     * quantile(q) = 1 + 99 q, 20 bins of 5 rows. */
    SLW_AUTO(slw_buf, csv);
    slw_buf_z(&csv, "date,symbol,close,flat\n");
    for (int i = 1; i <= 100; i++)
        slw_buf_printf(&csv, "2023-01-%02d,%s,%d,%s\n", i % 28 + 1,
                       i % 4 ? "A" : "B", i, i % 2 ? "7" : "");
    const struct slw_dataset d =
        ingest(&f, "prices", "a.csv", csv.ptr, "", DAY(19400));
    struct slw_err err;
    SLW_AUTO(slw_json, doc);
    assert_ok(slw_json_parse(&doc, d.profile, &err), err);
    assert_int_equal(slw_json_i64_or(slw_json_get(doc.root, "rows"), 0), 100);
    const struct json_t *cols = slw_json_get(doc.root, "columns");
    const struct json_t *close = slw_json_get(cols, "close");
#define F64(o, key) slw_json_f64_or(slw_json_get(o, key), NAN)
    assert_near(F64(close, "count"), 100, 0);
    assert_near(F64(close, "distinct"), 100, 0);
    assert_near(F64(close, "min"), 1, 0);
    assert_near(F64(close, "max"), 100, 0);
    assert_near(F64(close, "mean"), 50.5, 1e-12);
    assert_near(F64(close, "std"), 29.011491975882016, 1e-12);
    const struct json_t *q = slw_json_get(close, "quantiles");
    assert_near(F64(q, "0.01"), 1.99, 1e-12);
    assert_near(F64(q, "0.5"), 50.5, 1e-12);
    assert_near(F64(q, "0.95"), 95.05, 1e-12);
    const struct json_t *h = slw_json_get(close, "histogram");
    assert_int_equal(slw_json_len(slw_json_get(h, "edges")), 21);
    const struct json_t *counts = slw_json_get(h, "counts");
    assert_int_equal(slw_json_len(counts), 20);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(slw_json_i64_or(slw_json_at(counts, i), 0), 5);
    const struct json_t *flat = slw_json_get(cols, "flat");
    assert_near(F64(flat, "nulls"), 50, 0);
    assert_near(F64(flat, "std"), 0, 0);
    const struct json_t *top =
        slw_json_at(slw_json_get(slw_json_get(cols, "symbol"), "top"), 0);
    assert_near(F64(top, "count"), 75, 0);
    assert_true(slw_str_eqz(
        slw_json_str_or(slw_json_get(top, "value"), SLW_STR("")), "A"));
    assert_true(slw_str_eqz(
        slw_json_str_or(slw_json_get(slw_json_get(cols, "date"), "max"),
                        SLW_STR("")),
        "2023-01-28T00:00:00Z"));
}

static void
a_diff_counts_rows_names_columns_and_measures_drift(void **state)
{
    (void)ingest(&f, "prices", "a.csv", V1, "", DAY(19400));
    (void)ingest(&f, "prices", "b.csv", V2, "", DAY(19410));
    struct slw_err err;
    SLW_AUTO(slw_json, doc);
    assert_ok(task_run_here(&f, slw_data_diff_task,
                            "{\"a\": \"prices@1\", \"b\": \"prices\"}", &doc,
                            &err),
              err);
    SLW_AUTO(slw_buf, text);
    slw_json_dump(&text, slw_json_get(doc.root, "rows"));
    slw_json_dump(&text, slw_json_get(doc.root, "columns"));
    assert_string_equal(text.ptr,
                        "{\"a\":2,\"added\":1,\"b\":3,\"changed\":1,"
                        "\"removed\":0}"
                        "{\"added\":[\"extra\"],\"removed\":[],\"retyped\":"
                        "[{\"from\":\"BIGINT\",\"name\":\"close\",\"to\":"
                        "\"DOUBLE\"}]}");
    assert_true(isfinite(F64(slw_json_get(doc.root, "psi"), "close")));
    SLW_AUTO(slw_json, same);
    assert_ok(task_run_here(&f, slw_data_diff_task,
                            "{\"a\": \"prices@2\", \"b\": \"prices@2\"}", &same,
                            &err),
              err);
    assert_near(F64(slw_json_get(same.root, "psi"), "close"), 0, 0);
    const struct json_t *chunks = slw_json_get(same.root, "chunks");
    assert_int_equal(slw_json_i64_or(slw_json_get(chunks, "shared"), -1),
                     slw_json_i64_or(slw_json_get(chunks, "total"), -2));
}

/* 2,700 days of seven entities; the second version has 20 days more. */
static void
a_version_with_rows_appended_shares_most_chunks(void **state)
{
    struct slw_rng rng;
    slw_rng_init(&rng, 7);
    SLW_AUTO(slw_buf, csv);
    slw_buf_z(&csv, "date,symbol,open,high,low,close\n");
    size_t first_len = 0;
    for (int day = 0; day < 2720; day++) {
        if (day == 2700)
            first_len = csv.len;
        char text[SLW_TIME_TEXT_SIZE];
        (void)slw_date_text(DAY(15000 + day), text);
        for (int s = 0; s < 7; s++)
            slw_buf_printf(&csv, "%s,S%d,%.4f,%.4f,%.4f,%.4f\n", text, s,
                           slw_rng_f64(&rng) * 100, slw_rng_f64(&rng) * 100,
                           slw_rng_f64(&rng) * 100, slw_rng_f64(&rng) * 100);
    }
    const char *part =
        slw_arena_strz(&f.a, (struct slw_str){csv.ptr, first_len});
    const struct slw_dataset a =
        ingest(&f, "prices", "a.csv", part, "", DAY(19400));
    const struct slw_dataset b =
        ingest(&f, "prices", "b.csv", csv.ptr, "", DAY(19410));
    assert_int_equal(b.row_count - a.row_count, 140);
    struct slw_err err;
    int64_t shared = 0;
    int64_t total = 0;
    assert_ok(
        slw_blob_shared(f.store, a.hash.ptr, b.hash.ptr, &shared, &total, &err),
        err);
    print_message("shared %lld of %lld chunks; %lld of %lld bytes new\n",
                  (long long)shared, (long long)total, (long long)b.new_size,
                  (long long)b.size);
    assert_true(shared * 4 >= total * 3);
    assert_true(b.new_size * 4 < a.new_size);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_reference_names_a_version_by_number_day_time_or_hash),
        T(lists_and_pins_show_what_there_was_at_an_instant),
        T(a_profile_says_what_the_columns_look_like),
        T(a_diff_counts_rows_names_columns_and_measures_drift),
        T(a_version_with_rows_appended_shares_most_chunks),
    };
    return cmocka_run_group_tests_name("data/dataset", tests, NULL, NULL);
}
