/* test_expr.c -- the rule language: its values are DuckDB's (tests/golden/
 * expr, made by DuckDB), its refusals are sentences. */
#include "model/model.h"

#include "tests/slw_test.h"

#include "base/json.h"
#include "tests/unit/model/golden_files.h"

#define COLUMNS 5

static struct slw_str names[COLUMNS] = {
    {"a", 1}, {"b", 1}, {"c", 1}, {"odd name", 8}, {"Close", 5}};

static void
check_case(const struct json_t *one, double rows[][COLUMNS], size_t row_count)
{
    struct slw_err err;
    struct slw_expr *e = NULL;
    struct slw_str sql = slw_json_str_or(slw_json_get(one, "sql"), SLW_STR(""));
    const struct json_t *answers = slw_json_get(one, "answers");
    assert_int_equal(slw_json_len(answers), row_count);
    if (slw_expr_parse(&e, sql, names, COLUMNS, &err) != SLW_OK)
        fail_msg("%.*s: %s", SLW_FMT(sql), err.msg);
    for (size_t r = 0; r < row_count; r++) {
        const struct json_t *answer = slw_json_at(answers, r);
        if (slw_json_type(answer) == SLW_JSON_STR)
            continue; /* DuckDB stopped with an error */
        double theirs = slw_json_f64_or(answer, NAN);
        double ours = slw_expr_eval(e, rows[r]);
        if (ours != theirs && !(isnan(ours) && isnan(theirs)))
            fail_msg("row %zu of %.*s: %.17g, DuckDB says %.17g", r,
                     SLW_FMT(sql), ours, theirs);
    }
    slw_expr_free(e);
}

static void
values_equal_duckdbs_to_the_last_bit(void **state)
{
    struct slw_err err;
    double rows[16][COLUMNS];
    SLW_AUTO(slw_buf, text);
    SLW_AUTO(slw_json, doc);
    golden_get("expr/answers.json", &text);
    assert_ok(slw_json_parse(&doc, slw_buf_view(&text), &err), err);
    const struct json_t *list = slw_json_get(doc.root, "rows");
    const struct json_t *cases = slw_json_get(doc.root, "cases");
    size_t row_count = slw_json_len(list);
    assert_in_range(row_count, 5, 16);
    for (size_t r = 0; r < row_count; r++)
        for (size_t k = 0; k < COLUMNS; k++)
            rows[r][k] =
                slw_json_f64_or(slw_json_at(slw_json_at(list, r), k), NAN);
    assert_true(slw_json_len(cases) > 900);
    for (size_t i = 0; i < slw_json_len(cases); i++)
        check_case(slw_json_at(cases, i), rows, row_count);
}

