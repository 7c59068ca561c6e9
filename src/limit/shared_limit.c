#include "base/env.h"
#include "core/lasting.h"
#include "limit/shared_limit_in.h"
#include <pthread.h>

enum { REMEMBERS_MS = 60000 };
static const uint64_t ns_per_ms = 1000000, ns_per_us = 1000;

/* ---- attaching --------------------------------------------------------------------------------
 */

static const struct lasting_kind state_kind = {.name = "shared limit",
                                               .size = sizeof(struct shared_state)};
static const struct lasting_kind lease_kind = {.name = "lease", .size = sizeof(struct lease_table)};

static struct { /* for who resets a key; never on the request path */
    pthread_mutex_t lock;
    struct list limits;
} alive = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void enlist(struct shared_limit *s) {
    pthread_mutex_lock(&alive.lock);
    if (!alive.limits.next)
        list_init(&alive.limits);
    list_append(&alive.limits, &s->node);
    pthread_mutex_unlock(&alive.lock);
}

/* How long until a whole burst is there again, or a window is over. */
static uint64_t remembers_ms(const struct rate_limit_conf *c) {
    uint64_t most = 0;
    for (unsigned i = 0; i < c->rates; i++) {
        uint64_t ms = c->rate[i].per_ms;
        if (c->algorithm == LIMIT_GCRA)
            ms = (uint64_t)((unsigned __int128)ms * rate_limit_burst(c, i) / c->rate[i].count);
        most = ms > most ? ms : most;
    }
    return most < REMEMBERS_MS ? most : REMEMBERS_MS;
}

static unsigned tightest(const struct rate_limit_conf *c) {
    unsigned at = 0;
    for (unsigned i = 1; i < c->rates; i++)
        if (rate_limit_burst(c, i) < rate_limit_burst(c, at))
            at = i;
    return at;
}

static void *attach(struct snapshot *snapshot, struct limiter *l) {
    struct redis *redis = redis_attach(snapshot->state);
    if (!redis)
        return NULL;
    struct shared_limit *s = arena_zero(&snapshot->arena, sizeof *s);
    s->limiter = l;
    s->snapshot = snapshot;
    s->redis = redis;
    shared_windows_make(&snapshot->arena, &s->windows, l->conf);
    s->state = lasting_get(&state_kind, l->conf->id);
    if (l->conf->sync == LIMIT_LEASE) {
        s->leases = lasting_get(&lease_kind, l->conf->id);
        s->leases->lost = &s->state->lost; /* lives at least as long */
    }
    s->remembers_ns = remembers_ms(l->conf) * ns_per_ms;
    s->tightest = tightest(l->conf);
    enlist(s);
    return s;
}

static void detach(struct limiter *l) {
    struct shared_limit *s = l->shared_data;
    pthread_mutex_lock(&alive.lock);
    list_remove(&s->node);
    pthread_mutex_unlock(&alive.lock);
    lasting_unref(s->leases);
    lasting_unref(s->state);
    redis_detach(s->redis);
    l->shared_data = NULL;
}

/* What a tenth of a second gives, unless the limit says it; not so much that the others starve. */
uint64_t shared_limit_lease(const struct rate_limit_conf *c, uint32_t gateways) {
    if (c->sync != LIMIT_LEASE)
        return 0;
    uint64_t least = UINT64_MAX, half;
    for (unsigned i = 0; i < c->rates && !c->lease; i++) {
        uint64_t n = c->rate[i].count * 100 / c->rate[i].per_ms;
        half = rate_limit_burst(c, i) / (2 * (uint64_t)(gateways ? gateways : 1));
        n = n < half ? n : half;
        least = n < least ? n : least;
    }
    least = c->lease ? c->lease : least;
    return least < 1 ? 1 : least < LEASE_MAX ? least : LEASE_MAX;
}

/* ---- answers made here ------------------------------------------------------------------------
 */

