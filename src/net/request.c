/* request.c -- what handlers ask of a request: variables of the path, query
 * parameters, headers.
 *
 * The query is decoded when the head is accepted, so a malformed one is
 * refused before any handler runs and reading it here cannot fail. */
#include "net/net_internal.h"

#define QUERY_MAX 1024 /* parameters of one request */

static const struct net_exchange *
exchange_of(const struct slw_http_req *req)
{
    SLW_ASSERT(req && req->conn);
    return req->conn;
}

struct slw_str
slw_http_var(const struct slw_http_req *req, const char *name)
{
    SLW_ASSERT(req->route);
    size_t index = 0, len = strlen(name);
    for (const char *p = strchr(req->route->path, '{'); p;
         p = strchr(p + 1, '{'), index++)
        if (strncmp(p + 1, name, len) == 0 && p[1 + len] == '}')
            return req->vars[index];
    SLW_ASSERT(!"the route has no such variable");
    return (struct slw_str){0};
}

struct slw_str
slw_http_query(const struct slw_http_req *req, const char *name)
{
    const struct net_exchange *x = exchange_of(req);
    for (size_t i = 0; i < x->query_count; i++)
        if (slw_str_eqz(x->query[i].key, name))
            return x->query[i].value;
    return (struct slw_str){0};
}

bool
slw_http_query_at(const struct slw_http_req *req, size_t index,
                  struct slw_str *out_key, struct slw_str *out_value)
{
    const struct net_exchange *x = exchange_of(req);
    if (index >= x->query_count)
        return false;
    *out_key = x->query[index].key;
    *out_value = x->query[index].value;
    return true;
}

enum slw_rc
slw_http_query_i64(const struct slw_http_req *req, const char *name,
                   int64_t dflt, int64_t *out, struct slw_err *err)
{
    struct slw_str text = slw_http_query(req, name);
    int64_t value = dflt;
    if (text.ptr && slw_str_i64(text, &value, err) != SLW_OK)
        return slw_fail(err, SLW_INVALID,
                        "query parameter '%s' must be a whole number, not "
                        "'%.*s'",
                        name, (int)(text.len < 64 ? text.len : 64), text.ptr);
    *out = value;
    return SLW_OK;
}

struct slw_str
slw_http_head(const struct slw_http_req *req, const char *name)
{
    const struct net_exchange *x = exchange_of(req);
    for (size_t i = 0; i < x->field_count; i++)
        if (net_str_same(x->fields[i].name, name))
            return slw_str_trim(x->fields[i].value);
    return (struct slw_str){0};
}

bool
slw_http_closing(const struct slw_http_req *req)
{
    return atomic_load(&exchange_of(req)->http->closing);
}

static enum slw_rc
pair_take(struct net_exchange *x, struct slw_str pair, struct slw_err *err)
{
    struct slw_str key, value;
    if (!pair.len)
        return SLW_OK; /* "a=1&&b=2" */
    struct net_query *q = &x->query[x->query_count];
    slw_str_cut(pair, '=', &key, &value);
    TRY(net_decode(&x->arena, key, true, &q->key, err));
    TRY(net_decode(&x->arena, value, true, &q->value, err));
    x->query_count++;
    return SLW_OK;
}

enum slw_rc
net_query_parse(struct net_exchange *x, struct slw_str query,
                struct slw_err *err)
{
    size_t most = 1;
    struct slw_str rest = query, pair;
    if (!query.len)
        return SLW_OK;
    for (size_t i = 0; i < query.len; i++)
        most += query.ptr[i] == '&';
    if (most > QUERY_MAX)
        return slw_fail(err, SLW_INVALID,
                        "the query has more than %d parameters", QUERY_MAX);
    x->query = SLW_ARENA_NEW(&x->arena, struct net_query, most);
    while (rest.len) {
        slw_str_cut(rest, '&', &pair, &rest);
        TRY(pair_take(x, pair, err));
    }
    return SLW_OK;
}

struct slw_str
net_media_type(struct slw_arena *arena, struct slw_str value)
{
    struct slw_str type, parameters;
    if (!value.len)
        return SLW_STR("");
    slw_str_cut(value, ';', &type, &parameters);
    type = slw_str_trim(type);
    char *text = slw_arena_strz(arena, type);
    for (size_t i = 0; i < type.len; i++)
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] = (char)(text[i] + 32);
    return (struct slw_str){text, type.len};
}

void
slw_http_header_add(struct slw_http_res *res, const char *name,
                    struct slw_str value)
{
    SLW_ASSERT(res->header_count < SLW_HTTP_HEADER_MAX);
    res->headers[res->header_count++] =
        (struct slw_http_header){.name = name, .value = value};
}
