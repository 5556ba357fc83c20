/* v2_body.c -- reading the body of a V2 infer request.
 *
 * First pass: the members we know, everything else stepped over; `data` is
 * checked for form and remembered, because it may stand before its shape.
 * Second pass, once type and shape are known: the elements, straight into the
 * caller's matrix.  Open lists are a counter and a small array, never the
 * stack of calls. */
#include "api/serving.h"

#include "base/clock.h"

#include <float.h>
#include <limits.h>
#include <math.h>

static const struct {
    const char *name;
    size_t size; /* of an element; 0: varies */
    bool is_integer;
    int64_t least;
    uint64_t most;
} TYPES[API_V2_TYPE_COUNT] = {
    [API_V2_BOOL] = {"BOOL", 1, false, 0, 0},
    [API_V2_INT8] = {"INT8", 1, true, INT8_MIN, INT8_MAX},
    [API_V2_INT16] = {"INT16", 2, true, INT16_MIN, INT16_MAX},
    [API_V2_INT32] = {"INT32", 4, true, INT32_MIN, INT32_MAX},
    [API_V2_INT64] = {"INT64", 8, true, INT64_MIN, INT64_MAX},
    [API_V2_UINT8] = {"UINT8", 1, true, 0, UINT8_MAX},
    [API_V2_UINT16] = {"UINT16", 2, true, 0, UINT16_MAX},
    [API_V2_UINT32] = {"UINT32", 4, true, 0, UINT32_MAX},
    [API_V2_UINT64] = {"UINT64", 8, true, 0, UINT64_MAX},
    [API_V2_FP16] = {"FP16", 2, false, 0, 0},
    [API_V2_BF16] = {"BF16", 2, false, 0, 0},
    [API_V2_FP32] = {"FP32", 4, false, 0, 0},
    [API_V2_FP64] = {"FP64", 8, false, 0, 0},
    [API_V2_BYTES] = {"BYTES", 0, false, 0, 0},
};

/* ---- tokens ---- */

struct reader {
    const char *p, *end, *begin;
    struct slw_arena *a;
};

static enum slw_rc
wrong(const struct reader *r, const char *what, struct slw_err *err)
{
    if (r->p >= r->end)
        return slw_fail(err, SLW_INVALID, "the JSON ends too early: %s", what);
    return slw_fail(err, SLW_INVALID, "JSON, byte %zu: %s",
                    (size_t)(r->p - r->begin), what);
}

