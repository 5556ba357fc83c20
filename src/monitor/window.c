/* window.c -- one window of the prediction log: were the inputs and answers
 * like those the release was made for, and how wrong were they?
 *
 * Everything is read first (log, labels, profile), then judged by pure
 * functions, then written in one transaction: the window's row, its alerts
 * and their events stand or fall together. */
#include "monitor/monitor_internal.h"

#include <math.h>

#include "num/metric.h"
#include "store/blob.h"
#include "train/train.h"

static const char SQL_WINDOW_ADD[] =
    "INSERT INTO monitor_window(deployment, from_ms, to_ms, judged_at_ms,"
    " verdict, result) VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
static const char SQL_WINDOW_LIST[] =
    "SELECT result FROM monitor_window WHERE deployment = ?1"
    " ORDER BY id DESC LIMIT ?2 OFFSET ?3";
static const char SQL_WINDOW_TOTAL[] =
    "SELECT count(*) FROM monitor_window WHERE deployment = ?1";

#define PERF_CONFIDENCE 0.95
#define PERF_MIN_LABELS 40

struct window {
    struct slw_store *store;
    struct slw_arena arena;
    struct slw_str name;
    int64_t now_ms, from_ms, to_ms;
    struct slw_json def, release;
    struct slw_deployment deployment;
    struct slw_signature sig;
    struct monitor_row *rows;
    size_t row_count, row_cap;
    slw_monitor_also_fn also;
    void *also_ctx;
    int64_t perf_from_ms; /* performance may look at a longer stretch */
    /* results */
    struct monitor_column *cols;
    size_t col_count, judged_count, drifted_count, drift_rows;
    struct monitor_drift how;
    int64_t labelled;
    double model_error, other_error, p;
    size_t periods;
    bool perf_judged, perf_bad;
    const char *against;
};

static void
window_done(struct window *w)
{
    slw_json_done(&w->def);
    slw_json_done(&w->release);
    slw_free(w->rows);
    slw_arena_done(&w->arena);
}

static enum slw_rc
window_load(struct window *w, struct slw_err *err)
{
    struct slw_str def;
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, w->store, err));
        TRY(slw_monitor_get(&tx, w->name, &w->arena, &def, err));
        TRY(slw_serve_get(&tx, w->name, &w->arena, &w->deployment, err));
    }
    if (w->deployment.champion.len == 0)
        return slw_fail(err, SLW_CONFLICT,
                        "deployment '%.*s' has no champion to judge",
                        SLW_FMT(w->name));
    TRY(slw_json_parse(&w->def, def, err));
    TRY(monitor_drift_parse(w->def.root, &w->how, err));
    int64_t min_rows = w->how.min_rows;
    TRY(slw_json_opt_i64(w->def.root, "min_rows", &min_rows, err));
    w->how.min_rows = min_rows;
    TRY(slw_release_get(w->store,
                        slw_arena_strz(&w->arena, w->deployment.champion),
                        &w->release, err));
    TRY(slw_release_signature(w->release.root, &w->arena, &w->sig, err));
    int64_t perf_ms = w->to_ms - w->from_ms + 1;
    TRY(slw_json_opt_i64(slw_json_get(w->def.root, "performance"), "window_ms",
                         &perf_ms, err));
    w->perf_from_ms = w->to_ms - perf_ms + 1;
    return SLW_OK;
}

/* ---- the log and the labels ---- */

static enum slw_rc
keep_row(void *ctx, const struct slw_prediction *p, struct slw_err *err)
{
    struct window *w = ctx;
    if (p->column_count != w->sig.column_count)
        return SLW_OK; /* of a release with other columns */
    if (w->row_count == MONITOR_ROW_MAX)
        return slw_fail(err, SLW_LIMIT,
                        "more than %d predictions in the window; choose a "
                        "shorter one",
                        MONITOR_ROW_MAX);
    if (w->row_count == w->row_cap) {
        w->row_cap = w->row_cap ? 2 * w->row_cap : 1024;
        w->rows = slw_realloc(w->rows, w->row_cap * sizeof *w->rows);
    }
    double *x = SLW_ARENA_NEW(&w->arena, double, p->column_count + 1);
    memcpy(x, p->x, p->column_count * sizeof *x);
    w->rows[w->row_count] = (struct monitor_row){
        .key = slw_arena_str(&w->arena, p->key),
        .event_ms = p->event_ms,
        .model_y = p->model_y,
        .rule_y = p->rule_y,
        .label = NAN,
        .x = x,
        .of_champion = slw_str_eqz(w->deployment.champion, p->release),
        .order = w->row_count};
    w->row_count++;
    return SLW_OK;
}

