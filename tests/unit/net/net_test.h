/* net_test.h -- what the server's tests share: a server on a free port with
 * routes for every case, and a client of raw bytes.
 *
 * Raw, because the point is what a well-behaved client would never send. */
#ifndef SLW_NET_TEST_H
#define SLW_NET_TEST_H

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "net/client.h"
#include "net/http.h"
#include "tests/slw_test.h"

#define WAIT_MS 10000

/* What handlers leave for the test to see. */
static atomic_int slow_begun, slow_may_end, handled, observed, denied;
static char test_dir[256];

static inline void
pause_ms(int ms)
{
    struct timespec ts = {ms / 1000, (ms % 1000) * 1000000L};
    nanosleep(&ts, NULL);
}

/* Poll until true, at most WAIT_MS. */
#define wait_for(cond)                                                         \
    do {                                                                       \
        int64_t until_ = slw_mono_ns() + WAIT_MS * (int64_t)1000000;           \
        while (!(cond) && slw_mono_ns() < until_)                              \
            pause_ms(2);                                                       \
        assert_true(cond);                                                     \
    } while (0)

/* ---- handlers ---- */

static inline enum slw_rc
do_hello(struct slw_http_req *req, struct slw_http_res *res,
         struct slw_err *err)
{
    atomic_fetch_add(&handled, 1);
    res->content_type = "text/plain";
    slw_buf_z(&res->body, "hello");
    return SLW_OK;
}

static inline enum slw_rc
do_echo(struct slw_http_req *req, struct slw_http_res *res, struct slw_err *err)
{
    struct slw_str key, value;
    atomic_fetch_add(&handled, 1);
    slw_buf_printf(&res->body, "%s|%.*s|%.*s|%.*s", req->method,
                   SLW_FMT(req->path), SLW_FMT(req->content_type),
                   SLW_FMT(req->body));
    for (size_t i = 0; slw_http_query_at(req, i, &key, &value); i++)
        slw_buf_printf(&res->body, "|%.*s=%.*s", SLW_FMT(key), SLW_FMT(value));
    return SLW_OK;
}

static inline enum slw_rc
do_var(struct slw_http_req *req, struct slw_http_res *res, struct slw_err *err)
{
    struct slw_str id = slw_http_var(req, "id");
    slw_buf_printf(&res->body, "id=%.*s", SLW_FMT(id));
    return SLW_OK;
}

static inline enum slw_rc
do_tail(struct slw_http_req *req, struct slw_http_res *res, struct slw_err *err)
{
    struct slw_str run = slw_http_var(req, "run");
    struct slw_str path = slw_http_var(req, "path");
    slw_buf_printf(&res->body, "run=%.*s path=%.*s", SLW_FMT(run),
                   SLW_FMT(path));
    return SLW_OK;
}

static inline enum slw_rc
do_number(struct slw_http_req *req, struct slw_http_res *res,
          struct slw_err *err)
{
    int64_t n;
    TRY(slw_http_query_i64(req, "n", 7, &n, err));
    slw_buf_i64(&res->body, n);
    return SLW_OK;
}

static inline enum slw_rc
do_slow(struct slw_http_req *req, struct slw_http_res *res, struct slw_err *err)
{
    atomic_fetch_add(&slow_begun, 1);
    int64_t until = slw_mono_ns() + WAIT_MS * (int64_t)1000000;
    while (!atomic_load(&slow_may_end) && slw_mono_ns() < until)
        pause_ms(1);
    slw_buf_printf(&res->body, "slow done closing=%d", slw_http_closing(req));
    return SLW_OK;
}

static inline enum slw_rc
do_upload(struct slw_http_req *req, struct slw_http_res *res,
          struct slw_err *err)
{
    int64_t size = -1;
    TRY(slw_file_size(req->upload_path, &size, err));
    slw_buf_printf(&res->body, "%lld %lld %s", (long long)req->upload_size,
                   (long long)size, req->upload_sha256);
    if (slw_http_query(req, "keep").ptr) {
        const char *kept = slw_path(req->arena, req->app, "kept");
        TRY(slw_file_commit(req->upload_path, kept, err));
    }
    return SLW_OK;
}

