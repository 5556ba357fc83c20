/* jobs.h -- durable work: a queue in the store, leases, retries, and one
 * child process a job, so that a crash or an out-of-memory kill of an engine
 * never takes down serving.
 *
 *   queued --start--> running --finish--> succeeded | failed | cancelled
 *      ^                 |
 *      +-- lease lost ---+   (server died, child died: attempt + 1, until
 *                             attempt_max, then failed)
 *
 * The server's runner thread starts `slipway job <id> --data DIR`; the child
 * opens the store, runs the function registered for the job's kind, and
 * marks the job done in the *same transaction* as the work's own rows (see
 * slw_job_finish), so a job is done exactly once however often it is
 * started. */
#ifndef SLW_JOBS_JOBS_H
#define SLW_JOBS_JOBS_H

#include "base/clock.h"
#include "base/json.h"
#include "store/store.h"
#include "store/verify.h"

enum slw_job_state {
    SLW_JOB_QUEUED,
    SLW_JOB_RUNNING,
    SLW_JOB_SUCCEEDED,
    SLW_JOB_FAILED,
    SLW_JOB_CANCELLED
};
const char *slw_job_state_name(enum slw_job_state s); /* "queued" … */

/* One row of jobs_job; strings in the arena. */
struct slw_job {
    int64_t id;
    struct slw_str kind;    /* "data.ingest" */
    struct slw_str subject; /* what it is about: "prices", "next-range" */
    struct slw_str spec;    /* JSON object: everything the work depends on */
    enum slw_job_state state;
    int attempt; /* 0 before the first start */
    int attempt_max;
    double progress;       /* 0..1 */
    struct slw_str note;   /* what it is doing, one line */
    struct slw_str result; /* JSON object, when succeeded */
    enum slw_rc error_rc;  /* when failed */
    struct slw_str error;
    int64_t created_at_ms; /* by the clock passed in */
    int64_t started_at_ms; /* 0: not yet */
    int64_t ended_at_ms;
    int64_t now_ms; /* the job's own "now": time of the clock when it
                       was queued; the work reads no other */
};

/* What a job's function gets, in the child. */
struct slw_job_ctx {
    struct slw_store *store;
    struct slw_job *job;
    const struct json_t *spec; /* parsed job->spec */
    int64_t now_ms;            /* = job->now_ms */
    struct slw_arena *arena;   /* for the whole job */
    const char *dir;           /* jobs/<id>/, empty at each start */
    void *app;                 /* rooms, as wired by app */
    void *memo;                /* what a process that runs many jobs keeps
                                  between them (features/memo); or NULL */
    bool finished;             /* set by slw_job_finish */
};
/* Does the work and calls slw_job_finish within its last transaction; one
 * that returns SLW_OK without it succeeds with an empty result.  A failure
 * whose code is IO, BUSY, TIMEOUT or INTERNAL is retried, others are final. */
typedef enum slw_rc (*slw_job_fn)(struct slw_job_ctx *ctx, struct slw_err *err);

struct slw_job_kind {
    const char *name;
    slw_job_fn fn;
    int attempt_max;
    int64_t timeout_ms; /* of one attempt */
    size_t memory_size; /* address space of the child, 0: none */
};

/* Queue a job in the caller's transaction.
 * In   spec JSON object; key: if not empty, a job with this key that is
 *      queued or running is returned instead (exactly-once triggers) */
SLW_MUST_USE enum slw_rc slw_job_put(struct slw_tx *tx, int64_t now_ms,
                                     const char *kind, struct slw_str subject,
                                     struct slw_str key, struct slw_str spec,
                                     int64_t *out_id, struct slw_err *err);
/* Errors NOT_FOUND */
SLW_MUST_USE enum slw_rc slw_job_get(struct slw_tx *tx, int64_t id,
                                     struct slw_arena *a, struct slw_job *out,
                                     struct slw_err *err);
/* Newest first; kind/subject may be empty; before_id 0: from the newest. */
SLW_MUST_USE enum slw_rc slw_job_list(struct slw_tx *tx, struct slw_str kind,
                                      struct slw_str subject, int64_t before_id,
                                      size_t count_max, struct slw_arena *a,
                                      struct slw_job **out, size_t *out_count,
                                      struct slw_err *err);
/* How many such a list would have. */
SLW_MUST_USE enum slw_rc slw_job_count(struct slw_tx *tx, struct slw_str kind,
                                       struct slw_str subject,
                                       int64_t *out_count, struct slw_err *err);
/* Those that are queued or running, oldest first. */
SLW_MUST_USE enum slw_rc slw_job_moving(struct slw_tx *tx, size_t count_max,
                                        struct slw_arena *a,
                                        struct slw_job **out, size_t *out_count,
                                        struct slw_err *err);
