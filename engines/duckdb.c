/* duckdb.c -- the engine "duckdb": DuckDB's C interface behind the four
 * functions of store/scan.h.
 *
 * The library is opened by hand, so that this plug-in loads without it and
 * can say what is missing.  A result is converted column by column from
 * DuckDB's vectors into plain arrays of the caller's arena; what has no plain
 * form (lists, structs, intervals, times of day ...) is asked for again as
 * text.
 *
 * A wrong handle would abort the process: all of this runs in children. */
#include <duckdb.h>

#include <dlfcn.h>
#include <limits.h>
#include <math.h>

#include "base/buf.h"
#include "base/engine.h"
#include "store/scan.h"

#define MESSAGE_LEN_MAX 300

/* Every function that is used: name without the prefix. */
#define FUNCTIONS(X)                                                           \
    X(library_version)                                                         \
    X(create_config)                                                           \
    X(set_config)                                                              \
    X(destroy_config)                                                          \
    X(open_ext)                                                                \
    X(close)                                                                   \
    X(connect)                                                                 \
    X(disconnect)                                                              \
    X(free)                                                                    \
    X(query)                                                                   \
    X(prepare)                                                                 \
    X(prepare_error)                                                           \
    X(destroy_prepare)                                                         \
    X(execute_prepared)                                                        \
    X(nparams)                                                                 \
    X(prepared_statement_type)                                                 \
    X(prepared_statement_column_count)                                         \
    X(prepared_statement_column_name)                                          \
    X(prepared_statement_column_type)                                          \
    X(result_error)                                                            \
    X(result_error_type)                                                       \
    X(destroy_result)                                                          \
    X(column_count)                                                            \
    X(column_name)                                                             \
    X(column_type)                                                             \
    X(column_logical_type)                                                     \
    X(destroy_logical_type)                                                    \
    X(decimal_width)                                                           \
    X(decimal_scale)                                                           \
    X(decimal_internal_type)                                                   \
    X(fetch_chunk)                                                             \
    X(data_chunk_get_size)                                                     \
    X(data_chunk_get_vector)                                                   \
    X(destroy_data_chunk)                                                      \
    X(vector_get_data)                                                         \
    X(vector_get_validity)

/* Owner: filled once by engine_open, under the loader's lock. */
static struct {
#define X(name) __typeof__(&duckdb_##name) name;
    FUNCTIONS(X)
#undef X
} duck;

struct session {
    duckdb_database db;
    duckdb_connection conn;
};

/* ---- errors ---- */

/* First line of DuckDB's message, at most 300 characters. */
static enum slw_rc
fail_said(const char *said, duckdb_error_type type, struct slw_err *err)
{
    struct slw_str line = slw_str_of(said ? said : "DuckDB gave no reason");
    struct slw_str rest;
    (void)slw_str_cut(line, '\n', &line, &rest);
    if (line.len > MESSAGE_LEN_MAX)
        line.len = MESSAGE_LEN_MAX;
    while (line.len > 0 && !slw_str_utf8_ok(line))
        line.len--;
    enum slw_rc rc = SLW_INVALID;
    if (type == DUCKDB_ERROR_OUT_OF_MEMORY)
        rc = SLW_LIMIT;
    if (type == DUCKDB_ERROR_INTERNAL || type == DUCKDB_ERROR_FATAL)
        rc = SLW_INTERNAL;
    return slw_fail(err, rc, "%.*s", SLW_FMT(line));
}

/* A result by scope. */
struct result {
    duckdb_result r;
    bool used;
};

static void
result_done(struct result *r)
{
    if (r->used)
        duck.destroy_result(&r->r);
    r->used = false;
}

struct prepared {
    duckdb_prepared_statement stmt;
};

static void
prepared_done(struct prepared *p)
{
    if (p->stmt)
        duck.destroy_prepare(&p->stmt);
}

/* ---- opening ---- */

static enum slw_rc
config_set(duckdb_config config, const char *name, const char *value,
           struct slw_err *err)
{
    if (duck.set_config(config, name, value) == DuckDBSuccess)
        return SLW_OK;
    return slw_fail(err, SLW_INVALID, "DuckDB refuses the setting %s = %.200s",
                    name, value);
}

