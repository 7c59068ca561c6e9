#include "data/template.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { METHOD = 1, IP, PATH, HEADER, TAIL };

static const struct template_name names[] = {{"request", "method", METHOD},
                                             {"client", "ip", IP},
                                             {"path", NULL, PATH},
                                             {"header", NULL, HEADER}};

static const char *check(void *ctx, struct arena *a, struct template_part *part) {
    (void)ctx;
    (void)a;
    if (part->id == PATH && span_eq(part->key, SPAN("rest")))
        part->tail = true;
    return part->id == PATH && span_eq(part->key, SPAN("nix")) ? "no such capture" : NULL;
}

static const struct template_scope scope = {names, array_len(names), check, NULL};

/* Values: what the key says, so that tests read well. */
static struct span get(void *ctx, struct arena *a, const struct template_part *part) {
    (void)ctx;
    (void)a;
    switch (part->id) {
    case METHOD:
        return SPAN("GET");
    case IP:
        return SPAN_NONE;
    default:
        break;
    }
    if (span_eq(part->key, SPAN("evil")))
        return SPAN("a/../b?c#d%\"\\\n");
    if (span_eq(part->key, SPAN("dollar")))
        return SPAN("${path.id}$1");
    return part->tail ? SPAN("x/y z") : SPAN("7 8");
}

static struct span get_encoded(void *ctx, struct arena *a, const struct template_part *part) {
    (void)ctx;
    (void)a;
    return span_eq(part->key, SPAN("enc")) ? SPAN("a%2Fb:c") : SPAN_NONE;
}

static const struct template_values values = {get, get_encoded, NULL};
static struct arena arena;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, NULL);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_finish(&arena);
    return 0;
}

static const struct {
    enum template_place place;
    const char *source, *want; /* NULL: template_eval refuses */
} good[] = {
    {PLACE_TEXT, "", ""},
    {PLACE_TEXT, "plain", "plain"},
    {PLACE_TEXT, "$ $x $1 $", "$ $x $1 $"},
    {PLACE_TEXT, "a$${b}c", "a${b}c"},
    {PLACE_TEXT, "$${request.method}", "${request.method}"},
    {PLACE_TEXT, "$$$${", "$$${"},
    {PLACE_TEXT, "$${${request.method}", "${GET"},
    {PLACE_TEXT, "${request.method}", "GET"},
    {PLACE_TEXT, "${ request . method }", "GET"},
    {PLACE_TEXT, "a${request.method}b${request.method}", "aGETbGET"},
    {PLACE_TEXT, "${path.id}", "7 8"},
    {PLACE_TEXT, "${path[\"id\"]}", "7 8"},
    {PLACE_TEXT, "${header[\"x}y\"]}", "7 8"},
    {PLACE_TEXT, "${header['x\"}y']}!", "7 8!"},
    {PLACE_TEXT, "${header[ \"a b\" ]}", "7 8"},
    {PLACE_TEXT, "<${client.ip}>", "<>"},
    {PLACE_TEXT, "${path.dollar}", "${path.id}$1"},
    {PLACE_PATH, "/u/${path.id}", "/u/7%208"},
    {PLACE_PATH, "/u/${path.rest}", "/u/x/y%20z"},
    {PLACE_PATH, "/u/${path.enc}", "/u/a%2Fb:c"},
    {PLACE_PATH, "/u/${path.evil}", "/u/a%2F..%2Fb%3Fc%23d%25%22%5C%0A"},
    {PLACE_PATH, "/u?a=${path.rest}&b=${path.enc}", "/u?a=x%2Fy%20z&b=7%208"},
    {PLACE_QUERY, "${path.evil}", "a%2F..%2Fb%3Fc%23d%25%22%5C%0A"},
    {PLACE_JSON, "{\"a\":\"${path.evil}\"}", "{\"a\":\"a/../b?c#d%\\\"\\\\\\n\"}"},
    {PLACE_HEADER, "v=${path.id}", "v=7 8"},
    {PLACE_HEADER, "v=${path.evil}", NULL},
};

