#include "filter/csrf.h"
#include "../core/desk.h"

static struct csrf_conf conf;
static int asked;

static void service_start(struct exchange *x) {
    asked++;
    x->resp.status = 200;
    body_end(&x->down_half.source, NULL);
    exchange_respond(x);
}
static const struct back_ops service = {"service", service_start, NULL, NULL};

static void made(bool always, const char *token) {
    static const struct span pay = {"https://pay.test:8443", 21};
    conf = (struct csrf_conf){.origin = &pay,
                              .origins = 1,
                              .always = always,
                              .token = span_z(token),
                              .cookie = SPAN("c")};
    assert_null(csrf_policy.finish(&desk.snapshot->arena, &conf));
}

static void add(struct exchange *x, const char *name, const char *value) {
    if (value)
        assert_int_equal(hdr_put(&x->req, span_z(name), span_z(value), ORIGIN_CLIENT), FAULT_NONE);
}

static const struct {
    const char *method, *cookie, *site, *origin, *referer;
    bool passes;
} rows[] = {
    {"POST", "s=1", "same-origin", NULL, NULL, true},
    {"POST", "s=1", "same-origin", "http://a.test:81", NULL, true},
    {"POST", "s=1", "none", NULL, NULL, true},
    {"POST", "s=1", "same-site", NULL, NULL, false},
    {"POST", "s=1", "cross-site", NULL, NULL, false},
    {"POST", "s=1", "cross-site", "http://evil.test", NULL, false},
    {"POST", "s=1", "cross-site", "https://pay.test:8443", NULL, true},
    {"POST", "s=1", "same-origins", NULL, NULL, false},
    {"POST", "s=1", "", NULL, NULL, false},
    {"POST", "s=1", NULL, "http://a.test:81", NULL, true},
    {"POST", "s=1", NULL, "http://a.test", NULL, false},
    {"POST", "s=1", NULL, "https://a.test:81", NULL, false},
    {"POST", "s=1", NULL, "http://a.test:81.evil", NULL, false},
    {"POST", "s=1", NULL, "http://xa.test:81", NULL, false},
    {"POST", "s=1", NULL, "null", NULL, false},
    {"POST", "s=1", NULL, "http://evil.test", "http://a.test:81/x", false},
    {"POST", "s=1", NULL, NULL, "http://a.test:81/x?y", true},
    {"POST", "s=1", NULL, NULL, "http://a.test:81", true},
    {"POST", "s=1", NULL, NULL, "http://a.test:81@evil.test/", false},
    {"POST", "s=1", NULL, NULL, "http://evil.test/http://a.test:81/", false},
    {"POST", "s=1", NULL, NULL, "https://pay.test:8443/form", true},
    {"POST", "s=1", NULL, NULL, NULL, false},
    {"PUT", "s=1", NULL, NULL, NULL, false},
    {"DELETE", "s=1", NULL, NULL, NULL, false},
    {"PURGE", "s=1", NULL, NULL, NULL, false},
    {"post", "s=1", NULL, NULL, NULL, false},
    {"GET", "s=1", "cross-site", "http://evil.test", NULL, true},
    {"HEAD", "s=1", NULL, NULL, NULL, true},
    {"OPTIONS", "s=1", NULL, NULL, NULL, true},
    {"POST", NULL, "cross-site", "http://evil.test", NULL, true}, /* unless `always` */
};

static struct exchange *of_row(size_t i) {
    struct exchange *x = desk_exchange(rows[i].method, "a.test:81", "/x", NULL);
    add(x, "cookie", rows[i].cookie);
    add(x, "sec-fetch-site", rows[i].site);
    add(x, "origin", rows[i].origin);
    add(x, "referer", rows[i].referer);
    return x;
}

static void where_it_comes_from(void **state) {
    (void)state;
    desk_open();
    for (size_t i = 0; i < array_len(rows); i++) {
        made(false, "");
        asked = 0;
        desk_run(of_row(i), &service, NULL, csrf_policy.ops, &conf);
        if (asked != rows[i].passes || atoi(desk.head) != (rows[i].passes ? 200 : 403))
            fail_msg("row %zu: %s", i, desk.head);
        if (!rows[i].passes)
            assert_non_null(strstr(desk.body, "\"csrf_refused\""));
        assert_string_equal(desk_field("set-cookie"), "");
    }
    made(true, "");
    desk_run(of_row(array_len(rows) - 1), &service, NULL, csrf_policy.ops, &conf);
    assert_int_equal(atoi(desk.head), 403);
    desk_close();
}

