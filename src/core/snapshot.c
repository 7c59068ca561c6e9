#include "core/snapshot.h"
#include "base/env.h"
#include "http/uri.h"

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

/* Names are compared as a service decodes them. */
static bool is_hidden(const struct snapshot *s, struct span name) {
    char buf[256];
    struct str plain = str_on(buf, sizeof buf);
    uri_decode(&plain, name, URI_QUERY);
    for (uint32_t i = 0; i < s->hidden_count; i++)
        if (span_eq(s->hidden[i], str_span(&plain)))
            return true;
    return false;
}

void snapshot_hide(const struct snapshot *s, struct span text, struct str *out) {
    if (!text.p)
        return;
    ptrdiff_t mark = span_find(text, '?');
    size_t before = mark < 0 ? 0 : (size_t)mark + 1;
    str_add(out, span_cut(text, 0, before));
    struct span rest = span_from(text, before);
    for (bool first = true; rest.p && rest.n; first = false) {
        struct span value = span_split(&rest, '&'), name = span_split(&value, '=');
        str_add(out, first ? SPAN("") : SPAN("&"));
        str_add(out, name);
        if (!value.p)
            continue;
        str_char(out, '=');
        str_add(out, is_hidden(s, name) ? SPAN("***") : value);
    }
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
