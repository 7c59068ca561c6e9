/*
 * page - a thread's supply of 4 KiB pages: taken and given in a few instructions, returned to the
 * system when a burst is over.
 *
 * Free pages are kept warm. pages_trim, called about once a second, gives back the contents of
 * those that nobody needed since the last call: their addresses stay, their memory goes. So memory
 * follows what is in use, not the highest tide. In sanitizer and test builds, and where a test has
 * replaced the allocator, every page is an allocation of its own, so that stale pointers and
 * failing memory are seen. Owner: the thread's loop. Thread: its own.
 */
#pragma once
#include "base/check.h"
#include <stdbool.h>

enum { PAGE_SIZE = 4096, PAGES_WARM = 64 /* not worth trimming */ };

struct page_region;

struct pages {
    bool single;                /* every page an allocation of its own */
    void *warm;                 /* linked through their first word */
    unsigned warm_count, floor; /* floor: the least of warm_count since the last trim */
    void **cold;                /* without memory behind them */
    unsigned cold_count, cold_max;
    char *fresh, *fresh_end; /* never used, of the newest region */
    struct page_region *regions;
};

void pages_init(struct pages *p);
must_use void *page_take(struct pages *p); /* not zeroed; NULL: no memory */
void page_give(struct pages *p, void *page);
void pages_trim(struct pages *p);
void pages_finish(struct pages *p); /* all have been given back */

/* Objects of one size, in pages that stay: as many as were ever alive at once. */
struct slab {
    size_t size;
    void *free; /* linked through their first word */
    struct pages *pages;
    void *owned; /* the pages, linked through their first word */
};

void slab_init(struct slab *s, size_t size, struct pages *p);
must_use void *slab_take(struct slab *s); /* not zeroed; NULL: no memory */
void slab_give(struct slab *s, void *object);
void slab_finish(struct slab *s);
