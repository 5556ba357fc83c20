/* reproduce_job.c -- build a version again from its release and compare. */
#include "flow/flow_internal.h"

#include "store/event.h"

/* The release of {"model", "version"}. */
static enum slw_rc
release_of(struct slw_job_ctx *ctx, struct slw_str model,
           struct slw_version *out, struct slw_json *release,
           struct slw_err *err)
{
    int64_t version = 0;
    TRY(slw_json_opt_i64(ctx->spec, "version", &version, err));
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, ctx->store, err));
        TRY(slw_registry_version_get(&tx, model, version, ctx->arena, out,
                                     err));
    }
    if (out->release.len == 0)
        return slw_fail(err, SLW_CONFLICT,
                        "version %lld of '%.*s' was registered without a"
                        " release: there are no pins to build it from",
                        (long long)out->version, SLW_FMT(model));
    return slw_release_get(ctx->store, slw_arena_strz(ctx->arena, out->release),
                           release, err);
}

enum slw_rc
slw_flow_reproduce_job(struct slw_job_ctx *ctx, struct slw_err *err)
{
    struct slw_str model;
    struct slw_version version;
    SLW_AUTO(slw_json, release);
    SLW_AUTO(slw_buf, result);
    struct slw_jw w;
    TRY(slw_json_need_str(ctx->spec, "model", &model, err));
    TRY(release_of(ctx, model, &version, &release, err));
    slw_jw_init(&w, &result);
    TRY(slw_train_reproduce(ctx, release.root, &w, err));
    TRY(slw_buf_check(&result, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, ctx->store, err));
    TRY(slw_event_emit(&tx, ctx->now_ms, "flow.reproduced",
                       slw_arena_printf(ctx->arena, "%.*s/%lld", SLW_FMT(model),
                                        (long long)version.version),
                       slw_buf_view(&result), err));
    TRY(slw_job_finish(ctx, &tx, slw_buf_view(&result), err));
    return slw_tx_commit(&tx, err);
}
