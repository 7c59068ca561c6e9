#include "filter/authorize.h"
#include "../core/desk.h"
#include "data/json.h"

static struct authorize_conf conf;
static int asked;

static void service_start(struct exchange *x) {
    asked++;
    x->resp.status = 200;
    body_end(&x->down_half.source, NULL);
    exchange_respond(x);
}
static const struct back_ops service = {"service", service_start, NULL, NULL};

static struct value json(const char *text) {
    struct value v;
    struct json_error e;
    assert_true(json_read(&desk.snapshot->arena, span_z(text), NULL, &v, &e));
    return v;
}

static const struct {
    const char *claims, *want;
    bool alternatives, has;
} texts[] = {
    {"\"a b c\"", "b", false, true},
    {"\"a b c\"", "d", false, false},
    {"\"abc\"", "b", false, false},
    {"\"a  b\"", "", false, false},
    {"[\"a\", \"b c\"]", "a", false, true},
    {"[\"a\", \"b c\"]", "b", false, false},
    {"[\"a\", 7]", "7", false, false},
    {"7", "7", false, false},
    {"true", "true", false, false},
    {"{\"a\": true}", "a", false, false},
    {"[]", "a", false, false},
    {"\"\"", "a", false, false},
    {"\"b\"", "a|b", true, true},
    {"\"b\"", "a|b", false, false},
    {"[\"c\"]", "a|b", true, false},
    {"[\"\"]", "a|", true, false},
    {"\"a|b\"", "a|b", false, true},
};

static void words(void **state) {
    (void)state;
    desk_open();
    for (size_t i = 0; i < array_len(texts); i++) {
        struct value v = json(texts[i].claims);
        if (authorize_has(&v, span_z(texts[i].want), texts[i].alternatives) != texts[i].has)
            fail_msg("%s in %s", texts[i].want, texts[i].claims);
    }
    assert_false(authorize_has(NULL, SPAN("a"), false));
    desk_close();
}

static const struct {
    const char *path, *found;
} paths[] = {
    {"roles", "top"},         {"realm_access.roles", "realm"},
    {"a.b.c", "deep"},        {"https://x.test/roles", "url"},
    {"x.y.z", "dotted tail"}, {"none", NULL},
    {"realm_access", NULL},   {"realm_access.none", NULL},
    {"roles.more", NULL},     {"", NULL},
};

static void claims_by_path(void **state) {
    (void)state;
    desk_open();
    struct value v = json("{\"roles\": \"top\", \"realm_access\": {\"roles\": \"realm\"},"
                          " \"a\": {\"b\": {\"c\": \"deep\"}}, \"https://x.test/roles\": \"url\","
                          " \"x\": {\"y.z\": \"dotted tail\"}}");
    for (size_t i = 0; i < array_len(paths); i++) {
        const struct value *m = authorize_claim(&v, span_z(paths[i].path));
        bool text = m && m->kind == VALUE_STRING;
        if (text != (paths[i].found != NULL) ||
            (text && !span_eq(value_span(m), span_z(paths[i].found))))
            fail_msg("%s", paths[i].path);
    }
    desk_close();
}

/* ---- a whole policy ---- */

static const struct span *list(const char *text, uint32_t *count) {
    struct span *out = arena_zero(&desk.snapshot->arena, 16 * sizeof *out);
    struct span rest = span_z(text);
    *count = 0;
    while (rest.n)
        out[(*count)++] = span_split(&rest, ' ');
    return out;
}

static const struct expr *condition(const char *text) {
    static struct facts_names names;
    struct expr_error e = {0};
    facts_names(&names, SCOPE_REQUEST | SCOPE_CALLER | SCOPE_BODY, NULL);
    const struct expr *x = expr_compile(&desk.snapshot->arena, span_z(text), &names.scope, &e);
    if (!x)
        fail_msg("%s: %s", text, e.text);
    return x;
}

static struct authorize_rule rule(const char *allow, const char *scopes, const char *roles,
                                  const char *groups) {
    struct authorize_rule r = {.allow = *allow ? condition(allow) : NULL};
    r.scope = list(scopes, &r.scopes);
    r.role = list(roles, &r.roles);
    r.group = list(groups, &r.groups);
    return r;
}

static struct span groups[] = {{"partners", 8}};
static struct auth_kind jwt = {.name = "jwt"}, other = {.name = "api_key"};
static struct authenticator by_jwt = {.kind = &jwt}, by_key = {.kind = &other};
static struct caller who;

