/* test_frame.c -- the point-in-time join, worked by hand on a few rows, and
 * every way in which a view is refused. */
#include "features/features.h"

#include "tests/unit/features/fixture.h"

/* A trades on days 2..6, B on days 2..4; what happens on a day is known at
 * 22:00 of it. */
static const char PRICES[] = "date,symbol,close,venue\n"
                             "2023-01-02,A,10,x\n2023-01-03,A,11,x\n"
                             "2023-01-04,A,13,x\n2023-01-05,A,16,x\n"
                             "2023-01-06,A,20,x\n2023-01-02,B,100,y\n"
                             "2023-01-03,B,90,y\n2023-01-04,B,99,y\n";
static const char MOMENTUM[] =
    "[{\"name\": \"momentum\", \"entity\": \"symbol\", \"event_time\":"
    " \"date\", \"sql\": \"SELECT symbol, date, close, close - lag(close) OVER"
    " w AS step FROM prices WINDOW w AS (PARTITION BY symbol ORDER BY"
    " date)\"}]";

static struct fixture f;

static int
setup(void **state)
{
    fixture_open(&f);
    source_put(&f, "prices",
               "{\"entity\": \"symbol\", \"event_time\": \"date\","
               " \"known_after_ms\": 79200000}");
    (void)ingest(&f, "prices", "p.csv", PRICES, "", DAY(19400));
    return 0;
}

static int
teardown(void **state)
{
    fixture_close(&f);
    return 0;
}

static void
each_row_has_its_features_and_the_label_of_the_next_row(void **state)
{
    struct slw_err err;
    struct slw_frame r;
    const struct frame_ask ask = {.views = MOMENTUM,
                                  .target = "lead(close) OVER w",
                                  .extra = "close * 2 AS twice"};
    assert_ok(frame_get(&f, &ask, &r, &err), err);
    assert_int_equal(r.row_count, 8);
    assert_int_equal(r.column_count, 3);
    assert_string_equal(r.columns[0].ptr, "close");
    assert_string_equal(r.columns[1].ptr, "step");
    assert_string_equal(r.columns[2].ptr, "twice");
    assert_string_equal(r.entity_column.ptr, "symbol");
    static const struct {
        const char *day, *entity;
        double close, step, y;
    } want[] = {
        {"2023-01-02", "A", 10, NAN, 11}, {"2023-01-02", "B", 100, NAN, 90},
        {"2023-01-03", "A", 11, 1, 13},   {"2023-01-03", "B", 90, -10, 99},
        {"2023-01-04", "A", 13, 2, 16},   {"2023-01-04", "B", 99, 9, NAN},
        {"2023-01-05", "A", 16, 3, 20},   {"2023-01-06", "A", 20, 4, NAN}};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_int_equal(r.event_ms[i], time_of(want[i].day));
        assert_string_equal(r.entity[i].ptr, want[i].entity);
        assert_near(r.x[i * 3], want[i].close, 0);
        assert_near(r.x[i * 3 + 1], want[i].step, 0);
        assert_near(r.x[i * 3 + 2], 2 * want[i].close, 0);
        assert_near(r.y[i], want[i].y, 0);
        assert_int_equal(r.label_known_ms[i],
                         isnan(want[i].y) ? INT64_MAX
                                          : r.event_ms[i] + DAY(1) + HOURS(22));
    }
    struct slw_frame again;
    assert_ok(frame_get(&f, &ask, &again, &err), err);
    assert_string_equal(r.hash, again.hash);
}

static void
what_was_not_known_by_as_of_is_not_there(void **state)
{
    struct slw_err err;
    struct slw_frame r;
    struct frame_ask ask = {.views = MOMENTUM,
                            .target = "lead(close) OVER w",
                            .as_of_ms = time_of("2023-01-04") + HOURS(22)};
    assert_ok(frame_get(&f, &ask, &r, &err), err);
    assert_int_equal(r.row_count, 6);
    assert_near(r.y[2], 13, 0);
    assert_int_equal(r.label_known_ms[2], ask.as_of_ms);
    assert_true(isnan(r.y[4]));
    assert_true(isnan(r.y[5]));
    /* A millisecond earlier the third day is gone, row and label. */
    ask.as_of_ms--;
    assert_ok(frame_get(&f, &ask, &r, &err), err);
    assert_int_equal(r.row_count, 4);
    assert_true(isnan(r.y[2]));
    assert_int_equal(r.label_known_ms[2], INT64_MAX);
    /* A label that is known a day after its row is known later. */
    ask.as_of_ms++;
    ask.known_after_ms = DAY(1);
    assert_ok(frame_get(&f, &ask, &r, &err), err);
    assert_near(r.y[0], 11, 0);
    assert_true(isnan(r.y[2]));
}

