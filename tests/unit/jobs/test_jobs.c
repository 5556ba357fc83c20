/* test_jobs.c -- the queue, with real children: this program is also the
 * child that the runner starts (argv[1] "job" or "task"). */
#include "jobs/jobs.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/file.h"
#include "store/event.h"
#include "tests/slw_test.h"

#define WAIT_MS 20000

/* ---- what the children do ---- */

static int64_t
counter(struct slw_tx *tx, const char *key)
{
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    struct slw_str got;
    int64_t count = 0;
    if (slw_meta_get(tx, key, &a, &got, &err) == SLW_OK)
        SLW_ASSERT(slw_str_i64(got, &count, &err) == SLW_OK);
    return count;
}

static enum slw_rc
count_one(struct slw_tx *tx, const char *key, struct slw_err *err)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%lld", (long long)counter(tx, key) + 1);
    return slw_meta_set(tx, key, slw_str_of(text), err);
}

static enum slw_rc
finish_counted(struct slw_job_ctx *ctx, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, ctx->store, err));
    TRY(count_one(&tx, "done", err));
    SLW_AUTO(slw_buf, result);
    slw_buf_printf(
        &result, "{\"n\":%lld}",
        (long long)slw_json_i64_or(slw_json_get(ctx->spec, "n"), -1));
    TRY(slw_job_finish(ctx, &tx, slw_buf_view(&result), err));
    return slw_tx_commit(&tx, err);
}

static enum slw_rc
run_ok(struct slw_job_ctx *ctx, struct slw_err *err)
{
    char path[512]; /* the job's folder is there, and empty */
    (void)snprintf(path, sizeof(path), "%s/out.txt", ctx->dir);
    SLW_ASSERT(!slw_file_exists(path));
    TRY(slw_file_put(path, SLW_STR("x"), err));
    slw_job_progress(ctx, 0.5, "half of %s", "it");
    SLW_ASSERT(strcmp(getenv("OMP_WAIT_POLICY"), "passive") == 0);
    SLW_ASSERT(strcmp(getenv("OPENBLAS_CORETYPE"), "Haswell") == 0);
    return finish_counted(ctx, err);
}

static enum slw_rc
run_nothing(struct slw_job_ctx *ctx, struct slw_err *err)
{
    (void)ctx;
    (void)err;
    return SLW_OK;
}

static enum slw_rc
run_invalid(struct slw_job_ctx *ctx, struct slw_err *err)
{
    (void)ctx;
    return slw_fail(err, SLW_INVALID, "column 'close' is text");
}

static enum slw_rc
run_io(struct slw_job_ctx *ctx, struct slw_err *err)
{
    return slw_fail(err, SLW_IO, "no route in attempt %d", ctx->job->attempt);
}

static void
crash(void)
{
    (void)signal(SIGSEGV, SIG_DFL);
    (void)raise(SIGSEGV);
}

static enum slw_rc
run_crash_first(struct slw_job_ctx *ctx, struct slw_err *err)
{
    if (ctx->job->attempt == 1) {
        SLW_AUTO(slw_tx, tx); /* half of the work, never committed */
        TRY(slw_tx_begin(&tx, ctx->store, err));
        TRY(count_one(&tx, "done", err));
        crash();
    }
    return finish_counted(ctx, err);
}

static enum slw_rc
run_crash_last(struct slw_job_ctx *ctx, struct slw_err *err)
{
    TRY(finish_counted(ctx, err));
    crash();
    return SLW_OK;
}

static void
hang(void)
{
    while (getppid() != 0)
        (void)pause();
}

static enum slw_rc
run_for_ever(struct slw_job_ctx *ctx, struct slw_err *err)
{
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_begin(&tx, ctx->store, err));
        TRY(count_one(&tx, "started", err));
        TRY(slw_tx_commit(&tx, err));
    }
    hang();
    return SLW_OK;
}

/* Deaf to TERM: only KILL helps. */
static enum slw_rc
run_stubborn(struct slw_job_ctx *ctx, struct slw_err *err)
{
    (void)signal(SIGTERM, SIG_IGN);
    return run_for_ever(ctx, err);
}

