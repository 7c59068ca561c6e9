/* The linear engine: what matches and where, what is refused, and that work is bounded. */
#include "data/linear.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* "no", or the groups: "0-3 1-2 -" */
static const struct {
    const char *pattern, *subject, *want;
} matches[] = {
    {"", "", "0-0"},
    {"", "abc", "0-0"},
    {"b", "abc", "1-2"},
    {"^b", "abc", "no"},
    {"^$", "", "0-0"},
    {"c$", "abc\n", "no"}, /* the very end */
    {"abc|abd", "xabd", "1-4"},
    {"a|ab", "ab", "0-1"}, /* the first alternative, not the longest */
    {"(a|ab)(c|bcd)(d*)", "abcd", "0-4 0-1 1-4 4-4"},
    {"a*", "aaa", "0-3"},
    {"a*?", "aaa", "0-0"},
    {"a+?", "aaa", "0-1"},
    {"a??b", "ab", "0-2"},
    {"(?U)a+", "aaa", "0-1"},
    {"(?U)a+?", "aaa", "0-3"},
    {"(a+)(b+)?", "aac", "0-2 0-2 -"},
    {"(a)|(b)", "b", "0-1 - 0-1"},
    {"((a)|b)*", "ab", "0-2 1-2 0-1"},
    {"(|a)+", "aaa", "0-0 0-0"},
    {"(a*)*", "aab", "0-2 0-2"},
    {"(a*)+b", "aaab", "0-4 0-3"},
    {"x{2}", "xxx", "0-2"},
    {"x{2,}", "xxx", "0-3"},
    {"x{0}y", "xy", "1-2"},
    {"^x{0,2}$", "xxx", "no"},
    {"^x{0,3}$", "xxx", "0-3"},
    {"^x{1,3}$", "xxxx", "no"},
    {"^(?:ab){2,3}$", "ababab", "0-6"},
    {"^(?:a{2}){2}$", "aaaa", "0-4"},
    {"x{2,3}?", "xxx", "0-2"},
    {"x{0,3}?y", "xxxy", "0-4"},
    {"x{,2}", "x{,2}", "0-5"}, /* no repeat: plain */
    {"x{a}", "x{a}", "0-4"},
    {"{", "{", "0-1"},
    {"a}", "a}", "0-2"},
    {"]", "]", "0-1"},
    {".", "\n", "no"},
    {"(?s).", "\n", "0-1"},
    {"(?m)^b$", "a\nb\nc", "2-3"},
    {"^b$", "a\nb\nc", "no"},
    {"(?m:^)b", "a\nb", "2-3"},
    {"\\Ab", "b", "0-1"},
    {"(?m)\\Ab", "a\nb", "no"},
    {"b\\z", "ab", "1-2"},
    {"\\bfoo\\b", "a foo b", "2-5"},
    {"\\Boo", "foo", "1-3"},
    {"\\bé", "é", "no"}, /* \b is ASCII's */
    {"[a-c]+", "xabcd", "1-4"},
    {"[^a-c]+", "abxyc", "2-4"},
    {"[]a]+", "a]", "0-2"},
    {"[^]a]", "a]b", "2-3"},
    {"[a-]+", "-a", "0-2"},
    {"[\\d_]+", "a1_", "1-3"},
    {"[\\D]", "1a", "1-2"},
    {"[^\\d]", "1é", "1-3"},
    {"[[:alpha:]]+", "1aB", "1-3"},
    {"[[:^alpha:]]+", "a1é", "1-4"},
    {"[[:cntrl:]]", "\x7f", "0-1"},
    {"[[:ascii:]]", "é~", "2-3"},
    {"[[:word:][:blank:]]+", "a_ 1", "0-4"},
    {"\\d+", "a12", "1-3"},
    {"\\D+", "12é", "2-4"},
    {"\\s\\S", "a b", "1-3"},
    {"\\w+", "é_a", "2-4"},
    {"\\x41\\x{42}\\103\\t\\.", "ABC\t.", "0-5"},
    {"\\x{1F62C}", "😬", "0-4"},
    {"[\\x{e0}-\\x{ff}]+", "aéô", "1-5"},
    {"a+ñ+a+", "mañana", "1-5"},
    {"^.$", "é", "0-2"},
    {"^.$", "\xff", "0-1"}, /* what is no UTF-8 is a character each byte */
    {"\\Qa.b\\E+", "a.bbb", "0-5"},
    {"\\Q(", "(", "0-1"},
    {"(?i)straSSe", "STRAsse", "0-7"},
    {"(?i)[k]", "\u212a", "0-3"},
    {"(?i)S", "\u017f", "0-2"},
    {"(?i)[[:upper:]]", "a", "0-1"},
    {"a(?i)b|c", "aB", "0-2"},
    {"a(?i)b|c", "C", "0-1"},
    {"(?i:a)b", "AB", "no"},
    {"(?i:a)b", "Ab", "0-2"},
    {"(?i)a(?-i)b", "AB", "no"},
    {"(?P<y>\\d{4})-(?<m>\\d\\d)", "on 2023-12", "3-10 3-7 8-10"},
    {"(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "no"},
};

static void say(struct str *s, const struct span *g, unsigned groups, const char *from) {
    for (unsigned i = 0; i <= groups; i++) {
        if (i)
            str_char(s, ' ');
        if (g[i].p)
            str_fmt(s, "%td-%td", g[i].p - from, g[i].p + g[i].n - from);
        else
            str_char(s, '-');
    }
}

static const struct linear *compile(struct arena *a, const char *pattern) {
    struct regex_error err = {0};
    const struct linear *r = NULL;
    if (linear_compile(a, span_z(pattern), &r, &err) != LINEAR_FINE)
        fail_msg("%s: %zu: %s", pattern, err.at, err.text);
    return r;
}

static enum regex_result match(struct arena *a, const struct linear *r, struct span subject,
                               struct span *g, unsigned max, uint64_t *steps) {
    struct linear_search search = {.subject = subject, .steps = steps};
    size_t n = linear_room(r, max);
    if (n > 0)
        search.room = arena_try(a, n);
    return linear_match(r, &search, g, max);
}

static void test_matches(void **state) {
    unsigned wrong = 0;
    (void)state;
    for (size_t i = 0; i < array_len(matches); i++) {
        struct arena a;
        struct span g[REGEX_GROUPS_MAX];
        char got[256];
        struct str s = str_on(got, sizeof got - 1);
        uint64_t steps = 10000;
        arena_init(&a, NULL);
        const struct linear *r = compile(&a, matches[i].pattern);
        size_t n = strlen(matches[i].subject);
        char *exact = malloc(n ? n : 1); /* a byte too many is seen */
        memcpy(exact, matches[i].subject, n);
        struct span subject = span_of(exact, n);
        enum regex_result result = match(&a, r, subject, g, REGEX_GROUPS_MAX, &steps);
        if (result == REGEX_YES)
            say(&s, g, linear_groups(r), exact);
        else
            str_add(&s, result == REGEX_NO ? SPAN("no") : SPAN("failed"));
        got[s.n] = 0;
        if (strcmp(got, matches[i].want) != 0) {
            print_error("%s on %s: %s, not %s\n", matches[i].pattern, matches[i].subject, got,
                        matches[i].want);
            wrong++;
        }
        assert_int_equal(match(&a, r, subject, NULL, 0, &steps), result);
        free(exact);
        arena_finish(&a);
    }
    assert_int_equal(wrong, 0);
}

static const struct {
    const char *pattern;
    size_t at;
    const char *text; /* NULL: it needs Unicode's tables */
} refused[] = {
    {"a(b", 1, "that ends the group"},
    {"a)", 1, "no ( that"},
    {"a[b", 1, "] that ends"},
    {"[]", 0, "] that ends"},
    {"[b-a]", 1, "low to high"},
    {"[a-\\d]", 1, "low to high"},
    {"[[:alpa:]]", 1, "no character class"},
    {"*a", 0, "nothing in front"},
    {"a|*", 2, "nothing in front"},
    {"(+)", 1, "nothing in front"},
    {"(?i)*", 4, "nothing in front"},
    {"a**", 2, "repeated already"},
    {"a{2}{3}", 4, "repeated already"},
    {"a+?+", 3, "repeated already"},
    {"a{1001}", 1, "1000"},
    {"a{3,2}", 1, "low to high"},
    {"(?:a{1000}){1000}", 17, "too large"},
    {"(a)\\1", 3, "no such escape"},
    {"\\Z", 0, "no such escape"},
    {"\\C", 0, "no such escape"},
    {"\\", 1, "ends with a backslash"},
    {"\\xg", 1, "\\x takes"},
    {"\\x{110000}", 1, "\\x takes"},
    {"\\x{", 1, "\\x takes"},
    {"\\x4", 1, "\\x takes"},
    {"(?=a)", 0, "no group of this kind"},
    {"(?<=a)b", 0, "no group of this kind"},
    {"(?<!a)b", 0, "no group of this kind"},
    {"(?P=a)", 0, "no group of this kind"},
    {"(?P<>a)", 4, "name is"},
    {"(?P<a", 4, "name is"},
    {"(?<a-b>c)", 3, "name is"},
    {"(?)", 0, "flags are missing"},
    {"(?i", 0, "that ends the group"},
    {"(?i-)", 0, "flags are missing"},
    {"a\xff", 1, "not UTF-8"},
    {"\\pL", 1, NULL},
    {"[\\p{Greek}]", 2, NULL},
    {"(?i)é", 4, NULL},
    {"(?i)[à-ÿ]", 4, NULL},
};

static void test_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(refused); i++) {
        struct arena a;
        struct regex_error err = {0};
        const struct linear *r;
        arena_init(&a, NULL);
        enum linear_result got = linear_compile(&a, span_z(refused[i].pattern), &r, &err);
        enum linear_result want = refused[i].text ? LINEAR_WRONG : LINEAR_UNICODE;
        if (got != want || r ||
            (refused[i].text && (err.at != refused[i].at || !strstr(err.text, refused[i].text))))
            fail_msg("%s: %d, %zu: %s", refused[i].pattern, got, err.at, err.text);
        arena_finish(&a);
    }
}

