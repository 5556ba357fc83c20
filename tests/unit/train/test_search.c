/* test_search.c -- whole searches with the real engines over a small frame:
 * the choice, what is tracked, the release, repeatability, rebuilding,
 * scripts as candidates.
 *
 * Needs the engines (SLIPWAY_ENGINES, SLIPWAY_LIBS).  This program also
 * stands in for `slipway exec --`, by which scripts are started. */
#include "fixture.h"

#include <unistd.h>

#include "base/proc.h"
#include "store/blob.h"

#define XGB                                                                    \
    "\"xgboost\":{\"eta\":[0.1,0.3],\"max_depth\":[2,4],\"rounds\":40,"        \
    "\"early_rounds\":5,\"max_bin\":64}"
#define SVR "\"svr\":{\"c\":[0.5,5,\"log\"],\"max_rows\":300}"
#define ARNET                                                                  \
    "\"arnet\":{\"lags\":[1,3],\"lag_prefix\":\"lag_\",\"hidden\":[0,8],"      \
    "\"epochs\":12,\"patience\":3,\"batch\":64}"
#define SEARCH "\"search\":{\"trials\":3,\"seed\":7},"

static const char ALL[] =
    MODEL_HEAD SEARCH "\"candidates\":{" XGB "," SVR "," ARNET "}}";

struct run {
    struct slw_json def, pins, hashes, views, release, table;
    struct slw_train_result r;
};

static void
run_done(struct run *run)
{
    slw_json_done(&run->def);
    slw_json_done(&run->pins);
    slw_json_done(&run->hashes);
    slw_json_done(&run->views);
    slw_json_done(&run->release);
    slw_json_done(&run->table);
}

static enum slw_rc
search(struct fixture *f, const char *def, struct slw_frame *frame,
       struct run *run, struct slw_err *err)
{
    json_of(&run->def, def);
    json_of(&run->pins, "{\"p\":3}");
    json_of(&run->hashes, "{\"p\":\"aa11\"}");
    json_of(&run->views, "[{\"name\":\"v\",\"sql\":\"SELECT 1\"}]");
    const struct slw_train_spec spec = {.def = run->def.root,
                                        .pins = run->pins.root,
                                        .hashes = run->hashes.root,
                                        .views = run->views.root,
                                        .as_of_ms = NOW_MS,
                                        .seed = -1,
                                        .trials = -1,
                                        .server_url = "http://127.0.0.1:9"};
    TRY(train_search_frame(&f->ctx, &spec, frame, &run->r, err));
    json_of(&run->release, run->r.release.ptr);
    json_of(&run->table, run->r.table.ptr);
    return SLW_OK;
}

static const struct json_t *
row_of(const struct run *run, const char *candidate)
{
    for (size_t i = 0; i < slw_json_len(run->table.root); i++) {
        const struct json_t *row = slw_json_at(run->table.root, i);
        if (slw_str_eqz(
                slw_json_str_or(slw_json_get(row, "candidate"), SLW_STR("")),
                candidate))
            return row;
    }
    fail_msg("no row for %s", candidate);
    return NULL;
}

static double
metric_of(const struct json_t *row, const char *part, const char *name)
{
    return slw_json_f64_or(slw_json_get(slw_json_get(row, part), name), NAN);
}

static struct slw_str
text_of(const struct json_t *o, const char *key)
{
    return slw_json_str_or(slw_json_get(o, key), SLW_STR(""));
}

static struct slw_run_full *
runs_of(struct fixture *f, const char *filter, size_t *out_count)
{
    struct slw_err err;
    struct slw_run_full *runs = NULL;
    int64_t experiment = 0;
    bool more = false;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, f->store, &err), err);
    assert_ok(slw_track_experiment_ensure(&tx, NOW_MS, SLW_STR("m"),
                                          &experiment, &err),
              err);
    const struct slw_track_query q = {.filter = slw_str_of(filter),
                                      .experiment_ids = &experiment,
                                      .experiment_count = 1,
                                      .limit = 100};
    assert_ok(
        slw_track_run_search(&tx, &q, &f->arena, &runs, out_count, &more, &err),
        err);
    return runs;
}

