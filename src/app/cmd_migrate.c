/* cmd_migrate.c -- `slipway import mlflow` and `slipway export`: in this
 * process with --data, beside a server or without one; else by the server. */
#include "app/app.h"
#include "base/file.h"
#include "migrate/migrate.h"

#include <limits.h>
#include <unistd.h>

static void
progress(void *ctx, double share, const char *note)
{
    app_meter_show(ctx, share, note);
}

/* The folder's store: alone where no server has it, else beside it. */
static enum slw_rc
store_here(const char *dir, bool must_exist, struct slw_store **out,
           struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_store_options o = {.dir = dir, .server = true};
    if (must_exist && !slw_file_exists(slw_path(&a, dir, "slipway.db")))
        return slw_fail(err, SLW_NOT_FOUND,
                        "there is no data folder of Slipway's at %s", dir);
    const enum slw_rc rc = slw_store_open(out, &o, err);
    if (rc != SLW_BUSY)
        return rc;
    o.server = false;
    return slw_store_open(out, &o, err);
}

/* As the server has to be told it: from the root. */
static const char *
absolute(struct app_args *a, const char *path)
{
    char here[PATH_MAX];
    if (*path == '/' || !getcwd(here, sizeof here))
        return path;
    return slw_path(&a->arena, here, "%s", path);
}

static int64_t
now_ms(void)
{
    struct slw_clock clock;
    slw_clock_init_system(&clock);
    return slw_clock_now_ms(&clock);
}

/* Let the server do it; *out is the job's result. */
static enum slw_rc
done_there(struct app_args *a, const char *path, struct slw_buf *body,
           struct slw_json *job, struct slw_err *err)
{
    SLW_AUTO(slw_json, started);
    TRY(app_request_json(a, "POST", path, slw_buf_view(body), &started, err));
    if (app_job_wait(a, slw_json_i64_or(slw_json_get(started.root, "job"), 0),
                     job, err) != SLW_OK)
        return slw_err_prefix(err, "on the server's machine: ");
    return SLW_OK;
}

/* ---- import ---- */

static void
kinds_print(const struct json_t *kinds)
{
    SLW_AUTO(slw_buf, rows);
    SLW_AUTO(slw_json, doc);
    struct slw_jw w;
    struct slw_err err;
    slw_jw_init(&w, &rows);
    slw_jw_arr(&w);
    for (void *it = slw_json_iter(kinds); it; it = slw_json_next(kinds, it)) {
        slw_jw_obj(&w);
        slw_jw_kstr(&w, "kind", slw_json_iter_key(it));
        slw_jw_key(&w, "n");
        slw_jw_node(&w, slw_json_iter_value(it));
        slw_jw_obj_end(&w);
    }
    slw_jw_arr_end(&w);
    if (slw_json_parse(&doc, slw_buf_view(&rows), &err) == SLW_OK)
        app_table(doc.root, "kind=kind there=n.there brought=n.brought"
                            " already_here=n.already left_out=n.left_out");
}

static int64_t
count_of(const struct json_t *report, const char *key)
{
    return slw_json_i64_or(slw_json_get(report, key), 0);
}

static void
lines_print(const struct json_t *report, const char *key, const char *title)
{
    char count_key[32];
    const struct json_t *list = slw_json_get(report, key);
    (void)snprintf(count_key, sizeof count_key, "%s_count", key);
    const int64_t count = count_of(report, count_key);
    if (count == 0)
        return;
    printf("\n%s (%lld):\n", title, (long long)count);
    for (size_t i = 0; i < slw_json_len(list); i++) {
        const struct json_t *line = slw_json_at(list, i);
        const struct json_t *to = slw_json_get(line, "to");
        if (slw_json_type(line) == SLW_JSON_STR)
            printf("  %.*s\n", SLW_FMT(slw_json_str_or(line, SLW_STR(""))));
        else if (slw_json_get(line, "why"))
            printf("  %.*s: %.*s\n",
                   SLW_FMT(slw_json_str_or(slw_json_get(line, "what"),
                                           SLW_STR(""))),
                   SLW_FMT(slw_json_str_or(slw_json_get(line, "why"),
                                           SLW_STR(""))));
        else if (slw_json_type(to) == SLW_JSON_INT)
            printf("  %.*s: %lld is %lld here\n",
                   SLW_FMT(slw_json_str_or(slw_json_get(line, "experiment"),
                                           SLW_STR(""))),
                   (long long)count_of(line, "from"),
                   (long long)slw_json_i64_or(to, 0));
        else
            printf("  %.*s: %lld would be another here\n",
                   SLW_FMT(slw_json_str_or(slw_json_get(line, "experiment"),
                                           SLW_STR(""))),
                   (long long)count_of(line, "from"));
    }
    if (count > (int64_t)slw_json_len(list))
        printf("  and %lld more\n",
               (long long)(count - (int64_t)slw_json_len(list)));
}

