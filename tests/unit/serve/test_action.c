/* test_action.c -- declaring, deploying, canaries, promotion, roll-back:
 * what each does to the row, the aliases, the history, the event log and the
 * next answer, and what each refuses. */
#include "serve/serve.h"
#include "tests/slw_test.h"

#include "tests/unit/serve/fixture.h"

static int64_t
alias(struct fixture *f, const char *name)
{
    struct slw_err err;
    int64_t version = 0;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, f->store, &err), err);
    enum slw_rc rc = slw_registry_alias_at(&tx, SLW_STR("m"), slw_str_of(name),
                                           INT64_MAX, &version, &err);
    return rc == SLW_OK ? version : 0;
}

static bool
has_event(struct fixture *f, const char *kind, const char *part)
{
    struct slw_err err;
    struct slw_event e = {0};
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, f->store, &err), err);
    while (slw_event_after(&tx, e.id, slw_str_of(kind), SLW_STR("d"), &a, &e,
                           &err) == SLW_OK)
        if (strstr(e.payload.ptr, part))
            return true;
    return false;
}

static void
nothing_deployed_is_said_as_busy(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_predict_out out;
    double y = 7;
    assert_fails(ask(f, "k", 1, 2, &y, &out, &err), SLW_BUSY, err,
                 "nothing is deployed on 'd'");
    assert_false(slw_serve_ready(f->serve, SLW_STR("d")));
    assert_near(y, 7, 0);
}

static void
an_unknown_deployment_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    const double x[] = {1, 2};
    SLW_AUTO(slw_arena, a);
    struct slw_predict_out out = {0};
    const struct slw_predict_in in = {.x = x, .row_count = 1};
    assert_fails(predict(f->serve, SLW_STR("nope"), &in, &a, &out, &err),
                 SLW_NOT_FOUND, err, "'nope'");
    assert_fails(slw_serve_act(f->serve, NOW_MS, SLW_STR("nope"),
                               SLW_SERVE_DEPLOY, 1, 0, -1, SLW_STR(""), &err),
                 SLW_NOT_FOUND, err, "'nope'");
}

static void
deploy_answers_at_once_and_moves_the_alias(void **state)
{
    struct fixture *f = *state;
    struct slw_predict_out out;
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    assert_near(answer(f, "k", 1, 2, &out), 3, 0);
    assert_int_equal(out.by, SLW_BY_CHAMPION);
    assert_int_equal(out.version, 1);
    assert_string_equal(out.reason, "");
    assert_int_equal(strlen(out.release), 64);
    assert_int_equal(alias(f, "champion"), 1);
    assert_true(has_event(f, "serve.deployed", "\"to\":1"));
    assert_true(slw_serve_ready(f->serve, SLW_STR("d")));
}

static void
deploying_again_keeps_the_old_one_as_previous(void **state)
{
    struct fixture *f = *state;
    SLW_AUTO(slw_arena, a);
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    do_act(f, SLW_SERVE_DEPLOY, 2, 0);
    struct slw_deployment d = row(f, &a);
    assert_int_equal(d.champion_version, 2);
    assert_int_equal(d.previous_version, 1);
    do_act(f, SLW_SERVE_DEPLOY, 2, 0); /* no change */
    struct slw_deployment again = row(f, &a);
    assert_int_equal(again.revision, d.revision);
    assert_int_equal(again.previous_version, 1);
}

static void
a_canary_is_promoted_and_rolled_back(void **state)
{
    struct fixture *f = *state;
    SLW_AUTO(slw_arena, a);
    struct slw_predict_out out;
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    do_act(f, SLW_SERVE_CANARY, 2, 1.0);
    assert_int_equal(alias(f, "champion"), 1);
    assert_int_equal(alias(f, "challenger"), 2);
    assert_near(answer(f, "k", 1, 2, &out), 103, 0);
    assert_int_equal(out.by, SLW_BY_CANARY);
    do_act(f, SLW_SERVE_WEIGHT, 0, 0.0);
    assert_near(answer(f, "k", 1, 2, &out), 3, 0);
    do_act(f, SLW_SERVE_PROMOTE, 0, 0);
    assert_near(answer(f, "k", 1, 2, &out), 103, 0);
    assert_int_equal(out.by, SLW_BY_CHAMPION);
    assert_int_equal(alias(f, "champion"), 2);
    do_act(f, SLW_SERVE_ROLLBACK, 0, 0);
    assert_near(answer(f, "k", 1, 2, &out), 3, 0);
    assert_int_equal(alias(f, "champion"), 1);
    struct slw_deployment d = row(f, &a);
    assert_int_equal(d.previous_version, 2);
    assert_int_equal(d.canary_version, 0);
    assert_true(has_event(f, "serve.rolled_back", "\"from\":2"));
}

static void
rolling_back_a_canary_leaves_the_champion(void **state)
{
    struct fixture *f = *state;
    struct slw_predict_out out;
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    do_act(f, SLW_SERVE_CANARY, 2, 1.0);
    do_act(f, SLW_SERVE_ROLLBACK, 0, 0);
    assert_near(answer(f, "k", 1, 2, &out), 3, 0);
    assert_int_equal(out.by, SLW_BY_CHAMPION);
}

