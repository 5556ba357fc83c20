/* live.c -- GET /api/v1/stream: what happens, as it happens.
 *
 * One thread feeds all streams.  Each stream has a cursor into the event log
 * and takes events from the store only while little of it waits to be read,
 * so a slow client costs its cursor and some KB, never memory that grows, and
 * loses nothing: it is later.  Moving jobs and figures are of the moment; a
 * client that is behind is not told of them.
 *
 * The store is asked and not told, because the children write events too:
 * four times a second while somebody listens, else not at all. */
#include "api/api_internal.h"
#include "api/routes.h"
#include "base/hash.h"
#include "base/log.h"
#include "store/event.h"

#include <pthread.h>
#include <signal.h>

#define LOOK_MS 250
#define BEAT_MS 15000
#define FEED_SIZE ((size_t)32 << 10) /* more than this waits: not fed */
#define EVENT_BATCH 200              /* a client and a look */
#define JOB_MAX 64                   /* moving jobs that are told of */

struct listener {
    struct listener *next;
    struct slw_stream *stream;
    int64_t after; /* last event it has */
    int64_t beat_ns;
};

/* A job as it was told last. */
struct seen_job {
    int64_t id;
    uint64_t state;
    bool moving; /* in this look */
};

/* Owner: `fresh` and `end` by lock; the rest the thread. */
struct slw_live {
    struct slw_api *api;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct listener *fresh; /* not taken over yet */
    bool end;

    struct listener *listeners;
    struct seen_job jobs[JOB_MAX];
    size_t job_count;
    int64_t finished_after; /* last event looked at for finished jobs */
    int64_t tick_ns;
    struct slw_arena arena;
};

/* ---- telling ---- */

static void
message_begin(struct slw_buf *b, const char *kind)
{
    slw_buf_printf(b, "event: %s\ndata: ", kind);
}

/* To everybody who is not behind. */
static void
tell_all(struct slw_live *l, const struct slw_buf *message)
{
    for (struct listener *c = l->listeners; c; c = c->next)
        if (slw_stream_waiting(c->stream) < FEED_SIZE &&
            slw_stream_push(c->stream, slw_buf_view(message)))
            c->beat_ns = slw_mono_ns();
}

static void
tell_job(struct slw_live *l, const struct slw_job *job)
{
    SLW_AUTO(slw_buf, b);
    struct slw_jw w;
    message_begin(&b, "job");
    slw_jw_init(&w, &b);
    slw_job_write(&w, job);
    slw_buf_z(&b, "\n\n");
    tell_all(l, &b);
}

static uint64_t
job_state(const struct slw_job *job)
{
    uint64_t h = slw_hash64(job->note.ptr, job->note.len, (uint64_t)job->state);
    return slw_hash64(&job->progress, sizeof job->progress,
                      h ^ (uint64_t)job->attempt);
}

static struct seen_job *
seen_of(struct slw_live *l, int64_t id)
{
    for (size_t i = 0; i < l->job_count; i++)
        if (l->jobs[i].id == id)
            return &l->jobs[i];
    if (l->job_count == JOB_MAX)
        return NULL;
    l->jobs[l->job_count] = (struct seen_job){.id = id};
    return &l->jobs[l->job_count++];
}

/* Jobs that moved since the last look, and those that ended, which their
 * events tell. */
