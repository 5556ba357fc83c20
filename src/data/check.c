/* check.c -- what rows must look like: count what fails, keep examples, set
 * rows aside or refuse the whole.
 *
 * Checks of rows run first, on all rows; checks of the whole set (unique,
 * fresh, rows) then speak of the rows that are left.  As in a SQL CHECK, a
 * condition that is NULL is met: not_null() is there to say otherwise. */
#include "data/data_internal.h"

#include "base/buf.h"

/* ---- the rows that fail one check: "SELECT slw_row FROM ..." ---- */

static struct slw_str
not_null_sql(const struct data_check *c, const struct data_cols *cols,
             struct slw_arena *a)
{
    SLW_AUTO(slw_buf, sql);
    for (size_t i = 0; i < c->col_count; i++) {
        const struct data_col *col = data_cols_find(cols, c->cols[i]);
        const struct slw_str name = slw_sql_name(a, c->cols[i]);
        slw_buf_printf(&sql, "%s%.*s IS NULL", i ? " OR " : "", SLW_FMT(name));
        if (slw_str_eqz(col->type, "DOUBLE") || slw_str_eqz(col->type, "FLOAT"))
            slw_buf_printf(&sql, " OR isnan(%.*s)", SLW_FMT(name));
    }
    return slw_arena_str(a, slw_buf_view(&sql));
}

static struct slw_str
failing_sql(const struct data_check *c, const struct data_cols *cols,
            struct slw_arena *a)
{
    if (c->kind == DATA_CHECK_UNIQUE)
        return slw_arena_printf(
            a,
            "SELECT slw_row FROM slw_rows QUALIFY row_number() OVER"
            " (PARTITION BY %.*s ORDER BY slw_row) > 1",
            SLW_FMT(data_names_sql(a, c->cols, c->col_count)));
    if (c->kind == DATA_CHECK_NOT_NULL)
        return slw_arena_printf(a, "SELECT slw_row FROM slw_all WHERE %.*s",
                                SLW_FMT(not_null_sql(c, cols, a)));
    /* The line break ends a comment that the condition may end with. */
    return slw_arena_printf(a, "SELECT slw_row FROM slw_all WHERE NOT (%.*s\n)",
                            SLW_FMT(c->text));
}

static enum slw_rc
columns_check(const struct data_check *c, const struct data_cols *cols,
              struct slw_arena *a, struct slw_err *err)
{
    for (size_t i = 0; i < c->col_count; i++)
        if (!data_cols_find(cols, c->cols[i]))
            return slw_fail(err, SLW_INVALID,
                            "check '%.*s' names no column of the data; the"
                            " columns are: %.*s",
                            SLW_FMT(c->text), SLW_FMT(data_cols_text(cols, a)));
    return SLW_OK;
}

/* ---- examples ---- */

static struct slw_str
example_text(const struct slw_scan_result *r, size_t row, struct slw_arena *a)
{
    struct slw_str text = SLW_STR("");
    for (size_t i = 0; i < r->col_count; i++) {
        const bool is_key = slw_str_starts(r->cols[i].name, "slw_key");
        struct slw_str v = r->cols[i].str[row];
        if (r->cols[i].is_null[row])
            v = SLW_STR("NULL");
        if (v.len > 40)
            v.len = 40;
        while (v.len && !slw_str_utf8_ok(v))
            v.len--;
        if (is_key)
            text = slw_arena_printf(a, "%.*s%s%.*s", SLW_FMT(text),
                                    text.len ? " " : "", SLW_FMT(v));
        else
            text = slw_arena_printf(a, "%.*s %.*s=%.*s", SLW_FMT(text),
                                    SLW_FMT(r->cols[i].name), SLW_FMT(v));
    }
    return slw_str_trim(text);
}

