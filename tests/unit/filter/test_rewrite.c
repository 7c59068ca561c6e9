#include "filter/rewrite.h"
#include "../core/desk.h"
#include "data/regex.h"

/* Answers with the target that the service would get. */
static void echo_start(struct exchange *x) {
    struct str s = str_on(arena_alloc(&x->arena, 4096), 4096);
    str_add(&s, x->req.path);
    if (x->req.has_query) {
        str_char(&s, '?');
        str_add(&s, x->req.query);
    }
    x->resp.status = 200;
    x->down_half.length = (int64_t)s.n;
    assert_true(body_push_static(&x->down_half.source, s.p, s.n));
    body_end(&x->down_half.source, NULL);
    exchange_respond(x);
}
static const struct back_ops echo = {"echo", echo_start, NULL, NULL};

static const struct span names[] = {{"id", 2}, {"rest", 4}};
static const bool tails[] = {false, true};
static const struct fact_captures captures = {names, tails, 2};

static struct rewrite_conf conf_of(const char *path, const char *strip, const char *add,
                                   const char *regex, const char *with) {
    struct regex_error e;
    struct rewrite_conf c = {.strip = span_z(strip), .add = span_z(add)};
    if (path)
        c.path = desk_template(path, PLACE_PATH, SCOPE_REQUEST, &captures);
    if (with)
        c.with = desk_template(with, PLACE_PATH, SCOPE_REQUEST, &captures);
    c.regex = regex ? regex_compile(span_z(regex), &e) : NULL;
    assert_true(!regex || c.regex);
    return c;
}

static const char *run(const struct rewrite_conf *c, const char *target, const char *id,
                       const char *rest) {
    struct exchange *x = desk_exchange("GET", "a.test", target, NULL);
    x->capture[0] = span_z(id);
    x->capture[1] = span_z(rest);
    desk_run(x, &echo, NULL, &rewrite_ops, c);
    if (strncmp(desk.head, "200\n", 4) == 0)
        return desk.body;
    desk.head[3] = 0;
    return desk.head;
}

static const struct {
    const char *path, *id, *rest, *target, *want;
} paths[] = {
    {"/products/${path.id}", "7", "", "/api/products/7", "/products/7"},
    {"/products/${path.id}", "a%20b", "", "/x?q=1", "/products/a%20b?q=1"},
    {"/p/${path.id}?v=2", "7", "", "/x?q=1", "/p/7?v=2"},
    {"/p?id=${path.id}&u=${query.u}", "a%26b", "", "/x?u=1%26v", "/p?id=a%26b&u=1%26v"},
    {"/o/${path.rest}", "", "a/b%20c", "/x", "/o/a/b%20c"},
    {"/o/${path.rest}", "", "", "/x", "/o/"},
    {"/o/${path.rest}/z", "", "", "/x", "/o/z"}, /* no doubled slash */
    {"/v2${request.path}", "", "", "/a/b;c", "/v2/a/b;c"},
    /* B19: what would leave its place is encoded, what would climb is refused */
    {"/f/${query.n}", "", "", "/x?n=a/b%3Fc%23d%0D%0A%25", "400"},
    {"/f/${query.n}", "", "", "/x?n=a%3Fc%23d%0D", "400"},
    {"/f/${query.n}", "", "", "/x?n=a%3Fc%23d", "/f/a%3Fc%23d?n=a%3Fc%23d"},
    {"/f/${query.n}", "", "", "/x?n=..", "400"},
    {"/f/${query.n}/y", "", "", "/x?n=.", "400"},
    {"/f/${query.n}", "", "", "/x?n=..%3Bx", "400"},
    {"/f/${query.n}", "", "", "/x?n=..%2F..%2Fetc", "400"},
};

static void test_paths(void **state) {
    (void)state;
    desk_open();
    for (size_t i = 0; i < array_len(paths); i++) {
        struct rewrite_conf c = conf_of(paths[i].path, "", "", NULL, NULL);
        assert_null(rewrite_policy.finish(&desk.snapshot->arena, &c));
        const char *got = run(&c, paths[i].target, paths[i].id, paths[i].rest);
        if (strcmp(got, paths[i].want) != 0)
            fail_msg("%s of %s: want %s, got %s", paths[i].path, paths[i].target, paths[i].want,
                     got);
    }
    desk_close();
}

