/* Listeners: which certificate is shown to whom, what is agreed on, which sessions resume, who
 * comes in, and files that change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include "certs.h"
#include "pair.h"
#include "tls/session.h"
#include <pthread.h>
#include <stdatomic.h>
#include <cmocka.h>

static struct loop l;
static struct made ca, mid, alpha, alpha_rsa, wild, beta, person, other_ca, stranger;
static struct tls_client *any; /* verifies nothing */

static void told(void *ctx, const struct tls_problem *p) {
    (void)ctx;
    if (p->error)
        print_error("certificate %d, %s: %s\n", p->cert, p->part, p->text);
}

static int begin_all(void **state) {
    const struct made *chain[] = {&mid, NULL};
    (void)state;
    certs_begin();
    ca = certs_make("ca", &(struct wish){.cn = "test CA", .ca = true}, NULL);
    mid = certs_make("mid", &(struct wish){.cn = "test intermediate", .ca = true}, &ca);
    other_ca = certs_make("other", &(struct wish){.cn = "other CA", .ca = true}, NULL);
    alpha = certs_make("alpha", &(struct wish){.cn = "alpha", .san = "DNS:alpha.test"}, &ca);
    alpha_rsa = certs_make(
        "alpha_rsa", &(struct wish){.cn = "alpha", .san = "DNS:alpha.test", .rsa = 2048}, &ca);
    wild = certs_make("wild", &(struct wish){.cn = "wild", .san = "DNS:*.wild.test,DNS:Wild.test"},
                      &ca);
    beta = certs_issue(&(struct wish){.cn = "beta", .san = "DNS:beta.test"}, &mid);
    certs_save(&beta, "beta", chain);
    person = certs_make("person",
                        &(struct wish){.cn = "ann, of \"shop\"",
                                       .san = "URI:spiffe://test/ann,DNS:ann.test,email:a@b.test",
                                       .usage = "clientAuth"},
                        &ca);
    stranger =
        certs_make("stranger", &(struct wish){.cn = "eve", .usage = "clientAuth"}, &other_ca);
    me = &l;
    any =
        tls_client_create(&(struct tls_client_settings){.insecure_skip_verify = true}, told, NULL);
    return any && loop_init(&l) ? 0 : -1;
}

static int finish_all(void **state) {
    struct made *all[] = {&ca,   &mid,    &alpha,    &alpha_rsa, &wild,
                          &beta, &person, &other_ca, &stranger};
    (void)state;
    tls_client_unref(any);
    loop_finish(&l);
    tls_thread_finish();
    for (size_t i = 0; i < array_len(all); i++)
        certs_free(all[i]);
    certs_finish();
    return 0;
}

static int begin(void **state) {
    (void)state;
    pair_plain();
    return 0;
}

static struct tls_cert_conf files(const struct made *m) {
    return (struct tls_cert_conf){.certificate = span_z(m->cert_file),
                                  .private_key = span_z(m->key_file)};
}

static struct tls_server *listener(const struct tls_server_conf *like,
                                   const struct made *const *cert) {
    struct tls_cert_conf c[8];
    struct tls_server_conf conf = like ? *like : (struct tls_server_conf){.name = SPAN("public")};
    for (; *cert; cert++)
        c[conf.cert_count++] = files(*cert);
    conf.cert = c;
    struct tls_server *s = tls_server_create(&conf, told, NULL);
    assert_non_null(s);
    return s;
}
#define LISTENER(like, ...) listener((like), (const struct made *const[]){__VA_ARGS__, NULL})

static bool meet(struct pair *p, struct tls_server *s, struct tls_client *c, const char *name) {
    enum tls_step a, b;
    pair_open(p, &l);
    assert_true(tls_accept(&p->a, s));
    assert_true(tls_connect(&p->b, c, span_z(name)));
    return pair_handshake(p, &a, &b);
}

static SSL *ssl_of(const struct stream *s) {
    return ((struct session *)s->layer)->ssl;
}

static bool shown(const struct pair *p, const struct made *m) {
    X509 *x = SSL_get0_peer_certificate(ssl_of(&p->b));
    return x && X509_cmp(x, m->x) == 0;
}

/* ---- names ---- */

static void names_choose(void **state) {
    static const struct {
        const char *name;
        const struct made *cert;
        const char *sni;
    } row[] = {
        {"alpha.test", &alpha, "alpha.test"},
        {"ALPHA.test", &alpha, "alpha.test"},
        {"beta.test", &beta, "beta.test"},
        {"a.wild.test", &wild, "a.wild.test"},
        {"wild.test", &wild, "wild.test"},
        {"a.b.wild.test", &alpha, "a.b.wild.test"},
        {"unknown.test", &alpha, "unknown.test"},
        {"", &alpha, ""},
        {"127.0.0.1", &alpha, ""},
        {"beta.test.", &beta, "beta.test"},
    };
    struct tls_server *s = LISTENER(NULL, &alpha, &beta, &wild);
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        struct pair p;
        assert_true(meet(&p, s, any, row[i].name));
        if (!shown(&p, row[i].cert))
            fail_msg("%s: another certificate", row[i].name);
        assert_true(span_eq(tls_info_of(&p.a)->sni, span_z(row[i].sni)));
        pair_close(&p);
    }
    tls_server_unref(s);
}

