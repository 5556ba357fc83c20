/* gc.h -- giving back the bytes of blobs/ that nothing names any more.
 *
 * Mark and sweep, while clients write.  `slw_gc_begin` lists the files and
 * takes a snapshot; each room then names what its rows need by slw_gc_need;
 * `slw_gc_sweep` removes the files that were not named and are old.
 *
 * Why what is being stored is safe:
 * 1. A put that finds a chunk or a recipe touches it, under the lock of
 *    blobs.lock that a sweep takes to look at a file's time and remove it.  So
 *    after a put every file of the blob is as young as the put, or there again.
 * 2. A file counts as old when it is older than `grace_ms`, older than every
 *    upload under way (its temporary file is there until its row is), and
 *    older than `job_ms`: as long as jobs that run now may have been at work.
 *    These are looked at before the snapshot: who came later is younger, who
 *    had ended is in the snapshot.
 * A row that came between listing and sweep hence names only young files.
 *
 * Killed at any instant: some files are gone, none that anything names; the
 * next sweep goes on.  Checks and backups hold gc.lock, shared: a collection
 * and they exclude each other (BUSY). */
#ifndef SLW_STORE_GC_H
#define SLW_STORE_GC_H

#include "store/store.h"

struct slw_gc_options {
    int64_t grace_ms; /* what is younger stays */
    int64_t job_ms;   /* longest time that a job running now may have run */
    bool dry_run;     /* count, remove nothing */
};
struct slw_gc_file; /* one file of blobs/ */

/* Owner: one thread.  Everything in it lives in its arena. */
struct slw_gc {
    struct slw_store *store;
    struct slw_gc_options opt;
    struct slw_tx tx; /* the snapshot */
    struct slw_arena arena;
    int lock_fd_plus_1;  /* gc.lock */
    int sweep_fd_plus_1; /* blobs.lock */
    int64_t cutoff_ns;   /* files changed later stay */
    struct slw_gc_file *files;
    size_t file_count;
    /* what was found and done */
    int64_t live_count, live_size;   /* needed */
    int64_t young_count, young_size; /* not needed, not old enough */
    int64_t swept_count, swept_size; /* removed, or would be */
    int64_t tmp_count, tmp_size;     /* left-over temporary files */
    int64_t copy_count, copy_size;   /* plain copies in cache/ */
    void (*progress)(void *ctx, const char *what, int64_t done, int64_t total);
    void *progress_ctx;
};

/* Errors BUSY: a check, a backup or another collection is at work; IO. */
SLW_MUST_USE enum slw_rc slw_gc_begin(struct slw_gc *g, struct slw_store *s,
                                      const struct slw_gc_options *opt,
                                      struct slw_err *err);
void slw_gc_done(struct slw_gc *g);
/* Something needs this blob and all its chunks.  One that is not there is the
 * business of `slipway verify`.
 * Errors CORRUPT: a damaged recipe does not say what it needs, so nothing may
 *        be removed; INVALID: no hash; IO. */
SLW_MUST_USE enum slw_rc slw_gc_need(struct slw_gc *g, struct slw_str hash,
                                     struct slw_err *err);
/* The same for everything in a text that looks like a hash and is a blob's:
 * for documents that name blobs somewhere inside. */
SLW_MUST_USE enum slw_rc slw_gc_need_in(struct slw_gc *g, struct slw_str text,
                                        struct slw_err *err);
/* Gives the snapshot back, then removes (or counts) what is left, and the
 * stale files of tmp/ and cache/.  Errors IO, CORRUPT. */
SLW_MUST_USE enum slw_rc slw_gc_sweep(struct slw_gc *g, struct slw_err *err);

/* For those who read many blobs by names of an older snapshot (a check, a
 * backup): no collection runs until slw_gc_hold_done.  Errors BUSY. */
struct slw_gc_hold {
    int fd_plus_1;
};
SLW_MUST_USE enum slw_rc slw_gc_hold_take(struct slw_gc_hold *h,
                                          struct slw_store *s,
                                          struct slw_err *err);
void slw_gc_hold_done(struct slw_gc_hold *h);

/* Bytes of the database file that hold nothing: SQLite uses them again before
 * it grows the file. */
SLW_MUST_USE enum slw_rc slw_store_free_size(struct slw_store *s,
                                             int64_t *out_size,
                                             struct slw_err *err);

#endif
