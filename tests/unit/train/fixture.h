/* fixture.h -- a store in a folder of its own, a job to run in, and a frame
 * made in memory: three entities, a row a day, a target that trees, kernels
 * and the network can all learn from lag_0 and lag_1. */
#ifndef TEST_TRAIN_FIXTURE_H
#define TEST_TRAIN_FIXTURE_H

#include "base/file.h"
#include "base/hash.h"
#include "base/rng.h"
#include "train/train_internal.h"
#include "tests/slw_test.h"

#define NOW_MS ((int64_t)1700000000000)
#define DAY0_MS ((int64_t)1577836800000) /* 2020-01-01 */
#define DAYS 400
#define ENTITIES 3

struct fixture {
    char dir[256];
    struct slw_store *store;
    struct slw_arena arena;
    struct slw_job job;
    struct slw_job_ctx ctx;
};

static inline void
fixture_init(struct fixture *f)
{
    struct slw_err err;
    memset(f, 0, sizeof(*f));
    slw_test_dir(f->dir);
    const struct slw_store_options opt = {.dir = f->dir, .server = true};
    assert_ok(slw_store_open(&f->store, &opt, &err), err);
    f->job = (struct slw_job){.id = 12, .now_ms = NOW_MS};
    f->ctx = (struct slw_job_ctx){.store = f->store,
                                  .job = &f->job,
                                  .now_ms = NOW_MS,
                                  .arena = &f->arena,
                                  .dir = slw_path(&f->arena, f->dir, "job")};
    assert_ok(slw_dir_make(f->ctx.dir, &err), err);
}

static inline void
fixture_done(struct fixture *f)
{
    slw_store_close(f->store);
    slw_arena_done(&f->arena);
}

static inline struct slw_frame
frame_make(struct slw_arena *a)
{
    static const char *const names[] = {"lag_0", "lag_1", "lag_2", "noise",
                                        "close"};
    struct slw_frame fr = {.row_count = (size_t)DAYS * ENTITIES,
                           .column_count = SLW_ARRAY_LEN(names),
                           .entity_column = SLW_STR("symbol")};
    struct slw_rng rng;
    slw_rng_init(&rng, 5);
    fr.columns = SLW_ARENA_NEW(a, struct slw_str, fr.column_count);
    for (size_t i = 0; i < fr.column_count; i++)
        fr.columns[i] = slw_str_of(names[i]);
    fr.x = SLW_ARENA_NEW(a, double, fr.row_count *fr.column_count);
    fr.y = SLW_ARENA_NEW(a, double, fr.row_count);
    fr.event_ms = SLW_ARENA_NEW(a, int64_t, fr.row_count);
    fr.label_known_ms = SLW_ARENA_NEW(a, int64_t, fr.row_count);
    fr.entity = SLW_ARENA_NEW(a, struct slw_str, fr.row_count);
    for (size_t r = 0; r < fr.row_count; r++) {
        double *x = fr.x + r * fr.column_count;
        for (size_t i = 0; i < 4; i++)
            x[i] = slw_rng_normal(&rng);
        x[4] = 100 + 0.1 * (double)r; /* a level that only rises */
        fr.y[r] = 0.6 * x[0] + 0.3 * x[1] + (x[0] > 1 ? 0.5 : 0) +
                  0.1 * slw_rng_normal(&rng);
        fr.event_ms[r] = DAY0_MS + (int64_t)(r / ENTITIES) * SLW_DAY_MS;
        fr.label_known_ms[r] = fr.event_ms[r] + SLW_DAY_MS;
        fr.entity[r] = slw_arena_printf(a, "E%zu", r % ENTITIES);
    }
    for (size_t r = fr.row_count - ENTITIES; r < fr.row_count; r++) {
        fr.y[r] = NAN; /* tomorrow has not come */
        fr.label_known_ms[r] = INT64_MAX;
    }
    const struct slw_sha256 h =
        slw_sha256_of(fr.x, fr.row_count * fr.column_count * sizeof(double));
    slw_sha256_hex(&h, fr.hash);
    return fr;
}

#define MODEL_HEAD                                                             \
    "{\"name\":\"m\",\"target\":{\"sql\":\"lead(v) OVER w\",\"of\":\"p\"},"    \
    "\"features\":[\"v\"],\"split\":{\"validate_ms\":5184000000,"              \
    "\"test_ms\":5184000000},\"fallback\":{\"sql\":\"lag_0\"},"

static inline struct json_t *
json_of(struct slw_json *doc, const char *text)
{
    struct slw_err err;
    assert_ok(slw_json_parse(doc, slw_str_of(text), &err), err);
    return doc->root;
}

#endif
