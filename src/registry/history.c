/* history.c -- what was what when: every move of an alias and every change of
 * a stage, who made it and why; and putting an earlier state back.
 *
 * Both histories are append-only and their times never fall (a clock that is
 * set back writes the time of the line before), so the state at an instant is
 * the last line up to it.  Putting back is a move like any other: it adds
 * lines and takes none away. */
#include "base/clock.h"
#include "registry/registry_internal.h"

static const char SQL_STAGE_ADD[] =
    "INSERT INTO registry_stage_history(model_id, version, from_ms, from_stage,"
    " to_stage, who, why) SELECT ?1, ?2, max(?3, coalesce((SELECT max(from_ms)"
    " FROM registry_stage_history WHERE model_id = ?1 AND version = ?2), ?3)),"
    " ?4, ?5, ?6, ?7";
/* The moves asked for: ?2 alias, ?3 stage ('': all), ?4 until. */
#define ALIAS_MOVES                                                            \
    "SELECT h.from_ms AS at_ms, h.alias AS alias, h.version AS version,"       \
    " '' AS from_stage, '' AS to_stage, h.who AS who, h.why AS why,"           \
    " h.id AS id FROM registry_alias_history h WHERE h.model_id = ?1"          \
    " AND (h.alias = ?2 OR (?2 = '' AND ?3 = '')) AND h.from_ms <= ?4"
#define STAGE_MOVES                                                            \
    "SELECT h.from_ms, '', h.version, h.from_stage, h.to_stage, h.who, h.why," \
    " h.id FROM registry_stage_history h WHERE h.model_id = ?1"                \
    " AND (h.from_stage = ?3 OR h.to_stage = ?3 OR (?2 = '' AND ?3 = ''))"     \
    " AND (?3 = 'None' OR h.from_stage <> '') AND h.from_ms <= ?4"
#define MOVES ALIAS_MOVES " UNION ALL " STAGE_MOVES
/* What an alias named before is looked up for the page only. */
static const char SQL_MOVES[] =
    "SELECT m.at_ms, m.alias, m.version, CASE m.alias WHEN '' THEN 0 ELSE"
    " coalesce((SELECT p.version FROM registry_alias_history p"
    "  WHERE p.model_id = ?1 AND p.alias = m.alias AND p.from_ms <= m.at_ms"
    "  AND p.id < m.id ORDER BY p.from_ms DESC, p.id DESC LIMIT 1), 0) END,"
    " m.from_stage, m.to_stage, m.who, m.why FROM"
    " (" MOVES " ORDER BY 1 DESC, 2, 8 DESC LIMIT ?5 OFFSET ?6) m"
    " ORDER BY m.at_ms DESC, m.alias, m.id DESC";
static const char SQL_MOVE_COUNT[] = "SELECT count(*) FROM (" MOVES ")";
static const char SQL_ALIASES_AT[] =
    "SELECT h.from_ms, h.alias, h.version, 0, '', '', h.who, h.why"
    " FROM (SELECT DISTINCT alias FROM registry_alias_history"
    "  WHERE model_id = ?1 AND (?2 = '' OR alias = ?2)) d"
    " JOIN registry_alias_history h ON h.id ="
    " (SELECT l.id FROM registry_alias_history l"
    "  WHERE l.model_id = ?1 AND l.alias = d.alias AND l.from_ms <= ?3"
    "  ORDER BY l.from_ms DESC, l.id DESC LIMIT 1)"
    " WHERE h.version <> 0 ORDER BY h.alias";
static const char SQL_STAGES_AT[] =
    "SELECT h.from_ms, '', h.version, 0, h.from_stage, h.to_stage, h.who,"
    " h.why FROM (SELECT DISTINCT version FROM registry_stage_history"
    "  WHERE model_id = ?1) d JOIN registry_stage_history h ON h.id ="
    " (SELECT l.id FROM registry_stage_history l"
    "  WHERE l.model_id = ?1 AND l.version = d.version AND l.from_ms <= ?3"
    "  ORDER BY l.from_ms DESC, l.id DESC LIMIT 1)"
    " WHERE h.to_stage = ?2 OR (?2 = '' AND h.to_stage NOT IN ('', 'None'))"
    " ORDER BY h.to_stage, h.version";
