/* job.c -- the rows of the queue: put, read, cancel, wait, and how an attempt
 * that failed goes back to the queue or ends.
 *
 * Every change of a running job names its lease (holder and attempt) in the
 * WHERE clause: whoever lost the lease changes nothing, and finds out. */
#include "base/buf.h"
#include "jobs/jobs_internal.h"

#include "store/dry.h"

#include <errno.h>

#define COLUMNS                                                                \
    "id, kind, subject, spec, state, attempt, attempt_max, progress, note,"    \
    " result, error_rc, error, created_at_ms, started_at_ms, ended_at_ms,"     \
    " now_ms"

static const char SQL_INSERT[] =
    "INSERT INTO jobs_job(kind, subject, key, spec, state, attempt,"
    " attempt_max, progress, note, result, error_rc, error, lease_holder,"
    " lease_until_ms, retry_at_ms, now_ms, created_at_ms, started_at_ms,"
    " ended_at_ms)"
    " VALUES(?1, ?2, ?3, ?4, 'queued', 0, 0, 0.0, '', '', '', '', '', 0, 0,"
    " ?5, ?5, 0, 0)";
static const char SQL_BY_KEY[] =
    "SELECT id FROM jobs_job WHERE key = ?1 AND key <> ''"
    " AND state IN ('queued', 'running')";
static const char SQL_GET[] = "SELECT " COLUMNS " FROM jobs_job WHERE id = ?1";
static const char SQL_LIST[] = "SELECT " COLUMNS " FROM jobs_job WHERE id < ?1"
                               " ORDER BY id DESC LIMIT ?2";
static const char SQL_LIST_KIND[] =
    "SELECT " COLUMNS " FROM jobs_job WHERE kind = ?3"
    " AND id < ?1 ORDER BY id DESC LIMIT ?2";
static const char SQL_LIST_SUBJECT[] =
    "SELECT " COLUMNS " FROM jobs_job WHERE subject = ?4 AND id < ?1"
    " ORDER BY id DESC LIMIT ?2";
static const char SQL_LIST_BOTH[] =
    "SELECT " COLUMNS " FROM jobs_job WHERE subject = ?4 AND kind = ?3"
    " AND id < ?1 ORDER BY id DESC LIMIT ?2";
static const char SQL_CANCEL[] =
    "UPDATE jobs_job SET state = 'cancelled', ended_at_ms = ?2"
    " WHERE id = ?1 AND state IN ('queued', 'running')";
static const char SQL_ACTIVE[] =
    "SELECT count(*) FROM jobs_job WHERE state IN ('queued', 'running')";
static const char SQL_MOVING[] =
    "SELECT " COLUMNS " FROM jobs_job WHERE state IN ('queued', 'running')"
    " ORDER BY id LIMIT ?1";
static const char SQL_COUNT[] = "SELECT count(*) FROM jobs_job";
static const char SQL_COUNT_KIND[] =
    "SELECT count(*) FROM jobs_job WHERE kind = ?1";
static const char SQL_COUNT_SUBJECT[] =
    "SELECT count(*) FROM jobs_job WHERE subject = ?2";
static const char SQL_COUNT_BOTH[] =
    "SELECT count(*) FROM jobs_job WHERE subject = ?2 AND kind = ?1";
static const char SQL_STATE[] = "SELECT state FROM jobs_job WHERE id = ?1";
static const char SQL_KIND[] = "SELECT kind FROM jobs_job WHERE id = ?1";
static const char SQL_FAIL[] =
    "UPDATE jobs_job SET state = 'failed', error_rc = ?4, error = ?5,"
    " ended_at_ms = ?6, lease_holder = '', lease_until_ms = 0"
    " WHERE id = ?1 AND state = 'running' AND lease_holder = ?2"
    " AND attempt = ?3";
static const char SQL_RETRY[] =
    "UPDATE jobs_job SET state = 'queued', error_rc = ?4, error = ?5,"
    " retry_at_ms = ?6, lease_holder = '', lease_until_ms = 0"
    " WHERE id = ?1 AND state = 'running' AND lease_holder = ?2"
    " AND attempt = ?3";

