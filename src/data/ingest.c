/* ingest.c -- the job that turns files into a dataset version.
 *
 * Read, type, unite (load.c); merge with the version before; sort; check
 * (check.c); write the canonical Parquet; store it by hash; and last, in one
 * transaction, add the version, announce it and end the job.  The bytes
 * depend on the rows alone, so the same rows have the same hash, and a commit
 * of what is already there changes nothing. */
#include "data/data_internal.h"

#include "base/buf.h"
#include "base/file.h"
#include "store/blob.h"

struct ingest {
    struct slw_job_ctx *ctx;
    struct slw_arena *a;
    struct slw_scan *sc;
    struct slw_str name;
    int64_t known_at_ms;
    int64_t until_ms;
    bool append;
    struct data_def def;
    struct slw_dataset parent; /* version 0: none */
    struct data_cols parent_cols;
    const char *parent_path;
    struct data_file *files;
    size_t file_count;
    struct data_cols cols;
    const char *data_path;
    const char *bad_path;
    struct slw_dataset made;
};

/* ---- what is asked for ---- */

static enum slw_rc
file_spec_read(struct ingest *in, const struct json_t *o, struct data_file *out,
               struct slw_err *err)
{
    struct slw_str blob = SLW_STR("");
    struct slw_str path = SLW_STR("");
    TRY(slw_json_opt_str(o, "blob", &blob, err));
    TRY(slw_json_opt_str(o, "path", &path, err));
    if ((blob.len == 0) == (path.len == 0))
        return slw_fail(err, SLW_INVALID,
                        "a file is given by \"blob\" or by \"path\"");
    struct slw_str name = slw_path_name(path);
    TRY(slw_json_opt_str(o, "name", &name, err));
    if (blob.len) {
        if (!slw_blob_exists(in->ctx->store, slw_arena_strz(in->a, blob)))
            return slw_fail(err, SLW_NOT_FOUND, "no blob %.*s", SLW_FMT(blob));
        TRY(slw_blob_cached(in->ctx->store, slw_arena_strz(in->a, blob), "",
                            in->a, &out->path, err));
    } else {
        out->path = slw_arena_strz(in->a, path);
        if (!slw_file_exists(out->path))
            return slw_fail(err, SLW_INVALID, "no file %.*s", SLW_FMT(path));
    }
    out->name = slw_arena_str(in->a, name.len ? name : SLW_STR("the upload"));
    return SLW_OK;
}

static enum slw_rc
file_unpack(struct ingest *in, size_t index, struct slw_err *err)
{
    struct data_file *file = &in->files[index];
    if (!data_is_gzip(file->path))
        return SLW_OK;
    slw_job_progress(in->ctx, 0.01, "unpacking %.*s", SLW_FMT(file->name));
    const char *plain = slw_path(in->a, in->ctx->dir, "unpacked-%zu", index);
    if (data_gunzip(file->path, plain, err) != SLW_OK)
        return slw_err_prefix(err, "%.*s: ", SLW_FMT(file->name));
    file->path = plain;
    return SLW_OK;
}

static enum slw_rc
spec_read(struct ingest *in, struct slw_err *err)
{
    const struct json_t *spec = in->ctx->spec;
    TRY(slw_json_need_str(spec, "name", &in->name, err));
    in->known_at_ms = in->ctx->now_ms;
    in->until_ms = INT64_MAX;
    TRY(slw_json_opt_i64(spec, "known_at_ms", &in->known_at_ms, err));
    TRY(slw_json_opt_i64(spec, "until_ms", &in->until_ms, err));
    struct slw_str mode = SLW_STR("replace");
    TRY(slw_json_opt_str(spec, "mode", &mode, err));
    in->append = slw_str_eqz(mode, "append");
    if (!in->append && !slw_str_eqz(mode, "replace"))
        return slw_fail(err, SLW_INVALID,
                        "mode is '%.*s'; it can be replace or append",
                        SLW_FMT(mode));
    const struct json_t *files = slw_json_get(spec, "files");
    in->file_count = slw_json_len(files);
    if (slw_json_type(files) != SLW_JSON_ARRAY || in->file_count == 0)
        return slw_fail(err, SLW_INVALID, "files must list at least one file");
    if (in->file_count > DATA_FILES_MAX)
        return slw_fail(err, SLW_LIMIT, "more than %d files", DATA_FILES_MAX);
    in->files = SLW_ARENA_NEW(in->a, struct data_file, in->file_count);
    for (size_t i = 0; i < in->file_count; i++) {
        TRY(file_spec_read(in, slw_json_at(files, i), &in->files[i], err));
        TRY(file_unpack(in, i, err));
    }
    return SLW_OK;
}

