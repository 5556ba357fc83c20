/* gc.c -- `slipway gc`: what was deleted goes for good, and the bytes that
 * nothing names any more are given back.
 *
 * First rows: deleted experiments, runs and logged models past their age
 * (track), but for what a version of the registry needs.  Then bytes: every
 * room names the blobs that it needs, the rest is swept (store/gc.h).  The
 * server does it as a job; with --data this process does it itself, whether a
 * server runs on the folder or not. */
#include "app/app.h"
#include "base/clock.h"
#include "data/data.h"
#include "registry/registry.h"
#include "serve/serve.h"
#include "store/gc.h"
#include "track/track.h"

#define OLDER_THAN_MS_DEFAULT ((int64_t)30 * 24 * 3600 * 1000)
#define GRACE_MS_DEFAULT ((int64_t)3600 * 1000)
#define IDS_MAX ((size_t)10000)

/* One collection; everything in its arena. */
struct collection {
    struct slw_store *store;
    struct slw_arena arena;
    struct slw_purge_options options;
    int64_t older_than_ms, grace_ms;
    struct slw_purge purge;
    struct slw_registry_pins pins;
    struct slw_gc gc;
    int64_t free_size;                    /* of the database file */
    struct slw_place *destination, *root; /* NULL: none */
    int64_t place_count; /* folders of artifacts removed there */
    void (*progress)(void *ctx, const char *what, double share);
    void *progress_ctx;
};

static void
collection_done(struct collection *c)
{
    slw_gc_done(&c->gc);
    slw_place_close(c->destination);
    slw_place_close(c->root);
    slw_purge_done(&c->purge);
    slw_registry_pins_done(&c->pins);
    slw_arena_done(&c->arena);
}

/* ---- what was asked for ---- */

static enum slw_rc
ids_read(struct collection *c, const struct json_t *spec, const char *key,
         const struct slw_str **out, size_t *out_count, struct slw_err *err)
{
    const struct json_t *list = slw_json_get(spec, key);
    const size_t count = slw_json_len(list);
    if (list && slw_json_type(list) != SLW_JSON_ARRAY)
        return slw_fail(err, SLW_INVALID, "\"%s\" must be a list of ids", key);
    if (count > IDS_MAX)
        return slw_fail(err, SLW_LIMIT, "\"%s\" has more than %zu ids", key,
                        IDS_MAX);
    struct slw_str *ids = SLW_ARENA_NEW(&c->arena, struct slw_str, count + 1);
    for (size_t i = 0; i < count; i++) {
        const struct slw_str id =
            slw_json_str_or(slw_json_at(list, i), SLW_STR(""));
        if (id.len == 0)
            return slw_fail(err, SLW_INVALID,
                            "\"%s\" must be a list of ids, each a text", key);
        ids[i] = slw_arena_str(&c->arena, id);
    }
    *out = ids;
    *out_count = count;
    return SLW_OK;
}

static enum slw_rc
age_read(const struct json_t *spec, const char *key, int64_t dflt,
         int64_t *out_ms, struct slw_err *err)
{
    struct slw_str text = {0};
    *out_ms = dflt;
    TRY(slw_json_opt_str(spec, key, &text, err));
    if (text.len == 0)
        return SLW_OK;
    if (slw_duration_parse(text, out_ms, err) != SLW_OK)
        return slw_err_prefix(err, "\"%s\": ", key);
    return SLW_OK;
}

static enum slw_rc
place_read(const struct json_t *spec, const char *key, struct slw_place **out,
           struct slw_err *err)
{
    struct slw_str uri = {0};
    TRY(slw_json_opt_str(spec, key, &uri, err));
    return uri.len ? slw_place_open(out, uri, err) : SLW_OK;
}

static enum slw_rc
spec_read(struct collection *c, const struct json_t *spec, int64_t now_ms,
          struct slw_err *err)
{
    struct slw_purge_options *o = &c->options;
    TRY(age_read(spec, "older_than", OLDER_THAN_MS_DEFAULT, &c->older_than_ms,
                 err));
    TRY(age_read(spec, "grace", GRACE_MS_DEFAULT, &c->grace_ms, err));
    TRY(ids_read(c, spec, "experiment_ids", &o->experiments,
                 &o->experiment_count, err));
    TRY(ids_read(c, spec, "run_ids", &o->runs, &o->run_count, err));
    TRY(ids_read(c, spec, "logged_model_ids", &o->models, &o->model_count,
                 err));
    TRY(place_read(spec, "artifacts_destination", &c->destination, err));
    TRY(place_read(spec, "default_artifact_root", &c->root, err));
    o->files_too = c->destination || c->root;
    o->dry_run = slw_json_bool_or(slw_json_get(spec, "dry_run"), false);
    o->now_ms = now_ms;
    o->before_ms = now_ms - c->older_than_ms;
    o->needs = (struct slw_purge_needs){&c->pins, slw_registry_pins_load,
                                        slw_registry_pins_who};
    return SLW_OK;
}

