/* test_json.c -- strict reading, sentences about what is wrong, the writer. */
#include "base/json.h"

#include <signal.h>
#include <sys/wait.h>

#include "tests/slw_test.h"

static struct slw_json
parsed(const char *text)
{
    struct slw_err err;
    struct slw_json doc = {0};
    assert_ok(slw_json_parse(&doc, slw_str_of(text), &err), err);
    return doc;
}

static void
every_type_is_recognised_at_the_root(void **state)
{
    static const struct {
        const char *text;
        enum slw_json_type type;
    } cases[] = {
        {"null", SLW_JSON_NULL},
        {" true ", SLW_JSON_BOOL},
        {"5", SLW_JSON_INT},
        {"5.0", SLW_JSON_REAL},
        {"1e2", SLW_JSON_REAL},
        {"\"x\"", SLW_JSON_STR},
        {"[1]", SLW_JSON_ARRAY},
        {"{}", SLW_JSON_OBJECT},
        {"-9223372036854775808", SLW_JSON_INT},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        SLW_AUTO(slw_json, doc);
        doc = parsed(cases[i].text);
        assert_int_equal(slw_json_type(doc.root), cases[i].type);
    }
    assert_int_equal(slw_json_type(NULL), SLW_JSON_NONE);
}

static void
bad_text_is_refused_with_line_and_column(void **state)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "JSON line 1 column 1: "},
        {" \n ", "JSON line 1 column 1: "},
        {"{\"a\": 1,\n \"b\": x}", "JSON line 2 column 7: "},
        {"{\"a\":1,}", "JSON line 1 column 8: "},
        {"[1,2", "JSON line 1 column 4: "},
        {"[1] 2", "JSON line 1 column 5: "},
        {"{\"a\":1,\"a\":2}", "duplicate"},
        {"[NaN]", "JSON line 1"},
        {"[01]", "JSON line 1"},
        {"[1.]", "JSON line 1"},
        {"{'a':1}", "JSON line 1"},
        {"[1e999]", "JSON line 1"},
        {"[9223372036854775808]", "JSON line 1"},
        {"\"a\tb\"", "JSON line 1"},
        {"\"\\u0000\"", "JSON line 1"},
        {"\"\\ud800\"", "JSON line 1"},
        {"\"\xC3(\"", "JSON line 1"},
        {"\"\xED\xA0\x80\"", "JSON line 1"},
        {"\"open", "JSON line 1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slw_err err;
        struct slw_json doc = {0};
        assert_fails(slw_json_parse(&doc, slw_str_of(cases[i].text), &err),
                     SLW_INVALID, err, cases[i].part);
        assert_null(doc.root);
    }
    struct slw_err err;
    struct slw_json doc = {0};
    assert_fails(slw_json_parse(&doc, (struct slw_str){"[1]\0", 4}, &err),
                 SLW_INVALID, err, "JSON line 1");
}

static void
depth_is_limited_and_brackets_in_strings_do_not_count(void **state)
{
    char text[300];
    struct slw_err err;
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    SLW_AUTO(slw_json, deep);
    assert_ok(slw_json_parse(&deep, (struct slw_str){text, 128}, &err), err);
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    SLW_AUTO(slw_json, deeper);
    assert_fails(slw_json_parse(&deeper, (struct slw_str){text, 130}, &err),
                 SLW_INVALID, err, "line 1 column 65: nested deeper than 64");
    memset(text, '[', sizeof text);
    text[0] = text[sizeof text - 1] = '"';
    memcpy(text + 100, "\\\"", 2);
    SLW_AUTO(slw_json, flat);
    assert_ok(slw_json_parse(&flat, (struct slw_str){text, sizeof text}, &err),
              err);
}