static enum slw_rc
known_at_check(const struct ingest *in, const struct slw_dataset *newest,
               struct slw_err *err)
{
    if (newest->version == 0 || in->known_at_ms >= newest->known_at_ms)
        return SLW_OK;
    char now[SLW_TIME_TEXT_SIZE];
    char then[SLW_TIME_TEXT_SIZE];
    return slw_fail(err, SLW_CONFLICT,
                    "%.*s cannot be learned at %s: version %lld was already"
                    " known at %s, and what is known only grows",
                    SLW_FMT(in->name), slw_time_text(in->known_at_ms, now),
                    (long long)newest->version,
                    slw_time_text(newest->known_at_ms, then));
}

static enum slw_rc
newest_get(struct slw_tx *tx, struct slw_str name, struct slw_arena *a,
           struct slw_dataset *out, struct slw_err *err)
{
    const enum slw_rc rc = slw_data_get_at(tx, name, INT64_MAX, a, out, err);
    if (rc == SLW_NOT_FOUND)
        *out = (struct slw_dataset){.name = name};
    return rc == SLW_NOT_FOUND ? SLW_OK : rc;
}

static enum slw_rc
store_read(struct ingest *in, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, in->ctx->store, err));
    struct slw_str def;
    TRY(slw_data_source_get(&tx, in->name, in->a, &def, err));
    TRY(data_def_parse(in->name, def, in->a, &in->def, err));
    TRY(newest_get(&tx, in->name, in->a, &in->parent, err));
    return known_at_check(in, &in->parent, err);
}

/* ---- rows ---- */

static enum slw_rc
parent_read(struct ingest *in, struct slw_err *err)
{
    if (!in->append || in->parent.version == 0)
        return SLW_OK;
    TRY(slw_blob_cached(in->ctx->store, slw_arena_strz(in->a, in->parent.hash),
                        ".parquet", in->a, &in->parent_path, err));
    return data_describe(in->sc, data_parquet_sql(in->a, in->parent_path),
                         in->a, &in->parent_cols, err);
}

static enum slw_rc
until_apply(struct ingest *in, struct slw_err *err)
{
    const struct slw_str event = data_ms_sql(in->a, in->def.event_time);
    if (in->until_ms != INT64_MAX)
        TRY(slw_scan_exec(in->sc, err, "DELETE FROM slw_in WHERE %.*s > %lld",
                          SLW_FMT(event), (long long)in->until_ms));
    int64_t rows = 0;
    TRY(data_query_i64(in->sc, in->a, SLW_STR("SELECT count(*) FROM slw_in"),
                       &rows, err));
    char when[SLW_TIME_TEXT_SIZE];
    if (rows == 0)
        return slw_fail(err, SLW_INVALID, "%.*s: no rows until %s",
                        SLW_FMT(in->name), slw_time_text(in->until_ms, when));
    return SLW_OK;
}

/* Without this, a union would turn a number into text without a word. */
static enum slw_rc
parent_types_check(struct ingest *in, struct slw_err *err)
{
    struct data_cols cols;
    TRY(data_describe(in->sc, SLW_STR("slw_in"), in->a, &cols, err));
    for (size_t i = 0; i < cols.count; i++) {
        const struct data_col *before =
            data_cols_find(&in->parent_cols, cols.at[i].name);
        if (!before)
            continue;
        const bool same = slw_str_eq(before->type, cols.at[i].type) ||
                          (data_type_is_number(before->type) &&
                           data_type_is_number(cols.at[i].type)) ||
                          (data_type_is_time(before->type) &&
                           data_type_is_time(cols.at[i].type)) ||
                          (data_type_is_text(before->type) &&
                           data_type_is_text(cols.at[i].type));
        if (!same)
            return slw_fail(err, SLW_INVALID,
                            "column '%.*s' is %.*s, but %.*s in version %lld:"
                            " make them agree, or replace instead of append",
                            SLW_FMT(before->name), SLW_FMT(cols.at[i].type),
                            SLW_FMT(before->type),
                            (long long)in->parent.version);
    }
    return SLW_OK;
}

/* The parent's rows first, so that its columns keep their order; a new row
 * replaces one of the same entity and event time. */
static enum slw_rc
parent_merge(struct ingest *in, struct slw_err *err)
{
    if (!in->parent_path)
        return SLW_OK;
    TRY(parent_types_check(in, err));
    struct slw_arena *a = in->a;
    const struct slw_str from = data_parquet_sql(a, in->parent_path);
    const struct slw_str event = slw_sql_name(a, in->def.event_time);
    struct slw_str key =
        slw_arena_printf(a, "n.%.*s = p.%.*s", SLW_FMT(event), SLW_FMT(event));
    if (in->def.entity.len) {
        const struct slw_str entity = slw_sql_name(a, in->def.entity);
        key = slw_arena_printf(a, "%.*s AND n.%.*s = p.%.*s", SLW_FMT(key),
                               SLW_FMT(entity), SLW_FMT(entity));
    }
    return slw_scan_exec(in->sc, err,
                         "CREATE TABLE slw_merged AS SELECT p.* FROM %.*s AS p"
                         " ANTI JOIN slw_in AS n ON %.*s"
                         " UNION ALL BY NAME SELECT * FROM slw_in;"
                         "DROP TABLE slw_in;"
                         "ALTER TABLE slw_merged RENAME TO slw_in",
                         SLW_FMT(from), SLW_FMT(key));
}

