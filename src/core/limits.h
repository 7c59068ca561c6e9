/*
 * limits - how rate limits are written, wherever they stand: the policy `rate_limit` of a route,
 * what a plan grants its consumers, what a service may get.
 *
 *     rate_limit: 20/s
 *     rate_limit: {rate: [10/s, 1000/day], burst: 20, key: "${claim.sub}", name: per-user,
 *                  plans: {gold: {rate: 90/s}}}
 *
 * Each rate is a window of its own; a request passes if all of them let it. GCRA (a token bucket
 * that needs one number per key) lets `burst` come at once and then the rate: over any time never
 * more than rate * time + burst. A sliding window weighs the last one in (at most the rate in any
 * window, but for how evenly the last one was spread); a fixed one begins anew by the wall clock.
 * What is counted under one id counts together: the limit's `name`, else the place where it is
 * written (struct filter's place), so a group's limit counts all its children. Owner: the snapshot.
 * Thread: any (const), but for `limiter`, which limit/ sets before the snapshot is published.
 */
#pragma once
#include "core/schema.h"
#include "core/told.h"

enum { LIMIT_RATES_MAX = 4, LIMIT_KEYS_DEFAULT = 65536, LIMIT_KEYS_MAX = 1 << 26 };

enum limit_algorithm { LIMIT_GCRA, LIMIT_SLIDING_WINDOW, LIMIT_FIXED_WINDOW };
enum limit_failure { LIMIT_LOCAL_SHARE, LIMIT_OPEN, LIMIT_CLOSED }; /* on_failure */
enum limit_sync { LIMIT_EXACT, LIMIT_LEASE };
enum limit_scope { LIMIT_SHARED, LIMIT_THIS_GATEWAY };

struct limiter; /* limit/limiter.h */
struct rate_limit_plan;

struct rate_limit_delay {
    uint64_t max_wait_ms; /* longer is refused; 0: nobody waits */
    uint32_t queue;       /* how many may wait, per thread */
};
struct rate_limit_conf {
    const struct schema_rate *rate;
    uint32_t rates;
    uint64_t burst; /* 0: unsaid (rate_limit_burst) */
    int algorithm;  /* enum limit_algorithm */
    struct span name;
    const struct template *key;  /* NULL: the consumer, else the claim sub, else the address */
    const struct template *cost; /* NULL: 1 */
    const struct template *cost_after; /* from the answer: what it really cost; NULL: as before */
    struct rate_limit_delay delay;
    bool early;     /* before authentication */
    bool headers;   /* RateLimit and RateLimit-Policy on answers */
    uint32_t keys;  /* how many keys are told apart: 16 bytes each */
    int scope;      /* enum limit_scope: with state.shared, of all gateways or of this one */
    int on_failure; /* enum limit_failure */
    int sync;       /* enum limit_sync */
    uint64_t lease; /* tokens taken ahead; 0: unsaid, then what 100 ms of the rate are */
    const struct rate_limit_plan *plan; /* other rates for consumers of a plan */
    uint32_t plans;

    /* what finish and limit/ make of it */
    uint64_t cost_fixed;               /* cost is a number that never changes; 0: an expression */
    bool reads_body;                   /* key or cost do */
    const struct limit_window *window; /* of each rate, as clients are told */
    struct span policy;                /* likewise, whole (struct limit_told) */
    struct span id;          /* name, else the place; of a plan's: with " plan NAME" behind */
    struct limiter *limiter; /* NULL: no rate of its own (of plans alone) */
};
struct rate_limit_plan {         /* what it does not say is as the limit says that it stands in */
    struct rate_limit_conf conf; /* first; its `plan` is empty */
    struct span name;
};

extern const struct schema_object rate_limit_object;         /* of routes */
extern const struct schema_object service_rate_limit_object; /* without plans, early, delay */

/* What may come at once of this rate: `burst` speaks of the shortest one; a longer one lets come
 * what it counts. */
uint64_t rate_limit_burst(const struct rate_limit_conf *c, uint32_t at);
/* Judges and completes; NULL, or a sentence. */
const char *rate_limit_finish(struct arena *a, void *conf);
/* What top-level `plans` say, as one policy (struct policy, of_plans). */
void *rate_limit_of_plans(struct arena *a, const struct span *plan, void *const *conf, uint32_t n);
/* The conf of this caller's plan, else `c`; NULL: none limits him. */
const struct rate_limit_conf *rate_limit_of(const struct rate_limit_conf *c, struct span plan);
