#include "core/told.h"

enum { ITEM_MAX = 64 }; /* quotes, "-2", two parameters of 20 digits; names come on top */

bool limit_name_fits(struct span name) {
    for (size_t i = 0; i < name.n; i++) {
        char c = lower(name.p[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !(c && strchr("-._~", c)))
            return false;
    }
    return name.n <= LIMIT_NAME_MAX;
}

static void put_name(struct str *s, struct span name, unsigned nth, struct span suffix) {
    if (s->n)
        str_lit(s, ", ");
    str_char(s, '"');
    str_add(s, name.n ? name : SPAN("default"));
    if (!name.n && nth > 1) {
        str_char(s, '-');
        str_u64(s, nth);
    }
    str_add(s, suffix);
    str_char(s, '"');
}

static void put_policy(struct str *s, struct span name, unsigned nth,
                       const struct limit_window *w) {
    put_name(s, name, nth, w->suffix);
    str_lit(s, ";q=");
    str_u64(s, w->quota);
    str_lit(s, ";w=");
    str_u64(s, w->seconds);
}

static size_t policy_max(struct span name, const struct limit_window *w, uint32_t windows) {
    size_t max = 0;
    for (uint32_t i = 0; i < windows; i++)
        max += name.n + w[i].suffix.n + ITEM_MAX;
    return max;
}

struct span limit_told_policy(struct arena *a, struct span name, const struct limit_window *w,
                              uint32_t windows) {
    size_t max = policy_max(name, w, windows);
    struct str s = str_on(arena_alloc(a, max), max);
    for (uint32_t i = 0; i < windows; i++)
        put_policy(&s, name, 1, &w[i]);
    return str_span(&s);
}

void limit_told_add(struct exchange *x, struct limit_told *t) {
    struct limit_told **at = &x->told;
    while (*at)
        at = &(*at)->next;
    *at = t;
}

static const struct limit_told *shown(const struct limit_told *t) {
    while (t && t->hidden)
        t = t->next;
    return t;
}

static void put_state(struct str *s, const struct limit_told *t, unsigned nth) {
    put_name(s, t->name, nth, t->window[t->at].suffix);
    str_lit(s, ";r=");
    str_u64(s, t->remaining);
    str_lit(s, ";t=");
    str_u64(s, t->reset_s);
}

/* Most exchanges meet one limit, whose policy never changes. */
static void one_field(struct exchange *x, const struct limit_told *t, struct span *policy,
                      struct span *state) {
    size_t max = t->name.n + t->window[t->at].suffix.n + ITEM_MAX;
    struct str s = str_on(arena_alloc(&x->arena, max), max);
    *policy =
        t->policy.n ? t->policy : limit_told_policy(&x->arena, t->name, t->window, t->windows);
    put_state(&s, t, 1);
    *state = str_span(&s);
}

static void all_fields(struct exchange *x, struct span *policy, struct span *state) {
    size_t max = 0, nth = 0;
    for (const struct limit_told *t = shown(x->told); t; t = shown(t->next))
        max += policy_max(t->name, t->window, t->windows);
    struct str p = str_on(arena_alloc(&x->arena, max), max);
    struct str s = str_on(arena_alloc(&x->arena, max), max);
    for (const struct limit_told *t = shown(x->told); t; t = shown(t->next)) {
        nth += !t->name.n;
        for (uint32_t i = 0; i < t->windows; i++)
            put_policy(&p, t->name, (unsigned)nth, &t->window[i]);
        put_state(&s, t, (unsigned)nth);
    }
    *policy = str_span(&p);
    *state = str_span(&s);
}

static bool fields(struct exchange *x, struct span *policy, struct span *state) {
    const struct limit_told *first = shown(x->told);
    if (!first)
        return false;
    if (shown(first->next))
        all_fields(x, policy, state);
    else
        one_field(x, first, policy, state);
    return true;
}

void limit_told_answer(struct exchange *x, const struct limit_told *t) {
    struct span policy, state;
    if (t != shown(x->told) || !fields(x, &policy, &state))
        return;
    if (hdr_has(&x->resp, HDR_RATELIMIT_POLICY))
        hdr_remove(&x->resp, HDR_RATELIMIT_POLICY);
    if (hdr_has(&x->resp, HDR_RATELIMIT))
        hdr_remove(&x->resp, HDR_RATELIMIT);
    hdr_add(&x->resp, HDR_RATELIMIT_POLICY, policy);
    hdr_add(&x->resp, HDR_RATELIMIT, state);
}

void limit_told_refusal(struct exchange *x) {
    struct span policy, state;
    if (!fields(x, &policy, &state))
        return;
    struct own_field *f = arena_alloc(&x->arena, 2 * sizeof *f);
    f[0] = (struct own_field){SPAN("ratelimit-policy"), policy, &f[1]};
    f[1] = (struct own_field){SPAN("ratelimit"), state, x->own};
    x->own = f;
}

bool limit_told_gives_back(const struct exchange *x) {
    switch ((unsigned)x->fault) {
    case FAULT_RATE_LIMITED:
    case FAULT_QUOTA_EXCEEDED:
    case FAULT_CONCURRENCY_LIMITED:
    case FAULT_LIMITS_UNAVAILABLE:
    case FAULT_SERVICE_BUSY:
        return true;
    default:
        return false;
    }
}

/* Who has the smaller share left. */
static bool tighter(const struct limit_told *a, const struct limit_told *b) {
    double left_a = (double)a->remaining / (double)(a->window[a->at].quota | 1);
    double left_b = (double)b->remaining / (double)(b->window[b->at].quota | 1);
    return a->verdict != b->verdict ? a->verdict > b->verdict : left_a < left_b;
}

const struct limit_told *limit_told_tightest(const struct exchange *x) {
    const struct limit_told *best = x->told;
    for (const struct limit_told *t = best ? best->next : NULL; t; t = t->next)
        best = tighter(t, best) ? t : best;
    return best;
}

const char *told_verdict_name(enum told_verdict v) {
    static const char *const name[] = {"allowed", "delayed", "observed", "refused", "unavailable"};
    return name[v];
}
