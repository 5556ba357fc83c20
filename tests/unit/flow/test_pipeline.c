/* Tests of the loop's state machine with a real store and real deployments.
 * Jobs have no children here: a test says how a job ended by writing its row,
 * as the child would have done. */
#include "flow/flow_internal.h"
#include "store/blob.h"
#include "store/event.h"
#include "tests/slw_test.h"

#define NOW_MS INT64_C(1693526400000) /* 2023-09-01 */
#define REQUESTS 20                   /* of a rollout step */

static enum slw_rc
predict(struct slw_serve *s, struct slw_str deployment,
        const struct slw_predict_in *in, struct slw_arena *a,
        struct slw_predict_out *out, struct slw_err *err)
{
    SLW_AUTO(slw_serving, v);
    TRY(slw_serving_begin(&v, s, deployment, 0, err));
    return slw_serving_predict(s, &v, in, a, out, err);
}

static const char YAML[] =
    "project: p\n"
    "sources:\n"
    "  prices: {entity: symbol, event_time: date}\n"
    "features:\n"
    "  f: {ttl: 7d, sql: 'SELECT symbol, date, close AS a, high AS b FROM"
    " prices'}\n"
    "models:\n"
    "  m:\n"
    "    target: {sql: lead(close) OVER w, of: prices}\n"
    "    features: [f]\n"
    "    split: {validate: 90d, test: 90d}\n"
    "    candidates: {xgboost: {}}\n"
    "    fallback: {sql: -a}\n"
    "deployments:\n"
    "  d: {model: m, timeout: 10s, rollout: [{canary: 50%, requests: 20},"
    " {canary: 80%, requests: 20}]}\n"
    "retrain:\n"
    "  d: {on: [drift, performance, 'new_data: 28d'], cooldown: 10d,"
    " when_refused: fallback}\n";

struct house {
    char dir[256];
    struct slw_store *store;
    struct slw_clock clock;
    struct slw_serve *serve;
    struct slw_flow *flow;
};

static void
house_open(struct house *h)
{
    struct slw_err err;
    const struct slw_store_options so = {.dir = h->dir, .server = true};
    assert_ok(slw_store_open(&h->store, &so, &err), err);
    assert_ok(slw_serve_open(&h->serve, h->store, &h->clock, &err), err);
    const struct slw_flow_options fo = {.store = h->store,
                                        .clock = &h->clock,
                                        .serve = h->serve,
                                        .server_url = "http://127.0.0.1:1",
                                        .tick_ms = -1};
    assert_ok(slw_flow_start(&h->flow, &fo, &err), err);
}

static void
house_close(struct house *h)
{
    slw_flow_stop(h->flow);
    slw_serve_close(h->serve);
    slw_store_close(h->store);
}

/* One statement of SQL, with up to three values bound. */
static void
sql(struct house *h, const char *text, int64_t one, const char *two,
    int64_t three)
{
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    SLW_AUTO(slw_stmt, st);
    assert_ok(slw_tx_begin(&tx, h->store, &err), err);
    assert_ok(slw_stmt_prepare_text(&st, &tx, slw_str_of(text), &err), err);
    slw_stmt_i64(&st, 1, one);
    slw_stmt_str(&st, 2, slw_str_of(two));
    slw_stmt_i64(&st, 3, three);
    assert_ok(slw_stmt_run(&st, &err), err);
    slw_stmt_done(&st);
    st = (struct slw_stmt){0};
    assert_ok(slw_tx_commit(&tx, &err), err);
}

/* A dataset version of prices, known now, newest row at event_max_ms. */
static void
add_dataset(struct house *h, int64_t version, int64_t event_max_ms)
{
    struct slw_err err;
    sql(h,
        "INSERT INTO data_dataset(name, version, parent, hash, size, new_size,"
        " chunk_count, row_count, quarantined_count, quarantine_hash,"
        " event_min_ms, event_max_ms, known_at_ms, created_at_ms, schema,"
        " profile, checks, source_def) VALUES('prices', ?1, 0, ?2 || ?1, 1, 1,"
        " 1, 1, 0, '', 0, ?3, 0, 0, '[]', '{}', '[]', '{}')",
        version, "hash", event_max_ms);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, h->store, &err), err);
    assert_ok(slw_event_emit(&tx, slw_clock_now_ms(&h->clock),
                             "data.version_added", SLW_STR("prices"),
                             SLW_STR("{}"), &err),
              err);
    assert_ok(slw_tx_commit(&tx, &err), err);
}

