/* test_engine.c -- plug-ins that are missing, broken, foreign or fine.
 *
 * The plug-ins are compiled here with the C compiler that built the test
 * ($CC, or cc); without one those tests are skipped. */
#include "base/engine.h"

#include "base/file.h"
#include "base/proc.h"
#include "tests/slw_test.h"

static char dir[256];

static const char HEAD[] =
    "struct err { int rc; const char *where; char msg[512]; };\n"
    "struct head { int abi; const char *name, *remedy;\n"
    "  int (*open)(const char *, const void **, char *, struct err *); };\n"
    "static int opened;\n";

/* Compile a plug-in into the folder; false when there is no compiler. */
static bool
plugin_build(const char *name, const char *body)
{
    char out[300];
    snprintf(out, sizeof out, "%s/%s.so", dir, name);
    SLW_AUTO(slw_buf, source);
    slw_buf_printf(&source, "%s%s", HEAD, body);
    const char *cc = getenv("CC") ? getenv("CC") : "cc";
    struct slw_err err;
    SLW_AUTO(slw_proc_result, r);
    struct slw_proc_spec spec = {
        .argv = (const char *const[]){"sh", "-c",
                                      "exec $0 -shared -fPIC -x c - -o $1", cc,
                                      out, NULL},
        .capture = true,
        .stdin_text = slw_buf_view(&source)};
    assert_ok(slw_proc_run(&spec, &r, &err), err);
    if (r.exit_code == 127)
        return false;
    if (r.exit_code != 0)
        fail_msg("%s", r.errout.ptr);
    return true;
}

static void
a_missing_engine_is_not_found_with_a_remedy(void **state)
{
    struct slw_err err;
    const void *ops = &err;
    assert_fails(slw_engine_get("nosuch", &ops, &err), SLW_NOT_FOUND, err,
                 "'nosuch' is not installed");
    assert_non_null(strstr(err.msg, "slipway doctor"));
    assert_ptr_equal(ops, &err);
    const char *version = "kept";
    assert_int_equal(slw_engine_version("nosuch", &version, &err),
                     SLW_NOT_FOUND);
    assert_string_equal(version, "kept");
}

static void
a_file_that_is_no_library_is_not_found_with_the_reason(void **state)
{
    struct slw_err err;
    char path[300];
    snprintf(path, sizeof path, "%s/garbage.so", dir);
    assert_ok(slw_file_put(path, SLW_STR("not a library"), &err), err);
    const void *ops = NULL;
    assert_fails(slw_engine_get("garbage", &ops, &err), SLW_NOT_FOUND, err,
                 "does not load");
    assert_non_null(strstr(err.msg, "garbage.so"));
    assert_non_null(strstr(err.msg, "slipway doctor"));
}

static void
a_good_engine_is_opened_once_and_shared(void **state)
{
    if (!plugin_build(
            "good",
            "static int open_it(const char *d, const void **o, char *v,\n"
            "                   struct err *e) {\n"
            "  opened++; *o = &opened; v[0] = '7'; v[1] = 0; return 0; }\n"
            "const struct head slw_engine = {1, \"good\", \"x\", open_it};\n"))
        skip();
    struct slw_err err;
    const void *ops = NULL, *again = NULL;
    const char *version = NULL;
    assert_ok(slw_engine_get("good", &ops, &err), err);
    assert_ok(slw_engine_get("good", &again, &err), err);
    assert_ok(slw_engine_version("good", &version, &err), err);
    assert_ptr_equal(ops, again);
    assert_string_equal(version, "7");
    assert_int_equal(*(const int *)ops, 1);
}

static void
an_engine_whose_library_is_missing_says_how_to_get_it(void **state)
{
    if (!plugin_build(
            "needy",
            "static int open_it(const char *d, const void **o, char *v,\n"
            "                   struct err *e) {\n"
            "  const char *w = \"libneedy.so: cannot open\";\n"
            "  int i = 0; for (; w[i]; i++) e->msg[i] = w[i];\n"
            "  e->msg[i] = 0; if (opened++) { *o = w; v[0] = 0; return 0; }\n"
            "  return e->rc = 2; }\n"
            "const struct head slw_engine = {1, \"needy\",\n"
            "  \"run 'slipway setup needy'\", open_it};\n"))
        skip();
    struct slw_err err;
    const void *ops = NULL;
    assert_fails(slw_engine_get("needy", &ops, &err), SLW_NOT_FOUND, err,
                 "libneedy.so: cannot open; run 'slipway setup needy'");
    assert_null(ops);
    /* The failure is not remembered: installed meanwhile, it loads. */
    assert_ok(slw_engine_get("needy", &ops, &err), err);
    assert_non_null(ops);
}

static void
an_engine_of_another_abi_or_name_is_refused(void **state)
{
    if (!plugin_build("later", "const struct head slw_engine = {99, \"later\","
                               " \"x\", (void *)1};\n"))
        skip();
    assert_true(plugin_build("alias", "const struct head slw_engine = {1,"
                                      " \"other\", \"x\", (void *)1};\n"));
    assert_true(plugin_build("empty", ""));
    static const char *const names[] = {"later", "alias", "empty"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct slw_err err;
        const void *ops = NULL;
        assert_fails(slw_engine_get(names[i], &ops, &err), SLW_NOT_FOUND, err,
                     "is not the engine");
        assert_null(ops);
    }
}

static void
the_library_folder_is_the_one_that_holds_the_engine(void **state)
{
    if (!plugin_build(
            "placed",
            "static char where[4096];\n"
            "static int open_it(const char *d, const void **o, char *v,\n"
            "                   struct err *e) {\n"
            "  int i = 0; for (; d[i]; i++) where[i] = d[i];\n"
            "  *o = where; v[0] = 0; return 0; }\n"
            "const struct head slw_engine = {1, \"placed\", \"x\","
            " open_it};\n"))
        skip();
    struct slw_err err;
    char libs[300], below[320];
    snprintf(libs, sizeof libs, "%s/libs", dir);
    snprintf(below, sizeof below, "%s/placed", libs);
    assert_ok(slw_dir_make(below, &err), err);
    setenv("SLIPWAY_LIBS", libs, 1);
    const void *ops = NULL;
    assert_ok(slw_engine_get("placed", &ops, &err), err);
    assert_string_equal(ops, libs);
}

int
main(void)
{
    slw_test_dir(dir);
    setenv("SLIPWAY_ENGINES", dir, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_engine_is_not_found_with_a_remedy),
        cmocka_unit_test(
            a_file_that_is_no_library_is_not_found_with_the_reason),
        cmocka_unit_test(a_good_engine_is_opened_once_and_shared),
        cmocka_unit_test(an_engine_whose_library_is_missing_says_how_to_get_it),
        cmocka_unit_test(an_engine_of_another_abi_or_name_is_refused),
        cmocka_unit_test(the_library_folder_is_the_one_that_holds_the_engine),
    };
    return cmocka_run_group_tests_name("base/engine", tests, NULL, NULL);
}