static enum slw_rc
config_fill(duckdb_config config, int threads, size_t memory_size,
            const char *tmp_dir, struct slw_err *err)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%d", threads);
    TRY(config_set(config, "threads", text, err));
    (void)snprintf(text, sizeof(text), "%zuKiB", memory_size / 1024);
    TRY(config_set(config, "memory_limit", text, err));
    if (tmp_dir && tmp_dir[0])
        TRY(config_set(config, "temp_directory", tmp_dir, err));
    TRY(config_set(config, "preserve_insertion_order", "true", err));
    TRY(config_set(config, "autoinstall_known_extensions", "false", err));
    TRY(config_set(config, "autoload_known_extensions", "false", err));
    return config_set(config, "allow_community_extensions", "false", err);
}

static void
session_close(void *handle)
{
    struct session *s = handle;
    if (!s)
        return;
    if (s->conn)
        duck.disconnect(&s->conn);
    if (s->db)
        duck.close(&s->db);
    slw_free(s);
}

static enum slw_rc session_exec(void *handle, struct slw_str sql,
                                struct slw_err *err);

static enum slw_rc
session_connect(struct session *s, duckdb_config config, struct slw_err *err)
{
    char *said = NULL;
    if (duck.open_ext(NULL, &s->db, config, &said) != DuckDBSuccess) {
        const enum slw_rc rc = fail_said(said, DUCKDB_ERROR_INVALID, err);
        duck.free(said);
        return rc;
    }
    if (duck.connect(s->db, &s->conn) != DuckDBSuccess)
        return slw_fail(err, SLW_INTERNAL, "DuckDB does not connect");
    return session_exec(s, SLW_STR("SET TimeZone = 'UTC'"), err);
}

static enum slw_rc
session_open(void **out, int threads, size_t memory_size, const char *tmp_dir,
             struct slw_err *err)
{
    duckdb_config config = NULL;
    if (duck.create_config(&config) != DuckDBSuccess)
        return slw_fail(err, SLW_INTERNAL, "DuckDB makes no configuration");
    struct session *s = slw_alloc(sizeof(*s));
    enum slw_rc rc = config_fill(config, threads, memory_size, tmp_dir, err);
    if (rc == SLW_OK)
        rc = session_connect(s, config, err);
    duck.destroy_config(&config);
    if (rc != SLW_OK) {
        session_close(s);
        return rc;
    }
    *out = s;
    return SLW_OK;
}

static enum slw_rc
session_exec(void *handle, struct slw_str sql, struct slw_err *err)
{
    struct session *s = handle;
    SLW_AUTO(slw_arena, arena);
    SLW_AUTO(result, r);
    r.used = true;
    if (duck.query(s->conn, slw_arena_strz(&arena, sql), &r.r) == DuckDBSuccess)
        return SLW_OK;
    return fail_said(duck.result_error(&r.r), duck.result_error_type(&r.r),
                     err);
}

/* ---- types ---- */

struct type_info {
    duckdb_type type;
    const char *name;
    enum slw_col_type col;
};

