#include "limit/gate.h"
#include "core/asker.h"
#include "core/facts.h"
#include "core/lasting.h"
#include "core/publish.h"
#include "limit/adaptive.h"
#include "limit/latencies.h"
#include "limit/limiter.h"
#include "limit/turns.h"

enum { KEY_MAX = 4096, LOOK_AGAIN_MS = 20 };
#define SECOND_NS 1000000000ull

/* What one thread knows of a service: it alone writes. */
struct shard {
    struct list young; /* passes that wait for an answer, the oldest first */
    struct latencies latencies;
};

struct gate {
    struct turns turns;
    struct turn_cell slots; /* of the fixed limit */
    _Atomic uint64_t refused_limit, refused_adaptive, refused_rate;
    struct adaptive adaptive; /* with `judging` */
    struct latencies seen;    /* likewise: what stood there when the window began */
    uint64_t window_began;    /* likewise */
    atomic_flag judging;
    _Atomic(struct shard *) shard[THREADS_MAX];

    char line_before[64]; /* what follows is read or written with every request */
    struct turn_cell asked;
    _Atomic uint32_t limit, epoch, peak;
    _Atomic uint64_t look_at, patience; /* ns */
    char line_after[64];
};

/* ---- what lasts
 * -----------------------------------------------------------------------------------
 */

static void make(void *obj, struct span key) {
    struct gate *g = obj;
    (void)key;
    turns_init(&g->turns);
    atomic_flag_clear(&g->judging);
}

static void close_gate(void *obj) {
    struct gate *g = obj;
    must(turn_count(&g->slots) == 0 && turn_count(&g->asked) == 0);
    turns_finish(&g->turns);
    for (unsigned i = 0; i < THREADS_MAX; i++)
        mem_free(atomic_load(&g->shard[i]));
}

static const struct lasting_kind kind = {
    .name = "gate", .size = sizeof(struct gate), .make = make, .close = close_gate};

static struct gate *gate_of(const struct service_conf *s) {
    return s->gate.lasting;
}

static struct shard *shard_of(struct gate *g) {
    unsigned i = thread_me()->index % THREADS_MAX;
    struct shard *s = atomic_load_explicit(&g->shard[i], memory_order_relaxed);
    if (likely(s != NULL))
        return s;
    s = mem_alloc(sizeof *s);
    list_init(&s->young);
    atomic_store(&g->shard[i], s);
    return s;
}

/* ---- the adaptive limit
 * ---------------------------------------------------------------------------
 */

static struct adaptive_conf adaptive_conf(const struct gate_conf *c) {
    return (struct adaptive_conf){.on = !c->adaptive.off,
                                  .min = c->adaptive.min,
                                  .max = c->adaptive.max,
                                  .tolerance = c->adaptive.tolerance,
                                  .min_latency_ms = c->adaptive.min_latency_ms};
}

static void add_up(struct gate *g, struct latencies *sum) {
    *sum = (struct latencies){.count = 0};
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        struct shard *s = atomic_load(&g->shard[i]);
        if (s)
            latencies_add(sum, &s->latencies);
    }
}

static void tell_limit(struct gate *g) {
    uint32_t before = atomic_exchange(&g->limit, g->adaptive.limit);
    atomic_store(&g->epoch, g->adaptive.epoch);
    atomic_store(&g->patience, adaptive_patience(&g->adaptive));
    if (g->adaptive.limit > before)
        turns_look_again(&g->turns, &g->asked);
}

static void begin_window(struct gate *g, uint64_t now, const struct latencies *all) {
    g->seen = *all;
    g->window_began = now;
    atomic_store(&g->peak, turn_count(&g->asked));
}

