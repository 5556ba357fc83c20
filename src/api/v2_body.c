/* v2_body.c -- reading the body of a V2 infer request.
 *
 * First pass: the members we know, everything else stepped over; `data` is
 * checked for form and remembered, because it may stand before its shape.
 * Second pass, once type and shape are known: the elements, straight into the
 * caller's matrix.  Open lists are a counter and a small array, never the
 * stack of calls. */
#include "api/serving.h"

#include "base/clock.h"
#include "base/json_pull.h"

#include <float.h>
#include <limits.h>
#include <math.h>

static const struct {
    const char *name;
    size_t size; /* of an element; 0: varies */
    bool is_integer;
    int64_t least;
    uint64_t most;
} TYPES[API_V2_TYPE_COUNT] = {
    [API_V2_BOOL] = {"BOOL", 1, false, 0, 0},
    [API_V2_INT8] = {"INT8", 1, true, INT8_MIN, INT8_MAX},
    [API_V2_INT16] = {"INT16", 2, true, INT16_MIN, INT16_MAX},
    [API_V2_INT32] = {"INT32", 4, true, INT32_MIN, INT32_MAX},
    [API_V2_INT64] = {"INT64", 8, true, INT64_MIN, INT64_MAX},
    [API_V2_UINT8] = {"UINT8", 1, true, 0, UINT8_MAX},
    [API_V2_UINT16] = {"UINT16", 2, true, 0, UINT16_MAX},
    [API_V2_UINT32] = {"UINT32", 4, true, 0, UINT32_MAX},
    [API_V2_UINT64] = {"UINT64", 8, true, 0, UINT64_MAX},
    [API_V2_FP16] = {"FP16", 2, false, 0, 0},
    [API_V2_BF16] = {"BF16", 2, false, 0, 0},
    [API_V2_FP32] = {"FP32", 4, false, 0, 0},
    [API_V2_FP64] = {"FP64", 8, false, 0, 0},
    [API_V2_BYTES] = {"BYTES", 0, false, 0, 0},
};

static enum slw_rc
once(unsigned *seen, unsigned bit, struct slw_str key, struct slw_err *err)
{
    if (*seen & bit)
        return slw_fail(err, SLW_INVALID, "\"%.*s\" is given twice",
                        SLW_FMT(key));
    *seen |= bit;
    return SLW_OK;
}

static enum slw_rc
bool_read(struct slw_jr *r, struct slw_str key, bool *out, struct slw_err *err)
{
    const char c = slw_jr_peek(r);
    if (c != 't' && c != 'f')
        return slw_fail(err, SLW_INVALID, "\"%.*s\" must be true or false",
                        SLW_FMT(key));
    TRY(slw_jr_word(r, c == 't' ? "true" : "false", err));
    *out = c == 't';
    return SLW_OK;
}

/* A whole number that is not negative. */
static enum slw_rc
size_read(struct slw_jr *r, const char *what, int64_t *out, struct slw_err *err)
{
    struct slw_jr_number n;
    const char c = slw_jr_peek(r);
    if (!slw_jr_starts_number(c))
        return slw_fail(err, SLW_INVALID, "%s must be a whole number", what);
    TRY(slw_jr_number(r, &n, err));
    if ((n.negative && n.digits) || !n.fits || n.exp10 != 0 ||
        n.digits > INT64_MAX)
        return slw_fail(err, SLW_INVALID,
                        "%s must be a whole number from 0 on, not %.*s", what,
                        (int)(n.text.len < 40 ? n.text.len : 40), n.text.ptr);
    *out = (int64_t)n.digits;
    return SLW_OK;
}

static enum slw_rc
shape_read(struct slw_jr *r, struct api_v2_tensor *t, struct slw_err *err)
{
    struct slw_jr_walk w = {0};
    uint64_t count = 1;
    t->rank = 0;
    for (;;) {
        TRY(slw_jr_item(r, &w, '[', ']', "a shape is a list of whole numbers",
                        err));
        if (w.done)
            break;
        if (t->rank == API_V2_DIM_MAX)
            return slw_fail(err, SLW_INVALID,
                            "a shape has at most %d dimensions",
                            API_V2_DIM_MAX);
        int64_t d = 0;
        TRY(size_read(r, "a dimension of a shape", &d, err));
        t->shape[t->rank++] = d;
        if (__builtin_mul_overflow(count, (uint64_t)d, &count) ||
            count > SIZE_MAX / 16)
            return slw_fail(err, SLW_LIMIT, "a shape has too many elements");
    }
    t->count = (size_t)count;
    return SLW_OK;
}

