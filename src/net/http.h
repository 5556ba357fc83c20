/* http.h -- HTTP in: libmicrohttpd behind handlers that see bytes in and
 * bytes out, and never its types.
 *
 * Where a handler runs is said by its route: HOT handlers run on the event
 * loop and must not wait; all others run on a pool of worker threads while
 * the connection is suspended, so they may wait for the disk, a job or a
 * child in plain straight code. */
#ifndef SLW_NET_HTTP_H
#define SLW_NET_HTTP_H

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"

#define SLW_HTTP_HEAD_SIZE_MAX 16384
#define SLW_HTTP_BODY_SIZE_MAX ((size_t)32 << 20) /* routes may say less */
#define SLW_HTTP_UPLOAD_SIZE_MAX ((int64_t)64 << 30)
#define SLW_HTTP_VAR_MAX 8
#define SLW_HTTP_HEADER_MAX 16

struct slw_http_req {
    const char *method;      /* "GET"; HEAD comes as GET */
    struct slw_str path;     /* raw, as sent */
    struct slw_str body;     /* bytes; empty for uploads */
    const char *upload_path; /* route flag UPLOAD: finished temporary file,
                                removed after the answer unless renamed */
    int64_t upload_size;
    char upload_sha256[65];
    struct slw_str content_type; /* without parameters, lower case; may be "" */
    struct slw_str vars[SLW_HTTP_VAR_MAX]; /* {name} parts, decoded */
    const struct slw_route *route;
    char id[33]; /* our request id, sent as X-Request-Id */
    int64_t begin_mono_ns;
    struct slw_arena *arena; /* dies with the request */
    void *app;               /* slw_http_options.app */
    bool is_unknown;         /* set by `authorize` with DENIED: the answer
                                is 401 (who are you?), not 403 */
    void *conn;              /* private */
};

struct slw_http_header {
    const char *name;
    struct slw_str value;
};
/* A body of known size that is read while it is sent; range requests are
 * answered as for files.  `read` runs on the event loop: a short look at the
 * disk, not more.  Owner: the answer; `close` is called once, on any thread.
 * In   at: where to read, most: room in `out`
 * Out  how much was read, at least 1.  Errors cut the connection. */
struct slw_http_source {
    int64_t size;
    enum slw_rc (*read)(void *ctx, int64_t at, char *out, size_t most,
                        size_t *out_len, struct slw_err *err);
    void (*close)(void *ctx);
    void *ctx;
};
struct slw_http_res {
    int status;               /* 0 is sent as 200 */
    const char *content_type; /* static; default application/json */
    struct slw_buf body;
    struct slw_str fixed;      /* non-NULL: these bytes, of static life, are
                                  the body and are not copied */
    struct slw_stream *stream; /* set by slw_stream_open() */
    const char *file_path;     /* non-NULL: this file is the body (arena), with
                                  range requests answered */
    bool file_once;            /* remove that file once it is open */
    struct slw_http_source source; /* .read non-NULL: this is the body */
    bool close;                    /* Connection: close */
    struct slw_http_header headers[SLW_HTTP_HEADER_MAX];
    size_t header_count;
};
/* The status that fits a failure, where nothing more is known. */
int slw_http_status_of(enum slw_rc rc);
/* Values are views into the request's arena or static text.  Of a header
 * added twice the later one is sent too; more than SLW_HTTP_HEADER_MAX are
 * asserted. */
void slw_http_header_add(struct slw_http_res *res, const char *name,
                         struct slw_str value);

/* A failure is rendered by the dialect of the route. */
typedef enum slw_rc (*slw_http_fn)(struct slw_http_req *req,
                                   struct slw_http_res *res,
                                   struct slw_err *err);

enum slw_route_flag {
    SLW_ROUTE_HOT = 1,     /* runs on the event loop */
    SLW_ROUTE_UPLOAD = 2,  /* body goes to a temporary file */
    SLW_ROUTE_TAIL = 4,    /* last variable takes the rest, slashes included */
    SLW_ROUTE_LOCAL = 8,   /* exempt from the Host check (health) */
    SLW_ROUTE_PUBLIC = 16, /* for `authorize`: needs no token (the page) */
    SLW_ROUTE_DRY = 32,    /* for `authorize`: takes ?dry_run=true */
};
enum slw_dialect { SLW_NATIVE, SLW_MLFLOW, SLW_V2, SLW_PLAIN };

/* One endpoint; the table is generated from api/routes/ *.json. */
struct slw_route {
    const char *method;
    const char *path; /* "/api/v1/jobs/{id}" */
    slw_http_fn fn;
    unsigned flags;
    enum slw_dialect dialect;
    size_t body_max;  /* bytes; 0: SLW_HTTP_BODY_SIZE_MAX */
    const char *name; /* "jobs_get": metrics and logs */
};

