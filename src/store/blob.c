/* blob.c -- reading what blob_put.c stored.
 *
 * Every chunk is checked against its hash when it is read, and the whole
 * content against the blob's, so that a damaged disk gives an error and never
 * wrong bytes. */
#include "store/blob_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

/* Takes the content, chunk by chunk. */
typedef enum slw_rc (*sink_fn)(void *ctx, const void *bytes, size_t len,
                               struct slw_err *err);

/* One read of a blob. */
struct reader {
    struct slw_store *store;
    ZSTD_DCtx *zstd;
    uint8_t *content; /* room for one chunk */
    struct slw_buf body;
    struct slw_hasher whole;
    sink_fn sink;
    void *sink_ctx;
};

static void
reader_done(struct reader *r)
{
    (void)ZSTD_freeDCtx(r->zstd);
    slw_free(r->content);
    slw_buf_done(&r->body);
    slw_hasher_done(&r->whole);
}

static void
reader_init(struct reader *r, struct slw_store *s, sink_fn sink, void *ctx)
{
    *r = (struct reader){.store = s, .sink = sink, .sink_ctx = ctx};
    r->zstd = ZSTD_createDCtx();
    SLW_ASSERT(r->zstd);
    r->content = slw_alloc(STORE_CHUNK_MAX);
    slw_buf_init(&r->body, 2 * STORE_CHUNK_MAX);
    slw_hasher_init(&r->whole);
}

static enum slw_rc
hash_parse(const char *hex, struct slw_sha256 *out, struct slw_err *err)
{
    if (slw_sha256_parse(slw_str_of(hex), out, err) == SLW_OK)
        return SLW_OK;
    return slw_fail(err, SLW_INVALID,
                    "'%.80s' does not name a blob: 64 hex digits do",
                    hex ? hex : "");
}

/* The body of a chunk's file → its content, checked, to the sink. */
static enum slw_rc
chunk_give(struct reader *r, const struct slw_sha256 *hash,
           const struct blob_head *head, struct slw_str body,
           struct slw_err *err)
{
    char hex[SLW_SHA256_HEX_SIZE];
    const void *content = body.ptr;
    size_t len = body.len;
    if (head->encoding == BLOB_ZSTD) {
        len = ZSTD_decompressDCtx(r->zstd, r->content, STORE_CHUNK_MAX,
                                  body.ptr, body.len);
        if (ZSTD_isError(len))
            return slw_fail(err, SLW_CORRUPT,
                            "chunk %s is damaged: it does not unpack",
                            slw_sha256_hex(hash, hex));
        content = r->content;
    }
    const struct slw_sha256 is = slw_sha256_of(content, len);
    if (!slw_sha256_eq(&is, hash))
        return slw_fail(err, SLW_CORRUPT,
                        "chunk %s is damaged: its content has another hash",
                        slw_sha256_hex(hash, hex));
    slw_hasher_add(&r->whole, content, len);
    return r->sink(r->sink_ctx, content, len, err);
}

static enum slw_rc
chunk_read(struct reader *r, const struct blob_entry *e, struct slw_err *err)
{
    struct blob_head head;
    slw_buf_clear(&r->body);
    const enum slw_rc rc =
        blob_file_read(r->store, &e->hash, &head, &r->body, err);
    char hex[SLW_SHA256_HEX_SIZE];
    if (rc == SLW_NOT_FOUND)
        return slw_fail(err, SLW_CORRUPT, "chunk %s is missing",
                        slw_sha256_hex(&e->hash, hex));
    if (rc != SLW_OK)
        return rc;
    if (head.kind != BLOB_CHUNK || head.content_size != e->size)
        return slw_fail(err, SLW_CORRUPT,
                        "chunk %s is damaged: its size is not the recipe's",
                        slw_sha256_hex(&e->hash, hex));
    return chunk_give(r, &e->hash, &head, slw_buf_view(&r->body), err);
}

