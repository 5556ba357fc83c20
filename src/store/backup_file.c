/* backup_file.c -- what making and restoring share: one file copied and
 * hashed, one set's lists. */
#include "store/backup_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PIECE_SIZE ((size_t)128 << 10)

void
backup_fd_done(struct backup_fd *f)
{
    if (f->fd_plus_1)
        (void)close(f->fd_plus_1 - 1);
    f->fd_plus_1 = 0;
}

void
backup_step(const struct slw_backup_progress *p, const char *what, int64_t done,
            int64_t total)
{
    if (p && p->fn)
        p->fn(p->ctx, what, done, total);
}

const char *
backup_blob_path(struct slw_arena *a, const char *dir, const char *name)
{
    return slw_path(a, dir, "blobs/%.2s/%s", name, name + 2);
}

/* ---- disk ---- */

enum slw_rc
backup_dir_open(const char *dir, int *out_fd, struct slw_err *err)
{
    *out_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*out_fd >= 0)
        return SLW_OK;
    return slw_fail(err, SLW_IO, "cannot open the folder %s: %m", dir);
}

enum slw_rc
backup_sync(int dir_fd, const char *dir, struct slw_err *err)
{
    if (syncfs(dir_fd) == 0)
        return SLW_OK;
    return slw_fail(err, SLW_IO, "what was written to %s is not on disk: %m",
                    dir);
}

/* ---- one file ---- */

struct copy {
    struct backup_fd from, to;
    struct slw_hasher hasher;
    char *piece;
    bool sparse;
    int64_t size;
};

static void
copy_done(struct copy *c)
{
    backup_fd_done(&c->from);
    backup_fd_done(&c->to);
    slw_hasher_done(&c->hasher);
    slw_free(c->piece);
}

static bool
all_zero(const char *bytes, size_t len)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

static enum slw_rc
piece_write(struct copy *c, const char *to, size_t len, struct slw_err *err)
{
    const int fd = c->to.fd_plus_1 - 1;
    if (c->sparse && all_zero(c->piece, len)) {
        if (lseek(fd, (off_t)len, SEEK_CUR) >= 0)
            return SLW_OK;
        return slw_fail(err, SLW_IO, "cannot write %s: %m", to);
    }
    errno = 0;
    if (slw_fd_write(fd, c->piece, len, err) == SLW_OK)
        return SLW_OK;
    return slw_fail(err, SLW_IO, "cannot write %s: %s", to,
                    errno == ENOSPC || errno == EDQUOT
                        ? "the disk is full; free some space and try again"
                        : strerror(errno));
}

static enum slw_rc
copy_open(struct copy *c, const char *from, const char *to, struct slw_err *err)
{
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return slw_fail(err, errno == ENOENT ? SLW_NOT_FOUND : SLW_IO,
                        "cannot open %s: %m", from);
    c->from.fd_plus_1 = fd + 1;
    if (!to)
        return SLW_OK;
    fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return slw_fail(err, SLW_IO, "cannot create %s: %m", to);
    c->to.fd_plus_1 = fd + 1;
    return SLW_OK;
}

