/* alert.c -- alerts as rows: raised once, counted while they last, closed by
 * the first window that is well again. */
#include "monitor/monitor_internal.h"

#include "store/event.h"

static const char SQL_ALERT_OPEN[] =
    "SELECT id FROM monitor_alert WHERE deployment = ?1 AND kind = ?2"
    " AND release = ?3 AND state <> 'closed' ORDER BY id DESC LIMIT 1";
static const char SQL_ALERT_COUNT[] =
    "UPDATE monitor_alert SET seen_count = seen_count + 1, last_at_ms = ?2"
    " WHERE id = ?1";
static const char SQL_ALERT_ADD[] =
    "INSERT INTO monitor_alert(deployment, kind, release, version, dataset,"
    " state, raised_at_ms, last_at_ms, seen_count, from_ms, to_ms, reason,"
    " detail) VALUES(?1, ?2, ?3, ?4, ?5, 'open', ?6, ?6, 1, ?7, ?8, ?9, ?10)";
static const char SQL_ALERT_CLOSE[] =
    "UPDATE monitor_alert SET state = 'closed', closed_at_ms = ?3"
    " WHERE deployment = ?1 AND kind = ?2 AND state <> 'closed'";
static const char SQL_ALERT_ACK[] =
    "UPDATE monitor_alert SET state = 'acknowledged', acknowledged_by = ?2"
    " WHERE id = ?1 AND state = 'open'";
static const char SQL_ALERT_STATE[] =
    "SELECT state, deployment FROM monitor_alert WHERE id = ?1";
static const char SQL_ALERT_LIST[] =
    "SELECT id, deployment, kind, release, version, dataset, state,"
    " raised_at_ms, last_at_ms, seen_count, from_ms, to_ms, reason, detail,"
    " closed_at_ms, acknowledged_by FROM monitor_alert"
    " WHERE (?1 = '' OR deployment = ?1) AND (?2 = '' OR state = ?2)"
    " ORDER BY id DESC LIMIT ?3 OFFSET ?4";
static const char SQL_ALERT_TOTAL[] =
    "SELECT count(*) FROM monitor_alert"
    " WHERE (?1 = '' OR deployment = ?1) AND (?2 = '' OR state = ?2)";

static enum slw_rc
find_open(struct slw_tx *tx, const struct monitor_alert *al, int64_t *out_id,
          struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_ALERT_OPEN, err));
    slw_stmt_str(&st, 1, al->deployment);
    slw_stmt_str(&st, 2, slw_str_of(al->kind));
    slw_stmt_str(&st, 3, al->release);
    TRY(slw_stmt_step(&st, &row, err));
    *out_id = row ? slw_col_i64(&st, 0) : 0;
    return SLW_OK;
}

static enum slw_rc
raise_alert(struct slw_tx *tx, int64_t now_ms, const struct monitor_alert *al,
            struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_ALERT_ADD, err));
    slw_stmt_str(&st, 1, al->deployment);
    slw_stmt_str(&st, 2, slw_str_of(al->kind));
    slw_stmt_str(&st, 3, al->release);
    slw_stmt_i64(&st, 4, al->version);
    slw_stmt_str(&st, 5, al->dataset);
    slw_stmt_i64(&st, 6, now_ms);
    slw_stmt_i64(&st, 7, al->from_ms);
    slw_stmt_i64(&st, 8, al->to_ms);
    slw_stmt_str(&st, 9, al->reason);
    slw_stmt_str(&st, 10, al->detail);
    TRY(slw_stmt_run(&st, err));
    SLW_AUTO(slw_buf, payload);
    struct slw_jw w;
    slw_jw_init(&w, &payload);
    slw_jw_obj(&w);
    slw_jw_ki64(&w, "alert", slw_tx_last_id(tx));
    slw_jw_kstr(&w, "deployment", al->deployment);
    slw_jw_kz(&w, "kind", al->kind);
    slw_jw_kstr(&w, "release", al->release);
    slw_jw_ki64(&w, "version", al->version);
    slw_jw_kstr(&w, "dataset", al->dataset);
    slw_jw_ki64(&w, "from_ms", al->from_ms);
    slw_jw_ki64(&w, "to_ms", al->to_ms);
    slw_jw_kstr(&w, "reason", al->reason);
    slw_jw_kraw(&w, "detail", al->detail);
    slw_jw_obj_end(&w);
    return slw_event_emit(tx, now_ms, "monitor.alert", al->deployment,
                          slw_buf_view(&payload), err);
}

static enum slw_rc
close_alerts(struct slw_tx *tx, int64_t now_ms, const struct monitor_alert *al,
             struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_ALERT_CLOSE, err));
    slw_stmt_str(&st, 1, al->deployment);
    slw_stmt_str(&st, 2, slw_str_of(al->kind));
    slw_stmt_i64(&st, 3, now_ms);
    TRY(slw_stmt_run(&st, err));
    if (slw_tx_changes(tx) == 0)
        return SLW_OK;
    SLW_AUTO(slw_buf, payload);
    struct slw_jw w;
    slw_jw_init(&w, &payload);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "deployment", al->deployment);
    slw_jw_kz(&w, "kind", al->kind);
    slw_jw_obj_end(&w);
    return slw_event_emit(tx, now_ms, "monitor.alert_closed", al->deployment,
                          slw_buf_view(&payload), err);
}