static enum slw_rc
examples_take(struct slw_scan *sc, const struct data_def *def,
              struct data_check *c, const struct data_cols *cols,
              struct slw_str failing, struct slw_arena *a, struct slw_err *err)
{
    SLW_AUTO(slw_buf, sql);
    const struct slw_str event = slw_sql_name(a, def->event_time);
    slw_buf_z(&sql, "SELECT ");
    if (def->entity.len)
        slw_buf_printf(&sql, "CAST(%.*s AS VARCHAR) AS slw_key1, ",
                       SLW_FMT(slw_sql_name(a, def->entity)));
    slw_buf_printf(&sql, "CAST(%.*s AS VARCHAR) AS slw_key2", SLW_FMT(event));
    for (size_t i = 0; i < cols->count; i++) {
        const struct slw_str column = cols->at[i].name;
        if (slw_str_same(column, def->entity) ||
            slw_str_same(column, def->event_time) ||
            !slw_sql_names(c->text, column))
            continue;
        const struct slw_str name = slw_sql_name(a, column);
        slw_buf_printf(&sql, ", CAST(%.*s AS VARCHAR) AS %.*s", SLW_FMT(name),
                       SLW_FMT(name));
    }
    slw_buf_printf(&sql,
                   " FROM slw_all WHERE slw_row IN (SELECT slw_row FROM (%.*s)"
                   " ORDER BY slw_row LIMIT %d) ORDER BY slw_row",
                   SLW_FMT(failing), DATA_EXAMPLES_MAX);
    struct slw_scan_result r;
    TRY(slw_scan_query(sc, DATA_EXAMPLES_MAX, a, &r, slw_buf_view(&sql), err));
    c->example_count = r.row_count;
    for (size_t i = 0; i < r.row_count; i++)
        c->examples[i] = example_text(&r, i, a);
    return SLW_OK;
}

/* ---- run ---- */

static enum slw_rc
row_check_run(struct slw_scan *sc, const struct data_def *def,
              struct data_check *c, const struct data_cols *cols,
              struct slw_arena *a, struct slw_err *err)
{
    TRY(columns_check(c, cols, a, err));
    const struct slw_str failing = failing_sql(c, cols, a);
    if (data_query_i64(sc, a,
                       slw_arena_printf(a, "SELECT count(*) FROM (%.*s)",
                                        SLW_FMT(failing)),
                       &c->failed_count, err) != SLW_OK)
        return slw_err_prefix(
            err, "check '%.*s' cannot be evaluated: ", SLW_FMT(c->text));
    if (c->failed_count == 0)
        return SLW_OK;
    TRY(examples_take(sc, def, c, cols, failing, a, err));
    if (c->refuse)
        return SLW_OK;
    const struct slw_str reason = slw_sql_literal(a, c->text);
    return slw_scan_exec(sc, err,
                         "INSERT INTO slw_bad SELECT slw_row, %.*s FROM (%.*s)",
                         SLW_FMT(reason), SLW_FMT(failing));
}

static enum slw_rc
set_check_run(struct slw_scan *sc, const struct data_def *def,
              struct data_check *c, int64_t fresh_at_ms, struct slw_arena *a,
              struct slw_err *err)
{
    const struct slw_str event = data_ms_sql(a, def->event_time);
    struct slw_scan_result r;
    TRY(slw_scan_query(sc, 1, a, &r,
                       slw_arena_printf(a,
                                        "SELECT count(*), coalesce(max(%.*s),"
                                        " 0) FROM slw_rows",
                                        SLW_FMT(event)),
                       err));
    const int64_t rows = r.cols[0].i64[0];
    const int64_t newest = r.cols[1].i64[0];
    char when[SLW_TIME_TEXT_SIZE];
    char now[SLW_TIME_TEXT_SIZE];
    (void)slw_time_text(newest, when);
    (void)slw_time_text(fresh_at_ms, now);
    if (c->kind == DATA_CHECK_ROWS &&
        (rows < c->row_least || rows > c->row_most)) {
        c->failed_count = 1;
        c->examples[0] =
            slw_arena_printf(a, "there are %lld rows", (long long)rows);
    } else if (c->kind == DATA_CHECK_FRESH &&
               fresh_at_ms - newest > c->age_ms) {
        c->failed_count = 1;
        c->examples[0] =
            slw_arena_printf(a, "the newest %.*s is %s, and it is %s",
                             SLW_FMT(def->event_time), when, now);
    }
    c->example_count = (size_t)c->failed_count;
    return SLW_OK;
}

/* ---- refuse ---- */

static void
failure_write(struct slw_buf *b, const struct data_check *c)
{
    if (c->kind >= DATA_CHECK_FRESH) {
        slw_buf_printf(b, "%.*s fails: %.*s", SLW_FMT(c->text),
                       SLW_FMT(c->examples[0]));
        return;
    }
    slw_buf_printf(b, "%lld row%s '%.*s' (", (long long)c->failed_count,
                   c->failed_count == 1 ? " fails" : "s fail",
                   SLW_FMT(c->text));
    for (size_t i = 0; i < c->example_count; i++)
        slw_buf_printf(b, "%s%.*s", i ? "; " : "", SLW_FMT(c->examples[i]));
    slw_buf_z(b, (size_t)c->failed_count > c->example_count ? "; ...)" : ")");
}

