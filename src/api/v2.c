/* v2.c -- the Open Inference Protocol, version 2, over REST, with the binary
 * tensor extension.  A "model" of the protocol is a deployment of ours, its
 * versions are those live on it.
 *
 * An infer request brings either one tensor "features" [n, columns], or one
 * tensor a column, or one named after the entity (BYTES), whose features are
 * then looked up.  The entity's tensor may also stand beside columns: it is
 * then the key of each row.
 *
 * Content-Type is ignored, as the commonest client sends none. */
#include "api/api_internal.h"
#include "api/routes.h"
#include "api/serving.h"

#include <math.h>

#define OUTPUT_NAME "prediction"
#define FEATURES_NAME "features"

/* ---- the server ---- */

enum slw_rc
api_v2_server(struct slw_http_req *req, struct slw_http_res *res,
              struct slw_err *err)
{
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "name", "slipway");
    slw_jw_kz(&w, "version", SLIPWAY_VERSION);
    slw_jw_key(&w, "extensions");
    slw_jw_arr(&w);
    slw_jw_z(&w, "binary_tensor_data");
    slw_jw_z(&w, "parameters");
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

/* Touches nothing: the process serves its loop, and that is all it says. */
enum slw_rc
api_v2_live(struct slw_http_req *req, struct slw_http_res *res,
            struct slw_err *err)
{
    slw_buf_z(&res->body, "{\"live\":true}");
    return SLW_OK;
}

/* Deployments are loaded before the server listens; one that could not be
 * does not take the others out of service. */
enum slw_rc
api_v2_ready(struct slw_http_req *req, struct slw_http_res *res,
             struct slw_err *err)
{
    const bool ready = !slw_http_closing(req);
    res->status = ready ? 200 : 503;
    if (!ready)
        slw_http_header_add(res, "Retry-After", SLW_STR("5"));
    slw_buf_z(&res->body, ready ? "{\"live\":true,\"ready\":true}"
                                : "{\"live\":true,\"ready\":false}");
    return SLW_OK;
}

enum slw_rc
api_v2_models(struct slw_http_req *req, struct slw_http_res *res,
              struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str *names = NULL;
    size_t count = 0;
    slw_serve_names(api->serve, req->arena, &names, &count);
    api_names_answer(res, "models", names, count);
    return SLW_OK;
}

/* ---- one model ---- */

/* Hold what the path names.  Out  *version: 0 when the path has none */
static enum slw_rc
model_begin(struct slw_http_req *req, bool with_version,
            struct slw_serving *out, int64_t *version, struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str name = slw_http_var(req, "model"), text;
    struct slw_err ignored;
    *version = 0;
    if (!with_version)
        return slw_serving_begin(out, api->serve, name, 0, err);
    text = slw_http_var(req, "version");
    if (slw_str_i64(text, version, &ignored) == SLW_OK && *version > 0)
        return slw_serving_begin(out, api->serve, name, *version, err);
    SLW_AUTO(slw_serving, any);
    TRY(slw_serving_begin(&any, api->serve, name, 0, err));
    if (slw_str_eqz(text, "champion"))
        *version = any.champion_version;
    else if (slw_str_eqz(text, "canary") || slw_str_eqz(text, "challenger"))
        *version = any.canary_version;
    if (*version <= 0)
        return slw_fail(err, SLW_NOT_FOUND,
                        "version '%.*s' is not live on '%.*s'", SLW_FMT(text),
                        SLW_FMT(name));
    return slw_serving_begin(out, api->serve, name, *version, err);
}

static void
write_tensor(struct slw_jw *w, const char *name, int64_t column_count)
{
    slw_jw_obj(w);
    slw_jw_kz(w, "name", name);
    slw_jw_kz(w, "datatype", "FP64");
    slw_jw_key(w, "shape");
    slw_jw_arr(w);
    slw_jw_i64(w, -1);
    if (column_count >= 0)
        slw_jw_i64(w, column_count);
    slw_jw_arr_end(w);
    slw_jw_obj_end(w);
}