/* Those of the configuration instead of the certificate's own. */
static void configured_names(void **state) {
    const struct span name[] = {SPAN("Internal.test"), SPAN("*.svc.test")};
    struct tls_cert_conf c[] = {files(&beta), files(&alpha)};
    c[1].names = name;
    c[1].name_count = 2;
    struct tls_server_conf conf = {.name = SPAN("public"), .cert = c, .cert_count = 2};
    struct tls_server *s = tls_server_create(&conf, told, NULL);
    struct pair p;
    (void)state;
    assert_non_null(s);
    static const char *const ask[] = {"internal.test", "x.svc.test", "alpha.test"};
    for (int i = 0; i < 3; i++) {
        assert_true(meet(&p, s, any, ask[i]));
        assert_true(shown(&p, i < 2 ? &alpha : &beta));
        pair_close(&p);
    }
    tls_server_unref(s);
}

/* SNI as no client of ours would send it: bytes of a ClientHello, by their distance from the name.
 */
static void malformed_names_are_refused(void **state) {
    static const struct {
        int at;
        unsigned char is;
    } row[] = {
        {2, 0},   {0, ' '}, {9, 0x80}, {4, 0x7f}, /* of the name */
        {-1, 9},  {-1, 11}, {-2, 1},              /* of its length */
        {-3, 1},                                  /* of its type */
        {-4, 12}, {-4, 14}, {-4, 3},   {-5, 1},   /* of the list */
    };
    struct tls_server *s = LISTENER(NULL, &alpha);
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        char hello[2000];
        struct pair p;
        pair_open(&p, &l);
        assert_true(tls_accept(&p.a, s) && tls_connect(&p.b, any, SPAN("alpha.test")));
        assert_int_equal(tls_handshake(&l, &p.b, SPAN_NONE), TLS_WANT);
        ssize_t n = recv(p.a.watch.fd, hello, sizeof hello, 0);
        assert_in_range(n, 100, sizeof hello - 1);
        char *name = memmem(hello, (size_t)n, "alpha.test", 10);
        assert_non_null(name);
        name[row[i].at] = (char)row[i].is;
        if (tls_handshake(&l, &p.a, span_of(hello, (size_t)n)) != TLS_FAILED)
            fail_msg("row %zu was accepted", i);
        assert_non_null(strstr(tls_failure(&p.a), "SNI"));
        assert_int_equal(recv(p.b.watch.fd, hello, sizeof hello, 0), 7); /* an alert */
        pair_close(&p);
    }
    tls_server_unref(s);
}

static void kinds_stand_side_by_side(void **state) {
    struct tls_server *s = LISTENER(NULL, &alpha_rsa, &alpha);
    struct tls_client *rsa_only =
        tls_client_create(&(struct tls_client_settings){.insecure_skip_verify = true}, told, NULL);
    struct pair p;
    (void)state;
    SSL_CTX_set1_sigalgs_list(pair_context(rsa_only),
                              (char *)(uintptr_t) "RSA-PSS+SHA256:RSA+SHA256");
    assert_true(meet(&p, s, any, "alpha.test"));
    assert_true(shown(&p, &alpha));
    pair_close(&p);
    assert_true(meet(&p, s, rsa_only, "alpha.test"));
    assert_true(shown(&p, &alpha_rsa));
    pair_close(&p);
    assert_true(meet(&p, s, rsa_only, "unknown.test"));
    assert_true(shown(&p, &alpha_rsa));
    pair_close(&p);
    tls_client_unref(rsa_only);
    tls_server_unref(s);
}

static void the_chain_is_sent(void **state) {
    struct tls_server *s = LISTENER(NULL, &beta);
    struct tls_client *strict =
        tls_client_create(&(struct tls_client_settings){.ca = span_z(ca.cert_file)}, told, NULL);
    struct pair p;
    (void)state;
    assert_true(meet(&p, s, strict, "beta.test"));
    assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(ssl_of(&p.b))), 2);
    pair_close(&p);
    tls_client_unref(strict);
    tls_server_unref(s);
}

/* ---- what is agreed on ---- */

static void alpn(void **state) {
    static const struct {
        bool no_h2;
        const char *offer;
        unsigned n;
        const char *chosen; /* NULL: refused */
    } row[] = {
        {false, "\x02h2\x08http/1.1", 12, "h2"},
        {false, "\x08http/1.1\x02h2", 12, "h2"},
        {false, "\x08http/1.1", 9, "http/1.1"},
        {true, "\x02h2\x08http/1.1", 12, "http/1.1"},
        {true, "\x02h2", 3, NULL},
        {false, "\x08http/1.0", 9, NULL},
        {false, "\x03h2c\x04spdy", 9, NULL},
        {false, "", 0, ""},
    };
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        struct tls_server_conf conf = {.name = SPAN("public"), .no_h2 = row[i].no_h2};
        struct tls_server *s = LISTENER(&conf, &alpha);
        struct tls_client *c = tls_client_create(
            &(struct tls_client_settings){.insecure_skip_verify = true}, told, NULL);
        struct pair p;
        SSL_CTX_set_alpn_protos(pair_context(c), (const unsigned char *)row[i].offer, row[i].n);
        bool good = meet(&p, s, c, "alpha.test");
        assert_int_equal(good, row[i].chosen != NULL);
        if (good) {
            assert_string_equal(tls_info_of(&p.a)->alpn, row[i].chosen);
            assert_string_equal(tls_info_of(&p.b)->alpn, row[i].chosen);
        } else {
            assert_non_null(strstr(tls_failure(&p.b), "no application protocol"));
            assert_non_null(strstr(tls_failure(&p.a), "ALPN"));
        }
        pair_close(&p);
        tls_client_unref(c);
        tls_server_unref(s);
    }
}

