/* load_csv.c -- CSV without guessing.
 *
 * DuckDB's sniffer is not used: faced with a broken row it may choose another
 * delimiter or skip lines.  The header line decides the delimiter and the
 * number of fields; every other line has to agree, and the first that does
 * not is refused by name and line.  Values come in as text and are typed in
 * load.c, over all rows and not over a sample. */
#include "data/data_internal.h"

#include "base/buf.h"

#define LINE_SIZE_MAX 2000000

/* What stands for "no value" in a column that is not text. */
#define NULL_WORDS "'NA', 'N/A', 'NULL', 'null', 'NaN', 'nan', 'None'"

/* ---- the header ---- */

/* Read here and not by DuckDB, which would skip a line it cannot read. */
static enum slw_rc
header_line(const struct data_file *file, struct slw_arena *a,
            struct slw_str *out, struct slw_err *err)
{
    SLW_AUTO(slw_buf, head);
    FILE *f = fopen(file->path, "rbe");
    if (!f)
        return slw_fail(err, SLW_IO, "%.*s: cannot open the file",
                        SLW_FMT(file->name));
    bool blank = true;
    for (int c = getc(f); c != EOF && slw_buf_view(&head).len < LINE_SIZE_MAX;
         c = getc(f)) {
        const bool ends = c == '\n' || c == '\r';
        if (ends && !blank)
            break;
        blank = blank && (ends || c == ' ' || c == '\t');
        slw_buf_char(&head, (char)c);
    }
    (void)fclose(f);
    TRY(slw_buf_check(&head, err));
    struct slw_str line = slw_buf_view(&head);
    if (slw_str_starts(line, "\xEF\xBB\xBF"))
        line = (struct slw_str){line.ptr + 3, line.len - 3};
    if (slw_str_trim(line).len == 0)
        return slw_fail(err, SLW_INVALID, "%.*s is empty", SLW_FMT(file->name));
    if (line.ptr[0] == '\n' || line.ptr[0] == '\r')
        return slw_fail(err, SLW_INVALID,
                        "%.*s, line 1 is empty: the first line must be a"
                        " header",
                        SLW_FMT(file->name));
    *out = slw_arena_str(a, line);
    return SLW_OK;
}

static char
delimiter_of(struct slw_str line)
{
    static const char candidates[] = {',', ';', '\t', '|'};
    char best = ',';
    size_t best_count = 0;
    for (size_t k = 0; k < SLW_ARRAY_LEN(candidates); k++) {
        size_t count = 0;
        bool quoted = false;
        for (size_t i = 0; i < line.len; i++) {
            if (line.ptr[i] == '"')
                quoted = !quoted;
            else if (!quoted && line.ptr[i] == candidates[k])
                count++;
        }
        if (count > best_count) {
            best = candidates[k];
            best_count = count;
        }
    }
    return best;
}

/* One field from *at on; leaves *at behind its delimiter. */
static struct slw_str
field_read(struct slw_str line, size_t *at, char delim, struct slw_arena *a)
{
    char *text = slw_arena_alloc(a, line.len + 1);
    size_t len = 0;
    bool quoted = false;
    for (; *at < line.len; (*at)++) {
        const char c = line.ptr[*at];
        if (c == '"' && quoted && *at + 1 < line.len &&
            line.ptr[*at + 1] == '"')
            text[len++] = line.ptr[(*at)++];
        else if (c == '"')
            quoted = !quoted;
        else if (c == delim && !quoted)
            break;
        else
            text[len++] = c;
    }
    (*at)++;
    return slw_str_trim((struct slw_str){text, len});
}

