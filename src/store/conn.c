/* conn.c -- one SQLite connection: its settings, its cache of prepared
 * statements, and what SQLite's failures mean to us.
 *
 * The cache is keyed by the address of the SQL text, which is of static
 * life; a few statements made at run time are kept by their words.  A
 * statement that is asked for while it is in use (a query inside the loop over
 * the same query) is prepared a second time, uncached. */
#include "store/store_internal.h"

#include <errno.h>
#include <unistd.h>

static const char SQL_SETTINGS[] = "PRAGMA page_size = 8192;"
                                   "PRAGMA journal_mode = WAL;"
                                   "PRAGMA synchronous = FULL;"
                                   "PRAGMA foreign_keys = ON;"
                                   "PRAGMA trusted_schema = OFF;"
                                   "PRAGMA temp_store = MEMORY;"
                                   "PRAGMA wal_autocheckpoint = 4000;"
                                   "PRAGMA journal_size_limit = 67108864;";
static const char SQL_RELAXED[] = "PRAGMA synchronous = OFF;";
static const char SQL_WRITER[] = "PRAGMA cache_size = -16384;";
static const char SQL_READER[] = "PRAGMA cache_size = -16384;"
                                 "PRAGMA query_only = ON;";

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void
library_init(void)
{
    /* The counters of memory take a lock that all threads share. */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    (void)sqlite3_initialize();
}

/* SQLite's own delays grow to 100 ms, with which a job child loses every
 * race against a busy server; half a millisecond is fair and cheap. */
static int
wait_for_other_writer(void *arg, int count)
{
    struct store_conn *c = arg;
    const int64_t now_ns = slw_mono_ns();
    if (count == 0)
        c->busy_since_ns = now_ns;
    if (now_ns - c->busy_since_ns > (int64_t)STORE_WAIT_MS * 1000000)
        return 0;
    const struct timespec delay = {0, count < 20 ? 500000 : 2000000};
    (void)nanosleep(&delay, NULL);
    return 1;
}

/* The system's error behind an SQLITE_IOERR.  That of the connection is often
 * overwritten by the time we ask; the files remember theirs. */
static int
system_error(struct store_conn *c)
{
    static const int files[] = {SQLITE_FCNTL_JOURNAL_POINTER,
                                SQLITE_FCNTL_FILE_POINTER};
    for (size_t i = 0; i < SLW_ARRAY_LEN(files); i++) {
        sqlite3_file *file = NULL;
        int error = 0;
        if (sqlite3_file_control(c->db, NULL, files[i], &file) == SQLITE_OK &&
            file && file->pMethods &&
            file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO,
                                         &error) == SQLITE_OK &&
            error != 0)
            return error;
    }
    return sqlite3_system_errno(c->db);
}

static bool
is_disk_full(struct store_conn *c, int rc)
{
    if ((rc & 0xff) == SQLITE_FULL)
        return true;
    if ((rc & 0xff) != SQLITE_IOERR)
        return false;
    const int error = system_error(c);
    return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

/* Of a database that is not ours: the remedies for slipway.db are none. */
static enum slw_rc
foreign_fail(struct store_conn *c, int rc, const char *said,
             struct slw_err *err)
{
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return slw_fail(err, SLW_BUSY,
                        "%s: another process has been writing for %d s; stop "
                        "it, or take a copy",
                        c->foreign, STORE_WAIT_MS / 1000);
    case SQLITE_NOTADB:
        return slw_fail(err, SLW_CORRUPT, "%s is not an SQLite database",
                        c->foreign);
    case SQLITE_CORRUPT:
        return slw_fail(err, SLW_CORRUPT, "%s is damaged: %s", c->foreign,
                        said);
    case SQLITE_ERROR:
        return slw_fail(err, SLW_INVALID, "%s: %s", c->foreign, said);
    case SQLITE_INTERRUPT:
        return slw_fail(err, SLW_TIMEOUT, "%s: interrupted", c->foreign);
    default:
        return slw_fail(err, SLW_IO, "cannot read %s: %s", c->foreign, said);
    }
}

