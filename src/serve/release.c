/* release.c -- a release in memory: model, rule, columns, views.
 *
 * What can be loaded is loaded: a damaged model file leaves the rule, and the
 * rule then answers. */
#include "serve/serve_internal.h"

#include "base/hash.h"

/* The views whose newest rows make the columns. */
static enum slw_rc
views_read(struct serve_release *r, const struct json_t *doc,
           struct slw_err *err)
{
    const struct json_t *views = slw_json_get(doc, "features");
    size_t count = slw_json_len(views);
    if (count > SERVE_VIEW_MAX)
        return slw_fail(err, SLW_LIMIT,
                        "the release names %zu views, at most %d are served",
                        count, SERVE_VIEW_MAX);
    r->views = SLW_ARENA_NEW(&r->arena, struct serve_view, count);
    for (size_t i = 0; i < count; i++) {
        const struct json_t *v = slw_json_at(views, i);
        struct slw_str name;
        TRY(slw_json_need_str(v, "name", &name, err));
        r->views[i].name = slw_arena_str(&r->arena, name);
        TRY(slw_json_opt_i64(v, "ttl_ms", &r->views[i].ttl_ms, err));
    }
    r->view_count = count;
    return SLW_OK;
}

static enum slw_rc
rule_alone(struct serve_release *r, const struct json_t *doc,
           struct slw_err *err)
{
    struct slw_str sql = slw_json_str_or(
        slw_json_get(slw_json_get(doc, "fallback"), "sql"), SLW_STR(""));
    if (sql.len == 0)
        return slw_fail(err, SLW_NOT_FOUND, "the release has no rule");
    return slw_model_load(&r->rule, SLW_FLAVOUR_RULE, &r->signature, sql, err);
}

static enum slw_rc
release_read(struct serve_release *r, struct slw_store *store,
             struct slw_err *err)
{
    SLW_AUTO(slw_json, doc);
    TRY(slw_release_get(store, r->hash, &doc, err));
    TRY(slw_release_signature(doc.root, &r->arena, &r->signature, err));
    const struct json_t *sig = slw_json_get(doc.root, "signature");
    r->entity = slw_arena_str(
        &r->arena, slw_json_str_or(slw_json_get(sig, "entity"), SLW_STR("")));
    r->flavour = slw_arena_str(
        &r->arena,
        slw_json_str_or(slw_json_get(doc.root, "flavour"), SLW_STR("")));
    TRY(views_read(r, doc.root, err));
    enum slw_rc rc =
        slw_release_models(store, doc.root, &r->model, &r->rule, err);
    if (rc == SLW_OK)
        return rc;
    r->model = NULL;
    r->rule = NULL;
    struct slw_err second;
    if (rule_alone(r, doc.root, &second) != SLW_OK)
        r->rule = NULL;
    return rc;
}

struct serve_release *
serve_release_load(struct slw_store *store, struct slw_str hash,
                   int64_t version)
{
    struct serve_release *r = slw_alloc(sizeof *r);
    atomic_init(&r->ref_count, 1);
    r->version = version;
    struct slw_sha256 sum;
    enum slw_rc rc = slw_sha256_parse(hash, &sum, &r->why);
    if (rc == SLW_OK) {
        memcpy(r->hash_bytes, sum.bytes, sizeof r->hash_bytes);
        slw_sha256_hex(&sum, r->hash);
        rc = release_read(r, store, &r->why);
    }
    if (rc == SLW_OK)
        r->why = (struct slw_err){0};
    return r;
}

struct serve_release *
serve_release_ref(struct serve_release *r)
{
    atomic_fetch_add_explicit(&r->ref_count, 1, memory_order_relaxed);
    return r;
}

void
serve_release_unref(struct serve_release *r)
{
    if (!r)
        return;
    if (atomic_fetch_sub_explicit(&r->ref_count, 1, memory_order_acq_rel) > 1)
        return;
    slw_model_unref(r->model);
    slw_model_unref(r->rule);
    slw_arena_done(&r->arena);
    slw_free(r);
}
