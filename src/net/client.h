/* client.h -- HTTP out (libcurl): the command line, webhooks, Alertmanager. */
#ifndef SLW_NET_CLIENT_H
#define SLW_NET_CLIENT_H

#include "base/arena.h"
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
    bool direct;      /* no proxy; a connection that nobody else uses */
    bool public_only; /* connect to public addresses only; wants direct */
    size_t keep_max;  /* bytes kept of the answer, the rest is dropped; 0: all,
                         and one over 256 MB is an error */
    const _Atomic bool *stop; /* ends the call when it becomes true, or NULL */
    bool want_head;           /* keep the answer's head */
    /* upload/download progress for people; may be NULL */
    void (*progress)(void *ctx, int64_t done, int64_t total);
    void *progress_ctx;
};
struct slw_reply {
    int status;
    struct slw_buf body;
    struct slw_buf head; /* lines of the head, where asked for */
    char content_type[128];
    int64_t retry_after_s; /* Retry-After, also where it is a date; 0: none */
};
/* Value of a header of a kept head, case-insensitive; ptr NULL: absent. */
struct slw_str slw_reply_head(const struct slw_reply *r, const char *name);
void slw_reply_done(struct slw_reply *r);

/* One request; any status is a success of the call.
 * Errors IO: cannot connect (the sentence says to what, and, for the command
 *        line, that `slipway up` starts a server); TIMEOUT; INVALID: bad URL;
 *        DENIED: public_only, and no address of the host is; BUSY: stopped.
 * Thread any; connections are reused per thread */
SLW_MUST_USE enum slw_rc slw_call(const struct slw_call *call,
                                  struct slw_reply *reply, struct slw_err *err);

/* ---- whom a server may call for others (address.c) ---- */
/* A public address: not of this machine or network, of no special use, and
 * not one that wraps such an IPv4 address (mapped, 6to4, NAT64). */
struct sockaddr;
bool slw_address_is_public(const struct sockaddr *at);
#define SLW_ADDRESS_TEXT_SIZE 48
const char *slw_address_text(const struct sockaddr *at,
                             char out[static SLW_ADDRESS_TEXT_SIZE]);
/* The host that slw_call() would call, without brackets; "": it has none.
 * Errors INVALID: no URL; the message says what is wrong in it. */
SLW_MUST_USE enum slw_rc slw_url_host(const char *url, struct slw_arena *a,
                                      struct slw_str *out, struct slw_err *err);
/* Look the addresses of a host up and find one that is not public.
 * Out    "" when all are
 * Errors IO: "[Errno -2] Name or service not known".  Waits for the network. */
SLW_MUST_USE enum slw_rc
slw_host_private(const char *host, char out[static SLW_ADDRESS_TEXT_SIZE],
                 struct slw_err *err);
/* Percent-encode one path segment or query value onto a buffer. */
void slw_url_encode(struct slw_buf *b, struct slw_str s);

#endif
