/* cmd_runs.c -- commands about runs: a list, one run, a metric's history as a
 * plot, and runs side by side.
 *
 * The server filters, sorts and compares; here is what a terminal needs: the
 * columns that fit its width, numbers that can be read, a plot of dots. */
#include "app/app.h"
#include "base/clock.h"

#include <math.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LIMIT_DEFAULT 50
#define COLUMN_MAX 64
#define COLUMN_SHOWN 10 /* where no terminal gives a width */
#define CELL_SIZE 256
#define CELL_WIDTH 28

static struct slw_str
str_of(const struct json_t *o, const char *key)
{
    return slw_json_str_or(slw_json_get(o, key), SLW_STR(""));
}

/* Columns of the terminal; 0: none that is known. */
static int
terminal_width(void)
{
    struct winsize size = {0};
    struct slw_err ignored;
    int64_t columns = 0;
    const char *text = getenv("COLUMNS");
    if (text && slw_str_i64(slw_str_of(text), &columns, &ignored) == SLW_OK &&
        columns > 0 && columns < 10000)
        return (int)columns;
    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        return size.ws_col;
    return 0;
}

static int
width_of(const char *s)
{
    int n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

/* Cuts a text to so many characters, the last of them "…"; control characters
 * become blanks. */
static void
cut(char *s, int width)
{
    int n = 0;
    for (char *p = s; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
        if (((unsigned char)*p & 0xc0) == 0x80)
            continue;
        if (++n == width && p[1] && width_of(p) > 1) {
            memcpy(p, "…", sizeof "…");
            return;
        }
    }
}

static void
pad(const char *s, int width)
{
    printf("%s%*s", s, width > width_of(s) ? width - width_of(s) : 0, "");
}

/* A number as people read it; what JSON cannot hold comes as text. */
static void
value_text(const struct json_t *v, char *out, size_t size)
{
    switch (slw_json_type(v)) {
    case SLW_JSON_INT:
    case SLW_JSON_REAL:
        snprintf(out, size, "%.6g", slw_json_f64_or(v, 0));
        return;
    case SLW_JSON_STR: {
        struct slw_str s = slw_json_str_or(v, SLW_STR(""));
        snprintf(out, size, "%.*s", (int)(s.len < size - 4 ? s.len : size - 4),
                 s.ptr);
        return;
    }
    default:
        snprintf(out, size, "-");
    }
}

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
            str_of(slw_json_get(doc.root, "experiment"), "experiment_id");
        l->id = slw_arena_str(&a->arena, id);
        slw_jw_str(w, id);
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
    if (str_of(l->doc.root, "next_page_token").len == 0)
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
            if (slw_str_eq(str_of(one, "key"), key))
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
                           str_of(slw_json_at(list, i), "key"));
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
    value_text(value_of(run, c->title), out, size);
    cut(out, CELL_WIDTH);
}

static void
columns_measure(const struct json_t *runs, struct column *cols, size_t count)
{
    char text[CELL_SIZE];
    for (size_t c = 0; c < count; c++) {
        cols[c].width = (int)cols[c].title.len;
        for (size_t r = 0; r < slw_json_len(runs); r++) {
            cell_of(slw_json_at(runs, r), &cols[c], text, sizeof text);
            const int width = width_of(text);
            cols[c].width = width > cols[c].width ? width : cols[c].width;
        }
    }
}

