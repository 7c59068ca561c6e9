#include "core/forward.h"
#include "desk.h"

static const char *text_of(struct span s) {
    static char text[2048];
    snprintf(text, sizeof text, "%.*s", SPAN_ARG(s));
    return text;
}

static const char *sent(struct exchange *x, enum hdr_id id) {
    struct field out[FORWARD_FIELDS_MAX];
    size_t n = forward_fields(x, out, FORWARD_FIELDS_MAX);
    for (size_t i = 0; i < n; i++)
        if (out[i].id == id)
            return text_of(field_value(&out[i]));
    return "-";
}

static const char *client(const struct exchange *x) {
    static char text[ADDRESS_TEXT_MAX + 1];
    struct span s = address_text(&x->facts.client, text, false);
    text[s.n] = 0;
    memmove(text, s.p, s.n);
    return text;
}

/* Who the client is, and what the next hop is told (THREATS.md C08). */
static const struct {
    const char *peer, *name, *value, *client, *sent;
} walks[] = {
    {"192.0.2.9", "x-forwarded-for", "1.2.3.4", "192.0.2.9", "192.0.2.9"}, /* not trusted */
    {"10.0.0.1", "accept", "*/*", "10.0.0.1", "10.0.0.1"},
    {"10.0.0.1", "x-forwarded-for", "1.2.3.4", "1.2.3.4", "1.2.3.4, 10.0.0.1"},
    {"10.0.0.1", "x-forwarded-for", "6.6.6.6, 1.2.3.4", "1.2.3.4", "1.2.3.4, 10.0.0.1"},
    {"10.0.0.1", "x-forwarded-for", "6.6.6.6, 1.2.3.4,10.9.9.9 , 10.8.8.8", "1.2.3.4",
     "1.2.3.4, 10.9.9.9, 10.8.8.8, 10.0.0.1"},
    {"10.0.0.1", "x-forwarded-for", "10.1.1.1, 10.2.2.2", "10.1.1.1",
     "10.1.1.1, 10.2.2.2, 10.0.0.1"},
    {"10.0.0.1", "x-forwarded-for", "1.2.3.4, garbage", "10.0.0.1", "10.0.0.1"},
    {"10.0.0.1", "x-forwarded-for", "1.2.3.4, garbage, 10.2.2.2", "10.2.2.2", "10.2.2.2, 10.0.0.1"},
    {"10.0.0.1", "x-forwarded-for", "1.2.3.4,", "10.0.0.1", "10.0.0.1"},
    {"10.0.0.1", "x-forwarded-for", "", "10.0.0.1", "10.0.0.1"},
    {"10.0.0.1", "x-forwarded-for", "1.2.3.4:5678", "1.2.3.4", "1.2.3.4, 10.0.0.1"},
    {"10.0.0.1", "x-forwarded-for", "[2001:db8::1]:443", "2001:db8::1", "2001:db8::1, 10.0.0.1"},
    {"10.0.0.1", "x-forwarded-for", "2001:db8::1", "2001:db8::1", "2001:db8::1, 10.0.0.1"},
    {"10.0.0.1", "x-forwarded-for", "unix:/tmp/x", "10.0.0.1", "10.0.0.1"},
    {"10.0.0.1", "x-forwarded-for", "1.2.3.4\tx", "10.0.0.1", "10.0.0.1"},
    {"10.0.0.1", "x-forwarded-for", "1.2.3.400", "10.0.0.1", "10.0.0.1"},
    {"10.0.0.1", "forwarded", "for=1.2.3.4;proto=https", "1.2.3.4", "1.2.3.4, 10.0.0.1"},
    {"10.0.0.1", "forwarded", "For=\"[2001:db8::1]:99\"", "2001:db8::1", "2001:db8::1, 10.0.0.1"},
    {"10.0.0.1", "forwarded", "for=6.6.6.6, proto=http; for=1.2.3.4, for=10.3.3.3", "1.2.3.4",
     "1.2.3.4, 10.3.3.3, 10.0.0.1"},
    {"10.0.0.1", "forwarded", "for=1.2.3.4, for=unknown", "10.0.0.1", "10.0.0.1"},
    {"10.0.0.1", "forwarded", "for=1.2.3.4, host=\"a,for=6.6.6.6\"", "10.0.0.1", "10.0.0.1"},
    {"10.0.0.1", "forwarded", "by=1.2.3.4", "10.0.0.1", "10.0.0.1"},
};

