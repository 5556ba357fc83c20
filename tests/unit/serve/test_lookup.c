/* test_lookup.c -- features by entity: order of columns, what time they are
 * of, and what happens when they are absent or too old. */
#include "serve/serve.h"
#include "tests/slw_test.h"

#include "tests/unit/serve/fixture.h"

/* What features.materialize leaves behind, written here by hand. */
static void
sql(struct fixture *f, const char *text)
{
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    SLW_AUTO(slw_stmt, st);
    assert_ok(slw_tx_begin(&tx, f->store, &err), err);
    assert_ok(slw_stmt_prepare_text(&st, &tx, slw_str_of(text), &err), err);
    assert_ok(slw_stmt_run(&st, &err), err);
    slw_stmt_done(&st);
    assert_ok(slw_tx_commit(&tx, &err), err);
}

static void
view(struct fixture *f, const char *name, const char *columns)
{
    char text[512];
    snprintf(text, sizeof text,
             "INSERT INTO features_view VALUES('%s', '{}', 'h', 1, 0, 1, '{}',"
             " '[]', 1, 'h', 86400000, '%s')",
             name, columns);
    sql(f, text);
}

static void
online(struct fixture *f, const char *name, const char *entity,
       int64_t event_ms, const double *values, size_t count)
{
    char text[512];
    size_t len = (size_t)snprintf(text, sizeof text,
                                  "INSERT INTO features_online VALUES('%s',"
                                  " '%s', %lld, x'",
                                  name, entity, (long long)event_ms);
    const unsigned char *bytes = (const unsigned char *)values;
    for (size_t i = 0; i < count * sizeof *values; i++)
        len +=
            (size_t)snprintf(text + len, sizeof text - len, "%02x", bytes[i]);
    snprintf(text + len, sizeof text - len, "')");
    sql(f, text);
}

#define VIEWS                                                                  \
    "[{\"name\": \"v\", \"ttl_ms\": 86400000},"                                \
    " {\"name\": \"w\", \"ttl_ms\": 86400000}]"

/* Columns c of w and b, a of v; 'a' is in another order there. */
static int
setup(void **state)
{
    fixture_setup(state);
    struct fixture *f = *state;
    int64_t version = add_version(f, "a * 100 + b * 10 + c", "-c",
                                  "\"c\", \"b\", \"a\"", VIEWS);
    view(f, "v", "a\nb\nunused");
    view(f, "w", "c");
    const double v[] = {1, 2, 9}, w[] = {3};
    online(f, "v", "AAPL", NOW_MS - 5000, v, 3);
    online(f, "w", "AAPL", NOW_MS - 7000, w, 1);
    do_act(f, SLW_SERVE_DEPLOY, version, 0);
    return 0;
}

static enum slw_rc
look(struct fixture *f, const char *key, int64_t event_ms,
     struct slw_predict_out *out, double *y, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    const struct slw_predict_in in = {.key = slw_str_of(key),
                                      .event_ms = event_ms};
    *out = (struct slw_predict_out){.y = y};
    return predict(f->serve, SLW_STR("d"), &in, &a, out, err);
}

static void
columns_come_from_the_views_by_name(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_predict_out out;
    double y;
    assert_ok(look(f, "AAPL", 0, &out, &y, &err), err);
    assert_near(y, 123, 0);
    assert_int_equal(out.by, SLW_BY_CHAMPION);
    assert_int_equal(out.event_ms, NOW_MS - 5000);
    assert_ok(look(f, "AAPL", 4711, &out, &y, &err), err);
    assert_int_equal(out.event_ms, 4711);
}

static void
an_unknown_entity_is_named_with_its_view(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_predict_out out;
    double y;
    assert_fails(look(f, "NOPE", 0, &out, &y, &err), SLW_NOT_FOUND, err,
                 "view 'v' has no features of symbol 'NOPE'");
    assert_fails(look(f, "", 0, &out, &y, &err), SLW_INVALID, err, "symbol");
}

static void
old_features_leave_it_to_the_rule_or_are_refused_with_their_age(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_predict_out out;
    double y;
    /* v is 3 days old, w is fresh: the rule needs c of w only. */
    const double v[] = {1, 2, 9}, w[] = {3};
    online(f, "v", "OLD", NOW_MS - 3 * SLW_DAY_MS, v, 3);
    online(f, "w", "OLD", NOW_MS, w, 1);
    assert_ok(look(f, "OLD", 0, &out, &y, &err), err);
    assert_near(y, -3, 0);
    assert_int_equal(out.by, SLW_BY_FALLBACK);
    assert_string_equal(out.reason, "missing_features");
    online(f, "v", "OLDER", NOW_MS, v, 3);
    online(f, "w", "OLDER", NOW_MS - 3 * SLW_DAY_MS, w, 1);
    assert_fails(look(f, "OLDER", 0, &out, &y, &err), SLW_NOT_FOUND, err,
                 "'OLDER' in the view 'w' are 3.0 days old");
    assert_non_null(strstr(err.msg, "ttl is 24.0 hours"));
}

static void
a_column_no_view_has_is_named(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_predict_out out;
    double y;
    int64_t version = add_version(f, "a + zz", "-zz", "\"a\", \"zz\"",
                                  "[{\"name\": \"v\", \"ttl_ms\": 1000}]");
    do_act(f, SLW_SERVE_DEPLOY, version, 0);
    assert_fails(look(f, "AAPL", 0, &out, &y, &err), SLW_NOT_FOUND, err,
                 "column 'zz'");
    version = add_version(f, "a", "-1", "\"a\"", "[{\"name\": \"gone\"}]");
    do_act(f, SLW_SERVE_DEPLOY, version, 0);
    assert_ok(look(f, "AAPL", 0, &out, &y, &err), err);
    assert_near(y, -1, 0); /* this rule needs nothing */
    assert_string_equal(out.reason, "missing_features");
}

static void
a_canary_looks_up_its_own_columns(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_predict_out out;
    double y;
    int64_t version =
        add_version(f, "unused + c", "-c", "\"unused\", \"c\"", VIEWS);
    do_act(f, SLW_SERVE_CANARY, version, 1.0);
    assert_ok(look(f, "AAPL", 0, &out, &y, &err), err);
    assert_near(y, 12, 0);
    assert_int_equal(out.by, SLW_BY_CANARY);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(columns_come_from_the_views_by_name),
        T(an_unknown_entity_is_named_with_its_view),
        T(old_features_leave_it_to_the_rule_or_are_refused_with_their_age),
        T(a_column_no_view_has_is_named),
        T(a_canary_looks_up_its_own_columns),
    };
    return cmocka_run_group_tests_name("serve/lookup", tests, NULL, NULL);
}
