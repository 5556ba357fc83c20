/* file.c -- files that are whole or absent, folders, locks.
 *
 * A rename is durable once the folder that holds the name was synced, and it
 * must not run ahead of the bytes: fsync(file), rename, fsync(folder). */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base_internal.h"

/* Set once, before there are threads. */
static bool relaxed;

void
slw_file_relax(void)
{
    relaxed = true;
}

bool
slw_file_relaxed(void)
{
    return relaxed;
}

int
slw_fd_sync(int fd)
{
    return relaxed ? 0 : fsync(fd);
}

int
slw_fd_sync_data(int fd)
{
    return relaxed ? 0 : fdatasync(fd);
}

#define FAIL(err, what, path)                                                  \
    base_fail_errno((err), __FILE_NAME__ ":" SLW_STRINGIFY(__LINE__), (what),  \
                    (path), errno)

/* ---- descriptors by scope ---- */

struct base_fd {
    int fd_plus_1; /* 0: none */
};

static void
base_fd_done(struct base_fd *f)
{
    if (f->fd_plus_1)
        close(f->fd_plus_1 - 1);
    f->fd_plus_1 = 0;
}

static int
fd_open(const char *path, int flags, mode_t mode)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static enum slw_rc
write_all(int fd, const char *path, const void *bytes, size_t len,
          struct slw_err *err)
{
    const char *p = bytes;
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};
            poll(&ready, 1, -1);
            continue;
        }
        if (n < 0)
            return FAIL(err, "write", path);
        p += n;
        len -= (size_t)n;
    }
    return SLW_OK;
}

enum slw_rc
slw_fd_write(int fd, const void *bytes, size_t len, struct slw_err *err)
{
    char name[32];
    snprintf(name, sizeof name, "descriptor %d", fd);
    return write_all(fd, name, bytes, len, err);
}

/* ---- names ---- */

