/* project_value.c -- values of slipway.yaml: texts, numbers, shares, durations,
 * and maps whose keys a table lists. */
#include "flow/project_read.h"

#include <math.h>

#include "base/clock.h"

#define FIELDS_MAX 32

struct slw_yaml
project_at_key(const struct slw_yaml *member)
{
    struct slw_yaml at = *member;
    if (member->key_line > 0) {
        at.line = member->key_line;
        at.column = member->key_column;
    }
    return at;
}

bool
project_is_null(const struct slw_yaml *v)
{
    return v->kind == SLW_YAML_SCALAR && v->plain &&
           (v->text.len == 0 || slw_str_eqz(v->text, "~") ||
            slw_str_eqz(v->text, "null"));
}

/* ---- scalars ---- */

static const char *
kind_word(const struct slw_yaml *v)
{
    return v->kind == SLW_YAML_MAP   ? "a map"
           : v->kind == SLW_YAML_SEQ ? "a list"
                                     : "a value";
}

/* "'validate' must be a duration, as in validate: 90d, not 'long'" */
static enum slw_rc
wrong(const struct project_in *in, const struct slw_yaml *v, const char *want,
      struct slw_err *err)
{
    struct slw_str shown = v->text;
    if (shown.len > 60)
        shown.len = 60;
    const char *sep = v->key.len ? "'" : "";
    if (v->kind != SLW_YAML_SCALAR)
        return slw_yaml_fail(err, in->file, v, "%s%.*s%s%smust be %s, not %s",
                             sep, SLW_FMT(v->key), sep, v->key.len ? " " : "",
                             want, kind_word(v));
    return slw_yaml_fail(err, in->file, v, "%s%.*s%s%smust be %s, not '%.*s'",
                         sep, SLW_FMT(v->key), sep, v->key.len ? " " : "", want,
                         SLW_FMT(shown));
}

static bool
starts_as_number(struct slw_str s)
{
    return s.len > 0 && ((s.ptr[0] >= '0' && s.ptr[0] <= '9') ||
                         s.ptr[0] == '-' || s.ptr[0] == '.');
}

static bool
number_of(struct slw_str text, double *out)
{
    struct slw_err ignored;
    if (text.len > 1 && text.ptr[0] == '+') {
        text.ptr++;
        text.len--;
    }
    return starts_as_number(text) &&
           slw_str_f64(text, out, &ignored) == SLW_OK && isfinite(*out);
}

static enum slw_rc
number_take(const struct project_in *in, const struct slw_yaml *v, double *out,
            struct slw_err *err)
{
    if (v->kind != SLW_YAML_SCALAR || !v->plain || !number_of(v->text, out))
        return wrong(in, v, "a number", err);
    return SLW_OK;
}

enum slw_rc
project_share(const struct project_in *in, const struct slw_yaml *v,
              double *out, struct slw_err *err)
{
    static const char want[] = "a share from 0 to 1, as in 0.1 or 10%";
    struct slw_str text = v->text;
    double share = NAN;
    if (v->kind != SLW_YAML_SCALAR)
        return wrong(in, v, want, err);
    const bool percent = slw_str_ends(text, "%");
    if (percent)
        text = slw_str_trim((struct slw_str){text.ptr, text.len - 1});
    if (!number_of(text, &share))
        return wrong(in, v, want, err);
    if (percent)
        share /= 100;
    if (!(share >= 0 && share <= 1))
        return wrong(in, v, want, err);
    *out = share;
    return SLW_OK;
}

static enum slw_rc
count_take(const struct project_in *in, const struct slw_yaml *v, int64_t *out,
           struct slw_err *err)
{
    struct slw_err ignored;
    int64_t n = -1;
    if (v->kind != SLW_YAML_SCALAR ||
        slw_str_i64(v->text, &n, &ignored) != SLW_OK || n < 0)
        return wrong(in, v, "a whole number, 0 or more", err);
    *out = n;
    return SLW_OK;
}

