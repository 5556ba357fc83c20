/* verify.c -- windows, labels and alerts as they must be. */
#include "monitor/monitor_internal.h"

#include "store/verify.h"

#define ROOM "monitor"
#define FIX "restore a backup (slipway restore)"

static const char SQL_LABELS[] = "SELECT count(*) FROM monitor_label";
static const char SQL_ALERTS[] = "SELECT count(*) FROM monitor_alert";
static const char SQL_WINDOWS[] =
    "SELECT id, deployment, result, from_ms, to_ms FROM monitor_window";
static const char SQL_TWICE[] =
    "SELECT 0, deployment || ', ' || count(*) || ' of kind ' || kind"
    " FROM monitor_alert WHERE state <> 'closed'"
    " GROUP BY deployment, kind, release HAVING count(*) > 1";
static const char SQL_STATES[] =
    "SELECT id, id || ' is ' || state FROM monitor_alert"
    " WHERE state NOT IN ('open', 'acknowledged', 'closed')"
    " OR (state = 'closed') <> (closed_at_ms IS NOT NULL)";

enum slw_rc
slw_monitor_verify(struct slw_verify *v, struct slw_err *err)
{
    int64_t labels = 0, alerts = 0, windows = 0;
    TRY(slw_verify_number(v, SQL_LABELS, &labels, err));
    TRY(slw_verify_number(v, SQL_ALERTS, &alerts, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &v->tx, SQL_WINDOWS, err));
    for (;; windows++) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        SLW_AUTO(slw_json, doc);
        if (slw_json_parse(&doc, slw_col_str(&st, 2), err) != SLW_OK ||
            slw_json_type(doc.root) != SLW_JSON_OBJECT ||
            slw_col_i64(&st, 3) > slw_col_i64(&st, 4))
            slw_verify_fault(v, ROOM, FIX,
                             "window %lld of %.*s has no result that can be "
                             "read",
                             (long long)slw_col_i64(&st, 0),
                             SLW_FMT(slw_col_str(&st, 1)));
    }
    slw_verify_counted(v, "labels", labels);
    slw_verify_counted(v, "windows", windows);
    slw_verify_counted(v, "alerts", alerts);
    TRY(slw_verify_none(v, ROOM, SQL_TWICE,
                        "the same alert is open more than once: deployment",
                        FIX, err));
    return slw_verify_none(v, ROOM, SQL_STATES, "alert", FIX, err);
}