/* What makes others explode costs steps in proportion, and no more than are given. */
static const struct {
    const char *pattern;
    uint64_t at_most; /* of 20,000 characters */
} heavy[] = {
    {"(a*)*$b", 40000},
    {"(a|a)*b", 20000},
    {"(.*)(.*)(.*)(.*)(.*)x", 60000},
    {"a{100}b", 260000},
};

static void test_work(void **state) {
    size_t n = 20000;
    char *p = malloc(n);
    (void)state;
    memset(p, 'a', n);
    for (size_t i = 0; i < array_len(heavy); i++) {
        struct arena a;
        uint64_t steps = 1000000, few = 500;
        arena_init(&a, NULL);
        const struct linear *r = compile(&a, heavy[i].pattern);
        assert_int_equal(match(&a, r, span_of(p, n), NULL, 0, &steps), REGEX_NO);
        if (1000000 - steps > heavy[i].at_most || 1000000 - steps < 1000)
            fail_msg("%s: %d steps", heavy[i].pattern, (int)(1000000 - steps));
        assert_int_equal(match(&a, r, span_of(p, n), NULL, 0, &few), REGEX_FAILED);
        assert_int_equal(few, 0);
        arena_finish(&a);
    }
    free(p);
}

/* Deep, long and many: refused or compiled, never a crash. */
static void test_sizes(void **state) {
    static const char *const piece[] = {"(", "(?:", "[a]", "a|", "(a)", "a{9}", "(?i)", "\\Q"};
    char pattern[5000];
    (void)state;
    for (size_t i = 0; i < array_len(piece); i++)
        for (size_t n = 1; n < sizeof pattern; n = n * 3 / 2 + 1) {
            struct arena a;
            struct str s = str_on(pattern, n);
            struct regex_error err;
            const struct linear *r;
            uint64_t steps = 100000;
            while (!s.full)
                str_add(&s, span_z(piece[i]));
            arena_init(&a, NULL);
            if (linear_compile(&a, str_span(&s), &r, &err) == LINEAR_FINE)
                (void)match(&a, r, SPAN("aaaa"), NULL, 0, &steps);
            arena_finish(&a);
        }
}

