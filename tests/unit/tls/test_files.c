/* Certificates, keys and authorities in files: every way in which they can be wrong, and what is
 * said of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include "certs.h"
#include "base/env.h"
#include "tls/client.h"
#include "tls/stream.h"
#include <cmocka.h>

static struct made ca, mid, good, deep;

static int begin_all(void **state) {
    const struct made *chain[] = {&mid, NULL};
    (void)state;
    certs_begin();
    ca = certs_make("ca", &(struct wish){.cn = "test CA", .ca = true}, NULL);
    mid = certs_make("mid", &(struct wish){.cn = "intermediate", .ca = true}, &ca);
    good = certs_make("good", &(struct wish){.cn = "a.test", .san = "DNS:a.test"}, NULL);
    deep = certs_issue(&(struct wish){.cn = "deep", .san = "DNS:deep.test"}, &mid);
    certs_save(&deep, "deep", chain);
    return 0;
}

static int finish_all(void **state) {
    (void)state;
    certs_free(&ca), certs_free(&mid), certs_free(&good), certs_free(&deep);
    certs_finish();
    tls_thread_finish();
    return 0;
}

static struct tls_problem problem[40];
static unsigned problems;
static void note(void *ctx, const struct tls_problem *p) {
    (void)ctx;
    must(problems < array_len(problem));
    problem[problems++] = *p;
}

static bool serves(const struct tls_server_conf *conf) {
    problems = 0;
    struct tls_server *s = tls_server_create(conf, note, NULL);
    tls_server_unref(s);
    return s != NULL;
}

/* Exactly one problem, of this kind, about this part, in these words. */
static void only(enum tls_problem_kind kind, int cert, const char *part, const char *words) {
    if (problems != 1)
        fail_msg("%u problems; the first: %s", problems, problems ? problem[0].text : "");
    if (problem[0].kind != kind || problem[0].cert != cert || strcmp(problem[0].part, part) != 0 ||
        !strstr(problem[0].text, words))
        fail_msg("kind %d, certificate %d, %s: %s", (int)problem[0].kind, problem[0].cert,
                 problem[0].part, problem[0].text);
    assert_int_equal(problem[0].error, kind < TLS_EXPIRED);
}

static struct tls_cert_conf files(const struct made *m) {
    return (struct tls_cert_conf){.certificate = span_z(m->cert_file),
                                  .private_key = span_z(m->key_file)};
}

static struct tls_server_conf with(const struct tls_cert_conf *c, uint32_t n) {
    return (struct tls_server_conf){.name = SPAN("public"), .cert = c, .cert_count = n};
}

static void nothing_wrong(void **state) {
    struct tls_cert_conf c[] = {files(&good), files(&deep)};
    struct tls_server_conf conf = with(c, 2);
    (void)state;
    assert_true(serves(&conf));
    if (problems)
        fail_msg("%s", problem[0].text);
}

