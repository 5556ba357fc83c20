/* test_access.c -- tokens: open until the first, then by role; a revoked one
 * is refused; secrets are not stored. */
#include "access/access.h"
#include "tests/slw_test.h"

static struct slw_store *store;
static char dir[256];

static int
setup(void **state)
{
    struct slw_err err;
    slw_test_dir(dir);
    struct slw_store_options opt = {.dir = dir, .server = true};
    assert_ok(slw_store_open(&store, &opt, &err), err);
    return 0;
}

static int
teardown(void **state)
{
    slw_store_close(store);
    return 0;
}

static void
make(const char *name, enum slw_role role, char secret[64])
{
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, store, &err), err);
    assert_ok(
        slw_access_token_make(&tx, 1000, slw_str_of(name), role, secret, &err),
        err);
    assert_ok(slw_tx_commit(&tx, &err), err);
}

static enum slw_rc
check(struct slw_access *a, const char *header, enum slw_role *role)
{
    struct slw_err err;
    return slw_access_check(a, slw_str_of(header), role, &err);
}

static void
everybody_is_admin_until_the_first_token(void **state)
{
    struct slw_err err;
    struct slw_access *a = NULL;
    enum slw_role role = SLW_ROLE_NONE;
    assert_ok(slw_access_open(&a, store, &err), err);
    assert_true(slw_access_is_open(a));
    assert_int_equal(check(a, "", &role), SLW_OK);
    assert_int_equal(role, SLW_ROLE_ADMIN);
    slw_access_close(a);
}

static void
a_token_gives_its_role_and_anything_else_nothing(void **state)
{
    struct slw_err err;
    struct slw_access *a = NULL;
    enum slw_role role = SLW_ROLE_NONE;
    char secret[64], header[128];
    make("reader", SLW_ROLE_READER, secret);
    assert_ok(slw_access_open(&a, store, &err), err);
    assert_false(slw_access_is_open(a));
    assert_int_equal(check(a, "", &role), SLW_DENIED);
    assert_int_equal(check(a, "Bearer slw_wrong", &role), SLW_DENIED);
    assert_int_equal(role, SLW_ROLE_NONE);
    snprintf(header, sizeof header, "Bearer %s", secret);
    assert_int_equal(check(a, header, &role), SLW_OK);
    assert_int_equal(role, SLW_ROLE_READER);
    slw_access_close(a);
}

static void
a_token_says_whose_it_is_and_nothing_else_does(void **state)
{
    struct slw_err err;
    struct slw_access *a = NULL;
    SLW_AUTO(slw_arena, arena);
    char secret[64], header[128];
    make("carol", SLW_ROLE_READER, secret);
    assert_ok(slw_access_open(&a, store, &err), err);
    snprintf(header, sizeof header, "Bearer %s", secret);
    assert_true(
        slw_str_eqz(slw_access_who(a, slw_str_of(header), &arena), "carol"));
    static const char *const others[] = {"", "Bearer ", "Bearer carol",
                                         "Basic YW5uYTpvcGVu"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_int_equal(slw_access_who(a, slw_str_of(others[i]), &arena).len,
                         0);
    slw_access_close(a);
}

static void
basic_authentication_takes_the_token_as_password(void **state)
{
    /* "anna:open" is no token; the base64 was made by coreutils. */
    struct slw_err err;
    struct slw_access *a = NULL;
    enum slw_role role = SLW_ROLE_NONE;
    assert_ok(slw_access_open(&a, store, &err), err);
    assert_int_equal(check(a, "Basic YW5uYTpvcGVu", &role), SLW_DENIED);
    assert_int_equal(check(a, "Basic %%%", &role), SLW_DENIED);
    slw_access_close(a);
}

static void
a_revoked_token_is_refused_and_a_name_is_taken_once(void **state)
{
    struct slw_err err;
    struct slw_access *a = NULL;
    enum slw_role role = SLW_ROLE_NONE;
    char secret[64], header[128];
    make("ci", SLW_ROLE_WRITER, secret);
    assert_ok(slw_access_open(&a, store, &err), err);
    snprintf(header, sizeof header, "Bearer %s", secret);
    assert_int_equal(check(a, header, &role), SLW_OK);
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, store, &err), err);
        assert_int_equal(slw_access_token_make(&tx, 1, SLW_STR("ci"),
                                               SLW_ROLE_ADMIN, secret, &err),
                         SLW_CONFLICT);
    }
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, store, &err), err);
        assert_ok(slw_access_token_revoke(&tx, 2, SLW_STR("ci"), &err), err);
        assert_ok(slw_tx_commit(&tx, &err), err);
    }
    assert_ok(slw_access_reload(a, &err), err);
    assert_int_equal(check(a, header, &role), SLW_DENIED);
    slw_access_close(a);
}

static void
the_list_shows_roles_and_never_a_secret(void **state)
{
    struct slw_err err;
    char secret[64];
    make("shown", SLW_ROLE_DEPLOYER, secret);
    SLW_AUTO(slw_buf, b);
    struct slw_jw w;
    slw_jw_init(&w, &b);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, store, &err), err);
    assert_ok(slw_access_token_list(&tx, &w, &err), err);
    assert_non_null(strstr(b.ptr, "\"deployer\""));
    assert_null(strstr(b.ptr, secret));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_is_admin_until_the_first_token),
        cmocka_unit_test(a_token_gives_its_role_and_anything_else_nothing),
        cmocka_unit_test(a_token_says_whose_it_is_and_nothing_else_does),
        cmocka_unit_test(basic_authentication_takes_the_token_as_password),
        cmocka_unit_test(a_revoked_token_is_refused_and_a_name_is_taken_once),
        cmocka_unit_test(the_list_shows_roles_and_never_a_secret),
    };
    return cmocka_run_group_tests_name("access/access", tests, setup, teardown);
}
