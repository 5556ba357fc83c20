/* registry_internal.h -- shared by the files of this room only. */
#ifndef SLW_REGISTRY_REGISTRY_INTERNAL_H
#define SLW_REGISTRY_REGISTRY_INTERNAL_H

#include "registry/registry.h"
#include "registry/webhook.h"

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
/* A tag of the version of this row, and a model with its tags (out: its row):
 * the change alone, which nobody is told of.
 * Errors of the model: INVALID: bad name or tag; CONFLICT: it is there. */
SLW_MUST_USE enum slw_rc registry_version_tag_put(struct slw_tx *tx, int64_t id,
                                                  struct slw_kv tag,
                                                  struct slw_err *err);
SLW_MUST_USE enum slw_rc
registry_model_put(struct slw_tx *tx, int64_t now_ms, struct slw_str name,
                   struct slw_str description, const struct slw_kv *tags,
                   size_t tag_count, int64_t *out_id, struct slw_err *err);

/* ---- news: what webhooks are told (webhook_queue.c) ---- */
enum registry_change {
    REGISTRY_MODEL_CREATED,
    REGISTRY_VERSION_ADDED,
    REGISTRY_MODEL_TAG_SET,
    REGISTRY_MODEL_TAG_REMOVED,
    REGISTRY_VERSION_TAG_SET,
    REGISTRY_VERSION_TAG_REMOVED,
    REGISTRY_ALIAS_SET,
    REGISTRY_ALIAS_REMOVED,
};
struct registry_news {
    enum registry_change change;
    struct slw_str model;
    int64_t version;   /* where the change is about one */
    struct slw_kv tag; /* of the change, or the alias as its key */
    struct slw_str description, source, run_id; /* of what was made */
    const char *tags_sql; /* its tags: SQL for registry_tags() … */
    int64_t tags_of;      /* … and the row they belong to */
};
/* Write a delivery for each active webhook that asked for this, in the
 * change's own transaction; cheap when there is none. */
SLW_MUST_USE enum slw_rc registry_tell(struct slw_tx *tx, int64_t now_ms,
                                       const struct registry_news *n,
                                       struct slw_err *err);
/* The same after an event "registry.<what>" {"model","version","key","value"}
 * of what has no event of its own: models and tags. */
SLW_MUST_USE enum slw_rc registry_announce(struct slw_tx *tx, int64_t now_ms,
                                           const char *kind,
                                           const struct registry_news *n,
                                           struct slw_err *err);
/* The JSON that is sent: {"entity","action","timestamp","data"}. */
void registry_webhook_body(struct slw_buf *out, size_t event, int64_t at_ms,
                           struct slw_str data);
/* A random UUID in the arena. */
struct slw_str registry_uuid(struct slw_arena *a);
/* MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS */
bool registry_webhook_private_ok(void);
/* The URL's scheme is allowed, and this is its host.  Errors INVALID. */
SLW_MUST_USE enum slw_rc registry_webhook_url_read(struct slw_str url,
                                                   struct slw_arena *a,
                                                   struct slw_str *out_host,
                                                   struct slw_err *err);
/* Run `sql` with the one parameter ?1 = id. */
SLW_MUST_USE enum slw_rc registry_run_id(struct slw_tx *tx, const char *sql,
                                         int64_t id, struct slw_err *err);

#endif
