/* search.c -- finding runs: a filter and an order become one SELECT over
 * track_run, with EXISTS for each metric, param or tag it asks about.
 *
 * The planner is not trusted with the one choice that matters: when a filter
 * says that a param, tag or metric equals a value, and few runs have that
 * value, the smallest such set drives the query (CROSS JOIN fixes the order);
 * otherwise the runs of the experiments are walked, newest first. */
#include "track/track_internal.h"

#define DRIVER_MAX 20000 /* rows; a larger set is no help */

static const char SQL_PARAM_COUNT[] =
    "SELECT count(*) FROM (SELECT 1 FROM track_param WHERE key = ?1"
    " AND value = ?2 LIMIT 20001)";
static const char SQL_TAG_COUNT[] =
    "SELECT count(*) FROM (SELECT 1 FROM track_tag WHERE key = ?1"
    " AND value = ?2 LIMIT 20001)";

static const char STATUS_TEXT[] =
    "(CASE r.status WHEN 1 THEN 'RUNNING' WHEN 2 THEN 'SCHEDULED'"
    " WHEN 3 THEN 'FINISHED' WHEN 4 THEN 'FAILED' ELSE 'KILLED' END)";

/* Attributes of a run: word, column, what may be done with it. */
static const struct attribute {
    const char *word, *column;
    bool number, list_ok, filter_ok;
} ATTRIBUTES[] = {
    {"run_id", "r.id", false, true, true},
    {"run_name", "r.name", false, false, true},
    {"run name", "r.name", false, false, true},
    {"Run name", "r.name", false, false, true},
    {"Run Name", "r.name", false, false, true},
    {"status", STATUS_TEXT, false, false, true},
    {"artifact_uri", "r.artifact_uri", false, false, true},
    {"user_id", "r.user", false, false, true},
    {"start_time", "r.start_ms", true, false, true},
    {"created", "r.start_ms", true, false, true},
    {"Created", "r.start_ms", true, false, true},
    {"end_time", "nullif(r.end_ms, 0)", true, false, true},
    {"experiment_id", "r.experiment_id", true, false, false},
};

struct plan {
    struct slw_tx *tx;
    struct slw_sql sql;
    struct slw_filter filter;
    struct slw_order *orders;
    size_t order_count;
    const struct slw_filter_clause *driver; /* NULL: walk the runs */
    const char *driver_table;
};

static void
plan_done(struct plan *p)
{
    slw_sql_done(&p->sql);
}

static const struct attribute *
attribute_find(struct slw_str word)
{
    for (size_t i = 0; i < SLW_ARRAY_LEN(ATTRIBUTES); i++) {
        if (slw_str_eqz(word, ATTRIBUTES[i].word))
            return &ATTRIBUTES[i];
    }
    return NULL;
}

static enum slw_rc
bad_attribute(struct slw_str key, struct slw_err *err)
{
    return slw_fail(err, SLW_INVALID,
                    "Invalid attribute key '%.*s' specified. Valid keys are "
                    "'{'run_id', 'run_name', 'status', 'artifact_uri', "
                    "'user_id', 'start_time', 'end_time'}'",
                    SLW_FMT(key));
}

/* ---- which set drives ---- */

static enum slw_rc
driver_pick(struct plan *p, struct slw_err *err)
{
    int64_t best = DRIVER_MAX + 1;
    for (size_t i = 0; i < p->filter.count; i++) {
        const struct slw_filter_clause *c = &p->filter.clauses[i];
        enum track_entity entity;
        int64_t key = -1;
        TRY(slw_filter_place(track_entity_of(c->entity, &entity, err), c->at,
                             err));
        bool param = entity == TRACK_PARAM;
        if (c->op != SLW_OP_EQ || c->is_number ||
            (!param && entity != TRACK_TAG))
            continue;
        TRY(track_key_find(p->tx, c->key, &key, err));
        SLW_AUTO(slw_stmt, st);
        bool row = false;
        TRY(slw_stmt_prepare(&st, p->tx,
                             param ? SQL_PARAM_COUNT : SQL_TAG_COUNT, err));
        slw_stmt_i64(&st, 1, key);
        slw_stmt_str(&st, 2, c->text);
        TRY(slw_stmt_step(&st, &row, err));
        if (row && slw_col_i64(&st, 0) < best) {
            best = slw_col_i64(&st, 0);
            p->driver = c;
            p->driver_table = param ? "track_param" : "track_tag";
        }
    }
    return SLW_OK;
}

