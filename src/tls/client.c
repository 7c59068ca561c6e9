#include "tls/client.h"
#include "base/arena.h"
#include "base/env.h"
#include "tls/pem.h"
#include "tls/resume.h"
#include "tls/set.h"
#include "tls/trust.h"
#include "tls/verify.h"
#include <openssl/err.h>
#include <openssl/sha.h>
#include <pthread.h>

struct tls_client {
    atomic_uint refs;
    struct arena arena;
    struct tls_client_settings conf; /* a copy */
    uint64_t identity;
    pthread_mutex_t lock; /* of `trust` */
    struct trust *trust;
    pthread_mutex_t refreshing; /* of the rest */
    struct stamps seen;
    struct refused refused;
};

static atomic_uint_fast64_t numbers;

/* ---- building ---- */

static int keep_session(SSL *ssl, SSL_SESSION *s) {
    struct session *t = session_of(ssl);
    if (!t || !t->resume)
        return 0;
    resume_put(t->resume, s);
    return 1;
}

static bool set_trust(SSL_CTX *ctx, const struct tls_client_settings *c, unsigned char *digest,
                      struct stamps *seen, struct teller *t) {
    struct authority a = {0};
    if (c->insecure_skip_verify)
        return true;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, verify_told);
    if (!c->ca.n) {
        if (!SSL_CTX_set_default_verify_paths(ctx))
            tell(t, TLS_FILE_UNREADABLE, "ca",
                 "the certificates that the system trusts cannot be "
                 "read");
        return !t->failed;
    }
    bool good = authority_load(&a, c->ca, SPAN_NONE, seen, t);
    if (good) {
        SSL_CTX_set1_cert_store(ctx, a.store);
        memcpy(digest, a.digest, 32);
    }
    authority_finish(&a);
    return good;
}

static bool set_certificate(SSL_CTX *ctx, const struct tls_client_settings *c,
                            unsigned char *digest, struct stamps *seen, struct teller *t) {
    struct tls_cert_conf files = {.certificate = c->certificate, .private_key = c->private_key};
    struct certificate cert;
    if (!c->certificate.n)
        return true;
    bool good = certificate_load(&cert, &files, seen, t) && context_use(ctx, &cert, t);
    memcpy(digest, cert.digest, 32);
    certificate_finish(&cert);
    return good;
}

