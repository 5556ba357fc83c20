/* test_memo.c -- a frame cut from a memo is the frame of that day. */
#include "features/features.h"

#include "tests/unit/features/fixture.h"

#define DAYS 40
#define FIRST DAY(19358) /* 2023-01-01 */

static const char VIEWS[] =
    "[{\"name\": \"momentum\", \"entity\": \"symbol\", \"event_time\":"
    " \"date\", \"sql\": \"SELECT symbol, date, avg(close) OVER w3 AS mean3,"
    " close - lag(close) OVER w AS step FROM prices WINDOW w AS (PARTITION BY"
    " symbol ORDER BY date), w3 AS (PARTITION BY symbol ORDER BY date ROWS 2"
    " PRECEDING)\", \"lags\": [{\"of\": \"step\", \"count\": 3}]}]";
static const char PEEKS[] =
    "[{\"name\": \"peek\", \"entity\": \"symbol\", \"event_time\":"
    " \"date\", \"sql\": \"SELECT symbol, date, lead(close) OVER (PARTITION"
    " BY symbol ORDER BY date) AS next FROM prices\"}]";

static struct fixture f;

static int
setup(void **state)
{
    SLW_AUTO(slw_buf, text);
    fixture_open(&f);
    source_put(&f, "prices",
               "{\"entity\": \"symbol\", \"event_time\": \"date\","
               " \"known_after_ms\": 79200000}");
    slw_buf_z(&text, "date,symbol,close\n");
    for (int d = 0; d < DAYS; d++)
        for (int s = 0; s < 3; s++) {
            char day[SLW_TIME_TEXT_SIZE];
            slw_buf_printf(&text, "%s,%c,%d.%d\n",
                           slw_date_text(FIRST + DAY(d), day), 'A' + s,
                           10 * (s + 1) + (d * 7 + s) % 13, (d * 3) % 10);
        }
    (void)ingest(&f, "prices", "p.csv",
                 slw_arena_strz(&f.a, slw_buf_view(&text)), "", DAY(19500));
    return 0;
}

static int
teardown(void **state)
{
    fixture_close(&f);
    return 0;
}

static void
a_cut_is_the_frame_of_that_day(void **state)
{
    struct slw_err err;
    struct slw_memo *memo = slw_memo_new(FIRST + DAY(DAYS));
    for (int d = 3; d < DAYS; d += 5)
        for (int hour = 12; hour < 24; hour += 11) {
            struct slw_frame plain, cut;
            struct frame_ask ask = {.views = VIEWS,
                                    .target = "lead(close, 2) OVER w",
                                    .from_ms = FIRST + DAY(d > 20 ? 5 : 0),
                                    .to_ms = FIRST + DAY(d > 30 ? d - 2 : d),
                                    .as_of_ms = FIRST + DAY(d) + HOURS(hour)};
            assert_ok(frame_get(&f, &ask, &plain, &err), err);
            ask.memo = memo;
            assert_ok(frame_get(&f, &ask, &cut, &err), err);
            assert_int_equal(cut.row_count, plain.row_count);
            assert_string_equal(cut.hash, plain.hash);
            for (size_t i = 0; i < cut.row_count; i++) {
                assert_int_equal(cut.label_known_ms[i],
                                 plain.label_known_ms[i]);
                assert_int_equal(cut.known_ms[i], plain.known_ms[i]);
                assert_true(cut.known_ms[i] <= ask.as_of_ms);
            }
        }
    slw_memo_free(memo);
}

static void
a_view_that_peeks_and_a_day_after_the_end_are_refused(void **state)
{
    struct slw_err err;
    struct slw_frame r;
    struct slw_memo *memo = slw_memo_new(FIRST + DAY(30));
    struct frame_ask ask = {.views = PEEKS,
                            .to_ms = FIRST + DAY(30),
                            .as_of_ms = FIRST + DAY(30),
                            .memo = memo};
    assert_fails(frame_get(&f, &ask, &r, &err), SLW_INVALID, err,
                 "looks into the future");
    ask.views = VIEWS;
    ask.as_of_ms = FIRST + DAY(31);
    assert_fails(frame_get(&f, &ask, &r, &err), SLW_INTERNAL, err,
                 "after the rehearsal's end");
    slw_memo_free(memo);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_is_the_frame_of_that_day),
        cmocka_unit_test(a_view_that_peeks_and_a_day_after_the_end_are_refused),
    };
    return cmocka_run_group_tests_name("features/memo", tests, setup, teardown);
}
