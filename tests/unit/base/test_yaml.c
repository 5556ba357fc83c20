/* test_yaml.c -- the tree with its places, and every refusal with its. */
#include "base/yaml.h"

#include <fcntl.h>

#include "tests/slw_test.h"

static struct slw_yaml *
parsed(struct slw_arena *a, const char *text)
{
    struct slw_err err;
    struct slw_yaml *root = NULL;
    assert_ok(slw_yaml_parse(a, "t.yaml", slw_str_of(text), &root, &err), err);
    return root;
}

static void
maps_lists_and_scalars_keep_order_and_place(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_yaml *root = parsed(&a, "name: demo\n"
                                       "port:   8080\n"
                                       "list:\n"
                                       "  - one\n"
                                       "  - \"2\"\n"
                                       "  - {k: v, l: [x]}\n"
                                       "text: |\n"
                                       "  two\n"
                                       "  lines\n");
    assert_int_equal(root->kind, SLW_YAML_MAP);
    assert_int_equal(root->child_count, 4);
    const struct slw_yaml *port = slw_yaml_get(root, "port");
    assert_true(slw_str_eqz(port->text, "8080"));
    assert_true(port->plain);
    assert_int_equal(port->key_line, 2);
    assert_int_equal(port->key_column, 1);
    assert_int_equal(port->line, 2);
    assert_int_equal(port->column, 9);
    const struct slw_yaml *list = slw_yaml_get(root, "list");
    assert_int_equal(list->kind, SLW_YAML_SEQ);
    assert_int_equal(list->child_count, 3);
    assert_true(slw_str_eqz(list->child->text, "one"));
    assert_false(list->child->next->plain);
    assert_int_equal(list->child->next->line, 5);
    assert_int_equal(list->child->next->column, 5);
    const struct slw_yaml *map = list->child->next->next;
    assert_true(slw_str_eqz(slw_yaml_get(map, "l")->child->text, "x"));
    assert_true(slw_str_eqz(slw_yaml_get(root, "text")->text, "two\nlines\n"));
    assert_false(slw_yaml_get(root, "text")->plain);
    assert_null(slw_yaml_get(root, "absent"));
    assert_null(slw_yaml_get(list, "one"));
    assert_null(slw_yaml_get(NULL, "one"));
}

