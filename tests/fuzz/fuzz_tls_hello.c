/*
 * Whoever speaks first to a TLS port, or answers instead of a service. The first byte says to whom
 * and how the bytes are cut:
 *
 *     0  raw bytes to a listener
 *     1  raw bytes to the gateway as a client of a service
 *     2  a true handshake with a listener whose client's bytes are changed: (place, mask) pairs
 *
 * What must hold for any bytes: the handshake ends or waits, a failure has words and no facts, a
 * name that was taken is clean, and nothing of a session is left in the thread's buffers.
 */
#include "../unit/tls/certs.h"
#include "io/tcp.h"
#include "tls/session.h"
#include "tls/stream.h"
#include <errno.h>

enum { LISTENER_FD = 100000, CLIENT_FD, QUEUE_MAX = 256 * 1024 };

static struct queue {
    size_t at, n, cut;
    bool ended;
    unsigned char bytes[QUEUE_MAX];
} to[2]; /* to the listener's side, to the client's */

static struct loop l;
static struct tls_server *server;
static struct tls_client *client;
static const uint8_t *patch;
static size_t patches, passed; /* bytes of the client so far */

static ssize_t memory_recv(int fd, void *p, size_t n) {
    struct queue *q = &to[fd - LISTENER_FD];
    if (q->at == q->n) {
        if (q->ended)
            return 0;
        errno = EAGAIN;
        return -1;
    }
    n = n < q->n - q->at ? n : q->n - q->at;
    n = q->cut && n > q->cut ? q->cut : n;
    memcpy(p, q->bytes + q->at, n);
    q->at += n;
    return (ssize_t)n;
}

static void change(unsigned char *p, size_t n) {
    for (size_t i = 0; i < patches; i++) {
        size_t place = patch[3 * i] * 256u + patch[3 * i + 1];
        if (place >= passed && place < passed + n)
            p[place - passed] ^= patch[3 * i + 2];
    }
    passed += n;
}

static ssize_t memory_writev(int fd, const struct iovec *iov, int n) {
    struct queue *q = &to[fd == LISTENER_FD];
    size_t all = 0;
    for (int i = 0; i < n; i++) {
        size_t k = iov[i].iov_len < QUEUE_MAX - q->n ? iov[i].iov_len : QUEUE_MAX - q->n;
        memcpy(q->bytes + q->n, iov[i].iov_base, k);
        if (fd == CLIENT_FD)
            change(q->bytes + q->n, k);
        q->n += k;
        all += k;
    }
    return (ssize_t)all;
}

static int memory_close(int fd) {
    (void)fd;
    return 0;
}
static int memory_shutdown(int fd, int how) {
    (void)fd, (void)how;
    return 0;
}

static void begin(void) {
    certs_begin();
    struct made ca = certs_make("ca", &(struct wish){.cn = "test CA", .ca = true}, NULL);
    struct made a = certs_make("a", &(struct wish){.cn = "a", .san = "DNS:a.test"}, &ca);
    struct made b = certs_make("b", &(struct wish){.cn = "b", .san = "DNS:*.b.test"}, &ca);
    struct tls_client_conf ask = {.mode = TLS_CLIENT_REQUEST, .ca = span_z(ca.cert_file)};
    struct tls_cert_conf c[] = {
        {.certificate = span_z(a.cert_file), .private_key = span_z(a.key_file)},
        {.certificate = span_z(b.cert_file), .private_key = span_z(b.key_file), .client = &ask}};
    struct tls_server_conf conf = {.name = SPAN("fuzz"), .cert = c, .cert_count = 2};
    server = tls_server_create(&conf, NULL, NULL);
    client = tls_client_create(&(struct tls_client_settings){.ca = span_z(ca.cert_file),
                                                             .offer_h1 = true,
                                                             .offer_h2 = true},
                               NULL, NULL);
    must(server && client && loop_init(&l));
    me = &l;
    certs_free(&ca), certs_free(&a), certs_free(&b);
    certs_finish();
    env.recv = memory_recv;
    env.writev = memory_writev;
    env.close = memory_close;
    env.shutdown = memory_shutdown;
}

static struct stream stream_at(int fd) {
    return (struct stream){.ops = &tcp_stream, .watch.fd = fd, .readable = true};
}

static void check(struct stream *s, enum tls_step step) {
    struct wire *w = wire_mine();
    char got[100];
    size_t n;
    must(w->out_n == 0 && w->marks == 0 && w->feed.n == 0);
    must((step == TLS_DONE) == (tls_info_of(s) != NULL));
    must((step == TLS_FAILED) == (tls_failure(s)[0] != 0));
    if (step != TLS_DONE) {
        must(s->ops->read(s, got, sizeof got, &n) == IO_RESET);
        return;
    }
    struct span sni = tls_info_of(s)->sni;
    for (size_t i = 0; i < sni.n; i++)
        must(sni.p[i] > 0x20 && sni.p[i] < 0x7f && lower(sni.p[i]) == sni.p[i]);
    enum io_result r = s->ops->read(s, got, sizeof got, &n);
    must(r != IO_OK || n > 0);
    must(w->out_n == 0 && w->feed.n == 0);
}

static void raw(struct stream *s, const uint8_t *data, size_t n) {
    struct queue *q = &to[s->watch.fd - LISTENER_FD];
    memcpy(q->bytes, data, n);
    q->n = n;
    enum tls_step step = tls_handshake(&l, s, SPAN_NONE);
    if (step == TLS_WANT) {
        must(!s->readable);
        q->ended = s->readable = true;
        step = tls_handshake(&l, s, SPAN_NONE);
    }
    check(s, step);
    stream_close(&l, s);
}

static void changed(void) {
    struct stream a = stream_at(LISTENER_FD), b = stream_at(CLIENT_FD);
    enum tls_step x = TLS_WANT, y = TLS_WANT;
    must(tls_accept(&a, server) && tls_connect(&b, client, SPAN("x.b.test")));
    for (int i = 0; i < 6; i++) {
        if (y == TLS_WANT)
            y = tls_handshake(&l, &b, SPAN_NONE);
        struct iovec v = {(char[]){"hello"}, 5};
        size_t took;
        if (y == TLS_DONE && i < 3)
            b.ops->write(&b, &v, 1, &took);
        if (x == TLS_WANT)
            x = tls_handshake(&l, &a, SPAN_NONE);
    }
    check(&a, x);
    check(&b, y);
    stream_close(&l, &a);
    stream_close(&l, &b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    if (!server)
        begin();
    if (n < 1 || n > 70000)
        return 0;
    size_t cut = data[0] >> 4;
    for (int i = 0; i < 2; i++)
        to[i].at = to[i].n = 0, to[i].ended = false, to[i].cut = cut * cut * cut;
    patches = passed = 0;
    struct stream s = stream_at(data[0] & 1 ? CLIENT_FD : LISTENER_FD);
    if (data[0] & 2) {
        patch = data + 1;
        patches = (n - 1) / 3;
        changed();
    } else if (data[0] & 1) {
        must(tls_connect(&s, client, SPAN("a.test")));
        raw(&s, data + 1, n - 1);
    } else {
        must(tls_accept(&s, server));
        raw(&s, data + 1, n - 1);
    }
    return 0;
}