static void known(struct exchange *x, const char *claims, const struct authenticator *by) {
    if (!claims)
        return;
    who = (struct caller){
        .by = by, .claims = json(claims), .name = SPAN("acme"), .group = groups, .group_count = 1};
    x->caller = &who;
}

static const struct {
    const char *allow, *scopes, *roles, *groups, *claims; /* claims NULL: nobody is known */
    int status;
    const char *code;
} rows[] = {
    {"true", "", "", "", "{}", 200, ""},
    {"false", "", "", "", "{}", 403, "forbidden"},
    {"false", "", "", "", NULL, 401, "credentials_missing"},
    {"request.method == 'GET'", "", "", "", NULL, 200, ""},
    {"claim.n > 1", "", "", "", "{\"n\": 2}", 200, ""},
    {"claim.n > 1", "", "", "", "{\"n\": 1}", 403, "forbidden"},
    /* what fails refuses */
    {"claim.n > 1", "", "", "", "{}", 403, "forbidden"},
    {"claim.n > 1", "", "", "", "{\"n\": \"2\"}", 403, "forbidden"},
    {"claim.n", "", "", "", "{\"n\": 1}", 403, "forbidden"},
    {"claim.n > 1", "", "", "", NULL, 401, "credentials_missing"},
    {"!(claim.n > 1)", "", "", "", "{}", 403, "forbidden"},
    {"consumer.name == 'acme' && 'partners' in consumer.groups", "", "", "", "{}", 200, ""},
    {"", "a", "", "", "{\"scope\": \"b a\"}", 200, ""},
    {"", "a b", "", "", "{\"scope\": \"b a\"}", 200, ""},
    {"", "a c", "", "", "{\"scope\": \"b a\"}", 403, "insufficient_scope"},
    {"", "a", "", "", "{\"scp\": [\"a\"]}", 200, ""},
    {"", "a", "", "", "{\"scp\": \"x a\"}", 200, ""},
    {"", "a", "", "", "{\"scope\": \"aa\"}", 403, "insufficient_scope"},
    {"", "a", "", "", "{}", 403, "insufficient_scope"},
    {"", "a", "", "", NULL, 401, "credentials_missing"},
    {"", "", "x", "", "{\"roles\": [\"x\"]}", 200, ""},
    {"", "", "x", "", "{\"realm_access\": {\"roles\": [\"x\"]}}", 200, ""},
    {"", "", "x y", "", "{\"roles\": [\"x\"]}", 403, "forbidden"},
    {"", "", "x|y", "", "{\"roles\": [\"y\"]}", 200, ""},
    {"", "", "x", "", "{\"roles\": {\"x\": true}}", 403, "forbidden"},
    {"", "", "", "partners", "{}", 200, ""},
    {"", "", "", "staff", "{\"groups\": [\"staff\"]}", 200, ""},
    {"", "", "", "staff", "{}", 403, "forbidden"},
    {"", "", "", "staff|partners", "{}", 200, ""},
    /* all that is given must hold */
    {"true", "a", "x", "partners", "{\"scope\": \"a\", \"roles\": [\"x\"]}", 200, ""},
    {"false", "a", "x", "partners", "{\"scope\": \"a\", \"roles\": [\"x\"]}", 403, "forbidden"},
    {"true", "a", "z", "partners", "{\"scope\": \"a\", \"roles\": [\"x\"]}", 403, "forbidden"},
};

static void made(struct authorize_rule r, bool known_route) {
    conf = (struct authorize_conf){.rule = r};
    const char *why = authorize_policy.finish(&desk.snapshot->arena, &conf);
    if (why)
        fail_msg("%s", why);
    assert_null(authorize_policy.on_caller(&conf, known_route));
}

static void judged(void **state) {
    (void)state;
    desk_open();
    for (size_t i = 0; i < array_len(rows); i++) {
        made(rule(rows[i].allow, rows[i].scopes, rows[i].roles, rows[i].groups), true);
        struct exchange *x = desk_exchange("GET", "a.test", "/x", NULL);
        known(x, rows[i].claims, &by_jwt);
        asked = 0;
        desk_run(x, &service, NULL, authorize_policy.ops, &conf);
        if (atoi(desk.head) != rows[i].status || !strstr(desk.body, rows[i].code))
            fail_msg("row %zu: %s%s", i, desk.head, desk.body);
        assert_int_equal(asked, rows[i].status == 200);
    }
    desk_close();
}

