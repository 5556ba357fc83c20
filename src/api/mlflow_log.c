/* mlflow_log.c -- what training scripts send all the time: metrics, params,
 * tags, batches, inputs, outputs; and metric histories.
 *
 * The small writes go through the store's group commit: mlflow_later.c. */
#include <math.h>

#include "api/mlflow_internal.h"
#include "api/routes.h"

#define BATCH_SIZE_MAX (16 << 20)
#define HISTORY_RUN_MAX 100
#define BULK_POINT_MAX 25000
#define INTERVAL_POINT_MAX 2500
#define DATASET_EXPERIMENT_MAX 20
#define DATASET_SUMMARY_MAX 1000

static enum slw_rc
batch_run(struct slw_tx *tx, struct mlf_write *w, struct slw_err *err)
{
    const struct mlf_batch *b = (const struct mlf_batch *)w;
    if (b->single_param)
        return slw_track_param(tx, b->run_id, b->params[0], err);
    TRY(slw_track_log(tx, b->run_id, b->params, b->param_count, b->metrics,
                      b->metric_count, b->tags, b->tag_count, err));
    if (b->model_metric_count == 0)
        return SLW_OK;
    return slw_track_logged_metrics(tx, b->model_metrics, b->model_metric_count,
                                    err);
}

static struct mlf_batch *
batch_new(struct slw_http_req *req)
{
    struct mlf_batch *b = SLW_ARENA_NEW(req->arena, struct mlf_batch, 1);
    *b = (struct mlf_batch){
        .w = {.run = batch_run, .conflict_is_invalid = true}};
    return b;
}

void
mlf_batch_add(struct mlf_batch *b, const struct slw_model_metric *m)
{
    b->metrics[b->metric_count++] = m->m;
    if (m->model_id.len == 0)
        return;
    struct slw_model_metric *to = &b->model_metrics[b->model_metric_count++];
    *to = *m;
    to->run_id = b->run_id;
}

/* May the body be looked at without a tree? */
static bool
is_plain(const struct slw_http_req *req)
{
    return slw_str_eqz(req->content_type, "application/json");
}

enum slw_rc
mlf_careful_metric(struct mlf_in *in, struct mlf_batch *b, struct slw_err *err)
{
    struct slw_arena *a = in->req->arena;
    struct slw_model_metric m;
    TRY(mlf_need_run_id(in, &b->run_id, err));
    TRY(mlf_metric(in->doc.root, "", &m, err));
    b->metrics = SLW_ARENA_NEW(a, struct slw_metric, 1);
    b->model_metrics = SLW_ARENA_NEW(a, struct slw_model_metric, 1);
    mlf_batch_add(b, &m);
    return SLW_OK;
}

enum slw_rc
api_mlflow_runs_log_metric(struct slw_http_req *req, struct slw_http_res *res,
                           struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    struct mlf_batch *b = batch_new(req);
    (void)res;
    in.req = req;
    if (!is_plain(req) || !mlf_fast_metric(req->body, req->arena, b)) {
        TRY(mlf_in_read(&in, req, err));
        TRY(mlf_careful_metric(&in, b, err));
    }
    return mlf_write_send(&b->w, &in, err);
}

enum slw_rc
api_mlflow_runs_log_parameter(struct slw_http_req *req,
                              struct slw_http_res *res, struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    struct mlf_batch *b = batch_new(req);
    (void)res;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_run_id(&in, &b->run_id, err));
    b->params = SLW_ARENA_NEW(req->arena, struct slw_kv, 1);
    b->param_count = 1;
    b->single_param = true;
    TRY(mlf_need_kv(&in, b->params, err));
    return mlf_write_send(&b->w, &in, err);
}

enum slw_rc
api_mlflow_runs_set_tag(struct slw_http_req *req, struct slw_http_res *res,
                        struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    struct mlf_batch *b = batch_new(req);
    (void)res;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_run_id(&in, &b->run_id, err));
    b->tags = SLW_ARENA_NEW(req->arena, struct slw_kv, 1);
    b->tag_count = 1;
    TRY(mlf_need_kv(&in, b->tags, err));
    return mlf_write_send(&b->w, &in, err);
}

