/* native_system.c -- health, version, metrics, the clock, events, uploads,
 * jobs, tokens and the project file. */
#include "api/api_internal.h"
#include "api/routes.h"
#include "monitor/monitor.h"
#include "base/file.h"
#include "store/blob.h"
#include "store/event.h"

#include <dirent.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

enum slw_rc
api_health(struct slw_http_req *req, struct slw_http_res *res,
           struct slw_err *err)
{
    res->content_type = "text/plain";
    slw_buf_z(&res->body, "OK");
    return SLW_OK;
}

/* The version of MLflow's API that is spoken here, as its clients expect at
 * this path; our own stands in a header and in /metrics. */
enum slw_rc
api_version(struct slw_http_req *req, struct slw_http_res *res,
            struct slw_err *err)
{
    res->content_type = "text/plain";
    slw_http_header_add(res, "X-Slipway-Version", SLW_STR(SLIPWAY_VERSION));
    slw_buf_z(&res->body, SLIPWAY_MLFLOW_VERSION);
    return SLW_OK;
}

enum slw_rc
api_openapi(struct slw_http_req *req, struct slw_http_res *res,
            struct slw_err *err)
{
    slw_buf_str(&res->body, slw_http_openapi());
    return SLW_OK;
}

/* ---- /metrics ---- */

#define LATENCY_BIN_COUNT 12
static const double LATENCY_LE_S[LATENCY_BIN_COUNT] = {
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30};
/* Requests by class of status; latency over all routes.  Owner: atomic. */
static atomic_llong request_count[6];
static atomic_llong latency_count[LATENCY_BIN_COUNT + 1];
static atomic_llong latency_sum_us;

