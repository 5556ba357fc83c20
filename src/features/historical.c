/* historical.c -- features joined onto the caller's own rows, and a view's
 * whole table for a download.
 *
 * A caller's row asks: what was known at this instant?  So its event time is
 * its decision time; a bare date means the end of that day, as in
 * "prices@2023-08-31".  Order and count of the rows are kept. */
#include "features/features_internal.h"

#include <math.h>

#include "base/file.h"
#include "data/data.h"

struct history {
    struct features_world w;
    struct slw_arena *a;
    const struct json_t *rows; /* or NULL: a file */
    struct features_def *defs;
    struct features_table *tables;
    size_t count;
    struct slw_str *keys; /* [count] column of the spine */
    struct slw_str event_column;
    int64_t as_of_ms;
    const char *out_path;
};

static void
history_done(struct history *h)
{
    features_world_done(&h->w);
}

/* ---- what is asked for ---- */

static enum slw_rc
defs_get(struct slw_store *s, const struct json_t *names, struct slw_arena *a,
         struct features_def **out, size_t *out_count, struct slw_err *err)
{
    const size_t count = slw_json_len(names);
    if (count == 0 || count > FEATURES_VIEWS_MAX)
        return slw_fail(err, SLW_INVALID,
                        "views must list 1 to %d feature views",
                        FEATURES_VIEWS_MAX);
    *out = SLW_ARENA_NEW(a, struct features_def, count + 1);
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, s, err));
    for (size_t i = 0; i < count; i++) {
        const struct slw_str name =
            slw_json_str_or(slw_json_at(names, i), SLW_STR(""));
        struct slw_view v;
        TRY(slw_features_view_get(&tx, name, a, &v, err));
        TRY(features_def_parse(v.name, v.def, a, &(*out)[i], err));
    }
    *out_count = count;
    return SLW_OK;
}

static enum slw_rc
world_open(struct history *h, struct slw_store *s, struct slw_err *err)
{
    SLW_AUTO(slw_buf, versions);
    SLW_AUTO(slw_buf, hashes);
    struct slw_jw v;
    struct slw_jw g;
    slw_jw_init(&v, &versions);
    slw_jw_init(&g, &hashes);
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, s, err));
        TRY(slw_data_pins(&tx, h->as_of_ms, &v, &g, err));
    }
    SLW_AUTO(slw_json, pins);
    TRY(slw_json_parse(&pins, slw_buf_view(&versions), err));
    struct slw_str *sqls = SLW_ARENA_NEW(h->a, struct slw_str, h->count);
    for (size_t i = 0; i < h->count; i++)
        sqls[i] = h->defs[i].sql;
    return features_world_open(&h->w, s, pins.root, sqls, h->count, h->as_of_ms,
                               h->a, err);
}

/* ---- rows in JSON ---- */

static const struct json_t *
row_event(const struct history *h, const struct json_t *row)
{
    const struct json_t *v = slw_json_get(row, "event_time");
    for (size_t i = 0; !v && i < h->count; i++)
        v = slw_json_get(row, slw_arena_strz(h->a, h->defs[i].event_time));
    return v;
}

static enum slw_rc
row_ms(const struct history *h, size_t index, int64_t *out, struct slw_err *err)
{
    const struct json_t *v = row_event(h, slw_json_at(h->rows, index));
    if (slw_json_type(v) == SLW_JSON_INT) {
        *out = slw_json_i64_or(v, 0);
        return SLW_OK;
    }
    const struct slw_str text = slw_json_str_or(v, SLW_STR(""));
    if (slw_time_parse_end(text, out, err) == SLW_OK)
        return SLW_OK;
    return slw_fail(err, SLW_INVALID,
                    "row %zu needs an event_time such as \"2023-08-31\" or"
                    " \"2023-08-31T16:00:00Z\"",
                    index + 1);
}

static enum slw_rc
row_key(const struct history *h, size_t index, struct slw_str entity,
        struct slw_buf *sql, struct slw_err *err)
{
    const struct json_t *v =
        slw_json_get(slw_json_at(h->rows, index), slw_arena_strz(h->a, entity));
    struct slw_str text = slw_json_str_or(v, SLW_STR(""));
    if (slw_json_type(v) == SLW_JSON_INT)
        text = slw_arena_printf(h->a, "%lld", (long long)slw_json_i64_or(v, 0));
    else if (slw_json_type(v) != SLW_JSON_STR)
        return slw_fail(err, SLW_INVALID, "row %zu has no '%.*s'", index + 1,
                        SLW_FMT(entity));
    slw_buf_printf(sql, ", %.*s", SLW_FMT(slw_sql_literal(h->a, text)));
    return SLW_OK;
}

#define INSERT_BATCH 500

