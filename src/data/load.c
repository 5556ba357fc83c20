/* load.c -- files of any kind become one typed table, slw_in.
 *
 * Each file is read into a table of its own.  Parquet brings its types; text
 * (all of a CSV, the strings of JSON) is typed here, over all its rows:
 *
 *   every value is a whole number / number / true or false / date / time
 *        -> the column is that;
 *   nine in ten are a number or a time
 *        -> the others are taken for mistakes and the file is refused;
 *   anything else
 *        -> text.
 *
 * The user's own word (types) and, when rows are appended, the type that the
 * column has already go before that.  Then the files are united by name. */
#include "data/data_internal.h"

#include <ctype.h>

#include "base/buf.h"

/* ---- which format ---- */

static bool
ends_with_any(struct slw_str name, const char *const *ends, size_t count)
{
    char low[16] = {0};
    const size_t len = name.len < sizeof low - 1 ? name.len : sizeof low - 1;
    for (size_t i = 0; i < len; i++)
        low[i] = (char)tolower((unsigned char)name.ptr[name.len - len + i]);
    for (size_t i = 0; i < count; i++)
        if (slw_str_ends(slw_str_of(low), ends[i]))
            return true;
    return false;
}

enum format { FORMAT_CSV, FORMAT_JSON, FORMAT_PARQUET };

/* Errors INVALID: a NUL byte, which neither CSV nor JSON can hold. */
static enum slw_rc
format_by_magic(const char *path, enum format *out, struct slw_err *err)
{
    FILE *f = fopen(path, "rbe");
    if (!f)
        return slw_fail(err, SLW_NOT_FOUND, "cannot open the file");
    char head[256] = {0};
    const size_t len = fread(head, 1, sizeof head - 1, f);
    (void)fclose(f);
    size_t at = 0;
    while (at < len && (isspace((unsigned char)head[at]) ||
                        (unsigned char)head[at] >= 0xEF))
        at++;
    *out = FORMAT_CSV;
    if (len >= 4 && memcmp(head, "PAR1", 4) == 0)
        *out = FORMAT_PARQUET;
    else if (head[at] == '{' || head[at] == '[')
        *out = FORMAT_JSON;
    if (*out != FORMAT_PARQUET && memchr(head, '\0', len))
        return slw_fail(err, SLW_INVALID,
                        "neither UTF-8 text nor Parquet: convert the file"
                        " first");
    return SLW_OK;
}

static enum slw_rc
format_of(const struct data_file *file, enum format *out, struct slw_err *err)
{
    static const char *const csv[] = {".csv", ".tsv", ".txt", ".csv.gz",
                                      ".tsv.gz"};
    static const char *const json[] = {".json",    ".ndjson",   ".jsonl",
                                       ".json.gz", ".jsonl.gz", ".ndjson.gz"};
    static const char *const parquet[] = {".parquet", ".pq"};
    enum format magic = FORMAT_CSV;
    TRY(format_by_magic(file->path, &magic, err));
    *out = magic;
    if (ends_with_any(file->name, csv, SLW_ARRAY_LEN(csv)))
        *out = FORMAT_CSV;
    else if (ends_with_any(file->name, json, SLW_ARRAY_LEN(json)))
        *out = FORMAT_JSON;
    else if (ends_with_any(file->name, parquet, SLW_ARRAY_LEN(parquet)))
        *out = FORMAT_PARQUET;
    if ((*out == FORMAT_PARQUET) != (magic == FORMAT_PARQUET))
        return slw_fail(err, SLW_INVALID,
                        "the name and the first bytes disagree: it %s Parquet",
                        magic == FORMAT_PARQUET ? "is" : "is no");
    return SLW_OK;
}

/* ---- what DuckDB says of a file ---- */

/* As slw_str_cut, at a text. */
static bool
text_cut(struct slw_str s, const char *sep, struct slw_str *head,
         struct slw_str *rest)
{
    const size_t len = strlen(sep);
    const char *at = memmem(s.ptr, s.len, sep, len);
    if (!at)
        return false;
    *head = (struct slw_str){s.ptr, (size_t)(at - s.ptr)};
    *rest = (struct slw_str){at + len, s.len - head->len - len};
    return true;
}

