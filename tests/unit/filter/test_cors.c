#include "filter/cors.h"
#include "../core/desk.h"
#include "data/regex.h"

static struct cors_conf conf;

/* "a b c" */
static const struct span *list(const char *text, uint32_t *count) {
    struct span *out = arena_zero(&desk.snapshot->arena, 16 * sizeof *out);
    struct span rest = span_z(text);
    *count = 0;
    while (rest.n)
        out[(*count)++] = span_split(&rest, ' ');
    return out;
}

static const char *made(const char *origins, const char *methods, const char *headers,
                        const char *expose, bool credentials) {
    conf = (struct cors_conf){.credentials = credentials, .max_age_ms = 600000};
    if (origins[0] == '~') { /* a pattern may hold blanks */
        struct span *one = arena_zero(&desk.snapshot->arena, sizeof *one);
        *one = span_z(origins);
        conf.origin = one;
        conf.origin_count = 1;
    } else {
        conf.origin = list(origins, &conf.origin_count);
    }
    conf.method = list(methods, &conf.method_count);
    conf.header = list(headers, &conf.header_count);
    conf.expose = list(expose, &conf.expose_count);
    return cors_policy.finish(&desk.snapshot->arena, &conf);
}

static void one(void *ctx, struct regex *r) {
    (void)ctx;
    regex_free(r);
}
static void drop(void) {
    cors_policy.regexes(&conf, one, NULL);
    conf.origins.patterns = 0;
}

/* F25 */
static const struct {
    const char *origins, *origin;
    bool want;
} origins[] = {
    {"https://good.test", "https://good.test", true},
    {"https://good.test", "http://good.test", false},
    {"https://good.test", "https://good.test.evil", false},
    {"https://good.test", "https://evil-good.test", false},
    {"https://good.test", "https://goodXtest", false},
    {"https://good.test", "https://good.test:8443", false},
    {"https://good.test", "https://good.test/", false},
    {"https://good.test", "https://GOOD.test", false},
    {"https://good.test", "null", false},
    {"https://good.test", "", false},
    {"https://a.test https://b.test:8443 https://c.test", "https://b.test:8443", true},
    {"https://a.test https://b.test:8443 https://c.test", "https://b.test", false},
    {"https://*.good.test", "https://a.good.test", true},
    {"https://*.good.test", "https://a.b.good.test", true},
    {"https://*.good.test", "https://good.test", false},
    {"https://*.good.test", "https://.good.test", false},
    {"https://*.good.test", "https://a..good.test", false},
    {"https://*.good.test", "https://evilgood.test", false},
    {"https://*.good.test", "https://a.good.test.evil", false},
    {"https://*.good.test", "https://evil.com/.good.test", false},
    {"https://*.good.test", "https://evil.com:1.good.test", false},
    {"https://*.good.test", "https://u@.good.test", false},
    {"https://*.good.test", "http://a.good.test", false},
    {"http://localhost:*", "http://localhost:3000", true},
    {"http://localhost:*", "http://localhost", false},
    {"http://localhost:*", "http://localhost:", false},
    {"http://localhost:*", "http://localhost:3000.evil", false},
    {"http://localhost:*", "http://evil:localhost:1", false},
    {"https://*.good.test:*", "https://a.good.test:81", true},
    {"https://*.good.test:*", "https://good.test:81", false},
    {"~ https://good[.]test", "https://good.test", true},
    {"~ https://good[.]test", "https://good.test.evil", false},
    {"~ https://good[.]test", "xhttps://good.test", false},
    {"~ https://a[.]test|https://b[.]test", "https://b.test.evil", false},
    {"~ https://a[.]test|https://b[.]test", "https://evil?https://b.test", false},
    {"~ https://a[.]test|https://b[.]test", "https://b.test", true},
    {"null", "null", true},
    {"null", "https://a.test", false},
    {"*", "https://any.test", true},
    {"*", "null", true},
};

static void which_origins(void **state) {
    (void)state;
    desk_open();
    for (size_t i = 0; i < array_len(origins); i++) {
        const char *why = made(origins[i].origins, "", "", "", false);
        if (why)
            fail_msg("%s: %s", origins[i].origins, why);
        if (cors_allows(&conf, span_z(origins[i].origin)) != origins[i].want)
            fail_msg("%s: %s", origins[i].origins, origins[i].origin);
        drop();
    }
    desk_close();
}

