/* window.c -- what follows new data: a refresh in a child (features online,
 * labels of past predictions), then every monitor's window that is due.
 *
 *   data.version_added --> refresh queued --ended--> windows --> triggers
 *        (cursor)            (mark "refresh")       (mark a monitor)
 *
 * One refresh at a time: versions that arrive meanwhile wait for the next,
 * which then sees all of them. */
#include "flow/flow_internal.h"

#include "base/log.h"
#include "store/event.h"

static const char CURSOR_DATA[] = "flow.data";
static const struct slw_str MARK_REFRESH = {"refresh", 7};

/* ---- windows ---- */

static enum slw_rc
seen_one(void *ctx, const struct slw_prediction *p, struct slw_err *err)
{
    *(bool *)ctx = true;
    return slw_fail(err, SLW_LIMIT, "one is enough");
}

static enum slw_rc
any_prediction(struct slw_flow *f, struct slw_str deployment, int64_t from_ms,
               int64_t to_ms, bool *out, struct slw_err *err)
{
    bool seen = false;
    const enum slw_rc rc = slw_serve_log_scan(f->store, deployment, from_ms,
                                              to_ms, seen_one, &seen, err);
    *out = seen;
    return seen ? SLW_OK : rc;
}

struct due {
    struct slw_str name, mark;
    int64_t from_ms, to_ms;
    bool due;
};

static int64_t
day_end(int64_t ms)
{
    return (slw_time_index(ms, SLW_DAY_MS) + 1) * SLW_DAY_MS - 1;
}

/* Something must be deployed, and the end of the newest data's day must be
 * `every` after the last window's. */
static enum slw_rc
window_due(struct slw_tx *tx, int64_t now_ms, struct slw_str name,
           struct slw_arena *a, struct due *out, struct slw_err *err)
{
    struct slw_str text;
    struct slw_deployment d;
    struct slw_dataset newest;
    int64_t window_ms = 20 * SLW_DAY_MS, every_ms = SLW_DAY_MS, last_ms = 0;
    *out =
        (struct due){.name = name,
                     .mark = slw_arena_printf(a, "window/%.*s", SLW_FMT(name))};
    enum slw_rc rc = slw_serve_get(tx, name, a, &d, err);
    if (rc == SLW_NOT_FOUND || (rc == SLW_OK && d.champion.len == 0))
        return SLW_OK;
    TRY(rc);
    rc = flow_source_newest(tx, now_ms, d.model, a, &newest, err);
    if (rc == SLW_NOT_FOUND)
        return SLW_OK;
    TRY(rc);
    SLW_AUTO(slw_json, def);
    TRY(slw_monitor_get(tx, name, a, &text, err));
    TRY(slw_json_parse(&def, text, err));
    TRY(slw_json_opt_i64(def.root, "window_ms", &window_ms, err));
    TRY(slw_json_opt_i64(def.root, "every_ms", &every_ms, err));
    TRY(flow_mark_get(tx, out->mark, &last_ms, err));
    out->to_ms = day_end(newest.event_max_ms);
    out->from_ms = out->to_ms - window_ms + 1;
    out->due = out->to_ms != last_ms &&
               (last_ms == 0 || out->to_ms - last_ms >= every_ms);
    return SLW_OK;
}

/* A window that cannot be judged is an event, not the end of the loop. */
static enum slw_rc
window_fail(struct slw_flow *f, int64_t now_ms, const struct due *due,
            const struct slw_err *why, struct slw_err *err)
{
    SLW_AUTO(slw_buf, payload);
    struct slw_jw w;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, f->store, err));
    TRY(flow_mark_put(&tx, due->mark, due->to_ms, err));
    slw_jw_init(&w, &payload);
    slw_jw_obj(&w);
    slw_jw_ki64(&w, "to_ms", due->to_ms);
    slw_jw_kz(&w, "error", why->msg);
    slw_jw_obj_end(&w);
    TRY(slw_event_emit(&tx, now_ms, "flow.window_failed", due->name,
                       slw_buf_view(&payload), err));
    return slw_tx_commit(&tx, err);
}

/* In the transaction of the window's row: judged and marked, or neither. */
static enum slw_rc
window_mark(struct slw_tx *tx, void *ctx, struct slw_err *err)
{
    const struct due *due = ctx;
    return flow_mark_put(tx, due->mark, due->to_ms, err);
}

static enum slw_rc
window_judge(struct slw_flow *f, int64_t now_ms, struct due *due,
             struct slw_err *err)
{
    bool any = false;
    SLW_AUTO(slw_buf, result);
    struct slw_jw w;
    TRY(any_prediction(f, due->name, due->from_ms, due->to_ms, &any, err));
    if (!any)
        return SLW_OK;
    slw_jw_init(&w, &result);
    const enum slw_rc rc =
        slw_monitor_window_also(f->store, now_ms, due->name, due->from_ms,
                                due->to_ms, window_mark, due, &w, err);
    if (rc == SLW_OK || flow_is_passing(rc))
        return rc;
    slw_log_err(SLW_LOG_WARN, "flow.window", err);
    const struct slw_err why = *err;
    return window_fail(f, now_ms, due, &why, err);
}

