/* Connections to services: whom they trust, what an operator reads when they do not, what they
 * show, and when a connection made with one configuration may serve another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include "certs.h"
#include "pair.h"
#include "tls/resume.h"
#include "tls/session.h"
#include <cmocka.h>

static struct loop l;
static struct made ca, other_ca, web, person;

static void told(void *ctx, const struct tls_problem *p) {
    (void)ctx;
    if (p->error)
        print_error("%s: %s\n", p->part, p->text);
}

static int begin_all(void **state) {
    (void)state;
    certs_begin();
    ca = certs_make("ca", &(struct wish){.cn = "test CA", .ca = true}, NULL);
    other_ca = certs_make("other", &(struct wish){.cn = "other CA", .ca = true}, NULL);
    web =
        certs_make("web", &(struct wish){.cn = "web", .san = "DNS:web.test,DNS:*.wild.test"}, &ca);
    person = certs_make("person", &(struct wish){.cn = "gateway", .usage = "clientAuth"}, &ca);
    me = &l;
    return loop_init(&l) ? 0 : -1;
}

static int finish_all(void **state) {
    (void)state;
    loop_finish(&l);
    tls_thread_finish();
    certs_free(&ca), certs_free(&other_ca), certs_free(&web), certs_free(&person);
    certs_finish();
    return 0;
}

static int begin(void **state) {
    (void)state;
    pair_plain();
    return 0;
}

static struct tls_server *service(const struct made *m, const struct tls_client_conf *client) {
    struct tls_cert_conf cert = {.certificate = span_z(m->cert_file),
                                 .private_key = span_z(m->key_file)};
    struct tls_server_conf conf = {.name = SPAN("service"), .cert = &cert, .cert_count = 1};
    if (client)
        conf.client = *client;
    struct tls_server *s = tls_server_create(&conf, told, NULL);
    assert_non_null(s);
    return s;
}

static bool meet(struct pair *p, struct tls_server *s, struct tls_client *c, const char *name) {
    enum tls_step a, b;
    pair_open(p, &l);
    assert_true(tls_accept(&p->a, s));
    assert_true(tls_connect(&p->b, c, span_z(name)));
    return pair_handshake(p, &a, &b);
}

/* E10 */
static void who_is_trusted(void **state) {
    static const struct {
        const char *what;
        struct wish wish;
        const struct made *by; /* NULL: itself */
        const char *name;
        const char *refused; /* NULL: trusted */
    } row[] = {
        {"a good one", {.cn = "x", .san = "DNS:web.test"}, &ca, "web.test", NULL},
        {"another spelling", {.cn = "x", .san = "DNS:web.test"}, &ca, "WEB.test.", NULL},
        {"a wildcard", {.cn = "x", .san = "DNS:*.web.test"}, &ca, "a.web.test", NULL},
        {"a wildcard is one label",
         {.cn = "x", .san = "DNS:*.web.test"},
         &ca,
         "a.b.web.test",
         "not for a.b.web.test, but for *.web.test"},
        {"a wildcard is a whole label",
         {.cn = "x", .san = "DNS:w*.test"},
         &ca,
         "web.test",
         "not for web.test"},
        {"an address", {.cn = "x", .san = "IP:127.0.0.1,IP:::1"}, &ca, "127.0.0.1", NULL},
        {"an address of the sixth kind", {.cn = "x", .san = "IP:::1"}, &ca, "[::1]", NULL},
        {"another address", {.cn = "x", .san = "IP:127.0.0.1"}, &ca, "127.0.0.2", "not for"},
        {"an address is no name", {.cn = "x", .san = "DNS:127.0.0.1"}, &ca, "127.0.0.1", "not for"},
        {"another name",
         {.cn = "x", .san = "DNS:a.test,DNS:b.test,DNS:c.test"},
         &ca,
         "web.test",
         "not for web.test, but for a.test, b.test and others"},
        {"no name", {.cn = "x", .san = "DNS:web.test"}, &ca, "", "no name"},
        {"expired",
         {.cn = "x", .san = "DNS:web.test", .since = -9 * CERTS_DAY, .until = -CERTS_DAY},
         &ca,
         "web.test",
         "it expired on 20"},
        {"not yet",
         {.cn = "x", .san = "DNS:web.test", .since = CERTS_DAY, .until = 9 * CERTS_DAY},
         &ca,
         "web.test",
         "not valid before 20"},
        {"self-signed", {.cn = "x", .san = "DNS:web.test"}, NULL, "web.test", "self-signed"},
        {"another CA",
         {.cn = "x", .san = "DNS:web.test"},
         &other_ca,
         "web.test",
         "its issuer (/CN=other CA) is not among those trusted"},
        {"for clients alone",
         {.cn = "x", .san = "DNS:web.test", .usage = "clientAuth"},
         &ca,
         "web.test",
         "purpose"},
        {"NUL in a name", {.cn = "good.test", .nul_in_san = true}, &ca, "good.test", "for"},
        {"NUL in a name that nobody asked for",
         {.cn = "web.test", .nul_in_san = true},
         &ca,
         "web.test",
         "accepted"},
    };
    struct tls_client *strict =
        tls_client_create(&(struct tls_client_settings){.ca = span_z(ca.cert_file)}, told, NULL);
    struct tls_client *loose = tls_client_create(
        &(struct tls_client_settings){.ca = span_z(ca.cert_file), .insecure_skip_verify = true},
        told, NULL);
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        struct made m = certs_make("service", &row[i].wish, row[i].by);
        struct tls_server *s = service(&m, NULL);
        struct pair p;
        bool good = meet(&p, s, strict, row[i].name);
        if (good != !row[i].refused)
            fail_msg("%s: %s", row[i].what, tls_failure(&p.b));
        if (!good) {
            if (!strstr(tls_failure(&p.b), row[i].refused))
                fail_msg("%s: the failure is \"%s\"", row[i].what, tls_failure(&p.b));
            assert_true(tls_failure_is_verify(&p.b));
        }
        pair_close(&p);
        /* It takes the setting with the long name to let all of them pass. */
        if (!meet(&p, s, loose, row[i].name))
            fail_msg("%s, unverified: %s", row[i].what, tls_failure(&p.b));
        pair_close(&p);
        tls_server_unref(s);
        certs_free(&m);
    }
    tls_client_unref(strict);
    tls_client_unref(loose);
}