/* ---- the work ---- */

static void
gc_progress(void *ctx, const char *what, int64_t done, int64_t total)
{
    struct collection *c = ctx;
    if (c->progress)
        c->progress(c->progress_ctx, what,
                    total > 0 ? 0.5 + 0.5 * (double)done / (double)total : 0.5);
}

static void
purge_progress(void *ctx, int64_t done)
{
    struct collection *c = ctx;
    char what[80];
    (void)snprintf(what, sizeof what, "%lld deleted runs and models",
                   (long long)done);
    if (c->progress)
        c->progress(c->progress_ctx, what, 0.1);
}

/* How long ago a job that runs now may have stored what no row names yet: no
 * longer than its kind may run. */
static enum slw_rc
job_age(struct collection *c, int64_t *out_ms, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    struct slw_job *jobs = NULL;
    size_t count = 0;
    *out_ms = 0;
    TRY(slw_tx_read(&tx, c->store, err));
    TRY(slw_job_moving(&tx, 1000, &c->arena, &jobs, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (jobs[i].state != SLW_JOB_RUNNING)
            continue;
        for (size_t k = 0; k < app_job_kind_count; k++)
            if (slw_str_eqz(jobs[i].kind, app_job_kinds[k].name) &&
                app_job_kinds[k].fn != app_gc_job &&
                app_job_kinds[k].timeout_ms > *out_ms)
                *out_ms = app_job_kinds[k].timeout_ms;
    }
    return SLW_OK;
}

static enum slw_rc
bytes_collect(struct collection *c, struct slw_err *err)
{
    struct slw_gc_options o = {.grace_ms = c->grace_ms,
                               .dry_run = c->options.dry_run};
    TRY(job_age(c, &o.job_ms, err));
    c->gc.progress = gc_progress;
    c->gc.progress_ctx = c;
    TRY(slw_gc_begin(&c->gc, c->store, &o, err));
    TRY(slw_jobs_blobs(&c->gc, err));
    TRY(slw_data_blobs(&c->gc, err));
    TRY(slw_track_blobs(&c->gc, &c->purge, err));
    TRY(slw_registry_blobs(&c->gc, err));
    TRY(slw_serve_blobs(&c->gc, err));
    TRY(slw_gc_sweep(&c->gc, err));
    return slw_store_free_size(c->store, &c->free_size, err);
}

/* Where a root lies that is to go; false: where we may not write. */
static bool
garbage_place(const struct collection *c, struct slw_str uri,
              struct slw_place **out, struct slw_str *out_path)
{
    struct slw_err ignored;
    struct slw_place *const places[] = {c->root, c->destination};
    for (size_t i = 0; i < SLW_ARRAY_LEN(places); i++) {
        if (places[i] && slw_place_holds(places[i], uri, out_path)) {
            *out = places[i];
            return out_path->len > 0;
        }
    }
    *out = c->destination;
    return c->destination &&
           slw_track_artifact_root(uri, out_path, &ignored) == SLW_OK &&
           out_path->len > 0;
}

/* Files of what was removed; noted down until they are gone. */
static enum slw_rc
places_clean(struct collection *c, struct slw_err *err)
{
    struct slw_str after = {"", 0};
    for (;;) {
        struct slw_str uri = {0}, path = {0};
        struct slw_place *place = NULL;
        bool found = false;
        {
            SLW_AUTO(slw_tx, look);
            TRY(slw_tx_read(&look, c->store, err));
            TRY(slw_track_garbage(&look, after, &c->arena, &uri, &found, err));
        }
        if (!found)
            return SLW_OK;
        after = uri;
        if (!garbage_place(c, uri, &place, &path))
            continue; /* of another place: whoever runs with it again */
        const enum slw_rc rc = slw_place_remove(place, path, err);
        if (rc != SLW_OK && rc != SLW_NOT_FOUND)
            return rc;
        c->place_count += rc == SLW_OK;
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_begin(&tx, c->store, err));
        TRY(slw_track_garbage_gone(&tx, uri, err));
        TRY(slw_tx_commit(&tx, err));
    }
}

