/*
 * origin - the service behind the proxies of the benchmark: answers a GET at once and is never the
 * bottleneck. One thread, epoll, answers made in advance: a path that contains "1m" gives 1 MiB,
 * "10k" 10 KiB, any other 1 KiB. Bodies of requests are not read: the load sends none.
 *
 * A request for an upgrade gets a WebSocket that sends every frame back (up to 125 bytes each).
 *
 *   origin PORT      prints "ready" when it listens, runs until it is killed
 *
 * On the UDP port of the same number it takes log lines by syslog and throws them away.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_MAX = 16384, FD_MAX = 65536 };

struct answer {
    char *p;
    size_t n;
};

/* What a connection still has to say, and the start of a head that came in pieces. */
struct peer {
    const struct answer *sending;
    size_t sent;
    size_t kept;
    char *head;
    bool last; /* asked to close after this answer */
    bool echo; /* a WebSocket now */
};

static struct answer small, medium, large;
static struct peer peers[FD_MAX];

static void die(const char *what) {
    perror(what);
    exit(1);
}

static struct answer make_answer(size_t size) {
    struct answer a = {malloc(size + 256), 0};
    if (!a.p)
        die("malloc");
    int n = snprintf(a.p, 256,
                     "HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n",
                     size);
    memset(a.p + n, 'x', size);
    a.n = (size_t)n + size;
    return a;
}

/* Sec-WebSocket-Accept for the key in the head. Returns its length, 0: there is none. */
static size_t accept_key(const char *head, size_t n, char *out) {
    static const char name[] = "sec-websocket-key:";
    unsigned char sum[20];
    char text[64];
    for (const char *at = head; (at = memchr(at, '\n', (size_t)(head + n - at))); at++) {
        if (strncasecmp(at + 1, name, sizeof name - 1) != 0)
            continue;
        const char *key = at + sizeof name;
        while (*key == ' ')
            key++;
        int len = snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
        SHA1((unsigned char *)text, (size_t)len, sum);
        return (size_t)EVP_EncodeBlock((unsigned char *)out, sum, 20);
    }
    return 0;
}

static bool upgrade(int fd, struct peer *p, const char *head, size_t n) {
    char answer[256], key[32];
    if (!memmem(head, n, "pgrade: websocket", 17) && !memmem(head, n, "PGRADE: WEBSOCKET", 17))
        return false;
    size_t len = accept_key(head, n, key);
    int size =
        snprintf(answer, sizeof answer,
                 "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Accept: %.*s\r\n\r\n",
                 (int)len, key);
    p->echo = send(fd, answer, (size_t)size, MSG_NOSIGNAL) == size;
    return true;
}

/* Whole masked frames come back unmasked. Returns the bytes used. */
static size_t echo(int fd, const char *buf, size_t n) {
    char out[256];
    size_t used = 0;
    while (n - used >= 6) {
        const char *f = buf + used;
        size_t len = (unsigned char)f[1] & 127;
        if (len > 125 || n - used < 6 + len)
            break;
        out[0] = f[0];
        out[1] = (char)len;
        for (size_t i = 0; i < len; i++)
            out[2 + i] = f[6 + i] ^ f[2 + i % 4];
        if (send(fd, out, 2 + len, MSG_NOSIGNAL) < 0)
            break;
        used += 6 + len;
    }
    return used;
}

static const struct answer *choose(const char *head, size_t n) {
    const char *line = memchr(head, '\r', n);
    size_t len = line ? (size_t)(line - head) : n;
    if (memmem(head, len, "1m", 2))
        return &large;
    return memmem(head, len, "10k", 3) ? &medium : &small;
}

static void drop(int fd) {
    free(peers[fd].head);
    peers[fd] = (struct peer){0};
    close(fd);
}

/* False: blocked (the rest follows when epoll says so), gone or closed as asked. */
static bool flush(int fd, struct peer *p) {
    while (p->sending) {
        ssize_t n = send(fd, p->sending->p + p->sent, p->sending->n - p->sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN)
                drop(fd);
            return false;
        }
        p->sent += (size_t)n;
        if (p->sent == p->sending->n)
            p->sending = NULL;
    }
    if (!p->last)
        return true;
    drop(fd);
    return false;
}

static bool keep(struct peer *p, const char *rest, size_t n) {
    if (n > HEAD_MAX || (!p->head && !(p->head = malloc(HEAD_MAX))))
        return false;
    memmove(p->head, rest, n);
    p->kept = n;
    return true;
}

/* Answers all whole heads in the buffer; what is left over is kept. False: the peer is gone. */
static bool answer_all(int fd, struct peer *p, const char *buf, size_t n) {
    while (n) {
        if (p->echo) {
            size_t used = echo(fd, buf, n);
            buf += used;
            n -= used;
            break;
        }
        const char *end = memmem(buf, n, "\r\n\r\n", 4);
        if (!end)
            break;
        size_t head = (size_t)(end - buf) + 4;
        if (upgrade(fd, p, buf, head)) {
            buf += head;
            n -= head;
            continue;
        }
        p->sending = choose(buf, head);
        p->sent = 0;
        p->last = memmem(buf, head, "Connection: close", 17) != NULL;
        buf += head;
        n -= head;
        if (!flush(fd, p) && !p->sending)
            return false;
        if (p->sending)
            break;
    }
    if (n && !keep(p, buf, n)) {
        drop(fd);
        return false;
    }
    return true;
}

/* Stops after a short read, unless the end has come too: it would not be told again. */
static void readable(int fd, bool ended) {
    static char scratch[HEAD_MAX * 2];
    struct peer *p = &peers[fd];
    for (;;) {
        if (!flush(fd, p))
            return;
        size_t kept = p->kept;
        if (kept)
            memcpy(scratch, p->head, kept);
        p->kept = 0;
        ssize_t n = recv(fd, scratch + kept, HEAD_MAX, 0);
        if (n <= 0) {
            if (n == 0 || errno != EAGAIN)
                drop(fd);
            else
                p->kept = kept;
            return;
        }
        if (!answer_all(fd, p, scratch, kept + (size_t)n) || (n < HEAD_MAX && !ended))
            return;
    }
}

static void welcome(int ep, int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        if (fd >= FD_MAX) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                 .data.fd = fd};
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
    }
}

static void swallow(int fd) {
    char byte;
    while (recv(fd, &byte, 1, MSG_TRUNC) >= 0)
        ;
}

static int listen_on(const char *port, int type) {
    int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    sa.sin_port = htons((in_port_t)strtoul(port, NULL, 10));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 ||
        (type == SOCK_STREAM && listen(fd, 4096) < 0))
        die("origin: listen");
    return fd;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: origin PORT\n");
        return 2;
    }
    small = make_answer(1 << 10);
    medium = make_answer(10 << 10);
    large = make_answer(1 << 20);
    int ep = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on(argv[1], SOCK_STREAM), log = listen_on(argv[1], SOCK_DGRAM);
    struct epoll_event ev[64] = {{.events = EPOLLIN, .data.fd = listener},
                                 {.events = EPOLLIN, .data.fd = log}};
    epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev[0]);
    epoll_ctl(ep, EPOLL_CTL_ADD, log, &ev[1]);
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(ep, ev, 64, -1);
        for (int i = 0; i < n; i++) {
            if (ev[i].data.fd == listener)
                welcome(ep, listener);
            else if (ev[i].data.fd == log)
                swallow(log);
            else
                readable(ev[i].data.fd, ev[i].events & ~(uint32_t)(EPOLLIN | EPOLLOUT));
        }
    }
}