/* Nobody has put our test CA among the system's. */
static void the_system_is_asked(void **state) {
    struct tls_client *c =
        tls_client_create(&(struct tls_client_settings){.ca = SPAN_NONE}, told, NULL);
    struct tls_server *s = service(&web, NULL);
    struct pair p;
    (void)state;
    assert_non_null(c);
    assert_false(meet(&p, s, c, "web.test"));
    assert_true(tls_failure_is_verify(&p.b));
    pair_close(&p);
    tls_client_unref(c);
    tls_server_unref(s);
}

static void a_configured_name_counts(void **state) {
    struct tls_client *c = tls_client_create(
        &(struct tls_client_settings){.ca = span_z(ca.cert_file), .name = SPAN("web.test")}, told,
        NULL);
    struct tls_server *s = service(&web, NULL);
    struct pair p;
    (void)state;
    assert_true(span_eq(tls_client_name(c), SPAN("web.test")));
    assert_true(meet(&p, s, c, "10.1.2.3"));
    assert_true(span_eq(tls_info_of(&p.a)->sni, SPAN("web.test")));
    pair_close(&p);
    tls_client_unref(c);
    tls_server_unref(s);
}

static void it_shows_itself(void **state) {
    struct tls_client_conf ask = {.mode = TLS_CLIENT_REQUIRE, .ca = span_z(ca.cert_file)};
    struct tls_server *s = service(&web, &ask);
    struct tls_client_settings settings = {.ca = span_z(ca.cert_file)};
    struct pair p;
    char got[1];
    size_t k;
    (void)state;
    for (int shows = 0; shows < 2; shows++) {
        if (shows) {
            settings.certificate = span_z(person.cert_file);
            settings.private_key = span_z(person.key_file);
        }
        struct tls_client *c = tls_client_create(&settings, told, NULL);
        assert_int_equal(meet(&p, s, c, "web.test"), shows);
        if (shows) {
            assert_true(span_eq(tls_info_of(&p.a)->client->subject, SPAN("CN=gateway")));
        } else {
            if (tls_info_of(&p.b))
                assert_int_equal(p.b.ops->read(&p.b, got, 1, &k), IO_RESET);
            assert_non_null(strstr(tls_failure(&p.b), "the service refused"));
            assert_false(tls_failure_is_verify(&p.b));
        }
        pair_close(&p);
        tls_client_unref(c);
    }
    tls_server_unref(s);
}

