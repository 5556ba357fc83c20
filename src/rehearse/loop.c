/* loop.c -- one policy lives through the days.
 *
 * A day: the clock moves to its end; the rows that became known on it arrive
 * as a new version of their dataset; every row is predicted by what is live;
 * then the flow looks, and its jobs run here one after the other, until
 * nothing moves.  What a retrain deploys answers from the next day on.
 *
 * Nothing here knows what drift, a gate or a canary is.  The one difference to
 * production: frames come from a memo (features/memo.c), and rows are predicted
 * from them and not from the online table, which gives the same (the same view
 * serves both). */
#include "rehearse/rehearse_internal.h"

#include <time.h>

#include "data/data.h"
#include "features/features.h"
#include "flow/flow.h"
#include "store/blob.h"

/* Rows that arrive later than this are not predicted any more. */
#define LATE_MS (7 * SLW_DAY_MS)
#define META_DAY "rehearse.day"   /* last day that is over */
#define META_OPEN "rehearse.open" /* a day that was begun */
#define META_TRAIN "rehearse.train_ms"
#define META_SPENT "rehearse.spent_ms"

struct feed {
    struct slw_dataset whole;
    struct slw_arrival *arrivals;
    size_t count, next; /* next: the first that has not arrived */
};

struct loop {
    const char *dir;
    const struct json_t *plan, *policy;
    struct slw_str name, start, model, deployment;
    int64_t from_ms, to_ms, requests;
    struct slw_arena a;
    struct slw_clock clock;
    struct slw_store *store;
    struct slw_serve *serve;
    struct slw_flow *flow;
    struct slw_memo *memo;
    struct feed *feeds;
    size_t feed_count;
    int64_t day_ms; /* the clock */
    int64_t train_ms, spent_ms, begin_ns, told_ns;
};

static void
loop_done(struct loop *l)
{
    slw_flow_stop(l->flow);
    slw_serve_close(l->serve);
    slw_memo_free(l->memo);
    slw_store_close(l->store);
    slw_arena_done(&l->a);
}

/* ---- small settings ---- */

static enum slw_rc
meta_get(struct loop *l, const char *key, int64_t *out, struct slw_err *err)
{
    struct slw_str text;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, l->store, err));
    const enum slw_rc rc = slw_meta_get(&tx, key, &a, &text, err);
    if (rc == SLW_NOT_FOUND)
        return SLW_OK;
    TRY(rc);
    return slw_str_i64(text, out, err);
}

static enum slw_rc
meta_put(struct loop *l, struct slw_tx *tx, const char *key, int64_t value,
         struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    return slw_meta_set(tx, key, slw_arena_printf(&a, "%lld", (long long)value),
                        err);
}

static enum slw_rc
day_mark(struct loop *l, const char *key, struct slw_err *err)
{
    const int64_t now_ns = slw_mono_ns();
    l->spent_ms += (now_ns - l->begin_ns) / 1000000;
    l->begin_ns = now_ns;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, l->store, err));
    TRY(meta_put(l, &tx, key, l->day_ms, err));
    TRY(meta_put(l, &tx, META_TRAIN, l->train_ms, err));
    TRY(meta_put(l, &tx, META_SPENT, l->spent_ms, err));
    return slw_tx_commit(&tx, err);
}

/* ---- jobs ---- */

static int64_t
cpu_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static const struct slw_job_kind KINDS[] = {
    {.name = "flow.refresh", .fn = slw_flow_refresh_job},
    {.name = "flow.train", .fn = slw_flow_train_job},
    {.name = "flow.gate", .fn = slw_flow_gate_job}};

/* Looks and jobs in turn, until nothing moves. */
static enum slw_rc
settle(struct loop *l, struct slw_err *err)
{
    for (;;) {
        bool moved = false, training = false;
        int64_t active = 0;
        struct slw_job *jobs = NULL;
        size_t count = 0;
        SLW_AUTO(slw_arena, a);
        TRY(slw_flow_tick(l->flow, &moved, err));
        {
            SLW_AUTO(slw_tx, tx);
            TRY(slw_tx_read(&tx, l->store, err));
            TRY(slw_job_active(&tx, &active, err));
            if (active)
                TRY(slw_job_moving(&tx, 8, &a, &jobs, &count, err));
        }
        for (size_t i = 0; i < count; i++)
            training |= slw_str_eqz(jobs[i].kind, "flow.train");
        if (active == 0 && !moved)
            return SLW_OK;
        const int64_t begin_ms = cpu_ms();
        if (active)
            TRY(slw_jobs_run_here(l->store, l->day_ms, KINDS,
                                  SLW_ARRAY_LEN(KINDS), l->memo, err));
        if (training)
            l->train_ms += cpu_ms() - begin_ms;
    }
}