enum slw_rc
project_word(const struct project_in *in, const struct slw_yaml *v,
             const char *const *words, struct slw_err *err)
{
    SLW_AUTO(slw_buf, list);
    for (size_t i = 0; words[i]; i++) {
        if (v->kind == SLW_YAML_SCALAR && slw_str_eqz(v->text, words[i]))
            return SLW_OK;
        slw_buf_printf(&list, "%s%s",
                       !i             ? ""
                       : words[i + 1] ? ", "
                                      : " or ",
                       words[i]);
    }
    return wrong(in, v, list.ptr, err);
}

static enum slw_rc
text_of(const struct project_in *in, const struct slw_yaml *v,
        struct slw_str *out, struct slw_err *err)
{
    if (v->kind != SLW_YAML_SCALAR || slw_str_trim(v->text).len == 0)
        return wrong(in, v, "a text", err);
    *out = slw_str_trim(v->text);
    return SLW_OK;
}

enum slw_rc
project_texts(const struct project_in *in, const struct slw_yaml *v,
              struct slw_jw *w, struct slw_err *err)
{
    if (v->kind != SLW_YAML_SEQ)
        return wrong(in, v, "a list, as in [a, b]", err);
    slw_jw_arr(w);
    for (const struct slw_yaml *c = v->child; c; c = c->next) {
        struct slw_str text;
        TRY(text_of(in, c, &text, err));
        for (const struct slw_yaml *d = v->child; d != c; d = d->next)
            if (slw_str_eq(slw_str_trim(d->text), text))
                return slw_yaml_fail(err, in->file, c, "'%.*s' is named twice",
                                     SLW_FMT(text));
        slw_jw_str(w, text);
    }
    slw_jw_arr_end(w);
    return SLW_OK;
}

static enum slw_rc
duration_write(const struct project_in *in, const struct slw_yaml *v,
               struct slw_jw *w, struct slw_err *err)
{
    struct slw_err ignored;
    int64_t ms = 0;
    if (v->kind != SLW_YAML_SCALAR ||
        slw_duration_parse(v->text, &ms, &ignored) != SLW_OK)
        return wrong(in, v, "a duration, as in 50ms, 30s, 5m, 12h or 90d", err);
    slw_jw_i64(w, ms);
    return SLW_OK;
}

static enum slw_rc
time_write(const struct project_in *in, const struct slw_yaml *v,
           struct slw_jw *w, struct slw_err *err)
{
    struct slw_err ignored;
    int64_t ms = 0;
    if (v->kind != SLW_YAML_SCALAR ||
        slw_time_parse(v->text, &ms, &ignored) != SLW_OK)
        return wrong(in, v, "a date or time, as in 2013-01-01", err);
    slw_jw_i64(w, ms);
    return SLW_OK;
}

static void
number_write(struct slw_str text, struct slw_jw *w)
{
    struct slw_err ignored;
    int64_t whole = 0;
    double real = 0;
    if (slw_str_i64(text, &whole, &ignored) == SLW_OK)
        slw_jw_i64(w, whole);
    else if (number_of(text, &real))
        slw_jw_f64(w, real);
    else
        slw_jw_str(w, text);
}

void
project_any(const struct slw_yaml *v, struct slw_jw *w)
{
    if (v->kind == SLW_YAML_MAP) {
        slw_jw_obj(w);
        for (const struct slw_yaml *c = v->child; c; c = c->next) {
            slw_jw_keys(w, c->key);
            project_any(c, w);
        }
        slw_jw_obj_end(w);
    } else if (v->kind == SLW_YAML_SEQ) {
        slw_jw_arr(w);
        for (const struct slw_yaml *c = v->child; c; c = c->next)
            project_any(c, w);
        slw_jw_arr_end(w);
    } else if (project_is_null(v)) {
        slw_jw_null(w);
    } else if (!v->plain) {
        slw_jw_str(w, v->text);
    } else if (slw_str_eqz(v->text, "true") || slw_str_eqz(v->text, "false")) {
        slw_jw_bool(w, slw_str_eqz(v->text, "true"));
    } else {
        number_write(v->text, w);
    }
}

