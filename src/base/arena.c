#include "base/arena.h"
#include "base/env.h"
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>

/* A block larger than ARENA_BLOCK carries its size here so that it is given back to the system. */
struct big {
    struct arena_block block;
    size_t size;
};
enum {
    HEAD = 16,
    HUGE_PAGE = 2 * 1024 * 1024,
    GROWN_MAX = 4 * HUGE_PAGE
}; /* room of struct big; keeps what follows aligned */
_Static_assert(sizeof(struct big) <= HEAD, "block head");

void arena_cache_init(struct arena_cache *c) {
    c->reserved = 0;
    pages_init(&c->pages);
    while (c->reserved < ARENA_RESERVE) {
        void *b = page_take(&c->pages);
        must(b); /* at start */
        c->reserve[c->reserved++] = b;
    }
}

void arena_cache_finish(struct arena_cache *c) {
    while (c->reserved)
        page_give(&c->pages, c->reserve[--c->reserved]);
    pages_finish(&c->pages);
}

void arena_init(struct arena *a, struct arena_cache *cache) {
    *a = (struct arena){.cache = cache};
}

static struct arena_block *block_take(struct arena_cache *c) {
    return c ? page_take(&c->pages) : mem_try(ARENA_BLOCK);
}

static void block_give(struct arena_cache *c, struct arena_block *b) {
    if (!c)
        mem_free(b);
    else if (c->reserved < ARENA_RESERVE)
        c->reserve[c->reserved++] = b;
    else
        page_give(&c->pages, b);
}

static struct arena_block *block_reserve(struct arena *a) {
    struct arena_cache *c = a->cache;
    must(c && c->reserved); /* out of memory where nobody can be refused */
    a->failed = true;
    return c->reserve[--c->reserved];
}

void *arena_create(struct arena_cache *cache, size_t size, size_t zeroed, size_t arena_at) {
    size = (size + 15) & ~(size_t)15;
    must(size + HEAD <= ARENA_BLOCK);
    struct arena_block *b = block_take(cache);
    if (!b)
        return NULL;
    char *o = (char *)b + HEAD;
    memset(o, 0, zeroed);
    *b = (struct arena_block){NULL};
    ((struct big *)(void *)b)->size = ARENA_BLOCK;
    *(struct arena *)(void *)(o + arena_at) = (struct arena){.at = o + size,
                                                             .end = (char *)b + ARENA_BLOCK,
                                                             .blocks = b,
                                                             .cache = cache,
                                                             .used = ARENA_BLOCK};
    return o;
}

static void *block_use(struct arena *a, struct arena_block *b, size_t size, size_t n) {
    ((struct big *)(void *)b)->size = size;
    b->next = a->blocks;
    a->blocks = b;
    a->used += size;
    char *p = (char *)b + HEAD, *end = (char *)b + size;
    if (size == ARENA_BLOCK || end - (p + n) > a->end - a->at) {
        a->at = p + n;
        a->end = end;
    }
    return p;
}

/* A large arena (a configuration of thousands of routes) lies in few large pages: what is looked at
 * here and there all day costs fewer misses of the address cache. */
static void ask_for_huge_pages(void *p, size_t size) {
    uintptr_t from = ((uintptr_t)p + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1);
    uintptr_t to = ((uintptr_t)p + size) & ~(uintptr_t)(HUGE_PAGE - 1);
    if (to > from)
        madvise((void *)from, to - from, MADV_HUGEPAGE);
}

/* Blocks of an arena without a cache grow with it. */
static struct arena_block *block_get(struct arena *a, size_t n, size_t *size) {
    size_t need, grown = a->used < GROWN_MAX ? a->used : GROWN_MAX;
    must(!__builtin_add_overflow(n, (size_t)HEAD, &need));
    *size = need > ARENA_BLOCK ? need : ARENA_BLOCK;
    if (!a->cache && grown > *size)
        *size = grown;
    if (*size == ARENA_BLOCK)
        return block_take(a->cache);
    struct arena_block *b = mem_try(*size);
    if (b && *size >= HUGE_PAGE)
        ask_for_huge_pages(b, *size);
    return b;
}

void *arena_try(struct arena *a, size_t n) {
    if (n > SIZE_MAX / 2)
        return NULL;
    n = n ? (n + 15) & ~(size_t)15
          : 16; /* NULL means no memory, also where nothing was asked for */
    if (n <= (size_t)(a->end - a->at))
        return arena_alloc(a, n);
    size_t size;
    struct arena_block *b = block_get(a, n, &size);
    return b ? block_use(a, b, size, n) : NULL;
}

void *arena_more(struct arena *a, size_t n) {
    size_t size;
    struct arena_block *b = block_get(a, n, &size);
    if (!b) {
        must(size == ARENA_BLOCK); /* larger ones, where a peer drives them, use arena_try */
        b = block_reserve(a);
    }
    return block_use(a, b, size, n);
}

void arena_finish(struct arena *a) {
    struct arena_block *b = a->blocks;
    struct arena_cache *c = a->cache;
    *a = (struct arena){0};
    while (b) {
        struct arena_block *next = b->next;
        if (((struct big *)(void *)b)->size == ARENA_BLOCK)
            block_give(c, b);
        else
            mem_free(b);
        b = next;
    }
}

char *arena_text(struct arena *a, struct span s) {
    char *p = arena_alloc(a, s.n + 1);
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return p;
}

struct span arena_span(struct arena *a, struct span s) {
    return (struct span){arena_text(a, s), s.n};
}

char *arena_fmt(struct arena *a, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    must(n >= 0);
    char *p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}
