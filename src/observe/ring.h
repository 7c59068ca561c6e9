/*
 * ring - a byte ring between one producer and one consumer, lines whole and in one piece.
 *
 * reserve lends contiguous room, commit publishes what was used of it; peek lends the oldest piece,
 * pop drops it. Never blocks, never allocates: reserve answers NULL when there is no room. Order by
 * two atomics. Owner: whoever embeds it. Thread: one produces, one other consumes.
 */
#pragma once
#include "base/str.h"
#include <stdatomic.h>

struct ring_head { /* before every piece */
    uint32_t len;  /* RING_SKIP: nothing more before the end of the memory */
    uint32_t tag;
};

struct ring {
    char *p;
    size_t size; /* a power of two */
    _Alignas(64) _Atomic uint64_t written;
    uint64_t read_seen; /* the producer's last look at `read` */
    _Alignas(64) _Atomic uint64_t read;
};

must_use bool ring_init(struct ring *r, size_t size);
void ring_finish(struct ring *r);

/* n at most size / 4. NULL: full. */
char *ring_reserve(struct ring *r, size_t n);
void ring_commit(struct ring *r, size_t used, uint32_t tag); /* used <= n of the reserve before */

/* False: empty. */
must_use bool ring_peek(struct ring *r, struct span *piece, uint32_t *tag);
void ring_pop(struct ring *r);
