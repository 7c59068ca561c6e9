#include "observe/histogram.h"

void histogram_clear(struct histogram *h) {
    atomic_store_explicit(&h->sum_ns, 0, memory_order_relaxed);
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        atomic_store_explicit(&h->bucket[i], 0, memory_order_relaxed);
}

void histogram_sum(const struct histogram *h, struct histogram_sum *into) {
    into->sum_ns += atomic_load_explicit(&h->sum_ns, memory_order_relaxed);
    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        uint64_t n = atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
        into->bucket[i] += n;
        into->count += n;
    }
}

uint64_t histogram_edge(unsigned bucket) {
    if (bucket == 0)
        return 1000ull << HIST_LOW;
    if (bucket >= HIST_BUCKETS - 1)
        return 0;
    unsigned power = HIST_LOW + (bucket - 1) / 4, quarter = (bucket - 1) % 4 + 1;
    return 1000ull * ((1ull << power) + ((uint64_t)quarter << (power - 2)));
}

uint64_t histogram_below(const struct histogram_sum *s, unsigned power) {
    uint64_t n = 0;
    for (unsigned i = 0; i < 1 + (power - HIST_LOW) * 4; i++)
        n += s->bucket[i];
    return n;
}

uint64_t histogram_quantile(const struct histogram_sum *s, double q) {
    double rank = q * (double)s->count, seen = 0;
    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        double here = (double)s->bucket[i];
        if (!s->bucket[i] || seen + here < rank) {
            seen += here;
            continue;
        }
        uint64_t low = i ? histogram_edge(i - 1) : 0, high = histogram_edge(i);
        if (!high)
            return low;
        return low + (uint64_t)((double)(high - low) * (rank - seen) / here);
    }
    return 0;
}