static void
members_and_elements_are_found_and_absence_is_quiet(void **state)
{
    SLW_AUTO(slw_json, doc);
    doc = parsed("{\"z\":[10,20],\"a\":{\"b\":\"\\u00fc\"},\"n\":null}");
    assert_int_equal(slw_json_len(doc.root), 3);
    const struct json_t *z = slw_json_get(doc.root, "z");
    assert_int_equal(slw_json_len(z), 2);
    assert_int_equal(slw_json_i64_or(slw_json_at(z, 1), 0), 20);
    assert_null(slw_json_at(z, 2));
    assert_null(slw_json_get(doc.root, "absent"));
    assert_null(slw_json_get(z, "a"));
    assert_null(slw_json_get(NULL, "a"));
    assert_null(slw_json_at(NULL, 0));
    assert_int_equal(slw_json_len(NULL), 0);
    assert_null(slw_json_iter(NULL));
    struct slw_str b = slw_json_str_or(
        slw_json_get(slw_json_get(doc.root, "a"), "b"), SLW_STR("?"));
    assert_true(slw_str_eqz(b, "\xC3\xBC"));
    char keys[16] = "";
    for (void *it = slw_json_iter(doc.root); it;
         it = slw_json_next(doc.root, it)) {
        assert_non_null(slw_json_iter_value(it));
        memcpy(keys + strlen(keys), slw_json_iter_key(it).ptr,
               slw_json_iter_key(it).len);
    }
    assert_string_equal(keys, "zan"); /* the order of the text */
}

static void
defaults_replace_what_is_absent_or_of_another_type(void **state)
{
    SLW_AUTO(slw_json, doc);
    doc = parsed("{\"i\":7,\"r\":1.5,\"s\":\"t\",\"b\":true}");
    const struct json_t *o = doc.root;
    assert_int_equal(slw_json_i64_or(slw_json_get(o, "i"), 1), 7);
    assert_int_equal(slw_json_i64_or(slw_json_get(o, "r"), 1), 1);
    assert_near(slw_json_f64_or(slw_json_get(o, "i"), 0), 7, 0);
    assert_near(slw_json_f64_or(slw_json_get(o, "s"), 9), 9, 0);
    assert_true(slw_json_bool_or(slw_json_get(o, "b"), false));
    assert_true(slw_json_bool_or(slw_json_get(o, "i"), true));
    assert_true(slw_str_eqz(slw_json_str_or(NULL, SLW_STR("d")), "d"));
}

static void
required_members_say_what_is_missing_or_wrong(void **state)
{
    SLW_AUTO(slw_json, doc);
    doc = parsed("{\"i\":7,\"is\":\"-12\",\"ir\":3.0,\"r\":1.5,\"s\":\"t\","
                 "\"nan\":\"NaN\",\"inf\":\"-Infinity\",\"nul\":null,"
                 "\"o\":{},\"x\":\"12x\"}");
    const struct json_t *o = doc.root;
    struct slw_err err;
    int64_t i = 0;
    assert_ok(slw_json_need_i64(o, "i", &i, &err), err);
    assert_int_equal(i, 7);
    assert_ok(slw_json_need_i64(o, "is", &i, &err), err);
    assert_int_equal(i, -12);
    assert_ok(slw_json_need_i64(o, "ir", &i, &err), err);
    assert_int_equal(i, 3);
    double f = 0;
    assert_ok(slw_json_need_f64(o, "i", &f, &err), err);
    assert_near(f, 7, 0);
    assert_ok(slw_json_need_f64(o, "nan", &f, &err), err);
    assert_near(f, NAN, 0);
    assert_ok(slw_json_need_f64(o, "inf", &f, &err), err);
    assert_near(f, -INFINITY, 0);
    struct slw_str s;
    assert_ok(slw_json_need_str(o, "s", &s, &err), err);
    assert_true(slw_str_eqz(s, "t"));

    i = 42;
    f = 42;
    s = SLW_STR("kept");
    assert_fails(slw_json_need_i64(o, "r", &i, &err), SLW_INVALID, err,
                 "'r' must be an integer, not a number");
    assert_fails(slw_json_need_i64(o, "x", &i, &err), SLW_INVALID, err,
                 "'x' must be an integer, not \"12x\"");
    assert_fails(slw_json_need_i64(o, "gone", &i, &err), SLW_INVALID, err,
                 "'gone' is missing; it must be an integer");
    assert_fails(slw_json_need_f64(o, "s", &f, &err), SLW_INVALID, err,
                 "'s' must be a number");
    assert_fails(slw_json_need_f64(o, "nul", &f, &err), SLW_INVALID, err,
                 "not null");
    assert_fails(slw_json_need_str(o, "o", &s, &err), SLW_INVALID, err,
                 "'o' must be a string, not an object");
    assert_fails(slw_json_need_str(NULL, "k", &s, &err), SLW_INVALID, err,
                 "'k'");
    assert_fails(slw_json_need_str(slw_json_get(o, "i"), "k", &s, &err),
                 SLW_INVALID, err, "not an integer");
    assert_int_equal(i, 42);
    assert_near(f, 42, 0);
    assert_true(slw_str_eqz(s, "kept"));
}

