/* base.h -- what every file of Slipway starts from: result codes and the
 * error that explains them, borrowed strings, assertions, scope cleanup.
 *
 * The idea: the world fails and we report it (enum slw_rc + struct slw_err);
 * we ourselves are not wrong, and where we are, SLW_ASSERT stops the process.
 */
#ifndef SLW_BASE_BASE_H
#define SLW_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SLW_MUST_USE __attribute__((warn_unused_result))
#define SLW_PRINTF(fmt_at, args_at)                                            \
    __attribute__((format(printf, fmt_at, args_at)))
#define SLW_NORETURN __attribute__((noreturn))
#define SLW_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The closed list of result codes: name, meaning.  `api` maps them to HTTP. */
#define SLW_RC_TABLE(X)                                                        \
    X(OK, "ok")                                                                \
    X(INVALID, "the caller's input is wrong")                                  \
    X(NOT_FOUND, "no such thing")                                              \
    X(CONFLICT, "the state does not allow it")                                 \
    X(DENIED, "not permitted")                                                 \
    X(LIMIT, "a stated limit is exceeded")                                     \
    X(BUSY, "try again later")                                                 \
    X(TIMEOUT, "took too long")                                                \
    X(IO, "disk or network failed")                                            \
    X(CORRUPT, "stored bytes are not what was stored")                         \
    X(UNSUPPORTED, "known, but not offered here")                              \
    X(INTERNAL, "our own fault")

enum slw_rc {
#define X(name, meaning) SLW_##name,
    SLW_RC_TABLE(X)
#undef X
        SLW_RC_COUNT
};

/* Name of a code in lower case ("not_found"); never NULL. */
const char *slw_rc_name(enum slw_rc rc);

#define SLW_ERR_MSG_SIZE 512

/* Why a call failed.  Lives on the caller's stack and never allocates. */
struct slw_err {
    enum slw_rc rc;
    const char *where;          /* "alias.c:27": where the cause was seen */
    char msg[SLW_ERR_MSG_SIZE]; /* one sentence for who must act on it */
};

/* Fill *err and return rc.  In: rc != SLW_OK; fmt one sentence without a full
 * stop.  A message too long is cut at a UTF-8 boundary. */
#define slw_fail(err, rc, ...)                                                 \
    slw_fail_at((err), (rc), __FILE_NAME__ ":" SLW_STRINGIFY(__LINE__),        \
                __VA_ARGS__)
SLW_PRINTF(4, 5)
enum slw_rc slw_fail_at(struct slw_err *err, enum slw_rc rc, const char *where,
                        const char *fmt, ...);

/* Put what the caller knows (which file, which row) before the message of an
 * error already filled; returns err->rc. */
SLW_PRINTF(2, 3)
enum slw_rc slw_err_prefix(struct slw_err *err, const char *fmt, ...);

#ifndef __FILE_NAME__ /* GCC 11 and older, some Clangs */
#define __FILE_NAME__ __FILE__
#endif
#define SLW_STRINGIFY_(x) #x
#define SLW_STRINGIFY(x) SLW_STRINGIFY_(x)

/* The only macro that may return. */
#define TRY(call)                                                              \
    do {                                                                       \
        enum slw_rc rc_ = (call);                                              \
        if (rc_ != SLW_OK)                                                     \
            return rc_;                                                        \
    } while (0)

