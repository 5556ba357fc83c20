/* test_place.c -- signatures against Amazon's published examples, lists of a
 * bucket, and which URI lies in a place. */
#include "track/place.h"
#include "tests/slw_test.h"

/* "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API
 * reference: the examples' bucket, key and instant. */
static struct s3_request
example(void)
{
    return (struct s3_request){
        .method = "GET",
        .host = "examplebucket.s3.amazonaws.com",
        .path = "/",
        .query = "",
        .region = "us-east-1",
        .key_id = "AKIAIOSFODNN7EXAMPLE",
        .secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        .payload_hash = "e3b0c44298fc1c149afbf4c8996fb924"
                        "27ae41e4649b934ca495991b7852b855",
        .now_ms = 1369353600000, /* 2013-05-24T00:00:00Z */
    };
}

static void
signatures_are_those_of_amazons_examples(void **state)
{
    SLW_AUTO(slw_buf, b);
    struct s3_request r = example();
    r.query = "lifecycle=";
    s3_sign(&r, &b);
    assert_string_equal(
        b.ptr,
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/"
        "s3/aws4_request,SignedHeaders=host;x-amz-content-sha256;x-amz-date,"
        "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a013678"
        "3543");
    slw_buf_clear(&b);
    r.query = "max-keys=2&prefix=J";
    s3_sign(&r, &b);
    assert_non_null(strstr(b.ptr, "Signature=34b48302e7b5fa45bde8084f4b7868a86f"
                                  "0a534bc59db6670ed5711ef69dc6f7"));
}

static void
a_presigned_url_is_that_of_amazons_example(void **state)
{
    SLW_AUTO(slw_buf, b);
    struct s3_request r = example();
    r.path = "/test.txt";
    s3_presign(&r, 86400, &b);
    assert_string_equal(
        b.ptr, "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
               "AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
               "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400"
               "&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c01"
               "09b86d86835f995330da4c265957d157751f604d404");
}

static const char LIST[] =
    "<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"http://s3\">"
    "<Name>b</Name><Prefix>p/</Prefix><IsTruncated>true</IsTruncated>"
    "<NextContinuationToken>a&amp;b&#61;</NextContinuationToken>"
    "<Contents><Key>p/a%20b%2Bc+d</Key><Size>17</Size>"
    "<Owner><ID>Key</ID></Owner></Contents>"
    "<Contents><Key>p/&lt;x&gt;</Key><Size>-3</Size></Contents>"
    "<CommonPrefixes><Prefix>p/sub/</Prefix></CommonPrefixes>"
    "</ListBucketResult>";

static void
a_list_of_objects_is_read(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_err err;
    struct s3_list l = {0};
    assert_ok(s3_list_parse(slw_str_of(LIST), &a, &l, &err), err);
    assert_int_equal(l.count, 3);
    assert_true(slw_str_eqz(l.items[0].key, "p/a b+c d"));
    assert_int_equal(l.items[0].size, 17);
    assert_true(slw_str_eqz(l.items[1].key, "p/<x>"));
    assert_int_equal(l.items[1].size, 0);
    assert_true(slw_str_eqz(l.items[2].key, "p/sub/"));
    assert_true(l.items[2].is_prefix && !l.items[0].is_prefix);
    assert_true(l.truncated);
    assert_true(slw_str_eqz(l.next, "a&b="));
    assert_true(slw_str_eqz(
        s3_xml_text(SLW_STR("<a><UploadId>x/y</UploadId></a>"), "UploadId", &a),
        "x/y"));
}

static void
what_is_cut_or_another_document_is_no_list(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_err err;
    struct s3_list l = {0};
    for (size_t len = 0; len + 1 < sizeof(LIST); len++)
        assert_fails(s3_list_parse((struct slw_str){LIST, len}, &a, &l, &err),
                     SLW_CORRUPT, err, "no list of objects");
    assert_fails(s3_list_parse(SLW_STR("<html><p>no</p></html>"), &a, &l, &err),
                 SLW_CORRUPT, err, "no list of objects");
}

static void
a_place_holds_what_lies_below_it_and_nothing_else(void **state)
{
    char dir[256], uri[512];
    struct slw_err err;
    struct slw_place *p = NULL;
    struct slw_str path;
    slw_test_dir(dir);
    (void)snprintf(uri, sizeof uri, "%s/place", dir);
    assert_ok(slw_place_open(&p, slw_str_of(uri), &err), err);
    assert_false(slw_place_is_s3(p));
    const struct {
        const char *behind;
        const char *path; /* NULL: not held */
    } cases[] = {{"", ""},
                 {"/", ""},
                 {"/1/r/artifacts", "1/r/artifacts"},
                 {"2/x", NULL},
                 {"/../up", NULL},
                 {"/a//b", NULL},
                 {"/%2e%2e/up", NULL}};
    for (size_t i = 0; i < SLW_ARRAY_LEN(cases); i++) {
        (void)snprintf(uri, sizeof uri, "%s%s", slw_place_uri(p),
                       cases[i].behind);
        const bool held = slw_place_holds(p, slw_str_of(uri), &path);
        assert_int_equal(held, cases[i].path != NULL);
        if (held)
            assert_true(slw_str_eqz(path, cases[i].path));
    }
    assert_false(slw_place_holds(p, SLW_STR("s3://b/k"), &path));
    slw_place_close(p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_are_those_of_amazons_examples),
        cmocka_unit_test(a_presigned_url_is_that_of_amazons_example),
        cmocka_unit_test(a_list_of_objects_is_read),
        cmocka_unit_test(what_is_cut_or_another_document_is_no_list),
        cmocka_unit_test(a_place_holds_what_lies_below_it_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
