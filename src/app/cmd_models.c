/* cmd_models.c -- commands about runs, models, deployments and predictions. */
#include "app/app.h"
#include "base/file.h"

#include <math.h>

/* "next-range/2" */
static enum slw_rc
split_version(struct app_args *a, const char *text, const char **model,
              const char **version, struct slw_err *err)
{
    struct slw_str head, tail;
    if (!slw_str_cut(slw_str_of(text), '/', &head, &tail) || tail.len == 0)
        return slw_fail(err, SLW_INVALID,
                        "'%s' should be MODEL/VERSION, as in next-range/2",
                        text);
    *model = slw_arena_strz(&a->arena, head);
    *version = slw_arena_strz(&a->arena, tail);
    return SLW_OK;
}

/* Numbers of options go as numbers. */
static enum slw_rc
number_option(struct app_args *a, struct slw_jw *w, const char *option,
              struct slw_err *err)
{
    const char *text = app_option(a, option);
    int64_t v = 0;
    if (!text)
        return SLW_OK;
    enum slw_rc rc = slw_str_i64(slw_str_of(text), &v, err);
    if (rc != SLW_OK)
        return slw_err_prefix(err, "--%s: ", option);
    slw_jw_ki64(w, option, v);
    return SLW_OK;
}

#define TABLE_COLUMNS                                                          \
    "candidate trials failed valid_mae=valid.mae mae=test.mae rmse=test.rmse " \
    "mape=test.mape:share r2=test.r2 chosen servable note"

int
app_train(struct app_args *a)
{
    struct slw_err err;
    SLW_AUTO(slw_buf, body);
    struct slw_jw w;
    slw_jw_init(&w, &body);
    slw_jw_obj(&w);
    app_key_option(a, &w, "as-of", "as_of");
    if (number_option(a, &w, "seed", &err) != SLW_OK ||
        number_option(a, &w, "trials", &err) != SLW_OK)
        return app_error(a, &err);
    slw_jw_obj_end(&w);
    const char *path =
        app_text(a, "/api/v1/models/%s/train", app_segment(a, a->words[0]));
    SLW_AUTO(slw_json, started);
    SLW_AUTO(slw_json, job);
    if (app_request_json(a, "POST", path, slw_buf_view(&body), &started,
                         &err) != SLW_OK)
        return app_error(a, &err);
    if (app_option(a, "no-wait")) {
        app_show(a, started.root, NULL, NULL);
        return APP_OK;
    }
    if (app_job_wait(a, slw_json_i64_or(slw_json_get(started.root, "job"), 0),
                     &job, &err) != SLW_OK)
        return app_error(a, &err);
    const struct json_t *result = slw_json_get(job.root, "result");
    app_show(a, result, "table", TABLE_COLUMNS);
    if (!a->json)
        printf("\nregistered as version %lld of %s, not judged yet: "
               "`slipway gate %s/%lld`\n",
               (long long)slw_json_i64_or(slw_json_get(result, "version"), 0),
               a->words[0], a->words[0],
               (long long)slw_json_i64_or(slw_json_get(result, "version"), 0));
    return APP_OK;
}

int
app_version_job(struct app_args *a)
{
    struct slw_err err;
    const char *model, *version;
    if (split_version(a, a->words[0], &model, &version, &err) != SLW_OK)
        return app_error(a, &err);
    SLW_AUTO(slw_buf, body);
    return app_post_job(a,
                        app_text(a, "/api/v1/models/%s/versions/%s/%s",
                                 app_segment(a, model), app_segment(a, version),
                                 a->command->name),
                        &body, NULL, NULL);
}

int
app_alias(struct app_args *a)
{
    struct slw_err err;
    const char *path =
        app_text(a, "/api/v1/models/%s/aliases/%s", app_segment(a, a->words[0]),
                 app_segment(a, a->words[1]));
    SLW_AUTO(slw_buf, body);
    if (a->word_count < 3) {
        const char *at = app_option(a, "at");
        if (at)
            path = app_text(a, "%s?at=%s", path, app_segment(a, at));
        return app_post_show(a, "GET", path, &body, NULL, NULL);
    }
    int64_t version = 0;
    if (slw_str_i64(slw_str_of(a->words[2]), &version, &err) != SLW_OK)
        return app_error(a, &err);
    struct slw_jw w;
    slw_jw_init(&w, &body);
    slw_jw_obj(&w);
    slw_jw_ki64(&w, "version", version);
    app_key_option(a, &w, "why", "why");
    if (app_option(a, "force"))
        slw_jw_kbool(&w, "force", true);
    slw_jw_obj_end(&w);
    return app_post_show(a, "PUT", path, &body, NULL, NULL);
}

