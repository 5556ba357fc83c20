/* webhook_send.c -- webhooks' deliveries leave the house.
 *
 * One thread looks which webhooks have something waiting and gives each a
 * *lane*: a thread that posts its deliveries in order, and ends when none is
 * left or one has to be repeated later.  So a webhook waits only for itself.
 * What is settled is a row; when to repeat is known in memory only, so after a
 * restart everything that waits is tried at once, with the same id. */
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "net/client.h"
#include "registry/registry_internal.h"
#include "store/event.h"

#include <pthread.h>

static const char SQL_WAITING[] =
    "SELECT DISTINCT hook_id FROM registry_webhook_delivery"
    " WHERE state = 'waiting'";
static const char SQL_NEXT[] =
    "SELECT d.id, d.delivery_id, d.event, d.body, d.made_at_ms, d.attempts,"
    " h.webhook_id, h.name, h.url, h.secret FROM registry_webhook_delivery d"
    " JOIN registry_webhook h ON h.id = d.hook_id"
    " WHERE d.hook_id = ?1 AND d.state = 'waiting' ORDER BY d.id LIMIT 1";
static const char SQL_SETTLE[] =
    "UPDATE registry_webhook_delivery SET attempts = attempts + 1,"
    " last_at_ms = ?2, state = ?3, status = ?4, error = ?5,"
    " body = CASE WHEN ?3 = 'waiting' THEN body ELSE '' END WHERE id = ?1";
static const char SQL_FORGET[] =
    "DELETE FROM registry_webhook_delivery WHERE hook_id = ?1"
    " AND state <> 'waiting' AND id <= (SELECT id"
    "  FROM registry_webhook_delivery WHERE hook_id = ?1"
    "  AND state <> 'waiting' ORDER BY id DESC LIMIT 1 OFFSET ?2)";

#define LANE_MAX 10
#define TURN_MAX 20 /* deliveries before others get the lane */
#define LOOK_MS 250
#define PAUSE_MS 1000
#define PAUSE_MS_MAX 60000
#define RETRY_AFTER_S_MAX 3600
#define RETRY_MAX 8 /* with the pauses: over some three minutes */
#define ANSWER_SIZE_MAX ((size_t)64 << 10)

/* ---- one attempt ---- */

static int64_t
setting(const char *name, int64_t dflt, int64_t least, int64_t most)
{
    struct slw_err ignored;
    const char *text = getenv(name);
    int64_t v = dflt;
    if (!text || slw_str_i64(slw_str_of(text), &v, &ignored) != SLW_OK ||
        v < least || v > most)
        return dflt;
    return v;
}

void
slw_webhook_sign(struct slw_buf *out, struct slw_str secret,
                 struct slw_str delivery_id, struct slw_str timestamp,
                 struct slw_str body)
{
    SLW_AUTO(slw_buf, text);
    slw_buf_str(&text, delivery_id);
    slw_buf_char(&text, '.');
    slw_buf_str(&text, timestamp);
    slw_buf_char(&text, '.');
    slw_buf_str(&text, body);
    const struct slw_sha256 h = slw_hmac_sha256(secret, slw_buf_view(&text));
    slw_buf_z(out, "v1,");
    slw_buf_base64(out, h.bytes, sizeof h.bytes);
}

static const char *const *
headers_make(const struct slw_webhook *w, int64_t now_ms,
             struct slw_str delivery_id, struct slw_str body,
             struct slw_arena *a)
{
    const char **headers = SLW_ARENA_NEW(a, const char *, 4);
    const struct slw_str at =
        slw_arena_printf(a, "%lld", (long long)(now_ms / 1000));
    headers[0] =
        slw_arena_printf(a, "X-MLflow-Delivery-Id: %.*s", SLW_FMT(delivery_id))
            .ptr;
    headers[1] =
        slw_arena_printf(a, "X-MLflow-Timestamp: %.*s", SLW_FMT(at)).ptr;
    if (w->secret.len) {
        SLW_AUTO(slw_buf, line);
        slw_buf_z(&line, "X-MLflow-Signature: ");
        slw_webhook_sign(&line, w->secret, delivery_id, at, body);
        headers[2] = slw_arena_strz(a, slw_buf_view(&line));
    }
    return headers;
}

