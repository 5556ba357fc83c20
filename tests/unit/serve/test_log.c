/* test_log.c -- the prediction log: what was answered is kept, through
 * reopening, torn tails, many segments and kill -9. */
#include "serve/serve.h"
#include "tests/fsync_seen.h"
#include "tests/slw_test.h"

#include "tests/unit/serve/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define SEGMENT_SIZE (16 << 20)

/* Syncs of segments: how many, and whether the disk takes them. */
static _Atomic int segment_sync_count;
static _Atomic int segment_sync_fails;

int
fdatasync(int fd)
{
    char link[40], path[PATH_MAX] = "";
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    (void)!readlink(link, path, sizeof path - 1);
    if (!strstr(path, ".seg"))
        return (int)syscall(SYS_fdatasync, fd);
    segment_sync_count++;
    if (segment_sync_fails == 0)
        return (int)syscall(SYS_fdatasync, fd);
    segment_sync_fails--;
    errno = EIO;
    return -1;
}

/* What a scan saw. */
struct seen {
    size_t count;
    struct slw_prediction last;
    char last_key[64], last_id[64];
    double last_x[2], y_sum;
    unsigned char *ids; /* bit per number of an id "r<number>" */
    size_t id_max;
};

static enum slw_rc
see(void *ctx, const struct slw_prediction *p, struct slw_err *err)
{
    struct seen *s = ctx;
    s->count++;
    s->last = *p;
    snprintf(s->last_key, sizeof s->last_key, "%.*s", SLW_FMT(p->key));
    snprintf(s->last_id, sizeof s->last_id, "%.*s", SLW_FMT(p->id));
    if (p->column_count == 2)
        memcpy(s->last_x, p->x, sizeof s->last_x);
    s->y_sum += p->y;
    size_t n = strtoul(s->last_id + 1, NULL, 10);
    if (s->ids && n < s->id_max)
        s->ids[n] = 1;
    return SLW_OK;
}

static struct seen
scan(struct fixture *f, int64_t from_ms, int64_t to_ms)
{
    struct slw_err err;
    struct seen s = {0};
    assert_ok(slw_serve_log_scan(f->store, SLW_STR("d"), from_ms, to_ms, see,
                                 &s, &err),
              err);
    return s;
}

static void
say(struct fixture *f, const char *key, const char *id, int64_t event_ms,
    double a, double b)
{
    struct slw_err err;
    SLW_AUTO(slw_arena, arena);
    const double x[] = {a, b};
    const struct slw_predict_in in = {.key = slw_str_of(key),
                                      .id = slw_str_of(id),
                                      .event_ms = event_ms,
                                      .x = x,
                                      .row_count = 1};
    struct slw_predict_out out = {0};
    assert_ok(predict(f->serve, SLW_STR("d"), &in, &arena, &out, &err), err);
}

static void
the_name_of_a_new_segment_is_synced(void **state)
{
    struct fixture *f = *state;
    fsync_forget();
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    assert_true(fsync_saw("/predictions/d"));
}

static void
everything_of_an_answer_is_kept(void **state)
{
    struct fixture *f = *state;
    SLW_AUTO(slw_arena, a);
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    do_act(f, SLW_SERVE_SHADOW, 2, 0);
    say(f, "AAPL", "r7", NOW_MS - 5, 1, 2);
    struct seen s = scan(f, INT64_MIN, INT64_MAX);
    assert_int_equal(s.count, 1);
    assert_string_equal(s.last_key, "AAPL");
    assert_string_equal(s.last_id, "r7");
    assert_int_equal(s.last.at_ms, NOW_MS);
    assert_int_equal(s.last.event_ms, NOW_MS - 5);
    assert_int_equal(s.last.by, SLW_BY_CHAMPION);
    assert_true(slw_str_eqz(row(f, &a).champion, s.last.release));
    assert_near(s.last.y, 3, 0);
    assert_near(s.last.model_y, 3, 0);
    assert_near(s.last.rule_y, -1, 0);
    assert_near(s.last.shadow_y, 103, 0);
    assert_true(s.last.latency_ns > 0);
    assert_int_equal(s.last.column_count, 2);
    assert_near(s.last_x[0], 1, 0);
    assert_near(s.last_x[1], 2, 0);
}

static void
a_fallback_is_kept_with_what_the_model_said(void **state)
{
    struct fixture *f = *state;
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    do_act(f, SLW_SERVE_WITHDRAW, 0, 0);
    say(f, "k", "r1", 0, 1, 2);
    struct seen s = scan(f, INT64_MIN, INT64_MAX);
    assert_int_equal(s.last.by, SLW_BY_FALLBACK);
    assert_near(s.last.y, -1, 0);
    assert_near(s.last.model_y, 3, 0);
    assert_near(s.last.shadow_y, NAN, 0);
    assert_int_equal(s.last.event_ms, NOW_MS);
}

