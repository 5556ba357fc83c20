/* test_v2_body.c -- the reader of V2 infer bodies: what it takes, and a
 * sentence for everything it does not. */
#include "api/serving.h"
#include "base/rng.h"
#include "tests/slw_test.h"

static enum slw_rc
read_z(const char *body, struct api_v2_request *q, struct slw_arena *a,
       struct slw_err *err)
{
    return api_v2_read(q, slw_str_of(body), -1, a, err);
}

static void
members_may_stand_in_any_order_and_unknown_ones_are_stepped_over(void **state)
{
    struct slw_err err;
    struct api_v2_request q;
    double x[4];
    SLW_AUTO(slw_arena, a);
    assert_ok(read_z(" {\"extra\": [1, {\"a\": [null, true]}, \"\\u00e9\"],"
                     "\"inputs\" : [ {\"data\": [1, 2.5,\n-3e2, 0.1],"
                     "\"parameters\": {\"x\": 1}, \"shape\": [2,2],"
                     "\"datatype\": \"FP64\", \"name\": \"features\"}],"
                     "\"id\": \"a\\\"b\\u00e9\\ud83d\\ude00\","
                     "\"parameters\": {\"key\": \"AAPL\", \"event_time\":"
                     "\"2023-08-31\", \"other\": {}},"
                     "\"outputs\": [{\"name\": \"prediction\", \"parameters\":"
                     "{\"binary_data\": false}}] } \n",
                     &q, &a, &err),
              err);
    assert_int_equal(q.input_count, 1);
    assert_true(slw_str_eqz(q.inputs[0].name, "features"));
    assert_int_equal(q.inputs[0].type, API_V2_FP64);
    assert_int_equal(q.inputs[0].rank, 2);
    assert_ok(api_v2_numbers(&q.inputs[0], 1, x, &err), err);
    const double want[] = {1, 2.5, -300, 0.1};
    for (int i = 0; i < 4; i++)
        assert_near(x[i], want[i], 0);
    assert_true(slw_str_eqz(q.id, "a\"b\xC3\xA9\xF0\x9F\x98\x80"));
    assert_true(slw_str_eqz(q.key, "AAPL"));
    assert_int_equal(q.event_ms, INT64_C(1693440000000));
    assert_int_equal(q.output_count, 1);
    assert_int_equal(q.outputs[0].binary, 0);
}

/* Body of one tensor. */
static enum slw_rc
numbers(const char *type, const char *shape, const char *data, double *x,
        struct slw_err *err)
{
    char body[1024];
    struct api_v2_request q;
    SLW_AUTO(slw_arena, a);
    snprintf(body, sizeof body,
             "{\"inputs\":[{\"name\":\"t\",\"datatype\":\"%s\",\"shape\":%s,"
             "\"data\":%s}]}",
             type, shape, data);
    enum slw_rc rc = read_z(body, &q, &a, err);
    return rc == SLW_OK ? api_v2_numbers(&q.inputs[0], 1, x, err) : rc;
}

