/* rehearse_internal.h -- shared by the files of this room only.
 *
 *   ROOT/ID/plan.json       what is rehearsed: see plan.c
 *   ROOT/ID/base/           data folder with the sources, ingested once
 *   ROOT/ID/NAME/           data folder of policy NAME; opens with `slipway up`
 *   ROOT/ID/NAME.progress   "0.45 2021-03-04"
 *   ROOT/ID/NAME.json       its result, so far or whole
 *   ROOT/ID/result.json     all of them */
#ifndef SLW_REHEARSE_REHEARSE_INTERNAL_H
#define SLW_REHEARSE_REHEARSE_INTERNAL_H

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "rehearse/rehearse.h"

#define REHEARSE_FILE_MAX ((size_t)64 << 20)
/* Exit codes of a child. */
enum { REHEARSE_DONE = 0, REHEARSE_FAILED = 1, REHEARSE_STOPPED = 3 };

/* ---- plan.c ---- */
/* plan.json as text: {"version", "project", "deployment", "from_ms", "to_ms",
 * "requests", "policies": [{"name", "start": "gate"|"train"|"rule", "model",
 * "project": the whole project as it is for this policy}], "sources":
 * {"prices":
 * {"def", "path"}}}. */
SLW_MUST_USE enum slw_rc rehearse_plan(const struct slw_rehearse_options *opt,
                                       struct slw_arena *a,
                                       struct slw_str *out_json,
                                       struct slw_err *err);

/* ---- world.c: in the child "base" ---- */
SLW_MUST_USE enum slw_rc rehearse_base_make(const char *dir,
                                            const struct json_t *plan,
                                            struct slw_err *err);

/* ---- loop.c: in a policy's child ---- */
/* Out  *out_stopped: asked to stop before the last day */
SLW_MUST_USE enum slw_rc
rehearse_policy_run(const char *dir, const struct json_t *plan,
                    const struct json_t *policy, const volatile int *stop,
                    bool *out_stopped, struct slw_err *err);

/* ---- score.c ---- */
struct slw_store;
struct slw_frame;
struct rehearse_scored {
    struct slw_str name, model, start, metric, deployment;
    int64_t from_ms, to_ms; /* days lived through */
    int64_t requests;
    bool complete;
    double training_minutes, minutes;
};
/* In   labels: rows with y, all that are known by the end */
SLW_MUST_USE enum slw_rc rehearse_score(struct slw_store *s,
                                        const struct slw_frame *labels,
                                        const struct rehearse_scored *what,
                                        struct slw_jw *w, struct slw_err *err);

#endif
