/* restore.c -- a set is checked, and becomes a data folder.
 *
 * The new folder is made beside the wanted one and gets its name last, so
 * that a restore that was cut off leaves nothing that looks like data. */
#include "store/backup_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

struct restoring {
    struct slw_arena *arena;
    struct backup_set set;
    const struct slw_backup_progress *progress;
    const char *to; /* the new folder, under its passing name */
};

static enum slw_rc
set_open(struct restoring *r, const char *dir, const char *set,
         struct slw_backup_info *info, struct slw_err *err)
{
    const char **names = NULL;
    size_t count = 0;
    TRY(slw_backup_sets(dir, r->arena, &names, &count, err));
    const char *name = set ? set : names[count - 1];
    bool found = false;
    for (size_t i = 0; i < count; i++)
        found |= strcmp(names[i], name) == 0;
    if (!found)
        return slw_fail(err, SLW_NOT_FOUND,
                        "there is no backup %s in %s; the newest is %s", name,
                        dir, names[count - 1]);
    TRY(backup_set_read(&r->set, r->arena, dir, name, err));
    *info = (struct slw_backup_info){.made_at_ms = r->set.made_at_ms,
                                     .event_count = r->set.event_count,
                                     .file_count = (int64_t)r->set.files.count,
                                     .blob_count = (int64_t)r->set.blobs.count};
    (void)snprintf(info->set, sizeof info->set, "%s", name);
    for (size_t i = 0; i < r->set.files.count; i++)
        info->file_size += r->set.files.items[i].size;
    for (size_t i = 0; i < r->set.blobs.count; i++)
        info->blob_size += r->set.blobs.items[i].size;
    return SLW_OK;
}

/* ---- checking ---- */

static const char *
entry_path(const struct restoring *r, const struct backup_entry *e, bool blob,
           struct slw_arena *a)
{
    return blob ? backup_blob_path(a, r->set.dir, e->path)
                : slw_path(a, r->set.path, "%s", e->path);
}

static enum slw_rc
entry_check(const char *path, const struct backup_entry *wanted, const char *to,
            struct slw_err *err)
{
    struct backup_entry is = {0};
    const enum slw_rc rc = backup_copy(path, to, false, &is, err);
    if (rc == SLW_NOT_FOUND)
        return slw_fail(err, SLW_CORRUPT, "%s is missing", path);
    TRY(rc);
    if (is.size == wanted->size && strcmp(is.sha256, wanted->sha256) == 0)
        return SLW_OK;
    return slw_fail(err, SLW_CORRUPT,
                    "%s is damaged: %lld of %lld bytes, SHA-256 %.12s… instead "
                    "of %.12s…",
                    path, (long long)is.size, (long long)wanted->size,
                    is.sha256, wanted->sha256);
}

static enum slw_rc
list_check(struct restoring *r, const struct backup_list *l, bool blobs,
           int64_t *bad, struct slw_err *first, struct slw_err *err)
{
    for (size_t i = 0; i < l->count; i++) {
        SLW_AUTO(slw_arena, a);
        backup_step(r->progress, blobs ? "checking blobs" : "checking files",
                    (int64_t)i, (int64_t)l->count);
        const enum slw_rc rc = entry_check(
            entry_path(r, &l->items[i], blobs, &a), &l->items[i], NULL, err);
        if (rc == SLW_CORRUPT && (*bad)++ == 0)
            *first = *err;
        if (rc != SLW_CORRUPT)
            TRY(rc);
    }
    return SLW_OK;
}

static enum slw_rc
all_check(struct restoring *r, struct slw_err *err)
{
    int64_t bad = 0;
    struct slw_err first;
    TRY(list_check(r, &r->set.files, false, &bad, &first, err));
    TRY(list_check(r, &r->set.blobs, true, &bad, &first, err));
    if (bad == 0)
        return SLW_OK;
    if (bad == 1)
        return slw_fail(err, SLW_CORRUPT, "%s", first.msg);
    return slw_fail(err, SLW_CORRUPT,
                    "%lld files are missing or damaged, the "
                    "first: %s",
                    (long long)bad, first.msg);
}

enum slw_rc
slw_backup_check(const char *dir, const char *set,
                 const struct slw_backup_progress *p,
                 struct slw_backup_info *out, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_backup_info info;
    struct restoring r = {.arena = &a, .progress = p};
    TRY(set_open(&r, dir, set, &info, err));
    TRY(all_check(&r, err));
    *out = info;
    return SLW_OK;
}

/* ---- the new folder ---- */

static enum slw_rc
not_empty(void *ctx, const char *path, const char *name, bool is_dir,
          struct slw_err *err)
{
    (void)path;
    (void)name;
    (void)is_dir;
    (void)err;
    *(bool *)ctx = true;
    return SLW_OK;
}

