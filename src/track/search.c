/* search.c -- finding runs: a filter and an order become one SELECT over
 * track_run, with EXISTS for each metric, param or tag it asks about.
 *
 * The planner is not trusted with the one choice that matters: where to begin.
 * 1. A clause that few runs satisfy (a param or tag that equals a value, a
 *    metric in a range) drives the query: CROSS JOIN fixes the order.
 * 2. Else the runs are walked in the order asked for, but only its beginning:
 *    usually that fills the page.
 * What is few, and how long a beginning, is first measured by the page, then
 * generous; in the end it is the smallest set of 1, or all runs. */
#include "track/track_internal.h"

struct track_search_limits track_search_limits = {.driver_pages = 8,
                                                  .walk_pages = 50,
                                                  .driver_max = 20000,
                                                  .walk_max = 20000,
                                                  .driver_count_max = 200000};

static const char SQL_RUN[] =
    "SELECT " TRACK_RUN_COLUMNS " FROM track_run r WHERE r.number = ?1";
static const char SQL_START_EDGE[] =
    "SELECT start_ms FROM track_run WHERE experiment_id = ?1 AND deleted = ?2"
    " ORDER BY start_ms DESC LIMIT 1 OFFSET ?3";
/* NaN (NULL) counts as behind all numbers. */
static const char SQL_LOW_EDGE[] =
    "SELECT value FROM track_metric WHERE key = ?1 AND value IS NOT NULL"
    " ORDER BY value LIMIT 1 OFFSET ?2";
static const char SQL_HIGH_EDGE[] =
    "SELECT value FROM track_metric WHERE key = ?1 AND value IS NOT NULL"
    " ORDER BY value DESC LIMIT 1 OFFSET ?2";

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

/* What the order's beginning is taken from. */
enum walk_kind { WALK_NONE, WALK_START, WALK_METRIC };