/* Until all of a window is there again, of which so much is left now. */
static uint64_t reset_ns(const struct shared_limit *s, unsigned window, uint64_t left) {
    const struct schema_rate *r = &s->limiter->conf->rate[window];
    uint64_t burst = s->limiter->window[window].burst;
    if (s->limiter->conf->algorithm != LIMIT_GCRA)
        return r->per_ms * ns_per_ms;
    unsigned __int128 ns = (unsigned __int128)(burst - (left < burst ? left : burst)) *
                           (r->per_ms * ns_per_ms) / r->count;
    return ns < UINT64_MAX ? (uint64_t)ns : UINT64_MAX;
}

static void refuse(const struct shared_limit *s, struct limit_ask *a, unsigned window,
                   uint64_t wait_ns) {
    a->answer = (struct limit_answer){.verdict = LIMIT_REFUSED,
                                      .window = window,
                                      .limit = s->limiter->window[window].burst,
                                      .wait_ns = wait_ns};
    a->answer.reset_ns = reset_ns(s, window, 0);
}

/* Costs more than may ever come at once: no need to ask. */
static bool too_much(const struct shared_limit *s, struct limit_ask *a) {
    if (a->cost <= s->limiter->window[s->tightest].burst)
        return false;
    refuse(s, a, s->tightest, UINT64_MAX);
    return true;
}

static uint64_t refusal_hash(const struct limit_ask *a) {
    return a->hash ^ (a->cost - 1) * 0x9e3779b97f4a7c15u;
}

static bool refused_before(const struct shared_limit *s, struct limit_ask *a) {
    uint64_t wait_ns;
    unsigned window;
    if (!a->cost ||
        !shared_refused_holds(&s->state->refused, refusal_hash(a), me->now, &wait_ns, &window) ||
        window >= s->windows.count || wait_ns <= a->max_wait_ns)
        return false;
    refuse(s, a, window, wait_ns);
    count_add(shared_counts_here(s)->refused_here, 1);
    return true;
}

static uint64_t lease_most(const struct shared_limit *s) {
    return shared_limit_lease(s->limiter->conf, redis_gateways(s->redis));
}

/* A token that is here already. When half are used, more are fetched behind the request's back. */
static bool from_lease(struct shared_limit *s, struct limit_ask *a, struct lease_cell *c) {
    uint64_t left;
    if (!lease_take(c, a->hash, a->cost, now_ms(), &left))
        return false;
    left += atomic_load_explicit(&c->store_left, memory_order_relaxed);
    uint64_t burst = s->limiter->window[s->tightest].burst;
    left = left < burst ? left : burst;
    a->answer = (struct limit_answer){.window = s->tightest, .limit = burst, .remaining = left};
    a->answer.reset_ns = reset_ns(s, s->tightest, left);
    count_add(shared_counts_here(s)->from_lease, 1);
    shared_away_shadow(s, a, a->cost);
    bool current = thread_me()->snap->snapshot == s->snapshot; /* else it may end first */
    uint64_t want =
        current && redis_usable(s->redis) ? lease_want(c, a->hash, lease_most(s), now_ms()) : 0;
    if (want)
        shared_tell_fetch(s, a, c, want);
    return true;
}

/* ---- asking the store -------------------------------------------------------------------------
 */

struct waiting {            /* an ask that waits for the store; limit_ask.part */
    struct redis_ask redis; /* first */
    struct limit_ask *ask;
    struct shared_limit *limit;
    struct list ops;         /* redis hangs itself in here */
    struct lease_cell *cell; /* whose fetch this is too; NULL: none */
    uint64_t owed, owed_age_ms;
    bool here; /* the share has let it pass, and counted it */
};

static void cancelled(struct op *op) {
    struct limit_ask *a = (struct limit_ask *)(void *)((char *)op - offsetof(struct limit_ask, op));
    struct waiting *w = a->part;
    ops_cancel(&w->ops);
    if (w->cell)
        lease_fetched_none(w->cell, a->hash);
    a->part = NULL;
    mem_free(w);
}

