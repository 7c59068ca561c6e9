/*
 * arena - memory that lives and dies with one thing: an exchange, a snapshot, a parse.
 *
 * Blocks of ARENA_BLOCK bytes come from the thread's pages, larger ones from the system. Allocation
 * never returns NULL: when the system has no memory the arena draws from its cache's reserve and
 * sets `failed`; the core looks at that between steps and ends the exchange with 503. Freed all at
 * once. In sanitizer builds freed blocks go back to the allocator at once, so that stale pointers
 * are seen. Owner: whoever embeds it. Thread: that of its cache (a NULL cache: any one thread at a
 * time).
 */
#pragma once
#include "base/page.h"
#include "base/str.h"

enum { ARENA_BLOCK = PAGE_SIZE, ARENA_RESERVE = 64 };

struct arena_block {
    struct arena_block *next;
};

struct arena_cache {
    struct pages pages;
    void *reserve[ARENA_RESERVE]; /* for when the system has none */
    unsigned reserved;
};

struct arena {
    char *at, *end;
    struct arena_block *blocks; /* newest first; big ones among them */
    struct arena_cache *cache;
    size_t used; /* bytes of all blocks */
    bool failed; /* memory ran out: results are usable, the owner must end soon */
};

void arena_cache_init(struct arena_cache *c);
void arena_cache_finish(struct arena_cache *c);

void arena_init(struct arena *a, struct arena_cache *cache);
/* Places an object of `size` bytes, the first `zeroed` of them zero, and an arena in one block;
 * returns the object, with the arena ready at `arena_at` inside it. NULL: no memory. arena_finish
 * on a copy of that arena frees both. */
must_use void *arena_create(struct arena_cache *cache, size_t size, size_t zeroed, size_t arena_at);
void arena_finish(struct arena *a);

/* For what may be larger than a block and is driven by a peer: NULL when memory ran out. */
must_use void *arena_try(struct arena *a, size_t n);
void *arena_more(struct arena *a, size_t n);

/* Not zeroed, aligned to 16. */
static inline void *arena_alloc(struct arena *a, size_t n) {
    n = (n + 15) & ~(size_t)15;
    if (unlikely(n > (size_t)(a->end - a->at)))
        return arena_more(a, n);
    void *p = a->at;
    a->at += n;
    return p;
}
static inline void *arena_zero(struct arena *a, size_t n) {
    return memset(arena_alloc(a, n), 0, n);
}
struct span arena_span(struct arena *a, struct span s); /* a copy; NUL follows it */
char *arena_text(struct arena *a, struct span s);       /* NUL-terminated copy */
char *arena_fmt(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
