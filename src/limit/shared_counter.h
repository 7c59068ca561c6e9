/*
 * shared_counter - a number that all gateways count together until it ends: what a quota is made
 * of where state.shared names a store.
 *
 * One script adds and checks in one step, so gateways never go beyond the limit together. While the
 * store is away, or answers late, the answer says SHARED_AWAY: what then holds is for who asks to
 * decide (a late answer may have been counted). The counter is gone from the store once it has
 * ended. Owner: the ask is the caller's, until the answer or its cancellation. Thread: the ask's.
 */
#pragma once
#include "shared/redis.h"

enum shared_counted {
    SHARED_COUNTED, /* n was added */
    SHARED_OVER,    /* it would have gone beyond the limit: nothing was added */
    SHARED_AWAY,    /* the store is away, full or late: `why` says which */
};

struct shared_counter_ask {
    /* filled by who asks; the spans are copied before shared_counter_add returns */
    struct redis *redis;
    struct span id;   /* what is counted, with its period: "quota:gold 2026-11" */
    struct span key;  /* for whom */
    uint64_t n;       /* 0: only look */
    uint64_t limit;   /* UINT64_MAX: whatever it comes to */
    int64_t ends_ms;  /* wall clock, ms since the epoch: forgotten then */
    struct list *ops; /* where it waits; cancelled with them */
    void (*ready)(struct shared_counter_ask *c); /* after add said false; from the loop */
    /* the answer */
    enum shared_counted verdict;
    enum redis_failure why;
    uint64_t used; /* with n, where that was added; not known when AWAY */
    /* its own */
    struct redis_ask ask;
};

/* True: the answer is there (AWAY). False: it waits; ready() follows unless it is cancelled. */
must_use bool shared_counter_add(struct shared_counter_ask *c);
/* Adds (or, negative, gives back, not below nothing) and waits for nobody. Lost where the store is
 * away: false, if that is known at once. */
bool shared_counter_give(struct redis *r, struct span id, struct span key, int64_t n,
                         int64_t ends_ms);
/* Takes all back: as if nothing had been counted. */
bool shared_counter_forget(struct redis *r, struct span id, struct span key);
