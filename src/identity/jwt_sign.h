/*
 * jwt_sign - a compact JWS (RFC 7515) made with the gateway's own key: RS, PS, ES, EdDSA, HS.
 *
 * A key is bound to one algorithm when it is read; what does not fit is refused then. Owner: the
 * caller. Thread: a signer is one thread's.
 */
#pragma once
#include "base/arena.h"

struct jwt_signer;

enum { JWT_ALGORITHMS = 13 }; /* HS256 .. EdDSA, in the order of enum jwa */

/* `key`: a PEM with a private key, or the shared secret. NULL: *why says what is wrong (static). */
must_use struct jwt_signer *jwt_signer_create(unsigned algorithm, struct span key,
                                              const char **why);
void jwt_signer_destroy(struct jwt_signer *s); /* NULL is fine */
/* header.payload.signature in the arena; {NULL, 0}: no memory. `payload`: JSON; kid may be empty.
 */
must_use struct span jwt_sign(struct jwt_signer *s, struct arena *a, struct span kid,
                              struct span payload);
