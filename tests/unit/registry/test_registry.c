/* test_registry.c -- versions, aliases with history, gates, releases, lineage.
 */
#include "registry/registry.h"

#include "store/blob.h"
#include "store/event.h"
#include "tests/slw_test.h"

#define T0 INT64_C(1700000000000)

struct fixture {
    struct slw_store *store;
    struct slw_arena arena;
    struct slw_tx tx;
};

static int
setup(void **state)
{
    static struct fixture f;
    struct slw_err err;
    char dir[256];
    slw_test_dir(dir);
    f = (struct fixture){0};
    const struct slw_store_options opt = {.dir = dir, .server = true};
    assert_ok(slw_store_open(&f.store, &opt, &err), err);
    assert_ok(slw_tx_begin(&f.tx, f.store, &err), err);
    assert_ok(
        slw_registry_model_ensure(&f.tx, T0, SLW_STR("m"), SLW_STR("d"), &err),
        err);
    *state = &f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    slw_tx_done(&f->tx);
    slw_store_close(f->store);
    slw_arena_done(&f->arena);
    return 0;
}

static int64_t
add(struct fixture *f, const char *release)
{
    struct slw_err err;
    int64_t version = 0;
    assert_ok(slw_registry_version_add(
                  &f->tx, T0, SLW_STR("m"), slw_str_of(release), SLW_STR("run"),
                  SLW_STR("src"), SLW_STR(""), &version, &err),
              err);
    return version;
}

static int64_t
champion_at(struct fixture *f, int64_t at_ms)
{
    struct slw_err err;
    int64_t version = 0;
    enum slw_rc rc = slw_registry_alias_at(
        &f->tx, SLW_STR("m"), SLW_STR("champion"), at_ms, &version, &err);
    if (rc == SLW_NOT_FOUND)
        return 0;
    assert_ok(rc, err);
    return version;
}

static void
an_alias_is_known_at_every_instant(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    const struct slw_str m = SLW_STR("m"), champion = SLW_STR("champion");
    add(f, "");
    add(f, "");
    assert_ok(slw_registry_alias_set(&f->tx, T0 + 10, m, champion, 1,
                                     SLW_STR("first"), &err),
              err);
    assert_ok(slw_registry_alias_move(&f->tx, T0 + 20, m, champion, 2,
                                      SLW_STR("anna"), SLW_STR("better"), &err),
              err);
    assert_ok(slw_registry_alias_move(&f->tx, T0 + 20, m, champion, 1,
                                      SLW_STR("bob"), SLW_STR("undo"), &err),
              err);
    assert_ok(slw_registry_alias_remove(&f->tx, T0 + 30, m, champion,
                                        SLW_STR("eve"), SLW_STR(""), &err),
              err);
    assert_int_equal(champion_at(f, T0 + 9), 0);
    assert_int_equal(champion_at(f, T0 + 10), 1);
    assert_int_equal(champion_at(f, T0 + 19), 1);
    assert_int_equal(champion_at(f, T0 + 20), 1); /* the later move counts */
    assert_int_equal(champion_at(f, T0 + 30), 0);
    assert_int_equal(champion_at(f, INT64_MAX), 0);
    struct slw_registry_move *moves = NULL;
    size_t count = 0;
    int64_t total = 0;
    const struct slw_registry_past all = {.alias = champion,
                                          .stage = SLW_STR(""),
                                          .until_ms = INT64_MAX,
                                          .limit = 3};
    assert_ok(slw_registry_history(&f->tx, m, &all, &f->arena, &moves, &count,
                                   &total, &err),
              err);
    assert_int_equal(count, 3);
    assert_int_equal(total, 4);
    assert_int_equal(moves[0].version, 0);
    assert_int_equal(moves[0].previous, 1);
    assert_true(slw_str_eqz(moves[0].who, "eve"));
    assert_true(slw_str_eqz(moves[1].who, "bob"));
    assert_true(slw_str_eqz(moves[2].why, "better"));
    assert_int_equal(moves[2].previous, 1);
}

