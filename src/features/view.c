/* view.c -- view definitions in the store. */
#include "features/features_internal.h"

#include "store/event.h"

#define COLUMNS                                                                \
    "name, def, hash, version, updated_at_ms, materialized_at_ms,"             \
    " online_count, pins, columns"

static const char SQL_GET[] =
    "SELECT " COLUMNS " FROM features_view WHERE name = ?1";
static const char SQL_LIST[] =
    "SELECT " COLUMNS " FROM features_view ORDER BY name LIMIT ?1";
static const char SQL_PUT[] =
    "INSERT INTO features_view(name, def, hash, version, updated_at_ms,"
    " materialized_at_ms, pins, columns, online_count, online_hash,"
    " online_ttl_ms, online_columns)"
    " VALUES(?1, ?2, ?3, 1, ?4, 0, '{}', '[]', 0, '', 0, '')"
    " ON CONFLICT(name) DO UPDATE SET def = excluded.def,"
    "  hash = excluded.hash, version = features_view.version + 1,"
    "  updated_at_ms = excluded.updated_at_ms, columns = '[]'";
static const char SQL_MATERIALIZED[] =
    "UPDATE features_view SET materialized_at_ms = ?2, pins = ?3,"
    " columns = ?4, online_count = ?5, online_hash = ?6, online_ttl_ms = ?7,"
    " online_columns = ?8 WHERE name = ?1";

#define VIEW_LIST_MAX 10000

static void
view_take(struct slw_stmt *st, struct slw_arena *a, struct slw_view *out)
{
    *out = (struct slw_view){
        .name = slw_col_dup(st, 0, a),
        .def = slw_col_dup(st, 1, a),
        .hash = slw_col_dup(st, 2, a),
        .version = slw_col_i64(st, 3),
        .updated_at_ms = slw_col_i64(st, 4),
        .materialized_at_ms = slw_col_i64(st, 5),
        .online_count = slw_col_i64(st, 6),
        .pins = slw_col_dup(st, 7, a),
        .columns = slw_col_dup(st, 8, a),
    };
}

enum slw_rc
slw_features_view_list(struct slw_tx *tx, struct slw_arena *a,
                       struct slw_view **out, size_t *out_count,
                       struct slw_err *err)
{
    struct slw_view *list = SLW_ARENA_NEW(a, struct slw_view, VIEW_LIST_MAX);
    size_t count = 0;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_LIST, err));
    slw_stmt_i64(&st, 1, VIEW_LIST_MAX);
    for (bool row = true; count < VIEW_LIST_MAX; count++) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        view_take(&st, a, &list[count]);
    }
    *out = list;
    *out_count = count;
    return SLW_OK;
}

static enum slw_rc
absent_fail(struct slw_tx *tx, struct slw_str name, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_LIST, err));
    slw_stmt_i64(&st, 1, 12);
    SLW_AUTO(slw_buf, text);
    for (bool row = true;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        slw_buf_printf(&text, "%s%.*s", text.len ? ", " : "",
                       SLW_FMT(slw_col_str(&st, 0)));
    }
    return slw_fail(err, SLW_NOT_FOUND, "no feature view '%.*s'; there %s%.*s",
                    SLW_FMT(name), text.len ? "are: " : "is none yet",
                    SLW_FMT(slw_buf_view(&text)));
}

enum slw_rc
slw_features_view_get(struct slw_tx *tx, struct slw_str name,
                      struct slw_arena *a, struct slw_view *out,
                      struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_GET, err));
    slw_stmt_str(&st, 1, name);
    bool row = false;
    TRY(slw_stmt_step(&st, &row, err));
    if (!row)
        return absent_fail(tx, name, err);
    view_take(&st, a, out);
    return SLW_OK;
}

