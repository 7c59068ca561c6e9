/*
 * concurrency - how many requests of one key are under way, over all threads.
 *
 * A table of cells (limit/turns.h), eight to a cache line; a key looks in its line alone. A key
 * that is under way has its cell, one that is not leaves it to others, so the table needs room for
 * as many keys as are under way at once, not for as many as there are. Finding a cell takes no
 * lock; only a key that has none yet holds its line for a moment, so it never gets two. Where all
 * eight are taken a newcomer counts together with the least busy one: refused earlier perhaps,
 * never let through. Tables last over reloads by the limit's id and its number of keys. Owner:
 * counted, by snapshots. Thread: any.
 */
#pragma once
#include "core/schema.h"
#include "limit/turns.h"

enum {
    CONCURRENCY_KEYS = 16384,
    CONCURRENCY_KEYS_MAX = 1 << 24,
    CONCURRENCY_KEYS_MIN = 64,
    CONCURRENCY_NAME_MAX = 64
};

struct concurrency;

/* One reference. `keys` are rounded up to a power of two. */
struct concurrency *concurrency_get(struct span id, uint32_t keys);
void concurrency_unref(struct concurrency *c);

/* A turn for the key; t->ready is set. What it comes to is told as turn_take does. */
must_use enum turn_result concurrency_take(struct concurrency *c, struct span key, struct turn *t,
                                           const struct turn_ask *ask);
/* In any case (mode: observe). */
void concurrency_force(struct concurrency *c, struct span key, struct turn *t);
/* Does this turn count for that key? */
bool concurrency_is(const struct concurrency *c, struct span key, const struct turn *t);

/* For metrics and the command line; spans are good during the call. */
struct concurrency_state {
    struct span id;
    uint32_t keys, in_flight, keys_in_use, busiest, waiting;
    uint64_t refused_full, refused_late, displaced, queued, waited_ns, shared;
    uint64_t memory;
};
void concurrency_walk(void (*fn)(void *ctx, const struct concurrency_state *), void *ctx);
