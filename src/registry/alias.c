/* alias.c -- names such as "champion" that point at one version of a model.
 *
 * Moving an alias is how production changes hands, so the move, the line of
 * history and the event that announces it are one transaction.  History is
 * append-only: "which version was champion on 4 March" is one query. */
#include <strings.h>

#include "registry/registry_internal.h"
#include "store/event.h"

static const char SQL_PUT[] =
    "INSERT INTO registry_alias(model_id, name, version) VALUES(?1, ?2, ?3)"
    " ON CONFLICT(model_id, name) DO UPDATE SET version = excluded.version";
static const char SQL_REMOVE[] =
    "DELETE FROM registry_alias WHERE model_id = ?1 AND name = ?2";
static const char SQL_GET[] =
    "SELECT version FROM registry_alias WHERE model_id = ?1 AND name = ?2";
static const char SQL_LIST[] =
    "SELECT name, version FROM registry_alias WHERE model_id = ?1"
    " AND (?2 = 0 OR version = ?2) ORDER BY name";
static const char SQL_HISTORY_ADD[] =
    "INSERT INTO registry_alias_history(model_id, alias, from_ms, version,"
    " who, why) SELECT ?1, ?2, max(?3, coalesce((SELECT max(from_ms)"
    " FROM registry_alias_history WHERE model_id = ?1 AND alias = ?2), ?3)),"
    " ?4, ?5, ?6"; /* a clock that was set back does not reorder history */
static const char SQL_AT[] =
    "SELECT version FROM registry_alias_history WHERE model_id = ?1"
    " AND alias = ?2 AND from_ms <= ?3 ORDER BY from_ms DESC, id DESC LIMIT 1";
static bool
alias_char_ok(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           (unsigned char)c >= 0x80;
}

/* "v12": would read like a version. */
static bool
looks_like_version(struct slw_str s)
{
    if (s.len < 2 || (s.ptr[0] != 'v' && s.ptr[0] != 'V'))
        return false;
    for (size_t i = 1; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    }
    return true;
}

/* What may be written at all. */
static enum slw_rc
text_check(struct slw_str alias, struct slw_err *err)
{
    if (alias.len == 0)
        return slw_fail(err, SLW_INVALID,
                        "Registered model alias name cannot be empty.");
    for (size_t i = 0; i < alias.len; i++) {
        if (!alias_char_ok(alias.ptr[i]))
            return slw_fail(err, SLW_INVALID,
                            "Invalid alias name: '%.*s'. Names may only "
                            "contain alphanumerics, underscores (_), and "
                            "dashes (-).",
                            SLW_FMT(slw_track_cut(alias, 255)));
    }
    if (slw_track_cut(alias, 255).len < alias.len)
        return slw_fail(err, SLW_INVALID,
                        "'Registered model alias name' exceeds the maximum "
                        "length of 255 characters");
    return SLW_OK;
}

/* What may be given to a version. */
static enum slw_rc
name_check(struct slw_str alias, struct slw_err *err)
{
    TRY(text_check(alias, err));
    if (slw_str_same(alias, SLW_STR("latest")))
        return slw_fail(err, SLW_INVALID,
                        "'latest' alias name (case insensitive) is reserved.");
    if (looks_like_version(alias))
        return slw_fail(err, SLW_INVALID,
                        "Version alias name '%.*s' is reserved.",
                        SLW_FMT(alias));
    return SLW_OK;
}

static enum slw_rc
current(struct slw_tx *tx, int64_t model_id, struct slw_str alias,
        int64_t *out_version, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_GET, err));
    slw_stmt_i64(&st, 1, model_id);
    slw_stmt_str(&st, 2, alias);
    TRY(slw_stmt_step(&st, &row, err));
    *out_version = row ? slw_col_i64(&st, 0) : 0;
    return SLW_OK;
}

struct move {
    int64_t now_ms, model_id, version, previous;
    struct slw_str model, alias, who, why;
};

/* The line of history and the event of a move (version 0: a removal). */
static enum slw_rc
record(struct slw_tx *tx, const struct move *m, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_HISTORY_ADD, err));
    slw_stmt_i64(&st, 1, m->model_id);
    slw_stmt_str(&st, 2, m->alias);
    slw_stmt_i64(&st, 3, m->now_ms);
    slw_stmt_i64(&st, 4, m->version);
    slw_stmt_str(&st, 5, m->who);
    slw_stmt_str(&st, 6, m->why);
    TRY(slw_stmt_run(&st, err));
    SLW_AUTO(slw_buf, payload);
    struct slw_jw w;
    slw_jw_init(&w, &payload);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "model", m->model);
    slw_jw_kstr(&w, "alias", m->alias);
    slw_jw_ki64(&w, "version", m->version);
    slw_jw_ki64(&w, "previous", m->previous);
    slw_jw_kstr(&w, "who", m->who);
    slw_jw_kstr(&w, "why", m->why);
    slw_jw_obj_end(&w);
    TRY(slw_event_emit(tx, m->now_ms,
                       m->version ? "registry.alias_set"
                                  : "registry.alias_removed",
                       m->model, slw_buf_view(&payload), err));
    const struct registry_news news = {
        .change = m->version ? REGISTRY_ALIAS_SET : REGISTRY_ALIAS_REMOVED,
        .model = m->model,
        .version = m->version,
        .tag = {.key = m->alias}};
    return registry_tell(tx, m->now_ms, &news, err);
}

