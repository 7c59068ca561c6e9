/*
 * shared_lease - tokens that a gateway has taken from the store ahead of need (sync: lease), by
 * key.
 *
 * What is here has been counted in the store already, so all gateways together let pass at most
 * what the limit says, and of that at most `gateways x lease` later than it was counted: by so much
 * more may pass in a time. A lease that is not used within its lifetime is lost, never used later.
 * So that little is lost, no more is taken than half a second's demand for that key here, as the
 * last second showed it; a key that comes rarely asks the store each time. More is fetched when
 * half is used, by one request at a time.
 *
 * Cells change by compare-and-swap; a cell that another key takes over loses its tokens. Owner:
 * whoever embeds the table. Thread: any.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    LEASE_SETS = 1024,
    LEASE_WAYS = 4,
    LEASE_MAX = (1 << 18) - 1,
    LEASE_LIFE_MS = 1024,
    LEASE_FETCH_MS = 100, /* a fetch that did not come back in this time: another may go */
};

struct lease_cell {
    _Atomic uint64_t key;    /* the hash; 0: nobody's */
    _Atomic uint64_t grant;  /* tokens, until when, and a tag of the key: one word */
    _Atomic uint64_t demand; /* asked for since when (ms): 32 bits each */
    _Atomic uint64_t fetching_until_ms;
    _Atomic uint64_t store_left; /* what the store had left, as it last said */
};
struct lease_table {
    struct lease_cell cell[LEASE_SETS][LEASE_WAYS];
    _Atomic uint64_t *lost; /* tokens that ran out unused are counted there */
};

/* The key's cell, its own or that of the one that waits longest for use. */
struct lease_cell *lease_find(struct lease_table *t, uint64_t hash, uint64_t now_ms);
/* Takes `cost` tokens; *left: what is still here. Counts as demand either way. */
bool lease_take(struct lease_cell *c, uint64_t hash, uint64_t cost, uint64_t now_ms,
                uint64_t *left);
/* How many to fetch now, at most so that `most` are here; 0: none, or another fetches. Whoever got
 * a number ends with lease_put or lease_fetched_none. */
uint64_t lease_want(struct lease_cell *c, uint64_t hash, uint64_t most, uint64_t now_ms);
/* `most`: as in lease_want; what would be more is lost. */
struct lease_put {
    uint64_t hash, tokens, most, now_ms;
};
void lease_put(struct lease_table *t, struct lease_cell *c, const struct lease_put *put);
void lease_fetched_none(struct lease_cell *c, uint64_t hash);
void lease_clear(struct lease_table *t);
