/* project_sections.c -- the sections of slipway.yaml, each as the definition
 * that its room's put function takes. */
#include "flow/project_read.h"

#include <strings.h>
#include <math.h>

#include "base/clock.h"

#define COUNT(table) SLW_ARRAY_LEN(table)

/* ---- sources ---- */

static enum slw_rc
check_write(const struct project_in *in, const struct slw_yaml *v,
            struct slw_jw *w, struct slw_err *err)
{
    static const struct project_field fields[] = {
        {.key = "check",
         .out = "check",
         .required = true,
         .example = "check: close > 0"},
        {.key = "on_fail", .out = "on_fail"},
    };
    static const char *const outcomes[] = {"quarantine", "refuse", NULL};
    if (v->kind == SLW_YAML_MAP) {
        const struct slw_yaml *f = slw_yaml_get(v, "on_fail");
        if (f)
            TRY(project_word(in, f, outcomes, err));
        return project_object(in, v, fields, COUNT(fields), w, err);
    }
    if (v->kind != SLW_YAML_SCALAR || v->text.len == 0)
        return slw_yaml_fail(err, in->file, v,
                             "a check is a text, as in close > 0, or a map"
                             " {check: …, on_fail: quarantine}");
    slw_jw_str(w, v->text);
    return SLW_OK;
}

static enum slw_rc
expect_write(const struct project_in *in, const struct slw_yaml *v,
             struct slw_jw *w, struct slw_err *err)
{
    if (v->kind != SLW_YAML_SEQ)
        return slw_yaml_fail(err, in->file, v,
                             "'expect' must be a list of checks, as in"
                             " [\"close > 0\", \"unique(symbol, date)\"]");
    slw_jw_arr(w);
    for (const struct slw_yaml *c = v->child; c; c = c->next)
        TRY(check_write(in, c, w, err));
    slw_jw_arr_end(w);
    return SLW_OK;
}

static enum slw_rc
types_write(const struct project_in *in, const struct slw_yaml *v,
            struct slw_jw *w, struct slw_err *err)
{
    static const char *const types[] = {"text", "number", "integer", "date",
                                        "time", "bool",   NULL};
    if (v->kind != SLW_YAML_MAP)
        return slw_yaml_fail(err, in->file, v,
                             "'types' must map columns to types, as in"
                             " {zip: text}");
    for (const struct slw_yaml *c = v->child; c; c = c->next)
        TRY(project_word(in, c, types, err));
    project_any(v, w);
    return SLW_OK;
}

enum slw_rc
project_source(const struct project_in *in, const struct slw_yaml *v,
               struct slw_jw *w, struct slw_err *err)
{
    static const struct project_field fields[] = {
        {.key = "path", .out = "path"},
        {.key = "entity", .out = "entity"},
        {.key = "event_time",
         .out = "event_time",
         .required = true,
         .example = "event_time: date"},
        {.key = "known_time", .out = "known_time"},
        {.key = "known_after",
         .out = "known_after_ms",
         .kind = PROJECT_DURATION},
        {.key = "expect",
         .out = "expect",
         .kind = PROJECT_OTHER,
         .write = expect_write},
        {.key = "quarantine_max",
         .out = "quarantine_max",
         .kind = PROJECT_SHARE},
        {.key = "types",
         .out = "types",
         .kind = PROJECT_OTHER,
         .write = types_write},
        {.key = "description", .out = "description"},
    };
    return project_fields(in, v, fields, COUNT(fields), w, err);
}

/* ---- features ---- */

static enum slw_rc
lag_write(const struct project_in *in, const struct slw_yaml *v,
          struct slw_jw *w, struct slw_err *err)
{
    static const struct project_field fields[] = {
        {.key = "of", .out = "of", .required = true, .example = "of: close"},
        {.key = "count",
         .out = "count",
         .kind = PROJECT_COUNT,
         .required = true,
         .example = "count: 20"},
    };
    return project_object(in, v, fields, COUNT(fields), w, err);
}

static enum slw_rc
lags_write(const struct project_in *in, const struct slw_yaml *v,
           struct slw_jw *w, struct slw_err *err)
{
    slw_jw_arr(w);
    if (v->kind == SLW_YAML_SEQ) {
        for (const struct slw_yaml *c = v->child; c; c = c->next)
            TRY(lag_write(in, c, w, err));
    } else {
        TRY(lag_write(in, v, w, err));
    }
    slw_jw_arr_end(w);
    return SLW_OK;
}

/* A view about one source need not repeat what its entity and event time are
 * called.
 * Errors INVALID: the sources it names disagree, or it names none */
