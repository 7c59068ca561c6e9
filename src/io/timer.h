/*
 * timer - a hierarchical wheel: start, move and stop in constant time, millisecond ticks.
 *
 * Moving a running timer to a later time only notes the time: the wheel finds it at its old place
 * and puts it where it belongs (keep-alive and idle timers move with every request and fire almost
 * never). A timer never fires early. Owner: whoever embeds it. Thread: that of its wheel.
 */
#pragma once
#include "base/list.h"
#include <stdint.h>

enum { TIMER_LEVELS = 6, TIMER_SLOTS = 64 };

struct timer {
    struct list node;
    void (*fire)(struct timer *);
    uint64_t at;    /* ms: when it is wanted */
    uint64_t filed; /* ms: where it stands in the wheel, <= at */
};

struct timers {
    uint64_t now;                /* ms, as far as the wheel has turned */
    uint64_t used[TIMER_LEVELS]; /* a bit per slot that may hold timers */
    struct list slot[TIMER_LEVELS][TIMER_SLOTS];
    struct list due;
};

void timers_init(struct timers *w, uint64_t now_ms);
/* Starts, or moves, to now + delay_ms (0: the next turn). */
void timer_start(struct timers *w, struct timer *t, uint64_t now_ms, uint64_t delay_ms);
static inline bool timer_running(const struct timer *t) {
    return t->node.next != NULL;
}
static inline void timer_stop(struct timer *t) {
    list_remove(&t->node);
}
/* Turns the wheel to now and collects what is due; then timers_next_due gives one after the other.
 */
void timers_turn(struct timers *w, uint64_t now_ms);
struct timer *timers_next_due(struct timers *w); /* NULL: no more; it is stopped */
/* ms until the wheel must turn again; at most max_ms, which is also the answer without timers (-1:
 * never). */
int64_t timers_wait(const struct timers *w, uint64_t now_ms, int64_t max_ms);