/* ---- filters ---- */

static enum slw_rc
add_value_clause(struct plan *p, const struct slw_filter_clause *c,
                 enum track_entity entity, struct slw_err *err)
{
    int64_t key = -1;
    bool metric = entity == TRACK_METRIC;
    TRY(track_clause_check(c, metric, !metric, false, err));
    TRY(track_key_find(p->tx, c->key, &key, err));
    slw_sql_add(&p->sql, c->op == SLW_OP_IS_NULL ? " AND NOT EXISTS ("
                                                 : " AND EXISTS (");
    slw_sql_add(&p->sql, "SELECT 1 FROM ");
    slw_sql_add(&p->sql, metric                  ? "track_metric"
                         : entity == TRACK_PARAM ? "track_param"
                                                 : "track_tag");
    slw_sql_add(&p->sql, " v WHERE v.run = r.number AND v.key = ");
    slw_sql_i64(&p->sql, key);
    if (c->op != SLW_OP_IS_NULL && c->op != SLW_OP_NOT_NULL) {
        slw_sql_add(&p->sql, " AND ");
        if (metric)
            slw_sql_compare_number(&p->sql, "v.value", c);
        else
            slw_sql_compare_text(&p->sql, "v.value", c);
    }
    slw_sql_add(&p->sql, ")");
    return SLW_OK;
}

static enum slw_rc
add_dataset_clause(struct plan *p, const struct slw_filter_clause *c,
                   struct slw_err *err)
{
    bool name = slw_str_eqz(c->key, "name");
    if (!name && !slw_str_eqz(c->key, "digest") &&
        !slw_str_eqz(c->key, "context"))
        return slw_fail(err, SLW_INVALID,
                        "Invalid dataset key '%.*s' specified. Valid keys are "
                        "'{'name', 'digest', 'context'}'",
                        SLW_FMT(c->key));
    TRY(track_clause_check(c, false, false, true, err));
    if (slw_str_eqz(c->key, "context")) {
        slw_sql_add(&p->sql, " AND EXISTS (SELECT 1 FROM track_input_tag t"
                             " WHERE t.run = r.number"
                             " AND t.key = 'mlflow.data.context' AND ");
        slw_sql_compare_text(&p->sql, "t.value", c);
    } else {
        slw_sql_add(&p->sql, " AND EXISTS (SELECT 1 FROM track_input i"
                             " JOIN track_dataset d ON d.id = i.dataset_id"
                             " WHERE i.run = r.number AND ");
        slw_sql_compare_text(&p->sql, name ? "d.name" : "d.digest", c);
    }
    slw_sql_add(&p->sql, ")");
    return SLW_OK;
}

static enum slw_rc
add_attribute_clause(struct plan *p, const struct slw_filter_clause *c,
                     struct slw_err *err)
{
    const struct attribute *at = attribute_find(c->key);
    if (!at || !at->filter_ok)
        return bad_attribute(c->key, err);
    TRY(track_clause_check(c, at->number, false, at->list_ok, err));
    slw_sql_add(&p->sql, " AND ");
    if (at->number) {
        slw_sql_compare_number(&p->sql, at->column, c);
        slw_sql_add(&p->sql, " AND ");
        slw_sql_add(&p->sql, at->column);
        slw_sql_add(&p->sql, " IS NOT NULL"); /* absent never matches */
    } else {
        slw_sql_compare_text(&p->sql, at->column, c);
    }
    return SLW_OK;
}