static enum slw_rc
window_read(struct window *w, struct slw_err *err)
{
    int64_t from = w->perf_from_ms < w->from_ms ? w->perf_from_ms : w->from_ms;
    TRY(slw_serve_log_scan(w->store, w->name, from, w->to_ms, keep_row, w,
                           err));
    w->row_count = monitor_rows_settle(w->rows, w->row_count);
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, w->store, err));
    return monitor_rows_label(&tx, w->name, w->perf_from_ms, w->to_ms,
                              w->now_ms, w->rows, w->row_count, err);
}

/* ---- drift ---- */

bool
monitor_is_watched(const struct json_t *def, struct slw_str name)
{
    const struct json_t *list = slw_json_get(def, "columns");
    if (slw_json_type(list) != SLW_JSON_ARRAY)
        return true;
    for (size_t i = 0; i < slw_json_len(list); i++)
        if (slw_str_eq(slw_json_str_or(slw_json_at(list, i), SLW_STR("")),
                       name))
            return true;
    return false;
}

static enum slw_rc
profile_load(struct window *w, struct slw_profile *out, struct slw_err *err)
{
    struct slw_str blob = slw_json_str_or(
        slw_json_get(slw_json_get(w->release.root, "profile"), "blob"),
        SLW_STR(""));
    if (blob.len == 0)
        return slw_fail(err, SLW_CONFLICT,
                        "the champion's release has no reference profile");
    SLW_AUTO(slw_buf, bytes);
    TRY(slw_blob_get(w->store, slw_arena_strz(&w->arena, blob), &bytes, err));
    return slw_profile_read(slw_buf_view(&bytes), &w->arena, out, err);
}

/* Column of the profile as the window's rows have it: an input, or the
 * model's answer. */
static bool
window_column(const struct window *w, struct slw_str name, double *x)
{
    size_t at = SIZE_MAX;
    for (size_t c = 0; c < w->sig.column_count; c++)
        if (slw_str_eq(w->sig.columns[c], name))
            at = c;
    bool answer = at == SIZE_MAX && slw_str_eqz(name, "prediction");
    if (at == SIZE_MAX && !answer)
        return false;
    size_t k = 0;
    for (size_t i = 0; i < w->row_count; i++)
        if (w->rows[i].event_ms >= w->from_ms)
            x[k++] = answer ? w->rows[i].model_y : w->rows[i].x[at];
    return true;
}

static enum slw_rc
judge_drift(struct window *w, struct slw_err *err)
{
    struct slw_profile profile;
    TRY(profile_load(w, &profile, err));
    int64_t *event_ms = SLW_ARENA_NEW(&w->arena, int64_t, w->row_count + 1);
    for (size_t i = 0; i < w->row_count; i++)
        if (w->rows[i].event_ms >= w->from_ms)
            event_ms[w->drift_rows++] = w->rows[i].event_ms;
    w->cols =
        SLW_ARENA_NEW(&w->arena, struct monitor_column, MONITOR_COLUMN_MAX);
    for (size_t c = 0; c < profile.column_count; c++) {
        if (!monitor_is_watched(w->def.root, profile.columns[c]) ||
            w->col_count == MONITOR_COLUMN_MAX)
            continue;
        double *x = SLW_ARENA_NEW(&w->arena, double, w->row_count + 1);
        if (!window_column(w, profile.columns[c], x))
            continue;
        struct monitor_sample ref = {.x =
                                         profile.values + c * profile.row_count,
                                     .event_ms = profile.event_ms,
                                     .row_count = profile.row_count};
        struct monitor_sample cur = {
            .x = x, .event_ms = event_ms, .row_count = w->drift_rows};
        struct monitor_column *col = &w->cols[w->col_count++];
        col->name = profile.columns[c];
        SLW_AUTO(slw_arena, scratch);
        monitor_block_test(&ref, &cur, &w->how, &scratch, col);
    }
    w->drifted_count =
        monitor_decide(w->cols, w->col_count, &w->how, &w->judged_count);
    return SLW_OK;
}

/* ---- performance ---- */

/* Mean error of one day over its labelled rows, of the model and of what it
 * is compared with. */
struct day_error {
    double model, other;
    int64_t count;
};

