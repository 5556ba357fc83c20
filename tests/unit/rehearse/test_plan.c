/* test_plan.c -- a policy is the project with some things said otherwise. */
#include "rehearse/rehearse_internal.h"

#include "base/clock.h"
#include "tests/slw_test.h"

static const char YAML[] =
    "project: p\n"
    "sources:\n"
    "  s: {path: s.csv, entity: k, event_time: t}\n"
    "features:\n"
    "  v: {entity: k, sql: \"SELECT k, t, a FROM s\"}\n"
    "models:\n"
    "  m:\n"
    "    target: {sql: lead(a) OVER w, of: s}\n"
    "    features: [v]\n"
    "    split: {validate: 10d, test: 10d}\n"
    "    candidates: {xgboost: {rounds: 10}}\n"
    "    fallback: {sql: a}\n"
    "    gate: {beats: {fallback: 0}, p99_ms: 5}\n"
    "  raw:\n"
    "    target: {sql: lead(a) OVER w, of: s}\n"
    "    features: [v]\n"
    "    split: {validate: 10d, test: 10d}\n"
    "    candidates: {xgboost: {rounds: 10}}\n"
    "    fallback: {sql: a}\n"
    "deployments:\n"
    "  d: {model: m, timeout: 50ms, rollout: [{canary: 10%, requests: 5}]}\n"
    "  other: {model: raw}\n"
    "monitors:\n"
    "  d: {window: 20d, drift: {alpha: 0.05}}\n"
    "retrain:\n"
    "  d: {on: [drift, \"new_data: 28d\"], cooldown: 28d}\n"
    "notify: {webhooks: [\"http://127.0.0.1:1/\"]}\n"
    "rehearse: {deployment: d, notebook: raw}\n";

static struct slw_arena a;

static enum slw_rc
plan(const char *policy, const char *deployment, struct slw_json *out,
     struct slw_err *err)
{
    char path[] = "/tmp/slw-policy-XXXXXX";
    struct slw_str text;
    const char *files[] = {path};
    struct slw_rehearse_options o = {.file = SLW_STR("slipway.yaml"),
                                     .folder = SLW_STR("/data"),
                                     .yaml = slw_str_of(YAML),
                                     .files = SLW_STR(""),
                                     .from_ms = 0,
                                     .to_ms = SLW_DAY_MS,
                                     .deployment = slw_str_of(deployment),
                                     .policy_files = files,
                                     .policy_file_count = policy ? 1 : 0,
                                     .worker_count = 1,
                                     .requests = 3};
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    if (policy)
        assert_ok(slw_fd_write(fd, policy, strlen(policy), err), *err);
    (void)close(fd);
    const enum slw_rc rc = rehearse_plan(&o, &a, &text, err);
    (void)unlink(path);
    if (rc == SLW_OK)
        assert_ok(slw_json_parse(out, text, err), *err);
    return rc;
}

/* A policy's project, canonical. */
static const char *
section(const struct slw_json *plan_doc, size_t at, const char *name)
{
    SLW_AUTO(slw_buf, text);
    const struct json_t *p =
        slw_json_at(slw_json_get(plan_doc->root, "policies"), at);
    slw_json_dump(&text, slw_json_get(slw_json_get(p, "project"), name));
    return slw_arena_strz(&a, slw_buf_view(&text));
}

static void
the_built_in_policies_are_the_project_with_little_changed(void **state)
{
    struct slw_err err;
    SLW_AUTO(slw_json, doc);
    assert_ok(plan(NULL, "", &doc, &err), err);
    assert_int_equal(slw_json_len(slw_json_get(doc.root, "policies")), 3);
    assert_string_equal(section(&doc, 0, "deployments"),
                        "{\"d\":{\"model\":\"raw\",\"rollout\":[{\"canary\":"
                        "\"10%\",\"requests\":5}],\"timeout\":\"60s\"}}");
    assert_string_equal(section(&doc, 0, "retrain"), "{}");
    assert_string_equal(section(&doc, 0, "monitors"), "{}");
    assert_non_null(strstr(section(&doc, 1, "deployments"), "\"model\":\"m\""));
    assert_non_null(strstr(section(&doc, 1, "retrain"), "28d"));
    assert_non_null(strstr(section(&doc, 1, "monitors"), "20d"));
    for (size_t i = 0; i < 3; i++) { /* how fast a machine is decides nothing */
        assert_null(strstr(section(&doc, i, "models"), "p99"));
        assert_non_null(strstr(section(&doc, i, "models"), "beats"));
        assert_null(strstr(section(&doc, i, "deployments"), "other"));
        assert_string_equal(section(&doc, i, "notify"), "null");
    }
}

static void
a_file_lays_its_sections_over_the_projects(void **state)
{
    struct slw_err err;
    SLW_AUTO(slw_json, doc);
    assert_ok(plan("policy: mine\nstart: rule\n"
                   "monitors: {d: null}\n"
                   "retrain: {d: {on: [\"every: 7d\"], cooldown: null}}\n"
                   "models: {m: {gate: {beats: {fallback: 0.1}}}}\n"
                   "deployments: {d: {rollout: null}}\n",
                   "", &doc, &err),
              err);
    assert_string_equal(section(&doc, 3, "monitors"), "{}");
    assert_string_equal(section(&doc, 3, "retrain"),
                        "{\"d\":{\"on\":[\"every: 7d\"]}}");
    assert_non_null(
        strstr(section(&doc, 3, "models"), "{\"beats\":{\"fallback\":0.1}}"));
    assert_string_equal(section(&doc, 3, "deployments"),
                        "{\"d\":{\"model\":\"m\",\"timeout\":\"60s\"}}");
}

static void
what_cannot_be_a_policy_is_refused_in_a_sentence(void **state)
{
    static const struct {
        const char *policy, *deployment, *part;
        enum slw_rc rc;
    } cases[] = {
        {"policy: rule\n", "", "two policies are called 'rule'", SLW_INVALID},
        {"policy: x\nstart: maybe\n", "", "gate, train or rule", SLW_INVALID},
        {"policy: x\nmodel: none\n", "", "'none'", SLW_INVALID},
        {"policy: x\nretrain: {d: {on: [often]}}\n", "", "a trigger is",
         SLW_INVALID},
        {"policy: base\n", "", "is no name for a policy", SLW_INVALID},
        {"policy: [\n", "", "1:", SLW_INVALID},
        {NULL, "nobody", "declares no deployment 'nobody'", SLW_NOT_FOUND}};
    for (size_t i = 0; i < SLW_ARRAY_LEN(cases); i++) {
        struct slw_err err;
        SLW_AUTO(slw_json, doc);
        assert_fails(plan(cases[i].policy, cases[i].deployment, &doc, &err),
                     cases[i].rc, err, cases[i].part);
    }
}

static int
teardown(void **state)
{
    slw_arena_done(&a);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            the_built_in_policies_are_the_project_with_little_changed),
        cmocka_unit_test(a_file_lays_its_sections_over_the_projects),
        cmocka_unit_test(what_cannot_be_a_policy_is_refused_in_a_sentence),
    };
    return cmocka_run_group_tests_name("rehearse/plan", tests, NULL, teardown);
}