/* ---- data arrive ---- */

static enum slw_rc
feed_open(struct loop *l, struct slw_store *base, struct slw_str name,
          struct feed *out, struct slw_err *err)
{
    const char *path = NULL;
    struct slw_blob_info info;
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, base, err));
        TRY(slw_data_get_at(&tx, name, INT64_MAX, &l->a, &out->whole, err));
    }
    TRY(slw_data_arrivals(base, &out->whole, &l->a, &out->arrivals, &out->count,
                          err));
    if (slw_blob_exists(l->store, slw_arena_strz(&l->a, out->whole.hash)))
        return SLW_OK;
    TRY(slw_blob_cached(base, slw_arena_strz(&l->a, out->whole.hash),
                        ".parquet", &l->a, &path, err));
    TRY(slw_blob_put_file(l->store, path, &info, err));
    SLW_ASSERT(slw_str_eqz(out->whole.hash, info.hash));
    return SLW_OK;
}

static enum slw_rc
feeds_open(struct loop *l, struct slw_err *err)
{
    struct slw_store *base = NULL;
    const struct slw_store_options opt = {.dir =
                                              slw_path(&l->a, l->dir, "base")};
    const struct json_t *sources = slw_json_get(l->plan, "sources");
    l->feeds = SLW_ARENA_NEW(&l->a, struct feed, slw_json_len(sources) + 1);
    TRY(slw_store_open(&base, &opt, err));
    enum slw_rc rc = SLW_OK;
    for (void *it = slw_json_iter(sources); it && rc == SLW_OK;
         it = slw_json_next(sources, it))
        rc = feed_open(l, base, slw_json_iter_key(it),
                       &l->feeds[l->feed_count++], err);
    slw_store_close(base);
    return rc;
}

/* What became known by the clock: one version of each source it is true of. */
static enum slw_rc
arrive(struct loop *l, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, l->store, err));
    for (size_t i = 0; i < l->feed_count; i++) {
        struct feed *f = &l->feeds[i];
        const size_t had = f->next;
        while (f->next < f->count && f->arrivals[f->next].known_ms <= l->day_ms)
            f->next++;
        if (f->next > had)
            TRY(slw_data_arrive(&tx, l->day_ms, &f->whole,
                                &f->arrivals[f->next - 1], err));
    }
    return slw_tx_commit(&tx, err);
}

/* The day on which something arrives next; INT64_MAX: nothing does. */
static int64_t
next_day(const struct loop *l)
{
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < l->feed_count; i++) {
        const struct feed *f = &l->feeds[i];
        if (f->next < f->count && f->arrivals[f->next].known_ms < next_ms)
            next_ms = f->arrivals[f->next].known_ms;
    }
    return next_ms;
}

/* Feeds as they stood at the clock. */
static void
feeds_seek(struct loop *l)
{
    for (size_t i = 0; i < l->feed_count; i++) {
        struct feed *f = &l->feeds[i];
        f->next = 0;
        while (f->next < f->count && f->arrivals[f->next].known_ms <= l->day_ms)
            f->next++;
    }
}

/* ---- rows are predicted ---- */

static enum slw_rc
pins_now(struct loop *l, struct slw_json *out, struct slw_err *err)
{
    SLW_AUTO(slw_buf, versions);
    SLW_AUTO(slw_buf, hashes);
    struct slw_jw v, h;
    SLW_AUTO(slw_tx, tx);
    slw_jw_init(&v, &versions);
    slw_jw_init(&h, &hashes);
    TRY(slw_tx_read(&tx, l->store, err));
    TRY(slw_data_pins(&tx, l->day_ms, &v, &h, err));
    return slw_json_parse(out, slw_buf_view(&versions), err);
}

/* The rows of the source that the target is of, with the features and labels
 * of a release, event times from `from_ms` on; perhaps none. */
static enum slw_rc
rows_of(struct loop *l, const struct json_t *release, int64_t from_ms,
        struct slw_arena *a, struct slw_frame *out, struct slw_err *err)
{
    const struct json_t *target = slw_json_get(release, "target");
    struct slw_frame_spec spec = {.views = slw_json_get(release, "features"),
                                  .from_ms = from_ms,
                                  .to_ms = l->day_ms,
                                  .as_of_ms = l->day_ms,
                                  .extra_sql = SLW_STR(""),
                                  .memo = l->memo,
                                  .may_be_empty = true};
    SLW_AUTO(slw_json, pins);
    TRY(pins_now(l, &pins, err));
    spec.pins = pins.root;
    TRY(slw_json_need_str(target, "of", &spec.spine_source, err));
    TRY(slw_json_need_str(target, "sql", &spec.target_sql, err));
    TRY(slw_json_opt_i64(target, "known_after_ms", &spec.known_after_ms, err));
    return slw_features_frame(l->store, &spec, a, out, err);
}

