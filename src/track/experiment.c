/* experiment.c -- experiments: named folders of runs.  Deleting one marks it
 * and its runs; the name stays taken, and restoring brings all back. */
#include "track/track_internal.h"

static const char SQL_ADD[] =
    "INSERT INTO track_experiment(id, name, artifact_location, deleted,"
    " created_at_ms, updated_at_ms) VALUES(1 + max("
    "  (SELECT coalesce(max(id), 0) FROM track_experiment),"
    "  (SELECT coalesce(max(id), 0) FROM track_retired)), ?1, ?2, 0, ?3, ?3)"
    " ON CONFLICT(name) DO NOTHING";
static const char SQL_LOCATE[] =
    "UPDATE track_experiment SET artifact_location = ?2 WHERE id = ?1";
static const char SQL_DEFAULT_USED[] =
    "SELECT 1 FROM track_run WHERE experiment_id = 0 UNION ALL"
    " SELECT 1 FROM track_model WHERE experiment_id = 0 LIMIT 1";
static const char SQL_GET[] =
    "SELECT id, name, artifact_location, deleted, created_at_ms,"
    " updated_at_ms FROM track_experiment WHERE id = ?1";
static const char SQL_BY_NAME[] =
    "SELECT id, name, artifact_location, deleted, created_at_ms,"
    " updated_at_ms FROM track_experiment WHERE name = ?1";
static const char SQL_RENAME[] =
    "UPDATE track_experiment SET name = ?2, updated_at_ms = ?3 WHERE id = ?1"
    " AND NOT EXISTS (SELECT 1 FROM track_experiment"
    " WHERE name = ?2 AND id <> ?1)";
static const char SQL_MARK[] =
    "UPDATE track_experiment SET deleted = ?2, updated_at_ms = ?3"
    " WHERE id = ?1 AND deleted <> ?2";
static const char SQL_MARK_RUNS[] =
    "UPDATE track_run SET deleted = ?2 WHERE experiment_id = ?1";
/* Before the runs are marked: those that were deleted keep their time. */
static const char SQL_RUNS_DELETED[] =
    "INSERT OR IGNORE INTO track_run_deletion(run, at_ms)"
    " SELECT number, ?2 FROM track_run WHERE experiment_id = ?1"
    " AND deleted = 0";
static const char SQL_RUNS_RESTORED[] =
    "DELETE FROM track_run_deletion WHERE run IN"
    " (SELECT number FROM track_run WHERE experiment_id = ?1)";
static const char SQL_TAG_PUT[] =
    "INSERT INTO track_experiment_tag(experiment_id, key, value)"
    " VALUES(?1, ?2, ?3) ON CONFLICT(experiment_id, key)"
    " DO UPDATE SET value = excluded.value";
static const char SQL_TAG_REMOVE[] =
    "DELETE FROM track_experiment_tag WHERE experiment_id = ?1 AND key = ?2";
static const char SQL_TAGS[] =
    "SELECT key, value FROM track_experiment_tag WHERE experiment_id = ?1"
    " ORDER BY key";

static void
read_row(struct slw_stmt *st, struct slw_arena *a, struct slw_experiment *out)
{
    *out = (struct slw_experiment){
        .id = slw_col_i64(st, 0),
        .name = slw_col_dup(st, 1, a),
        .artifact_location = slw_col_dup(st, 2, a),
        .deleted = slw_col_i64(st, 3) != 0,
        .created_at_ms = slw_col_i64(st, 4),
        .updated_at_ms = slw_col_i64(st, 5),
    };
}

enum slw_rc
slw_track_experiment_get(struct slw_tx *tx, int64_t id, struct slw_arena *a,
                         struct slw_experiment *out, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_GET, err));
    slw_stmt_i64(&st, 1, id);
    TRY(slw_stmt_step(&st, &row, err));
    if (!row)
        return slw_fail(err, SLW_NOT_FOUND, "No Experiment with id=%lld exists",
                        (long long)id);
    read_row(&st, a, out);
    return SLW_OK;
}

