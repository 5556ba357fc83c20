/* pool.c -- the threads that run handlers which may wait.
 *
 * Threads are started when a request would otherwise wait, up to a limit,
 * and stay.  Their stacks are address space, not memory: only pages that were
 * touched count.
 *
 * The connection is suspended and the exchange queued under one lock, so that
 * no worker resumes what is not suspended yet; and after the pool is closed,
 * under the same lock, nothing is suspended any more, which is what
 * libmicrohttpd needs before it may be stopped.  The same count and lock hold
 * what hot handlers leave to other threads (the writer of group commits). */
#include <limits.h>
#include <signal.h>

#include "net/net_internal.h"

#ifdef SLW_SANITIZED /* frames are several times larger then */
#define WORKER_STACK_SIZE ((size_t)2 << 20)
#else
#define WORKER_STACK_SIZE ((size_t)256 << 10)
#endif

void
net_pool_init(struct net_pool *p, int thread_max, size_t queue_max)
{
    *p = (struct net_pool){.thread_max = thread_max, .queue_max = queue_max};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->more, NULL);
    p->threads = slw_alloc(sizeof *p->threads * (size_t)thread_max);
}

static struct net_exchange *
queue_pop(struct net_pool *p)
{
    struct net_exchange *x = p->first;
    if (!x)
        return NULL;
    p->first = x->next;
    if (!p->first)
        p->last = NULL;
    p->queued--;
    x->next = NULL;
    return x;
}

static void *
worker_main(void *arg)
{
    struct net_pool *p = arg;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        struct net_exchange *x = queue_pop(p);
        if (!x && p->closed)
            break;
        if (!x) {
            p->idle_count++;
            pthread_cond_wait(&p->more, &p->lock);
            p->idle_count--;
            continue;
        }
        pthread_mutex_unlock(&p->lock);
        net_exchange_handle(x);
        MHD_resume_connection(x->mhd); /* x is the loop's again */
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* One more thread; under the lock.  No thread is no failure as long as there
 * is another.  Signals are for the program's main thread. */
static bool
thread_add(struct net_pool *p)
{
    pthread_attr_t attr;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, WORKER_STACK_SIZE);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc =
        pthread_create(&p->threads[p->thread_count], &attr, worker_main, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (rc == 0)
        p->thread_count++;
    return p->thread_count > 0;
}

enum slw_rc
net_pool_submit(struct net_pool *p, struct net_exchange *x, struct slw_err *err)
{
    pthread_mutex_lock(&p->lock);
    const bool full = p->queued >= p->queue_max, closed = p->closed;
    bool ok = !closed && !full;
    if (ok && (size_t)p->idle_count <= p->queued &&
        p->thread_count < p->thread_max)
        ok = thread_add(p);
    if (ok) {
        x->stage = NET_X_WORK;
        MHD_suspend_connection(x->mhd);
        x->next = NULL;
        if (p->last)
            p->last->next = x;
        else
            p->first = x;
        p->last = x;
        p->queued++;
        pthread_cond_signal(&p->more);
    }
    pthread_mutex_unlock(&p->lock);
    if (ok)
        return SLW_OK;
    if (closed)
        return slw_fail(err, SLW_BUSY, "the server is stopping");
    return slw_fail(err, SLW_BUSY,
                    full ? "too many requests are waiting; try again in a "
                           "moment"
                         : "no thread can be started for the request; try "
                           "again in a moment");
}

enum slw_rc
slw_http_defer(struct slw_http_req *req, struct slw_err *err)
{
    struct net_exchange *x = req->conn;
    struct net_pool *p = &x->http->pool;
    SLW_ASSERT(req->route->flags & SLW_ROUTE_HOT);
    pthread_mutex_lock(&p->lock);
    const bool ok = !p->closed;
    if (ok) {
        p->deferred_count++;
        x->stage = NET_X_WORK;
        x->deferred = true;
        MHD_suspend_connection(x->mhd);
    }
    pthread_mutex_unlock(&p->lock);
    return ok ? SLW_OK : slw_fail(err, SLW_BUSY, "the server is stopping");
}

struct slw_http_res *
slw_http_res_of(struct slw_http_req *req)
{
    struct net_exchange *x = req->conn;
    return &x->res;
}

void
slw_http_answer(struct slw_http_req *req, enum slw_rc rc,
                const struct slw_err *err)
{
    struct net_exchange *x = req->conn;
    struct net_pool *p = &x->http->pool;
    if (rc != SLW_OK) {
        struct slw_err copy = *err;
        copy.rc = rc;
        net_answer_error(x, &copy, 0);
    }
    net_answer_build(x);
    x->stage = NET_X_DONE;
    MHD_resume_connection(x->mhd); /* x is the loop's again */
    pthread_mutex_lock(&p->lock);
    p->deferred_count--;
    if (p->closed && p->deferred_count == 0)
        pthread_cond_broadcast(&p->more);
    pthread_mutex_unlock(&p->lock);
}

void
net_pool_close(struct net_pool *p)
{
    struct net_exchange *x;
    pthread_mutex_lock(&p->lock);
    p->closed = true;
    struct net_exchange *waiting = p->first;
    p->first = p->last = NULL;
    p->queued = 0;
    pthread_cond_broadcast(&p->more);
    pthread_mutex_unlock(&p->lock);
    while ((x = waiting)) {
        struct slw_err err;
        waiting = x->next;
        slw_fail(&err, SLW_BUSY, "the server is stopping");
        net_answer_error(x, &err, 503);
        net_answer_build(x);
        x->stage = NET_X_DONE;
        MHD_resume_connection(x->mhd);
    }
    for (int i = 0; i < p->thread_count; i++)
        pthread_join(p->threads[i], NULL);
    p->thread_count = 0;
    pthread_mutex_lock(&p->lock);
    while (p->deferred_count > 0)
        pthread_cond_wait(&p->more, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void
net_pool_done(struct net_pool *p)
{
    slw_free(p->threads);
    pthread_cond_destroy(&p->more);
    pthread_mutex_destroy(&p->lock);
}
