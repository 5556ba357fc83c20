/* mlflow_registry.c -- registered models and their aliases in MLflow's
 * dialect. */
#include "api/mlflow_internal.h"
#include "api/routes.h"

static void
write_model(struct slw_jw *w, const struct slw_registered_model *m)
{
    slw_jw_obj(w);
    slw_jw_kstr(w, "name", m->name);
    slw_jw_ki64(w, "creation_timestamp", m->created_at_ms);
    slw_jw_ki64(w, "last_updated_timestamp", m->updated_at_ms);
    mlf_kopt(w, "description", m->description);
    if (m->latest_count) {
        slw_jw_key(w, "latest_versions");
        slw_jw_arr(w);
        for (size_t i = 0; i < m->latest_count; i++)
            mlf_write_version(w, &m->latest[i]);
        slw_jw_arr_end(w);
    }
    mlf_write_kvs(w, "tags", m->tags, m->tag_count);
    if (m->alias_count) {
        slw_jw_key(w, "aliases");
        slw_jw_arr(w);
        for (size_t i = 0; i < m->alias_count; i++) {
            slw_jw_obj(w);
            slw_jw_kstr(w, "alias", m->aliases[i].name);
            mlf_kid(w, "version", m->aliases[i].version);
            slw_jw_obj_end(w);
        }
        slw_jw_arr_end(w);
    }
    slw_jw_obj_end(w);
}

/* Read the model back in the same transaction, commit, answer it. */
static enum slw_rc
commit_and_answer(struct slw_tx *tx, struct slw_http_req *req,
                  struct slw_http_res *res, struct slw_str name,
                  struct slw_err *err)
{
    struct slw_registered_model m;
    TRY(slw_registry_model_get(tx, name, req->arena, &m, err));
    if (tx->write)
        TRY(slw_tx_commit(tx, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    slw_jw_key(&w, "registered_model");
    write_model(&w, &m);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_mlflow_registered_create(struct slw_http_req *req, struct slw_http_res *res,
                             struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str name = {0}, description = {"", 0};
    const struct json_t *array = NULL;
    struct slw_kv *tags = NULL;
    size_t tag_count = 0;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_str(&in, "name", &name, err));
    TRY(mlf_str(&in, "description", &description, err));
    TRY(mlf_array(&in, "tags", &array, err));
    TRY(mlf_kvs(array, "tags", req->arena, &tags, &tag_count, err));
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_registry_model_create(&tx, api_now(api), name, description, tags,
                                  tag_count, err));
    return commit_and_answer(&tx, req, res, name, err);
}

enum slw_rc
api_mlflow_registered_get(struct slw_http_req *req, struct slw_http_res *res,
                          struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str name = {0};
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_str(&in, "name", &name, err));
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    return commit_and_answer(&tx, req, res, name, err);
}

enum slw_rc
api_mlflow_registered_update(struct slw_http_req *req, struct slw_http_res *res,
                             struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str name = {0}, description = {"", 0};
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_str(&in, "name", &name, err));
    TRY(mlf_str(&in, "description", &description, err));
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_registry_model_describe(&tx, api_now(api), name, description, err));
    return commit_and_answer(&tx, req, res, name, err);
}

enum slw_rc
api_mlflow_registered_rename(struct slw_http_req *req, struct slw_http_res *res,
                             struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str name = {0}, new_name = {0};
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_str(&in, "name", &name, err));
    TRY(mlf_need_str(&in, "new_name", &new_name, err));
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_registry_model_rename(&tx, api_now(api), name, new_name, err));
    return commit_and_answer(&tx, req, res, new_name, err);
}

enum slw_rc
api_mlflow_registered_delete(struct slw_http_req *req, struct slw_http_res *res,
                             struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str name = {0};
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_str(&in, "name", &name, err));
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_registry_model_delete(&tx, api_now(api), name, err));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}

enum slw_rc
api_mlflow_registered_search(struct slw_http_req *req, struct slw_http_res *res,
                             struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_track_query q = {0};
    struct slw_registered_model *models = NULL;
    size_t count = 0;
    bool more = false;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_page(&in, 100, 1000, &q, err));
    TRY(mlf_search(&in, &q, err));
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    TRY(slw_registry_model_search(&tx, &q, req->arena, &models, &count, &more,
                                  err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    mlf_list(&w, "registered_models", count);
    for (size_t i = 0; i < count; i++)
        write_model(&w, &models[i]);
    mlf_list_end(&w, count);
    if (more)
        mlf_write_token(&w, q.offset + q.limit, 0);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_mlflow_registered_set_tag(struct slw_http_req *req,
                              struct slw_http_res *res, struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str name = {0};
    struct slw_kv tag;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_str(&in, "name", &name, err));
    TRY(mlf_need_kv(&in, &tag, err));
    TRY(slw_tx_begin(&tx, mlf_api(req)->store, err));
    TRY(slw_registry_model_tag_set(&tx, api_now(mlf_api(req)), name, tag, err));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}

enum slw_rc
api_mlflow_registered_delete_tag(struct slw_http_req *req,
                                 struct slw_http_res *res, struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str name = {0}, key = {0};
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_str(&in, "name", &name, err));
    TRY(mlf_need_str(&in, "key", &key, err));
    TRY(slw_tx_begin(&tx, mlf_api(req)->store, err));
    TRY(slw_registry_model_tag_remove(&tx, api_now(mlf_api(req)), name, key,
                                      err));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}

/* ---- aliases ---- */

enum slw_rc
api_mlflow_alias_set(struct slw_http_req *req, struct slw_http_res *res,
                     struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str name = {0}, alias = {0};
    int64_t version = 0;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_str(&in, "name", &name, err));
    TRY(mlf_need_str(&in, "alias", &alias, err));
    TRY(mlf_need_version(&in, &version, err));
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_registry_alias_move(&tx, api_now(api), name, alias, version,
                                api_who(req, SLW_STR("mlflow client")),
                                SLW_STR(""), err));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}

enum slw_rc
api_mlflow_alias_delete(struct slw_http_req *req, struct slw_http_res *res,
                        struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str name = {0}, alias = {0};
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_str(&in, "name", &name, err));
    TRY(mlf_need_str(&in, "alias", &alias, err));
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_registry_alias_remove(&tx, api_now(api), name, alias,
                                  api_who(req, SLW_STR("mlflow client")),
                                  SLW_STR(""), err));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}

enum slw_rc
api_mlflow_alias_get(struct slw_http_req *req, struct slw_http_res *res,
                     struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str name = {0}, alias = {0};
    struct slw_registered_model m;
    struct slw_version v;
    int64_t version = 0;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_str(&in, "name", &name, err));
    TRY(mlf_need_str(&in, "alias", &alias, err));
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    TRY(slw_registry_model_get(&tx, name, req->arena, &m, err));
    if (slw_str_same(alias, SLW_STR("latest")))
        TRY(slw_registry_version_get(&tx, name, 0, req->arena, &v, err));
    else {
        /* An absent alias is "invalid" to MLflow, not "not found". */
        enum slw_rc rc =
            slw_registry_alias_at(&tx, name, alias, INT64_MAX, &version, err);
        TRY(mlf_as_invalid(rc, SLW_NOT_FOUND, err));
        TRY(slw_registry_version_get(&tx, name, version, req->arena, &v, err));
    }
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    slw_jw_key(&w, "model_version");
    mlf_write_version(&w, &v);
    slw_jw_obj_end(&w);
    return SLW_OK;
}
