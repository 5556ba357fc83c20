/* tx.c -- transactions: the one write connection, handed round in the order
 * of asking, and the pool of read connections.
 *
 * A transaction that ends gives its connection back at once, before its scope
 * does; statements that are still open are taken back with it
 * (store_conn_settle), so that nothing touches a connection another thread
 * holds by then. */
#include "store/store_internal.h"

#include <errno.h>

static const char SQL_BEGIN_WRITE[] = "BEGIN IMMEDIATE";
static const char SQL_BEGIN_READ[] = "BEGIN";
static const char SQL_COMMIT[] = "COMMIT";
static const char SQL_SNAPSHOT[] = "SELECT count(*) FROM (SELECT 1 FROM "
                                   "sqlite_schema LIMIT 1)";

static struct timespec
deadline_in_ms(int64_t ms)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)(ms / 1000);
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

static void
waiter_queue(struct store_write_lock *w, struct store_waiter *me)
{
    if (w->last)
        w->last->next = me;
    else
        w->first = me;
    w->last = me;
}

static void
waiter_drop(struct store_write_lock *w, const struct store_waiter *me)
{
    struct store_waiter *before = NULL;
    for (struct store_waiter *at = w->first; at; at = at->next) {
        if (at == me) {
            if (before)
                before->next = at->next;
            else
                w->first = at->next;
            if (w->last == at)
                w->last = before;
            return;
        }
        before = at;
    }
}

/* Wait in the queue; true when the lock was handed to us. */
static bool
waiter_wait(struct store_write_lock *w)
{
    struct store_waiter me = {0};
    SLW_ASSERT(sem_init(&me.wake, 0, 0) == 0);
    waiter_queue(w, &me);
    (void)pthread_mutex_unlock(&w->mutex);
    const struct timespec until = deadline_in_ms(STORE_WAIT_MS);
    int rc;
    do {
        rc = sem_clockwait(&me.wake, CLOCK_MONOTONIC, &until);
    } while (rc != 0 && errno == EINTR);
    (void)pthread_mutex_lock(&w->mutex);
    if (!me.granted)
        waiter_drop(w, &me);
    (void)sem_destroy(&me.wake);
    return me.granted;
}

static enum slw_rc
write_take(struct slw_store *s, struct slw_err *err)
{
    struct store_write_lock *w = &s->write;
    (void)pthread_mutex_lock(&w->mutex);
    /* A transaction inside a transaction would wait for itself. */
    SLW_ASSERT(!(w->held && pthread_equal(w->owner, pthread_self())));
    bool mine = !w->held;
    if (!mine)
        mine = waiter_wait(w);
    if (mine) {
        w->held = true;
        w->owner = pthread_self();
    }
    (void)pthread_mutex_unlock(&w->mutex);
    if (mine)
        return SLW_OK;
    return slw_fail(err, SLW_BUSY,
                    "the database has been busy writing for %d s; try again",
                    STORE_WAIT_MS / 1000);
}

static void
write_give(struct slw_store *s)
{
    struct store_write_lock *w = &s->write;
    (void)pthread_mutex_lock(&w->mutex);
    SLW_ASSERT(w->held);
    struct store_waiter *next = w->first;
    if (next) {
        w->first = next->next;
        if (!w->first)
            w->last = NULL;
        next->granted = true;
        w->owner = (pthread_t){0}; /* the next one writes its own */
        (void)sem_post(&next->wake);
    } else {
        w->held = false;
    }
    (void)pthread_mutex_unlock(&w->mutex);
}