/* What MLflow checks of a run's id where it checks it at all. */
static enum slw_rc
run_id_check(struct slw_str id, struct slw_err *err)
{
    bool ok = slw_track_cut(id, 256).len == id.len;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        ok = ok && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    (c >= '0' && c <= '9') ||
                    (i && (c == '-' || c == '_' || (unsigned char)c > 0x7f)));
    }
    if (ok)
        return SLW_OK;
    SLW_AUTO(slw_buf, quoted);
    slw_track_quote(&quoted, slw_track_cut(id, 100));
    return slw_fail(err, SLW_INVALID,
                    "Invalid value %.*s for parameter 'run_id' supplied.",
                    SLW_FMT(slw_buf_view(&quoted)));
}

static enum slw_rc
limit_check(const char *what, size_t most, size_t count, struct slw_err *err)
{
    if (count <= most)
        return SLW_OK;
    return slw_fail(err, SLW_INVALID,
                    "A batch logging request can contain at most %zu %s. Got "
                    "%zu %s. Please split up %s across multiple requests and "
                    "try again.",
                    most, what, count, what, what);
}

static enum slw_rc
read_metrics(const struct json_t *array, struct slw_arena *a,
             struct mlf_batch *b, struct slw_err *err)
{
    size_t count = slw_json_len(array);
    b->metrics = SLW_ARENA_NEW(a, struct slw_metric, count + 1);
    b->model_metrics = SLW_ARENA_NEW(a, struct slw_model_metric, count + 1);
    for (size_t i = 0; i < count; i++) {
        struct slw_model_metric m;
        const struct json_t *o = slw_json_at(array, i);
        if (mlf_metric(o, "", &m, err) != SLW_OK) {
            char path[48]; /* said only when it is needed: the hot path */
            snprintf(path, sizeof(path), "metrics[%zu].", i);
            return mlf_metric(o, path, &m, err);
        }
        mlf_batch_add(b, &m);
    }
    return SLW_OK;
}

static enum slw_rc
keys_check(const char *path, const struct slw_kv *kv, size_t count,
           struct slw_err *err)
{
    for (size_t i = 0; i < count; i++) {
        char where[48];
        if (kv[i].key.len)
            continue;
        snprintf(where, sizeof(where), "%s[%zu].key", path, i);
        return mlf_missing(where, err);
    }
    return SLW_OK;
}

enum slw_rc
mlf_careful_batch(struct mlf_in *in, struct mlf_batch *b, struct slw_err *err)
{
    struct slw_arena *a = in->req->arena;
    const struct json_t *metrics = NULL, *params = NULL, *tags = NULL;
    TRY(mlf_need_run_id(in, &b->run_id, err));
    TRY(mlf_array(in, "metrics", &metrics, err));
    TRY(mlf_array(in, "params", &params, err));
    TRY(mlf_array(in, "tags", &tags, err));
    TRY(limit_check("metrics", 1000, slw_json_len(metrics), err));
    TRY(limit_check("params", 100, slw_json_len(params), err));
    TRY(limit_check("tags", 100, slw_json_len(tags), err));
    TRY(limit_check("metrics, params, and tags", 1000,
                    slw_json_len(metrics) + slw_json_len(params) +
                        slw_json_len(tags),
                    err));
    TRY(run_id_check(b->run_id, err));
    TRY(mlf_kvs(params, "params", a, &b->params, &b->param_count, err));
    TRY(mlf_kvs(tags, "tags", a, &b->tags, &b->tag_count, err));
    TRY(keys_check("params", b->params, b->param_count, err));
    TRY(keys_check("tags", b->tags, b->tag_count, err));
    return read_metrics(metrics, a, b, err);
}

enum slw_rc
api_mlflow_runs_log_batch(struct slw_http_req *req, struct slw_http_res *res,
                          struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    struct mlf_batch *b = batch_new(req);
    (void)res;
    if (req->body.len > BATCH_SIZE_MAX)
        return slw_fail(err, SLW_INVALID,
                        "Batched logging API requests must be at most %d "
                        "bytes, got a request of size %zu.",
                        BATCH_SIZE_MAX, req->body.len);
    in.req = req;
    if (!is_plain(req) || !mlf_fast_batch(req->body, req->arena, b)) {
        TRY(mlf_in_read(&in, req, err));
        TRY(mlf_careful_batch(&in, b, err));
    }
    return mlf_write_send(&b->w, &in, err);
}

