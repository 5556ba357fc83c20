/* cmd_models.c -- commands about models, deployments and predictions. */
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

/* Who types: counts as long as the server asks nobody for a token. */
static void
key_who(struct slw_jw *w)
{
    const char *user = getenv("USER");
    if (user && *user && slw_str_utf8_ok(slw_str_of(user)))
        slw_jw_kz(w, "who", user);
}

/* {"at", "why", "force"} of --restore-at. */
static void
restore_body(struct app_args *a, struct slw_buf *body)
{
    struct slw_jw w;
    slw_jw_init(&w, body);
    slw_jw_obj(&w);
    app_key_option(a, &w, "restore-at", "at");
    app_key_option(a, &w, "why", "why");
    key_who(&w);
    if (app_option(a, "force"))
        slw_jw_kbool(&w, "force", true);
    slw_jw_obj_end(&w);
}

/* An alias moves no traffic: say what still answers with another version. */
static void
say_not_deployed(const struct json_t *doc)
{
    const struct json_t *list = slw_json_get(doc, "not_deployed");
    for (size_t i = 0; i < slw_json_len(list); i++) {
        const struct json_t *d = slw_json_at(list, i);
        struct slw_str name =
            slw_json_str_or(slw_json_get(d, "deployment"), SLW_STR("?"));
        printf(
            "deployment %.*s still answers with version %lld: "
            "`slipway deploy %.*s %lld`\n",
            SLW_FMT(name),
            (long long)slw_json_i64_or(slw_json_get(d, "champion_version"), 0),
            SLW_FMT(name),
            (long long)slw_json_i64_or(slw_json_get(doc, "version"), 0));
    }
}

static int
alias_restore(struct app_args *a, const char *path)
{
    struct slw_err err;
    SLW_AUTO(slw_buf, body);
    SLW_AUTO(slw_json, doc);
    restore_body(a, &body);
    if (app_request_json(a, "POST", app_text(a, "%s/restore", path),
                         slw_buf_view(&body), &doc, &err) != SLW_OK)
        return app_error(a, &err);
    if (a->json) {
        app_show(a, doc.root, NULL, NULL);
        return APP_OK;
    }
    int64_t version = slw_json_i64_or(slw_json_get(doc.root, "version"), 0);
    int64_t before = slw_json_i64_or(slw_json_get(doc.root, "previous"), 0);
    if (!slw_json_bool_or(slw_json_get(doc.root, "changed"), false))
        printf("%s names version %lld, as it did then\n", a->words[1],
               (long long)version);
    else if (before)
        printf("%s names version %lld again, no longer %lld\n", a->words[1],
               (long long)version, (long long)before);
    else
        printf("%s names version %lld again\n", a->words[1],
               (long long)version);
    say_not_deployed(doc.root);
    return APP_OK;
}

int
app_alias(struct app_args *a)
{
    struct slw_err err;
    const char *path =
        app_text(a, "/api/v1/models/%s/aliases/%s", app_segment(a, a->words[0]),
                 app_segment(a, a->words[1]));
    SLW_AUTO(slw_buf, body);
    if (app_option(a, "restore-at")) {
        if (a->word_count < 3 && !app_option(a, "at"))
            return alias_restore(a, path);
        (void)!slw_fail(&err, SLW_INVALID,
                        "--restore-at says what the alias will name: neither "
                        "a version nor --at goes with it");
        return app_error(a, &err);
    }
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
    key_who(&w);
    if (app_option(a, "force"))
        slw_jw_kbool(&w, "force", true);
    slw_jw_obj_end(&w);
    return app_post_show(a, "PUT", path, &body, NULL, NULL);
}

/* ---- what was what when ---- */

static struct slw_str
member_text(const struct json_t *o, const char *key)
{
    return slw_json_str_or(slw_json_get(o, key), SLW_STR(""));
}