static enum slw_rc
header_names(struct slw_str line, struct data_file *file, struct slw_arena *a,
             struct slw_err *err)
{
    file->delim = delimiter_of(line);
    size_t count = 1;
    for (size_t i = 0; i < line.len; i++)
        count += line.ptr[i] == file->delim;
    if (count > DATA_COLUMNS_MAX)
        return slw_fail(err, SLW_LIMIT, "%.*s has more than %d columns",
                        SLW_FMT(file->name), DATA_COLUMNS_MAX);
    struct data_cols cols = {.at = SLW_ARENA_NEW(a, struct data_col, count)};
    for (size_t at = 0; at <= line.len;) {
        const struct slw_str name = field_read(line, &at, file->delim, a);
        double number;
        struct slw_err ignored;
        if (name.len == 0)
            return slw_fail(err, SLW_INVALID,
                            "%.*s, line 1: column %zu has no name",
                            SLW_FMT(file->name), cols.count + 1);
        if (slw_str_f64(name, &number, &ignored) == SLW_OK)
            return slw_fail(err, SLW_INVALID,
                            "%.*s, line 1: '%.*s' is a value, not the name of"
                            " a column: the first line must be a header",
                            SLW_FMT(file->name), SLW_FMT(name));
        if (data_cols_find(&cols, name))
            return slw_fail(err, SLW_INVALID,
                            "%.*s, line 1: two columns are called '%.*s'",
                            SLW_FMT(file->name), SLW_FMT(name));
        cols.at[cols.count].name = name;
        cols.at[cols.count++].type = SLW_STR("VARCHAR");
    }
    file->cols = cols;
    return SLW_OK;
}

/* ---- the rows ---- */

/* "read_csv(...)" with one column of another type than text, or none. */
static struct slw_str
reader_sql(const struct data_file *file, struct slw_str column,
           struct slw_str type, struct slw_arena *a)
{
    SLW_AUTO(slw_buf, sql);
    const struct slw_str path = slw_sql_literal(a, slw_str_of(file->path));
    slw_buf_printf(&sql,
                   "read_csv(%.*s, delim='%c', quote='\"', escape='\"',"
                   " header=true, auto_detect=false, strict_mode=true,"
                   " store_rejects=true, rejects_table='slw_rejects',"
                   " rejects_scan='slw_rejects_scan', rejects_limit=1000,"
                   " nullstr=['', ",
                   SLW_FMT(path), file->delim);
    slw_buf_z(&sql, column.len ? NULL_WORDS "], columns={" : "''], columns={");
    for (size_t i = 0; i < file->cols.count; i++) {
        const struct slw_str name = slw_sql_literal(a, file->cols.at[i].name);
        const bool typed = slw_str_eq(file->cols.at[i].name, column);
        slw_buf_printf(&sql, "%s%.*s: '%.*s'", i ? ", " : "", SLW_FMT(name),
                       SLW_FMT(typed ? type : SLW_STR("VARCHAR")));
    }
    slw_buf_z(&sql, "})");
    return slw_arena_str(a, slw_buf_view(&sql));
}

static enum slw_rc
rejects_drop(struct slw_scan *sc, struct slw_err *err)
{
    return slw_scan_exec(sc, err,
                         "DROP TABLE IF EXISTS slw_rejects;"
                         "DROP TABLE IF EXISTS slw_rejects_scan");
}

/* A line for a message: short and printable. */
static struct slw_str
line_excerpt(struct slw_str line)
{
    struct slw_str t = slw_str_trim(line);
    if (t.len > 80)
        t.len = 80;
    for (size_t i = 0; i < t.len; i++)
        if (t.ptr[i] == '\n' || t.ptr[i] == '\r')
            t.len = i;
    while (t.len && !slw_str_utf8_ok(t))
        t.len--;
    return t;
}

static enum slw_rc
reject_refuse(const struct data_file *file, const struct slw_scan_result *r,
              struct slw_err *err)
{
    const struct slw_str kind = r->cols[0].str[0];
    const long long line = (long long)r->cols[1].i64[0];
    const struct slw_str found = r->cols[2].str[0];
    const struct slw_str text = line_excerpt(r->cols[3].str[0]);
    const struct slw_str column = r->cols[4].str[0];
    if (slw_str_eqz(kind, "MISSING COLUMNS") ||
        slw_str_eqz(kind, "TOO MANY COLUMNS"))
        return slw_fail(err, SLW_INVALID,
                        "%.*s, line %lld: %.*s fields where the header has"
                        " %zu: '%.*s'",
                        SLW_FMT(file->name), line, SLW_FMT(found),
                        file->cols.count, SLW_FMT(text));
    const char *what = "cannot be read";
    if (slw_str_eqz(kind, "UNQUOTED VALUE"))
        what = "has a quote that does not open or close a field: a quote inside"
               " a quoted field is written twice";
    else if (slw_str_eqz(kind, "INVALID ENCODING"))
        what = "is not UTF-8: convert the file first";
    else if (slw_str_eqz(kind, "LINE SIZE OVER MAXIMUM"))
        what = "is longer than 2 MB";
    return slw_fail(
        err, SLW_INVALID, "%.*s, line %lld, column '%.*s': %s: '%.*s'",
        SLW_FMT(file->name), line, SLW_FMT(column), what, SLW_FMT(text));
}