static void
a_move_of_an_alias_is_announced_with_what_was_before(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_event e;
    add(f, "");
    add(f, "");
    assert_ok(slw_registry_alias_set(&f->tx, T0, SLW_STR("m"),
                                     SLW_STR("champion"), 1, SLW_STR(""), &err),
              err);
    assert_ok(slw_registry_alias_set(&f->tx, T0, SLW_STR("m"),
                                     SLW_STR("champion"), 2, SLW_STR("why"),
                                     &err),
              err);
    assert_ok(slw_event_after(&f->tx, 0, SLW_STR("registry.alias"),
                              SLW_STR("m"), &f->arena, &e, &err),
              err);
    assert_ok(slw_event_after(&f->tx, e.id, SLW_STR("registry.alias"),
                              SLW_STR("m"), &f->arena, &e, &err),
              err);
    assert_true(slw_str_eqz(e.kind, "registry.alias_set"));
    assert_true(slw_str_eqz(
        e.payload, "{\"model\":\"m\",\"alias\":\"champion\",\"version\":2,"
                   "\"previous\":1,\"who\":\"slipway\",\"why\":\"why\"}"));
}

static void
history_never_goes_back_though_the_clock_does(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    const struct slw_str m = SLW_STR("m");
    add(f, "");
    add(f, "");
    assert_ok(slw_registry_alias_set(&f->tx, T0 + 100, m, SLW_STR("champion"),
                                     1, SLW_STR(""), &err),
              err);
    assert_ok(slw_registry_alias_set(&f->tx, T0 + 50, m, SLW_STR("champion"), 2,
                                     SLW_STR(""), &err),
              err);
    assert_int_equal(champion_at(f, T0 + 99), 0);
    assert_int_equal(champion_at(f, T0 + 100), 2);
    assert_int_equal(champion_at(f, INT64_MAX), 2);
}

static void
stage(struct fixture *f, int64_t at_ms, int64_t version, const char *name,
      bool archive)
{
    struct slw_err err;
    assert_ok(slw_registry_version_stage(&f->tx, at_ms, SLW_STR("m"), version,
                                         slw_str_of(name), archive,
                                         SLW_STR("anna"), SLW_STR("why"), &err),
              err);
}

/* Versions in a stage at an instant, as bits: version 1 is bit 1. */
static unsigned
in_stage(struct fixture *f, const char *name, int64_t at_ms)
{
    struct slw_err err;
    struct slw_registry_move *held = NULL;
    size_t count = 0;
    unsigned bits = 0;
    assert_ok(slw_registry_stages_at(&f->tx, SLW_STR("m"), slw_str_of(name),
                                     at_ms, &f->arena, &held, &count, &err),
              err);
    for (size_t i = 0; i < count; i++)
        bits |= 1u << held[i].version;
    return bits;
}