static void
blanks(struct reader *r)
{
    while (r->p < r->end &&
           (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
        r->p++;
}

/* Next character that is no blank; 0 at the end. */
static char
peek(struct reader *r)
{
    blanks(r);
    return r->p < r->end ? *r->p : '\0';
}

static enum slw_rc
expect(struct reader *r, char c, struct slw_err *err)
{
    if (peek(r) != c || r->p >= r->end) {
        const char what[] = {'\'', c,   '\'', ' ', 'i', 's', ' ',
                             'w',  'a', 'n',  't', 'e', 'd', '\0'};
        return wrong(r, what, err);
    }
    r->p++;
    return SLW_OK;
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A number of JSON's grammar. */
struct number {
    struct slw_str text;
    uint64_t digits; /* all of them, when `fits` */
    int count;       /* of them, from the first that is not 0 */
    int exp10;
    bool negative, fits;
};

/* 19 digits fit 64 bits; zeros in front do not count. */
#define DIGITS_MAX 19

static void
digits_read(struct reader *r, struct number *n, bool fraction)
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
exponent_read(struct reader *r, struct number *n, struct slw_err *err)
{
    int e = 0;
    bool negative = false;
    r->p++;
    if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
        negative = *r->p++ == '-';
    if (r->p >= r->end || !is_digit(*r->p))
        return wrong(r, "a digit is wanted in the exponent", err);
    for (; r->p < r->end && is_digit(*r->p); r->p++)
        if (e < 100000)
            e = e * 10 + (*r->p - '0');
    n->exp10 += negative ? -e : e;
    return SLW_OK;
}

static enum slw_rc
number_read(struct reader *r, struct number *n, struct slw_err *err)
{
    *n = (struct number){.fits = true};
    const char *begin = r->p;
    if (*r->p == '-') {
        n->negative = true;
        r->p++;
    }
    if (r->p >= r->end || !is_digit(*r->p))
        return wrong(r,
                     "a value is wanted (NaN and Infinity are not JSON; "
                     "binary tensors can hold them)",
                     err);
    const char *first = r->p;
    digits_read(r, n, false);
    if (*first == '0' && r->p - first > 1)
        return wrong(r, "a number begins with one zero at most", err);
    if (r->p < r->end && *r->p == '.') {
        r->p++;
        if (r->p >= r->end || !is_digit(*r->p))
            return wrong(r, "a digit is wanted behind the point", err);
        digits_read(r, n, true);
    }
    if (r->p < r->end && (*r->p == 'e' || *r->p == 'E'))
        TRY(exponent_read(r, n, err));
    n->text = (struct slw_str){begin, (size_t)(r->p - begin)};
    return SLW_OK;
}

/* As number_read, without a look at the value. */
static enum slw_rc
number_skip(struct reader *r, struct slw_err *err)
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
    struct number n;
    if (!ok) /* again, for the sentence */
        return number_read(r, &n, err);
    r->p = p;
    return SLW_OK;
}

/* Both factors are exact below 2^53 and up to 10^22, so one rounding is left
 * and the result is the nearest double.  Source: Clinger 1990, "How to read
 * floating point numbers accurately". */
static bool
double_by_one_step(const struct number *n, double *out)
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
double_by_two_steps(const struct number *n, double *out)
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

static enum slw_rc
double_of(const struct number *n, double *out, struct slw_err *err)
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
unicode_read(struct reader *r, char *to, size_t *len, struct slw_err *err)
{
    int hi = r->end - r->p >= 6 ? hex4(r->p + 2) : -1;
    if (hi < 0)
        return wrong(r, "four hexadecimal digits are wanted behind \\u", err);
    uint32_t c = (uint32_t)hi;
    r->p += 6;
    if (c >= 0xD800 && c < 0xDC00) {
        int lo = r->end - r->p >= 6 && r->p[0] == '\\' && r->p[1] == 'u'
                     ? hex4(r->p + 2)
                     : -1;
        if (lo < 0xDC00 || lo > 0xDFFF)
            return wrong(r, "half of a surrogate pair", err);
        c = 0x10000 + ((c - 0xD800) << 10) + ((uint32_t)lo - 0xDC00);
        r->p += 6;
    } else if (c >= 0xDC00 && c < 0xE000) {
        return wrong(r, "half of a surrogate pair", err);
    }
    if (c == 0)
        return wrong(r, "\\u0000 is not taken", err);
    *len += utf8_put(c, to + *len);
    return SLW_OK;
}

/* A string with escapes, `span` bytes between its quotes. */
static enum slw_rc
escaped_read(struct reader *r, size_t span, struct slw_str *out,
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
            return wrong(r, "no such escape", err);
        to[len++] = TO[at - FROM];
        r->p += 2;
    }
    *out = (struct slw_str){to, len};
    return SLW_OK;
}

/* Step over a string; r->p stands on its first quote.
 * Out  what is between the quotes, raw */
static enum slw_rc
string_span(struct reader *r, struct slw_str *out, bool *escaped,
            struct slw_err *err)
{
    const char *begin = ++r->p;
    *escaped = false;
    while (r->p < r->end && *r->p != '"') {
        if ((unsigned char)*r->p < 0x20)
            return wrong(r, "a control character in a text", err);
        if (*r->p == '\\') {
            *escaped = true;
            r->p++;
        }
        r->p++;
    }
    if (r->p >= r->end) {
        r->p = r->end;
        return wrong(r, "a text has no end", err);
    }
    *out = (struct slw_str){begin, (size_t)(r->p - begin)};
    r->p++;
    if (!slw_str_utf8_ok(*out))
        return slw_fail(err, SLW_INVALID,
                        "a text in the JSON is not valid UTF-8");
    return SLW_OK;
}

static enum slw_rc
string_read(struct reader *r, struct slw_str *out, struct slw_err *err)
{
    bool escaped;
    struct slw_str raw;
    if (peek(r) != '"')
        return wrong(r, "a text is wanted", err);
    TRY(string_span(r, &raw, &escaped, err));
    if (!escaped) {
        *out = raw;
        return SLW_OK;
    }
    struct reader inner = *r;
    inner.p = raw.ptr;
    return escaped_read(&inner, raw.len, out, err);
}

static enum slw_rc
word_read(struct reader *r, const char *word, struct slw_err *err)
{
    const size_t len = strlen(word);
    if ((size_t)(r->end - r->p) < len || memcmp(r->p, word, len) != 0)
        return wrong(r, "a value is wanted", err);
    r->p += len;
    return SLW_OK;
}

static enum slw_rc
scalar_skip(struct reader *r, struct slw_err *err)
{
    struct slw_str s;
    switch (peek(r)) {
    case '"':
        return string_read(r, &s, err);
    case 't':
        return word_read(r, "true", err);
    case 'f':
        return word_read(r, "false", err);
    case 'n':
        return word_read(r, "null", err);
    case '\0':
        return wrong(r, "a value is wanted", err);
    default:
        return number_skip(r, err);
    }
}

/* Between two values of a list or object: ',' (more) or the end of one or
 * several.  Out  *depth 0 when the outermost was closed */
static enum slw_rc
closing_skip(struct reader *r, const char *open, size_t *depth, bool *more,
             struct slw_err *err)
{
    *more = false;
    while (*depth > 0) {
        const char c = peek(r);
        const char close = open[*depth - 1] == '[' ? ']' : '}';
        if (c == ',') {
            r->p++;
            *more = true;
            return SLW_OK;
        }
        if (c != close)
            return wrong(r, "a comma or the end of a list or object is wanted",
                         err);
        r->p++;
        --*depth;
    }
    return SLW_OK;
}

/* Step over any value, checking its form. */
static enum slw_rc
value_skip(struct reader *r, struct slw_err *err)
{
    char open[API_V2_DEPTH_MAX];
    size_t depth = 0;
    bool more = true;
    do {
        struct slw_str key;
        if (depth && open[depth - 1] == '{') {
            TRY(string_read(r, &key, err));
            TRY(expect(r, ':', err));
        }
        const char c = peek(r);
        if (c == '[' || c == '{') {
            if (depth == API_V2_DEPTH_MAX)
                return wrong(r, "nested too deeply", err);
            r->p++;
            open[depth++] = c;
            const char next = peek(r);
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

/* ---- members ---- */

/* Walk an object or list:
 *   struct walk w = {0};
 *   for (;;) { TRY(member_next(r, &w, &key, err)); if (w.done) break; … } */
struct walk {
    bool begun, done;
};

static enum slw_rc
item_next(struct reader *r, struct walk *w, char open, char close,
          const char *what, struct slw_err *err)
{
    const char c = peek(r);
    if (!w->begun) {
        if (c != open)
            return wrong(r, what, err);
        r->p++;
        w->begun = true;
        if (peek(r) == close) {
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
    return expect(r, ',', err);
}

static enum slw_rc
member_next(struct reader *r, struct walk *w, struct slw_str *key,
            struct slw_err *err)
{
    TRY(item_next(r, w, '{', '}', "an object is wanted", err));
    if (w->done)
        return SLW_OK;
    TRY(string_read(r, key, err));
    return expect(r, ':', err);
}

static enum slw_rc
once(unsigned *seen, unsigned bit, struct slw_str key, struct slw_err *err)
{
    if (*seen & bit)
        return slw_fail(err, SLW_INVALID, "\"%.*s\" is given twice",
                        SLW_FMT(key));
    *seen |= bit;
    return SLW_OK;
}

static enum slw_rc
bool_read(struct reader *r, struct slw_str key, bool *out, struct slw_err *err)
{
    const char c = peek(r);
    if (c != 't' && c != 'f')
        return slw_fail(err, SLW_INVALID, "\"%.*s\" must be true or false",
                        SLW_FMT(key));
    TRY(word_read(r, c == 't' ? "true" : "false", err));
    *out = c == 't';
    return SLW_OK;
}

/* A whole number that is not negative. */
static enum slw_rc
size_read(struct reader *r, const char *what, int64_t *out, struct slw_err *err)
{
    struct number n;
    const char c = peek(r);
    if (c != '-' && !is_digit(c))
        return slw_fail(err, SLW_INVALID, "%s must be a whole number", what);
    TRY(number_read(r, &n, err));
    if ((n.negative && n.digits) || !n.fits || n.exp10 != 0 ||
        n.digits > INT64_MAX)
        return slw_fail(err, SLW_INVALID,
                        "%s must be a whole number from 0 on, not %.*s", what,
                        (int)(n.text.len < 40 ? n.text.len : 40), n.text.ptr);
    *out = (int64_t)n.digits;
    return SLW_OK;
}

static enum slw_rc
shape_read(struct reader *r, struct api_v2_tensor *t, struct slw_err *err)
{
    struct walk w = {0};
    uint64_t count = 1;
    t->rank = 0;
    for (;;) {
        TRY(item_next(r, &w, '[', ']', "a shape is a list of whole numbers",
                      err));
        if (w.done)
            break;
        if (t->rank == API_V2_DIM_MAX)
            return slw_fail(err, SLW_INVALID,
                            "a shape has at most %d dimensions",
                            API_V2_DIM_MAX);
        int64_t d = 0;
        TRY(size_read(r, "a dimension of a shape", &d, err));
        t->shape[t->rank++] = d;
        if (__builtin_mul_overflow(count, (uint64_t)d, &count) ||
            count > SIZE_MAX / 16)
            return slw_fail(err, SLW_LIMIT, "a shape has too many elements");
    }
    t->count = (size_t)count;
    return SLW_OK;
}

static enum slw_rc
type_read(struct reader *r, enum api_v2_type *out, struct slw_err *err)
{
    struct slw_str s;
    TRY(string_read(r, &s, err));
    for (int i = 0; i < API_V2_TYPE_COUNT; i++)
        if (slw_str_eqz(s, TYPES[i].name)) {
            *out = (enum api_v2_type)i;
            return SLW_OK;
        }
    return slw_fail(err, SLW_INVALID,
                    "unknown datatype '%.*s'; there are BOOL, INT8..INT64, "
                    "UINT8..UINT64, FP16, BF16, FP32, FP64 and BYTES",
                    (int)(s.len < 40 ? s.len : 40), s.ptr);
}

/* {"binary_data_size": n}; others are stepped over.  *out -1: not given */
static enum slw_rc
input_parameters_read(struct reader *r, int64_t *out, struct slw_err *err)
{
    struct walk w = {0};
    struct slw_str key;
    for (;;) {
        TRY(member_next(r, &w, &key, err));
        if (w.done)
            return SLW_OK;
        if (slw_str_eqz(key, "binary_data_size"))
            TRY(size_read(r, "binary_data_size", out, err));
        else
            TRY(value_skip(r, err));
    }
}

enum {
    HAS_NAME = 1,
    HAS_TYPE = 2,
    HAS_SHAPE = 4,
    HAS_DATA = 8,
    HAS_PARAM = 16
};

static enum slw_rc
input_member_read(struct reader *r, struct slw_str key, struct api_v2_tensor *t,
                  unsigned *seen, int64_t *binary_size, struct slw_err *err)
{
    if (slw_str_eqz(key, "name")) {
        TRY(once(seen, HAS_NAME, key, err));
        return string_read(r, &t->name, err);
    }
    if (slw_str_eqz(key, "datatype")) {
        TRY(once(seen, HAS_TYPE, key, err));
        return type_read(r, &t->type, err);
    }
    if (slw_str_eqz(key, "shape")) {
        TRY(once(seen, HAS_SHAPE, key, err));
        return shape_read(r, t, err);
    }
    if (slw_str_eqz(key, "parameters")) {
        TRY(once(seen, HAS_PARAM, key, err));
        return input_parameters_read(r, binary_size, err);
    }
    if (!slw_str_eqz(key, "data"))
        return value_skip(r, err);
    TRY(once(seen, HAS_DATA, key, err));
    if (peek(r) != '[')
        return wrong(r, "\"data\" must be a list", err);
    const char *begin = r->p;
    TRY(value_skip(r, err));
    t->data = (struct slw_str){begin, (size_t)(r->p - begin)};
    return SLW_OK;
}

/* Where the binary tensors stand, in the order of the inputs. */
struct binary {
    const char *p;
    size_t left;
    bool present; /* the header said so */
};

static enum slw_rc
binary_take(struct api_v2_tensor *t, int64_t size, struct binary *b,
            struct slw_err *err)
{
    if (!b->present && size > 0)
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\" has a binary_data_size, but the header "
                        "Inference-Header-Content-Length is missing",
                        SLW_FMT(t->name));
    if ((uint64_t)size > b->left)
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\": binary_data_size is %lld, but only "
                        "%zu bytes are left in the body",
                        SLW_FMT(t->name), (long long)size, b->left);
    const size_t element = TYPES[t->type].size;
    if (element && (uint64_t)size != (uint64_t)t->count * element)
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\": %lld bytes for %zu elements of %s, "
                        "which take %zu",
                        SLW_FMT(t->name), (long long)size, t->count,
                        TYPES[t->type].name, t->count * element);
    if (!element && t->count > (uint64_t)size / sizeof(uint32_t))
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\": %lld bytes cannot hold %zu elements "
                        "of BYTES",
                        SLW_FMT(t->name), (long long)size, t->count);
    t->is_binary = true;
    t->data = (struct slw_str){b->p, (size_t)size};
    b->p += size;
    b->left -= (size_t)size;
    return SLW_OK;
}

static enum slw_rc
misshapen(const struct api_v2_tensor *t, struct slw_err *err)
{
    char shape[API_V2_DIM_MAX * 24] = "";
    size_t len = 0;
    for (size_t i = 0; i < t->rank; i++)
        len += (size_t)snprintf(shape + len, sizeof shape - len, "%s%lld",
                                i ? "," : "", (long long)t->shape[i]);
    return slw_fail(err, SLW_INVALID,
                    "input \"%.*s\": the data are not %zu elements, flat or "
                    "nested as the shape [%s] says",
                    SLW_FMT(t->name), t->count, shape);
}

static enum slw_rc
input_read(struct reader *r, struct api_v2_tensor *t, struct binary *b,
           struct slw_err *err)
{
    static const char *const names[] = {"name", "datatype", "shape"};
    struct walk w = {0};
    struct slw_str key;
    unsigned seen = 0;
    int64_t binary_size = -1;
    for (;;) {
        TRY(member_next(r, &w, &key, err));
        if (w.done)
            break;
        TRY(input_member_read(r, key, t, &seen, &binary_size, err));
    }
    for (unsigned i = 0; i < SLW_ARRAY_LEN(names); i++)
        if (!(seen & (1u << i)))
            return slw_fail(err, SLW_INVALID, "an input (\"%.*s\") has no %s",
                            SLW_FMT(t->name), names[i]);
    if ((seen & HAS_DATA) && binary_size >= 0)
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\" has both data and binary_data_size",
                        SLW_FMT(t->name));
    if (binary_size >= 0)
        return binary_take(t, binary_size, b, err);
    if (!(seen & HAS_DATA))
        return slw_fail(err, SLW_INVALID, "input \"%.*s\" has no data",
                        SLW_FMT(t->name));
    /* Nobody gets memory for elements that cannot be there. */
    return t->count <= t->data.len ? SLW_OK : misshapen(t, err);
}

static enum slw_rc
inputs_read(struct reader *r, struct api_v2_request *q, struct binary *b,
            struct slw_err *err)
{
    struct walk w = {0};
    size_t cap = 0;
    for (;;) {
        TRY(item_next(r, &w, '[', ']', "\"inputs\" must be a list of tensors",
                      err));
        if (w.done)
            return SLW_OK;
        if (q->input_count == API_V2_TENSOR_MAX)
            return slw_fail(err, SLW_INVALID, "more than %d inputs",
                            API_V2_TENSOR_MAX);
        if (q->input_count == cap) {
            cap = cap ? cap * 4 : 2;
            struct api_v2_tensor *more =
                SLW_ARENA_NEW(r->a, struct api_v2_tensor, cap);
            if (q->input_count)
                memcpy(more, q->inputs, q->input_count * sizeof *more);
            q->inputs = more;
        }
        TRY(input_read(r, &q->inputs[q->input_count], b, err));
        q->input_count++;
    }
}

static enum slw_rc
output_parameters_read(struct reader *r, struct api_v2_output *o,
                       struct slw_err *err)
{
    struct walk w = {0};
    struct slw_str key;
    for (;;) {
        TRY(member_next(r, &w, &key, err));
        if (w.done)
            return SLW_OK;
        if (slw_str_eqz(key, "binary_data")) {
            bool v = false;
            TRY(bool_read(r, key, &v, err));
            o->binary = v;
        } else if (slw_str_eqz(key, "classification")) {
            return slw_fail(err, SLW_INVALID,
                            "the classification extension is not offered");
        } else {
            TRY(value_skip(r, err));
        }
    }
}

static enum slw_rc
output_read(struct reader *r, struct api_v2_output *o, struct slw_err *err)
{
    struct walk w = {0};
    struct slw_str key;
    *o = (struct api_v2_output){.binary = -1};
    for (;;) {
        TRY(member_next(r, &w, &key, err));
        if (w.done)
            break;
        if (slw_str_eqz(key, "name"))
            TRY(string_read(r, &o->name, err));
        else if (slw_str_eqz(key, "parameters"))
            TRY(output_parameters_read(r, o, err));
        else
            TRY(value_skip(r, err));
    }
    if (!o->name.ptr)
        return slw_fail(err, SLW_INVALID, "an output has no name");
    return SLW_OK;
}

#define OUTPUT_MAX 16

static enum slw_rc
outputs_read(struct reader *r, struct api_v2_request *q, struct slw_err *err)
{
    struct walk w = {0};
    q->outputs = SLW_ARENA_NEW(r->a, struct api_v2_output, OUTPUT_MAX);
    for (;;) {
        TRY(item_next(r, &w, '[', ']', "\"outputs\" must be a list", err));
        if (w.done)
            return SLW_OK;
        if (q->output_count == OUTPUT_MAX)
            return slw_fail(err, SLW_INVALID, "more than %d outputs",
                            OUTPUT_MAX);
        TRY(output_read(r, &q->outputs[q->output_count], err));
        q->output_count++;
    }
}

/* A text, or a number as its own text. */
static enum slw_rc
text_or_number_read(struct reader *r, const char *what, struct slw_str *out,
                    struct slw_err *err)
{
    struct number n;
    const char c = peek(r);
    if (c == '"')
        return string_read(r, out, err);
    if (c != '-' && !is_digit(c))
        return slw_fail(err, SLW_INVALID, "%s must be a text or a number",
                        what);
    TRY(number_read(r, &n, err));
    *out = n.text;
    return SLW_OK;
}

static enum slw_rc
parameters_read(struct reader *r, struct api_v2_request *q, struct slw_err *err)
{
    struct walk w = {0};
    struct slw_str key, s;
    for (;;) {
        TRY(member_next(r, &w, &key, err));
        if (w.done)
            return SLW_OK;
        if (slw_str_eqz(key, "key")) {
            TRY(text_or_number_read(r, "the parameter \"key\"", &q->key, err));
        } else if (slw_str_eqz(key, "event_time")) {
            TRY(text_or_number_read(r, "the parameter \"event_time\"", &s,
                                    err));
            if (slw_time_parse(s, &q->event_ms, err) != SLW_OK)
                return slw_err_prefix(err, "the parameter \"event_time\": ");
        } else if (slw_str_eqz(key, "binary_data_output")) {
            TRY(bool_read(r, key, &q->binary_outputs, err));
        } else {
            TRY(value_skip(r, err));
        }
    }
}

enum { HAS_ID = 1, HAS_INPUTS = 2, HAS_OUTPUTS = 4, HAS_PARAMS = 8 };

static enum slw_rc
request_read(struct reader *r, struct api_v2_request *q, struct binary *b,
             struct slw_err *err)
{
    struct walk w = {0};
    struct slw_str key;
    unsigned seen = 0;
    for (;;) {
        TRY(member_next(r, &w, &key, err));
        if (w.done)
            break;
        if (slw_str_eqz(key, "id")) {
            TRY(once(&seen, HAS_ID, key, err));
            TRY(string_read(r, &q->id, err));
        } else if (slw_str_eqz(key, "inputs")) {
            TRY(once(&seen, HAS_INPUTS, key, err));
            TRY(inputs_read(r, q, b, err));
        } else if (slw_str_eqz(key, "outputs")) {
            TRY(once(&seen, HAS_OUTPUTS, key, err));
            TRY(outputs_read(r, q, err));
        } else if (slw_str_eqz(key, "parameters")) {
            TRY(once(&seen, HAS_PARAMS, key, err));
            TRY(parameters_read(r, q, err));
        } else {
            TRY(value_skip(r, err));
        }
    }
    if (!(seen & HAS_INPUTS))
        return slw_fail(err, SLW_INVALID,
                        "the request has no \"inputs\", a list of tensors");
    if (peek(r) != '\0' || r->p < r->end)
        return wrong(r, "something stands behind the request", err);
    if (b->left)
        return slw_fail(err, SLW_INVALID,
                        "%zu bytes are left over behind the last tensor",
                        b->left);
    return SLW_OK;
}

enum slw_rc
api_v2_read(struct api_v2_request *out, struct slw_str body, int64_t json_size,
            struct slw_arena *a, struct slw_err *err)
{
    if (json_size < -1 || (json_size >= 0 && (uint64_t)json_size > body.len))
        return slw_fail(err, SLW_INVALID,
                        "Inference-Header-Content-Length is %lld, the body has "
                        "%zu bytes",
                        (long long)json_size, body.len);
    if (json_size == 0)
        return slw_fail(err, SLW_INVALID,
                        "raw requests (Inference-Header-Content-Length: 0) are "
                        "not offered; send the JSON header");
    const size_t json_len = json_size < 0 ? body.len : (size_t)json_size;
    if (json_len == 0)
        return slw_fail(err, SLW_INVALID,
                        "the body is empty; send {\"inputs\": [...]}");
    struct reader r = {
        .p = body.ptr, .begin = body.ptr, .end = body.ptr + json_len, .a = a};
    struct binary b = {
        .p = r.end, .left = body.len - json_len, .present = json_size > 0};
    struct api_v2_request q = {0};
    TRY(request_read(&r, &q, &b, err));
    *out = q;
    return SLW_OK;
}

/* ---- elements ---- */

/* Where elements go: one of the two. */
struct sink {
    double *numbers;
    size_t stride;
    struct slw_str *texts;
};

static enum slw_rc
no_fit(const struct api_v2_tensor *t, struct slw_str text, struct slw_err *err)
{
    return slw_fail(err, SLW_INVALID, "input \"%.*s\": %.*s is no %s",
                    SLW_FMT(t->name), (int)(text.len < 40 ? text.len : 40),
                    text.ptr, TYPES[t->type].name);
}

/* An integer as a double without loss. */
static enum slw_rc
integer_put(const struct api_v2_tensor *t, bool negative, uint64_t size,
            struct slw_str text, double *out, struct slw_err *err)
{
    const uint64_t least = (uint64_t)0 - (uint64_t)TYPES[t->type].least;
    if (negative ? size > least : size > TYPES[t->type].most)
        return no_fit(t, text, err);
    const double v = (double)size;
    if (v >= 18446744073709551616.0 || (uint64_t)v != size)
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\": %.*s cannot be held exactly by the "
                        "FP64 the model computes with",
                        SLW_FMT(t->name), SLW_FMT(text));
    *out = negative && size ? -v : v;
    return SLW_OK;
}

