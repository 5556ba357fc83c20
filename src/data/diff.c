/* diff.c -- what lies between two versions: rows by key, columns, the
 * distribution of each number, and how many chunks they share on disk. */
#include "data/data_internal.h"

#include <math.h>

#include "base/buf.h"
#include "base/file.h"
#include "num/drift.h"
#include "store/blob.h"

#define DIFF_BINS 10

struct diff {
    struct slw_store *s;
    struct slw_arena *a;
    struct slw_scan *sc;
    struct slw_dataset v[2];
    struct data_def def; /* of b */
    struct slw_str from[2];
    struct data_cols cols[2];
    struct slw_jw *out;
};

static enum slw_rc
sides_open(struct diff *d, const struct json_t *spec, struct slw_err *err)
{
    static const char *const keys[] = {"a", "b"};
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, d->s, err));
    for (int i = 0; i < 2; i++) {
        struct slw_str ref;
        TRY(slw_json_need_str(spec, keys[i], &ref, err));
        TRY(slw_data_get(&tx, ref, d->a, &d->v[i], err));
    }
    return data_def_parse(d->v[1].name, d->v[1].source_def, d->a, &d->def, err);
}

static enum slw_rc
tables_load(struct diff *d, struct slw_err *err)
{
    for (int i = 0; i < 2; i++) {
        const char *path = NULL;
        TRY(slw_blob_cached(d->s, slw_arena_strz(d->a, d->v[i].hash),
                            ".parquet", d->a, &path, err));
        d->from[i] = slw_arena_printf(d->a, "slw_%c", "ab"[i]);
        const struct slw_str from = data_parquet_sql(d->a, path);
        TRY(slw_scan_exec(d->sc, err, "CREATE VIEW %.*s AS SELECT * FROM %.*s",
                          SLW_FMT(d->from[i]), SLW_FMT(from)));
        TRY(data_describe(d->sc, d->from[i], d->a, &d->cols[i], err));
    }
    return SLW_OK;
}

/* ---- columns ---- */

static void
columns_write(struct diff *d)
{
    slw_jw_key(d->out, "columns");
    slw_jw_obj(d->out);
    for (int side = 1; side >= 0; side--) {
        slw_jw_key(d->out, side ? "added" : "removed");
        slw_jw_arr(d->out);
        for (size_t i = 0; i < d->cols[side].count; i++)
            if (!data_cols_find(&d->cols[1 - side], d->cols[side].at[i].name))
                slw_jw_str(d->out, d->cols[side].at[i].name);
        slw_jw_arr_end(d->out);
    }
    slw_jw_key(d->out, "retyped");
    slw_jw_arr(d->out);
    for (size_t i = 0; i < d->cols[1].count; i++) {
        const struct data_col *now = &d->cols[1].at[i];
        const struct data_col *was = data_cols_find(&d->cols[0], now->name);
        if (!was || slw_str_eq(was->type, now->type))
            continue;
        slw_jw_obj(d->out);
        slw_jw_kstr(d->out, "name", now->name);
        slw_jw_kstr(d->out, "from", was->type);
        slw_jw_kstr(d->out, "to", now->type);
        slw_jw_obj_end(d->out);
    }
    slw_jw_arr_end(d->out);
    slw_jw_obj_end(d->out);
}

/* ---- rows ---- */

/* Key columns and those that both sides have besides, as SQL lists. */
static void
keys_build(const struct diff *d, struct slw_buf *key, struct slw_buf *rest)
{
    slw_buf_str(key, slw_sql_name(d->a, d->def.event_time));
    if (d->def.entity.len)
        slw_buf_printf(key, ", %.*s",
                       SLW_FMT(slw_sql_name(d->a, d->def.entity)));
    for (size_t i = 0; i < d->cols[1].count; i++) {
        const struct slw_str name = d->cols[1].at[i].name;
        if (!data_cols_find(&d->cols[0], name) ||
            slw_str_same(name, d->def.entity) ||
            slw_str_same(name, d->def.event_time))
            continue;
        const struct slw_str q = slw_sql_name(d->a, name);
        slw_buf_printf(rest, "%s(a.%.*s IS DISTINCT FROM b.%.*s)",
                       rest->len ? " OR " : "", SLW_FMT(q), SLW_FMT(q));
    }
    if (rest->len == 0)
        slw_buf_z(rest, "false");
}

