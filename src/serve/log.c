/* log.c -- the prediction log, writing: memory-mapped segment files.
 *
 * An append is a copy into mapped memory under a short lock: the kernel owns
 * the bytes from then on, whatever becomes of this process.  A flusher thread
 * syncs them each SERVE_FLUSH_MS and has the next segment ready before the
 * present one is full.  Segments are allocated in full when made, so a full
 * disk is an error there and never a SIGBUS here; while none can be made,
 * predictions are answered all the same, counted and not kept. */
#include "serve/serve_internal.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RETRY_NS ((int64_t)1000000000)
/* A spare is made once this much of the active segment is used. */
#define SPARE_FROM_SIZE (SERVE_SEGMENT_SIZE / 4)

static const char SQL_SEGMENT_PUT[] =
    "INSERT INTO serve_segment(deployment, sequence, path, created_at_ms,"
    " sealed, record_count, first_event_ms, last_event_ms)"
    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
    " ON CONFLICT(deployment, sequence) DO UPDATE SET sealed = excluded.sealed,"
    " record_count = excluded.record_count,"
    " first_event_ms = excluded.first_event_ms,"
    " last_event_ms = excluded.last_event_ms";
static const char SQL_SEALED[] =
    "SELECT sealed FROM serve_segment WHERE deployment = ?1 AND sequence = ?2";

/* ---- one segment ---- */

static void
segment_close(struct serve_segment *g)
{
    if (!g)
        return;
    if (g->map)
        (void)munmap(g->map, SERVE_SEGMENT_SIZE);
    if (g->fd >= 0)
        (void)close(g->fd);
    slw_free(g);
}

static struct serve_segment *
segment_new(int64_t sequence)
{
    struct serve_segment *g = slw_alloc(sizeof *g);
    g->fd = -1;
    g->sequence = sequence;
    g->at = SERVE_SEGMENT_HEAD_SIZE;
    g->first_event_ms = INT64_MAX;
    g->last_event_ms = INT64_MIN;
    return g;
}

static enum slw_rc
segment_map(struct serve_segment *g, const char *path, struct slw_err *err)
{
    g->map = mmap(NULL, SERVE_SEGMENT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
                  g->fd, 0);
    if (g->map != MAP_FAILED)
        return SLW_OK;
    g->map = NULL;
    return slw_fail(err, SLW_IO, "cannot map '%s': errno %d", path, errno);
}

static void
segment_path(const struct serve_log *log, int64_t sequence, char out[640])
{
    (void)snprintf(out, 640, "%s/%08lld.seg", log->dir, (long long)sequence);
}

static enum slw_rc
segment_fill(struct serve_segment *g, const char *path, int64_t now_ms,
             struct slw_str deployment, struct slw_err *err)
{
    g->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (g->fd < 0)
        return slw_fail(err, SLW_IO, "cannot make '%s': errno %d", path, errno);
    int failed = posix_fallocate(g->fd, 0, (off_t)SERVE_SEGMENT_SIZE);
    if (failed)
        return slw_fail(err, SLW_IO,
                        "no room for the prediction log: '%s': errno %d", path,
                        failed);
    TRY(segment_map(g, path, err));
    serve_segment_head_write(g->map, g->sequence, now_ms, deployment);
    g->created_at_ms = now_ms;
    g->dirty = true;
    return SLW_OK;
}

static struct slw_str
deployment_of(const struct serve_log *log)
{
    const char *slash = strrchr(log->dir, '/');
    SLW_ASSERT(slash);
    return slw_str_of(slash + 1);
}

/* A new segment with the next number.  Not under the lock but for the rare
 * append that finds no spare. */
static enum slw_rc
segment_make(struct serve_log *log, int64_t sequence, int64_t now_ms,
             struct serve_segment **out, struct slw_err *err)
{
    char path[640];
    segment_path(log, sequence, path);
    struct serve_segment *g = segment_new(sequence);
    enum slw_rc rc = segment_fill(g, path, now_ms, deployment_of(log), err);
    if (rc == SLW_OK) /* its name, too, outlives a power cut */
        rc = slw_dir_sync(log->dir, err);
    if (rc != SLW_OK) {
        const bool made = g->fd >= 0;
        segment_close(g);
        if (made)
            (void)unlink(path);
        return rc;
    }
    *out = g;
    return SLW_OK;
}

/* Step over the whole records; behind them only zeros may follow, so that a
 * torn one cannot be taken for good once others stand before it. */
