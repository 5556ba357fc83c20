/* deployment.c -- the rows: what is deployed where, and its history. */
#include "serve/serve_internal.h"

#define COLUMNS                                                                \
    "name, model, def, champion, canary, previous, shadow, champion_version,"  \
    " canary_version, previous_version, shadow_version, canary_weight,"        \
    " rollout_step, withdrawn, revision, changed_at_ms"

static const char SQL_GET[] =
    "SELECT " COLUMNS " FROM serve_deployment WHERE name = ?1";
static const char SQL_LIST[] =
    "SELECT " COLUMNS " FROM serve_deployment ORDER BY name";
static const char SQL_COUNT[] = "SELECT count(*) FROM serve_deployment";
static const char SQL_INSERT[] =
    "INSERT INTO serve_deployment(" COLUMNS ", created_at_ms)"
    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,"
    " ?15, ?16, ?16)";
static const char SQL_UPDATE[] =
    "UPDATE serve_deployment SET model = ?2, def = ?3, champion = ?4,"
    " canary = ?5, previous = ?6, shadow = ?7, champion_version = ?8,"
    " canary_version = ?9, previous_version = ?10, shadow_version = ?11,"
    " canary_weight = ?12, rollout_step = ?13, withdrawn = ?14,"
    " revision = ?15, changed_at_ms = ?16"
    " WHERE name = ?1 AND revision = ?15 - 1";
static const char SQL_CHANGE_ADD[] =
    "INSERT INTO serve_change(deployment, at_ms, action, from_version,"
    " to_version, weight, why) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
static const char SQL_CHANGES[] =
    "SELECT at_ms, action, from_version, to_version, weight, why"
    " FROM serve_change WHERE deployment = ?1 ORDER BY id DESC LIMIT ?2";

static void
row_read(struct slw_stmt *st, struct slw_arena *a, struct slw_deployment *d)
{
    *d = (struct slw_deployment){.name = slw_col_dup(st, 0, a),
                                 .model = slw_col_dup(st, 1, a),
                                 .def = slw_col_dup(st, 2, a),
                                 .champion = slw_col_dup(st, 3, a),
                                 .canary = slw_col_dup(st, 4, a),
                                 .previous = slw_col_dup(st, 5, a),
                                 .shadow = slw_col_dup(st, 6, a),
                                 .champion_version = slw_col_i64(st, 7),
                                 .canary_version = slw_col_i64(st, 8),
                                 .previous_version = slw_col_i64(st, 9),
                                 .shadow_version = slw_col_i64(st, 10),
                                 .canary_weight = slw_col_f64(st, 11),
                                 .rollout_step = (int)slw_col_i64(st, 12),
                                 .withdrawn = slw_col_i64(st, 13) != 0,
                                 .revision = slw_col_i64(st, 14),
                                 .changed_at_ms = slw_col_i64(st, 15)};
}

static void
row_bind(struct slw_stmt *st, int64_t now_ms, const struct slw_deployment *d)
{
    slw_stmt_str(st, 1, d->name);
    slw_stmt_str(st, 2, d->model);
    slw_stmt_str(st, 3, d->def);
    slw_stmt_str(st, 4, d->champion);
    slw_stmt_str(st, 5, d->canary);
    slw_stmt_str(st, 6, d->previous);
    slw_stmt_str(st, 7, d->shadow);
    slw_stmt_i64(st, 8, d->champion_version);
    slw_stmt_i64(st, 9, d->canary_version);
    slw_stmt_i64(st, 10, d->previous_version);
    slw_stmt_i64(st, 11, d->shadow_version);
    slw_stmt_f64(st, 12, d->canary_weight);
    slw_stmt_i64(st, 13, d->rollout_step);
    slw_stmt_i64(st, 14, d->withdrawn);
    slw_stmt_i64(st, 15, d->revision);
    slw_stmt_i64(st, 16, now_ms);
}

enum slw_rc
serve_row_insert(struct slw_tx *tx, int64_t now_ms,
                 const struct slw_deployment *d, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_INSERT, err));
    row_bind(&st, now_ms, d);
    return slw_stmt_run(&st, err);
}

enum slw_rc
serve_row_update(struct slw_tx *tx, int64_t now_ms,
                 const struct slw_deployment *d, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_UPDATE, err));
    row_bind(&st, now_ms, d);
    TRY(slw_stmt_run(&st, err));
    if (slw_tx_changes(tx) != 1)
        return slw_fail(err, SLW_CONFLICT,
                        "the deployment '%.*s' was changed by somebody else "
                        "meanwhile; look again",
                        SLW_FMT(d->name));
    return SLW_OK;
}