/* Its sentence without its own prefix, the path of our copy, and the place,
 * which it counts wrongly in JSON. */
static struct slw_str
said_clean(struct slw_str said, const char *path, struct slw_arena *a)
{
    struct slw_str head, rest;
    if (text_cut(said, "Error: ", &head, &rest) && head.len < 32)
        said = rest;
    if (text_cut(said, path, &head, &rest)) {
        static const char *const before[] = {" in file", " of file", " file"};
        head.len -= head.len > 0; /* the quote */
        head = slw_str_trim(head);
        for (size_t i = 0; i < SLW_ARRAY_LEN(before); i++)
            if (slw_str_ends(head, before[i]))
                head.len -= strlen(before[i]);
        rest.ptr += rest.len > 0;
        rest.len -= rest.len > 0;
        struct slw_str place, why;
        if (slw_str_starts(rest, ", at byte") &&
            text_cut(rest, ": ", &place, &why))
            rest = slw_arena_printf(a, ", %.*s", SLW_FMT(why));
        said = slw_arena_printf(a, "%.*s%.*s", SLW_FMT(head), SLW_FMT(rest));
    }
    said = slw_str_trim(said);
    while (slw_str_ends(said, "."))
        said.len--;
    return said;
}

/* Of one object a line: the first line that is none, if it is found. */
static enum slw_rc
json_line_refuse(struct slw_scan *sc, const struct data_file *file,
                 struct slw_arena *a, struct slw_err *err)
{
    const struct slw_str path = slw_sql_literal(a, slw_str_of(file->path));
    struct slw_scan_result r;
    struct slw_err ignored;
    const enum slw_rc rc = slw_scan_query(
        sc, 1, a, &r,
        slw_arena_printf(
            a,
            "WITH t AS (SELECT row_number() OVER () AS n, l"
            " FROM read_csv(%.*s, delim='\x01', quote='', escape='',"
            " header=false, columns={'l': 'VARCHAR'}, auto_detect=false))"
            " SELECT n, left(l, 80) FROM t"
            " WHERE trim(l) <> '' AND NOT json_valid(l)"
            " AND (SELECT trim(l) LIKE '{%%}' FROM t WHERE n = 1)"
            " ORDER BY n LIMIT 1",
            SLW_FMT(path)),
        &ignored);
    if (rc != SLW_OK || r.row_count == 0)
        return SLW_OK;
    return slw_fail(err, SLW_INVALID, "%.*s, line %lld is no JSON: '%.*s'",
                    SLW_FMT(file->name), (long long)r.cols[0].i64[0],
                    SLW_FMT(r.cols[1].str[0]));
}

enum slw_rc
data_reader_refuse(struct slw_scan *sc, const struct data_file *file,
                   struct slw_arena *a, struct slw_err *err)
{
    if (err->rc != SLW_INVALID)
        return slw_err_prefix(err, "%.*s: ", SLW_FMT(file->name));
    struct slw_str said = slw_arena_str(a, slw_str_of(err->msg));
    said = said_clean(said, file->path, a);
    if (file->is_json)
        TRY(json_line_refuse(sc, file, a, err));
    return slw_fail(err, SLW_INVALID, "%.*s: not readable as %s: %.*s",
                    SLW_FMT(file->name),
                    file->is_csv    ? "CSV"
                    : file->is_json ? "JSON"
                                    : "Parquet",
                    SLW_FMT(said));
}

/* ---- read one file ---- */

