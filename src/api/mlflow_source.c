/* mlflow_source.c -- may a client register this source, and where do its
 * bytes lie?
 *
 * A version's source is a URI a server may later be asked to read, so what a
 * client writes there is checked: no ".." at any level of percent-decoding,
 * no local paths, and what lies on this server must belong to the run or the
 * logged model that the request names. */
#include "api/mlflow_internal.h"

#define SOURCE_DEPTH_MAX 8

static enum slw_rc
bad_path(struct slw_str source, struct slw_err *err)
{
    return slw_fail(
        err, SLW_INVALID,
        "Invalid model version source: '%.*s'. If supplying a source as an "
        "http, https, local file path, ftp, objectstore, or mlflow-artifacts "
        "uri, an absolute path must be provided without relative path "
        "references present. Please provide an absolute path.",
        SLW_FMT(slw_track_cut(source, 150)));
}

static enum slw_rc
not_identified(struct slw_str source, const char *which, struct slw_err *err)
{
    return slw_fail(err, SLW_INVALID,
                    "Invalid model version source: '%.*s'. The %s request "
                    "parameter must identify the resource that contains the "
                    "source.",
                    SLW_FMT(slw_track_cut(source, 200)), which);
}

static enum slw_rc
local_path(struct slw_str source, const char *which, struct slw_err *err)
{
    return slw_fail(
        err, SLW_INVALID,
        "Invalid model version source: '%.*s'. To use a local path as a model "
        "version source, the %s request parameter has to be specified and the "
        "local path has to be contained within the artifact directory of the "
        "run specified by the %s.",
        SLW_FMT(slw_track_cut(source, 120)), which, which);
}

/* What stands before "://" or ":/"; empty for a plain path. */
static struct slw_str
scheme_of(struct slw_str uri)
{
    for (size_t i = 0; i < uri.len; i++) {
        char c = uri.ptr[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
        if (c == ':' && i > 1)
            return (struct slw_str){uri.ptr, i};
        if (!word)
            break;
    }
    return (struct slw_str){"", 0};
}

static struct slw_str
path_of(struct slw_str uri)
{
    struct slw_str scheme = scheme_of(uri);
    size_t from = scheme.len ? scheme.len + 1 : 0;
    struct slw_str rest = {uri.ptr + from, uri.len - from}, host, path;
    if (slw_str_starts(rest, "//")) {
        rest.ptr += 2;
        rest.len -= 2;
        if (!slw_str_cut(rest, '/', &host, &path))
            return (struct slw_str){"", 0};
        return path;
    }
    while (rest.len && rest.ptr[0] == '/') {
        rest.ptr++;
        rest.len--;
    }
    while (rest.len && rest.ptr[rest.len - 1] == '/')
        rest.len--;
    return rest;
}

/* Everything must stay where it says: slw_track_path_ok decodes as often as
 * it can. */
static bool
path_plain(struct slw_str uri)
{
    struct slw_str path = path_of(uri);
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] == '?' || path.ptr[i] == '#') {
            path.len = i;
            break;
        }
    }
    return path.len == 0 || slw_track_path_ok(path);
}

/* Is `uri` the folder `root` or below it? */
static bool
within(struct slw_str uri, struct slw_str root)
{
    while (root.len && root.ptr[root.len - 1] == '/')
        root.len--;
    return uri.len >= root.len && memcmp(uri.ptr, root.ptr, root.len) == 0 &&
           (uri.len == root.len || uri.ptr[root.len] == '/');
}

static enum slw_rc
owner_root(struct slw_tx *tx, struct slw_arena *a,
           const struct slw_version_new *v, struct slw_str *out,
           struct slw_err *err)
{
    bool model = v->logged_model.len > 0;
    const char *which = model ? "model_id" : "run_id";
    struct slw_logged_model m;
    struct slw_run run;
    enum slw_rc rc =
        model ? slw_track_logged_get(tx, v->logged_model, false, a, &m, err)
        : v->run_id.len ? slw_track_run_get(tx, v->run_id, a, &run, err)
                        : SLW_NOT_FOUND;
    if (rc == SLW_NOT_FOUND)
        return not_identified(v->source, which, err);
    TRY(rc);
    *out = model ? m.artifact_uri : run.artifact_uri;
    return SLW_OK;
}

