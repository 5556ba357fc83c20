/* verify.c -- views and their online rows. */
#include "features/features_internal.h"

#define ROOM "features"
#define FIX                                                                    \
    "materialize again (slipway features materialize), or restore a backup"

static const char SQL_VIEWS[] = "SELECT name, def, hash FROM features_view";
static const char SQL_ONLINE[] = "SELECT count(*) FROM features_online";
static const char SQL_COUNTS[] =
    "SELECT 0, v.name || ': ' || v.online_count || ' entities by its row, '"
    " || (SELECT count(*) FROM features_online o WHERE o.view = v.name)"
    " || ' are online' FROM features_view v WHERE v.online_count <>"
    " (SELECT count(*) FROM features_online o WHERE o.view = v.name)";
static const char SQL_PACKED[] =
    "SELECT 0, o.view || ': ' || count(*) || ' entities'"
    " FROM features_online o JOIN features_view v ON v.name = o.view"
    " WHERE length(o.packed) <> 8 * (CASE WHEN v.online_columns = '' THEN 0"
    "  ELSE 1 + length(v.online_columns)"
    "   - length(replace(v.online_columns, char(10), '')) END)"
    " GROUP BY o.view";
static const char SQL_ORPHANS[] =
    "SELECT 0, view || ': ' || count(*) || ' entities' FROM features_online"
    " WHERE view NOT IN (SELECT name FROM features_view) GROUP BY view";

enum slw_rc
slw_features_verify(struct slw_verify *v, struct slw_err *err)
{
    int64_t views = 0, online = 0;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &v->tx, SQL_VIEWS, err));
    for (;; views++) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        if (!slw_verify_hash_ok(slw_col_str(&st, 2), slw_col_str(&st, 1)))
            slw_verify_fault(v, ROOM, "declare it again (slipway apply)",
                             "the definition of view %.*s is not the one its "
                             "hash names",
                             SLW_FMT(slw_col_str(&st, 0)));
    }
    TRY(slw_verify_number(v, SQL_ONLINE, &online, err));
    slw_verify_counted(v, "feature views", views);
    slw_verify_counted(v, "online entities", online);
    TRY(slw_verify_none(v, ROOM, SQL_COUNTS, "view", FIX, err));
    TRY(slw_verify_none(v, ROOM, SQL_PACKED,
                        "rows of another width are online in view", FIX, err));
    return slw_verify_none(v, ROOM, SQL_ORPHANS,
                           "rows of no view are online:", FIX, err);
}
