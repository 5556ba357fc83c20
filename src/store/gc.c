/* gc.c -- mark and sweep of blobs/; gc.h says why writers are safe.
 *
 * Recipes are swept before chunks: a recipe that was touched after the
 * snapshot is read then, and its chunks stay.  Files of a batch are removed
 * under the exclusive lock, which is given back between batches, so that a
 * put waits for some hundred unlinks at most. */
#include "store/gc.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/blob_internal.h"

#define SWEEP_BATCH 256
/* Coarse clocks of file systems, and time between a look and the next. */
#define MARGIN_MS 2000
/* A temporary file or plain copy nobody touched for so long is nobody's. */
#define STALE_MS ((int64_t)24 * 3600 * 1000)
#define NS_PER_MS ((int64_t)1000000)

static const char SQL_FREE_PAGES[] = "SELECT freelist_count * page_size"
                                     " FROM pragma_freelist_count,"
                                     " pragma_page_size";

enum { GC_LIVE = 1, GC_RECIPE = 2, GC_LOOKED = 4 };

struct slw_gc_file {
    struct slw_sha256 hash;
    int64_t mtime_ns;
    int64_t size;
    unsigned flags;
};

/* ---- locks ---- */

static enum slw_rc
lock_open(struct slw_store *s, const char *name, int *out_fd,
          struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    const char *path = slw_path(&a, s->dir, "%s", name);
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return slw_fail(err, SLW_IO, "cannot open %s: %m", path);
    *out_fd = fd;
    return SLW_OK;
}

static enum slw_rc
lock_try(struct slw_store *s, int how, int *out_fd, const char *who,
         struct slw_err *err)
{
    int fd = -1;
    TRY(lock_open(s, "gc.lock", &fd, err));
    if (flock(fd, how | LOCK_NB) == 0) {
        *out_fd = fd;
        return SLW_OK;
    }
    const int why = errno;
    (void)close(fd);
    if (why == EWOULDBLOCK)
        return slw_fail(err, SLW_BUSY,
                        "%s at work on this data folder; try again when it "
                        "has ended",
                        who);
    return slw_fail(err, SLW_IO, "cannot lock gc.lock: %s", strerror(why));
}

enum slw_rc
slw_gc_hold_take(struct slw_gc_hold *h, struct slw_store *s,
                 struct slw_err *err)
{
    int fd = -1;
    TRY(lock_try(s, LOCK_SH, &fd, "a collection (slipway gc) is", err));
    h->fd_plus_1 = fd + 1;
    return SLW_OK;
}

void
slw_gc_hold_done(struct slw_gc_hold *h)
{
    if (h->fd_plus_1)
        (void)close(h->fd_plus_1 - 1);
    h->fd_plus_1 = 0;
}

/* How long the lock may make a put wait is said at SWEEP_BATCH. */
enum slw_rc
store_blobs_lock(struct slw_store *s, int *fd_plus_1, bool exclusive,
                 struct slw_err *err)
{
    if (!*fd_plus_1) {
        int fd = -1;
        TRY(lock_open(s, "blobs.lock", &fd, err));
        *fd_plus_1 = fd + 1;
    }
    while (flock(*fd_plus_1 - 1, exclusive ? LOCK_EX : LOCK_SH) != 0)
        if (errno != EINTR)
            return slw_fail(err, SLW_IO, "cannot lock blobs.lock: %s",
                            strerror(errno));
    return SLW_OK;
}

void
store_blobs_unlock(int fd_plus_1)
{
    (void)flock(fd_plus_1 - 1, LOCK_UN);
}

/* ---- the list ---- */

static int64_t
mtime_ns(const struct stat *st)
{
    return st->st_mtim.tv_sec * 1000 * NS_PER_MS + st->st_mtim.tv_nsec;
}

static int64_t
now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000 * NS_PER_MS + now.tv_nsec;
}

struct listing {
    struct slw_gc *g;
    const char *prefix; /* "ab" */
    size_t cap;
};

