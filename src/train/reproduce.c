/* reproduce.c -- build the model of a release again from its pins, and
 * compare the bytes; where they differ, name the first input that differs.
 *
 * The inputs are compared in the order in which they act: dataset versions,
 * view definitions, the frame they gave, the engine.  Only when all of them
 * are the same are the model's bytes themselves what differs. */
#include "train/train_internal.h"

#include "base/engine.h"
#include "base/file.h"
#include "base/hash.h"
#include "data/data.h"
#include "store/blob.h"

/* What the release says, as far as it decides the model. */
struct recipe {
    struct train_def def;
    struct train_candidate candidate;
    enum slw_flavour flavour;
    struct slw_str params, model_blob, frame_hash, engine, engine_version;
    int64_t as_of_ms, seed;
    struct slw_json pins;
};

static void
recipe_done(struct recipe *r)
{
    slw_json_done(&r->pins);
}

/* ---- reading the release ---- */

static enum slw_rc
columns_read(const struct json_t *release, struct slw_arena *a,
             struct train_def *d, struct slw_err *err)
{
    const struct json_t *sig = slw_json_get(release, "signature");
    const struct json_t *list = slw_json_get(sig, "columns");
    const size_t count = slw_json_len(list);
    struct slw_str *keep = SLW_ARENA_NEW(a, struct slw_str, count + 1);
    for (size_t i = 0; i < count; i++)
        keep[i] = slw_arena_str(
            a, slw_json_str_or(slw_json_at(list, i), SLW_STR("")));
    if (count == 0)
        return slw_fail(err, SLW_INVALID, "the release has no signature");
    d->keep = keep;
    d->keep_count = count;
    d->relative_to = slw_arena_str(
        a, slw_json_str_or(slw_json_get(sig, "relative_to"), SLW_STR("")));
    return SLW_OK;
}

static enum slw_rc
split_read(const struct json_t *release, struct train_def *d,
           struct slw_err *err)
{
    const struct json_t *split = slw_json_get(release, "split");
    int64_t train_to = 0, valid_to = 0, test_to = 0;
    TRY(slw_json_need_i64(split, "train_from_ms", &d->train_from_ms, err));
    TRY(slw_json_need_i64(split, "train_to_ms", &train_to, err));
    TRY(slw_json_need_i64(split, "valid_to_ms", &valid_to, err));
    TRY(slw_json_need_i64(split, "test_to_ms", &test_to, err));
    d->validate_ms = valid_to - train_to;
    d->test_ms = test_to - valid_to;
    return SLW_OK;
}

static enum slw_rc
metric_read(const struct json_t *release, struct train_def *d,
            struct slw_err *err)
{
    struct slw_str name;
    TRY(slw_json_need_str(release, "metric", &name, err));
    for (enum train_metric m = TRAIN_MAE; m <= TRAIN_R2; m++)
        if (slw_str_eqz(name, train_metric_name(m))) {
            d->metric = m;
            return SLW_OK;
        }
    return slw_fail(err, SLW_INVALID, "the release's metric '%.*s' is unknown",
                    SLW_FMT(name));
}

enum slw_rc
slw_train_pins(const struct json_t *release, struct slw_json *out,
               struct slw_err *err)
{
    const struct json_t *sets = slw_json_get(release, "datasets");
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    for (void *it = slw_json_iter(sets); it; it = slw_json_next(sets, it)) {
        int64_t version = 0;
        TRY(slw_json_need_i64(slw_json_iter_value(it), "version", &version,
                              err));
        slw_jw_keys(&w, slw_json_iter_key(it));
        slw_jw_i64(&w, version);
    }
    slw_jw_obj_end(&w);
    return slw_json_parse(out, slw_buf_view(&text), err);
}

