/* test_strict.c -- net_strict_check() alone: what each refusal says, and the
 * layout of a head parsed in place. */
#include "net/net_internal.h"
#include "net/router.h"
#include "net/strict.h"
#include "tests/slw_test.h"

#define S(literal) SLW_STR(literal)

static enum slw_rc
check(const char *method, const char *target, const char *version,
      const struct net_field *fields, size_t count, struct net_framing *out,
      struct slw_err *err)
{
    struct net_head head = {.method = slw_str_of(method),
                            .target = slw_str_of(target),
                            .version = slw_str_of(version),
                            .fields = fields,
                            .field_count = count};
    return net_strict_check(&head, out, err);
}

static void
framing_is_read_from_a_plain_head(void **state)
{
    struct net_framing f;
    struct slw_err err;
    const struct net_field with_length[] = {{S("Host"), S("x:80")},
                                            {S("content-LENGTH"), S("12 ")},
                                            {S("Expect"), S("100-Continue")}};
    assert_ok(check("POST", "/", "HTTP/1.1", with_length, 3, &f, &err), err);
    assert_int_equal(f.content_length, 12);
    assert_false(f.chunked);
    assert_true(f.expect_continue);
    const struct net_field chunked[] = {{S("Host"), S("x")},
                                        {S("Transfer-Encoding"), S("CHUNKED")}};
    assert_ok(check("POST", "/", "HTTP/1.1", chunked, 2, &f, &err), err);
    assert_int_equal(f.content_length, -1);
    assert_true(f.chunked);
    assert_false(f.expect_continue);
    assert_ok(check("GET", "/", "HTTP/1.0", NULL, 0, &f, &err), err);
}