static enum slw_rc
copy_all(struct copy *c, const char *from, const char *to, struct slw_err *err)
{
    for (;;) {
        const ssize_t n = read(c->from.fd_plus_1 - 1, c->piece, PIECE_SIZE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return slw_fail(err, SLW_IO, "cannot read %s: %m", from);
        if (n == 0)
            break;
        slw_hasher_add(&c->hasher, c->piece, (size_t)n);
        c->size += n;
        if (to)
            TRY(piece_write(c, to, (size_t)n, err));
    }
    if (to && c->sparse && ftruncate(c->to.fd_plus_1 - 1, c->size) != 0)
        return slw_fail(err, SLW_IO, "cannot write %s: %m", to);
    return SLW_OK;
}

enum slw_rc
backup_copy(const char *from, const char *to, bool sparse,
            struct backup_entry *e, struct slw_err *err)
{
    SLW_AUTO(copy, c);
    c.sparse = sparse;
    c.piece = slw_alloc(PIECE_SIZE);
    slw_hasher_init(&c.hasher);
    TRY(copy_open(&c, from, to, err));
    TRY(copy_all(&c, from, to, err));
    const struct slw_sha256 sum = slw_hasher_end(&c.hasher);
    (void)slw_sha256_hex(&sum, e->sha256);
    e->size = c.size;
    return SLW_OK;
}

/* ---- lists ---- */

void
backup_add(struct slw_arena *a, struct backup_list *l,
           const struct backup_entry *e)
{
    l->items = slw_arena_grow(a, l->items, sizeof *l->items, l->count, &l->cap);
    l->items[l->count] = *e;
    l->items[l->count++].path = slw_arena_strz(a, slw_str_of(e->path));
}

static int
entry_cmp(const void *a, const void *b)
{
    const struct backup_entry *x = a, *y = b;
    return strcmp(x->path, y->path);
}

const struct backup_entry *
backup_find(const struct backup_list *l, const char *path)
{
    const struct backup_entry key = {.path = path};
    return l->count
               ? bsearch(&key, l->items, l->count, sizeof *l->items, entry_cmp)
               : NULL;
}

static void
list_sort(struct backup_list *l)
{
    if (l->count)
        qsort(l->items, l->count, sizeof *l->items, entry_cmp);
}

/* ---- reading a set ---- */

/* A path of a manifest stays below its set. */
static bool
path_ok(struct slw_str path)
{
    struct slw_str rest = path, part;
    if (path.len == 0 || path.ptr[0] == '/')
        return false;
    while (rest.len) {
        (void)slw_str_cut(rest, '/', &part, &rest);
        if (part.len == 0 || slw_str_eqz(part, "..") || slw_str_eqz(part, "."))
            return false;
    }
    return true;
}

static enum slw_rc
files_read(struct backup_set *s, const struct json_t *files,
           struct slw_err *err)
{
    for (size_t i = 0; i < slw_json_len(files); i++) {
        struct slw_str path, sha;
        struct backup_entry e = {0};
        const struct json_t *f = slw_json_at(files, i);
        TRY(slw_json_need_str(f, "path", &path, err));
        TRY(slw_json_need_i64(f, "size", &e.size, err));
        TRY(slw_json_need_str(f, "sha256", &sha, err));
        if (!path_ok(path) || sha.len != 64)
            return slw_fail(err, SLW_CORRUPT,
                            "its manifest names '%.*s', which is no path of a "
                            "backup",
                            SLW_FMT(path));
        (void)snprintf(e.sha256, sizeof e.sha256, "%.*s", SLW_FMT(sha));
        e.path = slw_arena_strz(s->arena, path);
        backup_add(s->arena, &s->files, &e);
    }
    list_sort(&s->files);
    return SLW_OK;
}

/* "<64 digits> <size> <64 digits>\n" */
static enum slw_rc
blobs_read(struct backup_set *s, struct slw_str text, struct slw_err *err)
{
    struct slw_str rest = text, line, name, tail, size, sha;
    while (rest.len) {
        struct slw_sha256 parsed;
        struct backup_entry e = {0};
        (void)slw_str_cut(rest, '\n', &line, &rest);
        if (!slw_str_cut(line, ' ', &name, &tail) ||
            !slw_str_cut(tail, ' ', &size, &sha) ||
            slw_sha256_parse(name, &parsed, err) != SLW_OK ||
            slw_sha256_parse(sha, &parsed, err) != SLW_OK ||
            slw_str_i64(size, &e.size, err) != SLW_OK)
            return slw_fail(err, SLW_CORRUPT,
                            "its list of blobs has the line '%.*s'",
                            SLW_FMT(line));
        (void)snprintf(e.sha256, sizeof e.sha256, "%.*s", SLW_FMT(sha));
        e.path = slw_arena_strz(s->arena, name);
        backup_add(s->arena, &s->blobs, &e);
    }
    list_sort(&s->blobs);
    return SLW_OK;
}

static enum slw_rc
sum_check(const char *what, struct slw_str bytes, struct slw_str wanted,
          struct slw_err *err)
{
    char hex[SLW_SHA256_HEX_SIZE];
    const struct slw_sha256 h = slw_sha256_of(bytes.ptr, bytes.len);
    if (slw_str_eqz(wanted, slw_sha256_hex(&h, hex)))
        return SLW_OK;
    return slw_fail(err, SLW_CORRUPT, "%s is damaged: its hash is another one",
                    what);
}

static enum slw_rc
manifest_read(struct backup_set *s, struct slw_json *out, struct slw_err *err)
{
    SLW_AUTO(slw_buf, text);
    SLW_AUTO(slw_buf, sum);
    struct slw_str format;
    slw_buf_init(&text, BACKUP_MANIFEST_SIZE_MAX);
    TRY(slw_file_get(slw_path(s->arena, s->path, "manifest.json"),
                     BACKUP_MANIFEST_SIZE_MAX, &text, err));
    TRY(slw_file_get(slw_path(s->arena, s->path, "manifest.sha256"), 256, &sum,
                     err));
    TRY(sum_check("its manifest", slw_buf_view(&text),
                  slw_str_trim(slw_buf_view(&sum)), err));
    TRY(slw_json_parse(out, slw_buf_view(&text), err));
    TRY(slw_json_need_str(out->root, "format", &format, err));
    if (!slw_str_eqz(format, BACKUP_FORMAT))
        return slw_fail(err, SLW_UNSUPPORTED,
                        "its format is '%.*s', this Slipway reads "
                        "'" BACKUP_FORMAT "'",
                        SLW_FMT(format));
    return SLW_OK;
}

static enum slw_rc
set_read(struct backup_set *s, struct slw_err *err)
{
    SLW_AUTO(slw_json, doc);
    SLW_AUTO(slw_buf, text);
    slw_buf_init(&text, (size_t)1 << 30);
    TRY(manifest_read(s, &doc, err));
    TRY(slw_json_need_i64(doc.root, "made_at_ms", &s->made_at_ms, err));
    TRY(slw_json_need_i64(doc.root, "events", &s->event_count, err));
    TRY(files_read(s, slw_json_get(doc.root, "files"), err));
    const struct backup_entry *e = backup_find(&s->files, "blobs.txt");
    if (!e || !backup_find(&s->files, "slipway.db"))
        return slw_fail(err, SLW_CORRUPT,
                        "its manifest names no database or no list of blobs");
    TRY(slw_file_get(slw_path(s->arena, s->path, "blobs.txt"), text.limit_size,
                     &text, err));
    TRY(sum_check("its list of blobs", slw_buf_view(&text),
                  slw_str_of(e->sha256), err));
    return blobs_read(s, slw_buf_view(&text), err);
}

enum slw_rc
backup_set_read(struct backup_set *out, struct slw_arena *a, const char *dir,
                const char *set, struct slw_err *err)
{
    *out = (struct backup_set){
        .arena = a, .dir = dir, .path = slw_path(a, dir, "sets/%s", set)};
    const enum slw_rc rc = set_read(out, err);
    if (rc == SLW_OK)
        return SLW_OK;
    if (rc == SLW_INVALID ||
        (rc == SLW_NOT_FOUND && slw_file_exists(out->path)))
        err->rc = SLW_CORRUPT;
    return slw_err_prefix(err, "the backup %s of %s cannot be used: ", set,
                          dir);
}