static void
block_text_is_indented_deeper_than_its_parent(void **state)
{
    static const struct {
        const char *text, *said;
    } bad[] = {
        {"a:\n  b: |\n  o\n  c: d\n", "t.yaml:3:3: the text after"},
        {"a:\n  b: >\n\n  o\n", "t.yaml:4:3: the text after"},
        {"a:\n  - |\n  o\n  - d\n", "t.yaml:3:3: the text after"},
        {"- - |\n  o\n", "t.yaml:2:3: the text after"},
        /* fy_token_get_text() gives a length 6 past the text here. */
        {"a:\n  - {k: v}\n  - |\n  o\n    lines\n  - >-\n    fold\n"
         "  E ;  ed\n",
         "t.yaml:4:3: the text after"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        SLW_AUTO(slw_arena, a);
        struct slw_err err;
        struct slw_yaml *root = NULL;
        assert_fails(
            slw_yaml_parse(&a, "t.yaml", slw_str_of(bad[i].text), &root, &err),
            SLW_INVALID, err, bad[i].said);
        assert_null(root);
    }
    static const struct {
        const char *text, *is;
    } good[] = {
        {"a: |\n o\n", "o\n"},        {"a: |\n\n    o\n     p\n", "\no\n p\n"},
        {"a: &x |2\n   o\n", " o\n"}, {"a: >-\n  o\n  p\n", "o p"},
        {"'a': |\n o\n", "o\n"},      {"a: |\nb: c\n", ""},
        {"a: |+\n\n", "\n"},          {"a: |+\n\nb: c\n", "\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        SLW_AUTO(slw_arena, a);
        const struct slw_yaml *v = slw_yaml_get(parsed(&a, good[i].text), "a");
        assert_int_equal(v->text.len, strlen(good[i].is));
        assert_true(slw_str_eqz(v->text, good[i].is));
    }
    SLW_AUTO(slw_arena, a);
    const struct slw_yaml *list = parsed(&a, "- |\n o\n- - |\n   p\n- &x\n"
                                             "  - |\n   q\n");
    assert_true(slw_str_eqz(list->child->text, "o\n"));
    assert_true(slw_str_eqz(list->child->next->child->text, "p\n"));
    assert_true(slw_str_eqz(list->child->next->next->child->text, "q\n"));
}

/* fy_token_get_text() leaks here, which the sanitizer sees. */
static void
a_line_may_have_many_escapes(void **state)
{
    SLW_AUTO(slw_arena, a);
    const struct slw_yaml *v = parsed(&a, "a: 'i''t''s''s''s''s''s''s''s'\n"
                                          "b: \"\\t\\n\\t\\n\\t\\n\\t\\n\\t\"\n"
                                          "c: ''\nd:\n");
    assert_true(slw_str_eqz(v->child->text, "i't's's's's's's's"));
    v = v->child->next;
    assert_true(slw_str_eqz(v->text, "\t\n\t\n\t\n\t\n\t"));
    assert_true(slw_str_eqz(v->next->text, ""));
    assert_true(slw_str_eqz(v->next->next->text, ""));
}

static void
an_empty_file_is_an_empty_map(void **state)
{
    SLW_AUTO(slw_arena, a);
    static const char *const empty[] = {"", "\n\n", "# only a comment\n"};
    for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
        const struct slw_yaml *root = parsed(&a, empty[i]);
        assert_int_equal(root->kind, SLW_YAML_MAP);
        assert_int_equal(root->child_count, 0);
    }
    const struct slw_yaml *root = parsed(&a, "key:\n");
    assert_true(root->child->plain);
    assert_int_equal(root->child->text.len, 0);
}

static void
aliases_are_copies_of_their_anchors(void **state)
{
    SLW_AUTO(slw_arena, a);
    const struct slw_yaml *root = parsed(&a, "base: &b {x: 1, y: [2, 3]}\n"
                                             "copy: *b\n"
                                             "num: &n 7\n"
                                             "also: *n\n");
    const struct slw_yaml *copy = slw_yaml_get(root, "copy");
    assert_int_equal(copy->kind, SLW_YAML_MAP);
    assert_int_equal(copy->line, 2);
    assert_int_equal(slw_yaml_get(copy, "y")->child_count, 2);
    assert_true(slw_str_eqz(slw_yaml_get(root, "also")->text, "7"));
    assert_true(slw_str_eqz(slw_yaml_get(root, "also")->key, "also"));
}

static void
a_str_tag_makes_text_of_what_looks_like_a_number(void **state)
{
    SLW_AUTO(slw_arena, a);
    const struct slw_yaml *root = parsed(&a, "v: !!str 5\n");
    assert_true(slw_str_eqz(root->child->text, "5"));
    assert_false(root->child->plain);
}

static void
mistakes_are_reported_with_file_line_and_column(void **state)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"a: 1\nb: [1, 2\nc: 3\n",
         "t.yaml:4:1: flow sequence without a closing bracket"},
        {"a: 1\n\tb: 2\n", "t.yaml:1:4: invalid multiline plain key"},
        {"a: \"open\n", "t.yaml:"},
        {"a: 1\nbb: 2\na: 3\n", "t.yaml:3:1: the key 'a' stands here a second "
                                "time; the first is in line 1"},
        {"x: {k: 1, k: 2}\n", "t.yaml:1:11: the key 'k'"},
        {"a: *nope\n", "t.yaml:1:4: there is no anchor '&nope' above"},
        {"a: &a [*a]\n", "t.yaml:1:8: the anchor '&a' contains itself"},
        {"a: !!int 5\n", "t.yaml:1:"},
        {"a: !ruby/object x\n", "tags such as"},
        {"[a, b]: 1\n", "t.yaml:1:1: a key must be text"},
        {"? {a: 1}\n: 1\n", "t.yaml:1:3: a key must be text"},
        {"\"\": 1\n", "t.yaml:1:1: a key is empty"},
        {"a: 1\n---\nb: 2\n", "t.yaml:2:1: a second document"},
        {"a: 1\nb: \xFF\n", "t.yaml:2:4: the text is not UTF-8"},
        {"a: \x01\n", "t.yaml:1:4: there is a control character, 1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        SLW_AUTO(slw_arena, a);
        struct slw_err err = {0};
        struct slw_yaml *root = NULL;
        assert_fails(slw_yaml_parse(&a, "t.yaml", slw_str_of(cases[i].text),
                                    &root, &err),
                     SLW_INVALID, err, cases[i].part);
        assert_null(root);
    }
    SLW_AUTO(slw_arena, a);
    struct slw_err err;
    struct slw_yaml *root = NULL;
    assert_fails(slw_yaml_parse(&a, "t.yaml", (struct slw_str){"a: \0b", 5},
                                &root, &err),
                 SLW_INVALID, err,
                 "t.yaml:1:4: there is a control character, 0");
}