static int
report_show(const struct app_args *a, const struct json_t *report)
{
    const bool complete =
        slw_json_bool_or(slw_json_get(report, "complete"), false);
    if (a->json) {
        app_show(a, report, NULL, NULL);
        return complete ? APP_OK : APP_FAILED;
    }
    printf(
        "%.*s, MLflow's schema revision %.*s%s, %.1f s\n\n",
        SLW_FMT(slw_json_str_or(slw_json_get(report, "source"), SLW_STR("?"))),
        SLW_FMT(
            slw_json_str_or(slw_json_get(report, "revision"), SLW_STR("?"))),
        slw_json_bool_or(slw_json_get(report, "dry_run"), false)
            ? ", what would be done"
            : "",
        slw_json_f64_or(slw_json_get(report, "seconds"), 0));
    kinds_print(slw_json_get(report, "kinds"));
    if (slw_json_type(slw_json_get(report, "artifacts")) == SLW_JSON_STR)
        printf("\nartifacts: %lld folders found, %lld runs and logged models "
               "had none, %.1f MB\n",
               (long long)count_of(report, "artifact_folders"),
               (long long)count_of(report, "without_artifact_folder"),
               (double)count_of(report, "artifact_bytes") * 1e-6);
    else
        puts("\nartifacts: none were asked for; the same command with "
             "--artifacts DIR brings them,\nwhere DIR is the old server's "
             "--artifacts-destination (./mlartifacts) or ./mlruns");
    if (count_of(report, "texts_not_utf8"))
        printf("%lld texts were not UTF-8; such bytes are '?' here\n",
               (long long)count_of(report, "texts_not_utf8"));
    lines_print(report, "mapped", "experiments with another number here");
    lines_print(report, "elsewhere", "artifacts that stay where they are");
    lines_print(report, "left_out", "left out");
    return complete ? APP_OK : APP_FAILED;
}

static enum slw_rc
import_here(struct app_args *a, struct slw_import_options *o, const char *data,
            struct slw_json *out, struct slw_err *err)
{
    SLW_AUTO(slw_buf, report);
    struct slw_store *store = NULL;
    struct app_meter m;
    const char *path = NULL;
    TRY(slw_import_uri_check(o->backend_uri, &a->arena, &path, err));
    TRY(store_here(data, o->dry_run, &store, err));
    app_meter_start(&m, "import");
    o->now_ms = now_ms();
    o->progress = progress;
    o->progress_ctx = &m;
    const enum slw_rc rc = slw_import_mlflow(store, o, &report, err);
    app_meter_end(&m);
    slw_store_close(store);
    TRY(rc);
    return slw_json_parse(out, slw_buf_view(&report), err);
}

static enum slw_rc
import_there(struct app_args *a, const struct slw_import_options *o,
             struct slw_json *out, struct slw_err *err)
{
    SLW_AUTO(slw_buf, body);
    struct slw_jw w;
    const char *path = NULL;
    TRY(slw_import_uri_check(o->backend_uri, &a->arena, &path, err));
    slw_jw_init(&w, &body);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "backend_store_uri", absolute(a, path));
    if (o->artifacts)
        slw_jw_kz(&w, "artifacts", absolute(a, o->artifacts));
    slw_jw_kstr(&w, "prefix", o->prefix);
    slw_jw_kbool(&w, "report_only", o->dry_run);
    slw_jw_obj_end(&w);
    return done_there(a, "/api/v1/imports", &body, out, err);
}

