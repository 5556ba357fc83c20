/* server.c -- the HTTP server as a whole: start, connections, stop.
 *
 * Event loops of libmicrohttpd accept and parse; what a request goes through
 * is in exchange.c.  Ending is the delicate part: the library aborts the
 * process when it is stopped with a suspended connection, and drops answers
 * that are not sent yet.  So slw_http_stop() goes from the outside in: no more
 * streams, no new connections, no kept-alive ones, wait for what is in flight,
 * close the pool, and only then stop the loops. */
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/rng.h"
#include "net/net_internal.h"

#define LOOP_COUNT_MAX 4
#define LOOP_STACK_SIZE ((size_t)1 << 20)

/* ---- what the library calls ---- */

static void
conn_link(struct slw_http *h, struct net_conn *c)
{
    pthread_mutex_lock(&h->conn_lock);
    c->next = h->conns;
    if (h->conns)
        h->conns->prev = c;
    h->conns = c;
    pthread_mutex_unlock(&h->conn_lock);
    atomic_fetch_add(&h->conn_count, 1);
}

static void
conn_unlink(struct slw_http *h, struct net_conn *c)
{
    pthread_mutex_lock(&h->conn_lock);
    if (c->prev)
        c->prev->next = c->next;
    else
        h->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    pthread_mutex_unlock(&h->conn_lock);
    atomic_fetch_sub(&h->conn_count, 1);
}

static void
on_connection(void *cls, struct MHD_Connection *mhd, void **context,
              enum MHD_ConnectionNotificationCode code)
{
    struct slw_http *h = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        struct net_conn *c = slw_alloc(sizeof *c);
        c->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)
                    ->connect_fd;
        atomic_store(&c->since_ns, slw_mono_ns());
        conn_link(h, c);
        *context = c;
    } else if (*context) {
        conn_unlink(h, *context);
        slw_free(*context);
        *context = NULL;
    }
}

/* The request line is there; the target is still as it was sent. */
static void *
on_request_line(void *cls, const char *target, struct MHD_Connection *mhd)
{
    struct slw_http *h = cls;
    struct net_exchange *x = net_exchange_take(h);
    x->mhd = mhd;
    x->conn = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
                  ->socket_context;
    x->target_at = target;
    x->target = slw_arena_str(&x->arena, slw_str_of(target));
    if (atomic_load_explicit(&x->conn->kept_alive, memory_order_relaxed))
        atomic_store_explicit(&x->conn->since_ns, x->req.begin_mono_ns,
                              memory_order_relaxed);
    net_phase_move(x->conn, NET_IDLE, NET_HEAD);
    return x;
}

static enum MHD_Result
on_step(void *cls, struct MHD_Connection *mhd, const char *url,
        const char *method, const char *version, const char *bytes,
        size_t *size, void **context)
{
    (void)cls;
    (void)mhd;
    (void)url;
    SLW_ASSERT(*context);
    return net_exchange_step(*context, method, version, bytes, size);
}

static void
on_completed(void *cls, struct MHD_Connection *mhd, void **context,
             enum MHD_RequestTerminationCode code)
{
    struct slw_http *h = cls;
    struct net_exchange *x = *context;
    (void)mhd;
    (void)code;
    if (!x)
        return;
    *context = NULL;
    struct net_conn *c = x->conn;
    bool counted = x->counted;
    net_exchange_give_back(x);
    atomic_store_explicit(&c->kept_alive, true, memory_order_relaxed);
    atomic_store_explicit(&c->since_ns, slw_mono_ns(), memory_order_relaxed);
    if (!net_phase_move(c, NET_BUSY, NET_IDLE))
        net_phase_move(c, NET_BODY, NET_IDLE);
    if (counted)
        atomic_fetch_sub(&h->in_flight, 1);
}

SLW_PRINTF(2, 0)
static void
on_message(void *cls, const char *fmt, va_list args)
{
    char text[256];
    (void)cls;
    int n = vsnprintf(text, sizeof text, fmt, args);
    if (n > 0 && (size_t)n < sizeof text && text[n - 1] == '\n')
        text[n - 1] = '\0';
    slw_log(SLW_LOG_DEBUG, "http.library", "text=\"%s\"", text);
}

/* The escapes are ours to decode, segment by segment. */
static size_t
leave_escapes(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return strlen(text);
}

/* ---- start ---- */

static void
options_fill(struct slw_http_options *o)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (!o->loop_count)
        o->loop_count = cores < 1                ? 1
                        : cores > LOOP_COUNT_MAX ? LOOP_COUNT_MAX
                                                 : (int)cores;
    o->worker_count = o->worker_count ? o->worker_count : 16;
    o->queue_max = o->queue_max ? o->queue_max : NET_QUEUE_MAX;
    o->connection_max = o->connection_max ? o->connection_max : 4096;
    o->head_timeout_ms = o->head_timeout_ms ? o->head_timeout_ms : 10000;
    o->idle_timeout_ms = o->idle_timeout_ms ? o->idle_timeout_ms : 60000;
    o->body_min_rate = o->body_min_rate ? o->body_min_rate : 512;
    o->stream_max = o->stream_max ? o->stream_max : 64;
}

/* Descriptors for all connections, as far as the system allows. */
static void
descriptors_raise(int connection_max)
{
    struct rlimit limit;
    rlim_t want = (rlim_t)connection_max * 2 + 512;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= want)
        return;
    limit.rlim_cur = want < limit.rlim_max ? want : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        slw_log(SLW_LOG_WARN, "http.descriptors", "wanted=%llu",
                (unsigned long long)want);
}

