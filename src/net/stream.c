/* stream.c -- answers that go on: server-sent events.
 *
 * libmicrohttpd asks for more bytes on the event loop, when the socket can
 * take them.  When none wait here, the connection is suspended inside that
 * question and resumed by whoever pushes the next bytes; so an open stream
 * costs a connection and a buffer, and no thread.
 *
 * A stream has two holders, its answer (in the library) and its feeder, and is
 * freed by the later one.  The connection is touched only while `suspended`:
 * the library closes none that is, so it is there.  On stop every stream is
 * ended, because the library must not be stopped with a suspended connection;
 * after that none is suspended again.
 *
 * Lock order: slw_http.stream_lock, a stream's lock, the library's own. */
#include <sys/socket.h>

#include "net/net_internal.h"

#define STOP_MS 500
#define BLOCK_SIZE 8192
#define COMPACT_SIZE 65536 /* taken bytes that are kept before moving */

static void
unlink_open(struct slw_stream *s)
{
    struct slw_http *h = s->http;
    pthread_mutex_lock(&h->stream_lock);
    if (s->prev)
        s->prev->next = s->next;
    else
        h->streams = s->next;
    if (s->next)
        s->next->prev = s->prev;
    h->stream_count--;
    pthread_mutex_unlock(&h->stream_lock);
}

/* One holder less; with the lock held, which is given up. */
static void
let_go(struct slw_stream *s)
{
    bool last = --s->holders == 0;
    pthread_mutex_unlock(&s->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&s->lock);
    slw_buf_done(&s->buf);
    slw_free(s);
}

/* With the lock held. */
static void
wake(struct slw_stream *s)
{
    if (!s->suspended)
        return;
    s->suspended = false;
    MHD_resume_connection(s->mhd);
}

/* ---- the answer's side ---- */

static ssize_t
take(void *cls, uint64_t at, char *out, size_t most)
{
    struct slw_stream *s = cls;
    (void)at;
    pthread_mutex_lock(&s->lock);
    size_t n = s->buf.len - s->taken;
    n = n < most ? n : most;
    ssize_t got = (ssize_t)n;
    if (n) {
        memcpy(out, s->buf.ptr + s->taken, n);
        s->taken += n;
        if (s->taken == s->buf.len) {
            slw_buf_clear(&s->buf);
            s->taken = 0;
        }
    } else if (s->ended) {
        got = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        s->suspended = true;
        MHD_suspend_connection(s->mhd);
    }
    pthread_mutex_unlock(&s->lock);
    return got;
}

static void
answer_ends(void *cls)
{
    struct slw_stream *s = cls;
    unlink_open(s);
    pthread_mutex_lock(&s->lock);
    SLW_ASSERT(!s->suspended);
    s->gone = true;
    let_go(s);
}

struct MHD_Response *
net_stream_response(struct slw_stream *s, struct MHD_Connection *mhd)
{
    s->mhd = mhd;
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, take,
                                             s, answer_ends);
}

void
net_stream_drop(struct slw_stream *s)
{
    if (s)
        answer_ends(s);
}

static bool
all_closed(struct slw_http *h)
{
    pthread_mutex_lock(&h->stream_lock);
    bool none = h->stream_count == 0;
    pthread_mutex_unlock(&h->stream_lock);
    return none;
}

void
net_streams_end(struct slw_http *h)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    int64_t until = slw_mono_ns() + (int64_t)STOP_MS * 1000000;
    pthread_mutex_lock(&h->stream_lock);
    h->streams_ended = true;
    for (struct slw_stream *s = h->streams; s; s = s->next) {
        pthread_mutex_lock(&s->lock);
        s->ended = true;
        slw_buf_clear(&s->buf); /* what waits is not waited for */
        s->taken = 0;
        wake(s);
        pthread_mutex_unlock(&s->lock);
    }
    pthread_mutex_unlock(&h->stream_lock);
    while (!all_closed(h) && slw_mono_ns() < until)
        nanosleep(&pause, NULL);
    pthread_mutex_lock(&h->stream_lock);
    for (struct slw_stream *s = h->streams; s; s = s->next)
        shutdown(s->fd, SHUT_RDWR);
    pthread_mutex_unlock(&h->stream_lock);
}

/* ---- the feeder's side ---- */

enum slw_rc
slw_stream_open(struct slw_http_req *req, struct slw_http_res *res,
                struct slw_stream **out, struct slw_err *err)
{
    struct net_exchange *x = req->conn;
    struct slw_http *h = x->http;
    SLW_ASSERT(!res->stream);
    pthread_mutex_lock(&h->stream_lock);
    bool ended = h->streams_ended;
    bool full = h->stream_count >= h->opt.stream_max;
    if (!ended && !full) {
        struct slw_stream *s = slw_alloc(sizeof *s);
        *s = (struct slw_stream){
            .http = h, .next = h->streams, .holders = 2, .fd = x->conn->fd};
        pthread_mutex_init(&s->lock, NULL);
        slw_buf_init(&s->buf, SLW_STREAM_SIZE_MAX + COMPACT_SIZE);
        if (h->streams)
            h->streams->prev = s;
        h->streams = s;
        h->stream_count++;
        res->stream = s;
        *out = s;
    }
    pthread_mutex_unlock(&h->stream_lock);
    if (ended)
        return slw_fail(err, SLW_BUSY, "the server is stopping");
    if (full)
        return slw_fail(err, SLW_BUSY,
                        "%d streams are open already, which is as many as "
                        "there may be",
                        h->opt.stream_max);
    return SLW_OK;
}

bool
slw_stream_push(struct slw_stream *s, struct slw_str bytes)
{
    pthread_mutex_lock(&s->lock);
    size_t waiting = s->buf.len - s->taken;
    bool ok =
        !s->ended && !s->gone && bytes.len <= SLW_STREAM_SIZE_MAX - waiting;
    if (ok && s->taken > COMPACT_SIZE - 1) {
        memmove(s->buf.ptr, s->buf.ptr + s->taken, waiting);
        s->buf.len = waiting;
        s->taken = 0;
    }
    if (ok && bytes.len) {
        slw_buf_str(&s->buf, bytes);
        wake(s);
    }
    pthread_mutex_unlock(&s->lock);
    return ok;
}

size_t
slw_stream_waiting(struct slw_stream *s)
{
    pthread_mutex_lock(&s->lock);
    size_t n = s->buf.len - s->taken;
    pthread_mutex_unlock(&s->lock);
    return n;
}

bool
slw_stream_gone(struct slw_stream *s)
{
    pthread_mutex_lock(&s->lock);
    bool gone = s->gone || s->ended;
    pthread_mutex_unlock(&s->lock);
    return gone;
}

void
slw_stream_end(struct slw_stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->ended = true;
    wake(s);
    pthread_mutex_unlock(&s->lock);
}

void
slw_stream_close(struct slw_stream *s)
{
    if (!s)
        return;
    slw_stream_end(s);
    pthread_mutex_lock(&s->lock);
    let_go(s);
}