static void
a_wrong_rule_gets_a_sentence_with_its_place(void **state)
{
    static const struct {
        const char *text;
        enum slw_rc rc;
        const char *part;
    } cases[] = {
        {"", SLW_INVALID, "character 1"},
        {"a +", SLW_INVALID, "character 4: a value"},
        {"a b", SLW_INVALID, "character 3: an operator"},
        {"(a", SLW_INVALID, "')' is expected"},
        {"a)", SLW_INVALID, "end is expected"},
        {"Clsoe", SLW_INVALID, "is 'Close' meant"},
        {"volume", SLW_INVALID, "'volume', which there is not"},
        {"\"odd", SLW_INVALID, "no end"},
        {"\"Odd  name\"", SLW_INVALID, "Odd  name"},
        {"a > b", SLW_INVALID, "truth value; a number"},
        {"a + (a > b)", SLW_INVALID, "not a truth"},
        {"CASE WHEN a THEN 1 END", SLW_INVALID, "truth value is wanted"},
        {"CASE a WHEN 1 THEN 1 END", SLW_INVALID, "followed by WHEN"},
        {"CASE WHEN a > 1 THEN 1", SLW_INVALID, "END is expected"},
        {"CASE WHEN a < b < c THEN 1 END", SLW_INVALID, "do not chain"},
        {"NOT a", SLW_INVALID, "truth value is wanted"},
        {"sin(a)", SLW_INVALID, "no such function"},
        {"abs()", SLW_INVALID, "too few"},
        {"abs(a, b)", SLW_INVALID, "too many"},
        {"abs(a,)", SLW_INVALID, "a value is expected"},
        {"round(a, b)", SLW_INVALID, "round's digits"},
        {"round(a, 2.5)", SLW_INVALID, "round's digits"},
        {"a -- b", SLW_INVALID, "comment"},
        {"a; b", SLW_INVALID, "no meaning"},
        {"1e999", SLW_INVALID, "out of range"},
        {"12abc", SLW_INVALID, "right behind a number"},
        {"end", SLW_INVALID, "double quotes"},
        {"a ! b", SLW_INVALID, "operator"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slw_err err = {0};
        struct slw_expr *e = NULL;
        assert_fails(
            slw_expr_parse(&e, slw_str_of(cases[i].text), names, COLUMNS, &err),
            cases[i].rc, err, cases[i].part);
        assert_null(e);
    }
}

static void
deep_and_long_rules_meet_a_limit_and_not_the_stack(void **state)
{
    static const char *const deep[] = {"(",   "-(",    "abs(",    "CASE WHEN (",
                                       "a+(", "NOT (", "least(a,"};
    for (size_t i = 0; i < ARRAY_LEN(deep); i++) {
        struct slw_err err = {0};
        struct slw_expr *e = NULL;
        SLW_AUTO(slw_buf, text);
        for (int n = 0; n < 5000; n++)
            slw_buf_z(&text, deep[i]);
        assert_fails(
            slw_expr_parse(&e, slw_buf_view(&text), names, COLUMNS, &err),
            SLW_LIMIT, err, "64 levels");
    }
    struct slw_err err = {0};
    struct slw_expr *e = NULL;
    SLW_AUTO(slw_buf, sum);
    slw_buf_z(&sum, "a");
    for (int n = 0; n < 3000; n++)
        slw_buf_z(&sum, " + 1");
    assert_ok(slw_expr_parse(&e, slw_buf_view(&sum), names, COLUMNS, &err),
              err);
    const double row[COLUMNS] = {5};
    assert_near(slw_expr_eval(e, row), 3005, 0);
    slw_expr_free(e);
    e = NULL;
    for (int n = 0; n < 3000; n++)
        slw_buf_z(&sum, " + 1");
    assert_fails(slw_expr_parse(&e, slw_buf_view(&sum), names, COLUMNS, &err),
                 SLW_LIMIT, err, "8192 steps");
}

static void
a_literal_of_39_digits_is_a_double_and_not_an_overflow(void **state)
{
    struct slw_err err;
    struct slw_expr *e = NULL;
    assert_ok(slw_expr_parse(
                  &e, SLW_STR("999999999999999999999999999999999999999 + 0"),
                  NULL, 0, &err),
              err);
    assert_near(slw_expr_eval(e, NULL), 1e39, 0);
    slw_expr_free(e);
}

static void
a_rule_is_a_model_and_never_relative(void **state)
{
    struct slw_err err;
    struct slw_model *m = NULL;
    const struct slw_signature sig = {names, COLUMNS, 4};
    const double x[2][COLUMNS] = {{1, 2, 3, 4, 5}, {NAN, 2, 3, 0, 5}};
    double y[2];
    assert_ok(slw_model_load(&m, SLW_FLAVOUR_RULE, &sig,
                             SLW_STR("coalesce(a, 10) * b / \"odd name\""),
                             &err),
              err);
    assert_true(slw_str_eqz(slw_model_signature(m)->columns[4], "Close"));
    struct slw_model *other = slw_model_ref(m);
    slw_model_unref(m);
    slw_model_predict(other, x[0], 2, y);
    assert_near(y[0], 0.5, 0);
    assert_true(isnan(y[1])); /* 20 / 0 */
    slw_model_unref(other);
    slw_model_unref(NULL);
}

static void
flavours_have_names_that_are_read_back(void **state)
{
    struct slw_err err;
    for (unsigned f = 0; f < SLW_FLAVOUR_COUNT; f++) {
        enum slw_flavour back = SLW_FLAVOUR_COUNT;
        assert_ok(
            slw_flavour_parse(slw_str_of(slw_flavour_name((enum slw_flavour)f)),
                              &back, &err),
            err);
        assert_int_equal(back, f);
    }
    enum slw_flavour none;
    assert_fails(slw_flavour_parse(SLW_STR("onnx"), &none, &err), SLW_INVALID,
                 err, "'onnx'");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_equal_duckdbs_to_the_last_bit),
        cmocka_unit_test(a_wrong_rule_gets_a_sentence_with_its_place),
        cmocka_unit_test(deep_and_long_rules_meet_a_limit_and_not_the_stack),
        cmocka_unit_test(
            a_literal_of_39_digits_is_a_double_and_not_an_overflow),
        cmocka_unit_test(a_rule_is_a_model_and_never_relative),
        cmocka_unit_test(flavours_have_names_that_are_read_back),
    };
    return cmocka_run_group_tests_name("model/expr", tests, NULL, NULL);
}
