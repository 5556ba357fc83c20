/* native_migrate.c -- moving in and out, each a job. */
#include "api/api_internal.h"
#include "api/routes.h"
#include "migrate/migrate.h"

/* Paths are of this machine, and a child has another present folder. */
static enum slw_rc
absolute_check(const char *key, struct slw_str path, struct slw_err *err)
{
    if (slw_str_starts(path, "/"))
        return SLW_OK;
    return slw_fail(err, SLW_INVALID,
                    "\"%s\" must be a path from the root of the server's "
                    "machine, not '%.*s'",
                    key, SLW_FMT(path));
}

enum slw_rc
api_imports_start(struct slw_http_req *req, struct slw_http_res *res,
                  struct slw_err *err)
{
    static const char *const known[] = {"backend_store_uri", "artifacts",
                                        "prefix", "report_only"};
    SLW_AUTO(slw_json, body);
    struct slw_str uri, text = SLW_STR("");
    const char *path = NULL;
    bool report_only = false;
    TRY(api_body(req, &body, err));
    TRY(slw_json_only(body.root, known, SLW_ARRAY_LEN(known),
                      "an import has backend_store_uri, artifacts, prefix and "
                      "report_only",
                      err));
    TRY(slw_json_need_str(body.root, "backend_store_uri", &uri, err));
    TRY(slw_json_opt_str(body.root, "prefix", &text, err));
    TRY(slw_json_opt_bool(body.root, "report_only", &report_only, err));
    TRY(slw_import_uri_check(uri, req->arena, &path, err));
    TRY(absolute_check("backend_store_uri", slw_str_of(path), err));
    text = SLW_STR("");
    TRY(slw_json_opt_str(body.root, "artifacts", &text, err));
    if (text.len)
        TRY(absolute_check("artifacts", text, err));
    return api_job_start(req->app, res, "migrate.import", SLW_STR("mlflow"),
                         api_dump(req->arena, body.root), err);
}

enum slw_rc
api_exports_start(struct slw_http_req *req, struct slw_http_res *res,
                  struct slw_err *err)
{
    static const char *const known[] = {"out", "experiments", "artifacts"};
    SLW_AUTO(slw_json, body);
    struct slw_str out;
    bool artifacts = false;
    TRY(api_body(req, &body, err));
    TRY(slw_json_only(body.root, known, SLW_ARRAY_LEN(known),
                      "an export has out, experiments and artifacts", err));
    TRY(slw_json_need_str(body.root, "out", &out, err));
    TRY(absolute_check("out", out, err));
    TRY(slw_json_opt_bool(body.root, "artifacts", &artifacts, err));
    const struct json_t *names = slw_json_get(body.root, "experiments");
    if (names && slw_json_type(names) != SLW_JSON_ARRAY)
        return slw_fail(err, SLW_INVALID,
                        "\"experiments\" must be a list of names");
    for (size_t i = 0; i < slw_json_len(names); i++)
        if (slw_json_type(slw_json_at(names, i)) != SLW_JSON_STR)
            return slw_fail(err, SLW_INVALID,
                            "\"experiments\" must be a list of names");
    return api_job_start(req->app, res, "migrate.export", SLW_STR(""),
                         api_dump(req->arena, body.root), err);
}
