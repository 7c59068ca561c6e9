/*
 * endpoint - one place where a service can be reached, and what all threads together do there.
 *
 * Its identity is the service's name and the address text of the configuration ("10.0.0.1:80",
 * "order.internal:80", "unix:/run/a"), for discovered ones the address found. It lasts over
 * reloads, and so do its counts. A named endpoint has the addresses that its name has now; it uses
 * one of them until connecting there fails, then the next.
 *
 * Connections and requests in flight are exact over all threads. At the limit a thread leaves its
 * bit here and queues locally; whoever gives a connection back sends a message to each waiting
 * thread, whose hook wakes its local waiters; they look again. A thread that could keep a
 * connection idle while another waits closes it instead, and one that holds idle ones already is
 * asked to close one.
 *
 * The epoch grows whenever connections made before must not be used any more: the endpoint left the
 * service, or an address in use vanished from its name. A pool notes the epoch at connect, closes
 * at return what is of an older one, and is told by the drain hook to close what is idle. Owner:
 * counted, by sets and by who holds one. Thread: any.
 */
#pragma once
#include "core/lasting.h"
#include "io/tcp.h"
#include <pthread.h>
#include <stdatomic.h>

struct thread;

enum { ENDPOINT_ADDRESSES_MAX = 64 };

struct endpoint {
    struct span service, text; /* fixed for life */
    pthread_mutex_t lock;      /* of the next four; held for a copy, never across a call out */
    struct address *address;
    uint32_t address_count, current;
    uint64_t used; /* a bit per address: somebody was told it in this epoch */

    char line_before[64];  /* what follows changes with every request: a cache line of its own */
    _Atomic uint32_t refs; /* all together hold one reference of the registry */
    _Atomic uint32_t connections, in_flight;
    _Atomic uint64_t waiting; /* a bit per thread (index modulo 64) that queues for a connection */
    _Atomic uint64_t idle;    /* a bit per thread that may hold idle connections; may be stale */
    _Atomic uint32_t epoch;
    _Atomic uint64_t connects, connect_failures, requests; /* totals; connects: tries */
    char line_after[64];
};

/* What the pools do; set once, before threads run. Each is called in the thread that it concerns.
 */
struct endpoint_hooks {
    void (*connection_free)(struct thread *, struct endpoint *); /* wake waiters: they look again */
    void (*connection_wanted)(struct thread *, struct endpoint *); /* close one idle connection */
    void (*drain)(struct thread *, struct endpoint *); /* close idle connections of older epochs */
};
void endpoint_set_hooks(const struct endpoint_hooks *hooks);

extern const struct lasting_kind endpoint_kind; /* for lasting_each */

/* Finds or makes; the caller has one reference. */
struct endpoint *endpoint_get(struct span service, struct span text);
static inline void endpoint_ref(struct endpoint *e) {
    atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
}
void endpoint_unref_last(struct endpoint *e);
static inline void endpoint_unref(struct endpoint *e) {
    if (atomic_fetch_sub(&e->refs, 1) == 1)
        endpoint_unref_last(e);
}

/* Replaces the addresses (at most ENDPOINT_ADDRESSES_MAX are kept). The one in use stays in use if
 * it is among them. True: an address that was in use is gone, and the epoch has grown. */
bool endpoint_set_addresses(struct endpoint *e, const struct address *address, uint32_t count);
/* The address to connect to now, and the epoch of such a connection. False: none is known. */
must_use bool endpoint_address(struct endpoint *e, struct address *out, uint32_t *epoch);
/* Connecting to `tried` failed: the next connection goes to the next address. True: there is
 * another one than the one that failed. */
bool endpoint_connect_failed(struct endpoint *e, const struct address *tried);
static inline uint32_t endpoint_epoch(const struct endpoint *e) {
    return atomic_load(&e->epoch);
}
/* Connections made so far are not to be kept: a new epoch, and every thread's drain hook is called.
 */
void endpoint_drain(struct endpoint *e);
void endpoint_tell_drain(struct endpoint *e); /* the message alone */

/* One connection of at most `max` (0: no limit). Called in the thread that connects. False: the
 * limit is reached; this thread's connection_free hook will be called, queue until then. */
must_use bool endpoint_connection_take(struct endpoint *e, uint32_t max);
void endpoint_connection_give(struct endpoint *e); /* it is closed, or was never made */
/* Before a connection becomes idle. False: another thread waits for one; close this one and give
 * it. */
must_use bool endpoint_may_idle(struct endpoint *e);

/* A request goes there, and has ended. */
static inline void endpoint_begin(struct endpoint *e) {
    atomic_fetch_add_explicit(&e->requests, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&e->in_flight, 1, memory_order_relaxed);
}
static inline void endpoint_end(struct endpoint *e) {
    uint32_t before = atomic_fetch_sub_explicit(&e->in_flight, 1, memory_order_relaxed);
    must(before > 0);
}
