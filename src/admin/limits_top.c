#include "admin/limits_top.h"
#include "base/log.h"
#include "core/thread.h"
#include "http/uri.h"
#include "limit/hot.h"
#include "limit/limiter.h"
#include "limit/shared_limit.h"
#include <stdlib.h>

enum { TOP_DEFAULT = 10, TOP_MAX = 100, GATHERED_MAX = 16384, LISTED_MAX = 10000, WORD_MAX = 512 };

static const char json[] = "application/json", plain[] = "text/plain; charset=utf-8";

static bool wants_text(const struct exchange *x) {
    return list_has(hdr_get(&x->req, HDR_ACCEPT), SPAN("text/plain"));
}

/* A query parameter, decoded; {NULL, 0}: not given. */
static struct span parameter(struct exchange *x, struct span name) {
    struct span enc = query_get(x->req.query, name);
    if (!enc.p)
        return SPAN_NONE;
    struct str out = str_on(arena_alloc(&x->arena, WORD_MAX), WORD_MAX);
    uri_decode(&out, enc, URI_QUERY);
    return str_span(&out);
}

/* On a terminal: control bytes, quotes and what is no UTF-8 are escaped. */
static void shown(struct text *t, struct span key) {
    char out[LOG_QUOTED_MAX];
    text_z(t, log_quoted(key, out));
}

static void pad(struct text *t, uint64_t v, unsigned width) {
    char digits[24];
    struct str s = str_on(digits, sizeof digits);
    str_u64(&s, v);
    for (size_t n = s.n; n < width; n++)
        text_lit(t, " ");
    text_add(t, str_span(&s));
}

/* ---- /limits ---- */

enum {
#define C(name) AT_##name,
    LIMIT_COUNTS(C)
#undef C
};

struct listing {
    struct text *t;
    bool text;
    unsigned told;
};

static void list_one(void *ctx, const struct limiter_state *s) {
    struct listing *l = ctx;
    if (l->told++ >= LISTED_MAX)
        return;
    if (l->text) {
        pad(l->t, s->count[AT_allowed], 12);
        pad(l->t, s->count[AT_refused], 12);
        pad(l->t, s->count[AT_delayed], 10);
        pad(l->t, s->count[AT_observed], 10);
        text_lit(l->t, "  ");
        text_add(l->t, s->id);
        text_lit(l->t, "\n");
        return;
    }
    json_open(l->t, NULL, '{');
    json_str(l->t, "limit", s->id);
    json_u64(l->t, "windows", s->windows);
    json_u64(l->t, "keys", s->keys);
    json_u64(l->t, "memory_bytes", s->memory);
    json_u64(l->t, "allowed", s->count[AT_allowed]);
    json_u64(l->t, "refused", s->count[AT_refused]);
    json_u64(l->t, "delayed", s->count[AT_delayed]);
    json_u64(l->t, "observed", s->count[AT_observed]);
    json_u64(l->t, "away", s->count[AT_away]);
    json_u64(l->t, "shared_cells", s->count[AT_shared_cells]);
    json_close(l->t, '}');
}

void limits_page(struct answer *a) {
    struct listing l = {&a->text, wants_text(a->x), 0};
    if (l.text)
        text_lit(&a->text, "     allowed     refused   delayed  observed  limit\n");
    else
        json_open(&a->text, NULL, '{'), json_open(&a->text, "limits", '[');
    limiter_walk(list_one, &l);
    if (!l.text) {
        json_close(&a->text, ']');
        json_close(&a->text, '}');
        text_lit(&a->text, "\n");
    } else if (!l.told) {
        text_lit(&a->text, "(the configuration has no rate limits)\n");
    }
    answer_send(a, 200, l.text ? plain : json);
}

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

static void row_text(struct text *t, const struct row *r) {
    pad(t, r->key.asks, 12);
    pad(t, r->key.refused, 12);
    text_lit(t, "  ");
    shown(t, key_text(r));
    if (r->key.text_len == HOT_TEXT)
        text_lit(t, "..");
    text_lit(t, "  ");
    text_add(t, r->id);
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

static void tell_rows(struct answer *a, const struct gathering *g, unsigned n) {
    struct text *t = &a->text;
    bool text = wants_text(a->x);
    n = n < g->count ? n : g->count;
    if (text)
        text_lit(t, "     asks ~   refused ~  key  limit\n");
    else
        json_open(t, NULL, '{'), json_open(t, "keys", '[');
    for (unsigned i = 0; i < n; i++)
        (text ? row_text : row_json)(t, &g->row[i]);
    if (text && !n)
        text_lit(t, "(no limit has seen a key yet)\n");
    if (!text) {
        json_close(t, ']');
        json_close(t, '}');
        text_lit(t, "\n");
    }
    answer_send(a, 200, text ? plain : json);
}

static void is_there(void *ctx, const struct limiter_state *s) {
    struct span *id = ctx;
    if (id->p && span_eq(*id, s->id))
        *id = SPAN_NONE;
}

/* False: the answer says that there is no such limit. */
static bool known(struct answer *a, struct span id) {
    struct span looked = id;
    if (!id.n)
        return true;
    limiter_walk(is_there, &looked);
    if (looked.p)
        answer_problem(a, 404, "no_such_limit", "GET /limits lists the limits");
    return !looked.p;
}

void limits_top(struct answer *a) {
    struct exchange *x = a->x;
    struct gathering g = {.x = x};
    struct span id = parameter(x, SPAN("limit")), by = parameter(x, SPAN("by"));
    struct span n_text = parameter(x, SPAN("n"));
    uint64_t n = TOP_DEFAULT;
    bool refused = span_eq(by, SPAN("refused"));
    if ((n_text.p && (!parse_dec(n_text, TOP_MAX, &n) || !n)) ||
        (by.p && !refused && !span_eq(by, SPAN("asks")))) {
        answer_problem(a, 400, "bad_query", "n is 1 to 100, by is asks or refused");
        return;
    }
    if (!known(a, id))
        return;
    limiter_hot(id, gather, &g);
    add_up(&g);
    if (g.count)
        qsort(g.row, g.count, sizeof *g.row, refused ? by_refused : by_asks);
    tell_rows(a, &g, (unsigned)n);
    mem_free(g.row);
}

/* ---- /limits/reset ---- */

void limits_reset(struct answer *a) {
    struct span key = parameter(a->x, SPAN("key")), id = parameter(a->x, SPAN("limit"));
    if (!key.p) {
        answer_problem(a, 400, "bad_query", "which key? /limits/reset?key=..");
        return;
    }
    if (!known(a, id))
        return;
    char quoted[LOG_QUOTED_MAX];
    unsigned found = limiter_reset(id, key);
    shared_limit_forget(id, key);
    log_event(LEVEL_INFO, "limits_reset",
              "key %s was forgotten in %u windows, as an operator asked", log_quoted(key, quoted),
              found);
    json_open(&a->text, NULL, '{');
    json_str(&a->text, "key", key);
    json_u64(&a->text, "forgotten", found);
    json_close(&a->text, '}');
    text_lit(&a->text, "\n");
    answer_send(a, 200, json);
}
