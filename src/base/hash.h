/* hash.h -- SHA-256 and its HMAC (OpenSSL), hex, CRC-32C. */
#ifndef SLW_BASE_HASH_H
#define SLW_BASE_HASH_H

#include "base/base.h"

struct slw_sha256 {
    uint8_t bytes[32];
};
#define SLW_SHA256_HEX_SIZE 65

/* One-shot. */
struct slw_sha256 slw_sha256_of(const void *bytes, size_t len);
const char *slw_sha256_hex(const struct slw_sha256 *h,
                           char out[static SLW_SHA256_HEX_SIZE]);
/* Errors INVALID: not 64 hex digits. */
SLW_MUST_USE enum slw_rc slw_sha256_parse(struct slw_str hex,
                                          struct slw_sha256 *out,
                                          struct slw_err *err);
bool slw_sha256_eq(const struct slw_sha256 *a, const struct slw_sha256 *b);

/* HMAC-SHA256 (RFC 2104): who has the key made this text. */
struct slw_sha256 slw_hmac_sha256(struct slw_str key, struct slw_str text);

/* Streaming; a zeroed struct needs slw_hasher_init first. */
struct slw_hasher {
    void *ctx;
};
void slw_hasher_init(struct slw_hasher *h);
void slw_hasher_add(struct slw_hasher *h, const void *bytes, size_t len);
struct slw_sha256 slw_hasher_end(struct slw_hasher *h); /* and starts anew */
void slw_hasher_done(struct slw_hasher *h);

/* CRC-32C (Castagnoli), continuing from `crc` (0 to start). */
uint32_t slw_crc32c(uint32_t crc, const void *bytes, size_t len);
/* 64-bit non-cryptographic hash for maps and traffic splitting (FNV-1a with
 * a final mix); stable for ever: sticky routing relies on it. */
uint64_t slw_hash64(const void *bytes, size_t len, uint64_t seed);

#endif
