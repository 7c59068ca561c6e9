#include "desk.h"

static const struct span names[] = {{"id", 2}, {"rest", 4}};
static const bool tails[] = {false, true};
static const struct fact_captures captures = {names, tails, 2};

static const struct {
    const char *source;
    enum template_place place;
    const char *want;
} values[] = {
    {"${request.method} ${request.scheme} ${request.host}", PLACE_TEXT, "GET http shop.test"},
    {"${request.path} ${request.protocol} ${request.id}", PLACE_TEXT, "/a%20b/c;d HTTP/1.1 id-7"},
    {"${header[\"X-In\"]} ${header.accept} ${header[\"host\"]}", PLACE_TEXT, "1 */* shop.test:81"},
    {"<${header[\"x-none\"]}${query.none}${cookie.none}>", PLACE_TEXT, "<>"},
    {"${query.q} ${query[\"page-size\"]}", PLACE_TEXT, "a b&c 20"},
    {"${query.twice}", PLACE_TEXT, "1"},
    {"${cookie.sid}", PLACE_TEXT, "xyz"},
    {"${path.id} ${path.rest}", PLACE_TEXT, "a b x/y z"},
    {"${path.id}/${path.rest}", PLACE_PATH, "a%20b/x/y%20z"},
    {"${client.ip} ${client.port}", PLACE_TEXT, "192.0.2.9 4711"},
    {"${route.name} ${service.name}", PLACE_TEXT, "r shop"},
    {"${error.code} ${error.status} ${error.who}: ${error.detail}", PLACE_TEXT,
     "no_route 404 client: no route matches this request"},
};

static void test_values(void **state) {
    (void)state;
    static const struct service_conf service = {.name = {"shop", 4}};
    desk_open();
    struct exchange *x =
        desk_exchange("GET", "Shop.Test:81", "/a%20b/c;d?q=a+b%26c&page-size=20&twice=1&twice=2",
                      "x-in", "1", "accept", "*/*", "cookie", "a=b; sid=xyz", NULL);
    memcpy(x->facts.request_id, "id-7", 4);
    x->facts.request_id_len = 4;
    x->facts.client = x->facts.peer;
    x->capture[0] = SPAN("a%20b");
    x->capture[1] = SPAN("x/y%20z");
    x->route = &desk.route;
    x->service = &service;
    x->fault = FAULT_NO_ROUTE;
    struct template_values v = facts_values(x);
    for (size_t i = 0; i < array_len(values); i++) {
        struct span out;
        const struct template *t =
            desk_template(values[i].source, values[i].place,
                          SCOPE_REQUEST | SCOPE_SERVICE | SCOPE_ERROR, &captures);
        assert_true(template_eval(t, &x->arena, &v, 4096, &out));
        if (!span_eq(out, span_z(values[i].want)))
            fail_msg("%s: want %s, got %.*s", values[i].source, values[i].want, SPAN_ARG(out));
    }
    desk_drop(x);
    desk_close();
}

/* A query may be nothing but one name, a thousand times: its list takes what its texts are worth,
 * not the square of it. */
static void test_many_of_one_name(void **state) {
    enum { MANY = 1000, MOST = 256 * 1024 };
    static char target[2 + 6 * MANY + 1] = "/?";
    (void)state;
    for (unsigned i = 0; i < MANY; i++)
        snprintf(target + strlen(target), 7, "%c=%03u&", i < MANY / 2 ? 'a' : 'b', i);
    desk_open();
    struct exchange *x = desk_exchange("GET", "shop.test", target, NULL);
    struct template_values v = facts_values(x);
    const struct template *t =
        desk_template("${size(request.query.a)} ${request.query.b[499]} ${size(request.query)}",
                      PLACE_TEXT, SCOPE_REQUEST, NULL);
    size_t before = x->arena.used;
    struct span out;
    assert_true(template_eval(t, &x->arena, &v, 4096, &out));
    assert_true(span_eq(out, SPAN("500 999 2")));
    assert_in_range(x->arena.used - before, 0, MOST);
    desk_drop(x);
    desk_close();
}