static enum slw_rc
rejects_query(struct slw_scan *sc, struct slw_str where, struct slw_arena *a,
              struct slw_scan_result *out, struct slw_err *err)
{
    return slw_scan_query(
        sc, 1, a, out,
        slw_arena_printf(
            a,
            "SELECT CAST(error_type AS VARCHAR), CAST(line AS BIGINT),"
            " regexp_extract(error_message, 'Found: ([0-9]+)', 1),"
            " coalesce(csv_line, ''), coalesce(column_name, '')"
            " FROM slw_rejects %.*s ORDER BY line LIMIT 1",
            SLW_FMT(where)),
        err);
}

enum slw_rc
data_csv_read(struct slw_scan *sc, struct data_file *file, struct slw_arena *a,
              struct slw_err *err)
{
    struct slw_str line;
    TRY(header_line(file, a, &line, err));
    if (!slw_str_utf8_ok(line))
        return slw_fail(err, SLW_INVALID,
                        "%.*s, line 1 is not UTF-8: convert the file first",
                        SLW_FMT(file->name));
    TRY(header_names(line, file, a, err));
    TRY(rejects_drop(sc, err));
    const struct slw_str from = reader_sql(file, SLW_STR(""), SLW_STR(""), a);
    if (slw_scan_exec(sc, err, "CREATE TABLE %.*s AS SELECT * FROM %.*s",
                      SLW_FMT(file->table), SLW_FMT(from)) != SLW_OK)
        return data_reader_refuse(sc, file, a, err);
    struct slw_scan_result r;
    TRY(rejects_query(sc, SLW_STR(""), a, &r, err));
    return r.row_count ? reject_refuse(file, &r, err) : SLW_OK;
}

/* ---- where a wrong value stands ---- */

static const char *
type_words(struct slw_str type)
{
    if (slw_str_eqz(type, "DATE"))
        return "a date such as 2023-08-31";
    if (slw_str_eqz(type, "BIGINT"))
        return "a whole number";
    if (slw_str_eqz(type, "BOOLEAN"))
        return "true or false";
    return data_type_is_time(type)
               ? "a time such as 2023-08-31 or 2023-08-31T16:00:00Z"
               : "a number";
}

/* The line of the first such value, as DuckDB counts when it reads the column
 * as that type; 0 when it accepts what our own, stricter rule does not. */
static enum slw_rc
csv_line_of(struct slw_scan *sc, const struct data_file *file,
            struct slw_str column, struct slw_str type, struct slw_arena *a,
            int64_t *out, struct slw_err *err)
{
    TRY(rejects_drop(sc, err));
    const struct slw_str from = reader_sql(file, column, type, a);
    const struct slw_str name = slw_sql_name(a, column);
    /* Counting the column, so that its values are really converted. */
    TRY(slw_scan_exec(sc, err,
                      "CREATE OR REPLACE TABLE slw_again AS"
                      " SELECT count(%.*s) FROM %.*s",
                      SLW_FMT(name), SLW_FMT(from)));
    struct slw_scan_result r;
    TRY(rejects_query(sc, SLW_STR("WHERE error_type = 'CAST'"), a, &r, err));
    *out = r.row_count ? r.cols[1].i64[0] : 0;
    return SLW_OK;
}

