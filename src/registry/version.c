/* version.c -- versions of registered models.  A version is a number under a
 * name; what it is (a release of ours, or bytes a client logged) never
 * changes, what people say about it (stage, description, tags) does. */
#include <strings.h>

#include "registry/registry_internal.h"
#include "store/event.h"

#define COLUMNS                                                                \
    "v.id, m.name, v.version, v.release, v.run_id, v.source, v.description,"   \
    " v.stage, v.status, v.created_at_ms, v.updated_at_ms, v.run_link,"        \
    " v.logged_model, v.gate_id, v.model_id"
#define FROM                                                                   \
    " FROM registry_version v JOIN registry_model m ON m.id = v.model_id"

static const char SQL_NEXT[] =
    "UPDATE registry_model SET next_version = next_version + 1,"
    " updated_at_ms = ?2 WHERE id = ?1 RETURNING next_version - 1";
static const char SQL_ADD[] =
    "INSERT INTO registry_version(model_id, version, release, run_id,"
    " run_link, source, logged_model, description, stage, status, gate_id,"
    " created_at_ms, updated_at_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
    " 'None', 'READY', 0, ?9, ?9)";
static const char SQL_BY_ID[] = "SELECT " COLUMNS FROM " WHERE v.id = ?1";
static const char SQL_FIND[] =
    "SELECT v.id" FROM " WHERE m.name = ?1 AND v.version = ?2";
static const char SQL_NEWEST[] =
    "SELECT v.id" FROM " WHERE m.name = ?1 ORDER BY v.version DESC LIMIT 1";
static const char SQL_LIST[] = "SELECT v.id" FROM " WHERE m.name = ?1"
                               " ORDER BY v.version DESC";
static const char SQL_PAGE[] = "SELECT v.id" FROM " WHERE m.name = ?1"
                               " ORDER BY v.version DESC LIMIT ?2 OFFSET ?3";
static const char SQL_PAGE_OLDEST[] = "SELECT v.id" FROM " WHERE m.name = ?1"
                                      " ORDER BY v.version LIMIT ?2 OFFSET ?3";
static const char SQL_COUNT[] =
    "SELECT count(*) FROM registry_version WHERE model_id = ?1";
static const char SQL_LATEST[] =
    "SELECT v.id" FROM " WHERE m.name = ?1 AND v.stage = ?2"
    " ORDER BY v.version DESC LIMIT 1";
static const char SQL_TAGS[] =
    "SELECT key, value FROM registry_version_tag WHERE version_id = ?1"
    " ORDER BY key";
static const char SQL_GATE[] =
    "SELECT gate, passed FROM registry_gate WHERE id = ?1";
static const char SQL_DESCRIBE[] =
    "UPDATE registry_version SET description = ?2, updated_at_ms = ?3"
    " WHERE id = ?1";
static const char SQL_STAGE[] =
    "UPDATE registry_version SET stage = ?2, updated_at_ms = ?3 WHERE id = ?1";
static const char SQL_OTHERS[] =
    "SELECT version FROM registry_version WHERE model_id = ?1 AND stage = ?2"
    " AND version <> ?3 ORDER BY version";
static const char SQL_STAGE_OF[] =
    "SELECT id, stage FROM registry_version WHERE model_id = ?1"
    " AND version = ?2";
static const char SQL_TOUCH[] =
    "UPDATE registry_model SET updated_at_ms = ?2 WHERE id ="
    " (SELECT model_id FROM registry_version WHERE id = ?1)";
static const char SQL_TAG_PUT[] =
    "INSERT INTO registry_version_tag(version_id, key, value)"
    " VALUES(?1, ?2, ?3) ON CONFLICT(version_id, key)"
    " DO UPDATE SET value = excluded.value";
static const char SQL_TAG_REMOVE[] =
    "DELETE FROM registry_version_tag WHERE version_id = ?1 AND key = ?2";
static const char SQL_DELETE_TAGS[] =
    "DELETE FROM registry_version_tag WHERE version_id = ?1";
static const char SQL_DELETE_GATES[] =
    "DELETE FROM registry_gate WHERE version_id = ?1";
