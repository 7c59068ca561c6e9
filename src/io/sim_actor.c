#include "io/sim_net.h"
#include <errno.h>

int actor_listen(const struct address *at) {
    struct net_fd *f = net_open(NET_SOCKET, NET_ACTOR);
    must(f && net_bind(f, at) == 0 && net_listen(f) == 0);
    return f->fd;
}

int actor_accept(int fd) {
    struct net_fd *l = net_get(fd, NET_LISTENER);
    struct net_fd *f = l ? net_accept(l, NET_ACTOR) : NULL;
    return f ? f->fd : -1;
}

int actor_connect(const struct address *to, const struct address *from) {
    struct net_fd *f = net_open(NET_SOCKET, NET_ACTOR);
    must(f);
    if (from)
        net_bind(f, from);
    net_connect(f, to);
    if (f->peer)
        return f->fd;
    net_close(f);
    return -1;
}

void actor_black_hole(const struct address *at) {
    must(net.holes < array_len(net.hole));
    net.hole[net.holes++] = *at;
}

static struct net_fd *stream(int fd) {
    struct net_fd *f = net_get(fd, NET_STREAM);
    must(f && f->owner == NET_ACTOR);
    return f;
}

size_t actor_send(int fd, const void *p, size_t n) {
    struct iovec iov = {(void *)(uintptr_t)p, n};
    ssize_t took = net_write(stream(fd), &iov, 1);
    return took > 0 ? (size_t)took : 0;
}

enum io_result actor_read(int fd, void *p, size_t max, size_t *got) {
    ssize_t n = net_read(stream(fd), p, max);
    *got = n > 0 ? (size_t)n : 0;
    if (n > 0)
        return IO_OK;
    if (n == 0)
        return IO_END;
    return errno == EAGAIN ? IO_AGAIN : IO_RESET;
}

size_t actor_waiting(int fd) {
    return stream(fd)->in->n;
}

void actor_shut(int fd) {
    net_shut(stream(fd));
}

void actor_close(int fd) {
    struct net_fd *f = net_get(fd, NET_FREE);
    must(f && f->owner == NET_ACTOR);
    net_close(f);
}

void actor_reset(int fd) {
    stream(fd)->reset_on_close = true;
    actor_close(fd);
}

bool actor_gone(int fd) {
    return stream(fd)->peer == NULL;
}
