/* Tests of the project file: what parses, what it becomes, and the sentences
 * about what does not; applying it to a store. */
#include "flow/flow.h"
#include "base/buf.h"
#include "base/file.h"
#include "store/event.h"
#include "data/data.h"
#include "monitor/monitor.h"
#include "train/train.h"
#include "tests/slw_test.h"

#define NOW_MS INT64_C(1693526400000)
#define FILE_NAME SLW_STR("slipway.yaml")

static const char GOOD[] =
    "project: p\n"
    "sources:\n"
    "  prices: {path: data/prices.csv, entity: symbol, event_time: date,"
    " known_after: 1d, expect: [close > 0, {check: high >= low, on_fail:"
    " refuse}], quarantine_max: 2%}\n"
    "features:\n"
    "  ranges: {entity: symbol, ttl: 7d, sql: 'SELECT symbol, date, close"
    " FROM prices', lags: {of: close, count: 3}}\n"
    "models:\n"
    "  m:\n"
    "    target: {sql: lead(close) OVER w, of: prices, relative_to: close}\n"
    "    features: [ranges]\n"
    "    split: {by: time, validate: 90d, test: 180d}\n"
    "    metric: mae\n"
    "    search: {trials: 2, sampler: random, seed: 7}\n"
    "    candidates: {xgboost: {eta: [0.03, 0.3, log], rounds: 150}, svr: }\n"
    "    fallback: {sql: close}\n"
    "    gate: {beats: [fallback, champion], by: 0.02, confidence: 0.95,"
    " p99_ms: 5, slices: [symbol]}\n"
    "deployments:\n"
    "  d: {model: m, timeout: 50ms, rollout: [{canary: 10%, for: 500"
    " requests}, {canary: 0.5, requests: 200}], shadow: [fallback]}\n"
    "monitors:\n"
    "  d: {window: 20d, every: 1d, drift: {alpha: 0.05, floor: 0.25},"
    " performance: {metric: mae, window: 14d, worse_than: fallback,"
    " confidence: 0.95, min_labels: 40}}\n"
    "retrain:\n"
    "  d: {on: [drift, performance, \"new_data: 28d\", every: 60d], cooldown:"
    " 28d, when_refused: fallback}\n"
    "notify: {webhooks: [], alertmanager: \"\"}\n";

static struct slw_json
parse(const char *yaml, struct slw_arena *a)
{
    struct slw_err err;
    struct slw_str json;
    struct slw_json doc = {0};
    assert_ok(slw_project_parse(FILE_NAME, slw_str_of(yaml), a, &json, &err),
              err);
    assert_ok(slw_json_parse(&doc, json, &err), err);
    return doc;
}

/* Walk down a path of members: "models/m/split/test_ms"; a number is an
 * index. */
static const struct json_t *
at(const struct json_t *v, const char *path)
{
    struct slw_str rest = slw_str_of(path), head;
    while (rest.len) {
        char key[128];
        (void)slw_str_cut(rest, '/', &head, &rest);
        snprintf(key, sizeof key, "%.*s", SLW_FMT(head));
        v = slw_json_type(v) == SLW_JSON_ARRAY
                ? slw_json_at(v, (size_t)strtoul(key, NULL, 10))
                : slw_json_get(v, key);
        if (!v)
            print_error("nothing at '%s' of '%s'\n", key, path);
        assert_non_null(v);
    }
    return v;
}

static void
assert_text(const struct json_t *v, const char *path, const char *want)
{
    const struct slw_str got = slw_json_str_or(at(v, path), SLW_STR("?"));
    if (!slw_str_eqz(got, want))
        fail_msg("%s is '%.*s', not '%s'", path, SLW_FMT(got), want);
}

static void
assert_whole(const struct json_t *v, const char *path, int64_t want)
{
    assert_int_equal(slw_json_i64_or(at(v, path), INT64_MIN), want);
}

static void
assert_real(const struct json_t *v, const char *path, double want)
{
    assert_near(slw_json_f64_or(at(v, path), NAN), want, 0);
}

