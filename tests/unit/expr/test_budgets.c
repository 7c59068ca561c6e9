/*
 * Nothing that an author writes, and nothing that a client sends to it, makes an expression run
 * away: steps, memory, depth and size each have a bomb here. What is over the budget fails, says
 * so, and is never absorbed by a "|| true" beside it.
 */
#include "play.h"

static struct value hundred[100];
static struct value_member thousand[1000];
static char keys[1000][8], megabyte[1 << 20];
static struct value values[3];
static const struct expr_name names[] = {
    {"l", &expr_list_dyn, 0}, {"m", &expr_map_dyn, 1}, {"s", &expr_string, 2}};
static const struct expr_scope scope = {.name = names, .count = array_len(names)};

static void fill(void) {
    for (int i = 0; i < 100; i++)
        hundred[i] = value_int(i);
    values[0] = (struct value){.kind = VALUE_LIST, .n = 100, .item = hundred};
    for (int i = 0; i < 1000; i++) {
        int n = snprintf(keys[i], sizeof keys[i], "k%d", i);
        thousand[i].key = value_string(span_of(keys[i], (size_t)n));
        thousand[i].value = value_int(i);
    }
    values[1] = (struct value){.kind = VALUE_MAP, .n = 1000, .member = thousand};
    memset(megabyte, 'a', sizeof megabyte);
    values[2] = value_string(span_of(megabyte, sizeof megabyte));
}

/* `n` times `open`, the middle, `n` times `close`. */
static char *nested(const char *open, const char *middle, const char *close, unsigned n) {
    size_t max = n * (strlen(open) + strlen(close)) + strlen(middle) + 1;
    struct str s = str_on(malloc(max), max);
    for (unsigned i = 0; i < n; i++)
        str_add(&s, span_z(open));
    str_add(&s, span_z(middle));
    for (unsigned i = 0; i < n; i++)
        str_add(&s, span_z(close));
    str_char(&s, 0);
    assert_false(s.full);
    return s.p;
}

struct bomb {
    const char *source;
    bool steps; /* which of the two budgets it meets */
};
static const struct bomb bombs[] = {
    {"l.all(a, l.all(b, l.all(c, l.all(d, true))))", true},
    {"l.all(a, l.all(b, l.all(c, l.all(d, true)))) || true", true},
    {"l.exists(a, l.exists(b, l.exists(c, a + b + c < 0)))", true},
    {"l.map(a, l.map(b, l.filter(c, c > 1000)))", true},
    {"l.filter(a, l.all(b, l.all(c, [a, b, c] == [a, b, c])))", true},
    {"l.transformMap(i, v, l.transformMap(k, w, l.exists(x, x < 0)))", true},
    {"l.all(a, l.all(b, l.all(c, cel.bind(z, 1, z == 1))))", true},
    {"l.all(a, l.all(b, !l.exists_one(c, 1 / c > 7 || true)))", true},
    {"l.all(a, l.all(b, l.all(c, {'a': 1}[string(c)] == 1 || true)))", false},
    {"l.all(a, l.all(b, l.all(c, int('no number') == 1 || true)))", false},
    {"l.all(a, l.all(b, [l, l, l] == [l, l, l]))", true},
    {"l.all(a, l.all(b, !(-1 in (l + l + l + l))))", true},
    {"l.all(a, s == s)", true},
    {"l.all(a, s != s || true)", true},
    {"l.all(a, s <= s)", true},
    {"l.all(a, [s] == [s])", true},
    {"l.all(a, s in [s])", true},
    {"l.all(a, l.all(b, m.k999 == 999))", true},
    {"l.all(a, l.all(b, 'none' in m || true))", true},
    {"l.all(a, m == m)", true},
    {"l.all(a, l.all(b, s.contains('ab') || true))", true},
    {"l.all(a, l.all(b, s.matches('(a+)+$')))", true},
    {"l.map(a, l.map(b, l + l))", false},
    {"l.map(a, l.map(b, l.map(c, 'a long text, made anew each time' + string(c))))", false},
    {"l.map(a, l.map(b, l.map(c, {'k': a, 'v': b, 'w': [a, b, c]})))", false},
    {"l.map(a, l.map(b, l.map(c, c)))", false},
};

static void test_bombs(void **state) {
    (void)state;
    fill();
    for (size_t i = 0; i < array_len(bombs); i++) {
        struct play p;
        play_compile(&p, bombs[i].source, &scope);
        if (!p.e)
            fail_msg("%s: %s", bombs[i].source, p.err.text);
        if (!bombs[i].steps) /* the memory is meant to end first */
            p.run.steps = UINT64_C(1) << 40;
        play_eval(&p, values);
        if (p.fine)
            fail_msg("%s is %s", bombs[i].source, play_text(&p));
        const char *word = bombs[i].steps ? "steps" : "memory";
        if (!p.run.error.text || !strstr(p.run.error.text, word))
            fail_msg("%s: %s: no word of %s", bombs[i].source, p.run.error.text, word);
        if (p.a.used > 16 * 1024 * 1024)
            fail_msg("%s took %zu bytes", bombs[i].source, p.a.used);
        play_finish(&p);
    }
}

