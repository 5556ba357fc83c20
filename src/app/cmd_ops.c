/* cmd_ops.c -- the project as a whole: init, apply, run, status; flows, jobs,
 * the clock, tokens. */
#include "app/app.h"
#include "base/clock.h"
#include "base/file.h"
#include "flow/flow.h"

#include <limits.h>
#include <unistd.h>

#define YAML_DEFAULT "slipway.yaml"

static const char STARTER[] =
    "# slipway.yaml: one project, in the order of the loop.\n"
    "project: my-project\n"
    "sources:                 # where data comes from, what it must look like\n"
    "  sales:\n"
    "    path: data/sales.csv\n"
    "    entity: shop         # whose rows these are\n"
    "    event_time: day      # when they happened\n"
    "    expect: [\"amount >= 0\", \"unique(shop, day)\", "
    "\"not_null(amount)\"]\n"
    "features:                # one definition for training and serving\n"
    "  recent:\n"
    "    entity: shop\n"
    "    ttl: 7d              # older values are not served\n"
    "    sql: SELECT shop, day, amount AS amount_0, lag(amount) OVER (PARTITION"
    " BY shop ORDER BY day) AS amount_1 FROM sales\n"
    "models:\n"
    "  next-amount:\n"
    "    target: {sql: lead(amount) OVER w, of: sales}\n"
    "    features: [recent]\n"
    "    split: {validate: 30d, test: 30d}   # by time, never shuffled\n"
    "    metric: mae\n"
    "    search: {trials: 8, seed: 7}\n"
    "    candidates:\n"
    "      xgboost: {eta: [0.03, 0.3, log], max_depth: [2, 6], rounds: 100}\n"
    "    fallback: {sql: amount_0}           # what answers when the model "
    "cannot\n"
    "    gate: {beats: {fallback: 0, champion: 0}, confidence: 0.95}\n"
    "deployments:\n"
    "  next-amount: {model: next-amount, rollout: [{canary: 10%, requests: "
    "200}]}\n"
    "monitors:\n"
    "  next-amount: {window: 30d, drift: {alpha: 0.05}}\n"
    "retrain:\n"
    "  next-amount: {on: [drift, performance, \"new_data: 30d\"], cooldown: "
    "14d}\n";

int
app_init(struct app_args *a)
{
    struct slw_err err;
    const char *folder = a->word_count ? a->words[0] : ".";
    const char *path = slw_path(&a->arena, folder, YAML_DEFAULT);
    if (slw_file_exists(path)) {
        slw_fail(&err, SLW_CONFLICT, "%s is there already", path);
        return app_error(a, &err);
    }
    if (slw_dir_make(folder, &err) != SLW_OK ||
        slw_file_put(path, slw_str_of(STARTER), &err) != SLW_OK)
        return app_error(a, &err);
    if (a->json)
        printf("{\"file\":\"%s\"}\n", path);
    else
        printf("%s written; next: slipway up, then slipway run %s\n", path,
               path);
    return APP_OK;
}

const char *
app_folder_of(struct app_args *a, const char *path)
{
    char real[PATH_MAX];
    if (!realpath(path, real))
        return ".";
    char *slash = strrchr(real, '/');
    SLW_ASSERT(slash);
    *slash = '\0';
    return slw_arena_strz(&a->arena, slw_str_of(*real ? real : "/"));
}

/* Send the project file; the server checks it. */
static enum slw_rc
apply(struct app_args *a, const char *file, struct slw_json *out,
      struct slw_err *err)
{
    SLW_AUTO(slw_buf, yaml);
    TRY(slw_file_get(file, SLW_PROJECT_SIZE_MAX, &yaml, err));
    const char *path =
        app_text(a, "/api/v1/project?file=%s&dir=%s", app_segment(a, file),
                 app_segment(a, app_folder_of(a, file)));
    return app_request_json(a, "PUT", path, slw_buf_view(&yaml), out, err);
}

static const char *
yaml_of(const struct app_args *a)
{
    return a->word_count ? a->words[0] : YAML_DEFAULT;
}

int
app_apply(struct app_args *a)
{
    struct slw_err err;
    SLW_AUTO(slw_json, doc);
    if (apply(a, yaml_of(a), &doc, &err) != SLW_OK)
        return app_error(a, &err);
    if (a->json) {
        app_show(a, doc.root, NULL, NULL);
        return APP_OK;
    }
    const struct json_t *changed = slw_json_get(doc.root, "changed");
    printf("project %.*s: %zu changed\n",
           SLW_FMT(slw_json_str_or(slw_json_get(doc.root, "project"),
                                   SLW_STR("?"))),
           slw_json_len(changed));
    app_tree(changed, 2);
    return APP_OK;
}