static enum slw_rc
inherited(const struct project_in *in, const struct slw_yaml *view,
          const char *key, struct slw_jw *w, struct slw_err *err)
{
    const struct slw_yaml *sql = slw_yaml_get(view, "sql");
    const struct slw_yaml *sources = slw_yaml_get(in->root, "sources");
    struct slw_str found = {0};
    bool agree = true;
    if (slw_yaml_get(view, key))
        return SLW_OK;
    for (const struct slw_yaml *s = sources ? sources->child : NULL; s && sql;
         s = s->next) {
        const struct slw_yaml *v = slw_yaml_get(s, key);
        if (!v || v->kind != SLW_YAML_SCALAR ||
            !slw_sql_names(sql->text, s->key))
            continue;
        agree = agree && (found.len == 0 || slw_str_eq(found, v->text));
        found = v->text;
    }
    const struct slw_yaml at = project_at_key(view);
    if (found.len == 0 || !agree)
        return slw_yaml_fail(err, in->file, &at, "'%.*s' needs '%s': %s",
                             SLW_FMT(view->key), key,
                             found.len ? "its sources call it differently"
                                       : "its sql names no source that has it");
    slw_jw_kstr(w, key, found);
    return SLW_OK;
}

enum slw_rc
project_view(const struct project_in *in, const struct slw_yaml *v,
             struct slw_jw *w, struct slw_err *err)
{
    static const struct project_field fields[] = {
        {.key = "entity", .out = "entity"},
        {.key = "event_time", .out = "event_time"},
        {.key = "ttl", .out = "ttl_ms", .kind = PROJECT_DURATION},
        {.key = "sql",
         .out = "sql",
         .required = true,
         .example = "sql: SELECT symbol, date, close FROM prices"},
        {.key = "lags",
         .out = "lags",
         .kind = PROJECT_OTHER,
         .write = lags_write},
        {.key = "description", .out = "description"},
    };
    TRY(project_fields(in, v, fields, COUNT(fields), w, err));
    TRY(inherited(in, v, "entity", w, err));
    return inherited(in, v, "event_time", w, err);
}

/* ---- models ---- */

static enum slw_rc
of_write(const struct project_in *in, const struct slw_yaml *v,
         struct slw_jw *w, struct slw_err *err)
{
    TRY(project_declared(in, v, "sources", "source", err));
    slw_jw_str(w, v->text);
    return SLW_OK;
}

static enum slw_rc
target_write(const struct project_in *in, const struct slw_yaml *v,
             struct slw_jw *w, struct slw_err *err)
{
    static const struct project_field fields[] = {
        {.key = "sql",
         .out = "sql",
         .required = true,
         .example = "sql: lead(close) OVER w"},
        {.key = "of",
         .out = "of",
         .kind = PROJECT_OTHER,
         .required = true,
         .example = "of: prices",
         .write = of_write},
        {.key = "known_after",
         .out = "known_after_ms",
         .kind = PROJECT_DURATION},
        {.key = "relative_to", .out = "relative_to"},
    };
    return project_object(in, v, fields, COUNT(fields), w, err);
}

static enum slw_rc
views_write(const struct project_in *in, const struct slw_yaml *v,
            struct slw_jw *w, struct slw_err *err)
{
    TRY(project_texts(in, v, w, err));
    for (const struct slw_yaml *c = v->child; c; c = c->next)
        TRY(project_declared(in, c, "features", "feature view", err));
    return SLW_OK;
}

static enum slw_rc
by_write(const struct project_in *in, const struct slw_yaml *v,
         struct slw_jw *w, struct slw_err *err)
{
    static const char *const ways[] = {
        "time (a shuffled split tests on the past of what it trained on)",
        NULL};
    if (v->kind != SLW_YAML_SCALAR || !slw_str_eqz(v->text, "time"))
        return project_word(in, v, ways, err);
    slw_jw_str(w, v->text);
    return SLW_OK;
}

static enum slw_rc
split_write(const struct project_in *in, const struct slw_yaml *v,
            struct slw_jw *w, struct slw_err *err)
{
    static const struct project_field fields[] = {
        {.key = "by", .out = "by", .kind = PROJECT_OTHER, .write = by_write},
        {.key = "validate",
         .out = "validate_ms",
         .kind = PROJECT_DURATION,
         .required = true,
         .example = "validate: 90d"},
        {.key = "test",
         .out = "test_ms",
         .kind = PROJECT_DURATION,
         .required = true,
         .example = "test: 180d"},
    };
    return project_object(in, v, fields, COUNT(fields), w, err);
}