static inline enum slw_rc
do_file(struct slw_http_req *req, struct slw_http_res *res, struct slw_err *err)
{
    res->content_type = "application/octet-stream";
    res->file_path = slw_path(req->arena, req->app, "served");
    slw_http_header_add(res, "ETag", SLW_STR("\"v1\""));
    return SLW_OK;
}

static inline enum slw_rc
do_fail(struct slw_http_req *req, struct slw_http_res *res, struct slw_err *err)
{
    slw_buf_z(&res->body, "half an answer");
    return slw_fail(err, SLW_CONFLICT, "the state \"x\" does not allow it");
}

static const struct slw_route ROUTES[] = {
    {"GET", "/hello", do_hello, SLW_ROUTE_HOT, SLW_NATIVE, 0, "hello"},
    {"POST", "/echo", do_echo, 0, SLW_NATIVE, 1000, "echo"},
    {"GET", "/echo", do_echo, 0, SLW_NATIVE, 1000, "echo_get"},
    {"DELETE", "/echo", do_echo, 0, SLW_NATIVE, 1000, "echo_delete"},
    {"POST", "/hot/echo", do_echo, SLW_ROUTE_HOT, SLW_NATIVE, 100000, "hot"},
    {"POST", "/big", do_hello, 0, SLW_NATIVE, 0, "big"},
    {"GET", "/things/{id}", do_var, 0, SLW_NATIVE, 0, "thing"},
    {"GET", "/things/search", do_hello, 0, SLW_NATIVE, 0, "things_search"},
    {"GET", "/things/{id}/parts", do_var, 0, SLW_NATIVE, 0, "parts"},
    {"GET", "/runs/{run}/files/{path}", do_tail, SLW_ROUTE_TAIL, SLW_NATIVE, 0,
     "tail"},
    {"GET", "/number", do_number, 0, SLW_NATIVE, 0, "number"},
    {"GET", "/slow", do_slow, 0, SLW_NATIVE, 0, "slow"},
    {"GET", "/fail", do_fail, 0, SLW_NATIVE, 0, "fail"},
    {"POST", "/api/2.0/mlflow/x", do_hello, 0, SLW_MLFLOW, 10, "mlflow_x"},
    {"PUT", "/upload", do_upload, SLW_ROUTE_UPLOAD, SLW_NATIVE, 0, "upload"},
    {"PUT", "/upload/small", do_upload, SLW_ROUTE_UPLOAD, SLW_NATIVE, 1000,
     "upload_small"},
    {"GET", "/file", do_file, 0, SLW_NATIVE, 0, "file"},
    {"GET", "/secret", do_hello, 0, SLW_PLAIN, 0, "secret"},
};

static inline void
render_test_error(enum slw_dialect dialect, const struct slw_err *err,
                  struct slw_http_req *req, struct slw_http_res *res)
{
    slw_buf_printf(&res->body,
                   "{\"dialect\":%d,\"code\":\"%s\",\"say\":\"%s\"}",
                   (int)dialect, slw_rc_name(err->rc), err->msg);
    if (!res->status)
        res->status = err->rc == SLW_CONFLICT  ? 409
                      : err->rc == SLW_DENIED  ? 403
                      : err->rc == SLW_INVALID ? 400
                      : err->rc == SLW_BUSY    ? 503
                                               : 500;
}

static inline void
note_answer(void *app, const struct slw_route *route, int status,
            int64_t duration_ns)
{
    if (duration_ns >= 0 && status >= 200)
        atomic_fetch_add(&observed, 1);
}

static inline enum slw_rc
authorize_test(struct slw_http_req *req, struct slw_err *err)
{
    if (!slw_str_eqz(slw_str_of(req->route->name), "secret"))
        return SLW_OK;
    atomic_fetch_add(&denied, 1);
    return slw_fail(err, SLW_DENIED, "not for you");
}

static inline struct slw_http_options
test_options(void)
{
    if (!test_dir[0])
        slw_test_dir(test_dir);
    atomic_store(&slow_begun, 0);
    atomic_store(&slow_may_end, 0);
    atomic_store(&handled, 0);
    atomic_store(&observed, 0);
    return (struct slw_http_options){.listen = "127.0.0.1:0",
                                     .routes = ROUTES,
                                     .route_count = ARRAY_LEN(ROUTES),
                                     .app = test_dir,
                                     .tmp_dir = test_dir,
                                     .loop_count = 2,
                                     .render_error = render_test_error,
                                     .observe = note_answer,
                                     .authorize = authorize_test};
}

