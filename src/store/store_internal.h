/* store_internal.h -- shared by the files of this room only. */
#ifndef SLW_STORE_STORE_INTERNAL_H
#define SLW_STORE_STORE_INTERNAL_H

#include <sqlite3.h>

#include <pthread.h>
#include <semaphore.h>

#include "base/file.h"
#include "store/dry.h"
#include "store/store.h"

/* How long a writer waits for another one, of this process or another. */
#define STORE_WAIT_MS 30000
/* Read connections open at a time; more readers wait for one. */
#define STORE_READER_MAX 32
/* Of these, how many keep their page cache while they idle. */
#define STORE_READER_WARM 4
/* Prepared statements kept: the writer's, a reader's. */
#define STORE_WRITER_STMT_MAX 256
#define STORE_READER_STMT_MAX 64
/* And of those made at run time: what two kinds of search need. */
#define STORE_TEXT_MAX 8
/* "SLWP": marks the file as ours. */
#define STORE_APPLICATION_ID 0x534c5750
/* A database left by a killed server is checked at start up to this size. */
#define STORE_CHECK_SIZE_MAX ((int64_t)64 << 20)
/* Operations of one group transaction. */
#define STORE_GROUP_BATCH_MAX 5000

/* A prepared statement that is kept. */
struct store_cached {
    sqlite3_stmt *stmt;
    uint64_t used_at; /* of conn->uses: the oldest goes first */
    bool in_use;
};

/* Names and their numbers; see memo.c. */
struct store_memo_slot {
    struct slw_str name; /* ptr NULL: free */
    int64_t value;
};
struct store_memo {
    struct store_memo_slot *slots; /* NULL: none yet */
    size_t count;
    struct slw_arena arena;
    bool is_fresh; /* something of the present transaction is in it */
};

/* One connection.  Owner: the transaction that holds it. */
struct store_conn {
    sqlite3 *db;
    const char **cache_sql; /* [cache_max], by address */
    struct store_cached *cache;
    size_t cache_count;
    size_t cache_max;
    struct store_cached texts[STORE_TEXT_MAX]; /* made at run time */
    uint64_t uses;
    size_t live_count; /* statements prepared and not done */
    int64_t busy_since_ns;
    char *foreign; /* path of a database that is not ours; else NULL */
    struct store_conn *next; /* idle readers */
    struct store_memo memo;  /* the writer only */
};

/* A thread that waits for the write connection.  Owner: write.mutex. */
struct store_waiter {
    sem_t wake;
    bool granted;
    struct store_waiter *next;
};

/* The write connection goes round in the order of asking: it is handed over,
 * so that a busy writer thread cannot starve the others. */
struct store_write_lock {
    pthread_mutex_t mutex;
    bool held;
    pthread_t owner; /* where held: to catch a transaction inside one */
    struct store_waiter *first;
    struct store_waiter *last;
};

/* Owner: mutex, but for the fields below the line. */
struct store_group {
    pthread_mutex_t mutex;
    pthread_cond_t arrived;
    pthread_t thread;
    bool started;
    bool stopping;
    bool asleep; /* the writer waits for `wanted_count` operations */
    size_t wanted_count;
    size_t queued_count;
    struct slw_group_op *first;
    struct slw_group_op *last;
    /* ---- the writer thread's own ---- */
    int64_t commit_ns;        /* recent average of one commit */
    size_t outstanding_count; /* callers that waited at the last commit */
};

struct slw_store {
    char *dir;
    bool server;
    struct slw_file_lock lock;
    struct store_conn *writer; /* Owner: write */
    struct store_write_lock write;
    pthread_mutex_t pool_mutex;
    pthread_cond_t pool_freed;
    struct store_conn *idle; /* Owner: pool_mutex, last used first */
    int reader_count;        /* Owner: pool_mutex */
    int idle_count;          /* Owner: pool_mutex */
    struct store_group group;
    _Atomic uint64_t tmp_count; /* for names in tmp/ */
};

/* conn.c */
enum slw_rc store_conn_open(struct store_conn **out, const char *path,
                            bool writer, struct slw_err *err);
/* A database that is not ours, for reading only. */
enum slw_rc store_conn_open_foreign(struct store_conn **out, const char *path,
                                    struct slw_err *err);
void store_conn_free(struct store_conn *c);
/* Take every statement back that its user has not ended. */
void store_conn_settle(struct store_conn *c);
enum slw_rc store_conn_exec(struct store_conn *c, const char *sql,
                            struct slw_err *err);
enum slw_rc store_conn_i64(struct store_conn *c, const char *sql, int64_t *out,
                           struct slw_err *err);
/* Turn what SQLite said into our error; `what` is the start of a sentence
 * ("cannot commit"). */
enum slw_rc store_conn_fail(struct store_conn *c, int rc, const char *what,
                            struct slw_err *err);
/* Undo and end whatever transaction is open. */
void store_conn_rollback(struct store_conn *c);
void store_memo_forget(struct store_memo *m);
/* After a rollback, of a savepoint too. */
void store_memo_undo(struct store_memo *m);

/* migrate.c */
enum slw_rc store_migrate(struct slw_store *s, bool fresh, struct slw_err *err);
/* The applied migrations are the embedded ones, all of them. */
enum slw_rc store_migrate_check(struct slw_store *s, struct store_conn *c,
                                struct slw_err *err);
/* All embedded migrations on an empty database; false: one does not apply. */
bool store_migrations_apply(sqlite3 *db);

/* group.c */
void store_group_init(struct store_group *g);
void store_group_stop(struct store_group *g);

/* blob.c: number for a temporary name of this process. */
uint64_t store_tmp_next(struct slw_store *s);

/* gc.c: the lock between puts that find a file of blobs/ (shared) and the
 * removal of such files (exclusive).  The descriptor, opened when first
 * needed, is the caller's to close; one a thread. */
enum slw_rc store_blobs_lock(struct slw_store *s, int *fd_plus_1,
                             bool exclusive, struct slw_err *err);
void store_blobs_unlock(int fd_plus_1);

/* ---- dry.c ---- */
struct slw_dry *store_dry(void); /* of the calling thread, or NULL */

#endif
