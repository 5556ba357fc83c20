/* cmd_data.c -- commands about datasets and features. */
#include "app/app.h"
#include "base/file.h"

/* "prices@2023-08-31" -> name and ref ("latest" without one). */
static void
split_ref(struct app_args *a, const char *text, const char **name,
          const char **ref)
{
    struct slw_str head, tail;
    bool has = slw_str_cut(slw_str_of(text), '@', &head, &tail);
    *name = slw_arena_strz(&a->arena, head);
    *ref = has ? slw_arena_strz(&a->arena, tail) : "latest";
}

static enum slw_rc
write_uploads(struct app_args *a, struct slw_jw *w, struct slw_err *err)
{
    slw_jw_key(w, "uploads");
    slw_jw_arr(w);
    for (int i = 1; i < a->word_count; i++) {
        char hash[65];
        TRY(app_upload(a, a->words[i], hash, err));
        slw_jw_obj(w);
        slw_jw_kz(w, "upload", hash);
        slw_jw_kstr(w, "name", slw_path_name(slw_str_of(a->words[i])));
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
    return SLW_OK;
}

int
app_data_add(struct app_args *a)
{
    struct slw_err err;
    SLW_AUTO(slw_buf, body);
    struct slw_jw w;
    slw_jw_init(&w, &body);
    slw_jw_obj(&w);
    if (write_uploads(a, &w, &err) != SLW_OK)
        return app_error(a, &err);
    app_key_option(a, &w, "known-at", "known_at");
    app_key_option(a, &w, "until", "until");
    slw_jw_kz(&w, "mode", app_option(a, "append") ? "append" : "replace");
    slw_jw_obj_end(&w);
    const char *path = app_text(a, "/api/v1/datasets/%s/versions",
                                app_segment(a, a->words[0]));
    return app_post_job(a, path, &body, NULL, NULL);
}

/* Profile of a column in one line of a table. */
#define PROFILE_COLUMNS "column=name type count nulls distinct min max mean std"

/* {"close": {"type": …}, …} as rows with a name. */
static void
profile_show(struct app_args *a, const struct json_t *profile)
{
    if (a->json) {
        app_show(a, profile, NULL, NULL);
        return;
    }
    SLW_AUTO(slw_buf, b);
    struct slw_jw w;
    slw_jw_init(&w, &b);
    slw_jw_arr(&w);
    for (void *it = slw_json_iter(profile); it;
         it = slw_json_next(profile, it)) {
        const struct json_t *column = slw_json_iter_value(it);
        slw_jw_obj(&w);
        slw_jw_kstr(&w, "name", slw_json_iter_key(it));
        for (void *m = slw_json_iter(column); m; m = slw_json_next(column, m)) {
            SLW_AUTO(slw_buf, text);
            slw_json_dump(&text, slw_json_iter_value(m));
            slw_jw_key(&w, slw_arena_strz(&a->arena, slw_json_iter_key(m)));
            slw_jw_raw(&w, slw_buf_view(&text));
        }
        slw_jw_obj_end(&w);
    }
    slw_jw_arr_end(&w);
    SLW_AUTO(slw_json, rows);
    struct slw_err err;
    if (slw_json_parse(&rows, slw_buf_view(&b), &err) == SLW_OK)
        app_show(a, rows.root, NULL, PROFILE_COLUMNS);
}

int
app_data_profile(struct app_args *a)
{
    struct slw_err err;
    const char *name, *ref;
    split_ref(a, a->words[0], &name, &ref);
    SLW_AUTO(slw_json, doc);
    bool diff = strcmp(a->command->name, "data diff") == 0;
    const char *path =
        diff ? app_text(a,
                        "/api/v1/datasets/%s/diff?from=%s"
                        "&to=%s",
                        app_segment(a, name), app_segment(a, a->words[1]),
                        a->word_count > 2 ? app_segment(a, a->words[2])
                                          : "latest")
             : app_text(a, "/api/v1/datasets/%s/versions/%s",
                        app_segment(a, name), app_segment(a, ref));
    if (app_request_json(a, "GET", path, SLW_STR(""), &doc, &err) != SLW_OK)
        return app_error(a, &err);
    const struct json_t *profile = slw_json_get(doc.root, "profile");
    if (strcmp(a->command->name, "data profile") == 0)
        profile_show(a, slw_json_get(profile, "columns"));
    else
        app_show(a, doc.root, NULL, NULL);
    return APP_OK;
}

/* What a file is to be written as, by its ending. */
static enum slw_rc
file_format(const char *path, const char **out, struct slw_err *err)
{
    const struct slw_str name = slw_str_of(path);
    if (!slw_str_ends(name, ".csv") && !slw_str_ends(name, ".parquet"))
        return slw_fail(err, SLW_INVALID,
                        "'%s' must end in .parquet or .csv, which says how to"
                        " write it",
                        path);
    *out = slw_str_ends(name, ".csv") ? "csv" : "parquet";
    return SLW_OK;
}

static void
file_written(const struct app_args *a, const char *what, const char *path)
{
    SLW_AUTO(slw_buf, b);
    struct slw_jw w;
    slw_jw_init(&w, &b);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "file", path);
    slw_jw_obj_end(&w);
    if (a->json)
        printf("%.*s\n", SLW_FMT(slw_buf_view(&b)));
    else
        printf("%s written to %s\n", what, path);
}

