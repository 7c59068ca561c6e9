#include "core/targets.h"
#include "core/facts.h"
#include "core/thread.h"

enum { KEY_MAX = 4096 };

#define GOLDEN 0x9e3779b97f4a7c15ull

/* Splitmix64's finish: spreads what little differs over all bits. */
static uint64_t mix(uint64_t v) {
    v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9ull;
    v = (v ^ v >> 27) * 0x94d049bb133111ebull;
    return v ^ v >> 31;
}

/* FNV-1a, the same on every machine: no process key, for several gateways must agree. */
static uint64_t hash(uint64_t h, struct span s) {
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3ull;
    return h;
}

/* -ln(u) for u = (v + 1/2) / 2^53, without libm: m in [0.7, 1.4), and the series of atanh. */
static double minus_log(uint64_t v) {
    double u = ((double)(v >> 11) + 0.5) * 0x1p-53, exponent = 0;
    while (u < 0.70710678118654752) {
        u *= 2;
        exponent += 1;
    }
    double s = (u - 1) / (u + 1), s2 = s * s, sum = 0;
    for (int i = 19; i > 0; i -= 2)
        sum = sum * s2 + 1.0 / i;
    return exponent * 0.69314718055994531 - 2 * s * sum;
}

/* Weighted rendezvous: each target draws -ln(u)/weight for the key, the least wins. Its share is
 * its weight, and a change of one weight moves keys only to or from that target. */
const struct target *targets_by_key(const struct forward_conf *c, struct span key) {
    const struct target *best = &c->target[0];
    double least = 0;
    uint64_t h = hash(0xcbf29ce484222325ull, key);
    bool none = true;
    for (uint32_t i = 0; i < c->target_count; i++) {
        const struct target *t = &c->target[i];
        double draw = minus_log(mix(hash(mix(h), t->service->name)));
        if (t->weight == 0 || (!none && draw / t->weight >= least))
            continue;
        least = draw / t->weight;
        best = t;
        none = false;
    }
    return best;
}

/* Multiples of the golden ratio fall evenly into [0, 1), so a target of weight 5 in 100 comes every
 * 20th time or so, never in a row. */
static const struct target *by_turn(const struct exchange *x, const struct forward_conf *c) {
    uint64_t turn = (x->thread->request_seq + x->thread->index * 7919ull) * GOLDEN;
    uint64_t point = (uint64_t)((unsigned __int128)turn * c->weight_sum >> 64);
    uint32_t i = 0;
    while (i + 1 < c->target_count && point >= c->target[i].weight)
        point -= c->target[i++].weight;
    return &c->target[i];
}

/* The first whose `when` is true; one that fails is false. */
static const struct target *by_condition(struct exchange *x, const struct forward_conf *c) {
    for (uint32_t i = 0; i < c->target_count; i++)
        if (c->target[i].when && facts_test(x, c->target[i].when) == EXPR_TRUE)
            return &c->target[i];
    return NULL;
}

const struct target *targets_choose(struct exchange *x, const struct forward_conf *c) {
    struct span key = SPAN_NONE;
    const struct target *first = unlikely(c->conditional) ? by_condition(x, c) : NULL;
    if (first)
        return first;
    if (c->target_count == 1)
        return &c->target[0];
    if (c->sticky) {
        struct template_values v = facts_values(x);
        if (!template_eval(c->sticky, &x->arena, &v, KEY_MAX, &key))
            key = SPAN_NONE;
    }
    return key.n ? targets_by_key(c, key) : by_turn(x, c);
}
