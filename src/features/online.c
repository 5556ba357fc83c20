/* online.c -- the newest feature row of one entity, for serving.
 *
 * One statement on two primary keys: the view's row brings ttl and names, the
 * online row the packed values. */
#include "features/features_internal.h"

#include <math.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "packed doubles are little-endian");

static const char SQL_GET[] =
    "SELECT v.online_ttl_ms, v.online_columns, o.event_ms, o.packed"
    " FROM features_view v LEFT JOIN features_online o"
    "  ON o.view = v.name AND o.entity = ?2 WHERE v.name = ?1";

static void
names_split(struct slw_str text, struct slw_arena *a,
            struct slw_online_row *out)
{
    size_t count = text.len > 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == '\n';
    out->column_count = count;
    out->columns = SLW_ARENA_NEW(a, struct slw_str, count + 1);
    out->values = SLW_ARENA_NEW(a, double, count + 1);
    struct slw_str rest = slw_arena_str(a, text);
    for (size_t i = 0; i < count; i++) {
        (void)slw_str_cut(rest, '\n', &out->columns[i], &rest);
        out->values[i] = NAN;
    }
}

enum slw_rc
slw_features_online_get(struct slw_tx *tx, struct slw_str view,
                        struct slw_str entity, int64_t now_ms,
                        struct slw_arena *a, struct slw_online_row *out,
                        struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_GET, err));
    slw_stmt_str(&st, 1, view);
    slw_stmt_str(&st, 2, entity);
    bool row = false;
    TRY(slw_stmt_step(&st, &row, err));
    if (!row)
        return slw_fail(err, SLW_NOT_FOUND, "no feature view '%.*s'",
                        SLW_FMT(view));
    struct slw_online_row r = {0};
    names_split(slw_col_str(&st, 1), a, &r);
    const int64_t ttl_ms = slw_col_i64(&st, 0);
    const bool present = !slw_col_null(&st, 2);
    if (present) {
        const struct slw_str packed = slw_col_blob(&st, 3);
        if (packed.len != r.column_count * sizeof(double))
            return slw_fail(err, SLW_CORRUPT,
                            "the online row of '%.*s' in view '%.*s' has %zu"
                            " bytes for %zu features: materialize it again",
                            SLW_FMT(entity), SLW_FMT(view), packed.len,
                            r.column_count);
        r.event_ms = slw_col_i64(&st, 2);
        r.found = ttl_ms == 0 || now_ms - r.event_ms <= ttl_ms;
        if (r.found)
            memcpy(r.values, packed.ptr, packed.len);
    }
    *out = r;
    return SLW_OK;
}