enum slw_rc
slw_track_experiment_by_name(struct slw_tx *tx, struct slw_str name,
                             struct slw_arena *a, struct slw_experiment *out,
                             struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_BY_NAME, err));
    slw_stmt_str(&st, 1, name);
    TRY(slw_stmt_step(&st, &row, err));
    if (!row)
        return slw_fail(err, SLW_NOT_FOUND,
                        "Could not find experiment with name '%.*s'",
                        SLW_FMT(name));
    read_row(&st, a, out);
    return SLW_OK;
}

enum slw_rc
track_experiment_active(struct slw_tx *tx, int64_t id, struct slw_arena *a,
                        struct slw_experiment *out, struct slw_err *err)
{
    struct slw_experiment e = {0};
    TRY(slw_track_experiment_get(tx, id, a, &e, err));
    if (e.deleted)
        return slw_fail(err, SLW_INVALID,
                        "The experiment %lld must be in the 'active' state. "
                        "Current state is deleted.",
                        (long long)id);
    *out = e;
    return SLW_OK;
}

static enum slw_rc
name_check(struct slw_str name, struct slw_err *err)
{
    if (name.len == 0)
        return slw_fail(err, SLW_INVALID, "Invalid experiment name: ''");
    if (slw_track_cut(name, SLW_TRACK_EXPERIMENT_NAME_CHARS_MAX).len < name.len)
        return slw_fail(err, SLW_INVALID,
                        "'name' exceeds the maximum length of %d characters",
                        SLW_TRACK_EXPERIMENT_NAME_CHARS_MAX);
    return SLW_OK;
}

static enum slw_rc
location_check(struct slw_str location, struct slw_err *err)
{
    if (slw_str_starts(location, "runs:"))
        return slw_fail(err, SLW_INVALID,
                        "Artifact location cannot be a runs:/ URI. Given: "
                        "'%.*s'",
                        SLW_FMT(location));
    if (location.len > 2048)
        return slw_fail(err, SLW_INVALID,
                        "Invalid artifact path length. The length of the "
                        "artifact path cannot be greater than 2048 "
                        "characters.");
    struct slw_str path = {0};
    struct slw_err other; /* bytes that lie elsewhere are the client's */
    if (slw_track_artifact_root(location, &path, &other) == SLW_INVALID) {
        *err = other;
        return SLW_INVALID;
    }
    return SLW_OK;
}

enum slw_rc
slw_track_experiment_create(struct slw_tx *tx, int64_t now_ms,
                            struct slw_str name, struct slw_str location,
                            const struct slw_kv *tags, size_t tag_count,
                            int64_t *out_id, struct slw_err *err)
{
    SLW_ASSERT(tx->write);
    TRY(name_check(name, err));
    TRY(location_check(location, err));
    SLW_AUTO(slw_stmt, add);
    TRY(slw_stmt_prepare(&add, tx, SQL_ADD, err));
    slw_stmt_str(&add, 1, name);
    slw_stmt_str(&add, 2, location);
    slw_stmt_i64(&add, 3, now_ms);
    TRY(slw_stmt_run(&add, err));
    if (slw_tx_changes(tx) == 0)
        return slw_fail(err, SLW_CONFLICT,
                        "Experiment(name=%.*s) already exists.", SLW_FMT(name));
    int64_t id = slw_tx_last_id(tx);
    if (location.len == 0) {
        char text[64];
        int n = snprintf(text, sizeof(text), "mlflow-artifacts:/%lld",
                         (long long)id);
        SLW_AUTO(slw_stmt, put);
        TRY(slw_stmt_prepare(&put, tx, SQL_LOCATE, err));
        slw_stmt_i64(&put, 1, id);
        slw_stmt_str(&put, 2, (struct slw_str){text, (size_t)n});
        TRY(slw_stmt_run(&put, err));
    }
    for (size_t i = 0; i < tag_count; i++)
        TRY(slw_track_experiment_tag_set(tx, id, tags[i].key, tags[i].value,
                                         err));
    *out_id = id;
    return SLW_OK;
}