static void test_walks(void **state) {
    (void)state;
    desk_open();
    desk_trust("10.0.0.0/8");
    for (size_t i = 0; i < array_len(walks); i++) {
        struct exchange *x =
            desk_exchange("GET", "a.test", "/", walks[i].name, walks[i].value, NULL);
        desk_peer(x, walks[i].peer);
        assert_int_equal(forward_prepare(x), FAULT_NONE);
        if (strcmp(client(x), walks[i].client) != 0)
            fail_msg("%s: client %s", walks[i].value, client(x));
        assert_string_equal(sent(x, HDR_X_FORWARDED_FOR), walks[i].sent);
        assert_false(hdr_has(&x->req, HDR_X_FORWARDED_FOR));
        assert_false(hdr_has(&x->req, HDR_FORWARDED));
        desk_drop(x);
    }
    desk_close();
}

/* Several fields are one list; more hops than a chain can have are not walked. */
static void test_many(void **state) {
    (void)state;
    char room[4096];
    struct str list = str_on(room, sizeof room - 1);
    desk_open();
    desk_trust("10.0.0.0/8");
    struct exchange *x = desk_exchange("GET", "a.test", "/", "x-forwarded-for", "1.1.1.1, 2.2.2.2",
                                       "x-forwarded-for", "10.7.7.7", NULL);
    desk_peer(x, "10.0.0.1");
    assert_int_equal(forward_prepare(x), FAULT_NONE);
    assert_string_equal(client(x), "2.2.2.2");
    desk_drop(x);
    str_lit(&list, "1.2.3.4");
    for (int i = 0; i < 200; i++)
        str_lit(&list, ", 10.1.1.1");
    room[list.n] = 0;
    x = desk_exchange("GET", "a.test", "/", "x-forwarded-for", room, NULL);
    desk_peer(x, "10.0.0.1");
    assert_int_equal(forward_prepare(x), FAULT_NONE);
    assert_string_equal(client(x), "10.1.1.1");
    assert_true(strlen(sent(x, HDR_X_FORWARDED_FOR)) < 33 * 10);
    desk_drop(x);
    desk_close();
}

static void test_fields(void **state) {
    (void)state;
    desk_open();
    struct exchange *x = desk_exchange("GET", "Shop.Test:8080", "/", NULL);
    assert_int_equal(forward_prepare(x), FAULT_NONE);
    assert_string_equal(sent(x, HDR_VIA), "1.1 sluice");
    assert_string_equal(sent(x, HDR_X_FORWARDED_PROTO), "http");
    assert_string_equal(sent(x, HDR_X_FORWARDED_HOST), "shop.test:8080");
    assert_string_equal(sent(x, HDR_FORWARDED), "for=192.0.2.9;host=\"shop.test:8080\";proto=http");
    assert_string_equal(sent(x, HDR_X_REQUEST_ID), "00ff-1");
    struct field out[FORWARD_FIELDS_MAX];
    assert_int_equal(forward_fields(x, out, FORWARD_FIELDS_MAX), FORWARD_FIELDS_MAX - 1);

    /* A client's certificate, but only a verified one. */
    struct tls_client_cert cert = {.pem = SPAN("-----BEGIN%20CERTIFICATE"), .verified = true};
    struct tls_info info = {.client = &cert};
    x->facts.tls = &info;
    assert_string_equal(sent(x, HDR_X_CLIENT_CERT), "-----BEGIN%20CERTIFICATE");
    assert_int_equal(forward_fields(x, out, FORWARD_FIELDS_MAX), FORWARD_FIELDS_MAX);
    cert.verified = false;
    assert_int_equal(forward_fields(x, out, FORWARD_FIELDS_MAX), FORWARD_FIELDS_MAX - 1);
    desk_drop(x);

    x = desk_exchange("GET", "", "/", NULL);
    x->facts.http_minor = 10;
    desk_peer(x, "2001:db8::7");
    assert_int_equal(forward_prepare(x), FAULT_NONE);
    assert_string_equal(sent(x, HDR_VIA), "1.0 sluice");
    assert_string_equal(sent(x, HDR_X_FORWARDED_HOST), "-");
    assert_string_equal(sent(x, HDR_FORWARDED), "for=\"[2001:db8::7]\";proto=http");
    assert_string_equal(sent(x, HDR_X_REQUEST_ID), "00ff-2");
    desk_drop(x);

    x = desk_exchange("GET", "a.test", "/", NULL);
    desk_peer(x, "unix:/run/x");
    assert_int_equal(forward_prepare(x), FAULT_NONE);
    assert_string_equal(sent(x, HDR_X_FORWARDED_FOR), "unknown");
    assert_string_equal(sent(x, HDR_FORWARDED), "for=unknown;host=\"a.test\";proto=http");
    desk_drop(x);
    desk_close();
}

