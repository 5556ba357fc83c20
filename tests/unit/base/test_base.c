/* test_base.c -- result codes, the error struct, assertions. */
#include "base/base.h"

#include <signal.h>
#include <sys/wait.h>

#include "tests/slw_test.h"

static void
every_code_has_its_name_in_lower_case(void **state)
{
    assert_string_equal(slw_rc_name(SLW_OK), "ok");
    assert_string_equal(slw_rc_name(SLW_NOT_FOUND), "not_found");
    assert_string_equal(slw_rc_name(SLW_INTERNAL), "internal");
    assert_string_equal(slw_rc_name(SLW_RC_COUNT), "unknown");
    for (int rc = 0; rc < SLW_RC_COUNT; rc++)
        assert_string_not_equal(slw_rc_name((enum slw_rc)rc), "unknown");
}

static void
fail_fills_code_place_and_sentence(void **state)
{
    struct slw_err err;
    enum slw_rc rc = slw_fail(&err, SLW_BUSY, "row %d is taken", 7);
    assert_int_equal(rc, SLW_BUSY);
    assert_int_equal(err.rc, SLW_BUSY);
    assert_string_equal(err.msg, "row 7 is taken");
    assert_non_null(strstr(err.where, "test_base.c:"));
}

static void
fail_may_quote_the_message_it_replaces(void **state)
{
    struct slw_err err;
    (void)slw_fail(&err, SLW_IO, "inner");
    (void)slw_fail(&err, SLW_CONFLICT, "outer: %s", err.msg);
    assert_string_equal(err.msg, "outer: inner");
}

static void
a_long_message_is_cut_between_characters(void **state)
{
    /* Each 'ü' has two bytes; "x" in front makes the limit fall inside one. */
    char text[2 * SLW_ERR_MSG_SIZE] = "";
    for (size_t i = 0; i + 2 < sizeof text - 2; i += 2)
        memcpy(text + i, "\xC3\xBC", 2);
    struct slw_err err;
    (void)slw_fail(&err, SLW_INVALID, "%s", text);
    assert_true(slw_str_utf8_ok(slw_str_of(err.msg)));
    assert_int_equal(strlen(err.msg), SLW_ERR_MSG_SIZE - 2);
    (void)slw_fail(&err, SLW_INVALID, "x%s", text);
    assert_true(slw_str_utf8_ok(slw_str_of(err.msg)));
    assert_int_equal(strlen(err.msg), SLW_ERR_MSG_SIZE - 1);
}

static void
prefix_stands_before_the_message_and_keeps_code_and_place(void **state)
{
    struct slw_err err;
    (void)slw_fail(&err, SLW_CORRUPT, "bad checksum");
    const char *where = err.where;
    assert_int_equal(slw_err_prefix(&err, "segment %d: ", 4), SLW_CORRUPT);
    assert_string_equal(err.msg, "segment 4: bad checksum");
    assert_ptr_equal(err.where, where);
    for (int i = 0; i < 100; i++)
        (void)slw_err_prefix(&err, "wrapped \xE2\x82\xAC ");
    assert_true(strlen(err.msg) < SLW_ERR_MSG_SIZE);
    assert_true(slw_str_utf8_ok(slw_str_of(err.msg)));
}

static enum slw_rc
fails_at_the_second(int *reached, struct slw_err *err)
{
    TRY(SLW_OK);
    *reached = 1;
    TRY(slw_fail(err, SLW_DENIED, "no"));
    *reached = 2;
    return SLW_OK;
}

static void
try_returns_the_first_failure(void **state)
{
    struct slw_err err;
    int reached = 0;
    assert_int_equal(fails_at_the_second(&reached, &err), SLW_DENIED);
    assert_int_equal(reached, 1);
}

struct probe {
    char name;
};
static char done_order[4];

static void
probe_done(struct probe *p)
{
    done_order[strlen(done_order)] = p->name;
}

static void
scope_ends_in_reverse_order(void **state)
{
    memset(done_order, 0, sizeof done_order);
    {
        SLW_AUTO(probe, a);
        SLW_AUTO(probe, b);
        a.name = 'a';
        b.name = 'b';
    }
    assert_string_equal(done_order, "ba");
}

static void
a_failed_assertion_names_its_place_and_aborts(void **state)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], 2);
        signal(SIGABRT, SIG_DFL);
        SLW_ASSERT(1 + 1 == 3);
        _exit(0);
    }
    close(fds[1]);
    char text[256] = "";
    ssize_t n = read(fds[0], text, sizeof text - 1);
    close(fds[0]);
    assert_true(n > 0);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(text, "test_base.c:"));
    assert_non_null(strstr(text, "1 + 1 == 3"));
}

static void
the_heap_is_zeroed_and_copies_end_in_nul(void **state)
{
    unsigned char *p = slw_alloc(1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(p[i], 0);
    p = slw_realloc(p, 2000);
    slw_free(p);
    slw_free(NULL);
    char *z = slw_strdup((struct slw_str){"abcdef", 3});
    assert_string_equal(z, "abc");
    slw_free(z);
    z = slw_strdup((struct slw_str){NULL, 0});
    assert_string_equal(z, "");
    slw_free(z);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_name_in_lower_case),
        cmocka_unit_test(fail_fills_code_place_and_sentence),
        cmocka_unit_test(fail_may_quote_the_message_it_replaces),
        cmocka_unit_test(a_long_message_is_cut_between_characters),
        cmocka_unit_test(
            prefix_stands_before_the_message_and_keeps_code_and_place),
        cmocka_unit_test(try_returns_the_first_failure),
        cmocka_unit_test(scope_ends_in_reverse_order),
        cmocka_unit_test(a_failed_assertion_names_its_place_and_aborts),
        cmocka_unit_test(the_heap_is_zeroed_and_copies_end_in_nul),
    };
    return cmocka_run_group_tests_name("base/base", tests, NULL, NULL);
}