static enum slw_rc
metric_write(const struct project_in *in, const struct slw_yaml *v,
             struct slw_jw *w, struct slw_err *err)
{
    static const char *const metrics[] = {"mae", "rmse", "mape", "r2", NULL};
    TRY(project_word(in, v, metrics, err));
    slw_jw_str(w, v->text);
    return SLW_OK;
}

static enum slw_rc
sampler_write(const struct project_in *in, const struct slw_yaml *v,
              struct slw_jw *w, struct slw_err *err)
{
    static const char *const samplers[] = {"random", NULL};
    TRY(project_word(in, v, samplers, err));
    slw_jw_str(w, v->text);
    return SLW_OK;
}

static enum slw_rc
search_write(const struct project_in *in, const struct slw_yaml *v,
             struct slw_jw *w, struct slw_err *err)
{
    static const struct project_field fields[] = {
        {.key = "trials", .out = "trials", .kind = PROJECT_COUNT},
        {.key = "sampler",
         .out = "sampler",
         .kind = PROJECT_OTHER,
         .write = sampler_write},
        {.key = "seed", .out = "seed", .kind = PROJECT_COUNT},
    };
    return project_object(in, v, fields, COUNT(fields), w, err);
}

/* A script runs in the project's folder unless it says where. */
static enum slw_rc
script_write(const struct project_in *in, const struct slw_yaml *v,
             struct slw_jw *w, struct slw_err *err)
{
    const struct slw_yaml *dir = slw_yaml_get(v, "dir");
    const struct slw_yaml *files = slw_yaml_get(v, "files");
    struct slw_str at = in->folder;
    if (dir && dir->kind != SLW_YAML_SCALAR)
        return slw_yaml_fail(err, in->file, dir, "'dir' must be a folder");
    if (dir && (slw_str_starts(dir->text, "/") || in->folder.len == 0))
        at = dir->text;
    else if (dir)
        at = slw_arena_printf(in->a, "%.*s/%.*s", SLW_FMT(in->folder),
                              SLW_FMT(dir->text));
    slw_jw_obj(w);
    for (const struct slw_yaml *c = v->child; c; c = c->next) {
        if (slw_str_eqz(c->key, "dir"))
            continue;
        slw_jw_keys(w, c->key);
        if (c->kind == SLW_YAML_SCALAR)
            slw_jw_str(w, c->text);
        else
            project_any(c, w);
    }
    if (at.len && !files)
        slw_jw_kstr(w, "dir", at);
    slw_jw_obj_end(w);
    return SLW_OK;
}

/* What is in a candidate only its trainer knows: `train` checks it. */
static enum slw_rc
candidates_write(const struct project_in *in, const struct slw_yaml *v,
                 struct slw_jw *w, struct slw_err *err)
{
    if (v->kind != SLW_YAML_MAP || !v->child)
        return slw_yaml_fail(err, in->file, v,
                             "'candidates' must name at least one of xgboost,"
                             " svr and arnet, as in {xgboost: {}}");
    slw_jw_obj(w);
    for (const struct slw_yaml *c = v->child; c; c = c->next) {
        slw_jw_keys(w, c->key);
        if (project_is_null(c)) {
            slw_jw_raw(w, SLW_STR("{}"));
            continue;
        }
        if (c->kind != SLW_YAML_MAP)
            return slw_yaml_fail(err, in->file, c,
                                 "candidate '%.*s' must be a map of"
                                 " parameters, as in {max_depth: [2, 6]}",
                                 SLW_FMT(c->key));
        if (slw_yaml_get(c, "run"))
            TRY(script_write(in, c, w, err));
        else
            project_any(c, w);
    }
    slw_jw_obj_end(w);
    return SLW_OK;
}

static enum slw_rc
fallback_write(const struct project_in *in, const struct slw_yaml *v,
               struct slw_jw *w, struct slw_err *err)
{
    static const struct project_field fields[] = {
        {.key = "sql", .out = "sql", .required = true, .example = "sql: close"},
    };
    if (v->kind != SLW_YAML_SCALAR || v->text.len == 0)
        return project_object(in, v, fields, COUNT(fields), w, err);
    slw_jw_obj(w); /* a constant */
    slw_jw_kstr(w, "sql", v->text);
    slw_jw_obj_end(w);
    return SLW_OK;
}

/* ---- the gate ---- */

static bool
is_opponent(struct slw_str name)
{
    return slw_str_eqz(name, "fallback") || slw_str_eqz(name, "champion");
}

static enum slw_rc
opponent_fail(const struct project_in *in, const struct slw_yaml *v,
              struct slw_str name, struct slw_err *err)
{
    return slw_yaml_fail(err, in->file, v,
                         "a gate compares with fallback and champion, not"
                         " with '%.*s'",
                         SLW_FMT(name));
}