/* ---- the search ---- */

static void
the_best_on_validation_is_chosen_and_everyone_is_in_the_table(void **state)
{
    struct fixture f;
    struct slw_err err;
    fixture_init(&f);
    struct slw_frame frame = frame_make(&f.arena);
    SLW_AUTO(run, run);
    assert_ok(search(&f, ALL, &frame, &run, &err), err);
    assert_int_equal(slw_json_len(run.table.root), 4);
    static const char *const names[] = {"arnet", "svr", "xgboost"};
    const char *best = NULL;
    for (size_t i = 0; i < 3; i++) {
        const struct json_t *row = row_of(&run, names[i]);
        assert_int_equal(slw_json_i64_or(slw_json_get(row, "trials"), 0), 3);
        assert_int_equal(slw_json_i64_or(slw_json_get(row, "failed"), 9), 0);
        /* Noise of 0.1 has a mean error of 0.08; the target's is 0.6. */
        assert_true(metric_of(row, "test", "mae") < 0.2);
        if (!best || metric_of(row, "valid", "mae") <
                         metric_of(row_of(&run, best), "valid", "mae"))
            best = names[i];
    }
    assert_true(slw_str_eqz(run.r.candidate, best));
    assert_true(
        slw_json_bool_or(slw_json_get(row_of(&run, best), "chosen"), false));
    const struct json_t *rule = row_of(&run, "fallback");
    assert_false(slw_json_bool_or(slw_json_get(rule, "chosen"), true));
    assert_true(metric_of(rule, "test", "mae") >
                metric_of(row_of(&run, best), "test", "mae"));
    fixture_done(&f);
}

static void
every_trial_is_a_child_run_and_the_parent_holds_inputs_and_files(void **state)
{
    struct fixture f;
    struct slw_err err;
    fixture_init(&f);
    struct slw_frame frame = frame_make(&f.arena);
    SLW_AUTO(run, run);
    assert_ok(search(&f, ALL, &frame, &run, &err), err);
    size_t count = 0;
    const struct slw_run_full *runs =
        runs_of(&f, "tags.slipway.kind = 'trial'", &count);
    assert_int_equal(count, 9);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(runs[i].run.status, SLW_RUN_FINISHED);
        assert_int_equal(runs[i].run.start_ms, NOW_MS);
        assert_true(runs[i].param_count >= 4);
        assert_true(runs[i].metric_count >= 6);
    }
    runs = runs_of(
        &f,
        slw_arena_strz(&f.arena,
                       slw_arena_printf(&f.arena,
                                        "tags.mlflow.parentRunId = '%.*s' AND"
                                        " tags.slipway.candidate = 'xgboost'",
                                        SLW_FMT(run.r.run_id))),
        &count);
    assert_int_equal(count, 3);
    runs = runs_of(&f, "tags.slipway.kind = 'search'", &count);
    assert_int_equal(count, 1);
    assert_true(slw_str_eq(runs[0].run.id, run.r.run_id));
    assert_int_equal(runs[0].run.status, SLW_RUN_FINISHED);
    assert_int_equal(runs[0].input_count, 1);
    assert_true(slw_str_eqz(runs[0].inputs[0].name, "p"));

    SLW_AUTO(slw_tx, tx);
    struct slw_str root;
    struct slw_artifact *files = NULL;
    assert_ok(slw_tx_read(&tx, f.store, &err), err);
    assert_ok(slw_track_artifact_root(runs[0].run.artifact_uri, &root, &err),
              err);
    assert_ok(slw_track_file_list(&tx, root, &f.arena, &files, &count, &err),
              err);
    assert_int_equal(count, 2);
    assert_true(slw_str_ends(files[0].path, "model"));
    assert_true(slw_str_ends(files[1].path, "table.json"));
    slw_tx_done(&tx);
    fixture_done(&f);
}

