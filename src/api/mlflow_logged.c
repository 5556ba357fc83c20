/* mlflow_logged.c -- logged models in MLflow's dialect: what 3.x clients make
 * for every log_model and autolog. */
#include "api/mlflow_internal.h"
#include "api/routes.h"

static const char *const STATUS_NAMES[] = {
    "LOGGED_MODEL_STATUS_UNSPECIFIED", "LOGGED_MODEL_PENDING",
    "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"};

static void
write_metrics(struct slw_jw *w, const struct slw_logged_model *m)
{
    if (m->metric_count == 0)
        return;
    slw_jw_key(w, "metrics");
    slw_jw_arr(w);
    for (size_t i = 0; i < m->metric_count; i++) {
        const struct slw_model_metric *mm = &m->metrics[i];
        slw_jw_obj(w);
        slw_jw_kstr(w, "key", mm->m.key);
        slw_jw_kf64(w, "value", mm->m.value);
        slw_jw_ki64(w, "timestamp", mm->m.at_ms);
        slw_jw_ki64(w, "step", mm->m.step);
        mlf_kopt(w, "dataset_name", mm->dataset_name);
        mlf_kopt(w, "dataset_digest", mm->dataset_digest);
        slw_jw_kstr(w, "model_id", m->id);
        mlf_kopt(w, "run_id", mm->run_id);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
}

static void
write_model(struct slw_jw *w, const struct slw_logged_model *m)
{
    slw_jw_obj(w);
    slw_jw_key(w, "info");
    slw_jw_obj(w);
    slw_jw_kstr(w, "model_id", m->id);
    mlf_kid(w, "experiment_id", m->experiment_id);
    slw_jw_kstr(w, "name", m->name);
    slw_jw_ki64(w, "creation_timestamp_ms", m->created_at_ms);
    slw_jw_ki64(w, "last_updated_timestamp_ms", m->updated_at_ms);
    slw_jw_kstr(w, "artifact_uri", m->artifact_uri);
    slw_jw_kz(w, "status", STATUS_NAMES[m->status]);
    slw_jw_kstr(w, "model_type", m->model_type);
    slw_jw_kstr(w, "source_run_id", m->source_run_id);
    mlf_kopt(w, "status_message", m->status_message);
    mlf_write_kvs(w, "tags", m->tags, m->tag_count);
    slw_jw_obj_end(w);
    slw_jw_key(w, "data");
    slw_jw_obj(w);
    mlf_write_kvs(w, "params", m->params, m->param_count);
    write_metrics(w, m);
    slw_jw_obj_end(w);
    slw_jw_obj_end(w);
}

static enum slw_rc
answer_model(struct slw_http_res *res, const struct slw_logged_model *m)
{
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    slw_jw_key(&w, "model");
    write_model(&w, m);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

static enum slw_rc
read_kvs(struct mlf_in *in, const char *key, struct slw_kv **out,
         size_t *out_count, struct slw_err *err)
{
    const struct json_t *array = NULL;
    TRY(mlf_array(in, key, &array, err));
    return mlf_kvs(array, key, in->req->arena, out, out_count, err);
}

enum slw_rc
api_mlflow_logged_create(struct slw_http_req *req, struct slw_http_res *res,
                         struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    const struct slw_str none = {"", 0};
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_logged_model wanted = {
        .name = none, .model_type = none, .source_run_id = none};
    struct slw_logged_model made;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_experiment_id(&in, &wanted.experiment_id, err));
    TRY(mlf_str(&in, "name", &wanted.name, err));
    TRY(mlf_str(&in, "model_type", &wanted.model_type, err));
    TRY(mlf_str(&in, "source_run_id", &wanted.source_run_id, err));
    TRY(read_kvs(&in, "params", &wanted.params, &wanted.param_count, err));
    TRY(read_kvs(&in, "tags", &wanted.tags, &wanted.tag_count, err));
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_track_logged_create(&tx, api_now(api), &wanted, req->arena, &made,
                                err));
    TRY(slw_tx_commit(&tx, err));
    return answer_model(res, &made);
}

enum slw_rc
api_mlflow_logged_get(struct slw_http_req *req, struct slw_http_res *res,
                      struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    struct slw_logged_model m;
    bool deleted_too =
        slw_str_eqz(slw_http_query(req, "allow_deleted"), "true");
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    TRY(slw_track_logged_get(&tx, slw_http_var(req, "model_id"), deleted_too,
                             req->arena, &m, err));
    return answer_model(res, &m);
}

/* The enum as its name or its number. */
static enum slw_rc
read_status(struct mlf_in *in, enum slw_logged_status *out, struct slw_err *err)
{
    const struct json_t *v = slw_json_get(in->doc.root, "status");
    struct slw_str s = slw_json_str_or(v, SLW_STR(""));
    int64_t n = slw_json_i64_or(v, 0);
    struct slw_err ignored;
    if (s.len && slw_str_i64(s, &n, &ignored) != SLW_OK)
        n = 0;
    for (size_t i = 1; i < SLW_ARRAY_LEN(STATUS_NAMES); i++) {
        if (slw_str_eqz(s, STATUS_NAMES[i]) || n == (int64_t)i) {
            *out = (enum slw_logged_status)i;
            return SLW_OK;
        }
    }
    bool none = !v || slw_json_type(v) == SLW_JSON_NULL ||
                (slw_json_type(v) == SLW_JSON_STR && s.len == 0);
    return none ? mlf_missing("status", err) : mlf_bad_value(v, "status", err);
}