static enum slw_rc
json_read(struct slw_scan *sc, struct data_file *file, struct slw_arena *a,
          struct slw_err *err)
{
    const struct slw_str path = slw_sql_literal(a, slw_str_of(file->path));
    const struct slw_str sniff = slw_arena_printf(
        a, "read_json(%.*s, format='auto', sample_size=-1, maximum_depth=-1)",
        SLW_FMT(path));
    struct data_cols cols;
    if (data_describe(sc, sniff, a, &cols, err) != SLW_OK)
        return data_reader_refuse(sc, file, a, err);
    if (cols.count == 1 && slw_str_same(cols.at[0].name, SLW_STR("json")))
        return slw_fail(err, SLW_INVALID,
                        "%.*s holds no rows: a list of objects is wanted, or"
                        " one object a line",
                        SLW_FMT(file->name));
    /* Times as text: DuckDB's own reading would drop their offsets. */
    SLW_AUTO(slw_buf, sql);
    for (size_t i = 0; i < cols.count; i++) {
        struct data_col *c = &cols.at[i];
        if (data_type_is_time(c->type))
            c->type = SLW_STR("VARCHAR");
        const struct slw_str name = slw_sql_literal(a, c->name);
        slw_buf_printf(&sql, "%s%.*s: '%.*s'", i ? ", " : "", SLW_FMT(name),
                       SLW_FMT(c->type));
    }
    file->cols = cols;
    if (slw_scan_exec(sc, err,
                      "CREATE TABLE %.*s AS SELECT * FROM read_json(%.*s,"
                      " format='auto', columns={%.*s})",
                      SLW_FMT(file->table), SLW_FMT(path),
                      SLW_FMT(slw_buf_view(&sql))) != SLW_OK)
        return data_reader_refuse(sc, file, a, err);
    /* Mixed values stand as JSON: what a text or number looks like bare. */
    for (size_t i = 0; i < cols.count; i++) {
        if (!slw_str_eqz(cols.at[i].type, "JSON"))
            continue;
        const struct slw_str name = slw_sql_name(a, cols.at[i].name);
        TRY(slw_scan_exec(sc, err,
                          "ALTER TABLE %.*s ALTER %.*s TYPE VARCHAR"
                          " USING (%.*s ->> '$')",
                          SLW_FMT(file->table), SLW_FMT(name), SLW_FMT(name)));
    }
    return SLW_OK;
}

static enum slw_rc
parquet_read(struct slw_scan *sc, struct data_file *file, struct slw_arena *a,
             struct slw_err *err)
{
    const struct slw_str from = data_parquet_sql(a, file->path);
    if (data_describe(sc, from, a, &file->cols, err) != SLW_OK ||
        slw_scan_exec(sc, err, "CREATE TABLE %.*s AS SELECT * FROM %.*s",
                      SLW_FMT(file->table), SLW_FMT(from)) != SLW_OK)
        return data_reader_refuse(sc, file, a, err);
    return SLW_OK;
}

static enum slw_rc
names_check(const struct data_file *file, struct slw_err *err)
{
    for (size_t i = 0; i < file->cols.count; i++) {
        const struct slw_str name = file->cols.at[i].name;
        if (slw_str_same(name, SLW_STR("known_time_ms")) ||
            slw_str_same(name, SLW_STR("rowid")) ||
            slw_str_starts(name, "slw_"))
            return slw_fail(err, SLW_INVALID,
                            "%.*s: the column name '%.*s' is reserved: rename"
                            " it",
                            SLW_FMT(file->name), SLW_FMT(name));
    }
    return SLW_OK;
}

static const struct slw_str *
typed_find(const struct data_def *def, struct slw_str column)
{
    for (size_t i = 0; i < def->typed_count; i++)
        if (slw_str_same(def->typed[i], column))
            return &def->types[i];
    return NULL;
}

/* Parquet's text is text, but where a time is declared or another type. */
static bool
is_by_text(const struct data_file *file, const struct data_def *def,
           const struct data_col *col)
{
    if (slw_str_eqz(col->type, "JSON"))
        return file->is_json;
    return slw_str_eqz(col->type, "VARCHAR") &&
           (file->is_csv || file->is_json ||
            slw_str_same(col->name, def->event_time) ||
            slw_str_same(col->name, def->known_time) ||
            typed_find(def, col->name));
}

