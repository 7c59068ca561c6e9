#include "expr/program.h"

#define TYPE(name_, kind_) const struct expr_type expr_##name_ = {.kind = EXPR_##kind_}
TYPE(dyn, DYN);
TYPE(bool, BOOL);
TYPE(int, INT);
TYPE(uint, UINT);
TYPE(double, DOUBLE);
TYPE(string, STRING);
TYPE(bytes, BYTES);
TYPE(timestamp, TIMESTAMP);
TYPE(duration, DURATION);
TYPE(ip, IP);
TYPE(list_dyn, LIST);
TYPE(map_dyn, MAP);
const struct expr_type expr_list_string = {.kind = EXPR_LIST, .of = &expr_string};

static const struct {
    const char *name;
    uint32_t kinds;
} kinds[] = {
    [EXPR_DYN] = {"dyn", ~0u},
    [EXPR_NULL] = {"null_type", 1u << VALUE_NULL},
    [EXPR_BOOL] = {"bool", 1u << VALUE_BOOL},
    [EXPR_INT] = {"int", 1u << VALUE_INT},
    [EXPR_UINT] = {"uint", 1u << VALUE_UINT},
    [EXPR_DOUBLE] = {"double", 1u << VALUE_DOUBLE},
    [EXPR_STRING] = {"string", 1u << VALUE_STRING},
    [EXPR_BYTES] = {"bytes", 1u << VALUE_BYTES},
    [EXPR_LIST] = {"list", 1u << VALUE_LIST},
    [EXPR_MAP] = {"map", 1u << VALUE_MAP},
    [EXPR_TYPE] = {"type", 1u << VALUE_TYPE},
    [EXPR_DURATION] = {"google.protobuf.Duration", 1u << VALUE_DURATION},
    [EXPR_TIMESTAMP] = {"google.protobuf.Timestamp", 1u << VALUE_TIMESTAMP},
    [EXPR_OPTIONAL] = {"optional_type", 1u << VALUE_OPTIONAL},
    [EXPR_IP] = {"net.IP", 1u << VALUE_IP},
    [EXPR_CIDR] = {"net.CIDR", 1u << VALUE_CIDR},
    [EXPR_OBJECT] = {"object", 0},
};

uint32_t type_kinds(const struct expr_type *t) {
    return kinds[t->kind].kinds;
}

const char *type_named(struct span name) {
    for (size_t i = EXPR_NULL; i < EXPR_OBJECT; i++)
        if (span_eq(name, span_z(kinds[i].name)))
            return kinds[i].name;
    return NULL;
}

/* Outermost parts suffice for people. */
const char *type_shown(struct arena *a, const struct expr_type *t) {
    const char *name = t->kind == EXPR_TIMESTAMP  ? "timestamp"
                       : t->kind == EXPR_DURATION ? "duration"
                                                  : kinds[t->kind].name;
    if ((t->kind == EXPR_LIST || t->kind == EXPR_OPTIONAL) && t->of)
        return arena_fmt(a, "%s<%s>", name, kinds[t->of->kind].name);
    if (t->kind == EXPR_MAP && t->of)
        return arena_fmt(a, "map<%s, %s>", kinds[t->key ? t->key->kind : EXPR_DYN].name,
                         kinds[t->of->kind].name);
    return name;
}

bool type_fits(const struct expr_type *have, const struct expr_type *want) {
    while (have && want) {
        if (have->kind == EXPR_DYN || want->kind == EXPR_DYN)
            return true;
        if (have->kind != want->kind)
            return false;
        have = have->of;
        want = want->of;
    }
    return true;
}

static const struct expr_type *of_kind(struct arena *a, enum expr_type_kind kind,
                                       const struct expr_type *of) {
    struct expr_type *t = arena_zero(a, sizeof *t);
    t->kind = kind;
    t->of = of;
    return t;
}

const struct expr_type *type_list(struct arena *a, const struct expr_type *of) {
    return of->kind == EXPR_DYN      ? &expr_list_dyn
           : of->kind == EXPR_STRING ? &expr_list_string
                                     : of_kind(a, EXPR_LIST, of);
}

const struct expr_type *type_optional(struct arena *a, const struct expr_type *of) {
    return of_kind(a, EXPR_OPTIONAL, of);
}
