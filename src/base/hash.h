/*
 * hash - keyed hashing for tables whose keys a peer can choose (SipHash-1-3, per-process key).
 * Thread: any, after hash_seed.
 */
#pragma once
#include "base/str.h"

/* Sets the process key; call once at start (tests: a fixed key). */
void hash_seed(uint64_t k0, uint64_t k1);
uint64_t hash_bytes(const void *p, size_t n);
static inline uint64_t hash_span(struct span s) {
    return hash_bytes(s.p, s.n);
}
