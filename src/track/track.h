/* track.h -- experiments, runs, parameters, metrics with history, tags,
 * datasets, artifacts, logged models.  MLflow's meaning, not its JSON: the
 * dialect is api's.  Our own trainers log through these same functions.
 *
 * All writers take a transaction; the server's hot ones are called through
 * slw_store_group(). */
#ifndef SLW_TRACK_TRACK_H
#define SLW_TRACK_TRACK_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "store/store.h"
#include "store/verify.h"

/* Limits; longer values of params and tags are cut, all else is refused. */
#define SLW_TRACK_KEY_CHARS_MAX 250
#define SLW_TRACK_PARAM_CHARS_MAX 6000
#define SLW_TRACK_TAG_CHARS_MAX 8000
#define SLW_TRACK_EXPERIMENT_NAME_CHARS_MAX 500
#define SLW_TRACK_EXPERIMENT_TAG_CHARS_MAX 20000
#define SLW_TRACK_PATH_SIZE_MAX 4096
/* Points of one metric that one history may return. */
#define SLW_TRACK_HISTORY_MAX ((size_t)10000000)

enum slw_run_status {
    SLW_RUN_RUNNING = 1,
    SLW_RUN_SCHEDULED,
    SLW_RUN_FINISHED,
    SLW_RUN_FAILED,
    SLW_RUN_KILLED
};
const char *slw_run_status_name(enum slw_run_status s); /* "RUNNING" … */
SLW_MUST_USE enum slw_rc slw_run_status_parse(struct slw_str s,
                                              enum slw_run_status *out,
                                              struct slw_err *err);

struct slw_experiment {
    int64_t id;
    struct slw_str name, artifact_location;
    bool deleted;
    int64_t created_at_ms, updated_at_ms;
};
struct slw_run {
    struct slw_str id; /* 32 hex digits */
    int64_t experiment_id;
    struct slw_str name, user, artifact_uri;
    enum slw_run_status status;
    bool deleted;
    int64_t start_ms, end_ms; /* 0: running */
};
struct slw_kv {
    struct slw_str key, value;
};
struct slw_metric {
    struct slw_str key;
    double value; /* NaN allowed */
    int64_t at_ms, step;
};

/* Get by name, or create.  Experiment 0 is "Default". */
SLW_MUST_USE enum slw_rc slw_track_experiment_ensure(struct slw_tx *tx,
                                                     int64_t now_ms,
                                                     struct slw_str name,
                                                     int64_t *out_id,
                                                     struct slw_err *err);
