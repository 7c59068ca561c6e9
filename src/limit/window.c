#include "limit/window.h"

enum { UNITS = 64 }; /* in a ns */
static const uint64_t never = UINT64_MAX;
static const uint64_t far = 1ull << 62; /* the largest debt: 2.3 years */

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}
static uint64_t beyond(uint64_t a, uint64_t b) { /* by how much a is more than b */
    return a > b ? a - b : 0;
}
static uint64_t times(uint64_t a, uint64_t b) {
    uint64_t out;
    return __builtin_mul_overflow(a, b, &out) ? far : least(out, far);
}
static uint64_t per(uint64_t a, uint64_t b) { /* rounded up */
    return a / b + (a % b != 0);
}

/* ---- GCRA -------------------------------------------------------------------------------------
 */

static void gcra_judge(const struct window *w, uint64_t value, uint64_t now, uint64_t cost,
                       uint64_t max_wait_ns, struct window_judgement *out) {
    uint64_t debt = beyond(value, now), more = times(cost, w->increment);
    uint64_t after = debt + more, over = beyond(after, w->tolerance);
    bool ever = more <= w->tolerance;
    out->wait_ns = ever ? per(over, UNITS) : never;
    out->allowed = ever && (!over || out->wait_ns <= max_wait_ns);
    out->next = out->mark = now + after;
    uint64_t owed = out->allowed ? after : debt;
    out->remaining = beyond(w->tolerance, owed) / w->increment;
    out->reset_ns = per(owed, UNITS);
}

/* Only what of this charge still lies ahead. */
static uint64_t gcra_give_back(const struct window *w, uint64_t value, uint64_t now, uint64_t cost,
                               uint64_t mark) {
    uint64_t less = times(cost, w->increment);
    if (mark)
        less = least(less, beyond(mark, now));
    return now + beyond(beyond(value, now), less);
}

static uint64_t gcra_add(uint64_t value, uint64_t now, uint64_t more) {
    return now + least(beyond(value, now) + more, far);
}

/* ---- sliding windows --------------------------------------------------------------------------
 */

enum { SLIDING_BITS = 24, SLIDING_NUMBER = 0xffff };
static const uint64_t sliding_max = (1u << SLIDING_BITS) - 1;

struct sliding {
    uint64_t number;        /* of the window that it is now */
    uint64_t last, current; /* counts */
    uint64_t rest;          /* ns until the window ends */
};

/* Of the window's number only so many low bits are kept: a cell that nobody touched for exactly
 * that many windows is misread once, to the disadvantage of its key. */
static struct sliding sliding_read(const struct window *w, uint64_t value, uint64_t now) {
    uint64_t number = now / w->period, seen = value >> (2 * SLIDING_BITS);
    uint64_t current = value & sliding_max, last = value >> SLIDING_BITS & sliding_max;
    struct sliding s = {.number = number, .rest = w->period - (now - number * w->period)};
    if (seen == (number & SLIDING_NUMBER)) {
        s.last = last;
        s.current = current;
    } else if (seen == ((number - 1) & SLIDING_NUMBER)) {
        s.last = current;
    }
    return s;
}

static uint64_t sliding_write(const struct sliding *s) {
    return s->number << (2 * SLIDING_BITS) | least(s->last, sliding_max) << SLIDING_BITS |
           least(s->current, sliding_max);
}

/* What of the last window still counts, rounded up. */
static uint64_t fading(const struct window *w, uint64_t last, uint64_t rest) {
    uint64_t part;
    if (likely(!__builtin_mul_overflow(last, rest, &part)))
        return per(part, w->period);
    unsigned __int128 large = (unsigned __int128)last * rest;
    return (uint64_t)((large + w->period - 1) / w->period);
}

static uint64_t sliding_used(const struct window *w, const struct sliding *s) {
    return fading(w, s->last, s->rest) + s->current;
}

/* How long until `last` has faded to `room`, of which `rest` is left. */
static uint64_t fades_in(const struct window *w, uint64_t last, uint64_t rest, uint64_t room) {
    if (last <= room)
        return 0;
    uint64_t at = (uint64_t)((unsigned __int128)w->period * room / last); /* rest at that time */
    return beyond(rest, at);
}

static uint64_t sliding_wait(const struct window *w, const struct sliding *s, uint64_t cost) {
    if (cost > w->burst)
        return never;
    if (s->current + cost <= w->burst)
        return fades_in(w, s->last, s->rest, w->burst - cost - s->current);
    return s->rest + fades_in(w, s->current, w->period, w->burst - cost);
}

static void sliding_judge(const struct window *w, uint64_t value, uint64_t now, uint64_t cost,
                          struct window_judgement *out) {
    struct sliding s = sliding_read(w, value, now);
    uint64_t used = sliding_used(w, &s);
    out->allowed = cost <= w->burst && used + cost <= w->burst;
    if (out->allowed) {
        s.current += cost;
        used += cost;
    } else {
        out->wait_ns = sliding_wait(w, &s, cost);
    }
    out->next = sliding_write(&s);
    out->mark = s.number + 1;
    out->remaining = beyond(w->burst, used);
    out->reset_ns = s.current ? s.rest + w->period : s.last ? s.rest : 0;
}

static uint64_t sliding_give_back(const struct window *w, uint64_t value, uint64_t now,
                                  uint64_t cost, uint64_t mark) {
    struct sliding s = sliding_read(w, value, now);
    if (!mark || mark - 1 == s.number)
        s.current = beyond(s.current, cost);
    else if (mark == s.number)
        s.last = beyond(s.last, cost);
    return sliding_write(&s);
}

/* ---- fixed windows ----------------------------------------------------------------------------
 */

