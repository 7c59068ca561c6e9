#include "tls/stream.h"
#include "base/env.h"
#include "tls/session.h"
#include <openssl/err.h>

/* ---- reading ---- */

static void broke(struct session *t, struct wire *w) {
    if (session_flooded(t))
        session_failed_as(t, "more than %d handshake messages came in a second",
                          MESSAGES_PER_SECOND);
    session_failed(t);
    if (w->out_n) /* the alert that OpenSSL wrote */
        session_send(t, w);
    t->broken = true;
}

/* IO_AGAIN: OpenSSL needs more bytes, or took a message that is not data. */
static enum io_result decrypt(struct session *t, void *p, size_t n, size_t *got) {
    int r = SSL_read_ex(t->ssl, p, n, got);
    if (r > 0)
        return IO_OK;
    int why = SSL_get_error(t->ssl, r);
    if (why == SSL_ERROR_WANT_READ && !session_flooded(t))
        return IO_AGAIN;
    return why == SSL_ERROR_ZERO_RETURN ? IO_END : IO_RESET;
}

/* As much as there is, at most what fits: what a socket would give in one call, out of several
 * records and receives. IO_OK: it is full. IO_END: the peer said goodbye. */
static enum io_result read_all(struct stream *s, struct wire *w, struct iovec room, size_t *got) {
    struct session *t = s->layer;
    bool dry = false;
    while (*got < room.iov_len) {
        size_t left = room.iov_len - *got, n = 0;
        enum io_result r;
        if (w->feed.n || SSL_pending(t->ssl)) {
            r = decrypt(t, (char *)room.iov_base + *got, left, &n);
            *got += n;
            if (r == IO_END || r == IO_RESET)
                return r;
        } else if (dry) {
            return IO_AGAIN;
        } else {
            r = session_receive(s, w, left + (left / RECORD_MAX + 1) * RECORD_OVER, &dry);
            if (r == IO_END || r == IO_RESET) /* without goodbye: perhaps not all was said */
                return IO_RESET;
        }
    }
    return IO_OK;
}

static enum io_result tls_read(struct stream *s, void *p, size_t n, size_t *got) {
    struct session *t = s->layer;
    struct wire *w = wire_mine();
    *got = 0;
    if (t->broken || !t->done || !w)
        return IO_RESET;
    if (t->ended)
        return t->said_all ? IO_END : IO_RESET;
    ERR_clear_error();
    session_feed(t, w);
    enum io_result r = read_all(s, w, (struct iovec){p, n}, got);
    if (r == IO_END) {
        t->said_all = t->ended = true;
        w->feed = SPAN_NONE; /* nothing counts behind it */
    }
    if (r == IO_RESET && !t->ended) {
        w->feed = SPAN_NONE;
        broke(t, w);
    }
    if (r == IO_END || r == IO_RESET)
        s->hung_up = true; /* what was read comes first, and the end with the next call */
    if (!session_leave(t, w))
        r = IO_RESET;
    if (w->out_n && session_send(t, w) == IO_RESET)
        s->hung_up = true;
    return *got ? IO_OK : r;
}

/* ---- writing ---- */

struct cursor {
    const struct iovec *iov;
    int n;
    size_t at; /* in iov[0] */
};

static void skip(struct cursor *c, size_t n) {
    while (c->n && n >= c->iov->iov_len - c->at) {
        n -= c->iov->iov_len - c->at;
        c->iov++, c->n--, c->at = 0;
    }
    c->at += n;
}

/* What the next record holds: from where it lies if that is a good piece, else gathered, so that
 * head and body share a record. */
static struct span next_piece(struct cursor *c, struct wire *w) {
    size_t n = c->iov->iov_len - c->at;
    struct span all = {(char *)w->plain, 0};
    if (n >= RECORD_MAX || c->n == 1) {
        all = span_of((const char *)c->iov->iov_base + c->at, n < RECORD_MAX ? n : RECORD_MAX);
        skip(c, all.n);
        return all;
    }
    while (c->n && all.n < RECORD_MAX) {
        n = c->iov->iov_len - c->at;
        if (n > RECORD_MAX - all.n)
            n = RECORD_MAX - all.n;
        memcpy(w->plain + all.n, (const char *)c->iov->iov_base + c->at, n);
        all.n += n;
        skip(c, n);
    }
    return all;
}

