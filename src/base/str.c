/* str.c -- borrowed strings, UTF-8, and numbers as text.
 *
 * Numbers are read and written in the C locale: the program never calls
 * setlocale(), which is what makes snprintf and strtod safe here. */
#include <float.h>
#include <math.h>

#include "base/base.h"
#include "base/base_internal.h"

struct slw_str
slw_str_of(const char *z)
{
    return (struct slw_str){z ? z : "", z ? strlen(z) : 0};
}

bool
slw_str_eq(struct slw_str a, struct slw_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool
slw_str_eqz(struct slw_str a, const char *z)
{
    return slw_str_eq(a, slw_str_of(z));
}

bool
slw_str_same(struct slw_str a, struct slw_str b)
{
    return a.len == b.len &&
           (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

int
slw_str_cmp(struct slw_str a, struct slw_str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.ptr, b.ptr, len) : 0;
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

bool
slw_str_starts(struct slw_str s, const char *prefix)
{
    size_t len = strlen(prefix);
    return len == 0 || (s.len >= len && memcmp(s.ptr, prefix, len) == 0);
}

bool
slw_str_ends(struct slw_str s, const char *suffix)
{
    size_t len = strlen(suffix);
    return len == 0 ||
           (s.len >= len && memcmp(s.ptr + s.len - len, suffix, len) == 0);
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slw_str
slw_str_trim(struct slw_str s)
{
    while (s.len && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool
slw_str_cut(struct slw_str s, char sep, struct slw_str *head,
            struct slw_str *rest)
{
    const char *at = s.len ? memchr(s.ptr, sep, s.len) : NULL;
    if (!at) {
        *head = s;
        *rest = (struct slw_str){"", 0};
        return false;
    }
    size_t len = (size_t)(at - s.ptr);
    *head = (struct slw_str){s.ptr, len};
    *rest = (struct slw_str){at + 1, s.len - len - 1};
    return true;
}

/* What of a user's text fits into a sentence. */
static struct slw_str
excerpt(struct slw_str s)
{
    if (s.len > 60)
        s.len = base_utf8_cut(s.ptr, 60);
    return s;
}

enum slw_rc
slw_str_i64(struct slw_str s, int64_t *out, struct slw_err *err)
{
    struct slw_str shown = excerpt(s);
    size_t i = 0;
    bool minus = s.len && s.ptr[0] == '-';
    if (s.len && (s.ptr[0] == '-' || s.ptr[0] == '+'))
        i = 1;
    if (i == s.len)
        return slw_fail(err, SLW_INVALID, "'%.*s' is not an integer",
                        SLW_FMT(shown));
    /* Counted downwards: the least value has no positive counterpart. */
    int64_t v = 0;
    for (; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return slw_fail(err, SLW_INVALID, "'%.*s' is not an integer",
                            SLW_FMT(shown));
        if (__builtin_mul_overflow(v, (int64_t)10, &v) ||
            __builtin_sub_overflow(v, (int64_t)(s.ptr[i] - '0'), &v))
            return slw_fail(err, SLW_INVALID,
                            "'%.*s' is beyond 64-bit integers", SLW_FMT(shown));
    }
    if (!minus && v == INT64_MIN)
        return slw_fail(err, SLW_INVALID, "'%.*s' is beyond 64-bit integers",
                        SLW_FMT(shown));
    *out = minus ? v : -v;
    return SLW_OK;
}

static const double POW10[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                               1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                               1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* The parts of a decimal number: digits as an integer (as far as they fit)
 * and the power of ten that scales it. */
struct decimal {
    uint64_t digits;
    int digit_count; /* significant ones */
    int exponent;
    bool minus;
};

static size_t
digits_read(struct slw_str s, size_t i, struct decimal *d, bool fraction)
{
    for (; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++) {
        if (d->digits || s.ptr[i] != '0')
            d->digit_count++;
        if (d->digit_count <= 18) {
            d->digits = d->digits * 10 + (uint64_t)(s.ptr[i] - '0');
            if (fraction)
                d->exponent--;
        }
    }
    return i;
}

/* Check [+-]digits[.digits][e[+-]digits] and take it apart. */
static bool
decimal_read(struct slw_str s, struct decimal *d)
{
    size_t i = 0;
    *d = (struct decimal){.minus = s.len && s.ptr[0] == '-'};
    if (s.len && (s.ptr[0] == '-' || s.ptr[0] == '+'))
        i = 1;
    size_t from = i, point = 0;
    i = digits_read(s, i, d, false);
    if (i < s.len && s.ptr[i] == '.') {
        point = 1;
        i = digits_read(s, i + 1, d, true);
    }
    if (i - from - point == 0)
        return false;
    if (i == s.len)
        return true;
    if (s.ptr[i] != 'e' && s.ptr[i] != 'E')
        return false;
    i++;
    bool minus = i < s.len && s.ptr[i] == '-';
    if (i < s.len && (s.ptr[i] == '-' || s.ptr[i] == '+'))
        i++;
    if (i == s.len)
        return false;
    int exponent = 0;
    for (; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        if (exponent < 100000)
            exponent = exponent * 10 + (s.ptr[i] - '0');
    }
    d->exponent += minus ? -exponent : exponent;
    return true;
}

static bool
word_read(struct slw_str s, double *out)
{
    static const struct {
        const char *word;
        double value;
    } words[] = {
        {"NaN", NAN},      {"nan", NAN},        {"Infinity", INFINITY},
        {"inf", INFINITY}, {"-inf", -INFINITY}, {"-Infinity", -INFINITY},
        {"Inf", INFINITY}, {"-Inf", -INFINITY},
    };
    for (size_t i = 0; i < SLW_ARRAY_LEN(words); i++) {
        if (slw_str_eqz(s, words[i].word)) {
            *out = words[i].value;
            return true;
        }
    }
    return false;
}

#define F64_TEXT_MAX 1100 /* the longest exact double has 1077 characters */

enum slw_rc
slw_str_f64(struct slw_str s, double *out, struct slw_err *err)
{
    struct slw_str shown = excerpt(s);
    if (word_read(s, out))
        return SLW_OK;
    struct decimal d;
    if (s.len > F64_TEXT_MAX || !decimal_read(s, &d))
        return slw_fail(err, SLW_INVALID, "'%.*s' is not a number",
                        SLW_FMT(shown));
    /* Both operands exact, one rounding: the result is exact (Clinger 1990). */
    if (d.digit_count <= 15 && d.exponent >= -22 && d.exponent <= 22) {
        double v = (double)d.digits;
        v = d.exponent < 0 ? v / POW10[-d.exponent] : v * POW10[d.exponent];
        *out = d.minus ? -v : v;
        return SLW_OK;
    }
    char text[F64_TEXT_MAX + 1];
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    double v = strtod(text, NULL);
    if (isinf(v))
        return slw_fail(err, SLW_INVALID,
                        "'%.*s' is beyond the range of a double",
                        SLW_FMT(shown));
    *out = v;
    return SLW_OK;
}

size_t
base_utf8_at(const char *p, size_t n)
{
    const unsigned char *b = (const unsigned char *)p;
    if (n == 0)
        return 0;
    if (b[0] < 0x80)
        return 1;
    size_t len;
    unsigned char low = 0x80, high = 0xBF; /* of the second byte */
    if (b[0] >= 0xC2 && b[0] <= 0xDF) {
        len = 2;
    } else if (b[0] >= 0xE0 && b[0] <= 0xEF) {
        len = 3;
        if (b[0] == 0xE0)
            low = 0xA0; /* shorter forms exist */
        if (b[0] == 0xED)
            high = 0x9F; /* surrogates */
    } else if (b[0] >= 0xF0 && b[0] <= 0xF4) {
        len = 4;
        if (b[0] == 0xF0)
            low = 0x90;
        if (b[0] == 0xF4)
            high = 0x8F; /* past U+10FFFF */
    } else {
        return 0;
    }
    if (n < len || b[1] < low || b[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((b[i] & 0xC0) != 0x80)
            return 0;
    return len;
}

size_t
base_utf8_cut(const char *p, size_t len)
{
    size_t cut = len;
    /* Step back over continuation bytes to the start of the last character;
     * it stays when it is whole. */
    for (int back = 1; back <= 4 && cut >= (size_t)back; back++) {
        unsigned char c = (unsigned char)p[len - (size_t)back];
        if (c < 0x80)
            return len;
        if (c >= 0xC0) {
            cut = len - (size_t)back;
            return base_utf8_at(p + cut, (size_t)back) == (size_t)back ? len
                                                                       : cut;
        }
    }
    return len; /* not UTF-8 at all: any place is as good */
}

bool
slw_str_utf8_ok(struct slw_str s)
{
    size_t i = 0;
    while (i < s.len) {
        size_t step = base_utf8_at(s.ptr + i, s.len - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

static bool
is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9');
}

static bool
is_word_char(char c)
{
    return is_alnum(c) || c == '_';
}

bool
slw_name_ok(struct slw_str s)
{
    if (s.len < 1 || s.len > 128 || !(is_alnum(s.ptr[0]) || s.ptr[0] == '_'))
        return false;
    for (size_t i = 1; i < s.len; i++) {
        char c = s.ptr[i];
        if (!is_alnum(c) && c != '_' && c != '-' && c != '.')
            return false;
    }
    return true;
}

enum slw_rc
slw_name_check(struct slw_str s, const char *what, struct slw_err *err)
{
    if (slw_name_ok(s))
        return SLW_OK;
    return slw_fail(err, SLW_INVALID,
                    "bad %s name '%.*s': use letters, digits, '_', '-' and"
                    " '.', at most 128",
                    what, SLW_FMT(s));
}

bool
slw_sql_names(struct slw_str sql, struct slw_str name)
{
    for (size_t i = 0; name.len && i + name.len <= sql.len; i++) {
        const size_t end = i + name.len;
        const struct slw_str part = {sql.ptr + i, name.len};
        if (slw_str_same(part, name) &&
            (i == 0 || !is_word_char(sql.ptr[i - 1])) &&
            (end == sql.len || !is_word_char(sql.ptr[end])))
            return true;
    }
    return false;
}

int
slw_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

void
slw_hex_text(const uint8_t *bytes, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * size] = '\0';
}

#define DISTANCE_LEN_MAX 128

size_t
slw_str_distance(struct slw_str a, struct slw_str b)
{
    /* Longer texts are no slip of the pen: any large number will do. */
    if (a.len > DISTANCE_LEN_MAX || b.len > DISTANCE_LEN_MAX)
        return slw_str_eq(a, b) ? 0 : (a.len > b.len ? a.len : b.len);
    size_t row[DISTANCE_LEN_MAX + 1];
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t best = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b.len];
}
