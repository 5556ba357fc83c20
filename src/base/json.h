/* json.h -- JSON: jansson to read (strict, exact), an own streaming writer.
 *
 * A parsed document is a tree of `struct json_t` (jansson's node, opaque
 * here); all pointers into it live as long as the document.  The need_/opt_
 * readers produce the sentence a user can act on: which key, what was wrong,
 * what would be right. */
#ifndef SLW_BASE_JSON_H
#define SLW_BASE_JSON_H

#include "base/base.h"
#include "base/buf.h"

struct json_t; /* a node */

struct slw_json {
    struct json_t *root; /* owned */
};

#define SLW_JSON_DEPTH_MAX 64

/* Parse one document (RFC 8259; duplicate keys refused, no NaN literals, at
 * most SLW_JSON_DEPTH_MAX levels, any root value; integers of 64 bits, no
 * \u0000 in strings).
 * Errors INVALID: "JSON line 3 column 14: …" */
SLW_MUST_USE enum slw_rc
slw_json_parse(struct slw_json *out, struct slw_str text, struct slw_err *err);
void slw_json_done(struct slw_json *doc);

enum slw_json_type {
    SLW_JSON_NONE, /* NULL node: absent */
    SLW_JSON_NULL,
    SLW_JSON_BOOL,
    SLW_JSON_INT,
    SLW_JSON_REAL,
    SLW_JSON_STR,
    SLW_JSON_ARRAY,
    SLW_JSON_OBJECT
};
enum slw_json_type slw_json_type(const struct json_t *v);

/* Member of an object; NULL when absent, or when `o` is NULL or no object. */
struct json_t *slw_json_get(const struct json_t *o, const char *key);
/* Elements of an array or members of an object; 0 for anything else. */
size_t slw_json_len(const struct json_t *v);
struct json_t *slw_json_at(const struct json_t *array, size_t index);
/* Visit members in the order of the text:
 *   for (void *it = slw_json_iter(o); it; it = slw_json_next(o, it))
 *       use(slw_json_iter_key(it), slw_json_iter_value(it)); */
void *slw_json_iter(const struct json_t *o);
void *slw_json_next(const struct json_t *o, void *it);
struct slw_str slw_json_iter_key(void *it);
struct json_t *slw_json_iter_value(void *it);

/* Value of a node of that type; the default otherwise (also for NULL). */
struct slw_str slw_json_str_or(const struct json_t *v, struct slw_str dflt);
int64_t slw_json_i64_or(const struct json_t *v, int64_t dflt);
double slw_json_f64_or(const struct json_t *v, double dflt); /* int too */
bool slw_json_bool_or(const struct json_t *v, bool dflt);

/* Required member.  Errors INVALID: absent or of another type; the message
 * names the key and what is wanted.  An i64 may come as "5" or 5.0 too; a
 * f64 as "NaN", "Infinity", "-Infinity" too. */
SLW_MUST_USE enum slw_rc slw_json_need_str(const struct json_t *o,
                                           const char *key, struct slw_str *out,
                                           struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_json_need_i64(const struct json_t *o,
                                           const char *key, int64_t *out,
                                           struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_json_need_f64(const struct json_t *o,
                                           const char *key, double *out,
                                           struct slw_err *err);
/* Optional member: absent or null leaves *out as it is and is no error; a
 * wrong type is. */
SLW_MUST_USE enum slw_rc slw_json_opt_str(const struct json_t *o,
                                          const char *key, struct slw_str *out,
                                          struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_json_opt_i64(const struct json_t *o,
                                          const char *key, int64_t *out,
                                          struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_json_opt_f64(const struct json_t *o,
                                          const char *key, double *out,
                                          struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_json_opt_bool(const struct json_t *o,
                                           const char *key, bool *out,
                                           struct slw_err *err);

/* No member but these.
 * In     what  for the message: "a view has sql and lags"
 * Errors INVALID: "unknown key 'x'; <what>" */
SLW_MUST_USE enum slw_rc slw_json_only(const struct json_t *o,
                                       const char *const *keys,
                                       size_t key_count, const char *what,
                                       struct slw_err *err);

/* Canonical text of a node: compact, members sorted by the bytes of their
 * keys, shortest exact numbers; a real keeps a '.' or exponent ("1.0"), so
 * that its type survives.  The same value always gives the same bytes. */
void slw_json_dump(struct slw_buf *b, const struct json_t *v);

/* ---- writer: appends to a buffer; commas and escapes are its business ----
 * Misuse (a key outside an object, unbalanced end, more than 64 levels) is
 * asserted.  Bytes that are not UTF-8 come out as U+FFFD. */
struct slw_jw {
    struct slw_buf *buf;
    uint64_t is_array; /* bit per level */
    uint64_t has_item;
    unsigned depth;
    bool after_key;
    bool nan_as_text; /* NaN, +-Infinity as strings instead of null */
};

/* Start a document that is appended to b. */
void slw_jw_init(struct slw_jw *w, struct slw_buf *b);
/* Brackets, keys (before each value of an object) and values. */
void slw_jw_obj(struct slw_jw *w);
void slw_jw_obj_end(struct slw_jw *w);
void slw_jw_arr(struct slw_jw *w);
void slw_jw_arr_end(struct slw_jw *w);
void slw_jw_key(struct slw_jw *w, const char *key);
void slw_jw_keys(struct slw_jw *w, struct slw_str key);
void slw_jw_str(struct slw_jw *w, struct slw_str v);
void slw_jw_z(struct slw_jw *w, const char *v); /* NULL writes null */
void slw_jw_i64(struct slw_jw *w, int64_t v);
/* "1.0" for 1: readers see that it is a real.  NaN, inf: see nan_as_text. */
void slw_jw_f64(struct slw_jw *w, double v);
void slw_jw_bool(struct slw_jw *w, bool v);
void slw_jw_null(struct slw_jw *w);
/* A finished JSON text (not empty), or a parsed node with its members in the
 * order of its text, as one value. */
void slw_jw_raw(struct slw_jw *w, struct slw_str json);
void slw_jw_node(struct slw_jw *w, const struct json_t *v);
/* Key and value in one call. */
void slw_jw_kstr(struct slw_jw *w, const char *key, struct slw_str v);
void slw_jw_kz(struct slw_jw *w, const char *key, const char *v);
void slw_jw_ki64(struct slw_jw *w, const char *key, int64_t v);
void slw_jw_kf64(struct slw_jw *w, const char *key, double v);
void slw_jw_kbool(struct slw_jw *w, const char *key, bool v);
void slw_jw_kraw(struct slw_jw *w, const char *key, struct slw_str json);

#endif
