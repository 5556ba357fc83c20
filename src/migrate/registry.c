/* registry.c -- registered models, versions under their own numbers, aliases.
 *
 * Of a model that is here already, versions are added whose numbers are free;
 * a number that stands for another version here is left out, and said. */
#include "migrate/migrate_internal.h"

struct queries {
    struct slw_stmt models, model_tags, versions, version_tags, aliases;
    struct slw_stmt run_uri, model_uri, last;
};

static void
queries_done(struct queries *q)
{
    slw_stmt_done(&q->models);
    slw_stmt_done(&q->model_tags);
    slw_stmt_done(&q->versions);
    slw_stmt_done(&q->version_tags);
    slw_stmt_done(&q->aliases);
    slw_stmt_done(&q->run_uri);
    slw_stmt_done(&q->model_uri);
    slw_stmt_done(&q->last);
}

/* Table names in quotes: they look like those of the room `model`. */
static enum slw_rc
queries_prepare(struct migrate_import *im, struct queries *q,
                struct slw_err *err)
{
    TRY(migrate_query(im, &q->models, "registered_models",
                      "SELECT name, description, creation_time,"
                      " last_updated_time FROM registered_models"
                      " WHERE {registered_models.workspace:'default'} ="
                      " 'default' ORDER BY rowid",
                      err));
    TRY(migrate_query(im, &q->model_tags, "registered_model_tags",
                      "SELECT key, value FROM registered_model_tags"
                      " WHERE name = ?1"
                      " AND {registered_model_tags.workspace:'default'} ="
                      " 'default'",
                      err));
    TRY(migrate_query(
        im, &q->versions, "model_versions",
        "SELECT version, creation_time, last_updated_time, description,"
        " current_stage, source, run_id, {model_versions.run_link:''}, status,"
        " {model_versions.storage_location:''} FROM \"model_versions\""
        " WHERE name = ?1 AND {model_versions.workspace:'default'} = 'default'"
        " AND current_stage <> 'Deleted_Internal' ORDER BY version",
        err));
    TRY(migrate_query(im, &q->last, "model_versions",
                      "SELECT max(version) FROM \"model_versions\""
                      " WHERE name = ?1"
                      " AND {model_versions.workspace:'default'} = 'default'",
                      err));
    TRY(migrate_query(im, &q->version_tags, "model_version_tags",
                      "SELECT key, value FROM \"model_version_tags\""
                      " WHERE name = ?1 AND version = ?2"
                      " AND {model_version_tags.workspace:'default'} ="
                      " 'default'",
                      err));
    TRY(migrate_query(
        im, &q->aliases, "registered_model_aliases",
        "SELECT alias, version FROM registered_model_aliases"
        " WHERE name = ?1"
        " AND {registered_model_aliases.workspace:'default'} = 'default'",
        err));
    TRY(migrate_query(im, &q->run_uri, "runs",
                      "SELECT artifact_uri FROM runs WHERE run_uuid = ?1",
                      err));
    return migrate_query(im, &q->model_uri, "logged_models",
                         "SELECT artifact_location FROM logged_models"
                         " WHERE model_id = ?1",
                         err);
}

/* ---- sources ---- */

/* `uri` with its head `from` become `to`; false: it does not begin so. */
static bool
head_replace(struct migrate_import *im, struct slw_str from, struct slw_str to,
             struct slw_str *uri)
{
    if (from.len == 0 || uri->len < from.len ||
        memcmp(uri->ptr, from.ptr, from.len) != 0 ||
        (uri->len > from.len && uri->ptr[from.len] != '/'))
        return false;
    const struct slw_str rest = {uri->ptr + from.len, uri->len - from.len};
    *uri = slw_arena_printf(&im->item, "%.*s%.*s", SLW_FMT(to), SLW_FMT(rest));
    return true;
}

/* "…/models/m-1f…/artifacts…": the model's id. */
static struct slw_str
logged_id_in(struct slw_str uri)
{
    struct slw_str rest = uri, part;
    while (slw_str_cut(rest, '/', &part, &rest))
        if (slw_str_starts(part, "m-") && part.len == 34 &&
            slw_str_starts(rest, "artifacts"))
            return part;
    return SLW_STR("");
}

static enum slw_rc
uri_there(struct migrate_import *im, struct slw_stmt *st, struct slw_str id,
          struct slw_str *out, struct slw_err *err)
{
    bool row = false;
    *out = SLW_STR("");
    migrate_ask(st, id);
    TRY(migrate_step(st, &row, err));
    if (row)
        *out = migrate_text(im, st, 0);
    return SLW_OK;
}

