/* migrate.c -- brings the database to the schema this binary was built with.
 *
 * The migrations are embedded files, applied in the order of their numbers,
 * all that are missing in one transaction with their rows in
 * schema_migration.  A database that has content is copied to backup/ first.
 * What was applied must be exactly what is embedded: there are no downgrades,
 * and a migration that was edited after it was applied stops the start. */
#include "store/store_internal.h"
#include "store_migrations.h" /* generated */

static const char SQL_HAS_TABLE[] =
    "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"
    " AND name = 'schema_migration'";
static const char SQL_APPLIED[] =
    "SELECT number, name, sha256 FROM schema_migration ORDER BY number";
static const char SQL_INSERT[] =
    "INSERT INTO schema_migration(number, name, sha256) VALUES(?1, ?2, ?3)";

#define MIGRATION_MAX 1000

/* "0004_features.sql" → 4; asserted: the files are ours. */
static int64_t
number_of(const struct slw_asset *asset)
{
    const char *name = strrchr(asset->path, '/');
    name = name ? name + 1 : asset->path;
    int64_t number = 0;
    struct slw_err err;
    struct slw_str head;
    struct slw_str rest;
    SLW_ASSERT(slw_str_cut(slw_str_of(name), '_', &head, &rest));
    SLW_ASSERT(slw_str_i64(head, &number, &err) == SLW_OK);
    SLW_ASSERT(number > 0);
    SLW_ASSERT(number < MIGRATION_MAX);
    return number;
}

static const struct slw_asset *
asset_find(int64_t number)
{
    for (size_t i = 0; i < slw_migrations_count; i++)
        if (number_of(&slw_migrations[i]) == number)
            return &slw_migrations[i];
    return NULL;
}

static enum slw_rc
check_applied(struct slw_store *s, int64_t number, const char *name,
              const char *sha256, struct slw_err *err)
{
    const struct slw_asset *asset = asset_find(number);
    if (!asset)
        return slw_fail(err, SLW_UNSUPPORTED,
                        "the database in %s was written by a newer Slipway "
                        "(migration %s is not known here); use that version, "
                        "or restore a copy from backup/",
                        s->dir, name);
    if (strcmp(asset->sha256, sha256) == 0)
        return SLW_OK;
    return slw_fail(err, SLW_CORRUPT,
                    "migration %s was changed after it had been applied to "
                    "the database in %s (its SHA-256 was %.12s, now %.12s)",
                    name, s->dir, sha256, asset->sha256);
}

/* Marks in done[] which numbers the database has. */
static enum slw_rc
applied_read(struct slw_store *s, struct store_conn *c, bool *done,
             struct slw_err *err)
{
    int64_t has_table = 0;
    TRY(store_conn_i64(c, SQL_HAS_TABLE, &has_table, err));
    if (has_table == 0)
        return SLW_OK;
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(c->db, SQL_APPLIED, -1, &stmt, NULL);
    enum slw_rc result = SLW_OK;
    while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const int64_t number = sqlite3_column_int64(stmt, 0);
        result =
            check_applied(s, number, (const char *)sqlite3_column_text(stmt, 1),
                          (const char *)sqlite3_column_text(stmt, 2), err);
        if (result != SLW_OK)
            break;
        done[number] = true;
        rc = SQLITE_OK;
    }
    (void)sqlite3_finalize(stmt);
    if (result != SLW_OK || rc == SQLITE_DONE)
        return result;
    return store_conn_fail(c, rc, "cannot read the applied migrations", err);
}

static enum slw_rc
record(struct slw_tx *tx, const struct slw_asset *asset, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, put);
    TRY(slw_stmt_prepare(&put, tx, SQL_INSERT, err));
    slw_stmt_i64(&put, 1, number_of(asset));
    slw_stmt_str(&put, 2, slw_str_of(asset->path));
    slw_stmt_str(&put, 3, slw_str_of(asset->sha256));
    return slw_stmt_run(&put, err);
}

static enum slw_rc
apply(struct slw_tx *tx, const struct slw_asset *asset, struct slw_err *err)
{
    /* The embedded bytes end with a NUL that is not counted. */
    const enum slw_rc rc =
        store_conn_exec(tx->db, (const char *)asset->bytes, err);
    if (rc != SLW_OK)
        return slw_err_prefix(err, "migration %s: ", asset->path);
    return record(tx, asset, err);
}

static enum slw_rc
back_up(struct slw_store *s, const struct slw_asset *next, struct slw_err *err)
{
    SLW_AUTO(slw_arena, arena);
    return slw_store_backup(
        s,
        slw_path(&arena, s->dir, "backup/before-%04d.db", (int)number_of(next)),
        err);
}

enum slw_rc
store_migrate(struct slw_store *s, bool fresh, struct slw_err *err)
{
    bool done[MIGRATION_MAX] = {false};
    TRY(applied_read(s, s->writer, done, err));
    const struct slw_asset *first = NULL;
    for (size_t i = 0; i < slw_migrations_count && !first; i++)
        if (!done[number_of(&slw_migrations[i])])
            first = &slw_migrations[i];
    if (!first)
        return SLW_OK;
    if (!fresh)
        TRY(back_up(s, first, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, s, err));
    for (size_t i = 0; i < slw_migrations_count; i++)
        if (!done[number_of(&slw_migrations[i])])
            TRY(apply(&tx, &slw_migrations[i], err));
    return slw_tx_commit(&tx, err);
}

enum slw_rc
store_migrate_check(struct slw_store *s, struct store_conn *c,
                    struct slw_err *err)
{
    bool done[MIGRATION_MAX] = {false};
    TRY(applied_read(s, c, done, err));
    for (size_t i = 0; i < slw_migrations_count; i++)
        if (!done[number_of(&slw_migrations[i])])
            return slw_fail(err, SLW_UNSUPPORTED,
                            "the database in %s is of an older Slipway "
                            "(migration %s is missing); start this version's "
                            "server once",
                            s->dir, slw_migrations[i].path);
    return SLW_OK;
}

bool
store_migrations_apply(sqlite3 *db)
{
    for (size_t i = 0; i < slw_migrations_count; i++)
        if (sqlite3_exec(db, (const char *)slw_migrations[i].bytes, NULL, NULL,
                         NULL) != SQLITE_OK)
            return false;
    return true;
}
