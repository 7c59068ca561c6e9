/*
 * shared_limit_in - the inside of shared limits, for the files limit/shared_*.c. Thread: any.
 */
#pragma once
#include "limit/shared_key.h"
#include "limit/shared_lease.h"
#include "limit/shared_limit.h"
#include "limit/shared_owed.h"
#include "limit/shared_refused.h"
#include "limit/shared_script.h"

struct shared_state { /* lasting, by the limit's id */
    struct shared_refused refused;
    struct shared_owed owed;
    struct {
        _Alignas(64) struct shared_counts counts;
    } thread[LIMIT_THREADS];
    _Atomic uint64_t lost; /* tokens of leases */
};

struct shared_limit { /* in the snapshot's arena; the limiter's shared_data */
    struct list node; /* of all that live */
    struct limiter *limiter;
    struct snapshot *snapshot;
    struct redis *redis;
    struct shared_windows windows;
    struct shared_state *state;
    struct lease_table *leases; /* NULL: exact */
    uint64_t remembers_ns;      /* so long after the store came back both must agree */
    unsigned tightest;          /* window with the least burst */
};

static inline struct shared_limit *shared_limit_of(const struct limit_ask *a) {
    return a->limiter->shared_data;
}
/* Its name in the store. */
static inline void shared_limit_key(const struct shared_limit *s, struct span key,
                                    struct shared_key *out) {
    struct shared_name name = {redis_prefix(s->redis), SPAN("limit"), s->limiter->conf->id, key};
    shared_key_make(out, &name);
}
static inline struct shared_counts *shared_counts_here(const struct shared_limit *s) {
    return &s->state->thread[thread_me()->index % LIMIT_THREADS].counts;
}
static inline uint64_t now_ms(void) {
    return me->now / 1000000;
}

/* ---- shared_away.c: without the store, and after it ---- */

/* By on_failure. */
void shared_away_judge(struct shared_limit *s, struct limit_ask *a);
/* Counts here what the store let pass, as far as the share goes. */
void shared_away_shadow(const struct shared_limit *s, const struct limit_ask *a, uint64_t cost);
void shared_away_give_back(const struct shared_limit *s, const struct limit_ask *a, uint64_t cost);
/* The store is back, but not for long: both must agree. */
bool shared_away_recovering(const struct shared_limit *s);

/* ---- shared_tell.c: what nobody waits for ---- */

void shared_tell_correct(const struct shared_limit *s, struct span key, int64_t more);
/* Gets `tokens` for the cell, whose fetch this is. */
void shared_tell_fetch(struct shared_limit *s, const struct limit_ask *a, struct lease_cell *c,
                       uint64_t tokens);
void shared_tell_forget(const struct shared_limit *s, struct span key);