/* Where a version's bytes lie from now on. */
static enum slw_rc
source_place(struct migrate_import *im, struct queries *q,
             struct slw_version *v, struct slw_err *err)
{
    struct slw_run run;
    struct slw_logged_model m;
    struct slw_str there;
    const struct slw_str logged = logged_id_in(v->source);
    if (slw_str_starts(v->source, "models:/")) {
        const struct slw_str name = {v->source.ptr + 8, v->source.len - 8};
        if (slw_str_starts(name, "m-") && name.len == 34)
            v->logged_model = name;
        else if (im->o->prefix.len)
            v->source = slw_arena_printf(&im->item, "models:/%.*s%.*s",
                                         SLW_FMT(im->o->prefix), SLW_FMT(name));
        return SLW_OK;
    }
    if (v->run_id.len) {
        TRY(uri_there(im, &q->run_uri, v->run_id, &there, err));
        const enum slw_rc rc =
            slw_track_run_get(&im->tx, v->run_id, &im->item, &run, err);
        if (rc == SLW_OK &&
            head_replace(im, there, run.artifact_uri, &v->source))
            return SLW_OK;
    }
    if (logged.len) {
        TRY(uri_there(im, &q->model_uri, logged, &there, err));
        const enum slw_rc rc =
            slw_track_logged_get(&im->tx, logged, true, &im->item, &m, err);
        if (rc == SLW_OK && head_replace(im, there, m.artifact_uri, &v->source))
            return SLW_OK;
    }
    if (v->source.len && !slw_str_starts(v->source, "runs:/") &&
        !slw_str_starts(v->source, "mlflow-artifacts:/"))
        migrate_note(im, &im->elsewhere, "version %lld of %.*s: %.*s",
                     (long long)v->version, SLW_FMT(v->model),
                     SLW_FMT(v->source));
    return SLW_OK;
}

/* ---- versions and aliases ---- */

static struct slw_str
stage_of(struct slw_str s)
{
    static const struct slw_str stages[] = {
        {"Staging", 7}, {"Production", 10}, {"Archived", 8}};
    for (size_t i = 0; i < SLW_ARRAY_LEN(stages); i++)
        if (slw_str_eq(s, stages[i]))
            return stages[i];
    return SLW_STR("None");
}

static enum slw_rc
version_bring(struct migrate_import *im, struct queries *q,
              struct slw_version *v, struct slw_err *err)
{
    struct slw_version here;
    TRY(source_place(im, q, v, err));
    const enum slw_rc rc = slw_registry_version_get(
        &im->tx, v->model, v->version, &im->item, &here, err);
    if (rc == SLW_OK) {
        if (here.created_at_ms != v->created_at_ms ||
            !slw_str_eq(here.run_id, v->run_id))
            migrate_leave(im, MIGRATE_VERSIONS,
                          "that number is another version here; import with "
                          "--prefix to keep both",
                          "version %lld of model '%.*s'", (long long)v->version,
                          SLW_FMT(v->model));
        else if (!im->o->dry_run && !slw_str_eq(here.source, v->source))
            TRY(slw_registry_version_locate(&im->tx, v->model, v->version,
                                            v->source, err));
        return SLW_OK;
    }
    if (rc != SLW_NOT_FOUND)
        return rc;
    if (!im->o->dry_run)
        TRY(slw_registry_version_bring(&im->tx, v, err));
    im->counts[MIGRATE_VERSIONS].brought++;
    return SLW_OK;
}

static enum slw_rc
versions_bring(struct migrate_import *im, struct queries *q,
               struct slw_str there, struct slw_str name, struct slw_err *err)
{
    bool row = false;
    migrate_ask(&q->versions, there);
    for (;;) {
        struct slw_stmt *st = &q->versions;
        TRY(migrate_step(st, &row, err));
        if (!row)
            break;
        struct slw_version v = {.model = name,
                                .version = slw_col_i64(st, 0),
                                .created_at_ms = slw_col_i64(st, 1),
                                .updated_at_ms = slw_col_i64(st, 2),
                                .description = migrate_text(im, st, 3),
                                .stage = stage_of(slw_col_str(st, 4)),
                                .source = migrate_text(im, st, 5),
                                .run_id = migrate_text(im, st, 6),
                                .run_link = migrate_text(im, st, 7),
                                .status = migrate_text(im, st, 8)};
        migrate_ask(&q->version_tags, there);
        if (q->version_tags.stmt)
            slw_stmt_i64(&q->version_tags, 2, v.version);
        TRY(migrate_pairs(im, &q->version_tags, there, &v.tags, &v.tag_count,
                          err));
        TRY(version_bring(im, q, &v, err));
    }
    migrate_ask(&q->last, there);
    TRY(migrate_step(&q->last, &row, err));
    return row && !im->o->dry_run
               ? slw_registry_version_reserve(&im->tx, name,
                                              slw_col_i64(&q->last, 0), err)
               : SLW_OK;
}

