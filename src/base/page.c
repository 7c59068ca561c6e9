#include "base/page.h"
#include "base/env.h"
#include <string.h>
#include <sys/mman.h>

#if defined(SLUICE_TEST_BUILD) || defined(__SANITIZE_ADDRESS__)
#define SINGLE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SINGLE 1
#endif
#endif
#ifndef SINGLE
#define SINGLE 0
#endif

enum { REGION = 1024 * 1024 };

struct page_region {
    struct page_region *next;
    void *at;
};

/* The first word of a free page or object. */
static void *next_of(void *p) {
    void *next;
    must(p);
    memcpy(&next, p, sizeof next);
    return next;
}
static void link_to(void *p, void *next) {
    memcpy(p, &next, sizeof next);
}

void pages_init(struct pages *p) {
    *p = (struct pages){.single = SINGLE || env.alloc != env_os.alloc};
}

static bool region_add(struct pages *p) {
    struct page_region *r = mem_try(sizeof *r);
    if (!r)
        return false;
    r->at = mmap(NULL, REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0);
    unsigned max = p->cold_max + REGION / PAGE_SIZE;
    void **cold = r->at == MAP_FAILED ? NULL : mem_try(max * sizeof *cold);
    if (!cold) {
        if (r->at != MAP_FAILED)
            munmap(r->at, REGION);
        mem_free(r);
        return false;
    }
    if (p->cold_count)
        memcpy(cold, p->cold, p->cold_count * sizeof *cold);
    mem_free(p->cold);
    p->cold = cold;
    p->cold_max = max;
    r->next = p->regions;
    p->regions = r;
    p->fresh = r->at;
    p->fresh_end = p->fresh + REGION;
    return true;
}

void *page_take(struct pages *p) {
    void *page = p->warm;
    if (page) {
        p->warm = next_of(page);
        if (--p->warm_count < p->floor)
            p->floor = p->warm_count;
        return page;
    }
    if (p->single)
        return mem_try(PAGE_SIZE);
    if (p->cold_count)
        return p->cold[--p->cold_count];
    if (p->fresh == p->fresh_end && !region_add(p))
        return NULL;
    page = p->fresh;
    p->fresh += PAGE_SIZE;
    return page;
}

void page_give(struct pages *p, void *page) {
    if (p->single) {
        mem_free(page);
        return;
    }
    link_to(page, p->warm);
    p->warm = page;
    p->warm_count++;
}

void pages_trim(struct pages *p) {
    unsigned drop = p->floor > PAGES_WARM ? p->floor - PAGES_WARM : 0;
    while (drop-- && p->warm) {
        void *page = p->warm;
        p->warm = next_of(page);
        p->warm_count--;
        madvise(page, PAGE_SIZE, MADV_DONTNEED);
        p->cold[p->cold_count++] = page;
    }
    p->floor = p->warm_count;
}

void pages_finish(struct pages *p) {
    while (p->regions) {
        struct page_region *r = p->regions;
        p->regions = r->next;
        munmap(r->at, REGION);
        mem_free(r);
    }
    mem_free(p->cold);
    *p = (struct pages){0};
}

void slab_init(struct slab *s, size_t size, struct pages *p) {
    size = (size + 15) & ~(size_t)15;
    must(size <= PAGE_SIZE - 16);
    *s = (struct slab){.size = size, .pages = p};
}

static bool slab_page(struct slab *s) {
    char *page = page_take(s->pages);
    if (!page)
        return false;
    link_to(page, s->owned);
    s->owned = page;
    for (size_t at = 16; at + s->size <= PAGE_SIZE; at += s->size)
        slab_give(s, page + at);
    return true;
}

void *slab_take(struct slab *s) {
    if (s->pages->single)
        return mem_try(s->size);
    if (!s->free && !slab_page(s))
        return NULL;
    void *o = s->free;
    s->free = next_of(o);
    return o;
}

void slab_give(struct slab *s, void *object) {
    if (s->pages->single) {
        mem_free(object);
        return;
    }
    link_to(object, s->free);
    s->free = object;
}

void slab_finish(struct slab *s) {
    while (s->owned) {
        void *page = s->owned;
        s->owned = next_of(page);
        page_give(s->pages, page);
    }
    s->free = NULL;
}