static void
the_release_has_every_member_and_its_model_answers(void **state)
{
    static const char *const members[] = {
        "format",        "model",      "flavour",    "model_blob",
        "model_size",    "signature",  "features",   "feature_hashes",
        "datasets",      "target",     "split",      "as_of_ms",
        "params",        "seed",       "candidate",  "engine",
        "code",          "frame_hash", "run_id",     "metrics",
        "errors_by_day", "profile",    "thresholds", "fallback",
        "metric"};
    struct fixture f;
    struct slw_err err;
    fixture_init(&f);
    struct slw_frame frame = frame_make(&f.arena);
    SLW_AUTO(run, run);
    assert_ok(search(&f, ALL, &frame, &run, &err), err);
    const struct json_t *rel = run.release.root;
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (!slw_json_get(rel, members[i]))
            fail_msg("no member %s", members[i]);
    assert_int_equal(slw_json_len(rel), ARRAY_LEN(members));
    assert_int_equal(slw_json_len(slw_json_get(rel, "errors_by_day")), 60);

    /* The stored profile's answers are those of the stored model. */
    SLW_AUTO(slw_buf, bytes);
    struct slw_profile p;
    const struct slw_str blob = text_of(slw_json_get(rel, "profile"), "blob");
    assert_ok(
        slw_blob_get(f.store, slw_arena_strz(&f.arena, blob), &bytes, &err),
        err);
    assert_ok(slw_profile_read(slw_buf_view(&bytes), &f.arena, &p, &err), err);
    assert_int_equal(p.row_count, 365 * ENTITIES);
    assert_int_equal(p.column_count, 6);
    slw_buf_clear(&bytes);
    assert_ok(slw_blob_get(f.store,
                           slw_arena_strz(&f.arena, text_of(rel, "model_blob")),
                           &bytes, &err),
              err);
    enum slw_flavour flavour;
    struct slw_model *m = NULL;
    const struct slw_signature sig = {frame.columns, 5, -1};
    assert_ok(slw_flavour_parse(text_of(rel, "flavour"), &flavour, &err), err);
    assert_ok(slw_model_load(&m, flavour, &sig, slw_buf_view(&bytes), &err),
              err);
    for (size_t r = 0; r < p.row_count; r++) {
        double row[5], y;
        for (size_t i = 0; i < 5; i++)
            row[i] = p.values[i * p.row_count + r];
        slw_model_predict(m, row, 1, &y);
        assert_near(p.values[5 * p.row_count + r], y, 0);
    }
    slw_model_unref(m);
    fixture_done(&f);
}

/* The release without what names its run. */
static char *
without_run(struct fixture *f, const struct run *run)
{
    char *text = slw_arena_strz(&f->arena, run->r.release);
    char *at = strstr(text, run->r.run_id.ptr);
    assert_non_null(at);
    memset(at, '0', run->r.run_id.len);
    return text;
}

static void
the_same_spec_gives_the_same_release_but_for_the_run(void **state)
{
    struct fixture f, g;
    struct slw_err err;
    fixture_init(&f);
    fixture_init(&g);
    struct slw_frame frame = frame_make(&f.arena);
    SLW_AUTO(run, a);
    SLW_AUTO(run, b);
    assert_ok(search(&f, ALL, &frame, &a, &err), err);
    assert_ok(search(&g, ALL, &frame, &b, &err), err);
    assert_string_equal(without_run(&f, &a), without_run(&g, &b));
    assert_false(slw_str_eq(a.r.run_id, b.r.run_id));
    /* and another seed another one */
    SLW_AUTO(run, c);
    assert_ok(search(&g,
                     MODEL_HEAD "\"search\":{\"trials\":3,\"seed\":8},"
                                "\"candidates\":{" XGB "," SVR "," ARNET "}}",
                     &frame, &c, &err),
              err);
    assert_false(slw_str_eq(text_of(c.release.root, "model_blob"),
                            text_of(b.release.root, "model_blob")));
    fixture_done(&f);
    fixture_done(&g);
}

