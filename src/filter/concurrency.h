/*
 * concurrency - so many requests of one caller are under way at once; the others wait for their
 * turn, or are refused with 429.
 *
 *     concurrency: 10
 *     concurrency: {limit: 10, key: "${claim.sub}", queue: {size: 100, max_wait: 1s},
 *                   priority: "${consumer.plan == 'gold' ? 'high' : 'normal'}",
 *                   plans: {gold: {limit: 50}}}
 *
 * A turn is had from here until the exchange has ended, however it ends: a WebSocket or a stream
 * keeps its turn as long as it lasts. Exact over all threads (limit/concurrency.h). Limits of one
 * name count together, and a request that meets the same one twice takes one turn. Conf: struct
 * concurrency_conf. Thread: that of the exchange.
 */
#pragma once
#include "core/gate.h"
#include "limit/concurrency.h"

struct concurrency_plan {
    uint32_t limit;
    struct span name;
};
struct concurrency_conf {
    uint32_t limit; /* 0: only what `plans` say */
    struct queue_conf queue;
    const struct template *key;      /* NULL: the caller, else the address */
    const struct template *priority; /* NULL: normal */
    struct span name;
    uint32_t keys;
    const struct concurrency_plan *plan;
    uint32_t plans;

    struct concurrency *table; /* set before the snapshot is published */
    struct span id;            /* the name, else the place */
};

extern const struct policy concurrency_policy;
