/* world.c -- the database in which users' SQL runs: the pinned versions, cut
 * to what was known by as_of, and nothing else.
 *
 * Rows that were not known are never loaded, so no view, window or target can
 * see them: leaks are impossible by construction, not by care. */
#include "features/features_internal.h"

#include "base/file.h"
#include "data/data.h"

void
features_world_done(struct features_world *w)
{
    slw_scan_done(&w->sc);
}

struct slw_str
features_ms_sql(struct slw_arena *a, struct slw_str column)
{
    const struct slw_str name = slw_sql_name(a, column);
    return slw_arena_printf(a, "epoch_ms(CAST(%.*s AS TIMESTAMP))",
                            SLW_FMT(name));
}

enum slw_rc
features_query_i64(struct features_world *w, struct slw_str sql, int64_t *out,
                   struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_scan_result r;
    TRY(slw_scan_query(&w->sc, 1, &a, &r, sql, err));
    SLW_ASSERT(r.row_count == 1);
    SLW_ASSERT(r.cols[0].type == SLW_COL_I64);
    *out = r.cols[0].i64[0];
    return SLW_OK;
}

const struct features_source *
features_source_find(const struct features_world *w, struct slw_str name)
{
    for (size_t i = 0; i < w->source_count; i++)
        if (slw_str_same(w->sources[i].name, name))
            return &w->sources[i];
    return NULL;
}

enum slw_rc
features_column_of(struct features_world *w, struct slw_str table,
                   struct slw_str column, struct slw_str *out,
                   struct slw_err *err)
{
    const struct slw_str name = slw_sql_name(w->a, table);
    struct slw_scan_result r;
    TRY(slw_scan_query(&w->sc, FEATURES_COLUMNS_MAX, w->a, &r,
                       slw_arena_printf(w->a,
                                        "DESCRIBE SELECT * FROM slw_full.%.*s",
                                        SLW_FMT(name)),
                       err));
    *out = SLW_STR("");
    for (size_t i = 0; i < r.row_count; i++)
        if (slw_str_same(r.cols[0].str[i], column))
            *out = r.cols[0].str[i];
    return SLW_OK;
}

/* What the version's own definition says of its columns. */
static enum slw_rc
source_read(struct features_world *w, struct slw_str name, int64_t version,
            struct features_source *out, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, w->store, err));
    struct slw_dataset d;
    TRY(slw_data_get(
        &tx,
        slw_arena_printf(w->a, "%.*s@%lld", SLW_FMT(name), (long long)version),
        w->a, &d, err));
    SLW_AUTO(slw_json, doc);
    TRY(slw_json_parse(&doc, d.source_def, err));
    struct slw_str known = SLW_STR("");
    out->entity = SLW_STR("");
    TRY(slw_json_need_str(doc.root, "event_time", &out->event_time, err));
    TRY(slw_json_opt_str(doc.root, "entity", &out->entity, err));
    TRY(slw_json_opt_str(doc.root, "known_time", &known, err));
    TRY(slw_json_opt_i64(doc.root, "known_after_ms", &out->known_after_ms,
                         err));
    out->name = d.name;
    out->has_known_time = known.len > 0;
    out->entity = slw_arena_str(w->a, out->entity);
    out->event_time = slw_arena_str(w->a, out->event_time);
    return SLW_OK;
}

static bool
is_used(struct slw_str name, const struct slw_str *sqls, size_t sql_count)
{
    for (size_t i = 0; i < sql_count; i++)
        if (slw_sql_names(sqls[i], name))
            return true;
    return false;
}

static enum slw_rc
source_load(struct features_world *w, struct slw_str name, struct slw_err *err)
{
    const struct slw_str q = slw_sql_name(w->a, name);
    return slw_scan_exec(&w->sc, err,
                         "CREATE TABLE slw_full.%.*s AS SELECT * FROM"
                         " main.%.*s WHERE known_time_ms <= %lld",
                         SLW_FMT(q), SLW_FMT(q), (long long)w->as_of_ms);
}

static enum slw_rc
sources_load(struct features_world *w, const struct json_t *pins,
             const struct slw_str *sqls, size_t sql_count, struct slw_err *err)
{
    w->sources =
        SLW_ARENA_NEW(w->a, struct features_source, slw_json_len(pins) + 1);
    for (void *it = slw_json_iter(pins); it; it = slw_json_next(pins, it)) {
        const struct slw_str name = slw_json_iter_key(it);
        if (is_used(name, sqls, sql_count)) {
            TRY(source_read(w, name,
                            slw_json_i64_or(slw_json_iter_value(it), 0),
                            &w->sources[w->source_count], err));
            TRY(source_load(w, name, err));
            w->source_count++;
        }
        /* What was not cut to as_of must not be found under any name. */
        const struct slw_str q = slw_sql_name(w->a, name);
        TRY(slw_scan_exec(&w->sc, err, "DROP VIEW main.%.*s", SLW_FMT(q)));
    }
    return SLW_OK;
}

enum slw_rc
features_world_open(struct features_world *w, struct slw_store *s,
                    const struct json_t *pins, const struct slw_str *sqls,
                    size_t sql_count, int64_t as_of_ms, struct slw_arena *a,
                    struct slw_err *err)
{
    SLW_ASSERT(!w->sc.handle);
    w->store = s;
    w->a = a;
    w->as_of_ms = as_of_ms;
    TRY(slw_scan_open(&w->sc, 1, 0, slw_path(a, slw_store_dir(s), "tmp"), err));
    TRY(slw_data_attach(&w->sc, s, pins, a, err));
    TRY(slw_scan_exec(&w->sc, err,
                      "CREATE SCHEMA slw_full; CREATE SCHEMA slw_cut;"
                      "CREATE SCHEMA slw_out"));
    return sources_load(w, pins, sqls, sql_count, err);
}

enum slw_rc
features_world_lock(struct features_world *w, const char *out_dir,
                    struct slw_err *err)
{
    if (out_dir) {
        const struct slw_str dir = slw_sql_literal(w->a, slw_str_of(out_dir));
        TRY(slw_scan_exec(&w->sc, err, "SET allowed_directories = [%.*s]",
                          SLW_FMT(dir)));
    }
    return slw_scan_exec(&w->sc, err,
                         "SET enable_external_access = false;"
                         "SET schema = 'slw_full'");
}