/* "10%" or "0.1" */
static enum slw_rc
parse_share(const char *text, double *out, struct slw_err *err)
{
    struct slw_str s = slw_str_of(text);
    bool percent = slw_str_ends(s, "%");
    if (percent)
        s.len--;
    double v = 0;
    if (slw_str_f64(s, &v, err) != SLW_OK || !(v >= 0) ||
        v > (percent ? 100 : 1))
        return slw_fail(err, SLW_INVALID, "'%s' is no share; write 10%% or 0.1",
                        text);
    *out = percent ? v / 100 : v;
    return SLW_OK;
}

int
app_act(struct app_args *a)
{
    struct slw_err err;
    const char *verb = a->command->name;
    bool has_version =
        strcmp(verb, "deploy") == 0 || strcmp(verb, "canary") == 0;
    bool has_weight =
        strcmp(verb, "canary") == 0 || strcmp(verb, "weight") == 0;
    SLW_AUTO(slw_buf, body);
    struct slw_jw w;
    slw_jw_init(&w, &body);
    slw_jw_obj(&w);
    int at = 1;
    if (has_version) {
        int64_t version = 0;
        if (slw_str_i64(slw_str_of(a->words[at++]), &version, &err) != SLW_OK)
            return app_error(a, &err);
        slw_jw_ki64(&w, "version", version);
    }
    if (has_weight) {
        double weight = 0;
        if (parse_share(a->words[at++], &weight, &err) != SLW_OK)
            return app_error(a, &err);
        slw_jw_kf64(&w, "weight", weight);
    }
    if (strcmp(verb, "drill") == 0)
        slw_jw_kz(&w, "mode",
                  strcmp(a->words[1], "off") == 0 ? "" : a->words[1]);
    app_key_option(a, &w, "why", "why");
    if (app_option(a, "force"))
        slw_jw_kbool(&w, "force", true);
    slw_jw_obj_end(&w);
    const char *shown = strcmp(verb, "drill") == 0 ? "drill" : "deployment";
    return app_post_show(a, "POST",
                         app_text(a, "/api/v1/deployments/%s/%s",
                                  app_segment(a, a->words[0]), verb),
                         &body, a->json ? NULL : shown, NULL);
}

/* ---- predict: V2 with the entity as input ---- */

static enum slw_rc
find_entity(struct app_args *a, const char **out, struct slw_err *err)
{
    *out = app_option(a, "entity");
    if (*out)
        return SLW_OK;
    SLW_AUTO(slw_json, doc);
    TRY(app_request_json(
        a, "GET", app_text(a, "/v2/models/%s", app_segment(a, a->words[0])),
        SLW_STR(""), &doc, err));
    struct slw_str entity = slw_json_str_or(
        slw_json_get(slw_json_get(doc.root, "parameters"), "entity"),
        SLW_STR(""));
    if (entity.len) {
        *out = slw_arena_strz(&a->arena, entity);
        return SLW_OK;
    }
    return slw_fail(err, SLW_INVALID,
                    "deployment '%s' takes no entity; name one by --entity",
                    a->words[0]);
}

static void
write_infer(struct app_args *a, struct slw_jw *w, const char *entity)
{
    slw_jw_obj(w);
    if (app_option(a, "at")) {
        slw_jw_key(w, "parameters");
        slw_jw_obj(w);
        slw_jw_kz(w, "event_time", app_option(a, "at"));
        slw_jw_obj_end(w);
    }
    slw_jw_key(w, "inputs");
    slw_jw_arr(w);
    slw_jw_obj(w);
    slw_jw_kz(w, "name", entity);
    slw_jw_kz(w, "datatype", "BYTES");
    slw_jw_key(w, "shape");
    slw_jw_arr(w);
    slw_jw_i64(w, a->word_count - 1);
    slw_jw_arr_end(w);
    slw_jw_key(w, "data");
    slw_jw_arr(w);
    for (int i = 1; i < a->word_count; i++)
        slw_jw_z(w, a->words[i]);
    slw_jw_arr_end(w);
    slw_jw_obj_end(w);
    slw_jw_arr_end(w);
    slw_jw_obj_end(w);
}

