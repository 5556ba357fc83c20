/* yaml.h -- YAML 1.2 read by libfyaml, every node with its position, so that
 * an error can say file, line and column. */
#ifndef SLW_BASE_YAML_H
#define SLW_BASE_YAML_H

#include "base/arena.h"
#include "base/base.h"

enum slw_yaml_kind { SLW_YAML_SCALAR, SLW_YAML_SEQ, SLW_YAML_MAP };

/* All in the arena given to slw_yaml_parse. */
struct slw_yaml {
    enum slw_yaml_kind kind;
    bool plain;       /* scalar without quotes: may be a number, bool, null */
    int line, column; /* of the value, 1-based */
    int key_line, key_column; /* of the key, in a map */
    struct slw_str key;       /* in a map */
    struct slw_str text;      /* scalar */
    struct slw_yaml *child; /* first element or member, in order of the text */
    struct slw_yaml *next;  /* next sibling */
    size_t child_count;
};

/* In     text one document; file name for messages only
 * Out    *out the root; an empty map when there is nothing but comments
 * Errors INVALID: "slipway.yaml:3:5: …", also for duplicate keys, anchors
 *        that recur, tags but !!str, a second document, more than 64 levels
 *        or 100,000 nodes.
 * Note   an alias is a copy of its anchor and counts in full; "<<" is a key
 *        like any other (YAML 1.2). */
SLW_MUST_USE enum slw_rc slw_yaml_parse(struct slw_arena *a, const char *file,
                                        struct slw_str text,
                                        struct slw_yaml **out,
                                        struct slw_err *err);
/* Member of a map, or NULL. */
struct slw_yaml *slw_yaml_get(const struct slw_yaml *map, const char *key);
/* Fail with "file:line:column: …". */
SLW_PRINTF(4, 5)
enum slw_rc slw_yaml_fail(struct slw_err *err, const char *file,
                          const struct slw_yaml *at, const char *fmt, ...);
/* Every key of a map must stand in `known` (NULL-terminated).
 * Errors INVALID: names the place, the key and the nearest right key. */
SLW_MUST_USE enum slw_rc slw_yaml_known(const struct slw_yaml *map,
                                        const char *file,
                                        const char *const *known,
                                        struct slw_err *err);

#endif
