/* s3_sign.c -- signatures of requests to S3: pure functions.
 *
 * Source AWS Signature Version 4, "Authenticating Requests: Using the
 * Authorization Header" and "Using Query Parameters"; the unit test holds
 * Amazon's published examples. */
#include "track/place.h"

#include <time.h>

#include "base/hash.h"
#include "net/client.h"

#define BLOCK 64

/* HMAC-SHA256, Source RFC 2104. */
static struct slw_sha256
hmac(const void *key, size_t key_len, struct slw_str text)
{
    uint8_t inner[BLOCK], outer[BLOCK];
    struct slw_sha256 folded;
    if (key_len > BLOCK) {
        folded = slw_sha256_of(key, key_len);
        key = folded.bytes;
        key_len = sizeof folded.bytes;
    }
    for (size_t i = 0; i < BLOCK; i++) {
        const uint8_t k = i < key_len ? ((const uint8_t *)key)[i] : 0;
        inner[i] = k ^ 0x36;
        outer[i] = k ^ 0x5c;
    }
    SLW_AUTO(slw_hasher, h);
    slw_hasher_init(&h);
    slw_hasher_add(&h, inner, BLOCK);
    slw_hasher_add(&h, text.ptr ? text.ptr : "", text.len);
    const struct slw_sha256 in = slw_hasher_end(&h);
    slw_hasher_add(&h, outer, BLOCK);
    slw_hasher_add(&h, in.bytes, sizeof in.bytes);
    return slw_hasher_end(&h);
}

void
s3_time(int64_t now_ms, char out[static S3_TIME_SIZE])
{
    struct tm t;
    const time_t now = now_ms / 1000;
    SLW_ASSERT(gmtime_r(&now, &t));
    (void)strftime(out, S3_TIME_SIZE, "%Y%m%dT%H%M%SZ", &t);
}

static struct slw_sha256
signing_key(const struct s3_request *r, const char date[static 9])
{
    SLW_AUTO(slw_buf, first);
    slw_buf_printf(&first, "AWS4%s", r->secret);
    struct slw_sha256 k = hmac(first.ptr, first.len, slw_str_of(date));
    k = hmac(k.bytes, sizeof k.bytes, slw_str_of(r->region));
    k = hmac(k.bytes, sizeof k.bytes, SLW_STR("s3"));
    return hmac(k.bytes, sizeof k.bytes, SLW_STR("aws4_request"));
}

/* "20130524/us-east-1/s3/aws4_request" */
static void
scope_write(const struct s3_request *r, const char *at, struct slw_buf *out)
{
    slw_buf_printf(out, "%.8s/%s/s3/aws4_request", at, r->region);
}

static void
signature_write(const struct s3_request *r, const char *at,
                struct slw_str canonical, struct slw_buf *out)
{
    char hex[SLW_SHA256_HEX_SIZE], date[9];
    SLW_AUTO(slw_buf, text);
    const struct slw_sha256 sum = slw_sha256_of(canonical.ptr, canonical.len);
    slw_buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n", at);
    scope_write(r, at, &text);
    slw_buf_printf(&text, "\n%s", slw_sha256_hex(&sum, hex));
    (void)snprintf(date, sizeof date, "%.8s", at);
    const struct slw_sha256 key = signing_key(r, date);
    const struct slw_sha256 is =
        hmac(key.bytes, sizeof key.bytes, slw_buf_view(&text));
    slw_buf_z(out, slw_sha256_hex(&is, hex));
}

void
s3_sign(const struct s3_request *r, struct slw_buf *out)
{
    char at[S3_TIME_SIZE];
    SLW_AUTO(slw_buf, canonical);
    SLW_AUTO(slw_buf, names);
    s3_time(r->now_ms, at);
    /* headers in the order of their names */
    slw_buf_printf(&canonical, "%s\n%s\n%s\n", r->method, r->path, r->query);
    if (r->content_type) {
        slw_buf_printf(&canonical, "content-type:%s\n", r->content_type);
        slw_buf_z(&names, "content-type;");
    }
    slw_buf_printf(&canonical,
                   "host:%s\nx-amz-content-sha256:%s\nx-amz-date:%s\n", r->host,
                   r->payload_hash, at);
    slw_buf_z(&names, "host;x-amz-content-sha256;x-amz-date");
    if (r->token) {
        slw_buf_printf(&canonical, "x-amz-security-token:%s\n", r->token);
        slw_buf_z(&names, ";x-amz-security-token");
    }
    slw_buf_printf(&canonical, "\n%.*s\n%s", SLW_FMT(slw_buf_view(&names)),
                   r->payload_hash);
    slw_buf_printf(out, "AWS4-HMAC-SHA256 Credential=%s/", r->key_id);
    scope_write(r, at, out);
    slw_buf_printf(
        out, ",SignedHeaders=%.*s,Signature=", SLW_FMT(slw_buf_view(&names)));
    signature_write(r, at, slw_buf_view(&canonical), out);
}

/* Parameters that do not begin with X-Amz- must sort behind it: those that
 * S3 knows begin with lower-case letters. */
void
s3_presign(const struct s3_request *r, int64_t seconds, struct slw_buf *out)
{
    char at[S3_TIME_SIZE];
    SLW_AUTO(slw_buf, canonical);
    SLW_AUTO(slw_buf, credential);
    const char *names = r->content_type ? "content-type;host" : "host";
    const size_t from = out->len;
    s3_time(r->now_ms, at);
    slw_buf_printf(&credential, "%s/", r->key_id);
    scope_write(r, at, &credential);
    slw_buf_z(out, "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=");
    slw_url_encode(out, slw_buf_view(&credential));
    slw_buf_printf(out, "&X-Amz-Date=%s&X-Amz-Expires=%lld", at,
                   (long long)seconds);
    if (r->token) {
        slw_buf_z(out, "&X-Amz-Security-Token=");
        slw_url_encode(out, slw_str_of(r->token));
    }
    slw_buf_z(out, "&X-Amz-SignedHeaders=");
    slw_url_encode(out, slw_str_of(names));
    if (r->query[0])
        slw_buf_printf(out, "&%s", r->query);
    slw_buf_printf(&canonical, "%s\n%s\n%.*s\n", r->method, r->path,
                   (int)(out->len - from), out->ptr + from);
    if (r->content_type)
        slw_buf_printf(&canonical, "content-type:%s\n", r->content_type);
    slw_buf_printf(&canonical, "host:%s\n\n%s\nUNSIGNED-PAYLOAD", r->host,
                   names);
    slw_buf_z(out, "&X-Amz-Signature=");
    signature_write(r, at, slw_buf_view(&canonical), out);
}
