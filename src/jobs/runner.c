/* runner.c -- the server's runner: one thread that starts children, watches
 * them, extends their leases and records the end of those that could not do
 * so themselves.
 *
 * A slot's life:
 *   free --claim the row, spawn--> running --ended--> look at the row
 *                                    |                  | still running?
 *                     too long, cancelled, stopping     | then record it
 *                                    v                  v
 *                          TERM, 2 s later KILL       free
 *
 * The thread sleeps in poll() on an eventfd and the children's pidfds: an end
 * is seen at once, new work when somebody wakes it, and all else (cancelled
 * rows, retries that are due, work queued by other processes) each 200 ms.
 * It lives as long as the server, since children die with the thread that
 * started them. */
#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/rng.h"
#include "jobs/jobs_internal.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOT_MAX 64
#define LEASE_EXTEND_NS ((int64_t)10 * 1000000000)
#define LOST_LOOK_NS ((int64_t)10 * 1000000000)
/* More than a lease and more than the longest pause before a retry. */
#define AHEAD_MS ((int64_t)5 * 60000)

/* A time further ahead than any that is ever written was written before the
 * system's clock was set back: it counts as come. */
static const char SQL_NEXT[] =
    "SELECT id, kind, attempt FROM jobs_job WHERE state = 'queued'"
    " AND (retry_at_ms <= ?1 OR retry_at_ms > ?2) ORDER BY id LIMIT 1";
static const char SQL_CLAIM[] =
    "UPDATE jobs_job SET state = 'running', attempt = attempt + 1,"
    " attempt_max = ?2, lease_holder = ?3, lease_until_ms = ?4,"
    " started_at_ms = ?5, progress = 0.0, note = ''"
    " WHERE id = ?1 AND state = 'queued'";
static const char SQL_REFUSE[] =
    "UPDATE jobs_job SET state = 'failed', error_rc = 'unsupported',"
    " error = ?2, ended_at_ms = ?3 WHERE id = ?1 AND state = 'queued'";
static const char SQL_EXTEND[] =
    "UPDATE jobs_job SET lease_until_ms = ?2"
    " WHERE state = 'running' AND lease_holder = ?1";
static const char SQL_UNDER_LEASE[] =
    "SELECT state = 'running' AND lease_holder = ?2 AND attempt = ?3, state,"
    " error FROM jobs_job WHERE id = ?1";
/* Lost: of a server that is gone, or past its lease. */
static const char SQL_LOST[] =
    "SELECT id, attempt, attempt_max, lease_holder FROM jobs_job"
    " WHERE state = 'running'"
    " AND (lease_until_ms < ?2 OR lease_until_ms > ?4"
    "  OR (?3 = 1 AND lease_holder <> ?1)) LIMIT 1";
/* A stop of the server is no attempt of the job's. */
static const char SQL_GIVE_BACK[] =
    "UPDATE jobs_job SET state = 'queued', attempt = attempt - 1,"
    " lease_holder = '', lease_until_ms = 0, retry_at_ms = 0"
    " WHERE id = ?1 AND state = 'running' AND lease_holder = ?2"
    " AND attempt = ?3";

/* Before exec: these libraries read them when they are loaded.  One thread,
 * no spinning, and a fixed kernel, so that results repeat bit for bit. */
const char *const JOBS_CHILD_ENV[4] = {
    "OMP_WAIT_POLICY=passive", "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1",
    "OPENBLAS_CORETYPE=Haswell"};

enum slot_why { WHY_NONE, WHY_CANCELLED, WHY_TIMEOUT, WHY_STOPPING };

struct slot {
    bool used;
    bool reaped;
    pid_t pid;
    int pidfd;
    int status; /* as waitpid gives it */
    struct job_lease lease;
    const struct slw_job_kind *kind;
    int64_t start_ns;
    enum slot_why why; /* TERM was sent, for this reason */
    int64_t asked_ns;
    bool killed;
};

struct slw_jobs {
    struct slw_jobs_options opt;
    char holder[33]; /* new at each start of the server */
    pthread_t thread;
    int wake_fd;
    atomic_bool stopping;
    /* ---- the runner thread's own ---- */
    struct slot slots[SLOT_MAX];
    int64_t extended_ns;
    int64_t lost_ns;
};

const char *
jobs_exe(void)
{
    const char *exe = getenv("SLIPWAY_EXE");
    return exe && exe[0] ? exe : slw_proc_self_path();
}

