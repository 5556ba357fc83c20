/* pipeline.c -- a run moves on by one step a look.
 *
 *   snapshot -> train -> gate -> deploy -> canary -> promoted
 *                          |                 \-----> rolled_back
 *                          \-> refuse -> refused            any -> failed
 *
 * Changes of a deployment cannot stand in the transaction of the run's row
 * (serving swaps memory after its own commit).  So the states deploy, canary
 * and refuse first look at what the deployment's row says already, write down
 * what they find, and act only where nothing has been done: a crash between
 * the two leaves a deployment that the next look understands.  The same look
 * understands people who promote or roll back by hand. */
#include "flow/flow_internal.h"

#include <math.h>

struct move {
    struct slw_flow *f;
    struct flow_run *run;
    struct slw_json spec;
    struct slw_arena a;
    int64_t now_ms;
};

static void
move_done(struct move *m)
{
    slw_json_done(&m->spec);
    slw_arena_done(&m->a);
}

/* ---- small parts ---- */

static enum slw_rc
step_write(struct move *m, const char *state, const char *step,
           struct slw_str reason, struct slw_str detail, bool ended,
           struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, m->f->store, err));
    TRY(flow_run_move(&tx, m->now_ms, m->run, state, step, reason, detail,
                      ended, err));
    return slw_tx_commit(&tx, err);
}

static enum slw_rc
run_end(struct move *m, const char *state, const char *step,
        struct slw_str reason, struct slw_err *err)
{
    return step_write(m, state, step, reason, SLW_STR(""), true, err);
}

static enum slw_rc
run_fail(struct move *m, const char *what, struct slw_str why,
         struct slw_err *err)
{
    return run_end(m, "failed", "failed",
                   slw_arena_printf(&m->a, "%s: %.*s", what, SLW_FMT(why)),
                   err);
}

static bool
until(const struct move *m, const char *word)
{
    return slw_str_eqz(slw_json_str_or(slw_json_get(m->spec.root, "until"),
                                       SLW_STR("promote")),
                       word);
}

/* ---- snapshot ---- */

/* Out  the pins of the spec, or of what was known */
static enum slw_rc
pins_text(struct move *m, struct slw_tx *tx, int64_t as_of_ms,
          struct slw_str *out, struct slw_err *err)
{
    const struct json_t *given = slw_json_get(m->spec.root, "pins");
    SLW_AUTO(slw_buf, versions);
    SLW_AUTO(slw_buf, hashes);
    struct slw_jw v, h;
    slw_jw_init(&v, &versions);
    slw_jw_init(&h, &hashes);
    if (slw_json_type(given) == SLW_JSON_OBJECT)
        slw_jw_node(&v, given);
    else
        TRY(slw_data_pins(tx, as_of_ms, &v, &h, err));
    *out = slw_arena_str(&m->a, slw_buf_view(&versions));
    return SLW_OK;
}

/* "prices@3, volumes@1" */
static struct slw_str
pins_words(const struct json_t *pins, struct slw_arena *a)
{
    SLW_AUTO(slw_buf, b);
    for (void *it = slw_json_iter(pins); it; it = slw_json_next(pins, it))
        slw_buf_printf(&b, "%s%.*s@%lld", b.len ? ", " : "",
                       SLW_FMT(slw_json_iter_key(it)),
                       (long long)slw_json_i64_or(slw_json_iter_value(it), 0));
    return slw_arena_str(a, slw_buf_view(&b));
}

/* {"arnet": {…}}: what was chosen in a search's table, and its parameters. */
static struct slw_str
table_params(const struct json_t *table, struct slw_arena *a)
{
    for (size_t i = 0; i < slw_json_len(table); i++) {
        const struct json_t *e = slw_json_at(table, i);
        if (!slw_json_bool_or(slw_json_get(e, "chosen"), false))
            continue;
        SLW_AUTO(slw_buf, text);
        struct slw_jw w;
        slw_jw_init(&w, &text);
        slw_jw_obj(&w);
        slw_jw_keys(
            &w, slw_json_str_or(slw_json_get(e, "candidate"), SLW_STR("?")));
        slw_jw_node(&w, slw_json_get(e, "params"));
        slw_jw_obj_end(&w);
        return slw_arena_str(a, slw_buf_view(&text));
    }
    return SLW_STR("");
}