static const struct type_info TYPES[] = {
    {DUCKDB_TYPE_BOOLEAN, "BOOLEAN", SLW_COL_BOOL},
    {DUCKDB_TYPE_TINYINT, "TINYINT", SLW_COL_I64},
    {DUCKDB_TYPE_SMALLINT, "SMALLINT", SLW_COL_I64},
    {DUCKDB_TYPE_INTEGER, "INTEGER", SLW_COL_I64},
    {DUCKDB_TYPE_BIGINT, "BIGINT", SLW_COL_I64},
    {DUCKDB_TYPE_UTINYINT, "UTINYINT", SLW_COL_I64},
    {DUCKDB_TYPE_USMALLINT, "USMALLINT", SLW_COL_I64},
    {DUCKDB_TYPE_UINTEGER, "UINTEGER", SLW_COL_I64},
    {DUCKDB_TYPE_UBIGINT, "UBIGINT", SLW_COL_I64},
    {DUCKDB_TYPE_FLOAT, "FLOAT", SLW_COL_F64},
    {DUCKDB_TYPE_DOUBLE, "DOUBLE", SLW_COL_F64},
    {DUCKDB_TYPE_DECIMAL, "DECIMAL", SLW_COL_F64},
    {DUCKDB_TYPE_HUGEINT, "HUGEINT", SLW_COL_F64},
    {DUCKDB_TYPE_UHUGEINT, "UHUGEINT", SLW_COL_F64},
    {DUCKDB_TYPE_VARCHAR, "VARCHAR", SLW_COL_STR},
    {DUCKDB_TYPE_DATE, "DATE", SLW_COL_TIME},
    {DUCKDB_TYPE_TIMESTAMP, "TIMESTAMP", SLW_COL_TIME},
    {DUCKDB_TYPE_TIMESTAMP_S, "TIMESTAMP_S", SLW_COL_TIME},
    {DUCKDB_TYPE_TIMESTAMP_MS, "TIMESTAMP_MS", SLW_COL_TIME},
    {DUCKDB_TYPE_TIMESTAMP_NS, "TIMESTAMP_NS", SLW_COL_TIME},
    {DUCKDB_TYPE_TIMESTAMP_TZ, "TIMESTAMP WITH TIME ZONE", SLW_COL_TIME},
};

/* NULL: has no plain form. */
static const struct type_info *
type_find(duckdb_type type)
{
    for (size_t i = 0; i < SLW_ARRAY_LEN(TYPES); i++)
        if (TYPES[i].type == type)
            return &TYPES[i];
    return NULL;
}

/* ---- one column of one chunk ---- */

/* Where a conversion stands. */
struct target {
    struct slw_scan_col *col;
    const struct type_info *info;
    struct slw_arena *arena;
    size_t at;                /* row of the chunk's first value */
    duckdb_type decimal_type; /* how a DECIMAL is stored */
    int decimal_scale;
    double decimal_unit; /* 10^scale */
};

static bool
is_valid(const uint64_t *validity, size_t row)
{
    return !validity || (validity[row / 64] >> (row % 64) & 1);
}

/* Round down also before 1970. */
static int64_t
div_floor(int64_t v, int64_t by)
{
    return v / by - (v % by < 0 ? 1 : 0);
}

static __int128
hugeint(duckdb_hugeint v)
{
    return (__int128)v.upper * ((__int128)1 << 64) + v.lower;
}

static unsigned __int128
uhugeint(duckdb_uhugeint v)
{
    return (unsigned __int128)v.upper << 64 | v.lower;
}

static enum slw_rc
fail_value(const struct target *t, const char *what, struct slw_err *err)
{
    return slw_fail(err, SLW_INVALID,
                    "column '%.*s' holds %s; cast it to VARCHAR, or leave such "
                    "rows out",
                    SLW_FMT(t->col->name), what);
}

static enum slw_rc
int_value(const struct target *t, const void *data, size_t row, int64_t *out,
          struct slw_err *err)
{
    switch (t->info->type) {
    case DUCKDB_TYPE_BOOLEAN:
        *out = ((const bool *)data)[row] ? 1 : 0;
        return SLW_OK;
    case DUCKDB_TYPE_TINYINT:
        *out = ((const int8_t *)data)[row];
        return SLW_OK;
    case DUCKDB_TYPE_SMALLINT:
        *out = ((const int16_t *)data)[row];
        return SLW_OK;
    case DUCKDB_TYPE_INTEGER:
        *out = ((const int32_t *)data)[row];
        return SLW_OK;
    case DUCKDB_TYPE_BIGINT:
        *out = ((const int64_t *)data)[row];
        return SLW_OK;
    case DUCKDB_TYPE_UTINYINT:
        *out = ((const uint8_t *)data)[row];
        return SLW_OK;
    case DUCKDB_TYPE_USMALLINT:
        *out = ((const uint16_t *)data)[row];
        return SLW_OK;
    case DUCKDB_TYPE_UINTEGER:
        *out = ((const uint32_t *)data)[row];
        return SLW_OK;
    default: /* UBIGINT */
        break;
    }
    const uint64_t v = ((const uint64_t *)data)[row];
    if (v > (uint64_t)INT64_MAX)
        return fail_value(t, "an integer of more than 63 bits", err);
    *out = (int64_t)v;
    return SLW_OK;
}