static enum slw_rc
file_add(void *ctx, const char *path, const char *name, bool is_dir,
         struct slw_err *err)
{
    struct listing *l = ctx;
    struct slw_gc *g = l->g;
    char hex[SLW_SHA256_HEX_SIZE];
    struct slw_gc_file f = {0};
    struct slw_err ignored;
    struct stat st;
    (void)err;
    (void)snprintf(hex, sizeof hex, "%.2s%.62s", l->prefix, name);
    if (is_dir || strlen(name) != 62 ||
        slw_sha256_parse(slw_str_of(hex), &f.hash, &ignored) != SLW_OK ||
        stat(path, &st) != 0)
        return SLW_OK; /* none of ours: `slipway verify` tells of it */
    f.mtime_ns = mtime_ns(&st);
    f.size = st.st_size;
    g->files = slw_arena_grow(&g->arena, g->files, sizeof *g->files,
                              g->file_count, &l->cap);
    g->files[g->file_count++] = f;
    return SLW_OK;
}

static enum slw_rc
folder_add(void *ctx, const char *path, const char *name, bool is_dir,
           struct slw_err *err)
{
    struct listing *l = ctx;
    if (!is_dir || strlen(name) != 2)
        return SLW_OK;
    l->prefix = name;
    return slw_dir_each(path, file_add, l, err);
}

/* An upload under way: what it stores is younger than its file. */
static enum slw_rc
upload_look(void *ctx, const char *path, const char *name, bool is_dir,
            struct slw_err *err)
{
    struct slw_gc *g = ctx;
    struct stat st;
    (void)err;
    if (is_dir || !slw_str_starts(slw_str_of(name), "upload-") ||
        stat(path, &st) != 0)
        return SLW_OK;
    const int64_t before = mtime_ns(&st) - MARGIN_MS * NS_PER_MS;
    if (before < g->cutoff_ns)
        g->cutoff_ns = before;
    return SLW_OK;
}

enum slw_rc
slw_gc_begin(struct slw_gc *g, struct slw_store *s,
             const struct slw_gc_options *opt, struct slw_err *err)
{
    int fd = -1;
    g->store = s;
    g->opt = *opt;
    TRY(lock_try(s, LOCK_EX, &fd, "a check, a backup or another collection is",
                 err));
    g->lock_fd_plus_1 = fd + 1;
    int64_t age_ms = opt->grace_ms > opt->job_ms ? opt->grace_ms : opt->job_ms;
    age_ms += MARGIN_MS;
    g->cutoff_ns = now_ns() - age_ms * NS_PER_MS;
    TRY(slw_dir_each(slw_path(&g->arena, s->dir, "tmp"), upload_look, g, err));
    struct listing l = {.g = g};
    /* Folders and names come in order of their bytes: sorted by hash. */
    TRY(slw_dir_each(slw_path(&g->arena, s->dir, "blobs"), folder_add, &l,
                     err));
    return slw_tx_read(&g->tx, s, err);
}

void
slw_gc_done(struct slw_gc *g)
{
    slw_tx_done(&g->tx);
    if (g->lock_fd_plus_1)
        (void)close(g->lock_fd_plus_1 - 1);
    if (g->sweep_fd_plus_1)
        (void)close(g->sweep_fd_plus_1 - 1);
    g->lock_fd_plus_1 = g->sweep_fd_plus_1 = 0;
    slw_arena_done(&g->arena);
}

static void
step(struct slw_gc *g, const char *what, int64_t done, int64_t total)
{
    if (g->progress)
        g->progress(g->progress_ctx, what, done, total);
}

/* ---- mark ---- */

