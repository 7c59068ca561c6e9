#include "core/overload.h"
#include "base/hash.h"
#include "base/log.h"
#include "core/asker.h"
#include "core/schema.h"
#include "core/thread.h"

enum {
    TICK_MS = 100,
    REQUEST_NS = 15000, /* reading it and writing its answer, which nobody measures */
    LOOK_AT = 256,      /* exchanges, in search of the largest */
    WORTH_IT = 32 * 1024
};

/* ---- how it is written -----------------------------------------------------------------------
 */

#define O(member) FIELD(struct overload_conf, member)

static const struct schema_type budget = {
    .kind = SCHEMA_SIZE, .min = 16 << 20, .what = "a size, as 2GiB; at least 16MiB"};
static const struct schema_type target = {.kind = SCHEMA_DURATION, .min = 1, .max = 60000};
static const struct schema_field fields[] = {
    {.key = "memory",
     .type = &budget,
     O(memory),
     .doc = "What the gateway may use; else the limit of its cgroup (a container's), else what "
            "the machine has."},
    {.key = "loop_delay",
     .type = &target,
     O(loop_delay_ms),
     .shipped = "100ms",
     .doc = "How long what has come may wait for a worker before some requests are refused."},
};
static const struct schema_object object = {
    .name = "overload",
    SCHEMA_OBJECT_OF(fields),
    .doc = "When the gateway refuses requests because it has too much to do or too little "
           "memory; false: never."};
const struct schema_type schema_overload_type = {
    .kind = SCHEMA_OBJECT, .object = &object, .flags = TYPE_OR_OFF | TYPE_OR_ON};

/* ---- judging ---------------------------------------------------------------------------------
 */

/* Whoever is known by now: the caller, else the address. Never 0. */
static uint64_t key_of(struct exchange *x) {
    return hash_span(asker_key(x)) | 1;
}

static bool spared(const struct exchange *x) {
    return x->front->inner || !x->route;
}

static bool refuse_by_share(struct exchange *x, uint64_t key) {
    struct overload *o = &x->thread->overload;
    bool last = x->route->shed == SHED_WORD_LAST;
    if (!o->shed.on || shed_asks(&o->shed, key, last ? SHED_LAST : SHED_FAIR)) {
        x->asker = key;
        return false;
    }
    o->refused++;
    count_up(x->thread, requests_shed_loop_delay);
    return true;
}

enum fault overload_refuses(struct exchange *x) {
    struct overload *o = &x->thread->overload;
    if (spared(x))
        return FAULT_NONE;
    enum shed_word word = x->route->shed;
    unsigned least = word == SHED_WORD_LAST    ? OVERLOAD_STOP
                     : word == SHED_WORD_FIRST ? OVERLOAD_SPARE
                                               : OVERLOAD_REFUSE;
    if (o->level >= least) {
        count_up(x->thread, requests_shed_memory);
        x->fault_detail = "little memory is left";
        return FAULT_OVERLOADED;
    }
    if (word == SHED_WORD_FIRST && shed_cuts(&o->shed)) {
        o->refused++;
        count_up(x->thread, requests_shed_loop_delay);
        x->fault_detail = "the loop is behind; shed: first";
        return FAULT_OVERLOADED;
    }
    x->fault_detail = "the loop is behind, and this address uses more than its share";
    if (refuse_by_share(x, key_of(x)))
        return FAULT_OVERLOADED;
    x->fault_detail = NULL;
    return FAULT_NONE;
}

enum fault overload_refuses_caller(struct exchange *x) {
    struct overload *o = &x->thread->overload;
    if (x->asker_known || !x->caller || spared(x))
        return FAULT_NONE;
    x->asker_known = true;
    uint64_t key = key_of(x), spent = x->spent_ns;
    if (key == x->asker || !o->shed.on)
        return FAULT_NONE;
    if (x->asker)
        shed_takes_back(&o->shed, x->asker, spent);
    x->asker = 0;
    if (!refuse_by_share(x, key)) {
        shed_charge(&o->shed, key, spent);
        return FAULT_NONE;
    }
    x->fault_detail = "the loop is behind, and this caller uses more than his share";
    return FAULT_OVERLOADED;
}

/* ---- charging --------------------------------------------------------------------------------
 */

uint64_t overload_clock(struct exchange *x) {
    struct overload *o = &x->thread->overload;
    if (o->charging || !o->shed.on)
        return 0;
    o->charging = true;
    return env.now_ns();
}

void overload_charge(struct exchange *x, uint64_t from) {
    struct overload *o = &x->thread->overload;
    uint64_t ns = env.now_ns() - from;
    o->charging = false;
    if (!x->asker || !o->shed.on)
        return;
    if (!x->spent_ns)
        ns += REQUEST_NS;
    x->spent_ns += ns;
    shed_charge(&o->shed, x->asker, ns);
}

/* ---- the loop's turns ------------------------------------------------------------------------
 */

