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

struct create {
    struct mlf_write w;
    int64_t start_ms, experiment_id;
    struct slw_str name, user;
    struct slw_kv *tags;
    size_t tag_count;
    struct slw_run_full made;
};

static enum slw_rc
create_run(struct slw_tx *tx, struct mlf_write *w, struct slw_err *err)
{
    struct create *c = (struct create *)w;
    struct slw_arena *a = w->req->arena;
    TRY(slw_track_run_create(tx, c->start_ms, c->experiment_id, c->name,
                             c->user, c->tags, c->tag_count, a, &c->made.run,
                             err));
    return slw_track_run_full(tx, c->made.run.id, a, &c->made, err);
}

static enum slw_rc
create_answer(struct mlf_write *w, struct slw_http_res *res,
              struct slw_err *err)
{
    (void)err;
    return answer_run(res, &((struct create *)w)->made, true);
}

enum slw_rc
api_mlflow_runs_create(struct slw_http_req *req, struct slw_http_res *res,
                       struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    struct create *c = SLW_ARENA_NEW(req->arena, struct create, 1);
    struct slw_str experiment = SLW_STR("0");
    const struct json_t *tags = NULL;
    (void)res;
    *c = (struct create){.w = {.run = create_run, .answer = create_answer},
                         .start_ms = api_now(mlf_api(req)),
                         .name = {"", 0},
                         .user = {"", 0}};
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_str(&in, "experiment_id", &experiment, err));
    TRY(mlf_experiment_id(experiment.len ? experiment : SLW_STR("0"),
                          &c->experiment_id, err));
    TRY(mlf_str(&in, "run_name", &c->name, err));
    TRY(mlf_str(&in, "user_id", &c->user, err));
    TRY(mlf_i64(&in, "start_time", &c->start_ms, err));
    TRY(mlf_array(&in, "tags", &tags, err));
    TRY(mlf_kvs(tags, "tags", req->arena, &c->tags, &c->tag_count, err));
    return mlf_write_send(&c->w, &in, err);
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
    TRY(slw_track_read(&tx, mlf_api(req)->store, err));
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

struct update {
    struct mlf_write w;
    struct slw_str id, name;
    enum slw_run_status status;
    int64_t end_ms;
    struct slw_run run;
};

static enum slw_rc
update_run(struct slw_tx *tx, struct mlf_write *w, struct slw_err *err)
{
    struct update *u = (struct update *)w;
    TRY(slw_track_run_update(tx, u->id, u->status, u->end_ms, u->name, err));
    return slw_track_run_get(tx, u->id, w->req->arena, &u->run, err);
}

static enum slw_rc
update_answer(struct mlf_write *w, struct slw_http_res *res,
              struct slw_err *err)
{
    struct slw_jw j;
    (void)err;
    mlf_out(&j, res);
    slw_jw_obj(&j);
    slw_jw_key(&j, "run_info");
    mlf_write_run_info(&j, &((struct update *)w)->run);
    slw_jw_obj_end(&j);
    return SLW_OK;
}

enum slw_rc
api_mlflow_runs_update(struct slw_http_req *req, struct slw_http_res *res,
                       struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    struct update *u = SLW_ARENA_NEW(req->arena, struct update, 1);
    (void)res;
    *u = (struct update){.w = {.run = update_run, .answer = update_answer},
                         .name = {"", 0},
                         .end_ms = -1};
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_run_id(&in, &u->id, err));
    TRY(read_status(&in, &u->status, err));
    TRY(mlf_i64(&in, "end_time", &u->end_ms, err));
    TRY(mlf_str(&in, "run_name", &u->name, err));
    return mlf_write_send(&u->w, &in, err);
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
    TRY(slw_track_run_mark(&tx, api_now(mlf_api(req)), id, deleted, err));
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
    TRY(slw_track_read(&tx, mlf_api(req)->store, err));
    if (q.newest == 0)
        TRY(slw_track_run_newest(&tx, &q.newest, err));
    TRY(slw_track_run_search(&tx, &q, req->arena, &runs, &count, &more, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    mlf_list(&w, "runs", count);
    for (size_t i = 0; i < count; i++)
        mlf_write_run(&w, &runs[i], false);
    mlf_list_end(&w, count);
    if (more)
        mlf_write_token(&w, q.offset + q.limit, q.newest);
    slw_jw_obj_end(&w);
    return SLW_OK;
}
