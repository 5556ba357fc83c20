/* notify.c -- alerts leave the house: webhooks and Alertmanager.
 *
 * The event log is the queue: a cursor stands at the last event that reached
 * everybody.  What fails is tried again at the next call; after
 * ATTEMPT_MAX attempts it is given up, with an event that says so. */
#include "monitor/monitor_internal.h"

#include "net/client.h"
#include "store/event.h"

static const char META_CONFIG[] = "monitor.notify";
static const char META_ATTEMPTS[] = "monitor.notify_attempts";
static const char CONSUMER[] = "monitor.notify";

#define ATTEMPT_MAX 10
#define TARGET_MAX 32
#define CALL_TIMEOUT_MS 5000

static bool
is_url(struct slw_str s)
{
    return slw_str_starts(s, "http://") || slw_str_starts(s, "https://");
}

enum slw_rc
slw_monitor_notify_put(struct slw_tx *tx, struct slw_str json,
                       struct slw_err *err)
{
    SLW_AUTO(slw_json, doc);
    TRY(slw_json_parse(&doc, json, err));
    const struct json_t *hooks = slw_json_get(doc.root, "webhooks");
    if (slw_json_len(hooks) > TARGET_MAX)
        return slw_fail(err, SLW_LIMIT, "more than %d webhooks", TARGET_MAX);
    for (size_t i = 0; i < slw_json_len(hooks); i++)
        if (!is_url(slw_json_str_or(slw_json_at(hooks, i), SLW_STR(""))))
            return slw_fail(err, SLW_INVALID,
                            "webhooks[%zu] must be an http or https address",
                            i);
    struct slw_str manager = SLW_STR("");
    TRY(slw_json_opt_str(doc.root, "alertmanager", &manager, err));
    if (manager.len && !is_url(manager))
        return slw_fail(err, SLW_INVALID,
                        "alertmanager must be an http or https address");
    return slw_meta_set(tx, META_CONFIG, json, err);
}

/* 2xx is delivered. */
static enum slw_rc
post(const char *url, struct slw_str body, struct slw_err *err)
{
    SLW_AUTO(slw_reply, reply);
    struct slw_call c = {.method = "POST",
                         .url = url,
                         .body = body,
                         .timeout_ms = CALL_TIMEOUT_MS};
    TRY(slw_call(&c, &reply, err));
    if (reply.status < 200 || reply.status > 299)
        return slw_fail(err, SLW_IO, "%s answered %d", url, reply.status);
    return SLW_OK;
}

static void
webhook_body(struct slw_jw *w, const struct slw_event *e)
{
    char at[SLW_TIME_TEXT_SIZE];
    slw_jw_obj(w);
    slw_jw_ki64(w, "id", e->id);
    slw_jw_kstr(w, "kind", e->kind);
    slw_jw_kz(w, "at", slw_time_text(e->at_ms, at));
    slw_jw_kstr(w, "deployment", e->subject);
    slw_jw_kraw(w, "alert", e->payload);
    slw_jw_obj_end(w);
}

/* Alertmanager's v2: labels identify, annotations tell; endsAt resolves. */
static void
alertmanager_body(struct slw_jw *w, const struct slw_event *e,
                  const struct json_t *alert)
{
    char at[SLW_TIME_TEXT_SIZE];
    bool closed = slw_str_eqz(e->kind, "monitor.alert_closed");
    struct slw_str kind =
        slw_json_str_or(slw_json_get(alert, "kind"), SLW_STR("alert"));
    slw_jw_arr(w);
    slw_jw_obj(w);
    slw_jw_key(w, "labels");
    slw_jw_obj(w);
    slw_jw_kz(w, "alertname",
              slw_str_eqz(kind, "drift") ? "SlipwayDrift"
                                         : "SlipwayPerformance");
    slw_jw_kstr(w, "deployment", e->subject);
    slw_jw_kstr(w, "kind", kind);
    slw_jw_kz(w, "severity", "warning");
    slw_jw_obj_end(w);
    slw_jw_key(w, "annotations");
    slw_jw_obj(w);
    slw_jw_kstr(w, "summary",
                slw_json_str_or(slw_json_get(alert, "reason"), SLW_STR("")));
    slw_jw_kstr(w, "dataset",
                slw_json_str_or(slw_json_get(alert, "dataset"), SLW_STR("")));
    slw_jw_kstr(w, "release",
                slw_json_str_or(slw_json_get(alert, "release"), SLW_STR("")));
    slw_jw_obj_end(w);
    slw_jw_kz(w, closed ? "endsAt" : "startsAt", slw_time_text(e->at_ms, at));
    slw_jw_obj_end(w);
    slw_jw_arr_end(w);
}

