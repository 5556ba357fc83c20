/* model.c -- registered models: a name under which versions are numbered. */
#include "registry/registry_internal.h"
#include "store/event.h"

static const char SQL_ADD[] =
    "INSERT INTO registry_model(name, description, next_version,"
    " created_at_ms, updated_at_ms) VALUES(?1, ?2, 1, ?3, ?3)"
    " ON CONFLICT(name) DO NOTHING";
static const char SQL_GET[] =
    "SELECT id, name, description, created_at_ms, updated_at_ms"
    " FROM registry_model WHERE name = ?1";
static const char SQL_LIST[] = "SELECT name FROM registry_model ORDER BY name";
static const char SQL_DESCRIBE[] =
    "UPDATE registry_model SET description = ?2, updated_at_ms = ?3"
    " WHERE id = ?1";
static const char SQL_RENAME[] =
    "UPDATE registry_model SET name = ?2, updated_at_ms = ?3 WHERE id = ?1"
    " AND NOT EXISTS (SELECT 1 FROM registry_model WHERE name = ?2"
    " AND id <> ?1)";
static const char SQL_TAG_PUT[] =
    "INSERT INTO registry_model_tag(model_id, key, value) VALUES(?1, ?2, ?3)"
    " ON CONFLICT(model_id, key) DO UPDATE SET value = excluded.value";
static const char SQL_TAG_REMOVE[] =
    "DELETE FROM registry_model_tag WHERE model_id = ?1 AND key = ?2";
static const char SQL_TAGS[] =
    "SELECT key, value FROM registry_model_tag WHERE model_id = ?1"
    " ORDER BY key";
static const char SQL_DELETE_GATES[] =
    "DELETE FROM registry_gate WHERE version_id IN"
    " (SELECT id FROM registry_version WHERE model_id = ?1)";
static const char SQL_DELETE_VERSION_TAGS[] =
    "DELETE FROM registry_version_tag WHERE version_id IN"
    " (SELECT id FROM registry_version WHERE model_id = ?1)";
static const char SQL_DELETE_ALIASES[] =
    "DELETE FROM registry_alias WHERE model_id = ?1";
static const char SQL_DELETE_ALIAS_HISTORY[] =
    "DELETE FROM registry_alias_history WHERE model_id = ?1";
static const char SQL_DELETE_STAGE_HISTORY[] =
    "DELETE FROM registry_stage_history WHERE model_id = ?1";
static const char SQL_DELETE_TAGS[] =
    "DELETE FROM registry_model_tag WHERE model_id = ?1";
static const char SQL_DELETE_VERSIONS[] =
    "DELETE FROM registry_version WHERE model_id = ?1";
static const char SQL_DELETE[] = "DELETE FROM registry_model WHERE id = ?1";

enum slw_rc
registry_run_id(struct slw_tx *tx, const char *sql, int64_t id,
                struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, sql, err));
    slw_stmt_i64(&st, 1, id);
    return slw_stmt_run(&st, err);
}

static enum slw_rc
name_check(struct slw_str name, struct slw_err *err)
{
    if (slw_str_trim(name).len == 0)
        return slw_fail(err, SLW_INVALID,
                        "Missing value for required parameter 'name'.");
    if (name.len > 256)
        return slw_fail(err, SLW_INVALID,
                        "'name' exceeds the maximum length of 256 characters");
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '/' || name.ptr[i] == ':' ||
            (unsigned char)name.ptr[i] < 0x20)
            return slw_fail(err, SLW_INVALID,
                            "Invalid model name '%.*s'. Names cannot contain "
                            "'/' or ':'.",
                            SLW_FMT(name));
    }
    if (slw_str_starts(name, "..") || slw_str_eqz(name, "."))
        return slw_fail(err, SLW_INVALID,
                        "Invalid value \"%.*s\" for parameter 'name' supplied: "
                        "Names may be treated as files in certain cases, and "
                        "must not resolve to other names when treated as "
                        "such. This name would resolve to '%.*s'",
                        SLW_FMT(name), SLW_FMT(name));
    return SLW_OK;
}

static enum slw_rc
not_found(struct slw_str name, struct slw_err *err)
{
    TRY(name_check(name, err)); /* it could never have been there */
    return slw_fail(err, SLW_NOT_FOUND,
                    "Registered Model with name=%.*s not found", SLW_FMT(name));
}

