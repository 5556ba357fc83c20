/* materialize.c -- the job that brings the newest row of each entity online.
 *
 * Computing happens first, outside any transaction; then all views change in
 * one, together with the end of the job: serving sees all of it or nothing.
 * Rows that come from another definition of the view are thrown away first,
 * since their columns may mean something else. */
#include "features/features_internal.h"

#include <math.h>

#include "data/data.h"
#include "base/log.h"
#include "store/event.h"

static const char SQL_ONLINE_PUT[] =
    "INSERT INTO features_online(view, entity, event_ms, packed)"
    " VALUES(?1, ?2, ?3, ?4) ON CONFLICT(view, entity) DO UPDATE SET"
    "  event_ms = excluded.event_ms, packed = excluded.packed"
    " WHERE excluded.event_ms >= features_online.event_ms";
static const char SQL_ONLINE_CLEAR[] =
    "DELETE FROM features_online WHERE view = ?1 AND NOT EXISTS (SELECT 1 FROM"
    " features_view WHERE name = ?1 AND online_hash = ?2)";
static const char SQL_ONLINE_COUNT[] =
    "SELECT count(*), coalesce(max(event_ms), 0) FROM features_online"
    " WHERE view = ?1";

#define ENTITIES_MAX ((size_t)5000000)

struct online_set {
    struct features_table table;
    struct slw_scan_result rows; /* entity, event, features */
    struct slw_str pins;
    struct slw_str error; /* not "": the view was left as it is */
};

static enum slw_rc
views_wanted(struct slw_job_ctx *ctx, struct features_def **out,
             size_t *out_count, struct slw_err *err)
{
    struct slw_arena *a = ctx->arena;
    const struct json_t *names = slw_json_get(ctx->spec, "views");
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, ctx->store, err));
    size_t count = 0;
    struct slw_view *views = NULL;
    if (slw_json_type(names) == SLW_JSON_ARRAY) {
        count = slw_json_len(names);
        views = SLW_ARENA_NEW(a, struct slw_view, count + 1);
        for (size_t i = 0; i < count; i++)
            TRY(slw_features_view_get(
                &tx, slw_json_str_or(slw_json_at(names, i), SLW_STR("")), a,
                &views[i], err));
    } else {
        TRY(slw_features_view_list(&tx, a, &views, &count, err));
    }
    if (count > FEATURES_VIEWS_MAX)
        return slw_fail(err, SLW_LIMIT, "more than %d views",
                        FEATURES_VIEWS_MAX);
    *out = SLW_ARENA_NEW(a, struct features_def, count + 1);
    for (size_t i = 0; i < count; i++)
        TRY(features_def_parse(views[i].name, views[i].def, a, &(*out)[i],
                               err));
    *out_count = count;
    return SLW_OK;
}

/* The pins of the sources that one view names. */
static struct slw_str
pins_of(const struct features_def *d, const struct json_t *pins,
        struct slw_arena *a)
{
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    for (void *it = slw_json_iter(pins); it; it = slw_json_next(pins, it)) {
        if (!slw_sql_names(d->sql, slw_json_iter_key(it)))
            continue;
        slw_jw_keys(&w, slw_json_iter_key(it));
        slw_jw_node(&w, slw_json_iter_value(it));
    }
    slw_jw_obj_end(&w);
    return slw_arena_str(a, slw_buf_view(&text));
}

static enum slw_rc
newest_rows(struct features_world *w, const struct features_def *d, size_t i,
            struct online_set *out, struct slw_err *err)
{
    TRY(features_table_build(w, d, i, &out->table, err));
    SLW_AUTO(slw_buf, sql);
    slw_buf_z(&sql, "SELECT slw_entity, slw_event");
    for (size_t c = 0; c < out->table.count; c++)
        slw_buf_printf(&sql, ", %.*s",
                       SLW_FMT(slw_sql_name(w->a, out->table.names[c])));
    slw_buf_printf(&sql,
                   " FROM %.*s WHERE slw_known <= %lld QUALIFY row_number()"
                   " OVER (PARTITION BY slw_entity ORDER BY slw_event DESC) = 1"
                   " ORDER BY slw_entity",
                   SLW_FMT(out->table.table), (long long)w->as_of_ms);
    return slw_scan_query(&w->sc, ENTITIES_MAX, w->a, &out->rows,
                          slw_buf_view(&sql), err);
}

