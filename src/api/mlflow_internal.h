/* mlflow_internal.h -- what the handlers of the MLflow dialect share: reading
 * requests as MLflow reads them, and writing its JSON shapes. */
#ifndef SLW_API_MLFLOW_INTERNAL_H
#define SLW_API_MLFLOW_INTERNAL_H

#include "api/api_internal.h"
#include "registry/registry.h"
#include "track/track.h"

#define MLFLOW_VERSION "3.17.2"

/* A request's parameters: query of a GET, JSON body of all others. */
struct mlf_in {
    struct slw_http_req *req;
    struct slw_json doc;
    bool query;
};
/* Broken JSON counts as an empty body, as in MLflow.
 * Errors INVALID: a body that is not application/json. */
SLW_MUST_USE enum slw_rc
mlf_in_read(struct mlf_in *in, struct slw_http_req *req, struct slw_err *err);
void mlf_in_done(struct mlf_in *in);

/* Absent leaves *out ("" or the default that stands there). */
SLW_MUST_USE enum slw_rc mlf_str(struct mlf_in *in, const char *key,
                                 struct slw_str *out, struct slw_err *err);
SLW_MUST_USE enum slw_rc mlf_i64(struct mlf_in *in, const char *key,
                                 int64_t *out, struct slw_err *err);
SLW_MUST_USE enum slw_rc mlf_bool(struct mlf_in *in, const char *key, bool *out,
                                  struct slw_err *err);
/* Absent or empty: "Missing value for required parameter". */
SLW_MUST_USE enum slw_rc mlf_need_str(struct mlf_in *in, const char *key,
                                      struct slw_str *out, struct slw_err *err);
/* run_id, or its old name run_uuid. */
SLW_MUST_USE enum slw_rc mlf_need_run_id(struct mlf_in *in, struct slw_str *out,
                                         struct slw_err *err);
/* An experiment's id: text that is a whole number. */
SLW_MUST_USE enum slw_rc mlf_experiment_id(struct slw_str s, int64_t *out,
                                           struct slw_err *err);
/* Member "experiment_ids" into the query; absent: none. */
SLW_MUST_USE enum slw_rc mlf_experiment_ids(struct mlf_in *in,
                                            struct slw_track_query *q,
                                            struct slw_err *err);
SLW_MUST_USE enum slw_rc mlf_need_experiment_id(struct mlf_in *in, int64_t *out,
                                                struct slw_err *err);
/* A version's number: text (or a number) that is a whole number. */
SLW_MUST_USE enum slw_rc mlf_need_version(struct mlf_in *in, int64_t *out,
                                          struct slw_err *err);
/* List of strings: a JSON array, or a repeated query parameter. */
SLW_MUST_USE enum slw_rc mlf_strs(struct mlf_in *in, const char *key,
                                  struct slw_str **out, size_t *out_count,
                                  struct slw_err *err);
/* Array of objects in the body; NULL when absent. */
SLW_MUST_USE enum slw_rc mlf_array(struct mlf_in *in, const char *key,
                                   const struct json_t **out,
                                   struct slw_err *err);
/* [{"key", "value"}, …]; path is the array's name, for messages. */
SLW_MUST_USE enum slw_rc mlf_kvs(const struct json_t *array, const char *path,
                                 struct slw_arena *a, struct slw_kv **out,
                                 size_t *out_count, struct slw_err *err);
SLW_MUST_USE enum slw_rc mlf_need_kv(struct mlf_in *in, struct slw_kv *out,
                                     struct slw_err *err);
/* max_results within 1..cap, page_token, view. */
SLW_MUST_USE enum slw_rc mlf_page(struct mlf_in *in, int64_t dflt, int64_t cap,
                                  struct slw_track_query *q,
                                  struct slw_err *err);
/* page_token alone; absent: the first page. */
SLW_MUST_USE enum slw_rc mlf_token(struct mlf_in *in, struct slw_track_query *q,
                                   struct slw_err *err);
SLW_MUST_USE enum slw_rc mlf_view(struct mlf_in *in, const char *key,
                                  enum slw_view_stage *out,
                                  struct slw_err *err);
/* filter and order_by, next to mlf_page. */
SLW_MUST_USE enum slw_rc
mlf_search(struct mlf_in *in, struct slw_track_query *q, struct slw_err *err);
SLW_MUST_USE enum slw_rc mlf_missing(const char *key, struct slw_err *err);
SLW_MUST_USE enum slw_rc mlf_bad_value(const struct json_t *v, const char *path,
                                       struct slw_err *err);
/* A point of a metric in a JSON object; path ("", "metrics[3].") stands before
 * the member's name in messages. */
SLW_MUST_USE enum slw_rc mlf_metric(const struct json_t *o, const char *path,
                                    struct slw_model_metric *out,
                                    struct slw_err *err);