/* What an answer means: 2xx is delivered, 429 and 5xx come again. */
static void
judge(struct slw_webhook_answer *out)
{
    out->ok = out->status >= 200 && out->status < 300;
    out->retry = out->status == 429 || out->status >= 500;
    if (out->status >= 300 && out->status < 400)
        snprintf(out->error, sizeof out->error,
                 "answered %d; redirects are not followed", out->status);
    else if (!out->ok)
        snprintf(out->error, sizeof out->error, "answered %d", out->status);
}

static enum slw_rc
post(const struct slw_webhook *w, int64_t now_ms, struct slw_str delivery_id,
     struct slw_str body, const _Atomic bool *stop, struct slw_arena *a,
     struct slw_webhook_answer *out, struct slw_err *err)
{
    SLW_AUTO(slw_reply, reply);
    struct slw_str host;
    TRY(registry_webhook_url_read(w->url, a, &host, err));
    const struct slw_call c = {
        .method = "POST",
        .url = slw_arena_strz(a, w->url),
        .body = body,
        .headers = headers_make(w, now_ms, delivery_id, body, a),
        .timeout_ms =
            1000 * setting("MLFLOW_WEBHOOK_REQUEST_TIMEOUT", 30, 1, 600),
        .direct = true,
        .public_only = !registry_webhook_private_ok(),
        .keep_max = ANSWER_SIZE_MAX,
        .stop = stop};
    TRY(slw_call(&c, &reply, err));
    out->status = reply.status;
    out->retry_after_s = reply.retry_after_s;
    out->body = slw_arena_str(a, slw_buf_view(&reply.body));
    return SLW_OK;
}

void
slw_webhook_post(const struct slw_webhook *w, int64_t now_ms,
                 struct slw_str delivery_id, struct slw_str body,
                 const _Atomic bool *stop, struct slw_arena *a,
                 struct slw_webhook_answer *out)
{
    struct slw_err err;
    *out = (struct slw_webhook_answer){.body = SLW_STR("")};
    const enum slw_rc rc =
        post(w, now_ms, delivery_id, body, stop, a, out, &err);
    if (rc == SLW_OK) {
        judge(out);
        return;
    }
    out->retry = rc == SLW_IO || rc == SLW_TIMEOUT || rc == SLW_BUSY;
    snprintf(out->error, sizeof out->error, "%s", err.msg);
}

void
slw_webhook_test(const struct slw_webhook *w, size_t event, int64_t now_ms,
                 struct slw_arena *a, struct slw_webhook_answer *out)
{
    SLW_AUTO(slw_buf, body);
    registry_webhook_body(&body, event, now_ms,
                          slw_str_of(slw_webhook_events[event].example));
    slw_webhook_post(w, now_ms, registry_uuid(a), slw_buf_view(&body), NULL, a,
                     out);
}

/* ---- one delivery ---- */

struct delivery {
    int64_t row, hook, made_at_ms, attempts;
    struct slw_str id, event, body;
    struct slw_webhook to; /* id, name, url, secret */
};

static enum slw_rc
next_get(struct slw_store *s, int64_t hook, struct slw_arena *a,
         struct delivery *out, bool *out_found, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, s, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &tx, SQL_NEXT, err));
    slw_stmt_i64(&st, 1, hook);
    TRY(slw_stmt_step(&st, out_found, err));
    if (!*out_found)
        return SLW_OK;
    *out = (struct delivery){.row = slw_col_i64(&st, 0),
                             .hook = hook,
                             .id = slw_col_dup(&st, 1, a),
                             .event = slw_col_dup(&st, 2, a),
                             .body = slw_col_dup(&st, 3, a),
                             .made_at_ms = slw_col_i64(&st, 4),
                             .attempts = slw_col_i64(&st, 5),
                             .to = {.id = slw_col_dup(&st, 6, a),
                                    .name = slw_col_dup(&st, 7, a),
                                    .url = slw_col_dup(&st, 8, a),
                                    .secret = slw_col_dup(&st, 9, a)}};
    return SLW_OK;
}

