#include "service/endpoint.h"
#include "core/publish.h"

static const struct endpoint_hooks *hooks;

void endpoint_set_hooks(const struct endpoint_hooks *h) {
    hooks = h;
}

static void endpoint_make(void *obj, struct span key) {
    struct endpoint *e = obj;
    struct span rest = span_of(mem_text(key.p, key.n), key.n);
    e->service = span_split(&rest, '\0');
    e->text = rest;
    pthread_mutex_init(&e->lock, NULL);
}

static void endpoint_close(void *obj) {
    struct endpoint *e = obj;
    must(atomic_load(&e->connections) == 0 && atomic_load(&e->in_flight) == 0);
    pthread_mutex_destroy(&e->lock);
    mem_free(e->address);
    mem_free((char *)(uintptr_t)e->service.p);
}

const struct lasting_kind endpoint_kind = {.name = "endpoint",
                                           .size = sizeof(struct endpoint),
                                           .make = endpoint_make,
                                           .close = endpoint_close};

struct endpoint *endpoint_get(struct span service, struct span text) {
    size_t n = service.n + 1 + text.n;
    struct str key = str_on(mem_alloc(n), n);
    str_add(&key, service);
    str_char(&key, '\0');
    str_add(&key, text);
    struct endpoint *e = lasting_get(&endpoint_kind, str_span(&key));
    mem_free(key.p);
    if (atomic_fetch_add(&e->refs, 1) != 0)
        lasting_unref(e); /* whoever counted up from 0 holds that one */
    return e;
}

void endpoint_unref_last(struct endpoint *e) {
    lasting_unref(e);
}

/* Addresses */

static uint32_t find(const struct address *all, uint32_t count, const struct address *one) {
    uint32_t i = 0;
    while (i < count && !address_eq(&all[i], one))
        i++;
    return i;
}

/* With the lock. Carries over which addresses are used; true when one of those is gone. */
static bool carry_over(struct endpoint *e, struct address *now, uint32_t count) {
    uint64_t used = 0;
    uint32_t current = 0;
    bool gone = false;
    for (uint32_t i = 0; i < e->address_count; i++) {
        uint32_t at = find(now, count, &e->address[i]);
        if (at < count && i == e->current)
            current = at;
        if (e->used >> i & 1) {
            gone |= at == count;
            used |= at < count ? (uint64_t)1 << at : 0;
        }
    }
    e->used = gone ? 0 : used;
    e->current = current;
    return gone;
}

bool endpoint_set_addresses(struct endpoint *e, const struct address *address, uint32_t count) {
    count = count > ENDPOINT_ADDRESSES_MAX ? ENDPOINT_ADDRESSES_MAX : count;
    struct address *now = mem_alloc(count * sizeof *now + 1);
    for (uint32_t i = 0; i < count; i++)
        now[i] = address[i];
    pthread_mutex_lock(&e->lock);
    bool gone = carry_over(e, now, count);
    struct address *before = e->address;
    e->address = now;
    e->address_count = count;
    if (gone)
        atomic_fetch_add(&e->epoch, 1);
    pthread_mutex_unlock(&e->lock);
    mem_free(before);
    return gone;
}

bool endpoint_address(struct endpoint *e, struct address *out, uint32_t *epoch) {
    pthread_mutex_lock(&e->lock);
    bool any = e->address_count > 0;
    if (any) {
        *out = e->address[e->current];
        e->used |= (uint64_t)1 << e->current;
    }
    *epoch = atomic_load(&e->epoch);
    pthread_mutex_unlock(&e->lock);
    return any;
}

bool endpoint_connect_failed(struct endpoint *e, const struct address *tried) {
    atomic_fetch_add_explicit(&e->connect_failures, 1, memory_order_relaxed);
    pthread_mutex_lock(&e->lock);
    /* Another thread may have moved on already: only who failed at the current one moves it. */
    if (e->address_count && address_eq(&e->address[e->current], tried))
        e->current = (e->current + 1) % e->address_count;
    bool other = e->address_count && !address_eq(&e->address[e->current], tried);
    pthread_mutex_unlock(&e->lock);
    return other;
}

