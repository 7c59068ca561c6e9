#include "base/slots.h"
#include "core/publish.h"
#include "service/discovery.h"
#include "service/upstream.h"

/* Slots: small numbers of live upstreams, the places in each thread's table. */

static struct slots slots = SLOTS_INIT;

/* What each thread knows */

struct locals {
    uint32_t cap;
    struct service_local *at;
};

static struct service_local *local_at(struct thread *t, uint32_t slot) {
    struct locals *all = t->local[LOCAL_SERVICES];
    if (unlikely(!all))
        t->local[LOCAL_SERVICES] = all = mem_alloc(sizeof *all);
    if (unlikely(slot >= all->cap)) {
        uint32_t cap = slot * 2 + 8;
        all->at = mem_realloc(all->at, all->cap * sizeof *all->at, cap * sizeof *all->at);
        all->cap = cap;
    }
    return &all->at[slot];
}

static void local_drop(struct service_local *l) {
    endpoint_set_unref(l->set);
    *l = (struct service_local){0};
}

/* Each thread begins its round elsewhere, or all would begin at the first endpoint. */
static void local_begin(struct service_local *l, struct upstream *u) {
    local_drop(l);
    pthread_mutex_lock(&u->lock);
    l->set = u->set;
    atomic_fetch_add(&l->set->refs, 1);
    pthread_mutex_unlock(&u->lock);
    l->serial = u->serial;
    env.random(&l->random, sizeof l->random);
    l->place = l->set->turn_count ? (uint32_t)(l->random % l->set->turn_count) : 0;
}

struct service_local *service_local(struct thread *t, const struct service_conf *s) {
    struct upstream *u = upstream_of(s);
    struct service_local *l = local_at(t, u->slot);
    if (unlikely(l->serial != u->serial))
        local_begin(l, u);
    return l;
}

void service_thread_finish(struct thread *t) {
    struct locals *all = t->local[LOCAL_SERVICES];
    for (uint32_t i = 0; all && i < all->cap; i++)
        local_drop(&all->at[i]);
    if (all)
        mem_free(all->at);
    mem_free(all);
    t->local[LOCAL_SERVICES] = NULL;
}

/* News of sets: a thread that does not use the service lets go at once. */

struct set_news {
    struct message message;
    uint64_t serial;
    uint32_t slot;
    struct endpoint_set *set; /* a reference; NULL: the upstream is gone */
};

static void receive_set(struct message *m) {
    struct set_news *n = container_of(m, struct set_news, message);
    struct service_local *l = local_at(thread_me(), n->slot);
    if (l->serial == n->serial && !n->set) {
        local_drop(l);
    } else if (l->serial == n->serial && l->set->version < n->set->version) {
        struct endpoint_set *before = l->set;
        l->set = n->set;
        n->set = before;
        l->place = l->set->turn_count ? l->place % l->set->turn_count : 0;
    }
    endpoint_set_unref(n->set);
    mem_free(n);
}

static struct message *set_news(struct thread *to, void *ctx) {
    struct upstream *u = ctx;
    struct set_news *n = mem_alloc(sizeof *n);
    (void)to;
    *n = (struct set_news){{NULL, receive_set}, u->serial, u->slot, u->closed ? NULL : u->set};
    if (n->set)
        atomic_fetch_add(&n->set->refs, 1);
    return &n->message;
}

/* Sources */

static void source_finish(struct source *s) {
    for (uint32_t i = 0; i < s->count; i++)
        endpoint_unref(s->endpoint[i]);
    mem_free(s->endpoint);
    mem_free((char *)(uintptr_t)s->text.p);
    mem_free((char *)(uintptr_t)s->host.p);
}

static void sources_free(struct source *s, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        source_finish(&s[i]);
    mem_free(s);
}

static void source_one(struct upstream *u, struct source *s) {
    s->endpoint = mem_alloc(sizeof *s->endpoint);
    s->endpoint[0] = endpoint_get(u->name, s->text);
    s->count = 1;
}

