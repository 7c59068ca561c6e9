#include "limit/cells.h"
#include "base/env.h"
#include "core/lasting.h"
#include <pthread.h>
#include <stdatomic.h>

enum { WAYS = 4, BUCKETS_MAX = 1 << 24 };
static const uint64_t second = 1000000000;

struct cell {
    _Alignas(16) uint64_t tag; /* 0: free */
    uint64_t value;
};
struct bucket {
    _Alignas(64) struct cell cell[WAYS];
};
struct table {
    struct bucket *bucket;
    size_t bytes;
    uint32_t mask;
    struct table *older; /* smaller, empty: somebody may still look into it */
};
struct cells {
    _Atomic(struct table *) table;
    uint64_t epoch;
};

/* ---- cells change whole -----------------------------------------------------------------------
 */

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

/* Both words at one moment, as far as two loads can tell: what is written is verified by the swap.
 * A busy cell is read again. */
static struct cell read_cell(const struct cell *c) {
    struct cell now;
    do {
        now.tag = load(&c->tag);
        now.value = load(&c->value);
    } while (unlikely(load(&c->tag) != now.tag));
    return now;
}

/* ---- tables -----------------------------------------------------------------------------------
 */

static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;

static struct table *table_of(const struct cells *t) {
    return atomic_load_explicit(&t->table, memory_order_acquire);
}

static struct table *make_table(uint32_t keys, struct table *older) {
    struct table *t = mem_alloc(sizeof *t);
    uint32_t n = 1;
    while (n * WAYS < keys && n < BUCKETS_MAX)
        n *= 2;
    t->bytes = n * sizeof *t->bucket;
    t->bucket = mem_map(t->bytes);
    t->mask = n - 1;
    t->older = older;
    return t;
}

static void close_cells(void *obj) {
    struct cells *c = obj;
    for (struct table *next, *t = table_of(c); t; t = next) {
        next = t->older;
        mem_unmap(t->bucket, t->bytes);
        mem_free(t);
    }
}

static const struct lasting_kind kind = {
    .name = "limit cells", .size = sizeof(struct cells), .close = close_cells};

/* The epoch lies a second back, for threads whose clock was read before. */
struct cells *cells_get(struct span name, uint32_t keys) {
    struct cells *t = lasting_get(&kind, name);
    pthread_mutex_lock(&making);
    if (!table_of(t)) {
        uint64_t now = env.now_ns();
        t->epoch = now > second ? now - second : 0;
        atomic_store_explicit(&t->table, make_table(keys, NULL), memory_order_release);
    }
    pthread_mutex_unlock(&making);
    return t;
}

void cells_unref(struct cells *t) {
    lasting_unref(t);
}

uint32_t cells_size(const struct cells *t) {
    return (table_of(t)->mask + 1) * WAYS;
}

uint64_t cells_memory(const struct cells *t) {
    uint64_t all = 0;
    for (const struct table *i = table_of(t); i; i = i->older)
        all += i->bytes;
    return all;
}

uint64_t cells_epoch(const struct cells *t) {
    return t->epoch;
}

/* ---- keys -------------------------------------------------------------------------------------
 */

/* Of no key any more, but what it owes still counts for who takes the cell. */
static const uint64_t nobody = UINT64_MAX;

static uint64_t tag_of(uint64_t hash) {
    return hash == 0 ? 1 : hash == nobody ? nobody - 1 : hash;
}
static struct bucket *bucket_of(const struct table *t, uint64_t hash) {
    return &t->bucket[(hash >> 32) & t->mask];
}

static uint64_t owes(const struct cell_change *c, struct cell now) {
    return now.tag ? c->rule->owes(c->rule->rule, now.value, c->now) : 0;
}

struct place { /* of a key in its bucket: its own cell, else the one that owes least */
    struct cell *at;
    struct cell found;
    uint64_t owes;
};

/* Those of the key's own, in order: at most two. */
static unsigned own_cells(struct bucket *b, uint64_t tag, struct cell *out[2]) {
    unsigned n = 0;
    for (unsigned i = 0; i < WAYS && n < 2; i++)
        if (load(&b->cell[i].tag) == tag)
            out[n++] = &b->cell[i];
    return n;
}

static void add_to(struct cell *to, const struct cell_change *c, uint64_t value) {
    struct cell old;
    do {
        old = read_cell(to);
        if (old.tag != tag_of(c->hash))
            return; /* evicted meanwhile: its heir owes as much, and so does nobody's cell */
    } while (!swap(to, old,
                   (struct cell){old.tag, c->rule->join(c->rule->rule, old.value, value, c->now)}));
}

/* The one that owes more keeps all. The other cell becomes nobody's: what it owes may be inherited,
 * and who was evicted from it must not find it free. */
