/* mlflow_runs.c -- runs in MLflow's dialect: made, read, changed, found. */
#include "api/mlflow_internal.h"
#include "store/dry.h"
#include "api/routes.h"

static enum slw_rc
answer_run(struct slw_http_res *res, const struct slw_run_full *run, bool made)
{
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    slw_jw_key(&w, "run");
    mlf_write_run(&w, run, made);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_mlflow_runs_create(struct slw_http_req *req, struct slw_http_res *res,
                       struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    SLW_AUTO(mlf_in, in);
    struct slw_str experiment = SLW_STR("0"), name = {"", 0}, user = {"", 0};
    const struct json_t *tag_array = NULL;
    struct slw_kv *tags = NULL;
    size_t tag_count = 0;
    int64_t experiment_id = 0, start_ms = api_now(api);
    struct slw_run run;
    struct slw_run_full full;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_str(&in, "experiment_id", &experiment, err));
    TRY(mlf_experiment_id(experiment.len ? experiment : SLW_STR("0"),
                          &experiment_id, err));
    TRY(mlf_str(&in, "run_name", &name, err));
    TRY(mlf_str(&in, "user_id", &user, err));
    TRY(mlf_i64(&in, "start_time", &start_ms, err));
    TRY(mlf_array(&in, "tags", &tag_array, err));
    TRY(mlf_kvs(tag_array, "tags", req->arena, &tags, &tag_count, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_track_run_create(&tx, start_ms, experiment_id, name, user, tags,
                             tag_count, req->arena, &run, err));
    TRY(slw_track_run_full(&tx, run.id, req->arena, &full, err));
    TRY(slw_tx_commit(&tx, err));
    return answer_run(res, &full, true);
}

enum slw_rc
api_mlflow_runs_get(struct slw_http_req *req, struct slw_http_res *res,
                    struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str id = {0};
    struct slw_run_full full;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_run_id(&in, &id, err));
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    TRY(slw_track_run_full(&tx, id, req->arena, &full, err));
    return answer_run(res, &full, false);
}

/* The enum as its name or its number; absent: 0. */
static enum slw_rc
read_status(struct mlf_in *in, enum slw_run_status *out, struct slw_err *err)
{
    const struct json_t *v = slw_json_get(in->doc.root, "status");
    int64_t n = slw_json_i64_or(v, 0);
    struct slw_str s = {0};
    struct slw_err ignored;
    bool number = slw_json_type(v) == SLW_JSON_INT ||
                  slw_str_i64(slw_json_str_or(v, s), &n, &ignored) == SLW_OK;
    if (number) {
        if (n < SLW_RUN_RUNNING || n > SLW_RUN_KILLED)
            return mlf_bad_value(v, "status", err);
        *out = (enum slw_run_status)n;
        return SLW_OK;
    }
    TRY(mlf_str(in, "status", &s, err));
    return s.len ? slw_run_status_parse(s, out, err) : SLW_OK;
}

enum slw_rc
api_mlflow_runs_update(struct slw_http_req *req, struct slw_http_res *res,
                       struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str id = {0}, name = {"", 0};
    enum slw_run_status status = 0;
    int64_t end_ms = -1;
    struct slw_run run;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_run_id(&in, &id, err));
    TRY(read_status(&in, &status, err));
    TRY(mlf_i64(&in, "end_time", &end_ms, err));
    TRY(mlf_str(&in, "run_name", &name, err));
    TRY(slw_tx_begin(&tx, mlf_api(req)->store, err));
    TRY(slw_track_run_update(&tx, id, status, end_ms, name, err));
    TRY(slw_track_run_get(&tx, id, req->arena, &run, err));
    TRY(slw_tx_commit(&tx, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    slw_jw_key(&w, "run_info");
    mlf_write_run_info(&w, &run);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

static enum slw_rc
mark(struct slw_http_req *req, struct slw_http_res *res, bool deleted,
     struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str id = {0};
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_run_id(&in, &id, err));
    TRY(slw_tx_begin(&tx, mlf_api(req)->store, err));
    TRY(slw_track_run_mark(&tx, id, deleted, err));
    slw_effect_add(&tx, deleted ? "track.run_deleted" : "track.run_restored",
                   id, SLW_STR("{}"));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}

enum slw_rc
api_mlflow_runs_delete(struct slw_http_req *req, struct slw_http_res *res,
                       struct slw_err *err)
{
    return mark(req, res, true, err);
}

enum slw_rc
api_mlflow_runs_restore(struct slw_http_req *req, struct slw_http_res *res,
                        struct slw_err *err)
{
    return mark(req, res, false, err);
}

enum slw_rc
api_mlflow_runs_delete_tag(struct slw_http_req *req, struct slw_http_res *res,
                           struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str id = {0}, key = {0};
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_run_id(&in, &id, err));
    TRY(mlf_need_str(&in, "key", &key, err));
    TRY(slw_tx_begin(&tx, mlf_api(req)->store, err));
    TRY(slw_track_run_tag_remove(&tx, id, key, err));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}

/* experiment_ids of a search. */
enum slw_rc
api_mlflow_runs_search(struct slw_http_req *req, struct slw_http_res *res,
                       struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_track_query q = {0};
    struct slw_run_full *runs = NULL;
    size_t count = 0;
    bool more = false;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_page(&in, 1000, 50000, &q, err));
    TRY(mlf_view(&in, "run_view_type", &q.view, err));
    TRY(mlf_search(&in, &q, err));
    TRY(mlf_experiment_ids(&in, &q, err));
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    TRY(slw_track_run_search(&tx, &q, req->arena, &runs, &count, &more, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    mlf_list(&w, "runs", count);
    for (size_t i = 0; i < count; i++)
        mlf_write_run(&w, &runs[i], false);
    mlf_list_end(&w, count);
    if (more)
        mlf_write_token(&w, q.offset + q.limit);
    slw_jw_obj_end(&w);
    return SLW_OK;
}