/* What the last whole search of the model found.  Out  "" none */
static enum slw_rc
searched_params(struct move *m, struct slw_str *out, struct slw_err *err)
{
    int64_t before = 0;
    *out = SLW_STR("");
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, m->f->store, err));
    for (;;) {
        struct slw_job *jobs = NULL;
        size_t count = 0;
        TRY(slw_job_list(&tx, SLW_STR("flow.train"), m->run->model, before, 20,
                         &m->a, &jobs, &count, err));
        for (size_t i = 0; i < count; i++) {
            SLW_AUTO(slw_json, spec);
            SLW_AUTO(slw_json, result);
            before = jobs[i].id;
            TRY(slw_json_parse(&spec, jobs[i].spec, err));
            if (jobs[i].state != SLW_JOB_SUCCEEDED ||
                slw_json_get(spec.root, "params"))
                continue;
            TRY(slw_json_parse(&result, jobs[i].result, err));
            *out = table_params(slw_json_get(result.root, "table"), &m->a);
            return SLW_OK;
        }
        if (count == 0)
            return SLW_OK;
    }
}

static struct slw_str
train_spec(struct move *m, int64_t as_of_ms, struct slw_str pins,
           struct slw_str params)
{
    static const char *const keys[] = {"seed", "trials"};
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "model", m->run->model);
    slw_jw_ki64(&w, "as_of_ms", as_of_ms);
    slw_jw_kraw(&w, "pins", pins);
    for (size_t i = 0; i < SLW_ARRAY_LEN(keys); i++) {
        const struct json_t *v = slw_json_get(m->spec.root, keys[i]);
        if (v) {
            slw_jw_key(&w, keys[i]);
            slw_jw_node(&w, v);
        }
    }
    if (params.len)
        slw_jw_kraw(&w, "params", params);
    slw_jw_kz(&w, "url", m->f->server_url);
    slw_jw_ki64(&w, "run", m->run->id);
    slw_jw_obj_end(&w);
    return slw_arena_str(&m->a, slw_buf_view(&text));
}

/* The spec as it was, with the pins. */
static struct slw_str
spec_pinned(struct move *m, struct slw_str pins)
{
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    for (void *it = slw_json_iter(m->spec.root); it;
         it = slw_json_next(m->spec.root, it)) {
        if (slw_str_eqz(slw_json_iter_key(it), "pins"))
            continue;
        slw_jw_keys(&w, slw_json_iter_key(it));
        slw_jw_node(&w, slw_json_iter_value(it));
    }
    slw_jw_kraw(&w, "pins", pins);
    slw_jw_obj_end(&w);
    return slw_arena_str(&m->a, slw_buf_view(&text));
}

static void
wake(struct move *m)
{
    if (m->f->jobs)
        slw_jobs_wake(m->f->jobs);
}

static enum slw_rc
move_snapshot(struct move *m, struct slw_err *err)
{
    char at[SLW_TIME_TEXT_SIZE];
    struct slw_str pins, params = SLW_STR("");
    int64_t as_of_ms = m->now_ms;
    SLW_AUTO(slw_json, doc);
    TRY(slw_json_opt_i64(m->spec.root, "as_of_ms", &as_of_ms, err));
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, m->f->store, err));
        TRY(pins_text(m, &tx, as_of_ms, &pins, err));
    }
    TRY(slw_json_parse(&doc, pins, err));
    (void)slw_time_text(as_of_ms, at);
    if (slw_json_len(doc.root) == 0)
        return run_fail(m, "no data",
                        slw_arena_printf(&m->a,
                                         "no dataset was known as of %s; add"
                                         " one first",
                                         at),
                        err);
    m->run->spec = spec_pinned(m, pins);
    if (slw_str_eqz(slw_json_str_or(slw_json_get(m->spec.root, "search"),
                                    SLW_STR("full")),
                    "reuse"))
        TRY(searched_params(m, &params, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, m->f->store, err));
    TRY(slw_job_put(
        &tx, m->now_ms, "flow.train", m->run->model,
        slw_arena_printf(&m->a, "flow.run/%lld/train", (long long)m->run->id),
        train_spec(m, as_of_ms, pins, params), &m->run->job_id, err));
    const struct slw_str reason = slw_arena_printf(
        &m->a, "pinned %.*s as of %s; %s is job %lld",
        SLW_FMT(pins_words(doc.root, &m->a)), at,
        params.len ? "fitting what the last search found" : "training",
        (long long)m->run->job_id);
    TRY(flow_run_move(&tx, m->now_ms, m->run, "train", "snapshot", reason, pins,
                      false, err));
    TRY(slw_tx_commit(&tx, err));
    wake(m);
    return SLW_OK;
}

