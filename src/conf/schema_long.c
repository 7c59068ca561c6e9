#include "conf/schema.h"
#include "conf/tables.h"

static bool fits(const struct schema_type *t, const struct node *n) {
    bool scalar = n->kind == NODE_SCALAR, list = n->kind == NODE_LIST;
    switch (t->kind) {
    case SCHEMA_BOOL:
        return node_true(n) || node_false(n);
    case SCHEMA_LIST:
        return list || (t->flags & TYPE_ONE_OR_MANY);
    case SCHEMA_MAP:
        return n->kind == NODE_MAP || (list && (t->flags & TYPE_NAMED_LIST));
    case SCHEMA_OBJECT:
        if (scalar && node_false(n) && (t->flags & TYPE_OR_OFF))
            return true;
        if (scalar && node_true(n) && (t->flags & TYPE_OR_ON))
            return true;
        return n->kind == NODE_MAP || (scalar && t->object->short_scalar) ||
               (list && t->object->short_list);
    case SCHEMA_ANY:
    case SCHEMA_ONE_OF:
        return true;
    case SCHEMA_INT:
    case SCHEMA_DURATION:
    case SCHEMA_SIZE:
    case SCHEMA_BYTERATE:
    case SCHEMA_RATE:
    case SCHEMA_PER_SECOND:
    case SCHEMA_PERCENT:
    case SCHEMA_TEXT:
    case SCHEMA_SECRET:
    case SCHEMA_TEMPLATE:
    case SCHEMA_CEL:
    case SCHEMA_REGEX:
    case SCHEMA_ENUM:
    case SCHEMA_REF:
    case SCHEMA_ADDRESS:
    case SCHEMA_CIDR:
    case SCHEMA_FILE:
        break;
    }
    return scalar;
}

const struct schema_type *schema_choose(const struct schema_type *t, const struct node *n) {
    /* Choices of choices are flat in the tables: two steps are enough. */
    for (int step = 0; step < 2 && t && t->kind == SCHEMA_ONE_OF; step++) {
        const struct schema_type *const *c = t->choice;
        while (*c && !fits(*c, n))
            c++;
        t = *c;
    }
    return t;
}

static const struct schema_field *find(const struct schema_object *o, struct span key) {
    for (unsigned i = 0; i < o->fields; i++)
        if (span_eq(span_z(o->field[i].key), key))
            return &o->field[i];
    return NULL;
}

const struct schema_field *schema_field_of(const struct schema_type *t, struct span key) {
    const struct schema_field *f = t->object ? find(t->object, key) : NULL;
    if (!f && (t->flags & TYPE_POLICY))
        f = find(&schema_policy_common, key);
    if (!f && (t->flags & TYPE_AUTH))
        f = find(&schema_kind_common, key);
    return f;
}

bool schema_excludes(const struct schema_field *f, const struct schema_field *g) {
    if (f == g || !f->group || !g->group)
        return false;
    const char *way = strchr(f->group, '/');
    if (strcmp(f->group, g->group) == 0)
        return !way;
    return way && strncmp(f->group, g->group, (size_t)(way - f->group) + 1) == 0;
}

static struct node *wrapped(struct arena *a, const char *key, struct node *n) {
    struct node *map = node_new_map(a, n, 1);
    map->pair[0] = (struct pair){node_new_scalar(a, n, key), n, NULL};
    return map;
}

static struct node *without_name(struct arena *a, const struct node *n) {
    struct node *map = node_new_map(a, n, 0);
    map->pair = arena_zero(a, n->count * sizeof *map->pair + 1);
    for (uint32_t i = 0; i < n->count; i++)
        if (!span_eq(n->pair[i].key->text, SPAN("name")))
            map->pair[map->count++] = n->pair[i];
    return map;
}

/* [{name: a, ..}, ..] becomes {a: {..}, ..} */
static struct node *by_name(struct arena *a, struct diag_list *d, struct node *list) {
    struct node *map = node_new_map(a, list, 0);
    map->pair = arena_zero(a, list->count * sizeof *map->pair + 1);
    for (uint32_t i = 0; i < list->count; i++) {
        struct node *item = list->item[i], *name = node_get(item, "name");
        if (!name || name->kind != NODE_SCALAR) {
            struct diag *e =
                diag_add(d, DIAG_E0114, item->at, "a list of named things: this one has no `name`");
            diag_help(d, e, "write {name: .., ..}, or a map by name");
            item->bad = true;
            continue;
        }
        for (uint32_t k = 0; k < map->count; k++)
            if (list->count <= 64 && span_eq(map->pair[k].key->text, name->text)) {
                struct diag *e = diag_add(d, DIAG_E0116, name->at, "\"%.*s\" is defined twice",
                                          SPAN_ARG(name->text));
                diag_note(d, e, map->pair[k].key->at, "it is defined first here");
            }
        map->pair[map->count++] = (struct pair){name, without_name(a, item), NULL};
    }
    return map;
}

struct node *schema_long(struct arena *a, struct diag_list *d, const struct schema_type *t,
                         struct node *n) {
    t = schema_choose(t, n);
    if (!t || node_null(n))
        return n;
    if (t->kind == SCHEMA_MAP && n->kind == NODE_LIST && (t->flags & TYPE_NAMED_LIST))
        return by_name(a, d, n);
    if (t->kind == SCHEMA_LIST && n->kind != NODE_LIST && (t->flags & TYPE_ONE_OR_MANY)) {
        struct node *list = node_new_map(a, n, 1);
        list->kind = NODE_LIST;
        list->item = arena_alloc(a, sizeof *list->item);
        list->item[0] = n;
        return list;
    }
    if (t->kind != SCHEMA_OBJECT || n->kind == NODE_MAP)
        return n;
    if (n->kind == NODE_SCALAR && node_false(n) && (t->flags & TYPE_OR_OFF))
        return n;
    if (n->kind == NODE_SCALAR && node_true(n) && (t->flags & TYPE_OR_ON))
        return node_new_map(a, n, 0);
    if (n->kind == NODE_LIST && t->object->short_list)
        return wrapped(a, t->object->short_list, n);
    if (n->kind == NODE_SCALAR && t->object->short_scalar)
        return wrapped(a, t->object->short_scalar, n);
    return n;
}