/* ---- run: sources, features, then a flow a model ---- */

static enum slw_rc
wait_started(struct app_args *a, const char *path, struct slw_buf *body,
             struct slw_json *out, struct slw_err *err)
{
    SLW_AUTO(slw_json, started);
    TRY(app_request_json(a, "POST", path, slw_buf_view(body), &started, err));
    return app_job_wait(
        a, slw_json_i64_or(slw_json_get(started.root, "job"), 0), out, err);
}

static enum slw_rc
add_source(struct app_args *a, struct slw_str name, struct slw_str path,
           const char *folder, struct slw_err *err)
{
    char hash[65];
    const char *file = path.len && path.ptr[0] == '/'
                           ? slw_arena_strz(&a->arena, path)
                           : app_text(a, "%s/%.*s", folder, SLW_FMT(path));
    TRY(app_upload(a, file, hash, err));
    SLW_AUTO(slw_buf, body);
    struct slw_jw w;
    slw_jw_init(&w, &body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "uploads");
    slw_jw_arr(&w);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "upload", hash);
    slw_jw_kstr(&w, "name", path);
    slw_jw_obj_end(&w);
    slw_jw_arr_end(&w);
    app_key_option(a, &w, "until", "until");
    app_key_option(a, &w, "known-at", "known_at");
    slw_jw_obj_end(&w);
    SLW_AUTO(slw_json, job);
    TRY(wait_started(
        a, app_text(a, "/api/v1/datasets/%.*s/versions", SLW_FMT(name)), &body,
        &job, err));
    const struct json_t *result = slw_json_get(job.root, "result");
    if (!a->json)
        printf("data      %.*s@%lld: %lld rows, %lld quarantined\n",
               SLW_FMT(name),
               (long long)slw_json_i64_or(slw_json_get(result, "version"), 0),
               (long long)slw_json_i64_or(slw_json_get(result, "row_count"), 0),
               (long long)slw_json_i64_or(
                   slw_json_get(result, "quarantined_count"), 0));
    return SLW_OK;
}

static enum slw_rc
add_sources(struct app_args *a, const struct json_t *sources,
            const char *folder, struct slw_err *err)
{
    for (void *it = slw_json_iter(sources); it;
         it = slw_json_next(sources, it)) {
        struct slw_str path = slw_json_str_or(
            slw_json_get(slw_json_iter_value(it), "path"), SLW_STR(""));
        if (path.len)
            TRY(add_source(a, slw_json_iter_key(it), path, folder, err));
    }
    return SLW_OK;
}

/* Follow a flow run to its end, telling each new step. */
static enum slw_rc
follow_flow(struct app_args *a, int64_t id, bool tell, struct slw_json *out,
            struct slw_err *err)
{
    size_t told = 0;
    for (;;) {
        SLW_AUTO(slw_json, doc);
        TRY(app_request_json(a, "GET",
                             app_text(a, "/api/v1/flows/%lld", (long long)id),
                             SLW_STR(""), &doc, err));
        const struct json_t *steps = slw_json_get(doc.root, "steps");
        for (; tell && told < slw_json_len(steps); told++) {
            const struct json_t *s = slw_json_at(steps, told);
            printf(
                "  %-10.*s %.*s\n",
                SLW_FMT(slw_json_str_or(slw_json_get(s, "step"), SLW_STR(""))),
                SLW_FMT(
                    slw_json_str_or(slw_json_get(s, "reason"), SLW_STR(""))));
            fflush(stdout);
        }
        bool ended = slw_json_bool_or(slw_json_get(doc.root, "ended"), false);
        struct slw_str state =
            slw_json_str_or(slw_json_get(doc.root, "state"), SLW_STR(""));
        if (ended || slw_str_eqz(state, "canary")) {
            *out = doc;
            doc.root = NULL;
            return SLW_OK;
        }
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
}

static enum slw_rc
start_flow(struct app_args *a, const char *model, const char *until,
           struct slw_json *out, struct slw_err *err)
{
    SLW_AUTO(slw_buf, body);
    struct slw_jw w;
    slw_jw_init(&w, &body);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "model", model);
    app_key_option(a, &w, "as-of", "as_of");
    app_key_option(a, &w, "reason", "reason");
    app_key_option(a, &w, "search", "search");
    if (until)
        slw_jw_kz(&w, "until", until);
    static const char *const numbers[] = {"seed", "trials"};
    for (size_t i = 0; i < SLW_ARRAY_LEN(numbers); i++) {
        const char *text = app_option(a, numbers[i]);
        int64_t v = 0;
        if (text) {
            TRY(slw_str_i64(slw_str_of(text), &v, err));
            slw_jw_ki64(&w, numbers[i], v);
        }
    }
    slw_jw_obj_end(&w);
    return app_request_json(a, "POST", "/api/v1/flows", slw_buf_view(&body),
                            out, err);
}

