/* fixture.h -- a store in a temporary folder, and jobs that are run in the
 * test's own process the way a child would run them. */
#ifndef DATA_FIXTURE_H
#define DATA_FIXTURE_H

#include "base/file.h"
#include "base/json.h"
#include "data/data.h"
#include "jobs/jobs.h"
#include "store/blob.h"
#include "store/event.h"
#include "tests/slw_test.h"

#define DAY(n) ((int64_t)(n)*SLW_DAY_MS)

struct fixture {
    struct slw_store *store;
    struct slw_arena a;
    char dir[256];
};

static inline void
fixture_open(struct fixture *f)
{
    struct slw_err err;
    *f = (struct fixture){0};
    slw_test_dir(f->dir);
    const struct slw_store_options opt = {
        .dir = slw_path(&f->a, f->dir, "data"), .server = true};
    assert_ok(slw_store_open(&f->store, &opt, &err), err);
}

static inline void
fixture_close(struct fixture *f)
{
    slw_store_close(f->store);
    slw_arena_done(&f->a);
}

static inline int64_t
time_of(const char *text)
{
    struct slw_err err;
    int64_t ms = 0;
    assert_ok(slw_time_parse(slw_str_of(text), &ms, &err), err);
    return ms;
}

static inline const char *
file_put(struct fixture *f, const char *name, const char *text)
{
    struct slw_err err;
    const char *path = slw_path(&f->a, f->dir, "%s", name);
    assert_ok(slw_file_put(path, slw_str_of(text), &err), err);
    return path;
}

static inline void
source_put(struct fixture *f, const char *name, const char *def)
{
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, f->store, &err), err);
    assert_ok(
        slw_data_source_put(&tx, 0, slw_str_of(name), slw_str_of(def), &err),
        err);
    assert_ok(slw_tx_commit(&tx, &err), err);
}

/* Queue, take the lease, run, read the row again. */
static inline struct slw_job
job_run_here(struct fixture *f, const char *kind, slw_job_fn fn,
             const char *spec, int64_t now_ms)
{
    struct slw_err err;
    int64_t id = 0;
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, f->store, &err), err);
        assert_ok(slw_job_put(&tx, now_ms, kind, SLW_STR("test"), SLW_STR(""),
                              slw_str_of(spec), &id, &err),
                  err);
        SLW_AUTO(slw_stmt, take);
        assert_ok(slw_stmt_prepare_text(
                      &take, &tx,
                      SLW_STR("UPDATE jobs_job SET state = 'running',"
                              " attempt = 1, attempt_max = 1,"
                              " lease_holder = 'test' WHERE id = ?1"),
                      &err),
                  err);
        slw_stmt_i64(&take, 1, id);
        assert_ok(slw_stmt_run(&take, &err), err);
        slw_stmt_done(&take);
        assert_ok(slw_tx_commit(&tx, &err), err);
    }
    setenv("SLIPWAY_JOB_HOLDER", "test", 1);
    setenv("SLIPWAY_JOB_ATTEMPT", "1", 1);
    const struct slw_job_kind kinds[] = {
        {.name = kind, .fn = fn, .attempt_max = 1}};
    (void)slw_job_child_main(f->store, id, kinds, 1, NULL);
    SLW_AUTO(slw_tx, tx);
    struct slw_job job;
    assert_ok(slw_tx_read(&tx, f->store, &err), err);
    assert_ok(slw_job_get(&tx, id, &f->a, &job, &err), err);
    return job;
}

static inline struct slw_job
ingest_full(struct fixture *f, const char *name, const char *path,
            const char *more, int64_t now_ms)
{
    const struct slw_str spec = slw_arena_printf(
        &f->a, "{\"name\": \"%s\", \"files\": [{\"path\": \"%s\"}]%s}", name,
        path, more);
    return job_run_here(f, "data.ingest", slw_data_ingest_job, spec.ptr,
                        now_ms);
}

/* One file of text becomes a version; the job must succeed. */
static inline struct slw_dataset
ingest(struct fixture *f, const char *name, const char *file, const char *text,
       const char *more, int64_t now_ms)
{
    struct slw_err err;
    const struct slw_job job =
        ingest_full(f, name, file_put(f, file, text), more, now_ms);
    if (job.state != SLW_JOB_SUCCEEDED)
        print_error("ingest failed: %s\n", job.error.ptr);
    assert_int_equal(job.state, SLW_JOB_SUCCEEDED);
    SLW_AUTO(slw_tx, tx);
    struct slw_dataset d;
    assert_ok(slw_tx_read(&tx, f->store, &err), err);
    assert_ok(slw_data_get(&tx, slw_str_of(name), &f->a, &d, &err), err);
    return d;
}

/* The job must fail, for the caller's reason, in a sentence with `part`. */
static inline void
ingest_refused(struct fixture *f, const char *name, const char *file,
               const char *text, const char *more, int64_t now_ms,
               const char *part)
{
    const struct slw_job job =
        ingest_full(f, name, file_put(f, file, text), more, now_ms);
    if (job.state != SLW_JOB_FAILED || !strstr(job.error.ptr, part))
        print_error("wanted '%s', got %s: %s\n", part,
                    slw_job_state_name(job.state), job.error.ptr);
    assert_int_equal(job.state, SLW_JOB_FAILED);
    assert_non_null(strstr(job.error.ptr, part));
}

typedef enum slw_rc (*task_fn)(struct slw_store *s, void *app,
                               const struct json_t *spec, struct slw_arena *a,
                               struct slw_jw *out, struct slw_err *err);

/* Run a task; on success *out_doc holds its answer. */
static inline enum slw_rc
task_run_here(struct fixture *f, task_fn fn, const char *spec,
              struct slw_json *out_doc, struct slw_err *err)
{
    SLW_AUTO(slw_json, doc);
    assert_ok(slw_json_parse(&doc, slw_str_of(spec), err), *err);
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    const enum slw_rc rc = fn(f->store, NULL, doc.root, &f->a, &w, err);
    if (rc == SLW_OK)
        assert_ok(slw_json_parse(out_doc, slw_buf_view(&text), err), *err);
    return rc;
}

#endif