/* Columns of the signature in the frame. */
static enum slw_rc
columns_find(const struct slw_signature *sig, const struct slw_frame *f,
             size_t *at, struct slw_err *err)
{
    for (size_t i = 0; i < sig->column_count; i++) {
        at[i] = 0;
        while (at[i] < f->column_count &&
               !slw_str_eq(f->columns[at[i]], sig->columns[i]))
            at[i]++;
        if (at[i] == f->column_count)
            return slw_fail(err, SLW_INVALID,
                            "the model takes the column '%.*s', which its"
                            " features do not yield",
                            SLW_FMT(sig->columns[i]));
    }
    return SLW_OK;
}

/* One row, asked for by every user.  What nobody can answer is counted when
 * the log is read. */
static enum slw_rc
row_predict(struct loop *l, const struct slw_serving *v,
            const struct slw_frame *f, size_t r, const size_t *at,
            struct slw_err *err)
{
    const size_t count = v->signature->column_count;
    for (int64_t k = 0; k < l->requests; k++) {
        SLW_AUTO(slw_arena, a);
        struct slw_predict_out out = {0};
        double *x = SLW_ARENA_NEW(&a, double, count + 1);
        for (size_t i = 0; i < count; i++)
            x[i] = f->x[r * f->column_count + at[i]];
        const struct slw_predict_in in = {
            .key = f->entity[r],
            .sticky = slw_arena_printf(&a, "%.*s/%lld", SLW_FMT(f->entity[r]),
                                       (long long)k),
            .event_ms = f->event_ms[r],
            .x = x,
            .row_count = 1,
            .column_count = count};
        const enum slw_rc rc =
            slw_serving_predict(l->serve, v, &in, &a, &out, err);
        if (rc != SLW_OK && rc != SLW_INTERNAL && rc != SLW_BUSY)
            return rc;
    }
    return SLW_OK;
}

static enum slw_rc
release_live(struct loop *l, struct slw_json *out, struct slw_err *err)
{
    struct slw_deployment d;
    SLW_AUTO(slw_arena, a);
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, l->store, err));
        TRY(slw_serve_get(&tx, l->deployment, &a, &d, err));
    }
    return slw_release_get(l->store, slw_arena_strz(&a, d.champion), out, err);
}

/* Rows that became known after `since_ms`. */
static enum slw_rc
predict(struct loop *l, int64_t since_ms, struct slw_err *err)
{
    struct slw_frame f;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_json, release);
    SLW_AUTO(slw_serving, v);
    TRY(release_live(l, &release, err));
    TRY(rows_of(l, release.root, since_ms - LATE_MS, &a, &f, err));
    TRY(slw_serving_begin(&v, l->serve, l->deployment, 0, err));
    size_t *at = SLW_ARENA_NEW(&a, size_t, v.signature->column_count + 1);
    TRY(columns_find(v.signature, &f, at, err));
    for (size_t r = 0; r < f.row_count; r++)
        if (f.known_ms[r] > since_ms)
            TRY(row_predict(l, &v, &f, r, at, err));
    return SLW_OK;
}

/* ---- the first day ---- */

static enum slw_rc
first_run(struct loop *l, int64_t *out_id, struct slw_err *err)
{
    SLW_AUTO(slw_buf, text);
    SLW_AUTO(slw_json, spec);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "model", l->model);
    slw_jw_kz(&w, "until", slw_str_eqz(l->start, "gate") ? "promote" : "train");
    if (slw_str_eqz(l->start, "rule"))
        slw_jw_ki64(&w, "trials", 1); /* only its rule is wanted */
    slw_jw_kz(&w, "reason", "the rehearsal begins");
    slw_jw_obj_end(&w);
    TRY(slw_json_parse(&spec, slw_buf_view(&text), err));
    return slw_flow_run_start(l->flow, l->day_ms, spec.root, out_id, err);
}

