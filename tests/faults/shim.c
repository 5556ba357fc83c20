/* shim.c -- a bad disk and a bad clock, for any program: loaded by LD_PRELOAD
 * it stands between the program (SQLite included) and the calls that change
 * files, and counts, delays, fails or cuts short those below one folder.
 *
 * What it does stands in a small file that all processes of a test map, the
 * server and its children, so that calls have one numbering and the test can
 * change its mind at any time:
 *
 *   int64 at  0 calls counted so far       (the shim counts)
 *         1 first call that is hit, 0 none
 *         2 last call that is hit
 *         3 kind, see enum kind
 *         4 calls that count, a sum of enum class
 *         5 faults injected so far         (the shim counts)
 *         6 delay of every sync, microseconds
 *         7 delay of every write, microseconds
 *         8 offset of the system's clock, ms
 *         9 SIGKILL when the count gets here, 0 never
 *        10 process that was killed so       (the shim says)
 *
 * SLW_SHIM names the file, SLW_SHIM_DIR the folder.  Writes through mappings
 * (the prediction log, SQLite's shared memory) are not seen; their syncs are.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { NO_SPACE = 1, IO_ERROR, SHORT_WRITE, NO_SYNC };
enum class { WRITE = 1, SYNC = 2, NAME = 4, SIZE = 8 };
enum field {
    COUNT,
    FIRST,
    LAST,
    KIND,
    CLASSES,
    HITS,
    SYNC_US,
    WRITE_US,
    CLOCK_MS,
    KILL_AT,
    VICTIM,
    FIELDS
};

static _Atomic int64_t *control;
static char folder[PATH_MAX];
static size_t folder_len;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
begin(void)
{
    const char *file = getenv("SLW_SHIM"), *dir = getenv("SLW_SHIM_DIR");
    if (!file || !dir || !realpath(dir, folder))
        return;
    folder_len = strlen(folder);
    const int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)syscall(SYS_close, fd);
    control = map == MAP_FAILED ? NULL : map;
}

static int64_t
field(enum field f)
{
    pthread_once(&once, begin);
    return control ? atomic_load(&control[f]) : 0;
}

static bool
below(const char *path)
{
    char full[PATH_MAX];
    if (path[0] != '/') {
        if (!getcwd(full, sizeof full))
            return false;
        const size_t len = strlen(full);
        (void)snprintf(full + len, sizeof full - len, "/%s", path);
        path = full;
    }
    return strncmp(path, folder, folder_len) == 0;
}

static bool
fd_below(int fd)
{
    char link[40], path[PATH_MAX];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0)
        return false;
    path[n] = '\0';
    return below(path);
}

static void
wait_us(int64_t us)
{
    if (us <= 0)
        return;
    const struct timespec t = {us / 1000000, us % 1000000 * 1000};
    (void)nanosleep(&t, NULL);
}

/* Count a call; what is to become of it: 0 nothing, else an enum kind. */
static int met(enum class class)
{
    if (class == SYNC)
        wait_us(field(SYNC_US));
    if (class == WRITE)
        wait_us(field(WRITE_US));
    if (!(field(CLASSES) & class))
        return 0;
    const int64_t number = atomic_fetch_add(&control[COUNT], 1) + 1;
    const int64_t kill_at = field(KILL_AT), first = field(FIRST);
    if (kill_at && number == kill_at) {
        atomic_store(&control[VICTIM], getpid());
        (void)syscall(SYS_kill, getpid(), SIGKILL);
    }
    const int kind = (int)field(KIND);
    if (!first || number < first || number > field(LAST))
        return 0;
    if (kind == NO_SYNC && class != SYNC)
        return 0;
    if ((kind == NO_SPACE || kind == SHORT_WRITE) && class == SYNC)
        return 0;
    if (kind == SHORT_WRITE && class != WRITE)
        return 0;
    atomic_fetch_add(&control[HITS], 1);
    return kind;
}

static int
fails(int kind)
{
    errno = kind == NO_SPACE || kind == SHORT_WRITE ? ENOSPC : EIO;
    return -1;
}

#define REAL(type, name, ...)                                                  \
    static type (*real)(__VA_ARGS__);                                          \
    if (!real)                                                                 \
    real = (type(*)(__VA_ARGS__))(uintptr_t)dlsym(RTLD_NEXT, name)

/* ---- writes ---- */

ssize_t
write(int fd, const void *bytes, size_t len)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    if (!field(CLASSES) || !fd_below(fd))
        return real(fd, bytes, len);
    const int kind = met(WRITE);
    if (kind == SHORT_WRITE && len > 1)
        return real(fd, bytes, len / 2);
    return kind ? fails(kind) : real(fd, bytes, len);
}

