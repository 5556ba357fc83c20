/* test_memory.c -- arenas and buffers: growth, limits, reuse. */
#include "base/arena.h"
#include "base/buf.h"

#include <signal.h>
#include <sys/wait.h>

#include "tests/slw_test.h"

static void
arena_memory_is_zeroed_aligned_and_apart(void **state)
{
    SLW_AUTO(slw_arena, a);
    unsigned char *pieces[2000];
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        size_t size = i % 97 + 1;
        pieces[i] = slw_arena_alloc(&a, size);
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        for (size_t j = 0; j < size; j++)
            assert_int_equal(pieces[i][j], 0);
        memset(pieces[i], (int)(i % 251), size);
    }
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
        for (size_t j = 0; j < i % 97 + 1; j++)
            assert_int_equal(pieces[i][j], i % 251);
}

static void
arena_reset_gives_back_all_and_hands_out_zeroes_again(void **state)
{
    SLW_AUTO(slw_arena, a);
    memset(slw_arena_alloc(&a, 3000), 0xFF, 3000);
    memset(slw_arena_alloc(&a, 100000), 0xFF, 100000);
    size_t peak = a.peak_size;
    assert_true(peak >= 103000);
    slw_arena_reset(&a);
    assert_int_equal(a.used_size, 0);
    assert_int_equal(a.peak_size, peak);
    const unsigned char *p = slw_arena_alloc(&a, 3000);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(p[i], 0);
    slw_arena_reset(&a);
    slw_arena_done(&a);
    slw_arena_done(&a);
}

static void
arena_room_shrinks_to_nothing_at_the_limit(void **state)
{
    SLW_AUTO(slw_arena, a);
    slw_arena_init(&a, 1024);
    assert_int_equal(slw_arena_room(&a), 1024);
    slw_arena_alloc(&a, 1000);
    assert_int_equal(slw_arena_room(&a), 1024 - 1008);
    slw_arena_alloc(&a, slw_arena_room(&a));
    assert_int_equal(slw_arena_room(&a), 0);
}

