/*
 * set - the certificates of a listener as they were read at one time, and the virtual hosts that
 * they make: names that share certificates and client policy. Inside of this room.
 *
 * Immutable once built; a refresh builds another and swaps. Owner: counted. Thread: any.
 */
#pragma once
#include "base/arena.h"
#include "base/map.h"
#include "tls/pem.h"
#include "tls/tickets.h"

enum cert_slot { SLOT_ECDSA, SLOT_RSA, SLOT_OTHER, SLOT_COUNT };

struct tls_host {
    struct tls_set *set;
    SSL_CTX *ctx;
    const struct certificate *cert[SLOT_COUNT];
    const struct tls_client_conf *client;
    uint32_t policy;
    unsigned char context[32]; /* a session resumes only where this is equal (E07) */
};

struct tls_set {
    atomic_uint refs;
    struct arena arena;
    const struct tls_server_conf *conf; /* of the server, and so are the tickets */
    uint32_t cert_count;
    struct certificate *cert;
    struct span **names; /* of each */
    uint32_t *name_count;
    struct map hosts;       /* by name; "*.a.test" by that text */
    struct tls_host **host; /* all of them; the first is for all other names */
    uint32_t host_count;
    struct tickets *tickets;
};

/* One reference, or NULL: told. *seen: the files that were read, in both cases. */
must_use struct tls_set *tls_set_build(const struct tls_server_conf *conf, struct tickets *tickets,
                                       struct stamps *seen, struct teller *t);
void tls_set_unref(struct tls_set *s); /* NULL is fine */
/* Exact name, then a wildcard for its first label, then the first. */
struct tls_host *tls_set_host(const struct tls_set *s, struct span name);

/* The one in force, with a reference. */
struct tls_set *tls_set_of(struct tls_server *server);

/* context.c: an SSL_CTX for the host. False: told. */
must_use bool context_create(struct tls_host *h, const struct authority *a, struct teller *t);
/* What every context of this room has in common, a client's too. */
void context_lean(SSL_CTX *ctx);
must_use bool context_use(SSL_CTX *ctx, const struct certificate *c, struct teller *t);
/* The ciphers, suites and curves of the configuration exist. */
void context_check(const struct tls_server_conf *conf, struct teller *t);
