/* profile.c -- what the columns of a version look like, in JSON.
 *
 * Every figure is a function of the rows alone (one thread, exact counts
 * below a million rows), so that the same version has the same profile
 * wherever it is made.  README.md gives the keys. */
#include "data/data_internal.h"

#include <math.h>

#include "base/buf.h"

#define BIN_COUNT 20
#define TOP_COUNT 10
#define EXACT_ROWS_MAX 1000000

static const struct {
    const char *key;
    const char *q;
} QUANTILES[] = {{"0.01", "0.01"}, {"0.05", "0.05"}, {"0.25", "0.25"},
                 {"0.5", "0.5"},   {"0.75", "0.75"}, {"0.95", "0.95"},
                 {"0.99", "0.99"}};

struct profile_job {
    struct slw_scan *sc;
    struct slw_arena *a;
    struct slw_str from;
    int64_t row_count;
    struct slw_jw *w;
};

/* count, nulls, distinct: for a column of any type. */
static enum slw_rc
common_write(const struct profile_job *p, struct slw_str expr,
             struct slw_err *err)
{
    struct slw_scan_result r;
    TRY(slw_scan_query(
        p->sc, 1, p->a, &r,
        slw_arena_printf(p->a,
                         "SELECT count(v), %s FROM (SELECT %.*s AS v"
                         " FROM %.*s)",
                         p->row_count < EXACT_ROWS_MAX
                             ? "count(DISTINCT v)"
                             : "CAST(approx_count_distinct(v) AS BIGINT)",
                         SLW_FMT(expr), SLW_FMT(p->from)),
        err));
    slw_jw_ki64(p->w, "count", r.cols[0].i64[0]);
    slw_jw_ki64(p->w, "nulls", p->row_count - r.cols[0].i64[0]);
    slw_jw_ki64(p->w, "distinct", r.cols[1].i64[0]);
    return SLW_OK;
}

static enum slw_rc
histogram_write(const struct profile_job *p, struct slw_str expr, double min,
                double max, struct slw_err *err)
{
    char low[SLW_F64_TEXT_SIZE];
    char high[SLW_F64_TEXT_SIZE];
    (void)slw_f64_text(min, low);
    (void)slw_f64_text(max, high);
    const bool flat = !(max > min);
    struct slw_scan_result r;
    TRY(slw_scan_query(
        p->sc, BIN_COUNT, p->a, &r,
        slw_arena_printf(
            p->a,
            "SELECT CAST(%s AS BIGINT) AS bin, count(*) FROM"
            " (SELECT %.*s AS v FROM %.*s) WHERE v IS NOT NULL AND"
            " isfinite(v) GROUP BY 1 ORDER BY 1",
            flat ? "0"
                 : slw_arena_printf(p->a,
                                    "least(%d, floor((v - %s::DOUBLE) /"
                                    " (%s::DOUBLE - %s::DOUBLE) * %d))",
                                    BIN_COUNT - 1, low, high, low, BIN_COUNT)
                       .ptr,
            SLW_FMT(expr), SLW_FMT(p->from)),
        err));
    const int bin_count = flat ? 1 : BIN_COUNT;
    int64_t counts[BIN_COUNT] = {0};
    for (size_t i = 0; i < r.row_count; i++)
        counts[r.cols[0].i64[i]] = r.cols[1].i64[i];
    slw_jw_key(p->w, "histogram");
    slw_jw_obj(p->w);
    slw_jw_key(p->w, "edges");
    slw_jw_arr(p->w);
    for (int i = 0; i <= bin_count; i++)
        slw_jw_f64(p->w,
                   i == bin_count ? max : min + (max - min) * i / bin_count);
    slw_jw_arr_end(p->w);
    slw_jw_key(p->w, "counts");
    slw_jw_arr(p->w);
    for (int i = 0; i < bin_count; i++)
        slw_jw_i64(p->w, counts[i]);
    slw_jw_arr_end(p->w);
    slw_jw_obj_end(p->w);
    return SLW_OK;
}

static enum slw_rc
number_write(const struct profile_job *p, struct slw_str expr,
             struct slw_err *err)
{
    SLW_AUTO(slw_buf, sql);
    slw_buf_z(&sql, "SELECT count(v), min(v), max(v), avg(v),"
                    " coalesce(stddev_samp(v), 0)");
    for (size_t i = 0; i < SLW_ARRAY_LEN(QUANTILES); i++)
        slw_buf_printf(&sql, ", quantile_cont(v, %s)", QUANTILES[i].q);
    slw_buf_printf(&sql,
                   " FROM (SELECT %.*s AS v FROM %.*s) WHERE v IS NOT NULL"
                   " AND isfinite(v)",
                   SLW_FMT(expr), SLW_FMT(p->from));
    struct slw_scan_result r;
    TRY(slw_scan_query(p->sc, 1, p->a, &r, slw_buf_view(&sql), err));
    if (r.cols[0].i64[0] == 0)
        return SLW_OK;
    static const char *const keys[] = {"min", "max", "mean", "std"};
    for (size_t i = 0; i < SLW_ARRAY_LEN(keys); i++)
        slw_jw_kf64(p->w, keys[i], r.cols[i + 1].f64[0]);
    slw_jw_key(p->w, "quantiles");
    slw_jw_obj(p->w);
    for (size_t i = 0; i < SLW_ARRAY_LEN(QUANTILES); i++)
        slw_jw_kf64(p->w, QUANTILES[i].key, r.cols[i + 5].f64[0]);
    slw_jw_obj_end(p->w);
    return histogram_write(p, expr, r.cols[1].f64[0], r.cols[2].f64[0], err);
}