static enum slw_rc
file_read(struct slw_scan *sc, const struct data_def *def,
          struct data_file *file, struct slw_arena *a, struct slw_err *err)
{
    enum format format;
    if (format_of(file, &format, err) != SLW_OK)
        return slw_err_prefix(err, "%.*s: ", SLW_FMT(file->name));
    file->is_csv = format == FORMAT_CSV;
    file->is_json = format == FORMAT_JSON;
    if (format == FORMAT_CSV)
        TRY(data_csv_read(sc, file, a, err));
    else if (format == FORMAT_JSON)
        TRY(json_read(sc, file, a, err));
    else
        TRY(parquet_read(sc, file, a, err));
    TRY(names_check(file, err));
    file->targets = SLW_ARENA_NEW(a, struct slw_str, file->cols.count + 1);
    file->by_text = SLW_ARENA_NEW(a, bool, file->cols.count + 1);
    for (size_t i = 0; i < file->cols.count; i++) {
        const struct slw_str type = file->cols.at[i].type;
        file->targets[i] = type;
        file->by_text[i] = is_by_text(file, def, &file->cols.at[i]);
    }
    return SLW_OK;
}

/* ---- type the text ---- */

enum { T_INT, T_NUMBER, T_BOOL, T_DATE, T_TIME, T_COUNT };
static const char *const TYPES[T_COUNT] = {"BIGINT", "DOUBLE", "BOOLEAN",
                                           "DATE", "TIMESTAMP"};
struct text_counts {
    int64_t value_count; /* neither empty nor a word for "no value" */
    int64_t of[T_COUNT];
};

/* JSON's strings are text, but for times, which JSON has no type for. */
static bool
type_applies(const struct data_file *file, size_t col, int t, bool declared)
{
    return file->is_csv || declared || t >= T_DATE ||
           slw_str_eqz(file->cols.at[col].type, "JSON");
}

static enum slw_rc
text_count(struct slw_scan *sc, const struct data_file *file, size_t col,
           bool declared, struct slw_arena *a, struct text_counts *out,
           struct slw_err *err)
{
    const struct slw_str column = file->cols.at[col].name;
    const struct slw_str name = slw_sql_name(a, column);
    SLW_AUTO(slw_buf, sql);
    slw_buf_printf(&sql,
                   "SELECT count(*) FILTER (%.*s IS NOT NULL AND"
                   " trim(%.*s) NOT IN ('', 'NA', 'N/A', 'NULL', 'null',"
                   " 'NaN', 'nan', 'None'))",
                   SLW_FMT(name), SLW_FMT(name));
    for (int t = 0; t < T_COUNT; t++) {
        const struct slw_str cast =
            data_cast_sql(a, column, slw_str_of(TYPES[t]));
        if (type_applies(file, col, t, declared))
            slw_buf_printf(&sql, ", count(%.*s)", SLW_FMT(cast));
        else
            slw_buf_z(&sql, ", 0");
    }
    slw_buf_printf(&sql, " FROM %.*s", SLW_FMT(file->table));
    struct slw_scan_result r;
    TRY(slw_scan_query(sc, 1, a, &r, slw_buf_view(&sql), err));
    out->value_count = r.cols[0].i64[0];
    for (int t = 0; t < T_COUNT; t++)
        out->of[t] = r.cols[t + 1].i64[0];
    return SLW_OK;
}

static int
type_index(struct slw_str type)
{
    for (int t = 0; t < T_COUNT; t++)
        if (slw_str_eqz(type, TYPES[t]))
            return t;
    return -1;
}

/* What a column must be by what is known of it beforehand; "" when open. */
static struct slw_str
type_expected(const struct data_def *def, const struct data_cols *parent,
              struct slw_str column, struct slw_str *out_why)
{
    const struct slw_str *typed = typed_find(def, column);
    *out_why = SLW_STR(", which its declared type wants");
    if (typed)
        return *typed;
    *out_why = SLW_STR(", which the column is in the version before");
    const struct data_col *before = data_cols_find(parent, column);
    if (before && data_type_is_number(before->type))
        return SLW_STR("DOUBLE");
    if (before && data_type_is_time(before->type))
        return SLW_STR("TIMESTAMP");
    if (before && data_type_is_text(before->type))
        return SLW_STR("VARCHAR");
    *out_why = SLW_STR("");
    return SLW_STR("");
}

