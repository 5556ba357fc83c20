/* data.h -- sources become datasets: read, check, profile, version.
 *
 * A *source* is a declaration (what the data is called, its entity and event
 * time, what it must look like).  A *dataset version* is immutable: a
 * canonical Parquet file (rows sorted by event time and entity, uncompressed
 * pages in small row groups so that content-defined chunks of two versions
 * coincide) stored as a blob, with schema, row count, event-time range,
 * column profile, parent and known time.  Same rows, same bytes, same hash. */
#ifndef SLW_DATA_DATA_H
#define SLW_DATA_DATA_H

#include "base/json.h"
#include "jobs/jobs.h"
#include "store/scan.h"
#include "store/store.h"
#include "store/verify.h"

/* Definition of a source, a JSON object:
 *   {"name", "entity": "symbol", "event_time": "date",
 *    "known_time": column (optional), "known_after_ms": 0,
 *    "expect": ["close > 0", "unique(symbol, date)", "not_null(close)",
 *               "fresh(3d)", "rows(1000)", {"check": "...",
 *               "on_fail": "quarantine"|"refuse"}],
 *    "quarantine_max": 0.01}
 * A check is a SQL condition a row must meet, or one of the named forms.  A
 * row that fails one is quarantined; more than quarantine_max of the rows
 * failing, or any failing "refuse" or whole-set check, refuses the dataset. */
SLW_MUST_USE enum slw_rc slw_data_source_put(struct slw_tx *tx, int64_t now_ms,
                                             struct slw_str name,
                                             struct slw_str def_json,
                                             struct slw_err *err);
/* Errors NOT_FOUND: names the sources there are. */
SLW_MUST_USE enum slw_rc
slw_data_source_get(struct slw_tx *tx, struct slw_str name, struct slw_arena *a,
                    struct slw_str *out_def_json, struct slw_err *err);

struct slw_dataset {
    int64_t id;
    struct slw_str name;
    int64_t version;     /* 1, 2, 3 … within the name */
    int64_t parent;      /* version, 0: none */
    struct slw_str hash; /* blob of the Parquet file */
    int64_t size;        /* bytes of that file */
    int64_t new_size;    /* bytes this version added on disk */
    int64_t chunk_count;
    int64_t row_count;
    int64_t quarantined_count;
    struct slw_str quarantine_hash; /* Parquet of those rows + reason; or "" */
    int64_t event_min_ms, event_max_ms; /* inclusive */
    int64_t known_at_ms;                /* when Slipway learned it */
    int64_t created_at_ms;
    struct slw_str schema;  /* JSON [{"name","type"}] */
    struct slw_str profile; /* JSON, see README: per column count, nulls, min,
                               max, mean, std, quantiles, distinct, top,
                               histogram */
    struct slw_str checks;  /* JSON [{"check","failed","on_fail","examples"}] */
    struct slw_str source_def; /* JSON the version was checked against */
};

/* By "NAME", "NAME@latest", "NAME@3", "NAME@2023-08-31" (the newest version
 * known by the end of that day), "NAME@<64 hex>", "NAME@<RFC 3339 time>".
 * Errors NOT_FOUND: says what there is; INVALID. */
SLW_MUST_USE enum slw_rc slw_data_get(struct slw_tx *tx, struct slw_str ref,
                                      struct slw_arena *a,
                                      struct slw_dataset *out,
                                      struct slw_err *err);
/* Newest version known at `at_ms` (INT64_MAX: newest).  Errors NOT_FOUND. */
SLW_MUST_USE enum slw_rc slw_data_get_at(struct slw_tx *tx, struct slw_str name,
                                         int64_t at_ms, struct slw_arena *a,
                                         struct slw_dataset *out,
                                         struct slw_err *err);
/* Names of datasets and sources with their newest version (row_count 0 and
 * version 0 where nothing was committed yet). */
SLW_MUST_USE enum slw_rc slw_data_list(struct slw_tx *tx, struct slw_arena *a,
                                       struct slw_dataset **out,
                                       size_t *out_count, struct slw_err *err);
/* Versions of one name, newest first. */
SLW_MUST_USE enum slw_rc slw_data_log(struct slw_tx *tx, struct slw_str name,
                                      struct slw_arena *a,
                                      struct slw_dataset **out,
                                      size_t *out_count, struct slw_err *err);
