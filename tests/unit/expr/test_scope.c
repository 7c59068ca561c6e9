/*
 * What a program knows of its host: objects of fixed fields, maps asked by a constant key, names
 * judged and explained by the host, what a program depends on, lists and maps that are somebody's
 * own.
 */
#include "play.h"

enum { METHOD = 1, SIZE, SNI, PATH, HEADER, QUERY, CLAIM, ITEMS };

static const struct expr_name tls_fields[] = {{"sni", &expr_string, SNI}, {NULL, NULL, 0}};
static const struct expr_type tls_type = {.kind = EXPR_OBJECT, .field = tls_fields};
static const struct expr_name client_fields[] = {{"tls", &tls_type, 0}, {NULL, NULL, 0}};
static const struct expr_type client_type = {.kind = EXPR_OBJECT, .field = client_fields};
static const struct expr_name request_fields[] = {
    {"method", &expr_string, METHOD}, {"size", &expr_int, SIZE}, {NULL, NULL, 0}};
static const struct expr_type request_type = {.kind = EXPR_OBJECT, .field = request_fields};
static const struct expr_type text_map = {
    .kind = EXPR_MAP, .of = &expr_string, .key = &expr_string, .direct = true};
static const struct expr_name names[] = {
    {"request", &request_type, 0}, {"client", &client_type, 0}, {"path", &text_map, PATH},
    {"header", &text_map, HEADER}, {"claim", &expr_dyn, CLAIM}, {"items", &expr_list_dyn, ITEMS},
};

/* A map that answers every key with the key itself but "none", and one of twelve elements. */
static uint32_t host_count(const struct value_host *h) {
    (void)h;
    return 12;
}
static void host_at(const struct value_host *h, struct arena *a, uint32_t i, struct value *key,
                    struct value *out) {
    (void)h;
    char *text = arena_fmt(a, "k%u", i);
    *key = value_string(span_z(text));
    *out = value_int(i);
}
static bool host_get(const struct value_host *h, struct arena *a, const struct value *key,
                     struct value *out) {
    (void)a;
    if (key->kind != VALUE_STRING || span_eq(value_span(key), SPAN("none"))) {
        *out = value_string(SPAN(""));
        return false;
    }
    *out = h->ctx ? value_string(SPAN("by host")) : *key;
    return true;
}
static const struct value_host_ops host_ops = {host_count, host_at, host_get, false};
static const struct value_host_ops lenient_ops = {host_count, host_at, host_get, true};
static const struct value_host lenient = {&lenient_ops, NULL}, strict = {&host_ops, NULL};

struct calls {
    unsigned count;
    int id;
    char key[32];
    int slot;
};

static bool get(void *ctx, struct arena *a, const struct expr_ref *ref, struct value *out) {
    struct calls *calls = ctx;
    (void)a;
    calls->count++;
    calls->id = ref->id;
    calls->slot = ref->slot;
    snprintf(calls->key, sizeof calls->key, "%.*s", SPAN_ARG(ref->key));
    switch (ref->id) {
    case METHOD:
        *out = value_string(SPAN("GET"));
        return true;
    case SIZE:
        *out = value_int(3);
        return true;
    case PATH:
    case HEADER:
        if (ref->key.p)
            *out = value_string(ref->key);
        else
            *out = (struct value){.kind = VALUE_MAP,
                                  .form = VALUE_HOST,
                                  .host = ref->id == HEADER ? &lenient : &strict};
        return true;
    case ITEMS:
        *out = (struct value){.kind = VALUE_LIST, .form = VALUE_HOST, .host = &strict};
        return true;
    case SNI:
        *out = value_string(SPAN("a.example"));
        return true;
    default:
        *out = value_text(VALUE_ERROR, SPAN("nobody is authenticated"));
        return false;
    }
}

static const char *check(void *ctx, struct arena *a, struct expr_ref *ref) {
    (void)ctx;
    if (ref->id == PATH && !span_eq(ref->key, SPAN("id")))
        return arena_fmt(a, "this route captures no `%.*s`", SPAN_ARG(ref->key));
    char *low = arena_text(a, ref->key);
    for (size_t i = 0; i < ref->key.n; i++)
        low[i] = lower(low[i]);
    ref->key.p = low;
    ref->slot = 77;
    return NULL;
}

static const char *missing(void *ctx, struct arena *a, struct span name) {
    (void)ctx;
    (void)a;
    return span_eq(name, SPAN("consumer")) ? "`consumer` is known where `authenticate` stands"
                                           : NULL;
}

static const struct expr_scope scope = {
    .name = names, .count = array_len(names), .check = check, .missing = missing};

