/* track_internal.h -- shared by the files of this room only. */
#ifndef SLW_TRACK_TRACK_INTERNAL_H
#define SLW_TRACK_TRACK_INTERNAL_H

#include "track/track.h"

/* Bits of a point's id that count within the run. */
#define TRACK_POINT_SEQ_BITS 24
#define TRACK_POINT_SIZE 28

/* For qsort: struct slw_kv by key. */
int track_kv_compare(const void *a, const void *b);

/* ---- points (points.c) ---- */
struct track_point {
    int64_t key;         /* track_key.id */
    struct slw_point at; /* no infinity */
};
/* Add the points of one call; the array is used up.
 * Cost   one insert; every thousandth call of a run also folds the points of
 *        those before it, some milliseconds */
SLW_MUST_USE enum slw_rc track_points_add(struct slw_tx *tx, int64_t run,
                                          struct track_point *points,
                                          size_t count, struct slw_arena *a,
                                          struct slw_err *err);
/* Points of the tail from id `from` on: struct track_point behind one another.
 */
SLW_MUST_USE enum slw_rc track_points_tail(struct slw_tx *tx, int64_t run,
                                           int64_t from, struct slw_buf *out,
                                           struct slw_err *err);
/* Points of one metric by (at_ms, step, value), NaN behind 0, each once, from
 * `offset` at most `limit`: struct slw_point behind one another in `out`,
 * which is empty.
 * Out    *out_total: how many there are in all
 * Cost   of what is read when the run logged in the order of time, else of all
 */
SLW_MUST_USE enum slw_rc track_points_read(struct slw_tx *tx, int64_t run,
                                           int64_t key, size_t offset,
                                           size_t limit, struct slw_buf *out,
                                           size_t *out_total,
                                           struct slw_err *err);

/* ---- the newest value of each metric (latest.c) ---- */
/* Enter the greatest of these points of each metric, where it is greater than
 * what stands there. */
SLW_MUST_USE enum slw_rc track_latest_put(struct slw_tx *tx, int64_t run,
                                          const struct track_point *points,
                                          size_t count, struct slw_arena *a,
                                          struct slw_err *err);
/* Points were added at `id` of the tail.  first: the run is unsettled from
 * there; -1: it was settled.
 * Cost   nothing or one insert; now and then the settling of a run */
SLW_MUST_USE enum slw_rc track_unsettle(struct slw_tx *tx, int64_t run,
                                        int64_t first, int64_t id,
                                        struct slw_err *err);
/* Enter what the run's last calls changed. */
SLW_MUST_USE enum slw_rc track_settle(struct slw_tx *tx, int64_t run,
                                      struct slw_err *err);

/* How searches choose where to begin; constant but in tests. */
struct track_search_limits {
    /* First: a driver of so many pages, an order's beginning of so many. */
    int64_t driver_pages, walk_pages;
    /* Then: so many rows of either. */
    int64_t driver_max, walk_max;
    /* Last: the smallest driver of so many rows, or all runs. */
    int64_t driver_count_max;
};
extern struct track_search_limits track_search_limits;

/* Short key of a run.  Errors NOT_FOUND; INVALID when `active` and the run
 * is deleted. */
SLW_MUST_USE enum slw_rc track_run_number(struct slw_tx *tx, struct slw_str id,
                                          bool active, int64_t *out_number,
                                          struct slw_err *err);
SLW_MUST_USE enum slw_rc track_experiment_active(struct slw_tx *tx, int64_t id,
                                                 struct slw_arena *a,
                                                 struct slw_experiment *out,
                                                 struct slw_err *err);

/* Number of a name; `find` answers -1 for a name never used. */
SLW_MUST_USE enum slw_rc track_key_intern(struct slw_tx *tx,
                                          struct slw_str name, int64_t *out_id,
                                          struct slw_err *err);
SLW_MUST_USE enum slw_rc track_key_find(struct slw_tx *tx, struct slw_str name,
                                        int64_t *out_id, struct slw_err *err);

/* The same for many names in a row: one statement, prepared once. */
SLW_MUST_USE enum slw_rc track_key_find_prepare(struct slw_tx *tx,
                                                struct slw_stmt *find,
                                                struct slw_err *err);
SLW_MUST_USE enum slw_rc track_key_intern_with(struct slw_tx *tx,
                                               struct slw_stmt *find,
                                               struct slw_str name,
                                               int64_t *out_id,
                                               struct slw_err *err);

/* Names already asked for, by number: an open-addressed table. */
struct track_names {
    struct slw_arena *arena;
    int64_t *ids; /* 0: free */
    struct slw_str *names;
    size_t cap, count;
};
SLW_MUST_USE enum slw_rc track_name(struct slw_tx *tx, struct track_names *n,
                                    int64_t id, struct slw_str *out,
                                    struct slw_err *err);

SLW_MUST_USE enum slw_rc track_tags_put(struct slw_tx *tx, int64_t run,
                                        const struct slw_kv *tags,
                                        size_t tag_count, struct slw_err *err);
/* Columns of TRACK_RUN_COLUMNS, in that order, of the present row. */
#define TRACK_RUN_COLUMNS                                                      \
    "r.number, r.id, r.experiment_id, r.name, r.user, r.artifact_uri,"         \
    " r.status, r.deleted, r.start_ms, r.end_ms"
void track_run_read(struct slw_stmt *st, struct slw_arena *a,
                    struct slw_run *out);
/* Fill everything but `run` of a run. */
SLW_MUST_USE enum slw_rc track_run_fill(struct slw_tx *tx, int64_t number,
                                        struct track_names *names,
                                        struct slw_arena *a,
                                        struct slw_run_full *out,
                                        struct slw_err *err);
SLW_MUST_USE enum slw_rc track_inputs_read(struct slw_tx *tx, int64_t number,
                                           struct slw_arena *a,
                                           struct slw_run_full *out,
                                           struct slw_err *err);

/* "brisk-otter-417", from 32 hex digits. */
struct slw_str track_name_invent(struct slw_arena *a, const char hex[33]);

/* Kind of a clause or an order key by its entity. */
enum track_entity {
    TRACK_ATTRIBUTE,
    TRACK_METRIC,
    TRACK_PARAM,
    TRACK_TAG,
    TRACK_DATASET
};
SLW_MUST_USE enum slw_rc track_entity_of(struct slw_str word,
                                         enum track_entity *out,
                                         struct slw_err *err);
/* Refuse what the entity does not allow: operator, kind of value. */
SLW_MUST_USE enum slw_rc track_clause_check(const struct slw_filter_clause *c,
                                            bool number, bool null_ok,
                                            bool list_ok, struct slw_err *err);

#endif
