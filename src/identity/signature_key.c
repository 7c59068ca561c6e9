#include "identity/message_signature.h"
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

/* The keys that requests are signed with: each good for one algorithm alone. */

enum { HMAC_MIN = 32, RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192 };

struct span signing_name(enum signing_algorithm algorithm) {
    static const struct span names[] = {
        [SIGN_HMAC_SHA256] = SPAN("hmac-sha256"),
        [SIGN_ED25519] = SPAN("ed25519"),
        [SIGN_ECDSA_P256_SHA256] = SPAN("ecdsa-p256-sha256"),
        [SIGN_ECDSA_P384_SHA384] = SPAN("ecdsa-p384-sha384"),
        [SIGN_RSA_PSS_SHA512] = SPAN("rsa-pss-sha512"),
        [SIGN_RSA_V1_5_SHA256] = SPAN("rsa-v1_5-sha256"),
    };
    return names[algorithm];
}

static EVP_PKEY *public_key(struct span pem) {
    BIO *b = BIO_new_mem_buf(pem.p, (int)pem.n);
    EVP_PKEY *key = b ? PEM_read_bio_PUBKEY(b, NULL, NULL, NULL) : NULL;
    BIO_free(b);
    ERR_clear_error();
    return key;
}

static bool on_curve(EVP_PKEY *key, const char *curve) {
    char name[64];
    size_t n = 0;
    return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, name, sizeof name, &n) == 1 &&
           strcmp(name, curve) == 0;
}

static bool good_rsa(EVP_PKEY *key, bool pss) {
    int bits = EVP_PKEY_get_bits(key);
    return (EVP_PKEY_is_a(key, "RSA") || (pss && EVP_PKEY_is_a(key, "RSA-PSS"))) &&
           bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX;
}

static bool suits(EVP_PKEY *key, enum signing_algorithm algorithm) {
    switch (algorithm) {
    case SIGN_HMAC_SHA256:
        return false;
    case SIGN_ED25519:
        return EVP_PKEY_is_a(key, "ED25519");
    case SIGN_ECDSA_P256_SHA256:
        return on_curve(key, "prime256v1");
    case SIGN_ECDSA_P384_SHA384:
        return on_curve(key, "secp384r1");
    case SIGN_RSA_PSS_SHA512:
        return good_rsa(key, true);
    case SIGN_RSA_V1_5_SHA256:
        return good_rsa(key, false);
    }
    return false;
}

EVP_PKEY *signature_key(enum signing_algorithm algorithm, struct span pem, const char **why) {
    *why = NULL;
    if (algorithm == SIGN_HMAC_SHA256) {
        if (pem.n < HMAC_MIN)
            *why = "a secret for hmac-sha256 has 32 bytes or more";
        return NULL;
    }
    EVP_PKEY *key = public_key(pem);
    if (!key) {
        *why = "a signature key is no public key in PEM (-----BEGIN PUBLIC KEY-----)";
        return NULL;
    }
    if (suits(key, algorithm))
        return key;
    *why = "a signature key does not suit its algorithm, or is weaker than 2048 bits of RSA";
    EVP_PKEY_free(key);
    return NULL;
}

/* ---- verifying ----------------------------------------------------------------------------------
 */

static bool verify_hmac(struct span secret, struct span base, struct span signature) {
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    return HMAC(EVP_sha256(), secret.p, (int)secret.n, (const unsigned char *)base.p, base.n, mac,
                &n) &&
           n == signature.n && CRYPTO_memcmp(mac, signature.p, n) == 0;
}

/* r and s, each of the curve's length, become DER (its length is judged before). */
static unsigned char *ecdsa_der(struct span raw, size_t half, int *len) {
    if (raw.n != 2 * half)
        return NULL;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn((const unsigned char *)raw.p, (int)half, NULL);
    BIGNUM *s = BN_bin2bn((const unsigned char *)raw.p + half, (int)half, NULL);
    unsigned char *der = NULL;
    if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
        *len = i2d_ECDSA_SIG(sig, &der);
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(sig);
    return der;
}

static const EVP_MD *digest_of(enum signing_algorithm algorithm) {
    switch (algorithm) {
    case SIGN_ED25519:
        return NULL;
    case SIGN_ECDSA_P384_SHA384:
        return EVP_sha384();
    case SIGN_RSA_PSS_SHA512:
        return EVP_sha512();
    case SIGN_HMAC_SHA256:
    case SIGN_ECDSA_P256_SHA256:
    case SIGN_RSA_V1_5_SHA256:
        break;
    }
    return EVP_sha256();
}

static bool verify_with(EVP_PKEY *key, enum signing_algorithm algorithm, struct span base,
                        struct span signature) {
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    EVP_PKEY_CTX *k = NULL;
    bool fine = c && EVP_DigestVerifyInit(c, &k, digest_of(algorithm), NULL, key) == 1;
    if (fine && algorithm == SIGN_RSA_PSS_SHA512)
        fine = EVP_PKEY_CTX_set_rsa_padding(k, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(k, 64) == 1;
    fine = fine && EVP_DigestVerify(c, (const unsigned char *)signature.p, signature.n,
                                    (const unsigned char *)base.p, base.n) == 1;
    EVP_MD_CTX_free(c);
    ERR_clear_error();
    return fine;
}

bool signature_verify(const struct consumer_signing *key, EVP_PKEY *pkey, struct span base,
                      struct span signature) {
    bool p256 = key->algorithm == SIGN_ECDSA_P256_SHA256;
    if (key->algorithm == SIGN_HMAC_SHA256)
        return verify_hmac(key->key, base, signature);
    if (!p256 && key->algorithm != SIGN_ECDSA_P384_SHA384)
        return pkey && verify_with(pkey, key->algorithm, base, signature);
    int n = 0;
    unsigned char *der = ecdsa_der(signature, p256 ? 32 : 48, &n);
    bool fine = der && n > 0 && pkey &&
                verify_with(pkey, key->algorithm, base, span_of((char *)der, (size_t)n));
    OPENSSL_free(der);
    return fine;
}