enum slw_rc
slw_track_experiment_locate(struct slw_tx *tx, int64_t id, struct slw_str root,
                            struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_stmt, put);
    TRY(slw_stmt_prepare(&put, tx, SQL_LOCATE, err));
    slw_stmt_i64(&put, 1, id);
    slw_stmt_str(
        &put, 2,
        slw_arena_printf(&a, "%.*s/%lld", SLW_FMT(root), (long long)id));
    return slw_stmt_run(&put, err);
}

enum slw_rc
slw_track_default_locate(struct slw_store *s, struct slw_str root,
                         struct slw_err *err)
{
    bool used = false;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, s, err));
    {
        SLW_AUTO(slw_stmt, st);
        TRY(slw_stmt_prepare(&st, &tx, SQL_DEFAULT_USED, err));
        TRY(slw_stmt_step(&st, &used, err));
    }
    if (!used)
        TRY(slw_track_experiment_locate(&tx, 0, root, err));
    return slw_tx_commit(&tx, err);
}

enum slw_rc
slw_track_experiment_ensure(struct slw_tx *tx, int64_t now_ms,
                            struct slw_str name, int64_t *out_id,
                            struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_experiment e = {0};
    enum slw_rc rc = slw_track_experiment_by_name(tx, name, &a, &e, err);
    if (rc == SLW_NOT_FOUND)
        return slw_track_experiment_create(
            tx, now_ms, name, (struct slw_str){"", 0}, NULL, 0, out_id, err);
    TRY(rc);
    *out_id = e.id;
    return SLW_OK;
}

enum slw_rc
slw_track_experiment_rename(struct slw_tx *tx, int64_t now_ms, int64_t id,
                            struct slw_str name, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_experiment e = {0};
    TRY(name_check(name, err));
    TRY(slw_track_experiment_get(tx, id, &a, &e, err));
    if (e.deleted)
        return slw_fail(err, SLW_INVALID,
                        "Cannot rename a non-active experiment.");
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_RENAME, err));
    slw_stmt_i64(&st, 1, id);
    slw_stmt_str(&st, 2, name);
    slw_stmt_i64(&st, 3, now_ms);
    TRY(slw_stmt_run(&st, err));
    if (slw_tx_changes(tx) == 0)
        return slw_fail(err, SLW_CONFLICT,
                        "Experiment(name=%.*s) already exists.", SLW_FMT(name));
    return SLW_OK;
}

enum slw_rc
slw_track_experiment_mark(struct slw_tx *tx, int64_t now_ms, int64_t id,
                          bool deleted, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_MARK, err));
    slw_stmt_i64(&st, 1, id);
    slw_stmt_i64(&st, 2, deleted);
    slw_stmt_i64(&st, 3, now_ms);
    TRY(slw_stmt_run(&st, err));
    if (slw_tx_changes(tx) == 0)
        return slw_fail(err, SLW_NOT_FOUND, "No Experiment with id=%lld exists",
                        (long long)id);
    SLW_AUTO(slw_stmt, times);
    TRY(slw_stmt_prepare(&times, tx,
                         deleted ? SQL_RUNS_DELETED : SQL_RUNS_RESTORED, err));
    slw_stmt_i64(&times, 1, id);
    if (deleted)
        slw_stmt_i64(&times, 2, now_ms);
    TRY(slw_stmt_run(&times, err));
    SLW_AUTO(slw_stmt, runs);
    TRY(slw_stmt_prepare(&runs, tx, SQL_MARK_RUNS, err));
    slw_stmt_i64(&runs, 1, id);
    slw_stmt_i64(&runs, 2, deleted);
    return slw_stmt_run(&runs, err);
}