/* ---- jobs ---- */

/* Out  *ended false: still at work */
static enum slw_rc
job_look(struct move *m, struct slw_job *out, bool *ended, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, m->f->store, err));
    TRY(slw_job_get(&tx, m->run->job_id, &m->a, out, err));
    *ended = out->state != SLW_JOB_QUEUED && out->state != SLW_JOB_RUNNING;
    return SLW_OK;
}

/* Why a job did not succeed. */
static struct slw_str
job_why(const struct slw_job *job, struct slw_arena *a)
{
    if (job->state == SLW_JOB_CANCELLED)
        return slw_arena_printf(a, "job %lld was cancelled",
                                (long long)job->id);
    return job->error.len ? job->error : SLW_STR("no reason was given");
}

static enum slw_rc
gate_queue(struct move *m, struct slw_str reason, struct slw_str detail,
           struct slw_err *err)
{
    SLW_AUTO(slw_buf, spec);
    struct slw_jw w;
    slw_jw_init(&w, &spec);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "model", m->run->model);
    slw_jw_ki64(&w, "version", m->run->version);
    slw_jw_obj_end(&w);
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, m->f->store, err));
    TRY(slw_job_put(
        &tx, m->now_ms, "flow.gate", m->run->model,
        slw_arena_printf(&m->a, "flow.run/%lld/gate", (long long)m->run->id),
        slw_buf_view(&spec), &m->run->job_id, err));
    TRY(flow_run_move(&tx, m->now_ms, m->run, "gate", "train", reason, detail,
                      false, err));
    TRY(slw_tx_commit(&tx, err));
    wake(m);
    return SLW_OK;
}

/* "version 3: xgboost, error 0.00684 against 0.0074 of the rule" */
static struct slw_str
trained_words(const struct json_t *result, int64_t version, struct slw_arena *a)
{
    const double test = slw_json_f64_or(slw_json_get(result, "test"), NAN);
    const double rule = slw_json_f64_or(slw_json_get(result, "fallback"), NAN);
    const struct slw_str candidate = slw_json_str_or(
        slw_json_get(result, "candidate"), SLW_STR("a candidate"));
    if (isnan(test) || isnan(rule))
        return slw_arena_printf(a, "version %lld: %.*s", (long long)version,
                                SLW_FMT(candidate));
    return slw_arena_printf(a,
                            "version %lld: %.*s, test error %.4g against %.4g"
                            " of the rule",
                            (long long)version, SLW_FMT(candidate), test, rule);
}

static enum slw_rc
move_train(struct move *m, bool *out_moved, struct slw_err *err)
{
    struct slw_job job;
    TRY(job_look(m, &job, out_moved, err));
    if (!*out_moved)
        return SLW_OK;
    if (job.state != SLW_JOB_SUCCEEDED)
        return run_fail(m, "training failed", job_why(&job, &m->a), err);
    SLW_AUTO(slw_json, result);
    TRY(slw_json_parse(&result, job.result, err));
    m->run->version = slw_json_i64_or(slw_json_get(result.root, "version"), 0);
    if (m->run->version == 0)
        return run_fail(m, "training failed",
                        SLW_STR("its result names no version"), err);
    const struct slw_str reason =
        trained_words(result.root, m->run->version, &m->a);
    if (until(m, "train"))
        return step_write(m, "trained", "train", reason, job.result, true, err);
    return gate_queue(m, reason, job.result, err);
}

