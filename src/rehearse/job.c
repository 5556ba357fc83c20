/* job.c -- a rehearsal of what the server has: its project, and of each source
 * the newest version as a file. */
#include <signal.h>

#include "data/data.h"
#include "flow/flow.h"
#include "rehearse/rehearse_internal.h"
#include "store/blob.h"

static volatile int job_stop;

static void
on_term(int sig)
{
    (void)sig;
    job_stop = 1;
}

static void
tell(void *ctx, double share, struct slw_str line)
{
    slw_job_progress(ctx, share, "%.*s", SLW_FMT(line));
}

/* {"prices": "/…/cache/….parquet"} */
static enum slw_rc
files_find(struct slw_job_ctx *ctx, struct slw_str *out, struct slw_err *err)
{
    struct slw_dataset *list = NULL;
    size_t count = 0;
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, ctx->store, err));
        TRY(slw_data_list(&tx, ctx->arena, &list, &count, err));
    }
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    for (size_t i = 0; i < count; i++) {
        const char *path = NULL;
        if (list[i].version == 0)
            continue;
        TRY(slw_blob_cached(ctx->store,
                            slw_arena_strz(ctx->arena, list[i].hash),
                            ".parquet", ctx->arena, &path, err));
        slw_jw_keys(&w, list[i].name);
        slw_jw_z(&w, path);
    }
    slw_jw_obj_end(&w);
    *out = slw_arena_str(ctx->arena, slw_buf_view(&text));
    return SLW_OK;
}

/* The texts of the request, as files. */
static enum slw_rc
policies_put(struct slw_job_ctx *ctx, struct slw_rehearse_options *o,
             struct slw_err *err)
{
    const struct json_t *list = slw_json_get(ctx->spec, "policies");
    const size_t count = slw_json_len(list);
    const char **paths = SLW_ARENA_NEW(ctx->arena, const char *, count + 1);
    for (size_t i = 0; i < count; i++) {
        const struct json_t *p = slw_json_at(list, i);
        struct slw_str name, yaml;
        TRY(slw_json_need_str(p, "name", &name, err));
        TRY(slw_json_need_str(p, "yaml", &yaml, err));
        if (!slw_name_ok(name))
            return slw_fail(err, SLW_INVALID, "'%.*s' is no name for a policy",
                            SLW_FMT(name));
        paths[i] = slw_path(ctx->arena, ctx->dir, "%.*s.yaml", SLW_FMT(name));
        TRY(slw_file_put(paths[i], yaml, err));
    }
    o->policy_files = paths;
    o->policy_file_count = count;
    return SLW_OK;
}

static enum slw_rc
result_short(struct slw_str result, struct slw_buf *out, struct slw_err *err)
{
    SLW_AUTO(slw_json, doc);
    struct slw_jw w;
    TRY(slw_json_parse(&doc, result, err));
    slw_jw_init(&w, out);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "id",
                slw_json_str_or(slw_json_get(doc.root, "id"), SLW_STR("")));
    slw_jw_kbool(&w, "complete",
                 slw_json_bool_or(slw_json_get(doc.root, "complete"), false));
    slw_jw_obj_end(&w);
    return slw_buf_check(out, err);
}

enum slw_rc
slw_rehearse_job(struct slw_job_ctx *ctx, struct slw_err *err)
{
    int64_t requests = SLW_REHEARSE_REQUESTS_DEFAULT, workers = 2;
    struct slw_str json, result;
    struct slw_rehearse_options o = {
        .root = slw_path(ctx->arena, slw_store_dir(ctx->store), "rehearsals"),
        .file = SLW_STR("slipway.yaml"),
        .folder = SLW_STR(""),
        .deployment = SLW_STR(""),
        .stop = &job_stop,
        .progress = tell,
        .progress_ctx = ctx};
    TRY(slw_json_need_i64(ctx->spec, "from_ms", &o.from_ms, err));
    TRY(slw_json_need_i64(ctx->spec, "to_ms", &o.to_ms, err));
    TRY(slw_json_opt_str(ctx->spec, "deployment", &o.deployment, err));
    TRY(slw_json_opt_i64(ctx->spec, "requests", &requests, err));
    TRY(slw_json_opt_i64(ctx->spec, "workers", &workers, err));
    TRY(slw_json_opt_bool(ctx->spec, "again", &o.again, err));
    o.requests = (int)requests;
    o.worker_count = (int)workers;
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, ctx->store, err));
        TRY(slw_project_get(&tx, ctx->arena, &o.yaml, &json, err));
    }
    TRY(files_find(ctx, &o.files, err));
    TRY(policies_put(ctx, &o, err));
    struct sigaction sa = {.sa_handler = on_term};
    (void)sigaction(SIGTERM, &sa, NULL);
    TRY(slw_rehearse(&o, ctx->arena, &result, err));
    SLW_AUTO(slw_buf, text);
    TRY(result_short(result, &text, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, ctx->store, err));
    TRY(slw_job_finish(ctx, &tx, slw_buf_view(&text), err));
    return slw_tx_commit(&tx, err);
}
