/* cmd_runs.c -- runs as a list, and one run with all that belongs to it.
 *
 * The server filters and sorts; here is what a terminal needs: those of the
 * columns that fit its width, and numbers that can be read. */
#include "app/app.h"
#include "base/clock.h"

#include <stdlib.h>

#define LIMIT_DEFAULT 50
#define COLUMN_MAX 64
#define COLUMN_SHOWN 10 /* where no terminal gives a width */
#define CELL_WIDTH 28

static void
duration_text(double seconds, char *out, size_t size)
{
    if (seconds < 120)
        snprintf(out, size, "%.3g s", seconds);
    else if (seconds < 7200)
        snprintf(out, size, "%.0f min", seconds / 60);
    else
        snprintf(out, size, "%.1f h", seconds / 3600);
}

/* ---- the list ---- */

struct list {
    struct slw_json doc; /* of the search */
    int64_t total;       /* runs that the filter leaves */
    struct slw_str id;   /* of the one experiment, or "" */
    const struct json_t *runs;
};

static void
list_done(struct list *l)
{
    slw_json_done(&l->doc);
}

/* The ids of all experiments, page by page. */
static enum slw_rc
all_experiments(struct app_args *a, struct slw_jw *w, struct slw_err *err)
{
    const char *token = "";
    do {
        SLW_AUTO(slw_json, doc);
        TRY(app_request_json(
            a, "GET",
            app_text(a,
                     "/api/2.0/mlflow/experiments/search?max_results=1000%s%s",
                     *token ? "&page_token=" : "", token),
            SLW_STR(""), &doc, err));
        const struct json_t *list = slw_json_get(doc.root, "experiments");
        for (size_t i = 0; i < slw_json_len(list); i++)
            slw_jw_node(w, slw_json_get(slw_json_at(list, i), "experiment_id"));
        struct slw_str next = app_str_of(doc.root, "next_page_token");
        token = app_segment(a, slw_arena_strz(&a->arena, next));
    } while (*token);
    return SLW_OK;
}

/* The experiment of that name, or all there are. */
static enum slw_rc
experiment_ids(struct app_args *a, struct list *l, struct slw_jw *w,
               struct slw_err *err)
{
    SLW_AUTO(slw_json, doc);
    const char *name =
        a->word_count ? a->words[0] : app_option(a, "experiment");
    if (a->word_count && app_option(a, "experiment"))
        return slw_fail(err, SLW_INVALID,
                        "the experiment is named twice: '%s' and --experiment",
                        a->words[0]);
    if (name) {
        TRY(app_request_json(a, "GET",
                             app_text(a,
                                      "/api/2.0/mlflow/experiments/get-by-name"
                                      "?experiment_name=%s",
                                      app_segment(a, name)),
                             SLW_STR(""), &doc, err));
        struct slw_str id =
            app_str_of(slw_json_get(doc.root, "experiment"), "experiment_id");
        l->id = slw_arena_str(&a->arena, id);
        slw_jw_str(w, id);
        return SLW_OK;
    }
    return all_experiments(a, w, err);
}

/* The clauses of --order-by: split at commas outside of quotes. */
static void
write_orders(const char *text, struct slw_jw *w)
{
    char quote = '\0';
    const char *from = text;
    slw_jw_arr(w);
    for (const char *p = text;; p++) {
        if (*p && quote) {
            quote = *p == quote ? '\0' : quote;
        } else if (*p == '`' || *p == '"') {
            quote = *p;
        } else if (!*p || *p == ',') {
            slw_jw_str(
                w, slw_str_trim((struct slw_str){from, (size_t)(p - from)}));
            from = p + 1;
        }
        if (!*p)
            break;
    }
    slw_jw_arr_end(w);
}

/* How many there are: those shown, or what the server counts. */
static enum slw_rc
count_runs(struct app_args *a, struct list *l, struct slw_err *err)
{
    SLW_AUTO(slw_json, doc);
    const char *filter = app_option(a, "filter");
    l->total = (int64_t)slw_json_len(l->runs);
    if (app_str_of(l->doc.root, "next_page_token").len == 0)
        return SLW_OK;
    const char *path =
        app_text(a, "/api/v1/runs?limit=1&q=%s&experiment=%.*s",
                 app_segment(a, filter ? filter : ""), SLW_FMT(l->id));
    TRY(app_request_json(a, "GET", path, SLW_STR(""), &doc, err));
    l->total = slw_json_i64_or(slw_json_get(doc.root, "total"), l->total);
    return SLW_OK;
}

