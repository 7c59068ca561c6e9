#include "identity/jwk.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192, EXPONENT_BITS_MAX = 64, HASH_BLOCK_MAX = 144 };

#define NO_MEMORY "there is no memory for it"

/* ---- names ------------------------------------------------------------------------------------
 */

static const char *const names[JWA_COUNT] = {"HS256", "HS384", "HS512", "RS256", "RS384",
                                             "RS512", "PS256", "PS384", "PS512", "ES256",
                                             "ES384", "ES512", "EdDSA"};

struct span jwa_name(enum jwa a) {
    return span_z(names[a]);
}

bool jwa_parse(struct span name, enum jwa *out) {
    for (int i = 0; i < JWA_COUNT; i++)
        if (span_eq(name, span_z(names[i]))) {
            *out = (enum jwa)i;
            return true;
        }
    return false;
}

enum jwa_hash jwa_hash(enum jwa a) {
    return (enum jwa_hash)(a % 3); /* every family lists its three in this order */
}

size_t jwa_hash_len(enum jwa_hash h) {
    static const size_t len[JWA_HASHES] = {32, 48, 64};
    return len[h];
}

const char *jwa_hash_name(enum jwa_hash h) {
    static const char *const name[JWA_HASHES] = {"SHA256", "SHA384", "SHA512"};
    return name[h];
}

/* ---- building ---------------------------------------------------------------------------------
 */

/* Takes over `build`. Values that OpenSSL itself finds impossible are refused here. */
static const char *from_data(struct jwk *out, const char *type, OSSL_PARAM_BLD *build,
                             const char *why) {
    OSSL_PARAM *params = build ? OSSL_PARAM_BLD_to_param(build) : NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    bool fine = params && ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
                EVP_PKEY_fromdata(ctx, &out->pkey, EVP_PKEY_PUBLIC_KEY, params) == 1;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    ERR_clear_error();
    return fine ? NULL : why;
}

const char *jwk_rsa(struct jwk *out, struct jwk_bytes n, struct jwk_bytes e) {
    if (n.n > RSA_BITS_MAX / 8 + 1 || e.n > EXPONENT_BITS_MAX / 8)
        return "an RSA modulus or exponent is too large";
    BIGNUM *bn = BN_bin2bn(n.p, (int)n.n, NULL), *be = BN_bin2bn(e.p, (int)e.n, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    bool fine = bn && be && build && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, bn) &&
                OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, be);
    const char *why = NO_MEMORY;
    if (fine)
        why = from_data(out, "RSA", build, "an RSA key is malformed");
    else
        OSSL_PARAM_BLD_free(build);
    BN_free(bn);
    BN_free(be);
    return why;
}

static const struct curve {
    const char *name, *openssl;
    enum jwa algorithm;
    unsigned len; /* of a coordinate, of r and of s */
} curves[] = {{"P-256", "prime256v1", JWA_ES256, 32},
              {"P-384", "secp384r1", JWA_ES384, 48},
              {"P-521", "secp521r1", JWA_ES512, 66}};

const char *jwk_ec(struct jwk *out, struct span curve, struct jwk_bytes x, struct jwk_bytes y) {
    const struct curve *c = NULL;
    for (size_t i = 0; i < array_len(curves); i++)
        if (span_eq(curve, span_z(curves[i].name)))
            c = &curves[i];
    if (!c)
        return "its curve is not P-256, P-384 or P-521";
    if (x.n != c->len || y.n != c->len)
        return "a coordinate has not the length of its curve";
    unsigned char point[1 + 2 * JWK_SCALAR_MAX];
    point[0] = 4; /* uncompressed */
    memcpy(point + 1, x.p, c->len);
    memcpy(point + 1 + c->len, y.p, c->len);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    if (!build ||
        !OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, c->openssl, 0) ||
        !OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * c->len)) {
        OSSL_PARAM_BLD_free(build);
        return NO_MEMORY;
    }
    return from_data(out, "EC", build, "its point is not on its curve");
}

const char *jwk_okp(struct jwk *out, struct span curve, struct jwk_bytes x) {
    bool small = span_eq(curve, SPAN("Ed25519")), large = span_eq(curve, SPAN("Ed448"));
    if (!small && !large)
        return "its curve is not Ed25519 or Ed448";
    if (x.n != (small ? 32 : 57))
        return "its public key has not the length of its curve";
    out->pkey =
        EVP_PKEY_new_raw_public_key(small ? EVP_PKEY_ED25519 : EVP_PKEY_ED448, NULL, x.p, x.n);
    ERR_clear_error();
    return out->pkey ? NULL : "its public key is malformed";
}

