/* mlflow_common.c -- the MLflow dialect: how requests are read and answers
 * written.  The shapes follow the service as its own clients see it: unset
 * members are absent, ids are strings, int64 are numbers, NaN is "NaN". */
#include "api/mlflow_internal.h"

/* ---- errors ---- */

static const char *
code_of(enum slw_rc rc)
{
    switch (rc) {
    case SLW_INVALID:
    case SLW_LIMIT:
        return "INVALID_PARAMETER_VALUE";
    case SLW_NOT_FOUND:
        return "RESOURCE_DOES_NOT_EXIST";
    case SLW_CONFLICT:
        return "RESOURCE_ALREADY_EXISTS";
    case SLW_DENIED:
        return "PERMISSION_DENIED";
    case SLW_BUSY:
        return "TEMPORARILY_UNAVAILABLE";
    case SLW_TIMEOUT:
        return "DEADLINE_EXCEEDED";
    case SLW_UNSUPPORTED:
        return "NOT_IMPLEMENTED";
    case SLW_CORRUPT:
        return "DATA_LOSS";
    case SLW_OK:
    case SLW_IO:
    case SLW_INTERNAL:
    case SLW_RC_COUNT:
        break;
    }
    return "INTERNAL_ERROR";
}

/* What 3.17 says beside the code: a class, and a state for dashboards. */
static void
write_class(struct slw_jw *w, const char *code)
{
    static const struct {
        const char *code, *state, *class;
    } table[] = {
        {"BAD_REQUEST", "KAM00", "INVALID_PARAMETER_VALUE"},
        {"INVALID_PARAMETER_VALUE", "KAM00", "INVALID_PARAMETER_VALUE"},
        {"RESOURCE_DOES_NOT_EXIST", "KAM00", "RESOURCE_NOT_FOUND"},
        {"RESOURCE_ALREADY_EXISTS", "KAM00", "RESOURCE_ALREADY_EXISTS"},
        {"PERMISSION_DENIED", "KAM00", "PERMISSION_DENIED"},
        {"TEMPORARILY_UNAVAILABLE", "XXM00", "CLIENT_INTERNAL_ERROR"},
        {"INTERNAL_ERROR", "XXM00", "CLIENT_INTERNAL_ERROR"},
    };
    for (size_t i = 0; i < SLW_ARRAY_LEN(table); i++) {
        if (strcmp(code, table[i].code) == 0) {
            slw_jw_kz(w, "sqlstate", table[i].state);
            slw_jw_kz(w, "error_class", table[i].class);
        }
    }
}

void
api_mlflow_render_error(const struct slw_err *err, struct slw_http_req *req,
                        struct slw_http_res *res)
{
    (void)req;
    const char *code = code_of(err->rc);
    if (err->rc == SLW_CONFLICT)
        res->status = 400; /* MLflow's status for what exists already */
    if (res->status == 401)
        code = "UNAUTHENTICATED";
    slw_buf_clear(&res->body);
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "error_code", code);
    slw_jw_kz(&w, "message", err->msg);
    write_class(&w, code);
    slw_jw_obj_end(&w);
    res->content_type = "application/json";
    res->file_path = NULL;
}

enum slw_rc
mlf_as_invalid(enum slw_rc rc, enum slw_rc which, struct slw_err *err)
{
    if (rc != which)
        return rc;
    err->rc = SLW_INVALID;
    return SLW_INVALID;
}

struct slw_api *
mlf_api(struct slw_http_req *req)
{
    return req->app;
}

/* ---- reading ---- */

enum slw_rc
mlf_in_read(struct mlf_in *in, struct slw_http_req *req, struct slw_err *err)
{
    in->req = req;
    in->query = strcmp(req->method, "GET") == 0;
    if (in->query)
        return SLW_OK;
    if (req->body.len && !slw_str_eqz(req->content_type, "application/json"))
        return slw_fail(err, SLW_INVALID,
                        "Bad Request. Content-Type must be one of "
                        "['application/json'].");
    struct slw_err ignored;
    if (slw_json_parse(&in->doc, req->body, &ignored) != SLW_OK)
        in->doc.root = NULL;
    return SLW_OK;
}

void
mlf_in_done(struct mlf_in *in)
{
    slw_json_done(&in->doc);
}

enum slw_rc
mlf_missing(const char *key, struct slw_err *err)
{
    return slw_fail(err, SLW_INVALID,
                    "Missing value for required parameter '%s'. See the API "
                    "docs for more information about request parameters.",
                    key);
}