static enum slw_rc
type_choose(struct slw_scan *sc, const struct data_def *def,
            const struct data_cols *parent, struct data_file *file, size_t col,
            struct slw_arena *a, struct slw_err *err)
{
    const struct slw_str column = file->cols.at[col].name;
    struct slw_str why;
    struct slw_str want = type_expected(def, parent, column, &why);
    const bool declared = typed_find(def, column) != NULL;
    if (slw_str_eqz(want, "VARCHAR")) {
        file->targets[col] = want;
        return SLW_OK;
    }
    struct text_counts n;
    TRY(text_count(sc, file, col, declared, a, &n, err));
    int all = -1;
    for (int t = T_COUNT - 1; t >= 0; t--)
        if (n.of[t] == n.value_count)
            all = t;
    const int64_t most =
        (int64_t)((double)n.value_count * DATA_MISTAKE_SHARE) + 1;
    if (want.len == 0 && all < 0) {
        why = SLW_STR(", as most of the column is (a text column is declared"
                      " by types)");
        const bool is_event = slw_str_same(column, def->event_time);
        if (n.of[T_NUMBER] >= most && n.value_count > 1)
            want = SLW_STR("DOUBLE");
        else if ((n.of[T_TIME] >= most && n.value_count > 1) ||
                 (is_event && n.of[T_TIME] > 0))
            want = SLW_STR("TIMESTAMP");
    }
    const int wanted = type_index(want);
    if (wanted >= 0 && n.of[wanted] < n.value_count &&
        type_applies(file, col, wanted, declared))
        return data_mistake_refuse(sc, file, column, want, why, a, err);
    if (n.value_count == 0)
        file->targets[col] = want; /* "": takes the type of the others */
    else if (declared)
        file->targets[col] = want;
    else
        file->targets[col] =
            all >= 0 ? slw_str_of(TYPES[all]) : SLW_STR("VARCHAR");
    return SLW_OK;
}

/* ---- unite ---- */

static const char *
type_class(struct slw_str type)
{
    if (data_type_is_number(type))
        return "a number";
    if (data_type_is_time(type))
        return "a time";
    if (slw_str_eqz(type, "BOOLEAN"))
        return "true or false";
    return data_type_is_text(type) ? "text" : "of another type";
}

static enum slw_rc
classes_check(const struct data_file *files, size_t file_count,
              struct slw_err *err)
{
    for (size_t f = 1; f < file_count; f++) {
        for (size_t i = 0; i < files[f].cols.count; i++) {
            const struct slw_str name = files[f].cols.at[i].name;
            const struct slw_str type = files[f].targets[i];
            for (size_t g = 0; g < f && type.len; g++) {
                const struct data_col *c = data_cols_find(&files[g].cols, name);
                if (!c)
                    continue;
                const struct slw_str other =
                    files[g].targets[c - files[g].cols.at];
                if (other.len &&
                    strcmp(type_class(type), type_class(other)) != 0)
                    return slw_fail(err, SLW_INVALID,
                                    "column '%.*s' is %s in %.*s and %s in"
                                    " %.*s: make them agree, or declare its"
                                    " type",
                                    SLW_FMT(name), type_class(other),
                                    SLW_FMT(files[g].name), type_class(type),
                                    SLW_FMT(files[f].name));
            }
        }
    }
    return SLW_OK;
}

static void
select_build(struct slw_buf *sql, const struct data_file *file,
             struct slw_arena *a)
{
    slw_buf_z(sql, "SELECT ");
    for (size_t i = 0; i < file->cols.count; i++) {
        const struct slw_str column = file->cols.at[i].name;
        const struct slw_str name = slw_sql_name(a, column);
        const struct slw_str type = file->targets[i];
        struct slw_str expr = name;
        if (type.len == 0)
            expr = SLW_STR("NULL");
        else if (file->by_text[i])
            expr = data_cast_sql(a, column, type);
        else if (slw_str_eqz(type, "TIMESTAMP WITH TIME ZONE"))
            expr = slw_arena_printf(a, "make_timestamp(epoch_us(%.*s))",
                                    SLW_FMT(name));
        else if (slw_str_starts(type, "TIMESTAMP_"))
            expr =
                slw_arena_printf(a, "CAST(%.*s AS TIMESTAMP)", SLW_FMT(name));
        else if (slw_str_starts(type, "ENUM"))
            expr = slw_arena_printf(a, "CAST(%.*s AS VARCHAR)", SLW_FMT(name));
        slw_buf_printf(sql, "%s%.*s AS %.*s", i ? ", " : "", SLW_FMT(expr),
                       SLW_FMT(name));
    }
    slw_buf_printf(sql, " FROM %.*s", SLW_FMT(file->table));
}

