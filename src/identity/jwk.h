/*
 * jwk - one key: built from its parts, judged, bound to its algorithms. For jwks.c and jwks_pem.c.
 *
 * Everything that returns text returns NULL for "fine", else why the key must not verify (static).
 * Owner: the key set that is being read. Thread: that of the reader.
 */
#pragma once
#include "identity/jwks.h"

struct jwk_bytes { /* of base64url */
    unsigned char *p;
    size_t n;
};

/* Into out->pkey. */
const char *jwk_rsa(struct jwk *out, struct jwk_bytes n, struct jwk_bytes e);
const char *jwk_ec(struct jwk *out, struct span curve, struct jwk_bytes x, struct jwk_bytes y);
const char *jwk_okp(struct jwk *out, struct span curve, struct jwk_bytes x);

/* Judges out->pkey, whoever built it, and binds it: `said` is what its JWK says of algorithms (all
 * bits: nothing). */
const char *jwk_bind(struct jwk *out, uint32_t said, uint32_t accepted);
/* A shared secret: binds it and prepares its pads. */
const char *jwk_bind_secret(struct jwk *out, struct span secret, uint32_t said, uint32_t accepted);

void jwk_finish(struct jwk *k);
