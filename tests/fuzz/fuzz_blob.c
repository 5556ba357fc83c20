/* fuzz_blob.c -- files of blobs/ as a bad disk may leave them.
 *
 * The first byte says what the others are.  Even: the file of one blob, of
 * which head and checksums may be mended, so that what lies behind them is
 * reached; reading it gives the content of that hash or a refusal.  Odd:
 * content, which must come back from the store, and whose chunks must cover
 * it. */
#include "fuzz.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "store/blob.h"
#include "store/chunk.h"

#define HEAD_SIZE 32 /* docs/formats/blob.md */
#define DAMAGE (FUZZ_RC(CORRUPT) | FUZZ_RC(NOT_FOUND) | FUZZ_RC(LIMIT))

static struct slw_store *store;
static char dir[256];

static int
entry_remove(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void
leave(void)
{
    slw_store_close(store);
    nftw(dir, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static void
store_ready(void)
{
    struct slw_err err;
    struct stat st;
    if (store)
        return;
    const bool memory = stat("/dev/shm", &st) == 0;
    snprintf(dir, sizeof dir, "%s/fuzz-blob-XXXXXX",
             memory ? "/dev/shm" : "/tmp");
    SLW_ASSERT(mkdtemp(dir));
    const struct slw_store_options opt = {.dir = dir, .server = true};
    if (slw_store_open(&store, &opt, &err) != SLW_OK) {
        fprintf(stderr, "%s\n", err.msg);
        SLW_ASSERT(!"store");
    }
    atexit(leave);
}

static void
put_u32(uint8_t *at, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}

/* Bits of `how`: 1 the magic, 2 the body's size and checksum, 4 the head's
 * checksum. */
static void
mend(uint8_t *file, size_t size, unsigned how)
{
    if (size < HEAD_SIZE)
        return;
    if (how & 1)
        memcpy(file, "SLWB\1", 5);
    if (how & 2) {
        put_u32(file + 16, (uint32_t)(size - HEAD_SIZE));
        put_u32(file + 20, 0);
        put_u32(file + 24, slw_crc32c(0, file + HEAD_SIZE, size - HEAD_SIZE));
    }
    if (how & 4)
        put_u32(file + 28, slw_crc32c(0, file, 28));
}

static void
file_put(const char *path, const uint8_t *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    SLW_ASSERT(f);
    SLW_ASSERT(fwrite(bytes, 1, size, f) == size);
    SLW_ASSERT(fclose(f) == 0);
}

static void
damaged(uint8_t *file, size_t size, unsigned how)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_buf, got);
    struct slw_err err = {0};
    char hex[SLW_SHA256_HEX_SIZE];
    mend(file, size, how);
    /* The name: of the body's content, where it is one plain chunk. */
    const size_t head = size < HEAD_SIZE ? size : HEAD_SIZE;
    const struct slw_sha256 name = slw_sha256_of(file + head, size - head);
    slw_sha256_hex(&name, hex);
    const char *folder = slw_path(&a, dir, "blobs/%.2s", hex);
    const char *path = slw_path(&a, folder, "%s", hex + 2);
    (void)mkdir(folder, 0700);
    file_put(path, file, size);
    int64_t content_size = 0, shared, total;
    enum slw_rc rc = slw_blob_get(store, hex, &got, &err);
    if (rc == SLW_OK) {
        const struct slw_sha256 is = slw_sha256_of(got.ptr, got.len);
        SLW_ASSERT(slw_sha256_eq(&is, &name));
        SLW_ASSERT(slw_blob_verify(store, hex, &err) == SLW_OK);
        SLW_ASSERT(slw_blob_size(store, hex, &content_size, &err) == SLW_OK);
    } else {
        fuzz_refused(rc, &err, DAMAGE);
        SLW_ASSERT(got.len == 0);
        SLW_ASSERT(slw_blob_verify(store, hex, &err) != SLW_OK);
        if ((rc = slw_blob_size(store, hex, &content_size, &err)) != SLW_OK)
            fuzz_refused(rc, &err, DAMAGE);
    }
    rc = slw_blob_shared(store, hex, hex, &shared, &total, &err);
    if (rc == SLW_OK)
        SLW_ASSERT(shared == total);
    else
        fuzz_refused(rc, &err, DAMAGE);
    (void)remove(path);
    (void)rmdir(folder);
}

static void
whole(const uint8_t *bytes, size_t size, unsigned repeat)
{
    SLW_AUTO(slw_buf, content);
    SLW_AUTO(slw_buf, got);
    struct slw_blob_info info;
    struct slw_err err;
    for (unsigned i = 0; i <= repeat; i++) {
        slw_buf_add(&content, bytes, size);
        slw_buf_i64(&content, i);
    }
    int64_t chunks = 0;
    for (size_t at = 0; at < content.len; chunks++) {
        const size_t len = store_chunk_len((const uint8_t *)content.ptr + at,
                                           content.len - at);
        SLW_ASSERT(len && len <= STORE_CHUNK_MAX && len <= content.len - at);
        SLW_ASSERT(len >= STORE_CHUNK_MIN || len == content.len - at);
        at += len;
    }
    SLW_ASSERT(slw_blob_put(store, slw_buf_view(&content), &info, &err) ==
               SLW_OK);
    SLW_ASSERT(info.chunk_count == chunks);
    SLW_ASSERT(slw_blob_get(store, info.hash, &got, &err) == SLW_OK);
    SLW_ASSERT(slw_str_eq(slw_buf_view(&got), slw_buf_view(&content)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 65536)
        return 0;
    store_ready();
    if (data[0] & 1) {
        whole(data + 1, size - 1, data[0] >> 1);
        return 0;
    }
    uint8_t *file = slw_alloc(size); /* its end is where the bytes end */
    memcpy(file, data + 1, size - 1);
    damaged(file, size - 1, data[0] >> 1);
    slw_free(file);
    return 0;
}