static const char *const STATE_NAMES[] = {"queued", "running", "succeeded",
                                          "failed", "cancelled"};

const char *
slw_job_state_name(enum slw_job_state s)
{
    SLW_ASSERT((size_t)s < SLW_ARRAY_LEN(STATE_NAMES));
    return STATE_NAMES[s];
}

static enum slw_job_state
state_of(struct slw_str name)
{
    for (size_t i = 0; i < SLW_ARRAY_LEN(STATE_NAMES); i++)
        if (slw_str_eqz(name, STATE_NAMES[i]))
            return (enum slw_job_state)i;
    SLW_ASSERT(!"a state the CHECK of the table refuses");
    return SLW_JOB_FAILED;
}

int64_t
jobs_real_ms(void)
{
    struct slw_clock clock;
    slw_clock_init_system(&clock);
    return slw_clock_now_ms(&clock);
}

/* The table keeps '' for none. */
static const char *
rc_text(enum slw_rc rc)
{
    return rc == SLW_OK ? "" : slw_rc_name(rc);
}

enum slw_rc
jobs_rc_of(struct slw_str name)
{
    if (name.len == 0)
        return SLW_OK;
    for (int rc = 0; rc < SLW_RC_COUNT; rc++)
        if (slw_str_eqz(name, slw_rc_name((enum slw_rc)rc)))
            return (enum slw_rc)rc;
    return SLW_INTERNAL; /* a code of another version */
}

const struct slw_job_kind *
jobs_kind_find(const struct slw_job_kind *kinds, size_t kind_count,
               struct slw_str name)
{
    for (size_t i = 0; i < kind_count; i++)
        if (slw_str_eqz(name, kinds[i].name))
            return &kinds[i];
    return NULL;
}

/* ---- putting ---- */

static enum slw_rc
find_by_key(struct slw_tx *tx, struct slw_str key, int64_t *out_id,
            struct slw_err *err)
{
    SLW_AUTO(slw_stmt, find);
    TRY(slw_stmt_prepare(&find, tx, SQL_BY_KEY, err));
    slw_stmt_str(&find, 1, key);
    bool row = false;
    TRY(slw_stmt_step(&find, &row, err));
    *out_id = row ? slw_col_i64(&find, 0) : 0;
    return SLW_OK;
}

/* A job that is queued is no event; in a dry run it is an effect. */
static void
put_effect(struct slw_tx *tx, const char *kind, struct slw_str subject,
           struct slw_str spec)
{
    SLW_AUTO(slw_buf, payload);
    struct slw_jw w;
    if (!tx->dry)
        return;
    slw_jw_init(&w, &payload);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "kind", kind);
    slw_jw_kraw(&w, "spec", spec);
    slw_jw_obj_end(&w);
    slw_effect_add(tx, "jobs.queued", subject, slw_buf_view(&payload));
}

enum slw_rc
slw_job_put(struct slw_tx *tx, int64_t now_ms, const char *kind,
            struct slw_str subject, struct slw_str key, struct slw_str spec,
            int64_t *out_id, struct slw_err *err)
{
    SLW_ASSERT(tx->write);
    SLW_ASSERT(spec.len >= 2);
    SLW_ASSERT(spec.ptr[0] == '{');
    int64_t id = 0;
    if (key.len > 0)
        TRY(find_by_key(tx, key, &id, err));
    if (id == 0) {
        SLW_AUTO(slw_stmt, put);
        TRY(slw_stmt_prepare(&put, tx, SQL_INSERT, err));
        slw_stmt_str(&put, 1, slw_str_of(kind));
        slw_stmt_str(&put, 2, subject);
        slw_stmt_str(&put, 3, key);
        slw_stmt_str(&put, 4, spec);
        slw_stmt_i64(&put, 5, now_ms);
        TRY(slw_stmt_run(&put, err));
        id = slw_tx_last_id(tx);
        put_effect(tx, kind, subject, spec);
    }
    *out_id = id;
    return SLW_OK;
}

/* ---- reading ---- */

