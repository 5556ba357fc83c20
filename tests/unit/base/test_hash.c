/* test_hash.c -- hashes and random numbers against published vectors. */
#include "base/buf.h"
#include "base/hash.h"

#include "base/rng.h"
#include "tests/slw_test.h"

static void
sha256_equals_the_vectors_of_fips_180(void **state)
{
    static const struct {
        const char *text, *hex;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb924"
             "27ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223"
                "b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    SLW_AUTO(slw_hasher, h);
    slw_hasher_init(&h);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char hex[SLW_SHA256_HEX_SIZE];
        size_t len = strlen(cases[i].text);
        struct slw_sha256 once = slw_sha256_of(cases[i].text, len);
        assert_string_equal(slw_sha256_hex(&once, hex), cases[i].hex);
        for (size_t j = 0; j < len; j++) /* byte by byte, hasher reused */
            slw_hasher_add(&h, cases[i].text + j, 1);
        struct slw_sha256 streamed = slw_hasher_end(&h);
        assert_true(slw_sha256_eq(&once, &streamed));
    }
}

static void
sha256_hex_reads_back_and_refuses_anything_else(void **state)
{
    struct slw_err err;
    char hex[SLW_SHA256_HEX_SIZE];
    struct slw_sha256 h = slw_sha256_of("x", 1), back = {0};
    slw_sha256_hex(&h, hex);
    assert_ok(slw_sha256_parse(slw_str_of(hex), &back, &err), err);
    assert_true(slw_sha256_eq(&h, &back));
    hex[0] = 'A';
    assert_ok(slw_sha256_parse(slw_str_of(hex), &back, &err), err);
    struct slw_sha256 kept = back;
    assert_fails(slw_sha256_parse(SLW_STR("abc"), &back, &err), SLW_INVALID,
                 err, "64 hex digits, not 3");
    hex[9] = 'g';
    assert_fails(slw_sha256_parse(slw_str_of(hex), &back, &err), SLW_INVALID,
                 err, "position 10");
    assert_true(slw_sha256_eq(&kept, &back));
}

static void
crc32c_equals_the_vectors_of_rfc_3720(void **state)
{
    /* RFC 3720 B.4, and the customary check value. */
    unsigned char bytes[32] = {0};
    assert_int_equal(slw_crc32c(0, bytes, 32), 0x8A9136AAu);
    memset(bytes, 0xFF, 32);
    assert_int_equal(slw_crc32c(0, bytes, 32), 0x62A8AB43u);
    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    assert_int_equal(slw_crc32c(0, bytes, 32), 0x46DD794Eu);
    assert_int_equal(slw_crc32c(0, "123456789", 9), 0xE3069283u);
    assert_int_equal(slw_crc32c(0, "", 0), 0);
    /* In two pieces, at every place. */
    for (size_t i = 0; i <= 9; i++)
        assert_int_equal(
            slw_crc32c(slw_crc32c(0, "123456789", i), "123456789" + i, 9 - i),
            0xE3069283u);
}

static void
hash64_spreads_and_depends_on_seed_and_every_byte(void **state)
{
    assert_true(slw_hash64("a", 1, 0) != slw_hash64("b", 1, 0));
    assert_true(slw_hash64("a", 1, 0) != slw_hash64("a", 1, 1));
    assert_true(slw_hash64("a", 1, 0) != slw_hash64("a\0", 2, 0));
    /* 10,000 keys into 100 buckets: chi-squared with 99 degrees of freedom
     * stays below its 99.99 % quantile, 160.06 (SciPy 1.17.1). */
    int64_t counts[100] = {0};
    for (int i = 0; i < 10000; i++) {
        char key[16];
        int len = snprintf(key, sizeof key, "user-%d", i);
        counts[slw_hash64(key, (size_t)len, 7) % 100]++;
    }
    double chi2 = 0;
    for (size_t i = 0; i < 100; i++)
        chi2 += (double)((counts[i] - 100) * (counts[i] - 100)) / 100;
    assert_true(chi2 < 160.06);
}

static void
hash64_never_changes_because_sticky_routing_relies_on_it(void **state)
{
    /* An independent Python implementation of FNV-1a and the 64-bit finaliser
     * of MurmurHash3 gave these (Python 3.11):
     *   h = 0xcbf29ce484222325 ^ seed
     *   for b in data: h = (h ^ b) * 0x100000001b3 % 2**64
     *   for m in (0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53):
     *       h = (h ^ h >> 33) * m % 2**64
     *   h ^= h >> 33 */
    assert_true(slw_hash64("", 0, 0) == 0xEFD01F60BA992926u);
    assert_true(slw_hash64("user-1", 6, 0) == 0x41A2FCA5C68401C5u);
    assert_true(slw_hash64("user-1", 6, 42) == 0xC53FC98AF6AC29B2u);
}

static void
xoshiro_gives_the_published_sequence(void **state)
{
    /* State 1,2,3,4: first outputs of the authors' reference code, as in the
     * test of Rust's rand_xoshiro. */
    static const uint64_t expected[] = {11520u,
                                        0u,
                                        1509978240u,
                                        1215971899390074240u,
                                        1216172134540287360u,
                                        607988272756665600u,
                                        16172922978634559625u,
                                        8476171486693032832u,
                                        10595114339597558777u,
                                        2904607092377533576u};
    struct slw_rng r = {{1, 2, 3, 4}};
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_true(slw_rng_u64(&r) == expected[i]);
}

static void
seeding_is_splitmix64(void **state)
{
    /* splitmix64 from 1234567: the widely published first outputs. */
    struct slw_rng r;
    slw_rng_init(&r, 1234567);
    assert_true(r.s[0] == 6457827717110365317u);
    assert_true(r.s[1] == 3203168211198807973u);
    assert_true(r.s[2] == 9817491932198370423u);
    assert_true(r.s[3] == 4593380528125082431u);
}

