/* train.h -- from a frame of features to the best candidate: split by time,
 * search, fit, evaluate; every trial a tracked run.
 *
 * Everything that decides the result is in the spec (dataset versions, view
 * definitions, as-of time, seed), so the same spec gives the same bytes and
 * a release can be rebuilt and compared. */
#ifndef SLW_TRAIN_TRAIN_H
#define SLW_TRAIN_TRAIN_H

#include "base/json.h"
#include "features/features.h"
#include "jobs/jobs.h"
#include "model/model.h"
#include "store/store.h"
#include "store/verify.h"

/* ---- definitions (the `models:` section of slipway.yaml, as JSON) ----
 * {"name", "target": {"sql": "lead(close) OVER w", "of": "prices",
 *                     "known_after_ms": 0, "relative_to": "close"|absent},
 *  "features": ["momentum", …],
 *  "split": {"validate_ms", "test_ms"}, "train_from_ms": optional,
 *  "metric": "mae"|"rmse"|"mape"|"r2",
 *  "search": {"trials": 8 a candidate, "sampler": "random", "seed": 7},
 *  "candidates": {"xgboost": {"eta": [0.01, 0.3, "log"], "max_depth": [2, 8],
 *                 "rounds": 300, …}, "svr": {…}, "arnet": {…},
 *                 "script": {"run": "python train.py"}},
 *  "fallback": {"sql": "range_lag0"}, "gate": {…},
 *  "exclude": ["close"]: columns of the views that are not the model's,
 *  "reference_ms": length of the profile, a year, "description"}
 * A parameter is a number (fixed), [least, most] (uniform), [least, most,
 * "log"], or {"choice": [a, b, …]}; those that count (max_depth, rounds,
 * lags …) are integers.  One that is not named has our own space, so {} is a
 * whole candidate.  A candidate of any other name with a "run" is a script
 * (README.md).  The column that the target is relative to is never an input.
 * Errors INVALID: a sentence that names the key and what would be right */
SLW_MUST_USE enum slw_rc slw_train_model_put(struct slw_tx *tx, int64_t now_ms,
                                             struct slw_str name,
                                             struct slw_str def_json,
                                             struct slw_err *err);
SLW_MUST_USE enum slw_rc
slw_train_model_get(struct slw_tx *tx, struct slw_str name, struct slw_arena *a,
                    struct slw_str *out_def_json, struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_train_model_list(struct slw_tx *tx,
                                              struct slw_arena *a,
                                              struct slw_str **out_names,
                                              size_t *out_count,
                                              struct slw_err *err);

/* ---- the search (in a job child) ---- */
struct slw_train_spec {
    const struct json_t *def;    /* model definition, with its name */
    const struct json_t *pins;   /* {"prices": 3} */
    const struct json_t *hashes; /* {"prices": blob hash} */
    const struct json_t *views;  /* array of view definitions */
    const struct json_t *extra;  /* members copied into the release: "code",
                                    "thresholds"; may be NULL */
    int64_t as_of_ms;            /* labels known by then; test ends there */
    int64_t seed;                /* < 0: the definition's */
    int64_t trials;              /* < 0: the definition's, a candidate */
    const char *server_url;      /* for script candidates; NULL: they fail
                                    with a clear sentence */
    const struct json_t *params; /* {"xgboost": {…}}: no search, only these
                                    candidates, fitted once with these
                                    parameters; NULL: all are searched */
};
struct slw_train_result {
    struct slw_str release; /* JSON of the release document (see registry.h) */
    struct slw_str table;   /* JSON [{"candidate","trials","failed","run_id",
                               "params","valid":{metrics},"test":{metrics},
                               "seconds","chosen":bool,"servable":bool,
                               "note"}], the rule among them */
    struct slw_str run_id;  /* parent run; trials are its children */
    struct slw_str candidate; /* chosen: best on validation that can be served*/
};
/* Build the frame, split it, search, refit the best of each candidate on
 * train + validation, score all on the test window, choose by validation.
 * Everything is logged through track: a parent run, a child run a trial
 * (parameters, validation metrics, curve), the dataset inputs, the model
 * file of the chosen one as artifact.
 * Errors INVALID: too few rows in a part of the split, a bad space …;
 *        a candidate that cannot be fitted fails alone and is in the table
 * Out    strings in ctx->arena */
SLW_MUST_USE enum slw_rc slw_train_search(struct slw_job_ctx *ctx,
                                          const struct slw_train_spec *spec,
                                          struct slw_train_result *out,
                                          struct slw_err *err);
/* The dataset versions a release was trained on: {"prices": 3}.
 * Errors INVALID: a dataset without its version */
SLW_MUST_USE enum slw_rc slw_train_pins(const struct json_t *release,
                                        struct slw_json *out,
                                        struct slw_err *err);
/* Rebuild the model of a release from its pins and compare.
 * Out  w gets {"equal": bool, "model": hash, "rebuilt": hash,
 *      "first_difference": "" | "dataset prices" | "features momentum" |
 *      "frame" | "engine xgboost 3.2.0 -> 3.1.0" | "model bytes"}; rebuilt is
 *      "" where a dataset version is gone or is another
 * Errors INVALID: the release lacks what decides the model; as the search's */
SLW_MUST_USE enum slw_rc slw_train_reproduce(struct slw_job_ctx *ctx,
                                             const struct json_t *release,
                                             struct slw_jw *w,
                                             struct slw_err *err);
/* ---- the reference profile: what the model was made for ----
 * The rows of the frame's last `reference_ms` (default one year before the
 * end of the data), as they are, with the model's own answers as column
 * "prediction": the monitor makes bins, blocks and p-values of them.  Stored
 * as a blob; docs/formats/profile.md.  At most SLW_PROFILE_ROW_MAX rows, the
 * newest. */
#define SLW_PROFILE_ROW_MAX 200000
struct slw_profile {
    size_t row_count, column_count;
    struct slw_str *columns; /* features, then "prediction" */
    int64_t *event_ms;       /* [row_count] ascending */
    double *values;          /* [column_count][row_count], column-major */
};
/* Append it to a buffer.  Errors LIMIT, INVALID: counts out of range. */
SLW_MUST_USE enum slw_rc slw_profile_write(const struct slw_profile *p,
                                           struct slw_buf *out,
                                           struct slw_err *err);
/* All in the arena.  Errors CORRUPT. */
SLW_MUST_USE enum slw_rc slw_profile_read(struct slw_str bytes,
                                          struct slw_arena *a,
                                          struct slw_profile *out,
                                          struct slw_err *err);

/* Are the definitions of models those that their hashes name?  (store/verify.h)
 */
SLW_MUST_USE enum slw_rc slw_train_verify(struct slw_verify *v,
                                          struct slw_err *err);

#endif
