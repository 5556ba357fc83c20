/* table.c -- a view's SQL becomes a table, is guarded against looking ahead,
 * and is joined to a spine point in time.
 *
 * Known time.  A feature row is computed from source rows up to its event
 * time, so it is known once the last of *those* is: the running maximum, over
 * the entity's rows so far, of the sources' known times.  Where a source says
 * row by row when it was known, an entity's features may also depend on other
 * entities' rows; whether they do is tried out on two entities, and if so the
 * running maximum goes over all entities.
 *
 * Join.  Because known times never fall within an entity, the rows with event
 * time <= e are a prefix of the entity's rows, and so are those with known
 * time <= t.  The newest row in both is the shorter prefix: two ASOF joins
 * and a minimum, exact and O(n log n).
 *
 * Guard.  At three instants the SQL runs again over sources cut off at that
 * instant.  No row up to there may differ from the row that all the data give:
 * where one does, its value depends on later rows, and the view is refused by
 * the name of the feature.  (A sample, not a proof: a peek that changes no
 * value at any of the instants passes.  A rehearsal adds the last instant of
 * every quarter.) */
#include "features/features_internal.h"

#include <math.h>

/* ---- what the SQL yields ---- */

/* DuckDB parses the text: one SELECT, or a sentence why not. */
static enum slw_rc
select_check(struct features_world *w, const struct features_def *d,
             struct slw_err *err)
{
    const struct slw_str lit = slw_sql_literal(w->a, d->sql);
    struct slw_scan_result r;
    TRY(slw_scan_query(
        &w->sc, 1, w->a, &r,
        slw_arena_printf(
            w->a,
            "SELECT CAST(coalesce(json_array_length(j, '$.statements'), 0) AS"
            " BIGINT), coalesce(j ->> '$.error_message', '')"
            " FROM (SELECT json_serialize_sql(%.*s) AS j)",
            SLW_FMT(lit)),
        err));
    if (slw_str_starts(r.cols[1].str[0], "Only SELECT"))
        return slw_fail(err, SLW_INVALID,
                        "sql must be one SELECT and nothing else");
    if (r.cols[1].str[0].len)
        return slw_fail(err, SLW_INVALID, "%.*s", SLW_FMT(r.cols[1].str[0]));
    if (r.cols[0].i64[0] != 1)
        return slw_fail(err, SLW_INVALID,
                        "sql must be one SELECT, and is %lld statements",
                        (long long)r.cols[0].i64[0]);
    return SLW_OK;
}

static enum slw_rc
type_check(struct slw_str name, struct slw_str type, struct slw_err *err)
{
    static const char *const numbers[] = {
        "TINYINT",  "SMALLINT",  "INTEGER",  "BIGINT",  "HUGEINT",
        "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT",
        "FLOAT",    "DOUBLE",    "BOOLEAN"};
    for (size_t i = 0; i < SLW_ARRAY_LEN(numbers); i++)
        if (slw_str_eqz(type, numbers[i]))
            return SLW_OK;
    if (slw_str_starts(type, "DECIMAL"))
        return SLW_OK;
    if (slw_str_eqz(type, "VARCHAR"))
        return slw_fail(err, SLW_INVALID,
                        "feature '%.*s' is text; features are numbers: encode"
                        " it, as in (%.*s = 'x')::INT, or leave it out",
                        SLW_FMT(name), SLW_FMT(name));
    return slw_fail(err, SLW_INVALID,
                    "feature '%.*s' is of type %.*s; features are numbers",
                    SLW_FMT(name), SLW_FMT(type));
}

static enum slw_rc
names_check(const struct features_table *t, struct slw_err *err)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct slw_str name = t->names[i];
        if (slw_str_starts(name, "slw_") || memchr(name.ptr, '\n', name.len))
            return slw_fail(err, SLW_INVALID,
                            "feature name '%.*s' is not allowed",
                            SLW_FMT(name));
        for (size_t k = 0; k < i; k++)
            if (slw_str_same(name, t->names[k]))
                return slw_fail(err, SLW_INVALID,
                                "two features are called '%.*s'",
                                SLW_FMT(name));
    }
    return SLW_OK;
}