static enum slw_rc
rows_sort(struct ingest *in, struct slw_err *err)
{
    struct slw_arena *a = in->a;
    TRY(data_describe(in->sc, SLW_STR("slw_in"), a, &in->cols, err));
    SLW_AUTO(slw_buf, order);
    slw_buf_str(&order, slw_sql_name(a, in->def.event_time));
    if (in->def.entity.len)
        slw_buf_printf(&order, ", %.*s",
                       SLW_FMT(slw_sql_name(a, in->def.entity)));
    for (size_t i = 0; i < in->cols.count; i++) {
        const struct slw_str name = in->cols.at[i].name;
        if (!slw_str_same(name, in->def.entity) &&
            !slw_str_same(name, in->def.event_time))
            slw_buf_printf(&order, ", %.*s", SLW_FMT(slw_sql_name(a, name)));
    }
    return slw_scan_exec(in->sc, err,
                         "CREATE TABLE slw_sorted AS SELECT * FROM slw_in"
                         " ORDER BY %.*s;"
                         "DROP TABLE slw_in;"
                         "CREATE VIEW slw_all AS SELECT rowid + 1 AS slw_row,"
                         " * FROM slw_sorted",
                         SLW_FMT(slw_buf_view(&order)));
}

static enum slw_rc
rows_prepare(struct ingest *in, struct slw_err *err)
{
    TRY(parent_read(in, err));
    slw_job_progress(in->ctx, 0.05, "reading %.*s", SLW_FMT(in->files[0].name));
    TRY(data_load(in->sc, &in->def, in->files, in->file_count, &in->parent_cols,
                  in->a, err));
    TRY(until_apply(in, err));
    TRY(parent_merge(in, err));
    slw_job_progress(in->ctx, 0.4, "sorting");
    TRY(rows_sort(in, err));
    /* From here on SQL written by users runs: it sees these rows only. */
    const struct slw_str dir = slw_sql_literal(in->a, slw_str_of(in->ctx->dir));
    TRY(slw_scan_exec(in->sc, err,
                      "SET allowed_directories = [%.*s];"
                      "SET enable_external_access = false;"
                      "SET lock_configuration = true",
                      SLW_FMT(dir)));
    slw_job_progress(in->ctx, 0.5, "checking");
    /* Who asks for history until a day is owed rows as fresh as that day. */
    const int64_t fresh_at_ms =
        in->until_ms < in->known_at_ms ? in->until_ms : in->known_at_ms;
    return data_checks_run(in->sc, &in->def, &in->cols, fresh_at_ms, in->a,
                           &in->made.quarantined_count, err);
}

/* ---- files and figures ---- */

static enum slw_rc
copy_out(struct ingest *in, struct slw_str select, int64_t row_count,
         const char *path, struct slw_blob_info *out, struct slw_err *err)
{
    const struct slw_str to = slw_sql_literal(in->a, slw_str_of(path));
    TRY(slw_scan_exec(in->sc, err, "COPY (%.*s) TO %.*s (%s)", SLW_FMT(select),
                      SLW_FMT(to), data_copy_options(row_count)));
    return slw_blob_put_file(in->ctx->store, path, out, err);
}

static enum slw_rc
quarantine_write(struct ingest *in, struct slw_err *err)
{
    in->made.quarantine_hash = SLW_STR("");
    if (in->made.quarantined_count == 0)
        return SLW_OK;
    struct slw_blob_info info;
    TRY(copy_out(
        in,
        SLW_STR("SELECT a.* EXCLUDE (slw_row), b.reason AS slw_reason FROM"
                " slw_all a JOIN (SELECT slw_row, string_agg(reason, '; '"
                " ORDER BY reason) AS reason FROM slw_bad GROUP BY slw_row) b"
                " ON a.slw_row = b.slw_row ORDER BY a.slw_row"),
        in->made.quarantined_count, in->bad_path, &info, err));
    in->made.quarantine_hash = slw_arena_str(in->a, slw_str_of(info.hash));
    return SLW_OK;
}

static struct slw_str
schema_json(const struct data_cols *cols, struct slw_arena *a)
{
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_arr(&w);
    for (size_t i = 0; i < cols->count; i++) {
        slw_jw_obj(&w);
        slw_jw_kstr(&w, "name", cols->at[i].name);
        slw_jw_kstr(&w, "type", cols->at[i].type);
        slw_jw_obj_end(&w);
    }
    slw_jw_arr_end(&w);
    return slw_arena_str(a, slw_buf_view(&text));
}