static void
write_version(struct slw_jw *w, int64_t version)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%lld", (long long)version);
    slw_jw_z(w, text);
}

static enum slw_rc
metadata(struct slw_http_req *req, bool with_version, struct slw_http_res *res,
         struct slw_err *err)
{
    int64_t version;
    SLW_AUTO(slw_serving, v);
    TRY(model_begin(req, with_version, &v, &version, err));
    const struct slw_signature *sig = v.signature;
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "name", v.deployment);
    slw_jw_key(&w, "versions");
    slw_jw_arr(&w);
    write_version(&w, v.champion_version);
    if (v.canary_version)
        write_version(&w, v.canary_version);
    slw_jw_arr_end(&w);
    slw_jw_kstr(
        &w, "platform",
        slw_arena_printf(req->arena, "slipway_%.*s", SLW_FMT(v.flavour)));
    slw_jw_key(&w, "inputs");
    slw_jw_arr(&w);
    write_tensor(&w, FEATURES_NAME, (int64_t)sig->column_count);
    slw_jw_arr_end(&w);
    slw_jw_key(&w, "outputs");
    slw_jw_arr(&w);
    write_tensor(&w, OUTPUT_NAME, -1);
    slw_jw_arr_end(&w);
    slw_jw_key(&w, "parameters");
    slw_jw_obj(&w);
    slw_jw_key(&w, "columns");
    slw_jw_arr(&w);
    for (size_t i = 0; i < sig->column_count; i++)
        slw_jw_str(&w, sig->columns[i]);
    slw_jw_arr_end(&w);
    slw_jw_kstr(&w, "entity", v.entity);
    slw_jw_ki64(&w, "version", v.version);
    slw_jw_obj_end(&w);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_v2_model(struct slw_http_req *req, struct slw_http_res *res,
             struct slw_err *err)
{
    return metadata(req, false, res, err);
}

enum slw_rc
api_v2_model_version(struct slw_http_req *req, struct slw_http_res *res,
                     struct slw_err *err)
{
    return metadata(req, true, res, err);
}

static enum slw_rc
model_ready(struct slw_http_req *req, bool with_version,
            struct slw_http_res *res, struct slw_err *err)
{
    struct slw_api *api = req->app;
    int64_t version;
    SLW_AUTO(slw_serving, v);
    enum slw_rc rc = model_begin(req, with_version, &v, &version, err);
    if (rc != SLW_OK && rc != SLW_BUSY)
        return rc;
    struct slw_str name = slw_http_var(req, "model");
    const bool ready = rc == SLW_OK && slw_serve_ready(api->serve, name);
    res->status = ready ? 200 : 503;
    if (!ready)
        slw_http_header_add(res, "Retry-After", SLW_STR("5"));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "name", name);
    slw_jw_kbool(&w, "ready", ready);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_v2_model_ready(struct slw_http_req *req, struct slw_http_res *res,
                   struct slw_err *err)
{
    return model_ready(req, false, res, err);
}

enum slw_rc
api_v2_model_version_ready(struct slw_http_req *req, struct slw_http_res *res,
                           struct slw_err *err)
{
    return model_ready(req, true, res, err);
}

/* ---- inputs to rows ---- */

/* A request with its tensors told apart. */
struct infer {
    const struct slw_serving *v;
    struct api_v2_request q;
    const struct api_v2_tensor *features, *entity;
    const struct api_v2_tensor **columns; /* [column_count], or NULL */
    struct slw_arena *a;
};

/* [n] or [n, 1].  Out  n */
static enum slw_rc
list_rows(const struct api_v2_tensor *t, size_t *out, struct slw_err *err)
{
    if (t->rank == 1 || (t->rank == 2 && t->shape[1] == 1)) {
        *out = (size_t)t->shape[0];
        return SLW_OK;
    }
    return slw_fail(err, SLW_INVALID,
                    "input \"%.*s\" must have the shape [n] or [n, 1]",
                    SLW_FMT(t->name));
}

