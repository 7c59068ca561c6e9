#include "service/balance.h"

static bool tried(const struct balance_avoid *avoid, const struct endpoint *e) {
    for (unsigned i = 0; avoid && i < avoid->count; i++)
        if (avoid->tried[i] == e)
            return true;
    return false;
}

/* The next of the round that was not tried. */
static const struct endpoint_entry *next(struct service_local *l,
                                         const struct balance_avoid *avoid) {
    const struct endpoint_set *set = l->set;
    for (uint32_t i = 0; i < set->turn_count; i++) {
        uint32_t place = l->place;
        l->place = place + 1 < set->turn_count ? place + 1 : 0;
        const struct endpoint_entry *found = &set->entry[set->turn[place]];
        if (likely(!tried(avoid, found->endpoint)))
            return found;
    }
    return NULL;
}

/* Fewer requests for its weight: strictly, so a tie keeps who came first. */
static bool less_busy(const struct endpoint_entry *a, const struct endpoint_entry *b) {
    uint64_t x = atomic_load_explicit(&a->endpoint->in_flight, memory_order_relaxed);
    uint64_t y = atomic_load_explicit(&b->endpoint->in_flight, memory_order_relaxed);
    return x * b->weight < y * a->weight;
}

static const struct endpoint_entry *best_of_all(struct service_local *l,
                                                const struct endpoint_entry *best,
                                                const struct balance_avoid *avoid) {
    const struct endpoint_set *set = l->set;
    for (uint32_t i = 0; i < set->count; i++)
        if (less_busy(&set->entry[i], best) && !tried(avoid, set->entry[i].endpoint))
            best = &set->entry[i];
    return best;
}

static uint64_t draw(struct service_local *l) { /* splitmix64 */
    uint64_t z = l->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static const struct endpoint_entry *better_of_two(struct service_local *l,
                                                  const struct endpoint_entry *one,
                                                  const struct balance_avoid *avoid) {
    const struct endpoint_set *set = l->set;
    uint32_t place = (uint32_t)((draw(l) >> 32) * set->turn_count >> 32);
    const struct endpoint_entry *two = &set->entry[set->turn[place]];
    return less_busy(two, one) && !tried(avoid, two->endpoint) ? two : one;
}

static const struct endpoint_entry *choose(struct service_local *l, enum balance how,
                                           const struct balance_avoid *avoid) {
    const struct endpoint_entry *e = next(l, avoid);
    if (!e || l->set->count == 1 || how == BALANCE_ROUND_ROBIN)
        return e;
    return l->set->count <= BALANCE_COMPARE_ALL ? best_of_all(l, e, avoid)
                                                : better_of_two(l, e, avoid);
}

struct endpoint *balance_pick(struct thread *t, const struct service_conf *s,
                              const struct balance_avoid *avoid, enum fault *why) {
    struct service_local *l = service_local(t, s);
    const struct endpoint_entry *e = choose(l, s->balance, avoid);
    if (!e) {
        bool no_name = l->set->count == 0 && l->set->unresolved;
        *why = no_name ? FAULT_DNS_FAILED : FAULT_NO_ENDPOINT;
        return NULL;
    }
    endpoint_ref(e->endpoint);
    return e->endpoint;
}