static int
house_setup(void **state)
{
    struct slw_err err;
    struct house *h = calloc(1, sizeof *h);
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_test_dir(h->dir);
    slw_clock_init_manual(&h->clock, NOW_MS);
    house_open(h);
    slw_jw_init(&w, &text);
    assert_ok(slw_project_apply(h->flow, NOW_MS, SLW_STR("slipway.yaml"),
                                SLW_STR(""), slw_str_of(YAML), &w, &err),
              err);
    *state = h;
    return 0;
}

static int
house_teardown(void **state)
{
    struct house *h = *state;
    house_close(h);
    free(h);
    return 0;
}

/* ---- driving ---- */

/* Look until nothing moves; how often something did. */
static int
settle(struct house *h)
{
    struct slw_err err;
    bool moved = true;
    int count = 0;
    while (moved) {
        assert_ok(slw_flow_tick(h->flow, &moved, &err), err);
        count += moved;
        assert_true(count < 100);
    }
    return count;
}

/* The job of this kind that waits, or 0. */
static int64_t
waiting_job(struct house *h, const char *kind)
{
    struct slw_err err;
    struct slw_job *jobs = NULL;
    size_t count = 0;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, h->store, &err), err);
    assert_ok(slw_job_list(&tx, slw_str_of(kind), SLW_STR(""), 0, 10, &a, &jobs,
                           &count, &err),
              err);
    for (size_t i = 0; i < count; i++)
        if (jobs[i].state == SLW_JOB_QUEUED)
            return jobs[i].id;
    return 0;
}

static void
job_ends(struct house *h, const char *kind, const char *result)
{
    const int64_t id = waiting_job(h, kind);
    assert_true(id > 0);
    sql(h,
        "UPDATE jobs_job SET state = 'succeeded', result = ?2, ended_at_ms ="
        " ?3 WHERE id = ?1",
        id, result, NOW_MS);
}

static void
job_fails(struct house *h, const char *kind, const char *error)
{
    const int64_t id = waiting_job(h, kind);
    assert_true(id > 0);
    sql(h,
        "UPDATE jobs_job SET state = 'failed', error = ?2, error_rc ="
        " 'invalid', ended_at_ms = ?3 WHERE id = ?1",
        id, error, NOW_MS);
}

/* A version of the model m whose model is this expression of a and b,
 * trained on a version of prices. */
static int64_t
add_version(struct house *h, const char *model_sql, int64_t dataset)
{
    struct slw_err err;
    struct slw_blob_info blob;
    struct slw_str hash;
    int64_t version = 0;
    char text[2048];
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_json, doc);
    assert_ok(slw_blob_put(h->store, slw_str_of(model_sql), &blob, &err), err);
    snprintf(text, sizeof text,
             "{\"format\": \"slipway.release/1\", \"model\": \"m\","
             " \"flavour\": \"rule\", \"model_blob\": \"%s\", \"signature\":"
             " {\"columns\": [\"a\", \"b\"], \"relative_to\": null,"
             " \"entity\": \"symbol\"}, \"features\": [], \"datasets\":"
             " {\"prices\": {\"version\": %lld, \"hash\": \"x\"}},"
             " \"as_of_ms\": 9000000000000, \"fallback\": {\"sql\": \"-a\"}}",
             blob.hash, (long long)dataset);
    assert_ok(slw_json_parse(&doc, slw_str_of(text), &err), err);
    assert_ok(slw_release_put(h->store, doc.root, &a, &hash, &err), err);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, h->store, &err), err);
    assert_ok(
        slw_registry_model_ensure(&tx, NOW_MS, SLW_STR("m"), SLW_STR(""), &err),
        err);
    assert_ok(slw_registry_version_add(&tx, NOW_MS, SLW_STR("m"), hash,
                                       SLW_STR(""), SLW_STR(""), SLW_STR(""),
                                       &version, &err),
              err);
    assert_ok(slw_tx_commit(&tx, &err), err);
    return version;
}

