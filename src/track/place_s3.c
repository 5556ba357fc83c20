/* place_s3.c -- artifacts as objects of a bucket that speaks S3.
 *
 * A small client: PUT (in parts where the file is large), GET, HEAD, list,
 * DELETE, each signed by s3_sign.c.  An object is whole or absent by S3's own
 * rule.  Signatures carry the time of the system's clock, whatever clock the
 * server was given: the other side compares it with its own. */
#include "track/place.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "net/client.h"

/* Files up to this size go in one request, larger ones in parts. */
#define PUT_SIZE_MAX ((int64_t)64 << 20)
#define PART_SIZE_MIN ((int64_t)32 << 20)
#define PART_COUNT_MAX 10000
#define STALL_MS 60000
static const char EMPTY_HASH[] =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/* One call. */
struct s3_call {
    const char *method;
    const char *key;   /* not encoded; "" for the bucket itself */
    const char *query; /* encoded and sorted; NULL: none */
    struct slw_str body;
    const char *file; /* or a part of a file */
    int64_t from, size;
    const char *payload_hash; /* NULL: of the body */
    const char *out_path;
    const char *range, *if_range; /* NULL: none */
    const char *what;             /* for people */
};

/* ---- opening ---- */

static char *
env_dup(const char *first, const char *second, const char *third)
{
    const char *const names[] = {first, second, third};
    for (size_t i = 0; i < SLW_ARRAY_LEN(names); i++) {
        const char *value = names[i] ? getenv(names[i]) : NULL;
        if (value && *value)
            return slw_strdup(slw_str_of(value));
    }
    return NULL;
}

enum slw_rc
place_s3_open(struct slw_place *p, struct slw_str uri, struct slw_err *err)
{
    struct place_s3 *s = &p->s3;
    struct slw_str bucket, prefix = {"", 0};
    struct slw_str rest = {uri.ptr + 5, uri.len - 5};
    if (!slw_str_cut(rest, '/', &bucket, &prefix)) {
        bucket = rest;
        prefix = (struct slw_str){"", 0};
    }
    if (bucket.len < 3 || bucket.len > 63 ||
        (prefix.len && !slw_track_path_ok(prefix)))
        return slw_fail(err, SLW_INVALID,
                        "'%.*s' names no bucket; write s3://bucket/prefix",
                        SLW_FMT(uri));
    s->bucket = slw_strdup(bucket);
    s->prefix = slw_strdup(prefix);
    s->endpoint = env_dup("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3",
                          "AWS_ENDPOINT_URL");
    s->region = env_dup("AWS_REGION", "AWS_DEFAULT_REGION", NULL);
    s->key_id = env_dup("AWS_ACCESS_KEY_ID", NULL, NULL);
    s->secret = env_dup("AWS_SECRET_ACCESS_KEY", NULL, NULL);
    s->token = env_dup("AWS_SESSION_TOKEN", NULL, NULL);
    if (!s->region)
        s->region = slw_strdup(SLW_STR("us-east-1"));
    size_t len = s->endpoint ? strlen(s->endpoint) : 0;
    while (len > 0 && s->endpoint[len - 1] == '/')
        s->endpoint[--len] = '\0';
    if (!s->key_id || !s->secret)
        return slw_fail(err, SLW_INVALID,
                        "%s needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
                        "in the environment",
                        p->uri);
    return SLW_OK;
}

void
place_s3_done(struct place_s3 *s)
{
    char *const all[] = {s->bucket, s->prefix, s->endpoint, s->region,
                         s->key_id, s->secret, s->token};
    for (size_t i = 0; i < SLW_ARRAY_LEN(all); i++)
        slw_free(all[i]);
    *s = (struct place_s3){0};
}

/* ---- addresses ---- */

/* Key of a path; of a folder with a slash behind it. */
static const char *
key_of(const struct slw_place *p, struct slw_str path, const char *behind,
       struct slw_arena *a)
{
    const char *between = p->s3.prefix[0] && path.len ? "/" : "";
    return slw_arena_printf(a, "%s%s%.*s%s", p->s3.prefix, between,
                            SLW_FMT(path), behind)
        .ptr;
}

/* "https://host" and "/bucket/key": path style where an endpoint is given or
 * the bucket's name does not fit a certificate. */
