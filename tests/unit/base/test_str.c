/* test_str.c -- borrowed strings, UTF-8, names, numbers as text. */
#include "base/base.h"

#include "base/rng.h"
#include "base/bytes.h"
#include "tests/slw_test.h"

#define S(z) slw_str_of(z)

static void
strings_compare_by_bytes_and_the_shorter_comes_first(void **state)
{
    assert_true(slw_str_eq(S("ab"), S("ab")));
    assert_false(slw_str_eq(S("ab"), S("abc")));
    assert_true(slw_str_eq(S(""), (struct slw_str){NULL, 0}));
    assert_true(slw_str_eqz(SLW_STR("x"), "x"));
    assert_true(slw_str_cmp(S("ab"), S("abc")) < 0);
    assert_true(slw_str_cmp(S("b"), S("abc")) > 0);
    assert_true(slw_str_cmp(S("a\xC3"), S("ab")) > 0); /* unsigned */
    assert_int_equal(slw_str_cmp(S("q"), S("q")), 0);
    assert_int_equal(slw_str_of(NULL).len, 0);
}

static void
starts_ends_and_trim_see_only_their_end(void **state)
{
    assert_true(slw_str_starts(S("run.log"), "run"));
    assert_false(slw_str_starts(S("ru"), "run"));
    assert_true(slw_str_ends(S("run.log"), ".log"));
    assert_false(slw_str_ends(S("log"), ".log"));
    assert_true(slw_str_starts((struct slw_str){NULL, 0}, ""));
    assert_true(slw_str_eqz(slw_str_trim(S(" \t a b\r\n")), "a b"));
    assert_int_equal(slw_str_trim(S(" \n ")).len, 0);
}

static void
cut_gives_what_stands_before_and_after_the_first_separator(void **state)
{
    struct slw_str head, rest;
    assert_true(slw_str_cut(S("a=b=c"), '=', &head, &rest));
    assert_true(slw_str_eqz(head, "a"));
    assert_true(slw_str_eqz(rest, "b=c"));
    assert_false(slw_str_cut(S("abc"), '=', &head, &rest));
    assert_true(slw_str_eqz(head, "abc"));
    assert_int_equal(rest.len, 0);
    assert_true(slw_str_cut(S("="), '=', &head, &rest));
    assert_int_equal(head.len + rest.len, 0);
    assert_false(slw_str_cut((struct slw_str){NULL, 0}, '=', &head, &rest));
}

static void
integers_read_to_the_very_ends_of_their_range(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0},
                {"-0", 0},
                {"+7", 7},
                {"007", 7},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN}};
    struct slw_err err;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        int64_t v = 1;
        assert_ok(slw_str_i64(S(good[i].text), &v, &err), err);
        assert_int_equal(v, good[i].value);
    }
}

static void
integers_refuse_junk_and_overflow_and_leave_the_output_alone(void **state)
{
    static const char *const bad[] = {"",
                                      "-",
                                      "+",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "1e3",
                                      "0x1",
                                      "--1",
                                      "1_0",
                                      "९",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct slw_err err;
        int64_t v = 42;
        assert_fails(slw_str_i64(S(bad[i]), &v, &err), SLW_INVALID, err, "'");
        assert_int_equal(v, 42);
    }
}

static void
doubles_read_exactly_on_the_fast_and_the_slow_path(void **state)
{
    /* The right-hand sides are the compiler's reading of the same text. */
    static const struct {
        const char *text;
        double value;
    } good[] = {
        {"0", 0},
        {"1.", 1},
        {".5", .5},
        {"+2.5", 2.5},
        {"-1e3", -1e3},
        {"1E-5", 1e-5},
        {"123456789.123456789", 123456789.123456789},
        {"0.1", 0.1},
        {"1e22", 1e22},
        {"1e23", 1e23}, /* one past the exact powers */
        {"9007199254740993", 9007199254740993.0},
        {"1.7976931348623157e308", 1.7976931348623157e308},
        {"5e-324", 5e-324},
        {"2.2250738585072011e-308", 2.2250738585072011e-308},
        {"1e-400", 0},
        {"0.00000000000000000000000000000000000001", 1e-38},
        {"100000000000000000000000000000000000000", 1e38},
        {"Infinity", INFINITY},
        {"-inf", -INFINITY},
        {"NaN", NAN},
    };
    struct slw_err err;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        double v = 7;
        assert_ok(slw_str_f64(S(good[i].text), &v, &err), err);
        assert_near(v, good[i].value, 0);
    }
    double v;
    assert_ok(slw_str_f64(S("-0"), &v, &err), err);
    assert_true(v == 0 && signbit(v));
}

static void
doubles_refuse_what_is_no_decimal_number(void **state)
{
    static const char *const bad[] = {"",     ".",    "-",     "e5",  "1e",
                                      "1e+",  " 1",   "1 ",    "1,5", "0x10",
                                      "1..2", "1e5x", "infin", "--1", "1e400"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct slw_err err;
        double v = 42;
        assert_fails(slw_str_f64(S(bad[i]), &v, &err), SLW_INVALID, err, "'");
        assert_near(v, 42, 0);
    }
}