/* ---- starting ---- */

static enum slw_rc
slot_spawn(struct slw_jobs *j, struct slot *slot, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    const char *dir = slw_store_dir(j->opt.store);
    const struct job_lease *lease = &slot->lease;
    const char *argv[] = {
        jobs_exe(),
        "job",
        slw_arena_printf(&a, "%lld", (long long)lease->id).ptr,
        "--data",
        dir,
        NULL};
    const char *env[SLW_ARRAY_LEN(JOBS_CHILD_ENV) + 4] = {
        slw_arena_printf(&a, JOBS_ENV_HOLDER "=%s", lease->holder).ptr,
        slw_arena_printf(&a, JOBS_ENV_ATTEMPT "=%lld",
                         (long long)lease->attempt)
            .ptr,
        j->opt.clock->manual ? JOBS_ENV_MANUAL "=1" : JOBS_ENV_MANUAL "=0"};
    for (size_t i = 0; i < SLW_ARRAY_LEN(JOBS_CHILD_ENV); i++)
        env[i + 3] = JOBS_CHILD_ENV[i];
    const struct slw_proc_spec spec = {
        .argv = argv,
        .env = env,
        .log_path = slw_path(&a, dir, "jobs/%lld.log", (long long)lease->id),
    };
    slot->start_ns = slw_mono_ns();
    TRY(slw_proc_start(&spec, &slot->pid, err));
    /* Without a pidfd the end is seen at the next look. */
    slot->pidfd = pidfd_open(slot->pid, 0);
    return SLW_OK;
}

/* A kind that this binary does not have: the job fails before any attempt. */
static enum slw_rc
refuse(struct slw_jobs *j, struct slw_tx *tx, int64_t id, struct slw_str kind,
       struct slw_err *err)
{
    const int64_t now_ms = slw_clock_now_ms(j->opt.clock);
    SLW_AUTO(slw_arena, a);
    const struct slw_str why = slw_arena_printf(
        &a, "this Slipway has no job of kind '%.*s'", SLW_FMT(kind));
    SLW_AUTO(slw_stmt, set);
    TRY(slw_stmt_prepare(&set, tx, SQL_REFUSE, err));
    slw_stmt_i64(&set, 1, id);
    slw_stmt_str(&set, 2, why);
    slw_stmt_i64(&set, 3, now_ms);
    TRY(slw_stmt_run(&set, err));
    return jobs_finished_emit(tx, now_ms, id, SLW_JOB_FAILED, err);
}

static enum slw_rc
claim_row(struct slw_jobs *j, struct slw_tx *tx, int64_t id,
          const struct slw_job_kind *kind, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, set);
    TRY(slw_stmt_prepare(&set, tx, SQL_CLAIM, err));
    slw_stmt_i64(&set, 1, id);
    slw_stmt_i64(&set, 2, kind->attempt_max > 0 ? kind->attempt_max : 1);
    slw_stmt_str(&set, 3, slw_str_of(j->holder));
    slw_stmt_i64(&set, 4, jobs_real_ms() + JOBS_LEASE_MS);
    slw_stmt_i64(&set, 5, slw_clock_now_ms(j->opt.clock));
    TRY(slw_stmt_run(&set, err));
    SLW_ASSERT(slw_tx_changes(tx) == 1);
    return SLW_OK;
}

/* Take the oldest job that is due.  Out: slot->used false, *out_more false:
 * none is due; *out_more true with an unused slot: one was refused. */
static enum slw_rc
claim(struct slw_jobs *j, struct slot *slot, bool *out_more,
      struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, j->opt.store, err));
    SLW_AUTO(slw_stmt, next);
    TRY(slw_stmt_prepare(&next, &tx, SQL_NEXT, err));
    slw_stmt_i64(&next, 1, jobs_real_ms());
    slw_stmt_i64(&next, 2, jobs_real_ms() + AHEAD_MS);
    TRY(slw_stmt_step(&next, out_more, err));
    if (!*out_more)
        return SLW_OK;
    struct slot taken = {.used = true, .pidfd = -1};
    taken.lease.id = slw_col_i64(&next, 0);
    taken.lease.attempt = slw_col_i64(&next, 2) + 1;
    memcpy(taken.lease.holder, j->holder, sizeof(j->holder));
    taken.kind =
        jobs_kind_find(j->opt.kinds, j->opt.kind_count, slw_col_str(&next, 1));
    if (!taken.kind)
        TRY(refuse(j, &tx, taken.lease.id, slw_col_str(&next, 1), err));
    else
        TRY(claim_row(j, &tx, taken.lease.id, taken.kind, err));
    TRY(slw_tx_commit(&tx, err));
    if (taken.kind)
        *slot = taken;
    return SLW_OK;
}

