/* test_define.c -- definitions: what is kept, what is refused and with which
 * sentence; the space of parameters and its sampler. */
#include "fixture.h"

static const char GOOD[] =
    MODEL_HEAD "\"candidates\":{\"xgboost\":{\"max_depth\":[2,4]},\"svr\":{}}}";

static enum slw_rc
put(struct fixture *f, const char *name, const char *def, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, f->store, err));
    TRY(slw_train_model_put(&tx, NOW_MS, slw_str_of(name), slw_str_of(def),
                            err));
    return slw_tx_commit(&tx, err);
}

static int64_t
count_of(struct fixture *f, const char *sql)
{
    struct slw_err err;
    bool row = false;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, f->store, &err), err);
    SLW_AUTO(slw_stmt, st);
    assert_ok(slw_stmt_prepare(&st, &tx, sql, &err), err);
    assert_ok(slw_stmt_step(&st, &row, &err), err);
    return slw_col_i64(&st, 0);
}

static void
a_definition_is_kept_and_its_history_grows_only_by_changes(void **state)
{
    struct fixture f;
    struct slw_err err;
    fixture_init(&f);
    assert_ok(put(&f, "m", GOOD, &err), err);
    assert_ok(put(&f, "m", GOOD, &err), err);
    assert_int_equal(count_of(&f, "SELECT count(*) FROM train_model_history"),
                     1);
    assert_ok(put(&f, "m", MODEL_HEAD "\"candidates\":{\"svr\":{}}}", &err),
              err);
    assert_int_equal(count_of(&f, "SELECT count(*) FROM train_model_history"),
                     2);
    assert_int_equal(count_of(&f, "SELECT version FROM train_model"), 2);

    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, f.store, &err), err);
    struct slw_str def, *names;
    size_t count = 0;
    assert_ok(slw_train_model_get(&tx, SLW_STR("m"), &f.arena, &def, &err),
              err);
    assert_non_null(strstr(def.ptr, "\"candidates\":{\"svr\":{}}"));
    assert_ok(slw_train_model_list(&tx, &f.arena, &names, &count, &err), err);
    assert_int_equal(count, 1);
    assert_true(slw_str_eqz(names[0], "m"));
    assert_fails(slw_train_model_get(&tx, SLW_STR("x"), &f.arena, &def, &err),
                 SLW_NOT_FOUND, err, "(there is m)");
    slw_tx_done(&tx);
    fixture_done(&f);
}

static void
what_is_wrong_is_refused_with_what_would_be_right(void **state)
{
    static const struct {
        const char *def, *part;
    } bad[] = {
        {"{\"tarjet\":1}", "did you mean 'target'?"},
        {"{\"features\":[\"v\"]}", "'target' is missing"},
        {"{\"target\":{\"sql\":\"y\",\"off\":\"p\"}}", "did you mean 'of'?"},
        {"{\"target\":{\"sql\":\" \",\"of\":\"p\"}}", "'sql' is empty"},
        {"{\"target\":{\"sql\":\"y\",\"of\":\"p\"},\"split\":{\"by\":"
         "\"random\",\"validate_ms\":1,\"test_ms\":1}}",
         "only split by time"},
        {"{\"target\":{\"sql\":\"y\",\"of\":\"p\"},\"split\":"
         "{\"validate_ms\":0,\"test_ms\":1}}",
         "above 0"},
        {MODEL_HEAD "\"metric\":\"mse\"}", "mae, rmse, mape or r2"},
        {MODEL_HEAD "\"search\":{\"trials\":0}}", "from 1 to 1000"},
        {MODEL_HEAD "\"search\":{\"sampler\":\"tpe\"}}", "can be random"},
        {MODEL_HEAD "\"candidates\":{}}", "'candidates' is missing"},
        {MODEL_HEAD "\"candidates\":{\"lightgbm\":{}}}",
         "'lightgbm' is not known"},
        {MODEL_HEAD "\"candidates\":{\"xgboost\":{\"max_deph\":3}}}",
         "did you mean 'max_depth'?"},
        {MODEL_HEAD "\"candidates\":{\"xgboost\":{\"max_depth\":[6,2]}}}",
         "above its end"},
        {MODEL_HEAD "\"candidates\":{\"xgboost\":{\"max_depth\":2.5}}}",
         "must be an integer"},
        {MODEL_HEAD "\"candidates\":{\"xgboost\":{\"eta\":[0,1,\"log\"]}}}",
         "must begin above 0"},
        {MODEL_HEAD "\"candidates\":{\"xgboost\":{\"eta\":[0.1,0.2,\"lin\"]}}}",
         "[least, most, \"log\"]"},
        {MODEL_HEAD "\"candidates\":{\"xgboost\":{\"eta\":2}}}",
         "from 1e-06 to 1"},
        {MODEL_HEAD "\"candidates\":{\"svr\":{\"c\":{\"choice\":[]}}}}",
         "{\"choice\": [a, b]}"},
        {MODEL_HEAD "\"candidates\":{\"script\":{}}}", "run"},
        {MODEL_HEAD "\"candidates\":{\"mine\":{\"run\":\"x\",\"files\":"
                    "{\"../x\":\"\"}}}}",
         "path below the script's folder"},
        {MODEL_HEAD "\"candidates\":{\"mine\":{\"run\":\"x\",\"timout\":1}}}",
         "did you mean 'timeout'?"},
        {MODEL_HEAD "\"exclude\":\"close\"}", "exclude must be a list"},
        {MODEL_HEAD "\"name\":\"n\"}", "JSON"},
    };
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct slw_err err;
        assert_fails(put(&f, "m", bad[i].def, &err), SLW_INVALID, err,
                     bad[i].part);
        assert_fails(put(&f, "m", bad[i].def, &err), SLW_INVALID, err,
                     "model 'm': ");
    }
    struct slw_err err;
    assert_fails(put(&f, "other", GOOD, &err), SLW_INVALID, err,
                 "own name is 'm'");
    assert_fails(put(&f, "a b", GOOD, &err), SLW_INVALID, err,
                 "bad model name");
    assert_int_equal(count_of(&f, "SELECT count(*) FROM train_model"), 0);
    fixture_done(&f);
}

