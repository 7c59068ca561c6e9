/*
 * histogram - durations in buckets of a fixed logarithmic scale: four to each power of two, 64 us
 * to 67 s.
 *
 * Every power of two microseconds is an edge, so the coarser buckets that a scrape sees are exact
 * sums. A bucket holds what is longer than its lower edge and at most its upper one, as Prometheus'
 * `le` says. Owner: whoever embeds it. Thread: one writer; readers add up relaxed.
 */
#pragma once
#include <stdatomic.h>
#include <stdint.h>

enum {
    HIST_LOW = 6,   /* 2^6 us: all shorter ones share the first bucket */
    HIST_HIGH = 26, /* 2^26 us: all longer ones share the last */
    HIST_BUCKETS = 1 + (HIST_HIGH - HIST_LOW) * 4 + 1,
};

struct histogram {
    _Atomic uint64_t sum_ns;
    _Atomic uint64_t bucket[HIST_BUCKETS];
};
struct histogram_sum { /* of all threads */
    uint64_t sum_ns, count;
    uint64_t bucket[HIST_BUCKETS];
};

static inline unsigned histogram_bucket(uint64_t ns) {
    uint64_t us = ns ? (ns - 1) / 1000 : 0; /* an edge itself belongs below it */
    if (us < 1u << HIST_LOW)
        return 0;
    if (us >= 1u << HIST_HIGH)
        return HIST_BUCKETS - 1;
    unsigned power = 63u - (unsigned)__builtin_clzll(us);
    return 1 + (power - HIST_LOW) * 4 + (unsigned)(us >> (power - 2) & 3);
}

static inline void histogram_one_more(_Atomic uint64_t *n, uint64_t v) {
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + v,
                          memory_order_relaxed);
}
static inline void histogram_add(struct histogram *h, uint64_t ns) {
    histogram_one_more(&h->sum_ns, ns);
    histogram_one_more(&h->bucket[histogram_bucket(ns)], 1);
}

void histogram_clear(struct histogram *h);
void histogram_sum(const struct histogram *h, struct histogram_sum *into); /* adds */
/* The upper edge of a bucket in ns; 0: there is none (the last). */
uint64_t histogram_edge(unsigned bucket);
/* How many are at most 2^power us, HIST_LOW <= power <= HIST_HIGH. */
uint64_t histogram_below(const struct histogram_sum *s, unsigned power);
/* The duration below which the share q (0..1) lies, as near as a bucket tells; 0: no values. */
uint64_t histogram_quantile(const struct histogram_sum *s, double q);