static void
a_stage_is_known_at_every_instant_of_deleted_versions_too(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    add(f, "");
    add(f, "");
    add(f, "");
    stage(f, T0 + 10, 1, "production", false);
    stage(f, T0 + 20, 2, "Production", false);
    stage(f, T0 + 25, 2, "Production", true); /* itself stays, 1 goes */
    stage(f, T0 + 30, 3, "Production", true);
    assert_ok(slw_registry_version_delete(&f->tx, T0 + 40, SLW_STR("m"), 3,
                                          SLW_STR("eve"), &err),
              err);
    assert_int_equal(in_stage(f, "None", T0 - 1), 0);
    assert_int_equal(in_stage(f, "None", T0), 14);
    assert_int_equal(in_stage(f, "Production", T0 + 9), 0);
    assert_int_equal(in_stage(f, "Production", T0 + 10), 2);
    assert_int_equal(in_stage(f, "Production", T0 + 20), 6);
    assert_int_equal(in_stage(f, "Production", T0 + 25), 4);
    assert_int_equal(in_stage(f, "Archived", T0 + 25), 2);
    assert_int_equal(in_stage(f, "production", T0 + 30), 8);
    assert_int_equal(in_stage(f, "Production", T0 + 40), 0);
    assert_int_equal(in_stage(f, "Archived", INT64_MAX), 6);
    struct slw_registry_move *moves = NULL;
    size_t count = 0;
    int64_t total = 0;
    const struct slw_registry_past past = {.alias = SLW_STR(""),
                                           .stage = SLW_STR("Production"),
                                           .until_ms = INT64_MAX,
                                           .limit = 100};
    assert_ok(slw_registry_history(&f->tx, SLW_STR("m"), &past, &f->arena,
                                   &moves, &count, &total, &err),
              err);
    assert_int_equal(total, 6); /* three in, two archived, one deleted */
    assert_int_equal(moves[0].version, 3);
    assert_true(slw_str_eqz(moves[0].to, ""));
    assert_true(slw_str_eqz(moves[0].who, "eve"));
    assert_true(slw_str_eqz(moves[5].who, "anna"));
    assert_fails(slw_registry_stages_at(&f->tx, SLW_STR("m"), SLW_STR("Prod"),
                                        T0, &f->arena, &moves, &count, &err),
                 SLW_INVALID, err, "Staging, Production");
}

static void
a_change_of_stage_is_announced_and_no_change_is_not(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_event e;
    add(f, "");
    stage(f, T0 + 1, 1, "Staging", false);
    stage(f, T0 + 2, 1, "Staging", true);
    assert_ok(slw_event_after(&f->tx, 0, SLW_STR("registry.stage"),
                              SLW_STR("m"), &f->arena, &e, &err),
              err);
    assert_true(slw_str_eqz(
        e.payload, "{\"model\":\"m\",\"version\":1,\"stage\":\"Staging\","
                   "\"previous\":\"None\",\"who\":\"anna\",\"why\":\"why\"}"));
    assert_int_equal(slw_event_after(&f->tx, e.id, SLW_STR("registry.stage"),
                                     SLW_STR("m"), &f->arena, &e, &err),
                     SLW_NOT_FOUND);
}

static const struct slw_registry_act PUT_BACK = {
    .now_ms = T0 + 100, .who = {"bob", 3}, .why = {"", 0}};

static void
an_alias_is_put_back_to_what_it_named(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    int64_t now = 0, before = 77;
    const struct slw_str m = SLW_STR("m"), champion = SLW_STR("champion");
    for (int v = 1; v <= 3; v++)
        add(f, "");
    for (int v = 1; v <= 2; v++)
        assert_ok(slw_registry_alias_set(&f->tx, T0 + 10 * v, m, champion, v,
                                         SLW_STR(""), &err),
                  err);
    assert_fails(slw_registry_alias_restore(&f->tx, &PUT_BACK, m, champion,
                                            T0 + 9, 0, &now, &before, &err),
                 SLW_NOT_FOUND, err, "the first was given it at");
    assert_fails(slw_registry_alias_restore(&f->tx, &PUT_BACK, m,
                                            SLW_STR("nope"), T0 + 9, 0, &now,
                                            &before, &err),
                 SLW_NOT_FOUND, err, "ever had the alias 'nope'");
    assert_fails(slw_registry_alias_restore(&f->tx, &PUT_BACK, m, champion, 0,
                                            3, &now, &before, &err),
                 SLW_CONFLICT, err, "never named version 3");
    assert_int_equal(before, 77);
    assert_ok(slw_registry_alias_restore(&f->tx, &PUT_BACK, m, champion,
                                         T0 + 19, 0, &now, &before, &err),
              err);
    assert_int_equal(now, 1);
    assert_int_equal(before, 2);
    assert_int_equal(champion_at(f, INT64_MAX), 1);
    assert_ok(slw_registry_alias_restore(&f->tx, &PUT_BACK, m, champion, 0, 2,
                                         &now, &before, &err),
              err);
    assert_int_equal(champion_at(f, INT64_MAX), 2);
    assert_ok(
        slw_registry_version_delete(&f->tx, T0 + 101, m, 1, SLW_STR(""), &err),
        err);
    assert_fails(slw_registry_alias_restore(&f->tx, &PUT_BACK, m, champion,
                                            T0 + 10, 0, &now, &before, &err),
                 SLW_CONFLICT, err, "deleted");
}

