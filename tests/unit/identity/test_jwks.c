/*
 * Which keys may verify (THREATS.md F02, F11), and how a set is read: JWKS, JWK, PEM, secret.
 */
#include "jose.h"
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/bn.h>

#define X256 "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define Y256 "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define EC256 "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X256 "\",\"y\":\"" Y256 "\""
#define K32 "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
#define ED                                                                                         \
    "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""

/* Judges of the whole: NULL set; or how many keys are left and how many were refused. */
static const struct {
    const char *text;
    int count; /* -1: no set at all */
    unsigned refused;
    uint32_t algorithms; /* of the first */
} rows[] = {
    {"{" EC256 "}", 1, 0, 1u << JWA_ES256},
    {"{" ED "}", 1, 0, 1u << JWA_EDDSA},
    {"{" ED ",\"alg\":\"EdDSA\",\"use\":\"sig\",\"key_ops\":[\"verify\"],\"x5c\":[\"?\"]}", 1, 0,
     1u << JWA_EDDSA},
    {"{\"kty\":\"oct\",\"k\":\"" K32 "\"}", 1, 0, 1u << JWA_HS256},
    {"{\"keys\":[]}", 0, 0, 0},
    {"{\"keys\":[{" EC256 "},{" ED "}]}", 2, 0, 1u << JWA_ES256},
    /* refused, while the others stay */
    {"{\"keys\":[{" EC256 "},{}]}", 1, 1, 1u << JWA_ES256},
    {"{\"keys\":[{" EC256 "},1,null,[],\"x\"]}", 1, 4, 1u << JWA_ES256},
    {"{" EC256 ",\"use\":\"enc\"}", 0, 1, 0},
    {"{" EC256 ",\"use\":1}", 0, 1, 0},
    {"{" EC256 ",\"key_ops\":[\"sign\"]}", 0, 1, 0},
    {"{" EC256 ",\"key_ops\":[]}", 0, 1, 0},
    {"{" EC256 ",\"key_ops\":\"verify\"}", 0, 1, 0},
    {"{" EC256 ",\"key_ops\":[1,\"verify\"]}", 0, 1, 0},
    {"{" EC256 ",\"alg\":\"ES384\"}", 0, 1, 0},
    {"{" EC256 ",\"alg\":\"ES521\"}", 0, 1, 0},
    {"{" EC256 ",\"alg\":\"HS256\"}", 0, 1, 0},
    {"{" EC256 ",\"alg\":\"none\"}", 0, 1, 0},
    {"{" EC256 ",\"alg\":\"ECDH-ES\"}", 0, 1, 0},
    {"{" EC256 ",\"alg\":null}", 0, 1, 0},
    {"{" EC256 ",\"kid\":7}", 0, 1, 0},
    {"{" EC256 ",\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\"}", 0, 1, 0},
    {"{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" X256 "\",\"y\":\"" Y256 "\"}", 0, 1, 0},
    {"{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" X256 "\",\"y\":\"" Y256 "\"}", 0, 1, 0},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X256 "\",\"y\":\"" X256 "\"}", 0, 1, 0},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"" Y256 "\"}", 0, 1, 0},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X256 "=\",\"y\":\"" Y256 "\"}", 0, 1, 0},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X256 "\"}", 0, 1, 0},
    {"{\"kty\":\"EC\",\"x\":\"" X256 "\",\"y\":\"" Y256 "\"}", 0, 1, 0},
    {"{\"kty\":\"ec\",\"crv\":\"P-256\",\"x\":\"" X256 "\",\"y\":\"" Y256 "\"}", 0, 1, 0},
    {"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" X256 "\"}", 0, 1, 0},
    {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", 0, 1, 0},
    {"{\"kty\":\"RSA\",\"n\":\"" X256 "\",\"e\":\"AQAB\"}", 0, 1, 0},
    {"{\"kty\":\"RSA\",\"e\":\"AQAB\"}", 0, 1, 0},
    {"{\"kty\":\"oct\",\"k\":\"AAAA\"}", 0, 1, 0},
    {"{\"kty\":\"oct\",\"k\":\"\"}", 0, 1, 0},
    {"{\"kty\":\"oct\",\"k\":\"" K32 "\",\"alg\":\"HS384\"}", 0, 1, 0},
    {"{\"kty\":\"oct\",\"k\":\"" K32 "\",\"alg\":\"RS256\"}", 0, 1, 0},
    /* which of two nobody can say; the same one twice is one */
    {"{\"keys\":[{\"kid\":\"a\"," EC256 "},{\"kid\":\"a\"," EC256 "}]}", 1, 1, 1u << JWA_ES256},
    {"{\"keys\":[{\"kid\":\"a\"," EC256 "},{\"kid\":\"a\"," ED "}]}", 2, 0, 1u << JWA_ES256},
    {"{\"keys\":[{\"kid\":\"a\",\"kty\":\"oct\",\"k\":\"" K32
     "\"},{\"kid\":\"a\",\"kty\":\"oct\",\"k\":\"" X256 "\"}]}",
     0, 2, 0},
    {"{\"keys\":[{\"kid\":\"a\",\"kty\":\"oct\",\"k\":\"" K32
     "\"},{\"kid\":\"a\",\"kty\":\"oct\",\"k\":\"====\"}]}",
     0, 2, 0},
    /* a secret that stands beside public keys is no secret */
    {"{\"keys\":[{" EC256 "},{\"kty\":\"oct\",\"k\":\"" K32 "\"}]}", 1, 1, 1u << JWA_ES256},
    /* no set */
    {"", -1, 0, 0},
    {"{}", -1, 0, 0},
    {"[]", -1, 0, 0},
    {"null", -1, 0, 0},
    {"{\"keys\":{}}", -1, 0, 0},
    {"{\"keys\":null}", -1, 0, 0},
    {"<html>no</html>", -1, 0, 0},
    {"{\"keys\":[{" EC256 "}]", -1, 0, 0},
    {"{\"keys\":[],\"keys\":[]}", -1, 0, 0},
    {"{" EC256 ",\"kty\":\"oct\"}", -1, 0, 0},
    {"-----BEGIN PUBLIC KEY-----", -1, 0, 0}, /* what is fetched is JSON and nothing else */
    {"0123456789abcdef0123456789abcdef", -1, 0, 0},
};

