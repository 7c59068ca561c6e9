/*
 * redis - the store that gateways share: Redis, Sentinel or Cluster, by one client of our own.
 *
 * Each thread has its own connections. What is asked during one turn of the loop leaves in one
 * write per connection, and answers are matched by their order; an answer whose asker has gone is
 * dropped. Every ask has a deadline (20 ms unless `state` says otherwise). Too many failures in a
 * row open a breaker: asks fail at once until a probe succeeds. Scripts go by EVALSHA, and by EVAL
 * where the server does not know them yet. A reply is read within bounds (64 KiB, 4 deep); one that
 * makes no sense closes the connection. Owner: what lasts, by what `state` says; snapshots hold
 * references. Thread: any; an ask belongs to one.
 */
#pragma once
#include "core/op.h"
#include "core/state.h"
#include "core/thread.h"

struct redis;

enum redis_kind { REDIS_NULL, REDIS_INTEGER, REDIS_TEXT, REDIS_ERROR, REDIS_LIST };
struct redis_reply {
    enum redis_kind kind;
    int64_t integer;
    struct span text; /* TEXT, ERROR */
    const struct redis_reply *item;
    uint32_t count;
};

enum redis_failure {
    REDIS_FINE,
    REDIS_AWAY, /* no connection, or the breaker is open */
    REDIS_LATE, /* no answer within the deadline; what was asked may have happened all the same */
    REDIS_REFUSED, /* an error reply: its text is in the reply (errors of a store that is loading,
                    * a replica, or out of a cluster are REDIS_AWAY) */
    REDIS_FULL,    /* too many asks wait */
    REDIS_BROKEN,  /* the connection broke, or the answer made no sense; it may have happened */
    REDIS_FAILURES /* how many there are */
};

struct redis_script { /* const; one for each kind of question */
    const char *name;
    const char *source; /* Lua */
};

enum { REDIS_ARGS_MAX = 24, REDIS_KEYS_MAX = 8, REDIS_PREFIX_MAX = STATE_PREFIX_MAX };

struct redis_ask {
    /* filled by who asks; copied before redis_ask returns */
    const struct redis_script *script; /* NULL: arg[0] is the command's name; keys come next */
    /* Of one slot: write a common part in braces. Each begins with redis_prefix. */
    struct span key[REDIS_KEYS_MAX];
    unsigned keys;
    struct span arg[REDIS_ARGS_MAX];
    unsigned args;
    struct list *ops; /* where it waits: cancelled with them; NULL: nobody cancels it */
    /* From the loop. `r` is NULL but for REDIS_FINE and REDIS_REFUSED, and good during the call. */
    void (*ready)(struct redis_ask *a, enum redis_failure why, const struct redis_reply *r);
    /* its own */
    struct op op;
    struct list node;
    void *here, *conn;
    uint64_t deadline_at, slot;
    unsigned tries;
};

/* Before a snapshot is published: what its `state` names; NULL where nothing is shared. */
struct redis *redis_attach(const struct state_conf *conf);
void redis_detach(struct redis *r);
/* False: not asked (*why says it); ready is not called. */
must_use bool redis_ask(struct redis *r, struct redis_ask *a, enum redis_failure *why);
/* Would an ask of this thread leave now? (connected, breaker closed, or a probe is due) */
bool redis_usable(struct redis *r);
/* When it last came back after it was away, as any thread saw it: one that did not ask meanwhile
 * has not seen it go. */
uint64_t redis_returned_at(struct redis *r); /* ns on the loop's clock; 0: it was never away */
/* With which every key begins: who asks puts it there. At most REDIS_PREFIX_MAX bytes of it. */
struct span redis_prefix(const struct redis *r);
/* How many gateways were seen in the store lately, this one included: at least 1. Kept up by the
 * control thread; while the store is away the last number stays. */
uint32_t redis_gateways(struct redis *r);
/* Before its loop runs: connects to what is attached already. And at its end. */
void redis_thread_start(struct thread *t);
void redis_thread_finish(struct thread *t);

struct redis_state {  /* for status and metrics */
    struct span name; /* where it leads, without secrets */
    uint32_t gateways, connections;
    bool away;
    uint64_t asks;
    uint64_t failed[REDIS_FAILURES]; /* by enum redis_failure */
    uint64_t dropped;                /* answers whose asker had gone */
    uint64_t connects;               /* connections that were opened */
    uint64_t away_total, away_ns;    /* how often it was away; how long, this time included */
};
void redis_walk(void (*fn)(void *ctx, const struct redis_state *), void *ctx);