/* 60 doublings would be 2^60 bytes; also as a constant, which is folded when it is compiled. */
static void test_doubling(void **state) {
    (void)state;
    static const char *const seeds[] = {"string(l[0])", "'x'", "l", "[1]", "b'x'", "[l]"};
    fill();
    for (size_t i = 0; i < array_len(seeds); i++) {
        char *open = nested("cel.bind(s, s + s, ", "size(s)", ")", 60);
        size_t max = strlen(open) + 64;
        char *source = malloc(max);
        snprintf(source, max, "cel.bind(s, %s, %s) > 0 || true", seeds[i], open);
        struct play p;
        play_compile(&p, source, &scope);
        assert_non_null(p.e);
        assert_true(p.a.used < 16 * 1024 * 1024);
        play_eval(&p, values);
        if (p.fine)
            fail_msg("%s is %s", seeds[i], play_text(&p));
        assert_non_null(p.run.error.text);
        assert_true(strstr(p.run.error.text, "memory") || strstr(p.run.error.text, "steps"));
        assert_true(p.a.used < 32 * 1024 * 1024);
        play_finish(&p);
        free(source);
        free(open);
    }
}

/* The caller's own, smaller budgets hold as well; and what is within them runs. */
static void test_own_budget(void **state) {
    (void)state;
    fill();
    for (unsigned steps = 100; steps <= 100000; steps *= 10) {
        struct play p;
        play_compile(&p, "l.all(a, l.exists(b, a == b))", &scope);
        p.run.steps = steps;
        play_eval(&p, values);
        assert_int_equal(p.fine, steps == 100000);
        play_finish(&p);
    }
    for (unsigned memory = 100; memory <= 1000000; memory *= 10) {
        struct play p;
        play_compile(&p, "l.map(a, [a, a, a, a]).size() == 100", &scope);
        p.run.memory = memory;
        play_eval(&p, values);
        assert_int_equal(p.fine, memory >= 100000);
        play_finish(&p);
    }
}

struct deep {
    const char *open, *middle, *close;
    unsigned fine; /* levels that must be taken, with this value */
    const char *out;
};
static const struct deep deep[] = {
    {"(", "1", ")", 250, "1"},
    {"!", "true", "", 250, "true"},
    {"-", "l[1]", "", 250, "1"},
    {"[", "1", "][0]", 250, "1"},
    {"{'a': ", "1", "}.a", 250, "1"},
    {"{'a': ", "1", "}['a']", 250, "1"},
    {"true ? ", "1", " : 2", 100, "1"},
    {"false ? 2 : ", "1", "", 250, "1"},
    {"", "1", " + 1", 250, "251"},
    {"true && ", "true", "", 250, "true"},
    {"true && (", "true", ")", 200, "true"},
    {"1 in [", "1", "] ? 1 : 2", 32, "1"},
    {"optional.of(", "1", ").value()", 100, "1"},
    {"cel.bind(s, 1, ", "s", ")", 200, "1"},
    {"[1].map(i, ", "1", ")[0]", 32, "1"},
};

static void test_depth(void **state) {
    (void)state;
    fill();
    for (size_t i = 0; i < array_len(deep); i++)
        for (unsigned levels = deep[i].fine; levels < 40000; levels *= 6) {
            const struct deep *d = &deep[i];
            char *source = nested(d->open, d->middle, d->close, levels);
            struct play p;
            play_compile(&p, source, &scope);
            p.run.steps = UINT64_C(1) << 30;
            play_eval(&p, values);
            const char *got = play_text(&p);
            if (levels == d->fine && strcmp(got, d->out) != 0)
                fail_msg("%u times %s%s: %s", levels, d->open, d->close, got);
            /* Deeper ones may be too deep, or fine: but they end, and a refusal has a place. */
            if (!p.e)
                assert_true(p.err.text && p.err.at <= strlen(source) && p.err.len > 0);
            play_finish(&p);
            free(source);
        }
}

/* What is too long is refused; the longest that is not is taken without quadratic cost. */
static void test_length(void **state) {
    (void)state;
    fill();
    char *fits = nested("[1],", "1", "", EXPR_SOURCE_MAX / 4 - 1);
    struct play p;
    size_t n = strlen(fits) + 3;
    char *source = malloc(n);
    snprintf(source, n, "[%s]", fits);
    play_compile(&p, source, &scope); /* fine, or too many elements */
    assert_true(p.e || p.err.text);
    play_finish(&p);
    char *longer = nested(" ", "1", "", EXPR_SOURCE_MAX);
    play_compile(&p, longer, &scope);
    assert_null(p.e);
    assert_non_null(strstr(p.err.text, "64 KiB"));
    play_finish(&p);
    char *names_only = nested("a.", "a", "", EXPR_SOURCE_MAX / 2 - 1);
    play_compile(&p, names_only, &scope);
    assert_null(p.e);
    play_finish(&p);
    char *sum = nested("l[1] + ", "1", "", EXPR_SOURCE_MAX / 7 - 1);
    play_compile(&p, sum, &scope);
    assert_true(p.e || p.err.text);
    play_finish(&p);
    free(fits);
    free(source);
    free(longer);
    free(names_only);
    free(sum);
}

/* A constant that would cost too much is not folded, compiles, and fails when it is run. */
static void test_folding(void **state) {
    (void)state;
    static const char ten[] = "[0,1,2,3,4,5,6,7,8,9]";
    char source[512];
    fill();
    snprintf(source, sizeof source, "%s.all(a, %s.all(b, %s.all(c, %s.all(d, %s.all(e, true)))))",
             ten, ten, ten, ten, ten);
    struct play p;
    play_compile(&p, source, &scope);
    assert_non_null(p.e);
    assert_null(expr_constant(p.e));
    play_eval(&p, values);
    assert_false(p.fine);
    play_finish(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bombs),      cmocka_unit_test(test_doubling),
        cmocka_unit_test(test_own_budget), cmocka_unit_test(test_depth),
        cmocka_unit_test(test_length),     cmocka_unit_test(test_folding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
