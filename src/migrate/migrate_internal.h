/* migrate_internal.h -- shared by the files of this room only. */
#ifndef SLW_MIGRATE_MIGRATE_INTERNAL_H
#define SLW_MIGRATE_MIGRATE_INTERNAL_H

#include "base/json.h"
#include "migrate/migrate.h"
#include "registry/registry.h"
#include "store/foreign.h"
#include "track/track.h"

/* Rows of one transaction, points of one packed row, files of one turn. */
#define MIGRATE_BATCH_ROWS ((size_t)50000)
#define MIGRATE_POINT_COUNT ((size_t)8192)
#define MIGRATE_FILE_COUNT ((size_t)200)
/* Lines a report has of each sort; all are counted. */
#define MIGRATE_LINE_MAX 200

/* Name in the report, and how the source counts them. */
#define MIGRATE_KINDS(X)                                                       \
    X(EXPERIMENTS, "experiments", "experiments", "1")                          \
    X(RUNS, "runs", "runs", "1")                                               \
    X(PARAMS, "params", "params", "1")                                         \
    X(TAGS, "tags", "tags", "1")                                               \
    X(POINTS, "metric_points", "metrics", "1")                                 \
    X(INPUTS, "dataset_inputs", "inputs", "source_type = 'DATASET'")           \
    X(LOGGED, "logged_models", "logged_models", "1")                           \
    X(REGISTERED, "registered_models", "registered_models", "1")               \
    X(VERSIONS, "model_versions", "model_versions",                            \
      "current_stage <> 'Deleted_Internal'")                                   \
    X(ALIASES, "aliases", "registered_model_aliases", "1")                     \
    X(FILES, "artifact_files", "", "")
enum migrate_kind {
#define X(name, text, table, where) MIGRATE_##name,
    MIGRATE_KINDS(X)
#undef X
        MIGRATE_KIND_COUNT
};
struct migrate_count {
    int64_t there, brought, left_out;
};

struct migrate_experiment {
    int64_t from, to; /* to < 0: left out */
};

/* A list of the report: JSON items, the first MIGRATE_LINE_MAX. */
struct migrate_lines {
    struct slw_buf json;
    int64_t count;
};

struct migrate_file {
    struct slw_str path;
    char hash[65];
    int64_t size;
};

/* One import.  Owner: one thread. */
struct migrate_import {
    struct slw_store *store;
    const struct slw_import_options *o;
    const char *path;        /* of the database */
    const char *root;        /* of the artifacts, resolved; NULL: none */
    struct slw_str revision; /* of the schema */
    struct slw_foreign src;
    struct slw_tx tx; /* the batch; in a dry run a snapshot */
    size_t batch_rows;
    struct slw_arena keep, item, batch; /* whole import, one thing, points */
    struct migrate_experiment *experiments; /* by `from` */
    size_t experiment_count;
    struct migrate_count counts[MIGRATE_KIND_COUNT];
    struct migrate_lines mapped, left_out, elsewhere;
    int64_t bad_text_count, folder_count, folderless_count, byte_count;
    int64_t rows_done, rows_total, begin_ns;
    struct migrate_file *files; /* [MIGRATE_FILE_COUNT] not yet in the store */
    size_t file_count;
    const char *phase;
    double share_from, share_to; /* of this phase */
    double share;                /* of the phase that is done */
};

/* ---- source.c: the database ---- */
/* Open it and refuse what cannot be read. */
SLW_MUST_USE enum slw_rc migrate_source_open(struct migrate_import *im,
                                             struct slw_err *err);
/* Prepare a query; "{table.column:fallback}" stands for the column where the
 * schema has it, else for the fallback.  Where the table in `need` is missing,
 * *st stays empty. */
SLW_MUST_USE enum slw_rc migrate_query(struct migrate_import *im,
                                       struct slw_stmt *st, const char *need,
                                       const char *sql, struct slw_err *err);
/* Next row of a query bound to one text; false at the end or without table. */
SLW_MUST_USE enum slw_rc migrate_step(struct slw_stmt *st, bool *out_row,
                                      struct slw_err *err);
void migrate_ask(struct slw_stmt *st, struct slw_str key);
/* A text of the present row in the arena, as UTF-8 whatever it was. */
struct slw_str migrate_text(struct migrate_import *im, struct slw_stmt *st,
                            int at);
/* All rows (key, value) of a query, in the item's arena. */
SLW_MUST_USE enum slw_rc migrate_pairs(struct migrate_import *im,
                                       struct slw_stmt *st, struct slw_str key,
                                       struct slw_kv **out, size_t *out_count,
                                       struct slw_err *err);

/* ---- where things lie (place.c) ---- */
enum migrate_place {
    MIGRATE_OURS,     /* mlflow-artifacts: */
    MIGRATE_LOCAL,    /* a path, or file: */
    MIGRATE_ELSEWHERE /* s3:, … */
};
/* Out  path: below the proxy's root; of a local one as the URI has it, percent
 *      decoded */
enum migrate_place migrate_place_of(struct slw_str uri, struct slw_arena *a,
                                    struct slw_str *out_path);
/* The folder below `root` that a path means: the path itself if it lies there,
 * else the longest end of it that does; NULL: none.  root: resolved. */
const char *migrate_folder_find(const char *root, struct slw_str path,
                                struct slw_arena *a);

/* ---- import.c ---- */
/* The batch's transaction, begun when needed. */
SLW_MUST_USE enum slw_rc migrate_tx(struct migrate_import *im,
                                    struct slw_err *err);
/* So many rows were written: commit when it is time. */
SLW_MUST_USE enum slw_rc migrate_tick(struct migrate_import *im, size_t rows,
                                      struct slw_err *err);
SLW_MUST_USE enum slw_rc migrate_commit(struct migrate_import *im,
                                        struct slw_err *err);
/* Our number of an experiment; negative: it was left out. */
int64_t migrate_experiment_of(const struct migrate_import *im, int64_t from);
/* A line of the report, and the count of its kind. */
SLW_PRINTF(4, 5)
void migrate_leave(struct migrate_import *im, enum migrate_kind kind,
                   const char *why, const char *what, ...);
SLW_PRINTF(3, 4)
void migrate_note(struct migrate_import *im, struct migrate_lines *lines,
                  const char *fmt, ...);

/* ---- the phases ---- */
SLW_MUST_USE enum slw_rc migrate_experiments(struct migrate_import *im,
                                             struct slw_err *err);
SLW_MUST_USE enum slw_rc migrate_runs(struct migrate_import *im,
                                      struct slw_err *err);
SLW_MUST_USE enum slw_rc migrate_logged(struct migrate_import *im,
                                        struct slw_err *err);
SLW_MUST_USE enum slw_rc migrate_files(struct migrate_import *im,
                                       struct slw_err *err);
SLW_MUST_USE enum slw_rc migrate_registry(struct migrate_import *im,
                                          struct slw_err *err);

#endif
