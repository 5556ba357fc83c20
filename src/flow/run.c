/* run.c -- rows: runs, their steps, decisions, marks; and how they are shown.
 *
 * A run's row is all there is of it: whoever reads it can go on, also after
 * kill -9 of the server. */
#include "flow/flow_internal.h"

#include "store/event.h"

#define COLUMNS                                                                \
    "id, model, deployment, trigger, state, spec, when_refused, version,"      \
    " job_id, rollout_step, reason, started_at_ms, ended_at_ms"

static const char SQL_RUN_ADD[] =
    "INSERT INTO flow_run(model, deployment, trigger, state, spec,"
    " when_refused, version, job_id, rollout_step, reason, started_at_ms,"
    " ended_at_ms)"
    " VALUES(?1, ?2, ?3, 'snapshot', ?4, ?5, 0, 0, -1, ?6, ?7, 0)";
static const char SQL_RUN_GET[] =
    "SELECT " COLUMNS " FROM flow_run WHERE id = ?1";
static const char SQL_RUN_OF[] =
    "SELECT id FROM flow_run WHERE model = ?1 AND ended_at_ms = 0";
static const char SQL_RUNS_MOVING[] =
    "SELECT " COLUMNS " FROM flow_run WHERE ended_at_ms = 0 ORDER BY id"
    " LIMIT ?1";
static const char SQL_RUN_LAST[] =
    "SELECT max(started_at_ms) FROM flow_run WHERE model = ?1"
    " AND (trigger <> 'manual' OR ?2)";
static const char SQL_RUN_MOVE[] =
    "UPDATE flow_run SET state = ?2, spec = ?3, version = ?4, job_id = ?5,"
    " rollout_step = ?6, reason = ?7, ended_at_ms = ?8, deployment = ?9"
    " WHERE id = ?1 AND ended_at_ms = 0";
static const char SQL_RUN_REMARK[] =
    "UPDATE flow_run SET reason = ?2 WHERE id = ?1 AND ended_at_ms = 0";
static const char SQL_RUN_LIST[] =
    "SELECT " COLUMNS " FROM flow_run WHERE ?1 = '' OR model = ?1"
    " ORDER BY id DESC LIMIT ?2 OFFSET ?3";
static const char SQL_RUN_COUNT[] =
    "SELECT count(*) FROM flow_run WHERE ?1 = '' OR model = ?1";
static const char SQL_STEP_ADD[] =
    "INSERT INTO flow_step(run_id, step, at_ms, reason, detail)"
    " VALUES(?1, ?2, ?3, ?4, ?5)";
static const char SQL_STEPS[] =
    "SELECT step, at_ms, reason, detail FROM flow_step WHERE run_id = ?1"
    " ORDER BY id";
static const char SQL_DECISION_ADD[] =
    "INSERT INTO flow_decision(at_ms, model, trigger, fired, reason, run_id)"
    " VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
static const char SQL_DECISIONS[] =
    "SELECT at_ms, model, trigger, fired, reason, run_id FROM flow_decision"
    " WHERE ?1 = '' OR model = ?1 ORDER BY id DESC LIMIT ?2 OFFSET ?3";
static const char SQL_DECISION_COUNT[] =
    "SELECT count(*) FROM flow_decision WHERE ?1 = '' OR model = ?1";
static const char SQL_MARK_GET[] =
    "SELECT value FROM flow_mark WHERE name = ?1";
static const char SQL_MARK_PUT[] =
    "INSERT INTO flow_mark(name, value) VALUES(?1, ?2)"
    " ON CONFLICT(name) DO UPDATE SET value = excluded.value";

/* ---- marks ---- */

enum slw_rc
flow_mark_get(struct slw_tx *tx, struct slw_str name, int64_t *out,
              struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_MARK_GET, err));
    slw_stmt_str(&st, 1, name);
    TRY(slw_stmt_step(&st, &row, err));
    *out = row ? slw_col_i64(&st, 0) : 0;
    return SLW_OK;
}

enum slw_rc
flow_mark_put(struct slw_tx *tx, struct slw_str name, int64_t value,
              struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_MARK_PUT, err));
    slw_stmt_str(&st, 1, name);
    slw_stmt_i64(&st, 2, value);
    return slw_stmt_run(&st, err);
}

/* ---- runs ---- */