/* Walks on from *at through one block of days; false at the end. */
static bool
next_day(struct window *w, size_t *at, double test_error, struct day_error *out)
{
    *out = (struct day_error){0};
    int64_t day = INT64_MIN;
    for (; *at < w->row_count; (*at)++) {
        const struct monitor_row *r = &w->rows[*at];
        int64_t d = r->event_ms / w->how.block_ms;
        if (out->count && d != day)
            break;
        double other = isnan(test_error) ? r->rule_y : 0;
        if (r->event_ms < w->perf_from_ms || !r->of_champion ||
            !isfinite(r->label) || !isfinite(r->model_y) || !isfinite(other))
            continue;
        day = d;
        out->count++;
        out->model += fabs(r->label - r->model_y);
        out->other += isnan(test_error) ? fabs(r->label - other) : test_error;
    }
    return out->count > 0;
}

static enum slw_rc
judge_performance(struct window *w, struct slw_err *err)
{
    const struct json_t *perf = slw_json_get(w->def.root, "performance");
    w->model_error = w->other_error = w->p = NAN;
    if (!perf)
        return SLW_OK;
    double confidence = PERF_CONFIDENCE;
    int64_t min_labels = PERF_MIN_LABELS;
    struct slw_str against = SLW_STR("fallback");
    TRY(slw_json_opt_f64(perf, "confidence", &confidence, err));
    TRY(slw_json_opt_i64(perf, "min_labels", &min_labels, err));
    TRY(slw_json_opt_str(perf, "worse_than", &against, err));
    double test_error = NAN;
    w->against = "fallback";
    if (slw_str_eqz(against, "test")) {
        const struct json_t *metrics =
            slw_json_get(slw_json_get(w->release.root, "metrics"), "test");
        test_error = slw_json_f64_or(slw_json_get(metrics, "mae"), NAN);
        w->against = "test";
    }
    double *d = SLW_ARENA_NEW(&w->arena, double, w->row_count + 1);
    double model = 0, other = 0;
    struct day_error day;
    for (size_t at = 0; next_day(w, &at, test_error, &day);) {
        double n = (double)day.count;
        d[w->periods++] = (day.model - day.other) / n;
        model += day.model;
        other += day.other;
        w->labelled += day.count;
    }
    if (w->labelled == 0)
        return SLW_OK;
    w->model_error = model / (double)w->labelled;
    w->other_error = other / (double)w->labelled;
    double mean = 0;
    struct slw_err ignored;
    if (w->labelled < min_labels ||
        slw_paired_test(d, w->periods, &mean, &w->p, &ignored) != SLW_OK)
        return SLW_OK;
    w->perf_judged = true;
    w->perf_bad = w->p <= 1 - confidence;
    return SLW_OK;
}

/* ---- writing ---- */

static const char *
verdict_of(const struct window *w)
{
    if (w->perf_bad)
        return w->drifted_count ? "drift and performance" : "performance";
    if (w->drifted_count)
        return "drift";
    return w->judged_count || w->perf_judged ? "ok" : "insufficient";
}

static void
write_performance(const struct window *w, struct slw_jw *jw)
{
    slw_jw_obj(jw);
    slw_jw_kz(jw, "metric", "mae");
    slw_jw_kz(jw, "against", w->against ? w->against : "");
    slw_jw_ki64(jw, "from_ms", w->perf_from_ms);
    slw_jw_ki64(jw, "to_ms", w->to_ms);
    slw_jw_ki64(jw, "labelled", w->labelled);
    slw_jw_ki64(jw, "days", (int64_t)w->periods);
    slw_jw_kf64(jw, "model", w->model_error);
    slw_jw_kf64(jw, "other", w->other_error);
    slw_jw_kf64(jw, "p", w->p);
    slw_jw_kbool(jw, "judged", w->perf_judged);
    slw_jw_kbool(jw, "worse", w->perf_bad);
    slw_jw_obj_end(jw);
}

