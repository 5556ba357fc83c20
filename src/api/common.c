/* common.c -- what handlers share: bodies, times, jobs, errors, access.
 *
 * A handler is straight code: it reads what it needs, calls one or two
 * functions of a room and writes JSON.  Whatever fails is returned, and
 * rendered here once, in the dialect of the route. */
#include "api/api_internal.h"

#include "base/log.h"

#include <stdatomic.h>

enum slw_rc
api_body(const struct slw_http_req *req, struct slw_json *out,
         struct slw_err *err)
{
    struct slw_str text = slw_str_trim(req->body);
    if (text.len == 0)
        text = SLW_STR("{}");
    SLW_AUTO(slw_json, doc);
    TRY(slw_json_parse(&doc, text, err));
    if (slw_json_type(doc.root) != SLW_JSON_OBJECT)
        return slw_fail(err, SLW_INVALID, "the body must be a JSON object");
    *out = doc;
    doc.root = NULL;
    return SLW_OK;
}

enum slw_rc
api_var_i64(const struct slw_http_req *req, const char *name, int64_t *out,
            struct slw_err *err)
{
    enum slw_rc rc = slw_str_i64(slw_http_var(req, name), out, err);
    return rc == SLW_OK ? rc : slw_err_prefix(err, "%s in the path: ", name);
}

enum slw_rc
api_limit(const struct slw_http_req *req, int64_t dflt, int64_t count_max,
          size_t *out, struct slw_err *err)
{
    int64_t n = dflt;
    TRY(slw_http_query_i64(req, "limit", dflt, &n, err));
    if (n < 1 || n > count_max)
        return slw_fail(err, SLW_INVALID, "limit must be 1 to %lld",
                        (long long)count_max);
    *out = (size_t)n;
    return SLW_OK;
}

enum slw_rc
api_page_of(const struct slw_http_req *req, int64_t limit_dflt,
            int64_t limit_max, struct api_page *out, struct slw_err *err)
{
    int64_t offset = 0;
    size_t limit = 0;
    TRY(api_limit(req, limit_dflt, limit_max, &limit, err));
    TRY(slw_http_query_i64(req, "offset", 0, &offset, err));
    if (offset < 0)
        return slw_fail(err, SLW_INVALID, "offset must not be negative");
    *out = (struct api_page){.limit = limit, .offset = (size_t)offset};
    return SLW_OK;
}

static enum slw_rc
time_text(struct slw_str s, const char *key, bool end, int64_t *out,
          struct slw_err *err)
{
    enum slw_rc rc =
        end ? slw_time_parse_end(s, out, err) : slw_time_parse(s, out, err);
    return rc == SLW_OK ? rc : slw_err_prefix(err, "%s: ", key);
}

enum slw_rc
api_time_member(const struct json_t *o, const char *key, bool end, int64_t *out,
                struct slw_err *err)
{
    const struct json_t *v = slw_json_get(o, key);
    enum slw_json_type type = slw_json_type(v);
    if (type == SLW_JSON_NONE || type == SLW_JSON_NULL)
        return SLW_OK;
    if (type == SLW_JSON_INT) {
        *out = slw_json_i64_or(v, 0);
        return SLW_OK;
    }
    if (type != SLW_JSON_STR)
        return slw_fail(err, SLW_INVALID,
                        "%s must be a date, an RFC 3339 time or milliseconds",
                        key);
    return time_text(slw_json_str_or(v, SLW_STR("")), key, end, out, err);
}

enum slw_rc
api_time_query(const struct slw_http_req *req, const char *key, bool end,
               int64_t *out, struct slw_err *err)
{
    struct slw_str s = slw_http_query(req, key);
    return s.ptr ? time_text(s, key, end, out, err) : SLW_OK;
}

int64_t
api_now(const struct slw_api *api)
{
    return slw_clock_now_ms(api->clock);
}

struct slw_str
api_buf_str(struct slw_arena *a, const struct slw_buf *b)
{
    return slw_arena_str(a, slw_buf_view(b));
}

struct slw_str
api_dump(struct slw_arena *a, const struct json_t *v)
{
    SLW_AUTO(slw_buf, b);
    slw_json_dump(&b, v);
    return api_buf_str(a, &b);
}

struct slw_str
api_who(const struct slw_http_req *req, struct slw_str otherwise)
{
    struct slw_api *api = req->app;
    struct slw_str name = slw_access_who(
        api->access, slw_http_head(req, "Authorization"), req->arena);
    return name.len ? name : otherwise;
}

#define WHO_SIZE_MAX 200

enum slw_rc
api_who_of(const struct slw_http_req *req, const struct json_t *body,
           struct slw_str *out, struct slw_err *err)
{
    struct slw_str said = SLW_STR("");
    TRY(slw_json_opt_str(body, "who", &said, err));
    if (said.len > WHO_SIZE_MAX)
        return slw_fail(err, SLW_INVALID, "who is at most %d bytes",
                        WHO_SIZE_MAX);
    *out = api_who(req, said.len ? said : SLW_STR("anonymous"));
    return SLW_OK;
}

void
api_names_answer(struct slw_http_res *res, const char *key,
                 const struct slw_str *names, size_t count)
{
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_key(&w, key);
    slw_jw_arr(&w);
    for (size_t i = 0; i < count; i++)
        slw_jw_str(&w, names[i]);
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
}

