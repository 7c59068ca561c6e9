#include "observe/nearest.h"
#include "base/log.h"
#include "core/route.h"

static _Atomic uint64_t window; /* second << 20 | looks in it */

static bool allowed(uint64_t second) {
    uint64_t was = atomic_load_explicit(&window, memory_order_relaxed), now;
    do {
        uint64_t looks = was >> 20 == second ? was & 0xfffff : 0;
        if (looks >= NEAREST_RATE)
            return false;
        now = second << 20 | (looks + 1);
    } while (!atomic_compare_exchange_weak_explicit(&window, &was, now, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static const char *condition(enum miss_kind kind) {
    static const char *const name[] = {"",       "host",  "path",   "listener", "method",
                                       "header", "query", "cookie", "when",     "another route"};
    _Static_assert(array_len(name) == MISS_OUTRANKED + 1, "a name for every kind");
    return name[kind];
}

static void tell_one(struct str *s, const struct miss *m) {
    char name[LOG_QUOTED_MAX], wanted[LOG_QUOTED_MAX];
    str_fmt(s, "%s%s (%s", s->n ? ", " : "", log_quoted(m->route->name, name), condition(m->kind));
    if (m->wanted.n)
        str_fmt(s, " is not %s", log_quoted(m->wanted, wanted));
    if (m->where.file)
        str_fmt(s, ", %s:%u", m->where.file, m->where.line);
    str_char(s, ')');
}

/* Apart, so that records of other ends don't pay for its texts. */
static __attribute__((noinline)) void tell(struct thread *t, const struct record *r) {
    const struct exchange *x = r->x;
    struct miss miss[NEAREST_ROUTES];
    char text[700], target[LOG_QUOTED_MAX], host[LOG_QUOTED_MAX], plain[LOG_QUOTED_MAX];
    struct str asked = str_on(plain, sizeof plain);
    struct str s = str_on(text, sizeof text - 1);
    struct arena a;
    arena_init(&a, &t->loop.arenas);
    uint32_t n = router_nearest(r->snapshot, &x->req, x->facts.listener, &a, miss, NEAREST_ROUTES);
    for (uint32_t i = 0; i < n; i++)
        tell_one(&s, &miss[i]);
    text[s.n] = 0;
    snapshot_hide(r->snapshot, x->req.target, &asked);
    log_event(LEVEL_INFO, "no_route",
              "%.*s %s at host %s matches no route; nearest: %s request_id=%.*s",
              SPAN_ARG(head_method_text(&x->req)), log_quoted(str_span(&asked), target),
              log_quoted(x->req.host, host), n ? text : "none", (int)x->facts.request_id_len,
              x->facts.request_id);
    arena_finish(&a);
}

void nearest_record(struct thread *t, const struct record *r) {
    if (r->fault == FAULT_NO_ROUTE && r->snapshot && log_event_wanted(LEVEL_INFO) &&
        allowed(t->loop.now / 1000000000))
        tell(t, r);
}
