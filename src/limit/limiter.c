#include "limit/limiter_in.h"
#include "base/hash.h"
#include "base/env.h"

static const struct limiter_shared *shared_judge;

void limiter_set_shared(const struct limiter_shared *shared) {
    shared_judge = shared;
}

/* ---- what lasts -------------------------------------------------------------------------------
 */

static const char *const algorithm_name[] = {"gcra", "sliding", "fixed"};

/* "per-user|gcra|0", "per-user|fixed|60000": a changed rate of GCRA keeps what is owed; a window of
 * another length counts anew. */
static struct span cells_name(struct arena *a, const struct rate_limit_conf *c, unsigned i) {
    bool gcra = c->algorithm == LIMIT_GCRA;
    return span_z(arena_fmt(a, "%.*s|%s|%llu", SPAN_ARG(c->id), algorithm_name[c->algorithm],
                            gcra ? i : (unsigned long long)c->rate[i].per_ms));
}

static struct window_time time_at(struct thread *t, uint64_t now, enum limit_algorithm a) {
    bool by_wall = a == LIMIT_FIXED_WINDOW;
    return (struct window_time){now, by_wall ? (uint64_t)thread_wall_ns(t, now) : 0};
}

static void attach_window(struct snapshot *s, struct limiter *l, unsigned i) {
    const struct rate_limit_conf *c = l->conf;
    struct window *w = &l->window[i];
    uint32_t keys = l->one ? 1 : c->keys;
    l->cells[i] = cells_get(cells_name(&s->arena, c, i), keys);
    window_init(w, c, i, 1);
    w->epoch = cells_epoch(l->cells[i]);
    struct window_time now = {env.now_ns(), (uint64_t)env.wall_ns()};
    cells_grow(l->cells[i], keys, &w->rule, window_now(w, &now));
}

static void attach_one(struct snapshot *s, struct rate_limit_conf *c) {
    struct limiter *l = arena_zero(&s->arena, sizeof *l);
    uint64_t memory = 0;
    l->conf = c;
    l->windows = c->rates;
    l->one = c->key && c->key->constant;
    l->stats = limiter_stats_get(c->id);
    for (unsigned i = 0; i < c->rates; i++) {
        attach_window(s, l, i);
        memory += cells_memory(l->cells[i]);
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
    limiter_stats_unref(l->stats);
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
    uint64_t cost, max_wait_ns, mark;
    struct window_judgement judged;
    bool look; /* nothing is written */
};

static bool judge_cell(struct cell_change *c, uint64_t value, uint64_t *next) {
    struct charge *g = (struct charge *)c;
    window_judge(g->window, value, c->now, g->cost, g->max_wait_ns, &g->judged);
    *next = g->judged.next;
    return g->judged.allowed && g->cost && !g->look;
}

/* Who was evicted has nothing to be given back to. */
static bool give_back_cell(struct cell_change *c, uint64_t value, uint64_t *next) {
    struct charge *g = (struct charge *)c;
    if (!c->own)
        return false;
    *next = window_give_back(g->window, value, c->now, g->cost, g->mark);
    return *next != value;
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
    const struct window *window; /* those of the limiter, or divided */
    struct window_time now;
};

static struct asking begin(struct limit_ask *a, const struct window *w) {
    struct thread *t = thread_me();
    return (struct asking){a, w, time_at(t, t->loop.now, a->limiter->window->algorithm)};
}

struct parts { /* of the windows, for this gateway alone */
    struct window window[LIMIT_RATES_MAX];
};

static struct asking begin_part(struct limit_ask *a, uint32_t share, struct parts *p) {
    const struct limiter *l = a->limiter;
    for (unsigned i = 0; i < l->windows; i++) {
        window_init(&p->window[i], l->conf, i, share);
        p->window[i].epoch = l->window[i].epoch;
    }
    return begin(a, p->window);
}

static bool change(struct asking *k, unsigned i, struct charge *g,
                   bool (*how)(struct cell_change *, uint64_t, uint64_t *)) {
    const struct window *w = &k->window[i];
    g->window = w;
    g->change =
        (struct cell_change){how, &w->rule, k->a->hash, window_now(w, &k->now), false, false};
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

static void back_at(struct asking *k, unsigned i) {
    struct charge g = {.cost = k->a->cost, .mark = k->a->mark[i]};
    (void)change(k, i, &g, give_back_cell);
}

static bool judge_at(struct asking *k, unsigned i, bool look) {
    struct charge g = {.cost = k->a->cost, .max_wait_ns = k->a->max_wait_ns, .look = look};
    (void)change(k, i, &g, judge_cell);
    tell(k, i, &g.judged);
    k->a->mark[i] = g.judged.mark;
    return g.judged.allowed;
}

/* All but the last one are looked at before anything is charged, so that a refusal takes nothing of
 * the others, even for a moment. Who is faster in between makes us give back. */
static void judge(struct asking *k) {
    struct limit_ask *a = k->a;
    unsigned last = a->limiter->windows - 1, i;
    a->answer = (struct limit_answer){0};
    for (i = 0; i <= last; i++)
        cells_prefetch(a->limiter->cells[i], a->hash);
    for (i = 0; i < last; i++)
        (void)judge_at(k, i, true);
    if (!judge_at(k, last, a->answer.verdict == LIMIT_REFUSED) ||
        a->answer.verdict == LIMIT_REFUSED)
        return;
    for (i = 0; i < last && judge_at(k, i, false); i++)
        continue;
    if (likely(i == last))
        return;
    back_at(k, last);
    while (i)
        back_at(k, --i);
}

void limiter_judge(struct limit_ask *a, uint32_t share) {
    struct asking k;
    if (likely(share <= 1)) {
        k = begin(a, a->limiter->window);
        judge(&k);
        return;
    }
    struct parts p;
    k = begin_part(a, share, &p);
    judge(&k);
}

void limiter_give_back(struct limit_ask *a, uint32_t share) {
    struct parts p;
    struct asking k = begin_part(a, share ? share : 1, &p);
    for (unsigned i = 0; i < a->limiter->windows; i++)
        back_at(&k, i);
}

void limiter_charge_here(struct limit_ask *a, uint64_t cost) {
    struct asking k = begin(a, a->limiter->window);
    for (unsigned i = 0; i < a->limiter->windows; i++) {
        struct charge g = {.cost = cost};
        (void)change(&k, i, &g, charge_cell);
    }
}

/* ---- asking -----------------------------------------------------------------------------------
 */

bool limiter_ask(struct limit_ask *a) {
    a->hash = hash_span(a->key);
    memset(a->mark, 0, sizeof a->mark);
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