static const struct {
    const char *origins, *methods, *expose;
    bool credentials;
    const char *why;
} wrong[] = {
    {"", "", "", false, "needs `origins`"},
    {"*", "", "", true, "\"*\"` would show"},
    {"* https://a.test", "", "", false, "nothing else"},
    {"null", "", "", true, "sandboxed"},
    {"~ .*", "", "", true, "every origin fits"},
    {"~ https?://.+", "", "", true, "every origin fits"},
    {"https://a.test", "", "*", true, "a header called *"},
    {"a.test", "", "", false, "scheme://host"},
    {"https://a.test/", "", "", false, "no path"},
    {"https://a.test/x", "", "", false, "no path"},
    {"https://A.test", "", "", false, "small letters"},
    {"https://a.test:443", "", "", false, "usual port"},
    {"http://a.test:80", "", "", false, "usual port"},
    {"https://a*.test", "", "", false, "a star stands"},
    {"https://a.*", "", "", false, "a star stands"},
    {"https://*", "", "", false, "a star stands"},
    {"*.a.test", "", "", false, "a star stands"},
    {"~ (", "", "", false, "`~ (`"},
    {"~ a)|(b", "", "", false, "`~ a)|(b`"},
    {"https://a.test", "GET,POST", "", false, "no name"},
};

static void refused_when_read(void **state) {
    (void)state;
    desk_open();
    for (size_t i = 0; i < array_len(wrong); i++) {
        const char *why =
            made(wrong[i].origins, wrong[i].methods, "", wrong[i].expose, wrong[i].credentials);
        if (!why || !strstr(why, wrong[i].why))
            fail_msg("%s: %s", wrong[i].origins, why ? why : "accepted");
        drop();
    }
    desk_close();
}

static int asked;
static void service_start(struct exchange *x) {
    asked++;
    x->resp.status = 200;
    assert_int_equal(
        hdr_put(&x->resp, SPAN("access-control-allow-origin"), SPAN("*"), ORIGIN_UPSTREAM),
        FAULT_NONE);
    assert_int_equal(hdr_put(&x->resp, SPAN("access-control-allow-x"), SPAN("y"), ORIGIN_UPSTREAM),
                     FAULT_NONE);
    assert_int_equal(hdr_put(&x->resp, SPAN("vary"), SPAN("Accept"), ORIGIN_UPSTREAM), FAULT_NONE);
    body_end(&x->down_half.source, NULL);
    exchange_respond(x);
}
static const struct back_ops service = {"service", service_start, NULL, NULL};

static void run(struct exchange *x) {
    asked = 0;
    desk_run(x, &service, NULL, cors_policy.ops, &conf);
}

static struct exchange *preflight(const char *origin, const char *method, const char *headers) {
    return headers ? desk_exchange("OPTIONS", "a.test", "/x", "origin", origin,
                                   "access-control-request-method", method,
                                   "access-control-request-headers", headers, NULL)
                   : desk_exchange("OPTIONS", "a.test", "/x", "origin", origin,
                                   "access-control-request-method", method, NULL);
}

static const struct {
    const char *methods, *headers, *origin, *method, *asks;
    int status;
    const char *allow_methods, *allow_headers;
} flights[] = {
    {"", "", "https://a.test", "POST", NULL, 204, "POST", ""},
    {"", "", "https://a.test", "PURGE", "X-A, x-b", 204, "PURGE", "X-A,x-b"},
    {"GET PUT", "x-a", "https://a.test", "PUT", "X-A,accept", 204, "GET, PUT", "x-a"},
    {"GET PUT", "x-a", "https://a.test", "PUT", NULL, 204, "GET, PUT", "x-a"},
    {"GET PUT", "x-a", "https://a.test", "put", NULL, 403, "", ""},
    {"GET PUT", "x-a", "https://a.test", "DELETE", NULL, 403, "", ""},
    {"GET PUT", "x-a", "https://a.test", "PUT", "x-a, x-b", 403, "", ""},
    {"", "", "https://a.test", "P T", NULL, 403, "", ""},
    {"", "", "https://a.test", "GET", "x a", 403, "", ""},
    {"", "", "https://b.test", "GET", NULL, 403, "", ""},
    {"", "", "null", "GET", NULL, 403, "", ""},
};

