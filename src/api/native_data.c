/* native_data.c -- datasets and features over HTTP.  What needs DuckDB runs in
 * a job (ingest, materialize) or in a short-lived child (diff, downloads,
 * historical joins), never in the server. */
#include "api/api_internal.h"
#include "api/routes.h"
#include "base/hash.h"
#include "base/file.h"
#include "data/data.h"
#include "features/features.h"
#include "store/blob.h"

#include <unistd.h>

#define TASK_TIMEOUT_MS 120000

/* "name@ref" in the arena. */
static struct slw_str
dataset_ref(const struct slw_http_req *req)
{
    struct slw_str name = slw_http_var(req, "name");
    struct slw_str ref = slw_http_var(req, "ref");
    return slw_arena_printf(req->arena, "%.*s@%.*s", SLW_FMT(name),
                            SLW_FMT(ref));
}

enum slw_rc
api_datasets_list(struct slw_http_req *req, struct slw_http_res *res,
                  struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_dataset *list = NULL;
    size_t count = 0;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_data_list(&tx, req->arena, &list, &count, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "datasets");
    slw_jw_arr(&w);
    for (size_t i = 0; i < count; i++)
        slw_data_write(&w, &list[i], false);
    slw_jw_arr_end(&w);
    slw_jw_ki64(&w, "total", (int64_t)count);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_datasets_log(struct slw_http_req *req, struct slw_http_res *res,
                 struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_dataset *list = NULL;
    size_t count = 0;
    int64_t total = 0;
    struct api_page page;
    TRY(api_page_of(req, 200, 1000, &page, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_data_log_page(&tx, slw_http_var(req, "name"), page.offset,
                          page.limit, req->arena, &list, &count, &total, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "name", slw_http_var(req, "name"));
    slw_jw_key(&w, "versions");
    slw_jw_arr(&w);
    for (size_t i = 0; i < count; i++)
        slw_data_write(&w, &list[i], false);
    slw_jw_arr_end(&w);
    slw_jw_ki64(&w, "total", total);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_datasets_get(struct slw_http_req *req, struct slw_http_res *res,
                 struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_dataset d;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_data_get(&tx, dataset_ref(req), req->arena, &d, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_data_write(&w, &d, true);
    return SLW_OK;
}

/* The files of an ingest job from {"uploads": [hash | {"upload","name"}]}. */
static enum slw_rc
write_files(struct slw_api *api, struct slw_jw *w, const struct json_t *uploads,
            struct slw_err *err)
{
    size_t count = slw_json_len(uploads);
    if (slw_json_type(uploads) != SLW_JSON_ARRAY || count == 0)
        return slw_fail(err, SLW_INVALID,
                        "\"uploads\" must list what POST /api/v1/uploads gave");
    slw_jw_key(w, "files");
    slw_jw_arr(w);
    for (size_t i = 0; i < count; i++) {
        const struct json_t *u = slw_json_at(uploads, i);
        struct slw_str hash = slw_json_str_or(u, SLW_STR(""));
        struct slw_str name = SLW_STR("upload.csv");
        if (slw_json_type(u) == SLW_JSON_OBJECT) {
            TRY(slw_json_need_str(u, "upload", &hash, err));
            TRY(slw_json_opt_str(u, "name", &name, err));
        }
        struct slw_sha256 parsed;
        char hex[SLW_SHA256_HEX_SIZE];
        TRY(slw_sha256_parse(hash, &parsed, err));
        if (!slw_blob_exists(api->store, slw_sha256_hex(&parsed, hex)))
            return slw_fail(err, SLW_NOT_FOUND, "there is no upload %s", hex);
        slw_jw_obj(w);
        slw_jw_kz(w, "blob", hex);
        slw_jw_kstr(w, "name", name);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
    return SLW_OK;
}

enum slw_rc
api_datasets_add(struct slw_http_req *req, struct slw_http_res *res,
                 struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_json, body);
    TRY(api_body(req, &body, err));
    int64_t known_ms = api_now(api), until_ms = INT64_MIN;
    TRY(api_time_member(body.root, "known_at", true, &known_ms, err));
    TRY(api_time_member(body.root, "until", true, &until_ms, err));
    struct slw_str mode = SLW_STR("replace");
    TRY(slw_json_opt_str(body.root, "mode", &mode, err));
    if (!slw_str_eqz(mode, "replace") && !slw_str_eqz(mode, "append"))
        return slw_fail(err, SLW_INVALID,
                        "mode must be \"replace\" or \"append\"");
    if (known_ms > api_now(api))
        return slw_fail(err, SLW_INVALID,
                        "known_at lies in the future of the server's clock");
    struct slw_str name = slw_http_var(req, "name");
    {
        /* An unknown name is refused now, not by the job later. */
        struct slw_str def;
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, api->store, err));
        TRY(slw_data_source_get(&tx, name, req->arena, &def, err));
    }
    SLW_AUTO(slw_buf, spec);
    struct slw_jw w;
    slw_jw_init(&w, &spec);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "name", name);
    TRY(write_files(api, &w, slw_json_get(body.root, "uploads"), err));
    slw_jw_ki64(&w, "known_at_ms", known_ms);
    slw_jw_kstr(&w, "mode", mode);
    if (until_ms != INT64_MIN)
        slw_jw_ki64(&w, "until_ms", until_ms);
    slw_jw_obj_end(&w);
    return api_job_start(api, res, "data.ingest", name, slw_buf_view(&spec),
                         err);
}

/* Run a task that writes a file below tmp/ and send that file.  `made` is what
 * the task writes: it does not stay when that fails. */
static enum slw_rc
send_task_file(struct slw_http_req *req, struct slw_http_res *res,
               const char *task, struct slw_buf *spec, const char *made,
               const char *path, const char *type, struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_buf, out);
    enum slw_rc rc = slw_task_run(api->store, task, slw_buf_view(spec),
                                  TASK_TIMEOUT_MS, &out, err);
    if (rc != SLW_OK) {
        unlink(made);
        return rc;
    }
    res->file_path = path;
    res->content_type = type;
    return SLW_OK;
}

struct download {
    bool csv, quarantine;
};

static enum slw_rc
download_of(struct slw_str file, bool may_quarantine, struct download *out,
            struct slw_err *err)
{
    static const struct {
        const char *name;
        struct download d;
    } files[] = {{"data.parquet", {false, false}},
                 {"data.csv", {true, false}},
                 {"quarantine.parquet", {false, true}},
                 {"quarantine.csv", {true, true}}};
    for (size_t i = 0; i < (may_quarantine ? 4u : 2u); i++)
        if (slw_str_eqz(file, files[i].name)) {
            *out = files[i].d;
            return SLW_OK;
        }
    return slw_fail(err, SLW_NOT_FOUND, "there is no file '%.*s'; ask for %s",
                    SLW_FMT(file),
                    may_quarantine ? "data.parquet, data.csv, "
                                     "quarantine.parquet or quarantine.csv"
                                   : "data.parquet or data.csv");
}

/* A CSV is made once a version and kept in cache/. */
enum slw_rc
api_datasets_file(struct slw_http_req *req, struct slw_http_res *res,
                  struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct download want = {0};
    struct slw_dataset d;
    TRY(download_of(slw_http_var(req, "file"), true, &want, err));
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, api->store, err));
        TRY(slw_data_get(&tx, dataset_ref(req), req->arena, &d, err));
    }
    struct slw_str hash = want.quarantine ? d.quarantine_hash : d.hash;
    if (hash.len == 0)
        return slw_fail(err, SLW_NOT_FOUND,
                        "no row of %.*s@%lld was quarantined", SLW_FMT(d.name),
                        (long long)d.version);
    const char *hex = slw_arena_strz(req->arena, hash);
    if (!want.csv) {
        res->content_type = "application/vnd.apache.parquet";
        return slw_blob_cached(api->store, hex, ".parquet", req->arena,
                               &res->file_path, err);
    }
    const char *path = slw_path(req->arena, api->data_dir, "cache/%s.csv", hex);
    res->content_type = "text/csv";
    if (slw_file_exists(path)) {
        res->file_path = path;
        return SLW_OK;
    }
    const char *tmp =
        slw_path(req->arena, api->data_dir, "tmp/csv-%s-%s", req->id, hex);
    SLW_AUTO(slw_buf, spec);
    struct slw_jw w;
    slw_jw_init(&w, &spec);
    slw_jw_obj(&w);
    slw_jw_key(&w, "ref");
    slw_jw_str(&w, slw_arena_printf(req->arena, "%.*s@%lld", SLW_FMT(d.name),
                                    (long long)d.version));
    slw_jw_kz(&w, "format", "csv");
    slw_jw_kz(&w, "path", tmp);
    slw_jw_kbool(&w, "quarantine", want.quarantine);
    slw_jw_obj_end(&w);
    TRY(send_task_file(req, res, "data.export", &spec, tmp, path, "text/csv",
                       err));
    return slw_file_commit(tmp, path, err);
}