static enum slw_rc
add_clause(struct plan *p, const struct slw_filter_clause *c,
           struct slw_err *err)
{
    enum track_entity entity;
    TRY(track_entity_of(c->entity, &entity, err));
    if (entity == TRACK_ATTRIBUTE)
        return add_attribute_clause(p, c, err);
    if (entity == TRACK_DATASET)
        return add_dataset_clause(p, c, err);
    return add_value_clause(p, c, entity, err);
}

/* ---- order ---- */

static enum slw_rc
orders_parse(struct plan *p, const struct slw_track_query *q,
             struct slw_arena *a, struct slw_err *err)
{
    p->orders = SLW_ARENA_NEW(a, struct slw_order, q->order_count + 1);
    for (size_t i = 0; i < q->order_count; i++) {
        struct slw_order *o = &p->orders[i];
        enum track_entity entity, other;
        TRY(slw_order_parse(q->order_by[i], a, o, err));
        TRY(slw_filter_place(track_entity_of(o->entity, &entity, err), o->at,
                             err));
        if (entity == TRACK_DATASET ||
            (entity == TRACK_ATTRIBUTE && !attribute_find(o->key)))
            return slw_filter_place(bad_attribute(o->key, err), o->at, err);
        for (size_t j = 0; j < i; j++) {
            TRY(track_entity_of(p->orders[j].entity, &other, err));
            if (entity == other && slw_str_eq(o->key, p->orders[j].key))
                return slw_fail(err, SLW_INVALID,
                                "`order_by` contains duplicate fields: '%.*s'",
                                SLW_FMT(o->key));
        }
    }
    p->order_count = q->order_count;
    return SLW_OK;
}

static enum slw_rc
add_order_joins(struct plan *p, struct slw_err *err)
{
    for (size_t i = 0; i < p->order_count; i++) {
        enum track_entity entity;
        int64_t key = -1;
        TRY(track_entity_of(p->orders[i].entity, &entity, err));
        if (entity == TRACK_ATTRIBUTE)
            continue;
        TRY(track_key_find(p->tx, p->orders[i].key, &key, err));
        slw_buf_printf(&p->sql.text,
                       " LEFT JOIN %s o%zu ON o%zu.run = r.number"
                       " AND o%zu.key = ",
                       entity == TRACK_METRIC  ? "track_metric"
                       : entity == TRACK_PARAM ? "track_param"
                                               : "track_tag",
                       i, i, i);
        slw_sql_i64(&p->sql, key);
    }
    return SLW_OK;
}

static enum slw_rc
add_order(struct plan *p, struct slw_err *err)
{
    bool by_start = false;
    slw_sql_add(&p->sql, " ORDER BY ");
    for (size_t i = 0; i < p->order_count; i++) {
        const struct slw_order *o = &p->orders[i];
        const char *way = o->descending ? "DESC" : "ASC";
        enum track_entity entity;
        TRY(track_entity_of(o->entity, &entity, err));
        if (entity == TRACK_ATTRIBUTE) {
            const char *column = attribute_find(o->key)->column;
            by_start = by_start || strcmp(column, "r.start_ms") == 0;
            slw_buf_printf(&p->sql.text, "%s IS NULL, %s %s, ", column, column,
                           way);
        } else { /* numbers, then NaN, then absent, whatever the way */
            slw_buf_printf(&p->sql.text,
                           "o%zu.run IS NULL, o%zu.value IS NULL, o%zu.value "
                           "%s, ",
                           i, i, i, way);
        }
    }
    slw_sql_add(&p->sql, by_start ? "r.id" : "r.start_ms DESC, r.id");
    return SLW_OK;
}

/* ---- the whole ---- */