static enum slw_rc
gate_passed(struct move *m, struct slw_str reason, struct slw_str detail,
            struct slw_err *err)
{
    if (m->run->deployment.len == 0) {
        SLW_AUTO(slw_tx, tx); /* declared meanwhile? */
        TRY(slw_tx_read(&tx, m->f->store, err));
        TRY(flow_deployment_of(&tx, m->run->model, &m->a, &m->run->deployment,
                               err));
    }
    if (until(m, "gate"))
        return step_write(m, "passed", "gate", reason, detail, true, err);
    if (m->run->deployment.len == 0)
        return step_write(m, "passed", "gate",
                          slw_arena_printf(&m->a,
                                           "%.*s; no deployment declared",
                                           SLW_FMT(reason)),
                          detail, true, err);
    return step_write(m, "deploy", "gate", reason, detail, false, err);
}

static enum slw_rc
move_gate(struct move *m, bool *out_moved, struct slw_err *err)
{
    struct slw_job job;
    TRY(job_look(m, &job, out_moved, err));
    if (!*out_moved)
        return SLW_OK;
    if (job.state != SLW_JOB_SUCCEEDED)
        return run_fail(m, "the gate failed", job_why(&job, &m->a), err);
    SLW_AUTO(slw_json, result);
    TRY(slw_json_parse(&result, job.result, err));
    const bool passed = slw_str_eqz(
        slw_json_str_or(slw_json_get(result.root, "verdict"), SLW_STR("")),
        "passed");
    const struct slw_str reason = slw_arena_printf(
        &m->a, "%s: %.*s", passed ? "passed" : "refused",
        SLW_FMT(slw_json_str_or(slw_json_get(result.root, "sentence"),
                                SLW_STR("see the checks"))));
    if (passed)
        return gate_passed(m, reason, job.result, err);
    if (until(m, "gate") || m->run->deployment.len == 0)
        return step_write(m, "refused", "gate", reason, job.result, true, err);
    return step_write(m, "refuse", "gate", reason, job.result, false, err);
}

/* ---- deployments ---- */

enum slw_rc
flow_deployment_of(struct slw_tx *tx, struct slw_str model, struct slw_arena *a,
                   struct slw_str *out, struct slw_err *err)
{
    struct slw_deployment *list = NULL;
    size_t count = 0;
    struct slw_str found = SLW_STR("");
    TRY(slw_serve_list(tx, a, &list, &count, err));
    for (size_t i = 0; i < count; i++)
        if (slw_str_eq(list[i].model, model) &&
            (found.len == 0 || slw_str_eq(list[i].name, model)))
            found = list[i].name;
    *out = found;
    return SLW_OK;
}

/* Why the last change of a deployment was made. */
static enum slw_rc
last_why(struct move *m, struct slw_tx *tx, struct slw_str *out,
         struct slw_err *err)
{
    SLW_AUTO(slw_buf, text);
    SLW_AUTO(slw_json, list);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    TRY(slw_serve_history(tx, m->run->deployment, 1, &w, err));
    TRY(slw_json_parse(&list, slw_buf_view(&text), err));
    const struct slw_str why = slw_json_str_or(
        slw_json_get(slw_json_at(list.root, 0), "why"), SLW_STR(""));
    *out = why.len ? slw_arena_str(&m->a, why) : SLW_STR("by hand");
    return SLW_OK;
}

static enum slw_rc
deployment_look(struct move *m, struct slw_deployment *d, struct slw_str *why,
                struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, m->f->store, err));
    TRY(slw_serve_get(&tx, m->run->deployment, &m->a, d, err));
    return last_why(m, &tx, why, err);
}

/* A refusal of the deployment is the end of the run. */
static enum slw_rc
act(struct move *m, enum slw_serve_action action, double weight, int step,
    struct slw_str why, struct slw_err *err)
{
    const bool named = action != SLW_SERVE_WITHDRAW &&
                       action != SLW_SERVE_ROLLBACK &&
                       action != SLW_SERVE_WEIGHT;
    const enum slw_rc rc =
        slw_serve_act(m->f->serve, m->now_ms, m->run->deployment, action,
                      named ? m->run->version : 0, weight, step, why, err);
    if (rc == SLW_OK || flow_is_passing(rc))
        return rc;
    const struct slw_str msg = slw_arena_str(&m->a, slw_str_of(err->msg));
    return run_fail(m, "the deployment refused", msg, err);
}

