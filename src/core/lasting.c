#include "core/lasting.h"
#include "base/env.h"
#include "base/list.h"
#include <pthread.h>

/* Stands before every object. */
struct lasting {
    _Alignas(16) struct list node; /* in its bucket */
    const struct lasting_kind *kind;
    size_t refs;
    uint64_t hash;
    struct span key;
};

/* A table of lists that doubles: it is only walked at a reload, so one lock is enough. */
static struct {
    pthread_mutex_t lock;
    struct list *bucket;
    size_t count, size; /* size: 0 or a power of two */
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct lasting *head_of(const void *obj) {
    return (struct lasting *)((uintptr_t)obj - sizeof(struct lasting));
}
static void *object_of(struct lasting *l) {
    return l + 1;
}
static void lock(void) {
    pthread_mutex_lock(&registry.lock);
}
static void unlock(void) {
    pthread_mutex_unlock(&registry.lock);
}

/* FNV-1a: the keys are names of the configuration, not of a peer. */
static uint64_t hash_of(const struct lasting_kind *kind, struct span key) {
    uint64_t h = 14695981039346656037u ^ (uintptr_t)kind;
    for (size_t i = 0; i < key.n; i++)
        h = (h ^ (unsigned char)key.p[i]) * 1099511628211u;
    return h ^ h >> 29;
}

static void resize(size_t size) {
    struct list *bucket = mem_alloc(size * sizeof *bucket);
    for (size_t i = 0; i < size; i++)
        list_init(&bucket[i]);
    for (size_t i = 0; i < registry.size; i++)
        for (struct list *n; (n = list_shift(&registry.bucket[i]));)
            list_append(&bucket[container_of(n, struct lasting, node)->hash & (size - 1)], n);
    mem_free(registry.bucket);
    registry.bucket = bucket;
    registry.size = size;
}

static struct lasting *find(const struct lasting_kind *kind, struct span key, uint64_t hash) {
    if (!registry.size)
        return NULL;
    struct list *head = &registry.bucket[hash & (registry.size - 1)];
    for (struct list *n = head->next; n != head; n = n->next) {
        struct lasting *l = container_of(n, struct lasting, node);
        if (l->hash == hash && l->kind == kind && span_eq(l->key, key))
            return l;
    }
    return NULL;
}

static struct lasting *make(const struct lasting_kind *kind, struct span key, uint64_t hash) {
    if (registry.count >= registry.size)
        resize(registry.size ? registry.size * 2 : 64);
    struct lasting *l = mem_alloc(sizeof *l + kind->size);
    l->kind = kind;
    l->hash = hash;
    l->key = span_of(mem_text(key.p, key.n), key.n);
    list_append(&registry.bucket[hash & (registry.size - 1)], &l->node);
    registry.count++;
    if (kind->make)
        kind->make(object_of(l), l->key);
    return l;
}

void *lasting_get(const struct lasting_kind *kind, struct span key) {
    uint64_t hash = hash_of(kind, key);
    lock();
    struct lasting *l = find(kind, key, hash);
    if (!l)
        l = make(kind, key, hash);
    l->refs++;
    unlock();
    return object_of(l);
}

void lasting_ref(void *obj) {
    lock();
    must(head_of(obj)->refs > 0);
    head_of(obj)->refs++;
    unlock();
}

/* Out of the registry first, so that a new object of this key may be made while this one closes. */
void lasting_unref(void *obj) {
    if (!obj)
        return;
    struct lasting *l = head_of(obj);
    lock();
    must(l->refs > 0);
    bool last = --l->refs == 0;
    if (last) {
        list_remove(&l->node);
        if (--registry.count == 0) {
            mem_free(registry.bucket);
            registry.bucket = NULL;
            registry.size = 0;
        }
    }
    unlock();
    if (!last)
        return;
    if (l->kind->close)
        l->kind->close(obj);
    mem_free((void *)(uintptr_t)l->key.p);
    mem_free(l);
}

struct span lasting_key(const void *obj) {
    return head_of(obj)->key;
}

void lasting_each(const struct lasting_kind *kind, void (*fn)(void *obj, void *ctx), void *ctx) {
    lock();
    for (size_t i = 0; i < registry.size; i++) {
        struct list *head = &registry.bucket[i];
        for (struct list *n = head->next; n != head; n = n->next) {
            struct lasting *l = container_of(n, struct lasting, node);
            if (l->kind == kind)
                fn(object_of(l), ctx);
        }
    }
    unlock();
}
