/* native_runs.c -- what the web page's tables and drawings of runs are made of:
 * pages of rows with the columns asked for only, the same of a whole search by
 * columns (scatter, parallel coordinates), and histories of a metric thinned
 * to what a drawing of so many pixels shows.  Every answer is bounded. */
#include "api/api_internal.h"
#include "api/routes.h"
#include "track/track.h"

#include <math.h>

#define HISTORY_RUN_MAX 100  /* runs in one answer of histories */
#define VALUES_RUN_MAX 10000 /* runs in one answer of values */
#define DIGITS 9             /* of a value where points were put together */

/* ---- rows ---- */

static enum slw_rc
columns_of(struct slw_http_req *req, struct slw_str *out, size_t *out_count,
           struct slw_err *err)
{
    struct slw_str rest = slw_http_query(req, "cols"), one;
    size_t count = 0;
    while (rest.len) {
        slw_str_cut(rest, ',', &one, &rest);
        one = slw_str_trim(one);
        if (!one.len)
            continue;
        if (count == SLW_RUN_COLUMN_MAX)
            return slw_fail(err, SLW_INVALID, "at most %d columns at once",
                            SLW_RUN_COLUMN_MAX);
        out[count++] = one;
    }
    *out_count = count;
    return SLW_OK;
}

/* "-metrics.mae" is "metrics.`mae` DESC"; an attribute stands alone. */
static enum slw_rc
order_of(struct slw_http_req *req, struct slw_str *out, struct slw_err *err)
{
    struct slw_str sort = slw_http_query(req, "sort"), kind, name;
    if (!sort.len)
        sort = SLW_STR("-start_time");
    bool down = sort.ptr[0] == '-';
    if (down)
        sort = (struct slw_str){sort.ptr + 1, sort.len - 1};
    if (!slw_str_cut(sort, '.', &kind, &name)) {
        kind = SLW_STR("attributes");
        name = sort;
    }
    if (!name.len || memchr(name.ptr, '`', name.len))
        return slw_fail(err, SLW_INVALID,
                        "sort names a column as metrics.NAME or an attribute "
                        "as start_time, '-' before it for descending");
    *out = slw_arena_printf(req->arena, "%.*s.`%.*s` %s", SLW_FMT(kind),
                            SLW_FMT(name), down ? "DESC" : "ASC");
    return SLW_OK;
}

/* 0 is a time not known yet. */
static void
write_time(struct slw_jw *w, int64_t ms)
{
    if (ms)
        slw_jw_i64(w, ms);
    else
        slw_jw_null(w);
}

static void
write_run_value(struct slw_jw *w, const struct slw_run_value *v)
{
    if (v->kind == SLW_RUN_VALUE_NUMBER)
        slw_jw_f64(w, v->number);
    else
        slw_jw_str(w, v->text);
}

static void
write_run_row(struct slw_jw *w, const struct slw_run_row *r,
              const struct slw_str *columns, size_t column_count)
{
    slw_jw_obj(w);
    slw_jw_kstr(w, "id", r->run.id);
    slw_jw_kstr(w, "name", r->run.name);
    slw_jw_key(w, "experiment_id");
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)r->run.experiment_id);
    slw_jw_z(w, text);
    slw_jw_kz(w, "status", slw_run_status_name(r->run.status));
    slw_jw_ki64(w, "started_at_ms", r->run.start_ms);
    slw_jw_key(w, "ended_at_ms");
    write_time(w, r->run.end_ms);
    slw_jw_key(w, "values"); /* absent: the run has none */
    slw_jw_obj(w);
    for (size_t i = 0; i < column_count; i++) {
        if (r->values[i].kind == SLW_RUN_VALUE_NONE)
            continue;
        slw_jw_keys(w, columns[i]);
        write_run_value(w, &r->values[i]);
    }
    slw_jw_obj_end(w);
    slw_jw_obj_end(w);
}

