/* client.h -- HTTP out (libcurl): the command line, webhooks, Alertmanager. */
#ifndef SLW_NET_CLIENT_H
#define SLW_NET_CLIENT_H

#include "base/base.h"
#include "base/buf.h"

struct slw_call {
    const char *method; /* "GET" */
    const char *url;
    struct slw_str body;        /* sent when not empty, or for POST/PUT */
    const char *body_path;      /* or: a file, streamed */
    int64_t body_from;          /* of the file: first byte */
    int64_t body_size;          /* how many; 0: up to its end */
    const char *content_type;   /* NULL: application/json */
    const char *const *headers; /* "Name: value", NULL-terminated, or NULL */
    int64_t timeout_ms;         /* 0: 30 s; of the whole call, -1: none */
    int64_t stall_ms;           /* with timeout_ms -1: give up when nothing
                                   moves for so long; 0: never */
    const char *out_path;       /* answer into a file (whole or absent) */
    bool want_head;             /* keep the answer's head */
    /* upload/download progress for people; may be NULL */
    void (*progress)(void *ctx, int64_t done, int64_t total);
    void *progress_ctx;
};
struct slw_reply {
    int status;
    struct slw_buf body;
    struct slw_buf head; /* lines of the head, where asked for */
    char content_type[128];
};
/* Value of a header of a kept head, case-insensitive; ptr NULL: absent. */
struct slw_str slw_reply_head(const struct slw_reply *r, const char *name);
void slw_reply_done(struct slw_reply *r);

/* One request; any status is a success of the call.
 * Errors IO: cannot connect (the sentence says to what, and, for the command
 *        line, that `slipway up` starts a server); TIMEOUT; INVALID: bad URL.
 * Thread any; connections are reused per thread */
SLW_MUST_USE enum slw_rc slw_call(const struct slw_call *call,
                                  struct slw_reply *reply, struct slw_err *err);
/* Percent-encode one path segment or query value onto a buffer. */
void slw_url_encode(struct slw_buf *b, struct slw_str s);

#endif
