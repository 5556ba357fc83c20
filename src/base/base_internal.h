/* base_internal.h -- shared by the files of this room only. */
#ifndef SLW_BASE_BASE_INTERNAL_H
#define SLW_BASE_BASE_INTERNAL_H

#include "base/base.h"

/* Bytes of the well-formed UTF-8 sequence (RFC 3629) at p[0..n-1]; 0 when
 * the bytes there are not one. */
size_t base_utf8_at(const char *p, size_t n);

/* `len` or the nearest smaller length that does not split a character. */
size_t base_utf8_cut(const char *p, size_t len);

/* Fill *err for a failed system call on `path`: what was tried, the system's
 * reason; a full disk is said in words.  Returns NOT_FOUND for a missing file
 * or folder, else IO. */
enum slw_rc base_fail_errno(struct slw_err *err, const char *where,
                            const char *what, const char *path, int errno_was);

#endif