static enum slw_rc
lags_add(struct features_world *w, struct features_table *t,
         struct slw_err *err)
{
    for (size_t i = 0; i < t->def.lag_count; i++) {
        const struct features_lag *lag = &t->def.lags[i];
        size_t of = 0;
        while (of < t->sql_count && !slw_str_same(t->names[of], lag->of))
            of++;
        if (of == t->sql_count)
            return slw_fail(err, SLW_INVALID,
                            "lags are wanted of '%.*s', which is no feature of"
                            " the sql",
                            SLW_FMT(lag->of));
        for (int64_t k = 0; k < lag->count; k++) {
            t->names[t->count] = slw_arena_printf(
                w->a, "%.*s_lag%lld", SLW_FMT(t->names[of]), (long long)k);
            t->types[t->count++] = SLW_STR("DOUBLE");
        }
    }
    return SLW_OK;
}

static enum slw_rc
columns_read(struct features_world *w, struct features_table *t,
             struct slw_err *err)
{
    struct slw_scan_result r;
    TRY(slw_scan_query(&w->sc, FEATURES_COLUMNS_MAX, w->a, &r,
                       slw_arena_printf(w->a, "DESCRIBE SELECT * FROM (%.*s\n)",
                                        SLW_FMT(t->def.sql)),
                       err));
    size_t room = r.row_count + 1;
    for (size_t i = 0; i < t->def.lag_count; i++)
        room += (size_t)t->def.lags[i].count;
    t->names = SLW_ARENA_NEW(w->a, struct slw_str, room);
    t->types = SLW_ARENA_NEW(w->a, struct slw_str, room);
    struct slw_str event_type = SLW_STR("");
    struct slw_str all = SLW_STR("");
    for (size_t i = 0; i < r.row_count; i++) {
        const struct slw_str name = r.cols[0].str[i];
        all = slw_arena_printf(w->a, "%.*s%s%.*s", SLW_FMT(all), i ? ", " : "",
                               SLW_FMT(name));
        if (slw_str_same(name, t->def.entity)) {
            t->entity = name;
        } else if (slw_str_same(name, t->def.event_time)) {
            t->event_time = name;
            event_type = r.cols[1].str[i];
        } else if (!slw_str_same(name, SLW_STR("known_time_ms"))) {
            TRY(type_check(name, r.cols[1].str[i], err));
            t->names[t->count] = name;
            t->types[t->count++] = r.cols[1].str[i];
        }
    }
    t->sql_count = t->count;
    if (t->entity.len == 0 || t->event_time.len == 0)
        return slw_fail(
            err, SLW_INVALID,
            "the sql returns no column '%.*s', which is its %s; it"
            " returns: %.*s",
            SLW_FMT(t->entity.len ? t->def.event_time : t->def.entity),
            t->entity.len ? "event_time" : "entity", SLW_FMT(all));
    if (!slw_str_eqz(event_type, "DATE") &&
        !slw_str_starts(event_type, "TIMESTAMP"))
        return slw_fail(err, SLW_INVALID,
                        "event_time '%.*s' is of type %.*s, not a date or a"
                        " time",
                        SLW_FMT(t->event_time), SLW_FMT(event_type));
    if (t->count == 0)
        return slw_fail(err, SLW_INVALID, "the sql returns no feature");
    TRY(lags_add(w, t, err));
    return names_check(t, err);
}

/* "SELECT entity AS slw_entity, ms AS slw_event, features ... FROM (sql)" */
static struct slw_str
projection_sql(struct features_world *w, const struct features_table *t)
{
    SLW_AUTO(slw_buf, sql);
    const struct slw_str entity = slw_sql_name(w->a, t->entity);
    const struct slw_str event = features_ms_sql(w->a, t->event_time);
    slw_buf_printf(&sql,
                   "SELECT CAST(%.*s AS VARCHAR) AS slw_entity,"
                   " %.*s AS slw_event",
                   SLW_FMT(entity), SLW_FMT(event));
    for (size_t i = 0; i < t->sql_count; i++) {
        const struct slw_str name = slw_sql_name(w->a, t->names[i]);
        slw_buf_printf(&sql, ", CAST(%.*s AS DOUBLE) AS %.*s", SLW_FMT(name),
                       SLW_FMT(name));
    }
    slw_buf_printf(&sql,
                   " FROM (%.*s\n) WHERE %.*s IS NOT NULL AND %.*s IS NOT NULL",
                   SLW_FMT(t->def.sql), SLW_FMT(entity), SLW_FMT(event));
    return slw_arena_str(w->a, slw_buf_view(&sql));
}

