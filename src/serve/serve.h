/* serve.h -- deployments: which release answers, for whom, and what was
 * answered.
 *
 * A *deployment* routes requests to the release in its champion slot and, for
 * a share of the keys, to the one in its canary slot; the rule of the
 * champion's release (the fallback) is computed beside every answer and takes
 * over when the model fails, is too slow, says NaN or is withdrawn.  All of it
 * hangs on one row, so promote and roll back move one pointer.
 *
 *            canary(release, weight)          promote
 *   steady ------------------------> canary ----------> steady (old = previous)
 *     ^                                 |
 *     +------------ rollback -----------+   steady: rollback = previous again
 *
 * A prediction is appended to a memory-mapped segment file before it is
 * answered, so it survives kill -9 of the server; a flusher syncs it to disk.
 *
 * Owner: threads share one `struct slw_serve`; a deployment's live releases
 * are swapped under a short lock and die with their last reference. */
#ifndef SLW_SERVE_SERVE_H
#define SLW_SERVE_SERVE_H

#include "base/clock.h"
#include "base/json.h"
#include "model/model.h"
#include "registry/registry.h"
#include "store/store.h"
#include "store/verify.h"

struct slw_serve;

/* Load every deployment of the store.  A release that cannot be loaded does
 * not stop the start: its deployment answers with the rule, and the reason is
 * an event. */
SLW_MUST_USE enum slw_rc slw_serve_open(struct slw_serve **out,
                                        struct slw_store *store,
                                        const struct slw_clock *clock,
                                        struct slw_err *err);
void slw_serve_close(struct slw_serve *s);

/* ---- what is deployed ---- */
/* Declare (or change) a deployment: {"name", "model", "timeout_ms": 50,
 * "rollout": [{"canary": 0.1, "requests": 500}, …], "shadow": ["fallback",
 * "challenger"]}.  Without a champion it answers 503. */
SLW_MUST_USE enum slw_rc slw_serve_declare(struct slw_serve *s, int64_t now_ms,
                                           struct slw_str name,
                                           struct slw_str def_json,
                                           struct slw_err *err);
/* What slw_serve_declare would refuse, inside the caller's transaction: a
 * project file is checked as a whole before any of it is declared. */
SLW_MUST_USE enum slw_rc slw_serve_declare_check(struct slw_tx *tx,
                                                 struct slw_str name,
                                                 struct slw_str def_json,
                                                 struct slw_err *err);
