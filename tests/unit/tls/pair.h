/*
 * pair - two TLS streams over a socket pair, moved by hand, for the tests of tls.
 *
 * The kernel's sockets lie under them, but what passes can be cut: `send_max`, `recv_max` bound
 * each call, `send_budget` is what the socket takes until the test gives more. Owner: the test.
 * Thread: one.
 */
#pragma once
#include "io/tcp.h"
#include "tls/stream.h"
#include "tls/trust.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

struct pair {
    struct loop *l;
    struct stream a, b; /* a: the listener's side */
};

static size_t pair_send_max, pair_recv_max; /* of each call; 0: all */
static size_t pair_send_budget = SIZE_MAX;
static unsigned pair_sends, pair_receives;

static inline ssize_t pair_recv(int fd, void *p, size_t n) {
    pair_receives++;
    if (pair_recv_max && n > pair_recv_max)
        n = pair_recv_max;
    return env_os.recv(fd, p, n);
}

static inline ssize_t pair_writev(int fd, const struct iovec *iov, int n) {
    char all[512 * 1024];
    size_t at = 0, max = pair_send_max ? pair_send_max : sizeof all;
    if (max > pair_send_budget)
        max = pair_send_budget;
    for (int i = 0; i < n; i++) {
        size_t k = iov[i].iov_len < sizeof all - at ? iov[i].iov_len : sizeof all - at;
        memcpy(all + at, iov[i].iov_base, k);
        at += k;
    }
    pair_sends++;
    if (!max) {
        errno = EAGAIN;
        return -1;
    }
    struct iovec one = {all, at < max ? at : max};
    ssize_t r = env_os.writev(fd, &one, 1);
    if (r > 0 && pair_send_budget != SIZE_MAX)
        pair_send_budget -= (size_t)r;
    return r;
}

/* What was set for one test is over. */
static inline void pair_plain(void) {
    env = env_os;
    env.recv = pair_recv;
    env.writev = pair_writev;
    pair_send_max = pair_recv_max = 0;
    pair_send_budget = SIZE_MAX;
    pair_sends = pair_receives = 0;
}

/* Of a client, to ask for what its settings do not offer. */
static inline SSL_CTX *pair_context(struct tls_client *c) {
    struct trust *t = tls_client_trust(c);
    SSL_CTX *ctx = t->ctx;
    trust_unref(t);
    return ctx;
}

static inline void pair_ignore(struct watch *w, uint32_t events) {
    (void)w, (void)events;
}

static inline void pair_open(struct pair *p, struct loop *l) {
    int fd[2];
    *p = (struct pair){.l = l};
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
    p->a.ops = p->b.ops = &tcp_stream;
    p->a.watch.ready = p->b.watch.ready = pair_ignore;
    must(loop_watch(l, &p->a.watch, fd[0]) && loop_watch(l, &p->b.watch, fd[1]));
    p->a.readable = p->b.readable = true;
}

static inline void pair_close(struct pair *p) {
    stream_close(p->l, &p->a);
    stream_close(p->l, &p->b);
}

/* One side says nothing more until it is told of an event: here everything is an event. */
static inline void pair_wake(struct stream *s) {
    stream_event(s, EPOLLIN | EPOLLOUT);
}

/* Until both are done or one has failed. */
static inline bool pair_handshake(struct pair *p, enum tls_step *a, enum tls_step *b) {
    *a = *b = TLS_WANT;
    for (int i = 0; i < 200000 && (*a == TLS_WANT || *b == TLS_WANT); i++) {
        pair_wake(&p->a), pair_wake(&p->b);
        if (*b == TLS_WANT)
            *b = tls_handshake(p->l, &p->b, SPAN_NONE);
        if (*b == TLS_DONE) /* its last flight leaves at the end of the turn */
            loop_turn(p->l, 0);
        if (*a == TLS_WANT)
            *a = tls_handshake(p->l, &p->a, SPAN_NONE);
        if (*a == TLS_FAILED && *b == TLS_WANT) {
            pair_wake(&p->b);
            *b = tls_handshake(p->l, &p->b, SPAN_NONE);
            break;
        }
        if (*b == TLS_FAILED && *a == TLS_WANT) {
            pair_wake(&p->a);
            *a = tls_handshake(p->l, &p->a, SPAN_NONE);
            break;
        }
    }
    return *a == TLS_DONE && *b == TLS_DONE;
}

/* All of it from one to the other; what the receiver got is compared. */
static inline bool pair_pass(struct stream *from, struct stream *to, const char *text, size_t n) {
    char *got = malloc(n + 1);
    size_t sent = 0, came = 0, k;
    must(got);
    for (int i = 0; i < 4000000 && came < n; i++) {
        struct iovec v = {(void *)(uintptr_t)(text + sent), n - sent};
        if (sent < n) {
            if (from->ops->write(from, &v, 1, &k) == IO_RESET)
                break;
            sent += k;
        }
        enum io_result r = to->ops->read(to, got + came, n - came, &k);
        if (r == IO_OK)
            came += k;
        if (r == IO_END || r == IO_RESET)
            break;
    }
    bool same = came == n && memcmp(got, text, n) == 0;
    free(got);
    return same;
}
