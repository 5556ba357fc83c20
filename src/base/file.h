/* file.h -- files that are whole or absent: write to a temporary name, fsync,
 * rename, fsync the folder.  Also folders, locks and small readers. */
#ifndef SLW_BASE_FILE_H
#define SLW_BASE_FILE_H

#include <stdio.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"

/* Write a whole file atomically and durably.
 * Errors IO: with path and the system's reason; the old file is then intact
 *        and no temporary file is left. */
SLW_MUST_USE enum slw_rc slw_file_put(const char *path, struct slw_str bytes,
                                      struct slw_err *err);
/* Rename a finished temporary file into place, durably (fsync of the file and
 * of both folders). */
SLW_MUST_USE enum slw_rc slw_file_commit(const char *tmp_path, const char *path,
                                         struct slw_err *err);
/* Append a whole file to *out.  Errors NOT_FOUND, IO, LIMIT (larger than
 * size_max). */
SLW_MUST_USE enum slw_rc slw_file_get(const char *path, size_t size_max,
                                      struct slw_buf *out, struct slw_err *err);
/* Size in bytes.  Errors NOT_FOUND, INVALID (a folder), IO. */
SLW_MUST_USE enum slw_rc slw_file_size(const char *path, int64_t *out_size,
                                       struct slw_err *err);
bool slw_file_exists(const char *path);
/* Remove a file; absent is no error. */
SLW_MUST_USE enum slw_rc slw_file_remove(const char *path, struct slw_err *err);
/* Create a folder and its parents, mode 0700 for new ones, durably. */
SLW_MUST_USE enum slw_rc slw_dir_make(const char *path, struct slw_err *err);
/* Make the names in a folder durable (where the file system can). */
SLW_MUST_USE enum slw_rc slw_dir_sync(const char *path, struct slw_err *err);
/* Remove a folder and everything in it; absent is no error.  Symbolic links
 * are removed, not followed. */
SLW_MUST_USE enum slw_rc slw_dir_remove(const char *path, struct slw_err *err);
/* Call `fn` for each entry but "." and ".." in byte order of the names; stops
 * at the first failure, which is returned.  A symbolic link is no folder.
 * Errors NOT_FOUND, IO, LIMIT (a million entries). */
typedef enum slw_rc (*slw_dir_fn)(void *ctx, const char *path, const char *name,
                                  bool is_dir, struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_dir_each(const char *path, slw_dir_fn fn,
                                      void *ctx, struct slw_err *err);
/* A path below a folder: "<dir>/<fmt…>", in the arena, NUL-terminated. */
SLW_PRINTF(3, 4)
const char *slw_path(struct slw_arena *a, const char *dir, const char *fmt,
                     ...);
/* fsync() and fdatasync(), but for a process that was relaxed. */
int slw_fd_sync(int fd);
int slw_fd_sync_data(int fd);
/* From now on this process waits for no disk: what it writes outlives the
 * process, not a power cut.  For a process all of whose files can be made
 * again (a rehearsal).  Call it before there are threads. */
void slw_file_relax(void);
bool slw_file_relaxed(void);
/* Views of a path: "/a/b.csv" is "b.csv" by name and "b" by stem. */
struct slw_str slw_path_name(struct slw_str path);
struct slw_str slw_path_stem(struct slw_str path);
/* Write all bytes to a descriptor.  Errors IO. */
SLW_MUST_USE enum slw_rc slw_fd_write(int fd, const void *bytes, size_t len,
                                      struct slw_err *err);

/* Exclusive lock on a file for the life of the handle (flock; released by the
 * kernel when the process dies).
 * Errors BUSY: held elsewhere; the message names the pid in the file. */
struct slw_file_lock {
    int fd_plus_1; /* 0: not held */
};
SLW_MUST_USE enum slw_rc slw_file_lock_take(struct slw_file_lock *l,
                                            const char *path,
                                            struct slw_err *err);
void slw_file_lock_done(struct slw_file_lock *l);
/* Does a process of this machine hold it now?  Taken from /proc/locks, so
 * that looking disturbs nobody; false where the system does not say. */
bool slw_file_lock_held(const char *path);

#endif
