/* core/outbound: URLs that the gateway asks, and addresses that they must not lead to. */
#include "../must.h"
#include "core/outbound.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void is(struct span got, const char *wanted) {
    if (!span_eq(got, span_z(wanted)))
        fail_msg("got \"%.*s\", wanted \"%s\"", SPAN_ARG(got), wanted);
}

static void urls(void **state) {
    (void)state;
    static const struct {
        const char *url, *origin, *authority, *address, *path;
        bool tls, name, loopback;
    } rows[] = {
        {"https://a.example/k?x=1", "https://a.example", "a.example", "a.example:443", "/k?x=1", 1,
         1, 0},
        {"HTTPS://A.Example", "https://a.example", "a.example", "a.example:443", "/", 1, 1, 0},
        {"https://a.example:443/", "https://a.example", "a.example", "a.example:443", "/", 1, 1, 0},
        {"https://a:8443?q", "https://a:8443", "a:8443", "a:8443", "/?q", 1, 1, 0},
        {"http://localhost:9/", "http://localhost:9", "localhost:9", "localhost:9", "/", 0, 1, 1},
        {"http://127.0.0.1/x", "http://127.0.0.1", "127.0.0.1", "127.0.0.1:80", "/x", 0, 0, 1},
        {"https://[::1]:8/", "https://[::1]:8", "[::1]:8", "[::1]:8", "/", 1, 0, 1},
        {"https://[2001:db8::1]/", "https://[2001:db8::1]", "[2001:db8::1]", "[2001:db8::1]:443",
         "/", 1, 0, 0},
        {"http://10.0.0.1/", "http://10.0.0.1", "10.0.0.1", "10.0.0.1:80", "/", 0, 0, 0},
        {"https://a/p/@x:y", "https://a", "a", "a:443", "/p/@x:y", 1, 1, 0},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct arena a;
        struct url_origin o;
        arena_init(&a, NULL);
        const char *wrong = outbound_read(&a, span_z(rows[i].url), &o);
        if (wrong)
            fail_msg("%s: %s", rows[i].url, wrong);
        is(o.origin, rows[i].origin);
        is(o.authority, rows[i].authority);
        is(o.address_text, rows[i].address);
        is(o.path, rows[i].path);
        assert_int_equal(o.tls, rows[i].tls);
        assert_int_equal(o.name, rows[i].name);
        assert_int_equal(o.loopback, rows[i].loopback);
        assert_int_equal(o.address.len != 0, !rows[i].name);
        assert_int_equal(o.address.len ? address_port(&o.address) : o.port, o.port);
        arena_finish(&a);
    }
}

static void no_urls(void **state) {
    (void)state;
    static const char *const rows[] = {
        "",
        "a.example",
        "https://",
        "https:///x",
        "ftp://a/",
        "file:///etc/passwd",
        "https://user@a/",
        "https://user:pw@a/",
        "https://127.0.0.1@a/",
        "https://a/#f",
        "https://a b/",
        "https://a/\n",
        "https://a/\\b",
        "https://a\\@b/",
        "https://a:0/",
        "https://a:65536/",
        "https://a:/",
        "https://a:1x/",
        "https://[::1/",
        "https://[::1]x/",
        "https://[a]/",
        "https://1.2.3/",
        "https://2130706433/",
        "https://a..b/",
        "https://.a/",
        "https://a_\xc3\xa4/",
        "https://a%2f/",
        "gopher://a/",
        "//a/b",
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct arena a;
        struct url_origin o;
        arena_init(&a, NULL);
        if (!outbound_read(&a, span_z(rows[i]), &o))
            fail_msg("\"%s\" was taken for a URL", rows[i]);
        arena_finish(&a);
    }
}

