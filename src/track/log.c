/* log.c -- what runs write while they live: params once, metric points,
 * tags.  This is the hot path.
 *
 * A call's points go to points.c; the newest value of each metric is
 * latest.c's. */
#include <float.h>
#include <math.h>

#include "track/track_internal.h"

static const char SQL_PARAM_ADD[] =
    "INSERT INTO track_param(run, key, value) VALUES(?1, ?2, ?3)"
    " ON CONFLICT(run, key) DO NOTHING";
static const char SQL_PARAM_GET[] =
    "SELECT value FROM track_param WHERE run = ?1 AND key = ?2";
static const char SQL_TAG_PUT[] =
    "INSERT INTO track_tag(run, key, value) VALUES(?1, ?2, ?3)"
    " ON CONFLICT(run, key) DO UPDATE SET value = excluded.value";
static const char SQL_NAME_PUT[] =
    "UPDATE track_run SET name = ?2 WHERE number = ?1";

/* ---- params ---- */

/* Write one; *out_old gets the other value that stands there, if any. */
static enum slw_rc
param_add(struct slw_tx *tx, int64_t run, struct slw_kv p, struct slw_arena *a,
          bool *out_differs, struct slw_str *out_old, struct slw_err *err)
{
    int64_t key = 0;
    struct slw_str value = slw_track_cut(p.value, SLW_TRACK_PARAM_CHARS_MAX);
    TRY(track_key_intern(tx, p.key, &key, err));
    SLW_AUTO(slw_stmt, add);
    TRY(slw_stmt_prepare(&add, tx, SQL_PARAM_ADD, err));
    slw_stmt_i64(&add, 1, run);
    slw_stmt_i64(&add, 2, key);
    slw_stmt_str(&add, 3, value);
    TRY(slw_stmt_run(&add, err));
    *out_differs = false;
    if (slw_tx_changes(tx))
        return SLW_OK;
    SLW_AUTO(slw_stmt, get);
    bool row = false;
    TRY(slw_stmt_prepare(&get, tx, SQL_PARAM_GET, err));
    slw_stmt_i64(&get, 1, run);
    slw_stmt_i64(&get, 2, key);
    TRY(slw_stmt_step(&get, &row, err));
    if (row && !slw_str_eq(slw_col_str(&get, 0), value)) {
        *out_differs = true;
        *out_old = slw_col_dup(&get, 0, a);
    }
    return SLW_OK;
}

enum slw_rc
slw_track_param(struct slw_tx *tx, struct slw_str run_id, struct slw_kv param,
                struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    int64_t run = 0;
    bool differs = false;
    struct slw_str old = {0};
    TRY(slw_track_key_check(param.key, "key", err));
    TRY(track_run_number(tx, run_id, true, &run, err));
    TRY(param_add(tx, run, param, &a, &differs, &old, err));
    if (differs)
        return slw_fail(
            err, SLW_CONFLICT,
            "Changing param values is not allowed. Param with key='%.*s' was "
            "already logged with value='%.*s' for run ID='%.*s'. Attempted "
            "logging new value '%.*s'.",
            SLW_FMT(param.key), SLW_FMT(slw_track_cut(old, 100)),
            SLW_FMT(run_id), SLW_FMT(slw_track_cut(param.value, 100)));
    return SLW_OK;
}

/* As Python shows text: in ' unless it holds ' and no ". */
static void
python_text(struct slw_buf *out, struct slw_str s)
{
    bool single = memchr(s.ptr, '\'', s.len) && !memchr(s.ptr, '"', s.len);
    char quote = single ? '"' : '\'';
    slw_buf_char(out, quote);
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\n')
            slw_buf_z(out, "\\n");
        else if (s.ptr[i] == '\t')
            slw_buf_z(out, "\\t");
        else if (s.ptr[i] == '\\' || s.ptr[i] == quote)
            slw_buf_printf(out, "\\%c", s.ptr[i]);
        else
            slw_buf_char(out, s.ptr[i]);
    }
    slw_buf_char(out, quote);
}

