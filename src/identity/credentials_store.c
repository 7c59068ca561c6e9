#include "base/hash.h"
#include "core/call.h"
#include "identity/credentials.h"
#include <openssl/crypto.h>

/* What one thread remembers of tokens. */

enum { BUCKETS = 512 };

struct grants {
    struct list lru, calls; /* calls: the fetches' ops; nobody else owns them */
    struct list bucket[BUCKETS];
    unsigned count;
};

struct list *grants_calls(struct grants *all) {
    return &all->calls;
}

struct grants *grants_of(struct thread *t) {
    struct grants *all = t->local[LOCAL_CREDENTIALS];
    if (all)
        return all;
    t->local[LOCAL_CREDENTIALS] = all = mem_alloc(sizeof *all);
    list_init(&all->lru);
    list_init(&all->calls);
    for (unsigned i = 0; i < BUCKETS; i++)
        list_init(&all->bucket[i]);
    return all;
}

static void forget_value(struct grant *k) {
    char *p = (char *)(uintptr_t)k->value.p;
    if (p)
        OPENSSL_cleanse(p, k->value.n);
    mem_free(p);
    k->value = SPAN_NONE;
}

static void drop(struct grants *all, struct grant *k) {
    list_remove(&k->lru);
    list_remove(&k->bucket);
    forget_value(k);
    mem_free(k);
    all->count--;
}

/* The oldest that nobody waits for. False: there is none. */
static bool make_room(struct grants *all) {
    for (struct list *n = all->lru.next; n != &all->lru; n = n->next) {
        struct grant *k = container_of(n, struct grant, lru);
        if (!k->call && !list_linked(&k->waiters)) {
            drop(all, k);
            return true;
        }
    }
    return false;
}

struct grant *grant_get(struct grants *all, const unsigned char key[SHA256_SIZE]) {
    struct list *bucket = &all->bucket[hash_bytes(key, SHA256_SIZE) % BUCKETS];
    struct grant *k = NULL;
    for (struct list *n = bucket->next; n != bucket && !k; n = n->next) {
        struct grant *one = container_of(n, struct grant, bucket);
        if (CRYPTO_memcmp(one->key, key, SHA256_SIZE) == 0)
            k = one;
    }
    if (!k) {
        if (all->count == CREDENTIALS_TOKENS_MAX && !make_room(all))
            return NULL;
        k = mem_alloc(sizeof *k);
        memcpy(k->key, key, SHA256_SIZE);
        list_init(&k->waiters);
        list_append(bucket, &k->bucket);
        all->count++;
    } else {
        list_remove(&k->lru);
    }
    list_append(&all->lru, &k->lru);
    return k;
}

/* Renewed after three quarters of its life, and not used to its last second: it must still be good
 * when the service looks at it. */
void grant_keep(struct grant *k, struct span value, uint64_t life_ms) {
    uint64_t now = me->now, life = life_ms * 1000000, margin = life / 10;
    uint64_t most = (uint64_t)10 * 1000000000;
    char *copy = mem_try(value.n);
    if (!copy)
        return;
    memcpy(copy, value.p, value.n);
    forget_value(k);
    k->value = span_of(copy, value.n);
    k->until = now + life - (margin < most ? margin : most);
    k->renew = now + life / 4 * 3;
    k->pause = 0;
    k->fails = 0;
    k->fault = FAULT_NONE;
}

void grants_thread_finish(struct thread *t) {
    struct grants *all = t->local[LOCAL_CREDENTIALS];
    if (!all)
        return;
    ops_cancel(&all->calls);
    for (struct list *n; (n = list_shift(&all->lru));)
        drop(all, container_of(n, struct grant, lru));
    mem_free(all);
    t->local[LOCAL_CREDENTIALS] = NULL;
}
