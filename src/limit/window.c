#include "limit/window.h"

enum { UNITS = 64 }; /* in a ns */
static const uint64_t never = UINT64_MAX, far = 1ull << 62;

static uint64_t times(uint64_t a, uint64_t b) {
    uint64_t out;
    return __builtin_mul_overflow(a, b, &out) || out > far ? far : out;
}

static uint64_t per(uint64_t a, uint64_t b) { /* rounded up */
    return a / b + (a % b != 0);
}

/* ---- GCRA ---- */

static void gcra_judge(const struct window *w, uint64_t value, uint64_t now, uint64_t cost,
                       uint64_t max_wait_ns, struct window_judgement *out) {
    uint64_t debt = value > now ? value - now : 0, more = times(cost, w->increment);
    uint64_t after = debt + more, over = after > w->tolerance ? after - w->tolerance : 0;
    bool ever = more <= w->tolerance;
    out->wait_ns = ever ? per(over, UNITS) : never;
    out->allowed = ever && (!over || out->wait_ns <= max_wait_ns);
    out->next = now + after;
    uint64_t owed = out->allowed ? after : debt;
    out->remaining = owed < w->tolerance ? (w->tolerance - owed) / w->increment : 0;
    out->reset_ns = per(owed, UNITS);
}

/* ---- sliding windows ---- */

enum { SLIDING_BITS = 24 };
static const uint64_t sliding_max = (1u << SLIDING_BITS) - 1;

struct sliding {
    uint64_t last, current; /* counts */
    uint64_t rest;          /* ns until the window ends */
};

static struct sliding sliding_read(const struct window *w, uint64_t value, uint64_t now) {
    uint64_t number = now / w->period, seen = value >> 48;
    uint64_t current = value & sliding_max, last = value >> SLIDING_BITS & sliding_max;
    struct sliding s = {.rest = w->period - now % w->period};
    if (seen == (number & 0xffff)) {
        s.last = last;
        s.current = current;
    } else if (seen == ((number - 1) & 0xffff)) {
        s.last = current;
    }
    return s;
}

static uint64_t sliding_write(const struct window *w, uint64_t now, const struct sliding *s) {
    uint64_t current = s->current < sliding_max ? s->current : sliding_max;
    return (now / w->period & 0xffff) << 48 | s->last << SLIDING_BITS | current;
}

/* What of the last window still counts, rounded up. */
static uint64_t fading(const struct window *w, uint64_t last, uint64_t rest) {
    unsigned __int128 part = (unsigned __int128)last * rest;
    return (uint64_t)((part + w->period - 1) / w->period);
}

/* How long until `last` has faded to `room`, of which `rest` is left. */
static uint64_t fades_in(const struct window *w, uint64_t last, uint64_t rest, uint64_t room) {
    if (last <= room)
        return 0;
    uint64_t at = (uint64_t)((unsigned __int128)w->period * room / last); /* rest at that time */
    return rest > at ? rest - at : 0;
}

static void sliding_judge(const struct window *w, uint64_t value, uint64_t now, uint64_t cost,
                          struct window_judgement *out) {
    struct sliding s = sliding_read(w, value, now);
    uint64_t used = fading(w, s.last, s.rest) + s.current;
    bool ever = cost <= w->burst;
    out->allowed = ever && used + cost <= w->burst;
    out->remaining = used < w->burst ? w->burst - used : 0;
    out->reset_ns = s.current || out->allowed ? s.rest + w->period : s.last ? s.rest : 0;
    if (out->allowed) {
        s.current += cost;
        out->remaining -= cost;
        out->next = sliding_write(w, now, &s);
    } else if (!ever) {
        out->wait_ns = never;
    } else if (s.current + cost <= w->burst) {
        out->wait_ns = fades_in(w, s.last, s.rest, w->burst - cost - s.current);
    } else {
        out->wait_ns = s.rest + fades_in(w, s.current, w->period, w->burst - cost);
    }
}

/* ---- fixed windows ---- */

struct fixed {
    uint64_t number, count;
};

/* A window that lies ahead (the clock was put back) goes on. */
static struct fixed fixed_read(const struct window *w, uint64_t value, uint64_t now) {
    uint32_t number = (uint32_t)(now / w->period), seen = (uint32_t)(value >> 32);
    bool same = value && (int32_t)(number - seen) <= 0;
    return (struct fixed){same ? seen : number, same ? value & UINT32_MAX : 0};
}

static uint64_t fixed_write(const struct fixed *f) {
    return f->number << 32 | (f->count < UINT32_MAX ? f->count : UINT32_MAX);
}

static void fixed_judge(const struct window *w, uint64_t value, uint64_t now, uint64_t cost,
                        struct window_judgement *out) {
    struct fixed f = fixed_read(w, value, now);
    uint64_t rest = w->period - now % w->period;
    out->allowed = f.count + cost <= w->burst;
    f.count += out->allowed ? cost : 0;
    out->next = fixed_write(&f);
    out->remaining = f.count < w->burst ? w->burst - f.count : 0;
    out->reset_ns = f.count ? rest : 0;
    out->wait_ns = out->allowed ? 0 : cost > w->burst ? never : rest;
}

/* ---- all ---- */

static uint64_t owes(const void *rule, uint64_t value, uint64_t now) {
    const struct window *w = rule;
    struct sliding s;
    switch (w->algorithm) {
    case LIMIT_SLIDING_WINDOW:
        s = sliding_read(w, value, now);
        return fading(w, s.last, s.rest) + s.current;
    case LIMIT_FIXED_WINDOW:
        return fixed_read(w, value, now).count;
    case LIMIT_GCRA:
        break;
    }
    return value > now ? value - now : 0;
}

static uint64_t join(const void *rule, uint64_t value, uint64_t other, uint64_t now) {
    const struct window *w = rule;
    struct sliding a, b;
    switch (w->algorithm) {
    case LIMIT_SLIDING_WINDOW:
        a = sliding_read(w, value, now);
        b = sliding_read(w, other, now);
        a.current += b.current;
        a.last = a.last + b.last < sliding_max ? a.last + b.last : sliding_max;
        return sliding_write(w, now, &a);
    case LIMIT_FIXED_WINDOW:
        return window_charge(w, value, now, fixed_read(w, other, now).count);
    case LIMIT_GCRA:
        break;
    }
    return (value > now ? value : now) + (other > now ? other - now : 0);
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
        return t->mono * UNITS;
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

static uint64_t changed(const struct window *w, uint64_t value, uint64_t now, uint64_t more,
                        uint64_t less) {
    struct sliding s;
    struct fixed f;
    uint64_t debt;
    switch (w->algorithm) {
    case LIMIT_SLIDING_WINDOW:
        s = sliding_read(w, value, now);
        s.current += more;
        s.current -= less < s.current ? less : s.current;
        return sliding_write(w, now, &s);
    case LIMIT_FIXED_WINDOW:
        f = fixed_read(w, value, now);
        f.count += more;
        f.count -= less < f.count ? less : f.count;
        return fixed_write(&f);
    case LIMIT_GCRA:
        break;
    }
    debt = (value > now ? value - now : 0) + times(more, w->increment);
    less = times(less, w->increment);
    return now + (debt > less ? (debt < far ? debt : far) - less : 0);
}

uint64_t window_give_back(const struct window *w, uint64_t value, uint64_t now, uint64_t cost) {
    return changed(w, value, now, 0, cost);
}

uint64_t window_charge(const struct window *w, uint64_t value, uint64_t now, uint64_t cost) {
    return changed(w, value, now, cost, 0);
}