static int64_t
start(struct house *h, const char *spec)
{
    struct slw_err err;
    int64_t id = 0;
    SLW_AUTO(slw_json, doc);
    assert_ok(slw_json_parse(&doc, slw_str_of(spec), &err), err);
    assert_ok(slw_flow_run_start(h->flow, slw_clock_now_ms(&h->clock), doc.root,
                                 &id, &err),
              err);
    return id;
}

/* Train job and gate job end so. */
static int64_t
through_gate(struct house *h, const char *model_sql, int64_t dataset,
             bool passed)
{
    char result[256];
    settle(h);
    const int64_t version = add_version(h, model_sql, dataset);
    snprintf(result, sizeof result,
             "{\"version\": %lld, \"candidate\": \"xgboost\", \"test\": 0.5,"
             " \"fallback\": 0.75}",
             (long long)version);
    job_ends(h, "flow.train", result);
    settle(h);
    snprintf(result, sizeof result,
             "{\"verdict\": \"%s\", \"sentence\": \"beats the rule: p %s\"}",
             passed ? "passed" : "refused", passed ? "0.01" : "0.4");
    job_ends(h, "flow.gate", result);
    settle(h);
    return version;
}

/* ---- looking ---- */

static struct slw_json
run_of(struct house *h, int64_t id)
{
    struct slw_err err;
    struct slw_json doc = {0};
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, h->store, &err), err);
    assert_ok(slw_flow_run_write(&tx, id, &w, &err), err);
    assert_ok(slw_json_parse(&doc, slw_buf_view(&text), &err), err);
    return doc;
}

static void
assert_state(struct house *h, int64_t id, const char *state, bool ended)
{
    SLW_AUTO(slw_json, run);
    run = run_of(h, id);
    const struct slw_str got =
        slw_json_str_or(slw_json_get(run.root, "state"), SLW_STR("?"));
    if (!slw_str_eqz(got, state) ||
        slw_json_bool_or(slw_json_get(run.root, "ended"), !ended) != ended) {
        SLW_AUTO(slw_buf, text);
        slw_json_dump(&text, run.root);
        fail_msg("not %s: %.*s", state, SLW_FMT(slw_buf_view(&text)));
    }
}

/* "start snapshot train …" */
static void
assert_steps(struct house *h, int64_t id, const char *want)
{
    SLW_AUTO(slw_json, run);
    SLW_AUTO(slw_buf, got);
    run = run_of(h, id);
    const struct json_t *steps = slw_json_get(run.root, "steps");
    for (size_t i = 0; i < slw_json_len(steps); i++)
        slw_buf_printf(
            &got, "%s%.*s", i ? " " : "",
            SLW_FMT(slw_json_str_or(slw_json_get(slw_json_at(steps, i), "step"),
                                    SLW_STR("?"))));
    slw_buf_char(&got, '\0');
    assert_string_equal(got.ptr, want);
}

static void
assert_reason(struct house *h, int64_t id, const char *part)
{
    SLW_AUTO(slw_json, run);
    SLW_AUTO(slw_arena, a);
    run = run_of(h, id);
    const char *reason = slw_arena_strz(
        &a, slw_json_str_or(slw_json_get(run.root, "reason"), SLW_STR("")));
    if (!strstr(reason, part))
        fail_msg("'%s' does not say '%s'", reason, part);
}