static enum slw_rc
time_value(const struct target *t, const void *data, size_t row, int64_t *out,
           struct slw_err *err)
{
    if (t->info->type == DUCKDB_TYPE_DATE) {
        const int32_t days = ((const int32_t *)data)[row];
        if (days == INT32_MAX || days == -INT32_MAX)
            return fail_value(t, "an infinite date", err);
        *out = (int64_t)days * 86400000;
        return SLW_OK;
    }
    const int64_t v = ((const int64_t *)data)[row];
    if (v == INT64_MAX || v == -INT64_MAX)
        return fail_value(t, "an infinite time", err);
    if (t->info->type == DUCKDB_TYPE_TIMESTAMP_S) {
        if (v > INT64_MAX / 1000 || v < INT64_MIN / 1000)
            return fail_value(t, "a time out of range", err);
        *out = v * 1000;
    } else if (t->info->type == DUCKDB_TYPE_TIMESTAMP_MS) {
        *out = v;
    } else if (t->info->type == DUCKDB_TYPE_TIMESTAMP_NS) {
        *out = div_floor(v, 1000000);
    } else {
        *out = div_floor(v, 1000);
    }
    return SLW_OK;
}

/* v / 10^scale, rounded once.  Below 2^53 the division does that; above, the
 * digits are read as text. */
static double
decimal_f64(const struct target *t, __int128 v)
{
    const __int128 exact = (__int128)1 << 53;
    if (v >= -exact && v <= exact)
        return (double)v / t->decimal_unit;
    char text[64];
    size_t at = sizeof(text) - 8;
    (void)snprintf(text + at, 8, "e-%d", t->decimal_scale);
    unsigned __int128 left =
        v < 0 ? -(unsigned __int128)v : (unsigned __int128)v;
    for (; left > 0; left /= 10)
        text[--at] = (char)('0' + (int)(left % 10));
    if (v < 0)
        text[--at] = '-';
    struct slw_err err;
    double out = (double)NAN;
    SLW_ASSERT(slw_str_f64(slw_str_of(text + at), &out, &err) == SLW_OK);
    return out;
}

static double
decimal_value(const struct target *t, const void *data, size_t row)
{
    if (t->decimal_type == DUCKDB_TYPE_SMALLINT)
        return decimal_f64(t, ((const int16_t *)data)[row]);
    if (t->decimal_type == DUCKDB_TYPE_INTEGER)
        return decimal_f64(t, ((const int32_t *)data)[row]);
    if (t->decimal_type == DUCKDB_TYPE_BIGINT)
        return decimal_f64(t, ((const int64_t *)data)[row]);
    return decimal_f64(t, hugeint(((const duckdb_hugeint *)data)[row]));
}

static double
float_value(const struct target *t, const void *data, size_t row)
{
    switch (t->info->type) {
    case DUCKDB_TYPE_FLOAT:
        return (double)((const float *)data)[row];
    case DUCKDB_TYPE_DOUBLE:
        return ((const double *)data)[row];
    case DUCKDB_TYPE_DECIMAL:
        return decimal_value(t, data, row);
    case DUCKDB_TYPE_HUGEINT:
        return (double)hugeint(((const duckdb_hugeint *)data)[row]);
    default:
        return (double)uhugeint(((const duckdb_uhugeint *)data)[row]);
    }
}

static enum slw_rc
text_value(const struct target *t, const void *data, size_t row,
           struct slw_str *out, struct slw_err *err)
{
    const duckdb_string_t *s = &((const duckdb_string_t *)data)[row];
    const uint32_t len = s->value.inlined.length;
    const char *ptr = len <= sizeof(s->value.inlined.inlined)
                          ? s->value.inlined.inlined
                          : s->value.pointer.ptr;
    if (slw_arena_room(t->arena) < (size_t)len + 64)
        return slw_fail(err, SLW_LIMIT,
                        "the texts of column '%.*s' do not fit in memory",
                        SLW_FMT(t->col->name));
    *out = slw_arena_str(t->arena, (struct slw_str){ptr, len});
    return SLW_OK;
}