static void
job_read(struct slw_stmt *st, struct slw_arena *a, struct slw_job *out)
{
    *out = (struct slw_job){
        .id = slw_col_i64(st, 0),
        .kind = slw_col_dup(st, 1, a),
        .subject = slw_col_dup(st, 2, a),
        .spec = slw_col_dup(st, 3, a),
        .state = state_of(slw_col_str(st, 4)),
        .attempt = (int)slw_col_i64(st, 5),
        .attempt_max = (int)slw_col_i64(st, 6),
        .progress = slw_col_f64(st, 7),
        .note = slw_col_dup(st, 8, a),
        .result = slw_col_dup(st, 9, a),
        .error_rc = jobs_rc_of(slw_col_str(st, 10)),
        .error = slw_col_dup(st, 11, a),
        .created_at_ms = slw_col_i64(st, 12),
        .started_at_ms = slw_col_i64(st, 13),
        .ended_at_ms = slw_col_i64(st, 14),
        .now_ms = slw_col_i64(st, 15),
    };
}

enum slw_rc
slw_job_get(struct slw_tx *tx, int64_t id, struct slw_arena *a,
            struct slw_job *out, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, get);
    TRY(slw_stmt_prepare(&get, tx, SQL_GET, err));
    slw_stmt_i64(&get, 1, id);
    bool row = false;
    TRY(slw_stmt_step(&get, &row, err));
    if (!row)
        return slw_fail(err, SLW_NOT_FOUND, "there is no job %lld",
                        (long long)id);
    job_read(&get, a, out);
    return SLW_OK;
}

/* The rows of a bound statement, which gives at most count_max. */
static enum slw_rc
jobs_read(struct slw_stmt *list, size_t count_max, struct slw_arena *a,
          struct slw_job **out, size_t *out_count, struct slw_err *err)
{
    struct slw_job *jobs = SLW_ARENA_NEW(a, struct slw_job, count_max + 1);
    size_t count = 0;
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(list, &row, err));
        if (!row)
            break;
        job_read(list, a, &jobs[count++]);
    }
    *out = jobs;
    *out_count = count;
    return SLW_OK;
}

enum slw_rc
slw_job_list(struct slw_tx *tx, struct slw_str kind, struct slw_str subject,
             int64_t before_id, size_t count_max, struct slw_arena *a,
             struct slw_job **out, size_t *out_count, struct slw_err *err)
{
    const char *sql = kind.len > 0
                          ? (subject.len > 0 ? SQL_LIST_BOTH : SQL_LIST_KIND)
                          : (subject.len > 0 ? SQL_LIST_SUBJECT : SQL_LIST);
    SLW_AUTO(slw_stmt, list);
    TRY(slw_stmt_prepare(&list, tx, sql, err));
    slw_stmt_i64(&list, 1, before_id > 0 ? before_id : INT64_MAX);
    slw_stmt_i64(&list, 2, (int64_t)count_max);
    if (kind.len > 0)
        slw_stmt_str(&list, 3, kind);
    if (subject.len > 0)
        slw_stmt_str(&list, 4, subject);
    return jobs_read(&list, count_max, a, out, out_count, err);
}

enum slw_rc
slw_job_count(struct slw_tx *tx, struct slw_str kind, struct slw_str subject,
              int64_t *out_count, struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(
        &st, tx,
        kind.len > 0 ? (subject.len > 0 ? SQL_COUNT_BOTH : SQL_COUNT_KIND)
                     : (subject.len > 0 ? SQL_COUNT_SUBJECT : SQL_COUNT),
        err));
    if (kind.len > 0)
        slw_stmt_str(&st, 1, kind);
    if (subject.len > 0)
        slw_stmt_str(&st, 2, subject);
    TRY(slw_stmt_step(&st, &row, err));
    *out_count = row ? slw_col_i64(&st, 0) : 0;
    return SLW_OK;
}

enum slw_rc
slw_job_moving(struct slw_tx *tx, size_t count_max, struct slw_arena *a,
               struct slw_job **out, size_t *out_count, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, list);
    TRY(slw_stmt_prepare(&list, tx, SQL_MOVING, err));
    slw_stmt_i64(&list, 1, (int64_t)count_max);
    return jobs_read(&list, count_max, a, out, out_count, err);
}

