/* logged_search.c -- finding logged models, in the same language as runs. */
#include "track/track_internal.h"

static const char STATUS_TEXT[] =
    "(CASE m.status WHEN 1 THEN 'PENDING' WHEN 2 THEN 'READY'"
    " ELSE 'FAILED' END)";

static const struct attribute {
    const char *word, *column;
    bool number;
} ATTRIBUTES[] = {
    {"name", "m.name", false},
    {"model_id", "m.id", false},
    {"model_type", "m.model_type", false},
    {"status", STATUS_TEXT, false},
    {"source_run_id", "m.source_run_id", false},
    {"artifact_location", "m.artifact_uri", false},
    {"creation_timestamp", "m.created_at_ms", true},
    {"creation_time", "m.created_at_ms", true},
    {"last_updated_timestamp", "m.updated_at_ms", true},
    {"last_updated_time", "m.updated_at_ms", true},
};

static const struct attribute *
attribute_find(struct slw_str word)
{
    for (size_t i = 0; i < SLW_ARRAY_LEN(ATTRIBUTES); i++) {
        if (slw_str_eqz(word, ATTRIBUTES[i].word))
            return &ATTRIBUTES[i];
    }
    return NULL;
}

/* "AND (dataset is one of those asked)" for a row v of track_model_metric. */
static void
add_datasets(struct slw_sql *sql, const struct slw_track_query *q)
{
    if (q->dataset_count == 0)
        return;
    slw_sql_add(sql, " AND (");
    for (size_t i = 0; i < q->dataset_count; i++) {
        slw_sql_add(sql, i ? " OR (v.dataset_name = " : "(v.dataset_name = ");
        slw_sql_str(sql, q->datasets[i].key);
        if (q->datasets[i].value.len) {
            slw_sql_add(sql, " AND v.dataset_digest = ");
            slw_sql_str(sql, q->datasets[i].value);
        }
        slw_sql_add(sql, ")");
    }
    slw_sql_add(sql, ")");
}

static enum slw_rc
add_value_clause(struct slw_sql *sql, const struct slw_track_query *q,
                 const struct slw_filter_clause *c, enum track_entity entity,
                 struct slw_err *err)
{
    bool metric = entity == TRACK_METRIC;
    TRY(track_clause_check(c, metric, false, false, err));
    slw_sql_add(sql, " AND EXISTS (SELECT 1 FROM ");
    slw_sql_add(sql, metric                  ? "track_model_metric"
                     : entity == TRACK_PARAM ? "track_model_param"
                                             : "track_model_tag");
    slw_sql_add(sql, " v WHERE v.model_id = m.id AND v.key = ");
    slw_sql_str(sql, c->key);
    slw_sql_add(sql, " AND ");
    if (metric) {
        slw_sql_compare_number(sql, "v.value", c);
        add_datasets(sql, q);
    } else {
        slw_sql_compare_text(sql, "v.value", c);
    }
    slw_sql_add(sql, ")");
    return SLW_OK;
}

static enum slw_rc
add_clause(struct slw_sql *sql, const struct slw_track_query *q,
           const struct slw_filter_clause *c, struct slw_err *err)
{
    enum track_entity entity;
    TRY(track_entity_of(c->entity, &entity, err));
    if (entity == TRACK_METRIC || entity == TRACK_PARAM || entity == TRACK_TAG)
        return add_value_clause(sql, q, c, entity, err);
    const struct attribute *at = attribute_find(c->key);
    if (!at || entity != TRACK_ATTRIBUTE)
        return slw_fail(err, SLW_INVALID,
                        "Invalid attribute key '%.*s' specified for logged "
                        "models",
                        SLW_FMT(c->key));
    TRY(track_clause_check(c, at->number, false, true, err));
    slw_sql_add(sql, " AND ");
    if (at->number)
        slw_sql_compare_number(sql, at->column, c);
    else
        slw_sql_compare_text(sql, at->column, c);
    return SLW_OK;
}

/* A metric's value for the order: its newest point, on a dataset if one is
 * named. */
static void
add_metric_order(struct slw_sql *sql, struct slw_kv dataset,
                 const struct slw_order *o)
{
    for (int turn = 0; turn < 2; turn++) { /* absent last, then the value */
        slw_sql_add(sql, "(SELECT v.value FROM track_model_metric v"
                         " WHERE v.model_id = m.id AND v.key = ");
        slw_sql_str(sql, o->key);
        if (dataset.key.len) {
            slw_sql_add(sql, " AND v.dataset_name = ");
            slw_sql_str(sql, dataset.key);
        }
        if (dataset.value.len) {
            slw_sql_add(sql, " AND v.dataset_digest = ");
            slw_sql_str(sql, dataset.value);
        }
        slw_sql_add(sql,
                    " ORDER BY v.at_ms DESC, v.step DESC, v.run_id LIMIT 1)");
        slw_sql_add(sql, turn == 0       ? " IS NULL, "
                         : o->descending ? " DESC, "
                                         : " ASC, ");
    }
}

