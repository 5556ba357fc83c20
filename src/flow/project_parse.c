/* project_parse.c -- slipway.yaml as a whole: its sections in the order of the
 * loop, checked against each other. */
#include "flow/project_read.h"

#include "flow/flow.h"

static const struct {
    const char *key, *word;
    enum slw_rc (*write)(const struct project_in *in, const struct slw_yaml *v,
                         struct slw_jw *w, struct slw_err *err);
} SECTIONS[PROJECT_SECTION_COUNT] = {
    [PROJECT_SOURCES] = {"sources", "source", project_source},
    [PROJECT_FEATURES] = {"features", "feature view", project_view},
    [PROJECT_MODELS] = {"models", "model", project_model},
    [PROJECT_DEPLOYMENTS] = {"deployments", "deployment", project_deployment},
    [PROJECT_MONITORS] = {"monitors", "monitor", project_monitor},
    [PROJECT_RETRAIN] = {"retrain", "retrain policy", project_retrain},
};

const char *
project_section_word(enum project_section s)
{
    SLW_ASSERT((size_t)s < SLW_ARRAY_LEN(SECTIONS));
    return SECTIONS[s].word;
}

/* One definition: written, then kept in its canonical form. */
static enum slw_rc
item_read(const struct project_in *in, enum project_section section,
          const struct slw_yaml *v, struct project_item *out, struct slw_jw *w,
          struct slw_err *err)
{
    SLW_AUTO(slw_buf, text);
    struct slw_jw own;
    const struct slw_yaml at = project_at_key(v);
    if (!slw_name_ok(v->key))
        return slw_yaml_fail(err, in->file, &at,
                             "'%.*s' is no name: use letters, digits, '_',"
                             " '-' and '.', at most 128",
                             SLW_FMT(v->key));
    slw_jw_init(&own, &text);
    slw_jw_obj(&own);
    slw_jw_kstr(&own, "name", v->key);
    TRY(SECTIONS[section].write(in, v, &own, err));
    slw_jw_obj_end(&own);
    SLW_AUTO(slw_json, doc);
    TRY(slw_json_parse(&doc, slw_buf_view(&text), err));
    slw_jw_keys(w, v->key);
    slw_jw_raw(w, slw_buf_view(&text));
    SLW_AUTO(slw_buf, canonical);
    slw_json_dump(&canonical, doc.root);
    *out = (struct project_item){
        .section = section,
        .name = slw_arena_str(in->a, v->key),
        .def = slw_arena_str(in->a, slw_buf_view(&canonical)),
        .line = at.line,
        .column = at.column};
    return SLW_OK;
}

static enum slw_rc
section_read(const struct project_in *in, enum project_section section,
             struct project *p, struct slw_jw *w, struct slw_err *err)
{
    const struct slw_yaml *all = slw_yaml_get(in->root, SECTIONS[section].key);
    slw_jw_key(w, SECTIONS[section].key);
    slw_jw_obj(w);
    if (all && !project_is_null(all)) {
        if (all->kind != SLW_YAML_MAP)
            return slw_yaml_fail(err, in->file, all,
                                 "'%s' must map names to definitions",
                                 SECTIONS[section].key);
        for (const struct slw_yaml *v = all->child; v; v = v->next)
            TRY(item_read(in, section, v, &p->items[p->item_count++], w, err));
    }
    slw_jw_obj_end(w);
    return SLW_OK;
}

static enum slw_rc
notify_read(const struct project_in *in, struct project *p, struct slw_jw *w,
            struct slw_err *err)
{
    const struct slw_yaml *v = slw_yaml_get(in->root, "notify");
    p->notify = SLW_STR("");
    slw_jw_key(w, "notify");
    if (!v || project_is_null(v)) {
        slw_jw_raw(w, SLW_STR("{}"));
        return SLW_OK;
    }
    SLW_AUTO(slw_buf, text);
    struct slw_jw own;
    slw_jw_init(&own, &text);
    TRY(project_notify(in, v, &own, err));
    slw_jw_raw(w, slw_buf_view(&text));
    p->notify = slw_arena_str(in->a, slw_buf_view(&text));
    return SLW_OK;
}