static enum slw_rc
vector_convert(const struct target *t, duckdb_vector vector, size_t row_count,
               struct slw_err *err)
{
    const void *data = duck.vector_get_data(vector);
    const uint64_t *validity = duck.vector_get_validity(vector);
    struct slw_scan_col *col = t->col;
    for (size_t row = 0; row < row_count; row++) {
        const size_t at = t->at + row;
        if (!is_valid(validity, row)) {
            col->is_null[at] = 1;
            if (col->f64)
                col->f64[at] = (double)NAN;
            continue;
        }
        if (col->f64)
            col->f64[at] = float_value(t, data, row);
        else if (col->str)
            TRY(text_value(t, data, row, &col->str[at], err));
        else if (col->type == SLW_COL_TIME)
            TRY(time_value(t, data, row, &col->i64[at], err));
        else
            TRY(int_value(t, data, row, &col->i64[at], err));
    }
    return SLW_OK;
}

/* ---- a whole result ---- */

/* The chunks of a result, before their number of rows is known. */
struct chunks {
    duckdb_data_chunk *list;
    size_t count;
    size_t max;
    size_t row_count;
};

static void
chunks_done(struct chunks *c)
{
    for (size_t i = 0; i < c->count; i++)
        duck.destroy_data_chunk(&c->list[i]);
    slw_free(c->list);
}

static enum slw_rc
chunks_fetch(struct chunks *c, struct result *r, size_t row_max,
             struct slw_err *err)
{
    for (;;) {
        duckdb_data_chunk chunk = duck.fetch_chunk(r->r);
        if (!chunk)
            break;
        if (c->count == c->max) {
            c->max = c->max ? 2 * c->max : 16;
            c->list = slw_realloc(c->list, c->max * sizeof(*c->list));
        }
        c->list[c->count++] = chunk;
        c->row_count += duck.data_chunk_get_size(chunk);
        if (c->row_count > row_max)
            return slw_fail(err, SLW_LIMIT,
                            "the query gives more than %zu rows", row_max);
    }
    const char *said = duck.result_error(&r->r);
    if (said)
        return fail_said(said, duck.result_error_type(&r->r), err);
    return SLW_OK;
}

static enum slw_rc
col_room(struct slw_arena *a, size_t row_count, struct slw_err *err)
{
    /* Values of 8 or 16 bytes and one byte for NULL. */
    const size_t most = (sizeof(struct slw_str) + 1) * row_count + 4096;
    if (slw_arena_room(a) >= most)
        return SLW_OK;
    return slw_fail(err, SLW_LIMIT, "%zu rows do not fit in memory", row_count);
}

static void
decimal_read(struct target *t, struct result *r, idx_t index,
             struct slw_str *sql_type)
{
    duckdb_logical_type type = duck.column_logical_type(&r->r, index);
    const int scale = duck.decimal_scale(type);
    t->decimal_type = duck.decimal_internal_type(type);
    t->decimal_scale = scale;
    t->decimal_unit = pow(10, scale); /* exact up to 10^22 */
    *sql_type = slw_arena_printf(t->arena, "DECIMAL(%d,%d)",
                                 (int)duck.decimal_width(type), scale);
    duck.destroy_logical_type(&type);
}

