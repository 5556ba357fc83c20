/* buf.h -- a growing byte buffer that is born with its limit.
 *
 * Running over the limit is a state, not a crash: `overflow` is set, nothing
 * more is added, and slw_buf_check() turns it into SLW_LIMIT once at the end.
 */
#ifndef SLW_BASE_BUF_H
#define SLW_BASE_BUF_H

#include <stdarg.h>

#include "base/base.h"

struct slw_buf {
    char *ptr; /* heap; ptr[len] is always NUL once something was added */
    size_t len;
    size_t cap;
    size_t limit_size; /* 0 = SLW_BUF_LIMIT_DEFAULT */
    bool overflow;
};

#define SLW_BUF_LIMIT_DEFAULT ((size_t)256 << 20)

/* A zeroed struct is a valid empty buffer with the default limit. */
void slw_buf_init(struct slw_buf *b, size_t limit_size);
void slw_buf_done(struct slw_buf *b);
/* Empty again; keeps the memory. */
void slw_buf_clear(struct slw_buf *b);
/* slw_buf_add() where there is no room yet. */
void base_buf_add_more(struct slw_buf *b, const void *bytes, size_t len);
static inline void
slw_buf_add(struct slw_buf *b, const void *bytes, size_t len)
{
    if (b->overflow || len >= b->cap - b->len) {
        base_buf_add_more(b, bytes, len);
        return;
    }
    if (len)
        memcpy(b->ptr + b->len, bytes, len);
    b->len += len;
    b->ptr[b->len] = '\0';
}
/* Room for `len` bytes in all where that is much (4 MB and more) and the buffer
 * is new: in huge pages, which are ready in a tenth of the time, and adding
 * moves nothing.  Else nothing happens. */
void slw_buf_reserve(struct slw_buf *b, size_t len);
/* Add `len` bytes for the caller to write; aligned for any type if all that was
 * added is.
 * Out    NULL: they did not fit */
void *slw_buf_room(struct slw_buf *b, size_t len);
void slw_buf_str(struct slw_buf *b, struct slw_str s);
void slw_buf_z(struct slw_buf *b, const char *z);
static inline void
slw_buf_char(struct slw_buf *b, char c)
{
    slw_buf_add(b, &c, 1);
}
SLW_PRINTF(2, 3)
void slw_buf_printf(struct slw_buf *b, const char *fmt, ...);
SLW_PRINTF(2, 0)
void slw_buf_vprintf(struct slw_buf *b, const char *fmt, va_list args);
/* Shortest exact text of a double (NaN, Infinity as such words). */
void slw_buf_f64(struct slw_buf *b, double v);
void slw_buf_i64(struct slw_buf *b, int64_t v);
/* Bytes as base64 (RFC 4648, padded). */
void slw_buf_base64(struct slw_buf *b, const void *bytes, size_t len);
/* View of what was added; valid until the next change. */
struct slw_str slw_buf_view(const struct slw_buf *b);
/* Errors LIMIT: something did not fit. */
SLW_MUST_USE enum slw_rc slw_buf_check(const struct slw_buf *b,
                                       struct slw_err *err);

#endif
