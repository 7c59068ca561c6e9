#include "tls/server.h"
#include "base/env.h"
#include "tls/set.h"
#include "tls/stream.h"
#include <pthread.h>

enum { ROTATE_MS = 12 * 3600 * 1000 };

struct tls_server {
    atomic_uint refs;
    struct arena arena;
    struct tls_server_conf conf; /* a copy */
    struct tickets *tickets;
    pthread_mutex_t lock; /* of `set` */
    struct tls_set *set;
    _Atomic uint64_t same_policy; /* of all hosts, + 1; 0: they differ */
    pthread_mutex_t refreshing;   /* of the rest */
    struct stamps seen;           /* the files of `set` */
    struct refused refused;
};

/* ---- the configuration, which comes and goes with a snapshot ---- */

static void copy_client(struct arena *a, struct tls_client_conf *c) {
    c->ca = arena_span(a, c->ca);
    c->crl = arena_span(a, c->crl);
}

static void copy_cert(struct arena *a, struct tls_cert_conf *c) {
    struct span *names = arena_zero(a, (c->name_count + 1) * sizeof *names);
    c->certificate = arena_span(a, c->certificate);
    c->private_key = arena_span(a, c->private_key);
    c->ocsp = arena_span(a, c->ocsp);
    for (uint32_t i = 0; i < c->name_count; i++)
        names[i] = arena_span(a, c->names[i]);
    c->names = names;
    if (c->client) {
        struct tls_client_conf *own = arena_alloc(a, sizeof *own);
        *own = *c->client;
        copy_client(a, own);
        c->client = own;
    }
}

static void copy_conf(struct tls_server *s, const struct tls_server_conf *from) {
    struct arena *a = &s->arena;
    struct tls_cert_conf *cert = arena_alloc(a, from->cert_count * sizeof *cert);
    s->conf = *from;
    s->conf.name = arena_span(a, from->name);
    s->conf.ciphers = arena_span(a, from->ciphers);
    s->conf.cipher_suites = arena_span(a, from->cipher_suites);
    s->conf.curves = arena_span(a, from->curves);
    copy_client(a, &s->conf.client);
    for (uint32_t i = 0; i < from->cert_count; i++) {
        cert[i] = from->cert[i];
        copy_cert(a, &cert[i]);
    }
    s->conf.cert = cert;
}

/* ---- life ---- */

static void put_in_force(struct tls_server *s, struct tls_set *set) {
    uint64_t same = (uint64_t)set->host[0]->policy + 1;
    for (uint32_t i = 1; i < set->host_count; i++)
        if (set->host[i]->policy != set->host[0]->policy)
            same = 0;
    pthread_mutex_lock(&s->lock);
    struct tls_set *old = s->set;
    s->set = set;
    atomic_store(&s->same_policy, same);
    pthread_mutex_unlock(&s->lock);
    tls_set_unref(old);
}

struct tls_server *tls_server_create(const struct tls_server_conf *c, tls_problem_fn told,
                                     void *ctx) {
    struct teller t = {told, ctx, -1, false};
    struct tls_server *s = mem_alloc(sizeof *s);
    tls_init();
    atomic_init(&s->refs, 1);
    arena_init(&s->arena, NULL);
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->refreshing, NULL);
    copy_conf(s, c);
    s->tickets = tickets_get(s->conf.name);
    context_check(&s->conf, &t);
    struct tls_set *set = tls_set_build(&s->conf, s->tickets, &s->seen, &t);
    if (set) {
        put_in_force(s, set);
        return s;
    }
    tls_server_unref(s);
    return NULL;
}

void tls_server_ref(struct tls_server *s) {
    atomic_fetch_add(&s->refs, 1);
}

void tls_server_unref(struct tls_server *s) {
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    tls_set_unref(s->set);
    tickets_unref(s->tickets);
    stamps_finish(&s->seen);
    stamps_finish(&s->refused.files);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->refreshing);
    arena_finish(&s->arena);
    mem_free(s);
}

