/* mlflow_artifacts.c -- files of runs and models: MLflow's artifact proxy.
 *
 * Bytes arrive in a temporary file, become a blob, and get their path in one
 * row; small ones are answered from memory, large ones chunk by chunk.  With
 * --artifacts-destination they lie there instead, as plain files; what was
 * stored before is still found in the store.  Artifacts at the
 * --default-artifact-root are written by clients: here they are listed and
 * served. */
#include "api/mlflow_internal.h"
#include "api/routes.h"
#include "base/file.h"
#include "net/client.h"
#include "store/blob.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* Where an artifact lies. */
struct spot {
    struct slw_place *place; /* NULL: in our own tree */
    struct slw_str path;
};

static struct spot
spot_proxied(struct slw_http_req *req, struct slw_str path)
{
    return (struct spot){mlf_api(req)->destination, path};
}

/* What was stored before there was a destination lies in our tree. */
static bool
may_be_older(struct slw_http_req *req, const struct spot *s)
{
    return s->place && s->place == mlf_api(req)->destination;
}

static struct spot
older(const struct spot *s)
{
    return (struct spot){NULL, s->path};
}

static enum slw_rc
spot_of_uri(struct slw_http_req *req, struct slw_str uri, struct spot *out,
            struct slw_err *err)
{
    const struct slw_api *api = mlf_api(req);
    struct slw_place *const places[] = {api->artifact_root, api->destination};
    for (size_t i = 0; i < SLW_ARRAY_LEN(places); i++) {
        struct slw_str path = {"", 0};
        if (places[i] && slw_place_holds(places[i], uri, &path)) {
            *out = (struct spot){places[i], path};
            return SLW_OK;
        }
    }
    struct slw_str root = {0};
    TRY(slw_track_artifact_root(uri, &root, err));
    *out = spot_proxied(req, root);
    return SLW_OK;
}

static struct slw_str
without_slash(struct slw_str path)
{
    while (path.len && path.ptr[path.len - 1] == '/')
        path.len--;
    return path;
}

/* "<root>/<path>"; a path that leaves its root is refused. */
static enum slw_rc
below(struct slw_arena *a, const struct spot *root, struct slw_str path,
      struct spot *out, struct slw_err *err)
{
    path = without_slash(path);
    *out = *root;
    if (path.len == 0)
        return SLW_OK;
    if (!slw_track_path_ok(path))
        return slw_fail(err, SLW_INVALID, "Invalid path");
    out->path = root->path.len
                    ? slw_arena_printf(a, "%.*s/%.*s", SLW_FMT(root->path),
                                       SLW_FMT(path))
                    : path;
    return SLW_OK;
}

/* ---- sending ---- */

static enum slw_rc
tree_send(struct slw_http_req *req, struct slw_http_res *res,
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
    slw_http_header_add(res, "ETag",
                        slw_arena_printf(req->arena, "\"%s\"", hash));
    return SLW_OK;
}

/* ---- of a folder ---- */

static enum slw_rc
fd_read(void *ctx, int64_t at, char *out, size_t most, size_t *out_len,
        struct slw_err *err)
{
    ssize_t n;
    do
        n = pread(*(const int *)ctx, out, most, at);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return slw_fail(err, SLW_IO, "the file %s",
                        n < 0 ? strerror(errno) : "was cut meanwhile");
    *out_len = (size_t)n;
    return SLW_OK;
}

static void
fd_close(void *ctx)
{
    (void)close(*(int *)ctx);
    slw_free(ctx);
}

static enum slw_rc
folder_send(struct slw_http_req *req, struct slw_http_res *res,
            const struct spot *s, struct slw_err *err)
{
    struct stat st;
    int fd = -1;
    int64_t size = 0;
    TRY(slw_place_open_file(s->place, s->path, &fd, &size, err));
    int *kept = slw_alloc(sizeof *kept);
    *kept = fd;
    res->source = (struct slw_http_source){
        .size = size, .read = fd_read, .close = fd_close, .ctx = kept};
    if (fstat(fd, &st) == 0)
        slw_http_header_add(
            res, "ETag",
            slw_arena_printf(
                req->arena, "\"%llx-%llx-%llx\"", (unsigned long long)st.st_ino,
                (unsigned long long)st.st_mtim.tv_sec * 1000000000 +
                    (unsigned long long)st.st_mtim.tv_nsec,
                (unsigned long long)size));
    return SLW_OK;
}