/* A look without a lock: most looks find nothing. */
static bool
is_due(struct slw_jobs *j)
{
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    SLW_AUTO(slw_stmt, next);
    bool row = false;
    if (slw_tx_read(&tx, j->opt.store, &err) != SLW_OK ||
        slw_stmt_prepare(&next, &tx, SQL_NEXT, &err) != SLW_OK) {
        slw_log_err(SLW_LOG_ERROR, "jobs.queue_not_read", &err);
        return false;
    }
    slw_stmt_i64(&next, 1, jobs_real_ms());
    slw_stmt_i64(&next, 2, jobs_real_ms() + AHEAD_MS);
    if (slw_stmt_step(&next, &row, &err) != SLW_OK) {
        slw_log_err(SLW_LOG_ERROR, "jobs.queue_not_read", &err);
        return false;
    }
    return row;
}

/* ---- ending ---- */

/* The sentence for a child that left its row running. */
static struct job_failure
failure_of(struct slw_jobs *j, const struct slot *slot, char *text,
           size_t text_size)
{
    struct job_failure f = {
        .rc = SLW_INTERNAL,
        .message = text,
        .now_ms = slw_clock_now_ms(j->opt.clock),
        .retry_at_ms = jobs_retry_at_ms(slot->lease.attempt),
        .attempt_max = slot->kind->attempt_max,
    };
    const int sig = WIFSIGNALED(slot->status) ? WTERMSIG(slot->status) : 0;
    if (slot->why == WHY_TIMEOUT) {
        f.rc = SLW_TIMEOUT;
        (void)snprintf(text, text_size,
                       "took longer than %lld ms and was stopped",
                       (long long)slot->kind->timeout_ms);
    } else if (sig == SIGKILL) {
        (void)snprintf(text, text_size,
                       "its process was killed; if nobody did so by hand, it "
                       "ran out of memory");
    } else if (sig != 0) {
        (void)snprintf(text, text_size,
                       "its process crashed with signal %d (%s); see "
                       "jobs/%lld.log",
                       sig, strsignal(sig), (long long)slot->lease.id);
    } else {
        (void)snprintf(text, text_size,
                       "its process ended with code %d and no outcome; see "
                       "jobs/%lld.log",
                       WEXITSTATUS(slot->status), (long long)slot->lease.id);
    }
    return f;
}

static enum slw_rc
give_back(struct slw_tx *tx, const struct job_lease *lease, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, set);
    TRY(slw_stmt_prepare(&set, tx, SQL_GIVE_BACK, err));
    slw_stmt_i64(&set, 1, lease->id);
    slw_stmt_str(&set, 2, slw_str_of(lease->holder));
    slw_stmt_i64(&set, 3, lease->attempt);
    return slw_stmt_run(&set, err);
}

static void
log_end(const struct slot *slot, struct slw_str state, struct slw_str error)
{
    const bool good = slw_str_eqz(state, "succeeded");
    slw_log(good ? SLW_LOG_INFO : SLW_LOG_WARN, "job.ended",
            "job=%lld kind=%s attempt=%lld state=%.*s ms=%lld%s%.*s",
            (long long)slot->lease.id, slot->kind->name,
            (long long)slot->lease.attempt, SLW_FMT(state),
            (long long)(slw_mono_ns() - slot->start_ns) / 1000000,
            good ? "" : " error=", good ? 0 : (int)error.len,
            error.ptr ? error.ptr : "");
}

