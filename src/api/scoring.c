/* scoring.c -- the scoring protocol of MLflow: GET /ping and POST
 * /invocations with a data frame.
 *
 * Every form of a frame is brought to one question, "what stands in this row
 * under this name?", and from there to the model's matrix.  Columns are
 * matched by name, as MLflow's signature enforcement does: missing ones are
 * refused, extra ones ignored.  Rows without names are taken by position when
 * they have exactly as many values as the model has columns.
 *
 * A column named after the entity is the key of its row; without any of the
 * model's columns, features are looked up by it.  A column "event_time" says
 * what time a row is about; both may stand in "params" for all rows. */
#include "api/api_internal.h"
#include "api/routes.h"
#include "api/serving.h"

#include <math.h>

#define EVENT_TIME_NAME "event_time"

enum frame_kind {
    FRAME_LISTS,   /* data[row][column], names apart or none */
    FRAME_RECORDS, /* data[row][name] */
    FRAME_COLUMNS, /* data[name][row] */
    FRAME_CELLS    /* cells[row * name_count + column], of a CSV */
};

struct frame {
    enum frame_kind kind;
    const struct json_t *data;
    struct slw_str *cells;
    struct slw_str *names; /* of lists and cells; NULL: by position */
    size_t name_count, row_count;
};

/* What stands in a cell. */
struct cell {
    enum { CELL_MISSING, CELL_NUMBER, CELL_TEXT, CELL_OTHER } kind;
    double number;
    struct slw_str text;
};

enum slw_rc
api_scoring_ping(struct slw_http_req *req, struct slw_http_res *res,
                 struct slw_err *err)
{
    slw_buf_z(&res->body, "\n");
    return SLW_OK;
}

/* ---- cells ---- */

static struct cell
cell_of_json(const struct json_t *v)
{
    switch (slw_json_type(v)) {
    case SLW_JSON_NONE:
    case SLW_JSON_NULL:
        return (struct cell){.kind = CELL_MISSING};
    case SLW_JSON_INT:
    case SLW_JSON_REAL:
        return (struct cell){.kind = CELL_NUMBER,
                             .number = slw_json_f64_or(v, NAN)};
    case SLW_JSON_STR:
        return (struct cell){.kind = CELL_TEXT,
                             .text = slw_json_str_or(v, SLW_STR(""))};
    default:
        return (struct cell){.kind = CELL_OTHER};
    }
}

static struct cell
cell_of_text(struct slw_str s)
{
    struct slw_err ignored;
    struct cell c = {.kind = CELL_TEXT, .text = s};
    if (s.len == 0)
        c.kind = CELL_MISSING;
    else if (slw_str_f64(s, &c.number, &ignored) == SLW_OK)
        c.kind = CELL_NUMBER;
    return c;
}

/* Where a name stands: an index for lists and cells, else the name itself. */
struct place {
    bool found;
    size_t index;
    const char *name; /* NUL-terminated */
};

static struct place
place_of(const struct frame *f, struct slw_str name, struct slw_arena *a)
{
    struct place p = {.name = slw_arena_strz(a, name)};
    if (f->kind == FRAME_COLUMNS) {
        p.found = slw_json_get(f->data, p.name) != NULL;
        return p;
    }
    if (f->kind == FRAME_RECORDS) {
        for (size_t i = 0; i < f->row_count && !p.found; i++)
            p.found = slw_json_get(slw_json_at(f->data, i), p.name) != NULL;
        return p;
    }
    for (size_t i = 0; f->names && i < f->name_count && !p.found; i++)
        if (slw_str_eq(f->names[i], name)) {
            p.found = true;
            p.index = i;
        }
    return p;
}

static struct cell
cell_at(const struct frame *f, size_t row, const struct place *p)
{
    switch (f->kind) {
    case FRAME_LISTS:
        return cell_of_json(slw_json_at(slw_json_at(f->data, row), p->index));
    case FRAME_RECORDS:
        return cell_of_json(slw_json_get(slw_json_at(f->data, row), p->name));
    case FRAME_COLUMNS:
        return cell_of_json(slw_json_at(slw_json_get(f->data, p->name), row));
    case FRAME_CELLS:
        break;
    }
    return cell_of_text(f->cells[row * f->name_count + p->index]);
}

/* ---- frames of JSON ---- */

