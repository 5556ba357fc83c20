/* test_log.c -- what a log line looks like, and what never gets into one. */
#include "base/log.h"

#include <fcntl.h>

#include "tests/slw_test.h"

static char dir[256];
static char path[300];
static int saved_fd;

/* Standard error goes to a file between these two. */
static void
capture_begin(void)
{
    snprintf(path, sizeof path, "%s/err", dir);
    saved_fd = dup(2);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    dup2(fd, 2);
    close(fd);
}

static size_t
capture_end(char *text, size_t size)
{
    dup2(saved_fd, 2);
    close(saved_fd);
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    assert_true(n >= 0);
    text[n] = '\0';
    return (size_t)n;
}

static void
a_line_has_time_level_event_and_pairs(void **state)
{
    char text[4096];
    capture_begin();
    slw_log(SLW_LOG_INFO, "job.done", "job=%d rc=%s", 81, "ok");
    slw_log(SLW_LOG_WARN, "bare", NULL);
    capture_end(text, sizeof text);
    /* 2026-11-23T08:00:00.123Z info job.done job=81 rc=ok */
    assert_int_equal(text[4], '-');
    assert_int_equal(text[10], 'T');
    assert_int_equal(text[19], '.');
    assert_int_equal(text[23], 'Z');
    assert_non_null(strstr(text + 24, " info job.done job=81 rc=ok\n"));
    assert_non_null(strstr(text, "Z warn bare\n"));
}

static void
lines_above_the_level_are_dropped(void **state)
{
    char text[4096];
    capture_begin();
    slw_log(SLW_LOG_DEBUG, "unseen", NULL);
    slw_log_level_set(SLW_LOG_DEBUG);
    slw_log(SLW_LOG_DEBUG, "seen", NULL);
    slw_log_level_set(SLW_LOG_ERROR);
    slw_log(SLW_LOG_WARN, "unseen", NULL);
    slw_log(SLW_LOG_ERROR, "seen2", NULL);
    slw_log_level_set(SLW_LOG_INFO);
    capture_end(text, sizeof text);
    assert_null(strstr(text, "unseen"));
    assert_non_null(strstr(text, "debug seen\n"));
    assert_non_null(strstr(text, "error seen2\n"));
}

static void
control_characters_cannot_forge_a_line(void **state)
{
    char text[4096];
    capture_begin();
    slw_log(SLW_LOG_INFO, "x", "v=%s", "a\nerror forged\x1B[2J\x7F");
    size_t len = capture_end(text, sizeof text);
    assert_non_null(strstr(text, "v=a?error forged?[2J?\n"));
    assert_ptr_equal(strchr(text, '\n'), text + len - 1);
}

static void
a_line_too_long_is_cut_and_stays_one_line(void **state)
{
    static char longer[5000], text[8192];
    memset(longer, 'y', sizeof longer - 1);
    capture_begin();
    slw_log(SLW_LOG_INFO, "x", "v=%s", longer);
    size_t len = capture_end(text, sizeof text);
    assert_true(len <= 2048);
    assert_int_equal(text[len - 1], '\n');
    assert_int_equal(text[len - 2], 'y');
}

static void
an_error_is_logged_with_code_place_and_sentence(void **state)
{
    char text[4096];
    struct slw_err err;
    (void)slw_fail(&err, SLW_IO, "cannot open 'x'");
    capture_begin();
    slw_log_err(SLW_LOG_ERROR, "job.failed", &err);
    capture_end(text, sizeof text);
    assert_non_null(strstr(text, " error job.failed rc=io where=test_log.c:"));
    assert_non_null(strstr(text, " msg=\"cannot open 'x'\"\n"));
}

int
main(void)
{
    slw_test_dir(dir);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_level_event_and_pairs),
        cmocka_unit_test(lines_above_the_level_are_dropped),
        cmocka_unit_test(control_characters_cannot_forge_a_line),
        cmocka_unit_test(a_line_too_long_is_cut_and_stays_one_line),
        cmocka_unit_test(an_error_is_logged_with_code_place_and_sentence),
    };
    return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
