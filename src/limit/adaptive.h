/*
 * adaptive - how many requests a service can work on at once, found from how long its answers take.
 *
 * A service that is full works no faster when it is given more: everybody just waits longer. So
 * where answers take longer *because* more is under way, less is given, down to where they take
 * `tolerance` times what they take without a crowd. In between stands everything that keeps a
 * healthy service from being limited:
 *
 *   - calm: without evidence the limit is `max`, and only the usual latency is learnt.
 *   - evidence: over several windows in a row the usual answers (median) *and* the quick ones (the
 *     fastest tenth) take more than `tolerance` times the usual, and more than min_latency; and
 * half as much more is under way as usual. A few slow routes move the one and not the other; a
 *     service that is slower by itself is not more in demand: then this is the new usual.
 *   - limiting: less where it is still too slow, a little more where the limit was used and it was
 *     not. What was sent before the limit fell says nothing about it and is not looked at.
 *   - in vain: if much less does not make it faster, it was not the crowd: the limit is lifted, and
 *     what is measured is the new usual. Likewise where the limit has been `min` for a while.
 *
 * After half a minute in which the limit was not used it is calm again. Pure: windows go in, a
 * limit comes out; no clock, no memory, no atomics (limit/gate.c has those). Owner: who embeds it.
 * Thread: one at a time.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct adaptive_conf {
    bool on;
    uint32_t min, max;
    uint32_t tolerance; /* times the usual */
    uint64_t min_latency_ms;
};

/* What was measured; only of requests that were sent under the present limit (`epoch`). */
struct adaptive_window {
    uint64_t length_ns;
    uint32_t samples;
    uint32_t peak;             /* the most under way at once */
    uint64_t quick_ns, mid_ns; /* the fastest tenth is below; half of them are */
};

enum adaptive_state { ADAPTIVE_CALM, ADAPTIVE_LIMITING };

struct adaptive {
    enum adaptive_state state;
    uint32_t limit;
    uint32_t epoch;            /* counts how often the limit has fallen */
    double quick, mid;         /* what is usual; ns, 0: nothing yet */
    double last_mid;           /* of the last window */
    double peak;               /* under way, usually */
    unsigned evidence;         /* windows in a row */
    unsigned at_min;           /* likewise, at the lowest limit and still too slow */
    double cut_limit, cut_mid; /* where the limit began to fall, and what was measured then */
    uint64_t unused_ns;
};

void adaptive_init(struct adaptive *a, const struct adaptive_conf *c);
/* Is the window long enough to be judged? */
bool adaptive_enough(const struct adaptive *a, uint64_t length_ns, uint32_t samples);
/* Too long with too little in it: begin anew. */
bool adaptive_stale(const struct adaptive *a, uint64_t length_ns, uint32_t samples);
/* The limit from now on. */
uint32_t adaptive_judge(struct adaptive *a, const struct adaptive_conf *c,
                        const struct adaptive_window *w);
/* Who has waited longer than this for an answer is no load but somebody who waits for an event (a
 * long poll), and is not counted any more. ns */
uint64_t adaptive_patience(const struct adaptive *a);
