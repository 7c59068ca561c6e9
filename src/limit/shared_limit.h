/*
 * shared_limit - rate limits over several gateways: what limiter_ask does where state.shared names
 * a store and the limit's scope is all.
 *
 * In this order: a refusal by the store that still holds refuses; a token of a lease lets pass
 * (sync: lease); the store is asked. While it is away, late or full, on_failure decides:
 * local_share lets pass what is this gateway's part of the limit, of as many as were seen last.
 * For that, what the store lets pass here is counted here as well. When the store has come back it
 * is told of what passed meanwhile, key by key, and for as long as the limit remembers (at most a
 * minute) a request must pass both, the share and the store: nobody gets his limit twice.
 *
 * Over-admission: none in `exact`. In `lease`, at most gateways x lease over any time. A late
 * answer may have been counted and not be known of: that errs to refusing.
 * Owner: the snapshot, but for what lasts by the limit's id. Thread: any.
 */
#pragma once
#include "limit/limiter_in.h"

struct redis;

/* For main: limiter_set_shared(&shared_limits). */
extern const struct limiter_shared shared_limits;

/* How much each gateway may take ahead now: sync: lease. 0: exact. */
uint64_t shared_limit_lease(const struct rate_limit_conf *c, uint32_t gateways);

#define SHARED_COUNTS(C) C(asked) C(failed) C(refused_here) C(from_lease) C(leases) C(leased)
struct shared_counts { /* one writer each */
#define C(name) _Atomic uint64_t name;
    SHARED_COUNTS(C)
#undef C
};
struct shared_limit_state {
    struct span id;
    uint64_t count[sizeof(struct shared_counts) / sizeof(uint64_t)]; /* in their order */
    uint64_t lost; /* tokens of leases that nobody used in time */
};
void shared_limit_walk(void (*fn)(void *ctx, const struct shared_limit_state *), void *ctx);
/* Forgets what the key has used in the store, and what this gateway knows of refusals and leases;
 * of the limit `id`, or (empty) of all. Other gateways see it when their refusals run out. */
void shared_limit_forget(struct span id, struct span key);