/* How many jobs are queued or running. */
SLW_MUST_USE enum slw_rc slw_job_active(struct slw_tx *tx, int64_t *out_count,
                                        struct slw_err *err);
/* JSON of a job as the API shows it. */
void slw_job_write(struct slw_jw *w, const struct slw_job *job);
/* A queued job ends at once; a running one is told to stop (TERM, then KILL).
 * Errors NOT_FOUND; CONFLICT: it has ended. */
SLW_MUST_USE enum slw_rc slw_job_cancel(struct slw_store *s, int64_t now_ms,
                                        int64_t id, struct slw_err *err);
/* Wait until a job ends or timeout_ms passed (then *out is its present
 * state).  Polls the store each 20 ms at first, 200 ms later. */
SLW_MUST_USE enum slw_rc slw_job_wait(struct slw_store *s, int64_t id,
                                      int64_t timeout_ms, struct slw_arena *a,
                                      struct slw_job *out, struct slw_err *err);

/* Are rows, leases and announcements as they must be?  (store/verify.h) */
SLW_MUST_USE enum slw_rc slw_jobs_verify(struct slw_verify *v,
                                         struct slw_err *err);
/* Name the blobs that jobs which are queued or run speak of (store/gc.h). */
SLW_MUST_USE enum slw_rc slw_jobs_blobs(struct slw_gc *g, struct slw_err *err);

/* ---- inside the child ---- */
/* Progress for people: at most 10 writes a second reach the store; extends
 * the lease.  Never fails the job. */
SLW_PRINTF(3, 4)
void slw_job_progress(struct slw_job_ctx *ctx, double share, const char *fmt,
                      ...);
/* Mark the job succeeded with this result (JSON object), in the transaction
 * that also holds the work's rows, and emit "jobs.finished".
 * Errors CONFLICT: the job was cancelled or taken over: commit nothing. */
SLW_MUST_USE enum slw_rc slw_job_finish(struct slw_job_ctx *ctx,
                                        struct slw_tx *tx,
                                        struct slw_str result,
                                        struct slw_err *err);
/* Body of `slipway job ID`: find the kind, run it, record the outcome.
 * Returns the exit code for main(). */
int slw_job_child_main(struct slw_store *s, int64_t id,
                       const struct slw_job_kind *kinds, size_t kind_count,
                       void *app);

/* Run all queued jobs, oldest first, in this process and one after the other
 * until none is left: for a rehearsal, which has no runner.
 * In     now_ms: when they start and end; memo as in slw_job_ctx
 * Errors of the store.  A job that fails is its row's business; it is not
 *        tried again. */
SLW_MUST_USE enum slw_rc slw_jobs_run_here(struct slw_store *s, int64_t now_ms,
                                           const struct slw_job_kind *kinds,
                                           size_t kind_count, void *memo,
                                           struct slw_err *err);

/* ---- the server's runner ---- */
struct slw_jobs; /* Owner: its own threads */
struct slw_jobs_options {
    struct slw_store *store;
    const struct slw_clock *clock;
    const struct slw_job_kind *kinds;
    size_t kind_count;
    int slot_count; /* children at a time; 2 */
};
/* Jobs that a dead server left running are queued again (attempt + 1). */
SLW_MUST_USE enum slw_rc slw_jobs_start(struct slw_jobs **out,
                                        const struct slw_jobs_options *opt,
                                        struct slw_err *err);
/* Wake the runner: something was queued (it also looks each 200 ms). */
void slw_jobs_wake(struct slw_jobs *j);
/* Stop starting; children get TERM, then KILL; their jobs are queued again. */
void slw_jobs_stop(struct slw_jobs *j);

/* ---- short work in a child, answered at once (DuckDB for a request) ---- */
/* Run `slipway task <name>` with a JSON object on standard input and take the
 * JSON object it prints; not durable, no row.
 * Errors those the task reported; TIMEOUT; INTERNAL: the child died. */
SLW_MUST_USE enum slw_rc slw_task_run(struct slw_store *s, const char *name,
                                      struct slw_str spec_json,
                                      int64_t timeout_ms, struct slw_buf *out,
                                      struct slw_err *err);
struct slw_task_kind {
    const char *name;
    enum slw_rc (*fn)(struct slw_store *s, void *app, const struct json_t *spec,
                      struct slw_arena *a, struct slw_jw *out,
                      struct slw_err *err);
};
/* Body of `slipway task NAME --data DIR`: reads stdin, prints one JSON object
 * ({"ok":…} or {"error":{rc,message}}); returns the exit code. */
int slw_task_child_main(struct slw_store *s, const char *name,
                        const struct slw_task_kind *kinds, size_t kind_count,
                        void *app);

#endif