static void judge(struct gate *g, const struct gate_conf *conf, uint64_t now) {
    struct adaptive_conf c = adaptive_conf(conf);
    struct latencies all, window;
    add_up(g, &all);
    latencies_since(&window, &all, &g->seen);
    uint64_t length = now - g->window_began;
    uint32_t samples = (uint32_t)latencies_count(&window);
    if (adaptive_enough(&g->adaptive, length, samples)) {
        adaptive_judge(&g->adaptive, &c,
                       &(struct adaptive_window){.length_ns = length,
                                                 .samples = samples,
                                                 .peak = atomic_load(&g->peak),
                                                 .quick_ns = latencies_below(&window, 10),
                                                 .mid_ns = latencies_below(&window, 50)});
        tell_limit(g);
        begin_window(g, now, &all);
    } else if (adaptive_stale(&g->adaptive, length, samples)) {
        begin_window(g, now, &all);
    }
    atomic_store(&g->look_at, now + LOOK_AGAIN_MS * 1000000ull);
}

static void look(struct gate *g, const struct gate_conf *conf, uint64_t now) {
    if (likely(now < atomic_load_explicit(&g->look_at, memory_order_relaxed)) ||
        atomic_flag_test_and_set(&g->judging))
        return;
    judge(g, conf, now);
    atomic_flag_clear(&g->judging);
}

static void note_peak(struct gate *g) {
    uint32_t n = turn_count(&g->asked), most = atomic_load_explicit(&g->peak, memory_order_relaxed);
    while (unlikely(n > most) && !atomic_compare_exchange_weak(&g->peak, &most, n))
        ;
}

static void uncount(struct gate *g, struct gate_pass *p) {
    p->counted = false;
    list_remove(&p->node);
    turns_leave(&g->turns, &g->asked);
}

/* Those that this thread sent too long ago are no load. */
static void lose_patience(struct gate *g, struct shard *s, uint64_t now) {
    uint64_t most = atomic_load_explicit(&g->patience, memory_order_relaxed);
    while (list_linked(&s->young)) {
        struct gate_pass *p = container_of(s->young.next, struct gate_pass, node);
        if (likely(now - p->sent_at <= most))
            return;
        uncount(g, p);
    }
}

static void measure(struct gate *g, struct gate_pass *p, uint64_t now) {
    struct shard *s = shard_of(g);
    if (likely(p->epoch == atomic_load_explicit(&g->epoch, memory_order_relaxed)))
        latencies_note(&s->latencies, now - p->sent_at);
    look(g, &p->service->gate, now);
}

/* It goes to the service now. */
static void sent(struct gate *g, struct gate_pass *p) {
    uint64_t now = p->x->thread->loop.now;
    struct shard *s = shard_of(g);
    p->sent_at = now;
    p->epoch = atomic_load_explicit(&g->epoch, memory_order_relaxed);
    p->counted = true;
    note_peak(g);
    lose_patience(g, s, now);
    list_append(&s->young, &p->node);
}

/* ---- who has to wait, or goes through more than the adaptive limit
 * --------------------------------
 */

struct gate_part {
    struct gate_pass *pass;
    struct limit_ask ask;
    struct turn turn;
    struct op op; /* its rate allows it later */
    struct timer timer;
    enum { AT_RATE, AT_SLOT, AT_ADAPTIVE } stage;
    bool waited;
    uint64_t since;
};

static struct gate_part *part_of(struct gate_pass *p) {
    if (!p->part) {
        struct gate_part *part = p->part = arena_zero(&p->x->arena, sizeof *part);
        part->pass = p;
    }
    return p->part;
}

static void retry_after(struct exchange *x, uint64_t ns) {
    uint64_t s = (ns + SECOND_NS - 1) / SECOND_NS;
    s = s ? s : 1;
    struct own_field *f = arena_alloc(&x->arena, sizeof *f);
    *f = (struct own_field){SPAN("retry-after"),
                            span_z(arena_fmt(&x->arena, "%u", s < 3600 ? (unsigned)s : 3600u)),
                            x->own};
    x->own = f;
}

static void give_up(struct gate *g, struct gate_pass *p) {
    if (p->counted)
        uncount(g, p);
    if (p->slot)
        turns_leave(&g->turns, &g->slots);
    p->slot = false;
    if (p->rated)
        limiter_refund(&part_of(p)->ask);
    p->rated = false;
}