/* Decision number i, newest first: trigger, fired, reason contains. */
static void
assert_decision(struct house *h, size_t i, const char *trigger, bool fired,
                const char *part)
{
    struct slw_err err;
    SLW_AUTO(slw_json, list);
    SLW_AUTO(slw_buf, text);
    SLW_AUTO(slw_arena, a);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, h->store, &err), err);
    assert_ok(slw_flow_decisions(&tx, SLW_STR("m"), 100, &w, &err), err);
    assert_ok(slw_json_parse(&list, slw_buf_view(&text), &err), err);
    const struct json_t *d = slw_json_at(list.root, i);
    const char *reason = slw_arena_strz(
        &a, slw_json_str_or(slw_json_get(d, "reason"), SLW_STR("none")));
    if (!slw_str_eqz(slw_json_str_or(slw_json_get(d, "trigger"), SLW_STR("")),
                     trigger) ||
        slw_json_bool_or(slw_json_get(d, "fired"), !fired) != fired ||
        !strstr(reason, part))
        fail_msg("decision %zu is: %s", i, reason);
}

static struct slw_deployment
deployment(struct house *h, struct slw_arena *a)
{
    struct slw_err err;
    struct slw_deployment d;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, h->store, &err), err);
    assert_ok(slw_serve_get(&tx, SLW_STR("d"), a, &d, &err), err);
    return d;
}

/* Ask with ever new keys; who answered the last one. */
static enum slw_answer_by
ask(struct house *h, int count, double b)
{
    struct slw_predict_out out = {0};
    for (int i = 0; i < count; i++) {
        static int number;
        struct slw_err err;
        char key[32];
        SLW_AUTO(slw_arena, a);
        const double x[] = {1, b};
        double y = NAN;
        snprintf(key, sizeof key, "key%d", number++);
        const struct slw_predict_in in = {.key = slw_str_of(key),
                                          .event_ms = NOW_MS,
                                          .x = x,
                                          .row_count = 1,
                                          .column_count = 2};
        out = (struct slw_predict_out){.y = &y};
        assert_ok(predict(h->serve, SLW_STR("d"), &in, &a, &out, &err), err);
    }
    return out.by;
}

/* A first champion, deployed by a run. */
static int64_t
first_champion(struct house *h)
{
    add_dataset(h, 1, NOW_MS - SLW_DAY_MS);
    settle(h);
    job_ends(h, "flow.refresh", "{}");
    const int64_t id = start(h, "{\"model\": \"m\"}");
    const int64_t version = through_gate(h, "a + b", 1, true);
    assert_state(h, id, "promoted", true);
    return version;
}

static void
alert(struct house *h, const char *kind, struct slw_str release)
{
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, h->store, &err), err);
    assert_ok(slw_event_emit(
                  &tx, NOW_MS, "monitor.alert", SLW_STR("d"),
                  slw_arena_printf(&a,
                                   "{\"deployment\":\"d\",\"kind\":\"%s\","
                                   "\"release\":\"%.*s\",\"reason\":\"error 2"
                                   " against 1\"}",
                                   kind, SLW_FMT(release)),
                  &err),
              err);
    assert_ok(slw_tx_commit(&tx, &err), err);
}

/* ---- tests ---- */

static void
the_first_version_that_passes_is_deployed_at_once(void **state)
{
    struct house *h = *state;
    SLW_AUTO(slw_arena, a);
    add_dataset(h, 1, NOW_MS - SLW_DAY_MS);
    const int64_t id = start(h, "{\"model\": \"m\", \"seed\": 3}");
    assert_state(h, id, "snapshot", false);
    settle(h);
    assert_state(h, id, "train", false);
    assert_reason(h, id, "pinned prices@1 as of 2023-09-01");
    through_gate(h, "a + b", 1, true);
    assert_state(h, id, "promoted", true);
    assert_steps(h, id, "start snapshot train gate promote");
    const struct slw_deployment d = deployment(h, &a);
    assert_int_equal(d.champion_version, 1);
    assert_false(d.withdrawn);
    assert_int_equal(ask(h, 1, 1), SLW_BY_CHAMPION);
}

