/*
 * service - a service of the configuration with its endpoints as they are now.
 *
 * What lasts is the upstream, by the service's name: what the newest configuration says (sources),
 * what discovery found, and from both the endpoint set: immutable, counted, published. A thread
 * holds the set of each service that it uses, with its place in the round; it swaps when a message
 * brings a newer one. An endpoint that left the set is drained: requests under way end there,
 * nothing new begins. Owner: the snapshots that name it, and discovery while it looks for names.
 * Thread: any.
 */
#pragma once
#include "core/thread.h"
#include "service/endpoint.h"

struct endpoint_entry {
    struct endpoint *endpoint; /* a reference */
    uint32_t weight;
};

struct endpoint_set {
    atomic_uint refs;
    uint64_t version;
    bool unresolved; /* some name of the service has no address yet */
    uint32_t count;
    uint32_t turn_count;
    const uint32_t *turn; /* places in entry[], each as often as its weight says, well mixed */
    struct endpoint_entry entry[];
};

void endpoint_set_unref(struct endpoint_set *set);

/* Before a snapshot is published: finds or makes the upstream of every service, and publishes its
 * endpoints as this snapshot says. What is unchanged keeps its counts and connections. */
void service_attach(struct snapshot *s);
void service_detach(struct snapshot *s); /* when it is freed */
/* The same for a service that is in no snapshot (core/outbound.h). */
void service_attach_one(struct service_conf *c);
void service_detach_one(struct service_conf *c);

/* What one thread remembers of a service. */
struct service_local {
    uint64_t serial;          /* of the upstream; 0: free */
    struct endpoint_set *set; /* a reference */
    uint32_t place;           /* in the set's turns */
    uint64_t random;
};
struct service_local *service_local(struct thread *t, const struct service_conf *s);
void service_thread_finish(struct thread *t); /* drops what it holds */

/* For status and metrics. Spans are good during the call; callers copy. */
struct endpoint_state {
    struct span service, text;
    struct address address; /* in use now; len 0: none is known */
    uint32_t weight, address_count;
    uint32_t connections, in_flight;
    uint64_t connects, connect_failures, requests;
};
struct service_state {
    struct span name;
    uint32_t endpoints;
    bool unresolved;
};
struct service_walk {
    void (*service)(void *ctx, const struct service_state *); /* may be NULL */
    void (*endpoint)(void *ctx,
                     const struct endpoint_state *); /* those of that service follow; NULL */
    void *ctx;
};
void service_walk(const struct service_conf *s, const struct service_walk *w);
