#include "filter/quota.h"
#include "core/asker.h"
#include "core/authenticator.h"
#include "core/facts.h"
#include "core/thread.h"
#include "limit/quota.h"

struct quota_step {
    struct step step;
    const struct quota_conf *conf; /* for this caller */
    struct quota_ask ask;
    struct limit_told told;
    struct limit_window window[QUOTA_LIMITS_MAX]; /* calendars have no one length */
    bool asked, counted;
};

static struct quota_step *of(struct step *s) {
    return container_of(s, struct quota_step, step);
}

/* ---- telling ----------------------------------------------------------------------------------
 */

static void tell(struct quota_step *q, enum told_verdict v) {
    const struct quota_conf *c = q->conf;
    for (uint32_t i = 0; i < c->limits; i++)
        q->window[i] = (struct limit_window){
            .suffix = c->window[i].suffix,
            .quota = c->window[i].limit,
            .seconds = (uint64_t)(q->ask.period[i].to - q->ask.period[i].from)};
    q->told = (struct limit_told){.id = c->id,
                                  .name = c->name,
                                  .window = q->window,
                                  .windows = c->limits,
                                  .at = q->ask.window,
                                  .remaining = q->ask.remaining,
                                  .reset_s = quota_ends_in(&q->ask, q->step.x),
                                  .verdict = v,
                                  .hidden = !c->headers || q->step.filter->observe};
    limit_told_add(q->step.x, &q->told);
}

static const char *detail(struct quota_step *q) {
    const struct quota_window *w = &q->conf->window[q->ask.window];
    struct arena *a = &q->step.x->arena;
    unsigned long long limit = w->limit, cost = q->ask.cost;
    if (q->ask.cost > w->limit)
        return arena_fmt(a, "quota %.*s: it costs %llu, and %llu is all that there is",
                         SPAN_ARG(q->conf->id), cost, limit);
    return arena_fmt(a, "quota %.*s: %llu of %llu are left (%.*s), it costs %llu; again in %llu s",
                     SPAN_ARG(q->conf->id), (unsigned long long)q->ask.remaining, limit,
                     SPAN_ARG(w->period), cost, (unsigned long long)q->told.reset_s);
}

/* RFC 9110 10.2.3. What costs more than all of it fits at no time. */
static void retry_after(struct quota_step *q) {
    struct exchange *x = q->step.x;
    unsigned long long s = q->told.reset_s ? q->told.reset_s : 1;
    if (q->ask.cost > q->conf->window[q->ask.window].limit)
        return;
    struct own_field *f = arena_alloc(&x->arena, sizeof *f);
    *f = (struct own_field){SPAN("retry-after"), span_z(arena_fmt(&x->arena, "%llu", s)), x->own};
    x->own = f;
}

static enum verdict refuse(struct quota_step *q) {
    bool observe = q->step.filter->observe, unknown = q->ask.verdict == QUOTA_UNKNOWN;
    tell(q, observe ? TOLD_OBSERVED : unknown ? TOLD_UNAVAILABLE : TOLD_REFUSED);
    if (unknown)
        return step_refuse(&q->step, FAULT_LIMITS_UNAVAILABLE,
                           arena_fmt(&q->step.x->arena,
                                     "quota %.*s: the shared state is away, on_failure: closed",
                                     SPAN_ARG(q->conf->id)));
    if (!observe) {
        limit_told_refusal(q->step.x);
        retry_after(q);
    }
    return step_refuse(&q->step, FAULT_QUOTA_EXCEEDED, detail(q));
}

/* ---- the verdict ------------------------------------------------------------------------------
 */

static void note(struct quota_step *q) {
    struct quota_counts *n = quota_counts(q->conf, q->step.x->thread);
    if (q->ask.verdict == QUOTA_ALLOWED)
        count_add(n->allowed, 1);
    else if (q->step.filter->observe)
        count_add(n->observed, 1);
    else
        count_add(n->refused, 1);
    if (q->ask.away)
        count_add(n->away, 1);
}