/* A key that occurs several times is told apart by its place among them. */
static enum slw_rc
rows_write(struct diff *d, struct slw_err *err)
{
    SLW_AUTO(slw_buf, key);
    SLW_AUTO(slw_buf, rest);
    keys_build(d, &key, &rest);
    if (!data_cols_find(&d->cols[0], d->def.event_time) ||
        (d->def.entity.len && !data_cols_find(&d->cols[0], d->def.entity)))
        return slw_fail(err, SLW_INVALID,
                        "the versions have different entity or event-time"
                        " columns, so their rows cannot be compared");
    const struct slw_str k = slw_buf_view(&key);
    const struct slw_str numbered = slw_arena_printf(
        d->a, "SELECT *, row_number() OVER (PARTITION BY %.*s) AS slw_nth FROM",
        SLW_FMT(k));
    struct slw_scan_result r;
    TRY(slw_scan_query(
        d->sc, 1, d->a, &r,
        slw_arena_printf(
            d->a,
            "SELECT count(*) FILTER (a.slw_nth IS NULL),"
            " count(*) FILTER (b.slw_nth IS NULL),"
            " count(*) FILTER (a.slw_nth IS NOT NULL AND b.slw_nth IS NOT NULL"
            " AND (%.*s)) FROM (%.*s slw_a) a FULL JOIN (%.*s slw_b) b"
            " USING (%.*s, slw_nth)",
            SLW_FMT(slw_buf_view(&rest)), SLW_FMT(numbered), SLW_FMT(numbered),
            SLW_FMT(k)),
        err));
    slw_jw_key(d->out, "rows");
    slw_jw_obj(d->out);
    slw_jw_ki64(d->out, "a", d->v[0].row_count);
    slw_jw_ki64(d->out, "b", d->v[1].row_count);
    slw_jw_ki64(d->out, "added", r.cols[0].i64[0]);
    slw_jw_ki64(d->out, "removed", r.cols[1].i64[0]);
    slw_jw_ki64(d->out, "changed", r.cols[2].i64[0]);
    slw_jw_obj_end(d->out);
    return SLW_OK;
}

/* ---- distributions ---- */

static enum slw_rc
edges_get(struct diff *d, struct slw_str name, struct slw_arena *a,
          double *edges, size_t *out_count, struct slw_err *err)
{
    SLW_AUTO(slw_buf, sql);
    slw_buf_z(&sql, "SELECT ");
    for (int i = 1; i < DIFF_BINS; i++)
        slw_buf_printf(&sql, "%squantile_cont(CAST(%.*s AS DOUBLE), %d / %d.0)",
                       i > 1 ? ", " : "", SLW_FMT(name), i, DIFF_BINS);
    slw_buf_printf(&sql, " FROM slw_a WHERE isfinite(CAST(%.*s AS DOUBLE))",
                   SLW_FMT(name));
    struct slw_scan_result r;
    TRY(slw_scan_query(d->sc, 1, a, &r, slw_buf_view(&sql), err));
    size_t count = 0;
    for (size_t i = 0; i < r.col_count; i++) {
        const double e = r.cols[i].f64[0];
        if (!isnan(e) && (count == 0 || e > edges[count - 1]))
            edges[count++] = e;
    }
    *out_count = count;
    return SLW_OK;
}

/* Rows of one side in each bin: bin i holds edges[i-1] < x <= edges[i]. */
static enum slw_rc
bins_get(struct diff *d, int side, struct slw_str name, const double *edges,
         size_t edge_count, struct slw_arena *a, int64_t *counts,
         struct slw_err *err)
{
    SLW_AUTO(slw_buf, sql);
    slw_buf_z(&sql, "SELECT ");
    for (size_t i = 0; i <= edge_count; i++) {
        slw_buf_printf(&sql, "%scount(*) FILTER (true", i ? ", " : "");
        if (i > 0) {
            slw_buf_z(&sql, " AND x > ");
            slw_buf_f64(&sql, edges[i - 1]);
            slw_buf_z(&sql, "::DOUBLE");
        }
        if (i < edge_count) {
            slw_buf_z(&sql, " AND x <= ");
            slw_buf_f64(&sql, edges[i]);
            slw_buf_z(&sql, "::DOUBLE");
        }
        slw_buf_z(&sql, ")");
    }
    slw_buf_printf(&sql,
                   " FROM (SELECT CAST(%.*s AS DOUBLE) AS x FROM %.*s) WHERE"
                   " isfinite(x)",
                   SLW_FMT(name), SLW_FMT(d->from[side]));
    struct slw_scan_result r;
    TRY(slw_scan_query(d->sc, 1, a, &r, slw_buf_view(&sql), err));
    for (size_t i = 0; i <= edge_count; i++)
        counts[i] = r.cols[i].i64[0];
    return SLW_OK;
}