static enum slw_rc
type_read(struct slw_jr *r, enum api_v2_type *out, struct slw_err *err)
{
    struct slw_str s;
    TRY(slw_jr_str(r, &s, err));
    for (int i = 0; i < API_V2_TYPE_COUNT; i++)
        if (slw_str_eqz(s, TYPES[i].name)) {
            *out = (enum api_v2_type)i;
            return SLW_OK;
        }
    return slw_fail(err, SLW_INVALID,
                    "unknown datatype '%.*s'; there are BOOL, INT8..INT64, "
                    "UINT8..UINT64, FP16, BF16, FP32, FP64 and BYTES",
                    (int)(s.len < 40 ? s.len : 40), s.ptr);
}

/* {"binary_data_size": n}; others are stepped over.  *out -1: not given */
static enum slw_rc
input_parameters_read(struct slw_jr *r, int64_t *out, struct slw_err *err)
{
    struct slw_jr_walk w = {0};
    struct slw_str key;
    for (;;) {
        TRY(slw_jr_member(r, &w, &key, err));
        if (w.done)
            return SLW_OK;
        if (slw_str_eqz(key, "binary_data_size"))
            TRY(size_read(r, "binary_data_size", out, err));
        else
            TRY(slw_jr_skip(r, err));
    }
}

enum {
    HAS_NAME = 1,
    HAS_TYPE = 2,
    HAS_SHAPE = 4,
    HAS_DATA = 8,
    HAS_PARAM = 16
};

static enum slw_rc
input_member_read(struct slw_jr *r, struct slw_str key, struct api_v2_tensor *t,
                  unsigned *seen, int64_t *binary_size, struct slw_err *err)
{
    if (slw_str_eqz(key, "name")) {
        TRY(once(seen, HAS_NAME, key, err));
        return slw_jr_str(r, &t->name, err);
    }
    if (slw_str_eqz(key, "datatype")) {
        TRY(once(seen, HAS_TYPE, key, err));
        return type_read(r, &t->type, err);
    }
    if (slw_str_eqz(key, "shape")) {
        TRY(once(seen, HAS_SHAPE, key, err));
        return shape_read(r, t, err);
    }
    if (slw_str_eqz(key, "parameters")) {
        TRY(once(seen, HAS_PARAM, key, err));
        return input_parameters_read(r, binary_size, err);
    }
    if (!slw_str_eqz(key, "data"))
        return slw_jr_skip(r, err);
    TRY(once(seen, HAS_DATA, key, err));
    if (slw_jr_peek(r) != '[')
        return slw_jr_wrong(r, "\"data\" must be a list", err);
    const char *begin = r->p;
    TRY(slw_jr_skip(r, err));
    t->data = (struct slw_str){begin, (size_t)(r->p - begin)};
    return SLW_OK;
}

/* Where the binary tensors stand, in the order of the inputs. */
struct binary {
    const char *p;
    size_t left;
    bool present; /* the header said so */
};

static enum slw_rc
binary_take(struct api_v2_tensor *t, int64_t size, struct binary *b,
            struct slw_err *err)
{
    if (!b->present && size > 0)
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\" has a binary_data_size, but the header "
                        "Inference-Header-Content-Length is missing",
                        SLW_FMT(t->name));
    if ((uint64_t)size > b->left)
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\": binary_data_size is %lld, but only "
                        "%zu bytes are left in the body",
                        SLW_FMT(t->name), (long long)size, b->left);
    const size_t element = TYPES[t->type].size;
    if (element && (uint64_t)size != (uint64_t)t->count * element)
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\": %lld bytes for %zu elements of %s, "
                        "which take %zu",
                        SLW_FMT(t->name), (long long)size, t->count,
                        TYPES[t->type].name, t->count * element);
    if (!element && t->count > (uint64_t)size / sizeof(uint32_t))
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\": %lld bytes cannot hold %zu elements "
                        "of BYTES",
                        SLW_FMT(t->name), (long long)size, t->count);
    t->is_binary = true;
    t->data = (struct slw_str){b->p, (size_t)size};
    b->p += size;
    b->left -= (size_t)size;
    return SLW_OK;
}