static void
a_version_whose_rule_answers_is_not_rolled_back_to(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_predict_out out;
    do_act(f, SLW_SERVE_RULE, 1, 0);
    assert_near(answer(f, "k", 1, 2, &out), -1, 0);
    assert_string_equal(out.reason, "withdrawn");
    assert_int_equal(alias(f, "champion"), 0);
    assert_fails(act(f, SLW_SERVE_RULE, 2, 0, &err), SLW_CONFLICT, err,
                 "withdraw it instead");
    do_act(f, SLW_SERVE_DEPLOY, 2, 0);
    assert_near(answer(f, "k", 1, 2, &out), 103, 0);
    assert_fails(act(f, SLW_SERVE_ROLLBACK, 0, 0, &err), SLW_CONFLICT, err,
                 "nothing before the champion");
}

static void
a_withdrawn_champion_is_left_by_rolling_back(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    struct slw_predict_out out;
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    do_act(f, SLW_SERVE_DEPLOY, 2, 0);
    do_act(f, SLW_SERVE_WITHDRAW, 0, 0);
    do_act(f, SLW_SERVE_ROLLBACK, 0, 0);
    assert_near(answer(f, "k", 1, 2, &out), 3, 0);
    assert_int_equal(row(f, &a).previous_version, 0);
    assert_fails(act(f, SLW_SERVE_ROLLBACK, 0, 0, &err), SLW_CONFLICT, err,
                 "nothing before the champion");
    do_act(f, SLW_SERVE_WITHDRAW, 0, 0);
    do_act(f, SLW_SERVE_RESTORE, 0, 0);
    assert_near(answer(f, "k", 1, 2, &out), 3, 0);
    assert_int_equal(alias(f, "champion"), 1);
}

static void
what_the_state_does_not_allow_is_refused(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    assert_fails(act(f, SLW_SERVE_CANARY, 2, 0.5, &err), SLW_CONFLICT, err,
                 "needs a champion");
    assert_fails(act(f, SLW_SERVE_ROLLBACK, 0, 0, &err), SLW_CONFLICT, err,
                 "nothing before the champion");
    assert_fails(act(f, SLW_SERVE_WITHDRAW, 0, 0, &err), SLW_CONFLICT, err,
                 "nothing is deployed");
    assert_fails(act(f, SLW_SERVE_DEPLOY, 0, 0, &err), SLW_INVALID, err,
                 "name the version");
    assert_fails(act(f, SLW_SERVE_DEPLOY, 99, 0, &err), SLW_NOT_FOUND, err,
                 "99");
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    const int64_t revision = row(f, &a).revision;
    assert_fails(act(f, SLW_SERVE_CANARY, 1, 0.5, &err), SLW_CONFLICT, err,
                 "the champion already");
    assert_fails(act(f, SLW_SERVE_CANARY, 2, 0, &err), SLW_INVALID, err,
                 "weight");
    assert_fails(act(f, SLW_SERVE_CANARY, 2, 1.5, &err), SLW_INVALID, err,
                 "weight");
    assert_fails(act(f, SLW_SERVE_CANARY, 2, NAN, &err), SLW_INVALID, err,
                 "weight");
    assert_fails(act(f, SLW_SERVE_PROMOTE, 0, 0, &err), SLW_CONFLICT, err,
                 "no canary to promote");
    assert_fails(act(f, SLW_SERVE_WEIGHT, 0, 0.5, &err), SLW_CONFLICT, err,
                 "no canary");
    assert_fails(act(f, SLW_SERVE_RESTORE, 0, 0, &err), SLW_CONFLICT, err,
                 "not withdrawn");
    do_act(f, SLW_SERVE_CANARY, 2, 0.5);
    assert_fails(act(f, SLW_SERVE_CANARY, 3, 0.5, &err), SLW_CONFLICT, err,
                 "another canary");
    assert_int_equal(row(f, &a).revision, revision + 1);
}

static void
a_release_that_does_not_load_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    struct slw_predict_out out;
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    int64_t bad = add_version(f, "a + nonsense", "-a", "\"a\", \"b\"", "[]");
    const struct slw_deployment before = row(f, &a);
    assert_fails(act(f, SLW_SERVE_DEPLOY, bad, 0, &err), SLW_CORRUPT, err,
                 "nothing was changed");
    const struct slw_deployment after = row(f, &a);
    assert_int_equal(after.revision, before.revision);
    assert_int_equal(alias(f, "champion"), 1);
    assert_near(answer(f, "k", 1, 2, &out), 3, 0);
}

static void
a_version_without_a_release_is_refused(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    int64_t version = 0;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, f->store, &err), err);
    assert_ok(slw_registry_version_add(&tx, NOW_MS, SLW_STR("m"), SLW_STR(""),
                                       SLW_STR(""), SLW_STR("s3://b/m"),
                                       SLW_STR(""), &version, &err),
              err);
    assert_ok(slw_tx_commit(&tx, &err), err);
    assert_fails(act(f, SLW_SERVE_DEPLOY, version, 0, &err), SLW_CONFLICT, err,
                 "without a release");
}