/* RFC 6750 3.1: only where a bearer token could have had more scopes. */
static void challenges(void **state) {
    (void)state;
    desk_open();
    made(rule("", "a b", "", ""), true);
    struct exchange *x = desk_exchange("GET", "a.test", "/x", NULL);
    known(x, "{\"scope\": \"a\"}", &by_jwt);
    desk_run(x, &service, NULL, authorize_policy.ops, &conf);
    assert_string_equal(desk_field("www-authenticate"),
                        "Bearer error=\"insufficient_scope\", scope=\"a b\"");
    x = desk_exchange("GET", "a.test", "/x", NULL);
    known(x, "{\"scope\": \"a\"}", &by_key);
    desk_run(x, &service, NULL, authorize_policy.ops, &conf);
    assert_int_equal(atoi(desk.head), 403);
    assert_string_equal(desk_field("www-authenticate"), "");
    desk_close();
}

static const struct {
    const char *method;
    int status;
} methods[] = {{"GET", 200},   {"HEAD", 200},   {"POST", 403},    {"PUT", 200},
               {"PURGE", 403}, {"DELETE", 403}, {"OPTIONS", 403}, {"get", 403}};

static void by_method(void **state) {
    (void)state;
    desk_open();
    struct authorize_method m[] = {{SPAN("GET"), rule("true", "", "", "")},
                                   {SPAN("POST"), rule("", "write", "", "")},
                                   {SPAN("PUT"), rule("", "a", "", "")},
                                   {SPAN("*"), rule("false", "", "", "")}};
    for (size_t i = 0; i < array_len(methods); i++) {
        conf = (struct authorize_conf){.method = m, .methods = array_len(m)};
        assert_null(authorize_policy.finish(&desk.snapshot->arena, &conf));
        assert_null(authorize_policy.on_caller(&conf, true));
        struct exchange *x = desk_exchange(methods[i].method, "a.test", "/x", NULL);
        known(x, "{\"scope\": \"a\"}", &by_jwt);
        desk_run(x, &service, NULL, authorize_policy.ops, &conf);
        if (atoi(desk.head) != methods[i].status)
            fail_msg("%s: %s", methods[i].method, desk.head);
    }
    desk_close();
}

/* Where nobody is asked who he is, knowing would not help. */
static void without_authentication(void **state) {
    (void)state;
    desk_open();
    made(rule("request.method == 'POST'", "", "", ""), false);
    desk_run(desk_exchange("GET", "a.test", "/x", NULL), &service, NULL, authorize_policy.ops,
             &conf);
    assert_int_equal(atoi(desk.head), 403);
    conf = (struct authorize_conf){.rule = rule("", "a", "", "")};
    assert_null(authorize_policy.finish(&desk.snapshot->arena, &conf));
    assert_non_null(authorize_policy.on_caller(&conf, false));
    desk_close();
}

static const struct {
    const char *body;
    int status;
} bodies[] = {{"{\"n\": 1}", 200}, {"{\"n\": 2}", 403}, {"{\"m\": 1}", 403},
              {"{\"n\": 1", 403},  {"", 403},           {"[1]", 403}};

static void of_the_body(void **state) {
    (void)state;
    desk_open();
    for (size_t i = 0; i < array_len(bodies); i++) {
        made(rule("request.body.n == 1", "", "", ""), false);
        assert_true(conf.reads_body);
        struct exchange *x = desk_exchange("POST", "a.test", "/x", NULL);
        struct body *b = &x->up_half.source;
        x->up_half.length = (int64_t)strlen(bodies[i].body);
        assert_true(!*bodies[i].body || body_push_copy(b, bodies[i].body, strlen(bodies[i].body)));
        body_end(b, NULL);
        desk_run(x, &service, NULL, authorize_policy.ops, &conf);
        if (atoi(desk.head) != bodies[i].status)
            fail_msg("%s: %s", bodies[i].body, desk.head);
    }
    desk_close();
}

static void wrong(void **state) {
    (void)state;
    desk_open();
    struct authorize_method small[] = {{SPAN("post"), rule("true", "", "", "")}};
    struct authorize_method empty[] = {{SPAN("POST"), {0}}};
    const struct authorize_conf bad[] = {{.methods = 0},
                                         {.method = small, .methods = 1},
                                         {.method = empty, .methods = 1},
                                         {.rule = rule("", "a\"b", "", "")}};
    for (size_t i = 0; i < array_len(bad); i++) {
        conf = bad[i];
        assert_non_null(authorize_policy.finish(&desk.snapshot->arena, &conf));
    }
    desk_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),       cmocka_unit_test(claims_by_path),
        cmocka_unit_test(judged),      cmocka_unit_test(challenges),
        cmocka_unit_test(by_method),   cmocka_unit_test(without_authentication),
        cmocka_unit_test(of_the_body), cmocka_unit_test(wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
