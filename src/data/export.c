/* export.c -- a dataset version as a file for a download. */
#include "data/data_internal.h"

#include "base/file.h"
#include "store/blob.h"

static enum slw_rc
csv_write(struct slw_store *s, const char *hash, struct slw_str to,
          struct slw_arena *a, struct slw_err *err)
{
    const char *path = NULL;
    TRY(slw_blob_cached(s, hash, ".parquet", a, &path, err));
    SLW_AUTO(slw_scan, sc);
    TRY(slw_scan_open(&sc, 1, 0, slw_path(a, slw_store_dir(s), "tmp"), err));
    const struct slw_str from = data_parquet_sql(a, path);
    const struct slw_str lit = slw_sql_literal(a, to);
    return slw_scan_exec(&sc, err,
                         "COPY (SELECT * FROM %.*s) TO %.*s (FORMAT csv,"
                         " HEADER)",
                         SLW_FMT(from), SLW_FMT(lit));
}

enum slw_rc
slw_data_export_task(struct slw_store *s, void *app, const struct json_t *spec,
                     struct slw_arena *a, struct slw_jw *out,
                     struct slw_err *err)
{
    struct slw_str ref;
    struct slw_str path;
    struct slw_str format = SLW_STR("parquet");
    bool quarantine = false;
    TRY(slw_json_need_str(spec, "ref", &ref, err));
    TRY(slw_json_need_str(spec, "path", &path, err));
    TRY(slw_json_opt_str(spec, "format", &format, err));
    TRY(slw_json_opt_bool(spec, "quarantine", &quarantine, err));
    struct slw_dataset d;
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, s, err));
        TRY(slw_data_get(&tx, ref, a, &d, err));
    }
    if (quarantine && d.quarantined_count == 0)
        return slw_fail(err, SLW_NOT_FOUND,
                        "no row of %.*s version %lld is quarantined",
                        SLW_FMT(d.name), (long long)d.version);
    const char *hash =
        slw_arena_strz(a, quarantine ? d.quarantine_hash : d.hash);
    const char *to = slw_arena_strz(a, path);
    if (slw_str_eqz(format, "parquet"))
        TRY(slw_blob_get_file(s, hash, to, err));
    else if (slw_str_eqz(format, "csv"))
        TRY(csv_write(s, hash, path, a, err));
    else
        return slw_fail(err, SLW_INVALID,
                        "format is '%.*s'; it can be csv or parquet",
                        SLW_FMT(format));
    int64_t size = 0;
    TRY(slw_file_size(to, &size, err));
    slw_jw_obj(out);
    slw_jw_kstr(out, "path", path);
    slw_jw_kstr(out, "name", d.name);
    slw_jw_ki64(out, "version", d.version);
    slw_jw_ki64(out, "rows", quarantine ? d.quarantined_count : d.row_count);
    slw_jw_ki64(out, "size", size);
    slw_jw_obj_end(out);
    return SLW_OK;
}
