/*
 * map - spans to pointers, open addressing, keyed hash. Keys are borrowed: they must outlive the
 * map. Owner: whoever embeds it. Thread: one at a time; a map that no longer changes may be read by
 * all.
 */
#pragma once
#include "base/hash.h"

struct map_entry {
    uint64_t hash;
    struct span key;
    void *value; /* NULL: free slot */
};

struct map {
    struct map_entry *entry;
    size_t count, cap; /* cap: 0 or a power of two */
};

void map_finish(struct map *m);
void *map_get(const struct map *m, struct span key); /* NULL: absent */
/* Puts or replaces; value is not NULL. Returns the value that stood there before, or NULL. */
void *map_put(struct map *m, struct span key, void *value);