/* What discovery found for the same line before stays until it finds something else. */
static void source_inherit(struct upstream *u, struct source *s) {
    for (uint32_t i = 0; i < u->source_count; i++) {
        struct source *old = &u->source[i];
        if (!old->discover || !span_eq(old->text, s->text))
            continue;
        s->endpoint = old->endpoint;
        s->count = old->count;
        old->endpoint = NULL;
        old->count = 0;
        return;
    }
}

static void source_make(struct upstream *u, struct source *s, const struct endpoint_conf *c,
                        bool discover) {
    s->text = span_of(mem_text(c->address_text.p, c->address_text.n), c->address_text.n);
    s->host = span_of(mem_text(c->host.p, c->host.n), c->host.n);
    s->port = c->port;
    s->weight = c->weight;
    s->discover = discover && c->host.n > 0;
    if (s->discover) {
        source_inherit(u, s);
        return;
    }
    source_one(u, s);
    if (!c->host.n)
        endpoint_set_addresses(s->endpoint[0], &c->address, 1);
}

static bool has_address(struct endpoint *e) {
    pthread_mutex_lock(&e->lock);
    bool any = e->address_count > 0;
    pthread_mutex_unlock(&e->lock);
    return any;
}

/* With the lock. Returns the set that was replaced, or NULL. */
static struct endpoint_set *rebuild(struct upstream *u) {
    struct set_builder b = {0};
    bool unresolved = false;
    for (uint32_t i = 0; i < u->source_count; i++) {
        struct source *s = &u->source[i];
        bool any = s->count > 0 && has_address(s->endpoint[0]);
        unresolved |= !any;
        for (uint32_t k = 0; any && k < s->count; k++)
            set_add(&b, s->endpoint[k], s->weight);
    }
    struct endpoint_set *before = u->set, *now = set_finish(&b, unresolved, before);
    if (!now)
        return NULL;
    u->set = now;
    publish_each(set_news, u);
    set_vanished(before, now, endpoint_drain);
    return before;
}

/* The same endpoints are spoken to in another way from now on: a thread that does not come by here
 * any more would keep its idle connections. */
static void other_identity(struct upstream *u, uint64_t identity) {
    bool changed = u->set && u->identity != identity;
    u->identity = identity;
    for (uint32_t i = 0; changed && i < u->set->count; i++)
        endpoint_drain(u->set->entry[i].endpoint);
}

void upstream_configure(struct upstream *u, const struct service_conf *conf) {
    uint32_t count = conf->endpoint_count;
    struct source *now = mem_alloc(count * sizeof *now + 1);
    pthread_mutex_lock(&u->lock);
    for (uint32_t i = 0; i < count; i++)
        source_make(u, &now[i], &conf->endpoint[i], conf->discover);
    other_identity(u, service_identity(conf));
    struct source *old = u->source;
    uint32_t old_count = u->source_count;
    u->source = now;
    u->source_count = count;
    struct endpoint_set *before = rebuild(u);
    pthread_mutex_unlock(&u->lock);
    endpoint_set_unref(before);
    sources_free(old, old_count);
}

/* Discovery's results */

static void found_for_name(struct source *s, const struct address *ip, uint32_t count) {
    struct address at[ENDPOINT_ADDRESSES_MAX];
    for (uint32_t i = 0; i < count; i++) {
        at[i] = ip[i];
        address_set_port(&at[i], s->port);
    }
    if (endpoint_set_addresses(s->endpoint[0], at, count))
        endpoint_tell_drain(s->endpoint[0]);
}

static void found_for_each(struct upstream *u, struct source *s, const struct address *ip,
                           uint32_t count) {
    struct endpoint **before = s->endpoint;
    uint32_t before_count = s->count;
    s->endpoint = mem_alloc(count * sizeof(struct endpoint *));
    s->count = count;
    for (uint32_t i = 0; i < count; i++) {
        char text[ADDRESS_TEXT_MAX];
        struct address at = ip[i];
        address_set_port(&at, s->port);
        s->endpoint[i] = endpoint_get(u->name, address_text(&at, text, true));
        endpoint_set_addresses(s->endpoint[i], &at, 1);
    }
    for (uint32_t i = 0; i < before_count; i++)
        endpoint_unref(before[i]);
    mem_free(before);
}