/* By how much: a share of the other's error, negative for a margin. */
static enum slw_rc
margin_of(const struct project_in *in, const struct slw_yaml *v, double *out,
          struct slw_err *err)
{
    struct slw_str text = v->text;
    struct slw_err ignored;
    const bool percent = v->kind == SLW_YAML_SCALAR && slw_str_ends(text, "%");
    double by = NAN;
    if (percent)
        text = slw_str_trim((struct slw_str){text.ptr, text.len - 1});
    if (v->kind != SLW_YAML_SCALAR ||
        slw_str_f64(text, &by, &ignored) != SLW_OK)
        by = NAN;
    if (percent)
        by /= 100;
    if (!(by > -1 && by < 1))
        return slw_yaml_fail(err, in->file, v,
                             "how much better must be a share between -1 and"
                             " 1, as in 0, 0.02 or -5%%");
    *out = by;
    return SLW_OK;
}

static enum slw_rc
beats_write(const struct project_in *in, const struct slw_yaml *beats,
            const struct slw_yaml *by, struct slw_jw *w, struct slw_err *err)
{
    double margin = 0;
    if (by)
        TRY(margin_of(in, by, &margin, err));
    if (by && beats->kind == SLW_YAML_MAP)
        return slw_yaml_fail(err, in->file, by,
                             "'by' goes with a list: here 'beats' says by how"
                             " much itself");
    if (beats->kind == SLW_YAML_SCALAR)
        return slw_yaml_fail(err, in->file, beats,
                             "'beats' must be a list, as in [fallback,"
                             " champion], or a map, as in {fallback: 0,"
                             " champion: -5%%}");
    slw_jw_obj(w);
    for (const struct slw_yaml *c = beats->child; c; c = c->next) {
        const bool map = beats->kind == SLW_YAML_MAP;
        const struct slw_str name = map ? c->key : c->text;
        if (!is_opponent(name))
            return opponent_fail(in, c, name, err);
        if (map)
            TRY(margin_of(in, c, &margin, err));
        slw_jw_keys(w, name);
        slw_jw_f64(w, margin);
    }
    slw_jw_obj_end(w);
    return SLW_OK;
}

static enum slw_rc
confidence_write(const struct project_in *in, const struct slw_yaml *v,
                 struct slw_jw *w, struct slw_err *err)
{
    double share = 0;
    TRY(project_share(in, v, &share, err));
    if (share < 0.5 || share >= 1)
        return slw_yaml_fail(err, in->file, v,
                             "'confidence' must be from 0.5 to below 1, as in"
                             " 0.95");
    slw_jw_f64(w, share);
    return SLW_OK;
}

static enum slw_rc
skip_write(const struct project_in *in, const struct slw_yaml *v,
           struct slw_jw *w, struct slw_err *err)
{
    slw_jw_null(w);
    return SLW_OK;
}

static enum slw_rc
gate_write(const struct project_in *in, const struct slw_yaml *v,
           struct slw_jw *w, struct slw_err *err)
{
    static const struct project_field fields[] = {
        {.key = "beats",
         .out = "beats",
         .kind = PROJECT_OTHER,
         .required = true,
         .example = "beats: [fallback, champion]",
         .write = skip_write},
        {.key = "by", .out = "by", .kind = PROJECT_OTHER, .write = skip_write},
        {.key = "confidence",
         .out = "confidence",
         .kind = PROJECT_OTHER,
         .write = confidence_write},
        {.key = "p99_ms", .out = "p99_ms", .kind = PROJECT_NUMBER},
        {.key = "slices", .out = "slices", .kind = PROJECT_TEXTS},
    };
    {
        SLW_AUTO(slw_buf, checked); /* keys and presence; written below */
        struct slw_jw c;
        slw_jw_init(&c, &checked);
        TRY(project_object(in, v, fields, COUNT(fields), &c, err));
    }
    slw_jw_obj(w);
    slw_jw_key(w, "beats");
    TRY(beats_write(in, slw_yaml_get(v, "beats"), slw_yaml_get(v, "by"), w,
                    err));
    for (size_t i = 2; i < COUNT(fields); i++) {
        const struct slw_yaml *f = slw_yaml_get(v, fields[i].key);
        if (!f)
            continue;
        slw_jw_key(w, fields[i].out);
        if (fields[i].write)
            TRY(fields[i].write(in, f, w, err));
        else
            project_any(f, w);
    }
    slw_jw_obj_end(w);
    return SLW_OK;
}