static void
failures_write(struct slw_buf *b, const struct data_def *def, bool refuse)
{
    bool first = true;
    for (size_t i = 0; i < def->check_count; i++) {
        const struct data_check *c = &def->checks[i];
        if (c->failed_count == 0 || c->refuse != refuse)
            continue;
        slw_buf_z(b, first ? "" : ", and ");
        failure_write(b, c);
        first = false;
    }
}

static enum slw_rc
verdict(const struct data_def *def, int64_t row_count, int64_t bad_count,
        struct slw_err *err)
{
    SLW_AUTO(slw_buf, text);
    failures_write(&text, def, true);
    if (text.len)
        return slw_fail(err, SLW_INVALID, "%.*s (%lld rows): %.*s",
                        SLW_FMT(def->name), (long long)row_count,
                        SLW_FMT(slw_buf_view(&text)));
    if ((double)bad_count <= def->quarantine_max * (double)row_count &&
        bad_count < row_count)
        return SLW_OK;
    failures_write(&text, def, false);
    return slw_fail(err, SLW_INVALID,
                    "%.*s: %lld of %lld rows fail a check, more than the"
                    " share of %g that may be quarantined: %.*s",
                    SLW_FMT(def->name), (long long)bad_count,
                    (long long)row_count, def->quarantine_max,
                    SLW_FMT(slw_buf_view(&text)));
}

enum slw_rc
data_checks_run(struct slw_scan *sc, struct data_def *def,
                const struct data_cols *cols, int64_t fresh_at_ms,
                struct slw_arena *a, int64_t *out_quarantined_count,
                struct slw_err *err)
{
    TRY(slw_scan_exec(sc, err,
                      "CREATE TABLE slw_bad(slw_row BIGINT, reason VARCHAR);"
                      "CREATE VIEW slw_rows AS SELECT * FROM slw_all WHERE"
                      " slw_row NOT IN (SELECT slw_row FROM slw_bad)"));
    for (size_t i = 0; i < def->check_count; i++)
        if (def->checks[i].kind <= DATA_CHECK_NOT_NULL)
            TRY(row_check_run(sc, def, &def->checks[i], cols, a, err));
    for (size_t i = 0; i < def->check_count; i++)
        if (def->checks[i].kind == DATA_CHECK_UNIQUE)
            TRY(row_check_run(sc, def, &def->checks[i], cols, a, err));
    for (size_t i = 0; i < def->check_count; i++)
        if (def->checks[i].kind > DATA_CHECK_UNIQUE)
            TRY(set_check_run(sc, def, &def->checks[i], fresh_at_ms, a, err));
    int64_t rows = 0;
    int64_t bad = 0;
    TRY(data_query_i64(sc, a, SLW_STR("SELECT count(*) FROM slw_all"), &rows,
                       err));
    TRY(data_query_i64(sc, a,
                       SLW_STR("SELECT count(DISTINCT slw_row) FROM slw_bad"),
                       &bad, err));
    TRY(verdict(def, rows, bad, err));
    *out_quarantined_count = bad;
    return SLW_OK;
}

struct slw_str
data_checks_json(const struct data_def *def, struct slw_arena *a)
{
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_arr(&w);
    for (size_t i = 0; i < def->check_count; i++) {
        const struct data_check *c = &def->checks[i];
        slw_jw_obj(&w);
        slw_jw_kstr(&w, "check", c->text);
        slw_jw_ki64(&w, "failed", c->failed_count);
        slw_jw_kz(&w, "on_fail", c->refuse ? "refuse" : "quarantine");
        slw_jw_kbool(&w, "implied", c->implied);
        slw_jw_key(&w, "examples");
        slw_jw_arr(&w);
        for (size_t k = 0; k < c->example_count; k++)
            slw_jw_str(&w, c->examples[k]);
        slw_jw_arr_end(&w);
        slw_jw_obj_end(&w);
    }
    slw_jw_arr_end(&w);
    return slw_arena_str(a, slw_buf_view(&text));
}
