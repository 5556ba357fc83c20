/* child.c -- inside `slipway job ID`: run the kind's function and record how
 * it ended.
 *
 * The child may be stopped at any instruction.  Nothing it does counts but
 * the transaction in which slw_job_finish() says so; and that one names the
 * lease, so a child that was given up cannot finish any more. */
#include <stdarg.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "jobs/jobs_internal.h"

#define PROGRESS_MIN_NS ((int64_t)100 * 1000000)
#define NOTE_SIZE_MAX 200

static const char SQL_PROGRESS[] =
    "UPDATE jobs_job SET progress = ?4, note = ?5, lease_until_ms = ?6"
    " WHERE id = ?1 AND state = 'running' AND lease_holder = ?2"
    " AND attempt = ?3";
static const char SQL_FINISH[] =
    "UPDATE jobs_job SET state = 'succeeded', progress = 1.0, note = '',"
    " result = ?4,"
    " ended_at_ms = ?5, error_rc = '', error = '', lease_holder = '',"
    " lease_until_ms = 0"
    " WHERE id = ?1 AND state = 'running' AND lease_holder = ?2"
    " AND attempt = ?3";
static const char SQL_OLDEST[] =
    "SELECT id FROM jobs_job WHERE state = 'queued' ORDER BY id LIMIT 1";
static const char SQL_TAKE[] =
    "UPDATE jobs_job SET state = 'running', attempt = attempt + 1,"
    " attempt_max = 1, lease_holder = ?2, lease_until_ms = ?3,"
    " started_at_ms = ?4 WHERE id = ?1";
static const char SQL_HOLDER[] =
    "SELECT lease_holder FROM jobs_job WHERE id = ?1";

/* One job a process: what slw_job_ctx has no room for.  Owner: the thread
 * that runs slw_job_child_main. */
static struct {
    struct job_lease lease;
    int64_t start_ns;
    int64_t progress_ns; /* of the last write; 0: none yet */
    bool clock_stands;
} child;

/* The child has no clock; the row's start and the time since are as good.  A
 * clock that is set by hand stands still meanwhile. */
static int64_t
row_now_ms(const struct slw_job *job)
{
    if (child.clock_stands)
        return job->started_at_ms;
    return job->started_at_ms + (slw_mono_ns() - child.start_ns) / 1000000;
}

static void
bind_lease(struct slw_stmt *st)
{
    slw_stmt_i64(st, 1, child.lease.id);
    slw_stmt_str(st, 2, slw_str_of(child.lease.holder));
    slw_stmt_i64(st, 3, child.lease.attempt);
}

/* ---- progress ---- */

static enum slw_rc
progress_write(struct slw_job_ctx *ctx, double share, struct slw_str note,
               struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, ctx->store, err));
    SLW_AUTO(slw_stmt, set);
    TRY(slw_stmt_prepare(&set, &tx, SQL_PROGRESS, err));
    bind_lease(&set);
    slw_stmt_f64(&set, 4, share);
    slw_stmt_str(&set, 5, note);
    slw_stmt_i64(&set, 6, jobs_real_ms() + JOBS_LEASE_MS);
    TRY(slw_stmt_run(&set, err));
    return slw_tx_commit(&tx, err);
}

void
slw_job_progress(struct slw_job_ctx *ctx, double share, const char *fmt, ...)
{
    const int64_t now_ns = slw_mono_ns();
    if (child.progress_ns != 0 && now_ns - child.progress_ns < PROGRESS_MIN_NS)
        return;
    child.progress_ns = now_ns;
    if (!(share >= 0))
        share = 0;
    if (share > 1)
        share = 1;
    char note[NOTE_SIZE_MAX + 1];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(note, sizeof(note), fmt, args);
    va_end(args);
    struct slw_str text = slw_str_of(note);
    while (!slw_str_utf8_ok(text)) /* cut in the middle of a character */
        text.len--;
    struct slw_err err;
    if (progress_write(ctx, share, text, &err) != SLW_OK)
        slw_log_err(SLW_LOG_WARN, "job.progress_lost", &err);
}

/* ---- the end ---- */

