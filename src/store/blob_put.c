/* blob_put.c -- storing: cut, hash, compress, write what is not there yet.
 *
 * Order of what reaches the disk: the chunks' bytes, their names, and last
 * the recipe that needs them.  Chunks are written in batches: all files of a
 * batch first, then they are synced, then renamed; the folders are synced
 * once a put, also those of chunks that were there already, since another
 * thread may have renamed them a moment ago.
 *
 * A put that fails leaves at most chunks without a recipe: nobody sees them,
 * and the next put of the same content finds and uses them. */
#include "store/blob_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define BATCH_MAX 128
#define SYNC_EACH_MAX 8
#define ZSTD_LEVEL 3

/* A chunk whose file is written but has not its name yet. */
struct pending {
    int fd; /* 0: none */
    char *tmp_path;
    struct slw_sha256 hash;
};

struct put {
    struct slw_store *store;
    ZSTD_CCtx *zstd;
    uint8_t *packed; /* room for one compressed chunk */
    size_t packed_max;
    struct slw_hasher whole;
    struct slw_buf recipe;
    bool folder_dirty[256];
    struct pending pending[BATCH_MAX];
    size_t pending_count;
    int64_t size;
    int64_t chunk_count;
    int64_t new_size;
    struct slw_sha256 last_hash;
    int lock_fd_plus_1; /* of blobs.lock */
};

static void
pending_drop(struct pending *p)
{
    if (p->fd > 0)
        (void)close(p->fd);
    if (p->tmp_path)
        (void)unlink(p->tmp_path);
    slw_free(p->tmp_path);
    *p = (struct pending){0};
}

static void
put_done(struct put *p)
{
    if (!p->store)
        return;
    for (size_t i = 0; i < p->pending_count; i++)
        pending_drop(&p->pending[i]);
    if (p->lock_fd_plus_1)
        (void)close(p->lock_fd_plus_1 - 1);
    (void)ZSTD_freeCCtx(p->zstd);
    slw_free(p->packed);
    slw_hasher_done(&p->whole);
    slw_buf_done(&p->recipe);
}

static void
put_init(struct put *p, struct slw_store *s)
{
    p->store = s;
    p->zstd = ZSTD_createCCtx();
    SLW_ASSERT(p->zstd);
    p->packed_max = ZSTD_compressBound(STORE_CHUNK_MAX);
    p->packed = slw_alloc(p->packed_max);
    slw_hasher_init(&p->whole);
    slw_buf_init(&p->recipe, BLOB_RECIPE_SIZE_MAX);
}

static enum slw_rc
fail_file(const char *what, struct slw_err *err)
{
    if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
        return slw_fail(err, SLW_IO,
                        "cannot %s a blob: the disk is full; free some space "
                        "and try again",
                        what);
    return slw_fail(err, SLW_IO, "cannot %s a blob: %s", what, strerror(errno));
}

uint64_t
store_tmp_next(struct slw_store *s)
{
    return atomic_fetch_add_explicit(&s->tmp_count, 1, memory_order_relaxed) +
           1;
}

static const char *
tmp_path(struct slw_store *s, struct slw_arena *a)
{
    return slw_path(a, s->dir, "tmp/blob-%ld-%llu", (long)getpid(),
                    (unsigned long long)store_tmp_next(s));
}

/* ---- a batch of chunks gets its names ---- */

static enum slw_rc
pending_name(struct put *p, struct pending *one, struct slw_err *err)
{
    SLW_AUTO(slw_arena, arena);
    const char *path = blob_path(p->store, &arena, &one->hash);
    if (rename(one->tmp_path, path) != 0) {
        if (errno != ENOENT)
            return fail_file("name", err);
        char hex[SLW_SHA256_HEX_SIZE];
        (void)slw_sha256_hex(&one->hash, hex);
        TRY(slw_dir_make(slw_path(&arena, p->store->dir, "blobs/%.2s", hex),
                         err));
        if (rename(one->tmp_path, path) != 0)
            return fail_file("name", err);
    }
    slw_free(one->tmp_path);
    one->tmp_path = NULL;
    return SLW_OK;
}

/* A few files one by one; many by one sync of their file system, which costs
 * one flush of the disk instead of one a file.  Its errors are those since
 * the descriptor was opened, so it is that of the batch's first file. */
static enum slw_rc
batch_sync(struct put *p, struct slw_err *err)
{
    if (p->pending_count > SYNC_EACH_MAX)
        return slw_file_relaxed() || syncfs(p->pending[0].fd) == 0
                   ? SLW_OK
                   : fail_file("sync", err);
    for (size_t i = 0; i < p->pending_count; i++)
        if (slw_fd_sync(p->pending[i].fd) != 0)
            return fail_file("sync", err);
    return SLW_OK;
}