/* What a place does not know. */
static const struct {
    const char *source;
    unsigned scopes;
    const struct fact_captures *captures;
    const char *text;
} wrong[] = {
    {"${path.di}", SCOPE_REQUEST, &captures, "it has id, rest"},
    {"${path.id}", SCOPE_REQUEST, NULL, "which has none"},
    {"${error.code}", SCOPE_REQUEST, NULL, "`error` is known only in `errors`"},
    {"${service.name}", SCOPE_ERROR, NULL, "`service` is known only behind `to`"},
    {"${error.kind}", SCOPE_ERROR, NULL, "it has code, status, detail, who"},
    {"${client.tls.x}", SCOPE_REQUEST, NULL, "`tls` has no field `x`; it has version"},
    {"${client.tls}", SCOPE_REQUEST, NULL, "no value itself"},
    {"${client.ip.x}", SCOPE_REQUEST, NULL, "has no members"},
    {"${header[\"a b\"]}", SCOPE_REQUEST, NULL, "not a header name"},
};

static void test_scopes(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, NULL);
    for (size_t i = 0; i < array_len(wrong); i++) {
        struct facts_names known;
        struct expr_error e = {0};
        facts_names(&known, wrong[i].scopes, wrong[i].captures);
        assert_null(template_compile(&a, span_z(wrong[i].source), PLACE_TEXT, &known.scope, &e));
        if (!strstr(e.text, wrong[i].text))
            fail_msg("%s: %s", wrong[i].source, e.text);
    }
    arena_finish(&a);
}

/* client.tls.*: of the connection, and of the certificate that the client has shown. */
static void test_tls(void **state) {
    static const struct tls_client_cert ann = {
        .subject = SPAN("CN=ann,O=shop"), .san = SPAN("spiffe://shop/ann"), .verified = true};
    static const struct tls_client_cert bob = {.subject = SPAN("CN=bob")};
    static const struct tls_info plain = {.version = "TLSv1.2", .sni = SPAN("a.test")},
                                 known = {.version = "TLSv1.3", .client = &ann},
                                 shown = {.version = "TLSv1.3", .client = &bob};
    static const struct {
        const struct tls_info *tls;
        const char *want;
    } rows[] = {
        {NULL, "||||false"},
        {&plain, "TLSv1.2|a.test|||false"},
        {&known, "TLSv1.3||CN=ann,O=shop|spiffe://shop/ann|true"},
        {&shown, "TLSv1.3||CN=bob||false"},
    };
    (void)state;
    desk_open();
    const struct template *t = desk_template("${client.tls.version}|${client.tls.sni}|"
                                             "${client.tls.subject}|${client.tls.san}|"
                                             "${client.tls.verified}",
                                             PLACE_TEXT, SCOPE_REQUEST, &captures);
    struct exchange *x = desk_exchange("GET", "a.test", "/", NULL);
    struct template_values v = facts_values(x);
    for (size_t i = 0; i < array_len(rows); i++) {
        struct span out;
        x->facts.tls = rows[i].tls;
        assert_true(template_eval(t, &x->arena, &v, 4096, &out));
        if (!span_eq(out, span_z(rows[i].want)))
            fail_msg("row %zu: got %.*s", i, SPAN_ARG(out));
    }
    desk_drop(x);
    desk_close();
}

/* A segment that holds "%2F" (encoded_slash: keep) stays one segment, in a path and in a text. */
static void test_encoded_slash(void **state) {
    (void)state;
    desk_open();
    struct exchange *x = desk_exchange("GET", "a.test", "/", NULL);
    struct template_values v = facts_values(x);
    struct span out;
    x->capture[0] = SPAN("a%2Fb");
    x->capture[1] = SPAN("a%2Fb/c");
    const struct template *t =
        desk_template("/x/${path.id}/${path.rest}", PLACE_PATH, SCOPE_REQUEST, &captures);
    assert_true(template_eval(t, &x->arena, &v, 4096, &out));
    assert_true(span_eq(out, SPAN("/x/a%2Fb/a%2Fb/c")));
    x->capture[0] = SPAN("a/b"); /* of a regular expression */
    assert_true(template_eval(t, &x->arena, &v, 4096, &out));
    assert_true(span_eq(out, SPAN("/x/a%2Fb/a%2Fb/c")));
    desk_drop(x);
    desk_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_scopes),
                                       cmocka_unit_test(test_encoded_slash),
                                       cmocka_unit_test(test_tls),
                                       cmocka_unit_test(test_many_of_one_name)};
    return cmocka_run_group_tests_name("facts", tests, NULL, NULL);
}
