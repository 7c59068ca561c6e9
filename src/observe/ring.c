#include "observe/ring.h"
#include "base/env.h"

enum { RING_SKIP = UINT32_MAX };

static size_t whole(size_t n) {
    return sizeof(struct ring_head) + ((n + 7) & ~(size_t)7);
}

bool ring_init(struct ring *r, size_t size) {
    must(size >= 64 && (size & (size - 1)) == 0);
    *r = (struct ring){.p = mem_try(size), .size = size};
    return r->p != NULL;
}

void ring_finish(struct ring *r) {
    mem_free(r->p);
    r->p = NULL;
}

static void put_head(struct ring *r, uint64_t at, uint32_t len, uint32_t tag) {
    struct ring_head h = {len, tag};
    memcpy(r->p + (at & (r->size - 1)), &h, sizeof h);
}

/* Room for `need` bytes behind `written`; looks at the consumer's place only when it must. */
static bool has_room(struct ring *r, uint64_t written, size_t need) {
    if (written - r->read_seen + need <= r->size)
        return true;
    r->read_seen = atomic_load_explicit(&r->read, memory_order_acquire);
    return written - r->read_seen + need <= r->size;
}

/* Away from the end of the memory; also back to its beginning when the ring is empty, so that a
 * ring that is read in time touches a part of its memory only. */
static bool should_skip(struct ring *r, uint64_t written, size_t off, size_t need) {
    if (r->size - off < need)
        return true;
    if (off < r->size / 2)
        return false;
    r->read_seen = atomic_load_explicit(&r->read, memory_order_acquire);
    return r->read_seen == written;
}

char *ring_reserve(struct ring *r, size_t n) {
    uint64_t written = atomic_load_explicit(&r->written, memory_order_relaxed);
    size_t need = whole(n), off = written & (r->size - 1);
    must(n <= r->size / 4);
    if (should_skip(r, written, off, need)) {
        size_t tail = r->size - off;
        if (!has_room(r, written, tail + need))
            return NULL;
        put_head(r, written, RING_SKIP, 0);
        written += tail;
        atomic_store_explicit(&r->written, written, memory_order_release);
    } else if (!has_room(r, written, need)) {
        return NULL;
    }
    return r->p + (written & (r->size - 1)) + sizeof(struct ring_head);
}

void ring_commit(struct ring *r, size_t used, uint32_t tag) {
    uint64_t written = atomic_load_explicit(&r->written, memory_order_relaxed);
    put_head(r, written, (uint32_t)used, tag);
    atomic_store_explicit(&r->written, written + whole(used), memory_order_release);
}

static struct ring_head head_at(const struct ring *r, uint64_t read) {
    struct ring_head h;
    memcpy(&h, r->p + (read & (r->size - 1)), sizeof h);
    return h;
}

bool ring_peek(struct ring *r, struct span *piece, uint32_t *tag) {
    uint64_t read = atomic_load_explicit(&r->read, memory_order_relaxed);
    while (read != atomic_load_explicit(&r->written, memory_order_acquire)) {
        struct ring_head h = head_at(r, read);
        if (h.len != RING_SKIP) {
            *piece = span_of(r->p + (read & (r->size - 1)) + sizeof h, h.len);
            *tag = h.tag;
            return true;
        }
        read += r->size - (read & (r->size - 1));
        atomic_store_explicit(&r->read, read, memory_order_release);
    }
    return false;
}

void ring_pop(struct ring *r) {
    uint64_t read = atomic_load_explicit(&r->read, memory_order_relaxed);
    atomic_store_explicit(&r->read, read + whole(head_at(r, read).len), memory_order_release);
}