static void keep_lease(struct waiting *w, const struct shared_verdict *v) {
    struct shared_limit *s = w->limit;
    if (!v->taken) {
        lease_fetched_none(w->cell, w->ask->hash);
        return;
    }
    struct lease_put put = {w->ask->hash, v->taken, lease_most(s), now_ms()};
    lease_put(s->leases, w->cell, &put);
    atomic_store_explicit(&w->cell->store_left, v->left, memory_order_relaxed);
    count_add(shared_counts_here(s)->leases, 1);
    count_add(shared_counts_here(s)->leased, v->taken);
}

/* The store has let it pass (or not); so has, where it is recovering, the share before. */
static void judged(struct waiting *w, const struct shared_verdict *v) {
    struct shared_limit *s = w->limit;
    struct limit_ask *a = w->ask;
    uint64_t wait_here = w->here ? a->answer.wait_ns : 0, wait_ns = v->wait_us * ns_per_us;
    a->answer = (struct limit_answer){.verdict = v->verdict,
                                      .window = v->window,
                                      .limit = s->limiter->window[v->window].burst,
                                      .remaining = v->left,
                                      .wait_ns = wait_ns,
                                      .reset_ns = v->reset_us * ns_per_us};
    if (v->verdict == LIMIT_REFUSED) {
        if (a->cost && wait_ns > a->max_wait_ns)
            shared_refused_note(&s->state->refused, refusal_hash(a), me->now, wait_ns, v->window);
        if (w->here)
            shared_away_give_back(s, a, a->cost);
        return;
    }
    if (wait_here > wait_ns) {
        a->answer.verdict = LIMIT_DELAYED;
        a->answer.wait_ns = wait_here;
    }
    if (!w->here)
        shared_away_shadow(s, a, a->cost);
}

/* What the share had let pass has been judged; everything else is judged now. A late answer may
 * have been counted, what has not left has not. */
static void failed(struct waiting *w, enum redis_failure why) {
    struct shared_limit *s = w->limit;
    struct limit_ask *a = w->ask;
    count_add(shared_counts_here(s)->failed, 1);
    if (w->owed && why != REDIS_LATE)
        shared_owed_add(&s->state->owed, a->hash, w->owed, now_ms() - w->owed_age_ms);
    if (w->here) {
        a->answer.away = true;
        if (why != REDIS_LATE)
            shared_owed_add(&s->state->owed, a->hash, a->cost, now_ms());
    } else {
        shared_away_judge(s, a);
    }
}

static void settle(struct waiting *w, enum redis_failure why, const struct redis_reply *r) {
    struct shared_verdict v = {0};
    if (why == REDIS_FINE && !shared_verdict_read(r, w->limit->windows.count, &v))
        why = REDIS_BROKEN;
    if (w->cell)
        keep_lease(w, &v);
    if (why == REDIS_FINE)
        judged(w, &v);
    else
        failed(w, why);
}

static void answered(struct redis_ask *r, enum redis_failure why, const struct redis_reply *reply) {
    struct waiting *w = (struct waiting *)(void *)r;
    struct limit_ask *a = w->ask;
    settle(w, why, reply);
    op_end(&a->op);
    a->part = NULL;
    mem_free(w);
    a->ready(a);
}

static void question(struct waiting *w, uint64_t extra) {
    struct limit_ask *a = w->ask;
    struct shared_key name;
    struct shared_words words;
    struct shared_question q = {.cost = (int64_t)a->cost,
                                .max_wait_us = a->max_wait_ns / ns_per_us,
                                .extra = extra,
                                .owed = w->owed,
                                .owed_age_us = w->owed_age_ms * 1000};
    shared_limit_key(w->limit, a->key, &name);
    shared_question_fill(&w->redis, &words, &w->limit->windows, shared_key_span(&name), &q);
    w->redis.ops = &w->ops;
    w->redis.ready = answered;
    enum redis_failure why;
    count_add(shared_counts_here(w->limit)->asked, 1);
    if (redis_ask(w->limit->redis, &w->redis, &why)) {
        op_start(a->ops, &a->op, cancelled);
        a->part = w;
        return;
    }
    settle(w, why, NULL);
    mem_free(w);
}