/* A page of them, and how many there are. */
SLW_MUST_USE enum slw_rc
slw_data_log_page(struct slw_tx *tx, struct slw_str name, size_t offset,
                  size_t limit, struct slw_arena *a, struct slw_dataset **out,
                  size_t *out_count, int64_t *out_total, struct slw_err *err);
/* JSON as the API shows it; full: with schema, profile and checks. */
void slw_data_write(struct slw_jw *w, const struct slw_dataset *d, bool full);
/* Two versions: rows added, removed, changed (by entity and event time),
 * columns added, removed, retyped, event range, PSI a numeric column, shared
 * chunks.  Runs DuckDB: call it in a task child ("data.diff").  Spec
 * {"a": ref, "b": ref}. */
SLW_MUST_USE enum slw_rc slw_data_diff_task(struct slw_store *s, void *app,
                                            const struct json_t *spec,
                                            struct slw_arena *a,
                                            struct slw_jw *out,
                                            struct slw_err *err);
/* Task "data.export": {"ref", "format": "csv"|"parquet", "path",
 * "quarantine": bool} writes a file for a download. */
SLW_MUST_USE enum slw_rc slw_data_export_task(struct slw_store *s, void *app,
                                              const struct json_t *spec,
                                              struct slw_arena *a,
                                              struct slw_jw *out,
                                              struct slw_err *err);

/* Job "data.ingest": {"name", "files": [{"blob": hash | "path": …,
 * "name": "prices.csv"}], "known_at_ms", "mode": "replace"|"append",
 * "until_ms": optional: only rows with event time <= it}.
 * append: parent's rows plus new ones, a new row replacing one of the same
 * entity and event time.  A commit that gives the parent's very hash makes no
 * new version (result "unchanged": true).
 * Result JSON as slw_data_write.
 * Errors INVALID: unreadable file (file, line), an expectation failed (which,
 *        how many rows, the first offending ones), no rows. */
SLW_MUST_USE enum slw_rc slw_data_ingest_job(struct slw_job_ctx *ctx,
                                             struct slw_err *err);

/* ---- history by the day, for a rehearsal ----
 * The rows of a version, counted by when they became known. */
struct slw_arrival {
    int64_t known_ms;     /* the rows so far are those known by then … */
    int64_t row_count;    /* … so many … */
    int64_t event_max_ms; /* … the newest about this instant */
};
/* In a process that may load DuckDB: one entry for each UTC day on which rows
 * became known; known_ms is the day's last millisecond.  In the arena. */
SLW_MUST_USE enum slw_rc
slw_data_arrivals(struct slw_store *s, const struct slw_dataset *d,
                  struct slw_arena *a, struct slw_arrival **out,
                  size_t *out_count, struct slw_err *err);
/* The next version of d's name: the same file, of which rows known after the
 * arrival do not count (who reads it cuts at as_of).  Announced as any other.
 * In     d->hash must be a blob of this store */
SLW_MUST_USE enum slw_rc slw_data_arrive(struct slw_tx *tx, int64_t now_ms,
                                         const struct slw_dataset *d,
                                         const struct slw_arrival *arrival,
                                         struct slw_err *err);

/* In a child: make each named dataset version a view of that name in `sc`,
 * with column "known_time_ms" (BIGINT) added: known_time column, else event
 * time + known_after_ms; the event-time column keeps its type.
 * In pins JSON {"prices": 3, …} */
SLW_MUST_USE enum slw_rc slw_data_attach(struct slw_scan *sc,
                                         struct slw_store *s,
                                         const struct json_t *pins,
                                         struct slw_arena *a,
                                         struct slw_err *err);
/* JSON {"prices": version} of every source as known at at_ms, and the same
 * with hashes; for pinning.  Sources without a version are left out. */
SLW_MUST_USE enum slw_rc slw_data_pins(struct slw_tx *tx, int64_t at_ms,
                                       struct slw_jw *out_versions,
                                       struct slw_jw *out_hashes,
                                       struct slw_err *err);

/* Is every version there, byte for byte, with its rows?  (store/verify.h) */
SLW_MUST_USE enum slw_rc slw_data_verify(struct slw_verify *v,
                                         struct slw_err *err);
/* Name the blobs of all dataset versions (store/gc.h). */
SLW_MUST_USE enum slw_rc slw_data_blobs(struct slw_gc *g, struct slw_err *err);

#endif