static void
write_time(struct slw_jw *w, const char *key, int64_t ms)
{
    slw_jw_key(w, key);
    if (ms > 0)
        slw_jw_i64(w, ms);
    else
        slw_jw_null(w);
}

enum slw_rc
slw_job_active(struct slw_tx *tx, int64_t *out_count, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, count);
    TRY(slw_stmt_prepare(&count, tx, SQL_ACTIVE, err));
    bool row = false;
    TRY(slw_stmt_step(&count, &row, err));
    SLW_ASSERT(row);
    *out_count = slw_col_i64(&count, 0);
    return SLW_OK;
}

void
slw_job_write(struct slw_jw *w, const struct slw_job *job)
{
    slw_jw_obj(w);
    slw_jw_ki64(w, "id", job->id);
    slw_jw_kstr(w, "kind", job->kind);
    slw_jw_kstr(w, "subject", job->subject);
    slw_jw_kz(w, "state", slw_job_state_name(job->state));
    slw_jw_kf64(w, "progress", job->progress);
    slw_jw_kstr(w, "note", job->note);
    slw_jw_ki64(w, "attempt", job->attempt);
    slw_jw_ki64(w, "attempt_max", job->attempt_max);
    slw_jw_kraw(w, "spec", job->spec);
    slw_jw_kraw(w, "result",
                job->result.len > 0 ? job->result : SLW_STR("null"));
    slw_jw_key(w, "error");
    if (job->error_rc == SLW_OK) {
        slw_jw_null(w);
    } else {
        slw_jw_obj(w);
        slw_jw_kz(w, "code", slw_rc_name(job->error_rc));
        slw_jw_kstr(w, "message", job->error);
        slw_jw_obj_end(w);
    }
    write_time(w, "created_at_ms", job->created_at_ms);
    write_time(w, "started_at_ms", job->started_at_ms);
    write_time(w, "ended_at_ms", job->ended_at_ms);
    slw_jw_obj_end(w);
}

/* ---- ending ---- */

enum slw_rc
jobs_finished_emit(struct slw_tx *tx, int64_t now_ms, int64_t id,
                   enum slw_job_state state, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, get);
    TRY(slw_stmt_prepare(&get, tx, SQL_KIND, err));
    slw_stmt_i64(&get, 1, id);
    bool row = false;
    TRY(slw_stmt_step(&get, &row, err));
    SLW_ASSERT(row);
    SLW_AUTO(slw_buf, payload);
    struct slw_jw w;
    slw_jw_init(&w, &payload);
    slw_jw_obj(&w);
    slw_jw_ki64(&w, "job", id);
    slw_jw_kstr(&w, "kind", slw_col_str(&get, 0));
    slw_jw_kz(&w, "state", slw_job_state_name(state));
    slw_jw_obj_end(&w);
    char subject[32];
    (void)snprintf(subject, sizeof(subject), "%lld", (long long)id);
    return slw_event_emit(tx, now_ms, "jobs.finished", slw_str_of(subject),
                          slw_buf_view(&payload), err);
}

/* Failures that another attempt may not meet. */
static bool
is_passing(enum slw_rc rc)
{
    return rc == SLW_IO || rc == SLW_BUSY || rc == SLW_TIMEOUT ||
           rc == SLW_INTERNAL;
}

int64_t
jobs_retry_at_ms(int64_t attempt)
{
    int64_t wait_ms = JOBS_RETRY_MS;
    for (int64_t i = 1; i < attempt && wait_ms < JOBS_RETRY_MS_MAX; i++)
        wait_ms *= 4;
    if (wait_ms > JOBS_RETRY_MS_MAX)
        wait_ms = JOBS_RETRY_MS_MAX;
    return jobs_real_ms() + wait_ms;
}

