#include "core/pressure.h"
#include "base/log.h"
#include "core/publish.h"
#include <malloc.h>

enum { LOOK_MS = 250, LOOK_LEAST_MS = 20, GIVE_BACK_MS = 1000, A_MS = 1 << 20, LEAVE = 50 };

static const unsigned enter_at[] = {
    [OVERLOAD_SPARE] = 800, [OVERLOAD_REFUSE] = 900, [OVERLOAD_STOP] = 950};

static struct {
    struct thread *control;
    struct timer look;
    uint64_t gave_back_at;
    _Atomic uint64_t used, budget, entered;
    atomic_uint level;
} pressure;

const char *overload_level_name(enum overload_level l) {
    static const char *const name[] = {"none", "spare", "refuse", "stop"};
    return name[l];
}

enum overload_level pressure_level(enum overload_level now, unsigned permille) {
    enum overload_level l = OVERLOAD_STOP;
    while (l > OVERLOAD_NONE && permille < enter_at[l] - (l <= now ? LEAVE : 0))
        l--;
    return l;
}

static enum overload_level level(void) {
    return (enum overload_level)atomic_load_explicit(&pressure.level, memory_order_relaxed);
}

/* ---- telling ---------------------------------------------------------------------------------
 */

struct news {
    struct message message;
    enum overload_level level;
    uint64_t excess;
};

static void told(struct message *m) {
    struct news *n = container_of(m, struct news, message);
    overload_set_level(thread_me(), n->level, n->excess);
    mem_free(n);
}

static struct message *make_news(struct thread *to, void *ctx) {
    if (to->control)
        return NULL;
    struct news *n = mem_alloc(sizeof *n);
    *n = *(const struct news *)ctx;
    n->message.receive = told;
    return &n->message;
}

static unsigned workers(void) {
    unsigned n = 0;
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        const struct thread *t = publish_thread(i);
        n += t && !t->control;
    }
    return n ? n : 1;
}

static void log_change(enum overload_level from, enum overload_level to,
                       const struct memory_use *m) {
    static const char *const what[] = {
        "as usual again", "connections close after their answer, idle ones after 2 s",
        "new requests get 503", "nobody is accepted, and requests that hold much are ended"};
    log_event(to > from ? LEVEL_WARNING : LEVEL_INFO, "overload",
              "memory: %llu MiB of %llu MiB are in use (%u.%u %%): %s",
              (unsigned long long)(m->used >> 20), (unsigned long long)(m->budget >> 20),
              m->permille / 10, m->permille % 10, what[to]);
}

/* At OVERLOAD_STOP each look asks anew for what is above the level before it. */
static void tell(enum overload_level to, const struct memory_use *m) {
    enum overload_level from = level();
    uint64_t keep = m->budget / 1000 * enter_at[OVERLOAD_REFUSE];
    struct news n = {.level = to};
    if (to == OVERLOAD_STOP && m->used > keep)
        n.excess = (m->used - keep) / workers();
    if (to == from && to != OVERLOAD_STOP)
        return;
    if (to != from)
        log_change(from, to, m);
    if (from == OVERLOAD_NONE && to != from)
        atomic_fetch_add_explicit(&pressure.entered, 1, memory_order_relaxed);
    atomic_store_explicit(&pressure.level, (unsigned)to, memory_order_relaxed);
    publish_each(make_news, &n);
}

/* ---- looking ---------------------------------------------------------------------------------
 */

static void give_back(uint64_t now_ms) {
    if (level() == OVERLOAD_NONE || now_ms - pressure.gave_back_at < GIVE_BACK_MS)
        return;
    pressure.gave_back_at = now_ms;
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

static uint64_t next_ms(const struct memory_use *m) {
    uint64_t first = m->budget / 1000 * enter_at[OVERLOAD_SPARE];
    uint64_t ms = first > m->used ? (first - m->used) / A_MS : 0;
    return ms < LOOK_LEAST_MS ? LOOK_LEAST_MS : ms > LOOK_MS ? LOOK_MS : ms;
}

static void look(struct timer *timer) {
    struct thread *t = pressure.control;
    const struct overload_conf *c = t->snap->snapshot->overload;
    struct memory_use m;
    memory_look(c ? c->memory : 0, &m);
    atomic_store_explicit(&pressure.used, m.used, memory_order_relaxed);
    atomic_store_explicit(&pressure.budget, m.budget, memory_order_relaxed);
    tell(c && !c->off ? pressure_level(level(), m.permille) : OVERLOAD_NONE, &m);
    give_back(t->loop.now / 1000000);
    timer_start(&t->loop.timers, timer, t->loop.now / 1000000, next_ms(&m));
}

void pressure_start(struct thread *control) {
    pressure.control = control;
    pressure.look.fire = look;
    timer_start(&control->loop.timers, &pressure.look, control->loop.now / 1000000, 0);
}

void pressure_stop(void) {
    timer_stop(&pressure.look);
}

struct loop_figures overload_loops(void) {
    struct loop_figures f = {0};
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        const struct thread *t = publish_thread(i);
        if (!t)
            continue;
        uint64_t ns = atomic_load_explicit(&t->overload.delay_ns, memory_order_relaxed);
        f.delay_ns = ns > f.delay_ns ? ns : f.delay_ns;
        f.cutting += atomic_load_explicit(&t->overload.cuts, memory_order_relaxed);
    }
    return f;
}

struct pressure_figures pressure_figures(void) {
    return (struct pressure_figures){atomic_load_explicit(&pressure.used, memory_order_relaxed),
                                     atomic_load_explicit(&pressure.budget, memory_order_relaxed),
                                     level(),
                                     atomic_load_explicit(&pressure.entered, memory_order_relaxed)};
}