int
app_predict(struct app_args *a)
{
    struct slw_err err;
    const char *entity;
    if (find_entity(a, &entity, &err) != SLW_OK)
        return app_error(a, &err);
    SLW_AUTO(slw_buf, body);
    struct slw_jw w;
    slw_jw_init(&w, &body);
    write_infer(a, &w, entity);
    SLW_AUTO(slw_json, doc);
    if (app_request_json(
            a, "POST",
            app_text(a, "/v2/models/%s/infer", app_segment(a, a->words[0])),
            slw_buf_view(&body), &doc, &err) != SLW_OK)
        return app_error(a, &err);
    if (a->json) {
        app_show(a, doc.root, NULL, NULL);
        return APP_OK;
    }
    const struct json_t *data =
        slw_json_get(slw_json_at(slw_json_get(doc.root, "outputs"), 0), "data");
    const struct json_t *params = slw_json_get(doc.root, "parameters");
    struct slw_str by =
        slw_json_str_or(slw_json_get(params, "served_by"), SLW_STR("?"));
    struct slw_str version =
        slw_json_str_or(slw_json_get(doc.root, "model_version"), SLW_STR("?"));
    for (int i = 1; i < a->word_count; i++)
        printf("%-12s %-12.6g %.*s, version %.*s\n", a->words[i],
               slw_json_f64_or(slw_json_at(data, (size_t)i - 1), NAN),
               SLW_FMT(by), SLW_FMT(version));
    return APP_OK;
}

/* ---- labels from a small CSV: key,event_time,value ---- */

#define LABEL_FILE_MAX ((size_t)64 << 20)

/* The key: plain, or in quotes, where "" is a quote and a comma is a comma. */
static bool
label_key(struct slw_arena *a, struct slw_str line, struct slw_str *out_key,
          struct slw_str *out_rest)
{
    if (!slw_str_starts(line, "\""))
        return slw_str_cut(line, ',', out_key, out_rest);
    char *text = slw_arena_alloc(a, line.len);
    size_t n = 0;
    for (size_t i = 1; i < line.len; i++) {
        if (line.ptr[i] != '"' ||
            (i + 1 < line.len && line.ptr[i + 1] == '"')) {
            text[n++] = line.ptr[i];
            i += line.ptr[i] == '"';
            continue;
        }
        struct slw_str none;
        *out_key = (struct slw_str){text, n};
        return slw_str_cut((struct slw_str){line.ptr + i + 1, line.len - i - 1},
                           ',', &none, out_rest) &&
               none.len == 0;
    }
    return false;
}

static enum slw_rc
label_line(struct app_args *a, struct slw_str line, size_t number,
           struct slw_jw *w, struct slw_err *err)
{
    const char *path = a->words[1];
    struct slw_str key, rest, time, value;
    double v = 0;
    if (!label_key(&a->arena, line, &key, &rest) ||
        !slw_str_cut(rest, ',', &time, &value) ||
        slw_str_f64(slw_str_trim(value), &v, err) != SLW_OK)
        return slw_fail(err, SLW_INVALID,
                        "%s:%zu: wanted key,event_time,value with a number "
                        "last",
                        path, number);
    int64_t ms = 0;
    if (slw_time_parse(slw_str_trim(time), &ms, err) != SLW_OK)
        return slw_err_prefix(err, "%s:%zu: ", path, number);
    slw_jw_obj(w);
    slw_jw_kstr(w, "key", slw_str_trim(key));
    slw_jw_kstr(w, "event_time", slw_str_trim(time));
    slw_jw_kf64(w, "value", v);
    slw_jw_obj_end(w);
    return SLW_OK;
}

int
app_labels(struct app_args *a)
{
    struct slw_err err;
    SLW_AUTO(slw_buf, file);
    SLW_AUTO(slw_buf, body);
    if (slw_file_get(a->words[1], LABEL_FILE_MAX, &file, &err) != SLW_OK)
        return app_error(a, &err);
    struct slw_jw w;
    slw_jw_init(&w, &body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "labels");
    slw_jw_arr(&w);
    struct slw_str rest = slw_buf_view(&file);
    size_t count = 0;
    for (size_t number = 1; rest.len; number++) {
        struct slw_str line;
        slw_str_cut(rest, '\n', &line, &rest);
        line = slw_str_trim(line);
        bool head = number == 1 && (slw_str_starts(line, "key,") ||
                                    slw_str_starts(line, "\"key\","));
        if (!line.len || head)
            continue;
        if (label_line(a, line, number, &w, &err) != SLW_OK)
            return app_error(a, &err);
        count++;
    }
    if (count == 0) {
        (void)!slw_fail(&err, SLW_INVALID,
                        "%s holds no labels, lines of key,event_time,value",
                        a->words[1]);
        return app_error(a, &err);
    }
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    return app_post_show(a, "POST",
                         app_text(a, "/api/v1/deployments/%s/labels",
                                  app_segment(a, a->words[0])),
                         &body, NULL, NULL);
}