enum slw_rc
monitor_alert_update(struct slw_tx *tx, int64_t now_ms,
                     const struct monitor_alert *al, bool *out_raised,
                     struct slw_err *err)
{
    *out_raised = false;
    if (!al->bad)
        return close_alerts(tx, now_ms, al, err);
    int64_t id = 0;
    TRY(find_open(tx, al, &id, err));
    if (id == 0) {
        TRY(raise_alert(tx, now_ms, al, err));
        *out_raised = true;
        return SLW_OK;
    }
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_ALERT_COUNT, err));
    slw_stmt_i64(&st, 1, id);
    slw_stmt_i64(&st, 2, now_ms);
    return slw_stmt_run(&st, err);
}

static void
write_alert(struct slw_jw *w, struct slw_stmt *st)
{
    static const char *const names[] = {
        "id",         "deployment", "kind",         "release",
        "version",    "dataset",    "state",        "raised_at_ms",
        "last_at_ms", "seen_count", "from_ms",      "to_ms",
        "reason",     "detail",     "closed_at_ms", "acknowledged_by"};
    slw_jw_obj(w);
    for (int i = 0; i < 16; i++) {
        bool text =
            (i >= 1 && i <= 3) || i == 5 || i == 6 || i == 12 || i == 15;
        if (slw_col_null(st, i))
            continue;
        if (i == 13)
            slw_jw_kraw(w, names[i], slw_col_str(st, i));
        else if (text)
            slw_jw_kstr(w, names[i], slw_col_str(st, i));
        else
            slw_jw_ki64(w, names[i], slw_col_i64(st, i));
    }
    slw_jw_obj_end(w);
}

enum slw_rc
slw_monitor_alerts(struct slw_tx *tx, struct slw_str deployment,
                   struct slw_str state, size_t count_max, struct slw_jw *w,
                   struct slw_err *err)
{
    int64_t total = 0;
    return slw_monitor_alert_page(tx, deployment, state, 0, count_max, w,
                                  &total, err);
}

enum slw_rc
slw_monitor_alert_page(struct slw_tx *tx, struct slw_str deployment,
                       struct slw_str state, size_t offset, size_t limit,
                       struct slw_jw *w, int64_t *out_total,
                       struct slw_err *err)
{
    bool counted = false;
    if (!deployment.ptr)
        deployment = SLW_STR("");
    if (!state.ptr)
        state = SLW_STR("");
    SLW_AUTO(slw_stmt, count);
    TRY(slw_stmt_prepare(&count, tx, SQL_ALERT_TOTAL, err));
    slw_stmt_str(&count, 1, deployment);
    slw_stmt_str(&count, 2, state);
    TRY(slw_stmt_step(&count, &counted, err));
    *out_total = counted ? slw_col_i64(&count, 0) : 0;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_ALERT_LIST, err));
    slw_stmt_str(&st, 1, deployment);
    slw_stmt_str(&st, 2, state);
    slw_stmt_i64(&st, 3, (int64_t)limit);
    slw_stmt_i64(&st, 4, (int64_t)offset);
    slw_jw_arr(w);
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        write_alert(w, &st);
    }
    slw_jw_arr_end(w);
    return SLW_OK;
}

enum slw_rc
slw_monitor_alert_ack(struct slw_tx *tx, int64_t now_ms, int64_t id,
                      struct slw_str who, struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_ALERT_STATE, err));
    slw_stmt_i64(&st, 1, id);
    TRY(slw_stmt_step(&st, &row, err));
    if (!row)
        return slw_fail(err, SLW_NOT_FOUND, "there is no alert %lld",
                        (long long)id);
    if (!slw_str_eqz(slw_col_str(&st, 0), "open"))
        return slw_fail(err, SLW_CONFLICT, "alert %lld is %.*s already",
                        (long long)id, SLW_FMT(slw_col_str(&st, 0)));
    SLW_AUTO(slw_stmt, ack);
    TRY(slw_stmt_prepare(&ack, tx, SQL_ALERT_ACK, err));
    slw_stmt_i64(&ack, 1, id);
    slw_stmt_str(&ack, 2, who);
    TRY(slw_stmt_run(&ack, err));
    SLW_AUTO(slw_buf, payload);
    struct slw_jw w;
    slw_jw_init(&w, &payload);
    slw_jw_obj(&w);
    slw_jw_ki64(&w, "alert", id);
    slw_jw_kstr(&w, "who", who);
    slw_jw_obj_end(&w);
    return slw_event_emit(tx, now_ms, "monitor.alert_acknowledged",
                          slw_col_str(&st, 1), slw_buf_view(&payload), err);
}