static void
a_label_waits_for_the_last_row_its_target_reads(void **state)
{
    struct slw_err err;
    struct slw_frame r;
    const char *const two[] = {
        "lead(close, 2) OVER w",
        "sum(close) OVER (w ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING)"};
    for (size_t i = 0; i < ARRAY_LEN(two); i++) {
        const struct frame_ask ask = {.views = MOMENTUM, .target = two[i]};
        assert_ok(frame_get(&f, &ask, &r, &err), err);
        assert_int_equal(r.label_known_ms[0],
                         time_of("2023-01-04") + HOURS(22));
    }
    const struct frame_ask own = {.views = MOMENTUM, .target = "close"};
    assert_ok(frame_get(&f, &own, &r, &err), err);
    assert_int_equal(r.label_known_ms[7], time_of("2023-01-06") + HOURS(22));
    const struct frame_ask last = {
        .views = MOMENTUM,
        .target = "last_value(close) OVER (w ROWS BETWEEN CURRENT ROW AND"
                  " UNBOUNDED FOLLOWING)"};
    assert_ok(frame_get(&f, &last, &r, &err), err);
    assert_near(r.y[0], 20, 0);
    assert_int_equal(r.label_known_ms[0], time_of("2023-01-06") + HOURS(22));
}

static void
a_range_cuts_rows_after_windows_are_computed(void **state)
{
    struct slw_err err;
    struct slw_frame r;
    const struct frame_ask ask = {.views = MOMENTUM,
                                  .target = "lead(close) OVER w",
                                  .from_ms = time_of("2023-01-03"),
                                  .to_ms = time_of("2023-01-04")};
    assert_ok(frame_get(&f, &ask, &r, &err), err);
    assert_int_equal(r.row_count, 4);
    assert_near(r.x[1], 1, 0);  /* step of the 3rd, from the 2nd */
    assert_near(r.y[2], 16, 0); /* label of the 4th, from the 5th */
}

static void
lags_are_columns_and_lag0_is_the_rows_own_value(void **state)
{
    struct slw_err err;
    struct slw_frame r;
    const struct frame_ask ask = {
        .views = "[{\"name\": \"v\", \"entity\": \"symbol\", \"event_time\":"
                 " \"date\", \"sql\": \"SELECT symbol, date, close FROM"
                 " prices\", \"lags\": [{\"of\": \"close\", \"count\": 3}]}]"};
    assert_ok(frame_get(&f, &ask, &r, &err), err);
    assert_int_equal(r.column_count, 4);
    assert_string_equal(r.columns[1].ptr, "close_lag0");
    assert_string_equal(r.columns[3].ptr, "close_lag2");
    const double *a4 = &r.x[4 * 4]; /* A on the 4th */
    assert_near(a4[0], 13, 0);
    assert_near(a4[1], 13, 0);
    assert_near(a4[2], 11, 0);
    assert_near(a4[3], 10, 0);
    assert_true(isnan(r.y[0]));
}

/* Reports of days 2 and 3; the first is known on day 4 only, the second, on
 * time: at day 3 neither may be used, since the sum of both needs the late
 * one. */
