#include "expr/template.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { METHOD = 1, IP, PATH, HEADER, NUMBERS };

static const struct expr_name request_fields[] = {
    {.name = "method", .type = &expr_string, .id = METHOD}, {.name = NULL}};
static const struct expr_name client_fields[] = {{.name = "ip", .type = &expr_ip, .id = IP},
                                                 {.name = NULL}};
static const struct expr_type request = {.kind = EXPR_OBJECT, .field = request_fields},
                              client = {.kind = EXPR_OBJECT, .field = client_fields},
                              direct = {.kind = EXPR_MAP, .of = &expr_string, .direct = true};
static const struct expr_name names[] = {
    {.name = "request", .type = &request},
    {.name = "client", .type = &client},
    {.name = "path", .type = &direct, .id = PATH},
    {.name = "header", .type = &direct, .id = HEADER},
    {.name = "numbers", .type = &expr_list_dyn, .id = NUMBERS}};

static const char *check(void *ctx, struct arena *a, struct expr_ref *ref) {
    (void)ctx;
    (void)a;
    if (ref->id == PATH && span_eq(ref->key, SPAN("rest")))
        ref->tail = true;
    return ref->id == PATH && span_eq(ref->key, SPAN("nix")) ? "no such capture" : NULL;
}

static const struct expr_scope scope = {.name = names, .count = array_len(names), .check = check};

/* Values: what the key says, so that tests read well. */
static struct span text_of(const struct expr_ref *ref) {
    if (ref->id == METHOD)
        return SPAN("GET");
    if (span_eq(ref->key, SPAN("evil")))
        return SPAN("a/../b?c#d%\"\\\n");
    if (span_eq(ref->key, SPAN("dollar")))
        return SPAN("${path.id}$1");
    return ref->tail ? SPAN("x/y z") : SPAN("7 8");
}

static bool get(void *ctx, struct arena *a, const struct expr_ref *ref, struct value *out) {
    static const struct value numbers[] = {{.kind = VALUE_INT, .i = 1},
                                           {.kind = VALUE_NUMBER, .n = 5, .p = "1.500"}};
    (void)ctx;
    (void)a;
    if (ref->id == NUMBERS)
        *out = (struct value){.kind = VALUE_LIST, .n = 2, .item = numbers};
    else if (ref->id == IP)
        *out = VALUE_NOTHING;
    else
        *out = value_string(text_of(ref));
    return true;
}

static struct span get_encoded(void *ctx, struct arena *a, const struct expr_ref *ref) {
    (void)ctx;
    (void)a;
    return span_eq(ref->key, SPAN("enc")) ? SPAN("a%2Fb:c") : SPAN_NONE;
}

static const struct template_values values = {.get = get, .get_encoded = get_encoded};
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
    {PLACE_JSON, "{\"a\":${path.id},\"b\":\"${path.id}\"}", "{\"a\":\"7 8\",\"b\":\"7 8\"}"},
    {PLACE_JSON, "[${numbers},${client.ip},${1 + 1},\"\\\"${2}\"]", "[[1,1.500],null,2,\"\\\"2\"]"},
    {PLACE_TEXT, "${numbers} ${true} ${1.5} ${null}.", "[1,1.500] true 1.5 ."},
    {PLACE_TEXT, "x${request.method + 'a'}", "xGETa"},
    {PLACE_TEXT, "${ {\"a\": 1}[\"a\"] }", "1"},
    {PLACE_TEXT, "${'}'}", "}"},
    {PLACE_PATH, "/${path.id + '/'}", "/7%208%2F"},
    {PLACE_TEXT, "${1 / 0}", NULL},
    {PLACE_HEADER, "v=${path.id}", "v=7 8"},
    {PLACE_HEADER, "v=${path.evil}", NULL},
};

static void test_good(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(good); i++) {
        struct expr_error e = {0};
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
    {PLACE_TEXT, "${}", 0, 3, "missing"},
    {PLACE_TEXT, "a${requst.method}", 3, 6, "not known"},
    {PLACE_TEXT, "a${request.methd}", 10, 6, "it has method"},
    {PLACE_TEXT, "${request}", 2, 7, "fields are method"},
    {PLACE_TEXT, "${path.nix}", 6, 4, "no such capture"},
    {PLACE_TEXT, "${path.a.b}", 8, 2, "no members"},
    {PLACE_TEXT, "${header[x]}", 9, 1, "not known"},
    {PLACE_HEADER, "a\nb", 1, 1, "control"},
};

static void test_bad(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(bad); i++) {
        struct expr_error e = {0};
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
        if (expr_template_end(span_z(ends[i].source), 0) != ends[i].end)
            fail_msg("%s: %zu", ends[i].source, expr_template_end(span_z(ends[i].source), 0));
}

static void test_max(void **state) {
    (void)state;
    struct expr_error e = {0};
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