/* ---- answers ---- */
/* A writer on the body, in which NaN is a string. */
void mlf_out(struct slw_jw *w, struct slw_http_res *res);
/* "{}" */
enum slw_rc mlf_empty(struct slw_http_res *res);
/* Member that is left out when empty. */
void mlf_kopt(struct slw_jw *w, const char *key, struct slw_str v);
/* An integer as a string: ids. */
void mlf_kid(struct slw_jw *w, const char *key, int64_t v);
void mlf_write_kvs(struct slw_jw *w, const char *name, const struct slw_kv *kv,
                   size_t count);
/* Begin and end a list that is left out when it is empty. */
void mlf_list(struct slw_jw *w, const char *name, size_t count);
void mlf_list_end(struct slw_jw *w, size_t count);
void mlf_write_metric(struct slw_jw *w, const struct slw_metric *m);
/* newest: slw_track_query's, so that the pages that follow leave out what was
 * made since the first; 0: none. */
void mlf_write_token(struct slw_jw *w, size_t offset, int64_t newest);
SLW_MUST_USE enum slw_rc
mlf_write_experiment(struct slw_jw *w, struct slw_tx *tx, struct slw_arena *a,
                     const struct slw_experiment *e, struct slw_err *err);
void mlf_write_run_info(struct slw_jw *w, const struct slw_run *r);
/* A run that was just made has no member "outputs" yet. */
void mlf_write_run(struct slw_jw *w, const struct slw_run_full *r, bool made);
void mlf_write_files(struct slw_jw *w, const struct slw_artifact *files,
                     size_t count, struct slw_str prefix);
void mlf_write_version(struct slw_jw *w, const struct slw_version *v);

/* A CONFLICT that MLflow calls an invalid parameter (params). */
enum slw_rc mlf_as_invalid(enum slw_rc rc, enum slw_rc which,
                           struct slw_err *err);

struct slw_api *mlf_api(struct slw_http_req *req);

/* ---- small writes ---- */
/* A write on its way to the writer's thread, where it shares a transaction
 * with what others sent meanwhile; the connection waits, no thread does.  In
 * the request's arena; embedded as the first member of what `run` needs. */
struct mlf_write {
    struct slw_group_op op;
    struct slw_http_req *req;
    struct slw_json doc; /* what the write's texts point into; may be empty */
    /* In the writer's transaction. */
    enum slw_rc (*run)(struct slw_tx *tx, struct mlf_write *w,
                       struct slw_err *err);
    /* The answer, once it is on disk; must not wait.  NULL: "{}". */
    enum slw_rc (*answer)(struct mlf_write *w, struct slw_http_res *res,
                          struct slw_err *err);
    bool conflict_is_invalid; /* as mlf_as_invalid() */
};
/* The last step of a HOT handler.  Takes over in->doc. */
SLW_MUST_USE enum slw_rc mlf_write_send(struct mlf_write *w, struct mlf_in *in,
                                        struct slw_err *err);

/* What a log call brings. */
struct mlf_batch {
    struct mlf_write w;
    struct slw_str run_id;
    struct slw_kv *params, *tags;
    size_t param_count, tag_count;
    struct slw_metric *metrics;
    size_t metric_count;
    struct slw_model_metric *model_metrics;
    size_t model_metric_count;
    bool single_param; /* log-parameter has a sentence of its own */
};
/* Put a point where it belongs: the run's, and its model's if it has one. */
void mlf_batch_add(struct mlf_batch *b, const struct slw_model_metric *m);
/* Read the body of log-metric or log-batch without a tree, when it has the
 * plain form that clients send.  False: it has not, or something is wrong;
 * b is as it was, and the careful reader must look. */
bool mlf_fast_metric(struct slw_str body, struct slw_arena *a,
                     struct mlf_batch *b);
bool mlf_fast_batch(struct slw_str body, struct slw_arena *a,
                    struct mlf_batch *b);
/* The same from the parsed body, in any form that MLflow takes, with a
 * sentence for every mistake. */
SLW_MUST_USE enum slw_rc
mlf_careful_metric(struct mlf_in *in, struct mlf_batch *b, struct slw_err *err);
SLW_MUST_USE enum slw_rc
mlf_careful_batch(struct mlf_in *in, struct mlf_batch *b, struct slw_err *err);

/* May this source be registered with this run or logged model? */
SLW_MUST_USE enum slw_rc mlf_source_check(struct slw_tx *tx,
                                          struct slw_arena *a,
                                          struct slw_version_new *v,
                                          bool has_run_id, bool has_model_id,
                                          struct slw_err *err);
/* Where the bytes of a version lie, as a URI clients can download. */
SLW_MUST_USE enum slw_rc mlf_download_uri(struct slw_tx *tx,
                                          struct slw_arena *a,
                                          const struct slw_version *v,
                                          struct slw_str *out,
                                          struct slw_err *err);
#endif
