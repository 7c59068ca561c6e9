#include "base/env.h"
#include "tls/peer.h"
#include "tls/session.h"
#include "tls/set.h"

static const char *alpn(const SSL *ssl) {
    const unsigned char *p;
    unsigned n;
    SSL_get0_alpn_selected(ssl, &p, &n);
    struct span name = span_of((const char *)p, n);
    return span_eq(name, SPAN("h2")) ? "h2" : span_eq(name, SPAN("http/1.1")) ? "http/1.1" : "";
}

bool session_inform(struct session *t) {
    struct tls_info *i = &t->info;
    i->version = SSL_get_version(t->ssl);
    i->cipher = SSL_get_cipher_name(t->ssl);
    i->alpn = alpn(t->ssl);
    i->resumed = SSL_session_reused(t->ssl);
    X509 *peer = t->server ? SSL_get0_peer_certificate(t->ssl) : NULL;
    if (peer)
        i->client = peer_describe(peer, SSL_get_verify_result(t->ssl) == X509_V_OK,
                                  !t->host->client->no_pem);
    return !peer || i->client;
}