static void set_protocols(SSL_CTX *ctx, const struct tls_client_settings *c) {
    static const unsigned char both[] = "\x02h2\x08http/1.1";
    SSL_CTX_set_min_proto_version(ctx, c->min_version ? c->min_version : TLS_1_2);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:!PSK:!aNULL");
    SSL_CTX_set_ciphersuites(
        ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
    SSL_CTX_set1_groups_list(ctx, (char *)(uintptr_t) "X25519:P-256:P-384");
    if (c->offer_h2)
        SSL_CTX_set_alpn_protos(ctx, both, c->offer_h1 ? 12 : 3);
    else if (c->offer_h1)
        SSL_CTX_set_alpn_protos(ctx, both + 3, 9);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    SSL_CTX_set_info_callback(ctx, session_watch);
}

/* NULL: told. `digest`: 64 bytes that stand for the contents of its files. */
static struct trust *build(const struct tls_client_settings *c, unsigned char digest[64],
                           struct stamps *seen, struct teller *t) {
    struct trust *trust = mem_alloc(sizeof *trust);
    atomic_init(&trust->refs, 1);
    trust->number = atomic_fetch_add(&numbers, 1) + 1;
    trust->verify = !c->insecure_skip_verify;
    trust->ctx = SSL_CTX_new(TLS_client_method());
    must(trust->ctx);
    context_lean(trust->ctx);
    set_protocols(trust->ctx, c);
    memset(digest, 0, 64);
    bool ca = set_trust(trust->ctx, c, digest, seen, t);
    bool own = set_certificate(trust->ctx, c, digest + 32, seen, t);
    ERR_clear_error();
    if (ca && own && !t->failed)
        return trust;
    trust_unref(trust);
    return NULL;
}

/* Settings and contents: what a connection was verified with, and whom it shows. */
static uint64_t identity_of(const struct tls_client_settings *c, const unsigned char digest[64]) {
    struct arena a;
    unsigned char d[32];
    uint64_t id;
    arena_init(&a, NULL);
    struct span text =
        span_z(arena_fmt(&a, "%.*s|%.*s|%.*s|%.*s|%d|%d%d%d", SPAN_ARG(c->ca), SPAN_ARG(c->name),
                         SPAN_ARG(c->certificate), SPAN_ARG(c->private_key), c->min_version,
                         c->insecure_skip_verify, c->offer_h2, c->offer_h1));
    unsigned char *all = arena_alloc(&a, text.n + 64);
    memcpy(all, digest, 64);
    memcpy(all + 64, text.p, text.n);
    SHA256(all, text.n + 64, d);
    memcpy(&id, d, sizeof id);
    arena_finish(&a);
    return id ? id : 1;
}

static void copy_conf(struct tls_client *c, const struct tls_client_settings *from) {
    struct arena *a = &c->arena;
    c->conf = *from;
    c->conf.ca = arena_span(a, from->ca);
    c->conf.name = arena_span(a, from->name);
    c->conf.certificate = arena_span(a, from->certificate);
    c->conf.private_key = arena_span(a, from->private_key);
}

/* ---- life ---- */

struct tls_client *tls_client_create(const struct tls_client_settings *s, tls_problem_fn told,
                                     void *ctx) {
    struct teller t = {told, ctx, -1, false};
    struct tls_client *c = mem_alloc(sizeof *c);
    unsigned char digest[64];
    tls_init();
    atomic_init(&c->refs, 1);
    arena_init(&c->arena, NULL);
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_init(&c->refreshing, NULL);
    copy_conf(c, s);
    c->trust = build(&c->conf, digest, &c->seen, &t);
    c->identity = identity_of(&c->conf, digest);
    if (c->trust)
        return c;
    tls_client_unref(c);
    return NULL;
}

void tls_client_ref(struct tls_client *c) {
    atomic_fetch_add(&c->refs, 1);
}

void tls_client_unref(struct tls_client *c) {
    if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    trust_unref(c->trust);
    stamps_finish(&c->seen);
    stamps_finish(&c->refused.files);
    pthread_mutex_destroy(&c->lock);
    pthread_mutex_destroy(&c->refreshing);
    arena_finish(&c->arena);
    mem_free(c);
}

struct trust *tls_client_trust(struct tls_client *c) {
    pthread_mutex_lock(&c->lock);
    struct trust *t = c->trust;
    atomic_fetch_add(&t->refs, 1);
    pthread_mutex_unlock(&c->lock);
    return t;
}

static void put_in_force(struct tls_client *c, struct trust *next, const struct stamps *seen) {
    pthread_mutex_lock(&c->lock);
    struct trust *old = c->trust;
    c->trust = next;
    pthread_mutex_unlock(&c->lock);
    trust_unref(old);
    stamps_finish(&c->seen);
    stamps_finish(&c->refused.files);
    c->seen = *seen;
}

static int rebuild(struct tls_client *c, tls_problem_fn told, void *ctx) {
    struct notes *notes = mem_alloc(sizeof *notes);
    struct teller t = {note_problem, notes, -1, false};
    struct stamps seen = {0};
    unsigned char digest[64];
    struct trust *next = build(&c->conf, digest, &seen, &t);
    int result = next ? 1 : refused_is_news(&c->refused, &seen) ? -1 : 0;
    if (next)
        put_in_force(c, next, &seen);
    if (result)
        notes_tell(notes, told, ctx);
    mem_free(notes);
    return result;
}

int tls_client_refresh(struct tls_client *c, tls_problem_fn told, void *ctx) {
    pthread_mutex_lock(&c->refreshing);
    bool known = stamps_same(&c->seen) || refused_known(&c->refused);
    int result = known ? 0 : rebuild(c, told, ctx);
    pthread_mutex_unlock(&c->refreshing);
    return result;
}

uint64_t tls_client_identity(const struct tls_client *c) {
    return c->identity;
}

struct span tls_client_name(const struct tls_client *c) {
    return c->conf.name;
}
