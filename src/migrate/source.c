/* source.c -- MLflow's database as it may be found: of many versions, some of
 * them without tables and columns that the newest one has.  It is only read,
 * in one snapshot. */
#include "base/file.h"
#include "migrate/migrate_internal.h"

/* Without these it is none of MLflow's, or one from before 2022. */
static const char *const NEEDED[][2] = {
    {"experiments", "lifecycle_stage"},
    {"runs", "deleted_time"},
    {"metrics", "is_nan"},
    {"latest_metrics", "is_nan"},
    {"params", "value"},
    {"tags", "value"},
    {"experiment_tags", "value"},
};

enum slw_rc
slw_import_uri_check(struct slw_str uri, struct slw_arena *a,
                     const char **out_path, struct slw_err *err)
{
    struct slw_str scheme, path, query, driver;
    const bool has = slw_str_cut(uri, ':', &scheme, &path);
    slw_str_cut(scheme, '+', &scheme, &driver);
    if (!has || scheme.len < 2) {
        path = uri;
    } else if (slw_str_eqz(scheme, "sqlite")) {
        if (!slw_str_starts(path, "///") || path.len == 3)
            return slw_fail(err, SLW_INVALID,
                            "'%.*s' names no file: write sqlite:///mlflow.db, "
                            "or sqlite:////srv/mlflow.db for a path from the "
                            "root",
                            SLW_FMT(uri));
        path = (struct slw_str){path.ptr + 3, path.len - 3};
        slw_str_cut(path, '?', &path, &query);
    } else if (slw_str_starts(scheme, "postgres") ||
               slw_str_eqz(scheme, "mysql") || slw_str_eqz(scheme, "mssql")) {
        return slw_fail(
            err, SLW_INVALID,
            "only SQLite is read, not %.*s: make an empty copy with `mlflow db "
            "upgrade sqlite:///copy.db`, fill its tables from the old ones "
            "(with DuckDB: ATTACH both, then INSERT INTO copy.T SELECT * FROM "
            "old.T), and import sqlite:///copy.db",
            SLW_FMT(scheme));
    } else {
        return slw_fail(err, SLW_INVALID,
                        "'%.*s' is no database this reads: it can be "
                        "sqlite:///PATH or a path",
                        SLW_FMT(slw_track_cut(uri, 200)));
    }
    if (path.len == 0)
        return slw_fail(err, SLW_INVALID, "the backend store's URI is empty");
    *out_path = slw_arena_strz(a, path);
    return SLW_OK;
}

static enum slw_rc
revision_read(struct migrate_import *im, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    im->revision = SLW_STR("");
    TRY(migrate_query(im, &st, "alembic_version",
                      "SELECT version_num FROM alembic_version", err));
    TRY(migrate_step(&st, &row, err));
    if (row)
        im->revision = slw_col_dup(&st, 0, &im->keep);
    return SLW_OK;
}

static enum slw_rc
schema_check(struct migrate_import *im, struct slw_err *err)
{
    bool runs = false;
    TRY(slw_foreign_has(&im->src, "runs", "run_uuid", &runs, err));
    TRY(revision_read(im, err));
    if (!runs)
        return slw_fail(err, SLW_INVALID,
                        "%s is no tracking database of MLflow's: it has no "
                        "table 'runs'",
                        im->path);
    for (size_t i = 0; i < SLW_ARRAY_LEN(NEEDED); i++) {
        bool has = false;
        TRY(slw_foreign_has(&im->src, NEEDED[i][0], NEEDED[i][1], &has, err));
        if (!has)
            return slw_fail(
                err, SLW_INVALID,
                "%s is of MLflow's schema revision %.*s, which has no %s.%s: "
                "upgrade a copy of it with `mlflow db upgrade "
                "sqlite:///copy.db` and import that",
                im->path,
                SLW_FMT(im->revision.len ? im->revision : SLW_STR("(none)")),
                NEEDED[i][0], NEEDED[i][1]);
    }
    return SLW_OK;
}

enum slw_rc
migrate_source_open(struct migrate_import *im, struct slw_err *err)
{
    TRY(slw_import_uri_check(im->o->backend_uri, &im->keep, &im->path, err));
    const enum slw_rc rc = slw_foreign_open(&im->src, im->path, err);
    if (rc == SLW_INVALID) /* a folder */
        return slw_fail(err, SLW_INVALID,
                        "%s is a folder; of MLflow's file store make a "
                        "database first: `mlflow migrate-filestore --source "
                        "%s --target sqlite:///mlflow.db`",
                        im->path, im->path);
    TRY(rc);
    return schema_check(im, err);
}

/* ---- queries ---- */

enum slw_rc
migrate_query(struct migrate_import *im, struct slw_stmt *st, const char *need,
              const char *sql, struct slw_err *err)
{
    SLW_AUTO(slw_buf, text);
    bool has = false;
    TRY(slw_foreign_has(&im->src, need, "", &has, err));
    if (!has)
        return SLW_OK;
    struct slw_str rest = slw_str_of(sql), head, inside;
    while (slw_str_cut(rest, '{', &head, &rest)) {
        struct slw_str table, column, fallback;
        slw_buf_str(&text, head);
        SLW_ASSERT(slw_str_cut(rest, '}', &inside, &rest));
        SLW_ASSERT(slw_str_cut(inside, ':', &column, &fallback));
        SLW_ASSERT(slw_str_cut(column, '.', &table, &column));
        TRY(slw_foreign_has(&im->src, slw_arena_strz(&im->keep, table),
                            slw_arena_strz(&im->keep, column), &has, err));
        slw_buf_str(&text, has ? column : fallback);
    }
    slw_buf_str(&text, head);
    return slw_stmt_prepare_text(st, &im->src.tx, slw_buf_view(&text), err);
}

void
migrate_ask(struct slw_stmt *st, struct slw_str key)
{
    if (!st->stmt)
        return;
    slw_stmt_reset(st);
    slw_stmt_str(st, 1, key);
}

enum slw_rc
migrate_step(struct slw_stmt *st, bool *out_row, struct slw_err *err)
{
    *out_row = false;
    return st->stmt ? slw_stmt_step(st, out_row, err) : SLW_OK;
}

struct slw_str
migrate_text(struct migrate_import *im, struct slw_stmt *st, int at)
{
    const struct slw_str s = slw_col_str(st, at);
    char *copy = slw_arena_strz(&im->item, s);
    if (!slw_str_utf8_ok(s)) {
        im->bad_text_count++;
        for (size_t i = 0; i < s.len; i++)
            if ((unsigned char)copy[i] >= 0x80)
                copy[i] = '?';
    }
    return (struct slw_str){copy, s.len};
}

enum slw_rc
migrate_pairs(struct migrate_import *im, struct slw_stmt *st,
              struct slw_str key, struct slw_kv **out, size_t *out_count,
              struct slw_err *err)
{
    struct slw_kv *list = NULL;
    size_t count = 0, cap = 0;
    migrate_ask(st, key);
    for (;;) {
        bool row = false;
        TRY(migrate_step(st, &row, err));
        if (!row)
            break;
        list = slw_arena_grow(&im->item, list, sizeof *list, count, &cap);
        list[count++] =
            (struct slw_kv){migrate_text(im, st, 0), migrate_text(im, st, 1)};
    }
    *out = list;
    *out_count = count;
    return SLW_OK;
}
