/* fixture.h -- a store with small sources, for the tests of feature views. */
#ifndef FEATURES_FIXTURE_H
#define FEATURES_FIXTURE_H

#include "features/features.h"
#include "tests/unit/data/fixture.h"

#define HOURS(n) ((int64_t)(n)*3600000)

static inline void
view_put(struct fixture *f, const char *name, const char *def)
{
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    assert_ok(slw_tx_begin(&tx, f->store, &err), err);
    assert_ok(
        slw_features_view_put(&tx, 0, slw_str_of(name), slw_str_of(def), &err),
        err);
    assert_ok(slw_tx_commit(&tx, &err), err);
}

/* A frame over source "prices"; views a JSON array of definitions. */
struct frame_ask {
    const char *pins, *views, *target, *extra;
    int64_t from_ms, to_ms, as_of_ms, known_after_ms;
    struct slw_memo *memo;
};

static inline enum slw_rc
frame_get(struct fixture *f, const struct frame_ask *ask, struct slw_frame *out,
          struct slw_err *err)
{
    SLW_AUTO(slw_json, pins);
    SLW_AUTO(slw_json, views);
    assert_ok(
        slw_json_parse(
            &pins, slw_str_of(ask->pins ? ask->pins : "{\"prices\": 1}"), err),
        *err);
    assert_ok(slw_json_parse(&views, slw_str_of(ask->views), err), *err);
    const struct slw_frame_spec spec = {
        .pins = pins.root,
        .views = views.root,
        .spine_source = SLW_STR("prices"),
        .from_ms = ask->from_ms,
        .to_ms = ask->to_ms ? ask->to_ms : INT64_MAX,
        .target_sql = slw_str_of(ask->target ? ask->target : ""),
        .extra_sql = slw_str_of(ask->extra ? ask->extra : ""),
        .as_of_ms = ask->as_of_ms ? ask->as_of_ms : INT64_MAX,
        .known_after_ms = ask->known_after_ms,
        .memo = ask->memo,
    };
    return slw_features_frame(f->store, &spec, &f->a, out, err);
}

#endif