static const struct {
    const char *strip, *add, *target, *want;
} prefixes[] = {
    {"/api", "", "/api/orders/7?x", "/orders/7?x"},
    {"/api", "", "/api", "/"},
    {"/api", "", "/api/", "/"},
    {"/api/", "", "/api/orders", "/orders"},
    {"/api", "/v2", "/api/orders", "/v2/orders"},
    {"/api", "/v2/", "/api", "/v2"},
    {"", "/v2", "/orders", "/v2/orders"},
    {"/a/b", "", "/a/b/c", "/c"},
    {"/a/b", "/x", "/a", "/x/a"},           /* not below it: nothing to strip */
    {"/api", "", "/apiary/x", "/apiary/x"}, /* B18 */
    {"/foo", "", "/foo../admin", "/foo../admin"},
    {"/foo", "", "/f%6fo/x", "/x"},
    {"/foo", "", "/foo;v=1/x", "/x"}, /* as the router compares */
    {"/foo", "", "/;p/foo/x", "/x"},
    {"/foo", "", "/foo/;p/x", "/;p/x"},
    {"/f oo", "", "/f%20oo/x", "/x"},
    {"/api", "", "/api/a%20b/", "/a%20b/"},
};

static void test_prefixes(void **state) {
    (void)state;
    desk_open();
    for (size_t i = 0; i < array_len(prefixes); i++) {
        struct rewrite_conf c = conf_of(NULL, prefixes[i].strip, prefixes[i].add, NULL, NULL);
        if (strchr(prefixes[i].strip, ' '))
            c.strip = SPAN("/f%20oo");
        assert_null(rewrite_policy.finish(&desk.snapshot->arena, &c));
        const char *got = run(&c, prefixes[i].target, "", "");
        if (strcmp(got, prefixes[i].want) != 0)
            fail_msg("-%s +%s of %s: want %s, got %s", prefixes[i].strip, prefixes[i].add,
                     prefixes[i].target, prefixes[i].want, got);
    }
    desk_close();
}

static const struct {
    const char *regex, *with, *target, *want;
} expressions[] = {
    {"^/old/(.*)", "/new/$1", "/old/a/b?q", "/new/a/b?q"},
    {"^/(\\w+)/(\\w+)$", "/$2/$1", "/a/b", "/b/a"},
    {"/v[0-9]+/", "/", "/api/v2/x", "/api/x"}, /* the rest stays */
    {"^/none", "/x", "/other", "/other"},
    {"^/a(b)?", "/x$1y", "/a/c", "/xy/c"},
    {"^/(.*)", "/q?p=$1", "/a%20b", "/q?p=a%20b"},
    {"^/(.*)", "/$1/${query.v}", "/a?v=$1", "/a/%241?v=$1"}, /* a value's $1 is text */
    {"^/(.*)", "/$0$$1", "/a", "/a$a"},
    {"%", "", "/a%20b", "/a20b"},
    {"2", "", "/a%20b", "400"}, /* half an escape */
};

static void test_expressions(void **state) {
    (void)state;
    desk_open();
    for (size_t i = 0; i < array_len(expressions); i++) {
        struct rewrite_conf c = conf_of(NULL, "", "", expressions[i].regex, expressions[i].with);
        const char *why = rewrite_policy.finish(&desk.snapshot->arena, &c);
        if (why)
            fail_msg("%s: %s", expressions[i].with, why);
        const char *got = run(&c, expressions[i].target, "", "");
        if (strcmp(got, expressions[i].want) != 0)
            fail_msg("%s %s of %s: want %s, got %s", expressions[i].regex, expressions[i].with,
                     expressions[i].target, expressions[i].want, got);
        regex_free(c.regex);
    }
    desk_close();
}

static const struct {
    const char *path, *strip, *add, *regex, *with, *why;
} wrong[] = {
    {NULL, "", "", NULL, NULL, "needs"},
    {"x/${path.id}", "", "", NULL, NULL, "begin with"},
    {"/a b", "", "", NULL, NULL, "encoded"},
    {"/a#b", "", "", NULL, NULL, "encoded"},
    {"/a/../b", "", "", NULL, NULL, "write `/b`"},
    {"/caf%c3%a9/${path.id}", "", "", NULL, NULL, "write `/caf%C3%A9/x`"},
    {NULL, "api", "", NULL, NULL, "prefix"},
    {NULL, "", "/v2?x", NULL, NULL, "prefix"},
    {NULL, "", "", "a", NULL, "belong together"},
    {NULL, "", "", "(a)", "/$2", "group"},
};

static void test_wrong(void **state) {
    (void)state;
    desk_open();
    for (size_t i = 0; i < array_len(wrong); i++) {
        struct rewrite_conf c =
            conf_of(wrong[i].path, wrong[i].strip, wrong[i].add, wrong[i].regex, wrong[i].with);
        const char *why = rewrite_policy.finish(&desk.snapshot->arena, &c);
        if (!why || !strstr(why, wrong[i].why))
            fail_msg("%zu: %s", i, why ? why : "fine");
        regex_free(c.regex);
    }
    desk_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths), cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_expressions), cmocka_unit_test(test_wrong)};
    return cmocka_run_group_tests_name("rewrite", tests, NULL, NULL);
}
