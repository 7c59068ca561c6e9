#include "service/upstream.h"
#include <stdlib.h>

/* Weights are brought down until a round has about this many turns. */
enum { TURNS_MAX = 4096 };

void set_add(struct set_builder *b, struct endpoint *e, uint32_t weight) {
    if (b->count == b->cap) {
        uint32_t cap = b->cap ? b->cap * 2 : 8;
        b->entry = mem_realloc(b->entry, b->cap * sizeof *b->entry, cap * sizeof *b->entry);
        b->cap = cap;
    }
    endpoint_ref(e);
    b->entry[b->count++] = (struct endpoint_entry){e, weight ? weight : 1};
}

static int by_address(const void *a, const void *b) {
    uintptr_t x = (uintptr_t)((const struct endpoint_entry *)a)->endpoint;
    uintptr_t y = (uintptr_t)((const struct endpoint_entry *)b)->endpoint;
    return x < y ? -1 : x > y;
}

static struct endpoint_entry *sorted(const struct endpoint_entry *entry, uint32_t count) {
    struct endpoint_entry *all = mem_alloc(count * sizeof *all + 1);
    for (uint32_t i = 0; i < count; i++)
        all[i] = entry[i];
    qsort(all, count, sizeof *all, by_address);
    return all;
}

/* Adds up the weights of equal neighbours; returns how many are left. */
static uint32_t merge(struct endpoint_entry *all, uint32_t count) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (n && all[n - 1].endpoint == all[i].endpoint)
            all[n - 1].weight += all[i].weight;
        else
            all[n++] = all[i];
    }
    return n;
}

/* Keeps the first of each endpoint, at its place, with the weight of all. */
static void unite(struct set_builder *b) {
    struct endpoint_entry *all = sorted(b->entry, b->count);
    uint32_t different = merge(all, b->count), n = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        struct endpoint *e = b->entry[i].endpoint;
        struct endpoint_entry *sum = bsearch(&b->entry[i], all, different, sizeof *all, by_address);
        must(sum);
        if (sum->weight)
            b->entry[n++] = (struct endpoint_entry){e, sum->weight};
        else
            endpoint_unref(e);
        sum->weight = 0; /* its place is taken */
    }
    b->count = n;
    mem_free(all);
}

static bool same(const struct set_builder *b, bool unresolved, const struct endpoint_set *set) {
    if (!set || set->unresolved != unresolved || set->count != b->count)
        return false;
    for (uint32_t i = 0; i < b->count; i++)
        if (set->entry[i].endpoint != b->entry[i].endpoint ||
            set->entry[i].weight != b->entry[i].weight)
            return false;
    return true;
}

static uint32_t gcd(uint32_t a, uint32_t b) {
    while (b) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

struct share { /* how often each has its turn */
    uint32_t divisor;
    uint64_t sum;
};

static uint32_t turns_of(const struct share *s, uint32_t weight) {
    weight /= s->divisor;
    if (s->sum <= TURNS_MAX)
        return weight;
    uint64_t n = (uint64_t)weight * TURNS_MAX / s->sum;
    return n ? (uint32_t)n : 1;
}

static struct share share_out(const struct endpoint_set *set) {
    struct share s = {0};
    for (uint32_t i = 0; i < set->count; i++)
        s.divisor = gcd(s.divisor, set->entry[i].weight);
    must(s.divisor || !set->count); /* weights are 1 or more */
    for (uint32_t i = 0; i < set->count; i++)
        s.sum += set->entry[i].weight / s.divisor;
    return s;
}

struct turn {
    uint64_t at; /* in the round, 0..2^32 */
    uint32_t entry;
};

static int by_time(const void *a, const void *b) {
    const struct turn *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->entry < y->entry ? -1 : x->entry > y->entry;
}

/* Where in its share of the round an endpoint's turns stand, as a part of 2^32: golden steps, which
 * never come close to each other, or the turns of several light ones would fall on one place. */
static uint64_t phase(uint32_t entry, bool weighted) {
    return weighted ? (uint32_t)((entry + 1) * UINT32_C(2654435769)) : 0;
}

/* Each endpoint's turns stand evenly over the round; sorted by time they are well mixed. */
static void make_turns(struct endpoint_set *set) {
    struct share share = share_out(set);
    size_t total = 0, at = 0;
    for (uint32_t i = 0; i < set->count; i++)
        total += turns_of(&share, set->entry[i].weight);
    struct turn *turn = mem_alloc(total * sizeof *turn + 1);
    for (uint32_t i = 0; i < set->count; i++) {
        uint64_t n = turns_of(&share, set->entry[i].weight);
        for (uint64_t k = 0; k < n; k++)
            turn[at++] = (struct turn){((k << 32) + phase(i, total > set->count)) / n, i};
    }
    qsort(turn, total, sizeof *turn, by_time);
    uint32_t *order = mem_alloc(total * sizeof *order + 1);
    for (size_t i = 0; i < total; i++)
        order[i] = turn[i].entry;
    mem_free(turn);
    set->turn = order;
    set->turn_count = (uint32_t)total;
}

struct endpoint_set *set_finish(struct set_builder *b, bool unresolved,
                                const struct endpoint_set *before) {
    unite(b);
    struct endpoint_set *set = NULL;
    if (!same(b, unresolved, before)) {
        set = mem_alloc(sizeof *set + b->count * sizeof *b->entry);
        atomic_init(&set->refs, 1);
        set->version = before ? before->version + 1 : 1;
        set->unresolved = unresolved;
        set->count = b->count;
        for (uint32_t i = 0; i < b->count; i++)
            set->entry[i] = b->entry[i];
        make_turns(set);
    } else {
        for (uint32_t i = 0; i < b->count; i++)
            endpoint_unref(b->entry[i].endpoint);
    }
    mem_free(b->entry);
    *b = (struct set_builder){0};
    return set;
}

void endpoint_set_unref(struct endpoint_set *set) {
    if (!set || atomic_fetch_sub(&set->refs, 1) != 1)
        return;
    for (uint32_t i = 0; i < set->count; i++)
        endpoint_unref(set->entry[i].endpoint);
    mem_free((uint32_t *)(uintptr_t)set->turn);
    mem_free(set);
}

void set_vanished(const struct endpoint_set *before, const struct endpoint_set *now,
                  void (*fn)(struct endpoint *)) {
    uint32_t count = now ? now->count : 0;
    struct endpoint_entry *all = sorted(now ? now->entry : NULL, count);
    for (uint32_t i = 0; before && i < before->count; i++)
        if (!bsearch(&before->entry[i], all, count, sizeof *all, by_address))
            fn(before->entry[i].endpoint);
    mem_free(all);
}
