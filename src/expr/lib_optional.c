/* Values that may be missing. */
#include "expr/lib.h"

static bool give_none(struct expr_call *c) {
    return lib_give(c, (struct value){.kind = VALUE_OPTIONAL});
}

static bool give_some(struct expr_call *c, const struct value *v) {
    struct value *kept = expr_memory(c, sizeof *kept);
    if (!kept)
        return false;
    *kept = *v;
    return lib_give(c, (struct value){.kind = VALUE_OPTIONAL, .of = kept});
}

static bool of(struct expr_call *c) {
    return give_some(c, &c->arg[0]);
}

static bool none(struct expr_call *c) {
    return give_none(c);
}

/* What a variable of that type is before anything was put there. */
static bool is_zero(const struct value *v) {
    switch ((enum value_kind)v->kind) {
    case VALUE_NULL:
        return true;
    case VALUE_BOOL:
        return !v->b;
    case VALUE_INT:
    case VALUE_UINT:
        return v->u == 0;
    case VALUE_DOUBLE:
        return !(v->d < 0 || v->d > 0) && v->d == v->d;
    case VALUE_STRING:
    case VALUE_BYTES:
        return v->n == 0;
    case VALUE_LIST:
    case VALUE_MAP:
        return value_count(v) == 0;
    case VALUE_DURATION:
    case VALUE_TIMESTAMP:
        return v->i == 0 && v->nanos == 0;
    case VALUE_OPTIONAL:
        return !v->of;
    case VALUE_TYPE:
    case VALUE_NUMBER:
    case VALUE_IP:
    case VALUE_CIDR:
    case VALUE_ERROR:
        break;
    }
    return false;
}

static bool of_non_zero(struct expr_call *c) {
    return is_zero(&c->arg[0]) ? give_none(c) : give_some(c, &c->arg[0]);
}

static bool has_value(struct expr_call *c) {
    return lib_bool(c, c->arg[0].of != NULL);
}

static bool value(struct expr_call *c) {
    if (!c->arg[0].of)
        return expr_fail(c, "optional.none() dereference");
    return lib_give(c, *c->arg[0].of);
}

static bool or_else(struct expr_call *c) {
    return lib_give(c, c->arg[0].of ? c->arg[0] : c->arg[1]);
}

static bool or_value(struct expr_call *c) {
    return lib_give(c, c->arg[0].of ? *c->arg[0].of : c->arg[1]);
}

static bool end_of(struct expr_call *c, bool last) {
    uint32_t n = value_count(&c->arg[0]);
    struct value v;
    if (n == 0)
        return give_none(c);
    return lib_item(c, &c->arg[0], last ? n - 1 : 0, &v) && give_some(c, &v);
}

static bool first(struct expr_call *c) {
    return end_of(c, false);
}

static bool last(struct expr_call *c) {
    return end_of(c, true);
}

/* The values of those that have one. */
static bool unwrap(struct expr_call *c) {
    struct lib_items out = {.c = c};
    uint32_t n = value_count(&c->arg[0]);
    for (uint32_t i = 0; i < n; i++) {
        struct value v;
        if (!lib_item(c, &c->arg[0], i, &v))
            return false;
        if (v.kind != VALUE_OPTIONAL)
            return lib_no_overload(c);
        if (v.of && !lib_add(&out, *v.of))
            return false;
    }
    return lib_list_of(c, out.item, out.n);
}

const struct expr_function lib_optional[] = {
    {.signature = "optional.of(A) -> optional<A>", .fn = of},
    {.signature = "optional.ofNonZeroValue(A) -> optional<A>", .fn = of_non_zero},
    {.signature = "optional.none() -> optional<A>", .fn = none},
    {.signature = "optional.unwrap(list<optional<A>>) -> list<A>", .fn = unwrap},
    {.signature = "list<optional<A>>.unwrapOpt() -> list<A>", .fn = unwrap},
    {.signature = "optional<A>.hasValue() -> bool", .fn = has_value},
    {.signature = "optional<A>.value() -> A", .fn = value},
    {.signature = "optional<A>.or(optional<A>) -> optional<A>", .fn = or_else},
    {.signature = "optional<A>.orValue(A) -> A", .fn = or_value},
    {.signature = "list<A>.first() -> optional<A>", .fn = first},
    {.signature = "list<A>.last() -> optional<A>", .fn = last},
    {0},
};
