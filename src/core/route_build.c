/* Compiling routes into a router: linear in their number but for one sort. */
#include "base/env.h"
#include "core/route_tree.h"
#include <limits.h>
#include <stdlib.h>

/* Where a candidate stands: in a leaf of a node, or in its host tree. */
enum place_kind {
    PLACE_EXACT = LEAF_EXACT,
    PLACE_SLASH = LEAF_SLASH,
    PLACE_TAIL = LEAF_TAIL,
    PLACE_REGEX,
    PLACE_ANY
};

struct placed { /* a candidate and the leaf that it belongs to */
    struct candidate c;
    uint32_t owner; /* node, or host tree */
    enum place_kind kind;
    uint32_t order;
};

struct builder {
    struct router *r;
    struct edge *edge;
    struct node *node;
    uint32_t *parent, *tree; /* of a node; parent 0: the root of its tree */
    uint32_t *children;      /* by literal */
    struct leaves *leaves;
    struct host_tree *host;
    struct placed *placed;
    uint32_t count, edges;
};

/* ---- sizes ---------------------------------------------------------------------------------- */

struct sizes {
    size_t nodes, hosts, placed;
    uint32_t depth;
};

static uint32_t host_count(const struct route_match *m) {
    return m->host_count ? m->host_count : 1;
}

static struct sizes measure(const struct route *routes, uint32_t count) {
    struct sizes s = {1, 1, 0, 0};
    for (uint32_t i = 0; i < count; i++) {
        const struct route_match *m = routes[i].match;
        size_t hosts = host_count(m), segments = 0;
        for (uint32_t k = 0; k < m->path_count; k++) {
            segments += m->path[k].count;
            if (m->path[k].count > s.depth)
                s.depth = m->path[k].count;
        }
        s.hosts += hosts;
        s.nodes += hosts * (segments + 1);
        s.placed += hosts * (m->path_count ? m->path_count : 1);
    }
    return s;
}

static unsigned bits_for(size_t edges) {
    unsigned bits = 4;
    while (((size_t)1 << bits) < edges + edges / 2)
        bits++;
    return bits;
}

static struct builder start(struct arena *a, const struct sizes *s) {
    struct builder b = {.r = arena_zero(a, sizeof *b.r)};
    unsigned bits = bits_for(s->nodes + s->hosts);
    b.edge = mem_alloc(sizeof *b.edge << bits);
    b.parent = mem_alloc(sizeof *b.parent * s->nodes);
    b.leaves = mem_alloc(sizeof *b.leaves * s->nodes);
    b.children = mem_alloc(sizeof *b.children * s->nodes);
    b.placed = mem_alloc(sizeof *b.placed * (s->placed + 1));
    b.node = arena_zero(a, sizeof *b.node * s->nodes);
    b.tree = arena_zero(a, sizeof *b.tree * s->nodes);
    b.host = arena_zero(a, sizeof *b.host * s->hosts);
    b.r->edge = b.edge;
    b.r->edge_shift = 64 - bits;
    b.r->node = b.node;
    b.r->node_tree = b.tree;
    b.r->host = b.host;
    b.r->nodes = b.r->hosts = 1; /* 0 stands for none */
    b.r->depth = s->depth;
    return b;
}

/* ---- the tree ------------------------------------------------------------------------------- */

static uint32_t node_new(struct builder *b, uint32_t parent, uint32_t tree) {
    b->node[b->r->nodes] = (struct node){.best = INT_MIN};
    b->parent[b->r->nodes] = parent;
    b->tree[b->r->nodes] = tree;
    return b->r->nodes++;
}

static struct edge *edge_slot(struct edge *table, unsigned shift, uint32_t node, struct span text) {
    size_t mask = ((size_t)1 << (64 - shift)) - 1;
    size_t i = route_slot(route_hash(text.p, text.n), node, shift);
    while (table[i].node &&
           !(table[i].node == node && span_eq(span_of(edge_text(&table[i]), table[i].len), text)))
        i = (i + 1) & mask;
    return &table[i];
}

static struct edge *edge_find(struct builder *b, uint32_t node, struct span text) {
    return edge_slot(b->edge, b->r->edge_shift, node, text);
}

static void edge_set(struct builder *b, struct edge *e, uint32_t node, struct span text,
                     uint32_t child) {
    *e = (struct edge){.node = node, .child = child, .len = (uint32_t)text.n};
    if (text.n > EDGE_TEXT)
        memcpy(e->text, &text.p, sizeof text.p);
    else if (text.n)
        memcpy(e->text, text.p, text.n);
    b->edges++;
}

static uint32_t literal(struct builder *b, uint32_t node, struct span text) {
    struct edge *e = edge_find(b, node, text);
    if (!e->node) {
        edge_set(b, e, node, text, node_new(b, node, b->tree[node]));
        b->node[node].literals = true;
        b->children[node]++;
    }
    return e->child;
}