static enum slw_rc
alias_bring(struct migrate_import *im, struct slw_str name,
            struct slw_str alias, int64_t version, struct slw_err *err)
{
    int64_t here = 0;
    enum slw_rc rc =
        slw_registry_alias_at(&im->tx, name, alias, INT64_MAX, &here, err);
    if (rc == SLW_OK && here == version)
        return SLW_OK;
    if (rc == SLW_OK) {
        migrate_leave(im, MIGRATE_ALIASES, "it names another version here",
                      "alias %.*s of model '%.*s', version %lld",
                      SLW_FMT(alias), SLW_FMT(name), (long long)version);
        return SLW_OK;
    }
    if (rc != SLW_NOT_FOUND)
        return rc;
    rc = im->o->dry_run
             ? SLW_OK
             : slw_registry_alias_move(
                   &im->tx, im->o->now_ms, name, alias, version,
                   SLW_STR("import"), SLW_STR("brought over from MLflow"), err);
    if (rc == SLW_INVALID || rc == SLW_NOT_FOUND) {
        migrate_leave(im, MIGRATE_ALIASES, err->msg,
                      "alias %.*s of model '%.*s'", SLW_FMT(alias),
                      SLW_FMT(name));
        return SLW_OK;
    }
    TRY(rc);
    im->counts[MIGRATE_ALIASES].brought++;
    return SLW_OK;
}

static enum slw_rc
aliases_bring(struct migrate_import *im, struct queries *q,
              struct slw_str there, struct slw_str name, struct slw_err *err)
{
    migrate_ask(&q->aliases, there);
    for (;;) {
        bool row = false;
        TRY(migrate_step(&q->aliases, &row, err));
        if (!row)
            return SLW_OK;
        TRY(alias_bring(im, name, migrate_text(im, &q->aliases, 0),
                        slw_col_i64(&q->aliases, 1), err));
    }
}

static enum slw_rc
model_bring(struct migrate_import *im, struct queries *q, struct slw_err *err)
{
    const struct slw_str there = migrate_text(im, &q->models, 0);
    bool made = true;
    struct slw_registered_model here,
        m = {.name = slw_arena_printf(&im->item, "%.*s%.*s",
                                      SLW_FMT(im->o->prefix), SLW_FMT(there)),
             .description = migrate_text(im, &q->models, 1),
             .created_at_ms = slw_col_i64(&q->models, 2),
             .updated_at_ms = slw_col_i64(&q->models, 3)};
    TRY(migrate_pairs(im, &q->model_tags, there, &m.tags, &m.tag_count, err));
    TRY(migrate_tx(im, err));
    if (im->o->dry_run) {
        const enum slw_rc rc =
            slw_registry_model_get(&im->tx, m.name, &im->item, &here, err);
        made = rc == SLW_NOT_FOUND;
    } else {
        const enum slw_rc rc =
            slw_registry_model_bring(&im->tx, &m, &made, err);
        if (rc == SLW_INVALID) {
            migrate_leave(im, MIGRATE_REGISTERED, err->msg, "model '%.*s'",
                          SLW_FMT(m.name));
            return SLW_OK;
        }
        TRY(rc);
    }
    im->counts[MIGRATE_REGISTERED].brought += made;
    TRY(versions_bring(im, q, there, m.name, err));
    TRY(aliases_bring(im, q, there, m.name, err));
    return migrate_tick(im, 1, err);
}

/* Names are unique in a workspace only, and there is one here. */
static enum slw_rc
others_leave(struct migrate_import *im, struct slw_err *err)
{
    static const struct {
        enum migrate_kind kind;
        const char *table, *sql;
    } others[] = {
        {MIGRATE_VERSIONS, "model_versions",
         "SELECT count(*) FROM \"model_versions\" WHERE"
         " {model_versions.workspace:'default'} <> 'default'"
         " AND current_stage <> 'Deleted_Internal'"},
        {MIGRATE_ALIASES, "registered_model_aliases",
         "SELECT count(*) FROM registered_model_aliases WHERE"
         " {registered_model_aliases.workspace:'default'} <> 'default'"}};
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    for (size_t i = 0; i < SLW_ARRAY_LEN(others); i++) {
        SLW_AUTO(slw_stmt, count);
        TRY(migrate_query(im, &count, others[i].table, others[i].sql, err));
        TRY(migrate_step(&count, &row, err));
        if (row)
            im->counts[others[i].kind].left_out += slw_col_i64(&count, 0);
    }
    TRY(migrate_query(im, &st, "registered_models",
                      "SELECT name FROM registered_models WHERE"
                      " {registered_models.workspace:'default'} <> 'default'",
                      err));
    for (;;) {
        TRY(migrate_step(&st, &row, err));
        if (!row)
            return SLW_OK;
        slw_arena_reset(&im->item);
        migrate_leave(im, MIGRATE_REGISTERED,
                      "it is of another workspace than 'default'",
                      "model '%.*s' with its versions",
                      SLW_FMT(migrate_text(im, &st, 0)));
    }
}

enum slw_rc
migrate_registry(struct migrate_import *im, struct slw_err *err)
{
    SLW_AUTO(queries, q);
    TRY(others_leave(im, err));
    TRY(queries_prepare(im, &q, err));
    for (;;) {
        bool row = false;
        TRY(migrate_step(&q.models, &row, err));
        if (!row)
            return SLW_OK;
        slw_arena_reset(&im->item);
        TRY(model_bring(im, &q, err));
    }
}