static void preflights(void **state) {
    (void)state;
    desk_open();
    for (size_t i = 0; i < array_len(flights); i++) {
        assert_null(made("https://a.test", flights[i].methods, flights[i].headers, "x-e", true));
        run(preflight(flights[i].origin, flights[i].method, flights[i].asks));
        bool ok = flights[i].status == 204;
        if (atoi(desk.head) != flights[i].status)
            fail_msg("%zu: %s", i, desk.head);
        assert_int_equal(asked, 0);
        assert_string_equal(desk_field("access-control-allow-origin"), ok ? "https://a.test" : "");
        assert_string_equal(desk_field("access-control-allow-credentials"), ok ? "true" : "");
        assert_string_equal(desk_field("access-control-max-age"), ok ? "600" : "");
        assert_string_equal(desk_field("access-control-allow-methods"), flights[i].allow_methods);
        assert_string_equal(desk_field("access-control-allow-headers"), flights[i].allow_headers);
        assert_true(!ok || strstr(desk_field("vary"), "Origin"));
    }
    desk_close();
}

static void private_network(void **state) {
    (void)state;
    desk_open();
    for (int on = 0; on < 2; on++) {
        assert_null(made("https://a.test", "", "", "", false));
        conf.private_network = on;
        run(desk_exchange("OPTIONS", "a.test", "/x", "origin", "https://a.test",
                          "access-control-request-method", "GET",
                          "access-control-request-private-network", "true", NULL));
        assert_string_equal(desk_field("access-control-allow-private-network"), on ? "true" : "");
        assert_string_equal(desk_field("access-control-allow-credentials"), "");
    }
    desk_close();
}

static const struct {
    const char *origins, *method, *origin, *allow, *expose, *vary;
} answers[] = {
    {"https://a.test", "GET", "https://a.test", "https://a.test", "x-e", "Accept"},
    {"https://a.test", "GET", "https://b.test", "", "", "Accept"},
    {"https://a.test", "GET", NULL, "", "", "Accept"},
    {"https://a.test", "OPTIONS", "https://a.test", "https://a.test", "x-e", "Accept"},
    {"*", "GET", "https://b.test", "*", "x-e", "Accept"},
};

static void other_answers(void **state) {
    (void)state;
    desk_open();
    for (size_t i = 0; i < array_len(answers); i++) {
        assert_null(made(answers[i].origins, "", "", "x-e", false));
        run(answers[i].origin ? desk_exchange(answers[i].method, "a.test", "/x", "origin",
                                              answers[i].origin, NULL)
                              : desk_exchange(answers[i].method, "a.test", "/x", NULL));
        assert_int_equal(asked, 1);
        assert_string_equal(desk_field("access-control-allow-origin"), answers[i].allow);
        assert_string_equal(desk_field("access-control-expose-headers"), answers[i].expose);
        assert_string_equal(desk_field("access-control-allow-x"), "");
        assert_string_equal(desk_field("vary"), answers[i].vary);
        assert_int_equal(strstr(desk.head, "\nvary: Origin\n") != NULL,
                         answers[i].origins[0] != '*');
    }
    desk_close();
}

static void unanswered_start(struct exchange *x) {
    asked++;
    exchange_fail(x, FAULT_CONNECT_FAILED, NULL);
}
static const struct back_ops unanswered = {"unanswered", unanswered_start, NULL, NULL};

/* A script must be able to read why it failed. */
static void errors_carry_it(void **state) {
    (void)state;
    desk_open();
    assert_null(made("https://a.test", "", "", "", false));
    desk_run(desk_exchange("GET", "a.test", "/x", "origin", "https://a.test", NULL), &unanswered,
             NULL, cors_policy.ops, &conf);
    assert_memory_equal(desk.head, "502", 3);
    assert_string_equal(desk_field("access-control-allow-origin"), "https://a.test");
    desk_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_origins), cmocka_unit_test(refused_when_read),
        cmocka_unit_test(preflights),    cmocka_unit_test(private_network),
        cmocka_unit_test(other_answers), cmocka_unit_test(errors_carry_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