static enum slw_rc
number_put(const struct api_v2_tensor *t, const struct number *n, double *out,
           struct slw_err *err)
{
    double v = 0;
    if (TYPES[t->type].is_integer && n->fits && n->exp10 == 0)
        return integer_put(t, n->negative, n->digits, n->text, out, err);
    if (double_of(n, &v, err) != SLW_OK)
        return no_fit(t, n->text, err);
    if (TYPES[t->type].is_integer) { /* 1.0, 1e3 */
        if (v != floor(v) || fabs(v) > 9007199254740992.0)
            return no_fit(t, n->text, err);
        return integer_put(t, v < 0, (uint64_t)fabs(v), n->text, out, err);
    }
    if (t->type == API_V2_FP32) {
        const float f = (float)v;
        if (isinf(f))
            return no_fit(t, n->text, err);
        v = (double)f;
    }
    *out = v;
    return SLW_OK;
}

static enum slw_rc
element_put(struct reader *r, const struct api_v2_tensor *t,
            const struct sink *s, size_t i, struct slw_err *err)
{
    struct number n;
    const char c = *r->p;
    if (s->texts) {
        if (c == '"')
            return string_read(r, &s->texts[i], err);
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\": element %zu is not a text",
                        SLW_FMT(t->name), i);
    }
    if (c != '-' && !is_digit(c))
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\": element %zu is not a number (NaN has "
                        "to be sent in binary)",
                        SLW_FMT(t->name), i);
    TRY(number_read(r, &n, err));
    return number_put(t, &n, &s->numbers[i * s->stride], err);
}

