#include "tls/set.h"
#include "base/env.h"
#include "tls/session.h"
#include "tls/verify.h"
#include <openssl/err.h>
#include <openssl/tls1.h>

enum { CLIENT_CHAIN_MAX = 32 * 1024, TICKET_SECONDS = 12 * 3600 };

/* Mozilla's intermediate profile. The server's order counts, and AES-128 is the fastest; a client
 * that puts ChaCha20 first gets it (it has no AES instructions). */
static const struct span default_ciphers =
    SPAN("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
         "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
         "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
         "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305");
static const struct span default_suites =
    SPAN("TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
static const struct span default_curves = SPAN("X25519:P-256:P-384");

/* ---- what the handshake asks us ---- */

static bool sni_of(SSL *ssl, struct span *name) {
    const unsigned char *p;
    size_t n;
    *name = SPAN_NONE;
    if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &n))
        return true;
    /* A list of one: its length, the type 0, the name's length, the name. */
    if (n < 6 || p[0] * 256u + p[1] != n - 2 || p[2] != TLSEXT_NAMETYPE_host_name ||
        p[3] * 256u + p[4] != n - 5 || n - 5 > 255)
        return false;
    *name = span_of((const char *)p + 5, n - 5);
    for (size_t i = 0; i < name->n; i++)
        if (name->p[i] < 0x21 || name->p[i] > 0x7e)
            return false;
    if (name->p[name->n - 1] == '.')
        name->n--;
    return name->n > 0;
}

static bool remember_name(struct session *t, struct span name) {
    char *copy = name.n && !t->info.sni.n ? mem_try(name.n) : NULL;
    if (!copy)
        return !name.n || t->info.sni.n;
    for (size_t i = 0; i < name.n; i++)
        copy[i] = lower(name.p[i]);
    t->info.sni = span_of(copy, name.n);
    return true;
}

static void become(SSL *ssl, const struct tls_host *h) {
    static const int mode[] = {
        [TLS_CLIENT_NONE] = SSL_VERIFY_NONE,
        [TLS_CLIENT_REQUEST] = SSL_VERIFY_PEER,
        [TLS_CLIENT_REQUIRE] = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
    };
    if (SSL_get_SSL_CTX(ssl) != h->ctx)
        SSL_set_SSL_CTX(ssl, h->ctx);
    SSL_set_verify(ssl, mode[h->client->mode], verify_told);
    SSL_set_verify_depth(ssl, (int)(h->client->depth ? h->client->depth : PEM_DEPTH));
    SSL_set_session_id_context(ssl, h->context, sizeof h->context);
}

/* Before anything is decided: the name chooses certificates, client policy and which sessions may
 * resume. */
static int on_hello(SSL *ssl, int *alert, void *arg) {
    struct session *t = session_of(ssl);
    struct span name;
    (void)arg;
    t->hello = HELLO_DONE;
    *alert = SSL_AD_DECODE_ERROR;
    if (!sni_of(ssl, &name)) {
        session_failed_as(t, "the server name (SNI) is malformed");
        return SSL_CLIENT_HELLO_ERROR;
    }
    *alert = SSL_AD_INTERNAL_ERROR;
    if (!remember_name(t, name))
        return SSL_CLIENT_HELLO_ERROR;
    t->host = tls_set_host(t->set, t->info.sni);
    t->info.policy = t->host->policy;
    become(ssl, t->host);
    return SSL_CLIENT_HELLO_SUCCESS;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                           const unsigned char *in, unsigned in_n, void *arg) {
    static const struct span ours[] = {SPAN("\x02h2"), SPAN("\x08http/1.1")};
    const struct tls_server_conf *conf = arg;
    (void)ssl;
    for (size_t k = conf->no_h2; k < array_len(ours); k++)
        for (unsigned i = 0; i < in_n; i += in[i] + 1u)
            if (in_n - i >= ours[k].n && memcmp(in + i, ours[k].p, ours[k].n) == 0) {
                *out = in + i + 1;
                *out_n = in[i];
                return SSL_TLSEXT_ERR_OK;
            }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int seal_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
                       EVP_MAC_CTX *mac, int seal) {
    return tickets_use(session_of(ssl)->set->tickets, name, iv, cipher, mac, seal);
}

/* A ticket of somebody whose certificate has expired since then is worth nothing. */
static SSL_TICKET_RETURN judge_ticket(SSL *ssl, SSL_SESSION *s, const unsigned char *name, size_t n,
                                      SSL_TICKET_STATUS status, void *arg) {
    (void)name, (void)n, (void)arg;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    X509 *peer = SSL_SESSION_get0_peer(s);
    if (peer && pem_time(X509_get0_notAfter(peer)) < pem_now())
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    /* Clients of TLS 1.3 use a ticket once, so they get the next one. */
    return status == SSL_TICKET_SUCCESS && SSL_version(ssl) < TLS1_3_VERSION
               ? SSL_TICKET_RETURN_USE
               : SSL_TICKET_RETURN_USE_RENEW;
}

