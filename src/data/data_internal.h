/* data_internal.h -- shared by the files of this room only.
 *
 * The way of a row inside an ingest:
 *
 *   files --load.c--> slw_all --check.c--> slw_bad (row, reason)
 *                        |                     |
 *                        +--> slw_rows --------+--> data.parquet,
 *                             (canonical)           quarantine.parquet
 *
 * slw_all holds the rows in canonical order with their place in it, slw_row
 * (1, 2, 3 ...); slw_rows is the view of those that no check held back. */
#ifndef SLW_DATA_DATA_INTERNAL_H
#define SLW_DATA_DATA_INTERNAL_H

#include "data/data.h"

#define DATA_COLUMNS_MAX 1024
#define DATA_FILES_MAX 1024
#define DATA_CHECKS_MAX 256
#define DATA_ROWS_MAX ((int64_t)1 << 31)
#define DATA_EXAMPLES_MAX 3
/* Share of the values of a text column that must look like a number (or a
 * time) for the others to be taken for mistakes. */
#define DATA_MISTAKE_SHARE 0.9

enum data_check_kind {
    DATA_CHECK_ROW,      /* a SQL condition each row must meet */
    DATA_CHECK_NOT_NULL, /* likewise, by name */
    DATA_CHECK_UNIQUE,   /* these speak of the whole set */
    DATA_CHECK_FRESH,
    DATA_CHECK_ROWS
};

struct data_check {
    enum data_check_kind kind;
    struct slw_str text; /* as written */
    bool refuse;         /* else: quarantine the rows that fail */
    bool implied;        /* entity and event time may not be NULL */
    struct slw_str *cols;
    size_t col_count;
    int64_t age_ms;              /* FRESH */
    int64_t row_least, row_most; /* ROWS */
    /* filled by data_checks_run */
    int64_t failed_count;
    struct slw_str examples[DATA_EXAMPLES_MAX];
    size_t example_count;
};

struct data_def {
    struct slw_str json; /* canonical */
    struct slw_str name;
    struct slw_str entity; /* "": none */
    struct slw_str event_time;
    struct slw_str known_time; /* "": event time + known_after_ms */
    int64_t known_after_ms;
    double quarantine_max;
    struct data_check *checks;
    size_t check_count;
    struct slw_str *typed; /* columns with a type of the user's choice */
    struct slw_str *types;
    size_t typed_count;
};

/* ---- source.c ---- */
/* Errors INVALID: which key, what would be right. */
SLW_MUST_USE enum slw_rc
data_def_parse(struct slw_str name, struct slw_str json, struct slw_arena *a,
               struct data_def *out, struct slw_err *err);

/* ---- sql.c ---- */
struct data_col {
    struct slw_str name;
    struct slw_str type; /* "DOUBLE", "DATE" ... */
};
struct data_cols {
    struct data_col *at;
    size_t count;
};
/* Columns of a query or table, by DESCRIBE. */
SLW_MUST_USE enum slw_rc data_describe(struct slw_scan *sc, struct slw_str from,
                                       struct slw_arena *a,
                                       struct data_cols *out,
                                       struct slw_err *err);
/* Case-insensitive, as SQL is; NULL: none. */
const struct data_col *data_cols_find(const struct data_cols *cols,
                                      struct slw_str name);
/* "a, b, c": for messages; at most 12 names. */
struct slw_str data_cols_text(const struct data_cols *cols,
                              struct slw_arena *a);
bool data_type_is_number(struct slw_str type);
bool data_type_is_time(struct slw_str type);
bool data_type_is_text(struct slw_str type);
/* One row, one column. */
SLW_MUST_USE enum slw_rc data_query_i64(struct slw_scan *sc,
                                        struct slw_arena *a, struct slw_str sql,
                                        int64_t *out, struct slw_err *err);
/* "epoch_ms(CAST("date" AS TIMESTAMP))" */
struct slw_str data_ms_sql(struct slw_arena *a, struct slw_str column);
/* Names quoted and joined by ", ". */
struct slw_str data_names_sql(struct slw_arena *a, const struct slw_str *names,
                              size_t count);
/* SQL expression of known_time_ms for a source. */
struct slw_str data_known_sql(struct slw_arena *a, const struct data_def *def);
/* Read a finished file of this room: read_parquet('...'). */
struct slw_str data_parquet_sql(struct slw_arena *a, const char *path);
/* COPY options of the canonical file for that many rows. */
const char *data_copy_options(int64_t row_count);