enum slw_rc
slw_features_view_put(struct slw_tx *tx, int64_t now_ms, struct slw_str name,
                      struct slw_str def_json, struct slw_err *err)
{
    SLW_ASSERT(tx->write);
    TRY(slw_name_check(name, "view", err));
    SLW_AUTO(slw_arena, a);
    struct features_def def;
    TRY(features_def_parse(name, def_json, &a, &def, err));
    SLW_AUTO(slw_stmt, get);
    TRY(slw_stmt_prepare(&get, tx, SQL_GET, err));
    slw_stmt_str(&get, 1, name);
    bool row = false;
    TRY(slw_stmt_step(&get, &row, err));
    if (row && slw_str_eqz(slw_col_str(&get, 2), def.hash))
        return SLW_OK;
    slw_stmt_reset(&get);
    SLW_AUTO(slw_stmt, put);
    TRY(slw_stmt_prepare(&put, tx, SQL_PUT, err));
    slw_stmt_str(&put, 1, name);
    slw_stmt_str(&put, 2, def.json);
    slw_stmt_str(&put, 3, slw_str_of(def.hash));
    slw_stmt_i64(&put, 4, now_ms);
    TRY(slw_stmt_run(&put, err));
    SLW_AUTO(slw_buf, payload);
    struct slw_jw w;
    slw_jw_init(&w, &payload);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "name", name);
    slw_jw_kz(&w, "hash", def.hash);
    slw_jw_kraw(&w, "def", def.json);
    slw_jw_obj_end(&w);
    return slw_event_emit(tx, now_ms, "features.view_put", name,
                          slw_buf_view(&payload), err);
}

void
slw_features_view_write(struct slw_jw *w, const struct slw_view *v)
{
    slw_jw_obj(w);
    slw_jw_kstr(w, "name", v->name);
    slw_jw_ki64(w, "version", v->version);
    slw_jw_kstr(w, "hash", v->hash);
    slw_jw_ki64(w, "updated_at_ms", v->updated_at_ms);
    if (v->materialized_at_ms)
        slw_jw_ki64(w, "materialized_at_ms", v->materialized_at_ms);
    else
        slw_jw_kraw(w, "materialized_at_ms", SLW_STR("null"));
    slw_jw_ki64(w, "online_count", v->online_count);
    slw_jw_kraw(w, "pins", v->pins.len ? v->pins : SLW_STR("{}"));
    slw_jw_kraw(w, "columns", v->columns.len ? v->columns : SLW_STR("[]"));
    slw_jw_kraw(w, "definition", v->def);
    slw_jw_obj_end(w);
}

/* ---- after a materialisation ---- */

static void
columns_json(struct slw_buf *b, const struct features_table *t)
{
    struct slw_jw w;
    slw_jw_init(&w, b);
    slw_jw_arr(&w);
    for (size_t i = 0; i < t->count; i++) {
        slw_jw_obj(&w);
        slw_jw_kstr(&w, "name", t->names[i]);
        slw_jw_kstr(&w, "type", t->types[i]);
        slw_jw_obj_end(&w);
    }
    slw_jw_arr_end(&w);
}

enum slw_rc
features_view_materialized(struct slw_tx *tx, const struct features_table *t,
                           int64_t now_ms, struct slw_str pins,
                           int64_t online_count, struct slw_err *err)
{
    SLW_AUTO(slw_buf, columns);
    columns_json(&columns, t);
    SLW_AUTO(slw_buf, names);
    for (size_t i = 0; i < t->count; i++)
        slw_buf_printf(&names, "%s%.*s", i ? "\n" : "", SLW_FMT(t->names[i]));
    SLW_AUTO(slw_stmt, set);
    TRY(slw_stmt_prepare(&set, tx, SQL_MATERIALIZED, err));
    slw_stmt_str(&set, 1, t->def.name);
    slw_stmt_i64(&set, 2, now_ms);
    slw_stmt_str(&set, 3, pins);
    slw_stmt_str(&set, 4, slw_buf_view(&columns));
    slw_stmt_i64(&set, 5, online_count);
    slw_stmt_str(&set, 6, slw_str_of(t->def.hash));
    slw_stmt_i64(&set, 7, t->def.ttl_ms);
    slw_stmt_str(&set, 8, slw_buf_view(&names));
    return slw_stmt_run(&set, err);
}
