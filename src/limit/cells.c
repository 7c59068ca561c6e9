#include "limit/cells.h"
#include "base/env.h"
#include "core/lasting.h"
#include <pthread.h>
#include <stdatomic.h>

enum { WAYS = 4 };

struct cell {
    _Alignas(16) uint64_t tag; /* 0: free */
    uint64_t value;
};
struct bucket {
    _Alignas(64) struct cell cell[WAYS];
};
struct cells {
    struct bucket *bucket;
    uint32_t mask;
    size_t bytes;
};

/* ---- cells change whole ---- */

typedef unsigned __int128 whole;

static uint64_t load(const uint64_t *p) {
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static bool swap(struct cell *c, struct cell from, struct cell to) {
    whole a, b;
    memcpy(&a, &from, sizeof a);
    memcpy(&b, &to, sizeof b);
    return __sync_bool_compare_and_swap((whole *)(void *)c, a, b);
}

/* Both words at one moment; a busy cell is read again. */
static struct cell read_cell(const struct cell *c) {
    struct cell now;
    do {
        now.tag = load(&c->tag);
        now.value = load(&c->value);
    } while (unlikely(load(&c->tag) != now.tag));
    return now;
}

/* ---- tables ---- */

static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;

static void close_cells(void *obj) {
    struct cells *t = obj;
    mem_unmap(t->bucket, t->bytes);
}

static const struct lasting_kind kind = {
    .name = "limit cells", .size = sizeof(struct cells), .close = close_cells};

struct cells *cells_get(struct span name, uint32_t keys) {
    struct cells *t = lasting_get(&kind, name);
    pthread_mutex_lock(&making);
    if (!t->bucket) {
        uint32_t n = 1;
        while (n * WAYS < keys && n < 1u << 26)
            n *= 2;
        t->bytes = n * sizeof *t->bucket;
        t->bucket = mem_map(t->bytes);
        t->mask = n - 1;
    }
    pthread_mutex_unlock(&making);
    return t;
}

void cells_unref(struct cells *t) {
    lasting_unref(t);
}

uint32_t cells_size(const struct cells *t) {
    return (t->mask + 1) * WAYS;
}

/* ---- keys ---- */

static struct bucket *bucket_of(const struct cells *t, uint64_t hash) {
    return &t->bucket[(hash >> 32) & t->mask];
}
static uint64_t tag_of(uint64_t hash) {
    return hash ? hash : 1;
}

struct place { /* of a key in its bucket: its own cell, else the one that owes least */
    struct cell *at;
    struct cell found;
    bool own;
    uint64_t owes;
};

static void look(struct bucket *b, const struct cell_change *c, struct place *out) {
    out->at = NULL;
    for (unsigned i = 0; i < WAYS; i++) {
        struct cell now = read_cell(&b->cell[i]);
        if (now.tag == tag_of(c->hash)) {
            *out = (struct place){&b->cell[i], now, true, 0};
            return;
        }
        uint64_t owes = now.tag ? c->rule->owes(c->rule->rule, now.value, c->now) : 0;
        if (!out->at || owes < out->owes)
            *out = (struct place){&b->cell[i], now, false, owes};
    }
}

/* Two threads may have given the same new key two cells: the first one keeps all. */
static void join(struct bucket *b, const struct cell_change *c) {
    struct cell *first = NULL, *second = NULL;
    for (unsigned i = 0; i < WAYS && !second; i++)
        if (load(&b->cell[i].tag) == tag_of(c->hash))
            *(first ? &second : &first) = &b->cell[i];
    if (!second)
        return;
    struct cell gone;
    do {
        gone = read_cell(second);
        if (gone.tag != tag_of(c->hash))
            return;
    } while (!swap(second, gone, (struct cell){0, 0}));
    struct cell old;
    do {
        old = read_cell(first);
        if (old.tag != tag_of(c->hash))
            return; /* it was evicted meanwhile: its heir owes at least as much */
    } while (
        !swap(first, old,
              (struct cell){old.tag, c->rule->join(c->rule->rule, old.value, gone.value, c->now)}));
}

bool cells_change(struct cells *t, struct cell_change *c) {
    struct bucket *b = bucket_of(t, c->hash);
    struct place p;
    uint64_t next;
    do {
        look(b, c, &p);
        if (!c->change(c, p.own || p.owes ? p.found.value : 0, &next))
            return false;
    } while (unlikely(!swap(p.at, p.found, (struct cell){tag_of(c->hash), next})));
    if (unlikely(!p.own)) {
        c->inherited = p.owes > 0;
        join(b, c);
    }
    return true;
}

bool cells_forget(struct cells *t, uint64_t hash) {
    struct bucket *b = bucket_of(t, hash);
    for (unsigned i = 0; i < WAYS; i++) {
        struct cell now = read_cell(&b->cell[i]);
        while (now.tag == tag_of(hash)) {
            if (swap(&b->cell[i], now, (struct cell){0, 0}))
                return true;
            now = read_cell(&b->cell[i]);
        }
    }
    return false;
}

struct walk {
    struct span prefix;
    void (*fn)(struct cells *t, void *ctx);
    void *ctx;
};

static void one(void *obj, void *ctx) {
    struct walk *w = ctx;
    struct cells *t = obj;
    if (t->bucket && span_starts(lasting_key(t), w->prefix))
        w->fn(t, w->ctx);
}

void cells_each(struct span prefix, void (*fn)(struct cells *t, void *ctx), void *ctx) {
    struct walk w = {prefix, fn, ctx};
    lasting_each(&kind, one, &w);
}