struct plan {
    struct slw_tx *tx;
    struct slw_sql sql;
    struct slw_filter filter;
    struct slw_order *orders;
    size_t order_count;
    const struct slw_filter_clause *driver; /* NULL: walk the runs */
    int64_t driver_count;                   /* runs it leaves, or a bound */
    enum walk_kind walk;
    bool has_edge;     /* there is more behind the beginning: */
    double edge_value; /* only what stands strictly before it */
    int64_t edge_ms;
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

/* ---- where to begin ---- */

static const char *
value_table(enum track_entity entity)
{
    return entity == TRACK_METRIC  ? "track_metric"
           : entity == TRACK_PARAM ? "track_param"
                                   : "track_tag";
}

/* Could the clause drive?  Its set is one range of an index then. */
static enum slw_rc
may_drive(const struct slw_filter_clause *c, bool *out, struct slw_err *err)
{
    enum track_entity entity;
    TRY(track_entity_of(c->entity, &entity, err));
    if (entity == TRACK_METRIC)
        *out = c->is_number && c->op != SLW_OP_NE && c->op != SLW_OP_IS_NULL &&
               c->op != SLW_OP_NOT_NULL;
    else
        *out = (entity == TRACK_PARAM || entity == TRACK_TAG) &&
               c->op == SLW_OP_EQ && !c->is_number;
    return SLW_OK;
}

/* "<alias>.key = k AND <alias>.value <op> v" */
static enum slw_rc
add_value_range(struct slw_sql *sql, struct slw_tx *tx, const char *alias,
                const struct slw_filter_clause *c, struct slw_err *err)
{
    enum track_entity entity;
    int64_t key = -1;
    char column[16];
    TRY(track_entity_of(c->entity, &entity, err));
    TRY(track_key_find(tx, c->key, &key, err));
    snprintf(column, sizeof(column), "%s.value", alias);
    slw_buf_printf(&sql->text, "%s.key = ", alias);
    slw_sql_i64(sql, key);
    slw_sql_add(sql, " AND ");
    if (entity == TRACK_METRIC)
        slw_sql_compare_number(sql, column, c);
    else
        slw_sql_compare_text(sql, column, c);
    return SLW_OK;
}

/* Rows of the clause's set, counted up to count_max. */
static enum slw_rc
set_count(struct plan *p, const struct slw_filter_clause *c, int64_t count_max,
          int64_t *out, struct slw_err *err)
{
    enum track_entity entity;
    bool row = false;
    SLW_AUTO(slw_sql, sql);
    SLW_AUTO(slw_stmt, st);
    slw_sql_init(&sql, p->sql.arena);
    TRY(track_entity_of(c->entity, &entity, err));
    slw_buf_printf(&sql.text, "SELECT count(*) FROM (SELECT 1 FROM %s d WHERE ",
                   value_table(entity));
    TRY(add_value_range(&sql, p->tx, "d", c, err));
    slw_sql_add(&sql, " LIMIT ");
    slw_sql_i64(&sql, count_max);
    slw_sql_add(&sql, ")");
    TRY(slw_sql_prepare(&sql, p->tx, &st, err));
    TRY(slw_stmt_step(&st, &row, err));
    *out = row ? slw_col_i64(&st, 0) : 0;
    return SLW_OK;
}

/* The clause with the smallest set below count_max: those that ask for one
 * value first, as they leave least to be counted of the ranges. */
static enum slw_rc
driver_pick(struct plan *p, int64_t count_max, struct slw_err *err)
{
    p->driver = NULL;
    p->driver_count = count_max;
    for (size_t i = 0; i < 2 * p->filter.count; i++) {
        const struct slw_filter_clause *c =
            &p->filter.clauses[i % p->filter.count];
        const bool one_value = i < p->filter.count;
        bool may = false;
        int64_t count = 0;
        TRY(slw_filter_place(may_drive(c, &may, err), c->at, err));
        if (!may || (c->op == SLW_OP_EQ) != one_value)
            continue;
        TRY(set_count(p, c, p->driver_count, &count, err));
        if (count < p->driver_count) {
            p->driver = c;
            p->driver_count = count;
        }
    }
    return SLW_OK;
}

static enum slw_rc
start_edge(struct plan *p, const struct slw_track_query *q, int64_t most,
           struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    if (q->every_experiment || q->experiment_count != 1 ||
        q->view == SLW_VIEW_ALL)
        return SLW_OK;
    TRY(slw_stmt_prepare(&st, p->tx, SQL_START_EDGE, err));
    slw_stmt_i64(&st, 1, q->experiment_ids[0]);
    slw_stmt_i64(&st, 2, q->view == SLW_VIEW_DELETED);
    slw_stmt_i64(&st, 3, most);
    TRY(slw_stmt_step(&st, &p->has_edge, err));
    p->walk = WALK_START;
    p->edge_ms = p->has_edge ? slw_col_i64(&st, 0) : 0;
    return SLW_OK;
}

/* The beginning of the order, if an index knows it: at most so many rows, and
 * where it ends if there is more behind it. */
static enum slw_rc
walk_pick(struct plan *p, const struct slw_track_query *q, int64_t most,
          struct slw_err *err)
{
    enum track_entity entity = TRACK_ATTRIBUTE;
    int64_t key = -1;
    const struct slw_order *o = p->order_count ? &p->orders[0] : NULL;
    if (o)
        TRY(track_entity_of(o->entity, &entity, err));
    if (!o || (entity == TRACK_ATTRIBUTE && o->descending &&
               strcmp(attribute_find(o->key)->column, "r.start_ms") == 0))
        return start_edge(p, q, most, err);
    if (entity != TRACK_METRIC)
        return SLW_OK;
    SLW_AUTO(slw_stmt, st);
    TRY(track_key_find(p->tx, o->key, &key, err));
    TRY(slw_stmt_prepare(&st, p->tx,
                         o->descending ? SQL_HIGH_EDGE : SQL_LOW_EDGE, err));
    slw_stmt_i64(&st, 1, key);
    slw_stmt_i64(&st, 2, most);
    TRY(slw_stmt_step(&st, &p->has_edge, err));
    p->walk = WALK_METRIC;
    p->edge_value = p->has_edge ? slw_col_f64(&st, 0) : 0;
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
    slw_sql_add(&p->sql, value_table(entity));
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
        if (entity == TRACK_ATTRIBUTE || (i == 0 && p->walk == WALK_METRIC))
            continue;
        TRY(track_key_find(p->tx, p->orders[i].key, &key, err));
        slw_buf_printf(&p->sql.text,
                       " LEFT JOIN %s o%zu ON o%zu.run = r.number"
                       " AND o%zu.key = ",
                       value_table(entity), i, i, i);
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
            if (strstr(column, "nullif"))
                slw_buf_printf(&p->sql.text, "%s IS NULL, ", column);
            slw_buf_printf(&p->sql.text, "%s %s, ", column, way);
        } else if (i == 0 && p->walk == WALK_METRIC) { /* numbers only */
            slw_buf_printf(&p->sql.text, "o0.value %s, ", way);
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
    if (q->newest) {
        slw_sql_add(&p->sql, " AND r.number <= ");
        slw_sql_i64(&p->sql, q->newest);
    }
    if (q->view != SLW_VIEW_ALL)
        slw_sql_add(&p->sql, q->view == SLW_VIEW_DELETED
                                 ? " AND r.deleted = 1"
                                 : " AND r.deleted = 0");
}

static enum slw_rc
add_driver(struct plan *p, struct slw_err *err)
{
    if (!p->driver)
        return SLW_OK;
    slw_sql_add(&p->sql, " AND ");
    return add_value_range(&p->sql, p->tx, "d", p->driver, err);
}

/* What limits the query to the order's beginning. */
static enum slw_rc
add_walk(struct plan *p, struct slw_err *err)
{
    int64_t key = -1;
    if (p->walk == WALK_START && p->has_edge) {
        slw_sql_add(&p->sql, " AND r.start_ms > ");
        slw_sql_i64(&p->sql, p->edge_ms);
    } else if (p->walk == WALK_METRIC) {
        TRY(track_key_find(p->tx, p->orders[0].key, &key, err));
        slw_sql_add(&p->sql, " AND o0.key = ");
        slw_sql_i64(&p->sql, key);
        slw_sql_add(&p->sql, !p->has_edge ? " AND o0.value IS NOT NULL"
                             : p->orders[0].descending ? " AND o0.value > "
                                                       : " AND o0.value < ");
        if (p->has_edge)
            slw_sql_f64(&p->sql, p->edge_value);
    }
    return SLW_OK;
}

/* FROM and WHERE; the joins that only the order needs when it is wanted. */
static enum slw_rc
build_set(struct plan *p, const struct slw_track_query *q, bool ordered,
          struct slw_err *err)
{
    enum track_entity entity = TRACK_METRIC;
    slw_sql_add(&p->sql, " FROM ");
    if (p->driver) {
        TRY(track_entity_of(p->driver->entity, &entity, err));
        slw_buf_printf(&p->sql.text,
                       "%s d CROSS JOIN track_run r ON r.number = d.run",
                       value_table(entity));
    } else if (p->walk == WALK_METRIC) {
        slw_sql_add(&p->sql, "track_metric o0 CROSS JOIN track_run r"
                             " ON r.number = o0.run");
    } else {
        slw_sql_add(&p->sql, "track_run r");
    }
    if (ordered)
        TRY(add_order_joins(p, err));
    add_scope(p, q);
    TRY(add_driver(p, err));
    TRY(add_walk(p, err));
    for (size_t i = 0; i < 2 * p->filter.count; i++) {
        const struct slw_filter_clause *c =
            &p->filter.clauses[i % p->filter.count];
        const bool first = i < p->filter.count; /* one value: refuses most */
        if (c != p->driver && (c->op == SLW_OP_EQ) == first)
            TRY(add_clause(p, c, err));
    }
    return SLW_OK;
}

static void
sql_begin(struct plan *p)
{
    slw_buf_clear(&p->sql.text);
    p->sql.bind_count = 0;
}

static enum slw_rc
build(struct plan *p, const struct slw_track_query *q, struct slw_err *err)
{
    sql_begin(p);
    slw_sql_add(&p->sql, "SELECT r.number");
    TRY(build_set(p, q, true, err));
    TRY(add_order(p, err));
    slw_sql_add(&p->sql, " LIMIT ");
    slw_sql_i64(&p->sql, (int64_t)q->limit + 1);
    slw_sql_add(&p->sql, " OFFSET ");
    slw_sql_i64(&p->sql, (int64_t)q->offset);
    return SLW_OK;
}

/* Numbers of the page's runs. */
static enum slw_rc
fetch_numbers(struct plan *p, size_t limit, struct slw_arena *a, int64_t **out,
              size_t *out_count, bool *out_more, struct slw_err *err)
{
    int64_t *numbers = NULL;
    size_t count = 0, cap = 0;
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_sql_prepare(&p->sql, p->tx, &st, err));
    for (;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row || count == limit)
            break;
        numbers = slw_arena_grow(a, numbers, sizeof(*numbers), count, &cap);
        numbers[count++] = slw_col_i64(&st, 0);
    }
    *out = numbers;
    *out_count = count;
    *out_more = row;
    return SLW_OK;
}