static enum slw_rc
given_up(struct slw_tx *tx, int64_t now_ms, const struct delivery *d,
         const struct slw_webhook_answer *answer, struct slw_err *err)
{
    SLW_AUTO(slw_buf, payload);
    struct slw_jw w;
    slw_jw_init(&w, &payload);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "name", d->to.name);
    slw_jw_kstr(&w, "event", d->event);
    slw_jw_kstr(&w, "delivery", d->id);
    slw_jw_ki64(&w, "attempts", d->attempts + 1);
    slw_jw_ki64(&w, "status", answer->status);
    slw_jw_kz(&w, "reason", answer->error);
    slw_jw_obj_end(&w);
    return slw_event_emit(tx, now_ms, "registry.webhook_failed", d->to.id,
                          slw_buf_view(&payload), err);
}

/* Write an attempt down.  A webhook deleted meanwhile has no such row. */
static enum slw_rc
settle(struct slw_store *s, int64_t now_ms, const struct delivery *d,
       const struct slw_webhook_answer *answer, const char *state,
       struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, s, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &tx, SQL_SETTLE, err));
    slw_stmt_i64(&st, 1, d->row);
    slw_stmt_i64(&st, 2, now_ms);
    slw_stmt_str(&st, 3, slw_str_of(state));
    slw_stmt_i64(&st, 4, answer->status);
    slw_stmt_str(&st, 5, slw_str_of(answer->error));
    TRY(slw_stmt_run(&st, err));
    if (slw_tx_changes(&tx) && strcmp(state, "failed") == 0)
        TRY(given_up(&tx, now_ms, d, answer, err));
    SLW_AUTO(slw_stmt, forget);
    TRY(slw_stmt_prepare(&forget, &tx, SQL_FORGET, err));
    slw_stmt_i64(&forget, 1, d->hook);
    slw_stmt_i64(&forget, 2, SLW_WEBHOOK_KEPT_MAX);
    TRY(slw_stmt_run(&forget, err));
    return slw_tx_commit(&tx, err);
}

/* ---- lanes ---- */

struct lane {
    struct slw_webhooks *w;
    int64_t hook;   /* row of registry_webhook */
    int64_t due_ns; /* not before */
    pthread_t thread;
    bool runs, ended; /* under w->mutex */
};
struct slw_webhooks {
    struct slw_store *store;
    const struct slw_clock *clock;
    int64_t look_ms, pause_ms;
    pthread_t thread;
    bool thread_runs;
    _Atomic bool stop;
    pthread_mutex_t mutex; /* nothing else is taken under it */
    pthread_cond_t wake;
    struct lane **lanes; /* the looking thread's, as is their number */
    size_t lane_count, lane_cap;
};

static int64_t
pause_of(const struct slw_webhooks *w, const struct delivery *d,
         const struct slw_webhook_answer *answer)
{
    int64_t ms = w->pause_ms;
    for (int64_t i = 0; i < d->attempts && ms < PAUSE_MS_MAX; i++)
        ms *= 2;
    if (answer->retry_after_s > RETRY_AFTER_S_MAX)
        return RETRY_AFTER_S_MAX * 1000;
    if (answer->retry_after_s > 0)
        return answer->retry_after_s * 1000;
    return ms < PAUSE_MS_MAX ? ms : PAUSE_MS_MAX;
}

