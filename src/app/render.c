/* render.c -- answers for people: tables with aligned columns, and trees of
 * keys and values for everything else. */
#include "app/app.h"
#include "base/clock.h"

#include <math.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMN_MAX 16
#define ROW_MAX 2000
#define SERIES_SHOWN ((size_t)5) /* of a long list of lists */

/* ---- cells ---- */

struct slw_str
app_str_of(const struct json_t *o, const char *key)
{
    return slw_json_str_or(slw_json_get(o, key), SLW_STR(""));
}

int
app_terminal_width(void)
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

int
app_width_of(const char *s)
{
    int n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

void
app_cut(char *s, int width)
{
    int n = 0;
    for (char *p = s; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
        if (((unsigned char)*p & 0xc0) == 0x80)
            continue;
        if (++n == width && p[1] && app_width_of(p) > 1) {
            memcpy(p, "…", sizeof "…");
            return;
        }
    }
}

void
app_pad(const char *s, int width)
{
    printf("%s%*s", s, width > app_width_of(s) ? width - app_width_of(s) : 0,
           "");
}

void
app_value_text(const struct json_t *v, char *out, size_t size)
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

/* ---- tables and trees ---- */

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
    if (slw_json_len(v) == 0) {
        snprintf(out, size, "-");
        return;
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

static void
table_print(const struct json_t *rows, struct column *cols, int count,
            int indent)
{
    size_t row_count = slw_json_len(rows);
    if (row_count > ROW_MAX)
        row_count = ROW_MAX;
    char cell[APP_CELL_SIZE];
    for (size_t r = 0; r < row_count; r++)
        for (int c = 0; c < count; c++) {
            cell_text(member(slw_json_at(rows, r), cols[c].path), cols[c].kind,
                      cell, sizeof cell);
            int width = app_width_of(cell);
            cols[c].width = width > cols[c].width ? width : cols[c].width;
        }
    printf("%*s", indent, "");
    for (int c = 0; c < count; c++)
        printf("%-*.*s%s", c + 1 < count ? cols[c].width : 0,
               SLW_FMT(cols[c].title), c + 1 < count ? "  " : "\n");
    for (size_t r = 0; r < row_count; r++)
        for (int c = 0; c < count; c++) {
            cell_text(member(slw_json_at(rows, r), cols[c].path), cols[c].kind,
                      cell, sizeof cell);
            int pad = c + 1 < count ? cols[c].width - app_width_of(cell) : 0;
            printf("%*s%s%*s%s", c ? 0 : indent, "", cell, pad, "",
                   c + 1 < count ? "  " : "\n");
        }
}

void
app_table(const struct json_t *rows, const char *columns)
{
    struct column cols[COLUMN_MAX];
    if (slw_json_len(rows) == 0)
        puts("(none)");
    else
        table_print(rows, cols, parse_columns(columns, cols), 0);
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

static int
column_of(const struct column *cols, int count, struct slw_str key)
{
    for (int c = 0; c < count; c++)
        if (slw_str_eq(cols[c].title, key))
            return c;
    return count;
}

/* The columns of an array whose elements are objects of scalars: every key
 * that one of them has.  0: it is no such array. */
static int
columns_of(const struct json_t *rows, struct column *out)
{
    int count = 0;
    for (size_t r = 0; r < slw_json_len(rows); r++) {
        const struct json_t *row = slw_json_at(rows, r);
        if (slw_json_type(row) != SLW_JSON_OBJECT)
            return 0;
        for (void *it = slw_json_iter(row); it; it = slw_json_next(row, it)) {
            struct slw_str key = slw_json_iter_key(it);
            int c = column_of(out, count, key);
            if (is_nested(slw_json_iter_value(it)) || c == COLUMN_MAX ||
                memchr(key.ptr, '.', key.len))
                return 0;
            if (c == count)
                out[count++] = (struct column){key, key, {0}, (int)key.len};
        }
    }
    return count;
}

/* On the line that was begun, or as a tree of its own. */
static void
child_tree(const struct json_t *v, int indent)
{
    char text[4096];
    if (is_nested(v) && !is_flat_array(v)) {
        app_tree(v, indent);
        return;
    }
    scalar_text(v, text, sizeof text);
    puts(text);
}

/* Milliseconds since 1970 by their name, and not a duration. */
static bool
is_instant(struct slw_str key, const struct json_t *v)
{
    return slw_json_type(v) == SLW_JSON_INT &&
           (slw_str_ends(key, "_at_ms") || slw_str_eqz(key, "event_min_ms") ||
            slw_str_eqz(key, "event_max_ms"));
}

void
app_tree(const struct json_t *v, int indent)
{
    struct column cols[COLUMN_MAX];
    int count = slw_json_type(v) == SLW_JSON_ARRAY ? columns_of(v, cols) : 0;
    if (count) {
        table_print(v, cols, count, indent);
        return;
    }
    if (slw_json_type(v) == SLW_JSON_ARRAY) {
        const size_t length = slw_json_len(v);
        for (size_t i = 0; i < length; i++) {
            const struct json_t *child = slw_json_at(v, i);
            if (i == SERIES_SHOWN && length > 2 * SERIES_SHOWN &&
                is_flat_array(child)) {
                printf("%*s… %zu in all, see --json\n", indent, "", length);
                return;
            }
            printf("%*s- ", indent, "");
            if (is_nested(child) && !is_flat_array(child))
                puts("");
            child_tree(child, indent + 2);
        }
        return;
    }
    if (slw_json_type(v) != SLW_JSON_OBJECT) {
        child_tree(v, indent);
        return;
    }
    for (void *it = slw_json_iter(v); it; it = slw_json_next(v, it)) {
        const struct json_t *child = slw_json_iter_value(it);
        const struct slw_str key = slw_json_iter_key(it);
        printf("%*s%.*s: ", indent, "", SLW_FMT(key));
        if (is_nested(child) && !is_flat_array(child))
            puts("");
        if (is_instant(key, child)) {
            char time[SLW_TIME_TEXT_SIZE];
            puts(slw_time_text(slw_json_i64_or(child, 0), time));
        } else {
            child_tree(child, indent + 2);
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