static void
segment_find_end(struct serve_segment *g)
{
    struct slw_prediction p;
    size_t size;
    while (serve_record_read(g->map + g->at, SERVE_SEGMENT_SIZE - g->at, &p,
                             &size)) {
        g->at += size;
        g->record_count++;
        if (p.event_ms < g->first_event_ms)
            g->first_event_ms = p.event_ms;
        if (p.event_ms > g->last_event_ms)
            g->last_event_ms = p.event_ms;
    }
    for (size_t at = g->at; at < SERVE_SEGMENT_SIZE; at += 8) {
        uint64_t word;
        memcpy(&word, g->map + at, sizeof word);
        if (word)
            memset(g->map + at, 0, 8);
    }
}

/* Out  NULL: not one of ours, or damaged at its head: left alone */
static enum slw_rc
segment_open(struct serve_log *log, int64_t sequence,
             struct serve_segment **out, struct slw_err *err)
{
    *out = NULL;
    char path[640];
    segment_path(log, sequence, path);
    struct serve_segment *g = segment_new(sequence);
    g->fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat st;
    if (g->fd < 0 || fstat(g->fd, &st) != 0) {
        enum slw_rc rc =
            slw_fail(err, SLW_IO, "cannot open '%s': errno %d", path, errno);
        segment_close(g);
        return rc;
    }
    int64_t number = 0;
    enum slw_rc rc = SLW_OK;
    if (st.st_size == (off_t)SERVE_SEGMENT_SIZE)
        rc = segment_map(g, path, err);
    if (rc != SLW_OK || !g->map ||
        !serve_segment_head_read(g->map, SERVE_SEGMENT_SIZE, deployment_of(log),
                                 &number, &g->created_at_ms)) {
        segment_close(g);
        return rc;
    }
    segment_find_end(g);
    *out = g;
    return SLW_OK;
}

/* ---- the log of one deployment ---- */

void
serve_log_init(struct serve_log *log, const char *data_dir,
               struct slw_str deployment)
{
    SLW_ASSERT(pthread_mutex_init(&log->mutex, NULL) == 0);
    int n = snprintf(log->dir, sizeof log->dir, "%s/predictions/%.*s", data_dir,
                     SLW_FMT(deployment));
    SLW_ASSERT(n > 0);
    SLW_ASSERT((size_t)n < sizeof log->dir);
    log->sequence_next = 1;
}

void
serve_log_done(struct serve_log *log)
{
    segment_close(log->active);
    segment_close(log->spare);
    while (log->sealing) {
        struct serve_segment *g = log->sealing;
        log->sealing = g->next;
        segment_close(g);
    }
    (void)pthread_mutex_destroy(&log->mutex);
}

struct folder {
    int64_t *sequences;
    size_t count, cap;
};

static enum slw_rc
folder_add(void *ctx, const char *path, const char *name, bool is_dir,
           struct slw_err *err)
{
    struct folder *f = ctx;
    int64_t n = is_dir ? 0 : serve_segment_sequence(name);
    if (n == 0)
        return SLW_OK;
    if (f->count == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 64;
        f->sequences = slw_realloc(f->sequences, f->cap * sizeof(int64_t));
    }
    f->sequences[f->count++] = n;
    return SLW_OK;
}

static void
folder_done(struct folder *f)
{
    slw_free(f->sequences);
}

static enum slw_rc
is_sealed(struct slw_tx *tx, struct slw_str deployment, int64_t sequence,
          bool *out, struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_SEALED, err));
    slw_stmt_str(&st, 1, deployment);
    slw_stmt_i64(&st, 2, sequence);
    TRY(slw_stmt_step(&st, &row, err));
    *out = row && slw_col_i64(&st, 0) == 1;
    return SLW_OK;
}

static void
seal_later(struct serve_log *log, struct serve_segment *g)
{
    if (!g)
        return;
    g->next = log->sealing;
    log->sealing = g;
}

/* The newest segment with records goes on; an empty one behind it is its
 * spare; older ones that were not sealed (a crash) are sealed now. */
static void
segment_take(struct serve_log *log, struct serve_segment *g)
{
    if (!log->active) {
        log->active = g;
    } else if (g->record_count == 0 && !log->spare) {
        log->spare = g;
    } else if (g->record_count == 0) {
        seal_later(log, g);
    } else {
        seal_later(log, log->active);
        seal_later(log, log->spare);
        log->active = g;
        log->spare = NULL;
    }
}

static enum slw_rc
folder_read(struct serve_log *log, struct slw_tx *tx, struct slw_str deployment,
            struct folder *f, struct slw_err *err)
{
    TRY(slw_dir_make(log->dir, err));
    TRY(slw_dir_each(log->dir, folder_add, f, err));
    for (size_t i = 0; i < f->count; i++) {
        const int64_t n = f->sequences[i];
        if (n >= log->sequence_next)
            log->sequence_next = n + 1;
        bool sealed = false;
        TRY(is_sealed(tx, deployment, n, &sealed, err));
        struct serve_segment *g = NULL;
        if (!sealed)
            TRY(segment_open(log, n, &g, err));
        if (g)
            segment_take(log, g);
    }
    return SLW_OK;
}

