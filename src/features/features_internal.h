/* features_internal.h -- shared by the files of this room only.
 *
 * A *world* is one DuckDB database in which SQL written by users runs:
 *
 *   schema slw_full  the sources under their own names, only the rows known
 *                    by as_of: what is not there cannot leak
 *   schema slw_cut   the same names, cut once more, for the look-ahead guard
 *   schema slw_out   what we make of it: views' tables, the spine
 *
 * A view's table slw_out.v<i> has slw_entity, slw_event (ms), slw_known (ms),
 * slw_rn (1, 2, 3 ... by entity and event time: unique) and the features as
 * doubles.
 * Invariant: within an entity slw_known never falls as slw_rn grows. */
#ifndef SLW_FEATURES_FEATURES_INTERNAL_H
#define SLW_FEATURES_FEATURES_INTERNAL_H

#include "base/buf.h"
#include "features/features.h"

#define FEATURES_COLUMNS_MAX 4096
#define FEATURES_LAGS_MAX 2000
#define FEATURES_VIEWS_MAX 256
#define FEATURES_ROWS_MAX ((size_t)50000000)
#define FEATURES_CALLER_ROWS_MAX 100000
#define FEATURES_GUARD_MAX 200 /* instants the look-ahead guard looks at */
#define FEATURES_EVENT_MIN_MS (-(int64_t)4000000000000000) /* any */

/* ---- definition.c ---- */
struct features_lag {
    struct slw_str of;
    int64_t count;
};
struct features_def {
    struct slw_str name, entity, event_time, sql;
    struct slw_str json; /* canonical */
    char hash[65];
    int64_t ttl_ms; /* 0: none */
    struct features_lag *lags;
    size_t lag_count;
};
/* In   name "": the definition's own.  Errors INVALID: names the view, what
 * is wrong and what would be right. */
SLW_MUST_USE enum slw_rc features_def_read(struct slw_str name,
                                           const struct json_t *o,
                                           struct slw_arena *a,
                                           struct features_def *out,
                                           struct slw_err *err);
SLW_MUST_USE enum slw_rc features_def_parse(struct slw_str name,
                                            struct slw_str json,
                                            struct slw_arena *a,
                                            struct features_def *out,
                                            struct slw_err *err);

/* ---- world.c ---- */
struct features_source {
    struct slw_str name, entity, event_time; /* entity "": none */
    int64_t known_after_ms;
    bool has_known_time; /* a column of its own says when a row was known */
};
struct features_world {
    struct slw_scan sc;
    struct slw_store *store;
    struct slw_arena *a;
    int64_t as_of_ms;
    bool guard_quarters;             /* see slw_frame_spec */
    struct features_source *sources; /* those that are used */
    size_t source_count;
};
void features_world_done(struct features_world *w);
/* In   pins {"prices": 3}; sqls: texts that may name sources: only those are
 *      loaded.  as_of_ms INT64_MAX: everything.
 * Afterwards nothing outside the database can be read. */
SLW_MUST_USE enum slw_rc
features_world_open(struct features_world *w, struct slw_store *s,
                    const struct json_t *pins, const struct slw_str *sqls,
                    size_t sql_count, int64_t as_of_ms, struct slw_arena *a,
                    struct slw_err *err);
/* No file may be opened any more, but below `out_dir` (NULL: none). */
SLW_MUST_USE enum slw_rc features_world_lock(struct features_world *w,
                                             const char *out_dir,
                                             struct slw_err *err);
const struct features_source *
features_source_find(const struct features_world *w, struct slw_str name);
/* The name of `table` (in slw_full) in the case it has there; "" absent. */
SLW_MUST_USE enum slw_rc features_column_of(struct features_world *w,
                                            struct slw_str table,
                                            struct slw_str column,
                                            struct slw_str *out,
                                            struct slw_err *err);
/* "epoch_ms(CAST("date" AS TIMESTAMP))" */
struct slw_str features_ms_sql(struct slw_arena *a, struct slw_str column);
SLW_MUST_USE enum slw_rc features_query_i64(struct features_world *w,
                                            struct slw_str sql, int64_t *out,
                                            struct slw_err *err);

/* ---- table.c ---- */
struct features_table {
    struct features_def def;
    struct slw_str table;  /* "slw_out.v0" */
    struct slw_str *names; /* features: of the SQL, then the lags */
    struct slw_str *types; /* as the SQL yields them */
    size_t sql_count;      /* how many of them the SQL yields */
    size_t count;
    struct slw_str entity, event_time; /* columns, as the SQL spells them */
};
/* Run a view's SQL, check what it yields, guard it against looking ahead.
 * Errors INVALID */
SLW_MUST_USE enum slw_rc features_table_build(struct features_world *w,
                                              const struct features_def *def,
                                              size_t index,
                                              struct features_table *out,
                                              struct slw_err *err);
/* Errors INVALID: two views have a feature of one name. */
SLW_MUST_USE enum slw_rc features_tables_check(const struct features_table *t,
                                               size_t count,
                                               struct slw_err *err);
/* The point-in-time join of slw_out.spine (slw_row, slw_event, slw_t and a
 * column keys[i] for view i) with the tables.
 * Out  " FROM slw_out.spine s LEFT JOIN ..." where view i's row is v<i> */
SLW_MUST_USE enum slw_rc features_join(struct features_world *w,
                                       const struct features_table *t,
                                       const struct slw_str *keys, size_t count,
                                       struct slw_str *out_from,
                                       struct slw_err *err);
/* ", v0."close" AS "close", ..." of all tables. */
void features_columns_sql(struct slw_buf *sql, const struct features_table *t,
                          size_t count, struct slw_arena *a);

/* ---- frame.c, memo.c ---- */
void features_frame_hash(struct slw_frame *f);
SLW_MUST_USE enum slw_rc
features_memo_frame(struct slw_memo *m, struct slw_store *s,
                    const struct slw_frame_spec *spec, struct slw_arena *a,
                    struct slw_frame *out, struct slw_err *err);

/* ---- view.c ---- */
SLW_MUST_USE enum slw_rc
features_view_materialized(struct slw_tx *tx, const struct features_table *t,
                           int64_t now_ms, struct slw_str pins,
                           int64_t online_count, struct slw_err *err);

#endif
