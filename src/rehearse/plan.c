/* plan.c -- what is rehearsed: the policies, each with its whole project.
 *
 * A policy is the project with some things said otherwise.  Three are built
 * in; a file adds another, in the project's own words:
 *
 *   policy: weekly          its name; else the file's
 *   start: gate             gate: the first version must pass, else the rule
 *                           train: deployed as it is;  rule: the rule serves
 *   model: raw-close        the deployment's model; else the project's
 *   models, deployments, monitors, retrain: laid over the project's; what is
 *                           null there is taken away
 *
 * What depends on how fast this machine is (a deployment's timeout, the gate's
 * p99_ms) is left out: the same input must give the same table. */
#include "rehearse/rehearse_internal.h"

#include "flow/flow.h"

struct plan {
    const struct slw_rehearse_options *opt;
    struct slw_arena *a;
    struct slw_json known; /* the project as the flow reads it */
    struct slw_json raw;   /* the project as it stands in the file */
    struct slw_str deployment, model, notebook;
};

static void
plan_done(struct plan *p)
{
    slw_json_done(&p->known);
    slw_json_done(&p->raw);
}

struct policy {
    struct slw_str name, start, model;
    const struct json_t *over; /* sections laid over; NULL: none */
    bool by_itself;            /* keeps monitors and retrain policies */
};

/* ---- laying one thing over another ---- */

static bool
is_object(const struct json_t *v)
{
    return slw_json_type(v) == SLW_JSON_OBJECT;
}

/* Objects member by member; a null takes a member away; anything else is in
 * the place of what was there. */
static void
lay_over(struct slw_jw *w, const struct json_t *base, const struct json_t *over)
{
    if (!is_object(over) && !(is_object(base) && !over)) {
        slw_jw_node(w, over ? over : base);
        return;
    }
    slw_jw_obj(w);
    const bool both = is_object(base);
    for (void *it = both ? slw_json_iter(base) : NULL; it;
         it = slw_json_next(base, it)) {
        SLW_AUTO(slw_arena, a);
        const struct json_t *o =
            slw_json_get(over, slw_arena_strz(&a, slw_json_iter_key(it)));
        if (slw_json_type(o) == SLW_JSON_NULL)
            continue;
        slw_jw_keys(w, slw_json_iter_key(it));
        lay_over(w, slw_json_iter_value(it), o);
    }
    for (void *it = over ? slw_json_iter(over) : NULL; it;
         it = slw_json_next(over, it)) {
        SLW_AUTO(slw_arena, a);
        const char *key = slw_arena_strz(&a, slw_json_iter_key(it));
        if (slw_json_type(slw_json_iter_value(it)) == SLW_JSON_NULL ||
            (both && slw_json_get(base, key)))
            continue;
        slw_jw_key(w, key);
        lay_over(w, NULL, slw_json_iter_value(it));
    }
    slw_jw_obj_end(w);
}

static enum slw_rc
laid(const struct json_t *base, const struct json_t *over, struct slw_json *out,
     struct slw_err *err)
{
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    lay_over(&w, base, over);
    TRY(slw_buf_check(&text, err));
    return slw_json_parse(out, slw_buf_view(&text), err);
}

/* ---- the project of a policy ---- */

/* A model without the bound that depends on the machine. */
static enum slw_rc
model_write(struct slw_jw *w, const struct json_t *base,
            const struct json_t *over, struct slw_err *err)
{
    SLW_AUTO(slw_json, model);
    SLW_AUTO(slw_json, without);
    TRY(laid(base, over, &model, err));
    TRY(slw_json_parse(&without, SLW_STR("{\"gate\": {\"p99_ms\": null}}"),
                       err));
    lay_over(w, model.root,
             slw_json_get(model.root, "gate") ? without.root : NULL);
    return SLW_OK;
}

static enum slw_rc
models_write(const struct plan *p, const struct policy *pol, struct slw_jw *w,
             struct slw_err *err)
{
    const struct json_t *base = slw_json_get(p->raw.root, "models");
    const struct json_t *over = slw_json_get(pol->over, "models");
    SLW_AUTO(slw_json, all);
    TRY(laid(base, over, &all, err));
    slw_jw_obj(w);
    for (void *it = slw_json_iter(all.root); it;
         it = slw_json_next(all.root, it)) {
        slw_jw_keys(w, slw_json_iter_key(it));
        TRY(model_write(w, slw_json_iter_value(it), NULL, err));
    }
    slw_jw_obj_end(w);
    return SLW_OK;
}

