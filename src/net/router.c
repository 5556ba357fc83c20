/* router.c -- from method and path to a route and its variables.
 *
 * The table is turned into a tree once, one node a segment.  At each node a
 * fixed word wins over a variable, and a variable over a tail that takes the
 * rest; when the better choice leads nowhere the next one is tried, so
 * GET /models/search and GET /models/{id} live side by side.
 *
 * Segments are decoded one by one, before comparing and never twice.  What a
 * file system could take for another folder ("..", an empty segment, an
 * encoded slash in a variable of one segment) is refused here, once, so that
 * no handler meets it. */
#include "net/router.h"

#include "base/arena.h"

static const char *const METHODS[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
enum { METHOD_COUNT = 5 };

struct node {
    struct slw_str text; /* of the segment; of variables: empty */
    struct node *words;  /* children with a fixed text */
    struct node *next;   /* sibling among them */
    struct node *var;    /* child for any one segment */
    const struct slw_route *routes[METHOD_COUNT];
    const struct slw_route *tails[METHOD_COUNT];
};

struct net_router {
    struct slw_arena arena;
    struct node root;
};

/* A path cut up: decoded segments, and where each began in the raw path. */
struct path {
    struct slw_str raw;
    struct slw_str segments[NET_SEGMENT_MAX];
    size_t starts[NET_SEGMENT_MAX];
    size_t count;
    struct slw_arena *arena;
};

static int
method_index(struct slw_str method)
{
    if (slw_str_eqz(method, "HEAD"))
        return 0;
    for (int i = 0; i < METHOD_COUNT; i++)
        if (slw_str_eqz(method, METHODS[i]))
            return i;
    return -1;
}

const char *
net_allow_text(unsigned allow, char buf[static NET_ALLOW_TEXT_SIZE])
{
    size_t len = 0;
    buf[0] = '\0';
    for (int i = 0; i < METHOD_COUNT; i++)
        if (allow & (1u << i))
            len += (size_t)snprintf(buf + len, NET_ALLOW_TEXT_SIZE - len,
                                    "%s%s%s", len ? ", " : "", METHODS[i],
                                    i == 0 ? ", HEAD" : "");
    return buf;
}

/* ---- building ---- */

static bool
is_variable(struct slw_str s)
{
    return s.len > 2 && s.ptr[0] == '{' && s.ptr[s.len - 1] == '}';
}

static struct node *
child_for(struct net_router *r, struct node *n, struct slw_str segment)
{
    if (is_variable(segment)) {
        if (!n->var)
            n->var = SLW_ARENA_NEW(&r->arena, struct node, 1);
        return n->var;
    }
    struct node **at = &n->words;
    for (; *at; at = &(*at)->next)
        if (slw_str_eq((*at)->text, segment))
            return *at;
    *at = SLW_ARENA_NEW(&r->arena, struct node, 1);
    (*at)->text = segment;
    return *at;
}

static enum slw_rc
route_add(struct net_router *r, const struct slw_route *route,
          struct slw_err *err)
{
    int m = method_index(slw_str_of(route->method));
    if (m < 0 || slw_str_eqz(slw_str_of(route->method), "HEAD"))
        return slw_fail(err, SLW_INVALID,
                        "route %s has the method '%s'; use "
                        "GET, POST, PUT, PATCH or DELETE",
                        route->path, route->method);
    if (route->path[0] != '/' || !route->fn)
        return slw_fail(err, SLW_INVALID,
                        "route '%s' needs a path that begins with '/' and a "
                        "handler",
                        route->path);
    struct slw_str rest = slw_str_of(route->path + 1), segment;
    struct node *n = &r->root;
    size_t vars = 0;
    bool tail = false;
    while (rest.len) {
        slw_str_cut(rest, '/', &segment, &rest);
        if (is_variable(segment) && ++vars > SLW_HTTP_VAR_MAX)
            return slw_fail(err, SLW_INVALID,
                            "route %s has more than %d "
                            "variables",
                            route->path, SLW_HTTP_VAR_MAX);
        tail = (route->flags & SLW_ROUTE_TAIL) && !rest.len;
        if (tail && !is_variable(segment))
            return slw_fail(err, SLW_INVALID,
                            "route %s is a tail route and "
                            "must end in a variable",
                            route->path);
        if (!tail)
            n = child_for(r, n, segment);
    }
    const struct slw_route **slot = tail ? &n->tails[m] : &n->routes[m];
    if (*slot)
        return slw_fail(err, SLW_INVALID,
                        "routes %s and %s are the same: "
                        "%s %s",
                        (*slot)->name, route->name, route->method, route->path);
    *slot = route;
    return SLW_OK;
}

enum slw_rc
net_router_new(struct net_router **out, const struct slw_route *routes,
               size_t route_count, struct slw_err *err)
{
    struct net_router *r = slw_alloc(sizeof *r);
    for (size_t i = 0; i < route_count; i++) {
        enum slw_rc rc = route_add(r, &routes[i], err);
        if (rc != SLW_OK) {
            net_router_free(r);
            return rc;
        }
    }
    *out = r;
    return SLW_OK;
}

void
net_router_free(struct net_router *r)
{
    if (!r)
        return;
    slw_arena_done(&r->arena);
    slw_free(r);
}

/* ---- decoding ---- */

static enum slw_rc
decoded_check(struct slw_str s, struct slw_str *out, struct slw_err *err)
{
    if (s.len && memchr(s.ptr, '\0', s.len))
        return slw_fail(err, SLW_INVALID, "%%00 is not allowed in the URL");
    if (!slw_str_utf8_ok(s))
        return slw_fail(err, SLW_INVALID,
                        "the URL does not decode to valid UTF-8");
    *out = s;
    return SLW_OK;
}

enum slw_rc
net_decode(struct slw_arena *arena, struct slw_str s, bool plus_is_blank,
           struct slw_str *out, struct slw_err *err)
{
    if (!s.len || (!memchr(s.ptr, '%', s.len) &&
                   !(plus_is_blank && memchr(s.ptr, '+', s.len))))
        return decoded_check(s.ptr ? s : SLW_STR(""), out, err);
    char *text = SLW_ARENA_NEW(arena, char, s.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '+' && plus_is_blank)
            c = ' ';
        if (c == '%') {
            int hi = i + 2 < s.len ? slw_hex_digit(s.ptr[i + 1]) : -1;
            int lo = hi >= 0 ? slw_hex_digit(s.ptr[i + 2]) : -1;
            if (lo < 0)
                return slw_fail(err, SLW_INVALID,
                                "a '%%' in the URL must be followed by two "
                                "hexadecimal digits; write '%%' as %%25");
            c = (char)(hi * 16 + lo);
            i += 2;
        }
        text[len++] = c;
    }
    return decoded_check((struct slw_str){text, len}, out, err);
}