static void
the_train_job_gets_pins_seed_and_address(void **state)
{
    struct house *h = *state;
    struct slw_err err;
    struct slw_job job;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_json, spec);
    add_dataset(h, 4, NOW_MS);
    start(h, "{\"model\": \"m\", \"seed\": 3, \"trials\": 2}");
    settle(h);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, h->store, &err), err);
    assert_ok(slw_job_get(&tx, waiting_job(h, "flow.train"), &a, &job, &err),
              err);
    assert_ok(slw_json_parse(&spec, job.spec, &err), err);
    assert_int_equal(
        slw_json_i64_or(slw_json_get(slw_json_get(spec.root, "pins"), "prices"),
                        0),
        4);
    assert_int_equal(slw_json_i64_or(slw_json_get(spec.root, "seed"), 0), 3);
    assert_int_equal(slw_json_i64_or(slw_json_get(spec.root, "as_of_ms"), 0),
                     NOW_MS);
    assert_true(slw_str_eqz(
        slw_json_str_or(slw_json_get(spec.root, "url"), SLW_STR("")),
        "http://127.0.0.1:1"));
}

static void
a_second_version_walks_the_rollout_by_requests(void **state)
{
    struct house *h = *state;
    SLW_AUTO(slw_arena, a);
    first_champion(h);
    const int64_t id = start(h, "{\"model\": \"m\"}");
    through_gate(h, "a + b + 100", 1, true);
    assert_state(h, id, "canary", false);
    assert_near(deployment(h, &a).canary_weight, 0.5, 0);
    assert_int_equal(settle(h), 0); /* waits for requests */
    for (int i = 0; i < 400 && deployment(h, &a).rollout_step == 0; i++) {
        ask(h, 1, 1);
        settle(h);
    }
    assert_int_equal(deployment(h, &a).rollout_step, 1);
    assert_near(deployment(h, &a).canary_weight, 0.8, 0);
    assert_state(h, id, "canary", false);
    ask(h, 4 * REQUESTS, 1);
    settle(h);
    assert_state(h, id, "promoted", true);
    assert_steps(h, id, "start snapshot train gate canary canary promote");
    assert_reason(h, id, "0 failed");
    assert_int_equal(deployment(h, &a).champion_version, 2);
}

static void
a_canary_that_fails_is_rolled_back(void **state)
{
    struct house *h = *state;
    SLW_AUTO(slw_arena, a);
    first_champion(h);
    const int64_t id = start(h, "{\"model\": \"m\"}");
    through_gate(h, "a / b", 1, true);
    ask(h, 4 * REQUESTS, 0); /* no number: the rule answers for the canary */
    settle(h);
    assert_state(h, id, "rolled_back", true);
    assert_steps(h, id, "start snapshot train gate canary rollback");
    assert_reason(h, id, "canary answers failed");
    const struct slw_deployment d = deployment(h, &a);
    assert_int_equal(d.champion_version, 1);
    assert_int_equal(d.canary.len, 0);
}

static void
what_people_do_by_hand_ends_the_run(void **state)
{
    struct house *h = *state;
    struct slw_err err;
    first_champion(h);
    const int64_t id = start(h, "{\"model\": \"m\"}");
    through_gate(h, "a + b + 100", 1, true);
    assert_ok(slw_serve_act(h->serve, NOW_MS, SLW_STR("d"), SLW_SERVE_PROMOTE,
                            0, 0, -1, SLW_STR("I know better"), &err),
              err);
    settle(h);
    assert_state(h, id, "promoted", true);
    assert_reason(h, id, "I know better");
    const int64_t next = start(h, "{\"model\": \"m\"}");
    through_gate(h, "a - b", 1, true);
    assert_ok(slw_serve_act(h->serve, NOW_MS, SLW_STR("d"), SLW_SERVE_ROLLBACK,
                            0, 0, -1, SLW_STR("a feeling"), &err),
              err);
    settle(h);
    assert_state(h, next, "rolled_back", true);
    assert_reason(h, next, "a feeling");
}

static void
a_server_that_died_goes_on_from_the_rows(void **state)
{
    struct house *h = *state;
    SLW_AUTO(slw_arena, a);
    first_champion(h);
    const int64_t id = start(h, "{\"model\": \"m\"}");
    house_close(h);
    house_open(h);
    settle(h);
    house_close(h);
    house_open(h);
    through_gate(h, "a + b + 100", 1, true);
    house_close(h);
    house_open(h);
    assert_int_equal(settle(h), 0);
    assert_state(h, id, "canary", false);
    for (int i = 0; i < 8 && deployment(h, &a).champion_version == 1; i++) {
        ask(h, 2 * REQUESTS, 1);
        settle(h);
    }
    assert_state(h, id, "promoted", true);
    assert_steps(h, id, "start snapshot train gate canary canary promote");
}