enum slw_rc
jobs_fail(struct slw_tx *tx, const struct job_lease *lease,
          const struct job_failure *f, bool *out_final, struct slw_err *err)
{
    SLW_ASSERT(f->rc != SLW_OK);
    const bool final = !is_passing(f->rc) || lease->attempt >= f->attempt_max;
    struct slw_str message = slw_str_of(f->message);
    if (message.len > JOBS_ERROR_SIZE_MAX)
        message.len = JOBS_ERROR_SIZE_MAX;
    SLW_AUTO(slw_stmt, set);
    TRY(slw_stmt_prepare(&set, tx, final ? SQL_FAIL : SQL_RETRY, err));
    slw_stmt_i64(&set, 1, lease->id);
    slw_stmt_str(&set, 2, slw_str_of(lease->holder));
    slw_stmt_i64(&set, 3, lease->attempt);
    slw_stmt_str(&set, 4, slw_str_of(rc_text(f->rc)));
    slw_stmt_str(&set, 5, message);
    slw_stmt_i64(&set, 6, final ? f->now_ms : f->retry_at_ms);
    TRY(slw_stmt_run(&set, err));
    if (slw_tx_changes(tx) == 0)
        return slw_fail(err, SLW_CONFLICT,
                        "job %lld was cancelled or taken over",
                        (long long)lease->id);
    if (final)
        TRY(jobs_finished_emit(tx, f->now_ms, lease->id, SLW_JOB_FAILED, err));
    *out_final = final;
    return SLW_OK;
}

static enum slw_rc
refuse_cancel(struct slw_tx *tx, int64_t id, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, get);
    TRY(slw_stmt_prepare(&get, tx, SQL_STATE, err));
    slw_stmt_i64(&get, 1, id);
    bool row = false;
    TRY(slw_stmt_step(&get, &row, err));
    if (!row)
        return slw_fail(err, SLW_NOT_FOUND, "there is no job %lld",
                        (long long)id);
    return slw_fail(err, SLW_CONFLICT,
                    "job %lld has %.*s already and cannot be cancelled",
                    (long long)id, SLW_FMT(slw_col_str(&get, 0)));
}

/* The row changes at once, also of a running job: its child can not finish
 * any more, and the runner, which looks at the rows, stops it. */
enum slw_rc
slw_job_cancel(struct slw_store *s, int64_t now_ms, int64_t id,
               struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, s, err));
    SLW_AUTO(slw_stmt, set);
    TRY(slw_stmt_prepare(&set, &tx, SQL_CANCEL, err));
    slw_stmt_i64(&set, 1, id);
    slw_stmt_i64(&set, 2, now_ms);
    TRY(slw_stmt_run(&set, err));
    if (slw_tx_changes(&tx) == 0)
        return refuse_cancel(&tx, id, err);
    TRY(jobs_finished_emit(&tx, now_ms, id, SLW_JOB_CANCELLED, err));
    return slw_tx_commit(&tx, err);
}

/* ---- waiting ---- */

static bool
has_ended(enum slw_job_state state)
{
    return state != SLW_JOB_QUEUED && state != SLW_JOB_RUNNING;
}

static enum slw_rc
state_read(struct slw_store *s, int64_t id, enum slw_job_state *out,
           struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, s, err));
    SLW_AUTO(slw_stmt, get);
    TRY(slw_stmt_prepare(&get, &tx, SQL_STATE, err));
    slw_stmt_i64(&get, 1, id);
    bool row = false;
    TRY(slw_stmt_step(&get, &row, err));
    if (!row)
        return slw_fail(err, SLW_NOT_FOUND, "there is no job %lld",
                        (long long)id);
    *out = state_of(slw_col_str(&get, 0));
    return SLW_OK;
}

enum slw_rc
slw_job_wait(struct slw_store *s, int64_t id, int64_t timeout_ms,
             struct slw_arena *a, struct slw_job *out, struct slw_err *err)
{
    const int64_t start_ns = slw_mono_ns();
    for (;;) {
        enum slw_job_state state;
        TRY(state_read(s, id, &state, err));
        const int64_t waited_ms = (slw_mono_ns() - start_ns) / 1000000;
        if (has_ended(state) || waited_ms >= timeout_ms)
            break;
        int64_t nap_ms = waited_ms < 1000 ? 20 : 200;
        if (nap_ms > timeout_ms - waited_ms)
            nap_ms = timeout_ms - waited_ms;
        const struct timespec nap = {0, (long)nap_ms * 1000000};
        (void)nanosleep(&nap, NULL);
    }
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, s, err));
    return slw_job_get(&tx, id, a, out, err);
}
