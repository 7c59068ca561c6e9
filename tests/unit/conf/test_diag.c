#include "conf/diag.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

struct sink {
    char text[16384];
    size_t n;
};

static void take(void *ctx, struct span s) {
    struct sink *k = ctx;
    assert_true(k->n + s.n < sizeof k->text);
    memcpy(k->text + k->n, s.p, s.n);
    k->n += s.n;
    k->text[k->n] = 0;
}

static void every_code_is_explained(void **state) {
    (void)state;
    for (unsigned i = 0; i < DIAG_CODES; i++) {
        assert_non_null(diag_codes[i].code);
        assert_non_null(diag_codes[i].title);
        assert_true(strlen(diag_codes[i].text) > 20);
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(diag_codes[i].code, diag_codes[k].code);
    }
}

static void distance(void **state) {
    static const struct {
        const char *a, *b;
        unsigned d;
    } rows[] = {
        {"timeout", "timeout", 0}, {"timout", "timeout", 1}, {"tiemout", "timeout", 1},
        {"Timeout", "timeout", 0}, {"", "abc", 3},           {"kitten", "sitting", 3},
        {"abcdefgh", "xyz", 5},
    };
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++)
        assert_int_equal(diag_distance(span_z(rows[i].a), span_z(rows[i].b), 4), rows[i].d);
}

static void guesses(void **state) {
    static const char *const words[] = {"request_timeout", "rewrite", "to", "respond"};
    (void)state;
    assert_string_equal(diag_guess(SPAN("requst_timeout"), words, 4), "request_timeout");
    assert_string_equal(diag_guess(SPAN("rewirte"), words, 4), "rewrite");
    assert_null(diag_guess(SPAN("banana"), words, 4));
    assert_null(diag_guess(SPAN("xy"), words, 4));
}

static void print(struct diag_list *l, enum diag_format f, bool color, struct sink *k) {
    k->n = 0;
    diag_print(l, f, color, take, k);
}

static void printed(void **state) {
    struct diag_list l;
    struct sink k;
    (void)state;
    diag_init(&l, true);
    uint32_t f = diag_source(&l, "a.yaml", SPAN("one: 1\n\tk\xc3\xa9y: \x1b[31mx\n"));
    struct diag *d =
        diag_add(&l, DIAG_E0112, (struct mark){f, 2, 2, 3}, "no key \"%s\"", "k\"y\x1b");
    diag_help(&l, d, "did you mean key?");
    diag_note(&l, d, (struct mark){f, 1, 1, 3}, "see here");
    print(&l, DIAG_TEXT, false, &k);
    assert_string_equal(k.text, "a.yaml:2:2: error[E0112]: no key \"k\"y?\"\n"
                                "     2 | \tk\xc3\xa9y: ?[31mx\n"
                                "       | \t^~~\n"
                                "  note: see here: a.yaml:1:1\n"
                                "     1 | one: 1\n"
                                "       | ^~~\n"
                                "  help: did you mean key?\n");
    assert_null(strchr(k.text, '\x1b')); /* nothing of a file reaches the terminal's escapes */
    print(&l, DIAG_TEXT, true, &k);
    assert_non_null(strstr(k.text, "\x1b[1;31merror[E0112]"));
    print(&l, DIAG_JSON, true, &k);
    assert_non_null(
        strstr(k.text, "\"code\":\"E0112\",\"severity\":\"error\",\"file\":\"a.yaml\",\"line\":2"));
    assert_null(strchr(k.text, '\x1b'));
    print(&l, DIAG_SARIF, false, &k);
    assert_non_null(strstr(k.text, "\"startLine\":2,\"startColumn\":2,\"endColumn\":5"));
    diag_finish(&l);
}

static void bounded(void **state) {
    struct diag_list l;
    struct sink *k = test_malloc(sizeof *k);
    (void)state;
    diag_init(&l, true);
    uint32_t f = diag_source(&l, "a", SPAN(""));
    for (uint32_t i = 0; i < 250; i++)
        diag_add(&l, DIAG_E0112, (struct mark){f, 0, i, 1}, "x");
    assert_int_equal(l.errors, 250);
    assert_int_equal(l.count, DIAG_MAX);
    print(&l, DIAG_TEXT, false, k);
    assert_non_null(strstr(k->text, "and 150 more errors\n"));
    diag_finish(&l);
    test_free(k);
}

static void told_once_and_sorted(void **state) {
    struct diag_list l;
    (void)state;
    diag_init(&l, false);
    uint32_t f = diag_source(&l, "a", SPAN("x\ny\n"));
    diag_add(&l, DIAG_E0112, (struct mark){f, 2, 1, 1}, "second");
    diag_add(&l, DIAG_E0112, (struct mark){f, 1, 1, 1}, "first");
    diag_add(&l, DIAG_E0112, (struct mark){f, 2, 1, 1}, "second");
    diag_add(&l, DIAG_W0101, (struct mark){f, 2, 1, 1}, "unwanted");
    assert_int_equal(l.count, 2);
    assert_int_equal(l.warnings, 0);
    diag_sort(&l);
    assert_string_equal(l.diag[0]->message, "first");
    diag_finish(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_is_explained),
        cmocka_unit_test(distance),
        cmocka_unit_test(guesses),
        cmocka_unit_test(printed),
        cmocka_unit_test(bounded),
        cmocka_unit_test(told_once_and_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