static enum slw_rc
deployment_write(const struct plan *p, const struct policy *pol,
                 struct slw_jw *w, struct slw_err *err)
{
    const char *name = slw_arena_strz(p->a, p->deployment);
    SLW_AUTO(slw_json, made);
    SLW_AUTO(slw_json, fixed);
    SLW_AUTO(slw_buf, text);
    struct slw_jw f;
    TRY(laid(slw_json_get(slw_json_get(p->raw.root, "deployments"), name),
             slw_json_get(slw_json_get(pol->over, "deployments"), name), &made,
             err));
    slw_jw_init(&f, &text);
    slw_jw_obj(&f);
    slw_jw_kstr(&f, "model", pol->model);
    slw_jw_kz(&f, "timeout", "60s");
    slw_jw_obj_end(&f);
    TRY(slw_json_parse(&fixed, slw_buf_view(&text), err));
    slw_jw_obj(w);
    slw_jw_key(w, name);
    lay_over(w, made.root, fixed.root);
    slw_jw_obj_end(w);
    return SLW_OK;
}

/* The members of a section that are about the deployment or its model. */
static void
section_write(const struct plan *p, const struct policy *pol,
              const char *section, struct slw_jw *w)
{
    const struct slw_str names[] = {p->deployment, pol->model};
    const struct json_t *base = slw_json_get(p->raw.root, section);
    const struct json_t *over = slw_json_get(pol->over, section);
    slw_jw_key(w, section);
    slw_jw_obj(w);
    for (size_t i = 0; i < SLW_ARRAY_LEN(names); i++) {
        if (i > 0 && slw_str_eq(names[0], names[i]))
            break;
        const char *name = slw_arena_strz(p->a, names[i]);
        const struct json_t *b =
            pol->by_itself ? slw_json_get(base, name) : NULL;
        const struct json_t *o = slw_json_get(over, name);
        if ((!b && !o) || slw_json_type(o) == SLW_JSON_NULL)
            continue;
        slw_jw_key(w, name);
        lay_over(w, b, o);
    }
    slw_jw_obj_end(w);
}

static enum slw_rc
project_write(const struct plan *p, const struct policy *pol, struct slw_jw *w,
              struct slw_err *err)
{
    static const char *const same[] = {"project", "sources", "features"};
    slw_jw_obj(w);
    for (size_t i = 0; i < SLW_ARRAY_LEN(same); i++) {
        const struct json_t *v = slw_json_get(p->raw.root, same[i]);
        if (!v)
            continue;
        slw_jw_key(w, same[i]);
        slw_jw_node(w, v);
    }
    slw_jw_key(w, "models");
    TRY(models_write(p, pol, w, err));
    slw_jw_key(w, "deployments");
    TRY(deployment_write(p, pol, w, err));
    section_write(p, pol, "monitors", w);
    section_write(p, pol, "retrain", w);
    slw_jw_obj_end(w);
    return SLW_OK;
}

/* The place is one in a text that nobody wrote: only what is wrong is said. */
static enum slw_rc
project_check(const struct plan *p, struct slw_str text, struct slw_err *err)
{
    struct slw_str ignored;
    const enum slw_rc rc =
        slw_project_parse(SLW_STR("policy"), text, p->a, &ignored, err);
    const char *said = rc == SLW_OK ? NULL : strstr(err->msg, ": ");
    if (said && strncmp(err->msg, "policy:", 7) == 0)
        memmove(err->msg, said + 2, strlen(said + 2) + 1);
    return rc;
}

static enum slw_rc
policy_write(const struct plan *p, const struct policy *pol, struct slw_jw *w,
             struct slw_err *err)
{
    static const char *const starts[] = {"gate", "train", "rule"};
    bool found = false;
    for (size_t i = 0; i < SLW_ARRAY_LEN(starts); i++)
        found |= slw_str_eqz(pol->start, starts[i]);
    if (!found)
        return slw_fail(err, SLW_INVALID,
                        "start is '%.*s'; it can be gate, train or rule",
                        SLW_FMT(pol->start));
    if (!slw_name_ok(pol->name) || slw_str_eqz(pol->name, "base"))
        return slw_fail(err, SLW_INVALID,
                        "'%.*s' is no name for a policy: use letters, digits,"
                        " '_', '-' and '.', and not 'base'",
                        SLW_FMT(pol->name));
    SLW_AUTO(slw_buf, project);
    struct slw_jw own;
    slw_jw_init(&own, &project);
    TRY(project_write(p, pol, &own, err));
    TRY(slw_buf_check(&project, err));
    TRY(project_check(p, slw_buf_view(&project), err));
    slw_jw_obj(w);
    slw_jw_kstr(w, "name", pol->name);
    slw_jw_kstr(w, "start", pol->start);
    slw_jw_kstr(w, "model", pol->model);
    slw_jw_kraw(w, "project", slw_buf_view(&project));
    slw_jw_obj_end(w);
    return SLW_OK;
}

