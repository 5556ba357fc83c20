/* hash.c -- SHA-256 by OpenSSL, CRC-32C by table or by the processor. */
#include "base/hash.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>

struct slw_sha256
slw_sha256_of(const void *bytes, size_t len)
{
    struct slw_sha256 h = {0};
    unsigned size = 0;
    int ok =
        EVP_Digest(len ? bytes : "", len, h.bytes, &size, EVP_sha256(), NULL);
    SLW_ASSERT(ok == 1);
    SLW_ASSERT(size == sizeof h.bytes);
    return h;
}

const char *
slw_sha256_hex(const struct slw_sha256 *h, char out[static SLW_SHA256_HEX_SIZE])
{
    slw_hex_text(h->bytes, sizeof h->bytes, out);
    return out;
}

enum slw_rc
slw_sha256_parse(struct slw_str hex, struct slw_sha256 *out,
                 struct slw_err *err)
{
    if (hex.len != 64)
        return slw_fail(err, SLW_INVALID,
                        "a SHA-256 has 64 hex digits, not %zu", hex.len);
    struct slw_sha256 h;
    for (size_t i = 0; i < sizeof h.bytes; i++) {
        int high = slw_hex_digit(hex.ptr[2 * i]);
        int low = slw_hex_digit(hex.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return slw_fail(err, SLW_INVALID,
                            "a SHA-256 has hex digits only; there is another "
                            "character at position %zu",
                            2 * i + (high < 0 ? 1 : 2));
        h.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *out = h;
    return SLW_OK;
}

bool
slw_sha256_eq(const struct slw_sha256 *a, const struct slw_sha256 *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

struct slw_sha256
slw_hmac_sha256(struct slw_str key, struct slw_str text)
{
    SLW_ASSERT(key.len <= INT_MAX);
    struct slw_sha256 h = {0};
    unsigned size = 0;
    const unsigned char *bytes = (const unsigned char *)text.ptr;
    const unsigned char *made =
        HMAC(EVP_sha256(), key.len ? key.ptr : "", (int)key.len, bytes,
             text.len, h.bytes, &size);
    SLW_ASSERT(made);
    SLW_ASSERT(size == sizeof h.bytes);
    return h;
}

/* ---- streaming ---- */

static void
hasher_start(struct slw_hasher *h)
{
    int ok = EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL);
    SLW_ASSERT(ok == 1);
}

void
slw_hasher_init(struct slw_hasher *h)
{
    h->ctx = EVP_MD_CTX_new();
    SLW_ASSERT(h->ctx);
    hasher_start(h);
}

void
slw_hasher_add(struct slw_hasher *h, const void *bytes, size_t len)
{
    SLW_ASSERT(h->ctx);
    int ok = EVP_DigestUpdate(h->ctx, len ? bytes : "", len);
    SLW_ASSERT(ok == 1);
}

struct slw_sha256
slw_hasher_end(struct slw_hasher *h)
{
    SLW_ASSERT(h->ctx);
    struct slw_sha256 sum = {0};
    unsigned size = 0;
    int ok = EVP_DigestFinal_ex(h->ctx, sum.bytes, &size);
    SLW_ASSERT(ok == 1);
    SLW_ASSERT(size == sizeof sum.bytes);
    hasher_start(h);
    return sum;
}

void
slw_hasher_done(struct slw_hasher *h)
{
    if (!h)
        return;
    EVP_MD_CTX_free(h->ctx);
    h->ctx = NULL;
}

/* ---- CRC-32C ---- */

#define CRC32C_POLY 0x82F63B78u /* Castagnoli, bits reflected */

static uint32_t crc_table[256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void
crc_table_fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? (c >> 1) ^ CRC32C_POLY : c >> 1;
        crc_table[i] = c;
    }
}

static uint32_t
crc_by_table(uint32_t crc, const unsigned char *p, size_t len)
{
    pthread_once(&crc_once, crc_table_fill);
    for (size_t i = 0; i < len; i++)
        crc = crc_table[(crc ^ p[i]) & 255] ^ (crc >> 8);
    return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t
crc_by_processor(uint32_t crc, const unsigned char *p, size_t len)
{
    uint64_t wide = crc;
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (; len; p++, len--)
        crc = __builtin_ia32_crc32qi(crc, *p);
    return crc;
}
#endif

uint32_t
slw_crc32c(uint32_t crc, const void *bytes, size_t len)
{
    crc = ~crc;
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc_by_processor(crc, bytes, len);
#endif
    return ~crc_by_table(crc, bytes, len);
}

/* ---- 64-bit hash ---- */

uint64_t
slw_hash64(const void *bytes, size_t len, uint64_t seed)
{
    const unsigned char *p = bytes;
    uint64_t h = 0xCBF29CE484222325u ^ seed;
    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 0x100000001B3u;
    /* FNV leaves the high bits of short keys poor; the finaliser of
     * MurmurHash3 (Appleby, public domain) spreads them. */
    h = (h ^ (h >> 33)) * 0xFF51AFD7ED558CCDu;
    h = (h ^ (h >> 33)) * 0xC4CEB9FE1A85EC53u;
    return h ^ (h >> 33);
}