static void
optional_members_may_be_absent_or_null_but_not_wrong(void **state)
{
    SLW_AUTO(slw_json, doc);
    doc = parsed("{\"n\":null,\"i\":1,\"b\":false,\"s\":\"x\",\"r\":2.5}");
    const struct json_t *o = doc.root;
    struct slw_err err;
    int64_t i = 42;
    double f = 42;
    bool b = true;
    struct slw_str s = SLW_STR("kept");
    assert_ok(slw_json_opt_i64(o, "gone", &i, &err), err);
    assert_ok(slw_json_opt_i64(o, "n", &i, &err), err);
    assert_ok(slw_json_opt_f64(o, "n", &f, &err), err);
    assert_ok(slw_json_opt_bool(o, "n", &b, &err), err);
    assert_ok(slw_json_opt_str(o, "n", &s, &err), err);
    assert_int_equal(i, 42);
    assert_near(f, 42, 0);
    assert_true(b);
    assert_true(slw_str_eqz(s, "kept"));
    assert_fails(slw_json_opt_bool(o, "i", &b, &err), SLW_INVALID, err,
                 "'i' must be true or false, not an integer");
    assert_fails(slw_json_opt_str(o, "i", &s, &err), SLW_INVALID, err, "'i'");
    assert_fails(slw_json_opt_i64(o, "b", &i, &err), SLW_INVALID, err, "'b'");
    assert_fails(slw_json_opt_f64(o, "b", &f, &err), SLW_INVALID, err, "'b'");
    assert_ok(slw_json_opt_bool(o, "b", &b, &err), err);
    assert_false(b);
    assert_ok(slw_json_opt_f64(o, "r", &f, &err), err);
    assert_near(f, 2.5, 0);
}