static void
f64_text_is_the_shortest_that_reads_back(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-17, "-17"},
        {0.1, "0.1"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 3, "0.3333333333333333"},
        {100, "100"},
        {123456.789, "123456.789"},
        {0.0001, "0.0001"},
        {0.00001, "1e-05"},
        {1e15, "1e+15"},
        {999999999999999.0, "999999999999999"},
        {1e300, "1e+300"},
        {5e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {9007199254740993.0, "9007199254740992"},
        {NAN, "NaN"},
        {INFINITY, "Infinity"},
        {-INFINITY, "-Infinity"},
        {0.05, "0.05"},
        {-2.5, "-2.5"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[SLW_F64_TEXT_SIZE];
        size_t len = slw_f64_text(cases[i].value, text);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(len, strlen(text));
    }
}

static void
every_double_survives_the_way_through_text(void **state)
{
    struct slw_rng rng;
    slw_rng_init(&rng, 20260101);
    struct slw_err err;
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = slw_rng_u64(&rng);
        double v, back = 0;
        if (i % 2) { /* the whole range, or everyday numbers */
            memcpy(&v, &bits, sizeof v);
        } else {
            v = (double)(int64_t)(bits >> 34) / 1000 - 300000;
        }
        if (isnan(v))
            continue;
        char text[SLW_F64_TEXT_SIZE];
        size_t len = slw_f64_text(v, text);
        assert_true(len < SLW_F64_TEXT_SIZE);
        assert_ok(slw_str_f64((struct slw_str){text, len}, &back, &err), err);
        if (memcmp(&v, &back, sizeof v) != 0)
            fail_msg("%.17g became %s", v, text);
    }
}

/* Significant digits of a text like -1.50e+07. */
static int
digits_of(const char *text)
{
    int count = 0, zeros = 0;
    for (const char *p = text; *p && *p != 'e'; p++) {
        if (*p < '0' || *p > '9')
            continue;
        if (count == 0 && *p == '0')
            continue;
        count++;
        zeros = *p == '0' ? zeros + 1 : 0;
    }
    return count - zeros;
}

static void
no_shorter_text_is_the_same_double(void **state)
{
    struct slw_rng rng;
    slw_rng_init(&rng, 20261123);
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = slw_rng_u64(&rng);
        double v;
        if (i < 2047) /* every power of two, where the interval is uneven */
            bits = (uint64_t)i << 52;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v) || v == 0)
            continue;
        char text[SLW_F64_TEXT_SIZE], shorter[400], nearest[400];
        slw_f64_text(v, text);
        const int digits = digits_of(text);
        snprintf(shorter, sizeof shorter, "%.*g", digits - 1, v);
        if (digits > 1 && strtod(shorter, NULL) == v)
            fail_msg("%s is shorter than %s", shorter, text);
        snprintf(nearest, sizeof nearest, "%.*g", digits, v);
        if (strtod(nearest, NULL) == v)
            assert_int_equal(digits_of(nearest), digits);
    }
}