struct rollout_step {
    double weight;
    int64_t requests;
};

/* Step `index` of a declared rollout.  Out *count steps there are */
static enum slw_rc
rollout_of(const struct slw_deployment *d, int index, size_t *count,
           struct rollout_step *out, struct slw_err *err)
{
    SLW_AUTO(slw_json, def);
    TRY(slw_json_parse(&def, d->def, err));
    const struct json_t *rollout = slw_json_get(def.root, "rollout");
    *count = slw_json_len(rollout);
    *out = (struct rollout_step){0};
    if (index < 0 || (size_t)index >= *count)
        return SLW_OK;
    const struct json_t *s = slw_json_at(rollout, (size_t)index);
    out->weight = slw_json_f64_or(slw_json_get(s, "canary"), 0);
    out->requests = slw_json_i64_or(slw_json_get(s, "requests"), 0);
    return SLW_OK;
}

static struct slw_str
canary_words(const struct rollout_step *s, struct slw_arena *a)
{
    return slw_arena_printf(a, "%.4g %% of the keys for %lld requests",
                            s->weight * 100, (long long)s->requests);
}

/* The deployment says that the version is in place. */
static enum slw_rc
promoted_write(struct move *m, struct slw_str why, struct slw_err *err)
{
    return run_end(m, "promoted", "promote",
                   slw_arena_printf(&m->a, "version %lld is the champion: %.*s",
                                    (long long)m->run->version, SLW_FMT(why)),
                   err);
}

/* It says that the version is a canary, at a step not yet written down. */
static enum slw_rc
canary_write(struct move *m, const struct slw_deployment *d,
             struct slw_err *err)
{
    size_t count = 0;
    struct rollout_step s;
    TRY(rollout_of(d, d->rollout_step, &count, &s, err));
    m->run->rollout_step = d->rollout_step;
    const struct slw_str reason = slw_arena_printf(
        &m->a, "step %d of %zu: version %lld answers %.*s", d->rollout_step + 1,
        count, (long long)m->run->version, SLW_FMT(canary_words(&s, &m->a)));
    return step_write(m, "canary", "canary", reason, SLW_STR(""),
                      until(m, "canary"), err);
}

static enum slw_rc
move_deploy(struct move *m, bool *out_moved, struct slw_err *err)
{
    size_t count = 0;
    struct rollout_step first;
    struct slw_deployment d;
    struct slw_str why;
    TRY(deployment_look(m, &d, &why, err));
    TRY(rollout_of(&d, 0, &count, &first, err));
    *out_moved = true;
    if (d.champion_version == m->run->version && !d.withdrawn)
        return promoted_write(m, why, err);
    if (d.canary.len && d.canary_version == m->run->version)
        return canary_write(m, &d, err);
    if (d.champion.len == 0)
        return act(m, SLW_SERVE_DEPLOY, 0, -1,
                   SLW_STR("passed the gate; the first champion"), err);
    if (d.canary.len == 0 && count == 0)
        return act(m, SLW_SERVE_DEPLOY, 0, -1,
                   SLW_STR("passed the gate; no rollout steps are declared"),
                   err);
    if (d.canary.len == 0)
        return act(m, SLW_SERVE_CANARY, first.weight, 0,
                   slw_arena_printf(&m->a, "passed the gate; %.*s",
                                    SLW_FMT(canary_words(&first, &m->a))),
                   err);
    const struct slw_str wait =
        slw_arena_printf(&m->a, "waits for the canary version %lld to end",
                         (long long)d.canary_version);
    *out_moved = !slw_str_eq(wait, m->run->reason);
    if (!*out_moved)
        return SLW_OK;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, m->f->store, err));
    TRY(flow_run_remark(&tx, m->run, wait, err));
    return slw_tx_commit(&tx, err);
}

struct counts {
    int64_t champion, canary, failed, fallback;
};

/* More than one in a hundred of the step's answers, and more than one. */
static bool
failed_too_often(const struct counts *c, int64_t requests)
{
    const double least = FLOW_CANARY_FAILED_MAX * (double)requests;
    return c->failed > 1 && (double)c->failed > least;
}

