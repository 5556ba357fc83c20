/* strict.h -- private: refusal of requests that two programs could read in
 * two ways.
 *
 * Pure: looks at bytes it is given, knows no connection, so that it can be
 * tested and fuzzed alone.  See strict.c for what is refused and why. */
#ifndef SLW_NET_STRICT_H
#define SLW_NET_STRICT_H

#include "base/base.h"

#define NET_FIELD_MAX 128
#define NET_TARGET_SIZE_MAX 8192

struct net_field {
    struct slw_str name;
    struct slw_str value;
};

/* One request head as the parser below us understood it. */
struct net_head {
    struct slw_str method;
    struct slw_str target; /* raw, as sent, with the query */
    const char *target_at; /* where it lies in `bytes`, perhaps changed */
    struct slw_str version;
    const struct net_field *fields; /* in the order of the request */
    size_t field_count;
    /* The head where it was parsed in place: all views but `target` point
     * into these bytes, and their places are checked too.  NULL: values
     * only. */
    const char *bytes;
    size_t size;
};

/* How the body is delimited, once that is known to be unambiguous. */
struct net_framing {
    int64_t content_length; /* -1: none given */
    bool chunked;
    bool expect_continue;
};

/* Refuse a head that is ambiguous or malformed.
 *
 * In     head    see above
 * Out    framing filled only when the head is accepted
 * Errors INVALID with one sentence for the sender
 * Cost   one pass over the bytes; no allocation */
SLW_MUST_USE enum slw_rc net_strict_check(const struct net_head *head,
                                          struct net_framing *out_framing,
                                          struct slw_err *err);

/* Equal without regard to the case of ASCII letters. */
bool net_str_same(struct slw_str a, const char *z);

#endif