/* A trusted proxy's words on scheme and host, and nonsense in them. */
static const struct {
    const char *name, *value, *proto, *host;
} words[] = {
    {"x-forwarded-proto", "https", "https", "a.test"},
    {"x-forwarded-proto", "http, https", "https", "a.test"},
    {"x-forwarded-proto", "javascript", "http", "a.test"},
    {"forwarded", "for=1.1.1.1;proto=http, for=2.2.2.2;proto=https", "https", "a.test"},
    {"x-forwarded-host", "front.test:444", "http", "front.test:444"},
    {"x-forwarded-host", "evil.test/x", "http", "a.test"},
    {"x-forwarded-host", "evil\"x", "http", "a.test"},
};

static void test_words(void **state) {
    (void)state;
    desk_open();
    desk_trust("10.0.0.0/8");
    for (size_t i = 0; i < array_len(words); i++)
        for (int trusted = 0; trusted < 2; trusted++) {
            struct exchange *x =
                desk_exchange("GET", "a.test", "/", words[i].name, words[i].value, NULL);
            desk_peer(x, trusted ? "10.0.0.1" : "11.0.0.1");
            assert_int_equal(forward_prepare(x), FAULT_NONE);
            assert_string_equal(sent(x, HDR_X_FORWARDED_PROTO), trusted ? words[i].proto : "http");
            assert_string_equal(sent(x, HDR_X_FORWARDED_HOST), trusted ? words[i].host : "a.test");
            desk_drop(x);
        }
    desk_close();
}

/* C09, C10: what only a proxy may say, and what nobody may. */
static void test_stripped(void **state) {
    (void)state;
    static const char *const proxy_only[] = {
        "x-real-ip",        "x-forwarded-prefix", "x-forwarded-port", "true-client-ip",
        "cf-connecting-ip", "x-original-url",     "x-rewrite-url",    "x-forwarded-uri"};
    static const char *const nobody[] = {"x-user-id", "x-forwarded-client-cert", "proxy",
                                         "x-http-method-override"};
    desk_open();
    desk_trust("10.0.0.0/8");
    for (int trusted = 0; trusted < 2; trusted++) {
        struct exchange *x = desk_exchange("GET", "a.test", "/", "accept", "*/*", NULL);
        desk_peer(x, trusted ? "10.0.0.1" : "11.0.0.1");
        for (size_t i = 0; i < array_len(proxy_only); i++)
            assert_int_equal(hdr_put(&x->req, span_z(proxy_only[i]), SPAN("1"), ORIGIN_CLIENT), 0);
        for (size_t i = 0; i < array_len(nobody); i++)
            assert_int_equal(hdr_put(&x->req, span_z(nobody[i]), SPAN("1"), ORIGIN_CLIENT), 0);
        assert_int_equal(forward_prepare(x), FAULT_NONE);
        assert_int_equal(x->req.count, trusted ? 1 + array_len(proxy_only) : 1);
        desk_drop(x);
    }
    desk_close();
}

