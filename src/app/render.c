/* render.c -- answers for people: tables with aligned columns, and trees of
 * keys and values for everything else. */
#include "app/app.h"
#include "base/clock.h"

#include <math.h>

#define COLUMN_MAX 16
#define CELL_SIZE 96
#define ROW_MAX 2000

/* Member by dotted path. */
static const struct json_t *
member(const struct json_t *v, struct slw_str path)
{
    while (path.len && v) {
        struct slw_str head, rest;
        slw_str_cut(path, '.', &head, &rest);
        char key[64];
        snprintf(key, sizeof key, "%.*s", SLW_FMT(head));
        v = slw_json_get(v, key);
        path = rest;
    }
    return v;
}

static void
number_text(double v, char *out, size_t size)
{
    double a = fabs(v);
    if (v == floor(v) && a < 1e15)
        snprintf(out, size, "%.0f", v);
    else if (a >= 1000)
        snprintf(out, size, "%.1f", v);
    else if (a >= 0.1)
        snprintf(out, size, "%.3f", v);
    else
        snprintf(out, size, "%.3g", v);
}

static void
size_text(double v, char *out, size_t size)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t u = 0;
    while (v >= 1000 && u + 1 < SLW_ARRAY_LEN(units)) {
        v /= 1000;
        u++;
    }
    snprintf(out, size, u ? "%.1f %s" : "%.0f %s", v, units[u]);
}

static void
scalar_text(const struct json_t *v, char *out, size_t size)
{
    switch (slw_json_type(v)) {
    case SLW_JSON_NONE:
    case SLW_JSON_NULL:
        snprintf(out, size, "-");
        return;
    case SLW_JSON_BOOL:
        snprintf(out, size, "%s", slw_json_bool_or(v, false) ? "yes" : "no");
        return;
    case SLW_JSON_INT:
        snprintf(out, size, "%lld", (long long)slw_json_i64_or(v, 0));
        return;
    case SLW_JSON_REAL:
        number_text(slw_json_f64_or(v, 0), out, size);
        return;
    case SLW_JSON_STR:
        snprintf(out, size, "%.*s", SLW_FMT(slw_json_str_or(v, SLW_STR(""))));
        return;
    case SLW_JSON_ARRAY:
    case SLW_JSON_OBJECT:
        break;
    }
    SLW_AUTO(slw_buf, b);
    slw_json_dump(&b, v);
    snprintf(out, size, "%.*s", SLW_FMT(slw_buf_view(&b)));
}

static void
cell_text(const struct json_t *v, struct slw_str kind, char *out, size_t size)
{
    enum slw_json_type type = slw_json_type(v);
    char time[SLW_TIME_TEXT_SIZE];
    bool number = type == SLW_JSON_INT || type == SLW_JSON_REAL;
    if (number && slw_str_eqz(kind, "time"))
        snprintf(out, size, "%s", slw_time_text(slw_json_i64_or(v, 0), time));
    else if (number && slw_str_eqz(kind, "date"))
        snprintf(out, size, "%s", slw_date_text(slw_json_i64_or(v, 0), time));
    else if (number && slw_str_eqz(kind, "size"))
        size_text(slw_json_f64_or(v, 0), out, size);
    else if (number && slw_str_eqz(kind, "share"))
        snprintf(out, size, "%.1f %%", slw_json_f64_or(v, 0) * 100);
    else if (type == SLW_JSON_STR && slw_str_eqz(kind, "hash"))
        snprintf(out, size, "%.12s", slw_json_str_or(v, SLW_STR("")).ptr);
    else
        scalar_text(v, out, size);
}

struct column {
    struct slw_str title, path, kind;
    int width;
};

static int
parse_columns(const char *text, struct column *out)
{
    int count = 0;
    struct slw_str rest = slw_str_of(text);
    while (rest.len && count < COLUMN_MAX) {
        struct slw_str word, spec;
        slw_str_cut(rest, ' ', &word, &rest);
        struct column *c = &out[count++];
        if (!slw_str_cut(word, '=', &c->title, &spec))
            spec = c->title;
        slw_str_cut(spec, ':', &c->path, &c->kind);
        c->width = (int)c->title.len;
    }
    return count;
}

