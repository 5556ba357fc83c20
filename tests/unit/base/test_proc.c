/* test_proc.c -- children: output, input, ends of every kind, nothing left
 * behind. */
#include "base/proc.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "tests/slw_test.h"

static char dir[256];

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})
#define SH(script) ARGV("sh", "-c", script)

static int64_t
now_ms(void)
{
    return slw_mono_ns() / 1000000;
}

/* Runs and asserts that the call itself succeeded. */
static struct slw_proc_result
ran(struct slw_proc_spec spec)
{
    struct slw_err err;
    struct slw_proc_result r = {0};
    assert_ok(slw_proc_run(&spec, &r, &err), err);
    return r;
}

/* Until no process of the group is left; zombies of strangers aside. */
static bool
group_ends(pid_t pid)
{
    for (int i = 0; i < 3000; i++) {
        if (kill(-pid, 0) != 0 && errno == ESRCH)
            return true;
        usleep(1000);
    }
    return false;
}

static void
output_and_exit_code_are_captured(void **state)
{
    SLW_AUTO(slw_proc_result, r);
    r = ran((struct slw_proc_spec){.argv = SH("echo out; echo err >&2; exit 3"),
                                   .capture = true});
    assert_int_equal(r.exit_code, 3);
    assert_int_equal(r.signal, 0);
    assert_false(r.timed_out);
    assert_string_equal(r.out.ptr, "out\n");
    assert_string_equal(r.errout.ptr, "err\n");
}

static void
a_signal_that_ends_the_child_is_reported(void **state)
{
    SLW_AUTO(slw_proc_result, r);
    r = ran(
        (struct slw_proc_spec){.argv = SH("kill -USR1 $$"), .capture = true});
    assert_int_equal(r.exit_code, -1);
    assert_int_equal(r.signal, SIGUSR1);
}

static void
megabytes_pass_through_both_ways_without_deadlock(void **state)
{
    enum { SIZE = 3000000 };
    char *text = slw_alloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        text[i] = (char)('a' + i % 26);
    SLW_AUTO(slw_proc_result, r);
    r = ran((struct slw_proc_spec){.argv = ARGV("cat"),
                                   .capture = true,
                                   .stdin_text = {text, SIZE},
                                   .timeout_ms = 30000});
    assert_int_equal(r.exit_code, 0);
    assert_int_equal(r.out.len, SIZE);
    assert_memory_equal(r.out.ptr, text, SIZE);
    slw_free(text);
}

static void
a_child_that_does_not_read_its_input_is_no_error(void **state)
{
    char *text = slw_alloc(1000000);
    memset(text, 'x', 1000000);
    SLW_AUTO(slw_proc_result, r);
    r = ran((struct slw_proc_spec){
        .argv = ARGV("true"), .capture = true, .stdin_text = {text, 1000000}});
    assert_int_equal(r.exit_code, 0);
    slw_free(text);
}

static void
without_input_standard_input_is_empty(void **state)
{
    SLW_AUTO(slw_proc_result, r);
    r = ran((struct slw_proc_spec){
        .argv = ARGV("cat"), .capture = true, .timeout_ms = 10000});
    assert_int_equal(r.exit_code, 0);
    assert_int_equal(r.out.len, 0);
}

static void
a_missing_program_or_folder_is_not_found(void **state)
{
    struct slw_err err;
    struct slw_proc_result r = {.exit_code = 99};
    struct slw_proc_spec spec = {.argv = ARGV("no-such-program-anywhere")};
    assert_fails(slw_proc_run(&spec, &r, &err), SLW_NOT_FOUND, err,
                 "no program 'no-such-program-anywhere'");
    spec = (struct slw_proc_spec){.argv = ARGV("true"), .dir = "/no/such"};
    assert_fails(slw_proc_run(&spec, &r, &err), SLW_NOT_FOUND, err, "/no/such");
    spec = (struct slw_proc_spec){.argv = ARGV("/etc/passwd")};
    assert_fails(slw_proc_run(&spec, &r, &err), SLW_IO, err,
                 "Permission denied");
    spec = (struct slw_proc_spec){.argv = ARGV("true"),
                                  .log_path = "/no/such/log"};
    assert_fails(slw_proc_run(&spec, &r, &err), SLW_NOT_FOUND, err,
                 "/no/such/log");
    assert_int_equal(r.exit_code, 99);
}

static void
the_deadline_ends_a_patient_child(void **state)
{
    int64_t start = now_ms();
    SLW_AUTO(slw_proc_result, r);
    r = ran((struct slw_proc_spec){.argv = SH("echo begun; exec sleep 60"),
                                   .capture = true,
                                   .timeout_ms = 200});
    int64_t took = now_ms() - start;
    assert_true(r.timed_out);
    assert_false(r.cancelled);
    assert_int_equal(r.signal, SIGTERM);
    assert_string_equal(r.out.ptr, "begun\n");
    assert_true(took >= 200 && took < 2000);
}

