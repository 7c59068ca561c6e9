#include "filter/rate_limit.h"
#include "core/asker.h"
#include "core/authenticator.h"
#include "core/facts.h"
#include "core/thread.h"
#include "limit/limiter.h"

#define SECOND_NS 1000000000ull

struct rate_step {
    struct step step;
    const struct rate_limit_conf *conf; /* for this caller */
    struct limit_ask ask;
    struct limit_told told;
    struct op wait; /* its turn is to come */
    struct timer timer;
    bool asked, counted;
};

static struct rate_step *of(struct step *s) {
    return container_of(s, struct rate_step, step);
}

/* ---- telling ----------------------------------------------------------------------------------
 */

static uint64_t seconds_up(uint64_t ns) {
    return ns / SECOND_NS + (ns % SECOND_NS != 0);
}

static void tell(struct rate_step *r, enum told_verdict v) {
    const struct rate_limit_conf *c = r->conf;
    const struct limit_answer *a = &r->ask.answer;
    r->told = (struct limit_told){.id = c->id,
                                  .name = c->name,
                                  .window = c->window,
                                  .windows = c->rates,
                                  .at = a->window < c->rates ? a->window : 0,
                                  .policy = c->policy,
                                  .remaining = a->remaining,
                                  .reset_s = seconds_up(a->reset_ns),
                                  .verdict = v,
                                  .hidden = !c->headers || r->step.filter->observe ||
                                            v == TOLD_UNAVAILABLE};
    limit_told_add(r->step.x, &r->told);
}

/* "limit ID: 10 in 60 s are used up, again in 6 s"; for each 429, so without printf. */
static const char *used_up(struct rate_step *r, const struct limit_window *w) {
    size_t max = r->conf->id.n + 128;
    struct str s = str_on(arena_alloc(&r->step.x->arena, max), max);
    str_lit(&s, "limit ");
    str_add(&s, r->conf->id);
    str_lit(&s, ": ");
    str_u64(&s, w->quota);
    str_lit(&s, " in ");
    str_u64(&s, w->seconds);
    str_lit(&s, " s are used up, again in ");
    str_u64(&s, seconds_up(r->ask.answer.wait_ns));
    str_lit(&s, " s");
    str_char(&s, 0);
    return s.p;
}

static const char *detail(struct rate_step *r) {
    const struct rate_limit_conf *c = r->conf;
    const struct limit_window *w = &c->window[r->told.at];
    if (r->ask.cost > w->quota)
        return arena_fmt(
            &r->step.x->arena, "limit %.*s: it costs %llu, and %llu is all that may come at once",
            SPAN_ARG(c->id), (unsigned long long)r->ask.cost, (unsigned long long)w->quota);
    return used_up(r, w);
}

/* RFC 9110 10.2.3. What costs more than ever comes at once fits at no time. */
static void retry_after(struct rate_step *r) {
    struct exchange *x = r->step.x;
    uint64_t s = seconds_up(r->ask.answer.wait_ns);
    if (r->ask.cost > r->conf->window[r->told.at].quota || r->ask.answer.wait_ns == UINT64_MAX)
        return;
    struct own_field *f = arena_alloc(&x->arena, sizeof *f + 24);
    struct str text = str_on((char *)(f + 1), 24);
    str_u64(&text, s ? s : 1);
    *f = (struct own_field){SPAN("retry-after"), str_span(&text), x->own};
    x->own = f;
}

static enum verdict refuse(struct rate_step *r, enum told_verdict v, enum fault why) {
    bool observe = r->step.filter->observe;
    tell(r, observe ? TOLD_OBSERVED : v);
    if (!observe && v == TOLD_REFUSED) {
        limit_told_refusal(r->step.x);
        retry_after(r);
    }
    return step_refuse(&r->step, why,
                       v == TOLD_REFUSED ? detail(r)
                                         : arena_fmt(&r->step.x->arena,
                                                     "limit %.*s: the shared state "
                                                     "is away, on_failure: closed",
                                                     SPAN_ARG(r->conf->id)));
}