static enum slw_rc
recipe_read(const struct json_t *release, struct slw_arena *a, struct recipe *r,
            struct slw_err *err)
{
    const struct json_t *target = slw_json_get(release, "target");
    const struct json_t *engine = slw_json_get(release, "engine");
    const struct json_t *params = slw_json_get(release, "params");
    struct slw_str flavour, candidate;
    TRY(slw_json_need_str(release, "model", &r->def.name, err));
    TRY(slw_json_need_str(target, "sql", &r->def.target_sql, err));
    TRY(slw_json_need_str(target, "of", &r->def.target_of, err));
    TRY(slw_json_need_i64(target, "known_after_ms", &r->def.known_after_ms,
                          err));
    TRY(slw_json_need_str(release, "flavour", &flavour, err));
    TRY(slw_flavour_parse(flavour, &r->flavour, err));
    TRY(slw_json_need_str(release, "candidate", &candidate, err));
    TRY(slw_json_need_str(release, "model_blob", &r->model_blob, err));
    TRY(slw_json_need_str(release, "frame_hash", &r->frame_hash, err));
    TRY(slw_json_need_str(engine, "name", &r->engine, err));
    TRY(slw_json_need_str(engine, "version", &r->engine_version, err));
    TRY(slw_json_need_i64(release, "as_of_ms", &r->as_of_ms, err));
    TRY(slw_json_need_i64(release, "seed", &r->seed, err));
    TRY(columns_read(release, a, &r->def, err));
    TRY(split_read(release, &r->def, err));
    TRY(metric_read(release, &r->def, err));
    TRY(slw_train_pins(release, &r->pins, err));
    r->candidate.name = candidate;
    r->candidate.is_script = slw_str_eqz(r->engine, "script");
    if (r->candidate.is_script)
        TRY(train_script_parse(&r->candidate, params, a, err));
    SLW_AUTO(slw_buf, text);
    slw_json_dump(&text, params);
    r->params = slw_arena_str(a, slw_buf_view(&text));
    return SLW_OK;
}

/* ---- comparing inputs ---- */

/* The first dataset that is not what it was; *out stays "" when none. */
static enum slw_rc
datasets_compare(struct slw_job_ctx *ctx, const struct json_t *release,
                 struct slw_str *out, struct slw_err *err)
{
    const struct json_t *sets = slw_json_get(release, "datasets");
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, ctx->store, err));
    for (void *it = slw_json_iter(sets); it; it = slw_json_next(sets, it)) {
        const struct slw_str name = slw_json_iter_key(it);
        const struct json_t *pin = slw_json_iter_value(it);
        const struct slw_str hash =
            slw_json_str_or(slw_json_get(pin, "hash"), SLW_STR(""));
        const struct slw_str ref = slw_arena_printf(
            ctx->arena, "%.*s@%lld", SLW_FMT(name),
            (long long)slw_json_i64_or(slw_json_get(pin, "version"), 0));
        struct slw_dataset d;
        struct slw_err why;
        const enum slw_rc rc = slw_data_get(&tx, ref, ctx->arena, &d, &why);
        if (rc != SLW_OK && rc != SLW_NOT_FOUND) {
            *err = why;
            return rc;
        }
        if (rc == SLW_OK && slw_str_eq(d.hash, hash) &&
            slw_blob_exists(ctx->store, slw_arena_strz(ctx->arena, hash)))
            continue;
        *out = slw_arena_printf(ctx->arena, "dataset %.*s", SLW_FMT(name));
        return SLW_OK;
    }
    return SLW_OK;
}

static struct slw_str
features_compare(const struct json_t *release, struct slw_arena *a)
{
    const struct json_t *views = slw_json_get(release, "features");
    const struct json_t *hashes = slw_json_get(release, "feature_hashes");
    for (size_t i = 0; i < slw_json_len(views); i++) {
        const struct json_t *view = slw_json_at(views, i);
        const struct slw_str name =
            slw_json_str_or(slw_json_get(view, "name"), SLW_STR(""));
        const struct slw_str want = slw_json_str_or(
            slw_json_get(hashes, slw_arena_strz(a, name)), SLW_STR(""));
        if (!slw_str_eq(train_node_hash(view, a), want))
            return slw_arena_printf(a, "features %.*s", SLW_FMT(name));
    }
    return SLW_STR("");
}

/* ---- building again ---- */

static enum slw_rc
script_again(struct slw_job_ctx *ctx, const struct recipe *r,
             const struct train_set *set, struct slw_buf *out,
             struct slw_err *err)
{
    struct train_script_out o;
    const struct train_script_run in = {
        .candidate = &r->candidate,
        .set = set,
        .dir =
            slw_path(ctx->arena, ctx->dir, "%.*s", SLW_FMT(r->candidate.name)),
        .server_url = NULL, /* it proves bytes: its log is nobody's run */
        .run_id = SLW_STR(""),
        .seed = r->seed,
    };
    TRY(train_script_run(&in, ctx->arena, &o, err));
    slw_buf_str(out, o.model);
    return slw_buf_check(out, err);
}

