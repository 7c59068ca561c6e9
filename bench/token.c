/*
 * token - what a signed token costs, the first time and every other: `ninja bench/token`.
 *
 * Tokens of 500 to 900 bytes with the claims of a usual identity provider, made here with fresh
 * keys. Prints nanoseconds for verifying (taken apart, signature, claims read and judged, kept) and
 * for finding it again; the median of the rounds counts.
 */
#include "base/env.h"
#include "base/hash.h"
#include "data/base64.h"
#include "identity/jws.h"
#include "identity/tokens.h"
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/pem.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 21, NOW = 1764069800 };

#define SECRET "0123456789abcdef0123456789abcdef"
static const char claims[] =
    "{\"iss\":\"https://login.example.com/realms/shop\",\"sub\":\"8f14e45f-ceea-467f-a8b6\","
    "\"aud\":[\"shop\",\"account\"],\"exp\":1764070000,\"iat\":1764069700,\"azp\":\"web\","
    "\"realm_access\":{\"roles\":[\"customer\",\"offline_access\"]},\"scope\":\"openid profile "
    "orders:read\",\"email_verified\":true,\"preferred_username\":\"zoe\"}";

static uint64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void put64(struct str *s, struct span text) {
    s->n += base64_encode(BASE64_URL, text, s->p + s->n);
}

/* DER of an ECDSA signature to r and s of 32 bytes each. */
static size_t raw(const unsigned char *der, size_t n, unsigned char *out) {
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)n);
    must(sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, 32) == 32 &&
         BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + 32, 32) == 32);
    ECDSA_SIG_free(sig);
    return 64;
}

static struct span token_of(const char *alg, EVP_PKEY *key, char *buf, size_t max) {
    char header[64];
    unsigned char sig[1024], out[1024];
    size_t n = sizeof sig;
    struct str s = str_on(buf, max);
    snprintf(header, sizeof header, "{\"alg\":\"%s\",\"typ\":\"JWT\"}", alg);
    put64(&s, span_z(header));
    str_char(&s, '.');
    put64(&s, span_z(claims));
    if (key) {
        EVP_MD_CTX *md = EVP_MD_CTX_new();
        const EVP_MD *hash = strcmp(alg, "EdDSA") == 0 ? NULL : EVP_sha256();
        must(EVP_DigestSignInit(md, NULL, hash, NULL, key) == 1 &&
             EVP_DigestSign(md, sig, &n, (unsigned char *)s.p, s.n) == 1);
        EVP_MD_CTX_free(md);
        n = *alg == 'E' && alg[1] == 'S' ? raw(sig, n, out) : (memcpy(out, sig, n), n);
    } else {
        unsigned len;
        must(HMAC(EVP_sha256(), SECRET, 32, (unsigned char *)s.p, s.n, out, &len));
        n = len;
    }
    str_char(&s, '.');
    put64(&s, span_of((char *)out, n));
    return str_span(&s);
}

static struct key_set *set_of(EVP_PKEY *key) {
    const char *why;
    char *pem;
    if (!key)
        return key_set_read_local(SPAN(SECRET), JWA_ALL, &why);
    BIO *b = BIO_new(BIO_s_mem());
    must(PEM_write_bio_PUBKEY(b, key) == 1);
    long n = BIO_get_mem_data(b, &pem);
    struct key_set *s = key_set_read_local(span_of(pem, (size_t)n), JWA_ALL, &why);
    BIO_free(b);
    must(s && s->count == 1);
    return s;
}

/* As identity/jwt does it. */
static struct token *verified(struct tokens *t, struct jws_thread *jt, const struct key_set *s,
                              struct span text) {
    static const struct claims_rules rules = {.leeway_s = 60};
    static const struct json_limits limits = {.depth = JWS_DEPTH_MAX, .unique = true};
    struct token *k = token_create(t, text);
    struct jws j;
    struct span payload;
    struct json_error err;
    const struct jwk *by;
    const char *why;
    bool newer;
    must(k && !jws_read(&k->arena, k->text, &j, &why) && !jws_verify(jt, s, &j, &by, &newer) &&
         jws_payload(&k->arena, &j, &payload) &&
         json_read(&k->arena, payload, &limits, &k->claims, &err) &&
         !claims_judge(&rules, &k->claims, NOW, &k->time, &why));
    k->owner = 1;
    tokens_put(t, k);
    return k;
}

static double first(struct tokens *t, struct jws_thread *jt, const struct key_set *s,
                    struct span text, unsigned times) {
    uint64_t from = cpu_ns();
    for (unsigned i = 0; i < times; i++) {
        struct token *k = verified(t, jt, s, text);
        tokens_drop(t, k);
        token_unref(k);
    }
    return (double)(cpu_ns() - from) / times;
}

static double again(struct tokens *t, struct span text, unsigned times) {
    uint64_t from = cpu_ns();
    for (unsigned i = 0; i < times; i++)
        must(tokens_get(t, 1, text));
    return (double)(cpu_ns() - from) / times;
}

static void measure(const char *alg, EVP_PKEY *key, struct arena_cache *cache) {
    static char buf[4096];
    double cold[ROUNDS], warm[ROUNDS];
    struct span text = token_of(alg, key, buf, sizeof buf);
    struct key_set *s = set_of(key);
    struct tokens *t = tokens_create(cache);
    struct jws_thread *jt = jws_thread_create();
    unsigned times = key ? 300 : 5000;
    must(jt);
    for (int i = 0; i < ROUNDS; i++)
        cold[i] = first(t, jt, s, text, times);
    token_unref(verified(t, jt, s, text));
    for (int i = 0; i < ROUNDS; i++)
        warm[i] = again(t, text, 100000);
    qsort(cold, ROUNDS, sizeof *cold, by_size);
    qsort(warm, ROUNDS, sizeof *warm, by_size);
    printf("%-6s %4zu bytes  first %8.0f ns   again %5.0f ns\n", alg, text.n, cold[ROUNDS / 2],
           warm[ROUNDS / 2]);
    tokens_destroy(t);
    jws_thread_destroy(jt);
    key_set_unref(s);
    EVP_PKEY_free(key);
}

int main(void) {
    struct arena_cache cache;
    arena_cache_init(&cache);
    hash_seed(1, 2);
    measure("HS256", NULL, &cache);
    measure("RS256", EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048), &cache);
    measure("ES256", EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"), &cache);
    measure("EdDSA", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), &cache);
    arena_cache_finish(&cache);
    return 0;
}
