/* store.c -- the data folder: its layout, opening and closing, checks,
 * backups and the small settings.
 *
 * A server holds the lock file for as long as it lives; the kernel lets go
 * of it when the process dies, however it dies. */
#include "store/store_internal.h"

#include <unistd.h>

static const char SQL_META_GET[] =
    "SELECT value FROM store_meta WHERE key = ?1";
static const char SQL_META_SET[] =
    "INSERT INTO store_meta(key, value) VALUES(?1, ?2)"
    " ON CONFLICT(key) DO UPDATE SET value = excluded.value";
static const char SQL_QUICK_CHECK[] = "PRAGMA quick_check(1)";
static const char SQL_FOREIGN_KEYS[] = "PRAGMA foreign_key_check";
static const char SQL_TABLE_COUNT[] = "SELECT count(*) FROM sqlite_schema";
static const char SQL_APPLICATION_ID[] = "PRAGMA application_id";
static const char SQL_APPLICATION_ID_SET[] =
    "PRAGMA application_id = " SLW_STRINGIFY(STORE_APPLICATION_ID);

static const char *const FOLDERS[] = {"blobs", "cache",       "tmp",
                                      "jobs",  "predictions", "backup"};

static const char *
db_path(const struct slw_store *s, struct slw_arena *a)
{
    return slw_path(a, s->dir, "slipway.db");
}

const char *
slw_store_dir(const struct slw_store *s)
{
    return s->dir;
}

/* ---- the lock ---- */

static enum slw_rc
lock_refused(const char *dir, const char *path, struct slw_err *err)
{
    struct slw_err ignored;
    SLW_AUTO(slw_buf, text);
    slw_buf_init(&text, 64);
    if (slw_file_get(path, 32, &text, &ignored) != SLW_OK)
        slw_buf_clear(&text);
    const struct slw_str pid = slw_str_trim(slw_buf_view(&text));
    if (pid.len == 0)
        return slw_fail(err, SLW_BUSY,
                        "another slipway server is running on %s (its process "
                        "id is not known); stop it, or choose another folder",
                        dir);
    return slw_fail(err, SLW_BUSY,
                    "another slipway server is running on %s (process %.*s); "
                    "stop it, or choose another folder",
                    dir, SLW_FMT(pid));
}

static enum slw_rc
lock_take(struct slw_store *s, struct slw_err *err)
{
    SLW_AUTO(slw_arena, arena);
    const char *path = slw_path(&arena, s->dir, "lock");
    const enum slw_rc rc = slw_file_lock_take(&s->lock, path, err);
    return rc == SLW_BUSY ? lock_refused(s->dir, path, err) : rc;
}

/* ---- opening ---- */

static enum slw_rc
remove_leftover(void *ctx, const char *path, const char *name, bool is_dir,
                struct slw_err *err)
{
    (void)ctx;
    (void)name;
    return is_dir ? slw_dir_remove(path, err) : slw_file_remove(path, err);
}

/* What a killed server was writing is of no use to anyone. */
static enum slw_rc
folders_make(struct slw_store *s, struct slw_err *err)
{
    SLW_AUTO(slw_arena, arena);
    for (size_t i = 0; i < SLW_ARRAY_LEN(FOLDERS); i++)
        TRY(slw_dir_make(slw_path(&arena, s->dir, "%s", FOLDERS[i]), err));
    return slw_dir_each(slw_path(&arena, s->dir, "tmp"), remove_leftover, NULL,
                        err);
}

/* A file that some other program made must not be migrated into ours. */
static enum slw_rc
check_ours(struct slw_store *s, bool *out_fresh, struct slw_err *err)
{
    int64_t table_count = 0;
    int64_t application_id = 0;
    TRY(store_conn_i64(s->writer, SQL_TABLE_COUNT, &table_count, err));
    TRY(store_conn_i64(s->writer, SQL_APPLICATION_ID, &application_id, err));
    *out_fresh = table_count == 0;
    if (table_count == 0)
        return store_conn_exec(s->writer, SQL_APPLICATION_ID_SET, err);
    if (application_id == STORE_APPLICATION_ID)
        return SLW_OK;
    return slw_fail(err, SLW_CORRUPT,
                    "%s/slipway.db is a database of another program, not "
                    "Slipway's; choose another folder",
                    s->dir);
}

