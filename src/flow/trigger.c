/* trigger.c -- when to retrain.
 *
 * A trigger has a cause: an alert, a dataset's new version, the clock.  Every
 * cause of the first two kinds leaves a decision, also the one not to fire,
 * with its reason; without a cause nothing is written, so the list can be
 * read.  A run in progress and the cooldown hold back; an alert that is still
 * open when the cooldown is over fires then. */
#include "flow/flow_internal.h"

#include "store/event.h"

static const char CURSOR_ALERT[] = "flow.alert";

/* ---- deciding ---- */

struct cause {
    const char *trigger;
    struct slw_str why; /* "28 days of new data since prices@2" */
    bool quiet;         /* held back: say nothing */
};

static struct slw_str
spec_text(const struct flow_policy *p, int64_t now_ms, struct slw_str why,
          struct slw_arena *a)
{
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "model", p->model);
    slw_jw_ki64(&w, "as_of_ms", now_ms);
    slw_jw_kz(&w, "until", "promote");
    if (p->reuse)
        slw_jw_kz(&w, "search", "reuse");
    slw_jw_kstr(&w, "reason", why);
    slw_jw_obj_end(&w);
    return slw_arena_str(a, slw_buf_view(&text));
}

/* Why it must not fire now; "" when it may. */
static enum slw_rc
held_back(struct slw_tx *tx, int64_t now_ms, const struct flow_policy *p,
          struct slw_arena *a, struct slw_str *out, struct slw_err *err)
{
    int64_t moving = 0, last_ms = 0;
    char until[SLW_TIME_TEXT_SIZE];
    *out = SLW_STR("");
    TRY(flow_run_moving(tx, p->model, &moving, err));
    if (moving) {
        *out = slw_arena_printf(a, "run %lld in progress", (long long)moving);
        return SLW_OK;
    }
    TRY(flow_run_last_ms(tx, p->model, false, &last_ms, err));
    if (last_ms != INT64_MIN && now_ms - last_ms < p->cooldown_ms)
        *out = slw_arena_printf(a, "cooldown until %s",
                                slw_time_text(last_ms + p->cooldown_ms, until));
    return SLW_OK;
}

static enum slw_rc
decide(struct slw_tx *tx, int64_t now_ms, const struct flow_policy *p,
       const struct cause *c, struct slw_arena *a, bool *out_wrote,
       struct slw_err *err)
{
    struct slw_str held;
    int64_t id = 0;
    TRY(held_back(tx, now_ms, p, a, &held, err));
    *out_wrote = held.len == 0 || !c->quiet;
    if (held.len && c->quiet)
        return SLW_OK;
    if (held.len)
        return flow_decision_add(tx, now_ms, p->model, c->trigger, false,
                                 slw_arena_printf(a, "not fired: %.*s (%.*s)",
                                                  SLW_FMT(held),
                                                  SLW_FMT(c->why)),
                                 0, err);
    struct slw_str deployment = p->deployment;
    if (deployment.len == 0)
        TRY(flow_deployment_of(tx, p->model, a, &deployment, err));
    const struct flow_run run = {
        .model = p->model,
        .deployment = deployment,
        .trigger = slw_str_of(c->trigger),
        .spec = spec_text(p, now_ms, c->why, a),
        .when_refused = p->when_refused,
        .reason = slw_arena_printf(a, "%s: %.*s", c->trigger, SLW_FMT(c->why))};
    TRY(flow_run_add(tx, now_ms, &run, &id, err));
    return flow_decision_add(
        tx, now_ms, p->model, c->trigger, true,
        slw_arena_printf(a, "fired: %.*s", SLW_FMT(c->why)), id, err);
}

/* ---- alerts ---- */

static bool
wants(const struct flow_policy *p, struct slw_str deployment,
      struct slw_str kind, const char **out_trigger)
{
    if (!slw_str_eq(p->deployment, deployment))
        return false;
    if (p->on_drift && slw_str_eqz(kind, "drift"))
        *out_trigger = "drift";
    else if (p->on_performance && slw_str_eqz(kind, "performance"))
        *out_trigger = "performance";
    else
        return false;
    return true;
}

