#include "base/env.h"
#include "tls/resume.h"
#include "tls/session.h"
#include "tls/set.h"
#include "tls/trust.h"
#include <openssl/err.h>

static SSL *ssl_create(SSL_CTX *ctx) {
    struct wire *w = wire_mine();
    SSL *ssl = w ? SSL_new(ctx) : NULL;
    if (!ssl)
        return NULL;
    BIO_up_ref(w->bio); /* one reference for both directions */
    SSL_set_bio(ssl, w->bio, w->bio);
    return ssl;
}

static bool speak(struct stream *s, struct session *t) {
    s->ops = &tls_stream;
    s->layer = t;
    return true;
}

bool tls_accept(struct stream *s, struct tls_server *server) {
    struct tls_set *set = tls_set_of(server);
    SSL *ssl = ssl_create(set->host[0]->ctx);
    struct session *t = ssl ? session_create(ssl, s->watch.fd, true) : NULL;
    if (!t) {
        SSL_free(ssl);
        tls_set_unref(set);
        return false;
    }
    t->set = set; /* for life: OpenSSL calls back into it */
    t->owner = server;
    tls_server_ref(server);
    SSL_set_accept_state(ssl);
    return speak(s, t);
}

bool tls_connect(struct stream *s, struct tls_client *client, struct span name) {
    struct trust *trust = tls_client_trust(client);
    SSL *ssl = ssl_create(trust->ctx);
    struct session *t = ssl ? session_create(ssl, s->watch.fd, false) : NULL;
    struct span given = tls_client_name(client);
    if (!t || !trust_expect(trust, t, given.n ? given : name)) {
        if (t)
            session_free(t);
        else
            SSL_free(ssl);
        trust_unref(trust);
        return false;
    }
    trust_unref(trust); /* what is needed of it the session holds itself */
    SSL_set_connect_state(ssl);
    return speak(s, t);
}

void tls_offer_http1(struct stream *s) {
    static const unsigned char one[] = "\x08http/1.1";
    struct session *t = s->layer;
    SSL_set_alpn_protos(t->ssl, one, sizeof one - 1); /* no memory: the offer stays, and is seen */
}

/* Of a client nobody knows yet: its first message may not be long. */
static size_t hello_room(const struct session *t) {
    return t->server && t->hello != HELLO_DONE ? HELLO_MAX + RECORD_OVER - t->hello : WIRE_IN;
}

static const unsigned char refused[] = {21 /* alert */,     3, 1, 0, 2, 2 /* fatal */,
                                        SSL_AD_DECODE_ERROR};

static enum io_result more(struct stream *s, struct wire *w, bool *dry) {
    struct session *t = s->layer;
    size_t room = hello_room(t);
    if (!room) {
        session_failed_as(t, "the ClientHello is longer than %d bytes", HELLO_MAX);
        memcpy(w->out, refused, sizeof refused);
        w->out_n = sizeof refused;
        session_send(t, w);
        return IO_RESET;
    }
    enum io_result r = session_receive(s, w, room, dry);
    if (r == IO_OK && t->hello != HELLO_DONE)
        t->hello += (uint32_t)w->feed.n;
    if (r == IO_END || r == IO_RESET)
        session_failed_as(t, "the %s %s in the middle of the handshake",
                          t->server ? "client" : "service",
                          r == IO_END ? "closed the connection" : "broke the connection");
    return r;
}

/* A ticket of TLS 1.3 rides with an answer that comes in this turn, a client's last flight with the
 * first request; both leave at its end at the latest: a peer may wait for a sign that we have what
 * it said before it says more (Nagle's algorithm, 40 ms). */
static bool last_flight(struct loop *l, struct session *t, struct wire *w) {
    if (!w->out_n)
        return true;
    if (SSL_version(t->ssl) < TLS1_3_VERSION || t->kept)
        return session_send(t, w) != IO_RESET;
    if (!session_hold(t, w))
        return false;
    loop_late_output(l, &t->late);
    return true;
}

static enum tls_step failed(struct session *t, struct wire *w) {
    session_failed(t);
    session_send(t, w);
    t->broken = true;
    w->feed = SPAN_NONE;
    return TLS_FAILED;
}

static enum tls_step finished(struct loop *l, struct stream *s, struct wire *w, bool dry) {
    struct session *t = s->layer;
    t->done = true;
    if (!session_inform(t))
        return failed(t, w);
    s->readable = w->feed.n || SSL_pending(t->ssl) || !dry || s->hung_up;
    if (!last_flight(l, t, w) || !session_leave(t, w)) {
        session_failed_as(t, "the connection broke, or there was no memory");
        return TLS_FAILED;
    }
    return TLS_DONE;
}

enum tls_step tls_handshake(struct loop *l, struct stream *s, struct span early) {
    struct session *t = s->layer;
    struct wire *w = wire_mine();
    bool dry = false;
    if (!w || t->broken || t->mute)
        return TLS_FAILED;
    if (t->done)
        return TLS_DONE;
    w->feed = early;
    if (t->hello != HELLO_DONE)
        t->hello += (uint32_t)early.n;
    for (;;) {
        ERR_clear_error();
        int r = SSL_do_handshake(t->ssl);
        if (r == 1)
            return finished(l, s, w, dry);
        if (SSL_get_error(t->ssl, r) != SSL_ERROR_WANT_READ)
            return failed(t, w);
        if (w->feed.n)
            continue;
        if (session_send(t, w) == IO_RESET)
            dry = false; /* receiving tells why */
        if (dry) {
            s->readable = false;
            return TLS_WANT;
        }
        enum io_result got = more(s, w, &dry);
        if (got == IO_END || got == IO_RESET)
            return failed(t, w);
    }
}