static void
a_late_row_is_used_only_once_it_was_known(void **state)
{
    struct slw_err err;
    struct slw_frame r;
    source_put(&f, "reports",
               "{\"entity\": \"symbol\", \"event_time\": \"day\","
               " \"known_time\": \"seen\"}");
    (void)ingest(&f, "reports", "r.csv",
                 "day,symbol,profit,seen\n"
                 "2023-01-01,A,5,2023-01-01\n"
                 "2023-01-02,A,1000,2023-01-04T23:00:00Z\n"
                 "2023-01-03,A,7,2023-01-03\n"
                 "2023-01-03,B,8,2023-01-03\n",
                 "", DAY(19400));
    const struct frame_ask ask = {
        .pins = "{\"prices\": 1, \"reports\": 1}",
        .views = "[{\"name\": \"v\", \"entity\": \"symbol\", \"event_time\":"
                 " \"day\", \"sql\": \"SELECT symbol, day, sum(profit) OVER"
                 " (PARTITION BY symbol ORDER BY day) AS profits FROM"
                 " reports\"}]"};
    assert_ok(frame_get(&f, &ask, &r, &err), err);
    /* Rows: 2A 2B 3A 3B 4A 4B 5A 6A. */
    static const double want[] = {5, NAN, 5, 8, 5, 8, 1012, 1012};
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        assert_near(r.x[i], want[i], 0);
    /* Where rows of all entities enter, B waits for A's late row too. */
    const struct frame_ask across = {
        .pins = ask.pins,
        .views = "[{\"name\": \"v\", \"entity\": \"symbol\", \"event_time\":"
                 " \"day\", \"sql\": \"SELECT symbol, day, sum(profit) OVER"
                 " (ORDER BY day) AS profits FROM reports\"}]"};
    assert_ok(frame_get(&f, &across, &r, &err), err);
    assert_true(isnan(r.x[3]));
    assert_near(r.x[6], 1020, 0);
    /* As of the evening of the third, the late row is not even loaded. */
    struct frame_ask early = ask;
    early.as_of_ms = time_of("2023-01-03") + HOURS(22);
    assert_ok(frame_get(&f, &early, &r, &err), err);
    assert_int_equal(r.row_count, 4);
    assert_near(r.x[2], 12, 0);
}

static void
a_feature_older_than_its_ttl_is_missing(void **state)
{
    struct slw_err err;
    struct slw_frame r;
    source_put(&f, "reports",
               "{\"entity\": \"symbol\", \"event_time\": \"day\"}");
    (void)ingest(&f, "reports", "r.csv",
                 "day,symbol,profit\n2023-01-02,A,5\n2023-01-02,B,6\n"
                 "2023-01-04,B,7\n",
                 "", DAY(19400));
    const struct frame_ask ask = {
        .pins = "{\"prices\": 1, \"reports\": 1}",
        .views = "[{\"name\": \"v\", \"entity\": \"symbol\", \"event_time\":"
                 " \"day\", \"ttl_ms\": 172800000, \"sql\": \"SELECT symbol,"
                 " day, profit FROM reports\"}]"};
    assert_ok(frame_get(&f, &ask, &r, &err), err);
    /* 2A 2B 3A 3B 4A 4B 5A 6A: on the 4th A's is two days old to the
     * millisecond, on the 5th three. */
    static const double want[] = {5, 6, 5, 6, 5, 7, NAN, NAN};
    assert_int_equal(r.row_count, 8);
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        assert_near(r.x[i], want[i], 0);
}

#define VIEW(sql)                                                              \
    "[{\"name\": \"v\", \"entity\": \"symbol\", \"event_time\": \"date\","     \
    " \"sql\": \"" sql "\"}]"
#define W " WINDOW w AS (PARTITION BY symbol ORDER BY date)"

static void
a_view_that_looks_into_the_future_is_refused(void **state)
{
    static const char *const bad[] = {
        VIEW("SELECT symbol, date, lead(close) OVER w AS x FROM prices" W),
        VIEW("SELECT symbol, date, close / avg(close) OVER () AS x FROM"
             " prices"),
        VIEW("SELECT symbol, date, avg(close) OVER (w ROWS BETWEEN 1 PRECEDING"
             " AND 1 FOLLOWING) AS x FROM prices" W),
    };
    struct slw_err err;
    struct slw_frame r;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const struct frame_ask ask = {.views = bad[i]};
        assert_fails(frame_get(&f, &ask, &r, &err), SLW_INVALID, err,
                     "view 'v': feature 'x' of ");
        assert_non_null(strstr(err.msg, "it looks into the future"));
    }
    struct frame_ask ordered = {0};
    ordered.views =
        VIEW("SELECT * FROM (SELECT symbol, date, close,"
             " lead(close) OVER w AS n FROM prices" W ") WHERE n IS NOT NULL");
    assert_fails(frame_get(&f, &ordered, &r, &err), SLW_INVALID, err,
                 "is there only when later rows have arrived");
}

