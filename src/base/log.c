/* log.c -- one line a happening, one write() a line. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/base_internal.h"
#include "base/clock.h"

#define LINE_SIZE 2048 /* what is longer is cut */

static _Atomic int level_max = SLW_LOG_INFO;

void
slw_log_level_set(enum slw_log_level level)
{
    atomic_store(&level_max, (int)level);
}

static const char *
level_word(enum slw_log_level level)
{
    static const char *const words[] = {
        [SLW_LOG_ERROR] = "error",
        [SLW_LOG_WARN] = "warn",
        [SLW_LOG_INFO] = "info",
        [SLW_LOG_DEBUG] = "debug",
    };
    SLW_ASSERT((size_t)level < SLW_ARRAY_LEN(words));
    return words[level];
}

/* Length after snprintf-like formatting into `room` bytes. */
static size_t
length_of(int formatted, size_t room)
{
    if (formatted < 0)
        return 0;
    return (size_t)formatted < room ? (size_t)formatted : room - 1;
}

void
slw_log(enum slw_log_level level, const char *event, const char *fmt, ...)
{
    if ((int)level > atomic_load(&level_max))
        return;
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    char date[SLW_TIME_TEXT_SIZE], line[LINE_SIZE];
    slw_time_text((int64_t)ts.tv_sec * 1000, date);
    size_t len = length_of(snprintf(line, sizeof line, "%.19s.%03dZ %s %s",
                                    date, (int)(ts.tv_nsec / 1000000),
                                    level_word(level), event),
                           sizeof line);
    if (fmt && len + 2 < sizeof line) {
        line[len++] = ' ';
        va_list args;
        va_start(args, fmt);
        len += length_of(vsnprintf(line + len, sizeof line - len, fmt, args),
                         sizeof line - len);
        va_end(args);
        if (len == sizeof line - 1)
            len = base_utf8_cut(line, len);
    }
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7F)
            line[i] = '?';
    line[len++] = '\n';
    /* Nobody is left to be told when standard error itself fails. */
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written;
}

void
slw_log_err(enum slw_log_level level, const char *event,
            const struct slw_err *err)
{
    SLW_ASSERT(err);
    slw_log(level, event, "rc=%s where=%s msg=\"%s\"", slw_rc_name(err->rc),
            err->where ? err->where : "?", err->msg);
}