/* ---- rebuilding ---- */

static struct json_t *
reproduce(struct fixture *f, const struct json_t *release,
          const struct slw_frame *frame, struct slw_json *out)
{
    struct slw_err err;
    struct slw_jw w;
    SLW_AUTO(slw_buf, text);
    slw_jw_init(&w, &text);
    assert_ok(train_reproduce_frame(&f->ctx, release, frame, &w, &err), err);
    return json_of(out, text.ptr);
}

static void
each_flavour_is_rebuilt_to_the_byte_and_a_changed_frame_is_named(void **state)
{
    static const char *const defs[] = {
        MODEL_HEAD SEARCH "\"candidates\":{" XGB "}}",
        MODEL_HEAD SEARCH "\"candidates\":{" SVR "}}",
        MODEL_HEAD SEARCH "\"candidates\":{" ARNET "}}"};
    struct fixture f;
    struct slw_err err;
    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(defs); i++) {
        struct slw_frame frame = frame_make(&f.arena);
        SLW_AUTO(run, run);
        SLW_AUTO(slw_json, same);
        SLW_AUTO(slw_json, other);
        assert_ok(search(&f, defs[i], &frame, &run, &err), err);
        const struct json_t *answer =
            reproduce(&f, run.release.root, &frame, &same);
        assert_true(slw_json_bool_or(slw_json_get(answer, "equal"), false));
        assert_true(slw_str_eqz(text_of(answer, "first_difference"), ""));
        assert_true(slw_str_eq(text_of(answer, "rebuilt"),
                               text_of(run.release.root, "model_blob")));
        for (size_t r = 800; r < 1000; r++) /* somebody rewrote the past */
            frame.y[r] += 1;
        memset(frame.hash, 'e', 64);
        answer = reproduce(&f, run.release.root, &frame, &other);
        assert_false(slw_json_bool_or(slw_json_get(answer, "equal"), true));
        assert_true(slw_str_eqz(text_of(answer, "first_difference"), "frame"));
    }
    fixture_done(&f);
}

/* ---- relative targets ---- */

static void
a_relative_target_is_learned_although_its_level_rises_for_ever(void **state)
{
    struct fixture f;
    struct slw_err err;
    fixture_init(&f);
    struct slw_frame frame = frame_make(&f.arena);
    for (size_t r = 0; r + ENTITIES < frame.row_count; r++) {
        const double *x = frame.x + r * frame.column_count;
        frame.y[r] = x[4] * (1 + 0.01 * x[0]); /* tomorrow's close */
    }
    SLW_AUTO(run, run);
    assert_ok(
        search(&f,
               "{\"name\":\"m\",\"target\":{\"sql\":\"lead(close)\",\"of\":"
               "\"p\",\"relative_to\":\"close\"},\"features\":[\"v\"],"
               "\"split\":{\"validate_ms\":5184000000,\"test_ms\":5184000000},"
               "\"fallback\":{\"sql\":\"close\"}," SEARCH "\"candidates\":{" XGB
               "," SVR "," ARNET "}}",
               &frame, &run, &err),
        err);
    /* The rule is off by 1 % of some 200, times E|N| = 0.8: about 1.6. */
    const double rule = metric_of(row_of(&run, "fallback"), "test", "mae");
    assert_true(rule > 1.2 && rule < 2.2);
    static const char *const names[] = {"arnet", "svr", "xgboost"};
    for (size_t i = 0; i < 3; i++)
        assert_true(metric_of(row_of(&run, names[i]), "test", "mae") <
                    0.4 * rule);
    assert_true(slw_str_eqz(
        text_of(slw_json_get(run.release.root, "signature"), "relative_to"),
        "close"));
    SLW_AUTO(slw_json, again);
    const struct json_t *answer =
        reproduce(&f, run.release.root, &frame, &again);
    assert_true(slw_json_bool_or(slw_json_get(answer, "equal"), false));
    fixture_done(&f);
}

/* ---- failures ---- */