static const char SQL_DELETE[] = "DELETE FROM registry_version WHERE id = ?1";

static const char *const STAGES[] = {"None", "Staging", "Production",
                                     "Archived"};

enum slw_rc
registry_stage_parse(struct slw_str s, const char **out, struct slw_err *err)
{
    for (size_t i = 0; i < SLW_ARRAY_LEN(STAGES); i++) {
        if (slw_str_same(s, slw_str_of(STAGES[i]))) {
            *out = STAGES[i];
            return SLW_OK;
        }
    }
    return slw_fail(err, SLW_INVALID,
                    "Invalid Model Version stage: %.*s. Value must be one of "
                    "None, Staging, Production, Archived.",
                    SLW_FMT(s));
}

/* ---- making ---- */

static enum slw_rc
next_number(struct slw_tx *tx, int64_t now_ms, int64_t model_id, int64_t *out,
            struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_NEXT, err));
    slw_stmt_i64(&st, 1, model_id);
    slw_stmt_i64(&st, 2, now_ms);
    TRY(slw_stmt_step(&st, &row, err));
    SLW_ASSERT(row);
    *out = slw_col_i64(&st, 0);
    return SLW_OK;
}

enum slw_rc
registry_version_tag_put(struct slw_tx *tx, int64_t id, struct slw_kv tag,
                         struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_TAG_PUT, err));
    slw_stmt_i64(&st, 1, id);
    slw_stmt_str(&st, 2, tag.key);
    slw_stmt_str(&st, 3, tag.value);
    return slw_stmt_run(&st, err);
}

enum slw_rc
slw_registry_version_register(struct slw_tx *tx, int64_t now_ms,
                              struct slw_str model,
                              const struct slw_version_new *v,
                              int64_t *out_version, struct slw_err *err)
{
    SLW_ASSERT(tx->write);
    int64_t model_id = 0, version = 0;
    for (size_t i = 0; i < v->tag_count; i++)
        TRY(registry_tag_check(v->tags[i], err));
    TRY(registry_model_id(tx, model, &model_id, err));
    TRY(next_number(tx, now_ms, model_id, &version, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_ADD, err));
    slw_stmt_i64(&st, 1, model_id);
    slw_stmt_i64(&st, 2, version);
    slw_stmt_str(&st, 3, v->release);
    slw_stmt_str(&st, 4, v->run_id);
    slw_stmt_str(&st, 5, v->run_link);
    slw_stmt_str(&st, 6, v->source);
    slw_stmt_str(&st, 7, v->logged_model);
    slw_stmt_str(&st, 8, v->description);
    slw_stmt_i64(&st, 9, now_ms);
    TRY(slw_stmt_run(&st, err));
    const int64_t id = slw_tx_last_id(tx);
    for (size_t i = 0; i < v->tag_count; i++)
        TRY(registry_version_tag_put(tx, id, v->tags[i], err));
    const struct registry_stage_move born = {.now_ms = now_ms,
                                             .model_id = model_id,
                                             .version = version,
                                             .from = SLW_STR(""),
                                             .to = SLW_STR("None"),
                                             .who = SLW_STR(""),
                                             .why = SLW_STR("")};
    TRY(registry_stage_record(tx, &born, err));
    SLW_AUTO(slw_buf, payload);
    struct slw_jw w;
    slw_jw_init(&w, &payload);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "model", model);
    slw_jw_ki64(&w, "version", version);
    slw_jw_kstr(&w, "release", v->release);
    slw_jw_kstr(&w, "run_id", v->run_id);
    slw_jw_obj_end(&w);
    TRY(slw_event_emit(tx, now_ms, "registry.version_added", model,
                       slw_buf_view(&payload), err));
    const struct registry_news news = {.change = REGISTRY_VERSION_ADDED,
                                       .model = model,
                                       .version = version,
                                       .description = v->description,
                                       .source = v->source,
                                       .run_id = v->run_id,
                                       .tags_sql = SQL_TAGS,
                                       .tags_of = id};
    TRY(registry_tell(tx, now_ms, &news, err));
    *out_version = version;
    return SLW_OK;
}