static enum slw_rc
batch_flush(struct put *p, struct slw_err *err)
{
    TRY(batch_sync(p, err));
    for (size_t i = 0; i < p->pending_count; i++) {
        TRY(pending_name(p, &p->pending[i], err));
        pending_drop(&p->pending[i]);
    }
    p->pending_count = 0;
    return SLW_OK;
}

/* blobs/ itself too: it holds the names of the 256 folders. */
static enum slw_rc
folders_sync(struct put *p, struct slw_err *err)
{
    SLW_AUTO(slw_arena, arena);
    for (unsigned i = 0; i < 256; i++)
        if (p->folder_dirty[i])
            TRY(slw_dir_sync(slw_path(&arena, p->store->dir, "blobs/%02x", i),
                             err));
    return slw_dir_sync(slw_path(&arena, p->store->dir, "blobs"), err);
}

/* ---- one chunk ---- */

/* Is this file there already?  Then it becomes young, under the lock in which
 * a collection looks at its age, and stays (gc.h). */
static enum slw_rc
keep(struct put *p, const struct slw_sha256 *hash, bool *out_there,
     struct slw_err *err)
{
    SLW_AUTO(slw_arena, arena);
    const char *path = blob_path(p->store, &arena, hash);
    *out_there = false;
    if (!blob_file_ok(path))
        return SLW_OK;
    TRY(store_blobs_lock(p->store, &p->lock_fd_plus_1, false, err));
    *out_there = utimensat(AT_FDCWD, path, NULL, 0) == 0;
    const int why = errno;
    store_blobs_unlock(p->lock_fd_plus_1);
    errno = why;
    return *out_there || why == ENOENT ? SLW_OK : fail_file("touch", err);
}

static bool
is_pending(const struct put *p, const struct slw_sha256 *hash)
{
    for (size_t i = 0; i < p->pending_count; i++)
        if (slw_sha256_eq(&p->pending[i].hash, hash))
            return true;
    return false;
}

static enum slw_rc
file_write(struct put *p, struct pending *one, const struct blob_head *head,
           const void *body, struct slw_err *err)
{
    SLW_AUTO(slw_arena, arena);
    const char *path = tmp_path(p->store, &arena);
    one->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (one->fd < 0) {
        one->fd = 0;
        return fail_file("create", err);
    }
    one->tmp_path = slw_strdup(slw_str_of(path));
    uint8_t bytes[BLOB_HEAD_SIZE];
    blob_head_write(head, bytes);
    errno = 0;
    if (slw_fd_write(one->fd, bytes, sizeof(bytes), err) != SLW_OK ||
        slw_fd_write(one->fd, body, head->body_size, err) != SLW_OK)
        return errno ? fail_file("write", err) : err->rc;
    return SLW_OK;
}

static enum slw_rc
chunk_write(struct put *p, const struct slw_sha256 *hash, const uint8_t *bytes,
            size_t len, struct slw_err *err)
{
    const size_t packed_size = ZSTD_compressCCtx(
        p->zstd, p->packed, p->packed_max, bytes, len, ZSTD_LEVEL);
    const bool smaller = !ZSTD_isError(packed_size) && packed_size < len;
    const void *body = smaller ? p->packed : bytes;
    struct blob_head head = {
        .kind = BLOB_CHUNK,
        .encoding = smaller ? BLOB_ZSTD : BLOB_RAW,
        .content_size = len,
        .body_size = smaller ? packed_size : len,
    };
    head.body_crc = slw_crc32c(0, body, head.body_size);
    if (p->pending_count == BATCH_MAX)
        TRY(batch_flush(p, err));
    struct pending *one = &p->pending[p->pending_count++];
    *one = (struct pending){.hash = *hash};
    TRY(file_write(p, one, &head, body, err));
    p->new_size += (int64_t)(BLOB_HEAD_SIZE + head.body_size);
    return SLW_OK;
}

static enum slw_rc
put_chunk(struct put *p, const uint8_t *bytes, size_t len, struct slw_err *err)
{
    struct blob_entry e = {.hash = slw_sha256_of(bytes, len),
                           .size = (uint32_t)len};
    slw_hasher_add(&p->whole, bytes, len);
    p->folder_dirty[e.hash.bytes[0]] = true;
    bool there = is_pending(p, &e.hash);
    if (!there)
        TRY(keep(p, &e.hash, &there, err));
    if (!there)
        TRY(chunk_write(p, &e.hash, bytes, len, err));
    uint8_t entry[BLOB_ENTRY_SIZE];
    blob_entry_write(&e, entry);
    slw_buf_add(&p->recipe, entry, sizeof(entry));
    TRY(slw_buf_check(&p->recipe, err));
    p->last_hash = e.hash;
    p->chunk_count++;
    p->size += (int64_t)len;
    return SLW_OK;
}