/* The next delivery; *out_pause_ms 0: go on, -1: nothing is left. */
static enum slw_rc
deliver_next(struct lane *l, int64_t *out_pause_ms, struct slw_err *err)
{
    struct slw_webhooks *w = l->w;
    SLW_AUTO(slw_arena, a);
    struct delivery d;
    struct slw_webhook_answer answer;
    bool found = false;
    TRY(next_get(w->store, l->hook, &a, &d, &found, err));
    *out_pause_ms = -1;
    if (!found)
        return SLW_OK;
    slw_webhook_post(&d.to, slw_clock_now_ms(w->clock), d.id, d.body, &w->stop,
                     &a, &answer);
    if (!answer.ok && atomic_load(&w->stop))
        return SLW_OK; /* broken off: no attempt */
    const int64_t now_ms = slw_clock_now_ms(w->clock);
    const int64_t most =
        setting("MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES", RETRY_MAX, 0, 100);
    const bool again =
        answer.retry && d.attempts < most && now_ms - d.made_at_ms < SLW_DAY_MS;
    *out_pause_ms = again ? pause_of(w, &d, &answer) : 0;
    return settle(w->store, now_ms, &d, &answer,
                  answer.ok ? "sent"
                  : again   ? "waiting"
                            : "failed",
                  err);
}

static void *
lane_run(void *arg)
{
    struct lane *l = arg;
    int64_t pause_ms = 0;
    for (int i = 0; i < TURN_MAX && pause_ms == 0 && !atomic_load(&l->w->stop);
         i++) {
        struct slw_err err;
        if (deliver_next(l, &pause_ms, &err) != SLW_OK) {
            slw_log_err(SLW_LOG_WARN, "registry.webhook", &err);
            pause_ms = PAUSE_MS_MAX;
        }
    }
    (void)pthread_mutex_lock(&l->w->mutex);
    l->due_ns = slw_mono_ns() + (pause_ms > 0 ? pause_ms : 0) * 1000000;
    l->ended = true;
    (void)pthread_cond_signal(&l->w->wake);
    (void)pthread_mutex_unlock(&l->w->mutex);
    return NULL;
}

/* ---- the looking thread ---- */

static enum slw_rc
waiting_hooks(struct slw_webhooks *w, struct slw_arena *a, int64_t **out,
              size_t *out_count, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, w->store, err));
    SLW_AUTO(slw_stmt, st);
    int64_t *hooks = NULL;
    size_t count = 0, cap = 0;
    bool row = false;
    TRY(slw_stmt_prepare(&st, &tx, SQL_WAITING, err));
    for (;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        hooks = slw_arena_grow(a, hooks, sizeof *hooks, count, &cap);
        hooks[count++] = slw_col_i64(&st, 0);
    }
    *out = hooks;
    *out_count = count;
    return SLW_OK;
}

static struct lane *
lane_of(struct slw_webhooks *w, int64_t hook)
{
    for (size_t i = 0; i < w->lane_count; i++)
        if (w->lanes[i]->hook == hook)
            return w->lanes[i];
    if (w->lane_count == w->lane_cap) {
        w->lane_cap = w->lane_cap ? 2 * w->lane_cap : 16;
        w->lanes = slw_realloc(w->lanes, w->lane_cap * sizeof *w->lanes);
    }
    struct lane *l = slw_alloc(sizeof *l);
    l->w = w;
    l->hook = hook;
    w->lanes[w->lane_count++] = l;
    return l;
}

/* Join what has ended; forget lanes that nothing waits for.  Returns how many
 * run. */
static size_t
lanes_sweep(struct slw_webhooks *w, const int64_t *hooks, size_t count)
{
    size_t runs = 0, kept = 0;
    for (size_t i = 0; i < w->lane_count; i++) {
        struct lane *l = w->lanes[i];
        (void)pthread_mutex_lock(&w->mutex);
        const bool ended = l->ended;
        (void)pthread_mutex_unlock(&w->mutex);
        if (l->runs && ended) {
            (void)pthread_join(l->thread, NULL);
            l->runs = l->ended = false;
        }
        bool wanted = l->runs;
        for (size_t k = 0; k < count && !wanted; k++)
            wanted = hooks[k] == l->hook;
        runs += l->runs;
        if (wanted)
            w->lanes[kept++] = l;
        else
            slw_free(l);
    }
    w->lane_count = kept;
    return runs;
}

