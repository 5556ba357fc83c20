/* mlflow_misc.c -- what clients ask about the server itself, and what is
 * known but not offered: traces, prompts, scorers, gateway and the like. */
#include "api/mlflow_internal.h"
#include "api/routes.h"

enum slw_rc
api_mlflow_server_info(struct slw_http_req *req, struct slw_http_res *res,
                       struct slw_err *err)
{
    static const char *const no[] = {"workspaces_enabled",
                                     "trace_archival_enabled",
                                     "multipart_uploads_enabled",
                                     "multipart_downloads_enabled",
                                     "presigned_upload_run_id_supported",
                                     "presigned_upload_model_id_supported"};
    (void)req;
    (void)err;
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "store_type", "SqlStore");
    for (size_t i = 0; i < SLW_ARRAY_LEN(no); i++)
        slw_jw_kbool(&w, no[i], false);
    slw_jw_key(&w, "features_enabled");
    slw_jw_obj(&w);
    slw_jw_kbool(&w, "gateway", false);
    slw_jw_obj_end(&w);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_mlflow_not_offered(struct slw_http_req *req, struct slw_http_res *res,
                       struct slw_err *err)
{
    (void)res;
    return slw_fail(err, SLW_UNSUPPORTED,
                    "%.*s is part of MLflow that this server does not offer "
                    "(traces, prompts, scorers, gateway, multipart and "
                    "presigned transfers)",
                    SLW_FMT(slw_track_cut(req->path, 200)));
}

enum slw_rc
mlf_no_prompt(const struct slw_kv *tags, size_t count, struct slw_err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (slw_str_eqz(tags[i].key, "mlflow.prompt.is_prompt") &&
            slw_str_same(tags[i].value, SLW_STR("true")))
            return slw_fail(err, SLW_UNSUPPORTED,
                            "the prompt registry is part of MLflow that this "
                            "server does not offer");
    }
    return SLW_OK;
}