/* The elements of a list whose form was checked: commas are as blanks. */
static enum slw_rc
list_walk(const struct api_v2_tensor *t, struct slw_arena *a,
          const struct sink *s, struct slw_err *err)
{
    struct reader r = {.p = t->data.ptr,
                       .begin = t->data.ptr,
                       .end = t->data.ptr + t->data.len,
                       .a = a};
    const int64_t one = 1;
    const int64_t *shape = t->rank ? t->shape : &one;
    const size_t rank = t->rank ? t->rank : 1;
    int64_t counts[API_V2_DIM_MAX + 1] = {0};
    size_t depth = 0, total = 0;
    bool nested = rank == 1, flat = false;
    while (r.p < r.end) {
        const char c = *r.p;
        if (c == ',' || c == ' ' || c == '\n' || c == '\r' || c == '\t') {
            r.p++;
        } else if (c == '[') {
            if (depth == rank || flat)
                return misshapen(t, err);
            nested |= depth > 0;
            counts[depth]++;
            counts[++depth] = 0;
            r.p++;
        } else if (c == ']') {
            if (nested && counts[depth] != shape[depth - 1])
                return misshapen(t, err);
            depth--;
            r.p++;
        } else {
            flat |= depth == 1 && rank > 1;
            if ((depth != rank && (depth != 1 || nested)) || total == t->count)
                return misshapen(t, err);
            counts[depth]++;
            TRY(element_put(&r, t, s, total++, err));
        }
    }
    return total == t->count ? SLW_OK : misshapen(t, err);
}