static enum slw_rc
query_of(struct slw_http_req *req, int64_t limit_max, struct slw_track_query *q,
         int64_t *experiment, struct slw_str *order, struct slw_err *err)
{
    struct api_page page;
    struct slw_str filter = slw_http_query(req, "q");
    struct slw_str of = slw_http_query(req, "experiment");
    struct slw_str deleted = slw_http_query(req, "deleted");
    TRY(api_page_of(req, 100, limit_max, &page, err));
    TRY(order_of(req, order, err));
    *q = (struct slw_track_query){.filter = filter.ptr ? filter : SLW_STR(""),
                                  .order_by = order,
                                  .order_count = 1,
                                  .view = slw_str_eqz(deleted, "true")
                                              ? SLW_VIEW_DELETED
                                              : SLW_VIEW_ACTIVE,
                                  .offset = page.offset,
                                  .limit = page.limit,
                                  .every_experiment = !of.len};
    if (!of.len)
        return SLW_OK;
    TRY(slw_str_i64(of, experiment, err));
    q->experiment_ids = experiment;
    q->experiment_count = 1;
    return SLW_OK;
}

enum slw_rc
api_runs_list(struct slw_http_req *req, struct slw_http_res *res,
              struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str columns[SLW_RUN_COLUMN_MAX], order;
    size_t column_count = 0, count = 0;
    int64_t experiment = 0, total = 0;
    struct slw_track_query q;
    struct slw_run_row *rows = NULL;
    TRY(columns_of(req, columns, &column_count, err));
    TRY(query_of(req, 1000, &q, &experiment, &order, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_track_read(&tx, api->store, err));
    TRY(slw_track_run_rows(&tx, &q, columns, column_count, req->arena, &rows,
                           &count, &total, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    w.nan_as_text = true;
    slw_jw_obj(&w);
    slw_jw_key(&w, "runs");
    slw_jw_arr(&w);
    for (size_t i = 0; i < count; i++)
        write_run_row(&w, &rows[i], columns, column_count);
    slw_jw_arr_end(&w);
    slw_jw_ki64(&w, "total", total);
    slw_jw_ki64(&w, "offset", (int64_t)q.offset);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_runs_columns(struct slw_http_req *req, struct slw_http_res *res,
                 struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str *names = NULL;
    size_t limit = 0, count = 0;
    TRY(api_limit(req, 500, 5000, &limit, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_track_read(&tx, api->store, err));
    TRY(slw_track_run_columns(&tx, limit, req->arena, &names, &count, err));
    api_names_answer(res, "columns", names, count);
    return SLW_OK;
}

/* ---- a whole search, by columns ---- */

/* One text of every run. */
static void
write_texts(struct slw_jw *w, const char *key, const struct slw_run_row *rows,
            size_t count, struct slw_str (*text)(const struct slw_run_row *))
{
    slw_jw_key(w, key);
    slw_jw_arr(w);
    for (size_t i = 0; i < count; i++)
        slw_jw_str(w, text(&rows[i]));
    slw_jw_arr_end(w);
}

static struct slw_str
id_of(const struct slw_run_row *r)
{
    return r->run.id;
}

static struct slw_str
name_of(const struct slw_run_row *r)
{
    return r->run.name;
}

static struct slw_str
status_of(const struct slw_run_row *r)
{
    return slw_str_of(slw_run_status_name(r->run.status));
}

static void
write_times(struct slw_jw *w, const struct slw_run_row *rows, size_t count)
{
    slw_jw_key(w, "started_at_ms");
    slw_jw_arr(w);
    for (size_t i = 0; i < count; i++)
        write_time(w, rows[i].run.start_ms);
    slw_jw_arr_end(w);
    slw_jw_key(w, "ended_at_ms");
    slw_jw_arr(w);
    for (size_t i = 0; i < count; i++)
        write_time(w, rows[i].run.end_ms);
    slw_jw_arr_end(w);
    slw_jw_key(w, "experiment_ids");
    slw_jw_arr(w);
    for (size_t i = 0; i < count; i++)
        slw_jw_i64(w, rows[i].run.experiment_id);
    slw_jw_arr_end(w);
}

enum slw_rc
api_runs_values(struct slw_http_req *req, struct slw_http_res *res,
                struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str columns[SLW_RUN_COLUMN_MAX], order;
    size_t column_count = 0, count = 0;
    int64_t experiment = 0, total = 0;
    struct slw_track_query q;
    struct slw_run_row *rows = NULL;
    TRY(columns_of(req, columns, &column_count, err));
    TRY(query_of(req, VALUES_RUN_MAX, &q, &experiment, &order, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_track_read(&tx, api->store, err));
    TRY(slw_track_run_rows(&tx, &q, columns, column_count, req->arena, &rows,
                           &count, &total, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    w.nan_as_text = true;
    slw_jw_obj(&w);
    slw_jw_ki64(&w, "total", total);
    slw_jw_ki64(&w, "offset", (int64_t)q.offset);
    write_texts(&w, "ids", rows, count, id_of);
    write_texts(&w, "names", rows, count, name_of);
    write_texts(&w, "statuses", rows, count, status_of);
    write_times(&w, rows, count);
    slw_jw_key(&w, "columns"); /* null: the run has none */
    slw_jw_obj(&w);
    for (size_t c = 0; c < column_count; c++) {
        slw_jw_keys(&w, columns[c]);
        slw_jw_arr(&w);
        for (size_t i = 0; i < count; i++)
            if (rows[i].values[c].kind == SLW_RUN_VALUE_NONE)
                slw_jw_null(&w);
            else
                write_run_value(&w, &rows[i].values[c]);
        slw_jw_arr_end(&w);
    }
    slw_jw_obj_end(&w);
    slw_jw_obj_end(&w);
    return slw_buf_check(&res->body, err);
}

/* ---- histories ---- */

static const char *const AXES[] = {[SLW_THIN_STEP] = "step",
                                   [SLW_THIN_TIME] = "time",
                                   [SLW_THIN_RELATIVE] = "relative"};

static enum slw_rc
thin_options_of(struct slw_http_req *req, struct slw_thin_options *out,
                struct slw_err *err)
{
    struct slw_thin_options o = {0};
    struct slw_str axis = slw_http_query(req, "x");
    struct slw_str log = slw_http_query(req, "log");
    struct slw_str smooth = slw_http_query(req, "smooth");
    int64_t points = 0;
    size_t i = 0;
    while (axis.len && i < SLW_ARRAY_LEN(AXES) && !slw_str_eqz(axis, AXES[i]))
        i++;
    if (i == SLW_ARRAY_LEN(AXES))
        return slw_fail(err, SLW_INVALID, "x is step, time or relative");
    o.axis = (enum slw_thin_axis)i;
    o.log = slw_str_eqz(log, "1") || slw_str_eqz(log, "true");
    if (log.len && !o.log && !slw_str_eqz(log, "0") &&
        !slw_str_eqz(log, "false"))
        return slw_fail(err, SLW_INVALID, "log is true or false");
    if (smooth.len)
        TRY(slw_str_f64(smooth, &o.smooth, err));
    TRY(slw_http_query_i64(req, "points", 400, &points, err));
    if (points < 1 || points > SLW_THIN_BUCKET_MAX)
        return slw_fail(err, SLW_INVALID, "points must be 1 to %d",
                        SLW_THIN_BUCKET_MAX);
    o.bucket_count = (size_t)points;
    TRY(slw_http_query_i64(req, "from", INT64_MIN, &o.from, err));
    TRY(slw_http_query_i64(req, "to", INT64_MAX, &o.to, err));
    *out = o;
    return SLW_OK;
}

static void
write_value(struct slw_jw *w, double v, bool exact)
{
    char text[32];
    if (exact) {
        slw_jw_f64(w, v);
        return;
    }
    snprintf(text, sizeof text, "%.*g", DIGITS, v);
    slw_jw_raw(w, slw_str_of(text));
}

static void
write_line(struct slw_jw *w, const struct slw_thin_line *line, bool exact)
{
    slw_jw_key(w, "x");
    slw_jw_arr(w);
    for (size_t i = 0; i < line->count; i++)
        slw_jw_i64(w, line->points[i].x);
    slw_jw_arr_end(w);
    slw_jw_key(w, "y");
    slw_jw_arr(w);
    for (size_t i = 0; i < line->count; i++)
        write_value(w, line->points[i].y, exact);
    slw_jw_arr_end(w);
}

static void
write_breaks(struct slw_jw *w, const struct slw_thin *t)
{
    slw_jw_key(w, "breaks");
    slw_jw_arr(w);
    for (size_t i = 0; i < t->break_count; i++) {
        const struct slw_thin_break *b = &t->breaks[i];
        slw_jw_arr(w);
        slw_jw_i64(w, b->x);
        slw_jw_i64(w, (int64_t)b->nan_count);
        slw_jw_i64(w, (int64_t)b->above_count);
        slw_jw_i64(w, (int64_t)b->below_count);
        slw_jw_arr_end(w);
    }
    slw_jw_arr_end(w);
}

static void
write_history(struct slw_jw *w, struct slw_str id, const struct slw_thin *t,
              const struct slw_thin_options *o)
{
    /* As stored, where every point of the range is there. */
    size_t numbers = t->shown - t->nan_count - t->above_count - t->below_count -
                     t->hidden_count;
    bool exact = numbers <= t->raw.count;
    slw_jw_obj(w);
    slw_jw_kstr(w, "id", id);
    slw_jw_ki64(w, "total", (int64_t)t->total);
    slw_jw_ki64(w, "shown", (int64_t)t->shown);
    slw_jw_ki64(w, "nan", (int64_t)t->nan_count);
    slw_jw_ki64(w, "above", (int64_t)t->above_count);
    slw_jw_ki64(w, "below", (int64_t)t->below_count);
    slw_jw_ki64(w, "hidden", (int64_t)t->hidden_count);
    slw_jw_ki64(w, "from", t->x_min);
    slw_jw_ki64(w, "to", t->x_max);
    write_line(w, &t->raw, exact);
    if (o->smooth > 0) {
        slw_jw_key(w, "smooth");
        slw_jw_obj(w);
        write_line(w, &t->smooth, false);
        slw_jw_obj_end(w);
    }
    write_breaks(w, t);
    slw_jw_obj_end(w);
}

static enum slw_rc
history_runs_of(struct slw_http_req *req, struct slw_str *out,
                size_t *out_count, struct slw_err *err)
{
    struct slw_str key, value;
    size_t count = 0;
    for (size_t i = 0; slw_http_query_at(req, i, &key, &value); i++) {
        if (!slw_str_eqz(key, "run"))
            continue;
        if (count == HISTORY_RUN_MAX)
            return slw_fail(err, SLW_INVALID, "at most %d runs at once",
                            HISTORY_RUN_MAX);
        out[count++] = value;
    }
    if (!count)
        return slw_fail(err, SLW_INVALID,
                        "run= names a run by its id, once for each");
    *out_count = count;
    return SLW_OK;
}

enum slw_rc
api_runs_history(struct slw_http_req *req, struct slw_http_res *res,
                 struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str ids[HISTORY_RUN_MAX];
    struct slw_str metric = slw_http_query(req, "metric");
    struct slw_thin_options o;
    size_t count = 0;
    TRY(history_runs_of(req, ids, &count, err));
    if (!metric.len)
        return slw_fail(err, SLW_INVALID, "metric= names a metric");
    TRY(thin_options_of(req, &o, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "metric", metric);
    slw_jw_kz(&w, "x", AXES[o.axis]);
    slw_jw_kbool(&w, "log", o.log);
    slw_jw_kf64(&w, "smoothing", o.smooth);
    slw_jw_ki64(&w, "points", (int64_t)o.bucket_count);
    slw_jw_key(&w, "runs");
    slw_jw_arr(&w);
    for (size_t i = 0; i < count; i++) {
        struct slw_thin t;
        TRY(slw_track_history_thin(&tx, ids[i], metric, &o, req->arena, &t,
                                   err));
        write_history(&w, ids[i], &t, &o);
    }
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    return slw_buf_check(&res->body, err);
}