static void versions_and_ciphers(void **state) {
    static const struct {
        int least, most; /* of the server, of the client */
        const char *ours, *theirs, *version, *cipher;
    } row[] = {
        {0, TLS1_3_VERSION, "", NULL, "TLSv1.3", "TLS_AES_128_GCM_SHA256"},
        {0, TLS1_2_VERSION, "", NULL, "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"},
        {TLS_1_3, TLS1_3_VERSION, "", NULL, "TLSv1.3", "TLS_AES_128_GCM_SHA256"},
        {TLS_1_3, TLS1_2_VERSION, "", NULL, NULL, NULL},
        {0, TLS1_1_VERSION, "", "DEFAULT@SECLEVEL=0", NULL, NULL},
        {0, TLS1_2_VERSION, "", "ECDHE-ECDSA-AES256-GCM-SHA384", "TLSv1.2",
         "ECDHE-ECDSA-AES256-GCM-SHA384"},
        {0, TLS1_2_VERSION, "", "ECDHE-ECDSA-AES128-SHA256", NULL, NULL}, /* CBC */
        {0, TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", NULL, "TLSv1.2",
         "ECDHE-ECDSA-CHACHA20-POLY1305"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        struct tls_server_conf conf = {
            .name = SPAN("public"), .min_version = row[i].least, .ciphers = span_z(row[i].ours)};
        struct tls_server *s = LISTENER(&conf, &alpha);
        struct tls_client *c = tls_client_create(
            &(struct tls_client_settings){.insecure_skip_verify = true}, told, NULL);
        struct pair p;
        SSL_CTX_set_min_proto_version(pair_context(c), 0);
        SSL_CTX_set_max_proto_version(pair_context(c), row[i].most);
        if (row[i].theirs)
            SSL_CTX_set_cipher_list(pair_context(c), row[i].theirs);
        bool good = meet(&p, s, c, "alpha.test");
        if (good != (row[i].version != NULL))
            fail_msg("row %zu: %s, %s", i, tls_failure(&p.a), tls_failure(&p.b));
        if (good) {
            assert_string_equal(tls_info_of(&p.a)->version, row[i].version);
            assert_string_equal(tls_info_of(&p.a)->cipher, row[i].cipher);
        } else {
            assert_non_null(strstr(tls_failure(&p.a), "nothing in common"));
        }
        pair_close(&p);
        tls_client_unref(c);
        tls_server_unref(s);
    }
}

/* ---- resumption ---- */

static bool resumed(struct tls_server *s, struct tls_client *c, const char *name) {
    struct pair p;
    if (!meet(&p, s, c, name))
        fail_msg("%s: %s; %s", name, tls_failure(&p.a), tls_failure(&p.b));
    assert_true(pair_pass(&p.a, &p.b, "x", 1)); /* brings the ticket */
    bool was = tls_info_of(&p.a)->resumed;
    pair_close(&p);
    return was;
}

static struct tls_client *fresh(void) {
    struct tls_client *c =
        tls_client_create(&(struct tls_client_settings){.insecure_skip_verify = true,
                                                        .certificate = span_z(person.cert_file),
                                                        .private_key = span_z(person.key_file)},
                          told, NULL);
    assert_non_null(c);
    return c;
}

static void tickets_last_two_turns_of_keys(void **state) {
    struct tls_server_conf conf = {.name = SPAN("turning"), .ticket_rotate_ms = 1000};
    uint64_t now = env.now_ns(), turn = 1000000000;
    (void)state;
    for (uint64_t turns = 0; turns < 4; turns++) {
        struct tls_server *s = LISTENER(&conf, &alpha);
        struct tls_client *c = fresh();
        assert_false(resumed(s, c, "alpha.test"));
        for (uint64_t i = 1; i <= turns; i++)
            tls_server_rotate(s, now + i * turn + turn / 2);
        assert_int_equal(resumed(s, c, "alpha.test"), turns < 2);
        assert_true(resumed(s, c, "alpha.test")); /* the renewed one */
        tls_server_unref(s);
        tls_client_unref(c);
    }
    /* Asleep for long: the key in use then is as old as one that was turned twice. */
    struct tls_server *s = LISTENER(&conf, &alpha);
    struct tls_client *c = fresh();
    assert_false(resumed(s, c, "alpha.test"));
    tls_server_rotate(s, now + 10 * turn);
    assert_false(resumed(s, c, "alpha.test"));
    tls_server_unref(s);
    tls_client_unref(c);
}

/* The next configuration is built before the former one goes. */
static void tickets_last_over_reloads(void **state) {
    struct tls_server_conf other = {.name = SPAN("other")},
                           none = {.name = SPAN("public"), .no_tickets = true};
    struct tls_server *s = LISTENER(NULL, &alpha);
    struct tls_client *c = fresh();
    (void)state;
    assert_false(resumed(s, c, "alpha.test"));
    struct tls_server *next = LISTENER(NULL, &alpha, &beta);
    tls_server_unref(s);
    assert_true(resumed(next, c, "alpha.test"));
    struct tls_server *elsewhere = LISTENER(&other, &alpha);
    assert_false(resumed(elsewhere, c, "alpha.test"));
    tls_server_unref(next);
    s = LISTENER(NULL, &alpha);
    assert_false(resumed(s, c, "alpha.test")); /* nobody had kept the keys */
    struct tls_server *off = LISTENER(&none, &alpha);
    assert_false(resumed(off, c, "alpha.test"));
    assert_false(resumed(off, c, "alpha.test"));
    tls_server_unref(off);
    tls_server_unref(s);
    tls_server_unref(elsewhere);
    tls_client_unref(c);
}

/* A ticket of one host, offered to another. */
static bool crosses(struct tls_server *s, const char *from, const char *to) {
    struct tls_client *c = fresh();
    struct pair p;
    enum tls_step a, b;
    for (int i = 0; i < 2; i++) {
        pair_open(&p, &l);
        assert_true(tls_accept(&p.a, s));
        /* One name for our own memory of sessions, another for the server. */
        assert_true(tls_connect(&p.b, c, SPAN("")));
        SSL_set_tlsext_host_name(ssl_of(&p.b), (char *)(uintptr_t)(i ? to : from));
        if (!pair_handshake(&p, &a, &b))
            fail_msg("%s: %s; %s", i ? to : from, tls_failure(&p.a), tls_failure(&p.b));
        assert_true(pair_pass(&p.a, &p.b, "x", 1));
        if (i == 0)
            pair_close(&p);
    }
    bool was = tls_info_of(&p.a)->resumed;
    pair_close(&p);
    tls_client_unref(c);
    return was;
}

/* E07 */
static void sessions_stay_with_their_policy(void **state) {
    struct tls_client_conf must_show = {.mode = TLS_CLIENT_REQUIRE, .ca = span_z(ca.cert_file)};
    struct tls_client_conf may_show = {.mode = TLS_CLIENT_REQUEST, .ca = span_z(ca.cert_file)};
    const struct span twin[] = {SPAN("alpha.test"), SPAN("twin.test")};
    struct tls_cert_conf c[] = {files(&alpha), files(&beta), files(&wild)};
    c[0].names = twin;
    c[0].name_count = 2;
    c[1].client = &must_show;
    c[2].client = &may_show;
    struct tls_server_conf conf = {.name = SPAN("public"), .cert = c, .cert_count = 3};
    struct tls_server *s = tls_server_create(&conf, told, NULL);
    (void)state;
    assert_true(crosses(s, "alpha.test", "alpha.test"));
    assert_true(crosses(s, "alpha.test", "twin.test"));
    assert_true(crosses(s, "beta.test", "beta.test"));
    assert_false(crosses(s, "alpha.test", "beta.test"));
    assert_false(crosses(s, "beta.test", "alpha.test"));
    assert_false(crosses(s, "wild.test", "beta.test"));
    assert_false(crosses(s, "alpha.test", "wild.test"));
    uint32_t open = tls_server_policy(s, SPAN("alpha.test"));
    uint32_t closed = tls_server_policy(s, SPAN("beta.test"));
    assert_int_not_equal(open, closed);
    assert_int_not_equal(closed, tls_server_policy(s, SPAN("a.wild.test")));
    assert_int_equal(open, tls_server_policy(s, SPAN("unknown.test")));
    assert_int_equal(open, tls_server_policy(s, SPAN("twin.test")));
    tls_server_unref(s);
    /* The same numbers after a reload, others for other files. */
    s = tls_server_create(&conf, told, NULL);
    assert_int_equal(closed, tls_server_policy(s, SPAN("beta.test")));
    tls_server_unref(s);
    must_show.ca = span_z(other_ca.cert_file);
    s = tls_server_create(&conf, told, NULL);
    assert_int_not_equal(closed, tls_server_policy(s, SPAN("beta.test")));
    tls_server_unref(s);
}

/* The same files by name, another authority in them: who came in by the former one shows himself
 * anew. */
static void sessions_end_with_their_authority(void **state) {
    struct made both = certs_make("moving", &(struct wish){.cn = "CA of now", .ca = true}, NULL);
    const char *path = both.cert_file;
    struct tls_server_conf conf = {.name = SPAN("public"),
                                   .client = {.mode = TLS_CLIENT_REQUIRE, .ca = span_z(path)}};
    struct made id = certs_make("id", &(struct wish){.cn = "id", .usage = "clientAuth"}, &both);
    struct tls_client *c =
        tls_client_create(&(struct tls_client_settings){.insecure_skip_verify = true,
                                                        .certificate = span_z(id.cert_file),
                                                        .private_key = span_z(id.key_file)},
                          told, NULL);
    struct tls_server *s = LISTENER(&conf, &alpha);
    struct pair p;
    (void)state;
    assert_false(resumed(s, c, "alpha.test"));
    assert_true(resumed(s, c, "alpha.test"));
    struct made next = certs_make("moving", &(struct wish){.cn = "next CA", .ca = true}, NULL);
    assert_int_equal(tls_server_refresh(s, told, NULL), 1);
    assert_false(meet(&p, s, c, "alpha.test"));
    pair_close(&p);
    tls_server_unref(s);
    tls_client_unref(c);
    certs_free(&both), certs_free(&next), certs_free(&id);
}

/* ---- who comes in ---- */

static void identity(void **state) {
    static const struct {
        const char *field, *text;
    } row[] = {
        {"subject", "CN=ann\\, of \\\"shop\\\""},
        {"issuer", "CN=test CA"},
        {"san", "spiffe://test/ann"},
        {"sans", "URI:spiffe://test/ann,DNS:ann.test,email:a@b.test"},
    };
    struct tls_server_conf conf = {
        .name = SPAN("public"), .client = {.mode = TLS_CLIENT_REQUIRE, .ca = span_z(ca.cert_file)}};
    struct tls_server *s = LISTENER(&conf, &alpha);
    struct tls_client *c = fresh();
    (void)state;
    for (int again = 0; again < 2; again++) {
        struct pair p;
        assert_true(meet(&p, s, c, "alpha.test"));
        assert_int_equal(tls_info_of(&p.a)->resumed, again);
        const struct tls_client_cert *i = tls_info_of(&p.a)->client;
        assert_non_null(i);
        assert_true(i->verified);
        const struct span got[] = {i->subject, i->issuer, i->san, i->sans};
        for (size_t k = 0; k < array_len(row); k++)
            if (!span_eq(got[k], span_z(row[k].text)))
                fail_msg("%s is %.*s", row[k].field, SPAN_ARG(got[k]));
        assert_int_equal(i->fingerprint.n, 64);
        assert_true(span_starts(i->pem, SPAN("-----BEGIN%20CERTIFICATE-----%0A")));
        assert_int_equal(span_find(i->pem, '\n'), -1);
        unsigned char digest[32];
        char hex[65];
        X509_digest(person.x, EVP_sha256(), digest, NULL);
        for (int k = 0; k < 32; k++)
            snprintf(hex + 2 * k, 3, "%02x", digest[k]);
        assert_true(span_eq(i->fingerprint, span_z(hex)));
        uint64_t serial;
        assert_true(parse_hex(i->serial, &serial));
        assert_int_equal(serial, ASN1_INTEGER_get(X509_get0_serialNumber(person.x)));
        assert_true(pair_pass(&p.a, &p.b, "x", 1));
        pair_close(&p);
    }
    tls_client_unref(c);
    tls_server_unref(s);
}

/* E09 */
static void who_comes_in(void **state) {
    static const struct {
        const char *what;
        struct wish wish;
        const struct made *by;
        bool none, revoked;
        enum tls_client_mode mode;
        const char *refused; /* NULL: comes in */
    } row[] = {
        {"a good one", {.cn = "good", .usage = "clientAuth"}, &ca, .mode = TLS_CLIENT_REQUIRE},
        {"any use", {.cn = "good"}, &ca, .mode = TLS_CLIENT_REQUIRE},
        {"asked, and a good one",
         {.cn = "good", .usage = "clientAuth"},
         &ca,
         .mode = TLS_CLIENT_REQUEST},
        {"asked, and none", .none = true, .mode = TLS_CLIENT_REQUEST},
        {"none", .none = true, .mode = TLS_CLIENT_REQUIRE, .refused = "showed no certificate"},
        {"expired",
         {.cn = "old", .usage = "clientAuth", .since = -CERTS_DAY * 9, .until = -CERTS_DAY},
         &ca,
         .mode = TLS_CLIENT_REQUIRE,
         .refused = "expired"},
        {"not yet",
         {.cn = "new", .usage = "clientAuth", .since = CERTS_DAY, .until = CERTS_DAY * 9},
         &ca,
         .mode = TLS_CLIENT_REQUIRE,
         .refused = "not valid before"},
        {"asked, and an expired one",
         {.cn = "old", .usage = "clientAuth", .since = -CERTS_DAY * 9, .until = -CERTS_DAY},
         &ca,
         .mode = TLS_CLIENT_REQUEST,
         .refused = "expired"},
        {"another CA",
         {.cn = "eve", .usage = "clientAuth"},
         &other_ca,
         .mode = TLS_CLIENT_REQUIRE,
         .refused = "issuer"},
        {"self-signed",
         {.cn = "eve", .usage = "clientAuth"},
         NULL,
         .mode = TLS_CLIENT_REQUIRE,
         .refused = "self-signed"},
        {"another use",
         {.cn = "web", .usage = "serverAuth"},
         &ca,
         .mode = TLS_CLIENT_REQUIRE,
         .refused = "purpose"},
        {"NUL in a name",
         {.cn = "good.test", .usage = "clientAuth", .nul_in_san = true},
         &ca,
         .mode = TLS_CLIENT_REQUIRE,
         .refused = "NUL"},
        {"revoked",
         {.cn = "bad", .usage = "clientAuth"},
         &ca,
         .revoked = true,
         .mode = TLS_CLIENT_REQUIRE,
         .refused = "revoked"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        struct made id = {0};
        struct tls_client_settings settings = {.insecure_skip_verify = true};
        const char *crl = certs_path("list.pem");
        if (!row[i].none) {
            id = certs_make("id", &row[i].wish, row[i].by);
            settings.certificate = span_z(id.cert_file);
            settings.private_key = span_z(id.key_file);
        }
        certs_revoke(crl, &ca, row[i].revoked ? &id : NULL, CERTS_DAY);
        struct tls_server_conf conf = {
            .name = SPAN("public"),
            .client = {.mode = row[i].mode, .ca = span_z(ca.cert_file), .crl = span_z(crl)}};
        struct tls_server *s = LISTENER(&conf, &alpha);
        struct tls_client *c = tls_client_create(&settings, NULL, NULL);
        struct pair p;
        enum tls_step a, b;
        char got[1];
        size_t k;
        assert_non_null(c);
        pair_open(&p, &l);
        assert_true(tls_accept(&p.a, s) && tls_connect(&p.b, c, SPAN("alpha.test")));
        bool good = pair_handshake(&p, &a, &b);
        if (good != !row[i].refused)
            fail_msg("%s: %s", row[i].what, tls_failure(&p.a));
        if (good) {
            assert_int_equal(tls_info_of(&p.a)->client != NULL, !row[i].none);
        } else {
            if (!strstr(tls_failure(&p.a), row[i].refused))
                fail_msg("%s: the failure is \"%s\"", row[i].what, tls_failure(&p.a));
            assert_true(tls_failure_is_verify(&p.a));
            if (b == TLS_DONE) /* TLS 1.3: it is done before it is judged, and hears of it here */
                assert_int_equal(p.b.ops->read(&p.b, got, 1, &k), IO_RESET);
            assert_non_null(strstr(tls_failure(&p.b), "refused"));
        }
        pair_close(&p);
        tls_client_unref(c);
        tls_server_unref(s);
        certs_free(&id);
    }
}

/* A chain of intermediates below the CA: at most `depth`. */
static void depth(void **state) {
    struct made above[6] = {certs_issue(&(struct wish){.cn = "1", .ca = true}, &ca)};
    (void)state;
    for (int i = 1; i < 6; i++) {
        char cn[2] = {(char)('1' + i), 0};
        above[i] = certs_issue(&(struct wish){.cn = cn, .ca = true}, &above[i - 1]);
    }
    for (uint32_t conf_depth = 0; conf_depth <= 2; conf_depth += 2)
        for (int n = 1; n <= 6; n++) {
            const struct made *chain[7] = {0};
            struct made id =
                certs_issue(&(struct wish){.cn = "id", .usage = "clientAuth"}, &above[n - 1]);
            for (int i = 0; i < n; i++)
                chain[i] = &above[n - 1 - i];
            certs_save(&id, "deep", chain);
            struct tls_server_conf conf = {.name = SPAN("public"),
                                           .client = {.mode = TLS_CLIENT_REQUIRE,
                                                      .ca = span_z(ca.cert_file),
                                                      .depth = conf_depth}};
            struct tls_client *c =
                tls_client_create(&(struct tls_client_settings){.insecure_skip_verify = true,
                                                                .certificate = span_z(id.cert_file),
                                                                .private_key = span_z(id.key_file)},
                                  told, NULL);
            struct tls_server *s = LISTENER(&conf, &alpha);
            struct pair p;
            if (meet(&p, s, c, "alpha.test") != (n <= (int)(conf_depth ? conf_depth : 4)))
                fail_msg("%d intermediates, depth %u: %s", n, conf_depth, tls_failure(&p.a));
            pair_close(&p);
            tls_server_unref(s);
            tls_client_unref(c);
            certs_free(&id);
        }
    for (int i = 0; i < 6; i++)
        certs_free(&above[i]);
}

/* A certificate of 40 KB. */
static void large_certificates_are_refused(void **state) {
    char *san = malloc(60000);
    size_t at = 0;
    (void)state;
    for (int i = 0; at < 40000; i++)
        at += (size_t)snprintf(san + at, 60000 - at, "%sDNS:a-rather-long-name-%d.test",
                               i ? "," : "", i);
    struct made id =
        certs_make("large", &(struct wish){.cn = "id", .san = san, .usage = "clientAuth"}, &ca);
    free(san);
    struct tls_server_conf conf = {
        .name = SPAN("public"), .client = {.mode = TLS_CLIENT_REQUIRE, .ca = span_z(ca.cert_file)}};
    struct tls_client *c =
        tls_client_create(&(struct tls_client_settings){.insecure_skip_verify = true,
                                                        .certificate = span_z(id.cert_file),
                                                        .private_key = span_z(id.key_file)},
                          told, NULL);
    struct tls_server *s = LISTENER(&conf, &alpha);
    struct pair p;
    assert_false(meet(&p, s, c, "alpha.test"));
    assert_non_null(strstr(tls_failure(&p.a), "too long"));
    pair_close(&p);
    tls_server_unref(s);
    tls_client_unref(c);
    certs_free(&id);
}

/* ---- staples ---- */

static void staple_file(const char *path, const struct made *of, const struct made *by, int status,
                        long since, long until) {
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    ASN1_TIME *from = X509_gmtime_adj(NULL, since), *to = X509_gmtime_adj(NULL, until);
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, of->x, ca.x);
    ASN1_TIME *revoked = X509_gmtime_adj(NULL, since);
    must(OCSP_basic_add1_status(basic, id, status, 0, status ? revoked : NULL, from, to));
    must(OCSP_basic_sign(basic, by->x, by->key, EVP_sha256(), NULL, 0));
    OCSP_RESPONSE *r = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    unsigned char *der = NULL;
    int n = i2d_OCSP_RESPONSE(r, &der);
    certs_write(path, der, (size_t)n, 0644);
    OPENSSL_free(der);
    OCSP_RESPONSE_free(r);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(from), ASN1_TIME_free(to), ASN1_TIME_free(revoked);
}

static int64_t later;
static int64_t wall_later(void) {
    return env_os.wall_ns() + later * 1000000000;
}

static bool stapled(struct tls_server *s) {
    struct tls_client *c =
        tls_client_create(&(struct tls_client_settings){.insecure_skip_verify = true}, told, NULL);
    const unsigned char *der;
    struct pair p;
    SSL_CTX_set_tlsext_status_type(pair_context(c), TLSEXT_STATUSTYPE_ocsp);
    assert_true(meet(&p, s, c, "alpha.test"));
    long n = SSL_get_tlsext_status_ocsp_resp(ssl_of(&p.b), &der);
    pair_close(&p);
    tls_client_unref(c);
    return n > 0;
}

static struct tls_problem last;
static unsigned problems;
static void note(void *ctx, const struct tls_problem *p) {
    (void)ctx;
    last = *p;
    problems++;
}

/* E12 */
static void staples(void **state) {
    const struct made *chain[] = {&ca, NULL};
    struct made full = alpha;
    certs_save(&full, "full", chain); /* with its issuer, or a response could not be checked */
    static const struct {
        const char *what;
        const struct made *of, *by;
        int status;
        long since, until;
        const char *told; /* NULL: stapled */
    } row[] = {
        {"good", &alpha, &ca, V_OCSP_CERTSTATUS_GOOD, -100, CERTS_DAY, NULL},
        {"stale", &alpha, &ca, V_OCSP_CERTSTATUS_GOOD, -CERTS_DAY, -60, "stale"},
        {"of the future", &alpha, &ca, V_OCSP_CERTSTATUS_GOOD, 4000, CERTS_DAY, "future"},
        {"another certificate", &beta, &ca, V_OCSP_CERTSTATUS_GOOD, -100, CERTS_DAY, "another"},
        {"another signer", &alpha, &other_ca, V_OCSP_CERTSTATUS_GOOD, -100, CERTS_DAY, "signed"},
        {"revoked", &alpha, &ca, V_OCSP_CERTSTATUS_REVOKED, -100, CERTS_DAY, "revoked"},
        {"unknown", &alpha, &ca, V_OCSP_CERTSTATUS_UNKNOWN, -100, CERTS_DAY, "does not know"},
    };
    const char *path = certs_path("staple.der");
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        struct tls_cert_conf c = files(&full);
        struct tls_server_conf conf = {.name = SPAN("public"), .cert = &c, .cert_count = 1};
        c.ocsp = span_z(path);
        staple_file(path, row[i].of, row[i].by, row[i].status, row[i].since, row[i].until);
        problems = 0;
        struct tls_server *s = tls_server_create(&conf, note, NULL);
        assert_non_null(s);
        assert_int_equal(problems, row[i].told != NULL);
        if (row[i].told) {
            assert_int_equal(last.kind, TLS_OCSP_STALE);
            if (!strstr(last.text, row[i].told))
                fail_msg("%s: %s", row[i].what, last.text);
        }
        assert_int_equal(stapled(s), !row[i].told);
        env.wall_ns = wall_later; /* it becomes stale while it is served */
        later = 2 * CERTS_DAY;
        assert_false(stapled(s));
        pair_plain();
        tls_server_unref(s);
    }
    struct tls_cert_conf c = files(&full);
    struct tls_server_conf conf = {.name = SPAN("public"), .cert = &c, .cert_count = 1};
    c.ocsp = span_z(path);
    certs_write(path, "garbage", 7, 0644);
    assert_null(tls_server_create(&conf, note, NULL));
    assert_int_equal(last.kind, TLS_FILE_MALFORMED);
    assert_string_equal(last.part, "ocsp");
}