static const char *
type_word(const struct json_t *v)
{
    switch (slw_json_type(v)) {
    case SLW_JSON_BOOL:
        return "bool";
    case SLW_JSON_INT:
        return "int";
    case SLW_JSON_REAL:
        return "float";
    case SLW_JSON_STR:
        return "str";
    case SLW_JSON_ARRAY:
        return "list";
    case SLW_JSON_OBJECT:
        return "dict";
    case SLW_JSON_NONE:
    case SLW_JSON_NULL:
        break;
    }
    return "NoneType";
}

enum slw_rc
mlf_bad_value(const struct json_t *v, const char *path, struct slw_err *err)
{
    SLW_AUTO(slw_buf, text);
    if (slw_json_type(v) == SLW_JSON_STR)
        slw_track_quote(&text,
                        slw_track_cut(slw_json_str_or(v, SLW_STR("")), 100));
    else
        slw_json_dump(&text, v);
    return slw_fail(err, SLW_INVALID,
                    "Invalid value %.*s for parameter '%s' supplied:  Hint: "
                    "Value was of type '%s'. See the API docs for more "
                    "information about request parameters.",
                    SLW_FMT(slw_track_cut(slw_buf_view(&text), 150)), path,
                    type_word(v));
}

static const struct json_t *
member(struct mlf_in *in, const char *key)
{
    const struct json_t *v = slw_json_get(in->doc.root, key);
    return slw_json_type(v) == SLW_JSON_NULL ? NULL : v;
}

enum slw_rc
mlf_str(struct mlf_in *in, const char *key, struct slw_str *out,
        struct slw_err *err)
{
    if (in->query) {
        struct slw_str v = slw_http_query(in->req, key);
        if (v.ptr)
            *out = v;
        return SLW_OK;
    }
    const struct json_t *v = member(in, key);
    if (!v)
        return SLW_OK;
    if (slw_json_type(v) != SLW_JSON_STR)
        return mlf_bad_value(v, key, err);
    *out = slw_json_str_or(v, *out);
    return SLW_OK;
}

enum slw_rc
mlf_need_str(struct mlf_in *in, const char *key, struct slw_str *out,
             struct slw_err *err)
{
    struct slw_str v = {0};
    TRY(mlf_str(in, key, &v, err));
    if (v.len == 0)
        return mlf_missing(key, err);
    *out = v;
    return SLW_OK;
}

static enum slw_rc
bad_text(struct slw_str v, const char *key, struct slw_err *err)
{
    SLW_AUTO(slw_buf, text);
    slw_track_quote(&text, slw_track_cut(v, 100));
    return slw_fail(err, SLW_INVALID,
                    "Invalid value %.*s for parameter '%s' supplied:  Hint: "
                    "Value was of type 'str'. See the API docs for more "
                    "information about request parameters.",
                    SLW_FMT(slw_buf_view(&text)), key);
}

enum slw_rc
mlf_i64(struct mlf_in *in, const char *key, int64_t *out, struct slw_err *err)
{
    struct slw_err ignored;
    if (in->query) {
        struct slw_str v = slw_http_query(in->req, key);
        if (!v.ptr || slw_str_i64(v, out, &ignored) == SLW_OK)
            return SLW_OK;
        return bad_text(v, key, err);
    }
    const struct json_t *v = member(in, key);
    if (!v || slw_json_need_i64(in->doc.root, key, out, &ignored) == SLW_OK)
        return SLW_OK;
    return mlf_bad_value(v, key, err);
}

enum slw_rc
mlf_bool(struct mlf_in *in, const char *key, bool *out, struct slw_err *err)
{
    if (in->query) {
        struct slw_str v = slw_http_query(in->req, key);
        if (!v.ptr)
            return SLW_OK;
        if (slw_str_eqz(v, "true") || slw_str_eqz(v, "false")) {
            *out = v.len == 4;
            return SLW_OK;
        }
        return slw_fail(err, SLW_INVALID,
                        "Invalid boolean value: %.*s, must be 'true' or "
                        "'false'.",
                        SLW_FMT(slw_track_cut(v, 100)));
    }
    const struct json_t *v = member(in, key);
    if (v && slw_json_type(v) != SLW_JSON_BOOL)
        return mlf_bad_value(v, key, err);
    *out = slw_json_bool_or(v, *out);
    return SLW_OK;
}

enum slw_rc
mlf_need_run_id(struct mlf_in *in, struct slw_str *out, struct slw_err *err)
{
    struct slw_str v = {0};
    TRY(mlf_str(in, "run_id", &v, err));
    if (v.len == 0)
        TRY(mlf_str(in, "run_uuid", &v, err));
    if (v.len == 0)
        return mlf_missing("run_id", err);
    *out = v;
    return SLW_OK;
}

