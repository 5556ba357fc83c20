/* flow.h -- the loop: the project file, triggers, and the retrain pipeline;
 * the only room that spans the others.
 *
 * A flow run walks   snapshot -> train -> gate -> canary… -> promoted
 * and may end at     refused (gate) | rolled_back (canary) | failed.
 * Its state is one row of flow_run, moved by slw_flow_tick() in the server's
 * flow thread; each step and each decision, also the one not to fire, is a
 * row of flow_step with its reason.  kill -9 at any moment loses nothing: the
 * next tick goes on from the row. */
#ifndef SLW_FLOW_FLOW_H
#define SLW_FLOW_FLOW_H

#include "base/clock.h"
#include "base/json.h"
#include "jobs/jobs.h"
#include "serve/serve.h"
#include "store/store.h"
#include "store/verify.h"

struct slw_flow; /* Owner: the flow thread; apply and start from any */
struct slw_flow_options {
    struct slw_store *store;
    const struct slw_clock *clock;
    struct slw_serve *serve;
    struct slw_jobs *jobs;  /* to wake after queueing; may be NULL */
    const char *server_url; /* for script candidates */
    int64_t tick_ms;        /* how often the thread looks; 0: 100; below 0: no
                               threads, the caller ticks */
};
/* Starts the flow thread and the notifier thread. */
SLW_MUST_USE enum slw_rc slw_flow_start(struct slw_flow **out,
                                        const struct slw_flow_options *opt,
                                        struct slw_err *err);
void slw_flow_stop(struct slw_flow *f);
/* One look at everything: new data, windows due, alerts, schedules, runs to
 * move on.  *out_moved: something changed (call again). */
SLW_MUST_USE enum slw_rc slw_flow_tick(struct slw_flow *f, bool *out_moved,
                                       struct slw_err *err);
/* True when no job is queued or running and a tick would change nothing. */
bool slw_flow_idle(struct slw_flow *f);

/* ---- the project file ---- */
#define SLW_PROJECT_SIZE_MAX ((size_t)1 << 20)
/* Parse and check slipway.yaml.
 * Out  JSON {"project", "sources": {…}, "features": {…}, "models": {…},
 *      "deployments": {…}, "monitors": {…}, "retrain": {…}, "notify": {…}}
 *      with durations in ms ("…_ms"), times in ms, shares 0..1
 * Errors INVALID: "slipway.yaml:12:5: unknown key 'expct'; did you mean
 *        'expect'?" */
SLW_MUST_USE enum slw_rc
slw_project_parse(struct slw_str file, struct slw_str yaml, struct slw_arena *a,
                  struct slw_str *out_json, struct slw_err *err);
/* The file as it stands, as JSON: no check of what it says.  JSON is YAML, so
 * what is made of it may be applied again.
 * Errors INVALID: it is no YAML */
SLW_MUST_USE enum slw_rc
slw_project_raw(struct slw_str file, struct slw_str yaml, struct slw_arena *a,
                struct slw_str *out_json, struct slw_err *err);
/* Declare everything of a project in one transaction (then deployments);
 * what is unchanged stays untouched.
 * In   file for messages; folder: of the yaml on this machine, or "", where
 *      script candidates run
 * Out  w gets {"project", "changed": [names], "definition": {…}} */
SLW_MUST_USE enum slw_rc
slw_project_apply(struct slw_flow *f, int64_t now_ms, struct slw_str file,
                  struct slw_str folder, struct slw_str yaml, struct slw_jw *w,
                  struct slw_err *err);
/* The yaml as applied last; NOT_FOUND. */
SLW_MUST_USE enum slw_rc slw_project_get(struct slw_tx *tx, struct slw_arena *a,
                                         struct slw_str *out_yaml,
                                         struct slw_str *out_json,
                                         struct slw_err *err);

/* ---- runs ---- */
/* Start a run by hand (trigger "manual") for a model; a run in progress for
 * it is a CONFLICT that names it.
 * In  spec JSON {"model", "as_of_ms"?, "pins"?, "seed"?, "trials"?,
 *     "until": "train"|"gate"|"canary"|"promote" (default promote),
 *     "search": "full"|"reuse" (the last search's best parameters, fitted
 *     again; a full one where there was none),
 *     "reason"?} */
SLW_MUST_USE enum slw_rc slw_flow_run_start(struct slw_flow *f, int64_t now_ms,
                                            const struct json_t *spec,
                                            int64_t *out_id,
                                            struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_flow_run_write(struct slw_tx *tx, int64_t id,
                                            struct slw_jw *w,
                                            struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_flow_run_list(struct slw_tx *tx,
                                           struct slw_str model,
                                           size_t count_max, struct slw_jw *w,
                                           struct slw_err *err);
/* A page of them, and how many there are. */
SLW_MUST_USE enum slw_rc slw_flow_run_page(struct slw_tx *tx,
                                           struct slw_str model, size_t offset,
                                           size_t limit, struct slw_jw *w,
                                           int64_t *out_total,
                                           struct slw_err *err);
SLW_MUST_USE enum slw_rc
slw_flow_decision_page(struct slw_tx *tx, struct slw_str model, size_t offset,
                       size_t limit, struct slw_jw *w, int64_t *out_total,
                       struct slw_err *err);
/* Decisions about triggers, newest first: at, model, trigger, fired, reason. */
SLW_MUST_USE enum slw_rc slw_flow_decisions(struct slw_tx *tx,
                                            struct slw_str model,
                                            size_t count_max, struct slw_jw *w,
                                            struct slw_err *err);

/* ---- jobs of this room (registered by app) ---- */
/* "flow.train": {"model", "as_of_ms", "pins"?, "seed"?, "trials"?,
 * "params"?, "url"}:
 * search, release, registered version, alias "challenger"; all in the job's
 * last transaction.  Result {"model","version","release","candidate","table",
 * "run_id"}. */
SLW_MUST_USE enum slw_rc slw_flow_train_job(struct slw_job_ctx *ctx,
                                            struct slw_err *err);
/* "flow.gate": {"model", "version"}: test-window comparison with the rule and
 * the champion (paired test by day), finite outputs, latency; stores the
 * verdict. */
SLW_MUST_USE enum slw_rc slw_flow_gate_job(struct slw_job_ctx *ctx,
                                           struct slw_err *err);
/* "flow.reproduce": {"model", "version"}. */
SLW_MUST_USE enum slw_rc slw_flow_reproduce_job(struct slw_job_ctx *ctx,
                                                struct slw_err *err);
/* "flow.refresh": {"at_ms"}: after new data: materialise every view, derive
 * labels of past predictions by each deployment's release target SQL from the
 * newest versions known at at_ms, in one child.  Result {"views": […],
 * "labels": {"deployment": changed}}. */
SLW_MUST_USE enum slw_rc slw_flow_refresh_job(struct slw_job_ctx *ctx,
                                              struct slw_err *err);

/* Can moving runs move on; did what fired fire once?  (store/verify.h) */
SLW_MUST_USE enum slw_rc slw_flow_verify(struct slw_verify *v,
                                         struct slw_err *err);

#endif