/* The gate's table by slice knows one kind of slice, the entity. */
static enum slw_rc
slices_check(const struct project_in *in, const struct slw_yaml *model,
             struct slw_err *err)
{
    const struct slw_yaml *slices =
        slw_yaml_get(slw_yaml_get(model, "gate"), "slices");
    const struct slw_yaml *of =
        slw_yaml_get(slw_yaml_get(model, "target"), "of");
    const struct slw_yaml *sources = slw_yaml_get(in->root, "sources");
    if (!slices || !of)
        return SLW_OK;
    struct slw_str entity = {0};
    for (const struct slw_yaml *s = sources->child; s; s = s->next)
        if (slw_str_eq(s->key, of->text) && slw_yaml_get(s, "entity"))
            entity = slw_yaml_get(s, "entity")->text;
    for (const struct slw_yaml *c = slices->child; c; c = c->next)
        if (!slw_str_eq(c->text, entity))
            return slw_yaml_fail(err, in->file, c,
                                 "slices can be by the entity '%.*s' only",
                                 SLW_FMT(entity));
    return SLW_OK;
}

enum slw_rc
project_model(const struct project_in *in, const struct slw_yaml *v,
              struct slw_jw *w, struct slw_err *err)
{
    static const struct project_field fields[] = {
        {.key = "description", .out = "description"},
        {.key = "target",
         .out = "target",
         .kind = PROJECT_OTHER,
         .required = true,
         .example = "target: {sql: lead(close) OVER w, of: prices}",
         .write = target_write},
        {.key = "features",
         .out = "features",
         .kind = PROJECT_OTHER,
         .required = true,
         .example = "features: [momentum]",
         .write = views_write},
        {.key = "exclude", .out = "exclude", .kind = PROJECT_TEXTS},
        {.key = "train_from", .out = "train_from_ms", .kind = PROJECT_TIME},
        {.key = "reference", .out = "reference_ms", .kind = PROJECT_DURATION},
        {.key = "split",
         .out = "split",
         .kind = PROJECT_OTHER,
         .required = true,
         .example = "split: {validate: 90d, test: 180d}",
         .write = split_write},
        {.key = "metric",
         .out = "metric",
         .kind = PROJECT_OTHER,
         .write = metric_write},
        {.key = "search",
         .out = "search",
         .kind = PROJECT_OTHER,
         .write = search_write},
        {.key = "candidates",
         .out = "candidates",
         .kind = PROJECT_OTHER,
         .required = true,
         .example = "candidates: {xgboost: {}}",
         .write = candidates_write},
        {.key = "fallback",
         .out = "fallback",
         .kind = PROJECT_OTHER,
         .required = true,
         .example = "fallback: {sql: close}: the rule that answers when no"
                    " model can, and that every model must beat",
         .write = fallback_write},
        {.key = "gate",
         .out = "gate",
         .kind = PROJECT_OTHER,
         .write = gate_write},
    };
    TRY(project_fields(in, v, fields, COUNT(fields), w, err));
    return slices_check(in, v, err);
}

/* ---- deployments ---- */

/* 500, or "500 requests". */
static enum slw_rc
requests_of(const struct project_in *in, const struct slw_yaml *v, int64_t *out,
            struct slw_err *err)
{
    struct slw_str count, unit;
    struct slw_err ignored;
    const bool two = slw_str_cut(v->text, ' ', &count, &unit);
    int64_t n = -1;
    if (v->kind != SLW_YAML_SCALAR ||
        (two && !slw_str_eqz(slw_str_trim(unit), "requests")) ||
        slw_str_i64(count, &n, &ignored) != SLW_OK || n < 0)
        return slw_yaml_fail(err, in->file, v,
                             "'%.*s' must be a number of requests, as in 500",
                             SLW_FMT(v->key));
    *out = n;
    return SLW_OK;
}

static enum slw_rc
requests_write(const struct project_in *in, const struct slw_yaml *v,
               struct slw_jw *w, struct slw_err *err)
{
    int64_t n = 0;
    TRY(requests_of(in, v, &n, err));
    slw_jw_i64(w, n);
    return SLW_OK;
}