/* C05: names that the configuration sets for services, in every spelling, every copy. */
static void test_identity(void **state) {
    (void)state;
    static const struct span identity[] = {{"x-shop-user", 11}, {"x-plan", 6}};
    desk_open();
    desk_trust("0.0.0.0/0");
    desk.snapshot->identity = identity;
    desk.snapshot->identity_count = 2;
    struct exchange *x = desk_exchange("GET", "a.test", "/", "x-shop-user", "a", "accept", "1",
                                       "x_shop_user", "b", "x-shop-user", "c", "x-shop_user", "d",
                                       "x-plan", "e", "x-shop-users", "f", NULL);
    assert_int_equal(forward_prepare(x), FAULT_NONE);
    assert_int_equal(x->req.count, 2);
    assert_true(hdr_find(&x->req, SPAN("accept")).p != NULL);
    assert_true(hdr_find(&x->req, SPAN("x-shop-users")).p != NULL);
    assert_int_equal(atomic_load(&desk.thread.counters.identity_headers_stripped), 5);
    desk_drop(x);
    desk_close();
}

static const struct {
    const char *id;
    bool trusted, kept;
} ids[] = {
    {"abc-123", true, true},
    {"abc-123", false, false},
    {"a b", true, false},
    {"", true, false},
    {"a\"b", true, false},
    {"\xc3\xa4", true, false},
    {"0123456789012345678901234567890123456789012345678901234567890123", true, false}, /* 64 */
    {"012345678901234567890123456789012345678901234567890123456789012", true, true},
};

static void test_ids(void **state) {
    (void)state;
    desk_open();
    desk_trust("10.0.0.0/8");
    for (size_t i = 0; i < array_len(ids); i++) {
        struct exchange *x = desk_exchange("GET", "a.test", "/", "x-request-id", ids[i].id, NULL);
        desk_peer(x, ids[i].trusted ? "10.0.0.1" : "11.0.0.1");
        assert_int_equal(forward_prepare(x), FAULT_NONE);
        char made[64];
        snprintf(made, sizeof made, "00ff-%zx", i + 1); /* the number moves on in any case */
        assert_string_equal(sent(x, HDR_X_REQUEST_ID), ids[i].kept ? ids[i].id : made);
        assert_false(hdr_has(&x->req, HDR_X_REQUEST_ID));
        desk_drop(x);
    }
    desk_close();
}

static const struct {
    const char *name, *value;
    enum fault want;
} loops[] = {
    {"via", "1.1 sluice, 1.1 sluice, 1.1 sluice, 1.1 sluice, 1.1 sluice", FAULT_NONE},
    {"via", "1.1 sluice, 1.1 sluice, 1.0 Sluice (x), 2 sluice,1.1 sluice,  1.1 sluice",
     FAULT_LOOP_DETECTED},
    {"via", "1.1 a, 1.1 b, 1.1 c, 1.1 d, 1.1 e, 1.1 f, 1.1 sluice", FAULT_NONE},
    {"via", "1.1 sluices, 1.1 sluices, 1.1 sluices, 1.1 sluices, 1.1 sluices, 1.1 sluices",
     FAULT_NONE},
    {"cdn-loop", "sluice, sluice; a=b, sluice, sluice, sluice, sluice", FAULT_LOOP_DETECTED},
};

static void test_loops(void **state) {
    (void)state;
    desk_open();
    for (size_t i = 0; i < array_len(loops); i++) {
        struct exchange *x =
            desk_exchange("GET", "a.test", "/", loops[i].name, loops[i].value, NULL);
        assert_int_equal(forward_prepare(x), loops[i].want);
        desk_drop(x);
    }
    desk_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walks),    cmocka_unit_test(test_many),
        cmocka_unit_test(test_fields),   cmocka_unit_test(test_words),
        cmocka_unit_test(test_stripped), cmocka_unit_test(test_identity),
        cmocka_unit_test(test_ids),      cmocka_unit_test(test_loops),
    };
    return cmocka_run_group_tests_name("forward", tests, NULL, NULL);
}