static void
address(const struct slw_place *p, const char *key, struct slw_arena *a,
        const char **out_origin, const char **out_path)
{
    const struct place_s3 *s = &p->s3;
    SLW_AUTO(slw_buf, path);
    const bool in_path = s->endpoint || strchr(s->bucket, '.');
    *out_origin =
        s->endpoint ? s->endpoint
        : in_path
            ? slw_arena_printf(a, "https://s3.%s.amazonaws.com", s->region).ptr
            : slw_arena_printf(a, "https://%s.s3.%s.amazonaws.com", s->bucket,
                               s->region)
                  .ptr;
    slw_buf_char(&path, '/');
    if (in_path) {
        slw_url_encode(&path, slw_str_of(s->bucket));
        if (key[0])
            slw_buf_char(&path, '/');
    }
    for (const char *at = key; *at;) {
        const size_t len = strcspn(at, "/");
        slw_url_encode(&path, (struct slw_str){at, len});
        at += len;
        if (*at)
            slw_buf_char(&path, *at++);
    }
    *out_path = slw_arena_strz(a, slw_buf_view(&path));
}

static const char *
host_of(const char *origin)
{
    const char *host = strstr(origin, "://");
    return host ? host + 3 : origin;
}

static int64_t
system_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- one call ---- */

static enum slw_rc
fail_status(const struct slw_place *p, const struct s3_call *c,
            const struct slw_reply *r, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    const struct slw_str said =
        s3_xml_text(slw_buf_view(&r->body), "Message", &a);
    const enum slw_rc rc = r->status == 404   ? SLW_NOT_FOUND
                           : r->status == 403 ? SLW_DENIED
                           : r->status == 416 ? SLW_LIMIT
                           : r->status == 503 ? SLW_BUSY
                                              : SLW_IO;
    if (rc == SLW_NOT_FOUND && c->key[0])
        return slw_fail(err, rc, "No such artifact: '%s'", c->key);
    return slw_fail(err, rc, "cannot %s %s/%s: the bucket answers %d%s%.*s",
                    c->what, p->uri, c->key, r->status, said.len ? ", " : "",
                    SLW_FMT(said));
}

/* A status that is no success is an error. */
static enum slw_rc
s3_call(const struct slw_place *p, const struct s3_call *c,
        struct slw_reply *out, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_buf, sign);
    SLW_AUTO(slw_reply, reply);
    char at[S3_TIME_SIZE], hex[SLW_SHA256_HEX_SIZE];
    const char *origin = NULL, *path = NULL, *hash = c->payload_hash;
    const struct place_s3 *s = &p->s3;
    address(p, c->key, &a, &origin, &path);
    if (!hash) {
        const struct slw_sha256 sum =
            slw_sha256_of(c->body.ptr ? c->body.ptr : "", c->body.len);
        hash = slw_sha256_hex(&sum, hex);
    }
    const struct s3_request r = {.method = c->method,
                                 .host = host_of(origin),
                                 .path = path,
                                 .query = c->query ? c->query : "",
                                 .region = s->region,
                                 .key_id = s->key_id,
                                 .secret = s->secret,
                                 .token = s->token,
                                 .payload_hash = hash,
                                 .now_ms = system_ms()};
    s3_sign(&r, &sign);
    s3_time(r.now_ms, at);
    const char *lines[8] = {
        slw_arena_printf(&a, "Authorization: %.*s",
                         SLW_FMT(slw_buf_view(&sign)))
            .ptr,
        slw_arena_printf(&a, "x-amz-date: %s", at).ptr,
        slw_arena_printf(&a, "x-amz-content-sha256: %s", hash).ptr};
    size_t count = 3;
    if (s->token)
        lines[count++] =
            slw_arena_printf(&a, "x-amz-security-token: %s", s->token).ptr;
    if (c->range)
        lines[count++] = slw_arena_printf(&a, "Range: %s", c->range).ptr;
    if (c->if_range)
        lines[count++] = slw_arena_printf(&a, "If-Range: %s", c->if_range).ptr;
    const struct slw_call call = {
        .method = c->method,
        .url = slw_arena_printf(&a, "%s%s%s%s", origin, path,
                                r.query[0] ? "?" : "", r.query)
                   .ptr,
        .body = c->body,
        .body_path = c->file,
        .body_from = c->from,
        .body_size = c->size,
        .content_type = "application/octet-stream",
        .headers = lines,
        .timeout_ms = -1,
        .stall_ms = STALL_MS,
        .out_path = c->out_path,
        .want_head = true};
    if (slw_call(&call, &reply, err) != SLW_OK)
        return slw_err_prefix(err, "cannot %s %s/%s: ", c->what, p->uri,
                              c->key);
    if (reply.status < 200 || reply.status > 299)
        return fail_status(p, c, &reply, err);
    if (out) {
        *out = reply;
        reply = (struct slw_reply){0};
    }
    return SLW_OK;
}