int
app_data_get(struct app_args *a)
{
    struct slw_err err;
    const char *name, *ref;
    split_ref(a, a->words[0], &name, &ref);
    const char *out =
        a->word_count > 1 ? a->words[1] : app_text(a, "%s.parquet", name);
    const char *format;
    if (file_format(out, &format, &err) != SLW_OK)
        return app_error(a, &err);
    const char *path =
        app_text(a, "/api/v1/datasets/%s/versions/%s/%s.%s",
                 app_segment(a, name), app_segment(a, ref),
                 app_option(a, "quarantine") ? "quarantine" : "data", format);
    if (app_download(a, path, out, &err) != SLW_OK)
        return app_error(a, &err);
    file_written(a, app_text(a, "%s@%s", name, ref), out);
    return APP_OK;
}

int
app_export(struct app_args *a)
{
    struct slw_err err;
    const char *format;
    if (file_format(a->words[1], &format, &err) != SLW_OK)
        return app_error(a, &err);
    const char *path = app_text(a, "/api/v1/features/%s/data.%s",
                                app_segment(a, a->words[0]), format);
    if (app_download(a, path, a->words[1], &err) != SLW_OK)
        return app_error(a, &err);
    file_written(a, a->words[0], a->words[1]);
    return APP_OK;
}

int
app_materialize(struct app_args *a)
{
    SLW_AUTO(slw_buf, body);
    struct slw_jw w;
    slw_jw_init(&w, &body);
    slw_jw_obj(&w);
    app_key_option(a, &w, "at", "at");
    if (a->word_count) {
        slw_jw_key(&w, "views");
        slw_jw_arr(&w);
        for (int i = 0; i < a->word_count; i++)
            slw_jw_z(&w, a->words[i]);
        slw_jw_arr_end(&w);
    }
    slw_jw_obj_end(&w);
    return app_post_job(a, "/api/v1/features/materialize", &body, "views",
                        "name entities newest=event_max_ms:time");
}

/* The entity column of a view, unless --entity says it. */
static enum slw_rc
entity_of(struct app_args *a, const char *view, const char **out,
          struct slw_err *err)
{
    *out = app_option(a, "entity");
    if (*out)
        return SLW_OK;
    SLW_AUTO(slw_json, doc);
    const char *path = app_text(a, "/api/v1/features/%s", app_segment(a, view));
    TRY(app_request_json(a, "GET", path, SLW_STR(""), &doc, err));
    struct slw_str entity = slw_json_str_or(
        slw_json_get(slw_json_get(doc.root, "definition"), "entity"),
        SLW_STR("entity"));
    *out = slw_arena_strz(&a->arena, entity);
    return SLW_OK;
}

/* A line for each feature and entity; the first of the names is the entity. */
static enum slw_rc
online_table(const struct json_t *doc, struct slw_err *err)
{
    const struct json_t *names =
        slw_json_get(slw_json_get(doc, "metadata"), "feature_names");
    const struct json_t *results = slw_json_get(doc, "results");
    const struct json_t *keys = slw_json_get(slw_json_at(results, 0), "values");
    SLW_AUTO(slw_buf, b);
    struct slw_jw w;
    slw_jw_init(&w, &b);
    slw_jw_arr(&w);
    for (size_t k = 0; k < slw_json_len(keys); k++)
        for (size_t i = 1; i < slw_json_len(names); i++) {
            const struct json_t *values =
                slw_json_get(slw_json_at(results, i), "values");
            slw_jw_obj(&w);
            slw_jw_key(&w, "entity");
            slw_jw_node(&w, slw_json_at(keys, k));
            slw_jw_key(&w, "feature");
            slw_jw_node(&w, slw_json_at(names, i));
            slw_jw_key(&w, "value");
            slw_jw_node(&w, slw_json_at(values, k));
            slw_jw_obj_end(&w);
        }
    slw_jw_arr_end(&w);
    SLW_AUTO(slw_json, rows);
    TRY(slw_json_parse(&rows, slw_buf_view(&b), err));
    app_table(rows.root, "entity feature value");
    return SLW_OK;
}

