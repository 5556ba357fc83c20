/* test_pipeline.c -- from a CSV file to a release and back again: the data and
 * features rooms, a search, and rebuilding from the pins alone.
 *
 * Needs the engines (SLIPWAY_ENGINES, SLIPWAY_LIBS). */
#include "fixture.h"

#include "data/data.h"

#define VIEW                                                                   \
    "{\"name\":\"v\",\"entity\":\"symbol\",\"event_time\":\"date\","           \
    "\"ttl_ms\":604800000,\"sql\":\"SELECT symbol, date, level,"               \
    " ln(level / lag(level) OVER (PARTITION BY symbol ORDER BY date)) AS r"    \
    " FROM p\",\"lags\":[{\"of\":\"r\",\"count\":3}]}"
#define MODEL                                                                  \
    "{\"name\":\"m\",\"target\":{\"sql\":\"lead(level) OVER w\",\"of\":\"p\"," \
    "\"relative_to\":\"level\"},\"features\":[\"v\"],\"split\":"               \
    "{\"validate_ms\":3456000000,\"test_ms\":3456000000},"                     \
    "\"fallback\":{\"sql\":\"level\"},\"search\":{\"trials\":2},"              \
    "\"candidates\":{\"svr\":{\"max_rows\":400},\"xgboost\":{\"rounds\":40}}}"

/* Changes of a level that follow each other: r' = -0.7 r + noise. */
static const char *
csv_write(struct fixture *f)
{
    struct slw_err err;
    struct slw_rng rng;
    SLW_AUTO(slw_buf, text);
    slw_rng_init(&rng, 3);
    slw_buf_z(&text, "symbol,date,level\n");
    for (int e = 0; e < 2; e++) {
        double level = 100, r = 0;
        for (int64_t d = 0; d < 260; d++) {
            char date[SLW_TIME_TEXT_SIZE];
            r = -0.7 * r + 0.01 * slw_rng_normal(&rng);
            level *= exp(r);
            slw_buf_printf(&text, "S%d,%s,%.6f\n", e,
                           slw_date_text(DAY0_MS + d * SLW_DAY_MS, date),
                           level);
        }
    }
    const char *path = slw_path(&f->arena, f->dir, "p.csv");
    assert_ok(slw_file_put(path, slw_buf_view(&text), &err), err);
    return path;
}

/* Run a job's function in this process, as a child would. */
static void
job_run(struct fixture *f, slw_job_fn fn, struct slw_str spec)
{
    struct slw_err err;
    int64_t id = 0;
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, f->store, &err), err);
        assert_ok(slw_job_put(&tx, NOW_MS, "test", SLW_STR(""), SLW_STR(""),
                              spec, &id, &err),
                  err);
        SLW_AUTO(slw_stmt, take);
        assert_ok(slw_stmt_prepare(
                      &take, &tx,
                      "UPDATE jobs_job SET state = 'running', attempt = 1,"
                      " attempt_max = 1, lease_holder = 'test'",
                      &err),
                  err);
        assert_ok(slw_stmt_run(&take, &err), err);
        assert_ok(slw_tx_commit(&tx, &err), err);
    }
    setenv("SLIPWAY_JOB_HOLDER", "test", 1);
    setenv("SLIPWAY_JOB_ATTEMPT", "1", 1);
    const struct slw_job_kind kinds[] = {
        {.name = "test", .fn = fn, .attempt_max = 1}};
    assert_int_equal(slw_job_child_main(f->store, id, kinds, 1, NULL), 0);
}

static void
source_ingest(struct fixture *f)
{
    struct slw_err err;
    const char *path = csv_write(f);
    {
        SLW_AUTO(slw_tx, tx);
        assert_ok(slw_tx_begin(&tx, f->store, &err), err);
        assert_ok(slw_data_source_put(&tx, NOW_MS, SLW_STR("p"),
                                      SLW_STR("{\"entity\":\"symbol\","
                                              "\"event_time\":\"date\"}"),
                                      &err),
                  err);
        assert_ok(slw_tx_commit(&tx, &err), err);
    }
    job_run(f, slw_data_ingest_job,
            slw_arena_printf(&f->arena,
                             "{\"name\":\"p\",\"files\":[{\"path\":\"%s\"}]}",
                             path));
}

static struct slw_str
text_of(const struct json_t *o, const char *key)
{
    return slw_json_str_or(slw_json_get(o, key), SLW_STR(""));
}

