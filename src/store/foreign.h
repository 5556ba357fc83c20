/* foreign.h -- another program's SQLite database, read and never written: one
 * snapshot, asked with the statements of store.h. */
#ifndef SLW_STORE_FOREIGN_H
#define SLW_STORE_FOREIGN_H

#include "store/store.h"

/* Owner: one thread.  `tx` is for slw_stmt_prepare and its kin only; it has no
 * store and is ended by slw_foreign_done. */
struct slw_foreign {
    struct slw_tx tx;
};

/* Open it read-only and hold one snapshot until the end.
 * Errors NOT_FOUND: no such file; CORRUPT: no SQLite database, or a damaged
 *        one; BUSY: its writer does not let go; IO.
 * Note   a writer that keeps no write-ahead log waits while this is open. */
SLW_MUST_USE enum slw_rc
slw_foreign_open(struct slw_foreign *f, const char *path, struct slw_err *err);
void slw_foreign_done(struct slw_foreign *f);
/* Has it this table and, where column is not empty, this column? */
SLW_MUST_USE enum slw_rc slw_foreign_has(struct slw_foreign *f,
                                         const char *table, const char *column,
                                         bool *out, struct slw_err *err);

#endif