/* ---- in ---- */

static enum slw_rc
part_hash(const char *file, int64_t from, int64_t size,
          char out[SLW_SHA256_HEX_SIZE], struct slw_err *err)
{
    SLW_AUTO(slw_hasher, h);
    slw_hasher_init(&h);
    char piece[16384];
    const int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return slw_fail(err, SLW_IO, "cannot open %s: %m", file);
    while (size > 0) {
        const size_t want =
            size < (int64_t)sizeof piece ? (size_t)size : sizeof piece;
        const ssize_t n = pread(fd, piece, want, from);
        if (n <= 0) {
            (void)close(fd);
            return slw_fail(err, SLW_IO, "cannot read %s", file);
        }
        slw_hasher_add(&h, piece, (size_t)n);
        from += n;
        size -= n;
    }
    (void)close(fd);
    const struct slw_sha256 sum = slw_hasher_end(&h);
    (void)slw_sha256_hex(&sum, out);
    return SLW_OK;
}

static const char *
parts_query(struct slw_str id, struct slw_arena *a)
{
    SLW_AUTO(slw_buf, b);
    slw_buf_z(&b, "uploadId=");
    slw_url_encode(&b, id);
    return slw_arena_strz(a, slw_buf_view(&b));
}

static enum slw_rc
part_put(struct slw_place *p, struct slw_str path, struct slw_str id,
         const char *file, int64_t from, int64_t size,
         struct slw_place_part *part, struct slw_arena *a, struct slw_err *err)
{
    SLW_AUTO(slw_reply, reply);
    char hash[SLW_SHA256_HEX_SIZE];
    TRY(part_hash(file, from, size, hash, err));
    const struct s3_call c = {.method = "PUT",
                              .key = key_of(p, path, "", a),
                              .query = slw_arena_printf(a, "partNumber=%lld&%s",
                                                        (long long)part->number,
                                                        parts_query(id, a))
                                           .ptr,
                              .file = file,
                              .from = from,
                              .size = size,
                              .payload_hash = hash,
                              .what = "write a part of"};
    TRY(s3_call(p, &c, &reply, err));
    part->tag = slw_arena_str(a, slw_reply_head(&reply, "ETag"));
    if (part->tag.len == 0)
        return slw_fail(err, SLW_IO, "%s gave a part no ETag", p->uri);
    return SLW_OK;
}

static enum slw_rc
parts_put(struct slw_place *p, struct slw_str path, struct slw_str id,
          const char *file, int64_t size, struct slw_arena *a,
          struct slw_err *err)
{
    int64_t part_size = (size + PART_COUNT_MAX - 1) / PART_COUNT_MAX;
    if (part_size < PART_SIZE_MIN)
        part_size = PART_SIZE_MIN;
    const size_t count = (size_t)((size + part_size - 1) / part_size);
    struct slw_place_part *parts =
        SLW_ARENA_NEW(a, struct slw_place_part, count);
    for (size_t i = 0; i < count; i++) {
        const int64_t from = (int64_t)i * part_size;
        const int64_t left = size - from;
        parts[i].number = (int64_t)i + 1;
        TRY(part_put(p, path, id, file, from,
                     left < part_size ? left : part_size, &parts[i], a, err));
    }
    return slw_place_parts_end(p, path, id, parts, count, err);
}

enum slw_rc
place_s3_put(struct slw_place *p, struct slw_str path, const char *file,
             int64_t size, const char *sha256, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    if (size > PUT_SIZE_MAX) {
        struct slw_str id = {0};
        struct slw_err ignored;
        TRY(slw_place_parts_begin(p, path, &a, &id, err));
        const enum slw_rc rc = parts_put(p, path, id, file, size, &a, err);
        if (rc != SLW_OK)
            (void)!slw_place_parts_abort(p, path, id, &ignored);
        return rc;
    }
    const struct s3_call c = {.method = "PUT",
                              .key = key_of(p, path, "", &a),
                              .file = size ? file : NULL,
                              .payload_hash = size == 0   ? EMPTY_HASH
                                              : sha256[0] ? sha256
                                                          : "UNSIGNED-PAYLOAD",
                              .what = "write"};
    return s3_call(p, &c, NULL, err);
}

/* ---- in parts ---- */