static inline struct slw_http *
server_start(const struct slw_http_options *opt)
{
    struct slw_http *h = NULL;
    struct slw_err err;
    assert_ok(slw_http_start(&h, opt, &err), err);
    return h;
}

/* ---- raw client ---- */

static inline int
port_of(const struct slw_http *h)
{
    const char *colon = strrchr(slw_http_address(h), ':');
    int64_t port = 0;
    struct slw_err err;
    assert_ok(slw_str_i64(slw_str_of(colon + 1), &port, &err), err);
    return (int)port;
}

static inline int
raw_connect(const struct slw_http *h)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port_of(h))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static inline void
raw_send(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* the answer tells */
        bytes += n;
        len -= (size_t)n;
    }
}

static inline void
raw_sendz(int fd, const char *z)
{
    raw_send(fd, z, strlen(z));
}

/* Read what there is for at most WAIT_MS; false at the end. */
static inline bool
raw_read(int fd, struct slw_buf *in)
{
    char bytes[4096];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, WAIT_MS) <= 0)
        fail_msg("no answer within %d ms; so far: %s", WAIT_MS,
                 in->len ? in->ptr : "");
    ssize_t n = recv(fd, bytes, sizeof bytes, 0);
    if (n <= 0)
        return false;
    slw_buf_add(in, bytes, (size_t)n);
    return true;
}

/* Everything until the other side closes. */
static inline void
raw_read_all(int fd, struct slw_buf *in)
{
    while (raw_read(fd, in))
        ;
}

static inline size_t
count_of(const struct slw_buf *b, const char *text)
{
    size_t n = 0;
    for (const char *p = b->len ? strstr(b->ptr, text) : NULL; p;
         p = strstr(p + 1, text))
        n++;
    return n;
}

/* One whole answer (by its Content-Length), the rest stays in *in. */
static inline void
raw_read_one(int fd, struct slw_buf *in, struct slw_buf *one)
{
    for (;;) {
        const char *end = in->len ? strstr(in->ptr, "\r\n\r\n") : NULL;
        const char *len = end ? strstr(in->ptr, "Content-Length: ") : NULL;
        if (end && len && len < end) {
            size_t size = (size_t)(end + 4 - in->ptr) +
                          (size_t)strtoul(len + 16, NULL, 10);
            if (in->len >= size) {
                slw_buf_clear(one);
                slw_buf_add(one, in->ptr, size);
                SLW_AUTO(slw_buf, rest);
                slw_buf_add(&rest, in->ptr + size, in->len - size);
                slw_buf_clear(in);
                slw_buf_add(in, rest.ptr ? rest.ptr : "", rest.len);
                return;
            }
        }
        if (!raw_read(fd, in))
            fail_msg("closed too early: %s", in->len ? in->ptr : "");
    }
}

/* Send bytes on a new connection; the whole answer until close. */
static inline void
raw_ask(const struct slw_http *h, const char *bytes, size_t len,
        struct slw_buf *answer)
{
    int fd = raw_connect(h);
    raw_send(fd, bytes, len);
    raw_read_all(fd, answer);
    close(fd);
}

#define assert_has(buf, text)                                                  \
    do {                                                                       \
        if (!(buf)->len || !strstr((buf)->ptr, (text)))                        \
            fail_msg("'%s' is not in: %s", (text),                             \
                     (buf)->len ? (buf)->ptr : "");                            \
    } while (0)
#define assert_has_not(buf, text)                                              \
    do {                                                                       \
        if ((buf)->len && strstr((buf)->ptr, (text)))                          \
            fail_msg("'%s' is in: %s", (text), (buf)->ptr);                    \
    } while (0)

/* Files left in the temporary folder. */
static inline enum slw_rc
count_upload(void *ctx, const char *path, const char *name, bool is_dir,
             struct slw_err *err)
{
    *(int *)ctx += strstr(name, "upload-") != NULL;
    return SLW_OK;
}

static inline int
upload_files(void)
{
    int n = 0;
    struct slw_err err;
    assert_ok(slw_dir_each(test_dir, count_upload, &n, &err), err);
    return n;
}

#endif
