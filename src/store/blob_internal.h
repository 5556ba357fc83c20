/* blob_internal.h -- the files of blobs/: shared by blob_file.c (one file),
 * blob_put.c and blob.c.  The format is docs/formats/blob.md. */
#ifndef SLW_STORE_BLOB_INTERNAL_H
#define SLW_STORE_BLOB_INTERNAL_H

#include "base/hash.h"
#include "store/blob.h"
#include "store/chunk.h"
#include "store/store_internal.h"

enum blob_kind { BLOB_CHUNK = 1, BLOB_RECIPE = 2 };
enum blob_encoding { BLOB_RAW = 0, BLOB_ZSTD = 1 };

#define BLOB_HEAD_SIZE 32
#define BLOB_ENTRY_SIZE 40 /* of a recipe: hash, size, zero */
/* 2^23 chunks are 512 GiB. */
#define BLOB_RECIPE_SIZE_MAX ((size_t)BLOB_ENTRY_SIZE << 23)

struct blob_head {
    enum blob_kind kind;
    enum blob_encoding encoding;
    uint64_t content_size; /* of the chunk, or of the whole blob */
    uint64_t body_size;    /* bytes that follow the head */
    uint32_t body_crc;     /* CRC-32C of these */
};

struct blob_entry {
    struct slw_sha256 hash;
    uint32_t size;
};

/* blobs/ab/cdef… in the arena. */
const char *blob_path(struct slw_store *s, struct slw_arena *a,
                      const struct slw_sha256 *hash);
void blob_head_write(const struct blob_head *head,
                     uint8_t out[static BLOB_HEAD_SIZE]);
/* A whole, unopened file of this name with a good head. */
bool blob_file_ok(const char *path);
/* Its head, where it is such a file. */
bool blob_head_of(const char *path, struct blob_head *out);
/* Head and body of one file; the body is appended.
 * Errors NOT_FOUND, CORRUPT, IO. */
enum slw_rc blob_file_read(struct slw_store *s, const struct slw_sha256 *hash,
                           struct blob_head *out_head, struct slw_buf *out_body,
                           struct slw_err *err);
void blob_entry_write(const struct blob_entry *e,
                      uint8_t out[static BLOB_ENTRY_SIZE]);
struct blob_entry blob_entry_read(const uint8_t bytes[static BLOB_ENTRY_SIZE]);

#endif