/* Messages to threads */

struct endpoint_news {
    struct message message;
    struct endpoint *endpoint; /* a reference */
    void (*tell)(struct thread *, struct endpoint *);
};

static void receive_news(struct message *m) {
    struct endpoint_news *n = container_of(m, struct endpoint_news, message);
    n->tell(thread_me(), n->endpoint);
    endpoint_unref(n->endpoint);
    mem_free(n);
}

struct news_to {
    struct endpoint *endpoint;
    uint64_t mask;
    void (*tell)(struct thread *, struct endpoint *);
};

static struct message *make_news(struct thread *to, void *ctx) {
    struct news_to *w = ctx;
    if (!(w->mask >> (to->index % 64) & 1))
        return NULL;
    struct endpoint_news *n = mem_alloc(sizeof *n);
    endpoint_ref(w->endpoint);
    n->endpoint = w->endpoint;
    n->tell = w->tell;
    n->message.receive = receive_news;
    return &n->message;
}

static void tell(struct endpoint *e, uint64_t mask,
                 void (*fn)(struct thread *, struct endpoint *)) {
    if (fn)
        publish_each(make_news, &(struct news_to){e, mask, fn});
}

void endpoint_tell_drain(struct endpoint *e) {
    if (hooks)
        tell(e, UINT64_MAX, hooks->drain);
}

void endpoint_drain(struct endpoint *e) {
    pthread_mutex_lock(&e->lock);
    e->used = 0;
    atomic_fetch_add(&e->epoch, 1);
    pthread_mutex_unlock(&e->lock);
    endpoint_tell_drain(e);
}

/* Connections, exact over all threads */

static uint64_t my_bit(void) {
    return (uint64_t)1 << (thread_me()->index % 64);
}

static bool take(struct endpoint *e, uint32_t max) {
    uint32_t now = atomic_load(&e->connections);
    do
        if (max && now >= max)
            return false;
    while (!atomic_compare_exchange_weak(&e->connections, &now, now + 1));
    atomic_fetch_add_explicit(&e->connects, 1, memory_order_relaxed);
    return true;
}

/* Asks one thread that may hold an idle connection. Its bit is taken away, so it is asked once. */
static void ask_for_idle(struct endpoint *e) {
    uint64_t idle = atomic_load(&e->idle), others, bit;
    do {
        others = idle & ~my_bit();
        if (!others)
            return;
        bit = others & (~others + 1);
    } while (!atomic_compare_exchange_weak(&e->idle, &idle, idle & ~bit));
    if (hooks)
        tell(e, bit, hooks->connection_wanted);
}

bool endpoint_connection_take(struct endpoint *e, uint32_t max) {
    if (likely(take(e, max)))
        return true;
    /* First the bit, then another look: who gives first counts down, then looks for bits. So either
     * this look finds the room, or the giver finds the bit. */
    atomic_fetch_or(&e->waiting, my_bit());
    if (take(e, max))
        return true; /* the bit may stay: a message too many does no harm */
    ask_for_idle(e);
    return false;
}

void endpoint_connection_give(struct endpoint *e) {
    uint32_t before = atomic_fetch_sub(&e->connections, 1);
    must(before > 0);
    if (likely(!atomic_load(&e->waiting)))
        return;
    uint64_t waiting = atomic_exchange(&e->waiting, 0);
    if (hooks)
        tell(e, waiting, hooks->connection_free);
}

bool endpoint_may_idle(struct endpoint *e) {
    uint64_t bit = my_bit();
    if (!(atomic_load(&e->idle) & bit))
        atomic_fetch_or(&e->idle, bit);
    return !(atomic_load(&e->waiting) & ~bit);
}
