/* run.c -- runs: one attempt at something, with a state and times.  What a
 * run logs is in log.c; this file makes, ends, renames and marks them. */
#include "base/rng.h"
#include "track/track_internal.h"

static const char SQL_ADD[] =
    "INSERT INTO track_run(id, experiment_id, name, user, artifact_uri,"
    " status, deleted, start_ms, end_ms)"
    " VALUES(?1, ?2, ?3, ?4, ?5, 1, 0, ?6, 0)";
static const char SQL_GET[] =
    "SELECT " TRACK_RUN_COLUMNS " FROM track_run r WHERE r.id = ?1";
static const char SQL_NUMBER[] =
    "SELECT number, deleted FROM track_run WHERE id = ?1";
static const char SQL_STATUS[] =
    "UPDATE track_run SET status = ?2 WHERE id = ?1";
static const char SQL_END[] = "UPDATE track_run SET end_ms = ?2 WHERE id = ?1";
static const char SQL_RENAME[] = "UPDATE track_run SET name = ?2 WHERE id = ?1";
static const char SQL_MARK[] =
    "UPDATE track_run SET deleted = ?2 WHERE id = ?1";
static const char SQL_DELETED[] =
    "INSERT OR IGNORE INTO track_run_deletion(run, at_ms)"
    " SELECT number, ?2 FROM track_run WHERE id = ?1";
static const char SQL_RESTORED[] = "DELETE FROM track_run_deletion WHERE run ="
                                   " (SELECT number FROM track_run"
                                   " WHERE id = ?1)";
static const char SQL_TAG_REMOVE[] =
    "DELETE FROM track_tag WHERE run = ?1 AND key = ?2";

static const char *const STATUS_NAMES[] = {NULL,       "RUNNING", "SCHEDULED",
                                           "FINISHED", "FAILED",  "KILLED"};

const char *
slw_run_status_name(enum slw_run_status s)
{
    SLW_ASSERT(s >= SLW_RUN_RUNNING);
    SLW_ASSERT(s <= SLW_RUN_KILLED);
    return STATUS_NAMES[s];
}

enum slw_rc
slw_run_status_parse(struct slw_str s, enum slw_run_status *out,
                     struct slw_err *err)
{
    for (size_t i = 1; i < SLW_ARRAY_LEN(STATUS_NAMES); i++) {
        if (slw_str_eqz(s, STATUS_NAMES[i])) {
            *out = (enum slw_run_status)i;
            return SLW_OK;
        }
    }
    return slw_fail(err, SLW_INVALID,
                    "Invalid value \"%.*s\" for parameter 'status' supplied: "
                    "it is one of RUNNING, SCHEDULED, FINISHED, FAILED, KILLED",
                    SLW_FMT(s));
}

void
track_run_read(struct slw_stmt *st, struct slw_arena *a, struct slw_run *out)
{
    *out = (struct slw_run){
        .id = slw_col_dup(st, 1, a),
        .experiment_id = slw_col_i64(st, 2),
        .name = slw_col_dup(st, 3, a),
        .user = slw_col_dup(st, 4, a),
        .artifact_uri = slw_col_dup(st, 5, a),
        .status = (enum slw_run_status)slw_col_i64(st, 6),
        .deleted = slw_col_i64(st, 7) != 0,
        .start_ms = slw_col_i64(st, 8),
        .end_ms = slw_col_i64(st, 9),
    };
}

static enum slw_rc
not_found(struct slw_str id, struct slw_err *err)
{
    return slw_fail(err, SLW_NOT_FOUND, "Run with id=%.*s not found",
                    SLW_FMT(id));
}

enum slw_rc
track_run_number(struct slw_tx *tx, struct slw_str id, bool active,
                 int64_t *out_number, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_NUMBER, err));
    slw_stmt_str(&st, 1, id);
    TRY(slw_stmt_step(&st, &row, err));
    if (!row)
        return not_found(id, err);
    if (active && slw_col_i64(&st, 1))
        return slw_fail(err, SLW_INVALID,
                        "The run %.*s must be in the 'active' state. Current "
                        "state is deleted.",
                        SLW_FMT(id));
    *out_number = slw_col_i64(&st, 0);
    return SLW_OK;
}

/* The run's name: the argument or the tag; both must agree. */
static enum slw_rc
name_of(struct slw_str name, const struct slw_kv *tags, size_t tag_count,
        const char hex[33], struct slw_arena *a, struct slw_str *out,
        struct slw_err *err)
{
    struct slw_str tag = {0};
    for (size_t i = 0; i < tag_count; i++) {
        if (slw_str_eqz(tags[i].key, "mlflow.runName"))
            tag = tags[i].value;
    }
    if (name.len && tag.len && !slw_str_eq(name, tag))
        return slw_fail(
            err, SLW_INVALID,
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, "
            "but with different values (run_name='%.*s', "
            "mlflow.runName='%.*s').",
            SLW_FMT(slw_track_cut(name, 80)), SLW_FMT(slw_track_cut(tag, 80)));
    *out = name.len ? name : tag.len ? tag : track_name_invent(a, hex);
    return SLW_OK;
}