static enum gate_result shut(struct gate_pass *p, enum fault why, uint64_t wait_ns,
                             const char *detail) {
    give_up(gate_of(p->service), p);
    p->fault = why;
    p->detail = arena_fmt(&p->x->arena, "service %.*s: %s", SPAN_ARG(p->service->name), detail);
    if (why == FAULT_SERVICE_BUSY)
        retry_after(p->x, wait_ns);
    return GATE_SHUT;
}

static enum gate_result go_on(struct gate_pass *p);

static void resumed(struct gate_pass *p, enum gate_result r) {
    struct exchange *x = p->x;
    struct gate_part *part = p->part;
    if (r == GATE_WAIT)
        return;
    x->queued_ns += x->thread->loop.now - part->since;
    p->ready(p, r);
}

/* ---- the rate */

static void its_time(struct timer *t) {
    struct gate_part *part = container_of(t, struct gate_part, timer);
    op_end(&part->op);
    part->stage = AT_SLOT;
    resumed(part->pass, go_on(part->pass));
}

static void leaves_early(struct op *op) {
    timer_stop(&container_of(op, struct gate_part, op)->timer);
}

static enum gate_result delayed(struct gate_pass *p) {
    struct gate_part *part = p->part;
    struct loop *l = &p->x->thread->loop;
    uint64_t ns = part->ask.answer.wait_ns;
    part->timer.fire = its_time;
    op_start(p->ops, &part->op, leaves_early);
    timer_start(&l->timers, &part->timer, l->now / 1000000, ns / 1000000 + (ns % 1000000 != 0));
    return GATE_WAIT;
}

static enum gate_result rate_answered(struct gate_pass *p) {
    struct gate_part *part = p->part;
    struct gate *g = gate_of(p->service);
    limiter_note(&part->ask, false);
    p->rated = part->ask.answer.verdict <= LIMIT_DELAYED;
    part->stage = AT_SLOT;
    switch (part->ask.answer.verdict) {
    case LIMIT_ALLOWED:
        return go_on(p);
    case LIMIT_DELAYED:
        return delayed(p);
    case LIMIT_REFUSED:
        atomic_fetch_add_explicit(&g->refused_rate, 1, memory_order_relaxed);
        return shut(p, FAULT_SERVICE_BUSY, part->ask.answer.wait_ns,
                    "its rate_limit is used up just now");
    case LIMIT_UNKNOWN:
        break;
    }
    return shut(p, FAULT_LIMITS_UNAVAILABLE, 0, "the shared state of its rate_limit is away");
}

static void rate_ready(struct limit_ask *a) {
    struct gate_part *part = container_of(a, struct gate_part, ask);
    resumed(part->pass, rate_answered(part->pass));
}

static uint64_t may_wait_ms(const struct gate_pass *p) {
    const struct queue_conf *q = &p->service->gate.queue;
    return q->size ? exchange_time_left_ms(p->x, q->max_wait_ms) : 0;
}

static enum gate_result ask_rate(struct gate_pass *p) {
    const struct rate_limit_conf *c = p->service->gate.rate;
    struct gate_part *part = part_of(p);
    part->ask =
        (struct limit_ask){.limiter = c->limiter,
                           .key = c->key ? asker_key_of(c->key, p->x) : SPAN("all"),
                           .cost = c->cost_fixed ? c->cost_fixed : asker_cost(c->cost, p->x),
                           .max_wait_ns = may_wait_ms(p) * 1000000,
                           .ops = p->ops,
                           .ready = rate_ready};
    return limiter_ask(&part->ask) ? rate_answered(p) : GATE_WAIT;
}

/* ---- turns */

static enum turn_class class_of(const struct gate_pass *p) {
    const struct template *t = p->service->gate.priority;
    struct template_values v = facts_values(p->x);
    struct span word;
    return t && template_eval(t, &p->x->arena, &v, KEY_MAX, &word) ? turn_class_of(word)
                                                                   : TURN_NORMAL;
}

