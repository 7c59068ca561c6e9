/* GET /limits: rate limits, quotas and concurrency limits with what became of requests. */
#include "admin/limits_in.h"
#include "admin/limits_top.h"
#include "admin/pages.h"
#include "base/log.h"
#include "core/thread.h"
#include "http/uri.h"
#include "limit/concurrency.h"
#include "limit/limiter.h"
#include "limit/quota.h"

enum { LISTED_MAX = 10000, WORD_MAX = 512 };

bool limits_want_text(const struct exchange *x) {
    return list_has(hdr_get(&x->req, HDR_ACCEPT), SPAN("text/plain"));
}

struct span limits_parameter(struct exchange *x, struct span name) {
    struct span enc = query_get(x->req.query, name);
    if (!enc.p)
        return SPAN_NONE;
    struct str out = str_on(arena_alloc(&x->arena, WORD_MAX), WORD_MAX);
    uri_decode(&out, enc, URI_QUERY);
    return str_span(&out);
}

void limits_column(struct text *t, const char *head, unsigned width) {
    text_z(t, head);
    for (size_t n = strlen(head); n < width; n++)
        text_lit(t, " ");
}

void limits_shown(struct text *t, struct span key, unsigned width) {
    char out[LOG_QUOTED_MAX];
    limits_column(t, log_quoted(key, out), width);
}

unsigned limits_widen(unsigned width, struct span key) {
    char out[LOG_QUOTED_MAX];
    size_t n = strlen(log_quoted(key, out));
    return n > width ? (unsigned)n : width;
}

void limits_pad(struct text *t, uint64_t v, unsigned width) {
    char digits[24];
    struct str s = str_on(digits, sizeof digits);
    if (v == LIMITS_NONE)
        str_char(&s, '-');
    else
        str_u64(&s, v);
    for (size_t n = s.n; n < width; n++)
        text_lit(t, " ");
    text_add(t, str_span(&s));
}

void limits_send(struct answer *a) {
    answer_send(a, 200, limits_want_text(a->x) ? "text/plain; charset=utf-8" : "application/json");
}

/* ---- is there such a one? ----------------------------------------------------------------------
 */

static void same_limit(void *ctx, const struct limiter_state *s) {
    struct span *id = ctx;
    if (id->p && span_eq(*id, s->id))
        *id = SPAN_NONE;
}
static void same_quota(void *ctx, const struct quota_sum *s) {
    struct span *id = ctx;
    if (id->p && span_eq(*id, s->id))
        *id = SPAN_NONE;
}

bool limits_known(struct answer *a, struct span id) {
    struct span looked = id;
    if (!id.n)
        return true;
    limiter_walk(same_limit, &looked);
    quota_sums(same_quota, &looked);
    if (looked.p)
        answer_problem(a, 404, "no_such_limit", "GET /limits lists the limits");
    return !looked.p;
}

/* ---- the list ----------------------------------------------------------------------------------
 */

/* Places in limiter_state.count and quota_sum.count. */
enum {
#define C(name) RATE_##name,
    LIMIT_COUNTS(C)
#undef C
};
enum {
#define C(name) QUOTA_##name,
    QUOTA_COUNTS(C)
#undef C
};

struct listing {
    struct text *t;
    bool text;
    unsigned told;
};

static bool room(struct listing *l) {
    return l->told++ < LISTED_MAX;
}

static void row(struct listing *l, const uint64_t count[4], const char *kind, struct span id) {
    static const unsigned width[4] = {12, 12, 10, 10};
    for (unsigned i = 0; i < 4; i++)
        limits_pad(l->t, count[i], width[i]);
    text_lit(l->t, "  ");
    text_z(l->t, kind);
    text_lit(l->t, "  ");
    text_json(l->t, id);
    text_lit(l->t, "\n");
}

static void list_rate(void *ctx, const struct limiter_state *s) {
    struct listing *l = ctx;
    const uint64_t *n = s->count;
    if (!room(l))
        return;
    if (l->text) {
        row(l, (uint64_t[]){n[RATE_allowed], n[RATE_refused], n[RATE_delayed], n[RATE_observed]},
            "rate       ", s->id);
        return;
    }
    json_open(l->t, NULL, '{');
    json_str(l->t, "limit", s->id);
    json_str(l->t, "kind", SPAN("rate"));
    json_u64(l->t, "windows", s->windows);
    json_u64(l->t, "keys", s->keys);
    json_u64(l->t, "memory_bytes", s->memory);
    json_u64(l->t, "allowed", n[RATE_allowed]);
    json_u64(l->t, "refused", n[RATE_refused]);
    json_u64(l->t, "delayed", n[RATE_delayed]);
    json_u64(l->t, "observed", n[RATE_observed]);
    json_u64(l->t, "waiting", n[RATE_waiting]);
    json_u64(l->t, "away", n[RATE_away]);
    json_u64(l->t, "shared_cells", n[RATE_shared_cells]);
    json_close(l->t, '}');
}