static enum slw_rc
online_put(struct slw_tx *tx, const struct online_set *set, struct slw_err *err)
{
    const struct slw_str view = set->table.def.name;
    SLW_AUTO(slw_stmt, clear);
    TRY(slw_stmt_prepare(&clear, tx, SQL_ONLINE_CLEAR, err));
    slw_stmt_str(&clear, 1, view);
    slw_stmt_str(&clear, 2, slw_str_of(set->table.def.hash));
    TRY(slw_stmt_run(&clear, err));
    SLW_AUTO(slw_arena, a);
    double *packed = SLW_ARENA_NEW(&a, double, set->table.count + 1);
    SLW_AUTO(slw_stmt, put);
    TRY(slw_stmt_prepare(&put, tx, SQL_ONLINE_PUT, err));
    for (size_t i = 0; i < set->rows.row_count; i++) {
        for (size_t c = 0; c < set->table.count; c++)
            packed[c] = set->rows.cols[c + 2].f64[i];
        slw_stmt_str(&put, 1, view);
        slw_stmt_str(&put, 2, set->rows.cols[0].str[i]);
        slw_stmt_i64(&put, 3, set->rows.cols[1].i64[i]);
        slw_stmt_blob(&put, 4, packed, set->table.count * sizeof *packed);
        TRY(slw_stmt_run(&put, err));
    }
    return SLW_OK;
}

static enum slw_rc
view_finish(struct slw_tx *tx, const struct online_set *set, int64_t now_ms,
            struct slw_jw *w, struct slw_err *err)
{
    const struct slw_str view = set->table.def.name;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_ONLINE_COUNT, err));
    slw_stmt_str(&st, 1, view);
    bool row = false;
    TRY(slw_stmt_step(&st, &row, err));
    SLW_ASSERT(row);
    const int64_t count = slw_col_i64(&st, 0);
    const int64_t event_max_ms = slw_col_i64(&st, 1);
    slw_stmt_reset(&st);
    TRY(features_view_materialized(tx, &set->table, now_ms, set->pins, count,
                                   err));
    slw_jw_obj(w);
    slw_jw_kstr(w, "name", view);
    slw_jw_ki64(w, "entities", count);
    slw_jw_ki64(w, "event_max_ms", event_max_ms);
    slw_jw_obj_end(w);
    return SLW_OK;
}

enum slw_rc
slw_features_materialized_put(struct slw_tx *tx, int64_t now_ms,
                              const struct slw_materialized *m,
                              struct slw_jw *w, struct slw_err *err)
{
    const struct online_set *sets = m->sets;
    SLW_AUTO(slw_buf, list);
    struct slw_jw own;
    slw_jw_init(&own, &list);
    slw_jw_arr(&own);
    for (size_t i = 0; i < m->count; i++) {
        if (sets[i].error.len) {
            slw_jw_obj(&own);
            slw_jw_kstr(&own, "name", sets[i].table.def.name);
            slw_jw_kstr(&own, "error", sets[i].error);
            slw_jw_obj_end(&own);
            continue;
        }
        TRY(online_put(tx, &sets[i], err));
        TRY(view_finish(tx, &sets[i], now_ms, &own, err));
    }
    slw_jw_arr_end(&own);
    SLW_AUTO(slw_buf, payload);
    slw_buf_printf(&payload, "{\"views\":%.*s}", SLW_FMT(slw_buf_view(&list)));
    TRY(slw_event_emit(tx, now_ms, "features.materialized", SLW_STR("features"),
                       slw_buf_view(&payload), err));
    slw_jw_raw(w, slw_buf_view(&list));
    return SLW_OK;
}