enum slw_rc
slw_track_experiment_tag_set(struct slw_tx *tx, int64_t id, struct slw_str key,
                             struct slw_str value, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_experiment e = {0};
    TRY(slw_track_key_check(key, "key", err));
    if (slw_track_cut(value, SLW_TRACK_EXPERIMENT_TAG_CHARS_MAX).len <
        value.len)
        return slw_fail(err, SLW_INVALID,
                        "'value' exceeds the maximum length of %d characters",
                        SLW_TRACK_EXPERIMENT_TAG_CHARS_MAX);
    TRY(track_experiment_active(tx, id, &a, &e, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_TAG_PUT, err));
    slw_stmt_i64(&st, 1, id);
    slw_stmt_str(&st, 2, key);
    slw_stmt_str(&st, 3, value);
    return slw_stmt_run(&st, err);
}

enum slw_rc
slw_track_experiment_tag_remove(struct slw_tx *tx, int64_t id,
                                struct slw_str key, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_experiment e = {0};
    TRY(track_experiment_active(tx, id, &a, &e, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_TAG_REMOVE, err));
    slw_stmt_i64(&st, 1, id);
    slw_stmt_str(&st, 2, key);
    TRY(slw_stmt_run(&st, err));
    if (slw_tx_changes(tx) == 0)
        return slw_fail(err, SLW_NOT_FOUND,
                        "No tag with name: %.*s in experiment with id %lld",
                        SLW_FMT(key), (long long)id);
    return SLW_OK;
}

enum slw_rc
slw_track_experiment_tags(struct slw_tx *tx, int64_t id, struct slw_arena *a,
                          struct slw_kv **out, size_t *out_count,
                          struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    struct slw_kv *tags = NULL;
    size_t count = 0, cap = 0;
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_TAGS, err));
    slw_stmt_i64(&st, 1, id);
    for (;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        tags = slw_arena_grow(a, tags, sizeof(*tags), count, &cap);
        tags[count++] =
            (struct slw_kv){slw_col_dup(&st, 0, a), slw_col_dup(&st, 1, a)};
    }
    *out = tags;
    *out_count = count;
    return SLW_OK;
}

/* ---- search ---- */

static enum slw_rc
add_clause(struct slw_sql *q, const struct slw_filter_clause *c,
           struct slw_err *err)
{
    enum track_entity entity;
    TRY(track_entity_of(c->entity, &entity, err));
    if (entity == TRACK_TAG) {
        TRY(track_clause_check(c, false, true, false, err));
        bool absent = c->op == SLW_OP_IS_NULL;
        slw_sql_add(q, absent ? " AND NOT EXISTS (" : " AND EXISTS (");
        slw_sql_add(q, "SELECT 1 FROM track_experiment_tag t"
                       " WHERE t.experiment_id = e.id AND t.key = ");
        slw_sql_str(q, c->key);
        if (c->op != SLW_OP_IS_NULL && c->op != SLW_OP_NOT_NULL) {
            slw_sql_add(q, " AND ");
            slw_sql_compare_text(q, "t.value", c);
        }
        slw_sql_add(q, ")");
        return SLW_OK;
    }
    bool time = slw_str_eqz(c->key, "creation_time") ||
                slw_str_eqz(c->key, "last_update_time");
    bool id = slw_str_eqz(c->key, "experiment_id");
    if (entity != TRACK_ATTRIBUTE ||
        (!time && !id && !slw_str_eqz(c->key, "name")))
        return slw_fail(err, SLW_INVALID,
                        "Invalid attribute key '%.*s' specified. Valid keys "
                        "are 'name', 'experiment_id', 'creation_time', "
                        "'last_update_time' and tags",
                        SLW_FMT(c->key));
    TRY(track_clause_check(c, time, false, id, err));
    slw_sql_add(q, " AND ");
    if (time)
        slw_sql_compare_number(q,
                               slw_str_eqz(c->key, "creation_time")
                                   ? "e.created_at_ms"
                                   : "e.updated_at_ms",
                               c);
    else
        slw_sql_compare_text(q, id ? "CAST(e.id AS TEXT)" : "e.name", c);
    return SLW_OK;
}