static enum slw_rc
event_time_check(struct slw_scan *sc, const struct data_def *def,
                 struct slw_arena *a, struct slw_err *err)
{
    struct data_cols cols;
    TRY(data_describe(sc, SLW_STR("slw_in"), a, &cols, err));
    const struct slw_str needed[] = {def->event_time, def->entity,
                                     def->known_time};
    static const char *const roles[] = {"event_time", "entity", "known_time"};
    for (size_t i = 0; i < SLW_ARRAY_LEN(needed); i++) {
        if (needed[i].len == 0)
            continue;
        const struct data_col *c = data_cols_find(&cols, needed[i]);
        if (!c)
            return slw_fail(err, SLW_INVALID,
                            "there is no column '%.*s', which the source"
                            " declares as its %s; the columns are: %.*s",
                            SLW_FMT(needed[i]), roles[i],
                            SLW_FMT(data_cols_text(&cols, a)));
        if (i == 1 || data_type_is_time(c->type))
            continue;
        const struct slw_str name = slw_sql_name(a, needed[i]);
        struct slw_scan_result r;
        TRY(slw_scan_query(sc, 1, a, &r,
                           slw_arena_printf(a,
                                            "SELECT CAST(any_value(%.*s) AS"
                                            " VARCHAR) FROM slw_in",
                                            SLW_FMT(name)),
                           err));
        return slw_fail(err, SLW_INVALID,
                        "the %s column '%.*s' holds no times but values such"
                        " as '%.*s': write dates as 2023-08-31 and times as"
                        " 2023-08-31T16:00:00Z",
                        roles[i], SLW_FMT(needed[i]),
                        SLW_FMT(r.cols[0].str[0]));
    }
    return SLW_OK;
}

enum slw_rc
data_load(struct slw_scan *sc, const struct data_def *def,
          struct data_file *files, size_t file_count,
          const struct data_cols *parent_cols, struct slw_arena *a,
          struct slw_err *err)
{
    SLW_ASSERT(file_count > 0);
    SLW_ASSERT(file_count <= DATA_FILES_MAX);
    for (size_t f = 0; f < file_count; f++) {
        files[f].table = slw_arena_printf(a, "slw_file_%zu", f);
        TRY(file_read(sc, def, &files[f], a, err));
        for (size_t i = 0; i < files[f].cols.count; i++)
            if (files[f].by_text[i])
                TRY(type_choose(sc, def, parent_cols, &files[f], i, a, err));
    }
    TRY(classes_check(files, file_count, err));
    SLW_AUTO(slw_buf, sql);
    for (size_t f = 0; f < file_count; f++) {
        if (f)
            slw_buf_z(&sql, " UNION ALL BY NAME ");
        select_build(&sql, &files[f], a);
    }
    TRY(slw_buf_check(&sql, err));
    TRY(slw_scan_exec(sc, err, "CREATE TABLE slw_in AS %.*s",
                      SLW_FMT(slw_buf_view(&sql))));
    for (size_t f = 0; f < file_count; f++)
        TRY(slw_scan_exec(sc, err, "DROP TABLE %.*s", SLW_FMT(files[f].table)));
    int64_t rows = 0;
    TRY(data_query_i64(sc, a, SLW_STR("SELECT count(*) FROM slw_in"), &rows,
                       err));
    if (rows == 0)
        return slw_fail(err, SLW_INVALID, "%.*s holds no rows",
                        SLW_FMT(files[0].name));
    return event_time_check(sc, def, a, err);
}