static void
an_act_whose_row_was_not_written_is_not_repeated(void **state)
{
    struct house *h = *state;
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    first_champion(h);
    const int64_t id = start(h, "{\"model\": \"m\"}");
    settle(h);
    const int64_t version = add_version(h, "a + b + 100", 1);
    sql(h,
        "UPDATE flow_run SET state = 'deploy', version = ?3, reason = ?2"
        " WHERE id = ?1",
        id, "passed", version);
    assert_ok(slw_serve_act(h->serve, NOW_MS, SLW_STR("d"), SLW_SERVE_CANARY,
                            version, 0.5, 0, SLW_STR("passed"), &err),
              err);
    const int64_t revision = deployment(h, &a).revision;
    settle(h);
    assert_state(h, id, "canary", false);
    assert_int_equal(deployment(h, &a).revision, revision);
}

static void
a_refused_first_version_leaves_the_rule_serving(void **state)
{
    struct house *h = *state;
    struct slw_err err;
    struct slw_version v;
    SLW_AUTO(slw_arena, a);
    add_dataset(h, 1, NOW_MS);
    const int64_t id = start(h, "{\"model\": \"m\"}");
    through_gate(h, "a + b", 1, false);
    assert_state(h, id, "refused", true);
    assert_steps(h, id, "start snapshot train gate fallback");
    assert_true(deployment(h, &a).withdrawn);
    assert_int_equal(ask(h, 1, 1), SLW_BY_FALLBACK);
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_read(&tx, h->store, &err), err);
        assert_int_equal(slw_registry_version_find(&tx, SLW_STR("m"),
                                                   SLW_STR("champion"), &a, &v,
                                                   &err),
                         SLW_NOT_FOUND);
    }
    /* The next one that passes takes over by the rollout. */
    const int64_t next = start(h, "{\"model\": \"m\"}");
    through_gate(h, "a + b + 100", 1, true);
    for (int i = 0; i < 8; i++) {
        ask(h, 2 * REQUESTS, 1);
        settle(h);
    }
    assert_state(h, next, "promoted", true);
    assert_false(deployment(h, &a).withdrawn);
    assert_int_equal(ask(h, 1, 1), SLW_BY_CHAMPION);
}

static void
a_refusal_by_hand_leaves_the_champion(void **state)
{
    struct house *h = *state;
    SLW_AUTO(slw_arena, a);
    first_champion(h);
    const int64_t id = start(h, "{\"model\": \"m\"}");
    through_gate(h, "a - b", 1, false);
    assert_state(h, id, "refused", true);
    assert_reason(h, id, "version 1 goes on serving");
    assert_false(deployment(h, &a).withdrawn);
}

static void
worse_than_the_rule_and_refused_withdraws_the_champion(void **state)
{
    struct house *h = *state;
    SLW_AUTO(slw_arena, a);
    first_champion(h);
    alert(h, "performance", deployment(h, &a).champion);
    settle(h);
    assert_decision(h, 0, "performance", true, "fired: error 2 against 1");
    through_gate(h, "a - b", 1, false);
    assert_state(h, 2, "refused", true);
    assert_steps(h, 2, "start snapshot train gate fallback");
    assert_true(deployment(h, &a).withdrawn);
    assert_int_equal(ask(h, 1, 1), SLW_BY_FALLBACK);
}

