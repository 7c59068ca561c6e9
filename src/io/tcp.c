#include "io/tcp.h"
#include <errno.h>
#include <linux/tcp.h> /* the system library's own tcp_info is too old */
#include <netinet/in.h>

static enum io_result tcp_read(struct stream *s, void *p, size_t n, size_t *got) {
    ssize_t r;
    do
        r = env.recv(s->watch.fd, p, n);
    while (r < 0 && errno == EINTR);
    if (r > 0) {
        *got = (size_t)r;
        return IO_OK;
    }
    if (r == 0)
        return IO_END;
    return errno == EAGAIN ? IO_AGAIN : IO_RESET;
}

static enum io_result tcp_write(struct stream *s, const struct iovec *iov, int n, size_t *took) {
    ssize_t r;
    *took = 0;
    do
        r = env.writev(s->watch.fd, iov, n);
    while (r < 0 && errno == EINTR);
    if (r >= 0) {
        *took = (size_t)r;
        return IO_OK;
    }
    return errno == EAGAIN ? IO_AGAIN : IO_RESET;
}

static enum io_result spliced(ssize_t r, size_t *n) {
    *n = r > 0 ? (size_t)r : 0;
    if (r > 0)
        return IO_OK;
    if (r == 0)
        return IO_END;
    return errno == EAGAIN ? IO_AGAIN : IO_RESET;
}

static enum io_result tcp_read_pipe(struct stream *s, struct pipe *p, size_t n, size_t *got) {
    return spliced(env.splice(s->watch.fd, p->in, n, false), got);
}

static enum io_result tcp_write_pipe(struct stream *s, struct pipe *p, size_t n, bool more,
                                     size_t *took) {
    return spliced(env.splice(p->out, s->watch.fd, n, more), took);
}

static void tcp_shut(struct stream *s) {
    env.shutdown(s->watch.fd, SHUT_WR);
}

const struct stream_ops tcp_stream = {.read = tcp_read,
                                      .write = tcp_write,
                                      .shut = tcp_shut,
                                      .read_pipe = tcp_read_pipe,
                                      .write_pipe = tcp_write_pipe};

void stream_close(struct loop *l, struct stream *s) {
    if (s->ops && s->ops->drop)
        s->ops->drop(s);
    s->layer = NULL;
    loop_unwatch(l, &s->watch);
}

bool stream_move(struct loop *l, struct stream *from, struct stream *to) {
    if (!loop_rewatch(l, &from->watch, &to->watch))
        return false;
    to->ops = from->ops;
    to->layer = from->layer;
    to->hung_up = from->hung_up;
    to->urgent = from->urgent;
    to->readable = true;
    from->layer = NULL;
    return true;
}

enum io_result stream_read(struct loop *l, struct stream *s, size_t max, struct span *got) {
    size_t left = SCRATCH_MAX - l->scratch_used, n = 0;
    if (max > left)
        max = left;
    must(max > 0);
    unsigned char *p = l->scratch + l->scratch_used;
    enum io_result r = s->ops->read(s, p, max, &n);
    if (r != IO_OK) {
        s->readable = r == IO_END || r == IO_RESET;
        return r;
    }
    if (n < max && !s->hung_up && !s->urgent)
        s->readable = false;
    l->scratch_used += n;
    *got = span_of((const char *)p, n);
    return IO_OK;
}

void tcp_no_delay(int fd) {
    int one = 1;
    env.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

void tcp_reset_on_close(int fd) {
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    env.setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

int tcp_connect(struct loop *l, struct stream *s, const struct address *to) {
    int fd = env.socket(to->sa.sa_family, SOCK_STREAM, 0);
    if (fd < 0)
        return errno;
    if (to->sa.sa_family != AF_UNIX)
        tcp_no_delay(fd);
    int err = env.connect(fd, &to->sa, to->len) == 0 || errno == EINPROGRESS ? 0 : errno;
    s->ops = &tcp_stream;
    s->readable = s->hung_up = false;
    if (!err && !loop_watch(l, &s->watch, fd))
        err = errno;
    if (err)
        env.close(fd);
    return err;
}

int tcp_error(struct stream *s) {
    int err = 0;
    socklen_t n = sizeof err;
    if (env.getsockopt(s->watch.fd, SOL_SOCKET, SO_ERROR, &err, &n) < 0)
        return errno;
    return err;
}

bool tcp_acked(struct stream *s, uint64_t *bytes) {
    struct tcp_info info = {0};
    socklen_t n = sizeof info;
    if (env.getsockopt(s->watch.fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0 ||
        n < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof info.tcpi_bytes_acked)
        return false;
    *bytes = info.tcpi_bytes_acked;
    return true;
}

int tcp_listen(const struct address *at, int backlog) {
    int one = 1, fd = env.socket(at->sa.sa_family, SOCK_STREAM, 0);
    if (fd < 0)
        return -1;
    if (at->sa.sa_family != AF_UNIX) {
        env.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        env.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    }
    if (env.bind(fd, &at->sa, at->len) < 0 || env.listen(fd, backlog) < 0) {
        int err = errno;
        env.close(fd);
        errno = err;
        return -1;
    }
    return fd;
}