static enum slw_rc
column_of(const struct slw_signature *sig, struct slw_str name, size_t *cursor,
          size_t *out, struct slw_err *err)
{
    for (size_t k = 0; k < sig->column_count; k++) {
        const size_t i = (*cursor + k) % sig->column_count;
        if (slw_str_eq(sig->columns[i], name)) {
            *out = i;
            *cursor = i + 1;
            return SLW_OK;
        }
    }
    return slw_fail(err, SLW_INVALID,
                    "there is no input \"%.*s\"; send \"" FEATURES_NAME
                    "\", or the columns, or the entity",
                    (int)(name.len < 64 ? name.len : 64), name.ptr);
}

static enum slw_rc
twice(const struct api_v2_tensor *t, struct slw_err *err)
{
    return slw_fail(err, SLW_INVALID, "input \"%.*s\" is given twice",
                    SLW_FMT(t->name));
}

static enum slw_rc
columns_missing(const struct infer *f, struct slw_err *err)
{
    const struct slw_signature *sig = f->v->signature;
    for (size_t i = 0; i < sig->column_count; i++)
        if (!f->columns[i])
            return slw_fail(err, SLW_INVALID,
                            "the column \"%.*s\" is missing; the model takes "
                            "%zu columns, see its metadata",
                            SLW_FMT(sig->columns[i]), sig->column_count);
    return SLW_OK;
}

/* Tell the tensors apart by name. */
static enum slw_rc
inputs_sort(struct infer *f, struct slw_err *err)
{
    const struct slw_signature *sig = f->v->signature;
    size_t cursor = 0, at = 0;
    for (size_t i = 0; i < f->q.input_count; i++) {
        const struct api_v2_tensor *t = &f->q.inputs[i];
        if (slw_str_eqz(t->name, FEATURES_NAME)) {
            if (f->features)
                return twice(t, err);
            f->features = t;
            continue;
        }
        if (f->v->entity.len && slw_str_eq(t->name, f->v->entity)) {
            if (f->entity)
                return twice(t, err);
            f->entity = t;
            continue;
        }
        TRY(column_of(sig, t->name, &cursor, &at, err));
        if (!f->columns)
            f->columns = SLW_ARENA_NEW(f->a, const struct api_v2_tensor *,
                                       sig->column_count);
        if (f->columns[at])
            return twice(t, err);
        f->columns[at] = t;
    }
    if (f->features && f->columns)
        return slw_fail(err, SLW_INVALID,
                        "send either \"" FEATURES_NAME
                        "\" or the columns one by one, not both");
    if (f->q.input_count == 0)
        return slw_fail(err, SLW_INVALID,
                        "\"inputs\" is empty; send \"" FEATURES_NAME
                        "\", or the columns, or the entity");
    return f->columns ? columns_missing(f, err) : SLW_OK;
}

static enum slw_rc
matrix_new(const struct infer *f, size_t rows, double **out,
           struct slw_err *err)
{
    const size_t column_count = f->v->signature->column_count;
    if (rows > slw_arena_room(f->a) / 2 / sizeof(double) / (column_count + 8))
        return slw_fail(err, SLW_LIMIT, "%zu rows are too many for a request",
                        rows);
    *out = SLW_ARENA_NEW(f->a, double, rows *column_count);
    return SLW_OK;
}

static enum slw_rc
features_read(const struct infer *f, double **x, size_t *rows,
              struct slw_err *err)
{
    const struct api_v2_tensor *t = f->features;
    const size_t column_count = f->v->signature->column_count;
    if (t->rank != 2 || (uint64_t)t->shape[1] != column_count)
        return slw_fail(err, SLW_INVALID,
                        "input \"" FEATURES_NAME
                        "\" must have the shape [n, %zu], its columns in the "
                        "order of the metadata",
                        column_count);
    *rows = (size_t)t->shape[0];
    TRY(matrix_new(f, *rows, x, err));
    return api_v2_numbers(t, 1, *x, err);
}