/* Waits to be cancelled and tries to finish all the same. */
static enum slw_rc
run_late(struct slw_job_ctx *ctx, struct slw_err *err)
{
    (void)signal(SIGTERM, SIG_IGN);
    for (;;) {
        SLW_AUTO(slw_arena, a);
        struct slw_job job;
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, ctx->store, err));
        TRY(slw_job_get(&tx, ctx->job->id, &a, &job, err));
        if (job.state == SLW_JOB_CANCELLED)
            break;
        slw_tx_done(&tx);
        (void)usleep(5000);
    }
    const enum slw_rc rc = finish_counted(ctx, err);
    SLW_ASSERT(rc == SLW_CONFLICT);
    return rc;
}

static const struct slw_job_kind KINDS[] = {
    {"test.ok", run_ok, 1, 0, 0},
    {"test.nothing", run_nothing, 1, 0, (size_t)4 << 30},
    {"test.invalid", run_invalid, 3, 0, 0},
    {"test.io", run_io, 3, 0, 0},
    {"test.crash_first", run_crash_first, 3, 0, 0},
    {"test.crash_always", run_crash_first, 1, 0, 0},
    {"test.crash_last", run_crash_last, 3, 0, 0},
    {"test.slow", run_for_ever, 1, 300, 0},
    {"test.for_ever", run_for_ever, 2, 0, 0},
    {"test.stubborn", run_stubborn, 1, 0, 0},
    {"test.late", run_late, 1, 0, 0},
};

static enum slw_rc
task_echo(struct slw_store *s, void *app, const struct json_t *spec,
          struct slw_arena *a, struct slw_jw *out, struct slw_err *err)
{
    (void)app;
    (void)a;
    (void)err;
    SLW_ASSERT(slw_store_dir(s)[0] == '/');
    slw_jw_obj(out);
    slw_jw_key(out, "got");
    slw_jw_node(out, spec);
    slw_jw_obj_end(out);
    return SLW_OK;
}

static enum slw_rc
task_fail(struct slw_store *s, void *app, const struct json_t *spec,
          struct slw_arena *a, struct slw_jw *out, struct slw_err *err)
{
    slw_jw_obj(out); /* half an answer is dropped */
    return slw_fail(err, SLW_LIMIT, "more than 10 rows \"quoted\"");
}

static enum slw_rc
task_crash(struct slw_store *s, void *app, const struct json_t *spec,
           struct slw_arena *a, struct slw_jw *out, struct slw_err *err)
{
    (void)fprintf(stderr, "first line\nthe wheels came off\n");
    crash();
    return SLW_OK;
}

static enum slw_rc
task_hang(struct slw_store *s, void *app, const struct json_t *spec,
          struct slw_arena *a, struct slw_jw *out, struct slw_err *err)
{
    hang();
    return SLW_OK;
}

static const struct slw_task_kind TASKS[] = {{"echo", task_echo},
                                             {"fail", task_fail},
                                             {"crash", task_crash},
                                             {"hang", task_hang}};

static int
child_main(char **argv)
{
    struct slw_err err;
    struct slw_store *s = NULL;
    SLW_ASSERT(strcmp(argv[3], "--data") == 0);
    const struct slw_store_options opt = {.dir = argv[4]};
    if (slw_store_open(&s, &opt, &err) != SLW_OK) {
        (void)fprintf(stderr, "%s\n", err.msg);
        return 2;
    }
    int code = 0;
    int64_t id = 0;
    if (strcmp(argv[1], "task") == 0) {
        code = slw_task_child_main(s, argv[2], TASKS, ARRAY_LEN(TASKS), NULL);
    } else {
        SLW_ASSERT(slw_str_i64(slw_str_of(argv[2]), &id, &err) == SLW_OK);
        code = slw_job_child_main(s, id, KINDS, ARRAY_LEN(KINDS), NULL);
    }
    slw_store_close(s);
    return code;
}

/* ---- the server's side ---- */

struct bench {
    char dir[256];
    struct slw_store *store;
    struct slw_clock clock;
    struct slw_jobs *jobs;
    struct slw_arena arena;
};

#define T0 INT64_C(1700000000000)

static void
runner_start(struct bench *b)
{
    struct slw_err err;
    const struct slw_jobs_options opt = {.store = b->store,
                                         .clock = &b->clock,
                                         .kinds = KINDS,
                                         .kind_count = ARRAY_LEN(KINDS),
                                         .slot_count = 2};
    assert_ok(slw_jobs_start(&b->jobs, &opt, &err), err);
}

static void
store_open(struct bench *b)
{
    struct slw_err err;
    const struct slw_store_options opt = {.dir = b->dir, .server = true};
    assert_ok(slw_store_open(&b->store, &opt, &err), err);
}

