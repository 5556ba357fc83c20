/* flow_internal.h -- shared by the files of this room only. */
#ifndef SLW_FLOW_FLOW_INTERNAL_H
#define SLW_FLOW_FLOW_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "data/data.h"
#include "features/features.h"
#include "flow/flow.h"
#include "monitor/monitor.h"
#include "registry/registry.h"
#include "train/train.h"

#define FLOW_TICK_MS_DEFAULT 100
#define FLOW_NOTIFY_MS 1000
/* Share of a canary's answers that may fail before it is rolled back. */
#define FLOW_CANARY_FAILED_MAX 0.01
/* Labels are derived again for at least this much of the newest data. */
#define FLOW_LABEL_MS (60 * SLW_DAY_MS)
#define FLOW_RUNS_MAX 256 /* moving at a time: one a model */

struct slw_flow {
    struct slw_store *store;
    const struct slw_clock *clock;
    struct slw_serve *serve;
    struct slw_jobs *jobs;
    char server_url[256];
    int64_t tick_ms;
    pthread_mutex_t tick;  /* one tick or apply at a time; no other lock of
                              this room is taken under it */
    pthread_mutex_t mutex; /* guards closing */
    pthread_cond_t wake;
    bool closing;
    pthread_t ticker, notifier;
    bool ticker_runs, notifier_runs;
};

/* ---- marks (run.c): how far the loop has got ---- */
/* 0 where there is none. */
SLW_MUST_USE enum slw_rc flow_mark_get(struct slw_tx *tx, struct slw_str name,
                                       int64_t *out, struct slw_err *err);
SLW_MUST_USE enum slw_rc flow_mark_put(struct slw_tx *tx, struct slw_str name,
                                       int64_t value, struct slw_err *err);

/* ---- runs (run.c) ---- */
/* A row; texts in the arena. */
struct flow_run {
    int64_t id;
    struct slw_str model, deployment, trigger, state, spec, when_refused,
        reason;
    int64_t version, job_id, rollout_step;
    int64_t started_at_ms, ended_at_ms;
};
/* New row in state "snapshot" with its first step.
 * Errors CONFLICT: a run of the model is moving (names it) */
SLW_MUST_USE enum slw_rc flow_run_add(struct slw_tx *tx, int64_t now_ms,
                                      const struct flow_run *run,
                                      int64_t *out_id, struct slw_err *err);
/* The moving run of a model.  Out *out_id 0: none */
SLW_MUST_USE enum slw_rc flow_run_moving(struct slw_tx *tx,
                                         struct slw_str model, int64_t *out_id,
                                         struct slw_err *err);
/* All that move, oldest first. */
SLW_MUST_USE enum slw_rc
flow_runs_moving(struct slw_tx *tx, struct slw_arena *a, struct flow_run **out,
                 size_t *out_count, struct slw_err *err);
/* When the last run a trigger started began (manual ones do not count, or
 * any with `manual_too`).  Out INT64_MIN: never */
SLW_MUST_USE enum slw_rc flow_run_last_ms(struct slw_tx *tx,
                                          struct slw_str model, bool manual_too,
                                          int64_t *out_ms, struct slw_err *err);
/* Write the row as it is now (state, version, job, rollout step, end), a step
 * with its reason and detail (JSON or ""), and the event "flow.run_moved" or
 * "flow.run_ended". */
SLW_MUST_USE enum slw_rc flow_run_move(struct slw_tx *tx, int64_t now_ms,
                                       struct flow_run *run, const char *state,
                                       const char *step, struct slw_str reason,
                                       struct slw_str detail, bool ended,
                                       struct slw_err *err);
/* A run only says something else about why it waits: no step, no event. */
SLW_MUST_USE enum slw_rc flow_run_remark(struct slw_tx *tx,
                                         const struct flow_run *run,
                                         struct slw_str reason,
                                         struct slw_err *err);
SLW_MUST_USE enum slw_rc flow_decision_add(struct slw_tx *tx, int64_t now_ms,
                                           struct slw_str model,
                                           const char *trigger, bool fired,
                                           struct slw_str reason,
                                           int64_t run_id, struct slw_err *err);

/* ---- policies (project.c keeps them, trigger.c reads them) ---- */
struct flow_policy {
    struct slw_str name, model, deployment, when_refused;
    bool on_drift, on_performance;
    bool reuse; /* fit the parameters of the last search again */
    int64_t new_data_ms, every_ms; /* 0: no such trigger */
    int64_t cooldown_ms, updated_at_ms;
};
SLW_MUST_USE enum slw_rc flow_policies(struct slw_tx *tx, struct slw_arena *a,
                                       struct flow_policy **out,
                                       size_t *out_count, struct slw_err *err);