void
api_observe(void *app, const struct slw_route *route, int status,
            int64_t duration_ns)
{
    int class = status / 100;
    if (class < 1 || class > 5)
        class = 0;
    atomic_fetch_add_explicit(&request_count[class], 1, memory_order_relaxed);
    double s = (double)duration_ns * 1e-9;
    size_t i = 0;
    while (i < LATENCY_BIN_COUNT && s > LATENCY_LE_S[i])
        i++;
    atomic_fetch_add_explicit(&latency_count[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&latency_sum_us, duration_ns / 1000,
                              memory_order_relaxed);
}

static void
requests_write(struct slw_buf *out)
{
    slw_buf_z(out, "# HELP slipway_http_requests_total Answered requests.\n"
                   "# TYPE slipway_http_requests_total counter\n");
    for (int i = 1; i <= 5; i++)
        slw_buf_printf(out, "slipway_http_requests_total{code=\"%dxx\"} %lld\n",
                       i, (long long)atomic_load(&request_count[i]));
    slw_buf_z(out,
              "# HELP slipway_http_request_duration_seconds Time to answer.\n"
              "# TYPE slipway_http_request_duration_seconds histogram\n");
    long long total = 0;
    for (size_t i = 0; i < LATENCY_BIN_COUNT; i++) {
        total += atomic_load(&latency_count[i]);
        slw_buf_printf(out,
                       "slipway_http_request_duration_seconds_bucket"
                       "{le=\"%g\"} %lld\n",
                       LATENCY_LE_S[i], total);
    }
    total += atomic_load(&latency_count[LATENCY_BIN_COUNT]);
    slw_buf_printf(out,
                   "slipway_http_request_duration_seconds_bucket"
                   "{le=\"+Inf\"} %lld\n"
                   "slipway_http_request_duration_seconds_sum %.6f\n"
                   "slipway_http_request_duration_seconds_count %lld\n",
                   total, (double)atomic_load(&latency_sum_us) * 1e-6, total);
}

static long
open_fd_count(void)
{
    DIR *d = opendir("/proc/self/fd");
    if (!d)
        return 0;
    long n = -3; /* ".", ".." and the listing itself */
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void
metrics_process(const struct slw_api *api, struct slw_buf *out)
{
    struct rusage ru;
    getrusage(RUSAGE_SELF, &ru);
    double cpu_s = (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
                   (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1e-6;
    SLW_AUTO(slw_buf, statm);
    struct slw_err err;
    long long pages = 0;
    if (slw_file_get("/proc/self/statm", 4096, &statm, &err) == SLW_OK)
        sscanf(statm.ptr, "%*d %lld", &pages);
    slw_buf_printf(out,
                   "# HELP process_cpu_seconds_total User and system time.\n"
                   "# TYPE process_cpu_seconds_total counter\n"
                   "process_cpu_seconds_total %.3f\n"
                   "# HELP process_resident_memory_bytes Resident memory.\n"
                   "# TYPE process_resident_memory_bytes gauge\n"
                   "process_resident_memory_bytes %lld\n"
                   "# HELP process_open_fds Open descriptors.\n"
                   "# TYPE process_open_fds gauge\n"
                   "process_open_fds %ld\n"
                   "# HELP slipway_uptime_seconds Time since the start.\n"
                   "# TYPE slipway_uptime_seconds gauge\n"
                   "slipway_uptime_seconds %.3f\n"
                   "# HELP slipway_build_info Version of the server.\n"
                   "# TYPE slipway_build_info gauge\n"
                   "slipway_build_info{version=\"" SLIPWAY_VERSION "\"} 1\n",
                   cpu_s, pages * sysconf(_SC_PAGESIZE), open_fd_count(),
                   (double)(slw_mono_ns() - api->start_mono_ns) * 1e-9);
}

enum slw_rc
api_metrics(struct slw_http_req *req, struct slw_http_res *res,
            struct slw_err *err)
{
    struct slw_api *api = req->app;
    res->content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_process(api, &res->body);
    requests_write(&res->body);
    slw_serve_metrics(api->serve, &res->body);
    return slw_monitor_metrics(api->store, &res->body, err);
}

/* ---- the clock ---- */

static void
write_clock(struct slw_api *api, struct slw_http_res *res)
{
    char text[SLW_TIME_TEXT_SIZE];
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "now", slw_time_text(api_now(api), text));
    slw_jw_ki64(&w, "now_ms", api_now(api));
    slw_jw_kbool(&w, "manual", api->clock->manual);
    slw_jw_obj_end(&w);
}

enum slw_rc
api_clock_get(struct slw_http_req *req, struct slw_http_res *res,
              struct slw_err *err)
{
    write_clock(req->app, res);
    return SLW_OK;
}

enum slw_rc
api_clock_set(struct slw_http_req *req, struct slw_http_res *res,
              struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_json, body);
    TRY(api_body(req, &body, err));
    int64_t now_ms = -1;
    TRY(api_time_member(body.root, "now", false, &now_ms, err));
    if (now_ms < 0)
        return slw_fail(err, SLW_INVALID, "give the new time as \"now\"");
    TRY(slw_clock_set(api->clock, now_ms, err));
    write_clock(api, res);
    return SLW_OK;
}

/* ---- events ---- */

void
api_event_write(struct slw_jw *w, const struct slw_event *e)
{
    char at[SLW_TIME_TEXT_SIZE];
    slw_jw_obj(w);
    slw_jw_ki64(w, "id", e->id);
    slw_jw_kz(w, "at", slw_time_text(e->at_ms, at));
    slw_jw_kstr(w, "kind", e->kind);
    slw_jw_kstr(w, "subject", e->subject);
    slw_jw_kraw(w, "payload", e->payload);
    slw_jw_kstr(w, "hash", e->hash);
    slw_jw_obj_end(w);
}

enum slw_rc
api_events_list(struct slw_http_req *req, struct slw_http_res *res,
                struct slw_err *err)
{
    struct slw_api *api = req->app;
    bool older = slw_http_query(req, "before").ptr != NULL;
    int64_t at = 0, total = 0;
    size_t limit = 0;
    TRY(slw_http_query_i64(req, older ? "before" : "after", 0, &at, err));
    if (older && at <= 0)
        at = INT64_MAX;
    TRY(api_limit(req, 100, 1000, &limit, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_event_last(&tx, &total, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "events");
    slw_jw_arr(&w);
    for (size_t i = 0; i < limit; i++) {
        struct slw_event e;
        enum slw_rc rc = (older ? slw_event_before : slw_event_after)(
            &tx, at, slw_http_query(req, "kind"),
            slw_http_query(req, "subject"), req->arena, &e, err);
        if (rc == SLW_NOT_FOUND)
            break;
        TRY(rc);
        api_event_write(&w, &e);
        at = e.id;
    }
    slw_jw_arr_end(&w);
    slw_jw_ki64(&w, older ? "before" : "after", at);
    slw_jw_ki64(&w, "total", total);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

/* Reads every byte of the data folder: in a child, and not for ever. */
#define VERIFY_TIMEOUT_MS ((int64_t)60 * 60000)

enum slw_rc
api_verify(struct slw_http_req *req, struct slw_http_res *res,
           struct slw_err *err)
{
    static atomic_flag under_way = ATOMIC_FLAG_INIT;
    const struct slw_api *api = req->app;
    if (atomic_flag_test_and_set(&under_way))
        return slw_fail(err, SLW_BUSY,
                        "a verification is under way; ask again when it has "
                        "ended");
    const enum slw_rc rc = slw_task_run(api->store, "verify", SLW_STR("{}"),
                                        VERIFY_TIMEOUT_MS, &res->body, err);
    atomic_flag_clear(&under_way);
    return rc;
}

static const char *const GC_MEMBERS[] = {"older_than",       "grace",
                                         "experiment_ids",   "run_ids",
                                         "logged_model_ids", "dry_run"};

/* The body is the job's spec: what is wrong with its members is said here, so
 * that nobody waits for a job to learn it. */
static enum slw_rc
gc_body_check(const struct json_t *body, struct slw_err *err)
{
    for (void *it = slw_json_iter(body); it; it = slw_json_next(body, it)) {
        bool known = false;
        for (size_t i = 0; i < SLW_ARRAY_LEN(GC_MEMBERS); i++)
            known |= slw_str_eqz(slw_json_iter_key(it), GC_MEMBERS[i]);
        if (!known)
            return slw_fail(err, SLW_INVALID,
                            "a collection has no member \"%.*s\"",
                            SLW_FMT(slw_json_iter_key(it)));
    }
    for (size_t i = 0; i < 2; i++) {
        struct slw_str age = {0};
        int64_t ms = 0;
        TRY(slw_json_opt_str(body, GC_MEMBERS[i], &age, err));
        if (age.len && slw_duration_parse(age, &ms, err) != SLW_OK)
            return slw_err_prefix(err, "\"%s\": ", GC_MEMBERS[i]);
    }
    const struct json_t *dry = slw_json_get(body, "dry_run");
    if (dry && slw_json_type(dry) != SLW_JSON_BOOL)
        return slw_fail(err, SLW_INVALID, "\"dry_run\" must be true or false");
    return SLW_OK;
}

enum slw_rc
api_gc(struct slw_http_req *req, struct slw_http_res *res, struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_json, body);
    SLW_AUTO(slw_buf, spec);
    TRY(api_body(req, &body, err));
    TRY(gc_body_check(body.root, err));
    struct slw_jw w;
    slw_jw_init(&w, &spec);
    slw_jw_obj(&w);
    for (void *it = slw_json_iter(body.root); it;
         it = slw_json_next(body.root, it)) {
        SLW_AUTO(slw_buf, value);
        slw_json_dump(&value, slw_json_iter_value(it));
        slw_jw_kraw(&w, slw_arena_strz(req->arena, slw_json_iter_key(it)),
                    slw_buf_view(&value));
    }
    if (api->destination)
        slw_jw_kz(&w, "artifacts_destination", slw_place_uri(api->destination));
    if (api->artifact_root)
        slw_jw_kz(&w, "default_artifact_root",
                  slw_place_uri(api->artifact_root));
    slw_jw_obj_end(&w);
    return api_job_start(api, res, "store.gc", SLW_STR("store"),
                         slw_buf_view(&spec), err);
}

enum slw_rc
api_events_verify(struct slw_http_req *req, struct slw_http_res *res,
                  struct slw_err *err)
{
    struct slw_api *api = req->app;
    int64_t count = 0;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_event_verify(&tx, &count, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_kbool(&w, "whole", true);
    slw_jw_ki64(&w, "events", count);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

#define IDLE_WAIT_MS_MAX 60000

enum slw_rc
api_idle(struct slw_http_req *req, struct slw_http_res *res,
         struct slw_err *err)
{
    struct slw_api *api = req->app;
    int64_t wait_ms = 0;
    TRY(slw_http_query_i64(req, "wait_ms", 0, &wait_ms, err));
    if (wait_ms > IDLE_WAIT_MS_MAX)
        wait_ms = IDLE_WAIT_MS_MAX;
    int64_t end_ns = slw_mono_ns() + wait_ms * 1000000;
    bool idle = slw_flow_idle(api->flow);
    while (!idle && slw_mono_ns() < end_ns && !slw_http_closing(req)) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        idle = slw_flow_idle(api->flow);
    }
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_kbool(&w, "idle", idle);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

/* ---- uploads ---- */

enum slw_rc
api_upload(struct slw_http_req *req, struct slw_http_res *res,
           struct slw_err *err)
{
    struct slw_api *api = req->app;
    if (!req->upload_path || req->upload_size == 0)
        return slw_fail(err, SLW_INVALID, "the upload is empty");
    struct slw_blob_info info;
    TRY(slw_blob_put_file(api->store, req->upload_path, &info, err));
    res->status = 201;
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "upload", info.hash);
    slw_jw_ki64(&w, "size", info.size);
    slw_jw_ki64(&w, "new_size", info.new_size);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

/* ---- jobs ---- */

enum slw_rc
api_jobs_list(struct slw_http_req *req, struct slw_http_res *res,
              struct slw_err *err)
{
    struct slw_api *api = req->app;
    size_t limit = 0, count = 0;
    int64_t before = 0, total = 0;
    struct slw_job *jobs = NULL;
    TRY(api_limit(req, 50, 1000, &limit, err));
    TRY(slw_http_query_i64(req, "before", 0, &before, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_job_list(&tx, slw_http_query(req, "kind"),
                     slw_http_query(req, "subject"), before, limit, req->arena,
                     &jobs, &count, err));
    TRY(slw_job_count(&tx, slw_http_query(req, "kind"),
                      slw_http_query(req, "subject"), &total, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "jobs");
    slw_jw_arr(&w);
    for (size_t i = 0; i < count; i++)
        slw_job_write(&w, &jobs[i]);
    slw_jw_arr_end(&w);
    slw_jw_ki64(&w, "total", total);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

#define JOB_WAIT_MS_MAX 30000
#define JOB_STRETCH_MS 250

enum slw_rc
api_jobs_get(struct slw_http_req *req, struct slw_http_res *res,
             struct slw_err *err)
{
    struct slw_api *api = req->app;
    int64_t id = 0, wait_ms = 0;
    TRY(api_var_i64(req, "id", &id, err));
    TRY(slw_http_query_i64(req, "wait_ms", 0, &wait_ms, err));
    if (wait_ms > JOB_WAIT_MS_MAX)
        wait_ms = JOB_WAIT_MS_MAX;
    /* In short stretches, so that a stopping server need not wait. */
    struct slw_job job;
    int64_t end_ns = slw_mono_ns() + wait_ms * 1000000;
    for (;;) {
        int64_t left_ms = (end_ns - slw_mono_ns()) / 1000000;
        int64_t stretch_ms =
            left_ms < JOB_STRETCH_MS ? left_ms : JOB_STRETCH_MS;
        TRY(slw_job_wait(api->store, id, stretch_ms > 0 ? stretch_ms : 0,
                         req->arena, &job, err));
        if (job.state > SLW_JOB_RUNNING || left_ms <= 0 ||
            slw_http_closing(req))
            break;
    }
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_job_write(&w, &job);
    return SLW_OK;
}

enum slw_rc
api_jobs_cancel(struct slw_http_req *req, struct slw_http_res *res,
                struct slw_err *err)
{
    struct slw_api *api = req->app;
    int64_t id = 0;
    TRY(api_var_i64(req, "id", &id, err));
    TRY(slw_job_cancel(api->store, api_now(api), id, err));
    slw_jobs_wake(api->jobs);
    struct slw_job job;
    TRY(slw_job_wait(api->store, id, 5000, req->arena, &job, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_job_write(&w, &job);
    return SLW_OK;
}

/* ---- tokens ---- */

enum slw_rc
api_tokens_list(struct slw_http_req *req, struct slw_http_res *res,
                struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "tokens");
    TRY(slw_access_token_list(&tx, &w, err));
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_tokens_make(struct slw_http_req *req, struct slw_http_res *res,
                struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_json, body);
    TRY(api_body(req, &body, err));
    struct slw_str name, role_name;
    enum slw_role role;
    char secret[64];
    TRY(slw_json_need_str(body.root, "name", &name, err));
    TRY(slw_json_need_str(body.root, "role", &role_name, err));
    TRY(slw_role_parse(role_name, &role, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_access_token_make(&tx, api_now(api), name, role, secret, err));
    TRY(slw_tx_commit(&tx, err));
    TRY(slw_access_reload(api->access, err));
    res->status = 201;
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "name", name);
    slw_jw_kz(&w, "role", slw_role_name(role));
    slw_jw_kz(&w, "secret", secret);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_tokens_revoke(struct slw_http_req *req, struct slw_http_res *res,
                  struct slw_err *err)
{
    struct slw_api *api = req->app;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_access_token_revoke(&tx, api_now(api), slw_http_var(req, "name"),
                                err));
    TRY(slw_tx_commit(&tx, err));
    TRY(slw_access_reload(api->access, err));
    slw_buf_z(&res->body, "{}");
    return SLW_OK;
}

/* ---- the project ---- */

enum slw_rc
api_project_get(struct slw_http_req *req, struct slw_http_res *res,
                struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str yaml, json;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_project_get(&tx, req->arena, &yaml, &json, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "yaml", yaml);
    slw_jw_kraw(&w, "definition", json);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_project_put(struct slw_http_req *req, struct slw_http_res *res,
                struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str file = slw_http_query(req, "file");
    if (!file.ptr)
        file = SLW_STR("slipway.yaml");
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    struct slw_str folder = slw_http_query(req, "dir");
    if (!folder.ptr)
        folder = SLW_STR("");
    return slw_project_apply(api->flow, api_now(api), file, folder, req->body,
                             &w, err);
}
