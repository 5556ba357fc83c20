/* scan.h -- DuckDB: reads CSV, Parquet and JSON, runs feature SQL, writes
 * Parquet.  It holds nothing that cannot be rebuilt.
 *
 * Engine "duckdb" (engines/duckdb.c).  Job children call it; the server
 * process does not (a wrong handle aborts, and it needs memory): what an
 * answer needs of it goes through a child (see jobs/child.h).
 *
 * One `struct slw_scan` is one in-memory database, one thread.  Deterministic
 * settings: threads=1 unless told, preserve_insertion_order, no extension is
 * installed or loaded from the network. */
#ifndef SLW_STORE_SCAN_H
#define SLW_STORE_SCAN_H

#include "base/arena.h"
#include "base/base.h"

enum slw_col_type {
    SLW_COL_BOOL,
    SLW_COL_I64,  /* every integer type that fits */
    SLW_COL_F64,  /* float, double, decimal, hugeint */
    SLW_COL_STR,  /* text and everything else, as DuckDB prints it */
    SLW_COL_TIME, /* date and timestamps: ms since the epoch, UTC */
};

/* One column of a result, in the arena. */
struct slw_scan_col {
    struct slw_str name;
    enum slw_col_type type;
    struct slw_str sql_type; /* "DOUBLE", "DATE" … as DuckDB names it */
    /* one of these, by type; the others NULL */
    int64_t *i64; /* BOOL 0/1, I64, TIME */
    double *f64;  /* NULL reads as NaN */
    struct slw_str *str;
    uint8_t *is_null; /* [row_count] */
};
struct slw_scan_result {
    size_t row_count;
    size_t col_count;
    struct slw_scan_col *cols;
};

struct slw_scan {
    const struct slw_duckdb_ops *ops;
    void *handle;
};

/* Functions of engines/duckdb.c; used through the wrappers below. */
struct slw_duckdb_ops {
    enum slw_rc (*open)(void **out, int threads, size_t memory_size,
                        const char *tmp_dir, struct slw_err *err);
    void (*close)(void *handle);
    enum slw_rc (*exec)(void *handle, struct slw_str sql, struct slw_err *err);
    enum slw_rc (*query)(void *handle, struct slw_str sql, size_t row_max,
                         struct slw_arena *a, struct slw_scan_result *out,
                         struct slw_err *err);
};

/* In   threads 1.., memory_size bytes (0: 1 GiB), tmp_dir for spilling
 * Errors NOT_FOUND: engine missing, with the remedy */
SLW_MUST_USE enum slw_rc slw_scan_open(struct slw_scan *sc, int threads,
                                       size_t memory_size, const char *tmp_dir,
                                       struct slw_err *err);
void slw_scan_done(struct slw_scan *sc);
/* One or more statements without a result.
 * Errors INVALID: DuckDB's own message, first line, at most 300 characters. */
SLW_PRINTF(3, 4)
SLW_MUST_USE enum slw_rc slw_scan_exec(struct slw_scan *sc, struct slw_err *err,
                                       const char *fmt, ...);
/* A query, all rows in the arena.
 * Errors INVALID; LIMIT: more than row_max rows or the arena's room. */
SLW_MUST_USE enum slw_rc slw_scan_query(struct slw_scan *sc, size_t row_max,
                                        struct slw_arena *a,
                                        struct slw_scan_result *out,
                                        struct slw_str sql,
                                        struct slw_err *err);
/* Column by name, or NULL. */
const struct slw_scan_col *slw_scan_col(const struct slw_scan_result *r,
                                        const char *name);
/* 'text' with quotes doubled, or "name" likewise; in the arena. */
struct slw_str slw_sql_literal(struct slw_arena *a, struct slw_str text);
struct slw_str slw_sql_name(struct slw_arena *a, struct slw_str name);

#endif