/* Whether `fn` ends its process by SIGABRT. */
static bool
aborts(void (*fn)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        close(2);
        fn();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void
ask_past_the_limit(void)
{
    struct slw_arena a;
    slw_arena_init(&a, 1024);
    slw_arena_alloc(&a, 2000);
}

static void
ask_for_a_product_that_overflows(void)
{
    struct slw_arena a = {0};
    volatile size_t many = SIZE_MAX / 4;
    (void)SLW_ARENA_NEW(&a, int64_t, many);
}

static void
arena_aborts_past_its_limit_and_on_overflow(void **state)
{
    assert_true(aborts(ask_past_the_limit));
    assert_true(aborts(ask_for_a_product_that_overflows));
}

static void
arena_strings_are_copies_with_a_nul_behind(void **state)
{
    SLW_AUTO(slw_arena, a);
    char source[] = "abcdef";
    struct slw_str s = slw_arena_str(&a, (struct slw_str){source, 3});
    source[0] = 'X';
    assert_int_equal(s.len, 3);
    assert_string_equal(s.ptr, "abc");
    assert_string_equal(slw_arena_strz(&a, (struct slw_str){NULL, 0}), "");
    s = slw_arena_printf(&a, "%d-%s", 5, "x");
    assert_string_equal(s.ptr, "5-x");
    s = slw_arena_printf(&a, "%0500d", 7);
    assert_int_equal(s.len, 500);
    assert_int_equal(strlen(s.ptr), 500);
    assert_int_equal(s.ptr[499], '7');
}

static void
an_array_in_an_arena_grows_and_keeps_its_items(void **state)
{
    SLW_AUTO(slw_arena, a);
    int *items = NULL;
    size_t cap = 0;
    for (int i = 0; i < 1000; i++) {
        items = slw_arena_grow(&a, items, sizeof *items, (size_t)i, &cap);
        assert_true((size_t)i < cap);
        items[i] = i;
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(items[i], i);
    assert_int_equal(cap, 1024);
}

static void
buffer_grows_and_always_ends_in_nul(void **state)
{
    SLW_AUTO(slw_buf, b);
    assert_int_equal(slw_buf_view(&b).len, 0);
    for (int i = 0; i < 10000; i++)
        slw_buf_printf(&b, "%d,", i);
    assert_int_equal(b.len, strlen(b.ptr));
    /* 10 numbers of 1 digit, 90 of 2, 900 of 3, 9000 of 4; 10000 commas */
    assert_int_equal(b.len, 10 + 180 + 2700 + 36000 + 10000);
    slw_buf_clear(&b);
    assert_string_equal(b.ptr, "");
    slw_buf_z(&b, "x=");
    slw_buf_i64(&b, INT64_MIN);
    slw_buf_char(&b, ' ');
    slw_buf_f64(&b, 0.1);
    slw_buf_str(&b, SLW_STR("!"));
    assert_string_equal(b.ptr, "x=-9223372036854775808 0.1!");
}

static void
buffer_over_its_limit_is_a_state_reported_once(void **state)
{
    struct slw_err err;
    SLW_AUTO(slw_buf, b);
    slw_buf_init(&b, 10);
    slw_buf_z(&b, "0123456789");
    assert_ok(slw_buf_check(&b, &err), err);
    slw_buf_char(&b, 'x');
    assert_fails(slw_buf_check(&b, &err), SLW_LIMIT, err, "10 bytes");
    assert_string_equal(b.ptr, "0123456789");
    slw_buf_clear(&b);
    assert_ok(slw_buf_check(&b, &err), err);
    slw_buf_printf(&b, "%s", "longer than ten bytes");
    assert_int_equal(b.len, 0);
    assert_string_equal(b.ptr, "");
    slw_buf_z(&b, "a"); /* would fit, but nothing is added any more */
    assert_int_equal(b.len, 0);
    assert_fails(slw_buf_check(&b, &err), SLW_LIMIT, err, "10 bytes");
}

static void
buffer_gives_room_that_does_not_move_when_reserved(void **state)
{
    struct slw_err err;
    const size_t size = (size_t)5 << 20;
    SLW_AUTO(slw_buf, b);
    slw_buf_init(&b, 2 * size);
    slw_buf_reserve(&b, size);
    assert_int_equal(slw_buf_view(&b).len, 0);
    char *first = slw_buf_room(&b, 1);
    assert_non_null(first);
    memset(first, 'a', 1);
    for (size_t i = 1; i < size; i += 64) {
        char *at = slw_buf_room(&b, size - i < 64 ? size - i : 64);
        assert_ptr_equal(at, first + i);
        memset(at, 'b', size - i < 64 ? size - i : 64);
    }
    assert_ptr_equal(b.ptr, first);
    assert_int_equal(b.len, size);
    assert_int_equal(b.ptr[size], '\0');
    slw_buf_reserve(&b, 2 * size); /* too late: it has bytes */
    for (int i = 0; i < 5; i++)    /* beyond what was reserved it moves */
        assert_non_null(slw_buf_room(&b, 1 << 20));
    assert_int_equal(b.ptr[0], 'a');
    assert_int_equal(b.ptr[size - 1], 'b');
    assert_null(slw_buf_room(&b, 1));
    assert_fails(slw_buf_check(&b, &err), SLW_LIMIT, err, "bytes");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_memory_is_zeroed_aligned_and_apart),
        cmocka_unit_test(arena_reset_gives_back_all_and_hands_out_zeroes_again),
        cmocka_unit_test(arena_room_shrinks_to_nothing_at_the_limit),
        cmocka_unit_test(arena_aborts_past_its_limit_and_on_overflow),
        cmocka_unit_test(arena_strings_are_copies_with_a_nul_behind),
        cmocka_unit_test(an_array_in_an_arena_grows_and_keeps_its_items),
        cmocka_unit_test(buffer_grows_and_always_ends_in_nul),
        cmocka_unit_test(buffer_over_its_limit_is_a_state_reported_once),
        cmocka_unit_test(buffer_gives_room_that_does_not_move_when_reserved),
    };
    return cmocka_run_group_tests_name("base/memory", tests, NULL, NULL);
}
