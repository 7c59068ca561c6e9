#include "identity/jwt_sign.h"
#include "base/env.h"
#include "data/base64.h"
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

enum family { HS, RS, PS, ES, ED };

static const struct alg {
    const char *name;
    enum family family;
    unsigned bits;  /* of the hash */
    unsigned field; /* ES: bits of the curve, whose numbers make up the signature */
} algs[JWT_ALGORITHMS] = {
    {"HS256", HS, 256, 0},   {"HS384", HS, 384, 0},   {"HS512", HS, 512, 0},
    {"RS256", RS, 256, 0},   {"RS384", RS, 384, 0},   {"RS512", RS, 512, 0},
    {"PS256", PS, 256, 0},   {"PS384", PS, 384, 0},   {"PS512", PS, 512, 0},
    {"ES256", ES, 256, 256}, {"ES384", ES, 384, 384}, {"ES512", ES, 512, 521},
    {"EdDSA", ED, 0, 0},
};

struct jwt_signer {
    const struct alg *alg;
    EVP_PKEY *pkey;     /* NULL for HS */
    struct span secret; /* HS; own memory */
};

enum { SIGNATURE_MAX = 1024, RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192 };

static const EVP_MD *hash_of(const struct alg *g) {
    return g->bits == 256 ? EVP_sha256() : g->bits == 384 ? EVP_sha384() : EVP_sha512();
}

/* ---- keys ---- */

static int no_password(char *buf, int size, int rwflag, void *ctx) {
    (void)buf, (void)size, (void)rwflag, (void)ctx;
    return -1; /* else OpenSSL would ask the terminal */
}

static const char *judge(const struct alg *g, EVP_PKEY *k) {
    int id = EVP_PKEY_get_base_id(k), bits = EVP_PKEY_get_bits(k);
    if (g->family == ED)
        return id == EVP_PKEY_ED25519 || id == EVP_PKEY_ED448
                   ? NULL
                   : "EdDSA needs an Ed25519 or Ed448 key";
    if (g->family == ES)
        return id == EVP_PKEY_EC && bits == (int)g->field
                   ? NULL
                   : "ES256, ES384 and ES512 need a key on P-256, P-384 or P-521";
    if (id != EVP_PKEY_RSA && !(g->family == PS && id == EVP_PKEY_RSA_PSS))
        return "RS and PS algorithms need an RSA key";
    return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX ? NULL : "an RSA key has 2048 to 8192 bits";
}

static const char *read_pem(struct jwt_signer *s, struct span pem) {
    BIO *bio = pem.n < (1u << 20) ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
    s->pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    return s->pkey ? judge(s->alg, s->pkey) : "this is no PEM with an unencrypted private key";
}

static const char *take_secret(struct jwt_signer *s, struct span secret) {
    if (secret.n * 8 < s->alg->bits)
        return "the secret is shorter than the hash (RFC 7518 3.2): 32 bytes for HS256, 48, 64";
    char *copy = mem_alloc(secret.n);
    memcpy(copy, secret.p, secret.n);
    s->secret = span_of(copy, secret.n);
    return NULL;
}

struct jwt_signer *jwt_signer_create(unsigned algorithm, struct span key, const char **why) {
    must(algorithm < JWT_ALGORITHMS);
    struct jwt_signer *s = mem_alloc(sizeof *s);
    s->alg = &algs[algorithm];
    *why = s->alg->family == HS ? take_secret(s, key) : read_pem(s, key);
    if (!*why)
        return s;
    jwt_signer_destroy(s);
    return NULL;
}

void jwt_signer_destroy(struct jwt_signer *s) {
    if (!s)
        return;
    EVP_PKEY_free(s->pkey);
    if (s->secret.p)
        OPENSSL_cleanse((void *)(uintptr_t)s->secret.p, s->secret.n);
    mem_free((void *)(uintptr_t)s->secret.p);
    mem_free(s);
}

/* ---- signing ---- */

static bool pss(const struct alg *g, EVP_PKEY_CTX *c) {
    return g->family != PS || (EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PSS_PADDING) == 1 &&
                               EVP_PKEY_CTX_set_rsa_pss_saltlen(c, RSA_PSS_SALTLEN_DIGEST) == 1);
}

static bool by_key(const struct jwt_signer *s, struct span text, unsigned char *out, size_t *n) {
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *c = NULL;
    const EVP_MD *hash = s->alg->family == ED ? NULL : hash_of(s->alg);
    *n = SIGNATURE_MAX;
    bool ok = md && EVP_DigestSignInit(md, &c, hash, NULL, s->pkey) == 1 && pss(s->alg, c) &&
              EVP_DigestSign(md, out, n, (const unsigned char *)text.p, text.n) == 1;
    EVP_MD_CTX_free(md);
    ERR_clear_error();
    return ok;
}

/* RFC 7518 3.4: two numbers of the curve's length, not DER. */
static bool der_to_raw(unsigned char *sig, size_t *n, unsigned field) {
    const unsigned char *p = sig;
    int size = (int)((field + 7) / 8);
    ECDSA_SIG *e = d2i_ECDSA_SIG(NULL, &p, (long)*n);
    bool ok = e && BN_bn2binpad(ECDSA_SIG_get0_r(e), sig, size) == size &&
              BN_bn2binpad(ECDSA_SIG_get0_s(e), sig + size, size) == size;
    ECDSA_SIG_free(e);
    *n = (size_t)size * 2;
    return ok;
}

static bool signature(const struct jwt_signer *s, struct span text, unsigned char *out, size_t *n) {
    unsigned len = 0;
    if (s->alg->family == HS) {
        bool ok = HMAC(hash_of(s->alg), s->secret.p, (int)s->secret.n,
                       (const unsigned char *)text.p, text.n, out, &len) != NULL;
        *n = len;
        return ok;
    }
    return by_key(s, text, out, n) && (s->alg->family != ES || der_to_raw(out, n, s->alg->field));
}

static void put(struct str *out, struct span bytes) {
    size_t n = base64_encode(BASE64_URL, bytes, out->p + out->n);
    out->n += n;
}

struct span jwt_sign(struct jwt_signer *s, struct arena *a, struct span kid, struct span payload) {
    unsigned char sig[SIGNATURE_MAX];
    size_t n, room = 64 + 6 * kid.n;
    char *h = arena_try(a, room);
    size_t max = base64_encode_max(room) + base64_encode_max(payload.n) +
                 base64_encode_max(SIGNATURE_MAX) + 2;
    char *all = h ? arena_try(a, max) : NULL;
    if (!all)
        return SPAN_NONE;
    struct str head = str_on(h, room), out = str_on(all, max);
    str_fmt(&head, "{\"alg\":\"%s\",\"typ\":\"JWT\"", s->alg->name);
    if (kid.n) {
        str_lit(&head, ",\"kid\":\"");
        str_json(&head, kid);
        str_char(&head, '"');
    }
    str_char(&head, '}');
    put(&out, str_span(&head));
    str_char(&out, '.');
    put(&out, payload);
    if (head.full || !signature(s, str_span(&out), sig, &n))
        return SPAN_NONE;
    str_char(&out, '.');
    put(&out, span_of((const char *)sig, n));
    return str_span(&out);
}