/* Columns on screen of UTF-8 text. */
static int
text_width(const char *s)
{
    int n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

void
app_table(const struct json_t *rows, const char *columns)
{
    struct column cols[COLUMN_MAX];
    int count = parse_columns(columns, cols);
    size_t row_count = slw_json_len(rows);
    if (row_count > ROW_MAX)
        row_count = ROW_MAX;
    if (row_count == 0) {
        puts("(none)");
        return;
    }
    char cell[CELL_SIZE];
    for (size_t r = 0; r < row_count; r++)
        for (int c = 0; c < count; c++) {
            cell_text(member(slw_json_at(rows, r), cols[c].path), cols[c].kind,
                      cell, sizeof cell);
            int width = text_width(cell);
            cols[c].width = width > cols[c].width ? width : cols[c].width;
        }
    for (int c = 0; c < count; c++)
        printf("%-*.*s%s", c + 1 < count ? cols[c].width : 0,
               SLW_FMT(cols[c].title), c + 1 < count ? "  " : "\n");
    for (size_t r = 0; r < row_count; r++)
        for (int c = 0; c < count; c++) {
            cell_text(member(slw_json_at(rows, r), cols[c].path), cols[c].kind,
                      cell, sizeof cell);
            int pad = c + 1 < count ? cols[c].width - text_width(cell) : 0;
            printf("%s%*s%s", cell, pad, "", c + 1 < count ? "  " : "\n");
        }
}

static bool
is_nested(const struct json_t *v)
{
    return (slw_json_type(v) == SLW_JSON_OBJECT ||
            slw_json_type(v) == SLW_JSON_ARRAY) &&
           slw_json_len(v) > 0;
}

/* Arrays of scalars on one line. */
static bool
is_flat_array(const struct json_t *v)
{
    if (slw_json_type(v) != SLW_JSON_ARRAY)
        return false;
    for (size_t i = 0; i < slw_json_len(v); i++)
        if (is_nested(slw_json_at(v, i)))
            return false;
    return true;
}

void
app_tree(const struct json_t *v, int indent)
{
    if (slw_json_type(v) == SLW_JSON_ARRAY) {
        for (size_t i = 0; i < slw_json_len(v); i++) {
            printf("%*s- ", indent, "");
            if (is_nested(slw_json_at(v, i)))
                puts("");
            app_tree(slw_json_at(v, i), indent + 2);
        }
        return;
    }
    if (slw_json_type(v) != SLW_JSON_OBJECT) {
        char text[4096];
        scalar_text(v, text, sizeof text);
        puts(text);
        return;
    }
    for (void *it = slw_json_iter(v); it; it = slw_json_next(v, it)) {
        const struct json_t *child = slw_json_iter_value(it);
        printf("%*s%.*s: ", indent, "", SLW_FMT(slw_json_iter_key(it)));
        char text[4096];
        if (is_nested(child) && !is_flat_array(child)) {
            puts("");
            app_tree(child, indent + 2);
        } else {
            scalar_text(child, text, sizeof text);
            puts(text);
        }
    }
}

void
app_show(const struct app_args *a, const struct json_t *doc, const char *rows,
         const char *columns)
{
    if (a->json) {
        SLW_AUTO(slw_buf, b);
        slw_json_dump(&b, doc);
        printf("%.*s\n", SLW_FMT(slw_buf_view(&b)));
    } else if (columns) {
        app_table(rows ? member(doc, slw_str_of(rows)) : doc, columns);
    } else {
        app_tree(rows ? member(doc, slw_str_of(rows)) : doc, 0);
    }
}

int
app_error(const struct app_args *a, const struct slw_err *err)
{
    if (a && a->json) {
        SLW_AUTO(slw_buf, b);
        struct slw_jw w;
        slw_jw_init(&w, &b);
        slw_jw_obj(&w);
        slw_jw_kz(&w, "error", err->msg);
        slw_jw_kz(&w, "code", slw_rc_name(err->rc));
        slw_jw_obj_end(&w);
        printf("%.*s\n", SLW_FMT(slw_buf_view(&b)));
    }
    fprintf(stderr, "slipway: %s\n", err->msg);
    return APP_FAILED;
}
