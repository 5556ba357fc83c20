/* api.h -- the edge: native REST and the dialects of others (MLflow, Open
 * Inference Protocol V2, Feast, Prometheus), all thin.  No rule of the domain
 * lives here, and no JSON shape of another product lives below.
 *
 * Routes are data: the files in routes/, from which the dispatch table and the
 * OpenAPI document are generated. */
#ifndef SLW_API_API_H
#define SLW_API_API_H

#include "access/access.h"
#include "base/clock.h"
#include "flow/flow.h"
#include "jobs/jobs.h"
#include "net/http.h"
#include "serve/serve.h"
#include "store/store.h"

#define SLIPWAY_VERSION "0.1.0"
#define SLIPWAY_MLFLOW_VERSION "3.17.2" /* whose REST API we speak */

/* What handlers reach through req->app.  Owner: app; immutable but for what
 * it points to. */
struct slw_live;
struct slw_place;
struct slw_api {
    struct slw_store *store;
    struct slw_clock *clock;
    struct slw_access *access;
    struct slw_jobs *jobs;
    struct slw_serve *serve;
    struct slw_flow *flow;
    struct slw_live *live; /* feeds GET /api/v1/stream */
    /* Where artifacts lie as plain files; NULL: as blobs in the store, and
     * new experiments at mlflow-artifacts:/. */
    struct slw_place *destination;   /* --artifacts-destination */
    struct slw_place *artifact_root; /* --default-artifact-root */
    const char *data_dir;
    const char *url; /* "http://127.0.0.1:8080" */
    int64_t start_mono_ns;
    _Atomic bool ready;    /* false: every route but /health answers 503 */
    _Atomic bool draining; /* readiness answers 503, requests are served */
};

/* The thread that feeds open event streams and reads the serving counters
 * every two seconds.  Start it before the first request is answered and stop
 * it after the HTTP server.  Owner: its own thread. */
SLW_MUST_USE enum slw_rc
slw_live_start(struct slw_live **out, struct slw_api *api, struct slw_err *err);
void slw_live_stop(struct slw_live *live); /* accepts NULL */

/* Fill the options' callbacks (errors, observation, access) and routes. */
struct slw_http_options;
void slw_api_wire(struct slw_http_options *opt, struct slw_api *api);

#endif