static void
depth_and_number_of_values_are_limited(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_err err;
    struct slw_yaml *root = NULL;
    char deep[200];
    memset(deep, '[', 65);
    memset(deep + 65, ']', 65);
    assert_int_equal(
        slw_yaml_parse(&a, "t", (struct slw_str){deep, 130}, &root, &err),
        SLW_INVALID);
    /* 64 levels, the innermost empty, are fine. */
    memset(deep, '[', 64);
    memset(deep + 64, ']', 64);
    enum slw_rc rc =
        slw_yaml_parse(&a, "t", (struct slw_str){deep, 128}, &root, &err);
    assert_ok(rc, err);

    /* Billion laughs: 10 levels of 10 aliases. */
    const char *laughs = "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
                         "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
                         "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
                         "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
                         "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n";
    assert_fails(slw_yaml_parse(&a, "t", slw_str_of(laughs), &root, &err),
                 SLW_INVALID, err, "more than 100000 values");
}

static void
the_parser_writes_nothing_on_standard_error(void **state)
{
    char dir[256], path[300];
    slw_test_dir(dir);
    snprintf(path, sizeof path, "%s/err", dir);
    int saved = dup(2);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    dup2(fd, 2);
    SLW_AUTO(slw_arena, a);
    struct slw_err err;
    struct slw_yaml *root;
    enum slw_rc rc =
        slw_yaml_parse(&a, "t", SLW_STR("a: [1\nb: }"), &root, &err);
    dup2(saved, 2);
    close(saved);
    off_t size = lseek(fd, 0, SEEK_END);
    close(fd);
    assert_int_equal(rc, SLW_INVALID);
    assert_int_equal(size, 0);
}

static void
unknown_keys_are_named_with_the_nearest_right_one(void **state)
{
    static const char *const known[] = {"host", "port", "workers", NULL};
    SLW_AUTO(slw_arena, a);
    struct slw_err err;
    assert_ok(
        slw_yaml_known(parsed(&a, "port: 1\nhost: x\n"), "t.yaml", known, &err),
        err);
    assert_fails(slw_yaml_known(parsed(&a, "port: 1\nwokers: 2\n"), "t.yaml",
                                known, &err),
                 SLW_INVALID, err,
                 "t.yaml:2:1: unknown key 'wokers'; did you mean 'workers'?");
    assert_fails(slw_yaml_known(parsed(&a, "- 1\n"), "t.yaml", known, &err),
                 SLW_INVALID, err, "t.yaml:1:1: keys and values are wanted");
}

static void
fail_puts_the_place_before_the_sentence(void **state)
{
    SLW_AUTO(slw_arena, a);
    struct slw_err err;
    const struct slw_yaml *root = parsed(&a, "a: 1\nb:  x\n");
    (void)slw_yaml_fail(&err, "f.yaml", slw_yaml_get(root, "b"), "bad %d", 5);
    assert_string_equal(err.msg, "f.yaml:2:5: bad 5");
    assert_int_equal(err.rc, SLW_INVALID);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_lists_and_scalars_keep_order_and_place),
        cmocka_unit_test(block_text_is_indented_deeper_than_its_parent),
        cmocka_unit_test(a_line_may_have_many_escapes),
        cmocka_unit_test(an_empty_file_is_an_empty_map),
        cmocka_unit_test(aliases_are_copies_of_their_anchors),
        cmocka_unit_test(a_str_tag_makes_text_of_what_looks_like_a_number),
        cmocka_unit_test(mistakes_are_reported_with_file_line_and_column),
        cmocka_unit_test(depth_and_number_of_values_are_limited),
        cmocka_unit_test(the_parser_writes_nothing_on_standard_error),
        cmocka_unit_test(unknown_keys_are_named_with_the_nearest_right_one),
        cmocka_unit_test(fail_puts_the_place_before_the_sentence),
    };
    return cmocka_run_group_tests_name("base/yaml", tests, NULL, NULL);
}