static enum slw_rc
misshapen(const struct api_v2_tensor *t, struct slw_err *err)
{
    char shape[API_V2_DIM_MAX * 24] = "";
    size_t len = 0;
    for (size_t i = 0; i < t->rank; i++)
        len += (size_t)snprintf(shape + len, sizeof shape - len, "%s%lld",
                                i ? "," : "", (long long)t->shape[i]);
    return slw_fail(err, SLW_INVALID,
                    "input \"%.*s\": the data are not %zu elements, flat or "
                    "nested as the shape [%s] says",
                    SLW_FMT(t->name), t->count, shape);
}

static enum slw_rc
input_read(struct slw_jr *r, struct api_v2_tensor *t, struct binary *b,
           struct slw_err *err)
{
    static const char *const names[] = {"name", "datatype", "shape"};
    struct slw_jr_walk w = {0};
    struct slw_str key;
    unsigned seen = 0;
    int64_t binary_size = -1;
    for (;;) {
        TRY(slw_jr_member(r, &w, &key, err));
        if (w.done)
            break;
        TRY(input_member_read(r, key, t, &seen, &binary_size, err));
    }
    for (unsigned i = 0; i < SLW_ARRAY_LEN(names); i++)
        if (!(seen & (1u << i)))
            return slw_fail(err, SLW_INVALID, "an input (\"%.*s\") has no %s",
                            SLW_FMT(t->name), names[i]);
    if ((seen & HAS_DATA) && binary_size >= 0)
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\" has both data and binary_data_size",
                        SLW_FMT(t->name));
    if (binary_size >= 0)
        return binary_take(t, binary_size, b, err);
    if (!(seen & HAS_DATA))
        return slw_fail(err, SLW_INVALID, "input \"%.*s\" has no data",
                        SLW_FMT(t->name));
    /* Nobody gets memory for elements that cannot be there. */
    return t->count <= t->data.len ? SLW_OK : misshapen(t, err);
}

static enum slw_rc
inputs_read(struct slw_jr *r, struct api_v2_request *q, struct binary *b,
            struct slw_err *err)
{
    struct slw_jr_walk w = {0};
    size_t cap = 0;
    for (;;) {
        TRY(slw_jr_item(r, &w, '[', ']', "\"inputs\" must be a list of tensors",
                        err));
        if (w.done)
            return SLW_OK;
        if (q->input_count == API_V2_TENSOR_MAX)
            return slw_fail(err, SLW_INVALID, "more than %d inputs",
                            API_V2_TENSOR_MAX);
        if (q->input_count == cap) {
            cap = cap ? cap * 4 : 2;
            struct api_v2_tensor *more =
                SLW_ARENA_NEW(r->a, struct api_v2_tensor, cap);
            if (q->input_count)
                memcpy(more, q->inputs, q->input_count * sizeof *more);
            q->inputs = more;
        }
        TRY(input_read(r, &q->inputs[q->input_count], b, err));
        q->input_count++;
    }
}

static enum slw_rc
output_parameters_read(struct slw_jr *r, struct api_v2_output *o,
                       struct slw_err *err)
{
    struct slw_jr_walk w = {0};
    struct slw_str key;
    for (;;) {
        TRY(slw_jr_member(r, &w, &key, err));
        if (w.done)
            return SLW_OK;
        if (slw_str_eqz(key, "binary_data")) {
            bool v = false;
            TRY(bool_read(r, key, &v, err));
            o->binary = v;
        } else if (slw_str_eqz(key, "classification")) {
            return slw_fail(err, SLW_INVALID,
                            "the classification extension is not offered");
        } else {
            TRY(slw_jr_skip(r, err));
        }
    }
}

static enum slw_rc
output_read(struct slw_jr *r, struct api_v2_output *o, struct slw_err *err)
{
    struct slw_jr_walk w = {0};
    struct slw_str key;
    *o = (struct api_v2_output){.binary = -1};
    for (;;) {
        TRY(slw_jr_member(r, &w, &key, err));
        if (w.done)
            break;
        if (slw_str_eqz(key, "name"))
            TRY(slw_jr_str(r, &o->name, err));
        else if (slw_str_eqz(key, "parameters"))
            TRY(output_parameters_read(r, o, err));
        else
            TRY(slw_jr_skip(r, err));
    }
    if (!o->name.ptr)
        return slw_fail(err, SLW_INVALID, "an output has no name");
    return SLW_OK;
}

#define OUTPUT_MAX 16

