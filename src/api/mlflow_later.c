/* mlflow_later.c -- small writes of the MLflow dialect: read on the event loop,
 * written by the store's writer together with what others sent meanwhile, and
 * answered from there when they are on disk. */
#include "api/mlflow_internal.h"

static enum slw_rc
write_run(struct slw_tx *tx, void *ctx, struct slw_err *err)
{
    struct mlf_write *w = ctx;
    return w->run(tx, w, err);
}

static void
write_done(void *ctx, enum slw_rc rc, const struct slw_err *group_err)
{
    struct mlf_write *w = ctx;
    struct slw_http_res *res = slw_http_res_of(w->req);
    struct slw_err err;
    if (rc != SLW_OK)
        err = *group_err;
    else
        rc = w->answer ? w->answer(w, res, &err) : mlf_empty(res);
    if (w->conflict_is_invalid)
        rc = mlf_as_invalid(rc, SLW_CONFLICT, &err);
    slw_json_done(&w->doc);
    slw_http_answer(w->req, rc, &err); /* w is gone with its request */
}

enum slw_rc
mlf_write_send(struct mlf_write *w, struct mlf_in *in, struct slw_err *err)
{
    struct slw_http_req *req = in->req;
    struct slw_err busy;
    TRY(slw_http_defer(req, err));
    w->req = req;
    w->doc = in->doc;
    in->doc = (struct slw_json){0};
    w->op =
        (struct slw_group_op){.fn = write_run, .ctx = w, .then = write_done};
    const enum slw_rc rc =
        slw_store_group_later(mlf_api(req)->store, &w->op, &busy);
    if (rc != SLW_OK) { /* the connection waits already: answer it */
        slw_json_done(&w->doc);
        slw_http_answer(req, rc, &busy);
    }
    return SLW_OK;
}
