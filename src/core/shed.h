/*
 * shed - who is refused while a thread's loop is behind: whoever uses more of it than his share.
 *
 * **Is it behind?** Each turn handles a batch, so an event has waited for half of the turn before
 * (unless the loop slept) and half of those handled with it. Over windows of 100 ms: the loop is
 * behind if events waited longer than the target on average and it was busy for three quarters of
 * the time. The second half is what CoDel's minimum is for: a burst that is worked off leaves the
 * loop idle afterwards, a queue that stands does not. (The least turn of a window would say
 * nothing: a short turn behind a long one has handled what waited for the long one.)
 *
 * No target is less than four requests take on average: refusing could not reach it.
 *
 * The shipped target is 100 ms: clients notice that, while a worker that is merely asked by
 * thousands of connections at once, 20 us each, stays below it; there refusing would help nobody.
 *
 * **Who uses how much?** Only from the first such window on each request is charged to who asks:
 * the time that the loop spent on it, decayed over about a second, in a table of fixed size. When
 * it is full a newcomer takes the place of the least, whose use is remembered as that of many small
 * ones.
 *
 * **What is refused?** At the end of a window that was behind, the least that all askers' wishes
 * (used and refused) may be cut to, so that together they come to a bit less than what was done, is
 * the level: max-min fairness, "water filling". Who stands below the level passes as if nothing
 * were; who would exceed it is refused until enough of his use has faded. So one who asks a
 * hundred times as much as others is cut down to what they leave. If there are so many askers that
 * not even one request each would do, the level is below the cost of one, and a request passes with
 * the probability level / cost. Windows that were not behind lift the level, the more the longer
 * they last; two seconds in which nobody was refused end it. Never less than a tenth of the loop's
 * time is given out, for where refusing itself is what keeps it busy, refusing more helps nobody.
 *
 * Nothing here knows requests or connections: keys and nanoseconds. Owner: its thread. Thread: its
 * own.
 */
#pragma once
#include "io/loop.h"

enum { SHED_WINDOW_NS = 100000000, SHED_SETS = 128, SHED_WAYS = 8 };

struct shed_asker {
    uint64_t key;                  /* 0: free */
    float used, refused, admitted; /* ns, ns as far as can be guessed, requests; decayed */
};

enum shed_ease { SHED_FAIR, SHED_LAST }; /* LAST: may use twice as much */
enum shed_change { SHED_SAME, SHED_BEGAN, SHED_ENDED };

struct shed {
    /* Measured always: a few additions a turn. */
    uint64_t since, busy, waited, events, queued; /* of this window */
    uint64_t last_ended, last_took;
    uint64_t delay_ns; /* of the last window that had events */
    /* While it is on. */
    bool on;
    unsigned calm, quiet; /* windows in a row that were not behind; and refused nobody */
    double level;         /* ns a window that an asker may use; HUGE_VAL: any */
    uint64_t faded;       /* ns: until then */
    double age;           /* what a window's use decays to, summed over the windows so far */
    double used, admitted, refused; /* of all, decayed; also of those who fell out of the table */
    double done;                    /* ns, in this window */
    bool refusing;                  /* in this window */
    uint64_t seed;
    struct shed_asker *asker; /* SHED_SETS * SHED_WAYS */
};

void shed_finish(struct shed *s);
/* At the end of each turn. */
enum shed_change shed_turn(struct shed *s, const struct lap *t, uint64_t target_ns);
/* While it is on: may a request of this asker (never 0) go on? Counts it. */
must_use bool shed_asks(struct shed *s, uint64_t key, enum shed_ease ease);
/* The loop has spent so much on a request of his that was let go on. */
void shed_charge(struct shed *s, uint64_t key, uint64_t ns);
/* A request that was let go on, and what was spent on it so far, turn out to be somebody else's. */
void shed_takes_back(struct shed *s, uint64_t key, uint64_t ns);
/* Some are being refused, or would be. */
static inline bool shed_cuts(const struct shed *s) {
    return s->on && s->level < 1e18;
}
