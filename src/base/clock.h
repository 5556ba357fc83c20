/* clock.h -- time as a parameter, and time as text.
 *
 * No domain room reads the wall clock: it is given a `struct slw_clock`.  The
 * program's is the system clock or, for rehearsals and demonstrations, one
 * that is set by hand and only moves forward.  Times are int64_t milliseconds
 * since 1970-01-01T00:00:00Z. */
#ifndef SLW_BASE_CLOCK_H
#define SLW_BASE_CLOCK_H

#include "base/base.h"

#define SLW_DAY_MS ((int64_t)86400000)
/* The stretch of `length_ms` since 1970 that a time lies in; 0: the first,
 * -1: the one before. */
int64_t slw_time_index(int64_t ms, int64_t length_ms);

/* Owner: atomic. */
struct slw_clock {
    bool manual;
    _Atomic int64_t manual_ms;
};

/* Ready to use; the manual one stands at now_ms until it is set. */
void slw_clock_init_system(struct slw_clock *c);
void slw_clock_init_manual(struct slw_clock *c, int64_t now_ms);
int64_t slw_clock_now_ms(const struct slw_clock *c);
/* Errors CONFLICT: a system clock, or a time before the present one. */
SLW_MUST_USE enum slw_rc slw_clock_set(struct slw_clock *c, int64_t now_ms,
                                       struct slw_err *err);

/* Monotonic, for durations only; nanoseconds. */
int64_t slw_mono_ns(void);

/* Read "2023-08-31", "2023-08-31T22:00:00Z", "...T22:00:00.250+02:00",
 * "2023-08-31 22:00:00" (UTC) or integer milliseconds.
 * Errors INVALID. */
SLW_MUST_USE enum slw_rc slw_time_parse(struct slw_str s, int64_t *out_ms,
                                        struct slw_err *err);
/* As slw_time_parse, but a bare date means its last millisecond: "until". */
SLW_MUST_USE enum slw_rc slw_time_parse_end(struct slw_str s, int64_t *out_ms,
                                            struct slw_err *err);
#define SLW_TIME_TEXT_SIZE 32
/* "2023-08-31T22:00:00Z", with ".250" only where needed; returns buf. */
const char *slw_time_text(int64_t ms, char buf[static SLW_TIME_TEXT_SIZE]);
/* "2023-08-31" */
const char *slw_date_text(int64_t ms, char buf[static SLW_TIME_TEXT_SIZE]);
/* Durations: "250ms", "30s", "5m", "12h", "90d", "2w"; >= 0. */
SLW_MUST_USE enum slw_rc slw_duration_parse(struct slw_str s, int64_t *out_ms,
                                            struct slw_err *err);

#endif
