#include "tls_actor.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <string.h>

struct tls_actor {
    SSL *ssl;
    BIO *in, *out;
    char alpn[16];
};

/* "h2,http/1.1" as the wire has it. */
static size_t alpn_wire(const char *list, unsigned char out[64]) {
    size_t n = 0;
    struct span rest = span_z(list);
    while (rest.p) {
        struct span name = span_split(&rest, ',');
        must(n + 1 + name.n <= 64);
        out[n++] = (unsigned char)name.n;
        memcpy(out + n, name.p, name.n);
        n += name.n;
    }
    return n;
}

static int choose(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *in,
                  unsigned in_n, void *arg) {
    unsigned char own[64];
    unsigned char *found;
    unsigned own_n = (unsigned)alpn_wire(arg, own);
    static unsigned char chosen[16];
    (void)ssl;
    if (SSL_select_next_proto(&found, n, own, own_n, in, in_n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    memcpy(chosen, found, *n);
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static void offer(SSL_CTX *ctx, SSL *ssl, const struct tls_role *r) {
    unsigned char list[64];
    if (!r->alpn)
        return;
    if (r->server)
        SSL_CTX_set_alpn_select_cb(ctx, choose, (void *)(uintptr_t)r->alpn);
    else
        must(SSL_set_alpn_protos(ssl, list, (unsigned)alpn_wire(r->alpn, list)) == 0);
}

static void resume(SSL *ssl, const struct tls_actor *from) {
    SSL_SESSION *s = from ? SSL_get1_session(from->ssl) : NULL;
    if (s)
        must(SSL_set_session(ssl, s) == 1);
    SSL_SESSION_free(s);
}

struct tls_actor *tls_actor_create(const struct tls_role *r) {
    struct tls_actor *t = calloc(1, sizeof *t);
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    must(t && ctx);
    if (r->max_version)
        SSL_CTX_set_max_proto_version(ctx, r->max_version);
    if (r->certificate) {
        must(SSL_CTX_use_certificate_chain_file(ctx, r->certificate) == 1);
        must(SSL_CTX_use_PrivateKey_file(ctx, r->certificate, SSL_FILETYPE_PEM) == 1);
    }
    if (r->server) { /* tickets of one actor are good for the next */
        static unsigned char keys[80];
        must(SSL_CTX_set_tlsext_ticket_keys(ctx, keys, sizeof keys) == 1);
    }
    t->ssl = SSL_new(ctx);
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    must(t->ssl && t->in && t->out);
    BIO_set_mem_eof_return(t->in, -1);
    SSL_set_bio(t->ssl, t->in, t->out);
    offer(ctx, t->ssl, r);
    if (r->server) {
        SSL_set_accept_state(t->ssl);
    } else {
        SSL_set_connect_state(t->ssl);
        if (r->sni)
            must(SSL_set_tlsext_host_name(t->ssl, (char *)(uintptr_t)r->sni) == 1);
        resume(t->ssl, r->from);
    }
    SSL_CTX_free(ctx);
    return t;
}

void tls_actor_free(struct tls_actor *t) {
    if (t)
        SSL_free(t->ssl);
    free(t);
}

static void feed(struct tls_actor *t, struct span raw) {
    if (raw.n)
        must(BIO_write(t->in, raw.p, (int)raw.n) == (int)raw.n);
}

int tls_actor_handshake(struct tls_actor *t, struct span raw) {
    feed(t, raw);
    ERR_clear_error();
    int r = SSL_do_handshake(t->ssl);
    if (r == 1)
        return 1;
    int why = SSL_get_error(t->ssl, r);
    ERR_clear_error();
    return why == SSL_ERROR_WANT_READ ? 0 : -1;
}

size_t tls_actor_wire(struct tls_actor *t, void *p, size_t max) {
    int n = BIO_read(t->out, p, (int)max);
    return n > 0 ? (size_t)n : 0;
}

void tls_actor_encrypt(struct tls_actor *t, struct span plain) {
    size_t n;
    ERR_clear_error();
    if (plain.n) /* where the handshake has not come about nobody will hear it */
        SSL_write_ex(t->ssl, plain.p, plain.n, &n);
}

enum io_result tls_actor_decrypt(struct tls_actor *t, struct span raw, void *p, size_t max,
                                 size_t *got) {
    feed(t, raw);
    ERR_clear_error();
    int r = SSL_read_ex(t->ssl, p, max, got);
    if (r == 1)
        return IO_OK;
    int why = SSL_get_error(t->ssl, r);
    ERR_clear_error();
    return why == SSL_ERROR_ZERO_RETURN ? IO_END : why == SSL_ERROR_WANT_READ ? IO_AGAIN : IO_RESET;
}

void tls_actor_ticket(struct tls_actor *t) {
    must(SSL_new_session_ticket(t->ssl) == 1);
    must(SSL_do_handshake(t->ssl) == 1);
}

void tls_actor_goodbye(struct tls_actor *t) {
    ERR_clear_error();
    if (SSL_is_init_finished(t->ssl))
        SSL_shutdown(t->ssl);
    ERR_clear_error();
}

const char *tls_actor_alpn(const struct tls_actor *t) {
    static char text[16];
    const unsigned char *p;
    unsigned n;
    SSL_get0_alpn_selected(t->ssl, &p, &n);
    must(n < sizeof text);
    memcpy(text, n ? (const char *)p : "", n);
    text[n] = 0;
    return text;
}
bool tls_actor_resumed(const struct tls_actor *t) {
    return SSL_session_reused(t->ssl);
}
const char *tls_actor_version(const struct tls_actor *t) {
    return SSL_get_version(t->ssl);
}

/* ---- certificates ---- */

static struct {
    X509 *cert;
    EVP_PKEY *key;
} authority;

static X509 *make(const char *name, EVP_PKEY *key, long serial) {
    X509 *c = X509_new();
    must(c && X509_set_version(c, 2) == 1);
    ASN1_INTEGER_set(X509_get_serialNumber(c), serial);
    X509_gmtime_adj(X509_getm_notBefore(c), -3600);
    X509_gmtime_adj(X509_getm_notAfter(c), 365 * 86400L);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    must(X509_set_pubkey(c, key) == 1);
    return c;
}

static void extend(X509 *c, int nid, const char *value) {
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, authority.cert, c, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    must(e && X509_add_ext(c, e, -1) == 1);
    X509_EXTENSION_free(e);
}

static void sign(X509 *c) {
    must(X509_set_issuer_name(c, X509_get_subject_name(authority.cert)) == 1);
    must(X509_sign(c, authority.key, EVP_sha256()) > 0);
}

static FILE *create(const char *path) {
    FILE *f = fopen(path, "w");
    must(f);
    return f;
}

static void make_authority(const char *dir) {
    char path[4096];
    authority.key = EVP_EC_gen("P-256");
    authority.cert = make("sluice test authority", authority.key, 1);
    extend(authority.cert, NID_basic_constraints, "critical,CA:TRUE");
    extend(authority.cert, NID_key_usage, "critical,keyCertSign,cRLSign");
    sign(authority.cert);
    snprintf(path, sizeof path, "%s/ca.pem", dir);
    FILE *f = create(path);
    must(PEM_write_X509(f, authority.cert) == 1);
    fclose(f);
}

static void subject_names(const char *names, char *out, size_t max) {
    struct span rest = span_z(names);
    size_t n = 0;
    while (rest.p) {
        struct span name = span_split(&rest, ',');
        n += (size_t)snprintf(out + n, max - n, "%sDNS:%.*s", n ? "," : "", SPAN_ARG(name));
        must(n < max);
    }
}

static char path[64][512];
static unsigned made;

void tls_actor_clear(const char *dir) {
    char ca[4096];
    snprintf(ca, sizeof ca, "%s/ca.pem", dir);
    unlink(ca);
    while (made)
        unlink(path[--made]);
    rmdir(dir);
    X509_free(authority.cert);
    EVP_PKEY_free(authority.key);
}

const char *tls_actor_certificate(const char *dir, const char *names) {
    char first[256], all[2048];
    must(made < array_len(path));
    if (!made)
        make_authority(dir);
    snprintf(first, sizeof first, "%.*s", (int)strcspn(names, ","), names);
    subject_names(names, all, sizeof all);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *c = make(first, key, (long)made + 2);
    extend(c, NID_subject_alt_name, all);
    sign(c);
    snprintf(path[made], sizeof path[made], "%s/%u.pem", dir, made);
    FILE *f = create(path[made]);
    must(PEM_write_X509(f, c) == 1);
    must(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1);
    must(PEM_write_X509(f, authority.cert) == 1);
    fclose(f);
    X509_free(c);
    EVP_PKEY_free(key);
    return path[made++];
}
