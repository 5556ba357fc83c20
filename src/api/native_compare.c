/* native_compare.c -- one run with all that belongs to it, and several runs
 * side by side.
 *
 * A comparison is a table turned on its side: columns are runs, rows are what
 * they logged.  Every value becomes a cell (kind, key, run); sorted, the cells
 * of a row are neighbours.  All runs are read in one snapshot. */
#include "api/api_internal.h"
#include "api/routes.h"
#include "registry/registry.h"
#include "track/track.h"

#include <math.h>
#include <stdlib.h>

#define COMPARE_MAX 50
#define VERSION_SHOWN 20

/* ---- which run ---- */

static enum slw_rc
no_run(struct slw_str ref, struct slw_err *err)
{
    return slw_fail(err, SLW_NOT_FOUND, "%.*s was not made by a run",
                    SLW_FMT(slw_track_cut(ref, 100)));
}

/* What follows models:/ -- NAME@ALIAS, NAME/VERSION, NAME/STAGE, NAME/latest,
 * or the id of a logged model. */
static enum slw_rc
find_by_model(struct slw_tx *tx, struct slw_str ref, struct slw_str rest,
              struct slw_arena *a, struct slw_str *out_id, struct slw_err *err)
{
    struct slw_version v;
    struct slw_str name, what;
    const bool at = slw_str_cut(rest, '@', &name, &what);
    if (!at && !slw_str_cut(rest, '/', &name, &what)) {
        struct slw_logged_model m;
        TRY(slw_track_logged_get(tx, rest, false, a, &m, err));
        if (!m.source_run_id.len)
            return no_run(ref, err);
        *out_id = m.source_run_id;
        return SLW_OK;
    }
    struct slw_version *latest = NULL;
    size_t count = 0;
    struct slw_err ignored;
    if (!at && slw_registry_version_latest(tx, name, &what, 1, a, &latest,
                                           &count, &ignored) == SLW_OK) {
        if (count == 0)
            return slw_fail(err, SLW_NOT_FOUND,
                            "no version of '%.*s' is in stage %.*s",
                            SLW_FMT(name), SLW_FMT(what));
        v = latest[0];
    } else {
        TRY(slw_registry_version_find(tx, name, what, a, &v, err));
    }
    if (!v.run_id.len)
        return no_run(ref, err);
    *out_id = v.run_id;
    return SLW_OK;
}

static enum slw_rc
run_find(struct slw_tx *tx, struct slw_str ref, struct slw_arena *a,
         struct slw_run_full *out, struct slw_err *err)
{
    struct slw_str id = {"", 0}, rest = ref;
    if (slw_str_starts(ref, "models:/")) {
        rest = (struct slw_str){ref.ptr + 8, ref.len - 8};
        TRY(find_by_model(tx, ref, rest, a, &id, err));
    } else {
        if (slw_str_starts(ref, "runs:/")) {
            struct slw_str tail;
            rest = (struct slw_str){ref.ptr + 6, ref.len - 6};
            slw_str_cut(rest, '/', &rest, &tail);
        }
        TRY(slw_track_run_find(tx, rest, a, &id, err));
    }
    return slw_track_run_full(tx, id, a, out, err);
}

static struct slw_str
tag_of(const struct slw_run_full *r, const char *key)
{
    for (size_t i = 0; i < r->tag_count; i++)
        if (slw_str_eqz(r->tags[i].key, key))
            return r->tags[i].value;
    return SLW_STR("");
}

static struct slw_str
context_of(const struct slw_input *in)
{
    for (size_t i = 0; i < in->tag_count; i++)
        if (slw_str_eqz(in->tags[i].key, "mlflow.data.context"))
            return in->tags[i].value;
    return SLW_STR("");
}

static void
kopt_ms(struct slw_jw *w, const char *key, int64_t ms)
{
    slw_jw_key(w, key);
    if (ms)
        slw_jw_i64(w, ms);
    else
        slw_jw_null(w);
}

static void
kid(struct slw_jw *w, const char *key, int64_t id)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)id);
    slw_jw_kz(w, key, text);
}

/* The head of a run, open for more. */
static enum slw_rc
write_head(struct slw_tx *tx, const struct slw_run *r, struct slw_arena *a,
           struct slw_jw *w, struct slw_err *err)
{
    struct slw_experiment e;
    TRY(slw_track_experiment_get(tx, r->experiment_id, a, &e, err));
    slw_jw_obj(w);
    slw_jw_kstr(w, "id", r->id);
    slw_jw_kstr(w, "name", r->name);
    kid(w, "experiment_id", r->experiment_id);
    slw_jw_kstr(w, "experiment", e.name);
    slw_jw_kz(w, "status", slw_run_status_name(r->status));
    slw_jw_ki64(w, "started_at_ms", r->start_ms);
    kopt_ms(w, "ended_at_ms", r->end_ms);
    return SLW_OK;
}

