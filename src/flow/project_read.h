/* project_read.h -- private to flow: reading slipway.yaml section by section.
 *
 * A section is a table of fields (what a key is called in the file, what it
 * becomes in the definition, what it must look like); what a table cannot say
 * has a function.  Every sentence about a mistake names file, line and
 * column. */
#ifndef SLW_FLOW_PROJECT_READ_H
#define SLW_FLOW_PROJECT_READ_H

#include "base/json.h"
#include "base/yaml.h"

struct project_in {
    const char *file;      /* for messages */
    struct slw_str folder; /* of the file, or "" */
    const struct slw_yaml *root;
    struct slw_arena *a;
};

enum project_kind {
    PROJECT_TEXT,
    PROJECT_TEXTS, /* a list of texts */
    PROJECT_NUMBER,
    PROJECT_COUNT,    /* a whole number, 0 or more */
    PROJECT_SHARE,    /* 10% or 0.1 */
    PROJECT_DURATION, /* 90d; becomes milliseconds */
    PROJECT_TIME,     /* 2013-01-01; becomes milliseconds */
    PROJECT_OTHER     /* `write` does it */
};

struct project_field {
    const char *key; /* in the file */
    const char *out; /* in the definition */
    enum project_kind kind;
    bool required;
    const char *example; /* "path: data/prices.csv" */
    /* Writes the value (not the key). */
    enum slw_rc (*write)(const struct project_in *in, const struct slw_yaml *v,
                         struct slw_jw *w, struct slw_err *err);
};

/* ---- project_value.c ---- */

/* The members of a map as its fields say, without the braces.
 * Errors INVALID: an unknown key, one that is missing, a wrong value */
SLW_MUST_USE enum slw_rc project_fields(const struct project_in *in,
                                        const struct slw_yaml *map,
                                        const struct project_field *fields,
                                        size_t count, struct slw_jw *w,
                                        struct slw_err *err);
/* The same with braces. */
SLW_MUST_USE enum slw_rc project_object(const struct project_in *in,
                                        const struct slw_yaml *map,
                                        const struct project_field *fields,
                                        size_t count, struct slw_jw *w,
                                        struct slw_err *err);
/* Any value as JSON: plain numbers, true, false and null as such. */
void project_any(const struct slw_yaml *v, struct slw_jw *w);
bool project_is_null(const struct slw_yaml *v);
SLW_MUST_USE enum slw_rc project_texts(const struct project_in *in,
                                       const struct slw_yaml *v,
                                       struct slw_jw *w, struct slw_err *err);
SLW_MUST_USE enum slw_rc project_share(const struct project_in *in,
                                       const struct slw_yaml *v, double *out,
                                       struct slw_err *err);
/* A text that must be one of `words` (NULL-terminated). */
SLW_MUST_USE enum slw_rc project_word(const struct project_in *in,
                                      const struct slw_yaml *v,
                                      const char *const *words,
                                      struct slw_err *err);
/* The key of a member as a place, for complaints about what is missing. */
struct slw_yaml project_at_key(const struct slw_yaml *member);
/* `v` must name a member of a section; `what` as in "feature view". */
SLW_MUST_USE enum slw_rc project_declared(const struct project_in *in,
                                          const struct slw_yaml *v,
                                          const char *section, const char *what,
                                          struct slw_err *err);

/* ---- sections: members of one definition, without the braces ---- */
SLW_MUST_USE enum slw_rc project_source(const struct project_in *in,
                                        const struct slw_yaml *v,
                                        struct slw_jw *w, struct slw_err *err);
SLW_MUST_USE enum slw_rc project_view(const struct project_in *in,
                                      const struct slw_yaml *v,
                                      struct slw_jw *w, struct slw_err *err);
SLW_MUST_USE enum slw_rc project_model(const struct project_in *in,
                                       const struct slw_yaml *v,
                                       struct slw_jw *w, struct slw_err *err);
SLW_MUST_USE enum slw_rc project_deployment(const struct project_in *in,
                                            const struct slw_yaml *v,
                                            struct slw_jw *w,
                                            struct slw_err *err);
SLW_MUST_USE enum slw_rc project_monitor(const struct project_in *in,
                                         const struct slw_yaml *v,
                                         struct slw_jw *w, struct slw_err *err);
SLW_MUST_USE enum slw_rc project_retrain(const struct project_in *in,
                                         const struct slw_yaml *v,
                                         struct slw_jw *w, struct slw_err *err);
SLW_MUST_USE enum slw_rc project_rehearse(const struct project_in *in,
                                          const struct slw_yaml *v,
                                          struct slw_jw *w,
                                          struct slw_err *err);
SLW_MUST_USE enum slw_rc project_notify(const struct project_in *in,
                                        const struct slw_yaml *v,
                                        struct slw_jw *w, struct slw_err *err);

/* ---- the whole (project_parse.c) ---- */
enum project_section {
    PROJECT_SOURCES,
    PROJECT_FEATURES,
    PROJECT_MODELS,
    PROJECT_DEPLOYMENTS,
    PROJECT_MONITORS,
    PROJECT_RETRAIN,
    PROJECT_SECTION_COUNT
};
struct project_item {
    enum project_section section;
    struct slw_str name;
    struct slw_str def; /* canonical JSON */
    int line, column;   /* of its key */
};
struct project {
    struct slw_str name;
    struct slw_str json;        /* as slw_project_parse() gives it */
    struct slw_str notify;      /* canonical JSON, or "" */
    struct project_item *items; /* in the order of the sections */
    size_t item_count;
};
/* "source", "feature view", … */
const char *project_section_word(enum project_section s);
SLW_MUST_USE enum slw_rc project_read(struct slw_str file,
                                      struct slw_str folder,
                                      struct slw_str yaml, struct slw_arena *a,
                                      struct project *out, struct slw_err *err);

#endif
