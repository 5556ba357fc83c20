/* json_pull.h -- JSON read as it comes: tokens in the order of the text, no
 * tree.  For bodies of a known shape on a hot path; everything else goes
 * through json.h.
 *
 * Texts without escapes are views into the body; others are copied into the
 * arena.  Grammar as in json.h (no NaN, no \u0000, valid UTF-8), but members
 * that stand twice are for the caller to notice. */
#ifndef SLW_BASE_JSON_PULL_H
#define SLW_BASE_JSON_PULL_H

#include "base/arena.h"
#include "base/base.h"

struct slw_jr {
    const char *p, *end, *begin; /* p: the next byte */
    struct slw_arena *a;         /* for texts with escapes */
};

/* A number of JSON's grammar. */
struct slw_jr_number {
    struct slw_str text;
    uint64_t digits; /* all of them, when `fits` */
    int count;       /* of them, from the first that is not 0 */
    int exp10;
    bool negative, fits;
};

/* Next character that is no blank, not consumed; 0 at the end. */
static inline char
slw_jr_peek(struct slw_jr *r)
{
    while (r->p < r->end &&
           (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
        r->p++;
    return r->p < r->end ? *r->p : '\0';
}
static inline bool
slw_jr_starts_number(char c)
{
    return c == '-' || (c >= '0' && c <= '9');
}

/* Fails with INVALID: "JSON, byte 17: <what>". */
enum slw_rc slw_jr_wrong(const struct slw_jr *r, const char *what,
                         struct slw_err *err);
/* Errors of all that follow: INVALID, with the byte; LIMIT: the arena is
 * full; nested deeper than SLW_JSON_DEPTH_MAX. */
SLW_MUST_USE enum slw_rc slw_jr_expect(struct slw_jr *r, char c,
                                       struct slw_err *err);
/* r->p stands on the number. */
SLW_MUST_USE enum slw_rc
slw_jr_number(struct slw_jr *r, struct slw_jr_number *n, struct slw_err *err);
/* As slw_jr_number, without a look at the value. */
SLW_MUST_USE enum slw_rc slw_jr_number_skip(struct slw_jr *r,
                                            struct slw_err *err);
/* The nearest double.  Errors INVALID: beyond the range */
SLW_MUST_USE enum slw_rc slw_jr_double(const struct slw_jr_number *n,
                                       double *out, struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_jr_str(struct slw_jr *r, struct slw_str *out,
                                    struct slw_err *err);
/* "true", "false", "null". */
SLW_MUST_USE enum slw_rc slw_jr_word(struct slw_jr *r, const char *word,
                                     struct slw_err *err);
/* Step over any value, checking its form. */
SLW_MUST_USE enum slw_rc slw_jr_skip(struct slw_jr *r, struct slw_err *err);

/* Walk an object or list:
 *   struct slw_jr_walk w = {0};
 *   for (;;) { TRY(slw_jr_member(r, &w, &key, err)); if (w.done) break; … } */
struct slw_jr_walk {
    bool begun, done;
};
SLW_MUST_USE enum slw_rc slw_jr_member(struct slw_jr *r, struct slw_jr_walk *w,
                                       struct slw_str *key,
                                       struct slw_err *err);
/* what: said when the value does not begin with `open` */
SLW_MUST_USE enum slw_rc slw_jr_item(struct slw_jr *r, struct slw_jr_walk *w,
                                     char open, char close, const char *what,
                                     struct slw_err *err);

#endif