static void
a_scan_takes_a_range_of_event_times(void **state)
{
    struct fixture *f = *state;
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    for (int i = 0; i < 10; i++)
        say(f, "k", "r1", 1000 + i, i, 0);
    assert_int_equal(scan(f, 1003, 1005).count, 3);
    assert_int_equal(scan(f, 1009, 5000).count, 1);
    assert_int_equal(scan(f, 0, 999).count, 0);
    struct slw_err err;
    struct seen s = {0};
    assert_ok(slw_serve_log_scan(f->store, SLW_STR("never"), 0, INT64_MAX, see,
                                 &s, &err),
              err);
    assert_int_equal(s.count, 0);
}

static void
the_challenger_is_scored_in_the_shadow_when_declared(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    assert_ok(slw_serve_declare(f->serve, NOW_MS, SLW_STR("d"),
                                SLW_STR("{\"model\":\"m\",\"timeout_ms\":60000,"
                                        "\"shadow\":[\"challenger\"]}"),
                                &err),
              err);
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    do_act(f, SLW_SERVE_CANARY, 2, 0.0001);
    do_act(f, SLW_SERVE_WEIGHT, 0, 0);
    say(f, "k", "r1", 0, 1, 2);
    assert_near(scan(f, INT64_MIN, INT64_MAX).last.shadow_y, 103, 0);
}

static void
reopening_goes_on_behind_the_last_record(void **state)
{
    struct fixture *f = *state;
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    say(f, "k", "r1", 0, 1, 0);
    fixture_close(f);
    fixture_open(f);
    say(f, "k", "r2", 0, 2, 0);
    fixture_close(f);
    fixture_open(f);
    struct seen s = scan(f, INT64_MIN, INT64_MAX);
    assert_int_equal(s.count, 2);
    assert_near(s.y_sum, 3, 0);
    assert_string_equal(s.last_id, "r2");
}

static void
segment_file(struct fixture *f, int number, char out[400])
{
    snprintf(out, 400, "%s/predictions/d/%08d.seg", f->dir, number);
}