static void
a_run_in_progress_and_the_cooldown_hold_back_and_say_so(void **state)
{
    struct house *h = *state;
    struct slw_err err;
    SLW_AUTO(slw_arena, a);
    first_champion(h);
    alert(h, "drift", deployment(h, &a).champion);
    settle(h);
    assert_decision(h, 0, "drift", true, "fired");
    alert(h, "performance", deployment(h, &a).champion);
    settle(h);
    assert_decision(h, 0, "performance", false, "not fired: run 2 in progress");
    through_gate(h, "a - b", 1, false);
    assert_ok(slw_clock_set(&h->clock, NOW_MS + 3 * SLW_DAY_MS, &err), err);
    alert(h, "performance", deployment(h, &a).champion);
    settle(h);
    assert_decision(h, 0, "performance", false,
                    "not fired: cooldown until 2023-09-11");
    assert_ok(slw_clock_set(&h->clock, NOW_MS + 11 * SLW_DAY_MS, &err), err);
    assert_int_equal(settle(h), 0); /* time alone is no cause */
    alert(h, "performance", deployment(h, &a).champion);
    settle(h);
    assert_decision(h, 0, "performance", true, "fired");
}

static void
new_data_is_counted_from_what_was_trained_on(void **state)
{
    struct house *h = *state;
    first_champion(h);
    add_dataset(h, 2, NOW_MS + 9 * SLW_DAY_MS);
    settle(h);
    assert_true(waiting_job(h, "flow.refresh") > 0);
    assert_int_equal(settle(h), 0); /* the refresh is at work */
    job_ends(h, "flow.refresh", "{}");
    settle(h);
    assert_decision(h, 0, "new_data", false,
                    "10 days of new data since prices@1, 28 are wanted");
    add_dataset(h, 3, NOW_MS + 27 * SLW_DAY_MS);
    settle(h);
    job_ends(h, "flow.refresh", "{}");
    settle(h);
    assert_decision(h, 0, "new_data", true,
                    "fired: 28 days of new data since prices@1");
    /* A refused retrain has seen its data: counting starts there. */
    through_gate(h, "a - b", 3, false);
    add_dataset(h, 4, NOW_MS + 28 * SLW_DAY_MS);
    settle(h);
    job_ends(h, "flow.refresh", "{}");
    settle(h);
    assert_decision(h, 0, "new_data", false,
                    "1 day of new data since prices@3");
}

static void
data_that_arrive_during_a_refresh_wait_for_the_next(void **state)
{
    struct house *h = *state;
    add_dataset(h, 1, NOW_MS);
    settle(h);
    const int64_t first = waiting_job(h, "flow.refresh");
    add_dataset(h, 2, NOW_MS);
    add_dataset(h, 3, NOW_MS);
    settle(h);
    assert_int_equal(waiting_job(h, "flow.refresh"), first);
    job_fails(h, "flow.refresh", "disk full");
    settle(h);
    const int64_t second = waiting_job(h, "flow.refresh");
    assert_true(second > first);
    job_ends(h, "flow.refresh", "{}");
    settle(h);
    assert_int_equal(waiting_job(h, "flow.refresh"), 0);
}

static void
a_failed_job_fails_the_run_with_its_reason(void **state)
{
    struct house *h = *state;
    add_dataset(h, 1, NOW_MS);
    const int64_t id = start(h, "{\"model\": \"m\"}");
    settle(h);
    job_fails(h, "flow.train", "too few rows to test");
    settle(h);
    assert_state(h, id, "failed", true);
    assert_reason(h, id, "training failed: too few rows to test");
}

static void
without_data_the_run_says_so(void **state)
{
    struct house *h = *state;
    const int64_t id = start(h, "{\"model\": \"m\"}");
    settle(h);
    assert_state(h, id, "failed", true);
    assert_reason(h, id, "no dataset was known");
}

static void
until_is_honoured(void **state)
{
    struct house *h = *state;
    SLW_AUTO(slw_arena, a);
    first_champion(h);
    const int64_t id = start(h, "{\"model\": \"m\", \"until\": \"gate\"}");
    through_gate(h, "a - b", 1, true);
    assert_state(h, id, "passed", true);
    assert_int_equal(deployment(h, &a).canary.len, 0);
    const int64_t canary = start(h, "{\"model\": \"m\", \"until\":"
                                    " \"canary\"}");
    const int64_t version = through_gate(h, "a - b - 1", 1, true);
    assert_state(h, canary, "canary", true);
    assert_int_equal(deployment(h, &a).canary_version, version);
    ask(h, 4 * REQUESTS, 1);
    settle(h);
    assert_int_equal(deployment(h, &a).canary_version, version);
}