/* The page by the cheapest way: each time with more patience. */
static enum slw_rc
find(struct plan *p, const struct slw_track_query *q, struct slw_arena *a,
     int64_t **out, size_t *out_count, bool *out_more, struct slw_err *err)
{
    const struct track_search_limits *l = &track_search_limits;
    const int64_t page = (int64_t)(q->offset + q->limit);
    const struct {
        int64_t driver, walk;
    } most[] = {{page * l->driver_pages, page * l->walk_pages},
                {l->driver_max, l->walk_max},
                {l->driver_count_max, 0}};
    const size_t last = SLW_ARRAY_LEN(most) - 1;
    for (size_t i = most[0].walk < l->walk_max ? 0 : 1;;) {
        p->walk = WALK_NONE;
        TRY(driver_pick(p, most[i].driver + 1, err));
        if (!p->driver && i < last) {
            TRY(walk_pick(p, q, most[i].walk, err));
            if (p->walk == WALK_NONE) {
                i++;
                continue;
            }
        }
        TRY(build(p, q, err));
        TRY(fetch_numbers(p, q->limit, a, out, out_count, out_more, err));
        if (*out_more || p->walk == WALK_NONE ||
            (p->walk == WALK_START && !p->has_edge))
            return SLW_OK;
        i = p->has_edge ? i + 1 : last;
    }
}

