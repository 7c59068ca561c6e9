/*
 * pool - a thread's connections to one endpoint, and who waits for one.
 *
 * Connections that carry many attempts at once (HTTP/2) are shared: at most one per pool, until its
 * streams are exhausted and the endpoint's limit allows another. The others carry one attempt and
 * are kept idle after it; the newest idle one is used first, so that the surplus ages and closes.
 * Over TLS it may be the handshake that decides which kind a connection is: while the first one is
 * still deciding, attempts wait for it. At the endpoint's limit they queue in order, bounded, with
 * a timeout.
 *
 * A pool is of an endpoint and of how it is spoken to (protocol, TLS identity): where a reload
 * changes that there is a new pool, and the old one drains. A pool exists while it has connections
 * or waiters. Owner: the thread (LOCAL_POOLS). Thread: its own.
 */
#pragma once
#include "back/client.h"

struct pool {
    struct endpoint *endpoint;
    uint64_t identity; /* of how the endpoint is spoken to */
    struct thread *thread;
    struct pool *next; /* in its slot of the thread's table */
    struct list idle, busy, shared, waiting;
    uint32_t idle_count, waiting_count, open;
    uint32_t deciding; /* connections that may yet turn out to be shared ones */
    bool apart;        /* the last one chose not to: nobody waits for the next to decide */
    struct task wake;
    struct deferred free;
};

enum pool_got { POOL_READY, POOL_QUEUED, POOL_REFUSED };

/* A connection for the attempt (a->conn is set, it may still be connecting), a place in the queue,
 * or a refusal (*why). */
enum pool_got pool_get(struct thread *t, struct attempt *a, enum fault *why);
void pool_leave_queue(struct attempt *a);

/* ---- the clients tell ---- */

/* It has become idle and may be used by another attempt. */
void pool_put_idle(struct client *c);
void pool_unidle(struct pool *p); /* an idle one closes by itself */
/* A shared one takes more attempts than before: a stream ended, its peer allows more. */
void pool_has_room(struct pool *p);
/* It is gone (client_closed calls it). */
void pool_closed(struct pool *p);
/* A new one will be told by its handshake what it is; it was; it never will be: it failed, or who
 * wanted it has left, and the next one to wait begins anew. */
void pool_deciding(struct pool *p);
void pool_decided(struct pool *p, bool shared);
void pool_undecided(struct pool *p);

/* ---- of the thread ---- */

void pools_init(void); /* registers the endpoints' hooks; once, before threads run */
/* Closes what is idle; after the exchanges have ended nothing is left. */
void pools_finish(struct thread *t);
/* Idle connections of one endpoint in this thread (for status); a shared one without attempts is
 * idle. */
uint32_t pool_idle(struct thread *t, const struct endpoint *e);