static void
write_result(const struct window *w, struct slw_str alerts, struct slw_jw *jw)
{
    slw_jw_obj(jw);
    slw_jw_kstr(jw, "deployment", w->name);
    slw_jw_ki64(jw, "from_ms", w->from_ms);
    slw_jw_ki64(jw, "to_ms", w->to_ms);
    slw_jw_ki64(jw, "judged_at_ms", w->now_ms);
    slw_jw_kstr(jw, "release", w->deployment.champion);
    slw_jw_ki64(jw, "version", w->deployment.champion_version);
    slw_jw_kz(jw, "verdict", verdict_of(w));
    slw_jw_ki64(jw, "rows", (int64_t)w->drift_rows);
    slw_jw_ki64(jw, "labelled", w->labelled);
    slw_jw_ki64(jw, "judged_columns", (int64_t)w->judged_count);
    slw_jw_ki64(jw, "drifted_columns", (int64_t)w->drifted_count);
    slw_jw_kf64(jw, "alpha", w->how.alpha);
    slw_jw_key(jw, "columns");
    monitor_columns_write(jw, w->cols, w->col_count);
    slw_jw_key(jw, "performance");
    write_performance(w, jw);
    slw_jw_kraw(jw, "alerts", alerts);
    slw_jw_obj_end(jw);
}

/* "prices@3, volumes@1": what the release was trained on. */
static struct slw_str
datasets_of(const struct json_t *release, struct slw_arena *a)
{
    const struct json_t *sets = slw_json_get(release, "datasets");
    SLW_AUTO(slw_buf, b);
    for (void *it = slw_json_iter(sets); it; it = slw_json_next(sets, it)) {
        int64_t version = slw_json_i64_or(
            slw_json_get(slw_json_iter_value(it), "version"), 0);
        slw_buf_printf(&b, "%s%.*s@%lld", b.len ? ", " : "",
                       SLW_FMT(slw_json_iter_key(it)), (long long)version);
    }
    return slw_arena_str(a, slw_buf_view(&b));
}

/* "7 of 9 columns moved: range_lag0 (PSI 2.69, p 0.013), …" */
static struct slw_str
drift_reason(const struct window *w, struct slw_arena *a)
{
    SLW_AUTO(slw_buf, b);
    slw_buf_printf(&b, "%zu of %zu columns moved:", w->drifted_count,
                   w->judged_count);
    size_t told = 0;
    for (size_t i = 0; i < w->col_count && told < 4; i++)
        if (w->cols[i].drifted)
            slw_buf_printf(&b, "%s %.*s (PSI %.2f, adjusted p %.3g)",
                           told++ ? "," : "", SLW_FMT(w->cols[i].name),
                           w->cols[i].psi, w->cols[i].adjusted_p);
    if (w->drifted_count > told)
        slw_buf_z(&b, ", …");
    return slw_arena_str(a, slw_buf_view(&b));
}

static struct slw_str
perf_reason(const struct window *w, struct slw_arena *a)
{
    return slw_arena_printf(
        a,
        "mean error %.4g against %.4g of the %s over %lld labels and %zu "
        "days, p %.3g",
        w->model_error, w->other_error,
        strcmp(w->against, "test") == 0 ? "test window" : "rule",
        (long long)w->labelled, w->periods, w->p);
}

/* Columns that drifted as the detail of the alert. */
static struct slw_str
drift_detail(const struct window *w, struct slw_arena *a)
{
    SLW_AUTO(slw_buf, b);
    struct slw_jw jw;
    slw_jw_init(&jw, &b);
    slw_jw_obj(&jw);
    slw_jw_key(&jw, "columns");
    slw_jw_arr(&jw);
    for (size_t i = 0; i < w->col_count; i++)
        if (w->cols[i].drifted) {
            slw_jw_obj(&jw);
            slw_jw_kstr(&jw, "name", w->cols[i].name);
            slw_jw_kf64(&jw, "psi", w->cols[i].psi);
            slw_jw_kf64(&jw, "ks", w->cols[i].ks);
            slw_jw_kf64(&jw, "adjusted_p", w->cols[i].adjusted_p);
            slw_jw_obj_end(&jw);
        }
    slw_jw_arr_end(&jw);
    slw_jw_obj_end(&jw);
    return slw_arena_str(a, slw_buf_view(&b));
}

static struct slw_str
perf_detail(const struct window *w, struct slw_arena *a)
{
    SLW_AUTO(slw_buf, b);
    struct slw_jw jw;
    slw_jw_init(&jw, &b);
    write_performance(w, &jw);
    return slw_arena_str(a, slw_buf_view(&b));
}