/* The child is gone: see that its row tells how. */
static enum slw_rc
outcome_record(struct slw_jobs *j, const struct slot *slot, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, j->opt.store, err));
    SLW_AUTO(slw_stmt, get);
    TRY(slw_stmt_prepare(&get, &tx, SQL_UNDER_LEASE, err));
    slw_stmt_i64(&get, 1, slot->lease.id);
    slw_stmt_str(&get, 2, slw_str_of(slot->lease.holder));
    slw_stmt_i64(&get, 3, slot->lease.attempt);
    bool row = false;
    TRY(slw_stmt_step(&get, &row, err));
    if (!row || slw_col_i64(&get, 0) == 0) { /* it told by itself */
        SLW_AUTO(slw_arena, a);
        const struct slw_str state = slw_col_dup(&get, 1, &a);
        const struct slw_str error = slw_col_dup(&get, 2, &a);
        slw_tx_done(&tx);
        log_end(slot, state, error);
        return SLW_OK;
    }
    slw_stmt_done(&get);
    if (slot->why == WHY_STOPPING) {
        TRY(give_back(&tx, &slot->lease, err));
        TRY(slw_tx_commit(&tx, err));
        log_end(slot, SLW_STR("queued"), SLW_STR("the server stops"));
        return SLW_OK;
    }
    char text[200];
    const struct job_failure f = failure_of(j, slot, text, sizeof(text));
    bool final = false;
    TRY(jobs_fail(&tx, &slot->lease, &f, &final, err));
    TRY(slw_tx_commit(&tx, err));
    log_end(slot, final ? SLW_STR("failed") : SLW_STR("queued"),
            slw_str_of(text));
    return SLW_OK;
}

/* Ended?  Then what is left of its process group goes too; until the wait
 * below the group id cannot become anybody else's. */
static void
slot_reap(struct slot *slot)
{
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)slot->pid, &info, WEXITED | WNOHANG | WNOWAIT) !=
            0 ||
        info.si_pid != slot->pid)
        return;
    slw_proc_signal(slot->pid, SIGKILL);
    while (waitpid(slot->pid, &slot->status, 0) < 0 && errno == EINTR)
        continue;
    if (slot->pidfd >= 0)
        (void)close(slot->pidfd);
    slot->pidfd = -1;
    slot->reaped = true;
}

/* Its row is not ours any more: cancelled or, the lease lost, another one's. */
static bool
is_given_up(struct slw_jobs *j, const struct slot *slot)
{
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    SLW_AUTO(slw_stmt, get);
    bool row = false;
    if (slw_tx_read(&tx, j->opt.store, &err) != SLW_OK ||
        slw_stmt_prepare(&get, &tx, SQL_UNDER_LEASE, &err) != SLW_OK)
        return false;
    slw_stmt_i64(&get, 1, slot->lease.id);
    slw_stmt_str(&get, 2, slw_str_of(slot->lease.holder));
    slw_stmt_i64(&get, 3, slot->lease.attempt);
    if (slw_stmt_step(&get, &row, &err) != SLW_OK)
        return false;
    /* One that has just recorded its end is about to exit by itself; TERM
     * does it no harm. */
    return !row || (slw_col_i64(&get, 0) == 0 &&
                    !slw_str_eqz(slw_col_str(&get, 1), "succeeded") &&
                    !slw_str_eqz(slw_col_str(&get, 1), "failed"));
}

static void
slot_ask(struct slot *slot, enum slot_why why)
{
    slot->why = why;
    slot->asked_ns = slw_mono_ns();
    slw_proc_signal(slot->pid, SIGTERM);
}

static void
slot_watch(struct slw_jobs *j, struct slot *slot)
{
    const int64_t now_ns = slw_mono_ns();
    const int64_t timeout_ns = slot->kind->timeout_ms * 1000000;
    if (slot->why == WHY_NONE) {
        if (atomic_load(&j->stopping))
            slot_ask(slot, WHY_STOPPING);
        else if (timeout_ns > 0 && now_ns - slot->start_ns > timeout_ns)
            slot_ask(slot, WHY_TIMEOUT);
        else if (is_given_up(j, slot))
            slot_ask(slot, WHY_CANCELLED);
    } else if (!slot->killed &&
               now_ns - slot->asked_ns > (int64_t)JOBS_TERM_MS * 1000000) {
        slot->killed = true;
        slw_proc_signal(slot->pid, SIGKILL);
    }
}

/* One look at one slot. */
static void
slot_step(struct slw_jobs *j, struct slot *slot)
{
    if (!slot->reaped)
        slot_reap(slot);
    if (!slot->reaped) {
        slot_watch(j, slot);
        return;
    }
    struct slw_err err;
    if (outcome_record(j, slot, &err) == SLW_OK)
        slot->used = false;
    else /* a full disk: again at the next look */
        slw_log_err(SLW_LOG_ERROR, "job.not_recorded", &err);
}

