/*
 * cells - a bounded table of counts by key, shared by all threads without a lock.
 *
 * A bucket is a cache line of four cells; a cell is a tag (the key's keyed hash) and a value that a
 * rule understands (limit/window.h). Every change is one compare-and-swap of the whole cell, so
 * counts are exact whoever else counts. A key that is new in a full bucket takes the cell that owes
 * least, and inherits what it owes: the two are not told apart any more, but nobody begins anew
 * either. An evicted key that comes back finds at least what it owed itself ("space saving",
 * Metwally et al.; it needs debts whose order never changes: those of GCRA and of fixed windows. A
 * sliding window's may, so one that is evicted may get up to twice its rate across an edge). Two
 * threads that bring the same new key may for a moment give it two cells: a key is written before
 * anything is charged to it, and who then sees two of them makes one, first. Memory is constant:
 * a larger table is made only where a reload asks for one. Owner: lasting by its name. Thread: any.
 */
#pragma once
#include "base/str.h"

struct cells;

/* How values are read: what they owe at a time (0: nothing, the cell is free), and the sum of two
 * values of one key. Times in the unit of the rule. */
struct cell_rule {
    uint64_t (*owes)(const void *rule, uint64_t value, uint64_t now);
    uint64_t (*join)(const void *rule, uint64_t value, uint64_t other, uint64_t now);
    const void *rule;
};

/* Finds or makes, with cells for `keys` at least: what a smaller table counted moves over (a key
 * that is asked for meanwhile may get more for that moment, and owes it). One reference. */
struct cells *cells_get(struct span name, uint32_t keys);
void cells_grow(struct cells *t, uint32_t keys, const struct cell_rule *rule, uint64_t now);
void cells_unref(struct cells *t);
uint32_t cells_size(const struct cells *t);   /* cells; 16 bytes each */
uint64_t cells_memory(const struct cells *t); /* bytes, smaller ones before it included */
uint64_t cells_epoch(const struct cells *t);  /* when it was made: ns on the monotonic clock */

/* A change of one key's value; the struct is the caller's. */
struct cell_change {
    /* From `value` (0: new; what is inherited may be old and owe nothing) to *next; false: leave it
     * as it is. May be called again. */
    bool (*change)(struct cell_change *c, uint64_t value, uint64_t *next);
    const struct cell_rule *rule;
    uint64_t hash, now;
    bool own;       /* told before change(): the key has a cell, and this is its value */
    bool inherited; /* told: the key was new and its bucket full */
};
/* It will be asked for soon: of several tables, so that memory is waited for but once. */
void cells_prefetch(const struct cells *t, uint64_t hash);
/* True: the change was made. */
bool cells_change(struct cells *t, struct cell_change *c);
/* Forgets the key; false: it was not there. */
bool cells_forget(struct cells *t, uint64_t hash);
/* Calls for every table whose name begins so, under the registry's lock. */
void cells_each(struct span prefix, void (*fn)(struct cells *t, void *ctx), void *ctx);
