/* rehearse.h -- the whole loop on history, before it runs in production.
 *
 * A rehearsal steps a clock through past days.  Each day the rows arrive that
 * became known on it, the rows are predicted, labels that became known are
 * put beside earlier predictions, and the flow looks: windows, alerts,
 * triggers, training, gate, canary, promotion, roll-back, fallback -- by the
 * code that runs in production, in a data folder of its own.  Several
 * policies live through the same days and are compared. */
#ifndef SLW_REHEARSE_REHEARSE_H
#define SLW_REHEARSE_REHEARSE_H

#include "base/arena.h"
#include "base/base.h"
#include "jobs/jobs.h"

#define SLW_REHEARSE_POLICY_MAX 16
#define SLW_REHEARSE_REQUESTS_DEFAULT 10
#define SLW_REHEARSE_REQUESTS_MAX 1000
#define SLW_REHEARSE_WORKERS_MAX 64

struct slw_rehearse_options {
    const char *root;          /* folder of all rehearsals; made when absent */
    struct slw_str file;       /* name of the project file, for messages */
    struct slw_str folder;     /* sources' paths are relative to it */
    struct slw_str yaml;       /* the project */
    struct slw_str files;      /* JSON {"prices": "/path"}: instead of the paths
                                  of the project's sources; "" none */
    int64_t from_ms, to_ms;    /* first and last instant of the days */
    struct slw_str deployment; /* "": the one the project says, or the first
                                  with a retrain policy, or the first */
    const char *const *policy_files; /* besides the built-in policies */
    size_t policy_file_count;
    int worker_count;         /* processes at a time */
    int requests;             /* a day and row, each of another user */
    bool again;               /* start anew where there is a result already */
    const volatile int *stop; /* non-NULL: nonzero ends after the day */
    /* How far it is; called a few times a second. */
    void (*progress)(void *ctx, double share, struct slw_str line);
    void *progress_ctx;
};

/* Rehearse, or go on where a rehearsal of the same things was stopped.
 * Out    JSON: {"id", "dir", "complete": false where it was stopped, "project",
 *        "deployment", "metric", "from", "to", "requests", "rows", "policies":
 *        [{"name", "model", "start", "complete", "by_year": [{"year", "error",
 *        "rows", "requests", "unanswered", "alerts", "retrains", "promotions",
 *        "refusals", "rollbacks", "withdrawals", "fallback_days", "days",
 *        "symbols": [{"symbol", "error", "rows"}]}], "total": {the same},
 *        "dir", "measured": {"training_minutes", "minutes"}}]}.  Errors are in
 *        units of the target.  All but "measured" depends on the input alone.
 * Errors INVALID: the project, a policy file, the dates; what a job of the
 *        loop refused (a view that looks ahead, a file that cannot be read)
 * Cost   about 10 ms a day and policy, and its trainings; a child a policy */
SLW_MUST_USE enum slw_rc slw_rehearse(const struct slw_rehearse_options *opt,
                                      struct slw_arena *a,
                                      struct slw_str *out_json,
                                      struct slw_err *err);
/* Results in `root`, newest first, as a JSON array of {"id", "deployment",
 * "from", "to", "complete", "made_at_ms", "policies": [{"name", "error"}]}. */
SLW_MUST_USE enum slw_rc slw_rehearse_list(const char *root,
                                           struct slw_arena *a,
                                           struct slw_str *out_json,
                                           struct slw_err *err);
/* One result.  Errors NOT_FOUND */
SLW_MUST_USE enum slw_rc slw_rehearse_get(const char *root, struct slw_str id,
                                          struct slw_arena *a,
                                          struct slw_str *out_json,
                                          struct slw_err *err);
/* Job "rehearse.run": {"from_ms", "to_ms", "deployment"?, "requests"?,
 * "workers"?, "again"?, "policies": [{"name", "yaml"}]?}: the project that was
 * applied, on the newest versions of its sources, in rehearsals/ of the data
 * folder.  Result {"id", "complete"}. */
SLW_MUST_USE enum slw_rc slw_rehearse_job(struct slw_job_ctx *ctx,
                                          struct slw_err *err);
/* Body of `slipway rehearse-child DIR NAME`: one policy of the plan in DIR, or
 * with the name "base" what all of them need.  Returns the exit code. */
int slw_rehearse_child_main(const char *dir, const char *name);

#endif