/* Whoever has been due for longest, or NULL. */
static struct lane *
lane_next(struct slw_webhooks *w, const int64_t *hooks, size_t count)
{
    struct lane *next = NULL;
    const int64_t now_ns = slw_mono_ns();
    for (size_t i = 0; i < count; i++) {
        struct lane *l = lane_of(w, hooks[i]);
        if (!l->runs && l->due_ns <= now_ns &&
            (!next || l->due_ns < next->due_ns))
            next = l;
    }
    return next;
}

static enum slw_rc
look(struct slw_webhooks *w, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    int64_t *hooks = NULL;
    size_t count = 0;
    const size_t most = (size_t)setting("MLFLOW_WEBHOOK_DELIVERY_MAX_WORKERS",
                                        LANE_MAX, 1, 100);
    TRY(waiting_hooks(w, &a, &hooks, &count, err));
    for (size_t runs = lanes_sweep(w, hooks, count); runs < most; runs++) {
        struct lane *l = lane_next(w, hooks, count);
        if (!l)
            break;
        l->runs = pthread_create(&l->thread, NULL, lane_run, l) == 0;
        if (!l->runs)
            return slw_fail(err, SLW_LIMIT, "no thread for a webhook");
    }
    return SLW_OK;
}

/* False when it is time to end. */
static bool
pause_here(struct slw_webhooks *w)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    const int64_t ns = until.tv_nsec + w->look_ms * 1000000;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    (void)pthread_mutex_lock(&w->mutex);
    if (!atomic_load(&w->stop))
        (void)pthread_cond_timedwait(&w->wake, &w->mutex, &until);
    (void)pthread_mutex_unlock(&w->mutex);
    return !atomic_load(&w->stop);
}

static void *
look_loop(void *arg)
{
    struct slw_webhooks *w = arg;
    while (pause_here(w)) {
        struct slw_err err;
        if (look(w, &err) != SLW_OK)
            slw_log_err(SLW_LOG_WARN, "registry.webhooks", &err);
    }
    return NULL;
}

enum slw_rc
slw_webhooks_start(struct slw_webhooks **out,
                   const struct slw_webhooks_options *opt, struct slw_err *err)
{
    SLW_ASSERT(opt->store && opt->clock);
    struct slw_webhooks *w = slw_alloc(sizeof *w);
    w->store = opt->store;
    w->clock = opt->clock;
    w->look_ms = opt->look_ms ? opt->look_ms : LOOK_MS;
    w->pause_ms = opt->pause_ms ? opt->pause_ms : PAUSE_MS;
    (void)pthread_mutex_init(&w->mutex, NULL);
    pthread_condattr_t attr; /* a wall clock that is set back stops nothing */
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&w->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    w->thread_runs = pthread_create(&w->thread, NULL, look_loop, w) == 0;
    if (!w->thread_runs) {
        slw_webhooks_stop(w);
        return slw_fail(err, SLW_LIMIT, "no thread for the webhooks");
    }
    *out = w;
    return SLW_OK;
}

void
slw_webhooks_stop(struct slw_webhooks *w)
{
    if (!w)
        return;
    (void)pthread_mutex_lock(&w->mutex);
    atomic_store(&w->stop, true);
    (void)pthread_cond_signal(&w->wake);
    (void)pthread_mutex_unlock(&w->mutex);
    if (w->thread_runs)
        (void)pthread_join(w->thread, NULL);
    for (size_t i = 0; i < w->lane_count; i++) {
        if (w->lanes[i]->runs)
            (void)pthread_join(w->lanes[i]->thread, NULL);
        slw_free(w->lanes[i]);
    }
    slw_free(w->lanes);
    (void)pthread_cond_destroy(&w->wake);
    (void)pthread_mutex_destroy(&w->mutex);
    slw_free(w);
}