/* ---- inputs and outputs ---- */

static enum slw_rc
read_input(const struct json_t *o, struct slw_arena *a, struct slw_input *out,
           struct slw_err *err)
{
    const struct json_t *d = slw_json_get(o, "dataset");
    const struct slw_str none = {"", 0};
    if (slw_json_type(d) != SLW_JSON_OBJECT)
        return mlf_missing("dataset", err);
    *out = (struct slw_input){.name = none,
                              .digest = none,
                              .source_type = none,
                              .source = none,
                              .schema = none,
                              .profile = none};
    TRY(slw_json_opt_str(d, "name", &out->name, err));
    TRY(slw_json_opt_str(d, "digest", &out->digest, err));
    TRY(slw_json_opt_str(d, "source_type", &out->source_type, err));
    TRY(slw_json_opt_str(d, "source", &out->source, err));
    TRY(slw_json_opt_str(d, "schema", &out->schema, err));
    TRY(slw_json_opt_str(d, "profile", &out->profile, err));
    return mlf_kvs(slw_json_get(o, "tags"), "tags", a, &out->tags,
                   &out->tag_count, err);
}

static enum slw_rc
read_links(const struct json_t *array, struct slw_arena *a,
           struct slw_model_link **out, size_t *out_count, struct slw_err *err)
{
    size_t count = slw_json_len(array);
    struct slw_model_link *links =
        SLW_ARENA_NEW(a, struct slw_model_link, count + 1);
    for (size_t i = 0; i < count; i++) {
        const struct json_t *o = slw_json_at(array, i);
        TRY(slw_json_need_str(o, "model_id", &links[i].model_id, err));
        TRY(slw_json_opt_i64(o, "step", &links[i].step, err));
    }
    *out = links;
    *out_count = count;
    return SLW_OK;
}

enum slw_rc
api_mlflow_runs_log_inputs(struct slw_http_req *req, struct slw_http_res *res,
                           struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str run_id = {0};
    const struct json_t *datasets = NULL, *models = NULL;
    struct slw_model_link *links = NULL;
    size_t link_count = 0;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_run_id(&in, &run_id, err));
    TRY(mlf_array(&in, "datasets", &datasets, err));
    TRY(mlf_array(&in, "models", &models, err));
    size_t count = slw_json_len(datasets);
    TRY(run_id_check(run_id, err));
    TRY(limit_check("datasets", 1000, count, err));
    struct slw_input *inputs =
        SLW_ARENA_NEW(req->arena, struct slw_input, count + 1);
    for (size_t i = 0; i < count; i++)
        TRY(read_input(slw_json_at(datasets, i), req->arena, &inputs[i], err));
    TRY(read_links(models, req->arena, &links, &link_count, err));
    TRY(slw_tx_begin(&tx, mlf_api(req)->store, err));
    TRY(slw_track_inputs_put(&tx, run_id, inputs, count, err));
    TRY(slw_track_model_links_put(&tx, run_id, false, links, link_count, err));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}

enum slw_rc
api_mlflow_runs_outputs(struct slw_http_req *req, struct slw_http_res *res,
                        struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str run_id = {0};
    const struct json_t *models = NULL;
    struct slw_model_link *links = NULL;
    size_t count = 0;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_run_id(&in, &run_id, err));
    TRY(mlf_array(&in, "models", &models, err));
    if (!models)
        return mlf_missing("models", err);
    TRY(read_links(models, req->arena, &links, &count, err));
    TRY(slw_tx_begin(&tx, mlf_api(req)->store, err));
    TRY(slw_track_model_links_put(&tx, run_id, true, links, count, err));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}

/* runs/log-model of 2.x clients: the model's description is appended to the
 * tag "mlflow.log-model.history". */
