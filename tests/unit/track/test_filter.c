/* test_filter.c -- the filter and order grammar: what is read, and that every
 * fault is refused with a sentence that shows it. */
#include "track/track.h"
#include "tests/slw_test.h"

static struct slw_filter
read_ok(struct slw_arena *a, const char *text)
{
    struct slw_err err;
    struct slw_filter f = {0};
    assert_ok(slw_filter_parse(slw_str_of(text), a, &f, &err), err);
    return f;
}

static void
a_filter_is_split_into_entity_key_operator_and_value(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_filter f =
        read_ok(&a, "metrics.loss>=0.5 AND  params.\"a b\" like 'x%' "
                    "and tags.`mlflow.x.y` != \"q'q\" AnD start_time < 7");
    assert_int_equal(f.count, 4);
    assert_true(slw_str_eqz(f.clauses[0].entity, "metrics"));
    assert_true(slw_str_eqz(f.clauses[0].key, "loss"));
    assert_int_equal(f.clauses[0].op, SLW_OP_GE);
    assert_true(f.clauses[0].is_number);
    assert_near(f.clauses[0].number, 0.5, 0.0);
    assert_true(slw_str_eqz(f.clauses[1].key, "a b"));
    assert_int_equal(f.clauses[1].op, SLW_OP_LIKE);
    assert_true(slw_str_eqz(f.clauses[1].text, "x%"));
    assert_true(slw_str_eqz(f.clauses[2].key, "mlflow.x.y"));
    assert_true(slw_str_eqz(f.clauses[2].text, "q'q"));
    assert_true(slw_str_eqz(f.clauses[3].entity, ""));
    assert_true(slw_str_eqz(f.clauses[3].key, "start_time"));
}

static void
the_entity_ends_at_the_first_dot(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_filter f = read_ok(&a, "tags.mlflow.runName = 'x'");
    assert_true(slw_str_eqz(f.clauses[0].entity, "tags"));
    assert_true(slw_str_eqz(f.clauses[0].key, "mlflow.runName"));
}

static void
lists_and_nulls_are_read(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_filter f =
        read_ok(&a, "run_id IN ('a', \"b\",'c') AND run_id NOT IN ('d') AND "
                    "params.x IS NULL AND params.y is not null");
    assert_int_equal(f.count, 4);
    assert_int_equal(f.clauses[0].op, SLW_OP_IN);
    assert_int_equal(f.clauses[0].list_count, 3);
    assert_true(slw_str_eqz(f.clauses[0].list[1], "b"));
    assert_int_equal(f.clauses[1].op, SLW_OP_NOT_IN);
    assert_int_equal(f.clauses[2].op, SLW_OP_IS_NULL);
    assert_int_equal(f.clauses[3].op, SLW_OP_NOT_NULL);
}

static void
an_empty_filter_has_no_clauses(void **state)
{
    SLW_AUTO(slw_arena, a);
    assert_int_equal(read_ok(&a, "").count, 0);
    assert_int_equal(read_ok(&a, " \n").count, 0);
}

static void
faults_are_refused_and_leave_the_output_alone(void **state)
{
    static const char *const bad[] = {"a",
                                      "a =",
                                      "= 1",
                                      "a = b",
                                      "a = 'b",
                                      "a IN 'b'",
                                      "a IN ('b'",
                                      "a IN (b)",
                                      "a IN ()",
                                      "a = 1 OR b = 2",
                                      "a = 1 AND",
                                      "AND a = 1",
                                      "a IS 'x'",
                                      "a IS NOT 3",
                                      "a. = 1",
                                      ".a = 1",
                                      "a = 1 b = 2",
                                      "(a = 1)",
                                      "a == 1",
                                      "`a = 1",
                                      "a = 1;",
                                      "a LIKELY 'x'",
                                      "a NOT LIKE 'x'"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        SLW_AUTO(slw_arena, a);
        struct slw_err err;
        struct slw_filter f = {.count = 77};
        enum slw_rc rc = slw_filter_parse(slw_str_of(bad[i]), &a, &f, &err);
        if (rc != SLW_INVALID)
            print_error("accepted: %s\n", bad[i]);
        assert_int_equal(rc, SLW_INVALID);
        assert_int_equal(f.count, 77);
        assert_string_not_equal(err.msg, "");
    }
}

static void
an_empty_key_is_refused_by_name(void **state)
{
    static const char *const bad[] = {"metrics.`` > 1", "`` = 'x'",
                                      "params.x = '1' AND tags.\"\" = 'x'",
                                      "``.a = 1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        SLW_AUTO(slw_arena, a);
        struct slw_err err;
        struct slw_filter f = {.count = 77};
        assert_fails(slw_filter_parse(slw_str_of(bad[i]), &a, &f, &err),
                     SLW_INVALID, err, "is empty");
        assert_int_equal(f.count, 77);
    }
    SLW_AUTO(slw_arena, a);
    struct slw_err err;
    struct slw_order o = {0};
    assert_fails(slw_order_parse(SLW_STR("metrics.`` DESC"), &a, &o, &err),
                 SLW_INVALID, err, "order_by");
}

static void
a_nul_is_no_quote_blank_or_key(void **state)
{
    static const struct slw_str bad[] = {SLW_STR("params.\0\0 IS NULL"),
                                         SLW_STR("a\0= 1"),
                                         SLW_STR("a =\0001"),
                                         SLW_STR("a = \0x\0"),
                                         SLW_STR("a IN (\0x\0)"),
                                         SLW_STR("\0")};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        SLW_AUTO(slw_arena, a);
        struct slw_err err;
        struct slw_filter f = {.count = 77};
        assert_int_equal(slw_filter_parse(bad[i], &a, &f, &err), SLW_INVALID);
        assert_int_equal(f.count, 77);
    }
}

