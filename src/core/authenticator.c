#include "core/authenticator.h"
#include "base/hash.h"
#include <openssl/crypto.h>

/* Where a credential leads: one slot of an open table. */
struct slot {
    struct span key; /* NULL: free */
    const struct consumer *consumer;
    const void *part; /* struct consumer_key, struct consumer_signing; or NULL */
    struct where where;
};

struct table {
    struct slot *slot;
    size_t mask;
};

enum { BY_NAME, BY_KEY, BY_SUBJECT, BY_SIGNING, TABLES };

struct consumer_index {
    struct table table[TABLES];
};

static const char *const what[TABLES] = {"name", "key", "certificate", "signature key"};

static struct table table_for(struct arena *a, size_t entries) {
    size_t cap = 8;
    while (cap < entries * 2)
        cap *= 2;
    return (struct table){arena_zero(a, cap * sizeof(struct slot)), cap - 1};
}

/* Secrets' hashes are compared in constant time; what a slot's neighbours tell is the place of a
 * keyed hash, which nobody outside knows. */
static struct slot *find(const struct table *t, struct span key) {
    for (size_t i = hash_span(key);; i++) {
        struct slot *s = &t->slot[i & t->mask];
        if (!s->key.p || (s->key.n == key.n && CRYPTO_memcmp(s->key.p, key.p, key.n) == 0))
            return s;
    }
}

struct indexing {
    struct consumer_index *index;
    consumer_twice twice;
    void *ctx;
};

static void put(const struct indexing *in, int table, const struct slot *s) {
    struct slot *at = find(&in->index->table[table], s->key);
    if (!at->key.p)
        *at = *s;
    else
        in->twice(in->ctx, what[table], at->where, s->where);
}

static void put_consumer(const struct indexing *in, const struct consumer *c) {
    put(in, BY_NAME, &(struct slot){c->name, c, NULL, c->where});
    for (uint32_t i = 0; i < c->key_count; i++) {
        const struct consumer_key *k = &c->key[i];
        struct span hash = span_of((const char *)k->hash, sizeof k->hash);
        put(in, BY_KEY, &(struct slot){hash, c, k, k->where});
    }
    for (uint32_t i = 0; i < c->subject_count; i++)
        put(in, BY_SUBJECT, &(struct slot){c->subject[i], c, NULL, c->where});
    for (uint32_t i = 0; i < c->signing_count; i++) {
        const struct consumer_signing *k = &c->signing[i];
        put(in, BY_SIGNING, &(struct slot){k->id, c, k, k->where});
    }
}

void consumers_index(struct snapshot *s, consumer_twice twice, void *ctx) {
    size_t n[TABLES] = {s->consumer_count};
    for (uint32_t i = 0; i < s->consumer_count; i++) {
        n[BY_KEY] += s->consumer[i].key_count;
        n[BY_SUBJECT] += s->consumer[i].subject_count;
        n[BY_SIGNING] += s->consumer[i].signing_count;
    }
    struct consumer_index *index = arena_zero(&s->arena, sizeof *index);
    for (int i = 0; i < TABLES; i++)
        index->table[i] = table_for(&s->arena, n[i]);
    struct indexing in = {index, twice, ctx};
    for (uint32_t i = 0; i < s->consumer_count; i++)
        put_consumer(&in, &s->consumer[i]);
    s->consumers = index;
}

static const struct consumer *look(const struct snapshot *s, int table, struct span key,
                                   const void **part) {
    if (!s->consumers || !key.p)
        return NULL;
    const struct slot *at = find(&s->consumers->table[table], key);
    if (part)
        *part = at->part;
    return at->consumer;
}

const struct consumer *consumer_by_key(const struct snapshot *s, const unsigned char hash[32],
                                       const struct consumer_key **key) {
    const void *part = NULL;
    const struct consumer *c = look(s, BY_KEY, span_of((const char *)hash, 32), &part);
    *key = part;
    return c;
}

const struct consumer *consumer_by_name(const struct snapshot *s, struct span name) {
    return look(s, BY_NAME, name, NULL);
}

const struct consumer *consumer_by_subject(const struct snapshot *s, struct span subject) {
    return look(s, BY_SUBJECT, subject, NULL);
}

const struct consumer *consumer_by_signing(const struct snapshot *s, struct span id,
                                           const struct consumer_signing **key) {
    const void *part = NULL;
    const struct consumer *c = look(s, BY_SIGNING, id, &part);
    *key = part;
    return c;
}

void caller_of_consumer(struct caller *out, const struct consumer *c) {
    out->name = c->name;
    out->plan = c->plan;
    out->group = c->group;
    out->group_count = c->group_count;
    out->tags = c->tags;
    if (out->claims.kind == VALUE_NULL)
        out->claims = c->claims;
}

const struct authenticator *authenticator_of(const struct snapshot *s, struct span name) {
    for (uint32_t i = 0; i < s->authenticator_count; i++)
        if (span_eq(s->authenticator[i].name, name))
            return &s->authenticator[i];
    return NULL;
}