static enum slw_rc
binary_integer(const struct api_v2_tensor *t, const char *p, double *out,
               struct slw_err *err)
{
    uint64_t v = 0;
    const size_t size = TYPES[t->type].size;
    memcpy(&v, p, size); /* little-endian, as the format is */
    bool negative = false;
    if (TYPES[t->type].least < 0 && (v >> (size * 8 - 1)) & 1) {
        negative = true;
        if (size < 8)
            v |= ~(uint64_t)0 << (size * 8);
        v = (uint64_t)0 - v;
    }
    return integer_put(t, negative, v, SLW_STR("an element"), out, err);
}

static enum slw_rc
binary_walk(const struct api_v2_tensor *t, size_t stride, double *out,
            struct slw_err *err)
{
    const size_t size = TYPES[t->type].size;
    for (size_t i = 0; i < t->count; i++) {
        const char *p = t->data.ptr + i * size;
        float f;
        if (t->type == API_V2_FP64) {
            memcpy(&out[i * stride], p, sizeof(double));
        } else if (t->type == API_V2_FP32) {
            memcpy(&f, p, sizeof f);
            out[i * stride] = (double)f;
        } else {
            TRY(binary_integer(t, p, &out[i * stride], err));
        }
    }
    return SLW_OK;
}

enum slw_rc
api_v2_numbers(const struct api_v2_tensor *t, size_t stride, double *out,
               struct slw_err *err)
{
    if (!TYPES[t->type].is_integer && t->type != API_V2_FP32 &&
        t->type != API_V2_FP64)
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\": data-type is '%s', but the model "
                        "expects FP64 (FP32 and integers are taken too)",
                        SLW_FMT(t->name), TYPES[t->type].name);
    if (t->is_binary)
        return binary_walk(t, stride, out, err);
    const struct sink s = {.numbers = out, .stride = stride};
    return list_walk(t, NULL, &s, err);
}

