/* cmd_keep.c -- `slipway backup` and `slipway restore`: they work on folders
 * of this machine and need no server; a running one is not disturbed. */
#include "app/app.h"
#include "base/file.h"
#include "store/backup.h"
#include "store/verify.h"

static void
keep_progress(void *ctx, const char *what, int64_t done, int64_t total)
{
    char note[80];
    (void)snprintf(note, sizeof note, "%s %lld", what, (long long)done);
    app_meter_show(ctx, total > 0 ? (double)done / (double)total : 0, note);
}

static void
info_write(const struct slw_backup_info *i, const char *dir, struct slw_jw *w)
{
    slw_jw_kz(w, "folder", dir);
    slw_jw_kz(w, "set", i->set);
    slw_jw_ki64(w, "made_at_ms", i->made_at_ms);
    slw_jw_ki64(w, "events", i->event_count);
    slw_jw_ki64(w, "files", i->file_count);
    slw_jw_ki64(w, "file_bytes", i->file_size);
    slw_jw_ki64(w, "blob_files", i->blob_count);
    slw_jw_ki64(w, "blob_bytes", i->blob_size);
}

static void
json_line(struct slw_buf *b)
{
    printf("%.*s\n", SLW_FMT(slw_buf_view(b)));
}

static double
megabytes(int64_t size)
{
    return (double)size * 1e-6;
}

static void
backup_show(const struct app_args *a, const char *dir,
            const struct slw_backup_info *i)
{
    if (a->json) {
        SLW_AUTO(slw_buf, b);
        struct slw_jw w;
        slw_jw_init(&w, &b);
        slw_jw_obj(&w);
        info_write(i, dir, &w);
        slw_jw_ki64(&w, "new_blob_files", i->new_count);
        slw_jw_ki64(&w, "new_bytes", i->new_size);
        slw_jw_ki64(&w, "shared_files", i->linked_count);
        slw_jw_obj_end(&w);
        json_line(&b);
        return;
    }
    printf("%s/sets/%s: %lld events, %lld blob files (%lld new), %lld files "
           "(%lld shared), %.1f MB added\n",
           dir, i->set, (long long)i->event_count, (long long)i->blob_count,
           (long long)i->new_count, (long long)i->file_count,
           (long long)i->linked_count, megabytes(i->new_size));
}

int
app_backup(struct app_args *a)
{
    struct slw_err err;
    struct app_meter meter;
    struct slw_store *store = NULL;
    struct slw_backup_info info;
    const char *data = app_option(a, "data");
    const struct slw_backup_progress p = {keep_progress, &meter};
    const struct slw_store_options so = {.dir = data ? data : APP_DEFAULT_DATA,
                                         .server = false};
    app_meter_start(&meter, "backup");
    enum slw_rc rc = slw_store_open(&store, &so, &err);
    if (rc == SLW_OK)
        rc = slw_backup_make(store, a->words[0], &p, &info, &err);
    slw_store_close(store);
    app_meter_end(&meter);
    if (rc != SLW_OK)
        return app_error(a, &err);
    backup_show(a, a->words[0], &info);
    return APP_OK;
}

/* ---- restore ---- */

/* The restored folder passes `slipway verify` before it gets its name.  One
 * of another version's schema is left to its hashes: the next start of the
 * right version migrates it. */
static enum slw_rc
restored_look(void *ctx, const char *dir, struct slw_err *err)
{
    struct app_meter *meter = ctx;
    struct slw_store *store = NULL;
    const struct slw_store_options so = {.dir = dir, .server = false};
    enum slw_rc rc = slw_store_open(&store, &so, err);
    if (rc == SLW_UNSUPPORTED) {
        fprintf(stderr, "slipway: checked by its hashes only: %s\n", err->msg);
        return SLW_OK;
    }
    TRY(rc);
    SLW_AUTO(slw_verify, v);
    app_meter_show(meter, 0.99, "checking the new folder");
    rc = app_verify_all(&v, store, err);
    slw_tx_done(&v.tx);
    slw_store_close(store);
    TRY(rc);
    if (v.fault_count == 0)
        return SLW_OK;
    return slw_fail(err, SLW_CORRUPT,
                    "the backup holds what was damaged before it was made, "
                    "%lld faults, the first: %.*s; restore an older set with "
                    "--set, or give --as-is",
                    (long long)v.fault_count, SLW_FMT(v.faults->what));
}

static void
restore_show(const struct app_args *a, const char *dir, const char *data,
             const struct slw_backup_info *i)
{
    char at[SLW_TIME_TEXT_SIZE];
    if (a->json) {
        SLW_AUTO(slw_buf, b);
        struct slw_jw w;
        slw_jw_init(&w, &b);
        slw_jw_obj(&w);
        info_write(i, dir, &w);
        slw_jw_kz(&w, "data", data);
        slw_jw_obj_end(&w);
        json_line(&b);
        return;
    }
    printf("%s of %s: %lld files and %lld blob files, %.1f MB, all as their "
           "hashes say\n",
           i->set, dir, (long long)i->file_count, (long long)i->blob_count,
           megabytes(i->file_size + i->blob_size));
    if (data)
        printf("restored to %s as of %s, %lld events; next: slipway up --data "
               "%s\n",
               data, slw_time_text(i->made_at_ms, at),
               (long long)i->event_count, data);
}

/* One word for two things: a backup where --data or --check is given, else a
 * deployment, as the other actions on these. */
int
app_restore(struct app_args *a)
{
    struct slw_err err;
    struct app_meter meter;
    struct slw_backup_info info;
    const char *dir = a->words[0], *data = app_option(a, "data");
    const char *set = app_option(a, "set");
    const bool check = app_option(a, "check") != NULL;
    const struct slw_backup_progress p = {keep_progress, &meter};
    if (!check && !data && !slw_file_exists(slw_path(&a->arena, dir, "sets")))
        return app_act(a); /* the name of a deployment */
    if (check == (data != NULL)) {
        slw_fail(&err, SLW_INVALID,
                 "give either --data NEW, the folder to make, or --check, to "
                 "only read the backup against its hashes");
        (void)app_error(a, &err);
        return APP_USAGE;
    }
    app_meter_start(&meter, "restore");
    const slw_restore_look_fn look =
        app_option(a, "as-is") ? NULL : restored_look;
    const enum slw_rc rc = check ? slw_backup_check(dir, set, &p, &info, &err)
                                 : slw_backup_restore(dir, set, data, &p, look,
                                                      &meter, &info, &err);
    app_meter_end(&meter);
    if (rc != SLW_OK)
        return app_error(a, &err);
    restore_show(a, dir, data, &info);
    return APP_OK;
}