static void
bench_init(struct bench *b)
{
    *b = (struct bench){0};
    slw_test_dir(b->dir);
    slw_clock_init_manual(&b->clock, T0);
    store_open(b);
}

static void
bench_done(struct bench *b)
{
    slw_jobs_stop(b->jobs);
    slw_store_close(b->store);
    slw_arena_done(&b->arena);
}

static int64_t
put_keyed(struct bench *b, const char *kind, const char *key)
{
    struct slw_err err;
    int64_t id = 0;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, b->store, &err), err);
    assert_ok(slw_job_put(&tx, slw_clock_now_ms(&b->clock), kind,
                          SLW_STR("prices"), slw_str_of(key),
                          SLW_STR("{\"n\":7}"), &id, &err),
              err);
    assert_ok(slw_tx_commit(&tx, &err), err);
    if (b->jobs)
        slw_jobs_wake(b->jobs);
    return id;
}

static int64_t
put(struct bench *b, const char *kind)
{
    return put_keyed(b, kind, "");
}

static struct slw_job
wait_for(struct bench *b, int64_t id)
{
    struct slw_err err;
    struct slw_job job;
    assert_ok(slw_job_wait(b->store, id, WAIT_MS, &b->arena, &job, &err), err);
    return job;
}

static int64_t
read_counter(struct bench *b, const char *key)
{
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, b->store, &err), err);
    return counter(&tx, key);
}

/* Until a child has counted itself `count` times as started. */
static void
wait_started(struct bench *b, int64_t count)
{
    for (int i = 0; i < WAIT_MS / 10; i++) {
        if (read_counter(b, "started") >= count)
            return;
        (void)usleep(10000);
    }
    fail_msg("no child started");
}

/* The jobs.finished events, as "1:succeeded 2:failed". */
static struct slw_str
finished(struct bench *b)
{
    struct slw_err err;
    SLW_AUTO(slw_buf, out);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, b->store, &err), err);
    struct slw_event e = {0};
    while (slw_event_after(&tx, e.id, SLW_STR("jobs.finished"), SLW_STR(""),
                           &b->arena, &e, &err) == SLW_OK) {
        SLW_AUTO(slw_json, doc);
        assert_ok(slw_json_parse(&doc, e.payload, &err), err);
        const struct slw_str state =
            slw_json_str_or(slw_json_get(doc.root, "state"), SLW_STR("?"));
        slw_buf_printf(
            &out, "%s%lld:%.*s", out.len ? " " : "",
            (long long)slw_json_i64_or(slw_json_get(doc.root, "job"), -1),
            SLW_FMT(state));
    }
    return slw_arena_str(&b->arena, slw_buf_view(&out));
}

static void
a_job_runs_in_a_child_and_its_result_is_kept(void **state)
{
    struct bench b;
    bench_init(&b);
    const int64_t early = put(&b, "test.nothing");
    runner_start(&b);
    const int64_t id = put(&b, "test.ok");
    struct slw_job job = wait_for(&b, id);
    assert_int_equal(job.state, SLW_JOB_SUCCEEDED);
    assert_true(slw_str_eqz(job.result, "{\"n\":7}"));
    assert_true(slw_str_eqz(job.kind, "test.ok"));
    assert_true(slw_str_eqz(job.subject, "prices"));
    assert_true(slw_str_eqz(job.note, "")); /* it was of the way there */
    assert_near(job.progress, 1.0, 0);
    assert_int_equal(job.attempt, 1);
    assert_true(job.created_at_ms == T0);
    assert_true(job.started_at_ms == T0);
    assert_true(job.ended_at_ms == T0); /* this clock stands still */
    assert_int_equal(read_counter(&b, "done"), 1);
    assert_int_equal(wait_for(&b, early).state, SLW_JOB_SUCCEEDED);
    assert_true(slw_str_eqz(wait_for(&b, early).result, "{}"));
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_job_write(&w, &job);
    assert_non_null(strstr(text.ptr, "\"state\":\"succeeded\""));
    assert_non_null(strstr(text.ptr, "\"result\":{\"n\":7}"));
    assert_non_null(strstr(text.ptr, "\"error\":null"));
    bench_done(&b);
}

