#include "tls/session.h"
#include "base/env.h"
#include "tls/resume.h"
#include "tls/set.h"
#include <errno.h>

static size_t kept_left(const struct session *t) {
    return t->kept ? t->kept->n - t->kept->at : 0;
}

static void drop_kept(struct session *t) {
    mem_free(t->kept);
    t->kept = NULL;
    t->held = false;
}

static void settle(struct wire *w) {
    w->out_n = 0;
    w->marks = 0;
}

/* The first n bytes of what is kept have left; returns the plain bytes of whole records. */
static size_t advance(struct kept *k, size_t n) {
    size_t plain = 0;
    k->at += n;
    for (; k->first < k->marks; k->first++) {
        struct mark *m = &k->mark[k->first];
        if (n < m->cipher) {
            m->cipher -= (uint32_t)n;
            break;
        }
        n -= m->cipher;
        plain += m->plain;
    }
    k->owed -= (uint32_t)plain;
    return plain;
}

/* What is kept and what is in the wire become one. Records are in at most one of the two: while
 * some are kept nothing else is encrypted, but what OpenSSL itself has to say may follow. */
static bool merge(struct session *t, struct wire *w) {
    size_t old = kept_left(t);
    if (!w->out_n)
        return true;
    struct kept *k = mem_try(sizeof *k + old + w->out_n);
    if (!k)
        return false;
    *k = (struct kept){.n = old + w->out_n};
    if (old) {
        const struct kept *was = t->kept;
        memcpy(k->bytes, was->bytes + was->at, old);
        for (unsigned i = was->first; i < was->marks; i++)
            k->mark[k->marks++] = was->mark[i];
        k->owed = was->owed;
    }
    must(!k->marks || !w->marks);
    for (unsigned i = 0; i < w->marks; i++) {
        k->mark[k->marks++] = w->mark[i];
        k->owed += w->mark[i].plain;
    }
    if (w->marks)
        k->mark[0].cipher += (uint32_t)old;
    memcpy(k->bytes + old, w->out, w->out_n);
    drop_kept(t);
    t->kept = k;
    settle(w);
    return true;
}

bool session_hold(struct session *t, struct wire *w) {
    if (!merge(t, w)) {
        t->broken = true;
        settle(w); /* or they would leave with another session's */
    }
    t->held = t->kept != NULL;
    return !t->broken;
}

static enum io_result sent_all(struct session *t, struct wire *w) {
    if (t->kept)
        t->left += t->kept->owed;
    for (unsigned i = 0; i < w->marks; i++)
        t->left += w->mark[i].plain;
    if (t->kept)
        drop_kept(t);
    settle(w);
    return IO_OK;
}

static enum io_result sent_some(struct session *t, struct wire *w, size_t n) {
    if (!merge(t, w))
        return IO_RESET;
    t->held = false;
    t->left += advance(t->kept, n);
    return IO_AGAIN;
}

enum io_result session_send(struct session *t, struct wire *w) {
    struct iovec iov[2];
    size_t old = kept_left(t), all = old + w->out_n;
    int n = 0;
    ssize_t r;
    if (t->mute) {
        settle(w);
        return IO_RESET;
    }
    if (old)
        iov[n++] = (struct iovec){t->kept->bytes + t->kept->at, old};
    if (w->out_n)
        iov[n++] = (struct iovec){w->out, w->out_n};
    if (!n)
        return IO_OK;
    do
        r = env.writev(t->fd, iov, n);
    while (r < 0 && errno == EINTR);
    if (r < 0 && errno == EAGAIN)
        r = 0;
    enum io_result result = r < 0              ? IO_RESET
                            : (size_t)r == all ? sent_all(t, w)
                                               : sent_some(t, w, (size_t)r);
    if (result == IO_RESET) {
        t->mute = true;
        settle(w);
    }
    return result;
}

void session_feed(struct session *t, struct wire *w) {
    w->feed = t->rest ? span_of((char *)t->rest->bytes + t->rest->at, t->rest->n - t->rest->at)
                      : SPAN_NONE;
}

enum io_result session_receive(struct stream *s, struct wire *w, size_t max, bool *dry) {
    struct session *t = s->layer;
    ssize_t r;
    if (max > WIRE_IN)
        max = WIRE_IN;
    do
        r = env.recv(t->fd, w->in, max);
    while (r < 0 && errno == EINTR);
    if (r > 0) {
        *dry = (size_t)r < max && !s->hung_up && !s->urgent;
        w->feed = span_of((char *)w->in, (size_t)r);
        return IO_OK;
    }
    if (r < 0 && errno == EAGAIN) {
        *dry = true;
        return IO_AGAIN;
    }
    t->ended = true;
    s->hung_up = true; /* its event is still to come: until then nothing else would read again */
    return r ? IO_RESET : IO_END;
}

bool session_leave(struct session *t, struct wire *w) {
    struct rest *old = t->rest, *rest = NULL;
    struct span left = w->feed;
    w->feed = SPAN_NONE;
    if (left.n && old && left.p >= (char *)old->bytes && left.p < (char *)old->bytes + old->n) {
        old->at = old->n - left.n;
        return true;
    }
    if (left.n) {
        rest = mem_try(sizeof *rest + left.n);
        if (rest) {
            *rest = (struct rest){.n = left.n};
            memcpy(rest->bytes, left.p, left.n);
        }
    }
    mem_free(old);
    t->rest = rest;
    t->broken |= left.n && !rest;
    return !t->broken;
}

static void late(struct output *o) {
    struct session *t = container_of(o, struct session, late);
    struct wire *w = wire_mine();
    if (w && t->kept && t->held)
        session_send(t, w); /* a failure is seen by the next call */
}

struct session *session_create(SSL *ssl, int fd, bool server) {
    struct session *t = mem_try(sizeof *t);
    if (!t)
        return NULL;
    *t = (struct session){.ssl = ssl, .fd = fd, .server = server, .late.flush = late};
    SSL_set_app_data(ssl, t);
    return t;
}

void session_free(struct session *t) {
    list_remove(&t->late.node);
    /* Else OpenSSL takes its end for an accident and forbids to resume the session. */
    SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    tls_set_unref(t->set);
    tls_server_unref(t->owner);
    resume_key_free(t->resume);
    mem_free(t->kept);
    mem_free(t->rest);
    mem_free(t->failure);
    mem_free((void *)(uintptr_t)t->info.sni.p);
    mem_free((void *)(uintptr_t)t->info.client);
    mem_free(t);
}

bool session_flooded(const struct session *t) {
    return t->messages > MESSAGES_PER_SECOND;
}

static void message(struct session *t) {
    uint64_t now = env.now_ns();
    if (now - t->messages_since >= 1000000000u) {
        t->messages_since = now;
        t->messages = 0;
    }
    t->messages++;
}

/* Told of every step of a handshake, and afterwards of every message that is not data. */
void session_watch(const SSL *ssl, int where, int ret) {
    struct session *t = session_of(ssl);
    if (!t || !t->done)
        return;
    if ((where & SSL_CB_LOOP) && (SSL_get_state(ssl) == TLS_ST_SR_KEY_UPDATE ||
                                  SSL_get_state(ssl) == TLS_ST_CR_KEY_UPDATE)) {
        t->events.key_updates++;
        message(t);
    } else if ((where & SSL_CB_LOOP) && SSL_get_state(ssl) == TLS_ST_CR_SESSION_TICKET) {
        message(t);
    } else if (where == SSL_CB_WRITE_ALERT && (ret & 0xff) == SSL_AD_NO_RENEGOTIATION) {
        t->events.renegotiations_refused++;
        message(t);
    }
}