static const char SQL_ALIAS_NAMED[] =
    "SELECT 1 FROM registry_alias_history WHERE model_id = ?1 AND alias = ?2"
    " AND version = ?3 LIMIT 1";
static const char SQL_ALIAS_FIRST[] =
    "SELECT from_ms FROM registry_alias_history WHERE model_id = ?1"
    " AND alias = ?2 ORDER BY from_ms, id LIMIT 1";
static const char SQL_STAGE_FIRST[] =
    "SELECT from_ms FROM registry_stage_history WHERE model_id = ?1"
    " AND to_stage = ?2 ORDER BY from_ms, id LIMIT 1";

enum slw_rc
registry_stage_record(struct slw_tx *tx, const struct registry_stage_move *m,
                      struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_STAGE_ADD, err));
    slw_stmt_i64(&st, 1, m->model_id);
    slw_stmt_i64(&st, 2, m->version);
    slw_stmt_i64(&st, 3, m->now_ms);
    slw_stmt_str(&st, 4, m->from);
    slw_stmt_str(&st, 5, m->to);
    slw_stmt_str(&st, 6, m->who);
    slw_stmt_str(&st, 7, m->why);
    return slw_stmt_run(&st, err);
}

/* ---- reading ---- */

static enum slw_rc
moves_read(struct slw_stmt *st, struct slw_arena *a,
           struct slw_registry_move **out, size_t *out_count,
           struct slw_err *err)
{
    struct slw_registry_move *moves = NULL;
    size_t count = 0, cap = 0;
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(st, &row, err));
        if (!row)
            break;
        moves = slw_arena_grow(a, moves, sizeof(*moves), count, &cap);
        moves[count++] = (struct slw_registry_move){
            .at_ms = slw_col_i64(st, 0),
            .alias = slw_col_dup(st, 1, a),
            .version = slw_col_i64(st, 2),
            .previous = slw_col_i64(st, 3),
            .from = slw_col_dup(st, 4, a),
            .to = slw_col_dup(st, 5, a),
            .who = slw_col_dup(st, 6, a),
            .why = slw_col_dup(st, 7, a),
        };
    }
    *out = moves;
    *out_count = count;
    return SLW_OK;
}

/* The stage's canonical name; "" stays. */
static enum slw_rc
stage_name(struct slw_str stage, struct slw_str *out, struct slw_err *err)
{
    const char *name = "";
    if (stage.len)
        TRY(registry_stage_parse(stage, &name, err));
    *out = slw_str_of(name);
    return SLW_OK;
}

static void
moves_bind(struct slw_stmt *st, int64_t model_id,
           const struct slw_registry_past *p, struct slw_str stage)
{
    slw_stmt_i64(st, 1, model_id);
    slw_stmt_str(st, 2, p->alias);
    slw_stmt_str(st, 3, stage);
    slw_stmt_i64(st, 4, p->until_ms);
}

enum slw_rc
slw_registry_history(struct slw_tx *tx, struct slw_str model,
                     const struct slw_registry_past *p, struct slw_arena *a,
                     struct slw_registry_move **out, size_t *out_count,
                     int64_t *out_total, struct slw_err *err)
{
    int64_t model_id = 0;
    struct slw_str stage;
    bool row = false;
    TRY(registry_model_id(tx, model, &model_id, err));
    TRY(stage_name(p->stage, &stage, err));
    SLW_AUTO(slw_stmt, count);
    TRY(slw_stmt_prepare(&count, tx, SQL_MOVE_COUNT, err));
    moves_bind(&count, model_id, p, stage);
    TRY(slw_stmt_step(&count, &row, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_MOVES, err));
    moves_bind(&st, model_id, p, stage);
    slw_stmt_i64(&st, 5, (int64_t)p->limit);
    slw_stmt_i64(&st, 6, (int64_t)p->offset);
    TRY(moves_read(&st, a, out, out_count, err));
    *out_total = row ? slw_col_i64(&count, 0) : 0;
    return SLW_OK;
}

