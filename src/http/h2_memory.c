#include "http/h2_memory.h"
#include "base/env.h"
#include <string.h>

enum { SMALL = 4096 };

/* The system behind env cannot resize: every piece knows its size. */
struct piece {
    size_t n;
    _Alignas(16) unsigned char bytes[];
};

/* Which of the kept sizes holds n bytes; H2_MEMORY_SIZES: none. */
static size_t size_of(const struct h2_memory *m, size_t n) {
    size_t i = n ? (n - 1) / H2_MEMORY_STEP : 0;
    return m->keeps && i < H2_MEMORY_SIZES ? i : H2_MEMORY_SIZES;
}

static void *kept(struct h2_memory *m, size_t i) {
    void **p = m->kept[i];
    m->kept[i] = *p;
    m->count[i]--;
    return p;
}

static struct piece *fresh(struct h2_memory *m, size_t n, size_t i) {
    if (i < H2_MEMORY_SIZES)
        return m->kept[i] ? kept(m, i) : mem_try(sizeof(struct piece) + (i + 1) * H2_MEMORY_STEP);
    return n <= SIZE_MAX - sizeof(struct piece) ? mem_try(sizeof(struct piece) + n) : NULL;
}

static void *take(size_t n, void *memory) {
    struct h2_memory *m = memory;
    struct piece *p = fresh(m, n, size_of(m, n));
    if (!p)
        return NULL;
    p->n = n;
    return p->bytes;
}

static void give(void *at, void *memory) {
    struct h2_memory *m = memory;
    if (!at)
        return;
    struct piece *p = container_of(at, struct piece, bytes);
    size_t i = size_of(m, p->n);
    if (i == H2_MEMORY_SIZES || m->count[i] == H2_MEMORY_KEPT) {
        mem_free(p);
        return;
    }
    *(void **)(void *)p = m->kept[i];
    m->kept[i] = p;
    m->count[i]++;
}

static void *take_zeroed(size_t count, size_t size, void *memory) {
    size_t n;
    void *p = __builtin_mul_overflow(count, size, &n) ? NULL : take(n, memory);
    return p ? memset(p, 0, n) : NULL;
}

/* Small queues grow whatever happens: where one cannot, nghttp2 1.52 frees an item twice
 * (nghttp2_submit_data after nghttp2_pq_push). */
static void *grown(size_t n, void *memory) {
    void *p = take(n, memory);
    if (p || n > SMALL)
        return p;
    size_t whole = (n + H2_MEMORY_STEP) / H2_MEMORY_STEP * H2_MEMORY_STEP;
    struct piece *more = mem_alloc(sizeof *more + whole);
    more->n = n;
    return more->bytes;
}

static void *resize(void *at, size_t n, void *memory) {
    struct piece *old = at ? container_of(at, struct piece, bytes) : NULL;
    void *p = grown(n, memory);
    if (p && old)
        memcpy(p, old->bytes, old->n < n ? old->n : n);
    if (p)
        give(at, memory);
    return p;
}

void h2_memory_init(struct h2_memory *m, bool keeps) {
    *m = (struct h2_memory){.keeps = keeps,
                            .calls = {.mem_user_data = m,
                                      .malloc = take,
                                      .free = give,
                                      .calloc = take_zeroed,
                                      .realloc = resize}};
}

void h2_memory_finish(struct h2_memory *m) {
    for (size_t i = 0; i < H2_MEMORY_SIZES; i++)
        while (m->kept[i])
            mem_free(kept(m, i));
}