static enum slw_rc
duplicates_check(struct features_world *w, const struct features_table *t,
                 struct slw_err *err)
{
    struct slw_scan_result r;
    TRY(slw_scan_query(&w->sc, 1, w->a, &r,
                       SLW_STR("SELECT slw_entity, slw_event, count(*) FROM"
                               " slw_out.raw GROUP BY ALL HAVING count(*) > 1"
                               " ORDER BY slw_event, slw_entity LIMIT 1"),
                       err));
    if (r.row_count == 0)
        return SLW_OK;
    char when[SLW_TIME_TEXT_SIZE];
    return slw_fail(err, SLW_INVALID,
                    "the sql returns %lld rows for %.*s '%.*s' at %s; there"
                    " must be one",
                    (long long)r.cols[2].i64[0], SLW_FMT(t->entity),
                    SLW_FMT(r.cols[0].str[0]),
                    slw_time_text(r.cols[1].i64[0], when));
}

/* ---- the same SQL over fewer rows ---- */

struct difference {
    bool found;
    struct slw_str entity;
    int64_t event_ms;
    int64_t column; /* -1: the row is missing */
    double full, cut;
};

/* Compare the raw rows with those that the SQL yields in schema slw_cut, both
 * where `where` holds; first difference by event time. */
static enum slw_rc
cut_compare(struct features_world *w, const struct features_table *t,
            struct slw_str where, struct difference *out, struct slw_err *err)
{
    const struct slw_str inner = projection_sql(w, t);
    SLW_AUTO(slw_buf, sql);
    slw_buf_printf(&sql,
                   "WITH f AS (SELECT * FROM slw_out.raw WHERE %.*s),"
                   " c AS (SELECT *, true AS slw_there FROM (%.*s) WHERE %.*s)"
                   " SELECT * FROM (SELECT f.slw_entity, f.slw_event,"
                   " CAST(CASE WHEN c.slw_there IS NULL THEN -1",
                   SLW_FMT(where), SLW_FMT(inner), SLW_FMT(where));
    for (size_t i = 0; i < t->sql_count; i++) {
        const struct slw_str n = slw_sql_name(w->a, t->names[i]);
        slw_buf_printf(&sql,
                       " WHEN f.%.*s IS DISTINCT FROM c.%.*s AND NOT coalesce("
                       "abs(f.%.*s - c.%.*s) <= greatest(1e-6 * greatest("
                       "abs(f.%.*s), abs(c.%.*s)), 1e-9 * (SELECT"
                       " max(abs(%.*s)) FROM slw_out.raw WHERE"
                       " isfinite(%.*s))), false) THEN %zu",
                       SLW_FMT(n), SLW_FMT(n), SLW_FMT(n), SLW_FMT(n),
                       SLW_FMT(n), SLW_FMT(n), SLW_FMT(n), SLW_FMT(n), i);
    }
    slw_buf_z(&sql, " ELSE -2 END AS BIGINT) AS slw_which");
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < t->sql_count; i++)
            slw_buf_printf(&sql, ", %c.%.*s AS %c%zu", "fc"[side],
                           SLW_FMT(slw_sql_name(w->a, t->names[i])), "fc"[side],
                           i);
    }
    slw_buf_z(&sql, " FROM f LEFT JOIN c ON f.slw_entity = c.slw_entity AND"
                    " f.slw_event = c.slw_event) WHERE slw_which <> -2"
                    " ORDER BY slw_event, slw_entity LIMIT 1");
    TRY(slw_buf_check(&sql, err));
    TRY(slw_scan_exec(&w->sc, err, "SET schema = 'slw_cut'"));
    struct slw_scan_result r;
    TRY(slw_scan_query(&w->sc, 1, w->a, &r, slw_buf_view(&sql), err));
    TRY(slw_scan_exec(&w->sc, err, "SET schema = 'slw_full'"));
    *out = (struct difference){.found = r.row_count > 0};
    if (!out->found)
        return SLW_OK;
    out->entity = r.cols[0].str[0];
    out->event_ms = r.cols[1].i64[0];
    out->column = r.cols[2].i64[0];
    if (out->column >= 0) {
        out->full = r.cols[3 + (size_t)out->column].f64[0];
        out->cut = r.cols[3 + t->sql_count + (size_t)out->column].f64[0];
    }
    return SLW_OK;
}