static void
named_sequences_differ_and_repeat(void **state)
{
    struct slw_rng a, b, c, d;
    slw_rng_init_named(&a, 5, SLW_STR("split"));
    slw_rng_init_named(&b, 5, SLW_STR("split"));
    slw_rng_init_named(&c, 5, SLW_STR("tune"));
    slw_rng_init_named(&d, 6, SLW_STR("split"));
    uint64_t first = slw_rng_u64(&a);
    assert_true(first == slw_rng_u64(&b));
    assert_true(first != slw_rng_u64(&c));
    assert_true(first != slw_rng_u64(&d));
}

static void
below_is_uniform_and_in_range(void **state)
{
    struct slw_rng r;
    slw_rng_init(&r, 99);
    int64_t counts[6] = {0};
    for (int i = 0; i < 60000; i++)
        counts[slw_rng_below(&r, 6)]++;
    /* five standard deviations: 5 sqrt(60000 * 1/6 * 5/6) = 456 */
    for (int i = 0; i < 6; i++)
        assert_true(llabs(counts[i] - 10000) < 456);
    assert_int_equal(slw_rng_below(&r, 1), 0);
    for (int i = 0; i < 1000; i++)
        assert_true(slw_rng_below(&r, UINT64_MAX / 2 + 2) <=
                    UINT64_MAX / 2 + 1);
}

static void
uniform_and_normal_have_their_moments(void **state)
{
    struct slw_rng r;
    slw_rng_init(&r, 4);
    enum { N = 200000 };
    double sum = 0, nsum = 0, nsum2 = 0, nsum4 = 0;
    for (int i = 0; i < N; i++) {
        double u = slw_rng_f64(&r), z = slw_rng_normal(&r);
        assert_true(u >= 0 && u < 1);
        sum += u;
        nsum += z;
        nsum2 += z * z;
        nsum4 += z * z * z * z;
    }
    /* five standard errors each: sd 1/sqrt(12), 1, sqrt(2), sqrt(96) */
    assert_near(sum / N, 0.5, 5 * 0.2887 / sqrt(N));
    assert_near(nsum / N, 0, 5 / sqrt(N));
    assert_near(nsum2 / N, 1, 5 * sqrt(2.0) / sqrt(N));
    assert_near(nsum4 / N, 3, 5 * sqrt(96.0) / sqrt(N));
}

static void
hmac_equals_the_vectors_of_rfc_4231(void **state)
{
    (void)state;
    char aa[131], dd[50], cd[50], count[25], b[20];
    memset(aa, 0xaa, sizeof aa);
    memset(dd, 0xdd, sizeof dd);
    memset(cd, 0xcd, sizeof cd);
    memset(b, 0x0b, sizeof b);
    for (size_t i = 0; i < sizeof count; i++)
        count[i] = (char)(i + 1);
    const struct {
        struct slw_str key, text;
        const char *hex;
    } cases[] = {
        {{b, 20},
         SLW_STR("Hi There"),
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {SLW_STR("Jefe"), SLW_STR("what do ya want for nothing?"),
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {{aa, 20},
         {dd, 50},
         "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
        {{count, 25},
         {cd, 50},
         "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
        {{aa, 131},
         SLW_STR("Test Using Larger Than Block-Size Key - Hash Key First"),
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {{aa, 131},
         SLW_STR("This is a test using a larger than block-size key and a "
                 "larger than block-size data. The key needs to be hashed "
                 "before being used by the HMAC algorithm."),
         "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
    };
    for (size_t i = 0; i < SLW_ARRAY_LEN(cases); i++) {
        char hex[SLW_SHA256_HEX_SIZE];
        struct slw_sha256 h = slw_hmac_sha256(cases[i].key, cases[i].text);
        assert_string_equal(slw_sha256_hex(&h, hex), cases[i].hex);
    }
}

static void
base64_equals_the_vectors_of_rfc_4648(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xff\xfe", "//4="},
    };
    for (size_t i = 0; i < SLW_ARRAY_LEN(cases); i++) {
        SLW_AUTO(slw_buf, b);
        slw_buf_base64(&b, cases[i][0], strlen(cases[i][0]));
        assert_true(slw_str_eqz(slw_buf_view(&b), cases[i][1]));
    }
}

static void
random_ids_are_32_hex_digits_and_differ(void **state)
{
    char a[33], b[33];
    slw_random_hex32(a);
    slw_random_hex32(b);
    assert_int_equal(strlen(a), 32);
    assert_int_equal(strspn(a, "0123456789abcdef"), 32);
    assert_string_not_equal(a, b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_equals_the_vectors_of_fips_180),
        cmocka_unit_test(sha256_hex_reads_back_and_refuses_anything_else),
        cmocka_unit_test(hmac_equals_the_vectors_of_rfc_4231),
        cmocka_unit_test(base64_equals_the_vectors_of_rfc_4648),
        cmocka_unit_test(crc32c_equals_the_vectors_of_rfc_3720),
        cmocka_unit_test(hash64_spreads_and_depends_on_seed_and_every_byte),
        cmocka_unit_test(
            hash64_never_changes_because_sticky_routing_relies_on_it),
        cmocka_unit_test(xoshiro_gives_the_published_sequence),
        cmocka_unit_test(seeding_is_splitmix64),
        cmocka_unit_test(named_sequences_differ_and_repeat),
        cmocka_unit_test(below_is_uniform_and_in_range),
        cmocka_unit_test(uniform_and_normal_have_their_moments),
        cmocka_unit_test(random_ids_are_32_hex_digits_and_differ),
    };
    return cmocka_run_group_tests_name("base/hash", tests, NULL, NULL);
}
