/* store.h -- the truth: one SQLite database in the data folder, in WAL mode
 * with synchronous=FULL, so that what was committed survives kill -9 and a
 * power cut.
 *
 * Two ways to write.  Ordinary writes take the one write connection with
 * slw_tx_begin() and give it back by commit or by scope.  Hot, small writes
 * (metric points, tags, labels) go through slw_store_group(): the writer
 * thread runs all that arrived meanwhile in one transaction and wakes the
 * callers after the commit.  Both are acknowledged only when on disk.
 *
 * Several processes may open one store (the server and its job children);
 * SQLite's own locks order their writes.  Reads see a consistent snapshot. */
#ifndef SLW_STORE_STORE_H
#define SLW_STORE_STORE_H

#include "base/arena.h"
#include "base/base.h"
#include "base/clock.h"

struct slw_store; /* Owner: shared by threads */

struct slw_store_options {
    const char *dir; /* data folder; created when absent */
    bool server;     /* take the folder's exclusive server lock and migrate;
                        false: a job child, which finds both done */
};

/* Layout of a data folder: slipway.db, lock, blobs/, cache/, tmp/, jobs/,
 * predictions/, backup/.
 * Errors BUSY: another server runs on this folder; CORRUPT: a migration that
 *        was applied has changed, or integrity fails; UNSUPPORTED: the
 *        database is of a newer Slipway; IO. */
SLW_MUST_USE enum slw_rc slw_store_open(struct slw_store **out,
                                        const struct slw_store_options *opt,
                                        struct slw_err *err);
void slw_store_close(struct slw_store *s);
const char *slw_store_dir(const struct slw_store *s);

/* ---- transactions (write) and snapshots (read) ---- */
struct slw_tx {
    struct slw_store *store; /* NULL: not begun */
    void *db;                /* the connection */
    bool write;
    struct slw_dry *dry; /* see dry.h; NULL: what is committed is written */
};

/* BEGIN IMMEDIATE on the write connection; waits for other writers of this
 * and other processes, at most 30 s.
 * Errors BUSY, IO.
 * Note   inside a transaction only the database is touched: no child, no
 *        network, no waiting. */
SLW_MUST_USE enum slw_rc slw_tx_begin(struct slw_tx *tx, struct slw_store *s,
                                      struct slw_err *err);
/* In a dry run (dry.h) this rolls back.
 * Errors IO (a full disk too); then nothing was written. */
SLW_MUST_USE enum slw_rc slw_tx_commit(struct slw_tx *tx, struct slw_err *err);
/* A read snapshot on a connection of the pool. */
SLW_MUST_USE enum slw_rc slw_tx_read(struct slw_tx *tx, struct slw_store *s,
                                     struct slw_err *err);
/* Roll back what was not committed and give the connection back. */
void slw_tx_done(struct slw_tx *tx);

/* ---- statements: prepared once a connection and cached by SQL address ---- */
struct slw_stmt {
    void *stmt;
    struct slw_tx *tx;
    const char *sql;
    int bind_error;
};

/* `sql` must be a string of static life.  Parameters ?1, ?2 … */
SLW_MUST_USE enum slw_rc slw_stmt_prepare(struct slw_stmt *st,
                                          struct slw_tx *tx, const char *sql,
                                          struct slw_err *err);
/* SQL built at run time (search filters): the last few are kept by their
 * words, so bind values, do not write them into the text. */
SLW_MUST_USE enum slw_rc slw_stmt_prepare_text(struct slw_stmt *st,
                                               struct slw_tx *tx,
                                               struct slw_str sql,
                                               struct slw_err *err);
void slw_stmt_done(struct slw_stmt *st);
/* Bound views must live until the statement is run, reset or done. */
void slw_stmt_i64(struct slw_stmt *st, int at, int64_t v);
void slw_stmt_f64(struct slw_stmt *st, int at, double v); /* NaN binds NULL */
void slw_stmt_str(struct slw_stmt *st, int at, struct slw_str v);
void slw_stmt_blob(struct slw_stmt *st, int at, const void *bytes, size_t len);
void slw_stmt_null(struct slw_stmt *st, int at);
/* Run a statement that returns no rows; it may then be bound and run again.
 * Errors CONFLICT: a UNIQUE, CHECK or FOREIGN KEY rule was broken; LIMIT;
 *        IO; CORRUPT. */
