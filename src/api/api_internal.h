/* api_internal.h -- what the handlers of this room share. */
#ifndef SLW_API_API_INTERNAL_H
#define SLW_API_API_INTERNAL_H

#include "api/api.h"
#include "base/json.h"

/* The body as a JSON object (an empty body counts as {}).
 * Errors INVALID: not JSON, or another type. */
SLW_MUST_USE enum slw_rc api_body(const struct slw_http_req *req,
                                  struct slw_json *out, struct slw_err *err);
/* Number in the path.  Errors INVALID. */
SLW_MUST_USE enum slw_rc api_var_i64(const struct slw_http_req *req,
                                     const char *name, int64_t *out,
                                     struct slw_err *err);
/* Query parameter limit=, 1..count_max. */
SLW_MUST_USE enum slw_rc api_limit(const struct slw_http_req *req, int64_t dflt,
                                   int64_t count_max, size_t *out,
                                   struct slw_err *err);
/* Query parameters limit= and offset= of a page. */
struct api_page {
    size_t limit, offset;
};
SLW_MUST_USE enum slw_rc api_page_of(const struct slw_http_req *req,
                                     int64_t limit_dflt, int64_t limit_max,
                                     struct api_page *out, struct slw_err *err);
/* A time in a JSON member or query parameter; absent leaves *out.  A bare
 * date is its last millisecond where `end` is set. */
SLW_MUST_USE enum slw_rc api_time_member(const struct json_t *o,
                                         const char *key, bool end,
                                         int64_t *out, struct slw_err *err);
SLW_MUST_USE enum slw_rc api_time_query(const struct slw_http_req *req,
                                        const char *key, bool end, int64_t *out,
                                        struct slw_err *err);
int64_t api_now(const struct slw_api *api);
/* Who sent the request: the name of its token, else `otherwise`. */
struct slw_str api_who(const struct slw_http_req *req,
                       struct slw_str otherwise);
/* The same of a body that may say "who"; a token's name counts more, and
 * nobody's word is "anonymous".  Errors INVALID: no text, or too long. */
SLW_MUST_USE enum slw_rc api_who_of(const struct slw_http_req *req,
                                    const struct json_t *body,
                                    struct slw_str *out, struct slw_err *err);
/* The answer {"<key>": [names]}. */
void api_names_answer(struct slw_http_res *res, const char *key,
                      const struct slw_str *names, size_t count);
/* Queue a job in its own transaction, wake the runner, answer 202. */
SLW_MUST_USE enum slw_rc
api_job_start(struct slw_api *api, struct slw_http_res *res, const char *kind,
              struct slw_str subject, struct slw_str spec, struct slw_err *err);
/* Text of a node in the arena. */
struct slw_str api_dump(struct slw_arena *a, const struct json_t *v);
struct slw_str api_buf_str(struct slw_arena *a, const struct slw_buf *b);

/* The page's route for a path that is one of its addresses, or NULL. */
const struct slw_route *api_page_fallback(struct slw_http_req *req);

/* A row of the event log, as everywhere in the API. */
struct slw_event;
void api_event_write(struct slw_jw *w, const struct slw_event *e);

/* Does ?dry_run= ask for a dry run?  Errors INVALID: not true or false. */
SLW_MUST_USE enum slw_rc api_dry_wanted(const struct slw_http_req *req,
                                        bool *out, struct slw_err *err);

/* What the gate refused gets no traffic by mistake: that somebody decided it
 * all the same is said by "force" in the body.  Errors CONFLICT. */
SLW_MUST_USE enum slw_rc api_gate_check(struct slw_tx *tx, struct slw_str model,
                                        int64_t version,
                                        const struct json_t *body,
                                        struct slw_arena *a,
                                        struct slw_err *err);
/* A page of the verdicts on a version, newest first, as an array; `whole`:
 * with their figures. */
struct slw_version;
SLW_MUST_USE enum slw_rc
api_gates_write(struct slw_tx *tx, const struct slw_version *v, size_t offset,
                size_t limit, bool whole, struct slw_arena *a, struct slw_jw *w,
                int64_t *out_total, struct slw_err *err);

/* Counters of requests, for /metrics. */
void api_observe(void *app, const struct slw_route *route, int status,
                 int64_t duration_ns);

/* Error answers of the dialects. */
void api_render_error(enum slw_dialect dialect, const struct slw_err *err,
                      struct slw_http_req *req, struct slw_http_res *res);
void api_mlflow_render_error(const struct slw_err *err,
                             struct slw_http_req *req,
                             struct slw_http_res *res);

#endif