static enum slw_rc
columns_read(const struct infer *f, double **x, size_t *rows,
             struct slw_err *err)
{
    const size_t column_count = f->v->signature->column_count;
    TRY(list_rows(f->columns[0], rows, err));
    for (size_t i = 1; i < column_count; i++) {
        size_t n = 0;
        TRY(list_rows(f->columns[i], &n, err));
        if (n != *rows)
            return slw_fail(err, SLW_INVALID,
                            "input \"%.*s\" has %zu rows, \"%.*s\" has %zu",
                            SLW_FMT(f->columns[i]->name), n,
                            SLW_FMT(f->columns[0]->name), *rows);
    }
    TRY(matrix_new(f, *rows, x, err));
    for (size_t i = 0; i < column_count; i++)
        TRY(api_v2_numbers(f->columns[i], column_count, *x + i, err));
    return SLW_OK;
}

static enum slw_rc
entity_read(const struct infer *f, struct api_rows *rows, struct slw_err *err)
{
    size_t n = 0;
    TRY(list_rows(f->entity, &n, err));
    if (rows->x && n != rows->count)
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\" has %zu rows, the columns have %zu",
                        SLW_FMT(f->entity->name), n, rows->count);
    if (n > slw_arena_room(f->a) / 2 / sizeof(struct slw_str))
        return slw_fail(err, SLW_LIMIT, "%zu rows are too many for a request",
                        n);
    struct slw_str *keys = SLW_ARENA_NEW(f->a, struct slw_str, n);
    TRY(api_v2_texts(f->entity, f->a, keys, err));
    rows->count = n;
    rows->keys = keys;
    for (size_t i = 0; i < n; i++)
        if (keys[i].len == 0)
            return slw_fail(err, SLW_INVALID,
                            "input \"%.*s\": element %zu is empty",
                            SLW_FMT(f->entity->name), i);
    return SLW_OK;
}

static enum slw_rc
rows_read(struct infer *f, struct api_rows *rows, struct slw_err *err)
{
    double *x = NULL;
    size_t count = 0;
    TRY(inputs_sort(f, err));
    if (f->features)
        TRY(features_read(f, &x, &count, err));
    else if (f->columns)
        TRY(columns_read(f, &x, &count, err));
    *rows = (struct api_rows){.count = count,
                              .x = x,
                              .key = f->q.key,
                              .id = f->q.id,
                              .at_ms = f->q.event_ms};
    if (!f->entity)
        return SLW_OK;
    rows->sticky = f->q.key;
    return entity_read(f, rows, err);
}

/* ---- rows to the answer ---- */

/* Out  whether the prediction goes out as bytes */
static enum slw_rc
outputs_check(const struct api_v2_request *q, bool *binary, struct slw_err *err)
{
    *binary = q->binary_outputs;
    for (size_t i = 0; i < q->output_count; i++) {
        const struct api_v2_output *o = &q->outputs[i];
        if (!slw_str_eqz(o->name, OUTPUT_NAME))
            return slw_fail(err, SLW_INVALID,
                            "there is no output \"%.*s\"; the only one is "
                            "\"" OUTPUT_NAME "\"",
                            (int)(o->name.len < 64 ? o->name.len : 64),
                            o->name.ptr);
        if (i)
            return slw_fail(err, SLW_INVALID,
                            "output \"" OUTPUT_NAME "\" is asked for twice");
        if (o->binary >= 0)
            *binary = o->binary == 1;
    }
    return SLW_OK;
}

static void
write_parameters(struct slw_jw *w, const struct slw_predict_out *first,
                 bool mixed)
{
    static const char *const by[] = {[SLW_BY_CHAMPION] = "champion",
                                     [SLW_BY_CANARY] = "canary",
                                     [SLW_BY_FALLBACK] = "fallback"};
    char at[SLW_TIME_TEXT_SIZE];
    slw_jw_key(w, "parameters");
    slw_jw_obj(w);
    if (mixed) {
        slw_jw_kz(w, "served_by", "mixed");
    } else {
        slw_jw_kz(w, "release", first->release);
        slw_jw_kz(w, "served_by", by[first->by]);
        if (first->reason[0])
            slw_jw_kz(w, "fallback_reason", first->reason);
    }
    slw_jw_kz(w, "event_time", slw_time_text(first->event_ms, at));
    slw_jw_obj_end(w);
}

