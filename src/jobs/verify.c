/* verify.c -- jobs as they must be between two transactions. */
#include "jobs/jobs.h"
#include "store/event.h"

#define FIX_ROW "restore a backup; the row was not written by Slipway"
/* A lease that ended longer ago than this is looked after by nobody. */
#define LEASE_LATE_MS 60000

static const char SQL_COUNT[] = "SELECT count(*) FROM jobs_job";
static const char SQL_SHAPE[] =
    "SELECT id, id || ' is ' || state || CASE"
    "  WHEN state = 'running' THEN ' without a lease'"
    "  WHEN state = 'queued' THEN ' and has a lease or an end'"
    "  ELSE ' and has no end, no result or no reason' END FROM jobs_job"
    " WHERE (state = 'running' AND (lease_holder = '' OR ended_at_ms <> 0))"
    " OR (state = 'queued' AND (lease_holder <> '' OR ended_at_ms <> 0))"
    " OR (state = 'succeeded' AND (result = '' OR lease_holder <> ''))"
    " OR (state = 'failed' AND error_rc = '')";
static const char SQL_RUNNING[] =
    "SELECT id, kind, lease_until_ms FROM jobs_job WHERE state = 'running'";
static const char SQL_SPECS[] =
    "SELECT spec FROM jobs_job WHERE state IN ('queued', 'running')";
static const char SQL_ENDED[] =
    "SELECT id, state FROM jobs_job"
    " WHERE state NOT IN ('queued', 'running') ORDER BY id";

/* Running: has a process, or the next start of the server takes it up. */
static enum slw_rc
running_check(struct slw_verify *v, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &v->tx, SQL_RUNNING, err));
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return SLW_OK;
        const int64_t late_ms = v->system_ms - slw_col_i64(&st, 2);
        if (v->server_runs && late_ms > LEASE_LATE_MS)
            slw_verify_fault(v, "jobs", "restart the server",
                             "job %lld (%.*s) runs without a process: its "
                             "lease ended %lld s ago",
                             (long long)slw_col_i64(&st, 0),
                             SLW_FMT(slw_col_str(&st, 1)),
                             (long long)late_ms / 1000);
        else if (!v->server_runs)
            slw_verify_note(v, "jobs",
                            "job %lld (%.*s) was at work when its server "
                            "ended; the next start takes it up",
                            (long long)slw_col_i64(&st, 0),
                            SLW_FMT(slw_col_str(&st, 1)));
    }
}

/* Each end was announced, and once. */
static enum slw_rc
announced_check(struct slw_verify *v, int64_t id, struct slw_str state,
                struct slw_arena *a, struct slw_err *err)
{
    char subject[32];
    struct slw_event e = {0};
    (void)snprintf(subject, sizeof subject, "%lld", (long long)id);
    int64_t after = 0;
    int count = 0;
    struct slw_str last = {0};
    for (;;) {
        const enum slw_rc rc =
            slw_event_after(&v->tx, after, SLW_STR("jobs.finished"),
                            slw_str_of(subject), a, &e, err);
        if (rc == SLW_NOT_FOUND)
            break;
        TRY(rc);
        after = e.id;
        last = e.payload;
        count++;
    }
    SLW_AUTO(slw_json, doc);
    if (count == 1 && slw_json_parse(&doc, last, err) == SLW_OK &&
        slw_str_eq(
            slw_json_str_or(slw_json_get(doc.root, "state"), SLW_STR("")),
            state))
        return SLW_OK;
    slw_verify_fault(v, "jobs", FIX_ROW,
                     "job %s is %.*s, and the log announces its end %d times%s",
                     subject, SLW_FMT(state), count,
                     count == 1 ? ", in another state" : "");
    return SLW_OK;
}

static enum slw_rc
ended_check(struct slw_verify *v, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &v->tx, SQL_ENDED, err));
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return SLW_OK;
        slw_arena_reset(&a);
        TRY(announced_check(v, slw_col_i64(&st, 0), slw_col_dup(&st, 1, &a), &a,
                            err));
    }
}

enum slw_rc
slw_jobs_verify(struct slw_verify *v, struct slw_err *err)
{
    int64_t count = 0;
    TRY(slw_verify_number(v, SQL_COUNT, &count, err));
    slw_verify_counted(v, "jobs", count);
    TRY(slw_verify_none(v, "jobs", SQL_SHAPE, "job", FIX_ROW, err));
    TRY(running_check(v, err));
    return ended_check(v, err);
}

/* Which member of a spec names an upload is its kind's business: whatever
 * looks like a hash is kept. */
enum slw_rc
slw_jobs_blobs(struct slw_gc *g, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &g->tx, SQL_SPECS, err));
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return SLW_OK;
        TRY(slw_gc_need_in(g, slw_col_str(&st, 0), err));
    }
}
