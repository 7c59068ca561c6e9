/*
 * slice - a piece of a body: bytes that lie in a counted buffer, or are lent.
 *
 * A lent slice points into a scratch buffer that is overwritten after the current drain of the
 * loop. It hangs in its pond's list; settling the pond copies the bytes of every lent slice that is
 * still held into memory of their size. So nobody keeps a pointer into body bytes beyond his call,
 * only the slice. Slices don't cross threads. Owner: the body whose queue it is in. Thread: that of
 * its pond.
 */
#pragma once
#include "base/check.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct buf { /* plain count: one thread */
    uint32_t refs;
    void (*release)(struct buf *); /* NULL: memory of mem_try */
    unsigned char data[];
};

/* Bytes that stay in the kernel (io/pipe.h): a slice of them can be passed on or dropped, not
 * looked at. */
struct pipe {
    int in, out; /* written to, read from */
    void (*give)(struct pipe *, size_t left);
    struct pipe *next;
};

struct slice {
    struct slice *next; /* in its queue */
    const unsigned char *p;
    size_t n;
    struct buf *buf;   /* NULL: lent, static or in a pipe */
    struct pipe *pipe; /* holds exactly these n bytes; p is NULL */
    struct slice *lent_next, **lent_at;
};

struct pond { /* one per thread */
    struct slice *lent, *free;
    uint64_t settled; /* bytes copied because somebody was slow: a statistic */
    unsigned spare;
    bool failed; /* settling found no memory: the slice became empty, its body must fault */
};

/* NULL: no memory. The slice takes over one reference of buf (NULL buf: the bytes are lent). */
must_use struct slice *slice_new(struct pond *pd, const void *p, size_t n, struct buf *buf);
/* A slice of bytes that outlive it whatever happens (configuration, an arena of its owner). */
must_use struct slice *slice_static(struct pond *pd, const void *p, size_t n);
/* Takes the pipe over; it is given back with the slice. NULL: no memory. */
must_use struct slice *slice_pipe(struct pond *pd, struct pipe *pipe, size_t n);
/* A slice with a buffer of its own; the caller fills slice_bytes. NULL: no memory. */
must_use struct slice *slice_own(struct pond *pd, size_t n);
static inline unsigned char *slice_bytes(struct slice *s) {
    return s->buf->data;
}
/* A second slice of the same bytes: refs. Not of a pipe's. NULL: no memory. */
must_use struct slice *slice_share(struct pond *pd, struct slice *s);
void slice_free(struct pond *pd, struct slice *s);

/* Copies every lent slice that is still held. False: memory ran out; such slices keep their length
 * but their `p` is NULL, and the body that holds one must end with a fault. */
bool pond_settle_slow(struct pond *pd);
static inline bool pond_settle(struct pond *pd) {
    return !pd->lent || pond_settle_slow(pd);
}
void pond_finish(struct pond *pd);
