/* json_read.c -- reading JSON: jansson made strict, and readers whose errors
 * a user can act on.
 *
 * jansson recurses, so the depth is checked before it sees the text. */
#include "base/json.h"

#include <jansson.h>
#include <math.h>

/* Errors INVALID: deeper than SLW_JSON_DEPTH_MAX, with its place.  Brackets
 * inside strings do not count; whether they match is jansson's business. */
static enum slw_rc
depth_check(struct slw_str text, struct slw_err *err)
{
    size_t line = 1, line_start = 0, depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\n') {
            line++;
            line_start = i + 1;
        }
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
            continue;
        }
        if (c == '"')
            in_string = true;
        else if (c == '[' || c == '{')
            depth++;
        else if ((c == ']' || c == '}') && depth)
            depth--;
        if (depth > SLW_JSON_DEPTH_MAX)
            return slw_fail(err, SLW_INVALID,
                            "JSON line %zu column %zu: nested deeper than %d "
                            "levels",
                            line, i - line_start + 1, SLW_JSON_DEPTH_MAX);
    }
    return SLW_OK;
}

enum slw_rc
slw_json_parse(struct slw_json *out, struct slw_str text, struct slw_err *err)
{
    SLW_ASSERT(out);
    if (slw_str_trim(text).len == 0)
        return slw_fail(err, SLW_INVALID,
                        "JSON line 1 column 1: the text is empty");
    TRY(depth_check(text, err));
    json_error_t at;
    json_t *root = json_loadb(text.ptr, text.len,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &at);
    if (!root)
        return slw_fail(err, SLW_INVALID, "JSON line %d column %d: %s", at.line,
                        at.column, at.text);
    out->root = root;
    return SLW_OK;
}

void
slw_json_done(struct slw_json *doc)
{
    if (!doc)
        return;
    json_decref(doc->root);
    doc->root = NULL;
}

enum slw_json_type
slw_json_type(const struct json_t *v)
{
    if (!v)
        return SLW_JSON_NONE;
    switch (json_typeof(v)) {
    case JSON_NULL:
        return SLW_JSON_NULL;
    case JSON_TRUE:
    case JSON_FALSE:
        return SLW_JSON_BOOL;
    case JSON_INTEGER:
        return SLW_JSON_INT;
    case JSON_REAL:
        return SLW_JSON_REAL;
    case JSON_STRING:
        return SLW_JSON_STR;
    case JSON_ARRAY:
        return SLW_JSON_ARRAY;
    case JSON_OBJECT:
        return SLW_JSON_OBJECT;
    }
    return SLW_JSON_NONE;
}

struct json_t *
slw_json_get(const struct json_t *o, const char *key)
{
    return json_object_get(o, key);
}

size_t
slw_json_len(const struct json_t *v)
{
    return json_is_array(v) ? json_array_size(v) : json_object_size(v);
}

struct json_t *
slw_json_at(const struct json_t *array, size_t index)
{
    return json_array_get(array, index);
}

/* jansson's iterators take a mutable object although they only look. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
void *
slw_json_iter(const struct json_t *o)
{
    return json_object_iter((json_t *)o);
}

void *
slw_json_next(const struct json_t *o, void *it)
{
    return json_object_iter_next((json_t *)o, it);
}
#pragma GCC diagnostic pop

struct slw_str
slw_json_iter_key(void *it)
{
    return (struct slw_str){json_object_iter_key(it),
                            json_object_iter_key_len(it)};
}

struct json_t *
slw_json_iter_value(void *it)
{
    return json_object_iter_value(it);
}

/* ---- values with a default ---- */

static struct slw_str
str_of(const struct json_t *v)
{
    return (struct slw_str){json_string_value(v), json_string_length(v)};
}

struct slw_str
slw_json_str_or(const struct json_t *v, struct slw_str dflt)
{
    return json_is_string(v) ? str_of(v) : dflt;
}

int64_t
slw_json_i64_or(const struct json_t *v, int64_t dflt)
{
    return json_is_integer(v) ? json_integer_value(v) : dflt;
}

double
slw_json_f64_or(const struct json_t *v, double dflt)
{
    return json_is_number(v) ? json_number_value(v) : dflt;
}

bool
slw_json_bool_or(const struct json_t *v, bool dflt)
{
    return json_is_boolean(v) ? json_is_true(v) : dflt;
}

/* ---- required and optional members ---- */

static const char *
type_words(const struct json_t *v)
{
    static const char *const words[] = {
        [SLW_JSON_NONE] = "absent",        [SLW_JSON_NULL] = "null",
        [SLW_JSON_BOOL] = "true or false", [SLW_JSON_INT] = "an integer",
        [SLW_JSON_REAL] = "a number",      [SLW_JSON_STR] = "a string",
        [SLW_JSON_ARRAY] = "an array",     [SLW_JSON_OBJECT] = "an object",
    };
    return words[slw_json_type(v)];
}

static enum slw_rc
wrong_type(const struct json_t *v, const char *key, const char *wanted,
           struct slw_err *err)
{
    if (json_is_string(v)) {
        struct slw_str s = str_of(v);
        if (s.len <= 60)
            return slw_fail(err, SLW_INVALID, "'%s' must be %s, not \"%.*s\"",
                            key, wanted, SLW_FMT(s));
    }
    return slw_fail(err, SLW_INVALID, "'%s' must be %s, not %s", key, wanted,
                    type_words(v));
}

