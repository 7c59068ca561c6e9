#include "limit/limiter_in.h"
#include "base/hash.h"
#include "core/lasting.h"

static const struct limiter_shared *shared_judge;

void limiter_set_shared(const struct limiter_shared *shared) {
    shared_judge = shared;
}

/* ---- what lasts -------------------------------------------------------------------------------
 */

static const struct lasting_kind stats_kind = {.name = "limit",
                                               .size = sizeof(struct limiter_stats)};

static const char *const algorithm_name[] = {"gcra", "sliding", "fixed"};

/* "per-user|gcra|0", "per-user|fixed|60000": a changed rate of GCRA keeps what is owed; a window of
 * another length counts anew. */
static struct span cells_name(struct arena *a, const struct rate_limit_conf *c, unsigned i) {
    bool gcra = c->algorithm == LIMIT_GCRA;
    return span_z(arena_fmt(a, "%.*s|%s|%llu", SPAN_ARG(c->id), algorithm_name[c->algorithm],
                            gcra ? i : (unsigned long long)c->rate[i].per_ms));
}

static void attach_one(struct snapshot *s, struct rate_limit_conf *c) {
    struct limiter *l = arena_zero(&s->arena, sizeof *l);
    bool one = c->key && c->key->constant;
    l->conf = c;
    l->windows = c->rates;
    l->stats = lasting_get(&stats_kind, c->id);
    uint64_t memory = 0;
    for (unsigned i = 0; i < c->rates; i++) {
        window_init(&l->window[i], c, i, 1);
        l->cells[i] = cells_get(cells_name(&s->arena, c, i), one ? 1 : c->keys);
        memory += 16ull * cells_size(l->cells[i]);
    }
    atomic_store_explicit(&l->stats->windows, l->windows, memory_order_relaxed);
    atomic_store_explicit(&l->stats->keys, cells_size(l->cells[0]), memory_order_relaxed);
    atomic_store_explicit(&l->stats->memory, memory, memory_order_relaxed);
    c->limiter = l;
    if (shared_judge && c->scope == LIMIT_SHARED &&
        (l->shared_data = shared_judge->attach(s, l)) != NULL)
        l->shared = shared_judge;
}

void limiter_attach(struct snapshot *s, struct rate_limit_conf *conf, struct span place) {
    struct rate_limit_plan *plan = (struct rate_limit_plan *)(uintptr_t)conf->plan;
    struct span id = conf->name.n ? conf->name : place;
    conf->id = id;
    if (conf->rates)
        attach_one(s, conf);
    for (uint32_t i = 0; i < conf->plans; i++) {
        struct rate_limit_conf *c = &plan[i].conf;
        bool named = !conf->rates && c->name.n;
        c->id = named ? c->name
                      : span_z(arena_fmt(&s->arena, "%.*s plan %.*s", SPAN_ARG(id),
                                         SPAN_ARG(plan[i].name)));
        attach_one(s, c);
    }
}

static void detach_one(struct rate_limit_conf *c) {
    struct limiter *l = c->limiter;
    if (!l)
        return;
    if (l->shared)
        l->shared->detach(l);
    for (unsigned i = 0; i < l->windows; i++)
        cells_unref(l->cells[i]);
    lasting_unref(l->stats);
    c->limiter = NULL;
}

void limiter_detach(struct rate_limit_conf *conf) {
    struct rate_limit_plan *plan = (struct rate_limit_plan *)(uintptr_t)conf->plan;
    detach_one(conf);
    for (uint32_t i = 0; i < conf->plans; i++)
        detach_one(&plan[i].conf);
}

/* ---- one window -------------------------------------------------------------------------------
 */

struct charge {
    struct cell_change change; /* first */
    const struct window *window;
    uint64_t cost, max_wait_ns;
    struct window_judgement judged;
    bool look; /* nothing is written */
};

static bool judge_cell(struct cell_change *c, uint64_t value, uint64_t *next) {
    struct charge *g = (struct charge *)c;
    window_judge(g->window, value, c->now, g->cost, g->max_wait_ns, &g->judged);
    *next = g->judged.next;
    return g->judged.allowed && g->cost && !g->look;
}

