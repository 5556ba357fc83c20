/* place_dir.c -- artifacts as plain files below one folder.
 *
 * No path leaves the folder: every one is opened beneath its descriptor with
 * symbolic links refused (openat2), so a link that somebody laid there leads
 * nowhere.  A file is written to .slipway-tmp/ in the same folder, synced and
 * renamed: it is whole or absent. */
#include "track/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rng.h"

#define TMP_NAME ".slipway-tmp"
#define DEPTH_MAX 64
#define COPY_SIZE ((size_t)1 << 20)

struct place_fd {
    int fd_plus_1; /* 0: none */
};

static void
place_fd_done(struct place_fd *f)
{
    if (f->fd_plus_1)
        (void)close(f->fd_plus_1 - 1);
}

static int
beneath(const struct slw_place *p, const char *path, int flags, mode_t mode)
{
    const struct open_how how = {
        .flags = (unsigned)(flags | O_CLOEXEC),
        .mode = mode,
        .resolve = (unsigned)(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
                              RESOLVE_NO_MAGICLINKS),
    };
    return (int)syscall(SYS_openat2, p->root_fd_plus_1 - 1,
                        path[0] ? path : ".", &how, sizeof how);
}

static enum slw_rc
fail(struct slw_str path, struct slw_err *err)
{
    switch (errno) {
    case ENOENT:
    case ENOTDIR:
        return slw_fail(err, SLW_NOT_FOUND, "No such artifact: '%.*s'",
                        SLW_FMT(path));
    case ELOOP:
    case EXDEV:
        return slw_fail(err, SLW_INVALID,
                        "Invalid path: '%.*s' leads through a symbolic link",
                        SLW_FMT(path));
    case EISDIR:
        return slw_fail(err, SLW_INVALID, "Invalid path: '%.*s' is a directory",
                        SLW_FMT(path));
    case EEXIST:
        return slw_fail(err, SLW_INVALID, "Invalid path: '%.*s' is a file",
                        SLW_FMT(path));
    case ENAMETOOLONG:
        return slw_fail(err, SLW_INVALID,
                        "Invalid path: a name in it is too long");
    case EACCES:
    case EPERM:
        return slw_fail(err, SLW_DENIED, "artifact '%.*s': %m", SLW_FMT(path));
    default:
        return slw_fail(err, SLW_IO, "artifact '%.*s': %m", SLW_FMT(path));
    }
}

/* ---- the folder ---- */

/* "<pid>-<hex>" of a process that is gone.  Its own were those of a process
 * of an earlier start of the machine. */
static enum slw_rc
left_over_remove(void *ctx, const char *path, const char *name, bool is_dir,
                 struct slw_err *err)
{
    struct slw_str pid, rest;
    struct slw_err ignored;
    int64_t number = 0;
    (void)ctx;
    if (is_dir || !slw_str_cut(slw_str_of(name), '-', &pid, &rest) ||
        slw_str_i64(pid, &number, &ignored) != SLW_OK || number <= 0 ||
        (number != getpid() && kill((pid_t)number, 0) == 0))
        return SLW_OK;
    return slw_file_remove(path, err);
}