static enum gate_result no_turn(struct gate_pass *p, enum turn_result r, uint64_t pace) {
    static const char *const fixed[] = {
        [TURN_FULL] = "as much is under way as its limit allows",
        [TURN_LATE] = "as much is under way as its limit allows, and no turn came in time",
        [TURN_DISPLACED] = "the place in the queue went to a higher priority"};
    static const char *const found[] = {
        [TURN_FULL] = "its answers take too long: the adaptive limit is reached",
        [TURN_LATE] = "its answers take too long, and no turn came in time",
        [TURN_DISPLACED] = "the place in the queue went to a higher priority"};
    struct gate *g = gate_of(p->service);
    bool slot = !p->slot && p->service->gate.limit;
    atomic_fetch_add_explicit(slot ? &g->refused_limit : &g->refused_adaptive, 1,
                              memory_order_relaxed);
    return shut(p, FAULT_SERVICE_BUSY, pace, slot ? fixed[r] : found[r]);
}

static void taken(struct gate *g, struct gate_pass *p) {
    if (p->service->gate.limit && !p->slot)
        p->slot = true;
    else
        sent(g, p);
}

static void turn_ready(struct turn *t, enum turn_result r) {
    struct gate_pass *p = container_of(t, struct gate_part, turn)->pass;
    if (r != TURN_TAKEN) {
        resumed(p, no_turn(p, r, t->pace));
        return;
    }
    taken(gate_of(p->service), p);
    resumed(p, go_on(p));
}

/* The limit is reached: to queue up, or to be refused. */
static enum gate_result queue_up(struct gate *g, struct gate_pass *p, struct turn_cell *cell,
                                 struct turn_ask *ask) {
    struct gate_part *part = part_of(p);
    ask->queue = p->service->gate.queue.size;
    ask->wait_ms = may_wait_ms(p);
    ask->class = class_of(p);
    ask->ops = p->ops;
    part->turn = (struct turn){.turns = &g->turns, .cell = cell, .ready = turn_ready};
    enum turn_result r = turn_take(&part->turn, ask);
    if (r == TURN_WAIT)
        return GATE_WAIT;
    if (r != TURN_TAKEN)
        return no_turn(p, r, part->turn.pace);
    taken(g, p);
    return GATE_OPEN;
}

static enum gate_result take_slot(struct gate *g, struct gate_pass *p) {
    struct turn_ask ask = {.limit = p->service->gate.limit};
    p->slot = turns_enter(&g->slots, ask.limit);
    return likely(p->slot) ? GATE_OPEN : queue_up(g, p, &g->slots, &ask);
}

static enum gate_result count(struct gate *g, struct gate_pass *p) {
    struct turn_ask ask = {.limit = TURN_LIMIT_MAX, .moving = &g->limit};
    if (unlikely(!turns_enter(&g->asked, atomic_load_explicit(&g->limit, memory_order_relaxed))))
        return queue_up(g, p, &g->asked, &ask);
    sent(g, p);
    return GATE_OPEN;
}

static enum gate_result go_on(struct gate_pass *p) {
    const struct gate_conf *c = &p->service->gate;
    struct gate *g = gate_of(p->service);
    enum gate_result r = GATE_OPEN;
    if (c->limit && !p->slot)
        r = take_slot(g, p);
    if (r == GATE_OPEN && !c->adaptive.off && !p->counted)
        r = count(g, p);
    return r;
}

/* ---- the record
 * -----------------------------------------------------------------------------------
 */

static enum gate_result enter(struct gate_pass *p) {
    enum gate_result r = unlikely(p->service->gate.rate != NULL) ? ask_rate(p) : go_on(p);
    if (unlikely(r == GATE_WAIT))
        part_of(p)->since = p->x->thread->loop.now;
    return r;
}

/* cost_after: now it is known what it really cost. */
static void correct(struct gate_pass *p) {
    const struct template *t = p->service->gate.rate->cost_after;
    struct limit_ask *ask = &part_of(p)->ask;
    if (!t)
        return;
    int64_t more = (int64_t)asker_cost(t, p->x) - (int64_t)ask->cost;
    if (more)
        limiter_correct(ask, more);
}