/* ---- files that change ---- */

static void new_files_come_into_force(void **state) {
    struct made one = certs_make("moving", &(struct wish){.cn = "1", .san = "DNS:m.test"}, &ca);
    struct tls_server *s = LISTENER(NULL, &one);
    struct pair old, p;
    (void)state;
    assert_int_equal(tls_server_refresh(s, told, NULL), 0);
    assert_true(meet(&old, s, any, "m.test"));
    struct made two = certs_make("moving", &(struct wish){.cn = "2", .san = "DNS:m.test"}, &ca);
    assert_int_equal(tls_server_refresh(s, told, NULL), 1);
    assert_int_equal(tls_server_refresh(s, told, NULL), 0);
    assert_true(meet(&p, s, any, "m.test"));
    assert_true(shown(&p, &two));
    assert_true(shown(&old, &one));
    assert_true(pair_pass(&old.a, &old.b, "still there", 11));
    assert_true(pair_pass(&old.b, &old.a, "still there", 11));
    pair_close(&old), pair_close(&p);
    tls_server_unref(s);
    certs_free(&one), certs_free(&two);
}

/* A key without its certificate yet: not told at once, it may be half of a change. */
static void bad_files_change_nothing(void **state) {
    struct made one = certs_make("moving", &(struct wish){.cn = "1", .san = "DNS:m.test"}, &ca);
    struct made two = certs_issue(&(struct wish){.cn = "2", .san = "DNS:m.test"}, &ca);
    struct tls_server *s = LISTENER(NULL, &one);
    struct pair p;
    (void)state;
    BIO *b = BIO_new(BIO_s_mem());
    must(PEM_write_bio_PrivateKey(b, two.key, NULL, NULL, 0, NULL, NULL));
    certs_write_bio(one.key_file, b, 0600);
    problems = 0;
    assert_int_equal(tls_server_refresh(s, note, NULL), 0);
    assert_int_equal(problems, 0);
    assert_int_equal(tls_server_refresh(s, note, NULL), -1);
    assert_int_equal(last.kind, TLS_KEY_MISMATCH);
    problems = 0;
    assert_int_equal(tls_server_refresh(s, note, NULL), 0);
    assert_int_equal(problems, 0);
    assert_true(meet(&p, s, any, "m.test"));
    assert_true(shown(&p, &one));
    pair_close(&p);
    unlink(one.cert_file);
    assert_int_equal(tls_server_refresh(s, note, NULL), 0);
    assert_int_equal(tls_server_refresh(s, note, NULL), -1);
    assert_int_equal(last.kind, TLS_FILE_UNREADABLE);
    certs_save(&two, "moving", NULL); /* the other half comes */
    assert_int_equal(tls_server_refresh(s, note, NULL), 1);
    assert_true(meet(&p, s, any, "m.test"));
    assert_true(shown(&p, &two));
    pair_close(&p);
    tls_server_unref(s);
    certs_free(&one), certs_free(&two);
}

