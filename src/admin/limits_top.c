#include "admin/limits_top.h"
#include "admin/limits_in.h"
#include "base/log.h"
#include "core/thread.h"
#include "limit/hot.h"
#include "limit/limiter.h"
#include "limit/quota.h"
#include "limit/shared_limit.h"
#include <stdlib.h>

enum { TOP_DEFAULT = 10, TOP_MAX = 100, GATHERED_MAX = 16384 };

/* ---- /limits/top ---- */

struct row {
    struct span id; /* in the exchange's arena */
    struct hot_key key;
};
struct gathering {
    struct exchange *x;
    struct row *row;
    unsigned count, cap;
    struct span id; /* the last one that was copied */
};

static void gather(void *ctx, struct span id, const struct hot_key *k) {
    struct gathering *g = ctx;
    if (g->count == g->cap) {
        unsigned cap = g->cap ? g->cap * 2 : 256;
        if (cap > GATHERED_MAX)
            return;
        g->row = mem_realloc(g->row, g->cap * sizeof *g->row, cap * sizeof *g->row);
        g->cap = cap;
    }
    if (!g->id.p || !span_eq(g->id, id))
        g->id = arena_span(&g->x->arena, id);
    g->row[g->count++] = (struct row){g->id, *k};
}

static int by_key(const void *a, const void *b) {
    const struct row *x = a, *y = b;
    size_t n = x->id.n < y->id.n ? x->id.n : y->id.n;
    int order = memcmp(x->id.p, y->id.p, n);
    if (!order)
        order = (x->id.n > y->id.n) - (x->id.n < y->id.n);
    return order ? order : (x->key.hash > y->key.hash) - (x->key.hash < y->key.hash);
}
static int by_asks(const void *a, const void *b) {
    const struct hot_key *x = &((const struct row *)a)->key, *y = &((const struct row *)b)->key;
    return (x->asks < y->asks) - (x->asks > y->asks);
}
static int by_refused(const void *a, const void *b) {
    const struct hot_key *x = &((const struct row *)a)->key, *y = &((const struct row *)b)->key;
    int order = (x->refused < y->refused) - (x->refused > y->refused);
    return order ? order : by_asks(a, b);
}

/* What several threads saw of one key. */
static void add_up(struct gathering *g) {
    unsigned n = 0;
    if (g->count)
        qsort(g->row, g->count, sizeof *g->row, by_key);
    for (unsigned i = 0; i < g->count; i++) {
        if (n && by_key(&g->row[n - 1], &g->row[i]) == 0) {
            g->row[n - 1].key.asks += g->row[i].key.asks;
            g->row[n - 1].key.refused += g->row[i].key.refused;
            g->row[n - 1].key.over += g->row[i].key.over;
        } else {
            g->row[n++] = g->row[i];
        }
    }
    g->count = n;
}

static struct span key_text(const struct row *r) {
    return span_of(r->key.text, r->key.text_len);
}

static void row_text(struct text *t, const struct row *r, unsigned width) {
    limits_pad(t, r->key.asks, 12);
    limits_pad(t, r->key.refused, 12);
    text_lit(t, "  ");
    limits_shown(t, key_text(r), width);
    text_z(t, r->key.text_len == HOT_TEXT ? "..  " : "  ");
    text_json(t, r->id);
    text_lit(t, "\n");
}

static void row_json(struct text *t, const struct row *r) {
    json_open(t, NULL, '{');
    json_str(t, "limit", r->id);
    json_str(t, "key", key_text(r));
    json_bool(t, "cut", r->key.text_len == HOT_TEXT);
    json_u64(t, "asks", r->key.asks);
    json_u64(t, "refused", r->key.refused);
    json_u64(t, "over", r->key.over);
    json_close(t, '}');
}

static void table(struct text *t, const struct gathering *g, unsigned n) {
    unsigned width = 3;
    for (unsigned i = 0; i < n; i++)
        width = limits_widen(width, key_text(&g->row[i]));
    text_lit(t, "      asks ~   refused ~  ");
    limits_column(t, "key", width);
    text_lit(t, "  limit\n");
    for (unsigned i = 0; i < n; i++)
        row_text(t, &g->row[i], width);
    if (!n)
        text_lit(t, "(no limit has seen a key lately)\n");
}

static void tell_rows(struct answer *a, const struct gathering *g, unsigned n) {
    struct text *t = &a->text;
    n = n < g->count ? n : g->count;
    if (limits_want_text(a->x)) {
        table(t, g, n);
    } else {
        json_open(t, NULL, '{');
        json_open(t, "keys", '[');
        for (unsigned i = 0; i < n; i++)
            row_json(t, &g->row[i]);
        json_close(t, ']');
        json_close(t, '}');
        text_lit(t, "\n");
    }
    limits_send(a);
}

void limits_top(struct answer *a) {
    struct exchange *x = a->x;
    struct gathering g = {.x = x};
    struct span id = limits_parameter(x, SPAN("limit")), by = limits_parameter(x, SPAN("by"));
    struct span n_text = limits_parameter(x, SPAN("n"));
    uint64_t n = TOP_DEFAULT;
    bool refused = span_eq(by, SPAN("refused"));
    if ((n_text.p && (!parse_dec(n_text, TOP_MAX, &n) || !n)) ||
        (by.p && !refused && !span_eq(by, SPAN("asks")))) {
        answer_problem(a, 400, "bad_query", "n is 1 to 100, by is asks or refused");
        return;
    }
    if (!limits_known(a, id))
        return;
    limiter_hot(id, gather, &g);
    add_up(&g);
    if (g.count)
        qsort(g.row, g.count, sizeof *g.row, refused ? by_refused : by_asks);
    tell_rows(a, &g, (unsigned)n);
    mem_free(g.row);
}

/* ---- /limits/reset ---- */

struct shared_count {
    struct span id;
    unsigned count;
};
static void count_shared(void *ctx, const struct shared_limit_state *s) {
    struct shared_count *c = ctx;
    c->count += !c->id.n || span_eq(c->id, s->id);
}

/* A quota is what somebody has paid for: it begins anew only where it is named. */
void limits_reset(struct answer *a) {
    struct exchange *x = a->x;
    struct span key = limits_parameter(x, SPAN("key")), id = limits_parameter(x, SPAN("limit"));
    char quoted[LOG_QUOTED_MAX];
    if (!key.n) {
        answer_problem(a, 400, "bad_query", "which key? /limits/reset?key=..");
        return;
    }
    if (!limits_known(a, id))
        return;
    unsigned found = limiter_reset(id, key) + (id.n ? quota_put(id, key, 0) : 0);
    struct shared_count shared = {id, 0};
    shared_limit_walk(count_shared, &shared);
    shared_limit_forget(id, key); /* the store does not say what it knew of the key */
    log_event(LEVEL_INFO, "limits_reset",
              "key %s was forgotten in %u windows, as an operator asked", log_quoted(key, quoted),
              found);
    json_open(&a->text, NULL, '{');
    json_str(&a->text, "key", key);
    json_u64(&a->text, "shared_limits", shared.count);
    json_u64(&a->text, "forgotten", found);
    json_close(&a->text, '}');
    text_lit(&a->text, "\n");
    answer_send(a, 200, "application/json");
}