enum slw_rc
slw_place_parts_begin(struct slw_place *p, struct slw_str path,
                      struct slw_arena *a, struct slw_str *out_id,
                      struct slw_err *err)
{
    SLW_AUTO(slw_reply, reply);
    const struct s3_call c = {.method = "POST",
                              .key = key_of(p, path, "", a),
                              .query = "uploads=",
                              .what = "begin an upload of"};
    TRY(s3_call(p, &c, &reply, err));
    *out_id = s3_xml_text(slw_buf_view(&reply.body), "UploadId", a);
    return out_id->len
               ? SLW_OK
               : slw_fail(err, SLW_IO, "%s gave an upload no id", p->uri);
}

static void
xml_escape(struct slw_buf *out, struct slw_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        if (c == '&' || c == '<' || c == '>' || c == '"')
            slw_buf_printf(out, "&#%d;", c);
        else
            slw_buf_char(out, c);
    }
}

enum slw_rc
slw_place_parts_end(struct slw_place *p, struct slw_str path, struct slw_str id,
                    const struct slw_place_part *parts, size_t part_count,
                    struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_buf, body);
    SLW_AUTO(slw_reply, reply);
    slw_buf_z(&body, "<CompleteMultipartUpload>");
    for (size_t i = 0; i < part_count; i++) {
        slw_buf_printf(&body, "<Part><PartNumber>%lld</PartNumber><ETag>",
                       (long long)parts[i].number);
        xml_escape(&body, parts[i].tag);
        slw_buf_z(&body, "</ETag></Part>");
    }
    slw_buf_z(&body, "</CompleteMultipartUpload>");
    const struct s3_call c = {.method = "POST",
                              .key = key_of(p, path, "", &a),
                              .query = parts_query(id, &a),
                              .body = slw_buf_view(&body),
                              .what = "end the upload of"};
    TRY(s3_call(p, &c, &reply, err));
    /* It may answer 200 and say in the body that it failed. */
    const struct slw_str code =
        s3_xml_text(slw_buf_view(&reply.body), "Code", &a);
    if (code.len)
        return slw_fail(err, SLW_IO, "cannot end the upload of %s/%s: %.*s",
                        p->uri, c.key, SLW_FMT(code));
    return SLW_OK;
}

enum slw_rc
slw_place_parts_abort(struct slw_place *p, struct slw_str path,
                      struct slw_str id, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    const struct s3_call c = {.method = "DELETE",
                              .key = key_of(p, path, "", &a),
                              .query = parts_query(id, &a),
                              .what = "give up the upload of"};
    return s3_call(p, &c, NULL, err);
}

/* ---- out ---- */

static void
got_read(const struct slw_reply *r, struct slw_arena *a,
         struct slw_place_got *out)
{
    struct slw_err ignored;
    out->part = r->status == 206;
    out->tag = slw_arena_str(a, slw_reply_head(r, "ETag"));
    out->content_range = slw_arena_str(a, slw_reply_head(r, "Content-Range"));
    out->size = -1;
    if (slw_str_i64(slw_reply_head(r, "Content-Length"), &out->size,
                    &ignored) != SLW_OK)
        out->size = -1;
}

enum slw_rc
slw_place_fetch(struct slw_place *p, struct slw_str path, struct slw_str range,
                struct slw_str if_range, const char *to, struct slw_arena *a,
                struct slw_place_got *out, struct slw_err *err)
{
    SLW_AUTO(slw_reply, reply);
    const struct s3_call c = {
        .method = "GET",
        .key = key_of(p, path, "", a),
        .out_path = to,
        .range = range.len ? slw_arena_strz(a, range) : NULL,
        .if_range = if_range.len ? slw_arena_strz(a, if_range) : NULL,
        .what = "read"};
    TRY(s3_call(p, &c, &reply, err));
    got_read(&reply, a, out);
    return SLW_OK;
}

enum slw_rc
slw_place_look(struct slw_place *p, struct slw_str path, struct slw_arena *a,
               struct slw_place_got *out, struct slw_err *err)
{
    SLW_AUTO(slw_reply, reply);
    const struct s3_call c = {
        .method = "HEAD", .key = key_of(p, path, "", a), .what = "look at"};
    TRY(s3_call(p, &c, &reply, err));
    got_read(&reply, a, out);
    return SLW_OK;
}