static void
run_read(struct slw_stmt *st, struct slw_arena *a, struct flow_run *out)
{
    *out = (struct flow_run){.id = slw_col_i64(st, 0),
                             .model = slw_col_dup(st, 1, a),
                             .deployment = slw_col_dup(st, 2, a),
                             .trigger = slw_col_dup(st, 3, a),
                             .state = slw_col_dup(st, 4, a),
                             .spec = slw_col_dup(st, 5, a),
                             .when_refused = slw_col_dup(st, 6, a),
                             .version = slw_col_i64(st, 7),
                             .job_id = slw_col_i64(st, 8),
                             .rollout_step = slw_col_i64(st, 9),
                             .reason = slw_col_dup(st, 10, a),
                             .started_at_ms = slw_col_i64(st, 11),
                             .ended_at_ms = slw_col_i64(st, 12)};
}

static enum slw_rc
run_get(struct slw_tx *tx, int64_t id, struct slw_arena *a,
        struct flow_run *out, struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_RUN_GET, err));
    slw_stmt_i64(&st, 1, id);
    TRY(slw_stmt_step(&st, &row, err));
    if (!row)
        return slw_fail(err, SLW_NOT_FOUND, "there is no flow run %lld",
                        (long long)id);
    run_read(&st, a, out);
    return SLW_OK;
}

enum slw_rc
flow_run_moving(struct slw_tx *tx, struct slw_str model, int64_t *out_id,
                struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_RUN_OF, err));
    slw_stmt_str(&st, 1, model);
    TRY(slw_stmt_step(&st, &row, err));
    *out_id = row ? slw_col_i64(&st, 0) : 0;
    return SLW_OK;
}

enum slw_rc
flow_runs_moving(struct slw_tx *tx, struct slw_arena *a, struct flow_run **out,
                 size_t *out_count, struct slw_err *err)
{
    struct flow_run *runs = SLW_ARENA_NEW(a, struct flow_run, FLOW_RUNS_MAX);
    size_t count = 0;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_RUNS_MOVING, err));
    slw_stmt_i64(&st, 1, FLOW_RUNS_MAX);
    while (count < FLOW_RUNS_MAX) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        run_read(&st, a, &runs[count++]);
    }
    *out = runs;
    *out_count = count;
    return SLW_OK;
}

enum slw_rc
flow_run_last_ms(struct slw_tx *tx, struct slw_str model, bool manual_too,
                 int64_t *out_ms, struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_RUN_LAST, err));
    slw_stmt_str(&st, 1, model);
    slw_stmt_i64(&st, 2, manual_too);
    TRY(slw_stmt_step(&st, &row, err));
    *out_ms = row && !slw_col_null(&st, 0) ? slw_col_i64(&st, 0) : INT64_MIN;
    return SLW_OK;
}

static enum slw_rc
step_add(struct slw_tx *tx, int64_t now_ms, int64_t run_id, const char *step,
         struct slw_str reason, struct slw_str detail, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_STEP_ADD, err));
    slw_stmt_i64(&st, 1, run_id);
    slw_stmt_str(&st, 2, slw_str_of(step));
    slw_stmt_i64(&st, 3, now_ms);
    slw_stmt_str(&st, 4, reason);
    slw_stmt_str(&st, 5, detail.ptr ? detail : SLW_STR(""));
    return slw_stmt_run(&st, err);
}

static enum slw_rc
announce(struct slw_tx *tx, int64_t now_ms, const struct flow_run *run,
         const char *kind, const char *step, struct slw_err *err)
{
    SLW_AUTO(slw_buf, payload);
    struct slw_jw w;
    slw_jw_init(&w, &payload);
    slw_jw_obj(&w);
    slw_jw_ki64(&w, "run", run->id);
    slw_jw_kstr(&w, "trigger", run->trigger);
    slw_jw_kz(&w, "step", step);
    slw_jw_kstr(&w, "state", run->state);
    slw_jw_ki64(&w, "version", run->version);
    slw_jw_kstr(&w, "reason", run->reason);
    slw_jw_obj_end(&w);
    return slw_event_emit(tx, now_ms, kind, run->model, slw_buf_view(&payload),
                          err);
}

