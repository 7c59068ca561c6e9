/*
 * upstream - what lasts of a service, inside this room: sources, found addresses, the current set.
 *
 * A source is one line of `endpoints` or `discover`. Its endpoints: one for a fixed address or a
 * name that stands for one endpoint; one per address for discovery. The set is made anew from all
 * sources whenever one of them changed, and published if it differs. Owner: counted (the anchor
 * that snapshots refer to, discovery, messages). Thread: any; its lock is held for short straight
 * work and never while another upstream's is.
 */
#pragma once
#include "service/service.h"

struct source {
    struct span text, host; /* host empty: fixed */
    uint16_t port;
    uint32_t weight;
    bool discover;
    struct endpoint **endpoint; /* references */
    uint32_t count;
};

struct upstream {
    atomic_uint refs;
    uint64_t serial; /* never used twice: a message names an upstream by slot and serial */
    uint32_t slot;
    struct span name;
    uint64_t identity; /* service_identity of the last snapshot */
    pthread_mutex_t lock;
    struct source *source;
    uint32_t source_count;
    struct endpoint_set *set;
    bool closed; /* no snapshot names it any more */
};

void upstream_ref(struct upstream *u);
void upstream_unref(struct upstream *u);

/* The snapshot's word on its endpoints. */
void upstream_configure(struct upstream *u, const struct service_conf *conf);
/* Discovery's word: the addresses (ports unset) of a host that some sources name. */
void upstream_found(struct upstream *u, struct span host, const struct address *ip, uint32_t count);
/* Calls for every host that is to be looked up; the same may come twice. Nothing once it is closed.
 */
void upstream_hosts(struct upstream *u, void (*fn)(void *ctx, struct span host), void *ctx);

struct upstream *upstream_of(const struct service_conf *s);
/* Calls for every upstream that lasts, under the registry's lock. */
void upstream_each(void (*fn)(struct upstream *u, void *ctx), void *ctx);

/* set.c: entries are collected, then made a set. */
struct set_builder {
    struct endpoint_entry *entry;
    uint32_t count, cap;
};
void set_add(struct set_builder *b, struct endpoint *e, uint32_t weight); /* refs */
/* An endpoint that came twice is one entry with both weights. Finishes the builder. NULL: the set
 * would be what `before` (NULL: none) is already. */
struct endpoint_set *set_finish(struct set_builder *b, bool unresolved,
                                const struct endpoint_set *before);
/* Calls for each endpoint of `before` that `now` (NULL: none) does not have. */
void set_vanished(const struct endpoint_set *before, const struct endpoint_set *now,
                  void (*fn)(struct endpoint *));