static enum slw_rc
store_window(struct window *w, struct slw_tx *tx, struct slw_str alerts,
             struct slw_jw *out, struct slw_err *err)
{
    SLW_AUTO(slw_buf, result);
    struct slw_jw jw;
    slw_jw_init(&jw, &result);
    write_result(w, alerts, &jw);
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_WINDOW_ADD, err));
    slw_stmt_str(&st, 1, w->name);
    slw_stmt_i64(&st, 2, w->from_ms);
    slw_stmt_i64(&st, 3, w->to_ms);
    slw_stmt_i64(&st, 4, w->now_ms);
    slw_stmt_str(&st, 5, slw_str_of(verdict_of(w)));
    slw_stmt_str(&st, 6, slw_buf_view(&result));
    TRY(slw_stmt_run(&st, err));
    if (w->also)
        TRY(w->also(tx, w->also_ctx, err));
    TRY(slw_tx_commit(tx, err));
    slw_jw_raw(out, slw_buf_view(&result));
    return SLW_OK;
}

static enum slw_rc
window_write(struct window *w, struct slw_jw *out, struct slw_err *err)
{
    struct slw_str dataset = datasets_of(w->release.root, &w->arena);
    struct monitor_alert al = {.deployment = w->name,
                               .release = w->deployment.champion,
                               .dataset = dataset,
                               .version = w->deployment.champion_version,
                               .to_ms = w->to_ms};
    bool drift_raised = false, perf_raised = false;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, w->store, err));
    if (w->judged_count) {
        al.kind = "drift";
        al.from_ms = w->from_ms;
        al.bad = w->drifted_count > 0;
        al.reason = drift_reason(w, &w->arena);
        al.detail = drift_detail(w, &w->arena);
        TRY(monitor_alert_update(&tx, w->now_ms, &al, &drift_raised, err));
    }
    if (w->perf_judged) {
        al.kind = "performance";
        al.from_ms = w->perf_from_ms;
        al.bad = w->perf_bad;
        al.reason = perf_reason(w, &w->arena);
        al.detail = perf_detail(w, &w->arena);
        TRY(monitor_alert_update(&tx, w->now_ms, &al, &perf_raised, err));
    }
    struct slw_str alerts =
        slw_arena_printf(&w->arena, "[%s%s%s]", drift_raised ? "\"drift\"" : "",
                         drift_raised && perf_raised ? "," : "",
                         perf_raised ? "\"performance\"" : "");
    return store_window(w, &tx, alerts, out, err);
}

enum slw_rc
slw_monitor_window(struct slw_store *s, int64_t now_ms, struct slw_str name,
                   int64_t from_ms, int64_t to_ms, struct slw_jw *out,
                   struct slw_err *err)
{
    return slw_monitor_window_also(s, now_ms, name, from_ms, to_ms, NULL, NULL,
                                   out, err);
}

enum slw_rc
slw_monitor_window_also(struct slw_store *s, int64_t now_ms,
                        struct slw_str name, int64_t from_ms, int64_t to_ms,
                        slw_monitor_also_fn also, void *ctx, struct slw_jw *out,
                        struct slw_err *err)
{
    SLW_AUTO(window, w);
    w.also = also;
    w.also_ctx = ctx;
    w.store = s;
    w.name = name;
    w.now_ms = now_ms;
    w.from_ms = from_ms;
    w.to_ms = to_ms;
    TRY(window_load(&w, err));
    TRY(window_read(&w, err));
    TRY(judge_drift(&w, err));
    TRY(judge_performance(&w, err));
    return window_write(&w, out, err);
}

enum slw_rc
slw_monitor_windows(struct slw_tx *tx, struct slw_str name, size_t count_max,
                    struct slw_jw *w, struct slw_err *err)
{
    int64_t total = 0;
    return slw_monitor_window_page(tx, name, 0, count_max, w, &total, err);
}

enum slw_rc
slw_monitor_window_page(struct slw_tx *tx, struct slw_str name, size_t offset,
                        size_t limit, struct slw_jw *w, int64_t *out_total,
                        struct slw_err *err)
{
    bool counted = false;
    SLW_AUTO(slw_stmt, count);
    TRY(slw_stmt_prepare(&count, tx, SQL_WINDOW_TOTAL, err));
    slw_stmt_str(&count, 1, name);
    TRY(slw_stmt_step(&count, &counted, err));
    *out_total = counted ? slw_col_i64(&count, 0) : 0;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_WINDOW_LIST, err));
    slw_stmt_str(&st, 1, name);
    slw_stmt_i64(&st, 2, (int64_t)limit);
    slw_stmt_i64(&st, 3, (int64_t)offset);
    slw_jw_arr(w);
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        slw_jw_raw(w, slw_col_str(&st, 0));
    }
    slw_jw_arr_end(w);
    return SLW_OK;
}