/* A version of a logged model came from the run that made the model. */
static enum slw_rc
run_of_model(struct slw_tx *tx, struct slw_arena *a, struct slw_version_new *v,
             struct slw_err *err)
{
    struct slw_logged_model m;
    enum slw_rc rc =
        slw_track_logged_get(tx, v->logged_model, false, a, &m, err);
    if (rc == SLW_NOT_FOUND)
        return not_identified(v->source, "model_id", err);
    TRY(rc);
    if (v->run_id.len == 0)
        v->run_id = m.source_run_id;
    return SLW_OK;
}

/* "name/3", "name/latest", "name/Stage" or, of an alias, "name@alias". */
static enum slw_rc
named_version(struct slw_tx *tx, struct slw_arena *a, struct slw_str name,
              struct slw_str ref, bool alias, struct slw_version *out,
              struct slw_err *err)
{
    struct slw_version *found = NULL;
    struct slw_registered_model model; /* whether it is there is said first */
    struct slw_err ignored;
    size_t count = 0;
    int64_t number = 0;
    TRY(slw_registry_model_get(tx, name, a, &model, err));
    if (alias) {
        enum slw_rc rc =
            slw_registry_alias_at(tx, name, ref, INT64_MAX, &number, err);
        TRY(mlf_as_invalid(rc, SLW_NOT_FOUND, err));
        return slw_registry_version_get(tx, name, number, a, out, err);
    }
    if (slw_str_same(ref, SLW_STR("latest")) ||
        slw_str_i64(ref, &number, &ignored) == SLW_OK)
        return slw_registry_version_find(tx, name, ref, a, out, err);
    TRY(slw_registry_version_latest(tx, name, &ref, 1, a, &found, &count, err));
    if (count == 0)
        return slw_fail(err, SLW_INVALID,
                        "No versions of model with name '%.*s' and stage "
                        "'%.*s' found",
                        SLW_FMT(name), SLW_FMT(ref));
    *out = found[0];
    return SLW_OK;
}

/* models:/m-…, models:/name/3, models:/name@alias.  A registered source is
 * written as "models:/name/number" and hands on its run and model. */
static enum slw_rc
models_source(struct slw_tx *tx, struct slw_arena *a, struct slw_version_new *v,
              bool has_run_id, bool has_model_id, struct slw_err *err)
{
    struct slw_str path = path_of(v->source), name, ref;
    struct slw_version of;
    if (slw_str_starts(v->source, "models://"))
        return not_identified(v->source, "model_id", err);
    if (slw_str_starts(path, "m-") && !memchr(path.ptr, '/', path.len) &&
        !memchr(path.ptr, '@', path.len)) {
        if (slw_str_eq(path, v->logged_model))
            return run_of_model(tx, a, v, err);
        return not_identified(v->source, "model_id", err);
    }
    bool slash = slw_str_cut(path, '/', &name, &ref);
    if ((!slash && !slw_str_cut(path, '@', &name, &ref)) || ref.len == 0 ||
        memchr(ref.ptr, '/', ref.len))
        return not_identified(v->source, "model_id", err);
    TRY(named_version(tx, a, name, ref, !slash, &of, err));
    if ((has_run_id && !slw_str_eq(v->run_id, of.run_id)) ||
        (has_model_id && !slw_str_eq(v->logged_model, of.logged_model)))
        return slw_fail(err, SLW_INVALID,
                        "Invalid model version source: '%.*s'. The run_id and "
                        "model_id request parameters must match the "
                        "referenced model version.",
                        SLW_FMT(slw_track_cut(v->source, 200)));
    v->source = slw_arena_printf(a, "models:/%.*s/%lld", SLW_FMT(of.model),
                                 (long long)of.version);
    v->run_id = of.run_id;
    v->logged_model = of.logged_model;
    return SLW_OK;
}

/* A prompt is a version with a tag, whose text is another tag; the client
 * still has to name a source. */