enum slw_rc
slw_place_presign(struct slw_place *p, const char *method, struct slw_str path,
                  const char *query, const char *signed_type, int64_t seconds,
                  struct slw_arena *a, const char **out_url,
                  struct slw_err *err)
{
    SLW_AUTO(slw_buf, signed_query);
    const char *origin = NULL, *at = NULL;
    const struct place_s3 *s = &p->s3;
    if (seconds < 1 || seconds > 604800)
        return slw_fail(err, SLW_INVALID,
                        "expiration must be between 1 and 604800 seconds (got "
                        "%lld).",
                        (long long)seconds);
    address(p, key_of(p, path, "", a), a, &origin, &at);
    const struct s3_request r = {.method = method,
                                 .host = host_of(origin),
                                 .path = at,
                                 .query = query,
                                 .region = s->region,
                                 .key_id = s->key_id,
                                 .secret = s->secret,
                                 .token = s->token,
                                 .content_type = signed_type,
                                 .now_ms = system_ms()};
    s3_presign(&r, seconds, &signed_query);
    *out_url = slw_arena_printf(a, "%s%s?%.*s", origin, at,
                                SLW_FMT(slw_buf_view(&signed_query)))
                   .ptr;
    return SLW_OK;
}

/* ---- lists ---- */

/* All pages below a prefix; one level, or everything. */
static enum slw_rc
objects(struct slw_place *p, const char *prefix, bool one_level,
        struct slw_arena *a, struct s3_list *out, struct slw_err *err)
{
    *out = (struct s3_list){0};
    do {
        SLW_AUTO(slw_buf, query);
        SLW_AUTO(slw_reply, reply);
        if (out->next.len) {
            slw_buf_z(&query, "continuation-token=");
            slw_url_encode(&query, out->next);
            slw_buf_char(&query, '&');
        }
        slw_buf_printf(&query, "%sencoding-type=url&list-type=2&prefix=",
                       one_level ? "delimiter=%2F&" : "");
        slw_url_encode(&query, slw_str_of(prefix));
        const struct s3_call c = {.method = "GET",
                                  .key = "",
                                  .query =
                                      slw_arena_strz(a, slw_buf_view(&query)),
                                  .what = "list"};
        TRY(s3_call(p, &c, &reply, err));
        TRY(s3_list_parse(slw_buf_view(&reply.body), a, out, err));
    } while (out->truncated && out->next.len);
    return SLW_OK;
}

enum slw_rc
place_s3_list(struct slw_place *p, struct slw_str folder, struct slw_arena *a,
              struct slw_artifact **out, size_t *out_count, struct slw_err *err)
{
    struct s3_list list;
    const char *prefix = key_of(p, folder, "", a);
    size_t count = 0;
    if (prefix[0])
        prefix = slw_arena_printf(a, "%s/", prefix).ptr;
    const size_t skip = strlen(prefix);
    TRY(objects(p, prefix, true, a, &list, err));
    struct slw_artifact *items =
        SLW_ARENA_NEW(a, struct slw_artifact, list.count + 1);
    for (size_t i = 0; i < list.count; i++) {
        const struct s3_item *it = &list.items[i];
        struct slw_str name = it->key;
        if (name.len <= skip || memcmp(name.ptr, prefix, skip) != 0)
            continue; /* the folder's own mark */
        name.ptr += skip;
        name.len -= skip;
        if (it->is_prefix && name.ptr[name.len - 1] == '/')
            name.len--;
        if (name.len)
            items[count++] = (struct slw_artifact){.path = name,
                                                   .blob = {"", 0},
                                                   .size = it->size,
                                                   .is_dir = it->is_prefix};
    }
    *out = items;
    *out_count = count;
    return SLW_OK;
}

static enum slw_rc
object_remove(struct slw_place *p, const char *key, struct slw_err *err)
{
    const struct s3_call c = {.method = "DELETE", .key = key, .what = "remove"};
    return s3_call(p, &c, NULL, err);
}

enum slw_rc
place_s3_remove(struct slw_place *p, struct slw_str path, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_place_got got;
    struct s3_list list;
    const char *key = key_of(p, path, "", &a);
    TRY(objects(p, slw_arena_printf(&a, "%s/", key).ptr, false, &a, &list,
                err));
    const enum slw_rc rc = slw_place_look(p, path, &a, &got, err);
    if (rc != SLW_OK && (rc != SLW_NOT_FOUND || list.count == 0))
        return rc;
    if (rc == SLW_OK)
        TRY(object_remove(p, key, err));
    for (size_t i = 0; i < list.count; i++)
        TRY(object_remove(p, slw_arena_strz(&a, list.items[i].key), err));
    return SLW_OK;
}
