/* refresh_job.c -- after new data: every view's newest rows online, and what
 * really came of past predictions.
 *
 * A label is what the target's SQL gives for a row of its source once it is
 * known.  Labels are derived for the newest stretch of data of each
 * deployment's model (at least FLOW_LABEL_MS, and everything since the last
 * refresh), predicted or not: a prediction may be asked for later.  All of it
 * changes in the transaction that ends the job. */
#include "flow/flow_internal.h"

#include <math.h>

struct labelled {
    struct slw_str deployment, mark;
    struct slw_label *labels;
    size_t count;
    int64_t event_max_ms; /* of the source; INT64_MIN: nothing to label */
};

struct refresh {
    struct slw_job_ctx *ctx;
    int64_t at_ms;
    struct slw_json pins;
    struct labelled *list;
    size_t count;
};

static void
refresh_done(struct refresh *r)
{
    slw_json_done(&r->pins);
}

/* From where on: the newest stretch, or the last refresh if that is longer
 * ago. */
static enum slw_rc
range_of(struct refresh *r, struct slw_str source, const struct labelled *l,
         int64_t *from_ms, int64_t *to_ms, struct slw_err *err)
{
    int64_t last_ms = 0;
    struct slw_dataset d;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, r->ctx->store, err));
    TRY(slw_data_get_at(&tx, source, r->at_ms, r->ctx->arena, &d, err));
    TRY(flow_mark_get(&tx, l->mark, &last_ms, err));
    *to_ms = d.event_max_ms;
    *from_ms = d.event_max_ms - FLOW_LABEL_MS;
    if (last_ms != 0 && last_ms - FLOW_LABEL_MS / 2 < *from_ms)
        *from_ms = last_ms - FLOW_LABEL_MS / 2;
    return SLW_OK;
}

static void
labels_take(struct refresh *r, const struct slw_frame *f, struct labelled *l)
{
    l->labels =
        SLW_ARENA_NEW(r->ctx->arena, struct slw_label, f->row_count + 1);
    for (size_t i = 0; i < f->row_count; i++)
        if (isfinite(f->y[i]) && f->label_known_ms[i] <= r->at_ms)
            l->labels[l->count++] =
                (struct slw_label){.key = f->entity[i],
                                   .event_ms = f->event_ms[i],
                                   .value = f->y[i],
                                   .known_ms = f->label_known_ms[i]};
}

static enum slw_rc
deployment_label(struct refresh *r, const struct slw_deployment *d,
                 struct labelled *l, struct slw_err *err)
{
    struct slw_frame frame;
    SLW_AUTO(slw_json, release);
    SLW_AUTO(slw_json, none);
    TRY(slw_json_parse(&none, SLW_STR("[]"), err));
    TRY(slw_release_get(r->ctx->store,
                        slw_arena_strz(r->ctx->arena, d->champion), &release,
                        err));
    const struct json_t *target = slw_json_get(release.root, "target");
    struct slw_frame_spec spec = {.pins = r->pins.root,
                                  .views = none.root,
                                  .as_of_ms = r->at_ms,
                                  .extra_sql = SLW_STR(""),
                                  .memo = r->ctx->memo};
    if (!target) /* imported: nobody said what its labels are */
        return SLW_OK;
    TRY(slw_json_need_str(target, "of", &spec.spine_source, err));
    TRY(slw_json_need_str(target, "sql", &spec.target_sql, err));
    TRY(slw_json_opt_i64(target, "known_after_ms", &spec.known_after_ms, err));
    const enum slw_rc rc =
        range_of(r, spec.spine_source, l, &spec.from_ms, &spec.to_ms, err);
    if (rc == SLW_NOT_FOUND) /* no data of it yet */
        return SLW_OK;
    TRY(rc);
    TRY(slw_features_frame(r->ctx->store, &spec, r->ctx->arena, &frame, err));
    labels_take(r, &frame, l);
    l->event_max_ms = spec.to_ms;
    return SLW_OK;
}

static enum slw_rc
labels_derive(struct refresh *r, struct slw_err *err)
{
    struct slw_deployment *all = NULL;
    size_t count = 0;
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, r->ctx->store, err));
        TRY(slw_serve_list(&tx, r->ctx->arena, &all, &count, err));
    }
    r->list = SLW_ARENA_NEW(r->ctx->arena, struct labelled, count + 1);
    for (size_t i = 0; i < count; i++) {
        if (all[i].champion.len == 0)
            continue;
        struct labelled *l = &r->list[r->count++];
        *l = (struct labelled){.deployment = all[i].name,
                               .mark =
                                   slw_arena_printf(r->ctx->arena, "label/%.*s",
                                                    SLW_FMT(all[i].name)),
                               .event_max_ms = INT64_MIN};
        slw_job_progress(r->ctx, 0.5 + 0.4 * (double)i / (double)count,
                         "labels of %.*s", SLW_FMT(all[i].name));
        if (deployment_label(r, &all[i], l, err) != SLW_OK)
            return slw_err_prefix(err,
                                  "labels of '%.*s': ", SLW_FMT(all[i].name));
    }
    return SLW_OK;
}

static enum slw_rc
labels_write(struct refresh *r, struct slw_tx *tx, struct slw_jw *w,
             struct slw_err *err)
{
    slw_jw_key(w, "labels");
    slw_jw_obj(w);
    for (size_t i = 0; i < r->count; i++) {
        const struct labelled *l = &r->list[i];
        int64_t changed = 0;
        if (l->event_max_ms == INT64_MIN)
            continue;
        TRY(slw_monitor_labels_put(tx, l->deployment, l->labels, l->count,
                                   &changed, err));
        TRY(flow_mark_put(tx, l->mark, l->event_max_ms, err));
        slw_jw_keys(w, l->deployment);
        slw_jw_i64(w, changed);
    }
    slw_jw_obj_end(w);
    return SLW_OK;
}

enum slw_rc
slw_flow_refresh_job(struct slw_job_ctx *ctx, struct slw_err *err)
{
    struct slw_materialized views = {0};
    SLW_AUTO(refresh, r);
    r.ctx = ctx;
    r.at_ms = ctx->now_ms;
    TRY(slw_json_opt_i64(ctx->spec, "at_ms", &r.at_ms, err));
    /* A rehearsal takes its rows from the frames of its memo. */
    if (!ctx->memo)
        TRY(slw_features_materialize(ctx, r.at_ms, true, &views, err));
    TRY(flow_pins_at(ctx->store, r.at_ms, &r.pins, NULL, err));
    TRY(labels_derive(&r, err));
    SLW_AUTO(slw_buf, result);
    struct slw_jw w;
    slw_jw_init(&w, &result);
    slw_jw_obj(&w);
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, ctx->store, err));
    slw_jw_key(&w, "views");
    TRY(slw_features_materialized_put(&tx, ctx->now_ms, &views, &w, err));
    TRY(labels_write(&r, &tx, &w, err));
    slw_jw_obj_end(&w);
    TRY(slw_job_finish(ctx, &tx, slw_buf_view(&result), err));
    return slw_tx_commit(&tx, err);
}
