/*
 * tls_actor - what an actor of a play needs to speak TLS: OpenSSL's own client or server over the
 * play's bytes, and certificates to show.
 *
 * After play_tls (play.h) everything that an actor says and hears goes through it; the play's lines
 * stay the same. Owner: the actor. Thread: one.
 */
#pragma once
#include "io/stream.h"

struct tls_actor;

struct tls_role {
    bool server;                  /* a service */
    const char *sni;              /* of a client; NULL: none */
    const char *alpn;             /* "h2,http/1.1"; NULL: none */
    const char *certificate;      /* PEM file of certificate and key; a client: NULL: shows none */
    int max_version;              /* TLS1_2_VERSION; 0: any */
    const struct tls_actor *from; /* resumes the session that this client had; NULL: a new one */
};

struct tls_actor *tls_actor_create(const struct tls_role *role);
void tls_actor_free(struct tls_actor *t);

/* One look at the handshake: `raw` has come (perhaps nothing). 1: done, -1: failed. */
int tls_actor_handshake(struct tls_actor *t, struct span raw);
/* Bytes for the wire that OpenSSL has made; 0: none. */
size_t tls_actor_wire(struct tls_actor *t, void *p, size_t max);
void tls_actor_encrypt(struct tls_actor *t, struct span plain);
/* `raw` has come. IO_AGAIN: no plain bytes yet; IO_END: the other side said goodbye. */
enum io_result tls_actor_decrypt(struct tls_actor *t, struct span raw, void *p, size_t max,
                                 size_t *got);
void tls_actor_ticket(struct tls_actor *t); /* TLS 1.3, a server: one more, though nobody asked */
void tls_actor_goodbye(struct tls_actor *t);

const char *tls_actor_alpn(const struct tls_actor *t);
bool tls_actor_resumed(const struct tls_actor *t);
const char *tls_actor_version(const struct tls_actor *t);

/* Writes a certificate for these names ("a.example,*.b.example"; the first is its common name) and
 * its key into one PEM file: P-256, good for a year, issued by the file's own authority, made with
 * the first of them and found at `<dir>/ca.pem`. Returns the path, good until the end. */
const char *tls_actor_certificate(const char *dir, const char *names);
void tls_actor_clear(const char *dir); /* removes them and the directory */