static enum slw_rc
list_get(struct app_args *a, struct list *l, struct slw_err *err)
{
    SLW_AUTO(slw_buf, body);
    struct slw_jw w;
    int64_t limit = LIMIT_DEFAULT;
    const char *text = app_option(a, "limit");
    if (text && slw_str_i64(slw_str_of(text), &limit, err) != SLW_OK)
        return slw_err_prefix(err, "--limit: ");
    slw_jw_init(&w, &body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "experiment_ids");
    slw_jw_arr(&w);
    TRY(experiment_ids(a, l, &w, err));
    slw_jw_arr_end(&w);
    app_key_option(a, &w, "filter", "filter");
    if (app_option(a, "order-by")) {
        slw_jw_key(&w, "order_by");
        write_orders(app_option(a, "order-by"), &w);
    }
    slw_jw_ki64(&w, "max_results", limit);
    slw_jw_obj_end(&w);
    TRY(app_request_json(a, "POST", "/api/2.0/mlflow/runs/search",
                         slw_buf_view(&body), &l->doc, err));
    l->runs = slw_json_get(l->doc.root, "runs");
    return count_runs(a, l, err);
}

/* ---- its columns ---- */

struct column {
    struct slw_str title; /* "metrics.mae" */
    size_t seen;          /* runs that have it */
    size_t place;         /* where it was met first */
    int width;
};

static const char *const KINDS[] = {"metrics", "params", "tags"};

/* The value of "metrics.mae" in a run of MLflow's JSON; NULL: none. */
static const struct json_t *
value_of(const struct json_t *run, struct slw_str title)
{
    struct slw_str kind, key;
    slw_str_cut(title, '.', &kind, &key);
    for (size_t k = 0; k < SLW_ARRAY_LEN(KINDS); k++) {
        if (!slw_str_eqz(kind, KINDS[k]))
            continue;
        const struct json_t *list =
            slw_json_get(slw_json_get(run, "data"), KINDS[k]);
        for (size_t i = 0; i < slw_json_len(list); i++) {
            const struct json_t *one = slw_json_at(list, i);
            if (slw_str_eq(app_str_of(one, "key"), key))
                return slw_json_get(one, "value");
        }
    }
    return NULL;
}

