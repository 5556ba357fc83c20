/* backup.h -- copies of a whole data folder, made while a server may be at
 * work, and the way back.
 *
 * A backup folder holds many backups, *sets*, that share their blobs:
 *
 *   DIR/blobs/ab/cd…             as in the data folder; each stored once
 *   DIR/sets/2026-01-31T22-00-00Z/
 *       manifest.json            every file with size and SHA-256
 *       manifest.sha256          of the manifest
 *       blobs.txt                every blob file: name, size, SHA-256
 *       slipway.db  predictions/…  jobs/….log
 *
 * Consistent by its order: the database's snapshot first, then the blobs and
 * segments.  Blobs are written before the rows that name them and never
 * change; segments only grow: so all that the snapshot names is there.  What
 * came meanwhile is too, and does no harm.
 *
 * A set in the making is called ….partial and gets its name when everything
 * has reached the disk: a torn one cannot be taken for a whole one.  The
 * format is docs/formats/backup.md. */
#ifndef SLW_STORE_BACKUP_H
#define SLW_STORE_BACKUP_H

#include "base/arena.h"
#include "store/store.h"

/* How far it is; total 0: not known.  May be NULL. */
struct slw_backup_progress {
    void (*fn)(void *ctx, const char *what, int64_t done, int64_t total);
    void *ctx;
};

struct slw_backup_info {
    char set[40];         /* its name: when it was made, UTC */
    int64_t made_at_ms;   /* system clock */
    int64_t file_count;   /* without blobs */
    int64_t file_size;    /* their bytes */
    int64_t blob_count;   /* blob files it needs */
    int64_t blob_size;    /* their bytes */
    int64_t new_count;    /* blob files that were not in DIR yet */
    int64_t new_size;     /* bytes this set added to DIR, files too */
    int64_t linked_count; /* files shared with the set before */
    int64_t event_count;  /* of the snapshot's log */
};

/* Add a set to `dir`, which is made when absent.
 * Errors BUSY: another backup is being made in it; CONFLICT: it is a folder
 *        of something else, or lies in the data folder; IO; CORRUPT. */
SLW_MUST_USE enum slw_rc slw_backup_make(struct slw_store *s, const char *dir,
                                         const struct slw_backup_progress *p,
                                         struct slw_backup_info *out,
                                         struct slw_err *err);
/* Names of the whole sets in a backup folder, oldest first.
 * Errors NOT_FOUND: there is none, or no such folder. */
SLW_MUST_USE enum slw_rc slw_backup_sets(const char *dir, struct slw_arena *a,
                                         const char ***out, size_t *out_count,
                                         struct slw_err *err);
/* Read everything of a set against its hashes.
 * In   set a name, NULL: the newest
 * Errors CORRUPT: the first that is missing or damaged, and how many there
 *        are; NOT_FOUND. */
SLW_MUST_USE enum slw_rc slw_backup_check(const char *dir, const char *set,
                                          const struct slw_backup_progress *p,
                                          struct slw_backup_info *out,
                                          struct slw_err *err);
/* Check a set, then make a data folder of it.  It gets its name when all of
 * it is on disk.
 * In   data a folder that is empty or absent; look, if not NULL, is called
 *      with the finished folder before it gets its name, and can refuse it
 * Errors as of checking; CONFLICT: the folder is not empty. */
typedef enum slw_rc (*slw_restore_look_fn)(void *ctx, const char *dir,
                                           struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_backup_restore(const char *dir, const char *set,
                                            const char *data,
                                            const struct slw_backup_progress *p,
                                            slw_restore_look_fn look, void *ctx,
                                            struct slw_backup_info *out,
                                            struct slw_err *err);

#endif