enum slw_rc
registry_model_id(struct slw_tx *tx, struct slw_str name, int64_t *out_id,
                  struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_GET, err));
    slw_stmt_str(&st, 1, name);
    TRY(slw_stmt_step(&st, &row, err));
    if (!row)
        return not_found(name, err);
    *out_id = slw_col_i64(&st, 0);
    return SLW_OK;
}

enum slw_rc
registry_tag_check(struct slw_kv tag, struct slw_err *err)
{
    TRY(slw_track_key_check(tag.key, "key", err));
    if (slw_track_cut(tag.value, SLW_REGISTRY_TAG_CHARS_MAX).len <
        tag.value.len)
        return slw_fail(err, SLW_INVALID,
                        "'value' exceeds the maximum length of %d characters",
                        SLW_REGISTRY_TAG_CHARS_MAX);
    return SLW_OK;
}

static enum slw_rc
tag_put(struct slw_tx *tx, int64_t id, struct slw_kv tag, struct slw_err *err)
{
    TRY(registry_tag_check(tag, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_TAG_PUT, err));
    slw_stmt_i64(&st, 1, id);
    slw_stmt_str(&st, 2, tag.key);
    slw_stmt_str(&st, 3, tag.value);
    return slw_stmt_run(&st, err);
}

enum slw_rc
registry_model_put(struct slw_tx *tx, int64_t now_ms, struct slw_str name,
                   struct slw_str description, const struct slw_kv *tags,
                   size_t tag_count, int64_t *out_id, struct slw_err *err)
{
    SLW_ASSERT(tx->write);
    TRY(name_check(name, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_ADD, err));
    slw_stmt_str(&st, 1, name);
    slw_stmt_str(&st, 2, description);
    slw_stmt_i64(&st, 3, now_ms);
    TRY(slw_stmt_run(&st, err));
    if (slw_tx_changes(tx) == 0)
        return slw_fail(err, SLW_CONFLICT,
                        "Registered Model (name=%.*s) already exists.",
                        SLW_FMT(name));
    const int64_t id = slw_tx_last_id(tx);
    for (size_t i = 0; i < tag_count; i++)
        TRY(tag_put(tx, id, tags[i], err));
    *out_id = id;
    return SLW_OK;
}

enum slw_rc
slw_registry_model_create(struct slw_tx *tx, int64_t now_ms,
                          struct slw_str name, struct slw_str description,
                          const struct slw_kv *tags, size_t tag_count,
                          struct slw_err *err)
{
    int64_t id = 0;
    TRY(registry_model_put(tx, now_ms, name, description, tags, tag_count, &id,
                           err));
    const struct registry_news news = {.change = REGISTRY_MODEL_CREATED,
                                       .model = name,
                                       .description = description,
                                       .tags_sql = SQL_TAGS,
                                       .tags_of = id};
    return registry_announce(tx, now_ms, "registry.model_created", &news, err);
}

enum slw_rc
slw_registry_model_ensure(struct slw_tx *tx, int64_t now_ms,
                          struct slw_str name, struct slw_str description,
                          struct slw_err *err)
{
    enum slw_rc rc =
        slw_registry_model_create(tx, now_ms, name, description, NULL, 0, err);
    return rc == SLW_CONFLICT ? SLW_OK : rc;
}

enum slw_rc
registry_tags(struct slw_tx *tx, const char *sql, int64_t id,
              struct slw_arena *a, struct slw_kv **out, size_t *out_count,
              struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    struct slw_kv *tags = NULL;
    size_t count = 0, cap = 0;
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, sql, err));
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

enum slw_rc
slw_registry_model_get(struct slw_tx *tx, struct slw_str name,
                       struct slw_arena *a, struct slw_registered_model *out,
                       struct slw_err *err)
{
    struct slw_registered_model m = {0};
    int64_t id = 0;
    {
        SLW_AUTO(slw_stmt, st);
        bool row = false;
        TRY(slw_stmt_prepare(&st, tx, SQL_GET, err));
        slw_stmt_str(&st, 1, name);
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return not_found(name, err);
        id = slw_col_i64(&st, 0);
        m.name = slw_col_dup(&st, 1, a);
        m.description = slw_col_dup(&st, 2, a);
        m.created_at_ms = slw_col_i64(&st, 3);
        m.updated_at_ms = slw_col_i64(&st, 4);
    }
    TRY(registry_tags(tx, SQL_TAGS, id, a, &m.tags, &m.tag_count, err));
    TRY(registry_aliases(tx, id, 0, a, &m.aliases, &m.alias_count, err));
    TRY(slw_registry_version_latest(tx, name, NULL, 0, a, &m.latest,
                                    &m.latest_count, err));
    *out = m;
    return SLW_OK;
}

