/* base.c -- result codes, the error struct, assertions and the heap.
 *
 * Memory that is small and of fixed size is either there or the process ends:
 * a supervisor restarts us, and the store survives that by design. */
#include "base/base.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#include "base/base_internal.h"

const char *
slw_rc_name(enum slw_rc rc)
{
    static const char *const names[] = {
        [SLW_OK] = "ok",
        [SLW_INVALID] = "invalid",
        [SLW_NOT_FOUND] = "not_found",
        [SLW_CONFLICT] = "conflict",
        [SLW_DENIED] = "denied",
        [SLW_LIMIT] = "limit",
        [SLW_BUSY] = "busy",
        [SLW_TIMEOUT] = "timeout",
        [SLW_IO] = "io",
        [SLW_CORRUPT] = "corrupt",
        [SLW_UNSUPPORTED] = "unsupported",
        [SLW_INTERNAL] = "internal",
    };
    _Static_assert(SLW_ARRAY_LEN(names) == SLW_RC_COUNT, "a name is missing");
    return (unsigned)rc < SLW_RC_COUNT ? names[rc] : "unknown";
}

/* vsnprintf into msg, cut where a character ends. */
SLW_PRINTF(2, 0)
static void
msg_format(char msg[SLW_ERR_MSG_SIZE], const char *fmt, va_list args)
{
    int len = vsnprintf(msg, SLW_ERR_MSG_SIZE, fmt, args);
    if (len < 0) {
        msg[0] = '\0';
        return;
    }
    if ((size_t)len >= SLW_ERR_MSG_SIZE)
        msg[base_utf8_cut(msg, SLW_ERR_MSG_SIZE - 1)] = '\0';
}

enum slw_rc
slw_fail_at(struct slw_err *err, enum slw_rc rc, const char *where,
            const char *fmt, ...)
{
    SLW_ASSERT(err);
    SLW_ASSERT(rc != SLW_OK);
    /* The arguments may point into the message being replaced. */
    char msg[SLW_ERR_MSG_SIZE];
    va_list args;
    va_start(args, fmt);
    msg_format(msg, fmt, args);
    va_end(args);
    memcpy(err->msg, msg, strlen(msg) + 1);
    err->rc = rc;
    err->where = where;
    return rc;
}

enum slw_rc
slw_err_prefix(struct slw_err *err, const char *fmt, ...)
{
    SLW_ASSERT(err);
    SLW_ASSERT(err->rc != SLW_OK);
    char msg[SLW_ERR_MSG_SIZE];
    va_list args;
    va_start(args, fmt);
    msg_format(msg, fmt, args);
    va_end(args);

    size_t head = strlen(msg), tail = strlen(err->msg);
    size_t room = SLW_ERR_MSG_SIZE - 1 - head;
    if (tail > room)
        tail = base_utf8_cut(err->msg, room);
    memcpy(msg + head, err->msg, tail);
    msg[head + tail] = '\0';
    memcpy(err->msg, msg, head + tail + 1);
    return err->rc;
}

void
slw_assert_failed(const char *file, int line, const char *cond)
{
    char text[512];
    int len =
        snprintf(text, sizeof text, "slipway: assertion failed at %s:%d: %s\n",
                 file, line, cond);
    if (len > (int)sizeof text - 1)
        len = (int)sizeof text - 1;
    /* The process is about to end: nobody could act on a failed write. */
    if (len > 0 && write(STDERR_FILENO, text, (size_t)len) < 0)
        abort();
    abort();
}

SLW_NORETURN static void
out_of_memory(size_t size)
{
    char text[96];
    int len = snprintf(text, sizeof text,
                       "slipway: out of memory asking for %zu bytes\n", size);
    if (len > 0 && write(STDERR_FILENO, text, (size_t)len) < 0)
        abort();
    abort();
}

void *
slw_alloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    if (!p)
        out_of_memory(size);
    return p;
}

void *
slw_realloc(void *p, size_t size)
{
    void *grown = realloc(p, size ? size : 1);
    if (!grown)
        out_of_memory(size);
    return grown;
}

void
slw_free(void *p)
{
    free(p);
}

char *
slw_strdup(struct slw_str s)
{
    char *z = slw_alloc(s.len + 1);
    if (s.len)
        memcpy(z, s.ptr, s.len);
    return z;
}

enum slw_rc
base_fail_errno(struct slw_err *err, const char *where, const char *what,
                const char *path, int errno_was)
{
    char text[128];
    const char *why = strerror_r(errno_was, text, sizeof text);
    if (errno_was == ENOSPC || errno_was == EDQUOT)
        why = "the disk is full; free some space and try again";
    bool missing = errno_was == ENOENT || errno_was == ENOTDIR;
    return slw_fail_at(err, missing ? SLW_NOT_FOUND : SLW_IO, where,
                       "cannot %s '%s': %s", what, path, why);
}