int
app_features_online(struct app_args *a)
{
    struct slw_err err;
    const char *entity;
    if (entity_of(a, a->words[0], &entity, &err) != SLW_OK)
        return app_error(a, &err);
    SLW_AUTO(slw_buf, body);
    struct slw_jw w;
    slw_jw_init(&w, &body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "features");
    slw_jw_arr(&w);
    slw_jw_z(&w, a->words[0]);
    slw_jw_arr_end(&w);
    slw_jw_key(&w, "entities");
    slw_jw_obj(&w);
    slw_jw_key(&w, entity);
    slw_jw_arr(&w);
    for (int i = 1; i < a->word_count; i++)
        slw_jw_z(&w, a->words[i]);
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    slw_jw_obj_end(&w);
    SLW_AUTO(slw_json, doc);
    if (app_request_json(a, "POST", "/get-online-features", slw_buf_view(&body),
                         &doc, &err) != SLW_OK)
        return app_error(a, &err);
    if (a->json) {
        app_show(a, doc.root, NULL, NULL);
        return APP_OK;
    }
    return online_table(doc.root, &err) == SLW_OK ? APP_OK : app_error(a, &err);
}

int
app_features_history(struct app_args *a)
{
    struct slw_err err;
    const char *entity;
    if (entity_of(a, a->words[0], &entity, &err) != SLW_OK)
        return app_error(a, &err);
    SLW_AUTO(slw_buf, body);
    struct slw_jw w;
    slw_jw_init(&w, &body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "views");
    slw_jw_arr(&w);
    slw_jw_z(&w, a->words[0]);
    slw_jw_arr_end(&w);
    app_key_option(a, &w, "as-of", "as_of");
    slw_jw_key(&w, "rows");
    slw_jw_arr(&w);
    for (int i = 2; i < a->word_count; i++) {
        slw_jw_obj(&w);
        slw_jw_kz(&w, entity, a->words[1]);
        slw_jw_kz(&w, "event_time", a->words[i]);
        slw_jw_obj_end(&w);
    }
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    SLW_AUTO(slw_json, doc);
    if (app_request_json(a, "POST", "/api/v1/features/historical",
                         slw_buf_view(&body), &doc, &err) != SLW_OK)
        return app_error(a, &err);
    app_show(a, doc.root, NULL, NULL);
    return APP_OK;
}

/* "2019-01-01..2019-12-31" */
static enum slw_rc
write_range(struct app_args *a, struct slw_jw *w, const char *option,
            struct slw_err *err)
{
    const char *text = app_option(a, option);
    const char *dots = text ? strstr(text, "..") : NULL;
    if (!dots)
        return slw_fail(err, SLW_INVALID,
                        "give --%s FROM..TO, as in 2019-01-01..2019-12-31",
                        option);
    slw_jw_key(w, option);
    slw_jw_obj(w);
    slw_jw_key(w, "from");
    slw_jw_str(w, (struct slw_str){text, (size_t)(dots - text)});
    slw_jw_kz(w, "to", dots + 2);
    slw_jw_obj_end(w);
    return SLW_OK;
}

static void
write_list(struct slw_jw *w, const char *key, const char *text)
{
    struct slw_str rest = slw_str_of(text);
    slw_jw_key(w, key);
    slw_jw_arr(w);
    while (rest.len) {
        struct slw_str item;
        slw_str_cut(rest, ',', &item, &rest);
        slw_jw_str(w, item);
    }
    slw_jw_arr_end(w);
}

int
app_drift(struct app_args *a)
{
    struct slw_err err;
    SLW_AUTO(slw_buf, body);
    struct slw_jw w;
    slw_jw_init(&w, &body);
    slw_jw_obj(&w);
    write_list(&w, "views", a->words[0]);
    if (app_option(a, "columns"))
        write_list(&w, "columns", app_option(a, "columns"));
    if (write_range(a, &w, "reference", &err) != SLW_OK ||
        write_range(a, &w, "window", &err) != SLW_OK)
        return app_error(a, &err);
    slw_jw_obj_end(&w);
    SLW_AUTO(slw_json, doc);
    if (app_request_json(a, "POST", "/api/v1/drift", slw_buf_view(&body), &doc,
                         &err) != SLW_OK)
        return app_error(a, &err);
    if (!a->json)
        printf("verdict: %.*s\n",
               SLW_FMT(slw_json_str_or(slw_json_get(doc.root, "verdict"),
                                       SLW_STR("?"))));
    app_show(a, doc.root, "columns", "name drifted psi ks p adjusted_p");
    return APP_OK;
}