enum slw_rc
slw_registry_version_add(struct slw_tx *tx, int64_t now_ms,
                         struct slw_str model, struct slw_str release,
                         struct slw_str run_id, struct slw_str source,
                         struct slw_str description, int64_t *out_version,
                         struct slw_err *err)
{
    const struct slw_version_new v = {.release = release,
                                      .run_id = run_id,
                                      .source = source,
                                      .description = description};
    return slw_registry_version_register(tx, now_ms, model, &v, out_version,
                                         err);
}

/* ---- reading ---- */

static enum slw_rc
gate_read(struct slw_tx *tx, int64_t gate_id, struct slw_arena *a,
          struct slw_version *v, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    v->gate = v->gate_verdict = SLW_STR("");
    if (gate_id == 0)
        return SLW_OK;
    TRY(slw_stmt_prepare(&st, tx, SQL_GATE, err));
    slw_stmt_i64(&st, 1, gate_id);
    TRY(slw_stmt_step(&st, &row, err));
    if (row) {
        v->gate = slw_col_dup(&st, 0, a);
        v->gate_verdict =
            slw_col_i64(&st, 1) ? SLW_STR("passed") : SLW_STR("refused");
    }
    return SLW_OK;
}

static void
version_read(struct slw_stmt *st, struct slw_arena *a, struct slw_version *out)
{
    *out = (struct slw_version){
        .id = slw_col_i64(st, 0),
        .model = slw_col_dup(st, 1, a),
        .version = slw_col_i64(st, 2),
        .release = slw_col_dup(st, 3, a),
        .run_id = slw_col_dup(st, 4, a),
        .source = slw_col_dup(st, 5, a),
        .description = slw_col_dup(st, 6, a),
        .stage = slw_col_dup(st, 7, a),
        .status = slw_col_dup(st, 8, a),
        .created_at_ms = slw_col_i64(st, 9),
        .updated_at_ms = slw_col_i64(st, 10),
        .run_link = slw_col_dup(st, 11, a),
        .logged_model = slw_col_dup(st, 12, a),
    };
}

enum slw_rc
registry_version_by_id(struct slw_tx *tx, int64_t id, struct slw_arena *a,
                       struct slw_version *out, struct slw_err *err)
{
    struct slw_version v;
    struct slw_registered_alias *aliases = NULL;
    int64_t gate_id = 0, model_id = 0;
    {
        SLW_AUTO(slw_stmt, st);
        bool row = false;
        TRY(slw_stmt_prepare(&st, tx, SQL_BY_ID, err));
        slw_stmt_i64(&st, 1, id);
        TRY(slw_stmt_step(&st, &row, err));
        SLW_ASSERT(row); /* ids come from this transaction */
        version_read(&st, a, &v);
        gate_id = slw_col_i64(&st, 13);
        model_id = slw_col_i64(&st, 14);
    }
    TRY(gate_read(tx, gate_id, a, &v, err));
    TRY(registry_tags(tx, SQL_TAGS, id, a, &v.tags, &v.tag_count, err));
    TRY(registry_aliases(tx, model_id, v.version, a, &aliases, &v.alias_count,
                         err));
    v.aliases = SLW_ARENA_NEW(a, struct slw_str, v.alias_count + 1);
    for (size_t i = 0; i < v.alias_count; i++)
        v.aliases[i] = aliases[i].name;
    *out = v;
    return SLW_OK;
}

static enum slw_rc
not_found(struct slw_str model, int64_t version, struct slw_err *err)
{
    return slw_fail(err, SLW_NOT_FOUND,
                    "Model Version (name=%.*s, version=%lld) not found",
                    SLW_FMT(model), (long long)version);
}

enum slw_rc
registry_version_id(struct slw_tx *tx, struct slw_str model, int64_t version,
                    int64_t *out_id, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_FIND, err));
    slw_stmt_str(&st, 1, model);
    slw_stmt_i64(&st, 2, version);
    TRY(slw_stmt_step(&st, &row, err));
    if (!row)
        return not_found(model, version, err);
    *out_id = slw_col_i64(&st, 0);
    return SLW_OK;
}