/* Views of all sources in slw_cut; `kind` 't': event time <= at_ms, 'e': one
 * entity (sources that have it). */
static enum slw_rc
cut_make(struct features_world *w, const struct features_table *t, char kind,
         int64_t at_ms, struct slw_str entity, struct slw_err *err)
{
    for (size_t i = 0; i < w->source_count; i++) {
        const struct features_source *s = &w->sources[i];
        const struct slw_str name = slw_sql_name(w->a, s->name);
        struct slw_str where = SLW_STR("true");
        struct slw_str column = SLW_STR("");
        if (kind == 't') {
            const struct slw_str ms = features_ms_sql(w->a, s->event_time);
            where = slw_arena_printf(w->a, "%.*s <= %lld", SLW_FMT(ms),
                                     (long long)at_ms);
        } else {
            TRY(features_column_of(w, s->name, t->entity, &column, err));
        }
        if (column.len) {
            const struct slw_str q = slw_sql_name(w->a, column);
            const struct slw_str lit = slw_sql_literal(w->a, entity);
            where = slw_arena_printf(w->a, "CAST(%.*s AS VARCHAR) = %.*s",
                                     SLW_FMT(q), SLW_FMT(lit));
        }
        TRY(slw_scan_exec(&w->sc, err,
                          "CREATE OR REPLACE VIEW slw_cut.%.*s AS SELECT *"
                          " FROM slw_full.%.*s WHERE %.*s",
                          SLW_FMT(name), SLW_FMT(name), SLW_FMT(where)));
    }
    return SLW_OK;
}

static enum slw_rc
ahead_refuse(const struct features_table *t, const struct difference *d,
             struct slw_err *err)
{
    char when[SLW_TIME_TEXT_SIZE];
    char full[SLW_F64_TEXT_SIZE];
    char cut[SLW_F64_TEXT_SIZE];
    (void)slw_time_text(d->event_ms, when);
    if (d->column < 0)
        return slw_fail(err, SLW_INVALID,
                        "the row of %.*s at %s is there only when later rows"
                        " have arrived: the view looks into the future",
                        SLW_FMT(d->entity), when);
    (void)slw_f64_text(d->full, full);
    (void)slw_f64_text(d->cut, cut);
    return slw_fail(err, SLW_INVALID,
                    "feature '%.*s' of %.*s at %s changes when later rows"
                    " arrive (from %s to %s): it looks into the future",
                    SLW_FMT(t->names[d->column]), SLW_FMT(d->entity), when,
                    isnan(d->cut) ? "missing" : cut,
                    isnan(d->full) ? "missing" : full);
}

/* Does any row up to an instant differ when nothing later is there? */
static enum slw_rc
ahead_look(struct features_world *w, const struct features_table *t,
           int64_t at_ms, struct slw_err *err)
{
    struct difference d;
    TRY(cut_make(w, t, 't', at_ms, SLW_STR(""), err));
    TRY(cut_compare(
        w, t, slw_arena_printf(w->a, "slw_event <= %lld", (long long)at_ms), &d,
        err));
    return d.found ? ahead_refuse(t, &d, err) : SLW_OK;
}

