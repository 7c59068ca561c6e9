#include "core/exchange.h"
#include "core/chain.h"
#include "core/forward.h"
#include "core/problem.h"
#include "core/route_when.h"
#include "core/streams.h"
#include "core/thread.h"

/* Everything about the life of an exchange; the chain of filters is chain.c. */

static void exchange_task(struct task *t);
static void deadline_passed(struct timer *t);

static const struct back_ops error_back = {"error", problem_answer, NULL, NULL};
static const struct back_ops options_back = {"options", problem_server_options, NULL, NULL};

/* One more in this counter, and `change` in what is live: readers see both or neither
 * (observe/metrics). */
static void enter(struct thread *t, _Atomic uint64_t *counter, uint32_t change) {
    uint32_t v = atomic_load_explicit(&t->books, memory_order_relaxed);
    uint64_t n = atomic_load_explicit(counter, memory_order_relaxed);
    uint32_t live = atomic_load_explicit(&t->exchange_count, memory_order_relaxed);
    atomic_store_explicit(&t->books, v + 1, memory_order_release);
    atomic_store_explicit(counter, n + 1, memory_order_release);
    atomic_store_explicit(&t->exchange_count, live + change, memory_order_release);
    atomic_store_explicit(&t->books, v + 2, memory_order_release);
}

struct exchange *exchange_create(struct thread *t, const struct front_ops *front,
                                 void *front_data) {
    struct exchange *x =
        arena_create(&t->loop.arenas, sizeof *x, offsetof(struct exchange, capture),
                     offsetof(struct exchange, arena));
    if (!x)
        return NULL;
    x->magic = EXCHANGE_MAGIC;
    x->thread = t;
    x->front = front;
    x->front_data = front_data;
    x->snap = thread_hold(t);
    x->task.run = exchange_task;
    x->deadline.fire = deadline_passed;
    x->t.start = t->loop.now;
    list_init(&x->ops);
    list_init(&x->back_ops_list);
    head_init(&x->req, &x->arena);
    head_init(&x->resp, &x->arena);
    half_init(&x->up_half, x);
    half_init(&x->down_half, x);
    list_append(&t->exchanges, &x->node);
    if (!front->inner)
        enter(t, &t->counters.exchanges_accepted, 1u);
    return x;
}

static void exchange_free(struct deferred *d) {
    struct exchange *x = container_of(d, struct exchange, free);
    half_reset(&x->up_half);
    half_reset(&x->down_half);
    thread_release(x->thread, x->snap);
    x->magic = 0;
    struct arena a = x->arena;
    arena_finish(&a);
}

static void steps_done(struct exchange *x) {
    for (unsigned i = 0; x->step && i < x->plan->count; i++) {
        struct step *s = x->step[i];
        ops_cancel(&s->ops);
        if (s->filter->ops->done && s->called && !s->done_called) {
            s->done_called = true;
            s->filter->ops->done(s);
        }
    }
}

static void count_grpc(struct thread *t, const struct record *r) {
    count_up(t, grpc_calls);
    if (r->grpc_status != GRPC_OK)
        count_up(t, grpc_failures);
}

static void tell_sinks(struct exchange *x) {
    struct record r unzeroed;
    record_make(x, &r);
    if (unlikely(x->grpc))
        count_grpc(x->thread, &r);
    for (int i = 0; i < SINKS_MAX && x->thread->sink[i]; i++)
        x->thread->sink[i](x->thread, &r);
}

static void strike_off(struct thread *t, enum x_end how) {
    switch (how) {
    case X_END_COMPLETED:
        enter(t, &t->counters.exchanges_completed, UINT32_MAX);
        break;
    case X_END_REJECTED:
        enter(t, &t->counters.exchanges_rejected, UINT32_MAX);
        break;
    case X_END_ABORTED:
    case X_END_NONE:
        enter(t, &t->counters.exchanges_aborted, UINT32_MAX);
        break;
    }
}

/* The one end. What epoll and the caller's stack may still name stays until the drain is over. */
static void end(struct exchange *x, enum x_end how) {
    struct thread *t = x->thread;
    must(x->magic == EXCHANGE_MAGIC && x->state != X_DONE);
    x->state = X_DONE;
    x->end = (unsigned char)how;
    x->t.end = t->loop.now;
    list_remove(&x->task.node);
    timer_stop(&x->deadline);
    ops_cancel(&x->back_ops_list);
    ops_cancel(&x->ops);
    steps_done(x);
    if (!x->front->inner)
        strike_off(t, how);
    list_remove(&x->node);
    if (!x->front->inner)
        tell_sinks(x);
    x->free.run = exchange_free;
    loop_after_drain(&t->loop, &x->free);
}

void exchange_finish(struct exchange *x) {
    end(x, x->refused ? X_END_REJECTED : X_END_COMPLETED);
}

void exchange_abort(struct exchange *x, enum fault why) {
    if (!x->fault)
        x->fault = why;
    end(x, x->refused ? X_END_REJECTED : X_END_ABORTED);
}

/* ---- start ---------------------------------------------------------------------------------- */