SLW_MUST_USE enum slw_rc slw_stmt_run(struct slw_stmt *st, struct slw_err *err);
/* Next row; *out_row false at the end (the statement is then reset). */
SLW_MUST_USE enum slw_rc slw_stmt_step(struct slw_stmt *st, bool *out_row,
                                       struct slw_err *err);
void slw_stmt_reset(struct slw_stmt *st);
/* Columns of the present row, 0-based; views live until the next step. */
int64_t slw_col_i64(struct slw_stmt *st, int at);
double slw_col_f64(struct slw_stmt *st, int at); /* NULL reads as NaN */
struct slw_str slw_col_str(struct slw_stmt *st, int at);
struct slw_str slw_col_blob(struct slw_stmt *st, int at);
bool slw_col_null(struct slw_stmt *st, int at);
/* A copy in the arena. */
struct slw_str slw_col_dup(struct slw_stmt *st, int at, struct slw_arena *a);
int64_t slw_tx_last_id(struct slw_tx *tx);
int64_t slw_tx_changes(struct slw_tx *tx);

/* ---- names remembered, in a write transaction ---- */
/* The number a name stands for, in rows that never change and are never
 * removed once they are written (track_key); told only while what was
 * remembered is in the database, or in this transaction.
 * Out  false: not remembered */
bool slw_tx_recall(struct slw_tx *tx, struct slw_str name, int64_t *out);
void slw_tx_remember(struct slw_tx *tx, struct slw_str name, int64_t value);

/* ---- group commit ---- */
/* One operation; runs on the writer thread inside a savepoint of its own: a
 * failure undoes this operation only. */
typedef enum slw_rc (*slw_group_fn)(struct slw_tx *tx, void *ctx,
                                    struct slw_err *err);
/* Queue, wait until the transaction that holds it is on disk, return what
 * `fn` returned (or the commit's failure).
 * Errors BUSY: the queue is full (SLW_GROUP_QUEUE_MAX); IO; fn's own. */
SLW_MUST_USE enum slw_rc slw_store_group(struct slw_store *s, slw_group_fn fn,
                                         void *ctx, struct slw_err *err);
/* The same without waiting.  Owner: the caller until queued; from then on the
 * writer thread, which calls `then` when the transaction is on disk (or lost)
 * and does not touch the operation afterwards; `then` must not wait. */
struct slw_group_op {
    slw_group_fn fn;
    void *ctx;
    void (*then)(void *ctx, enum slw_rc rc, const struct slw_err *err);
    /* ---- the store's ---- */
    struct slw_group_op *next;
    struct slw_err err;
    enum slw_rc rc;
};
/* Errors BUSY: as above; `then` is not called. */
SLW_MUST_USE enum slw_rc slw_store_group_later(struct slw_store *s,
                                               struct slw_group_op *op,
                                               struct slw_err *err);
#define SLW_GROUP_QUEUE_MAX 65536

/* ---- small settings of the whole store ---- */
SLW_MUST_USE enum slw_rc slw_meta_get(struct slw_tx *tx, const char *key,
                                      struct slw_arena *a, struct slw_str *out,
                                      struct slw_err *err); /* NOT_FOUND */
SLW_MUST_USE enum slw_rc slw_meta_set(struct slw_tx *tx, const char *key,
                                      struct slw_str value,
                                      struct slw_err *err);

/* PRAGMA quick_check and the migrations' hashes.  Errors CORRUPT. */
SLW_MUST_USE enum slw_rc slw_store_check(struct slw_store *s,
                                         struct slw_err *err);
/* A consistent copy of the database while running (VACUUM INTO). */
SLW_MUST_USE enum slw_rc slw_store_backup(struct slw_store *s, const char *path,
                                          struct slw_err *err);

#endif