/* ---- of a bucket ---- */

/* The bucket answers range requests itself; there is no such part where it
 * says LIMIT. */
static enum slw_rc
no_part(struct slw_http_req *req, struct slw_http_res *res,
        const struct spot *s, struct slw_err *err)
{
    struct slw_place_got got = {0};
    TRY(slw_place_look(s->place, s->path, req->arena, &got, err));
    res->status = 416;
    slw_http_header_add(
        res, "Content-Range",
        slw_arena_printf(req->arena, "bytes */%lld", (long long)got.size));
    return SLW_OK;
}

static enum slw_rc
bucket_send(struct slw_http_req *req, struct slw_http_res *res,
            const struct spot *s, struct slw_err *err)
{
    struct slw_place_got got = {0};
    const char *to =
        slw_path(req->arena, mlf_api(req)->data_dir, "tmp/down-%s", req->id);
    const enum slw_rc rc = slw_place_fetch(
        s->place, s->path, slw_http_head(req, "Range"),
        slw_http_head(req, "If-Range"), to, req->arena, &got, err);
    if (rc == SLW_LIMIT)
        return no_part(req, res, s, err);
    TRY(rc);
    res->file_path = to;
    res->file_once = true;
    if (got.tag.len)
        slw_http_header_add(res, "ETag", got.tag);
    if (got.part) {
        res->status = 206; /* the file is the part: no range of it is taken */
        slw_http_header_add(res, "Content-Range", got.content_range);
    }
    return SLW_OK;
}

static enum slw_rc
file_send(struct slw_http_req *req, struct slw_http_res *res,
          const struct spot *s, struct slw_err *err)
{
    enum slw_rc rc = SLW_NOT_FOUND;
    if (!slw_track_path_ok(s->path))
        return slw_fail(err, SLW_INVALID, "Invalid path");
    if (s->place)
        rc = slw_place_is_s3(s->place) ? bucket_send(req, res, s, err)
                                       : folder_send(req, res, s, err);
    if (rc == SLW_NOT_FOUND && (!s->place || may_be_older(req, s)))
        rc = tree_send(req, res, s->path, err);
    TRY(rc);
    res->content_type = media_type(s->path);
    slw_http_header_add(res, "Content-Disposition",
                        disposition(req->arena, s->path));
    return SLW_OK;
}

enum slw_rc
api_mlflow_artifact_get(struct slw_http_req *req, struct slw_http_res *res,
                        struct slw_err *err)
{
    const struct spot s = spot_proxied(req, slw_http_var(req, "path"));
    return file_send(req, res, &s, err);
}

/* ---- storing and removing ---- */

/* The temporary file is there until the row is: collections look at it.  It
 * goes here, on a worker, since a large one takes the disk a while. */
static enum slw_rc
store_upload(struct slw_http_req *req, const struct spot *s,
             struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    struct slw_blob_info info;
    if (!slw_track_path_ok(s->path))
        return slw_fail(err, SLW_INVALID, "Invalid path");
    if (s->place) {
        TRY(slw_place_put(s->place, s->path, req->upload_path, req->upload_size,
                          req->upload_sha256, err));
    } else {
        TRY(slw_blob_put_file(api->store, req->upload_path, &info, err));
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_begin(&tx, api->store, err));
        TRY(slw_track_file_put(&tx, s->path, slw_str_of(info.hash), info.size,
                               err));
        TRY(slw_tx_commit(&tx, err));
    }
    (void)unlink(req->upload_path);
    return SLW_OK;
}

