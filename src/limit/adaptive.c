#include "limit/adaptive.h"

enum {
    FIRST_SAMPLES = 16, /* before anything is known */
    SAMPLES = 50,
    SAMPLES_LEAST = 10, /* of a long window */
    EVIDENCE = 4,
    ALARM = 5, /* times the tolerance: what no passing crowd comes to */
    AT_MIN = 5
};
static const uint64_t window_ns = 100 * 1000000ull, window_max_ns = 10 * 1000000000ull,
                      unused_ns = 30 * 1000000000ull, patience_ns = 2 * 1000000000ull;
/* How fast the usual follows what is measured: slower upwards while nothing is wrong, so that a
 * crowd that grows slowly does not become usual. */
static const double up_ns = 120e9, other_ns = 20e9;
static const double alarm_ns = 5e9; /* nobody likes to wait longer, whatever is usual */

void adaptive_init(struct adaptive *a, const struct adaptive_conf *c) {
    *a = (struct adaptive){.state = ADAPTIVE_CALM, .limit = c->max};
}

bool adaptive_enough(const struct adaptive *a, uint64_t length, uint32_t samples) {
    if (a->mid <= 0)
        return samples >= FIRST_SAMPLES;
    uint64_t least = window_ns > (uint64_t)(2 * a->mid) ? window_ns : (uint64_t)(2 * a->mid);
    return length >= least && samples >= (length >= window_max_ns ? SAMPLES_LEAST : SAMPLES);
}

bool adaptive_stale(const struct adaptive *a, uint64_t length, uint32_t samples) {
    uint64_t most = window_max_ns > (uint64_t)(4 * a->mid) ? window_max_ns : (uint64_t)(4 * a->mid);
    return length >= 2 * most && samples < SAMPLES_LEAST;
}

/* While it is limited a whole queue may stand before it: all of that is load. */
uint64_t adaptive_patience(const struct adaptive *a) {
    uint64_t usual = (uint64_t)(20 * a->mid), now = (uint64_t)(4 * a->last_mid);
    uint64_t least = patience_ns;
    if (a->state == ADAPTIVE_LIMITING)
        least = now > 5 * patience_ns ? now : 5 * patience_ns;
    return usual > least ? usual : least;
}

static double follow(double usual, double now, double weight) {
    return usual + (now - usual) * (weight > 0.5 ? 0.5 : weight);
}

/* Down it goes faster than up, but not so fast that it becomes the best that ever was. */
static double usual_of(double usual, double now, double weight) {
    double down = now < usual / 2 ? 0.5 : 0.02;
    return follow(usual, now, now < usual && weight < down ? down : weight);
}

static void learn(struct adaptive *a, const struct adaptive_window *w, double up) {
    double weight = (double)w->length_ns / up;
    a->quick = usual_of(a->quick, (double)w->quick_ns, weight);
    a->mid = usual_of(a->mid, (double)w->mid_ns, weight);
    a->peak = follow(a->peak, w->peak, weight);
}

static void learn_anew(struct adaptive *a, const struct adaptive_window *w) {
    a->quick = w->quick_ns ? (double)w->quick_ns : 1;
    a->mid = w->mid_ns ? (double)w->mid_ns : 1;
    a->peak = w->peak;
    a->evidence = a->at_min = 0;
}

/* How many times the usual: the less alarming of the two. */
static double slowness(const struct adaptive *a, const struct adaptive_window *w) {
    double quick = (double)w->quick_ns / a->quick, mid = (double)w->mid_ns / a->mid;
    return quick < mid ? quick : mid;
}

static bool bounded(const struct adaptive_conf *c, double limit, uint32_t *out) {
    *out = limit <= c->min ? c->min : limit >= c->max ? c->max : (uint32_t)limit;
    return limit > c->min;
}

static void lift(struct adaptive *a, const struct adaptive_conf *c) {
    a->state = ADAPTIVE_CALM;
    a->limit = c->max;
    a->evidence = a->at_min = 0;
    a->unused_ns = 0;
}

static double tolerated(const struct adaptive_conf *c) {
    return c->tolerance;
}

static void fall(struct adaptive *a, const struct adaptive_conf *c, double from, double slow,
                 double least) {
    double by = tolerated(c) / slow;
    bounded(c, from * (by < least ? least : by), &a->limit);
    a->epoch++;
    a->unused_ns = 0;
}

static void calm(struct adaptive *a, const struct adaptive_conf *c, const struct adaptive_window *w,
                 double slow) {
    double up = slow <= tolerated(c) ? up_ns : other_ns;
    bool crowd = w->peak > c->min && w->peak >= 1.25 * a->peak;
    if (slow <= tolerated(c) || !crowd)
        learn(a, w, up);
    bool alarming = slow > ALARM * tolerated(c) || (double)w->mid_ns > alarm_ns;
    if (slow <= tolerated(c) || !alarming || !crowd) {
        a->evidence = 0;
        return;
    }
    if (++a->evidence < EVIDENCE)
        return;
    a->state = ADAPTIVE_LIMITING;
    a->evidence = 0;
    a->cut_mid =
        0; /* answers lag behind a growing crowd: the next window is the first to compare */
    fall(a, c, w->peak, slow, 0.4);
}

/* Much less is given, and it is hardly faster. */
static bool in_vain(const struct adaptive *a, const struct adaptive_window *w) {
    return a->cut_mid > 0 && a->limit < 0.6 * a->cut_limit && (double)w->mid_ns > 0.8 * a->cut_mid;
}

static void too_slow(struct adaptive *a, const struct adaptive_conf *c,
                     const struct adaptive_window *w, double slow) {
    a->at_min = a->limit <= c->min ? a->at_min + 1 : 0;
    if (in_vain(a, w) || a->at_min >= AT_MIN) {
        learn_anew(a, w);
        lift(a, c);
        return;
    }
    if (a->cut_mid <= 0) {
        a->cut_limit = a->limit;
        a->cut_mid = (double)w->mid_ns;
    }
    fall(a, c, a->limit, slow, 0.5);
}

static double root(double v) { /* good enough, and without libm */
    double r = v > 1 ? v : 1;
    for (int i = 0; i < 12; i++)
        r = (r + v / r) / 2;
    return r;
}

static void fast_enough(struct adaptive *a, const struct adaptive_conf *c,
                        const struct adaptive_window *w, double slow) {
    a->at_min = 0;
    a->cut_mid = 0;
    if (slow < 1)
        learn(a, w, up_ns);
    if (w->peak >= 0.9 * a->limit) {
        a->unused_ns = 0;
        if (slow < 0.95 * tolerated(c))
            bounded(c, a->limit + root(a->limit) / 2 + 1, &a->limit);
        return;
    }
    a->unused_ns += w->length_ns;
    if (a->unused_ns >= unused_ns)
        lift(a, c);
}

uint32_t adaptive_judge(struct adaptive *a, const struct adaptive_conf *c,
                        const struct adaptive_window *w) {
    if (a->mid <= 0) {
        learn_anew(a, w);
        return a->limit;
    }
    double slow = slowness(a, w);
    a->last_mid = (double)w->mid_ns;
    if ((double)w->mid_ns < (double)c->min_latency_ms * 1e6 && slow > tolerated(c))
        slow = tolerated(c);
    if (a->state == ADAPTIVE_CALM)
        calm(a, c, w, slow);
    else if (slow > tolerated(c))
        too_slow(a, c, w, slow);
    else
        fast_enough(a, c, w, slow);
    return a->limit;
}