static enum slw_rc
add_order(struct slw_sql *sql, const struct slw_track_query *q, size_t at_order,
          struct slw_arena *a, struct slw_err *err)
{
    const struct slw_str text = q->order_by[at_order];
    struct slw_order o = {0};
    enum track_entity entity;
    TRY(slw_order_parse(text, a, &o, err));
    TRY(slw_filter_place(track_entity_of(o.entity, &entity, err), o.at, err));
    if (entity == TRACK_METRIC) {
        add_metric_order(sql,
                         q->order_datasets ? q->order_datasets[at_order]
                                           : (struct slw_kv){{"", 0}, {"", 0}},
                         &o);
        return SLW_OK;
    }
    const struct attribute *at = attribute_find(o.key);
    if (entity != TRACK_ATTRIBUTE || !at) {
        (void)!slw_fail(err, SLW_INVALID, "Invalid order by field name: %.*s",
                        SLW_FMT(text));
        return slw_filter_place(SLW_INVALID, o.at, err);
    }
    slw_sql_add(sql, at->column);
    slw_sql_add(sql, o.descending ? " DESC, " : " ASC, ");
    return SLW_OK;
}

static enum slw_rc
build(struct slw_sql *sql, const struct slw_track_query *q, struct slw_arena *a,
      struct slw_err *err)
{
    struct slw_filter f = {0};
    bool metric_filter = false;
    TRY(slw_filter_parse(q->filter, a, &f, err));
    slw_sql_add(sql, "SELECT m.id FROM track_model m WHERE m.deleted = 0"
                     " AND m.experiment_id IN (");
    for (size_t i = 0; i < q->experiment_count; i++) {
        slw_sql_add(sql, i ? ", " : "");
        slw_sql_i64(sql, q->experiment_ids[i]);
    }
    slw_sql_add(sql, ")");
    for (size_t i = 0; i < f.count; i++) {
        enum track_entity entity;
        const struct slw_filter_clause *c = &f.clauses[i];
        TRY(slw_filter_place(track_entity_of(c->entity, &entity, err), c->at,
                             err));
        metric_filter = metric_filter || entity == TRACK_METRIC;
        TRY(slw_filter_place(add_clause(sql, q, c, err), c->at, err));
    }
    if (q->dataset_count && !metric_filter) {
        slw_sql_add(sql, " AND EXISTS (SELECT 1 FROM track_model_metric v"
                         " WHERE v.model_id = m.id");
        add_datasets(sql, q);
        slw_sql_add(sql, ")");
    }
    slw_sql_add(sql, " ORDER BY ");
    for (size_t i = 0; i < q->order_count; i++)
        TRY(add_order(sql, q, i, a, err));
    slw_sql_add(sql, "m.created_at_ms DESC, m.id LIMIT ");
    slw_sql_i64(sql, (int64_t)q->limit + 1);
    slw_sql_add(sql, " OFFSET ");
    slw_sql_i64(sql, (int64_t)q->offset);
    return SLW_OK;
}

enum slw_rc
slw_track_logged_search(struct slw_tx *tx, const struct slw_track_query *q,
                        struct slw_arena *a, struct slw_logged_model **out,
                        size_t *out_count, bool *out_more, struct slw_err *err)
{
    SLW_AUTO(slw_sql, sql);
    struct slw_logged_model *models = NULL;
    struct slw_str *ids = NULL;
    size_t count = 0, cap = 0;
    bool row = false;
    slw_sql_init(&sql, a);
    TRY(build(&sql, q, a, err));
    {
        SLW_AUTO(slw_stmt, st);
        TRY(slw_sql_prepare(&sql, tx, &st, err));
        for (;;) {
            TRY(slw_stmt_step(&st, &row, err));
            if (!row || count == q->limit)
                break;
            ids = slw_arena_grow(a, ids, sizeof(*ids), count, &cap);
            ids[count++] = slw_col_dup(&st, 0, a);
        }
    }
    models = SLW_ARENA_NEW(a, struct slw_logged_model, count + 1);
    for (size_t i = 0; i < count; i++)
        TRY(slw_track_logged_get(tx, ids[i], true, a, &models[i], err));
    *out = models;
    *out_count = count;
    *out_more = row;
    return SLW_OK;
}