enum slw_rc
mlf_experiment_id(struct slw_str s, int64_t *out, struct slw_err *err)
{
    struct slw_err ignored;
    if (slw_str_i64(s, out, &ignored) == SLW_OK)
        return SLW_OK;
    return slw_fail(err, SLW_INVALID,
                    "Invalid experiment ID '%.*s'. Experiment ID must be a "
                    "valid integer.",
                    SLW_FMT(slw_track_cut(s, 100)));
}

enum slw_rc
mlf_need_experiment_id(struct mlf_in *in, int64_t *out, struct slw_err *err)
{
    struct slw_str v = {0};
    TRY(mlf_need_str(in, "experiment_id", &v, err));
    return mlf_experiment_id(v, out, err);
}

enum slw_rc
mlf_need_version(struct mlf_in *in, int64_t *out, struct slw_err *err)
{
    struct slw_err ignored;
    struct slw_str v = {0};
    struct slw_str name = {"", 0};
    TRY(mlf_need_str(in, "version", &v, err));
    if (slw_str_i64(v, out, &ignored) != SLW_OK)
        return slw_fail(err, SLW_INVALID,
                        "Parameter 'version' must be an integer, got '%.*s'.",
                        SLW_FMT(slw_track_cut(v, 100)));
    if (*out > 0)
        return SLW_OK;
    TRY(mlf_str(in, "name", &name, err));
    return slw_fail(err, SLW_NOT_FOUND,
                    "Model Version (name=%.*s, version=%lld) not found",
                    SLW_FMT(slw_track_cut(name, 256)), (long long)*out);
}

static enum slw_rc
strs_of_query(struct mlf_in *in, const char *key, struct slw_str **out,
              size_t *out_count)
{
    struct slw_str k, v;
    size_t count = 0;
    for (size_t i = 0; slw_http_query_at(in->req, i, &k, &v); i++)
        count += slw_str_eqz(k, key);
    *out = SLW_ARENA_NEW(in->req->arena, struct slw_str, count + 1);
    *out_count = 0;
    for (size_t i = 0; slw_http_query_at(in->req, i, &k, &v); i++) {
        if (slw_str_eqz(k, key))
            (*out)[(*out_count)++] = v;
    }
    return SLW_OK;
}

enum slw_rc
mlf_strs(struct mlf_in *in, const char *key, struct slw_str **out,
         size_t *out_count, struct slw_err *err)
{
    if (in->query)
        return strs_of_query(in, key, out, out_count);
    const struct json_t *array = NULL;
    TRY(mlf_array(in, key, &array, err));
    size_t count = slw_json_len(array);
    struct slw_str *items =
        SLW_ARENA_NEW(in->req->arena, struct slw_str, count + 1);
    for (size_t i = 0; i < count; i++) {
        const struct json_t *v = slw_json_at(array, i);
        if (slw_json_type(v) != SLW_JSON_STR)
            return mlf_bad_value(array, key, err);
        items[i] = slw_json_str_or(v, SLW_STR(""));
    }
    *out = items;
    *out_count = count;
    return SLW_OK;
}

enum slw_rc
mlf_array(struct mlf_in *in, const char *key, const struct json_t **out,
          struct slw_err *err)
{
    const struct json_t *v = member(in, key);
    if (v && slw_json_type(v) != SLW_JSON_ARRAY)
        return mlf_bad_value(v, key, err);
    *out = v;
    return SLW_OK;
}

static enum slw_rc
kv_read(const struct json_t *o, const char *path, size_t index,
        struct slw_kv *out, struct slw_err *err)
{
    static const char *const names[] = {"key", "value"};
    struct slw_str parts[2] = {{"", 0}, {"", 0}};
    for (size_t i = 0; i < 2; i++) {
        char where[96];
        const struct json_t *v = slw_json_get(o, names[i]);
        enum slw_json_type type = slw_json_type(v);
        snprintf(where, sizeof(where), "%s[%zu].%s", path, index, names[i]);
        if (type != SLW_JSON_NONE && type != SLW_JSON_NULL &&
            type != SLW_JSON_STR)
            return mlf_bad_value(v, where, err);
        parts[i] = slw_json_str_or(v, parts[i]);
    }
    *out = (struct slw_kv){parts[0], parts[1]};
    return SLW_OK;
}

