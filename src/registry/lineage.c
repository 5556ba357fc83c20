/* lineage.c -- where a version comes from, as a graph: dataset versions,
 * feature definitions, code, engine and run lead to the release, and the
 * release to the version.  All of it is read from the release document. */
#include "registry/registry_internal.h"

#define EDGE_MAX 4096

struct graph {
    struct slw_jw *w;
    struct slw_arena *a;
    struct slw_str from[EDGE_MAX];
    size_t edge_count;
};

static void
node(struct graph *g, const char *kind, struct slw_str name,
     struct slw_str label, struct slw_str hash)
{
    struct slw_str id = slw_arena_printf(g->a, "%s:%.*s", kind, SLW_FMT(name));
    slw_jw_obj(g->w);
    slw_jw_kstr(g->w, "id", id);
    slw_jw_kz(g->w, "kind", kind);
    slw_jw_kstr(g->w, "label", label);
    if (hash.len)
        slw_jw_kstr(g->w, "hash", hash);
    slw_jw_obj_end(g->w);
    if (g->edge_count < EDGE_MAX)
        g->from[g->edge_count++] = id;
}

static struct slw_str
text(const struct json_t *o, const char *key)
{
    return slw_json_str_or(slw_json_get(o, key), SLW_STR(""));
}

static void
dataset_nodes(struct graph *g, const struct json_t *doc)
{
    const struct json_t *sets = slw_json_get(doc, "datasets");
    for (void *it = slw_json_iter(sets); it; it = slw_json_next(sets, it)) {
        const struct json_t *d = slw_json_iter_value(it);
        struct slw_str name = slw_json_iter_key(it);
        long long version =
            (long long)slw_json_i64_or(slw_json_get(d, "version"), 0);
        struct slw_str label =
            slw_arena_printf(g->a, "%.*s v%lld", SLW_FMT(name), version);
        node(g, "dataset", label, label, text(d, "hash"));
    }
}

static void
feature_nodes(struct graph *g, const struct json_t *doc)
{
    const struct json_t *views = slw_json_get(doc, "feature_hashes");
    for (void *it = slw_json_iter(views); it; it = slw_json_next(views, it)) {
        struct slw_str name = slw_json_iter_key(it);
        node(g, "features", name, name,
             slw_json_str_or(slw_json_iter_value(it), SLW_STR("")));
    }
}

static void
maker_nodes(struct graph *g, const struct json_t *doc)
{
    const struct json_t *engine = slw_json_get(doc, "engine");
    const struct json_t *code = slw_json_get(doc, "code");
    if (text(engine, "name").len) {
        struct slw_str label =
            slw_arena_printf(g->a, "%.*s %.*s", SLW_FMT(text(engine, "name")),
                             SLW_FMT(text(engine, "version")));
        node(g, "engine", label, label, SLW_STR(""));
    }
    if (text(code, "slipway").len) {
        struct slw_str git = text(code, "git");
        struct slw_str label = slw_arena_printf(
            g->a, "slipway %.*s%s%.*s", SLW_FMT(text(code, "slipway")),
            git.len ? ", git " : "", SLW_FMT(git));
        node(g, "code", label, label, text(code, "project_hash"));
    }
}

static void
edges(struct graph *g, struct slw_str to, struct slw_str version_id)
{
    slw_jw_key(g->w, "edges");
    slw_jw_arr(g->w);
    for (size_t i = 0; i < g->edge_count; i++) {
        slw_jw_arr(g->w);
        slw_jw_str(g->w, g->from[i]);
        slw_jw_str(g->w, to.len ? to : version_id);
        slw_jw_arr_end(g->w);
    }
    if (to.len) {
        slw_jw_arr(g->w);
        slw_jw_str(g->w, to);
        slw_jw_str(g->w, version_id);
        slw_jw_arr_end(g->w);
    }
    slw_jw_arr_end(g->w);
}

enum slw_rc
slw_registry_lineage(struct slw_store *s, const struct slw_version *v,
                     struct slw_arena *a, struct slw_jw *w, struct slw_err *err)
{
    SLW_AUTO(slw_json, doc);
    struct graph *g = slw_arena_alloc(a, sizeof(*g));
    struct slw_str release_id = {0};
    g->w = w;
    g->a = a;
    if (v->release.len)
        TRY(slw_release_get(s, slw_arena_strz(a, v->release), &doc, err));
    struct slw_str version_name = slw_arena_printf(
        a, "%.*s/%lld", SLW_FMT(v->model), (long long)v->version);
    slw_jw_obj(w);
    slw_jw_key(w, "nodes");
    slw_jw_arr(w);
    if (doc.root) {
        dataset_nodes(g, doc.root);
        feature_nodes(g, doc.root);
        maker_nodes(g, doc.root);
    }
    if (v->run_id.len)
        node(g, "run", v->run_id, v->run_id, SLW_STR(""));
    if (v->logged_model.len)
        node(g, "logged_model", v->logged_model, v->source, SLW_STR(""));
    size_t made_from = g->edge_count;
    if (v->release.len) {
        node(g, "release", v->release,
             (struct slw_str){v->release.ptr,
                              v->release.len < 12 ? v->release.len : 12},
             v->release);
        release_id = g->from[made_from];
    }
    node(g, "version", version_name, version_name, SLW_STR(""));
    g->edge_count = made_from;
    slw_jw_arr_end(w);
    edges(g, release_id,
          slw_arena_printf(a, "version:%.*s", SLW_FMT(version_name)));
    slw_jw_obj_end(w);
    return SLW_OK;
}