static enum slw_rc
psi_of(struct diff *d, struct slw_str column, double *out, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    const struct slw_str name = slw_sql_name(&a, column);
    double edges[DIFF_BINS];
    size_t edge_count = 0;
    int64_t counts[2][DIFF_BINS + 1] = {{0}};
    TRY(edges_get(d, name, &a, edges, &edge_count, err));
    if (edge_count == 0)
        return SLW_OK;
    for (int i = 0; i < 2; i++)
        TRY(bins_get(d, i, name, edges, edge_count, &a, counts[i], err));
    struct slw_err ignored; /* a side without values has no distribution */
    double psi = NAN;
    if (slw_psi(counts[0], counts[1], edge_count + 1, &psi, &ignored) == SLW_OK)
        *out = psi;
    return SLW_OK;
}

static enum slw_rc
psi_write(struct diff *d, struct slw_err *err)
{
    slw_jw_key(d->out, "psi");
    slw_jw_obj(d->out);
    for (size_t i = 0; i < d->cols[1].count; i++) {
        const struct data_col *now = &d->cols[1].at[i];
        const struct data_col *was = data_cols_find(&d->cols[0], now->name);
        if (!was || !data_type_is_number(was->type) ||
            !data_type_is_number(now->type))
            continue;
        double psi = NAN;
        TRY(psi_of(d, now->name, &psi, err));
        slw_jw_keys(d->out, now->name);
        slw_jw_f64(d->out, psi);
    }
    slw_jw_obj_end(d->out);
    return SLW_OK;
}

/* ---- all together ---- */

static void
side_write(struct diff *d, int side)
{
    const struct slw_dataset *v = &d->v[side];
    slw_jw_key(d->out, side ? "b" : "a");
    slw_jw_obj(d->out);
    slw_jw_kstr(d->out, "name", v->name);
    slw_jw_ki64(d->out, "version", v->version);
    slw_jw_kstr(d->out, "hash", v->hash);
    slw_jw_ki64(d->out, "event_min_ms", v->event_min_ms);
    slw_jw_ki64(d->out, "event_max_ms", v->event_max_ms);
    slw_jw_ki64(d->out, "known_at_ms", v->known_at_ms);
    slw_jw_obj_end(d->out);
}

static enum slw_rc
chunks_write(struct diff *d, struct slw_err *err)
{
    int64_t shared = 0;
    int64_t total = 0;
    TRY(slw_blob_shared(d->s, slw_arena_strz(d->a, d->v[0].hash),
                        slw_arena_strz(d->a, d->v[1].hash), &shared, &total,
                        err));
    slw_jw_key(d->out, "chunks");
    slw_jw_obj(d->out);
    slw_jw_ki64(d->out, "shared", shared);
    slw_jw_ki64(d->out, "total", total);
    slw_jw_obj_end(d->out);
    return SLW_OK;
}

enum slw_rc
slw_data_diff_task(struct slw_store *s, void *app, const struct json_t *spec,
                   struct slw_arena *a, struct slw_jw *out, struct slw_err *err)
{
    struct diff d = {.s = s, .a = a, .out = out};
    TRY(sides_open(&d, spec, err));
    SLW_AUTO(slw_scan, sc);
    TRY(slw_scan_open(&sc, 1, 0, slw_path(a, slw_store_dir(s), "tmp"), err));
    d.sc = &sc;
    TRY(tables_load(&d, err));
    slw_jw_obj(out);
    side_write(&d, 0);
    side_write(&d, 1);
    TRY(rows_write(&d, err));
    columns_write(&d);
    TRY(psi_write(&d, err));
    TRY(chunks_write(&d, err));
    slw_jw_obj_end(out);
    return SLW_OK;
}