/* ---- one run ---- */

static int
metric_compare(const void *va, const void *vb)
{
    const struct slw_metric *a = va, *b = vb;
    return slw_str_cmp(a->key, b->key);
}

static int
kv_compare(const void *va, const void *vb)
{
    const struct slw_kv *a = va, *b = vb;
    return slw_str_cmp(a->key, b->key);
}

static void
write_kvs(struct slw_jw *w, const char *name, struct slw_kv *kv, size_t count)
{
    if (count)
        qsort(kv, count, sizeof *kv, kv_compare);
    slw_jw_key(w, name);
    slw_jw_obj(w);
    for (size_t i = 0; i < count; i++) {
        slw_jw_keys(w, kv[i].key);
        slw_jw_str(w, kv[i].value);
    }
    slw_jw_obj_end(w);
}

static void
write_metrics(struct slw_jw *w, struct slw_metric *m, size_t count)
{
    if (count)
        qsort(m, count, sizeof *m, metric_compare);
    slw_jw_key(w, "metrics");
    slw_jw_arr(w);
    for (size_t i = 0; i < count; i++) {
        slw_jw_obj(w);
        slw_jw_kstr(w, "key", m[i].key);
        slw_jw_kf64(w, "value", m[i].value);
        slw_jw_ki64(w, "step", m[i].step);
        slw_jw_ki64(w, "at_ms", m[i].at_ms);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
}

static void
write_links(struct slw_jw *w, const char *name,
            const struct slw_model_link *links, size_t count)
{
    slw_jw_key(w, name);
    slw_jw_arr(w);
    for (size_t i = 0; i < count; i++) {
        slw_jw_obj(w);
        slw_jw_kstr(w, "model_id", links[i].model_id);
        slw_jw_ki64(w, "step", links[i].step);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
}

static void
write_inputs(struct slw_jw *w, const struct slw_run_full *r)
{
    slw_jw_key(w, "inputs");
    slw_jw_arr(w);
    for (size_t i = 0; i < r->input_count; i++) {
        const struct slw_input *in = &r->inputs[i];
        slw_jw_obj(w);
        slw_jw_kstr(w, "name", in->name);
        slw_jw_kstr(w, "digest", in->digest);
        slw_jw_kstr(w, "context", context_of(in));
        slw_jw_kstr(w, "source_type", in->source_type);
        slw_jw_kstr(w, "source", in->source);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
}

/* Versions that were registered from the run. */
static enum slw_rc
write_versions(struct slw_tx *tx, struct slw_str id, struct slw_arena *a,
               struct slw_jw *w, struct slw_err *err)
{
    struct slw_version *versions = NULL;
    size_t count = 0;
    bool more = false;
    const struct slw_track_query q = {
        .filter = slw_arena_printf(a, "run_id = '%.*s'", SLW_FMT(id)),
        .limit = VERSION_SHOWN};
    TRY(slw_registry_version_search(tx, &q, a, &versions, &count, &more, err));
    slw_jw_key(w, "versions");
    slw_jw_arr(w);
    for (size_t i = 0; i < count; i++) {
        slw_jw_obj(w);
        slw_jw_kstr(w, "model", versions[i].model);
        slw_jw_ki64(w, "version", versions[i].version);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
    return SLW_OK;
}

enum slw_rc
api_runs_show(struct slw_http_req *req, struct slw_http_res *res,
              struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str ref = slw_http_query(req, "run");
    struct slw_run_full r;
    struct slw_jw w;
    if (!ref.len)
        return slw_fail(err, SLW_INVALID,
                        "run= names a run: its id, the beginning of it, its "
                        "name, or models:/NAME@ALIAS");
    SLW_AUTO(slw_tx, tx);
    TRY(slw_track_read(&tx, api->store, err));
    TRY(run_find(&tx, ref, req->arena, &r, err));
    slw_jw_init(&w, &res->body);
    w.nan_as_text = true;
    slw_jw_obj(&w);
    slw_jw_key(&w, "run");
    TRY(write_head(&tx, &r.run, req->arena, &w, err));
    slw_jw_kstr(&w, "user", r.run.user);
    slw_jw_kstr(&w, "artifact_uri", r.run.artifact_uri);
    slw_jw_kbool(&w, "deleted", r.run.deleted);
    write_kvs(&w, "params", r.params, r.param_count);
    write_metrics(&w, r.metrics, r.metric_count);
    write_kvs(&w, "tags", r.tags, r.tag_count);
    write_inputs(&w, &r);
    write_links(&w, "model_inputs", r.model_inputs, r.model_input_count);
    write_links(&w, "outputs", r.model_outputs, r.model_output_count);
    TRY(write_versions(&tx, r.run.id, req->arena, &w, err));
    slw_jw_obj_end(&w);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

/* ---- several ---- */

enum cell_kind { ATTRIBUTE, DATASET, PARAM, METRIC, TAG };
static const char *const KIND_NAMES[] = {[ATTRIBUTE] = "attribute",
                                         [DATASET] = "dataset",
                                         [PARAM] = "param",
                                         [METRIC] = "metric",
                                         [TAG] = "tag"};

struct cell {
    enum cell_kind kind;
    int place; /* attributes keep their order */
    struct slw_str key;
    size_t run, serial;
    bool is_number;
    double number;
    struct slw_str text;
};
struct cells {
    struct slw_arena *arena;
    struct cell *items;
    size_t count, cap;
};

static void
put(struct cells *c, struct cell one)
{
    c->items =
        slw_arena_grow(c->arena, c->items, sizeof *c->items, c->count, &c->cap);
    one.serial = c->count;
    c->items[c->count++] = one;
}

static void
put_attribute(struct cells *c, size_t run, int place, const char *key,
              struct slw_str text)
{
    if (text.len)
        put(c, (struct cell){.kind = ATTRIBUTE,
                             .place = place,
                             .key = slw_str_of(key),
                             .run = run,
                             .text = text});
}

/* Tags that people set; of MLflow's own only what says where the code was. */
static bool
tag_matters(struct slw_str key)
{
    return !slw_str_starts(key, "mlflow.");
}

static enum slw_rc
put_run(struct cells *c, struct slw_tx *tx, const struct slw_run_full *r,
        size_t run, struct slw_err *err)
{
    struct slw_experiment e;
    TRY(slw_track_experiment_get(tx, r->run.experiment_id, c->arena, &e, err));
    put_attribute(c, run, 0, "experiment", e.name);
    put_attribute(c, run, 1, "status",
                  slw_str_of(slw_run_status_name(r->run.status)));
    put_attribute(c, run, 2, "user", r->run.user);
    put_attribute(c, run, 3, "source", tag_of(r, "mlflow.source.name"));
    put_attribute(c, run, 4, "commit", tag_of(r, "mlflow.source.git.commit"));
    put_attribute(c, run, 5, "parent", tag_of(r, "mlflow.parentRunId"));
    if (r->run.end_ms)
        put(c, (struct cell){
                   .kind = ATTRIBUTE,
                   .place = 6,
                   .key = SLW_STR("duration_s"),
                   .run = run,
                   .is_number = true,
                   .number = (double)(r->run.end_ms - r->run.start_ms) * 1e-3});
    for (size_t i = 0; i < r->input_count; i++)
        put(c, (struct cell){.kind = DATASET,
                             .key = r->inputs[i].name,
                             .run = run,
                             .text = r->inputs[i].digest});
    for (size_t i = 0; i < r->param_count; i++)
        put(c, (struct cell){.kind = PARAM,
                             .key = r->params[i].key,
                             .run = run,
                             .text = r->params[i].value});
    for (size_t i = 0; i < r->metric_count; i++)
        put(c, (struct cell){.kind = METRIC,
                             .key = r->metrics[i].key,
                             .run = run,
                             .is_number = true,
                             .number = r->metrics[i].value});
    for (size_t i = 0; i < r->tag_count; i++)
        if (tag_matters(r->tags[i].key))
            put(c, (struct cell){.kind = TAG,
                                 .key = r->tags[i].key,
                                 .run = run,
                                 .text = r->tags[i].value});
    return SLW_OK;
}

/* By row: kind, place, key. */
static int
row_compare(const struct cell *a, const struct cell *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->place != b->place)
        return a->place < b->place ? -1 : 1;
    return slw_str_cmp(a->key, b->key);
}

static int
cell_compare(const void *va, const void *vb)
{
    const struct cell *a = va, *b = vb;
    int row = row_compare(a, b);
    if (row)
        return row;
    if (a->run != b->run)
        return a->run < b->run ? -1 : 1;
    return a->serial < b->serial ? -1 : a->serial > b->serial;
}

static bool
same_value(const struct cell *a, const struct cell *b)
{
    if (!a || !b)
        return a == b;
    if (!a->is_number)
        return slw_str_eq(a->text, b->text);
    return a->number == b->number || (isnan(a->number) && isnan(b->number));
}

/* The cells of a row by run; several of one run (a dataset twice, in two
 * versions) become one. */
static size_t
row_take(struct cells *c, size_t from, struct cell **row, size_t run_count)
{
    size_t at = from;
    memset(row, 0, run_count * sizeof(struct cell *));
    for (; at < c->count; at++) {
        struct cell *one = &c->items[at];
        if (row_compare(&c->items[from], one) != 0)
            break;
        if (row[one->run] && !slw_str_eq(row[one->run]->text, one->text))
            row[one->run]->text = slw_arena_printf(c->arena, "%.*s + %.*s",
                                                   SLW_FMT(row[one->run]->text),
                                                   SLW_FMT(one->text));
        else if (!row[one->run])
            row[one->run] = one;
    }
    return at;
}

static void
write_number(struct slw_jw *w, bool known, double v)
{
    if (known)
        slw_jw_f64(w, v);
    else
        slw_jw_null(w);
}

/* How far each run's number is from the first's. */
static void
write_deltas(struct slw_jw *w, struct cell *const *row, size_t run_count)
{
    const struct cell *first = row[0];
    slw_jw_key(w, "delta");
    slw_jw_arr(w);
    for (size_t i = 0; i < run_count; i++)
        write_number(w,
                     i && first && row[i] && isfinite(first->number) &&
                         isfinite(row[i]->number),
                     first && row[i] ? row[i]->number - first->number : 0);
    slw_jw_arr_end(w);
    slw_jw_key(w, "relative"); /* a share: 0.1 is 10 % more */
    slw_jw_arr(w);
    for (size_t i = 0; i < run_count; i++) {
        const bool known = i && first && row[i] && isfinite(first->number) &&
                           isfinite(row[i]->number) && first->number != 0;
        write_number(
            w, known,
            known ? (row[i]->number - first->number) / fabs(first->number) : 0);
    }
    slw_jw_arr_end(w);
}

static void
write_row(struct slw_jw *w, struct cell *const *row, const struct cell *any,
          size_t run_count)
{
    bool differs = false;
    slw_jw_obj(w);
    slw_jw_kz(w, "kind", KIND_NAMES[any->kind]);
    slw_jw_kstr(w, "key", any->key);
    slw_jw_key(w, "values");
    slw_jw_arr(w);
    for (size_t i = 0; i < run_count; i++) {
        differs = differs || !same_value(row[0], row[i]);
        if (!row[i])
            slw_jw_null(w);
        else if (row[i]->is_number)
            slw_jw_f64(w, row[i]->number);
        else
            slw_jw_str(w, row[i]->text);
    }
    slw_jw_arr_end(w);
    slw_jw_kbool(w, "differs", differs);
    if (any->is_number)
        write_deltas(w, row, run_count);
    slw_jw_obj_end(w);
}

static enum slw_rc
refs_of(struct slw_http_req *req, struct slw_str out[COMPARE_MAX],
        size_t *out_count, struct slw_err *err)
{
    struct slw_str key, value;
    size_t count = 0;
    for (size_t i = 0; slw_http_query_at(req, i, &key, &value); i++) {
        if (!slw_str_eqz(key, "run"))
            continue;
        if (count == COMPARE_MAX)
            return slw_fail(err, SLW_INVALID, "at most %d runs are compared",
                            COMPARE_MAX);
        if (!value.len)
            return slw_fail(err, SLW_INVALID, "run= is empty");
        out[count++] = value;
    }
    if (count == 0)
        return slw_fail(err, SLW_INVALID,
                        "name the runs: ?run=…&run=…, each by its id, the "
                        "beginning of it, its name, or models:/NAME@ALIAS");
    *out_count = count;
    return SLW_OK;
}

enum slw_rc
api_runs_compare(struct slw_http_req *req, struct slw_http_res *res,
                 struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_str refs[COMPARE_MAX];
    struct cell *row[COMPARE_MAX];
    struct cells cells = {.arena = req->arena};
    size_t run_count = 0;
    struct slw_jw w;
    TRY(refs_of(req, refs, &run_count, err));
    slw_jw_init(&w, &res->body);
    w.nan_as_text = true;
    slw_jw_obj(&w);
    slw_jw_key(&w, "runs");
    slw_jw_arr(&w);
    SLW_AUTO(slw_tx, tx);
    TRY(slw_track_read(&tx, api->store, err));
    for (size_t i = 0; i < run_count; i++) {
        struct slw_run_full r;
        TRY(run_find(&tx, refs[i], req->arena, &r, err));
        TRY(write_head(&tx, &r.run, req->arena, &w, err));
        slw_jw_kstr(&w, "asked", refs[i]);
        slw_jw_obj_end(&w);
        TRY(put_run(&cells, &tx, &r, i, err));
    }
    slw_jw_arr_end(&w);
    qsort(cells.items, cells.count, sizeof *cells.items, cell_compare);
    slw_jw_key(&w, "rows");
    slw_jw_arr(&w);
    for (size_t at = 0; at < cells.count;) {
        const struct cell *any = &cells.items[at];
        at = row_take(&cells, at, row, run_count);
        write_row(&w, row, any, run_count);
    }
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    return SLW_OK;
}