enum slw_rc
mlf_kvs(const struct json_t *array, const char *path, struct slw_arena *a,
        struct slw_kv **out, size_t *out_count, struct slw_err *err)
{
    size_t count = slw_json_len(array);
    struct slw_kv *items = SLW_ARENA_NEW(a, struct slw_kv, count + 1);
    for (size_t i = 0; i < count; i++)
        TRY(kv_read(slw_json_at(array, i), path, i, &items[i], err));
    *out = items;
    *out_count = count;
    return SLW_OK;
}

enum slw_rc
mlf_need_kv(struct mlf_in *in, struct slw_kv *out, struct slw_err *err)
{
    struct slw_kv kv = {{"", 0}, {"", 0}};
    TRY(mlf_need_str(in, "key", &kv.key, err));
    TRY(mlf_str(in, "value", &kv.value, err));
    *out = kv;
    return SLW_OK;
}

enum slw_rc
mlf_view(struct mlf_in *in, const char *key, enum slw_view_stage *out,
         struct slw_err *err)
{
    static const char *const names[] = {"ACTIVE_ONLY", "DELETED_ONLY", "ALL"};
    const struct json_t *node = member(in, key);
    struct slw_str v = {0};
    int64_t n = 0;
    if (node && slw_json_type(node) == SLW_JSON_INT)
        n = slw_json_i64_or(node, 0);
    else
        TRY(mlf_str(in, key, &v, err));
    struct slw_err ignored;
    if (v.len && slw_str_i64(v, &n, &ignored) != SLW_OK)
        n = 0;
    for (size_t i = 0; i < SLW_ARRAY_LEN(names); i++) {
        if (slw_str_eqz(v, names[i]) || n == (int64_t)i + 1) {
            *out = (enum slw_view_stage)i;
            return SLW_OK;
        }
    }
    if (v.len == 0 && n == 0)
        return SLW_OK;
    return slw_fail(err, SLW_INVALID,
                    "Invalid value \"%.*s\" for parameter '%s' supplied: it "
                    "is one of ACTIVE_ONLY, DELETED_ONLY, ALL",
                    SLW_FMT(slw_track_cut(v, 100)), key);
}

/* ---- page tokens: base64 of {"offset": N} ---- */

static const char BASE64[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static size_t
base64_write(struct slw_str in, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < in.len; i += 3) {
        unsigned v = 0;
        for (size_t j = 0; j < 3; j++)
            v = v << 8 | (i + j < in.len ? (unsigned char)in.ptr[i + j] : 0u);
        for (size_t j = 0; j < 4; j++)
            out[n++] = i + j > in.len ? '=' : BASE64[v >> (18 - 6 * j) & 63];
    }
    return n;
}

/* Bytes written, or 0 when it is not base64. */
static size_t
base64_read(struct slw_str in, char *out)
{
    size_t n = 0;
    unsigned v = 0, bits = 0;
    while (in.len && in.ptr[in.len - 1] == '=')
        in.len--;
    for (size_t i = 0; i < in.len; i++) {
        const char *at = in.ptr[i] ? strchr(BASE64, in.ptr[i]) : NULL;
        if (!at)
            return 0;
        v = v << 6 | (unsigned)(at - BASE64);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[n++] = (char)(v >> bits & 255);
        }
    }
    return n;
}

static enum slw_rc
token_read(struct slw_str token, struct slw_track_query *q, struct slw_err *err)
{
    char text[128];
    struct slw_err ignored;
    SLW_AUTO(slw_json, doc);
    int64_t offset = -1;
    size_t n = token.len < sizeof(text) ? base64_read(token, text) : 0;
    if (n &&
        slw_json_parse(&doc, (struct slw_str){text, n}, &ignored) == SLW_OK)
        offset = slw_json_i64_or(slw_json_get(doc.root, "offset"), -1);
    if (offset < 0)
        return slw_fail(err, SLW_INVALID,
                        "Invalid page token, could not base64-decode");
    q->offset = (size_t)offset;
    q->newest = slw_json_i64_or(slw_json_get(doc.root, "newest"), 0);
    return SLW_OK;
}

void
mlf_write_token(struct slw_jw *w, size_t offset, int64_t newest)
{
    char text[96], token[160];
    int n = newest ? snprintf(text, sizeof(text),
                              "{\"offset\": %zu, \"newest\": %lld}", offset,
                              (long long)newest)
                   : snprintf(text, sizeof(text), "{\"offset\": %zu}", offset);
    size_t len = base64_write((struct slw_str){text, (size_t)n}, token);
    slw_jw_kstr(w, "next_page_token", (struct slw_str){token, len});
}