enum slw_rc
data_mistake_refuse(struct slw_scan *sc, const struct data_file *file,
                    struct slw_str column, struct slw_str type,
                    struct slw_str why, struct slw_arena *a,
                    struct slw_err *err)
{
    const struct slw_str name = slw_sql_name(a, column);
    const struct slw_str cast = data_cast_sql(a, column, type);
    struct slw_scan_result r;
    TRY(slw_scan_query(
        sc, 1, a, &r,
        slw_arena_printf(a,
                         "SELECT CAST(rowid AS BIGINT),"
                         " CAST(%.*s AS VARCHAR) FROM %.*s"
                         " WHERE %.*s IS NOT NULL AND (%.*s) IS NULL"
                         " AND trim(CAST(%.*s AS VARCHAR)) NOT IN"
                         " ('', " NULL_WORDS ") ORDER BY rowid LIMIT 1",
                         SLW_FMT(name), SLW_FMT(file->table), SLW_FMT(name),
                         SLW_FMT(cast), SLW_FMT(name)),
        err));
    SLW_ASSERT(r.row_count == 1);
    const struct slw_str value = line_excerpt(r.cols[1].str[0]);
    int64_t line = 0;
    if (file->is_csv)
        TRY(csv_line_of(sc, file, column, type, a, &line, err));
    if (line)
        return slw_fail(err, SLW_INVALID,
                        "%.*s, line %lld, column '%.*s': '%.*s' is not %s%.*s",
                        SLW_FMT(file->name), (long long)line, SLW_FMT(column),
                        SLW_FMT(value), type_words(type), SLW_FMT(why));
    return slw_fail(
        err, SLW_INVALID, "%.*s, row %lld, column '%.*s': '%.*s' is not %s%.*s",
        SLW_FMT(file->name), (long long)r.cols[0].i64[0] + 1, SLW_FMT(column),
        SLW_FMT(value), type_words(type), SLW_FMT(why));
}

struct slw_str
data_cast_sql(struct slw_arena *a, struct slw_str column, struct slw_str type)
{
    const struct slw_str name = slw_sql_name(a, column);
    const struct slw_str v =
        slw_arena_printf(a, "trim(CAST(%.*s AS VARCHAR))", SLW_FMT(name));
    if (slw_str_eqz(type, "BIGINT"))
        return slw_arena_printf(a,
                                "CASE WHEN regexp_full_match(%.*s,"
                                " '[+-]?[0-9]{1,19}') THEN"
                                " TRY_CAST(%.*s AS BIGINT) END",
                                SLW_FMT(v), SLW_FMT(v));
    if (slw_str_eqz(type, "DOUBLE"))
        return slw_arena_printf(
            a,
            "CASE WHEN regexp_full_match(%.*s,"
            " '[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?"
            "|[+-]?[Ii]nf(inity)?') THEN TRY_CAST(%.*s AS DOUBLE) END",
            SLW_FMT(v), SLW_FMT(v));
    if (slw_str_eqz(type, "BOOLEAN"))
        return slw_arena_printf(a,
                                "CASE lower(%.*s) WHEN 'true' THEN true"
                                " WHEN 'false' THEN false END",
                                SLW_FMT(v));
    if (slw_str_eqz(type, "DATE"))
        return slw_arena_printf(
            a,
            "CASE WHEN regexp_full_match(%.*s,"
            " '[0-9]{4}-[0-9]{2}-[0-9]{2}') THEN TRY_CAST(%.*s AS DATE) END",
            SLW_FMT(v), SLW_FMT(v));
    if (!slw_str_eqz(type, "TIMESTAMP"))
        return name;
    /* A plain cast would drop the offset without a word. */
    return slw_arena_printf(
        a,
        "CASE WHEN regexp_full_match(%.*s, '[0-9]{4}-[0-9]{2}-[0-9]{2}"
        "([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?)?')"
        " THEN TRY_CAST(%.*s AS TIMESTAMP)"
        " WHEN regexp_full_match(%.*s, '[0-9]{4}-[0-9]{2}-[0-9]{2}"
        "[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?"
        "([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)')"
        " THEN make_timestamp(epoch_us(TRY_CAST(%.*s AS TIMESTAMPTZ))) END",
        SLW_FMT(v), SLW_FMT(v), SLW_FMT(v), SLW_FMT(v));
}