int
app_flow_run(struct app_args *a)
{
    struct slw_err err;
    SLW_AUTO(slw_json, started);
    SLW_AUTO(slw_json, run);
    if (start_flow(a, a->words[0], app_option(a, "until"), &started, &err) !=
        SLW_OK)
        return app_error(a, &err);
    if (app_option(a, "no-wait")) {
        app_show(a, started.root, NULL, NULL);
        return APP_OK;
    }
    if (follow_flow(a, slw_json_i64_or(slw_json_get(started.root, "run"), 0),
                    !a->json, &run, &err) != SLW_OK)
        return app_error(a, &err);
    struct slw_str state =
        slw_json_str_or(slw_json_get(run.root, "state"), SLW_STR("?"));
    if (a->json)
        app_show(a, run.root, NULL, NULL);
    else
        printf("%.*s\n", SLW_FMT(state));
    return slw_str_eqz(state, "failed") ? APP_FAILED : APP_OK;
}

static enum slw_rc
run_models(struct app_args *a, const struct json_t *models, struct slw_jw *w,
           struct slw_err *err)
{
    const char *only = app_option(a, "only");
    for (void *it = slw_json_iter(models); it; it = slw_json_next(models, it)) {
        struct slw_str name = slw_json_iter_key(it);
        if (only && !slw_str_eqz(name, only))
            continue;
        if (!a->json)
            printf("model     %.*s\n", SLW_FMT(name));
        SLW_AUTO(slw_json, started);
        SLW_AUTO(slw_json, run);
        TRY(start_flow(a, slw_arena_strz(&a->arena, name), app_option(a, "to"),
                       &started, err));
        TRY(follow_flow(a,
                        slw_json_i64_or(slw_json_get(started.root, "run"), 0),
                        !a->json, &run, err));
        slw_jw_node(w, run.root);
    }
    return SLW_OK;
}

/* The views of this project, not those that others declared. */
static enum slw_rc
materialize_views(struct app_args *a, const struct json_t *views,
                  struct slw_err *err)
{
    if (slw_json_len(views) == 0)
        return SLW_OK;
    SLW_AUTO(slw_buf, body);
    struct slw_jw w;
    slw_jw_init(&w, &body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "views");
    slw_jw_arr(&w);
    for (void *it = slw_json_iter(views); it; it = slw_json_next(views, it))
        slw_jw_str(&w, slw_json_iter_key(it));
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    SLW_AUTO(slw_json, job);
    TRY(wait_started(a, "/api/v1/features/materialize", &body, &job, err));
    if (!a->json)
        printf("features  materialized\n");
    return SLW_OK;
}

static enum slw_rc
run_project(struct app_args *a, struct slw_jw *w, struct slw_err *err)
{
    const char *file = yaml_of(a);
    SLW_AUTO(slw_json, project);
    TRY(apply(a, file, &project, err));
    const struct json_t *def = slw_json_get(project.root, "definition");
    if (!a->json)
        printf("project   %.*s\n",
               SLW_FMT(slw_json_str_or(slw_json_get(project.root, "project"),
                                       SLW_STR("?"))));
    TRY(add_sources(a, slw_json_get(def, "sources"), app_folder_of(a, file),
                    err));
    TRY(materialize_views(a, slw_json_get(def, "features"), err));
    return run_models(a, slw_json_get(def, "models"), w, err);
}

int
app_run(struct app_args *a)
{
    struct slw_err err;
    SLW_AUTO(slw_buf, out);
    struct slw_jw w;
    slw_jw_init(&w, &out);
    slw_jw_obj(&w);
    slw_jw_key(&w, "flows");
    slw_jw_arr(&w);
    if (run_project(a, &w, &err) != SLW_OK)
        return app_error(a, &err);
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    if (a->json)
        printf("%.*s\n", SLW_FMT(slw_buf_view(&out)));
    return APP_OK;
}