static enum slw_rc
absent(const struct json_t *o, const char *key, const char *wanted,
       struct slw_err *err)
{
    if (!json_is_object(o))
        return slw_fail(err, SLW_INVALID,
                        "an object with '%s' (%s) is wanted, not %s", key,
                        wanted, o ? type_words(o) : "nothing");
    return slw_fail(err, SLW_INVALID, "'%s' is missing; it must be %s", key,
                    wanted);
}

static const char WANT_STR[] = "a string";
static const char WANT_I64[] = "an integer";
static const char WANT_F64[] = "a number";
static const char WANT_BOOL[] = "true or false";

static enum slw_rc
str_read(const struct json_t *v, const char *key, struct slw_str *out,
         struct slw_err *err)
{
    if (!json_is_string(v))
        return wrong_type(v, key, WANT_STR, err);
    *out = str_of(v);
    return SLW_OK;
}

static enum slw_rc
i64_read(const struct json_t *v, const char *key, int64_t *out,
         struct slw_err *err)
{
    struct slw_err ignored;
    if (json_is_integer(v)) {
        *out = json_integer_value(v);
        return SLW_OK;
    }
    if (json_is_string(v) && slw_str_i64(str_of(v), out, &ignored) == SLW_OK)
        return SLW_OK;
    if (json_is_real(v)) { /* 5.0 and 1e3 are integers that look otherwise */
        double f = json_real_value(v);
        if (fabs(f) <= 9007199254740992.0 && nearbyint(f) == f) {
            *out = (int64_t)f;
            return SLW_OK;
        }
    }
    return wrong_type(v, key, WANT_I64, err);
}

static enum slw_rc
f64_read(const struct json_t *v, const char *key, double *out,
         struct slw_err *err)
{
    if (json_is_number(v)) {
        *out = json_number_value(v);
        return SLW_OK;
    }
    if (json_is_string(v)) {
        struct slw_str s = str_of(v);
        double f = slw_str_eqz(s, "NaN")         ? (double)NAN
                   : slw_str_eqz(s, "Infinity")  ? (double)INFINITY
                   : slw_str_eqz(s, "-Infinity") ? -(double)INFINITY
                                                 : 0;
        if (f != 0) {
            *out = f;
            return SLW_OK;
        }
    }
    return wrong_type(v, key, WANT_F64, err);
}

enum slw_rc
slw_json_need_str(const struct json_t *o, const char *key, struct slw_str *out,
                  struct slw_err *err)
{
    const struct json_t *v = slw_json_get(o, key);
    return v ? str_read(v, key, out, err) : absent(o, key, WANT_STR, err);
}

enum slw_rc
slw_json_need_i64(const struct json_t *o, const char *key, int64_t *out,
                  struct slw_err *err)
{
    const struct json_t *v = slw_json_get(o, key);
    return v ? i64_read(v, key, out, err) : absent(o, key, WANT_I64, err);
}

enum slw_rc
slw_json_need_f64(const struct json_t *o, const char *key, double *out,
                  struct slw_err *err)
{
    const struct json_t *v = slw_json_get(o, key);
    return v ? f64_read(v, key, out, err) : absent(o, key, WANT_F64, err);
}

/* Absent and null are the same thing to an optional member. */
static const struct json_t *
opt_get(const struct json_t *o, const char *key)
{
    const struct json_t *v = slw_json_get(o, key);
    return json_is_null(v) ? NULL : v;
}

enum slw_rc
slw_json_opt_str(const struct json_t *o, const char *key, struct slw_str *out,
                 struct slw_err *err)
{
    const struct json_t *v = opt_get(o, key);
    return v ? str_read(v, key, out, err) : SLW_OK;
}

enum slw_rc
slw_json_opt_i64(const struct json_t *o, const char *key, int64_t *out,
                 struct slw_err *err)
{
    const struct json_t *v = opt_get(o, key);
    return v ? i64_read(v, key, out, err) : SLW_OK;
}

enum slw_rc
slw_json_opt_f64(const struct json_t *o, const char *key, double *out,
                 struct slw_err *err)
{
    const struct json_t *v = opt_get(o, key);
    return v ? f64_read(v, key, out, err) : SLW_OK;
}

enum slw_rc
slw_json_opt_bool(const struct json_t *o, const char *key, bool *out,
                  struct slw_err *err)
{
    const struct json_t *v = opt_get(o, key);
    if (!v)
        return SLW_OK;
    if (!json_is_boolean(v))
        return wrong_type(v, key, WANT_BOOL, err);
    *out = json_is_true(v);
    return SLW_OK;
}

enum slw_rc
slw_json_only(const struct json_t *o, const char *const *keys, size_t key_count,
              const char *what, struct slw_err *err)
{
    for (void *it = slw_json_iter(o); it; it = slw_json_next(o, it)) {
        const struct slw_str key = slw_json_iter_key(it);
        size_t i = 0;
        while (i < key_count && !slw_str_eqz(key, keys[i]))
            i++;
        if (i == key_count)
            return slw_fail(err, SLW_INVALID, "unknown key '%.*s'; %s",
                            SLW_FMT(key), what);
    }
    return SLW_OK;
}
