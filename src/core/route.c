/* Finding the route of a request. Nothing is allocated; see core/route_tree.h for the shape. */
#include "core/route_tree.h"

/* The build zeroes what a function declares; here that would be 2 KiB a request. */
#define UNSET __attribute__((uninitialized))

struct piece { /* a segment of the request */
    uint32_t from, len, base;
};

struct finder {
    const struct router *r;
    const struct head *h;
    const struct listener_conf *l;
    const struct route_judge *judge;
    struct route_found *out;
    const struct candidate *best;
    enum method method;
    bool collect; /* second pass: look for routes that fail by their method alone */
    bool is_path, slash, params;
    uint32_t pieces, rest; /* rest: where a tail begins once all pieces are taken */
    struct piece piece[ROUTE_SEGMENTS_MAX + 1];
};

size_t route_segment_base(struct span s) {
    size_t n = 0;
    while (n < s.n && s.p[n] != ';' &&
           !(s.p[n] == '%' && span_starts(span_from(s, n), SPAN("%3B"))))
        n++;
    return n;
}

/* Cuts the path into as many segments as patterns can ask for. A segment that is only parameters
 * ("/;x") counts as an empty one: at the end it is a trailing slash, before that it is skipped, as
 * "//" is one slash. */
static void cut(struct finder *f) {
    struct span path = f->h->path;
    size_t at = 1;
    f->is_path = path.n && path.p[0] == '/';
    f->params = f->is_path && (memchr(path.p, ';', path.n) || memchr(path.p, '%', path.n));
    f->rest = (uint32_t)path.n;
    while (f->is_path && f->pieces <= f->r->depth) {
        const char *end = at < path.n ? memchr(path.p + at, '/', path.n - at) : NULL;
        size_t n = end ? (size_t)(end - path.p) - at : path.n - at;
        struct span s = span_of(path.p + at, n);
        size_t base = f->params ? route_segment_base(s) : n;
        if (base == 0 && !end) {
            f->slash = true;
            f->rest = (uint32_t)at;
            return;
        }
        if (base)
            f->piece[f->pieces++] = (struct piece){(uint32_t)at, (uint32_t)n, (uint32_t)base};
        if (!end)
            return;
        at += n + 1;
    }
}

static bool outranked(const struct finder *f, int priority) {
    return f->best && priority <= f->best->priority;
}

static void note_method(struct finder *f, const struct candidate *c) {
    struct route_found *out = f->out;
    const struct route_match *m = c->route->match;
    out->path_matched = true;
    out->allow |= c->methods;
    for (uint32_t i = 0; i < m->method_other_count; i++) {
        bool there = false;
        for (uint32_t k = 0; k < out->allow_other_count; k++)
            there |= span_eq(out->allow_other[k], m->method_other[i]);
        if (!there && out->allow_other_count < array_len(out->allow_other))
            out->allow_other[out->allow_other_count++] = m->method_other[i];
    }
}

/* ---- captures ------------------------------------------------------------------------------- */

static void groups(const struct finder *f, const struct candidate *c, struct span *out) {
    struct span group[REGEX_GROUPS_MAX];
    if (regex_match(c->path->regex, f->h->path, group, REGEX_GROUPS_MAX) != REGEX_YES)
        return;
    for (unsigned i = 0; i < c->captures; i++)
        out[i] = c->from[i] < 0 ? SPAN_NONE : group[c->from[i]];
}

static void captures(const struct finder *f, const struct candidate *c, struct span *out) {
    struct span path = f->h->path;
    if (c->path && c->path->regex) {
        groups(f, c, out);
        return;
    }
    for (unsigned i = 0; i < c->captures; i++) {
        if (c->from[i] < 0)
            continue;
        unsigned at = (unsigned)c->from[i];
        uint32_t from = at < f->pieces ? f->piece[at].from : f->rest;
        out[i] = c->tail == (int)i ? span_from(path, from) : span_cut(path, from, f->piece[at].len);
    }
}

/* ---- candidates ----------------------------------------------------------------------------- */

/* Apart, so that routes without a `when` don't pay for its memory. */
static __attribute__((noinline)) bool whens_hold(struct finder *f, const struct candidate *c) {
    const struct route_match *m = c->route->match;
    struct span capture[CAPTURES_MAX] = {{0}};
    if (!f->judge)
        return false;
    captures(f, c, capture);
    for (uint32_t i = 0; i < m->when_count; i++)
        if (!f->judge->holds(f->judge->ctx, c->route, &m->when[i], f->h, capture))
            return false;
    return true;
}

static bool conditions(struct finder *f, const struct candidate *c) {
    const struct route_match *m = c->route->match;
    return route_conditions(m, f->h, f->l) && (!m->when_count || whens_hold(f, c));
}

static bool fits(struct finder *f, const struct candidate *c) {
    bool method = f->method != METHOD_OTHER ? c->any_method || (c->methods >> f->method & 1)
                                            : route_method(c->route->match, f->h);
    if (method == f->collect || (!c->plain && !conditions(f, c)))
        return false;
    if (f->collect)
        note_method(f, c);
    return !f->collect;
}

static void offer(struct finder *f, uint32_t leaf) {
    const struct candidate *c = f->r->candidate + leaf;
    for (bool more = leaf != 0; more && !outranked(f, c->priority); more = !c++->last)
        if (fits(f, c)) {
            f->best = c;
            return;
        }
}