static enum slw_rc
recipe_give(struct reader *r, const struct slw_sha256 *hash,
            struct slw_str recipe, struct slw_err *err)
{
    for (size_t at = 0; at < recipe.len; at += BLOB_ENTRY_SIZE) {
        const struct blob_entry e =
            blob_entry_read((const uint8_t *)recipe.ptr + at);
        TRY(chunk_read(r, &e, err));
    }
    const struct slw_sha256 is = slw_hasher_end(&r->whole);
    if (slw_sha256_eq(&is, hash))
        return SLW_OK;
    return slw_fail(err, SLW_CORRUPT,
                    "its chunks do not add up to the content it names");
}

static enum slw_rc
content_give(struct slw_store *s, const struct slw_sha256 *hash, sink_fn sink,
             void *ctx, struct slw_err *err)
{
    SLW_AUTO(slw_buf, body);
    slw_buf_init(&body, BLOB_RECIPE_SIZE_MAX);
    struct blob_head head;
    TRY(blob_file_read(s, hash, &head, &body, err));
    SLW_AUTO(reader, r);
    reader_init(&r, s, sink, ctx);
    const struct slw_str view = slw_buf_view(&body);
    return head.kind == BLOB_CHUNK ? chunk_give(&r, hash, &head, view, err)
                                   : recipe_give(&r, hash, view, err);
}

static enum slw_rc
content_read(struct slw_store *s, const char *hex, sink_fn sink, void *ctx,
             struct slw_err *err)
{
    struct slw_sha256 hash;
    TRY(hash_parse(hex, &hash, err));
    const enum slw_rc rc = content_give(s, &hash, sink, ctx, err);
    return rc == SLW_CORRUPT ? slw_err_prefix(err, "blob %.12s…: ", hex) : rc;
}

/* ---- into memory, files, nothing ---- */

static enum slw_rc
sink_buf(void *ctx, const void *bytes, size_t len, struct slw_err *err)
{
    slw_buf_add(ctx, bytes, len);
    return slw_buf_check(ctx, err);
}

static enum slw_rc
sink_fd(void *ctx, const void *bytes, size_t len, struct slw_err *err)
{
    return slw_fd_write(*(const int *)ctx, bytes, len, err);
}

static enum slw_rc
sink_nothing(void *ctx, const void *bytes, size_t len, struct slw_err *err)
{
    (void)ctx;
    (void)bytes;
    (void)len;
    (void)err;
    return SLW_OK;
}

enum slw_rc
slw_blob_get(struct slw_store *s, const char *hash, struct slw_buf *out,
             struct slw_err *err)
{
    const size_t len = out->len;
    const bool overflow = out->overflow;
    const enum slw_rc rc = content_read(s, hash, sink_buf, out, err);
    if (rc == SLW_OK)
        return SLW_OK;
    out->len = len;
    out->overflow = overflow;
    if (out->ptr)
        out->ptr[len] = '\0';
    return rc;
}

/* The recipe's last entries that hold that many bytes. */
static enum slw_rc
tail_chunks(struct slw_store *s, struct slw_str recipe, size_t size_max,
            struct slw_buf *out, struct slw_err *err)
{
    size_t from = recipe.len, size = 0;
    while (from > 0 && size < size_max) {
        from -= BLOB_ENTRY_SIZE;
        size += blob_entry_read((const uint8_t *)recipe.ptr + from).size;
    }
    SLW_AUTO(reader, r);
    reader_init(&r, s, sink_buf, out);
    for (; from < recipe.len; from += BLOB_ENTRY_SIZE) {
        const struct blob_entry e =
            blob_entry_read((const uint8_t *)recipe.ptr + from);
        TRY(chunk_read(&r, &e, err));
    }
    return SLW_OK;
}

