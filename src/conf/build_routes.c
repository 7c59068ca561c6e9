#include "base/env.h"
#include "conf/build.h"

struct group { /* an open group: its children are being read */
    struct node *list;
    uint32_t next;
    struct narrowed match;
    struct policy_level policies;
    const char *label; /* "routes", "routes[1].routes" */
};

struct routes {
    struct build *b;
    struct route *route;
    struct node **node; /* by place in route */
    uint32_t count, cap;
    struct map names;
    struct group *group[YAML_DEPTH];
    unsigned depth;
    struct group *spare;
};

static bool there(const struct node *n) {
    return n && !node_null(n);
}

static struct route *route_new(struct routes *r, struct node *n) {
    if (r->count == r->cap) {
        uint32_t cap = r->cap ? r->cap * 2 : 64;
        r->route = mem_realloc(r->route, r->cap * sizeof *r->route, cap * sizeof *r->route);
        r->node = mem_realloc(r->node, r->cap * sizeof(struct node *), cap * sizeof(struct node *));
        r->cap = cap;
    }
    r->node[r->count] = n;
    struct route *route = &r->route[r->count];
    *route = (struct route){.index = r->count, .where = build_where(r->b, n)};
    r->count++;
    return route;
}

static struct node *name_node(struct node *n) {
    struct node *name = node_get(n, "name");
    return there(name) && name->kind == NODE_SCALAR && !name->bad ? name : NULL;
}

static void name_route(struct routes *r, struct route *route, struct node *n,
                       const struct narrowed *m) {
    struct build *b = r->b;
    struct node *name = name_node(n);
    route->name = name ? build_text(b, name) : match_name(b, m);
    struct node *own = name ? name : n;
    struct node *first = map_put(&r->names, route->name, own);
    if (!first || (!name && b->diags->errors)) /* a wrong condition is not a missing one */
        return;
    struct diag *d = diag_add(b->diags, DIAG_E0404, own->at, "there are two routes named \"%.*s\"",
                              SPAN_ARG(route->name));
    diag_note(b->diags, d, first->at, "the first one");
    if (!name)
        diag_help(b->diags, d, "they differ by other conditions: give them names with `name: ..`");
}

static void no_action(struct build *b, struct node *n) {
    static const char *const actions[] = {"to",        "respond", "redirect", "routes",
                                          "aggregate", "batch",   "openapi"};
    for (size_t i = 0; i < array_len(actions); i++)
        if (there(node_get(n, actions[i])))
            return;
    struct diag *d = diag_add(b->diags, DIAG_E0401, n->at, "this route does nothing");
    diag_help(b->diags, d,
              "give it an action: to, respond or redirect; or `routes`, to be a group");
}

static void leaf(struct routes *r, struct node *n, const struct narrowed *m,
                 const struct policy_level *p) {
    struct build *b = r->b;
    struct fact_captures *captures = arena_zero(b->arena, sizeof *captures);
    struct route_match *match = match_finish(b, m, captures);
    struct route *route = route_new(r, n);
    route->match = match;
    route->capture_name = captures->name;
    route->capture_count = captures->count;
    name_route(r, route, n, m);
    no_action(b, n);
    policies_finish(b, p, route, n, captures);
    action_build(b, n, p, route, captures);
}

/* A child begins with what its group has. */
static void enter(struct routes *r, struct node *n, struct group *g, uint32_t i) {
    struct build *b = r->b;
    /* Only a group is kept; leaves use one another's memory again. */
    struct group *child = r->spare ? r->spare : arena_alloc(b->tree, sizeof *child);
    r->spare = child;
    child->match = g->match;
    child->policies = g->policies;
    match_narrow(b, node_get(n, "match"), &child->match);
    struct node *list = node_get(n, "routes");
    bool group = there(list) && !list->bad;
    struct level *level = arena_zero(b->tree, sizeof *level);
    struct node *name = group ? name_node(n) : NULL;
    level->name = !group ? SPAN("route")
                  : name ? span_z(arena_fmt(b->arena, "group %.*s", SPAN_ARG(node_plain(name))))
                         : span_z(arena_fmt(b->arena, "group %s[%u]", g->label, i));
    policies_apply(b, &child->policies, n, level);
    if (!group) {
        leaf(r, n, &child->match, &child->policies);
        return;
    }
    if (list->kind != NODE_LIST)
        return;
    if (list->count == 0)
        diag_add(b->diags, DIAG_W0106, list->at, "this group has no routes");
    child->list = list;
    child->next = 0;
    child->label = arena_fmt(b->tree, "%s[%u].routes", g->label, i);
    if (r->depth < YAML_DEPTH) {
        r->group[r->depth++] = child;
        r->spare = NULL;
    }
}