static enum slw_rc
alert_decide(struct slw_tx *tx, int64_t now_ms, const struct slw_event *e,
             struct slw_arena *a, struct slw_err *err)
{
    size_t count = 0;
    struct flow_policy *policies = NULL;
    SLW_AUTO(slw_json, alert);
    TRY(slw_json_parse(&alert, e->payload, err));
    const struct slw_str kind =
        slw_json_str_or(slw_json_get(alert.root, "kind"), SLW_STR(""));
    struct cause c = {.why = slw_arena_str(
                          a, slw_json_str_or(slw_json_get(alert.root, "reason"),
                                             SLW_STR("an alert")))};
    TRY(flow_policies(tx, a, &policies, &count, err));
    for (size_t i = 0; i < count; i++) {
        bool wrote = false;
        if (wants(&policies[i], e->subject, kind, &c.trigger))
            TRY(decide(tx, now_ms, &policies[i], &c, a, &wrote, err));
    }
    return SLW_OK;
}

/* The next event after a cursor.  Errors NOT_FOUND: none */
static enum slw_rc
next_event(struct slw_store *s, const char *cursor, const char *prefix,
           struct slw_arena *a, struct slw_event *out, struct slw_err *err)
{
    int64_t after = 0;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, s, err));
    TRY(slw_event_cursor_get(&tx, cursor, &after, err));
    return slw_event_after(&tx, after, slw_str_of(prefix), SLW_STR(""), a, out,
                           err);
}

enum slw_rc
flow_trigger_alerts(struct slw_flow *f, bool *out_moved, struct slw_err *err)
{
    for (;;) {
        SLW_AUTO(slw_arena, a);
        struct slw_event e;
        const enum slw_rc rc =
            next_event(f->store, CURSOR_ALERT, "monitor.alert", &a, &e, err);
        if (rc == SLW_NOT_FOUND)
            return SLW_OK;
        TRY(rc);
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_begin(&tx, f->store, err));
        if (slw_str_eqz(e.kind, "monitor.alert"))
            TRY(alert_decide(&tx, slw_clock_now_ms(f->clock), &e, &a, err));
        TRY(slw_event_cursor_put(&tx, CURSOR_ALERT, e.id, err));
        TRY(slw_tx_commit(&tx, err));
        *out_moved = true;
    }
}

/* ---- new data ---- */

enum slw_rc
flow_source_newest(struct slw_tx *tx, int64_t now_ms, struct slw_str model,
                   struct slw_arena *a, struct slw_dataset *out,
                   struct slw_err *err)
{
    struct slw_str text, source;
    SLW_AUTO(slw_json, def);
    TRY(slw_train_model_get(tx, model, a, &text, err));
    TRY(slw_json_parse(&def, text, err));
    TRY(slw_json_need_str(slw_json_get(def.root, "target"), "of", &source,
                          err));
    return slw_data_get_at(tx, slw_arena_str(a, source), now_ms, a, out, err);
}

struct baseline {
    int64_t event_max_ms; /* newest data the model has seen; INT64_MIN: none */
    int64_t version;      /* of the dataset */
};

