/*
 * h1_copy - the first step from parsed offsets to a head: its bytes into the arena, room for its
 * fields. Owner: the head's. Thread: that of the head.
 */
#pragma once
#include "http/field.h"
#include "http/h1.h"

/* The copied head block, NULL: no memory. Offsets of the parser count from it. */
static inline char *copy_head(const struct h1_parser *p, const char *bytes, struct head *h) {
    char *base = arena_try(h->arena, p->length);
    if (!base || !field_room(h, (size_t)p->count + 8))
        return NULL;
    return memcpy(base, bytes, p->length);
}

/* Lower case in place; true if a "_" stands in it. */
static inline bool fold_name(char *p, size_t n) {
    bool underscore = false;
    for (size_t i = 0; i < n; i++) {
        underscore |= p[i] == '_';
        p[i] = lower(p[i]);
    }
    return underscore;
}
