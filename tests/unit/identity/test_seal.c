/* Texts that travel through a browser: what opens, and that nothing else does (THREATS.md F26). */
#include "base/env.h"
#include "identity/seal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define SECRET SPAN("a secret of the configuration")
#define LABEL SPAN("session")

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static struct arena arena;
static struct seal_key key;

static int begin(void **state) {
    (void)state;
    arena_init(&arena, NULL);
    seal_key_make(&key, SECRET, SPAN("purpose"));
    return 0;
}

static int end(void **state) {
    (void)state;
    arena_finish(&arena);
    return 0;
}

static struct span sealed_of(struct span plain) {
    struct span s;
    assert_true(seal(&arena, &key, LABEL, plain, &s));
    return s;
}

/* From memory of exactly its size, so that a sanitizer sees what is read beyond. */
static bool opens(const struct seal_key *k, struct span label, struct span sealed) {
    struct span plain;
    char *copy = malloc(sealed.n ? sealed.n : 1);
    memcpy(copy, sealed.n ? sealed.p : "", sealed.n);
    bool r = seal_open(&arena, k, label, span_of(copy, sealed.n), &plain);
    free(copy);
    return r;
}

static void there_and_back(void **state) {
    char text[300];
    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7); /* with NUL and bytes that are no text */
    for (size_t n = 0; n <= sizeof text; n++) {
        struct span plain, s = sealed_of(span_of(text, n));
        assert_true(s.n <= seal_size(n) && s.n + 3 > seal_size(n));
        for (size_t i = 0; i < s.n; i++)
            assert_true(s.p[i] && strchr(alphabet, s.p[i]));
        assert_true(seal_open(&arena, &key, LABEL, s, &plain));
        assert_true(span_eq(plain, span_of(text, n)));
    }
}

static void never_the_same_twice(void **state) {
    (void)state;
    assert_false(span_eq(sealed_of(SPAN("text")), sealed_of(SPAN("text"))));
}

static void for_others(void **state) {
    static const struct {
        const char *what;
        struct span secret, purpose, label;
        bool opens;
    } rows[] = {
        {"the same", SECRET, SPAN("purpose"), LABEL, true},
        {"another secret", SPAN("a secret of the configuratioN"), SPAN("purpose"), LABEL, false},
        {"a shorter secret", SPAN("a secret of the configuratio"), SPAN("purpose"), LABEL, false},
        {"another purpose", SECRET, SPAN("purposes"), LABEL, false},
        {"a shorter purpose", SECRET, SPAN("purpos"), LABEL, false},
        {"another label", SECRET, SPAN("purpose"), SPAN("sessioN"), false},
        {"a longer label", SECRET, SPAN("purpose"), SPAN("session-1"), false},
        {"no label", SECRET, SPAN("purpose"), SPAN(""), false},
    };
    struct span s = sealed_of(SPAN("{\"sub\":\"anna\"}"));
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        struct seal_key k;
        seal_key_make(&k, rows[i].secret, rows[i].purpose);
        if (opens(&k, rows[i].label, s) != rows[i].opens)
            fail_msg("%s", rows[i].what);
    }
}

static void every_bit(void **state) {
    struct span box, other, s = sealed_of(SPAN("a session with something in it"));
    (void)state;
    assert_true(base64url_read(&arena, s, &box));
    unsigned char *p = arena_alloc(&arena, box.n);
    for (size_t i = 0; i < box.n * 8; i++) {
        memcpy(p, box.p, box.n);
        p[i / 8] ^= (unsigned char)(1 << i % 8);
        assert_true(base64url(&arena, span_of((char *)p, box.n), &other));
        if (opens(&key, LABEL, other))
            fail_msg("bit %zu of byte %zu", i % 8, i / 8);
    }
}

/* Every character of the text replaced by every byte; padding bits are no second spelling. */
static void every_character(void **state) {
    struct span s = sealed_of(SPAN("1234")); /* 33 bytes; "12345": the last has unused bits */
    struct span t = sealed_of(SPAN("12345"));
    (void)state;
    for (int which = 0; which < 2; which++) {
        struct span one = which ? t : s;
        char *p = arena_alloc(&arena, one.n);
        for (size_t i = 0; i < one.n; i++)
            for (int c = 0; c < 256; c++) {
                memcpy(p, one.p, one.n);
                p[i] = (char)c;
                bool same = p[i] == one.p[i];
                if (opens(&key, LABEL, span_of(p, one.n)) != same)
                    fail_msg("%d at %zu of %zu", c, i, one.n);
            }
    }
}

static void cut_and_longer(void **state) {
    struct span s = sealed_of(SPAN("a session"));
    static const char *const tails[] = {"A", "AA", "AAAA", "=", "==", " ", "\n", "."};
    (void)state;
    for (size_t n = 0; n < s.n; n++) {
        assert_false(opens(&key, LABEL, span_cut(s, 0, n)));
        assert_false(n && opens(&key, LABEL, span_from(s, n)));
    }
    for (size_t i = 0; i < array_len(tails); i++) {
        const char *more = arena_fmt(&arena, "%.*s%s", SPAN_ARG(s), tails[i]);
        assert_false(opens(&key, LABEL, span_z(more)));
        more = arena_fmt(&arena, "%s%.*s", tails[i], SPAN_ARG(s));
        assert_false(opens(&key, LABEL, span_z(more)));
    }
}

static void one_spelling(void **state) {
    static const struct {
        const char *text;
        int n; /* bytes; -1: not canonical */
    } rows[] = {{"", 0},      {"YQ", 1},     {"YWI", 2},     {"YWJj", 3},  {"-_-_", 3},
                {"YR", -1},   {"YWJ", -1},   {"Y", -1},      {"YQ==", -1}, {"YWI=", -1},
                {"+/+/", -1}, {"YW Jj", -1}, {"YWJj\n", -1}, {"YWJjZ", -1}};
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        struct span bytes, again;
        bool fine = base64url_read(&arena, span_z(rows[i].text), &bytes);
        if (fine != (rows[i].n >= 0))
            fail_msg("\"%s\"", rows[i].text);
        if (!fine)
            continue;
        assert_int_equal(bytes.n, rows[i].n);
        assert_true(base64url(&arena, bytes, &again));
        assert_true(span_eq(again, span_z(rows[i].text)));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(there_and_back, begin, end),
        cmocka_unit_test_setup_teardown(never_the_same_twice, begin, end),
        cmocka_unit_test_setup_teardown(for_others, begin, end),
        cmocka_unit_test_setup_teardown(every_bit, begin, end),
        cmocka_unit_test_setup_teardown(every_character, begin, end),
        cmocka_unit_test_setup_teardown(cut_and_longer, begin, end),
        cmocka_unit_test_setup_teardown(one_spelling, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
