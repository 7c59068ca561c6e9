#include "tls/set.h"
#include "base/env.h"
#include <openssl/sha.h>
#include <openssl/x509v3.h>

enum { DEPTH = 4 };

/* Who claims a name: a certificate of each kind. */
struct claim {
    struct span name;
    uint32_t cert[SLOT_COUNT]; /* place + 1; 0: none */
    struct claim *next;
};

struct builder {
    struct tls_set *set;
    struct teller *t;
    struct stamps *seen;
    struct map claims; /* by name */
    struct claim *first, **end;
    struct authority *authority; /* of conf.client (the first) and of each certificate's own */
};

static enum cert_slot slot_of(const struct certificate *c) {
    EVP_PKEY *k = X509_get0_pubkey(c->leaf);
    return !k                        ? SLOT_OTHER
           : EVP_PKEY_is_a(k, "EC")  ? SLOT_ECDSA
           : EVP_PKEY_is_a(k, "RSA") ? SLOT_RSA
                                     : SLOT_OTHER;
}

static const struct tls_client_conf *client_of(const struct tls_set *s, uint32_t i) {
    return s->conf->cert[i].client ? s->conf->cert[i].client : &s->conf->client;
}

/* ---- names ---- */

static bool plain_name(struct span n) {
    for (size_t i = 0; i < n.n; i++) {
        char c = lower(n.p[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
              c == '_' || (c == '*' && i == 0 && n.n > 2 && n.p[1] == '.')))
            return false;
    }
    return n.n > 0 && n.n <= 253;
}

static void add_name(struct tls_set *s, uint32_t i, struct span name) {
    if (!plain_name(name) || s->name_count[i] >= TLS_NAMES_MAX)
        return;
    char *p = arena_text(&s->arena, name);
    for (size_t k = 0; k < name.n; k++)
        p[k] = lower(p[k]);
    for (uint32_t k = 0; k < s->name_count[i]; k++)
        if (span_eq(s->names[i][k], span_of(p, name.n)))
            return;
    s->names[i][s->name_count[i]++] = span_of(p, name.n);
}

static void room_for_names(struct tls_set *s, uint32_t i, size_t n) {
    s->names[i] =
        arena_zero(&s->arena, (n < TLS_NAMES_MAX ? n : TLS_NAMES_MAX) * sizeof **s->names);
}

static void names_of_certificate(struct tls_set *s, uint32_t i) {
    GENERAL_NAMES *all = X509_get_ext_d2i(s->cert[i].leaf, NID_subject_alt_name, NULL, NULL);
    room_for_names(s, i, all ? (size_t)sk_GENERAL_NAME_num(all) : 1);
    for (int k = 0; k < sk_GENERAL_NAME_num(all); k++) {
        int type;
        const ASN1_STRING *v = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(all, k), &type);
        if (type == GEN_DNS)
            add_name(
                s, i,
                span_of((const char *)ASN1_STRING_get0_data(v), (size_t)ASN1_STRING_length(v)));
    }
    if (!all) { /* made in another age */
        char cn[256];
        int n = X509_NAME_get_text_by_NID(X509_get_subject_name(s->cert[i].leaf), NID_commonName,
                                          cn, sizeof cn);
        if (n > 0)
            add_name(s, i, span_of(cn, (size_t)n));
    }
    GENERAL_NAMES_free(all);
}

static void find_names(struct builder *b, uint32_t i) {
    struct tls_set *s = b->set;
    const struct tls_cert_conf *c = &s->conf->cert[i];
    if (!c->name_count) {
        names_of_certificate(s, i);
        return;
    }
    room_for_names(s, i, c->name_count);
    for (uint32_t k = 0; k < c->name_count; k++) {
        char *z = mem_text(c->names[k].p, c->names[k].n);
        add_name(s, i, c->names[k]);
        if (z[0] != '*' && X509_check_host(s->cert[i].leaf, z, c->names[k].n, 0, NULL) != 1)
            tell(b->t, TLS_NAME_NOT_COVERED, "names",
                 "the certificate is not for %.*s: clients refuse it",
                 (int)(c->names[k].n < 100 ? c->names[k].n : 100), z);
        mem_free(z);
    }
}

