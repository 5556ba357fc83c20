/* mlflow_write.c -- MLflow's JSON shapes. */
#include "api/mlflow_internal.h"

void
mlf_out(struct slw_jw *w, struct slw_http_res *res)
{
    slw_jw_init(w, &res->body);
    w->nan_as_text = true;
}

enum slw_rc
mlf_empty(struct slw_http_res *res)
{
    slw_buf_z(&res->body, "{}");
    return SLW_OK;
}

void
mlf_kopt(struct slw_jw *w, const char *key, struct slw_str v)
{
    if (v.len)
        slw_jw_kstr(w, key, v);
}

void
mlf_kid(struct slw_jw *w, const char *key, int64_t v)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "%lld", (long long)v);
    slw_jw_kstr(w, key, (struct slw_str){text, (size_t)n});
}

void
mlf_write_kvs(struct slw_jw *w, const char *name, const struct slw_kv *kv,
              size_t count)
{
    if (count == 0)
        return;
    slw_jw_key(w, name);
    slw_jw_arr(w);
    for (size_t i = 0; i < count; i++) {
        slw_jw_obj(w);
        slw_jw_kstr(w, "key", kv[i].key);
        slw_jw_kstr(w, "value", kv[i].value);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
}

void
mlf_list(struct slw_jw *w, const char *name, size_t count)
{
    if (count) {
        slw_jw_key(w, name);
        slw_jw_arr(w);
    }
}

void
mlf_list_end(struct slw_jw *w, size_t count)
{
    if (count)
        slw_jw_arr_end(w);
}

/* Members of a metric; the object is the caller's. */
static void
metric_members(struct slw_jw *w, const struct slw_metric *m)
{
    slw_jw_kstr(w, "key", m->key);
    slw_jw_kf64(w, "value", m->value);
    slw_jw_ki64(w, "timestamp", m->at_ms);
    slw_jw_ki64(w, "step", m->step);
}

void
mlf_write_metric(struct slw_jw *w, const struct slw_metric *m)
{
    slw_jw_obj(w);
    metric_members(w, m);
    slw_jw_obj_end(w);
}

enum slw_rc
mlf_write_experiment(struct slw_jw *w, struct slw_tx *tx, struct slw_arena *a,
                     const struct slw_experiment *e, struct slw_err *err)
{
    struct slw_kv *tags = NULL;
    size_t tag_count = 0;
    TRY(slw_track_experiment_tags(tx, e->id, a, &tags, &tag_count, err));
    slw_jw_obj(w);
    mlf_kid(w, "experiment_id", e->id);
    slw_jw_kstr(w, "name", e->name);
    slw_jw_kstr(w, "artifact_location", e->artifact_location);
    slw_jw_kz(w, "lifecycle_stage", e->deleted ? "deleted" : "active");
    slw_jw_ki64(w, "last_update_time", e->updated_at_ms);
    slw_jw_ki64(w, "creation_time", e->created_at_ms);
    slw_jw_kz(w, "workspace", "default");
    mlf_write_kvs(w, "tags", tags, tag_count);
    slw_jw_obj_end(w);
    return SLW_OK;
}

void
mlf_write_run_info(struct slw_jw *w, const struct slw_run *r)
{
    slw_jw_obj(w);
    slw_jw_kstr(w, "run_id", r->id);
    slw_jw_kstr(w, "run_uuid", r->id);
    slw_jw_kstr(w, "run_name", r->name);
    mlf_kid(w, "experiment_id", r->experiment_id);
    slw_jw_kstr(w, "user_id", r->user);
    slw_jw_kz(w, "status", slw_run_status_name(r->status));
    slw_jw_ki64(w, "start_time", r->start_ms);
    if (r->end_ms)
        slw_jw_ki64(w, "end_time", r->end_ms);
    slw_jw_kstr(w, "artifact_uri", r->artifact_uri);
    slw_jw_kz(w, "lifecycle_stage", r->deleted ? "deleted" : "active");
    slw_jw_obj_end(w);
}

static void
write_input(struct slw_jw *w, const struct slw_input *in)
{
    slw_jw_obj(w);
    mlf_write_kvs(w, "tags", in->tags, in->tag_count);
    slw_jw_key(w, "dataset");
    slw_jw_obj(w);
    slw_jw_kstr(w, "name", in->name);
    slw_jw_kstr(w, "digest", in->digest);
    slw_jw_kstr(w, "source_type", in->source_type);
    slw_jw_kstr(w, "source", in->source);
    mlf_kopt(w, "schema", in->schema);
    mlf_kopt(w, "profile", in->profile);
    slw_jw_obj_end(w);
    slw_jw_obj_end(w);
}

static void
write_links(struct slw_jw *w, const char *name,
            const struct slw_model_link *links, size_t count, bool steps)
{
    if (count == 0)
        return;
    slw_jw_key(w, name);
    slw_jw_arr(w);
    for (size_t i = 0; i < count; i++) {
        slw_jw_obj(w);
        slw_jw_kstr(w, "model_id", links[i].model_id);
        if (steps)
            slw_jw_ki64(w, "step", links[i].step);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
}

static void
write_data(struct slw_jw *w, const struct slw_run_full *r)
{
    slw_jw_key(w, "data");
    slw_jw_obj(w);
    if (r->metric_count) {
        slw_jw_key(w, "metrics");
        slw_jw_arr(w);
        for (size_t i = 0; i < r->metric_count; i++)
            mlf_write_metric(w, &r->metrics[i]);
        slw_jw_arr_end(w);
    }
    mlf_write_kvs(w, "params", r->params, r->param_count);
    mlf_write_kvs(w, "tags", r->tags, r->tag_count);
    slw_jw_obj_end(w);
}

void
mlf_write_run(struct slw_jw *w, const struct slw_run_full *r, bool made)
{
    slw_jw_obj(w);
    slw_jw_key(w, "info");
    mlf_write_run_info(w, &r->run);
    write_data(w, r);
    slw_jw_key(w, "inputs");
    slw_jw_obj(w);
    if (r->input_count) {
        slw_jw_key(w, "dataset_inputs");
        slw_jw_arr(w);
        for (size_t i = 0; i < r->input_count; i++)
            write_input(w, &r->inputs[i]);
        slw_jw_arr_end(w);
    }
    write_links(w, "model_inputs", r->model_inputs, r->model_input_count,
                false);
    slw_jw_obj_end(w);
    if (!made) {
        slw_jw_key(w, "outputs");
        slw_jw_obj(w);
        write_links(w, "model_outputs", r->model_outputs, r->model_output_count,
                    true);
        slw_jw_obj_end(w);
    }
    slw_jw_obj_end(w);
}

void
mlf_write_files(struct slw_jw *w, const struct slw_artifact *files,
                size_t count, struct slw_str prefix)
{
    mlf_list(w, "files", count);
    for (size_t i = 0; i < count; i++) {
        SLW_AUTO(slw_buf, path);
        slw_buf_str(&path, prefix);
        if (prefix.len)
            slw_buf_char(&path, '/');
        slw_buf_str(&path, files[i].path);
        slw_jw_obj(w);
        slw_jw_kstr(w, "path", slw_buf_view(&path));
        slw_jw_kbool(w, "is_dir", files[i].is_dir);
        if (!files[i].is_dir)
            slw_jw_ki64(w, "file_size", files[i].size);
        slw_jw_obj_end(w);
    }
    mlf_list_end(w, count);
}

void
mlf_write_version(struct slw_jw *w, const struct slw_version *v)
{
    slw_jw_obj(w);
    slw_jw_kstr(w, "name", v->model);
    mlf_kid(w, "version", v->version);
    slw_jw_ki64(w, "creation_timestamp", v->created_at_ms);
    slw_jw_ki64(w, "last_updated_timestamp", v->updated_at_ms);
    slw_jw_kstr(w, "current_stage", v->stage);
    slw_jw_kstr(w, "description", v->description);
    slw_jw_kstr(w, "source", v->source);
    slw_jw_kstr(w, "run_id", v->run_id);
    slw_jw_kstr(w, "status", v->status);
    slw_jw_kstr(w, "run_link", v->run_link);
    mlf_kopt(w, "model_id", v->logged_model);
    mlf_write_kvs(w, "tags", v->tags, v->tag_count);
    if (v->alias_count) {
        slw_jw_key(w, "aliases");
        slw_jw_arr(w);
        for (size_t i = 0; i < v->alias_count; i++)
            slw_jw_str(w, v->aliases[i]);
        slw_jw_arr_end(w);
    }
    slw_jw_obj_end(w);
}