static enum slw_rc
ahead_guard(struct features_world *w, const struct features_table *t,
            struct slw_err *err)
{
    struct slw_scan_result r;
    const char *quarters =
        w->guard_quarters
            ? " UNION SELECT max(slw_event) FROM slw_out.raw GROUP BY"
              " slw_event // 7889400000"
            : "";
    TRY(slw_scan_query(
        &w->sc, FEATURES_GUARD_MAX, w->a, &r,
        slw_arena_printf(w->a,
                         "SELECT slw_at FROM (SELECT unnest(quantile_disc("
                         "slw_event, [0.25, 0.5, 0.75])) AS slw_at FROM"
                         " slw_out.raw%s) WHERE slw_at IS NOT NULL GROUP BY"
                         " slw_at ORDER BY slw_at DESC LIMIT %d",
                         quarters, FEATURES_GUARD_MAX),
        err));
    for (size_t i = 0; i < r.row_count; i++)
        TRY(ahead_look(w, t, r.cols[0].i64[i], err));
    return SLW_OK;
}

/* ---- known time ---- */

/* Does one entity's row depend on other entities' rows?  Tried on the first
 * and the last entity; only asked where it matters. */
static enum slw_rc
crosses_entities(struct features_world *w, const struct features_table *t,
                 bool *out, struct slw_err *err)
{
    *out = false;
    bool matters = false;
    for (size_t i = 0; i < w->source_count; i++)
        matters |= w->sources[i].has_known_time &&
                   slw_sql_names(t->def.sql, w->sources[i].name);
    if (!matters)
        return SLW_OK;
    struct slw_scan_result r;
    TRY(slw_scan_query(&w->sc, 1, w->a, &r,
                       SLW_STR("SELECT coalesce(min(slw_entity), ''),"
                               " coalesce(max(slw_entity), '')"
                               " FROM slw_out.raw"),
                       err));
    for (size_t i = 0; i < 2 && !*out; i++) {
        const struct slw_str lit = slw_sql_literal(w->a, r.cols[i].str[0]);
        TRY(cut_make(w, t, 'e', 0, r.cols[i].str[0], err));
        struct difference d;
        TRY(cut_compare(
            w, t, slw_arena_printf(w->a, "slw_entity = %.*s", SLW_FMT(lit)), &d,
            err));
        *out = d.found;
    }
    return SLW_OK;
}

/* slw_out.k<n>: (slw_entity,) slw_event, slw_known: the running maximum of a
 * source's known times, by entity or over all. */
static enum slw_rc
known_source(struct features_world *w, const struct features_table *t,
             const struct features_source *s, size_t n, bool by_entity,
             struct slw_err *err)
{
    const struct slw_str name = slw_sql_name(w->a, s->name);
    const struct slw_str event = features_ms_sql(w->a, s->event_time);
    struct slw_str key = SLW_STR("''");
    if (by_entity) {
        struct slw_str column;
        TRY(features_column_of(w, s->name, t->entity, &column, err));
        key = slw_arena_printf(w->a, "CAST(%.*s AS VARCHAR)",
                               SLW_FMT(slw_sql_name(w->a, column)));
    }
    return slw_scan_exec(
        &w->sc, err,
        "CREATE OR REPLACE TABLE slw_out.k%zu AS SELECT slw_entity, slw_event,"
        " max(slw_known) OVER (PARTITION BY slw_entity ORDER BY slw_event) AS"
        " slw_known FROM (SELECT %.*s AS slw_entity, %.*s AS slw_event,"
        " max(known_time_ms) AS slw_known FROM slw_full.%.*s GROUP BY 1, 2)",
        n, SLW_FMT(key), SLW_FMT(event), SLW_FMT(name));
}