/* A WebSocket begins with GET, and browsers send cookies along with it to anybody. */
static void websockets(void **state) {
    (void)state;
    static const struct {
        const char *origin;
        int status;
    } from[] = {{"http://a.test:81", 200}, {"http://evil.test", 403}, {NULL, 403}};
    desk_open();
    made(false, "X-T"); /* whose maker can set no header */
    for (size_t i = 0; i < array_len(from); i++) {
        struct exchange *x = desk_exchange("CONNECT", "a.test:81", "/x", "cookie", "c=1", NULL);
        x->req.protocol = SPAN("websocket");
        add(x, "origin", from[i].origin);
        desk_run(x, &service, NULL, csrf_policy.ops, &conf);
        if (atoi(desk.head) != from[i].status)
            fail_msg("%zu: %s", i, desk.head);
    }
    desk_close();
}

static void behind_a_proxy(void **state) {
    (void)state;
    desk_open();
    made(false, "");
    for (int trusted = 0; trusted < 2; trusted++) {
        if (trusted)
            desk_trust("192.0.2.0/24");
        desk_run(desk_exchange("POST", "inner.test", "/x", "cookie", "s=1", "origin",
                               "https://shop.test", "x-forwarded-proto", "https",
                               "x-forwarded-host", "shop.test", NULL),
                 &service, NULL, csrf_policy.ops, &conf);
        assert_int_equal(atoi(desk.head), trusted ? 200 : 403);
    }
    desk_close();
}

static const struct {
    const char *method, *cookie, *header;
    int status;
    bool given;
} tokens[] = {
    {"POST", "c=abc", "abc", 200, false}, {"POST", "c=abc", "abd", 403, false},
    {"POST", "c=abc", "ab", 403, false},  {"POST", "c=abc", "", 403, false},
    {"POST", "c=abc", NULL, 403, false},  {"POST", "c=", "", 403, false},
    {"POST", "s=1", "abc", 403, false},   {"GET", NULL, NULL, 200, true},
    {"GET", "c=abc", NULL, 200, false},
};

static void double_submit(void **state) {
    (void)state;
    char first[1024];
    desk_open();
    made(false, "X-T");
    for (size_t i = 0; i < array_len(tokens); i++) {
        struct exchange *x =
            desk_exchange(tokens[i].method, "a.test:81", "/x", "origin", "http://a.test:81", NULL);
        add(x, "cookie", tokens[i].cookie);
        add(x, "x-t", tokens[i].header);
        desk_run(x, &service, NULL, csrf_policy.ops, &conf);
        if (atoi(desk.head) != tokens[i].status)
            fail_msg("%zu: %s", i, desk.head);
        assert_int_equal(strncmp(desk_field("set-cookie"), "c=", 2) == 0, tokens[i].given);
        if (tokens[i].given) { /* every browser has its own */
            snprintf(first, sizeof first, "%s", desk_field("set-cookie"));
            assert_non_null(strstr(first, "; Path=/; Secure; SameSite=Lax"));
            assert_int_equal(strcspn(first + 2, ";"), 32);
            desk_run(desk_exchange("GET", "a.test:81", "/x", NULL), &service, NULL, csrf_policy.ops,
                     &conf);
            assert_string_not_equal(first, desk_field("set-cookie"));
        }
    }
    /* the right token from another site is no use either */
    desk_run(desk_exchange("POST", "a.test:81", "/x", "origin", "http://evil.test", "cookie",
                           "c=abc", "x-t", "abc", NULL),
             &service, NULL, csrf_policy.ops, &conf);
    assert_int_equal(atoi(desk.head), 403);
    desk_close();
}

static void wrong_origins(void **state) {
    (void)state;
    static const char *const wrong[] = {"pay.test", "https://pay.test/", "https://*.pay.test",
                                        "https://PAY.test", "https://"};
    desk_open();
    for (size_t i = 0; i < array_len(wrong); i++) {
        struct span s = span_z(wrong[i]);
        conf = (struct csrf_conf){.origin = &s, .origins = 1, .cookie = SPAN("c")};
        assert_non_null(csrf_policy.finish(&desk.snapshot->arena, &conf));
    }
    desk_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_it_comes_from), cmocka_unit_test(websockets),
        cmocka_unit_test(behind_a_proxy),      cmocka_unit_test(double_submit),
        cmocka_unit_test(wrong_origins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
