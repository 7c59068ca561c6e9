/*
 * limit - what a rate limit costs a request, and how much memory: `ninja bench/limit &&
 * bench/limit [--json]`.
 *
 * Asks as the policy does (the key hashed, all windows judged, verdict and key noted), in one
 * thread, with the clock going on 1 us each time; the keys are made before. Prints nanoseconds of
 * CPU for each ask (the median of the rounds), the least of which are the loop itself, and the
 * memory that the tables take: 16 bytes for each of `keys`, rounded up to a power of two, in each
 * window.
 */
#include "base/env.h"
#include "base/hash.h"
#include "limit/limiter.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 11, ASKS = 1000000, KEY_MAX = 24, MANY = 10000000 };

static const struct row {
    const char *what;
    uint32_t distinct, keys; /* how many come, how many are told apart */
    unsigned rates;
    struct schema_rate rate[LIMIT_RATES_MAX];
    int algorithm;
    bool refused; /* nearly all of them */
} rows[] = {
    {"one key", 1, 65536, 1, {{10000000, 1000}}, LIMIT_GCRA, false},
    {"one key, refused", 1, 65536, 1, {{10, 1000}}, LIMIT_GCRA, true},
    {"1,000 keys", 1000, 65536, 1, {{10000, 1000}}, LIMIT_GCRA, false},
    {"1,000 keys, sliding window", 1000, 65536, 1, {{10000, 1000}}, LIMIT_SLIDING_WINDOW, false},
    {"1,000 keys, fixed window", 1000, 65536, 1, {{10000, 1000}}, LIMIT_FIXED_WINDOW, false},
    {"1,000 keys, two windows",
     1000,
     65536,
     2,
     {{10000, 1000}, {9000000, 86400000}},
     LIMIT_GCRA,
     false},
    {"1,000 keys, four windows",
     1000,
     65536,
     4,
     {{10000, 1000}, {400000, 60000}, {9000000, 3600000}, {90000000, 86400000}},
     LIMIT_GCRA,
     false},
    {"50,000 keys", 50000, 65536, 1, {{10000, 1000}}, LIMIT_GCRA, false},
    {"10,000,000 keys, 65,536 told apart", MANY, 65536, 1, {{1000, 1000}}, LIMIT_GCRA, false},
    {"10,000,000 keys, all told apart", MANY, 1 << 24, 1, {{1000, 1000}}, LIMIT_GCRA, false},
};

static char (*key)[KEY_MAX];

static uint64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool json;
static uint64_t memory;
static void see(void *ctx, const struct limiter_state *s) {
    (void)ctx;
    memory = s->memory;
}

static double round_of(struct limiter *l, const struct row *r, uint32_t *at, uint64_t *refused) {
    uint64_t from = cpu_ns();
    for (unsigned i = 0; i < ASKS; i++) {
        struct limit_ask a = {.limiter = l, .key = {key[*at], KEY_MAX}, .cost = 1};
        me->now += 1000;
        must(limiter_ask(&a));
        limiter_note(&a, false);
        *refused += a.answer.verdict == LIMIT_REFUSED;
        *at = *at + 1 < r->distinct ? *at + 1 : 0;
    }
    return (double)(cpu_ns() - from) / ASKS;
}

static void measure(const struct row *r) {
    struct snapshot *s = mem_alloc(sizeof *s);
    struct rate_limit_conf c = {.rate = r->rate,
                                .rates = r->rates,
                                .algorithm = r->algorithm,
                                .keys = r->keys,
                                .name = SPAN("bench"),
                                .scope = LIMIT_THIS_GATEWAY};
    double ns[ROUNDS];
    uint32_t at = 0;
    uint64_t refused = 0;
    arena_init(&s->arena, NULL);
    must(!rate_limit_finish(&s->arena, &c));
    limiter_attach(s, &c, SPAN("bench"));
    limiter_walk(see, NULL);
    for (int i = 0; i < ROUNDS; i++)
        ns[i] = round_of(c.limiter, r, &at, &refused);
    must((refused > (uint64_t)ROUNDS * ASKS / 2) == r->refused);
    qsort(ns, ROUNDS, sizeof *ns, by_size);
    printf(json ? "%s{\"what\": \"%s\", \"ns\": %.1f, \"windows\": %u, \"memory_kb\": %llu}\n"
                : "%s%-36s %5.0f ns, %u window(s), %llu KiB\n",
           json && r > rows ? "," : "", r->what, ns[ROUNDS / 2], r->rates,
           (unsigned long long)(memory / 1024));
    limiter_detach(&c);
    arena_finish(&s->arena);
    mem_free(s);
}

int main(int argc, char **argv) {
    static struct thread thread;
    json = argc == 2 && strcmp(argv[1], "--json") == 0;
    if (argc > 1 && !json) {
        fprintf(stderr, "usage: limit [--json]\n");
        return 2;
    }
    me = &thread.loop;
    me->now = env.now_ns();
    hash_seed(0x0123456789abcdef, 0xfedcba9876543210);
    key = malloc((size_t)MANY * KEY_MAX);
    must(key);
    for (uint32_t i = 0; i < MANY; i++)
        snprintf(key[i], KEY_MAX, "consumer:user-%08u", i);
    if (json)
        printf("[");
    for (unsigned i = 0; i < array_len(rows); i++)
        measure(&rows[i]);
    if (json)
        printf("]\n");
    free(key);
    return 0;
}