static enum slw_rc
newest_id(struct slw_tx *tx, struct slw_str model, int64_t *out_id,
          struct slw_err *err)
{
    int64_t model_id = 0;
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(registry_model_id(tx, model, &model_id, err));
    TRY(slw_stmt_prepare(&st, tx, SQL_NEWEST, err));
    slw_stmt_str(&st, 1, model);
    TRY(slw_stmt_step(&st, &row, err));
    if (!row)
        return slw_fail(err, SLW_NOT_FOUND,
                        "Latest version not found for model %.*s.",
                        SLW_FMT(model));
    *out_id = slw_col_i64(&st, 0);
    return SLW_OK;
}

enum slw_rc
slw_registry_version_get(struct slw_tx *tx, struct slw_str model,
                         int64_t version, struct slw_arena *a,
                         struct slw_version *out, struct slw_err *err)
{
    int64_t id = 0;
    if (version == 0)
        TRY(newest_id(tx, model, &id, err));
    else
        TRY(registry_version_id(tx, model, version, &id, err));
    return registry_version_by_id(tx, id, a, out, err);
}

enum slw_rc
slw_registry_version_find(struct slw_tx *tx, struct slw_str model,
                          struct slw_str ref, struct slw_arena *a,
                          struct slw_version *out, struct slw_err *err)
{
    struct slw_err ignored;
    int64_t version = 0;
    if (ref.len == 0 || slw_str_eqz(ref, "latest"))
        return slw_registry_version_get(tx, model, 0, a, out, err);
    if (slw_str_i64(ref, &version, &ignored) == SLW_OK && version <= 0)
        return not_found(model, version, err);
    if (version == 0)
        TRY(slw_registry_alias_at(tx, model, ref, INT64_MAX, &version, err));
    return slw_registry_version_get(tx, model, version, a, out, err);
}

enum slw_rc
slw_registry_version_list(struct slw_tx *tx, struct slw_str model,
                          struct slw_arena *a, struct slw_version **out,
                          size_t *out_count, struct slw_err *err)
{
    int64_t model_id = 0, *ids = NULL;
    size_t count = 0, cap = 0;
    TRY(registry_model_id(tx, model, &model_id, err));
    {
        SLW_AUTO(slw_stmt, st);
        bool row = false;
        TRY(slw_stmt_prepare(&st, tx, SQL_LIST, err));
        slw_stmt_str(&st, 1, model);
        for (;;) {
            TRY(slw_stmt_step(&st, &row, err));
            if (!row)
                break;
            ids = slw_arena_grow(a, ids, sizeof(*ids), count, &cap);
            ids[count++] = slw_col_i64(&st, 0);
        }
    }
    struct slw_version *versions =
        SLW_ARENA_NEW(a, struct slw_version, count + 1);
    for (size_t i = 0; i < count; i++)
        TRY(registry_version_by_id(tx, ids[i], a, &versions[i], err));
    *out = versions;
    *out_count = count;
    return SLW_OK;
}

enum slw_rc
slw_registry_version_page(struct slw_tx *tx, struct slw_str model,
                          bool oldest_first, size_t offset, size_t limit,
                          struct slw_arena *a, struct slw_version **out,
                          size_t *out_count, int64_t *out_total,
                          struct slw_err *err)
{
    int64_t model_id = 0;
    int64_t *ids = SLW_ARENA_NEW(a, int64_t, limit + 1);
    size_t count = 0;
    bool row = false;
    TRY(registry_model_id(tx, model, &model_id, err));
    SLW_AUTO(slw_stmt, total);
    TRY(slw_stmt_prepare(&total, tx, SQL_COUNT, err));
    slw_stmt_i64(&total, 1, model_id);
    TRY(slw_stmt_step(&total, &row, err));
    {
        SLW_AUTO(slw_stmt, st);
        TRY(slw_stmt_prepare(&st, tx, oldest_first ? SQL_PAGE_OLDEST : SQL_PAGE,
                             err));
        slw_stmt_str(&st, 1, model);
        slw_stmt_i64(&st, 2, (int64_t)limit);
        slw_stmt_i64(&st, 3, (int64_t)offset);
        for (bool more = true; more;) {
            TRY(slw_stmt_step(&st, &more, err));
            if (more)
                ids[count++] = slw_col_i64(&st, 0);
        }
    }
    struct slw_version *versions =
        SLW_ARENA_NEW(a, struct slw_version, count + 1);
    for (size_t i = 0; i < count; i++)
        TRY(registry_version_by_id(tx, ids[i], a, &versions[i], err));
    *out = versions;
    *out_count = count;
    *out_total = row ? slw_col_i64(&total, 0) : 0;
    return SLW_OK;
}

