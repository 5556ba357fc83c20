/* test_crash.c -- kill -9 in the middle of writing, and a disk that is full:
 * what was acknowledged is there, what was not leaves nothing half done. */
#include "store/blob.h"
#include "store/event.h"
#include "store/store.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/rng.h"
#include "tests/slw_test.h"

#define T0 INT64_C(1700000000000)

static struct slw_store *
open_server(const char *dir)
{
    struct slw_err err;
    struct slw_store *s = NULL;
    const struct slw_store_options opt = {.dir = dir, .server = true};
    if (slw_store_open(&s, &opt, &err) != SLW_OK)
        fail_msg("%s", err.msg);
    return s;
}

/* ---- kill -9 ---- */

#define WRITERS 4
#define KILLS 20

struct writer {
    struct slw_store *store;
    int fd; /* acknowledgements go out here, one write() each */
    int round;
    int number;
};

struct ack {
    int round, number, count;
};

static enum slw_rc
group_put(struct slw_tx *tx, void *ctx, struct slw_err *err)
{
    return slw_meta_set(tx, ctx, SLW_STR("v"), err);
}

static void
ack_key(const struct ack *a, char key[64])
{
    (void)snprintf(key, 64, "k-%d-%d-%d", a->round, a->number, a->count);
}

/* Even writers go through the group, odd ones write a row and its event in
 * an ordinary transaction. */
static enum slw_rc
write_one(struct writer *w, char *key, struct slw_err *err)
{
    if (w->number % 2 == 0)
        return slw_store_group(w->store, group_put, key, err);
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, w->store, err));
    TRY(slw_meta_set(&tx, key, SLW_STR("v"), err));
    TRY(slw_event_emit(&tx, T0, "test.put", slw_str_of(key), SLW_STR("{}"),
                       err));
    return slw_tx_commit(&tx, err);
}

static void *
write_for_ever(void *arg)
{
    struct writer *w = arg;
    for (struct ack a = {w->round, w->number, 0};; a.count++) {
        char key[64];
        struct slw_err err;
        ack_key(&a, key);
        if (write_one(w, key, &err) != SLW_OK ||
            write(w->fd, &a, sizeof(a)) != (ssize_t)sizeof(a))
            _exit(3);
    }
    return NULL;
}

static void
server_main(const char *dir, int fd, int round)
{
    struct writer writers[WRITERS];
    pthread_t thread;
    struct slw_store *s = open_server(dir);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){s, fd, round, i};
        SLW_ASSERT(pthread_create(&thread, NULL, write_for_ever, &writers[i]) ==
                   0);
    }
    for (;;)
        (void)pause();
}

static int
acks_check(struct slw_store *s, int fd)
{
    struct slw_err err;
    SLW_AUTO(slw_arena, arena);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, s, &err), err);
    int count = 0;
    struct ack a;
    for (; read(fd, &a, sizeof(a)) == (ssize_t)sizeof(a); count++) {
        char key[64];
        struct slw_str got;
        struct slw_event e;
        ack_key(&a, key);
        assert_ok(slw_meta_get(&tx, key, &arena, &got, &err), err);
        if (a.number % 2 == 1)
            assert_ok(slw_event_after(&tx, 0, SLW_STR(""), slw_str_of(key),
                                      &arena, &e, &err),
                      err);
    }
    int64_t events = 0;
    assert_ok(slw_event_verify(&tx, &events, &err), err);
    return count;
}

static void
nothing_acknowledged_is_lost_by_kill_9(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    int total = 0;
    for (int round = 0; round < KILLS; round++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        const pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            (void)close(fds[0]);
            server_main(dir, fds[1], round);
        }
        (void)close(fds[1]);
        /* Once it writes, however slow the machine; then at any point. */
        struct pollfd first = {.fd = fds[0], .events = POLLIN};
        assert_int_equal(poll(&first, 1, 60000), 1);
        (void)usleep((useconds_t)(round * 7919 % 60000));
        assert_int_equal(kill(pid, SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        struct slw_store *s = open_server(dir);
        struct slw_err err;
        total += acks_check(s, fds[0]);
        assert_ok(slw_store_check(s, &err), err);
        slw_store_close(s);
        (void)close(fds[0]);
    }
    print_message("%d kills, %d acknowledged writes, all there\n", KILLS,
                  total);
    assert_true(total >= KILLS); /* or the test has tested nothing */
}

/* A blob that was being written is there whole or not at all. */
static void
a_blob_cut_short_by_kill_9_is_not_there(void **state)
{
    char dir[256];
    slw_test_dir(dir);
    const size_t len = (size_t)8 << 20;
    char *bytes = slw_alloc(len);
    struct slw_rng rng;
    slw_rng_init(&rng, 1);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)slw_rng_u64(&rng);
    const struct slw_sha256 hash = slw_sha256_of(bytes, len);
    char hex[65];
    (void)slw_sha256_hex(&hash, hex);
    for (int round = 0; round < 8; round++) {
        struct slw_store *s = open_server(dir);
        slw_store_close(s);
        const pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct slw_err err;
            struct slw_blob_info info;
            s = open_server(dir);
            (void)!slw_blob_put(s, (struct slw_str){bytes, len}, &info, &err);
            (void)kill(getpid(), SIGKILL);
        }
        (void)usleep((useconds_t)(10000 + 20000 * round));
        (void)kill(pid, SIGKILL);
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        s = open_server(dir);
        struct slw_err err;
        if (slw_blob_exists(s, hex))
            assert_ok(slw_blob_verify(s, hex, &err), err);
        slw_store_close(s);
    }
    struct slw_store *s = open_server(dir);
    struct slw_err err;
    struct slw_blob_info info;
    assert_ok(slw_blob_put(s, (struct slw_str){bytes, len}, &info, &err), err);
    assert_ok(slw_blob_verify(s, hex, &err), err);
    slw_store_close(s);
    slw_free(bytes);
}