static void
a_failure_of_the_input_is_final(void **state)
{
    struct bench b;
    bench_init(&b);
    runner_start(&b);
    const int64_t id = put(&b, "test.invalid");
    const struct slw_job job = wait_for(&b, id);
    assert_int_equal(job.state, SLW_JOB_FAILED);
    assert_int_equal(job.error_rc, SLW_INVALID);
    assert_true(slw_str_eqz(job.error, "column 'close' is text"));
    assert_int_equal(job.attempt, 1);
    assert_true(slw_str_eqz(finished(&b), "1:failed"));
    bench_done(&b);
}

static void
a_failure_of_the_world_is_tried_again_up_to_the_limit(void **state)
{
    struct bench b;
    bench_init(&b);
    runner_start(&b);
    const struct slw_job job = wait_for(&b, put(&b, "test.io"));
    assert_int_equal(job.state, SLW_JOB_FAILED);
    assert_int_equal(job.error_rc, SLW_IO);
    assert_true(slw_str_eqz(job.error, "no route in attempt 3"));
    assert_int_equal(job.attempt, 3);
    assert_int_equal(job.attempt_max, 3);
    assert_true(slw_str_eqz(finished(&b), "1:failed"));
    bench_done(&b);
}

static void
a_crash_is_tried_again_and_half_done_work_is_gone(void **state)
{
    struct bench b;
    bench_init(&b);
    runner_start(&b);
    const struct slw_job job = wait_for(&b, put(&b, "test.crash_first"));
    assert_int_equal(job.state, SLW_JOB_SUCCEEDED);
    assert_int_equal(job.attempt, 2);
    assert_int_equal(job.error.len, 0);
    assert_int_equal(read_counter(&b, "done"), 1);
    assert_true(slw_str_eqz(finished(&b), "1:succeeded"));
    bench_done(&b);
}

static void
a_crash_in_the_last_attempt_names_the_signal(void **state)
{
    struct bench b;
    bench_init(&b);
    runner_start(&b);
    const struct slw_job job = wait_for(&b, put(&b, "test.crash_always"));
    assert_int_equal(job.state, SLW_JOB_FAILED);
    assert_int_equal(job.error_rc, SLW_INTERNAL);
    assert_true(
        slw_str_starts(job.error, "its process crashed with signal 11"));
    bench_done(&b);
}

static void
a_crash_after_the_commit_changes_nothing(void **state)
{
    struct bench b;
    bench_init(&b);
    runner_start(&b);
    const int64_t id = put(&b, "test.crash_last");
    assert_int_equal(wait_for(&b, id).state, SLW_JOB_SUCCEEDED);
    /* Let the runner see the crash; then another job has run behind it. */
    assert_int_equal(wait_for(&b, put(&b, "test.ok")).state, SLW_JOB_SUCCEEDED);
    assert_int_equal(wait_for(&b, id).attempt, 1);
    assert_int_equal(read_counter(&b, "done"), 2);
    assert_true(slw_str_eqz(finished(&b), "1:succeeded 2:succeeded"));
    bench_done(&b);
}

static void
a_job_that_takes_too_long_is_stopped(void **state)
{
    struct bench b;
    bench_init(&b);
    runner_start(&b);
    const struct slw_job job = wait_for(&b, put(&b, "test.slow"));
    assert_int_equal(job.state, SLW_JOB_FAILED);
    assert_int_equal(job.error_rc, SLW_TIMEOUT);
    assert_true(
        slw_str_eqz(job.error, "took longer than 300 ms and was stopped"));
    bench_done(&b);
}

static void
an_unknown_kind_fails_with_a_sentence(void **state)
{
    struct bench b;
    bench_init(&b);
    runner_start(&b);
    const struct slw_job job = wait_for(&b, put(&b, "test.unheard_of"));
    assert_int_equal(job.state, SLW_JOB_FAILED);
    assert_int_equal(job.error_rc, SLW_UNSUPPORTED);
    assert_true(slw_str_eqz(
        job.error, "this Slipway has no job of kind 'test.unheard_of'"));
    assert_int_equal(wait_for(&b, put(&b, "test.ok")).state, SLW_JOB_SUCCEEDED);
    bench_done(&b);
}

