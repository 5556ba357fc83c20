/* artifact.c -- files of runs and logged models: one tree of paths, each with
 * the hash of its bytes.  Folders exist only through what lies in them, so a
 * listing folds a sorted range of paths into one level. */
#include "track/track_internal.h"

static const char SQL_PUT[] =
    "INSERT INTO track_artifact(path, blob, size) VALUES(?1, ?2, ?3)"
    " ON CONFLICT(path) DO UPDATE SET blob = excluded.blob,"
    " size = excluded.size";
static const char SQL_GET[] =
    "SELECT blob, size FROM track_artifact WHERE path = ?1";
static const char SQL_NEXT[] =
    "SELECT path, blob, size FROM track_artifact WHERE path >= ?1"
    " ORDER BY path LIMIT 1";
static const char SQL_REMOVE[] = "DELETE FROM track_artifact WHERE path = ?1"
                                 " OR (path >= ?2 AND path < ?3)";
/* Is there a file where a folder of this path would have to be? */
static const char SQL_BELOW[] =
    "SELECT 1 FROM track_artifact WHERE path >= ?1 AND path < ?2 LIMIT 1";

enum slw_rc
slw_track_artifact_root(struct slw_str uri, struct slw_str *out_path,
                        struct slw_err *err)
{
    static const char scheme[] = "mlflow-artifacts:/";
    if (!slw_str_starts(uri, scheme))
        return slw_fail(err, SLW_UNSUPPORTED,
                        "artifacts at '%.*s' are not kept by this server",
                        SLW_FMT(uri));
    struct slw_str path = {uri.ptr + sizeof(scheme) - 1,
                           uri.len - (sizeof(scheme) - 1)};
    if (path.len && path.ptr[0] == '/') { /* //host[:port]/path */
        struct slw_str host, rest;
        path.ptr++;
        path.len--;
        if (!slw_str_cut(path, '/', &host, &rest))
            rest = (struct slw_str){"", 0};
        path = rest;
    }
    if (path.len && path.ptr[path.len - 1] == '/')
        path.len--;
    if (path.len && !slw_track_path_ok(path))
        return slw_fail(err, SLW_INVALID, "Invalid artifact path in '%.*s'",
                        SLW_FMT(uri));
    *out_path = path;
    return SLW_OK;
}

static enum slw_rc
path_check(struct slw_str path, struct slw_err *err)
{
    if (!slw_track_path_ok(path))
        return slw_fail(err, SLW_INVALID, "Invalid path");
    return SLW_OK;
}

/* "<path>/" and "<path>0": everything below lies between them ('0' is the
 * character after '/'). */
static void
range_below(struct slw_arena *a, struct slw_str path, struct slw_str *from,
            struct slw_str *to)
{
    *from = slw_arena_printf(a, "%.*s/", SLW_FMT(path));
    *to = slw_arena_printf(a, "%.*s0", SLW_FMT(path));
}

static enum slw_rc
below_exists(struct slw_tx *tx, struct slw_str path, struct slw_arena *a,
             bool *out, struct slw_err *err)
{
    struct slw_str from, to;
    SLW_AUTO(slw_stmt, st);
    range_below(a, path, &from, &to);
    TRY(slw_stmt_prepare(&st, tx, SQL_BELOW, err));
    slw_stmt_str(&st, 1, from);
    slw_stmt_str(&st, 2, to);
    return slw_stmt_step(&st, out, err);
}

static enum slw_rc
get_row(struct slw_tx *tx, struct slw_str path, struct slw_arena *a,
        struct slw_artifact *out, bool *out_found, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_GET, err));
    slw_stmt_str(&st, 1, path);
    TRY(slw_stmt_step(&st, out_found, err));
    if (*out_found)
        *out = (struct slw_artifact){.path = slw_arena_str(a, path),
                                     .blob = slw_col_dup(&st, 0, a),
                                     .size = slw_col_i64(&st, 1)};
    return SLW_OK;
}

/* A path is a file or a folder, not both. */
static enum slw_rc
place_check(struct slw_tx *tx, struct slw_str path, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_artifact file;
    bool found = false;
    TRY(below_exists(tx, path, &a, &found, err));
    if (found)
        return slw_fail(err, SLW_INVALID, "Invalid path: '%.*s' is a directory",
                        SLW_FMT(path));
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] != '/')
            continue;
        struct slw_str parent = {path.ptr, i};
        TRY(get_row(tx, parent, &a, &file, &found, err));
        if (found)
            return slw_fail(err, SLW_INVALID, "Invalid path: '%.*s' is a file",
                            SLW_FMT(parent));
    }
    return SLW_OK;
}