static void
data_may_be_flat_or_nested_as_the_shape_says(void **state)
{
    static const struct {
        const char *shape, *data;
        bool ok;
    } cases[] = {
        {"[2,3]", "[1,2,3,4,5,6]", true},
        {"[2,3]", "[[1,2,3],[4,5,6]]", true},
        {"[2,3]", "[[1,2],[3,4],[5,6]]", false},
        {"[2,3]", "[[1,2,3],4,5,6]", false},
        {"[2,3]", "[1,2,3,[4,5,6]]", false},
        {"[2,3]", "[[1,2,3,4],[5,6]]", false},
        {"[2,3]", "[[[1,2,3],[4,5,6]]]", false},
        {"[2,3]", "[1,2,3,4,5]", false},
        {"[2,3]", "[1,2,3,4,5,6,7]", false},
        {"[2,1,3]", "[[[1,2,3]],[[4,5,6]]]", true},
        {"[2,1,3]", "[[1,2,3],[4,5,6]]", false},
        {"[6]", "[1,2,3,4,5,6]", true},
        {"[6]", "[[1,2,3,4,5,6]]", false},
        {"[0,3]", "[]", true},
        {"[2,0]", "[[],[]]", true},
        {"[]", "[1]", true},
        {"[]", "[1,2]", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slw_err err = {0};
        double x[8] = {0};
        enum slw_rc rc =
            numbers("FP64", cases[i].shape, cases[i].data, x, &err);
        if ((rc == SLW_OK) != cases[i].ok)
            print_error("case %zu: %s\n", i, err.msg);
        assert_int_equal(rc == SLW_OK, cases[i].ok);
        for (int k = 0; cases[i].ok && k < 6 && x[k] != 0; k++)
            assert_near(x[k], k + 1, 0);
    }
}

static void
numbers_are_exact(void **state)
{
    static const char *const texts[] = {"0.1",
                                        "-0",
                                        "1e22",
                                        "1e23",
                                        "123456789012345678",
                                        "5e-324",
                                        "2.2250738585072011e-308",
                                        "1.7976931348623157e308",
                                        "9007199254740993",
                                        "0.30000000000000004",
                                        "3.141592653589793238462643",
                                        "1e-400",
                                        "123456789e-30"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct slw_err err;
        char data[64];
        double x = 7;
        snprintf(data, sizeof data, "[%s]", texts[i]);
        assert_ok(numbers("FP64", "[1]", data, &x, &err), err);
        const double want = strtod(texts[i], NULL);
        assert_memory_equal(&x, &want, sizeof x);
    }
}

/* Random doubles and decimals of many lengths, against the C library. */
static void
random_numbers_are_what_strtod_says(void **state)
{
    struct slw_rng rng;
    slw_rng_init(&rng, 20231123);
    for (int i = 0; i < 200000; i++) {
        struct slw_err err;
        char data[80];
        double x = 7;
        const int digits = 1 + (int)slw_rng_below(&rng, 20);
        if (i % 2) {
            const double v =
                ldexp(slw_rng_f64(&rng), (int)slw_rng_below(&rng, 160) - 80);
            snprintf(data, sizeof data, "[%.*g]", digits, v);
        } else {
            snprintf(data, sizeof data, "[%llu.%llue%d]",
                     (unsigned long long)slw_rng_below(&rng, 1000000),
                     (unsigned long long)slw_rng_u64(&rng) >> (digits * 3),
                     (int)slw_rng_below(&rng, 60) - 30);
        }
        assert_ok(numbers("FP64", "[1]", data, &x, &err), err);
        const double want = strtod(data + 1, NULL);
        if (memcmp(&x, &want, sizeof x) != 0) {
            print_error("%s: %.17g, not %.17g\n", data, x, want);
            fail();
        }
    }
}

static void
elements_that_do_not_fit_their_type_are_refused(void **state)
{
    static const struct {
        const char *type, *data;
        bool ok;
    } cases[] = {
        {"FP64", "[1e999]", false},
        {"FP32", "[1e39]", false},
        {"FP32", "[0.1]", true},
        {"FP64", "[true]", false},
        {"FP64", "[\"1\"]", false},
        {"FP64", "[null]", false},
        {"INT8", "[127]", true},
        {"INT8", "[128]", false},
        {"INT8", "[-128]", true},
        {"INT8", "[-129]", false},
        {"UINT8", "[300]", false},
        {"UINT8", "[-1]", false},
        {"INT32", "[1.5]", false},
        {"INT32", "[1.0]", true},
        {"INT32", "[1e3]", true},
        {"INT64", "[9007199254740993]", false},
        {"INT64", "[9007199254740992]", true},
        {"INT64", "[-9223372036854775808]", true},
        {"INT64", "[9223372036854775808]", false},
        {"UINT64", "[18446744073709551615]", false},
        {"BOOL", "[true]", false},
        {"FP16", "[1]", false},
        {"BF16", "[1]", false},
        {"BYTES", "[\"a\"]", false},
        {"FP64", "[{\"a\":1}]", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slw_err err = {0};
        double x = 7;
        enum slw_rc rc = numbers(cases[i].type, "[1]", cases[i].data, &x, &err);
        if ((rc == SLW_OK) != cases[i].ok)
            print_error("case %zu: %s\n", i, err.msg);
        assert_int_equal(rc, cases[i].ok ? SLW_OK : SLW_INVALID);
    }
    struct slw_err err;
    double x;
    assert_ok(numbers("FP32", "[1]", "[0.1]", &x, &err), err);
    assert_near(x, (double)0.1f, 0);
}

#define IN(rest) "{\"inputs\":[{\"name\":\"t\"" rest "}]}"
#define WHOLE ",\"datatype\":\"FP64\",\"shape\":[1],\"data\":[1]"

static void
malformed_bodies_are_refused_with_a_sentence(void **state)
{
    static const struct {
        const char *body, *part;
    } cases[] = {
        {"", "empty"},
        {"[]", "object is wanted"},
        {"{", "too early"},
        {"{}", "no \"inputs\""},
        {"nonsense", "object is wanted"},
        {"{\"inputs\":{}}", "list of tensors"},
        {"{\"inputs\":[1]}", "object is wanted"},
        {IN(""), "no datatype"},
        {IN(",\"datatype\":\"FP64\""), "no shape"},
        {IN(",\"datatype\":\"FP64\",\"shape\":[1]"), "no data"},
        {"{\"inputs\":[{\"datatype\":\"FP64\",\"shape\":[1],\"data\":[1]}]}",
         "no name"},
        {IN(",\"datatype\":\"FLOAT\",\"shape\":[1],\"data\":[1]"),
         "unknown datatype"},
        {IN(",\"datatype\":\"FP64\",\"shape\":[-1],\"data\":[1]"),
         "whole number"},
        {IN(",\"datatype\":\"FP64\",\"shape\":[1.5],\"data\":[1]"),
         "whole number"},
        {IN(",\"datatype\":\"FP64\",\"shape\":[\"1\"],\"data\":[1]"),
         "whole number"},
        {IN(",\"datatype\":\"FP64\",\"shape\":[4294967296,4294967296],"
            "\"data\":[1]"),
         "too many"},
        {IN(",\"datatype\":\"FP64\",\"shape\":[1000000000],\"data\":[1]"),
         "1000000000 elements"},
        {IN(",\"datatype\":\"FP64\",\"shape\":[1,1,1,1,1,1,1,1,1],"
            "\"data\":[1]"),
         "at most 8"},
        {IN(",\"datatype\":\"FP64\",\"shape\":[1],\"data\":1"), "list"},
        {IN(",\"datatype\":\"FP64\",\"shape\":[1],\"data\":[NaN]"), "not JSON"},
        {IN(",\"datatype\":\"FP64\",\"shape\":[1],\"data\":[01]"), "one zero"},
        {IN(",\"datatype\":\"FP64\",\"shape\":[1],\"data\":[1.]"), "digit"},
        {IN(",\"datatype\":\"FP64\",\"shape\":[1],\"data\":[1e]"), "digit"},
        {IN(",\"datatype\":\"FP64\",\"shape\":[1],\"data\":[+1]"), "value"},
        {IN(",\"datatype\":\"FP64\",\"shape\":[1],\"data\":[1,]"), "value"},
        {IN(",\"datatype\":\"FP64\",\"shape\":[1],\"data\":[1}"), "comma"},
        {IN(WHOLE ",\"data\":[1]"), "twice"},
        {IN(WHOLE ",\"parameters\":{\"binary_data_size\":8}"), "both"},
        {IN(",\"datatype\":\"FP64\",\"shape\":[1],"
            "\"parameters\":{\"binary_data_size\":8}"),
         "Inference-Header-Content-Length"},
        {IN(",\"datatype\":\"FP64\",\"shape\":[1],"
            "\"parameters\":{\"binary_data_size\":-8}"),
         "whole number"},
        {IN(WHOLE) " x", "behind"},
        {IN(WHOLE) IN(WHOLE), "behind"},
        {"{\"id\":7,\"inputs\":[]}", "text is wanted"},
        {"{\"id\":\"\\x\",\"inputs\":[]}", "escape"},
        {"{\"id\":\"\\ud800\",\"inputs\":[]}", "surrogate"},
        {"{\"id\":\"\\u0000\",\"inputs\":[]}", "u0000"},
        {"{\"id\":\"\xff\",\"inputs\":[]}", "UTF-8"},
        {"{\"id\":\"a\nb\",\"inputs\":[]}", "control"},
        {"{\"id\":\"ab", "too early"},
        {"{\"id\":\"ab\\", "too early"},
        {"{\"parameters\":{\"event_time\":\"soon\"},\"inputs\":[]}",
         "event_time"},
        {"{\"parameters\":{\"key\":true},\"inputs\":[]}", "\"key\""},
        {"{\"parameters\":{\"binary_data_output\":1},\"inputs\":[]}",
         "true or false"},
        {"{\"outputs\":[{}],\"inputs\":[]}", "no name"},
        {"{\"outputs\":[{\"name\":\"p\",\"parameters\":"
         "{\"classification\":3}}],\"inputs\":[]}",
         "classification"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slw_err err = {0};
        struct api_v2_request q;
        SLW_AUTO(slw_arena, a);
        enum slw_rc rc = read_z(cases[i].body, &q, &a, &err);
        if ((rc != SLW_INVALID && rc != SLW_LIMIT) ||
            !strstr(err.msg, cases[i].part))
            print_error("case %zu: %s: %s\n", i, cases[i].body, err.msg);
        assert_true(rc == SLW_INVALID || rc == SLW_LIMIT);
        assert_non_null(strstr(err.msg, cases[i].part));
    }
}

static void
deep_nesting_is_refused_and_not_walked(void **state)
{
    enum { DEEP = 1000000 };
    struct slw_err err;
    struct api_v2_request q;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_buf, b);
    slw_buf_z(&b, "{\"x\":");
    for (int i = 0; i < DEEP; i++)
        slw_buf_char(&b, '[');
    assert_fails(api_v2_read(&q, slw_buf_view(&b), -1, &a, &err), SLW_INVALID,
                 err, "too deeply");
}

static void
a_cut_body_is_refused_at_every_length(void **state)
{
    static const char body[] = "{\"id\":\"a\\u00e9\",\"inputs\":[{\"name\":"
                               "\"t\",\"datatype\":\"FP64\",\"shape\":[2],"
                               "\"data\":[1.5e3,-2]}],\"parameters\":"
                               "{\"key\":\"k\"}}";
    for (size_t n = 0; n < sizeof body - 1; n++) {
        struct slw_err err;
        struct api_v2_request q;
        SLW_AUTO(slw_arena, a);
        char *copy = malloc(n + !n); /* exact: a step past it is seen */
        memcpy(copy, body, n);
        assert_int_equal(
            api_v2_read(&q, (struct slw_str){copy, n}, -1, &a, &err),
            SLW_INVALID);
        free(copy);
    }
}

/* ---- binary tensors ---- */

static enum slw_rc
read_binary(const char *json, const void *bytes, size_t size,
            struct api_v2_request *q, struct slw_arena *a, struct slw_err *err)
{
    const size_t len = strlen(json);
    char *all = slw_arena_alloc(a, len + size + 1);
    memcpy(all, json, len);
    memcpy(all + len, bytes, size);
    return api_v2_read(q, (struct slw_str){all, len + size}, (int64_t)len, a,
                       err);
}

#define BIN(type, shape, size)                                                 \
    "{\"inputs\":[{\"name\":\"t\",\"datatype\":\"" type "\",\"shape\":" shape  \
    ",\"parameters\":{\"binary_data_size\":" size "}}]}"

static void
binary_tensors_are_read_in_order(void **state)
{
    struct slw_err err;
    struct api_v2_request q;
    SLW_AUTO(slw_arena, a);
    const double d[] = {1.5, NAN};
    const float f[] = {0.1f, INFINITY};
    unsigned char bytes[sizeof d + sizeof f + 10];
    memcpy(bytes, d, sizeof d);
    memcpy(bytes + sizeof d, f, sizeof f);
    memcpy(bytes + sizeof d + sizeof f, "\3\0\0\0abc\0\0\0", 10);
    assert_ok(read_binary("{\"inputs\":["
                          "{\"name\":\"d\",\"datatype\":\"FP64\",\"shape\":[2],"
                          "\"parameters\":{\"binary_data_size\":16}},"
                          "{\"name\":\"f\",\"datatype\":\"FP32\",\"shape\":[2],"
                          "\"parameters\":{\"binary_data_size\":8}},"
                          "{\"name\":\"j\",\"datatype\":\"FP64\",\"shape\":[1],"
                          "\"data\":[7]},"
                          "{\"name\":\"s\",\"datatype\":\"BYTES\",\"shape\":[1]"
                          ",\"parameters\":{\"binary_data_size\":7}},"
                          "{\"name\":\"i\",\"datatype\":\"INT8\",\"shape\":[3],"
                          "\"parameters\":{\"binary_data_size\":3}}]}",
                          bytes, sizeof bytes, &q, &a, &err),
              err);
    double x[3];
    struct slw_str s;
    assert_ok(api_v2_numbers(&q.inputs[0], 1, x, &err), err);
    assert_near(x[0], 1.5, 0);
    assert_near(x[1], NAN, 0);
    assert_ok(api_v2_numbers(&q.inputs[1], 1, x, &err), err);
    assert_near(x[0], (double)0.1f, 0);
    assert_near(x[1], INFINITY, 0);
    assert_ok(api_v2_numbers(&q.inputs[2], 1, x, &err), err);
    assert_near(x[0], 7, 0);
    assert_ok(api_v2_texts(&q.inputs[3], &a, &s, &err), err);
    assert_true(slw_str_eqz(s, "abc"));
    assert_ok(api_v2_numbers(&q.inputs[4], 1, x, &err), err);
    assert_near(x[2], 0, 0);
}

static void
binary_integers_keep_their_sign(void **state)
{
    struct slw_err err;
    struct api_v2_request q;
    SLW_AUTO(slw_arena, a);
    double x[2];
    const int64_t wide[] = {-1, INT64_MIN};
    const int16_t narrow[] = {-32768, 32767};
    assert_ok(read_binary(BIN("INT64", "[2]", "16"), wide, 16, &q, &a, &err),
              err);
    assert_ok(api_v2_numbers(&q.inputs[0], 1, x, &err), err);
    assert_near(x[0], -1, 0);
    assert_near(x[1], -9223372036854775808.0, 0);
    assert_ok(read_binary(BIN("INT16", "[2]", "4"), narrow, 4, &q, &a, &err),
              err);
    assert_ok(api_v2_numbers(&q.inputs[0], 1, x, &err), err);
    assert_near(x[0], -32768, 0);
    assert_near(x[1], 32767, 0);
}

static void
wrong_binary_sizes_are_refused(void **state)
{
    static const struct {
        const char *json, *part;
        size_t size;
    } cases[] = {
        {BIN("FP64", "[2]", "8"), "elements", 8},
        {BIN("FP64", "[2]", "16"), "left in the body", 8},
        {BIN("FP64", "[2]", "9223372036854775807"), "left in the body", 16},
        {BIN("FP64", "[1]", "8"), "left over", 9},
        {BIN("BYTES", "[100]", "8"), "cannot hold", 8},
    };
    const char zeros[64] = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slw_err err;
        struct api_v2_request q;
        SLW_AUTO(slw_arena, a);
        assert_fails(
            read_binary(cases[i].json, zeros, cases[i].size, &q, &a, &err),
            SLW_INVALID, err, cases[i].part);
    }
    struct slw_err err;
    struct api_v2_request q;
    struct slw_str s[2];
    SLW_AUTO(slw_arena, a);
    assert_ok(read_binary(BIN("BYTES", "[1]", "8"), "\377\377\377\377aaaa", 8,
                          &q, &a, &err),
              err);
    assert_fails(api_v2_texts(&q.inputs[0], &a, s, &err), SLW_INVALID, err,
                 "4294967295 bytes");
    assert_fails(api_v2_read(&q, SLW_STR("{}"), 0, &a, &err), SLW_INVALID, err,
                 "raw requests");
    assert_fails(api_v2_read(&q, SLW_STR("{}"), 3, &a, &err), SLW_INVALID, err,
                 "2 bytes");
}

static void
texts_come_from_json_too(void **state)
{
    struct slw_err err;
    struct api_v2_request q;
    struct slw_str s[2];
    SLW_AUTO(slw_arena, a);
    assert_ok(read_z("{\"inputs\":[{\"name\":\"symbol\",\"datatype\":\"BYTES\","
                     "\"shape\":[2,1],\"data\":[[\"A,]\"],[\"B\\n\"]]}]}",
                     &q, &a, &err),
              err);
    assert_ok(api_v2_texts(&q.inputs[0], &a, s, &err), err);
    assert_true(slw_str_eqz(s[0], "A,]"));
    assert_true(slw_str_eqz(s[1], "B\n"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            members_may_stand_in_any_order_and_unknown_ones_are_stepped_over),
        cmocka_unit_test(data_may_be_flat_or_nested_as_the_shape_says),
        cmocka_unit_test(numbers_are_exact),
        cmocka_unit_test(random_numbers_are_what_strtod_says),
        cmocka_unit_test(elements_that_do_not_fit_their_type_are_refused),
        cmocka_unit_test(malformed_bodies_are_refused_with_a_sentence),
        cmocka_unit_test(deep_nesting_is_refused_and_not_walked),
        cmocka_unit_test(a_cut_body_is_refused_at_every_length),
        cmocka_unit_test(binary_tensors_are_read_in_order),
        cmocka_unit_test(binary_integers_keep_their_sign),
        cmocka_unit_test(wrong_binary_sizes_are_refused),
        cmocka_unit_test(texts_come_from_json_too),
    };
    return cmocka_run_group_tests_name("api/v2_body", tests, NULL, NULL);
}