/* True: the answer is there. */
static bool ask_store(struct shared_limit *s, struct limit_ask *a, struct lease_cell *c) {
    struct waiting *w = mem_try(sizeof *w);
    if (!w) {
        shared_away_judge(s, a);
        return true;
    }
    memset(w, 0, sizeof *w);
    w->ask = a;
    w->limit = s;
    list_init(&w->ops);
    if (shared_away_recovering(s)) {
        limiter_judge(a, redis_gateways(s->redis));
        if (a->answer.verdict == LIMIT_REFUSED) {
            mem_free(w);
            return true;
        }
        w->here = true;
    }
    uint64_t extra = c ? lease_want(c, a->hash, lease_most(s), now_ms()) : 0;
    w->cell = extra ? c : NULL;
    w->owed = shared_owed_take(&s->state->owed, a->hash, now_ms(), &w->owed_age_ms);
    question(w, extra);
    return !a->part;
}

static bool ask(struct limit_ask *a) {
    struct shared_limit *s = shared_limit_of(a);
    a->part = NULL;
    if (too_much(s, a) || refused_before(s, a))
        return true;
    bool leases = s->leases && a->cost && !shared_away_recovering(s);
    struct lease_cell *c = leases ? lease_find(s->leases, a->hash, now_ms()) : NULL;
    if (c && from_lease(s, a, c))
        return true;
    if (redis_usable(s->redis))
        return ask_store(s, a, c);
    shared_away_judge(s, a);
    return true;
}

/* ---- afterwards -------------------------------------------------------------------------------
 */

static void refund(struct limit_ask *a) {
    struct shared_limit *s = shared_limit_of(a);
    shared_away_give_back(s, a, a->cost);
    if (!a->answer.away && a->cost)
        shared_tell_correct(s, a->key, -(int64_t)a->cost);
}

static void correct(struct limit_ask *a, int64_t more) {
    struct shared_limit *s = shared_limit_of(a);
    if (more > 0)
        shared_away_shadow(s, a, (uint64_t)more);
    else
        shared_away_give_back(s, a, 0 - (uint64_t)more);
    if (more)
        shared_tell_correct(s, a->key, more);
}

const struct limiter_shared shared_limits = {attach, detach, ask, refund, correct};

/* ---- for people -------------------------------------------------------------------------------
 */

void shared_limit_forget(struct span id, struct span key) {
    pthread_mutex_lock(&alive.lock);
    struct list *head = &alive.limits;
    for (struct list *n = head->next; n && n != head; n = n->next) {
        struct shared_limit *s =
            (struct shared_limit *)(void *)((char *)n - offsetof(struct shared_limit, node));
        if (id.n && !span_eq(id, s->limiter->conf->id))
            continue;
        shared_tell_forget(s, key);
        shared_refused_clear(&s->state->refused);
        shared_owed_clear(&s->state->owed);
        if (s->leases)
            lease_clear(s->leases);
    }
    pthread_mutex_unlock(&alive.lock);
}

struct walking {
    void (*fn)(void *ctx, const struct shared_limit_state *);
    void *ctx;
};

static void walk_one(void *obj, void *ctx) {
    struct shared_state *s = obj;
    struct walking *w = ctx;
    struct shared_limit_state out = {.id = lasting_key(s),
                                     .lost = atomic_load_explicit(&s->lost, memory_order_relaxed)};
    for (unsigned i = 0; i < LIMIT_THREADS; i++) {
        unsigned k = 0;
#define C(name)                                                                                    \
    out.count[k++] += atomic_load_explicit(&s->thread[i].counts.name, memory_order_relaxed);
        SHARED_COUNTS(C)
#undef C
    }
    w->fn(w->ctx, &out);
}

void shared_limit_walk(void (*fn)(void *ctx, const struct shared_limit_state *), void *ctx) {
    struct walking w = {fn, ctx};
    lasting_each(&state_kind, walk_one, &w);
}
