/*
 * stream - a byte stream between two peers, whatever it runs over: TCP, a unix socket, later TLS.
 *
 * Reading lends one contiguous piece of the thread's scratch, good until the drain ends. Writing
 * says what was taken. Both never block and never call back. Owner: the connection that embeds it.
 */
#pragma once
#include "base/str.h"
#include "io/loop.h"

enum io_result { IO_OK, IO_AGAIN, IO_END, IO_RESET };

struct stream;
struct stream_ops {
    enum io_result (*read)(struct stream *, void *p, size_t n, size_t *got);
    enum io_result (*write)(struct stream *, const struct iovec *iov, int n, size_t *took);
    void (*shut)(struct stream *); /* no more writes: FIN */
    /* Straight between the socket and a pipe; NULL: this stream cannot (what it carries is
     * encoded). */
    enum io_result (*read_pipe)(struct stream *, struct pipe *, size_t n, size_t *got);
    enum io_result (*write_pipe)(struct stream *, struct pipe *, size_t n, bool more, size_t *took);
};

struct stream {
    const struct stream_ops *ops;
    struct watch watch;
    bool readable; /* an edge came and reading has not yet run dry */
    bool hung_up;  /* the peer will send no more (RDHUP), or the connection is gone */
    bool urgent;   /* it sent urgent data: the byte is ignored, but reads stop short of it */
};

/* Reads at most `max` bytes into what is left of the scratch. IO_OK: *got is lent. A short read
 * runs the stream dry without another system call, unless the peer's end or urgent data were
 * announced. */
enum io_result stream_read(struct loop *l, struct stream *s, size_t max, struct span *got);
static inline enum io_result stream_write(struct stream *s, const struct iovec *iov, int n,
                                          size_t *took) {
    return s->ops->write(s, iov, n, took);
}
/* What an event means for `readable` and `hung_up`. */
static inline void stream_event(struct stream *s, uint32_t events) {
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        s->readable = true;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        s->hung_up = true;
    if (events & EPOLLPRI)
        s->urgent = true;
}
