#include "data/regex.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct regex *compile(const char *pattern) {
    struct regex_error e = {0};
    struct regex *r = regex_compile(span_z(pattern), &e);
    if (!r)
        fail_msg("%s: %s", pattern, e.text);
    return r;
}

static const struct {
    const char *pattern, *subject;
    enum regex_result want;
} matches[] = {
    {"b", "abc", REGEX_YES},
    {"^b", "abc", REGEX_NO},
    {"^$", "", REGEX_YES},
    {"c$", "abc\n", REGEX_NO}, /* the very end */
    {"^a.c$",
     "a\xe9"
     "c",
     REGEX_YES}, /* bytes, not characters */
    {"\\d+", "x12", REGEX_YES},
    {"(?i)ABC", "abc", REGEX_YES},
    {"(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", REGEX_FAILED}, /* bounded */
};

static void test_matches(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(matches); i++) {
        struct regex *r = compile(matches[i].pattern);
        enum regex_result got = regex_match(r, span_z(matches[i].subject), NULL, 0);
        if (got != matches[i].want)
            fail_msg("%s on %s: %d", matches[i].pattern, matches[i].subject, got);
        assert_true(regex_test(r, span_z(matches[i].subject)) == (got == REGEX_YES));
        regex_free(r);
    }
}

static const struct {
    const char *pattern;
    size_t at;
    const char *text;
} bad[] = {
    {"a(b", 3, "parenthes"}, {"a[b", 3, "terminating ]"},
    {"*a", 0, "quantifier"}, {"(?<n>a)(?<n>b)", 12, "same name"},
    {"\\C", 2, "\\C"},       {"(*UTF)a", 6, "UTF"},
};

static void test_errors(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(bad); i++) {
        struct regex_error e = {0};
        assert_null(regex_compile(span_z(bad[i].pattern), &e));
        if (e.at != bad[i].at || !strstr(e.text, bad[i].text))
            fail_msg("%s: %zu %s", bad[i].pattern, e.at, e.text);
    }
}

static void test_bounds(void **state) {
    (void)state;
    static char text[REGEX_PATTERN_MAX + 1];
    struct regex_error e = {0};
    memset(text, 'a', sizeof text);
    assert_null(regex_compile(span_of(text, sizeof text), &e));
    assert_non_null(strstr(e.text, "4096"));
    struct regex *r = regex_compile(span_of(text, REGEX_PATTERN_MAX), &e);
    assert_non_null(r);
    regex_free(r);
    for (size_t i = 0; i < 33 * 2; i++)
        text[i] = i % 2 ? ')' : '(';
    assert_null(regex_compile(span_of(text, 32 * 2), &e));
    assert_non_null(strstr(e.text, "31 groups"));
    r = regex_compile(span_of(text, 31 * 2), &e);
    assert_non_null(r);
    regex_free(r);
}

static void test_groups(void **state) {
    (void)state;
    struct span g[4];
    struct regex *r = compile("^/(?<b>x)?(?<a>[0-9]+)");
    assert_int_equal(regex_groups(r), 2);
    assert_int_equal(regex_names(r), 2);
    assert_true(span_eq(regex_name(r, 0), SPAN("a")));
    assert_int_equal(regex_group(r, SPAN("a")), 2);
    assert_int_equal(regex_group(r, SPAN("c")), -1);
    assert_int_equal(regex_match(r, SPAN("/42/y"), g, 4), REGEX_YES);
    assert_true(span_eq(g[0], SPAN("/42")));
    assert_null(g[1].p);
    assert_true(span_eq(g[2], SPAN("42")));
    assert_null(g[3].p);
    regex_free(r);
    regex_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_matches),
                                       cmocka_unit_test(test_errors), cmocka_unit_test(test_bounds),
                                       cmocka_unit_test(test_groups)};
    return cmocka_run_group_tests_name("regex", tests, NULL, NULL);
}
