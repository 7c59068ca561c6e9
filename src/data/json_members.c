#include "data/json_members.h"
#include "base/env.h"
#include "base/hash.h"

/* Small objects, nearly all, compare a name with those before it, and only where one bit out of 64
 * that is made of length and first bytes was seen already. Larger ones have a table with a keyed
 * hash, so nobody can choose names that meet in it. */
enum { SMALL = 16 };

struct names {
    struct value_member *m;
    uint32_t count;  /* kept so far: m[0..count) */
    uint32_t *table; /* index + 1; 0: free */
    uint64_t mask;   /* of the table, or the bits seen */
};

static inline bool same(const struct value *x, const struct value *y) {
    return x->n == y->n && memcmp(x->p, y->p, x->n) == 0;
}

static inline uint64_t bit_of(const struct value *key) {
    uint64_t v = key->n;
    if (key->n)
        v += (unsigned char)key->p[0] * 7u + (unsigned char)key->p[key->n - 1] * 31u +
             (unsigned char)key->p[key->n / 2] * 3u;
    return (uint64_t)1 << (v & 63);
}

static struct value_member *find_small(struct names *s, const struct value *key) {
    uint64_t bit = bit_of(key);
    if (s->mask & bit)
        for (uint32_t i = 0; i < s->count; i++)
            if (same(&s->m[i].key, key))
                return &s->m[i];
    s->mask |= bit;
    return NULL;
}

/* If it is not there yet, it will be the next one kept. */
static struct value_member *find_hashed(struct names *s, const struct value *key) {
    uint64_t at = hash_span(value_span(key)) & s->mask;
    for (; s->table[at]; at = (at + 1) & s->mask)
        if (same(&s->m[s->table[at] - 1].key, key))
            return &s->m[s->table[at] - 1];
    s->table[at] = s->count + 1;
    return NULL;
}

static void look(struct names *s, uint32_t n, const struct value_member **twice) {
    for (uint32_t i = 0; i < n; i++) {
        struct value_member *m = &s->m[i];
        struct value_member *before = s->table ? find_hashed(s, &m->key) : find_small(s, &m->key);
        if (before && twice) {
            *twice = m;
            return;
        }
        if (before)
            before->value = m->value;
        else
            s->m[s->count++] = *m;
    }
}

bool json_members(struct value_member *m, uint32_t *n, const struct value_member **twice) {
    struct names s = {.m = m};
    if (*n > SMALL) {
        uint64_t cap = (uint64_t)1 << (33 - __builtin_clz(*n)); /* at most half full */
        s.table = mem_try(cap * sizeof *s.table);
        if (!s.table)
            return false;
        memset(s.table, 0, cap * sizeof *s.table);
        s.mask = cap - 1;
    }
    look(&s, *n, twice);
    *n = s.count;
    mem_free(s.table);
    return true;
}
