/* backup_internal.h -- shared by backup.c (making) and restore.c. */
#ifndef SLW_STORE_BACKUP_INTERNAL_H
#define SLW_STORE_BACKUP_INTERNAL_H

#include "base/hash.h"
#include "base/json.h"
#include "store/backup.h"
#include "store/store_internal.h"

#define BACKUP_FORMAT "slipway.backup/1"
#define BACKUP_MANIFEST_SIZE_MAX ((size_t)256 << 20)

/* A file of a set, or a blob file. */
struct backup_entry {
    const char *path; /* below the set; of a blob: its 64 digits */
    int64_t size;
    char sha256[SLW_SHA256_HEX_SIZE];
};
struct backup_list {
    struct backup_entry *items;
    size_t count, cap;
};
struct backup_set {
    struct slw_arena *arena;
    const char *dir;  /* of all backups */
    const char *path; /* of this set */
    int64_t made_at_ms, event_count;
    struct backup_list files, blobs; /* sorted by path */
};

/* Manifest and list of blobs, each checked against its hash.
 * Errors NOT_FOUND, CORRUPT, IO. */
SLW_MUST_USE enum slw_rc backup_set_read(struct backup_set *out,
                                         struct slw_arena *a, const char *dir,
                                         const char *set, struct slw_err *err);
const struct backup_entry *backup_find(const struct backup_list *l,
                                       const char *path);
void backup_add(struct slw_arena *a, struct backup_list *l,
                const struct backup_entry *e);
/* <dir>/blobs/ab/cd… */
const char *backup_blob_path(struct slw_arena *a, const char *dir,
                             const char *name);
/* Read a file to its end; copy it where `to` is given (which must not exist
 * when `fresh`), with holes for zeros when `sparse`.  Not synced.
 * Out  e->size and e->sha256 of what was read */
SLW_MUST_USE enum slw_rc backup_copy(const char *from, const char *to,
                                     bool sparse, struct backup_entry *e,
                                     struct slw_err *err);
/* Everything that was written to the file system of this folder since it was
 * opened is on disk.  Errors IO: not all of it, whatever was the reason. */
SLW_MUST_USE enum slw_rc backup_sync(int dir_fd, const char *dir,
                                     struct slw_err *err);
SLW_MUST_USE enum slw_rc backup_dir_open(const char *dir, int *out_fd,
                                         struct slw_err *err);
void backup_step(const struct slw_backup_progress *p, const char *what,
                 int64_t done, int64_t total);
struct backup_fd {
    int fd_plus_1; /* 0: none */
};
void backup_fd_done(struct backup_fd *f);

#endif