/* Joins of all used sources' known times to raw row r, and their greatest. */
static enum slw_rc
known_joins(struct features_world *w, const struct features_table *t,
            struct slw_buf *joins, struct slw_buf *terms, struct slw_err *err)
{
    bool crosses = false;
    TRY(crosses_entities(w, t, &crosses, err));
    int64_t after_most = 0;
    size_t n = 0;
    for (size_t i = 0; i < w->source_count; i++) {
        const struct features_source *s = &w->sources[i];
        if (!slw_sql_names(t->def.sql, s->name))
            continue;
        struct slw_str column;
        TRY(features_column_of(w, s->name, t->entity, &column, err));
        const bool by_entity = column.len > 0 && !crosses;
        TRY(known_source(w, t, s, n, by_entity, err));
        slw_buf_printf(joins,
                       " ASOF LEFT JOIN slw_out.k%zu AS k%zu ON k%zu.slw_entity"
                       " = %s AND r.slw_event >= k%zu.slw_event",
                       n, n, n, by_entity ? "r.slw_entity" : "''", n);
        slw_buf_printf(terms, ", k%zu.slw_known", n);
        if (s->known_after_ms > after_most)
            after_most = s->known_after_ms;
        n++;
    }
    /* greatest() passes over NULL; a row that no source vouches for is known
     * as late as the slowest source would be. */
    const struct slw_str known = slw_arena_str(w->a, slw_buf_view(terms));
    slw_buf_clear(terms);
    if (n)
        slw_buf_printf(terms,
                       "greatest(r.slw_event, coalesce(greatest(%.*s),"
                       " r.slw_event + %lld))",
                       (int)(known.len - 2), known.ptr + 2,
                       (long long)after_most);
    else
        slw_buf_z(terms, "r.slw_event");
    return SLW_OK;
}

/* ---- all together ---- */

static void
lags_sql(struct slw_buf *sql, const struct features_table *t,
         struct slw_arena *a)
{
    size_t at = t->sql_count;
    for (size_t i = 0; i < t->def.lag_count; i++) {
        const struct slw_str of = slw_sql_name(a, t->def.lags[i].of);
        for (int64_t k = 0; k < t->def.lags[i].count; k++, at++) {
            const struct slw_str name = slw_sql_name(a, t->names[at]);
            slw_buf_printf(sql, ", lag(%.*s, %lld) OVER w AS %.*s", SLW_FMT(of),
                           (long long)k, SLW_FMT(name));
        }
    }
}

static enum slw_rc
table_fill(struct features_world *w, struct features_table *t,
           struct slw_err *err)
{
    SLW_AUTO(slw_buf, joins);
    SLW_AUTO(slw_buf, known);
    TRY(known_joins(w, t, &joins, &known, err));
    SLW_AUTO(slw_buf, sql);
    slw_buf_printf(&sql,
                   "CREATE TABLE %.*s AS SELECT slw_entity, slw_event,"
                   " max(slw_known) OVER w AS slw_known,"
                   " row_number() OVER (ORDER BY slw_entity, slw_event) AS"
                   " slw_rn",
                   SLW_FMT(t->table));
    for (size_t i = 0; i < t->sql_count; i++)
        slw_buf_printf(&sql, ", %.*s",
                       SLW_FMT(slw_sql_name(w->a, t->names[i])));
    lags_sql(&sql, t, w->a);
    slw_buf_printf(&sql,
                   " FROM (SELECT r.*, %.*s AS slw_known FROM slw_out.raw AS r"
                   "%.*s) WINDOW w AS (PARTITION BY slw_entity ORDER BY"
                   " slw_event)",
                   SLW_FMT(slw_buf_view(&known)),
                   SLW_FMT(slw_buf_view(&joins)));
    TRY(slw_buf_check(&sql, err));
    return slw_scan_exec(&w->sc, err, "%.*s", SLW_FMT(slw_buf_view(&sql)));
}

static enum slw_rc
table_build(struct features_world *w, struct features_table *t,
            struct slw_err *err)
{
    TRY(select_check(w, &t->def, err));
    TRY(columns_read(w, t, err));
    const struct slw_str inner = projection_sql(w, t);
    TRY(slw_scan_exec(&w->sc, err,
                      "CREATE OR REPLACE TABLE slw_out.raw AS"
                      " %.*s",
                      SLW_FMT(inner)));
    TRY(duplicates_check(w, t, err));
    TRY(ahead_guard(w, t, err));
    return table_fill(w, t, err);
}