static uint32_t capture(struct builder *b, uint32_t node) {
    if (!b->node[node].capture) {
        uint32_t child = node_new(b, node, b->tree[node]);
        b->node[node].capture = child;
    }
    return b->node[node].capture;
}

static uint32_t tree_new(struct builder *b, struct span name) {
    b->host[b->r->hosts] = (struct host_tree){.best = INT_MIN, .name = name};
    return b->r->hosts++;
}

/* The tree of a host as written: "a.test", "*.test", "*" or empty for any. */
static uint32_t tree_of(struct builder *b, struct span host) {
    bool wildcard = span_starts(host, SPAN("*"));
    struct span name = wildcard ? span_from(host, 1) : host;
    if (!name.n) {
        if (!b->r->any_host)
            b->r->any_host = tree_new(b, name);
        return b->r->any_host;
    }
    uint32_t kind = wildcard ? EDGE_WILDCARD : EDGE_HOST;
    struct edge *e = edge_find(b, kind, name);
    if (!e->node)
        edge_set(b, e, kind, name, tree_new(b, name));
    b->r->wildcards |= wildcard;
    b->r->exact_hosts |= !wildcard;
    return e->child;
}

static void place(struct builder *b, const struct candidate *c, uint32_t owner,
                  enum place_kind kind) {
    b->placed[b->count] = (struct placed){*c, owner, kind, b->count};
    b->count++;
}

static void capture_from(struct candidate *c, const struct segment *s, uint32_t at) {
    if (s->capture < 0 || s->capture >= CAPTURES_MAX)
        return;
    c->from[s->capture] = (signed char)at;
    if (s->capture >= c->captures)
        c->captures = (unsigned char)(s->capture + 1);
    if (s->kind == SEGMENT_TAIL)
        c->tail = (signed char)s->capture;
}

static void place_path(struct builder *b, struct candidate *c, uint32_t tree) {
    const struct path_match *p = c->path;
    struct host_tree *t = &b->host[tree];
    uint32_t node = t->root ? t->root : (t->root = node_new(b, 0, tree));
    enum place_kind kind = p->exact_slash ? PLACE_SLASH : PLACE_EXACT;
    must(p->count <= ROUTE_SEGMENTS_MAX);
    for (uint32_t i = 0; i < p->count; i++) {
        const struct segment *s = &p->segment[i];
        if (s->kind != SEGMENT_LITERAL)
            capture_from(c, s, i);
        if (s->kind == SEGMENT_TAIL)
            kind = PLACE_TAIL;
        else
            node = s->kind == SEGMENT_LITERAL ? literal(b, node, s->text) : capture(b, node);
    }
    place(b, c, node, kind);
}

static void groups_of(const struct route *r, struct candidate *c) {
    for (uint32_t i = 0; i < CAPTURES_MAX; i++) {
        int g = i < r->capture_count ? regex_group(c->path->regex, r->capture_name[i]) : -1;
        c->from[i] = (signed char)(g < REGEX_GROUPS_MAX ? g : -1);
    }
    c->captures = (unsigned char)r->capture_count;
}

static void add_host(struct builder *b, struct candidate *c, uint32_t tree) {
    const struct route_match *m = c->route->match;
    if (c->priority > b->host[tree].best)
        b->host[tree].best = c->priority;
    c->path = NULL;
    if (!m->path_count)
        place(b, c, tree, PLACE_ANY);
    for (uint32_t i = 0; i < m->path_count; i++) {
        c->path = &m->path[i];
        c->captures = 0;
        c->tail = -1;
        memset(c->from, -1, sizeof c->from);
        if (c->path->regex) {
            groups_of(c->route, c);
            place(b, c, tree, PLACE_REGEX);
        } else {
            place_path(b, c, tree);
        }
    }
}

static void add_route(struct builder *b, const struct route *r) {
    const struct route_match *m = r->match;
    unsigned n = route_condition_count(m), method = m->methods || m->method_other_count;
    struct candidate c = {.route = r,
                          .priority = m->priority,
                          .methods = route_methods(m),
                          .conditions = (uint16_t)(n < UINT16_MAX ? n : UINT16_MAX),
                          .any_method = !method,
                          .plain = n == method,
                          .head_alone =
                              (m->methods & 1u << METHOD_HEAD) && !(m->methods & 1u << METHOD_GET)};
    for (uint32_t i = 0; i < host_count(m); i++)
        add_host(b, &c, tree_of(b, m->host_count ? m->host[i] : SPAN_NONE));
}

/* ---- leaves --------------------------------------------------------------------------------- */

/* By leaf, and in it the order of precedence. The order of the file decides only between regular
 * expressions whose overlap is reported. */