/* The folder of a path into dir[PATH_MAX]: "." for a bare name. */
static enum slw_rc
folder_of(const char *path, char dir[PATH_MAX], struct slw_err *err)
{
    size_t len = strlen(path);
    if (len == 0 || len >= PATH_MAX)
        return slw_fail(err, SLW_INVALID,
                        len ? "the path '%.200s…' is too long"
                            : "the path '%s' is empty",
                        path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    while (len && path[len - 1] != '/')
        len--;
    while (len > 1 && path[len - 1] == '/')
        len--;
    if (len == 0) {
        memcpy(dir, ".", 2);
        return SLW_OK;
    }
    memcpy(dir, path, len);
    dir[len] = '\0';
    return SLW_OK;
}

enum slw_rc
slw_dir_sync(const char *dir, struct slw_err *err)
{
    SLW_AUTO(base_fd, f);
    int fd = fd_open(dir, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return FAIL(err, "open folder", dir);
    f.fd_plus_1 = fd + 1;
    /* Some file systems cannot sync folders and say so. */
    if (slw_fd_sync(fd) != 0 && errno != EINVAL)
        return FAIL(err, "sync folder", dir);
    return SLW_OK;
}

struct slw_str
slw_path_name(struct slw_str path)
{
    for (size_t i = path.len; i > 0; i--)
        if (path.ptr[i - 1] == '/')
            return (struct slw_str){path.ptr + i, path.len - i};
    return path;
}

struct slw_str
slw_path_stem(struct slw_str path)
{
    const struct slw_str name = slw_path_name(path);
    for (size_t i = name.len; i > 1; i--)
        if (name.ptr[i - 1] == '.')
            return (struct slw_str){name.ptr, i - 1};
    return name;
}

const char *
slw_path(struct slw_arena *a, const char *dir, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    struct slw_str name = slw_arena_vprintf(a, fmt, args);
    va_end(args);
    const char *slash = slw_str_ends(slw_str_of(dir), "/") ? "" : "/";
    return slw_arena_printf(a, "%s%s%.*s", dir, slash, SLW_FMT(name)).ptr;
}

/* ---- whole files ---- */

static enum slw_rc
tmp_write(const char *tmp, struct slw_str bytes, struct slw_err *err)
{
    SLW_AUTO(base_fd, f);
    int fd = fd_open(tmp, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return FAIL(err, "create", tmp);
    f.fd_plus_1 = fd + 1;
    TRY(write_all(fd, tmp, bytes.ptr, bytes.len, err));
    if (slw_fd_sync(fd) != 0)
        return FAIL(err, "sync", tmp);
    return SLW_OK;
}

static enum slw_rc
tmp_rename(const char *tmp, const char *path, struct slw_err *err)
{
    char dir[PATH_MAX];
    TRY(folder_of(path, dir, err));
    if (rename(tmp, path) != 0)
        return FAIL(err, "rename a finished file to", path);
    return slw_dir_sync(dir, err);
}

enum slw_rc
slw_file_put(const char *path, struct slw_str bytes, struct slw_err *err)
{
    static _Atomic unsigned long serial;
    char tmp[PATH_MAX];
    int len = snprintf(tmp, sizeof tmp, "%s.tmp-%ld-%lu", path, (long)getpid(),
                       atomic_fetch_add(&serial, 1));
    if (len < 0 || (size_t)len >= sizeof tmp)
        return slw_fail(err, SLW_INVALID, "the path '%.200s…' is too long",
                        path);
    enum slw_rc rc = tmp_write(tmp, bytes, err);
    if (rc == SLW_OK)
        rc = tmp_rename(tmp, path, err);
    if (rc != SLW_OK)
        unlink(tmp); /* absent after a rename whose folder would not sync */
    return rc;
}

enum slw_rc
slw_file_commit(const char *tmp_path, const char *path, struct slw_err *err)
{
    char from[PATH_MAX], to[PATH_MAX];
    TRY(folder_of(tmp_path, from, err));
    TRY(folder_of(path, to, err));
    SLW_AUTO(base_fd, f);
    int fd = fd_open(tmp_path, O_RDONLY, 0);
    if (fd < 0)
        return FAIL(err, "open", tmp_path);
    f.fd_plus_1 = fd + 1;
    if (slw_fd_sync(fd) != 0)
        return FAIL(err, "sync", tmp_path);
    TRY(tmp_rename(tmp_path, path, err));
    return strcmp(from, to) == 0 ? SLW_OK : slw_dir_sync(from, err);
}

static enum slw_rc
file_read(const char *path, size_t size_max, struct slw_buf *out,
          struct slw_err *err)
{
    SLW_AUTO(base_fd, f);
    int fd = fd_open(path, O_RDONLY, 0);
    if (fd < 0)
        return FAIL(err, "open", path);
    f.fd_plus_1 = fd + 1;
    char piece[32768];
    size_t room = size_max;
    for (;;) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return FAIL(err, "read", path);
        if (n == 0)
            return SLW_OK;
        if ((size_t)n > room)
            return slw_fail(err, SLW_LIMIT, "'%s' is larger than %zu bytes",
                            path, size_max);
        room -= (size_t)n;
        slw_buf_add(out, piece, (size_t)n);
    }
}

enum slw_rc
slw_file_get(const char *path, size_t size_max, struct slw_buf *out,
             struct slw_err *err)
{
    SLW_ASSERT(out);
    size_t len_before = out->len;
    bool overflow_before = out->overflow;
    enum slw_rc rc = file_read(path, size_max, out, err);
    if (rc == SLW_OK && out->overflow && !overflow_before)
        rc =
            slw_fail(err, SLW_LIMIT, "'%s' does not fit into its buffer", path);
    if (rc != SLW_OK) { /* as it was */
        out->len = len_before;
        out->overflow = overflow_before;
        if (out->ptr)
            out->ptr[len_before] = '\0';
    }
    return rc;
}

enum slw_rc
slw_file_size(const char *path, int64_t *out_size, struct slw_err *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return FAIL(err, "look at", path);
    if (S_ISDIR(st.st_mode))
        return slw_fail(err, SLW_INVALID, "'%s' is a folder, not a file", path);
    *out_size = st.st_size;
    return SLW_OK;
}

bool
slw_file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

enum slw_rc
slw_file_remove(const char *path, struct slw_err *err)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return FAIL(err, "remove", path);
    return SLW_OK;
}

/* ---- folders ---- */

/* One level; the parent exists. */
static enum slw_rc
folder_make(const char *path, struct slw_err *err)
{
    if (mkdir(path, 0700) == 0) {
        char parent[PATH_MAX];
        TRY(folder_of(path, parent, err));
        return slw_dir_sync(parent, err);
    }
    int why = errno;
    struct stat st;
    if (why == EEXIST && stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return SLW_OK;
        return slw_fail(err, SLW_IO,
                        "cannot make folder '%s': a file of that name exists",
                        path);
    }
    errno = why;
    return FAIL(err, "make folder", path);
}

enum slw_rc
slw_dir_make(const char *path, struct slw_err *err)
{
    size_t len = strlen(path);
    if (len == 0 || len >= PATH_MAX)
        return slw_fail(err, SLW_INVALID,
                        "a folder's path has 1 to %d bytes, not %zu",
                        PATH_MAX - 1, len);
    char part[PATH_MAX];
    for (size_t i = 1; i <= len; i++) {
        if (i < len && (path[i] != '/' || path[i - 1] == '/'))
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        TRY(folder_make(part, err));
    }
    return SLW_OK;
}

static int
entry_remove(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

enum slw_rc
slw_dir_remove(const char *path, struct slw_err *err)
{
    SLW_ASSERT(path[0] != '\0');
    SLW_ASSERT(strcmp(path, "/") != 0);
    if (nftw(path, entry_remove, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0 &&
        errno != ENOENT)
        return FAIL(err, "remove folder", path);
    return SLW_OK;
}

#define DIR_ENTRIES_MAX 1000000

struct dir_list {
    char **names; /* the first byte of each tells whether it is a folder */
    size_t count, cap;
    DIR *dir;
};

static void
dir_list_done(struct dir_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        slw_free(l->names[i]);
    slw_free(l->names);
    if (l->dir)
        closedir(l->dir);
    *l = (struct dir_list){0};
}

static bool
entry_is_dir(DIR *dir, const struct dirent *e)
{
    struct stat st;
    if (e->d_type != DT_UNKNOWN)
        return e->d_type == DT_DIR;
    return fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(st.st_mode);
}

static int
name_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a + 1, *(char *const *)b + 1);
}

static enum slw_rc
dir_list_read(struct dir_list *l, const char *path, struct slw_err *err)
{
    l->dir = opendir(path);
    if (!l->dir)
        return FAIL(err, "open folder", path);
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(l->dir);
        if (!e && errno)
            return FAIL(err, "read folder", path);
        if (!e)
            break;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (l->count == DIR_ENTRIES_MAX)
            return slw_fail(err, SLW_LIMIT,
                            "the folder '%s' holds more than %d entries", path,
                            DIR_ENTRIES_MAX);
        if (l->count == l->cap) {
            l->cap = l->cap ? l->cap * 2 : 64;
            l->names = slw_realloc(l->names, l->cap * sizeof *l->names);
        }
        size_t len = strlen(e->d_name);
        char *name = slw_alloc(len + 2);
        name[0] = entry_is_dir(l->dir, e) ? 'd' : 'f';
        memcpy(name + 1, e->d_name, len);
        l->names[l->count++] = name;
    }
    if (l->count)
        qsort(l->names, l->count, sizeof *l->names, name_compare);
    return SLW_OK;
}