static void
a_stage_is_put_back_to_those_that_were_in_it(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    int64_t *versions = NULL;
    size_t count = 0, changed = 0;
    const struct slw_str m = SLW_STR("m"), production = SLW_STR("Production");
    for (int v = 1; v <= 3; v++)
        add(f, "");
    stage(f, T0 + 10, 1, "Production", false);
    stage(f, T0 + 11, 2, "Production", false);
    stage(f, T0 + 20, 3, "Production", true);
    assert_ok(slw_registry_stage_restore(&f->tx, &PUT_BACK, m, production,
                                         T0 + 15, &f->arena, &versions, &count,
                                         &changed, &err),
              err);
    assert_int_equal(count, 2);
    assert_int_equal(changed, 3);
    assert_int_equal(in_stage(f, "Production", INT64_MAX), 6);
    assert_int_equal(in_stage(f, "Archived", INT64_MAX), 8);
    assert_ok(
        slw_registry_version_delete(&f->tx, T0 + 101, m, 1, SLW_STR(""), &err),
        err);
    assert_fails(slw_registry_stage_restore(&f->tx, &PUT_BACK, m, production,
                                            T0 + 15, &f->arena, &versions,
                                            &count, &changed, &err),
                 SLW_CONFLICT, err, "deleted");
    assert_fails(slw_registry_stage_restore(&f->tx, &PUT_BACK, m,
                                            SLW_STR("None"), T0 + 15, &f->arena,
                                            &versions, &count, &changed, &err),
                 SLW_INVALID, err, "can be put back");
    assert_fails(slw_registry_stage_restore(&f->tx, &PUT_BACK, m, production,
                                            T0, &f->arena, &versions, &count,
                                            &changed, &err),
                 SLW_NOT_FOUND, err, "the first was given it at");
}

static void
a_new_model_has_no_history_of_one_that_was_deleted(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    const struct slw_str m = SLW_STR("m");
    add(f, "");
    assert_ok(slw_registry_alias_set(&f->tx, T0, m, SLW_STR("champion"), 1,
                                     SLW_STR(""), &err),
              err);
    stage(f, T0, 1, "Production", false);
    assert_ok(slw_registry_model_delete(&f->tx, T0 + 1, m, &err), err);
    assert_ok(slw_registry_model_ensure(&f->tx, T0 + 2, m, SLW_STR(""), &err),
              err);
    assert_int_equal(champion_at(f, T0 + 1), 0);
    assert_int_equal(in_stage(f, "Production", INT64_MAX), 0);
}

static void
numbers_are_not_reused_and_aliases_of_a_deleted_version_go(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_version v;
    add(f, "");
    add(f, "");
    assert_ok(slw_registry_alias_set(&f->tx, T0, SLW_STR("m"),
                                     SLW_STR("champion"), 2, SLW_STR(""), &err),
              err);
    assert_ok(slw_registry_version_delete(&f->tx, T0 + 1, SLW_STR("m"), 2,
                                          SLW_STR("anna"), &err),
              err);
    assert_int_equal(champion_at(f, T0), 2);
    assert_int_equal(champion_at(f, T0 + 1), 0);
    assert_int_equal(add(f, ""), 3);
    assert_fails(
        slw_registry_version_get(&f->tx, SLW_STR("m"), 2, &f->arena, &v, &err),
        SLW_NOT_FOUND, err, "version=2");
}

