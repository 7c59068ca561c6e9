/*
 * trust - what connections to a service need of OpenSSL, as the files were read at one time. Inside
 * of this room. Immutable; a refresh makes another. Owner: counted. Thread: any.
 */
#pragma once
#include "tls/client.h"
#include "tls/session.h"

struct trust {
    atomic_uint refs;
    uint64_t number; /* of this reading: sessions of another are not resumed */
    bool verify;
    SSL_CTX *ctx;
};

/* The one in force, with a reference. */
struct trust *tls_client_trust(struct tls_client *c);
void trust_unref(struct trust *t); /* NULL is fine */
/* Name to ask for and to verify, and a session to resume. False: no memory. */
must_use bool trust_expect(const struct trust *t, struct session *s, struct span name);