void upstream_found(struct upstream *u, struct span host, const struct address *ip,
                    uint32_t count) {
    must(count > 0 && count <= ENDPOINT_ADDRESSES_MAX);
    pthread_mutex_lock(&u->lock);
    for (uint32_t i = 0; i < u->source_count; i++) {
        struct source *s = &u->source[i];
        if (!span_eq(s->host, host))
            continue;
        if (s->discover)
            found_for_each(u, s, ip, count);
        else
            found_for_name(s, ip, count);
    }
    struct endpoint_set *before = rebuild(u);
    pthread_mutex_unlock(&u->lock);
    endpoint_set_unref(before);
}

void upstream_hosts(struct upstream *u, void (*fn)(void *ctx, struct span host), void *ctx) {
    pthread_mutex_lock(&u->lock);
    for (uint32_t i = 0; !u->closed && i < u->source_count; i++)
        if (u->source[i].host.n)
            fn(ctx, u->source[i].host);
    pthread_mutex_unlock(&u->lock);
}

/* The anchor: what lasts as long as a snapshot names the service */

struct anchor {
    struct upstream *upstream;
};

static void anchor_make(void *obj, struct span key) {
    struct upstream *u = mem_alloc(sizeof *u);
    ((struct anchor *)obj)->upstream = u;
    atomic_init(&u->refs, 1);
    pthread_mutex_init(&u->lock, NULL);
    u->name = span_of(mem_text(key.p, key.n), key.n);
    u->slot = slots_take(&slots, &u->serial);
}

static void anchor_close(void *obj) {
    struct upstream *u = ((struct anchor *)obj)->upstream;
    pthread_mutex_lock(&u->lock);
    u->closed = true;
    publish_each(set_news, u);
    set_vanished(u->set, NULL, endpoint_drain);
    pthread_mutex_unlock(&u->lock);
    slots_give(&slots, u->slot);
    discovery_changed(u);
    upstream_unref(u);
}

static const struct lasting_kind anchor_kind = {
    .name = "service", .size = sizeof(struct anchor), .make = anchor_make, .close = anchor_close};

void upstream_ref(struct upstream *u) {
    atomic_fetch_add(&u->refs, 1);
}

void upstream_unref(struct upstream *u) {
    if (atomic_fetch_sub(&u->refs, 1) != 1)
        return;
    sources_free(u->source, u->source_count);
    endpoint_set_unref(u->set);
    pthread_mutex_destroy(&u->lock);
    mem_free((char *)(uintptr_t)u->name.p);
    mem_free(u);
}

struct upstream *upstream_of(const struct service_conf *s) {
    must(s->lasting);
    return ((struct anchor *)s->lasting)->upstream;
}

struct each {
    void (*fn)(struct upstream *u, void *ctx);
    void *ctx;
};

static void each_anchor(void *obj, void *ctx) {
    struct each *e = ctx;
    e->fn(((struct anchor *)obj)->upstream, e->ctx);
}

void upstream_each(void (*fn)(struct upstream *u, void *ctx), void *ctx) {
    lasting_each(&anchor_kind, each_anchor, &(struct each){fn, ctx});
}

/* Snapshots */

void service_attach_one(struct service_conf *c) {
    c->lasting = lasting_get(&anchor_kind, c->name);
    upstream_configure(upstream_of(c), c);
    discovery_changed(upstream_of(c));
}

void service_detach_one(struct service_conf *c) {
    if (c->lasting)
        lasting_unref(c->lasting);
    c->lasting = NULL;
}

void service_attach(struct snapshot *s) {
    for (uint32_t i = 0; i < s->service_count; i++)
        /* Until it is published the snapshot is its builder's, who may write. */
        service_attach_one((struct service_conf *)(uintptr_t)&s->service[i]);
    discovery_servers(s->dns_server, s->dns_server_count);
}

void service_detach(struct snapshot *s) {
    for (uint32_t i = 0; i < s->service_count; i++)
        service_detach_one((struct service_conf *)(uintptr_t)&s->service[i]);
}
