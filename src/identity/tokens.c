#include "identity/tokens.h"
#include "base/env.h"
#include "base/hash.h"

enum { BUCKETS = 8192 /* a power of two */, TAIL = 64 };

struct tokens {
    struct arena_cache *cache;
    struct list ring; /* the hand stands at its head */
    uint32_t count;
    size_t bytes;
    struct token *bucket[BUCKETS];
};

/* The tail is the signature: no two tokens that verify have the same by chance, and nobody can look
 * for some without the key. */
static uint64_t hash_of(uint64_t owner, struct span text) {
    struct {
        uint64_t owner, len;
        char tail[TAIL];
    } key = {.owner = owner, .len = text.n};
    size_t n = text.n < TAIL ? text.n : TAIL;
    memcpy(key.tail, text.p + text.n - n, n);
    return hash_bytes(&key, sizeof key);
}

/* Reads all of both whatever they hold. */
static bool same(struct span a, struct span b) {
    uint64_t differ = 0, x, y;
    size_t i = 0;
    if (a.n != b.n)
        return false;
    for (; i + sizeof x <= a.n; i += sizeof x) {
        memcpy(&x, a.p + i, sizeof x);
        memcpy(&y, b.p + i, sizeof y);
        differ |= x ^ y;
    }
    for (; i < a.n; i++)
        differ |= (unsigned char)(a.p[i] ^ b.p[i]);
    return differ == 0;
}

struct tokens *tokens_create(struct arena_cache *cache) {
    struct tokens *t = mem_alloc(sizeof *t);
    t->cache = cache;
    list_init(&t->ring);
    return t;
}

struct token *token_create(struct tokens *t, struct span text) {
    struct token *k = arena_create(t->cache, sizeof *k, sizeof *k, offsetof(struct token, arena));
    if (!k)
        return NULL;
    k->refs = 1;
    k->text = arena_span(&k->arena, text);
    return k;
}

void token_unref(struct token *k) {
    if (!k || --k->refs)
        return;
    struct arena a = k->arena;
    arena_finish(&a);
}

static struct token **place(struct tokens *t, uint64_t hash) {
    return &t->bucket[hash & (BUCKETS - 1)];
}

struct token *tokens_get(struct tokens *t, uint64_t owner, struct span text) {
    uint64_t hash = hash_of(owner, text);
    for (struct token *k = *place(t, hash); k; k = k->next)
        if (k->hash == hash && k->owner == owner && same(k->text, text)) {
            k->asked = true;
            return k;
        }
    return NULL;
}

void tokens_drop(struct tokens *t, struct token *k) {
    struct token **at = place(t, k->hash);
    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    list_remove(&k->node);
    t->count--;
    t->bytes -= k->arena.used;
    token_unref(k);
}

/* A second chance for what was asked for since the last time. */
static void evict(struct tokens *t) {
    struct token *k;
    while ((k = container_of(t->ring.next, struct token, node))->asked) {
        k->asked = false;
        list_remove(&k->node);
        list_append(&t->ring, &k->node);
    }
    tokens_drop(t, k);
}

void tokens_put(struct tokens *t, struct token *k) {
    size_t bytes = k->arena.used;
    must(!k->node.next);
    if (bytes > TOKENS_BYTES_MAX / 16)
        return;
    while (t->count && (t->count >= TOKENS_MAX || t->bytes + bytes > TOKENS_BYTES_MAX))
        evict(t);
    k->hash = hash_of(k->owner, k->text);
    struct token **at = place(t, k->hash);
    k->next = *at;
    *at = k;
    list_append(&t->ring, &k->node);
    t->count++;
    t->bytes += bytes;
    token_ref(k);
}

void tokens_destroy(struct tokens *t) {
    while (t && t->count)
        tokens_drop(t, container_of(t->ring.next, struct token, node));
    mem_free(t);
}

uint32_t tokens_count(const struct tokens *t) {
    return t->count;
}

size_t tokens_bytes(const struct tokens *t) {
    return t->bytes;
}
