/*
 * jwks - key sets: a JWKS (RFC 7517), one JWK, a PEM or a shared secret, read into keys that
 * verify.
 *
 * A key is bound to its algorithms when it is read (F01, F02): `alg` of the JWK, else those that
 * its type allows and the configuration accepts; nothing a token says changes that. Keys that must
 * not verify are refused and counted: RSA below 2048 bits or above 8192, even or small exponents,
 * points that are not on their curve, `use` other than sig, key_ops without verify, HS keys below
 * the hash's length, unknown types. Owner: counted atomically. Thread: built by one, then read by
 * all.
 */
#pragma once
#include "data/json.h"
#include <openssl/evp.h>
#include <stdatomic.h>

enum jwa {
    JWA_HS256,
    JWA_HS384,
    JWA_HS512,
    JWA_RS256,
    JWA_RS384,
    JWA_RS512,
    JWA_PS256,
    JWA_PS384,
    JWA_PS512,
    JWA_ES256,
    JWA_ES384,
    JWA_ES512,
    JWA_EDDSA,
    JWA_COUNT
};
struct span jwa_name(enum jwa a);
bool jwa_parse(struct span name, enum jwa *out);

enum { JWKS_KEYS_MAX = 64, JWKS_BYTES_MAX = 256 * 1024, KID_MAX = 256 };

struct jwk {
    struct span kid;     /* empty: none */
    uint32_t algorithms; /* bit per enum jwa */
    EVP_PKEY *pkey;      /* NULL for HS */
    struct span secret;  /* HS */
    void *prepared;      /* the verifier's own (HMAC pads), freed with the set */
};
struct key_set {
    atomic_uint refs;
    struct arena arena;
    const struct jwk *key;
    uint32_t count, refused; /* refused: keys that were there and must not verify */
    uint64_t generation;     /* no two sets of a process share one */
};

/* `accepted`: bit per algorithm. NULL: *why says what is wrong with the whole (static text). */
must_use struct key_set *key_set_read(struct span text, uint32_t accepted, const char **why);
void key_set_ref(struct key_set *s);
void key_set_unref(struct key_set *s);