static void
a_candidate_that_fails_fails_alone(void **state)
{
    struct fixture f;
    struct slw_err err;
    fixture_init(&f);
    struct slw_frame frame = frame_make(&f.arena);
    SLW_AUTO(run, run);
    assert_ok(
        search(&f,
               MODEL_HEAD SEARCH
               "\"candidates\":{\"arnet\":{\"lag_prefix\":\"nobody\"}," SVR
               "}}",
               &frame, &run, &err),
        err);
    const struct json_t *row = row_of(&run, "arnet");
    assert_int_equal(slw_json_i64_or(slw_json_get(row, "failed"), 0), 3);
    assert_false(slw_json_bool_or(slw_json_get(row, "servable"), true));
    assert_non_null(strstr(text_of(row, "note").ptr, "nobody"));
    assert_true(slw_str_eqz(run.r.candidate, "svr"));
    size_t count = 0;
    (void)runs_of(&f, "attributes.status = 'FAILED'", &count);
    assert_int_equal(count, 3);
    fixture_done(&f);
}

static void
a_search_without_any_model_fails_and_so_does_its_run(void **state)
{
    struct fixture f;
    struct slw_err err;
    fixture_init(&f);
    struct slw_frame frame = frame_make(&f.arena);
    SLW_AUTO(run, run);
    assert_fails(
        search(&f,
               MODEL_HEAD SEARCH
               "\"candidates\":{\"arnet\":{\"lag_prefix\":\"nobody\"}}}",
               &frame, &run, &err),
        SLW_INVALID, err, "model 'm': no candidate can be served: arnet:");
    size_t count = 0;
    const struct slw_run_full *runs =
        runs_of(&f, "tags.slipway.kind = 'search'", &count);
    assert_int_equal(count, 1);
    assert_int_equal(runs[0].run.status, SLW_RUN_FAILED);
    fixture_done(&f);
}

static void
a_rule_over_an_unknown_column_is_refused_before_tracking(void **state)
{
    struct fixture f;
    struct slw_err err;
    fixture_init(&f);
    struct slw_frame frame = frame_make(&f.arena);
    SLW_AUTO(run, run);
    assert_fails(
        search(&f,
               "{\"name\":\"m\",\"target\":{\"sql\":\"y\",\"of\":\"p\"},"
               "\"features\":[\"v\"],\"split\":{\"validate_ms\":5184000000,"
               "\"test_ms\":5184000000},\"fallback\":{\"sql\":\"lag_9\"},"
               "\"candidates\":{\"svr\":{}}}",
               &frame, &run, &err),
        SLW_INVALID, err, "fallback 'lag_9'");
    size_t count = 9;
    (void)runs_of(&f, "", &count);
    assert_int_equal(count, 0);
    fixture_done(&f);
}

static void
runs_left_open_by_a_killed_attempt_are_closed_by_the_next(void **state)
{
    struct fixture f;
    struct slw_err err;
    fixture_init(&f);
    struct slw_frame frame = frame_make(&f.arena);
    int64_t experiment = 0;
    struct slw_run open, other;
    const struct slw_kv ours = {SLW_STR("slipway.job"), SLW_STR("12")};
    const struct slw_kv theirs = {SLW_STR("slipway.job"), SLW_STR("121")};
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, f.store, &err), err);
    assert_ok(
        slw_track_experiment_ensure(&tx, 1, SLW_STR("m"), &experiment, &err),
        err);
    assert_ok(slw_track_run_create(&tx, 1, experiment, SLW_STR("a"),
                                   SLW_STR(""), &ours, 1, &f.arena, &open,
                                   &err),
              err);
    assert_ok(slw_track_run_create(&tx, 1, experiment, SLW_STR("b"),
                                   SLW_STR(""), &theirs, 1, &f.arena, &other,
                                   &err),
              err);
    assert_ok(slw_tx_commit(&tx, &err), err);
    slw_tx_done(&tx);
    tx = (struct slw_tx){0};
    SLW_AUTO(run, run);
    assert_ok(search(&f, MODEL_HEAD SEARCH "\"candidates\":{" SVR "}}", &frame,
                     &run, &err),
              err);
    assert_ok(slw_tx_read(&tx, f.store, &err), err);
    assert_ok(slw_track_run_get(&tx, open.id, &f.arena, &open, &err), err);
    assert_ok(slw_track_run_get(&tx, other.id, &f.arena, &other, &err), err);
    assert_int_equal(open.status, SLW_RUN_KILLED);
    assert_int_equal(other.status, SLW_RUN_RUNNING);
    slw_tx_done(&tx);
    fixture_done(&f);
}