static void
utf8_accepts_the_edges_of_every_length(void **state)
{
    static const char *const good[] = {"",
                                       "abc",
                                       "\x7F",
                                       "\xC2\x80",
                                       "\xDF\xBF",
                                       "\xE0\xA0\x80",
                                       "\xED\x9F\xBF",
                                       "\xEE\x80\x80",
                                       "\xEF\xBF\xBF",
                                       "\xF0\x90\x80\x80",
                                       "\xF4\x8F\xBF\xBF",
                                       "aü€😀"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(slw_str_utf8_ok(S(good[i])));
}

static void
utf8_refuses_overlong_surrogates_strays_and_stumps(void **state)
{
    static const char *const bad[] = {"\x80",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xC3",
                                      "\xC3(",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xE2\x82",
                                      "\xE2(\xA1",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xF0\x9F\x98",
                                      "\xFE",
                                      "\xFF",
                                      "ok\xBF"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(slw_str_utf8_ok(S(bad[i])));
}

static void
names_are_safe_in_paths_and_urls(void **state)
{
    char longest[130];
    memset(longest, 'a', sizeof longest);
    longest[128] = '\0';
    assert_true(slw_name_ok(S(longest)));
    longest[128] = 'a';
    longest[129] = '\0';
    assert_false(slw_name_ok(S(longest)));
    static const char *const good[] = {"a", "_x", "9", "AAPL.close-5_min"};
    static const char *const bad[] = {"",    ".hidden", "-x",  "a/b", "a b",
                                      "a'b", "ä",       "a%2", "..",  "a\n"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(slw_name_ok(S(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(slw_name_ok(S(bad[i])));
    assert_false(slw_name_ok((struct slw_str){"a\0b", 3}));
}

static void
a_bad_name_is_told_with_what_it_names(void **state)
{
    struct slw_err err;
    assert_ok(slw_name_check(SLW_STR("a.b-c_1"), "view", &err), err);
    assert_fails(slw_name_check(SLW_STR("a b"), "view", &err), SLW_INVALID, err,
                 "bad view name 'a b'");
}

static void
strings_are_the_same_in_any_case(void **state)
{
    assert_true(slw_str_same(SLW_STR("aZ09_"), SLW_STR("Az09_")));
    assert_true(slw_str_same((struct slw_str){0}, SLW_STR("")));
    assert_false(slw_str_same(SLW_STR("ab"), SLW_STR("abc")));
    assert_false(slw_str_same(SLW_STR("["), SLW_STR("{"))); /* behind Z, z */
}

static void
sql_names_a_table_as_a_whole_word(void **state)
{
    const struct slw_str name = SLW_STR("prices");
    static const char *const yes[] = {"prices", "SELECT 1 FROM Prices p",
                                      "xprices, prices", "(prices)"};
    static const char *const no[] = {"", "price", "prices2", "my_prices",
                                     "prices_"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        assert_true(slw_sql_names(slw_str_of(yes[i]), name));
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        assert_false(slw_sql_names(slw_str_of(no[i]), name));
    assert_false(slw_sql_names(name, SLW_STR("")));
}

static void
hex_digits_go_both_ways(void **state)
{
    const uint8_t bytes[] = {0, 0x1f, 0xa9, 0xff};
    char text[2 * sizeof bytes + 1];
    slw_hex_text(bytes, sizeof bytes, text);
    assert_string_equal(text, "001fa9ff");
    assert_int_equal(slw_hex_digit('F'), 15);
    assert_int_equal(slw_hex_digit('a'), 10);
    assert_int_equal(slw_hex_digit('g'), -1);
    assert_int_equal(slw_hex_digit('@'), -1);
    assert_int_equal(slw_hex_digit('\0'), -1);
}

static void
whole_numbers_are_stored_little_endian(void **state)
{
    uint8_t bytes[9] = {0}; /* from an odd address on */
    slw_put_u64(bytes + 1, UINT64_C(0x0102030405060708));
    assert_memory_equal(bytes + 1, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
    assert_true(slw_get_u64(bytes + 1) == UINT64_C(0x0102030405060708));
    slw_put_u32(bytes + 1, UINT32_MAX - 1);
    assert_memory_equal(bytes + 1, "\xfe\xff\xff\xff\x04", 5);
    assert_true(slw_get_u32(bytes + 1) == UINT32_MAX - 1);
}

static void
distance_counts_single_edits(void **state)
{
    assert_int_equal(slw_str_distance(S("kitten"), S("sitting")), 3);
    assert_int_equal(slw_str_distance(S(""), S("abc")), 3);
    assert_int_equal(slw_str_distance(S("abc"), S("")), 3);
    assert_int_equal(slw_str_distance(S("prot"), S("port")), 2);
    assert_int_equal(slw_str_distance(S("same"), S("same")), 0);
    char longer[300];
    memset(longer, 'x', sizeof longer);
    struct slw_str l = {longer, sizeof longer};
    assert_int_equal(slw_str_distance(l, S("x")), 300);
    assert_int_equal(slw_str_distance(l, l), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_compare_by_bytes_and_the_shorter_comes_first),
        cmocka_unit_test(starts_ends_and_trim_see_only_their_end),
        cmocka_unit_test(
            cut_gives_what_stands_before_and_after_the_first_separator),
        cmocka_unit_test(integers_read_to_the_very_ends_of_their_range),
        cmocka_unit_test(
            integers_refuse_junk_and_overflow_and_leave_the_output_alone),
        cmocka_unit_test(doubles_read_exactly_on_the_fast_and_the_slow_path),
        cmocka_unit_test(doubles_refuse_what_is_no_decimal_number),
        cmocka_unit_test(f64_text_is_the_shortest_that_reads_back),
        cmocka_unit_test(every_double_survives_the_way_through_text),
        cmocka_unit_test(no_shorter_text_is_the_same_double),
        cmocka_unit_test(utf8_accepts_the_edges_of_every_length),
        cmocka_unit_test(utf8_refuses_overlong_surrogates_strays_and_stumps),
        cmocka_unit_test(names_are_safe_in_paths_and_urls),
        cmocka_unit_test(a_bad_name_is_told_with_what_it_names),
        cmocka_unit_test(strings_are_the_same_in_any_case),
        cmocka_unit_test(sql_names_a_table_as_a_whole_word),
        cmocka_unit_test(hex_digits_go_both_ways),
        cmocka_unit_test(whole_numbers_are_stored_little_endian),
        cmocka_unit_test(distance_counts_single_edits),
    };
    return cmocka_run_group_tests_name("base/str", tests, NULL, NULL);
}