struct row {
    const char *source, *out;
    unsigned loads;  /* calls of the host */
    int id;          /* of the last one */
    const char *key; /* likewise */
};
static const struct row rows[] = {
    {"request.method", "\"GET\"", 1, METHOD, ""},
    {"request.method == 'GET'", "true", 1, METHOD, ""},
    {"'GET' == request.method", "true", 1, METHOD, ""},
    {"request.method != 'GET'", "false", 1, METHOD, ""},
    {"request.method == 'GETS'", "false", 1, METHOD, ""},
    {"request.method == 'POST' && path.id == ''", "false", 1, METHOD, ""},
    {"request.method == 'GET' && path.id != ''", "true", 2, PATH, "id"},
    {"request.size + 1", "4", 1, SIZE, ""},
    {"client.tls.sni", "\"a.example\"", 1, SNI, ""},
    {"path.id", "\"id\"", 1, PATH, "id"},
    {"path['id']", "\"id\"", 1, PATH, "id"},
    {"path.id.size()", "2", 1, PATH, "id"},
    {"path.idd", "? this route captures no `idd`", 0, 0, ""},
    {"path['idd']", "? this route captures no `idd`", 0, 0, ""},
    {"header['X-A']", "\"x-a\"", 1, HEADER, "x-a"},
    {"header['X' + '-A']", "\"X-A\"", 1, HEADER, ""},
    {"header[request.method]", "\"GET\"", 2, METHOD, ""},
    {"'x' in header", "true", 1, HEADER, ""},
    {"'none' in header", "false", 1, HEADER, ""},
    {"has(header.none)", "false", 1, HEADER, ""},
    {"header[?'none'].orValue('z')", "\"z\"", 1, HEADER, ""},
    {"header[string('no' + request.method.substring(3)) + 'ne']", "\"\"", 2, METHOD, ""},
    {"items.size()", "12", 1, ITEMS, ""},
    {"items[11]", "11", 1, ITEMS, ""},
    {"items[12]", "!", 1, ITEMS, ""},
    {"items.filter(i, i > 9)", "[10, 11]", 1, ITEMS, ""},
    {"path.exists(k, k == 'k3')", "true", 1, PATH, ""},
    {"path.exists(k, v, k == 'k3' && dyn(v) == 3)", "true", 1, PATH, ""},
    {"items == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]", "true", 1, ITEMS, ""},
    {"claim.sub", "! nobody is authenticated", 1, CLAIM, ""},
    {"claim.sub == 'a' || true", "true", 1, CLAIM, ""},
    {"has(claim.sub)", "! nobody is authenticated", 1, CLAIM, ""},
    {"request", "?", 0, 0, ""},
    {"request == client", "?", 0, 0, ""},
    {"client.tls", "?", 0, 0, ""},
    {"[request]", "?", 0, 0, ""},
    {"request['method']", "?", 0, 0, ""},
    {"has(request.method)", "true", 0, 0, NULL}, /* a load or none */
    {"request.methd", "?", 0, 0, ""},
    {"request.method.x", "?", 0, 0, ""},
    {"[1].exists(request, request == 1)", "true", 0, 0, ""},
    {"[{'method': 1}].exists(request, request.method == 1)", "true", 0, 0, ""},
    {"cel.bind(path, {'idd': 5}, path.idd)", "5", 0, 0, ""},
    {"true || claim.sub == 'a'", "true", 0, 0, ""},
    {"false && claim.sub == 'a'", "false", 0, 0, ""},
};

static void test_rows(void **state) {
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < array_len(rows); i++) {
        const struct row *r = &rows[i];
        struct calls calls = {.id = 0};
        struct play p;
        play_compile(&p, r->source, &scope);
        p.run.arena = &p.a;
        p.run.get = get;
        p.run.ctx = &calls;
        p.fine = p.e && expr_eval(p.e, &p.run, &p.out);
        const char *got = play_text(&p);
        bool value = r->out[1] ? strcmp(got, r->out) == 0 : got[0] == r->out[0];
        bool asked = !r->key || (calls.count == r->loads && calls.id == r->id &&
                                 (r->loads > 1 || strcmp(calls.key, r->key) == 0));
        if (!value || !asked) {
            print_message("# %s: %s, not %s; %u loads, the last %d \"%s\"\n", r->source, got,
                          r->out, calls.count, calls.id, calls.key);
            wrong++;
        }
        if (calls.key[0] && r->key && r->key[0])
            assert_int_equal(calls.slot, 77);
        play_finish(&p);
    }
    assert_int_equal(wrong, 0);
}

static void test_missing(void **state) {
    (void)state;
    struct play p;
    play_compile(&p, "true && consumer.name == 'a'", &scope);
    assert_null(p.e);
    assert_non_null(strstr(p.err.text, "`consumer` is known where `authenticate` stands"));
    assert_int_equal(p.err.at, 8);
    play_finish(&p);
}

