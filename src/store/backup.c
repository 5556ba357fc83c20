/* backup.c -- making a set; backup.h says in which order and why. */
#include "store/backup_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "store/event.h"
#include "store/gc.h"

struct making {
    struct slw_store *store;
    const char *dir;
    const char *partial; /* sets/….partial */
    const struct slw_backup_progress *progress;
    struct slw_arena *arena;
    struct backup_set last; /* the set before; path NULL: none */
    struct backup_list files;
    struct slw_buf blobs; /* text of blobs.txt */
    struct slw_backup_info *info;
    const char *folder; /* of blobs/: "ab" */
};

/* ---- the folder ---- */

static enum slw_rc
set_name_add(void *ctx, const char *path, const char *name, bool is_dir,
             struct slw_err *err)
{
    (void)path;
    (void)err;
    struct backup_list *l = ctx;
    if (!is_dir || slw_str_ends(slw_str_of(name), ".partial"))
        return SLW_OK;
    l->items = slw_realloc(l->items, (l->count + 1) * sizeof *l->items);
    l->items[l->count++] =
        (struct backup_entry){.path = slw_strdup(slw_str_of(name))};
    return SLW_OK;
}

static void
backup_list_done(struct backup_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        slw_free((void *)(uintptr_t)l->items[i].path);
    slw_free(l->items);
}

enum slw_rc
slw_backup_sets(const char *dir, struct slw_arena *a, const char ***out,
                size_t *out_count, struct slw_err *err)
{
    SLW_AUTO(backup_list, list);
    const char *sets = slw_path(a, dir, "sets");
    if (slw_file_exists(sets))
        TRY(slw_dir_each(sets, set_name_add, &list, err));
    if (list.count == 0)
        return slw_fail(err, SLW_NOT_FOUND,
                        slw_file_exists(dir) ? "there is no whole backup in %s"
                                             : "there is no folder %s",
                        dir);
    const char **names = SLW_ARENA_NEW(a, const char *, list.count);
    for (size_t i = 0; i < list.count; i++)
        names[i] = slw_arena_strz(a, slw_str_of(list.items[i].path));
    *out = names;
    *out_count = list.count;
    return SLW_OK;
}

static enum slw_rc
partial_remove(void *ctx, const char *path, const char *name, bool is_dir,
               struct slw_err *err)
{
    (void)ctx;
    return is_dir && slw_str_ends(slw_str_of(name), ".partial")
               ? slw_dir_remove(path, err)
               : SLW_OK;
}

static enum slw_rc
any_entry(void *ctx, const char *path, const char *name, bool is_dir,
          struct slw_err *err)
{
    (void)path;
    (void)is_dir;
    (void)err;
    *(bool *)ctx |= strcmp(name, "lost+found") != 0;
    return SLW_OK;
}

/* A folder of ours or an empty one, outside the data folder. */
static enum slw_rc
folder_take(struct making *m, struct slw_err *err)
{
    char real[PATH_MAX], data[PATH_MAX];
    bool full = false;
    TRY(slw_dir_make(m->dir, err));
    if (!realpath(m->dir, real) || !realpath(m->store->dir, data))
        return slw_fail(err, SLW_IO, "cannot find %s: %m", m->dir);
    const size_t len = strlen(data);
    if (strncmp(real, data, len) == 0 && (real[len] == '/' || !real[len]))
        return slw_fail(err, SLW_CONFLICT,
                        "%s lies in the data folder; choose a folder outside "
                        "of it, best on another disk",
                        m->dir);
    TRY(slw_dir_each(m->dir, any_entry, &full, err));
    if (full && !slw_file_exists(slw_path(m->arena, m->dir, "sets")))
        return slw_fail(err, SLW_CONFLICT,
                        "%s holds something else than backups; choose an "
                        "empty folder",
                        m->dir);
    TRY(slw_dir_make(slw_path(m->arena, m->dir, "sets"), err));
    return slw_dir_make(slw_path(m->arena, m->dir, "blobs"), err);
}

