/* sweep.c -- deadlines the library does not have.
 *
 * libmicrohttpd's timeout is idle time: a client that sends a byte now and
 * then holds its connection for ever.  One thread looks at all connections
 * each second and ends heads that are too old, bodies that come too slowly
 * and refused clients that do not go.  It says so with 408 and shuts the
 * socket down; the event loop then sees the end of the connection and cleans
 * up, so nothing is freed here.
 *
 * Whoever changes a connection's phase first owns what happens next, so no
 * 408 is written into another answer.  The socket stays open while the list
 * lock is held, because the library closes it after telling us. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/rng.h"
#include "net/net_internal.h"

#define NS_PER_MS ((int64_t)1000000)

/* Has anything arrived on a connection that never had a request? */
static bool
has_sent(const struct net_conn *c)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    memset(&info, 0, sizeof info);
    if (getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return false;
    return info.tcpi_bytes_received > 0;
}

/* The end of the connection has stood next in line since the last look, so
 * what was begun can never be whole.  The library does not see it when it came
 * together with the last bytes: edge-triggered epoll has told of both at once,
 * and it read once.  Two looks, because between the last byte and the next
 * phase there is a moment. */
static bool
peer_gone(struct net_conn *c)
{
    char byte;
    bool before = c->ended;
    c->ended = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
    return before && c->ended;
}

static void
end_late(struct slw_http *h, struct net_conn *c, int phase, bool say)
{
    struct slw_http_res res = {0};
    int which = phase == NET_BODY;
    int dialect = which ? atomic_load(&c->dialect) : SLW_NATIVE;
    if (!net_phase_move(c, phase, NET_DEAD))
        return;
    if (say) {
        SLW_AUTO(slw_buf, text);
        char id[33];
        slw_random_hex32(id);
        net_answer_text(&text, 408, id, NULL, &res,
                        slw_buf_view(&h->late_body[dialect][which]));
        ssize_t n =
            send(c->fd, text.ptr, text.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)n;
    }
    shutdown(c->fd, SHUT_RDWR);
}

static void
look_at(struct slw_http *h, struct net_conn *c, int64_t now)
{
    const struct slw_http_options *opt = &h->opt;
    int64_t age_ms = (now - atomic_load(&c->since_ns)) / NS_PER_MS;
    int64_t need;
    int phase = atomic_load(&c->phase);
    switch (phase) {
    case NET_IDLE:
        if (!atomic_load(&c->kept_alive) && age_ms > opt->head_timeout_ms)
            end_late(h, c, phase, has_sent(c));
        else if (age_ms > opt->idle_timeout_ms + opt->head_timeout_ms)
            end_late(h, c, phase, false);
        break;
    case NET_HEAD:
        if (age_ms > opt->head_timeout_ms || peer_gone(c))
            end_late(h, c, phase, true);
        break;
    case NET_BODY:
        if (peer_gone(c)) {
            end_late(h, c, phase, true);
            break;
        }
        if (age_ms <= opt->head_timeout_ms)
            break;
        need = opt->body_min_rate * age_ms / 1000;
        if (atomic_exchange(&c->body_size, 0) < need)
            end_late(h, c, phase, true);
        else
            atomic_store(&c->since_ns, now); /* the next window */
        break;
    case NET_LINGER:
        if (age_ms > NET_LINGER_MS)
            end_late(h, c, phase, false);
        break;
    default:
        break;
    }
}

static void *
sweep_main(void *arg)
{
    struct slw_http *h = arg;
    int64_t pause_ms = h->opt.head_timeout_ms / 4;
    pause_ms = pause_ms > 1000 ? 1000 : pause_ms < 20 ? 20 : pause_ms;
    pthread_mutex_lock(&h->sweep_lock);
    while (!h->sweep_end) {
        int64_t until = slw_mono_ns() + pause_ms * NS_PER_MS;
        struct timespec ts = {.tv_sec = until / 1000000000,
                              .tv_nsec = until % 1000000000};
        pthread_cond_timedwait(&h->sweep_wake, &h->sweep_lock, &ts);
        pthread_mutex_unlock(&h->sweep_lock);
        pthread_mutex_lock(&h->conn_lock);
        int64_t now = slw_mono_ns();
        for (struct net_conn *c = h->conns; c; c = c->next)
            look_at(h, c, now);
        pthread_mutex_unlock(&h->conn_lock);
        pthread_mutex_lock(&h->sweep_lock);
    }
    pthread_mutex_unlock(&h->sweep_lock);
    return NULL;
}

/* The two sentences, in each dialect, made once. */
static void
late_bodies_make(struct slw_http *h)
{
    for (int dialect = 0; dialect < 4; dialect++)
        for (int which = 0; which < 2; which++) {
            struct net_exchange *x = net_exchange_take(h);
            struct slw_err err;
            slw_fail(&err, SLW_TIMEOUT,
                     which ? "the request body came too slowly"
                           : "the request head was not complete in time");
            x->res.status = 408;
            net_render(h, (enum slw_dialect)dialect, &err, &x->req, &x->res);
            h->late_body[dialect][which] = x->res.body;
            x->res.body = (struct slw_buf){0};
            net_exchange_give_back(x);
        }
}

static void
sweep_free(struct slw_http *h)
{
    pthread_cond_destroy(&h->sweep_wake);
    pthread_mutex_destroy(&h->sweep_lock);
    for (int dialect = 0; dialect < 4; dialect++)
        for (int which = 0; which < 2; which++)
            slw_buf_done(&h->late_body[dialect][which]);
}

enum slw_rc
net_sweep_start(struct slw_http *h, struct slw_err *err)
{
    pthread_condattr_t attr;
    late_bodies_make(h);
    pthread_mutex_init(&h->sweep_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&h->sweep_wake, &attr);
    pthread_condattr_destroy(&attr);
    int rc = pthread_create(&h->sweeper, NULL, sweep_main, h);
    if (rc == 0)
        return SLW_OK;
    sweep_free(h);
    return slw_fail(err, SLW_IO, "cannot start a thread: %s", strerror(rc));
}

void
net_sweep_stop(struct slw_http *h)
{
    pthread_mutex_lock(&h->sweep_lock);
    h->sweep_end = true;
    pthread_cond_signal(&h->sweep_wake);
    pthread_mutex_unlock(&h->sweep_lock);
    pthread_join(h->sweeper, NULL);
    sweep_free(h);
}
