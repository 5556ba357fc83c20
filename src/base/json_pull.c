/* json_pull.c -- see json_pull.h.  Doubles are read exactly, without the
 * locale: by one or two roundings where that is proven right, else by the
 * library. */
#include "base/json_pull.h"

#include <float.h>
#include <limits.h>
#include <math.h>

#include "base/json.h"

enum slw_rc
slw_jr_wrong(const struct slw_jr *r, const char *what, struct slw_err *err)
{
    if (r->p >= r->end)
        return slw_fail(err, SLW_INVALID, "the JSON ends too early: %s", what);
    return slw_fail(err, SLW_INVALID, "JSON, byte %zu: %s",
                    (size_t)(r->p - r->begin), what);
}

enum slw_rc
slw_jr_expect(struct slw_jr *r, char c, struct slw_err *err)
{
    if (slw_jr_peek(r) != c || r->p >= r->end) {
        const char what[] = {'\'', c,   '\'', ' ', 'i', 's', ' ',
                             'w',  'a', 'n',  't', 'e', 'd', '\0'};
        return slw_jr_wrong(r, what, err);
    }
    r->p++;
    return SLW_OK;
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* 19 digits fit 64 bits; zeros in front do not count. */
#define DIGITS_MAX 19

static void
digits_read(struct slw_jr *r, struct slw_jr_number *n, bool fraction)
{
    const char *p = r->p;
    uint64_t v = n->digits;
    int count = n->count;
    for (; p < r->end && is_digit(*p); p++) {
        v = v * 10 + (uint64_t)(*p - '0');
        count += v != 0;
    }
    if (fraction)
        n->exp10 -= p - r->p < INT_MAX / 2 ? (int)(p - r->p) : INT_MAX / 2;
    n->fits = count <= DIGITS_MAX;
    n->digits = v;
    n->count = count;
    r->p = p;
}

static enum slw_rc
exponent_read(struct slw_jr *r, struct slw_jr_number *n, struct slw_err *err)
{
    int e = 0;
    bool negative = false;
    r->p++;
    if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
        negative = *r->p++ == '-';
    if (r->p >= r->end || !is_digit(*r->p))
        return slw_jr_wrong(r, "a digit is wanted in the exponent", err);
    for (; r->p < r->end && is_digit(*r->p); r->p++)
        if (e < 100000)
            e = e * 10 + (*r->p - '0');
    n->exp10 += negative ? -e : e;
    return SLW_OK;
}

enum slw_rc
slw_jr_number(struct slw_jr *r, struct slw_jr_number *n, struct slw_err *err)
{
    *n = (struct slw_jr_number){.fits = true};
    const char *begin = r->p;
    if (*r->p == '-') {
        n->negative = true;
        r->p++;
    }
    if (r->p >= r->end || !is_digit(*r->p))
        return slw_jr_wrong(r,
                            "a value is wanted (NaN and Infinity are not JSON; "
                            "binary tensors can hold them)",
                            err);
    const char *first = r->p;
    digits_read(r, n, false);
    if (*first == '0' && r->p - first > 1)
        return slw_jr_wrong(r, "a number begins with one zero at most", err);
    if (r->p < r->end && *r->p == '.') {
        r->p++;
        if (r->p >= r->end || !is_digit(*r->p))
            return slw_jr_wrong(r, "a digit is wanted behind the point", err);
        digits_read(r, n, true);
    }
    if (r->p < r->end && (*r->p == 'e' || *r->p == 'E'))
        TRY(exponent_read(r, n, err));
    n->text = (struct slw_str){begin, (size_t)(r->p - begin)};
    return SLW_OK;
}

/* As number_read, without a look at the value. */
enum slw_rc
slw_jr_number_skip(struct slw_jr *r, struct slw_err *err)
{
    const char *p = r->p, *first;
    p += p < r->end && *p == '-';
    for (first = p; p < r->end && is_digit(*p);)
        p++;
    bool ok = p > first && (*first != '0' || p == first + 1);
    if (ok && p < r->end && *p == '.') {
        for (first = ++p; p < r->end && is_digit(*p);)
            p++;
        ok = p > first;
    }
    if (ok && p < r->end && (*p | 0x20) == 'e') {
        p++;
        p += p < r->end && (*p == '+' || *p == '-');
        for (first = p; p < r->end && is_digit(*p);)
            p++;
        ok = p > first;
    }
    struct slw_jr_number n;
    if (!ok) /* again, for the sentence */
        return slw_jr_number(r, &n, err);
    r->p = p;
    return SLW_OK;
}

/* Both factors are exact below 2^53 and up to 10^22, so one rounding is left
 * and the result is the nearest double.  Source: Clinger 1990, "How to read
 * floating point numbers accurately". */
static bool
double_by_one_step(const struct slw_jr_number *n, double *out)
{
    static const double TEN[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                 1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (!n->fits || n->digits > ((uint64_t)1 << 53) || n->exp10 < -22 ||
        n->exp10 > 22)
        return false;
    double v = (double)n->digits;
    v = n->exp10 < 0 ? v / TEN[-n->exp10] : v * TEN[n->exp10];
    *out = n->negative ? -v : v;
    return true;
}

/* With more digits the same in 64 bits of mantissa, which hold all digits that
 * `fit` and powers up to 10^27 exactly.  That rounds twice; the second time is
 * right unless the first ended exactly between two doubles. */
static bool
double_by_two_steps(const struct slw_jr_number *n, double *out)
{
#if LDBL_MANT_DIG == 64
    static const long double TEN[] = {
        1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,  1e7L,  1e8L,  1e9L,
        1e10L, 1e11L, 1e12L, 1e13L, 1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L,
        1e20L, 1e21L, 1e22L, 1e23L, 1e24L, 1e25L, 1e26L, 1e27L};
    if (!n->fits || n->exp10 < -27 || n->exp10 > 27)
        return false;
    long double v = (long double)n->digits;
    v = n->exp10 < 0 ? v / TEN[-n->exp10] : v * TEN[n->exp10];
    uint64_t mantissa;
    memcpy(&mantissa, &v, sizeof mantissa);
    if ((mantissa & 0x7FF) == 0x400)
        return false;
    *out = n->negative ? -(double)v : (double)v;
    return true;
#else
    (void)n;
    (void)out;
    return false;
#endif
}

enum slw_rc
slw_jr_double(const struct slw_jr_number *n, double *out, struct slw_err *err)
{
    if (double_by_one_step(n, out) || double_by_two_steps(n, out))
        return SLW_OK;
    return slw_str_f64(n->text, out, err);
}

static int
hex4(const char *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        const int d = slw_hex_digit(p[i]);
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

static size_t
utf8_put(uint32_t c, char *to)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xC0 | (c >> 6));
        to[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xE0 | (c >> 12));
        to[1] = (char)(0x80 | ((c >> 6) & 63));
        to[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    to[0] = (char)(0xF0 | (c >> 18));
    to[1] = (char)(0x80 | ((c >> 12) & 63));
    to[2] = (char)(0x80 | ((c >> 6) & 63));
    to[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* \uXXXX, of which two make one character beyond the first plane. */
static enum slw_rc
unicode_read(struct slw_jr *r, char *to, size_t *len, struct slw_err *err)
{
    int hi = r->end - r->p >= 6 ? hex4(r->p + 2) : -1;
    if (hi < 0)
        return slw_jr_wrong(r, "four hexadecimal digits are wanted behind \\u",
                            err);
    uint32_t c = (uint32_t)hi;
    r->p += 6;
    if (c >= 0xD800 && c < 0xDC00) {
        int lo = r->end - r->p >= 6 && r->p[0] == '\\' && r->p[1] == 'u'
                     ? hex4(r->p + 2)
                     : -1;
        if (lo < 0xDC00 || lo > 0xDFFF)
            return slw_jr_wrong(r, "half of a surrogate pair", err);
        c = 0x10000 + ((c - 0xD800) << 10) + ((uint32_t)lo - 0xDC00);
        r->p += 6;
    } else if (c >= 0xDC00 && c < 0xE000) {
        return slw_jr_wrong(r, "half of a surrogate pair", err);
    }
    if (c == 0)
        return slw_jr_wrong(r, "\\u0000 is not taken", err);
    *len += utf8_put(c, to + *len);
    return SLW_OK;
}

/* A string with escapes, `span` bytes between its quotes. */
static enum slw_rc
escaped_read(struct slw_jr *r, size_t span, struct slw_str *out,
             struct slw_err *err)
{
    static const char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
    if (slw_arena_room(r->a) < span + 64)
        return slw_fail(err, SLW_LIMIT, "the request's texts are too large");
    char *to = SLW_ARENA_NEW(r->a, char, span + 1);
    size_t len = 0;
    const char *end = r->p + span;
    while (r->p < end) {
        if (*r->p != '\\') {
            to[len++] = *r->p++;
            continue;
        }
        if (r->p[1] == 'u') {
            TRY(unicode_read(r, to, &len, err));
            continue;
        }
        const char *at = strchr(FROM, r->p[1]);
        if (!at || !*at)
            return slw_jr_wrong(r, "no such escape", err);
        to[len++] = TO[at - FROM];
        r->p += 2;
    }
    *out = (struct slw_str){to, len};
    return SLW_OK;
}

/* Step over a string; r->p stands on its first quote.
 * Out  what is between the quotes, raw */
static enum slw_rc
string_span(struct slw_jr *r, struct slw_str *out, bool *escaped,
            struct slw_err *err)
{
    const char *begin = ++r->p, *p = begin;
    unsigned char bits = 0; /* of all characters together */
    *escaped = false;
    for (; p < r->end && *p != '"'; p++) {
        if ((unsigned char)*p < 0x20) {
            r->p = p;
            return slw_jr_wrong(r, "a control character in a text", err);
        }
        bits |= (unsigned char)*p;
        if (*p == '\\') {
            *escaped = true;
            if (++p < r->end)
                bits |= (unsigned char)*p;
        }
    }
    r->p = p;
    if (r->p >= r->end) {
        r->p = r->end;
        return slw_jr_wrong(r, "a text has no end", err);
    }
    *out = (struct slw_str){begin, (size_t)(r->p - begin)};
    r->p++;
    if ((bits & 0x80) && !slw_str_utf8_ok(*out))
        return slw_fail(err, SLW_INVALID,
                        "a text in the JSON is not valid UTF-8");
    return SLW_OK;
}

enum slw_rc
slw_jr_str(struct slw_jr *r, struct slw_str *out, struct slw_err *err)
{
    bool escaped;
    struct slw_str raw;
    if (slw_jr_peek(r) != '"')
        return slw_jr_wrong(r, "a text is wanted", err);
    TRY(string_span(r, &raw, &escaped, err));
    if (!escaped) {
        *out = raw;
        return SLW_OK;
    }
    struct slw_jr inner = *r;
    inner.p = raw.ptr;
    return escaped_read(&inner, raw.len, out, err);
}

enum slw_rc
slw_jr_word(struct slw_jr *r, const char *word, struct slw_err *err)
{
    const size_t len = strlen(word);
    if ((size_t)(r->end - r->p) < len || memcmp(r->p, word, len) != 0)
        return slw_jr_wrong(r, "a value is wanted", err);
    r->p += len;
    return SLW_OK;
}

static enum slw_rc
scalar_skip(struct slw_jr *r, struct slw_err *err)
{
    struct slw_str s;
    switch (slw_jr_peek(r)) {
    case '"':
        return slw_jr_str(r, &s, err);
    case 't':
        return slw_jr_word(r, "true", err);
    case 'f':
        return slw_jr_word(r, "false", err);
    case 'n':
        return slw_jr_word(r, "null", err);
    case '\0':
        return slw_jr_wrong(r, "a value is wanted", err);
    default:
        return slw_jr_number_skip(r, err);
    }
}

/* Between two values of a list or object: ',' (more) or the end of one or
 * several.  Out  *depth 0 when the outermost was closed */
static enum slw_rc
closing_skip(struct slw_jr *r, const char *open, size_t *depth, bool *more,
             struct slw_err *err)
{
    *more = false;
    while (*depth > 0) {
        const char c = slw_jr_peek(r);
        const char close = open[*depth - 1] == '[' ? ']' : '}';
        if (c == ',') {
            r->p++;
            *more = true;
            return SLW_OK;
        }
        if (c != close)
            return slw_jr_wrong(
                r, "a comma or the end of a list or object is wanted", err);
        r->p++;
        --*depth;
    }
    return SLW_OK;
}

/* Step over any value, checking its form. */
enum slw_rc
slw_jr_skip(struct slw_jr *r, struct slw_err *err)
{
    char open[SLW_JSON_DEPTH_MAX];
    size_t depth = 0;
    bool more = true;
    do {
        struct slw_str key;
        if (depth && open[depth - 1] == '{') {
            TRY(slw_jr_str(r, &key, err));
            TRY(slw_jr_expect(r, ':', err));
        }
        const char c = slw_jr_peek(r);
        if (c == '[' || c == '{') {
            if (depth == SLW_JSON_DEPTH_MAX)
                return slw_jr_wrong(r, "nested too deeply", err);
            r->p++;
            open[depth++] = c;
            const char next = slw_jr_peek(r);
            if (next != (c == '[' ? ']' : '}'))
                continue; /* its first value */
            r->p++;
            depth--;
        } else {
            TRY(scalar_skip(r, err));
        }
        TRY(closing_skip(r, open, &depth, &more, err));
    } while (depth > 0);
    return SLW_OK;
}

enum slw_rc
slw_jr_item(struct slw_jr *r, struct slw_jr_walk *w, char open, char close,
            const char *what, struct slw_err *err)
{
    const char c = slw_jr_peek(r);
    if (!w->begun) {
        if (c != open)
            return slw_jr_wrong(r, what, err);
        r->p++;
        w->begun = true;
        if (slw_jr_peek(r) == close) {
            r->p++;
            w->done = true;
        }
        return SLW_OK;
    }
    if (c == close) {
        r->p++;
        w->done = true;
        return SLW_OK;
    }
    return slw_jr_expect(r, ',', err);
}

enum slw_rc
slw_jr_member(struct slw_jr *r, struct slw_jr_walk *w, struct slw_str *key,
              struct slw_err *err)
{
    TRY(slw_jr_item(r, w, '{', '}', "an object is wanted", err));
    if (w->done)
        return SLW_OK;
    TRY(slw_jr_str(r, key, err));
    return slw_jr_expect(r, ':', err);
}