static enum slw_rc
rollout_write(const struct project_in *in, const struct slw_yaml *v,
              struct slw_jw *w, struct slw_err *err)
{
    static const struct project_field fields[] = {
        {.key = "canary",
         .out = "canary",
         .kind = PROJECT_SHARE,
         .required = true,
         .example = "canary: 10%"},
        {.key = "requests",
         .out = "requests",
         .kind = PROJECT_OTHER,
         .write = requests_write},
        {.key = "for",
         .out = "requests",
         .kind = PROJECT_OTHER,
         .write = requests_write},
    };
    if (v->kind != SLW_YAML_SEQ)
        return slw_yaml_fail(err, in->file, v,
                             "'rollout' must be a list of steps, as in"
                             " [{canary: 10%%, requests: 500}]");
    slw_jw_arr(w);
    for (const struct slw_yaml *c = v->child; c; c = c->next) {
        if (slw_yaml_get(c, "for") && slw_yaml_get(c, "requests"))
            return slw_yaml_fail(err, in->file, c,
                                 "'for' and 'requests' say the same; give"
                                 " one");
        TRY(project_object(in, c, fields, COUNT(fields), w, err));
    }
    slw_jw_arr_end(w);
    return SLW_OK;
}

static enum slw_rc
shadow_write(const struct project_in *in, const struct slw_yaml *v,
             struct slw_jw *w, struct slw_err *err)
{
    static const char *const shadows[] = {"fallback", "challenger", NULL};
    TRY(project_texts(in, v, w, err));
    for (const struct slw_yaml *c = v->child; c; c = c->next)
        TRY(project_word(in, c, shadows, err));
    return SLW_OK;
}

static enum slw_rc
model_name_write(const struct project_in *in, const struct slw_yaml *v,
                 struct slw_jw *w, struct slw_err *err)
{
    TRY(project_declared(in, v, "models", "model", err));
    slw_jw_str(w, v->text);
    return SLW_OK;
}

enum slw_rc
project_deployment(const struct project_in *in, const struct slw_yaml *v,
                   struct slw_jw *w, struct slw_err *err)
{
    static const struct project_field fields[] = {
        {.key = "model",
         .out = "model",
         .kind = PROJECT_OTHER,
         .required = true,
         .example = "model: next-close",
         .write = model_name_write},
        {.key = "timeout", .out = "timeout_ms", .kind = PROJECT_DURATION},
        {.key = "rollout",
         .out = "rollout",
         .kind = PROJECT_OTHER,
         .write = rollout_write},
        {.key = "shadow",
         .out = "shadow",
         .kind = PROJECT_OTHER,
         .write = shadow_write},
    };
    return project_fields(in, v, fields, COUNT(fields), w, err);
}

/* ---- monitors ---- */

static enum slw_rc
drift_write(const struct project_in *in, const struct slw_yaml *v,
            struct slw_jw *w, struct slw_err *err)
{
    static const struct project_field fields[] = {
        {.key = "alpha", .out = "alpha", .kind = PROJECT_SHARE},
        {.key = "floor", .out = "floor", .kind = PROJECT_NUMBER},
        {.key = "block", .out = "block_ms", .kind = PROJECT_DURATION},
        {.key = "min_rows", .out = "min_rows", .kind = PROJECT_COUNT},
    };
    return project_object(in, v, fields, COUNT(fields), w, err);
}

static enum slw_rc
mae_write(const struct project_in *in, const struct slw_yaml *v,
          struct slw_jw *w, struct slw_err *err)
{
    static const char *const metrics[] = {"mae", NULL};
    TRY(project_word(in, v, metrics, err));
    slw_jw_str(w, v->text);
    return SLW_OK;
}

static enum slw_rc
against_write(const struct project_in *in, const struct slw_yaml *v,
              struct slw_jw *w, struct slw_err *err)
{
    static const char *const others[] = {"fallback", "test", NULL};
    TRY(project_word(in, v, others, err));
    slw_jw_str(w, v->text);
    return SLW_OK;
}

static enum slw_rc
performance_write(const struct project_in *in, const struct slw_yaml *v,
                  struct slw_jw *w, struct slw_err *err)
{
    static const struct project_field fields[] = {
        {.key = "metric",
         .out = "metric",
         .kind = PROJECT_OTHER,
         .write = mae_write},
        {.key = "window", .out = "window_ms", .kind = PROJECT_DURATION},
        {.key = "worse_than",
         .out = "worse_than",
         .kind = PROJECT_OTHER,
         .write = against_write},
        {.key = "confidence",
         .out = "confidence",
         .kind = PROJECT_OTHER,
         .write = confidence_write},
        {.key = "min_labels", .out = "min_labels", .kind = PROJECT_COUNT},
    };
    return project_object(in, v, fields, COUNT(fields), w, err);
}