enum slw_rc
slw_blob_tail(struct slw_store *s, const char *hash, size_t size_max,
              struct slw_buf *out, struct slw_err *err)
{
    struct slw_sha256 parsed;
    struct blob_head head;
    SLW_AUTO(slw_buf, body);
    SLW_AUTO(slw_buf, bytes);
    slw_buf_init(&body, BLOB_RECIPE_SIZE_MAX);
    slw_buf_init(&bytes, size_max + STORE_CHUNK_MAX);
    TRY(hash_parse(hash, &parsed, err));
    TRY(blob_file_read(s, &parsed, &head, &body, err));
    if (head.kind == BLOB_RECIPE)
        TRY(tail_chunks(s, slw_buf_view(&body), size_max, &bytes, err));
    else
        TRY(slw_blob_get(s, hash, &bytes, err));
    const size_t skip = bytes.len > size_max ? bytes.len - size_max : 0;
    slw_buf_add(out, bytes.ptr + skip, bytes.len - skip);
    return slw_buf_check(out, err);
}

enum slw_rc
slw_blob_get_file(struct slw_store *s, const char *hash, const char *path,
                  struct slw_err *err)
{
    SLW_AUTO(slw_arena, arena);
    const char *tmp =
        slw_arena_printf(&arena, "%s.tmp-%ld-%llu", path, (long)getpid(),
                         (unsigned long long)store_tmp_next(s))
            .ptr;
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return slw_fail(err, SLW_IO, "cannot create %s: %m", tmp);
    enum slw_rc rc = content_read(s, hash, sink_fd, &fd, err);
    (void)close(fd);
    if (rc == SLW_OK)
        rc = slw_file_commit(tmp, path, err);
    if (rc != SLW_OK)
        (void)unlink(tmp);
    return rc;
}

/* A file of the right length is taken for the content: it was checked when
 * it was written, and cache/ may be emptied at any time. */
enum slw_rc
slw_blob_cached(struct slw_store *s, const char *hash, const char *suffix,
                struct slw_arena *a, const char **out_path, struct slw_err *err)
{
    int64_t size = 0;
    TRY(slw_blob_size(s, hash, &size, err));
    struct slw_sha256 parsed;
    TRY(hash_parse(hash, &parsed, err));
    char hex[SLW_SHA256_HEX_SIZE];
    const char *path =
        slw_path(a, s->dir, "cache/%s%s", slw_sha256_hex(&parsed, hex),
                 suffix ? suffix : "");
    struct slw_err ignored;
    int64_t cached_size = 0;
    if (slw_file_size(path, &cached_size, &ignored) != SLW_OK ||
        cached_size != size)
        TRY(slw_blob_get_file(s, hash, path, err));
    *out_path = path;
    return SLW_OK;
}

/* ---- in parts ---- */

/* A recipe stays on disk, however long it is: where the present chunk lies is
 * known, and what comes before or behind it is found by reading sizes. */
struct slw_blob_reader {
    struct reader reader; /* sink: the chunk below */
    struct slw_buf chunk; /* content of the present chunk */
    struct slw_sha256 hash;
    int fd;       /* the recipe's; -1: the blob is one chunk */
    int64_t size; /* of the content */
    int64_t entry_count;
    int64_t at;   /* where the present chunk begins; it may be empty */
    int64_t next; /* index of the entry behind it */
};

void
slw_blob_close(struct slw_blob_reader *r)
{
    if (!r)
        return;
    if (r->fd >= 0)
        (void)close(r->fd);
    reader_done(&r->reader);
    slw_buf_done(&r->chunk);
    slw_free(r);
}

int64_t
slw_blob_reader_size(const struct slw_blob_reader *r)
{
    return r->size;
}