static enum slw_rc
deliver(const struct json_t *config, const struct slw_event *e,
        struct slw_arena *a, struct slw_err *err)
{
    SLW_AUTO(slw_json, alert);
    TRY(slw_json_parse(&alert, e->payload, err));
    const struct json_t *hooks = slw_json_get(config, "webhooks");
    SLW_AUTO(slw_buf, body);
    struct slw_jw w;
    slw_jw_init(&w, &body);
    webhook_body(&w, e);
    for (size_t i = 0; i < slw_json_len(hooks); i++)
        TRY(post(slw_arena_strz(
                     a, slw_json_str_or(slw_json_at(hooks, i), SLW_STR(""))),
                 slw_buf_view(&body), err));
    struct slw_str manager =
        slw_json_str_or(slw_json_get(config, "alertmanager"), SLW_STR(""));
    if (manager.len == 0)
        return SLW_OK;
    if (manager.ptr[manager.len - 1] == '/')
        manager.len--;
    slw_buf_clear(&body);
    slw_jw_init(&w, &body);
    alertmanager_body(&w, e, alert.root);
    return post(slw_arena_printf(a, "%.*s/api/v2/alerts", SLW_FMT(manager)).ptr,
                slw_buf_view(&body), err);
}

/* Attempts at the event the cursor waits for. */
static enum slw_rc
attempts_get(struct slw_tx *tx, struct slw_arena *a, int64_t *out,
             struct slw_err *err)
{
    struct slw_str text;
    enum slw_rc rc = slw_meta_get(tx, META_ATTEMPTS, a, &text, err);
    *out = 0;
    if (rc == SLW_NOT_FOUND)
        return SLW_OK;
    TRY(rc);
    return slw_str_i64(text, out, err);
}

static enum slw_rc
settle(struct slw_store *s, int64_t now_ms, const struct slw_event *e,
       enum slw_rc outcome, const struct slw_err *why, struct slw_arena *a,
       bool *out_moved, struct slw_err *err)
{
    int64_t attempts = 0;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, s, err));
    TRY(attempts_get(&tx, a, &attempts, err));
    attempts++;
    *out_moved = outcome == SLW_OK || attempts >= ATTEMPT_MAX;
    if (outcome != SLW_OK && *out_moved) {
        SLW_AUTO(slw_buf, payload);
        struct slw_jw w;
        slw_jw_init(&w, &payload);
        slw_jw_obj(&w);
        slw_jw_ki64(&w, "event", e->id);
        slw_jw_kz(&w, "error", why->msg);
        slw_jw_obj_end(&w);
        TRY(slw_event_emit(&tx, now_ms, "monitor.notify_failed", e->subject,
                           slw_buf_view(&payload), err));
    }
    if (*out_moved) {
        TRY(slw_event_cursor_put(&tx, CONSUMER, e->id, err));
        attempts = 0;
    }
    struct slw_str text = slw_arena_printf(a, "%lld", (long long)attempts);
    TRY(slw_meta_set(&tx, META_ATTEMPTS, text, err));
    return slw_tx_commit(&tx, err);
}

/* The next event to deliver, and where to. */
static enum slw_rc
next_event(struct slw_store *s, struct slw_arena *a, struct slw_event *out,
           struct slw_str *out_config, struct slw_err *err)
{
    int64_t after = 0;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, s, err));
    TRY(slw_event_cursor_get(&tx, CONSUMER, &after, err));
    TRY(slw_event_after(&tx, after, SLW_STR("monitor.alert"), SLW_STR(""), a,
                        out, err));
    enum slw_rc rc = slw_meta_get(&tx, META_CONFIG, a, out_config, err);
    if (rc == SLW_NOT_FOUND) {
        *out_config = SLW_STR("{}");
        return SLW_OK;
    }
    return rc;
}

enum slw_rc
slw_monitor_notify(struct slw_store *s, int64_t now_ms, int *out_sent,
                   struct slw_err *err)
{
    int sent = 0;
    for (bool moved = true; moved;) {
        SLW_AUTO(slw_arena, a);
        struct slw_event e;
        struct slw_str text;
        enum slw_rc rc = next_event(s, &a, &e, &text, err);
        if (rc == SLW_NOT_FOUND)
            break;
        TRY(rc);
        SLW_AUTO(slw_json, config);
        TRY(slw_json_parse(&config, text, err));
        struct slw_err why;
        rc = deliver(config.root, &e, &a, &why);
        TRY(settle(s, now_ms, &e, rc, &why, &a, &moved, err));
        sent += rc == SLW_OK;
    }
    *out_sent = sent;
    return SLW_OK;
}