static enum slw_rc
commit(struct slw_job_ctx *ctx, const struct slw_materialized *m,
       struct slw_err *err)
{
    SLW_AUTO(slw_buf, result);
    struct slw_jw w;
    slw_jw_init(&w, &result);
    slw_jw_obj(&w);
    slw_jw_key(&w, "views");
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, ctx->store, err));
    TRY(slw_features_materialized_put(&tx, ctx->now_ms, m, &w, err));
    slw_jw_obj_end(&w);
    TRY(slw_job_finish(ctx, &tx, slw_buf_view(&result), err));
    return slw_tx_commit(&tx, err);
}

/* Versions as they were known at at_ms, as a parsed document. */
static enum slw_rc
pins_get(struct slw_store *s, int64_t at_ms, struct slw_json *out,
         struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, s, err));
    SLW_AUTO(slw_buf, versions);
    SLW_AUTO(slw_buf, hashes);
    struct slw_jw v;
    struct slw_jw h;
    slw_jw_init(&v, &versions);
    slw_jw_init(&h, &hashes);
    TRY(slw_data_pins(&tx, at_ms, &v, &h, err));
    return slw_json_parse(out, slw_buf_view(&versions), err);
}

/* One view; of a broken one its name and what is wrong. */
static enum slw_rc
view_compute(struct features_world *w, const struct features_def *d, size_t i,
             bool skip_broken, struct online_set *out, struct slw_err *err)
{
    const enum slw_rc rc = newest_rows(w, d, i, out, err);
    if (rc == SLW_OK || !skip_broken || rc != SLW_INVALID)
        return rc;
    slw_log(SLW_LOG_WARN, "features.broken", "view=%.*s error=%s",
            SLW_FMT(d->name), err->msg);
    *out = (struct online_set){
        .table.def = *d, .error = slw_arena_str(w->a, slw_str_of(err->msg))};
    return SLW_OK;
}

enum slw_rc
slw_features_materialize(struct slw_job_ctx *ctx, int64_t at_ms,
                         bool skip_broken, struct slw_materialized *out,
                         struct slw_err *err)
{
    struct slw_arena *a = ctx->arena;
    struct features_def *defs = NULL;
    size_t count = 0;
    TRY(views_wanted(ctx, &defs, &count, err));
    SLW_AUTO(slw_json, pins);
    TRY(pins_get(ctx->store, at_ms, &pins, err));
    struct slw_str *sqls = SLW_ARENA_NEW(a, struct slw_str, count + 1);
    for (size_t i = 0; i < count; i++)
        sqls[i] = defs[i].sql;
    SLW_AUTO(features_world, w);
    TRY(features_world_open(&w, ctx->store, pins.root, sqls, count, at_ms, a,
                            err));
    TRY(features_world_lock(&w, NULL, err));
    struct online_set *sets = SLW_ARENA_NEW(a, struct online_set, count + 1);
    for (size_t i = 0; i < count; i++) {
        slw_job_progress(ctx, 0.5 * (double)i / (double)count, "computing %.*s",
                         SLW_FMT(defs[i].name));
        TRY(view_compute(&w, &defs[i], i, skip_broken, &sets[i], err));
        sets[i].pins = pins_of(&defs[i], pins.root, a);
    }
    *out = (struct slw_materialized){.sets = sets, .count = count};
    return SLW_OK;
}

enum slw_rc
slw_features_materialize_job(struct slw_job_ctx *ctx, struct slw_err *err)
{
    int64_t at_ms = ctx->now_ms;
    struct slw_materialized m;
    TRY(slw_json_opt_i64(ctx->spec, "at_ms", &at_ms, err));
    TRY(slw_features_materialize(ctx, at_ms, false, &m, err));
    return commit(ctx, &m, err);
}
