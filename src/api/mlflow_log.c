/* mlflow_log.c -- what training scripts send all the time: metrics, params,
 * tags, batches, inputs, outputs; and metric histories.
 *
 * The small writes go through the store's group commit: mlflow_later.c. */
#include "api/mlflow_internal.h"
#include "api/routes.h"

#define BATCH_SIZE_MAX 1000000
#define HISTORY_RUN_MAX 100

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
    TRY(mlf_kvs(params, "params", a, &b->params, &b->param_count, err));
    TRY(mlf_kvs(tags, "tags", a, &b->tags, &b->tag_count, err));
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
    TRY(slw_track_history_page(&tx, run_id, key, page.offset, page.limit,
                               req->arena, &points, &count, &total, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    slw_jw_key(&w, "metrics");
    slw_jw_arr(&w);
    for (size_t i = 0; i < count; i++)
        mlf_write_metric(&w, &points[i]);
    slw_jw_arr_end(&w);
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

static enum slw_rc
read_run_ids(struct mlf_in *in, const char *key, struct slw_str **out,
             size_t *out_count, struct slw_err *err)
{
    TRY(mlf_strs(in, key, out, out_count, err));
    if (*out_count == 0)
        return slw_fail(err, SLW_INVALID,
                        "%s request must specify at least one run_id.", key);
    if (*out_count > HISTORY_RUN_MAX)
        return slw_fail(err, SLW_INVALID,
                        "%s request cannot specify more than %d run_ids. "
                        "Received %zu run_ids.",
                        key, HISTORY_RUN_MAX, *out_count);
    return SLW_OK;
}

/* The UI's chart call: whole histories of several runs, newest cut off. */
enum slw_rc
api_mlflow_metrics_history_bulk(struct slw_http_req *req,
                                struct slw_http_res *res, struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str key = {0}, *ids = NULL;
    size_t id_count = 0;
    int64_t most = 25000;
    TRY(mlf_in_read(&in, req, err));
    TRY(read_run_ids(&in, "run_id", &ids, &id_count, err));
    TRY(mlf_need_str(&in, "metric_key", &key, err));
    TRY(mlf_i64(&in, "max_results", &most, err));
    if (most < 1 || most > 25000)
        most = 25000;
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    slw_jw_key(&w, "metrics");
    slw_jw_arr(&w);
    for (size_t i = 0; i < id_count; i++) {
        struct slw_metric *points = NULL;
        size_t count = 0;
        TRY(slw_track_history(&tx, ids[i], key, req->arena, &points, &count,
                              err));
        for (size_t j = 0; j < count && most > 0; j++, most--)
            write_run_metric(&w, &points[j], ids[i]);
    }
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    return slw_buf_check(&res->body, err);
}

static int
by_step(const void *va, const void *vb)
{
    const struct slw_metric *a = va, *b = vb;
    if (a->step != b->step)
        return a->step < b->step ? -1 : 1;
    return a->at_ms < b->at_ms ? -1 : a->at_ms > b->at_ms;
}

/* Points of steps from..to, thinned evenly to `most`, ends kept. */
static void
write_interval(struct slw_jw *w, struct slw_metric *points, size_t count,
               int64_t from, int64_t to, size_t most, struct slw_str run_id)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (points[i].step >= from && points[i].step <= to)
            points[kept++] = points[i];
    }
    if (kept == 0)
        return;
    qsort(points, kept, sizeof(*points), by_step);
    size_t stride = kept > most ? (kept + most - 1) / most : 1;
    for (size_t i = 0; i < kept; i++) {
        if (i % stride == 0 || i + 1 == kept)
            write_run_metric(w, &points[i], run_id);
    }
}

enum slw_rc
api_mlflow_metrics_history_interval(struct slw_http_req *req,
                                    struct slw_http_res *res,
                                    struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str key = {0}, *ids = NULL;
    size_t id_count = 0;
    int64_t most = 2500, from = INT64_MIN, to = INT64_MAX;
    TRY(mlf_in_read(&in, req, err));
    TRY(read_run_ids(&in, "run_ids", &ids, &id_count, err));
    TRY(mlf_need_str(&in, "metric_key", &key, err));
    TRY(mlf_i64(&in, "max_results", &most, err));
    TRY(mlf_i64(&in, "start_step", &from, err));
    TRY(mlf_i64(&in, "end_step", &to, err));
    if (most < 1 || most > 2500)
        return slw_fail(err, SLW_INVALID,
                        "max_results must be between 1 and 2500, not %lld",
                        (long long)most);
    if ((from == INT64_MIN) != (to == INT64_MAX))
        return slw_fail(err, SLW_INVALID,
                        "If either start step or end step are specified, both "
                        "must be specified.");
    if (from > to)
        return slw_fail(err, SLW_INVALID,
                        "end_step must be greater than start_step. Found "
                        "start_step=%lld and end_step=%lld.",
                        (long long)from, (long long)to);
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    slw_jw_key(&w, "metrics");
    slw_jw_arr(&w);
    for (size_t i = 0; i < id_count; i++) {
        struct slw_metric *points = NULL;
        size_t count = 0;
        TRY(slw_track_history(&tx, ids[i], key, req->arena, &points, &count,
                              err));
        write_interval(&w, points, count, from, to, (size_t)most, ids[i]);
    }
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    return slw_buf_check(&res->body, err);
}