/* Change one byte of the log where the nth record of 128 bytes stands. */
static void
damage(struct fixture *f, size_t at)
{
    char path[400];
    unsigned char byte = 0;
    segment_file(f, 1, path);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 0x5A;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

static void
a_torn_record_is_passed_over_and_written_over(void **state)
{
    struct fixture *f = *state;
    /* Head 256; a record: 112 + 2 * 8 + "k" + "r1" = 131, so 136. */
    enum { HEAD = 256, RECORD = 136 };
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    for (int i = 0; i < 4; i++)
        say(f, "k", "r1", 0, i, 0);
    fixture_close(f);
    damage(f, HEAD + 2 * RECORD + 120); /* in the x of the third */
    fixture_open(f);
    assert_int_equal(scan(f, INT64_MIN, INT64_MAX).count, 2);
    /* What stood behind the torn one must not come back to life. */
    say(f, "k", "r9", 0, 9, 0);
    struct seen s = scan(f, INT64_MIN, INT64_MAX);
    assert_int_equal(s.count, 3);
    assert_near(s.last_x[0], 9, 0);
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(scan(f, INT64_MIN, INT64_MAX).count, 3);
}

static void
wild_lengths_do_not_lead_a_reader_astray(void **state)
{
    struct fixture *f = *state;
    char path[400];
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    say(f, "k", "r1", 0, 1, 0);
    fixture_close(f);
    segment_file(f, 1, path);
    for (uint32_t length = 1; length != 0; length <<= 1) {
        int fd = open(path, O_RDWR);
        assert_int_equal(pwrite(fd, &length, 4, 256 + 136), 4);
        close(fd);
        fixture_open(f);
        assert_int_equal(scan(f, INT64_MIN, INT64_MAX).count, 1);
        fixture_close(f);
    }
    fixture_open(f);
}

static void
a_full_segment_is_followed_by_the_next(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    enum { ROWS = 20000, CALLS = 8 }; /* 160,000 * 136 = 21.8 MB */
    double *x = calloc(ROWS * 2, sizeof *x);
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    for (int c = 0; c < CALLS; c++) {
        const struct slw_predict_in in = {.key = SLW_STR("k"),
                                          .id = SLW_STR("r1"),
                                          .event_ms = 1000 + c,
                                          .x = x,
                                          .row_count = ROWS};
        struct slw_predict_out out = {0};
        slw_arena_reset(&a);
        assert_ok(predict(f->serve, SLW_STR("d"), &in, &a, &out, &err), err);
    }
    assert_int_equal(scan(f, INT64_MIN, INT64_MAX).count, ROWS * CALLS);
    fixture_close(f); /* the flusher seals the first on its way out */
    fixture_open(f);
    assert_int_equal(scan(f, INT64_MIN, INT64_MAX).count, ROWS * CALLS);
    assert_int_equal(scan(f, 1007, 1007).count, ROWS);
    SLW_AUTO(slw_tx, tx);
    SLW_AUTO(slw_stmt, st);
    bool found = false;
    assert_ok(slw_tx_read(&tx, f->store, &err), err);
    assert_ok(slw_stmt_prepare(&st, &tx,
                               "SELECT first_event_ms, last_event_ms,"
                               " record_count FROM serve_segment"
                               " WHERE sealed = 1 AND sequence = 1",
                               &err),
              err);
    assert_ok(slw_stmt_step(&st, &found, &err), err);
    assert_true(found);
    assert_int_equal(slw_col_i64(&st, 0), 1000);
    assert_in_range(slw_col_i64(&st, 1), 1005, 1007);
    assert_true(slw_col_i64(&st, 2) > 120000);
    free(x);
}

static void
a_sync_that_failed_is_done_again_without_another_prediction(void **state)
{
    struct fixture *f = *state;
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    say(f, "k", "r1", 0, 0, 0);
    while (segment_sync_count == 0)
        usleep(1000);
    usleep(200000); /* the flusher has nothing left to do */
    const int before = segment_sync_count;
    segment_sync_fails = 3;
    say(f, "k", "r2", 0, 0, 0);
    for (int i = 0; i < 5000 && segment_sync_count < before + 4; i++)
        usleep(1000);
    assert_int_equal(segment_sync_count, before + 4);
    assert_int_equal(scan(f, INT64_MIN, INT64_MAX).count, 2);
}

static void
predictions_go_on_when_none_can_be_kept(void **state)
{
    struct fixture *f = *state;
    struct slw_predict_out out;
    char path[400];
    /* A file where the folder should be: no segment can be made. */
    snprintf(path, sizeof path, "%s/predictions", f->dir);
    (void)mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/predictions/d", f->dir);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    for (int i = 0; i < 3; i++)
        assert_near(answer(f, "k", 1, 2, &out), 3, 0);
    SLW_AUTO(slw_buf, b);
    slw_serve_metrics(f->serve, &b);
    assert_non_null(strstr(b.ptr, "slipway_prediction_log_dropped_total"
                                  "{deployment=\"d\"} 3\n"));
    /* Repaired: the flusher finds out by itself. */
    assert_int_equal(unlink(path), 0);
    size_t count = 0;
    for (int i = 0; i < 1000 && count == 0; i++) {
        usleep(10000);
        answer(f, "k", 1, 2, &out);
        count = scan(f, INT64_MIN, INT64_MAX).count;
    }
    assert_true(count > 0);
}

/* ---- kill -9 ---- */

/* Predict without end and say each number once it was answered. */
static void
child_main(struct fixture *f, int fd)
{
    fixture_open(f);
    for (uint32_t i = 1;; i++) {
        char id[32];
        snprintf(id, sizeof id, "r%u", i);
        say(f, "k", id, 0, i, 0);
        if (write(fd, &i, sizeof i) != sizeof i)
            _exit(1);
    }
}

static void
nothing_acknowledged_is_lost_by_kill_9(void **state)
{
    struct fixture *f = *state;
    enum { ROUNDS = 3, ACKS = 3000 };
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    for (int round = 0; round < ROUNDS; round++) {
        fixture_close(f);
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(fds[0]);
            child_main(f, fds[1]);
        }
        close(fds[1]);
        uint32_t last = 0, n;
        while (last < ACKS && read(fds[0], &n, sizeof n) == sizeof n)
            last = n;
        kill(pid, SIGKILL);
        while (read(fds[0], &n, sizeof n) == sizeof n)
            last = n; /* said before it died */
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        close(fds[0]);
        assert_true(last >= ACKS);
        fixture_open(f);
        struct slw_err err;
        struct seen s = {.id_max = last + 1, .ids = calloc(last + 1, 1)};
        assert_ok(slw_serve_log_scan(f->store, SLW_STR("d"), INT64_MIN,
                                     INT64_MAX, see, &s, &err),
                  err);
        for (uint32_t i = 1; i <= last; i++)
            assert_int_equal(s.ids[i], 1);
        free(s.ids);
        size_t before = s.count;
        say(f, "k", "r0", 0, 0, 0);
        assert_int_equal(scan(f, INT64_MIN, INT64_MAX).count, before + 1);
        /* The next round starts with an empty log. */
        fixture_close(f);
        char path[400];
        for (int i = 1; i < 10; i++) {
            segment_file(f, i, path);
            (void)unlink(path);
        }
        fixture_open(f);
    }
}

#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_name_of_a_new_segment_is_synced),
        T(everything_of_an_answer_is_kept),
        T(a_fallback_is_kept_with_what_the_model_said),
        T(a_scan_takes_a_range_of_event_times),
        T(the_challenger_is_scored_in_the_shadow_when_declared),
        T(reopening_goes_on_behind_the_last_record),
        T(a_torn_record_is_passed_over_and_written_over),
        T(wild_lengths_do_not_lead_a_reader_astray),
        T(a_full_segment_is_followed_by_the_next),
        T(a_sync_that_failed_is_done_again_without_another_prediction),
        T(predictions_go_on_when_none_can_be_kept),
        T(nothing_acknowledged_is_lost_by_kill_9),
    };
    return cmocka_run_group_tests_name("serve/log", tests, NULL, NULL);
}