enum slw_rc
api_mlflow_runs_log_model(struct slw_http_req *req, struct slw_http_res *res,
                          struct slw_err *err)
{
    static const char *const members[] = {"artifact_path", "flavors",
                                          "utc_time_created", "run_id"};
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_json, model);
    SLW_AUTO(slw_buf, text);
    SLW_AUTO(slw_tx, tx);
    struct slw_str run_id = {0}, json = {0};
    struct slw_run_full run;
    struct slw_err ignored;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_run_id(&in, &run_id, err));
    TRY(mlf_need_str(&in, "model_json", &json, err));
    if (slw_json_parse(&model, json, &ignored) != SLW_OK)
        return slw_fail(err, SLW_INVALID,
                        "Malformed model info. \n %.*s \n is not a valid JSON.",
                        SLW_FMT(slw_track_cut(json, 200)));
    for (size_t i = 0; i < SLW_ARRAY_LEN(members); i++) {
        if (!slw_json_get(model.root, members[i]))
            return slw_fail(err, SLW_INVALID,
                            "Model json is missing mandatory fields: {'%s'}",
                            members[i]);
    }
    TRY(slw_tx_begin(&tx, mlf_api(req)->store, err));
    TRY(slw_track_run_full(&tx, run_id, req->arena, &run, err));
    struct slw_str before = SLW_STR("[");
    for (size_t i = 0; i < run.tag_count; i++) {
        struct slw_str v = run.tags[i].value;
        if (slw_str_eqz(run.tags[i].key, "mlflow.log-model.history") &&
            v.len > 2 && slw_str_ends(v, "]"))
            before =
                slw_arena_printf(req->arena, "%.*s,", (int)v.len - 1, v.ptr);
    }
    slw_buf_str(&text, before);
    slw_json_dump(&text, model.root);
    slw_buf_char(&text, ']');
    struct slw_kv tag = {SLW_STR("mlflow.log-model.history"),
                         slw_buf_view(&text)};
    TRY(slw_track_log(&tx, run_id, NULL, 0, NULL, 0, &tag, 1, err));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}

/* ---- histories ---- */

/* A run that is not there has no points, as in MLflow. */
static enum slw_rc
history_of(struct slw_tx *tx, struct slw_str run_id, struct slw_str key,
           struct slw_arena *a, struct slw_metric **out, size_t *out_count,
           struct slw_err *err)
{
    enum slw_rc rc = slw_track_history(tx, run_id, key, a, out, out_count, err);
    return rc == SLW_NOT_FOUND ? SLW_OK : rc;
}

static enum slw_rc
history_page(struct slw_tx *tx, struct slw_str run_id, struct slw_str key,
             const struct slw_track_query *page, struct slw_arena *a,
             struct slw_metric **out, size_t *out_count, size_t *out_total,
             struct slw_err *err)
{
    enum slw_rc rc =
        slw_track_history_page(tx, run_id, key, page->offset, page->limit, a,
                               out, out_count, out_total, err);
    return rc == SLW_NOT_FOUND ? SLW_OK : rc;
}