static void
a_version_is_found_by_number_alias_newest_and_release(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_version v;
    const struct slw_str m = SLW_STR("m");
    add(f, "r1");
    add(f, "r2");
    assert_ok(slw_registry_alias_set(&f->tx, T0, m, SLW_STR("best"), 1,
                                     SLW_STR(""), &err),
              err);
    static const struct {
        const char *ref;
        int64_t version;
    } refs[] = {{"1", 1}, {"2", 2}, {"", 2}, {"latest", 2}, {"best", 1}};
    for (size_t i = 0; i < ARRAY_LEN(refs); i++) {
        assert_ok(slw_registry_version_find(&f->tx, m, slw_str_of(refs[i].ref),
                                            &f->arena, &v, &err),
                  err);
        assert_int_equal(v.version, refs[i].version);
    }
    static const char *const absent[] = {"0", "-1", "3", "nobody"};
    for (size_t i = 0; i < ARRAY_LEN(absent); i++)
        assert_int_equal(slw_registry_version_find(&f->tx, m,
                                                   slw_str_of(absent[i]),
                                                   &f->arena, &v, &err),
                         SLW_NOT_FOUND);
}

static void
gates_keep_every_verdict_and_the_version_shows_the_last(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_version v;
    const struct slw_str m = SLW_STR("m");
    add(f, "");
    assert_fails(slw_registry_gate_put(&f->tx, T0, m, 1, true,
                                       SLW_STR("not json"), &err),
                 SLW_INVALID, err, "JSON");
    assert_ok(slw_registry_gate_put(&f->tx, T0, m, 1, false,
                                    SLW_STR("{\"verdict\":\"refused\"}"), &err),
              err);
    assert_ok(slw_registry_gate_put(&f->tx, T0 + 5, m, 1, true,
                                    SLW_STR("{\"verdict\":\"passed\"}"), &err),
              err);
    assert_ok(slw_registry_version_get(&f->tx, m, 1, &f->arena, &v, &err), err);
    assert_true(slw_str_eqz(v.gate_verdict, "passed"));
    assert_true(slw_str_eqz(v.gate, "{\"verdict\":\"passed\"}"));
    struct slw_gate_result *gates = NULL;
    size_t count = 0;
    assert_ok(
        slw_registry_gate_list(&f->tx, m, 1, &f->arena, &gates, &count, &err),
        err);
    assert_int_equal(count, 2);
    assert_false(gates[1].passed);
}

static const char DOC[] =
    "{\"format\":\"slipway.release/1\",\"model\":\"m\",\"flavour\":\"rule\","
    "\"signature\":{\"columns\":[\"close\",\"volume\"],"
    "\"relative_to\":\"volume\",\"entity\":\"symbol\"},"
    "\"datasets\":{\"prices\":{\"version\":3,\"hash\":\"abc\"}},"
    "\"feature_hashes\":{\"momentum\":\"def\"},"
    "\"engine\":{\"name\":\"rule\",\"version\":\"1\"},"
    "\"code\":{\"slipway\":\"0.1\",\"project_hash\":\"p\",\"git\":\"\"},"
    "\"fallback\":{\"sql\":\"close * 2\"},\"model_blob\":\"%s\"}";

static struct slw_str
put_release(struct fixture *f)
{
    struct slw_err err;
    struct slw_blob_info blob;
    SLW_AUTO(slw_json, doc);
    struct slw_str hash;
    assert_ok(slw_blob_put(f->store, SLW_STR("close + volume"), &blob, &err),
              err);
    char text[1024];
    snprintf(text, sizeof(text), DOC, blob.hash);
    assert_ok(slw_json_parse(&doc, slw_str_of(text), &err), err);
    assert_ok(slw_release_put(f->store, doc.root, &f->arena, &hash, &err), err);
    return hash;
}

