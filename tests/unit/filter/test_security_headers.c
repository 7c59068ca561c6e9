#include "filter/security_headers.h"
#include "../core/desk.h"

static struct security_headers_conf conf;

static void service_start(struct exchange *x) {
    x->resp.status = 200;
    if (hdr_find(&x->req, SPAN("x-own")).p)
        assert_int_equal(
            hdr_put(&x->resp, SPAN("x-frame-options"), SPAN("SAMEORIGIN"), ORIGIN_UPSTREAM),
            FAULT_NONE);
    body_end(&x->down_half.source, NULL);
    exchange_respond(x);
}
static const struct back_ops service = {"service", service_start, NULL, NULL};

static void run(const char *scheme, bool own) {
    struct exchange *x = own ? desk_exchange("GET", "a.test", "/x", "x-own", "1", NULL)
                             : desk_exchange("GET", "a.test", "/x", NULL);
    x->req.scheme = span_z(scheme);
    desk_run(x, &service, NULL, security_headers_policy.ops, &conf);
}

static const struct {
    struct security_headers_conf conf;
    const char *scheme;
    bool own;
    const char *hsts, *nosniff, *frame, *referrer, *content;
} rows[] = {
    {{.hsts_ms = 31536000000, .nosniff = true, .frame = 1, .referrer = SPAN("no-referrer")},
     "https",
     false,
     "max-age=31536000",
     "nosniff",
     "DENY",
     "no-referrer",
     ""},
    {{.hsts_ms = 31536000000, .nosniff = true, .frame = 1},
     "http",
     true,
     "",
     "nosniff",
     "SAMEORIGIN",
     "",
     ""},
    {{.hsts_ms = 31536000000, .subdomains = true, .preload = true, .frame = 2},
     "https",
     false,
     "max-age=31536000; includeSubDomains; preload",
     "",
     "SAMEORIGIN",
     "",
     ""},
    {{.content = SPAN("default-src 'self'")}, "https", false, "", "", "", "", "default-src 'self'"},
};

static void said(void **state) {
    (void)state;
    desk_open();
    for (size_t i = 0; i < array_len(rows); i++) {
        conf = rows[i].conf;
        assert_null(security_headers_policy.finish(&desk.snapshot->arena, &conf));
        run(rows[i].scheme, rows[i].own);
        assert_string_equal(desk_field("strict-transport-security"), rows[i].hsts);
        assert_string_equal(desk_field("x-content-type-options"), rows[i].nosniff);
        assert_string_equal(desk_field("x-frame-options"), rows[i].frame);
        assert_string_equal(desk_field("referrer-policy"), rows[i].referrer);
        assert_string_equal(desk_field("content-security-policy"), rows[i].content);
    }
    desk_close();
}

static void wrong(void **state) {
    (void)state;
    desk_open();
    const struct security_headers_conf bad[] = {{.hsts_ms = 1000, .preload = true},
                                                {.hsts_ms = 31536000000, .preload = true},
                                                {.content = SPAN("a\nb")},
                                                {.opener = SPAN("a ")}};
    for (size_t i = 0; i < array_len(bad); i++) {
        conf = bad[i];
        assert_non_null(security_headers_policy.finish(&desk.snapshot->arena, &conf));
    }
    desk_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(said), cmocka_unit_test(wrong)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