enum slw_rc
slw_registry_alias_move(struct slw_tx *tx, int64_t now_ms, struct slw_str model,
                        struct slw_str alias, int64_t version,
                        struct slw_str who, struct slw_str why,
                        struct slw_err *err)
{
    SLW_ASSERT(tx->write);
    struct move m = {.now_ms = now_ms,
                     .model = model,
                     .alias = alias,
                     .version = version,
                     .who = who,
                     .why = why};
    int64_t version_id = 0;
    TRY(name_check(alias, err));
    TRY(registry_model_id(tx, model, &m.model_id, err));
    TRY(registry_version_id(tx, model, version, &version_id, err));
    TRY(current(tx, m.model_id, alias, &m.previous, err));
    SLW_AUTO(slw_stmt, put);
    TRY(slw_stmt_prepare(&put, tx, SQL_PUT, err));
    slw_stmt_i64(&put, 1, m.model_id);
    slw_stmt_str(&put, 2, alias);
    slw_stmt_i64(&put, 3, version);
    TRY(slw_stmt_run(&put, err));
    return record(tx, &m, err);
}

enum slw_rc
slw_registry_alias_set(struct slw_tx *tx, int64_t now_ms, struct slw_str model,
                       struct slw_str alias, int64_t version,
                       struct slw_str why, struct slw_err *err)
{
    return slw_registry_alias_move(tx, now_ms, model, alias, version,
                                   SLW_REGISTRY_SELF, why, err);
}

static enum slw_rc
remove_one(struct slw_tx *tx, struct move *m, struct slw_err *err)
{
    TRY(current(tx, m->model_id, m->alias, &m->previous, err));
    if (m->previous == 0)
        return SLW_OK;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_REMOVE, err));
    slw_stmt_i64(&st, 1, m->model_id);
    slw_stmt_str(&st, 2, m->alias);
    TRY(slw_stmt_run(&st, err));
    return record(tx, m, err);
}

enum slw_rc
slw_registry_alias_remove(struct slw_tx *tx, int64_t now_ms,
                          struct slw_str model, struct slw_str alias,
                          struct slw_str who, struct slw_str why,
                          struct slw_err *err)
{
    struct move m = {.now_ms = now_ms,
                     .model = model,
                     .alias = alias,
                     .who = who,
                     .why = why};
    TRY(text_check(alias, err));
    TRY(registry_model_id(tx, model, &m.model_id, err));
    return remove_one(tx, &m, err);
}

enum slw_rc
registry_aliases(struct slw_tx *tx, int64_t model_id, int64_t version,
                 struct slw_arena *a, struct slw_registered_alias **out,
                 size_t *out_count, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    struct slw_registered_alias *items = NULL;
    size_t count = 0, cap = 0;
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_LIST, err));
    slw_stmt_i64(&st, 1, model_id);
    slw_stmt_i64(&st, 2, version);
    for (;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        items = slw_arena_grow(a, items, sizeof(*items), count, &cap);
        items[count++] = (struct slw_registered_alias){slw_col_dup(&st, 0, a),
                                                       slw_col_i64(&st, 1)};
    }
    *out = items;
    *out_count = count;
    return SLW_OK;
}

enum slw_rc
registry_aliases_drop(struct slw_tx *tx, int64_t now_ms, struct slw_str model,
                      int64_t model_id, int64_t version, struct slw_str who,
                      struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_registered_alias *items = NULL;
    size_t count = 0;
    TRY(registry_aliases(tx, model_id, version, &a, &items, &count, err));
    for (size_t i = 0; i < count; i++) {
        struct move m = {.now_ms = now_ms,
                         .model = model,
                         .model_id = model_id,
                         .alias = items[i].name,
                         .who = who,
                         .why = SLW_STR("its version was deleted")};
        TRY(remove_one(tx, &m, err));
    }
    return SLW_OK;
}

static enum slw_rc
past_version(struct slw_tx *tx, int64_t model_id, struct slw_str alias,
             int64_t at_ms, int64_t *out_version, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_AT, err));
    slw_stmt_i64(&st, 1, model_id);
    slw_stmt_str(&st, 2, alias);
    slw_stmt_i64(&st, 3, at_ms);
    TRY(slw_stmt_step(&st, &row, err));
    *out_version = row ? slw_col_i64(&st, 0) : 0;
    return SLW_OK;
}

enum slw_rc
slw_registry_alias_at(struct slw_tx *tx, struct slw_str model,
                      struct slw_str alias, int64_t at_ms, int64_t *out_version,
                      struct slw_err *err)
{
    int64_t model_id = 0, version = 0;
    TRY(registry_model_id(tx, model, &model_id, err));
    if (at_ms == INT64_MAX)
        TRY(current(tx, model_id, alias, &version, err));
    else
        TRY(past_version(tx, model_id, alias, at_ms, &version, err));
    if (version == 0)
        return slw_fail(err, SLW_NOT_FOUND,
                        "Registered model alias %.*s not found.",
                        SLW_FMT(alias));
    *out_version = version;
    return SLW_OK;
}
