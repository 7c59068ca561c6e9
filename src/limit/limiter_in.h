/*
 * limiter_in - the limiter's inside: what the local judge and the shared one (limit/shared_limit.c)
 * have in common. Thread: any.
 */
#pragma once
#include "limit/limiter.h"
#include "limit/window.h"
#include "limit/hot.h"
#include <stdatomic.h>

enum { LIMIT_THREADS = 64 };

struct limiter_stats { /* lasting, by the limit's id */
    struct {
        _Alignas(64) struct limit_counts counts;
    } thread[LIMIT_THREADS];
    struct hot hot[LIMIT_THREADS];
    _Atomic uint32_t windows, keys;
    _Atomic uint64_t memory;
};

struct limiter { /* in the snapshot's arena */
    const struct rate_limit_conf *conf;
    struct window window[LIMIT_RATES_MAX];
    struct cells *cells[LIMIT_RATES_MAX];
    unsigned windows;
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
void limiter_give_back(struct limit_ask *a, uint32_t share);
/* What was admitted elsewhere is counted here too. */
void limiter_charge_here(struct limit_ask *a, uint64_t cost);