enum slw_rc
api_mlflow_artifact_put(struct slw_http_req *req, struct slw_http_res *res,
                        struct slw_err *err)
{
    const struct spot s = spot_proxied(req, slw_http_var(req, "path"));
    TRY(store_upload(req, &s, err));
    return mlf_empty(res);
}

static enum slw_rc
tree_remove(struct slw_http_req *req, struct slw_str path, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, mlf_api(req)->store, err));
    TRY(slw_track_file_remove(&tx, path, err));
    return slw_tx_commit(&tx, err);
}

enum slw_rc
api_mlflow_artifact_delete(struct slw_http_req *req, struct slw_http_res *res,
                           struct slw_err *err)
{
    const struct spot s = spot_proxied(req, slw_http_var(req, "path"));
    enum slw_rc rc = SLW_NOT_FOUND;
    if (!slw_track_path_ok(s.path))
        return slw_fail(err, SLW_INVALID, "Invalid path");
    if (s.place)
        rc = slw_place_remove(s.place, s.path, err);
    if (rc == SLW_NOT_FOUND)
        rc = tree_remove(req, s.path, err);
    TRY(rc);
    return mlf_empty(res);
}

/* ---- lists ---- */

static enum slw_rc
list_read(struct slw_http_req *req, const struct spot *s,
          struct slw_artifact **out, size_t *out_count, struct slw_err *err)
{
    if (s->path.len && !slw_track_path_ok(s->path))
        return slw_fail(err, SLW_INVALID, "Invalid path");
    if (s->place) {
        TRY(slw_place_list(s->place, s->path, req->arena, out, out_count, err));
        if (*out_count || !may_be_older(req, s))
            return SLW_OK;
    }
    const struct spot tree = older(s);
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    return slw_track_file_list(&tx, tree.path, req->arena, out, out_count, err);
}

