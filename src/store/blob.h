/* blob.h -- bytes by hash: content-defined chunks (FastCDC, 16..256 KiB, 64
 * on average), each compressed by zstd and stored once under its SHA-256.
 *
 * A blob is named by the SHA-256 of its whole content.  blobs/ab/cd… holds
 * either a chunk or, for a blob of several chunks, its recipe (the list of
 * chunk hashes and sizes).  Files are written to tmp/, synced and renamed: a
 * torn write leaves nothing visible; a blob that exists is complete.
 * Everything is immutable; there is nothing to lock. */
#ifndef SLW_STORE_BLOB_H
#define SLW_STORE_BLOB_H

#include "base/buf.h"
#include "base/hash.h"
#include "store/store.h"

struct slw_blob_info {
    char hash[65]; /* hex of the content's SHA-256 */
    int64_t size;  /* bytes of the content */
    int64_t chunk_count;
    int64_t new_size; /* bytes this call added on disk, after compression */
};

/* Store bytes, or a file read once in constant memory.
 * Errors IO (full disk): nothing visible is left. */
SLW_MUST_USE enum slw_rc slw_blob_put(struct slw_store *s, struct slw_str bytes,
                                      struct slw_blob_info *out,
                                      struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_blob_put_file(struct slw_store *s,
                                           const char *path,
                                           struct slw_blob_info *out,
                                           struct slw_err *err);
/* Append the content to a buffer / write it to a new file (atomic) / to a
 * descriptor from an offset; each chunk is checked against its hash.
 * Errors NOT_FOUND, CORRUPT, LIMIT, IO. */
SLW_MUST_USE enum slw_rc slw_blob_get(struct slw_store *s, const char *hash,
                                      struct slw_buf *out, struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_blob_get_file(struct slw_store *s,
                                           const char *hash, const char *path,
                                           struct slw_err *err);
/* Append its last bytes, at most size_max of them: reads only the chunks they
 * lie in.  Errors NOT_FOUND, CORRUPT, LIMIT, IO. */
SLW_MUST_USE enum slw_rc slw_blob_tail(struct slw_store *s, const char *hash,
                                       size_t size_max, struct slw_buf *out,
                                       struct slw_err *err);
/* A blob that is read in parts, in memory that does not grow with it (about
 * one chunk).  Reading on from where the last read ended is cheap.
 * Owner: one thread at a time; slw_blob_close.
 * Errors NOT_FOUND, CORRUPT, IO. */
struct slw_blob_reader;
SLW_MUST_USE enum slw_rc slw_blob_open(struct slw_store *s, const char *hash,
                                       struct slw_blob_reader **out,
                                       struct slw_err *err);
int64_t slw_blob_reader_size(const struct slw_blob_reader *r);
/* At least one byte, at most `most`; at < size.  Every chunk is checked
 * against its hash before a byte of it is given. */
SLW_MUST_USE enum slw_rc slw_blob_read(struct slw_blob_reader *r, int64_t at,
                                       char *out, size_t most, size_t *out_len,
                                       struct slw_err *err);
void slw_blob_close(struct slw_blob_reader *r); /* accepts NULL */
/* Path of a whole plain copy in cache/ (made when absent): for engines that
 * want a file name.  Valid until the cache is cleaned; in the arena. */
SLW_MUST_USE enum slw_rc slw_blob_cached(struct slw_store *s, const char *hash,
                                         const char *suffix,
                                         struct slw_arena *a,
                                         const char **out_path,
                                         struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_blob_size(struct slw_store *s, const char *hash,
                                       int64_t *out_size, struct slw_err *err);
bool slw_blob_exists(struct slw_store *s, const char *hash);
/* Read everything of one blob and compare.  Errors CORRUPT, NOT_FOUND. */
SLW_MUST_USE enum slw_rc slw_blob_verify(struct slw_store *s, const char *hash,
                                         struct slw_err *err);
/* How many chunks two blobs share (either may be one chunk). */
SLW_MUST_USE enum slw_rc slw_blob_shared(struct slw_store *s, const char *a,
                                         const char *b, int64_t *out_shared,
                                         int64_t *out_total,
                                         struct slw_err *err);

#endif