/* Later than the last set, whatever the system's clock says. */
static void
name_take(struct making *m, const char *last)
{
    struct timespec now;
    char text[SLW_TIME_TEXT_SIZE];
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t ms = now.tv_sec * 1000 + now.tv_nsec / 1000000;
    do {
        /* With fractions always, so that names sort as times do. */
        (void)slw_time_text(ms - ms % 1000, text);
        (void)snprintf(m->info->set, sizeof m->info->set, "%.19s.%03dZ", text,
                       (int)(ms % 1000));
        for (char *c = m->info->set; *c; c++)
            if (*c == ':')
                *c = '-';
        m->info->made_at_ms = ms;
        ms = m->last.path && ms <= m->last.made_at_ms ? m->last.made_at_ms + 1
                                                      : ms + 1;
    } while (last && strcmp(m->info->set, last) <= 0);
    m->partial = slw_path(m->arena, m->dir, "sets/%s.partial", m->info->set);
}

/* The set before, to share with; one that cannot be read is not shared. */
static void
last_read(struct making *m, const char **out_name)
{
    const char **names = NULL;
    size_t count = 0;
    struct slw_err ignored;
    *out_name = NULL;
    if (slw_backup_sets(m->dir, m->arena, &names, &count, &ignored) != SLW_OK)
        return;
    *out_name = names[count - 1];
    if (backup_set_read(&m->last, m->arena, m->dir, names[count - 1],
                        &ignored) != SLW_OK)
        m->last = (struct backup_set){0};
}

/* ---- files of the set ---- */

static enum slw_rc
file_note(struct making *m, const struct backup_entry *e, struct slw_err *err)
{
    (void)err;
    backup_add(m->arena, &m->files, e);
    m->info->file_count++;
    m->info->file_size += e->size;
    return SLW_OK;
}

/* Shared with the set before where it is the same, else copied. */
static enum slw_rc
file_take(struct making *m, const char *from, const char *path,
          struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct backup_entry e = {.path = path};
    const char *to = slw_path(&a, m->partial, "%s", path);
    const struct backup_entry *old =
        m->last.path ? backup_find(&m->last.files, path) : NULL;
    if (old) {
        TRY(backup_copy(from, NULL, false, &e, err));
        if (e.size == old->size && strcmp(e.sha256, old->sha256) == 0 &&
            link(slw_path(&a, m->last.path, "%s", path), to) == 0) {
            m->info->linked_count++;
            return file_note(m, &e, err);
        }
    }
    TRY(backup_copy(from, to, true, &e, err));
    m->info->new_size += e.size;
    return file_note(m, &e, err);
}

static enum slw_rc
segment_take(void *ctx, const char *path, const char *name, bool is_dir,
             struct slw_err *err)
{
    struct making *m = ctx;
    if (is_dir)
        return SLW_OK;
    SLW_AUTO(slw_arena, a);
    const enum slw_rc rc = file_take(
        m, path, slw_arena_printf(&a, "predictions/%s/%s", m->folder, name).ptr,
        err);
    /* A spare segment that turned out not to be needed may go at any time. */
    return rc == SLW_NOT_FOUND ? SLW_OK : rc;
}

static enum slw_rc
deployment_take(void *ctx, const char *path, const char *name, bool is_dir,
                struct slw_err *err)
{
    struct making *m = ctx;
    if (!is_dir)
        return SLW_OK;
    m->folder = name;
    TRY(slw_dir_make(slw_path(m->arena, m->partial, "predictions/%s", name),
                     err));
    return slw_dir_each(path, segment_take, m, err);
}

static enum slw_rc
log_take(void *ctx, const char *path, const char *name, bool is_dir,
         struct slw_err *err)
{
    struct making *m = ctx;
    if (is_dir || !slw_str_ends(slw_str_of(name), ".log"))
        return SLW_OK;
    SLW_AUTO(slw_arena, a);
    return file_take(m, path, slw_arena_printf(&a, "jobs/%s", name).ptr, err);
}