static enum slw_rc
collect(struct collection *c, struct slw_err *err)
{
    c->options.progress = purge_progress;
    c->options.progress_ctx = c;
    TRY(slw_track_purge(c->store, &c->options, &c->purge, err));
    TRY(bytes_collect(c, err));
    return c->options.dry_run ? SLW_OK : places_clean(c, err);
}

/* ---- the report ---- */

static void
items_write(const struct slw_purge *p, struct slw_jw *w)
{
    char at[SLW_TIME_TEXT_SIZE];
    slw_jw_key(w, "items");
    slw_jw_arr(w);
    for (size_t i = 0; i < p->item_count; i++) {
        const struct slw_purge_item *item = &p->items[i];
        slw_jw_obj(w);
        slw_jw_kz(w, "kind", slw_purge_kind_name(item->kind));
        slw_jw_kstr(w, "id", item->id);
        slw_jw_kstr(w, "name", item->name);
        slw_jw_ki64(w, "experiment", item->experiment_id);
        slw_jw_kz(w, "deleted_at", slw_time_text(item->deleted_at_ms, at));
        slw_jw_ki64(w, "artifacts", item->file_count);
        slw_jw_ki64(w, "artifact_bytes", item->size);
        slw_jw_kstr(w, "kept", item->kept);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
}

static void
report_write(const struct collection *c, struct slw_jw *w)
{
    const struct slw_purge *p = &c->purge;
    const struct slw_gc *g = &c->gc;
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"experiments", p->experiment_count},
        {"runs", p->run_count},
        {"logged_models", p->model_count},
        {"kept", p->kept_count},
        {"artifacts", p->file_count},
        {"artifact_bytes", p->size},
        {"blob_files", g->swept_count},
        {"blob_bytes", g->swept_size},
        {"young_files", g->young_count},
        {"young_bytes", g->young_size},
        {"needed_files", g->live_count},
        {"needed_bytes", g->live_size},
        {"temporary_files", g->tmp_count},
        {"temporary_bytes", g->tmp_size},
        {"artifact_folders", c->place_count},
        {"copies", g->copy_count},
        {"copy_bytes", g->copy_size},
        {"freed_bytes", g->swept_size + g->tmp_size + g->copy_size},
        {"database_free_bytes", c->free_size},
    };
    slw_jw_obj(w);
    slw_jw_kbool(w, "dry_run", c->options.dry_run);
    for (size_t i = 0; i < SLW_ARRAY_LEN(numbers); i++)
        slw_jw_ki64(w, numbers[i].name, numbers[i].value);
    items_write(p, w);
    slw_jw_obj_end(w);
}

/* ---- as a job ---- */

static void
job_progress(void *ctx, const char *what, double share)
{
    slw_job_progress(ctx, share, "%s", what);
}

enum slw_rc
app_gc_job(struct slw_job_ctx *ctx, struct slw_err *err)
{
    SLW_AUTO(collection, c);
    SLW_AUTO(slw_buf, text);
    SLW_AUTO(slw_tx, tx);
    struct slw_jw w;
    c.store = ctx->store;
    c.progress = job_progress;
    c.progress_ctx = ctx;
    TRY(spec_read(&c, ctx->spec, ctx->now_ms, err));
    TRY(collect(&c, err));
    slw_jw_init(&w, &text);
    report_write(&c, &w);
    TRY(slw_tx_begin(&tx, ctx->store, err));
    TRY(slw_job_finish(ctx, &tx, slw_buf_view(&text), err));
    return slw_tx_commit(&tx, err);
}

/* ---- the command ---- */

static void
list_write(struct app_args *a, struct slw_jw *w, const char *option,
           const char *key)
{
    const char *given = app_option(a, option);
    if (!given)
        return;
    struct slw_str rest = slw_str_of(given), part;
    slw_jw_key(w, key);
    slw_jw_arr(w);
    while (rest.len) {
        if (!slw_str_cut(rest, ',', &part, &rest)) {
            part = rest;
            rest.len = 0;
        }
        slw_jw_str(w, slw_str_trim(part));
    }
    slw_jw_arr_end(w);
}

static void
body_write(struct app_args *a, struct slw_buf *out)
{
    struct slw_jw w;
    slw_jw_init(&w, out);
    slw_jw_obj(&w);
    app_key_option(a, &w, "older-than", "older_than");
    app_key_option(a, &w, "grace", "grace");
    if (app_option(a, "data")) { /* else the server knows its own */
        app_key_option(a, &w, "artifacts-destination", "artifacts_destination");
        app_key_option(a, &w, "default-artifact-root", "default_artifact_root");
    }
    list_write(a, &w, "experiment-ids", "experiment_ids");
    list_write(a, &w, "run-ids", "run_ids");
    list_write(a, &w, "logged-model-ids", "logged_model_ids");
    slw_jw_kbool(&w, "dry_run", app_option(a, "dry-run") != NULL);
    slw_jw_obj_end(&w);
}

