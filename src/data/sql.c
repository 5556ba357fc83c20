/* sql.c -- small pieces of DuckDB SQL that several files of this room need. */
#include "data/data_internal.h"

enum slw_rc
data_describe(struct slw_scan *sc, struct slw_str from, struct slw_arena *a,
              struct data_cols *out, struct slw_err *err)
{
    struct slw_scan_result r;
    TRY(slw_scan_query(
        sc, DATA_COLUMNS_MAX + 1, a, &r,
        slw_arena_printf(a, "DESCRIBE SELECT * FROM %.*s", SLW_FMT(from)),
        err));
    if (r.row_count > DATA_COLUMNS_MAX)
        return slw_fail(err, SLW_LIMIT, "more than %d columns",
                        DATA_COLUMNS_MAX);
    const struct slw_scan_col *name = slw_scan_col(&r, "column_name");
    const struct slw_scan_col *type = slw_scan_col(&r, "column_type");
    SLW_ASSERT(name);
    SLW_ASSERT(type);
    struct data_cols cols = {
        .at = SLW_ARENA_NEW(a, struct data_col, r.row_count + 1),
        .count = r.row_count};
    for (size_t i = 0; i < r.row_count; i++) {
        cols.at[i].name = name->str[i];
        cols.at[i].type = type->str[i];
    }
    *out = cols;
    return SLW_OK;
}

const struct data_col *
data_cols_find(const struct data_cols *cols, struct slw_str name)
{
    for (size_t i = 0; i < cols->count; i++)
        if (slw_str_same(cols->at[i].name, name))
            return &cols->at[i];
    return NULL;
}

struct slw_str
data_cols_text(const struct data_cols *cols, struct slw_arena *a)
{
    struct slw_str text = SLW_STR("");
    for (size_t i = 0; i < cols->count && i < 12; i++)
        text = slw_arena_printf(a, "%.*s%s%.*s", SLW_FMT(text), i ? ", " : "",
                                SLW_FMT(cols->at[i].name));
    if (cols->count > 12)
        text = slw_arena_printf(a, "%.*s and %zu more", SLW_FMT(text),
                                cols->count - 12);
    return text;
}

bool
data_type_is_number(struct slw_str type)
{
    static const char *const names[] = {
        "TINYINT",   "SMALLINT", "INTEGER", "BIGINT",   "HUGEINT", "UTINYINT",
        "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "FLOAT",   "DOUBLE"};
    for (size_t i = 0; i < SLW_ARRAY_LEN(names); i++)
        if (slw_str_eqz(type, names[i]))
            return true;
    return slw_str_starts(type, "DECIMAL");
}

bool
data_type_is_time(struct slw_str type)
{
    return slw_str_eqz(type, "DATE") || slw_str_starts(type, "TIMESTAMP");
}

bool
data_type_is_text(struct slw_str type)
{
    return slw_str_eqz(type, "VARCHAR") || slw_str_starts(type, "ENUM");
}

enum slw_rc
data_query_i64(struct slw_scan *sc, struct slw_arena *a, struct slw_str sql,
               int64_t *out, struct slw_err *err)
{
    struct slw_scan_result r;
    TRY(slw_scan_query(sc, 1, a, &r, sql, err));
    SLW_ASSERT(r.row_count == 1);
    SLW_ASSERT(r.col_count == 1);
    const struct slw_scan_col *c = &r.cols[0];
    SLW_ASSERT(c->type == SLW_COL_I64 || c->type == SLW_COL_F64);
    *out = c->type == SLW_COL_I64 ? c->i64[0] : (int64_t)c->f64[0];
    return SLW_OK;
}

struct slw_str
data_ms_sql(struct slw_arena *a, struct slw_str column)
{
    const struct slw_str name = slw_sql_name(a, column);
    return slw_arena_printf(a, "epoch_ms(CAST(%.*s AS TIMESTAMP))",
                            SLW_FMT(name));
}

struct slw_str
data_names_sql(struct slw_arena *a, const struct slw_str *names, size_t count)
{
    struct slw_str text = SLW_STR("");
    for (size_t i = 0; i < count; i++) {
        const struct slw_str name = slw_sql_name(a, names[i]);
        text = slw_arena_printf(a, "%.*s%s%.*s", SLW_FMT(text), i ? ", " : "",
                                SLW_FMT(name));
    }
    return text;
}

struct slw_str
data_known_sql(struct slw_arena *a, const struct data_def *def)
{
    const struct slw_str event = data_ms_sql(a, def->event_time);
    struct slw_str by_rule = slw_arena_printf(a, "%.*s + %lld", SLW_FMT(event),
                                              (long long)def->known_after_ms);
    if (def->known_time.len == 0)
        return slw_arena_printf(a, "CAST(%.*s AS BIGINT)", SLW_FMT(by_rule));
    const struct slw_str known = data_ms_sql(a, def->known_time);
    return slw_arena_printf(a, "CAST(coalesce(%.*s, %.*s) AS BIGINT)",
                            SLW_FMT(known), SLW_FMT(by_rule));
}

struct slw_str
data_parquet_sql(struct slw_arena *a, const char *path)
{
    const struct slw_str lit = slw_sql_literal(a, slw_str_of(path));
    return slw_arena_printf(a, "read_parquet(%.*s)", SLW_FMT(lit));
}

/* Measured on the example (7 columns, 19 k rows): without compression and
 * dictionaries the bytes of a row group depend on its rows alone, so that a
 * version with rows appended begins with the bytes of the one before; what
 * compression saves, the chunks' own zstd saves too.  Larger sets take larger
 * groups, or the footer would grow without bound. */
const char *
data_copy_options(int64_t row_count)
{
    if (row_count < 1000000)
        return "FORMAT parquet, COMPRESSION uncompressed,"
               " DICTIONARY_SIZE_LIMIT 1, ROW_GROUP_SIZE 2048";
    if (row_count < 16000000)
        return "FORMAT parquet, COMPRESSION uncompressed,"
               " DICTIONARY_SIZE_LIMIT 1, ROW_GROUP_SIZE 16384";
    return "FORMAT parquet, COMPRESSION uncompressed,"
           " DICTIONARY_SIZE_LIMIT 1, ROW_GROUP_SIZE 122880";
}
