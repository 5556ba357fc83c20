/* up.c -- `slipway up`: build every room, serve, and leave in order.
 *
 * The only place that knows everyone.  Signals are blocked in all threads and
 * taken by sigwait: the first TERM or INT drains, a second one ends at once
 * (the store survives that by design). */
#include "app/app.h"
#include "api/api.h"
#include "api/routes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/proc.h"
#include "registry/webhook.h"
#include "track/track.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define DRAIN_MS 10000
#define SLOT_COUNT_DEFAULT 2

struct server {
    struct slw_clock clock;
    struct slw_store *store;
    struct slw_access *access;
    struct slw_serve *serve;
    struct slw_jobs *jobs;
    struct slw_flow *flow;
    struct slw_webhooks *webhooks;
    struct slw_http *http;
    struct slw_api api;
    char url[256];
};

static void
server_stop(struct server *s)
{
    atomic_store(&s->api.draining, true);
    if (s->http)
        slw_http_stop(s->http, DRAIN_MS);
    slw_live_stop(s->api.live);
    if (s->flow)
        slw_flow_stop(s->flow);
    if (s->jobs)
        slw_jobs_stop(s->jobs);
    slw_webhooks_stop(s->webhooks);
    slw_serve_close(s->serve);
    slw_place_close(s->api.destination);
    slw_place_close(s->api.artifact_root);
    slw_access_close(s->access);
    slw_store_close(s->store);
}

static enum slw_rc
clock_from(const struct app_args *a, struct slw_clock *clock,
           struct slw_err *err)
{
    const char *text = app_option(a, "clock");
    if (!text || strcmp(text, "system") == 0) {
        slw_clock_init_system(clock);
        return SLW_OK;
    }
    int64_t now_ms = 0;
    enum slw_rc rc = slw_time_parse(slw_str_of(text), &now_ms, err);
    if (rc != SLW_OK)
        return slw_err_prefix(err, "--clock: ");
    slw_clock_init_manual(clock, now_ms);
    return SLW_OK;
}

static enum slw_rc
number_option(const struct app_args *a, const char *name, int dflt, int most,
              int *out, struct slw_err *err)
{
    const char *text = app_option(a, name);
    int64_t v = dflt;
    if (text &&
        (slw_str_i64(slw_str_of(text), &v, err) != SLW_OK || v < 1 || v > most))
        return slw_fail(err, SLW_INVALID, "--%s must be 1 to %d", name, most);
    *out = (int)v;
    return SLW_OK;
}

/* Both may name the same place.  The folder of new experiments is written to
 * by clients: here it is listed and served. */
static enum slw_rc
places_open(struct server *s, const struct app_args *a, struct slw_err *err)
{
    const char *destination = app_option(a, "artifacts-destination");
    const char *root = app_option(a, "default-artifact-root");
    if (destination && slw_place_open(&s->api.destination,
                                      slw_str_of(destination), err) != SLW_OK)
        return slw_err_prefix(err, "--artifacts-destination: ");
    if (!root || slw_str_starts(slw_str_of(root), "mlflow-artifacts:"))
        return SLW_OK;
    if (slw_place_open(&s->api.artifact_root, slw_str_of(root), err) != SLW_OK)
        return slw_err_prefix(err, "--default-artifact-root: ");
    return slw_track_default_locate(
        s->store, slw_str_of(slw_place_uri(s->api.artifact_root)), err);
}

/* Rooms in house order; HTTP listens before the flow starts so that jobs know
 * the server's address, and answers 503 until `ready`. */