static enum slw_rc
spine_from_json(struct history *h, struct slw_err *err)
{
    const size_t rows = slw_json_len(h->rows);
    if (rows == 0 || rows > FEATURES_CALLER_ROWS_MAX)
        return slw_fail(err, rows ? SLW_LIMIT : SLW_INVALID,
                        "rows must hold 1 to %d rows; more go by \"path\"",
                        FEATURES_CALLER_ROWS_MAX);
    SLW_AUTO(slw_buf, sql);
    slw_buf_z(&sql, "CREATE TABLE slw_out.spine(slw_row BIGINT, slw_event"
                    " BIGINT, slw_t BIGINT");
    for (size_t i = 0; i < h->count; i++)
        slw_buf_printf(&sql, ", slw_key%zu VARCHAR", i);
    slw_buf_z(&sql, ")");
    TRY(slw_scan_exec(&h->w.sc, err, "%.*s", SLW_FMT(slw_buf_view(&sql))));
    for (size_t at = 0; at < rows; at += INSERT_BATCH) {
        slw_buf_clear(&sql);
        slw_buf_z(&sql, "INSERT INTO slw_out.spine VALUES ");
        for (size_t i = at; i < rows && i < at + INSERT_BATCH; i++) {
            int64_t ms = 0;
            TRY(row_ms(h, i, &ms, err));
            slw_buf_printf(&sql, "%s(%zu, %lld, %lld", i > at ? ", " : "",
                           i + 1, (long long)ms, (long long)ms);
            for (size_t k = 0; k < h->count; k++)
                TRY(row_key(h, i, h->defs[k].entity, &sql, err));
            slw_buf_z(&sql, ")");
        }
        TRY(slw_buf_check(&sql, err));
        TRY(slw_scan_exec(&h->w.sc, err, "%.*s", SLW_FMT(slw_buf_view(&sql))));
    }
    return SLW_OK;
}

/* ---- rows in a file ---- */

static enum slw_rc
caller_columns(struct history *h, struct slw_str *key_columns,
               struct slw_str *event_type, struct slw_err *err)
{
    struct slw_scan_result r;
    TRY(slw_scan_query(&h->w.sc, FEATURES_COLUMNS_MAX, h->a, &r,
                       SLW_STR("DESCRIBE SELECT * EXCLUDE (slw_row) FROM"
                               " slw_out.caller"),
                       err));
    h->event_column = SLW_STR("");
    for (size_t i = 0; i < r.row_count; i++) {
        const struct slw_str name = r.cols[0].str[i];
        bool is_event = slw_str_same(name, SLW_STR("event_time"));
        for (size_t k = 0; k < h->count; k++) {
            if (slw_str_same(name, h->defs[k].entity))
                key_columns[k] = name;
            is_event |= h->event_column.len == 0 &&
                        slw_str_same(name, h->defs[k].event_time);
        }
        if (is_event) {
            h->event_column = name;
            *event_type = r.cols[1].str[i];
        }
    }
    for (size_t k = 0; k < h->count; k++)
        if (key_columns[k].len == 0)
            return slw_fail(err, SLW_INVALID,
                            "the rows have no column '%.*s', which view '%.*s'"
                            " is about",
                            SLW_FMT(h->defs[k].entity),
                            SLW_FMT(h->defs[k].name));
    if (!slw_str_eqz(*event_type, "DATE") &&
        !slw_str_starts(*event_type, "TIMESTAMP"))
        return slw_fail(err, SLW_INVALID,
                        "the rows need a column event_time of dates or times");
    return SLW_OK;
}

static enum slw_rc
spine_from_file(struct history *h, struct slw_str path, struct slw_err *err)
{
    const struct slw_str lit = slw_sql_literal(h->a, path);
    const char *reader =
        slw_str_ends(path, ".parquet") ? "read_parquet"
        : slw_str_ends(path, ".json") || slw_str_ends(path, ".jsonl")
            ? "read_json"
            : "read_csv";
    TRY(slw_scan_exec(&h->w.sc, err,
                      "CREATE TABLE slw_out.caller AS SELECT row_number() OVER"
                      " () AS slw_row, * FROM %s(%.*s)",
                      reader, SLW_FMT(lit)));
    struct slw_str *columns = SLW_ARENA_NEW(h->a, struct slw_str, h->count);
    struct slw_str type = SLW_STR("");
    TRY(caller_columns(h, columns, &type, err));
    const struct slw_str ms = features_ms_sql(h->a, h->event_column);
    const char *end = slw_str_eqz(type, "DATE") ? " + 86399999" : "";
    SLW_AUTO(slw_buf, sql);
    slw_buf_printf(&sql,
                   "CREATE TABLE slw_out.spine AS SELECT slw_row, %.*s%s AS"
                   " slw_event, %.*s%s AS slw_t",
                   SLW_FMT(ms), end, SLW_FMT(ms), end);
    for (size_t i = 0; i < h->count; i++)
        slw_buf_printf(&sql, ", CAST(%.*s AS VARCHAR) AS slw_key%zu",
                       SLW_FMT(slw_sql_name(h->a, columns[i])), i);
    slw_buf_z(&sql, " FROM slw_out.caller");
    return slw_scan_exec(&h->w.sc, err, "%.*s", SLW_FMT(slw_buf_view(&sql)));
}

