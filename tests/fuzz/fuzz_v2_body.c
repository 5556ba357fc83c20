/* fuzz_v2_body.c -- bodies of V2 infer requests.
 *
 * The first byte picks where the JSON ends (0: everything is JSON).  What the
 * reader takes must hold together: elements of every tensor can be read or
 * are refused, and whatever was taken as pure JSON is JSON to jansson too. */
#include <assert.h>
#include <stdint.h>

#include "api/serving.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
elements_read(const struct api_v2_tensor *t, struct slw_arena *a)
{
    struct slw_err err;
    assert(t->count <= t->data.len || t->count == 0);
    if (t->type == API_V2_BYTES) {
        struct slw_str *texts = SLW_ARENA_NEW(a, struct slw_str, t->count);
        if (api_v2_texts(t, a, texts, &err) == SLW_OK)
            for (size_t i = 0; i < t->count; i++)
                assert(slw_str_utf8_ok(texts[i]));
        return;
    }
    double *x = SLW_ARENA_NEW(a, double, t->count);
    if (api_v2_numbers(t, 1, x, &err) != SLW_OK)
        assert(err.rc == SLW_INVALID);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 65536)
        return 0;
    struct slw_err err;
    struct api_v2_request q;
    SLW_AUTO(slw_arena, a);
    const struct slw_str body = {(const char *)data + 1, size - 1};
    const int64_t json_size =
        data[0] ? (int64_t)(body.len * data[0] / 256) : -1;
    if (api_v2_read(&q, body, json_size, &a, &err) != SLW_OK) {
        assert(err.rc == SLW_INVALID || err.rc == SLW_LIMIT);
        assert(err.msg[0]);
        return 0;
    }
    for (size_t i = 0; i < q.input_count; i++)
        elements_read(&q.inputs[i], &a);
    SLW_AUTO(slw_json, doc);
    const struct slw_str json = {body.ptr,
                                 json_size < 0 ? body.len : (size_t)json_size};
    /* jansson refuses duplicate keys and numbers out of range besides. */
    if (slw_json_parse(&doc, json, &err) != SLW_OK)
        assert(strstr(err.msg, "uplicate") || strstr(err.msg, "number") ||
               strstr(err.msg, "integer") || strstr(err.msg, "real") ||
               strstr(err.msg, "big") || strstr(err.msg, "nest") ||
               strstr(err.msg, "deep") || strstr(err.msg, "\\u0000"));
    return 0;
}
