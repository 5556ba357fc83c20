/* search.c -- finding registered models and versions, in MLflow's filter
 * language (read by track). */
#include "registry/registry_internal.h"

static bool
is_tag(struct slw_str entity)
{
    return slw_str_eqz(entity, "tag") || slw_str_eqz(entity, "tags");
}

static bool
is_attribute(struct slw_str entity)
{
    return entity.len == 0 || slw_str_eqz(entity, "attribute") ||
           slw_str_eqz(entity, "attributes") || slw_str_eqz(entity, "attr");
}

static enum slw_rc
bad_attribute(struct slw_str key, struct slw_err *err)
{
    return slw_fail(err, SLW_INVALID, "Invalid attribute name: %.*s",
                    SLW_FMT(key));
}

/* A text comparison: = != LIKE ILIKE, and lists where allowed. */
static enum slw_rc
text_check(const struct slw_filter_clause *c, bool list_ok, struct slw_err *err)
{
    bool list = c->op == SLW_OP_IN || c->op == SLW_OP_NOT_IN;
    bool plain = c->op == SLW_OP_EQ || c->op == SLW_OP_NE ||
                 c->op == SLW_OP_LIKE || c->op == SLW_OP_ILIKE;
    if (!plain && !(list && list_ok))
        return slw_fail(err, SLW_INVALID,
                        "Invalid comparator for attribute: %s",
                        slw_filter_op_name(c->op));
    if (c->is_number)
        return slw_fail(err, SLW_INVALID,
                        "Expected a quoted string value for '%.*s'. Got value "
                        "%.*s",
                        SLW_FMT(c->key), SLW_FMT(c->text));
    return SLW_OK;
}

/* Clients ask for "no prompts" in this way; nothing carries the tag then. */
static bool
excludes_prompts(const struct slw_filter_clause *c)
{
    return slw_str_eqz(c->key, "mlflow.prompt.is_prompt") &&
           ((c->op == SLW_OP_NE && slw_str_eqz(c->text, "true")) ||
            (c->op == SLW_OP_EQ && slw_str_eqz(c->text, "false")));
}

/* A tag clause; `exists` selects the tags t of the row at hand. */
static enum slw_rc
add_tag(struct slw_sql *sql, const struct slw_filter_clause *c,
        const char *exists, struct slw_err *err)
{
    bool none = excludes_prompts(c);
    TRY(text_check(c, false, err));
    slw_sql_add(sql, none ? " AND NOT EXISTS (" : " AND EXISTS (");
    slw_sql_add(sql, exists);
    slw_sql_add(sql, " AND t.key = ");
    slw_sql_str(sql, c->key);
    if (none) {
        slw_sql_add(sql, " AND t.value = 'true')");
        return SLW_OK;
    }
    slw_sql_add(sql, " AND ");
    slw_sql_compare_text(sql, "t.value", c);
    slw_sql_add(sql, ")");
    return SLW_OK;
}

static enum slw_rc
add_model_clause(struct slw_sql *sql, const struct slw_filter_clause *c,
                 struct slw_err *err)
{
    if (is_tag(c->entity))
        return add_tag(sql, c,
                       "SELECT 1 FROM registry_model_tag t"
                       " WHERE t.model_id = m.id",
                       err);
    if (!is_attribute(c->entity) || !slw_str_eqz(c->key, "name"))
        return bad_attribute(c->key, err);
    TRY(text_check(c, true, err));
    slw_sql_add(sql, " AND ");
    slw_sql_compare_text(sql, "m.name", c);
    return SLW_OK;
}

static enum slw_rc
add_version_clause(struct slw_sql *sql, const struct slw_filter_clause *c,
                   struct slw_err *err)
{
    static const struct {
        const char *word, *column;
        bool list_ok;
    } texts[] = {{"name", "m.name", true},
                 {"run_id", "v.run_id", true},
                 {"source_path", "v.source", false}};
    if (is_tag(c->entity))
        return add_tag(sql, c,
                       "SELECT 1 FROM registry_version_tag t"
                       " WHERE t.version_id = v.id",
                       err);
    if (!is_attribute(c->entity))
        return bad_attribute(c->entity, err);
    if (slw_str_eqz(c->key, "version_number")) {
        if (c->op > SLW_OP_GE || !c->is_number)
            return slw_fail(err, SLW_INVALID,
                            "Invalid comparator or value for numeric "
                            "attribute 'version_number': %s '%.*s'",
                            slw_filter_op_name(c->op), SLW_FMT(c->text));
        slw_sql_add(sql, " AND ");
        slw_sql_compare_number(sql, "v.version", c);
        return SLW_OK;
    }
    for (size_t i = 0; i < SLW_ARRAY_LEN(texts); i++) {
        if (!slw_str_eqz(c->key, texts[i].word))
            continue;
        TRY(text_check(c, texts[i].list_ok, err));
        slw_sql_add(sql, " AND ");
        slw_sql_compare_text(sql, texts[i].column, c);
        return SLW_OK;
    }
    return bad_attribute(c->key, err);
}

