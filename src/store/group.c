/* group.c -- group commit: many small writes, one sync of the disk.
 *
 * Callers queue an operation; one writer thread takes the whole queue, runs
 * each operation in a savepoint of its own, commits once, and tells them.  With
 * 16 callers and a disk that syncs in 2 ms this is the difference between 200
 * and many thousand acknowledged writes a second.
 *
 * The gather rule: while a slow commit runs, about half the callers have
 * just been woken and the other half queue again, so that two cohorts form
 * and each commit carries only half.  When commits are slow (more than
 * 0.5 ms) and more than one caller was outstanding, the writer waits a little
 * (an eighth of a commit) for as many operations as were outstanding. */
#include "store/store_internal.h"

#define GATHER_COMMIT_NS 500000
#define COMMIT_AVERAGE_WEIGHT 8

static const char SQL_SAVEPOINT[] = "SAVEPOINT op";
static const char SQL_RELEASE[] = "RELEASE op";
static const char SQL_UNDO[] = "ROLLBACK TO op";

void
store_group_init(struct store_group *g)
{
    (void)pthread_mutex_init(&g->mutex, NULL);
    (void)pthread_cond_init(&g->arrived, NULL);
    g->wanted_count = 1;
}

static enum slw_rc
run_quietly(struct slw_tx *tx, const char *sql, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, sql, err));
    return slw_stmt_run(&st, err);
}

static bool
is_tx_open(const struct slw_tx *tx)
{
    return !sqlite3_get_autocommit(((struct store_conn *)tx->db)->db);
}

/* One operation.  Errors of the call: the transaction as a whole is lost
 * (SQLite undoes it by itself when the disk is full); the operation's own
 * failure stands in op->rc. */
static enum slw_rc
op_run(struct slw_tx *tx, struct slw_group_op *op, struct slw_err *err)
{
    TRY(run_quietly(tx, SQL_SAVEPOINT, err));
    op->rc = op->fn(tx, op->ctx, &op->err);
    SLW_ASSERT(tx->db); /* an operation must not end the transaction */
    if (!is_tx_open(tx)) {
        SLW_ASSERT(op->rc != SLW_OK);
        *err = op->err;
        return op->rc;
    }
    if (op->rc != SLW_OK) {
        store_memo_undo(&((struct store_conn *)tx->db)->memo);
        TRY(run_quietly(tx, SQL_UNDO, err));
    }
    return run_quietly(tx, SQL_RELEASE, err);
}

static enum slw_rc
batch_commit(struct slw_store *s, struct slw_group_op *first,
             struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, s, err));
    for (struct slw_group_op *op = first; op; op = op->next)
        TRY(op_run(&tx, op, err));
    const int64_t start_ns = slw_mono_ns();
    const enum slw_rc rc = slw_tx_commit(&tx, err);
    struct store_group *g = &s->group;
    const int64_t took_ns = slw_mono_ns() - start_ns;
    g->commit_ns += (took_ns - g->commit_ns) / COMMIT_AVERAGE_WEIGHT;
    return rc;
}

/* Returns the number of callers answered.  An op is its caller's again once
 * `then` was called. */
static size_t
batch_run(struct slw_store *s, struct slw_group_op *first)
{
    struct slw_err err;
    const enum slw_rc rc = batch_commit(s, first, &err);
    size_t count = 0;
    for (struct slw_group_op *op = first; op; count++) {
        struct slw_group_op *next = op->next;
        if (rc != SLW_OK) {
            op->rc = rc;
            op->err = err;
        }
        op->then(op->ctx, op->rc, &op->err);
        op = next;
    }
    return count;
}

/* Sleep until `count` operations are queued, the time is up (0: never), or
 * the store closes.  Called and returns with the mutex held. */
static void
wait_for_ops(struct store_group *g, size_t count, int64_t wait_ns)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(wait_ns % 1000000000);
    until.tv_sec += (time_t)(wait_ns / 1000000000);
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    g->wanted_count = count;
    g->asleep = true;
    int rc = 0;
    while (g->queued_count < count && !g->stopping && rc == 0)
        rc = wait_ns > 0 ? pthread_cond_clockwait(&g->arrived, &g->mutex,
                                                  CLOCK_MONOTONIC, &until)
                         : pthread_cond_wait(&g->arrived, &g->mutex);
    g->asleep = false;
}

/* Cut the batch off the queue. */
static struct slw_group_op *
batch_take(struct store_group *g)
{
    struct slw_group_op *first = g->first;
    struct slw_group_op *last = first;
    size_t count = first ? 1 : 0;
    while (last && last->next && count < STORE_GROUP_BATCH_MAX) {
        last = last->next;
        count++;
    }
    if (!last)
        return NULL;
    g->first = last->next;
    if (!g->first)
        g->last = NULL;
    last->next = NULL;
    g->queued_count -= count;
    return first;
}