enum slw_rc
place_dir_open(struct slw_place *p, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    const int fd = open(p->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return slw_fail(err, SLW_IO, "cannot open %s: %m", p->path);
    p->root_fd_plus_1 = fd + 1;
    const int probe = beneath(p, ".", O_RDONLY | O_DIRECTORY, 0);
    if (probe < 0)
        return slw_fail(err, SLW_IO, "cannot read %s: %m", p->path);
    (void)close(probe);
    const char *tmp = slw_path(&a, p->path, "%s", TMP_NAME);
    TRY(slw_dir_make(tmp, err));
    return slw_dir_each(tmp, left_over_remove, NULL, err);
}

/* The folder of a path, made where it is absent; synced from the top down.
 * Out  its descriptor, and the name in it */
static enum slw_rc
parent_open(struct slw_place *p, struct slw_str path, struct slw_arena *a,
            struct place_fd *out, const char **out_name, struct slw_err *err)
{
    int fd = beneath(p, ".", O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fail(path, err);
    out->fd_plus_1 = fd + 1;
    size_t from = 0;
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] != '/')
            continue;
        const struct slw_str head = {path.ptr, i};
        const char *name =
            slw_arena_strz(a, (struct slw_str){path.ptr + from, i - from});
        const bool made = mkdirat(out->fd_plus_1 - 1, name, 0777) == 0;
        if (!made && errno != EEXIST)
            return fail(path, err);
        if (made && slw_fd_sync(out->fd_plus_1 - 1) != 0 && errno != EINVAL)
            return fail(path, err);
        fd = beneath(p, slw_arena_strz(a, head), O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0) {
            if (errno == ENOTDIR)
                errno = EEXIST;
            return fail(head, err);
        }
        (void)close(out->fd_plus_1 - 1);
        out->fd_plus_1 = fd + 1;
        from = i + 1;
    }
    *out_name =
        slw_arena_strz(a, (struct slw_str){path.ptr + from, path.len - from});
    return SLW_OK;
}

/* ---- in ---- */

static enum slw_rc
copy(int from, int to, struct slw_str path, struct slw_err *err)
{
    char *room = slw_alloc(COPY_SIZE);
    enum slw_rc rc = SLW_OK;
    for (;;) {
        const ssize_t n = read(from, room, COPY_SIZE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = fail(path, err);
        if (n <= 0)
            break;
        rc = slw_fd_write(to, room, (size_t)n, err);
        if (rc != SLW_OK)
            break;
    }
    slw_free(room);
    return rc;
}

/* The bytes under a temporary name of the same file system. */
static enum slw_rc
tmp_write(struct slw_place *p, const char *tmp, const char *file,
          struct slw_str path, struct slw_err *err)
{
    SLW_AUTO(place_fd, in);
    SLW_AUTO(place_fd, out);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return slw_fail(err, SLW_IO, "cannot open %s: %m", file);
    in.fd_plus_1 = fd + 1;
    const int to = beneath(p, tmp, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (to < 0)
        return fail(path, err);
    out.fd_plus_1 = to + 1;
    TRY(copy(fd, to, path, err));
    return slw_fd_sync(to) == 0 ? SLW_OK : fail(path, err);
}

static enum slw_rc
tmp_name(struct slw_place *p, const char *tmp, struct slw_str path,
         struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(place_fd, folder);
    const char *name = NULL;
    struct stat st;
    TRY(parent_open(p, path, &a, &folder, &name, err));
    const int dir = folder.fd_plus_1 - 1;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        !S_ISREG(st.st_mode)) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : ELOOP;
        return fail(path, err);
    }
    if (renameat(p->root_fd_plus_1 - 1, tmp, dir, name) != 0)
        return fail(path, err);
    return slw_fd_sync(dir) == 0 || errno == EINVAL ? SLW_OK : fail(path, err);
}

static bool
is_ours(struct slw_str path)
{
    return slw_str_starts(path, TMP_NAME) &&
           (path.len == strlen(TMP_NAME) || path.ptr[strlen(TMP_NAME)] == '/');
}

static enum slw_rc
fail_ours(struct slw_err *err)
{
    return slw_fail(err, SLW_INVALID, "Invalid path");
}

enum slw_rc
place_dir_put(struct slw_place *p, struct slw_str path, const char *file,
              struct slw_err *err)
{
    char id[33], tmp[64];
    if (is_ours(path))
        return fail_ours(err);
    slw_random_hex32(id);
    (void)snprintf(tmp, sizeof tmp, TMP_NAME "/%ld-%s", (long)getpid(), id);
    enum slw_rc rc = tmp_write(p, tmp, file, path, err);
    if (rc == SLW_OK)
        rc = tmp_name(p, tmp, path, err);
    if (rc != SLW_OK)
        (void)unlinkat(p->root_fd_plus_1 - 1, tmp, 0);
    return rc;
}

/* ---- out ---- */

