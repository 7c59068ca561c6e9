/*
 * pool - a thread's kept connections to one endpoint, and who waits for one.
 *
 * The newest idle connection is used first, so that the surplus ages and closes. At the endpoint's
 * limit attempts queue in order, bounded, with a timeout. A pool exists while it has connections or
 * waiters. Owner: the thread (LOCAL_POOLS). Thread: its own.
 */
#pragma once
#include "back/attempt.h"

struct pool {
    struct endpoint *endpoint;
    struct thread *thread;
    struct pool *next; /* in its slot of the thread's table */
    struct list idle, busy, waiting;
    uint32_t idle_count, waiting_count, open;
    struct task wake;
    struct deferred free;
};

enum pool_got { POOL_READY, POOL_QUEUED, POOL_REFUSED };

/* A connection for the attempt (a->conn is set, it may still be connecting), a place in the queue,
 * or a refusal (*why). */
enum pool_got pool_get(struct thread *t, struct attempt *a, enum fault *why);
void pool_leave_queue(struct attempt *a);
/* A connection became idle or is gone. */
void pool_put_idle(struct pool *p, struct list *node);
void pool_closed(struct pool *p);
void pool_unidle(struct pool *p); /* an idle one closes by itself */
void pools_init(void);            /* registers the endpoints' hooks; once, before threads run */
/* Closes what is idle; after the exchanges have ended nothing is left. */
void pools_finish(struct thread *t);
/* Idle connections of one endpoint in this thread (for status). */
uint32_t pool_idle(struct thread *t, const struct endpoint *e);