static enum slw_rc
daemon_start(struct slw_http *h, int fd, struct slw_err *err)
{
    const struct slw_http_options *o = &h->opt;
    unsigned idle_s = (unsigned)((o->idle_timeout_ms + 999) / 1000);
    struct MHD_OptionItem pool[] = {
        {MHD_OPTION_THREAD_POOL_SIZE, o->loop_count, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    if (o->loop_count < 2)
        pool[0] = pool[1];
    h->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TURBO |
            MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
        0, NULL, NULL, on_step, h, MHD_OPTION_EXTERNAL_LOGGER, on_message, h,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, h, MHD_OPTION_URI_LOG_CALLBACK, on_request_line, h,
        MHD_OPTION_UNESCAPE_CALLBACK, leave_escapes, h,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)NET_POOL_SIZE,
        MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)(o->connection_max + NET_CONNECTION_RESERVE),
        MHD_OPTION_CONNECTION_TIMEOUT, idle_s, MHD_OPTION_THREAD_STACK_SIZE,
        LOOP_STACK_SIZE, MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
    if (!h->daemon)
        return slw_fail(err, SLW_IO, "cannot start the HTTP server");
    return SLW_OK;
}

static void
http_free(struct slw_http *h)
{
    net_pool_done(&h->pool);
    net_router_free(h->router);
    pthread_mutex_destroy(&h->conn_lock);
    pthread_mutex_destroy(&h->stream_lock);
    for (size_t i = 0; i < h->opt.host_count; i++)
        slw_free(h->hosts[i]);
    slw_free(h->hosts);
    slw_free(h->tmp_dir);
    slw_free(h);
}

static enum slw_rc
http_run(struct slw_http *h, struct slw_err *err)
{
    int fd = -1;
    TRY(net_router_new(&h->router, h->opt.routes, h->opt.route_count, err));
    TRY(net_listen(h->opt.listen, &fd, h->address, err));
    h->listen_fd = fd;
    enum slw_rc rc = net_sweep_start(h, err);
    if (rc != SLW_OK) {
        close(fd);
        return rc;
    }
    rc = daemon_start(h, fd, err); /* takes the socket */
    if (rc != SLW_OK)
        net_sweep_stop(h);
    return rc;
}

enum slw_rc
slw_http_start(struct slw_http **out, const struct slw_http_options *opt,
               struct slw_err *err)
{
    char random[33];
    struct slw_http *h = slw_alloc(sizeof *h);
    h->opt = *opt;
    options_fill(&h->opt);
    h->tmp_dir = slw_strdup(slw_str_of(opt->tmp_dir ? opt->tmp_dir : "/tmp"));
    h->opt.tmp_dir = h->tmp_dir;
    h->hosts = slw_alloc(sizeof *h->hosts * (opt->host_count + 1));
    for (size_t i = 0; i < opt->host_count; i++)
        h->hosts[i] = slw_strdup(slw_str_of(opt->hosts[i]));
    h->opt.hosts = (const char *const *)h->hosts;
    slw_random_hex32(random);
    memcpy(h->id_prefix, random, 16);
    pthread_mutex_init(&h->conn_lock, NULL);
    pthread_mutex_init(&h->stream_lock, NULL);
    net_pool_init(&h->pool, h->opt.worker_count, (size_t)h->opt.queue_max);
    descriptors_raise(h->opt.connection_max);
    signal(SIGPIPE, SIG_IGN); /* sendfile() has no flag to do without it */
    enum slw_rc rc = http_run(h, err);
    if (rc != SLW_OK) {
        http_free(h);
        return rc;
    }
    *out = h;
    return SLW_OK;
}

const char *
slw_http_address(const struct slw_http *h)
{
    return h->address;
}

/* ---- stop ---- */

/* New connections are refused from here on.
 *
 * MHD_quiesce_daemon() is for this, but in epoll mode its 0.9.75 races with
 * the loops: both take the socket out of the epoll set, and whoever comes
 * second aborts the process.  Instead the descriptor is atomically made to
 * mean something on which nothing ever happens; the listening socket loses
 * its last reference, and with it its place in the epoll sets.
 * A system call by number: for the thread sanitizer a descriptor that changes
 * its meaning is a race, which here is the point. */
static void
door_close(struct slw_http *h)
{
    int nothing = eventfd(0, EFD_CLOEXEC);
    if (nothing < 0 || syscall(SYS_dup3, nothing, h->listen_fd, O_CLOEXEC) < 0)
        slw_log(SLW_LOG_WARN, "http.still_listening", "address=%s", h->address);
    if (nothing >= 0)
        close(nothing);
}

static void
wait_idle(struct slw_http *h, int64_t most_ms)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    int64_t until = slw_mono_ns() + most_ms * 1000000;
    while (atomic_load(&h->in_flight) > 0 && slw_mono_ns() < until)
        nanosleep(&pause, NULL);
}

void
slw_http_stop(struct slw_http *h, int64_t drain_ms)
{
    if (!h)
        return;
    atomic_store(&h->closing, true);
    net_streams_end(h);
    door_close(h);
    wait_idle(h, drain_ms);
    atomic_store(&h->refusing, true);
    net_pool_close(&h->pool);
    wait_idle(h, 1000); /* answers on their way */
    net_sweep_stop(h);
    MHD_stop_daemon(h->daemon);
    net_exchange_spares_free();
    http_free(h);
}
