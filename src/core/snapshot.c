#include "core/snapshot.h"
#include "base/env.h"

struct snapshot *snapshot_create(void) {
    struct snapshot *s = mem_alloc(sizeof *s);
    atomic_init(&s->refs, 1);
    arena_init(&s->arena, NULL);
    return s;
}

void snapshot_ref_atomic(struct snapshot *s) {
    atomic_fetch_add(&s->refs, 1);
}

void snapshot_unref_atomic(struct snapshot *s) {
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    if (s->detach)
        s->detach(s);
    if (s->free_parts)
        s->free_parts(s);
    struct arena a = s->arena;
    mem_free(s);
    arena_finish(&a);
}