/* ---- scripts ---- */

#define AWK(out, in)                                                           \
    "awk -F, 'NR==1{print \\\"prediction\\\"} NR>1{print 0.6*$1+0.3*$2}'"      \
    " $SLIPWAY_" in " > $SLIPWAY_OUT/predictions_" out ".csv"

static void
a_script_competes_and_is_not_served_without_a_model(void **state)
{
    struct fixture f;
    struct slw_err err;
    fixture_init(&f);
    struct slw_frame frame = frame_make(&f.arena);
    SLW_AUTO(run, run);
    assert_ok(
        search(&f,
               MODEL_HEAD SEARCH
               "\"candidates\":{" SVR
               ",\"mine\":{\"framework\":\"awk\",\"files\":{\"go.sh\":"
               "\"" AWK("valid", "VALID") "\\n" AWK(
                   "test",
                   "TEST") "\\necho run=$MLFLOW_RUN_ID seed=$SLIPWAY_SEED\\n"
                           "head -1 $SLIPWAY_TEST\\n"
                           "\"},\"run\":\"sh go.sh\"}}}",
               &frame, &run, &err),
        err);
    const struct json_t *row = row_of(&run, "mine");
    assert_int_equal(slw_json_i64_or(slw_json_get(row, "failed"), 9), 0);
    assert_false(slw_json_bool_or(slw_json_get(row, "servable"), true));
    assert_non_null(strstr(text_of(row, "note").ptr, "no model.ubj"));
    assert_true(slw_str_eqz(run.r.candidate, "svr"));
    /* The same numbers, worked here, over the same rows. */
    double sum = 0;
    size_t count = 0;
    for (size_t r = (399 - 60) * ENTITIES; r < 399 * ENTITIES; r++, count++) {
        const double *x = frame.x + r * frame.column_count;
        sum += fabs(0.6 * x[0] + 0.3 * x[1] - frame.y[r]);
    }
    assert_near(metric_of(row, "test", "mae"), sum / (double)count, 1e-5);

    /* What it printed is an artifact of its run; the test has no target. */
    const char *log = slw_path(&f.arena, f.ctx.dir, "mine/log.txt");
    SLW_AUTO(slw_buf, text);
    assert_ok(slw_file_get(log, 1 << 20, &text, &err), err);
    const struct slw_str want = slw_arena_printf(
        &f.arena, "run=%.*s seed=7\nlag_0,lag_1,lag_2,noise,close\n",
        SLW_FMT(text_of(row, "run_id")));
    assert_string_equal(text.ptr, want.ptr);
    fixture_done(&f);
}

static void
a_script_that_fails_says_its_last_words_in_the_table(void **state)
{
    struct fixture f;
    struct slw_err err;
    fixture_init(&f);
    struct slw_frame frame = frame_make(&f.arena);
    SLW_AUTO(run, run);
    assert_ok(search(&f,
                     MODEL_HEAD SEARCH
                     "\"candidates\":{" SVR
                     ",\"bad\":{\"run\":\"echo ImportError: no pandas >&2;"
                     " exit 3\"},"
                     "\"mute\":{\"run\":\"true\"},"
                     "\"short\":{\"run\":\"echo prediction >"
                     " $SLIPWAY_OUT/predictions_valid.csv\"},"
                     "\"slow\":{\"run\":\"sleep 60\",\"timeout\":\"300ms\"}}}",
                     &frame, &run, &err),
              err);
    static const struct {
        const char *name, *part;
    } want[] = {{"bad", "exit code 3: ImportError: no pandas"},
                {"mute", "wrote no predictions_valid.csv"},
                {"short", "has 0 numbers for 180 rows"},
                {"slow", "longer than 300 ms"}};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        const struct json_t *row = row_of(&run, want[i].name);
        assert_int_equal(slw_json_i64_or(slw_json_get(row, "failed"), 0), 1);
        if (!strstr(text_of(row, "note").ptr, want[i].part))
            fail_msg("%s: %s", want[i].name, text_of(row, "note").ptr);
    }
    assert_true(slw_str_eqz(run.r.candidate, "svr"));
    fixture_done(&f);
}