static enum slw_rc
database_take(struct making *m, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    struct backup_entry e = {.path = "slipway.db"};
    const char *path = slw_path(m->arena, m->partial, "slipway.db");
    backup_step(m->progress, "database", 0, 0);
    TRY(slw_store_backup(m->store, path, err));
    TRY(backup_copy(path, NULL, false, &e, err));
    m->info->new_size += e.size;
    return file_note(m, &e, err);
}

/* How many events the copy has. */
static enum slw_rc
events_count(struct making *m, struct slw_err *err)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    const char *path = slw_path(m->arena, m->partial, "slipway.db");
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(
            db, "SELECT coalesce(max(id), 0) FROM store_event", -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        m->info->event_count = sqlite3_column_int64(st, 0);
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(db);
    return rc == SQLITE_ROW ? SLW_OK
                            : slw_fail(err, SLW_CORRUPT,
                                       "the copy of the database cannot be "
                                       "read: %s",
                                       sqlite3_errstr(rc));
}

/* ---- blobs ---- */

static enum slw_rc
blob_take(void *ctx, const char *path, const char *name, bool is_dir,
          struct slw_err *err)
{
    struct making *m = ctx;
    SLW_AUTO(slw_arena, a);
    if (is_dir || strlen(name) != 62)
        return SLW_OK;
    const char *hash = slw_arena_printf(&a, "%s%s", m->folder, name).ptr;
    const char *to = backup_blob_path(&a, m->dir, hash);
    const struct backup_entry *old =
        m->last.path ? backup_find(&m->last.blobs, hash) : NULL;
    struct backup_entry e = {.path = hash};
    struct slw_err ignored;
    int64_t size = -1;
    if (old && slw_file_size(to, &size, &ignored) == SLW_OK &&
        size == old->size) {
        e = *old;
    } else {
        TRY(backup_copy(path, to, false, &e, err));
        m->info->new_count++;
        m->info->new_size += e.size;
    }
    m->info->blob_count++;
    m->info->blob_size += e.size;
    slw_buf_printf(&m->blobs, "%s %lld %s\n", hash, (long long)e.size,
                   e.sha256);
    backup_step(m->progress, "blobs", m->info->blob_count, 0);
    return slw_buf_check(&m->blobs, err);
}

static enum slw_rc
blobs_take(void *ctx, const char *path, const char *name, bool is_dir,
           struct slw_err *err)
{
    struct making *m = ctx;
    if (!is_dir || strlen(name) != 2)
        return SLW_OK;
    m->folder = name;
    TRY(slw_dir_make(slw_path(m->arena, m->dir, "blobs/%s", name), err));
    return slw_dir_each(path, blob_take, m, err);
}

/* ---- the end ---- */

static enum slw_rc
text_put(struct making *m, const char *name, struct slw_str text,
         struct slw_err *err)
{
    return slw_file_put(slw_path(m->arena, m->partial, "%s", name), text, err);
}

static void
manifest_write(const struct making *m, struct slw_buf *out)
{
    struct slw_jw w;
    slw_jw_init(&w, out);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "format", BACKUP_FORMAT);
    slw_jw_ki64(&w, "made_at_ms", m->info->made_at_ms);
    slw_jw_ki64(&w, "events", m->info->event_count);
    slw_jw_ki64(&w, "blob_count", m->info->blob_count);
    slw_jw_ki64(&w, "blob_size", m->info->blob_size);
    slw_jw_key(&w, "files");
    slw_jw_arr(&w);
    for (size_t i = 0; i < m->files.count; i++) {
        slw_jw_obj(&w);
        slw_jw_kz(&w, "path", m->files.items[i].path);
        slw_jw_ki64(&w, "size", m->files.items[i].size);
        slw_jw_kz(&w, "sha256", m->files.items[i].sha256);
        slw_jw_obj_end(&w);
    }
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
}

