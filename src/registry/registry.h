/* registry.h -- registered models, versions, aliases, releases, gates and
 * lineage: what may go to production, why, and what was there when.
 *
 * A *release* is one immutable JSON document, stored as a blob and named by
 * its hash: model bytes, flavour, signature, feature definitions, dataset
 * versions, code, engine, parameters, seed, split, gate, reference profile,
 * thresholds and the fallback rule.  A version points at its release; what a
 * deployment serves is a release, so features, thresholds and fallback move
 * with it. */
#ifndef SLW_REGISTRY_REGISTRY_H
#define SLW_REGISTRY_REGISTRY_H

#include "base/json.h"
#include "model/model.h"
#include "store/store.h"
#include "store/verify.h"
#include "track/track.h"

/* The release document, version 1 (all members present, JSON names below):
 * {"format": "slipway.release/1", "model": "next-range",
 *  "flavour": "xgboost", "model_blob": hash, "model_size": bytes,
 *  "signature": {"columns": [...], "relative_to": "close"|null,
 *                "entity": "symbol"},
 *  "features": [view definitions], "feature_hashes": {"view": hash},
 *  "datasets": {"prices": {"version": 3, "hash": hash}},
 *  "target": {"sql", "of", "known_after_ms"},
 *  "split": {"train_from_ms","train_to_ms","valid_to_ms","test_to_ms"},
 *  "as_of_ms": …, "params": {…}, "seed": 7, "candidate": "xgboost",
 *  "engine": {"name","version"}, "code": {"slipway": version,
 *  "project_hash": hash, "git": commit or ""}, "frame_hash": hash,
 *  "run_id": "…", "metrics": {"test": {…}, "fallback": {…}, "valid": {…}},
 *  "errors_by_day": [[day_ms, mean |error|, mean |error of rule|], …],
 *  "profile": {"blob": hash, "rows", "from_ms", "to_ms"},  -- train.h
 *  "thresholds": {…},                      -- the monitor's declaration
 *  "fallback": {"sql": "…"}, "metric": "mae"} */

struct slw_version {
    int64_t id;
    struct slw_str model;
    int64_t version;        /* 1, 2, … never handed out again */
    struct slw_str release; /* hash of the release document; "" for versions
                               registered by a client without one */
    struct slw_str run_id, source, description, stage, status;
    int64_t created_at_ms, updated_at_ms;
    struct slw_str gate;         /* JSON of the last gate result, or "" */
    struct slw_str gate_verdict; /* "", "passed", "refused" */
    struct slw_str run_link, logged_model; /* "m-…" of track; "": none */
    struct slw_kv *tags;
    size_t tag_count;
    struct slw_str *aliases; /* that point here now */
    size_t alias_count;
};

/* The registered model `name` is there afterwards; `description` is kept only
 * when it is made now.  Errors INVALID: bad name.  Cost: one lookup. */
SLW_MUST_USE enum slw_rc slw_registry_model_ensure(struct slw_tx *tx,
                                                   int64_t now_ms,
                                                   struct slw_str name,
                                                   struct slw_str description,
                                                   struct slw_err *err);
/* Errors INVALID: bad name; NOT_FOUND: no such model. */
SLW_MUST_USE enum slw_rc slw_registry_version_add(
    struct slw_tx *tx, int64_t now_ms, struct slw_str model,
    struct slw_str release, struct slw_str run_id, struct slw_str source,
    struct slw_str description, int64_t *out_version, struct slw_err *err);
/* version 0: the newest. */
SLW_MUST_USE enum slw_rc
slw_registry_version_get(struct slw_tx *tx, struct slw_str model,
                         int64_t version, struct slw_arena *a,
                         struct slw_version *out, struct slw_err *err);
/* "3", "latest", "champion" (alias) or "" (newest). */
SLW_MUST_USE enum slw_rc
slw_registry_version_find(struct slw_tx *tx, struct slw_str model,
                          struct slw_str ref, struct slw_arena *a,
                          struct slw_version *out, struct slw_err *err);