static void sets(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        const char *why = NULL, *text = rows[i].text;
        struct key_set *s = key_set_read(span_z(text), JWA_ALL, &why);
        if (!s != (rows[i].count < 0))
            fail_msg("%s: %s", text, s ? "a set" : why);
        assert_true(s || why);
        if (s && ((int)s->count != rows[i].count || s->refused != rows[i].refused))
            fail_msg("%s: %u keys, %u refused (%s)", text, s->count, s->refused,
                     s->refused ? s->refused_why : "");
        if (s && s->count)
            assert_int_equal(s->key[0].algorithms, rows[i].algorithms);
        key_set_unref(s);
    }
}

static void what_is_accepted(void **state) {
    (void)state;
    const char *why = NULL;
    struct key_set *s = key_set_read(SPAN("{\"keys\":[{" EC256 "},{" ED "}]}"),
                                     1u << JWA_EDDSA | 1u << JWA_RS256, &why);
    assert_int_equal(s->count, 1);
    assert_int_equal(s->key[0].algorithms, 1u << JWA_EDDSA);
    assert_string_equal(s->refused_why, "its algorithm is not among those that are accepted");
    key_set_unref(s);
}

static void many_keys(void **state) {
    (void)state;
    const char *why = NULL;
    struct str s = str_on(malloc(1 << 20), 1 << 20);
    for (int n = 64; n <= 65; n++) {
        s.n = 0;
        str_lit(&s, "{\"keys\":[");
        for (int i = 0; i < n; i++)
            str_fmt(&s, "%s{\"kid\":\"%d\"," EC256 "}", i ? "," : "", i);
        str_lit(&s, "]}");
        struct key_set *set = key_set_read(str_span(&s), JWA_ALL, &why);
        assert_int_equal(set != NULL, n == 64);
        if (set)
            assert_int_equal(set->count, 64);
        key_set_unref(set);
    }
    memset(s.p, ' ', JWKS_BYTES_MAX + 1);
    memcpy(s.p, "{\"keys\":[]}", 11);
    struct key_set *set = key_set_read(span_of(s.p, JWKS_BYTES_MAX), JWA_ALL, &why);
    assert_non_null(set);
    key_set_unref(set);
    assert_null(key_set_read(span_of(s.p, JWKS_BYTES_MAX + 1), JWA_ALL, &why));
    assert_string_equal(why, "it is larger than 256 KiB");
    free(s.p);
}

/* ---- RSA --------------------------------------------------------------------------------------
 */

/* A JWK of this modulus and exponent. */
static unsigned rsa_count(const BIGNUM *n, const BIGNUM *e) {
    static char buf[8192];
    unsigned char bytes[2048];
    const char *why;
    struct str s = str_on(buf, sizeof buf);
    str_lit(&s, "{\"kty\":\"RSA\",\"n\":\"");
    jose_base64(&s, span_of((char *)bytes, (size_t)BN_bn2bin(n, bytes)));
    str_lit(&s, "\",\"e\":\"");
    jose_base64(&s, span_of((char *)bytes, (size_t)BN_bn2bin(e, bytes)));
    str_lit(&s, "\"}");
    struct key_set *set = key_set_read(str_span(&s), JWA_ALL, &why);
    assert_non_null(set);
    unsigned count = set->count;
    if (count)
        assert_int_equal(set->key[0].algorithms, JWA_RS | JWA_PS);
    key_set_unref(set);
    return count;
}

