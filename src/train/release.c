/* release.c -- the release document of the chosen model, member by member as
 * src/registry/registry.h lists them.
 *
 * Nothing that was measured by a clock goes in: the same spec gives the same
 * document, but for the id of the run that made it. */
#include "train/train_internal.h"

#include "store/blob.h"

const char *
train_model_file(enum slw_flavour f, struct slw_str bytes)
{
    switch (f) {
    case SLW_FLAVOUR_XGBOOST: /* UBJSON names a type after the bracket */
        return bytes.len > 1 && bytes.ptr[0] == '{' &&
                       (bytes.ptr[1] == 'L' || bytes.ptr[1] == 'l' ||
                        bytes.ptr[1] == 'i' || bytes.ptr[1] == 'U' ||
                        bytes.ptr[1] == 'I')
                   ? "model.ubj"
                   : "model.json";
    case SLW_FLAVOUR_SVR:
        return "model.svr";
    case SLW_FLAVOUR_ARNET:
        return "model.arnet";
    default:
        return "model.sql";
    }
}

/* ---- parts ---- */

static void
signature_write(const struct train_search *s, struct slw_jw *w)
{
    const struct slw_signature *sig = &s->set.sig;
    slw_jw_key(w, "signature");
    slw_jw_obj(w);
    slw_jw_key(w, "columns");
    slw_jw_arr(w);
    for (size_t i = 0; i < sig->column_count; i++)
        slw_jw_str(w, sig->columns[i]);
    slw_jw_arr_end(w);
    if (sig->relative_to >= 0)
        slw_jw_kstr(w, "relative_to", sig->columns[sig->relative_to]);
    else
        slw_jw_kz(w, "relative_to", NULL);
    slw_jw_kstr(w, "entity", s->set.entity_column);
    slw_jw_obj_end(w);
}

static void
inputs_write(const struct train_search *s, struct slw_jw *w)
{
    const struct slw_train_spec *spec = s->spec;
    struct slw_arena *a = s->ctx->arena;
    slw_jw_key(w, "features");
    slw_jw_arr(w);
    for (size_t i = 0; i < slw_json_len(spec->views); i++)
        slw_jw_node(w, slw_json_at(spec->views, i));
    slw_jw_arr_end(w);
    slw_jw_key(w, "feature_hashes");
    slw_jw_obj(w);
    for (size_t i = 0; i < slw_json_len(spec->views); i++) {
        const struct json_t *view = slw_json_at(spec->views, i);
        slw_jw_keys(w,
                    slw_json_str_or(slw_json_get(view, "name"), SLW_STR("")));
        slw_jw_str(w, train_node_hash(view, a));
    }
    slw_jw_obj_end(w);
    slw_jw_key(w, "datasets");
    slw_jw_obj(w);
    for (void *it = slw_json_iter(spec->pins); it;
         it = slw_json_next(spec->pins, it)) {
        const char *name = slw_arena_strz(a, slw_json_iter_key(it));
        slw_jw_key(w, name);
        slw_jw_obj(w);
        slw_jw_ki64(w, "version", slw_json_i64_or(slw_json_iter_value(it), 0));
        slw_jw_kstr(
            w, "hash",
            slw_json_str_or(slw_json_get(spec->hashes, name), SLW_STR("")));
        slw_jw_obj_end(w);
    }
    slw_jw_obj_end(w);
}

static void
split_write(const struct train_search *s, struct slw_jw *w)
{
    const struct train_set *set = &s->set;
    slw_jw_key(w, "target");
    slw_jw_obj(w);
    slw_jw_kstr(w, "sql", s->def.target_sql);
    slw_jw_kstr(w, "of", s->def.target_of);
    slw_jw_ki64(w, "known_after_ms", s->def.known_after_ms);
    slw_jw_obj_end(w);
    slw_jw_key(w, "split");
    slw_jw_obj(w);
    slw_jw_ki64(w, "train_from_ms", set->train_from_ms);
    slw_jw_ki64(w, "train_to_ms", set->train_to_ms);
    slw_jw_ki64(w, "valid_to_ms", set->valid_to_ms);
    slw_jw_ki64(w, "test_to_ms", set->test_to_ms);
    slw_jw_ki64(w, "train_rows", (int64_t)set->train.count);
    slw_jw_ki64(w, "valid_rows", (int64_t)set->valid.count);
    slw_jw_ki64(w, "test_rows", (int64_t)set->test.count);
    slw_jw_ki64(w, "missing_rows", (int64_t)set->missing_count);
    slw_jw_ki64(w, "unlabelled_rows", (int64_t)set->unlabelled_count);
    slw_jw_ki64(w, "purged_rows", (int64_t)set->purged_count);
    slw_jw_obj_end(w);
    slw_jw_ki64(w, "as_of_ms", s->spec->as_of_ms);
}