static void
add_scope(struct plan *p, const struct slw_track_query *q)
{
    slw_sql_add(&p->sql, " WHERE r.experiment_id ");
    if (q->every_experiment) {
        slw_sql_add(&p->sql, "IN (SELECT id FROM track_experiment"
                             " WHERE deleted = 0)");
    } else if (q->experiment_count == 1) { /* lets the index give the order */
        slw_sql_add(&p->sql, "= ");
        slw_sql_i64(&p->sql, q->experiment_ids[0]);
    } else {
        slw_sql_add(&p->sql, "IN (");
        for (size_t i = 0; i < q->experiment_count; i++) {
            slw_sql_add(&p->sql, i ? ", " : "");
            slw_sql_i64(&p->sql, q->experiment_ids[i]);
        }
        slw_sql_add(&p->sql, ")");
    }
    if (q->view != SLW_VIEW_ALL)
        slw_sql_add(&p->sql, q->view == SLW_VIEW_DELETED
                                 ? " AND r.deleted = 1"
                                 : " AND r.deleted = 0");
}

/* FROM and WHERE; the joins that only the order needs when it is wanted. */
static enum slw_rc
build_set(struct plan *p, const struct slw_track_query *q, bool ordered,
          struct slw_err *err)
{
    slw_sql_add(&p->sql, " FROM ");
    if (p->driver) {
        slw_sql_add(&p->sql, p->driver_table);
        slw_sql_add(&p->sql, " d CROSS JOIN ");
    }
    slw_sql_add(&p->sql, "track_run r");
    if (p->driver)
        slw_sql_add(&p->sql, " ON r.number = d.run");
    if (ordered)
        TRY(add_order_joins(p, err));
    add_scope(p, q);
    if (p->driver) {
        int64_t key = -1;
        TRY(track_key_find(p->tx, p->driver->key, &key, err));
        slw_sql_add(&p->sql, " AND d.key = ");
        slw_sql_i64(&p->sql, key);
        slw_sql_add(&p->sql, " AND d.value = ");
        slw_sql_str(&p->sql, p->driver->text);
    }
    for (size_t i = 0; i < p->filter.count; i++) {
        const struct slw_filter_clause *c = &p->filter.clauses[i];
        if (c != p->driver)
            TRY(slw_filter_place(add_clause(p, c, err), c->at, err));
    }
    return SLW_OK;
}

static enum slw_rc
build(struct plan *p, const struct slw_track_query *q, struct slw_err *err)
{
    slw_sql_add(&p->sql, "SELECT " TRACK_RUN_COLUMNS);
    TRY(build_set(p, q, true, err));
    TRY(add_order(p, err));
    slw_sql_add(&p->sql, " LIMIT ");
    slw_sql_i64(&p->sql, (int64_t)q->limit + 1);
    slw_sql_add(&p->sql, " OFFSET ");
    slw_sql_i64(&p->sql, (int64_t)q->offset);
    return SLW_OK;
}

/* The runs of the page, nothing of theirs but their rows. */
static enum slw_rc
fetch_runs(struct plan *p, size_t limit, struct slw_arena *a,
           struct slw_run_full **out, int64_t **out_numbers, size_t *out_count,
           bool *out_more, struct slw_err *err)
{
    struct slw_run_full *runs = NULL;
    int64_t *numbers = NULL;
    size_t count = 0, cap = 0, number_cap = 0;
    bool row = false;
    {
        SLW_AUTO(slw_stmt, st);
        TRY(slw_sql_prepare(&p->sql, p->tx, &st, err));
        for (;;) {
            TRY(slw_stmt_step(&st, &row, err));
            if (!row || count == limit)
                break;
            runs = slw_arena_grow(a, runs, sizeof(*runs), count, &cap);
            numbers = slw_arena_grow(a, numbers, sizeof(*numbers), count,
                                     &number_cap);
            runs[count] = (struct slw_run_full){0};
            numbers[count] = slw_col_i64(&st, 0);
            track_run_read(&st, a, &runs[count++].run);
        }
    }
    *out = runs;
    *out_numbers = numbers;
    *out_count = count;
    *out_more = row;
    return SLW_OK;
}

static enum slw_rc
fetch(struct plan *p, size_t limit, struct slw_arena *a,
      struct slw_run_full **out, size_t *out_count, bool *out_more,
      struct slw_err *err)
{
    struct slw_run_full *runs = NULL;
    int64_t *numbers = NULL;
    size_t count = 0;
    bool more = false;
    struct track_names names = {.arena = a};
    TRY(fetch_runs(p, limit, a, &runs, &numbers, &count, &more, err));
    for (size_t i = 0; i < count; i++)
        TRY(track_run_fill(p->tx, numbers[i], &names, a, &runs[i], err));
    *out = runs;
    *out_count = count;
    *out_more = more;
    return SLW_OK;
}