static bool encrypt(struct session *t, struct wire *w, struct cursor *c) {
    while (c->n && w->marks < t->batch) {
        size_t before = w->marks ? w->out_n : 0, n;
        struct span p = next_piece(c, w);
        if (!p.n)
            break;
        if (SSL_write_ex(t->ssl, p.p, p.n, &n) <= 0 || n != p.n)
            return false;
        w->mark[w->marks++] = (struct mark){(uint32_t)p.n, (uint32_t)(w->out_n - before)};
    }
    return true;
}

static enum io_result tls_write(struct stream *s, const struct iovec *iov, int n, size_t *took) {
    struct session *t = s->layer;
    struct wire *w = wire_mine();
    struct cursor c = {iov, n, 0};
    enum io_result r = IO_OK;
    *took = 0;
    if (!t->batch)
        t->batch = BATCH_FIRST;
    if (t->broken || t->mute || !t->done || t->said_goodbye || !w)
        return IO_RESET;
    /* What comes again: it has left meanwhile, or is kept. */
    skip(&c, t->left + (t->kept ? t->kept->owed : 0));
    if (t->kept && t->kept->owed)
        r = session_send(t, w);
    while (r == IO_OK && c.n) {
        if (!encrypt(t, w, &c)) {
            broke(t, w);
            return IO_RESET;
        }
        r = session_send(t, w);
        t->batch = r != IO_OK                     ? BATCH_FIRST
                   : t->batch < BATCH_RECORDS / 2 ? t->batch * 2
                                                  : BATCH_RECORDS;
    }
    *took = t->left;
    t->left = 0;
    return r == IO_AGAIN && *took ? IO_OK : r;
}

static void tls_writable(struct stream *s) {
    struct session *t = s->layer;
    /* Records wait until their bytes are offered again. */
    if (!t->kept || t->held || t->kept->owed)
        return;
    struct wire *w = wire_mine();
    if (w && session_send(t, w) == IO_OK && t->fin)
        env.shutdown(t->fd, SHUT_WR);
}

/* ---- ending ---- */

/* False: it is not out yet. */
static bool goodbye(struct session *t) {
    struct wire *w = wire_mine();
    if (!w || !t->done || t->broken || t->mute)
        return true;
    if (!t->said_goodbye) {
        ERR_clear_error();
        SSL_shutdown(t->ssl);
        ERR_clear_error();
        t->said_goodbye = true;
    }
    return session_send(t, w) != IO_AGAIN;
}

static void tls_shut(struct stream *s) {
    struct session *t = s->layer;
    if (goodbye(t))
        env.shutdown(t->fd, SHUT_WR);
    else
        t->fin = true;
}

static void tls_drop(struct stream *s) {
    struct session *t = s->layer;
    if (!t)
        return;
    if (!s->abrupt && (!t->kept || !t->kept->owed)) /* else an answer breaks off here */
        goodbye(t);
    session_free(t);
    s->layer = NULL;
}

const struct stream_ops tls_stream = {.read = tls_read,
                                      .write = tls_write,
                                      .shut = tls_shut,
                                      .writable = tls_writable,
                                      .drop = tls_drop};

struct tls_events tls_take_events(struct stream *s) {
    struct session *t = s->layer;
    struct tls_events e = t->events;
    t->events = (struct tls_events){0};
    return e;
}

const struct tls_info *tls_info_of(const struct stream *s) {
    const struct session *t = tls_is(s) ? s->layer : NULL;
    return t && t->done ? &t->info : NULL;
}

const char *tls_failure(const struct stream *s) {
    const struct session *t = tls_is(s) ? s->layer : NULL;
    return t && t->failure ? t->failure : "";
}

bool tls_failure_is_verify(const struct stream *s) {
    const struct session *t = tls_is(s) ? s->layer : NULL;
    return t && t->verify_failed;
}