static void deadline_set(struct exchange *x, uint64_t ms) {
    uint64_t now = x->thread->loop.now, at = ms ? x->t.start + ms * 1000000 : 0;
    if (x->call_until && (!at || x->call_until < at))
        at = x->call_until;
    if (!at)
        return;
    x->deadline_at = at;
    timer_start(&x->thread->loop.timers, &x->deadline, now / 1000000,
                x->deadline_at > now ? (x->deadline_at - now) / 1000000 : 0);
}

uint64_t exchange_time_left_ms(const struct exchange *x, uint64_t max_ms) {
    if (!x->deadline_at)
        return max_ms;
    uint64_t now = x->thread->loop.now;
    uint64_t left = x->deadline_at > now ? (x->deadline_at - now) / 1000000 : 0;
    return left < max_ms ? left : max_ms;
}

/* "application/grpc..." is seldom: one byte tells most others. */
static void note_grpc(struct exchange *x) {
    struct span t = hdr_get(&x->req, HDR_CONTENT_TYPE);
    if (t.n > 12 && lower(t.p[12]) == 'g')
        x->grpc = (unsigned char)grpc_kind(t);
}

/* What is not over in nine years has no end. */
static enum fault note_grpc_timeout(struct exchange *x) {
    struct span said = hdr_find(&x->req, SPAN("grpc-timeout"));
    uint64_t ns;
    if (!said.p)
        return FAULT_NONE;
    if (!grpc_timeout(said, &ns))
        return FAULT_BAD_GRPC_TIMEOUT;
    if (ns < (uint64_t)1 << 58)
        x->call_until = x->t.start + ns;
    return FAULT_NONE;
}

/* Tunnels and gRPC calls: all filters of the route; what they carry is bounded by message. */
static void take_whole(struct exchange *x, const struct route *r) {
    x->plan = route_whole(r);
    if (x->req.protocol.n || !r->max_body_own)
        x->max_body = UINT64_MAX;
}

/* Finds the route, or the fault that stands for it. */
static enum fault find_route(struct exchange *x) {
    struct route_found f unzeroed;
    struct route_judge judge = route_judge(x);
    router_find_request(x->snap->snapshot->router, &x->req, x->facts.listener, &judge, &f);
    if (!f.route) {
        if (!f.path_matched)
            return FAULT_NO_ROUTE;
        problem_allow(x, &f);
        return FAULT_METHOD_NOT_ALLOWED;
    }
    x->route = f.route;
    x->plan = &f.route->plan;
    x->max_body = f.route->max_body;
    if (unlikely(x->req.protocol.n || x->grpc))
        take_whole(x, f.route);
    for (uint32_t i = 0; i < f.route->capture_count; i++)
        x->capture[i] = f.capture[i];
    deadline_set(x, f.route->request_timeout_ms);
    return FAULT_NONE;
}

static enum fault prepare(struct exchange *x) {
    enum fault f = forward_prepare(x);
    if (hdr_has(&x->req, HDR_CONTENT_TYPE))
        note_grpc(x);
    const struct listener_conf *l = x->facts.listener;
    if (!x->plan && l && l->plan.back)
        x->plan = &l->plan;
    if (!f && x->req.method == METHOD_CONNECT && !x->req.protocol.n)
        f = FAULT_METHOD_REFUSED; /* no forward proxy: no route offers that */
    if (!f && unlikely(x->grpc))
        f = note_grpc_timeout(x);
    if (!f && !x->plan)
        f = find_route(x);
    else if (!f && !x->max_body)
        x->max_body = x->snap->snapshot->limits.max_body;
    x->t.route = x->t.start;
    if (!f && x->up_half.length > 0 && (uint64_t)x->up_half.length > x->max_body)
        f = FAULT_BODY_TOO_LARGE;
    return f;
}

static void start_own(struct exchange *x, const struct back_ops *back) {
    exchange_back(x, back, NULL);
    x->state = X_BACK;
    body_stop(x->up_half.sink);
    x->back->start(x);
}

static void start_error(struct exchange *x, enum fault why) {
    x->fault = why;
    start_own(x, &error_back);
}

static void begin(struct exchange *x) {
    enum fault f = prepare(x);
    if (unlikely(x->thread->overload.on) && !f)
        f = overload_refuses(x);
    if (f == FAULT_NO_ROUTE && span_eq(x->req.path, SPAN("*"))) {
        start_own(x, &options_back);
        return;
    }
    if (f) {
        x->refused = fault_table[f].close;
        start_error(x, f);
        return;
    }
    x->back = x->plan->back;
    x->back_conf = x->plan->back_conf;
    chain_start(x);
}

void exchange_start(struct exchange *x) {
    must(x->magic == EXCHANGE_MAGIC && x->state == X_NEW);
    struct doing before = doing_begin(x);
    begin(x);
    doing_end(x, before);
}

void exchange_refuse(struct exchange *x, enum fault why) {
    must(x->magic == EXCHANGE_MAGIC && x->state == X_NEW && why);
    x->refused = true;
    note_grpc(x);
    start_error(x, why);
}

/* ---- answers, failures ---------------------------------------------------------------------- */

