/* scan.c -- the engine "duckdb" behind plain functions, and the quoting of
 * SQL that is built at run time. */
#include "store/scan.h"

#include <stdarg.h>

#include "base/buf.h"
#include "base/engine.h"

#define MEMORY_SIZE_DEFAULT ((size_t)1 << 30)

enum slw_rc
slw_scan_open(struct slw_scan *sc, int threads, size_t memory_size,
              const char *tmp_dir, struct slw_err *err)
{
    SLW_ASSERT(threads >= 1);
    const void *ops = NULL;
    TRY(slw_engine_get("duckdb", &ops, err));
    struct slw_scan opened = {.ops = ops};
    TRY(opened.ops->open(&opened.handle, threads,
                         memory_size ? memory_size : MEMORY_SIZE_DEFAULT,
                         tmp_dir, err));
    *sc = opened;
    return SLW_OK;
}

void
slw_scan_done(struct slw_scan *sc)
{
    if (sc->handle)
        sc->ops->close(sc->handle);
    *sc = (struct slw_scan){0};
}

enum slw_rc
slw_scan_exec(struct slw_scan *sc, struct slw_err *err, const char *fmt, ...)
{
    SLW_ASSERT(sc->handle);
    SLW_AUTO(slw_buf, sql);
    va_list args;
    va_start(args, fmt);
    slw_buf_vprintf(&sql, fmt, args);
    va_end(args);
    TRY(slw_buf_check(&sql, err));
    return sc->ops->exec(sc->handle, slw_buf_view(&sql), err);
}

enum slw_rc
slw_scan_query(struct slw_scan *sc, size_t row_max, struct slw_arena *a,
               struct slw_scan_result *out, struct slw_str sql,
               struct slw_err *err)
{
    SLW_ASSERT(sc->handle);
    return sc->ops->query(sc->handle, sql, row_max, a, out, err);
}

const struct slw_scan_col *
slw_scan_col(const struct slw_scan_result *r, const char *name)
{
    for (size_t i = 0; i < r->col_count; i++)
        if (slw_str_eqz(r->cols[i].name, name))
            return &r->cols[i];
    return NULL;
}

static struct slw_str
quoted(struct slw_arena *a, struct slw_str text, char quote)
{
    char *out = slw_arena_alloc(a, 2 * text.len + 3);
    size_t len = 0;
    out[len++] = quote;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == quote)
            out[len++] = quote;
        out[len++] = text.ptr[i];
    }
    out[len++] = quote;
    return (struct slw_str){out, len};
}

struct slw_str
slw_sql_literal(struct slw_arena *a, struct slw_str text)
{
    return quoted(a, text, '\'');
}

struct slw_str
slw_sql_name(struct slw_arena *a, struct slw_str name)
{
    return quoted(a, name, '"');
}
