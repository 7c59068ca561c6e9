/*
 * What is wrong with a set of routes: ties that one request can meet, and routes that never come
 * into their own. Runs once, when a configuration is read; the work is bounded.
 */
#include "core/route_tree.h"
#include "expr/expr.h"
#include <stdlib.h>

enum { PAIRS_MAX = 4000000, GROUP_PLAIN = 64, COVER_NODES = 512, COVER_LOOK = 64 };

static uint32_t leaf_count(const struct router *r, uint32_t leaf) {
    uint32_t n = leaf != 0;
    while (n && !r->candidate[leaf + n - 1].last)
        n++;
    return n;
}

struct reporter {
    const struct router *r;
    struct route_report *out;
    uint32_t pairs; /* comparisons so far */
};

/* ---- may one request meet the conditions of both? ---------------------------------------------
 */

static bool others_meet(const struct route_match *a, const struct route_match *b) {
    for (uint32_t i = 0; i < a->method_other_count; i++)
        for (uint32_t k = 0; k < b->method_other_count; k++)
            if (span_eq(a->method_other[i], b->method_other[k]))
                return true;
    return false;
}

/* A route for HEAD alone goes before the HEAD that GET implies: no tie. */
static uint32_t stated_methods(const struct route_match *m) {
    return m->methods & 1u << METHOD_GET ? m->methods & ~(1u << METHOD_HEAD) : m->methods;
}

static bool any_method(const struct route_match *m) {
    return !m->methods && !m->method_other_count;
}

static bool methods_meet(const struct route_match *a, const struct route_match *b) {
    return any_method(a) || any_method(b) || (stated_methods(a) & stated_methods(b)) ||
           others_meet(a, b);
}

static bool same_regex(const struct regex *a, const struct regex *b) {
    return a == b || span_eq(regex_pattern(a), regex_pattern(b));
}

static bool values_meet(const struct value_match *a, const struct value_match *b) {
    if (a->kind == VALUE_ABSENT || b->kind == VALUE_ABSENT)
        return a->kind == b->kind;
    if (a->kind == VALUE_IS && b->kind == VALUE_IS)
        return span_eq(a->value, b->value);
    if (a->kind == VALUE_IS && b->kind == VALUE_REGEX)
        return regex_test(b->regex, a->value);
    if (a->kind == VALUE_REGEX && b->kind == VALUE_IS)
        return regex_test(a->regex, b->value);
    return true;
}

static bool all_values_meet(const struct route_match *a, const struct route_match *b) {
    for (int of = 0; of < 3; of++)
        for (uint32_t i = 0; i < a->value_count[of]; i++)
            for (uint32_t k = 0; k < b->value_count[of]; k++)
                if (span_eq(a->value[of][i].name, b->value[of][k].name) &&
                    !values_meet(&a->value[of][i], &b->value[of][k]))
                    return false;
    return true;
}

static bool conditions_meet(const struct route_match *a, const struct route_match *b) {
    bool listeners = !a->listeners || !b->listeners || (a->listeners & b->listeners);
    return listeners && methods_meet(a, b) && all_values_meet(a, b);
}

/* ---- ties ----------------------------------------------------------------------------------- */

static bool plain_byte(char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || c == '/' || c == '-' ||
           c == '_';
}

/* Options inside the pattern or verbs before it: what letters mean is no longer easy to see. */
static bool plain_groups(struct span p) {
    for (size_t i = 0; i + 1 < p.n; i++) {
        bool after = p.p[i] == '(' && i + 2 < p.n;
        if (after && (p.p[i + 1] == '*' || (p.p[i + 1] == '?' && !memchr(":<=!P>", p.p[i + 2], 6))))
            return false;
    }
    return span_find(p, '|') < 0;
}

/* What the route itself wrote, of an expression that the loader joined to its group's prefix:
 * "\A(?=PREFIX..)(?s:.*?)(?:OWN)". It is still searched in the whole path. */
static struct span own_part(struct span p) {
    const struct span glue = SPAN("(?s:.*?)(?:");
    if (!span_starts(p, SPAN("\\A(?=")) || p.p[p.n - 1] != ')')
        return p;
    for (size_t i = 0; i + glue.n < p.n; i++)
        if (span_starts(span_from(p, i), glue))
            return span_cut(p, i + glue.n, p.n - i - glue.n - 1);
    return p;
}

/* The text that every match of "^text..." begins with, as far as that is easy to see. */
static struct span fixed_start(struct span p) {
    if (!p.n || p.p[0] != '^' || !plain_groups(p))
        return SPAN_NONE;
    size_t n = 1;
    while (n < p.n && plain_byte(p.p[n]))
        n++;
    if (n < p.n && memchr("?*{", p.p[n], 3))
        n -= n > 1;
    return span_cut(p, 1, n - 1);
}