static enum slw_rc
col_convert(struct slw_scan_col *col, struct result *r, idx_t index,
            const struct chunks *c, struct slw_arena *a, struct slw_err *err)
{
    TRY(col_room(a, c->row_count, err));
    struct target t = {.col = col, .arena = a};
    t.info = type_find(duck.column_type(&r->r, index));
    col->name = slw_arena_str(a, slw_str_of(duck.column_name(&r->r, index)));
    if (!t.info)
        return slw_fail(err, SLW_INVALID,
                        "column '%.*s' is of a type that cannot be read; cast "
                        "it to VARCHAR",
                        SLW_FMT(col->name));
    col->type = t.info->col;
    col->sql_type = slw_str_of(t.info->name);
    if (t.info->type == DUCKDB_TYPE_DECIMAL)
        decimal_read(&t, r, index, &col->sql_type);
    const size_t count = c->row_count + 1; /* never an empty array */
    col->is_null = SLW_ARENA_NEW(a, uint8_t, count);
    if (col->type == SLW_COL_F64)
        col->f64 = SLW_ARENA_NEW(a, double, count);
    else if (col->type == SLW_COL_STR)
        col->str = SLW_ARENA_NEW(a, struct slw_str, count);
    else
        col->i64 = SLW_ARENA_NEW(a, int64_t, count);
    for (size_t i = 0; i < c->count; i++) {
        const size_t size = duck.data_chunk_get_size(c->list[i]);
        TRY(vector_convert(&t, duck.data_chunk_get_vector(c->list[i], index),
                           size, err));
        t.at += size;
    }
    return SLW_OK;
}

static enum slw_rc
result_convert(struct result *r, size_t row_max, struct slw_arena *a,
               struct slw_scan_result *out, struct slw_err *err)
{
    SLW_AUTO(chunks, c);
    TRY(chunks_fetch(&c, r, row_max, err));
    const size_t col_count = duck.column_count(&r->r);
    TRY(col_room(a, col_count * sizeof(struct slw_scan_col), err));
    struct slw_scan_result result = {
        .row_count = c.row_count,
        .col_count = col_count,
        .cols = SLW_ARENA_NEW(a, struct slw_scan_col, col_count + 1),
    };
    for (size_t i = 0; i < col_count; i++)
        TRY(col_convert(&result.cols[i], r, i, &c, a, err));
    *out = result;
    return SLW_OK;
}

/* ---- queries ---- */

/* Length of the quoted text or comment that starts at `at`, else 0. */
static size_t
span_at(struct slw_str sql, size_t at, bool *out_comment)
{
    static const struct {
        const char *start, *end;
        bool comment;
    } spans[] = {{"'", "'", false},
                 {"\"", "\"", false},
                 {"--", "\n", true},
                 {"/*", "*/", true}};
    const struct slw_str here = {sql.ptr + at, sql.len - at};
    for (size_t i = 0; i < SLW_ARRAY_LEN(spans); i++) {
        if (!slw_str_starts(here, spans[i].start))
            continue;
        const size_t start_len = strlen(spans[i].start);
        const size_t end_len = strlen(spans[i].end);
        const char *end = memmem(here.ptr + start_len, here.len - start_len,
                                 spans[i].end, end_len);
        *out_comment = spans[i].comment;
        return end ? (size_t)(end - here.ptr) + end_len : here.len;
    }
    return 0;
}

/* Without the semicolons, blanks and comments it ends with. */
static struct slw_str
without_end(struct slw_str sql)
{
    size_t len = 0;
    for (size_t at = 0; at < sql.len;) {
        bool is_comment = false;
        const size_t span = span_at(sql, at, &is_comment);
        const bool counts =
            span ? !is_comment : !strchr("; \t\r\n", sql.ptr[at]);
        at += span ? span : 1;
        if (counts)
            len = at;
    }
    return (struct slw_str){sql.ptr, len};
}

/* The text around columns that have no plain form:
 *   SELECT #1 AS "a", CAST(#2 AS VARCHAR) AS "b" FROM (query)
 * Out: empty where every column has one. */
static void
wrap(const struct prepared *p, struct slw_str sql, struct slw_arena *a,
     struct slw_str *out)
{
    SLW_AUTO(slw_buf, text);
    bool needed = false;
    const idx_t count = duck.prepared_statement_column_count(p->stmt);
    for (idx_t i = 0; i < count; i++) {
        const duckdb_type type =
            duck.prepared_statement_column_type(p->stmt, i);
        const bool plain = type_find(type) || type == DUCKDB_TYPE_INVALID;
        needed |= !plain;
        slw_buf_printf(&text, plain ? "%s#%llu" : "%sCAST(#%llu AS VARCHAR)",
                       i ? ", " : "SELECT ", (unsigned long long)i + 1);
        const char *name = duck.prepared_statement_column_name(p->stmt, i);
        slw_buf_z(&text, " AS \"");
        for (const char *at = name ? name : "?"; *at; at++)
            slw_buf_add(&text, *at == '"' ? "\"\"" : at, *at == '"' ? 2 : 1);
        slw_buf_char(&text, '"');
        if (name)
            duck.free((void *)(uintptr_t)name);
    }
    sql = without_end(sql);
    slw_buf_printf(&text, " FROM (%.*s)", SLW_FMT(sql));
    *out = needed && !text.overflow ? slw_arena_str(a, slw_buf_view(&text))
                                    : (struct slw_str){0};
}

