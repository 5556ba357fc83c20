/* access.h -- who may do what: bearer tokens with a role, and the audit trail
 * (the event log carries the actor of each change).
 *
 * While there is no token, everybody who reaches the port may do everything:
 * the server then listens on loopback only.  The first token closes it. */
#ifndef SLW_ACCESS_ACCESS_H
#define SLW_ACCESS_ACCESS_H

#include "base/arena.h"
#include "base/json.h"
#include "store/store.h"

enum slw_role {
    SLW_ROLE_NONE,
    SLW_ROLE_READER,   /* read everything, predict */
    SLW_ROLE_WRITER,   /* and log, add data, train */
    SLW_ROLE_DEPLOYER, /* and promote, roll back, set weights */
    SLW_ROLE_ADMIN     /* and make tokens, import and export */
};
const char *slw_role_name(enum slw_role r);
SLW_MUST_USE enum slw_rc slw_role_parse(struct slw_str s, enum slw_role *out,
                                        struct slw_err *err);

/* Make a token: *out_secret ("slw_…", 43 characters of randomness) is shown
 * once and only its SHA-256 is kept.  Errors CONFLICT: the name is taken. */
SLW_MUST_USE enum slw_rc
slw_access_token_make(struct slw_tx *tx, int64_t now_ms, struct slw_str name,
                      enum slw_role role, char out_secret[64],
                      struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_access_token_revoke(struct slw_tx *tx,
                                                 int64_t now_ms,
                                                 struct slw_str name,
                                                 struct slw_err *err);
/* JSON array of name, role, created, revoked. */
SLW_MUST_USE enum slw_rc
slw_access_token_list(struct slw_tx *tx, struct slw_jw *w, struct slw_err *err);
/* Role of a presented "Authorization" header value ("Bearer …", or Basic with
 * the token as password), in constant time over an in-memory table.
 * Out  *out_role; while no token exists: ADMIN
 * Errors DENIED: no or unknown token */
struct slw_access; /* Owner: shared; reloads when tokens change */
SLW_MUST_USE enum slw_rc slw_access_open(struct slw_access **out,
                                         struct slw_store *s,
                                         struct slw_err *err);
void slw_access_close(struct slw_access *a);
SLW_MUST_USE enum slw_rc slw_access_reload(struct slw_access *a,
                                           struct slw_err *err);
bool slw_access_is_open(const struct slw_access *a);
SLW_MUST_USE enum slw_rc slw_access_check(struct slw_access *a,
                                          struct slw_str authorization,
                                          enum slw_role *out_role,
                                          struct slw_err *err);
/* Name of the presented token, in the arena; "" where it is none of ours (as
 * while no token exists). */
struct slw_str slw_access_who(struct slw_access *a,
                              struct slw_str authorization,
                              struct slw_arena *arena);

#endif
