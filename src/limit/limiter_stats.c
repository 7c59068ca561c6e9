#include "limit/limiter_in.h"
#include "base/env.h"
#include "base/hash.h"
#include "core/lasting.h"

/* ---- of each thread ---------------------------------------------------------------------------
 */

/* Made once; who was slower lets his go. */
#define MADE(slot, type)                                                                           \
    type *was = NULL, *made = mem_alloc(sizeof *made);                                             \
    if (atomic_compare_exchange_strong_explicit(slot, &was, made, memory_order_acq_rel,            \
                                                memory_order_acquire))                             \
        return made;                                                                               \
    mem_free(made);                                                                                \
    return was

static struct limit_group *make_group(_Atomic(struct limit_group *) *slot) {
    MADE(slot, struct limit_group);
}
static struct limit_local *make_local(_Atomic(struct limit_local *) *slot) {
    MADE(slot, struct limit_local);
}
static struct hot *make_hot(_Atomic(struct hot *) *slot) {
    MADE(slot, struct hot);
}

#define HAD(p) atomic_load_explicit(p, memory_order_acquire)

static struct limit_local *local_of(struct limiter_stats *s, unsigned thread) {
    _Atomic(struct limit_group *) *at = &s->group[thread / LIMIT_GROUP % LIMIT_GROUPS];
    struct limit_group *g = HAD(at);
    if (unlikely(!g))
        g = make_group(at);
    struct limit_local *l = HAD(&g->local[thread % LIMIT_GROUP]);
    return likely(l != NULL) ? l : make_local(&g->local[thread % LIMIT_GROUP]);
}

static void each_local(struct limiter_stats *s, void (*fn)(struct limit_local *, void *),
                       void *ctx) {
    for (unsigned i = 0; i < LIMIT_GROUPS; i++) {
        struct limit_group *g = HAD(&s->group[i]);
        for (unsigned k = 0; g && k < LIMIT_GROUP; k++) {
            struct limit_local *l = HAD(&g->local[k]);
            if (l)
                fn(l, ctx);
        }
    }
}

static void free_local(struct limit_local *l, void *ctx) {
    (void)ctx;
    mem_free(HAD(&l->hot));
    mem_free(l);
}

static void close_stats(void *obj) {
    struct limiter_stats *s = obj;
    each_local(s, free_local, NULL);
    for (unsigned i = 0; i < LIMIT_GROUPS; i++)
        mem_free(HAD(&s->group[i]));
}

static const struct lasting_kind kind = {
    .name = "limit", .size = sizeof(struct limiter_stats), .close = close_stats};

struct limiter_stats *limiter_stats_get(struct span id) {
    return lasting_get(&kind, id);
}
void limiter_stats_unref(struct limiter_stats *s) {
    lasting_unref(s);
}

/* ---- counting ---------------------------------------------------------------------------------
 */

struct limit_counts *limiter_counts(struct limiter *l, struct thread *t) {
    return &local_of(l->stats, t->index)->counts;
}

static void count(struct limit_counts *n, const struct limit_answer *a, bool refused,
                  bool observed) {
    if (refused && observed)
        count_add(n->observed, 1);
    else if (refused)
        count_add(n->refused, 1);
    else if (a->verdict == LIMIT_DELAYED)
        count_add(n->delayed, 1);
    else
        count_add(n->allowed, 1);
    if (a->away)
        count_add(n->away, 1);
}

void limiter_note(struct limit_ask *a, bool observed) {
    struct thread *t = thread_me();
    struct limit_local *l = local_of(a->limiter->stats, t->index);
    bool refused = a->answer.verdict == LIMIT_REFUSED || a->answer.verdict == LIMIT_UNKNOWN;
    count(&l->counts, &a->answer, refused, observed);
    if (a->limiter->one)
        return; /* there is but one key to be hot */
    struct hot *h = HAD(&l->hot);
    hot_note(likely(h != NULL) ? h : make_hot(&l->hot), a->key, a->hash, refused, t->loop.now);
}

/* ---- for people -------------------------------------------------------------------------------
 */

static void add_up(struct limit_local *l, void *ctx) {
    struct limiter_state *out = ctx;
    unsigned k = 0;
#define C(name) out->count[k++] += atomic_load_explicit(&l->counts.name, memory_order_relaxed);
    LIMIT_COUNTS(C)
#undef C
}

struct walking {
    void (*fn)(void *ctx, const struct limiter_state *);
    void *ctx;
};

static void walk_one(void *obj, void *ctx) {
    struct limiter_stats *s = obj;
    struct walking *w = ctx;
    struct limiter_state out = {.id = lasting_key(s),
                                .windows = atomic_load_explicit(&s->windows, memory_order_relaxed),
                                .keys = atomic_load_explicit(&s->keys, memory_order_relaxed),
                                .memory = atomic_load_explicit(&s->memory, memory_order_relaxed)};
    each_local(s, add_up, &out);
    w->fn(w->ctx, &out);
}

void limiter_walk(void (*fn)(void *ctx, const struct limiter_state *), void *ctx) {
    struct walking w = {fn, ctx};
    lasting_each(&kind, walk_one, &w);
}

struct hottest {
    struct span id;
    void (*fn)(void *ctx, struct span id, const struct hot_key *);
    void *ctx;
    struct span found; /* the limit that is looked at */
    uint64_t now;
};

static void hot_local(struct limit_local *l, void *ctx) {
    struct hottest *h = ctx;
    struct hot_key copy[HOT_KEYS];
    const struct hot *hot = HAD(&l->hot);
    unsigned n = hot ? hot_read(hot, h->now, copy) : 0;
    for (unsigned k = 0; k < n; k++)
        h->fn(h->ctx, h->found, &copy[k]);
}

static void hot_one(void *obj, void *ctx) {
    struct hottest *h = ctx;
    h->found = lasting_key(obj);
    if (!h->id.n || span_eq(h->id, h->found))
        each_local(obj, hot_local, h);
}

void limiter_hot(struct span id, void (*fn)(void *ctx, struct span id, const struct hot_key *),
                 void *ctx) {
    struct hottest h = {.id = id, .fn = fn, .ctx = ctx, .now = env.now_ns()};
    lasting_each(&kind, hot_one, &h);
}

struct forgetting {
    uint64_t hash;
    unsigned found;
};

static void forget_one(struct cells *t, void *ctx) {
    struct forgetting *f = ctx;
    f->found += cells_forget(t, f->hash);
}

enum { PREFIX_MAX = 1024 };

/* Tables are named by the limit's id and what follows a bar (cells_name). */
unsigned limiter_reset(struct span id, struct span key) {
    struct forgetting f = {.hash = hash_span(key)};
    char room[PREFIX_MAX];
    struct str prefix = str_on(room, sizeof room);
    if (id.n) {
        str_add(&prefix, id);
        str_lit(&prefix, "|");
    }
    if (!prefix.full)
        cells_each(str_span(&prefix), forget_one, &f);
    return f.found;
}