static void
numbers_write(const struct train_search *s, const struct train_entry *e,
              struct slw_jw *w)
{
    const struct train_entry *rule = &s->entries[s->entry_count - 1];
    slw_jw_kraw(w, "params", e->params);
    slw_jw_ki64(w, "seed", s->seed);
    slw_jw_kstr(w, "candidate", e->name);
    slw_jw_key(w, "engine");
    slw_jw_obj(w);
    slw_jw_kz(w, "name", e->engine);
    slw_jw_kz(w, "version", e->engine_version);
    slw_jw_obj_end(w);
    slw_jw_kz(w, "frame_hash", s->frame->hash);
    slw_jw_kstr(w, "run_id", s->parent_id);
    slw_jw_key(w, "metrics");
    slw_jw_obj(w);
    slw_jw_key(w, "test");
    train_metrics_write(w, &e->test);
    slw_jw_key(w, "fallback");
    train_metrics_write(w, &rule->test);
    slw_jw_key(w, "valid");
    train_metrics_write(w, &e->valid);
    slw_jw_obj_end(w);
    slw_jw_key(w, "errors_by_day");
    train_days_write(w, &s->set.test, e->test_yhat, rule->test_yhat);
}

/* The caller's members, and an empty one where it has none. */
static void
extra_write(const struct train_search *s, struct slw_jw *w)
{
    const struct json_t *extra = s->spec->extra;
    for (void *it = slw_json_iter(extra); it; it = slw_json_next(extra, it)) {
        slw_jw_keys(w, slw_json_iter_key(it));
        slw_jw_node(w, slw_json_iter_value(it));
    }
    if (!slw_json_get(extra, "code"))
        slw_jw_kraw(w, "code",
                    SLW_STR("{\"slipway\":\"\",\"project_hash\":\"\","
                            "\"git\":\"\"}"));
    if (!slw_json_get(extra, "thresholds"))
        slw_jw_kraw(w, "thresholds", SLW_STR("{}"));
    slw_jw_key(w, "fallback");
    slw_jw_obj(w);
    slw_jw_kstr(w, "sql", s->def.fallback_sql);
    slw_jw_obj_end(w);
    slw_jw_kz(w, "metric", train_metric_name(s->def.metric));
}

static enum slw_rc
profile_put(struct train_search *s, const struct train_entry *e,
            struct slw_profile *out, struct slw_blob_info *out_blob,
            struct slw_err *err)
{
    struct slw_model *m = NULL;
    SLW_AUTO(slw_buf, bytes);
    slw_buf_init(&bytes, (size_t)1 << 31);
    TRY(slw_model_load(&m, e->flavour, &s->set.sig, e->bytes, err));
    enum slw_rc rc = train_profile_make(
        s->frame, &s->set, m, s->def.reference_ms, s->ctx->arena, out, err);
    slw_model_unref(m);
    if (rc == SLW_OK)
        rc = slw_profile_write(out, &bytes, err);
    if (rc == SLW_OK)
        rc = slw_blob_put(s->ctx->store, slw_buf_view(&bytes), out_blob, err);
    return rc;
}

enum slw_rc
train_release_text(struct train_search *s, const struct train_entry *e,
                   struct slw_str *out, struct slw_err *err)
{
    struct slw_blob_info model, profile_blob;
    struct slw_profile profile;
    TRY(slw_blob_put(s->ctx->store, e->bytes, &model, err));
    TRY(profile_put(s, e, &profile, &profile_blob, err));
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "format", "slipway.release/1");
    slw_jw_kstr(&w, "model", s->def.name);
    slw_jw_kz(&w, "flavour", slw_flavour_name(e->flavour));
    slw_jw_kz(&w, "model_blob", model.hash);
    slw_jw_ki64(&w, "model_size", model.size);
    signature_write(s, &w);
    inputs_write(s, &w);
    split_write(s, &w);
    numbers_write(s, e, &w);
    slw_jw_key(&w, "profile");
    slw_jw_obj(&w);
    slw_jw_kz(&w, "blob", profile_blob.hash);
    slw_jw_ki64(&w, "rows", (int64_t)profile.row_count);
    slw_jw_ki64(&w, "from_ms", profile.event_ms[0]);
    slw_jw_ki64(&w, "to_ms", profile.event_ms[profile.row_count - 1]);
    slw_jw_obj_end(&w);
    extra_write(s, &w);
    slw_jw_obj_end(&w);
    TRY(slw_buf_check(&text, err));
    *out = slw_arena_str(s->ctx->arena, slw_buf_view(&text));
    return SLW_OK;
}
