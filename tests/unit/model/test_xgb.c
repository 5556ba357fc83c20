/* test_xgb.c -- XGBoost's files: the bits of the answers of six versions of
 * the library (tests/golden/xgboost, made by its Python package), and what is
 * refused. */
#include "model/model.h"

#include "tests/slw_test.h"

#include "base/json.h"
#include "base/rng.h"
#include "tests/unit/model/golden_files.h"

#define COLUMNS 5

static struct slw_str names[COLUMNS] = {
    {"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}, {"e", 1}};
static const struct slw_signature SIG = {names, COLUMNS, -1};

/* ---- golden answers ---- */

static float
bits_at(const struct json_t *list, size_t index)
{
    uint32_t bits = (uint32_t)slw_json_i64_or(slw_json_at(list, index), -1);
    float v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static void
compare_with_library(const char *file, struct slw_str model_bytes,
                     struct slw_str expect)
{
    struct slw_err err;
    struct slw_model *m = NULL;
    SLW_AUTO(slw_json, doc);
    assert_ok(slw_json_parse(&doc, expect, &err), err);
    const struct json_t *rows = slw_json_get(doc.root, "rows");
    const struct json_t *answers = slw_json_get(doc.root, "answers");
    size_t row_count = slw_json_len(rows) / COLUMNS;
    assert_int_equal(slw_json_len(answers), row_count);
    assert_true(row_count > 30);
    assert_ok(slw_model_load(&m, SLW_FLAVOUR_XGBOOST, &SIG, model_bytes, &err),
              err);
    double *x = slw_alloc(row_count * COLUMNS * sizeof(double));
    double *y = slw_alloc(row_count * sizeof(double));
    for (size_t i = 0; i < row_count * COLUMNS; i++)
        x[i] = (double)bits_at(rows, i);
    slw_model_predict(m, x, row_count, y);
    for (size_t r = 0; r < row_count; r++) {
        float ours = (float)y[r], theirs = bits_at(answers, r);
        double alone;
        if (memcmp(&ours, &theirs, sizeof(ours)) != 0)
            fail_msg("%s row %zu: %.9g, the library says %.9g", file, r,
                     (double)ours, (double)theirs);
        slw_model_predict(m, x + r * COLUMNS, 1, &alone);
        assert_memory_equal(&alone, &y[r], sizeof(alone));
    }
    slw_free(x);
    slw_free(y);
    slw_model_unref(m);
}

static enum slw_rc
each_file(void *ctx, const char *path, const char *name, bool is_dir,
          struct slw_err *err)
{
    int *count = ctx;
    struct slw_str s = slw_str_of(name);
    (void)is_dir;
    if (slw_str_ends(s, ".expect.json") || slw_str_ends(s, ".py") ||
        strstr(name, "_linear.") || strstr(name, "_multi."))
        return SLW_OK;
    SLW_AUTO(slw_buf, model);
    SLW_AUTO(slw_buf, expect);
    char beside[PATH_MAX];
    snprintf(beside, sizeof(beside), "%.*s.expect.json",
             (int)(strrchr(path, '.') - path), path);
    TRY(slw_file_get(path, 1 << 20, &model, err));
    TRY(slw_file_get(beside, 1 << 20, &expect, err));
    compare_with_library(name, slw_buf_view(&model), slw_buf_view(&expect));
    (*count)++;
    return SLW_OK;
}

static void
answers_equal_the_bits_of_the_library_that_wrote_the_file(void **state)
{
    struct slw_err err;
    char dir[PATH_MAX];
    int count = 0;
    golden_path(dir, "xgboost");
    assert_ok(slw_dir_each(dir, each_file, &count, &err), err);
    assert_int_equal(count, 64);
}

/* ---- a small file by hand ---- */

/* Tree 0: column 1 < 0.5 ? (column 0 < 2 ? 10 : 20) : 30; missing in column 1
 * goes right, in column 0 left.  Tree 1 is one leaf, 0.25.  base_score 1. */
#define TREE0                                                                  \
    "{\"id\":0,\"left_children\":[1,3,-1,-1,-1],\"right_children\":"           \
    "[2,4,-1,-1,-1],\"split_indices\":[1,0,0,0,0],\"split_conditions\":"       \
    "[5E-1,2E0,3E1,1E1,2E1],\"default_left\":[0,1,0,0,0],\"split_type\":"      \
    "[0,0,0,0,0],\"categories\":[],\"categories_nodes\":[],"                   \
    "\"categories_segments\":[],\"categories_sizes\":[],\"tree_param\":"       \
    "{\"num_nodes\":\"5\",\"size_leaf_vector\":\"1\"}}"
#define TREE1                                                                  \
    "{\"id\":1,\"left_children\":[-1],\"right_children\":[-1],"                \
    "\"split_indices\":[0],\"split_conditions\":[2.5E-1],\"default_left\":"    \
    "[0],\"tree_param\":{\"num_nodes\":\"1\"}}"
#define FILE_OF(trees, info, indptr, param, booster)                           \
    "{\"learner\":{\"gradient_booster\":{\"model\":{"                          \
    "\"gbtree_model_param\":{\"num_trees\":\"2\"},\"iteration_"                \
    "indptr\":" indptr ",\"tree_info\":" info ",\"trees\":" trees              \
    "},\"name\":\"" booster "\"},\"learner_model_param\":{" param              \
    "},\"objective\":{\"name\":"                                               \
    "\"reg:squarederror\"}},\"version\":[3,0,0]}"
#define PARAM "\"base_score\":\"1E0\",\"num_feature\":\"5\""
#define GOOD                                                                   \
    FILE_OF("[" TREE0 "," TREE1 "]", "[0,0]", "[0,1,2]", PARAM, "gbtree")

static enum slw_rc
load(const char *text, struct slw_model **out, struct slw_err *err)
{
    return slw_model_load(out, SLW_FLAVOUR_XGBOOST, &SIG, slw_str_of(text),
                          err);
}

static void
a_tree_worked_by_hand_walks_left_below_and_right_at_the_threshold(void **state)
{
    struct slw_err err;
    struct slw_model *m = NULL;
    const double x[][COLUMNS] = {
        {1, 0.4, 0, 0, 0},         /* left, left: 10 */
        {2, 0.4, 0, 0, 0},         /* equal goes right: 20 */
        {1, 0.5, 0, 0, 0},         /* equal goes right: 30 */
        {1, NAN, 0, 0, 0},         /* missing goes right: 30 */
        {NAN, -INFINITY, 0, 0, 0}, /* left, then missing goes left: 10 */
        {INFINITY, -0.0, 0, 0, 0}, /* left, right: 20 */
        {1e300, 0, 0, 0, 0},       /* infinite as float32: 20 */
    };
    const double leaf[] = {10, 20, 30, 30, 10, 20, 20};
    double y[ARRAY_LEN(x)];
    assert_ok(load(GOOD, &m, &err), err);
    slw_model_predict(m, x[0], ARRAY_LEN(x), y);
    for (size_t i = 0; i < ARRAY_LEN(x); i++)
        assert_near(y[i], 1 + leaf[i] + 0.25, 0);
    slw_model_unref(m);
}

static void
an_answer_may_be_relative_to_a_column(void **state)
{
    struct slw_err err;
    struct slw_model *m = NULL;
    const struct slw_signature relative = {names, COLUMNS, 4};
    const double x[] = {1, 0.4, 0, 0, 200, 1, 0.4, 0, 0, NAN};
    double y[2];
    assert_ok(
        slw_model_load(&m, SLW_FLAVOUR_XGBOOST, &relative, SLW_STR(GOOD), &err),
        err);
    slw_model_predict(m, x, 2, y);
    assert_near(y[0], 200 * (1 + 11.25), 0);
    assert_true(isnan(y[1]));
    slw_model_unref(m);
}

static void
trees_are_summed_by_id_whatever_their_place_in_the_file(void **state)
{
    struct slw_err err;
    struct slw_model *m = NULL;
    const double x[COLUMNS] = {1, 0.4, 0, 0, 0};
    double y;
    assert_ok(load(FILE_OF("[" TREE1 "," TREE0 "]", "[0,0]", "[0,1,2]", PARAM,
                           "gbtree"),
                   &m, &err),
              err);
    slw_model_predict(m, x, 1, &y);
    assert_near(y, 11.25, 0);
    slw_model_unref(m);
}

/* ---- refusals ---- */

struct refusal {
    const char *from, *to; /* in GOOD */
    enum slw_rc rc;
    const char *part; /* of the sentence */
};

static const struct refusal REFUSALS[] = {
    {"[1,3,-1,-1,-1]", "[1,0,-1,-1,-1]", SLW_INVALID, "out of range"},
    {"[1,3,-1,-1,-1]", "[1,5,-1,-1,-1]", SLW_INVALID, "out of range"},
    {"[1,3,-1,-1,-1]", "[1,1,-1,-1,-1]", SLW_INVALID, "two parents"},
    {"[1,3,-1,-1,-1]", "[1,2,-1,-1,-1]", SLW_INVALID, "two parents"},
    {"[1,3,-1,-1,-1]", "[1,3,-1,-1]", SLW_INVALID, "num_nodes"},
    {"[1,3,-1,-1,-1]", "[1,3.5,-1,-1,-1]", SLW_INVALID, "whole"},
    {"[1,3,-1,-1,-1]", "[1,3,-1,[],-1]", SLW_INVALID, "whole number"},
    {"[2,4,-1,-1,-1]", "[2,4,-1]", SLW_INVALID, "differ in length"},
    {"[1,0,0,0,0]", "[7,0,0,0,0]", SLW_INVALID, "column 7 of 5"},
    {"[1,0,0,0,0]", "[-1,0,0,0,0]", SLW_INVALID, "no column"},
    {"[0,0,0,0,0],\"cat", "[1,0,0,0,0],\"cat", SLW_INVALID, "no categories"},
    {"[0,0,0,0,0],\"cat", "[2,0,0,0,0],\"cat", SLW_INVALID, "unknown type"},
    {"[5E-1,", "[NaN,", SLW_INVALID, "threshold is NaN"},
    {"2E1]", "NaN]", SLW_INVALID, "leaf is NaN"},
    {"\"categories_nodes\":[]", "\"categories_nodes\":[0]", SLW_INVALID,
     "category arrays"},
    {"\"categories\":[]", "\"categories\":[-4]", SLW_INVALID, "0..16777215"},
    {"\"id\":1", "\"id\":0", SLW_INVALID, "ids"},
    {"\"id\":1", "\"id\":2", SLW_INVALID, "ids"},
    {"\"id\":1,", "", SLW_INVALID, "no id"},
    {"\"tree_info\":[0,0]", "\"tree_info\":[0]", SLW_INVALID, "tree_info"},
    {"\"tree_info\":[0,0]", "\"tree_info\":[0,1]", SLW_INVALID, "output 1"},
    {"[0,1,2]", "[0,2,1]", SLW_INVALID, "iteration_indptr"},
    {"[0,1,2]", "[]", SLW_INVALID, "iteration_indptr"},
    {"\"num_trees\":\"2\"", "\"num_trees\":\"3\"", SLW_INVALID, "says it"},
    {"\"num_trees\":\"2\"", "\"num_trees\":2", SLW_INVALID, "num_trees"},
    {"\"base_score\":\"1E0\"", "\"base_score\":\"NaN\"", SLW_INVALID,
     "base_score"},
    {"\"base_score\":\"1E0\"", "\"base_score\":\"[1E0,2E0]\"", SLW_INVALID,
     "base_score"},
    {"\"base_score\":\"1E0\",", "", SLW_INVALID, "base_score"},
    {"\"num_feature\":\"5\"", "\"num_feature\":\"4\"", SLW_INVALID,
     "4 columns"},
    {",\"num_feature\":\"5\"", "", SLW_INVALID, "num_feature"},
    {"\"num_feature\":\"5\"", "\"num_feature\":\"5\",\"num_class\":\"3\"",
     SLW_UNSUPPORTED, "3 outputs"},
    {"\"num_feature\":\"5\"", "\"num_feature\":\"5\",\"num_target\":\"2\"",
     SLW_UNSUPPORTED, "2 outputs"},
    {"size_leaf_vector\":\"1\"", "size_leaf_vector\":\"2\"", SLW_UNSUPPORTED,
     "vector leaves"},
    {"\"gbtree\"}", "\"gblinear\"}", SLW_UNSUPPORTED, "gblinear"},
    {"\"gbtree\"}", "\"dart\"}", SLW_INVALID, "weight_drop"},
    {"reg:squarederror", "reg:mine", SLW_UNSUPPORTED, "'reg:mine'"},
    {"[3,0,0]", "[3,0]", SLW_INVALID, "version"},
    {"[3,0,0]", "[0,9,0]", SLW_UNSUPPORTED, "XGBoost 0"},
    {"\"version\"", "\"Version\"", SLW_INVALID, "version"},
    {"\"learner\"", "\"Config\"", SLW_INVALID, "snapshot"},
    {"[3,0,0]}", "[3,0,0]", SLW_INVALID, "too early"},
    {"[3,0,0]}", "[3,0,0]}]", SLW_INVALID, "after the end"},
    {"\"id\":1", "\"id\" 1", SLW_INVALID, "colon"},
    {"\"id\":1", "id:1", SLW_INVALID, "key"},
    {"[0,1,2]", "[0 1,2]", SLW_INVALID, "comma"},
    {"\"id\":1", "\"\\q\":1", SLW_INVALID, "escape"},
};

static void
damaged_files_are_refused_with_a_sentence_that_names_the_damage(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(REFUSALS); i++) {
        const struct refusal *c = &REFUSALS[i];
        struct slw_model *m = NULL;
        struct slw_err err = {0};
        SLW_AUTO(slw_buf, text);
        const char *at = strstr(GOOD, c->from);
        assert_non_null(at);
        slw_buf_add(&text, GOOD, (size_t)(at - GOOD));
        slw_buf_z(&text, c->to);
        slw_buf_z(&text, at + strlen(c->from));
        assert_fails(load(text.ptr, &m, &err), c->rc, err, c->part);
        assert_null(m);
    }
}

static void
files_of_another_kind_are_named_for_what_they_are(void **state)
{
    struct slw_err err;
    struct slw_model *m = NULL;
    assert_fails(load("\x80\x04pickle", &m, &err), SLW_INVALID, err, "pickle");
    assert_fails(load("binf____", &m, &err), SLW_INVALID, err, ".ubj");
    assert_fails(load("tree\nversion=v4\n", &m, &err), SLW_UNSUPPORTED, err,
                 "LightGBM");
    assert_fails(load("", &m, &err), SLW_INVALID, err, "empty");
    assert_fails(load("{}", &m, &err), SLW_INVALID, err, "learner");
    assert_fails(load("[1]", &m, &err), SLW_INVALID, err, "neither");
    SLW_AUTO(slw_buf, deep);
    slw_buf_z(&deep, "{\"a\":");
    for (int i = 0; i < 100; i++)
        slw_buf_char(&deep, '[');
    assert_fails(load(deep.ptr, &m, &err), SLW_INVALID, err, "32 levels");
}

static void
boosters_that_are_not_evaluated_are_unsupported(void **state)
{
    static const char *const files[] = {
        "xgboost/3.2.0_linear.json", "xgboost/3.2.0_linear.ubj",
        "xgboost/3.2.0_multi.json", "xgboost/3.2.0_multi.ubj"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct slw_err err;
        struct slw_model *m = NULL;
        SLW_AUTO(slw_buf, bytes);
        golden_get(files[i], &bytes);
        assert_fails(slw_model_load(&m, SLW_FLAVOUR_XGBOOST, &SIG,
                                    slw_buf_view(&bytes), &err),
                     SLW_UNSUPPORTED, err, i < 2 ? "gblinear" : "3 outputs");
    }
}

static void
columns_that_stand_at_another_place_are_refused(void **state)
{
    struct slw_err err;
    struct slw_model *m = NULL;
    SLW_AUTO(slw_buf, text);
    const char *at = strstr(GOOD, "\"objective\"");
    slw_buf_add(&text, GOOD, (size_t)(at - GOOD));
    slw_buf_z(&text, "\"feature_names\":[\"a\",\"c\",\"\\u0062\",\"d\",\"e\"]"
                     ",");
    slw_buf_z(&text, at);
    assert_fails(load(text.ptr, &m, &err), SLW_INVALID, err,
                 "column 1 is 'c', but the signature has that name as column"
                 " 2");
}

static void
a_bad_signature_is_refused(void **state)
{
    struct slw_err err;
    struct slw_model *m = NULL;
    struct slw_str twice[] = {{"a", 1}, {"b", 1}, {"a", 1}};
    const struct slw_signature same = {twice, 3, -1};
    const struct slw_signature far = {twice, 2, 2};
    const struct slw_signature none = {twice, 0, -1};
    assert_fails(
        slw_model_load(&m, SLW_FLAVOUR_RULE, &same, SLW_STR("1"), &err),
        SLW_INVALID, err, "'a' twice");
    assert_fails(slw_model_load(&m, SLW_FLAVOUR_RULE, &far, SLW_STR("1"), &err),
                 SLW_INVALID, err, "column 2 of 2");
    assert_fails(
        slw_model_load(&m, SLW_FLAVOUR_RULE, &none, SLW_STR("1"), &err),
        SLW_INVALID, err, "1 to 4096");
}

/* ---- mutations ---- */

#define MUTATION_COUNT 20000

static void
mutate(struct slw_rng *rng, char *bytes, size_t *io_size)
{
    size_t changes = 1 + slw_rng_below(rng, 4);
    for (size_t i = 0; i < changes; i++) {
        size_t at = slw_rng_below(rng, *io_size);
        switch (slw_rng_below(rng, 6)) {
        case 0:
            bytes[at] = (char)slw_rng_u64(rng);
            break;
        case 1:
            bytes[at] = (char)(bytes[at] ^ (1 << slw_rng_below(rng, 8)));
            break;
        case 2: /* a digit or sign, which keeps JSON whole more often */
            bytes[at] = "0123456789-.eE[]{},:\""[slw_rng_below(rng, 21)];
            break;
        case 3: { /* some bytes doubled over others */
            size_t from = slw_rng_below(rng, *io_size);
            size_t size = slw_rng_below(rng, 32);
            if (from + size <= *io_size && at + size <= *io_size)
                memmove(bytes + at, bytes + from, size);
            break;
        }
        case 4: { /* some bytes gone */
            size_t size = slw_rng_below(rng, 16);
            if (at + size < *io_size) {
                memmove(bytes + at, bytes + at + size, *io_size - at - size);
                *io_size -= size;
            }
            break;
        }
        default: /* numbers become others of the same length */
            while (at < *io_size && (bytes[at] < '0' || bytes[at] > '9'))
                at++;
            if (at < *io_size)
                bytes[at] = (char)('0' + slw_rng_below(rng, 10));
        }
    }
}

/* Whatever the bytes are: a sentence, or a model that answers. */
static void
twenty_thousand_mutations_are_refused_or_answer(void **state)
{
    static const char *const files[] = {
        "xgboost/3.2.0_category.ubj", "xgboost/3.2.0_dart.ubj",
        "xgboost/1.7.6_squared.ubj",  "xgboost/3.2.0_category.json",
        "xgboost/1.2.1_dart.json",    "xgboost/3.0.5_sklearn.json"};
    struct slw_buf seeds[ARRAY_LEN(files)] = {0};
    struct slw_rng rng;
    size_t loaded = 0, refused = 0;
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        golden_get(files[i], &seeds[i]);
    slw_rng_init(&rng, 20260101);
    for (size_t i = 0; i < MUTATION_COUNT; i++) {
        const struct slw_buf *seed = &seeds[i % ARRAY_LEN(files)];
        size_t size = seed->len;
        /* Exactly sized, so that a read past the end is seen. */
        char *bytes = slw_alloc(size);
        memcpy(bytes, seed->ptr, size);
        mutate(&rng, bytes, &size);
        char *exact = slw_realloc(bytes, size ? size : 1);
        struct slw_err err = {0};
        struct slw_model *m = NULL;
        enum slw_rc rc = slw_model_load(&m, SLW_FLAVOUR_XGBOOST, &SIG,
                                        (struct slw_str){exact, size}, &err);
        if (rc == SLW_OK) {
            const double x[] = {0.1, NAN, -3, 2, INFINITY, 5, 5, 5, 5, 5};
            double y[2];
            slw_model_predict(m, x, 2, y);
            loaded++;
        } else {
            assert_null(m);
            assert_true(rc == SLW_INVALID || rc == SLW_UNSUPPORTED ||
                        rc == SLW_LIMIT);
            assert_true(strlen(err.msg) > 10);
            refused++;
        }
        slw_model_unref(m);
        slw_free(exact);
    }
    /* Both must happen, or the mutations are too mild or too wild. */
    assert_true(loaded > 500);
    assert_true(refused > 5000);
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        slw_buf_done(&seeds[i]);
}

static void
every_cut_of_a_file_is_refused(void **state)
{
    static const char *const files[] = {"xgboost/3.2.0_dart.ubj",
                                        "xgboost/3.2.0_dart.json"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        SLW_AUTO(slw_buf, bytes);
        golden_get(files[i], &bytes);
        for (size_t size = 1; size < bytes.len; size += 7) {
            struct slw_err err;
            struct slw_model *m = NULL;
            assert_int_equal(slw_model_load(&m, SLW_FLAVOUR_XGBOOST, &SIG,
                                            (struct slw_str){bytes.ptr, size},
                                            &err),
                             SLW_INVALID);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            answers_equal_the_bits_of_the_library_that_wrote_the_file),
        cmocka_unit_test(
            a_tree_worked_by_hand_walks_left_below_and_right_at_the_threshold),
        cmocka_unit_test(an_answer_may_be_relative_to_a_column),
        cmocka_unit_test(
            trees_are_summed_by_id_whatever_their_place_in_the_file),
        cmocka_unit_test(
            damaged_files_are_refused_with_a_sentence_that_names_the_damage),
        cmocka_unit_test(files_of_another_kind_are_named_for_what_they_are),
        cmocka_unit_test(boosters_that_are_not_evaluated_are_unsupported),
        cmocka_unit_test(columns_that_stand_at_another_place_are_refused),
        cmocka_unit_test(a_bad_signature_is_refused),
        cmocka_unit_test(twenty_thousand_mutations_are_refused_or_answer),
        cmocka_unit_test(every_cut_of_a_file_is_refused),
    };
    return cmocka_run_group_tests_name("model/xgb", tests, NULL, NULL);
}