enum slw_rc
project_monitor(const struct project_in *in, const struct slw_yaml *v,
                struct slw_jw *w, struct slw_err *err)
{
    static const struct project_field fields[] = {
        {.key = "window",
         .out = "window_ms",
         .kind = PROJECT_DURATION,
         .required = true,
         .example = "window: 20d"},
        {.key = "every", .out = "every_ms", .kind = PROJECT_DURATION},
        {.key = "min_rows", .out = "min_rows", .kind = PROJECT_COUNT},
        {.key = "columns", .out = "columns", .kind = PROJECT_TEXTS},
        {.key = "drift",
         .out = "drift",
         .kind = PROJECT_OTHER,
         .write = drift_write},
        {.key = "performance",
         .out = "performance",
         .kind = PROJECT_OTHER,
         .write = performance_write},
    };
    struct slw_yaml name = project_at_key(v);
    name.kind = SLW_YAML_SCALAR;
    name.text = v->key;
    TRY(project_declared(in, &name, "deployments", "deployment", err));
    return project_fields(in, v, fields, COUNT(fields), w, err);
}

/* ---- retrain ---- */

struct triggers {
    bool drift, performance;
    int64_t new_data_ms, every_ms; /* 0: no such trigger */
};

static enum slw_rc
trigger_fail(const struct project_in *in, const struct slw_yaml *v,
             struct slw_err *err)
{
    return slw_yaml_fail(err, in->file, v,
                         "a trigger is drift, performance, \"new_data: 28d\""
                         " or \"every: 30d\"%s%.*s%s",
                         v->text.len ? ", not '" : "", SLW_FMT(v->text),
                         v->text.len ? "'" : "");
}

static enum slw_rc
span_take(const struct project_in *in, const struct slw_yaml *v,
          struct slw_str key, struct slw_str span, struct triggers *t,
          struct slw_err *err)
{
    struct slw_err ignored;
    int64_t ms = 0;
    int64_t *to = slw_str_eqz(key, "new_data") ? &t->new_data_ms
                  : slw_str_eqz(key, "every")  ? &t->every_ms
                                               : NULL;
    if (!to || slw_duration_parse(slw_str_trim(span), &ms, &ignored) != SLW_OK)
        return trigger_fail(in, v, err);
    if (ms < 1)
        return slw_yaml_fail(err, in->file, v, "'%.*s' must be above 0",
                             SLW_FMT(key));
    *to = ms;
    return SLW_OK;
}

/* drift, "new_data: 28d" or {new_data: 28d}. */
static enum slw_rc
trigger_take(const struct project_in *in, const struct slw_yaml *v,
             struct triggers *t, struct slw_err *err)
{
    struct slw_str key, span;
    if (v->kind == SLW_YAML_MAP && v->child_count == 1 &&
        v->child->kind == SLW_YAML_SCALAR)
        return span_take(in, v->child, v->child->key, v->child->text, t, err);
    if (v->kind != SLW_YAML_SCALAR)
        return trigger_fail(in, v, err);
    if (slw_str_eqz(v->text, "drift"))
        t->drift = true;
    else if (slw_str_eqz(v->text, "performance"))
        t->performance = true;
    else if (slw_str_cut(v->text, ':', &key, &span))
        return span_take(in, v, slw_str_trim(key), span, t, err);
    else
        return trigger_fail(in, v, err);
    return SLW_OK;
}

static enum slw_rc
on_check(const struct project_in *in, const struct slw_yaml *v,
         struct slw_jw *w, struct slw_err *err)
{
    struct triggers t = {0};
    if (v->kind != SLW_YAML_SEQ || !v->child)
        return slw_yaml_fail(err, in->file, v,
                             "'on' must be a list of triggers, as in [drift,"
                             " performance, \"new_data: 28d\"]");
    for (const struct slw_yaml *c = v->child; c; c = c->next)
        TRY(trigger_take(in, c, &t, err));
    slw_jw_arr(w);
    if (t.drift)
        slw_jw_z(w, "drift");
    if (t.performance)
        slw_jw_z(w, "performance");
    slw_jw_arr_end(w);
    if (t.new_data_ms)
        slw_jw_ki64(w, "new_data_ms", t.new_data_ms);
    if (t.every_ms)
        slw_jw_ki64(w, "every_ms", t.every_ms);
    return SLW_OK;
}

static enum slw_rc
refused_write(const struct project_in *in, const struct slw_yaml *v,
              struct slw_jw *w, struct slw_err *err)
{
    static const char *const ways[] = {"fallback", "keep", NULL};
    TRY(project_word(in, v, ways, err));
    slw_jw_str(w, v->text);
    return SLW_OK;
}

static enum slw_rc
reuse_write(const struct project_in *in, const struct slw_yaml *v,
            struct slw_jw *w, struct slw_err *err)
{
    static const char *const ways[] = {"full", "reuse", NULL};
    TRY(project_word(in, v, ways, err));
    slw_jw_str(w, v->text);
    return SLW_OK;
}

/* Which model and deployment a policy is about: it has the name of a
 * deployment, or else of a model. */