static enum slw_rc
rehearse_read(const struct project_in *in, struct slw_jw *w,
              struct slw_err *err)
{
    const struct slw_yaml *v = slw_yaml_get(in->root, "rehearse");
    if (!v || project_is_null(v))
        return SLW_OK;
    slw_jw_key(w, "rehearse");
    return project_rehearse(in, v, w, err);
}

static enum slw_rc
head_read(const struct project_in *in, struct slw_str *out_name,
          struct slw_err *err)
{
    static const char *const keys[] = {"project",  "description", "sources",
                                       "features", "models",      "deployments",
                                       "monitors", "retrain",     "notify",
                                       "rehearse", NULL};
    TRY(slw_yaml_known(in->root, in->file, keys, err));
    const struct slw_yaml *name = slw_yaml_get(in->root, "project");
    if (!name)
        return slw_yaml_fail(err, in->file, in->root,
                             "'project' is missing: name it, as in project:"
                             " tech-stocks");
    if (name->kind != SLW_YAML_SCALAR || !slw_name_ok(name->text))
        return slw_yaml_fail(err, in->file, name,
                             "'project' must be a name of letters, digits,"
                             " '_', '-' and '.'");
    *out_name = slw_arena_str(in->a, name->text);
    return SLW_OK;
}

static size_t
item_count(const struct slw_yaml *root)
{
    size_t count = 0;
    for (size_t s = 0; s < SLW_ARRAY_LEN(SECTIONS); s++) {
        const struct slw_yaml *all = slw_yaml_get(root, SECTIONS[s].key);
        count += all ? all->child_count : 0;
    }
    return count;
}

enum slw_rc
project_read(struct slw_str file, struct slw_str folder, struct slw_str yaml,
             struct slw_arena *a, struct project *out, struct slw_err *err)
{
    struct slw_yaml *root = NULL;
    struct project_in in = {
        .file = slw_arena_strz(a, file), .folder = folder, .a = a};
    if (yaml.len > SLW_PROJECT_SIZE_MAX)
        return slw_fail(err, SLW_LIMIT, "%s is larger than %zu MiB", in.file,
                        SLW_PROJECT_SIZE_MAX >> 20);
    TRY(slw_yaml_parse(a, in.file, yaml, &root, err));
    in.root = root;
    struct project p = {0};
    TRY(head_read(&in, &p.name, err));
    p.items = SLW_ARENA_NEW(a, struct project_item, item_count(root) + 1);
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "project", p.name);
    for (size_t s = 0; s < SLW_ARRAY_LEN(SECTIONS); s++)
        TRY(section_read(&in, (enum project_section)s, &p, &w, err));
    TRY(notify_read(&in, &p, &w, err));
    TRY(rehearse_read(&in, &w, err));
    slw_jw_obj_end(&w);
    TRY(slw_buf_check(&text, err));
    p.json = slw_arena_str(a, slw_buf_view(&text));
    *out = p;
    return SLW_OK;
}

enum slw_rc
slw_project_parse(struct slw_str file, struct slw_str yaml, struct slw_arena *a,
                  struct slw_str *out_json, struct slw_err *err)
{
    struct project p;
    TRY(project_read(file, SLW_STR(""), yaml, a, &p, err));
    *out_json = p.json;
    return SLW_OK;
}

enum slw_rc
slw_project_raw(struct slw_str file, struct slw_str yaml, struct slw_arena *a,
                struct slw_str *out_json, struct slw_err *err)
{
    struct slw_yaml *root = NULL;
    TRY(slw_yaml_parse(a, slw_arena_strz(a, file), yaml, &root, err));
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    project_any(root, &w);
    TRY(slw_buf_check(&text, err));
    *out_json = slw_arena_str(a, slw_buf_view(&text));
    return SLW_OK;
}
