/* net_internal.h -- shared by the files of this room only.
 *
 * The life of a request, which is the life of its `struct net_exchange`:
 *
 *   NEW --head accepted--> BODY --whole--> WORK --handler done--> DONE -> SENT
 *    |                      |   (HOT: handler runs at once, on the loop, and
 *    |                      |   may leave the answer to a thread of its choice)
 *    |                      +--too large--> LINGER (answered by hand; the rest
 *    |                                      of the body is thrown away)
 *    +--refused, small body--> DISCARD --whole--> SENT
 *
 * Owner of an exchange: its event loop; in WORK the worker that took it from
 * the queue.  libmicrohttpd's suspend and resume hand it over. */
#ifndef SLW_NET_INTERNAL_H
#define SLW_NET_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <microhttpd.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "net/http.h"
#include "net/router.h"
#include "net/strict.h"

/* The parser's memory a connection: a head up to SLW_HTTP_HEAD_SIZE_MAX must
 * fit with room to spare, so that we refuse it and not the library. */
#define NET_POOL_SIZE 24576
#define NET_QUEUE_MAX 1024
/* All bodies in memory together. */
#define NET_BODIES_SIZE_MAX ((int64_t)1 << 30)
/* A refused body up to this size is read and dropped, to keep the
 * connection. */
#define NET_DISCARD_SIZE_MAX 65536
#define NET_LINGER_MS 5000
/* Connections accepted above connection_max, only to be told so. */
#define NET_CONNECTION_RESERVE 64

/* Who may end a connection is decided by who changes its phase first: the
 * event loop that moves on, or the sweep that gives up. */
enum net_phase {
    NET_IDLE,   /* nothing of a request seen */
    NET_HEAD,   /* request line seen */
    NET_BODY,   /* body being read */
    NET_BUSY,   /* handler or answer */
    NET_LINGER, /* answered; the rest of the body is thrown away */
    NET_DEAD    /* given up by the sweep */
};

/* Owner: the list links by slw_http.conn_lock; the rest atomic. */
struct net_conn {
    struct net_conn *prev, *next;
    int fd;
    _Atomic bool kept_alive; /* has answered a request before */
    _Atomic int phase;
    _Atomic int dialect;
    _Atomic int64_t since_ns;  /* of the phase; in BODY: of the window */
    _Atomic int64_t body_size; /* bytes of body in this window */
    bool ended; /* seen by the sweep thread only: no more comes */
};

enum net_stage {
    NET_X_NEW,
    NET_X_BODY,
    NET_X_DISCARD,
    NET_X_WORK,
    NET_X_DONE,
    NET_X_SENT,
    NET_X_LINGER
};

struct net_query {
    struct slw_str key, value;
};

struct net_exchange {
    struct net_exchange *next; /* in the queue or among the spare ones */
    struct slw_http *http;
    struct MHD_Connection *mhd;
    struct net_conn *conn;
    enum net_stage stage;
    bool counted;  /* in http->in_flight */
    bool deferred; /* the answer comes by slw_http_answer() */
    bool is_head;
    struct slw_http_req req;
    struct slw_http_res res;
    struct slw_arena arena;

    struct slw_str target; /* copy of the raw target */
    const char *target_at; /* where the parser has it, for the layout check */
    struct net_framing framing;
    struct net_field fields[NET_FIELD_MAX];
    size_t field_count;
    struct net_query *query;
    size_t query_count;

    struct slw_buf body;
    int64_t body_max;
    int64_t body_held; /* counted in http->bodies_size */
    int upload_fd_plus_1;
    struct slw_hasher hasher;
    bool hashing;

    struct MHD_Response *response;
    int status;
};

/* Threads that run handlers.  Owner: lock. */
struct net_pool {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct net_exchange *first, *last;
    size_t queued, queue_max;
    int idle_count, thread_count, thread_max;
    pthread_t *threads;
    size_t deferred_count; /* suspended, and answered by other threads */
    bool closed;
};

/* An answer that goes on.  See stream.c. */
struct slw_stream {
    struct slw_http *http;
    struct slw_stream *prev, *next; /* among the open ones; by stream_lock */
    pthread_mutex_t lock;
    struct MHD_Connection *mhd; /* set before the answer is sent */
    int fd;                     /* open while the stream is in the list */
    struct slw_buf buf;         /* waiting bytes begin at `taken` */
    size_t taken;
    int holders;    /* the answer and the feeder */
    bool suspended; /* the connection waits for bytes */
    bool ended;     /* nothing is added any more */
    bool gone;      /* nothing is taken any more */
};

struct slw_http {
    struct slw_http_options opt; /* immutable, with copies of `hosts` */
    char *tmp_dir;
    char **hosts;
    char address[80];
    int listen_fd; /* the daemon's */
    char id_prefix[17];
    _Atomic uint64_t id_next;
    struct net_router *router;
    struct MHD_Daemon *daemon;
    struct net_pool pool;

    pthread_mutex_t conn_lock;
    struct net_conn *conns;
    _Atomic int conn_count;
    _Atomic int64_t in_flight;
    _Atomic int64_t bodies_size;
    pthread_mutex_t stream_lock;
    struct slw_stream *streams;
    int stream_count;
    bool streams_ended; /* no more are opened */