/* Lists of one length. */
static enum slw_rc
lists_check(const struct json_t *data, size_t width, struct slw_err *err)
{
    for (size_t i = 0; i < slw_json_len(data); i++) {
        const struct json_t *row = slw_json_at(data, i);
        if (slw_json_type(row) != SLW_JSON_ARRAY || slw_json_len(row) != width)
            return slw_fail(err, SLW_INVALID,
                            "row %zu of the data must be a list of %zu values",
                            i, width);
    }
    return SLW_OK;
}

static enum slw_rc
records_check(const struct json_t *data, struct slw_err *err)
{
    for (size_t i = 0; i < slw_json_len(data); i++)
        if (slw_json_type(slw_json_at(data, i)) != SLW_JSON_OBJECT)
            return slw_fail(err, SLW_INVALID, "record %zu must be an object",
                            i);
    return SLW_OK;
}

static enum slw_rc
frame_of_split(const struct json_t *v, struct slw_arena *a, struct frame *f,
               struct slw_err *err)
{
    for (void *it = slw_json_iter(v); it; it = slw_json_next(v, it)) {
        struct slw_str k = slw_json_iter_key(it);
        if (!slw_str_eqz(k, "columns") && !slw_str_eqz(k, "index") &&
            !slw_str_eqz(k, "data"))
            return slw_fail(err, SLW_INVALID,
                            "dataframe_split has columns, index and data, not "
                            "'%.*s'",
                            SLW_FMT(k));
    }
    const struct json_t *data = slw_json_get(v, "data");
    const struct json_t *columns = slw_json_get(v, "columns");
    if (slw_json_type(data) != SLW_JSON_ARRAY)
        return slw_fail(err, SLW_INVALID,
                        "dataframe_split needs \"data\", a list of rows");
    *f = (struct frame){
        .kind = FRAME_LISTS, .data = data, .row_count = slw_json_len(data)};
    if (!columns) {
        f->name_count = slw_json_len(slw_json_at(data, 0));
        return lists_check(data, f->name_count, err);
    }
    f->name_count = slw_json_len(columns);
    f->names = SLW_ARENA_NEW(a, struct slw_str, f->name_count);
    for (size_t i = 0; i < f->name_count; i++) {
        f->names[i] = slw_json_str_or(slw_json_at(columns, i), SLW_STR(""));
        if (f->names[i].len == 0)
            return slw_fail(err, SLW_INVALID,
                            "dataframe_split.columns[%zu] must be a name", i);
    }
    return lists_check(data, f->name_count, err);
}

/* "instances", and "inputs" that is a list: rows, records, or the values of
 * the only column. */
static enum slw_rc
frame_of_list(const struct json_t *v, struct slw_arena *a, struct frame *f,
              struct slw_err *err)
{
    const enum slw_json_type first = slw_json_type(slw_json_at(v, 0));
    *f = (struct frame){
        .kind = FRAME_LISTS, .data = v, .row_count = slw_json_len(v)};
    if (first == SLW_JSON_OBJECT) {
        f->kind = FRAME_RECORDS;
        return records_check(v, err);
    }
    if (first == SLW_JSON_ARRAY || first == SLW_JSON_NONE) {
        f->name_count = slw_json_len(slw_json_at(v, 0));
        return lists_check(v, f->name_count, err);
    }
    f->kind = FRAME_CELLS; /* one column of scalars */
    f->name_count = 1;
    f->cells = SLW_ARENA_NEW(a, struct slw_str, f->row_count);
    for (size_t i = 0; i < f->row_count; i++) {
        const struct json_t *x = slw_json_at(v, i);
        if (slw_json_type(x) != SLW_JSON_INT &&
            slw_json_type(x) != SLW_JSON_REAL)
            return slw_fail(err, SLW_INVALID, "element %zu must be a number",
                            i);
        f->cells[i] = api_dump(a, x);
    }
    return SLW_OK;
}

static enum slw_rc
frame_of_columns(const struct json_t *v, struct frame *f, struct slw_err *err)
{
    *f = (struct frame){.kind = FRAME_COLUMNS, .data = v};
    bool first = true;
    for (void *it = slw_json_iter(v); it; it = slw_json_next(v, it)) {
        const struct json_t *column = slw_json_iter_value(it);
        struct slw_str k = slw_json_iter_key(it);
        const size_t n = slw_json_len(column);
        if (slw_json_type(column) != SLW_JSON_ARRAY)
            return slw_fail(err, SLW_INVALID, "'%.*s' must be a list of values",
                            SLW_FMT(k));
        if (!first && n != f->row_count)
            return slw_fail(err, SLW_INVALID,
                            "'%.*s' has %zu values, the column before %zu",
                            SLW_FMT(k), n, f->row_count);
        f->row_count = n;
        first = false;
    }
    return SLW_OK;
}