enum slw_rc
slw_track_run_search(struct slw_tx *tx, const struct slw_track_query *q,
                     struct slw_arena *a, struct slw_run_full **out,
                     size_t *out_count, bool *out_more, struct slw_err *err)
{
    SLW_AUTO(plan, p);
    p.tx = tx;
    slw_sql_init(&p.sql, a);
    TRY(slw_filter_parse(q->filter, a, &p.filter, err));
    TRY(orders_parse(&p, q, a, err));
    if (q->experiment_count == 0) {
        *out = NULL;
        *out_count = 0;
        *out_more = false;
        return SLW_OK;
    }
    TRY(driver_pick(&p, err));
    TRY(build(&p, q, err));
    return fetch(&p, q->limit, a, out, out_count, out_more, err);
}

/* ---- tables: a page with a few columns ---- */

static const char SQL_VALUE_METRIC[] =
    "SELECT value FROM track_metric WHERE run = ?1 AND key = ?2";
static const char SQL_VALUE_PARAM[] =
    "SELECT value FROM track_param WHERE run = ?1 AND key = ?2";
static const char SQL_VALUE_TAG[] =
    "SELECT value FROM track_tag WHERE run = ?1 AND key = ?2";
static const char SQL_RUN_COUNT[] =
    "SELECT count(*) FROM track_run WHERE deleted = 0";
/* One probe for each name that exists, however many runs have it. */
static const char SQL_COLUMNS[] =
    "SELECT * FROM (SELECT 'metrics.' || name FROM track_key k WHERE EXISTS"
    " (SELECT 1 FROM track_metric v WHERE v.key = k.id)"
    " ORDER BY name LIMIT ?1) UNION ALL"
    " SELECT * FROM (SELECT 'params.' || name FROM track_key k WHERE EXISTS"
    " (SELECT 1 FROM track_param v WHERE v.key = k.id)"
    " ORDER BY name LIMIT ?1) UNION ALL"
    " SELECT * FROM (SELECT 'tags.' || name FROM track_key k WHERE EXISTS"
    " (SELECT 1 FROM track_tag v WHERE v.key = k.id)"
    " ORDER BY name LIMIT ?1)";

struct column {
    enum track_entity entity;
    int64_t key; /* -1: no run has it */
};

static enum slw_rc
column_find(struct plan *p, struct slw_str text, struct column *out,
            struct slw_err *err)
{
    struct slw_str word, name;
    if (slw_str_cut(text, '.', &word, &name) && name.len &&
        track_entity_of(word, &out->entity, err) == SLW_OK &&
        (out->entity == TRACK_METRIC || out->entity == TRACK_PARAM ||
         out->entity == TRACK_TAG))
        return track_key_find(p->tx, name, &out->key, err);
    return slw_fail(err, SLW_INVALID,
                    "a column is metrics.NAME, params.NAME or tags.NAME, not "
                    "'%.*s'",
                    (int)(text.len < 100 ? text.len : 100), text.ptr);
}

/* One column of all runs of the page. */
static enum slw_rc
column_fill(struct plan *p, const struct column *c, size_t at,
            const int64_t *numbers, struct slw_run_row *rows, size_t count,
            struct slw_arena *a, struct slw_err *err)
{
    if (c->key < 0)
        return SLW_OK;
    bool number = c->entity == TRACK_METRIC;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, p->tx,
                         number                     ? SQL_VALUE_METRIC
                         : c->entity == TRACK_PARAM ? SQL_VALUE_PARAM
                                                    : SQL_VALUE_TAG,
                         err));
    for (size_t i = 0; i < count; i++) {
        bool row = false;
        struct slw_run_value *v = &rows[i].values[at];
        slw_stmt_i64(&st, 1, numbers[i]);
        slw_stmt_i64(&st, 2, c->key);
        TRY(slw_stmt_step(&st, &row, err));
        if (row && number) {
            v->kind = SLW_RUN_VALUE_NUMBER;
            v->number = slw_col_f64(&st, 0);
        } else if (row) {
            v->kind = SLW_RUN_VALUE_TEXT;
            v->text = slw_col_dup(&st, 0, a);
        }
        slw_stmt_reset(&st);
    }
    return SLW_OK;
}