enum slw_rc
slw_track_file_put(struct slw_tx *tx, struct slw_str path,
                   struct slw_str blob_hash, int64_t size, struct slw_err *err)
{
    SLW_ASSERT(tx->write);
    TRY(path_check(path, err));
    TRY(place_check(tx, path, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_PUT, err));
    slw_stmt_str(&st, 1, path);
    slw_stmt_str(&st, 2, blob_hash);
    slw_stmt_i64(&st, 3, size);
    return slw_stmt_run(&st, err);
}

enum slw_rc
slw_track_artifact_put(struct slw_tx *tx, struct slw_str run_id,
                       struct slw_str path, struct slw_str blob_hash,
                       int64_t size, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_run run;
    struct slw_str root;
    TRY(slw_track_run_get(tx, run_id, &a, &run, err));
    TRY(slw_track_artifact_root(run.artifact_uri, &root, err));
    return slw_track_file_put(
        tx, slw_arena_printf(&a, "%.*s/%.*s", SLW_FMT(root), SLW_FMT(path)),
        blob_hash, size, err);
}

enum slw_rc
slw_track_file_get(struct slw_tx *tx, struct slw_str path, struct slw_arena *a,
                   struct slw_artifact *out, struct slw_err *err)
{
    bool found = false;
    TRY(path_check(path, err));
    TRY(get_row(tx, path, a, out, &found, err));
    if (found)
        return SLW_OK;
    TRY(below_exists(tx, path, a, &found, err));
    if (found)
        return slw_fail(err, SLW_INVALID, "Invalid path: '%.*s' is a directory",
                        SLW_FMT(path));
    return slw_fail(err, SLW_NOT_FOUND, "No such artifact: '%.*s'",
                    SLW_FMT(path));
}

/* First entry at or after `from` below `prefix`, as one level shows it. */
static enum slw_rc
next_entry(struct slw_tx *tx, struct slw_str prefix, struct slw_str from,
           struct slw_arena *a, struct slw_artifact *out, bool *out_found,
           struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    *out_found = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_NEXT, err));
    slw_stmt_str(&st, 1, from);
    TRY(slw_stmt_step(&st, &row, err));
    if (!row)
        return SLW_OK;
    struct slw_str path = slw_col_str(&st, 0);
    if (path.len <= prefix.len || memcmp(path.ptr, prefix.ptr, prefix.len) != 0)
        return SLW_OK;
    struct slw_str below = {path.ptr + prefix.len, path.len - prefix.len};
    struct slw_str name, rest;
    *out_found = true;
    if (slw_str_cut(below, '/', &name, &rest))
        *out = (struct slw_artifact){
            .path = slw_arena_str(a, name), .blob = {"", 0}, .is_dir = true};
    else
        *out = (struct slw_artifact){.path = slw_arena_str(a, name),
                                     .blob = slw_col_dup(&st, 1, a),
                                     .size = slw_col_i64(&st, 2)};
    return SLW_OK;
}

enum slw_rc
slw_track_file_list(struct slw_tx *tx, struct slw_str folder,
                    struct slw_arena *a, struct slw_artifact **out,
                    size_t *out_count, struct slw_err *err)
{
    struct slw_artifact *items = NULL;
    size_t count = 0, cap = 0;
    if (folder.len)
        TRY(path_check(folder, err));
    struct slw_str prefix = folder.len
                                ? slw_arena_printf(a, "%.*s/", SLW_FMT(folder))
                                : (struct slw_str){"", 0};
    struct slw_str from = prefix;
    for (;;) {
        struct slw_artifact item;
        bool found = false;
        TRY(next_entry(tx, prefix, from, a, &item, &found, err));
        if (!found)
            break;
        items = slw_arena_grow(a, items, sizeof(*items), count, &cap);
        items[count++] = item;
        /* behind a folder's content ("name0"), or just behind a file */
        from = slw_arena_printf(a, "%.*s%.*s%s", SLW_FMT(prefix),
                                SLW_FMT(item.path), item.is_dir ? "0" : "\x01");
    }
    *out = items;
    *out_count = count;
    return SLW_OK;
}

enum slw_rc
slw_track_file_remove(struct slw_tx *tx, struct slw_str path,
                      struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_str from, to;
    TRY(path_check(path, err));
    range_below(&a, path, &from, &to);
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_REMOVE, err));
    slw_stmt_str(&st, 1, path);
    slw_stmt_str(&st, 2, from);
    slw_stmt_str(&st, 3, to);
    TRY(slw_stmt_run(&st, err));
    if (slw_tx_changes(tx) == 0)
        return slw_fail(err, SLW_NOT_FOUND, "No such artifact: '%.*s'",
                        SLW_FMT(path));
    return SLW_OK;
}