static enum slw_rc
model_again(struct slw_job_ctx *ctx, const struct recipe *r,
            const struct train_set *set, struct slw_buf *out,
            struct slw_str *out_version, struct slw_err *err)
{
    slw_buf_init(out, SLW_MODEL_SIZE_MAX);
    *out_version = r->engine_version;
    if (r->candidate.is_script)
        return script_again(ctx, r, set, out, err);
    SLW_AUTO(train_fit_out, fit);
    TRY(train_fit_rows(set, r->flavour, r->def.metric, &set->refit, NULL,
                       r->params, r->seed, &fit, err));
    *out_version = slw_arena_str(ctx->arena, slw_str_of(fit.engine_version));
    slw_buf_str(out, slw_buf_view(&fit.bytes));
    return slw_buf_check(out, err);
}

static void
answer_write(struct slw_jw *w, const struct recipe *r, struct slw_str rebuilt,
             struct slw_str first)
{
    slw_jw_obj(w);
    slw_jw_kbool(w, "equal", slw_str_eq(rebuilt, r->model_blob));
    slw_jw_kstr(w, "model", r->model_blob);
    slw_jw_kstr(w, "rebuilt", rebuilt);
    slw_jw_kstr(w, "first_difference", first);
    slw_jw_obj_end(w);
}

static enum slw_rc
rebuild(struct slw_job_ctx *ctx, const struct recipe *r,
        const struct slw_frame *frame, struct slw_str first, struct slw_jw *w,
        struct slw_err *err)
{
    struct train_set set;
    struct slw_str version;
    char hex[SLW_SHA256_HEX_SIZE];
    SLW_AUTO(slw_buf, bytes);
    TRY(train_set_make(frame, &r->def, r->as_of_ms, ctx->arena, &set, err));
    slw_job_progress(ctx, 0.4, "%.*s: fitting %.*s again", SLW_FMT(r->def.name),
                     SLW_FMT(r->candidate.name));
    TRY(model_again(ctx, r, &set, &bytes, &version, err));
    const struct slw_sha256 h = slw_sha256_of(bytes.ptr, bytes.len);
    const struct slw_str rebuilt = slw_str_of(slw_sha256_hex(&h, hex));
    if (first.len == 0 && !slw_str_eqz(r->frame_hash, frame->hash))
        first = SLW_STR("frame");
    if (first.len == 0 && !slw_str_eq(version, r->engine_version))
        first = slw_arena_printf(ctx->arena, "engine %.*s %.*s -> %.*s",
                                 SLW_FMT(r->engine), SLW_FMT(r->engine_version),
                                 SLW_FMT(version));
    if (first.len == 0)
        first = SLW_STR("model bytes");
    if (slw_str_eq(rebuilt, r->model_blob))
        first = SLW_STR("");
    answer_write(w, r, rebuilt, first);
    return SLW_OK;
}

enum slw_rc
train_reproduce_frame(struct slw_job_ctx *ctx, const struct json_t *release,
                      const struct slw_frame *frame, struct slw_jw *w,
                      struct slw_err *err)
{
    SLW_AUTO(recipe, r);
    TRY(recipe_read(release, ctx->arena, &r, err));
    return rebuild(ctx, &r, frame, features_compare(release, ctx->arena), w,
                   err);
}

enum slw_rc
slw_train_reproduce(struct slw_job_ctx *ctx, const struct json_t *release,
                    struct slw_jw *w, struct slw_err *err)
{
    struct slw_frame frame;
    struct slw_str first = SLW_STR("");
    SLW_AUTO(recipe, r);
    TRY(recipe_read(release, ctx->arena, &r, err));
    TRY(datasets_compare(ctx, release, &first, err));
    if (first.len) { /* nothing to build from */
        answer_write(w, &r, SLW_STR(""), first);
        return SLW_OK;
    }
    slw_job_progress(ctx, 0, "%.*s: building the training set again",
                     SLW_FMT(r.def.name));
    TRY(train_frame_get(ctx->store, &r.def, r.pins.root,
                        slw_json_get(release, "features"), r.as_of_ms, NULL,
                        ctx->arena, &frame, err));
    return rebuild(ctx, &r, &frame, features_compare(release, ctx->arena), w,
                   err);
}