static enum slw_rc
look_at_jobs(struct slw_live *l, struct slw_tx *tx, struct slw_err *err)
{
    struct slw_job *jobs = NULL;
    size_t count = 0;
    TRY(slw_job_moving(tx, JOB_MAX, &l->arena, &jobs, &count, err));
    for (size_t i = 0; i < l->job_count; i++)
        l->jobs[i].moving = false;
    for (size_t i = 0; i < count; i++) {
        struct seen_job *seen = seen_of(l, jobs[i].id);
        uint64_t state = job_state(&jobs[i]);
        if (!seen)
            continue;
        seen->moving = true;
        if (seen->state != state)
            tell_job(l, &jobs[i]);
        seen->state = state;
    }
    for (size_t i = 0; i < l->job_count;)
        if (l->jobs[i].moving)
            i++;
        else
            l->jobs[i] = l->jobs[--l->job_count];
    for (int i = 0; i < EVENT_BATCH; i++) {
        struct slw_event e;
        struct slw_job job;
        int64_t id = 0;
        enum slw_rc rc =
            slw_event_after(tx, l->finished_after, SLW_STR("jobs.finished"),
                            SLW_STR(""), &l->arena, &e, err);
        if (rc == SLW_NOT_FOUND)
            break;
        TRY(rc);
        l->finished_after = e.id;
        if (slw_str_i64(e.subject, &id, err) == SLW_OK &&
            slw_job_get(tx, id, &l->arena, &job, err) == SLW_OK)
            tell_job(l, &job);
    }
    return SLW_OK;
}

/* The next events of one listener, as many as it has room for. */
static enum slw_rc
feed(struct slw_live *l, struct listener *c, struct slw_tx *tx, int64_t last,
     struct slw_err *err)
{
    for (int i = 0; i < EVENT_BATCH && c->after < last &&
                    slw_stream_waiting(c->stream) < FEED_SIZE;
         i++) {
        SLW_AUTO(slw_buf, b);
        struct slw_event e;
        struct slw_jw w;
        TRY(slw_event_after(tx, c->after, SLW_STR(""), SLW_STR(""), &l->arena,
                            &e, err));
        slw_buf_printf(&b, "id: %lld\nevent: %.*s\ndata: ", (long long)e.id,
                       SLW_FMT(e.kind));
        slw_jw_init(&w, &b);
        api_event_write(&w, &e);
        slw_buf_z(&b, "\n\n");
        /* What is larger than any stream takes is left out. */
        if (!slw_stream_push(c->stream, slw_buf_view(&b)) &&
            b.len <= SLW_STREAM_SIZE_MAX)
            break;
        c->after = e.id;
        c->beat_ns = slw_mono_ns();
        /* Rights may have changed: whoever may still listen comes again. */
        if (slw_str_starts(e.kind, "access.")) {
            slw_stream_end(c->stream);
            break;
        }
    }
    return SLW_OK;
}

static enum slw_rc
look_at_store(struct slw_live *l, struct slw_err *err)
{
    int64_t last = 0;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, l->api->store, err));
    TRY(slw_event_last(&tx, &last, err));
    for (struct listener *c = l->listeners; c; c = c->next)
        TRY(feed(l, c, &tx, last, err));
    if (l->finished_after < 0) /* somebody listens again */
        l->finished_after = last;
    return look_at_jobs(l, &tx, err);
}

static void
tell_figures(struct slw_live *l)
{
    SLW_AUTO(slw_buf, b);
    struct slw_jw w;
    message_begin(&b, "live");
    slw_jw_init(&w, &b);
    slw_serve_figures(l->api->serve, &l->arena, &w);
    slw_buf_z(&b, "\n\n");
    tell_all(l, &b);
}

/* ---- the thread ---- */

static void
drop_gone(struct slw_live *l)
{
    for (struct listener **at = &l->listeners; *at;) {
        struct listener *c = *at;
        if (!slw_stream_gone(c->stream)) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        slw_stream_close(c->stream);
        slw_free(c);
    }
    if (!l->listeners) {
        l->job_count = 0;
        l->finished_after = -1;
    }
}

static void
look(struct slw_live *l)
{
    struct slw_err err;
    int64_t now = slw_mono_ns();
    bool tick = now - l->tick_ns >= (int64_t)SLW_SERVE_TICK_MS * 1000000;
    if (tick) {
        slw_serve_tick(l->api->serve, now);
        l->tick_ns = now;
    }
    drop_gone(l);
    if (!l->listeners)
        return;
    if (look_at_store(l, &err) != SLW_OK)
        slw_log_err(SLW_LOG_WARN, "live.look_failed", &err);
    if (tick)
        tell_figures(l);
    for (struct listener *c = l->listeners; c; c = c->next)
        if (now - c->beat_ns > (int64_t)BEAT_MS * 1000000) {
            slw_stream_push(c->stream, SLW_STR(": still here\n\n"));
            c->beat_ns = now;
        }
    slw_arena_reset(&l->arena);
}