/* ---- claims ---- */

static bool same_client(const struct tls_client_conf *a, const struct tls_client_conf *b) {
    return a->mode == b->mode && span_eq(a->ca, b->ca) && span_eq(a->crl, b->crl) &&
           a->depth == b->depth && a->no_pem == b->no_pem;
}

static void claim(struct builder *b, uint32_t i, struct span name) {
    enum cert_slot slot = slot_of(&b->set->cert[i]);
    struct claim *c = map_get(&b->claims, name);
    if (!c) {
        c = arena_zero(&b->set->arena, sizeof *c);
        c->name = name;
        *b->end = c;
        b->end = &c->next;
        map_put(&b->claims, name, c);
    }
    if (c->cert[slot])
        tell(b->t, TLS_NAME_TWICE, "names",
             "certificate %u is for %.*s already, with a key of the "
             "same kind",
             c->cert[slot], (int)(name.n < 100 ? name.n : 100), name.p);
    for (unsigned k = 0; k < SLOT_COUNT; k++)
        if (c->cert[k] && c->cert[k] - 1 != i &&
            !same_client(client_of(b->set, c->cert[k] - 1), client_of(b->set, i)))
            tell(b->t, TLS_NAME_TWICE, "client_certificate",
                 "certificate %u is for %.*s as well and asks clients for another certificate",
                 c->cert[k], (int)(name.n < 100 ? name.n : 100), name.p);
    if (!c->cert[slot])
        c->cert[slot] = i + 1;
}

/* ---- hosts ---- */

/* What decides whom the host lets in. The same text: the same people. */
static struct span policy_text(struct tls_set *s, const struct tls_client_conf *c) {
    if (c->mode == TLS_CLIENT_NONE)
        return SPAN("");
    return span_z(arena_fmt(&s->arena, "%d %u %d %.*s %.*s", (int)c->mode,
                            c->depth ? c->depth : DEPTH, c->no_pem, SPAN_ARG(c->ca),
                            SPAN_ARG(c->crl)));
}

static void digest(struct span text, unsigned char out[32]) {
    SHA256((const unsigned char *)text.p, text.n, out);
}

/* Certificates, whom it lets in, and the files that say so. */
static void bind_sessions(struct tls_host *h, struct span policy, const struct authority *a) {
    unsigned char all[32 * (SLOT_COUNT + 2)] = {0};
    for (unsigned k = 0; k < SLOT_COUNT; k++)
        if (h->cert[k])
            memcpy(all + 32 * k, h->cert[k]->digest, 32);
    digest(policy, all + 32 * SLOT_COUNT);
    if (a)
        memcpy(all + 32 * (SLOT_COUNT + 1), a->digest, 32);
    digest(span_of((char *)all, sizeof all), h->context);
}

static struct authority *authority_of(struct builder *b, uint32_t cert) {
    struct tls_set *s = b->set;
    const struct tls_client_conf *c = client_of(s, cert);
    struct authority *a = &b->authority[c == &s->conf->client ? 0 : cert + 1];
    if (c->mode == TLS_CLIENT_NONE)
        return NULL;
    if (a->store)
        return a;
    b->t->cert = c == &s->conf->client ? -1 : (int)cert;
    if (!c->ca.n)
        tell(b->t, TLS_FILE_UNREADABLE, "ca",
             "clients are asked for certificates, but nothing says "
             "whose: ca is missing");
    else if (authority_load(a, c->ca, c->crl, b->seen, b->t))
        return a;
    return NULL;
}

static struct tls_host *add_host(struct builder *b, const uint32_t cert[SLOT_COUNT]) {
    struct tls_set *s = b->set;
    struct tls_host *h = arena_zero(&s->arena, sizeof *h);
    unsigned char id[32];
    uint32_t first = UINT32_MAX;
    for (unsigned k = 0; k < SLOT_COUNT; k++)
        if (cert[k]) {
            h->cert[k] = &s->cert[cert[k] - 1];
            first = cert[k] - 1 < first ? cert[k] - 1 : first;
        }
    h->set = s;
    h->client = client_of(s, first);
    struct authority *a = authority_of(b, first);
    struct span policy = policy_text(s, h->client);
    digest(policy, id);
    if (policy.n)
        memcpy(&h->policy, id, sizeof h->policy);
    bind_sessions(h, policy, a);
    b->t->cert = (int)first;
    s->host[s->host_count++] = h;
    return !b->t->failed && context_create(h, a, b->t) ? h : NULL;
}