SLW_MUST_USE enum slw_rc
slw_registry_version_list(struct slw_tx *tx, struct slw_str model,
                          struct slw_arena *a, struct slw_version **out,
                          size_t *out_count, struct slw_err *err);
/* A page of them, newest or oldest first.
 * Out  *out_total: how many there are */
SLW_MUST_USE enum slw_rc slw_registry_version_page(
    struct slw_tx *tx, struct slw_str model, bool oldest_first, size_t offset,
    size_t limit, struct slw_arena *a, struct slw_version **out,
    size_t *out_count, int64_t *out_total, struct slw_err *err);
/* Names of registered models. */
SLW_MUST_USE enum slw_rc slw_registry_model_list(struct slw_tx *tx,
                                                 struct slw_arena *a,
                                                 struct slw_str **out,
                                                 size_t *out_count,
                                                 struct slw_err *err);
/* Who moves aliases and stages when no person asked for it: our own flow. */
#define SLW_REGISTRY_SELF SLW_STR("slipway")
/* Move an alias; event "registry.alias_set" about the model's name, payload
 * {"model","alias","version","previous","who","why"} (previous 0: none; who:
 * SLW_REGISTRY_SELF). */
SLW_MUST_USE enum slw_rc
slw_registry_alias_set(struct slw_tx *tx, int64_t now_ms, struct slw_str model,
                       struct slw_str alias, int64_t version,
                       struct slw_str why, struct slw_err *err);
/* The same, saying who moved it. */
SLW_MUST_USE enum slw_rc
slw_registry_alias_move(struct slw_tx *tx, int64_t now_ms, struct slw_str model,
                        struct slw_str alias, int64_t version,
                        struct slw_str who, struct slw_str why,
                        struct slw_err *err);
/* Absent is no error.  Event "registry.alias_removed". */
SLW_MUST_USE enum slw_rc
slw_registry_alias_remove(struct slw_tx *tx, int64_t now_ms,
                          struct slw_str model, struct slw_str alias,
                          struct slw_str who, struct slw_str why,
                          struct slw_err *err);
/* Version an alias pointed at, at a time (INT64_MAX: now).
 * Errors NOT_FOUND: no such alias then. */
SLW_MUST_USE enum slw_rc
slw_registry_alias_at(struct slw_tx *tx, struct slw_str model,
                      struct slw_str alias, int64_t at_ms, int64_t *out_version,
                      struct slw_err *err);

/* ---- what was what when ---- */
/* A line of history: an alias moved, or a version changed its stage. */
struct slw_registry_move {
    int64_t at_ms;
    struct slw_str alias;    /* "": a stage */
    int64_t version;         /* stage: whose; alias: to which, 0: removed */
    int64_t previous;        /* alias: from which, 0: it was not there */
    struct slw_str from, to; /* stages; "": registered, deleted */
    struct slw_str who, why; /* who "": not recorded */
};
struct slw_registry_past {
    struct slw_str alias, stage; /* "": all; both given: moves of either */
    int64_t until_ms;            /* moves up to then; INT64_MAX: all */
    size_t offset, limit;
};
/* Moves of a model, newest first.  That a version was registered is told only
 * where stage is "None".
 * Out  *out_total: how many there are
 * Errors NOT_FOUND: no such model; INVALID: no such stage */
SLW_MUST_USE enum slw_rc
slw_registry_history(struct slw_tx *tx, struct slw_str model,
                     const struct slw_registry_past *p, struct slw_arena *a,
                     struct slw_registry_move **out, size_t *out_count,
                     int64_t *out_total, struct slw_err *err);
/* Which versions held an alias ("": each alias) or a stage ("": each but None)
 * at an instant; each is the move that made it so.  By name, then version.
 * Errors NOT_FOUND: no such model; INVALID: no such stage */
SLW_MUST_USE enum slw_rc
slw_registry_aliases_at(struct slw_tx *tx, struct slw_str model,
                        struct slw_str alias, int64_t at_ms,
                        struct slw_arena *a, struct slw_registry_move **out,
                        size_t *out_count, struct slw_err *err);