/* On in every build: reports place and condition, then aborts. */
#define SLW_ASSERT(cond)                                                       \
    do {                                                                       \
        if (__builtin_expect(!(cond), 0))                                      \
            slw_assert_failed(__FILE_NAME__, __LINE__, #cond);                 \
    } while (0)
SLW_NORETURN void slw_assert_failed(const char *file, int line,
                                    const char *cond);

/* `SLW_AUTO(slw_tx, tx);` declares `struct slw_tx tx = {0}` and calls
 * `slw_tx_done(&tx)` when the scope ends, in reverse order of declaration. */
#define SLW_AUTO(type, name)                                                   \
    __attribute__((cleanup(type##_done))) struct type name = {0}

/* A borrowed view of UTF-8 text (raw bytes where a name says `bytes`). */
struct slw_str {
    const char *ptr;
    size_t len;
};

#define SLW_STR(literal) ((struct slw_str){"" literal, sizeof(literal) - 1})
/* For printf's %.*s */
#define SLW_FMT(s) (int)(s).len, (s).ptr ? (s).ptr : ""

/* View of a NUL-terminated string; NULL gives the empty view. */
struct slw_str slw_str_of(const char *z);
bool slw_str_eq(struct slw_str a, struct slw_str b);
bool slw_str_eqz(struct slw_str a, const char *z);
/* Equal but for the case of ASCII letters. */
bool slw_str_same(struct slw_str a, struct slw_str b);
/* Byte order, shorter first; <0, 0, >0 as memcmp. */
int slw_str_cmp(struct slw_str a, struct slw_str b);
bool slw_str_starts(struct slw_str s, const char *prefix);
bool slw_str_ends(struct slw_str s, const char *suffix);
/* Without blanks, tabs, CR, LF at both ends. */
struct slw_str slw_str_trim(struct slw_str s);
/* Cuts at the first `sep`: *head gets what stands before it and *rest what
 * stands after it; false (head = all, rest empty) when there is none. */
bool slw_str_cut(struct slw_str s, char sep, struct slw_str *head,
                 struct slw_str *rest);
/* Whole text as a number, no blanks, no locale.  A double may also be NaN,
 * nan, Infinity, Inf, inf, the latter with a minus; what slw_f64_text()
 * writes reads back exactly.
 * Errors INVALID: not a number, junk behind it, out of range; *out is then
 *        left as it was. */
SLW_MUST_USE enum slw_rc slw_str_i64(struct slw_str s, int64_t *out,
                                     struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_str_f64(struct slw_str s, double *out,
                                     struct slw_err *err);
/* True when all bytes are well-formed UTF-8 (RFC 3629). */
bool slw_str_utf8_ok(struct slw_str s);
/* A name that is safe in paths, URLs and SQL literals: 1..128 characters of
 * letters, digits, '_', '-', '.'; first one a letter, digit or '_'. */
bool slw_name_ok(struct slw_str s);
/* The same as a sentence: "bad view name 'a b': use letters, …".
 * In what  "view" */
SLW_MUST_USE enum slw_rc slw_name_check(struct slw_str s, const char *what,
                                        struct slw_err *err);
/* Does SQL text name this table or column?  As a whole word, in any case;
 * also where it stands in a string or a comment. */
bool slw_sql_names(struct slw_str sql, struct slw_str name);
/* 0..15; -1: no hex digit. */
int slw_hex_digit(char c);
/* Lower-case digits of bytes[size], and a NUL, into out[2 * size + 1]. */
void slw_hex_text(const uint8_t *bytes, size_t size, char *out);
/* Least number of single-byte edits between two short texts; past 128 bytes
 * the longer length, unless they are equal. */
size_t slw_str_distance(struct slw_str a, struct slw_str b);

/* Shortest decimal text that reads back as exactly `v`, with '.' or exponent
 * only where needed ("1", "-0", "0.1", "1e+300", "NaN", "Infinity").
 * Out  buf, NUL-terminated; returns its length (< 32). */
#define SLW_F64_TEXT_SIZE 32
size_t slw_f64_text(double v, char buf[static SLW_F64_TEXT_SIZE]);

/* Heap, for containers and handles only; aborts when there is none.
 * Sizes that come from input are to be checked against a limit first. */
void *slw_alloc(size_t size); /* zeroed */
void *slw_realloc(void *p, size_t size);
void slw_free(void *p); /* accepts NULL */
char *slw_strdup(struct slw_str s);

/* Calls that must not be used (the headers that declare them are above).
 * Instead: slw_buf_printf, memcpy, slw_str_cut, slw_str_i64, slw_str_f64,
 * slw_time_text, slw_proc_run. */
#ifndef SLW_ALLOW_BANNED
#pragma GCC poison sprintf vsprintf strcpy strcat strncpy strtok atoi atol     \
    atof gmtime localtime popen
#endif

#endif