/* Names with the same certificates are one host. */
static struct tls_host *host_of(struct builder *b, struct map *made, const struct claim *c) {
    struct span key = span_of((const char *)c->cert, sizeof c->cert);
    struct tls_host *h = map_get(made, key);
    if (!h && (h = add_host(b, c->cert)))
        map_put(made, key, h);
    return h;
}

static bool make_hosts(struct builder *b) {
    struct tls_set *s = b->set;
    struct map made = {0};
    struct claim alone = {.cert = {0}};
    const struct claim *first = s->name_count[0] ? map_get(&b->claims, s->names[0][0]) : NULL;
    alone.cert[slot_of(&s->cert[0])] = 1;
    s->host = arena_zero(&s->arena, (s->conf->cert_count * 2 + 1) * sizeof(void *));
    bool good = host_of(b, &made, first ? first : &alone) != NULL;
    for (const struct claim *c = b->first; c && good; c = c->next) {
        struct tls_host *h = host_of(b, &made, c);
        good = h != NULL;
        if (good)
            map_put(&s->hosts, c->name, h);
    }
    map_finish(&made);
    return good;
}

/* ---- all of it ---- */

static void load_all(struct builder *b) {
    struct tls_set *s = b->set;
    uint32_t n = s->conf->cert_count;
    s->cert = arena_zero(&s->arena, n * sizeof *s->cert);
    s->names = arena_zero(&s->arena, n * sizeof *s->names);
    s->name_count = arena_zero(&s->arena, n * sizeof *s->name_count);
    for (uint32_t i = 0; i < n; i++) {
        b->t->cert = (int)i;
        if (!certificate_load(&s->cert[i], &s->conf->cert[i], b->seen, b->t))
            continue;
        find_names(b, i);
        for (uint32_t k = 0; k < s->name_count[i]; k++)
            claim(b, i, s->names[i][k]);
    }
}

struct tls_set *tls_set_build(const struct tls_server_conf *conf, struct tickets *tickets,
                              struct stamps *seen, struct teller *t) {
    struct tls_set *s = mem_alloc(sizeof *s);
    struct builder b = {.set = s, .t = t, .seen = seen, .end = &b.first};
    must(conf->cert_count > 0);
    b.authority = mem_alloc((conf->cert_count + 1) * sizeof *b.authority);
    atomic_init(&s->refs, 1);
    arena_init(&s->arena, NULL);
    s->conf = conf;
    s->cert_count = conf->cert_count;
    s->tickets = tickets;
    load_all(&b);
    bool good = !t->failed && make_hosts(&b);
    map_finish(&b.claims);
    for (uint32_t i = 0; i <= conf->cert_count; i++)
        authority_finish(&b.authority[i]);
    mem_free(b.authority);
    if (good)
        return s;
    tls_set_unref(s);
    return NULL;
}

void tls_set_unref(struct tls_set *s) {
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    for (uint32_t i = 0; i < s->host_count; i++)
        SSL_CTX_free(s->host[i]->ctx);
    for (uint32_t i = 0; s->cert && i < s->cert_count; i++)
        certificate_finish(&s->cert[i]);
    map_finish(&s->hosts);
    arena_finish(&s->arena);
    mem_free(s);
}

struct tls_host *tls_set_host(const struct tls_set *s, struct span name) {
    char wild[256] = "*";
    struct tls_host *h = name.n ? map_get(&s->hosts, name) : NULL;
    ptrdiff_t dot = span_find(name, '.');
    if (h || dot <= 0 || name.n > 253)
        return h ? h : s->host[0];
    struct span rest = span_from(name, (size_t)dot);
    memcpy(wild + 1, rest.p, rest.n);
    h = map_get(&s->hosts, span_of(wild, rest.n + 1));
    return h ? h : s->host[0];
}