static void walk(struct routes *r) {
    while (r->depth) {
        struct group *g = r->group[r->depth - 1];
        if (g->next == g->list->count) {
            r->depth--;
            continue;
        }
        uint32_t i = g->next++;
        if (g->list->item[i]->kind == NODE_MAP)
            enter(r, g->list->item[i], g, i);
    }
}

/* --- what the router says of them --- */

static struct mark route_mark(const struct routes *r, const struct route *route) {
    must(r->node && route->index < r->count);
    const struct node *n = r->node[route->index];
    const struct node *path = node_get(node_get(n, "match"), "path");
    return path ? path->at : n->at;
}

static void conflict(struct routes *r, const struct route_conflict *c) {
    struct diag_list *d = r->b->diags;
    struct diag *e =
        diag_add(d, DIAG_E0403, route_mark(r, c->b),
                 "one request can match both \"%.*s\" and \"%.*s\", and nothing says which",
                 SPAN_ARG(c->a->name), SPAN_ARG(c->b->name));
    diag_note(d, e, route_mark(r, c->a), "the other route");
    diag_help(d, e, "give one of them a `priority` or a further condition");
}

static void shadow(struct routes *r, const struct route_shadow *s) {
    struct diag_list *d = r->b->diags;
    struct diag *w = diag_add(d, DIAG_W0101, route_mark(r, s->route),
                              "\"%.*s\" is never reached: line %u always goes before it",
                              SPAN_ARG(s->route->name), s->by->where.line);
    diag_note(d, w, route_mark(r, s->by), "this route takes its requests");
}

static void compile(struct routes *r) {
    struct build *b = r->b;
    struct route_report report = {0};
    b->s->router = router_build(b->arena, b->s->route, b->s->route_count, &report);
    for (uint32_t i = 0; i < report.conflict_count; i++)
        conflict(r, &report.conflict[i]);
    for (uint32_t i = 0; i < report.shadow_count; i++)
        shadow(r, &report.shadow[i]);
}

static void prepare(struct build *b, struct group *top) {
    struct node *sets = node_get(b->root, "policies"), *defaults = node_get(b->root, "defaults");
    b->set_used = arena_zero(b->tree, (sets ? sets->count : 0) + 1);
    struct level *level = arena_zero(b->tree, sizeof *level);
    level->name = SPAN("defaults");
    if (there(defaults) && !defaults->bad)
        policies_apply(b, &top->policies, defaults, level);
    top->label = "routes";
    struct node *errors = policies_value(&top->policies, "errors");
    const struct fact_captures none = {0};
    b->s->errors = errors && !errors->bad ? errors_build(b, errors, &none) : NULL;
}

void build_routes(struct build *b) {
    struct routes r = {.b = b};
    struct group *top = arena_zero(b->tree, sizeof *top);
    struct node *list = node_get(b->root, "routes");
    prepare(b, top);
    if (there(list) && list->kind == NODE_LIST && !list->bad) {
        top->list = list;
        r.group[r.depth++] = top;
        walk(&r);
    }
    struct route *all = arena_alloc(b->arena, r.count * sizeof *all + 1);
    if (r.count)
        memcpy(all, r.route, r.count * sizeof *all);
    b->s->route = all;
    b->s->route_count = r.count;
    if (!b->diags->errors)
        compile(&r);
    map_finish(&r.names);
    mem_free(r.route);
    mem_free(r.node);
}
