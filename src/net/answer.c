/* answer.c -- from what a handler left to what is sent.
 *
 * The body's memory is handed to the library as it is, not copied.  Files are
 * sent from their descriptor, whole or the part a Range header asks for.
 * Error answers get their body from the program's renderer, which knows the
 * dialects. */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/net_internal.h"

static const char JSON_TYPE[] = "application/json";

int
slw_http_status_of(enum slw_rc rc)
{
    switch (rc) {
    case SLW_INVALID:
        return 400;
    case SLW_NOT_FOUND:
        return 404;
    case SLW_CONFLICT:
        return 409;
    case SLW_DENIED:
        return 403;
    case SLW_LIMIT:
        return 413;
    case SLW_BUSY:
        return 503;
    case SLW_TIMEOUT:
        return 504;
    case SLW_UNSUPPORTED:
        return 501;
    case SLW_IO:
        return 507;
    default:
        return 500;
    }
}

static void
render_plainly(const struct slw_err *err, struct slw_http_res *res)
{
    slw_buf_z(&res->body, "{\"error\":{\"code\":\"");
    slw_buf_z(&res->body, slw_rc_name(err->rc));
    slw_buf_z(&res->body, "\",\"message\":\"");
    for (const char *p = err->msg; *p; p++) {
        if (*p == '"' || *p == '\\')
            slw_buf_char(&res->body, '\\');
        slw_buf_char(&res->body, (unsigned char)*p < 0x20 ? ' ' : *p);
    }
    slw_buf_z(&res->body, "\"}}");
}

void
net_render(const struct slw_http *h, enum slw_dialect dialect,
           const struct slw_err *err, struct slw_http_req *req,
           struct slw_http_res *res)
{
    if (h->opt.render_error)
        h->opt.render_error(dialect, err, req, res);
    else
        render_plainly(err, res);
}

static bool
has_header(const struct slw_http_res *res, const char *name)
{
    for (size_t i = 0; i < res->header_count; i++)
        if (net_str_same(slw_str_of(res->headers[i].name), name))
            return true;
    return false;
}

static enum slw_dialect
dialect_of(const struct net_exchange *x)
{
    struct slw_str path = x->req.path;
    if (x->req.route)
        return x->req.route->dialect;
    if (slw_str_starts(path, "/api/2.0/mlflow") ||
        slw_str_starts(path, "/ajax-api/"))
        return SLW_MLFLOW;
    if (slw_str_eqz(path, "/v2") || slw_str_starts(path, "/v2/"))
        return SLW_V2;
    return SLW_NATIVE;
}

void
net_source_drop(struct slw_http_res *res)
{
    if (res->source.read)
        res->source.close(res->source.ctx);
    res->source = (struct slw_http_source){0};
}

void
net_answer_error(struct net_exchange *x, const struct slw_err *err, int status)
{
    struct slw_http_res *res = &x->res;
    slw_buf_done(&res->body);
    slw_buf_init(&res->body, 0);
    if (!status)
        res->header_count = 0; /* the handler's; the transport's stay */
    res->file_path = NULL;
    res->fixed = (struct slw_str){0};
    net_stream_drop(res->stream);
    res->stream = NULL;
    net_source_drop(res);
    res->content_type = NULL;
    res->status = status;
    net_render(x->http, dialect_of(x), err, &x->req, res);
    if (status)
        res->status = status;
    if (!res->status)
        res->status = slw_http_status_of(err->rc);
    if (res->status == 503 && !has_header(res, "Retry-After") &&
        res->header_count < SLW_HTTP_HEADER_MAX)
        slw_http_header_add(res, "Retry-After", SLW_STR("1"));
}

/* ---- bodies ---- */

static struct MHD_Response *
of_bytes(struct slw_buf *body)
{
    struct MHD_Response *r;
    if (!body->len)
        return MHD_create_response_from_buffer(0, (void *)(uintptr_t) "",
                                               MHD_RESPMEM_PERSISTENT);
    r = MHD_create_response_from_buffer(body->len, body->ptr,
                                        MHD_RESPMEM_MUST_FREE);
    if (r)
        *body = (struct slw_buf){0}; /* the library frees it */
    return r;
}

/* May the Range header be followed?  With If-Range only when it names the
 * entity tag the handler gave. */