SLW_MUST_USE enum slw_rc
slw_registry_stages_at(struct slw_tx *tx, struct slw_str model,
                       struct slw_str stage, int64_t at_ms, struct slw_arena *a,
                       struct slw_registry_move **out, size_t *out_count,
                       struct slw_err *err);
/* Who, when and why.  An empty why says what is put back. */
struct slw_registry_act {
    int64_t now_ms;
    struct slw_str who, why;
};
/* Put an alias back on the version it named at an instant, or (version > 0)
 * on one that it named at some time.
 * Out  what it names now and before; the same where nothing had to be done
 * Errors NOT_FOUND: it never existed or named nothing then, and since when it
 *        does; CONFLICT: that version is deleted, or was never named */
SLW_MUST_USE enum slw_rc slw_registry_alias_restore(
    struct slw_tx *tx, const struct slw_registry_act *act, struct slw_str model,
    struct slw_str alias, int64_t at_ms, int64_t version, int64_t *out_version,
    int64_t *out_previous, struct slw_err *err);
/* Put a stage (Staging or Production) back: the versions that were in it then
 * go there, all others that are in it now are archived.
 * Out  versions in the stage now; *out_changed: how many versions moved
 * Errors NOT_FOUND: no version was in it then; CONFLICT: one that was is
 *        deleted; INVALID: no stage that can be put back */
SLW_MUST_USE enum slw_rc slw_registry_stage_restore(
    struct slw_tx *tx, const struct slw_registry_act *act, struct slw_str model,
    struct slw_str stage, int64_t at_ms, struct slw_arena *a,
    int64_t **out_versions, size_t *out_count, size_t *out_changed,
    struct slw_err *err);

/* Store a gate's verdict and numbers, refusals too; event "registry.gated".
 * In gate_json
 * {"verdict","checks":[{"name","passed","value","limit","why"}]…}*/
SLW_MUST_USE enum slw_rc
slw_registry_gate_put(struct slw_tx *tx, int64_t now_ms, struct slw_str model,
                      int64_t version, bool passed, struct slw_str gate_json,
                      struct slw_err *err);
/* JSON of a version / of its lineage graph: {"nodes": [{"id","kind","label",
 * …}], "edges": [[from,to]]} from datasets, features, run, code, engine to
 * the release and the version. */
void slw_registry_version_write(struct slw_jw *w, const struct slw_version *v);
SLW_MUST_USE enum slw_rc slw_registry_lineage(struct slw_store *s,
                                              const struct slw_version *v,
                                              struct slw_arena *a,
                                              struct slw_jw *w,
                                              struct slw_err *err);

/* ---- releases ---- */
/* Store the document (canonical JSON).  Out hash, hex in the arena. */
SLW_MUST_USE enum slw_rc slw_release_put(struct slw_store *s,
                                         const struct json_t *doc,
                                         struct slw_arena *a,
                                         struct slw_str *out_hash,
                                         struct slw_err *err);
/* Read it back; the document is parsed into *out (caller's to end). */
SLW_MUST_USE enum slw_rc slw_release_get(struct slw_store *s, const char *hash,
                                         struct slw_json *out,
                                         struct slw_err *err);
/* Signature from a release document, in the arena. */
SLW_MUST_USE enum slw_rc slw_release_signature(const struct json_t *doc,
                                               struct slw_arena *a,
                                               struct slw_signature *out,
                                               struct slw_err *err);
/* Load the model and the rule of a release. */
SLW_MUST_USE enum slw_rc slw_release_models(struct slw_store *s,
                                            const struct json_t *doc,
                                            struct slw_model **out_model,
                                            struct slw_model **out_rule,
                                            struct slw_err *err);

/* ---- registered models, as clients see and change them ---- */
struct slw_registered_alias {
    struct slw_str name;
    int64_t version;
};
struct slw_registered_model {
    struct slw_str name, description;
    int64_t created_at_ms, updated_at_ms;
    struct slw_kv *tags;
    size_t tag_count;
    struct slw_registered_alias *aliases;
    size_t alias_count;
    struct slw_version *latest; /* newest of each stage */
    size_t latest_count;
};
#define SLW_REGISTRY_TAG_CHARS_MAX 100000

