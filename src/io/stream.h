/*
 * stream - a byte stream between two peers, whatever it runs over: TCP, a unix socket, TLS.
 *
 * Reading lends one contiguous piece of the thread's scratch, good until the drain ends. Writing
 * says what was taken: what was taken is in the hands of the system. A layer that encodes (TLS)
 * therefore reports bytes as taken only once all that they became has left; what it holds back goes
 * out first when the same bytes are offered again, so a caller offers what was not taken again,
 * unchanged, behind nothing new. Both never block and never call back. Owner: the connection that
 * embeds it.
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
    /* The socket takes more again: what the layer itself has to say goes out (handshakes, alerts).
     * NULL: it never has. */
    void (*writable)(struct stream *);
    /* Before the socket is closed: says goodbye where that is possible and frees the layer. */
    void (*drop)(struct stream *);
};

struct stream {
    const struct stream_ops *ops;
    struct watch watch;
    void *layer;   /* of the ops; NULL: none */
    bool readable; /* an edge came and reading has not yet run dry */
    bool hung_up;  /* the peer will send no more (RDHUP), or the connection is gone */
    bool abrupt; /* set before closing: no goodbye, the peer must not take what it has for whole */
    bool urgent; /* it sent urgent data: the byte is ignored, but reads stop short of it */
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
    if ((events & EPOLLOUT) && s->ops && s->ops->writable)
        s->ops->writable(s);
}
/* Ends the layer and closes the descriptor now; what embeds the stream may go at the end of the
 * turn. */
void stream_close(struct loop *l, struct stream *s);
/* The descriptor, watched by `from`, belongs to `to` from now on, with its layer and its state;
 * what came meanwhile is not lost: `to` is readable. False: no memory; nothing has changed. */
must_use bool stream_move(struct loop *l, struct stream *from, struct stream *to);