/* ---- waiting for its turn ---------------------------------------------------------------------
 */

static _Atomic uint64_t *waiting(const struct rate_step *r) {
    return &limiter_counts(r->conf->limiter, r->step.x->thread)->waiting;
}

static void turn_has_come(struct timer *t) {
    struct rate_step *r = container_of(t, struct rate_step, timer);
    count_add(*waiting(r), (uint64_t)-1);
    op_end(&r->wait);
    exchange_resume(r->step.x, NEXT);
}

/* The client has gone, or the exchange has ended otherwise. */
static void has_left(struct op *op) {
    struct rate_step *r = container_of(op, struct rate_step, wait);
    timer_stop(&r->timer);
    count_add(*waiting(r), (uint64_t)-1);
    r->counted = false;
    limiter_refund(&r->ask);
}

static enum verdict wait_for_turn(struct rate_step *r) {
    struct loop *l = &r->step.x->thread->loop;
    uint64_t ns = r->ask.answer.wait_ns;
    count_add(*waiting(r), 1);
    op_start(&r->step.ops, &r->wait, has_left);
    r->timer.fire = turn_has_come;
    timer_start(&l->timers, &r->timer, l->now / 1000000, ns / 1000000 + (ns % 1000000 != 0));
    return WAIT;
}

/* Nobody waits for an answer that would come behind the exchange's deadline. */
static uint64_t max_wait_ns(const struct rate_step *r) {
    const struct rate_limit_delay *d = &r->conf->delay;
    if (!d->max_wait_ms || r->step.filter->observe ||
        atomic_load_explicit(waiting(r), memory_order_relaxed) >= d->queue)
        return 0;
    return exchange_time_left_ms(r->step.x, d->max_wait_ms) * 1000000;
}

/* ---- the verdict ------------------------------------------------------------------------------
 */

/* A cost of 0 is for free, unless what it costs is told by the answer: then nobody starts who has
 * nothing left. */
static bool enough(const struct rate_step *r) {
    return !r->conf->cost_after || r->ask.answer.remaining > 0;
}

static enum verdict judge(struct rate_step *r) {
    enum limit_verdict v = r->ask.answer.verdict;
    if (!r->ask.cost && v != LIMIT_UNKNOWN)
        v = r->ask.answer.verdict = enough(r) ? LIMIT_ALLOWED : LIMIT_REFUSED;
    limiter_note(&r->ask, r->step.filter->observe);
    r->counted = v == LIMIT_ALLOWED || v == LIMIT_DELAYED;
    switch (v) {
    case LIMIT_ALLOWED:
        tell(r, TOLD_ALLOWED);
        return NEXT;
    case LIMIT_DELAYED:
        tell(r, TOLD_DELAYED);
        return wait_for_turn(r);
    case LIMIT_REFUSED:
        return refuse(r, TOLD_REFUSED, FAULT_RATE_LIMITED);
    case LIMIT_UNKNOWN:
        break;
    }
    return refuse(r, TOLD_UNAVAILABLE, FAULT_LIMITS_UNAVAILABLE);
}

static void ready(struct limit_ask *a) {
    struct rate_step *r = container_of(a, struct rate_step, ask);
    exchange_resume(r->step.x, judge(r));
}

static bool is_limit(const struct filter *f);

/* A named limit may be met twice on one way, by group and route: a request counts once. */
static bool counted_before(const struct rate_step *r) {
    struct exchange *x = r->step.x;
    for (unsigned i = 0; i < r->step.at; i++) {
        const struct rate_step *b = is_limit(x->step[i]->filter) ? of(x->step[i]) : NULL;
        if (b && b->asked && !b->step.filter->observe && span_eq(b->conf->id, r->conf->id) &&
            span_eq(b->ask.key, r->ask.key))
            return true;
    }
    return false;
}