static double
megabytes(const struct json_t *doc, const char *key)
{
    return (double)slw_json_i64_or(slw_json_get(doc, key), 0) * 1e-6;
}

static long long
count_of(const struct json_t *doc, const char *key)
{
    return (long long)slw_json_i64_or(slw_json_get(doc, key), 0);
}

static void
report_show(const struct app_args *a, const struct json_t *doc)
{
    const bool dry = slw_json_bool_or(slw_json_get(doc, "dry_run"), false);
    const char *would = dry ? "would remove" : "removed";
    if (a->json) {
        app_show(a, doc, NULL, NULL);
        return;
    }
    const struct json_t *items = slw_json_get(doc, "items");
    if (slw_json_len(items))
        app_table(items, "kind id name deleted=deleted_at artifacts "
                         "size=artifact_bytes:size kept");
    printf("%s %lld experiments, %lld runs, %lld logged models, %lld "
           "artifacts (%.1f MB); %lld kept\n",
           would, count_of(doc, "experiments"), count_of(doc, "runs"),
           count_of(doc, "logged_models"), count_of(doc, "artifacts"),
           megabytes(doc, "artifact_bytes"), count_of(doc, "kept"));
    printf("%s %lld files of blobs/ (%.1f MB), %lld temporary files (%.1f MB), "
           "%lld plain copies (%.1f MB)\n",
           would, count_of(doc, "blob_files"), megabytes(doc, "blob_bytes"),
           count_of(doc, "temporary_files"), megabytes(doc, "temporary_bytes"),
           count_of(doc, "copies"), megabytes(doc, "copy_bytes"));
    printf("%lld files are needed (%.1f MB), %lld too young to say (%.1f MB); "
           "the database has %.1f MB that it will use again\n",
           count_of(doc, "needed_files"), megabytes(doc, "needed_bytes"),
           count_of(doc, "young_files"), megabytes(doc, "young_bytes"),
           megabytes(doc, "database_free_bytes"));
    if (dry)
        printf("nothing was changed\n");
}

static void
meter_progress(void *ctx, const char *what, double share)
{
    app_meter_show(ctx, share, what);
}

static enum slw_rc
folder_collect(const char *dir, struct slw_str body, struct slw_json *out,
               struct slw_err *err)
{
    struct app_meter meter;
    struct timespec now;
    struct slw_store *store = NULL;
    SLW_AUTO(slw_json, spec);
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    const struct slw_store_options so = {.dir = dir, .server = false};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    TRY(slw_json_parse(&spec, body, err));
    TRY(slw_store_open(&store, &so, err));
    app_meter_start(&meter, "collecting");
    enum slw_rc rc;
    {
        SLW_AUTO(collection, c);
        c.store = store;
        c.progress = meter_progress;
        c.progress_ctx = &meter;
        rc = spec_read(&c, spec.root, now.tv_sec * 1000 + now.tv_nsec / 1000000,
                       err);
        if (rc == SLW_OK)
            rc = collect(&c, err);
        slw_jw_init(&w, &text);
        report_write(&c, &w);
    }
    app_meter_end(&meter);
    slw_store_close(store);
    TRY(rc);
    return slw_json_parse(out, slw_buf_view(&text), err);
}

static enum slw_rc
server_collect(struct app_args *a, struct slw_str body, struct slw_json *out,
               struct slw_err *err)
{
    SLW_AUTO(slw_json, started);
    TRY(app_request_json(a, "POST", "/api/v1/gc", body, &started, err));
    return app_job_wait(
        a, slw_json_i64_or(slw_json_get(started.root, "job"), 0), out, err);
}

int
app_gc(struct app_args *a)
{
    struct slw_err err;
    SLW_AUTO(slw_buf, body);
    SLW_AUTO(slw_json, doc);
    const char *dir = app_option(a, "data");
    body_write(a, &body);
    const enum slw_rc rc =
        dir ? folder_collect(dir, slw_buf_view(&body), &doc, &err)
            : server_collect(a, slw_buf_view(&body), &doc, &err);
    if (rc != SLW_OK)
        return app_error(a, &err);
    report_show(a, dir ? doc.root : slw_json_get(doc.root, "result"));
    return APP_OK;
}
