/* group_commit.c -- hot writes a second through slw_store_group(), by 1, 16
 * and 64 threads that each wait until their write is on disk.
 *
 * Prints one JSON object a setting; `ratio` is against one thread alone, which
 * pays a sync of the disk for every write.  The settings take turns, so that a
 * slow minute of the disk falls on all of them.
 *
 *   group_commit FOLDER     an empty folder on the disk to be measured */
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"

#define ROUNDS 3
#define ROUND_MS 700
#define THREADS_MAX 64

static const int THREADS[] = {1, 16, 64};

struct crowd {
    struct slw_store *store;
    int64_t end_ns;
    atomic_int next_writer;
    atomic_llong writes;
};

static enum slw_rc
put(struct slw_tx *tx, void *ctx, struct slw_err *err)
{
    return slw_meta_set(tx, ctx, SLW_STR("0.5"), err);
}

static void *
write_until_the_end(void *arg)
{
    struct crowd *c = arg;
    struct slw_err err;
    char key[32];
    int64_t writes = 0;
    (void)snprintf(key, sizeof key, "bench-%d",
                   atomic_fetch_add(&c->next_writer, 1));
    while (slw_mono_ns() < c->end_ns) {
        if (slw_store_group(c->store, put, key, &err) != SLW_OK) {
            fprintf(stderr, "group_commit: %s\n", err.msg);
            exit(1);
        }
        writes++;
    }
    atomic_fetch_add(&c->writes, writes);
    return NULL;
}

static int64_t
round_run(struct slw_store *s, int thread_count)
{
    pthread_t threads[THREADS_MAX];
    struct crowd c = {.store = s,
                      .end_ns = slw_mono_ns() + ROUND_MS * INT64_C(1000000)};
    for (int i = 0; i < thread_count; i++)
        SLW_ASSERT(pthread_create(&threads[i], NULL, write_until_the_end, &c) ==
                   0);
    for (int i = 0; i < thread_count; i++)
        SLW_ASSERT(pthread_join(threads[i], NULL) == 0);
    return c.writes;
}

int
main(int argc, char **argv)
{
    double writes_s[SLW_ARRAY_LEN(THREADS)] = {0};
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
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < SLW_ARRAY_LEN(THREADS); i++)
            writes_s[i] += (double)round_run(s, THREADS[i]) /
                           (ROUNDS * ROUND_MS / 1000.0);
    slw_store_close(s);
    for (size_t i = 0; i < SLW_ARRAY_LEN(THREADS); i++)
        printf("{\"bench\":\"group_commit\",\"threads\":%d,"
               "\"writes_s\":%.0f,\"ratio\":%.2f}\n",
               THREADS[i], writes_s[i], writes_s[i] / writes_s[0]);
    return 0;
}