enum slw_rc
mlf_token(struct mlf_in *in, struct slw_track_query *q, struct slw_err *err)
{
    struct slw_str token = {0};
    TRY(mlf_str(in, "page_token", &token, err));
    q->offset = 0;
    return token.len ? token_read(token, q, err) : SLW_OK;
}

enum slw_rc
mlf_page(struct mlf_in *in, int64_t dflt, int64_t cap,
         struct slw_track_query *q, struct slw_err *err)
{
    int64_t most = dflt;
    TRY(mlf_i64(in, "max_results", &most, err));
    if (most <= 0)
        return slw_fail(err, SLW_INVALID,
                        "Invalid value %lld for parameter 'max_results' "
                        "supplied. It must be a positive integer",
                        (long long)most);
    if (most > cap)
        return slw_fail(err, SLW_INVALID,
                        "Invalid value for request parameter max_results. It "
                        "must be at most %lld, but got value %lld",
                        (long long)cap, (long long)most);
    TRY(mlf_token(in, q, err));
    q->limit = (size_t)most;
    return SLW_OK;
}

enum slw_rc
mlf_search(struct mlf_in *in, struct slw_track_query *q, struct slw_err *err)
{
    struct slw_str *order = NULL;
    q->filter = SLW_STR("");
    TRY(mlf_str(in, "filter", &q->filter, err));
    TRY(mlf_strs(in, "order_by", &order, &q->order_count, err));
    q->order_by = order;
    return SLW_OK;
}

/* A member of a metric that is absent or of a wrong kind. */
static enum slw_rc
metric_fault(const struct json_t *o, const char *path, const char *name,
             struct slw_err *err)
{
    char where[96];
    const struct json_t *v = slw_json_get(o, name);
    enum slw_json_type type = slw_json_type(v);
    snprintf(where, sizeof(where), "%s%s", path, name);
    if (type == SLW_JSON_NONE || type == SLW_JSON_NULL ||
        (type == SLW_JSON_STR && slw_json_str_or(v, SLW_STR("x")).len == 0 &&
         (path[0] || strcmp(name, "timestamp") != 0)))
        return mlf_missing(where, err);
    return mlf_bad_value(v, where, err);
}

enum slw_rc
mlf_metric(const struct json_t *o, const char *path,
           struct slw_model_metric *out, struct slw_err *err)
{
    const struct slw_str none = {"", 0};
    struct slw_err ignored;
    struct slw_model_metric m = {.model_id = none,
                                 .run_id = none,
                                 .dataset_name = none,
                                 .dataset_digest = none};
    if (slw_json_need_str(o, "key", &m.m.key, &ignored) != SLW_OK ||
        m.m.key.len == 0)
        return metric_fault(o, path, "key", err);
    if (slw_json_need_f64(o, "value", &m.m.value, &ignored) != SLW_OK &&
        slw_str_f64(slw_json_str_or(slw_json_get(o, "value"), none), &m.m.value,
                    &ignored) != SLW_OK)
        return metric_fault(o, path, "value", err);
    if (slw_json_need_i64(o, "timestamp", &m.m.at_ms, &ignored) != SLW_OK)
        return metric_fault(o, path, "timestamp", err);
    if (slw_json_opt_i64(o, "step", &m.m.step, &ignored) != SLW_OK)
        return metric_fault(o, path, "step", err);
    TRY(slw_json_opt_str(o, "model_id", &m.model_id, err));
    TRY(slw_json_opt_str(o, "dataset_name", &m.dataset_name, err));
    TRY(slw_json_opt_str(o, "dataset_digest", &m.dataset_digest, err));
    if ((m.dataset_name.len == 0) != (m.dataset_digest.len == 0))
        return slw_fail(err, SLW_INVALID,
                        "Both dataset_name and dataset_digest must be "
                        "provided if one is provided");
    *out = m;
    return SLW_OK;
}

enum slw_rc
mlf_experiment_ids(struct mlf_in *in, struct slw_track_query *q,
                   struct slw_err *err)
{
    struct slw_str *names = NULL;
    TRY(mlf_strs(in, "experiment_ids", &names, &q->experiment_count, err));
    int64_t *ids =
        SLW_ARENA_NEW(in->req->arena, int64_t, q->experiment_count + 1);
    for (size_t i = 0; i < q->experiment_count; i++)
        TRY(mlf_experiment_id(names[i], &ids[i], err));
    q->experiment_ids = ids;
    return SLW_OK;
}
