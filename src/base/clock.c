/* clock.c -- the clock that is passed around, and the calendar.
 *
 * The proleptic Gregorian calendar in integer arithmetic (Howard Hinnant,
 * "chrono-compatible low-level date algorithms"): days are counted from
 * 1 March of year 0, so that the leap day is the last of a year. */
#include "base/clock.h"

#include <stdatomic.h>

void
slw_clock_init_system(struct slw_clock *c)
{
    c->manual = false;
    atomic_init(&c->manual_ms, 0);
}

void
slw_clock_init_manual(struct slw_clock *c, int64_t now_ms)
{
    c->manual = true;
    atomic_init(&c->manual_ms, now_ms);
}

int64_t
slw_clock_now_ms(const struct slw_clock *c)
{
    SLW_ASSERT(c);
    if (c->manual)
        return atomic_load(&c->manual_ms);
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

enum slw_rc
slw_clock_set(struct slw_clock *c, int64_t now_ms, struct slw_err *err)
{
    if (!c->manual)
        return slw_fail(err, SLW_CONFLICT,
                        "the clock is the system's and cannot be set; start "
                        "with a manual clock to do so");
    int64_t seen = atomic_load(&c->manual_ms);
    do {
        if (now_ms < seen) {
            char now[SLW_TIME_TEXT_SIZE], asked[SLW_TIME_TEXT_SIZE];
            return slw_fail(err, SLW_CONFLICT,
                            "the clock stands at %s and cannot go back to %s",
                            slw_time_text(seen, now),
                            slw_time_text(now_ms, asked));
        }
    } while (!atomic_compare_exchange_weak(&c->manual_ms, &seen, now_ms));
    return SLW_OK;
}

int64_t
slw_mono_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* ---- calendar ---- */

int64_t
slw_time_index(int64_t ms, int64_t length_ms)
{
    return ms / length_ms - (ms % length_ms < 0);
}

static int64_t
days_of_date(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year =
        (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

struct date {
    int64_t year;
    int month, day;
};

static struct date
date_of_days(int64_t days)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097; /* day of era */
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int64_t month = mp < 10 ? mp + 3 : mp - 9;
    return (struct date){.year = yoe + era * 400 + (month <= 2),
                         .month = (int)month,
                         .day = (int)(doy - (153 * mp + 2) / 5 + 1)};
}

static int
days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* ---- reading ---- */

#define TIME_MS_MIN ((int64_t)-62135596800000) /* 0001-01-01T00:00:00Z */
#define TIME_MS_MAX ((int64_t)253402300799999) /* 9999-12-31T23:59:59.999Z */

/* Exactly `count` digits from the front of *s. */
static bool
digits_take(struct slw_str *s, size_t count, int *out)
{
    if (s->len < count)
        return false;
    int v = 0;
    for (size_t i = 0; i < count; i++) {
        if (s->ptr[i] < '0' || s->ptr[i] > '9')
            return false;
        v = v * 10 + (s->ptr[i] - '0');
    }
    *out = v;
    s->ptr += count;
    s->len -= count;
    return true;
}

static bool
char_take(struct slw_str *s, char c)
{
    if (s->len == 0 || s->ptr[0] != c)
        return false;
    s->ptr++;
    s->len--;
    return true;
}

static bool
date_take(struct slw_str *s, int64_t *out_ms)
{
    int year, month, day;
    if (!digits_take(s, 4, &year) || !char_take(s, '-') ||
        !digits_take(s, 2, &month) || !char_take(s, '-') ||
        !digits_take(s, 2, &day))
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 ||
        day > days_in_month(year, month))
        return false;
    *out_ms = days_of_date(year, month, day) * SLW_DAY_MS;
    return true;
}

/* hh:mm[:ss[.fraction]]; digits past the millisecond are dropped. */
static bool
time_take(struct slw_str *s, int64_t *out_ms)
{
    int hour, minute, second = 0, milli = 0;
    if (!digits_take(s, 2, &hour) || !char_take(s, ':') ||
        !digits_take(s, 2, &minute))
        return false;
    if (char_take(s, ':')) {
        if (!digits_take(s, 2, &second))
            return false;
        if (char_take(s, '.')) {
            int digit, count = 0;
            for (; digits_take(s, 1, &digit); count++)
                if (count < 3)
                    milli = milli * 10 + digit;
            if (count < 1 || count > 9)
                return false;
            for (; count < 3; count++)
                milli *= 10;
        }
    }
    if (hour > 23 || minute > 59 || second > 59)
        return false;
    *out_ms = ((int64_t)hour * 3600 + minute * 60 + second) * 1000 + milli;
    return true;
}

/* Nothing or "Z" (UTC), "+hh:mm", "+hhmm", "+hh". */
static bool
zone_take(struct slw_str *s, int64_t *out_ms)
{
    *out_ms = 0;
    if (s->len == 0 || char_take(s, 'Z') || char_take(s, 'z'))
        return true;
    bool minus = s->ptr[0] == '-';
    int hour, minute = 0;
    if (!(char_take(s, '+') || char_take(s, '-')) || !digits_take(s, 2, &hour))
        return false;
    if (s->len && (char_take(s, ':') || s->ptr[0] != ':') &&
        !digits_take(s, 2, &minute))
        return false;
    if (hour > 23 || minute > 59)
        return false;
    int64_t size_ms = ((int64_t)hour * 60 + minute) * 60000;
    *out_ms = minus ? -size_ms : size_ms;
    return true;
}

static bool
is_integer(struct slw_str s)
{
    size_t i = s.len && s.ptr[0] == '-';
    if (i == s.len)
        return false;
    for (; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    return true;
}

static enum slw_rc
time_read(struct slw_str text, int64_t *out_ms, bool *out_bare_date,
          struct slw_err *err)
{
    struct slw_str s = text, shown = text;
    if (shown.len > 40)
        shown.len = 40;
    int64_t ms = 0, time_ms = 0, zone_ms = 0;
    *out_bare_date = false;
    if (is_integer(s)) {
        TRY(slw_str_i64(s, &ms, err));
    } else {
        bool ok = date_take(&s, &ms);
        *out_bare_date = ok && s.len == 0;
        if (ok && s.len)
            ok = (char_take(&s, 'T') || char_take(&s, 't') ||
                  char_take(&s, ' ')) &&
                 time_take(&s, &time_ms) && zone_take(&s, &zone_ms) &&
                 s.len == 0;
        if (!ok)
            return slw_fail(err, SLW_INVALID,
                            "'%.*s' is not a time; write 2023-08-31, "
                            "2023-08-31T22:00:00Z or milliseconds since 1970",
                            SLW_FMT(shown));
        ms += time_ms - zone_ms;
    }
    if (ms < TIME_MS_MIN || ms > TIME_MS_MAX)
        return slw_fail(err, SLW_INVALID,
                        "the time '%.*s' lies outside the years 1 to 9999",
                        SLW_FMT(shown));
    *out_ms = ms;
    return SLW_OK;
}

enum slw_rc
slw_time_parse(struct slw_str s, int64_t *out_ms, struct slw_err *err)
{
    bool bare_date;
    return time_read(s, out_ms, &bare_date, err);
}

enum slw_rc
slw_time_parse_end(struct slw_str s, int64_t *out_ms, struct slw_err *err)
{
    bool bare_date;
    int64_t ms;
    TRY(time_read(s, &ms, &bare_date, err));
    *out_ms = bare_date ? ms + SLW_DAY_MS - 1 : ms;
    return SLW_OK;
}

/* ---- writing ---- */

/* Days and the rest of the day, also before 1970. */
static int64_t
days_split(int64_t ms, int64_t *out_rest_ms)
{
    int64_t days = ms / SLW_DAY_MS, rest = ms % SLW_DAY_MS;
    if (rest < 0) {
        rest += SLW_DAY_MS;
        days--;
    }
    *out_rest_ms = rest;
    return days;
}

const char *
slw_time_text(int64_t ms, char buf[static SLW_TIME_TEXT_SIZE])
{
    int64_t rest;
    struct date d = date_of_days(days_split(ms, &rest));
    int milli = (int)(rest % 1000), second = (int)(rest / 1000);
    int len =
        snprintf(buf, SLW_TIME_TEXT_SIZE, "%04lld-%02d-%02dT%02d:%02d:%02d",
                 (long long)d.year, d.month, d.day, second / 3600,
                 second / 60 % 60, second % 60);
    size_t room = SLW_TIME_TEXT_SIZE - (size_t)len;
    if (milli)
        snprintf(buf + len, room, ".%03dZ", milli);
    else
        snprintf(buf + len, room, "Z");
    return buf;
}

const char *
slw_date_text(int64_t ms, char buf[static SLW_TIME_TEXT_SIZE])
{
    int64_t rest;
    struct date d = date_of_days(days_split(ms, &rest));
    snprintf(buf, SLW_TIME_TEXT_SIZE, "%04lld-%02d-%02d", (long long)d.year,
             d.month, d.day);
    return buf;
}

enum slw_rc
slw_duration_parse(struct slw_str s, int64_t *out_ms, struct slw_err *err)
{
    static const struct {
        const char *suffix;
        int64_t ms;
    } units[] = {{"ms", 1},      {"s", 1000},       {"m", 60000},
                 {"h", 3600000}, {"d", SLW_DAY_MS}, {"w", 7 * SLW_DAY_MS}};
    struct slw_str shown = s;
    if (shown.len > 40)
        shown.len = 40;
    size_t digits = 0;
    while (digits < s.len && s.ptr[digits] >= '0' && s.ptr[digits] <= '9')
        digits++;
    struct slw_str unit = {s.ptr + digits, s.len - digits};
    for (size_t i = 0; digits && i < SLW_ARRAY_LEN(units); i++) {
        if (!slw_str_eqz(unit, units[i].suffix))
            continue;
        int64_t count, ms;
        struct slw_err ignored;
        if (slw_str_i64((struct slw_str){s.ptr, digits}, &count, &ignored) !=
                SLW_OK ||
            __builtin_mul_overflow(count, units[i].ms, &ms))
            return slw_fail(err, SLW_INVALID, "the duration '%.*s' is too long",
                            SLW_FMT(shown));
        *out_ms = ms;
        return SLW_OK;
    }
    return slw_fail(err, SLW_INVALID,
                    "'%.*s' is not a duration; write 250ms, 30s, 5m, 12h, 90d "
                    "or 2w",
                    SLW_FMT(shown));
}