enum slw_rc
slw_place_open_file(struct slw_place *p, struct slw_str path, int *out_fd,
                    int64_t *out_size, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(place_fd, file);
    struct stat st;
    SLW_ASSERT(!slw_place_is_s3(p));
    if (is_ours(path))
        return fail_ours(err);
    const int fd =
        beneath(p, slw_arena_strz(&a, path), O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0)
        return fail(path, err);
    file.fd_plus_1 = fd + 1;
    if (fstat(fd, &st) != 0)
        return fail(path, err);
    if (!S_ISREG(st.st_mode)) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : ELOOP;
        return fail(path, err);
    }
    file.fd_plus_1 = 0;
    *out_fd = fd;
    *out_size = st.st_size;
    return SLW_OK;
}

static DIR *
folder_read(struct slw_place *p, const char *path)
{
    const int fd = beneath(p, path, O_RDONLY | O_DIRECTORY, 0);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0)
        (void)close(fd);
    return dir;
}

static bool
is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

enum slw_rc
place_dir_list(struct slw_place *p, struct slw_str folder, struct slw_arena *a,
               struct slw_artifact **out, size_t *out_count,
               struct slw_err *err)
{
    struct slw_artifact *items = NULL;
    size_t count = 0, cap = 0;
    struct stat st;
    DIR *dir =
        is_ours(folder) ? NULL : folder_read(p, slw_arena_strz(a, folder));
    if (!dir) { /* of a file, too: MLflow lists nothing there */
        if (is_ours(folder) || errno == ENOENT || errno == ENOTDIR) {
            *out = NULL;
            *out_count = 0;
            return SLW_OK;
        }
        return fail(folder, err);
    }
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (is_dots(e->d_name) ||
            (folder.len == 0 && strcmp(e->d_name, TMP_NAME) == 0) ||
            fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
            continue;
        items = slw_arena_grow(a, items, sizeof *items, count, &cap);
        items[count++] = (struct slw_artifact){
            .path = slw_arena_str(a, slw_str_of(e->d_name)),
            .blob = {"", 0},
            .size = S_ISDIR(st.st_mode) ? 0 : st.st_size,
            .is_dir = S_ISDIR(st.st_mode)};
    }
    (void)closedir(dir);
    *out = items;
    *out_count = count;
    return SLW_OK;
}

/* ---- away ---- */

/* Everything in an open folder, which is closed; links are removed, not
 * followed. */
static bool
content_remove(int fd, int depth)
{
    DIR *dir = depth > DEPTH_MAX ? NULL : fdopendir(fd);
    bool ok = dir != NULL;
    if (!dir) {
        (void)close(fd);
        return false;
    }
    for (struct dirent *e; ok && (e = readdir(dir)) != NULL;) {
        if (is_dots(e->d_name))
            continue;
        if (unlinkat(dirfd(dir), e->d_name, 0) == 0 || errno == ENOENT)
            continue;
        const int below =
            openat(dirfd(dir), e->d_name,
                   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        ok = below >= 0 && content_remove(below, depth + 1) &&
             unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR) == 0;
    }
    const int why = errno;
    (void)closedir(dir);
    errno = why;
    return ok;
}

enum slw_rc
place_dir_remove(struct slw_place *p, struct slw_str path, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(place_fd, folder);
    size_t from = path.len;
    if (is_ours(path))
        return fail_ours(err);
    while (from > 0 && path.ptr[from - 1] != '/')
        from--;
    const struct slw_str head = {path.ptr, from ? from - 1 : 0};
    const char *name =
        slw_arena_strz(&a, (struct slw_str){path.ptr + from, path.len - from});
    const int dir =
        beneath(p, slw_arena_strz(&a, head), O_RDONLY | O_DIRECTORY, 0);
    if (dir < 0)
        return fail(path, err);
    folder.fd_plus_1 = dir + 1;
    if (unlinkat(dir, name, 0) != 0) {
        if (errno != EISDIR && errno != EPERM)
            return fail(path, err);
        const int fd =
            openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || !content_remove(fd, 0) ||
            unlinkat(dir, name, AT_REMOVEDIR) != 0)
            return fail(path, err);
    }
    return slw_fd_sync(dir) == 0 || errno == EINVAL ? SLW_OK : fail(path, err);
}