static void answered(struct gate_pass *p, bool ordinary) {
    struct gate *g = gate_of(p->service);
    if (unlikely(p->rated))
        correct(p);
    p->rated = false; /* it is spent */
    if (!p->counted)
        return;
    uncount(g, p);
    if (likely(ordinary))
        measure(g, p, p->x->thread->loop.now);
}

static void leave(struct gate_pass *p, enum gate_outcome how) {
    struct gate *g = gate_of(p->service);
    if (p->counted && how == GATE_TIMED_OUT)
        measure(g, p, p->x->thread->loop.now);
    p->rated = false; /* what was asked for is spent */
    give_up(g, p);
}

static const char *finish(struct arena *a, struct gate_conf *c) {
    const struct template *t = c->priority;
    (void)a;
    if (t && t->constant && turn_class_of(t->source) == TURN_NORMAL &&
        !span_eq(t->source, SPAN("normal")))
        return "`priority` is high, normal or low, or an expression that gives one of them";
    return gate_complete(c);
}

const struct gate_ops gate_ops = {finish, enter, answered, leave};

/* ---- snapshots
 * ------------------------------------------------------------------------------------
 */

static void configure(struct gate *g, const struct gate_conf *conf) {
    struct adaptive_conf c = adaptive_conf(conf);
    while (atomic_flag_test_and_set(&g->judging))
        ;
    if (!g->adaptive.limit || conf->adaptive.off)
        adaptive_init(&g->adaptive, &c);
    else if (g->adaptive.state == ADAPTIVE_CALM || g->adaptive.limit > c.max)
        g->adaptive.limit = c.max;
    else if (g->adaptive.limit < c.min)
        g->adaptive.limit = c.min;
    tell_limit(g);
    atomic_flag_clear(&g->judging);
    turns_look_again(&g->turns, &g->slots);
}

static void attach_one(struct snapshot *s, struct service_conf *c) {
    struct gate *g = c->gate.lasting = lasting_get(&kind, c->name);
    struct rate_limit_conf *rate = (struct rate_limit_conf *)(uintptr_t)c->gate.rate;
    configure(g, &c->gate);
    if (rate)
        limiter_attach(s, rate,
                       span_z(arena_fmt(&s->arena, "service %.*s rate_limit", SPAN_ARG(c->name))));
}

void gate_attach(struct snapshot *s) {
    for (uint32_t i = 0; i < s->service_count; i++)
        if (s->service[i].gate.ops)
            attach_one(s, (struct service_conf *)(uintptr_t)&s->service[i]);
}

void gate_detach(struct snapshot *s) {
    for (uint32_t i = 0; i < s->service_count; i++) {
        struct gate_conf *c = (struct gate_conf *)(uintptr_t)&s->service[i].gate;
        if (!c->lasting)
            continue;
        if (c->rate)
            limiter_detach((struct rate_limit_conf *)(uintptr_t)c->rate);
        lasting_unref(c->lasting);
        c->lasting = NULL;
    }
}

void gate_look(const struct service_conf *s, struct gate_state *out) {
    struct gate *g = gate_of(s);
    *out = (struct gate_state){.in_flight = turn_count(&g->slots),
                               .asked = turn_count(&g->asked),
                               .waiting = atomic_load(&g->turns.waiting),
                               .refused_limit = atomic_load(&g->refused_limit),
                               .refused_adaptive = atomic_load(&g->refused_adaptive),
                               .refused_rate = atomic_load(&g->refused_rate),
                               .refused_queue = atomic_load(&g->turns.displaced),
                               .refused_late = atomic_load(&g->turns.late),
                               .queued = atomic_load(&g->turns.queued),
                               .waited_ns = atomic_load(&g->turns.waited_ns)};
    while (atomic_flag_test_and_set(&g->judging))
        ;
    out->adaptive = g->adaptive.limit;
    out->limiting = g->adaptive.state == ADAPTIVE_LIMITING;
    out->usual_ns = (uint64_t)g->adaptive.mid;
    atomic_flag_clear(&g->judging);
}