/* ---- the end of a put ---- */

/* The recipe's folder is synced also where the recipe was there already: who
 * wrote it may not have come to its own sync yet, and we answer now. */
static enum slw_rc
recipe_put(struct put *p, const struct slw_sha256 *hash, struct slw_err *err)
{
    bool there = false;
    memset(p->folder_dirty, 0, sizeof(p->folder_dirty));
    p->folder_dirty[hash->bytes[0]] = true;
    TRY(keep(p, hash, &there, err));
    if (there)
        return folders_sync(p, err);
    const struct slw_str body = slw_buf_view(&p->recipe);
    const struct blob_head head = {
        .kind = BLOB_RECIPE,
        .content_size = (uint64_t)p->size,
        .body_size = body.len,
        .body_crc = slw_crc32c(0, body.ptr, body.len),
    };
    struct pending *one = &p->pending[p->pending_count++];
    *one = (struct pending){.hash = *hash};
    TRY(file_write(p, one, &head, body.ptr, err));
    TRY(batch_flush(p, err));
    TRY(folders_sync(p, err));
    p->new_size += (int64_t)(BLOB_HEAD_SIZE + head.body_size);
    return SLW_OK;
}

static enum slw_rc
put_end(struct put *p, struct slw_blob_info *out, struct slw_err *err)
{
    TRY(batch_flush(p, err));
    TRY(folders_sync(p, err));
    const struct slw_sha256 hash = slw_hasher_end(&p->whole);
    if (p->chunk_count == 1)
        SLW_ASSERT(slw_sha256_eq(&hash, &p->last_hash));
    else
        TRY(recipe_put(p, &hash, err));
    *out = (struct slw_blob_info){.size = p->size,
                                  .chunk_count = p->chunk_count,
                                  .new_size = p->new_size};
    (void)slw_sha256_hex(&hash, out->hash);
    return SLW_OK;
}

enum slw_rc
slw_blob_put(struct slw_store *s, struct slw_str bytes,
             struct slw_blob_info *out, struct slw_err *err)
{
    SLW_AUTO(put, p);
    put_init(&p, s);
    const uint8_t *at = (const uint8_t *)(bytes.ptr ? bytes.ptr : "");
    size_t left = bytes.len;
    do { /* the empty content is one empty chunk */
        const size_t len = store_chunk_len(at, left);
        TRY(put_chunk(&p, at, len, err));
        at += len;
        left -= len;
    } while (left > 0);
    return put_end(&p, out, err);
}

/* ---- from a file: a window of two greatest chunks ---- */

struct window {
    int fd_plus_1;
    uint8_t *bytes;
    size_t len;
    size_t at; /* first byte that is not stored yet */
    bool ended;
};

#define WINDOW_SIZE (4 * STORE_CHUNK_MAX)

static void
window_done(struct window *w)
{
    if (w->fd_plus_1)
        (void)close(w->fd_plus_1 - 1);
    slw_free(w->bytes);
}

/* At least one greatest chunk ahead, or all there is. */
static enum slw_rc
window_fill(struct window *w, const char *path, struct slw_err *err)
{
    if (w->ended || w->len - w->at >= STORE_CHUNK_MAX)
        return SLW_OK;
    memmove(w->bytes, w->bytes + w->at, w->len - w->at);
    w->len -= w->at;
    w->at = 0;
    while (w->len < WINDOW_SIZE) {
        const ssize_t n =
            read(w->fd_plus_1 - 1, w->bytes + w->len, WINDOW_SIZE - w->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return slw_fail(err, SLW_IO, "cannot read %s: %s", path,
                            strerror(errno));
        if (n == 0) {
            w->ended = true;
            return SLW_OK;
        }
        w->len += (size_t)n;
    }
    return SLW_OK;
}

enum slw_rc
slw_blob_put_file(struct slw_store *s, const char *path,
                  struct slw_blob_info *out, struct slw_err *err)
{
    SLW_AUTO(window, w);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return slw_fail(err, errno == ENOENT ? SLW_NOT_FOUND : SLW_IO,
                        "cannot open %s: %s", path, strerror(errno));
    w.fd_plus_1 = fd + 1;
    w.bytes = slw_alloc(WINDOW_SIZE);
    SLW_AUTO(put, p);
    put_init(&p, s);
    TRY(window_fill(&w, path, err));
    do {
        const size_t len = store_chunk_len(w.bytes + w.at, w.len - w.at);
        TRY(put_chunk(&p, w.bytes + w.at, len, err));
        w.at += len;
        TRY(window_fill(&w, path, err));
    } while (w.at < w.len);
    return put_end(&p, out, err);
}
