#include "limit/quota_in.h"
#include "base/env.h"
#include "core/lasting.h"
#include "core/thread.h"
#include "limit/quota_store.h"
#include "shared/redis.h"

struct quota_stats { /* lasting, by the quota's id */
    struct {
        struct quota_counts counts;
        char apart[64 - sizeof(struct quota_counts)]; /* no cache line has two writers */
    } thread[QUOTA_THREADS];
};
static const struct lasting_kind stats_kind = {.name = "quota counts",
                                               .size = sizeof(struct quota_stats)};

/* ---- attaching --------------------------------------------------------------------------------
 */

/* The table keeps the store for as long as it lives, whichever limits come and go. */
static void share(struct quota_table *t, const struct snapshot *s, struct redis *redis) {
    if (t->redis == redis)
        return;
    redis_detach(t->redis);
    t->redis = redis ? redis_attach(s->state) : NULL;
}

static void attach_one(const struct snapshot *s, struct quota_conf *c, struct span id) {
    c->id = id;
    c->redis = redis_attach(s->state);
    c->stats = lasting_get(&stats_kind, id);
    for (uint32_t i = 0; i < c->limits; i++) {
        struct quota_window *w = &c->window[i];
        w->table = quota_table_get(id, w->period, c->keys, &w->rule, c->time_zone);
        atomic_store_explicit(&w->table->limit, w->limit, memory_order_relaxed);
        share(w->table, s, c->redis);
        if (!w->table->loaded)
            quota_store_load(w->table);
    }
}

static struct quota_plan *plans_of(struct quota_conf *c) {
    return (struct quota_plan *)(uintptr_t)c->plan;
}

void quota_attach(struct snapshot *s, struct quota_conf *c, struct span place) {
    struct span id = c->name.n ? c->name : place;
    for (uint32_t i = 0; i < c->plans; i++) {
        struct quota_conf *p = &plans_of(c)[i].conf;
        attach_one(s, p, !c->limits && p->name.n ? p->name : id);
    }
    attach_one(s, c,
               id); /* last: its limit is the one to show of keys that were not yet asked for */
}

static void detach_one(struct quota_conf *c) {
    for (uint32_t i = 0; i < c->limits; i++)
        if (c->window[i].table)
            quota_table_leave(c->window[i].table);
    redis_detach(c->redis);
    lasting_unref(c->stats);
    c->redis = NULL;
    c->stats = NULL;
}

void quota_detach(struct quota_conf *c) {
    for (uint32_t i = 0; i < c->plans; i++)
        detach_one(&plans_of(c)[i].conf);
    detach_one(c);
}

/* ---- counting: all limits or none -------------------------------------------------------------
 */

void quota_tell(struct quota_ask *a, unsigned i, uint64_t used, bool fits) {
    const struct quota_window *w = &a->conf->window[i];
    uint64_t left = used < w->limit ? w->limit - used : 0;
    if (a->verdict == QUOTA_REFUSED && fits)
        return;
    bool tighter = i == 0 || !fits ||
                   (unsigned __int128)left * a->conf->window[a->window].limit <
                       (unsigned __int128)a->remaining * w->limit;
    if (tighter) {
        a->window = i;
        a->remaining = left;
    }
    a->verdict = fits ? QUOTA_ALLOWED : QUOTA_REFUSED;
}

static bool fits_all(struct quota_ask *a) {
    const struct quota_conf *c = a->conf;
    uint64_t used;
    for (unsigned i = 0; i < c->limits; i++) {
        const struct quota_window *w = &c->window[i];
        (void)quota_table_take(w->table, &a->hashed, &a->period[i], 0, w->limit, &used);
        bool fits = used <= w->limit && a->cost <= w->limit - used;
        quota_tell(a, i, used, fits);
    }
    return a->verdict != QUOTA_REFUSED;
}

static bool take_all(struct quota_ask *a) {
    const struct quota_conf *c = a->conf;
    uint64_t used;
    for (unsigned i = 0; i < c->limits; i++) {
        const struct quota_window *w = &c->window[i];
        bool fits = quota_table_take(w->table, &a->hashed, &a->period[i], a->cost, w->limit, &used);
        quota_tell(a, i, used, fits);
        for (unsigned k = 0; !fits && k < i; k++)
            (void)quota_table_add(c->window[k].table, &a->hashed, &a->period[k], -(int64_t)a->cost);
        if (!fits)
            return false;
    }
    return true;
}

void quota_take_here(struct quota_ask *a) {
    a->verdict = QUOTA_ALLOWED;
    if (!a->cost || a->conf->limits > 1) { /* so that a refusal by one limit takes nothing of the
                                            * others, even for a moment */
        if (!fits_all(a) || !a->cost)
            return;
        a->verdict = QUOTA_ALLOWED;
    }
    (void)take_all(a);
}