/* ---- a policy's file ---- */

static enum slw_rc
policy_file_read(const struct plan *p, const char *path, struct slw_jw *w,
                 struct slw_err *err)
{
    static const char *const keys[] = {"policy",   "description", "start",
                                       "model",    "models",      "deployments",
                                       "monitors", "retrain"};
    struct policy pol = {.name = slw_path_stem(slw_str_of(path)),
                         .start = SLW_STR("gate"),
                         .model = p->model,
                         .by_itself = true};
    struct slw_str text;
    SLW_AUTO(slw_buf, bytes);
    SLW_AUTO(slw_json, doc);
    TRY(slw_file_get(path, SLW_PROJECT_SIZE_MAX, &bytes, err));
    TRY(slw_project_raw(slw_str_of(path), slw_buf_view(&bytes), p->a, &text,
                        err));
    TRY(slw_json_parse(&doc, text, err));
    enum slw_rc rc = slw_json_only(
        doc.root, keys, SLW_ARRAY_LEN(keys),
        "a policy has policy, start, model, and the sections models,"
        " deployments, monitors and retrain",
        err);
    if (rc == SLW_OK)
        rc = slw_json_opt_str(doc.root, "policy", &pol.name, err);
    if (rc == SLW_OK)
        rc = slw_json_opt_str(doc.root, "start", &pol.start, err);
    if (rc == SLW_OK)
        rc = slw_json_opt_str(doc.root, "model", &pol.model, err);
    pol.over = doc.root;
    if (rc == SLW_OK)
        rc = policy_write(p, &pol, w, err);
    return rc == SLW_OK ? rc : slw_err_prefix(err, "%s: ", path);
}

static enum slw_rc
names_differ(struct slw_str policies, struct slw_err *err)
{
    SLW_AUTO(slw_json, doc);
    TRY(slw_json_parse(&doc, policies, err));
    for (size_t i = 0; i < slw_json_len(doc.root); i++)
        for (size_t k = 0; k < i; k++) {
            const struct slw_str name = slw_json_str_or(
                slw_json_get(slw_json_at(doc.root, i), "name"), SLW_STR(""));
            if (slw_str_eq(name,
                           slw_json_str_or(
                               slw_json_get(slw_json_at(doc.root, k), "name"),
                               SLW_STR(""))))
                return slw_fail(err, SLW_INVALID,
                                "two policies are called '%.*s' (notebook,"
                                " slipway and rule are there already)",
                                SLW_FMT(name));
        }
    return SLW_OK;
}

static enum slw_rc
policies_write(const struct plan *p, struct slw_jw *w, struct slw_err *err)
{
    const struct policy built_in[] = {
        {SLW_STR("notebook"), SLW_STR("train"), p->notebook, NULL, false},
        {SLW_STR("slipway"), SLW_STR("gate"), p->model, NULL, true},
        {SLW_STR("rule"), SLW_STR("rule"), p->model, NULL, false}};
    SLW_AUTO(slw_buf, text);
    struct slw_jw own;
    slw_jw_init(&own, &text);
    slw_jw_arr(&own);
    for (size_t i = 0; i < SLW_ARRAY_LEN(built_in); i++)
        TRY(policy_write(p, &built_in[i], &own, err));
    for (size_t i = 0; i < p->opt->policy_file_count; i++)
        TRY(policy_file_read(p, p->opt->policy_files[i], &own, err));
    slw_jw_arr_end(&own);
    TRY(slw_buf_check(&text, err));
    TRY(names_differ(slw_buf_view(&text), err));
    slw_jw_raw(w, slw_buf_view(&text));
    return SLW_OK;
}

/* ---- what is rehearsed ---- */

/* What was asked for, what the project says, the first one that retrains, or
 * the first. */
static enum slw_rc
deployment_choose(struct plan *p, struct slw_err *err)
{
    const struct json_t *root = p->known.root;
    const struct json_t *all = slw_json_get(root, "deployments");
    const struct json_t *retrain = slw_json_get(root, "retrain");
    const struct json_t *said = slw_json_get(root, "rehearse");
    struct slw_str name = p->opt->deployment;
    if (name.len == 0)
        name = slw_json_str_or(slw_json_get(said, "deployment"), SLW_STR(""));
    for (void *it = slw_json_iter(retrain); it && name.len == 0;
         it = slw_json_next(retrain, it))
        name = slw_json_str_or(
            slw_json_get(slw_json_iter_value(it), "deployment"), SLW_STR(""));
    if (name.len == 0 && slw_json_len(all))
        name = slw_json_iter_key(slw_json_iter(all));
    if (name.len == 0)
        return slw_fail(err, SLW_INVALID,
                        "%.*s declares no deployment: there is nothing to"
                        " rehearse",
                        SLW_FMT(p->opt->file));
    const struct json_t *d = slw_json_get(all, slw_arena_strz(p->a, name));
    if (!d)
        return slw_fail(err, SLW_NOT_FOUND,
                        "%.*s declares no deployment '%.*s'",
                        SLW_FMT(p->opt->file), SLW_FMT(name));
    p->deployment = slw_arena_str(p->a, name);
    p->model = slw_json_str_or(slw_json_get(d, "model"), SLW_STR(""));
    p->notebook =
        slw_str_eq(name, slw_json_str_or(slw_json_get(said, "deployment"),
                                         SLW_STR("")))
            ? slw_json_str_or(slw_json_get(said, "notebook"), p->model)
            : p->model;
    return SLW_OK;
}

