/*
 * lasting - state that outlives snapshots: endpoints' counters, pools' identities, statistics,
 * sockets.
 *
 * A registry by kind and key ("service+address", a route's name ...). A snapshot that needs an
 * object takes a reference when it is built and drops it when it is freed; the last one out closes
 * the object. So a reload keeps counters, health and connections of what did not change. Owner: the
 * registry. Thread: any (a lock; never on the request path).
 */
#pragma once
#include "base/str.h"

struct lasting_kind {
    const char *name;
    size_t size; /* zeroed memory of this size, after `struct lasting` */
    void (*make)(void *obj,
                 struct span key); /* under the lock: asks for no other object; may be NULL */
    void (*close)(void *obj);      /* the last reference is gone; without the lock; may be NULL */
};

/* Finds or makes; the caller has one reference. */
void *lasting_get(const struct lasting_kind *kind, struct span key);
void lasting_ref(void *obj);
void lasting_unref(void *obj); /* NULL is fine */
struct span lasting_key(const void *obj);
/* Calls for every live object of a kind, under the registry's lock. */
void lasting_each(const struct lasting_kind *kind, void (*fn)(void *obj, void *ctx), void *ctx);
