/* fuzz_net_parts.c -- a request's path, query text and Range value: paths meet
 * a router of all kinds of patterns, and nothing that is decoded can leave its
 * folder or hold a NUL. */
#include "fuzz.h"

#include "net/net_internal.h"
#include "net/router.h"

static enum slw_rc
never(struct slw_http_req *req, struct slw_http_res *res, struct slw_err *err)
{
    (void)req;
    (void)res;
    return slw_fail(err, SLW_INTERNAL, "not called");
}

static const struct slw_route ROUTES[] = {
    {.method = "GET", .path = "/", .fn = never, .name = "root"},
    {.method = "GET", .path = "/health", .fn = never, .name = "health"},
    {.method = "GET", .path = "/v2/models/{m}", .fn = never, .name = "model"},
    {.method = "POST",
     .path = "/v2/models/{m}/infer",
     .fn = never,
     .name = "infer"},
    {.method = "GET", .path = "/a/{x}/b/{y}", .fn = never, .name = "two"},
    {.method = "PUT",
     .path = "/files/{path}",
     .fn = never,
     .flags = SLW_ROUTE_TAIL,
     .name = "tail"},
};

static void
decoded(struct slw_str s)
{
    SLW_ASSERT(slw_str_utf8_ok(s));
    SLW_ASSERT(!s.len || !memchr(s.ptr, '\0', s.len));
}

/* As part of a file's name it cannot climb out of its folder. */
static void
stays_inside(struct slw_str s, bool tail)
{
    struct slw_str segment;
    SLW_ASSERT(tail || !s.len || !memchr(s.ptr, '/', s.len));
    while (s.len) {
        slw_str_cut(s, '/', &segment, &s);
        SLW_ASSERT(!slw_str_eqz(segment, "..") && !slw_str_eqz(segment, "."));
    }
}

static void
path_find(const struct net_router *r, struct slw_str path)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "X"};
    for (size_t i = 0; i < SLW_ARRAY_LEN(methods); i++) {
        SLW_AUTO(slw_arena, a);
        struct net_match m = {0};
        struct slw_err err = {0};
        const enum slw_rc rc =
            net_router_find(r, slw_str_of(methods[i]), path, &a, &m, &err);
        if (rc != SLW_OK) {
            fuzz_refused(rc, &err, FUZZ_RC(INVALID));
            continue;
        }
        for (size_t v = 0; m.route && v < SLW_HTTP_VAR_MAX; v++) {
            decoded(m.vars[v]);
            stays_inside(m.vars[v], m.route->flags & SLW_ROUTE_TAIL);
        }
        char allow[NET_ALLOW_TEXT_SIZE];
        SLW_ASSERT(strlen(net_allow_text(m.allow, allow)) < sizeof allow);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct net_router *router;
    SLW_AUTO(slw_arena, a);
    struct slw_err err = {0};
    if (!router)
        SLW_ASSERT(net_router_new(&router, ROUTES, SLW_ARRAY_LEN(ROUTES),
                                  &err) == SLW_OK);
    const struct slw_str text = fuzz_str(data, size);
    path_find(router, text);
    for (int plus = 0; plus < 2; plus++) {
        struct slw_str out = SLW_STR("untouched");
        const enum slw_rc rc = net_decode(&a, text, plus, &out, &err);
        if (rc == SLW_OK)
            decoded(out);
        else
            fuzz_refused(rc, &err, FUZZ_RC(INVALID));
    }
    static const int64_t sizes[] = {0, 1, 1000, INT64_MAX};
    for (size_t i = 0; i < SLW_ARRAY_LEN(sizes); i++) {
        int64_t first = -1, len = -1;
        if (net_range_parse(text, sizes[i], &first, &len) == NET_RANGE_PART)
            SLW_ASSERT(first >= 0 && len >= 1 && first <= sizes[i] - len);
    }
    return 0;
}