static void
name_of(const struct json_t *run, char *out, size_t size)
{
    value_text(slw_json_get(slw_json_get(run, "info"), "run_name"), out, size);
    cut(out, CELL_WIDTH);
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
    char text[CELL_SIZE], time[SLW_TIME_TEXT_SIZE];
    const size_t run_count = slw_json_len(l->runs);
    int name_width = 4;
    for (size_t r = 0; r < run_count; r++) {
        name_of(slw_json_at(l->runs, r), text, sizeof text);
        name_width = width_of(text) > name_width ? width_of(text) : name_width;
    }
    columns_measure(l->runs, cols, count);
    const size_t shown =
        asked ? count
              : columns_fit(cols, count, 8 + 2 + name_width + 2 + 9 + 2 + 20,
                            terminal_width());
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
        printf("%-8.8s  ", str_of(info, "run_id").ptr);
        pad(text, name_width);
        printf("  %-9.*s  %-20s", SLW_FMT(str_of(info, "status")),
               started_of(run, time));
        for (size_t c = 0; c < shown; c++) {
            cell_of(run, &cols[c], text, sizeof text);
            printf("  ");
            pad(text, c + 1 < shown ? cols[c].width : 0);
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
            csv_cell(str_of(info, heads[i]));
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
    pad(key, p->width);
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
    line("run", str_of(run, "id"));
    line("name", str_of(run, "name"));
    line("experiment", str_of(run, "experiment"));
    line("status", slw_json_bool_or(slw_json_get(run, "deleted"), false)
                       ? SLW_STR("deleted")
                       : str_of(run, "status"));
    line("started", slw_str_of(slw_time_text(start, time)));
    if (end) {
        duration_text((double)(end - start) * 1e-3, text, sizeof text);
        line("duration", slw_str_of(text));
    }
    line("user", str_of(run, "user"));
    line("source", str_of(tags, "mlflow.source.name"));
    line("commit", str_of(tags, "mlflow.source.git.commit"));
    line("parent", str_of(tags, "mlflow.parentRunId"));
}

static void
show_kvs(const char *title, const struct json_t *kvs, bool ours_only)
{
    struct pairs p = {.title = title};
    for (int turn = 0; turn < 2; turn++)
        for (void *it = slw_json_iter(kvs); it; it = slw_json_next(kvs, it)) {
            char key[CELL_SIZE], value[CELL_SIZE];
            snprintf(key, sizeof key, "%.*s", SLW_FMT(slw_json_iter_key(it)));
            if (ours_only && strncmp(key, "mlflow.", 7) == 0)
                continue;
            value_text(slw_json_iter_value(it), value, sizeof value);
            cut(value, 100);
            if (turn)
                pair_print(&p, key, value);
            else if (width_of(key) > p.width)
                p.width = width_of(key);
        }
}

static void
show_metrics(const struct json_t *metrics)
{
    struct pairs p = {.title = "metrics (last value)"};
    for (int turn = 0; turn < 2; turn++)
        for (size_t i = 0; i < slw_json_len(metrics); i++) {
            const struct json_t *m = slw_json_at(metrics, i);
            char key[CELL_SIZE], value[CELL_SIZE], text[CELL_SIZE + 40];
            snprintf(key, sizeof key, "%.*s", SLW_FMT(str_of(m, "key")));
            value_text(slw_json_get(m, "value"), value, sizeof value);
            snprintf(text, sizeof text, "%-12s  step %lld", value,
                     (long long)slw_json_i64_or(slw_json_get(m, "step"), 0));
            if (turn)
                pair_print(&p, key, text);
            else if (width_of(key) > p.width)
                p.width = width_of(key);
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
                                  SLW_FMT(str_of(run, "id"))),
                         SLW_STR(""), &doc, err));
    const struct json_t *files = slw_json_get(doc.root, "files");
    if (slw_json_len(files)) {
        puts("\nartifacts");
        app_table(files, "path folder=is_dir size=file_size:size");
    }
    return SLW_OK;
}

