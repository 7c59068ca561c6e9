#include "limit/quota_in.h"
#include "base/list.h"
#include <stdio.h>

enum { ID_MAX = 512, KEEP_S = 60 };

/* One number of the shared store for each key and period: it names the period, so nothing begins
 * anew that has not ended, whichever gateway's clock is ahead. */
struct counter {
    char text[ID_MAX];
    struct span id;
    int64_t ends_ms;
};

static void name_counter(struct counter *c, const struct quota_table *t, const struct period *p) {
    struct str s = str_on(c->text, sizeof c->text);
    str_lit(&s, "quota:");
    str_add(&s, span_cut(t->id, 0, ID_MAX / 2));
    str_lit(&s, "|");
    str_add(&s, span_cut(t->period, 0, ID_MAX / 4));
    str_lit(&s, "|");
    str_u64(&s, (uint64_t)p->from);
    c->id = str_span(&s);
    c->ends_ms = (p->to + KEEP_S) * 1000;
}

static void give(struct quota_ask *a, unsigned window, int64_t n) {
    const struct quota_window *w = &a->conf->window[window];
    struct counter c;
    name_counter(&c, w->table, &a->period[window]);
    (void)!shared_counter_give(a->conf->redis, c.id, a->hashed.text, n, c.ends_ms);
}

static void give_back(struct quota_ask *a) {
    for (unsigned i = 0; i < a->at && a->cost; i++)
        give(a, i, -(int64_t)a->cost);
}

/* What on_failure says. */
static void alone(struct quota_ask *a) {
    give_back(a);
    a->away = true;
    a->verdict = a->conf->on_failure == QUOTA_CLOSED ? QUOTA_UNKNOWN : QUOTA_ALLOWED;
    a->window = 0;
    a->remaining = a->conf->window[0].limit;
    if (a->conf->on_failure == QUOTA_LOCAL)
        quota_take_here(a);
    else if (a->verdict == QUOTA_UNKNOWN)
        a->remaining = 0;
    else
        a->cost = 0; /* nothing was counted, so nothing is to be given back */
}

/* This gateway remembers what all have used: that is where it goes on from while the store is
 * away. */
static void remember(struct quota_ask *a, unsigned i, uint64_t used) {
    quota_table_raise(a->conf->window[i].table, &a->hashed, &a->period[i], used);
}

/* True: that was all. */
static bool judge(struct quota_ask *a) {
    const struct shared_counter_ask *s = &a->shared;
    if (s->verdict == SHARED_AWAY) {
        alone(a);
        return true;
    }
    const struct quota_window *w = &a->conf->window[a->at];
    bool fits = s->verdict == SHARED_COUNTED && s->used <= w->limit;
    remember(a, a->at, s->used);
    quota_tell(a, a->at, s->used, fits);
    if (!fits) {
        give_back(a);
        return true;
    }
    return ++a->at == a->conf->limits;
}

static void answered(struct shared_counter_ask *s);

/* True: the answer is there. */
static bool ask_next(struct quota_ask *a) {
    bool over;
    do {
        const struct quota_window *w = &a->conf->window[a->at];
        struct counter c;
        name_counter(&c, w->table, &a->period[a->at]);
        a->shared = (struct shared_counter_ask){.redis = a->conf->redis,
                                                .id = c.id,
                                                .key = a->hashed.text,
                                                .n = a->cost,
                                                .limit = w->limit,
                                                .ends_ms = c.ends_ms,
                                                .ops = a->ops,
                                                .ready = answered};
        if (!shared_counter_add(&a->shared))
            return false;
        over = judge(a);
    } while (!over);
    return true;
}

static void answered(struct shared_counter_ask *s) {
    struct quota_ask *a = container_of(s, struct quota_ask, shared);
    if (judge(a) || ask_next(a))
        a->ready(a);
}

bool quota_take_shared(struct quota_ask *a) {
    a->at = 0;
    return ask_next(a);
}

void quota_add_shared(struct quota_ask *a, unsigned window, int64_t n) {
    give(a, window, n);
}

void quota_put_shared(struct quota_table *t, struct span key, const struct period *p,
                      uint64_t used) {
    struct counter c;
    name_counter(&c, t, p);
    (void)!shared_counter_forget(t->redis, c.id, key);
    if (used)
        (void)!shared_counter_give(t->redis, c.id, key, (int64_t)used, c.ends_ms);
}
