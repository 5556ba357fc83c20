/* cmd_rehearse.c -- `slipway rehearse`: policies on history, compared.
 *
 * With a project file, it works in this process and its children, on the files
 * the project names: no server is asked or disturbed.  Without one, the server
 * rehearses what was applied to it, as a job. */
#include "app/app.h"
#include "base/clock.h"
#include "base/file.h"
#include "flow/flow.h"
#include "rehearse/rehearse.h"

#include <math.h>
#include <signal.h>

#define YAML_DEFAULT "slipway.yaml"
#define WORKERS_DEFAULT 2

static volatile int stop;

static void
on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

static void
progress(void *ctx, double share, struct slw_str line)
{
    char note[256];
    (void)snprintf(note, sizeof note, "%.*s", SLW_FMT(line));
    app_meter_show(ctx, share, note);
}

/* ---- the table ---- */

/* One line a year and symbol, a column a policy. */
static void
line_write(struct slw_jw *w, const struct json_t *policies, size_t year_at,
           int64_t year, struct slw_str symbol)
{
    slw_jw_obj(w);
    slw_jw_ki64(w, "year", year);
    slw_jw_kstr(w, "symbol", symbol.len ? symbol : SLW_STR("all"));
    for (size_t p = 0; p < slw_json_len(policies); p++) {
        const struct json_t *policy = slw_json_at(policies, p);
        const struct json_t *y =
            slw_json_at(slw_json_get(policy, "by_year"), year_at);
        const struct json_t *v = slw_json_get(y, "error");
        const struct json_t *symbols = slw_json_get(y, "symbols");
        for (size_t i = 0; symbol.len && i < slw_json_len(symbols); i++) {
            const struct json_t *s = slw_json_at(symbols, i);
            if (slw_str_eq(
                    slw_json_str_or(slw_json_get(s, "symbol"), SLW_STR("")),
                    symbol))
                v = slw_json_get(s, "error");
        }
        slw_jw_keys(
            w, slw_json_str_or(slw_json_get(policy, "name"), SLW_STR("?")));
        if (v)
            slw_jw_node(w, v);
        else
            slw_jw_null(w);
    }
    slw_jw_obj_end(w);
}

/* The policy that lived longest has all years. */
static const struct json_t *
years_of(const struct json_t *policies)
{
    const struct json_t *longest = NULL;
    for (size_t p = 0; p < slw_json_len(policies); p++) {
        const struct json_t *years =
            slw_json_get(slw_json_at(policies, p), "by_year");
        if (!longest || slw_json_len(years) > slw_json_len(longest))
            longest = years;
    }
    return longest;
}

static void
errors_print(struct app_args *a, const struct json_t *policies)
{
    const struct json_t *years = years_of(policies);
    SLW_AUTO(slw_buf, rows);
    SLW_AUTO(slw_buf, columns);
    SLW_AUTO(slw_json, doc);
    struct slw_err err;
    struct slw_jw w;
    slw_jw_init(&w, &rows);
    slw_jw_arr(&w);
    for (size_t i = 0; i < slw_json_len(years); i++) {
        const struct json_t *y = slw_json_at(years, i);
        const int64_t year = slw_json_i64_or(slw_json_get(y, "year"), 0);
        const struct json_t *symbols = slw_json_get(y, "symbols");
        for (size_t s = 0; s < slw_json_len(symbols); s++)
            line_write(
                &w, policies, i, year,
                slw_json_str_or(slw_json_get(slw_json_at(symbols, s), "symbol"),
                                SLW_STR("")));
        line_write(&w, policies, i, year, SLW_STR(""));
    }
    slw_jw_arr_end(&w);
    slw_buf_z(&columns, "year=year symbol=symbol");
    for (size_t p = 0; p < slw_json_len(policies); p++) {
        const struct slw_str name = slw_json_str_or(
            slw_json_get(slw_json_at(policies, p), "name"), SLW_STR("?"));
        slw_buf_printf(&columns, " %.*s=%.*s:num", SLW_FMT(name),
                       SLW_FMT(name));
    }
    if (slw_json_parse(&doc, slw_buf_view(&rows), &err) == SLW_OK)
        app_table(doc.root,
                  app_text(a, "%.*s", SLW_FMT(slw_buf_view(&columns))));
}