static struct slw_gc_file *
find(struct slw_gc *g, const struct slw_sha256 *hash)
{
    size_t low = 0, high = g->file_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int cmp =
            memcmp(g->files[middle].hash.bytes, hash->bytes, sizeof *hash);
        if (cmp == 0)
            return &g->files[middle];
        if (cmp < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* A recipe's chunks live with it. */
static enum slw_rc
chunks_live(struct slw_gc *g, const struct slw_gc_file *f, struct slw_err *err)
{
    struct blob_head head;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_buf, body);
    slw_buf_init(&body, BLOB_RECIPE_SIZE_MAX);
    if (blob_head_of(blob_path(g->store, &a, &f->hash), &head) &&
        head.kind == BLOB_CHUNK)
        return SLW_OK; /* most are: only the head was read */
    const enum slw_rc rc =
        blob_file_read(g->store, &f->hash, &head, &body, err);
    if (rc == SLW_NOT_FOUND)
        return SLW_OK;
    TRY(rc);
    if (head.kind != BLOB_RECIPE)
        return SLW_OK;
    for (size_t at = 0; at < body.len; at += BLOB_ENTRY_SIZE) {
        const struct blob_entry e =
            blob_entry_read((const uint8_t *)body.ptr + at);
        struct slw_gc_file *chunk = find(g, &e.hash);
        if (chunk)
            chunk->flags |= GC_LIVE;
    }
    return SLW_OK;
}

/* A chunk may be marked as a part of something before it is asked for as a
 * blob of its own: it is looked at once for each. */
static enum slw_rc
live(struct slw_gc *g, struct slw_gc_file *f, struct slw_err *err)
{
    f->flags |= GC_LIVE;
    if (f->flags & GC_LOOKED)
        return SLW_OK;
    f->flags |= GC_LOOKED;
    const enum slw_rc rc = chunks_live(g, f, err);
    return rc == SLW_CORRUPT
               ? slw_err_prefix(err, "nothing is removed, since it cannot be "
                                     "known what is needed (see slipway "
                                     "verify): ")
               : rc;
}

enum slw_rc
slw_gc_need(struct slw_gc *g, struct slw_str hash, struct slw_err *err)
{
    struct slw_sha256 parsed;
    TRY(slw_sha256_parse(hash, &parsed, err));
    struct slw_gc_file *f = find(g, &parsed);
    return f ? live(g, f, err) : SLW_OK;
}

static bool
is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

enum slw_rc
slw_gc_need_in(struct slw_gc *g, struct slw_str text, struct slw_err *err)
{
    size_t run = 0;
    for (size_t i = 0; i <= text.len; i++) {
        if (i < text.len && is_hex(text.ptr[i])) {
            run++;
            continue;
        }
        if (run == 64)
            TRY(slw_gc_need(g, (struct slw_str){text.ptr + i - 64, 64}, err));
        run = 0;
    }
    return SLW_OK;
}

/* ---- sweep ---- */

/* Is it a recipe?  One that cannot be read is taken for a chunk: it names
 * nothing that could be saved. */
static bool
is_recipe(struct slw_gc *g, const struct slw_gc_file *f)
{
    SLW_AUTO(slw_arena, a);
    struct blob_head head;
    return blob_head_of(blob_path(g->store, &a, &f->hash), &head) &&
           head.kind == BLOB_RECIPE;
}

static bool
is_old(const struct slw_gc *g, int64_t at_ns)
{
    return at_ns < g->cutoff_ns;
}

/* Under the exclusive lock.  Out *out_touched: somebody stored it meanwhile */
static enum slw_rc
file_remove(struct slw_gc *g, const struct slw_gc_file *f, bool *out_touched,
            struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct stat st;
    const char *path = blob_path(g->store, &a, &f->hash);
    *out_touched = false;
    if (stat(path, &st) != 0)
        return errno == ENOENT
                   ? SLW_OK
                   : slw_fail(err, SLW_IO, "cannot read %s: %m", path);
    if (!is_old(g, mtime_ns(&st))) {
        *out_touched = true;
        return SLW_OK;
    }
    if (unlink(path) != 0)
        return slw_fail(err, SLW_IO, "cannot remove %s: %m", path);
    return SLW_OK;
}

static enum slw_rc
file_sweep(struct slw_gc *g, struct slw_gc_file *f, struct slw_err *err)
{
    bool touched = false;
    if (!g->opt.dry_run)
        TRY(file_remove(g, f, &touched, err));
    if (touched) {
        g->young_count++;
        g->young_size += f->size;
        return live(g, f, err);
    }
    g->swept_count++;
    g->swept_size += f->size;
    return SLW_OK;
}

/* All files of one kind that are not needed; in batches under the lock. */
static enum slw_rc
kind_sweep(struct slw_gc *g, unsigned kind, struct slw_err *err)
{
    size_t in_batch = 0;
    enum slw_rc rc = SLW_OK;
    for (size_t i = 0; i < g->file_count && rc == SLW_OK; i++) {
        struct slw_gc_file *f = &g->files[i];
        if ((f->flags & (GC_LIVE | GC_RECIPE)) != kind)
            continue;
        if (in_batch == 0)
            TRY(store_blobs_lock(g->store, &g->sweep_fd_plus_1, true, err));
        rc = file_sweep(g, f, err);
        if (++in_batch == SWEEP_BATCH) {
            in_batch = 0;
            store_blobs_unlock(g->sweep_fd_plus_1);
            step(g, "removing", (int64_t)i, (int64_t)g->file_count);
        }
    }
    if (in_batch)
        store_blobs_unlock(g->sweep_fd_plus_1);
    return rc;
}

/* What is young stays, and what it consists of. */
static enum slw_rc
young_keep(struct slw_gc *g, struct slw_err *err)
{
    for (size_t i = 0; i < g->file_count; i++) {
        struct slw_gc_file *f = &g->files[i];
        if (f->flags & GC_LIVE) {
            continue;
        }
        if (is_recipe(g, f))
            f->flags |= GC_RECIPE;
        if (is_old(g, f->mtime_ns))
            continue;
        g->young_count++;
        g->young_size += f->size;
        TRY(live(g, f, err));
    }
    return SLW_OK;
}

/* ---- what can be made again ---- */

struct stale {
    struct slw_gc *g;
    int64_t before_ns;
    int64_t *count, *size;
};

static enum slw_rc
stale_remove(void *ctx, const char *path, const char *name, bool is_dir,
             struct slw_err *err)
{
    struct stale *s = ctx;
    struct stat st;
    (void)name;
    if (is_dir || lstat(path, &st) != 0 || !S_ISREG(st.st_mode) ||
        mtime_ns(&st) >= s->before_ns)
        return SLW_OK;
    if (!s->g->opt.dry_run)
        TRY(slw_file_remove(path, err));
    (*s->count)++;
    *s->size += st.st_size;
    return SLW_OK;
}

/* tmp/ and cache/: what nobody has touched for a day.  A copy that somebody
 * has open stays readable. */
static enum slw_rc
stale_sweep(struct slw_gc *g, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct stale s = {.g = g,
                      .before_ns = now_ns() - STALE_MS * NS_PER_MS,
                      .count = &g->tmp_count,
                      .size = &g->tmp_size};
    TRY(slw_dir_each(slw_path(&a, g->store->dir, "tmp"), stale_remove, &s,
                     err));
    s.count = &g->copy_count;
    s.size = &g->copy_size;
    return slw_dir_each(slw_path(&a, g->store->dir, "cache"), stale_remove, &s,
                        err);
}

enum slw_rc
slw_gc_sweep(struct slw_gc *g, struct slw_err *err)
{
    slw_tx_done(&g->tx);
    for (size_t i = 0; i < g->file_count; i++) {
        const bool needed = g->files[i].flags & GC_LIVE;
        g->live_count += needed;
        g->live_size += needed ? g->files[i].size : 0;
    }
    step(g, "looking", 0, 0);
    TRY(young_keep(g, err));
    TRY(kind_sweep(g, GC_RECIPE, err));
    TRY(kind_sweep(g, 0, err));
    return stale_sweep(g, err);
}

enum slw_rc
slw_store_free_size(struct slw_store *s, int64_t *out_size, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(slw_tx_read(&tx, s, err));
    TRY(slw_stmt_prepare(&st, &tx, SQL_FREE_PAGES, err));
    TRY(slw_stmt_step(&st, &row, err));
    *out_size = row ? slw_col_i64(&st, 0) : 0;
    return SLW_OK;
}
