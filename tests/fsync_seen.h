/* fsync_seen.h -- which files and folders were synced: in the one test
 * program that includes it, this fsync() takes the place of libc's. */
#ifndef SLW_TESTS_FSYNC_SEEN_H
#define SLW_TESTS_FSYNC_SEEN_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t fsync_lock = PTHREAD_MUTEX_INITIALIZER;
static char fsync_paths[256][PATH_MAX];
static size_t fsync_count;

int
fsync(int fd)
{
    char link[40], path[PATH_MAX] = "";
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    (void)!readlink(link, path, sizeof path - 1);
    (void)pthread_mutex_lock(&fsync_lock);
    memcpy(fsync_paths[fsync_count++ % 256], path, sizeof path);
    (void)pthread_mutex_unlock(&fsync_lock);
    return (int)syscall(SYS_fsync, fd);
}

static inline void
fsync_forget(void)
{
    (void)pthread_mutex_lock(&fsync_lock);
    memset(fsync_paths, 0, sizeof fsync_paths);
    fsync_count = 0;
    (void)pthread_mutex_unlock(&fsync_lock);
}

/* Was something synced whose path ends like this? */
static inline bool
fsync_saw(const char *end)
{
    bool saw = false;
    (void)pthread_mutex_lock(&fsync_lock);
    for (size_t i = 0; i < 256; i++) {
        const size_t len = strlen(fsync_paths[i]), want = strlen(end);
        saw |= len >= want && strcmp(fsync_paths[i] + len - want, end) == 0;
    }
    (void)pthread_mutex_unlock(&fsync_lock);
    return saw;
}

#endif