static void times(void **state) {
    static const struct {
        long since, until;
        enum tls_problem_kind kind;
        const char *words;
    } row[] = {
        {-CERTS_DAY * 20, -CERTS_DAY, TLS_EXPIRED, "expired on 20"},
        {-CERTS_DAY, CERTS_DAY * 29 + 100, TLS_EXPIRES_SOON, "in 29 days"},
        {-CERTS_DAY, CERTS_DAY + 100, TLS_EXPIRES_SOON, "in 1 day"},
        {CERTS_DAY, CERTS_DAY * 90, TLS_NOT_YET_VALID, "not valid before 20"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        struct made m = certs_make(
            "m", &(struct wish){.cn = "m", .since = row[i].since, .until = row[i].until}, NULL);
        struct tls_cert_conf c[] = {files(&good), files(&m)};
        struct tls_server_conf conf = with(c, 2);
        assert_true(serves(&conf)); /* told, and served all the same */
        only(row[i].kind, 1, "certificate", row[i].words);
        certs_free(&m);
    }
}

static void chains(void **state) {
    struct made m = certs_issue(&(struct wish){.cn = "m"}, &mid);
    const struct made *upside_down[] = {&ca, &mid, NULL};
    struct tls_cert_conf c;
    struct tls_server_conf conf = with(&c, 1);
    (void)state;
    certs_save(&m, "m", NULL);
    c = files(&m);
    assert_true(serves(&conf));
    only(TLS_CHAIN_INCOMPLETE, 0, "certificate", "issuer");
    certs_save(&m, "m", upside_down);
    assert_true(serves(&conf));
    assert_int_equal(problems, 0);
    certs_free(&m);
}

static void keys(void **state) {
    struct made weak = certs_make("weak", &(struct wish){.cn = "w", .rsa = 1024}, NULL);
    struct tls_cert_conf c = files(&weak);
    struct tls_server_conf conf = with(&c, 1);
    (void)state;
    assert_false(serves(&conf));
    only(TLS_KEY_WEAK, 0, "certificate", "RSA 1024");
    c = files(&good);
    c.private_key = span_z(deep.key_file);
    assert_false(serves(&conf));
    only(TLS_KEY_MISMATCH, 0, "private_key", "does not fit");
    BIO *b = BIO_new(BIO_s_mem());
    must(PEM_write_bio_PrivateKey(b, good.key, EVP_aes_128_cbc(), (const unsigned char *)"secret",
                                  6, NULL, NULL));
    certs_write_bio(certs_path("locked.key"), b, 0600);
    c.private_key = span_z(certs_path("locked.key"));
    assert_false(serves(&conf));
    only(TLS_KEY_ENCRYPTED, 0, "private_key", "passphrase");
    c = files(&good);
    assert_int_equal(chmod(good.key_file, 0644), 0);
    assert_true(serves(&conf));
    only(TLS_KEY_READABLE, 0, "private_key", "0644");
    assert_int_equal(chmod(good.key_file, 0600), 0);
    certs_free(&weak);
}

/* Whatever stands in a file: told where it was named. */
static void unusable_files(void **state) {
    static const char broken[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    static const struct {
        const char *part, *text; /* text NULL: no file */
        enum tls_problem_kind kind;
    } row[] = {
        {"certificate", NULL, TLS_FILE_UNREADABLE},
        {"certificate", "", TLS_FILE_UNREADABLE},
        {"certificate", "hello", TLS_FILE_MALFORMED},
        {"certificate", broken, TLS_FILE_MALFORMED},
        {"private_key", NULL, TLS_FILE_UNREADABLE},
        {"private_key", "hello", TLS_FILE_MALFORMED},
        {"ca", NULL, TLS_FILE_UNREADABLE},
        {"ca", "hello", TLS_FILE_MALFORMED},
        {"ca", broken, TLS_FILE_MALFORMED},
        {"crl", NULL, TLS_FILE_UNREADABLE},
        {"crl", "hello", TLS_FILE_MALFORMED},
        {"ocsp", NULL, TLS_FILE_UNREADABLE},
        {"ocsp", "hello", TLS_FILE_MALFORMED},
    };
    const char *path = certs_path("odd");
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        struct tls_cert_conf c = files(&good);
        struct tls_server_conf conf = with(&c, 1);
        struct span *place = strcmp(row[i].part, "certificate") == 0   ? &c.certificate
                             : strcmp(row[i].part, "private_key") == 0 ? &c.private_key
                             : strcmp(row[i].part, "ocsp") == 0        ? &c.ocsp
                             : strcmp(row[i].part, "ca") == 0          ? &conf.client.ca
                                                                       : &conf.client.crl;
        bool client = place == &conf.client.ca || place == &conf.client.crl;
        if (client)
            conf.client =
                (struct tls_client_conf){.mode = TLS_CLIENT_REQUIRE, .ca = span_z(ca.cert_file)};
        *place = span_z(path);
        unlink(path);
        if (row[i].text)
            certs_write(path, row[i].text, strlen(row[i].text), 0600);
        assert_false(serves(&conf));
        only(row[i].kind, client ? -1 : 0, row[i].part, "");
    }
    /* A folder, and a file that is not text but has the right name. */
    struct tls_cert_conf c = files(&good);
    struct tls_server_conf conf = with(&c, 1);
    c.certificate = SPAN("/tmp");
    assert_false(serves(&conf));
    only(TLS_FILE_UNREADABLE, 0, "certificate", "not a file");
}

/* Everything is told at once, each with its place. */
static void all_is_told(void **state) {
    struct tls_cert_conf c[] = {files(&good), files(&deep), files(&good)};
    struct tls_server_conf conf = with(c, 3);
    (void)state;
    c[0].certificate = SPAN("/nowhere/a.pem");
    c[1].private_key = SPAN("/nowhere/b.key");
    c[2].private_key = span_z(deep.key_file);
    conf.ciphers = SPAN("nonsense");
    assert_false(serves(&conf));
    assert_int_equal(problems, 4);
    assert_int_equal(problem[0].kind, TLS_CIPHERS_UNKNOWN);
    for (int i = 0; i < 3; i++)
        assert_int_equal(problem[i + 1].cert, i);
}

static void settings(void **state) {
    struct tls_cert_conf c = files(&good);
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct tls_server_conf conf = with(&c, 1);
        *(i == 0 ? &conf.ciphers : i == 1 ? &conf.cipher_suites : &conf.curves) = SPAN("nonsense");
        assert_false(serves(&conf));
        only(TLS_CIPHERS_UNKNOWN, -1, i == 0 ? "ciphers" : i == 1 ? "cipher_suites" : "curves", "");
    }
    struct tls_server_conf conf = with(&c, 1);
    conf.client.mode = TLS_CLIENT_REQUEST;
    assert_false(serves(&conf));
    only(TLS_FILE_UNREADABLE, -1, "ca", "ca is missing");
}

