#include "tls/trust.h"
#include "base/env.h"
#include "tls/resume.h"
#include <arpa/inet.h>
#include <openssl/x509v3.h>

enum { NAME_MAX_LEN = 253 };

void trust_unref(struct trust *t) {
    if (!t || atomic_fetch_sub(&t->refs, 1) != 1)
        return;
    SSL_CTX_free(t->ctx);
    mem_free(t);
}

static bool is_address(const char *name) {
    unsigned char a[16];
    return inet_pton(AF_INET, name, a) == 1 || inet_pton(AF_INET6, name, a) == 1;
}

/* "[::1]" and "a.test." as certificates spell them. */
static bool spell(struct span name, char out[NAME_MAX_LEN + 1]) {
    if (name.n > 2 && name.p[0] == '[' && name.p[name.n - 1] == ']')
        name = span_cut(name, 1, name.n - 2);
    else if (name.n > 1 && name.p[name.n - 1] == '.')
        name.n--;
    if (!name.n || name.n > NAME_MAX_LEN || memchr(name.p, 0, name.n))
        return false;
    memcpy(out, name.p, name.n);
    out[name.n] = 0;
    return true;
}

static bool ask_for(const struct trust *t, SSL *ssl, const char *name) {
    bool address = is_address(name);
    if (!address && !SSL_set_tlsext_host_name(ssl, (char *)(uintptr_t)name))
        return false;
    if (!t->verify)
        return true;
    /* The common name is no name of a server any more (RFC 9525 2). */
    SSL_set_hostflags(ssl,
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name)
                   : SSL_set1_host(ssl, name);
}

bool trust_expect(const struct trust *t, struct session *s, struct span name) {
    char text[NAME_MAX_LEN + 1] = "";
    if (spell(name, text)) {
        if (!ask_for(t, s->ssl, text))
            return false;
    } else if (t->verify) {
        session_failed_as(s, "there is no name that the service's certificate could be for; "
                             "tls.name gives one");
        s->broken = s->verify_failed = true;
    }
    s->resume = resume_key_create(t->number, span_z(text));
    SSL_SESSION *known = s->resume ? resume_get(s->resume) : NULL;
    if (known)
        SSL_set_session(s->ssl, known);
    return s->resume != NULL;
}