static enum slw_rc
prepare(struct session *s, struct slw_str sql, struct prepared *p,
        struct slw_err *err)
{
    SLW_AUTO(slw_arena, arena);
    if (duck.prepare(s->conn, slw_arena_strz(&arena, sql), &p->stmt) !=
        DuckDBSuccess)
        return fail_said(p->stmt ? duck.prepare_error(p->stmt) : NULL,
                         DUCKDB_ERROR_INVALID, err);
    if (duck.nparams(p->stmt) > 0)
        return slw_fail(err, SLW_INVALID,
                        "the query has parameters (? or $1); write values "
                        "instead");
    return SLW_OK;
}

static enum slw_rc
session_query(void *handle, struct slw_str sql, size_t row_max,
              struct slw_arena *a, struct slw_scan_result *out,
              struct slw_err *err)
{
    struct session *s = handle;
    SLW_AUTO(slw_arena, scratch);
    SLW_AUTO(prepared, plain);
    SLW_AUTO(prepared, as_text);
    TRY(prepare(s, sql, &plain, err));
    struct slw_str wrapped = {0};
    if (duck.prepared_statement_type(plain.stmt) ==
        DUCKDB_STATEMENT_TYPE_SELECT)
        wrap(&plain, sql, &scratch, &wrapped);
    if (wrapped.len > 0)
        TRY(prepare(s, wrapped, &as_text, err));
    SLW_AUTO(result, r);
    r.used = true;
    if (duck.execute_prepared(as_text.stmt ? as_text.stmt : plain.stmt, &r.r) !=
        DuckDBSuccess)
        return fail_said(duck.result_error(&r.r), duck.result_error_type(&r.r),
                         err);
    return result_convert(&r, row_max, a, out, err);
}

/* ---- the engine ---- */

static const struct slw_duckdb_ops OPS = {
    .open = session_open,
    .close = session_close,
    .exec = session_exec,
    .query = session_query,
};

static enum slw_rc
symbols_load(void *library, struct slw_err *err)
{
    const struct {
        const char *name;
        size_t at;
    } symbols[] = {
#define X(name) {"duckdb_" #name, offsetof(__typeof__(duck), name)},
        FUNCTIONS(X)
#undef X
    };
    for (size_t i = 0; i < SLW_ARRAY_LEN(symbols); i++) {
        void *symbol = dlsym(library, symbols[i].name);
        if (!symbol)
            return slw_fail(err, SLW_NOT_FOUND,
                            "libduckdb.so has no function %s: it is too old",
                            symbols[i].name);
        memcpy((char *)&duck + symbols[i].at, &symbol, sizeof(symbol));
    }
    return SLW_OK;
}

static enum slw_rc
engine_open(const char *library_dir, const void **out_ops, char out_version[64],
            struct slw_err *err)
{
    char path[PATH_MAX] = "libduckdb.so";
    if (library_dir && library_dir[0])
        (void)snprintf(path, sizeof(path), "%.3000s/duckdb/libduckdb.so",
                       library_dir);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library)
        return slw_fail(err, SLW_NOT_FOUND, "cannot open DuckDB: %s",
                        dlerror());
    TRY(symbols_load(library, err));
    (void)snprintf(out_version, 64, "%s", duck.library_version());
    *out_ops = &OPS;
    return SLW_OK;
}

__attribute__((
    visibility("default"))) extern const struct slw_engine_head slw_engine;
const struct slw_engine_head slw_engine = {
    .abi = SLW_ENGINE_ABI,
    .name = "duckdb",
    .remedy = "run 'make setup' to fetch it",
    .open = engine_open,
};