enum verdict exchange_answer(struct exchange *x, enum fault why, const char *detail) {
    x->fault = why;
    x->fault_detail = detail;
    exchange_back(x, &error_back, NULL);
    return ANSWER;
}

static void observe(struct exchange *x, const struct filter *f, enum fault why) {
    size_t max = x->observed.n + strlen(f->ops->name) + strlen(fault_table[why].code) + 3;
    struct str s = str_on(arena_alloc(&x->arena, max), max);
    str_add(&s, x->observed);
    if (s.n)
        str_lit(&s, ", ");
    str_fmt(&s, "%s %s", f->ops->name, fault_table[why].code);
    x->observed = str_span(&s);
    count_up(x->thread, refusals_observed);
}

enum verdict step_refuse(struct step *s, enum fault why, const char *detail) {
    if (!s->filter->observe)
        return exchange_answer(s->x, why, detail);
    observe(s->x, s->filter, why);
    return NEXT;
}

void exchange_fail(struct exchange *x, enum fault why, const char *detail) {
    if (x->state == X_DONE)
        return;
    must(x->magic == EXCHANGE_MAGIC && x->state != X_NEW && !x->calling);
    if (x->head_told) {
        x->fault = why;
        x->fault_detail = detail;
        x->front->failed(x);
        if (x->state != X_DONE)
            end(x, X_END_ABORTED);
        return;
    }
    if (x->fault && x->back == &error_back)
        return; /* the error answer is on its way; it cannot fail twice */
    x->refused |= fault_table[why].who == FAULT_WHO_CLIENT && fault_table[why].close;
    body_stop(x->up_half.sink); /* whoever read it is gone */
    exchange_answer(x, why, detail);
    chain_replace(x);
}

void exchange_interim(struct exchange *x, struct head *h) {
    if (x->head_told || x->interim || !hdr_has(h, HDR_LINK))
        return;
    for (size_t i = 0; i < h->count;)
        if (h->field[i].id != HDR_LINK)
            hdr_remove(h, h->field[i].id);
        else
            i++;
    x->interim = h;
    exchange_wake(x);
}

/* ---- bytes that were lost ----------------------------------------------------------------------
 */

static bool half_lost_bytes(const struct half *h) {
    const struct body *b = &h->source;
    for (const struct stage *g = h->first;; g = g->next) {
        for (const struct slice *s = b->head; s; s = s->next)
            if (!s->p)
                return true;
        if (!g)
            return false;
        b = &g->out;
    }
}

void exchanges_settled(struct loop *l) {
    struct thread *t = (struct thread *)(void *)l;
    if (likely(!l->pond.failed))
        return;
    l->pond.failed = false;
    for (struct list *n = t->exchanges.next, *next; n != &t->exchanges; n = next) {
        struct exchange *x = container_of(n, struct exchange, node);
        next = n->next;
        if (half_lost_bytes(&x->up_half) || half_lost_bytes(&x->down_half))
            exchange_fail(x, FAULT_OUT_OF_MEMORY, "no memory to keep a body's bytes");
    }
}

static void deadline_passed(struct timer *t) {
    struct exchange *x = container_of(t, struct exchange, deadline);
    if (x->streams)
        streams_timer(x);
    else
        exchange_fail(x, FAULT_REQUEST_TIMEOUT, NULL);
}

/* ---- the task: the one place where data moves ------------------------------------------------ */

static void move_request(struct exchange *x) {
    half_pump(&x->up_half);
    struct body *sink = x->up_half.sink, *source = &x->up_half.source;
    if (x->state == X_DONE)
        return; /* a stage has failed it */
    if (x->state >= X_BACK && x->back->readable && sink->wanted && body_readable(sink))
        x->back->readable(x);
    if (x->state != X_DONE && source->in > x->max_body && !source->stopped)
        exchange_fail(x, FAULT_BODY_TOO_LARGE, NULL);
    bool over = x->tunnel && body_done(sink);
    if (x->state != X_DONE && (source->tell || over)) {
        source->tell = false;
        x->front->room(x);
    }
}

static void move_response(struct exchange *x) {
    if (x->interim && !x->head_told) {
        x->front->head(x);
        x->interim = NULL;
    }
    if (x->state == X_STREAM) {
        if (!x->head_told) {
            x->head_told = true;
            x->front->head(x);
        }
        half_pump(&x->down_half);
        if (x->state != X_DONE && body_readable(x->down_half.sink))
            x->front->readable(x);
    }
    struct body *source = &x->down_half.source;
    if (x->state != X_DONE && source->tell) {
        source->tell = false;
        if (x->back->room)
            x->back->room(x);
    }
}

static void exchange_task(struct task *t) {
    struct exchange *x = container_of(t, struct exchange, task);
    must(x->magic == EXCHANGE_MAGIC);
    struct doing before = doing_begin(x);
    if (unlikely(x->arena.failed) && !x->fault)
        exchange_fail(x, FAULT_OUT_OF_MEMORY, NULL);
    if (unlikely(x->collecting))
        chain_collect(x);
    if (x->state != X_DONE)
        move_request(x);
    if (x->state != X_DONE)
        move_response(x);
    doing_end(x, before);
}
