/*
 * shared_store - a store for tests of shared limits, in this process: one GCRA window that all
 * gateways ask about, by the clock of the test, which fails as the test says. Instead of
 * src/shared/redis.c: the functions of redis.h are here.
 */
#pragma once
#include "../service/house.h"
#include "limit/shared_limit_in.h"
#include <stdio.h>
#include <string.h>

enum store_mood { STORE_FINE, STORE_AWAY, STORE_LATE, STORE_BROKEN, STORE_GARBAGE, STORE_FULL };

static uint64_t clock_ns;
static uint64_t test_now(void) {
    return clock_ns;
}
static void pass_ms(uint64_t ms) {
    clock_ns += ms * 1000000;
    me->now = clock_ns;
}

static struct {
    enum store_mood mood;
    uint64_t returned_at;
    uint32_t gateways;
    struct list asks;
    uint64_t asked, forced;
    double debt, at_us; /* in ticks of the window that asks */
    unsigned other;     /* commands that are no script of limits */
    int64_t count;      /* of the shared counter */
} store;

static void store_reset(void) {
    memset(&store, 0, sizeof store);
    list_init(&store.asks);
    store.gateways = 3;
}
static void store_back(bool empty) {
    store.mood = STORE_FINE;
    store.returned_at = me->now;
    if (empty)
        store.debt = 0;
}

static double number_of(struct span s) {
    char text[64];
    assert_true(s.n < sizeof text);
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    return strtod(text, NULL);
}

struct store_ask { /* what a real client copies */
    struct list node;
    struct redis_ask *ask;
    double cost, most, extra, owed, age, x, y, z;
    bool force, script, counter;
};

static void store_drop(struct store_ask *s) {
    list_remove(&s->node);
    s->ask->conn = NULL;
    free(s);
}
static void store_cancel(struct op *op) {
    store_drop(container_of(op, struct redis_ask, op)->conn);
}

static struct redis_reply item[6];
static struct redis_reply answer_of(const int64_t *v) {
    for (unsigned i = 0; i < 6; i++)
        item[i] = (struct redis_reply){.kind = REDIS_INTEGER, .integer = v[i]};
    return (struct redis_reply){.kind = REDIS_LIST, .item = item, .count = 6};
}

static double at_least_0(double v) {
    return v > 0 ? v : 0;
}
static double less(double a, double b) {
    return a < b ? a : b;
}

/* As the script does, for one GCRA window. */
static struct redis_reply store_judge(const struct store_ask *s) {
    double now = (double)(clock_ns / 1000), full = s->z * s->x, take = 0, wait;
    double debt = at_least_0(store.debt - at_least_0(now - store.at_us) * s->y);
    debt += at_least_0(less(s->owed, s->z) * s->x - s->age * s->y);
    double over = debt + s->cost * s->x - full,
           left = (double)(int64_t)(at_least_0(full - debt) / s->x);
    wait = over > 0 ? (double)(int64_t)(over / s->y) + 1 : 0;
    int64_t verdict = wait == 0 || s->force ? LIMIT_ALLOWED
                      : wait <= s->most     ? LIMIT_DELAYED
                                            : LIMIT_REFUSED;
    if (s->extra > 0 && verdict == LIMIT_ALLOWED)
        take = at_least_0(less(s->extra, left - s->cost));
    if (verdict != LIMIT_REFUSED)
        debt = at_least_0(debt + (s->cost + take) * s->x);
    store.debt = debt;
    store.at_us = now;
    store.forced += s->force;
    int64_t v[6] = {verdict,
                    0,
                    (int64_t)at_least_0(left - (verdict == LIMIT_REFUSED ? 0 : s->cost + take)),
                    (int64_t)wait,
                    (int64_t)(debt / s->y),
                    (int64_t)take};
    return answer_of(v);
}

static struct redis_reply store_count(const struct store_ask *s) {
    int64_t n = (int64_t)s->cost, limit = (int64_t)s->most;
    bool over = n > 0 && limit >= 0 && store.count + n > limit;
    if (!over)
        store.count = store.count + n > 0 ? store.count + n : 0;
    item[0] = (struct redis_reply){.kind = REDIS_INTEGER, .integer = !over};
    item[1] = (struct redis_reply){.kind = REDIS_INTEGER, .integer = store.count};
    return (struct redis_reply){.kind = REDIS_LIST, .item = item, .count = 2};
}

/* Answers what waits, in order. */
static void store_deliver(void) {
    for (struct list *n; (n = list_shift(&store.asks));) {
        struct store_ask *s = container_of(n, struct store_ask, node);
        struct redis_ask *a = s->ask;
        struct redis_reply r = {.kind = REDIS_TEXT, .text = SPAN("what?")};
        enum redis_failure why = REDIS_FINE;
        if (store.mood == STORE_FINE && s->script)
            r = s->counter ? store_count(s) : store_judge(s);
        else if (store.mood == STORE_LATE)
            why = REDIS_LATE;
        else if (store.mood == STORE_BROKEN || store.mood == STORE_AWAY)
            why = REDIS_BROKEN;
        if (store.mood == STORE_LATE && s->script && !s->counter)
            (void)store_judge(s); /* it has happened all the same */
        if (a->ops)
            op_end(&a->op);
        free(s);
        a->ready(a, why, why == REDIS_FINE ? &r : NULL);
    }
}

/* ---- redis.h ---- */

struct redis {
    int unused;
};
static struct redis the_store;

struct redis *redis_attach(const struct state_conf *conf) {
    return conf->kind == STATE_MEMORY ? NULL : &the_store;
}
void redis_detach(struct redis *r) {
    assert_ptr_equal(r, &the_store);
}
bool redis_usable(struct redis *r) {
    (void)r;
    return store.mood != STORE_AWAY;
}
uint64_t redis_returned_at(struct redis *r) {
    (void)r;
    return store.returned_at;
}
struct span redis_prefix(const struct redis *r) {
    (void)r;
    return SPAN("sluice:");
}
uint32_t redis_gateways(struct redis *r) {
    (void)r;
    return store.gateways;
}
bool redis_ask(struct redis *r, struct redis_ask *a, enum redis_failure *why) {
    (void)r;
    if (store.mood == STORE_FULL || store.mood == STORE_AWAY) {
        *why = store.mood == STORE_FULL ? REDIS_FULL : REDIS_AWAY;
        return false;
    }
    struct store_ask *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->ask = a;
    s->script = span_eq(span_z(a->script->name), SPAN("limit")) ||
                span_eq(span_z(a->script->name), SPAN("counter_add"));
    assert_true(a->keys >= 1 && a->args <= REDIS_ARGS_MAX);
    if (s->script && span_eq(span_z(a->script->name), SPAN("counter_add"))) {
        s->counter = true;
        s->cost = number_of(a->arg[0]);
        s->most = number_of(a->arg[1]);
        assert_int_equal(a->args, 3);
    } else if (s->script) {
        s->cost = number_of(a->arg[0]);
        s->most = number_of(a->arg[1]);
        s->extra = number_of(a->arg[2]);
        s->owed = number_of(a->arg[3]);
        s->age = number_of(a->arg[4]);
        s->force = span_eq(a->arg[5], SPAN("force"));
        s->x = number_of(a->arg[7]);
        s->y = number_of(a->arg[8]);
        s->z = number_of(a->arg[9]);
    }
    store.asked += s->script;
    store.other += !s->script;
    a->conn = s;
    list_append(&store.asks, &s->node);
    if (a->ops)
        op_start(a->ops, &a->op, store_cancel);
    return true;
}
