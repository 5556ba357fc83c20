/* test_place.c -- what a backend store's URI names, and where the URIs of
 * artifacts lie. */
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "migrate/migrate_internal.h"
#include "tests/slw_test.h"

static void
a_uri_of_sqlite_is_a_path(void **state)
{
    static const struct {
        const char *uri, *path;
    } good[] = {{"sqlite:///mlflow.db", "mlflow.db"},
                {"sqlite:////srv/mlflow.db", "/srv/mlflow.db"},
                {"sqlite+pysqlite:////srv/m.db?timeout=5", "/srv/m.db"},
                {"mlflow.db", "mlflow.db"},
                {"./a/mlflow.db", "./a/mlflow.db"}};
    SLW_AUTO(slw_arena, a);
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct slw_err err;
        const char *path = NULL;
        assert_int_equal(
            slw_import_uri_check(slw_str_of(good[i].uri), &a, &path, &err),
            SLW_OK);
        assert_string_equal(path, good[i].path);
    }
}

static void
other_databases_get_a_sentence_without_their_password(void **state)
{
    static const char *const bad[] = {"postgresql://u:secret@h/db",
                                      "mysql+pymysql://u:secret@h/db",
                                      "mssql://u:secret@h/db",
                                      "sqlite://",
                                      "sqlite:///",
                                      "http://host:5000",
                                      ""};
    SLW_AUTO(slw_arena, a);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct slw_err err;
        const char *path = "untouched";
        assert_int_equal(
            slw_import_uri_check(slw_str_of(bad[i]), &a, &path, &err),
            SLW_INVALID);
        assert_string_equal(path, "untouched");
        assert_null(strstr(err.msg, "secret"));
        assert_string_not_equal(err.msg, "");
    }
}

static void
a_uri_says_where_artifacts_lie(void **state)
{
    static const struct {
        const char *uri;
        enum migrate_place place;
        const char *path;
    } cases[] = {
        {"mlflow-artifacts:/1/ab/artifacts", MIGRATE_OURS, "1/ab/artifacts"},
        {"mlflow-artifacts://host:5000/1/ab/artifacts", MIGRATE_OURS,
         "1/ab/artifacts"},
        {"/srv/mlruns/1/ab/artifacts", MIGRATE_LOCAL,
         "/srv/mlruns/1/ab/artifacts"},
        {"./mlruns/0/ab/artifacts", MIGRATE_LOCAL, "./mlruns/0/ab/artifacts"},
        {"file:///srv/m%20n/1", MIGRATE_LOCAL, "/srv/m n/1"},
        {"file:/srv/1", MIGRATE_LOCAL, "/srv/1"},
        {"file://host/srv/1", MIGRATE_LOCAL, "/srv/1"},
        {"file:///srv/100%", MIGRATE_LOCAL, "/srv/100%"},
        {"C:\\mlruns\\1", MIGRATE_LOCAL, "C:\\mlruns\\1"},
        {"s3://bucket/1/ab/artifacts", MIGRATE_ELSEWHERE, ""},
        {"dbfs:/x", MIGRATE_ELSEWHERE, ""},
        {"models:/m/1", MIGRATE_ELSEWHERE, ""},
        {"mlflow-artifacts:/../../etc", MIGRATE_ELSEWHERE, ""},
        {"", MIGRATE_LOCAL, ""}};
    SLW_AUTO(slw_arena, a);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slw_str path;
        assert_int_equal(migrate_place_of(slw_str_of(cases[i].uri), &a, &path),
                         cases[i].place);
        assert_true(slw_str_eqz(path, cases[i].path));
    }
}

static const char *
find(const char *root, const char *path, struct slw_arena *a)
{
    const char *found = migrate_folder_find(root, slw_str_of(path), a);
    return found ? found : "(none)";
}

static void
a_folder_is_found_by_the_end_of_its_path_and_only_below_the_root(void **state)
{
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    char made[256], dir[PATH_MAX];
    slw_test_dir(made);
    assert_non_null(realpath(made, dir));
    const char *root = slw_path(&a, dir, "root");
    const char *inside = slw_path(&a, root, "1/ab/artifacts");
    const char *outside = slw_path(&a, dir, "other/1/cd/artifacts");
    assert_int_equal(slw_dir_make(inside, &err), SLW_OK);
    assert_int_equal(slw_dir_make(outside, &err), SLW_OK);
    assert_int_equal(
        slw_file_put(slw_path(&a, root, "1/file"), SLW_STR("x"), &err), SLW_OK);
    assert_int_equal(symlink(outside, slw_path(&a, root, "1/link")), 0);

    assert_string_equal(find(root, inside, &a), inside);
    assert_string_equal(find(root, "1/ab/artifacts", &a), inside);
    assert_string_equal(find(root, "/old/mlruns/1/ab/artifacts", &a), inside);
    assert_string_equal(find(root, "./mlruns/1/ab/artifacts", &a), inside);
    assert_string_equal(find(root, outside, &a), "(none)");
    assert_string_equal(find(root, "../other/1/cd/artifacts", &a), "(none)");
    assert_string_equal(find(root, "x/1/link", &a), "(none)");
    assert_string_equal(find(root, "x/1/file", &a), "(none)");
    assert_string_equal(find(root, "nothing/here", &a), "(none)");
    assert_string_equal(find(root, "", &a), "(none)");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_uri_of_sqlite_is_a_path),
        cmocka_unit_test(other_databases_get_a_sentence_without_their_password),
        cmocka_unit_test(a_uri_says_where_artifacts_lie),
        cmocka_unit_test(
            a_folder_is_found_by_the_end_of_its_path_and_only_below_the_root),
    };
    return cmocka_run_group_tests_name("migrate/place", tests, NULL, NULL);
}