static enum slw_rc
run_get(struct app_args *a, const char *ref, struct slw_json *out,
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
    if (run_get(a, a->words[0], &doc, &err) != SLW_OK)
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

/* ---- a metric's history ---- */

#define PAGE_SIZE 25000
#define POINT_MAX 1000000
#define PLOT_WIDTH 72
#define PLOT_HEIGHT 12
/* A braille character is 2 dots wide and 4 high. */
#define DOT_WIDTH_MAX (2 * 400)
#define DOT_HEIGHT (4 * PLOT_HEIGHT)

struct point {
    int64_t step, at_ms;
    double value;
};
struct points {
    struct point *items;
    size_t count, cap;
};

static double
metric_value(const struct json_t *v)
{
    struct slw_str s = slw_json_str_or(v, SLW_STR(""));
    if (slw_str_eqz(s, "Infinity"))
        return INFINITY;
    if (slw_str_eqz(s, "-Infinity"))
        return -INFINITY;
    return slw_json_f64_or(v, NAN);
}

static int
by_step(const void *va, const void *vb)
{
    const struct point *a = va, *b = vb;
    if (a->step != b->step)
        return a->step < b->step ? -1 : 1;
    return a->at_ms < b->at_ms ? -1 : a->at_ms > b->at_ms;
}

static enum slw_rc
points_get(struct app_args *a, struct slw_str run_id, const char *metric,
           struct points *out, struct slw_err *err)
{
    const char *token = "";
    do {
        SLW_AUTO(slw_json, doc);
        const char *path =
            app_text(a,
                     "/api/2.0/mlflow/metrics/get-history?run_id=%.*s"
                     "&metric_key=%s&max_results=%d%s%s",
                     SLW_FMT(run_id), app_segment(a, metric), PAGE_SIZE,
                     *token ? "&page_token=" : "", token);
        TRY(app_request_json(a, "GET", path, SLW_STR(""), &doc, err));
        const struct json_t *list = slw_json_get(doc.root, "metrics");
        for (size_t i = 0; i < slw_json_len(list); i++) {
            const struct json_t *m = slw_json_at(list, i);
            out->items =
                slw_arena_grow(&a->arena, out->items, sizeof *out->items,
                               out->count, &out->cap);
            out->items[out->count++] =
                (struct point){slw_json_i64_or(slw_json_get(m, "step"), 0),
                               slw_json_i64_or(slw_json_get(m, "timestamp"), 0),
                               metric_value(slw_json_get(m, "value"))};
        }
        struct slw_str next = str_of(doc.root, "next_page_token");
        token = app_segment(a, slw_arena_strz(&a->arena, next));
        if (out->count > POINT_MAX)
            return slw_fail(err, SLW_LIMIT,
                            "'%s' has more than %d points; the page of the run "
                            "shows them",
                            metric, POINT_MAX);
    } while (*token);
    if (out->count == 0)
        return slw_fail(err, SLW_NOT_FOUND, "run %.*s has no metric '%s'",
                        SLW_FMT(run_id), metric);
    qsort(out->items, out->count, sizeof *out->items, by_step);
    return SLW_OK;
}

/* At most n points: the least and the greatest of each stretch, in order. */
static void
points_thin(struct points *p, size_t n)
{
    if (p->count <= n || n < 2)
        return;
    const size_t stretches = n / 2;
    size_t kept = 0;
    for (size_t s = 0; s < stretches; s++) {
        const size_t from = p->count * s / stretches;
        const size_t to = p->count * (s + 1) / stretches;
        size_t low = from, high = from;
        for (size_t i = from; i < to; i++) {
            low = p->items[i].value < p->items[low].value ? i : low;
            high = p->items[i].value > p->items[high].value ? i : high;
        }
        const size_t first = low < high ? low : high;
        const size_t second = low < high ? high : low;
        p->items[kept++] = p->items[first];
        if (second != first)
            p->items[kept++] = p->items[second];
    }
    p->count = kept;
}

static void
history_csv(const struct points *p)
{
    char time[SLW_TIME_TEXT_SIZE];
    puts("step,time,value");
    for (size_t i = 0; i < p->count; i++)
        printf("%lld,%s,%.17g\n", (long long)p->items[i].step,
               slw_time_text(p->items[i].at_ms, time), p->items[i].value);
}

static void
history_json(const struct json_t *run, const char *metric, size_t total,
             const struct points *p)
{
    SLW_AUTO(slw_buf, b);
    struct slw_jw w;
    slw_jw_init(&w, &b);
    w.nan_as_text = true;
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "run", str_of(run, "id"));
    slw_jw_kz(&w, "metric", metric);
    slw_jw_ki64(&w, "total", (int64_t)total);
    slw_jw_key(&w, "points");
    slw_jw_arr(&w);
    for (size_t i = 0; i < p->count; i++) {
        slw_jw_obj(&w);
        slw_jw_ki64(&w, "step", p->items[i].step);
        slw_jw_ki64(&w, "at_ms", p->items[i].at_ms);
        slw_jw_kf64(&w, "value", p->items[i].value);
        slw_jw_obj_end(&w);
    }
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    printf("%.*s\n", SLW_FMT(slw_buf_view(&b)));
}