/* Event "registry.model_created".
 * Errors CONFLICT: the name is taken; INVALID. */
SLW_MUST_USE enum slw_rc
slw_registry_model_create(struct slw_tx *tx, int64_t now_ms,
                          struct slw_str name, struct slw_str description,
                          const struct slw_kv *tags, size_t tag_count,
                          struct slw_err *err);
SLW_MUST_USE enum slw_rc
slw_registry_model_get(struct slw_tx *tx, struct slw_str name,
                       struct slw_arena *a, struct slw_registered_model *out,
                       struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_registry_model_describe(struct slw_tx *tx,
                                                     int64_t now_ms,
                                                     struct slw_str name,
                                                     struct slw_str description,
                                                     struct slw_err *err);
/* Versions, aliases and tags go along. */
SLW_MUST_USE enum slw_rc slw_registry_model_rename(struct slw_tx *tx,
                                                   int64_t now_ms,
                                                   struct slw_str name,
                                                   struct slw_str new_name,
                                                   struct slw_err *err);
/* With all its versions and their history.  Events keep what was.  Event
 * "registry.model_deleted". */
SLW_MUST_USE enum slw_rc slw_registry_model_delete(struct slw_tx *tx,
                                                   int64_t now_ms,
                                                   struct slw_str name,
                                                   struct slw_err *err);
/* Event "registry.model_tag_set" {"model","key","value"}. */
SLW_MUST_USE enum slw_rc slw_registry_model_tag_set(struct slw_tx *tx,
                                                    int64_t now_ms,
                                                    struct slw_str name,
                                                    struct slw_kv tag,
                                                    struct slw_err *err);
/* Absent is no error.  Event "registry.model_tag_removed". */
SLW_MUST_USE enum slw_rc slw_registry_model_tag_remove(struct slw_tx *tx,
                                                       int64_t now_ms,
                                                       struct slw_str name,
                                                       struct slw_str key,
                                                       struct slw_err *err);
/* query: filter, order_by, offset, limit. */
SLW_MUST_USE enum slw_rc
slw_registry_model_search(struct slw_tx *tx, const struct slw_track_query *q,
                          struct slw_arena *a,
                          struct slw_registered_model **out, size_t *out_count,
                          bool *out_more, struct slw_err *err);

/* ---- versions, likewise ---- */
struct slw_version_new {
    struct slw_str release, run_id, run_link, source, logged_model, description;
    const struct slw_kv *tags;
    size_t tag_count;
};
SLW_MUST_USE enum slw_rc slw_registry_version_register(
    struct slw_tx *tx, int64_t now_ms, struct slw_str model,
    const struct slw_version_new *v, int64_t *out_version, struct slw_err *err);
SLW_MUST_USE enum slw_rc
slw_registry_version_describe(struct slw_tx *tx, int64_t now_ms,
                              struct slw_str model, int64_t version,
                              struct slw_str description, struct slw_err *err);
/* stage None, Staging, Production or Archived in any case; archive_others:
 * versions now in that stage go to Archived.  Each change is a line of history
 * and an event "registry.stage_set" about the model's name, payload {"model",
 * "version","stage","previous","who","why"}. */
SLW_MUST_USE enum slw_rc slw_registry_version_stage(
    struct slw_tx *tx, int64_t now_ms, struct slw_str model, int64_t version,
    struct slw_str stage, bool archive_others, struct slw_str who,
    struct slw_str why, struct slw_err *err);
/* Its number is not handed out again; aliases to it go.  Event
 * "registry.version_deleted". */
SLW_MUST_USE enum slw_rc
slw_registry_version_delete(struct slw_tx *tx, int64_t now_ms,
                            struct slw_str model, int64_t version,
                            struct slw_str who, struct slw_err *err);
/* Event "registry.version_tag_set" {"model","version","key","value"}. */
SLW_MUST_USE enum slw_rc
slw_registry_version_tag_set(struct slw_tx *tx, int64_t now_ms,
                             struct slw_str model, int64_t version,
                             struct slw_kv tag, struct slw_err *err);
/* Absent is no error.  Event "registry.version_tag_removed". */
SLW_MUST_USE enum slw_rc
slw_registry_version_tag_remove(struct slw_tx *tx, int64_t now_ms,
                                struct slw_str model, int64_t version,
                                struct slw_str key, struct slw_err *err);
/* Newest of each of these stages (none given: of all four). */
SLW_MUST_USE enum slw_rc
slw_registry_version_latest(struct slw_tx *tx, struct slw_str model,
                            const struct slw_str *stages, size_t stage_count,
                            struct slw_arena *a, struct slw_version **out,
                            size_t *out_count, struct slw_err *err);
SLW_MUST_USE enum slw_rc
slw_registry_version_search(struct slw_tx *tx, const struct slw_track_query *q,
                            struct slw_arena *a, struct slw_version **out,
                            size_t *out_count, bool *out_more,
                            struct slw_err *err);

/* ---- gates ---- */
struct slw_gate_result {
    int64_t at_ms;
    bool passed;
    struct slw_str gate; /* JSON */
};
/* Every verdict on a version, newest first. */
SLW_MUST_USE enum slw_rc
slw_registry_gate_list(struct slw_tx *tx, struct slw_str model, int64_t version,
                       struct slw_arena *a, struct slw_gate_result **out,
                       size_t *out_count, struct slw_err *err);

/* ---- bringing over what another registry kept, as it was there ---- */
/* Name, description, times and tags; one that is here stays as it is.
 * Errors INVALID: name or tag. */
SLW_MUST_USE enum slw_rc
slw_registry_model_bring(struct slw_tx *tx,
                         const struct slw_registered_model *m, bool *out_new,
                         struct slw_err *err);
/* A version under its own number with stage, times and tags; no event.
 * Errors CONFLICT: the number is taken; NOT_FOUND: no such model. */
SLW_MUST_USE enum slw_rc slw_registry_version_bring(struct slw_tx *tx,
                                                    const struct slw_version *v,
                                                    struct slw_err *err);
/* Numbers up to this one are not handed out any more. */
SLW_MUST_USE enum slw_rc slw_registry_version_reserve(struct slw_tx *tx,
                                                      struct slw_str model,
                                                      int64_t version,
                                                      struct slw_err *err);
/* Say where its bytes lie from now on. */
SLW_MUST_USE enum slw_rc slw_registry_version_locate(struct slw_tx *tx,
                                                     struct slw_str model,
                                                     int64_t version,
                                                     struct slw_str source,
                                                     struct slw_err *err);
/* All tables of this room for others (see track.h; ?1 is not used). */
extern const struct slw_dump_table slw_registry_dump_tables[];
extern const size_t slw_registry_dump_table_count;

/* Is everything there that versions, releases and aliases name?
 * (store/verify.h) */
SLW_MUST_USE enum slw_rc slw_registry_verify(struct slw_verify *v,
                                             struct slw_err *err);
/* Name the releases of all versions and what these pin (store/gc.h). */
SLW_MUST_USE enum slw_rc slw_registry_blobs(struct slw_gc *g,
                                            struct slw_err *err);
/* One release: its document and what that pins.  Errors of slw_gc_need. */
SLW_MUST_USE enum slw_rc
slw_release_blobs(struct slw_gc *g, struct slw_str hash, struct slw_err *err);
/* Runs and logged models that versions need: those they name and those their
 * sources lie in.  Owner: one thread. */
struct slw_registry_pins {
    struct slw_arena arena;
    struct slw_registry_pin *list; /* by id */
    size_t count, cap;
};
/* Read them anew.  ctx: struct slw_registry_pins; for slw_purge_needs. */
SLW_MUST_USE enum slw_rc slw_registry_pins_load(void *ctx, struct slw_tx *tx,
                                                struct slw_err *err);
/* "version 3 of iris" where one needs this run or model, else empty. */
struct slw_str slw_registry_pins_who(void *ctx, struct slw_str id);
void slw_registry_pins_done(struct slw_registry_pins *p);

#endif
