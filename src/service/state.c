#include "service/upstream.h"

static void tell_endpoint(const struct service_walk *w, struct span service,
                          const struct endpoint_entry *entry) {
    struct endpoint *e = entry->endpoint;
    struct endpoint_state s = {
        .service = service,
        .text = e->text,
        .weight = entry->weight,
        .connections = atomic_load(&e->connections),
        .in_flight = atomic_load(&e->in_flight),
        .connects = atomic_load(&e->connects),
        .connect_failures = atomic_load(&e->connect_failures),
        .requests = atomic_load(&e->requests),
    };
    pthread_mutex_lock(&e->lock);
    s.address_count = e->address_count;
    if (e->address_count)
        s.address = e->address[e->current];
    pthread_mutex_unlock(&e->lock);
    w->endpoint(w->ctx, &s);
}

void service_walk(const struct service_conf *s, const struct service_walk *w) {
    struct upstream *u = upstream_of(s);
    pthread_mutex_lock(&u->lock);
    struct endpoint_set *set = u->set;
    atomic_fetch_add(&set->refs, 1);
    pthread_mutex_unlock(&u->lock);
    struct service_state state = {s->name, set->count, set->unresolved};
    if (w->service)
        w->service(w->ctx, &state);
    for (uint32_t i = 0; w->endpoint && i < set->count; i++)
        tell_endpoint(w, s->name, &set->entry[i]);
    endpoint_set_unref(set);
}