enum { FIXED_BITS = 30 };
static const uint64_t fixed_max = (1u << FIXED_BITS) - 1;
static const uint64_t fixed_mask = UINT64_MAX >> FIXED_BITS;
/* A window that lies ahead by no more: the clock was put back, and it goes on. */
static const uint64_t fixed_ahead = 1 << 16;

struct fixed {
    uint64_t number, count;
    uint64_t rest; /* ns until it ends */
};

static struct fixed fixed_read(const struct window *w, uint64_t value, uint64_t now) {
    uint64_t number = now / w->period, seen = value >> FIXED_BITS;
    uint64_t ahead = (seen - number) & fixed_mask, rest = w->period - (now - number * w->period);
    if (!value || ahead > fixed_ahead)
        return (struct fixed){number & fixed_mask, 0, rest};
    return (struct fixed){seen, value & fixed_max, rest + times(ahead, w->period)};
}

static uint64_t fixed_write(const struct fixed *f) {
    return f->number << FIXED_BITS | least(f->count, fixed_max);
}

static void fixed_judge(const struct window *w, uint64_t value, uint64_t now, uint64_t cost,
                        struct window_judgement *out) {
    struct fixed f = fixed_read(w, value, now);
    out->allowed = f.count + cost <= w->burst;
    f.count += out->allowed ? cost : 0;
    out->next = fixed_write(&f);
    out->mark = f.number + 1;
    out->remaining = beyond(w->burst, f.count);
    out->reset_ns = f.count ? f.rest : 0;
    out->wait_ns = out->allowed ? 0 : cost > w->burst ? never : f.rest;
}

static uint64_t fixed_give_back(const struct window *w, uint64_t value, uint64_t now, uint64_t cost,
                                uint64_t mark) {
    struct fixed f = fixed_read(w, value, now);
    if (!mark || mark - 1 == f.number)
        f.count = beyond(f.count, cost);
    return fixed_write(&f);
}

/* ---- all --------------------------------------------------------------------------------------
 */

static uint64_t owes(const void *rule, uint64_t value, uint64_t now) {
    const struct window *w = rule;
    struct sliding s;
    switch (w->algorithm) {
    case LIMIT_SLIDING_WINDOW:
        s = sliding_read(w, value, now);
        return sliding_used(w, &s);
    case LIMIT_FIXED_WINDOW:
        return fixed_read(w, value, now).count;
    case LIMIT_GCRA:
        break;
    }
    return beyond(value, now);
}

static uint64_t join(const void *rule, uint64_t value, uint64_t other, uint64_t now) {
    const struct window *w = rule;
    struct sliding a, b;
    switch (w->algorithm) {
    case LIMIT_SLIDING_WINDOW:
        a = sliding_read(w, value, now);
        b = sliding_read(w, other, now);
        a.current += b.current;
        a.last += b.last;
        return sliding_write(&a);
    case LIMIT_FIXED_WINDOW:
        return window_charge(w, value, now, fixed_read(w, other, now).count);
    case LIMIT_GCRA:
        break;
    }
    return gcra_add(value, now, beyond(other, now));
}

void window_init(struct window *w, const struct rate_limit_conf *c, uint32_t at, uint32_t share) {
    const struct schema_rate *r = &c->rate[at];
    uint64_t burst = rate_limit_burst(c, at);
    burst = burst / share ? burst / share : 1;
    *w = (struct window){.algorithm = (enum limit_algorithm)c->algorithm,
                         .count = r->count,
                         .burst = burst,
                         .period = r->per_ms * 1000000,
                         .rule = {owes, join, w}};
    w->increment = times(per(times(w->period, UNITS), r->count), share);
    w->tolerance = times(burst, w->increment);
}

uint64_t window_now(const struct window *w, const struct window_time *t) {
    switch (w->algorithm) {
    case LIMIT_GCRA:
        return beyond(t->mono, w->epoch) * UNITS;
    case LIMIT_SLIDING_WINDOW:
        return t->mono;
    case LIMIT_FIXED_WINDOW:
        break;
    }
    return t->wall;
}

void window_judge(const struct window *w, uint64_t value, uint64_t now, uint64_t cost,
                  uint64_t max_wait_ns, struct window_judgement *out) {
    *out = (struct window_judgement){0};
    switch (w->algorithm) {
    case LIMIT_GCRA:
        gcra_judge(w, value, now, cost, max_wait_ns, out);
        break;
    case LIMIT_SLIDING_WINDOW:
        sliding_judge(w, value, now, cost, out);
        break;
    case LIMIT_FIXED_WINDOW:
        fixed_judge(w, value, now, cost, out);
        break;
    }
}

uint64_t window_give_back(const struct window *w, uint64_t value, uint64_t now, uint64_t cost,
                          uint64_t mark) {
    switch (w->algorithm) {
    case LIMIT_SLIDING_WINDOW:
        return sliding_give_back(w, value, now, cost, mark);
    case LIMIT_FIXED_WINDOW:
        return fixed_give_back(w, value, now, cost, mark);
    case LIMIT_GCRA:
        break;
    }
    return gcra_give_back(w, value, now, cost, mark);
}

uint64_t window_charge(const struct window *w, uint64_t value, uint64_t now, uint64_t cost) {
    struct sliding s;
    struct fixed f;
    switch (w->algorithm) {
    case LIMIT_SLIDING_WINDOW:
        s = sliding_read(w, value, now);
        s.current += cost;
        return sliding_write(&s);
    case LIMIT_FIXED_WINDOW:
        f = fixed_read(w, value, now);
        f.count += cost;
        return fixed_write(&f);
    case LIMIT_GCRA:
        break;
    }
    return gcra_add(value, now, times(cost, w->increment));
}
