#include "back/canned.h"
#include "../core/desk.h"

static const struct template *text(const char *t, enum template_place place) {
    return desk_template(t, place, SCOPE_REQUEST, NULL);
}

static struct exchange *get(const char *authority, const char *target) {
    return desk_exchange("GET", authority, target, "x-in", "a b", NULL);
}

static void test_respond(void **state) {
    (void)state;
    desk_open();
    struct answer_header header[] = {{SPAN("x-a"), text("<${header[\"x-in\"]}>", PLACE_HEADER)},
                                     {SPAN("set-cookie"), text("a=1", PLACE_HEADER)},
                                     {SPAN("set-cookie"), text("b=2", PLACE_HEADER)}};
    struct respond_conf c = {.status = 201,
                             .header = header,
                             .header_count = 3,
                             .content_type = SPAN("text/plain"),
                             .body = text("hi ${query.n}", PLACE_TEXT)};
    desk_run(get("a.test", "/x?n=J%C3%B6+1"), &canned_respond, &c, NULL, NULL);
    assert_true(strncmp(desk.head, "201\n", 4) == 0);
    assert_string_equal(desk_field("x-a"), "<a b>");
    assert_non_null(strstr(desk.head, "set-cookie: a=1\nset-cookie: b=2\n"));
    assert_string_equal(desk_field("content-type"), "text/plain");
    assert_string_equal(desk.body, "hi J\xc3\xb6 1");
    c = (struct respond_conf){
        .has_file = true, .file = SPAN("<p>"), .content_type = SPAN("text/html")};
    desk_run(get("a.test", "/"), &canned_respond, &c, NULL, NULL);
    assert_true(strncmp(desk.head, "200\n", 4) == 0);
    assert_string_equal(desk.body, "<p>");
    c = (struct respond_conf){.status = 204, .content_type = SPAN("text/html")};
    desk_run(get("a.test", "/"), &canned_respond, &c, NULL, NULL);
    assert_true(strncmp(desk.head, "204\n", 4) == 0);
    assert_string_equal(desk.body, "");
    assert_string_equal(desk_field("content-type"), "");
    desk_close();
}

/* C15: a decoded value that would begin a new header line. */
static void test_injection(void **state) {
    (void)state;
    desk_open();
    struct answer_header header = {SPAN("x-a"), text("${query.n}", PLACE_HEADER)};
    struct respond_conf c = {.header = &header, .header_count = 1};
    desk_run(get("a.test", "/x?n=a%0D%0ASet-Cookie:%20b"), &canned_respond, &c, NULL, NULL);
    assert_true(strncmp(desk.head, "500\n", 4) == 0);
    assert_non_null(strstr(desk.body, "header_injection_blocked"));
    assert_string_equal(desk_field("set-cookie"), "");
    desk_close();
}

static const struct {
    const char *to, *scheme, *host, *path, *authority, *target, *want; /* want: an error's code */
} redirects[] = {
    {"https://x.test/", 0, 0, 0, "a.test", "/y?z=1", "https://x.test/"},
    {"/new${request.path}", 0, 0, 0, "a.test", "/a%20b/c?q", "/new/a%20b/c"},
    {"/l?next=${request.path}", 0, 0, 0, "a.test", "/a%20b/c", "/l?next=%2Fa%2520b%2Fc"},
    {"/${query.u}", 0, 0, 0, "a.test", "/?u=//evil.test/x", "/%2F%2Fevil.test%2Fx"},
    {"/${query.u}", 0, 0, 0, "a.test", "/?u=%0D%0ASet-Cookie:x", "/%0D%0ASet-Cookie%3Ax"},
    {0, "https", 0, 0, "a.test:8080", "/b?c=d", "https://a.test/b?c=d"},
    {0, "https", 0, 0, "[::1]:8080", "/b?", "https://[::1]/b?"},
    {0, "http", 0, 0, "a.test:8080", "/b", "http://a.test:8080/b"},
    {0, 0, "b.test", 0, "a.test", "/b?c", "http://b.test/b?c"},
    {0, 0, "${request.host}.eu", 0, "a.test", "/b", "http://a.test.eu/b"},
    {0, 0, 0, "/n${request.path}", "a.test", "/b;c?d", "http://a.test/n/b;c?d"},
    {0, 0, 0, "/n?own=1", "a.test", "/b?d", "http://a.test/n?own=1"},
    {0, 0, "${query.h}", 0, "a.test", "/?h=evil.test%2F@", "expression_failed"},
    {0, "${query.s}", 0, 0, "a.test", "/?s=java+script", "expression_failed"},
    {0, "https", 0, 0, "", "/b", "bad_host"},
};

static const struct template *opt(const char *t, enum template_place place) {
    return t ? text(t, place) : NULL;
}

static void test_redirect(void **state) {
    (void)state;
    desk_open();
    for (size_t i = 0; i < array_len(redirects); i++) {
        struct redirect_conf c = {.to = opt(redirects[i].to, PLACE_PATH),
                                  .scheme = opt(redirects[i].scheme, PLACE_TEXT),
                                  .host = opt(redirects[i].host, PLACE_TEXT),
                                  .path = opt(redirects[i].path, PLACE_PATH)};
        desk_run(get(redirects[i].authority, redirects[i].target), &canned_redirect, &c, NULL,
                 NULL);
        bool fine = strchr(redirects[i].want, '/') != NULL;
        if (fine && strcmp(desk_field("location"), redirects[i].want) != 0)
            fail_msg("%zu: %s", i, desk_field("location"));
        assert_true(!fine || strncmp(desk.head, "308\n", 4) == 0);
        if (!fine && !strstr(desk.body, redirects[i].want))
            fail_msg("%zu: %s", i, desk.body);
    }
    struct redirect_conf c = {.to = text("/x", PLACE_PATH), .status = 302};
    desk_run(get("a.test", "/"), &canned_redirect, &c, NULL, NULL);
    assert_true(strncmp(desk.head, "302\n", 4) == 0);
    desk_close();
}

static void test_https(void **state) {
    (void)state;
    desk_open();
    desk_run(get("a.test:8080", "/b?c"), &canned_https, NULL, NULL, NULL);
    assert_true(strncmp(desk.head, "308\n", 4) == 0);
    assert_string_equal(desk_field("location"), "https://a.test/b?c");
    /* Behind a proxy that ended TLS it would come round for ever. */
    desk_trust("192.0.2.0/24");
    struct exchange *x = desk_exchange("GET", "a.test", "/", "x-forwarded-proto", "https", NULL);
    desk_run(x, &canned_https, NULL, NULL, NULL);
    assert_true(strncmp(desk.head, "404\n", 4) == 0);
    desk_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_respond), cmocka_unit_test(test_injection),
        cmocka_unit_test(test_redirect), cmocka_unit_test(test_https)};
    return cmocka_run_group_tests_name("canned", tests, NULL, NULL);
}