static void
each_refusal_says_what_is_wrong_and_leaves_the_output_alone(void **state)
{
    static const struct {
        const char *say;
        struct net_field fields[3];
        size_t count;
    } cases[] = {
        {"no Host", {{S("A"), S("b")}}, 1},
        {"more than one Host", {{S("Host"), S("x")}, {S("HOST"), S("x")}}, 2},
        {"Host header is empty", {{S("Host"), S("")}}, 1},
        {"Host header is empty or malformed", {{S("Host"), S("a@b")}}, 1},
        {"both Content-Length and Transfer-Encoding",
         {{S("Host"), S("x")},
          {S("Content-Length"), S("1")},
          {S("Transfer-Encoding"), S("chunked")}},
         3},
        {"more than one Content-Length",
         {{S("Host"), S("x")},
          {S("Content-Length"), S("1")},
          {S("Content-Length"), S("1")}},
         3},
        {"more than one Transfer-Encoding",
         {{S("Host"), S("x")},
          {S("Transfer-Encoding"), S("chunked")},
          {S("Transfer-Encoding"), S("chunked")}},
         3},
        {"the only Transfer-Encoding understood is chunked",
         {{S("Host"), S("x")}, {S("Transfer-Encoding"), S("gzip")}},
         2},
        {"plain decimal number",
         {{S("Host"), S("x")}, {S("Content-Length"), S("+5")}},
         2},
        {"plain decimal number",
         {{S("Host"), S("x")}, {S("Content-Length"), S("5,5")}},
         2},
        {"too large a number",
         {{S("Host"), S("x")}, {S("Content-Length"), S("1000000000000000000")}},
         2},
        {"Content-Length is empty",
         {{S("Host"), S("x")}, {S("Content-Length"), S(" ")}},
         2},
        {"header name holds a blank", {{S("Host "), S("x")}}, 1},
        {"empty name", {{S(""), S("x")}}, 1},
        {"'A' holds a control character", {{S("A"), S("b\rc")}}, 1},
        {"'A' is not valid UTF-8", {{S("A"), S("\xc3")}}, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct net_framing f = {.content_length = 77};
        struct slw_err err;
        assert_fails(check("GET", "/", "HTTP/1.1", cases[i].fields,
                           cases[i].count, &f, &err),
                     SLW_INVALID, err, cases[i].say);
        assert_int_equal(f.content_length, 77);
    }
}

static void
request_lines_are_checked(void **state)
{
    static const struct {
        const char *method, *target, *version, *say;
    } cases[] = {
        {"get", "/", "HTTP/1.1", "upper-case"},
        {"", "/", "HTTP/1.1", "upper-case"},
        {"GET", "", "HTTP/1.1", "begins with '/'"},
        {"GET", "x", "HTTP/1.1", "begins with '/'"},
        {"GET", "/a b", "HTTP/1.1", "percent-encode"},
        {"GET", "/a\tb", "HTTP/1.1", "percent-encode"},
        {"GET", "/\x80", "HTTP/1.1", "UTF-8"},
        {"GET", "/", "HTTP/2.0", "only HTTP/1.1"},
        {"GET", "/", "", "only HTTP/1.1"},
    };
    const struct net_field host[] = {{S("Host"), S("x")}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct net_framing f;
        struct slw_err err;
        assert_fails(check(cases[i].method, cases[i].target, cases[i].version,
                           host, 1, &f, &err),
                     SLW_INVALID, err, cases[i].say);
    }
}

/* "GET / HTTP/1.1", "Host: x" as the parser leaves them. */
static void
a_hidden_byte_shows_in_the_layout(void **state)
{
    char plain[] = "GET\0/\0HTTP/1.1\0\0Host\0 x\0\0\0\0";
    struct net_field host[] = {
        {{plain + 16, 4}, {plain + 22, 1}},
    };
    struct net_head head = {
        .method = {plain, 3},
        .target = S("/"),
        .target_at = plain + 4,
        .version = {plain + 6, 8},
        .fields = host,
        .field_count = 1,
        .bytes = plain,
        .size = 27,
    };
    struct net_framing f;
    struct slw_err err;
    assert_ok(net_strict_check(&head, &f, &err), err);
    head.size = 28; /* one byte more than the pieces explain */
    assert_fails(net_strict_check(&head, &f, &err), SLW_INVALID, err, "NUL");
    head.size = 26; /* bare LF at the end */
    assert_fails(net_strict_check(&head, &f, &err), SLW_INVALID, err, "NUL");
    head.size = 27;
    plain[21] = 'z'; /* between name and value only blanks may lie */
    assert_fails(net_strict_check(&head, &f, &err), SLW_INVALID, err, "NUL");
    plain[21] = ' ';
    plain[25] = 'j'; /* a line end holds only what was CR and LF */
    assert_fails(net_strict_check(&head, &f, &err), SLW_INVALID, err, "NUL");
    plain[25] = '\0';
    head.target_at++; /* two blanks after the method */
    assert_fails(net_strict_check(&head, &f, &err), SLW_INVALID, err, "NUL");
    head.target_at--;
    host[0].name.ptr--; /* a line end of one byte */
    host[0].name.len++;
    plain[15] = 'H';
    assert_fails(net_strict_check(&head, &f, &err), SLW_INVALID, err, "NUL");
}

static void
decoding_refuses_what_is_no_text_escaped_or_not(void **state)
{
    static const struct {
        struct slw_str text;
        const char *say;
    } bad[] = {
        {S("a%ff"), "UTF-8"},    {S("a\xff"), "UTF-8"},     {S("%c3"), "UTF-8"},
        {S("\xc3%28"), "UTF-8"}, {S("%ed%a0%80"), "UTF-8"}, {S("a%00"), "%00"},
        {S("a\0"), "%00"},       {S("%2"), "hexadecimal"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        SLW_AUTO(slw_arena, a);
        struct slw_err err;
        struct slw_str out = S("untouched");
        assert_fails(net_decode(&a, bad[i].text, true, &out, &err), SLW_INVALID,
                     err, bad[i].say);
        assert_true(slw_str_eqz(out, "untouched"));
    }
    SLW_AUTO(slw_arena, a);
    struct slw_err err;
    struct slw_str out;
    assert_ok(net_decode(&a, S("\xc3%a4+%2B"), true, &out, &err), err);
    assert_true(slw_str_eqz(out, "\xc3\xa4 +"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(framing_is_read_from_a_plain_head),
        cmocka_unit_test(
            each_refusal_says_what_is_wrong_and_leaves_the_output_alone),
        cmocka_unit_test(request_lines_are_checked),
        cmocka_unit_test(decoding_refuses_what_is_no_text_escaped_or_not),
        cmocka_unit_test(a_hidden_byte_shows_in_the_layout),
    };
    return cmocka_run_group_tests_name("net/strict", tests, NULL, NULL);
}
