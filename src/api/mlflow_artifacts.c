/* mlflow_artifacts.c -- files of runs and models: MLflow's artifact proxy.
 * Bytes arrive in a temporary file, become a blob, and get their path in one
 * row; small ones are answered from memory, large ones chunk by chunk. */
#include "api/mlflow_internal.h"
#include "api/routes.h"
#include "store/blob.h"

#define SEND_INLINE_SIZE_MAX ((int64_t)1 << 20)

static const char *
media_type(struct slw_str path)
{
    static const struct {
        const char *end, *type;
    } types[] = {{".json", "application/json"}, {".txt", "text/plain"},
                 {".log", "text/plain"},        {".csv", "text/plain"},
                 {".md", "text/plain"},         {".py", "text/plain"},
                 {".yaml", "text/plain"},       {".yml", "text/plain"},
                 {"MLmodel", "text/plain"},     {".html", "text/html"},
                 {".png", "image/png"},         {".jpg", "image/jpeg"},
                 {".jpeg", "image/jpeg"},       {".gif", "image/gif"},
                 {".svg", "image/svg+xml"},     {".pdf", "application/pdf"}};
    for (size_t i = 0; i < SLW_ARRAY_LEN(types); i++) {
        if (slw_str_ends(path, types[i].end))
            return types[i].type;
    }
    return "application/octet-stream";
}

/* attachment; filename="…": plain characters as they are, the rest as RFC
 * 5987 wants them. */
static struct slw_str
disposition(struct slw_arena *a, struct slw_str path)
{
    size_t from = path.len;
    while (from > 0 && path.ptr[from - 1] != '/')
        from--;
    SLW_AUTO(slw_buf, plain);
    SLW_AUTO(slw_buf, coded);
    for (size_t i = from; i < path.len; i++) {
        unsigned char c = (unsigned char)path.ptr[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    (c >= '0' && c <= '9') || (c && strchr("._-", c));
        slw_buf_char(&plain, c < 0x20 || c > 0x7e || c == '"' || c == '\\'
                                 ? '_'
                                 : (char)c);
        if (word)
            slw_buf_char(&coded, (char)c);
        else
            slw_buf_printf(&coded, "%%%02X", c);
    }
    return slw_arena_printf(a,
                            "attachment; filename=\"%.*s\"; "
                            "filename*=UTF-8''%.*s",
                            SLW_FMT(slw_buf_view(&plain)),
                            SLW_FMT(slw_buf_view(&coded)));
}

/* ---- large files are unpacked while they are sent ---- */

static enum slw_rc
blob_read(void *ctx, int64_t at, char *out, size_t most, size_t *out_len,
          struct slw_err *err)
{
    return slw_blob_read(ctx, at, out, most, out_len, err);
}

static void
blob_close(void *ctx)
{
    slw_blob_close(ctx);
}

static enum slw_rc
file_send(struct slw_http_req *req, struct slw_http_res *res,
          struct slw_str path, struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    struct slw_artifact file;
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, api->store, err));
        TRY(slw_track_file_get(&tx, path, req->arena, &file, err));
    }
    const char *hash = slw_arena_strz(req->arena, file.blob);
    const bool is_part = slw_http_head(req, "Range").ptr != NULL;
    if (file.size <= SEND_INLINE_SIZE_MAX && !is_part) {
        TRY(slw_blob_get(api->store, hash, &res->body, err));
        slw_http_header_add(res, "Accept-Ranges", SLW_STR("bytes"));
    } else {
        struct slw_blob_reader *blob = NULL;
        TRY(slw_blob_open(api->store, hash, &blob, err));
        res->source =
            (struct slw_http_source){.size = slw_blob_reader_size(blob),
                                     .read = blob_read,
                                     .close = blob_close,
                                     .ctx = blob};
    }
    res->content_type = media_type(path);
    slw_http_header_add(res, "ETag",
                        slw_arena_printf(req->arena, "\"%s\"", hash));
    slw_http_header_add(res, "Content-Disposition",
                        disposition(req->arena, path));
    return SLW_OK;
}

enum slw_rc
api_mlflow_artifact_get(struct slw_http_req *req, struct slw_http_res *res,
                        struct slw_err *err)
{
    return file_send(req, res, slw_http_var(req, "path"), err);
}

static enum slw_rc
store_upload(struct slw_http_req *req, struct slw_str path, struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    struct slw_blob_info info;
    if (!slw_track_path_ok(path))
        return slw_fail(err, SLW_INVALID, "Invalid path");
    TRY(slw_blob_put_file(api->store, req->upload_path, &info, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_track_file_put(&tx, path, slw_str_of(info.hash), info.size, err));
    return slw_tx_commit(&tx, err);
}

enum slw_rc
api_mlflow_artifact_put(struct slw_http_req *req, struct slw_http_res *res,
                        struct slw_err *err)
{
    TRY(store_upload(req, slw_http_var(req, "path"), err));
    return mlf_empty(res);
}

enum slw_rc
api_mlflow_artifact_delete(struct slw_http_req *req, struct slw_http_res *res,
                           struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, mlf_api(req)->store, err));
    TRY(slw_track_file_remove(&tx, slw_http_var(req, "path"), err));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}