static void
table_print(struct app_args *a, const struct json_t *doc)
{
    const struct json_t *policies = slw_json_get(doc, "policies");
    const struct json_t *first = slw_json_at(policies, 0);
    printf(
        "%.*s, %.*s to %.*s: %.*s of what was answered, by year and"
        " symbol\n\n",
        SLW_FMT(slw_json_str_or(slw_json_get(doc, "deployment"), SLW_STR("?"))),
        SLW_FMT(slw_json_str_or(slw_json_get(doc, "from"), SLW_STR("?"))),
        SLW_FMT(slw_json_str_or(slw_json_get(doc, "to"), SLW_STR("?"))),
        SLW_FMT(
            slw_json_str_or(slw_json_get(first, "metric"), SLW_STR("mae"))));
    errors_print(a, policies);
    puts("");
    app_table(policies,
              "policy=name model=model error=total.error:num"
              " alerts=total.alerts retrains=total.retrains"
              " promoted=total.promotions refused=total.refusals"
              " rolled_back=total.rollbacks fallback_days=total.fallback_days"
              " days=total.days");
    printf("\ntraining took");
    for (size_t p = 0; p < slw_json_len(policies); p++) {
        const struct json_t *policy = slw_json_at(policies, p);
        printf("%s %.1f min (%.*s)", p ? "," : "",
               slw_json_f64_or(slw_json_get(slw_json_get(policy, "measured"),
                                            "training_minutes"),
                               0),
               SLW_FMT(slw_json_str_or(slw_json_get(policy, "name"),
                                       SLW_STR("?"))));
    }
    printf("\neach policy's store: slipway up --data %.*s/POLICY\n",
           SLW_FMT(slw_json_str_or(slw_json_get(doc, "dir"), SLW_STR("?"))));
}

/* ---- the options ---- */

static enum slw_rc
number_take(const struct app_args *a, const char *name, int dflt, int most,
            int *out, struct slw_err *err)
{
    const char *text = app_option(a, name);
    int64_t v = dflt;
    if (text &&
        (slw_str_i64(slw_str_of(text), &v, err) != SLW_OK || v < 1 || v > most))
        return slw_fail(err, SLW_INVALID, "--%s must be 1 to %d, not '%s'",
                        name, most, text);
    *out = (int)v;
    return SLW_OK;
}

static enum slw_rc
day_take(const struct app_args *a, const char *name, bool end, int64_t *out,
         struct slw_err *err)
{
    const struct slw_str text = slw_str_of(app_option(a, name));
    const enum slw_rc rc = end ? slw_time_parse_end(text, out, err)
                               : slw_time_parse(text, out, err);
    return rc == SLW_OK ? rc : slw_err_prefix(err, "--%s: ", name);
}

/* Files behind --policy, also several behind one. */
static enum slw_rc
policies_take(struct app_args *a, struct slw_rehearse_options *o,
              const char **out_project, struct slw_err *err)
{
    const char **files = SLW_ARENA_NEW(
        &a->arena, const char *, APP_OPTION_MAX + (size_t)a->word_count + 1);
    size_t count = 0;
    *out_project = NULL;
    for (int i = 0; i < a->option_count; i++)
        if (strcmp(a->option_names[i], "policy") == 0)
            files[count++] = a->option_values[i];
    for (int i = 0; i < a->word_count; i++) {
        SLW_AUTO(slw_buf, text);
        SLW_AUTO(slw_json, doc);
        struct slw_str json;
        TRY(slw_file_get(a->words[i], SLW_PROJECT_SIZE_MAX, &text, err));
        TRY(slw_project_raw(slw_str_of(a->words[i]), slw_buf_view(&text),
                            &a->arena, &json, err));
        TRY(slw_json_parse(&doc, json, err));
        if (slw_json_type(doc.root) != SLW_JSON_OBJECT)
            return slw_fail(err, SLW_INVALID,
                            "%s is neither a project file (project: …) nor a"
                            " policy (retrain: …)",
                            a->words[i]);
        if (slw_json_get(doc.root, "project"))
            *out_project = a->words[i];
        else
            files[count++] = a->words[i];
    }
    o->policy_files = files;
    o->policy_file_count = count;
    return SLW_OK;
}

/* ---- here ---- */

static enum slw_rc
rehearse_here(struct app_args *a, const char *project,
              struct slw_rehearse_options *o, struct slw_json *out,
              struct slw_err *err)
{
    const char *data = app_option(a, "data");
    struct slw_str result;
    SLW_AUTO(slw_buf, yaml);
    struct app_meter m;
    app_meter_start(&m, "rehearse");
    TRY(slw_file_get(project, SLW_PROJECT_SIZE_MAX, &yaml, err));
    o->root = slw_path(&a->arena, data ? data : APP_DEFAULT_DATA, "rehearsals");
    o->file = slw_str_of(project);
    o->folder = slw_str_of(app_folder_of(a, project));
    o->yaml = slw_buf_view(&yaml);
    o->stop = &stop;
    o->progress = progress;
    o->progress_ctx = &m;
    struct sigaction sa = {.sa_handler = on_signal,
                           .sa_flags = (int)SA_RESETHAND};
    (void)sigaction(SIGINT, &sa, NULL);
    (void)sigaction(SIGTERM, &sa, NULL);
    const enum slw_rc rc = slw_rehearse(o, &a->arena, &result, err);
    app_meter_end(&m);
    TRY(rc);
    return slw_json_parse(out, result, err);
}

