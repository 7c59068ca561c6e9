/*
 * limiter_in - the limiter's inside: what the local judge and the shared one (limit/shared_limit.c)
 * have in common. Thread: any.
 */
#pragma once
#include "limit/limiter.h"
#include "limit/window.h"
#include "limit/hot.h"
#include <stdatomic.h>

/* What one thread counts; made when it counts first. */
struct limit_local {
    struct limit_counts counts;
    _Atomic(struct hot *) hot;
};
enum {
    LIMIT_THREADS = 64, /* for what is kept for each of few threads */
    LIMIT_GROUP = 16,
    LIMIT_GROUPS = 40 /* of threads: more than workers can be set */
};
struct limit_group {
    _Atomic(struct limit_local *) local[LIMIT_GROUP];
};
struct limiter_stats { /* lasting, by the limit's id */
    _Atomic(struct limit_group *) group[LIMIT_GROUPS];
    _Atomic uint32_t windows, keys;
    _Atomic uint64_t memory;
};
struct limiter_stats *limiter_stats_get(struct span id);
void limiter_stats_unref(struct limiter_stats *s);

struct limiter { /* in the snapshot's arena */
    const struct rate_limit_conf *conf;
    struct window window[LIMIT_RATES_MAX];
    struct cells *cells[LIMIT_RATES_MAX];
    unsigned windows;
    bool one; /* its key is a constant */
    struct limiter_stats *stats;
    /* Where state is shared and the limit's scope is all: asked instead. NULL: local. */
    const struct limiter_shared *shared;
    void *shared_data;
};

/* What a shared judge brings; main names it before the first snapshot (limiter_set_shared). */
struct limiter_shared {
    /* For a limiter whose conf and windows stand; NULL: this one stays local. */
    void *(*attach)(struct snapshot *s, struct limiter *l);
    void (*detach)(struct limiter *l);
    bool (*ask)(struct limit_ask *a); /* as limiter_ask; a->hash is set */
    void (*refund)(struct limit_ask *a);
    void (*correct)(struct limit_ask *a, int64_t more);
};
void limiter_set_shared(const struct limiter_shared *shared);

/* Judges here and now, by the `share`-th part of the limit (1: all of it). Fills a->answer. */
void limiter_judge(struct limit_ask *a, uint32_t share);
/* a->cost, of what limiter_judge let pass with this share. */
void limiter_give_back(struct limit_ask *a, uint32_t share);
/* What was admitted elsewhere is counted here too. */
void limiter_charge_here(struct limit_ask *a, uint64_t cost);