enum slw_rc
store_conn_fail(struct store_conn *c, int rc, const char *what,
                struct slw_err *err)
{
    const char *said = c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc);
    if (c->foreign)
        return foreign_fail(c, rc, said, err);
    if (c->db && sqlite3_extended_errcode(c->db) != SQLITE_OK &&
        (sqlite3_extended_errcode(c->db) & 0xff) == (rc & 0xff))
        rc = sqlite3_extended_errcode(c->db);
    if (is_disk_full(c, rc))
        return slw_fail(err, SLW_IO,
                        "%s: the disk is full; nothing was written, free some "
                        "space and try again",
                        what);
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return slw_fail(err, SLW_BUSY,
                        "%s: another process has been writing for %d s", what,
                        STORE_WAIT_MS / 1000);
    case SQLITE_CONSTRAINT:
        return slw_fail(err, SLW_CONFLICT, "%s: %s", what, said);
    case SQLITE_TOOBIG:
        return slw_fail(err, SLW_LIMIT, "%s: a value is too large", what);
    case SQLITE_CORRUPT:
        return slw_fail(err, SLW_CORRUPT,
                        "%s: the database is damaged (%s); restore a copy "
                        "from backup/",
                        what, said);
    case SQLITE_NOTADB:
        return slw_fail(err, SLW_CORRUPT,
                        "%s: slipway.db is not an SQLite database", what);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_NOLFS:
        return slw_fail(err, SLW_IO, "%s: %s (%s)", what, said,
                        strerror(system_error(c)));
    case SQLITE_INTERRUPT:
        return slw_fail(err, SLW_TIMEOUT, "%s: interrupted", what);
    default:
        return slw_fail(err, SLW_INTERNAL, "%s: %s", what, said);
    }
}

enum slw_rc
store_conn_exec(struct store_conn *c, const char *sql, struct slw_err *err)
{
    const int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        return SLW_OK;
    return store_conn_fail(c, rc, "the database refused", err);
}

enum slw_rc
store_conn_i64(struct store_conn *c, const char *sql, int64_t *out,
               struct slw_err *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(c->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    if (rc == SQLITE_ROW)
        return SLW_OK;
    return store_conn_fail(c, rc, "cannot read the database", err);
}

static enum slw_rc
conn_set_up(struct store_conn *c, const char *path, bool writer,
            struct slw_err *err)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                      SQLITE_OPEN_EXRESCODE | (writer ? SQLITE_OPEN_CREATE : 0);
    const int rc = sqlite3_open_v2(path, &c->db, flags, NULL);
    if (rc != SQLITE_OK)
        return store_conn_fail(c, rc, "cannot open slipway.db", err);
    (void)sqlite3_busy_handler(c->db, wait_for_other_writer, c);
    (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    TRY(store_conn_exec(c, SQL_SETTINGS, err));
    if (slw_file_relaxed())
        TRY(store_conn_exec(c, SQL_RELAXED, err));
    return store_conn_exec(c, writer ? SQL_WRITER : SQL_READER, err);
}

enum slw_rc
store_conn_open(struct store_conn **out, const char *path, bool writer,
                struct slw_err *err)
{
    (void)pthread_once(&library_once, library_init);
    struct store_conn *c = slw_alloc(sizeof(*c));
    c->cache_max = writer ? STORE_WRITER_STMT_MAX : STORE_READER_STMT_MAX;
    c->cache = slw_alloc(c->cache_max * sizeof(*c->cache));
    c->cache_sql = slw_alloc(c->cache_max * sizeof(*c->cache_sql));
    const enum slw_rc rc = conn_set_up(c, path, writer, err);
    if (rc != SLW_OK) {
        store_conn_free(c);
        return rc;
    }
    *out = c;
    return SLW_OK;
}

void
store_conn_free(struct store_conn *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->cache_count; i++)
        (void)sqlite3_finalize(c->cache[i].stmt);
    for (size_t i = 0; i < STORE_TEXT_MAX; i++)
        (void)sqlite3_finalize(c->texts[i].stmt);
    (void)sqlite3_close_v2(c->db);
    slw_free(c->cache);
    slw_free(c->cache_sql);
    store_memo_forget(&c->memo);
    slw_free(c->foreign);
    slw_free(c);
}

