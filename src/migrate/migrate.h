/* migrate.h -- coming here from MLflow's own server, and leaving again.
 *
 * The import reads MLflow's SQLite database and its folder of artifacts and
 * writes through the rooms that own what it brings.  The export writes all of
 * tracking and registry as Parquet and JSON lines.  Both work beside a running
 * server: they are one more process on the store. */
#ifndef SLW_MIGRATE_MIGRATE_H
#define SLW_MIGRATE_MIGRATE_H

#include "jobs/jobs.h"
#include "store/store.h"

typedef void (*slw_migrate_progress_fn)(void *ctx, double share,
                                        const char *note);

struct slw_import_options {
    struct slw_str backend_uri; /* "sqlite:///mlflow.db", or a path */
    const char *artifacts;      /* folder of its artifacts; NULL: none */
    struct slw_str prefix;      /* put before names of registered models */
    bool dry_run;               /* report only */
    int64_t now_ms;
    slw_migrate_progress_fn progress; /* outside of transactions; or NULL */
    void *progress_ctx;
};
/* Bring everything over.  What is here already is left as it is, so the same
 * call goes on after a crash and does nothing the second time.
 * Out    report: {"source", "revision", "artifacts", "dry_run", "complete",
 * "kinds":
 *        {"runs": {"there","brought","already","left_out"}, …}, "mapped":
 *        [{"experiment","from","to"}…], "left_out": [{"what","why"}…],
 *        "left_out_count", "elsewhere": […], "elsewhere_count", "notes": […]}
 * Errors INVALID: the URI, or no database of MLflow's, or too old a schema;
 *        NOT_FOUND, CORRUPT, IO: as slw_foreign_open. */
SLW_MUST_USE enum slw_rc slw_import_mlflow(struct slw_store *s,
                                           const struct slw_import_options *o,
                                           struct slw_buf *report,
                                           struct slw_err *err);

struct slw_export_options {
    const char *dir; /* to make; must not exist, or be empty */
    const struct slw_str *experiments; /* names; none: all and the registry */
    size_t experiment_count;
    bool artifacts; /* their bytes too, as plain files */
    int64_t now_ms;
    slw_migrate_progress_fn progress;
    void *progress_ctx;
};
/* One snapshot of tracking and registry as files.
 * Out    the manifest: {"format": "slipway.export/1", "made_at_ms", "tables":
 *        {"runs": rows, …}, "files": [{"path","size","sha256"}…]}, without
 *        the list of files
 * Errors CONFLICT: the folder is not empty; NOT_FOUND: an experiment, or the
 *        engine "duckdb"; IO. */
SLW_MUST_USE enum slw_rc slw_export(struct slw_store *s,
                                    const struct slw_export_options *o,
                                    struct slw_buf *manifest,
                                    struct slw_err *err);

/* Jobs "migrate.import"
 * {"backend_store_uri","artifacts","prefix","report_only"} and "migrate.export"
 * {"out","experiments","artifacts"}; results as above. Paths are the server's.
 */
SLW_MUST_USE enum slw_rc slw_import_job(struct slw_job_ctx *ctx,
                                        struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_export_job(struct slw_job_ctx *ctx,
                                        struct slw_err *err);

/* What would be refused anyway: checked before there is a job. */
SLW_MUST_USE enum slw_rc slw_import_uri_check(struct slw_str backend_uri,
                                              struct slw_arena *a,
                                              const char **out_path,
                                              struct slw_err *err);

#endif
