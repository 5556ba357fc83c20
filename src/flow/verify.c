/* verify.c -- runs, decisions and the project: a moving run can move on, and
 * what fired did so once. */
#include "flow/flow_internal.h"

#include "store/verify.h"

#define ROOM "flow"
#define FIX "restore a backup (slipway restore)"

static const char SQL_PROJECT[] = "SELECT yaml, hash FROM flow_project";
static const char SQL_RUNS[] = "SELECT count(*) FROM flow_run";
static const char SQL_DECISIONS[] = "SELECT count(*) FROM flow_decision";
static const char SQL_JOBS[] =
    "SELECT id, state, job_id, ended_at_ms, model, version FROM flow_run"
    " ORDER BY id";
static const char SQL_SHAPE[] =
    "SELECT id, id || ' is ' || state FROM flow_run WHERE (ended_at_ms = 0)"
    " <> (state IN ('snapshot', 'train', 'gate', 'deploy', 'canary',"
    " 'refuse'))";
static const char SQL_STEPS[] =
    "SELECT r.id, r.id FROM flow_run r WHERE NOT EXISTS"
    " (SELECT 1 FROM flow_step s WHERE s.run_id = r.id)";
static const char SQL_STEPS_TWICE[] =
    "SELECT run_id, run_id || ': ' || step FROM flow_step"
    " WHERE step IN ('start', 'snapshot', 'train', 'gate')"
    " GROUP BY run_id, step HAVING count(*) > 1";
static const char SQL_FIRED[] =
    "SELECT id, id || ' of ' || model FROM flow_decision"
    " WHERE (fired = 1) <> (run_id <> 0) OR (run_id <> 0 AND NOT EXISTS"
    " (SELECT 1 FROM flow_run r WHERE r.id = run_id))";
static const char SQL_FIRED_TWICE[] =
    "SELECT run_id, run_id || ', by ' || count(*) || ' decisions'"
    " FROM flow_decision WHERE run_id <> 0 GROUP BY run_id"
    " HAVING count(*) > 1";
static const char SQL_FIRED_NOT[] =
    "SELECT id, id || ' (' || trigger || ')' FROM flow_run"
    " WHERE trigger <> 'manual'"
    " AND id NOT IN (SELECT run_id FROM flow_decision)";

static enum slw_rc
project_check(struct slw_verify *v, struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &v->tx, SQL_PROJECT, err));
    TRY(slw_stmt_step(&st, &row, err));
    if (row && !slw_verify_hash_ok(slw_col_str(&st, 1), slw_col_str(&st, 0)))
        slw_verify_fault(v, ROOM, "apply the project again (slipway apply)",
                         "the project file is not the one its hash names");
    return SLW_OK;
}

static enum slw_rc
run_check(struct slw_verify *v, struct slw_stmt *st, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_job job;
    const int64_t id = slw_col_i64(st, 0), job_id = slw_col_i64(st, 2);
    const struct slw_str state = slw_col_str(st, 1);
    const bool moving = slw_col_i64(st, 3) == 0;
    const bool waits =
        slw_str_eqz(state, "train") || slw_str_eqz(state, "gate");
    if (job_id == 0 && !(moving && waits))
        return SLW_OK;
    const enum slw_rc rc = slw_job_get(&v->tx, job_id, &a, &job, err);
    if (rc == SLW_NOT_FOUND)
        slw_verify_fault(
            v, ROOM, FIX, "run %lld (%.*s) %s job %lld, which is not there",
            (long long)id, SLW_FMT(state), moving ? "waits for" : "waited for",
            (long long)job_id);
    else if (rc != SLW_OK)
        return rc;
    if (moving && waits)
        slw_verify_note(v, ROOM, "run %lld moves: %.*s, job %lld is %s",
                        (long long)id, SLW_FMT(state), (long long)job_id,
                        rc == SLW_OK ? slw_job_state_name(job.state) : "gone");
    return SLW_OK;
}

static enum slw_rc
runs_check(struct slw_verify *v, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &v->tx, SQL_JOBS, err));
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return SLW_OK;
        TRY(run_check(v, &st, err));
    }
}

enum slw_rc
slw_flow_verify(struct slw_verify *v, struct slw_err *err)
{
    static const struct {
        const char *sql, *what;
    } rules[] = {
        {SQL_SHAPE, "state and end contradict each other: run"},
        {SQL_STEPS, "there are no steps of run"},
        {SQL_STEPS_TWICE, "a step was taken twice in run"},
        {SQL_FIRED, "fired and started contradict each other: decision"},
        {SQL_FIRED_TWICE, "a trigger fired more than once: run"},
        {SQL_FIRED_NOT, "no decision started run"},
    };
    int64_t runs = 0, decisions = 0;
    TRY(slw_verify_number(v, SQL_RUNS, &runs, err));
    TRY(slw_verify_number(v, SQL_DECISIONS, &decisions, err));
    slw_verify_counted(v, "flow runs", runs);
    slw_verify_counted(v, "decisions", decisions);
    TRY(project_check(v, err));
    for (size_t i = 0; i < SLW_ARRAY_LEN(rules); i++)
        TRY(slw_verify_none(v, ROOM, rules[i].sql, rules[i].what, FIX, err));
    return runs_check(v, err);
}
