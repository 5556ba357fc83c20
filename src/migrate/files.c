/* files.c -- artifacts: folders of runs and logged models become files of
 * ours, and their URIs name us from then on.
 *
 * Only what lies below the folder that was given is read: a database names
 * paths, and one that somebody handed over must not name /etc. */
#include <sys/stat.h>

#include "base/file.h"
#include "migrate/migrate_internal.h"
#include "store/blob.h"

#define DEPTH_MAX 64

/* One folder that is walked. */
struct walk {
    struct migrate_import *im;
    struct slw_str target; /* path of ours for what lies here */
    int depth;
    bool *failed; /* a file of this owner was left out */
};

/* Rows for the files whose bytes are stored. */
static enum slw_rc
rows_write(struct migrate_import *im, struct slw_err *err)
{
    if (im->file_count == 0)
        return SLW_OK;
    TRY(migrate_tx(im, err));
    for (size_t i = 0; i < im->file_count; i++) {
        const struct migrate_file *f = &im->files[i];
        const enum slw_rc rc = slw_track_file_put(
            &im->tx, f->path, slw_str_of(f->hash), f->size, err);
        if (rc == SLW_INVALID)
            migrate_leave(im, MIGRATE_FILES, err->msg, "file %.*s",
                          SLW_FMT(f->path));
        else
            TRY(rc);
        im->counts[MIGRATE_FILES].brought += rc == SLW_OK;
    }
    im->file_count = 0;
    slw_arena_reset(&im->batch);
    return migrate_commit(im, err);
}

/* Is it here, in the same size? */
static enum slw_rc
is_here(struct migrate_import *im, struct slw_str path, int64_t size, bool *out,
        struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    struct slw_artifact a;
    TRY(slw_tx_read(&tx, im->store, err));
    const enum slw_rc rc = slw_track_file_get(&tx, path, &im->item, &a, err);
    *out = rc == SLW_OK && a.size == size;
    return rc == SLW_NOT_FOUND || rc == SLW_INVALID ? SLW_OK : rc;
}

static enum slw_rc
file_bring(struct walk *w, const char *path, struct slw_str target,
           struct slw_err *err)
{
    struct migrate_import *im = w->im;
    struct slw_blob_info info;
    struct stat st;
    bool here = false;
    im->counts[MIGRATE_FILES].there++;
    const char *why = lstat(path, &st) != 0  ? "it cannot be read"
                      : S_ISLNK(st.st_mode)  ? "it is a symbolic link"
                      : !S_ISREG(st.st_mode) ? "it is no plain file"
                      : !slw_track_path_ok(target) || !slw_str_utf8_ok(target)
                          ? "its path cannot be an artifact's"
                          : NULL;
    if (!why) {
        TRY(is_here(im, target, (int64_t)st.st_size, &here, err));
        if (here)
            return SLW_OK;
        if (im->o->dry_run) {
            im->counts[MIGRATE_FILES].brought++;
            im->byte_count += (int64_t)st.st_size;
            return SLW_OK;
        }
        const enum slw_rc rc = slw_blob_put_file(im->store, path, &info, err);
        if (rc == SLW_NOT_FOUND)
            why = err->msg;
        else
            TRY(rc);
    }
    if (why) {
        *w->failed = true;
        migrate_leave(im, MIGRATE_FILES, why, "file %s", path);
        return SLW_OK;
    }
    struct migrate_file *f = &im->files[im->file_count++];
    f->path = slw_arena_str(&im->batch, target);
    memcpy(f->hash, info.hash, sizeof f->hash);
    f->size = info.size;
    im->byte_count += info.size;
    return im->file_count < MIGRATE_FILE_COUNT ? SLW_OK : rows_write(im, err);
}

static enum slw_rc
entry_take(void *ctx, const char *path, const char *name, bool is_dir,
           struct slw_err *err)
{
    struct walk *w = ctx;
    const struct slw_str target =
        slw_arena_printf(&w->im->item, "%.*s/%s", SLW_FMT(w->target), name);
    if (!is_dir)
        return file_bring(w, path, target, err);
    if (w->depth == DEPTH_MAX) {
        *w->failed = true;
        migrate_leave(w->im, MIGRATE_FILES, "folders are nested too deeply",
                      "folder %s", path);
        return SLW_OK;
    }
    struct walk below = {w->im, target, w->depth + 1, w->failed};
    return slw_dir_each(path, entry_take, &below, err);
}

/* One run or logged model: where its artifacts were, are, and shall be. */
struct owner {
    const char *what; /* "run", "logged model" */
    struct slw_str id, there, here, target;
    enum slw_rc (*locate)(struct slw_tx *tx, struct slw_str id,
                          struct slw_str uri, struct slw_err *err);
};