/* The recipe's bytes as they were written; in pieces. */
static enum slw_rc
recipe_check(struct slw_blob_reader *r, const struct blob_head *head,
             struct slw_err *err)
{
    char piece[16384];
    uint32_t crc = 0;
    int64_t left = (int64_t)head->body_size, at = BLOB_HEAD_SIZE;
    while (left > 0) {
        const size_t want =
            left < (int64_t)sizeof piece ? (size_t)left : sizeof piece;
        const ssize_t n = pread(r->fd, piece, want, at);
        if (n <= 0)
            return slw_fail(err, SLW_IO, "cannot read a recipe: %s",
                            n < 0 ? strerror(errno) : "it ends early");
        crc = slw_crc32c(crc, piece, (size_t)n);
        at += n;
        left -= n;
    }
    if (crc == head->body_crc)
        return SLW_OK;
    return slw_fail(err, SLW_CORRUPT,
                    "its recipe is damaged: its bytes are not those that were "
                    "written");
}

static enum slw_rc
blob_open(struct slw_blob_reader *r, struct slw_store *s, struct slw_err *err)
{
    struct blob_head head;
    SLW_AUTO(slw_arena, arena);
    char hex[SLW_SHA256_HEX_SIZE];
    const char *path = blob_path(s, &arena, &r->hash);
    if (!blob_head_of(path, &head))
        return slw_fail(err,
                        slw_file_exists(path) ? SLW_CORRUPT : SLW_NOT_FOUND,
                        "there is no whole blob or chunk %s in %s/blobs",
                        slw_sha256_hex(&r->hash, hex), s->dir);
    r->size = (int64_t)head.content_size;
    r->entry_count = 1;
    if (head.kind == BLOB_CHUNK)
        return SLW_OK;
    r->entry_count = (int64_t)(head.body_size / BLOB_ENTRY_SIZE);
    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0)
        return slw_fail(err, SLW_IO, "cannot open %s: %m", path);
    return recipe_check(r, &head, err);
}

enum slw_rc
slw_blob_open(struct slw_store *s, const char *hash,
              struct slw_blob_reader **out, struct slw_err *err)
{
    struct slw_blob_reader *r = slw_alloc(sizeof *r);
    *r = (struct slw_blob_reader){.fd = -1};
    slw_buf_init(&r->chunk, STORE_CHUNK_MAX);
    reader_init(&r->reader, s, sink_buf, &r->chunk);
    enum slw_rc rc = hash_parse(hash, &r->hash, err);
    if (rc == SLW_OK)
        rc = blob_open(r, s, err);
    if (rc == SLW_OK)
        *out = r;
    else
        slw_blob_close(r);
    return rc;
}

static enum slw_rc
entry_at(struct slw_blob_reader *r, int64_t index, struct blob_entry *out,
         struct slw_err *err)
{
    uint8_t bytes[BLOB_ENTRY_SIZE];
    if (r->fd < 0) {
        *out = (struct blob_entry){.hash = r->hash, .size = (uint32_t)r->size};
        return SLW_OK;
    }
    if (index >= r->entry_count ||
        pread(r->fd, bytes, sizeof bytes,
              BLOB_HEAD_SIZE + index * BLOB_ENTRY_SIZE) != sizeof bytes)
        return slw_fail(err, SLW_CORRUPT,
                        "its recipe is damaged: its chunks are less than its "
                        "size");
    *out = blob_entry_read(bytes);
    return SLW_OK;
}

/* Make the chunk that holds byte `at` the present one. */
static enum slw_rc
chunk_seek(struct slw_blob_reader *r, int64_t at, struct slw_err *err)
{
    struct blob_entry e = {.size = 0};
    int64_t begin = r->at + (int64_t)r->chunk.len, index = r->next;
    if (at < begin) {
        begin = 0;
        index = 0;
    }
    for (;; index++, begin += e.size) {
        TRY(entry_at(r, index, &e, err));
        if (at < begin + (int64_t)e.size)
            break;
    }
    slw_buf_clear(&r->chunk);
    r->at = begin;
    r->next = index + 1;
    return chunk_read(&r->reader, &e, err);
}