static enum slw_rc
count_all(struct plan *p, const struct slw_track_query *q, int64_t *out,
          struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    slw_sql_add(&p->sql, "SELECT count(*)");
    TRY(build_set(p, q, false, err));
    TRY(slw_sql_prepare(&p->sql, p->tx, &st, err));
    TRY(slw_stmt_step(&st, &row, err));
    *out = row ? slw_col_i64(&st, 0) : 0;
    return SLW_OK;
}

/* A plan made from the query, for a page of it or for its count. */
static enum slw_rc
plan_make(struct plan *p, struct slw_tx *tx, const struct slw_track_query *q,
          struct slw_arena *a, struct slw_err *err)
{
    p->tx = tx;
    slw_sql_init(&p->sql, a);
    TRY(slw_filter_parse(q->filter, a, &p->filter, err));
    TRY(orders_parse(p, q, a, err));
    return driver_pick(p, err);
}

enum slw_rc
slw_track_run_rows(struct slw_tx *tx, const struct slw_track_query *q,
                   const struct slw_str *columns, size_t column_count,
                   struct slw_arena *a, struct slw_run_row **out,
                   size_t *out_count, int64_t *out_total, struct slw_err *err)
{
    struct slw_run_full *runs = NULL;
    struct column found[SLW_RUN_COLUMN_MAX];
    int64_t *numbers = NULL, total = 0;
    size_t count = 0;
    bool more = false;
    SLW_AUTO(plan, page);
    SLW_AUTO(plan, whole);
    if (column_count > SLW_RUN_COLUMN_MAX)
        return slw_fail(err, SLW_INVALID, "at most %d columns at once",
                        SLW_RUN_COLUMN_MAX);
    TRY(plan_make(&page, tx, q, a, err));
    TRY(plan_make(&whole, tx, q, a, err));
    for (size_t i = 0; i < column_count; i++)
        TRY(column_find(&page, columns[i], &found[i], err));
    TRY(build(&page, q, err));
    TRY(fetch_runs(&page, q->limit, a, &runs, &numbers, &count, &more, err));
    TRY(count_all(&whole, q, &total, err));
    struct slw_run_row *rows = SLW_ARENA_NEW(a, struct slw_run_row, count + 1);
    for (size_t i = 0; i < count; i++) {
        rows[i].run = runs[i].run;
        rows[i].values =
            SLW_ARENA_NEW(a, struct slw_run_value, column_count + 1);
    }
    for (size_t i = 0; i < column_count; i++)
        TRY(column_fill(&page, &found[i], i, numbers, rows, count, a, err));
    *out = rows;
    *out_count = count;
    *out_total = total;
    return SLW_OK;
}

enum slw_rc
slw_track_run_columns(struct slw_tx *tx, size_t count_max, struct slw_arena *a,
                      struct slw_str **out, size_t *out_count,
                      struct slw_err *err)
{
    struct slw_str *names = SLW_ARENA_NEW(a, struct slw_str, 3 * count_max);
    size_t count = 0;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_COLUMNS, err));
    slw_stmt_i64(&st, 1, (int64_t)count_max);
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        names[count++] = slw_col_dup(&st, 0, a);
    }
    *out = names;
    *out_count = count;
    return SLW_OK;
}

enum slw_rc
slw_track_run_count(struct slw_tx *tx, int64_t *out_count, struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_RUN_COUNT, err));
    TRY(slw_stmt_step(&st, &row, err));
    *out_count = row ? slw_col_i64(&st, 0) : 0;
    return SLW_OK;
}