static enum slw_rc
frame_of_json(const struct json_t *body, struct slw_arena *a, struct frame *f,
              struct slw_err *err)
{
    const struct json_t *split = slw_json_get(body, "dataframe_split");
    const struct json_t *records = slw_json_get(body, "dataframe_records");
    const struct json_t *instances = slw_json_get(body, "instances");
    const struct json_t *inputs = slw_json_get(body, "inputs");
    if (!!split + !!records + !!instances + !!inputs != 1)
        return slw_fail(err, SLW_INVALID,
                        "the body must have exactly one of dataframe_split, "
                        "dataframe_records, instances and inputs");
    if (split) {
        if (slw_json_type(split) != SLW_JSON_OBJECT)
            return slw_fail(err, SLW_INVALID,
                            "dataframe_split must be an object");
        return frame_of_split(split, a, f, err);
    }
    if (inputs && slw_json_type(inputs) == SLW_JSON_OBJECT)
        return frame_of_columns(inputs, f, err);
    const struct json_t *list = records     ? records
                                : instances ? instances
                                            : inputs;
    if (slw_json_type(list) != SLW_JSON_ARRAY)
        return slw_fail(err, SLW_INVALID, "%s must be a list of rows",
                        records     ? "dataframe_records"
                        : instances ? "instances"
                                    : "inputs");
    if (records)
        TRY(records_check(records, err));
    return frame_of_list(list, a, f, err);
}

/* Python writes NaN where it has no value, which is not JSON: read as null.
 * Only outside of texts. */
static struct slw_str
without_nan(struct slw_str s, struct slw_arena *a)
{
    if (!memmem(s.ptr, s.len, "NaN", 3) || s.len > slw_arena_room(a) / 4)
        return s;
    char *to = SLW_ARENA_NEW(a, char, s.len + s.len / 3 + 1);
    size_t len = 0;
    bool in_text = false;
    for (size_t i = 0; i < s.len; i++) {
        if (in_text && s.ptr[i] == '\\' && i + 1 < s.len) {
            to[len++] = s.ptr[i++];
        } else if (s.ptr[i] == '"') {
            in_text = !in_text;
        } else if (!in_text && s.len - i >= 3 &&
                   memcmp(s.ptr + i, "NaN", 3) == 0) {
            memcpy(to + len, "null", 4);
            len += 4;
            i += 2;
            continue;
        }
        to[len++] = s.ptr[i];
    }
    return (struct slw_str){to, len};
}

/* ---- a frame of CSV ---- */

/* Out  *end: behind the closing quote */
static enum slw_rc
csv_quoted(struct slw_str s, struct slw_arena *a, struct slw_str *out,
           size_t *end, struct slw_err *err)
{
    size_t i = 1, len = 0;
    while (i < s.len &&
           (s.ptr[i] != '"' || (i + 1 < s.len && s.ptr[i + 1] == '"')))
        i += s.ptr[i] == '"' ? 2 : 1;
    if (i >= s.len)
        return slw_fail(err, SLW_INVALID, "a quoted cell has no end");
    char *to = SLW_ARENA_NEW(a, char, i);
    for (size_t from = 1; from < i; from++) {
        from += s.ptr[from] == '"'; /* of a pair, the second */
        to[len++] = s.ptr[from];
    }
    *out = (struct slw_str){to, len};
    *end = i + 1;
    return SLW_OK;
}

/* Next cell of a line; quotes as RFC 4180 says.
 * Out  *last: it ended its line */