static bool
is_prompt(const struct slw_version_new *v)
{
    bool found = false;
    for (size_t i = 0; i < v->tag_count; i++)
        if (slw_str_eqz(v->tags[i].key, "mlflow.prompt.is_prompt"))
            found = slw_str_same(v->tags[i].value, SLW_STR("true"));
    return found;
}

static enum slw_rc
prompt_source(struct slw_str source, struct slw_err *err)
{
    if (slw_str_eqz(source, "dummy-source") ||
        slw_str_eqz(source, "prompt-template"))
        return SLW_OK;
    return slw_fail(err, SLW_INVALID,
                    "Invalid prompt source: '%.*s'. Prompt sources must use an "
                    "MLflow placeholder.",
                    SLW_FMT(slw_track_cut(source, 200)));
}

enum slw_rc
mlf_source_check(struct slw_tx *tx, struct slw_arena *a,
                 struct slw_version_new *v, bool has_run_id, bool has_model_id,
                 struct slw_err *err)
{
    struct slw_str scheme = scheme_of(v->source), root = {0};
    if (is_prompt(v))
        return prompt_source(v->source, err);
    const char *which = v->logged_model.len ? "model_id" : "run_id";
    if (!path_plain(v->source))
        return bad_path(v->source, err);
    if (scheme.len == 0 || slw_str_eqz(scheme, "file")) {
        if (owner_root(tx, a, v, &root, err) != SLW_OK ||
            !within(v->source, root))
            return local_path(v->source, which, err);
        return v->logged_model.len ? run_of_model(tx, a, v, err) : SLW_OK;
    }
    if (slw_str_eqz(scheme, "models"))
        return models_source(tx, a, v, has_run_id, has_model_id, err);
    if (slw_str_eqz(scheme, "runs")) {
        struct slw_str run, rest;
        slw_str_cut(path_of(v->source), '/', &run, &rest);
        if (v->logged_model.len || slw_str_starts(v->source, "runs://") ||
            !slw_str_eq(run, v->run_id))
            return not_identified(v->source, which, err);
        return SLW_OK;
    }
    if (!slw_str_eqz(scheme, "mlflow-artifacts"))
        return SLW_OK; /* elsewhere: the client's business */
    TRY(owner_root(tx, a, v, &root, err));
    if (!within(v->source, root))
        return not_identified(v->source, which, err);
    return v->logged_model.len ? run_of_model(tx, a, v, err) : SLW_OK;
}

/* One step: the URI behind `uri`, or false when it is final. */
static enum slw_rc
resolve_once(struct slw_tx *tx, struct slw_arena *a, struct slw_str *uri,
             bool *out_more, struct slw_err *err)
{
    struct slw_str path = path_of(*uri), head, rest;
    *out_more = true;
    if (slw_str_starts(*uri, "runs:/")) {
        struct slw_run run;
        bool deeper = slw_str_cut(path, '/', &head, &rest);
        TRY(slw_track_run_get(tx, head, a, &run, err));
        *uri = deeper
                   ? slw_arena_printf(a, "%.*s/%.*s", SLW_FMT(run.artifact_uri),
                                      SLW_FMT(rest))
                   : run.artifact_uri;
    } else if (slw_str_starts(*uri, "models:/m-")) {
        struct slw_logged_model m;
        TRY(slw_track_logged_get(tx, path, true, a, &m, err));
        *uri = m.artifact_uri;
    } else if (slw_str_starts(*uri, "models:/") &&
               slw_str_cut(path, '/', &head, &rest)) {
        struct slw_version v;
        TRY(slw_registry_version_find(tx, head, rest, a, &v, err));
        *uri = v.source;
    } else {
        *out_more = false;
    }
    return SLW_OK;
}

enum slw_rc
mlf_download_uri(struct slw_tx *tx, struct slw_arena *a,
                 const struct slw_version *v, struct slw_str *out,
                 struct slw_err *err)
{
    struct slw_str uri = v->source;
    bool more = true;
    for (int i = 0; more && i < SOURCE_DEPTH_MAX; i++)
        TRY(resolve_once(tx, a, &uri, &more, err));
    *out = uri;
    return SLW_OK;
}