/* One failed answer is too many where a hundredth is less than one. */
static bool
failed_at_end(const struct counts *c)
{
    return (double)c->failed > FLOW_CANARY_FAILED_MAX * (double)c->canary;
}

static enum slw_rc
canary_decide(struct move *m, const struct slw_deployment *d, bool *out_moved,
              struct slw_err *err)
{
    size_t count = 0;
    struct rollout_step now, next;
    struct counts c = {0};
    TRY(rollout_of(d, d->rollout_step, &count, &now, err));
    TRY(rollout_of(d, d->rollout_step + 1, &count, &next, err));
    if (d->rollout_step < 0 || (size_t)d->rollout_step >= count)
        return SLW_OK; /* somebody steers by hand: they end it */
    TRY(slw_serve_counts(m->f->serve, d->name, &c.champion, &c.canary,
                         &c.failed, &c.fallback, err));
    const bool full = c.canary >= now.requests;
    if (failed_too_often(&c, now.requests) || (full && failed_at_end(&c))) {
        *out_moved = true;
        return act(m, SLW_SERVE_ROLLBACK, 0, -1,
                   slw_arena_printf(&m->a,
                                    "%lld of %lld canary answers failed at"
                                    " %.4g %% of the keys",
                                    (long long)c.failed, (long long)c.canary,
                                    now.weight * 100),
                   err);
    }
    if (!full)
        return SLW_OK;
    *out_moved = true;
    const struct slw_str done = slw_arena_printf(
        &m->a, "%lld canary answers at %.4g %% of the keys, %lld failed",
        (long long)c.canary, now.weight * 100, (long long)c.failed);
    if ((size_t)d->rollout_step + 1 < count)
        return act(m, SLW_SERVE_WEIGHT, next.weight, d->rollout_step + 1, done,
                   err);
    return act(m, SLW_SERVE_PROMOTE, 0, -1, done, err);
}

static enum slw_rc
move_canary(struct move *m, bool *out_moved, struct slw_err *err)
{
    struct slw_deployment d;
    struct slw_str why;
    TRY(deployment_look(m, &d, &why, err));
    *out_moved = true;
    if (d.champion_version == m->run->version)
        return promoted_write(m, why, err);
    if (d.canary.len == 0 || d.canary_version != m->run->version)
        return run_end(m, "rolled_back", "rollback",
                       slw_arena_printf(&m->a, "version %lld rolled back: %.*s",
                                        (long long)m->run->version,
                                        SLW_FMT(why)),
                       err);
    if (d.rollout_step != m->run->rollout_step)
        return canary_write(m, &d, err);
    *out_moved = false;
    return canary_decide(m, &d, out_moved, err);
}

/* The gate refused: with nothing deployed the rule serves; when the model in
 * place has become worse than the rule, it is withdrawn. */
static enum slw_rc
move_refuse(struct move *m, struct slw_err *err)
{
    struct slw_deployment d;
    struct slw_str why;
    TRY(deployment_look(m, &d, &why, err));
    const bool rule_wanted = slw_str_eqz(m->run->trigger, "performance") &&
                             slw_str_eqz(m->run->when_refused, "fallback");
    if (d.champion.len == 0)
        return act(m, SLW_SERVE_RULE, 0, -1,
                   SLW_STR("refused by the gate: the rule serves"), err);
    if (rule_wanted && !d.withdrawn)
        return act(m, SLW_SERVE_WITHDRAW, 0, -1,
                   slw_arena_printf(&m->a,
                                    "version %lld has become worse than the"
                                    " rule and version %lld was refused: the"
                                    " rule serves",
                                    (long long)d.champion_version,
                                    (long long)m->run->version),
                   err);
    if (d.withdrawn)
        return run_end(m, "refused", "fallback",
                       SLW_STR("refused by the gate: the rule serves"), err);
    return run_end(m, "refused", "keep",
                   slw_arena_printf(&m->a,
                                    "refused by the gate: version %lld goes on"
                                    " serving",
                                    (long long)d.champion_version),
                   err);
}

/* ---- moving ---- */

