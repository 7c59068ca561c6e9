#include "cli/explain.h"
#include "core/limits.h"
#include "core/state.h"
#include "limit/shared_limit.h"

/* Rate limits: what counts together, how much of it, and for whom. */

static bool is_limit(const struct filter *f) {
    return span_eq(span_z(f->ops->name), SPAN("rate_limit"));
}

static const char *unit_of(struct arena *a, uint64_t per_ms) {
    static const struct {
        uint64_t ms;
        const char *text;
    } units[] = {{1000, "s"}, {60000, "m"}, {3600000, "h"}, {86400000, "day"}};
    for (unsigned i = 0; i < array_len(units); i++)
        if (units[i].ms == per_ms)
            return units[i].text;
    return per_ms % 1000 ? arena_fmt(a, "%llums", (unsigned long long)per_ms)
                         : arena_fmt(a, "%llus", (unsigned long long)per_ms / 1000);
}

static const char *algorithm(const struct rate_limit_conf *c) {
    static const char *const name[] = {"gcra", "sliding_window", "fixed_window"};
    return name[c->algorithm];
}

/* "10/s (20 at once) and 1000/day (1000 at once)" */
static const char *rates(struct arena *a, const struct rate_limit_conf *c) {
    const char *text = "";
    for (uint32_t i = 0; i < c->rates; i++) {
        const struct schema_rate *r = &c->rate[i];
        text = arena_fmt(a, "%s%s%llu/%s", text, i ? " and " : "", (unsigned long long)r->count,
                         unit_of(a, r->per_ms));
        if (c->algorithm == LIMIT_GCRA)
            text =
                arena_fmt(a, "%s (%llu at once)", text, (unsigned long long)rate_limit_burst(c, i));
    }
    return text;
}

static struct span key(const struct rate_limit_conf *c) {
    return c->key     ? c->key->source
           : c->early ? SPAN("address")
                      : SPAN("consumer, else claim.sub, else address");
}

/* As limit/limiter makes it. */
static struct span id(struct arena *a, const struct filter *f, const struct rate_limit_conf *c,
                      struct span plan) {
    struct span base = c->name.n ? c->name : f->place;
    bool named = f->of_plans && c->name.n;
    return plan.n && !named ? span_z(arena_fmt(a, "%.*s plan %.*s", SPAN_ARG(base), SPAN_ARG(plan)))
                            : base;
}

static const char *failure(const struct rate_limit_conf *c) {
    static const char *const text[] = {"this gateway's share of it", "all pass", "all are refused"};
    return text[c->on_failure];
}

static bool shared(const struct explained *e, const struct rate_limit_conf *c) {
    return c->scope == LIMIT_SHARED && e->s->state && e->s->state->kind != STATE_MEMORY;
}

struct visit {
    const struct explained *e;
    const struct filter *f;
    struct jout *j; /* NULL: as text */
};

#define LINE "  %-18s "

static void print_one(const struct visit *v, const struct rate_limit_conf *c, struct span plan) {
    struct arena *a = &v->e->x->arena;
    printf(LINE "%s%.*s%s%s, %s, by %.*s\n", "", plan.n ? "plan " : "", SPAN_ARG(plan),
           plan.n ? ": " : "", rates(a, c), algorithm(c), SPAN_ARG(key(c)));
    printf(LINE "counts together: %.*s\n", "", SPAN_ARG(id(a, v->f, c, plan)));
    if (c->delay.max_wait_ms)
        printf(LINE "waits up to %llums, %u requests in each worker\n", "",
               (unsigned long long)c->delay.max_wait_ms, c->delay.queue);
    if (!shared(v->e, c))
        return;
    if (c->sync == LIMIT_LEASE)
        printf(LINE "takes %llu at a time: gateways x %llu more than the limit may pass\n", "",
               (unsigned long long)shared_limit_lease(c, 1),
               (unsigned long long)shared_limit_lease(c, 1));
    else
        printf(LINE "counts for all gateways together\n", "");
    printf(LINE "while the shared state is away: %s\n", "", failure(c));
}

static void put_one(const struct visit *v, const struct rate_limit_conf *c, struct span plan) {
    struct jout *j = v->j;
    struct arena *a = &v->e->x->arena;
    jout_open(j, NULL, '{');
    jout_text(j, "id", id(a, v->f, c, plan));
    if (plan.n)
        jout_text(j, "plan", plan);
    jout_open(j, "rates", '[');
    for (uint32_t i = 0; i < c->rates; i++) {
        jout_open(j, NULL, '{');
        jout_number(j, "count", (int64_t)c->rate[i].count);
        jout_number(j, "per_ms", (int64_t)c->rate[i].per_ms);
        jout_number(j, "at_once", (int64_t)rate_limit_burst(c, i));
        jout_close(j, '}');
    }
    jout_close(j, ']');
    jout_text(j, "algorithm", span_z(algorithm(c)));
    jout_text(j, "key", key(c));
    jout_bool(j, "early", c->early);
    jout_bool(j, "observe", v->f->observe);
    jout_bool(j, "shared", shared(v->e, c));
    if (shared(v->e, c) && c->sync == LIMIT_LEASE)
        jout_number(j, "more_per_gateway", (int64_t)shared_limit_lease(c, 1));
    jout_close(j, '}');
}

/* Of a caller that is known his own limit; else that of everybody, and those of all plans. */
static void each(const struct visit *v,
                 void (*one)(const struct visit *, const struct rate_limit_conf *, struct span)) {
    const struct rate_limit_conf *c = v->f->conf;
    struct span plan = v->e->caller.plan;
    const struct rate_limit_conf *his = rate_limit_of(c, plan);
    if (v->e->called) {
        if (his)
            one(v, his, his == c ? SPAN_NONE : plan);
        return;
    }
    if (c->rates)
        one(v, c, SPAN_NONE);
    for (uint32_t i = 0; i < c->plans; i++)
        one(v, &c->plan[i].conf, c->plan[i].name);
}

void explain_print_limit(const struct explained *e, const struct filter *f) {
    if (!is_limit(f))
        return;
    each(&(struct visit){e, f, NULL}, print_one);
    if (e->called && !rate_limit_of(f->conf, e->caller.plan))
        printf(LINE "no limit for this caller\n", "");
}

void explain_put_limits(struct jout *j, const struct explained *e) {
    const struct plan *p = route_whole(e->found.route);
    jout_open(j, "limits", '[');
    for (unsigned i = 0; i < p->count; i++)
        if (is_limit(&p->filter[i]))
            each(&(struct visit){e, &p->filter[i], j}, put_one);
    jout_close(j, ']');
}