static void
a_view_that_is_wrong_is_refused_in_a_sentence(void **state)
{
    static const struct {
        const char *views, *part;
    } bad[] = {
        {VIEW("SELECT symbol, date, venue FROM prices"),
         "view 'v': feature 'venue' is text"},
        {VIEW("SELECT symbol, date, date AS when2 FROM prices"),
         "feature 'when2' is of type DATE"},
        {VIEW("SELECT date, close FROM prices"),
         "the sql returns no column 'symbol', which is its entity; it returns:"
         " date, close"},
        {VIEW("SELECT symbol, close FROM prices"),
         "no column 'date', which is its event_time"},
        {VIEW("SELECT symbol, date FROM prices"), "returns no feature"},
        {VIEW("SELECT symbol, close AS date, close FROM prices"),
         "event_time 'date' is of type BIGINT"},
        {VIEW("SELECT symbol, DATE '2023-01-02' AS date, close FROM prices"),
         "rows for symbol 'A' at 2023-01-02T00:00:00Z; there must be one"},
        {VIEW("SELECT symbol, date, clse FROM prices"), "clse"},
        {VIEW("SELECT symbol, date, close FROM price"), "price"},
        {VIEW("SELECT symbol, date, close FROM main.prices"), "prices"},
        {VIEW("SELECT 1; SELECT 2"), "must be one SELECT, and is 2"},
        {VIEW("SELECT * FROM read_csv('/etc/passwd')"), "disabled"},
        {VIEW("SELECT symbol, date, close FROM"), "syntax error"},
        {VIEW("DELETE FROM prices"), "must be one SELECT"},
        {"[{\"name\": \"v\", \"entity\": \"symbol\", \"event_time\": \"date\","
         " \"sql\": \"SELECT symbol, date, close FROM prices\", \"lags\":"
         " [{\"of\": \"open\", \"count\": 3}]}]",
         "lags are wanted of 'open', which is no feature"},
        {"[{\"name\": \"v\", \"entity\": \"venue\", \"event_time\": \"date\","
         " \"sql\": \"SELECT 1\", \"tll_ms\": 5}]",
         "unknown key 'tll_ms'"},
    };
    struct slw_err err;
    struct slw_frame r;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const struct frame_ask ask = {.views = bad[i].views};
        assert_fails(frame_get(&f, &ask, &r, &err), SLW_INVALID, err,
                     bad[i].part);
    }
    const struct frame_ask twice = {
        .views = "[{\"name\": \"a\", \"entity\": \"symbol\", \"event_time\":"
                 " \"date\", \"sql\": \"SELECT symbol, date, close FROM"
                 " prices\"}, {\"name\": \"b\", \"entity\": \"symbol\","
                 " \"event_time\": \"date\", \"sql\": \"SELECT symbol, date,"
                 " close FROM prices\"}]"};
    assert_fails(frame_get(&f, &twice, &r, &err), SLW_INVALID, err,
                 "views 'a' and 'b' both have a feature 'close'");
    const struct frame_ask target = {.views = MOMENTUM, .target = "venue"};
    assert_fails(frame_get(&f, &target, &r, &err), SLW_INVALID, err,
                 "target over 'prices'");
    const struct frame_ask none = {.views = MOMENTUM,
                                   .from_ms = time_of("2024-01-01")};
    assert_fails(frame_get(&f, &none, &r, &err), SLW_INVALID, err,
                 "has no rows in the range");
    const struct frame_ask pin = {.views = MOMENTUM, .pins = "{\"prices\": 9}"};
    assert_fails(frame_get(&f, &pin, &r, &err), SLW_NOT_FOUND, err,
                 "has no version 9; there are 1 to 1");
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(each_row_has_its_features_and_the_label_of_the_next_row),
        T(what_was_not_known_by_as_of_is_not_there),
        T(a_label_waits_for_the_last_row_its_target_reads),
        T(a_range_cuts_rows_after_windows_are_computed),
        T(lags_are_columns_and_lag0_is_the_rows_own_value),
        T(a_late_row_is_used_only_once_it_was_known),
        T(a_feature_older_than_its_ttl_is_missing),
        T(a_view_that_looks_into_the_future_is_refused),
        T(a_view_that_is_wrong_is_refused_in_a_sentence),
    };
    return cmocka_run_group_tests_name("features/frame", tests, NULL, NULL);
}