enum slw_rc
serve_change_add(struct slw_tx *tx, int64_t now_ms,
                 const struct slw_deployment *d,
                 const struct serve_change *change, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_CHANGE_ADD, err));
    slw_stmt_str(&st, 1, d->name);
    slw_stmt_i64(&st, 2, now_ms);
    slw_stmt_str(&st, 3, slw_str_of(change->action));
    slw_stmt_i64(&st, 4, change->from_version);
    slw_stmt_i64(&st, 5, change->to_version);
    slw_stmt_f64(&st, 6, d->canary_weight);
    slw_stmt_str(&st, 7, change->why.ptr ? change->why : SLW_STR(""));
    return slw_stmt_run(&st, err);
}

enum slw_rc
slw_serve_get(struct slw_tx *tx, struct slw_str name, struct slw_arena *a,
              struct slw_deployment *out, struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_GET, err));
    slw_stmt_str(&st, 1, name);
    TRY(slw_stmt_step(&st, &row, err));
    if (!row)
        return slw_fail(err, SLW_NOT_FOUND, "there is no deployment '%.*s'",
                        SLW_FMT(name));
    row_read(&st, a, out);
    return SLW_OK;
}

enum slw_rc
slw_serve_list(struct slw_tx *tx, struct slw_arena *a,
               struct slw_deployment **out, size_t *out_count,
               struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, counter);
    TRY(slw_stmt_prepare(&counter, tx, SQL_COUNT, err));
    TRY(slw_stmt_step(&counter, &row, err));
    SLW_ASSERT(row);
    const size_t count = (size_t)slw_col_i64(&counter, 0);
    struct slw_deployment *list =
        SLW_ARENA_NEW(a, struct slw_deployment, count);
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_LIST, err));
    for (size_t i = 0;; i++) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        SLW_ASSERT(i < count);
        row_read(&st, a, &list[i]);
    }
    *out = list;
    *out_count = count;
    return SLW_OK;
}

static void
write_version(struct slw_jw *w, const char *key, int64_t version)
{
    slw_jw_key(w, key);
    if (version)
        slw_jw_i64(w, version);
    else
        slw_jw_null(w);
}

/* "champion": hash, "champion_version": 3; null where there is none. */
static void
write_release(struct slw_jw *w, const char *key, struct slw_str release,
              int64_t version)
{
    char version_key[32];
    (void)snprintf(version_key, sizeof version_key, "%s_version", key);
    if (release.len)
        slw_jw_kstr(w, key, release);
    else
        slw_jw_kz(w, key, NULL);
    write_version(w, version_key, release.len ? version : 0);
}

void
slw_serve_write(struct slw_jw *w, const struct slw_deployment *d)
{
    char at[SLW_TIME_TEXT_SIZE];
    const char *state = "steady";
    if (d->champion.len == 0)
        state = "empty";
    else if (d->withdrawn)
        state = "withdrawn";
    else if (d->canary.len)
        state = "canary";
    slw_jw_obj(w);
    slw_jw_kstr(w, "name", d->name);
    slw_jw_kstr(w, "model", d->model);
    slw_jw_kz(w, "state", state);
    write_release(w, "champion", d->champion, d->champion_version);
    write_release(w, "canary", d->canary, d->canary_version);
    write_release(w, "previous", d->previous, d->previous_version);
    write_release(w, "shadow", d->shadow, d->shadow_version);
    slw_jw_kf64(w, "canary_weight", d->canary_weight);
    slw_jw_ki64(w, "rollout_step", d->rollout_step);
    slw_jw_kbool(w, "withdrawn", d->withdrawn);
    slw_jw_ki64(w, "revision", d->revision);
    slw_jw_kz(w, "changed_at", slw_time_text(d->changed_at_ms, at));
    slw_jw_kraw(w, "definition", d->def);
    slw_jw_obj_end(w);
}

enum slw_rc
slw_serve_history(struct slw_tx *tx, struct slw_str name, size_t count_max,
                  struct slw_jw *w, struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_CHANGES, err));
    slw_stmt_str(&st, 1, name);
    slw_stmt_i64(&st, 2, (int64_t)count_max);
    slw_jw_arr(w);
    for (;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        char at[SLW_TIME_TEXT_SIZE];
        slw_jw_obj(w);
        slw_jw_kz(w, "at", slw_time_text(slw_col_i64(&st, 0), at));
        slw_jw_kstr(w, "action", slw_col_str(&st, 1));
        write_version(w, "from", slw_col_i64(&st, 2));
        write_version(w, "to", slw_col_i64(&st, 3));
        slw_jw_kf64(w, "weight", slw_col_f64(&st, 4));
        slw_jw_kstr(w, "why", slw_col_str(&st, 5));
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
    return SLW_OK;
}