static ssize_t
pwrite_any(ssize_t (*real)(int, const void *, size_t, off_t), int fd,
           const void *bytes, size_t len, off_t at)
{
    if (!field(CLASSES) || !fd_below(fd))
        return real(fd, bytes, len, at);
    const int kind = met(WRITE);
    if (kind == SHORT_WRITE && len > 1)
        return real(fd, bytes, len / 2, at);
    return kind ? fails(kind) : real(fd, bytes, len, at);
}

ssize_t
pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    return pwrite_any(real, fd, bytes, len, at);
}

ssize_t
pwrite64(int fd, const void *bytes, size_t len, off_t at)
{
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
    return pwrite_any(real, fd, bytes, len, at);
}

ssize_t
writev(int fd, const struct iovec *parts, int count)
{
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    if (!field(CLASSES) || !fd_below(fd))
        return real(fd, parts, count);
    const int kind = met(WRITE);
    return kind ? fails(kind) : real(fd, parts, count);
}

/* ---- syncs ---- */

int
fsync(int fd)
{
    REAL(int, "fsync", int);
    const int kind = field(CLASSES) && fd_below(fd) ? met(SYNC) : 0;
    return kind ? fails(kind) : real(fd);
}

int
fdatasync(int fd)
{
    REAL(int, "fdatasync", int);
    const int kind = field(CLASSES) && fd_below(fd) ? met(SYNC) : 0;
    return kind ? fails(kind) : real(fd);
}

int
syncfs(int fd)
{
    REAL(int, "syncfs", int);
    const int kind = field(CLASSES) && fd_below(fd) ? met(SYNC) : 0;
    return kind ? fails(kind) : real(fd);
}

/* ---- sizes ---- */

int
ftruncate(int fd, off_t size)
{
    REAL(int, "ftruncate", int, off_t);
    const int kind = field(CLASSES) && fd_below(fd) ? met(SIZE) : 0;
    return kind ? fails(kind) : real(fd, size);
}

int
ftruncate64(int fd, off_t size)
{
    REAL(int, "ftruncate64", int, off_t);
    const int kind = field(CLASSES) && fd_below(fd) ? met(SIZE) : 0;
    return kind ? fails(kind) : real(fd, size);
}

int
posix_fallocate(int fd, off_t at, off_t size)
{
    REAL(int, "posix_fallocate", int, off_t, off_t);
    const int kind = field(CLASSES) && fd_below(fd) ? met(SIZE) : 0;
    return kind ? (fails(kind), errno) : real(fd, at, size);
}

int
posix_fallocate64(int fd, off_t at, off_t size)
{
    REAL(int, "posix_fallocate64", int, off_t, off_t);
    const int kind = field(CLASSES) && fd_below(fd) ? met(SIZE) : 0;
    return kind ? (fails(kind), errno) : real(fd, at, size);
}

/* ---- names ---- */

static int
open_any(int (*real)(const char *, int, ...), const char *path, int flags,
         mode_t mode)
{
    const bool makes = (flags & O_CREAT) && field(CLASSES) && below(path);
    const int kind = makes ? met(NAME) : 0;
    return kind ? fails(kind) : real(path, flags, mode);
}

int
open(const char *path, int flags, ...)
{
    REAL(int, "open", const char *, int, ...);
    va_list args;
    va_start(args, flags);
    const mode_t mode =
        flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    return open_any(real, path, flags, mode);
}

int
open64(const char *path, int flags, ...)
{
    REAL(int, "open64", const char *, int, ...);
    va_list args;
    va_start(args, flags);
    const mode_t mode =
        flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    return open_any(real, path, flags, mode);
}

int
rename(const char *from, const char *to)
{
    REAL(int, "rename", const char *, const char *);
    const int kind = field(CLASSES) && below(to) ? met(NAME) : 0;
    return kind ? fails(kind) : real(from, to);
}

int
mkdir(const char *path, mode_t mode)
{
    REAL(int, "mkdir", const char *, mode_t);
    const int kind = field(CLASSES) && below(path) ? met(NAME) : 0;
    return kind ? fails(kind) : real(path, mode);
}

/* ---- the system's clock ---- */

int
clock_gettime(clockid_t clock, struct timespec *out)
{
    const int rc = (int)syscall(SYS_clock_gettime, clock, out);
    const int64_t ms = clock == CLOCK_REALTIME ? field(CLOCK_MS) : 0;
    if (rc == 0 && ms) {
        const int64_t ns = out->tv_nsec + ms % 1000 * 1000000;
        out->tv_sec += ms / 1000 + (ns < 0 ? -1 : ns / 1000000000);
        out->tv_nsec = ns < 0 ? ns + 1000000000 : ns % 1000000000;
    }
    return rc;
}

time_t
time(time_t *out)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
