/* verify.h -- is everything in a data folder what it was when it was stored?
 *
 * One check, in which each room looks at its own tables and says what it
 * found by the calls below: a *fault* is something that is not as it must be
 * (one sentence: what and where; another: what to do), a *count* says how
 * much was looked at, a *note* is worth knowing and nothing wrong.
 *
 * Everything is read under one snapshot, so a server may be at work: blobs
 * are written before the rows that name them, hence all that the snapshot
 * names is in the list of files that is taken after it.  The bytes are read
 * last, when the snapshot has been given back: that takes long, and a
 * snapshot that is kept stops SQLite from reusing its log. */
#ifndef SLW_STORE_VERIFY_H
#define SLW_STORE_VERIFY_H

#include "store/gc.h"
#include "store/store.h"

/* Sentences that are kept; of more there is only their number. */
#define SLW_VERIFY_FAULT_MAX 1000

struct slw_verify_line {
    struct slw_verify_line *next;
    const char *room; /* "data" */
    struct slw_str what;
    const char *fix; /* NULL for a note */
};
struct slw_verify_count {
    const char *what; /* "dataset versions" */
    int64_t count;
};
struct slw_verify_blob; /* a file below blobs/ */

/* Owner: one thread.  Everything in it lives in its arena. */
struct slw_verify {
    struct slw_store *store;
    struct slw_tx tx;        /* the snapshot */
    struct slw_gc_hold hold; /* no blob is removed meanwhile */
    struct slw_arena arena;
    struct slw_verify_line *faults, *faults_last;
    int64_t fault_count;
    struct slw_verify_line *notes, *notes_last;
    struct slw_verify_count counts[48];
    size_t count_count;
    struct slw_verify_blob *blobs; /* by hash */
    size_t blob_count;
    bool server_runs;  /* somebody holds the folder's lock */
    int64_t system_ms; /* the system's clock: leases are by it */
    /* Called now and then; total 0: not known.  May be NULL. */
    void (*progress)(void *ctx, const char *what, int64_t done, int64_t total);
    void *progress_ctx;
};

/* Take the snapshot and list the files of blobs/.
 * Errors IO; BUSY: a collection (gc.h) is at work. */
SLW_MUST_USE enum slw_rc slw_verify_begin(struct slw_verify *v,
                                          struct slw_store *s,
                                          struct slw_err *err);
void slw_verify_done(struct slw_verify *v);

/* ---- what rooms say ---- */
/* In  fix what to do, of static life: "restore a backup" */
SLW_PRINTF(4, 5)
void slw_verify_fault(struct slw_verify *v, const char *room, const char *fix,
                      const char *fmt, ...);
SLW_PRINTF(3, 4)
void slw_verify_note(struct slw_verify *v, const char *room, const char *fmt,
                     ...);
void slw_verify_counted(struct slw_verify *v, const char *what, int64_t count);
void slw_verify_step(struct slw_verify *v, const char *what, int64_t done,
                     int64_t total);
/* Something needs this blob: it must be there with all its chunks, and of
 * this size (-1: any).  A fault is said when it is not; its bytes are read
 * by slw_verify_blobs.
 * In   fmt who needs it: "dataset prices@3"
 * Out  is it there? */
SLW_PRINTF(5, 6)
bool slw_verify_need(struct slw_verify *v, const char *room,
                     struct slw_str hash, int64_t size, const char *fmt, ...);
/* The rows of a query of one number and one text, each a fault: "<what> <the
 * text>".  In  sql of static life.  Errors as of reading. */
SLW_MUST_USE enum slw_rc slw_verify_none(struct slw_verify *v, const char *room,
                                         const char *sql, const char *what,
                                         const char *fix, struct slw_err *err);
/* What a query of one number gives. */
SLW_MUST_USE enum slw_rc slw_verify_number(struct slw_verify *v,
                                           const char *sql, int64_t *out,
                                           struct slw_err *err);
/* Is the hex text the SHA-256 of the other one? */
bool slw_verify_hash_ok(struct slw_str hex, struct slw_str text);

/* ---- the store's own part ---- */
/* The database: integrity, references, schema, the chain of events, cursors.
 * Errors as of reading, but for CORRUPT: that is a fault. */
SLW_MUST_USE enum slw_rc slw_verify_store(struct slw_verify *v,
                                          struct slw_err *err);
/* Ends the snapshot, then reads every file of blobs/ against its hash.  Those
 * that nothing needs are counted. */
SLW_MUST_USE enum slw_rc slw_verify_blobs(struct slw_verify *v,
                                          struct slw_err *err);
/* Say an error of reading: CORRUPT is a fault of this room and no error. */
SLW_MUST_USE enum slw_rc slw_verify_rc(struct slw_verify *v, const char *room,
                                       enum slw_rc rc, struct slw_err *err);
/* {"ok","faults":[{"room","what","fix"}],"fault_count","notes":[…],
 * "counts":{…}} as members of the object that is open. */
struct slw_jw;
void slw_verify_write(const struct slw_verify *v, struct slw_jw *w);

#endif