static enum slw_rc
sources_write(const struct plan *p, struct slw_jw *w, struct slw_err *err)
{
    const struct json_t *sources = slw_json_get(p->known.root, "sources");
    SLW_AUTO(slw_json, files);
    TRY(slw_json_parse(&files,
                       p->opt->files.len ? p->opt->files : SLW_STR("{}"), err));
    slw_jw_obj(w);
    for (void *it = slw_json_iter(sources); it;
         it = slw_json_next(sources, it)) {
        const struct json_t *def = slw_json_iter_value(it);
        const char *name = slw_arena_strz(p->a, slw_json_iter_key(it));
        struct slw_str path =
            slw_json_str_or(slw_json_get(def, "path"), SLW_STR(""));
        const struct slw_str given =
            slw_json_str_or(slw_json_get(files.root, name), SLW_STR(""));
        if (path.len && path.ptr[0] != '/' && p->opt->folder.len)
            path = slw_arena_printf(p->a, "%.*s/%.*s", SLW_FMT(p->opt->folder),
                                    SLW_FMT(path));
        if (given.len)
            path = given;
        if (path.len == 0)
            continue; /* nothing was ever added to it */
        SLW_AUTO(slw_buf, text);
        slw_json_dump(&text, def);
        slw_jw_key(w, name);
        slw_jw_obj(w);
        slw_jw_kraw(w, "def", slw_buf_view(&text));
        slw_jw_kstr(w, "path", path);
        slw_jw_obj_end(w);
    }
    slw_jw_obj_end(w);
    return SLW_OK;
}

static enum slw_rc
options_check(const struct slw_rehearse_options *o, struct slw_err *err)
{
    if (o->to_ms <= o->from_ms)
        return slw_fail(err, SLW_INVALID,
                        "the rehearsal must end after it begins");
    if (o->policy_file_count > SLW_REHEARSE_POLICY_MAX - 3)
        return slw_fail(err, SLW_LIMIT, "more than %d policies",
                        SLW_REHEARSE_POLICY_MAX);
    if (o->requests < 1 || o->requests > SLW_REHEARSE_REQUESTS_MAX)
        return slw_fail(err, SLW_INVALID, "requests must be 1 to %d",
                        SLW_REHEARSE_REQUESTS_MAX);
    return SLW_OK;
}

static enum slw_rc
project_take(struct plan *p, struct slw_err *err)
{
    struct slw_str text;
    TRY(slw_project_parse(p->opt->file, p->opt->yaml, p->a, &text, err));
    TRY(slw_json_parse(&p->known, text, err));
    TRY(slw_project_raw(p->opt->file, p->opt->yaml, p->a, &text, err));
    TRY(slw_json_parse(&p->raw, text, err));
    return deployment_choose(p, err);
}

enum slw_rc
rehearse_plan(const struct slw_rehearse_options *opt, struct slw_arena *a,
              struct slw_str *out_json, struct slw_err *err)
{
    SLW_AUTO(plan, p);
    p.opt = opt;
    p.a = a;
    TRY(options_check(opt, err));
    TRY(project_take(&p, err));
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    slw_jw_kstr(
        &w, "project",
        slw_json_str_or(slw_json_get(p.known.root, "project"), SLW_STR("")));
    slw_jw_kstr(&w, "deployment", p.deployment);
    slw_jw_ki64(&w, "from_ms", opt->from_ms);
    slw_jw_ki64(&w, "to_ms", opt->to_ms);
    slw_jw_ki64(&w, "requests", opt->requests);
    slw_jw_key(&w, "policies");
    TRY(policies_write(&p, &w, err));
    slw_jw_key(&w, "sources");
    TRY(sources_write(&p, &w, err));
    slw_jw_obj_end(&w);
    TRY(slw_buf_check(&text, err));
    *out_json = slw_arena_str(a, slw_buf_view(&text));
    return SLW_OK;
}