static enum slw_rc
outputs_read(struct slw_jr *r, struct api_v2_request *q, struct slw_err *err)
{
    struct slw_jr_walk w = {0};
    q->outputs = SLW_ARENA_NEW(r->a, struct api_v2_output, OUTPUT_MAX);
    for (;;) {
        TRY(slw_jr_item(r, &w, '[', ']', "\"outputs\" must be a list", err));
        if (w.done)
            return SLW_OK;
        if (q->output_count == OUTPUT_MAX)
            return slw_fail(err, SLW_INVALID, "more than %d outputs",
                            OUTPUT_MAX);
        TRY(output_read(r, &q->outputs[q->output_count], err));
        q->output_count++;
    }
}

/* A text, or a number as its own text. */
static enum slw_rc
text_or_number_read(struct slw_jr *r, const char *what, struct slw_str *out,
                    struct slw_err *err)
{
    struct slw_jr_number n;
    const char c = slw_jr_peek(r);
    if (c == '"')
        return slw_jr_str(r, out, err);
    if (!slw_jr_starts_number(c))
        return slw_fail(err, SLW_INVALID, "%s must be a text or a number",
                        what);
    TRY(slw_jr_number(r, &n, err));
    *out = n.text;
    return SLW_OK;
}

static enum slw_rc
parameters_read(struct slw_jr *r, struct api_v2_request *q, struct slw_err *err)
{
    struct slw_jr_walk w = {0};
    struct slw_str key, s;
    for (;;) {
        TRY(slw_jr_member(r, &w, &key, err));
        if (w.done)
            return SLW_OK;
        if (slw_str_eqz(key, "key")) {
            TRY(text_or_number_read(r, "the parameter \"key\"", &q->key, err));
        } else if (slw_str_eqz(key, "event_time")) {
            TRY(text_or_number_read(r, "the parameter \"event_time\"", &s,
                                    err));
            if (slw_time_parse(s, &q->event_ms, err) != SLW_OK)
                return slw_err_prefix(err, "the parameter \"event_time\": ");
        } else if (slw_str_eqz(key, "binary_data_output")) {
            TRY(bool_read(r, key, &q->binary_outputs, err));
        } else {
            TRY(slw_jr_skip(r, err));
        }
    }
}

enum { HAS_ID = 1, HAS_INPUTS = 2, HAS_OUTPUTS = 4, HAS_PARAMS = 8 };

static enum slw_rc
request_read(struct slw_jr *r, struct api_v2_request *q, struct binary *b,
             struct slw_err *err)
{
    struct slw_jr_walk w = {0};
    struct slw_str key;
    unsigned seen = 0;
    for (;;) {
        TRY(slw_jr_member(r, &w, &key, err));
        if (w.done)
            break;
        if (slw_str_eqz(key, "id")) {
            TRY(once(&seen, HAS_ID, key, err));
            TRY(slw_jr_str(r, &q->id, err));
        } else if (slw_str_eqz(key, "inputs")) {
            TRY(once(&seen, HAS_INPUTS, key, err));
            TRY(inputs_read(r, q, b, err));
        } else if (slw_str_eqz(key, "outputs")) {
            TRY(once(&seen, HAS_OUTPUTS, key, err));
            TRY(outputs_read(r, q, err));
        } else if (slw_str_eqz(key, "parameters")) {
            TRY(once(&seen, HAS_PARAMS, key, err));
            TRY(parameters_read(r, q, err));
        } else {
            TRY(slw_jr_skip(r, err));
        }
    }
    if (!(seen & HAS_INPUTS))
        return slw_fail(err, SLW_INVALID,
                        "the request has no \"inputs\", a list of tensors");
    if (slw_jr_peek(r) != '\0' || r->p < r->end)
        return slw_jr_wrong(r, "something stands behind the request", err);
    if (b->left)
        return slw_fail(err, SLW_INVALID,
                        "%zu bytes are left over behind the last tensor",
                        b->left);
    return SLW_OK;
}