enum slw_rc
serve_log_open(struct serve_log *log, struct slw_tx *tx,
               struct slw_str deployment, int64_t now_ms, struct slw_err *err)
{
    /* Nothing is kept before this has run, so it may keep the lock. */
    (void)pthread_mutex_lock(&log->mutex);
    enum slw_rc rc = SLW_OK;
    log->wanted = true;
    if (!log->open) {
        struct folder f = {0};
        rc = folder_read(log, tx, deployment, &f, err);
        folder_done(&f);
        log->open = rc == SLW_OK;
    }
    if (rc == SLW_OK && !log->active) {
        rc = segment_make(log, log->sequence_next, now_ms, &log->active, err);
        log->sequence_next += rc == SLW_OK;
    }
    if (rc != SLW_OK)
        log->retry_mono_ns = slw_mono_ns() + RETRY_NS;
    (void)pthread_mutex_unlock(&log->mutex);
    return rc;
}

/* A segment with room, or false.  Under the lock. */
static bool
room_for(struct serve_log *log, size_t size, int64_t now_ms)
{
    struct serve_segment *g = log->active;
    if (g && size <= SERVE_SEGMENT_SIZE - g->at)
        return true;
    seal_later(log, g);
    log->active = NULL;
    if (log->spare) {
        log->active = log->spare;
        log->spare = NULL;
        return true;
    }
    const int64_t mono_ns = slw_mono_ns();
    if (!log->open || mono_ns < log->retry_mono_ns)
        return false;
    /* The flusher was overtaken: better a moment's wait than a lost record. */
    struct slw_err err;
    if (segment_make(log, log->sequence_next++, now_ms, &log->active, &err) ==
        SLW_OK)
        return true;
    log->retry_mono_ns = mono_ns + RETRY_NS;
    return false;
}

void
serve_log_append(struct serve_log *log, const struct slw_prediction *p,
                 const unsigned char release[static 32])
{
    const size_t size = serve_record_size(p);
    (void)pthread_mutex_lock(&log->mutex);
    const bool fits = room_for(log, size, p->at_ms);
    if (fits) {
        struct serve_segment *g = log->active;
        serve_record_write(g->map + g->at, p, release);
        g->at += size;
        g->record_count++;
        g->dirty = true;
        if (p->event_ms < g->first_event_ms)
            g->first_event_ms = p->event_ms;
        if (p->event_ms > g->last_event_ms)
            g->last_event_ms = p->event_ms;
    }
    (void)pthread_mutex_unlock(&log->mutex);
    if (!fits)
        atomic_fetch_add_explicit(&log->dropped_count, 1, memory_order_relaxed);
}

/* ---- the flusher ---- */

static enum slw_rc
segment_register(struct slw_store *store, struct slw_str deployment,
                 const struct serve_segment *g, bool sealed,
                 struct slw_err *err)
{
    char path[256];
    (void)snprintf(path, sizeof path, "predictions/%.*s/%08lld.seg",
                   SLW_FMT(deployment), (long long)g->sequence);
    const bool empty = g->record_count == 0;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, store, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &tx, SQL_SEGMENT_PUT, err));
    slw_stmt_str(&st, 1, deployment);
    slw_stmt_i64(&st, 2, g->sequence);
    slw_stmt_str(&st, 3, slw_str_of(path));
    slw_stmt_i64(&st, 4, g->created_at_ms);
    slw_stmt_i64(&st, 5, sealed);
    slw_stmt_i64(&st, 6, sealed ? g->record_count : 0);
    slw_stmt_i64(&st, 7, sealed && !empty ? g->first_event_ms : 0);
    slw_stmt_i64(&st, 8, sealed && !empty ? g->last_event_ms : 0);
    TRY(slw_stmt_run(&st, err));
    return slw_tx_commit(&tx, err);
}

static void
warn_once(struct serve_log *log, const char *event, const struct slw_err *err)
{
    if (!log->warned)
        slw_log_err(SLW_LOG_WARN, event, err);
    log->warned = true;
}

/* After a sync that failed the kernel may call pages clean that never reached
 * the disk: a second sync would succeed and mean nothing.  So every page is
 * touched, and the next sync writes all of them again.  Under the lock where
 * the segment is still appended to. */
static void
segment_redirty(struct serve_segment *g)
{
    volatile unsigned char *bytes = g->map;
    for (size_t at = 0; at < g->at; at += 4096)
        bytes[at] = bytes[at];
    g->dirty = true;
}