static struct json_t *
reproduce(struct fixture *f, const char *release, struct slw_json *doc,
          struct slw_json *out)
{
    struct slw_err err;
    struct slw_jw w;
    SLW_AUTO(slw_buf, text);
    slw_jw_init(&w, &text);
    assert_ok(slw_train_reproduce(&f->ctx, json_of(doc, release), &w, &err),
              err);
    return json_of(out, text.ptr);
}

/* The same text with the first `from` replaced; both of one length. */
static char *
replaced(struct fixture *f, struct slw_str text, const char *from,
         const char *to)
{
    char *copy = slw_arena_strz(&f->arena, text);
    char *at = strstr(copy, from);
    assert_non_null(at);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(at, to, strlen(to));
    return copy;
}

static void
a_release_is_rebuilt_from_pins_and_a_difference_is_named(void **state)
{
    struct fixture f;
    struct slw_err err;
    fixture_init(&f);
    source_ingest(&f);
    SLW_AUTO(slw_buf, pins);
    SLW_AUTO(slw_buf, hashes);
    {
        struct slw_jw versions, sums;
        SLW_AUTO(slw_tx, tx);
        slw_jw_init(&versions, &pins);
        slw_jw_init(&sums, &hashes);
        assert_ok(slw_tx_read(&tx, f.store, &err), err);
        assert_ok(slw_data_pins(&tx, NOW_MS, &versions, &sums, &err), err);
    }
    SLW_AUTO(slw_json, def);
    SLW_AUTO(slw_json, pin_doc);
    SLW_AUTO(slw_json, hash_doc);
    SLW_AUTO(slw_json, views);
    const struct slw_train_spec spec = {
        .def = json_of(&def, MODEL),
        .pins = json_of(&pin_doc, pins.ptr),
        .hashes = json_of(&hash_doc, hashes.ptr),
        .views = json_of(&views, "[" VIEW "]"),
        .as_of_ms = NOW_MS,
        .seed = -1,
        .trials = -1,
    };
    struct slw_train_result r;
    assert_ok(slw_train_search(&f.ctx, &spec, &r, &err), err);

    SLW_AUTO(slw_json, release);
    const struct json_t *rel = json_of(&release, r.release.ptr);
    const struct json_t *metrics = slw_json_get(rel, "metrics");
    const double model = slw_json_f64_or(
        slw_json_get(slw_json_get(metrics, "test"), "mae"), NAN);
    const double rule = slw_json_f64_or(
        slw_json_get(slw_json_get(metrics, "fallback"), "mae"), NAN);
    /* The noise is 0.71 of the change's deviation (sqrt(1 - 0.49)). */
    assert_true(model < 0.9 * rule);
    const struct json_t *split = slw_json_get(rel, "split");
    assert_int_equal(slw_json_i64_or(slw_json_get(split, "test_rows"), 0), 80);
    assert_int_equal(slw_json_i64_or(slw_json_get(split, "unlabelled_rows"), 0),
                     2);
    assert_int_equal(slw_json_i64_or(slw_json_get(split, "missing_rows"), 0),
                     2 * 3); /* r and its two lags at the start */

    SLW_AUTO(slw_json, d1);
    SLW_AUTO(slw_json, d2);
    SLW_AUTO(slw_json, d3);
    SLW_AUTO(slw_json, a1);
    SLW_AUTO(slw_json, a2);
    SLW_AUTO(slw_json, a3);
    const struct json_t *same = reproduce(&f, r.release.ptr, &d1, &a1);
    assert_true(slw_json_bool_or(slw_json_get(same, "equal"), false));

    const struct json_t *moved =
        reproduce(&f, replaced(&f, r.release, "\"version\":1", "\"version\":2"),
                  &d2, &a2);
    assert_false(slw_json_bool_or(slw_json_get(moved, "equal"), true));
    assert_true(slw_str_eqz(text_of(moved, "first_difference"), "dataset p"));

    const struct json_t *edited = reproduce(
        &f, replaced(&f, r.release, "ln(level", "2*(level"), &d3, &a3);
    assert_false(slw_json_bool_or(slw_json_get(edited, "equal"), true));
    assert_true(slw_str_eqz(text_of(edited, "first_difference"), "features v"));
    fixture_done(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_release_is_rebuilt_from_pins_and_a_difference_is_named),
    };
    return cmocka_run_group_tests_name("train/pipeline", tests, NULL, NULL);
}