enum slw_rc
slw_registry_model_list(struct slw_tx *tx, struct slw_arena *a,
                        struct slw_str **out, size_t *out_count,
                        struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    struct slw_str *names = NULL;
    size_t count = 0, cap = 0;
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_LIST, err));
    for (;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        names = slw_arena_grow(a, names, sizeof(*names), count, &cap);
        names[count++] = slw_col_dup(&st, 0, a);
    }
    *out = names;
    *out_count = count;
    return SLW_OK;
}

enum slw_rc
slw_registry_model_describe(struct slw_tx *tx, int64_t now_ms,
                            struct slw_str name, struct slw_str description,
                            struct slw_err *err)
{
    int64_t id = 0;
    TRY(registry_model_id(tx, name, &id, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_DESCRIBE, err));
    slw_stmt_i64(&st, 1, id);
    slw_stmt_str(&st, 2, description);
    slw_stmt_i64(&st, 3, now_ms);
    return slw_stmt_run(&st, err);
}

enum slw_rc
slw_registry_model_rename(struct slw_tx *tx, int64_t now_ms,
                          struct slw_str name, struct slw_str new_name,
                          struct slw_err *err)
{
    int64_t id = 0;
    TRY(name_check(new_name, err));
    TRY(registry_model_id(tx, name, &id, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_RENAME, err));
    slw_stmt_i64(&st, 1, id);
    slw_stmt_str(&st, 2, new_name);
    slw_stmt_i64(&st, 3, now_ms);
    TRY(slw_stmt_run(&st, err));
    if (slw_tx_changes(tx) == 0)
        return slw_fail(err, SLW_CONFLICT,
                        "Registered Model (name=%.*s) already exists.",
                        SLW_FMT(new_name));
    return SLW_OK;
}

enum slw_rc
slw_registry_model_delete(struct slw_tx *tx, int64_t now_ms,
                          struct slw_str name, struct slw_err *err)
{
    /* History too: the next model may get this row's number. */
    static const char *const steps[] = {
        SQL_DELETE_GATES,         SQL_DELETE_VERSION_TAGS,
        SQL_DELETE_ALIASES,       SQL_DELETE_ALIAS_HISTORY,
        SQL_DELETE_STAGE_HISTORY, SQL_DELETE_TAGS,
        SQL_DELETE_VERSIONS,      SQL_DELETE};
    int64_t id = 0;
    TRY(registry_model_id(tx, name, &id, err));
    for (size_t i = 0; i < SLW_ARRAY_LEN(steps); i++)
        TRY(registry_run_id(tx, steps[i], id, err));
    return slw_event_emit(tx, now_ms, "registry.model_deleted", name,
                          SLW_STR("{}"), err);
}

enum slw_rc
slw_registry_model_tag_set(struct slw_tx *tx, int64_t now_ms,
                           struct slw_str name, struct slw_kv tag,
                           struct slw_err *err)
{
    int64_t id = 0;
    TRY(registry_model_id(tx, name, &id, err));
    TRY(tag_put(tx, id, tag, err));
    const struct registry_news news = {
        .change = REGISTRY_MODEL_TAG_SET, .model = name, .tag = tag};
    return registry_announce(tx, now_ms, "registry.model_tag_set", &news, err);
}

enum slw_rc
slw_registry_model_tag_remove(struct slw_tx *tx, int64_t now_ms,
                              struct slw_str name, struct slw_str key,
                              struct slw_err *err)
{
    int64_t id = 0;
    TRY(registry_model_id(tx, name, &id, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_TAG_REMOVE, err));
    slw_stmt_i64(&st, 1, id);
    slw_stmt_str(&st, 2, key);
    TRY(slw_stmt_run(&st, err));
    if (slw_tx_changes(tx) == 0)
        return SLW_OK;
    const struct registry_news news = {.change = REGISTRY_MODEL_TAG_REMOVED,
                                       .model = name,
                                       .tag = {.key = key}};
    return registry_announce(tx, now_ms, "registry.model_tag_removed", &news,
                             err);
}