static void set_on(struct thread *t) {
    struct overload *o = &t->overload;
    o->on = o->shed.on || o->level;
    if (!o->on)
        timer_stop(&o->tick);
    else if (!timer_running(&o->tick))
        timer_start(&t->loop.timers, &o->tick, t->loop.now / 1000000, TICK_MS);
}

static void tell(struct thread *t, enum shed_change c, uint64_t target_ms) {
    struct overload *o = &t->overload;
    uint64_t now = t->loop.now;
    if (c == SHED_BEGAN) {
        o->began_at = now;
        o->refused = 0;
        count_up(t, overloads_loop_delay);
        log_event(
            LEVEL_WARNING, "overload",
            "worker %u is behind: what has come waits %llu ms (loop_delay: %llu ms); who uses "
            "more than his share is refused",
            t->index, (unsigned long long)(o->shed.delay_ns / 1000000),
            (unsigned long long)target_ms);
    } else if (c == SHED_ENDED) {
        log_event(LEVEL_INFO, "overload",
                  "worker %u keeps up again; %llu requests were refused in %llu s", t->index,
                  (unsigned long long)o->refused,
                  (unsigned long long)((now - o->began_at) / 1000000000));
    }
}

static void stop_shedding(struct thread *t) {
    shed_finish(&t->overload.shed);
    atomic_store_explicit(&t->overload.cuts, false, memory_order_relaxed);
    set_on(t);
}

static void turned(struct loop *l) {
    struct thread *t = (struct thread *)(void *)l;
    struct overload *o = &t->overload;
    const struct overload_conf *c = t->snap ? t->snap->snapshot->overload : NULL;
    if (!c || c->off || t->control) {
        if (unlikely(o->shed.on))
            stop_shedding(t);
        return;
    }
    uint64_t since = o->shed.since;
    enum shed_change change = shed_turn(&o->shed, &l->lap, c->loop_delay_ms * 1000000);
    if (likely(since == o->shed.since))
        return;
    atomic_store_explicit(&o->delay_ns, o->shed.delay_ns, memory_order_relaxed);
    atomic_store_explicit(&o->cuts, shed_cuts(&o->shed), memory_order_relaxed);
    if (unlikely(o->shed.on || o->on))
        set_on(t);
    if (unlikely(change != SHED_SAME))
        tell(t, change, c->loop_delay_ms);
}

/* ---- memory ----------------------------------------------------------------------------------
 */

static size_t half_holds(const struct half *h) {
    size_t n = h->source.size;
    for (const struct stage *g = h->first; g; g = g->next)
        n += g->out.size;
    return n;
}

static size_t holds(const struct exchange *x) {
    return x->arena.used + half_holds(&x->up_half) + half_holds(&x->down_half);
}

/* Of those that the hand passes. */
static struct exchange *largest(struct thread *t) {
    struct exchange *found = NULL;
    size_t most = WORTH_IT;
    for (unsigned i = 0; i < LOOK_AT; i++) {
        struct list *n = list_shift(&t->exchanges);
        if (!n)
            break;
        list_append(&t->exchanges, n);
        struct exchange *x = container_of(n, struct exchange, node);
        size_t has = x->state == X_NEW || spared(x) ? 0 : holds(x);
        if (has <= most)
            continue;
        most = has;
        found = x;
    }
    return found;
}

/* One a turn. What it gives back the next look at memory will tell. */
static void end_largest(struct thread *t) {
    struct overload *o = &t->overload;
    struct exchange *x = o->excess ? largest(t) : NULL;
    if (!x) {
        o->excess = 0;
        return;
    }
    size_t has = holds(x);
    o->excess -= has < o->excess ? has : o->excess;
    count_up(t, requests_ended_memory);
    exchange_fail(x, FAULT_OVERLOADED, "memory is nearly used up, and it held most");
}

static void end_some(struct reader *r) {
    struct thread *t = container_of(r, struct thread, overload.ending);
    end_largest(t);
    if (t->overload.excess)
        loop_unfinished(&t->loop, r);
}

void overload_set_level(struct thread *t, enum overload_level level, uint64_t excess) {
    struct overload *o = &t->overload;
    bool changed = o->level != level;
    o->level = (unsigned char)level;
    o->excess = excess;
    set_on(t);
    if (changed && o->told)
        o->told(t);
    if (excess)
        loop_unfinished(&t->loop, &o->ending);
}

static void tick(struct timer *timer) {
    struct thread *t = container_of(timer, struct thread, overload.tick);
    set_on(t);
}

void overload_init(struct thread *t) {
    struct overload *o = &t->overload;
    o->tick.fire = tick;
    o->ending.again = end_some;
    env.random(&o->shed.seed, sizeof o->shed.seed);
    t->loop.on_turn = turned;
}

void overload_finish(struct thread *t) {
    timer_stop(&t->overload.tick);
    shed_finish(&t->overload.shed);
}
