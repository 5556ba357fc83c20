/* metrics.c -- the monitor's gauges for Prometheus. */
#include "monitor/monitor_internal.h"

#include <math.h>

static const char SQL_OPEN_COUNTS[] =
    "SELECT d.name, k.kind, (SELECT count(*) FROM monitor_alert AS a"
    " WHERE a.deployment = d.name AND a.kind = k.kind AND a.state <> 'closed')"
    " FROM monitor_definition AS d, (SELECT 'drift' AS kind UNION ALL"
    " SELECT 'performance') AS k ORDER BY d.name, k.kind";
static const char SQL_LAST_WINDOWS[] =
    "SELECT deployment, result FROM monitor_window WHERE id IN"
    " (SELECT max(id) FROM monitor_window GROUP BY deployment)"
    " ORDER BY deployment";

static enum slw_rc
open_alerts(struct slw_tx *tx, struct slw_buf *out, struct slw_err *err)
{
    slw_buf_z(out, "# HELP slipway_alerts_open Alerts that are not closed.\n"
                   "# TYPE slipway_alerts_open gauge\n");
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_OPEN_COUNTS, err));
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return SLW_OK;
        slw_buf_printf(out,
                       "slipway_alerts_open{deployment=\"%.*s\",kind=\"%.*s\"}"
                       " %lld\n",
                       SLW_FMT(slw_col_str(&st, 0)),
                       SLW_FMT(slw_col_str(&st, 1)),
                       (long long)slw_col_i64(&st, 2));
    }
}

static void
gauge(struct slw_buf *out, const char *name, struct slw_str deployment,
      const char *label, struct slw_str value, double v)
{
    if (!isfinite(v))
        return;
    slw_buf_printf(out, "%s{deployment=\"%.*s\",%s=\"%.*s\"} ", name,
                   SLW_FMT(deployment), label, SLW_FMT(value));
    slw_buf_f64(out, v);
    slw_buf_char(out, '\n');
}

static void
window_gauges(struct slw_str deployment, const struct json_t *window,
              struct slw_buf *psi, struct slw_buf *errors)
{
    const struct json_t *cols = slw_json_get(window, "columns");
    for (size_t i = 0; i < slw_json_len(cols); i++) {
        const struct json_t *c = slw_json_at(cols, i);
        gauge(psi, "slipway_window_psi", deployment, "column",
              slw_json_str_or(slw_json_get(c, "name"), SLW_STR("")),
              slw_json_f64_or(slw_json_get(c, "psi"), NAN));
    }
    const struct json_t *p = slw_json_get(window, "performance");
    gauge(errors, "slipway_window_error", deployment, "of", SLW_STR("model"),
          slw_json_f64_or(slw_json_get(p, "model"), NAN));
    gauge(errors, "slipway_window_error", deployment, "of",
          slw_json_str_or(slw_json_get(p, "against"), SLW_STR("fallback")),
          slw_json_f64_or(slw_json_get(p, "other"), NAN));
}

enum slw_rc
slw_monitor_metrics(struct slw_store *s, struct slw_buf *out,
                    struct slw_err *err)
{
    SLW_AUTO(slw_buf, psi);
    SLW_AUTO(slw_buf, errors);
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, s, err));
    TRY(open_alerts(&tx, out, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &tx, SQL_LAST_WINDOWS, err));
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        SLW_AUTO(slw_json, window);
        TRY(slw_json_parse(&window, slw_col_str(&st, 1), err));
        window_gauges(slw_col_str(&st, 0), window.root, &psi, &errors);
    }
    slw_buf_z(out, "# HELP slipway_window_psi PSI of the last window.\n"
                   "# TYPE slipway_window_psi gauge\n");
    slw_buf_str(out, slw_buf_view(&psi));
    slw_buf_z(out, "# HELP slipway_window_error Mean absolute error of the "
                   "last window.\n# TYPE slipway_window_error gauge\n");
    slw_buf_str(out, slw_buf_view(&errors));
    return SLW_OK;
}
