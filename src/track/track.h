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
SLW_MUST_USE enum slw_rc slw_track_run_mark(struct slw_tx *tx,
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
    bool every_experiment; /* runs only: of all that are not deleted */
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
/* Errors INVALID: one sentence that shows the clause. */
SLW_MUST_USE enum slw_rc slw_filter_parse(struct slw_str text,
                                          struct slw_arena *a,
                                          struct slw_filter *out,
                                          struct slw_err *err);
struct slw_order {
    struct slw_str entity, key;
    bool descending;
};
SLW_MUST_USE enum slw_rc slw_order_parse(struct slw_str text,
                                         struct slw_arena *a,
                                         struct slw_order *out,
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

/* Do logged values belong to runs; have artifacts their bytes? (store/verify.h)
 */
SLW_MUST_USE enum slw_rc slw_track_verify(struct slw_verify *v,
                                          struct slw_err *err);

#endif
