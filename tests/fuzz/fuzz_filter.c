/* fuzz_filter.c -- any text as a filter or an order in MLflow's grammar.
 *
 * What a client writes becomes values that are bound and never text of a
 * statement: the SQL made of any filter has our words and "?n" only. */
#include "fuzz.h"

#include "track/track.h"

static void
clause_check(const struct slw_filter_clause *c)
{
    const bool list = c->op == SLW_OP_IN || c->op == SLW_OP_NOT_IN;
    const bool null = c->op == SLW_OP_IS_NULL || c->op == SLW_OP_NOT_NULL;
    SLW_ASSERT(slw_filter_op_name(c->op)[0]);
    SLW_ASSERT(c->key.len);
    SLW_ASSERT(list == (c->list_count > 0));
    SLW_ASSERT(!c->is_number || !(list || null));
    for (size_t i = 0; i < c->list_count; i++)
        SLW_ASSERT(c->list[i].ptr || !c->list[i].len);
}

static void
sql_check(const struct slw_filter_clause *c, struct slw_arena *a)
{
    static const char ours[] = "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789 ?,().=<>!_'\\[]*%";
    struct slw_sql q = {0};
    if (c->op == SLW_OP_IS_NULL || c->op == SLW_OP_NOT_NULL)
        return; /* becomes EXISTS, without a comparison */
    slw_sql_init(&q, a);
    if (c->is_number && c->op <= SLW_OP_GE)
        slw_sql_compare_number(&q, "r.n", c);
    else
        slw_sql_compare_text(&q, "r.t", c);
    const struct slw_str text = slw_buf_view(&q.text);
    size_t marks = 0;
    for (size_t i = 0; i < text.len; i++) {
        SLW_ASSERT(text.ptr[i] && strchr(ours, text.ptr[i]));
        marks += text.ptr[i] == '?';
    }
    SLW_ASSERT(marks == q.bind_count || q.bind_count > SLW_SQL_BIND_MAX);
    SLW_ASSERT(text.len < 200 + 16 * q.bind_count);
    slw_sql_done(&q);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SLW_AUTO(slw_arena, a);
    const struct slw_str text = fuzz_str(data, size);
    struct slw_filter f = {.count = 77};
    struct slw_order order = {.key = SLW_STR("untouched")};
    struct slw_err err = {0};
    enum slw_rc rc = slw_filter_parse(text, &a, &f, &err);
    if (rc == SLW_OK) {
        SLW_ASSERT(f.count <= SLW_FILTER_CLAUSE_MAX);
        for (size_t i = 0; i < f.count; i++) {
            clause_check(&f.clauses[i]);
            sql_check(&f.clauses[i], &a);
        }
    } else {
        fuzz_refused(rc, &err, FUZZ_RC(INVALID));
        SLW_ASSERT(f.count == 77);
    }
    rc = slw_order_parse(text, &a, &order, &err);
    if (rc == SLW_OK) {
        SLW_ASSERT(order.key.len);
    } else {
        fuzz_refused(rc, &err, FUZZ_RC(INVALID));
        SLW_ASSERT(slw_str_eqz(order.key, "untouched"));
    }
    return 0;
}