static void
a_project_becomes_definitions_with_units(void **state)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_json, doc);
    doc = parse(GOOD, &a);
    const struct json_t *r = doc.root;
    assert_text(r, "project", "p");
    assert_text(r, "sources/prices/name", "prices");
    assert_whole(r, "sources/prices/known_after_ms", SLW_DAY_MS);
    assert_text(r, "sources/prices/expect/1/check", "high >= low");
    assert_real(r, "sources/prices/quarantine_max", 0.02);
    assert_text(r, "features/ranges/event_time", "date");
    assert_whole(r, "features/ranges/ttl_ms", 7 * SLW_DAY_MS);
    assert_whole(r, "features/ranges/lags/0/count", 3);
    assert_whole(r, "models/m/split/test_ms", 180 * SLW_DAY_MS);
    assert_text(r, "models/m/candidates/xgboost/eta/2", "log");
    assert_whole(r, "models/m/candidates/xgboost/rounds", 150);
    assert_int_equal(slw_json_len(at(r, "models/m/candidates/svr")), 0);
    assert_real(r, "models/m/gate/beats/champion", 0.02);
    assert_real(r, "models/m/gate/confidence", 0.95);
    assert_whole(r, "deployments/d/timeout_ms", 50);
    assert_real(r, "deployments/d/rollout/0/canary", 0.1);
    assert_whole(r, "deployments/d/rollout/0/requests", 500);
    assert_whole(r, "monitors/d/performance/window_ms", 14 * SLW_DAY_MS);
    assert_text(r, "retrain/d/model", "m");
    assert_text(r, "retrain/d/on/1", "performance");
    assert_whole(r, "retrain/d/new_data_ms", 28 * SLW_DAY_MS);
    assert_whole(r, "retrain/d/every_ms", 60 * SLW_DAY_MS);
    assert_whole(r, "retrain/d/cooldown_ms", 28 * SLW_DAY_MS);
}

/* The project of the good file with one text replaced. */
static const char *
with(const char *old, const char *text, struct slw_arena *a)
{
    const char *found = strstr(GOOD, old);
    assert_non_null(found);
    return slw_arena_printf(a, "%.*s%s%s", (int)(found - GOOD), GOOD, text,
                            found + strlen(old))
        .ptr;
}

static void
mistakes_are_told_with_place_and_remedy(void **state)
{
    static const struct {
        const char *old, *text, *told;
    } cases[] = {
        {"expect:", "expct:",
         "slipway.yaml:3:86: unknown key 'expct'; did you mean 'expect'?"},
        {"validate: 90d", "validate: long",
         "slipway.yaml:10:33: 'validate' must be a duration"},
        {"features: [ranges]", "features: [rnges]",
         "slipway.yaml:9:16: there is no feature view 'rnges'; did you mean"
         " 'ranges'?"},
        {"of: prices, relative", "of: stocks, relative",
         "there is no source 'stocks'"},
        {"{model: m,", "{model: other,", "there is no model 'other'"},
        {"    fallback: {sql: close}\n", "",
         "slipway.yaml:7:3: 'm' needs 'fallback'"},
        {"sampler: random", "sampler: tpe",
         "'sampler' must be random, not 'tpe'"},
        {"by: time", "by: row", "'by' must be time"},
        {"monitors:\n  d:", "monitors:\n  x:", "there is no deployment 'x'"},
        {"retrain:\n  d:", "retrain:\n  z:",
         "there is no deployment or model 'z'"},
        {"[drift, performance,", "[drft, performance,",
         "a trigger is drift, performance"},
        {"project: p", "rehearse: {deployment: nobody}\nproject: p",
         "there is no deployment 'nobody'"},
        {"project: p", "rehearse: {notebook: none}\nproject: p",
         "there is no model 'none'"},
        {"project: p", "rehearse: {model: m}\nproject: p",
         "unknown key 'model'"},
        {"canary: 10%", "canary: 110%", "'canary' must be a share"},
        {"500 requests", "500 apples", "'for' must be a number of requests"},
        {"[fallback, champion]", "[fallback, king]",
         "compares with fallback and champion, not with 'king'"},
        {"trials: 2", "trials: many", "'trials' must be a whole number"},
        {"slices: [symbol]", "slices: [sector]",
         "slices can be by the entity 'symbol' only"},
        {"confidence: 0.95, p99", "confidence: 0.2, p99",
         "'confidence' must be from 0.5"},
        {"webhooks: []", "webhooks: [ftp://x]", "an http or https address"},
        {"project: p", "project: [p]", "slipway.yaml:1:10: 'project' must be"},
        {"lags: {of: close, count: 3}", "lags: 3",
         "'lags' must be keys and values"},
        {"features: [ranges]", "features: [ranges, ranges]",
         "'ranges' is named twice"},
        {"  ranges:", "  prices 2:", "is no name"},
        {"metric: mae\n    search", "metric: mea\n    search",
         "'metric' must be mae, rmse, mape or r2, not 'mea'"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slw_err err;
        struct slw_str json = SLW_STR("untouched");
        SLW_AUTO(slw_arena, a);
        const char *yaml = with(cases[i].old, cases[i].text, &a);
        assert_fails(
            slw_project_parse(FILE_NAME, slw_str_of(yaml), &a, &json, &err),
            SLW_INVALID, err, cases[i].told);
        assert_true(slw_str_starts(slw_str_of(err.msg), "slipway.yaml:"));
        assert_true(slw_str_eqz(json, "untouched"));
    }
}

static void
the_other_ways_to_write_things_mean_the_same(void **state)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_json, doc);
    SLW_AUTO(slw_json, doc2);
    doc = parse(with("{beats: [fallback, champion], by: 0.02,",
                     "{beats: {fallback: 0, champion: -5%},", &a),
                &a);
    assert_real(doc.root, "models/m/gate/beats/fallback", 0);
    assert_real(doc.root, "models/m/gate/beats/champion", -0.05);
    doc2 = parse(with("fallback: {sql: close}", "fallback: 0.02", &a), &a);
    assert_text(doc2.root, "models/m/fallback/sql", "0.02");
}

