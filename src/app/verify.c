/* verify.c -- `slipway verify`: every room looks at what it keeps.
 *
 * Without --data the server that --url names does it, in a child; with --data
 * this process reads the folder itself, whether a server runs on it or not. */
#include "app/app.h"
#include "data/data.h"
#include "features/features.h"
#include "flow/flow.h"
#include "monitor/monitor.h"
#include "registry/registry.h"
#include "serve/serve.h"
#include "store/verify.h"
#include "track/track.h"
#include "train/train.h"

enum slw_rc
app_verify_all(struct slw_verify *v, struct slw_store *s, struct slw_err *err)
{
    static const struct {
        const char *room;
        enum slw_rc (*fn)(struct slw_verify *, struct slw_err *);
    } rooms[] = {
        {"store", slw_verify_store},       {"jobs", slw_jobs_verify},
        {"data", slw_data_verify},         {"features", slw_features_verify},
        {"track", slw_track_verify},       {"train", slw_train_verify},
        {"registry", slw_registry_verify}, {"serve", slw_serve_verify},
        {"monitor", slw_monitor_verify},   {"flow", slw_flow_verify},
        {"store", slw_verify_blobs}, /* last: gives the snapshot back */
    };
    TRY(slw_verify_begin(v, s, err));
    for (size_t i = 0; i < SLW_ARRAY_LEN(rooms); i++) {
        slw_verify_step(v, rooms[i].room, 0, 0);
        TRY(slw_verify_rc(v, rooms[i].room, rooms[i].fn(v, err), err));
    }
    return SLW_OK;
}

enum slw_rc
app_verify_task(struct slw_store *s, void *app, const struct json_t *spec,
                struct slw_arena *a, struct slw_jw *out, struct slw_err *err)
{
    SLW_AUTO(slw_verify, v);
    TRY(app_verify_all(&v, s, err));
    slw_jw_obj(out);
    slw_verify_write(&v, out);
    slw_jw_obj_end(out);
    return SLW_OK;
}

static void
verify_progress(void *ctx, const char *what, int64_t done, int64_t total)
{
    app_meter_show(ctx, total > 0 ? (double)done / (double)total : 0, what);
}

static void
counts_show(const struct json_t *counts)
{
    for (void *it = slw_json_iter(counts); it; it = slw_json_next(counts, it))
        printf("%12lld  %.*s\n",
               (long long)slw_json_i64_or(slw_json_iter_value(it), 0),
               SLW_FMT(slw_json_iter_key(it)));
}

static struct slw_str
text_of(const struct json_t *o, const char *key)
{
    return slw_json_str_or(slw_json_get(o, key), SLW_STR("?"));
}

/* The report for a person; the exit code. */
static int
report_show(const struct app_args *a, const struct json_t *doc)
{
    const struct json_t *faults = slw_json_get(doc, "faults");
    const struct json_t *notes = slw_json_get(doc, "notes");
    const long long count =
        (long long)slw_json_i64_or(slw_json_get(doc, "fault_count"), 0);
    const bool ok = slw_json_bool_or(slw_json_get(doc, "ok"), false);
    if (a->json) {
        app_show(a, doc, NULL, NULL);
        return ok ? APP_OK : APP_FAILED;
    }
    counts_show(slw_json_get(doc, "counts"));
    for (size_t i = 0; i < slw_json_len(notes); i++)
        printf("note: %.*s\n",
               SLW_FMT(slw_json_str_or(slw_json_at(notes, i), SLW_STR(""))));
    for (size_t i = 0; i < slw_json_len(faults); i++) {
        const struct json_t *f = slw_json_at(faults, i);
        printf("FAULT %.*s: %.*s; %.*s\n", SLW_FMT(text_of(f, "room")),
               SLW_FMT(text_of(f, "what")), SLW_FMT(text_of(f, "fix")));
    }
    if (ok)
        printf("everything is as it was stored\n");
    else
        printf("%lld fault%s\n", count, count == 1 ? "" : "s");
    return ok ? APP_OK : APP_FAILED;
}

static enum slw_rc
folder_verify(const char *dir, struct slw_json *out, struct slw_err *err)
{
    struct app_meter meter;
    struct slw_store *store = NULL;
    const struct slw_store_options so = {.dir = dir, .server = false};
    app_meter_start(&meter, "checking");
    TRY(slw_store_open(&store, &so, err));
    SLW_AUTO(slw_buf, text);
    SLW_AUTO(slw_verify, v);
    v.progress = verify_progress;
    v.progress_ctx = &meter;
    const enum slw_rc rc = app_verify_all(&v, store, err);
    slw_tx_done(&v.tx);
    slw_store_close(store);
    app_meter_end(&meter);
    TRY(rc);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    slw_verify_write(&v, &w);
    slw_jw_obj_end(&w);
    return slw_json_parse(out, slw_buf_view(&text), err);
}

int
app_verify(struct app_args *a)
{
    struct slw_err err;
    SLW_AUTO(slw_json, doc);
    const char *dir = app_option(a, "data");
    const enum slw_rc rc = dir ? folder_verify(dir, &doc, &err)
                               : app_request_json(a, "GET", "/api/v1/verify",
                                                  SLW_STR(""), &doc, &err);
    return rc == SLW_OK ? report_show(a, doc.root) : app_error(a, &err);
}