static void test_good(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(good); i++) {
        struct template_error e = {0};
        struct span out = SPAN_NONE;
        const struct template *t =
            template_compile(&arena, span_z(good[i].source), good[i].place, &scope, &e);
        if (!t)
            fail_msg("%s: %s", good[i].source, e.text);
        bool fine = template_eval(t, &arena, &values, 4096, &out);
        assert_int_equal(fine, good[i].want != NULL);
        if (fine && !span_eq(out, span_z(good[i].want)))
            fail_msg("%s: want %s, got %.*s", good[i].source, good[i].want, SPAN_ARG(out));
        assert_true(span_eq(t->source, span_z(good[i].source)));
    }
}

static const struct {
    enum template_place place;
    const char *source;
    size_t at, len;
    const char *text; /* in the message */
} bad[] = {
    {PLACE_TEXT, "ab${request.method", 2, 2, "never closed"},
    {PLACE_TEXT, "${header[\"}", 0, 2, "never closed"},
    {PLACE_TEXT, "${}", 2, 1, "missing"},
    {PLACE_TEXT, "a${requst.method}", 3, 6, "known are request, client, path, header"},
    {PLACE_TEXT, "a${request.methd}", 11, 5, "it has method"},
    {PLACE_TEXT, "${request}", 2, 7, "it has method"},
    {PLACE_TEXT, "${path}", 2, 4, "alone is no text"},
    {PLACE_TEXT, "${path.nix}", 7, 3, "no such capture"},
    {PLACE_TEXT, "x${request.method + 'a'}", 3, 20, "CEL"},
    {PLACE_TEXT, "${path.a.b}", 2, 8, "CEL"},
    {PLACE_TEXT, "${ {\"a\": 1}[\"a\"] }", 3, 13, "CEL"},
    {PLACE_TEXT, "${'}'}", 2, 3, "CEL"},
    {PLACE_TEXT, "${header[x]}", 2, 9, "CEL"},
    {PLACE_TEXT, "${header[\"a\\n\"]}", 2, 13, "CEL"},
    {PLACE_TEXT, "${header[\"\"]}", 2, 10, "CEL"},
    {PLACE_HEADER, "a\nb", 1, 1, "control"},
};

static void test_bad(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(bad); i++) {
        struct template_error e = {0};
        assert_null(template_compile(&arena, span_z(bad[i].source), bad[i].place, &scope, &e));
        if (e.at != bad[i].at || e.len != bad[i].len || !strstr(e.text, bad[i].text))
            fail_msg("%s: %zu+%zu %s", bad[i].source, e.at, e.len, e.text);
    }
}

/* CEL's tokens: where ${ ends. */
static const struct {
    const char *source;
    size_t end;
} ends[] = {
    {"${a}", 4},
    {"${a}}", 4},
    {"${ {'a': {}} }x", 14},
    {"${\"}\"}", 6},
    {"${'\\'}'}", 8},
    {"${r'\\'}'}", 7},
    {"${\"\"\"a\"}\"\"\"}", 12},
    {"${''}", 5},
    {"${a // }\n}", 10},
    {"${bar'}'}", 9},
    {"${a", 0},
    {"${'a}", 0},
    {"${{}", 0},
};

static void test_ends(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(ends); i++)
        if (template_expression_end(span_z(ends[i].source), 0) != ends[i].end)
            fail_msg("%s: %zu", ends[i].source, template_expression_end(span_z(ends[i].source), 0));
}

static void test_max(void **state) {
    (void)state;
    struct template_error e = {0};
    struct span out;
    const struct template *t =
        template_compile(&arena, SPAN("/${path.evil}"), PLACE_PATH, &scope, &e);
    assert_non_null(t);
    assert_true(template_eval(t, &arena, &values, 31, &out));
    assert_int_equal(out.n, 31);
    assert_false(template_eval(t, &arena, &values, 30, &out));
    t = template_compile(&arena, SPAN("four"), PLACE_TEXT, &scope, &e);
    assert_non_null(t);
    assert_true(t->constant);
    assert_false(template_eval(t, &arena, &values, 3, &out));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_good, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_max, setup, teardown),
    };
    return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
