/* Instructions: numbers, texts, times. Overflow is an error, as the language says. */
#include "expr/machine.h"
#include <math.h>

enum { NANOS = 1000000000 };
#define DURATION_MAX INT64_C(315576000000)
#define TIMESTAMP_MIN INT64_C(-62135596800)
#define TIMESTAMP_MAX INT64_C(253402300799)

static bool overflow(struct machine *m) {
    return machine_fail(m, "overflow: the result does not fit into 64 bits");
}

static bool give(struct machine *m, struct value v) {
    *m->sp++ = v;
    return true;
}

static bool both(const struct value *x, const struct value *y, unsigned kind) {
    return x->kind == kind && y->kind == kind;
}

/* ---- times ------------------------------------------------------------------------------------
 */

static bool moment(struct machine *m, unsigned kind, int64_t s, int64_t nanos) {
    s += nanos / NANOS;
    nanos %= NANOS;
    if (nanos < 0 && (kind == VALUE_TIMESTAMP || s > 0)) {
        nanos += NANOS;
        s--;
    } else if (kind == VALUE_DURATION && s < 0 && nanos > 0) {
        nanos -= NANOS;
        s++;
    }
    bool fits = kind == VALUE_TIMESTAMP ? s >= TIMESTAMP_MIN && s <= TIMESTAMP_MAX
                                        : s >= -DURATION_MAX && s <= DURATION_MAX;
    if (!fits)
        return machine_fail(m, "the time leaves its range");
    return give(m, (struct value){.kind = (unsigned char)kind, .i = s, .nanos = (int32_t)nanos});
}

/* sign -1: x - y */
static bool times(struct machine *m, const struct value *x, const struct value *y, int sign) {
    bool t = x->kind == VALUE_TIMESTAMP, u = y->kind == VALUE_TIMESTAMP;
    unsigned kind = sign < 0 && t && u ? VALUE_DURATION : t || u ? VALUE_TIMESTAMP : VALUE_DURATION;
    if (!t && x->kind != VALUE_DURATION)
        return false;
    /* The difference of two points is counted in nanoseconds of 64 bits elsewhere. */
    int64_t apart = x->i + sign * y->i;
    if (t && u && (apart > INT64_MAX / NANOS || apart < -(INT64_MAX / NANOS)))
        return machine_fail(m, "the time leaves its range");
    return moment(m, kind, apart, (int64_t)x->nanos + sign * y->nanos);
}

static bool is_time(const struct value *v) {
    return v->kind == VALUE_TIMESTAMP || v->kind == VALUE_DURATION;
}

/* ---- texts and lists --------------------------------------------------------------------------
 */

static bool join_texts(struct machine *m, const struct value *x, const struct value *y) {
    size_t n = (size_t)x->n + y->n;
    char *p = machine_memory(m, n + 1);
    if (!p || !machine_spend(m, n / 16))
        return false;
    if (x->n)
        memcpy(p, x->p, x->n);
    if (y->n)
        memcpy(p + x->n, y->p, y->n);
    return give(m, value_text((enum value_kind)x->kind, span_of(p, n)));
}

static bool join_lists(struct machine *m, const struct value *x, const struct value *y) {
    size_t a = value_count(x), b = value_count(y);
    struct value *item = machine_memory(m, (a + b + 1) * sizeof *item);
    if (!item || !machine_spend(m, (a + b) / 4))
        return false;
    for (size_t i = 0; i < a; i++)
        item[i] = value_at(x, m->run->arena, (uint32_t)i);
    for (size_t i = 0; i < b; i++)
        item[a + i] = value_at(y, m->run->arena, (uint32_t)i);
    return give(m, (struct value){.kind = VALUE_LIST, .n = (uint32_t)(a + b), .item = item});
}

/* ---- operators --------------------------------------------------------------------------------
 */

/* Takes both sides off the stack. */
static void sides(struct machine *m, struct value *x, struct value *y) {
    m->sp -= 2;
    *x = value_settle(m->sp[0]);
    *y = value_settle(m->sp[1]);
}

bool op_add(struct machine *m, const struct instruction *i) {
    struct value x, y;
    int64_t s;
    uint64_t u;
    (void)i;
    sides(m, &x, &y);
    if (both(&x, &y, VALUE_INT))
        return __builtin_add_overflow(x.i, y.i, &s) ? overflow(m) : give(m, value_int(s));
    if (both(&x, &y, VALUE_UINT))
        return __builtin_add_overflow(x.u, y.u, &u) ? overflow(m) : give(m, value_uint(u));
    if (both(&x, &y, VALUE_DOUBLE))
        return give(m, value_double(x.d + y.d));
    if (both(&x, &y, VALUE_STRING) || both(&x, &y, VALUE_BYTES))
        return join_texts(m, &x, &y);
    if (both(&x, &y, VALUE_LIST))
        return join_lists(m, &x, &y);
    if (is_time(&x) && is_time(&y) && !both(&x, &y, VALUE_TIMESTAMP))
        return times(m, &x, &y, 1);
    return machine_no_operator(m, "+", &x, &y);
}

bool op_subtract(struct machine *m, const struct instruction *i) {
    struct value x, y;
    int64_t s;
    uint64_t u;
    (void)i;
    sides(m, &x, &y);
    if (both(&x, &y, VALUE_INT))
        return __builtin_sub_overflow(x.i, y.i, &s) ? overflow(m) : give(m, value_int(s));
    if (both(&x, &y, VALUE_UINT))
        return __builtin_sub_overflow(x.u, y.u, &u) ? overflow(m) : give(m, value_uint(u));
    if (both(&x, &y, VALUE_DOUBLE))
        return give(m, value_double(x.d - y.d));
    if (is_time(&x) && is_time(&y) && !(x.kind == VALUE_DURATION && y.kind == VALUE_TIMESTAMP))
        return times(m, &x, &y, -1);
    return machine_no_operator(m, "-", &x, &y);
}