static bool give_back_cell(struct cell_change *c, uint64_t value, uint64_t *next) {
    struct charge *g = (struct charge *)c;
    *next = window_give_back(g->window, value, c->now, g->cost);
    return value && *next != value;
}

static bool charge_cell(struct cell_change *c, uint64_t value, uint64_t *next) {
    struct charge *g = (struct charge *)c;
    *next = window_charge(g->window, value, c->now, g->cost);
    return g->cost > 0;
}

/* ---- all windows: all or nothing --------------------------------------------------------------
 */

struct asking {
    struct limit_ask *a;
    struct window divided[LIMIT_RATES_MAX];
    const struct window *window; /* those of the limiter, or divided */
    struct window_time now;
};

static void begin(struct asking *k, struct limit_ask *a, uint32_t share) {
    struct limiter *l = a->limiter;
    struct thread *t = thread_me();
    k->a = a;
    k->window = l->window;
    k->now.mono = t->loop.now;
    k->now.wall =
        l->conf->algorithm == LIMIT_FIXED_WINDOW ? (uint64_t)thread_wall_ns(t, t->loop.now) : 0;
    if (likely(share <= 1))
        return;
    for (unsigned i = 0; i < l->windows; i++)
        window_init(&k->divided[i], l->conf, i, share);
    k->window = k->divided;
}

static bool change(struct asking *k, unsigned i, struct charge *g,
                   bool (*how)(struct cell_change *, uint64_t, uint64_t *)) {
    const struct window *w = &k->window[i];
    g->window = w;
    g->change = (struct cell_change){how, &w->rule, k->a->hash, window_now(w, &k->now), false};
    bool changed = cells_change(k->a->limiter->cells[i], &g->change);
    if (unlikely(g->change.inherited))
        count_add(limiter_counts(k->a->limiter, thread_me())->shared_cells, 1);
    return changed;
}

/* The tightest is what people are told of. */
static void tell(struct asking *k, unsigned i, const struct window_judgement *j) {
    struct limit_answer *out = &k->a->answer;
    const struct window *w = &k->window[i];
    bool first = !out->limit;
    if (j->allowed && out->verdict == LIMIT_REFUSED)
        return;
    if (!j->allowed) {
        if (out->verdict == LIMIT_REFUSED && out->wait_ns >= j->wait_ns)
            return;
        out->verdict = LIMIT_REFUSED;
    } else if (j->wait_ns > out->wait_ns) {
        out->verdict = LIMIT_DELAYED;
        out->wait_ns = j->wait_ns;
    }
    bool tighter =
        first || !j->allowed ||
        (unsigned __int128)j->remaining * out->limit < (unsigned __int128)out->remaining * w->burst;
    if (!tighter)
        return;
    out->window = i;
    out->limit = w->burst;
    out->remaining = j->remaining;
    out->reset_ns = j->reset_ns;
    if (!j->allowed)
        out->wait_ns = j->wait_ns;
}

static void back_to(struct asking *k, unsigned windows) {
    for (unsigned i = 0; i < windows; i++) {
        struct charge g = {.cost = k->a->cost};
        (void)change(k, i, &g, give_back_cell);
    }
}

static bool pass(struct asking *k, bool look) {
    unsigned n = k->a->limiter->windows;
    k->a->answer = (struct limit_answer){0};
    for (unsigned i = 0; i < n; i++) {
        struct charge g = {.cost = k->a->cost, .max_wait_ns = k->a->max_wait_ns, .look = look};
        (void)change(k, i, &g, judge_cell);
        tell(k, i, &g.judged);
        if (!g.judged.allowed && !look) {
            back_to(k, i);
            return false;
        }
    }
    return k->a->answer.verdict != LIMIT_REFUSED;
}

void limiter_judge(struct limit_ask *a, uint32_t share) {
    struct asking k;
    begin(&k, a, share);
    if (a->limiter->windows > 1 && !pass(&k, true))
        return; /* so that a refusal by one window takes nothing of the others, even for a moment */
    (void)pass(&k, false);
}

void limiter_give_back(struct limit_ask *a, uint32_t share) {
    struct asking k;
    begin(&k, a, share);
    back_to(&k, a->limiter->windows);
}