struct refresher {
    struct tls_server *s;
    atomic_bool stop;
    unsigned changes;
};

static void *refresh_often(void *arg) {
    struct refresher *r = arg;
    for (int i = 0; !atomic_load(&r->stop) && i < 200; i++) {
        struct made m = certs_make("busy", &(struct wish){.cn = "busy", .san = "DNS:m.test"}, &ca);
        r->changes += tls_server_refresh(r->s, NULL, NULL) == 1;
        tls_server_rotate(r->s, env_os.now_ns() + (uint64_t)i * 100000000000000u);
        certs_free(&m);
    }
    tls_thread_finish();
    return NULL;
}

/* Under TSan this is what finds a missing lock. */
static void refreshed_while_in_use(void **state) {
    struct made m = certs_make("busy", &(struct wish){.cn = "busy", .san = "DNS:m.test"}, &ca);
    struct refresher r = {.s = LISTENER(NULL, &m)};
    struct tls_client *c = fresh();
    pthread_t id;
    (void)state;
    assert_int_equal(pthread_create(&id, NULL, refresh_often, &r), 0);
    for (int i = 0; i < 60; i++) {
        struct pair p;
        assert_true(meet(&p, r.s, c, "m.test"));
        assert_true(pair_pass(&p.a, &p.b, "x", 1));
        tls_server_policy(r.s, SPAN("m.test"));
        pair_close(&p);
    }
    atomic_store(&r.stop, true);
    pthread_join(id, NULL);
    assert_in_range(r.changes, 1, 200);
    tls_server_unref(r.s);
    tls_client_unref(c);
    certs_free(&m);
}