/* The runs' own rows. */
static enum slw_rc
fetch_runs(struct plan *p, const int64_t *numbers, size_t count,
           struct slw_arena *a, struct slw_run_full **out, struct slw_err *err)
{
    struct slw_run_full *runs =
        SLW_ARENA_NEW(a, struct slw_run_full, count + 1);
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, p->tx, SQL_RUN, err));
    for (size_t i = 0; i < count; i++) {
        bool row = false;
        slw_stmt_i64(&st, 1, numbers[i]);
        TRY(slw_stmt_step(&st, &row, err));
        SLW_ASSERT(row); /* one snapshot */
        track_run_read(&st, a, &runs[i].run);
        slw_stmt_reset(&st);
    }
    *out = runs;
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
    for (size_t i = 0; i < p->filter.count; i++) /* the first mistake is told */
        TRY(slw_filter_place(add_clause(p, &p->filter.clauses[i], err),
                             p->filter.clauses[i].at, err));
    return SLW_OK;
}

enum slw_rc
slw_track_run_search(struct slw_tx *tx, const struct slw_track_query *q,
                     struct slw_arena *a, struct slw_run_full **out,
                     size_t *out_count, bool *out_more, struct slw_err *err)
{
    struct slw_run_full *runs = NULL;
    int64_t *numbers = NULL;
    size_t count = 0;
    bool more = false;
    struct track_names names = {.arena = a};
    SLW_AUTO(plan, p);
    TRY(plan_make(&p, tx, q, a, err));
    if (q->experiment_count > 0)
        TRY(find(&p, q, a, &numbers, &count, &more, err));
    TRY(fetch_runs(&p, numbers, count, a, &runs, err));
    for (size_t i = 0; i < count; i++)
        TRY(track_run_fill(tx, numbers[i], &names, a, &runs[i], err));
    *out = runs;
    *out_count = count;
    *out_more = more;
    return SLW_OK;
}

/* ---- tables: a page with a few columns ---- */

static const char SQL_VALUE_METRIC[] =
    "SELECT value FROM track_metric WHERE run = ?1 AND key = ?2";
static const char SQL_VALUE_PARAM[] =
    "SELECT value FROM track_param WHERE run = ?1 AND key = ?2";
static const char SQL_VALUE_TAG[] =
    "SELECT value FROM track_tag WHERE run = ?1 AND key = ?2";
static const char SQL_NEWEST[] = "SELECT max(number) FROM track_run";
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
    TRY(driver_pick(p, track_search_limits.driver_count_max + 1, err));
    sql_begin(p);
    slw_sql_add(&p->sql, "SELECT count(*)");
    TRY(build_set(p, q, false, err));
    TRY(slw_sql_prepare(&p->sql, p->tx, &st, err));
    TRY(slw_stmt_step(&st, &row, err));
    *out = row ? slw_col_i64(&st, 0) : 0;
    return SLW_OK;
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
    TRY(find(&page, q, a, &numbers, &count, &more, err));
    TRY(fetch_runs(&page, numbers, count, a, &runs, err));
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
slw_track_run_newest(struct slw_tx *tx, int64_t *out, struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_NEWEST, err));
    TRY(slw_stmt_step(&st, &row, err));
    *out = row ? slw_col_i64(&st, 0) : 0;
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
