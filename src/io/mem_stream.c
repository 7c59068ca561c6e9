#include "io/mem_stream.h"
#include "base/env.h"
#include <string.h>

/* Straight from the system: what a test counts or lets fail is the gateway's memory, not this. */
struct mem_stream *mem_stream_create(size_t cap) {
    struct mem_stream *s = env_os.alloc(sizeof *s + cap);
    must(s);
    *s = (struct mem_stream){.refs = 1, .cap = cap};
    return s;
}

struct mem_stream *mem_stream_ref(struct mem_stream *s) {
    s->refs++;
    return s;
}

void mem_stream_unref(struct mem_stream *s) {
    if (s && --s->refs == 0)
        env_os.release(s);
}

/* A ring: the piece that ends at the end of memory first, then the piece at its start. */
static void copy_in(struct mem_stream *s, const unsigned char *p, size_t n) {
    size_t to = (s->at + s->n) % s->cap, straight = s->cap - to;
    size_t first = n < straight ? n : straight;
    memcpy(s->data + to, p, first);
    memcpy(s->data, p + first, n - first);
    s->n += n;
}

size_t mem_stream_put(struct mem_stream *s, const struct iovec *iov, int n, size_t max) {
    size_t done = 0;
    for (int i = 0; i < n; i++) {
        size_t part = iov[i].iov_len;
        part = part < max - done ? part : max - done;
        if (!s->gone) {
            size_t room = mem_stream_room(s);
            part = part < room ? part : room;
            if (part)
                copy_in(s, iov[i].iov_base, part);
        }
        done += part;
        if (part < iov[i].iov_len)
            break;
    }
    return done;
}

size_t mem_stream_get(struct mem_stream *s, void *p, size_t max) {
    size_t n = max < s->n ? max : s->n, straight = s->cap - s->at;
    size_t first = n < straight ? n : straight;
    if (n == 0)
        return 0;
    memcpy(p, s->data + s->at, first);
    memcpy((unsigned char *)p + first, s->data, n - first);
    s->at = (s->at + n) % s->cap;
    s->n -= n;
    return n;
}