static enum slw_rc
windows_due(struct slw_flow *f, int64_t now_ms, struct slw_arena *a,
            struct due **out, size_t *out_count, struct slw_err *err)
{
    struct slw_str *names = NULL;
    size_t count = 0;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, f->store, err));
    TRY(slw_monitor_list(&tx, a, &names, &count, err));
    struct due *list = SLW_ARENA_NEW(a, struct due, count + 1);
    for (size_t i = 0; i < count; i++)
        TRY(window_due(&tx, now_ms, names[i], a, &list[i], err));
    *out = list;
    *out_count = count;
    return SLW_OK;
}

/* Judge every window that is due. */
static enum slw_rc
windows_judge(struct slw_flow *f, struct slw_err *err)
{
    const int64_t now_ms = slw_clock_now_ms(f->clock);
    struct due *list = NULL;
    size_t count = 0;
    SLW_AUTO(slw_arena, a);
    TRY(windows_due(f, now_ms, &a, &list, &count, err));
    for (size_t i = 0; i < count; i++)
        if (list[i].due)
            TRY(window_judge(f, now_ms, &list[i], err));
    return SLW_OK;
}

/* ---- refresh ---- */

/* The newest unhandled data event.  Out *last_id 0: none */
static enum slw_rc
data_events(struct slw_tx *tx, struct slw_arena *a, int64_t *last_id,
            struct slw_err *err)
{
    int64_t at = 0;
    *last_id = 0;
    TRY(slw_event_cursor_get(tx, CURSOR_DATA, &at, err));
    for (;;) {
        struct slw_event e;
        const enum slw_rc rc = slw_event_after(
            tx, at, SLW_STR("data.version_added"), SLW_STR(""), a, &e, err);
        if (rc == SLW_NOT_FOUND)
            return SLW_OK;
        TRY(rc);
        at = *last_id = e.id;
    }
}

static enum slw_rc
refresh_queue(struct slw_flow *f, bool *out_moved, struct slw_err *err)
{
    const int64_t now_ms = slw_clock_now_ms(f->clock);
    int64_t last_id = 0, job_id = 0;
    struct slw_view *views = NULL;
    size_t view_count = 0;
    SLW_AUTO(slw_arena, a);
    {
        SLW_AUTO(slw_tx, read);
        TRY(slw_tx_read(&read, f->store, err));
        TRY(data_events(&read, &a, &last_id, err));
        if (last_id == 0)
            return SLW_OK;
        TRY(slw_features_view_list(&read, &a, &views, &view_count, err));
    }
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, f->store, err));
    if (view_count) {
        const struct slw_str spec =
            slw_arena_printf(&a, "{\"at_ms\":%lld}", (long long)now_ms);
        const struct slw_str key =
            slw_arena_printf(&a, "flow.refresh/%lld", (long long)last_id);
        TRY(slw_job_put(&tx, now_ms, "flow.refresh", SLW_STR("features"), key,
                        spec, &job_id, err));
        TRY(flow_mark_put(&tx, MARK_REFRESH, job_id, err));
    }
    TRY(slw_event_cursor_put(&tx, CURSOR_DATA, last_id, err));
    TRY(slw_tx_commit(&tx, err));
    if (f->jobs && job_id)
        slw_jobs_wake(f->jobs);
    *out_moved = true;
    return SLW_OK;
}

static enum slw_rc
refresh_end(struct slw_flow *f, const struct slw_job *job, struct slw_err *err)
{
    bool ignored = false;
    TRY(windows_judge(f, err));
    TRY(flow_trigger_alerts(f, &ignored, err));
    /* One transaction: killed between the two, the next look would decide
     * about the same data once more. */
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, f->store, err));
    TRY(flow_trigger_data(f, &tx, err));
    TRY(flow_mark_put(&tx, MARK_REFRESH, 0, err));
    if (job->state != SLW_JOB_SUCCEEDED) {
        SLW_AUTO(slw_buf, payload);
        struct slw_jw w;
        slw_log(SLW_LOG_WARN, "flow.refresh", "job=%lld state=%s error=%.*s",
                (long long)job->id, slw_job_state_name(job->state),
                SLW_FMT(job->error));
        slw_jw_init(&w, &payload);
        slw_jw_obj(&w);
        slw_jw_ki64(&w, "job", job->id);
        slw_jw_kstr(&w, "error", job->error);
        slw_jw_obj_end(&w);
        TRY(slw_event_emit(&tx, slw_clock_now_ms(f->clock),
                           "flow.refresh_failed", SLW_STR("features"),
                           slw_buf_view(&payload), err));
    }
    return slw_tx_commit(&tx, err);
}

enum slw_rc
flow_refresh_look(struct slw_flow *f, bool *out_moved, struct slw_err *err)
{
    int64_t job_id = 0;
    struct slw_job job;
    SLW_AUTO(slw_arena, a);
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, f->store, err));
        TRY(flow_mark_get(&tx, MARK_REFRESH, &job_id, err));
        if (job_id)
            TRY(slw_job_get(&tx, job_id, &a, &job, err));
    }
    if (job_id == 0)
        return refresh_queue(f, out_moved, err);
    if (job.state == SLW_JOB_QUEUED || job.state == SLW_JOB_RUNNING)
        return SLW_OK;
    *out_moved = true;
    return refresh_end(f, &job, err);
}