static void
dump_is_canonical_and_keeps_types(void **state)
{
    static const struct {
        const char *text, *dump;
    } cases[] = {
        {"{ \"b\" : 1 , \"a\" : [ 1.0, 1e2, 0.1, -0.0, 1e300 ] }",
         "{\"a\":[1.0,100.0,0.1,-0.0,1e+300],\"b\":1}"},
        {"{\"a\\n\\\"\\u0001\":\"\\/\\u00fc\\\\\\t\"}",
         "{\"a\\n\\\"\\u0001\":\"/\xC3\xBC\\\\\\t\"}"},
        {"[true,false,null,{},[]]", "[true,false,null,{},[]]"},
        {"{\"ab\":1,\"a\":2,\"B\":3}", "{\"B\":3,\"a\":2,\"ab\":1}"},
        {"9223372036854775807", "9223372036854775807"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        SLW_AUTO(slw_json, doc);
        SLW_AUTO(slw_buf, b);
        doc = parsed(cases[i].text);
        slw_json_dump(&b, doc.root);
        assert_string_equal(b.ptr, cases[i].dump);
        SLW_AUTO(slw_json, again);
        SLW_AUTO(slw_buf, b2);
        again = parsed(b.ptr);
        slw_json_dump(&b2, again.root);
        assert_string_equal(b2.ptr, b.ptr);
    }
}

static void
writer_places_commas_and_escapes(void **state)
{
    SLW_AUTO(slw_buf, b);
    struct slw_jw w;
    slw_jw_init(&w, &b);
    SLW_AUTO(slw_json, node);
    node = parsed("{\"z\":1,\"a\":2.0}");
    slw_jw_obj(&w);
    slw_jw_kz(&w, "name", "q\"\\\n\x01\x7F");
    slw_jw_kz(&w, "none", NULL);
    slw_jw_ki64(&w, "i", -5);
    slw_jw_kf64(&w, "f", 1);
    slw_jw_kf64(&w, "nan", NAN);
    slw_jw_kbool(&w, "b", true);
    slw_jw_kstr(&w, "bad", (struct slw_str){"x\xFFy", 3});
    slw_jw_kraw(&w, "raw", SLW_STR("[1]"));
    slw_jw_key(&w, "node");
    slw_jw_node(&w, node.root);
    slw_jw_keys(&w, SLW_STR("list"));
    slw_jw_arr(&w);
    slw_jw_obj(&w);
    slw_jw_obj_end(&w);
    slw_jw_arr(&w);
    slw_jw_arr_end(&w);
    slw_jw_null(&w);
    w.nan_as_text = true;
    slw_jw_f64(&w, -INFINITY);
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    assert_string_equal(
        b.ptr, "{\"name\":\"q\\\"\\\\\\n\\u0001\x7F\",\"none\":null,\"i\":-5,"
               "\"f\":1.0,\"nan\":null,\"b\":true,\"bad\":\"x\xEF\xBF\xBDy\","
               "\"raw\":[1],\"node\":{\"z\":1,\"a\":2.0},"
               "\"list\":[{},[],null,\"-Infinity\"]}");
    SLW_AUTO(slw_json, back);
    back = parsed(b.ptr);
}

static void
key_in_an_array(void)
{
    struct slw_buf b = {0};
    struct slw_jw w;
    slw_jw_init(&w, &b);
    slw_jw_arr(&w);
    slw_jw_key(&w, "k");
}

static void
value_without_a_key(void)
{
    struct slw_buf b = {0};
    struct slw_jw w;
    slw_jw_init(&w, &b);
    slw_jw_obj(&w);
    slw_jw_i64(&w, 1);
}

static void
end_that_does_not_match(void)
{
    struct slw_buf b = {0};
    struct slw_jw w;
    slw_jw_init(&w, &b);
    slw_jw_arr(&w);
    slw_jw_obj_end(&w);
}

static void
end_behind_a_key(void)
{
    struct slw_buf b = {0};
    struct slw_jw w;
    slw_jw_init(&w, &b);
    slw_jw_obj(&w);
    slw_jw_key(&w, "k");
    slw_jw_obj_end(&w);
}

static void
one_end_too_many(void)
{
    struct slw_buf b = {0};
    struct slw_jw w;
    slw_jw_init(&w, &b);
    slw_jw_obj_end(&w);
}

static void
misuse_of_the_writer_is_asserted(void **state)
{
    static void (*const misuses[])(void) = {
        key_in_an_array, value_without_a_key, end_that_does_not_match,
        end_behind_a_key, one_end_too_many};
    for (size_t i = 0; i < ARRAY_LEN(misuses); i++) {
        pid_t pid = fork();
        if (pid == 0) {
            signal(SIGABRT, SIG_DFL);
            close(2);
            misuses[i]();
            _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    }
}

static void
writer_reaches_64_levels(void **state)
{
    SLW_AUTO(slw_buf, b);
    struct slw_jw w;
    slw_jw_init(&w, &b);
    for (int i = 0; i < 64; i++)
        slw_jw_arr(&w);
    for (int i = 0; i < 64; i++)
        slw_jw_arr_end(&w);
    assert_int_equal(b.len, 128);
    SLW_AUTO(slw_json, back);
    back = parsed(b.ptr);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_recognised_at_the_root),
        cmocka_unit_test(bad_text_is_refused_with_line_and_column),
        cmocka_unit_test(depth_is_limited_and_brackets_in_strings_do_not_count),
        cmocka_unit_test(members_and_elements_are_found_and_absence_is_quiet),
        cmocka_unit_test(defaults_replace_what_is_absent_or_of_another_type),
        cmocka_unit_test(required_members_say_what_is_missing_or_wrong),
        cmocka_unit_test(optional_members_may_be_absent_or_null_but_not_wrong),
        cmocka_unit_test(dump_is_canonical_and_keeps_types),
        cmocka_unit_test(writer_places_commas_and_escapes),
        cmocka_unit_test(misuse_of_the_writer_is_asserted),
        cmocka_unit_test(writer_reaches_64_levels),
    };
    return cmocka_run_group_tests_name("base/json", tests, NULL, NULL);
}