int
app_import_mlflow(struct app_args *a)
{
    struct slw_err err;
    SLW_AUTO(slw_json, doc);
    const char *data = app_option(a, "data");
    struct slw_import_options o = {
        .backend_uri = slw_str_of(app_option(a, "backend-store-uri")),
        .artifacts = app_option(a, "artifacts"),
        .prefix = slw_str_of(app_option(a, "prefix")),
        .dry_run = app_option(a, "dry-run") != NULL};
    const enum slw_rc rc = data ? import_here(a, &o, data, &doc, &err)
                                : import_there(a, &o, &doc, &err);
    if (rc != SLW_OK)
        return app_error(a, &err);
    return report_show(a, data ? doc.root : slw_json_get(doc.root, "result"));
}

/* ---- export ---- */

static enum slw_rc
export_here(struct app_args *a, struct slw_export_options *o, const char *data,
            struct slw_json *out, struct slw_err *err)
{
    SLW_AUTO(slw_buf, manifest);
    struct slw_store *store = NULL;
    struct app_meter m;
    TRY(store_here(data, true, &store, err));
    app_meter_start(&m, "export");
    o->now_ms = now_ms();
    o->progress = progress;
    o->progress_ctx = &m;
    const enum slw_rc rc = slw_export(store, o, &manifest, err);
    app_meter_end(&m);
    slw_store_close(store);
    TRY(rc);
    return slw_json_parse(out, slw_buf_view(&manifest), err);
}

static enum slw_rc
export_there(struct app_args *a, const struct slw_export_options *o,
             struct slw_json *out, struct slw_err *err)
{
    SLW_AUTO(slw_buf, body);
    struct slw_jw w;
    slw_jw_init(&w, &body);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "out", absolute(a, o->dir));
    slw_jw_kbool(&w, "artifacts", o->artifacts);
    slw_jw_key(&w, "experiments");
    slw_jw_arr(&w);
    for (size_t i = 0; i < o->experiment_count; i++)
        slw_jw_str(&w, o->experiments[i]);
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    return done_there(a, "/api/v1/exports", &body, out, err);
}

static void
manifest_print(const struct json_t *manifest)
{
    const struct json_t *tables = slw_json_get(manifest, "tables");
    for (void *it = slw_json_iter(tables); it; it = slw_json_next(tables, it))
        printf("%12lld  %.*s\n",
               (long long)slw_json_i64_or(slw_json_iter_value(it), 0),
               SLW_FMT(slw_json_iter_key(it)));
    printf("%lld files in %.*s\n", (long long)count_of(manifest, "files"),
           SLW_FMT(slw_json_str_or(slw_json_get(manifest, "folder"),
                                   SLW_STR("?"))));
}

int
app_export_all(struct app_args *a)
{
    struct slw_err err;
    SLW_AUTO(slw_json, doc);
    struct slw_str names[APP_OPTION_MAX];
    const char *data = app_option(a, "data");
    struct slw_export_options o = {.dir = app_option(a, "out"),
                                   .experiments = names,
                                   .artifacts =
                                       app_option(a, "artifacts") != NULL};
    for (int i = 0; i < a->option_count; i++)
        if (strcmp(a->option_names[i], "experiment") == 0)
            names[o.experiment_count++] = slw_str_of(a->option_values[i]);
    const enum slw_rc rc = data ? export_here(a, &o, data, &doc, &err)
                                : export_there(a, &o, &doc, &err);
    if (rc != SLW_OK)
        return app_error(a, &err);
    const struct json_t *manifest =
        data ? doc.root : slw_json_get(doc.root, "result");
    if (a->json)
        app_show(a, manifest, NULL, NULL);
    else
        manifest_print(manifest);
    return APP_OK;
}