static enum slw_rc
held_at(struct slw_tx *tx, const char *sql, int64_t model_id,
        struct slw_str name, int64_t at_ms, struct slw_arena *a,
        struct slw_registry_move **out, size_t *out_count, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, sql, err));
    slw_stmt_i64(&st, 1, model_id);
    slw_stmt_str(&st, 2, name);
    slw_stmt_i64(&st, 3, at_ms);
    return moves_read(&st, a, out, out_count, err);
}

enum slw_rc
slw_registry_aliases_at(struct slw_tx *tx, struct slw_str model,
                        struct slw_str alias, int64_t at_ms,
                        struct slw_arena *a, struct slw_registry_move **out,
                        size_t *out_count, struct slw_err *err)
{
    int64_t model_id = 0;
    TRY(registry_model_id(tx, model, &model_id, err));
    return held_at(tx, SQL_ALIASES_AT, model_id, alias, at_ms, a, out,
                   out_count, err);
}

enum slw_rc
slw_registry_stages_at(struct slw_tx *tx, struct slw_str model,
                       struct slw_str stage, int64_t at_ms, struct slw_arena *a,
                       struct slw_registry_move **out, size_t *out_count,
                       struct slw_err *err)
{
    int64_t model_id = 0;
    struct slw_str name;
    TRY(registry_model_id(tx, model, &model_id, err));
    TRY(stage_name(stage, &name, err));
    return held_at(tx, SQL_STAGES_AT, model_id, name, at_ms, a, out, out_count,
                   err);
}

/* ---- putting back ---- */

/* That nothing held it then: it never did, or only later, or not just then. */
static enum slw_rc
nothing_then(struct slw_tx *tx, const char *sql_first, const char *what,
             int64_t model_id, struct slw_str model, struct slw_str name,
             int64_t at_ms, struct slw_err *err)
{
    char at[SLW_TIME_TEXT_SIZE], since[SLW_TIME_TEXT_SIZE];
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, sql_first, err));
    slw_stmt_i64(&st, 1, model_id);
    slw_stmt_str(&st, 2, name);
    TRY(slw_stmt_step(&st, &row, err));
    if (!row)
        return slw_fail(err, SLW_NOT_FOUND,
                        "no version of '%.*s' ever had the %s '%.*s'",
                        SLW_FMT(model), what, SLW_FMT(name));
    return slw_fail(
        err, SLW_NOT_FOUND,
        "no version of '%.*s' had the %s '%.*s' at %s; the first was "
        "given it at %s",
        SLW_FMT(model), what, SLW_FMT(name), slw_time_text(at_ms, at),
        slw_time_text(slw_col_i64(&st, 0), since));
}

/* "put back to what it was at 2026-03-04T00:00:00Z", unless told otherwise. */
static struct slw_str
why_of(const struct slw_registry_act *act, int64_t at_ms, struct slw_arena *a)
{
    char at[SLW_TIME_TEXT_SIZE];
    if (act->why.len)
        return act->why;
    return slw_arena_printf(a, "put back to what it was at %s",
                            slw_time_text(at_ms, at));
}

static enum slw_rc
still_there(struct slw_tx *tx, struct slw_str model, int64_t version,
            const char *what, struct slw_str name, struct slw_err *err)
{
    int64_t id = 0;
    enum slw_rc rc = registry_version_id(tx, model, version, &id, err);
    if (rc != SLW_NOT_FOUND)
        return rc;
    return slw_fail(err, SLW_CONFLICT,
                    "version %lld of '%.*s', which had the %s '%.*s', has "
                    "been deleted since",
                    (long long)version, SLW_FMT(model), what, SLW_FMT(name));
}

/* The version to go back to: the one named at an instant, or the one asked
 * for, which the alias must have named before. */
static enum slw_rc
alias_target(struct slw_tx *tx, int64_t model_id, struct slw_str model,
             struct slw_str alias, int64_t at_ms, int64_t wanted,
             int64_t *out_version, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_registry_move *then = NULL;
    size_t count = 0;
    bool row = false;
    if (wanted) {
        SLW_AUTO(slw_stmt, st);
        TRY(slw_stmt_prepare(&st, tx, SQL_ALIAS_NAMED, err));
        slw_stmt_i64(&st, 1, model_id);
        slw_stmt_str(&st, 2, alias);
        slw_stmt_i64(&st, 3, wanted);
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return slw_fail(err, SLW_CONFLICT,
                            "the alias '%.*s' of '%.*s' never named version "
                            "%lld; move it there instead",
                            SLW_FMT(alias), SLW_FMT(model), (long long)wanted);
        *out_version = wanted;
        return SLW_OK;
    }
    TRY(held_at(tx, SQL_ALIASES_AT, model_id, alias, at_ms, &a, &then, &count,
                err));
    if (count == 0)
        return nothing_then(tx, SQL_ALIAS_FIRST, "alias", model_id, model,
                            alias, at_ms, err);
    *out_version = then->version;
    return SLW_OK;
}

