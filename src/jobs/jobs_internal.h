/* jobs_internal.h -- shared by the files of this room only. */
#ifndef SLW_JOBS_JOBS_INTERNAL_H
#define SLW_JOBS_JOBS_INTERNAL_H

#include "base/arena.h"
#include "jobs/jobs.h"
#include "store/event.h"

/* A running job is somebody's for this long, then anybody's again. */
#define JOBS_LEASE_MS 30000
/* How often the runner looks for work, cancellations and lost leases. */
#define JOBS_LOOK_MS 200
/* Between TERM and KILL. */
#define JOBS_TERM_MS 2000
/* Wait before a second attempt; four times as long before each later one. */
#define JOBS_RETRY_MS 200
#define JOBS_RETRY_MS_MAX 30000
#define JOBS_ERROR_SIZE_MAX 2000
#define JOBS_TASK_SPEC_SIZE_MAX ((size_t)64 << 20)

/* The runner tells its child under which lease it runs; the child writes only
 * while the row says the same. */
#define JOBS_ENV_HOLDER "SLIPWAY_JOB_HOLDER"
#define JOBS_ENV_ATTEMPT "SLIPWAY_JOB_ATTEMPT"
/* "1": the server's clock is set by hand and stands still while we work. */
#define JOBS_ENV_MANUAL "SLIPWAY_JOB_CLOCK_MANUAL"

/* One attempt at a job: what must still be true of the row for a write. */
struct job_lease {
    int64_t id;
    int64_t attempt;
    char holder[33];
};

/* How an attempt failed. */
struct job_failure {
    enum slw_rc rc;
    const char *message;
    int64_t now_ms;      /* of the clock of the rows */
    int64_t retry_at_ms; /* of the system clock; where it is tried again */
    int64_t attempt_max;
};

/* job.c: real time, for leases and retries only; a rehearsal's clock stands
 * still while children run. */
int64_t jobs_real_ms(void);
enum slw_rc jobs_rc_of(struct slw_str name);
/* Back to the queue, or failed for good, whichever the rules say.
 * Errors CONFLICT: the row is not under this lease any more. */
enum slw_rc jobs_fail(struct slw_tx *tx, const struct job_lease *lease,
                      const struct job_failure *f, bool *out_final,
                      struct slw_err *err);
enum slw_rc jobs_finished_emit(struct slw_tx *tx, int64_t now_ms, int64_t id,
                               enum slw_job_state state, struct slw_err *err);
/* When attempt number `attempt` failed now. */
int64_t jobs_retry_at_ms(int64_t attempt);
const struct slw_job_kind *jobs_kind_find(const struct slw_job_kind *kinds,
                                          size_t kind_count,
                                          struct slw_str name);
/* runner.c: the binary to start children with. */
const char *jobs_exe(void);
extern const char *const JOBS_CHILD_ENV[4];

#endif