enum slw_rc
api_datasets_diff(struct slw_http_req *req, struct slw_http_res *res,
                  struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str name = slw_http_var(req, "name");
    struct slw_str from = slw_http_query(req, "from");
    struct slw_str to = slw_http_query(req, "to");
    if (!from.ptr)
        return slw_fail(err, SLW_INVALID,
                        "say which versions: ?from=1&to=2 (to: latest)");
    if (!to.ptr)
        to = SLW_STR("latest");
    SLW_AUTO(slw_buf, spec);
    struct slw_jw w;
    slw_jw_init(&w, &spec);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "a",
                slw_arena_printf(req->arena, "%.*s@%.*s", SLW_FMT(name),
                                 SLW_FMT(from)));
    slw_jw_kstr(
        &w, "b",
        slw_arena_printf(req->arena, "%.*s@%.*s", SLW_FMT(name), SLW_FMT(to)));
    slw_jw_obj_end(&w);
    return slw_task_run(api->store, "data.diff", slw_buf_view(&spec),
                        TASK_TIMEOUT_MS, &res->body, err);
}

enum slw_rc
api_sources_get(struct slw_http_req *req, struct slw_http_res *res,
                struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str def;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_data_source_get(&tx, slw_http_var(req, "name"), req->arena, &def,
                            err));
    slw_buf_str(&res->body, def);
    return SLW_OK;
}

