/* cmd_compare.c -- runs side by side, a column each; the rows are what differs.
 * The server finds that out; here the table is fitted to the terminal. */
#include "app/app.h"

#define RUN_MAX 50
#define LABEL_WIDTH 40
#define CELL_WIDTH 36 /* where no terminal gives a width */

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
        return slw_str_eqz(app_str_of(row, "kind"), "metric") &&
               is_named(metrics, app_str_of(row, "key"));
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
        if (slw_str_eqz(app_str_of(row, "kind"), prefixes[i][0]))
            prefix = prefixes[i][1];
    snprintf(out, size, "%s%.*s", prefix, SLW_FMT(app_str_of(row, "key")));
    app_cut(out, LABEL_WIDTH);
}

/* "0.13 (+0.01, +8.3 %)"; where that is too wide "0.13 (+8.3 %)". */
static void
compared_text(const struct json_t *row, size_t run, int most, char *out,
              size_t size)
{
    char value[APP_CELL_SIZE];
    const struct json_t *v = slw_json_at(slw_json_get(row, "values"), run);
    const struct json_t *delta = slw_json_at(slw_json_get(row, "delta"), run);
    const struct json_t *share =
        slw_json_at(slw_json_get(row, "relative"), run);
    const double percent = 100 * slw_json_f64_or(share, 0);
    const double d = slw_json_f64_or(delta, 0);
    app_value_text(v, value, sizeof value);
    if (d == 0)
        snprintf(out, size, "%s", value);
    else if (slw_json_type(share) != SLW_JSON_REAL)
        snprintf(out, size, "%.40s (%+.3g)", value, d);
    else
        snprintf(out, size, "%.40s (%+.3g, %+.1f %%)", value, d, percent);
    if (d != 0 && app_width_of(out) > most &&
        slw_json_type(share) == SLW_JSON_REAL)
        snprintf(out, size, "%.40s (%+.1f %%)", value, percent);
    app_cut(out, most);
}

static void
head_text(const struct json_t *run, bool id, char *out, size_t size)
{
    if (id)
        snprintf(out, size, "%.8s", app_str_of(run, "id").ptr);
    else
        snprintf(out, size, "%.*s", SLW_FMT(app_str_of(run, "name")));
}

static void
wider(int *width, char *text, int most)
{
    app_cut(text, most);
    const int w = app_width_of(text);
    *width = w > *width ? w : *width;
}

/* How wide a run's column may be, so that all fit beside the labels. */
static int
share_of_width(size_t run_count, int label_width)
{
    const int terminal = app_terminal_width();
    if (!terminal)
        return CELL_WIDTH;
    const int each = (terminal - label_width) / (int)run_count - 2;
    return each < 8 ? 8 : each;
}

static void
compare_print(const struct app_args *a, const struct json_t *runs,
              const struct json_t *rows)
{
    char text[APP_CELL_SIZE];
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
                compared_text(slw_json_at(rows, r), c, most, text, sizeof text);
                wider(&widths[c], text, most);
            }
    }
    for (int id = 1; id >= 0; id--) {
        app_pad(id ? "run" : "", label_width);
        for (size_t c = 0; c < run_count; c++) {
            head_text(slw_json_at(runs, c), id, text, sizeof text);
            app_cut(text, most);
            printf("  ");
            app_pad(text, c + 1 < run_count ? widths[c] : 0);
        }
        puts("");
    }
    for (size_t r = 0; r < slw_json_len(rows); r++) {
        const struct json_t *row = slw_json_at(rows, r);
        if (!row_wanted(a, row))
            continue;
        label_text(row, text, sizeof text);
        app_pad(text, label_width);
        for (size_t c = 0; c < run_count; c++) {
            compared_text(row, c, most, text, sizeof text);
            printf("  ");
            app_pad(text, c + 1 < run_count ? widths[c] : 0);
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
