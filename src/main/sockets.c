#include "main/sockets.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static bool wildcard(const struct address *a) {
    static const struct in6_addr any6 = IN6ADDR_ANY_INIT;
    if (a->sa.sa_family == AF_INET)
        return a->in.sin_addr.s_addr == htonl(INADDR_ANY);
    return a->sa.sa_family == AF_INET6 && memcmp(&a->in6.sin6_addr, &any6, sizeof any6) == 0;
}

static bool serves(const struct held *h, const struct address *at) {
    if (address_eq(&h->address, at))
        return true;
    return h->given && wildcard(&h->address) && wildcard(at) &&
           address_port(&h->address) == address_port(at);
}

static unsigned find(const struct sockets *s, const struct address *at) {
    unsigned i = 0;
    while (i < s->count && !serves(s->held[i], at))
        i++;
    return i;
}

static void drop(struct held *h, bool unlink_file) {
    for (unsigned i = 0; i < h->count; i++)
        close(h->fd[i]);
    if (unlink_file && !h->given && h->address.sa.sa_family == AF_UNIX && h->address.un.sun_path[0])
        unlink(h->address.un.sun_path);
    mem_free(h);
}

/* Whether somebody has the address, even if he would share it. */
static int probe(const struct address *at) {
    int one = 1, err = 0, fd = socket(at->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, &at->sa, at->len) < 0)
        err = errno;
    close(fd);
    return err;
}

/* A file whose gateway died stays behind; one that answers is in use. */
static int clear_stale(const struct address *at) {
    int err = 0, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    if (connect(fd, &at->sa, at->len) == 0 || errno == EAGAIN)
        err = EADDRINUSE;
    else if (errno == ECONNREFUSED && at->un.sun_path[0])
        unlink(at->un.sun_path);
    close(fd);
    return err;
}

static int bind_all(struct held *h, unsigned count) {
    struct address at = h->address;
    bool local = at.sa.sa_family == AF_UNIX;
    int err = local ? clear_stale(&at) : probe(&at);
    while (!err && h->count < (local ? 1 : count)) {
        int fd = tcp_listen(&at, SOMAXCONN);
        if (fd < 0)
            return errno;
        h->fd[h->count++] = fd;
        at.len = sizeof at.un; /* port 0: the others share the port that the first was given */
        if (getsockname(fd, &at.sa, &at.len) < 0)
            return errno;
    }
    return err;
}

int sockets_open(struct sockets *s, const struct address *at, unsigned count,
                 const struct held **out) {
    unsigned i = find(s, at);
    if (i == s->count) {
        if (s->count == SOCKETS_ADDRESSES)
            return ENOSPC;
        struct held *h = mem_alloc(sizeof *h);
        h->address = *at;
        int err = bind_all(h, count > SOCKETS_PER_ADDRESS ? SOCKETS_PER_ADDRESS : count);
        if (err) {
            drop(h, false);
            return err;
        }
        s->held[s->count++] = h;
    }
    *out = s->held[i];
    return 0;
}

static int prepare(int fd, struct address *at) {
    int listening = 0, type = 0;
    socklen_t n = sizeof listening, t = sizeof type;
    *at = (struct address){.len = sizeof at->un};
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &t) < 0 ||
        getsockname(fd, &at->sa, &at->len) < 0)
        return errno;
    if (!listening || type != SOCK_STREAM)
        return EINVAL;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return errno;
    return 0;
}

int sockets_adopt(struct sockets *s, int fd) {
    struct address at;
    int err = prepare(fd, &at);
    if (err)
        return err;
    unsigned i = 0;
    while (i < s->count && !address_eq(&s->held[i]->address, &at))
        i++;
    if (i == SOCKETS_ADDRESSES)
        return ENOSPC;
    if (i == s->count) {
        s->held[s->count] = mem_alloc(sizeof **s->held);
        s->held[s->count]->address = at;
        s->held[s->count++]->given = true;
    }
    struct held *h = s->held[i];
    if (h->count == SOCKETS_PER_ADDRESS)
        return ENOSPC;
    h->fd[h->count++] = fd;
    return 0;
}

void sockets_close(struct sockets *s, const struct address *at) {
    unsigned i = find(s, at);
    if (i == s->count)
        return;
    drop(s->held[i], true);
    s->held[i] = s->held[--s->count];
}

void sockets_close_all(struct sockets *s, bool unlink_files) {
    while (s->count)
        drop(s->held[--s->count], unlink_files);
}
