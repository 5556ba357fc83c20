/* world.c -- the child "base": every source's file ingested once, up to the
 * last day, by the job that ingests in production. */
#include "rehearse/rehearse_internal.h"

#include "data/data.h"

static const struct slw_job_kind KINDS[] = {
    {.name = "data.ingest", .fn = slw_data_ingest_job}};

static enum slw_rc
ingest_queue(struct slw_store *s, int64_t now_ms, struct slw_str name,
             const struct json_t *source, int64_t *out_id, struct slw_err *err)
{
    struct slw_str path, def;
    SLW_AUTO(slw_buf, def_text);
    SLW_AUTO(slw_buf, spec);
    struct slw_jw w;
    TRY(slw_json_need_str(source, "path", &path, err));
    slw_json_dump(&def_text, slw_json_get(source, "def"));
    def = slw_buf_view(&def_text);
    slw_jw_init(&w, &spec);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "name", name);
    slw_jw_key(&w, "files");
    slw_jw_arr(&w);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "path", path);
    slw_jw_obj_end(&w);
    slw_jw_arr_end(&w);
    slw_jw_ki64(&w, "known_at_ms", now_ms);
    slw_jw_ki64(&w, "until_ms", now_ms);
    slw_jw_obj_end(&w);
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, s, err));
    TRY(slw_data_source_put(&tx, now_ms, name, def, err));
    TRY(slw_job_put(&tx, now_ms, "data.ingest", name, SLW_STR(""),
                    slw_buf_view(&spec), out_id, err));
    return slw_tx_commit(&tx, err);
}

static enum slw_rc
ingest(struct slw_store *s, int64_t now_ms, struct slw_str name,
       const struct json_t *source, struct slw_err *err)
{
    int64_t id = 0;
    struct slw_job job;
    SLW_AUTO(slw_arena, a);
    TRY(ingest_queue(s, now_ms, name, source, &id, err));
    TRY(slw_jobs_run_here(s, now_ms, KINDS, SLW_ARRAY_LEN(KINDS), NULL, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, s, err));
    TRY(slw_job_get(&tx, id, &a, &job, err));
    if (job.state == SLW_JOB_SUCCEEDED)
        return SLW_OK;
    return slw_fail(err, job.error_rc ? job.error_rc : SLW_INTERNAL,
                    "source '%.*s': %.*s", SLW_FMT(name), SLW_FMT(job.error));
}

static enum slw_rc
sources_ingest(struct slw_store *s, const struct json_t *plan,
               struct slw_err *err)
{
    int64_t to_ms = 0;
    const struct json_t *sources = slw_json_get(plan, "sources");
    TRY(slw_json_need_i64(plan, "to_ms", &to_ms, err));
    for (void *it = slw_json_iter(sources); it; it = slw_json_next(sources, it))
        TRY(ingest(s, to_ms, slw_json_iter_key(it), slw_json_iter_value(it),
                   err));
    return SLW_OK;
}

enum slw_rc
rehearse_base_make(const char *dir, const struct json_t *plan,
                   struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_store *s = NULL;
    const char *done = slw_path(&a, dir, "base.done");
    const struct slw_store_options opt = {.dir = slw_path(&a, dir, "base"),
                                          .server = true};
    if (slw_file_exists(done))
        return SLW_OK;
    TRY(slw_dir_remove(opt.dir, err));
    TRY(slw_store_open(&s, &opt, err));
    enum slw_rc rc = sources_ingest(s, plan, err);
    slw_store_close(s);
    if (rc == SLW_OK)
        rc = slw_file_put(done, SLW_STR("ingested\n"), err);
    return rc;
}