/* ---- maps ---- */

static enum slw_rc
value_write(const struct project_in *in, const struct project_field *f,
            const struct slw_yaml *v, struct slw_jw *w, struct slw_err *err)
{
    struct slw_str text;
    double number = 0;
    int64_t count = 0;
    switch (f->kind) {
    case PROJECT_TEXT:
        TRY(text_of(in, v, &text, err));
        slw_jw_str(w, text);
        return SLW_OK;
    case PROJECT_TEXTS:
        return project_texts(in, v, w, err);
    case PROJECT_NUMBER:
        TRY(number_take(in, v, &number, err));
        number_write(v->text, w);
        return SLW_OK;
    case PROJECT_COUNT:
        TRY(count_take(in, v, &count, err));
        slw_jw_i64(w, count);
        return SLW_OK;
    case PROJECT_SHARE:
        TRY(project_share(in, v, &number, err));
        slw_jw_f64(w, number);
        return SLW_OK;
    case PROJECT_DURATION:
        return duration_write(in, v, w, err);
    case PROJECT_TIME:
        return time_write(in, v, w, err);
    case PROJECT_OTHER:
        break;
    }
    return f->write(in, v, w, err);
}

static enum slw_rc
missing(const struct project_in *in, const struct slw_yaml *map,
        const struct project_field *f, struct slw_err *err)
{
    const struct slw_yaml at = project_at_key(map);
    return slw_yaml_fail(err, in->file, &at, "%s%.*s%s needs '%s', as in %s",
                         map->key.len ? "'" : "this", SLW_FMT(map->key),
                         map->key.len ? "'" : "", f->key, f->example);
}

enum slw_rc
project_fields(const struct project_in *in, const struct slw_yaml *map,
               const struct project_field *fields, size_t count,
               struct slw_jw *w, struct slw_err *err)
{
    const char *known[FIELDS_MAX + 1] = {0};
    SLW_ASSERT(count <= FIELDS_MAX);
    for (size_t i = 0; i < count; i++)
        known[i] = fields[i].key;
    if (map->kind != SLW_YAML_MAP)
        return wrong(in, map, "keys and values", err);
    TRY(slw_yaml_known(map, in->file, known, err));
    for (size_t i = 0; i < count; i++) {
        const struct slw_yaml *v = slw_yaml_get(map, fields[i].key);
        if (!v && fields[i].required)
            return missing(in, map, &fields[i], err);
        if (!v)
            continue;
        slw_jw_key(w, fields[i].out);
        TRY(value_write(in, &fields[i], v, w, err));
    }
    return SLW_OK;
}

enum slw_rc
project_object(const struct project_in *in, const struct slw_yaml *map,
               const struct project_field *fields, size_t count,
               struct slw_jw *w, struct slw_err *err)
{
    slw_jw_obj(w);
    TRY(project_fields(in, map, fields, count, w, err));
    slw_jw_obj_end(w);
    return SLW_OK;
}

/* ---- names that must be declared ---- */

enum slw_rc
project_declared(const struct project_in *in, const struct slw_yaml *v,
                 const char *section, const char *what, struct slw_err *err)
{
    const struct slw_yaml *all = slw_yaml_get(in->root, section);
    struct slw_str name, near = {0};
    size_t best = 4; /* more edits than three are another word */
    TRY(text_of(in, v, &name, err));
    for (const struct slw_yaml *c = all ? all->child : NULL; c; c = c->next) {
        if (slw_str_eq(c->key, name))
            return SLW_OK;
        const size_t d = slw_str_distance(c->key, name);
        if (d < best) {
            best = d;
            near = c->key;
        }
    }
    if (near.len)
        return slw_yaml_fail(err, in->file, v,
                             "there is no %s '%.*s'; did you mean '%.*s'?",
                             what, SLW_FMT(name), SLW_FMT(near));
    return slw_yaml_fail(err, in->file, v,
                         "there is no %s '%.*s'; declare it under '%s:'", what,
                         SLW_FMT(name), section);
}