enum slw_rc
flow_run_add(struct slw_tx *tx, int64_t now_ms, const struct flow_run *run,
             int64_t *out_id, struct slw_err *err)
{
    int64_t moving = 0;
    TRY(flow_run_moving(tx, run->model, &moving, err));
    if (moving)
        return slw_fail(err, SLW_CONFLICT,
                        "run %lld of '%.*s' is in progress; wait for its end",
                        (long long)moving, SLW_FMT(run->model));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_RUN_ADD, err));
    slw_stmt_str(&st, 1, run->model);
    slw_stmt_str(&st, 2, run->deployment);
    slw_stmt_str(&st, 3, run->trigger);
    slw_stmt_str(&st, 4, run->spec);
    slw_stmt_str(&st, 5, run->when_refused);
    slw_stmt_str(&st, 6, run->reason);
    slw_stmt_i64(&st, 7, now_ms);
    TRY(slw_stmt_run(&st, err));
    struct flow_run made = *run;
    made.id = slw_tx_last_id(tx);
    made.state = SLW_STR("snapshot");
    TRY(step_add(tx, now_ms, made.id, "start", run->reason, SLW_STR(""), err));
    TRY(announce(tx, now_ms, &made, "flow.run_started", "start", err));
    *out_id = made.id;
    return SLW_OK;
}

enum slw_rc
flow_run_move(struct slw_tx *tx, int64_t now_ms, struct flow_run *run,
              const char *state, const char *step, struct slw_str reason,
              struct slw_str detail, bool ended, struct slw_err *err)
{
    run->state = slw_str_of(state);
    run->reason = reason;
    run->ended_at_ms = ended ? now_ms : 0;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_RUN_MOVE, err));
    slw_stmt_i64(&st, 1, run->id);
    slw_stmt_str(&st, 2, run->state);
    slw_stmt_str(&st, 3, run->spec);
    slw_stmt_i64(&st, 4, run->version);
    slw_stmt_i64(&st, 5, run->job_id);
    slw_stmt_i64(&st, 6, run->rollout_step);
    slw_stmt_str(&st, 7, reason);
    slw_stmt_i64(&st, 8, run->ended_at_ms);
    slw_stmt_str(&st, 9, run->deployment);
    TRY(slw_stmt_run(&st, err));
    if (slw_tx_changes(tx) != 1)
        return slw_fail(err, SLW_CONFLICT, "flow run %lld has ended already",
                        (long long)run->id);
    TRY(step_add(tx, now_ms, run->id, step, reason, detail, err));
    return announce(tx, now_ms, run,
                    ended ? "flow.run_ended" : "flow.run_moved", step, err);
}

enum slw_rc
flow_run_remark(struct slw_tx *tx, const struct flow_run *run,
                struct slw_str reason, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_RUN_REMARK, err));
    slw_stmt_i64(&st, 1, run->id);
    slw_stmt_str(&st, 2, reason);
    return slw_stmt_run(&st, err);
}

/* ---- decisions ---- */

enum slw_rc
flow_decision_add(struct slw_tx *tx, int64_t now_ms, struct slw_str model,
                  const char *trigger, bool fired, struct slw_str reason,
                  int64_t run_id, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_DECISION_ADD, err));
    slw_stmt_i64(&st, 1, now_ms);
    slw_stmt_str(&st, 2, model);
    slw_stmt_str(&st, 3, slw_str_of(trigger));
    slw_stmt_i64(&st, 4, fired);
    slw_stmt_str(&st, 5, reason);
    slw_stmt_i64(&st, 6, run_id);
    TRY(slw_stmt_run(&st, err));
    SLW_AUTO(slw_buf, payload);
    struct slw_jw w;
    slw_jw_init(&w, &payload);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "trigger", trigger);
    slw_jw_kbool(&w, "fired", fired);
    slw_jw_ki64(&w, "run", run_id);
    slw_jw_kstr(&w, "reason", reason);
    slw_jw_obj_end(&w);
    return slw_event_emit(tx, now_ms, "flow.decided", model,
                          slw_buf_view(&payload), err);
}

enum slw_rc
slw_flow_decisions(struct slw_tx *tx, struct slw_str model, size_t count_max,
                   struct slw_jw *w, struct slw_err *err)
{
    int64_t total = 0;
    return slw_flow_decision_page(tx, model, 0, count_max, w, &total, err);
}

static enum slw_rc
count_of(struct slw_tx *tx, const char *sql, struct slw_str model, int64_t *out,
         struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, sql, err));
    slw_stmt_str(&st, 1, model.ptr ? model : SLW_STR(""));
    TRY(slw_stmt_step(&st, &row, err));
    *out = row ? slw_col_i64(&st, 0) : 0;
    return SLW_OK;
}