static enum slw_rc
binary_texts(const struct api_v2_tensor *t, struct slw_str *out,
             struct slw_err *err)
{
    size_t at = 0;
    for (size_t i = 0; i < t->count; i++) {
        uint32_t len;
        if (t->data.len - at < sizeof len)
            return slw_fail(err, SLW_INVALID,
                            "input \"%.*s\": element %zu is cut off",
                            SLW_FMT(t->name), i);
        memcpy(&len, t->data.ptr + at, sizeof len);
        at += sizeof len;
        if (len > t->data.len - at)
            return slw_fail(err, SLW_INVALID,
                            "input \"%.*s\": element %zu has %u bytes, %zu are "
                            "left",
                            SLW_FMT(t->name), i, len, t->data.len - at);
        out[i] = (struct slw_str){t->data.ptr + at, len};
        at += len;
        if (!slw_str_utf8_ok(out[i]))
            return slw_fail(err, SLW_INVALID,
                            "input \"%.*s\": element %zu is not valid UTF-8",
                            SLW_FMT(t->name), i);
    }
    if (at != t->data.len)
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\": %zu bytes are left over",
                        SLW_FMT(t->name), t->data.len - at);
    return SLW_OK;
}

enum slw_rc
api_v2_texts(const struct api_v2_tensor *t, struct slw_arena *a,
             struct slw_str *out, struct slw_err *err)
{
    if (t->type != API_V2_BYTES)
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\": data-type is '%s', but BYTES is "
                        "expected",
                        SLW_FMT(t->name), TYPES[t->type].name);
    if (t->is_binary)
        return binary_texts(t, out, err);
    const struct sink s = {.texts = out};
    return list_walk(t, a, &s, err);
}