static enum slw_rc
csv_cell(struct slw_str *rest, struct slw_arena *a, struct slw_str *out,
         bool *last, struct slw_err *err)
{
    size_t i = 0;
    const char *p = rest->ptr;
    if (rest->len && p[0] == '"') {
        TRY(csv_quoted(*rest, a, out, &i, err));
    } else {
        while (i < rest->len && p[i] != ',' && p[i] != '\n')
            i++;
        *out = slw_str_trim((struct slw_str){p, i});
    }
    while (i < rest->len && p[i] == '\r')
        i++;
    *last = i >= rest->len || p[i] == '\n';
    if (i < rest->len && p[i] != ',' && p[i] != '\n')
        return slw_fail(err, SLW_INVALID, "text stands behind a quoted cell");
    if (i < rest->len)
        i++;
    *rest = (struct slw_str){p + i, rest->len - i};
    return SLW_OK;
}

static enum slw_rc
frame_of_csv(struct slw_str body, struct slw_arena *a, struct frame *f,
             struct slw_err *err)
{
    struct slw_str rest = body;
    size_t cell_max = 1, width = 0, used = 0;
    bool last = false;
    if (slw_str_trim(body).len == 0)
        return slw_fail(err, SLW_INVALID, "the CSV needs a line of names");
    if (body.len > slw_arena_room(a) / 64)
        return slw_fail(err, SLW_LIMIT, "the CSV is too large");
    for (size_t i = 0; i < body.len; i++)
        cell_max += body.ptr[i] == '\n' || body.ptr[i] == ',';
    struct slw_str *cells = SLW_ARENA_NEW(a, struct slw_str, cell_max);
    while (rest.len) {
        size_t n = 0;
        for (last = false; !last; n++) {
            SLW_ASSERT(used + n < cell_max);
            TRY(csv_cell(&rest, a, &cells[used + n], &last, err));
        }
        if (n == 1 && cells[used].len == 0 && width != 1)
            continue; /* an empty line */
        if (width == 0)
            width = n;
        if (n != width)
            return slw_fail(err, SLW_INVALID,
                            "CSV row %zu has %zu cells, the names are %zu",
                            used / width, n, width);
        used += width;
    }
    if (width == 0)
        return slw_fail(err, SLW_INVALID, "the CSV needs a line of names");
    *f = (struct frame){.kind = FRAME_CELLS,
                        .cells = cells + width,
                        .names = cells,
                        .name_count = width,
                        .row_count = used / width - 1};
    return SLW_OK;
}

/* ---- a frame to rows ---- */

static enum slw_rc
number_of(const struct cell *c, struct slw_str name, size_t row, double *out,
          struct slw_err *err)
{
    if (c->kind == CELL_MISSING || c->kind == CELL_NUMBER) {
        *out = c->kind == CELL_MISSING ? NAN : c->number;
        return SLW_OK;
    }
    return slw_fail(err, SLW_INVALID,
                    "column '%.*s', row %zu: a number is wanted", SLW_FMT(name),
                    row);
}

static void
list_add(char *list, size_t size, struct slw_str name)
{
    const size_t len = strlen(list);
    if (len + name.len + 4 < size)
        (void)snprintf(list + len, size - len, "%s%.*s", len ? ", " : "",
                       SLW_FMT(name));
    else if (len + 4 < size)
        (void)snprintf(list + len, size - len, "...");
}

/* Where each of the model's columns stands.
 * Out  *found: how many do */
static enum slw_rc
places_find(const struct frame *f, const struct slw_signature *sig,
            struct slw_arena *a, struct place **out, size_t *found,
            struct slw_err *err)
{
    struct place *places = SLW_ARENA_NEW(a, struct place, sig->column_count);
    char missing[300] = "";
    *found = 0;
    const bool by_position =
        !f->names && (f->kind == FRAME_LISTS || f->kind == FRAME_CELLS);
    if (by_position && f->row_count && f->name_count != sig->column_count)
        return slw_fail(err, SLW_INVALID,
                        "rows without names must have %zu values, one for each "
                        "column of the model, not %zu",
                        sig->column_count, f->name_count);
    for (size_t i = 0; i < sig->column_count; i++) {
        if (by_position)
            places[i] = (struct place){.found = true, .index = i};
        else
            places[i] = place_of(f, sig->columns[i], a);
        *found += places[i].found;
        if (!places[i].found)
            list_add(missing, sizeof missing, sig->columns[i]);
    }
    *out = places;
    if (*found && missing[0] && f->row_count)
        return slw_fail(err, SLW_INVALID,
                        "columns are missing from the frame: %s", missing);
    return SLW_OK;
}

