/* tick.c -- the flow thread: one look at everything, again and again; and the
 * notifier, a thread of its own because it waits for the network.
 *
 * A look is small steps in transactions of their own.  Where it stands is
 * only in rows (cursors, marks, runs), so a server that was killed goes on
 * with the next look. */
#include "flow/flow_internal.h"

#include "base/log.h"

/* ---- one look ---- */

static enum slw_rc
runs_look(struct slw_flow *f, bool *out_moved, struct slw_err *err)
{
    struct flow_run *runs = NULL;
    size_t count = 0;
    SLW_AUTO(slw_arena, a);
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, f->store, err));
        TRY(flow_runs_moving(&tx, &a, &runs, &count, err));
    }
    for (size_t i = 0; i < count; i++)
        TRY(flow_pipeline_move(f, &runs[i], out_moved, err));
    return SLW_OK;
}

static enum slw_rc
look(struct slw_flow *f, bool *out_moved, struct slw_err *err)
{
    TRY(flow_refresh_look(f, out_moved, err));
    TRY(flow_trigger_alerts(f, out_moved, err));
    TRY(flow_trigger_schedule(f, out_moved, err));
    return runs_look(f, out_moved, err);
}

enum slw_rc
slw_flow_tick(struct slw_flow *f, bool *out_moved, struct slw_err *err)
{
    bool moved = false;
    (void)pthread_mutex_lock(&f->tick);
    const enum slw_rc rc = look(f, &moved, err);
    (void)pthread_mutex_unlock(&f->tick);
    *out_moved = moved;
    return rc;
}

static enum slw_rc
jobs_at_rest(struct slw_flow *f, bool *out, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, f->store, err));
    int64_t count = 0;
    TRY(slw_job_active(&tx, &count, err));
    *out = count == 0;
    return SLW_OK;
}

/* Under one hold of the lock: no look of the thread's can queue a job between
 * seeing that there is none and seeing that nothing moves.  Jobs first: what
 * one of them leaves behind, the look then sees. */
static enum slw_rc
idle_look(struct slw_flow *f, bool *out, struct slw_err *err)
{
    bool rest = false, moved = false;
    TRY(jobs_at_rest(f, &rest, err));
    if (rest)
        TRY(look(f, &moved, err));
    *out = rest && !moved;
    return SLW_OK;
}

bool
slw_flow_idle(struct slw_flow *f)
{
    struct slw_err err;
    bool idle = false;
    (void)pthread_mutex_lock(&f->tick);
    if (idle_look(f, &idle, &err) != SLW_OK)
        idle = false;
    (void)pthread_mutex_unlock(&f->tick);
    return idle;
}

/* ---- threads ---- */

/* False when the flow is closing. */
static bool
pause_ms(struct slw_flow *f, int64_t ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    (void)pthread_mutex_lock(&f->mutex);
    int rc = 0;
    while (!f->closing && rc == 0)
        rc = pthread_cond_timedwait(&f->wake, &f->mutex, &until);
    const bool go_on = !f->closing;
    (void)pthread_mutex_unlock(&f->mutex);
    return go_on;
}

#define TROUBLE_MS_MAX 10000

static void *
tick_loop(void *arg)
{
    struct slw_flow *f = arg;
    int64_t wait_ms = f->tick_ms;
    while (pause_ms(f, wait_ms)) {
        struct slw_err err;
        bool moved = false;
        if (slw_flow_tick(f, &moved, &err) == SLW_OK) {
            wait_ms = moved ? 1 : f->tick_ms;
            continue;
        }
        slw_log_err(SLW_LOG_ERROR, "flow.tick", &err);
        wait_ms = wait_ms < f->tick_ms ? f->tick_ms : 2 * wait_ms;
        if (wait_ms > TROUBLE_MS_MAX)
            wait_ms = TROUBLE_MS_MAX;
    }
    return NULL;
}

static void *
notify_loop(void *arg)
{
    struct slw_flow *f = arg;
    while (pause_ms(f, FLOW_NOTIFY_MS)) {
        struct slw_err err;
        int sent = 0;
        if (slw_monitor_notify(f->store, slw_clock_now_ms(f->clock), &sent,
                               &err) != SLW_OK)
            slw_log_err(SLW_LOG_WARN, "flow.notify", &err);
    }
    return NULL;
}

static enum slw_rc
threads_start(struct slw_flow *f, struct slw_err *err)
{
    f->ticker_runs = pthread_create(&f->ticker, NULL, tick_loop, f) == 0;
    if (!f->ticker_runs)
        return slw_fail(err, SLW_LIMIT, "no thread for the flow");
    f->notifier_runs = pthread_create(&f->notifier, NULL, notify_loop, f) == 0;
    if (!f->notifier_runs)
        return slw_fail(err, SLW_LIMIT, "no thread for the notifier");
    return SLW_OK;
}

enum slw_rc
slw_flow_start(struct slw_flow **out, const struct slw_flow_options *opt,
               struct slw_err *err)
{
    SLW_ASSERT(opt->store);
    SLW_ASSERT(opt->clock);
    SLW_ASSERT(opt->serve);
    struct slw_flow *f = slw_alloc(sizeof *f);
    f->store = opt->store;
    f->clock = opt->clock;
    f->serve = opt->serve;
    f->jobs = opt->jobs;
    f->tick_ms = opt->tick_ms ? opt->tick_ms : FLOW_TICK_MS_DEFAULT;
    snprintf(f->server_url, sizeof f->server_url, "%s",
             opt->server_url ? opt->server_url : "");
    (void)pthread_mutex_init(&f->tick, NULL);
    (void)pthread_mutex_init(&f->mutex, NULL);
    pthread_condattr_t attr; /* a wall clock that is set back stops nothing */
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&f->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    const enum slw_rc rc = f->tick_ms > 0 ? threads_start(f, err) : SLW_OK;
    if (rc != SLW_OK) {
        slw_flow_stop(f);
        return rc;
    }
    *out = f;
    return SLW_OK;
}

void
slw_flow_stop(struct slw_flow *f)
{
    if (!f)
        return;
    (void)pthread_mutex_lock(&f->mutex);
    f->closing = true;
    (void)pthread_cond_broadcast(&f->wake);
    (void)pthread_mutex_unlock(&f->mutex);
    if (f->ticker_runs)
        (void)pthread_join(f->ticker, NULL);
    if (f->notifier_runs)
        (void)pthread_join(f->notifier, NULL);
    (void)pthread_cond_destroy(&f->wake);
    (void)pthread_mutex_destroy(&f->mutex);
    (void)pthread_mutex_destroy(&f->tick);
    slw_free(f);
}