static bool
range_applies(const struct net_exchange *x)
{
    struct slw_str condition = slw_http_head(&x->req, "If-Range");
    if (x->is_head || (x->res.status && x->res.status != 200) ||
        !slw_http_head(&x->req, "Range").ptr)
        return false;
    if (!condition.ptr)
        return true;
    for (size_t i = 0; i < x->res.header_count; i++)
        if (net_str_same(slw_str_of(x->res.headers[i].name), "ETag"))
            return slw_str_eq(x->res.headers[i].value, condition);
    return false;
}

static struct MHD_Response *
not_satisfiable(struct net_exchange *x, int64_t size)
{
    struct slw_err err;
    slw_fail(&err, SLW_INVALID,
             "the range asked for lies outside the file's %lld bytes",
             (long long)size);
    x->res.header_count = 0;
    slw_http_header_add(
        &x->res, "Content-Range",
        slw_arena_printf(&x->arena, "bytes */%lld", (long long)size));
    net_answer_error(x, &err, 416);
    return of_bytes(&x->res.body);
}

/* Which part of `size` bytes is sent, with its headers and its status.
 * NET_RANGE_BAD: there is no such part. */
static enum net_range
part_of(struct net_exchange *x, int64_t size, int64_t *out_first,
        int64_t *out_len)
{
    enum net_range range = NET_RANGE_NONE;
    *out_first = 0;
    *out_len = size;
    if (range_applies(x))
        range = net_range_parse(slw_http_head(&x->req, "Range"), size,
                                out_first, out_len);
    if (range == NET_RANGE_BAD)
        return range;
    if (x->res.header_count + 2 <= SLW_HTTP_HEADER_MAX) {
        slw_http_header_add(&x->res, "Accept-Ranges", SLW_STR("bytes"));
        if (range == NET_RANGE_PART)
            slw_http_header_add(
                &x->res, "Content-Range",
                slw_arena_printf(
                    &x->arena, "bytes %lld-%lld/%lld", (long long)*out_first,
                    (long long)(*out_first + *out_len - 1), (long long)size));
    }
    if (range == NET_RANGE_PART)
        x->res.status = 206;
    return range;
}

static struct MHD_Response *
of_open_file(struct net_exchange *x, int fd, int64_t size)
{
    int64_t first = 0, len = 0;
    if (part_of(x, size, &first, &len) == NET_RANGE_BAD) {
        close(fd);
        return not_satisfiable(x, size);
    }
    if (len == 0) {
        close(fd);
        slw_buf_done(&x->res.body);
        return of_bytes(&x->res.body);
    }
    return MHD_create_response_from_fd_at_offset64((uint64_t)len, fd,
                                                   (uint64_t)first);
}

/* ---- sources ---- */

#define SOURCE_BLOCK_SIZE 65536

/* Owner: the library's answer. */
struct part {
    struct slw_http_source source;
    int64_t first;
    char id[33]; /* of the request, for the log */
};

