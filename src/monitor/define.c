/* define.c -- what is watched and how; labels as they arrive. */
#include "monitor/monitor_internal.h"

#include <math.h>

#include "num/metric.h"
#include "store/event.h"

static const char SQL_DEF_PUT[] =
    "INSERT INTO monitor_definition(name, def, updated_at_ms)"
    " VALUES(?1, ?2, ?3) ON CONFLICT(name) DO UPDATE SET def = excluded.def,"
    " updated_at_ms = excluded.updated_at_ms WHERE def <> excluded.def";
static const char SQL_DEF_GET[] =
    "SELECT def FROM monitor_definition WHERE name = ?1";
static const char SQL_DEF_LIST[] =
    "SELECT name FROM monitor_definition ORDER BY name";
static const char SQL_LABEL_PUT[] =
    "INSERT INTO monitor_label(deployment, key, event_ms, value, known_ms)"
    " VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(deployment, event_ms, key)"
    " DO UPDATE SET value = excluded.value, known_ms = excluded.known_ms"
    " WHERE value <> excluded.value";

#define LIST_MAX 10000

static enum slw_rc
share(const struct json_t *o, const char *key, double *out, struct slw_err *err)
{
    TRY(slw_json_opt_f64(o, key, out, err));
    if (!(*out > 0 && *out < 1))
        return slw_fail(err, SLW_INVALID, "drift.%s must lie between 0 and 1",
                        key);
    return SLW_OK;
}

enum slw_rc
monitor_drift_parse(const struct json_t *def, struct monitor_drift *out,
                    struct slw_err *err)
{
    struct monitor_drift d = {.alpha = 0.05,
                              .floor = 0.25,
                              .block_ms = SLW_DAY_MS,
                              .min_rows = 50,
                              .min_blocks = 5};
    const struct json_t *o = slw_json_get(def, "drift");
    TRY(share(o, "alpha", &d.alpha, err));
    TRY(slw_json_opt_f64(o, "floor", &d.floor, err));
    TRY(slw_json_opt_i64(o, "block_ms", &d.block_ms, err));
    TRY(slw_json_opt_i64(o, "min_rows", &d.min_rows, err));
    if (!(d.floor >= 0) || d.block_ms < 1 || d.min_rows < 1)
        return slw_fail(err, SLW_INVALID,
                        "drift.floor, block and min_rows must be positive");
    *out = d;
    return SLW_OK;
}

/* A window that could never be judged is a mistake of whoever declares it. */
static enum slw_rc
windows_check(const struct json_t *def, const struct monitor_drift *drift,
              struct slw_err *err)
{
    const struct json_t *perf = slw_json_get(def, "performance");
    int64_t window_ms = INT64_MAX, perf_ms = INT64_MAX;
    TRY(slw_json_opt_i64(def, "window_ms", &window_ms, err));
    if (slw_json_get(def, "drift") &&
        window_ms / drift->block_ms < drift->min_blocks)
        return slw_fail(err, SLW_INVALID,
                        "window is too short for the drift test, which takes "
                        "%lld days (blocks) at least",
                        (long long)drift->min_blocks);
    if (!perf)
        return SLW_OK;
    TRY(slw_json_opt_i64(perf, "window_ms", &perf_ms, err));
    if (perf_ms / drift->block_ms < SLW_PAIRED_PERIODS_MIN)
        return slw_fail(err, SLW_INVALID,
                        "performance.window is too short for the paired test, "
                        "which takes %d days at least",
                        SLW_PAIRED_PERIODS_MIN);
    return SLW_OK;
}

enum slw_rc
slw_monitor_put(struct slw_tx *tx, int64_t now_ms, struct slw_str name,
                struct slw_str def_json, struct slw_err *err)
{
    struct monitor_drift drift;
    SLW_AUTO(slw_json, def);
    if (!slw_name_ok(name))
        return slw_fail(err, SLW_INVALID, "'%.*s' is no name for a monitor",
                        SLW_FMT(name));
    TRY(slw_json_parse(&def, def_json, err));
    TRY(monitor_drift_parse(def.root, &drift, err));
    TRY(windows_check(def.root, &drift, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_DEF_PUT, err));
    slw_stmt_str(&st, 1, name);
    slw_stmt_str(&st, 2, def_json);
    slw_stmt_i64(&st, 3, now_ms);
    TRY(slw_stmt_run(&st, err));
    if (slw_tx_changes(tx) == 0)
        return SLW_OK;
    return slw_event_emit(tx, now_ms, "monitor.declared", name, def_json, err);
}

enum slw_rc
slw_monitor_get(struct slw_tx *tx, struct slw_str name, struct slw_arena *a,
                struct slw_str *out_def_json, struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_DEF_GET, err));
    slw_stmt_str(&st, 1, name);
    TRY(slw_stmt_step(&st, &row, err));
    if (!row)
        return slw_fail(err, SLW_NOT_FOUND, "there is no monitor '%.*s'",
                        SLW_FMT(name));
    *out_def_json = slw_col_dup(&st, 0, a);
    return SLW_OK;
}

enum slw_rc
slw_monitor_list(struct slw_tx *tx, struct slw_arena *a,
                 struct slw_str **out_names, size_t *out_count,
                 struct slw_err *err)
{
    struct slw_str *names = SLW_ARENA_NEW(a, struct slw_str, LIST_MAX);
    size_t count = 0;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_DEF_LIST, err));
    while (count < LIST_MAX) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        names[count++] = slw_col_dup(&st, 0, a);
    }
    *out_names = names;
    *out_count = count;
    return SLW_OK;
}

enum slw_rc
slw_monitor_labels_put(struct slw_tx *tx, struct slw_str deployment,
                       const struct slw_label *labels, size_t count,
                       int64_t *out_changed, struct slw_err *err)
{
    int64_t changed = 0;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_LABEL_PUT, err));
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(labels[i].value))
            return slw_fail(err, SLW_INVALID,
                            "the label of '%.*s' is not a finite number",
                            SLW_FMT(labels[i].key));
        slw_stmt_str(&st, 1, deployment);
        slw_stmt_str(&st, 2, labels[i].key);
        slw_stmt_i64(&st, 3, labels[i].event_ms);
        slw_stmt_f64(&st, 4, labels[i].value);
        slw_stmt_i64(&st, 5, labels[i].known_ms);
        TRY(slw_stmt_run(&st, err));
        changed += slw_tx_changes(tx);
    }
    *out_changed = changed;
    return SLW_OK;
}
