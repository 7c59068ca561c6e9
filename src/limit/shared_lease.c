#include "limit/shared_lease.h"

/* grant: tokens 18 bits, until 28 (in 64 ms: half a year), tag 18. */
enum { UNTIL_BITS = 28, TAG_BITS = 18, TOKENS_SHIFT = UNTIL_BITS + TAG_BITS, UNTIL_MS = 64 };
enum { DEMAND_MS = 512 }; /* so much of its demand is taken ahead */

static uint64_t get(_Atomic uint64_t *p) {
    return atomic_load_explicit(p, memory_order_relaxed);
}
static void set(_Atomic uint64_t *p, uint64_t v) {
    atomic_store_explicit(p, v, memory_order_relaxed);
}
static bool swap(_Atomic uint64_t *p, uint64_t *was, uint64_t v) {
    return atomic_compare_exchange_weak_explicit(p, was, v, memory_order_relaxed,
                                                 memory_order_relaxed);
}

static uint64_t pack(uint64_t tokens, uint64_t until, uint64_t hash) {
    return tokens << TOKENS_SHIFT | until << TAG_BITS | hash >> (64 - TAG_BITS);
}
static uint64_t until_of(uint64_t grant) {
    return grant >> TAG_BITS & ((1u << UNTIL_BITS) - 1);
}
/* What the key may use of it now. */
static uint64_t tokens_of(uint64_t grant, uint64_t hash, uint64_t now_ms) {
    bool his = (grant & ((1u << TAG_BITS) - 1)) == hash >> (64 - TAG_BITS);
    return his && until_of(grant) > now_ms / UNTIL_MS ? grant >> TOKENS_SHIFT : 0;
}

static struct lease_cell *stalest(struct lease_cell *set_of) {
    struct lease_cell *oldest = &set_of[0];
    for (unsigned i = 1; i < LEASE_WAYS; i++)
        if (until_of(get(&set_of[i].grant)) < until_of(get(&oldest->grant)))
            oldest = &set_of[i];
    return oldest;
}

static void lose(struct lease_table *t, uint64_t tokens) {
    if (tokens && t->lost)
        atomic_fetch_add_explicit(t->lost, tokens, memory_order_relaxed);
}

static uint64_t never_zero(uint64_t hash) {
    return hash ? hash : 1;
}

struct lease_cell *lease_find(struct lease_table *t, uint64_t hash, uint64_t now_ms) {
    struct lease_cell *cells = t->cell[hash % LEASE_SETS];
    hash = never_zero(hash);
    for (unsigned i = 0; i < LEASE_WAYS; i++)
        if (get(&cells[i].key) == hash)
            return &cells[i];
    struct lease_cell *c = stalest(cells);
    lose(t, get(&c->grant) >> TOKENS_SHIFT);
    set(&c->grant, pack(0, (now_ms + LEASE_LIFE_MS) / UNTIL_MS, hash));
    set(&c->demand, now_ms & UINT32_MAX);
    set(&c->fetching_until_ms, 0);
    set(&c->store_left, 0);
    set(&c->key, hash);
    return c;
}

static void note_demand(struct lease_cell *c, uint64_t cost, uint64_t now_ms) {
    uint64_t was = get(&c->demand), next;
    do {
        uint64_t since = was & UINT32_MAX, used = was >> 32;
        if (((now_ms - since) & UINT32_MAX) > LEASE_LIFE_MS) {
            since = now_ms & UINT32_MAX;
            used = 0;
        }
        used += cost;
        next = (used < UINT32_MAX ? used : UINT32_MAX) << 32 | since;
    } while (!swap(&c->demand, &was, next));
}

bool lease_take(struct lease_cell *c, uint64_t hash, uint64_t cost, uint64_t now_ms,
                uint64_t *left) {
    uint64_t was = get(&c->grant), have;
    hash = never_zero(hash);
    note_demand(c, cost, now_ms);
    do {
        have = tokens_of(was, hash, now_ms);
        if (have < cost || !cost)
            return false;
    } while (!swap(&c->grant, &was, pack(have - cost, until_of(was), hash)));
    *left = have - cost;
    return true;
}

/* Half a second's, as this second's beginning shows it; nothing for the first one to come. */
static uint64_t wanted(uint64_t demand, uint64_t now_ms) {
    uint64_t used = demand >> 32, since = demand & UINT32_MAX;
    uint64_t elapsed = (now_ms - since) & UINT32_MAX;
    if (used < 2 || elapsed > LEASE_LIFE_MS)
        return 0;
    return used * DEMAND_MS / (elapsed ? elapsed : 1);
}

uint64_t lease_want(struct lease_cell *c, uint64_t hash, uint64_t most, uint64_t now_ms) {
    uint64_t level = wanted(get(&c->demand), now_ms);
    uint64_t have = tokens_of(get(&c->grant), never_zero(hash), now_ms);
    if (level > most)
        level = most;
    if (level > LEASE_MAX)
        level = LEASE_MAX;
    if (have * 2 > level || have >= level)
        return 0;
    uint64_t until = get(&c->fetching_until_ms);
    if (until > now_ms || !atomic_compare_exchange_strong_explicit(
                              &c->fetching_until_ms, &until, now_ms + LEASE_FETCH_MS,
                              memory_order_relaxed, memory_order_relaxed))
        return 0;
    return level - have;
}

void lease_fetched_none(struct lease_cell *c, uint64_t hash) {
    if (get(&c->key) == never_zero(hash))
        set(&c->fetching_until_ms, 0);
}

void lease_put(struct lease_table *t, struct lease_cell *c, const struct lease_put *put) {
    uint64_t was = get(&c->grant), hash = never_zero(put->hash);
    uint64_t most = put->most < LEASE_MAX ? put->most : LEASE_MAX, sum, lost;
    if (get(&c->key) != hash) { /* another key has the cell now */
        lose(t, put->tokens);
        return;
    }
    uint64_t until = (put->now_ms + LEASE_LIFE_MS) / UNTIL_MS;
    do {
        uint64_t have = tokens_of(was, hash, put->now_ms);
        sum = have + put->tokens < most ? have + put->tokens : have > most ? have : most;
        lost = (was >> TOKENS_SHIFT) + put->tokens - sum;
    } while (!swap(&c->grant, &was, pack(sum, until, hash)));
    lose(t, lost);
    set(&c->fetching_until_ms, 0);
}

void lease_clear(struct lease_table *t) {
    for (unsigned i = 0; i < LEASE_SETS; i++)
        for (unsigned k = 0; k < LEASE_WAYS; k++) {
            set(&t->cell[i][k].key, 0);
            set(&t->cell[i][k].grant, 0);
        }
}