static enum verdict judge(struct quota_step *q) {
    /* A cost of 0 is for free, unless what it costs is told by the answer: then nobody starts who
     * has nothing left. */
    if (!q->ask.cost && q->ask.verdict == QUOTA_ALLOWED && q->conf->cost_after && !q->ask.remaining)
        q->ask.verdict = QUOTA_REFUSED;
    note(q);
    q->counted = q->ask.verdict == QUOTA_ALLOWED;
    if (!q->counted)
        return refuse(q);
    tell(q, TOLD_ALLOWED);
    return NEXT;
}

static void ready(struct quota_ask *a) {
    struct quota_step *q = container_of(a, struct quota_step, ask);
    exchange_resume(q->step.x, judge(q));
}

static const struct filter_ops ops; /* below */

/* A named quota may be met twice on one way, by group and route: a request counts once. */
static bool counted_before(const struct quota_step *q) {
    struct exchange *x = q->step.x;
    for (unsigned i = 0; i < q->step.at; i++) {
        const struct quota_step *b = x->step[i]->filter->ops == &ops ? of(x->step[i]) : NULL;
        if (b && b->asked && !b->step.filter->observe && span_eq(b->conf->id, q->conf->id) &&
            span_eq(b->ask.key, q->ask.key))
            return true;
    }
    return false;
}

static enum verdict ask(struct quota_step *q) {
    struct exchange *x = q->step.x;
    const struct quota_conf *c = q->conf;
    q->ask.conf = c;
    q->ask.key = asker_key_of(c->key, x);
    if (x->told && counted_before(q))
        return NEXT;
    q->ask.cost = c->cost_fixed ? c->cost_fixed : asker_cost(c->cost, x);
    q->ask.ops = &q->step.ops;
    q->ask.ready = ready;
    q->asked = true;
    return quota_take(x, &q->ask) ? judge(q) : WAIT;
}

static enum verdict request(struct step *s) {
    struct quota_step *q = of(s);
    const struct caller *who = s->x->caller;
    q->conf = quota_of(s->filter->conf, who ? who->plan : SPAN_NONE);
    if (!q->conf)
        return NEXT;
    return q->conf->reads_body ? WAIT_BODY : ask(q);
}

/* A body that is no JSON makes an expression that asks for it fail. */
static enum verdict request_body(struct step *s) {
    (void)facts_body(s->x);
    return ask(of(s));
}

/* ---- the answer -------------------------------------------------------------------------------
 */

static void correct(struct quota_step *q, int64_t by) {
    if (!by)
        return;
    quota_add(&q->ask, by);
    q->told.remaining = q->ask.remaining;
}

static enum verdict response(struct step *s) {
    struct quota_step *q = of(s);
    if (!q->told.window)
        return NEXT; /* not asked, or never answered */
    if (q->counted && limit_told_gives_back(s->x))
        correct(q, -(int64_t)q->ask.cost);
    else if (q->counted && q->conf->cost_after)
        correct(q, (int64_t)asker_cost(q->conf->cost_after, s->x) - (int64_t)q->ask.cost);
    limit_told_answer(s->x, &q->told);
    return NEXT;
}

/* ---- the record -------------------------------------------------------------------------------
 */

static void attach(struct snapshot *s, const struct filter *f) {
    quota_attach(s, (struct quota_conf *)(uintptr_t)f->conf, f->place);
}
static void detach(struct snapshot *s, const struct filter *f) {
    (void)s;
    quota_detach((struct quota_conf *)(uintptr_t)f->conf);
}

static const struct filter_ops ops = {.name = "quota",
                                      .phase = PHASE_ADMIT,
                                      .step_size = sizeof(struct quota_step),
                                      .request = request,
                                      .request_body = request_body,
                                      .response = response,
                                      .attach = attach,
                                      .detach = detach};

const struct policy quota_policy = {.name = "quota",
                                    .form = &quota_object,
                                    .ops = &ops,
                                    .size = sizeof(struct quota_conf),
                                    .finish = quota_finish,
                                    .of_plans = quota_of_plans};