static void count_state(void *ctx, const struct tls_cert_state *c) {
    unsigned *n = ctx;
    if (*n == 0) {
        assert_true(span_eq(c->names, SPAN("*.wild.test,wild.test")));
        assert_string_equal(c->kind, "ECDSA P-256");
        assert_true(span_eq(c->file, span_z(wild.cert_file)));
        assert_false(c->stapled);
        assert_in_range(c->not_after - time(NULL), 89 * CERTS_DAY, 90 * CERTS_DAY);
    } else {
        assert_string_equal(c->kind, "RSA 2048");
    }
    ++*n;
}

static void what_there_is(void **state) {
    struct tls_server *s = LISTENER(NULL, &wild, &alpha_rsa);
    unsigned n = 0;
    (void)state;
    tls_server_walk(s, count_state, &n);
    assert_int_equal(n, 2);
    tls_server_unref(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(names_choose, begin),
        cmocka_unit_test_setup(configured_names, begin),
        cmocka_unit_test_setup(malformed_names_are_refused, begin),
        cmocka_unit_test_setup(kinds_stand_side_by_side, begin),
        cmocka_unit_test_setup(the_chain_is_sent, begin),
        cmocka_unit_test_setup(alpn, begin),
        cmocka_unit_test_setup(versions_and_ciphers, begin),
        cmocka_unit_test_setup(tickets_last_two_turns_of_keys, begin),
        cmocka_unit_test_setup(tickets_last_over_reloads, begin),
        cmocka_unit_test_setup(sessions_stay_with_their_policy, begin),
        cmocka_unit_test_setup(sessions_end_with_their_authority, begin),
        cmocka_unit_test_setup(identity, begin),
        cmocka_unit_test_setup(who_comes_in, begin),
        cmocka_unit_test_setup(depth, begin),
        cmocka_unit_test_setup(large_certificates_are_refused, begin),
        cmocka_unit_test_setup(staples, begin),
        cmocka_unit_test_setup(new_files_come_into_force, begin),
        cmocka_unit_test_setup(bad_files_change_nothing, begin),
        cmocka_unit_test_setup(refreshed_while_in_use, begin),
        cmocka_unit_test_setup(what_there_is, begin),
    };
    return cmocka_run_group_tests(tests, begin_all, finish_all);
}