/* Spawning failed: as if the attempt had. */
static void
spawn_failed(struct slw_jobs *j, struct slot *slot, struct slw_err *why)
{
    struct slw_err err;
    slw_log_err(SLW_LOG_ERROR, "job.not_started", why);
    SLW_AUTO(slw_tx, tx);
    const struct job_failure f = {
        .rc = why->rc,
        .message = why->msg,
        .now_ms = slw_clock_now_ms(j->opt.clock),
        .retry_at_ms = jobs_retry_at_ms(slot->lease.attempt),
        .attempt_max = slot->kind->attempt_max,
    };
    bool final = false;
    slot->used = false;
    /* Where this fails too, the lease runs out and the job is found lost. */
    if (slw_tx_begin(&tx, j->opt.store, &err) != SLW_OK ||
        jobs_fail(&tx, &slot->lease, &f, &final, &err) != SLW_OK ||
        slw_tx_commit(&tx, &err) != SLW_OK)
        slw_log_err(SLW_LOG_ERROR, "job.not_recorded", &err);
}

static void
start_due(struct slw_jobs *j)
{
    for (int i = 0; i < j->opt.slot_count; i++) {
        struct slot *slot = &j->slots[i];
        bool more = true;
        while (more && !slot->used) {
            struct slw_err err;
            if (!is_due(j))
                return;
            if (claim(j, slot, &more, &err) != SLW_OK) {
                slw_log_err(SLW_LOG_ERROR, "jobs.queue_not_read", &err);
                return;
            }
            if (slot->used && slot_spawn(j, slot, &err) != SLW_OK)
                spawn_failed(j, slot, &err);
        }
    }
}

/* ---- leases ---- */

static enum slw_rc
leases_extend(struct slw_jobs *j, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, j->opt.store, err));
    SLW_AUTO(slw_stmt, set);
    TRY(slw_stmt_prepare(&set, &tx, SQL_EXTEND, err));
    slw_stmt_str(&set, 1, slw_str_of(j->holder));
    slw_stmt_i64(&set, 2, jobs_real_ms() + JOBS_LEASE_MS);
    TRY(slw_stmt_run(&set, err));
    return slw_tx_commit(&tx, err);
}

static bool
has_slot(const struct slw_jobs *j, int64_t id)
{
    for (int i = 0; i < j->opt.slot_count; i++)
        if (j->slots[i].used && j->slots[i].lease.id == id)
            return true;
    return false;
}

/* One lost job back to the queue; *out_more false: none is lost. */
static enum slw_rc
lost_take(struct slw_jobs *j, bool at_start, bool *out_more,
          struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, j->opt.store, err));
    SLW_AUTO(slw_stmt, get);
    TRY(slw_stmt_prepare(&get, &tx, SQL_LOST, err));
    slw_stmt_str(&get, 1, slw_str_of(j->holder));
    slw_stmt_i64(&get, 2, jobs_real_ms());
    slw_stmt_i64(&get, 3, at_start ? 1 : 0);
    slw_stmt_i64(&get, 4, jobs_real_ms() + AHEAD_MS);
    TRY(slw_stmt_step(&get, out_more, err));
    if (!*out_more || has_slot(j, slw_col_i64(&get, 0))) {
        *out_more = false; /* ours is extended in a moment */
        return SLW_OK;
    }
    struct job_lease lease = {.id = slw_col_i64(&get, 0),
                              .attempt = slw_col_i64(&get, 1)};
    const struct slw_str holder = slw_col_str(&get, 3);
    SLW_ASSERT(holder.len < sizeof(lease.holder));
    memcpy(lease.holder, holder.ptr, holder.len);
    const struct job_failure f = {
        .rc = SLW_INTERNAL,
        .message = "the server died while the job ran",
        .now_ms = slw_clock_now_ms(j->opt.clock),
        .attempt_max = slw_col_i64(&get, 2),
    };
    bool final = false;
    slw_stmt_done(&get);
    TRY(jobs_fail(&tx, &lease, &f, &final, err));
    TRY(slw_tx_commit(&tx, err));
    slw_log(SLW_LOG_WARN, "job.lost", "job=%lld attempt=%lld state=%s",
            (long long)lease.id, (long long)lease.attempt,
            final ? "failed" : "queued");
    return SLW_OK;
}

