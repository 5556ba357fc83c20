/* mlflow_experiments.c -- experiments in MLflow's dialect. */
#include "api/mlflow_internal.h"
#include "api/routes.h"

enum slw_rc
api_mlflow_experiments_create(struct slw_http_req *req,
                              struct slw_http_res *res, struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    SLW_AUTO(mlf_in, in);
    struct slw_str name = {0}, location = {"", 0};
    const struct json_t *tag_array = NULL;
    struct slw_kv *tags = NULL;
    size_t tag_count = 0;
    int64_t id = 0;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_str(&in, "name", &name, err));
    TRY(mlf_str(&in, "artifact_location", &location, err));
    TRY(mlf_array(&in, "tags", &tag_array, err));
    TRY(mlf_kvs(tag_array, "tags", req->arena, &tags, &tag_count, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_track_experiment_create(&tx, api_now(api), name, location, tags,
                                    tag_count, &id, err));
    if (location.len == 0 && api->artifact_root)
        TRY(slw_track_experiment_locate(
            &tx, id, slw_str_of(slw_place_uri(api->artifact_root)), err));
    TRY(slw_tx_commit(&tx, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    mlf_kid(&w, "experiment_id", id);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

static enum slw_rc
answer_one(struct slw_http_req *req, struct slw_http_res *res,
           struct slw_tx *tx, const struct slw_experiment *e,
           struct slw_err *err)
{
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    slw_jw_key(&w, "experiment");
    TRY(mlf_write_experiment(&w, tx, req->arena, e, err));
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_mlflow_experiments_get(struct slw_http_req *req, struct slw_http_res *res,
                           struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_experiment e;
    int64_t id = 0;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_experiment_id(&in, &id, err));
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    TRY(slw_track_experiment_get(&tx, id, req->arena, &e, err));
    return answer_one(req, res, &tx, &e, err);
}

enum slw_rc
api_mlflow_experiments_get_by_name(struct slw_http_req *req,
                                   struct slw_http_res *res,
                                   struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_experiment e;
    struct slw_str name = {0};
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_str(&in, "experiment_name", &name, err));
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    TRY(slw_track_experiment_by_name(&tx, name, req->arena, &e, err));
    return answer_one(req, res, &tx, &e, err);
}

enum slw_rc
api_mlflow_experiments_search(struct slw_http_req *req,
                              struct slw_http_res *res, struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_track_query q = {0};
    struct slw_experiment *found = NULL;
    size_t count = 0;
    bool more = false;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_page(&in, 1000, 50000, &q, err));
    TRY(mlf_view(&in, "view_type", &q.view, err));
    TRY(mlf_search(&in, &q, err));
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    TRY(slw_track_experiment_search(&tx, &q, req->arena, &found, &count, &more,
                                    err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    mlf_list(&w, "experiments", count);
    for (size_t i = 0; i < count; i++)
        TRY(mlf_write_experiment(&w, &tx, req->arena, &found[i], err));
    mlf_list_end(&w, count);
    if (more)
        mlf_write_token(&w, q.offset + q.limit, 0);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_mlflow_experiments_update(struct slw_http_req *req,
                              struct slw_http_res *res, struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str name = {0};
    int64_t id = 0;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_experiment_id(&in, &id, err));
    TRY(mlf_need_str(&in, "new_name", &name, err));
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_track_experiment_rename(&tx, api_now(api), id, name, err));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}

static enum slw_rc
mark(struct slw_http_req *req, struct slw_http_res *res, bool deleted,
     struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    int64_t id = 0;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_experiment_id(&in, &id, err));
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_track_experiment_mark(&tx, api_now(api), id, deleted, err));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}

enum slw_rc
api_mlflow_experiments_delete(struct slw_http_req *req,
                              struct slw_http_res *res, struct slw_err *err)
{
    return mark(req, res, true, err);
}

enum slw_rc
api_mlflow_experiments_restore(struct slw_http_req *req,
                               struct slw_http_res *res, struct slw_err *err)
{
    return mark(req, res, false, err);
}

enum slw_rc
api_mlflow_experiments_set_tag(struct slw_http_req *req,
                               struct slw_http_res *res, struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_kv tag;
    int64_t id = 0;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_experiment_id(&in, &id, err));
    TRY(mlf_need_kv(&in, &tag, err));
    TRY(slw_tx_begin(&tx, mlf_api(req)->store, err));
    TRY(slw_track_experiment_tag_set(&tx, id, tag.key, tag.value, err));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}

enum slw_rc
api_mlflow_experiments_delete_tag(struct slw_http_req *req,
                                  struct slw_http_res *res, struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str key = {0};
    int64_t id = 0;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_experiment_id(&in, &id, err));
    TRY(mlf_need_str(&in, "key", &key, err));
    TRY(slw_tx_begin(&tx, mlf_api(req)->store, err));
    TRY(slw_track_experiment_tag_remove(&tx, id, key, err));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}