static void
a_retrain_policy_may_name_a_model_without_a_deployment(void **state)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_json, doc);
    doc = parse(with("retrain:\n  d:", "retrain:\n  m:", &a), &a);
    assert_text(doc.root, "retrain/m/model", "m");
    assert_text(doc.root, "retrain/m/deployment", "");
}

static void
the_example_of_the_repository_parses(void **state)
{
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_buf, text);
    SLW_AUTO(slw_json, doc);
    const char *source = getenv("SLIPWAY_SOURCE"), *here = __FILE__;
    const char *tests = strstr(here, "tests/unit/");
    assert_non_null(tests);
    const struct slw_str root =
        source && source[0]
            ? slw_arena_printf(&a, "%s/", source)
            : slw_arena_printf(&a, "%.*s", (int)(tests - here), here);
    const char *path = slw_arena_strz(
        &a, slw_arena_printf(&a, "%.*sexamples/tech-stocks/slipway.yaml",
                             SLW_FMT(root)));
    assert_ok(slw_file_get(path, 1 << 20, &text, &err), err);
    slw_buf_char(&text, '\0');
    doc = parse(text.ptr, &a);
    assert_int_equal(slw_json_len(at(doc.root, "models")), 3);
    assert_whole(doc.root, "retrain/next-range/new_data_ms", 28 * SLW_DAY_MS);
    assert_real(doc.root, "models/next-range/gate/beats/champion", -0.05);
    assert_text(doc.root, "retrain/next-close/search", "reuse");
    assert_text(doc.root, "rehearse/notebook", "raw-close");
}

/* ---- applying ---- */

struct house {
    char dir[256];
    struct slw_store *store;
    struct slw_clock clock;
    struct slw_serve *serve;
    struct slw_flow *flow;
};

static int
house_setup(void **state)
{
    struct slw_err err;
    struct house *h = calloc(1, sizeof *h);
    slw_test_dir(h->dir);
    const struct slw_store_options so = {.dir = h->dir, .server = true};
    slw_clock_init_manual(&h->clock, NOW_MS);
    assert_ok(slw_store_open(&h->store, &so, &err), err);
    assert_ok(slw_serve_open(&h->serve, h->store, &h->clock, &err), err);
    const struct slw_flow_options fo = {.store = h->store,
                                        .clock = &h->clock,
                                        .serve = h->serve,
                                        .tick_ms = -1};
    assert_ok(slw_flow_start(&h->flow, &fo, &err), err);
    *state = h;
    return 0;
}

static int
house_teardown(void **state)
{
    struct house *h = *state;
    slw_flow_stop(h->flow);
    slw_serve_close(h->serve);
    slw_store_close(h->store);
    free(h);
    return 0;
}

/* What changed, as the JSON text of the list. */
static void
apply(struct house *h, const char *yaml, char out[512])
{
    struct slw_err err;
    SLW_AUTO(slw_buf, text);
    SLW_AUTO(slw_json, doc);
    SLW_AUTO(slw_buf, changed);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    assert_ok(slw_project_apply(h->flow, NOW_MS, FILE_NAME, SLW_STR("/home/p"),
                                slw_str_of(yaml), &w, &err),
              err);
    assert_ok(slw_json_parse(&doc, slw_buf_view(&text), &err), err);
    slw_json_dump(&changed, slw_json_get(doc.root, "changed"));
    snprintf(out, 512, "%.*s", SLW_FMT(slw_buf_view(&changed)));
}