/* A model that our own trainer made stands for one that a script trained. */
static void
a_script_with_an_xgboost_file_is_served_and_rebuilt(void **state)
{
    struct fixture f;
    struct slw_err err;
    fixture_init(&f);
    struct slw_frame frame = frame_make(&f.arena);
    SLW_AUTO(run, first);
    assert_ok(search(&f, MODEL_HEAD SEARCH "\"candidates\":{" XGB "}}", &frame,
                     &first, &err),
              err);
    const char *path = slw_path(&f.arena, f.dir, "made.ubj");
    assert_ok(
        slw_blob_get_file(
            f.store,
            slw_arena_strz(&f.arena, text_of(first.release.root, "model_blob")),
            path, &err),
        err);
    const char *def = slw_arena_strz(
        &f.arena,
        slw_arena_printf(
            &f.arena,
            MODEL_HEAD SEARCH
            "\"candidates\":{\"mine\":{\"framework\":\"xgboost\","
            "\"run\":\"" AWK("valid",
                             "VALID") "; cp %s $SLIPWAY_OUT/model.ubj\"}}}",
            path));
    SLW_AUTO(run, run);
    assert_ok(search(&f, def, &frame, &run, &err), err);
    assert_true(slw_str_eqz(run.r.candidate, "mine"));
    assert_true(slw_str_eq(text_of(run.release.root, "model_blob"),
                           text_of(first.release.root, "model_blob")));
    assert_near(metric_of(row_of(&run, "mine"), "test", "mae"),
                metric_of(row_of(&first, "xgboost"), "test", "mae"), 0);
    SLW_AUTO(slw_json, again);
    const struct json_t *answer =
        reproduce(&f, run.release.root, &frame, &again);
    assert_true(slw_json_bool_or(slw_json_get(answer, "equal"), false));
    fixture_done(&f);
}

int
main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "exec") == 0) {
        slw_proc_die_with_parent();
        execvp(argv[3], argv + 3);
        return 127;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            the_best_on_validation_is_chosen_and_everyone_is_in_the_table),
        cmocka_unit_test(
            every_trial_is_a_child_run_and_the_parent_holds_inputs_and_files),
        cmocka_unit_test(the_release_has_every_member_and_its_model_answers),
        cmocka_unit_test(the_same_spec_gives_the_same_release_but_for_the_run),
        cmocka_unit_test(
            each_flavour_is_rebuilt_to_the_byte_and_a_changed_frame_is_named),
        cmocka_unit_test(
            a_relative_target_is_learned_although_its_level_rises_for_ever),
        cmocka_unit_test(a_candidate_that_fails_fails_alone),
        cmocka_unit_test(a_search_without_any_model_fails_and_so_does_its_run),
        cmocka_unit_test(
            a_rule_over_an_unknown_column_is_refused_before_tracking),
        cmocka_unit_test(
            runs_left_open_by_a_killed_attempt_are_closed_by_the_next),
        cmocka_unit_test(a_script_competes_and_is_not_served_without_a_model),
        cmocka_unit_test(a_script_that_fails_says_its_last_words_in_the_table),
        cmocka_unit_test(a_script_with_an_xgboost_file_is_served_and_rebuilt),
    };
    return cmocka_run_group_tests_name("train/search", tests, NULL, NULL);
}