static enum slw_rc
latest_id(struct slw_tx *tx, struct slw_str model, const char *stage,
          int64_t *out_id, bool *out_found, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_LATEST, err));
    slw_stmt_str(&st, 1, model);
    slw_stmt_str(&st, 2, slw_str_of(stage));
    TRY(slw_stmt_step(&st, out_found, err));
    if (*out_found)
        *out_id = slw_col_i64(&st, 0);
    return SLW_OK;
}

enum slw_rc
slw_registry_version_latest(struct slw_tx *tx, struct slw_str model,
                            const struct slw_str *stages, size_t stage_count,
                            struct slw_arena *a, struct slw_version **out,
                            size_t *out_count, struct slw_err *err)
{
    size_t wanted = stage_count ? stage_count : SLW_ARRAY_LEN(STAGES);
    struct slw_version *found =
        SLW_ARENA_NEW(a, struct slw_version, wanted + 1);
    size_t count = 0;
    int64_t model_id = 0;
    TRY(registry_model_id(tx, model, &model_id, err));
    for (size_t i = 0; i < wanted; i++) {
        const char *stage = STAGES[i % SLW_ARRAY_LEN(STAGES)];
        int64_t id = 0;
        bool there = false;
        if (stage_count)
            TRY(registry_stage_parse(stages[i], &stage, err));
        TRY(latest_id(tx, model, stage, &id, &there, err));
        if (there)
            TRY(registry_version_by_id(tx, id, a, &found[count++], err));
    }
    *out = found;
    *out_count = count;
    return SLW_OK;
}

/* ---- what people say about a version ---- */

static enum slw_rc
touch(struct slw_tx *tx, int64_t now_ms, int64_t id, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_TOUCH, err));
    slw_stmt_i64(&st, 1, id);
    slw_stmt_i64(&st, 2, now_ms);
    return slw_stmt_run(&st, err);
}

/* `sql` with ?1 = id, ?2 = text, ?3 = now. */
static enum slw_rc
set_text(struct slw_tx *tx, const char *sql, int64_t now_ms, int64_t id,
         struct slw_str text, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, sql, err));
    slw_stmt_i64(&st, 1, id);
    slw_stmt_str(&st, 2, text);
    slw_stmt_i64(&st, 3, now_ms);
    return slw_stmt_run(&st, err);
}

enum slw_rc
slw_registry_version_describe(struct slw_tx *tx, int64_t now_ms,
                              struct slw_str model, int64_t version,
                              struct slw_str description, struct slw_err *err)
{
    int64_t id = 0;
    TRY(registry_version_id(tx, model, version, &id, err));
    return set_text(tx, SQL_DESCRIBE, now_ms, id, description, err);
}

/* One version to a stage: the row, its line of history, the event.  One that
 * is there already is touched and nothing else. */
