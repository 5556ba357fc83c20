/* monitor_internal.h -- shared by the files of this room only. */
#ifndef SLW_MONITOR_MONITOR_INTERNAL_H
#define SLW_MONITOR_MONITOR_INTERNAL_H

#include "monitor/monitor.h"

#define MONITOR_COLUMN_MAX 512
#define MONITOR_BIN_COUNT 10   /* PSI: deciles of the reference */
#define MONITOR_FINE_COUNT 100 /* KS: percentiles of the reference */

/* How drift is judged; from the definition's "drift". */
struct monitor_drift {
    double alpha;       /* false alarms: BH level over the columns, 0.05 */
    double floor;       /* least PSI that counts, 0.25 */
    int64_t block_ms;   /* rows of one block are dependent: one day */
    int64_t min_rows;   /* 50 */
    int64_t min_blocks; /* 5 */
};
SLW_MUST_USE enum slw_rc monitor_drift_parse(const struct json_t *def,
                                             struct monitor_drift *out,
                                             struct slw_err *err);

/* Is the column one of the object's "columns"?  Without them all are. */
bool monitor_is_watched(const struct json_t *def, struct slw_str column);

/* One column of a sample: rows in order of time. */
struct monitor_sample {
    const double *x;         /* [row_count]; NaN is a null */
    const int64_t *event_ms; /* [row_count], ascending */
    size_t row_count;
};
struct monitor_column {
    struct slw_str name;
    double psi, ks;    /* effect sizes */
    double p, ks_p;    /* calibrated; NaN: could not be judged */
    double adjusted_p; /* Benjamini-Hochberg over the columns */
    bool drifted;
    int64_t ref_blocks, cur_blocks;
    int64_t ref_nulls, cur_nulls;
    double ref_mean, cur_mean;
    size_t bin_count; /* of the histogram below */
    double edges[MONITOR_BIN_COUNT];
    int64_t ref_counts[MONITOR_BIN_COUNT], cur_counts[MONITOR_BIN_COUNT];
};
/* Block log-t test (README.md): fills everything but adjusted_p and drifted.
 * A column that cannot be judged (constant, too few blocks) has p = NaN. */
void monitor_block_test(const struct monitor_sample *ref,
                        const struct monitor_sample *cur,
                        const struct monitor_drift *how, struct slw_arena *a,
                        struct monitor_column *out);
/* Adjust over the columns that could be judged and decide; returns how many
 * drifted, *out_judged how many could be judged. */
size_t monitor_decide(struct monitor_column *cols, size_t count,
                      const struct monitor_drift *how, size_t *out_judged);
void monitor_columns_write(struct slw_jw *w, const struct monitor_column *cols,
                           size_t count);

/* One prediction with its label. */
struct monitor_row {
    struct slw_str key;
    int64_t event_ms;
    double model_y, rule_y, label; /* NaN: none */
    const double *x;               /* window.c only */
    bool of_champion;
    size_t order; /* of writing */
};
#define MONITOR_ROW_MAX 2000000
/* Sort by event time and key, and keep of each pair the last one asked for;
 * returns how many are left. */
size_t monitor_rows_settle(struct monitor_row *rows, size_t count);
/* Labels known by now_ms into settled rows. */
SLW_MUST_USE enum slw_rc
monitor_rows_label(struct slw_tx *tx, struct slw_str deployment,
                   int64_t from_ms, int64_t to_ms, int64_t now_ms,
                   struct monitor_row *rows, size_t count, struct slw_err *err);

/* Raise or count an alert, and close the kind's open ones when `bad` is
 * false.  *out_raised: a new row and event. */
struct monitor_alert {
    struct slw_str deployment, release, dataset;
    const char *kind; /* "drift" | "performance" */
    int64_t version, from_ms, to_ms;
    bool bad;
    struct slw_str reason, detail; /* sentence; JSON object */
};
SLW_MUST_USE enum slw_rc monitor_alert_update(struct slw_tx *tx, int64_t now_ms,
                                              const struct monitor_alert *al,
                                              bool *out_raised,
                                              struct slw_err *err);

#endif