static void names(void **state) {
    const struct span other = SPAN("b.test");
    struct tls_client_conf ask = {.mode = TLS_CLIENT_REQUIRE, .ca = span_z(ca.cert_file)};
    struct made twin = certs_make("twin", &(struct wish){.cn = "x", .san = "DNS:A.test"}, NULL);
    struct made rsa =
        certs_make("rsa", &(struct wish){.cn = "x", .san = "DNS:a.test", .rsa = 2048}, NULL);
    struct tls_cert_conf c[] = {files(&good), files(&twin)};
    struct tls_server_conf conf = with(c, 2);
    (void)state;
    assert_false(serves(&conf));
    only(TLS_NAME_TWICE, 1, "names", "certificate 1 is for a.test already");
    c[1] = files(&rsa);
    assert_true(serves(&conf));
    assert_int_equal(problems, 0);
    c[1].client = &ask;
    assert_false(serves(&conf));
    only(TLS_NAME_TWICE, 1, "client_certificate", "asks clients for another");
    c[0].names = &other;
    c[0].name_count = 1;
    conf.cert_count = 1;
    assert_true(serves(&conf));
    only(TLS_NAME_NOT_COVERED, 0, "names", "b.test");
    certs_free(&twin), certs_free(&rsa);
}

static void stale_lists(void **state) {
    struct tls_cert_conf c = files(&good);
    struct tls_server_conf conf = with(&c, 1);
    (void)state;
    certs_revoke(certs_path("list"), &ca, NULL, -CERTS_DAY);
    conf.client = (struct tls_client_conf){
        .mode = TLS_CLIENT_REQUIRE, .ca = span_z(ca.cert_file), .crl = span_z(certs_path("list"))};
    assert_true(serves(&conf));
    only(TLS_EXPIRED, -1, "crl", "was to be replaced on 20");
}

static void of_services(void **state) {
    struct tls_client_settings s = {.ca = SPAN("/nowhere")};
    (void)state;
    problems = 0;
    assert_null(tls_client_create(&s, note, NULL));
    only(TLS_FILE_UNREADABLE, -1, "ca", "No such file");
    s = (struct tls_client_settings){.ca = span_z(ca.cert_file),
                                     .certificate = span_z(good.cert_file),
                                     .private_key = span_z(deep.key_file)};
    problems = 0;
    assert_null(tls_client_create(&s, note, NULL));
    only(TLS_KEY_MISMATCH, -1, "private_key", "does not fit");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_wrong),  cmocka_unit_test(times),
        cmocka_unit_test(chains),         cmocka_unit_test(keys),
        cmocka_unit_test(unusable_files), cmocka_unit_test(all_is_told),
        cmocka_unit_test(settings),       cmocka_unit_test(names),
        cmocka_unit_test(stale_lists),    cmocka_unit_test(of_services),
    };
    return cmocka_run_group_tests(tests, begin_all, finish_all);
}
