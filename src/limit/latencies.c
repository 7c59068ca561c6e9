#include "limit/latencies.h"

enum { UNIT_BITS = 14 /* the first octave: below 16.4 us */ };

static unsigned cell_of(uint64_t ns) {
    uint64_t v = ns >> (UNIT_BITS - 3); /* eighths of the unit */
    if (v < LATENCY_STEPS)
        return (unsigned)v;
    unsigned octave = 63u - (unsigned)__builtin_clzll(v); /* >= 3 */
    unsigned at = (octave - 2) * LATENCY_STEPS + (unsigned)(v >> (octave - 3) & 7);
    return at < LATENCY_CELLS ? at : LATENCY_CELLS - 1;
}

/* Where a cell begins. */
static uint64_t start_of(unsigned cell) {
    unsigned octave = cell / LATENCY_STEPS;
    uint64_t eighths = octave ? ((uint64_t)LATENCY_STEPS + cell % LATENCY_STEPS) << (octave - 1)
                              : cell % LATENCY_STEPS;
    return eighths << (UNIT_BITS - 3);
}

static void up(_Atomic uint32_t *n) {
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

void latencies_note(struct latencies *l, uint64_t ns) {
    up(&l->cell[cell_of(ns)]);
    atomic_store_explicit(&l->count, latencies_count(l) + 1, memory_order_relaxed);
}

uint64_t latencies_count(const struct latencies *l) {
    return atomic_load_explicit(&((struct latencies *)(uintptr_t)l)->count, memory_order_relaxed);
}

static uint32_t cell(const struct latencies *l, unsigned i) {
    return atomic_load_explicit(&((struct latencies *)(uintptr_t)l)->cell[i], memory_order_relaxed);
}

void latencies_add(struct latencies *sum, const struct latencies *l) {
    uint64_t all = latencies_count(sum);
    for (unsigned i = 0; i < LATENCY_CELLS; i++) {
        uint32_t n = cell(l, i);
        all += n;
        if (n)
            atomic_store_explicit(&sum->cell[i], cell(sum, i) + n, memory_order_relaxed);
    }
    atomic_store_explicit(&sum->count, all, memory_order_relaxed);
}

void latencies_since(struct latencies *out, const struct latencies *now,
                     const struct latencies *then) {
    uint64_t all = 0;
    for (unsigned i = 0; i < LATENCY_CELLS; i++) {
        uint32_t n = cell(now, i) - cell(then, i);
        atomic_store_explicit(&out->cell[i], n, memory_order_relaxed);
        all += n;
    }
    atomic_store_explicit(&out->count, all, memory_order_relaxed);
}

uint64_t latencies_below(const struct latencies *l, unsigned percent) {
    uint64_t want = latencies_count(l) * percent, before = 0;
    for (unsigned i = 0; i < LATENCY_CELLS; i++) {
        uint64_t n = cell(l, i);
        if (n && (before + n) * 100 >= want && before + n > 0) {
            uint64_t from = start_of(i), width = start_of(i + 1) - from;
            uint64_t into = want > before * 100 ? (want - before * 100) * width / (n * 100) : 0;
            return from + into;
        }
        before += n;
    }
    return 0;
}