static uint64_t seed = 20240229;

static uint32_t any(uint32_t below) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

/* Pieces whose meaning is the same in PCRE2. */
static void make_pattern(struct str *s, unsigned pieces) {
    static const char *const piece[] = {
        "a",    "b",      "c",        "é",           ".",       "[ab]", "[^a]",  "\\d",
        "\\W",  "^",      "$",        "\\b",         "\\B",     "a|b",  "|",     "*",
        "+",    "?",      "*?",       "+?",          "??",      "{2}",  "{0,2}", "{1,}",
        "{0}",  "{1,3}?", "(",        ")",           "(?:",     "(?i)", "(?s)",  "(?i:",
        "(?U)", "[é-ü]",  "\\Qa*\\E", "[[:alpha:]]", "\\x{e9}", "1",    "_",     "\n",
    };
    while (pieces--)
        str_add(s, span_z(piece[any(array_len(piece))]));
}

static void make_subject(struct str *s, unsigned pieces) {
    static const char *const piece[] = {"a", "b", "c", "é", "A", "1", "_", "\n", " ", "*", "ab"};
    while (pieces--)
        str_add(s, span_z(piece[any(array_len(piece))]));
}

/* Random patterns on random subjects: PCRE2 must say the same, and find the same beginning. */
static void test_same_as_pcre2(void **state) {
    unsigned compared = 0, found = 0;
    (void)state;
    for (unsigned i = 0; i < 60000; i++) {
        struct arena a;
        char pattern[256], subject[64];
        struct str p = str_on(pattern, sizeof pattern), t = str_on(subject, sizeof subject);
        struct regex_error err, other;
        const struct linear *r;
        struct regex *pcre2 = NULL;
        struct span g[REGEX_GROUPS_MAX], h[REGEX_GROUPS_MAX];
        make_pattern(&p, 1 + any(9));
        make_subject(&t, any(9));
        arena_init(&a, NULL);
        if (linear_compile(&a, str_span(&p), &r, &err) == LINEAR_FINE &&
            (pcre2 = regex_compile_text(str_span(&p), &other)) != NULL) {
            uint64_t steps = 100000;
            enum regex_result got = match(&a, r, str_span(&t), g, 1, &steps);
            enum regex_result want = regex_match(pcre2, str_span(&t), h, 1);
            if (want != REGEX_FAILED) {
                compared++;
                found += want == REGEX_YES;
                if (got != want || (got == REGEX_YES && !(g[0].p == h[0].p && g[0].n == h[0].n)))
                    fail_msg("%.*s on %.*s: %d, not %d", SPAN_ARG(str_span(&p)),
                             SPAN_ARG(str_span(&t)), got, want);
            }
        }
        regex_free(pcre2);
        arena_finish(&a);
    }
    assert_true(compared > 10000 && found > 3000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),       cmocka_unit_test(test_refused),
        cmocka_unit_test(test_work),          cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_same_as_pcre2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