static void
wrong_starts_are_refused_with_one_sentence(void **state)
{
    struct house *h = *state;
    struct slw_err err;
    int64_t id = 0;
    static const struct {
        const char *spec;
        enum slw_rc rc;
        const char *told;
    } cases[] = {
        {"{}", SLW_INVALID, "model"},
        {"{\"model\": \"other\"}", SLW_NOT_FOUND, "no model 'other'"},
        {"{\"model\": \"m\", \"until\": \"dawn\"}", SLW_INVALID, "'dawn'"},
        {"{\"model\": \"m\", \"pins\": 3}", SLW_INVALID, "'pins'"},
        {"{\"model\": \"m\"}", SLW_CONFLICT, "run 1 of 'm' is in progress"},
    };
    start(h, "{\"model\": \"m\"}");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        SLW_AUTO(slw_json, doc);
        assert_ok(slw_json_parse(&doc, slw_str_of(cases[i].spec), &err), err);
        assert_fails(slw_flow_run_start(h->flow, NOW_MS, doc.root, &id, &err),
                     cases[i].rc, err, cases[i].told);
    }
    assert_int_equal(id, 0);
}

static void
idle_means_no_job_and_nothing_to_move(void **state)
{
    struct house *h = *state;
    assert_true(slw_flow_idle(h->flow));
    add_dataset(h, 1, NOW_MS);
    assert_false(slw_flow_idle(h->flow)); /* and it queued the refresh */
    assert_false(slw_flow_idle(h->flow));
    job_ends(h, "flow.refresh", "{}");
    assert_false(slw_flow_idle(h->flow));
    assert_true(slw_flow_idle(h->flow));
    start(h, "{\"model\": \"m\"}");
    assert_false(slw_flow_idle(h->flow));
    through_gate(h, "a + b", 1, true);
    assert_true(slw_flow_idle(h->flow));
    start(h, "{\"model\": \"m\"}");
    through_gate(h, "a + b + 100", 1, true);
    assert_true(slw_flow_idle(h->flow)); /* a canary waits for requests */
}

static void
threads_move_a_run_without_being_asked(void **state)
{
    struct house *h = *state;
    struct slw_err err;
    slw_flow_stop(h->flow);
    const struct slw_flow_options fo = {
        .store = h->store, .clock = &h->clock, .serve = h->serve, .tick_ms = 5};
    assert_ok(slw_flow_start(&h->flow, &fo, &err), err);
    add_dataset(h, 1, NOW_MS);
    start(h, "{\"model\": \"m\"}");
    for (int i = 0; i < 2000 && !waiting_job(h, "flow.train"); i++)
        usleep(5000);
    assert_true(waiting_job(h, "flow.train") > 0);
    assert_true(waiting_job(h, "flow.refresh") > 0);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, house_setup, house_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_version_that_passes_is_deployed_at_once),
        TEST(the_train_job_gets_pins_seed_and_address),
        TEST(a_second_version_walks_the_rollout_by_requests),
        TEST(a_canary_that_fails_is_rolled_back),
        TEST(what_people_do_by_hand_ends_the_run),
        TEST(a_server_that_died_goes_on_from_the_rows),
        TEST(an_act_whose_row_was_not_written_is_not_repeated),
        TEST(a_refused_first_version_leaves_the_rule_serving),
        TEST(a_refusal_by_hand_leaves_the_champion),
        TEST(worse_than_the_rule_and_refused_withdraws_the_champion),
        TEST(a_run_in_progress_and_the_cooldown_hold_back_and_say_so),
        TEST(new_data_is_counted_from_what_was_trained_on),
        TEST(data_that_arrive_during_a_refresh_wait_for_the_next),
        TEST(a_failed_job_fails_the_run_with_its_reason),
        TEST(without_data_the_run_says_so),
        TEST(until_is_honoured),
        TEST(wrong_starts_are_refused_with_one_sentence),
        TEST(idle_means_no_job_and_nothing_to_move),
        TEST(threads_move_a_run_without_being_asked),
    };
    return cmocka_run_group_tests_name("flow/pipeline", tests, NULL, NULL);
}
