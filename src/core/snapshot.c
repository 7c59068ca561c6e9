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

uint64_t service_identity(const struct service_conf *s) {
    uint64_t way = (uint64_t)s->protocol << 3 | (uint64_t)s->proxy_protocol << 1 | (s->tls != NULL);
    return s->tls ? tls_client_identity(s->tls) ^ way << 56 : way;
}