static enum slw_rc
lost_take_all(struct slw_jobs *j, bool at_start, struct slw_err *err)
{
    bool more = true;
    while (more)
        TRY(lost_take(j, at_start, &more, err));
    return SLW_OK;
}

static bool
has_child(const struct slw_jobs *j)
{
    for (int i = 0; i < j->opt.slot_count; i++)
        if (j->slots[i].used)
            return true;
    return false;
}

static void
leases_step(struct slw_jobs *j)
{
    struct slw_err err;
    const int64_t now_ns = slw_mono_ns();
    if (has_child(j) && now_ns - j->extended_ns > LEASE_EXTEND_NS) {
        j->extended_ns = now_ns;
        if (leases_extend(j, &err) != SLW_OK)
            slw_log_err(SLW_LOG_ERROR, "jobs.lease_not_extended", &err);
    }
    if (now_ns - j->lost_ns > LOST_LOOK_NS) {
        j->lost_ns = now_ns;
        if (lost_take_all(j, false, &err) != SLW_OK)
            slw_log_err(SLW_LOG_ERROR, "jobs.queue_not_read", &err);
    }
}

/* ---- the thread ---- */

static void
sleep_until_news(struct slw_jobs *j)
{
    struct pollfd fds[SLOT_MAX + 1] = {{.fd = j->wake_fd, .events = POLLIN}};
    for (int i = 0; i < j->opt.slot_count; i++) {
        const struct slot *slot = &j->slots[i];
        fds[i + 1].fd = slot->used ? slot->pidfd : -1;
        fds[i + 1].events = POLLIN;
    }
    if (poll(fds, (nfds_t)j->opt.slot_count + 1, JOBS_LOOK_MS) > 0 &&
        fds[0].revents) {
        uint64_t count;
        (void)!read(j->wake_fd, &count, sizeof(count));
    }
}

static void *
runner_main(void *arg)
{
    struct slw_jobs *j = arg;
    while (!atomic_load(&j->stopping) || has_child(j)) {
        bool stuck = false;
        for (int i = 0; i < j->opt.slot_count; i++) {
            if (j->slots[i].used)
                slot_step(j, &j->slots[i]);
            /* Ended, but the disk does not take it: a restart will see. */
            stuck |= j->slots[i].used && j->slots[i].reaped;
        }
        if (!atomic_load(&j->stopping)) {
            leases_step(j);
            start_due(j);
        } else if (stuck) {
            for (int i = 0; i < j->opt.slot_count; i++)
                j->slots[i].used &= !j->slots[i].reaped;
        }
        if (!atomic_load(&j->stopping) || has_child(j))
            sleep_until_news(j);
    }
    return NULL;
}

enum slw_rc
slw_jobs_start(struct slw_jobs **out, const struct slw_jobs_options *opt,
               struct slw_err *err)
{
    SLW_ASSERT(opt->slot_count >= 1);
    SLW_ASSERT(opt->slot_count <= SLOT_MAX);
    struct slw_jobs *j = slw_alloc(sizeof(*j));
    j->opt = *opt;
    j->lost_ns = slw_mono_ns();
    slw_random_hex32(j->holder);
    j->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    enum slw_rc rc = SLW_OK;
    if (j->wake_fd < 0)
        rc = slw_fail(err, SLW_IO, "cannot make an eventfd: %s",
                      strerror(errno));
    if (rc == SLW_OK)
        rc = lost_take_all(j, true, err);
    if (rc == SLW_OK && pthread_create(&j->thread, NULL, runner_main, j) != 0)
        rc = slw_fail(err, SLW_BUSY, "cannot start the job runner's thread");
    if (rc != SLW_OK) {
        if (j->wake_fd >= 0)
            (void)close(j->wake_fd);
        slw_free(j);
        return rc;
    }
    *out = j;
    return SLW_OK;
}

void
slw_jobs_wake(struct slw_jobs *j)
{
    const uint64_t one = 1;
    (void)!write(j->wake_fd, &one, sizeof(one));
}

void
slw_jobs_stop(struct slw_jobs *j)
{
    if (!j)
        return;
    atomic_store(&j->stopping, true);
    slw_jobs_wake(j);
    (void)pthread_join(j->thread, NULL);
    (void)close(j->wake_fd);
    slw_free(j);
}
