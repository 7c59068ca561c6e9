/*
 * route_tree - the compiled router: what route_build makes, route_find walks and route_report
 * judges.
 *
 * One hash table holds every edge: (node, literal segment) -> node, and also host -> tree. A node
 * has besides at most one child for a capture, and three leaves: the path ends here, ends here with
 * "/", or goes on below (tail). A leaf is a row of candidates, the best first. Every node knows the
 * highest priority below it, so a walk that has found a route leaves out what cannot outrank it.
 * Owner: the snapshot's arena. Thread: built by one, then read by all.
 */
#pragma once
#include "data/regex.h"
#include "core/route.h"

/* All that a match needs to know, in one piece of memory: routes themselves are not touched. */
struct candidate {
    const struct route *route;
    const struct path_match *path; /* NULL: any path */
    int priority;
    uint32_t methods;    /* HEAD put in where GET stands */
    uint16_t conditions; /* how many */
    bool any_method;
    bool head_alone;        /* names HEAD without GET: goes before a HEAD that GET implies */
    bool plain;             /* nothing but the method is asked */
    bool last;              /* of its leaf */
    unsigned char captures; /* slots below this number may be filled */
    signed char tail;       /* slot that takes the rest of the path, -1: none */
    signed char from[CAPTURES_MAX]; /* by slot: the segment, or an expression's group; -1: none */
};

/* Texts up to these lengths lie in the edge or node itself: a look-up touches one piece of memory.
 */
enum { EDGE_TEXT = 20, NODE_TEXT = 13 };

/* Places in router->candidate, up to `last`; 0: nobody. */
enum leaf_kind { LEAF_NONE, LEAF_EXACT, LEAF_SLASH, LEAF_TAIL, LEAF_SEVERAL };
struct leaves {
    uint32_t at[LEAF_SEVERAL]; /* by kind */
};

struct node {           /* 32 bytes; a child follows its parent where it can */
    uint32_t capture;   /* 0: none */
    uint32_t only;      /* the one child by literal, if its text is short; 0: see `literals` */
    uint32_t leaf;      /* of the kind below, or the place of several in router->leaves */
    int best;           /* highest priority in this subtree */
    unsigned char kind; /* enum leaf_kind */
    unsigned char only_len;
    bool literals; /* has children by literal in the table */
    char only_text[NODE_TEXT];
};
_Static_assert(sizeof(struct node) == 32, "two nodes to a cache line");

struct edge {
    uint32_t node, child; /* node 0: free */
    uint32_t len;
    char text[EDGE_TEXT]; /* longer: the pointer to it */
};

static inline const char *edge_text(const struct edge *e) {
    const char *p = e->text;
    if (e->len > EDGE_TEXT)
        memcpy(&p, e->text, sizeof p);
    return p;
}

struct host_tree {
    uint32_t root;
    uint32_t regex, any; /* leaves */
    int best;
    struct span name; /* as its edge has it */
};

/* Edges that lead to host trees begin here. */
enum { EDGE_HOST = UINT32_MAX, EDGE_WILDCARD = UINT32_MAX - 1 };

struct router {
    const struct edge *edge;
    unsigned edge_shift; /* 64 - log2 of the table's size */
    const struct node *node;
    const struct leaves *leaves;
    const struct candidate *candidate;
    const struct host_tree *host;
    const uint32_t *node_tree; /* the host tree of a node: for reports */
    uint32_t hosts, nodes, candidates;
    uint32_t any_host; /* tree of routes without host; 0: none */
    uint32_t depth;    /* segments of the longest pattern */
    bool wildcards, exact_hosts;
};

#define ROUTE_HASH_K 0x9e3779b97f4a7c15ull

/* Not keyed: the table's keys are the operator's, a peer only looks them up. */
static inline uint64_t route_hash(const char *p, size_t n) {
    uint64_t h = n * ROUTE_HASH_K, v;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&v, p, 8);
        h = (h ^ v) * ROUTE_HASH_K;
        h ^= h >> 29;
    }
    v = 0;
    if (n >= 4) {
        uint32_t a, b;
        memcpy(&a, p, 4);
        memcpy(&b, p + n - 4, 4);
        v = (uint64_t)a << 32 | b;
    } else if (n) {
        v = (uint64_t)(unsigned char)p[0] << 16 | (uint64_t)(unsigned char)p[n >> 1] << 8 |
            (unsigned char)p[n - 1];
    }
    h = (h ^ v) * ROUTE_HASH_K;
    return h ^ h >> 29;
}

static inline size_t route_slot(uint64_t hash, uint32_t node, unsigned shift) {
    return (size_t)((hash + node * 0xff51afd7ed558ccdull) * ROUTE_HASH_K >> shift);
}

/* The child that (node, text) leads to, 0: none. */
static inline uint32_t route_edge(const struct router *r, uint32_t node, struct span text,
                                  uint64_t hash) {
    size_t mask = SIZE_MAX >> (r->edge_shift + 64 - 8 * sizeof(size_t));
    for (size_t i = route_slot(hash, node, r->edge_shift);; i = (i + 1) & mask) {
        const struct edge *e = &r->edge[i];
        if (e->node == 0)
            return 0;
        if (e->node == node && e->len == text.n && memcmp(edge_text(e), text.p, text.n) == 0)
            return e->child;
    }
}

static inline uint32_t route_leaf(const struct router *r, const struct node *n,
                                  enum leaf_kind kind) {
    if (n->kind == kind)
        return n->leaf;
    return n->kind == LEAF_SEVERAL ? r->leaves[n->leaf].at[kind] : 0;
}

/* The child of a node by literal, 0: none. */
static inline uint32_t route_literal(const struct router *r, uint32_t node, struct span text) {
    const struct node *n = &r->node[node];
    if (n->only)
        return n->only_len == text.n && memcmp(n->only_text, text.p, text.n) == 0 ? n->only : 0;
    return n->literals ? route_edge(r, node, text, route_hash(text.p, text.n)) : 0;
}

/* How much of a segment a literal is compared with: up to ";" (or "%3B"), for services drop such
 * parameters before they look at a path. */
size_t route_segment_base(struct span segment);

/* route_cond.c */
/* What a route asks besides host, path and method. */
bool route_conditions(const struct route_match *m, const struct head *h,
                      const struct listener_conf *l);
bool route_method(const struct route_match *m, const struct head *h);
uint32_t route_methods(const struct route_match *m); /* with the HEAD that GET implies */
unsigned route_condition_count(const struct route_match *m);
bool value_holds(const struct value_match *v, enum value_of of, const struct head *h);

/* route_report.c */
void route_report_fill(const struct router *r, struct arena *a, struct route_report *out);