static enum slw_rc
subject_write(const struct project_in *in, const struct slw_yaml *v,
              struct slw_jw *w, struct slw_err *err)
{
    const struct slw_yaml *all = slw_yaml_get(in->root, "deployments");
    for (const struct slw_yaml *d = all ? all->child : NULL; d; d = d->next) {
        const struct slw_yaml *model = slw_yaml_get(d, "model");
        if (!slw_str_eq(d->key, v->key) || !model)
            continue;
        slw_jw_kstr(w, "deployment", d->key);
        slw_jw_kstr(w, "model", model->text);
        return SLW_OK;
    }
    struct slw_yaml name = project_at_key(v);
    name.kind = SLW_YAML_SCALAR;
    name.text = v->key;
    TRY(project_declared(in, &name, "models", "deployment or model", err));
    slw_jw_kz(w, "deployment", "");
    slw_jw_kstr(w, "model", v->key);
    return SLW_OK;
}

enum slw_rc
project_retrain(const struct project_in *in, const struct slw_yaml *v,
                struct slw_jw *w, struct slw_err *err)
{
    static const struct project_field fields[] = {
        {.key = "on",
         .out = "on",
         .kind = PROJECT_OTHER,
         .required = true,
         .example = "on: [drift, performance]",
         .write = on_check},
        {.key = "cooldown", .out = "cooldown_ms", .kind = PROJECT_DURATION},
        {.key = "when_refused",
         .out = "when_refused",
         .kind = PROJECT_OTHER,
         .write = refused_write},
        {.key = "search",
         .out = "search",
         .kind = PROJECT_OTHER,
         .write = reuse_write},
    };
    TRY(subject_write(in, v, w, err));
    return project_fields(in, v, fields, COUNT(fields), w, err);
}

/* ---- rehearse ---- */

static enum slw_rc
rehearsed_write(const struct project_in *in, const struct slw_yaml *v,
                struct slw_jw *w, struct slw_err *err)
{
    TRY(project_declared(in, v, "deployments", "deployment", err));
    slw_jw_str(w, v->text);
    return SLW_OK;
}

static enum slw_rc
notebook_write(const struct project_in *in, const struct slw_yaml *v,
               struct slw_jw *w, struct slw_err *err)
{
    TRY(project_declared(in, v, "models", "model", err));
    slw_jw_str(w, v->text);
    return SLW_OK;
}

enum slw_rc
project_rehearse(const struct project_in *in, const struct slw_yaml *v,
                 struct slw_jw *w, struct slw_err *err)
{
    static const struct project_field fields[] = {
        {.key = "deployment",
         .out = "deployment",
         .kind = PROJECT_OTHER,
         .write = rehearsed_write},
        {.key = "notebook",
         .out = "notebook",
         .kind = PROJECT_OTHER,
         .write = notebook_write},
    };
    return project_object(in, v, fields, COUNT(fields), w, err);
}

/* ---- notify ---- */

static enum slw_rc
address_write(const struct project_in *in, const struct slw_yaml *v,
              struct slw_jw *w, struct slw_err *err)
{
    const bool none =
        project_is_null(v) || (v->kind == SLW_YAML_SCALAR && v->text.len == 0);
    if (!none &&
        !(v->kind == SLW_YAML_SCALAR && (slw_str_starts(v->text, "http://") ||
                                         slw_str_starts(v->text, "https://"))))
        return slw_yaml_fail(err, in->file, v,
                             "an http or https address is wanted here");
    slw_jw_str(w, none ? SLW_STR("") : v->text);
    return SLW_OK;
}

static enum slw_rc
webhooks_write(const struct project_in *in, const struct slw_yaml *v,
               struct slw_jw *w, struct slw_err *err)
{
    TRY(project_texts(in, v, w, err));
    SLW_AUTO(slw_buf, ignored);
    for (const struct slw_yaml *c = v->child; c; c = c->next) {
        struct slw_jw check;
        slw_buf_clear(&ignored);
        slw_jw_init(&check, &ignored);
        TRY(address_write(in, c, &check, err));
    }
    return SLW_OK;
}

enum slw_rc
project_notify(const struct project_in *in, const struct slw_yaml *v,
               struct slw_jw *w, struct slw_err *err)
{
    static const struct project_field fields[] = {
        {.key = "webhooks",
         .out = "webhooks",
         .kind = PROJECT_OTHER,
         .write = webhooks_write},
        {.key = "alertmanager",
         .out = "alertmanager",
         .kind = PROJECT_OTHER,
         .write = address_write},
    };
    return project_object(in, v, fields, COUNT(fields), w, err);
}