static void
a_child_that_ignores_term_is_killed_two_seconds_later(void **state)
{
    int64_t start = now_ms();
    SLW_AUTO(slw_proc_result, r);
    r = ran((struct slw_proc_spec){
        .argv = SH("trap '' TERM; while :; do sleep 1; done"),
        .capture = true,
        .timeout_ms = 100});
    int64_t took = now_ms() - start;
    assert_true(r.timed_out);
    assert_int_equal(r.signal, SIGKILL);
    assert_true(took >= 2100 && took < 6000);
}

static void
grandchildren_die_with_the_group_and_do_not_hold_the_pipes(void **state)
{
    int64_t start = now_ms();
    SLW_AUTO(slw_proc_result, r);
    r = ran((struct slw_proc_spec){.argv = SH("sleep 60 & echo $! $$"),
                                   .capture = true});
    assert_true(now_ms() - start < 5000);
    assert_int_equal(r.exit_code, 0);
    long grandchild = 0, group = 0;
    assert_int_equal(sscanf(r.out.ptr, "%ld %ld", &grandchild, &group), 2);
    assert_true(group_ends((pid_t)group));
}

static void
a_stray_in_a_session_of_its_own_holds_us_up_a_second_at_most(void **state)
{
    int64_t start = now_ms();
    SLW_AUTO(slw_proc_result, r);
    r = ran((struct slw_proc_spec){
        .argv = SH("setsid sh -c 'echo $$; exec sleep 20' & sleep 0.3"),
        .capture = true});
    int64_t took = now_ms() - start;
    long stray = strtol(r.out.ptr, NULL, 10);
    assert_true(stray > 1);
    kill((pid_t)stray, SIGKILL);
    assert_true(took < 6000);
}

static volatile int cancel_flag;

static void *
cancel_soon(void *arg)
{
    usleep(150000);
    __atomic_store_n(&cancel_flag, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void
a_cancelled_child_is_stopped(void **state)
{
    pthread_t thread;
    cancel_flag = 0;
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, NULL), 0);
    int64_t start = now_ms();
    SLW_AUTO(slw_proc_result, r);
    r = ran((struct slw_proc_spec){
        .argv = ARGV("sleep", "60"), .capture = true, .cancel = &cancel_flag});
    pthread_join(thread, NULL);
    assert_true(r.cancelled);
    assert_false(r.timed_out);
    assert_int_equal(r.signal, SIGTERM);
    assert_true(now_ms() - start < 3000);
}

static void
too_much_output_is_a_limit_and_ends_the_child(void **state)
{
    struct slw_err err;
    struct slw_proc_result r = {.exit_code = 99};
    struct slw_proc_spec spec = {.argv = ARGV("cat", "/dev/zero"),
                                 .capture = true};
    assert_fails(slw_proc_run(&spec, &r, &err), SLW_LIMIT, err,
                 "more than 67108864 bytes");
    assert_int_equal(r.exit_code, 99);
}

static void
too_many_complaints_are_cut_but_no_error(void **state)
{
    SLW_AUTO(slw_proc_result, r);
    r = ran((struct slw_proc_spec){
        .argv = SH("head -c 2000000 /dev/zero | tr '\\0' e >&2; echo fine"),
        .capture = true});
    assert_string_equal(r.out.ptr, "fine\n");
    assert_true(r.errout.overflow);
    assert_true(r.errout.len <= 1 << 20);
    assert_true(r.errout.len > 900000);
    assert_int_equal(r.errout.ptr[0], 'e');
}

static void
no_other_descriptor_reaches_the_child(void **state)
{
    int fd = open("/dev/null", O_RDONLY); /* not close-on-exec */
    int leak = dup2(fd, 77);
    assert_int_equal(leak, 77);
    SLW_AUTO(slw_proc_result, r);
    r = ran((struct slw_proc_spec){
        .argv = SH("test -e /proc/$$/fd/2 && echo two;"
                   "test -e /proc/$$/fd/77 || echo closed"),
        .capture = true});
    close(leak);
    close(fd);
    assert_string_equal(r.out.ptr, "two\nclosed\n");
}

static void
environment_is_added_and_replaced(void **state)
{
    setenv("SLW_TEST_OURS", "ours", 1);
    setenv("SLW_TEST_BOTH", "ours", 1);
    SLW_AUTO(slw_proc_result, r);
    r = ran((struct slw_proc_spec){
        .argv = SH("echo $SLW_TEST_OURS $SLW_TEST_BOTH $SLW_TEST_NEW"),
        .env = ARGV("SLW_TEST_BOTH=theirs", "SLW_TEST_NEW=new"),
        .capture = true});
    assert_string_equal(r.out.ptr, "ours theirs new\n");
}

static void
signals_are_as_new_in_the_child(void **state)
{
    /* We ignore and block PIPE; a shell pipeline relies on it all the same. */
    sigset_t block, before;
    sigemptyset(&block);
    sigaddset(&block, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &block, &before);
    void (*handler)(int) = signal(SIGPIPE, SIG_IGN);
    SLW_AUTO(slw_proc_result, r);
    r = ran((struct slw_proc_spec){.argv = SH("kill -PIPE $$; echo alive"),
                                   .capture = true});
    signal(SIGPIPE, handler);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert_int_equal(r.signal, SIGPIPE);
    assert_int_equal(r.out.len, 0);
}