/* ---- a full disk ---- */

static enum slw_rc
fill(struct slw_store *s, int *out_count, struct slw_err *err)
{
    char value[20000];
    memset(value, 'x', sizeof(value));
    for (int i = 0; i < 2000; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "fill-%d", i);
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_begin(&tx, s, err));
        TRY(slw_meta_set(&tx, key, (struct slw_str){value, sizeof(value)},
                         err));
        TRY(slw_tx_commit(&tx, err));
        *out_count = i + 1;
    }
    return SLW_OK;
}

static enum slw_rc
group_fill(struct slw_tx *tx, void *ctx, struct slw_err *err)
{
    char value[20000];
    (void)ctx;
    memset(value, 'x', sizeof(value));
    return slw_meta_set(tx, "group", (struct slw_str){value, sizeof(value)},
                        err);
}

/* In a child, on a disk of 3 MiB: returns 0 when all is as it should be,
 * otherwise prints why. */
static int
on_full_disk(const char *dir)
{
    struct slw_err err;
    int count = 0;
    struct slw_store *s = open_server(dir);
    if (fill(s, &count, &err) != SLW_IO || !strstr(err.msg, "disk is full")) {
        print_message("filling: %s\n", err.msg);
        return 1;
    }
    struct slw_err group_err = {0};
    if (slw_store_group(s, group_fill, NULL, &group_err) != SLW_IO ||
        !strstr(group_err.msg, "disk is full")) {
        print_message("group: %s\n", group_err.msg);
        return 2;
    }
    char *bytes = slw_alloc((size_t)4 << 20);
    struct slw_rng rng;
    slw_rng_init(&rng, 2);
    for (size_t i = 0; i < (size_t)4 << 20; i++)
        bytes[i] = (char)slw_rng_u64(&rng);
    struct slw_blob_info info;
    const struct slw_str content = {bytes, (size_t)4 << 20};
    if (slw_blob_put(s, content, &info, &err) != SLW_IO ||
        !strstr(err.msg, "disk is full")) {
        print_message("blob: %s\n", err.msg);
        return 3;
    }
    const struct slw_sha256 hash = slw_sha256_of(bytes, content.len);
    char hex[65];
    if (slw_blob_exists(s, slw_sha256_hex(&hash, hex)))
        return 4;
    slw_free(bytes);
    /* All that was acknowledged can still be read. */
    SLW_AUTO(slw_arena, arena);
    SLW_AUTO(slw_tx, tx);
    for (int i = 0; i < count; i++) {
        char key[32];
        struct slw_str got;
        (void)snprintf(key, sizeof(key), "fill-%d", i);
        if (i == 0 && slw_tx_read(&tx, s, &err) != SLW_OK)
            return 5;
        if (slw_meta_get(&tx, key, &arena, &got, &err) != SLW_OK ||
            got.len != 20000)
            return 6;
    }
    slw_tx_done(&tx);
    slw_store_close(s);
    return count > 5 ? 0 : 7;
}

/* On a tmpfs of our own, where we may mount one (root, in a name space of its
 * own); the next test stands in for it elsewhere. */
static int
full_disk_child(const char *dir)
{
    if (unshare(CLONE_NEWNS) == 0 &&
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount("tmpfs", dir, "tmpfs", 0, "size=3m") == 0)
        return on_full_disk(dir);
    print_message("no tmpfs can be mounted here\n");
    return 0;
}

static int
limited_files_child(const char *dir)
{
    const struct rlimit limit = {400 << 10, 400 << 10};
    struct slw_err err;
    int count = 0;
    (void)signal(SIGXFSZ, SIG_IGN);
    struct slw_store *s = open_server(dir);
    SLW_ASSERT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    if (fill(s, &count, &err) != SLW_IO || !strstr(err.msg, "disk is full")) {
        print_message("filling: %s\n", err.msg);
        return 1;
    }
    slw_store_close(s);
    return 0;
}

static void
in_child(int (*fn)(const char *dir))
{
    char dir[256];
    slw_test_dir(dir);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fn(dir));
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    /* There is room again: it goes on as if nothing had been. */
    struct slw_store *s = open_server(dir);
    struct slw_err err;
    assert_ok(slw_store_check(s, &err), err);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, s, &err), err);
    assert_ok(slw_meta_set(&tx, "after", SLW_STR("1"), &err), err);
    assert_ok(slw_tx_commit(&tx, &err), err);
    slw_store_close(s);
}

static void
a_full_disk_is_said_and_loses_nothing(void **state)
{
    in_child(full_disk_child);
}

static void
a_file_that_may_not_grow_is_said_and_loses_nothing(void **state)
{
    in_child(limited_files_child);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_acknowledged_is_lost_by_kill_9),
        cmocka_unit_test(a_blob_cut_short_by_kill_9_is_not_there),
        cmocka_unit_test(a_full_disk_is_said_and_loses_nothing),
        cmocka_unit_test(a_file_that_may_not_grow_is_said_and_loses_nothing),
    };
    return cmocka_run_group_tests_name("store/crash", tests, NULL, NULL);
}
