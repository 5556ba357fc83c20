/* router.h -- private: from method and path to a route and its variables. */
#ifndef SLW_NET_ROUTER_H
#define SLW_NET_ROUTER_H

#include "net/http.h"

#define NET_SEGMENT_MAX 48
#define NET_ALLOW_TEXT_SIZE 64

/* A tree of path segments.  Owner: immutable after birth. */
struct net_router;

struct net_match {
    const struct slw_route *route; /* NULL: none for this method */
    unsigned allow;                /* bit set of methods the path has */
    struct slw_str vars[SLW_HTTP_VAR_MAX];
};

/* In     routes stay the caller's and must outlive the router
 * Errors INVALID: a path that does not begin with '/', two routes of one
 *        method and path, an unknown method, too many variables */
SLW_MUST_USE enum slw_rc net_router_new(struct net_router **out,
                                        const struct slw_route *routes,
                                        size_t route_count,
                                        struct slw_err *err);
void net_router_free(struct net_router *r);

/* In     method "GET"; HEAD is looked up as GET
 *        path   raw, without the query; outlives *out
 * Out    vars decoded, in the arena or views of path
 * Errors INVALID: a bad escape, %00, invalid UTF-8, a "." or ".." or empty
 *        segment, an encoded slash in a variable that is one segment
 * Note   no such path is no error: route NULL and allow 0 */
SLW_MUST_USE enum slw_rc
net_router_find(const struct net_router *r, struct slw_str method,
                struct slw_str path, struct slw_arena *arena,
                struct net_match *out, struct slw_err *err);
/* "GET, HEAD, POST": the value of Allow. */
const char *net_allow_text(unsigned allow,
                           char buf[static NET_ALLOW_TEXT_SIZE]);

/* Percent-decode; '+' becomes a blank only when plus_is_blank.
 * Errors INVALID: bad escape, %00, the result is not UTF-8. */
SLW_MUST_USE enum slw_rc net_decode(struct slw_arena *arena, struct slw_str s,
                                    bool plus_is_blank, struct slw_str *out,
                                    struct slw_err *err);

#endif