enum slw_rc
slw_registry_alias_restore(struct slw_tx *tx,
                           const struct slw_registry_act *act,
                           struct slw_str model, struct slw_str alias,
                           int64_t at_ms, int64_t wanted, int64_t *out_version,
                           int64_t *out_previous, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    int64_t model_id = 0, version = 0, previous = 0;
    SLW_ASSERT(alias.len);
    TRY(registry_model_id(tx, model, &model_id, err));
    TRY(alias_target(tx, model_id, model, alias, at_ms, wanted, &version, err));
    TRY(still_there(tx, model, version, "alias", alias, err));
    enum slw_rc rc =
        slw_registry_alias_at(tx, model, alias, INT64_MAX, &previous, err);
    if (rc != SLW_NOT_FOUND)
        TRY(rc);
    struct slw_str why = act->why;
    if (!why.len)
        why = wanted ? SLW_STR("put back") : why_of(act, at_ms, &a);
    if (previous != version)
        TRY(slw_registry_alias_move(tx, act->now_ms, model, alias, version,
                                    act->who, why, err));
    *out_version = version;
    *out_previous = previous;
    return SLW_OK;
}

static bool
among(const struct slw_registry_move *moves, size_t count, int64_t version)
{
    for (size_t i = 0; i < count; i++)
        if (moves[i].version == version)
            return true;
    return false;
}

enum slw_rc
slw_registry_stage_restore(struct slw_tx *tx,
                           const struct slw_registry_act *act,
                           struct slw_str model, struct slw_str stage,
                           int64_t at_ms, struct slw_arena *a,
                           int64_t **out_versions, size_t *out_count,
                           size_t *out_changed, struct slw_err *err)
{
    struct slw_registry_move *then = NULL, *now = NULL;
    size_t then_count = 0, now_count = 0, changed = 0;
    int64_t model_id = 0;
    struct slw_str name;
    TRY(registry_model_id(tx, model, &model_id, err));
    TRY(stage_name(stage, &name, err));
    if (!slw_str_eqz(name, "Staging") && !slw_str_eqz(name, "Production"))
        return slw_fail(err, SLW_INVALID,
                        "Staging and Production can be put back, not '%.*s'",
                        SLW_FMT(name));
    TRY(slw_registry_stages_at(tx, model, name, at_ms, a, &then, &then_count,
                               err));
    if (then_count == 0)
        return nothing_then(tx, SQL_STAGE_FIRST, "stage", model_id, model, name,
                            at_ms, err);
    for (size_t i = 0; i < then_count; i++)
        TRY(still_there(tx, model, then[i].version, "stage", name, err));
    TRY(slw_registry_stages_at(tx, model, name, INT64_MAX, a, &now, &now_count,
                               err));
    const struct slw_str why = why_of(act, at_ms, a);
    for (size_t i = 0; i < now_count; i++) {
        if (among(then, then_count, now[i].version))
            continue;
        TRY(slw_registry_version_stage(tx, act->now_ms, model, now[i].version,
                                       SLW_STR("Archived"), false, act->who,
                                       why, err));
        changed++;
    }
    int64_t *versions = SLW_ARENA_NEW(a, int64_t, then_count);
    for (size_t i = 0; i < then_count; i++) {
        versions[i] = then[i].version;
        if (among(now, now_count, versions[i]))
            continue;
        TRY(slw_registry_version_stage(tx, act->now_ms, model, versions[i],
                                       name, false, act->who, why, err));
        changed++;
    }
    *out_versions = versions;
    *out_count = then_count;
    *out_changed = changed;
    return SLW_OK;
}
