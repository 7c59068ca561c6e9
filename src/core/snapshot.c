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

/* Other addresses allowed: no connection from before is used. */
static uint64_t guard_identity(const struct service_conf *s) {
    uint64_t h = s->guarded ? 0x9e3779b97f4a7c15u : 0;
    for (uint32_t i = 0; i < s->allowed_count; i++)
        for (int k = 0; k < 17; k++)
            h = (h ^ (k < 16 ? s->allowed[i].ip[k] : s->allowed[i].bits)) * 0x100000001b3u;
    return h;
}

uint64_t service_identity(const struct service_conf *s) {
    uint64_t way = (uint64_t)s->protocol << 3 | (uint64_t)s->proxy_protocol << 1 | (s->tls != NULL);
    uint64_t guard = guard_identity(s);
    return (s->tls ? tls_client_identity(s->tls) ^ way << 56 : way) ^ guard;
}