/* Raise the baseline to what one release was trained on. */
static enum slw_rc
baseline_raise(struct slw_flow *f, struct slw_tx *tx, struct slw_str release,
               struct slw_str source, struct slw_arena *a,
               struct baseline *base, struct slw_err *err)
{
    struct slw_dataset d;
    int64_t as_of_ms = INT64_MAX;
    SLW_AUTO(slw_json, doc);
    if (release.len == 0)
        return SLW_OK;
    TRY(slw_release_get(f->store, slw_arena_strz(a, release), &doc, err));
    const struct json_t *pin = slw_json_get(slw_json_get(doc.root, "datasets"),
                                            slw_arena_strz(a, source));
    const int64_t version = slw_json_i64_or(slw_json_get(pin, "version"), 0);
    TRY(slw_json_opt_i64(doc.root, "as_of_ms", &as_of_ms, err));
    if (version == 0)
        return SLW_OK;
    TRY(slw_data_get(
        tx,
        slw_arena_printf(a, "%.*s@%lld", SLW_FMT(source), (long long)version),
        a, &d, err));
    const int64_t seen_ms =
        d.event_max_ms < as_of_ms ? d.event_max_ms : as_of_ms;
    if (seen_ms > base->event_max_ms)
        *base = (struct baseline){seen_ms, version};
    return SLW_OK;
}

/* The champion's data, or those of the version trained last, whichever are
 * newer: a retrain that was refused has seen its data too. */
static enum slw_rc
baseline_of(struct slw_flow *f, struct slw_tx *tx, struct slw_str model,
            struct slw_str source, struct slw_arena *a, struct baseline *out,
            struct slw_err *err)
{
    static const char *const refs[] = {"champion", "latest"};
    *out = (struct baseline){.event_max_ms = INT64_MIN};
    for (size_t i = 0; i < SLW_ARRAY_LEN(refs); i++) {
        struct slw_version v;
        const enum slw_rc rc = slw_registry_version_find(
            tx, model, slw_str_of(refs[i]), a, &v, err);
        if (rc == SLW_NOT_FOUND)
            continue;
        TRY(rc);
        TRY(baseline_raise(f, tx, v.release, source, a, out, err));
    }
    return SLW_OK;
}

static enum slw_rc
new_data_decide(struct slw_flow *f, struct slw_tx *tx, int64_t now_ms,
                const struct flow_policy *p, struct slw_arena *a,
                struct slw_err *err)
{
    struct slw_dataset newest;
    struct baseline base;
    bool wrote = false;
    const enum slw_rc rc =
        flow_source_newest(tx, now_ms, p->model, a, &newest, err);
    if (rc == SLW_NOT_FOUND)
        return SLW_OK;
    TRY(rc);
    TRY(baseline_of(f, tx, p->model, newest.name, a, &base, err));
    if (base.event_max_ms == INT64_MIN)
        return SLW_OK; /* never trained: the first time is by hand */
    const double day = (double)SLW_DAY_MS;
    const int64_t span_ms = newest.event_max_ms - base.event_max_ms;
    const struct slw_str why =
        slw_arena_printf(a, "%.4g day%s of new data since %.*s@%lld",
                         (double)(span_ms > 0 ? span_ms : 0) / day,
                         span_ms == SLW_DAY_MS ? "" : "s", SLW_FMT(newest.name),
                         (long long)base.version);
    if (span_ms < p->new_data_ms)
        return flow_decision_add(
            tx, now_ms, p->model, "new_data", false,
            slw_arena_printf(a, "not fired: %.*s, %.4g are wanted",
                             SLW_FMT(why), (double)p->new_data_ms / day),
            0, err);
    const struct cause c = {.trigger = "new_data", .why = why};
    return decide(tx, now_ms, p, &c, a, &wrote, err);
}