static ssize_t
part_read(void *cls, uint64_t at, char *out, size_t most)
{
    struct part *p = cls;
    struct slw_err err;
    size_t len = 0;
    if (p->source.read(p->source.ctx, p->first + (int64_t)at, out, most, &len,
                       &err) == SLW_OK &&
        len > 0)
        return (ssize_t)len;
    slw_log(SLW_LOG_ERROR, "http.body_failed", "request=%s msg=\"%s\"", p->id,
            err.msg);
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static void
part_free(void *cls)
{
    struct part *p = cls;
    p->source.close(p->source.ctx);
    slw_free(p);
}

static struct MHD_Response *
of_source(struct net_exchange *x)
{
    int64_t first = 0, len = 0;
    const int64_t size = x->res.source.size;
    if (part_of(x, size, &first, &len) == NET_RANGE_BAD)
        return not_satisfiable(x, size);
    struct part *p = slw_alloc(sizeof *p);
    *p = (struct part){.source = x->res.source, .first = first};
    memcpy(p->id, x->req.id, sizeof p->id);
    x->res.source = (struct slw_http_source){0};
    struct MHD_Response *r = MHD_create_response_from_callback(
        (uint64_t)len, SOURCE_BLOCK_SIZE, part_read, p, part_free);
    SLW_ASSERT(r);
    return r;
}

static struct MHD_Response *
of_file(struct net_exchange *x)
{
    struct stat st;
    int fd = open(x->res.file_path, O_RDONLY | O_CLOEXEC);
    if (x->res.file_once)
        unlink(x->res.file_path);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return of_open_file(x, fd, st.st_size);
    if (fd >= 0)
        close(fd);
    struct slw_err err;
    slw_fail(&err, SLW_NOT_FOUND, "the file to be sent is not there any more");
    net_answer_error(x, &err, 0);
    return of_bytes(&x->res.body);
}

static struct MHD_Response *
response_of(struct net_exchange *x)
{
    struct slw_http_res *res = &x->res;
    struct slw_stream *stream = res->stream;
    res->stream = NULL;
    if (stream)
        return net_stream_response(stream, x->mhd);
    if (res->fixed.ptr)
        return MHD_create_response_from_buffer(
            res->fixed.len, (void *)(uintptr_t)res->fixed.ptr,
            MHD_RESPMEM_PERSISTENT);
    if (res->source.read)
        return of_source(x);
    return res->file_path ? of_file(x) : of_bytes(&res->body);
}

static void
header_put(struct MHD_Response *r, const char *name, const char *value)
{
    if (MHD_add_response_header(r, name, value) != MHD_YES)
        slw_log(SLW_LOG_WARN, "http.header_dropped", "name=%s", name);
}

void
net_answer_build(struct net_exchange *x)
{
    struct slw_http_res *res = &x->res;
    struct slw_err err;
    if (!res->file_path && !res->source.read &&
        slw_buf_check(&res->body, &err) != SLW_OK)
        net_answer_error(x, &err, 500);
    struct MHD_Response *r = response_of(x);
    SLW_ASSERT(r);
    x->status = res->status ? res->status : 200;
    if (x->status != 204 && x->status != 304)
        header_put(r, "Content-Type",
                   res->content_type ? res->content_type : JSON_TYPE);
    header_put(r, "X-Request-Id", x->req.id);
    header_put(r, "X-Content-Type-Options", "nosniff");
    /* Files are other people's bytes: opened in a browser they must not act
     * as a page of ours. */
    if (res->content_type && strcmp(res->content_type, JSON_TYPE) != 0 &&
        !has_header(res, "Content-Security-Policy"))
        header_put(r, "Content-Security-Policy",
                   "default-src 'none'; sandbox; frame-ancestors 'none'");
    for (size_t i = 0; i < res->header_count; i++)
        header_put(r, res->headers[i].name,
                   slw_arena_strz(&x->arena, res->headers[i].value));
    if (res->close || atomic_load(&x->http->closing))
        header_put(r, "Connection", "close");
    x->response = r;
}

static void
observe(const struct net_exchange *x, int status)
{
    const struct slw_http_options *opt = &x->http->opt;
    if (opt->observe)
        opt->observe(opt->app, x->req.route, status,
                     slw_mono_ns() - x->req.begin_mono_ns);
}

enum MHD_Result
net_answer_send(struct net_exchange *x)
{
    SLW_ASSERT(x->response);
    x->stage = NET_X_SENT;
    observe(x, x->status);
    enum MHD_Result rc =
        MHD_queue_response(x->mhd, (unsigned)x->status, x->response);
    MHD_destroy_response(x->response);
    x->response = NULL;
    return rc;
}

/* ---- past the library ---- */

void
net_answer_text(struct slw_buf *out, int status, const char *id,
                const char *content_type, const struct slw_http_res *res,
                struct slw_str body)
{
    slw_buf_printf(out,
                   "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n"
                   "Content-Length: %zu\r\nX-Request-Id: %s\r\n"
                   "X-Content-Type-Options: nosniff\r\n"
                   "Connection: close\r\n",
                   status, MHD_get_reason_phrase_for((unsigned)status),
                   content_type ? content_type : JSON_TYPE, body.len, id);
    for (size_t i = 0; res && i < res->header_count; i++)
        slw_buf_printf(out, "%s: %.*s\r\n", res->headers[i].name,
                       SLW_FMT(res->headers[i].value));
    slw_buf_z(out, "\r\n");
    slw_buf_str(out, body);
}

/* The library takes an answer only before or after the body.  In the middle
 * of one it is written here: the socket's send buffer is empty then, since
 * answers are sent one after the other, so a small text always fits.  Only
 * our sending side is closed; the caller goes on reading, because closing a
 * socket with unread bytes would reset the connection and could take the
 * answer with it. */
void
net_answer_send_raw(struct net_exchange *x)
{
    SLW_AUTO(slw_buf, text);
    x->status = x->res.status;
    net_answer_text(&text, x->status, x->req.id, x->res.content_type, &x->res,
                    slw_buf_view(&x->res.body));
    observe(x, x->status);
    ssize_t n =
        send(x->conn->fd, text.ptr, text.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)n; /* a client that has gone needs no answer */
    shutdown(x->conn->fd, SHUT_WR);
}