/* ---- judging ----------------------------------------------------------------------------------
 */

/* Keys of a library whose primes were powers of 65537 modulo the product of small primes can be
 * factored (CVE-2017-15361): then so is n, modulo each of them. Others pass all by chance once in
 * 2^27. */
static bool is_roca(const BIGNUM *n) {
    static const unsigned char primes[] = {
        3,  5,  7,  11, 13, 17,  19,  23,  29,  31,  37,  41,  43,  47,  53,  59,  61,  67,  71,
        73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167};
    for (size_t i = 0; i < sizeof primes; i++) {
        unsigned p = primes[i], rest = (unsigned)BN_mod_word(n, p), power = 1;
        do
            power = power * (65537 % p) % p;
        while (power != 1 && power != rest);
        if (power != rest)
            return false;
    }
    return true;
}

static const char *judge_rsa_parts(const BIGNUM *n, const BIGNUM *e) {
    int bits = BN_num_bits(n);
    if (bits < RSA_BITS_MIN)
        return "an RSA key is shorter than 2048 bits";
    if (bits > RSA_BITS_MAX)
        return "an RSA key is longer than 8192 bits";
    if (!BN_is_odd(n))
        return "an RSA modulus is even";
    if (!BN_is_odd(e) || BN_num_bits(e) < 2 || BN_num_bits(e) > EXPONENT_BITS_MAX)
        return "an RSA exponent is even, 1, or too large";
    return is_roca(n) ? "an RSA key can be factored (ROCA)" : NULL;
}