static enum slw_rc
stage_one(struct slw_tx *tx, struct slw_str model,
          const struct registry_stage_move *move, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct registry_stage_move m = *move;
    int64_t id = 0;
    {
        SLW_AUTO(slw_stmt, st);
        bool row = false;
        TRY(slw_stmt_prepare(&st, tx, SQL_STAGE_OF, err));
        slw_stmt_i64(&st, 1, m.model_id);
        slw_stmt_i64(&st, 2, m.version);
        TRY(slw_stmt_step(&st, &row, err));
        SLW_ASSERT(row); /* the caller found it in this transaction */
        id = slw_col_i64(&st, 0);
        m.from = slw_col_dup(&st, 1, &a);
    }
    TRY(set_text(tx, SQL_STAGE, m.now_ms, id, m.to, err));
    if (slw_str_eq(m.from, m.to))
        return SLW_OK;
    TRY(registry_stage_record(tx, &m, err));
    SLW_AUTO(slw_buf, payload);
    struct slw_jw w;
    slw_jw_init(&w, &payload);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "model", model);
    slw_jw_ki64(&w, "version", m.version);
    slw_jw_kstr(&w, "stage", m.to);
    slw_jw_kstr(&w, "previous", m.from);
    slw_jw_kstr(&w, "who", m.who);
    slw_jw_kstr(&w, "why", m.why);
    slw_jw_obj_end(&w);
    return slw_event_emit(tx, m.now_ms, "registry.stage_set", model,
                          slw_buf_view(&payload), err);
}

/* Versions in a stage but one. */
static enum slw_rc
others_in(struct slw_tx *tx, int64_t model_id, const char *stage,
          int64_t version, struct slw_arena *a, int64_t **out,
          size_t *out_count, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    int64_t *items = NULL;
    size_t count = 0, cap = 0;
    TRY(slw_stmt_prepare(&st, tx, SQL_OTHERS, err));
    slw_stmt_i64(&st, 1, model_id);
    slw_stmt_str(&st, 2, slw_str_of(stage));
    slw_stmt_i64(&st, 3, version);
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        items = slw_arena_grow(a, items, sizeof(*items), count, &cap);
        items[count++] = slw_col_i64(&st, 0);
    }
    *out = items;
    *out_count = count;
    return SLW_OK;
}

enum slw_rc
slw_registry_version_stage(struct slw_tx *tx, int64_t now_ms,
                           struct slw_str model, int64_t version,
                           struct slw_str stage, bool archive_others,
                           struct slw_str who, struct slw_str why,
                           struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    const char *name = NULL;
    int64_t id = 0, *others = NULL;
    size_t other_count = 0;
    struct registry_stage_move m = {.now_ms = now_ms, .who = who, .why = why};
    TRY(registry_stage_parse(stage, &name, err));
    bool active =
        strcmp(name, "Staging") == 0 || strcmp(name, "Production") == 0;
    if (archive_others && !active)
        return slw_fail(err, SLW_INVALID,
                        "Model version transition cannot archive existing "
                        "model versions because '%s' is not an Active stage. "
                        "Valid stages are Staging, Production",
                        name);
    TRY(registry_version_id(tx, model, version, &id, err));
    TRY(registry_model_id(tx, model, &m.model_id, err));
    if (archive_others)
        TRY(others_in(tx, m.model_id, name, version, &a, &others, &other_count,
                      err));
    m.to = SLW_STR("Archived");
    for (size_t i = 0; i < other_count; i++) {
        m.version = others[i];
        TRY(stage_one(tx, model, &m, err));
    }
    m.to = slw_str_of(name);
    m.version = version;
    TRY(stage_one(tx, model, &m, err));
    return touch(tx, now_ms, id, err);
}

static enum slw_rc
stage_end(struct slw_tx *tx, int64_t now_ms, int64_t model_id, int64_t version,
          struct slw_str who, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct registry_stage_move m = {.now_ms = now_ms,
                                    .model_id = model_id,
                                    .version = version,
                                    .to = SLW_STR(""),
                                    .who = who,
                                    .why = SLW_STR("the version was deleted")};
    {
        SLW_AUTO(slw_stmt, st);
        bool row = false;
        TRY(slw_stmt_prepare(&st, tx, SQL_STAGE_OF, err));
        slw_stmt_i64(&st, 1, model_id);
        slw_stmt_i64(&st, 2, version);
        TRY(slw_stmt_step(&st, &row, err));
        SLW_ASSERT(row);
        m.from = slw_col_dup(&st, 1, &a);
    }
    return registry_stage_record(tx, &m, err);
}

