/* Lists: made, cut, turned, put in order; and lists taken as sets. */
#include "expr/lib.h"

/* The elements as an array, numbers of JSON settled. NULL: the budget is spent. */
static struct value *items_of(struct expr_call *c, const struct value *list) {
    uint32_t n = value_count(list);
    struct value *item = expr_memory(c, (size_t)n * sizeof *item);
    for (uint32_t i = 0; item && i < n; i++)
        if (!lib_item(c, list, i, &item[i]))
            return NULL;
    return item;
}

/* Whether one of the first n equals v. */
static bool among(struct expr_call *c, const struct value *item, size_t n, const struct value *v,
                  bool *found) {
    *found = false;
    for (size_t i = 0; i < n && !*found; i++)
        if (!expr_spend(c, 1) || !lib_equal(c, &item[i], v, found))
            return false;
    return true;
}

static bool distinct(struct expr_call *c) {
    uint32_t n = value_count(&c->arg[0]);
    size_t kept = 0;
    struct value *item = items_of(c, &c->arg[0]);
    if (!item)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        bool found;
        if (!among(c, item, kept, &item[i], &found))
            return false;
        if (!found)
            item[kept++] = item[i];
    }
    return lib_list_of(c, item, kept);
}

enum { DEPTH_MAX = 64 };
struct level {
    struct value list;
    uint32_t at, n;
};

static bool flatten_to(struct expr_call *c, int64_t depth) {
    struct lib_items out = {.c = c};
    struct level stack[DEPTH_MAX];
    size_t open = 1;
    if (depth < 0)
        return expr_fail(c, "level must be non-negative");
    stack[0] = (struct level){c->arg[0], 0, value_count(&c->arg[0])};
    while (open > 0) {
        struct level *l = &stack[open - 1];
        struct value v;
        if (l->at == l->n) {
            open--;
            continue;
        }
        if (!lib_item(c, &l->list, l->at++, &v))
            return false;
        if (v.kind != VALUE_LIST || (int64_t)open > depth) {
            if (!lib_add(&out, v))
                return false;
        } else if (open == DEPTH_MAX) {
            return expr_fail(c, "lists lie too deep in each other");
        } else {
            stack[open++] = (struct level){v, 0, value_count(&v)};
        }
    }
    return lib_list_of(c, out.item, out.n);
}

static bool flatten(struct expr_call *c) {
    return flatten_to(c, 1);
}

static bool flatten_depth(struct expr_call *c) {
    return flatten_to(c, c->arg[1].i);
}

static bool range(struct expr_call *c) {
    int64_t n = c->arg[0].i > 0 ? c->arg[0].i : 0;
    if (n > UINT32_MAX) /* more than any budget, and than a list can hold */
        n = UINT32_MAX;
    struct value *item =
        expr_spend(c, (uint64_t)n) ? expr_memory(c, (size_t)n * sizeof *item) : NULL;
    for (int64_t i = 0; item && i < n; i++)
        item[i] = value_int(i);
    return item && lib_list_of(c, item, (size_t)n);
}

static bool reverse(struct expr_call *c) {
    size_t n = value_count(&c->arg[0]);
    struct value *item = items_of(c, &c->arg[0]);
    for (size_t i = 0; item && i < n / 2; i++) {
        struct value v = item[i];
        item[i] = item[n - 1 - i];
        item[n - 1 - i] = v;
    }
    return item && lib_list_of(c, item, n);
}

static bool slice(struct expr_call *c) {
    const struct value *list = &c->arg[0];
    int64_t from = c->arg[1].i, to = c->arg[2].i, n = value_count(list);
    if (from < 0 || to < from || to > n)
        return expr_failf(c, "cannot slice(%lld, %lld) a list of %lld", (long long)from,
                          (long long)to, (long long)n);
    const struct value *item = list->form == VALUE_PLAIN ? list->item : items_of(c, list);
    if (n == 0)
        return lib_list_of(c, NULL, 0);
    return item && lib_list_of(c, item + from, (size_t)(to - from));
}

static bool comparable(const struct value *v) {
    switch ((enum value_kind)v->kind) {
    case VALUE_BOOL:
    case VALUE_INT:
    case VALUE_UINT:
    case VALUE_DOUBLE:
    case VALUE_STRING:
    case VALUE_BYTES:
    case VALUE_DURATION:
    case VALUE_TIMESTAMP:
        return true;
    case VALUE_NULL:
    case VALUE_LIST:
    case VALUE_MAP:
    case VALUE_TYPE:
    case VALUE_OPTIONAL:
    case VALUE_NUMBER:
    case VALUE_IP:
    case VALUE_CIDR:
    case VALUE_ERROR:
        break;
    }
    return false;
}