/* ---- status ---- */

int
app_status(struct app_args *a)
{
    static const struct {
        const char *title, *path, *rows, *columns;
    } parts[] = {
        {"clock", "/api/v1/clock", NULL, NULL},
        {"datasets", "/api/v1/datasets", "datasets",
         "name version rows=row_count to=event_max_ms:date "
         "known=known_at_ms:time"},
        {"models", "/api/v1/models", "models",
         "name champion=aliases.champion challenger=aliases.challenger"},
        {"deployments", "/api/v1/deployments", "deployments",
         "name champion=champion_version canary=canary_version "
         "weight=canary_weight:share withdrawn"},
        {"alerts", "/api/v1/alerts?state=open", "alerts",
         "id deployment kind raised=raised_at_ms:time reason"},
        {"flows", "/api/v1/flows?limit=5", "flows",
         "id model trigger state version reason"},
        {"jobs", "/api/v1/jobs?limit=5", "jobs",
         "id kind subject state progress=progress:share note "
         "error=error.message"},
    };
    struct slw_err err;
    SLW_AUTO(slw_buf, none);
    SLW_AUTO(slw_buf, all);
    struct slw_jw w;
    slw_jw_init(&w, &all);
    slw_jw_obj(&w);
    for (size_t i = 0; i < SLW_ARRAY_LEN(parts); i++) {
        SLW_AUTO(slw_json, doc);
        if (app_request_json(a, "GET", parts[i].path, SLW_STR(""), &doc,
                             &err) != SLW_OK)
            return app_error(a, &err);
        slw_jw_key(&w, parts[i].title);
        slw_jw_node(&w, doc.root);
        if (!a->json) {
            printf("%s%s\n", i ? "\n" : "", parts[i].title);
            app_show(a, doc.root, parts[i].rows, parts[i].columns);
        }
    }
    slw_jw_obj_end(&w);
    if (a->json)
        printf("%.*s\n", SLW_FMT(slw_buf_view(&all)));
    return APP_OK;
}

/* ---- the rest ---- */

int
app_window(struct app_args *a)
{
    SLW_AUTO(slw_buf, body);
    struct slw_jw w;
    slw_jw_init(&w, &body);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "from", a->words[1]);
    slw_jw_kz(&w, "to", a->words[2]);
    slw_jw_obj_end(&w);
    return app_post_show(
        a, "POST",
        app_text(a, "/api/v1/monitors/%s/window", app_segment(a, a->words[0])),
        &body, NULL, NULL);
}

int
app_ack(struct app_args *a)
{
    SLW_AUTO(slw_buf, body);
    struct slw_jw w;
    slw_jw_init(&w, &body);
    slw_jw_obj(&w);
    app_key_option(a, &w, "who", "who");
    slw_jw_obj_end(&w);
    return app_post_show(a, "POST",
                         app_text(a, "/api/v1/alerts/%s/acknowledge",
                                  app_segment(a, a->words[0])),
                         &body, NULL, NULL);
}

int
app_job(struct app_args *a)
{
    struct slw_err err;
    int64_t id = 0;
    SLW_AUTO(slw_json, job);
    if (slw_str_i64(slw_str_of(a->words[0]), &id, &err) != SLW_OK ||
        app_job_wait(a, id, &job, &err) != SLW_OK)
        return app_error(a, &err);
    app_show(a, job.root, NULL, NULL);
    return APP_OK;
}

int
app_clock(struct app_args *a)
{
    SLW_AUTO(slw_buf, body);
    if (a->word_count == 0)
        return app_post_show(a, "GET", "/api/v1/clock", &body, NULL, NULL);
    struct slw_jw w;
    slw_jw_init(&w, &body);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "now", a->words[0]);
    slw_jw_obj_end(&w);
    return app_post_show(a, "POST", "/api/v1/clock", &body, NULL, NULL);
}

int
app_token(struct app_args *a)
{
    SLW_AUTO(slw_buf, body);
    struct slw_jw w;
    slw_jw_init(&w, &body);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "name", a->words[0]);
    slw_jw_kz(&w, "role", a->words[1]);
    slw_jw_obj_end(&w);
    return app_post_show(a, "POST", "/api/v1/tokens", &body, NULL, NULL);
}
