/*
 * mem_stream - one direction of a byte stream, in memory, bounded: what a simulated socket is made
 * of.
 *
 * Bytes go in at one end while there is room and come out at the other in order; then its end, if
 * it was ended. Two ends share it. Owner: counted by its ends. Thread: one.
 */
#pragma once
#include "base/check.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct mem_stream {
    unsigned refs;
    bool ended; /* nothing more will be put */
    bool gone;  /* its reader is gone: what is put is lost */
    size_t at, n, cap;
    unsigned char data[];
};

struct mem_stream *mem_stream_create(size_t cap); /* one reference */
struct mem_stream *mem_stream_ref(struct mem_stream *s);
void mem_stream_unref(struct mem_stream *s);
static inline size_t mem_stream_room(const struct mem_stream *s) {
    return s->cap - s->n;
}
/* At most `max` bytes; returns how many fitted. */
size_t mem_stream_put(struct mem_stream *s, const struct iovec *iov, int n, size_t max);
size_t mem_stream_get(struct mem_stream *s, void *p, size_t max);