enum slw_rc
api_mlflow_metrics_history(struct slw_http_req *req, struct slw_http_res *res,
                           struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str run_id = {0}, key = {0};
    struct slw_track_query page = {0};
    struct slw_metric *points = NULL;
    size_t count = 0, total = 0;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_run_id(&in, &run_id, err));
    TRY(mlf_need_str(&in, "metric_key", &key, err));
    TRY(mlf_page(&in, INT64_MAX / 2, INT64_MAX, &page, err));
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    TRY(history_page(&tx, run_id, key, &page, req->arena, &points, &count,
                     &total, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    mlf_list(&w, "metrics", count);
    for (size_t i = 0; i < count; i++)
        mlf_write_metric(&w, &points[i]);
    mlf_list_end(&w, count);
    if (page.offset + count < total)
        mlf_write_token(&w, page.offset + count, 0);
    slw_jw_obj_end(&w);
    return slw_buf_check(&res->body, err);
}

static void
write_run_metric(struct slw_jw *w, const struct slw_metric *m,
                 struct slw_str run_id)
{
    slw_jw_obj(w);
    slw_jw_kstr(w, "key", m->key);
    slw_jw_kf64(w, "value", m->value);
    slw_jw_ki64(w, "timestamp", m->at_ms);
    slw_jw_ki64(w, "step", m->step);
    slw_jw_kstr(w, "run_id", run_id);
    slw_jw_obj_end(w);
}

static int
by_text(const void *a, const void *b)
{
    return slw_str_cmp(*(const struct slw_str *)a, *(const struct slw_str *)b);
}

static enum slw_rc
bulk_read(struct mlf_in *in, struct slw_str **ids, size_t *id_count,
          struct slw_str *key, int64_t *most, struct slw_err *err)
{
    TRY(mlf_strs(in, "run_id", ids, id_count, err));
    if (*id_count == 0)
        return slw_fail(err, SLW_INVALID,
                        "GetMetricHistoryBulk request must specify at least "
                        "one run_id.");
    if (*id_count > HISTORY_RUN_MAX)
        return slw_fail(err, SLW_INVALID,
                        "GetMetricHistoryBulk request cannot specify more "
                        "than %d run_ids. Received %zu run_ids.",
                        HISTORY_RUN_MAX, *id_count);
    TRY(mlf_str(in, "metric_key", key, err));
    if (!key->ptr)
        return slw_fail(err, SLW_INVALID,
                        "GetMetricHistoryBulk request must specify a "
                        "metric_key.");
    TRY(mlf_i64(in, "max_results", most, err));
    if (*most < 1 || *most > BULK_POINT_MAX)
        *most = BULK_POINT_MAX;
    qsort(*ids, *id_count, sizeof(**ids), by_text);
    return SLW_OK;
}

/* The UI's chart call: whole histories of several runs, newest cut off.  A
 * run that is not there has no points. */
enum slw_rc
api_mlflow_metrics_history_bulk(struct slw_http_req *req,
                                struct slw_http_res *res, struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str key = {0}, *ids = NULL;
    size_t id_count = 0;
    int64_t most = BULK_POINT_MAX;
    TRY(mlf_in_read(&in, req, err));
    TRY(bulk_read(&in, &ids, &id_count, &key, &most, err));
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    slw_jw_key(&w, "metrics");
    slw_jw_arr(&w);
    for (size_t i = 0; i < id_count; i++) {
        struct slw_metric *points = NULL;
        size_t count = 0;
        TRY(history_of(&tx, ids[i], key, req->arena, &points, &count, err));
        for (size_t j = 0; j < count && most > 0; j++, most--)
            write_run_metric(&w, &points[j], ids[i]);
    }
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    return slw_buf_check(&res->body, err);
}

/* By step, time and value; NaN counts as 0, and comes after it. */
static int
by_step(const void *va, const void *vb)
{
    const struct slw_metric *a = va, *b = vb;
    if (a->step != b->step)
        return a->step < b->step ? -1 : 1;
    if (a->at_ms != b->at_ms)
        return a->at_ms < b->at_ms ? -1 : 1;
    double x = isnan(a->value) ? 0 : a->value;
    double y = isnan(b->value) ? 0 : b->value;
    if (x < y || x > y)
        return x < y ? -1 : 1;
    return (isnan(a->value) != 0) - (isnan(b->value) != 0);
}

/* What is asked of several histories at once. */
struct interval {
    struct slw_str key, *ids;
    size_t id_count;
    int64_t most, from, to;
};

static enum slw_rc
interval_read(struct mlf_in *in, struct interval *v, struct slw_err *err)
{
    static const char see[] = "See the API docs for more information about "
                              "request parameters.";
    TRY(mlf_strs(in, "run_ids", &v->ids, &v->id_count, err));
    if (v->id_count == 0)
        return mlf_missing("run_ids", err);
    if (v->id_count > HISTORY_RUN_MAX)
        return slw_fail(err, SLW_INVALID,
                        "GetMetricHistoryBulkInterval request must specify at "
                        "most %d run_ids. Received %zu run_ids. %s",
                        HISTORY_RUN_MAX, v->id_count, see);
    TRY(mlf_need_str(in, "metric_key", &v->key, err));
    TRY(mlf_i64(in, "start_step", &v->from, err));
    TRY(mlf_i64(in, "end_step", &v->to, err));
    TRY(mlf_i64(in, "max_results", &v->most, err));
    if (v->most < 1 || v->most > INTERVAL_POINT_MAX)
        return slw_fail(err, SLW_INVALID,
                        "max_results must be between 1 and %d. %s",
                        INTERVAL_POINT_MAX, see);
    if ((v->from == INT64_MIN) != (v->to == INT64_MAX))
        return slw_fail(err, SLW_INVALID,
                        "If either start step or end step are specified, both "
                        "must be specified.");
    if (v->from > v->to)
        return slw_fail(err, SLW_INVALID,
                        "end_step must be greater than start_step. Found "
                        "start_step=%lld and end_step=%lld.",
                        (long long)v->from, (long long)v->to);
    return SLW_OK;
}

/* The points cut into `most` buckets of even size (the first ones larger),
 * the first of each, and the last point in place of the last bucket's. */
static void
write_interval(struct slw_jw *w, const struct interval *v,
               struct slw_metric *points, size_t count, struct slw_str run_id)
{
    size_t kept = 0, most = (size_t)v->most;
    for (size_t i = 0; i < count; i++) {
        if (points[i].step >= v->from && points[i].step <= v->to)
            points[kept++] = points[i];
    }
    if (kept == 0)
        return;
    qsort(points, kept, sizeof(*points), by_step);
    size_t buckets = kept < most ? kept : most;
    for (size_t i = 0; i < buckets; i++) {
        size_t more = kept % buckets;
        size_t at = i * (kept / buckets) + (i < more ? i : more);
        write_run_metric(w, &points[i + 1 == buckets ? kept - 1 : at], run_id);
    }
}

enum slw_rc
api_mlflow_metrics_history_interval(struct slw_http_req *req,
                                    struct slw_http_res *res,
                                    struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct interval v = {
        .most = INTERVAL_POINT_MAX, .from = INT64_MIN, .to = INT64_MAX};
    size_t total = 0;
    TRY(mlf_in_read(&in, req, err));
    TRY(interval_read(&in, &v, err));
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    for (size_t i = 0; i < v.id_count; i++) {
        struct slw_metric *points = NULL;
        size_t count = 0;
        TRY(history_of(&tx, v.ids[i], v.key, req->arena, &points, &count, err));
        bool any = false;
        for (size_t j = 0; j < count && !any; j++)
            any = points[j].step >= v.from && points[j].step <= v.to;
        if (any && total++ == 0)
            mlf_list(&w, "metrics", 1);
        write_interval(&w, &v, points, count, v.ids[i]);
    }
    mlf_list_end(&w, total);
    slw_jw_obj_end(&w);
    return slw_buf_check(&res->body, err);
}

/* The UI's list of datasets: each with its uses. */
enum slw_rc
api_mlflow_search_datasets(struct slw_http_req *req, struct slw_http_res *res,
                           struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_track_query q = {0};
    size_t left = DATASET_SUMMARY_MAX;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_experiment_ids(&in, &q, err));
    if (q.experiment_count == 0)
        return slw_fail(err, SLW_INVALID,
                        "SearchDatasets request must specify at least one "
                        "experiment_id.");
    if (q.experiment_count > DATASET_EXPERIMENT_MAX)
        return slw_fail(err, SLW_INVALID,
                        "SearchDatasets request cannot specify more than %d "
                        "experiment_ids. Received %zu experiment_ids.",
                        DATASET_EXPERIMENT_MAX, q.experiment_count);
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    for (size_t i = 0; i < q.experiment_count; i++) {
        struct slw_dataset_summary *list = NULL;
        size_t count = 0;
        TRY(slw_track_dataset_summaries(&tx, q.experiment_ids[i], left,
                                        req->arena, &list, &count, err));
        if (left == DATASET_SUMMARY_MAX)
            mlf_list(&w, "dataset_summaries", count);
        for (size_t j = 0; j < count; j++, left--) {
            slw_jw_obj(&w);
            mlf_kid(&w, "experiment_id", list[j].experiment_id);
            slw_jw_kstr(&w, "name", list[j].name);
            slw_jw_kstr(&w, "digest", list[j].digest);
            mlf_kopt(&w, "context", list[j].context);
            slw_jw_obj_end(&w);
        }
    }
    mlf_list_end(&w, DATASET_SUMMARY_MAX - left);
    slw_jw_obj_end(&w);
    return slw_buf_check(&res->body, err);
}
