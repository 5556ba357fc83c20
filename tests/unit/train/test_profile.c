/* test_profile.c -- the reference profile: what is written reads back bit for
 * bit, and a damaged one is refused. */
#include "fixture.h"

static struct slw_profile
profile_make(struct slw_arena *a)
{
    struct slw_profile p = {.row_count = 3, .column_count = 2};
    p.columns = SLW_ARENA_NEW(a, struct slw_str, 2);
    p.columns[0] = SLW_STR("range_lag0");
    p.columns[1] = SLW_STR("prediction");
    p.event_ms = SLW_ARENA_NEW(a, int64_t, 3);
    p.values = SLW_ARENA_NEW(a, double, 6);
    const double values[] = {0.1, NAN, -0.0, 1e300, 2, 3};
    memcpy(p.values, values, sizeof(values));
    for (int64_t i = 0; i < 3; i++)
        p.event_ms[i] = (i - 1) * SLW_DAY_MS;
    return p;
}

static void
a_profile_reads_back_bit_for_bit(void **state)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_buf, bytes);
    struct slw_err err;
    struct slw_profile p = profile_make(&a), q;
    assert_ok(slw_profile_write(&p, &bytes, &err), err);
    /* head 24, names 4+10+4+10 -> 32, 3 times, 6 values, checksum */
    assert_int_equal(bytes.len, 24 + 32 + 24 + 48 + 4);
    assert_ok(slw_profile_read(slw_buf_view(&bytes), &a, &q, &err), err);
    assert_int_equal(q.row_count, 3);
    assert_int_equal(q.column_count, 2);
    assert_true(slw_str_eqz(q.columns[1], "prediction"));
    assert_memory_equal(q.event_ms, p.event_ms, 24);
    assert_memory_equal(q.values, p.values, 48);
}

static void
every_damaged_byte_and_every_cut_is_refused(void **state)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_buf, bytes);
    struct slw_err err;
    struct slw_profile p = profile_make(&a), q = {.row_count = 77};
    assert_ok(slw_profile_write(&p, &bytes, &err), err);
    for (size_t i = 0; i < bytes.len; i++) {
        bytes.ptr[i] ^= 0x41;
        assert_int_equal(slw_profile_read(slw_buf_view(&bytes), &a, &q, &err),
                         SLW_CORRUPT);
        bytes.ptr[i] ^= 0x41;
        assert_int_equal(
            slw_profile_read((struct slw_str){bytes.ptr, i}, &a, &q, &err),
            SLW_CORRUPT);
    }
    assert_int_equal(q.row_count, 77);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_profile_reads_back_bit_for_bit),
        cmocka_unit_test(every_damaged_byte_and_every_cut_is_refused),
    };
    return cmocka_run_group_tests_name("train/profile", tests, NULL, NULL);
}