static enum slw_rc
segment_sync(struct serve_log *log, struct serve_segment *g,
             struct slw_err *err)
{
    if (slw_fd_sync_data(g->fd) == 0)
        return SLW_OK;
    slw_fail(err, SLW_IO, "cannot sync the prediction log: errno %d", errno);
    (void)pthread_mutex_lock(&log->mutex);
    segment_redirty(g);
    (void)pthread_mutex_unlock(&log->mutex);
    return err->rc;
}

/* Sealed segments: on disk, then in the table, then closed.  One that does
 * not get to the disk is kept for the next round. */
static void
seal_all(struct serve_log *log, struct slw_store *store,
         struct slw_str deployment, struct serve_segment *list)
{
    struct slw_err err;
    while (list) {
        struct serve_segment *g = list;
        list = g->next;
        if (segment_sync(log, g, &err) != SLW_OK) {
            warn_once(log, "serve.log_unsynced", &err);
            (void)pthread_mutex_lock(&log->mutex);
            seal_later(log, g);
            (void)pthread_mutex_unlock(&log->mutex);
            continue;
        }
        if (segment_register(store, deployment, g, true, &err) != SLW_OK) {
            /* The next start seals it; readers do without the row. */
            warn_once(log, "serve.log_unsealed", &err);
        }
        segment_close(g);
    }
}

/* What one round has to do, taken under the lock. */
struct round {
    struct serve_segment *syncing; /* NULL: nothing to sync */
    struct serve_segment *sealing;
    struct serve_segment fresh; /* copy of the active one, to register */
    bool is_fresh, wants_open, wants_segment;
    int64_t sequence;
};

static void
round_take(struct serve_log *log, struct round *r)
{
    *r = (struct round){0};
    (void)pthread_mutex_lock(&log->mutex);
    struct serve_segment *g = log->active;
    r->sealing = log->sealing;
    log->sealing = NULL;
    if (g && g->dirty) {
        g->dirty = false;
        r->syncing = g;
    }
    if (g && !g->registered) {
        g->registered = true;
        r->fresh = *g;
        r->is_fresh = true;
    }
    if (slw_mono_ns() >= log->retry_mono_ns) {
        r->wants_open = log->wanted && !log->open;
        r->wants_segment =
            log->open && (!g || (!log->spare && g->at >= SPARE_FROM_SIZE));
    }
    if (r->wants_segment)
        r->sequence = log->sequence_next++;
    (void)pthread_mutex_unlock(&log->mutex);
}

static void
round_make(struct serve_log *log, const struct round *r, int64_t now_ms)
{
    struct slw_err err;
    struct serve_segment *g = NULL;
    enum slw_rc rc = segment_make(log, r->sequence, now_ms, &g, &err);
    (void)pthread_mutex_lock(&log->mutex);
    struct serve_segment *unused = NULL;
    if (rc != SLW_OK)
        log->retry_mono_ns = slw_mono_ns() + RETRY_NS;
    else if (!log->active)
        log->active = g;
    else if (!log->spare && log->active->sequence < g->sequence)
        log->spare = g;
    else
        unused = g; /* an append overtook us and made its own */
    (void)pthread_mutex_unlock(&log->mutex);
    if (unused) {
        char path[640];
        segment_path(log, unused->sequence, path);
        (void)unlink(path);
        segment_close(unused);
    }
    if (rc != SLW_OK)
        warn_once(log, "serve.log_full", &err);
    else
        log->warned = false;
}

static void
reopen(struct serve_log *log, struct slw_store *store,
       struct slw_str deployment, int64_t now_ms)
{
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    enum slw_rc rc = slw_tx_read(&tx, store, &err);
    if (rc == SLW_OK)
        rc = serve_log_open(log, &tx, deployment, now_ms, &err);
    if (rc != SLW_OK)
        warn_once(log, "serve.log_full", &err);
}

void
serve_log_flush(struct serve_log *log, struct slw_store *store,
                struct slw_str deployment, int64_t now_ms)
{
    struct round r;
    struct slw_err err;
    round_take(log, &r);
    /* Only this thread closes segments: it stays ours. */
    if (r.syncing && segment_sync(log, r.syncing, &err) != SLW_OK)
        warn_once(log, "serve.log_unsynced", &err);
    if (r.wants_open)
        reopen(log, store, deployment, now_ms);
    if (r.wants_segment)
        round_make(log, &r, now_ms);
    if (r.is_fresh &&
        segment_register(store, deployment, &r.fresh, false, &err) != SLW_OK)
        warn_once(log, "serve.log_unregistered", &err);
    seal_all(log, store, deployment, r.sealing);
}