static void
a_release_reads_back_and_its_models_answer(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    SLW_AUTO(slw_json, doc);
    struct slw_signature sig = {0};
    struct slw_str hash = put_release(f);
    assert_true(slw_str_eq(hash, put_release(f))); /* equal: one release */
    assert_ok(slw_release_get(f->store, hash.ptr, &doc, &err), err);
    assert_ok(slw_release_signature(doc.root, &f->arena, &sig, &err), err);
    assert_int_equal(sig.column_count, 2);
    assert_int_equal(sig.relative_to, 1);
    struct slw_model *model = NULL, *rule = NULL;
    assert_ok(slw_release_models(f->store, doc.root, &model, &rule, &err), err);
    const double x[] = {3.0, 4.0};
    double y = 0;
    slw_model_predict(model, x, 1, &y);
    assert_near(y, 7.0, 0.0);
    slw_model_predict(rule, x, 1, &y);
    assert_near(y, 6.0, 0.0);
    slw_model_unref(model);
    slw_model_unref(rule);
}

static void
what_is_no_release_is_refused(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_blob_info blob;
    SLW_AUTO(slw_json, doc);
    SLW_AUTO(slw_json, other);
    struct slw_str hash;
    assert_ok(slw_json_parse(&other, SLW_STR("{\"format\":\"x\"}"), &err), err);
    assert_fails(slw_release_put(f->store, other.root, &f->arena, &hash, &err),
                 SLW_INVALID, err, "slipway.release/1");
    assert_ok(slw_blob_put(f->store, SLW_STR("{}"), &blob, &err), err);
    assert_fails(slw_release_get(f->store, blob.hash, &doc, &err), SLW_INVALID,
                 err, "not a release");
    assert_null(doc.root);
}

static void
lineage_leads_from_data_to_the_version(void **state)
{
    struct fixture *f = *state;
    struct slw_err err;
    struct slw_version v;
    SLW_AUTO(slw_buf, text);
    SLW_AUTO(slw_json, doc);
    struct slw_jw w;
    add(f, put_release(f).ptr);
    assert_ok(
        slw_registry_version_get(&f->tx, SLW_STR("m"), 1, &f->arena, &v, &err),
        err);
    slw_jw_init(&w, &text);
    assert_ok(slw_registry_lineage(f->store, &v, &f->arena, &w, &err), err);
    assert_ok(slw_json_parse(&doc, slw_buf_view(&text), &err), err);
    /* dataset, features, engine, code, run -> release -> version */
    assert_int_equal(slw_json_len(slw_json_get(doc.root, "nodes")), 7);
    const struct json_t *edges = slw_json_get(doc.root, "edges");
    assert_int_equal(slw_json_len(edges), 6);
    const struct json_t *last = slw_json_at(edges, 5);
    assert_true(slw_str_starts(
        slw_json_str_or(slw_json_at(last, 0), SLW_STR("")), "release:"));
    assert_true(slw_str_eqz(slw_json_str_or(slw_json_at(last, 1), SLW_STR("")),
                            "version:m/1"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_alias_is_known_at_every_instant,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_move_of_an_alias_is_announced_with_what_was_before, setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            history_never_goes_back_though_the_clock_does, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_stage_is_known_at_every_instant_of_deleted_versions_too, setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            a_change_of_stage_is_announced_and_no_change_is_not, setup,
            teardown),
        cmocka_unit_test_setup_teardown(an_alias_is_put_back_to_what_it_named,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_stage_is_put_back_to_those_that_were_in_it, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_new_model_has_no_history_of_one_that_was_deleted, setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            numbers_are_not_reused_and_aliases_of_a_deleted_version_go, setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            a_version_is_found_by_number_alias_newest_and_release, setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            gates_keep_every_verdict_and_the_version_shows_the_last, setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            a_release_reads_back_and_its_models_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_release_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(lineage_leads_from_data_to_the_version,
                                        setup, teardown),
    };
    return cmocka_run_group_tests_name("registry/registry", tests, NULL, NULL);
}
