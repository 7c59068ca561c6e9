#include "http/h2_memory.h"
#include "base/env.h"
#include <string.h>

enum { SMALL = 4096 };

/* The system behind env cannot resize: every piece knows its size. */
struct piece {
    size_t n;
    _Alignas(16) unsigned char bytes[];
};

static void *take(size_t n, void *ctx) {
    (void)ctx;
    struct piece *p = n <= SIZE_MAX - sizeof *p ? mem_try(sizeof *p + n) : NULL;
    if (!p)
        return NULL;
    p->n = n;
    return p->bytes;
}

static void give(void *at, void *ctx) {
    (void)ctx;
    if (at)
        mem_free(container_of(at, struct piece, bytes));
}

static void *take_zeroed(size_t count, size_t size, void *ctx) {
    size_t n;
    void *p = __builtin_mul_overflow(count, size, &n) ? NULL : take(n, ctx);
    return p ? memset(p, 0, n) : NULL;
}

/* Small queues grow whatever happens: where one cannot, nghttp2 1.52 frees an item twice
 * (nghttp2_submit_data after nghttp2_pq_push). */
static void *resize(void *at, size_t n, void *ctx) {
    struct piece *old = at ? container_of(at, struct piece, bytes) : NULL, *more = NULL;
    if (n <= SMALL) {
        more = mem_alloc(sizeof *more + n);
        more->n = n;
    }
    void *p = more ? more->bytes : take(n, ctx);
    if (!p)
        return NULL;
    if (old)
        memcpy(p, old->bytes, old->n < n ? old->n : n);
    give(at, ctx);
    return p;
}

nghttp2_mem *h2_memory(void) {
    static nghttp2_mem mem = {
        .malloc = take, .free = give, .calloc = take_zeroed, .realloc = resize};
    return &mem;
}