static void make_one(struct cell *two[2], const struct cell_change *c) {
    struct cell a = read_cell(two[0]), b = read_cell(two[1]);
    if (a.tag != b.tag || a.tag != tag_of(c->hash))
        return;
    bool second_goes = owes(c, b) <= owes(c, a);
    struct cell gone = second_goes ? b : a;
    if (swap(two[second_goes], gone, (struct cell){nobody, gone.value}) && owes(c, gone))
        add_to(two[!second_goes], c, gone.value);
}

/* Of those that owe nothing the one that has been paid for longest: by a clock that is a little
 * behind it may owe something yet. */
static void look_for_room(struct bucket *b, const struct cell_change *c, struct place *out) {
    out->at = NULL;
    for (unsigned i = 0; i < WAYS; i++) {
        struct cell now = read_cell(&b->cell[i]);
        uint64_t debt = owes(c, now);
        if (!out->at || debt < out->owes || (debt == out->owes && now.value < out->found.value))
            *out = (struct place){&b->cell[i], now, debt};
        if (!now.tag)
            return; /* its value is 0 */
    }
}

/* Tells c->own. */
static void look(struct bucket *b, struct cell_change *c, struct place *out) {
    struct cell *own[2];
    for (;;) {
        unsigned n = own_cells(b, tag_of(c->hash), own);
        if (unlikely(n == 2)) {
            make_one(own, c);
            continue;
        }
        c->own = n == 1;
        if (unlikely(!n)) {
            look_for_room(b, c, out);
            return;
        }
        *out = (struct place){.at = own[0], .found = read_cell(own[0])};
        if (likely(out->found.tag == tag_of(c->hash)))
            return;
    }
}

/* A new key is written first, as it is found, and charged when it is looked for again. */
static bool change_in(struct bucket *b, struct cell_change *c) {
    struct place p;
    uint64_t next;
    for (;;) {
        look(b, c, &p);
        c->inherited |= !c->own && p.owes;
        if (!c->change(c, p.found.value, &next))
            return false;
        if (!c->own)
            next = p.found.value;
        if (swap(p.at, p.found, (struct cell){tag_of(c->hash), next}) && c->own)
            return true;
    }
}

void cells_prefetch(const struct cells *t, uint64_t hash) {
    __builtin_prefetch(bucket_of(table_of(t), hash), 1);
}

bool cells_change(struct cells *t, struct cell_change *c) {
    c->inherited = false;
    return change_in(bucket_of(table_of(t), c->hash), c);
}

bool cells_forget(struct cells *t, uint64_t hash) {
    struct bucket *b = bucket_of(table_of(t), hash);
    bool found = false;
    for (unsigned i = 0; i < WAYS; i++) {
        struct cell now = read_cell(&b->cell[i]);
        while (now.tag == tag_of(hash)) {
            found |= swap(&b->cell[i], now, (struct cell){0, 0});
            now = read_cell(&b->cell[i]);
        }
    }
    return found;
}

/* ---- a larger one -----------------------------------------------------------------------------
 */

struct move {
    struct cell_change change; /* first */
    uint64_t value;
};

static bool bring(struct cell_change *c, uint64_t value, uint64_t *next) {
    *next = c->rule->join(c->rule->rule, value, ((struct move *)c)->value, c->now);
    return true;
}

static void move_cell(struct table *to, struct cell *from, const struct cell_rule *rule,
                      uint64_t now) {
    struct cell old;
    do {
        old = read_cell(from);
        if (!old.tag)
            return;
    } while (!swap(from, old, (struct cell){0, 0}));
    struct move m = {{.change = bring, .rule = rule, .hash = old.tag, .now = now}, old.value};
    if (old.tag != nobody && owes(&m.change, old))
        (void)change_in(bucket_of(to, old.tag), &m.change);
}

/* In use at once, so that nobody counts in the old one what was not moved; a thread that had found
 * the old one just before may still write one change there, which is lost. */
void cells_grow(struct cells *t, uint32_t keys, const struct cell_rule *rule, uint64_t now) {
    pthread_mutex_lock(&making);
    struct table *old = table_of(t);
    if (keys > (old->mask + 1) * WAYS && old->mask + 1 < BUCKETS_MAX) {
        struct table *new = make_table(keys, old);
        atomic_store_explicit(&t->table, new, memory_order_release);
        for (uint32_t i = 0; i <= old->mask; i++)
            for (unsigned k = 0; k < WAYS; k++)
                move_cell(new, &old->bucket[i].cell[k], rule, now);
    }
    pthread_mutex_unlock(&making);
}

/* ---- all of them ------------------------------------------------------------------------------
 */

struct walk {
    struct span prefix;
    void (*fn)(struct cells *t, void *ctx);
    void *ctx;
};

static void one(void *obj, void *ctx) {
    struct walk *w = ctx;
    struct cells *t = obj;
    if (table_of(t) && span_starts(lasting_key(t), w->prefix))
        w->fn(t, w->ctx);
}

void cells_each(struct span prefix, void (*fn)(struct cells *t, void *ctx), void *ctx) {
    struct walk w = {prefix, fn, ctx};
    lasting_each(&kind, one, &w);
}