static void
write_output(struct slw_jw *w, const double *y, size_t count, bool binary)
{
    slw_jw_key(w, "outputs");
    slw_jw_arr(w);
    slw_jw_obj(w);
    slw_jw_kz(w, "name", OUTPUT_NAME);
    slw_jw_kz(w, "datatype", "FP64");
    slw_jw_key(w, "shape");
    slw_jw_arr(w);
    slw_jw_i64(w, (int64_t)count);
    slw_jw_arr_end(w);
    if (binary) {
        slw_jw_key(w, "parameters");
        slw_jw_obj(w);
        slw_jw_ki64(w, "binary_data_size", (int64_t)(count * sizeof *y));
        slw_jw_obj_end(w);
    } else {
        slw_jw_key(w, "data");
        slw_jw_arr(w);
        for (size_t i = 0; i < count; i++)
            slw_jw_f64(w, y[i]);
        slw_jw_arr_end(w);
    }
    slw_jw_obj_end(w);
    slw_jw_arr_end(w);
}

static void
write_answer(struct slw_http_req *req, struct slw_http_res *res,
             const struct infer *f, const struct slw_predict_out *first,
             bool mixed, const double *y, size_t count, bool binary)
{
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "model_name", f->v->deployment);
    if (!mixed) { /* several answered: no one version is right */
        slw_jw_key(&w, "model_version");
        write_version(&w, first->version);
    }
    if (f->q.id.ptr)
        slw_jw_kstr(&w, "id", f->q.id);
    if (count)
        write_parameters(&w, first, mixed);
    write_output(&w, y, count, binary);
    slw_jw_obj_end(&w);
    if (!binary)
        return;
    slw_http_header_add(res, "Inference-Header-Content-Length",
                        slw_arena_printf(req->arena, "%zu", res->body.len));
    res->content_type = "application/octet-stream";
    slw_buf_add(&res->body, y, count * sizeof *y);
}

static enum slw_rc
header_size(struct slw_http_req *req, int64_t *out, struct slw_err *err)
{
    struct slw_str s = slw_http_head(req, "Inference-Header-Content-Length");
    *out = -1;
    if (!s.ptr)
        return SLW_OK;
    if (slw_str_i64(s, out, err) != SLW_OK || *out < 0)
        return slw_fail(err, SLW_INVALID,
                        "Inference-Header-Content-Length must be the number of "
                        "bytes of JSON before the binary tensors");
    return SLW_OK;
}

static enum slw_rc
infer(struct slw_http_req *req, bool with_version, struct slw_http_res *res,
      struct slw_err *err)
{
    int64_t version, json_size;
    bool binary = false, mixed = false;
    struct api_rows rows;
    struct slw_predict_out first;
    SLW_AUTO(slw_serving, v);
    TRY(model_begin(req, with_version, &v, &version, err));
    struct infer f = {.v = &v, .a = req->arena};
    TRY(header_size(req, &json_size, err));
    TRY(api_v2_read(&f.q, req->body, json_size, req->arena, err));
    TRY(outputs_check(&f.q, &binary, err));
    TRY(rows_read(&f, &rows, err));
    rows.version = version;
    if (rows.id.len == 0) /* what the answer's X-Request-Id says */
        rows.id = slw_str_of(req->id);
    double *y = SLW_ARENA_NEW(req->arena, double, rows.count);
    TRY(api_rows_answer(req->app, &v, &rows, req, y, &first, &mixed, err));
    write_answer(req, res, &f, &first, mixed, y, rows.count, binary);
    return SLW_OK;
}

enum slw_rc
api_v2_infer(struct slw_http_req *req, struct slw_http_res *res,
             struct slw_err *err)
{
    return infer(req, false, res, err);
}

enum slw_rc
api_v2_infer_version(struct slw_http_req *req, struct slw_http_res *res,
                     struct slw_err *err)
{
    return infer(req, true, res, err);
}