static enum slw_rc
target_check(const char *data, struct slw_arena *a, struct slw_err *err)
{
    bool full = false;
    if (!slw_file_exists(data))
        return SLW_OK;
    if (slw_file_lock_held(slw_path(a, data, "lock")))
        return slw_fail(err, SLW_CONFLICT,
                        "a server is running on %s; restore into another "
                        "folder, then stop the server and change folders",
                        data);
    TRY(slw_dir_each(data, not_empty, &full, err));
    if (!full)
        return SLW_OK;
    return slw_fail(err, SLW_CONFLICT,
                    "%s is not empty; name a folder that is empty or absent, "
                    "nothing is ever overwritten",
                    data);
}

/* The folder that a path of the set lies in. */
static enum slw_rc
parent_make(const char *path, struct slw_arena *a, struct slw_err *err)
{
    char *parent = slw_arena_strz(a, slw_str_of(path));
    char *slash = strrchr(parent, '/');
    SLW_ASSERT(slash);
    *slash = '\0';
    return slw_dir_make(parent, err);
}

static bool
belongs_to_set(const char *path)
{
    return strcmp(path, "blobs.txt") == 0;
}

static enum slw_rc
list_copy(struct restoring *r, const struct backup_list *l, bool blobs,
          struct slw_err *err)
{
    char folder[3] = "";
    for (size_t i = 0; i < l->count; i++) {
        SLW_AUTO(slw_arena, a);
        const struct backup_entry *e = &l->items[i];
        if (!blobs && belongs_to_set(e->path))
            continue;
        backup_step(r->progress, blobs ? "copying blobs" : "copying files",
                    (int64_t)i, (int64_t)l->count);
        const char *to = blobs ? backup_blob_path(&a, r->to, e->path)
                               : slw_path(&a, r->to, "%s", e->path);
        if (!blobs || strncmp(folder, e->path, 2) != 0)
            TRY(parent_make(to, &a, err));
        (void)snprintf(folder, sizeof folder, "%.2s", e->path);
        TRY(entry_check(entry_path(r, e, blobs, &a), e, to, err));
    }
    return SLW_OK;
}

static enum slw_rc
folder_fill(struct restoring *r, struct slw_err *err)
{
    static const char *const folders[] = {"blobs", "predictions", "jobs"};
    int fd = -1;
    SLW_AUTO(backup_fd, dir);
    TRY(slw_dir_make(r->to, err));
    TRY(backup_dir_open(r->to, &fd, err));
    dir.fd_plus_1 = fd + 1;
    for (size_t i = 0; i < SLW_ARRAY_LEN(folders); i++)
        TRY(slw_dir_make(slw_path(r->arena, r->to, "%s", folders[i]), err));
    TRY(list_copy(r, &r->set.files, false, err));
    TRY(list_copy(r, &r->set.blobs, true, err));
    backup_step(r->progress, "syncing", 0, 0);
    return backup_sync(fd, r->to, err);
}

static enum slw_rc
folder_name(struct restoring *r, const char *data, struct slw_err *err)
{
    char *parent = slw_arena_strz(r->arena, slw_str_of(r->to));
    char *slash = strrchr(parent, '/');
    /* An empty folder of that name is replaced. */
    if (rename(r->to, data) != 0)
        return slw_fail(err, SLW_IO, "cannot name the new folder %s: %m", data);
    if (slash)
        *slash = '\0';
    return slw_dir_sync(!slash ? "." : *parent ? parent : "/", err);
}

enum slw_rc
slw_backup_restore(const char *dir, const char *set, const char *data,
                   const struct slw_backup_progress *p,
                   slw_restore_look_fn look, void *ctx,
                   struct slw_backup_info *out, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_backup_info info;
    struct restoring r = {.arena = &a, .progress = p};
    struct slw_str name = slw_str_of(data);
    while (name.len > 1 && name.ptr[name.len - 1] == '/')
        name.len--;
    const char *target = slw_arena_strz(&a, name);
    TRY(target_check(target, &a, err));
    TRY(set_open(&r, dir, set, &info, err));
    TRY(all_check(&r, err));
    r.to = slw_arena_printf(&a, "%s.restoring-%ld", target, (long)getpid()).ptr;
    enum slw_rc rc = folder_fill(&r, err);
    if (rc == SLW_OK && look)
        rc = look(ctx, r.to, err);
    if (rc == SLW_OK)
        rc = folder_name(&r, target, err);
    struct slw_err ignored;
    if (rc != SLW_OK) {
        (void)!slw_dir_remove(r.to, &ignored);
        return rc;
    }
    *out = info;
    return SLW_OK;
}