static enum slw_rc
matrix_read(const struct frame *f, const struct slw_signature *sig,
            const struct place *places, struct slw_arena *a, double **out,
            struct slw_err *err)
{
    const size_t n = sig->column_count;
    if (f->row_count > slw_arena_room(a) / 2 / sizeof(double) / (n + 8))
        return slw_fail(err, SLW_LIMIT, "%zu rows are too many for a request",
                        f->row_count);
    double *x = SLW_ARENA_NEW(a, double, f->row_count *n);
    for (size_t r = 0; r < f->row_count; r++)
        for (size_t i = 0; i < n; i++) {
            const struct cell c = cell_at(f, r, &places[i]);
            TRY(number_of(&c, sig->columns[i], r, &x[r * n + i], err));
        }
    *out = x;
    return SLW_OK;
}

static enum slw_rc
keys_read(const struct frame *f, struct slw_str entity, struct slw_arena *a,
          const struct slw_str **out, struct slw_err *err)
{
    const struct place p = place_of(f, entity, a);
    if (entity.len == 0 || !p.found)
        return SLW_OK;
    struct slw_str *keys = SLW_ARENA_NEW(a, struct slw_str, f->row_count);
    for (size_t r = 0; r < f->row_count; r++) {
        const struct cell c = cell_at(f, r, &p);
        char text[SLW_F64_TEXT_SIZE];
        if (c.kind == CELL_TEXT) {
            keys[r] = c.text;
        } else if (c.kind == CELL_NUMBER) {
            (void)slw_f64_text(c.number, text);
            keys[r] = slw_arena_str(a, slw_str_of(text));
        } else {
            return slw_fail(err, SLW_INVALID,
                            "column '%.*s', row %zu: a text "
                            "is wanted",
                            SLW_FMT(entity), r);
        }
    }
    *out = keys;
    return SLW_OK;
}

static enum slw_rc
times_read(const struct frame *f, struct slw_arena *a, const int64_t **out,
           struct slw_err *err)
{
    const struct place p = place_of(f, SLW_STR(EVENT_TIME_NAME), a);
    if (!p.found)
        return SLW_OK;
    int64_t *times = SLW_ARENA_NEW(a, int64_t, f->row_count);
    for (size_t r = 0; r < f->row_count; r++) {
        const struct cell c = cell_at(f, r, &p);
        enum slw_rc rc = SLW_OK;
        if (c.kind == CELL_TEXT)
            rc = slw_time_parse(c.text, &times[r], err);
        else if (c.kind == CELL_NUMBER && fabs(c.number) < 1e15)
            times[r] = (int64_t)c.number;
        else if (c.kind != CELL_MISSING)
            rc = slw_fail(err, SLW_INVALID, "a date or time is wanted");
        if (rc != SLW_OK)
            return slw_err_prefix(err,
                                  "column '" EVENT_TIME_NAME "', row %zu: ", r);
    }
    *out = times;
    return SLW_OK;
}

static enum slw_rc
rows_of(const struct frame *f, const struct slw_serving *v, struct slw_arena *a,
        struct api_rows *rows, struct slw_err *err)
{
    struct place *places = NULL;
    double *x = NULL;
    size_t found = 0;
    TRY(places_find(f, v->signature, a, &places, &found, err));
    TRY(keys_read(f, v->entity, a, &rows->keys, err));
    TRY(times_read(f, a, &rows->event_ms, err));
    rows->count = f->row_count;
    if (found == v->signature->column_count) {
        TRY(matrix_read(f, v->signature, places, a, &x, err));
    } else if (!rows->keys && f->row_count) {
        char all[300] = "";
        for (size_t i = 0; i < v->signature->column_count; i++)
            list_add(all, sizeof all, v->signature->columns[i]);
        return slw_fail(err, SLW_INVALID,
                        "the frame has none of the model's columns (%s), and "
                        "no '%.*s' to look them up by",
                        all, SLW_FMT(v->entity));
    }
    rows->x = x;
    return SLW_OK;
}

/* ---- the request ---- */

