/* buf.c -- the growing buffer: doubling up to its limit, then a flag. */
#include "base/buf.h"

#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)
#define HUGE_MIN (2 * HUGE_PAGE)

void
slw_buf_init(struct slw_buf *b, size_t limit_size)
{
    *b = (struct slw_buf){.limit_size = limit_size};
}

void
slw_buf_done(struct slw_buf *b)
{
    if (!b)
        return;
    slw_free(b->ptr);
    *b = (struct slw_buf){.limit_size = b->limit_size};
}

void
slw_buf_clear(struct slw_buf *b)
{
    b->len = 0;
    b->overflow = false;
    if (b->ptr)
        b->ptr[0] = '\0';
}

static size_t
limit_of(const struct slw_buf *b)
{
    return b->limit_size ? b->limit_size : SLW_BUF_LIMIT_DEFAULT;
}

/* Make room for `len` more bytes and the NUL; false past the limit. */
static bool
room_make(struct slw_buf *b, size_t len)
{
    if (b->overflow)
        return false;
    if (b->len > limit_of(b) || len > limit_of(b) - b->len) {
        b->overflow = true;
        return false;
    }
    size_t need = b->len + len + 1;
    if (need > b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 256;
        if (cap > limit_of(b) + 1)
            cap = limit_of(b) + 1;
        if (cap < need)
            cap = need;
        b->ptr = slw_realloc(b->ptr, cap);
        b->cap = cap;
    }
    return true;
}

void
base_buf_add_more(struct slw_buf *b, const void *bytes, size_t len)
{
    SLW_ASSERT(b);
    if (!room_make(b, len))
        return;
    if (len)
        memcpy(b->ptr + b->len, bytes, len);
    b->len += len;
    b->ptr[b->len] = '\0';
}

void
slw_buf_reserve(struct slw_buf *b, size_t len)
{
    if (b->ptr || len < HUGE_MIN || len > limit_of(b))
        return;
    const size_t cap = (len + HUGE_PAGE) & ~(HUGE_PAGE - 1);
    char *ptr = aligned_alloc(HUGE_PAGE, cap);
    if (!ptr)
        return;
    (void)madvise(ptr, cap, MADV_HUGEPAGE); /* or ordinary ones */
    ptr[0] = '\0';
    b->ptr = ptr;
    b->cap = cap;
}

void *
slw_buf_room(struct slw_buf *b, size_t len)
{
    if (!room_make(b, len))
        return NULL;
    char *at = b->ptr + b->len;
    b->len += len;
    b->ptr[b->len] = '\0';
    return at;
}

void
slw_buf_str(struct slw_buf *b, struct slw_str s)
{
    slw_buf_add(b, s.ptr, s.len);
}

void
slw_buf_z(struct slw_buf *b, const char *z)
{
    slw_buf_add(b, z, strlen(z));
}

void
slw_buf_vprintf(struct slw_buf *b, const char *fmt, va_list args)
{
    SLW_ASSERT(b);
    if (!room_make(b, 0))
        return;
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(b->ptr + b->len, b->cap - b->len, fmt, args);
    SLW_ASSERT(len >= 0);
    if ((size_t)len >= b->cap - b->len) {
        b->ptr[b->len] = '\0'; /* what was cut is not there */
        if (!room_make(b, (size_t)len)) {
            va_end(again);
            return;
        }
        vsnprintf(b->ptr + b->len, b->cap - b->len, fmt, again);
    }
    va_end(again);
    b->len += (size_t)len;
}

void
slw_buf_printf(struct slw_buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    slw_buf_vprintf(b, fmt, args);
    va_end(args);
}

void
slw_buf_f64(struct slw_buf *b, double v)
{
    char text[SLW_F64_TEXT_SIZE];
    size_t len = slw_f64_text(v, text);
    slw_buf_add(b, text, len);
}

void
slw_buf_i64(struct slw_buf *b, int64_t v)
{
    char text[24], *end = text + sizeof text, *p = end;
    uint64_t size = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do {
        *--p = (char)('0' + size % 10);
        size /= 10;
    } while (size);
    if (v < 0)
        *--p = '-';
    slw_buf_add(b, p, (size_t)(end - p));
}

void
slw_buf_base64(struct slw_buf *b, const void *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq"
                                 "rstuvwxyz0123456789+/";
    const unsigned char *p = bytes;
    for (size_t i = 0; i < len; i += 3) {
        unsigned v = 0;
        for (size_t j = 0; j < 3; j++)
            v = v << 8 | (i + j < len ? p[i + j] : 0u);
        for (size_t j = 0; j < 4; j++)
            slw_buf_char(b, i + j > len ? '=' : digits[v >> (18 - 6 * j) & 63]);
    }
}

struct slw_str
slw_buf_view(const struct slw_buf *b)
{
    return (struct slw_str){b->ptr ? b->ptr : "", b->len};
}

enum slw_rc
slw_buf_check(const struct slw_buf *b, struct slw_err *err)
{
    if (b->overflow)
        return slw_fail(err, SLW_LIMIT, "the text is larger than %zu bytes",
                        limit_of(b));
    return SLW_OK;
}
