#include "conf/yaml.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct arena arena;
static struct diag_list diags;

static struct node *parse(const char *text) {
    return yaml_parse(&arena, &diags, diag_source(&diags, "t.yaml", span_z(text)));
}

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, NULL);
    diag_init(&diags, true);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_finish(&arena);
    diag_finish(&diags);
    return 0;
}

static void positions(void **state) {
    (void)state;
    struct node *n = parse("a: 1\nlist:\n  - x\n  - {k: 'v'}\n");
    assert_non_null(n);
    struct node *list = node_get(n, "list");
    assert_int_equal(list->kind, NODE_LIST);
    assert_int_equal(list->item[0]->at.line, 3);
    assert_int_equal(list->item[0]->at.column, 5);
    struct node *v = node_get(list->item[1], "k");
    assert_int_equal(v->at.line, 4);
    assert_int_equal(v->at.column, 9);
    assert_int_equal(v->at.length, 3);
    assert_true(v->quoted);
    assert_int_equal(v->end_line, 4);
    assert_int_equal(v->end_column, 12);
    assert_false(node_get(n, "a")->quoted);
}

static void core_schema(void **state) {
    (void)state;
    struct node *n = parse("a: null\nb: ~\nc:\nd: 'null'\ne: true\nf: no\ng: \"false\"\n");
    assert_true(node_null(node_get(n, "a")));
    assert_true(node_null(node_get(n, "b")));
    assert_true(node_null(node_get(n, "c")));
    assert_false(node_null(node_get(n, "d")));
    assert_true(node_true(node_get(n, "e")));
    assert_false(node_false(node_get(n, "f")));
    assert_false(node_false(node_get(n, "g")));
}

static void aliases_are_shared(void **state) {
    (void)state;
    struct node *n = parse("a: &x {k: v}\nb: *x\n");
    assert_ptr_equal(node_get(n, "a"), node_get(n, "b"));
}

static void refused(void **state) {
    static const struct {
        const char *text;
        enum diag_code code;
        unsigned line, column;
    } rows[] = {
        {"a: 1\na: 2\n", DIAG_E0106, 2, 1},
        {"a: !t 1\n", DIAG_E0107, 1, 4},
        {"a: !!str 1\n", DIAG_E0107, 1, 4},
        {"a: !m {}\n", DIAG_E0107, 1, 4},
        {"<<: {a: 1}\n", DIAG_E0108, 1, 1},
        {"a: 1\n---\nb: 1\n", DIAG_E0109, 2, 1},
        {"", DIAG_E0109, 0, 0},
        {"a: *x\n", DIAG_E0110, 1, 4},
        {"a: &x [*x]\n", DIAG_E0110, 1, 8},
        {"[a]: 1\n", DIAG_E0111, 1, 1},
        {"a: {b: [}\n", DIAG_E0103, 1, 9},
        {"a: \"\\q\"\n", DIAG_E0103, 1, 5},
        {"a: \x01\n", DIAG_E0103, 1, 4},
        {"\xff\xfe\n", DIAG_E0103, 1, 1},
    };
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        diag_finish(&diags);
        diag_init(&diags, true);
        assert_null(parse(rows[i].text));
        assert_true(diags.errors >= 1);
        assert_string_equal(diags.diag[0]->info->code, diag_codes[rows[i].code].code);
        assert_int_equal(diags.diag[0]->at.line, rows[i].line);
        assert_int_equal(diags.diag[0]->at.column, rows[i].column);
    }
}

static void nested(char *out, unsigned depth) {
    memset(out, '[', depth);
    memset(out + depth, ']', depth);
    out[2 * depth] = 0;
}

static void depth_is_bounded(void **state) {
    char text[400];
    (void)state;
    nested(text, YAML_DEPTH);
    assert_non_null(parse(text));
    nested(text, YAML_DEPTH + 1);
    assert_null(parse(text));
    assert_string_equal(diags.diag[0]->info->code, "E0105");
}

/* An alias adds the depth of what it stands for. */
static void depth_of_aliases(void **state) {
    char text[1000], deep[200];
    (void)state;
    nested(deep, 40);
    snprintf(text, sizeof text,
             "a: &x %s\nb: [[[[[[[[[[[[[[[[[[[[[[[[[*x]]]]]]]]]]]]]]]]]]]]]]]]]\n", deep);
    assert_null(parse(text));
    assert_string_equal(diags.diag[0]->info->code, "E0105");
}

static void expansion_is_bounded(void **state) {
    char text[4000];
    struct str s = str_on(text, sizeof text - 1);
    (void)state;
    str_lit(&s, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 20; i++)
        str_fmt(&s, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1, i - 1,
                i - 1, i - 1);
    text[s.n] = 0;
    assert_null(parse(text));
    assert_string_equal(diags.diag[0]->info->code, "E0110");
}

static void inside_of(const char *text, const char *key, size_t at, unsigned line,
                      unsigned column) {
    struct node *n = parse(text);
    assert_non_null(n);
    struct mark m = node_inside(&diags, node_get(n, key), at, 1);
    assert_int_equal(m.line, line);
    assert_int_equal(m.column, column);
}

static void places_inside_texts(void **state) {
    (void)state;
    inside_of("k: abcdef\n", "k", 3, 1, 7);
    inside_of("k: 'ab''cd'\n", "k", 3, 1, 9);           /* ab'c: the c */
    inside_of("k: \"a\\tb\\u00e9c\"\n", "k", 5, 1, 15); /* a TAB b e-acute c: the c */
    inside_of("k: |\n  one\n  two\n", "k", 5, 3, 4);    /* the w of two */
    inside_of("k: \xc3\xa9x\n", "k", 2, 1, 5);          /* columns count characters */
}

static void many_keys(void **state) {
    char *text = arena_alloc(&arena, 400000);
    struct str s = str_on(text, 399999);
    (void)state;
    for (int i = 0; i < 20000; i++)
        str_fmt(&s, "k%d: 1\n", i);
    str_lit(&s, "k77: 2\n");
    text[s.n] = 0;
    assert_null(parse(text));
    assert_int_equal(diags.errors, 1);
    assert_int_equal(diags.diag[0]->at.line, 20001);
    assert_int_equal(diags.diag[0]->note[0].at.line, 78);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(positions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(core_schema, set_up, tear_down),
        cmocka_unit_test_setup_teardown(aliases_are_shared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(depth_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(depth_of_aliases, set_up, tear_down),
        cmocka_unit_test_setup_teardown(expansion_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(places_inside_texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_keys, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
