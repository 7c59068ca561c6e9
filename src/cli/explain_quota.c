#include "cli/explain.h"
#include "base/env.h"
#include "base/log.h"
#include "core/state.h"
#include "limit/quota.h"
#include <stdio.h>

/* Quotas: what counts together, in which periods, and where counts are kept. */

struct visit {
    const struct explained *e;
    const struct filter *f;
    struct jout *j; /* NULL: as text */
    int64_t now;    /* seconds since the epoch */
};

static bool is_quota(const struct filter *f) {
    return span_eq(span_z(f->ops->name), SPAN("quota"));
}

static struct span key(const struct quota_conf *c) {
    return c->key ? c->key->source : SPAN("consumer, else claim.sub, else address");
}

/* As quota_attach makes it. */
static struct span id(const struct visit *v, const struct quota_conf *c) {
    const struct quota_conf *all = v->f->conf;
    if (all->name.n)
        return all->name;
    return !all->limits && c->name.n ? c->name : v->f->place;
}

static const char *kept(const struct explained *e) {
    const struct state_conf *s = e->s->state;
    struct arena *a = &e->x->arena;
    if (s->kind != STATE_MEMORY)
        return arena_fmt(a, "%.*s", SPAN_ARG(s->shown));
    return s->store.n ? arena_fmt(a, "%.*s", SPAN_ARG(s->store)) : "memory, until a restart";
}

/* "2026-12-15T05:00:00Z" */
static const char *moment(struct arena *a, int64_t seconds) {
    char text[TIME_TEXT];
    time_text(seconds * 1000000000, text);
    return arena_fmt(a, "%.19sZ", text);
}

#define LINE "  %-18s "

static void print_one(const struct visit *v, const struct quota_conf *c, struct span plan) {
    struct arena *a = &v->e->x->arena;
    for (uint32_t i = 0; i < c->limits; i++) {
        const struct quota_window *w = &c->window[i];
        struct period p;
        period_at(&w->rule, v->now, &p);
        printf(LINE "%s%.*s%s%llu/%.*s, begins again %s\n", "", plan.n ? "plan " : "",
               SPAN_ARG(plan), plan.n ? ": " : "", (unsigned long long)w->limit,
               SPAN_ARG(w->period), moment(a, p.to));
    }
    printf(LINE "by %.*s, counts together: %.*s\n", "", SPAN_ARG(key(c)), SPAN_ARG(id(v, c)));
    printf(LINE "counts are kept in %s\n", "", kept(v->e));
}

static void put_limit(const struct visit *v, const struct quota_window *w) {
    struct jout *j = v->j;
    struct arena *a = &v->e->x->arena;
    struct period p;
    period_at(&w->rule, v->now, &p);
    jout_open(j, NULL, '{');
    jout_number(j, "limit", (int64_t)w->limit);
    jout_text(j, "period", w->period);
    jout_text(j, "from", span_z(moment(a, p.from)));
    jout_text(j, "to", span_z(moment(a, p.to)));
    jout_close(j, '}');
}

static void put_one(const struct visit *v, const struct quota_conf *c, struct span plan) {
    struct jout *j = v->j;
    jout_open(j, NULL, '{');
    jout_text(j, "id", id(v, c));
    if (plan.n)
        jout_text(j, "plan", plan);
    jout_open(j, "limits", '[');
    for (uint32_t i = 0; i < c->limits; i++)
        put_limit(v, &c->window[i]);
    jout_close(j, ']');
    jout_text(j, "key", key(c));
    jout_bool(j, "observe", v->f->observe);
    jout_text(j, "kept_in", span_z(kept(v->e)));
    jout_close(j, '}');
}

/* Of a caller that is known his own quota; else that of everybody, and those of all plans. */
static void each(const struct visit *v,
                 void (*one)(const struct visit *, const struct quota_conf *, struct span)) {
    const struct quota_conf *c = v->f->conf;
    struct span plan = v->e->caller.plan;
    const struct quota_conf *his = quota_of(c, plan);
    if (v->e->called) {
        if (his)
            one(v, his, his == c ? SPAN_NONE : plan);
        return;
    }
    if (c->limits)
        one(v, c, SPAN_NONE);
    for (uint32_t i = 0; i < c->plans; i++)
        one(v, &c->plan[i].conf, c->plan[i].name);
}

static int64_t now(void) {
    return env.wall_ns() / 1000000000;
}

void explain_print_quota(const struct explained *e, const struct filter *f) {
    if (!is_quota(f))
        return;
    each(&(struct visit){e, f, NULL, now()}, print_one);
    if (e->called && !quota_of(f->conf, e->caller.plan))
        printf(LINE "no quota for this caller\n", "");
}

void explain_put_quotas(struct jout *j, const struct explained *e) {
    const struct plan *p = route_whole(e->found.route);
    jout_open(j, "quotas", '[');
    for (unsigned i = 0; i < p->count; i++)
        if (is_quota(&p->filter[i]))
            each(&(struct visit){e, &p->filter[i], j, now()}, put_one);
    jout_close(j, ']');
}