static void
a_fault_says_at_which_character_it_is(void **state)
{
    static const struct {
        const char *text, *said;
    } bad[] = {
        {"a = 'b", "not closed: 'b, at character 5"},
        {"  a = 'b", "at character 7"}, /* of what was sent, not trimmed */
        {"a = 1 OR b = 2", "not 'OR b = 2', at character 7"},
        {"a = 1 AND", "at character 7"},
        {"a = 1 AND b = c", "string value c. Use either single or double "
                            "quotes. (at character 15)"},
        {"params.`\xc3\xa4\xc3\xa4` = 'x' AND !", "at '!', at character 23"},
        {"a. = 1", "a key is wanted at ' = 1', at character 3"},
        {"params.x = '1' AND tags.`` = 'x'", "is empty, at character 25"},
        {"a LIKELY 'x'", "is wanted at 'LIKELY 'x'', at character 3"},
        {"a IS 'x'", "at character 3"},
        {"a IN 'b'", "in parentheses at ''b'', at character 6"},
        {"a IN ('b', c)", "type in list: 'c)', at character 12"},
        {"a IN ('b'", "not closed at '', at character 10"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        SLW_AUTO(slw_arena, a);
        struct slw_err err;
        struct slw_filter f = {0};
        assert_fails(slw_filter_parse(slw_str_of(bad[i].text), &a, &f, &err),
                     SLW_INVALID, err, bad[i].said);
    }
    SLW_AUTO(slw_arena, a);
    struct slw_err err;
    struct slw_order o = {0};
    assert_fails(slw_order_parse(SLW_STR("metrics.x DOWN"), &a, &o, &err),
                 SLW_INVALID, err, "Could not be parsed. (at character 11)");
    assert_ok(slw_order_parse(SLW_STR("  metrics.x"), &a, &o, &err), err);
    assert_int_equal(o.at, 3);
}

static void
the_place_survives_a_sentence_that_is_too_long(void **state)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_buf, text);
    struct slw_err err;
    struct slw_filter f = {0};
    slw_buf_z(&text, "a = 1 AND ");
    for (int i = 0; i < 300; i++)
        slw_buf_z(&text, "\xc3\xa4");
    slw_buf_z(&text, " ~ 1");
    assert_fails(slw_filter_parse(slw_buf_view(&text), &a, &f, &err),
                 SLW_INVALID, err, "at '~ 1', at character 312");
    memset(err.msg, 'x', sizeof(err.msg) - 1);
    assert_int_equal(slw_filter_place(SLW_INVALID, 312, &err), SLW_INVALID);
    assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
    assert_non_null(strstr(err.msg, "x\xe2\x80\xa6, at character 312"));
    struct slw_err other = {.msg = "no"};
    assert_int_equal(slw_filter_place(SLW_IO, 3, &other), SLW_IO);
    assert_string_equal(other.msg, "no");
}

static void
a_clause_knows_where_it_begins(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_filter f = read_ok(&a, " a = 1 AND  b = 2");
    assert_int_equal(f.clauses[0].at, 2);
    assert_int_equal(f.clauses[1].at, 13);
}

static void
orders_have_a_key_and_a_way(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_err err;
    struct slw_order o = {0};
    assert_ok(slw_order_parse(SLW_STR("metrics.`a b` desc"), &a, &o, &err),
              err);
    assert_true(slw_str_eqz(o.key, "a b"));
    assert_true(o.descending);
    assert_ok(slw_order_parse(SLW_STR("start_time"), &a, &o, &err), err);
    assert_false(o.descending);
    assert_fails(slw_order_parse(SLW_STR("start_time DOWN"), &a, &o, &err),
                 SLW_INVALID, err, "start_time DOWN");
    assert_fails(slw_order_parse(SLW_STR(""), &a, &o, &err), SLW_INVALID, err,
                 "order_by");
}

static void
values_are_bound_and_wildcards_translated(void **state)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_sql, q);
    slw_sql_init(&q, &a);
    struct slw_filter f = read_ok(&a, "k LIKE '50%_*' AND k ILIKE 'x%'");
    slw_sql_compare_text(&q, "c", &f.clauses[0]);
    slw_sql_add(&q, " AND ");
    slw_sql_compare_text(&q, "c", &f.clauses[1]);
    assert_string_equal(q.text.ptr, "c GLOB ?1 AND c LIKE ?2");
    assert_int_equal(q.bind_count, 2);
    assert_true(slw_str_eqz(q.binds[0].s, "50*?[*]"));
    assert_true(slw_str_eqz(q.binds[1].s, "x%"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_filter_is_split_into_entity_key_operator_and_value),
        cmocka_unit_test(the_entity_ends_at_the_first_dot),
        cmocka_unit_test(lists_and_nulls_are_read),
        cmocka_unit_test(an_empty_filter_has_no_clauses),
        cmocka_unit_test(faults_are_refused_and_leave_the_output_alone),
        cmocka_unit_test(an_empty_key_is_refused_by_name),
        cmocka_unit_test(a_nul_is_no_quote_blank_or_key),
        cmocka_unit_test(a_fault_says_at_which_character_it_is),
        cmocka_unit_test(the_place_survives_a_sentence_that_is_too_long),
        cmocka_unit_test(a_clause_knows_where_it_begins),
        cmocka_unit_test(orders_have_a_key_and_a_way),
        cmocka_unit_test(values_are_bound_and_wildcards_translated),
    };
    return cmocka_run_group_tests_name("track/filter", tests, NULL, NULL);
}
