/* verify.c -- versions, their releases and all that these pin, aliases. */
#include "registry/registry_internal.h"

#define ROOM "registry"
#define FIX "restore a backup (slipway restore)"
#define FIX_ALIAS "set the alias again (slipway alias)"
#define FIX_STAGE "set the version's stage again"

static const char SQL_MODEL_COUNT[] = "SELECT count(*) FROM registry_model";
static const char SQL_VERSION_COUNT[] = "SELECT count(*) FROM registry_version";
static const char SQL_RELEASES[] =
    "SELECT v.release, min(m.name || ' version ' || v.version)"
    " FROM registry_version v JOIN registry_model m ON m.id = v.model_id"
    " WHERE v.release <> '' GROUP BY v.release";
static const char SQL_NUMBERS[] =
    "SELECT 0, m.name || ': version ' || max(v.version) || ', next is '"
    " || m.next_version FROM registry_version v"
    " JOIN registry_model m ON m.id = v.model_id GROUP BY m.id"
    " HAVING max(v.version) >= m.next_version";
static const char SQL_ALIASES[] =
    "SELECT 0, m.name || ': ' || a.name || ' names version ' || a.version"
    " FROM registry_alias a JOIN registry_model m ON m.id = a.model_id"
    " WHERE NOT EXISTS (SELECT 1 FROM registry_version v"
    "  WHERE v.model_id = a.model_id AND v.version = a.version)";
static const char SQL_ALIAS_HISTORY[] =
    "SELECT 0, m.name || ': ' || a.name || ' names version ' || a.version"
    " FROM registry_alias a JOIN registry_model m ON m.id = a.model_id"
    " WHERE a.version <> coalesce((SELECT h.version"
    "  FROM registry_alias_history h WHERE h.model_id = a.model_id"
    "  AND h.alias = a.name ORDER BY h.id DESC LIMIT 1), -1)";
static const char SQL_STAGE_HISTORY[] =
    "SELECT 0, m.name || ': version ' || v.version || ' is in ' || v.stage"
    " FROM registry_version v JOIN registry_model m ON m.id = v.model_id"
    " WHERE v.stage <> coalesce((SELECT h.to_stage"
    "  FROM registry_stage_history h WHERE h.model_id = v.model_id"
    "  AND h.version = v.version ORDER BY h.id DESC LIMIT 1), '')";
static const char SQL_GATES[] =
    "SELECT 0, m.name || ' version ' || v.version FROM registry_version v"
    " JOIN registry_model m ON m.id = v.model_id WHERE v.gate_id <> 0"
    " AND NOT EXISTS (SELECT 1 FROM registry_gate g WHERE g.id = v.gate_id"
    "  AND g.version_id = v.id)";

static struct slw_str
text_of(const struct json_t *o, const char *key)
{
    return slw_json_str_or(slw_json_get(o, key), SLW_STR(""));
}

static void
pins_check(struct slw_verify *v, const struct json_t *doc, const char *who)
{
    (void)slw_verify_need(v, ROOM, text_of(doc, "model_blob"),
                          slw_json_i64_or(slw_json_get(doc, "model_size"), -1),
                          "the model of %s", who);
    const struct json_t *profile = slw_json_get(doc, "profile");
    if (text_of(profile, "blob").len)
        (void)slw_verify_need(v, ROOM, text_of(profile, "blob"), -1,
                              "the profile of %s", who);
    const struct json_t *sets = slw_json_get(doc, "datasets");
    for (void *it = slw_json_iter(sets); it; it = slw_json_next(sets, it))
        (void)slw_verify_need(
            v, ROOM, text_of(slw_json_iter_value(it), "hash"), -1,
            "dataset %.*s@%lld, on which %s was trained,",
            SLW_FMT(slw_json_iter_key(it)),
            (long long)slw_json_i64_or(
                slw_json_get(slw_json_iter_value(it), "version"), 0),
            who);
    const struct json_t *views = slw_json_get(doc, "features");
    const struct json_t *hashes = slw_json_get(doc, "feature_hashes");
    for (size_t i = 0; i < slw_json_len(views); i++) {
        SLW_AUTO(slw_buf, text);
        const struct json_t *view = slw_json_at(views, i);
        slw_json_dump(&text, view);
        char name[160];
        (void)snprintf(name, sizeof name, "%.*s",
                       SLW_FMT(text_of(view, "name")));
        if (!slw_verify_hash_ok(text_of(hashes, name), slw_buf_view(&text)))
            slw_verify_fault(v, ROOM, FIX,
                             "view %s in %s is not the one its hash names",
                             name, who);
    }
}

/* The document under its hash, and everything it names. */
static enum slw_rc
release_check(struct slw_verify *v, struct slw_str hash, struct slw_str who,
              struct slw_err *err)
{
    char hex[65], by[200];
    (void)snprintf(hex, sizeof hex, "%.*s", SLW_FMT(hash));
    (void)snprintf(by, sizeof by, "%.*s", SLW_FMT(who));
    if (!slw_verify_need(v, ROOM, hash, -1, "the release of %s", by))
        return SLW_OK;
    SLW_AUTO(slw_json, doc);
    const enum slw_rc rc = slw_release_get(v->store, hex, &doc, err);
    if (rc == SLW_CORRUPT || rc == SLW_INVALID || rc == SLW_NOT_FOUND) {
        slw_verify_fault(v, ROOM, FIX, "the release of %s: %s", by, err->msg);
        return SLW_OK;
    }
    TRY(rc);
    pins_check(v, doc.root, by);
    return SLW_OK;
}

enum slw_rc
slw_registry_verify(struct slw_verify *v, struct slw_err *err)
{
    int64_t models = 0, versions = 0, releases = 0;
    TRY(slw_verify_number(v, SQL_MODEL_COUNT, &models, err));
    TRY(slw_verify_number(v, SQL_VERSION_COUNT, &versions, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &v->tx, SQL_RELEASES, err));
    for (;; releases++) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        TRY(release_check(v, slw_col_str(&st, 0), slw_col_str(&st, 1), err));
        slw_verify_step(v, "releases", releases, 0);
    }
    slw_verify_counted(v, "registered models", models);
    slw_verify_counted(v, "model versions", versions);
    slw_verify_counted(v, "releases", releases);
    TRY(slw_verify_none(v, ROOM, SQL_NUMBERS,
                        "a version's number may be handed out again, model",
                        FIX, err));
    TRY(slw_verify_none(v, ROOM, SQL_GATES, "the gate's verdict is missing of",
                        FIX, err));
    TRY(slw_verify_none(v, ROOM, SQL_ALIAS_HISTORY,
                        "an alias is not where its history left it, model",
                        FIX_ALIAS, err));
    TRY(slw_verify_none(v, ROOM, SQL_STAGE_HISTORY,
                        "a stage is not where its history left it, model",
                        FIX_STAGE, err));
    return slw_verify_none(v, ROOM, SQL_ALIASES,
                           "an alias names a version that is not there, model",
                           FIX_ALIAS, err);
}
