/*
 * jwks - key sets: a JWKS (RFC 7517), one JWK, a PEM or a shared secret, read into keys that
 * verify.
 *
 * A key is bound to its algorithms when it is read (F01, F02): `alg` of the JWK, else those that
 * its type allows and the configuration accepts; nothing a token says changes that. Keys that must
 * not verify are refused and counted: RSA below 2048 bits or above 8192, even or small exponents,
 * weak by construction (ROCA), points that are not on their curve, `use` other than sig, key_ops
 * without verify, private keys, HS keys below the hash's length, unknown types, two keys of one
 * kid and algorithm, and shared secrets beside public keys. Owner: counted atomically. Thread:
 * built by one, then read by all.
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
bool jwa_parse(struct span name, enum jwa *out); /* exact case; "none" is none */

enum {
    JWA_HS = 1 << JWA_HS256 | 1 << JWA_HS384 | 1 << JWA_HS512,
    JWA_RS = 1 << JWA_RS256 | 1 << JWA_RS384 | 1 << JWA_RS512,
    JWA_PS = 1 << JWA_PS256 | 1 << JWA_PS384 | 1 << JWA_PS512,
    JWA_ES = 1 << JWA_ES256 | 1 << JWA_ES384 | 1 << JWA_ES512,
    JWA_PUBLIC = JWA_RS | JWA_PS | JWA_ES | 1 << JWA_EDDSA,
    JWA_ALL = JWA_HS | JWA_PUBLIC
};
enum jwa_hash { JWA_SHA256, JWA_SHA384, JWA_SHA512, JWA_HASHES };
/* Not of JWA_EDDSA, whose hash is its own matter. */
enum jwa_hash jwa_hash(enum jwa a);
size_t jwa_hash_len(enum jwa_hash h);
const char *jwa_hash_name(enum jwa_hash h); /* as OpenSSL calls it */

enum { JWKS_KEYS_MAX = 64, JWKS_BYTES_MAX = 256 * 1024, KID_MAX = 256, JWK_SCALAR_MAX = 66 };

struct hmac_pads { /* a secret's two pads, hashed once; copied for each token */
    EVP_MD_CTX *inner, *outer;
};
struct jwk {
    struct span kid;                     /* empty: none */
    uint32_t algorithms;                 /* bit per enum jwa */
    EVP_PKEY *pkey;                      /* NULL for HS */
    struct hmac_pads pads[JWA_HASHES];   /* HS: of its algorithms */
    unsigned char order[JWK_SCALAR_MAX]; /* ES: of the curve; r and s are smaller */
    unsigned signature_len;              /* exact, of everything but HS */
    unsigned char print[16]; /* of kid, algorithms and material: the same key in a newer set */
};
struct key_set {
    atomic_uint refs;
    struct arena arena;
    const struct jwk *key;
    uint32_t count, refused; /* refused: keys that were there and must not verify */
    const char *refused_why; /* of the last such; static text */
    struct value discovery;  /* its issuer's discovery document, a map; null: not by discovery */
    uint64_t generation;     /* no two sets of a process share one */
};

/* A JWKS or one JWK: what comes from elsewhere is nothing but JSON. `accepted`: bit per algorithm.
 * NULL: *why says what is wrong with the whole (static text). */
must_use struct key_set *key_set_read(struct span text, uint32_t accepted, const char **why);
/* What an operator wrote: also PEM (public keys, certificates; any number) and, where nothing else
 * fits, the bytes of a shared secret. A PEM is never a secret (F02). */
must_use struct key_set *key_set_read_local(struct span text, uint32_t accepted, const char **why);
void key_set_ref(struct key_set *s);
void key_set_unref(struct key_set *s); /* NULL is fine */
