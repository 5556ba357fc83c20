/* test_clock.c -- clocks, times and durations as text.
 *
 * Instants were computed with GNU date: date -u -d '2023-08-31T22:00:00Z'
 * +%s, coreutils 9.1. */
#include "base/clock.h"

#include "base/rng.h"
#include "tests/slw_test.h"

static void
times_are_read_in_all_their_forms(void **state)
{
    static const struct {
        const char *text;
        int64_t ms, end_ms;
    } cases[] = {
        {"2023-08-31", 1693440000000, 1693526399999},
        {"2023-08-31T22:00:00Z", 1693519200000, 1693519200000},
        {"2023-08-31 22:00:00", 1693519200000, 1693519200000},
        {"2023-08-31T22:00", 1693519200000, 1693519200000},
        {"2023-08-31T22:00:00.250+02:00", 1693512000250, 1693512000250},
        {"2023-08-31T22:00:00.25-0930", 1693553400250, 1693553400250},
        {"2023-08-31T22:00:00.123456789Z", 1693519200123, 1693519200123},
        {"2023-08-31T22:00:00+02", 1693512000000, 1693512000000},
        {"1693519200000", 1693519200000, 1693519200000},
        {"0", 0, 0},
        {"-1", -1, -1},
        {"2024-02-29", 1709164800000, 1709251199999},
        {"2000-02-29", 951782400000, 951868799999},
        {"1969-12-31T23:59:59.999Z", -1, -1},
        {"0001-01-01", -62135596800000, -62135510400001},
        {"9999-12-31T23:59:59Z", 253402300799000, 253402300799000},
    };
    struct slw_err err;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ms = 5, end_ms = 5;
        struct slw_str s = slw_str_of(cases[i].text);
        assert_ok(slw_time_parse(s, &ms, &err), err);
        assert_ok(slw_time_parse_end(s, &end_ms, &err), err);
        assert_int_equal(ms, cases[i].ms);
        assert_int_equal(end_ms, cases[i].end_ms);
    }
}

static void
times_that_do_not_exist_are_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "yesterday",
                                      "2023-02-29",
                                      "1900-02-29",
                                      "2023-13-01",
                                      "2023-00-10",
                                      "2023-04-31",
                                      "2023-8-31",
                                      "23-08-31",
                                      "2023-08-31T",
                                      "2023-08-31T24:00:00Z",
                                      "2023-08-31T22:60:00Z",
                                      "2023-08-31T22:00:60Z",
                                      "2023-08-31T22:00:00.Z",
                                      "2023-08-31T22:00:00.1234567890Z",
                                      "2023-08-31T22:00:00+24:00",
                                      "2023-08-31T22:00:00+2",
                                      "2023-08-31T22:00:00 Z",
                                      "2023-08-31Z",
                                      "0000-01-01",
                                      "2023-08-31x",
                                      "253402300800000",
                                      "-62135596800001",
                                      "99999999999999999999",
                                      "1.5",
                                      "0001-01-01T00:00:00+01:00",
                                      "2023-08-31T22:00:00+02:"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct slw_err err;
        int64_t ms = 5;
        assert_int_equal(slw_time_parse(slw_str_of(bad[i]), &ms, &err),
                         SLW_INVALID);
        assert_int_equal(ms, 5);
        assert_int_equal(slw_time_parse_end(slw_str_of(bad[i]), &ms, &err),
                         SLW_INVALID);
        assert_int_equal(ms, 5);
        assert_string_not_equal(err.msg, "");
    }
}

static void
times_are_written_with_milliseconds_only_where_needed(void **state)
{
    char buf[SLW_TIME_TEXT_SIZE];
    assert_string_equal(slw_time_text(1693519200000, buf),
                        "2023-08-31T22:00:00Z");
    assert_string_equal(slw_time_text(1693519200250, buf),
                        "2023-08-31T22:00:00.250Z");
    assert_string_equal(slw_time_text(-1, buf), "1969-12-31T23:59:59.999Z");
    assert_string_equal(slw_date_text(1693519200000, buf), "2023-08-31");
    assert_string_equal(slw_date_text(-1, buf), "1969-12-31");
    /* No instant overruns the buffer. */
    assert_true(strlen(slw_time_text(INT64_MAX, buf)) < SLW_TIME_TEXT_SIZE);
    assert_true(strlen(slw_time_text(INT64_MIN, buf)) < SLW_TIME_TEXT_SIZE);
}