static enum slw_rc
run_check(struct loop *l, int64_t id, struct slw_err *err)
{
    SLW_AUTO(slw_buf, text);
    SLW_AUTO(slw_json, doc);
    struct slw_jw w;
    struct slw_str state = SLW_STR(""), reason = SLW_STR("");
    slw_jw_init(&w, &text);
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, l->store, err));
        TRY(slw_flow_run_write(&tx, id, &w, err));
    }
    TRY(slw_json_parse(&doc, slw_buf_view(&text), err));
    TRY(slw_json_opt_str(doc.root, "state", &state, err));
    TRY(slw_json_opt_str(doc.root, "reason", &reason, err));
    if (!slw_str_eqz(state, "failed"))
        return SLW_OK;
    return slw_fail(err, SLW_INVALID, "%.*s", SLW_FMT(reason));
}

static enum slw_rc
project_apply(struct loop *l, struct slw_err *err)
{
    SLW_AUTO(slw_buf, project);
    SLW_AUTO(slw_buf, ignored);
    struct slw_jw w;
    slw_jw_init(&w, &ignored);
    slw_json_dump(&project, slw_json_get(l->policy, "project"));
    return slw_project_apply(
        l->flow, l->day_ms,
        slw_arena_printf(&l->a, "policy %.*s", SLW_FMT(l->name)), SLW_STR(""),
        slw_buf_view(&project), &w, err);
}

/* Something to train on must be there before the first day. */
static enum slw_rc
known_check(struct loop *l, struct slw_err *err)
{
    char from[SLW_TIME_TEXT_SIZE];
    for (size_t i = 0; i < l->feed_count; i++)
        if (l->feeds[i].next > 0)
            return SLW_OK;
    return slw_fail(err, SLW_INVALID,
                    "nothing was known before %s, so there is nothing to train"
                    " on: begin the rehearsal later",
                    slw_date_text(l->from_ms, from));
}

static enum slw_rc
first_day(struct loop *l, struct slw_err *err)
{
    int64_t run = 0;
    TRY(day_mark(l, META_OPEN, err));
    TRY(arrive(l, err));
    TRY(known_check(l, err));
    TRY(project_apply(l, err));
    TRY(settle(l, err));
    TRY(first_run(l, &run, err));
    TRY(settle(l, err));
    TRY(run_check(l, run, err));
    if (!slw_str_eqz(l->start, "gate"))
        TRY(slw_serve_act(l->serve, l->day_ms, l->deployment,
                          slw_str_eqz(l->start, "rule") ? SLW_SERVE_RULE
                                                        : SLW_SERVE_DEPLOY,
                          1, 0, -1, SLW_STR("the rehearsal begins"), err));
    return day_mark(l, META_DAY, err);
}

/* ---- the days ---- */

static enum slw_rc
progress_tell(struct loop *l, bool now, struct slw_err *err)
{
    const int64_t mono_ns = slw_mono_ns();
    char day[SLW_TIME_TEXT_SIZE];
    SLW_AUTO(slw_arena, a);
    if (!now && mono_ns - l->told_ns < 300000000)
        return SLW_OK;
    l->told_ns = mono_ns;
    const double share =
        (double)(l->day_ms - l->from_ms) / (double)(l->to_ms - l->from_ms + 1);
    return slw_file_put(slw_path(&a, l->dir, "%.*s.progress", SLW_FMT(l->name)),
                        slw_arena_printf(&a, "%.4f %s\n",
                                         share < 0 ? 0.0 : share,
                                         slw_date_text(l->day_ms, day)),
                        err);
}

static enum slw_rc
one_day(struct loop *l, int64_t day_ms, struct slw_err *err)
{
    const int64_t since_ms = l->day_ms;
    TRY(slw_clock_set(&l->clock, day_ms, err));
    l->day_ms = day_ms;
    TRY(day_mark(l, META_OPEN, err));
    TRY(arrive(l, err));
    TRY(predict(l, since_ms, err));
    TRY(settle(l, err));
    return day_mark(l, META_DAY, err);
}

static enum slw_rc
days_run(struct loop *l, const volatile int *stop, bool *out_stopped,
         struct slw_err *err)
{
    for (;;) {
        const int64_t day_ms = next_day(l);
        if (day_ms > l->to_ms)
            return SLW_OK;
        if (*stop) {
            *out_stopped = true;
            return SLW_OK;
        }
        if (one_day(l, day_ms, err) != SLW_OK) {
            char text[SLW_TIME_TEXT_SIZE];
            return slw_err_prefix(err, "on %s: ", slw_date_text(day_ms, text));
        }
        TRY(progress_tell(l, false, err));
    }
}

/* ---- opening ---- */