/* PUT of a declaration: parse, add the name, hand to the room's `put`. */
typedef enum slw_rc (*put_fn)(struct slw_tx *tx, int64_t now_ms,
                              struct slw_str name, struct slw_str def,
                              struct slw_err *err);
static enum slw_rc
declare(struct slw_http_req *req, struct slw_http_res *res, put_fn put,
        struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_json, body);
    TRY(api_body(req, &body, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(put(&tx, api_now(api), slw_http_var(req, "name"),
            api_dump(req->arena, body.root), err));
    TRY(slw_tx_commit(&tx, err));
    slw_buf_z(&res->body, "{}");
    return SLW_OK;
}

enum slw_rc
api_sources_put(struct slw_http_req *req, struct slw_http_res *res,
                struct slw_err *err)
{
    return declare(req, res, slw_data_source_put, err);
}

/* ---- features ---- */

enum slw_rc
api_features_put(struct slw_http_req *req, struct slw_http_res *res,
                 struct slw_err *err)
{
    return declare(req, res, slw_features_view_put, err);
}

enum slw_rc
api_features_list(struct slw_http_req *req, struct slw_http_res *res,
                  struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_view *views = NULL;
    size_t count = 0;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_features_view_list(&tx, req->arena, &views, &count, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "features");
    slw_jw_arr(&w);
    for (size_t i = 0; i < count; i++)
        slw_features_view_write(&w, &views[i]);
    slw_jw_arr_end(&w);
    slw_jw_ki64(&w, "total", (int64_t)count);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_features_get(struct slw_http_req *req, struct slw_http_res *res,
                 struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_view view;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_features_view_get(&tx, slw_http_var(req, "name"), req->arena, &view,
                              err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_features_view_write(&w, &view);
    return SLW_OK;
}

enum slw_rc
api_features_materialize(struct slw_http_req *req, struct slw_http_res *res,
                         struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_json, body);
    TRY(api_body(req, &body, err));
    int64_t at_ms = api_now(api);
    TRY(api_time_member(body.root, "at", true, &at_ms, err));
    SLW_AUTO(slw_buf, spec);
    struct slw_jw w;
    slw_jw_init(&w, &spec);
    slw_jw_obj(&w);
    slw_jw_ki64(&w, "at_ms", at_ms);
    const struct json_t *views = slw_json_get(body.root, "views");
    if (views) {
        slw_jw_key(&w, "views");
        slw_jw_node(&w, views);
    }
    slw_jw_obj_end(&w);
    return api_job_start(api, res, "features.materialize", SLW_STR(""),
                         slw_buf_view(&spec), err);
}

enum slw_rc
api_features_historical(struct slw_http_req *req, struct slw_http_res *res,
                        struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_json, body);
    TRY(api_body(req, &body, err));
    const struct json_t *views = slw_json_get(body.root, "views");
    const struct json_t *rows = slw_json_get(body.root, "rows");
    if (slw_json_type(views) != SLW_JSON_ARRAY ||
        slw_json_type(rows) != SLW_JSON_ARRAY)
        return slw_fail(err, SLW_INVALID,
                        "\"views\" must list feature views and \"rows\" the "
                        "rows to join, each with the entity and event_time");
    int64_t as_of_ms = api_now(api);
    TRY(api_time_member(body.root, "as_of", true, &as_of_ms, err));
    SLW_AUTO(slw_buf, spec);
    struct slw_jw w;
    slw_jw_init(&w, &spec);
    slw_jw_obj(&w);
    slw_jw_key(&w, "views");
    slw_jw_node(&w, views);
    slw_jw_key(&w, "rows");
    slw_jw_node(&w, rows);
    slw_jw_ki64(&w, "as_of_ms", as_of_ms);
    slw_jw_obj_end(&w);
    return slw_task_run(api->store, "features.historical", slw_buf_view(&spec),
                        TASK_TIMEOUT_MS, &res->body, err);
}

enum slw_rc
api_features_file(struct slw_http_req *req, struct slw_http_res *res,
                  struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct download want = {0};
    TRY(download_of(slw_http_var(req, "file"), false, &want, err));
    /* The newest table each time. */
    const char *path = slw_path(req->arena, api->data_dir, "tmp/view-%s.%s",
                                req->id, want.csv ? "csv" : "parquet");
    SLW_AUTO(slw_buf, spec);
    struct slw_jw w;
    slw_jw_init(&w, &spec);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "view", slw_http_var(req, "name"));
    slw_jw_kz(&w, "format", want.csv ? "csv" : "parquet");
    slw_jw_kz(&w, "path", path);
    slw_jw_ki64(&w, "at_ms", api_now(api));
    slw_jw_obj_end(&w);
    res->file_once = true;
    return send_task_file(
        req, res, "features.export", &spec, path, path,
        want.csv ? "text/csv" : "application/vnd.apache.parquet", err);
}

