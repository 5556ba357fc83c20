/* place.h -- private to this room: the two kinds of places. */
#ifndef SLW_TRACK_PLACE_H
#define SLW_TRACK_PLACE_H

#include "track/track_internal.h"

#define PLACE_KEY_SIZE_MAX 1024 /* of S3 */

struct place_s3 {
    char *bucket;
    char *prefix;   /* of keys: "" or "a/b" */
    char *endpoint; /* "http://host:port"; NULL: Amazon's */
    char *region;
    char *key_id, *secret;
    char *token; /* NULL: none */
};
struct slw_place {
    char *uri;
    char *path;         /* a folder's; NULL: S3 */
    int root_fd_plus_1; /* a folder's */
    struct place_s3 s3;
};

/* ---- a folder (place_dir.c) ---- */
enum slw_rc place_dir_open(struct slw_place *p, struct slw_err *err);
enum slw_rc place_dir_put(struct slw_place *p, struct slw_str path,
                          const char *file, struct slw_err *err);
enum slw_rc place_dir_list(struct slw_place *p, struct slw_str folder,
                           struct slw_arena *a, struct slw_artifact **out,
                           size_t *out_count, struct slw_err *err);
enum slw_rc place_dir_remove(struct slw_place *p, struct slw_str path,
                             struct slw_err *err);

/* ---- S3 (place_s3.c) ---- */
enum slw_rc place_s3_open(struct slw_place *p, struct slw_str uri,
                          struct slw_err *err);
void place_s3_done(struct place_s3 *s);
enum slw_rc place_s3_put(struct slw_place *p, struct slw_str path,
                         const char *file, int64_t size, const char *sha256,
                         struct slw_err *err);
enum slw_rc place_s3_list(struct slw_place *p, struct slw_str folder,
                          struct slw_arena *a, struct slw_artifact **out,
                          size_t *out_count, struct slw_err *err);
enum slw_rc place_s3_remove(struct slw_place *p, struct slw_str path,
                            struct slw_err *err);

/* ---- signatures (s3_sign.c) ---- */
/* One request to be signed, Source AWS Signature Version 4. */
struct s3_request {
    const char *method;
    const char *host;  /* as the Host header says it */
    const char *path;  /* encoded, begins with '/' */
    const char *query; /* encoded and sorted by name; "" for none */
    const char *region, *key_id, *secret;
    const char *token;        /* NULL: none */
    const char *payload_hash; /* hex, or "UNSIGNED-PAYLOAD" */
    const char *content_type; /* signed where not NULL */
    int64_t now_ms;
};
/* "20130524T000000Z" */
#define S3_TIME_SIZE 17
void s3_time(int64_t now_ms, char out[static S3_TIME_SIZE]);
/* Value of the Authorization header. */
void s3_sign(const struct s3_request *r, struct slw_buf *out);
/* The query of a URL that is good for some seconds, signature included. */
void s3_presign(const struct s3_request *r, int64_t seconds,
                struct slw_buf *out);

/* ---- answers (s3_list.c) ---- */
struct s3_item {
    struct slw_str key; /* whole key, or prefix that ends with '/' */
    int64_t size;
    bool is_prefix;
};
struct s3_list {
    struct s3_item *items;
    size_t count, cap;
    bool truncated;
    struct slw_str next; /* continuation token */
};
/* Append what one answer of ListObjectsV2 holds; strings in the arena.
 * Errors CORRUPT: it is no such answer. */
enum slw_rc s3_list_parse(struct slw_str xml, struct slw_arena *a,
                          struct s3_list *out, struct slw_err *err);
/* Text of the first element of that name; ptr NULL: there is none. */
struct slw_str s3_xml_text(struct slw_str xml, const char *name,
                           struct slw_arena *a);

#endif
