#include "base/env.h"
#include "limit/shared_limit_in.h"

struct telling {
    struct redis_ask ask; /* first */
    struct shared_limit *limit;
    struct snapshot_ref *hold; /* of a fetch: keeps the limit alive */
    struct lease_cell *cell;
    uint64_t hash;
};

static struct telling *telling_new(const struct shared_limit *s, struct span key,
                                   const struct shared_question *q, struct shared_words *w) {
    struct telling *t = mem_try(sizeof *t);
    if (!t)
        return NULL;
    struct shared_key name;
    memset(t, 0, sizeof *t);
    shared_limit_key(s, key, &name);
    shared_question_fill(&t->ask, w, &s->windows, shared_key_span(&name), q);
    return t;
}

static void told(struct redis_ask *a, enum redis_failure why, const struct redis_reply *r) {
    (void)why, (void)r;
    mem_free(a);
}

void shared_tell_correct(const struct shared_limit *s, struct span key, int64_t more) {
    struct shared_words w;
    struct shared_question q = {.cost = more, .force = true};
    struct telling *t = telling_new(s, key, &q, &w);
    enum redis_failure why;
    if (!t)
        return;
    t->ask.ready = told;
    if (!redis_ask(s->redis, &t->ask, &why))
        mem_free(t);
}

/* ---- leases ---- */

static void fetched(struct redis_ask *a, enum redis_failure why, const struct redis_reply *r) {
    struct telling *t = (struct telling *)(void *)a;
    struct shared_limit *s = t->limit;
    struct shared_verdict v;
    bool got = why == REDIS_FINE && shared_verdict_read(r, s->windows.count, &v) && v.taken;
    if (got) {
        struct lease_put put = {t->hash, v.taken,
                                shared_limit_lease(s->limiter->conf, redis_gateways(s->redis)),
                                now_ms()};
        lease_put(s->leases, t->cell, &put);
        atomic_store_explicit(&t->cell->store_left, v.left - v.taken, memory_order_relaxed);
        count_add(shared_counts_here(s)->leases, 1);
        count_add(shared_counts_here(s)->leased, v.taken);
    } else {
        lease_fetched_none(t->cell, t->hash);
    }
    thread_release(thread_me(), t->hold);
    mem_free(t);
}

void shared_tell_fetch(struct shared_limit *s, const struct limit_ask *a, struct lease_cell *c,
                       uint64_t tokens) {
    struct shared_words w;
    struct shared_question q = {.extra = tokens};
    struct telling *t = telling_new(s, a->key, &q, &w);
    enum redis_failure why;
    if (!t) {
        lease_fetched_none(c, a->hash);
        return;
    }
    t->limit = s;
    t->cell = c;
    t->hash = a->hash;
    t->ask.ready = fetched;
    t->hold = thread_hold(thread_me());
    if (redis_ask(s->redis, &t->ask, &why)) {
        count_add(shared_counts_here(s)->asked, 1);
        return;
    }
    lease_fetched_none(c, a->hash);
    thread_release(thread_me(), t->hold);
    mem_free(t);
}

/* ---- forgetting ---- */

static const struct redis_script forget = {"limit_forget",
                                           "return redis.call('DEL', unpack(KEYS))\n"};

void shared_tell_forget(const struct shared_limit *s, struct span key) {
    struct shared_words w;
    struct shared_question q = {0};
    struct telling *t = telling_new(s, key, &q, &w);
    enum redis_failure why;
    if (!t)
        return;
    t->ask.script = &forget;
    t->ask.args = 0;
    t->ask.ready = told;
    if (!redis_ask(s->redis, &t->ask, &why))
        mem_free(t);
}