static enum slw_rc
add_order(struct slw_sql *q, const struct slw_order *o, struct slw_err *err)
{
    static const struct {
        const char *key, *column;
    } keys[] = {{"name", "e.name"},
                {"experiment_id", "e.id"},
                {"creation_time", "e.created_at_ms"},
                {"last_update_time", "e.updated_at_ms"}};
    enum track_entity entity;
    TRY(track_entity_of(o->entity, &entity, err));
    for (size_t i = 0; i < SLW_ARRAY_LEN(keys); i++) {
        if (entity != TRACK_ATTRIBUTE || !slw_str_eqz(o->key, keys[i].key))
            continue;
        slw_sql_add(q, keys[i].column);
        slw_sql_add(q, o->descending ? " DESC, " : " ASC, ");
        return SLW_OK;
    }
    return slw_fail(err, SLW_INVALID,
                    "Invalid order_by key '%.*s' specified. Valid keys are "
                    "'name', 'experiment_id', 'creation_time', "
                    "'last_update_time'",
                    SLW_FMT(o->key));
}

static enum slw_rc
build(struct slw_sql *sql, const struct slw_track_query *q, struct slw_arena *a,
      struct slw_err *err)
{
    struct slw_filter f = {0};
    TRY(slw_filter_parse(q->filter, a, &f, err));
    slw_sql_add(sql, "SELECT e.id, e.name, e.artifact_location, e.deleted,"
                     " e.created_at_ms, e.updated_at_ms"
                     " FROM track_experiment e WHERE e.deleted ");
    slw_sql_add(sql, q->view == SLW_VIEW_ALL       ? ">= 0"
                     : q->view == SLW_VIEW_DELETED ? "= 1"
                                                   : "= 0");
    for (size_t i = 0; i < f.count; i++)
        TRY(slw_filter_place(add_clause(sql, &f.clauses[i], err),
                             f.clauses[i].at, err));
    slw_sql_add(sql, " ORDER BY ");
    for (size_t i = 0; i < q->order_count; i++) {
        struct slw_order o = {0};
        TRY(slw_order_parse(q->order_by[i], a, &o, err));
        TRY(slw_filter_place(add_order(sql, &o, err), o.at, err));
    }
    slw_sql_add(sql,
                q->order_count ? "e.id ASC" : "e.created_at_ms DESC, e.id ASC");
    slw_sql_add(sql, " LIMIT ");
    slw_sql_i64(sql, (int64_t)q->limit + 1);
    slw_sql_add(sql, " OFFSET ");
    slw_sql_i64(sql, (int64_t)q->offset);
    return SLW_OK;
}

enum slw_rc
slw_track_experiment_search(struct slw_tx *tx, const struct slw_track_query *q,
                            struct slw_arena *a, struct slw_experiment **out,
                            size_t *out_count, bool *out_more,
                            struct slw_err *err)
{
    SLW_AUTO(slw_sql, sql);
    SLW_AUTO(slw_stmt, st);
    struct slw_experiment *found = NULL;
    size_t count = 0, cap = 0;
    bool row = false;
    slw_sql_init(&sql, a);
    TRY(build(&sql, q, a, err));
    TRY(slw_sql_prepare(&sql, tx, &st, err));
    for (;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row || count == q->limit)
            break;
        found = slw_arena_grow(a, found, sizeof(*found), count, &cap);
        read_row(&st, a, &found[count++]);
    }
    *out = found;
    *out_count = count;
    *out_more = row;
    return SLW_OK;
}