/* ---- on the server ---- */

static enum slw_rc
body_write(struct app_args *a, const struct slw_rehearse_options *o,
           struct slw_jw *w, struct slw_err *err)
{
    slw_jw_obj(w);
    app_key_option(a, w, "from", "from");
    app_key_option(a, w, "to", "to");
    app_key_option(a, w, "deployment", "deployment");
    slw_jw_ki64(w, "requests", o->requests);
    slw_jw_ki64(w, "workers", o->worker_count);
    slw_jw_kbool(w, "again", o->again);
    slw_jw_key(w, "policies");
    slw_jw_arr(w);
    for (size_t i = 0; i < o->policy_file_count; i++) {
        SLW_AUTO(slw_buf, yaml);
        TRY(slw_file_get(o->policy_files[i], SLW_PROJECT_SIZE_MAX, &yaml, err));
        slw_jw_obj(w);
        slw_jw_kstr(w, "name", slw_path_stem(slw_str_of(o->policy_files[i])));
        slw_jw_kstr(w, "yaml", slw_buf_view(&yaml));
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
    slw_jw_obj_end(w);
    return SLW_OK;
}

static enum slw_rc
rehearse_there(struct app_args *a, const struct slw_rehearse_options *o,
               struct slw_json *out, struct slw_err *err)
{
    struct slw_str id;
    SLW_AUTO(slw_buf, body);
    SLW_AUTO(slw_json, started);
    SLW_AUTO(slw_json, job);
    struct slw_jw w;
    slw_jw_init(&w, &body);
    TRY(body_write(a, o, &w, err));
    if (app_request_json(a, "POST", "/api/v1/rehearsals", slw_buf_view(&body),
                         &started, err) != SLW_OK)
        return slw_err_prefix(err,
                              "there is no " YAML_DEFAULT
                              " here to rehearse, so the server was asked: ");
    TRY(app_job_wait(a, slw_json_i64_or(slw_json_get(started.root, "job"), 0),
                     &job, err));
    TRY(slw_json_need_str(slw_json_get(job.root, "result"), "id", &id, err));
    return app_request_json(
        a, "GET",
        app_text(a, "/api/v1/rehearsals/%s",
                 app_segment(a, slw_arena_strz(&a->arena, id))),
        SLW_STR(""), out, err);
}

static enum slw_rc
rehearse(struct app_args *a, struct slw_json *out, struct slw_err *err)
{
    const char *deployment = app_option(a, "deployment");
    const char *project = NULL;
    struct slw_rehearse_options o = {
        .files = SLW_STR(""),
        .deployment = slw_str_of(deployment ? deployment : ""),
        .again = app_option(a, "again") != NULL};
    TRY(day_take(a, "from", false, &o.from_ms, err));
    TRY(day_take(a, "to", true, &o.to_ms, err));
    TRY(number_take(a, "workers", WORKERS_DEFAULT, SLW_REHEARSE_WORKERS_MAX,
                    &o.worker_count, err));
    TRY(number_take(a, "requests", SLW_REHEARSE_REQUESTS_DEFAULT,
                    SLW_REHEARSE_REQUESTS_MAX, &o.requests, err));
    TRY(policies_take(a, &o, &project, err));
    if (!project && slw_file_exists(YAML_DEFAULT))
        project = YAML_DEFAULT;
    return project ? rehearse_here(a, project, &o, out, err)
                   : rehearse_there(a, &o, out, err);
}

int
app_rehearse(struct app_args *a)
{
    struct slw_err err;
    SLW_AUTO(slw_json, doc);
    if (rehearse(a, &doc, &err) != SLW_OK)
        return app_error(a, &err);
    if (a->json)
        app_show(a, doc.root, NULL, NULL);
    else
        table_print(a, doc.root);
    if (slw_json_bool_or(slw_json_get(doc.root, "complete"), false))
        return APP_OK;
    fputs("slipway: stopped before the last day; the same command goes on from"
          " there\n",
          stderr);
    return APP_FAILED;
}