/* The text that every match of "...text$" ends with. */
static struct span fixed_end(struct span p) {
    if (p.n < 2 || p.p[p.n - 1] != '$' || p.p[p.n - 2] == '\\' || !plain_groups(p))
        return SPAN_NONE;
    size_t n = 0;
    while (n < p.n - 1 && plain_byte(p.p[p.n - 2 - n]))
        n++;
    /* "\d$": the letters belong to an escape. */
    if (n < p.n - 1 && p.p[p.n - 2 - n] == '\\')
        return SPAN_NONE;
    return span_cut(p, p.n - 1 - n, n);
}

static bool regexes_meet(const struct regex *a, const struct regex *b) {
    struct span pa = own_part(regex_pattern(a)), pb = own_part(regex_pattern(b));
    struct span sa = fixed_start(pa), sb = fixed_start(pb), ea = fixed_end(pa), eb = fixed_end(pb);
    bool starts = sa.n < sb.n ? span_starts(sb, sa) : span_starts(sa, sb);
    bool ends = ea.n < eb.n ? span_ends(eb, ea) : span_ends(ea, eb);
    return starts && ends;
}

static void conflict(struct reporter *p, const struct route *a, const struct route *b) {
    struct route_report *out = p->out;
    for (uint32_t i = 0; i < out->conflict_count; i++)
        if (out->conflict[i].a == a && out->conflict[i].b == b)
            return;
    if (out->conflict_count < ROUTE_REPORT_MAX)
        out->conflict[out->conflict_count++] = (struct route_conflict){a, b};
}

static void pair(struct reporter *p, const struct candidate *a, const struct candidate *b) {
    p->pairs++;
    if (a->route == b->route || !conditions_meet(a->route->match, b->route->match))
        return;
    if (a->path && a->path->regex && !regexes_meet(a->path->regex, b->path->regex))
        return;
    if (a->route < b->route)
        conflict(p, a->route, b->route);
    else
        conflict(p, b->route, a->route);
}

static bool enough(const struct reporter *p) {
    return p->pairs >= PAIRS_MAX || p->out->conflict_count == ROUTE_REPORT_MAX;
}

/* The first exact value a candidate asks for: what tells it from its neighbours most likely. */
static const struct value_match *first_exact(const struct candidate *c) {
    const struct route_match *m = c->route->match;
    for (int of = 0; of < 3; of++)
        for (uint32_t i = 0; i < m->value_count[of]; i++)
            if (m->value[of][i].kind == VALUE_IS)
                return &m->value[of][i];
    return NULL;
}

static int by_exact(const void *pa, const void *pb) {
    const struct candidate *const *a = pa, *const *b = pb;
    const struct value_match *va = first_exact(*a), *vb = first_exact(*b);
    if (!va || !vb)
        return va ? 1 : vb ? -1 : 0;
    int c = span_cmp(va->name, vb->name);
    return c ? c : span_cmp(va->value, vb->value);
}

static bool exact_differs(const struct candidate *a, const struct candidate *b) {
    const struct value_match *va = first_exact(a), *vb = first_exact(b);
    return va && vb && span_eq(va->name, vb->name) && !span_eq(va->value, vb->value);
}

/* Many candidates of one rank: sorted by their first exact value, so that a candidate meets only
 * those of its own value, and those with another name or none, which stand in front of each run of
 * names. */
static void ties_sorted(struct reporter *p, const struct candidate **c, uint32_t n) {
    qsort(c, n, sizeof(const struct candidate *), by_exact);
    uint32_t name = 0; /* where the run of this name begins */
    for (uint32_t i = 0; i < n && !enough(p); i++) {
        const struct value_match *v = first_exact(c[i]), *w = first_exact(c[name]);
        if (!!v != !!w || (v && w && !span_eq(v->name, w->name)))
            name = i;
        for (uint32_t k = 0; k < name && !enough(p); k++)
            pair(p, c[k], c[i]);
        for (uint32_t k = i; k-- > name && !exact_differs(c[k], c[i]) && !enough(p);)
            pair(p, c[k], c[i]);
    }
}

static bool same_rank(const struct candidate *a, const struct candidate *b) {
    return a->priority == b->priority && a->conditions == b->conditions;
}

static void ties_of_rank(struct reporter *p, struct arena *a, const struct candidate *c,
                         uint32_t n) {
    if (n > GROUP_PLAIN) {
        const struct candidate **sorted = arena_alloc(a, n * sizeof *sorted);
        for (uint32_t i = 0; i < n; i++)
            sorted[i] = &c[i];
        ties_sorted(p, sorted, n);
        return;
    }
    for (uint32_t i = 1; i < n; i++)
        for (uint32_t k = 0; k < i && !enough(p); k++)
            pair(p, &c[k], &c[i]);
}