static enum slw_rc
foreign_set_up(struct store_conn *c, struct slw_err *err)
{
    static const char settings[] = "PRAGMA query_only = ON;"
                                   "PRAGMA trusted_schema = OFF;"
                                   "PRAGMA cell_size_check = ON;"
                                   "PRAGMA temp_store = MEMORY;"
                                   "PRAGMA cache_size = -32768;";
    const int flags =
        SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    const int rc = sqlite3_open_v2(c->foreign, &c->db, flags, NULL);
    if (rc != SQLITE_OK)
        return store_conn_fail(c, rc, "cannot open", err);
    (void)sqlite3_busy_handler(c->db, wait_for_other_writer, c);
    (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return store_conn_exec(c, settings, err);
}

enum slw_rc
store_conn_open_foreign(struct store_conn **out, const char *path,
                        struct slw_err *err)
{
    (void)pthread_once(&library_once, library_init);
    struct store_conn *c = slw_alloc(sizeof(*c));
    c->cache_max = STORE_READER_STMT_MAX;
    c->cache = slw_alloc(c->cache_max * sizeof(*c->cache));
    c->cache_sql = slw_alloc(c->cache_max * sizeof(*c->cache_sql));
    c->foreign = slw_strdup(slw_str_of(path));
    const enum slw_rc rc = foreign_set_up(c, err);
    if (rc != SLW_OK) {
        store_conn_free(c);
        return rc;
    }
    *out = c;
    return SLW_OK;
}

void
store_conn_rollback(struct store_conn *c)
{
    if (!sqlite3_get_autocommit(c->db))
        (void)sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    store_memo_undo(&c->memo);
}

/* ---- statements ---- */

static size_t
cache_find(const struct store_conn *c, const char *sql)
{
    for (size_t i = 0; i < c->cache_count; i++)
        if (c->cache_sql[i] == sql)
            return i;
    return c->cache_count;
}

/* A free place: a new one, or the one not used for longest; cache_max where
 * all are in use. */
static size_t
cache_place(struct store_conn *c)
{
    if (c->cache_count < c->cache_max)
        return c->cache_count++;
    size_t oldest = c->cache_max;
    for (size_t i = 0; i < c->cache_count; i++) {
        if (c->cache[i].in_use)
            continue;
        if (oldest == c->cache_max ||
            c->cache[i].used_at < c->cache[oldest].used_at)
            oldest = i;
    }
    if (oldest < c->cache_max)
        (void)sqlite3_finalize(c->cache[oldest].stmt);
    return oldest;
}

static enum slw_rc
compile(struct store_conn *c, const char *sql, size_t len, unsigned flags,
        sqlite3_stmt **out, struct slw_err *err)
{
    SLW_ASSERT(len < (size_t)INT32_MAX);
    const int rc = sqlite3_prepare_v3(c->db, sql, (int)len, flags, out, NULL);
    if (rc != SQLITE_OK)
        return store_conn_fail(c, rc, "cannot prepare a query", err);
    SLW_ASSERT(*out);
    return SLW_OK;
}

enum slw_rc
slw_stmt_prepare(struct slw_stmt *st, struct slw_tx *tx, const char *sql,
                 struct slw_err *err)
{
    SLW_ASSERT(tx->db);
    slw_stmt_done(st);
    struct store_conn *c = tx->db;
    size_t at = cache_find(c, sql);
    const bool found = at < c->cache_count;
    sqlite3_stmt *stmt = NULL;
    if (found && !c->cache[at].in_use) {
        stmt = c->cache[at].stmt;
        /* Another text at this address: it was not of static life. */
        SLW_ASSERT(strcmp(sqlite3_sql(stmt), sql) == 0);
    } else {
        TRY(compile(c, sql, strlen(sql), found ? 0 : SQLITE_PREPARE_PERSISTENT,
                    &stmt, err));
        at = found ? c->cache_max : cache_place(c);
        if (at < c->cache_max) {
            c->cache_sql[at] = sql;
            c->cache[at].stmt = stmt;
        }
    }
    const bool cached = at < c->cache_max;
    if (cached) {
        c->cache[at].in_use = true;
        c->cache[at].used_at = ++c->uses;
    }
    c->live_count++;
    *st = (struct slw_stmt){stmt, tx, cached ? sql : NULL, SQLITE_OK};
    return SLW_OK;
}

/* The place of a statement made at run time: the one that holds it, if it is
 * free, or the one not used for longest; NULL where it cannot be kept. */
static struct store_cached *
text_place(struct store_conn *c, struct slw_str sql, bool *out_found)
{
    struct store_cached *oldest = NULL;
    *out_found = false;
    for (size_t i = 0; i < STORE_TEXT_MAX; i++) {
        struct store_cached *t = &c->texts[i];
        *out_found =
            t->stmt && slw_str_eq(slw_str_of(sqlite3_sql(t->stmt)), sql);
        if (*out_found)
            return t->in_use ? NULL : t;
        if (!t->in_use && (!oldest || t->used_at < oldest->used_at))
            oldest = t;
    }
    return oldest;
}

enum slw_rc
slw_stmt_prepare_text(struct slw_stmt *st, struct slw_tx *tx,
                      struct slw_str sql, struct slw_err *err)
{
    SLW_ASSERT(tx->db);
    slw_stmt_done(st);
    struct store_conn *c = tx->db;
    bool found = false;
    struct store_cached *kept = text_place(c, sql, &found);
    sqlite3_stmt *stmt = kept && found ? kept->stmt : NULL;
    if (!stmt)
        TRY(compile(c, sql.ptr, sql.len, 0, &stmt, err));
    if (kept) {
        if (!found)
            (void)sqlite3_finalize(kept->stmt);
        *kept = (struct store_cached){stmt, ++c->uses, true};
    }
    c->live_count++;
    *st = (struct slw_stmt){stmt, tx, NULL, SQLITE_OK};
    return SLW_OK;
}

/* Free a kept statement for its next user. */
static void
give_back(struct store_cached *kept)
{
    (void)sqlite3_reset(kept->stmt);
    (void)sqlite3_clear_bindings(kept->stmt);
    kept->in_use = false;
}

static struct store_cached *
text_find(struct store_conn *c, const sqlite3_stmt *stmt)
{
    for (size_t i = 0; i < STORE_TEXT_MAX; i++)
        if (c->texts[i].stmt == stmt)
            return &c->texts[i];
    return NULL;
}

void
slw_stmt_done(struct slw_stmt *st)
{
    if (!st->stmt)
        return;
    struct store_conn *c = st->tx->db;
    sqlite3_stmt *stmt = st->stmt;
    const char *sql = st->sql;
    *st = (struct slw_stmt){0};
    /* The transaction ended first and took its statements back; another
     * thread may hold the connection by now. */
    if (!c)
        return;
    c->live_count--;
    const size_t at = sql ? cache_find(c, sql) : 0;
    SLW_ASSERT(!sql || at < c->cache_count);
    struct store_cached *kept = sql ? &c->cache[at] : text_find(c, stmt);
    if (kept)
        give_back(kept);
    else
        (void)sqlite3_finalize(stmt);
}

/* false: it is not a kept one. */
static bool
take_back(struct store_conn *c, sqlite3_stmt *stmt)
{
    struct store_cached *kept = text_find(c, stmt);
    for (size_t i = 0; i < c->cache_count && !kept; i++)
        kept = c->cache[i].stmt == stmt ? &c->cache[i] : NULL;
    if (kept)
        give_back(kept);
    return kept;
}

void
store_conn_settle(struct store_conn *c)
{
    if (c->live_count == 0)
        return;
    sqlite3_stmt *stmt = sqlite3_next_stmt(c->db, NULL);
    while (stmt) {
        sqlite3_stmt *next = sqlite3_next_stmt(c->db, stmt);
        if (!take_back(c, stmt))
            (void)sqlite3_finalize(stmt);
        stmt = next;
    }
    c->live_count = 0;
}