enum slw_rc
slw_blob_read(struct slw_blob_reader *r, int64_t at, char *out, size_t most,
              size_t *out_len, struct slw_err *err)
{
    SLW_ASSERT(at >= 0);
    SLW_ASSERT(at < r->size);
    if (at < r->at || at >= r->at + (int64_t)r->chunk.len) {
        const enum slw_rc rc = chunk_seek(r, at, err);
        if (rc != SLW_OK) {
            slw_buf_clear(&r->chunk);
            r->at = r->next = 0;
            return rc;
        }
    }
    const size_t skip = (size_t)(at - r->at);
    const size_t len = r->chunk.len - skip;
    *out_len = len < most ? len : most;
    memcpy(out, r->chunk.ptr + skip, *out_len);
    return SLW_OK;
}

enum slw_rc
slw_blob_size(struct slw_store *s, const char *hash, int64_t *out_size,
              struct slw_err *err)
{
    struct slw_sha256 parsed;
    TRY(hash_parse(hash, &parsed, err));
    SLW_AUTO(slw_buf, body);
    slw_buf_init(&body, BLOB_RECIPE_SIZE_MAX);
    struct blob_head head;
    TRY(blob_file_read(s, &parsed, &head, &body, err));
    *out_size = (int64_t)head.content_size;
    return SLW_OK;
}

bool
slw_blob_exists(struct slw_store *s, const char *hash)
{
    struct slw_err ignored;
    struct slw_sha256 parsed;
    if (hash_parse(hash, &parsed, &ignored) != SLW_OK)
        return false;
    SLW_AUTO(slw_arena, arena);
    return blob_file_ok(blob_path(s, &arena, &parsed));
}

enum slw_rc
slw_blob_verify(struct slw_store *s, const char *hash, struct slw_err *err)
{
    return content_read(s, hash, sink_nothing, NULL, err);
}

/* ---- sharing ---- */

/* The chunks of a blob as recipe entries; its own hash where it is one. */
static enum slw_rc
entries_read(struct slw_store *s, const char *hex, struct slw_buf *out,
             struct slw_err *err)
{
    struct slw_sha256 hash;
    TRY(hash_parse(hex, &hash, err));
    SLW_AUTO(slw_buf, body);
    slw_buf_init(&body, BLOB_RECIPE_SIZE_MAX);
    struct blob_head head;
    TRY(blob_file_read(s, &hash, &head, &body, err));
    if (head.kind == BLOB_RECIPE) {
        slw_buf_str(out, slw_buf_view(&body));
    } else {
        const struct blob_entry e = {.hash = hash,
                                     .size = (uint32_t)head.content_size};
        uint8_t bytes[BLOB_ENTRY_SIZE];
        blob_entry_write(&e, bytes);
        slw_buf_add(out, bytes, sizeof(bytes));
    }
    return slw_buf_check(out, err);
}

static int
entry_cmp(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

enum slw_rc
slw_blob_shared(struct slw_store *s, const char *a, const char *b,
                int64_t *out_shared, int64_t *out_total, struct slw_err *err)
{
    SLW_AUTO(slw_buf, ours);
    SLW_AUTO(slw_buf, theirs);
    slw_buf_init(&ours, BLOB_RECIPE_SIZE_MAX);
    slw_buf_init(&theirs, BLOB_RECIPE_SIZE_MAX);
    TRY(entries_read(s, a, &ours, err));
    TRY(entries_read(s, b, &theirs, err));
    if (ours.len > 0)
        qsort(ours.ptr, ours.len / BLOB_ENTRY_SIZE, BLOB_ENTRY_SIZE, entry_cmp);
    int64_t shared = 0;
    for (size_t at = 0; at < theirs.len; at += BLOB_ENTRY_SIZE)
        if (bsearch(theirs.ptr + at, ours.ptr, ours.len / BLOB_ENTRY_SIZE,
                    BLOB_ENTRY_SIZE, entry_cmp))
            shared++;
    *out_shared = shared;
    *out_total = (int64_t)(theirs.len / BLOB_ENTRY_SIZE);
    return SLW_OK;
}