/* ---- Feast's online request ---- */

/* "view:column" or "view__column" or a view alone (all its columns). */
static void
split_feature(struct slw_str feature, struct slw_str *view,
              struct slw_str *column)
{
    *column = SLW_STR("");
    if (!slw_str_cut(feature, ':', view, column))
        *view = feature;
}

/* Keys are text in the online table, whole numbers too. */
static struct slw_str
entity_key(const struct json_t *v, struct slw_arena *a)
{
    if (slw_json_type(v) == SLW_JSON_INT)
        return slw_arena_printf(a, "%lld", (long long)slw_json_i64_or(v, 0));
    return slw_json_str_or(v, SLW_STR(""));
}

static enum slw_rc
online_column(struct slw_api *api, struct slw_tx *tx, struct slw_str feature,
              struct slw_str column, const struct json_t *keys,
              struct slw_arena *a, struct slw_jw *w, struct slw_err *err)
{
    struct slw_str view, unused;
    split_feature(feature, &view, &unused);
    SLW_AUTO(slw_buf, statuses);
    SLW_AUTO(slw_buf, times);
    struct slw_jw ws, wt;
    slw_jw_init(&ws, &statuses);
    slw_jw_init(&wt, &times);
    slw_jw_obj(w);
    slw_jw_key(w, "values");
    slw_jw_arr(w);
    slw_jw_arr(&ws);
    slw_jw_arr(&wt);
    for (size_t i = 0; i < slw_json_len(keys); i++) {
        struct slw_online_row row;
        struct slw_str key = entity_key(slw_json_at(keys, i), a);
        TRY(slw_features_online_get(tx, view, key, api_now(api), a, &row, err));
        double v = 0;
        bool has = false;
        for (size_t c = 0; c < row.column_count && row.found; c++)
            if (slw_str_eq(row.columns[c], column)) {
                v = row.values[c];
                has = true;
            }
        if (has)
            slw_jw_f64(w, v);
        else
            slw_jw_null(w);
        slw_jw_z(&ws, has ? "PRESENT" : "NOT_FOUND");
        char at[SLW_TIME_TEXT_SIZE];
        slw_jw_z(&wt, slw_time_text(has ? row.event_ms : 0, at));
    }
    slw_jw_arr_end(w);
    slw_jw_arr_end(&ws);
    slw_jw_arr_end(&wt);
    slw_jw_kraw(w, "statuses", slw_buf_view(&statuses));
    slw_jw_kraw(w, "event_timestamps", slw_buf_view(&times));
    slw_jw_obj_end(w);
    return SLW_OK;
}

/* Columns asked for, one entry each; a view alone stands for all of it. */
struct wanted {
    struct slw_str feature, column;
};
#define WANTED_MAX 4096