struct slw_http_options {
    const char *listen; /* "127.0.0.1:8080", port 0 picks a free one */
    const struct slw_route *routes;
    size_t route_count;
    void *app;
    int loop_count;          /* event loops; 0: cores, at most 4 */
    int worker_count;        /* 0: 16 */
    int queue_max;           /* requests waiting for a worker; 0: 1024 */
    int connection_max;      /* 0: 4096 */
    int64_t head_timeout_ms; /* 0: 10 s for a whole head */
    int64_t idle_timeout_ms; /* 0: 60 s */
    int64_t body_min_rate;   /* bytes/s a body keeps up over 10 s; 0: 512 */
    int stream_max;          /* open streams; 0: 64 */
    const char *tmp_dir;     /* for uploads */
    /* Refuse requests whose Host is not ours and state-changing ones that a
     * browser sends for a page of others; see host.c.  hosts: further names
     * by which clients know this server. */
    bool check_host;
    const char *const *hosts;
    size_t host_count;
    /* Writes the body of an error answer and its status.  A status that is
     * already set (404, 405, 413, ...) is the transport's and stays.
     * req->route is NULL when none was found.  Must not wait.  NULL: a plain
     * native form. */
    void (*render_error)(enum slw_dialect dialect, const struct slw_err *err,
                         struct slw_http_req *req, struct slw_http_res *res);
    /* Route of a GET at a path that no route has, or NULL for 404; on the
     * event loop.  req has path and headers.  May be NULL. */
    const struct slw_route *(*fallback)(struct slw_http_req *req);
    /* Called for each answered request, just before it is sent; route is NULL
     * when none was found; must not wait.  May be NULL. */
    void (*observe)(void *app, const struct slw_route *route, int status,
                    int64_t duration_ns);
    /* Access control, with the route found and before the body is read; on
     * the event loop, so it must not wait.  May be NULL. */
    enum slw_rc (*authorize)(struct slw_http_req *req, struct slw_err *err);
};

struct slw_http; /* Owner: its own threads */
/* Errors BUSY: the port is in use (the sentence names it); INVALID: bad
 * address; IO. */
SLW_MUST_USE enum slw_rc slw_http_start(struct slw_http **out,
                                        const struct slw_http_options *opt,
                                        struct slw_err *err);
/* "127.0.0.1:41234": what it really listens on. */
const char *slw_http_address(const struct slw_http *h);
/* Stop listening, let requests in flight finish (at most drain_ms), end. */
void slw_http_stop(struct slw_http *h, int64_t drain_ms);

/* ---- what handlers ask of a request ---- */
/* Variable of the path by name ("{id}" is "id"); asserts that the route has
 * it. */
struct slw_str slw_http_var(const struct slw_http_req *req, const char *name);
/* First query parameter of that name, decoded; empty view with ptr NULL when
 * absent. */
struct slw_str slw_http_query(const struct slw_http_req *req, const char *name);
/* Visit all of them (repeated keys too): index from 0; false at the end. */
bool slw_http_query_at(const struct slw_http_req *req, size_t index,
                       struct slw_str *out_key, struct slw_str *out_value);
/* Query parameter as a number; absent gives dflt.  Errors INVALID. */
SLW_MUST_USE enum slw_rc slw_http_query_i64(const struct slw_http_req *req,
                                            const char *name, int64_t dflt,
                                            int64_t *out, struct slw_err *err);
/* Request header, case-insensitive; ptr NULL when absent. */
struct slw_str slw_http_head(const struct slw_http_req *req, const char *name);
/* In a HOT handler: the answer comes later, from another thread.  From the
 * moment the request was handed to that thread it and its answer are that
 * thread's; the handler returns SLW_OK at once and touches neither.
 * Errors BUSY: the server is stopping */
SLW_MUST_USE enum slw_rc slw_http_defer(struct slw_http_req *req,
                                        struct slw_err *err);
/* Ends what slw_http_defer() began, from any thread: answers with what stands
 * in `res`, or with the error when rc is not SLW_OK. */
void slw_http_answer(struct slw_http_req *req, enum slw_rc rc,
                     const struct slw_err *err);
/* The answer that belongs to a request, to be filled before
 * slw_http_answer(). */
struct slw_http_res *slw_http_res_of(struct slw_http_req *req);

/* True once slw_http_stop() was called: a handler that waits for something
 * looks at this now and then and ends early. */
bool slw_http_closing(const struct slw_http_req *req);

/* ---- answers that go on (server-sent events) ---- */
/* One open answer.  Bytes that are pushed wait here until the client takes
 * them; no thread is held meanwhile.  Owner: shared by its event loop and the
 * one thread that feeds it. */
struct slw_stream;
#define SLW_STREAM_SIZE_MAX ((size_t)256 << 10) /* bytes that may wait */
/* In a handler, as its last step: the answer of this request is a stream.  The
 * feeder gives its reference back by slw_stream_close().
 * Errors BUSY: as many streams as there may be, or the server is stopping */
SLW_MUST_USE enum slw_rc slw_stream_open(struct slw_http_req *req,
                                         struct slw_http_res *res,
                                         struct slw_stream **out,
                                         struct slw_err *err);
/* All of it or nothing: false when it does not fit or the client has gone. */
bool slw_stream_push(struct slw_stream *s, struct slw_str bytes);
/* Bytes not taken yet. */
size_t slw_stream_waiting(struct slw_stream *s);
/* The client has gone or the server is stopping: nothing more is taken. */
bool slw_stream_gone(struct slw_stream *s);
/* End the answer behind what waits; the feeder keeps its reference. */
void slw_stream_end(struct slw_stream *s);
/* The same, and give the reference back; accepts NULL. */
void slw_stream_close(struct slw_stream *s);

#endif