/* An alert about the present champion that is still open. */
static enum slw_rc
open_alert_decide(struct slw_tx *tx, int64_t now_ms,
                  const struct flow_policy *p, struct slw_arena *a,
                  struct slw_err *err)
{
    struct slw_deployment d;
    SLW_AUTO(slw_buf, text);
    SLW_AUTO(slw_json, alerts);
    struct slw_jw w;
    const enum slw_rc rc = slw_serve_get(tx, p->deployment, a, &d, err);
    if (rc == SLW_NOT_FOUND || p->cooldown_ms == 0)
        return SLW_OK;
    TRY(rc);
    slw_jw_init(&w, &text);
    TRY(slw_monitor_alerts(tx, p->deployment, SLW_STR("open"), 100, &w, err));
    TRY(slw_json_parse(&alerts, slw_buf_view(&text), err));
    for (size_t i = 0; i < slw_json_len(alerts.root); i++) {
        const struct json_t *al = slw_json_at(alerts.root, i);
        struct cause c = {.quiet = true};
        bool wrote = false;
        if (!slw_str_eq(
                slw_json_str_or(slw_json_get(al, "release"), SLW_STR("")),
                d.champion) ||
            !wants(p, p->deployment,
                   slw_json_str_or(slw_json_get(al, "kind"), SLW_STR("")),
                   &c.trigger))
            continue;
        c.why = slw_arena_printf(
            a, "an alert is still open: %.*s",
            SLW_FMT(slw_json_str_or(slw_json_get(al, "reason"), SLW_STR(""))));
        TRY(decide(tx, now_ms, p, &c, a, &wrote, err));
        if (wrote)
            return SLW_OK;
    }
    return SLW_OK;
}

enum slw_rc
flow_trigger_data(struct slw_flow *f, struct slw_tx *tx, struct slw_err *err)
{
    size_t count = 0;
    struct flow_policy *policies = NULL;
    const int64_t now_ms = slw_clock_now_ms(f->clock);
    SLW_AUTO(slw_arena, a);
    TRY(flow_policies(tx, &a, &policies, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (policies[i].deployment.len)
            TRY(open_alert_decide(tx, now_ms, &policies[i], &a, err));
        if (policies[i].new_data_ms)
            TRY(new_data_decide(f, tx, now_ms, &policies[i], &a, err));
    }
    return SLW_OK;
}

/* ---- schedule ---- */

/* Due: the span has passed since the last run, or since the policy was
 * declared. */
static enum slw_rc
schedule_due(struct slw_tx *tx, int64_t now_ms, const struct flow_policy *p,
             bool *out, struct slw_err *err)
{
    int64_t last_ms = 0;
    TRY(flow_run_last_ms(tx, p->model, true, &last_ms, err));
    if (last_ms < p->updated_at_ms)
        last_ms = p->updated_at_ms;
    *out = p->every_ms && now_ms - last_ms >= p->every_ms;
    return SLW_OK;
}

static enum slw_rc
schedule_any(struct slw_flow *f, int64_t now_ms, bool *out, struct slw_err *err)
{
    size_t count = 0;
    struct flow_policy *policies = NULL;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, f->store, err));
    TRY(flow_policies(&tx, &a, &policies, &count, err));
    *out = false;
    for (size_t i = 0; i < count && !*out; i++) {
        struct slw_str held;
        TRY(schedule_due(&tx, now_ms, &policies[i], out, err));
        if (!*out)
            continue;
        TRY(held_back(&tx, now_ms, &policies[i], &a, &held, err));
        *out = held.len == 0;
    }
    return SLW_OK;
}

enum slw_rc
flow_trigger_schedule(struct slw_flow *f, bool *out_moved, struct slw_err *err)
{
    size_t count = 0;
    bool any = false;
    struct flow_policy *policies = NULL;
    const int64_t now_ms = slw_clock_now_ms(f->clock);
    TRY(schedule_any(f, now_ms, &any, err));
    if (!any)
        return SLW_OK;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, f->store, err));
    TRY(flow_policies(&tx, &a, &policies, &count, err));
    for (size_t i = 0; i < count; i++) {
        bool due = false, wrote = false;
        TRY(schedule_due(&tx, now_ms, &policies[i], &due, err));
        if (!due)
            continue;
        const struct cause c = {
            .trigger = "schedule",
            .why = slw_arena_printf(
                &a, "every %.4g day%s",
                (double)policies[i].every_ms / (double)SLW_DAY_MS,
                policies[i].every_ms == SLW_DAY_MS ? "" : "s"),
            .quiet = true};
        TRY(decide(&tx, now_ms, &policies[i], &c, &a, &wrote, err));
        *out_moved |= wrote;
    }
    return slw_tx_commit(&tx, err);
}
