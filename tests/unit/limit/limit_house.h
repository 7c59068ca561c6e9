/*
 * limit_house - threads without a loop, a clock of the test's own, and limits made by hand.
 */
#pragma once
#include "limit/limiter_in.h"
#include "base/env.h"
#include "base/hash.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <pthread.h>

enum { THREADS = 64 };
#define MS 1000000ull
#define SECOND (1000 * MS)
enum { MINUTE_MS = 60000, DAY_MS = 86400000 };
#define YEAR_MS (365ull * DAY_MS)
#define A LIMIT_ALLOWED
#define D LIMIT_DELAYED
#define R LIMIT_REFUSED

/* ---- the house: threads by turns, and a clock ---- */

static struct thread *house[THREADS];
static uint64_t clock_ns;
static int64_t wall_ahead;

static inline uint64_t now_ns(void) {
    return clock_ns;
}
static inline int64_t wall_ns(void) {
    return (int64_t)clock_ns + wall_ahead;
}

static inline void become(unsigned i, uint64_t at) {
    me = &house[i]->loop;
    me->now = at;
    house[i]->date_until = 0;
}

static inline void pass(uint64_t ns) {
    clock_ns += ns;
    become(0, clock_ns);
}

static inline int begin(void **state) {
    (void)state;
    clock_ns = 36000 * SECOND;
    wall_ahead = (int64_t)(1764000000 * SECOND - clock_ns); /* a full hour, here and there */
    env.now_ns = now_ns;
    env.wall_ns = wall_ns;
    for (unsigned i = 0; i < THREADS; i++) {
        house[i] = calloc(1, sizeof *house[i]);
        assert_non_null(house[i]);
        house[i]->index = i;
    }
    become(0, clock_ns);
    return 0;
}
static inline int end(void **state) {
    (void)state;
    for (unsigned i = 0; i < THREADS; i++)
        free(house[i]);
    me = NULL;
    env = env_os;
    return 0;
}

/* ---- a limit ---- */

struct limit {
    struct snapshot snapshot;
    struct rate_limit_conf conf;
};

static inline struct limit *limit_of(const struct rate_limit_conf *how) {
    struct limit *l = calloc(1, sizeof *l);
    assert_non_null(l);
    arena_init(&l->snapshot.arena, NULL);
    l->conf = *how;
    struct schema_rate *rate = arena_zero(&l->snapshot.arena, how->rates * sizeof *rate);
    memcpy(rate, how->rate, how->rates * sizeof *rate);
    l->conf.rate = rate;
    l->conf.scope = LIMIT_THIS_GATEWAY;
    assert_null(rate_limit_finish(&l->snapshot.arena, &l->conf));
    limiter_attach(&l->snapshot, &l->conf, SPAN("routes[0].policies"));
    assert_non_null(l->conf.limiter);
    return l;
}
static inline void limit_free(struct limit *l) {
    limiter_detach(&l->conf);
    assert_null(l->conf.limiter);
    arena_finish(&l->snapshot.arena);
    free(l);
}

static inline struct limit *gcra(uint64_t count, uint64_t per_ms, uint64_t burst) {
    struct schema_rate rate = {count, per_ms};
    struct limit *l = limit_of(&(struct rate_limit_conf){
        .rate = &rate, .rates = 1, .burst = burst, .name = SPAN("test"), .keys = 1024});
    return l;
}

static inline struct limit_ask ask_of(struct limit *l, const char *key, uint64_t cost) {
    return (struct limit_ask){.limiter = l->conf.limiter, .key = span_z(key), .cost = cost};
}
static inline enum limit_verdict ask(struct limit *l, const char *key, uint64_t cost) {
    struct limit_ask a = ask_of(l, key, cost);
    assert_true(limiter_ask(&a));
    return a.answer.verdict;
}

static uint64_t seed;
static inline uint64_t random_below(uint64_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % n;
}

/* What limiter_walk says of the last limit. */
static struct limiter_state seen;
static inline void see(void *ctx, const struct limiter_state *s) {
    (void)ctx;
    seen = *s;
}
