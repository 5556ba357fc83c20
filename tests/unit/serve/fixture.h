/* fixture.h -- a store with one model of three versions and a deployment, for
 * the tests of this room.
 *
 * The models are rules, so that a test sees which one answered: of columns a
 * and b, version 1 answers a + b, version 2 a + b + 100, version 3 a / b (NaN
 * where b is 0); the fallback of all of them answers -a. */
#ifndef SLW_TESTS_SERVE_FIXTURE_H
#define SLW_TESTS_SERVE_FIXTURE_H

#include "base/json.h"
#include "serve/serve.h"
#include "store/blob.h"
#include "store/event.h"
#include "tests/slw_test.h"

#define NOW_MS INT64_C(1693526400000) /* 2023-09-01 */

struct fixture {
    char dir[256];
    struct slw_store *store;
    struct slw_clock clock;
    struct slw_serve *serve;
};

static inline enum slw_rc
predict(struct slw_serve *s, struct slw_str deployment,
        const struct slw_predict_in *in, struct slw_arena *a,
        struct slw_predict_out *out, struct slw_err *err)
{
    SLW_AUTO(slw_serving, v);
    TRY(slw_serving_begin(&v, s, deployment, 0, err));
    return slw_serving_predict(s, &v, in, a, out, err);
}

static inline void
fixture_open(struct fixture *f)
{
    struct slw_err err;
    const struct slw_store_options opt = {.dir = f->dir, .server = true};
    slw_clock_init_manual(&f->clock, NOW_MS);
    assert_ok(slw_store_open(&f->store, &opt, &err), err);
    assert_ok(slw_serve_open(&f->serve, f->store, &f->clock, &err), err);
}

static inline void
fixture_close(struct fixture *f)
{
    slw_serve_close(f->serve);
    slw_store_close(f->store);
    f->serve = NULL;
    f->store = NULL;
}

/* Register a version whose model and fallback are these expressions;
 * `columns` is the inside of a JSON list, `views` a JSON list. */
static inline int64_t
add_version(struct fixture *f, const char *model_sql, const char *rule_sql,
            const char *columns, const char *views)
{
    struct slw_err err;
    struct slw_blob_info blob;
    struct slw_str hash;
    int64_t version = 0;
    char text[2048];
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_json, doc);
    assert_ok(slw_blob_put(f->store, slw_str_of(model_sql), &blob, &err), err);
    snprintf(text, sizeof text,
             "{\"format\": \"slipway.release/1\", \"model\": \"m\","
             " \"flavour\": \"rule\", \"model_blob\": \"%s\","
             " \"signature\": {\"columns\": [%s], \"relative_to\": null,"
             " \"entity\": \"symbol\"}, \"features\": %s,"
             " \"fallback\": {\"sql\": \"%s\"}}",
             blob.hash, columns, views, rule_sql);
    assert_ok(slw_json_parse(&doc, slw_str_of(text), &err), err);
    assert_ok(slw_release_put(f->store, doc.root, &a, &hash, &err), err);
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, f->store, &err), err);
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

static inline void
fixture_fill(struct fixture *f, const char *def)
{
    struct slw_err err;
    static const char AB[] = "\"a\", \"b\"";
    assert_int_equal(add_version(f, "a + b", "-a", AB, "[]"), 1);
    assert_int_equal(add_version(f, "a + b + 100", "-a", AB, "[]"), 2);
    assert_int_equal(add_version(f, "a / b", "-a", AB, "[]"), 3);
    assert_ok(slw_serve_declare(f->serve, NOW_MS, SLW_STR("d"), slw_str_of(def),
                                &err),
              err);
}

#define DEF "{\"model\": \"m\", \"timeout_ms\": 60000}"

static inline int
fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    slw_test_dir(f->dir);
    fixture_open(f);
    fixture_fill(f, DEF);
    *state = f;
    return 0;
}

static inline int
fixture_teardown(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    free(f);
    return 0;
}

static inline enum slw_rc
act(struct fixture *f, enum slw_serve_action action, int64_t version,
    double weight, struct slw_err *err)
{
    return slw_serve_act(f->serve, NOW_MS, SLW_STR("d"), action, version,
                         weight, -1, SLW_STR("a test"), err);
}

static inline void
do_act(struct fixture *f, enum slw_serve_action action, int64_t version,
       double weight)
{
    struct slw_err err;
    assert_ok(act(f, action, version, weight, &err), err);
}

/* One row (a, b) under a key. */
static inline enum slw_rc
ask(struct fixture *f, const char *key, double a, double b, double *y,
    struct slw_predict_out *out, struct slw_err *err)
{
    SLW_AUTO(slw_arena, arena);
    const double x[] = {a, b};
    const struct slw_predict_in in = {
        .key = slw_str_of(key), .x = x, .row_count = 1, .column_count = 2};
    *out = (struct slw_predict_out){.y = y};
    return predict(f->serve, SLW_STR("d"), &in, &arena, out, err);
}

static inline double
answer(struct fixture *f, const char *key, double a, double b,
       struct slw_predict_out *out)
{
    struct slw_err err;
    double y = NAN;
    assert_ok(ask(f, key, a, b, &y, out, &err), err);
    return y;
}

static inline struct slw_deployment
row(struct fixture *f, struct slw_arena *a)
{
    struct slw_err err;
    struct slw_deployment d;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_read(&tx, f->store, &err), err);
    assert_ok(slw_serve_get(&tx, SLW_STR("d"), a, &d, &err), err);
    return d;
}

#endif