/* Regular expressions of a host: the only part whose cost grows with their number. */
static void offer_regexes(struct finder *f, uint32_t leaf) {
    const struct candidate *c = f->r->candidate + leaf;
    for (bool more = leaf != 0; more && !outranked(f, c->priority); more = !c++->last)
        if (regex_test(c->path->regex, f->h->path) && fits(f, c)) {
            f->best = c;
            return;
        }
}

static uint32_t literal_child(const struct finder *f, uint32_t node, uint32_t depth, bool base) {
    const struct piece *p = &f->piece[depth];
    if (base && p->base == p->len)
        return 0;
    return route_literal(f->r, node, span_of(f->h->path.p + p->from, base ? p->base : p->len));
}

enum stage { STAGE_LITERAL, STAGE_BASE, STAGE_CAPTURE, STAGE_TAIL };

/* The next child to look at, 0: none at this stage. Literal before capture before tail: the order
 * of precedence, so of equal priorities the first route found is the best. */
static uint32_t next_child(struct finder *f, uint32_t node, uint32_t depth, enum stage stage) {
    const struct node *n = &f->r->node[node];
    if (stage == STAGE_TAIL) {
        offer(f, route_leaf(f->r, n, LEAF_TAIL));
        return 0;
    }
    if (depth == f->pieces) {
        if (stage == STAGE_LITERAL)
            offer(f, route_leaf(f->r, n, f->slash ? LEAF_SLASH : LEAF_EXACT));
        return 0;
    }
    if (stage == STAGE_CAPTURE)
        return n->capture;
    return stage == STAGE_LITERAL || f->params ? literal_child(f, node, depth, stage == STAGE_BASE)
                                               : 0;
}

/* Every node is entered at most once, and the stack is as deep as the longest pattern. */
static void walk(struct finder *f, uint32_t root) {
    struct {
        uint32_t node;
        enum stage stage;
    } stack[ROUTE_SEGMENTS_MAX + 2] UNSET;
    uint32_t top = 0;
    stack[0].node = root;
    stack[0].stage = STAGE_LITERAL;
    for (;;) {
        uint32_t node = stack[top].node;
        enum stage stage = stack[top].stage;
        if (stage > STAGE_TAIL || outranked(f, f->r->node[node].best)) {
            if (top-- == 0)
                return;
            continue;
        }
        stack[top].stage = stage + 1;
        uint32_t child = next_child(f, node, top, stage);
        if (child) {
            top++;
            stack[top].node = child;
            stack[top].stage = STAGE_LITERAL;
        }
    }
}

static void try_host(struct finder *f, uint32_t tree) {
    const struct host_tree *t = &f->r->host[tree];
    if (tree == 0 || outranked(f, t->best))
        return;
    if (f->is_path && t->root)
        walk(f, t->root);
    if (f->is_path)
        offer_regexes(f, t->regex);
    offer(f, t->any);
}

static uint32_t host_tree(const struct router *r, uint32_t kind, struct span name) {
    return route_edge(r, kind, name, route_hash(name.p, name.n));
}

static void try_hosts(struct finder *f) {
    struct span host = f->h->host;
    if (f->r->exact_hosts && host.n)
        try_host(f, host_tree(f->r, EDGE_HOST, host));
    for (size_t i = 1; f->r->wildcards && i < host.n; i++)
        if (host.p[i] == '.')
            try_host(f, host_tree(f->r, EDGE_WILDCARD, span_from(host, i)));
    try_host(f, f->r->any_host);
}

void router_find(const struct router *r, const struct head *h, const struct listener_conf *l,
                 struct route_found *out) {
    router_find_judged(r, h, l, NULL, out);
}

void router_find_judged(const struct router *r, const struct head *h, const struct listener_conf *l,
                        const struct route_judge *j, struct route_found *out) {
    struct finder f UNSET; /* most of its pieces are never used */
    f.r = r;
    f.h = h;
    f.method = head_method(h);
    f.l = l;
    f.judge = j;
    f.out = out;
    f.best = NULL;
    f.collect = f.slash = false;
    f.pieces = 0;
    memset(out, 0, sizeof *out);
    cut(&f);
    try_hosts(&f);
    if (f.best) {
        out->route = f.best->route;
        captures(&f, f.best, out->capture);
        return;
    }
    f.collect = true;
    try_hosts(&f);
}

/* What scripts may ask with POST they ask first with OPTIONS, which no route need offer. */
static bool find_asked(const struct router *r, const struct head *h, const struct listener_conf *l,
                       const struct route_judge *j, struct route_found *out) {
    struct span method = hdr_find(h, SPAN("access-control-request-method"));
    if (!method.n || !hdr_has(h, HDR_ORIGIN))
        return false;
    struct head asked = *h;
    asked.method = method_lookup(method);
    asked.method_text = method;
    router_find_judged(r, &asked, l, j, out);
    return out->route && out->route->preflights;
}

void router_find_request(const struct router *r, const struct head *h,
                         const struct listener_conf *l, const struct route_judge *j,
                         struct route_found *out) {
    if (likely(h->method != METHOD_OPTIONS) || !find_asked(r, h, l, j, out))
        router_find_judged(r, h, l, j, out);
}