struct slw_deployment {
    struct slw_str name, model, def;
    struct slw_str champion, canary, previous, shadow; /* release hashes, "" */
    int64_t champion_version, canary_version, previous_version;
    int64_t shadow_version;
    double canary_weight; /* 0..1 of the keys */
    int rollout_step;     /* index into the rollout, -1: no canary */
    bool withdrawn;       /* champion withdrawn: the rule answers */
    int64_t revision;     /* counts changes */
    int64_t changed_at_ms;
};
SLW_MUST_USE enum slw_rc slw_serve_get(struct slw_tx *tx, struct slw_str name,
                                       struct slw_arena *a,
                                       struct slw_deployment *out,
                                       struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_serve_list(struct slw_tx *tx, struct slw_arena *a,
                                        struct slw_deployment **out,
                                        size_t *out_count, struct slw_err *err);
void slw_serve_write(struct slw_jw *w, const struct slw_deployment *d);
/* Changes of a deployment, newest first, as a JSON array: at, action, from,
 * to, weight, why. */
SLW_MUST_USE enum slw_rc slw_serve_history(struct slw_tx *tx,
                                           struct slw_str name,
                                           size_t count_max, struct slw_jw *w,
                                           struct slw_err *err);

enum slw_serve_action {
    SLW_SERVE_DEPLOY,   /* version becomes champion at once; the old champion
                           becomes previous */
    SLW_SERVE_CANARY,   /* version gets `weight` of the keys */
    SLW_SERVE_WEIGHT,   /* the canary's weight changes */
    SLW_SERVE_PROMOTE,  /* the canary becomes champion */
    SLW_SERVE_ROLLBACK, /* with a canary: drop it; else previous again */
    SLW_SERVE_WITHDRAW, /* the rule answers; deploy or restore ends it */
    SLW_SERVE_RESTORE,
    SLW_SERVE_SHADOW, /* version scored beside every answer; 0 ends it */
    SLW_SERVE_RULE,   /* with nothing deployed: the version's release with
                         its rule answering; withdrawn, aliases untouched */
};
/* Do it: check, write the row, history, alias "champion"/"challenger" of the
 * model and the event in one transaction, then swap.  Events: serve.deployed,
 * .canaried, .weighted, .promoted, .rolled_back, .withdrawn, .restored,
 * .shadowed, .ruled; subject the deployment; payload {"action", "from", "to",
 * "weight", "step", "release", "revision", "why"}.  Deploying the champion
 * again is no error and no change.
 * In     version of the deployment's model (0 where not needed); step the
 *        rollout step this belongs to or -1
 * Errors NOT_FOUND; CONFLICT: says what the state allows; INVALID: weight;
 *        CORRUPT: the release cannot be loaded (nothing changes then) */
SLW_MUST_USE enum slw_rc slw_serve_act(struct slw_serve *s, int64_t now_ms,
                                       struct slw_str name,
                                       enum slw_serve_action action,
                                       int64_t version, double weight, int step,
                                       struct slw_str why, struct slw_err *err);
/* The same by somebody: the alias's history names them. */
SLW_MUST_USE enum slw_rc
slw_serve_act_as(struct slw_serve *s, int64_t now_ms, struct slw_str name,
                 enum slw_serve_action action, int64_t version, double weight,
                 int step, struct slw_str who, struct slw_str why,
                 struct slw_err *err);
/* A fire drill: from now on the champion (or canary) of this deployment is
 * made to fail ("error"), answer NaN ("nan"), or be late ("slow"); "off" or
 * "" ends it.  In memory only, event "serve.drilled".  Shows that the fallback
 * works.
 */
SLW_MUST_USE enum slw_rc slw_serve_drill(struct slw_serve *s, int64_t now_ms,
                                         struct slw_str name,
                                         struct slw_str mode,
                                         struct slw_err *err);
/* The drill that is on: "error", "nan", "slow" or "off". */
const char *slw_serve_drill_mode(struct slw_serve *s, struct slw_str name);

/* ---- answering ---- */
enum slw_answer_by { SLW_BY_CHAMPION, SLW_BY_CANARY, SLW_BY_FALLBACK };
/* Why the fallback answered: "withdrawn", "not_loaded", "missing_features",
 * "error", "not_finite", "late". */
#define SLW_SERVE_KEY_SIZE_MAX 512
struct slw_predict_in {
    struct slw_str key;    /* entity or other sticky key; may be empty */
    struct slw_str id;     /* request id; may be empty */
    int64_t event_ms;      /* what time it is about; 0: now */
    const double *x;       /* [row_count][column_count] by signature … */
    size_t row_count;      /* … of slw_serving.signature; 0: look up `key` */
    int64_t begin_mono_ns; /* 0: now */
    size_t column_count;   /* of x, checked; 0: not checked */
    int64_t version;       /* 0: routed; else the champion's or canary's */
    struct slw_str sticky; /* routes in the place of `key`; may be empty */
};
struct slw_predict_out {
    double *y; /* [row_count or 1]; the caller's, or, when NULL
                  at the call, the arena's */
    enum slw_answer_by by;
    const char *reason; /* static; why the fallback answered, or "" */
    char release[65];
    int64_t version;  /* that answered (of the release) */
    int64_t event_ms; /* of the features when looked up */
};
/* A hold on what is live: between reading a request by the signature and
 * answering it nothing changes under it, whatever is deployed meanwhile.
 * Views live as long as the hold. */
struct slw_serving {
    void *slot, *live; /* private */
    struct slw_str deployment;
    int64_t champion_version, canary_version; /* 0: none */
    int64_t version;                          /* of the signature below */
    const struct slw_signature *signature;
    struct slw_str entity; /* column features are looked up by */
    struct slw_str flavour;
};
/* In     version 0, or the champion's or canary's: whose signature
 * Errors NOT_FOUND: no such deployment, or this version is not live on it;
 *        BUSY: nothing deployed yet */
SLW_MUST_USE enum slw_rc slw_serving_begin(struct slw_serving *out,
                                           struct slw_serve *s,
                                           struct slw_str deployment,
                                           int64_t version,
                                           struct slw_err *err);
void slw_serving_done(struct slw_serving *v);
/* Route, (look up,) predict, compute the rule and shadows, log, answer.
 * In     rows of one call share key, id and routing; y[row_count] is given
 * Errors NOT_FOUND: no fresh features for the key (names view and key)
 * Cost   microseconds; no heap when warm; one indexed read when looked up */
SLW_MUST_USE enum slw_rc
slw_serving_predict(struct slw_serve *s, const struct slw_serving *v,
                    const struct slw_predict_in *in, struct slw_arena *a,
                    struct slw_predict_out *out, struct slw_err *err);
/* Names of all deployments, sorted, from memory.  In the arena. */
void slw_serve_names(struct slw_serve *s, struct slw_arena *a,
                     struct slw_str **out, size_t *out_count);
bool slw_serve_ready(struct slw_serve *s, struct slw_str deployment);
/* Requests answered by the canary / champion since the last change, and how
 * many of them fell back. */
SLW_MUST_USE enum slw_rc
slw_serve_counts(struct slw_serve *s, struct slw_str deployment,
                 int64_t *out_champion, int64_t *out_canary,
                 int64_t *out_canary_failed, int64_t *out_fallback,
                 struct slw_err *err);
/* Prometheus text: requests, fallbacks, latency histograms by deployment,
 * release version and role. */
void slw_serve_metrics(struct slw_serve *s, struct slw_buf *out);

/* ---- figures of the last minutes ---- */
#define SLW_SERVE_TICK_MS 2000
/* Read all counters; one thread calls this each SLW_SERVE_TICK_MS. */
void slw_serve_tick(struct slw_serve *s, int64_t mono_ns);
/* The last interval of every deployment, sorted by name, as a JSON array of
 * {"name", "requests_per_s", "p50_ms", "p99_ms" (null: no request),
 * "errors_per_s", "fallback_share"}.  An error is a model that failed, was
 * late or answered NaN, so that the rule had to answer. */
void slw_serve_figures(struct slw_serve *s, struct slw_arena *a,
                       struct slw_jw *w);
/* One deployment's last `seconds` (at most 900): {"name", "seconds",
 * "points": [{"t_ms", as above}], at most 180 of equal length, oldest first,
 * "releases": [{"version", "role", "requests", "rows", "requests_per_s",
 * "p50_ms", "p90_ms", "p99_ms"}]}.
 * In     now_ms of people's clocks, for "t_ms"
 * Errors NOT_FOUND */
SLW_MUST_USE enum slw_rc slw_serve_figures_of(struct slw_serve *s,
                                              struct slw_str deployment,
                                              int64_t seconds, int64_t now_ms,
                                              struct slw_jw *w,
                                              struct slw_err *err);

/* ---- the prediction log ---- */
struct slw_prediction {
    struct slw_str id, key;
    int64_t at_ms;    /* when it was answered (server's clock) */
    int64_t event_ms; /* what it is about */
    char release[65]; /* of the champion or canary it was routed to */
    enum slw_answer_by by;
    double y;                /* what was answered */
    double model_y;          /* what the routed model said; NaN: failed */
    double rule_y, shadow_y; /* NaN: none */
    int64_t latency_ns;
    const double *x; /* [column_count] */
    size_t column_count;
};
typedef enum slw_rc (*slw_prediction_fn)(void *ctx,
                                         const struct slw_prediction *p,
                                         struct slw_err *err);
/* Visit the log of one deployment, event_ms in [from_ms, to_ms], in the order
 * of writing; torn tails are skipped.  Works in any process that has the
 * store open; views live during the call of fn only. */
SLW_MUST_USE enum slw_rc slw_serve_log_scan(struct slw_store *store,
                                            struct slw_str deployment,
                                            int64_t from_ms, int64_t to_ms,
                                            slw_prediction_fn fn, void *ctx,
                                            struct slw_err *err);

/* Do deployments name what is there; is the prediction log whole?
 * (store/verify.h) */
SLW_MUST_USE enum slw_rc slw_serve_verify(struct slw_verify *v,
                                          struct slw_err *err);
/* Name the releases of all deployments and what these pin (store/gc.h). */
SLW_MUST_USE enum slw_rc slw_serve_blobs(struct slw_gc *g, struct slw_err *err);

#endif