static enum slw_rc
version_make(struct ingest *in, struct slw_err *err)
{
    struct slw_dataset *d = &in->made;
    const struct slw_str event = data_ms_sql(in->a, in->def.event_time);
    struct slw_scan_result r;
    TRY(slw_scan_query(in->sc, 1, in->a, &r,
                       slw_arena_printf(in->a,
                                        "SELECT count(*), min(%.*s),"
                                        " max(%.*s) FROM slw_rows",
                                        SLW_FMT(event), SLW_FMT(event)),
                       err));
    d->row_count = r.cols[0].i64[0];
    d->event_min_ms = r.cols[1].i64[0];
    d->event_max_ms = r.cols[2].i64[0];
    if (d->row_count > DATA_ROWS_MAX)
        return slw_fail(err, SLW_LIMIT, "more than %lld rows",
                        (long long)DATA_ROWS_MAX);
    slw_job_progress(in->ctx, 0.6, "writing %lld rows",
                     (long long)d->row_count);
    struct slw_blob_info info;
    TRY(copy_out(in,
                 SLW_STR("SELECT * EXCLUDE (slw_row) FROM slw_rows"
                         " ORDER BY slw_row"),
                 d->row_count, in->data_path, &info, err));
    d->hash = slw_arena_str(in->a, slw_str_of(info.hash));
    d->size = info.size;
    d->new_size = info.new_size;
    d->chunk_count = info.chunk_count;
    TRY(quarantine_write(in, err));
    slw_job_progress(in->ctx, 0.8, "profiling");
    TRY(data_profile(in->sc,
                     SLW_STR("(SELECT * EXCLUDE (slw_row) FROM slw_rows)"),
                     &in->cols, in->a, &d->profile, err));
    d->schema = schema_json(&in->cols, in->a);
    d->checks = data_checks_json(&in->def, in->a);
    d->source_def = in->def.json;
    d->name = in->name;
    d->known_at_ms = in->known_at_ms;
    d->created_at_ms = in->ctx->now_ms;
    return SLW_OK;
}

/* ---- commit ---- */

static enum slw_rc
finish(struct slw_tx *tx, const struct ingest *in, const struct slw_dataset *d,
       bool unchanged, struct slw_err *err)
{
    SLW_AUTO(slw_buf, result);
    struct slw_jw w;
    slw_jw_init(&w, &result);
    slw_jw_obj(&w);
    data_dataset_fields(&w, d, false);
    slw_jw_kbool(&w, "unchanged", unchanged);
    slw_jw_obj_end(&w);
    return slw_job_finish(in->ctx, tx, slw_buf_view(&result), err);
}

static enum slw_rc
commit(struct ingest *in, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, in->ctx->store, err));
    struct slw_dataset newest;
    TRY(newest_get(&tx, in->name, in->a, &newest, err));
    TRY(known_at_check(in, &newest, err));
    if (newest.version && slw_str_eq(newest.hash, in->made.hash)) {
        TRY(finish(&tx, in, &newest, true, err));
        return slw_tx_commit(&tx, err);
    }
    if (in->append && newest.version != in->parent.version)
        return slw_fail(err, SLW_BUSY,
                        "version %lld of %.*s was added meanwhile; append"
                        " again",
                        (long long)newest.version, SLW_FMT(in->name));
    in->made.parent = newest.version;
    in->made.version = newest.version + 1;
    TRY(data_dataset_insert(&tx, &in->made, err));
    TRY(data_announce(&tx, in->ctx->now_ms, &in->made, err));
    TRY(finish(&tx, in, &in->made, false, err));
    return slw_tx_commit(&tx, err);
}

enum slw_rc
slw_data_ingest_job(struct slw_job_ctx *ctx, struct slw_err *err)
{
    SLW_ASSERT(ctx->store);
    SLW_ASSERT(ctx->arena);
    struct ingest in = {.ctx = ctx, .a = ctx->arena};
    TRY(spec_read(&in, err));
    TRY(store_read(&in, err));
    in.data_path = slw_path(in.a, ctx->dir, "data.parquet");
    in.bad_path = slw_path(in.a, ctx->dir, "quarantine.parquet");
    const char *tmp = slw_path(in.a, ctx->dir, "duckdb");
    TRY(slw_dir_make(tmp, err));
    SLW_AUTO(slw_scan, sc);
    TRY(slw_scan_open(&sc, 1, 0, tmp, err));
    in.sc = &sc;
    TRY(rows_prepare(&in, err));
    TRY(version_make(&in, err));
    slw_job_progress(ctx, 0.95, "committing");
    return commit(&in, err);
}