static void versions(void **state) {
    struct tls_server *s = service(&web, NULL);
    (void)state;
    for (int least = TLS_1_2; least <= TLS_1_3; least++) {
        struct tls_client *c = tls_client_create(
            &(struct tls_client_settings){.ca = span_z(ca.cert_file), .min_version = least}, told,
            NULL);
        struct pair p;
        SSL_CTX *ctx = pair_context(c);
        SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
        assert_int_equal(meet(&p, s, c, "web.test"), least == TLS_1_2);
        pair_close(&p);
        tls_client_unref(c);
    }
    tls_server_unref(s);
}

static void not_a_service_of_tls(void **state) {
    static const struct {
        const char *bytes, *failure;
    } row[] = {
        {"HTTP/1.1 400 Bad Request\r\n\r\n", "not TLS"},
        {"220 smtp.test ESMTP\r\n", "not TLS"}, /* E11: bytes before the handshake */
        {"", "the service closed the connection in the middle of the handshake"},
    };
    struct tls_client *c =
        tls_client_create(&(struct tls_client_settings){.ca = span_z(ca.cert_file)}, told, NULL);
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        struct pair p;
        pair_open(&p, &l);
        assert_true(tls_connect(&p.b, c, SPAN("web.test")));
        if (row[i].bytes[0])
            assert_true(send(p.a.watch.fd, row[i].bytes, strlen(row[i].bytes), 0) > 0);
        else
            shutdown(p.a.watch.fd, SHUT_WR);
        assert_int_equal(tls_handshake(&l, &p.b, SPAN_NONE), TLS_FAILED);
        if (!strstr(tls_failure(&p.b), row[i].failure))
            fail_msg("the failure is \"%s\"", tls_failure(&p.b));
        assert_false(tls_failure_is_verify(&p.b));
        pair_close(&p);
    }
    tls_client_unref(c);
}

static void equal_settings_are_one_identity(void **state) {
    struct tls_client_settings base = {
        .ca = span_z(ca.cert_file), .name = SPAN("a.test"), .offer_h1 = true};
    struct tls_client_settings other[] = {base, base, base, base, base, base};
    (void)state;
    other[0].ca = span_z(other_ca.cert_file);
    other[1].name = SPAN("b.test");
    other[2].certificate = span_z(person.cert_file);
    other[2].private_key = span_z(person.key_file);
    other[3].min_version = TLS_1_3;
    other[4].insecure_skip_verify = true;
    other[5].offer_h2 = true;
    struct tls_client *one = tls_client_create(&base, told, NULL);
    struct tls_client *same = tls_client_create(&base, told, NULL);
    assert_int_equal(tls_client_identity(one), tls_client_identity(same));
    tls_client_unref(same);
    for (size_t i = 0; i < array_len(other); i++) {
        struct tls_client *c = tls_client_create(&other[i], told, NULL);
        assert_non_null(c);
        assert_true(tls_client_identity(one) != tls_client_identity(c));
        tls_client_unref(c);
    }
    /* The same path, another authority in it. */
    struct made moving = certs_make("moving", &(struct wish){.cn = "1", .ca = true}, NULL);
    base.ca = span_z(moving.cert_file);
    struct tls_client *before = tls_client_create(&base, told, NULL);
    struct made next = certs_make("moving", &(struct wish){.cn = "2", .ca = true}, NULL);
    struct tls_client *after = tls_client_create(&base, told, NULL);
    assert_true(tls_client_identity(before) != tls_client_identity(after));
    tls_client_unref(before);
    tls_client_unref(after);
    tls_client_unref(one);
    certs_free(&moving), certs_free(&next);
}

/* ---- resumption ---- */

static bool resumed(struct tls_server *s, struct tls_client *c, const char *name) {
    struct pair p;
    if (!meet(&p, s, c, name))
        fail_msg("%s: %s", name, tls_failure(&p.b));
    assert_true(pair_pass(&p.a, &p.b, "x", 1));
    bool was = tls_info_of(&p.b)->resumed;
    pair_close(&p);
    return was;
}

