/* fuzz_json.c -- any text as JSON: what is read, written canonically and read
 * again is the same value, and its canonical text is a fixed point. */
#include "fuzz.h"

#include <math.h>

#include "base/json.h"

/* Equal values: integers as integers, reals bit for bit. */
static void
same(const struct json_t *a, const struct json_t *b)
{
    const enum slw_json_type type = slw_json_type(a);
    SLW_ASSERT(type == slw_json_type(b));
    SLW_ASSERT(slw_json_len(a) == slw_json_len(b));
    if (type == SLW_JSON_INT)
        SLW_ASSERT(slw_json_i64_or(a, 0) == slw_json_i64_or(b, 1));
    if (type == SLW_JSON_REAL) {
        const double x = slw_json_f64_or(a, 0), y = slw_json_f64_or(b, 1);
        SLW_ASSERT(isfinite(x));
        SLW_ASSERT(memcmp(&x, &y, sizeof x) == 0);
    }
    if (type == SLW_JSON_BOOL)
        SLW_ASSERT(slw_json_bool_or(a, false) == slw_json_bool_or(b, true));
    if (type == SLW_JSON_STR) {
        const struct slw_str s = slw_json_str_or(a, SLW_STR("a"));
        SLW_ASSERT(slw_str_eq(s, slw_json_str_or(b, SLW_STR("b"))));
        SLW_ASSERT(slw_str_utf8_ok(s));
    }
    if (type == SLW_JSON_ARRAY)
        for (size_t i = 0; i < slw_json_len(a); i++)
            same(slw_json_at(a, i), slw_json_at(b, i));
    if (type != SLW_JSON_OBJECT)
        return;
    for (void *it = slw_json_iter(a); it; it = slw_json_next(a, it)) {
        const struct slw_str key = slw_json_iter_key(it);
        SLW_ASSERT(strlen(key.ptr) == key.len);
        same(slw_json_iter_value(it), slw_json_get(b, key.ptr));
    }
}

/* The readers of members take any type or say what they want. */
static void
members_read(const struct json_t *root)
{
    static const char *const keys[] = {"a", "b", "inputs", "n"};
    struct slw_err err;
    struct slw_str s;
    int64_t i;
    double f;
    bool b;
    for (size_t k = 0; k < SLW_ARRAY_LEN(keys); k++) {
        const enum slw_rc got[] = {slw_json_need_str(root, keys[k], &s, &err),
                                   slw_json_need_i64(root, keys[k], &i, &err),
                                   slw_json_need_f64(root, keys[k], &f, &err),
                                   slw_json_opt_bool(root, keys[k], &b, &err)};
        for (size_t g = 0; g < SLW_ARRAY_LEN(got); g++)
            SLW_ASSERT(got[g] == SLW_OK || got[g] == SLW_INVALID);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SLW_AUTO(slw_json, doc);
    SLW_AUTO(slw_json, again);
    SLW_AUTO(slw_json, ordered);
    SLW_AUTO(slw_buf, first);
    SLW_AUTO(slw_buf, second);
    SLW_AUTO(slw_buf, plain);
    struct slw_err err = {0};
    const enum slw_rc rc = slw_json_parse(&doc, fuzz_str(data, size), &err);
    if (rc != SLW_OK) {
        SLW_ASSERT(!doc.root);
        fuzz_refused(rc, &err, FUZZ_RC(INVALID));
        return 0;
    }
    members_read(doc.root);
    slw_json_dump(&first, doc.root);
    SLW_ASSERT(slw_json_parse(&again, slw_buf_view(&first), &err) == SLW_OK);
    same(doc.root, again.root);
    slw_json_dump(&second, again.root);
    SLW_ASSERT(slw_str_eq(slw_buf_view(&first), slw_buf_view(&second)));
    struct slw_jw w;
    slw_jw_init(&w, &plain);
    slw_jw_arr(&w);
    slw_jw_node(&w, doc.root);
    slw_jw_raw(&w, slw_buf_view(&first));
    slw_jw_arr_end(&w);
    /* One level deeper than what came in, which may be too deep. */
    if (slw_json_parse(&ordered, slw_buf_view(&plain), &err) == SLW_OK) {
        same(doc.root, slw_json_at(ordered.root, 0));
        same(doc.root, slw_json_at(ordered.root, 1));
    } else {
        SLW_ASSERT(strstr(err.msg, "nested deeper"));
    }
    return 0;
}