static void ties(struct reporter *p, struct arena *a, uint32_t leaf) {
    const struct candidate *c = p->r->candidate + leaf;
    uint32_t count = leaf_count(p->r, leaf);
    for (uint32_t i = 0, n; i < count && !enough(p); i += n) {
        for (n = 1; i + n < count && same_rank(&c[i], &c[i + n]);)
            n++;
        if (n > 1)
            ties_of_rank(p, a, c + i, n);
    }
}

/* ---- does one route take every request of another? --------------------------------------------
 */

static bool value_implies(const struct value_match *b, const struct value_match *a) {
    if (!span_eq(a->name, b->name))
        return false;
    switch (a->kind) {
    case VALUE_PRESENT:
        return b->kind != VALUE_ABSENT;
    case VALUE_ABSENT:
        return b->kind == VALUE_ABSENT;
    case VALUE_IS:
        return b->kind == VALUE_IS && span_eq(a->value, b->value);
    case VALUE_REGEX:
        return (b->kind == VALUE_IS && regex_test(a->regex, b->value)) ||
               (b->kind == VALUE_REGEX && same_regex(a->regex, b->regex));
    }
    return false;
}

static bool values_cover(const struct route_match *a, const struct route_match *b) {
    for (int of = 0; of < 3; of++)
        for (uint32_t i = 0; i < a->value_count[of]; i++) {
            bool implied = false;
            for (uint32_t k = 0; k < b->value_count[of] && !implied; k++)
                implied = value_implies(&b->value[of][k], &a->value[of][i]);
            if (!implied)
                return false;
        }
    return true;
}

static bool methods_cover(const struct route_match *a, const struct route_match *b) {
    if (any_method(a))
        return true;
    if (any_method(b) || (route_methods(b) & ~route_methods(a)))
        return false;
    for (uint32_t k = 0; k < b->method_other_count; k++) {
        bool there = false;
        for (uint32_t i = 0; i < a->method_other_count; i++)
            there |= span_eq(a->method_other[i], b->method_other[k]);
        if (!there)
            return false;
    }
    return true;
}

/* Where the same stands in both, one holds with the other; captures of two paths differ. */
static bool when_stands(const struct route_match *m, const struct route_when *w) {
    struct span source = expr_source(w->expr);
    for (uint32_t i = 0; i < m->when_count; i++)
        if (span_eq(expr_source(m->when[i].expr), source))
            return !memmem(source.p, source.n, "path", 4);
    return false;
}

static bool whens_cover(const struct route_match *a, const struct route_match *b) {
    for (uint32_t i = 0; i < a->when_count; i++)
        if (!when_stands(b, &a->when[i]))
            return false;
    return true;
}

static bool conditions_cover(const struct route_match *a, const struct route_match *b) {
    bool listeners = !a->listeners || (b->listeners && !(b->listeners & ~a->listeners));
    return listeners && methods_cover(a, b) && values_cover(a, b) && whens_cover(a, b);
}

struct cover {
    const struct router *r;
    const struct candidate *c; /* who may be covered */
    const struct route *by;
    unsigned looks;
};

/* Somebody in the leaf with at least this priority takes all that comes. */
static void cover_leaf(struct cover *v, uint32_t leaf, bool equal_too) {
    const struct candidate *a = v->r->candidate + leaf;
    uint32_t count = leaf_count(v->r, leaf);
    for (uint32_t i = 0; i < count && i < COVER_LOOK && !v->by; i++, a++) {
        if (a->priority < v->c->priority || (a->priority == v->c->priority && !equal_too))
            return;
        if (a->route != v->c->route && conditions_cover(a->route->match, v->c->route->match))
            v->by = a->route;
    }
}

static uint32_t cover_child(const struct cover *v, uint32_t node, const struct segment *s,
                            bool capture) {
    const struct node *n = &v->r->node[node];
    if (s->kind == SEGMENT_TAIL || (!capture && s->kind != SEGMENT_LITERAL))
        return 0;
    return capture ? n->capture : route_literal(v->r, node, s->text);
}

static void cover_end(struct cover *v, const struct node *n) {
    const struct path_match *p = v->c->path;
    bool tail = p->count && p->segment[p->count - 1].kind == SEGMENT_TAIL;
    if (!tail)
        cover_leaf(v, route_leaf(v->r, n, p->exact_slash ? LEAF_SLASH : LEAF_EXACT), false);
}

/* Walks the patterns that match whatever v->c's pattern matches, of higher priority alone: equal
 * ones rank below a more exact path. */