bool op_multiply(struct machine *m, const struct instruction *i) {
    struct value x, y;
    int64_t s;
    uint64_t u;
    (void)i;
    sides(m, &x, &y);
    if (both(&x, &y, VALUE_INT))
        return __builtin_mul_overflow(x.i, y.i, &s) ? overflow(m) : give(m, value_int(s));
    if (both(&x, &y, VALUE_UINT))
        return __builtin_mul_overflow(x.u, y.u, &u) ? overflow(m) : give(m, value_uint(u));
    if (both(&x, &y, VALUE_DOUBLE))
        return give(m, value_double(x.d * y.d));
    return machine_no_operator(m, "*", &x, &y);
}

static bool whole_division(struct machine *m, const struct value *x, const struct value *y,
                           bool rest) {
    if (y->u == 0) /* of either kind */
        return machine_fail(m, rest ? "modulo by zero" : "division by zero");
    if (x->kind == VALUE_UINT)
        return give(m, value_uint(rest ? x->u % y->u : x->u / y->u));
    if (x->i == INT64_MIN && y->i == -1)
        return overflow(m);
    return give(m, value_int(rest ? x->i % y->i : x->i / y->i));
}

bool op_divide(struct machine *m, const struct instruction *i) {
    struct value x, y;
    (void)i;
    sides(m, &x, &y);
    if (both(&x, &y, VALUE_INT) || both(&x, &y, VALUE_UINT))
        return whole_division(m, &x, &y, false);
    if (both(&x, &y, VALUE_DOUBLE))
        return give(m, value_double(x.d / y.d));
    return machine_no_operator(m, "/", &x, &y);
}

bool op_modulo(struct machine *m, const struct instruction *i) {
    struct value x, y;
    (void)i;
    sides(m, &x, &y);
    if (both(&x, &y, VALUE_INT) || both(&x, &y, VALUE_UINT))
        return whole_division(m, &x, &y, true);
    return machine_no_operator(m, "%", &x, &y);
}

bool op_negate(struct machine *m, const struct instruction *i) {
    struct value v = value_settle(*--m->sp);
    (void)i;
    if (v.kind == VALUE_INT)
        return v.i == INT64_MIN ? overflow(m) : give(m, value_int(-v.i));
    if (v.kind == VALUE_DOUBLE)
        return give(m, value_double(-v.d));
    return machine_no_operator(m, "-", &v, NULL);
}

/* ---- equality and order -----------------------------------------------------------------------
 */

/* Long texts cost by their length. */
static bool spend_texts(struct machine *m, const struct value *x, const struct value *y) {
    uint32_t n = x->n < y->n ? x->n : y->n;
    return n < VALUE_TEXT_STEP || machine_spend(m, n / VALUE_TEXT_STEP);
}

static bool same(struct machine *m, const struct value *x, const struct value *y, bool wanted) {
    bool equal;
    if (both(x, y, VALUE_STRING)) {
        equal = x->n == y->n;
        if (equal && !spend_texts(m, x, y))
            return false;
        equal = equal && (x->n == 0 || memcmp(x->p, y->p, x->n) == 0);
    } else {
        equal = value_equal(x, y, m->run->arena, &m->run->steps);
        if (!m->run->steps)
            return machine_spend(m, 1);
    }
    return give(m, value_bool(equal == wanted));
}

bool op_equal(struct machine *m, const struct instruction *i) {
    (void)i;
    m->sp -= 2;
    return same(m, &m->sp[0], &m->sp[1], true);
}
bool op_differ(struct machine *m, const struct instruction *i) {
    (void)i;
    m->sp -= 2;
    return same(m, &m->sp[0], &m->sp[1], false);
}
bool op_equal_const(struct machine *m, const struct instruction *i) {
    m->sp--;
    return same(m, m->sp, i->p, true);
}
bool op_differ_const(struct machine *m, const struct instruction *i) {
    m->sp--;
    return same(m, m->sp, i->p, false);
}

/* NaN has no order: every comparison with it is false. */
static bool unordered(const struct value *v) {
    return v->kind == VALUE_DOUBLE && isnan(v->d);
}
static bool is_number(const struct value *v) {
    return v->kind == VALUE_INT || v->kind == VALUE_UINT || v->kind == VALUE_DOUBLE;
}

static bool order(struct machine *m, const char *op, int *out, bool *none) {
    struct value x, y;
    sides(m, &x, &y);
    *none = is_number(&x) && is_number(&y) && (unordered(&x) || unordered(&y));
    if (*none)
        return true;
    if ((both(&x, &y, VALUE_STRING) || both(&x, &y, VALUE_BYTES)) && !spend_texts(m, &x, &y))
        return false;
    return value_compare(&x, &y, out) || machine_no_operator(m, op, &x, &y);
}

bool op_less(struct machine *m, const struct instruction *i) {
    int o = 0;
    bool none;
    (void)i;
    return order(m, "<", &o, &none) && give(m, value_bool(!none && o < 0));
}
bool op_less_equal(struct machine *m, const struct instruction *i) {
    int o = 0;
    bool none;
    (void)i;
    return order(m, "<=", &o, &none) && give(m, value_bool(!none && o <= 0));
}
bool op_greater(struct machine *m, const struct instruction *i) {
    int o = 0;
    bool none;
    (void)i;
    return order(m, ">", &o, &none) && give(m, value_bool(!none && o > 0));
}
bool op_greater_equal(struct machine *m, const struct instruction *i) {
    int o = 0;
    bool none;
    (void)i;
    return order(m, ">=", &o, &none) && give(m, value_bool(!none && o >= 0));
}