bool quota_take(struct exchange *x, struct quota_ask *a) {
    struct thread *t = x->thread;
    const struct quota_conf *c = a->conf;
    int64_t now = thread_wall_ns(t, t->loop.now) / 1000000000;
    a->hashed = quota_key_make(&x->arena, a->key);
    a->verdict = QUOTA_ALLOWED;
    for (unsigned i = 0; i < c->limits; i++)
        a->period[i] = quota_table_period(c->window[i].table, t->index, now);
    if (unlikely(c->redis != NULL))
        return quota_take_shared(a);
    quota_take_here(a);
    return true;
}

void quota_add(struct quota_ask *a, int64_t n) {
    for (unsigned i = 0; i < a->conf->limits; i++) {
        const struct quota_window *w = &a->conf->window[i];
        uint64_t used = quota_table_add(w->table, &a->hashed, &a->period[i], n);
        if (a->conf->redis && !a->away)
            quota_add_shared(a, i, n);
        if (i == a->window)
            a->remaining = used < w->limit ? w->limit - used : 0;
    }
}

uint64_t quota_ends_in(const struct quota_ask *a, struct exchange *x) {
    int64_t now = thread_wall_ns(x->thread, x->thread->loop.now) / 1000000000;
    int64_t left = a->period[a->window].to - now;
    return left > 0 ? (uint64_t)left : 0;
}

struct quota_counts *quota_counts(const struct quota_conf *c, struct thread *t) {
    return &c->stats->thread[t->index % QUOTA_THREADS].counts;
}

/* ---- for people -------------------------------------------------------------------------------
 */

struct walking {
    struct span id;
    void (*fn)(void *ctx, const struct quota_state *);
    void *ctx;
    int64_t now;
};

static void walk_key(struct quota_table *t, struct span key, uint64_t used, uint64_t limit,
                     const struct period *p, void *ctx) {
    const struct walking *w = ctx;
    struct quota_state s = {t->id, t->period, key, used, limit, p->from, p->to};
    w->fn(w->ctx, &s);
}

static void walk_table(struct quota_table *t, void *ctx) {
    const struct walking *w = ctx;
    if (!w->id.n || span_eq(w->id, t->id))
        quota_table_walk(t, w->now, walk_key, ctx);
}

static int64_t wall_seconds(void) {
    return env.wall_ns() / 1000000000;
}

void quota_walk(struct span id, void (*fn)(void *ctx, const struct quota_state *), void *ctx) {
    struct walking w = {id, fn, ctx, wall_seconds()};
    quota_tables_each(walk_table, &w);
}

struct putting {
    struct span id, key;
    uint64_t used;
    unsigned count;
};

static void put_table(struct quota_table *t, void *ctx) {
    struct putting *p = ctx;
    if (p->id.n && !span_eq(p->id, t->id))
        return;
    int64_t now = wall_seconds();
    struct period period = quota_table_period(t, QUOTA_THREADS - 1, now);
    p->count += quota_table_put(t, p->key, now, p->used);
    if (t->redis)
        quota_put_shared(t, p->key, &period, p->used);
}

unsigned quota_put(struct span id, struct span key, uint64_t used) {
    struct putting p = {id, key, used, 0};
    quota_tables_each(put_table, &p);
    return p.count;
}

struct summing {
    struct quota_sum sum;
    void (*fn)(void *ctx, const struct quota_sum *);
    void *ctx;
};

static void sum_table(struct quota_table *t, void *ctx) {
    struct quota_sum *s = &((struct summing *)ctx)->sum;
    uint64_t keys = atomic_load(&t->count);
    if (!span_eq(t->id, s->id))
        return;
    s->keys = keys > s->keys ? keys : s->keys;
    s->overflows += atomic_load(&t->overflows);
}

static void sum_one(void *obj, void *ctx) {
    struct quota_stats *stats = obj;
    struct summing *w = ctx;
    w->sum = (struct quota_sum){.id = lasting_key(stats)};
    for (unsigned i = 0; i < QUOTA_THREADS; i++) {
        unsigned k = 0;
#define C(name)                                                                                    \
    w->sum.count[k++] += atomic_load_explicit(&stats->thread[i].counts.name, memory_order_relaxed);
        QUOTA_COUNTS(C)
#undef C
    }
    quota_tables_each(sum_table, w);
    w->fn(w->ctx, &w->sum);
}

void quota_sums(void (*fn)(void *ctx, const struct quota_sum *), void *ctx) {
    struct summing w = {.fn = fn, .ctx = ctx};
    lasting_each(&stats_kind, sum_one, &w);
}