enum slw_rc
slw_flow_decision_page(struct slw_tx *tx, struct slw_str model, size_t offset,
                       size_t limit, struct slw_jw *w, int64_t *out_total,
                       struct slw_err *err)
{
    TRY(count_of(tx, SQL_DECISION_COUNT, model, out_total, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_DECISIONS, err));
    slw_stmt_str(&st, 1, model.ptr ? model : SLW_STR(""));
    slw_stmt_i64(&st, 2, (int64_t)limit);
    slw_stmt_i64(&st, 3, (int64_t)offset);
    slw_jw_arr(w);
    for (;;) {
        bool row = false;
        char at[SLW_TIME_TEXT_SIZE];
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        slw_jw_obj(w);
        slw_jw_kz(w, "at", slw_time_text(slw_col_i64(&st, 0), at));
        slw_jw_ki64(w, "at_ms", slw_col_i64(&st, 0));
        slw_jw_kstr(w, "model", slw_col_str(&st, 1));
        slw_jw_kstr(w, "trigger", slw_col_str(&st, 2));
        slw_jw_kbool(w, "fired", slw_col_i64(&st, 3) != 0);
        slw_jw_kstr(w, "reason", slw_col_str(&st, 4));
        if (slw_col_i64(&st, 5))
            slw_jw_ki64(w, "run", slw_col_i64(&st, 5));
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
    return SLW_OK;
}

/* ---- shown ---- */

static void
write_version(struct slw_jw *w, int64_t version)
{
    slw_jw_key(w, "version");
    if (version)
        slw_jw_i64(w, version);
    else
        slw_jw_null(w);
}

/* The members of a run, without the braces. */
static void
write_run(struct slw_jw *w, const struct flow_run *run)
{
    slw_jw_ki64(w, "id", run->id);
    slw_jw_kstr(w, "model", run->model);
    slw_jw_kstr(w, "deployment", run->deployment);
    slw_jw_kstr(w, "trigger", run->trigger);
    slw_jw_kstr(w, "state", run->state);
    slw_jw_kbool(w, "ended", run->ended_at_ms != 0);
    write_version(w, run->version);
    slw_jw_kstr(w, "reason", run->reason);
    if (run->job_id && !run->ended_at_ms)
        slw_jw_ki64(w, "job", run->job_id);
    slw_jw_ki64(w, "started_at_ms", run->started_at_ms);
    slw_jw_key(w, "ended_at_ms");
    if (run->ended_at_ms)
        slw_jw_i64(w, run->ended_at_ms);
    else
        slw_jw_null(w);
    slw_jw_kraw(w, "spec", run->spec);
}

enum slw_rc
slw_flow_run_write(struct slw_tx *tx, int64_t id, struct slw_jw *w,
                   struct slw_err *err)
{
    struct flow_run run;
    SLW_AUTO(slw_arena, a);
    TRY(run_get(tx, id, &a, &run, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_STEPS, err));
    slw_stmt_i64(&st, 1, id);
    slw_jw_obj(w);
    write_run(w, &run);
    slw_jw_key(w, "steps");
    slw_jw_arr(w);
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        slw_jw_obj(w);
        slw_jw_kstr(w, "step", slw_col_str(&st, 0));
        slw_jw_ki64(w, "at_ms", slw_col_i64(&st, 1));
        slw_jw_kstr(w, "reason", slw_col_str(&st, 2));
        if (slw_col_str(&st, 3).len)
            slw_jw_kraw(w, "detail", slw_col_str(&st, 3));
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
    slw_jw_obj_end(w);
    return SLW_OK;
}

enum slw_rc
slw_flow_run_list(struct slw_tx *tx, struct slw_str model, size_t count_max,
                  struct slw_jw *w, struct slw_err *err)
{
    int64_t total = 0;
    return slw_flow_run_page(tx, model, 0, count_max, w, &total, err);
}

enum slw_rc
slw_flow_run_page(struct slw_tx *tx, struct slw_str model, size_t offset,
                  size_t limit, struct slw_jw *w, int64_t *out_total,
                  struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    TRY(count_of(tx, SQL_RUN_COUNT, model, out_total, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_RUN_LIST, err));
    slw_stmt_str(&st, 1, model.ptr ? model : SLW_STR(""));
    slw_stmt_i64(&st, 2, (int64_t)limit);
    slw_stmt_i64(&st, 3, (int64_t)offset);
    slw_jw_arr(w);
    for (;;) {
        struct flow_run run;
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        run_read(&st, &a, &run);
        slw_jw_obj(w);
        write_run(w, &run);
        slw_jw_obj_end(w);
        slw_arena_reset(&a);
    }
    slw_jw_arr_end(w);
    return SLW_OK;
}