static int
by_frequency(const void *va, const void *vb)
{
    const struct column *a = va, *b = vb;
    if (a->seen != b->seen)
        return a->seen > b->seen ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

static void
column_see(struct app_args *a, struct column **cols, size_t *count, size_t *cap,
           const char *kind, struct slw_str key)
{
    const size_t prefix = strlen(kind) + 1;
    for (size_t i = 0; i < *count; i++) {
        struct slw_str t = (*cols)[i].title;
        if (slw_str_starts(t, kind) && t.len == prefix + key.len &&
            memcmp(t.ptr + prefix, key.ptr, key.len) == 0) {
            (*cols)[i].seen++;
            return;
        }
    }
    *cols = slw_arena_grow(&a->arena, *cols, sizeof **cols, *count, cap);
    (*cols)[*count] = (struct column){
        .title = slw_arena_printf(&a->arena, "%s.%.*s", kind, SLW_FMT(key)),
        .seen = 1,
        .place = *count};
    (*count)++;
}

/* Metrics and params of the runs at hand, the most common first. */
static size_t
columns_found(struct app_args *a, const struct json_t *runs,
              struct column **out)
{
    struct column *cols = NULL;
    size_t count = 0, cap = 0;
    for (size_t k = 0; k < 2; k++)
        for (size_t r = 0; r < slw_json_len(runs); r++) {
            const struct json_t *list = slw_json_get(
                slw_json_get(slw_json_at(runs, r), "data"), KINDS[k]);
            for (size_t i = 0; i < slw_json_len(list); i++)
                column_see(a, &cols, &count, &cap, KINDS[k],
                           app_str_of(slw_json_at(list, i), "key"));
        }
    if (count)
        qsort(cols, count, sizeof *cols, by_frequency);
    *out = cols;
    return count;
}

/* --columns, each metrics.NAME, params.NAME or tags.NAME. */
static enum slw_rc
columns_asked(struct app_args *a, const char *text, struct column **out,
              size_t *out_count, struct slw_err *err)
{
    struct column *cols = SLW_ARENA_NEW(&a->arena, struct column, COLUMN_MAX);
    struct slw_str rest = slw_str_of(text), one, kind, name;
    size_t count = 0;
    while (rest.len) {
        slw_str_cut(rest, ',', &one, &rest);
        one = slw_str_trim(one);
        const bool ok =
            slw_str_cut(one, '.', &kind, &name) && name.len &&
            (slw_str_eqz(kind, "metrics") || slw_str_eqz(kind, "params") ||
             slw_str_eqz(kind, "tags"));
        if (!ok)
            return slw_fail(err, SLW_INVALID,
                            "--columns: '%.*s' should be metrics.NAME, "
                            "params.NAME or tags.NAME",
                            SLW_FMT(one));
        if (count == COLUMN_MAX)
            return slw_fail(err, SLW_INVALID, "--columns: at most %d",
                            COLUMN_MAX);
        cols[count++] = (struct column){.title = one};
    }
    *out = cols;
    *out_count = count;
    return SLW_OK;
}

static void
cell_of(const struct json_t *run, const struct column *c, char *out,
        size_t size)
{
    app_value_text(value_of(run, c->title), out, size);
    app_cut(out, CELL_WIDTH);
}

static void
columns_measure(const struct json_t *runs, struct column *cols, size_t count)
{
    char text[APP_CELL_SIZE];
    for (size_t c = 0; c < count; c++) {
        cols[c].width = (int)cols[c].title.len;
        for (size_t r = 0; r < slw_json_len(runs); r++) {
            cell_of(slw_json_at(runs, r), &cols[c], text, sizeof text);
            const int width = app_width_of(text);
            cols[c].width = width > cols[c].width ? width : cols[c].width;
        }
    }
}

static void
name_of(const struct json_t *run, char *out, size_t size)
{
    app_value_text(slw_json_get(slw_json_get(run, "info"), "run_name"), out,
                   size);
    app_cut(out, CELL_WIDTH);
}

static const char *
started_of(const struct json_t *run, char buf[SLW_TIME_TEXT_SIZE])
{
    int64_t ms = slw_json_i64_or(
        slw_json_get(slw_json_get(run, "info"), "start_time"), 0);
    return slw_time_text(ms - ms % 1000, buf);
}

/* How many of the columns fit beside what always stands there. */
static size_t
columns_fit(const struct column *cols, size_t count, int used, int width)
{
    size_t n = 0;
    if (!width)
        return count < COLUMN_SHOWN ? count : COLUMN_SHOWN;
    while (n < count && used + 2 + cols[n].width <= width)
        used += 2 + cols[n++].width;
    return n;
}

static void
list_table(const struct list *l, struct column *cols, size_t count, bool asked)
{
    char text[APP_CELL_SIZE], time[SLW_TIME_TEXT_SIZE];
    const size_t run_count = slw_json_len(l->runs);
    int name_width = 4;
    for (size_t r = 0; r < run_count; r++) {
        name_of(slw_json_at(l->runs, r), text, sizeof text);
        name_width =
            app_width_of(text) > name_width ? app_width_of(text) : name_width;
    }
    columns_measure(l->runs, cols, count);
    const size_t shown =
        asked ? count
              : columns_fit(cols, count, 8 + 2 + name_width + 2 + 9 + 2 + 20,
                            app_terminal_width());
    printf("%-8s  %-*s  %-9s  %-20s", "run", name_width, "name", "status",
           "started");
    for (size_t c = 0; c < shown; c++)
        printf("  %-*.*s", c + 1 < shown ? cols[c].width : 0,
               SLW_FMT(cols[c].title));
    puts("");
    for (size_t r = 0; r < run_count; r++) {
        const struct json_t *run = slw_json_at(l->runs, r);
        const struct json_t *info = slw_json_get(run, "info");
        name_of(run, text, sizeof text);
        printf("%-8.8s  ", app_str_of(info, "run_id").ptr);
        app_pad(text, name_width);
        printf("  %-9.*s  %-20s", SLW_FMT(app_str_of(info, "status")),
               started_of(run, time));
        for (size_t c = 0; c < shown; c++) {
            cell_of(run, &cols[c], text, sizeof text);
            printf("  ");
            app_pad(text, c + 1 < shown ? cols[c].width : 0);
        }
        puts("");
    }
    printf("\n%zu of %lld runs", run_count, (long long)l->total);
    if (shown < count)
        printf("; %zu more columns: --columns names them, --csv has all",
               count - shown);
    puts("");
}

/* ---- CSV ---- */

static void
csv_cell(struct slw_str s)
{
    bool plain = true;
    for (size_t i = 0; i < s.len; i++)
        plain = plain && !(s.ptr[i] && strchr(",\"\r\n", s.ptr[i]));
    if (plain) {
        printf("%.*s", SLW_FMT(s));
        return;
    }
    putchar('"');
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '"')
            putchar('"');
        putchar(s.ptr[i]);
    }
    putchar('"');
}