static enum slw_rc
reader_take(struct slw_store *s, struct store_conn **out, struct slw_err *err)
{
    (void)pthread_mutex_lock(&s->pool_mutex);
    const struct timespec until = deadline_in_ms(STORE_WAIT_MS);
    int rc = 0;
    while (!s->idle && s->reader_count >= STORE_READER_MAX && rc == 0)
        rc = pthread_cond_clockwait(&s->pool_freed, &s->pool_mutex,
                                    CLOCK_MONOTONIC, &until);
    struct store_conn *c = s->idle;
    const bool may_open = !c && s->reader_count < STORE_READER_MAX;
    if (c) {
        s->idle = c->next;
        s->idle_count--;
        c->next = NULL;
    } else if (may_open) {
        s->reader_count++;
    }
    (void)pthread_mutex_unlock(&s->pool_mutex);
    if (c) {
        *out = c;
        return SLW_OK;
    }
    if (!may_open)
        return slw_fail(err, SLW_BUSY,
                        "all %d read connections have been in use for %d s",
                        STORE_READER_MAX, STORE_WAIT_MS / 1000);
    SLW_AUTO(slw_arena, arena);
    const enum slw_rc opened = store_conn_open(
        out, slw_path(&arena, s->dir, "slipway.db"), false, err);
    if (opened == SLW_OK)
        return SLW_OK;
    (void)pthread_mutex_lock(&s->pool_mutex);
    s->reader_count--;
    (void)pthread_cond_signal(&s->pool_freed);
    (void)pthread_mutex_unlock(&s->pool_mutex);
    return opened;
}

static void
reader_give(struct slw_store *s, struct store_conn *c)
{
    (void)pthread_mutex_lock(&s->pool_mutex);
    const bool warm = s->idle_count < STORE_READER_WARM;
    (void)pthread_mutex_unlock(&s->pool_mutex);
    if (!warm)
        (void)sqlite3_db_release_memory(c->db);
    (void)pthread_mutex_lock(&s->pool_mutex);
    c->next = s->idle;
    s->idle = c;
    s->idle_count++;
    (void)pthread_cond_signal(&s->pool_freed);
    (void)pthread_mutex_unlock(&s->pool_mutex);
}

static enum slw_rc
run_sql(struct slw_tx *tx, const char *sql, const char *what,
        struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, sql, err));
    int rc;
    do {
        rc = sqlite3_step(st.stmt);
    } while (rc == SQLITE_ROW);
    if (rc == SQLITE_DONE)
        return SLW_OK;
    return store_conn_fail(tx->db, rc, what, err);
}

enum slw_rc
slw_tx_begin(struct slw_tx *tx, struct slw_store *s, struct slw_err *err)
{
    SLW_ASSERT(!tx->db);
    TRY(write_take(s, err));
    *tx = (struct slw_tx){s, s->writer, true, store_dry()};
    const enum slw_rc rc = run_sql(tx, SQL_BEGIN_WRITE, "cannot write", err);
    if (rc != SLW_OK)
        slw_tx_done(tx);
    return rc;
}

enum slw_rc
slw_tx_read(struct slw_tx *tx, struct slw_store *s, struct slw_err *err)
{
    SLW_ASSERT(!tx->db);
    struct store_conn *c = NULL;
    TRY(reader_take(s, &c, err));
    *tx = (struct slw_tx){s, c, false, NULL};
    /* BEGIN alone would take the snapshot only at the first query. */
    enum slw_rc rc = run_sql(tx, SQL_BEGIN_READ, "cannot read", err);
    if (rc == SLW_OK)
        rc = run_sql(tx, SQL_SNAPSHOT, "cannot read", err);
    if (rc != SLW_OK)
        slw_tx_done(tx);
    return rc;
}

enum slw_rc
slw_tx_commit(struct slw_tx *tx, struct slw_err *err)
{
    SLW_ASSERT(tx->db);
    if (tx->dry) {
        slw_tx_done(tx);
        return SLW_OK;
    }
    store_conn_settle(tx->db);
    const enum slw_rc rc = run_sql(tx, SQL_COMMIT, "cannot commit", err);
    if (rc == SLW_OK)
        ((struct store_conn *)tx->db)->memo.is_fresh = false;
    slw_tx_done(tx); /* after a commit there is nothing to undo */
    return rc;
}

void
slw_tx_done(struct slw_tx *tx)
{
    if (!tx->db)
        return;
    const struct slw_tx old = *tx;
    *tx = (struct slw_tx){0};
    store_conn_settle(old.db);
    store_conn_rollback(old.db);
    if (old.write)
        write_give(old.store);
    else
        reader_give(old.store, old.db);
}

int64_t
slw_tx_last_id(struct slw_tx *tx)
{
    SLW_ASSERT(tx->db);
    return sqlite3_last_insert_rowid(((struct store_conn *)tx->db)->db);
}

int64_t
slw_tx_changes(struct slw_tx *tx)
{
    SLW_ASSERT(tx->db);
    return sqlite3_changes64(((struct store_conn *)tx->db)->db);
}