static enum slw_rc
quick_check(struct store_conn *c, struct slw_err *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(c->db, SQL_QUICK_CHECK, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    char found[160] = "";
    if (rc == SQLITE_ROW)
        (void)snprintf(found, sizeof(found), "%s",
                       (const char *)sqlite3_column_text(stmt, 0));
    (void)sqlite3_finalize(stmt);
    if (rc != SQLITE_ROW)
        return store_conn_fail(c, rc, "cannot check the database", err);
    if (strcmp(found, "ok") == 0)
        return SLW_OK;
    return slw_fail(err, SLW_CORRUPT,
                    "the database is damaged (%s); restore a copy from backup/",
                    found);
}

/* The log of a server that ended well is empty.  One that is not tells of a
 * kill or a power cut: SQLite recovers by itself, and we look at the result
 * where that takes no longer than a moment. */
static bool
ended_badly(struct slw_store *s)
{
    SLW_AUTO(slw_arena, arena);
    struct slw_err ignored;
    int64_t log_size = 0;
    int64_t size = 0;
    if (slw_file_size(slw_path(&arena, s->dir, "slipway.db-wal"), &log_size,
                      &ignored) != SLW_OK ||
        slw_file_size(db_path(s, &arena), &size, &ignored) != SLW_OK)
        return false;
    return log_size > 0 && size + log_size <= STORE_CHECK_SIZE_MAX;
}

static enum slw_rc
open_server(struct slw_store *s, struct slw_err *err)
{
    TRY(slw_dir_make(s->dir, err));
    TRY(lock_take(s, err));
    TRY(folders_make(s, err));
    const bool suspect = ended_badly(s);
    SLW_AUTO(slw_arena, arena);
    TRY(store_conn_open(&s->writer, db_path(s, &arena), true, err));
    bool fresh = false;
    TRY(check_ours(s, &fresh, err));
    if (suspect)
        TRY(quick_check(s->writer, err));
    return store_migrate(s, fresh, err);
}

static enum slw_rc
open_child(struct slw_store *s, struct slw_err *err)
{
    SLW_AUTO(slw_arena, arena);
    const char *path = db_path(s, &arena);
    if (!slw_file_exists(path))
        return slw_fail(err, SLW_NOT_FOUND,
                        "there is no Slipway data in %s (no slipway.db); "
                        "start the server once, or name another folder",
                        s->dir);
    TRY(store_conn_open(&s->writer, path, true, err));
    return store_migrate_check(s, s->writer, err);
}

enum slw_rc
slw_store_open(struct slw_store **out, const struct slw_store_options *opt,
               struct slw_err *err)
{
    SLW_ASSERT(opt->dir);
    struct slw_store *s = slw_alloc(sizeof(*s));
    s->dir = slw_strdup(slw_str_of(opt->dir));
    s->server = opt->server;
    (void)pthread_mutex_init(&s->write.mutex, NULL);
    (void)pthread_mutex_init(&s->pool_mutex, NULL);
    (void)pthread_cond_init(&s->pool_freed, NULL);
    store_group_init(&s->group);
    enum slw_rc rc = s->server ? open_server(s, err) : open_child(s, err);
    if (rc != SLW_OK) {
        slw_err_prefix(err, "cannot open the data folder %s: ", s->dir);
        slw_store_close(s);
        return rc;
    }
    *out = s;
    return SLW_OK;
}

void
slw_store_close(struct slw_store *s)
{
    if (!s)
        return;
    store_group_stop(&s->group);
    SLW_ASSERT(!s->write.held);
    while (s->idle) {
        struct store_conn *c = s->idle;
        s->idle = c->next;
        s->reader_count--;
        store_conn_free(c);
    }
    SLW_ASSERT(s->reader_count == 0);
    store_conn_free(s->writer); /* the last one: empties the log */
    slw_file_lock_done(&s->lock);
    (void)pthread_cond_destroy(&s->pool_freed);
    (void)pthread_mutex_destroy(&s->pool_mutex);
    (void)pthread_mutex_destroy(&s->write.mutex);
    slw_free(s->dir);
    slw_free(s);
}

/* ---- checks and backups ---- */

enum slw_rc
slw_store_check(struct slw_store *s, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, s, err));
    TRY(quick_check(tx.db, err));
    TRY(store_migrate_check(s, tx.db, err));
    SLW_AUTO(slw_stmt, keys);
    TRY(slw_stmt_prepare(&keys, &tx, SQL_FOREIGN_KEYS, err));
    bool row = false;
    TRY(slw_stmt_step(&keys, &row, err));
    if (!row)
        return SLW_OK;
    return slw_fail(err, SLW_CORRUPT,
                    "a row of %.*s points at a row of %.*s that is not there",
                    SLW_FMT(slw_col_str(&keys, 0)),
                    SLW_FMT(slw_col_str(&keys, 2)));
}

/* VACUUM INTO wants a path that is absent; it syncs what it wrote. */
enum slw_rc
slw_store_backup(struct slw_store *s, const char *path, struct slw_err *err)
{
    SLW_AUTO(slw_arena, arena);
    const char *tmp =
        slw_arena_printf(&arena, "%s.tmp-%ld-%llu", path, (long)getpid(),
                         (unsigned long long)store_tmp_next(s))
            .ptr;
    struct store_conn *c = NULL;
    TRY(store_conn_open(&c, db_path(s, &arena), true, err));
    char *sql = sqlite3_mprintf("VACUUM INTO %Q", tmp);
    SLW_ASSERT(sql);
    enum slw_rc rc = store_conn_exec(c, sql, err);
    sqlite3_free(sql);
    store_conn_free(c);
    if (rc == SLW_OK)
        rc = slw_file_commit(tmp, path, err);
    if (rc == SLW_OK)
        return SLW_OK;
    struct slw_err ignored;
    (void)!slw_file_remove(tmp, &ignored);
    return slw_err_prefix(err, "cannot back up to %s: ", path);
}

/* ---- small settings ---- */

enum slw_rc
slw_meta_get(struct slw_tx *tx, const char *key, struct slw_arena *a,
             struct slw_str *out, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, get);
    TRY(slw_stmt_prepare(&get, tx, SQL_META_GET, err));
    slw_stmt_str(&get, 1, slw_str_of(key));
    bool row = false;
    TRY(slw_stmt_step(&get, &row, err));
    if (!row)
        return slw_fail(err, SLW_NOT_FOUND, "no setting '%s' in the store",
                        key);
    *out = slw_col_dup(&get, 0, a);
    return SLW_OK;
}

enum slw_rc
slw_meta_set(struct slw_tx *tx, const char *key, struct slw_str value,
             struct slw_err *err)
{
    SLW_AUTO(slw_stmt, set);
    TRY(slw_stmt_prepare(&set, tx, SQL_META_SET, err));
    slw_stmt_str(&set, 1, slw_str_of(key));
    slw_stmt_str(&set, 2, value);
    return slw_stmt_run(&set, err);
}