void limiter_charge_here(struct limit_ask *a, uint64_t cost) {
    struct asking k;
    begin(&k, a, 1);
    for (unsigned i = 0; i < a->limiter->windows; i++) {
        struct charge g = {.cost = cost};
        (void)change(&k, i, &g, charge_cell);
    }
}

/* ---- asking -----------------------------------------------------------------------------------
 */

bool limiter_ask(struct limit_ask *a) {
    a->hash = hash_span(a->key);
    if (unlikely(a->limiter->shared))
        return a->limiter->shared->ask(a);
    limiter_judge(a, 1);
    return true;
}

void limiter_refund(struct limit_ask *a) {
    if (a->limiter->shared)
        a->limiter->shared->refund(a);
    else
        limiter_give_back(a, 1);
}

static void correct_here(struct limit_ask *a, int64_t more) {
    struct limit_ask by = *a;
    if (more > 0) {
        limiter_charge_here(a, (uint64_t)more);
    } else if (more < 0) {
        by.cost = 0 - (uint64_t)more;
        limiter_give_back(&by, 1);
    }
}

void limiter_correct(struct limit_ask *a, int64_t more) {
    if (a->limiter->shared)
        a->limiter->shared->correct(a, more);
    else
        correct_here(a, more);
}

/* ---- counts, keys ---- */

struct limit_counts *limiter_counts(struct limiter *l, struct thread *t) {
    return &l->stats->thread[t->index % LIMIT_THREADS].counts;
}

void limiter_note(struct limit_ask *a, bool observed) {
    struct thread *t = thread_me();
    struct limit_counts *n = limiter_counts(a->limiter, t);
    bool refused = a->answer.verdict == LIMIT_REFUSED || a->answer.verdict == LIMIT_UNKNOWN;
    if (refused && observed)
        count_add(n->observed, 1);
    else if (refused)
        count_add(n->refused, 1);
    else if (a->answer.verdict == LIMIT_DELAYED)
        count_add(n->delayed, 1);
    else
        count_add(n->allowed, 1);
    if (a->answer.away)
        count_add(n->away, 1);
    hot_note(&a->limiter->stats->hot[t->index % LIMIT_THREADS], a->key, a->hash, refused);
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
    for (unsigned i = 0; i < LIMIT_THREADS; i++) {
        unsigned k = 0;
#define C(name)                                                                                    \
    out.count[k++] += atomic_load_explicit(&s->thread[i].counts.name, memory_order_relaxed);
        LIMIT_COUNTS(C)
#undef C
    }
    w->fn(w->ctx, &out);
}

void limiter_walk(void (*fn)(void *ctx, const struct limiter_state *), void *ctx) {
    struct walking w = {fn, ctx};
    lasting_each(&stats_kind, walk_one, &w);
}

struct hottest {
    struct span id;
    void (*fn)(void *ctx, struct span id, const struct hot_key *);
    void *ctx;
};

static void hot_one(void *obj, void *ctx) {
    struct limiter_stats *s = obj;
    struct hottest *h = ctx;
    if (h->id.n && !span_eq(h->id, lasting_key(s)))
        return;
    for (unsigned i = 0; i < LIMIT_THREADS; i++) {
        struct hot_key copy[HOT_KEYS];
        unsigned n = hot_read(&s->hot[i], copy);
        for (unsigned k = 0; k < n; k++)
            h->fn(h->ctx, lasting_key(s), &copy[k]);
    }
}

void limiter_hot(struct span id, void (*fn)(void *ctx, struct span id, const struct hot_key *),
                 void *ctx) {
    struct hottest h = {id, fn, ctx};
    lasting_each(&stats_kind, hot_one, &h);
}

struct forgetting {
    uint64_t hash;
    unsigned found;
};

static void forget_one(struct cells *t, void *ctx) {
    struct forgetting *f = ctx;
    f->found += cells_forget(t, f->hash);
}

unsigned limiter_reset(struct span id, struct span key) {
    struct forgetting f = {.hash = hash_span(key)};
    char room[512];
    struct str prefix = str_on(room, sizeof room);
    if (id.n) {
        str_add(&prefix, id);
        str_lit(&prefix, "|");
    }
    if (!prefix.full)
        cells_each(str_span(&prefix), forget_one, &f);
    return f.found;
}
