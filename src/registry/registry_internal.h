/* registry_internal.h -- shared by the files of this room only. */
#ifndef SLW_REGISTRY_REGISTRY_INTERNAL_H
#define SLW_REGISTRY_REGISTRY_INTERNAL_H

#include "registry/registry.h"

#define REGISTRY_RELEASE_SIZE_MAX ((size_t)64 << 20)

/* Errors NOT_FOUND: no such model. */
SLW_MUST_USE enum slw_rc registry_model_id(struct slw_tx *tx,
                                           struct slw_str name, int64_t *out_id,
                                           struct slw_err *err);
/* Row id of a version.  Errors NOT_FOUND. */
SLW_MUST_USE enum slw_rc registry_version_id(struct slw_tx *tx,
                                             struct slw_str model,
                                             int64_t version, int64_t *out_id,
                                             struct slw_err *err);
SLW_MUST_USE enum slw_rc registry_version_by_id(struct slw_tx *tx, int64_t id,
                                                struct slw_arena *a,
                                                struct slw_version *out,
                                                struct slw_err *err);
/* Aliases of a model, or of one of its versions (version > 0). */
SLW_MUST_USE enum slw_rc registry_aliases(struct slw_tx *tx, int64_t model_id,
                                          int64_t version, struct slw_arena *a,
                                          struct slw_registered_alias **out,
                                          size_t *out_count,
                                          struct slw_err *err);
/* Take every alias off a version (it is about to go). */
SLW_MUST_USE enum slw_rc
registry_aliases_drop(struct slw_tx *tx, int64_t now_ms, struct slw_str model,
                      int64_t model_id, int64_t version, struct slw_str who,
                      struct slw_err *err);
/* One of the four stages, as written canonically.  Errors INVALID. */
SLW_MUST_USE enum slw_rc
registry_stage_parse(struct slw_str s, const char **out, struct slw_err *err);
/* A version's line of history ("" before and after its life). */
struct registry_stage_move {
    int64_t now_ms, model_id, version;
    struct slw_str from, to, who, why;
};
SLW_MUST_USE enum slw_rc
registry_stage_record(struct slw_tx *tx, const struct registry_stage_move *m,
                      struct slw_err *err);
SLW_MUST_USE enum slw_rc registry_tags(struct slw_tx *tx, const char *sql,
                                       int64_t id, struct slw_arena *a,
                                       struct slw_kv **out, size_t *out_count,
                                       struct slw_err *err);
SLW_MUST_USE enum slw_rc registry_tag_check(struct slw_kv tag,
                                            struct slw_err *err);
/* Run `sql` with the one parameter ?1 = id. */
SLW_MUST_USE enum slw_rc registry_run_id(struct slw_tx *tx, const char *sql,
                                         int64_t id, struct slw_err *err);

#endif