static void sizes_of_rsa(void **state) {
    (void)state;
    static const struct {
        int bits;
        unsigned long e;
        unsigned count;
    } keys[] = {{1024, 65537, 0}, {2047, 65537, 0}, {2048, 65537, 1}, {4096, 3, 1},
                {8192, 65537, 1}, {8193, 65537, 0}, {2048, 1, 0},     {2048, 2, 0},
                {2048, 65536, 0}, {2048, 3, 1}};
    for (size_t i = 0; i < array_len(keys); i++) {
        BIGNUM *n = BN_new(), *e = BN_new();
        BN_set_word(e, keys[i].e);
        BN_one(n);
        BN_lshift(n, n, keys[i].bits - 1);
        BN_add_word(n, 12345); /* odd, and no power of 65537 modulo the primes */
        if (rsa_count(n, e) != keys[i].count)
            fail_msg("%d bits, e %lu", keys[i].bits, keys[i].e);
        BN_add_word(n, 1);
        assert_int_equal(rsa_count(n, e), 0); /* even */
        BN_free(n);
        BN_free(e);
    }
}

/* ---- what operators write ---------------------------------------------------------------------
 */

static EVP_PKEY *made(const char *type) {
    EVP_PKEY *k = strcmp(type, "RSA") == 0  ? EVP_PKEY_Q_keygen(NULL, NULL, type, (size_t)2048)
                  : strcmp(type, "EC") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, type, "P-384")
                                            : EVP_PKEY_Q_keygen(NULL, NULL, type);
    assert_non_null(k);
    return k;
}

static void put_pem(BIO *b, const char *type, bool private) {
    EVP_PKEY *k = made(type);
    assert_true(private ? PEM_write_bio_PrivateKey(b, k, NULL, NULL, 0, NULL, NULL)
                        : PEM_write_bio_PUBKEY(b, k));
    EVP_PKEY_free(k);
}

static struct span text_of(BIO *b) {
    char *p;
    long n = BIO_get_mem_data(b, &p);
    return span_of(p, (size_t)n);
}

static void pem(void **state) {
    (void)state;
    const char *why = NULL;
    BIO *b = BIO_new(BIO_s_mem());
    put_pem(b, "EC", false);
    put_pem(b, "ED25519", false);
    put_pem(b, "X25519", false);
    struct key_set *s = key_set_read_local(text_of(b), JWA_ALL, &why);
    assert_non_null(s);
    assert_int_equal(s->count, 2);
    assert_int_equal(s->refused, 1);
    assert_int_equal(s->key[0].algorithms, 1u << JWA_ES384);
    key_set_unref(s);
    /* F02: never the secret of an HMAC, whatever is accepted */
    s = key_set_read_local(text_of(b), JWA_HS, &why);
    assert_int_equal(s->count, 0);
    key_set_unref(s);
    put_pem(b, "EC", true);
    assert_null(key_set_read_local(text_of(b), JWA_ALL, &why));
    assert_non_null(strstr(why, "private key"));
    BIO_free(b);
    assert_null(key_set_read_local(SPAN("-----BEGIN PUBLIC KEY-----\nAAAA\n"), JWA_ALL, &why));
}

static void secrets(void **state) {
    (void)state;
    static const struct {
        size_t n;
        uint32_t algorithms;
    } lengths[] = {{31, 0},
                   {32, 1u << JWA_HS256},
                   {47, 1u << JWA_HS256},
                   {48, 1u << JWA_HS256 | 1u << JWA_HS384},
                   {64, JWA_HS},
                   {200, JWA_HS},
                   {4096, JWA_HS},
                   {4097, 0}};
    char *p = malloc(8192);
    memset(p, 's', 8192);
    for (size_t i = 0; i < array_len(lengths); i++) {
        const char *why = NULL;
        struct key_set *s = key_set_read_local(span_of(p, lengths[i].n), JWA_ALL, &why);
        assert_int_equal(s != NULL, lengths[i].algorithms != 0);
        if (s)
            assert_int_equal(s->key[0].algorithms, lengths[i].algorithms);
        key_set_unref(s);
        assert_null(key_set_read_local(span_of(p, lengths[i].n), JWA_PUBLIC, &why));
    }
    free(p);
}

/* The same key in another set is the same; another kid or material is another. */
static void prints(void **state) {
    (void)state;
    static const char *const texts[] = {"{\"kid\":\"a\"," EC256 "}", "{\"kid\":\"b\"," EC256 "}",
                                        "{\"kid\":\"a\"," ED "}",
                                        "{\"kid\":\"a\",\"kty\":\"oct\",\"k\":\"" K32 "\"}",
                                        "{\"kid\":\"a\",\"kty\":\"oct\",\"k\":\"" X256 "\"}"};
    struct key_set *s[array_len(texts)], *again;
    const char *why;
    for (size_t i = 0; i < array_len(texts); i++) {
        s[i] = key_set_read(span_z(texts[i]), JWA_ALL, &why);
        again = key_set_read(span_z(texts[i]), JWA_ALL, &why);
        assert_memory_equal(s[i]->key[0].print, again->key[0].print, 16);
        assert_true(again->generation > s[i]->generation);
        key_set_unref(again);
    }
    for (size_t i = 0; i < array_len(texts); i++)
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(s[i]->key[0].print, s[j]->key[0].print, 16);
    for (size_t i = 0; i < array_len(texts); i++)
        key_set_unref(s[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets),      cmocka_unit_test(what_is_accepted),
        cmocka_unit_test(many_keys), cmocka_unit_test(sizes_of_rsa),
        cmocka_unit_test(pem),       cmocka_unit_test(secrets),
        cmocka_unit_test(prints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