struct plot {
    bool dots[DOT_HEIGHT][DOT_WIDTH_MAX];
    int width;           /* dots */
    double low, high;    /* values at the lower and the upper edge */
    int64_t first, last; /* steps at the edges */
};

static int
dot_y(const struct plot *p, double v)
{
    const double span = p->high - p->low;
    if (!(span > 0))
        return DOT_HEIGHT / 2;
    return (int)lround((p->high - v) / span * (DOT_HEIGHT - 1));
}

/* A stroke from the last point to this one, in the column of this one. */
static void
plot_draw(struct plot *p, const struct points *points)
{
    int before = -1;
    const double span = (double)p->last - (double)p->first;
    for (size_t i = 0; i < points->count; i++) {
        const struct point *q = &points->items[i];
        if (!isfinite(q->value)) {
            before = -1; /* a gap */
            continue;
        }
        const int x = span > 0
                          ? (int)lround(((double)q->step - (double)p->first) /
                                        span * (p->width - 1))
                          : 0;
        const int y = dot_y(p, q->value);
        int from = before < 0 ? y : before, to = y;
        const int way = to < from ? -1 : 1;
        for (int k = from; k != to + way; k += way)
            p->dots[k][x] = true;
        before = y;
    }
}

static void
plot_print(const struct plot *p)
{
    static const unsigned char bits[4][2] = {
        {0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    for (int row = 0; row < PLOT_HEIGHT; row++) {
        if (row == 0 || row == PLOT_HEIGHT - 1)
            printf("%11.5g ", row ? p->low : p->high);
        else
            printf("%12s", "");
        for (int x = 0; x < p->width; x += 2) {
            unsigned mask = 0;
            for (int dy = 0; dy < 4; dy++)
                for (int dx = 0; dx < 2; dx++)
                    if (p->dots[row * 4 + dy][x + dx])
                        mask |= bits[dy][dx];
            if (mask) /* U+2800 and the dots, in UTF-8 */
                printf("\xe2%c%c", (int)(0xa0 + (mask >> 6)),
                       (int)(0x80 + (mask & 0x3f)));
            else
                putchar(' ');
        }
        puts("");
    }
    char first[24], last[24];
    snprintf(first, sizeof first, "%lld", (long long)p->first);
    snprintf(last, sizeof last, "%lld", (long long)p->last);
    printf("%12s%s%*s\n", "", first, p->width / 2 - (int)strlen(first), last);
}

static void
history_plot(struct app_args *a, const struct json_t *run, const char *metric,
             const struct points *points)
{
    struct plot *p = SLW_ARENA_NEW(&a->arena, struct plot, 1);
    const int terminal = terminal_width();
    int width = terminal ? terminal - 13 : PLOT_WIDTH;
    width = width < 16 ? 16 : width > 120 ? 120 : width;
    p->width = 2 * width;
    p->low = INFINITY;
    p->high = -INFINITY;
    const struct point *low = NULL, *high = NULL;
    for (size_t i = 0; i < points->count; i++) {
        const struct point *q = &points->items[i];
        if (isfinite(q->value) && (!low || q->value < low->value))
            low = q;
        if (isfinite(q->value) && (!high || q->value > high->value))
            high = q;
    }
    const struct point *last = &points->items[points->count - 1];
    printf("%s of %.*s: %zu points, last %.6g at step %lld", metric,
           SLW_FMT(str_of(run, "name")), points->count, last->value,
           (long long)last->step);
    if (!low) {
        puts("; none is a finite number");
        return;
    }
    printf(", least %.6g at %lld, greatest %.6g at %lld\n\n", low->value,
           (long long)low->step, high->value, (long long)high->step);
    p->low = low->value;
    p->high = high->value;
    p->first = points->items[0].step;
    p->last = last->step;
    plot_draw(p, points);
    plot_print(p);
}

int
app_runs_history(struct app_args *a)
{
    struct slw_err err;
    SLW_AUTO(slw_json, doc);
    struct points points = {0};
    int64_t wanted = 0;
    const char *text = app_option(a, "points");
    if (text && slw_str_i64(slw_str_of(text), &wanted, &err) != SLW_OK)
        return app_error(a, &err);
    if (text && wanted < 2) {
        (void)!slw_fail(&err, SLW_INVALID, "--points is 2 or more");
        return app_error(a, &err);
    }
    if (run_get(a, a->words[0], &doc, &err) != SLW_OK)
        return app_error(a, &err);
    const struct json_t *run = slw_json_get(doc.root, "run");
    if (points_get(a, str_of(run, "id"), a->words[1], &points, &err) != SLW_OK)
        return app_error(a, &err);
    const size_t total = points.count;
    if (wanted)
        points_thin(&points, (size_t)wanted);
    if (a->json)
        history_json(run, a->words[1], total, &points);
    else if (app_option(a, "csv"))
        history_csv(&points);
    else
        history_plot(a, run, a->words[1], &points);
    return APP_OK;
}

/* ---- side by side ---- */

#define RUN_MAX 50
#define LABEL_WIDTH 40

/* Is the name one of a list by commas? */
static bool
is_named(const char *list, struct slw_str name)
{
    struct slw_str rest = slw_str_of(list), one;
    while (rest.len) {
        slw_str_cut(rest, ',', &one, &rest);
        if (slw_str_eq(slw_str_trim(one), name))
            return true;
    }
    return false;
}

static bool
row_wanted(const struct app_args *a, const struct json_t *row)
{
    const char *metrics = app_option(a, "metric");
    if (metrics)
        return slw_str_eqz(str_of(row, "kind"), "metric") &&
               is_named(metrics, str_of(row, "key"));
    return app_option(a, "all") ||
           slw_json_bool_or(slw_json_get(row, "differs"), false);
}

static void
label_text(const struct json_t *row, char *out, size_t size)
{
    static const char *const prefixes[][2] = {{"param", "params."},
                                              {"metric", "metrics."},
                                              {"tag", "tags."},
                                              {"dataset", "dataset "}};
    const char *prefix = "";
    for (size_t i = 0; i < SLW_ARRAY_LEN(prefixes); i++)
        if (slw_str_eqz(str_of(row, "kind"), prefixes[i][0]))
            prefix = prefixes[i][1];
    snprintf(out, size, "%s%.*s", prefix, SLW_FMT(str_of(row, "key")));
    cut(out, LABEL_WIDTH);
}

/* "0.13 (+0.01, +8.3 %)" */
static void
compared_text(const struct json_t *row, size_t run, char *out, size_t size)
{
    char value[CELL_SIZE];
    const struct json_t *v = slw_json_at(slw_json_get(row, "values"), run);
    const struct json_t *delta = slw_json_at(slw_json_get(row, "delta"), run);
    const struct json_t *share =
        slw_json_at(slw_json_get(row, "relative"), run);
    value_text(v, value, sizeof value);
    const double d = slw_json_f64_or(delta, 0);
    if (d == 0)
        snprintf(out, size, "%s", value);
    else if (slw_json_type(share) == SLW_JSON_REAL)
        snprintf(out, size, "%.40s (%+.3g, %+.1f %%)", value, d,
                 100 * slw_json_f64_or(share, 0));
    else
        snprintf(out, size, "%.40s (%+.3g)", value, d);
}

static void
head_text(const struct json_t *run, bool id, char *out, size_t size)
{
    if (id)
        snprintf(out, size, "%.8s", str_of(run, "id").ptr);
    else
        snprintf(out, size, "%.*s", SLW_FMT(str_of(run, "name")));
}

static void
wider(int *width, char *text, int most)
{
    cut(text, most);
    const int w = width_of(text);
    *width = w > *width ? w : *width;
}

/* How wide a run's column may be, so that all fit beside the labels. */
static int
share_of_width(size_t run_count, int label_width)
{
    const int terminal = terminal_width();
    if (!terminal)
        return CELL_WIDTH + 8;
    const int each = (terminal - label_width) / (int)run_count - 2;
    return each < 8 ? 8 : each;
}

static void
compare_print(const struct app_args *a, const struct json_t *runs,
              const struct json_t *rows)
{
    char text[CELL_SIZE];
    int widths[RUN_MAX] = {0}, label_width = 3;
    const size_t run_count = slw_json_len(runs);
    for (size_t r = 0; r < slw_json_len(rows); r++)
        if (row_wanted(a, slw_json_at(rows, r))) {
            label_text(slw_json_at(rows, r), text, sizeof text);
            wider(&label_width, text, LABEL_WIDTH);
        }
    const int most = share_of_width(run_count, label_width);
    for (size_t c = 0; c < run_count; c++) {
        for (int id = 0; id < 2; id++) {
            head_text(slw_json_at(runs, c), id, text, sizeof text);
            wider(&widths[c], text, most);
        }
        for (size_t r = 0; r < slw_json_len(rows); r++)
            if (row_wanted(a, slw_json_at(rows, r))) {
                compared_text(slw_json_at(rows, r), c, text, sizeof text);
                wider(&widths[c], text, most);
            }
    }
    for (int id = 1; id >= 0; id--) {
        pad(id ? "run" : "", label_width);
        for (size_t c = 0; c < run_count; c++) {
            head_text(slw_json_at(runs, c), id, text, sizeof text);
            cut(text, most);
            printf("  ");
            pad(text, c + 1 < run_count ? widths[c] : 0);
        }
        puts("");
    }
    for (size_t r = 0; r < slw_json_len(rows); r++) {
        const struct json_t *row = slw_json_at(rows, r);
        if (!row_wanted(a, row))
            continue;
        label_text(row, text, sizeof text);
        pad(text, label_width);
        for (size_t c = 0; c < run_count; c++) {
            compared_text(row, c, text, sizeof text);
            cut(text, most);
            printf("  ");
            pad(text, c + 1 < run_count ? widths[c] : 0);
        }
        puts("");
    }
}

int
app_runs_compare(struct app_args *a)
{
    struct slw_err err;
    SLW_AUTO(slw_json, doc);
    SLW_AUTO(slw_buf, path);
    slw_buf_z(&path, "/api/v1/runs/compare");
    for (int i = 0; i < a->word_count; i++)
        slw_buf_printf(&path, "%crun=%s", i ? '&' : '?',
                       app_segment(a, a->words[i]));
    if (app_request_json(a, "GET", slw_buf_view(&path).ptr, SLW_STR(""), &doc,
                         &err) != SLW_OK)
        return app_error(a, &err);
    if (a->json) {
        app_show(a, doc.root, NULL, NULL);
        return APP_OK;
    }
    const struct json_t *rows = slw_json_get(doc.root, "rows");
    size_t wanted = 0, same = 0;
    for (size_t r = 0; r < slw_json_len(rows); r++) {
        const struct json_t *row = slw_json_at(rows, r);
        wanted += row_wanted(a, row);
        same += !slw_json_bool_or(slw_json_get(row, "differs"), false);
    }
    if (!wanted && app_option(a, "metric")) {
        (void)!slw_fail(&err, SLW_NOT_FOUND, "none of these runs logged '%s'",
                        app_option(a, "metric"));
        return app_error(a, &err);
    }
    compare_print(a, slw_json_get(doc.root, "runs"), rows);
    if (!app_option(a, "all") && !app_option(a, "metric"))
        printf("\n%zu rows differ, %zu are the same%s\n", wanted, same,
               same ? " (--all shows them)" : "");
    return APP_OK;
}