/* Names every key that was there before, in the order of the request. */
static enum slw_rc
params_twice(const struct slw_kv *params, size_t count, struct slw_err *err)
{
    SLW_AUTO(slw_buf, list);
    for (size_t i = 1; i < count; i++) {
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++)
            seen = slw_str_eq(params[i].key, params[j].key);
        if (!seen || list.len > SLW_ERR_MSG_SIZE)
            continue;
        if (list.len)
            slw_buf_z(&list, ", ");
        python_text(&list, params[i].key);
    }
    return slw_fail(err, SLW_INVALID,
                    "Duplicate parameter keys have been submitted: [%.*s]. "
                    "Please ensure the request contains only one param value "
                    "per param key.",
                    SLW_FMT(slw_track_cut(slw_buf_view(&list), 340)));
}

static enum slw_rc
params_unique(const struct slw_kv *params, size_t count, struct slw_arena *a,
              struct slw_err *err)
{
    if (count < 2)
        return SLW_OK;
    struct slw_kv *sorted = SLW_ARENA_NEW(a, struct slw_kv, count);
    memcpy(sorted, params, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), track_kv_compare);
    for (size_t i = 1; i < count; i++) {
        if (slw_str_eq(sorted[i - 1].key, sorted[i].key))
            return params_twice(params, count, err);
    }
    return SLW_OK;
}

static enum slw_rc
params_put(struct slw_tx *tx, int64_t run, struct slw_str run_id,
           const struct slw_kv *params, size_t count, struct slw_err *err)
{
    if (count == 0)
        return SLW_OK;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_buf, list);
    TRY(params_unique(params, count, &a, err));
    for (size_t i = 0; i < count; i++) {
        bool differs = false;
        struct slw_str old = {0};
        TRY(param_add(tx, run, params[i], &a, &differs, &old, err));
        if (!differs || list.len > SLW_ERR_MSG_SIZE)
            continue;
        slw_buf_z(&list, list.len ? ", {'key': " : "{'key': ");
        python_text(&list, params[i].key);
        slw_buf_z(&list, ", 'old_value': ");
        python_text(&list, slw_track_cut(old, 100));
        slw_buf_z(&list, ", 'new_value': ");
        python_text(&list, slw_track_cut(params[i].value, 100));
        slw_buf_char(&list, '}');
    }
    if (list.len)
        return slw_fail(err, SLW_CONFLICT,
                        "Changing param values is not allowed. Params were "
                        "already logged='[%.*s]' for run ID='%.*s'.",
                        SLW_FMT(slw_track_cut(slw_buf_view(&list), 340)),
                        SLW_FMT(run_id));
    return SLW_OK;
}

/* ---- tags ---- */

enum slw_rc
track_tags_put(struct slw_tx *tx, int64_t run, const struct slw_kv *tags,
               size_t tag_count, struct slw_err *err)
{
    if (tag_count == 0)
        return SLW_OK;
    SLW_AUTO(slw_stmt, put);
    TRY(slw_stmt_prepare(&put, tx, SQL_TAG_PUT, err));
    for (size_t i = 0; i < tag_count; i++) {
        int64_t key = 0;
        struct slw_str value =
            slw_track_cut(tags[i].value, SLW_TRACK_TAG_CHARS_MAX);
        TRY(slw_track_key_check(tags[i].key, "key", err));
        if (value.len == 0 && slw_str_eqz(tags[i].key, "mlflow.runName"))
            continue; /* a run is never without a name */
        TRY(track_key_intern(tx, tags[i].key, &key, err));
        slw_stmt_i64(&put, 1, run);
        slw_stmt_i64(&put, 2, key);
        slw_stmt_str(&put, 3, value);
        TRY(slw_stmt_run(&put, err));
        if (!slw_str_eqz(tags[i].key, "mlflow.runName"))
            continue;
        SLW_AUTO(slw_stmt, name); /* the tag and the column are one thing */
        TRY(slw_stmt_prepare(&name, tx, SQL_NAME_PUT, err));
        slw_stmt_i64(&name, 1, run);
        slw_stmt_str(&name, 2, value);
        TRY(slw_stmt_run(&name, err));
    }
    return SLW_OK;
}