/* ---- triggers (trigger.c) ---- */
/* Each looks once, in transactions of its own but for the one about data,
 * which must stand or fall with the note that the data were looked at;
 * *out_moved set when it wrote. */
/* New alerts. */
SLW_MUST_USE enum slw_rc
flow_trigger_alerts(struct slw_flow *f, bool *out_moved, struct slw_err *err);
/* A dataset has a new version: new data enough?  An alert that is still open
 * after the cooldown? */
SLW_MUST_USE enum slw_rc
flow_trigger_data(struct slw_flow *f, struct slw_tx *tx, struct slw_err *err);
SLW_MUST_USE enum slw_rc
flow_trigger_schedule(struct slw_flow *f, bool *out_moved, struct slw_err *err);
/* Newest event time of the source a model's target is of, known by now.
 * Errors NOT_FOUND: no such model, or nothing known yet */
SLW_MUST_USE enum slw_rc flow_source_newest(struct slw_tx *tx, int64_t now_ms,
                                            struct slw_str model,
                                            struct slw_arena *a,
                                            struct slw_dataset *out,
                                            struct slw_err *err);

/* Try again later, or the end? */
static inline bool
flow_is_passing(enum slw_rc rc)
{
    return rc == SLW_BUSY || rc == SLW_IO || rc == SLW_TIMEOUT;
}

/* ---- new data and windows (window.c) ---- */
/* Queue a refresh for new data, and what follows when it has ended. */
SLW_MUST_USE enum slw_rc flow_refresh_look(struct slw_flow *f, bool *out_moved,
                                           struct slw_err *err);

/* ---- the pipeline (pipeline.c) ---- */
/* Move one run on by one step, where it can. */
SLW_MUST_USE enum slw_rc flow_pipeline_move(struct slw_flow *f,
                                            struct flow_run *run,
                                            bool *out_moved,
                                            struct slw_err *err);
/* Name of the deployment a model's versions go to: the one of the same name,
 * else the first by name; "" none. */
SLW_MUST_USE enum slw_rc
flow_deployment_of(struct slw_tx *tx, struct slw_str model, struct slw_arena *a,
                   struct slw_str *out, struct slw_err *err);

/* ---- the gate (gate.c: pure; gate_job.c: everything around it) ---- */
enum flow_loss { FLOW_ABSOLUTE, FLOW_SQUARED, FLOW_RELATIVE };

/* Mean losses of one day, candidate and other on the same rows, in order of
 * time. */
struct flow_days {
    size_t count;
    double *candidate, *other;         /* [count] */
    int64_t row_count;                 /* that were compared */
    double candidate_mean, other_mean; /* over rows; rmse: not yet rooted */
};
/* In   y, candidate, other[row_count] with event_ms ascending; rows where one
 *      of the three is not finite are passed over */
void flow_days_of(const int64_t *event_ms, const double *y,
                  const double *candidate, const double *other,
                  size_t row_count, enum flow_loss loss, struct slw_arena *a,
                  struct flow_days *out);

struct flow_check {
    const char *name; /* "beats fallback", "finite", "latency", "servable" */
    bool passed, skipped;
    double value, limit, p; /* NaN: has none */
    struct slw_str why;     /* one sentence */
};
/* Is the candidate's loss below (1 - by) of the other's, by more than chance
 * at this confidence?
 * In   by a share, negative for a margin; other "fallback" or "champion"
 * Out  p of the paired test; too few days to say: not passed */
void flow_gate_beats(const struct flow_days *days, enum flow_loss loss,
                     double by, double confidence, const char *other,
                     struct slw_arena *a, struct flow_check *out);
/* All passed or skipped, and not all skipped? */
bool flow_gate_verdict(const struct flow_check *checks, size_t count);
/* "beats the rule: 0.00684 against 0.0074, p 0.002; …" */
struct slw_str flow_gate_sentence(const struct flow_check *checks, size_t count,
                                  struct slw_arena *a);
void flow_checks_write(struct slw_jw *w, const struct flow_check *checks,
                       size_t count);

/* ---- what several jobs do (job_common.c) ---- */
/* The pins of what was known at a time.  out_hashes may be NULL. */
SLW_MUST_USE enum slw_rc flow_pins_at(struct slw_store *s, int64_t at_ms,
                                      struct slw_json *out_versions,
                                      struct slw_json *out_hashes,
                                      struct slw_err *err);

#endif