static bool by_value(struct expr_call *c, const struct value *x, const struct value *y,
                     int *order) {
    if (x->kind != y->kind)
        return expr_fail(c, "list elements must have the same type");
    if ((x->kind == VALUE_STRING || x->kind == VALUE_BYTES) &&
        !lib_spend_bytes(c, x->n < y->n ? x->n : y->n))
        return false;
    return value_compare(x, y, order) || expr_fail(c, "list elements must be comparable");
}

/* Sorts by keys that stand beside the elements: list.sort() is its own keys. */
static bool sort_by(struct expr_call *c, const struct value *keys) {
    uint32_t n = value_count(&c->arg[0]);
    struct value_member *m = expr_memory(c, (size_t)n * sizeof *m);
    struct value *item = m ? items_of(c, &c->arg[0]) : NULL;
    if (!item)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        m[i].value = item[i];
        if (!lib_item(c, keys, i, &m[i].key))
            return false;
        if (!comparable(&m[i].key) || m[i].key.kind != m[0].key.kind)
            return expr_fail(c, "list elements must be comparable and of the same type");
    }
    if (!lib_sort(c, m, n, by_value))
        return false;
    for (uint32_t i = 0; i < n; i++)
        item[i] = m[i].value;
    return lib_list_of(c, item, n);
}

static bool sort(struct expr_call *c) {
    return sort_by(c, &c->arg[0]);
}

/* What the macro list.sortBy(x, key) becomes: list.@sortByAssociatedKeys(list.map(x, key)). */
static bool sort_by_keys(struct expr_call *c) {
    if (value_count(&c->arg[0]) != value_count(&c->arg[1]))
        return expr_fail(c, "there must be a key for every element");
    return sort_by(c, &c->arg[1]);
}

const struct expr_function lib_list[] = {
    {.signature = "list<A>.distinct() -> list<A>", .fn = distinct},
    {.signature = "list<A>.flatten() -> list<dyn>", .fn = flatten},
    {.signature = "list<A>.flatten(int) -> list<dyn>", .fn = flatten_depth},
    {.signature = "lists.range(int) -> list<int>", .fn = range},
    {.signature = "list<A>.reverse() -> list<A>", .fn = reverse},
    {.signature = "list<A>.slice(int, int) -> list<A>", .fn = slice},
    {.signature = "list<A>.sort() -> list<A>", .fn = sort},
    {.signature = "list<A>.@sortByAssociatedKeys(list<B>) -> list<A>", .fn = sort_by_keys},
    {0},
};

/* Whether every element of y is one of x. */
static bool covers(struct expr_call *c, const struct value *x, const struct value *y, bool *all) {
    uint32_t n = value_count(x), m = value_count(y);
    const struct value *item = items_of(c, x);
    *all = true;
    for (uint32_t i = 0; item && i < m && *all; i++) {
        struct value v;
        if (!lib_item(c, y, i, &v) || !among(c, item, n, &v, all))
            return false;
    }
    return item != NULL;
}

static bool set_contains(struct expr_call *c) {
    bool all;
    return covers(c, &c->arg[0], &c->arg[1], &all) && lib_bool(c, all);
}

static bool set_equivalent(struct expr_call *c) {
    bool all, back;
    return covers(c, &c->arg[0], &c->arg[1], &all) && covers(c, &c->arg[1], &c->arg[0], &back) &&
           lib_bool(c, all && back);
}

static bool set_intersects(struct expr_call *c) {
    uint32_t n = value_count(&c->arg[0]), m = value_count(&c->arg[1]);
    const struct value *item = items_of(c, &c->arg[0]);
    bool found = false;
    for (uint32_t i = 0; item && i < m && !found; i++) {
        struct value v;
        if (!lib_item(c, &c->arg[1], i, &v) || !among(c, item, n, &v, &found))
            return false;
    }
    return item && lib_bool(c, found);
}

const struct expr_function lib_sets[] = {
    {.signature = "sets.contains(list<A>, list<A>) -> bool", .fn = set_contains},
    {.signature = "sets.equivalent(list<A>, list<A>) -> bool", .fn = set_equivalent},
    {.signature = "sets.intersects(list<A>, list<A>) -> bool", .fn = set_intersects},
    {0},
};
