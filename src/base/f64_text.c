/* f64_text.c -- the shortest decimal text of a double that reads back as the
 * same double; of several that short the nearest one.
 *
 * A double stands for all numbers up to half way to its neighbours.  Scaled by
 * the right power of ten that interval is between one and a hundred units
 * wide, so that the shortest decimal inside is one of four: the multiples of
 * ten next to it, else the whole numbers next to it.  All is done in whole
 * numbers of 64 bits with 128-bit powers of ten; bits that are cut off are
 * remembered in the lowest one.
 * Source: R. Giulietti, "The Schubfach way to render doubles" (2020). */
#include <float.h>
#include <math.h>

#include "base/base.h"
#include "f64_pow10.h" /* generated */

#define FRACTION_BITS 52
#define EXPONENT_BIAS 1075 /* of a whole mantissa */

/* floor(log2(10^e)), |e| <= 1233; floor(log10(2^e)), floor(log10(3/4 2^e)),
 * |e| <= 1650. */
static int
log2_of_pow10(int e)
{
    return (e * 1741647) >> 19;
}
static int
log10_of_pow2(int e)
{
    return (e * 1262611) >> 22;
}
static int
log10_of_pow2_by_3_4(int e)
{
    return (e * 1262611 - 524031) >> 22;
}

/* cp * 10^k * 2^-x, x such that it fits; odd when something was cut off. */
static uint64_t
scaled(int k, uint64_t cp)
{
    const unsigned __int128 low =
        (unsigned __int128)POW10[k - POW10_FIRST].lo * cp;
    const unsigned __int128 high =
        (unsigned __int128)POW10[k - POW10_FIRST].hi * cp +
        (uint64_t)(low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/* v is positive and finite: digits * 10^exp10. */
static uint64_t
shortest(double v, int *exp10)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    const uint64_t fraction = bits & (((uint64_t)1 << FRACTION_BITS) - 1);
    const int exponent = (int)(bits >> FRACTION_BITS);
    const uint64_t c =
        exponent ? fraction | (uint64_t)1 << FRACTION_BITS : fraction;
    const int q = (exponent ? exponent : 1) - EXPONENT_BIAS;
    if (q <= 0 && q > -(FRACTION_BITS + 1) &&
        (c & (((uint64_t)1 << -q) - 1)) == 0) {
        *exp10 = 0; /* a whole number below 2^53 */
        return c >> -q;
    }
    /* At a power of two the neighbour below is twice as near. */
    const bool is_edge = fraction == 0 && exponent > 1;
    const int k = is_edge ? log10_of_pow2_by_3_4(q) : log10_of_pow2(q);
    const int h = q + log2_of_pow10(-k) + 1;
    const uint64_t below = scaled(-k, (4 * c - 2 + is_edge) << h);
    const uint64_t at = scaled(-k, (4 * c) << h);
    const uint64_t above = scaled(-k, (4 * c + 2) << h);
    const uint64_t least = below + (c & 1), most = above - (c & 1);
    const uint64_t s = at / 4, tens = s / 10;
    *exp10 = k + 1;
    if (s >= 10) {
        const bool low_in = least <= 40 * tens;
        const bool high_in = 40 * tens + 40 <= most;
        if (low_in != high_in)
            return tens + high_in;
    }
    *exp10 = k;
    const bool low_in = least <= 4 * s, high_in = 4 * s + 4 <= most;
    if (low_in != high_in)
        return s + high_in;
    const uint64_t middle = 4 * s + 2;
    return s + (at > middle || (at == middle && (s & 1)));
}

static size_t
digits_put(uint64_t v, char *to)
{
    char back[20];
    size_t n = 0;
    do {
        back[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    for (size_t i = 0; i < n; i++)
        to[i] = back[n - 1 - i];
    return n;
}

/* d[0].d[1]... times 10^power; as printf's %g lays it out. */
static size_t
lay_out(const char *d, size_t count, int power, char *to)
{
    char *p = to;
    const int fixed_to = count > DBL_DIG ? (int)count : DBL_DIG;
    if (power >= -4 && power < 0) {
        *p++ = '0';
        *p++ = '.';
        for (int i = -1; i > power; i--)
            *p++ = '0';
        memcpy(p, d, count);
        return (size_t)(p - to) + count;
    }
    const bool fixed = power >= 0 && power < fixed_to;
    const size_t whole = fixed ? (size_t)power + 1 : 1;
    for (size_t i = 0; i < whole; i++)
        *p++ = i < count ? d[i] : '0';
    if (count > whole) {
        *p++ = '.';
        memcpy(p, d + whole, count - whole);
        p += count - whole;
    }
    if (fixed)
        return (size_t)(p - to);
    *p++ = 'e';
    *p++ = power < 0 ? '-' : '+';
    const unsigned size = (unsigned)abs(power);
    if (size < 10)
        *p++ = '0';
    return (size_t)(p - to) + digits_put(size, p);
}

size_t
slw_f64_text(double v, char buf[static SLW_F64_TEXT_SIZE])
{
    char digits[20];
    int exp10 = 0;
    const char *word = isnan(v)   ? "NaN"
                       : isinf(v) ? v > 0 ? "Infinity" : "-Infinity"
                       : v == 0   ? signbit(v) ? "-0" : "0"
                                  : NULL;
    if (word) {
        memcpy(buf, word, strlen(word) + 1);
        return strlen(word);
    }
    size_t count = digits_put(shortest(fabs(v), &exp10), digits);
    const int power = exp10 + (int)count - 1;
    while (count > 1 && digits[count - 1] == '0')
        count--;
    char *p = buf;
    if (v < 0)
        *p++ = '-';
    p += lay_out(digits, count, power, p);
    *p = '\0';
    return (size_t)(p - buf);
}