/* ---- the answer ---- */

static enum slw_rc
answer_json(struct history *h, struct slw_str from, struct slw_jw *out,
            struct slw_err *err)
{
    SLW_AUTO(slw_buf, sql);
    slw_buf_z(&sql, "SELECT s.slw_row");
    features_columns_sql(&sql, h->tables, h->count, h->a);
    slw_buf_printf(&sql, "%.*s ORDER BY s.slw_row", SLW_FMT(from));
    struct slw_scan_result r;
    TRY(slw_scan_query(&h->w.sc, FEATURES_CALLER_ROWS_MAX, h->a, &r,
                       slw_buf_view(&sql), err));
    SLW_ASSERT(r.row_count == slw_json_len(h->rows));
    const struct json_t *first = slw_json_at(h->rows, 0);
    slw_jw_obj(out);
    slw_jw_key(out, "columns");
    slw_jw_arr(out);
    for (void *it = slw_json_iter(first); it; it = slw_json_next(first, it))
        slw_jw_str(out, slw_json_iter_key(it));
    for (size_t c = 1; c < r.col_count; c++)
        slw_jw_str(out, r.cols[c].name);
    slw_jw_arr_end(out);
    slw_jw_key(out, "rows");
    slw_jw_arr(out);
    for (size_t i = 0; i < r.row_count; i++) {
        const struct json_t *row = slw_json_at(h->rows, i);
        slw_jw_arr(out);
        for (void *it = slw_json_iter(first); it;
             it = slw_json_next(first, it)) {
            const struct json_t *v =
                slw_json_get(row, slw_arena_strz(h->a, slw_json_iter_key(it)));
            if (v)
                slw_jw_node(out, v);
            else
                slw_jw_null(out);
        }
        for (size_t c = 1; c < r.col_count; c++)
            slw_jw_f64(out, r.cols[c].f64[i]);
        slw_jw_arr_end(out);
    }
    slw_jw_arr_end(out);
    slw_jw_obj_end(out);
    return SLW_OK;
}

static const char *
copy_format(struct slw_str path)
{
    return slw_str_ends(path, ".csv") ? "FORMAT csv, HEADER" : "FORMAT parquet";
}

static enum slw_rc
answer_file(struct history *h, struct slw_str from, struct slw_jw *out,
            struct slw_err *err)
{
    const struct slw_str to = slw_str_of(h->out_path);
    const struct slw_str lit = slw_sql_literal(h->a, to);
    SLW_AUTO(slw_buf, columns);
    features_columns_sql(&columns, h->tables, h->count, h->a);
    /* The caller's rows, numbered, may themselves come from JSON. */
    const struct slw_str own =
        h->rows ? SLW_STR("s.slw_row, make_timestamp(s.slw_event * 1000) AS"
                          " event_time, s.slw_key0 AS entity")
                : SLW_STR("c.* EXCLUDE (slw_row)");
    const struct slw_str join =
        h->rows ? SLW_STR("")
                : SLW_STR(" JOIN slw_out.caller AS c ON c.slw_row = s.slw_row");
    TRY(slw_scan_exec(&h->w.sc, err,
                      "COPY (SELECT %.*s%.*s%.*s%.*s ORDER BY s.slw_row) TO"
                      " %.*s (%s)",
                      SLW_FMT(own), SLW_FMT(slw_buf_view(&columns)),
                      SLW_FMT(from), SLW_FMT(join), SLW_FMT(lit),
                      copy_format(to)));
    int64_t rows = 0;
    TRY(features_query_i64(&h->w, SLW_STR("SELECT count(*) FROM slw_out.spine"),
                           &rows, err));
    slw_jw_obj(out);
    slw_jw_kz(out, "path", h->out_path);
    slw_jw_ki64(out, "rows", rows);
    slw_jw_obj_end(out);
    return SLW_OK;
}

/* The folder of a path, for the list of what may be written. */
static const char *
folder_of(struct slw_arena *a, struct slw_str path)
{
    size_t len = path.len;
    while (len > 0 && path.ptr[len - 1] != '/')
        len--;
    return len ? slw_arena_strz(a, (struct slw_str){path.ptr, len}) : "./";
}

