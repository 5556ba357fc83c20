/* mlflow_versions.c -- model versions in MLflow's dialect.  Versions that
 * clients register and those of our own releases are the same rows. */
#include "api/mlflow_internal.h"
#include "api/routes.h"

static void
answer_version(struct slw_http_res *res, const struct slw_version *v)
{
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    slw_jw_key(&w, "model_version");
    mlf_write_version(&w, v);
    slw_jw_obj_end(&w);
}

static enum slw_rc
read_ref(struct mlf_in *in, struct slw_str *name, int64_t *version,
         struct slw_err *err)
{
    TRY(mlf_need_str(in, "name", name, err));
    return mlf_need_version(in, version, err);
}

static enum slw_rc
read_new(struct mlf_in *in, struct slw_str *name, struct slw_version_new *v,
         struct slw_err *err)
{
    const struct slw_str none = {"", 0};
    const struct json_t *array = NULL;
    struct slw_kv *tags = NULL;
    *v = (struct slw_version_new){.release = none,
                                  .run_id = none,
                                  .run_link = none,
                                  .source = none,
                                  .logged_model = none,
                                  .description = none};
    TRY(mlf_need_str(in, "name", name, err));
    TRY(mlf_need_str(in, "source", &v->source, err));
    TRY(mlf_str(in, "run_id", &v->run_id, err));
    TRY(mlf_str(in, "run_link", &v->run_link, err));
    TRY(mlf_str(in, "description", &v->description, err));
    TRY(mlf_str(in, "model_id", &v->logged_model, err));
    TRY(mlf_array(in, "tags", &array, err));
    TRY(mlf_kvs(array, "tags", in->req->arena, &tags, &v->tag_count, err));
    v->tags = tags;
    return SLW_OK;
}

/* A logged model knows by a tag under which names it was registered. */
static enum slw_rc
model_tell(struct slw_tx *tx, struct slw_arena *a, int64_t now_ms,
           struct slw_str id, struct slw_str name, int64_t version,
           struct slw_err *err)
{
    struct slw_logged_model m;
    SLW_AUTO(slw_buf, text);
    SLW_AUTO(slw_buf, quoted);
    TRY(slw_track_logged_get(tx, id, false, a, &m, err));
    slw_buf_char(&text, '[');
    for (size_t i = 0; i < m.tag_count; i++) {
        struct slw_str old = m.tags[i].value;
        if (slw_str_eqz(m.tags[i].key, "mlflow.modelVersions") && old.len > 2 &&
            slw_str_ends(old, "]"))
            slw_buf_printf(&text, "%.*s, ", (int)old.len - 2, old.ptr + 1);
    }
    slw_track_quote(&quoted, name);
    slw_buf_printf(&text, "{\"name\": %.*s, \"version\": %lld}]",
                   SLW_FMT(slw_buf_view(&quoted)), (long long)version);
    struct slw_kv tag = {SLW_STR("mlflow.modelVersions"), slw_buf_view(&text)};
    return slw_track_logged_put(tx, now_ms, id, NULL, 0, &tag, 1, err);
}

enum slw_rc
api_mlflow_versions_create(struct slw_http_req *req, struct slw_http_res *res,
                           struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str name = {0};
    struct slw_version_new new;
    struct slw_version v;
    int64_t version = 0;
    TRY(mlf_in_read(&in, req, err));
    TRY(read_new(&in, &name, &new, err));
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(mlf_source_check(&tx, req->arena, &new, new.run_id.len > 0,
                         new.logged_model.len > 0, err));
    TRY(slw_registry_version_register(&tx, api_now(api), name, &new, &version,
                                      err));
    if (new.logged_model.len)
        TRY(model_tell(&tx, req->arena, api_now(api), new.logged_model, name,
                       version, err));
    TRY(slw_registry_version_get(&tx, name, version, req->arena, &v, err));
    TRY(slw_tx_commit(&tx, err));
    answer_version(res, &v);
    return SLW_OK;
}

enum slw_rc
api_mlflow_versions_get(struct slw_http_req *req, struct slw_http_res *res,
                        struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str name = {0};
    struct slw_version v;
    int64_t version = 0;
    TRY(mlf_in_read(&in, req, err));
    TRY(read_ref(&in, &name, &version, err));
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    TRY(slw_registry_version_get(&tx, name, version, req->arena, &v, err));
    answer_version(res, &v);
    return SLW_OK;
}