static const char *judge_rsa(struct jwk *k) {
    BIGNUM *n = NULL, *e = NULL;
    const char *why = "an RSA key is malformed";
    if (EVP_PKEY_get_bn_param(k->pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
        EVP_PKEY_get_bn_param(k->pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1) {
        why = judge_rsa_parts(n, e);
        k->signature_len = ((unsigned)BN_num_bits(n) + 7) / 8;
    }
    BN_free(n);
    BN_free(e);
    return why;
}

static bool curve_order(struct jwk *k, const struct curve *c) {
    EC_GROUP *g = EC_GROUP_new_by_curve_name(OBJ_txt2nid(c->openssl));
    const BIGNUM *order = g ? EC_GROUP_get0_order(g) : NULL;
    bool fine = order && BN_bn2binpad(order, k->order, (int)c->len) == (int)c->len;
    EC_GROUP_free(g);
    return fine;
}

static const char *judge_ec(struct jwk *k, uint32_t *able) {
    char name[32];
    size_t n = 0;
    const struct curve *c = NULL;
    if (EVP_PKEY_get_group_name(k->pkey, name, sizeof name, &n) == 1)
        for (size_t i = 0; i < array_len(curves); i++)
            if (strcmp(name, curves[i].openssl) == 0)
                c = &curves[i];
    if (!c)
        return "its curve is not P-256, P-384 or P-521";
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL);
    bool fine = ctx && EVP_PKEY_public_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (!fine)
        return "its point is not on its curve";
    *able = 1u << c->algorithm;
    k->signature_len = 2 * c->len;
    return curve_order(k, c) ? NULL : NO_MEMORY;
}

static const char *judge(struct jwk *k, uint32_t *able) {
    if (EVP_PKEY_is_a(k->pkey, "RSA") || EVP_PKEY_is_a(k->pkey, "RSA-PSS")) {
        *able = EVP_PKEY_is_a(k->pkey, "RSA") ? JWA_RS | JWA_PS : JWA_PS;
        return judge_rsa(k);
    }
    if (EVP_PKEY_is_a(k->pkey, "EC"))
        return judge_ec(k, able);
    if (!EVP_PKEY_is_a(k->pkey, "ED25519") && !EVP_PKEY_is_a(k->pkey, "ED448"))
        return "its type is not one that signs tokens";
    *able = 1u << JWA_EDDSA;
    k->signature_len = EVP_PKEY_is_a(k->pkey, "ED25519") ? 64 : 114;
    return NULL;
}

/* What a newer set's key must share with this one to be the same. */
static bool print_of(struct jwk *k, const void *material, size_t n) {
    unsigned char hash[EVP_MAX_MD_SIZE];
    uint32_t kid_len = (uint32_t)k->kid.n;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool fine = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(md, &kid_len, sizeof kid_len) == 1 &&
                EVP_DigestUpdate(md, k->kid.p, k->kid.n) == 1 &&
                EVP_DigestUpdate(md, &k->algorithms, sizeof k->algorithms) == 1 &&
                EVP_DigestUpdate(md, material, n) == 1 && EVP_DigestFinal_ex(md, hash, NULL) == 1;
    EVP_MD_CTX_free(md);
    if (fine)
        memcpy(k->print, hash, sizeof k->print);
    return fine;
}

static const char *choose(struct jwk *k, uint32_t able, uint32_t said, uint32_t accepted) {
    if (!(able & said))
        return "its alg does not fit its type";
    k->algorithms = able & said & accepted;
    return k->algorithms ? NULL : "its algorithm is not among those that are accepted";
}

const char *jwk_bind(struct jwk *k, uint32_t said, uint32_t accepted) {
    uint32_t able = 0;
    const char *why = judge(k, &able);
    ERR_clear_error();
    if (!why)
        why = choose(k, able, said, accepted);
    if (why)
        return why;
    unsigned char *der = NULL;
    int n = i2d_PUBKEY(k->pkey, &der);
    bool fine = n > 0 && print_of(k, der, (size_t)n);
    OPENSSL_free(der);
    return fine ? NULL : NO_MEMORY;
}

/* ---- shared secrets ---------------------------------------------------------------------------
 */

static EVP_MD_CTX *pad(const EVP_MD *md, const unsigned char *key, unsigned char with) {
    unsigned char block[HASH_BLOCK_MAX];
    size_t n = (size_t)EVP_MD_get_block_size(md);
    for (size_t i = 0; i < n; i++)
        block[i] = key[i] ^ with;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool fine =
        ctx && EVP_DigestInit_ex(ctx, md, NULL) == 1 && EVP_DigestUpdate(ctx, block, n) == 1;
    OPENSSL_cleanse(block, sizeof block);
    if (fine)
        return ctx;
    EVP_MD_CTX_free(ctx);
    return NULL;
}

/* RFC 2104: both pads are a block each, so their hashes are the same for every token. */
static bool prepare(struct hmac_pads *out, enum jwa_hash h, struct span secret) {
    unsigned char key[HASH_BLOCK_MAX] = {0};
    EVP_MD *md = EVP_MD_fetch(NULL, jwa_hash_name(h), NULL);
    bool fine = md != NULL;
    if (fine && secret.n > (size_t)EVP_MD_get_block_size(md))
        fine = EVP_Digest(secret.p, secret.n, key, NULL, md, NULL) == 1;
    else if (fine)
        memcpy(key, secret.p, secret.n);
    if (fine)
        *out = (struct hmac_pads){pad(md, key, 0x36), pad(md, key, 0x5c)};
    OPENSSL_cleanse(key, sizeof key);
    EVP_MD_free(md);
    return fine && out->inner && out->outer;
}

const char *jwk_bind_secret(struct jwk *k, struct span secret, uint32_t said, uint32_t accepted) {
    uint32_t able = 0;
    for (unsigned a = JWA_HS256; a <= JWA_HS512; a++)
        if (secret.n >= jwa_hash_len(jwa_hash((enum jwa)a)))
            able |= 1u << a;
    if (!(said & JWA_HS))
        return "its alg does not fit its type";
    if (!(able & said))
        return "a shared secret is shorter than its hash (RFC 7518 3.2: 32 bytes for HS256)";
    const char *why = choose(k, able, said, accepted);
    for (unsigned a = JWA_HS256; !why && a <= JWA_HS512; a++)
        if (k->algorithms >> a & 1 &&
            !prepare(&k->pads[jwa_hash((enum jwa)a)], jwa_hash((enum jwa)a), secret))
            why = NO_MEMORY;
    if (!why && !print_of(k, secret.p, secret.n))
        why = NO_MEMORY;
    return why;
}

void jwk_finish(struct jwk *k) {
    EVP_PKEY_free(k->pkey);
    for (int h = 0; h < JWA_HASHES; h++) {
        EVP_MD_CTX_free(k->pads[h].inner);
        EVP_MD_CTX_free(k->pads[h].outer);
    }
    k->pkey = NULL;
    memset(k->pads, 0, sizeof k->pads);
}