static enum slw_rc
owner_move(struct migrate_import *im, const struct owner *o,
           struct slw_err *err)
{
    const struct slw_str uri = slw_arena_printf(
        &im->item, "mlflow-artifacts:/%.*s", SLW_FMT(o->target));
    TRY(rows_write(im, err));
    if (im->o->dry_run || slw_str_eq(uri, o->here))
        return SLW_OK;
    TRY(migrate_tx(im, err));
    TRY(o->locate(&im->tx, o->id, uri, err));
    return migrate_tick(im, 0, err);
}

static enum slw_rc
owner_bring(struct migrate_import *im, const struct owner *o,
            struct slw_err *err)
{
    struct slw_str path;
    bool failed = false;
    struct walk w = {im, o->target, 0, &failed};
    const enum migrate_place place =
        migrate_place_of(o->there, &im->item, &path);
    if (place == MIGRATE_ELSEWHERE ||
        (place == MIGRATE_LOCAL && !im->root && path.len)) {
        migrate_note(im, &im->elsewhere, "%s %.*s: %.*s", o->what,
                     SLW_FMT(o->id), SLW_FMT(o->there));
        return SLW_OK;
    }
    const char *folder =
        im->root ? migrate_folder_find(im->root, path, &im->item) : NULL;
    if (folder) {
        im->folder_count++;
        TRY(migrate_commit(im, err)); /* blobs are stored outside of it */
        TRY(slw_dir_each(folder, entry_take, &w, err));
        return owner_move(im, o, err);
    }
    im->folderless_count++;
    if (place == MIGRATE_OURS)
        return SLW_OK;
    if (path.len && slw_file_exists(slw_arena_strz(&im->item, path))) {
        migrate_leave(im, MIGRATE_FILES,
                      "they do not lie below the folder given as --artifacts",
                      "artifacts of %s %.*s in %.*s", o->what, SLW_FMT(o->id),
                      SLW_FMT(path));
        return SLW_OK;
    }
    return owner_move(im, o, err); /* it had none */
}

static enum slw_rc
run_owner(struct migrate_import *im, struct slw_str id, struct slw_str there,
          struct slw_err *err)
{
    struct slw_run run = {.id = id, .artifact_uri = there};
    if (!im->o->dry_run) {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, im->store, err));
        TRY(slw_track_run_get(&tx, id, &im->item, &run, err));
    }
    const struct owner o = {"run",
                            id,
                            there,
                            run.artifact_uri,
                            slw_arena_printf(&im->item, "%lld/%.*s/artifacts",
                                             (long long)run.experiment_id,
                                             SLW_FMT(id)),
                            slw_track_run_locate};
    return owner_bring(im, &o, err);
}

static enum slw_rc
logged_owner(struct migrate_import *im, struct slw_str id, struct slw_str there,
             struct slw_err *err)
{
    struct slw_logged_model m = {.id = id, .artifact_uri = there};
    if (!im->o->dry_run) {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, im->store, err));
        TRY(slw_track_logged_get(&tx, id, true, &im->item, &m, err));
    }
    const struct owner o = {
        "logged model",
        id,
        there,
        m.artifact_uri,
        slw_arena_printf(&im->item, "%lld/models/%.*s/artifacts",
                         (long long)m.experiment_id, SLW_FMT(id)),
        slw_track_logged_locate};
    return owner_bring(im, &o, err);
}

/* All owners of one sort; a query gives id, URI and experiment. */
static enum slw_rc
owners_bring(struct migrate_import *im, struct slw_stmt *st,
             enum slw_rc (*fn)(struct migrate_import *im, struct slw_str id,
                               struct slw_str there, struct slw_err *err),
             int64_t total, double from, double to, struct slw_err *err)
{
    for (int64_t i = 0;; i++) {
        bool row = false;
        TRY(migrate_step(st, &row, err));
        if (!row)
            return migrate_commit(im, err);
        slw_arena_reset(&im->item);
        if (total > 0)
            im->share = from + (to - from) * (double)i / (double)total;
        if (migrate_experiment_of(im, slw_col_i64(st, 2)) < 0)
            continue;
        TRY(fn(im, migrate_text(im, st, 0), migrate_text(im, st, 1), err));
    }
}

enum slw_rc
migrate_files(struct migrate_import *im, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, runs);
    SLW_AUTO(slw_stmt, logged);
    TRY(migrate_query(im, &runs, "runs",
                      "SELECT run_uuid, artifact_uri, experiment_id FROM runs"
                      " ORDER BY rowid",
                      err));
    TRY(migrate_query(im, &logged, "logged_models",
                      "SELECT model_id, artifact_location, experiment_id"
                      " FROM logged_models ORDER BY rowid",
                      err));
    TRY(owners_bring(im, &runs, run_owner, im->counts[MIGRATE_RUNS].there, 0,
                     0.6, err));
    return owners_bring(im, &logged, logged_owner,
                        im->counts[MIGRATE_LOGGED].there, 0.6, 1, err);
}