static void
bad_declarations_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name, *def, *part;
    } cases[] = {
        {"stats", "{\"model\":\"m\"}", "no name of a deployment"},
        {"a/b", "{\"model\":\"m\"}", "no name of a deployment"},
        {"e", "[]", "JSON object"},
        {"e", "{}", "model"},
        {"e", "{\"model\":\"m\",\"name\":\"x\"}", "not of 'e'"},
        {"e", "{\"model\":\"m\",\"timeout_ms\":0}", "timeout_ms"},
        {"e", "{\"model\":\"m\",\"rollout\":{}}", "rollout"},
        {"e", "{\"model\":\"m\",\"rollout\":[{\"canary\":2}]}", "step 1"},
        {"e",
         "{\"model\":\"m\",\"rollout\":[{\"canary\":0.5},"
         "{\"canary\":0.1}]}",
         "step 2"},
        {"e", "{\"model\":\"m\",\"shadow\":[\"x\"]}", "shadow"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slw_err err;
        assert_fails(slw_serve_declare(f->serve, NOW_MS,
                                       slw_str_of(cases[i].name),
                                       slw_str_of(cases[i].def), &err),
                     SLW_INVALID, err, cases[i].part);
    }
}

static void
a_live_deployment_keeps_its_model(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    assert_fails(slw_serve_declare(f->serve, NOW_MS, SLW_STR("d"),
                                   SLW_STR("{\"model\":\"other\"}"), &err),
                 SLW_CONFLICT, err, "model 'm'");
}

static void
the_state_is_there_again_after_a_restart(void **state)
{
    struct fixture *f = *state;
    struct slw_predict_out out;
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    do_act(f, SLW_SERVE_CANARY, 2, 1.0);
    fixture_close(f);
    fixture_open(f);
    assert_near(answer(f, "k", 1, 2, &out), 103, 0);
    do_act(f, SLW_SERVE_ROLLBACK, 0, 0);
    do_act(f, SLW_SERVE_WITHDRAW, 0, 0);
    fixture_close(f);
    fixture_open(f);
    assert_near(answer(f, "k", 1, 2, &out), -1, 0);
    assert_string_equal(out.reason, "withdrawn");
}

static void
history_says_what_happened_newest_first(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    do_act(f, SLW_SERVE_DEPLOY, 1, 0);
    do_act(f, SLW_SERVE_CANARY, 2, 0.25);
    SLW_AUTO(slw_buf, b);
    SLW_AUTO(slw_tx, tx);
    SLW_AUTO(slw_json, doc);
    struct slw_jw w;
    slw_jw_init(&w, &b);
    assert_ok(slw_tx_read(&tx, f->store, &err), err);
    assert_ok(slw_serve_history(&tx, SLW_STR("d"), 10, &w, &err), err);
    assert_ok(slw_json_parse(&doc, slw_buf_view(&b), &err), err);
    assert_int_equal(slw_json_len(doc.root), 3);
    const struct json_t *first = slw_json_at(doc.root, 0);
    assert_true(slw_str_eqz(
        slw_json_str_or(slw_json_get(first, "action"), SLW_STR("")), "canary"));
    assert_int_equal(slw_json_i64_or(slw_json_get(first, "from"), 0), 1);
    assert_int_equal(slw_json_i64_or(slw_json_get(first, "to"), 0), 2);
    assert_near(slw_json_f64_or(slw_json_get(first, "weight"), 0), 0.25, 0);
    assert_true(slw_str_eqz(
        slw_json_str_or(slw_json_get(first, "why"), SLW_STR("")), "a test"));
}

static void
names_are_listed_sorted(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    struct slw_str *names;
    size_t count;
    assert_ok(slw_serve_declare(f->serve, NOW_MS, SLW_STR("c"),
                                SLW_STR("{\"model\":\"m\"}"), &err),
              err);
    slw_serve_names(f->serve, &a, &names, &count);
    assert_int_equal(count, 2);
    assert_true(slw_str_eqz(names[0], "c"));
    assert_true(slw_str_eqz(names[1], "d"));
}

#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(nothing_deployed_is_said_as_busy),
        T(an_unknown_deployment_is_not_found),
        T(deploy_answers_at_once_and_moves_the_alias),
        T(deploying_again_keeps_the_old_one_as_previous),
        T(a_canary_is_promoted_and_rolled_back),
        T(rolling_back_a_canary_leaves_the_champion),
        T(a_version_whose_rule_answers_is_not_rolled_back_to),
        T(a_withdrawn_champion_is_left_by_rolling_back),
        T(what_the_state_does_not_allow_is_refused),
        T(a_release_that_does_not_load_changes_nothing),
        T(a_version_without_a_release_is_refused),
        T(bad_declarations_are_refused),
        T(a_live_deployment_keeps_its_model),
        T(the_state_is_there_again_after_a_restart),
        T(history_says_what_happened_newest_first),
        T(names_are_listed_sorted),
    };
    return cmocka_run_group_tests_name("serve/action", tests, NULL, NULL);
}