static int64_t
event_count(struct house *h)
{
    struct slw_err err;
    int64_t count = 0;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, h->store, &err), err);
    assert_ok(slw_event_verify(&tx, &count, &err), err);
    return count;
}

static void
applying_declares_everything_and_twice_changes_nothing(void **state)
{
    struct house *h = *state;
    struct slw_err err;
    char changed[512];
    struct slw_str def, yaml;
    struct slw_deployment d;
    apply(h, GOOD, changed);
    assert_string_equal(changed, "[\"source prices\",\"feature view ranges\","
                                 "\"model m\",\"deployment d\",\"monitor d\","
                                 "\"retrain policy d\",\"notify\"]");
    {
        SLW_AUTO(slw_arena, a);
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_read(&tx, h->store, &err), err);
        assert_ok(slw_train_model_get(&tx, SLW_STR("m"), &a, &def, &err), err);
        assert_ok(slw_serve_get(&tx, SLW_STR("d"), &a, &d, &err), err);
        assert_true(slw_str_eqz(d.model, "m"));
        assert_ok(slw_monitor_get(&tx, SLW_STR("d"), &a, &def, &err), err);
        assert_ok(slw_project_get(&tx, &a, &yaml, &def, &err), err);
        assert_true(slw_str_eqz(yaml, GOOD));
    }
    const int64_t before = event_count(h);
    apply(h, GOOD, changed);
    assert_string_equal(changed, "[]");
    assert_int_equal(event_count(h), before);
}

static void
only_what_changed_is_declared_again(void **state)
{
    struct house *h = *state;
    char changed[512];
    SLW_AUTO(slw_arena, a);
    apply(h, GOOD, changed);
    apply(h, with("trials: 2", "trials: 3", &a), changed);
    assert_string_equal(changed, "[\"model m\"]");
    const char *none = strstr(GOOD, "retrain:");
    apply(h, slw_arena_printf(&a, "%.*s", (int)(none - GOOD), GOOD).ptr,
          changed);
    assert_string_equal(changed,
                        "[\"model m\",\"retrain policy d (removed)\"]");
}

static void
what_a_room_refuses_undoes_the_whole_and_names_the_place(void **state)
{
    struct house *h = *state;
    struct slw_err err;
    struct slw_str def;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    const char *yaml = with("eta:", "etta:", &a);
    assert_fails(slw_project_apply(h->flow, NOW_MS, FILE_NAME, SLW_STR(""),
                                   slw_str_of(yaml), &w, &err),
                 SLW_INVALID, err, "slipway.yaml:7:3: model 'm': ");
    assert_non_null(strstr(err.msg, "did you mean 'eta'?"));
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, h->store, &err), err);
    assert_int_equal(
        slw_data_source_get(&tx, SLW_STR("prices"), &a, &def, &err),
        SLW_NOT_FOUND);
}

static void
a_script_runs_in_the_folder_of_the_project(void **state)
{
    struct house *h = *state;
    struct slw_err err;
    struct slw_str def;
    char changed[512];
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_json, doc);
    apply(h, with("svr: }", "mine: {run: python train.py, dir: code}}", &a),
          changed);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, h->store, &err), err);
    assert_ok(slw_train_model_get(&tx, SLW_STR("m"), &a, &def, &err), err);
    assert_ok(slw_json_parse(&doc, def, &err), err);
    assert_text(doc.root, "candidates/mine/dir", "/home/p/code");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_project_becomes_definitions_with_units),
        cmocka_unit_test(mistakes_are_told_with_place_and_remedy),
        cmocka_unit_test(the_other_ways_to_write_things_mean_the_same),
        cmocka_unit_test(
            a_retrain_policy_may_name_a_model_without_a_deployment),
        cmocka_unit_test(the_example_of_the_repository_parses),
        cmocka_unit_test_setup_teardown(
            applying_declares_everything_and_twice_changes_nothing, house_setup,
            house_teardown),
        cmocka_unit_test_setup_teardown(only_what_changed_is_declared_again,
                                        house_setup, house_teardown),
        cmocka_unit_test_setup_teardown(
            what_a_room_refuses_undoes_the_whole_and_names_the_place,
            house_setup, house_teardown),
        cmocka_unit_test_setup_teardown(
            a_script_runs_in_the_folder_of_the_project, house_setup,
            house_teardown),
    };
    return cmocka_run_group_tests_name("flow/project", tests, NULL, NULL);
}