static enum slw_rc
time_write(const struct profile_job *p, struct slw_str column,
           struct slw_err *err)
{
    const struct slw_str ms = data_ms_sql(p->a, column);
    struct slw_scan_result r;
    TRY(slw_scan_query(p->sc, 1, p->a, &r,
                       slw_arena_printf(p->a,
                                        "SELECT min(%.*s), max(%.*s)"
                                        " FROM %.*s",
                                        SLW_FMT(ms), SLW_FMT(ms),
                                        SLW_FMT(p->from)),
                       err));
    if (r.cols[0].is_null[0])
        return SLW_OK;
    char text[SLW_TIME_TEXT_SIZE];
    slw_jw_kz(p->w, "min", slw_time_text(r.cols[0].i64[0], text));
    slw_jw_kz(p->w, "max", slw_time_text(r.cols[1].i64[0], text));
    return SLW_OK;
}

static enum slw_rc
text_write(const struct profile_job *p, struct slw_str name,
           struct slw_err *err)
{
    struct slw_scan_result r;
    TRY(slw_scan_query(
        p->sc, TOP_COUNT, p->a, &r,
        slw_arena_printf(p->a,
                         "SELECT v, count(*) FROM (SELECT CAST(%.*s AS"
                         " VARCHAR) AS v FROM %.*s) WHERE v IS NOT NULL"
                         " GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %d",
                         SLW_FMT(name), SLW_FMT(p->from), TOP_COUNT),
        err));
    slw_jw_key(p->w, "top");
    slw_jw_arr(p->w);
    for (size_t i = 0; i < r.row_count; i++) {
        struct slw_str v = r.cols[0].str[i];
        if (v.len > 200)
            v.len = 200; /* the writer mends a character cut in two */
        slw_jw_obj(p->w);
        slw_jw_kstr(p->w, "value", v);
        slw_jw_ki64(p->w, "count", r.cols[1].i64[i]);
        slw_jw_obj_end(p->w);
    }
    slw_jw_arr_end(p->w);
    return SLW_OK;
}

static enum slw_rc
column_write(const struct profile_job *p, const struct data_col *c,
             struct slw_err *err)
{
    const struct slw_str name = slw_sql_name(p->a, c->name);
    slw_jw_keys(p->w, c->name);
    slw_jw_obj(p->w);
    slw_jw_kstr(p->w, "type", c->type);
    if (data_type_is_number(c->type)) {
        /* NaN is no value either. */
        const struct slw_str expr =
            slw_arena_printf(p->a,
                             "CASE WHEN NOT isnan(CAST(%.*s AS DOUBLE))"
                             " THEN CAST(%.*s AS DOUBLE) END",
                             SLW_FMT(name), SLW_FMT(name));
        TRY(common_write(p, expr, err));
        TRY(number_write(p, expr, err));
    } else {
        TRY(common_write(p, name, err));
        if (data_type_is_time(c->type))
            TRY(time_write(p, c->name, err));
        else
            TRY(text_write(p, name, err));
    }
    slw_jw_obj_end(p->w);
    return SLW_OK;
}

enum slw_rc
data_profile(struct slw_scan *sc, struct slw_str from,
             const struct data_cols *cols, struct slw_arena *a,
             struct slw_str *out, struct slw_err *err)
{
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    struct profile_job p = {.sc = sc, .a = a, .from = from, .w = &w};
    TRY(data_query_i64(
        sc, a, slw_arena_printf(a, "SELECT count(*) FROM %.*s", SLW_FMT(from)),
        &p.row_count, err));
    slw_jw_obj(&w);
    slw_jw_ki64(&w, "rows", p.row_count);
    slw_jw_key(&w, "columns");
    slw_jw_obj(&w);
    for (size_t i = 0; i < cols->count; i++)
        TRY(column_write(&p, &cols->at[i], err));
    slw_jw_obj_end(&w);
    slw_jw_obj_end(&w);
    TRY(slw_buf_check(&text, err));
    *out = slw_arena_str(a, slw_buf_view(&text));
    return SLW_OK;
}