static void *
group_main(void *arg)
{
    struct slw_store *s = arg;
    struct store_group *g = &s->group;
    (void)pthread_mutex_lock(&g->mutex);
    for (;;) {
        if (!g->first)
            wait_for_ops(g, 1, 0);
        if (!g->first)
            break; /* stopping, and nothing is left */
        if (g->commit_ns > GATHER_COMMIT_NS && g->outstanding_count > 1)
            wait_for_ops(g, g->outstanding_count, g->commit_ns / 8);
        struct slw_group_op *batch = batch_take(g);
        (void)pthread_mutex_unlock(&g->mutex);
        const size_t answered_count = batch_run(s, batch);
        (void)pthread_mutex_lock(&g->mutex);
        g->outstanding_count = answered_count + g->queued_count;
    }
    (void)pthread_mutex_unlock(&g->mutex);
    return NULL;
}

/* With the mutex held: the thread starts with the first operation, so that
 * job children do without it. */
static enum slw_rc
start_once(struct slw_store *s, struct slw_err *err)
{
    struct store_group *g = &s->group;
    if (g->started)
        return SLW_OK;
    const int rc = pthread_create(&g->thread, NULL, group_main, s);
    if (rc != 0)
        return slw_fail(err, SLW_BUSY, "cannot start the writer thread: %s",
                        strerror(rc));
    g->started = true;
    return SLW_OK;
}

static enum slw_rc
op_queue(struct slw_store *s, struct slw_group_op *op, struct slw_err *err)
{
    struct store_group *g = &s->group;
    SLW_ASSERT(!g->stopping);
    TRY(start_once(s, err));
    if (g->queued_count >= SLW_GROUP_QUEUE_MAX)
        return slw_fail(err, SLW_BUSY,
                        "%d writes are waiting for the disk; try again later",
                        SLW_GROUP_QUEUE_MAX);
    op->next = NULL;
    if (g->last)
        g->last->next = op;
    else
        g->first = op;
    g->last = op;
    g->queued_count++;
    if (g->asleep && g->queued_count >= g->wanted_count)
        (void)pthread_cond_signal(&g->arrived);
    return SLW_OK;
}

enum slw_rc
slw_store_group_later(struct slw_store *s, struct slw_group_op *op,
                      struct slw_err *err)
{
    SLW_ASSERT(!slw_dry_is_on());
    (void)pthread_mutex_lock(&s->group.mutex);
    const enum slw_rc rc = op_queue(s, op, err);
    (void)pthread_mutex_unlock(&s->group.mutex);
    return rc;
}

/* A caller that sleeps until its operation is on disk. */
struct sleeper {
    slw_group_fn fn;
    void *ctx;
    struct slw_err *err;
    enum slw_rc rc;
    sem_t done;
};

static enum slw_rc
sleeper_run(struct slw_tx *tx, void *ctx, struct slw_err *err)
{
    struct sleeper *w = ctx;
    return w->fn(tx, w->ctx, err);
}

static void
sleeper_wake(void *ctx, enum slw_rc rc, const struct slw_err *err)
{
    struct sleeper *w = ctx;
    w->rc = rc;
    if (rc != SLW_OK)
        *w->err = *err;
    (void)sem_post(&w->done); /* it may be gone from here on */
}

enum slw_rc
slw_store_group(struct slw_store *s, slw_group_fn fn, void *ctx,
                struct slw_err *err)
{
    if (slw_dry_is_on()) { /* here, as the writer's thread is in none */
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_begin(&tx, s, err));
        TRY(fn(&tx, ctx, err));
        return slw_tx_commit(&tx, err);
    }
    struct sleeper w = {.fn = fn, .ctx = ctx, .err = err};
    struct slw_group_op op = {
        .fn = sleeper_run, .ctx = &w, .then = sleeper_wake};
    SLW_ASSERT(sem_init(&w.done, 0, 0) == 0);
    const enum slw_rc rc = slw_store_group_later(s, &op, err);
    if (rc == SLW_OK)
        while (sem_wait(&w.done) != 0)
            continue; /* EINTR */
    (void)sem_destroy(&w.done);
    return rc == SLW_OK ? w.rc : rc;
}

void
store_group_stop(struct store_group *g)
{
    (void)pthread_mutex_lock(&g->mutex);
    g->stopping = true;
    (void)pthread_cond_signal(&g->arrived);
    const bool started = g->started;
    (void)pthread_mutex_unlock(&g->mutex);
    if (started)
        (void)pthread_join(g->thread, NULL);
    g->started = false;
    (void)pthread_cond_destroy(&g->arrived);
    (void)pthread_mutex_destroy(&g->mutex);
}
