#include "conf/merge.h"
#include "conf/tables.h"

struct job {
    const struct schema_type *type;
    struct pair far, near; /* only value and from are looked at */
    struct node **out;
};

/* More than one job waits per level at most by the width of an object. */
enum { JOBS_MAX = YAML_DEPTH * 64 };

static void drop_others(const struct schema_type *t, struct node *result,
                        const struct schema_field *f) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < result->count; i++) {
        const struct schema_field *other = schema_field_of(t, result->pair[i].key->text);
        bool drop = other && schema_excludes(f, other);
        if (!drop)
            result->pair[kept++] = result->pair[i];
    }
    result->count = kept;
}

static struct pair *place_of(struct node *n, struct span key) {
    for (uint32_t i = 0; i < n->count; i++)
        if (span_eq(n->pair[i].key->text, key))
            return &n->pair[i];
    return NULL;
}

static void remove_pair(struct node *n, struct pair *p) {
    n->count--;
    memmove(p, p + 1, (size_t)(n->pair + n->count - p) * sizeof *p);
}

static const struct schema_type *child_type(const struct schema_type *t, struct span key) {
    if (t->kind == SCHEMA_MAP)
        return t->of;
    const struct schema_field *f = schema_field_of(t, key);
    return f ? schema_type_of(f) : NULL;
}

/* What the nearer map takes away: null, and other alternatives. Before anything points into the
 * result. */
static void take_away(const struct schema_type *t, struct node *result, const struct node *near) {
    for (uint32_t i = 0; i < near->count; i++) {
        struct span key = near->pair[i].key->text;
        struct pair *old = place_of(result, key);
        const struct schema_field *f = t->kind == SCHEMA_OBJECT ? schema_field_of(t, key) : NULL;
        if (node_null(near->pair[i].value) && old)
            remove_pair(result, old);
        else if (f && f->group)
            drop_others(t, result, f);
    }
}

static struct node *base_of(struct arena *a, const struct job *j, const struct node *far,
                            uint32_t room) {
    struct node *n = node_new_map(a, j->near.value, 0);
    n->pair = arena_zero(a, (far->count + room) * sizeof *n->pair + 1);
    for (uint32_t i = 0; i < far->count; i++) {
        n->pair[i] = far->pair[i];
        if (!n->pair[i].from)
            n->pair[i].from = j->far.from;
    }
    n->count = far->count;
    return n;
}

static bool mergeable(const struct schema_type *t) {
    return t && (t->kind == SCHEMA_OBJECT || t->kind == SCHEMA_MAP);
}

struct merger {
    struct arena *arena;
    struct diag_list *diags;
    struct job *job;
    unsigned jobs;
};

static void push(struct merger *m, struct job j) {
    if (m->jobs < JOBS_MAX)
        m->job[m->jobs++] = j;
    else
        *j.out = j.near.value;
}

static void run(struct merger *m, struct job j) {
    const struct schema_type *t = schema_choose(j.type, j.near.value);
    struct node *near = t ? schema_long(m->arena, m->diags, t, j.near.value) : j.near.value;
    struct node *far = mergeable(t) ? schema_long(m->arena, m->diags, t, j.far.value) : j.far.value;
    *j.out = near;
    if (!mergeable(t) || near->kind != NODE_MAP || far->kind != NODE_MAP ||
        schema_choose(j.type, j.far.value) != t)
        return;
    struct node *result = *j.out = base_of(m->arena, &j, far, near->count);
    take_away(t, result, near);
    for (uint32_t i = 0; i < near->count; i++) {
        struct pair p = near->pair[i];
        if (!p.from)
            p.from = j.near.from;
        if (node_null(p.value))
            continue;
        struct pair *old = place_of(result, p.key->text);
        if (!old) {
            result->pair[result->count++] = p;
            continue;
        }
        const struct schema_type *child = child_type(t, p.key->text);
        struct pair before = *old;
        *old = p;
        if (child)
            push(m, (struct job){child, before, p, &old->value});
    }
}

struct node *merge(struct arena *a, struct diag_list *d, const struct schema_type *t,
                   struct pair far, struct pair near) {
    struct arena work;
    arena_init(&work, NULL);
    struct merger m = {a, d, arena_alloc(&work, JOBS_MAX * sizeof(struct job)), 0};
    struct node *result = NULL;
    push(&m, (struct job){t, far, near, &result});
    while (m.jobs)
        run(&m, m.job[--m.jobs]);
    arena_finish(&work);
    return result;
}

/* --- a later -c --- */

static struct node *named_route(struct node *routes, struct span name, struct node ***at) {
    struct node *stack[YAML_DEPTH];
    uint32_t next[YAML_DEPTH] = {0};
    unsigned depth = 0;
    stack[depth++] = routes;
    while (depth) {
        struct node *list = stack[depth - 1];
        if (list->kind != NODE_LIST || next[depth - 1] == list->count) {
            depth--;
            continue;
        }
        struct node **item = &list->item[next[depth - 1]++];
        struct node *n = node_get(*item, "name"), *below = node_get(*item, "routes");
        if (n && n->kind == NODE_SCALAR && span_eq(n->text, name)) {
            *at = item;
            return *item;
        }
        if (below && depth < YAML_DEPTH) {
            next[depth] = 0;
            stack[depth++] = below;
        }
    }
    return NULL;
}

static void append(struct arena *a, struct node *list, struct node *n) {
    struct node **item = arena_alloc(a, (list->count + 1) * sizeof *item);
    if (list->count)
        memcpy(item, list->item, list->count * sizeof *item);
    item[list->count++] = n;
    list->item = item;
}

static void patch_routes(struct arena *a, struct diag_list *d, struct node *routes,
                         const struct node *patch) {
    for (uint32_t i = 0; i < patch->count; i++) {
        struct node *p = patch->item[i], *name = node_get(p, "name"), **at = NULL;
        struct node *old =
            name && name->kind == NODE_SCALAR ? named_route(routes, name->text, &at) : NULL;
        if (old)
            *at = merge(a, d, &schema_route_type, (struct pair){.value = old},
                        (struct pair){.value = p});
        else
            append(a, routes, p);
    }
}

static struct node *without(struct arena *a, const struct node *n, const char *key) {
    struct node *m = node_new_map(a, n, 0);
    m->pair = arena_zero(a, n->count * sizeof *m->pair + 1);
    for (uint32_t i = 0; i < n->count; i++)
        if (!span_eq(n->pair[i].key->text, span_z(key)))
            m->pair[m->count++] = n->pair[i];
    return m;
}

struct node *merge_patch(struct arena *a, struct diag_list *d, struct node *root,
                         struct node *patch) {
    struct node *routes = node_get(root, "routes"), *more = node_get(patch, "routes");
    bool by_name = routes && more && routes->kind == NODE_LIST && more->kind == NODE_LIST;
    if (by_name) {
        patch_routes(a, d, routes, more);
        patch = without(a, patch, "routes");
    }
    return merge(a, d, &schema_root_type, (struct pair){.value = root},
                 (struct pair){.value = patch});
}
