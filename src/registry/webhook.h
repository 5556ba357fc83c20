/* webhook.h -- MLflow's webhooks: who wants to be told of which change, and
 * the thread that tells them.
 *
 * A change of a model, a version, a tag or an alias writes, in its own
 * transaction, a delivery for each active webhook that asked for it.  The
 * sender posts a webhook's deliveries one after the other, at least once
 * each; a webhook that is slow or broken holds up nobody but itself. */
#ifndef SLW_REGISTRY_WEBHOOK_H
#define SLW_REGISTRY_WEBHOOK_H

#include <stdatomic.h>

#include "base/clock.h"
#include "base/json.h"
#include "store/store.h"

/* What can be asked for, as MLflow names it: "model_version" "created".
 * budget_policy.exceeded is taken and never happens here. */
struct slw_webhook_event {
    const char *entity, *action;
    const char *example; /* JSON: the data of a test delivery */
};
/* Sorted by entity and action; the place of an event is its bit in
 * slw_webhook.events, also in the store. */
extern const struct slw_webhook_event slw_webhook_events[];
extern const size_t slw_webhook_event_count;
/* Errors INVALID: MLflow's sentence about what the entity's actions are. */
SLW_MUST_USE enum slw_rc slw_webhook_event_find(struct slw_str entity,
                                                struct slw_str action,
                                                size_t *out,
                                                struct slw_err *err);

#define SLW_WEBHOOK_URL_MAX 2000
struct slw_webhook {
    int64_t row; /* of the store */
    struct slw_str id, name, url, description;
    struct slw_str secret; /* never leaves the server */
    uint32_t events;
    bool active;
    int64_t created_at_ms, updated_at_ms;
    int64_t waiting_count; /* deliveries not yet over */
};

/* Name and URL as MLflow wants them.  The URL's host is looked up in the
 * network, so no transaction may be open.
 * Errors INVALID. */
SLW_MUST_USE enum slw_rc slw_webhook_name_check(struct slw_str name,
                                                struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_webhook_url_check(struct slw_str url,
                                               struct slw_err *err);
/* In   w  checked, with events; its row, id and times are given here */
SLW_MUST_USE enum slw_rc slw_webhook_add(struct slw_tx *tx, int64_t now_ms,
                                         struct slw_webhook *w,
                                         struct slw_arena *a,
                                         struct slw_err *err);
/* Errors NOT_FOUND. */
SLW_MUST_USE enum slw_rc slw_webhook_get(struct slw_tx *tx, struct slw_str id,
                                         struct slw_arena *a,
                                         struct slw_webhook *out,
                                         struct slw_err *err);
/* Newest first. */
SLW_MUST_USE enum slw_rc slw_webhook_list(struct slw_tx *tx, size_t offset,
                                          size_t limit, struct slw_arena *a,
                                          struct slw_webhook **out,
                                          size_t *out_count, bool *out_more,
                                          struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_webhook_count(struct slw_tx *tx, int64_t *out,
                                           struct slw_err *err);
/* Write what was read by get and changed.  What waits for a webhook that is
 * no longer active is dropped. */
SLW_MUST_USE enum slw_rc slw_webhook_put(struct slw_tx *tx, int64_t now_ms,
                                         struct slw_webhook *w,
                                         struct slw_err *err);
SLW_MUST_USE enum slw_rc
slw_webhook_delete(struct slw_tx *tx, struct slw_str id, struct slw_err *err);

/* ---- deliveries ---- */
struct slw_webhook_delivery {
    int64_t row;
    struct slw_str id, event, body; /* body: JSON, "" when it is over */
    struct slw_str state;           /* "waiting", "sent", "failed" */
    int64_t made_at_ms, last_at_ms, attempts, status;
    struct slw_str error;
};
#define SLW_WEBHOOK_KEPT_MAX 50 /* deliveries kept that are over */
/* Of one webhook, newest first. */
SLW_MUST_USE enum slw_rc
slw_webhook_deliveries(struct slw_tx *tx, int64_t hook_row, size_t limit,
                       struct slw_arena *a, struct slw_webhook_delivery **out,
                       size_t *out_count, struct slw_err *err);

/* ---- sending ---- */
/* One attempt.  ok: answered 2xx.  retry: worth another one. */
struct slw_webhook_answer {
    bool ok, retry;
    int status; /* 0: no answer */
    int64_t retry_after_s;
    struct slw_str body; /* of the answer, the first 64 KiB */
    char error[512];     /* "" when ok */
};
/* POST with MLflow's headers; a redirect is not followed.  Waits for the
 * network at most MLFLOW_WEBHOOK_REQUEST_TIMEOUT seconds.
 * In  delivery_id, body; stop: see slw_call, may be NULL */
void slw_webhook_post(const struct slw_webhook *w, int64_t now_ms,
                      struct slw_str delivery_id, struct slw_str body,
                      const _Atomic bool *stop, struct slw_arena *a,
                      struct slw_webhook_answer *out);
/* "v1,…" of MLflow's X-MLflow-Signature. */
void slw_webhook_sign(struct slw_buf *out, struct slw_str secret,
                      struct slw_str delivery_id, struct slw_str timestamp,
                      struct slw_str body);
/* One attempt with the event's example, which is not kept. */
void slw_webhook_test(const struct slw_webhook *w, size_t event, int64_t now_ms,
                      struct slw_arena *a, struct slw_webhook_answer *out);

struct slw_webhooks;
struct slw_webhooks_options {
    struct slw_store *store;
    const struct slw_clock *clock;
    int64_t look_ms;  /* 0: 250 */
    int64_t pause_ms; /* before the first repetition; 0: 1000 */
};
/* Start the thread that looks for deliveries and, for each webhook that has
 * one, ten at a time or MLFLOW_WEBHOOK_DELIVERY_MAX_WORKERS, a thread that
 * posts them. */
SLW_MUST_USE enum slw_rc
slw_webhooks_start(struct slw_webhooks **out,
                   const struct slw_webhooks_options *opt, struct slw_err *err);
/* Calls under way are broken off; what was not answered is sent again. */
void slw_webhooks_stop(struct slw_webhooks *w); /* accepts NULL */

#endif