static void
cancelling_ends_queued_and_running_jobs(void **state)
{
    struct bench b;
    struct slw_err err;
    bench_init(&b);
    const int64_t queued = put(&b, "test.ok");
    assert_ok(slw_job_cancel(b.store, T0 + 1, queued, &err), err);
    assert_int_equal(wait_for(&b, queued).state, SLW_JOB_CANCELLED);
    assert_fails(slw_job_cancel(b.store, T0, queued, &err), SLW_CONFLICT, err,
                 "job 1 has cancelled already");
    assert_fails(slw_job_cancel(b.store, T0, 99, &err), SLW_NOT_FOUND, err,
                 "there is no job 99");
    runner_start(&b);
    const int64_t running = put(&b, "test.for_ever");
    const int64_t stubborn = put(&b, "test.stubborn");
    wait_started(&b, 2);
    assert_ok(slw_job_cancel(b.store, T0 + 2, running, &err), err);
    assert_ok(slw_job_cancel(b.store, T0 + 3, stubborn, &err), err);
    assert_int_equal(wait_for(&b, running).state, SLW_JOB_CANCELLED);
    /* Both slots come free again: the children are really gone. */
    const int64_t a = put(&b, "test.ok");
    const int64_t c = put(&b, "test.ok");
    assert_int_equal(wait_for(&b, a).state, SLW_JOB_SUCCEEDED);
    assert_int_equal(wait_for(&b, c).state, SLW_JOB_SUCCEEDED);
    assert_int_equal(wait_for(&b, stubborn).state, SLW_JOB_CANCELLED);
    bench_done(&b);
}

static void
a_cancelled_job_cannot_finish_any_more(void **state)
{
    struct bench b;
    struct slw_err err;
    bench_init(&b);
    runner_start(&b);
    const int64_t id = put(&b, "test.late");
    struct slw_job job;
    for (int i = 0; i < 500; i++) {
        assert_ok(slw_job_wait(b.store, id, 0, &b.arena, &job, &err), err);
        if (job.state == SLW_JOB_RUNNING)
            break;
        (void)usleep(10000);
    }
    assert_int_equal(job.state, SLW_JOB_RUNNING);
    assert_ok(slw_job_cancel(b.store, T0, id, &err), err);
    slw_jobs_stop(b.jobs); /* waits for the child */
    b.jobs = NULL;
    assert_int_equal(wait_for(&b, id).state, SLW_JOB_CANCELLED);
    assert_int_equal(read_counter(&b, "done"), 0);
    assert_true(slw_str_eqz(finished(&b), "1:cancelled"));
    bench_done(&b);
}

static void
a_key_is_queued_once_while_it_lives(void **state)
{
    struct bench b;
    bench_init(&b);
    const int64_t first = put_keyed(&b, "test.ok", "retrain:next-close");
    assert_true(put_keyed(&b, "test.ok", "retrain:next-close") == first);
    assert_true(put_keyed(&b, "test.ok", "retrain:other") != first);
    runner_start(&b);
    assert_int_equal(wait_for(&b, first).state, SLW_JOB_SUCCEEDED);
    const int64_t second = put_keyed(&b, "test.ok", "retrain:next-close");
    assert_true(second != first);
    assert_int_equal(wait_for(&b, second).state, SLW_JOB_SUCCEEDED);
    assert_int_equal(read_counter(&b, "done"), 3);
    bench_done(&b);
}

static void
a_stopping_server_puts_its_jobs_back(void **state)
{
    struct bench b;
    bench_init(&b);
    runner_start(&b);
    const int64_t id = put(&b, "test.for_ever");
    wait_started(&b, 1);
    slw_jobs_stop(b.jobs);
    b.jobs = NULL;
    struct slw_err err;
    struct slw_job job;
    assert_ok(slw_job_wait(b.store, id, 0, &b.arena, &job, &err), err);
    assert_int_equal(job.state, SLW_JOB_QUEUED);
    assert_int_equal(job.attempt, 0); /* that was no fault of the job's */
    bench_done(&b);
}

/* A whole server is killed while its child works.  The child dies with it;
 * the next server starts the job again. */
static void
a_job_of_a_killed_server_is_started_again(void **state)
{
    struct bench b;
    bench_init(&b);
    const int64_t id = put(&b, "test.for_ever");
    slw_store_close(b.store);
    for (int round = 1; round <= 2; round++) {
        const pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            store_open(&b);
            runner_start(&b);
            wait_started(&b, round);
            (void)kill(getpid(), SIGKILL);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
    }
    store_open(&b);
    runner_start(&b); /* two attempts were all it had */
    const struct slw_job job = wait_for(&b, id);
    assert_int_equal(job.state, SLW_JOB_FAILED);
    assert_int_equal(job.error_rc, SLW_INTERNAL);
    assert_int_equal(job.attempt, 2);
    assert_true(slw_str_eqz(job.error, "the server died while the job ran"));
    assert_int_equal(read_counter(&b, "started"), 2);
    bench_done(&b);
}