static void list_quota(void *ctx, const struct quota_sum *s) {
    struct listing *l = ctx;
    const uint64_t *n = s->count;
    if (!room(l))
        return;
    if (l->text) {
        row(l, (uint64_t[]){n[QUOTA_allowed], n[QUOTA_refused], LIMITS_NONE, n[QUOTA_observed]},
            "quota      ", s->id);
        return;
    }
    json_open(l->t, NULL, '{');
    json_str(l->t, "limit", s->id);
    json_str(l->t, "kind", SPAN("quota"));
    json_u64(l->t, "keys_in_use", s->keys);
    json_u64(l->t, "allowed", n[QUOTA_allowed]);
    json_u64(l->t, "refused", n[QUOTA_refused]);
    json_u64(l->t, "observed", n[QUOTA_observed]);
    json_u64(l->t, "away", n[QUOTA_away]);
    json_u64(l->t, "overflows", s->overflows);
    json_close(l->t, '}');
}

static void list_concurrency(void *ctx, const struct concurrency_state *s) {
    struct listing *l = ctx;
    uint64_t refused = s->refused_full + s->refused_late + s->displaced;
    if (!room(l))
        return;
    if (l->text) {
        row(l, (uint64_t[]){LIMITS_NONE, refused, s->queued, LIMITS_NONE}, "concurrency", s->id);
        return;
    }
    json_open(l->t, NULL, '{');
    json_str(l->t, "limit", s->id);
    json_str(l->t, "kind", SPAN("concurrency"));
    json_u64(l->t, "keys", s->keys);
    json_u64(l->t, "keys_in_use", s->keys_in_use);
    json_u64(l->t, "memory_bytes", s->memory);
    json_u64(l->t, "in_flight", s->in_flight);
    json_u64(l->t, "busiest", s->busiest);
    json_u64(l->t, "waiting", s->waiting);
    json_u64(l->t, "refused", refused);
    json_u64(l->t, "delayed", s->queued);
    json_close(l->t, '}');
}

void limits_page(struct answer *a) {
    struct listing l = {&a->text, limits_want_text(a->x), 0};
    if (l.text)
        text_lit(l.t, "     allowed     refused   delayed  observed  kind         limit\n");
    else
        json_open(l.t, NULL, '{'), json_open(l.t, "limits", '[');
    limiter_walk(list_rate, &l);
    quota_sums(list_quota, &l);
    concurrency_walk(list_concurrency, &l);
    if (!l.text) {
        json_close(l.t, ']');
        json_u64(l.t, "omitted", l.told > LISTED_MAX ? l.told - LISTED_MAX : 0);
        json_close(l.t, '}');
        text_lit(l.t, "\n");
    } else if (!l.told) {
        text_lit(l.t, "(the configuration has no limits)\n");
    } else if (l.told > LISTED_MAX) {
        text_lit(l.t, "(there are more)\n");
    }
    limits_send(a);
}

/* ---- /status ----------------------------------------------------------------------------------
 */

struct sums {
    uint64_t rates, quotas, concurrencies, refused;
};

static void sum_rate(void *ctx, const struct limiter_state *s) {
    struct sums *n = ctx;
    n->rates++;
    n->refused += s->count[RATE_refused];
}
static void sum_quota(void *ctx, const struct quota_sum *s) {
    struct sums *n = ctx;
    n->quotas++;
    n->refused += s->count[QUOTA_refused];
}
static void sum_concurrency(void *ctx, const struct concurrency_state *s) {
    struct sums *n = ctx;
    n->concurrencies++;
    n->refused += s->refused_full + s->refused_late + s->displaced;
}

static struct sums sums(void) {
    struct sums n = {0};
    limiter_walk(sum_rate, &n);
    quota_sums(sum_quota, &n);
    concurrency_walk(sum_concurrency, &n);
    return n;
}

void page_limits_status(struct text *t) {
    struct sums n = sums();
    json_open(t, "limits", '{');
    json_u64(t, "rate_limits", n.rates);
    json_u64(t, "quotas", n.quotas);
    json_u64(t, "concurrency_limits", n.concurrencies);
    json_u64(t, "refused", n.refused);
    json_close(t, '}');
}

/* "2 rate limits, 1 quota: 17 refused"; nothing where there are none. */
void page_limits_text(struct text *t) {
    struct sums n = sums();
    const struct {
        uint64_t n;
        const char *one, *many;
    } kind[] = {{n.rates, " rate limit", " rate limits"},
                {n.quotas, " quota", " quotas"},
                {n.concurrencies, " concurrency limit", " concurrency limits"}};
    bool any = false;
    for (unsigned i = 0; i < array_len(kind); i++) {
        if (!kind[i].n)
            continue;
        text_z(t, any ? ", " : "limits         ");
        text_u64(t, kind[i].n);
        text_z(t, kind[i].n == 1 ? kind[i].one : kind[i].many);
        any = true;
    }
    if (!any)
        return;
    text_lit(t, ": ");
    text_u64(t, n.refused);
    text_lit(t, " refused\n");
}
