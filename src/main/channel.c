#include "main/channel.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

static const char variable[] = "SLUICE_SUPERVISOR";
enum { ANSWER_SECONDS = 10 };

union fds { /* aligned room for the descriptors of one record */
    struct cmsghdr head;
    char bytes[CMSG_SPACE(sizeof(int) * SOCKETS_PER_ADDRESS)];
};

bool channel_pair(int out[2]) {
    struct timeval t = {.tv_sec = ANSWER_SECONDS};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, out) < 0)
        return false;
    /* Neither side ever hangs on the other. */
    for (int i = 0; i < 2; i++) {
        setsockopt(out[i], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
        setsockopt(out[i], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
    }
    return true;
}

void channel_export(int fd) {
    char text[16];
    snprintf(text, sizeof text, "%d", fd);
    setenv(variable, text, 1);
}

void channel_unexport(void) {
    unsetenv(variable);
}

bool channel_inherit(int *fd) {
    const char *text = getenv(variable);
    uint64_t v = 0;
    int type = 0;
    socklen_t n = sizeof type;
    bool good = text && parse_dec(span_z(text), INT32_MAX, &v) &&
                getsockopt((int)v, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_SEQPACKET;
    unsetenv(variable);
    if (!good)
        return false;
    *fd = (int)v;
    return fcntl(*fd, F_SETFD, FD_CLOEXEC) == 0;
}

static bool send_record(int fd, const struct channel_record *r, const struct held *h) {
    union fds room = {.bytes = {0}};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)r, .iov_len = sizeof *r};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (h) {
        size_t n = sizeof(int) * h->count;
        m.msg_control = room.bytes;
        m.msg_controllen = CMSG_SPACE(n);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        *c = (struct cmsghdr){CMSG_LEN(n), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(c), h->fd, n);
    }
    ssize_t sent;
    do
        sent = sendmsg(fd, &m, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof *r;
}

static struct channel_record record_of(uint32_t kind, const struct address *at, unsigned count) {
    struct channel_record r;
    memset(&r, 0, sizeof r);
    r.kind = kind;
    r.count = count;
    if (at) {
        r.address_len = at->len;
        memcpy(&r.address, &at->sa, at->len);
    }
    return r;
}

static unsigned take_fds(struct msghdr *m, int out[SOCKETS_PER_ADDRESS]) {
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
        return 0;
    size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(out, CMSG_DATA(c), n * sizeof(int));
    return (unsigned)n;
}

/* An answer with its sockets. */
static int receive_answer(int fd, int out[SOCKETS_PER_ADDRESS], unsigned *n) {
    struct channel_record r;
    union fds room;
    struct iovec iov = {&r, sizeof r};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = room.bytes,
                       .msg_controllen = sizeof room.bytes};
    ssize_t got;
    do
        got = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN ? ETIMEDOUT : errno;
    *n = take_fds(&m, out);
    if (got != sizeof r || r.kind != CHANNEL_LISTEN ||
        (r.error == 0 && (*n == 0 || *n != r.count))) {
        while (*n)
            close(out[--*n]);
        return got == 0 ? EPIPE : EPROTO;
    }
    return r.error;
}

static int listen_here(struct channel *c, const struct address *at, unsigned count,
                       int fd[SOCKETS_PER_ADDRESS], unsigned *n) {
    const struct held *h;
    int err = sockets_open(&c->own, at, count, &h);
    for (*n = 0; !err && *n < h->count; ++*n)
        if ((fd[*n] = fcntl(h->fd[*n], F_DUPFD_CLOEXEC, 0)) < 0)
            err = errno;
    while (err && *n)
        close(fd[--*n]);
    return err;
}

int channel_listen(struct channel *c, const struct address *at, unsigned count,
                   int fd[SOCKETS_PER_ADDRESS], unsigned *n) {
    *n = 0;
    if (c->fd < 0)
        return listen_here(c, at, count, fd, n);
    struct channel_record r = record_of(CHANNEL_LISTEN, at, count);
    if (!send_record(c->fd, &r, NULL))
        return errno;
    return receive_answer(c->fd, fd, n);
}

void channel_close_address(struct channel *c, const struct address *at) {
    struct channel_record r = record_of(CHANNEL_CLOSE, at, 0);
    if (c->fd < 0)
        sockets_close(&c->own, at);
    else
        (void)!send_record(c->fd, &r, NULL);
}

void channel_to_systemd(const struct systemd *d, uint32_t kind) {
    if (kind == CHANNEL_READY || kind == CHANNEL_RELOADED)
        systemd_ready(d);
    else if (kind == CHANNEL_RELOADING)
        systemd_reloading(d);
    else if (kind == CHANNEL_STOPPING)
        systemd_stopping(d);
    else if (kind == CHANNEL_ALIVE)
        systemd_alive(d);
}

void channel_tell(struct channel *c, enum channel_kind what) {
    struct channel_record r = record_of(what, NULL, 0);
    if (c->fd < 0)
        channel_to_systemd(&c->systemd, what);
    else
        (void)!send_record(c->fd, &r, NULL);
}

bool channel_receive(int fd, struct channel_record *r, struct address *at) {
    ssize_t got;
    do
        got = recv(fd, r, sizeof *r, MSG_DONTWAIT | MSG_TRUNC);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof *r || r->kind < CHANNEL_LISTEN || r->kind > CHANNEL_ALIVE ||
        r->address_len > sizeof r->address)
        return false;
    *at = (struct address){.len = r->address_len};
    memcpy(&at->un, &r->address, r->address_len);
    return r->kind > CHANNEL_CLOSE || at->len > sizeof at->sa.sa_family;
}

bool channel_answer(int fd, int error, const struct held *h) {
    struct channel_record r = record_of(CHANNEL_LISTEN, NULL, h ? h->count : 0);
    r.error = error;
    return send_record(fd, &r, h);
}
