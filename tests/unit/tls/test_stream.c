/* TLS over a socket pair: bytes pass unchanged however they are cut, and endings are what they are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include "certs.h"
#include "pair.h"
#include <cmocka.h>

static struct loop l;
static struct made ca, web;
static struct tls_server *server;
static struct tls_client *client;

static void told(void *ctx, const struct tls_problem *p) {
    (void)ctx;
    if (p->error)
        print_error("%s: %s\n", p->part, p->text);
}

static int begin_all(void **state) {
    (void)state;
    certs_begin();
    ca = certs_make("ca", &(struct wish){.cn = "test CA", .ca = true}, NULL);
    web = certs_make("web", &(struct wish){.cn = "web", .san = "DNS:web.test,IP:127.0.0.1"}, &ca);
    struct tls_cert_conf cert = {.certificate = span_z(web.cert_file),
                                 .private_key = span_z(web.key_file)};
    struct tls_server_conf conf = {.name = SPAN("public"), .cert = &cert, .cert_count = 1};
    struct tls_client_settings settings = {
        .ca = span_z(ca.cert_file), .offer_h2 = true, .offer_h1 = true};
    server = tls_server_create(&conf, told, NULL);
    client = tls_client_create(&settings, told, NULL);
    me = &l;
    pair_plain();
    return server && client && loop_init(&l) ? 0 : -1;
}

static int finish_all(void **state) {
    (void)state;
    tls_server_unref(server);
    tls_client_unref(client);
    loop_finish(&l);
    tls_thread_finish();
    certs_free(&ca), certs_free(&web);
    certs_finish();
    return 0;
}

static void connected(struct pair *p) {
    enum tls_step a, b;
    pair_open(p, &l);
    assert_true(tls_accept(&p->a, server));
    assert_true(tls_connect(&p->b, client, SPAN("web.test")));
    if (!pair_handshake(p, &a, &b))
        fail_msg("server: %s; client: %s", tls_failure(&p->a), tls_failure(&p->b));
}

static void bytes_pass(void **state) {
    static char text[300000];
    struct pair p;
    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7 + (i >> 8));
    connected(&p);
    assert_string_equal(tls_info_of(&p.a)->version, "TLSv1.3");
    assert_string_equal(tls_info_of(&p.a)->cipher, "TLS_AES_128_GCM_SHA256");
    assert_string_equal(tls_info_of(&p.a)->alpn, "h2");
    assert_true(pair_pass(&p.b, &p.a, "hello", 5));
    assert_true(pair_pass(&p.a, &p.b, text, sizeof text));
    assert_true(pair_pass(&p.b, &p.a, text, sizeof text));
    pair_close(&p);
}

static void resumes(void **state) {
    struct pair p;
    (void)state;
    connected(&p);
    assert_true(pair_pass(&p.a, &p.b, "hello", 5)); /* brings the ticket */
    pair_close(&p);
    connected(&p);
    assert_true(tls_info_of(&p.a)->resumed);
    pair_close(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_pass),
        cmocka_unit_test(resumes),
    };
    return cmocka_run_group_tests(tests, begin_all, finish_all);
}