static enum slw_rc
lists_put(struct making *m, struct slw_err *err)
{
    SLW_AUTO(slw_buf, text);
    struct backup_entry e = {.path = "blobs.txt"};
    slw_buf_init(&text, BACKUP_MANIFEST_SIZE_MAX);
    TRY(text_put(m, "blobs.txt", slw_buf_view(&m->blobs), err));
    struct slw_sha256 h = slw_sha256_of(m->blobs.ptr, m->blobs.len);
    (void)slw_sha256_hex(&h, e.sha256);
    e.size = (int64_t)m->blobs.len;
    TRY(file_note(m, &e, err));
    manifest_write(m, &text);
    TRY(slw_buf_check(&text, err));
    TRY(text_put(m, "manifest.json", slw_buf_view(&text), err));
    char hex[SLW_SHA256_HEX_SIZE];
    h = slw_sha256_of(text.ptr, text.len);
    const struct slw_str sum =
        slw_arena_printf(m->arena, "%s\n", slw_sha256_hex(&h, hex));
    return text_put(m, "manifest.sha256", sum, err);
}

static enum slw_rc
set_fill(struct making *m, struct slw_err *err)
{
    const char *data = m->store->dir;
    TRY(slw_dir_make(slw_path(m->arena, m->partial, "predictions"), err));
    TRY(slw_dir_make(slw_path(m->arena, m->partial, "jobs"), err));
    TRY(database_take(m, err));
    TRY(events_count(m, err));
    TRY(slw_dir_each(slw_path(m->arena, data, "blobs"), blobs_take, m, err));
    backup_step(m->progress, "prediction log", 0, 0);
    TRY(slw_dir_each(slw_path(m->arena, data, "predictions"), deployment_take,
                     m, err));
    TRY(slw_dir_each(slw_path(m->arena, data, "jobs"), log_take, m, err));
    return lists_put(m, err);
}

/* All of it on disk, then its name. */
static enum slw_rc
set_publish(struct making *m, int dir_fd, struct slw_err *err)
{
    const char *path = slw_path(m->arena, m->dir, "sets/%s", m->info->set);
    backup_step(m->progress, "syncing", 0, 0);
    TRY(backup_sync(dir_fd, m->dir, err));
    if (rename(m->partial, path) != 0)
        return slw_fail(err, SLW_IO, "cannot name the backup %s: %m", path);
    return slw_dir_sync(slw_path(m->arena, m->dir, "sets"), err);
}

static enum slw_rc
backup_run(struct making *m, struct slw_err *err)
{
    const char *last = NULL;
    int fd = -1;
    SLW_AUTO(backup_fd, dir);
    SLW_AUTO(slw_file_lock, lock);
    SLW_AUTO(slw_gc_hold, hold);
    TRY(slw_gc_hold_take(&hold, m->store, err));
    TRY(folder_take(m, err));
    TRY(backup_dir_open(m->dir, &fd, err));
    dir.fd_plus_1 = fd + 1;
    if (slw_file_lock_take(&lock, slw_path(m->arena, m->dir, "lock"), err) !=
        SLW_OK)
        return slw_err_prefix(err, "another backup is being made: ");
    const char *sets = slw_path(m->arena, m->dir, "sets");
    TRY(slw_dir_each(sets, partial_remove, NULL, err));
    last_read(m, &last);
    name_take(m, last);
    TRY(slw_dir_make(m->partial, err));
    enum slw_rc rc = set_fill(m, err);
    if (rc == SLW_OK)
        rc = set_publish(m, fd, err);
    struct slw_err ignored;
    if (rc != SLW_OK)
        (void)!slw_dir_remove(m->partial, &ignored);
    return rc;
}

enum slw_rc
slw_backup_make(struct slw_store *s, const char *dir,
                const struct slw_backup_progress *p,
                struct slw_backup_info *out, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_backup_info info = {0};
    struct making m = {
        .store = s, .dir = dir, .progress = p, .arena = &a, .info = &info};
    slw_buf_init(&m.blobs, (size_t)1 << 30);
    const enum slw_rc rc = backup_run(&m, err);
    slw_buf_done(&m.blobs);
    if (rc == SLW_OK)
        *out = info;
    return rc;
}
