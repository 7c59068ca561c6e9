#include "io/timer.h"
#include "base/check.h"
#include <stdbool.h>

enum { SHIFT = 6 }; /* log2(TIMER_SLOTS) */
static const uint64_t span_max = ((uint64_t)1 << (SHIFT * TIMER_LEVELS)) - 1;

void timers_init(struct timers *w, uint64_t now_ms) {
    w->now = now_ms;
    for (int l = 0; l < TIMER_LEVELS; l++) {
        w->used[l] = 0;
        for (int s = 0; s < TIMER_SLOTS; s++)
            list_init(&w->slot[l][s]);
    }
    list_init(&w->due);
}

/* Level by distance: a timer on level l stands in the slot of its own time's l-th digit (base 64),
 * so a slot of level l is visited once in 64^(l+1) ms and its timers move down or fire. */
static void file(struct timers *w, struct timer *t) {
    uint64_t at = t->at > w->now ? t->at : w->now + 1;
    uint64_t dist = at - w->now;
    if (dist > span_max)
        at = w->now + span_max, dist = span_max;
    int level = dist < TIMER_SLOTS ? 0 : (63 - __builtin_clzll(dist)) / SHIFT;
    unsigned s = (unsigned)(at >> (SHIFT * level)) & (TIMER_SLOTS - 1);
    t->filed = at;
    list_append(&w->slot[level][s], &t->node);
    w->used[level] |= (uint64_t)1 << s;
}

void timer_start(struct timers *w, struct timer *t, uint64_t now_ms, uint64_t delay_ms) {
    uint64_t at = now_ms + delay_ms + 1; /* now_ms is cut: never early */
    t->at = at;
    if (timer_running(t)) {
        if (t->filed <= at)
            return; /* lazily: looked at when its old place comes up */
        list_remove(&t->node);
    }
    file(w, t);
}

static void refile(struct timers *w, struct list *slot) {
    struct list todo;
    list_init(&todo);
    list_splice(&todo, slot);
    for (struct list *n; (n = list_shift(&todo));) {
        struct timer *t = container_of(n, struct timer, node);
        if (t->at <= w->now)
            list_append(&w->due, &t->node);
        else
            file(w, t);
    }
}

static void visit(struct timers *w, int level) {
    unsigned s = (unsigned)(w->now >> (SHIFT * level)) & (TIMER_SLOTS - 1);
    uint64_t bit = (uint64_t)1 << s;
    if (!(w->used[level] & bit))
        return;
    w->used[level] &= ~bit;
    refile(w, &w->slot[level][s]);
}

/* The next time after now at which some slot that may hold timers comes up. */
static bool next_visit(const struct timers *w, uint64_t *when) {
    bool any = false;
    for (int l = 0; l < TIMER_LEVELS; l++) {
        if (!w->used[l])
            continue;
        uint64_t digit = w->now >> (SHIFT * l);
        unsigned s = (unsigned)(digit + 1) & (TIMER_SLOTS - 1);
        uint64_t rot = s ? w->used[l] >> s | w->used[l] << (TIMER_SLOTS - s) : w->used[l];
        uint64_t at = (digit + 1 + (uint64_t)__builtin_ctzll(rot)) << (SHIFT * l);
        if (!any || at < *when)
            *when = at;
        any = true;
    }
    return any;
}

void timers_turn(struct timers *w, uint64_t now_ms) {
    uint64_t when;
    while (next_visit(w, &when) && when <= now_ms) {
        w->now = when;
        for (int l = TIMER_LEVELS - 1; l >= 0; l--)
            if (l == 0 || (when & (((uint64_t)1 << (SHIFT * l)) - 1)) == 0)
                visit(w, l);
    }
    if (now_ms > w->now)
        w->now = now_ms;
}

struct timer *timers_next_due(struct timers *w) {
    struct list *n = list_shift(&w->due);
    return n ? container_of(n, struct timer, node) : NULL;
}

int64_t timers_wait(const struct timers *w, uint64_t now_ms, int64_t max_ms) {
    uint64_t when;
    if (list_linked(&w->due))
        return 0;
    if (!next_visit(w, &when))
        return max_ms;
    int64_t wait = when > now_ms ? (int64_t)(when - now_ms) : 0;
    return max_ms >= 0 && wait > max_ms ? max_ms : wait;
}
