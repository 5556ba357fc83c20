/* fuzz_time.c -- any text as a time, a duration or a number: what is read can
 * be written and reads back the same. */
#include "fuzz.h"

#include <math.h>

#include "base/clock.h"

static void
time_back(int64_t ms)
{
    char text[SLW_TIME_TEXT_SIZE];
    struct slw_err err;
    int64_t again = 0;
    slw_time_text(ms, text);
    SLW_ASSERT(slw_time_parse(slw_str_of(text), &again, &err) == SLW_OK);
    SLW_ASSERT(again == ms);
    slw_date_text(ms, text);
    SLW_ASSERT(slw_time_parse(slw_str_of(text), &again, &err) == SLW_OK);
    SLW_ASSERT(again <= ms && ms - again < SLW_DAY_MS);
    SLW_ASSERT(slw_time_parse_end(slw_str_of(text), &again, &err) == SLW_OK);
    SLW_ASSERT(again >= ms && again - ms < SLW_DAY_MS);
}

static void
number_back(double v)
{
    char text[SLW_F64_TEXT_SIZE];
    struct slw_err err;
    double again = 0;
    const size_t len = slw_f64_text(v, text);
    SLW_ASSERT(len && len < SLW_F64_TEXT_SIZE && strlen(text) == len);
    SLW_ASSERT(slw_str_f64((struct slw_str){text, len}, &again, &err) ==
               SLW_OK);
    SLW_ASSERT(isnan(v) ? isnan(again) : memcmp(&v, &again, sizeof v) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slw_str s = fuzz_str(data, size);
    const unsigned allowed = FUZZ_RC(INVALID);
    struct slw_err err = {0};
    enum slw_rc rc;
    int64_t ms = 77, end_ms = 77, duration_ms = 77, i = 77;
    double f = 77;
    if ((rc = slw_time_parse(s, &ms, &err)) == SLW_OK) {
        SLW_ASSERT(slw_time_parse_end(s, &end_ms, &err) == SLW_OK);
        SLW_ASSERT(end_ms == ms || end_ms == ms + SLW_DAY_MS - 1);
        time_back(ms);
    } else {
        fuzz_refused(rc, &err, allowed);
        SLW_ASSERT(ms == 77);
        SLW_ASSERT(slw_time_parse_end(s, &end_ms, &err) == rc);
    }
    if ((rc = slw_duration_parse(s, &duration_ms, &err)) == SLW_OK) {
        SLW_ASSERT(duration_ms >= 0);
    } else {
        fuzz_refused(rc, &err, allowed);
        SLW_ASSERT(duration_ms == 77);
    }
    if ((rc = slw_str_i64(s, &i, &err)) != SLW_OK)
        fuzz_refused(rc, &err, allowed);
    if ((rc = slw_str_f64(s, &f, &err)) == SLW_OK)
        number_back(f);
    else
        fuzz_refused(rc, &err, allowed);
    if (size >= sizeof f) { /* any double that has bits, too */
        memcpy(&f, data, sizeof f);
        number_back(f);
    }
    return 0;
}