static int by_rank(const void *pa, const void *pb) {
    const struct placed *a = pa, *b = pb;
    if (a->owner != b->owner)
        return a->owner < b->owner ? -1 : 1;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->c.priority != b->c.priority)
        return a->c.priority > b->c.priority ? -1 : 1;
    if (a->c.conditions != b->c.conditions)
        return a->c.conditions > b->c.conditions ? -1 : 1;
    if (a->c.head_alone != b->c.head_alone)
        return a->c.head_alone ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static uint32_t *leaf_of(struct builder *b, const struct placed *p) {
    switch (p->kind) {
    case PLACE_EXACT:
    case PLACE_SLASH:
    case PLACE_TAIL:
        return &b->leaves[p->owner].at[p->kind];
    case PLACE_REGEX:
        return &b->host[p->owner].regex;
    case PLACE_ANY:
        break;
    }
    return &b->host[p->owner].any;
}

static void fill_leaves(struct builder *b, struct arena *a) {
    struct candidate *c = arena_alloc(a, sizeof *c * (b->count + 1));
    uint32_t *before = NULL;
    qsort(b->placed, b->count, sizeof *b->placed, by_rank);
    for (uint32_t i = 0; i < b->count; i++) {
        const struct placed *p = &b->placed[i];
        uint32_t *leaf = leaf_of(b, p);
        if (*leaf == 0)
            *leaf = i + 1; /* 0 stands for nobody */
        if (p->kind <= PLACE_TAIL && p->c.priority > b->node[p->owner].best)
            b->node[p->owner].best = p->c.priority;
        if (before && before != leaf)
            c[i].last = true;
        before = leaf;
        c[i + 1] = p->c;
    }
    if (b->count)
        c[b->count].last = true;
    b->r->candidate = c;
    b->r->candidates = b->count;
}

static unsigned leaf_kinds(const struct leaves *l) {
    unsigned n = 0;
    for (unsigned k = LEAF_EXACT; k <= LEAF_TAIL; k++)
        n += l->at[k] != 0;
    return n;
}

/* Most nodes have one leaf or none: it stands in the node. */
static void pack_leaves(struct builder *b, struct arena *a) {
    uint32_t several = 0;
    for (uint32_t i = 1; i < b->r->nodes; i++)
        several += leaf_kinds(&b->leaves[i]) > 1;
    struct leaves *all = arena_alloc(a, (several + 1) * sizeof *all);
    b->r->leaves = all;
    for (uint32_t i = 1; i < b->r->nodes; i++) {
        struct node *n = &b->node[i];
        const struct leaves *l = &b->leaves[i];
        for (int k = LEAF_EXACT; k <= LEAF_TAIL; k++)
            if (l->at[k]) {
                n->kind = (unsigned char)k;
                n->leaf = l->at[k];
            }
        if (leaf_kinds(l) > 1) {
            n->kind = LEAF_SEVERAL;
            n->leaf = --several;
            all[several] = *l;
        }
    }
}

static bool alone(const struct builder *b, const struct edge *e) {
    return e->node < b->r->nodes && b->children[e->node] == 1 && e->len <= NODE_TEXT;
}

/* An only child needs no table. */
static void inline_only(struct builder *b, const struct edge *e) {
    struct node *n = &b->node[e->node];
    n->only = e->child;
    n->only_len = (unsigned char)e->len;
    memcpy(n->only_text, e->text, e->len);
    n->literals = false;
    b->edges--;
}

/* A table for the edges that are left: the smaller, the more of it stays in the cache. */
static void shrink_edges(struct builder *b, struct arena *a) {
    unsigned old = 64 - b->r->edge_shift;
    for (size_t i = 0; i >> old == 0; i++)
        if (b->edge[i].node && alone(b, &b->edge[i]))
            inline_only(b, &b->edge[i]);
    unsigned bits = bits_for(b->edges);
    struct edge *table = arena_zero(a, sizeof *table << bits);
    for (size_t i = 0; i >> old == 0; i++) {
        const struct edge *e = &b->edge[i];
        if (e->node && !alone(b, e))
            *edge_slot(table, 64 - bits, e->node, span_of(edge_text(e), e->len)) = *e;
    }
    b->r->edge = table;
    b->r->edge_shift = 64 - bits;
}

/* Parents have smaller numbers than their children. */
static void fill_best(struct builder *b) {
    for (uint32_t i = b->r->nodes - 1; i > 0; i--) {
        struct node *parent = &b->node[b->parent[i]];
        if (b->parent[i] && b->node[i].best > parent->best)
            parent->best = b->node[i].best;
    }
}

const struct router *router_build(struct arena *a, const struct route *routes, uint32_t count,
                                  struct route_report *report) {
    struct sizes s = measure(routes, count);
    struct builder b = start(a, &s);
    for (uint32_t i = 0; i < count; i++)
        add_route(&b, &routes[i]);
    fill_leaves(&b, a);
    fill_best(&b);
    pack_leaves(&b, a);
    shrink_edges(&b, a);
    mem_free(b.placed);
    mem_free(b.parent);
    mem_free(b.children);
    mem_free(b.leaves);
    mem_free(b.edge);
    if (report)
        route_report_fill(b.r, a, report);
    return b.r;
}