/* ---- load.c, load_csv.c, load_gzip.c ---- */
struct data_file {
    struct slw_str name; /* for messages */
    const char *path;
    struct slw_str table;    /* where its rows are, text not yet typed */
    struct data_cols cols;   /* as read */
    struct slw_str *targets; /* [cols.count] type to cast to */
    bool *by_text;           /* [cols.count] text of CSV or JSON: to be typed */
    bool is_csv, is_json;
    char delim; /* CSV */
};
/* Read the files into table slw_in.
 * In   parent_cols: columns of the version before (may be empty) */
SLW_MUST_USE enum slw_rc data_load(struct slw_scan *sc,
                                   const struct data_def *def,
                                   struct data_file *files, size_t file_count,
                                   const struct data_cols *parent_cols,
                                   struct slw_arena *a, struct slw_err *err);
SLW_MUST_USE enum slw_rc data_csv_read(struct slw_scan *sc,
                                       struct data_file *file,
                                       struct slw_arena *a,
                                       struct slw_err *err);
/* What DuckDB said of a file, as a sentence about the user's file. */
enum slw_rc data_reader_refuse(struct slw_scan *sc,
                               const struct data_file *file,
                               struct slw_arena *a, struct slw_err *err);
bool data_is_gzip(const char *path);
/* Errors INVALID: damaged or cut off; IO. */
SLW_MUST_USE enum slw_rc data_gunzip(const char *path, const char *out_path,
                                     struct slw_err *err);
/* First value of a text column that is not of `type`: where it stands. */
SLW_MUST_USE enum slw_rc
data_mistake_refuse(struct slw_scan *sc, const struct data_file *file,
                    struct slw_str column, struct slw_str type,
                    struct slw_str why, struct slw_arena *a,
                    struct slw_err *err);
/* SQL: text value -> type, NULL when it is none of that type. */
struct slw_str data_cast_sql(struct slw_arena *a, struct slw_str column,
                             struct slw_str type);

/* ---- check.c ---- */
/* Evaluate all checks of the definition on slw_all; fills slw_bad.  fresh()
 * compares the newest row with `fresh_at_ms`.
 * Errors INVALID: a check cannot be evaluated; too many rows fail. */
SLW_MUST_USE enum slw_rc
data_checks_run(struct slw_scan *sc, struct data_def *def,
                const struct data_cols *cols, int64_t fresh_at_ms,
                struct slw_arena *a, int64_t *out_quarantined_count,
                struct slw_err *err);
/* JSON [{"check","failed","on_fail","examples"}] */
struct slw_str data_checks_json(const struct data_def *def,
                                struct slw_arena *a);

/* ---- profile.c ---- */
/* JSON profile of the rows of `from` (a table or view). */
SLW_MUST_USE enum slw_rc data_profile(struct slw_scan *sc, struct slw_str from,
                                      const struct data_cols *cols,
                                      struct slw_arena *a, struct slw_str *out,
                                      struct slw_err *err);

/* ---- parquet_rows.c ---- */
/* Rows by the footer at the end of a file; false: not there, or damaged. */
bool data_parquet_rows(struct slw_str tail, int64_t *out_count);
/* Bytes of the footer; 8 more stand behind it.  False: no Parquet file. */
bool data_parquet_footer(struct slw_str tail, size_t *out_footer_size);

/* ---- dataset.c ---- */
/* What slw_data_write writes, into an object that is already open. */
void data_dataset_fields(struct slw_jw *w, const struct slw_dataset *d,
                         bool full);
SLW_MUST_USE enum slw_rc data_dataset_insert(struct slw_tx *tx,
                                             struct slw_dataset *d,
                                             struct slw_err *err);
/* Is this a rehearsal's store, whose versions count what has arrived? */
SLW_MUST_USE enum slw_rc data_has_arrivals(struct slw_tx *tx, bool *out,
                                           struct slw_err *err);
/* Event "data.version_added". */
SLW_MUST_USE enum slw_rc data_announce(struct slw_tx *tx, int64_t now_ms,
                                       const struct slw_dataset *d,
                                       struct slw_err *err);

#endif