/* ---- finding ---- */

static enum slw_rc
segment_check(struct slw_str s, struct slw_err *err)
{
    if (!s.len)
        return slw_fail(err, SLW_INVALID,
                        "the path has an empty segment ('//')");
    if (slw_str_eqz(s, ".") || slw_str_eqz(s, ".."))
        return slw_fail(err, SLW_INVALID,
                        "the path has a '%.*s' segment; write the path "
                        "without it",
                        SLW_FMT(s));
    return SLW_OK;
}

/* Cut and decode; one slash at the end is as if it were not there. */
static enum slw_rc
path_cut(struct path *p, struct slw_str raw, struct slw_err *err)
{
    p->raw = raw;
    if (p->raw.len > 1 && p->raw.ptr[p->raw.len - 1] == '/')
        p->raw.len--;
    size_t at = 1;
    while (at < p->raw.len) {
        if (p->count == NET_SEGMENT_MAX)
            return slw_fail(err, SLW_INVALID,
                            "the path has more than %d segments",
                            NET_SEGMENT_MAX);
        struct slw_str rest = {raw.ptr + at, p->raw.len - at}, segment;
        slw_str_cut(rest, '/', &segment, &rest);
        size_t i = p->count++;
        p->starts[i] = at;
        at += segment.len + 1;
        TRY(net_decode(p->arena, segment, false, &p->segments[i], err));
        TRY(segment_check(p->segments[i], err));
    }
    if (p->raw.len > 1 && p->raw.ptr[p->raw.len - 1] == '/')
        return segment_check(SLW_STR(""), err);
    return SLW_OK;
}