enum slw_rc
slw_job_finish(struct slw_job_ctx *ctx, struct slw_tx *tx,
               struct slw_str result, struct slw_err *err)
{
    SLW_ASSERT(tx->write);
    SLW_ASSERT(result.len >= 2);
    SLW_ASSERT(result.ptr[0] == '{');
    const int64_t now_ms = row_now_ms(ctx->job);
    SLW_AUTO(slw_stmt, set);
    TRY(slw_stmt_prepare(&set, tx, SQL_FINISH, err));
    bind_lease(&set);
    slw_stmt_str(&set, 4, result);
    slw_stmt_i64(&set, 5, now_ms);
    TRY(slw_stmt_run(&set, err));
    if (slw_tx_changes(tx) == 0)
        return slw_fail(err, SLW_CONFLICT,
                        "job %lld was cancelled or taken over",
                        (long long)child.lease.id);
    TRY(jobs_finished_emit(tx, now_ms, child.lease.id, SLW_JOB_SUCCEEDED, err));
    ctx->finished = true;
    return SLW_OK;
}

static enum slw_rc
finish_empty(struct slw_job_ctx *ctx, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, ctx->store, err));
    TRY(slw_job_finish(ctx, &tx, SLW_STR("{}"), err));
    return slw_tx_commit(&tx, err);
}

static enum slw_rc
record_failure(struct slw_store *s, const struct slw_job *job,
               const struct slw_err *why, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, s, err));
    const struct job_failure f = {
        .rc = why->rc,
        .message = why->msg,
        .now_ms = row_now_ms(job),
        .retry_at_ms = jobs_retry_at_ms(child.lease.attempt),
        .attempt_max = job->attempt_max,
    };
    bool final = false;
    TRY(jobs_fail(&tx, &child.lease, &f, &final, err));
    return slw_tx_commit(&tx, err);
}

/* ---- the start ---- */

static enum slw_rc
lease_read(int64_t id, struct slw_err *err)
{
    const char *holder = getenv(JOBS_ENV_HOLDER);
    const char *attempt = getenv(JOBS_ENV_ATTEMPT);
    const char *manual = getenv(JOBS_ENV_MANUAL);
    if (!holder || !attempt || strlen(holder) + 1 > sizeof(child.lease.holder))
        return slw_fail(err, SLW_INVALID,
                        "'slipway job' is started by the server; queue work "
                        "with the other commands");
    child.lease.id = id;
    memcpy(child.lease.holder, holder, strlen(holder) + 1);
    child.clock_stands = manual && strcmp(manual, "1") == 0;
    return slw_str_i64(slw_str_of(attempt), &child.lease.attempt, err);
}

static enum slw_rc
job_take(struct slw_store *s, struct slw_arena *a, struct slw_job *out,
         struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, s, err));
    struct slw_job job;
    TRY(slw_job_get(&tx, child.lease.id, a, &job, err));
    SLW_AUTO(slw_stmt, get);
    TRY(slw_stmt_prepare(&get, &tx, SQL_HOLDER, err));
    slw_stmt_i64(&get, 1, child.lease.id);
    bool row = false;
    TRY(slw_stmt_step(&get, &row, err));
    SLW_ASSERT(row);
    if (job.state != SLW_JOB_RUNNING || job.attempt != child.lease.attempt ||
        !slw_str_eqz(slw_col_str(&get, 0), child.lease.holder))
        return slw_fail(err, SLW_CONFLICT,
                        "job %lld was cancelled or taken over",
                        (long long)child.lease.id);
    *out = job;
    return SLW_OK;
}

static enum slw_rc
job_run(struct slw_job_ctx *ctx, const struct slw_job_kind *kinds,
        size_t kind_count, struct slw_err *err)
{
    const struct slw_job_kind *kind =
        jobs_kind_find(kinds, kind_count, ctx->job->kind);
    if (!kind)
        return slw_fail(err, SLW_UNSUPPORTED,
                        "this Slipway has no job of kind '%.*s'",
                        SLW_FMT(ctx->job->kind));
    slw_proc_limits(kind->memory_size, 0, 0);
    TRY(slw_dir_remove(ctx->dir, err));
    TRY(slw_dir_make(ctx->dir, err));
    SLW_AUTO(slw_json, spec);
    TRY(slw_json_parse(&spec, ctx->job->spec, err));
    ctx->spec = spec.root;
    TRY(kind->fn(ctx, err));
    if (!ctx->finished)
        TRY(finish_empty(ctx, err));
    return SLW_OK;
}

