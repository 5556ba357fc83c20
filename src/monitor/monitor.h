/* monitor.h -- windows over the prediction log: drift of inputs and outputs
 * against the release's reference profile, performance once labels arrive,
 * alerts as rows.
 *
 * An alarm states effect size and p-value, and the p-value is calibrated for
 * dependent rows (see README.md); columns are corrected for together. */
#ifndef SLW_MONITOR_MONITOR_H
#define SLW_MONITOR_MONITOR_H

#include "base/json.h"
#include "registry/registry.h"
#include "serve/serve.h"
#include "store/store.h"
#include "store/verify.h"

/* ---- definitions (the `monitors:` section as JSON) ----
 * {"name": deployment, "window_ms": 20 days, "every_ms": 5 days,
 *  "min_rows": 50,
 *  "drift": {"q": 0.01, "psi": 0.25, …}, "performance": {"metric": "mae",
 *  "worse_than": "test"|"fallback", "confidence": 0.99}} */
SLW_MUST_USE enum slw_rc slw_monitor_put(struct slw_tx *tx, int64_t now_ms,
                                         struct slw_str name,
                                         struct slw_str def_json,
                                         struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_monitor_get(struct slw_tx *tx, struct slw_str name,
                                         struct slw_arena *a,
                                         struct slw_str *out_def_json,
                                         struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_monitor_list(struct slw_tx *tx,
                                          struct slw_arena *a,
                                          struct slw_str **out_names,
                                          size_t *out_count,
                                          struct slw_err *err);

/* ---- labels ---- */
struct slw_label {
    struct slw_str key;
    int64_t event_ms; /* the prediction's event time */
    double value;
    int64_t known_ms;
};
/* Labels of a deployment; a later one for the same key and event replaces an
 * earlier.  Out how many were new or changed. */
SLW_MUST_USE enum slw_rc
slw_monitor_labels_put(struct slw_tx *tx, struct slw_str deployment,
                       const struct slw_label *labels, size_t count,
                       int64_t *out_changed, struct slw_err *err);

/* ---- windows ---- */
/* Evaluate predictions with event time in [from_ms, to_ms]: labels known by
 * now_ms only.  Writes the row monitor_window and, where something is wrong,
 * monitor_alert rows and events "monitor.alert", in one transaction; an alert
 * that is already open for the same deployment, kind and release is not
 * raised twice but counted.  A window that ended well closes open ones.
 * Out  w gets the window as an object: rows, labelled, columns with psi, ks,
 *      p, adjusted p, drifted; performance; alerts; verdict
 *      "ok"|"drift"|"performance"|"insufficient"
 * Errors NOT_FOUND, CONFLICT: nothing deployed */
SLW_MUST_USE enum slw_rc slw_monitor_window(struct slw_store *s, int64_t now_ms,
                                            struct slw_str name,
                                            int64_t from_ms, int64_t to_ms,
                                            struct slw_jw *w,
                                            struct slw_err *err);
/* Window list, newest first (JSON array). */
/* The same; `also` writes in the window's own transaction, so that what it
 * writes is there exactly when the window is. */
typedef enum slw_rc (*slw_monitor_also_fn)(struct slw_tx *tx, void *ctx,
                                           struct slw_err *err);
SLW_MUST_USE enum slw_rc
slw_monitor_window_also(struct slw_store *s, int64_t now_ms,
                        struct slw_str name, int64_t from_ms, int64_t to_ms,
                        slw_monitor_also_fn also, void *ctx, struct slw_jw *out,
                        struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_monitor_windows(struct slw_tx *tx,
                                             struct slw_str name,
                                             size_t count_max, struct slw_jw *w,
                                             struct slw_err *err);
/* A page of them, and how many there are. */
SLW_MUST_USE enum slw_rc
slw_monitor_window_page(struct slw_tx *tx, struct slw_str name, size_t offset,
                        size_t limit, struct slw_jw *w, int64_t *out_total,
                        struct slw_err *err);
/* Error over time: predictions with event time in [from_ms, to_ms] and the
 * labels known by now_ms, by day or, where these are more than point_max, by
 * several days: array of {"t" (ms, first of the days), "model_error",
 * "rule_error" (mean |label - answer|), "rows"}.  Days without a label are
 * left out.
 * Errors LIMIT: too many predictions in the range */
SLW_MUST_USE enum slw_rc slw_monitor_errors(struct slw_store *s, int64_t now_ms,
                                            struct slw_str deployment,
                                            int64_t from_ms, int64_t to_ms,
                                            size_t point_max, struct slw_jw *w,
                                            struct slw_err *err);
/* Task "monitor.judge" (needs DuckDB): judge one range of feature rows
 * against another, no deployment needed: {"views": [names], "reference":
 * {"from_ms","to_ms"}, "window": {"from_ms","to_ms"}, "drift": {…}, "at_ms":
 * dataset versions known then}.  Result as a window's columns + verdict. */
SLW_MUST_USE enum slw_rc slw_monitor_judge_task(struct slw_store *s, void *app,
                                                const struct json_t *spec,
                                                struct slw_arena *a,
                                                struct slw_jw *out,
                                                struct slw_err *err);

/* ---- alerts ---- */
/* JSON array, newest first; state "" | "open" | "acknowledged" | "closed". */
SLW_MUST_USE enum slw_rc slw_monitor_alerts(struct slw_tx *tx,
                                            struct slw_str deployment,
                                            struct slw_str state,
                                            size_t count_max, struct slw_jw *w,
                                            struct slw_err *err);
/* A page of them, and how many there are. */
SLW_MUST_USE enum slw_rc
slw_monitor_alert_page(struct slw_tx *tx, struct slw_str deployment,
                       struct slw_str state, size_t offset, size_t limit,
                       struct slw_jw *w, int64_t *out_total,
                       struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_monitor_alert_ack(struct slw_tx *tx,
                                               int64_t now_ms, int64_t id,
                                               struct slw_str who,
                                               struct slw_err *err);
/* Prometheus text: open alerts, last window's PSI a column, error. */
SLW_MUST_USE enum slw_rc slw_monitor_metrics(struct slw_store *s,
                                             struct slw_buf *out,
                                             struct slw_err *err);

/* ---- notifying ---- */
/* Where alerts go, JSON: {"webhooks": ["http://…"], "alertmanager":
 * "http://…"}; kept in the store. */
SLW_MUST_USE enum slw_rc slw_monitor_notify_put(struct slw_tx *tx,
                                                struct slw_str json,
                                                struct slw_err *err);
/* Deliver what is not yet delivered (cursor over events "monitor."): JSON to
 * each webhook, /api/v2/alerts to Alertmanager (resolved ones with endsAt).
 * Failures are retried at the next call, at most 10 times, then an event.
 * Blocks on the network: call it from a thread of its own. */
SLW_MUST_USE enum slw_rc slw_monitor_notify(struct slw_store *s, int64_t now_ms,
                                            int *out_sent, struct slw_err *err);

/* Are windows, labels and alerts as they must be?  (store/verify.h) */
SLW_MUST_USE enum slw_rc slw_monitor_verify(struct slw_verify *v,
                                            struct slw_err *err);

#endif
