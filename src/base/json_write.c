/* json_write.c -- the streaming writer, and parsed nodes back as text.
 *
 * A value knows from two bits a level whether a comma is due; a number that
 * was a real stays one ("1.0"), so types survive a round trip. */
#include <jansson.h>
#include <math.h>

#include "base/base_internal.h"
#include "base/json.h"

/* ---- scalars ---- */

static inline bool
is_plain(char c)
{
    return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' &&
           c != '\\';
}

static void
char_escape(struct slw_buf *b, char c)
{
    static const char named[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    for (size_t i = 0; i + 1 < sizeof named - 1; i += 2) {
        if (named[i] == c) {
            slw_buf_char(b, '\\');
            slw_buf_char(b, named[i + 1]);
            return;
        }
    }
    slw_buf_printf(b, "\\u%04x", (unsigned)(unsigned char)c);
}

static void
str_write(struct slw_buf *b, struct slw_str s)
{
    slw_buf_char(b, '"');
    size_t i = 0;
    while (i < s.len) {
        size_t from = i;
        while (i < s.len && is_plain(s.ptr[i]))
            i++;
        slw_buf_add(b, s.ptr + from, i - from);
        if (i == s.len)
            break;
        if ((unsigned char)s.ptr[i] < 0x80) {
            char_escape(b, s.ptr[i++]);
            continue;
        }
        size_t step = base_utf8_at(s.ptr + i, s.len - i);
        if (step) {
            slw_buf_add(b, s.ptr + i, step);
            i += step;
        } else { /* foreign bytes must not make the whole answer invalid */
            slw_buf_z(b, "\xEF\xBF\xBD");
            i++;
        }
    }
    slw_buf_char(b, '"');
}

/* v is finite */
static void
real_write(struct slw_buf *b, double v)
{
    char text[SLW_F64_TEXT_SIZE + 2];
    size_t len = slw_f64_text(v, text);
    if (!memchr(text, '.', len) && !memchr(text, 'e', len)) {
        text[len++] = '.';
        text[len++] = '0';
    }
    slw_buf_add(b, text, len);
}

/* ---- nodes ---- */

static void node_write(struct slw_buf *b, const struct json_t *v, bool sorted);

static void
member_write(struct slw_buf *b, struct slw_str key, const struct json_t *v,
             bool sorted)
{
    str_write(b, key);
    slw_buf_char(b, ':');
    node_write(b, v, sorted);
}

static int
member_compare(const void *a, const void *b)
{
    return slw_str_cmp(slw_json_iter_key(*(void *const *)a),
                       slw_json_iter_key(*(void *const *)b));
}

static void
object_write(struct slw_buf *b, const struct json_t *o, bool sorted)
{
    size_t count = slw_json_len(o), i = 0;
    void **members = NULL;
    if (sorted && count)
        members = slw_alloc(count * sizeof *members);
    slw_buf_char(b, '{');
    for (void *it = slw_json_iter(o); it; it = slw_json_next(o, it), i++) {
        if (members) {
            members[i] = it;
            continue;
        }
        if (i)
            slw_buf_char(b, ',');
        member_write(b, slw_json_iter_key(it), slw_json_iter_value(it), sorted);
    }
    if (members) {
        qsort(members, count, sizeof *members, member_compare);
        for (i = 0; i < count; i++) {
            if (i)
                slw_buf_char(b, ',');
            member_write(b, slw_json_iter_key(members[i]),
                         slw_json_iter_value(members[i]), sorted);
        }
    }
    slw_buf_char(b, '}');
    slw_free(members);
}

static void
node_write(struct slw_buf *b, const struct json_t *v, bool sorted)
{
    switch (slw_json_type(v)) {
    case SLW_JSON_NONE:
    case SLW_JSON_NULL:
        slw_buf_z(b, "null");
        break;
    case SLW_JSON_BOOL:
        slw_buf_z(b, json_is_true(v) ? "true" : "false");
        break;
    case SLW_JSON_INT:
        slw_buf_i64(b, json_integer_value(v));
        break;
    case SLW_JSON_REAL:
        real_write(b, json_real_value(v));
        break;
    case SLW_JSON_STR:
        str_write(
            b, (struct slw_str){json_string_value(v), json_string_length(v)});
        break;
    case SLW_JSON_ARRAY:
        slw_buf_char(b, '[');
        for (size_t i = 0; i < slw_json_len(v); i++) {
            if (i)
                slw_buf_char(b, ',');
            node_write(b, slw_json_at(v, i), sorted);
        }
        slw_buf_char(b, ']');
        break;
    case SLW_JSON_OBJECT:
        object_write(b, v, sorted);
        break;
    }
}

void
slw_json_dump(struct slw_buf *b, const struct json_t *v)
{
    node_write(b, v, true);
}

/* ---- the writer ---- */

#define LEVELS_MAX 64 /* bits of is_array and has_item */

void
slw_jw_init(struct slw_jw *w, struct slw_buf *b)
{
    *w = (struct slw_jw){.buf = b};
}

static uint64_t
level_bit(const struct slw_jw *w)
{
    SLW_ASSERT(w->depth > 0);
    return (uint64_t)1 << (w->depth - 1);
}

/* Before each value: the comma, and whether a value may stand here. */
static void
value_begin(struct slw_jw *w)
{
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (w->depth == 0)
        return;
    SLW_ASSERT(w->is_array & level_bit(w));
    if (w->has_item & level_bit(w))
        slw_buf_char(w->buf, ',');
    w->has_item |= level_bit(w);
}

static void
level_begin(struct slw_jw *w, bool array)
{
    value_begin(w);
    SLW_ASSERT(w->depth < LEVELS_MAX);
    w->depth++;
    w->has_item &= ~level_bit(w);
    if (array)
        w->is_array |= level_bit(w);
    else
        w->is_array &= ~level_bit(w);
    slw_buf_char(w->buf, array ? '[' : '{');
}

static void
level_end(struct slw_jw *w, bool array)
{
    SLW_ASSERT(!w->after_key);
    SLW_ASSERT(((w->is_array & level_bit(w)) != 0) == array);
    w->depth--;
    slw_buf_char(w->buf, array ? ']' : '}');
}

void
slw_jw_obj(struct slw_jw *w)
{
    level_begin(w, false);
}

void
slw_jw_obj_end(struct slw_jw *w)
{
    level_end(w, false);
}

void
slw_jw_arr(struct slw_jw *w)
{
    level_begin(w, true);
}

void
slw_jw_arr_end(struct slw_jw *w)
{
    level_end(w, true);
}

void
slw_jw_keys(struct slw_jw *w, struct slw_str key)
{
    SLW_ASSERT(!w->after_key);
    SLW_ASSERT(!(w->is_array & level_bit(w)));
    if (w->has_item & level_bit(w))
        slw_buf_char(w->buf, ',');
    w->has_item |= level_bit(w);
    str_write(w->buf, key);
    slw_buf_char(w->buf, ':');
    w->after_key = true;
}

void
slw_jw_key(struct slw_jw *w, const char *key)
{
    slw_jw_keys(w, slw_str_of(key));
}

void
slw_jw_str(struct slw_jw *w, struct slw_str v)
{
    value_begin(w);
    str_write(w->buf, v);
}

void
slw_jw_z(struct slw_jw *w, const char *v)
{
    if (v)
        slw_jw_str(w, slw_str_of(v));
    else
        slw_jw_null(w);
}

void
slw_jw_i64(struct slw_jw *w, int64_t v)
{
    value_begin(w);
    slw_buf_i64(w->buf, v);
}

void
slw_jw_f64(struct slw_jw *w, double v)
{
    value_begin(w);
    if (isfinite(v)) {
        real_write(w->buf, v);
    } else if (w->nan_as_text) {
        slw_buf_char(w->buf, '"');
        slw_buf_f64(w->buf, v);
        slw_buf_char(w->buf, '"');
    } else {
        slw_buf_z(w->buf, "null");
    }
}

void
slw_jw_bool(struct slw_jw *w, bool v)
{
    value_begin(w);
    slw_buf_z(w->buf, v ? "true" : "false");
}

void
slw_jw_null(struct slw_jw *w)
{
    value_begin(w);
    slw_buf_z(w->buf, "null");
}

void
slw_jw_raw(struct slw_jw *w, struct slw_str json)
{
    SLW_ASSERT(json.len > 0); /* no value would leave a hole behind a key */
    value_begin(w);
    slw_buf_str(w->buf, json);
}

void
slw_jw_node(struct slw_jw *w, const struct json_t *v)
{
    value_begin(w);
    node_write(w->buf, v, false);
}

void
slw_jw_kstr(struct slw_jw *w, const char *key, struct slw_str v)
{
    slw_jw_key(w, key);
    slw_jw_str(w, v);
}

void
slw_jw_kz(struct slw_jw *w, const char *key, const char *v)
{
    slw_jw_key(w, key);
    slw_jw_z(w, v);
}

void
slw_jw_ki64(struct slw_jw *w, const char *key, int64_t v)
{
    slw_jw_key(w, key);
    slw_jw_i64(w, v);
}

void
slw_jw_kf64(struct slw_jw *w, const char *key, double v)
{
    slw_jw_key(w, key);
    slw_jw_f64(w, v);
}

void
slw_jw_kbool(struct slw_jw *w, const char *key, bool v)
{
    slw_jw_key(w, key);
    slw_jw_bool(w, v);
}

void
slw_jw_kraw(struct slw_jw *w, const char *key, struct slw_str json)
{
    slw_jw_key(w, key);
    slw_jw_raw(w, json);
}