enum slw_rc
api_mlflow_logged_finalize(struct slw_http_req *req, struct slw_http_res *res,
                           struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str id = slw_http_var(req, "model_id");
    enum slw_logged_status status = SLW_LOGGED_PENDING;
    struct slw_logged_model m;
    TRY(mlf_in_read(&in, req, err));
    TRY(read_status(&in, &status, err));
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_track_logged_finalize(&tx, api_now(api), id, status, err));
    TRY(slw_track_logged_get(&tx, id, false, req->arena, &m, err));
    TRY(slw_tx_commit(&tx, err));
    return answer_model(res, &m);
}

enum slw_rc
api_mlflow_logged_delete(struct slw_http_req *req, struct slw_http_res *res,
                         struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_track_logged_delete(&tx, api_now(api),
                                slw_http_var(req, "model_id"), err));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}

enum slw_rc
api_mlflow_logged_put(struct slw_http_req *req, struct slw_http_res *res,
                      struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_kv *params = NULL, *tags = NULL;
    size_t param_count = 0, tag_count = 0;
    TRY(mlf_in_read(&in, req, err));
    TRY(read_kvs(&in, "params", &params, &param_count, err));
    TRY(read_kvs(&in, "tags", &tags, &tag_count, err));
    TRY(slw_tx_begin(&tx, api->store, err));
    enum slw_rc rc =
        slw_track_logged_put(&tx, api_now(api), slw_http_var(req, "model_id"),
                             params, param_count, tags, tag_count, err);
    TRY(mlf_as_invalid(rc, SLW_CONFLICT, err));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}

enum slw_rc
api_mlflow_logged_tag_delete(struct slw_http_req *req, struct slw_http_res *res,
                             struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, mlf_api(req)->store, err));
    TRY(slw_track_logged_tag_remove(&tx, slw_http_var(req, "model_id"),
                                    slw_http_var(req, "tag_key"), err));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}

/* ---- search: the one call whose order and datasets are objects ---- */

static enum slw_rc
read_orders(struct mlf_in *in, struct slw_track_query *q, struct slw_err *err)
{
    const struct json_t *array = NULL;
    TRY(mlf_array(in, "order_by", &array, err));
    size_t count = slw_json_len(array);
    struct slw_str *orders =
        SLW_ARENA_NEW(in->req->arena, struct slw_str, count + 1);
    struct slw_kv *datasets =
        SLW_ARENA_NEW(in->req->arena, struct slw_kv, count + 1);
    for (size_t i = 0; i < count; i++) {
        const struct json_t *o = slw_json_at(array, i);
        struct slw_str field = {0};
        datasets[i] = (struct slw_kv){{"", 0}, {"", 0}};
        bool ascending = true;
        TRY(slw_json_need_str(o, "field_name", &field, err));
        TRY(slw_json_opt_bool(o, "ascending", &ascending, err));
        TRY(slw_json_opt_str(o, "dataset_name", &datasets[i].key, err));
        TRY(slw_json_opt_str(o, "dataset_digest", &datasets[i].value, err));
        orders[i] = slw_arena_printf(in->req->arena, "%.*s %s", SLW_FMT(field),
                                     ascending ? "ASC" : "DESC");
    }
    q->order_by = orders;
    q->order_datasets = datasets;
    q->order_count = count;
    return SLW_OK;
}

static enum slw_rc
read_datasets(struct mlf_in *in, struct slw_track_query *q, struct slw_err *err)
{
    const struct json_t *array = NULL;
    TRY(mlf_array(in, "datasets", &array, err));
    size_t count = slw_json_len(array);
    struct slw_kv *datasets =
        SLW_ARENA_NEW(in->req->arena, struct slw_kv, count + 1);
    for (size_t i = 0; i < count; i++) {
        const struct json_t *o = slw_json_at(array, i);
        datasets[i] = (struct slw_kv){{"", 0}, {"", 0}};
        TRY(slw_json_opt_str(o, "dataset_name", &datasets[i].key, err));
        TRY(slw_json_opt_str(o, "dataset_digest", &datasets[i].value, err));
        if (datasets[i].key.len == 0)
            return slw_fail(err, SLW_INVALID,
                            "`dataset_name` in the `datasets` clause must be "
                            "specified.");
    }
    q->datasets = datasets;
    q->dataset_count = count;
    return SLW_OK;
}

static enum slw_rc
read_search(struct mlf_in *in, struct slw_track_query *q, struct slw_err *err)
{
    q->filter = SLW_STR("");
    TRY(mlf_page(in, 100, 50000, q, err));
    TRY(mlf_str(in, "filter", &q->filter, err));
    TRY(read_orders(in, q, err));
    TRY(read_datasets(in, q, err));
    TRY(mlf_experiment_ids(in, q, err));
    const struct json_t *ids = slw_json_get(in->doc.root, "experiment_ids");
    if (!ids || slw_json_type(ids) == SLW_JSON_NULL)
        return mlf_missing("experiment_ids", err);
    return SLW_OK;
}

enum slw_rc
api_mlflow_logged_search(struct slw_http_req *req, struct slw_http_res *res,
                         struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_track_query q = {0};
    struct slw_logged_model *models = NULL;
    size_t count = 0;
    bool more = false;
    TRY(mlf_in_read(&in, req, err));
    TRY(read_search(&in, &q, err));
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    if (q.experiment_count == 0)
        return mlf_empty(res);
    TRY(slw_track_logged_search(&tx, &q, req->arena, &models, &count, &more,
                                err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    mlf_list(&w, "models", count);
    for (size_t i = 0; i < count; i++)
        write_model(&w, &models[i]);
    mlf_list_end(&w, count);
    if (more)
        mlf_write_token(&w, q.offset + q.limit, 0);
    slw_jw_obj_end(&w);
    return SLW_OK;
}