enum slw_rc
api_job_start(struct slw_api *api, struct slw_http_res *res, const char *kind,
              struct slw_str subject, struct slw_str spec, struct slw_err *err)
{
    int64_t id = 0;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_job_put(&tx, api_now(api), kind, subject, SLW_STR(""), spec, &id,
                    err));
    TRY(slw_tx_commit(&tx, err));
    slw_jobs_wake(api->jobs);
    res->status = 202;
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_ki64(&w, "job", id);
    slw_jw_key(&w, "url");
    char url[64];
    snprintf(url, sizeof url, "/api/v1/jobs/%lld", (long long)id);
    slw_jw_z(&w, url);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

/* {"error": "one sentence", "code": "not_found"}; V2 clients read `error`. */
static void
render_plain(const struct slw_err *err, bool with_code,
             struct slw_http_res *res)
{
    slw_buf_clear(&res->body);
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "error", err->msg);
    if (with_code)
        slw_jw_kz(&w, "code", slw_rc_name(err->rc));
    slw_jw_obj_end(&w);
    res->content_type = "application/json";
    res->file_path = NULL;
}

void
api_render_error(enum slw_dialect dialect, const struct slw_err *err,
                 struct slw_http_req *req, struct slw_http_res *res)
{
    int status = res->status >= 400 ? res->status : slw_http_status_of(err->rc);
    if (status >= 500 && status != 501 && status != 503)
        slw_log(SLW_LOG_ERROR, "api.failed",
                "request=%s route=%s rc=%s where=%s msg=\"%s\"", req->id,
                req->route ? req->route->name : "-", slw_rc_name(err->rc),
                err->where ? err->where : "-", err->msg);
    res->status = status;
    if (status == 401)
        slw_http_header_add(res, "WWW-Authenticate",
                            SLW_STR("Bearer realm=\"slipway\""));
    if (dialect == SLW_MLFLOW)
        api_mlflow_render_error(err, req, res);
    else
        render_plain(err, dialect != SLW_V2, res);
}

/* ---- who may ---- */

/* Least role for a route: reading and predicting, writing, deploying, and
 * the tokens themselves, moving in or out, and what removes for good. */
static enum slw_role
role_needed(const struct slw_route *route)
{
    struct slw_str path = slw_str_of(route->path);
    if (slw_str_starts(path, "/api/v1/tokens") ||
        slw_str_starts(path, "/api/v1/webhooks") || /* they carry news out */
        slw_str_starts(path, "/api/2.0/mlflow/webhooks") ||
        slw_str_starts(path, "/api/v1/gc") ||
        slw_str_starts(path, "/api/v1/imports") || /* they name paths of the */
        slw_str_starts(path, "/api/v1/exports"))   /* server's machine */
        return SLW_ROLE_ADMIN;
    if (strcmp(route->method, "GET") == 0)
        return SLW_ROLE_READER;
    if (slw_str_starts(path, "/v2/") || slw_str_ends(path, "/invocations") ||
        slw_str_starts(path, "/get-online-features") ||
        slw_str_ends(path, "/search") || slw_str_ends(path, "/historical"))
        return SLW_ROLE_READER;
    if (slw_str_starts(path, "/api/v1/deployments") ||
        slw_str_starts(path, "/api/v1/project") ||
        slw_str_starts(path, "/api/v1/clock") ||
        slw_str_starts(path, "/api/v1/models/{name}/aliases") ||
        slw_str_ends(path, "/alias"))
        return SLW_ROLE_DEPLOYER;
    return SLW_ROLE_WRITER;
}

/* Whoever asks for a dry run must never be given the act itself. */
static enum slw_rc
dry_check(struct slw_http_req *req, struct slw_err *err)
{
    bool dry = false;
    TRY(api_dry_wanted(req, &dry, err));
    if (dry && strcmp(req->route->method, "GET") != 0 &&
        !(req->route->flags & SLW_ROUTE_DRY))
        return slw_fail(err, SLW_UNSUPPORTED,
                        "%s %s has no dry run; nothing was done",
                        req->route->method, req->route->path);
    return SLW_OK;
}

static enum slw_rc
authorize(struct slw_http_req *req, struct slw_err *err)
{
    struct slw_api *api = req->app;
    if (!atomic_load(&api->ready))
        return slw_fail(err, SLW_BUSY, "the server is starting");
    TRY(dry_check(req, err));
    if ((req->route->flags & (SLW_ROUTE_LOCAL | SLW_ROUTE_PUBLIC)) ||
        slw_access_is_open(api->access))
        return SLW_OK;
    enum slw_role role = SLW_ROLE_NONE;
    enum slw_rc rc = slw_access_check(
        api->access, slw_http_head(req, "Authorization"), &role, err);
    req->is_unknown = rc == SLW_DENIED;
    TRY(rc);
    enum slw_role needed = role_needed(req->route);
    if (role < needed)
        return slw_fail(err, SLW_DENIED,
                        "this needs the role '%s', and the token has '%s'",
                        slw_role_name(needed), slw_role_name(role));
    return SLW_OK;
}

void
slw_api_wire(struct slw_http_options *opt, struct slw_api *api)
{
    opt->app = api;
    opt->render_error = api_render_error;
    opt->observe = api_observe;
    opt->authorize = authorize;
    opt->fallback = api_page_fallback;
}