enum slw_rc
api_mlflow_artifacts_list(struct slw_http_req *req, struct slw_http_res *res,
                          struct slw_err *err)
{
    struct slw_artifact *files = NULL;
    size_t count = 0;
    const struct spot s =
        spot_proxied(req, without_slash(slw_http_query(req, "path")));
    TRY(list_read(req, &s, &files, &count, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    mlf_write_files(&w, files, count, SLW_STR(""));
    slw_jw_obj_end(&w);
    return SLW_OK;
}

static enum slw_rc
answer_list(struct slw_http_req *req, struct slw_http_res *res,
            struct slw_str uri, struct slw_str path, struct slw_err *err)
{
    struct spot root, folder;
    struct slw_artifact *files = NULL;
    size_t count = 0;
    TRY(spot_of_uri(req, uri, &root, err));
    TRY(below(req->arena, &root, path, &folder, err));
    TRY(list_read(req, &folder, &files, &count, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "root_uri", uri);
    mlf_write_files(&w, files, count, without_slash(path));
    slw_jw_obj_end(&w);
    return SLW_OK;
}

static enum slw_rc
run_uri(struct slw_http_req *req, struct slw_str id, struct slw_str *out,
        struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    struct slw_run run;
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    TRY(slw_track_run_get(&tx, id, req->arena, &run, err));
    *out = run.artifact_uri;
    return SLW_OK;
}

static enum slw_rc
model_uri(struct slw_http_req *req, struct slw_str id, struct slw_str *out,
          struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    struct slw_logged_model m;
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    TRY(slw_track_logged_get(&tx, id, false, req->arena, &m, err));
    *out = m.artifact_uri;
    return SLW_OK;
}

/* artifacts/list: paths relative to the run's root. */
enum slw_rc
api_mlflow_run_artifacts(struct slw_http_req *req, struct slw_http_res *res,
                         struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    struct slw_str run_id = {0}, path = {"", 0}, uri = {0};
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_run_id(&in, &run_id, err));
    TRY(mlf_str(&in, "path", &path, err));
    TRY(run_uri(req, run_id, &uri, err));
    return answer_list(req, res, uri, path, err);
}

enum slw_rc
api_mlflow_logged_artifacts(struct slw_http_req *req, struct slw_http_res *res,
                            struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    struct slw_str path = {"", 0}, uri = {0};
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_str(&in, "artifact_directory_path", &path, err));
    TRY(model_uri(req, slw_http_var(req, "model_id"), &uri, err));
    return answer_list(req, res, uri, path, err);
}

/* Where a file of a run lies. */
static enum slw_rc
run_file(struct slw_http_req *req, struct spot *out, struct slw_err *err)
{
    struct slw_str id = slw_http_query(req, "run_id"), uri = {0};
    struct slw_str path = slw_http_query(req, "path");
    struct spot root;
    if (id.len == 0)
        id = slw_http_query(req, "run_uuid");
    if (id.len == 0)
        return mlf_missing("run_id", err);
    if (path.len == 0)
        return mlf_missing("path", err);
    TRY(run_uri(req, id, &uri, err));
    TRY(spot_of_uri(req, uri, &root, err));
    return below(req->arena, &root, path, out, err);
}

/* GET /get-artifact?run_id=&path= */
enum slw_rc
api_mlflow_get_artifact(struct slw_http_req *req, struct slw_http_res *res,
                        struct slw_err *err)
{
    struct spot s;
    TRY(run_file(req, &s, err));
    return file_send(req, res, &s, err);
}

/* POST /ajax-api/2.0/mlflow/upload-artifact?run_uuid=&path= */
enum slw_rc
api_mlflow_upload_artifact(struct slw_http_req *req, struct slw_http_res *res,
                           struct slw_err *err)
{
    struct spot s;
    TRY(run_file(req, &s, err));
    TRY(store_upload(req, &s, err));
    return mlf_empty(res);
}

/* GET /model-versions/get-artifact?name=&version=&path= */
enum slw_rc
api_mlflow_get_version_artifact(struct slw_http_req *req,
                                struct slw_http_res *res, struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    struct slw_str name = {0}, path = {0}, uri = {0};
    struct spot root, file;
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
    TRY(spot_of_uri(req, uri, &root, err));
    TRY(below(req->arena, &root, path, &file, err));
    return file_send(req, res, &file, err);
}

/* ---- transfers past the server: buckets only ---- */

static const char NO_PARTS_UP[] =
    "Multipart upload is not supported for the current artifact repository";
static const char NO_PARTS_DOWN[] =
    "Multipart download is not supported for the current artifact repository";
static const char NO_PRESIGNED_UP[] =
    "Presigned upload is not supported for the current artifact repository";
static const char NO_PRESIGNED_DOWN[] =
    "Presigned download is not supported for the current artifact repository";

#define PART_COUNT_MAX 10000
#define PART_SECONDS 3600
#define DOWN_SECONDS 300
#define UP_SECONDS 900

static enum slw_rc
need_bucket(const struct slw_place *p, const char *sentence,
            struct slw_err *err)
{
    if (p && slw_place_is_s3(p))
        return SLW_OK;
    return slw_fail(err, SLW_UNSUPPORTED, "%s", sentence);
}

/* The name of a client's file behind the folder that the path names. */
static enum slw_rc
part_spot(struct slw_http_req *req, struct mlf_in *in, struct slw_str folder,
          struct spot *out, struct slw_err *err)
{
    struct slw_str local = {0};
    const struct spot root = spot_proxied(req, folder);
    TRY(need_bucket(root.place, NO_PARTS_UP, err));
    if (!slw_track_path_ok(folder))
        return slw_fail(err, SLW_INVALID, "Invalid path");
    TRY(mlf_need_str(in, "path", &local, err));
    return below(req->arena, &root, slw_path_name(local), out, err);
}

static enum slw_rc
parts_begin(struct slw_http_req *req, struct slw_http_res *res,
            struct mlf_in *in, const struct spot *s, struct slw_err *err)
{
    struct slw_str id = {0};
    int64_t count = 1;
    SLW_AUTO(slw_buf, query);
    TRY(mlf_i64(in, "num_parts", &count, err));
    if (count < 1 || count > PART_COUNT_MAX)
        return slw_fail(err, SLW_INVALID,
                        "num_parts must be between 1 and %d (got %lld).",
                        PART_COUNT_MAX, (long long)count);
    TRY(slw_place_parts_begin(s->place, s->path, req->arena, &id, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "upload_id", id);
    slw_jw_key(&w, "credentials");
    slw_jw_arr(&w);
    for (int64_t i = 1; i <= count; i++) {
        const char *url = NULL;
        slw_buf_clear(&query);
        slw_buf_printf(&query, "partNumber=%lld&uploadId=", (long long)i);
        slw_url_encode(&query, id);
        TRY(slw_place_presign(s->place, "PUT", s->path, query.ptr, NULL,
                              PART_SECONDS, req->arena, &url, err));
        slw_jw_obj(&w);
        slw_jw_kz(&w, "url", url);
        slw_jw_ki64(&w, "part_number", i);
        slw_jw_key(&w, "headers");
        slw_jw_obj(&w);
        slw_jw_obj_end(&w);
        slw_jw_obj_end(&w);
    }
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

static enum slw_rc
parts_end(struct slw_http_req *req, struct mlf_in *in, const struct spot *s,
          struct slw_str id, struct slw_err *err)
{
    const struct json_t *list = NULL;
    TRY(mlf_array(in, "parts", &list, err));
    const size_t count = slw_json_len(list);
    if (count == 0)
        return mlf_missing("parts", err);
    struct slw_place_part *parts =
        SLW_ARENA_NEW(req->arena, struct slw_place_part, count);
    for (size_t i = 0; i < count; i++) {
        const struct json_t *o = slw_json_at(list, i);
        parts[i].number = slw_json_i64_or(slw_json_get(o, "part_number"), 0);
        parts[i].tag = slw_json_str_or(slw_json_get(o, "etag"), SLW_STR(""));
        if (parts[i].number < 1 || parts[i].tag.len == 0)
            return slw_fail(err, SLW_INVALID,
                            "Invalid value for parameter 'parts': each needs "
                            "part_number and etag");
    }
    return slw_place_parts_end(s->place, s->path, id, parts, count, err);
}

/* POST mpu/create/<folder>, mpu/complete/<folder>, mpu/abort/<folder> */
enum slw_rc
api_mlflow_mpu(struct slw_http_req *req, struct slw_http_res *res,
               struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    struct slw_str act, folder, id = {0};
    struct spot s;
    TRY(need_bucket(mlf_api(req)->destination, NO_PARTS_UP, err));
    if (!slw_str_cut(slw_http_var(req, "rest"), '/', &act, &folder))
        return slw_fail(err, SLW_INVALID, "Invalid path");
    TRY(mlf_in_read(&in, req, err));
    TRY(part_spot(req, &in, folder, &s, err));
    if (slw_str_eqz(act, "create"))
        return parts_begin(req, res, &in, &s, err);
    TRY(mlf_need_str(&in, "upload_id", &id, err));
    if (slw_str_eqz(act, "complete"))
        TRY(parts_end(req, &in, &s, id, err));
    else if (slw_str_eqz(act, "abort"))
        TRY(slw_place_parts_abort(s.place, s.path, id, err));
    else
        return slw_fail(err, SLW_NOT_FOUND, "there is no mpu/%.*s",
                        SLW_FMT(act));
    return mlf_empty(res);
}

/* A browser that follows it saves the file under its own name. */
static enum slw_rc
presigned_down(struct slw_http_req *req, struct slw_http_res *res,
               const struct spot *s, int64_t seconds, const char *key,
               struct slw_err *err)
{
    const char *url = NULL;
    struct slw_place_got got = {0};
    SLW_AUTO(slw_buf, query);
    TRY(slw_place_look(s->place, s->path, req->arena, &got, err));
    slw_buf_z(&query, "response-content-disposition=");
    slw_url_encode(&query, disposition(req->arena, s->path));
    TRY(slw_place_presign(s->place, "GET", s->path, query.ptr, NULL, seconds,
                          req->arena, &url, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    slw_jw_kz(&w, key, url);
    slw_jw_key(&w, "headers");
    slw_jw_obj(&w);
    slw_jw_obj_end(&w);
    if (got.size >= 0)
        slw_jw_ki64(&w, "file_size", got.size);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

/* GET /mlflow-artifacts/presigned/<path> */
enum slw_rc
api_mlflow_presigned(struct slw_http_req *req, struct slw_http_res *res,
                     struct slw_err *err)
{
    const struct spot s = spot_proxied(req, slw_http_var(req, "rest"));
    TRY(need_bucket(s.place, NO_PARTS_DOWN, err));
    if (!slw_track_path_ok(s.path))
        return slw_fail(err, SLW_INVALID, "Invalid path");
    return presigned_down(req, res, &s, DOWN_SECONDS, "url", err);
}

/* Where a file lies that a client wants to reach past us: not where we are
 * the proxy. */
static enum slw_rc
direct_spot(struct slw_http_req *req, struct mlf_in *in, struct slw_str uri,
            const char *what, const char *no, struct spot *out,
            struct slw_err *err)
{
    struct slw_str path = {0};
    struct spot root;
    TRY(mlf_need_str(in, "path", &path, err));
    if (slw_str_starts(uri, "mlflow-artifacts:"))
        return slw_fail(
            err, SLW_INVALID,
            "Presigned %s proxied artifact storage (artifact URI scheme: "
            "mlflow-artifacts). This endpoint requires a %sdirect cloud "
            "storage artifact URI.",
            what, slw_str_starts(slw_str_of(what), "d") ? "run with a " : "");
    TRY(spot_of_uri(req, uri, &root, err));
    TRY(need_bucket(root.place, no, err));
    return below(req->arena, &root, path, out, err);
}

/* POST artifacts/presigned-upload-url {run_id or model_id, path} */
enum slw_rc
api_mlflow_presigned_upload(struct slw_http_req *req, struct slw_http_res *res,
                            struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    struct slw_str run_id = {"", 0}, model_id = {"", 0}, uri = {0};
    struct spot s;
    int64_t seconds = UP_SECONDS;
    const char *url = NULL;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_str(&in, "run_id", &run_id, err));
    TRY(mlf_str(&in, "model_id", &model_id, err));
    TRY(mlf_i64(&in, "expiration", &seconds, err));
    if ((run_id.len > 0) == (model_id.len > 0))
        return slw_fail(err, SLW_INVALID,
                        "Exactly one of run_id and model_id must be provided.");
    TRY(run_id.len ? run_uri(req, run_id, &uri, err)
                   : model_uri(req, model_id, &uri, err));
    TRY(direct_spot(req, &in, uri, "upload is not supported for",
                    NO_PRESIGNED_UP, &s, err));
    const char *type = media_type(s.path);
    TRY(slw_place_presign(s.place, "PUT", s.path, "", type, seconds, req->arena,
                          &url, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "presigned_url", url);
    slw_jw_key(&w, "headers");
    slw_jw_obj(&w);
    slw_jw_kz(&w, "Content-Type", type);
    slw_jw_obj_end(&w);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

/* POST artifacts/presigned-download-url {run_id, path} */
enum slw_rc
api_mlflow_presigned_download(struct slw_http_req *req,
                              struct slw_http_res *res, struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    struct slw_str run_id = {0}, uri = {0};
    struct spot s;
    int64_t seconds = DOWN_SECONDS;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_str(&in, "run_id", &run_id, err));
    TRY(mlf_i64(&in, "expiration", &seconds, err));
    if (seconds < 1 || seconds > 604800)
        return slw_fail(err, SLW_INVALID,
                        "expiration must be between 1 and 604800 seconds (got "
                        "%lld).",
                        (long long)seconds);
    TRY(run_uri(req, run_id, &uri, err));
    TRY(direct_spot(req, &in, uri, "download is not supported for runs with",
                    NO_PRESIGNED_DOWN, &s, err));
    return presigned_down(req, res, &s, seconds, "presigned_url", err);
}
