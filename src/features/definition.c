/* definition.c -- a view's definition: JSON, checked and made canonical.
 *
 * Whether the SQL is right only DuckDB can say, and only where data are: that
 * is checked when the view is first run (table.c).  Here stands what can be
 * seen without. */
#include "features/features_internal.h"

#include "base/hash.h"

static const char *const KEYS[] = {"name", "entity", "event_time", "ttl_ms",
                                   "sql",  "lags",   "description"};

/* Without blanks and the last semicolon. */
static struct slw_str
sql_trim(struct slw_str sql)
{
    struct slw_str t = slw_str_trim(sql);
    while (t.len && t.ptr[t.len - 1] == ';') {
        t.len--;
        t = slw_str_trim(t);
    }
    return t;
}

static bool
sql_is_select(struct slw_str sql)
{
    static const char *const starts[] = {"select", "with", "from", "("};
    for (size_t i = 0; i < SLW_ARRAY_LEN(starts); i++) {
        const size_t len = strlen(starts[i]);
        if (sql.len > len &&
            slw_str_same((struct slw_str){sql.ptr, len}, slw_str_of(starts[i])))
            return true;
    }
    return false;
}

static enum slw_rc
lags_read(const struct json_t *list, struct slw_arena *a,
          struct features_def *d, struct slw_err *err)
{
    const enum slw_json_type t = slw_json_type(list);
    if (t == SLW_JSON_NONE || t == SLW_JSON_NULL)
        return SLW_OK;
    if (t != SLW_JSON_ARRAY)
        return slw_fail(err, SLW_INVALID,
                        "lags must be a list, as in [{\"of\": \"close\","
                        " \"count\": 20}]");
    int64_t total = 0;
    d->lag_count = slw_json_len(list);
    d->lags = SLW_ARENA_NEW(a, struct features_lag, d->lag_count + 1);
    for (size_t i = 0; i < d->lag_count; i++) {
        struct slw_str of;
        TRY(slw_json_need_str(slw_json_at(list, i), "of", &of, err));
        TRY(slw_json_need_i64(slw_json_at(list, i), "count", &d->lags[i].count,
                              err));
        if (d->lags[i].count < 1 || d->lags[i].count > FEATURES_LAGS_MAX)
            return slw_fail(err, SLW_INVALID,
                            "lags of '%.*s': count must be 1 to %d",
                            SLW_FMT(of), FEATURES_LAGS_MAX);
        d->lags[i].of = slw_arena_str(a, of);
        total += d->lags[i].count;
    }
    if (total > FEATURES_LAGS_MAX)
        return slw_fail(err, SLW_LIMIT, "more than %d lags in one view",
                        FEATURES_LAGS_MAX);
    return SLW_OK;
}

static enum slw_rc
fields_read(const struct json_t *o, struct slw_arena *a, struct features_def *d,
            struct slw_err *err)
{
    TRY(slw_json_only(o, KEYS, SLW_ARRAY_LEN(KEYS),
                      "a view has entity, event_time, ttl_ms, sql and lags",
                      err));
    TRY(slw_json_need_str(o, "entity", &d->entity, err));
    TRY(slw_json_need_str(o, "event_time", &d->event_time, err));
    TRY(slw_json_need_str(o, "sql", &d->sql, err));
    TRY(slw_json_opt_i64(o, "ttl_ms", &d->ttl_ms, err));
    d->entity = slw_arena_str(a, d->entity);
    d->event_time = slw_arena_str(a, d->event_time);
    d->sql = slw_arena_str(a, sql_trim(d->sql));
    if (d->entity.len == 0 || d->event_time.len == 0)
        return slw_fail(err, SLW_INVALID,
                        "entity and event_time must name columns");
    if (d->ttl_ms < 0)
        return slw_fail(err, SLW_INVALID,
                        "ttl_ms must be 0 (no limit) or more");
    if (!sql_is_select(d->sql))
        return slw_fail(err, SLW_INVALID,
                        "sql must be one SELECT over the sources");
    return lags_read(slw_json_get(o, "lags"), a, d, err);
}

static void
hash_fill(struct features_def *d)
{
    const struct slw_sha256 h = slw_sha256_of(d->json.ptr, d->json.len);
    (void)slw_sha256_hex(&h, d->hash);
}

enum slw_rc
features_def_read(struct slw_str name, const struct json_t *o,
                  struct slw_arena *a, struct features_def *out,
                  struct slw_err *err)
{
    if (slw_json_type(o) != SLW_JSON_OBJECT)
        return slw_fail(err, SLW_INVALID,
                        "view '%.*s': the definition must be an object",
                        SLW_FMT(name));
    struct slw_str own = name;
    TRY(slw_json_opt_str(o, "name", &own, err));
    if (!slw_name_ok(own))
        return slw_fail(err, SLW_INVALID,
                        "bad view name '%.*s': use letters, digits, '_', '-'"
                        " and '.', at most 128",
                        SLW_FMT(own));
    if (name.len && !slw_str_eq(own, name))
        return slw_fail(err, SLW_INVALID,
                        "view '%.*s': the definition's own name is '%.*s'",
                        SLW_FMT(name), SLW_FMT(own));
    struct features_def d = {.name = slw_arena_str(a, own)};
    if (fields_read(o, a, &d, err) != SLW_OK)
        return slw_err_prefix(err, "view '%.*s': ", SLW_FMT(own));
    SLW_AUTO(slw_buf, text);
    slw_json_dump(&text, o);
    d.json = slw_arena_str(a, slw_buf_view(&text));
    hash_fill(&d);
    *out = d;
    return SLW_OK;
}

enum slw_rc
features_def_parse(struct slw_str name, struct slw_str json,
                   struct slw_arena *a, struct features_def *out,
                   struct slw_err *err)
{
    SLW_AUTO(slw_json, doc);
    if (slw_json_parse(&doc, json, err) != SLW_OK)
        return slw_err_prefix(err, "view '%.*s': ", SLW_FMT(name));
    return features_def_read(name, doc.root, a, out, err);
}