enum slw_rc
api_v2_read(struct api_v2_request *out, struct slw_str body, int64_t json_size,
            struct slw_arena *a, struct slw_err *err)
{
    if (json_size < -1 || (json_size >= 0 && (uint64_t)json_size > body.len))
        return slw_fail(err, SLW_INVALID,
                        "Inference-Header-Content-Length is %lld, the body has "
                        "%zu bytes",
                        (long long)json_size, body.len);
    if (json_size == 0)
        return slw_fail(err, SLW_INVALID,
                        "raw requests (Inference-Header-Content-Length: 0) are "
                        "not offered; send the JSON header");
    const size_t json_len = json_size < 0 ? body.len : (size_t)json_size;
    if (json_len == 0)
        return slw_fail(err, SLW_INVALID,
                        "the body is empty; send {\"inputs\": [...]}");
    struct slw_jr r = {
        .p = body.ptr, .begin = body.ptr, .end = body.ptr + json_len, .a = a};
    struct binary b = {
        .p = r.end, .left = body.len - json_len, .present = json_size > 0};
    struct api_v2_request q = {0};
    TRY(request_read(&r, &q, &b, err));
    *out = q;
    return SLW_OK;
}

/* ---- elements ---- */

/* Where elements go: one of the two. */
struct sink {
    double *numbers;
    size_t stride;
    struct slw_str *texts;
};

static enum slw_rc
no_fit(const struct api_v2_tensor *t, struct slw_str text, struct slw_err *err)
{
    return slw_fail(err, SLW_INVALID, "input \"%.*s\": %.*s is no %s",
                    SLW_FMT(t->name), (int)(text.len < 40 ? text.len : 40),
                    text.ptr, TYPES[t->type].name);
}

/* An integer as a double without loss. */
static enum slw_rc
integer_put(const struct api_v2_tensor *t, bool negative, uint64_t size,
            struct slw_str text, double *out, struct slw_err *err)
{
    const uint64_t least = (uint64_t)0 - (uint64_t)TYPES[t->type].least;
    if (negative ? size > least : size > TYPES[t->type].most)
        return no_fit(t, text, err);
    const double v = (double)size;
    if (v >= 18446744073709551616.0 || (uint64_t)v != size)
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\": %.*s cannot be held exactly by the "
                        "FP64 the model computes with",
                        SLW_FMT(t->name), SLW_FMT(text));
    *out = negative && size ? -v : v;
    return SLW_OK;
}

static enum slw_rc
number_put(const struct api_v2_tensor *t, const struct slw_jr_number *n,
           double *out, struct slw_err *err)
{
    double v = 0;
    if (TYPES[t->type].is_integer && n->fits && n->exp10 == 0)
        return integer_put(t, n->negative, n->digits, n->text, out, err);
    if (slw_jr_double(n, &v, err) != SLW_OK)
        return no_fit(t, n->text, err);
    if (TYPES[t->type].is_integer) { /* 1.0, 1e3 */
        if (v != floor(v) || fabs(v) > 9007199254740992.0)
            return no_fit(t, n->text, err);
        return integer_put(t, v < 0, (uint64_t)fabs(v), n->text, out, err);
    }
    if (t->type == API_V2_FP32) {
        const float f = (float)v;
        if (isinf(f))
            return no_fit(t, n->text, err);
        v = (double)f;
    }
    *out = v;
    return SLW_OK;
}

static enum slw_rc
element_put(struct slw_jr *r, const struct api_v2_tensor *t,
            const struct sink *s, size_t i, struct slw_err *err)
{
    struct slw_jr_number n;
    const char c = *r->p;
    if (s->texts) {
        if (c == '"')
            return slw_jr_str(r, &s->texts[i], err);
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\": element %zu is not a text",
                        SLW_FMT(t->name), i);
    }
    if (!slw_jr_starts_number(c))
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\": element %zu is not a number (NaN has "
                        "to be sent in binary)",
                        SLW_FMT(t->name), i);
    TRY(slw_jr_number(r, &n, err));
    return number_put(t, &n, &s->numbers[i * s->stride], err);
}

/* The elements of a list whose form was checked: commas are as blanks. */
static enum slw_rc
list_walk(const struct api_v2_tensor *t, struct slw_arena *a,
          const struct sink *s, struct slw_err *err)
{
    struct slw_jr r = {.p = t->data.ptr,
                       .begin = t->data.ptr,
                       .end = t->data.ptr + t->data.len,
                       .a = a};
    const int64_t one = 1;
    const int64_t *shape = t->rank ? t->shape : &one;
    const size_t rank = t->rank ? t->rank : 1;
    int64_t counts[API_V2_DIM_MAX + 1] = {0};
    size_t depth = 0, total = 0;
    bool nested = rank == 1, flat = false;
    while (r.p < r.end) {
        const char c = *r.p;
        if (c == ',' || c == ' ' || c == '\n' || c == '\r' || c == '\t') {
            r.p++;
        } else if (c == '[') {
            if (depth == rank || flat)
                return misshapen(t, err);
            nested |= depth > 0;
            counts[depth]++;
            counts[++depth] = 0;
            r.p++;
        } else if (c == ']') {
            if (nested && counts[depth] != shape[depth - 1])
                return misshapen(t, err);
            depth--;
            r.p++;
        } else {
            flat |= depth == 1 && rank > 1;
            if ((depth != rank && (depth != 1 || nested)) || total == t->count)
                return misshapen(t, err);
            counts[depth]++;
            TRY(element_put(&r, t, s, total++, err));
        }
    }
    return total == t->count ? SLW_OK : misshapen(t, err);
}

