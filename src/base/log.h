/* log.h -- one line a happening, on standard error: an event name and pairs.
 *
 *   2026-11-23T08:00:00.123Z info job.failed job=81 rc=io where=child.c:44
 *
 * Rooms return errors; the edges (api, flow, jobs, app) log them, once.
 * error: somebody must act; warn: handled, not normal; info: a change of
 * state; debug: off in production.  No user's data, no tokens. */
#ifndef SLW_BASE_LOG_H
#define SLW_BASE_LOG_H

#include "base/base.h"

enum slw_log_level { SLW_LOG_ERROR, SLW_LOG_WARN, SLW_LOG_INFO, SLW_LOG_DEBUG };

/* Lines above this level are dropped; INFO at start. */
void slw_log_level_set(enum slw_log_level level);
/* fmt holds the pairs: slw_log(SLW_LOG_INFO, "job.done", "job=%lld", id);
 * NULL: no pairs.  A line is cut at 2 KiB.
 * Control characters in the result are written as '?'. One write() a line. */
SLW_PRINTF(3, 4)
void slw_log(enum slw_log_level level, const char *event, const char *fmt, ...);
/* The usual line of an edge that swallows an error. */
void slw_log_err(enum slw_log_level level, const char *event,
                 const struct slw_err *err);

#endif