enum slw_rc
slw_registry_version_delete(struct slw_tx *tx, int64_t now_ms,
                            struct slw_str model, int64_t version,
                            struct slw_str who, struct slw_err *err)
{
    int64_t id = 0, model_id = 0;
    TRY(registry_model_id(tx, model, &model_id, err));
    TRY(registry_version_id(tx, model, version, &id, err));
    TRY(registry_aliases_drop(tx, now_ms, model, model_id, version, who, err));
    TRY(stage_end(tx, now_ms, model_id, version, who, err));
    TRY(touch(tx, now_ms, id, err));
    TRY(registry_run_id(tx, SQL_DELETE_TAGS, id, err));
    TRY(registry_run_id(tx, SQL_DELETE_GATES, id, err));
    TRY(registry_run_id(tx, SQL_DELETE, id, err));
    char payload[64];
    int n = snprintf(payload, sizeof(payload), "{\"version\":%lld}",
                     (long long)version);
    return slw_event_emit(tx, now_ms, "registry.version_deleted", model,
                          (struct slw_str){payload, (size_t)n}, err);
}

enum slw_rc
slw_registry_version_tag_set(struct slw_tx *tx, int64_t now_ms,
                             struct slw_str model, int64_t version,
                             struct slw_kv tag, struct slw_err *err)
{
    int64_t id = 0;
    TRY(registry_tag_check(tag, err));
    TRY(registry_version_id(tx, model, version, &id, err));
    TRY(registry_version_tag_put(tx, id, tag, err));
    const struct registry_news news = {.change = REGISTRY_VERSION_TAG_SET,
                                       .model = model,
                                       .version = version,
                                       .tag = tag};
    return registry_announce(tx, now_ms, "registry.version_tag_set", &news,
                             err);
}

enum slw_rc
slw_registry_version_tag_remove(struct slw_tx *tx, int64_t now_ms,
                                struct slw_str model, int64_t version,
                                struct slw_str key, struct slw_err *err)
{
    int64_t id = 0;
    TRY(registry_version_id(tx, model, version, &id, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_TAG_REMOVE, err));
    slw_stmt_i64(&st, 1, id);
    slw_stmt_str(&st, 2, key);
    TRY(slw_stmt_run(&st, err));
    if (slw_tx_changes(tx) == 0)
        return SLW_OK;
    const struct registry_news news = {.change = REGISTRY_VERSION_TAG_REMOVED,
                                       .model = model,
                                       .version = version,
                                       .tag = {.key = key}};
    return registry_announce(tx, now_ms, "registry.version_tag_removed", &news,
                             err);
}

void
slw_registry_version_write(struct slw_jw *w, const struct slw_version *v)
{
    slw_jw_obj(w);
    slw_jw_kstr(w, "model", v->model);
    slw_jw_ki64(w, "version", v->version);
    slw_jw_kstr(w, "release", v->release);
    slw_jw_kstr(w, "run_id", v->run_id);
    slw_jw_kstr(w, "source", v->source);
    slw_jw_kstr(w, "description", v->description);
    slw_jw_kstr(w, "stage", v->stage);
    slw_jw_kstr(w, "status", v->status);
    slw_jw_ki64(w, "created_at_ms", v->created_at_ms);
    slw_jw_ki64(w, "updated_at_ms", v->updated_at_ms);
    slw_jw_kstr(w, "gate_verdict", v->gate_verdict);
    slw_jw_kraw(w, "gate", v->gate.len ? v->gate : SLW_STR("null"));
    slw_jw_key(w, "aliases");
    slw_jw_arr(w);
    for (size_t i = 0; i < v->alias_count; i++)
        slw_jw_str(w, v->aliases[i]);
    slw_jw_arr_end(w);
    slw_jw_key(w, "tags");
    slw_jw_obj(w);
    for (size_t i = 0; i < v->tag_count; i++) {
        slw_jw_keys(w, v->tags[i].key);
        slw_jw_str(w, v->tags[i].value);
    }
    slw_jw_obj_end(w);
    slw_jw_obj_end(w);
}
