#include "wire.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SESSIONS = 64 };

static SSL_CTX *ctx;
static SSL_SESSION *session[SESSIONS]; /* a ticket of TLS 1.3 is used once */
static int sessions;
static unsigned long resumed;

static int keep_session(SSL *s, SSL_SESSION *fresh) {
    (void)s;
    if (sessions == SESSIONS)
        return 0;
    session[sessions++] = fresh;
    return 1;
}

void wire_init(bool resume) {
    static const unsigned char h1[] = "\x08http/1.1";
    ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx || SSL_CTX_set_alpn_protos(ctx, h1, sizeof h1 - 1)) {
        fprintf(stderr, "load: no TLS\n");
        exit(1);
    }
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    if (resume) {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ctx, keep_session);
    }
}

void wire_shake_start(struct wire *w) {
    w->ssl = SSL_new(ctx);
    if (!w->ssl || SSL_set_fd(w->ssl, w->fd) != 1 ||
        SSL_set_tlsext_host_name(w->ssl, "gw.test") != 1) {
        fprintf(stderr, "load: no memory for TLS\n");
        exit(1);
    }
    SSL_set_connect_state(w->ssl);
    if (sessions) {
        SSL_SESSION *s = session[--sessions];
        SSL_set_session(w->ssl, s);
        SSL_SESSION_free(s);
    }
}

/* As a system call would have said it. */
static ssize_t result(SSL *s, int n) {
    int why = n > 0 ? SSL_ERROR_NONE : SSL_get_error(s, n);
    ERR_clear_error();
    if (why == SSL_ERROR_NONE)
        return n;
    errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
    return why == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

int wire_shake(struct wire *w) {
    if (result(w->ssl, SSL_do_handshake(w->ssl)) <= 0)
        return errno == EAGAIN ? 0 : -1;
    resumed += (unsigned long)SSL_session_reused(w->ssl);
    return 1;
}

ssize_t wire_send(struct wire *w, const void *p, size_t n) {
    return w->ssl ? result(w->ssl, SSL_write(w->ssl, p, (int)n)) : send(w->fd, p, n, MSG_NOSIGNAL);
}

ssize_t wire_recv(struct wire *w, void *buf, size_t n) {
    if (w->ssl)
        return result(w->ssl, SSL_read(w->ssl, buf, (int)n));
    return recv(w->fd, buf, n, buf ? 0 : MSG_TRUNC);
}

void wire_close(struct wire *w) {
    if (w->ssl) {
        SSL_set_shutdown(w->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(w->ssl);
    }
    w->ssl = NULL;
    close(w->fd);
    w->fd = -1;
}

unsigned long wire_resumed(void) {
    return resumed;
}
