/*
 * quota - how much of something a caller may have in a day, a month, a year.
 *
 *     quota: 1000000/month
 *     quota: {limit: [1000/day, 20000/month], key: "${claim.org}", anchor: 15,
 *             time_zone: Europe/Berlin, plans: {gold: {limit: 100000/month}}}
 *
 * A request counts what it costs, in each of the limits' periods or in none. What it has used lasts
 * over reloads by the quota's id (its `name`, else the place where it is written) and the period,
 * over restarts where there is a `state.store` (limit/quota_store.h), and is one number of all
 * gateways where state is shared. Consumers of all plans are counted in one table where periods are
 * equal: who changes his plan keeps what he has used. Owner: the snapshot. Thread: any, but for
 * what says control.
 */
#pragma once
#include "core/told.h"
#include "limit/quota_table.h"
#include "limit/shared_counter.h"

enum { QUOTA_LIMITS_MAX = 4 };

enum quota_failure { QUOTA_LOCAL, QUOTA_OPEN, QUOTA_CLOSED }; /* on_failure */

/* What became of requests, by thread: one writer each. `away`: judged without the shared state. */
#define QUOTA_COUNTS(C) C(allowed) C(refused) C(observed) C(away)
struct quota_counts {
#define C(name) _Atomic uint64_t name;
    QUOTA_COUNTS(C)
#undef C
};
struct quota_stats;

struct quota_window {
    uint64_t limit;
    struct period_rule rule; /* its zone is the snapshot's */
    struct span period;      /* "month from 15 in Europe/Berlin" */
    struct span suffix;      /* "-month": parts the limits of one quota; empty where it has one */
    struct quota_table *table;
};
struct quota_plan;
struct quota_conf {
    const struct schema_calendar_rate *limit;
    uint32_t limits;
    const struct template *key;        /* NULL: who asks (core/asker.h) */
    const struct template *cost;       /* NULL: 1 */
    const struct template *cost_after; /* from the answer */
    struct span name, anchor, time_zone;
    uint32_t keys;
    bool headers;
    int on_failure; /* enum quota_failure */
    const struct quota_plan *plan;
    uint32_t plans;

    /* what finish and attach make of it */
    struct quota_window window[QUOTA_LIMITS_MAX]; /* one of each limit */
    uint64_t cost_fixed;                          /* 0: an expression */
    bool reads_body;
    struct span id;
    struct quota_stats *stats;
    struct redis *redis; /* NULL: counted here */
};
struct quota_plan {         /* what it does not say is as the quota says that it stands in */
    struct quota_conf conf; /* first */
    struct span name;
};

extern const struct schema_object quota_object;
/* Judges and completes; NULL, or a sentence. */
const char *quota_finish(struct arena *a, void *conf);
void *quota_of_plans(struct arena *a, const struct span *plan, void *const *conf, uint32_t n);
/* The conf of this caller's plan, else `c`; NULL: none limits him. */
const struct quota_conf *quota_of(const struct quota_conf *c, struct span plan);

/* control: before a snapshot is published. Detach: any thread. */
void quota_attach(struct snapshot *s, struct quota_conf *c, struct span place);
void quota_detach(struct quota_conf *c);

enum quota_verdict {
    QUOTA_ALLOWED,
    QUOTA_REFUSED, /* nothing was counted */
    QUOTA_UNKNOWN, /* the shared state is away, and on_failure: closed */
};

struct quota_ask {
    /* filled by who asks */
    const struct quota_conf *conf;
    struct span key;                    /* lives until the answer */
    uint64_t cost;                      /* 0: only look */
    struct list *ops;                   /* where it waits; cancelled with them */
    void (*ready)(struct quota_ask *a); /* after quota_take said false; from the loop */
    /* the answer */
    enum quota_verdict verdict;
    unsigned window; /* that refused, or has the smallest share left */
    uint64_t remaining;
    bool away;                              /* judged without the shared state */
    struct period period[QUOTA_LIMITS_MAX]; /* in which it was counted */
    /* its own */
    struct quota_key hashed;
    struct shared_counter_ask shared;
    unsigned at; /* the limit that is asked now */
};

/* True: the answer is there. False: it waits (for the shared state); ready() follows unless it is
 * cancelled. */
must_use bool quota_take(struct exchange *x, struct quota_ask *a);
/* Adds (or gives back) in the periods in which it was counted, whatever the limit says. */
void quota_add(struct quota_ask *a, int64_t n);
/* Seconds until the period of the answer's window ends. */
uint64_t quota_ends_in(const struct quota_ask *a, struct exchange *x);
struct quota_counts *quota_counts(const struct quota_conf *c, struct thread *t);

/* ---- for people: control ---- */

struct quota_state {
    struct span id, period, key;
    uint64_t used, limit; /* as the key was last asked with */
    int64_t from, to;     /* seconds since the epoch */
};
/* Every key that has used something in its present period. `id` empty: of every quota. With shared
 * state it is what all gateways had used when this one was told last. */
void quota_walk(struct span id, void (*fn)(void *ctx, const struct quota_state *), void *ctx);
/* What the key has used in the present period is now so much (0: nothing); in how many periods.
 * `id` empty: of every quota. */
unsigned quota_put(struct span id, struct span key, uint64_t used);

struct quota_sum { /* of one id, for metrics */
    struct span id;
    uint64_t count[sizeof(struct quota_counts) / sizeof(uint64_t)]; /* in the order of the list */
    uint64_t keys, overflows;
};
void quota_sums(void (*fn)(void *ctx, const struct quota_sum *), void *ctx);
