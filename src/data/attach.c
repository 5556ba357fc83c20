/* attach.c -- dataset versions as views of a DuckDB database, and the pins
 * that say which versions those are. */
#include "data/data_internal.h"

#include "base/buf.h"
#include "store/blob.h"

static enum slw_rc
dataset_of_pin(struct slw_store *s, struct slw_str name, int64_t version,
               struct slw_arena *a, struct slw_dataset *out,
               struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, s, err));
    const struct slw_str ref =
        slw_arena_printf(a, "%.*s@%lld", SLW_FMT(name), (long long)version);
    return slw_data_get(&tx, ref, a, out, err);
}

static enum slw_rc
dataset_attach(struct slw_scan *sc, struct slw_store *s,
               const struct slw_dataset *d, struct slw_arena *a,
               struct slw_err *err)
{
    struct data_def def;
    TRY(data_def_parse(d->name, d->source_def, a, &def, err));
    const char *path = NULL;
    TRY(slw_blob_cached(s, slw_arena_strz(a, d->hash), ".parquet", a, &path,
                        err));
    const struct slw_str name = slw_sql_name(a, d->name);
    const struct slw_str known = data_known_sql(a, &def);
    const struct slw_str from = data_parquet_sql(a, path);
    return slw_scan_exec(sc, err,
                         "CREATE VIEW %.*s AS SELECT *, %.*s AS known_time_ms"
                         " FROM %.*s",
                         SLW_FMT(name), SLW_FMT(known), SLW_FMT(from));
}

enum slw_rc
slw_data_attach(struct slw_scan *sc, struct slw_store *s,
                const struct json_t *pins, struct slw_arena *a,
                struct slw_err *err)
{
    for (void *it = slw_json_iter(pins); it; it = slw_json_next(pins, it)) {
        const struct slw_str name = slw_json_iter_key(it);
        const struct json_t *v = slw_json_iter_value(it);
        if (slw_json_type(v) != SLW_JSON_INT)
            return slw_fail(err, SLW_INVALID,
                            "the pin of '%.*s' must be the number of a version",
                            SLW_FMT(name));
        struct slw_dataset d;
        TRY(dataset_of_pin(s, name, slw_json_i64_or(v, 0), a, &d, err));
        TRY(dataset_attach(sc, s, &d, a, err));
    }
    return SLW_OK;
}

enum slw_rc
slw_data_pins(struct slw_tx *tx, int64_t at_ms, struct slw_jw *out_versions,
              struct slw_jw *out_hashes, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_dataset *list = NULL;
    size_t count = 0;
    TRY(slw_data_list(tx, &a, &list, &count, err));
    slw_jw_obj(out_versions);
    slw_jw_obj(out_hashes);
    for (size_t i = 0; i < count; i++) {
        struct slw_dataset d = list[i];
        if (d.version == 0)
            continue;
        const enum slw_rc rc =
            slw_data_get_at(tx, list[i].name, at_ms, &a, &d, err);
        if (rc == SLW_NOT_FOUND)
            continue;
        TRY(rc);
        slw_jw_keys(out_versions, d.name);
        slw_jw_i64(out_versions, d.version);
        slw_jw_keys(out_hashes, d.name);
        slw_jw_str(out_hashes, d.hash);
    }
    slw_jw_obj_end(out_versions);
    slw_jw_obj_end(out_hashes);
    return SLW_OK;
}