int
slw_job_child_main(struct slw_store *s, int64_t id,
                   const struct slw_job_kind *kinds, size_t kind_count,
                   void *app)
{
    slw_proc_die_with_parent();
    child.start_ns = slw_mono_ns();
    SLW_AUTO(slw_arena, arena);
    struct slw_job job;
    struct slw_err err;
    if (lease_read(id, &err) != SLW_OK ||
        job_take(s, &arena, &job, &err) != SLW_OK) {
        slw_log_err(SLW_LOG_ERROR, "job.not_started", &err);
        return 2;
    }
    struct slw_job_ctx ctx = {
        .store = s,
        .job = &job,
        .now_ms = job.now_ms,
        .arena = &arena,
        .dir = slw_path(&arena, slw_store_dir(s), "jobs/%lld", (long long)id),
        .app = app,
    };
    if (job_run(&ctx, kinds, kind_count, &err) == SLW_OK)
        return 0;
    slw_log_err(SLW_LOG_ERROR, "job.attempt_failed", &err);
    struct slw_err why = err;
    if (record_failure(s, &job, &why, &err) != SLW_OK) {
        slw_log_err(SLW_LOG_ERROR, "job.not_recorded", &err);
        return 2; /* the runner records it */
    }
    return 1;
}

/* ---- without a runner ---- */

/* Out  *found false: nothing is queued */
static enum slw_rc
oldest_take(struct slw_store *s, int64_t now_ms, bool *found,
            struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, s, err));
    SLW_AUTO(slw_stmt, next);
    TRY(slw_stmt_prepare(&next, &tx, SQL_OLDEST, err));
    TRY(slw_stmt_step(&next, found, err));
    if (!*found)
        return SLW_OK;
    child.lease.id = slw_col_i64(&next, 0);
    child.lease.attempt = 1;
    slw_stmt_reset(&next);
    SLW_AUTO(slw_stmt, take);
    TRY(slw_stmt_prepare(&take, &tx, SQL_TAKE, err));
    slw_stmt_i64(&take, 1, child.lease.id);
    slw_stmt_str(&take, 2, slw_str_of(child.lease.holder));
    slw_stmt_i64(&take, 3, jobs_real_ms() + JOBS_LEASE_MS);
    slw_stmt_i64(&take, 4, now_ms);
    TRY(slw_stmt_run(&take, err));
    return slw_tx_commit(&tx, err);
}

static enum slw_rc
taken_run(struct slw_store *s, const struct slw_job_kind *kinds,
          size_t kind_count, void *memo, struct slw_err *err)
{
    SLW_AUTO(slw_arena, arena);
    struct slw_job job;
    TRY(job_take(s, &arena, &job, err));
    struct slw_job_ctx ctx = {
        .store = s,
        .job = &job,
        .now_ms = job.now_ms,
        .arena = &arena,
        .dir =
            slw_path(&arena, slw_store_dir(s), "jobs/%lld", (long long)job.id),
        .memo = memo,
    };
    const enum slw_rc rc = job_run(&ctx, kinds, kind_count, err);
    struct slw_err ignored;
    (void)!slw_dir_remove(ctx.dir, &ignored);
    if (rc == SLW_OK)
        return SLW_OK;
    const struct slw_err why = *err;
    slw_log_err(SLW_LOG_WARN, "job.failed", &why);
    return record_failure(s, &job, &why, err);
}

enum slw_rc
slw_jobs_run_here(struct slw_store *s, int64_t now_ms,
                  const struct slw_job_kind *kinds, size_t kind_count,
                  void *memo, struct slw_err *err)
{
    memcpy(child.lease.holder, "here", sizeof "here");
    child.clock_stands = true;
    for (;;) {
        bool found = false;
        TRY(oldest_take(s, now_ms, &found, err));
        if (!found)
            return SLW_OK;
        TRY(taken_run(s, kinds, kind_count, memo, err));
    }
}