static enum slw_rc
server_start(struct server *s, const struct app_args *a, struct slw_err *err)
{
    const char *dir = app_option(a, "data");
    const char *listen = app_option(a, "listen");
    int slots = 0;
    TRY(clock_from(a, &s->clock, err));
    TRY(number_option(a, "slots", SLOT_COUNT_DEFAULT, 64, &slots, err));
    struct slw_store_options so = {.dir = dir ? dir : APP_DEFAULT_DATA,
                                   .server = true};
    TRY(slw_store_open(&s->store, &so, err));
    TRY(places_open(s, a, err));
    TRY(slw_access_open(&s->access, s->store, err));
    TRY(slw_serve_open(&s->serve, s->store, &s->clock, err));
    s->api.store = s->store;
    s->api.clock = &s->clock;
    s->api.access = s->access;
    s->api.serve = s->serve;
    s->api.data_dir = slw_store_dir(s->store);
    s->api.start_mono_ns = slw_mono_ns();
    s->api.url = s->url;
    char tmp[4096];
    snprintf(tmp, sizeof tmp, "%s/tmp", slw_store_dir(s->store));
    const char *hosts[APP_OPTION_MAX];
    struct slw_http_options ho = {.listen =
                                      listen ? listen : APP_DEFAULT_LISTEN,
                                  .routes = slw_api_routes,
                                  .route_count = slw_api_route_count,
                                  .tmp_dir = tmp,
                                  .check_host = true,
                                  .hosts = hosts};
    for (int i = 0; i < a->option_count; i++)
        if (strcmp(a->option_names[i], "host") == 0)
            hosts[ho.host_count++] = a->option_values[i];
    slw_api_wire(&ho, &s->api);
    TRY(slw_http_start(&s->http, &ho, err));
    snprintf(s->url, sizeof s->url, "http://%s", slw_http_address(s->http));
    struct slw_jobs_options jo = {.store = s->store,
                                  .clock = &s->clock,
                                  .kinds = app_job_kinds,
                                  .kind_count = app_job_kind_count,
                                  .slot_count = slots};
    TRY(slw_jobs_start(&s->jobs, &jo, err));
    s->api.jobs = s->jobs;
    struct slw_flow_options fo = {.store = s->store,
                                  .clock = &s->clock,
                                  .serve = s->serve,
                                  .jobs = s->jobs,
                                  .server_url = s->url};
    TRY(slw_flow_start(&s->flow, &fo, err));
    s->api.flow = s->flow;
    struct slw_webhooks_options wo = {.store = s->store, .clock = &s->clock};
    TRY(slw_webhooks_start(&s->webhooks, &wo, err));
    TRY(slw_live_start(&s->api.live, &s->api, err));
    atomic_store(&s->api.ready, true);
    return SLW_OK;
}

/* A second signal does not wait for anybody. */
static void *
quit_at_second(void *arg)
{
    int got = 0;
    sigwait(arg, &got);
    slw_log(SLW_LOG_WARN, "server.quit", "signal=%d", got);
    _exit(APP_FAILED);
}

static void
announce(const struct server *s, const struct app_args *a)
{
    char now[SLW_TIME_TEXT_SIZE];
    if (a->json) {
        SLW_AUTO(slw_buf, b);
        struct slw_jw w;
        slw_jw_init(&w, &b);
        slw_jw_obj(&w);
        slw_jw_kz(&w, "url", s->url);
        slw_jw_kz(&w, "data", s->api.data_dir);
        slw_jw_kz(&w, "version", SLIPWAY_VERSION);
        slw_jw_obj_end(&w);
        printf("%.*s\n", SLW_FMT(slw_buf_view(&b)));
    } else {
        printf("slipway " SLIPWAY_VERSION " at %s, data in %s%s%s\n", s->url,
               s->api.data_dir, s->clock.manual ? ", clock by hand at " : "",
               s->clock.manual ? slw_time_text(slw_clock_now_ms(&s->clock), now)
                               : "");
    }
    fflush(stdout);
}

int
app_up(struct app_args *a)
{
    struct slw_err err;
    struct server s = {0};
    static sigset_t ends; /* the quitter may look at it when we are gone */
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    mallopt(M_ARENA_MAX, 4);
    const char *level = app_option(a, "log");
    if (level && strcmp(level, "debug") == 0)
        slw_log_level_set(SLW_LOG_DEBUG);
    else if (level && strcmp(level, "warn") == 0)
        slw_log_level_set(SLW_LOG_WARN);
    enum slw_rc rc = server_start(&s, a, &err);
    if (rc != SLW_OK) {
        server_stop(&s);
        return app_error(a, &err);
    }
    announce(&s, a);
    int got = 0;
    sigwait(&ends, &got);
    slw_log(SLW_LOG_INFO, "server.draining", "signal=%d", got);
    pthread_t quitter;
    if (pthread_create(&quitter, NULL, quit_at_second, &ends) == 0)
        pthread_detach(quitter);
    server_stop(&s);
    slw_log(SLW_LOG_INFO, "server.stopped", "signal=%d", got);
    return APP_OK;
}
