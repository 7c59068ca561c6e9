/*
 * tls/client - what connections to a service need to speak TLS: whom to trust, which name to
 * expect, what to show.
 *
 * The peer is always verified: chain and name. There is one switch to turn that off, named so that
 * nobody sets it by accident (insecure_skip_verify). Sessions are kept for resumption, a few per
 * service and thread. Owner: counted. Thread: any.
 */
#pragma once
#include "tls/server.h"

struct tls_client;

struct tls_client_settings {
    struct span ca;   /* file; empty: the system's */
    struct span name; /* the name that the certificate must have, and the SNI; empty: the
                       * endpoint's host */
    struct span certificate, private_key; /* shown to the service; empty: none */
    int min_version;                      /* 0: TLS_1_2 */
    bool insecure_skip_verify;
    bool offer_h2, offer_h1; /* ALPN; both: h2 is preferred */
};

must_use struct tls_client *tls_client_create(const struct tls_client_settings *s,
                                              tls_problem_fn told, void *ctx);
void tls_client_ref(struct tls_client *c);
void tls_client_unref(struct tls_client *c);
int tls_client_refresh(struct tls_client *c, tls_problem_fn told, void *ctx);
/* Equal numbers: connections made with one may be used for the other. */
uint64_t tls_client_identity(const struct tls_client *c);
/* A name is verified: the configured one. {NULL,0}: that of the endpoint. */
struct span tls_client_name(const struct tls_client *c);