static void cover_tree(struct cover *v, uint32_t root) {
    struct {
        uint32_t node;
        unsigned stage;
    } stack[ROUTE_SEGMENTS_MAX + 2];
    const struct path_match *p = v->c->path;
    uint32_t top = 0;
    stack[0].node = root;
    stack[0].stage = 0;
    while (!v->by && v->looks < COVER_NODES) {
        const struct node *n = &v->r->node[stack[top].node];
        unsigned stage = stack[top].stage++;
        uint32_t child = 0;
        if (stage > 1 || n->best <= v->c->priority) {
            if (top-- == 0)
                return;
            continue;
        }
        v->looks++;
        if (stage == 0)
            cover_leaf(v, route_leaf(v->r, n, LEAF_TAIL), false);
        if (top < p->count)
            child = cover_child(v, stack[top].node, &p->segment[top], stage == 1);
        else if (stage == 0)
            cover_end(v, n);
        if (top < p->count && p->segment[top].kind == SEGMENT_TAIL)
            cover_end(v, n);
        if (child) {
            top++;
            stack[top].node = child;
            stack[top].stage = 0;
        }
    }
}

/* `own`: the tree that the candidate itself stands in; there a catch-all of equal priority wins
 * over regular expressions, and over routes without a path. */
static void cover_host(struct cover *v, uint32_t tree, bool own) {
    const struct host_tree *t = &v->r->host[tree];
    if (tree == 0 || v->by)
        return;
    bool fixed = v->c->path && !v->c->path->regex;
    if (fixed && t->root)
        cover_tree(v, t->root);
    if (!fixed && t->root)
        cover_leaf(v, route_leaf(v->r, &v->r->node[t->root], LEAF_TAIL), own);
    cover_leaf(v, t->any, false);
}

static void cover_hosts(struct cover *v, uint32_t tree) {
    const struct host_tree *t = &v->r->host[tree];
    cover_host(v, tree, true);
    for (size_t i = 0; i < t->name.n && v->r->wildcards && !v->by; i++) {
        struct span suffix = span_from(t->name, i);
        if (i > 0 && suffix.p[0] == '.')
            cover_host(v, route_edge(v->r, EDGE_WILDCARD, suffix, route_hash(suffix.p, suffix.n)),
                       false);
    }
    if (tree != v->r->any_host)
        cover_host(v, v->r->any_host, false);
}

/* A route is shadowed when all its alternatives are. seen: per route, how many alternatives there
 * are and how many are covered. */
struct shadow_count {
    uint32_t all, covered;
    const struct route *by;
};

static void look_at(struct reporter *p, struct shadow_count *seen, const struct route *base,
                    uint32_t tree, uint32_t leaf) {
    uint32_t count = leaf_count(p->r, leaf);
    for (uint32_t i = 0; i < count; i++) {
        struct cover v = {.r = p->r, .c = &p->r->candidate[leaf + i]};
        struct shadow_count *s = &seen[v.c->route - base];
        cover_hosts(&v, tree);
        s->all++;
        s->covered += v.by != NULL;
        s->by = v.by ? v.by : s->by;
    }
}

static const struct route *first_route(const struct router *r, uint32_t *count) {
    const struct route *low = r->candidate[1].route, *high = low;
    for (uint32_t i = 1; i <= r->candidates; i++) {
        const struct route *x = r->candidate[i].route;
        low = x < low ? x : low;
        high = x > high ? x : high;
    }
    *count = (uint32_t)(high - low) + 1;
    return low;
}

static void tell_shadows(struct reporter *p, const struct shadow_count *seen,
                         const struct route *base, uint32_t routes) {
    struct route_report *out = p->out;
    for (uint32_t i = 0; i < routes && out->shadow_count < ROUTE_REPORT_MAX; i++)
        if (seen[i].all && seen[i].covered == seen[i].all)
            out->shadow[out->shadow_count++] = (struct route_shadow){base + i, seen[i].by};
}

void route_report_fill(const struct router *r, struct arena *a, struct route_report *out) {
    struct reporter p = {.r = r, .out = out};
    uint32_t routes = 0;
    *out = (struct route_report){0};
    if (!r->candidates)
        return;
    out->conflict = arena_alloc(a, ROUTE_REPORT_MAX * sizeof *out->conflict);
    out->shadow = arena_alloc(a, ROUTE_REPORT_MAX * sizeof *out->shadow);
    const struct route *base = first_route(r, &routes);
    struct shadow_count *seen = arena_zero(a, routes * sizeof *seen);
    for (uint32_t i = 1; i < r->nodes; i++) {
        for (enum leaf_kind k = LEAF_EXACT; k <= LEAF_TAIL; k++) {
            uint32_t leaf = route_leaf(r, &r->node[i], k);
            ties(&p, a, leaf);
            look_at(&p, seen, base, r->node_tree[i], leaf);
        }
    }
    for (uint32_t i = 1; i < r->hosts; i++) {
        ties(&p, a, r->host[i].regex);
        ties(&p, a, r->host[i].any);
        look_at(&p, seen, base, i, r->host[i].regex);
        look_at(&p, seen, base, i, r->host[i].any);
    }
    tell_shadows(&p, seen, base, routes);
}
