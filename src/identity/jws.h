/*
 * jws - a compact JWS (RFC 7515): taken apart, and its signature verified.
 *
 * What a token says of itself chooses among keys and never trust: `alg` must be one of the key's
 * own, `kid` is looked up in the set and nowhere else, jku, x5u, jwk and x5c are ignored, crit and
 * b64 are refused. Base64url is canonical, JSON unique and flat, and every length is checked before
 * anything is converted. RFC 7518, 8037, 8725. Owner: a jws borrows its token and the arena.
 * Thread: the one of its jws_thread.
 */
#pragma once
#include "http/fault.h"
#include "identity/jwks.h"

enum {
    JWS_DEPTH_MAX = 16,
    JWS_NODES_MAX = 2048,
    JWS_SIGNATURE_MAX = 1024, /* bytes: RSA of 8192 bits */
    JWS_TRIES_MAX = 4         /* keys tried where the token names none */
};

struct jws {
    struct span signed_part; /* header.payload, as they came */
    struct span header64, payload64, signature64;
    struct value header; /* a map */
    enum jwa algorithm;
    struct span kid; /* p NULL: none */
    bool embeds;     /* jku, x5u, jwk or x5c: ignored, but somebody may be trying something */
};

/* FAULT_NONE, _JWT_FORMAT, _JWT_ALG, _JWT_CRIT; *why: for the log, static. The signature is not yet
 * looked at. */
must_use enum fault jws_read(struct arena *a, struct span token, struct jws *out, const char **why);

/* What a thread keeps ready: digests, and contexts of the keys that it used lately. */
struct jws_thread;
must_use struct jws_thread *jws_thread_create(void); /* NULL: no memory */
void jws_thread_destroy(struct jws_thread *t);       /* NULL is fine */

/* FAULT_NONE (*by: the key), _JWT_KEY, _JWT_ALG, _JWT_SIGNATURE, _JWT_FORMAT. *newer: a newer set
 * might say otherwise (its kid is not in this one, or it names none). */
must_use enum fault jws_verify(struct jws_thread *t, const struct key_set *s, const struct jws *j,
                               const struct jwk **by, bool *newer);

/* The payload's bytes, into the arena. False: not canonical. */
must_use bool jws_payload(struct arena *a, const struct jws *j, struct span *out);
