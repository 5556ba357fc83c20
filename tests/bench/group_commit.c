/* group_commit.c -- hot writes a second that are on disk when the call returns:
 * 1, 16 and 64 threads through slw_store_group(), and 16 threads with a
 * transaction each.
 *
 * What a shared commit gains is what a sync costs, and that is nothing on a
 * disk that has memory for a cache.  So every setting is measured twice: with
 * the disk's own syncs, and with syncs that take 1 ms more, as on a plain SSD:
 * SQLite's fdatasync() and fsync() are those of this file.
 *
 * Prints one JSON object a setting.  The settings take turns, so that a slow
 * minute of the machine falls on all of them.
 *
 *   group_commit FOLDER     an empty folder on the disk to be measured */
#include "store/store.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define ROUNDS 3
#define ROUND_MS 500
#define THREADS_MAX 64
#define SLOW_SYNC_NS 1000000

static const struct setting {
    int threads;
    bool shares;
} SETTINGS[] = {{1, true}, {16, true}, {64, true}, {16, false}};

struct crowd {
    struct slw_store *store;
    bool shares; /* transactions with others */
    int64_t end_ns;
    atomic_int next_writer;
    atomic_llong writes;
};

static atomic_bool syncs_are_slow;

static int
sync_slowly(long call, int fd)
{
    const struct timespec t = {.tv_nsec = SLOW_SYNC_NS};
    if (atomic_load(&syncs_are_slow))
        nanosleep(&t, NULL);
    return (int)syscall(call, fd);
}

int
fdatasync(int fd)
{
    return sync_slowly(SYS_fdatasync, fd);
}

int
fsync(int fd)
{
    return sync_slowly(SYS_fsync, fd);
}

struct write {
    char key[32];
    int64_t value; /* another each time: SQLite does not write what is there */
};

static enum slw_rc
put(struct slw_tx *tx, void *ctx, struct slw_err *err)
{
    const struct write *w = ctx;
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRId64, w->value);
    return slw_meta_set(tx, w->key, slw_str_of(text), err);
}

static enum slw_rc
put_alone(struct slw_store *s, struct write *w, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, s, err));
    TRY(put(&tx, w, err));
    return slw_tx_commit(&tx, err);
}

static void *
write_until_the_end(void *arg)
{
    struct crowd *c = arg;
    struct slw_err err;
    struct write w = {.value = slw_mono_ns()};
    const int64_t first = w.value;
    (void)snprintf(w.key, sizeof w.key, "bench-%d",
                   atomic_fetch_add(&c->next_writer, 1));
    while (slw_mono_ns() < c->end_ns) {
        const enum slw_rc rc = c->shares
                                   ? slw_store_group(c->store, put, &w, &err)
                                   : put_alone(c->store, &w, &err);
        if (rc != SLW_OK) {
            fprintf(stderr, "group_commit: %s\n", err.msg);
            exit(1);
        }
        w.value++;
    }
    atomic_fetch_add(&c->writes, w.value - first);
    return NULL;
}

/* Writes a second. */
static double
round_run(struct slw_store *s, const struct setting *set)
{
    pthread_t threads[THREADS_MAX];
    const int64_t begin_ns = slw_mono_ns();
    struct crowd c = {.store = s,
                      .shares = set->shares,
                      .end_ns = begin_ns + ROUND_MS * INT64_C(1000000)};
    for (int i = 0; i < set->threads; i++)
        SLW_ASSERT(pthread_create(&threads[i], NULL, write_until_the_end, &c) ==
                   0);
    for (int i = 0; i < set->threads; i++)
        SLW_ASSERT(pthread_join(threads[i], NULL) == 0);
    return (double)c.writes / ((double)(slw_mono_ns() - begin_ns) / 1e9);
}

static void
measure(struct slw_store *s, bool slow)
{
    double writes_s[SLW_ARRAY_LEN(SETTINGS)] = {0};
    atomic_store(&syncs_are_slow, slow);
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < SLW_ARRAY_LEN(SETTINGS); i++)
            writes_s[i] += round_run(s, &SETTINGS[i]) / ROUNDS;
    for (size_t i = 0; i < SLW_ARRAY_LEN(SETTINGS); i++)
        printf("{\"bench\":\"group_commit\",\"slow_sync\":%s,\"threads\":%d,"
               "\"shares\":%s,\"writes_s\":%.0f}\n",
               slow ? "true" : "false", SETTINGS[i].threads,
               SETTINGS[i].shares ? "true" : "false", writes_s[i]);
}

int
main(int argc, char **argv)
{
    struct slw_store *s = NULL;
    struct slw_err err;
    if (argc != 2) {
        fprintf(stderr, "usage: group_commit FOLDER\n");
        return 2;
    }
    const struct slw_store_options opt = {.dir = argv[1], .server = true};
    if (slw_store_open(&s, &opt, &err) != SLW_OK) {
        fprintf(stderr, "group_commit: %s\n", err.msg);
        return 1;
    }
    measure(s, false);
    measure(s, true);
    slw_store_close(s);
    return 0;
}
