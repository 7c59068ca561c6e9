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

enum { SHARED_KEY_HEX = 32, SHARED_KEY_MAX = 72 };

struct shared_key {
    char text[SHARED_KEY_MAX];
    size_t n; /* of the part that all keys of it have in common */
};

/* "KIND:{hex}" of the id (the limit's, the quota's) and the key; `kind` is at most 8 bytes. */
void shared_key_make(struct shared_key *k, struct span kind, struct span id, struct span key);
/* The same with `tail` behind, at most 24 bytes, in memory of the caller (SHARED_KEY_MAX). */
struct span shared_key_with(const struct shared_key *k, struct span tail, char *buf);
static inline struct span shared_key_span(const struct shared_key *k) {
    return (struct span){k->text, k->n};
}
