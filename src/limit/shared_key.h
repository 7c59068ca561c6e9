/*
 * shared_key - the name under which gateways count something together in the store.
 *
 * A limit's key may be a credential or somebody's address, and the store may be read by others: so
 * nothing stands there in clear, only 128 bits of the SHA-256 of what is counted and for whom. All
 * gateways come to the same name (the process's own hash would not do), and nobody can choose two
 * keys that share one. In braces, so that everything about it lies in one slot of a cluster.
 * Owner: the caller's memory. Thread: any.
 */
#pragma once
#include "base/str.h"

enum { SHARED_KEY_HEX = 32, SHARED_KEY_MAX = 160 };

struct shared_key {
    char text[SHARED_KEY_MAX];
    size_t n; /* of the part that all keys of it have in common */
};

/* "PREFIX KIND:{hex}" without the space, of the id (the limit's, the quota's) and the key; prefix
 * and kind are at most 64 and 8 bytes. */
struct shared_name {
    struct span prefix, kind, id, key;
};
void shared_key_make(struct shared_key *k, const struct shared_name *name);
static inline struct span shared_key_span(const struct shared_key *k) {
    return (struct span){k->text, k->n};
}