/* A value without loss; nothing where it is absent. */
static void
csv_value(const struct json_t *v)
{
    enum slw_json_type type = slw_json_type(v);
    if (type == SLW_JSON_STR) {
        csv_cell(slw_json_str_or(v, SLW_STR("")));
    } else if (type == SLW_JSON_INT || type == SLW_JSON_REAL) {
        SLW_AUTO(slw_buf, b);
        slw_json_dump(&b, v);
        printf("%.*s", SLW_FMT(slw_buf_view(&b)));
    }
}

static void
list_csv(const struct list *l, const struct column *cols, size_t count)
{
    static const char *const heads[] = {"run_id", "run_name", "experiment_id",
                                        "status"};
    char time[SLW_TIME_TEXT_SIZE];
    fputs("run_id,name,experiment_id,status,started", stdout);
    for (size_t c = 0; c < count; c++) {
        putchar(',');
        csv_cell(cols[c].title);
    }
    puts("");
    for (size_t r = 0; r < slw_json_len(l->runs); r++) {
        const struct json_t *run = slw_json_at(l->runs, r);
        const struct json_t *info = slw_json_get(run, "info");
        for (size_t i = 0; i < SLW_ARRAY_LEN(heads); i++) {
            csv_cell(app_str_of(info, heads[i]));
            putchar(',');
        }
        fputs(slw_time_text(
                  slw_json_i64_or(slw_json_get(info, "start_time"), 0), time),
              stdout);
        for (size_t c = 0; c < count; c++) {
            putchar(',');
            csv_value(value_of(run, cols[c].title));
        }
        puts("");
    }
}

static void
list_json(const struct list *l)
{
    SLW_AUTO(slw_buf, b);
    struct slw_jw w;
    slw_jw_init(&w, &b);
    slw_jw_obj(&w);
    slw_jw_key(&w, "runs");
    if (l->runs)
        slw_jw_node(&w, l->runs);
    else {
        slw_jw_arr(&w);
        slw_jw_arr_end(&w);
    }
    slw_jw_ki64(&w, "total", l->total);
    slw_jw_obj_end(&w);
    printf("%.*s\n", SLW_FMT(slw_buf_view(&b)));
}

int
app_runs_list(struct app_args *a)
{
    struct slw_err err;
    struct column *cols = NULL;
    size_t count = 0;
    const char *asked = app_option(a, "columns");
    SLW_AUTO(list, l);
    if (asked && columns_asked(a, asked, &cols, &count, &err) != SLW_OK)
        return app_error(a, &err);
    if (list_get(a, &l, &err) != SLW_OK)
        return app_error(a, &err);
    if (!asked)
        count = columns_found(a, l.runs, &cols);
    if (a->json)
        list_json(&l);
    else if (app_option(a, "csv"))
        list_csv(&l, cols, count);
    else if (slw_json_len(l.runs) == 0)
        puts("(none)");
    else
        list_table(&l, cols, count, asked != NULL);
    return APP_OK;
}

/* ---- one run ---- */

/* A heading, then key and value of each, the keys as wide as the widest. */
struct pairs {
    const char *title;
    bool any;
    int width;
};

static void
pair_print(struct pairs *p, const char *key, const char *value)
{
    if (!p->any)
        printf("\n%s\n", p->title);
    p->any = true;
    printf("  ");
    app_pad(key, p->width);
    printf("  %s\n", value);
}

static void
line(const char *key, struct slw_str value)
{
    if (value.len)
        printf("%-11s %.*s\n", key, SLW_FMT(value));
}

static void
show_head(const struct json_t *run)
{
    char time[SLW_TIME_TEXT_SIZE], text[64];
    int64_t start = slw_json_i64_or(slw_json_get(run, "started_at_ms"), 0);
    int64_t end = slw_json_i64_or(slw_json_get(run, "ended_at_ms"), 0);
    const struct json_t *tags = slw_json_get(run, "tags");
    line("run", app_str_of(run, "id"));
    line("name", app_str_of(run, "name"));
    line("experiment", app_str_of(run, "experiment"));
    line("status", slw_json_bool_or(slw_json_get(run, "deleted"), false)
                       ? SLW_STR("deleted")
                       : app_str_of(run, "status"));
    line("started", slw_str_of(slw_time_text(start, time)));
    if (end) {
        duration_text((double)(end - start) * 1e-3, text, sizeof text);
        line("duration", slw_str_of(text));
    }
    line("user", app_str_of(run, "user"));
    line("source", app_str_of(tags, "mlflow.source.name"));
    line("commit", app_str_of(tags, "mlflow.source.git.commit"));
    line("parent", app_str_of(tags, "mlflow.parentRunId"));
}