static void
print_held(const struct json_t *doc)
{
    const struct json_t *held = slw_json_get(doc, "held");
    struct slw_str at = member_text(doc, "at");
    if (slw_json_len(held) == 0)
        printf("at %.*s no version held it\n\n", SLW_FMT(at));
    for (size_t i = 0; i < slw_json_len(held); i++) {
        const struct json_t *h = slw_json_at(held, i);
        struct slw_str who = member_text(h, "who");
        struct slw_str why = member_text(h, "why");
        printf("at %.*s version %lld had the %.*s %.*s, since %.*s%s%.*s%s"
               "%.*s\n",
               SLW_FMT(at),
               (long long)slw_json_i64_or(slw_json_get(h, "version"), 0),
               SLW_FMT(member_text(h, "kind")), SLW_FMT(member_text(h, "name")),
               SLW_FMT(member_text(h, "since")), who.len ? ", by " : "",
               SLW_FMT(who), why.len ? ": " : "", SLW_FMT(why));
    }
    if (slw_json_len(held))
        puts("");
}

static const char *
side_text(struct app_args *a, const struct json_t *move, const char *key)
{
    const struct json_t *v = slw_json_get(move, key);
    if (slw_json_type(v) == SLW_JSON_INT)
        return app_text(a, "version %lld", (long long)slw_json_i64_or(v, 0));
    struct slw_str s = slw_json_str_or(v, SLW_STR("-"));
    return app_text(a, "%.*s", SLW_FMT(s));
}

/* The moves as a table's rows: what, from, to, at, who, why. */
static enum slw_rc
moves_table(struct app_args *a, const struct json_t *doc, struct slw_json *out,
            struct slw_err *err)
{
    const struct json_t *moves = slw_json_get(doc, "moves");
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_arr(&w);
    for (size_t i = 0; i < slw_json_len(moves); i++) {
        const struct json_t *m = slw_json_at(moves, i);
        struct slw_str alias = member_text(m, "alias");
        slw_jw_obj(&w);
        slw_jw_kstr(&w, "at", member_text(m, "at"));
        if (alias.len)
            slw_jw_kz(&w, "what", app_text(a, "alias %.*s", SLW_FMT(alias)));
        else
            slw_jw_kz(&w, "what",
                      app_text(a, "stage of version %lld",
                               (long long)slw_json_i64_or(
                                   slw_json_get(m, "version"), 0)));
        slw_jw_kz(&w, "from", side_text(a, m, "from"));
        slw_jw_kz(&w, "to", side_text(a, m, "to"));
        slw_jw_kstr(&w, "who", member_text(m, "who"));
        slw_jw_kstr(&w, "why", member_text(m, "why"));
        slw_jw_obj_end(&w);
    }
    slw_jw_arr_end(&w);
    return slw_json_parse(out, slw_buf_view(&text), err);
}

int
app_models_history(struct app_args *a)
{
    static const char *const options[] = {"alias", "stage", "at", "limit"};
    struct slw_err err;
    SLW_AUTO(slw_json, doc);
    SLW_AUTO(slw_json, rows);
    const char *path =
        app_text(a, "/api/v1/models/%s/history", app_segment(a, a->words[0]));
    char separator = '?';
    for (size_t i = 0; i < SLW_ARRAY_LEN(options); i++) {
        const char *value = app_option(a, options[i]);
        if (!value)
            continue;
        path = app_text(a, "%s%c%s=%s", path, separator, options[i],
                        app_segment(a, value));
        separator = '&';
    }
    if (app_request_json(a, "GET", path, SLW_STR(""), &doc, &err) != SLW_OK)
        return app_error(a, &err);
    if (a->json) {
        app_show(a, doc.root, NULL, NULL);
        return APP_OK;
    }
    if (app_option(a, "at"))
        print_held(doc.root);
    if (moves_table(a, doc.root, &rows, &err) != SLW_OK)
        return app_error(a, &err);
    app_table(rows.root, "at what from to who why");
    size_t shown = slw_json_len(rows.root);
    int64_t total = slw_json_i64_or(slw_json_get(doc.root, "total"), 0);
    if (total > (int64_t)shown)
        printf("\n%zu of %lld moves; --limit shows more\n", shown,
               (long long)total);
    return APP_OK;
}

int
app_models_stage(struct app_args *a)
{
    SLW_AUTO(slw_buf, body);
    restore_body(a, &body);
    return app_post_show(a, "POST",
                         app_text(a, "/api/v1/models/%s/stages/%s/restore",
                                  app_segment(a, a->words[0]),
                                  app_segment(a, a->words[1])),
                         &body, NULL, NULL);
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
    key_who(&w);
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
