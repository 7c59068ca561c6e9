/*
 * window - one rate of a limit as arithmetic on one 64-bit value: GCRA, sliding and fixed windows.
 *
 * Pure: time and value come in, verdict and value go out. GCRA (ITU-T I.371, virtual scheduling)
 * keeps the time until which all is paid for, in 1/64 ns since its table was made: what a cost of 1
 * takes is rounded up, so never more than the rate gets through, and at 10^7 a second 0.02 % less.
 * A sliding window keeps its number (16 bits) and the counts of the last and of this one (24 bits
 * each). A fixed one keeps number and count (34 and 30 bits); a clock that is put back does not
 * begin it anew. Thread: any.
 */
#pragma once
#include "core/limits.h"
#include "limit/cells.h"

struct window {
    enum limit_algorithm algorithm;
    uint64_t count;     /* of the rate */
    uint64_t burst;     /* what may come at once */
    uint64_t period;    /* ns */
    uint64_t increment; /* GCRA: 1/64 ns for a cost of 1 */
    uint64_t tolerance; /* GCRA: burst * increment */
    uint64_t epoch;     /* GCRA: ns; its clock begins there */
    struct cell_rule rule;
};

/* For the rate at this place, of which this gateway has but the `share`-th part (1: all of it).
 * Parts together are never more than the whole, unless that is less than 1 each. */
void window_init(struct window *w, const struct rate_limit_conf *c, uint32_t at, uint32_t share);

struct window_time { /* of one moment */
    uint64_t mono;   /* ns on the loop's clock */
    uint64_t wall;   /* ns since 1970: fixed windows begin by it */
};
/* The moment in the window's own unit. */
uint64_t window_now(const struct window *w, const struct window_time *t);

struct window_judgement {
    bool allowed;
    uint64_t next;      /* the value, with the cost */
    uint64_t remaining; /* after it; refused: before it */
    uint64_t wait_ns;   /* refused: until it would be allowed (UINT64_MAX: never); allowed: before
                         * it may go on (0, unless max_wait_ns let it be ahead) */
    uint64_t reset_ns;  /* until all is there again */
    uint64_t mark;      /* of this charge, for giving it back: not 0 */
};
void window_judge(const struct window *w, uint64_t value, uint64_t now, uint64_t cost,
                  uint64_t max_wait_ns, struct window_judgement *out);
/* The value without a cost that was charged under this mark (0: just now). What has been paid for
 * by time, or counted in a window that is gone, is nothing to give back: else a late refund would
 * let more come than the limit says. */
uint64_t window_give_back(const struct window *w, uint64_t value, uint64_t now, uint64_t cost,
                          uint64_t mark);
/* The value with so much more, whatever the limit says. */
uint64_t window_charge(const struct window *w, uint64_t value, uint64_t now, uint64_t cost);