static void
show_kvs(const char *title, const struct json_t *kvs, bool ours_only)
{
    struct pairs p = {.title = title};
    for (int turn = 0; turn < 2; turn++)
        for (void *it = slw_json_iter(kvs); it; it = slw_json_next(kvs, it)) {
            char key[APP_CELL_SIZE], value[APP_CELL_SIZE];
            snprintf(key, sizeof key, "%.*s", SLW_FMT(slw_json_iter_key(it)));
            if (ours_only && strncmp(key, "mlflow.", 7) == 0)
                continue;
            app_value_text(slw_json_iter_value(it), value, sizeof value);
            app_cut(value, 100);
            if (turn)
                pair_print(&p, key, value);
            else if (app_width_of(key) > p.width)
                p.width = app_width_of(key);
        }
}

static void
show_metrics(const struct json_t *metrics)
{
    struct pairs p = {.title = "metrics (last value)"};
    for (int turn = 0; turn < 2; turn++)
        for (size_t i = 0; i < slw_json_len(metrics); i++) {
            const struct json_t *m = slw_json_at(metrics, i);
            char key[APP_CELL_SIZE], value[APP_CELL_SIZE],
                text[APP_CELL_SIZE + 40];
            snprintf(key, sizeof key, "%.*s", SLW_FMT(app_str_of(m, "key")));
            app_value_text(slw_json_get(m, "value"), value, sizeof value);
            snprintf(text, sizeof text, "%-12s  step %lld", value,
                     (long long)slw_json_i64_or(slw_json_get(m, "step"), 0));
            if (turn)
                pair_print(&p, key, text);
            else if (app_width_of(key) > p.width)
                p.width = app_width_of(key);
        }
}

static void
show_lists(const struct json_t *run)
{
    const struct json_t *inputs = slw_json_get(run, "inputs");
    const struct json_t *outputs = slw_json_get(run, "outputs");
    const struct json_t *versions = slw_json_get(run, "versions");
    if (slw_json_len(inputs)) {
        puts("\ninputs");
        app_table(inputs, "name digest context source_type");
    }
    if (slw_json_len(outputs)) {
        puts("\noutputs");
        app_table(outputs, "model=model_id step");
    }
    if (slw_json_len(versions)) {
        puts("\nregistered as");
        app_table(versions, "model version");
    }
}

static enum slw_rc
show_artifacts(struct app_args *a, const struct json_t *run,
               struct slw_err *err)
{
    SLW_AUTO(slw_json, doc);
    TRY(app_request_json(a, "GET",
                         app_text(a,
                                  "/api/2.0/mlflow/artifacts/list?run_id=%.*s",
                                  SLW_FMT(app_str_of(run, "id"))),
                         SLW_STR(""), &doc, err));
    const struct json_t *files = slw_json_get(doc.root, "files");
    if (slw_json_len(files)) {
        puts("\nartifacts");
        app_table(files, "path folder=is_dir size=file_size:size");
    }
    return SLW_OK;
}

enum slw_rc
app_run_get(struct app_args *a, const char *ref, struct slw_json *out,
            struct slw_err *err)
{
    return app_request_json(
        a, "GET", app_text(a, "/api/v1/runs/show?run=%s", app_segment(a, ref)),
        SLW_STR(""), out, err);
}

int
app_runs_show(struct app_args *a)
{
    struct slw_err err;
    SLW_AUTO(slw_json, doc);
    if (app_run_get(a, a->words[0], &doc, &err) != SLW_OK)
        return app_error(a, &err);
    if (a->json) {
        app_show(a, doc.root, NULL, NULL);
        return APP_OK;
    }
    const struct json_t *run = slw_json_get(doc.root, "run");
    show_head(run);
    show_kvs("params", slw_json_get(run, "params"), false);
    show_metrics(slw_json_get(run, "metrics"));
    show_kvs("tags", slw_json_get(run, "tags"), true);
    show_lists(run);
    if (show_artifacts(a, run, &err) != SLW_OK)
        fprintf(stderr, "artifacts: %s\n", err.msg); /* they lie elsewhere */
    return APP_OK;
}
