#include "limit/shared_owed.h"

static uint64_t get(_Atomic uint64_t *p) {
    return atomic_load_explicit(p, memory_order_relaxed);
}

void shared_owed_add(struct shared_owed *t, uint64_t hash, uint64_t cost, uint64_t now_ms) {
    uint64_t at = hash % SHARED_OWED_CELLS, was = get(&t->cell[at].sum), next;
    bool his = get(&t->cell[at].key) == hash;
    do {
        uint64_t sum = (his ? was >> 32 : 0) + cost;
        next = (sum < UINT32_MAX ? sum : UINT32_MAX) << 32 | (now_ms & UINT32_MAX);
    } while (!atomic_compare_exchange_weak_explicit(&t->cell[at].sum, &was, next,
                                                    memory_order_relaxed, memory_order_relaxed));
    if (!his)
        atomic_store_explicit(&t->cell[at].key, hash, memory_order_relaxed);
}

uint64_t shared_owed_take(struct shared_owed *t, uint64_t hash, uint64_t now_ms, uint64_t *age_ms) {
    uint64_t at = hash % SHARED_OWED_CELLS;
    if (get(&t->cell[at].key) != hash || !get(&t->cell[at].sum))
        return 0;
    uint64_t sum = atomic_exchange_explicit(&t->cell[at].sum, 0, memory_order_relaxed);
    *age_ms = (now_ms - sum) & UINT32_MAX;
    return sum >> 32;
}

void shared_owed_clear(struct shared_owed *t) {
    for (unsigned i = 0; i < SHARED_OWED_CELLS; i++) {
        atomic_store_explicit(&t->cell[i].sum, 0, memory_order_relaxed);
        atomic_store_explicit(&t->cell[i].key, 0, memory_order_relaxed);
    }
}