static void
every_instant_survives_the_way_through_text(void **state)
{
    struct slw_rng rng;
    slw_rng_init(&rng, 77);
    struct slw_err err;
    for (int i = 0; i < 100000; i++) {
        int64_t ms =
            (int64_t)slw_rng_below(&rng, 315537897600000) - 62135596800000;
        char buf[SLW_TIME_TEXT_SIZE];
        int64_t back = 0;
        slw_time_text(ms, buf);
        assert_ok(slw_time_parse(slw_str_of(buf), &back, &err), err);
        assert_int_equal(back, ms);
        /* The C library's calendar agrees. */
        time_t t = (time_t)((ms - (ms % 1000 + 1000) % 1000) / 1000);
        struct tm tm;
        assert_non_null(gmtime_r(&t, &tm));
        char theirs[32];
        strftime(theirs, sizeof theirs, "%H:%M:%S", &tm);
        assert_memory_equal(buf + 11, theirs, 8);
        assert_int_equal(strtol(buf + 8, NULL, 10), tm.tm_mday);
    }
}

static void
durations_have_a_unit(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"250ms", 250},    {"30s", 30000},      {"5m", 300000},
                {"12h", 43200000}, {"90d", 7776000000}, {"2w", 1209600000},
                {"0s", 0}};
    static const char *const bad[] = {"",
                                      "5",
                                      "ms",
                                      "-5s",
                                      "1.5h",
                                      "5 s",
                                      "5y",
                                      "5sm",
                                      "5S",
                                      "99999999999999999999ms",
                                      "9223372036854775807s"};
    struct slw_err err;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        int64_t ms = -1;
        assert_ok(slw_duration_parse(slw_str_of(good[i].text), &ms, &err), err);
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t ms = -1;
        assert_fails(slw_duration_parse(slw_str_of(bad[i]), &ms, &err),
                     SLW_INVALID, err, "duration");
        assert_int_equal(ms, -1);
    }
}

static void
a_time_before_1970_lies_in_the_day_it_is_of(void **state)
{
    assert_int_equal(slw_time_index(0, SLW_DAY_MS), 0);
    assert_int_equal(slw_time_index(SLW_DAY_MS - 1, SLW_DAY_MS), 0);
    assert_int_equal(slw_time_index(SLW_DAY_MS, SLW_DAY_MS), 1);
    assert_int_equal(slw_time_index(-1, SLW_DAY_MS), -1);
    assert_int_equal(slw_time_index(-SLW_DAY_MS, SLW_DAY_MS), -1);
    assert_int_equal(slw_time_index(-SLW_DAY_MS - 1, SLW_DAY_MS), -2);
}

static void
a_manual_clock_moves_only_forward(void **state)
{
    struct slw_err err;
    struct slw_clock c;
    slw_clock_init_manual(&c, 1000);
    assert_int_equal(slw_clock_now_ms(&c), 1000);
    assert_ok(slw_clock_set(&c, 5000, &err), err);
    assert_ok(slw_clock_set(&c, 5000, &err), err);
    assert_fails(slw_clock_set(&c, 4999, &err), SLW_CONFLICT, err, "go back");
    assert_int_equal(slw_clock_now_ms(&c), 5000);
}

static void
the_system_clock_runs_and_cannot_be_set(void **state)
{
    struct slw_err err;
    struct slw_clock c;
    slw_clock_init_system(&c);
    int64_t now = slw_clock_now_ms(&c);
    assert_true(llabs(now - (int64_t)time(NULL) * 1000) < 5000);
    assert_fails(slw_clock_set(&c, now + 1, &err), SLW_CONFLICT, err, "system");
    int64_t a = slw_mono_ns(), b = slw_mono_ns();
    assert_true(a > 0 && b >= a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read_in_all_their_forms),
        cmocka_unit_test(times_that_do_not_exist_are_refused),
        cmocka_unit_test(times_are_written_with_milliseconds_only_where_needed),
        cmocka_unit_test(every_instant_survives_the_way_through_text),
        cmocka_unit_test(durations_have_a_unit),
        cmocka_unit_test(a_time_before_1970_lies_in_the_day_it_is_of),
        cmocka_unit_test(a_manual_clock_moves_only_forward),
        cmocka_unit_test(the_system_clock_runs_and_cannot_be_set),
    };
    return cmocka_run_group_tests_name("base/clock", tests, NULL, NULL);
}