/* Start a run.  run->id empty: a new one is made; strings in the arena. */
SLW_MUST_USE enum slw_rc
slw_track_run_create(struct slw_tx *tx, int64_t start_ms, int64_t experiment_id,
                     struct slw_str name, struct slw_str user,
                     const struct slw_kv *tags, size_t tag_count,
                     struct slw_arena *a, struct slw_run *out,
                     struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_track_run_get(struct slw_tx *tx, struct slw_str id,
                                           struct slw_arena *a,
                                           struct slw_run *out,
                                           struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_track_run_end(struct slw_tx *tx, struct slw_str id,
                                           enum slw_run_status status,
                                           int64_t end_ms, struct slw_err *err);
/* A read snapshot for what follows: whoever reads newest values of metrics
 * (runs, searches, tables, dumps) begins with this one, not slw_tx_read.  What
 * was logged before the call is entered then.  If that cannot be written (the
 * disk is full) the values are those of at most 32 calls of a run ago, and the
 * log says why.
 * Cost   that of a read; after writes one write transaction, of every metric
 *        that changed
 * Errors BUSY, IO */
SLW_MUST_USE enum slw_rc slw_track_read(struct slw_tx *tx, struct slw_store *s,
                                        struct slw_err *err);
/* One batch: params (write-once), metrics, tags; all or nothing.
 * Errors CONFLICT: a param has another value; INVALID; NOT_FOUND. */
SLW_MUST_USE enum slw_rc
slw_track_log(struct slw_tx *tx, struct slw_str run_id,
              const struct slw_kv *params, size_t param_count,
              const struct slw_metric *metrics, size_t metric_count,
              const struct slw_kv *tags, size_t tag_count, struct slw_err *err);
/* A dataset used by a run (context "training" …). */
SLW_MUST_USE enum slw_rc
slw_track_input(struct slw_tx *tx, struct slw_str run_id, struct slw_str name,
                struct slw_str digest, struct slw_str source_json,
                struct slw_str context, struct slw_err *err);
/* An artifact of a run: bytes already stored as a blob. */
SLW_MUST_USE enum slw_rc
slw_track_artifact_put(struct slw_tx *tx, struct slw_str run_id,
                       struct slw_str path, struct slw_str blob_hash,
                       int64_t size, struct slw_err *err);

/* ---- experiments ---- */
enum slw_view_stage { SLW_VIEW_ACTIVE, SLW_VIEW_DELETED, SLW_VIEW_ALL };

/* location empty: "mlflow-artifacts:/<id>".
 * Errors CONFLICT: the name is taken (by a deleted one too); INVALID. */
SLW_MUST_USE enum slw_rc
slw_track_experiment_create(struct slw_tx *tx, int64_t now_ms,
                            struct slw_str name, struct slw_str location,
                            const struct slw_kv *tags, size_t tag_count,
                            int64_t *out_id, struct slw_err *err);
/* Deleted ones too.  Errors NOT_FOUND. */
SLW_MUST_USE enum slw_rc slw_track_experiment_get(struct slw_tx *tx, int64_t id,
                                                  struct slw_arena *a,
                                                  struct slw_experiment *out,
                                                  struct slw_err *err);
SLW_MUST_USE enum slw_rc
slw_track_experiment_by_name(struct slw_tx *tx, struct slw_str name,
                             struct slw_arena *a, struct slw_experiment *out,
                             struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_track_experiment_rename(struct slw_tx *tx,
                                                     int64_t now_ms, int64_t id,
                                                     struct slw_str name,
                                                     struct slw_err *err);
/* Delete or restore an experiment and its runs with it.
 * Errors NOT_FOUND: absent, or already so. */
SLW_MUST_USE enum slw_rc slw_track_experiment_mark(struct slw_tx *tx,
                                                   int64_t now_ms, int64_t id,
                                                   bool deleted,
                                                   struct slw_err *err);
SLW_MUST_USE enum slw_rc
slw_track_experiment_tag_set(struct slw_tx *tx, int64_t id, struct slw_str key,
                             struct slw_str value, struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_track_experiment_tag_remove(struct slw_tx *tx,
                                                         int64_t id,
                                                         struct slw_str key,
                                                         struct slw_err *err);
SLW_MUST_USE enum slw_rc
slw_track_experiment_tags(struct slw_tx *tx, int64_t id, struct slw_arena *a,
                          struct slw_kv **out, size_t *out_count,
                          struct slw_err *err);

/* ---- runs ---- */
/* What MLflow's runs/update may change; status 0 and empty name: as it is;
 * end_ms < 0: as it is. */
SLW_MUST_USE enum slw_rc
slw_track_run_update(struct slw_tx *tx, struct slw_str id,
                     enum slw_run_status status, int64_t end_ms,
                     struct slw_str name, struct slw_err *err);
/* Delete or restore; again is no error. */
SLW_MUST_USE enum slw_rc slw_track_run_mark(struct slw_tx *tx, int64_t now_ms,
                                            struct slw_str id, bool deleted,
                                            struct slw_err *err);
/* Errors NOT_FOUND: no such tag. */
SLW_MUST_USE enum slw_rc slw_track_run_tag_remove(struct slw_tx *tx,
                                                  struct slw_str id,
                                                  struct slw_str key,
                                                  struct slw_err *err);
/* One param; as slw_track_log, with the sentence for a single one. */
SLW_MUST_USE enum slw_rc slw_track_param(struct slw_tx *tx,
                                         struct slw_str run_id,
                                         struct slw_kv param,
                                         struct slw_err *err);
/* All points of a metric, each once, by (at_ms, step, value).
 * Errors NOT_FOUND: no such run; LIMIT: more than SLW_TRACK_HISTORY_MAX */
SLW_MUST_USE enum slw_rc
slw_track_history(struct slw_tx *tx, struct slw_str run_id, struct slw_str key,
                  struct slw_arena *a, struct slw_metric **out,
                  size_t *out_count, struct slw_err *err);
/* The same, from `offset` at most `limit`.
 * Out   *out_total: points in all
 * Cost  of the page, when the run logged in the order of time */
SLW_MUST_USE enum slw_rc slw_track_history_page(
    struct slw_tx *tx, struct slw_str run_id, struct slw_str key, size_t offset,
    size_t limit, struct slw_arena *a, struct slw_metric **out,
    size_t *out_count, size_t *out_total, struct slw_err *err);

/* ---- a history thinned for a drawing ---- */
struct slw_point {
    int64_t at_ms, step;
    double value; /* NaN and infinities too */
};
enum slw_thin_axis {
    SLW_THIN_STEP,
    SLW_THIN_TIME,    /* at_ms */
    SLW_THIN_RELATIVE /* ms since the first of these points */
};
#define SLW_THIN_BUCKET_MAX 4000
struct slw_thin_options {
    enum slw_thin_axis axis;
    bool log;            /* a logarithmic axis: values <= 0 have no place */
    int64_t from, to;    /* on the axis, inclusive; INT64_MIN, _MAX: all */
    size_t bucket_count; /* pixels: 1..SLW_THIN_BUCKET_MAX */
    double smooth;       /* what the mean keeps a point, 0..<1; 0: no mean */
};
struct slw_thin_line {
    struct slw_thin_point {
        int64_t x;
        double y;
    } * points; /* by x */
    size_t count;
};
struct slw_thin {
    struct slw_thin_line raw, smooth;
    struct slw_thin_break { /* where there is no number, one a bucket */
        int64_t x;
        size_t nan_count, above_count, below_count; /* NaN, +inf, -inf */
    } * breaks;
    size_t break_count;
    size_t total; /* points of the history */
    size_t shown; /* of these in the range: what the lines stand for */
    size_t nan_count, above_count, below_count; /* of the shown */
    size_t hidden_count;  /* numbers that the logarithm has no place for */
    int64_t x_min, x_max; /* of the whole history; both 0 where it is empty */
};
/* Points as few as a drawing needs: the least and the greatest value of each
 * of bucket_count equal pieces of the range, its first and last point, and
 * the nearest one beyond each end; and the exponential mean (debiased, of all
 * points, in the order of the axis) likewise.  The same points give the same
 * answer in whatever order they come.
 * Out    lines of at most 2 * bucket_count + 4 points, in the arena
 * Errors INVALID: bucket_count, smooth, or from > to
 * Cost   two passes; a sorted copy where points are not in axis order */
SLW_MUST_USE enum slw_rc
slw_track_thin(const struct slw_point *points, size_t count,
               const struct slw_thin_options *opt, struct slw_arena *a,
               struct slw_thin *out, struct slw_err *err);
/* The same of a stored metric.  Errors as slw_track_history too. */
SLW_MUST_USE enum slw_rc
slw_track_history_thin(struct slw_tx *tx, struct slw_str run_id,
                       struct slw_str key, const struct slw_thin_options *opt,
                       struct slw_arena *a, struct slw_thin *out,
                       struct slw_err *err);

/* ---- inputs and outputs of runs ---- */
struct slw_input {
    struct slw_str name, digest, source_type, source;
    struct slw_str schema, profile; /* may be empty */
    struct slw_kv *tags;            /* "mlflow.data.context" … */
    size_t tag_count;
};
struct slw_model_link {
    struct slw_str model_id;
    int64_t step; /* outputs only */
};
/* A dataset of an experiment and how its runs used it ('': not said). */
struct slw_dataset_summary {
    int64_t experiment_id;
    struct slw_str name, digest, context;
};
/* At most `limit` of them, each once. */
SLW_MUST_USE enum slw_rc slw_track_dataset_summaries(
    struct slw_tx *tx, int64_t experiment_id, size_t limit, struct slw_arena *a,
    struct slw_dataset_summary **out, size_t *out_count, struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_track_inputs_put(struct slw_tx *tx,
                                              struct slw_str run_id,
                                              const struct slw_input *inputs,
                                              size_t input_count,
                                              struct slw_err *err);
SLW_MUST_USE enum slw_rc
slw_track_model_links_put(struct slw_tx *tx, struct slw_str run_id,
                          bool is_output, const struct slw_model_link *links,
                          size_t link_count, struct slw_err *err);

/* ---- search ---- */
struct slw_track_query {
    struct slw_str filter;          /* MLflow's filter grammar */
    const struct slw_str *order_by; /* "metrics.loss DESC" … */
    size_t order_count;
    enum slw_view_stage view;
    const int64_t *experiment_ids; /* runs and logged models only */
    size_t experiment_count;
    size_t offset, limit;
    const struct slw_kv *datasets; /* logged models: name, digest or "" */
    size_t dataset_count;
    const struct slw_kv *order_datasets; /* logged models: of each order by a
                                            metric, likewise; NULL: any */
    bool every_experiment; /* runs only: of all that are not deleted */
    int64_t newest; /* runs only: made later than this one are left out, so
                       that pages stay in step; 0: none is */
};
/* A run with everything that belongs to it. */
struct slw_run_full {
    struct slw_run run;
    struct slw_metric *metrics;
    struct slw_kv *params, *tags;
    struct slw_input *inputs;
    struct slw_model_link *model_inputs, *model_outputs;
    size_t metric_count, param_count, tag_count, input_count;
    size_t model_input_count, model_output_count;
};
SLW_MUST_USE enum slw_rc
slw_track_run_full(struct slw_tx *tx, struct slw_str id, struct slw_arena *a,
                   struct slw_run_full *out, struct slw_err *err);
/* Out  *out_more: there are runs behind this page
 * Errors INVALID: what is wrong in filter or order_by */
SLW_MUST_USE enum slw_rc
slw_track_run_search(struct slw_tx *tx, const struct slw_track_query *q,
                     struct slw_arena *a, struct slw_run_full **out,
                     size_t *out_count, bool *out_more, struct slw_err *err);
/* A run with the values of a few columns only: what a table shows. */
struct slw_run_value {
    enum { SLW_RUN_VALUE_NONE, SLW_RUN_VALUE_NUMBER, SLW_RUN_VALUE_TEXT } kind;
    double number; /* NaN as logged */
    struct slw_str text;
};
struct slw_run_row {
    struct slw_run run;
    struct slw_run_value *values; /* [column_count] */
};
#define SLW_RUN_COLUMN_MAX 64
/* Runs of a query with the columns asked for ("metrics.mae", "params.depth",
 * "tags.x"; of a metric the last value).
 * Out  *out_total: how many the filter leaves, whatever the page
 * Errors INVALID: filter, order or a column's name
 * Cost  page * columns indexed reads */
SLW_MUST_USE enum slw_rc
slw_track_run_rows(struct slw_tx *tx, const struct slw_track_query *q,
                   const struct slw_str *columns, size_t column_count,
                   struct slw_arena *a, struct slw_run_row **out,
                   size_t *out_count, int64_t *out_total, struct slw_err *err);
/* Names that runs have: "metrics.mae", "params.depth" ..., sorted, at most
 * count_max of each kind. */
SLW_MUST_USE enum slw_rc
slw_track_run_columns(struct slw_tx *tx, size_t count_max, struct slw_arena *a,
                      struct slw_str **out, size_t *out_count,
                      struct slw_err *err);
/* For slw_track_query.newest: the run made last; 0: there is none. */
SLW_MUST_USE enum slw_rc slw_track_run_newest(struct slw_tx *tx, int64_t *out,
                                              struct slw_err *err);
/* The run that a person means: an id (deleted runs too), a name that one run
 * has, or at least four characters with which one id begins.
 * Errors NOT_FOUND; INVALID: there are several, or it is too short */
SLW_MUST_USE enum slw_rc
slw_track_run_find(struct slw_tx *tx, struct slw_str ref, struct slw_arena *a,
                   struct slw_str *out_id, struct slw_err *err);
/* Runs that are not deleted. */
SLW_MUST_USE enum slw_rc
slw_track_run_count(struct slw_tx *tx, int64_t *out_count, struct slw_err *err);
SLW_MUST_USE enum slw_rc
slw_track_experiment_search(struct slw_tx *tx, const struct slw_track_query *q,
                            struct slw_arena *a, struct slw_experiment **out,
                            size_t *out_count, bool *out_more,
                            struct slw_err *err);

/* ---- artifacts: files by path in one tree ---- */
struct slw_artifact {
    struct slw_str path; /* whole, or of a listing: below the folder asked */
    struct slw_str blob; /* hash; "" for a folder */
    int64_t size;
    bool is_dir;
};
/* Path of a folder of ours from its URI: "mlflow-artifacts:/1/ab/artifacts"
 * is "1/ab/artifacts".  Errors UNSUPPORTED: bytes that lie elsewhere. */
SLW_MUST_USE enum slw_rc slw_track_artifact_root(struct slw_str uri,
                                                 struct slw_str *out_path,
                                                 struct slw_err *err);
/* A relative path without empty, "." or ".." parts, however often it is
 * percent-decoded, and without control characters and backslashes. */
bool slw_track_path_ok(struct slw_str path);
SLW_MUST_USE enum slw_rc slw_track_file_put(struct slw_tx *tx,
                                            struct slw_str path,
                                            struct slw_str blob_hash,
                                            int64_t size, struct slw_err *err);
SLW_MUST_USE enum slw_rc
slw_track_file_get(struct slw_tx *tx, struct slw_str path, struct slw_arena *a,
                   struct slw_artifact *out, struct slw_err *err);
/* One level below a folder ("" is the top), in byte order; none: empty. */
SLW_MUST_USE enum slw_rc
slw_track_file_list(struct slw_tx *tx, struct slw_str folder,
                    struct slw_arena *a, struct slw_artifact **out,
                    size_t *out_count, struct slw_err *err);
/* A file, or a folder with all below.  Errors NOT_FOUND. */
SLW_MUST_USE enum slw_rc slw_track_file_remove(struct slw_tx *tx,
                                               struct slw_str path,
                                               struct slw_err *err);

/* ---- places: where artifacts lie as plain files ---- */
/* A folder of this machine, or a bucket (with a prefix) that speaks S3.  Paths
 * in it are as those of our own tree, and slw_track_path_ok is asked by the
 * caller.  Owner: shared by threads; immutable.
 * Errors of all: NOT_FOUND; INVALID: a folder where a file must be, or a
 * symbolic link on the way; DENIED; IO. */
struct slw_place;
/* uri: a path, file:///path or s3://bucket[/prefix].  For a folder: it is
 * made, and left-overs of uploads in it are removed.  For S3:
 * AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION
 * (AWS_DEFAULT_REGION), MLFLOW_S3_ENDPOINT_URL (AWS_ENDPOINT_URL_S3,
 * AWS_ENDPOINT_URL). */
SLW_MUST_USE enum slw_rc
slw_place_open(struct slw_place **out, struct slw_str uri, struct slw_err *err);
void slw_place_close(struct slw_place *p); /* accepts NULL */
/* As it is written into experiments: absolute, without a slash at its end. */
const char *slw_place_uri(const struct slw_place *p);
bool slw_place_is_s3(const struct slw_place *p);
/* Does this URI lie in it?  Then the path below its root. */
bool slw_place_holds(const struct slw_place *p, struct slw_str uri,
                     struct slw_str *out_path);
/* Store a finished file: whole or absent, durable.  sha256: hex, may be "". */
SLW_MUST_USE enum slw_rc slw_place_put(struct slw_place *p, struct slw_str path,
                                       const char *file, int64_t size,
                                       const char *sha256, struct slw_err *err);
/* One level below a folder ("" is the top), in byte order; none: empty. */
SLW_MUST_USE enum slw_rc slw_place_list(struct slw_place *p,
                                        struct slw_str folder,
                                        struct slw_arena *a,
                                        struct slw_artifact **out,
                                        size_t *out_count, struct slw_err *err);
/* A file, or a folder with all below. */
SLW_MUST_USE enum slw_rc
slw_place_remove(struct slw_place *p, struct slw_str path, struct slw_err *err);
/* A folder's file, to be read (the caller closes it). */
SLW_MUST_USE enum slw_rc slw_place_open_file(struct slw_place *p,
                                             struct slw_str path, int *out_fd,
                                             int64_t *out_size,
                                             struct slw_err *err);
/* An object of a bucket, or the part that `range` asks for (a header's value;
 * empty: all), into a file.
 * Out  part: is it a part? then content_range; tag: with its quotes.
 * Errors LIMIT: there is no such part. */
struct slw_place_got {
    bool part;
    struct slw_str content_range, tag;
    int64_t size;
};
SLW_MUST_USE enum slw_rc
slw_place_fetch(struct slw_place *p, struct slw_str path, struct slw_str range,
                struct slw_str if_range, const char *to, struct slw_arena *a,
                struct slw_place_got *out, struct slw_err *err);
/* Is there such an object? */
SLW_MUST_USE enum slw_rc
slw_place_look(struct slw_place *p, struct slw_str path, struct slw_arena *a,
               struct slw_place_got *out, struct slw_err *err);
/* A URL with which anybody may do this for some seconds; query: further
 * parameters, sorted and encoded.  signed_type: a Content-Type that the caller
 * must send, may be NULL. */
SLW_MUST_USE enum slw_rc
slw_place_presign(struct slw_place *p, const char *method, struct slw_str path,
                  const char *query, const char *signed_type, int64_t seconds,
                  struct slw_arena *a, const char **out_url,
                  struct slw_err *err);
/* An upload in parts that somebody else sends. */
struct slw_place_part {
    int64_t number;
    struct slw_str tag;
};
SLW_MUST_USE enum slw_rc slw_place_parts_begin(struct slw_place *p,
                                               struct slw_str path,
                                               struct slw_arena *a,
                                               struct slw_str *out_id,
                                               struct slw_err *err);
SLW_MUST_USE enum slw_rc
slw_place_parts_end(struct slw_place *p, struct slw_str path, struct slw_str id,
                    const struct slw_place_part *parts, size_t part_count,
                    struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_place_parts_abort(struct slw_place *p,
                                               struct slw_str path,
                                               struct slw_str id,
                                               struct slw_err *err);
/* New experiments of a server with --default-artifact-root lie there:
 * "<root>/<id>". */
SLW_MUST_USE enum slw_rc slw_track_experiment_locate(struct slw_tx *tx,
                                                     int64_t id,
                                                     struct slw_str root,
                                                     struct slw_err *err);

/* The default experiment too, while it has no run. */
SLW_MUST_USE enum slw_rc slw_track_default_locate(struct slw_store *s,
                                                  struct slw_str root,
                                                  struct slw_err *err);

/* ---- logged models ---- */
enum slw_logged_status {
    SLW_LOGGED_PENDING = 1,
    SLW_LOGGED_READY,
    SLW_LOGGED_FAILED
};
struct slw_model_metric {
    struct slw_metric m;
    struct slw_str model_id, run_id, dataset_name, dataset_digest;
};
struct slw_logged_model {
    struct slw_str id; /* "m-" and 32 hex digits */
    int64_t experiment_id;
    struct slw_str name, model_type, source_run_id, artifact_uri;
    enum slw_logged_status status;
    struct slw_str status_message;
    bool deleted;
    int64_t created_at_ms, updated_at_ms;
    struct slw_kv *params, *tags;
    size_t param_count, tag_count;
    struct slw_model_metric *metrics;
    size_t metric_count;
};
/* In model: experiment_id, name ("": one is made up), model_type,
 * source_run_id, params, tags.  Out the whole, in the arena. */
SLW_MUST_USE enum slw_rc slw_track_logged_create(
    struct slw_tx *tx, int64_t now_ms, const struct slw_logged_model *model,
    struct slw_arena *a, struct slw_logged_model *out, struct slw_err *err);
SLW_MUST_USE enum slw_rc
slw_track_logged_get(struct slw_tx *tx, struct slw_str id, bool deleted_too,
                     struct slw_arena *a, struct slw_logged_model *out,
                     struct slw_err *err);
SLW_MUST_USE enum slw_rc
slw_track_logged_finalize(struct slw_tx *tx, int64_t now_ms, struct slw_str id,
                          enum slw_logged_status status, struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_track_logged_delete(struct slw_tx *tx,
                                                 int64_t now_ms,
                                                 struct slw_str id,
                                                 struct slw_err *err);
/* Add params (each key once: CONFLICT) and set tags. */
SLW_MUST_USE enum slw_rc
slw_track_logged_put(struct slw_tx *tx, int64_t now_ms, struct slw_str id,
                     const struct slw_kv *params, size_t param_count,
                     const struct slw_kv *tags, size_t tag_count,
                     struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_track_logged_tag_remove(struct slw_tx *tx,
                                                     struct slw_str id,
                                                     struct slw_str key,
                                                     struct slw_err *err);
/* Points that belong to logged models; unknown models are left out. */
SLW_MUST_USE enum slw_rc
slw_track_logged_metrics(struct slw_tx *tx,
                         const struct slw_model_metric *metrics,
                         size_t metric_count, struct slw_err *err);
SLW_MUST_USE enum slw_rc
slw_track_logged_search(struct slw_tx *tx, const struct slw_track_query *q,
                        struct slw_arena *a, struct slw_logged_model **out,
                        size_t *out_count, bool *out_more, struct slw_err *err);

/* ---- bringing over what another tracking server kept, as it was there ----
 * Ids, times and states are the given ones; nothing is cut, nothing that is
 * here is overwritten. */
/* An experiment of that name, if there is one, gets the tags it lacks; else a
 * new one with this id (negative: any), which must be free; an empty location
 * becomes "mlflow-artifacts:/<id>". */
SLW_MUST_USE enum slw_rc
slw_track_experiment_bring(struct slw_tx *tx, const struct slw_experiment *e,
                           const struct slw_kv *tags, size_t tag_count,
                           int64_t *out_id, struct slw_err *err);
/* A run with all but its metrics; one that is deleted counts as deleted now.
 * Errors CONFLICT: the id is taken. */
SLW_MUST_USE enum slw_rc slw_track_run_bring(struct slw_tx *tx, int64_t now_ms,
                                             const struct slw_run_full *r,
                                             struct slw_err *err);
/* A run brought over while it ran: its state and end, and the params and tags
 * that it lacks.  Errors NOT_FOUND; INVALID: it is deleted. */
SLW_MUST_USE enum slw_rc slw_track_run_follow(struct slw_tx *tx,
                                              const struct slw_run_full *r,
                                              struct slw_err *err);
/* Many points of one run (of a deleted one too) as one packed row; those of
 * one metric should stand side by side. */
SLW_MUST_USE enum slw_rc
slw_track_points_bring(struct slw_tx *tx, struct slw_str run_id,
                       const struct slw_metric *metrics, size_t count,
                       struct slw_err *err);
/* A logged model with all that belongs to it.  Errors CONFLICT: likewise. */
SLW_MUST_USE enum slw_rc
slw_track_logged_bring(struct slw_tx *tx, const struct slw_logged_model *m,
                       struct slw_err *err);
/* Say where the artifacts lie from now on. */
SLW_MUST_USE enum slw_rc slw_track_run_locate(struct slw_tx *tx,
                                              struct slw_str id,
                                              struct slw_str uri,
                                              struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_track_logged_locate(struct slw_tx *tx,
                                                 struct slw_str id,
                                                 struct slw_str uri,
                                                 struct slw_err *err);

/* ---- taking everything out (dump.c) ---- */
/* A table as others shall see it: `sql` gives its columns in this order; ?1
 * is NULL or a JSON list of the experiments wanted.
 * columns: "run_id:VARCHAR step:BIGINT …", types as DuckDB names them. */
struct slw_dump_table {
    const char *name;
    const char *columns;
    const char *sql;
};
extern const struct slw_dump_table slw_track_dump_tables[];
extern const size_t slw_track_dump_table_count;
/* Every metric point in the order of runs, as it was logged (what was sent
 * twice comes twice).  experiments: as ?1 above, empty for all.
 * Out  strings live until the next call */
struct slw_point_walk {
    struct slw_stmt st, series; /* one after the other */
    bool in_series;
    struct slw_arena arena;
    void *names;
    struct slw_str points; /* packed, of the present row */
    size_t at;
    struct slw_str run_id;
};
SLW_MUST_USE enum slw_rc slw_track_points_begin(struct slw_point_walk *w,
                                                struct slw_tx *tx,
                                                struct slw_str experiments,
                                                struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_track_points_next(struct slw_point_walk *w,
                                               struct slw_metric *out,
                                               bool *out_more,
                                               struct slw_err *err);
void slw_point_walk_done(struct slw_point_walk *w);

/* ---- MLflow's filter and order grammar, for this room and the registry ----
 * clause (AND clause)*; clause: [entity.]key op value. */
enum slw_filter_op {
    SLW_OP_EQ,
    SLW_OP_NE,
    SLW_OP_LT,
    SLW_OP_LE,
    SLW_OP_GT,
    SLW_OP_GE,
    SLW_OP_LIKE,
    SLW_OP_ILIKE,
    SLW_OP_IN,
    SLW_OP_NOT_IN,
    SLW_OP_IS_NULL,
    SLW_OP_NOT_NULL
};
const char *slw_filter_op_name(enum slw_filter_op op); /* "=" … */
struct slw_filter_clause {
    size_t at;             /* character of the filter where it begins, from 1 */
    struct slw_str entity; /* as written, "" when there is none */
    struct slw_str key;
    enum slw_filter_op op;
    bool is_number;
    double number;
    struct slw_str text; /* of a quoted value; of a number as written */
    struct slw_str *list;
    size_t list_count;
};
struct slw_filter {
    struct slw_filter_clause *clauses;
    size_t count;
};
#define SLW_FILTER_CLAUSE_MAX 100
#define SLW_FILTER_SIZE_MAX 65536
/* Errors INVALID: one sentence that shows the place, "…, at character 14". */
SLW_MUST_USE enum slw_rc slw_filter_parse(struct slw_str text,
                                          struct slw_arena *a,
                                          struct slw_filter *out,
                                          struct slw_err *err);
struct slw_order {
    size_t at; /* character of the clause where the key begins, from 1 */
    struct slw_str entity, key;
    bool descending;
};
SLW_MUST_USE enum slw_rc slw_order_parse(struct slw_str text,
                                         struct slw_arena *a,
                                         struct slw_order *out,
                                         struct slw_err *err);
/* What a search says of a clause that it could read and does not know: on
 * INVALID the sentence gets the clause's place (`at` of it).
 * Out  rc, as it came in */
SLW_MUST_USE enum slw_rc slw_filter_place(enum slw_rc rc, size_t at,
                                          struct slw_err *err);

/* A statement put together at run time: text and the values to bind, in
 * step.  Values never enter the text. */
struct slw_sql_bind {
    enum { SLW_BIND_I64, SLW_BIND_F64, SLW_BIND_STR } kind;
    int64_t i;
    double f;
    struct slw_str s;
};
#define SLW_SQL_BIND_MAX 4096
struct slw_sql {
    struct slw_buf text;
    struct slw_sql_bind *binds;
    size_t bind_count, bind_cap;
    struct slw_arena *arena;
};
void slw_sql_init(struct slw_sql *q, struct slw_arena *a);
void slw_sql_done(struct slw_sql *q);
/* Append text; then values, each of which also appends its "?n". */
void slw_sql_add(struct slw_sql *q, const char *text);
void slw_sql_i64(struct slw_sql *q, int64_t v);
void slw_sql_f64(struct slw_sql *q, double v);
void slw_sql_str(struct slw_sql *q, struct slw_str v);
/* "<column> <op> <value>" for a text column; LIKE is case-sensitive. */
void slw_sql_compare_text(struct slw_sql *q, const char *column,
                          const struct slw_filter_clause *c);
/* The same for a column of numbers (op = != < <= > >=). */
void slw_sql_compare_number(struct slw_sql *q, const char *column,
                            const struct slw_filter_clause *c);
/* Errors LIMIT: too many values; otherwise as slw_stmt_prepare_text. */
SLW_MUST_USE enum slw_rc slw_sql_prepare(struct slw_sql *q, struct slw_tx *tx,
                                         struct slw_stmt *out,
                                         struct slw_err *err);

/* The first count_max characters (not bytes) of a text. */
struct slw_str slw_track_cut(struct slw_str s, size_t count_max);
/* Text as a JSON string of ASCII only: how MLflow's messages quote. */
void slw_track_quote(struct slw_buf *out, struct slw_str text);
/* Key of a metric, param or tag: letters, digits, _ - . space : /, and equal
 * to itself as a normalised path.  what: "metrics[0].name", for the message. */
SLW_MUST_USE enum slw_rc
slw_track_key_check(struct slw_str key, const char *what, struct slw_err *err);

/* ---- removing for good what was deleted ---- */
enum slw_purge_kind { SLW_PURGE_EXPERIMENT, SLW_PURGE_RUN, SLW_PURGE_MODEL };
const char *slw_purge_kind_name(enum slw_purge_kind k); /* "experiment" … */
/* Who else needs runs and logged models (the registry's versions). */
struct slw_purge_needs {
    void *ctx;
    /* Look again; within the transaction that is going to remove. */
    enum slw_rc (*load)(void *ctx, struct slw_tx *tx, struct slw_err *err);
    /* "version 3 of iris", or empty; the view lives until the next load. */
    struct slw_str (*who)(void *ctx, struct slw_str id);
};
struct slw_purge_options {
    int64_t before_ms; /* deleted at this instant or before */
    int64_t now_ms;
    /* Of ids given only these are removed; each must be deleted, for long
     * enough.  None at all: everything that is deleted. */
    const struct slw_str *experiments, *runs, *models;
    size_t experiment_count, run_count, model_count;
    bool dry_run;
    /* Artifacts may lie in files as well (mlflow-artifacts: of a server with
     * a destination, or where clients write): their roots are noted down, for
     * slw_track_garbage. */
    bool files_too;
    struct slw_purge_needs needs; /* load NULL: nobody */
    void (*progress)(void *ctx, int64_t done);
    void *progress_ctx;
};
struct slw_purge_item {
    enum slw_purge_kind kind;
    struct slw_str id, name;
    int64_t experiment_id;
    int64_t deleted_at_ms;
    int64_t file_count, size; /* artifacts */
    struct slw_str kept;      /* why it stays; empty: it goes */
};
#define SLW_PURGE_ITEM_MAX 1000 /* told one by one; others are counted */
/* Owner: one thread; everything in its arena. */
struct slw_purge {
    struct slw_arena arena;
    struct slw_purge_item *items;
    size_t item_count, item_cap;
    int64_t experiment_count, run_count, model_count; /* removed */
    int64_t kept_count;
    int64_t file_count, size; /* of artifacts, before compression */
    struct slw_str *roots;    /* of a dry run: what would go */
    size_t root_count, root_cap;
};
/* Remove deleted experiments, runs and logged models with all rows, some
 * hundred a transaction; what a version needs stays, and the experiment it
 * lies in.  The default experiment always stays.
 * Errors INVALID: an id is not deleted, or not for long enough; NOT_FOUND. */
SLW_MUST_USE enum slw_rc slw_track_purge(struct slw_store *s,
                                         const struct slw_purge_options *opt,
                                         struct slw_purge *out,
                                         struct slw_err *err);
void slw_purge_done(struct slw_purge *p);
/* The next root of files that are to go; found false: none is left. */
SLW_MUST_USE enum slw_rc
slw_track_garbage(struct slw_tx *tx, struct slw_str after, struct slw_arena *a,
                  struct slw_str *out_uri, bool *out_found,
                  struct slw_err *err);
/* They are gone. */
SLW_MUST_USE enum slw_rc slw_track_garbage_gone(struct slw_tx *tx,
                                                struct slw_str uri,
                                                struct slw_err *err);
/* Name the blobs that artifacts need (store/gc.h), but for what a dry run of
 * a purge would remove; purge may be NULL. */
struct slw_gc;
SLW_MUST_USE enum slw_rc
slw_track_blobs(struct slw_gc *g, struct slw_purge *purge, struct slw_err *err);

/* Do logged values belong to runs; have artifacts their bytes? (store/verify.h)
 */
SLW_MUST_USE enum slw_rc slw_track_verify(struct slw_verify *v,
                                          struct slw_err *err);

#endif