static enum slw_rc
run_insert(struct slw_tx *tx, const struct slw_run *r, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_ADD, err));
    slw_stmt_str(&st, 1, r->id);
    slw_stmt_i64(&st, 2, r->experiment_id);
    slw_stmt_str(&st, 3, r->name);
    slw_stmt_str(&st, 4, r->user);
    slw_stmt_str(&st, 5, r->artifact_uri);
    slw_stmt_i64(&st, 6, r->start_ms);
    return slw_stmt_run(&st, err);
}

enum slw_rc
slw_track_run_create(struct slw_tx *tx, int64_t start_ms, int64_t experiment_id,
                     struct slw_str name, struct slw_str user,
                     const struct slw_kv *tags, size_t tag_count,
                     struct slw_arena *a, struct slw_run *out,
                     struct slw_err *err)
{
    SLW_ASSERT(tx->write);
    struct slw_experiment e = {0};
    char hex[33];
    TRY(track_experiment_active(tx, experiment_id, a, &e, err));
    slw_random_hex32(hex);
    struct slw_run r = {
        .id = slw_arena_str(a, slw_str_of(hex)),
        .experiment_id = experiment_id,
        .user = slw_arena_str(a, user),
        .status = SLW_RUN_RUNNING,
        .start_ms = start_ms,
    };
    TRY(name_of(name, tags, tag_count, hex, a, &r.name, err));
    r.name = slw_arena_str(a, r.name);
    const char *slash = slw_str_ends(e.artifact_location, "/") ? "" : "/";
    r.artifact_uri = slw_arena_printf(a, "%.*s%s%s/artifacts",
                                      SLW_FMT(e.artifact_location), slash, hex);
    TRY(run_insert(tx, &r, err));
    int64_t number = slw_tx_last_id(tx);
    TRY(track_tags_put(tx, number, tags, tag_count, err));
    struct slw_kv named = {SLW_STR("mlflow.runName"), r.name};
    TRY(track_tags_put(tx, number, &named, 1, err));
    *out = r;
    return SLW_OK;
}

enum slw_rc
slw_track_run_get(struct slw_tx *tx, struct slw_str id, struct slw_arena *a,
                  struct slw_run *out, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_GET, err));
    slw_stmt_str(&st, 1, id);
    TRY(slw_stmt_step(&st, &row, err));
    if (!row)
        return not_found(id, err);
    track_run_read(&st, a, out);
    return SLW_OK;
}

/* UPDATE track_run SET <one column> of a run by its id. */
static enum slw_rc
set_i64(struct slw_tx *tx, const char *sql, struct slw_str id, int64_t value,
        struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, sql, err));
    slw_stmt_str(&st, 1, id);
    slw_stmt_i64(&st, 2, value);
    return slw_stmt_run(&st, err);
}

enum slw_rc
slw_track_run_update(struct slw_tx *tx, struct slw_str id,
                     enum slw_run_status status, int64_t end_ms,
                     struct slw_str name, struct slw_err *err)
{
    int64_t number = 0;
    TRY(track_run_number(tx, id, true, &number, err));
    if (status)
        TRY(set_i64(tx, SQL_STATUS, id, (int64_t)status, err));
    if (status >= SLW_RUN_FINISHED)
        TRY(track_settle(tx, number, err));
    if (end_ms >= 0)
        TRY(set_i64(tx, SQL_END, id, end_ms, err));
    if (name.len) {
        /* The tag carries the name into the row: see track_tags_put. */
        struct slw_kv tag = {SLW_STR("mlflow.runName"), name};
        TRY(track_tags_put(tx, number, &tag, 1, err));
        SLW_AUTO(slw_stmt, st);
        TRY(slw_stmt_prepare(&st, tx, SQL_RENAME, err));
        slw_stmt_str(&st, 1, id);
        slw_stmt_str(&st, 2, name);
        TRY(slw_stmt_run(&st, err));
    }
    return SLW_OK;
}

enum slw_rc
slw_track_run_end(struct slw_tx *tx, struct slw_str id,
                  enum slw_run_status status, int64_t end_ms,
                  struct slw_err *err)
{
    return slw_track_run_update(tx, id, status, end_ms, (struct slw_str){"", 0},
                                err);
}

enum slw_rc
slw_track_run_mark(struct slw_tx *tx, int64_t now_ms, struct slw_str id,
                   bool deleted, struct slw_err *err)
{
    TRY(set_i64(tx, SQL_MARK, id, deleted, err));
    if (slw_tx_changes(tx) == 0)
        return not_found(id, err);
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, deleted ? SQL_DELETED : SQL_RESTORED, err));
    slw_stmt_str(&st, 1, id);
    if (deleted)
        slw_stmt_i64(&st, 2, now_ms);
    return slw_stmt_run(&st, err);
}

enum slw_rc
slw_track_run_tag_remove(struct slw_tx *tx, struct slw_str id,
                         struct slw_str key, struct slw_err *err)
{
    int64_t number = 0, key_id = -1;
    TRY(track_run_number(tx, id, true, &number, err));
    TRY(track_key_find(tx, key, &key_id, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_TAG_REMOVE, err));
    slw_stmt_i64(&st, 1, number);
    slw_stmt_i64(&st, 2, key_id);
    TRY(slw_stmt_run(&st, err));
    if (slw_tx_changes(tx) == 0)
        return slw_fail(err, SLW_NOT_FOUND,
                        "No tag with name: %.*s in run with id %.*s",
                        SLW_FMT(key), SLW_FMT(id));
    return SLW_OK;
}