static enum slw_rc
store_open(struct loop *l, struct slw_err *err)
{
    const struct slw_store_options opt = {
        .dir = slw_path(&l->a, l->dir, "%.*s", SLW_FMT(l->name)),
        .server = true};
    return slw_store_open(&l->store, &opt, err);
}

/* Where it stood.  A day that was begun and did not end (a kill) cannot be
 * gone on with: then the policy starts from its first day. */
static enum slw_rc
store_resume(struct loop *l, int64_t *out_day_ms, struct slw_err *err)
{
    int64_t day_ms = INT64_MIN, open_ms = INT64_MIN;
    TRY(store_open(l, err));
    TRY(meta_get(l, META_DAY, &day_ms, err));
    TRY(meta_get(l, META_OPEN, &open_ms, err));
    TRY(meta_get(l, META_TRAIN, &l->train_ms, err));
    TRY(meta_get(l, META_SPENT, &l->spent_ms, err));
    *out_day_ms = day_ms;
    if (open_ms == day_ms)
        return SLW_OK;
    slw_store_close(l->store);
    l->store = NULL;
    l->train_ms = l->spent_ms = 0;
    *out_day_ms = INT64_MIN;
    TRY(slw_dir_remove(slw_path(&l->a, l->dir, "%.*s", SLW_FMT(l->name)), err));
    return store_open(l, err);
}

static enum slw_rc
rooms_open(struct loop *l, struct slw_err *err)
{
    int64_t day_ms = 0;
    TRY(store_resume(l, &day_ms, err));
    const bool fresh = day_ms == INT64_MIN;
    l->day_ms = fresh ? l->from_ms - 1 : day_ms;
    slw_clock_init_manual(&l->clock, l->day_ms);
    TRY(slw_serve_open(&l->serve, l->store, &l->clock, err));
    const struct slw_flow_options fo = {.store = l->store,
                                        .clock = &l->clock,
                                        .serve = l->serve,
                                        .tick_ms = -1};
    TRY(slw_flow_start(&l->flow, &fo, err));
    l->memo = slw_memo_new(l->to_ms);
    TRY(feeds_open(l, err));
    if (fresh)
        return first_day(l, err);
    feeds_seek(l);
    return SLW_OK;
}

/* ---- the whole ---- */

static enum slw_rc
result_write(struct loop *l, bool stopped, struct slw_err *err)
{
    struct slw_frame labels;
    SLW_AUTO(slw_buf, text);
    SLW_AUTO(slw_json, release);
    struct slw_jw w;
    TRY(release_live(l, &release, err));
    TRY(rows_of(l, release.root, l->from_ms - LATE_MS, &l->a, &labels, err));
    const struct rehearse_scored what = {
        .name = l->name,
        .model = l->model,
        .start = l->start,
        .deployment = l->deployment,
        .metric = slw_json_str_or(slw_json_get(release.root, "metric"),
                                  SLW_STR("mae")),
        .from_ms = l->from_ms,
        .to_ms = l->day_ms,
        .requests = l->requests,
        .complete = !stopped,
        .training_minutes = (double)l->train_ms / 60000,
        .minutes = (double)l->spent_ms / 60000};
    slw_jw_init(&w, &text);
    TRY(rehearse_score(l->store, &labels, &what, &w, err));
    TRY(slw_buf_check(&text, err));
    return slw_file_put(slw_path(&l->a, l->dir, "%.*s.json", SLW_FMT(l->name)),
                        slw_buf_view(&text), err);
}

enum slw_rc
rehearse_policy_run(const char *dir, const struct json_t *plan,
                    const struct json_t *policy, const volatile int *stop,
                    bool *out_stopped, struct slw_err *err)
{
    SLW_AUTO(loop, l);
    l.dir = dir;
    l.plan = plan;
    l.policy = policy;
    l.begin_ns = slw_mono_ns();
    TRY(slw_json_need_str(policy, "name", &l.name, err));
    TRY(slw_json_need_str(policy, "start", &l.start, err));
    TRY(slw_json_need_str(policy, "model", &l.model, err));
    TRY(slw_json_need_str(plan, "deployment", &l.deployment, err));
    TRY(slw_json_need_i64(plan, "from_ms", &l.from_ms, err));
    TRY(slw_json_need_i64(plan, "to_ms", &l.to_ms, err));
    TRY(slw_json_need_i64(plan, "requests", &l.requests, err));
    TRY(rooms_open(&l, err));
    TRY(progress_tell(&l, true, err));
    TRY(days_run(&l, stop, out_stopped, err));
    TRY(result_write(&l, *out_stopped, err));
    return progress_tell(&l, true, err);
}