static int staple(SSL *ssl, void *arg) {
    const struct tls_host *h = session_of(ssl)->host;
    const X509 *used = SSL_get_certificate(ssl);
    (void)arg;
    for (unsigned k = 0; h && k < SLOT_COUNT; k++) {
        const struct certificate *c = h->cert[k];
        if (!c || c->leaf != used || !c->staple.n || c->staple_until <= pem_now())
            continue;
        void *copy = OPENSSL_memdup(c->staple.p, c->staple.n);
        if (copy && SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)c->staple.n))
            return SSL_TLSEXT_ERR_OK;
        OPENSSL_free(copy);
    }
    return SSL_TLSEXT_ERR_NOACK;
}

/* ---- building ---- */

static bool text_of(int (*set)(SSL_CTX *, const char *), SSL_CTX *ctx, struct span given,
                    struct span shipped) {
    struct span v = given.n ? given : shipped;
    char *z = mem_text(v.p, v.n);
    int good = set(ctx, z);
    mem_free(z);
    return good > 0;
}

static int set_curves(SSL_CTX *ctx, const char *list) {
    return (int)SSL_CTX_set1_groups_list(ctx, (char *)(uintptr_t)list);
}

void context_check(const struct tls_server_conf *conf, struct teller *t) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    must(ctx);
    if (!text_of(SSL_CTX_set_cipher_list, ctx, conf->ciphers, default_ciphers))
        tell(t, TLS_CIPHERS_UNKNOWN, "ciphers", "none of these is a cipher of TLS 1.2");
    if (!text_of(SSL_CTX_set_ciphersuites, ctx, conf->cipher_suites, default_suites))
        tell(t, TLS_CIPHERS_UNKNOWN, "cipher_suites", "one of these is no cipher suite of TLS 1.3");
    if (!text_of(set_curves, ctx, conf->curves, default_curves))
        tell(t, TLS_CIPHERS_UNKNOWN, "curves", "one of these is no curve");
    SSL_CTX_free(ctx);
    ERR_clear_error();
}

static void set_protocol(SSL_CTX *ctx, const struct tls_server_conf *conf) {
    SSL_CTX_set_min_proto_version(ctx, conf->min_version ? conf->min_version : TLS_1_2);
    text_of(SSL_CTX_set_cipher_list, ctx, conf->ciphers, default_ciphers);
    text_of(SSL_CTX_set_ciphersuites, ctx, conf->cipher_suites, default_suites);
    text_of(set_curves, ctx, conf->curves, default_curves);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_dh_auto(ctx, 1);
    SSL_CTX_set_client_hello_cb(ctx, on_hello, NULL);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, (void *)(uintptr_t)conf);
    SSL_CTX_set_tlsext_status_cb(ctx, staple);
    SSL_CTX_set_info_callback(ctx, session_watch);
}

static void set_sessions(SSL_CTX *ctx, const struct tls_server_conf *conf) {
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ctx, TICKET_SECONDS);
    SSL_CTX_set_num_tickets(ctx, conf->no_tickets ? 0 : 1);
    if (conf->no_tickets)
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, seal_ticket);
    SSL_CTX_set_session_ticket_cb(ctx, NULL, judge_ticket, NULL);
}

/* No buffers while idle, and messages that are not data are handed to us one by one (E06). */
void context_lean(SSL_CTX *ctx) {
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_read_ahead(ctx, 0);
    SSL_CTX_set_max_cert_list(ctx, CLIENT_CHAIN_MAX);
}

bool context_use(SSL_CTX *ctx, const struct certificate *c, struct teller *t) {
    if (SSL_CTX_use_cert_and_key(ctx, c->leaf, c->key, c->chain, 1) == 1)
        return true;
    const char *why = ERR_reason_error_string(ERR_peek_last_error());
    tell(t, TLS_KEY_WEAK, "certificate", "OpenSSL does not serve it: %s", why ? why : "no reason");
    ERR_clear_error();
    return false;
}

bool context_create(struct tls_host *h, const struct authority *a, struct teller *t) {
    h->ctx = SSL_CTX_new(TLS_server_method());
    must(h->ctx);
    context_lean(h->ctx);
    set_protocol(h->ctx, h->set->conf);
    set_sessions(h->ctx, h->set->conf);
    bool good = true;
    for (unsigned k = 0; k < SLOT_COUNT; k++)
        if (h->cert[k])
            good &= context_use(h->ctx, h->cert[k], t);
    if (a) {
        SSL_CTX_set1_cert_store(h->ctx, a->store);
        SSL_CTX_set0_CA_list(h->ctx, SSL_dup_CA_list(a->names));
    }
    return good;
}
