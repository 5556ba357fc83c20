/* features.h -- feature views: one SQL definition for training and serving.
 *
 * A view's SQL yields the entity column, the event-time column and feature
 * columns, a row per entity and instant, using rows of sources up to that
 * instant only.  Training reads it by a point-in-time join (rows in = rows
 * out; event time <= t, known time <= t, age <= ttl); serving reads the newest
 * row of each entity from the online table, under the same ttl. */
#ifndef SLW_FEATURES_FEATURES_H
#define SLW_FEATURES_FEATURES_H

#include "base/json.h"
#include "jobs/jobs.h"
#include "store/scan.h"
#include "store/store.h"
#include "store/verify.h"

/* Definition, a JSON object: {"name", "entity": "symbol",
 *  "event_time": "date", "ttl_ms": 604800000, "sql": "SELECT …",
 *  "lags": [{"of": "range", "count": 20}]   -- adds range_lag0 … range_lag19,
 *                                              lag0 being the row's own value
 * } */
SLW_MUST_USE enum slw_rc
slw_features_view_put(struct slw_tx *tx, int64_t now_ms, struct slw_str name,
                      struct slw_str def_json, struct slw_err *err);
struct slw_view {
    struct slw_str name;
    struct slw_str def;  /* canonical JSON */
    struct slw_str hash; /* SHA-256 of it: pins a release */
    int64_t version;     /* counts changes of the definition */
    int64_t updated_at_ms;
    int64_t materialized_at_ms; /* 0: never */
    int64_t online_count;       /* entities in the online table */
    struct slw_str pins;    /* JSON of the dataset versions it was made from */
    struct slw_str columns; /* JSON [{"name","type"}], known after first use */
};
SLW_MUST_USE enum slw_rc slw_features_view_get(struct slw_tx *tx,
                                               struct slw_str name,
                                               struct slw_arena *a,
                                               struct slw_view *out,
                                               struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_features_view_list(struct slw_tx *tx,
                                                struct slw_arena *a,
                                                struct slw_view **out,
                                                size_t *out_count,
                                                struct slw_err *err);
void slw_features_view_write(struct slw_jw *w, const struct slw_view *v);

/* ---- offline (in a child) ---- */
struct slw_frame_spec {
    const struct json_t *pins;  /* {"prices": 3}: dataset versions */
    const struct json_t *views; /* array of view *definitions* (objects): the
                                   present ones, or those of a release */
    /* the spine: each row (entity, event time) of a source … */
    struct slw_str spine_source; /* "prices" */
    int64_t from_ms, to_ms;      /* event time, inclusive */
    /* … with a target, or none when target_sql is empty */
    struct slw_str target_sql; /* "lead(close) OVER w"; window w is defined:
                                  partition by entity order by event time */
    int64_t known_after_ms;    /* label known this long after the event time
                                  of the *next* row of the entity */
    int64_t as_of_ms;          /* only what was known by then */
    struct slw_str extra_sql;  /* expression(s) over the source's row added
                                  as columns after the features, or "" */
    struct slw_memo *memo;     /* answer from it; NULL: compute */
    bool guard_quarters;       /* look for peeks at one instant a quarter too */
    bool may_be_empty;         /* no rows in the range are no error */
};
struct slw_frame {
    size_t row_count, column_count;
    struct slw_str *columns; /* features in order of views and their SQL */
    double *x;               /* [row_count][column_count]; NaN missing */
    double *y;               /* [row_count]; NaN: label not known by as_of */
    int64_t *event_ms;       /* ascending; ties by entity */
    int64_t *known_ms;       /* the row's decision time */
    int64_t *label_known_ms; /* when y is known; INT64_MAX: not yet */
    struct slw_str *entity;
    struct slw_str entity_column;
    char hash[65]; /* SHA-256 of columns, keys, x and y */
};
/* Build the training frame.  All in the arena.
 * Errors INVALID: DuckDB's message for the view that fails; a view that
 *        returns no entity or event-time column, text features, or two rows
 *        for one entity and instant; LIMIT */
SLW_MUST_USE enum slw_rc slw_features_frame(struct slw_store *s,
                                            const struct slw_frame_spec *spec,
                                            struct slw_arena *a,
                                            struct slw_frame *out,
                                            struct slw_err *err);
/* ---- frames kept between jobs (memo.c) ---- */
/* For a process that runs many jobs over the same data, up to a last instant:
 * the frame is computed once and cut for each question.
 * Owner: one thread; frames live as long as the memo. */
struct slw_memo;
struct slw_memo *slw_memo_new(int64_t horizon_ms);
void slw_memo_free(struct slw_memo *m);

/* Task "features.historical": {"views": [names], "as_of_ms", "rows":
 * [{"symbol": "AAPL", "event_time": "2023-08-31", …}], or "path" of a CSV or
 * Parquet, "out_path"}: point-in-time join onto the caller's rows, order and
 * count kept.  Result {"columns": […], "rows": [[…]]} or the file. */
SLW_MUST_USE enum slw_rc
slw_features_historical_task(struct slw_store *s, void *app,
                             const struct json_t *spec, struct slw_arena *a,
                             struct slw_jw *out, struct slw_err *err);
/* Task "features.export": {"view", "path", "format"} the view's whole table
 * over the newest versions, for downloads. */
SLW_MUST_USE enum slw_rc
slw_features_export_task(struct slw_store *s, void *app,
                         const struct json_t *spec, struct slw_arena *a,
                         struct slw_jw *out, struct slw_err *err);

/* ---- online ---- */
/* Job "features.materialize": {"views": [names] or absent for all,
 * "at_ms": versions known then; default now}: newest row of each entity into
 * features_online, in one transaction; older event times never replace newer
 * ones.  Result {"views": [{"name", "entities", "event_max_ms"}]}. */
SLW_MUST_USE enum slw_rc slw_features_materialize_job(struct slw_job_ctx *ctx,
                                                      struct slw_err *err);
/* The same as part of another room's job: compute (no transaction is open),
 * then write in the transaction that ends that job.
 * In   ctx->spec's "views" as above; at_ms: versions known then;
 *      skip_broken: a view that cannot be computed keeps its old rows and is
 *      listed with its "error", so that it does not hold up the others
 * Out  in ctx->arena; w gets the array of views, event
 *      "features.materialized" */
struct slw_materialized {
    void *sets; /* private */
    size_t count;
};
SLW_MUST_USE enum slw_rc slw_features_materialize(struct slw_job_ctx *ctx,
                                                  int64_t at_ms,
                                                  bool skip_broken,
                                                  struct slw_materialized *out,
                                                  struct slw_err *err);
SLW_MUST_USE enum slw_rc
slw_features_materialized_put(struct slw_tx *tx, int64_t now_ms,
                              const struct slw_materialized *m,
                              struct slw_jw *w, struct slw_err *err);
struct slw_online_row {
    bool found; /* present and not older than the ttl at now */
    int64_t event_ms;
    size_t column_count;
    struct slw_str *columns;
    double *values; /* NaN missing */
};
/* Newest row of one entity in one view.  O(log n), one indexed read.
 * Errors NOT_FOUND: no such view. */
SLW_MUST_USE enum slw_rc
slw_features_online_get(struct slw_tx *tx, struct slw_str view,
                        struct slw_str entity, int64_t now_ms,
                        struct slw_arena *a, struct slw_online_row *out,
                        struct slw_err *err);

/* Are views and their online rows as they must be?  (store/verify.h) */
SLW_MUST_USE enum slw_rc slw_features_verify(struct slw_verify *v,
                                             struct slw_err *err);

#endif