static void destinations(void **state) {
    (void)state;
    static const struct {
        const char *url, *allow, *to;
        bool refused;
    } rows[] = {
        {"https://id.example/", NULL, "93.184.216.34:443", false},
        {"https://id.example/", NULL, "[2606:2800:220:1::1]:443", false},
        {"https://id.example/", NULL, "127.0.0.1:443", true},
        {"https://id.example/", NULL, "127.9.9.9:443", true},
        {"https://id.example/", NULL, "0.0.0.0:443", true},
        {"https://id.example/", NULL, "10.1.2.3:443", true},
        {"https://id.example/", NULL, "100.64.0.1:443", true},
        {"https://id.example/", NULL, "100.128.0.1:443", false},
        {"https://id.example/", NULL, "169.254.169.254:80", true},
        {"https://id.example/", NULL, "172.16.0.1:443", true},
        {"https://id.example/", NULL, "172.32.0.1:443", false},
        {"https://id.example/", NULL, "192.168.1.1:443", true},
        {"https://id.example/", NULL, "198.19.0.1:443", true},
        {"https://id.example/", NULL, "224.0.0.1:443", true},
        {"https://id.example/", NULL, "255.255.255.255:443", true},
        {"https://id.example/", NULL, "[::1]:443", true},
        {"https://id.example/", NULL, "[::]:443", true},
        {"https://id.example/", NULL, "[::ffff:127.0.0.1]:443", true},
        {"https://id.example/", NULL, "[::ffff:93.184.216.34]:443", false},
        {"https://id.example/", NULL, "[::7f00:1]:443", true},
        {"https://id.example/", NULL, "[64:ff9b::7f00:1]:443", true},
        {"https://id.example/", NULL, "[2002:7f00:1::]:443", true},
        {"https://id.example/", NULL, "[fd00:ec2::254]:443", true},
        {"https://id.example/", NULL, "[fe80::1]:443", true},
        {"https://id.example/", NULL, "[ff02::1]:443", true},
        {"https://id.example/", NULL, "unix:/run/x", true},
        /* what was allowed, and nothing beside it */
        {"https://id.example/", "10.0.0.0/8", "10.1.2.3:443", false},
        {"https://id.example/", "10.0.0.0/8", "192.168.1.1:443", true},
        {"https://id.example/", "::1", "[::1]:443", false},
        /* what stands in the URL was meant */
        {"https://10.1.2.3/", NULL, "10.1.2.3:443", false},
        {"http://127.0.0.1/", NULL, "127.0.0.1:80", false},
        {"http://localhost/", NULL, "127.0.0.1:80", false},
        {"http://localhost/", NULL, "[::1]:80", false},
        {"http://localhost/", NULL, "10.0.0.1:80", true},
        {"http://localhost.evil.example/", NULL, "127.0.0.1:80", true},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct arena a;
        struct url_origin o;
        struct address to;
        struct cidr allow;
        arena_init(&a, NULL);
        assert_null(outbound_read(&a, span_z(rows[i].url), &o));
        assert_true(address_parse(span_z(rows[i].to), &to));
        assert_true(!rows[i].allow || cidr_parse(span_z(rows[i].allow), &allow));
        struct outbound_conf conf = {.allow = &allow, .allow_count = rows[i].allow != NULL};
        struct service_conf s = {0};
        outbound_service(&a, &o, &conf, &s);
        if (outbound_refuses(&s, &to) != rows[i].refused)
            fail_msg("%s to %s: %s", rows[i].url, rows[i].to,
                     rows[i].refused ? "was let pass" : "was refused");
        arena_finish(&a);
    }
    struct address to;
    struct service_conf plain = {0}; /* a service of the file goes where it is told */
    assert_true(address_parse(SPAN("127.0.0.1:1"), &to));
    assert_false(outbound_refuses(&plain, &to));
}

/* Connections that were made while more was allowed are not used afterwards. */
static void identity(void **state) {
    (void)state;
    struct cidr allow;
    assert_true(cidr_parse(SPAN("10.0.0.0/8"), &allow));
    struct service_conf plain = {0}, guarded = {.guarded = true};
    struct service_conf allowed = {.guarded = true, .allowed = &allow, .allowed_count = 1};
    assert_true(service_identity(&plain) != service_identity(&guarded));
    assert_true(service_identity(&allowed) != service_identity(&guarded));
    assert_true(service_identity(&allowed) == service_identity(&allowed));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(no_urls),
        cmocka_unit_test(destinations),
        cmocka_unit_test(identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