enum slw_rc
api_mlflow_versions_update(struct slw_http_req *req, struct slw_http_res *res,
                           struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str name = {0}, description = {"", 0};
    struct slw_version v;
    int64_t version = 0;
    TRY(mlf_in_read(&in, req, err));
    TRY(read_ref(&in, &name, &version, err));
    TRY(mlf_str(&in, "description", &description, err));
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_registry_version_describe(&tx, api_now(api), name, version,
                                      description, err));
    TRY(slw_registry_version_get(&tx, name, version, req->arena, &v, err));
    TRY(slw_tx_commit(&tx, err));
    answer_version(res, &v);
    return SLW_OK;
}

enum slw_rc
api_mlflow_versions_stage(struct slw_http_req *req, struct slw_http_res *res,
                          struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str name = {0}, stage = {0};
    struct slw_version v;
    int64_t version = 0;
    bool archive = false;
    TRY(mlf_in_read(&in, req, err));
    TRY(read_ref(&in, &name, &version, err));
    TRY(mlf_need_str(&in, "stage", &stage, err));
    TRY(mlf_bool(&in, "archive_existing_versions", &archive, err));
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_registry_version_stage(
        &tx, api_now(api), name, version, stage, archive,
        api_who(req, SLW_STR("mlflow client")), SLW_STR(""), err));
    TRY(slw_registry_version_get(&tx, name, version, req->arena, &v, err));
    TRY(slw_tx_commit(&tx, err));
    answer_version(res, &v);
    return SLW_OK;
}

enum slw_rc
api_mlflow_versions_delete(struct slw_http_req *req, struct slw_http_res *res,
                           struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str name = {0};
    int64_t version = 0;
    TRY(mlf_in_read(&in, req, err));
    TRY(read_ref(&in, &name, &version, err));
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_registry_version_delete(&tx, api_now(api), name, version,
                                    api_who(req, SLW_STR("mlflow client")),
                                    err));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}

enum slw_rc
api_mlflow_versions_set_tag(struct slw_http_req *req, struct slw_http_res *res,
                            struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str name = {0};
    struct slw_kv tag;
    int64_t version = 0;
    TRY(mlf_in_read(&in, req, err));
    TRY(read_ref(&in, &name, &version, err));
    TRY(mlf_need_kv(&in, &tag, err));
    TRY(slw_tx_begin(&tx, mlf_api(req)->store, err));
    TRY(slw_registry_version_tag_set(&tx, api_now(mlf_api(req)), name, version,
                                     tag, err));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}

enum slw_rc
api_mlflow_versions_delete_tag(struct slw_http_req *req,
                               struct slw_http_res *res, struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str name = {0}, key = {0};
    int64_t version = 0;
    TRY(mlf_in_read(&in, req, err));
    TRY(read_ref(&in, &name, &version, err));
    TRY(mlf_need_str(&in, "key", &key, err));
    TRY(slw_tx_begin(&tx, mlf_api(req)->store, err));
    TRY(slw_registry_version_tag_remove(&tx, api_now(mlf_api(req)), name,
                                        version, key, err));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}

static void
write_versions(struct slw_jw *w, const struct slw_version *versions,
               size_t count)
{
    mlf_list(w, "model_versions", count);
    for (size_t i = 0; i < count; i++)
        mlf_write_version(w, &versions[i]);
    mlf_list_end(w, count);
}

/* GET and POST: stages as repeated parameters or as a list. */
enum slw_rc
api_mlflow_versions_latest(struct slw_http_req *req, struct slw_http_res *res,
                           struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str name = {0}, *stages = NULL;
    size_t stage_count = 0, count = 0;
    struct slw_version *versions = NULL;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_str(&in, "name", &name, err));
    TRY(mlf_strs(&in, "stages", &stages, &stage_count, err));
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    TRY(slw_registry_version_latest(&tx, name, stages, stage_count, req->arena,
                                    &versions, &count, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    write_versions(&w, versions, count);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_mlflow_versions_search(struct slw_http_req *req, struct slw_http_res *res,
                           struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_track_query q = {0};
    struct slw_version *versions = NULL;
    size_t count = 0;
    bool more = false;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_page(&in, 10000, 200000, &q, err));
    TRY(mlf_search(&in, &q, err));
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    TRY(slw_registry_version_search(&tx, &q, req->arena, &versions, &count,
                                    &more, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    write_versions(&w, versions, count);
    if (more)
        mlf_write_token(&w, q.offset + q.limit, 0);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_mlflow_versions_download_uri(struct slw_http_req *req,
                                 struct slw_http_res *res, struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str name = {0}, uri = {0};
    struct slw_version v;
    int64_t version = 0;
    TRY(mlf_in_read(&in, req, err));
    TRY(read_ref(&in, &name, &version, err));
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    TRY(slw_registry_version_get(&tx, name, version, req->arena, &v, err));
    TRY(mlf_download_uri(&tx, req->arena, &v, &uri, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "artifact_uri", uri);
    slw_jw_obj_end(&w);
    return SLW_OK;
}