static void
take_over(struct slw_live *l)
{
    while (l->fresh) {
        struct listener *c = l->fresh;
        l->fresh = c->next;
        c->next = l->listeners;
        l->listeners = c;
    }
}

static void *
live_main(void *arg)
{
    struct slw_live *l = arg;
    pthread_mutex_lock(&l->lock);
    while (!l->end) {
        int64_t wait_ms =
            l->listeners || l->fresh ? LOOK_MS : SLW_SERVE_TICK_MS;
        int64_t until = slw_mono_ns() + wait_ms * 1000000;
        struct timespec ts = {.tv_sec = until / 1000000000,
                              .tv_nsec = until % 1000000000};
        pthread_cond_timedwait(&l->wake, &l->lock, &ts);
        take_over(l);
        pthread_mutex_unlock(&l->lock);
        look(l);
        pthread_mutex_lock(&l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

enum slw_rc
slw_live_start(struct slw_live **out, struct slw_api *api, struct slw_err *err)
{
    pthread_condattr_t attr;
    sigset_t all, before;
    struct slw_live *l = slw_alloc(sizeof *l);
    l->api = api;
    l->finished_after = -1;
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->wake, &attr);
    pthread_condattr_destroy(&attr);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&l->thread, NULL, live_main, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        pthread_cond_destroy(&l->wake);
        pthread_mutex_destroy(&l->lock);
        slw_free(l);
        return slw_fail(err, SLW_IO, "cannot start a thread: %s", strerror(rc));
    }
    *out = l;
    return SLW_OK;
}

void
slw_live_stop(struct slw_live *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->end = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    take_over(l);
    while (l->listeners) {
        struct listener *c = l->listeners;
        l->listeners = c->next;
        slw_stream_close(c->stream);
        slw_free(c);
    }
    slw_arena_done(&l->arena);
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->lock);
    slw_free(l);
}

/* ---- the handler ---- */

/* Where the client goes on: behind what it has seen, or behind what there is
 * now.  A number we never gave (another store's) counts as now. */
static enum slw_rc
start_of(struct slw_http_req *req, int64_t *out_after, struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str text = slw_http_head(req, "Last-Event-ID");
    int64_t last = 0, after = -1;
    if (!text.len)
        text = slw_http_query(req, "last_event_id");
    if (text.len && (slw_str_i64(text, &after, err) != SLW_OK || after < 0))
        return slw_fail(err, SLW_INVALID,
                        "Last-Event-ID must be the number of an event");
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_event_last(&tx, &last, err));
    *out_after = after >= 0 && after < last ? after : last;
    return SLW_OK;
}

enum slw_rc
api_stream(struct slw_http_req *req, struct slw_http_res *res,
           struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_live *l = api->live;
    struct slw_stream *stream = NULL;
    int64_t after = 0;
    TRY(start_of(req, &after, err));
    res->content_type = "text/event-stream";
    slw_http_header_add(res, "Cache-Control", SLW_STR("no-store"));
    slw_http_header_add(res, "X-Accel-Buffering", SLW_STR("no"));
    TRY(slw_stream_open(req, res, &stream, err));
    SLW_AUTO(slw_buf, hello);
    /* The id lets a client that is cut off before the first event go on from
     * here and not from a later now. */
    slw_buf_printf(&hello, "retry: 1000\nid: %lld\n: welcome\n\n",
                   (long long)after);
    slw_stream_push(stream, slw_buf_view(&hello));
    struct listener *c = slw_alloc(sizeof *c);
    *c = (struct listener){
        .stream = stream, .after = after, .beat_ns = slw_mono_ns()};
    pthread_mutex_lock(&l->lock);
    c->next = l->fresh;
    l->fresh = c;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
    return SLW_OK;
}