static void
folder_and_log_file_are_used(void **state)
{
    char log_path[300], real[PATH_MAX], expected[2 * PATH_MAX + 20];
    assert_non_null(realpath(dir, real));
    snprintf(log_path, sizeof log_path, "%s/log", dir);
    for (int i = 0; i < 2; i++) {
        SLW_AUTO(slw_proc_result, r);
        r = ran((struct slw_proc_spec){.argv = SH("pwd -P; echo err >&2"),
                                       .dir = dir,
                                       .log_path = log_path});
        assert_int_equal(r.exit_code, 0);
    }
    SLW_AUTO(slw_proc_result, r);
    r = ran((struct slw_proc_spec){
        .argv = ARGV("cat", "log"), .dir = dir, .capture = true});
    snprintf(expected, sizeof expected, "%s\nerr\n%s\nerr\n", real, real);
    assert_string_equal(r.out.ptr, expected);
}

static void
a_started_child_leads_its_group_and_takes_signals(void **state)
{
    struct slw_err err;
    pid_t pid = 0;
    struct slw_proc_spec spec = {.argv = SH("sleep 60 & sleep 60; true")};
    assert_ok(slw_proc_start(&spec, &pid, &err), err);
    assert_int_equal(getpgid(pid), pid);
    usleep(100000);
    slw_proc_signal(pid, SIGKILL);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_true(group_ends(pid));
    slw_proc_signal(pid, SIGKILL); /* gone: no error */
}

static void
a_child_that_asked_for_it_dies_with_its_parent(void **state)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t parent = fork();
    if (parent == 0) {
        pid_t child = fork();
        if (child == 0) {
            slw_proc_die_with_parent();
            char c = 'r';
            if (write(fds[1], &c, 1) != 1)
                _exit(1);
            for (;;)
                pause();
        }
        for (;;)
            pause();
    }
    char c;
    assert_int_equal(read(fds[0], &c, 1), 1);
    close(fds[1]);
    kill(parent, SIGKILL);
    int status;
    assert_int_equal(waitpid(parent, &status, 0), parent);
    /* The pipe ends when its last writer, the grandchild, is gone. */
    assert_int_equal(read(fds[0], &c, 1), 0);
    close(fds[0]);
}

static void
limits_hold_for_the_calling_process(void **state)
{
    pid_t pid = fork();
    if (pid == 0) {
        slw_proc_limits(0, 7, 3);
        struct rlimit l;
        getrlimit(RLIMIT_CPU, &l);
        errno = 0;
        int niceness = getpriority(PRIO_PROCESS, 0);
        _exit(l.rlim_cur == 7 && (niceness >= 3 || niceness == 19) ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void
we_know_where_our_own_program_lies(void **state)
{
    assert_int_equal(slw_proc_self_path()[0], '/');
    size_t len = strlen(slw_proc_self_dir());
    assert_memory_equal(slw_proc_self_path(), slw_proc_self_dir(), len);
    assert_int_equal(access(slw_proc_self_path(), X_OK), 0);
    assert_null(strchr(slw_proc_self_path() + len + 1, '/'));
}

int
main(void)
{
    slw_test_dir(dir);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_and_exit_code_are_captured),
        cmocka_unit_test(a_signal_that_ends_the_child_is_reported),
        cmocka_unit_test(megabytes_pass_through_both_ways_without_deadlock),
        cmocka_unit_test(a_child_that_does_not_read_its_input_is_no_error),
        cmocka_unit_test(without_input_standard_input_is_empty),
        cmocka_unit_test(a_missing_program_or_folder_is_not_found),
        cmocka_unit_test(the_deadline_ends_a_patient_child),
        cmocka_unit_test(a_child_that_ignores_term_is_killed_two_seconds_later),
        cmocka_unit_test(
            grandchildren_die_with_the_group_and_do_not_hold_the_pipes),
        cmocka_unit_test(
            a_stray_in_a_session_of_its_own_holds_us_up_a_second_at_most),
        cmocka_unit_test(a_cancelled_child_is_stopped),
        cmocka_unit_test(too_much_output_is_a_limit_and_ends_the_child),
        cmocka_unit_test(too_many_complaints_are_cut_but_no_error),
        cmocka_unit_test(no_other_descriptor_reaches_the_child),
        cmocka_unit_test(environment_is_added_and_replaced),
        cmocka_unit_test(signals_are_as_new_in_the_child),
        cmocka_unit_test(folder_and_log_file_are_used),
        cmocka_unit_test(a_started_child_leads_its_group_and_takes_signals),
        cmocka_unit_test(a_child_that_asked_for_it_dies_with_its_parent),
        cmocka_unit_test(limits_hold_for_the_calling_process),
        cmocka_unit_test(we_know_where_our_own_program_lies),
    };
    return cmocka_run_group_tests_name("base/proc", tests, NULL, NULL);
}