struct tls_set *tls_set_of(struct tls_server *s) {
    pthread_mutex_lock(&s->lock);
    struct tls_set *set = s->set;
    atomic_fetch_add(&set->refs, 1);
    pthread_mutex_unlock(&s->lock);
    return set;
}

/* ---- while it is in use ---- */

static int rebuild(struct tls_server *s, tls_problem_fn told, void *ctx) {
    struct notes *notes = mem_alloc(sizeof *notes);
    struct teller t = {note_problem, notes, -1, false};
    struct stamps seen = {0};
    struct tls_set *set = tls_set_build(&s->conf, s->tickets, &seen, &t);
    int result = set ? 1 : refused_is_news(&s->refused, &seen) ? -1 : 0;
    if (set) {
        put_in_force(s, set);
        stamps_finish(&s->seen);
        stamps_finish(&s->refused.files);
        s->seen = seen;
    }
    if (result)
        notes_tell(notes, told, ctx);
    mem_free(notes);
    return result;
}

int tls_server_refresh(struct tls_server *s, tls_problem_fn told, void *ctx) {
    pthread_mutex_lock(&s->refreshing);
    bool known = stamps_same(&s->seen) || refused_known(&s->refused);
    int result = known ? 0 : rebuild(s, told, ctx);
    pthread_mutex_unlock(&s->refreshing);
    return result;
}

void tls_server_rotate(struct tls_server *s, uint64_t now_ns) {
    tickets_rotate(s->tickets, now_ns,
                   s->conf.ticket_rotate_ms ? s->conf.ticket_rotate_ms : ROTATE_MS);
}

uint32_t tls_server_policy(struct tls_server *s, struct span host) {
    uint64_t same = atomic_load(&s->same_policy);
    if (same)
        return (uint32_t)(same - 1);
    struct tls_set *set = tls_set_of(s);
    uint32_t policy = tls_set_host(set, host)->policy;
    tls_set_unref(set);
    return policy;
}

static struct span joined(struct arena *a, const struct span *name, uint32_t n) {
    size_t max = 1;
    for (uint32_t i = 0; i < n; i++)
        max += name[i].n + 1;
    struct str s = str_on(arena_alloc(a, max), max);
    for (uint32_t i = 0; i < n; i++) {
        if (i)
            str_char(&s, ',');
        str_add(&s, name[i]);
    }
    return str_span(&s);
}

static void show(const struct tls_set *set, uint32_t i, tls_cert_fn fn, void *ctx) {
    const struct certificate *c = &set->cert[i];
    const struct tls_cert_conf *conf = &set->conf->cert[i];
    char kind[64], issuer[512];
    struct arena a;
    arena_init(&a, NULL);
    certificate_kind(c, kind, sizeof kind);
    X509_NAME_oneline(X509_get_issuer_name(c->leaf), issuer, sizeof issuer);
    struct tls_cert_state state = {
        .names = joined(&a, set->names[i], set->name_count[i]),
        .file = conf->certificate,
        .issuer = span_z(issuer),
        .kind = kind,
        .not_before = c->not_before,
        .not_after = c->not_after,
        .stapled = c->staple.n && c->staple_until > pem_now(),
        .client = conf->client ? conf->client->mode : set->conf->client.mode,
    };
    fn(ctx, &state);
    arena_finish(&a);
}

void tls_server_walk(struct tls_server *s, tls_cert_fn fn, void *ctx) {
    struct tls_set *set = tls_set_of(s);
    for (uint32_t i = 0; i < set->cert_count; i++)
        show(set, i, fn, ctx);
    tls_set_unref(set);
}

void tls_server_answering(struct tls_server *s, struct span host, tls_cert_fn fn, void *ctx) {
    struct tls_set *set = tls_set_of(s);
    const struct tls_host *h = tls_set_host(set, host);
    for (unsigned k = 0; k < SLOT_COUNT; k++)
        if (h->cert[k])
            show(set, (uint32_t)(h->cert[k] - set->cert), fn, ctx);
    tls_set_unref(set);
}

int tls_server_min_version(const struct tls_server *s) {
    return s->conf.min_version ? s->conf.min_version : TLS_1_2;
}