static enum slw_rc
history_run(struct history *h, struct slw_str path, struct slw_jw *out,
            struct slw_err *err)
{
    if (h->rows)
        TRY(spine_from_json(h, err));
    else
        TRY(spine_from_file(h, path, err));
    TRY(features_world_lock(
        &h->w, h->out_path ? folder_of(h->a, slw_str_of(h->out_path)) : NULL,
        err));
    h->tables = SLW_ARENA_NEW(h->a, struct features_table, h->count);
    h->keys = SLW_ARENA_NEW(h->a, struct slw_str, h->count);
    for (size_t i = 0; i < h->count; i++) {
        TRY(features_table_build(&h->w, &h->defs[i], i, &h->tables[i], err));
        h->keys[i] = slw_arena_printf(h->a, "slw_key%zu", i);
    }
    TRY(features_tables_check(h->tables, h->count, err));
    struct slw_str from;
    TRY(features_join(&h->w, h->tables, h->keys, h->count, &from, err));
    return h->out_path ? answer_file(h, from, out, err)
                       : answer_json(h, from, out, err);
}

enum slw_rc
slw_features_historical_task(struct slw_store *s, void *app,
                             const struct json_t *spec, struct slw_arena *a,
                             struct slw_jw *out, struct slw_err *err)
{
    struct slw_str path = SLW_STR("");
    struct slw_str out_path = SLW_STR("");
    SLW_AUTO(history, h);
    h.a = a;
    h.as_of_ms = INT64_MAX;
    TRY(slw_json_opt_i64(spec, "as_of_ms", &h.as_of_ms, err));
    TRY(slw_json_opt_str(spec, "path", &path, err));
    TRY(slw_json_opt_str(spec, "out_path", &out_path, err));
    h.rows = slw_json_get(spec, "rows");
    if (!h.rows == (path.len == 0))
        return slw_fail(err, SLW_INVALID,
                        "give the rows either as \"rows\" or as the \"path\" of"
                        " a file");
    if (!h.rows && out_path.len == 0)
        return slw_fail(err, SLW_INVALID,
                        "rows from a file need an \"out_path\"");
    h.out_path = out_path.len ? slw_arena_strz(a, out_path) : NULL;
    TRY(defs_get(s, slw_json_get(spec, "views"), a, &h.defs, &h.count, err));
    TRY(world_open(&h, s, err));
    return history_run(&h, path, out, err);
}

/* ---- a whole view ---- */

enum slw_rc
slw_features_export_task(struct slw_store *s, void *app,
                         const struct json_t *spec, struct slw_arena *a,
                         struct slw_jw *out, struct slw_err *err)
{
    struct slw_str view;
    struct slw_str path;
    struct slw_str format = SLW_STR("parquet");
    TRY(slw_json_need_str(spec, "view", &view, err));
    TRY(slw_json_need_str(spec, "path", &path, err));
    TRY(slw_json_opt_str(spec, "format", &format, err));
    if (!slw_str_eqz(format, "csv") && !slw_str_eqz(format, "parquet"))
        return slw_fail(err, SLW_INVALID,
                        "format is '%.*s'; it can be csv or parquet",
                        SLW_FMT(format));
    SLW_AUTO(history, h);
    h.a = a;
    h.as_of_ms = INT64_MAX;
    h.count = 1;
    h.defs = SLW_ARENA_NEW(a, struct features_def, 1);
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, s, err));
        struct slw_view v;
        TRY(slw_features_view_get(&tx, view, a, &v, err));
        TRY(features_def_parse(v.name, v.def, a, &h.defs[0], err));
    }
    TRY(world_open(&h, s, err));
    TRY(features_world_lock(&h.w, folder_of(a, path), err));
    struct features_table t;
    TRY(features_table_build(&h.w, &h.defs[0], 0, &t, err));
    SLW_AUTO(slw_buf, columns);
    features_columns_sql(&columns, &t, 1, a);
    TRY(slw_scan_exec(
        &h.w.sc, err,
        "COPY (SELECT v0.slw_entity AS %.*s,"
        " make_timestamp(v0.slw_event * 1000) AS %.*s%.*s FROM %.*s AS v0"
        " ORDER BY v0.slw_event, v0.slw_entity) TO %.*s (%s)",
        SLW_FMT(slw_sql_name(a, t.entity)),
        SLW_FMT(slw_sql_name(a, t.event_time)), SLW_FMT(slw_buf_view(&columns)),
        SLW_FMT(t.table), SLW_FMT(slw_sql_literal(a, path)),
        slw_str_eqz(format, "csv") ? "FORMAT csv, HEADER" : "FORMAT parquet"));
    int64_t rows = 0;
    TRY(features_query_i64(&h.w, SLW_STR("SELECT count(*) FROM slw_out.v0"),
                           &rows, err));
    slw_jw_obj(out);
    slw_jw_kstr(out, "path", path);
    slw_jw_ki64(out, "rows", rows);
    slw_jw_obj_end(out);
    return SLW_OK;
}