enum slw_rc
features_table_build(struct features_world *w, const struct features_def *def,
                     size_t index, struct features_table *out,
                     struct slw_err *err)
{
    struct features_table t = {
        .def = *def, .table = slw_arena_printf(w->a, "slw_out.v%zu", index)};
    if (table_build(w, &t, err) != SLW_OK)
        return slw_err_prefix(err, "view '%.*s': ", SLW_FMT(def->name));
    *out = t;
    return SLW_OK;
}

enum slw_rc
features_tables_check(const struct features_table *t, size_t count,
                      struct slw_err *err)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += t[i].count;
        for (size_t k = 0; k < i; k++)
            for (size_t c = 0; c < t[i].count; c++)
                for (size_t d = 0; d < t[k].count; d++)
                    if (slw_str_same(t[i].names[c], t[k].names[d]))
                        return slw_fail(
                            err, SLW_INVALID,
                            "views '%.*s' and '%.*s' both have a feature"
                            " '%.*s': rename one",
                            SLW_FMT(t[k].def.name), SLW_FMT(t[i].def.name),
                            SLW_FMT(t[i].names[c]));
    }
    if (total > FEATURES_COLUMNS_MAX)
        return slw_fail(err, SLW_LIMIT, "more than %d features",
                        FEATURES_COLUMNS_MAX);
    return SLW_OK;
}

/* ---- the point-in-time join ---- */

enum slw_rc
features_join(struct features_world *w, const struct features_table *t,
              const struct slw_str *keys, size_t count,
              struct slw_str *out_from, struct slw_err *err)
{
    SLW_AUTO(slw_buf, from);
    slw_buf_z(&from, " FROM slw_out.spine AS s");
    for (size_t i = 0; i < count; i++) {
        const struct slw_str key = slw_sql_name(w->a, keys[i]);
        struct slw_str ttl = SLW_STR("");
        if (t[i].def.ttl_ms > 0)
            ttl = slw_arena_printf(w->a,
                                   " WHERE q.slw_event - v.slw_event <= %lld",
                                   (long long)t[i].def.ttl_ms);
        TRY(slw_scan_exec(
            &w->sc, err,
            "CREATE TABLE slw_out.j%zu AS SELECT q.slw_row, q.slw_rn FROM"
            " (SELECT s.slw_row, s.slw_event, least(e.slw_rn, k.slw_rn) AS"
            " slw_rn FROM slw_out.spine AS s"
            " ASOF JOIN %.*s AS e"
            " ON s.%.*s = e.slw_entity AND s.slw_event >= e.slw_event"
            " ASOF JOIN (SELECT slw_entity, slw_known, max(slw_rn) AS slw_rn"
            " FROM %.*s GROUP BY 1, 2) AS k"
            " ON s.%.*s = k.slw_entity AND s.slw_t >= k.slw_known) AS q"
            " JOIN %.*s AS v ON v.slw_rn = q.slw_rn%.*s",
            i, SLW_FMT(t[i].table), SLW_FMT(key), SLW_FMT(t[i].table),
            SLW_FMT(key), SLW_FMT(t[i].table), SLW_FMT(ttl)));
        slw_buf_printf(&from,
                       " LEFT JOIN slw_out.j%zu AS j%zu ON j%zu.slw_row ="
                       " s.slw_row LEFT JOIN %.*s AS v%zu ON v%zu.slw_rn ="
                       " j%zu.slw_rn",
                       i, i, i, SLW_FMT(t[i].table), i, i, i);
    }
    TRY(slw_buf_check(&from, err));
    *out_from = slw_arena_str(w->a, slw_buf_view(&from));
    return SLW_OK;
}

void
features_columns_sql(struct slw_buf *sql, const struct features_table *t,
                     size_t count, struct slw_arena *a)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t c = 0; c < t[i].count; c++) {
            const struct slw_str name = slw_sql_name(a, t[i].names[c]);
            slw_buf_printf(sql, ", v%zu.%.*s AS %.*s", i, SLW_FMT(name),
                           SLW_FMT(name));
        }
    }
}
