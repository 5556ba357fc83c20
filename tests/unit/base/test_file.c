/* test_file.c -- files are whole or absent, also when the disk is full or the
 * process is killed in between; folders; locks. */
#include "base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/slw_test.h"

static char dir[256];

struct fixture {
    struct slw_arena arena;
    struct slw_err err;
};

static void
fixture_done(struct fixture *f)
{
    slw_arena_done(&f->arena);
}

/* Entries of a folder. */
static enum slw_rc
entry_count(void *ctx, const char *path, const char *name, bool is_dir,
            struct slw_err *err)
{
    ++*(int *)ctx;
    return SLW_OK;
}

static int
entries_in(const char *path)
{
    struct slw_err err;
    int count = 0;
    assert_ok(slw_dir_each(path, entry_count, &count, &err), err);
    return count;
}

static const char *
sub_dir(struct fixture *f, const char *name)
{
    const char *path = slw_path(&f->arena, dir, "%s", name);
    assert_ok(slw_dir_make(path, &f->err), f->err);
    return path;
}

static void
put_then_get_gives_the_same_bytes(void **state)
{
    SLW_AUTO(fixture, f);
    const char *d = sub_dir(&f, "put");
    const char *path = slw_path(&f.arena, d, "%s", "a.bin");
    char bytes[100000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7 % 256);
    struct slw_str all = {bytes, sizeof bytes};
    assert_ok(slw_file_put(path, SLW_STR("old"), &f.err), f.err);
    assert_ok(slw_file_put(path, all, &f.err), f.err);
    SLW_AUTO(slw_buf, b);
    slw_buf_z(&b, "head");
    assert_ok(slw_file_get(path, sizeof bytes, &b, &f.err), f.err);
    assert_int_equal(b.len, 4 + sizeof bytes);
    assert_memory_equal(b.ptr + 4, bytes, sizeof bytes);
    int64_t size = 0;
    assert_ok(slw_file_size(path, &size, &f.err), f.err);
    assert_int_equal(size, sizeof bytes);
    assert_true(slw_file_exists(path));
    assert_int_equal(entries_in(d), 1); /* no temporary file */
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void
get_refuses_what_is_too_large_and_keeps_the_buffer(void **state)
{
    SLW_AUTO(fixture, f);
    const char *path = slw_path(&f.arena, dir, "large");
    assert_ok(slw_file_put(path, SLW_STR("0123456789"), &f.err), f.err);
    SLW_AUTO(slw_buf, b);
    slw_buf_z(&b, "kept");
    assert_fails(slw_file_get(path, 9, &b, &f.err), SLW_LIMIT, f.err,
                 "larger than 9 bytes");
    assert_string_equal(b.ptr, "kept");
    SLW_AUTO(slw_buf, small);
    slw_buf_init(&small, 5);
    assert_fails(slw_file_get(path, 100, &small, &f.err), SLW_LIMIT, f.err,
                 "large");
    assert_int_equal(small.len, 0);
    assert_false(small.overflow);
    assert_ok(slw_file_get(path, 10, &b, &f.err), f.err);
    assert_string_equal(b.ptr, "kept0123456789");
}

static void
missing_files_are_not_found_and_named(void **state)
{
    SLW_AUTO(fixture, f);
    const char *path = slw_path(&f.arena, dir, "no/such");
    SLW_AUTO(slw_buf, b);
    int64_t size = 7;
    assert_fails(slw_file_get(path, 10, &b, &f.err), SLW_NOT_FOUND, f.err,
                 "no/such': No such file");
    assert_fails(slw_file_size(path, &size, &f.err), SLW_NOT_FOUND, f.err,
                 "no/such");
    assert_fails(slw_dir_sync(path, &f.err), SLW_NOT_FOUND, f.err, "no/such");
    assert_fails(slw_file_put(path, SLW_STR("x"), &f.err), SLW_NOT_FOUND, f.err,
                 "no/such");
    assert_int_equal(size, 7);
    assert_false(slw_file_exists(path));
    assert_ok(slw_file_remove(path, &f.err), f.err);
}

static void
a_folder_in_the_way_fails_without_leaving_a_temporary_file(void **state)
{
    SLW_AUTO(fixture, f);
    const char *d = sub_dir(&f, "way");
    const char *path = slw_path(&f.arena, d, "taken");
    assert_ok(slw_dir_make(path, &f.err), f.err);
    assert_fails(slw_file_put(path, SLW_STR("x"), &f.err), SLW_IO, f.err,
                 "taken': Is a directory");
    assert_int_equal(entries_in(d), 1);
}

static void
a_write_that_fails_half_way_keeps_the_old_file(void **state)
{
    SLW_AUTO(fixture, f);
    const char *d = sub_dir(&f, "torn");
    const char *path = slw_path(&f.arena, d, "f");
    assert_ok(slw_file_put(path, SLW_STR("old and whole"), &f.err), f.err);
    pid_t pid = fork();
    if (pid == 0) { /* files end at 4 KiB for this process */
        static char big[100000];
        struct rlimit limit = {4096, 4096};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        struct slw_err err;
        enum slw_rc rc =
            slw_file_put(path, (struct slw_str){big, sizeof big}, &err);
        _exit(rc == SLW_IO && strstr(err.msg, "File too large") ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    SLW_AUTO(slw_buf, b);
    assert_ok(slw_file_get(path, 100, &b, &f.err), f.err);
    assert_string_equal(b.ptr, "old and whole");
    assert_int_equal(entries_in(d), 1);
}

static void
a_process_killed_while_writing_leaves_a_whole_file(void **state)
{
    SLW_AUTO(fixture, f);
    const char *d = sub_dir(&f, "killed");
    const char *path = slw_path(&f.arena, d, "f");
    enum { SIZE = 200000 };
    for (int round = 0; round < 8; round++) {
        pid_t pid = fork();
        if (pid == 0) {
            static char bytes[SIZE];
            struct slw_err err;
            for (char c = 'a';; c = c == 'z' ? 'a' : (char)(c + 1)) {
                memset(bytes, c, SIZE);
                if (slw_file_put(path, (struct slw_str){bytes, SIZE}, &err) !=
                    SLW_OK)
                    _exit(1);
            }
        }
        for (int i = 0; i < 2000 && !slw_file_exists(path); i++)
            usleep(1000);
        usleep((useconds_t)(1000 + 1700 * round));
        kill(pid, SIGKILL);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        SLW_AUTO(slw_buf, b);
        assert_ok(slw_file_get(path, SIZE, &b, &f.err), f.err);
        assert_int_equal(b.len, SIZE);
        for (size_t i = 1; i < SIZE; i++)
            if (b.ptr[i] != b.ptr[0])
                fail_msg("byte %zu of round %d is of another write", i, round);
    }
}

static void
a_full_disk_is_said_in_words(void **state)
{
    struct slw_err err;
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        skip();
    assert_fails(slw_fd_write(fd, "x", 1, &err), SLW_IO, err,
                 "the disk is full");
    close(fd);
    assert_fails(slw_fd_write(-1, "x", 1, &err), SLW_IO, err,
                 "Bad file descriptor");
}

static void
commit_moves_a_finished_file_between_folders(void **state)
{
    SLW_AUTO(fixture, f);
    const char *from = slw_path(&f.arena, sub_dir(&f, "from"), "tmp");
    const char *to = slw_path(&f.arena, sub_dir(&f, "to"), "final");
    assert_ok(slw_file_put(from, SLW_STR("done"), &f.err), f.err);
    assert_ok(slw_file_commit(from, to, &f.err), f.err);
    assert_false(slw_file_exists(from));
    SLW_AUTO(slw_buf, b);
    assert_ok(slw_file_get(to, 10, &b, &f.err), f.err);
    assert_string_equal(b.ptr, "done");
    assert_fails(slw_file_commit(from, to, &f.err), SLW_NOT_FOUND, f.err,
                 "from/tmp");
    assert_true(slw_file_exists(to));
}

static void
folders_are_made_with_parents_and_removed_with_content(void **state)
{
    SLW_AUTO(fixture, f);
    const char *top = slw_path(&f.arena, dir, "tree");
    const char *deep = slw_path(&f.arena, top, "a//b/c/");
    assert_ok(slw_dir_make(deep, &f.err), f.err);
    assert_ok(slw_dir_make(deep, &f.err), f.err); /* again is fine */
    struct stat st;
    assert_int_equal(stat(deep, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    const char *file = slw_path(&f.arena, deep, "file");
    assert_ok(slw_file_put(file, SLW_STR("x"), &f.err), f.err);
    assert_fails(slw_dir_make(file, &f.err), SLW_IO, f.err,
                 "a file of that name exists");
    assert_int_equal(slw_dir_make(slw_path(&f.arena, file, "below"), &f.err),
                     SLW_IO);
    assert_fails(slw_dir_make("", &f.err), SLW_INVALID, f.err, "path");

    /* A link out of the tree is removed, not followed. */
    const char *kept = slw_path(&f.arena, sub_dir(&f, "outside"), "kept");
    assert_ok(slw_file_put(kept, SLW_STR("x"), &f.err), f.err);
    assert_int_equal(symlink(slw_path(&f.arena, dir, "outside"),
                             slw_path(&f.arena, deep, "link")),
                     0);
    assert_ok(slw_dir_remove(top, &f.err), f.err);
    assert_false(slw_file_exists(top));
    assert_true(slw_file_exists(kept));
    assert_ok(slw_dir_remove(top, &f.err), f.err); /* absent is fine */
}

struct names {
    char text[200];
    const char *stop_at;
};

static enum slw_rc
name_note(void *ctx, const char *path, const char *name, bool is_dir,
          struct slw_err *err)
{
    struct names *n = ctx;
    if (n->stop_at && strcmp(name, n->stop_at) == 0)
        return slw_fail(err, SLW_CONFLICT, "stopped at %s", path);
    assert_true(slw_str_ends(slw_str_of(path), name));
    size_t len = strlen(n->text);
    snprintf(n->text + len, sizeof n->text - len, "%s%s ", name,
             is_dir ? "/" : "");
    return SLW_OK;
}

static void
each_entry_is_visited_in_byte_order_until_one_fails(void **state)
{
    SLW_AUTO(fixture, f);
    const char *d = sub_dir(&f, "each");
    static const char *const names[] = {"b", "a", "C", "\xC3\xA4", "10", "9"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_ok(slw_file_put(slw_path(&f.arena, d, "%s", names[i]),
                               SLW_STR(""), &f.err),
                  f.err);
    assert_ok(slw_dir_make(slw_path(&f.arena, d, "aa"), &f.err), f.err);
    assert_int_equal(symlink(d, slw_path(&f.arena, d, "zlink")), 0);
    struct names n = {0};
    assert_ok(slw_dir_each(d, name_note, &n, &f.err), f.err);
    assert_string_equal(n.text, "10 9 C a aa/ b zlink \xC3\xA4 ");
    struct names until = {.stop_at = "b"};
    assert_fails(slw_dir_each(d, name_note, &until, &f.err), SLW_CONFLICT,
                 f.err, "each/b");
    assert_string_equal(until.text, "10 9 C a aa/ ");
    assert_fails(
        slw_dir_each(slw_path(&f.arena, d, "none"), name_note, &n, &f.err),
        SLW_NOT_FOUND, f.err, "none");
}

static void
a_held_lock_is_busy_until_it_is_given_back(void **state)
{
    SLW_AUTO(fixture, f);
    const char *path = slw_path(&f.arena, dir, "lock");
    {
        SLW_AUTO(slw_file_lock, first);
        SLW_AUTO(slw_file_lock, second);
        assert_false(slw_file_lock_held(path));
        assert_ok(slw_file_lock_take(&first, path, &f.err), f.err);
        assert_true(slw_file_lock_held(path));
        char part[40];
        snprintf(part, sizeof part, "pid %ld", (long)getpid());
        assert_fails(slw_file_lock_take(&second, path, &f.err), SLW_BUSY, f.err,
                     part);
        assert_int_equal(second.fd_plus_1, 0);
    }
    assert_false(slw_file_lock_held(path));
    SLW_AUTO(slw_file_lock, third);
    assert_ok(slw_file_lock_take(&third, path, &f.err), f.err);
    slw_file_lock_done(&third);
    slw_file_lock_done(&third);
}

static void
a_lock_dies_with_its_process(void **state)
{
    SLW_AUTO(fixture, f);
    const char *path = slw_path(&f.arena, dir, "lock2");
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct slw_file_lock l = {0};
        struct slw_err err;
        if (slw_file_lock_take(&l, path, &err) != SLW_OK)
            _exit(1);
        if (write(ready[1], "x", 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    char c;
    assert_int_equal(read(ready[0], &c, 1), 1);
    SLW_AUTO(slw_file_lock, mine);
    assert_fails(slw_file_lock_take(&mine, path, &f.err), SLW_BUSY, f.err,
                 "locked by another process");
    kill(pid, SIGKILL);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_ok(slw_file_lock_take(&mine, path, &f.err), f.err);
    close(ready[0]);
    close(ready[1]);
}

static void
paths_get_exactly_one_slash(void **state)
{
    SLW_AUTO(slw_arena, a);
    assert_string_equal(slw_path(&a, "/x", "%s-%d", "run", 5), "/x/run-5");
    assert_string_equal(slw_path(&a, "/x/", "y"), "/x/y");
}

static void
a_path_has_a_name_and_a_stem(void **state)
{
    static const char *const cases[][3] = {{"/a/b.csv", "b.csv", "b"},
                                           {"b", "b", "b"},
                                           {"a.b/c", "c", "c"},
                                           {"x.tar.gz", "x.tar.gz", "x.tar"},
                                           {"/a/.hidden", ".hidden", ".hidden"},
                                           {"a/", "", ""}};
    for (size_t i = 0; i < SLW_ARRAY_LEN(cases); i++) {
        const struct slw_str path = slw_str_of(cases[i][0]);
        assert_true(slw_str_eqz(slw_path_name(path), cases[i][1]));
        assert_true(slw_str_eqz(slw_path_stem(path), cases[i][2]));
    }
}

int
main(void)
{
    slw_test_dir(dir);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_then_get_gives_the_same_bytes),
        cmocka_unit_test(a_path_has_a_name_and_a_stem),
        cmocka_unit_test(get_refuses_what_is_too_large_and_keeps_the_buffer),
        cmocka_unit_test(missing_files_are_not_found_and_named),
        cmocka_unit_test(
            a_folder_in_the_way_fails_without_leaving_a_temporary_file),
        cmocka_unit_test(a_write_that_fails_half_way_keeps_the_old_file),
        cmocka_unit_test(a_process_killed_while_writing_leaves_a_whole_file),
        cmocka_unit_test(a_full_disk_is_said_in_words),
        cmocka_unit_test(commit_moves_a_finished_file_between_folders),
        cmocka_unit_test(
            folders_are_made_with_parents_and_removed_with_content),
        cmocka_unit_test(each_entry_is_visited_in_byte_order_until_one_fails),
        cmocka_unit_test(a_held_lock_is_busy_until_it_is_given_back),
        cmocka_unit_test(a_lock_dies_with_its_process),
        cmocka_unit_test(paths_get_exactly_one_slash),
    };
    return cmocka_run_group_tests_name("base/file", tests, NULL, NULL);
}