static enum slw_rc
binary_integer(const struct api_v2_tensor *t, const char *p, double *out,
               struct slw_err *err)
{
    uint64_t v = 0;
    const size_t size = TYPES[t->type].size;
    memcpy(&v, p, size); /* little-endian, as the format is */
    bool negative = false;
    if (TYPES[t->type].least < 0 && (v >> (size * 8 - 1)) & 1) {
        negative = true;
        if (size < 8)
            v |= ~(uint64_t)0 << (size * 8);
        v = (uint64_t)0 - v;
    }
    return integer_put(t, negative, v, SLW_STR("an element"), out, err);
}

static enum slw_rc
binary_walk(const struct api_v2_tensor *t, size_t stride, double *out,
            struct slw_err *err)
{
    const size_t size = TYPES[t->type].size;
    for (size_t i = 0; i < t->count; i++) {
        const char *p = t->data.ptr + i * size;
        float f;
        if (t->type == API_V2_FP64) {
            memcpy(&out[i * stride], p, sizeof(double));
        } else if (t->type == API_V2_FP32) {
            memcpy(&f, p, sizeof f);
            out[i * stride] = (double)f;
        } else {
            TRY(binary_integer(t, p, &out[i * stride], err));
        }
    }
    return SLW_OK;
}

enum slw_rc
api_v2_numbers(const struct api_v2_tensor *t, size_t stride, double *out,
               struct slw_err *err)
{
    if (!TYPES[t->type].is_integer && t->type != API_V2_FP32 &&
        t->type != API_V2_FP64)
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\": data-type is '%s', but the model "
                        "expects FP64 (FP32 and integers are taken too)",
                        SLW_FMT(t->name), TYPES[t->type].name);
    if (t->is_binary)
        return binary_walk(t, stride, out, err);
    const struct sink s = {.numbers = out, .stride = stride};
    return list_walk(t, NULL, &s, err);
}

static enum slw_rc
binary_texts(const struct api_v2_tensor *t, struct slw_str *out,
             struct slw_err *err)
{
    size_t at = 0;
    for (size_t i = 0; i < t->count; i++) {
        uint32_t len;
        if (t->data.len - at < sizeof len)
            return slw_fail(err, SLW_INVALID,
                            "input \"%.*s\": element %zu is cut off",
                            SLW_FMT(t->name), i);
        memcpy(&len, t->data.ptr + at, sizeof len);
        at += sizeof len;
        if (len > t->data.len - at)
            return slw_fail(err, SLW_INVALID,
                            "input \"%.*s\": element %zu has %u bytes, %zu are "
                            "left",
                            SLW_FMT(t->name), i, len, t->data.len - at);
        out[i] = (struct slw_str){t->data.ptr + at, len};
        at += len;
        if (!slw_str_utf8_ok(out[i]))
            return slw_fail(err, SLW_INVALID,
                            "input \"%.*s\": element %zu is not valid UTF-8",
                            SLW_FMT(t->name), i);
    }
    if (at != t->data.len)
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\": %zu bytes are left over",
                        SLW_FMT(t->name), t->data.len - at);
    return SLW_OK;
}

enum slw_rc
api_v2_texts(const struct api_v2_tensor *t, struct slw_arena *a,
             struct slw_str *out, struct slw_err *err)
{
    if (t->type != API_V2_BYTES)
        return slw_fail(err, SLW_INVALID,
                        "input \"%.*s\": data-type is '%s', but BYTES is "
                        "expected",
                        SLW_FMT(t->name), TYPES[t->type].name);
    if (t->is_binary)
        return binary_texts(t, out, err);
    const struct sink s = {.texts = out};
    return list_walk(t, a, &s, err);
}
