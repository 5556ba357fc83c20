/* range.c -- the Range header: one part of a file.
 * Source RFC 9110 section 14. */
#include "net/net_internal.h"

static bool
digits(struct slw_str s, int64_t *out)
{
    int64_t v = 0;
    if (!s.len || s.len > 18)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        v = v * 10 + (s.ptr[i] - '0');
    }
    *out = v;
    return true;
}

enum net_range
net_range_parse(struct slw_str value, int64_t size, int64_t *out_first,
                int64_t *out_len)
{
    struct slw_str from, to, unit, rest;
    int64_t first, last = size - 1;
    if (!slw_str_cut(value, '=', &unit, &rest) ||
        !net_str_same(slw_str_trim(unit), "bytes") ||
        !slw_str_cut(slw_str_trim(rest), '-', &from, &to))
        return NET_RANGE_NONE;
    if (!from.len) { /* the last so many */
        int64_t count;
        if (!digits(to, &count))
            return NET_RANGE_NONE;
        if (count == 0 || size == 0)
            return NET_RANGE_BAD;
        first = count < size ? size - count : 0;
    } else {
        if (!digits(from, &first) || (to.len && !digits(to, &last)) ||
            (to.len && last < first))
            return NET_RANGE_NONE;
        if (first >= size)
            return NET_RANGE_BAD;
        if (last >= size)
            last = size - 1;
    }
    *out_first = first;
    *out_len = last - first + 1;
    return NET_RANGE_PART;
}