enum slw_rc
slw_dir_each(const char *path, slw_dir_fn fn, void *ctx, struct slw_err *err)
{
    SLW_AUTO(dir_list, list);
    TRY(dir_list_read(&list, path, err));
    closedir(list.dir); /* `fn` may go deep: keep no descriptor a level */
    list.dir = NULL;
    for (size_t i = 0; i < list.count; i++) {
        SLW_AUTO(slw_buf, full);
        slw_buf_printf(&full, "%s%s%s", path,
                       slw_str_ends(slw_str_of(path), "/") ? "" : "/",
                       list.names[i] + 1);
        TRY(fn(ctx, full.ptr, list.names[i] + 1, list.names[i][0] == 'd', err));
    }
    return SLW_OK;
}

/* ---- locks ---- */

static enum slw_rc
lock_held(int fd, const char *path, struct slw_err *err)
{
    char pid[24] = "";
    ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
    pid[n > 0 ? n : 0] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    return slw_fail(err, SLW_BUSY, "'%s' is locked by another process%s%s",
                    path, pid[0] ? ", pid " : "", pid);
}

enum slw_rc
slw_file_lock_take(struct slw_file_lock *l, const char *path,
                   struct slw_err *err)
{
    SLW_ASSERT(l->fd_plus_1 == 0);
    SLW_AUTO(base_fd, f);
    int fd = fd_open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0)
        return FAIL(err, "open lock", path);
    f.fd_plus_1 = fd + 1;
    int rc;
    do
        rc = flock(fd, LOCK_EX | LOCK_NB);
    while (rc != 0 && errno == EINTR);
    if (rc != 0 && errno == EWOULDBLOCK)
        return lock_held(fd, path, err);
    if (rc != 0)
        return FAIL(err, "lock", path);
    /* The pid is for people; the lock holds without it. */
    char pid[24];
    int len = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) == 0 && pwrite(fd, pid, (size_t)len, 0) != len)
        (void)!ftruncate(fd, 0); /* no id is better than half of one */
    l->fd_plus_1 = fd + 1;
    f.fd_plus_1 = 0;
    return SLW_OK;
}

void
slw_file_lock_done(struct slw_file_lock *l)
{
    if (l && l->fd_plus_1) {
        close(l->fd_plus_1 - 1);
        l->fd_plus_1 = 0;
    }
}

/* The kernel's own table of locks: looking takes nothing. */
bool
slw_file_lock_held(const char *path)
{
    struct stat st;
    struct slw_err ignored;
    SLW_AUTO(slw_buf, locks);
    if (stat(path, &st) != 0 || slw_file_get("/proc/locks", (size_t)1 << 24,
                                             &locks, &ignored) != SLW_OK)
        return false;
    /* "12: FLOCK  ADVISORY  WRITE 4711 08:01:12345 0 EOF" */
    struct slw_str rest = slw_buf_view(&locks), line;
    while (rest.len) {
        unsigned long inode = 0;
        (void)slw_str_cut(rest, '\n', &line, &rest);
        char text[160];
        (void)snprintf(text, sizeof text, "%.*s", SLW_FMT(line));
        if (strstr(text, "FLOCK") && strstr(text, "WRITE") &&
            sscanf(text, "%*s %*s %*s %*s %*d %*x:%*x:%lu", &inode) == 1 &&
            inode == st.st_ino)
            return true;
    }
    return false;
}