static enum slw_rc
entity_check(const struct slw_view *view, struct slw_str entity,
             struct slw_err *err)
{
    SLW_AUTO(slw_json, def);
    TRY(slw_json_parse(&def, view->def, err));
    const struct slw_str own =
        slw_json_str_or(slw_json_get(def.root, "entity"), SLW_STR(""));
    if (slw_str_eq(own, entity))
        return SLW_OK;
    return slw_fail(err, SLW_INVALID,
                    "feature view '%.*s' is kept by '%.*s', not by '%.*s'",
                    SLW_FMT(view->name), SLW_FMT(own), SLW_FMT(entity));
}

static enum slw_rc
add_wanted(struct slw_tx *tx, struct slw_str feature, struct slw_str entity,
           struct slw_arena *a, struct wanted *list, size_t *count,
           struct slw_err *err)
{
    struct slw_str view_name, column;
    split_feature(feature, &view_name, &column);
    struct slw_view view;
    TRY(slw_features_view_get(tx, view_name, a, &view, err));
    TRY(entity_check(&view, entity, err));
    if (view.materialized_at_ms == 0)
        return slw_fail(err, SLW_NOT_FOUND,
                        "feature view '%.*s' has no values yet: materialize it"
                        " first",
                        SLW_FMT(view_name));
    SLW_AUTO(slw_json, columns);
    if (view.columns.len)
        TRY(slw_json_parse(&columns, view.columns, err));
    bool known = false;
    for (size_t i = 0; i < slw_json_len(columns.root); i++) {
        struct slw_str name = slw_json_str_or(
            slw_json_get(slw_json_at(columns.root, i), "name"), SLW_STR(""));
        if (column.len && !slw_str_eq(name, column))
            continue;
        if (*count == WANTED_MAX)
            return slw_fail(err, SLW_LIMIT, "more than %d features asked for",
                            WANTED_MAX);
        known = true;
        list[(*count)++] = (struct wanted){feature, slw_arena_str(a, name)};
    }
    if (!known)
        return slw_fail(err, SLW_NOT_FOUND,
                        "feature view '%.*s' has no column '%.*s'",
                        SLW_FMT(view_name), SLW_FMT(column));
    return SLW_OK;
}

enum slw_rc
api_online_features(struct slw_http_req *req, struct slw_http_res *res,
                    struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_json, body);
    TRY(api_body(req, &body, err));
    const struct json_t *features = slw_json_get(body.root, "features");
    const struct json_t *entities = slw_json_get(body.root, "entities");
    if (slw_json_type(features) != SLW_JSON_ARRAY ||
        slw_json_len(features) == 0 ||
        slw_json_type(entities) != SLW_JSON_OBJECT ||
        slw_json_len(entities) != 1)
        return slw_fail(err, SLW_INVALID,
                        "give \"features\": [\"view:column\", …] and "
                        "\"entities\": {\"entity\": [keys]}");
    void *it = slw_json_iter(entities);
    struct slw_str entity = slw_json_iter_key(it);
    const struct json_t *keys = slw_json_iter_value(it);
    if (slw_json_type(keys) != SLW_JSON_ARRAY)
        return slw_fail(err, SLW_INVALID, "entities.%.*s must be an array",
                        SLW_FMT(entity));
    for (size_t i = 0; i < slw_json_len(keys); i++)
        if (slw_json_type(slw_json_at(keys, i)) != SLW_JSON_STR &&
            slw_json_type(slw_json_at(keys, i)) != SLW_JSON_INT)
            return slw_fail(err, SLW_INVALID,
                            "entities.%.*s[%zu] must be a string or a whole"
                            " number",
                            SLW_FMT(entity), i);
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    struct wanted *list = SLW_ARENA_NEW(req->arena, struct wanted, WANTED_MAX);
    size_t count = 0;
    for (size_t i = 0; i < slw_json_len(features); i++)
        TRY(add_wanted(&tx,
                       slw_json_str_or(slw_json_at(features, i), SLW_STR("")),
                       entity, req->arena, list, &count, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "metadata");
    slw_jw_obj(&w);
    slw_jw_key(&w, "feature_names");
    slw_jw_arr(&w);
    slw_jw_str(&w, entity);
    for (size_t i = 0; i < count; i++)
        slw_jw_str(&w, list[i].column);
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    slw_jw_key(&w, "results");
    slw_jw_arr(&w);
    slw_jw_obj(&w);
    slw_jw_key(&w, "values");
    slw_jw_node(&w, keys);
    slw_jw_key(&w, "statuses");
    slw_jw_arr(&w);
    for (size_t i = 0; i < slw_json_len(keys); i++)
        slw_jw_z(&w, "PRESENT");
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    for (size_t i = 0; i < count; i++)
        TRY(online_column(api, &tx, list[i].feature, list[i].column, keys,
                          req->arena, &w, err));
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    return SLW_OK;
}
