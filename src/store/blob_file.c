/* blob_file.c -- one file below blobs/: its head, its body, its name. */
#include "store/blob_internal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"

static const uint8_t MAGIC[5] = {'S', 'L', 'W', 'B', 1}; /* and the version */

const char *
blob_path(struct slw_store *s, struct slw_arena *a,
          const struct slw_sha256 *hash)
{
    char hex[SLW_SHA256_HEX_SIZE];
    (void)slw_sha256_hex(hash, hex);
    return slw_path(a, s->dir, "blobs/%.2s/%s", hex, hex + 2);
}

void
blob_head_write(const struct blob_head *head,
                uint8_t out[static BLOB_HEAD_SIZE])
{
    memset(out, 0, BLOB_HEAD_SIZE);
    memcpy(out, MAGIC, sizeof(MAGIC));
    out[5] = (uint8_t)head->kind;
    out[6] = (uint8_t)head->encoding;
    slw_put_u64(out + 8, head->content_size);
    slw_put_u64(out + 16, head->body_size);
    slw_put_u32(out + 24, head->body_crc);
    slw_put_u32(out + 28, slw_crc32c(0, out, 28));
}

static bool
head_read(const uint8_t bytes[static BLOB_HEAD_SIZE], struct blob_head *out)
{
    if (memcmp(bytes, MAGIC, sizeof(MAGIC)) != 0 ||
        slw_get_u32(bytes + 28) != slw_crc32c(0, bytes, 28))
        return false;
    *out = (struct blob_head){
        .kind = (enum blob_kind)bytes[5],
        .encoding = (enum blob_encoding)bytes[6],
        .content_size = slw_get_u64(bytes + 8),
        .body_size = slw_get_u64(bytes + 16),
        .body_crc = slw_get_u32(bytes + 24),
    };
    const bool is_chunk =
        out->kind == BLOB_CHUNK && out->content_size <= STORE_CHUNK_MAX &&
        out->body_size <= 2 * STORE_CHUNK_MAX && out->encoding <= BLOB_ZSTD;
    const bool is_recipe = out->kind == BLOB_RECIPE &&
                           out->encoding == BLOB_RAW &&
                           out->body_size <= BLOB_RECIPE_SIZE_MAX &&
                           out->body_size % BLOB_ENTRY_SIZE == 0;
    return is_chunk || is_recipe;
}

bool
blob_head_of(const char *path, struct blob_head *out)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    uint8_t bytes[BLOB_HEAD_SIZE];
    struct stat st;
    const bool ok = read(fd, bytes, sizeof(bytes)) == BLOB_HEAD_SIZE &&
                    head_read(bytes, out) && fstat(fd, &st) == 0 &&
                    (uint64_t)st.st_size == BLOB_HEAD_SIZE + out->body_size;
    (void)close(fd);
    return ok;
}

bool
blob_file_ok(const char *path)
{
    struct blob_head head;
    return blob_head_of(path, &head);
}

enum slw_rc
blob_file_read(struct slw_store *s, const struct slw_sha256 *hash,
               struct blob_head *out_head, struct slw_buf *out_body,
               struct slw_err *err)
{
    SLW_AUTO(slw_arena, arena);
    SLW_AUTO(slw_buf, file);
    slw_buf_init(&file, BLOB_HEAD_SIZE + BLOB_RECIPE_SIZE_MAX);
    const char *path = blob_path(s, &arena, hash);
    char hex[SLW_SHA256_HEX_SIZE];
    const enum slw_rc rc = slw_file_get(path, file.limit_size, &file, err);
    if (rc == SLW_NOT_FOUND)
        return slw_fail(err, SLW_NOT_FOUND,
                        "there is no blob or chunk %s in %s/blobs",
                        slw_sha256_hex(hash, hex), s->dir);
    if (rc != SLW_OK)
        return rc;
    struct blob_head head;
    const uint8_t *bytes = (const uint8_t *)file.ptr;
    if (file.len < BLOB_HEAD_SIZE || !head_read(bytes, &head))
        return slw_fail(err, SLW_CORRUPT,
                        "%s is damaged: it does not start as a blob does",
                        path);
    const size_t body_size = file.len - BLOB_HEAD_SIZE;
    if (body_size != head.body_size)
        return slw_fail(err, SLW_CORRUPT,
                        "%s is damaged: it has %zu bytes of %llu", path,
                        body_size, (unsigned long long)head.body_size);
    if (slw_crc32c(0, bytes + BLOB_HEAD_SIZE, body_size) != head.body_crc)
        return slw_fail(err, SLW_CORRUPT,
                        "%s is damaged: its bytes are not those that were "
                        "written",
                        path);
    slw_buf_add(out_body, bytes + BLOB_HEAD_SIZE, body_size);
    TRY(slw_buf_check(out_body, err));
    *out_head = head;
    return SLW_OK;
}

void
blob_entry_write(const struct blob_entry *e,
                 uint8_t out[static BLOB_ENTRY_SIZE])
{
    memset(out, 0, BLOB_ENTRY_SIZE);
    memcpy(out, e->hash.bytes, 32);
    slw_put_u32(out + 32, e->size);
}

struct blob_entry
blob_entry_read(const uint8_t bytes[static BLOB_ENTRY_SIZE])
{
    struct blob_entry e = {.size = slw_get_u32(bytes + 32)};
    memcpy(e.hash.bytes, bytes, 32);
    return e;
}