/* ---- runs, by the same search the mlflow client uses ---- */

/* The experiment of that name, or all there are. */
static enum slw_rc
experiment_ids(struct app_args *a, struct slw_jw *w, struct slw_err *err)
{
    SLW_AUTO(slw_json, doc);
    if (a->word_count) {
        TRY(app_request_json(a, "GET",
                             app_text(a,
                                      "/api/2.0/mlflow/experiments/get-by-name"
                                      "?experiment_name=%s",
                                      app_segment(a, a->words[0])),
                             SLW_STR(""), &doc, err));
        slw_jw_node(w, slw_json_get(slw_json_get(doc.root, "experiment"),
                                    "experiment_id"));
        return SLW_OK;
    }
    TRY(app_request_json(a, "GET",
                         "/api/2.0/mlflow/experiments/search?max_results=1000",
                         SLW_STR(""), &doc, err));
    const struct json_t *list = slw_json_get(doc.root, "experiments");
    for (size_t i = 0; i < slw_json_len(list); i++)
        slw_jw_node(w, slw_json_get(slw_json_at(list, i), "experiment_id"));
    return SLW_OK;
}

static void
print_run(const struct json_t *run)
{
    const struct json_t *info = slw_json_get(run, "info");
    const struct json_t *metrics =
        slw_json_get(slw_json_get(run, "data"), "metrics");
    printf(
        "%.*s  %-9.*s %-28.*s",
        SLW_FMT(slw_json_str_or(slw_json_get(info, "run_id"), SLW_STR(""))),
        SLW_FMT(slw_json_str_or(slw_json_get(info, "status"), SLW_STR(""))),
        SLW_FMT(slw_json_str_or(slw_json_get(info, "run_name"), SLW_STR(""))));
    for (size_t i = 0; i < slw_json_len(metrics) && i < 6; i++) {
        const struct json_t *m = slw_json_at(metrics, i);
        printf("  %.*s=%.5g",
               SLW_FMT(slw_json_str_or(slw_json_get(m, "key"), SLW_STR(""))),
               slw_json_f64_or(slw_json_get(m, "value"), NAN));
    }
    puts("");
}

int
app_runs(struct app_args *a)
{
    struct slw_err err;
    SLW_AUTO(slw_buf, body);
    struct slw_jw w;
    slw_jw_init(&w, &body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "experiment_ids");
    slw_jw_arr(&w);
    if (experiment_ids(a, &w, &err) != SLW_OK)
        return app_error(a, &err);
    slw_jw_arr_end(&w);
    app_key_option(a, &w, "filter", "filter");
    if (app_option(a, "order-by")) {
        slw_jw_key(&w, "order_by");
        slw_jw_arr(&w);
        slw_jw_z(&w, app_option(a, "order-by"));
        slw_jw_arr_end(&w);
    }
    int64_t limit = 50;
    const char *text = app_option(a, "limit");
    if (text && slw_str_i64(slw_str_of(text), &limit, &err) != SLW_OK)
        return app_error(a, &err);
    slw_jw_ki64(&w, "max_results", limit);
    slw_jw_obj_end(&w);
    SLW_AUTO(slw_json, doc);
    if (app_request_json(a, "POST", "/api/2.0/mlflow/runs/search",
                         slw_buf_view(&body), &doc, &err) != SLW_OK)
        return app_error(a, &err);
    if (a->json) {
        app_show(a, doc.root, NULL, NULL);
        return APP_OK;
    }
    const struct json_t *runs = slw_json_get(doc.root, "runs");
    for (size_t i = 0; i < slw_json_len(runs); i++)
        print_run(slw_json_at(runs, i));
    if (slw_json_len(runs) == 0)
        puts("(none)");
    return APP_OK;
}
