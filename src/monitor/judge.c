/* judge.c -- task "monitor.judge": two ranges of feature rows against each
 * other, without any deployment: "was spring 2020 like 2019?" */
#include "monitor/monitor_internal.h"

#include "data/data.h"
#include "features/features.h"

static enum slw_rc
range_of(const struct json_t *o, int64_t *from_ms, int64_t *to_ms,
         struct slw_err *err)
{
    TRY(slw_json_need_i64(o, "from_ms", from_ms, err));
    return slw_json_need_i64(o, "to_ms", to_ms, err);
}

/* The view definitions, the pins, and a source of the views' entity. */
static enum slw_rc
resolve(struct slw_store *s, const struct json_t *spec, struct slw_arena *a,
        struct slw_jw *views, struct slw_jw *pins, struct slw_str *out_spine,
        struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, s, err));
    const struct json_t *names = slw_json_get(spec, "views");
    struct slw_str entity = {0};
    slw_jw_arr(views);
    for (size_t i = 0; i < slw_json_len(names); i++) {
        struct slw_view view;
        TRY(slw_features_view_get(
            &tx, slw_json_str_or(slw_json_at(names, i), SLW_STR("")), a, &view,
            err));
        slw_jw_raw(views, view.def);
        SLW_AUTO(slw_json, def);
        TRY(slw_json_parse(&def, view.def, err));
        entity = slw_arena_str(
            a, slw_json_str_or(slw_json_get(def.root, "entity"), SLW_STR("")));
    }
    slw_jw_arr_end(views);
    int64_t at_ms = INT64_MAX;
    TRY(slw_json_opt_i64(spec, "at_ms", &at_ms, err));
    SLW_AUTO(slw_buf, hashes);
    struct slw_jw unused;
    slw_jw_init(&unused, &hashes);
    TRY(slw_data_pins(&tx, at_ms, pins, &unused, err));
    SLW_AUTO(slw_json, parsed);
    TRY(slw_json_parse(&parsed, slw_buf_view(pins->buf), err));
    for (void *it = slw_json_iter(parsed.root); it;
         it = slw_json_next(parsed.root, it)) {
        struct slw_str source;
        TRY(slw_data_source_get(&tx, slw_json_iter_key(it), a, &source, err));
        SLW_AUTO(slw_json, def);
        TRY(slw_json_parse(&def, source, err));
        if (slw_str_eq(
                slw_json_str_or(slw_json_get(def.root, "entity"), SLW_STR("")),
                entity)) {
            *out_spine = slw_arena_str(a, slw_json_iter_key(it));
            return SLW_OK;
        }
    }
    return slw_fail(err, SLW_NOT_FOUND,
                    "no dataset has the views' entity '%.*s' yet",
                    SLW_FMT(entity));
}

/* Errors NOT_FOUND: a column that none of the views has. */
static enum slw_rc
wanted_check(const struct json_t *list, const struct slw_frame *f,
             struct slw_err *err)
{
    for (size_t i = 0; i < slw_json_len(list); i++) {
        struct slw_str want =
            slw_json_str_or(slw_json_at(list, i), SLW_STR(""));
        size_t c = 0;
        while (c < f->column_count && !slw_str_eq(f->columns[c], want))
            c++;
        if (c == f->column_count)
            return slw_fail(err, SLW_NOT_FOUND,
                            "the views have no column '%.*s'", SLW_FMT(want));
    }
    return SLW_OK;
}

/* Rows of one column whose event time lies in a range; rows are in order. */
static struct monitor_sample
take(const struct slw_frame *f, size_t column, int64_t from_ms, int64_t to_ms,
     struct slw_arena *a)
{
    double *x = SLW_ARENA_NEW(a, double, f->row_count + 1);
    int64_t *t = SLW_ARENA_NEW(a, int64_t, f->row_count + 1);
    size_t n = 0;
    for (size_t i = 0; i < f->row_count; i++)
        if (f->event_ms[i] >= from_ms && f->event_ms[i] <= to_ms) {
            x[n] = f->x[i * f->column_count + column];
            t[n++] = f->event_ms[i];
        }
    return (struct monitor_sample){.x = x, .event_ms = t, .row_count = n};
}

enum slw_rc
slw_monitor_judge_task(struct slw_store *s, void *app,
                       const struct json_t *spec, struct slw_arena *a,
                       struct slw_jw *out, struct slw_err *err)
{
    int64_t rf = 0, rt = 0, wf = 0, wt = 0;
    struct monitor_drift how;
    TRY(range_of(slw_json_get(spec, "reference"), &rf, &rt, err));
    TRY(range_of(slw_json_get(spec, "window"), &wf, &wt, err));
    TRY(monitor_drift_parse(spec, &how, err));
    SLW_AUTO(slw_buf, views_text);
    SLW_AUTO(slw_buf, pins_text);
    struct slw_jw views, pins;
    slw_jw_init(&views, &views_text);
    slw_jw_init(&pins, &pins_text);
    struct slw_frame_spec fs = {.from_ms = rf < wf ? rf : wf,
                                .to_ms = rt > wt ? rt : wt,
                                .as_of_ms = INT64_MAX};
    TRY(resolve(s, spec, a, &views, &pins, &fs.spine_source, err));
    SLW_AUTO(slw_json, views_doc);
    SLW_AUTO(slw_json, pins_doc);
    TRY(slw_json_parse(&views_doc, slw_buf_view(&views_text), err));
    TRY(slw_json_parse(&pins_doc, slw_buf_view(&pins_text), err));
    fs.views = views_doc.root;
    fs.pins = pins_doc.root;
    TRY(slw_json_opt_i64(spec, "at_ms", &fs.as_of_ms, err));
    struct slw_frame frame;
    TRY(slw_features_frame(s, &fs, a, &frame, err));
    TRY(wanted_check(slw_json_get(spec, "columns"), &frame, err));
    struct monitor_column *cols =
        SLW_ARENA_NEW(a, struct monitor_column, MONITOR_COLUMN_MAX);
    size_t count = 0, judged = 0, rows = 0;
    for (size_t c = 0; c < frame.column_count && count < MONITOR_COLUMN_MAX;
         c++) {
        if (!monitor_is_watched(spec, frame.columns[c]))
            continue;
        SLW_AUTO(slw_arena, scratch);
        struct monitor_sample ref = take(&frame, c, rf, rt, &scratch);
        struct monitor_sample cur = take(&frame, c, wf, wt, &scratch);
        rows = cur.row_count;
        cols[count].name = frame.columns[c];
        monitor_block_test(&ref, &cur, &how, &scratch, &cols[count++]);
    }
    size_t drifted = monitor_decide(cols, count, &how, &judged);
    slw_jw_obj(out);
    slw_jw_kz(out, "verdict",
              drifted  ? "drift"
              : judged ? "ok"
                       : "insufficient");
    slw_jw_ki64(out, "rows", (int64_t)rows);
    slw_jw_ki64(out, "judged_columns", (int64_t)judged);
    slw_jw_ki64(out, "drifted_columns", (int64_t)drifted);
    slw_jw_key(out, "columns");
    monitor_columns_write(out, cols, count);
    slw_jw_obj_end(out);
    return SLW_OK;
}