static enum slw_rc
move_on(struct move *m, bool *out_moved, struct slw_err *err)
{
    const struct slw_str state = m->run->state;
    *out_moved = true;
    if (slw_str_eqz(state, "snapshot"))
        return move_snapshot(m, err);
    if (slw_str_eqz(state, "train"))
        return move_train(m, out_moved, err);
    if (slw_str_eqz(state, "gate"))
        return move_gate(m, out_moved, err);
    if (slw_str_eqz(state, "deploy"))
        return move_deploy(m, out_moved, err);
    if (slw_str_eqz(state, "canary"))
        return move_canary(m, out_moved, err);
    SLW_ASSERT(slw_str_eqz(state, "refuse"));
    return move_refuse(m, err);
}

enum slw_rc
flow_pipeline_move(struct slw_flow *f, struct flow_run *run, bool *out_moved,
                   struct slw_err *err)
{
    bool moved = false;
    SLW_AUTO(move, m);
    m.f = f;
    m.run = run;
    m.now_ms = slw_clock_now_ms(f->clock);
    TRY(slw_json_parse(&m.spec, run->spec, err));
    const enum slw_rc rc = move_on(&m, &moved, err);
    /* What is wrong for good ends the run; what passes is tried again. */
    if (rc == SLW_OK || flow_is_passing(rc)) {
        *out_moved |= moved && rc == SLW_OK;
        return rc;
    }
    const struct slw_str msg = slw_arena_str(&m.a, slw_str_of(err->msg));
    TRY(run_fail(&m, "the run cannot go on", msg, err));
    *out_moved = true;
    return SLW_OK;
}

/* ---- starting by hand ---- */

static enum slw_rc
spec_check(const struct json_t *spec, struct slw_err *err)
{
    static const char *const ends[] = {"train", "gate", "canary", "promote"};
    struct slw_str end = SLW_STR("promote"), search = SLW_STR("full");
    int64_t number = 0;
    TRY(slw_json_opt_str(spec, "until", &end, err));
    TRY(slw_json_opt_str(spec, "search", &search, err));
    if (!slw_str_eqz(search, "full") && !slw_str_eqz(search, "reuse"))
        return slw_fail(err, SLW_INVALID,
                        "'search' is '%.*s'; it can be full or reuse",
                        SLW_FMT(search));
    TRY(slw_json_opt_i64(spec, "seed", &number, err));
    TRY(slw_json_opt_i64(spec, "trials", &number, err));
    TRY(slw_json_opt_i64(spec, "as_of_ms", &number, err));
    const enum slw_json_type pins = slw_json_type(slw_json_get(spec, "pins"));
    if (pins != SLW_JSON_NONE && pins != SLW_JSON_NULL &&
        pins != SLW_JSON_OBJECT)
        return slw_fail(err, SLW_INVALID,
                        "'pins' must be an object of dataset versions, as in"
                        " {\"prices\": 3}");
    for (size_t i = 0; i < SLW_ARRAY_LEN(ends); i++)
        if (slw_str_eqz(end, ends[i]))
            return SLW_OK;
    return slw_fail(err, SLW_INVALID,
                    "'until' is '%.*s'; it can be train, gate, canary or"
                    " promote",
                    SLW_FMT(end));
}

enum slw_rc
slw_flow_run_start(struct slw_flow *f, int64_t now_ms,
                   const struct json_t *spec, int64_t *out_id,
                   struct slw_err *err)
{
    struct flow_run run = {.trigger = SLW_STR("manual"),
                           .when_refused = SLW_STR("keep")};
    struct slw_str def, reason = SLW_STR("");
    int64_t id = 0;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_buf, text);
    TRY(slw_json_need_str(spec, "model", &run.model, err));
    TRY(slw_json_opt_str(spec, "reason", &reason, err));
    TRY(spec_check(spec, err));
    slw_json_dump(&text, spec);
    run.spec = slw_buf_view(&text);
    run.reason = slw_arena_printf(&a, "started by hand%s%.*s",
                                  reason.len ? ": " : "", SLW_FMT(reason));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, f->store, err));
    TRY(slw_train_model_get(&tx, run.model, &a, &def, err));
    TRY(flow_deployment_of(&tx, run.model, &a, &run.deployment, err));
    TRY(flow_run_add(&tx, now_ms, &run, &id, err));
    TRY(slw_tx_commit(&tx, err));
    *out_id = id;
    return SLW_OK;
}