    _Atomic bool closing;  /* answer with Connection: close */
    _Atomic bool refusing; /* answer with 503 */

    pthread_t sweeper; /* and its end, by sweep_lock */
    pthread_mutex_t sweep_lock;
    pthread_cond_t sweep_wake;
    bool sweep_end;
    /* 408 bodies by dialect: for a head, for a body.  Immutable. */
    struct slw_buf late_body[4][2];
};

/* ---- exchange.c ---- */
struct net_exchange *net_exchange_take(struct slw_http *h);
void net_exchange_give_back(struct net_exchange *x);
/* Free the spare exchanges of the calling thread. */
void net_exchange_spares_free(void);
/* One of libmicrohttpd's calls for a request. */
enum MHD_Result net_exchange_step(struct net_exchange *x, const char *method,
                                  const char *version, const char *bytes,
                                  size_t *size);
/* Run the handler and make the answer; stage DONE. */
void net_exchange_handle(struct net_exchange *x);
bool net_phase_move(struct net_conn *c, int from, int to);

/* ---- body.c ---- */
SLW_MUST_USE enum slw_rc net_body_begin(struct net_exchange *x, int *status,
                                        struct slw_err *err);
SLW_MUST_USE enum slw_rc net_body_add(struct net_exchange *x, const char *bytes,
                                      size_t size, int *status,
                                      struct slw_err *err);
SLW_MUST_USE enum slw_rc net_body_end(struct net_exchange *x,
                                      struct slw_err *err);
/* Forget the body; remove the temporary file unless it was renamed. */
void net_body_drop(struct net_exchange *x);

/* ---- request.c ---- */
SLW_MUST_USE enum slw_rc net_query_parse(struct net_exchange *x,
                                         struct slw_str query,
                                         struct slw_err *err);
struct slw_str net_media_type(struct slw_arena *arena, struct slw_str value);

/* ---- answer.c ---- */
/* Turn x->res into an error answer.  status 0: the renderer decides. */
void net_answer_error(struct net_exchange *x, const struct slw_err *err,
                      int status);
/* Make x->response from x->res. */
void net_answer_build(struct net_exchange *x);
/* Hand the answer to the library; on the event loop. */
enum MHD_Result net_answer_send(struct net_exchange *x);
/* Write the error answer to the socket at once, past the library. */
void net_answer_send_raw(struct net_exchange *x);
/* A whole answer as bytes. */
void net_answer_text(struct slw_buf *out, int status, const char *id,
                     const char *content_type, const struct slw_http_res *res,
                     struct slw_str body);
/* The error body for a request of which we know nothing else. */
void net_render(const struct slw_http *h, enum slw_dialect dialect,
                const struct slw_err *err, struct slw_http_req *req,
                struct slw_http_res *res);

/* ---- pool.c ---- */
void net_pool_init(struct net_pool *p, int thread_max, size_t queue_max);
/* Suspend the connection and queue the exchange.  Errors BUSY */
SLW_MUST_USE enum slw_rc net_pool_submit(struct net_pool *p,
                                         struct net_exchange *x,
                                         struct slw_err *err);
/* Take nothing more, refuse what waits, wait for what runs. */
void net_pool_close(struct net_pool *p);
void net_pool_done(struct net_pool *p);

/* ---- stream.c ---- */
/* The response that reads from the stream; takes the answer's share of it. */
struct MHD_Response *net_stream_response(struct slw_stream *s,
                                         struct MHD_Connection *mhd);
/* The answer will not be sent. */
void net_stream_drop(struct slw_stream *s);
/* Close a source that no answer took over. */
void net_source_drop(struct slw_http_res *res);
/* End all streams and open no more; clients that do not take the end are
 * cut off.  Takes half a second at most. */
void net_streams_end(struct slw_http *h);

/* ---- host.c ---- */
/* Is this a name or address by which we are known?  host as in the header,
 * with or without port. */
bool net_host_known(const struct slw_http *h, struct slw_str host);
/* Is the Origin that of a page from `host`? */
bool net_origin_same(struct slw_str origin, struct slw_str host);
/* Errors DENIED with *status 421 or 403 */
SLW_MUST_USE enum slw_rc net_host_check(struct net_exchange *x, int *status,
                                        struct slw_err *err);

/* ---- sweep.c ---- */
SLW_MUST_USE enum slw_rc net_sweep_start(struct slw_http *h,
                                         struct slw_err *err);
void net_sweep_stop(struct slw_http *h);

/* ---- listen.c ---- */
SLW_MUST_USE enum slw_rc net_listen(const char *listen, int *out_fd,
                                    char address[static 80],
                                    struct slw_err *err);

/* ---- range.c ---- */
enum net_range { NET_RANGE_NONE, NET_RANGE_PART, NET_RANGE_BAD };
/* One byte range of a body of `size` bytes; several ranges, other units and
 * malformed headers count as none (RFC 9110 section 14.2). */
enum net_range net_range_parse(struct slw_str value, int64_t size,
                               int64_t *out_first, int64_t *out_len);

#endif
