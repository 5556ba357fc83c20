/* job.c -- the import and the export as jobs of a server. */
#include "base/json.h"
#include "migrate/migrate_internal.h"

static void
tell(void *ctx, double share, const char *note)
{
    slw_job_progress(ctx, share, "%s", note);
}

static enum slw_rc
finish(struct slw_job_ctx *ctx, const struct slw_buf *result,
       struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, ctx->store, err));
    TRY(slw_job_finish(ctx, &tx, slw_buf_view(result), err));
    return slw_tx_commit(&tx, err);
}

enum slw_rc
slw_import_job(struct slw_job_ctx *ctx, struct slw_err *err)
{
    SLW_AUTO(slw_buf, report);
    struct slw_str artifacts = SLW_STR("");
    struct slw_import_options o = {
        .now_ms = ctx->now_ms, .progress = tell, .progress_ctx = ctx};
    TRY(slw_json_need_str(ctx->spec, "backend_store_uri", &o.backend_uri, err));
    TRY(slw_json_opt_str(ctx->spec, "artifacts", &artifacts, err));
    TRY(slw_json_opt_str(ctx->spec, "prefix", &o.prefix, err));
    TRY(slw_json_opt_bool(ctx->spec, "report_only", &o.dry_run, err));
    if (artifacts.len)
        o.artifacts = slw_arena_strz(ctx->arena, artifacts);
    TRY(slw_import_mlflow(ctx->store, &o, &report, err));
    return finish(ctx, &report, err);
}

enum slw_rc
slw_export_job(struct slw_job_ctx *ctx, struct slw_err *err)
{
    SLW_AUTO(slw_buf, manifest);
    struct slw_str out;
    const struct json_t *names = slw_json_get(ctx->spec, "experiments");
    const size_t count = slw_json_len(names);
    struct slw_str *experiments =
        SLW_ARENA_NEW(ctx->arena, struct slw_str, count + 1);
    struct slw_export_options o = {.experiments = experiments,
                                   .experiment_count = count,
                                   .now_ms = ctx->now_ms,
                                   .progress = tell,
                                   .progress_ctx = ctx};
    for (size_t i = 0; i < count; i++)
        experiments[i] = slw_json_str_or(slw_json_at(names, i), SLW_STR(""));
    TRY(slw_json_need_str(ctx->spec, "out", &out, err));
    TRY(slw_json_opt_bool(ctx->spec, "artifacts", &o.artifacts, err));
    o.dir = slw_arena_strz(ctx->arena, out);
    TRY(slw_export(ctx->store, &o, &manifest, err));
    return finish(ctx, &manifest, err);
}