static void sessions_are_kept_by_name_and_trust(void **state) {
    struct tls_server *s = service(&web, NULL);
    struct tls_client_settings settings = {.ca = span_z(ca.cert_file)};
    struct tls_client *c = tls_client_create(&settings, told, NULL);
    struct tls_client *twin = tls_client_create(&settings, told, NULL);
    (void)state;
    assert_false(resumed(s, c, "a.wild.test"));
    assert_true(resumed(s, c, "a.wild.test"));
    assert_false(resumed(s, c, "b.wild.test"));
    assert_true(resumed(s, c, "a.wild.test"));
    assert_false(resumed(s, twin, "a.wild.test"));
    tls_client_unref(c);
    tls_client_unref(twin);
    tls_server_unref(s);
}

/* A session that the former authority vouched for is not resumed under the next. */
static void sessions_end_with_their_trust(void **state) {
    struct made moving = certs_make("moving", &(struct wish){.cn = "test CA", .ca = true}, NULL);
    struct made m =
        certs_make("service", &(struct wish){.cn = "x", .san = "DNS:web.test"}, &moving);
    struct tls_server *s = service(&m, NULL);
    struct tls_client_settings settings = {.ca = span_z(moving.cert_file)};
    struct tls_client *c = tls_client_create(&settings, told, NULL);
    struct pair p;
    (void)state;
    assert_false(resumed(s, c, "web.test"));
    assert_true(resumed(s, c, "web.test"));
    assert_int_equal(tls_client_refresh(c, told, NULL), 0);
    struct made next = certs_make("moving", &(struct wish){.cn = "test CA", .ca = true}, NULL);
    assert_int_equal(tls_client_refresh(c, told, NULL), 1);
    assert_false(meet(&p, s, c, "web.test"));
    pair_close(&p);
    certs_write(moving.cert_file, "nothing", 7, 0644);
    assert_int_equal(tls_client_refresh(c, NULL, NULL), 0);
    assert_int_equal(tls_client_refresh(c, NULL, NULL), -1);
    assert_int_equal(tls_client_refresh(c, NULL, NULL), 0);
    tls_client_unref(c);
    tls_server_unref(s);
    certs_free(&moving), certs_free(&next), certs_free(&m);
}

static SSL_SESSION *some_session(void) {
    SSL_SESSION *s = SSL_SESSION_new();
    must(s && SSL_SESSION_set1_id(s, (const unsigned char *)"id", 2));
    return s;
}

static void few_are_kept(void **state) {
    struct resume_key *key[RESUME_MAX + 3];
    (void)state;
    for (size_t i = 0; i < array_len(key); i++) {
        char name[20];
        snprintf(name, sizeof name, "%zu.test", i);
        key[i] = resume_key_create(12345, span_z(name));
        resume_put(key[i], some_session());
        assert_non_null(resume_get(key[0])); /* it is used, so it stays */
        assert_non_null(resume_get(key[i]));
    }
    assert_null(resume_get(key[1]));
    assert_non_null(resume_get(key[0]));
    assert_non_null(resume_get(key[10]));
    SSL_SESSION *other = some_session();
    resume_put(key[10], other);
    assert_ptr_equal(resume_get(key[10]), other);
    for (size_t i = 0; i < array_len(key); i++)
        resume_key_free(key[i]);
    resume_finish();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_is_trusted, begin),
        cmocka_unit_test_setup(the_system_is_asked, begin),
        cmocka_unit_test_setup(a_configured_name_counts, begin),
        cmocka_unit_test_setup(it_shows_itself, begin),
        cmocka_unit_test_setup(versions, begin),
        cmocka_unit_test_setup(not_a_service_of_tls, begin),
        cmocka_unit_test_setup(equal_settings_are_one_identity, begin),
        cmocka_unit_test_setup(sessions_are_kept_by_name_and_trust, begin),
        cmocka_unit_test_setup(sessions_end_with_their_trust, begin),
        cmocka_unit_test_setup(few_are_kept, begin),
    };
    return cmocka_run_group_tests(tests, begin_all, finish_all);
}