/* What a policy depends on is known without running it. */
static void test_depends(void **state) {
    (void)state;
    struct play p;
    play_compile(&p, "request.method == 'GET' || path.id in [header['a']]", &scope);
    assert_non_null(p.e);
    assert_true(expr_loads(p.e, METHOD) && expr_loads(p.e, PATH) && expr_loads(p.e, HEADER));
    assert_false(expr_loads(p.e, SIZE) || expr_loads(p.e, CLAIM));
    assert_null(expr_single(p.e));
    assert_null(expr_constant(p.e));
    assert_int_equal(expr_result(p.e)->kind, EXPR_BOOL);
    assert_true(
        span_eq(expr_source(p.e), SPAN("request.method == 'GET' || path.id in [header['a']]")));
    play_finish(&p);
    play_compile(&p, " ( path['id'] ) ", &scope);
    assert_non_null(p.e);
    assert_non_null(expr_single(p.e));
    assert_int_equal(expr_single(p.e)->id, PATH);
    assert_true(span_eq(expr_single(p.e)->key, SPAN("id")));
    assert_int_equal(expr_result(p.e)->kind, EXPR_STRING);
    play_finish(&p);
    play_compile(&p, "claim.sub", &scope); /* a member of a value: not one load */
    assert_null(expr_single(p.e));
    assert_true(expr_loads(p.e, CLAIM));
    assert_int_equal(expr_result(p.e)->kind, EXPR_DYN);
    play_finish(&p);
    play_compile(&p, "'a' + 'b' == 'ab' ? [1, 1 + 1] + [3] : []", &scope);
    assert_non_null(expr_constant(p.e));
    p.out = *expr_constant(p.e);
    p.fine = true;
    assert_string_equal(play_text(&p), "[1, 2, 3]");
    play_finish(&p);
    play_compile(&p, "1 / 0", &scope); /* fails at run time, as the language says */
    assert_non_null(p.e);
    assert_null(expr_constant(p.e));
    play_finish(&p);
}

static const struct {
    const char *source;
    enum expr_truth truth;
} truths[] = {
    {"request.size == 3", EXPR_TRUE},
    {"request.size == 4", EXPR_FALSE},
    {"claim.x", EXPR_FAILED},
    {"dyn(request.size)", EXPR_FAILED},
    {"true", EXPR_TRUE},
    {"dyn(null)", EXPR_FAILED},
    {"dyn(request.size) == 3", EXPR_TRUE},
};

static void test_truth(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(truths); i++) {
        struct play p;
        struct calls calls = {0};
        play_compile(&p, truths[i].source, &scope);
        assert_non_null(p.e);
        p.run = (struct expr_run){.arena = &p.a, .get = get, .ctx = &calls};
        enum expr_truth truth = expr_test(p.e, &p.run);
        if (truth != truths[i].truth)
            fail_msg("%s: %d", truths[i].source, truth);
        if (truth == EXPR_FAILED)
            assert_non_null(p.run.error.text);
        play_finish(&p);
    }
}

/* An ordinary condition takes nothing from the arena. */
static void test_no_allocation(void **state) {
    (void)state;
    static const char *const plain[] = {"request.method == 'GET' && path.id != ''",
                                        "request.size > 2 ? path.id : header['x']",
                                        "request.method in ['GET', 'HEAD']",
                                        "path.id.startsWith('i') || request.method.size() > 9"};
    for (size_t i = 0; i < array_len(plain); i++) {
        struct play p;
        struct calls calls = {0};
        play_compile(&p, plain[i], &scope);
        assert_non_null(p.e);
        struct arena none;
        arena_init(&none, NULL);
        p.run = (struct expr_run){.arena = &none, .get = get, .ctx = &calls};
        assert_true(expr_eval(p.e, &p.run, &p.out));
        if (none.used || none.at)
            fail_msg("%s takes memory", plain[i]);
        arena_finish(&none);
        play_finish(&p);
    }
}

/* Where a ${ ends: braces, quotes and comments inside do not close it. */
static const struct {
    const char *source;
    size_t end;
} ends[] = {
    {"${a}b", 4},
    {"${'}'}", 6},
    {"${{'a': 1}.a}}", 13},
    {"${\"\"\"}\"\"\"}", 10},
    {"${a", 0},
    {"${'a}", 0},
    {"${r'\\'}", 7},
    {"${a // }\n}", 10},
    {"${{}", 0},
    {"${'\\'}'}", 8},
    {"${}", 3},
};

static void test_template_end(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(ends); i++)
        if (expr_template_end(span_z(ends[i].source), 0) != ends[i].end)
            fail_msg("%s: %zu", ends[i].source, expr_template_end(span_z(ends[i].source), 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),          cmocka_unit_test(test_missing),
        cmocka_unit_test(test_depends),       cmocka_unit_test(test_truth),
        cmocka_unit_test(test_no_allocation), cmocka_unit_test(test_template_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