static struct train_def
def_of(struct slw_json *doc, const char *text, struct slw_arena *a)
{
    struct slw_err err;
    struct train_def d;
    assert_ok(train_def_parse(json_of(doc, text), a, &d, &err), err);
    return d;
}

static void
draws_stay_in_their_space_and_depend_on_seed_trial_and_name_only(void **state)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_json, doc);
    SLW_AUTO(slw_json, doc2);
    const struct train_def d =
        def_of(&doc,
               MODEL_HEAD "\"candidates\":{\"xgboost\":{\"max_depth\":[2,4],"
                          "\"eta\":[0.03,0.3,\"log\"],\"rounds\":50,"
                          "\"lambda\":{\"choice\":[1,2.5]}}}}",
               &a);
    /* Another candidate beside it, members in another order. */
    const struct train_def e = def_of(
        &doc2,
        MODEL_HEAD "\"candidates\":{\"svr\":{},\"xgboost\":{\"rounds\":50,"
                   "\"lambda\":{\"choice\":[1,2.5]},"
                   "\"eta\":[0.03,0.3,\"log\"],\"max_depth\":[2,4]}}}",
        &a);
    assert_int_equal(e.candidate_count, 2);
    bool depth_seen[5] = {false};
    int low = 0;
    for (int64_t t = 1; t <= 200; t++) {
        const struct slw_str text =
            train_spaces_draw(&d.candidates[0], 7, t, &a);
        assert_true(
            slw_str_eq(text, train_spaces_draw(&e.candidates[1], 7, t, &a)));
        SLW_AUTO(slw_json, params);
        const struct json_t *p = json_of(&params, text.ptr);
        const int64_t depth = slw_json_i64_or(slw_json_get(p, "max_depth"), 0);
        const double eta = slw_json_f64_or(slw_json_get(p, "eta"), 0);
        const double lambda = slw_json_f64_or(slw_json_get(p, "lambda"), 0);
        assert_true(depth >= 2 && depth <= 4);
        assert_true(eta >= 0.03 && eta <= 0.3);
        assert_true(lambda == 1 || lambda == 2.5);
        assert_int_equal(slw_json_i64_or(slw_json_get(p, "rounds"), 0), 50);
        depth_seen[depth] = true;
        low += eta < 0.0949; /* the middle of the logarithm */
    }
    assert_true(depth_seen[2] && depth_seen[3] && depth_seen[4]);
    assert_true(low > 70 && low < 130); /* 100 +- 4 standard deviations */
    assert_false(slw_str_eq(train_spaces_draw(&d.candidates[0], 7, 1, &a),
                            train_spaces_draw(&d.candidates[0], 8, 1, &a)));
}

static void
an_empty_candidate_has_our_space_and_a_fixed_one_one_trial(void **state)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_json, doc);
    SLW_AUTO(slw_json, doc2);
    const struct train_def d =
        def_of(&doc, MODEL_HEAD "\"candidates\":{\"svr\":{}}}", &a);
    assert_false(train_spaces_fixed(&d.candidates[0]));
    const struct slw_str text = train_spaces_draw(&d.candidates[0], 7, 1, &a);
    assert_non_null(strstr(text.ptr, "\"epsilon\":0."));
    const struct train_def e =
        def_of(&doc2,
               MODEL_HEAD "\"candidates\":{\"svr\":{\"c\":1,\"epsilon\":0.1,"
                          "\"gamma\":0.1}}}",
               &a);
    assert_true(train_spaces_fixed(&e.candidates[0]));
}

static void
final_parameters_end_where_stopping_ended_and_do_not_stop(void **state)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_json, doc);
    const struct json_t *p =
        json_of(&doc, "{\"early_rounds\":15,\"eta\":0.1,\"rounds\":150}");
    assert_true(slw_str_eqz(train_params_final(SLW_FLAVOUR_XGBOOST, p, 41, &a),
                            "{\"eta\":0.1,\"rounds\":41}"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_definition_is_kept_and_its_history_grows_only_by_changes),
        cmocka_unit_test(what_is_wrong_is_refused_with_what_would_be_right),
        cmocka_unit_test(
            draws_stay_in_their_space_and_depend_on_seed_trial_and_name_only),
        cmocka_unit_test(
            an_empty_candidate_has_our_space_and_a_fixed_one_one_trial),
        cmocka_unit_test(
            final_parameters_end_where_stopping_ended_and_do_not_stop),
    };
    return cmocka_run_group_tests_name("train/define", tests, NULL, NULL);
}
