/* rows.c -- rows of one request, answered. */
#include "api/api_internal.h"
#include "api/serving.h"

static enum slw_rc
answer_each(struct slw_api *api, const struct slw_serving *v,
            const struct api_rows *rows, struct slw_predict_in *in,
            struct slw_http_req *req, double *y, struct slw_predict_out *first,
            bool *mixed, struct slw_err *err)
{
    const size_t column_count = v->signature->column_count;
    for (size_t i = 0; i < rows->count; i++) {
        struct slw_predict_out out = {.y = y + i};
        in->row_count = rows->x ? 1 : 0;
        in->x = rows->x ? rows->x + i * column_count : NULL;
        if (rows->keys)
            in->key = rows->keys[i];
        if (rows->event_ms)
            in->event_ms = rows->event_ms[i];
        enum slw_rc rc =
            slw_serving_predict(api->serve, v, in, req->arena, &out, err);
        if (rc != SLW_OK && rows->count > 1)
            return slw_err_prefix(err, "row %zu: ", i);
        TRY(rc);
        if (i == 0)
            *first = out;
        *mixed |= out.version != first->version || out.by != first->by;
    }
    return SLW_OK;
}

enum slw_rc
api_rows_answer(struct slw_api *api, const struct slw_serving *v,
                const struct api_rows *rows, struct slw_http_req *req,
                double *y, struct slw_predict_out *first, bool *mixed,
                struct slw_err *err)
{
    *mixed = false;
    *first = (struct slw_predict_out){.version = v->version, .reason = ""};
    if (rows->count == 0)
        return SLW_OK;
    struct slw_predict_in in = {.key = rows->key,
                                .sticky = rows->sticky,
                                .id = rows->id,
                                .event_ms = rows->at_ms,
                                .begin_mono_ns = req->begin_mono_ns,
                                .column_count = v->signature->column_count,
                                .version = rows->version};
    if (!rows->x && !rows->keys && rows->key.len == 0)
        return slw_fail(err, SLW_INVALID,
                        "send the columns, or the %.*s to look them up by",
                        SLW_FMT(v->entity));
    if (!rows->x && rows->count > API_LOOKUP_MAX)
        return slw_fail(err, SLW_INVALID,
                        "%zu lookups in one request, at most %d are made",
                        rows->count, API_LOOKUP_MAX);
    if (!rows->x || rows->keys || rows->event_ms)
        return answer_each(api, v, rows, &in, req, y, first, mixed, err);
    struct slw_predict_out out = {.y = y};
    in.x = rows->x;
    in.row_count = rows->count;
    TRY(slw_serving_predict(api->serve, v, &in, req->arena, &out, err));
    *first = out;
    return SLW_OK;
}