static enum verdict ask(struct rate_step *r) {
    struct exchange *x = r->step.x;
    const struct rate_limit_conf *c = r->conf;
    r->ask.limiter = c->limiter;
    r->ask.key = asker_key_of(c->key, x);
    if (unlikely(x->told != NULL) && counted_before(r))
        return NEXT;
    r->ask.cost = c->cost_fixed ? c->cost_fixed : asker_cost(c->cost, x);
    r->ask.max_wait_ns = max_wait_ns(r);
    r->ask.ops = &r->step.ops;
    r->ask.ready = ready;
    r->asked = true;
    return limiter_ask(&r->ask) ? judge(r) : WAIT;
}

static enum verdict request(struct step *s) {
    struct rate_step *r = of(s);
    const struct caller *who = s->x->caller;
    r->conf = rate_limit_of(s->filter->conf, who ? who->plan : SPAN_NONE);
    if (!r->conf)
        return NEXT;
    return r->conf->reads_body ? WAIT_BODY : ask(r);
}

/* A body that is no JSON makes an expression that asks for it fail. */
static enum verdict request_body(struct step *s) {
    (void)facts_body(s->x);
    return ask(of(s));
}

/* ---- the answer -------------------------------------------------------------------------------
 */

static void give_back(struct rate_step *r) {
    if (!r->counted || r->step.filter->ops->phase == PHASE_GUARD)
        return;
    r->counted = false;
    limiter_refund(&r->ask);
    r->told.remaining += r->ask.cost;
    if (r->told.remaining > r->told.window[r->told.at].quota)
        r->told.remaining = r->told.window[r->told.at].quota;
}

static void correct(struct rate_step *r) {
    uint64_t cost = asker_cost(r->conf->cost_after, r->step.x);
    int64_t more = (int64_t)cost - (int64_t)r->ask.cost;
    if (more)
        limiter_correct(&r->ask, more);
    if (more > 0 && (uint64_t)more >= r->told.remaining)
        r->told.remaining = 0;
    else
        r->told.remaining -= (uint64_t)more;
}

static enum verdict response(struct step *s) {
    struct rate_step *r = of(s);
    if (!r->asked)
        return NEXT;
    if (limit_told_gives_back(s->x))
        give_back(r);
    else if (r->conf->cost_after && r->counted && !s->x->fault)
        correct(r);
    limit_told_answer(s->x, &r->told);
    return NEXT;
}

/* ---- the record -------------------------------------------------------------------------------
 */

static void attach(struct snapshot *s, const struct filter *f) {
    limiter_attach(s, (struct rate_limit_conf *)(uintptr_t)f->conf, f->place);
}
static void detach(struct snapshot *s, const struct filter *f) {
    (void)s;
    limiter_detach((struct rate_limit_conf *)(uintptr_t)f->conf);
}

#define OPS(phase_)                                                                                \
    {                                                                                              \
        .name = "rate_limit", .phase = (phase_), .step_size = sizeof(struct rate_step),            \
        .request = request, .request_body = request_body, .response = response, .attach = attach,  \
        .detach = detach                                                                           \
    }
static const struct filter_ops ops = OPS(PHASE_ADMIT), early_ops = OPS(PHASE_GUARD);

static bool is_limit(const struct filter *f) {
    return f->ops == &ops || f->ops == &early_ops;
}

static const struct filter_ops *ops_of(const void *conf) {
    return ((const struct rate_limit_conf *)conf)->early ? &early_ops : &ops;
}

const struct policy rate_limit_policy = {.name = "rate_limit",
                                         .form = &rate_limit_object,
                                         .ops = &ops,
                                         .size = sizeof(struct rate_limit_conf),
                                         .finish = rate_limit_finish,
                                         .ops_of = ops_of,
                                         .of_plans = rate_limit_of_plans};