/* ---- metrics ---- */

static enum slw_rc
metrics_put(struct slw_tx *tx, int64_t run, const struct slw_metric *metrics,
            size_t count, struct slw_err *err)
{
    if (count == 0)
        return SLW_OK;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_stmt, find);
    struct track_point *points = SLW_ARENA_NEW(&a, struct track_point, count);
    TRY(track_key_find_prepare(tx, &find, err));
    for (size_t i = 0; i < count; i++) {
        const struct slw_metric *m = &metrics[i];
        if (i > 0 && slw_str_eq(m->key, metrics[i - 1].key))
            points[i].key = points[i - 1].key;
        else
            TRY(track_key_intern_with(tx, &find, m->key, &points[i].key, err));
        points[i].at.value =
            isinf(m->value) ? copysign(DBL_MAX, m->value) : m->value;
        points[i].at.at_ms = m->at_ms;
        points[i].at.step = m->step;
    }
    return track_points_add(tx, run, points, count, &a, err);
}

static enum slw_rc
metrics_check(const struct slw_metric *metrics, size_t count,
              struct slw_err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (slw_track_key_check(metrics[i].key, "name", err) != SLW_OK) {
            char what[48]; /* which one, told only on failure */
            snprintf(what, sizeof(what), "metrics[%zu].name", i);
            return slw_track_key_check(metrics[i].key,
                                       count == 1 ? "name" : what, err);
        }
        if (metrics[i].at_ms < 0)
            return slw_fail(err, SLW_INVALID,
                            "Invalid value %lld for parameter 'timestamp' "
                            "supplied: metric '%.*s' (value=%.17g). Timestamp "
                            "must be a nonnegative long (64-bit integer) ",
                            (long long)metrics[i].at_ms,
                            SLW_FMT(metrics[i].key), metrics[i].value);
    }
    return SLW_OK;
}

enum slw_rc
slw_track_log(struct slw_tx *tx, struct slw_str run_id,
              const struct slw_kv *params, size_t param_count,
              const struct slw_metric *metrics, size_t metric_count,
              const struct slw_kv *tags, size_t tag_count, struct slw_err *err)
{
    SLW_ASSERT(tx->write);
    int64_t run = 0;
    TRY(metrics_check(metrics, metric_count, err));
    for (size_t i = 0; i < param_count; i++) {
        if (slw_track_key_check(params[i].key, "key", err) != SLW_OK) {
            char what[48];
            snprintf(what, sizeof(what), "params[%zu].key", i);
            return slw_track_key_check(params[i].key, what, err);
        }
    }
    for (size_t i = 0; i < tag_count; i++) {
        if (slw_track_key_check(tags[i].key, "key", err) != SLW_OK) {
            char what[48];
            snprintf(what, sizeof(what), "tags[%zu].key", i);
            return slw_track_key_check(tags[i].key,
                                       tag_count == 1 ? "key" : what, err);
        }
    }
    TRY(track_run_number(tx, run_id, true, &run, err));
    TRY(params_put(tx, run, run_id, params, param_count, err));
    TRY(metrics_put(tx, run, metrics, metric_count, err));
    return track_tags_put(tx, run, tags, tag_count, err);
}

enum slw_rc
slw_track_points_bring(struct slw_tx *tx, struct slw_str run_id,
                       const struct slw_metric *metrics, size_t count,
                       struct slw_err *err)
{
    SLW_ASSERT(tx->write);
    int64_t run = 0;
    TRY(track_run_number(tx, run_id, false, &run, err));
    TRY(metrics_put(tx, run, metrics, count, err));
    return track_settle(tx, run, err);
}