static void
lists_are_newest_first_and_filtered(void **state)
{
    struct bench b;
    struct slw_err err;
    bench_init(&b);
    for (int i = 0; i < 6; i++)
        (void)put(&b, i % 2 ? "test.ok" : "test.io");
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, b.store, &err), err);
    struct slw_job *jobs;
    size_t count;
    assert_ok(slw_job_list(&tx, SLW_STR(""), SLW_STR(""), 0, 4, &b.arena, &jobs,
                           &count, &err),
              err);
    assert_int_equal(count, 4);
    assert_int_equal(jobs[0].id, 6);
    assert_int_equal(jobs[3].id, 3);
    assert_ok(slw_job_list(&tx, SLW_STR("test.io"), SLW_STR("prices"), 5, 9,
                           &b.arena, &jobs, &count, &err),
              err);
    assert_int_equal(count, 2);
    assert_int_equal(jobs[0].id, 3);
    assert_ok(slw_job_list(&tx, SLW_STR(""), SLW_STR("other"), 0, 9, &b.arena,
                           &jobs, &count, &err),
              err);
    assert_int_equal(count, 0);
    slw_tx_done(&tx);
    bench_done(&b);
}

/* ---- tasks ---- */

static void
a_task_answers_or_passes_its_error_on(void **state)
{
    struct bench b;
    struct slw_err err;
    bench_init(&b);
    SLW_AUTO(slw_buf, out);
    assert_ok(slw_task_run(b.store, "echo", SLW_STR("{\"a\":[1,\"ü\"]}"),
                           WAIT_MS, &out, &err),
              err);
    assert_true(slw_str_eqz(slw_buf_view(&out), "{\"got\":{\"a\":[1,\"ü\"]}}"));
    slw_buf_clear(&out);
    assert_fails(
        slw_task_run(b.store, "fail", SLW_STR("{}"), WAIT_MS, &out, &err),
        SLW_LIMIT, err, "more than 10 rows \"quoted\"");
    assert_fails(
        slw_task_run(b.store, "none", SLW_STR("{}"), WAIT_MS, &out, &err),
        SLW_UNSUPPORTED, err, "has no task 'none'");
    assert_fails(
        slw_task_run(b.store, "echo", SLW_STR("{broken"), WAIT_MS, &out, &err),
        SLW_INVALID, err, "line 1");
    assert_fails(
        slw_task_run(b.store, "crash", SLW_STR("{}"), WAIT_MS, &out, &err),
        SLW_INTERNAL, err, "signal 11");
    assert_non_null(strstr(err.msg, "the wheels came off"));
    assert_fails(slw_task_run(b.store, "hang", SLW_STR("{}"), 200, &out, &err),
                 SLW_TIMEOUT, err, "took longer than 200 ms");
    assert_int_equal(out.len, 0);
    bench_done(&b);
}

int
main(int argc, char **argv)
{
    if (argc > 4)
        return child_main(argv);
    (void)setenv("SLIPWAY_EXE", "/proc/self/exe", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_of_a_killed_server_is_started_again),
        cmocka_unit_test(a_job_runs_in_a_child_and_its_result_is_kept),
        cmocka_unit_test(a_failure_of_the_input_is_final),
        cmocka_unit_test(a_failure_of_the_world_is_tried_again_up_to_the_limit),
        cmocka_unit_test(a_crash_is_tried_again_and_half_done_work_is_gone),
        cmocka_unit_test(a_crash_in_the_last_attempt_names_the_signal),
        cmocka_unit_test(a_crash_after_the_commit_changes_nothing),
        cmocka_unit_test(a_job_that_takes_too_long_is_stopped),
        cmocka_unit_test(an_unknown_kind_fails_with_a_sentence),
        cmocka_unit_test(cancelling_ends_queued_and_running_jobs),
        cmocka_unit_test(a_cancelled_job_cannot_finish_any_more),
        cmocka_unit_test(a_key_is_queued_once_while_it_lives),
        cmocka_unit_test(a_stopping_server_puts_its_jobs_back),
        cmocka_unit_test(lists_are_newest_first_and_filtered),
        cmocka_unit_test(a_task_answers_or_passes_its_error_on),
    };
    return cmocka_run_group_tests_name("jobs/jobs", tests, NULL, NULL);
}
