/* math.*: numbers compared, rounded, taken apart; bits. */
#include "expr/lib.h"
#include <math.h>

static bool is_number(const struct value *v) {
    return v->kind == VALUE_INT || v->kind == VALUE_UINT || v->kind == VALUE_DOUBLE;
}

/* *best becomes v where v lies further in the direction (1: greater, -1: less). */
static bool better(struct expr_call *c, struct value *best, const struct value *v, int direction) {
    int order;
    if (!is_number(v))
        return lib_no_overload(c);
    if (best->kind == VALUE_NULL) {
        *best = *v;
        return true;
    }
    if (!value_compare(v, best, &order))
        return expr_fail(c, "NaN values cannot be ordered");
    if (order * direction > 0)
        *best = *v;
    return true;
}

/* Of all arguments, or of the elements of the only one. */
static bool furthest(struct expr_call *c, int direction) {
    struct value best = VALUE_NOTHING, v;
    bool listed = c->args == 1 && c->arg[0].kind == VALUE_LIST;
    uint32_t n = listed ? value_count(&c->arg[0]) : c->args;
    for (uint32_t i = 0; i < n; i++) {
        if (listed && !lib_item(c, &c->arg[0], i, &v))
            return false;
        if (!better(c, &best, listed ? &v : &c->arg[i], direction))
            return false;
    }
    if (best.kind == VALUE_NULL)
        return expr_fail(c, "the list must not be empty");
    return lib_give(c, best);
}

static bool greatest(struct expr_call *c) {
    return furthest(c, 1);
}

static bool least(struct expr_call *c) {
    return furthest(c, -1);
}

static bool give_double(struct expr_call *c, double d) {
    return lib_give(c, value_double(d));
}

static bool math_ceil(struct expr_call *c) {
    return give_double(c, ceil(c->arg[0].d));
}

static bool math_floor(struct expr_call *c) {
    return give_double(c, floor(c->arg[0].d));
}

static bool math_round(struct expr_call *c) {
    return give_double(c, round(c->arg[0].d)); /* ties away from zero */
}

static bool math_trunc(struct expr_call *c) {
    return give_double(c, trunc(c->arg[0].d));
}

static bool abs_double(struct expr_call *c) {
    return give_double(c, fabs(c->arg[0].d));
}

static bool abs_int(struct expr_call *c) {
    int64_t i = c->arg[0].i;
    if (i == INT64_MIN)
        return expr_fail(c, "integer overflow");
    return lib_int(c, i < 0 ? -i : i);
}

static bool same(struct expr_call *c) {
    return lib_give(c, c->arg[0]);
}

static bool sign_double(struct expr_call *c) {
    double d = c->arg[0].d;
    return give_double(c, isnan(d) ? d : (double)((d > 0) - (d < 0)));
}

static bool sign_int(struct expr_call *c) {
    int64_t i = c->arg[0].i;
    return lib_int(c, (i > 0) - (i < 0));
}

static bool sign_uint(struct expr_call *c) {
    return lib_give(c, value_uint(c->arg[0].u > 0));
}

static bool is_nan(struct expr_call *c) {
    return lib_bool(c, isnan(c->arg[0].d));
}

static bool is_inf(struct expr_call *c) {
    return lib_bool(c, isinf(c->arg[0].d));
}

static bool is_finite(struct expr_call *c) {
    return lib_bool(c, isfinite(c->arg[0].d));
}

static bool sqrt_double(struct expr_call *c) {
    return give_double(c, sqrt(c->arg[0].d)); /* of what is below zero: NaN */
}

static bool sqrt_int(struct expr_call *c) {
    return give_double(c, sqrt((double)c->arg[0].i));
}

static bool sqrt_uint(struct expr_call *c) {
    return give_double(c, sqrt((double)c->arg[0].u));
}

/* The bits of int and uint are the same; the result is of the first argument's kind. */
static bool give_bits(struct expr_call *c, uint64_t u) {
    struct value v = c->arg[0];
    v.u = u;
    return lib_give(c, v);
}

static bool bit_and(struct expr_call *c) {
    return give_bits(c, c->arg[0].u & c->arg[1].u);
}

static bool bit_or(struct expr_call *c) {
    return give_bits(c, c->arg[0].u | c->arg[1].u);
}

static bool bit_xor(struct expr_call *c) {
    return give_bits(c, c->arg[0].u ^ c->arg[1].u);
}

static bool bit_not(struct expr_call *c) {
    return give_bits(c, ~c->arg[0].u);
}

static bool shift(struct expr_call *c, bool left) {
    int64_t by = c->arg[1].i;
    uint64_t u = c->arg[0].u;
    if (by < 0)
        return expr_failf(c, "negative offset: %lld", (long long)by);
    return give_bits(c, by > 63 ? 0 : left ? u << by : u >> by);
}

static bool shift_left(struct expr_call *c) {
    return shift(c, true);
}

static bool shift_right(struct expr_call *c) {
    return shift(c, false);
}

const struct expr_function lib_math[] = {
    {.signature = "math.greatest(dyn...) -> dyn", .fn = greatest},
    {.signature = "math.least(dyn...) -> dyn", .fn = least},
    {.signature = "math.ceil(double) -> double", .fn = math_ceil},
    {.signature = "math.floor(double) -> double", .fn = math_floor},
    {.signature = "math.round(double) -> double", .fn = math_round},
    {.signature = "math.trunc(double) -> double", .fn = math_trunc},
    {.signature = "math.abs(double) -> double", .fn = abs_double},
    {.signature = "math.abs(int) -> int", .fn = abs_int},
    {.signature = "math.abs(uint) -> uint", .fn = same},
    {.signature = "math.sign(double) -> double", .fn = sign_double},
    {.signature = "math.sign(int) -> int", .fn = sign_int},
    {.signature = "math.sign(uint) -> uint", .fn = sign_uint},
    {.signature = "math.isNaN(double) -> bool", .fn = is_nan},
    {.signature = "math.isInf(double) -> bool", .fn = is_inf},
    {.signature = "math.isFinite(double) -> bool", .fn = is_finite},
    {.signature = "math.sqrt(double) -> double", .fn = sqrt_double},
    {.signature = "math.sqrt(int) -> double", .fn = sqrt_int},
    {.signature = "math.sqrt(uint) -> double", .fn = sqrt_uint},
    {.signature = "math.bitAnd(int, int) -> int", .fn = bit_and},
    {.signature = "math.bitAnd(uint, uint) -> uint", .fn = bit_and},
    {.signature = "math.bitOr(int, int) -> int", .fn = bit_or},
    {.signature = "math.bitOr(uint, uint) -> uint", .fn = bit_or},
    {.signature = "math.bitXor(int, int) -> int", .fn = bit_xor},
    {.signature = "math.bitXor(uint, uint) -> uint", .fn = bit_xor},
    {.signature = "math.bitNot(int) -> int", .fn = bit_not},
    {.signature = "math.bitNot(uint) -> uint", .fn = bit_not},
    {.signature = "math.bitShiftLeft(int, int) -> int", .fn = shift_left},
    {.signature = "math.bitShiftLeft(uint, int) -> uint", .fn = shift_left},
    {.signature = "math.bitShiftRight(int, int) -> int", .fn = shift_right},
    {.signature = "math.bitShiftRight(uint, int) -> uint", .fn = shift_right},
    {0},
};