/* Which deployment is meant. */
static enum slw_rc
deployment_of(struct slw_http_req *req, struct slw_str *out,
              struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str *names = NULL;
    size_t count = 0;
    *out = slw_http_head(req, "X-Slipway-Deployment");
    if (!out->ptr)
        *out = slw_http_query(req, "deployment");
    if (out->ptr)
        return SLW_OK;
    slw_serve_names(api->serve, req->arena, &names, &count);
    if (count == 1) {
        *out = names[0];
        return SLW_OK;
    }
    if (count == 0)
        return slw_fail(err, SLW_NOT_FOUND, "nothing is deployed here yet");
    return slw_fail(err, SLW_INVALID,
                    "there are %zu deployments; say which by the header "
                    "X-Slipway-Deployment, by ?deployment=NAME or by POST "
                    "/deployments/NAME/invocations",
                    count);
}

static enum slw_rc
params_read(const struct json_t *body, struct api_rows *rows,
            struct slw_err *err)
{
    const struct json_t *params = slw_json_get(body, "params");
    TRY(slw_json_opt_str(params, "key", &rows->key, err));
    rows->sticky = rows->key;
    return api_time_member(params, EVENT_TIME_NAME, false, &rows->at_ms, err);
}

static void
write_answer(struct slw_http_req *req, struct slw_http_res *res,
             const double *y, size_t count, const struct slw_predict_out *first,
             bool mixed)
{
    static const char *const by[] = {[SLW_BY_CHAMPION] = "champion",
                                     [SLW_BY_CANARY] = "canary",
                                     [SLW_BY_FALLBACK] = "fallback"};
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "predictions");
    slw_jw_arr(&w);
    for (size_t i = 0; i < count; i++)
        slw_jw_f64(&w, y[i]);
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    if (count == 0)
        return;
    slw_http_header_add(res, "X-Slipway-Served-By",
                        mixed ? SLW_STR("mixed") : slw_str_of(by[first->by]));
    slw_http_header_add(
        res, "X-Slipway-Model-Version",
        slw_arena_printf(req->arena, "%lld", (long long)first->version));
}

static enum slw_rc
frame_answer(struct slw_http_req *req, struct slw_http_res *res,
             const struct slw_serving *v, const struct frame *f,
             struct api_rows *rows, struct slw_err *err)
{
    bool mixed = false;
    struct slw_predict_out first;
    TRY(rows_of(f, v, req->arena, rows, err));
    double *y = SLW_ARENA_NEW(req->arena, double, rows->count);
    TRY(api_rows_answer(req->app, v, rows, req, y, &first, &mixed, err));
    write_answer(req, res, y, rows->count, &first, mixed);
    return SLW_OK;
}

/* No code of ours means 415, so the answer is written here. */
static enum slw_rc
refuse_type(struct slw_http_req *req, struct slw_http_res *res,
            struct slw_str type, struct slw_err *err)
{
    slw_fail(err, SLW_INVALID,
             "this takes application/json and text/csv, not '%.*s'",
             SLW_FMT(type));
    res->status = 415;
    api_mlflow_render_error(err, req, res);
    return SLW_OK;
}

static enum slw_rc
invoke(struct slw_http_req *req, struct slw_http_res *res, struct slw_str name,
       struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct frame f;
    struct api_rows rows = {.id = slw_str_of(req->id)};
    SLW_AUTO(slw_serving, v);
    SLW_AUTO(slw_json, body);
    TRY(slw_serving_begin(&v, api->serve, name, 0, err));
    const struct slw_str type = req->content_type;
    if (slw_str_eqz(type, "text/csv")) {
        TRY(frame_of_csv(req->body, req->arena, &f, err));
        return frame_answer(req, res, &v, &f, &rows, err);
    }
    if (type.len && !slw_str_eqz(type, "application/json"))
        return refuse_type(req, res, type, err);
    TRY(slw_json_parse(&body, without_nan(req->body, req->arena), err));
    if (slw_json_type(body.root) != SLW_JSON_OBJECT)
        return slw_fail(err, SLW_INVALID, "the body must be a JSON object");
    TRY(frame_of_json(body.root, req->arena, &f, err));
    TRY(params_read(body.root, &rows, err));
    return frame_answer(req, res, &v, &f, &rows, err);
}

enum slw_rc
api_scoring_invocations(struct slw_http_req *req, struct slw_http_res *res,
                        struct slw_err *err)
{
    struct slw_str name;
    TRY(deployment_of(req, &name, err));
    return invoke(req, res, name, err);
}

enum slw_rc
api_scoring_deployment(struct slw_http_req *req, struct slw_http_res *res,
                       struct slw_err *err)
{
    return invoke(req, res, slw_http_var(req, "name"), err);
}