static struct slw_str
without_slash(struct slw_str path)
{
    while (path.len && path.ptr[path.len - 1] == '/')
        path.len--;
    return path;
}

enum slw_rc
api_mlflow_artifacts_list(struct slw_http_req *req, struct slw_http_res *res,
                          struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    struct slw_artifact *files = NULL;
    size_t count = 0;
    struct slw_str path = without_slash(slw_http_query(req, "path"));
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    TRY(slw_track_file_list(&tx, path, req->arena, &files, &count, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    mlf_write_files(&w, files, count, SLW_STR(""));
    slw_jw_obj_end(&w);
    return SLW_OK;
}

/* "<root>/<path>"; a path that leaves its root is refused. */
static enum slw_rc
below(struct slw_arena *a, struct slw_str root, struct slw_str path,
      struct slw_str *out, struct slw_err *err)
{
    path = without_slash(path);
    if (path.len == 0) {
        *out = root;
        return SLW_OK;
    }
    if (!slw_track_path_ok(path))
        return slw_fail(err, SLW_INVALID, "Invalid path");
    *out = slw_arena_printf(a, "%.*s/%.*s", SLW_FMT(root), SLW_FMT(path));
    return SLW_OK;
}

static enum slw_rc
answer_list(struct slw_tx *tx, struct slw_http_req *req,
            struct slw_http_res *res, struct slw_str uri, struct slw_str path,
            struct slw_err *err)
{
    struct slw_str root = {0}, folder = {0};
    struct slw_artifact *files = NULL;
    size_t count = 0;
    TRY(slw_track_artifact_root(uri, &root, err));
    TRY(below(req->arena, root, path, &folder, err));
    TRY(slw_track_file_list(tx, folder, req->arena, &files, &count, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "root_uri", uri);
    mlf_write_files(&w, files, count, without_slash(path));
    slw_jw_obj_end(&w);
    return SLW_OK;
}

/* artifacts/list: paths relative to the run's root. */
enum slw_rc
api_mlflow_run_artifacts(struct slw_http_req *req, struct slw_http_res *res,
                         struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str run_id = {0}, path = {"", 0};
    struct slw_run run;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_run_id(&in, &run_id, err));
    TRY(mlf_str(&in, "path", &path, err));
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    TRY(slw_track_run_get(&tx, run_id, req->arena, &run, err));
    return answer_list(&tx, req, res, run.artifact_uri, path, err);
}

enum slw_rc
api_mlflow_logged_artifacts(struct slw_http_req *req, struct slw_http_res *res,
                            struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_str path = {"", 0};
    struct slw_logged_model m;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_str(&in, "artifact_directory_path", &path, err));
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    TRY(slw_track_logged_get(&tx, slw_http_var(req, "model_id"), false,
                             req->arena, &m, err));
    return answer_list(&tx, req, res, m.artifact_uri, path, err);
}

/* Path in our tree of a file of a run. */
static enum slw_rc
run_file(struct slw_http_req *req, struct slw_str *out, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    struct slw_str id = slw_http_query(req, "run_id"), root = {0};
    struct slw_str path = slw_http_query(req, "path");
    struct slw_run run;
    if (id.len == 0)
        id = slw_http_query(req, "run_uuid");
    if (id.len == 0)
        return mlf_missing("run_id", err);
    if (path.len == 0)
        return mlf_missing("path", err);
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    TRY(slw_track_run_get(&tx, id, req->arena, &run, err));
    TRY(slw_track_artifact_root(run.artifact_uri, &root, err));
    return below(req->arena, root, path, out, err);
}

/* GET /get-artifact?run_id=&path= */
enum slw_rc
api_mlflow_get_artifact(struct slw_http_req *req, struct slw_http_res *res,
                        struct slw_err *err)
{
    struct slw_str path = {0};
    TRY(run_file(req, &path, err));
    return file_send(req, res, path, err);
}

/* POST /ajax-api/2.0/mlflow/upload-artifact?run_uuid=&path= */
enum slw_rc
api_mlflow_upload_artifact(struct slw_http_req *req, struct slw_http_res *res,
                           struct slw_err *err)
{
    struct slw_str path = {0};
    TRY(run_file(req, &path, err));
    TRY(store_upload(req, path, err));
    return mlf_empty(res);
}

/* GET /model-versions/get-artifact?name=&version=&path= */
enum slw_rc
api_mlflow_get_version_artifact(struct slw_http_req *req,
                                struct slw_http_res *res, struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    struct slw_str name = {0}, path = {0}, uri = {0}, root = {0}, file = {0};
    int64_t version = 0;
    struct slw_version v;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_str(&in, "name", &name, err));
    TRY(mlf_need_version(&in, &version, err));
    TRY(mlf_need_str(&in, "path", &path, err));
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
        TRY(slw_registry_version_get(&tx, name, version, req->arena, &v, err));
        TRY(mlf_download_uri(&tx, req->arena, &v, &uri, err));
    }
    TRY(slw_track_artifact_root(uri, &root, err));
    TRY(below(req->arena, root, path, &file, err));
    return file_send(req, res, file, err);
}