/* The rest of the path from segment `from` on, decoded as a whole. */
static enum slw_rc
tail_take(const struct path *p, size_t from, struct slw_str *out,
          struct slw_err *err)
{
    size_t start = p->starts[from];
    struct slw_str raw = {p->raw.ptr + start, p->raw.len - start}, made;
    TRY(net_decode(p->arena, raw, false, &made, err));
    struct slw_str rest = made, segment;
    bool more = true;
    while (more) { /* again: an encoded slash has become a slash */
        more = slw_str_cut(rest, '/', &segment, &rest);
        TRY(segment_check(segment, err));
    }
    *out = made;
    return SLW_OK;
}

static unsigned
methods_of(const struct slw_route *const routes[METHOD_COUNT])
{
    unsigned bits = 0;
    for (int i = 0; i < METHOD_COUNT; i++)
        bits |= routes[i] ? 1u << i : 0;
    return bits;
}

/* The route below `n` for segments from `at` on; vars[] gets the indices of
 * the segments that fill variables (of a tail: its first). */
static const struct slw_route *
walk(const struct node *n, const struct path *p, size_t at, int m,
     size_t vars[SLW_HTTP_VAR_MAX], size_t var_count, unsigned *allow)
{
    const struct slw_route *found = NULL;
    if (at == p->count) {
        *allow |= methods_of(n->routes);
        return m >= 0 ? n->routes[m] : NULL;
    }
    for (const struct node *w = n->words; w && !found; w = w->next)
        if (slw_str_eq(w->text, p->segments[at]))
            found = walk(w, p, at + 1, m, vars, var_count, allow);
    if (!found && n->var) {
        vars[var_count] = at;
        found = walk(n->var, p, at + 1, m, vars, var_count + 1, allow);
    }
    if (!found) {
        *allow |= methods_of(n->tails);
        if (m >= 0 && n->tails[m]) {
            vars[var_count] = at;
            found = n->tails[m];
        }
    }
    return found;
}

static enum slw_rc
vars_take(const struct path *p, const struct slw_route *route,
          const size_t at[SLW_HTTP_VAR_MAX], struct slw_str *vars,
          struct slw_err *err)
{
    size_t count = 0;
    for (const char *c = route->path; *c; c++)
        count += *c == '{';
    for (size_t i = 0; i < count; i++) {
        if ((route->flags & SLW_ROUTE_TAIL) && i + 1 == count) {
            TRY(tail_take(p, at[i], &vars[i], err));
            continue;
        }
        vars[i] = p->segments[at[i]];
        if (memchr(vars[i].ptr, '/', vars[i].len))
            return slw_fail(err, SLW_INVALID,
                            "an encoded slash (%%2F) is not allowed in this "
                            "part of the path");
    }
    return SLW_OK;
}

enum slw_rc
net_router_find(const struct net_router *r, struct slw_str method,
                struct slw_str path, struct slw_arena *arena,
                struct net_match *out, struct slw_err *err)
{
    struct path p = {.arena = arena};
    struct net_match match = {0};
    size_t vars[SLW_HTTP_VAR_MAX + 1] = {0};
    TRY(path_cut(&p, path, err));
    match.route =
        walk(&r->root, &p, 0, method_index(method), vars, 0, &match.allow);
    if (match.route)
        TRY(vars_take(&p, match.route, vars, match.vars, err));
    *out = match;
    return SLW_OK;
}