static enum slw_rc
add_order(struct slw_sql *sql, struct slw_str text, bool versions,
          struct slw_arena *a, struct slw_err *err)
{
    struct slw_order o = {0};
    const char *column = NULL;
    TRY(slw_order_parse(text, a, &o, err));
    if (slw_str_eqz(o.key, "name"))
        column = "m.name";
    else if (versions && slw_str_eqz(o.key, "version_number"))
        column = "v.version";
    else if (slw_str_eqz(o.key, "creation_timestamp"))
        column = versions ? "v.created_at_ms" : "m.created_at_ms";
    else if (slw_str_eqz(o.key, "last_updated_timestamp") ||
             (!versions && slw_str_eqz(o.key, "timestamp")))
        column = versions ? "v.updated_at_ms" : "m.updated_at_ms";
    if (!column || !is_attribute(o.entity)) {
        (void)!slw_fail(err, SLW_INVALID,
                        "Invalid order by key '%.*s' specified.Valid keys are "
                        "'name', 'creation_timestamp', "
                        "'last_updated_timestamp'%s",
                        SLW_FMT(o.key), versions ? ", 'version_number'" : "");
        return slw_filter_place(SLW_INVALID, o.at, err);
    }
    slw_sql_add(sql, column);
    slw_sql_add(sql, o.descending ? " DESC, " : " ASC, ");
    return SLW_OK;
}

static enum slw_rc
build(struct slw_sql *sql, const struct slw_track_query *q, bool versions,
      struct slw_arena *a, struct slw_err *err)
{
    struct slw_filter f = {0};
    TRY(slw_filter_parse(q->filter, a, &f, err));
    slw_sql_add(sql, versions
                         ? "SELECT v.id FROM registry_version v"
                           " JOIN registry_model m ON m.id = v.model_id"
                           " WHERE 1 = 1"
                         : "SELECT m.name FROM registry_model m WHERE 1 = 1");
    for (size_t i = 0; i < f.count; i++) {
        const struct slw_filter_clause *c = &f.clauses[i];
        enum slw_rc rc = versions ? add_version_clause(sql, c, err)
                                  : add_model_clause(sql, c, err);
        TRY(slw_filter_place(rc, c->at, err));
    }
    slw_sql_add(sql, " ORDER BY ");
    for (size_t i = 0; i < q->order_count; i++)
        TRY(add_order(sql, q->order_by[i], versions, a, err));
    if (versions && q->order_count == 0)
        slw_sql_add(sql, "v.updated_at_ms DESC, ");
    slw_sql_add(sql, versions ? "m.name ASC, v.version DESC" : "m.name ASC");
    slw_sql_add(sql, " LIMIT ");
    slw_sql_i64(sql, (int64_t)q->limit + 1);
    slw_sql_add(sql, " OFFSET ");
    slw_sql_i64(sql, (int64_t)q->offset);
    return SLW_OK;
}

enum slw_rc
slw_registry_model_search(struct slw_tx *tx, const struct slw_track_query *q,
                          struct slw_arena *a,
                          struct slw_registered_model **out, size_t *out_count,
                          bool *out_more, struct slw_err *err)
{
    SLW_AUTO(slw_sql, sql);
    struct slw_str *names = NULL;
    size_t count = 0, cap = 0;
    bool row = false;
    slw_sql_init(&sql, a);
    TRY(build(&sql, q, false, a, err));
    {
        SLW_AUTO(slw_stmt, st);
        TRY(slw_sql_prepare(&sql, tx, &st, err));
        for (;;) {
            TRY(slw_stmt_step(&st, &row, err));
            if (!row || count == q->limit)
                break;
            names = slw_arena_grow(a, names, sizeof(*names), count, &cap);
            names[count++] = slw_col_dup(&st, 0, a);
        }
    }
    struct slw_registered_model *models =
        SLW_ARENA_NEW(a, struct slw_registered_model, count + 1);
    for (size_t i = 0; i < count; i++)
        TRY(slw_registry_model_get(tx, names[i], a, &models[i], err));
    *out = models;
    *out_count = count;
    *out_more = row;
    return SLW_OK;
}

enum slw_rc
slw_registry_version_search(struct slw_tx *tx, const struct slw_track_query *q,
                            struct slw_arena *a, struct slw_version **out,
                            size_t *out_count, bool *out_more,
                            struct slw_err *err)
{
    SLW_AUTO(slw_sql, sql);
    int64_t *ids = NULL;
    size_t count = 0, cap = 0;
    bool row = false;
    slw_sql_init(&sql, a);
    TRY(build(&sql, q, true, a, err));
    {
        SLW_AUTO(slw_stmt, st);
        TRY(slw_sql_prepare(&sql, tx, &st, err));
        for (;;) {
            TRY(slw_stmt_step(&st, &row, err));
            if (!row || count == q->limit)
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
    *out_more = row;
    return SLW_OK;
}
