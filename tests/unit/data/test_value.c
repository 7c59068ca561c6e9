/*
 * Values: numbers as JSON wrote them, equality and order across kinds, deep walks within bounds,
 * copies that own everything.
 */
#include "base/env.h"
#include "data/value.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct value number(const char *z) {
    return value_text(VALUE_NUMBER, span_z(z));
}
static struct value text(const char *z) {
    return value_string(span_z(z));
}

static const struct {
    const char *as;
    int64_t i; /* kind INT */
    double d;  /* else */
} settled[] = {
    {"0", 0, NAN},
    {"-0", 0, NAN},
    {"42", 42, NAN},
    {"9223372036854775807", INT64_MAX, NAN},
    {"-9223372036854775808", INT64_MIN, NAN},
    {"9223372036854775808", 0, 9223372036854775808.0},
    {"-9223372036854775809", 0, -9223372036854775808.0},
    {"1.5", 0, 1.5},
    {"1e2", 0, 100},
    {"-1.25e-2", 0, -0.0125},
    {"0.1", 0, 0.1},
    {"1e999", 0, INFINITY},
    {"1e-999", 0, 0.0},
};

/* Whole numbers without point and exponent are ints ("1e2" was written as no int). */
static void test_settle(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(settled); i++) {
        struct value v = value_settle(number(settled[i].as));
        bool whole = isnan(settled[i].d);
        if (v.kind != (whole ? VALUE_INT : VALUE_DOUBLE) ||
            (whole ? v.i != settled[i].i : v.d != settled[i].d))
            fail_msg("%s: kind %d", settled[i].as, v.kind);
    }
    struct value s = value_settle(text("1"));
    assert_int_equal(s.kind, VALUE_STRING);
}

static struct value of_kind(enum value_kind kind) {
    static const unsigned char ip[16] = {1};
    struct value v = {.kind = (unsigned char)kind};
    if (kind == VALUE_NUMBER)
        v = number("1.5");
    if (kind == VALUE_IP || kind == VALUE_CIDR) {
        v.ip = ip;
        v.n = 4;
    }
    return v;
}

static void test_type_names(void **state) {
    (void)state;
    static const char *const want[] = {
        [VALUE_NULL] = "null_type",
        [VALUE_BOOL] = "bool",
        [VALUE_INT] = "int",
        [VALUE_UINT] = "uint",
        [VALUE_DOUBLE] = "double",
        [VALUE_STRING] = "string",
        [VALUE_BYTES] = "bytes",
        [VALUE_LIST] = "list",
        [VALUE_MAP] = "map",
        [VALUE_TYPE] = "type",
        [VALUE_DURATION] = "google.protobuf.Duration",
        [VALUE_TIMESTAMP] = "google.protobuf.Timestamp",
        [VALUE_OPTIONAL] = "optional_type",
        [VALUE_NUMBER] = "double",
        [VALUE_IP] = "net.IP",
        [VALUE_CIDR] = "net.CIDR",
    };
    for (unsigned k = 0; k < array_len(want); k++) {
        struct value v = of_kind(k);
        assert_true(span_eq(value_type_name(&v), span_z(want[k])));
    }
    struct value whole = number("12");
    assert_true(span_eq(value_type_name(&whole), SPAN("int")));
}

/* Every pair of this ladder stands in this order. */
static void test_order(void **state) {
    (void)state;
    const struct value ladder[] = {
        value_double(-INFINITY),
        value_double(-1e19),
        value_int(INT64_MIN),
        value_double(-1.5),
        value_int(-1),
        value_double(-0.5),
        value_int(0),
        value_double(0.5),
        value_uint(1),
        number("1.25"),
        value_double(1.5),
        value_int(2),
        value_double(9007199254740992.0),
        value_int(9007199254741993),
        value_int(INT64_MAX),
        value_uint((UINT64_C(1) << 63) + 1),
        value_double(1e19),
        value_uint(UINT64_MAX),
        value_double(1e20),
        value_double(INFINITY),
    };
    for (size_t i = 0; i < array_len(ladder); i++)
        for (size_t k = 0; k < array_len(ladder); k++) {
            int order = 9;
            uint64_t steps = 10;
            assert_true(value_compare(&ladder[i], &ladder[k], &order));
            int want = (i > k) - (i < k);
            if ((order > 0) - (order < 0) != want)
                fail_msg("%zu and %zu: %d", i, k, order);
            assert_int_equal(value_equal(&ladder[i], &ladder[k], NULL, &steps), i == k);
        }
}

static void test_no_order(void **state) {
    (void)state;
    const struct value nan = value_double(NAN), one = value_int(1), s = text("1"),
                       yes = value_bool(true), list = {.kind = VALUE_LIST}, nothing = VALUE_NOTHING,
                       bytes = value_text(VALUE_BYTES, SPAN("1"));
    const struct value *const all[] = {&nan, &one, &s, &yes, &list, &nothing, &bytes};
    for (size_t i = 0; i < array_len(all); i++)
        for (size_t k = 0; k < array_len(all); k++) {
            int order;
            uint64_t steps = 10;
            if (i == k && i != 0 && i != 4 && i != 5)
                continue;
            if (value_compare(all[i], all[k], &order))
                fail_msg("%zu and %zu have an order", i, k);
            assert_int_equal(value_equal(all[i], all[k], NULL, &steps), i == k && i != 0);
        }
    struct value shorter = text("ab"), longer = text("abc");
    int order;
    assert_true(value_compare(&shorter, &longer, &order) && order < 0);
    struct value high = text("\xc3\xa9"), low = text("z");
    assert_true(value_compare(&high, &low, &order) && order > 0);
}

static void test_moments(void **state) {
    (void)state;
    struct value x = {.kind = VALUE_TIMESTAMP, .nanos = 5, .i = 1};
    struct value y = {.kind = VALUE_TIMESTAMP, .nanos = 6, .i = 1};
    struct value d = {.kind = VALUE_DURATION, .nanos = -6, .i = 0};
    struct value e = {.kind = VALUE_DURATION, .nanos = 1, .i = 0};
    int order;
    assert_true(value_compare(&x, &y, &order) && order < 0);
    assert_true(value_compare(&d, &e, &order) && order < 0);
    assert_false(value_compare(&x, &d, &order));
}

static void test_deep_equality(void **state) {
    (void)state;
    struct value_member m1[] = {{text("a"), value_int(1)}, {value_int(2), number("3.0")}};
    struct value_member m2[] = {{value_uint(2), value_double(3)}, {text("a"), value_uint(1)}};
    struct value x = {.kind = VALUE_MAP, .n = 2, .member = m1};
    struct value y = {.kind = VALUE_MAP, .n = 2, .member = m2};
    struct value lx = {.kind = VALUE_LIST, .n = 1, .item = &x};
    struct value ly = {.kind = VALUE_LIST, .n = 1, .item = &y};
    struct value some = {.kind = VALUE_OPTIONAL, .of = &lx};
    struct value other = {.kind = VALUE_OPTIONAL, .of = &ly};
    struct value none = {.kind = VALUE_OPTIONAL};
    uint64_t steps = 100;
    assert_true(value_equal(&some, &other, NULL, &steps));
    assert_true(steps > 0 && steps < 100);
    assert_false(value_equal(&some, &none, NULL, &steps));
    assert_true(value_equal(&none, &none, NULL, &steps));
    m2[1].value = value_uint(2);
    assert_false(value_equal(&lx, &ly, NULL, &steps));
    assert_true(steps > 0);
    ly.n = 0;
    assert_false(value_equal(&lx, &ly, NULL, &steps));
    steps = 2;
    assert_false(value_equal(&lx, &lx, NULL, &steps)); /* too much, not unequal */
    assert_int_equal(steps, 0);
}

/* Deeper than anything that builds values may go: an end, never a crash. */
static void test_bottomless(void **state) {
    (void)state;
    enum { DEEP = 100000 };
    struct value *v = calloc(DEEP, sizeof *v);
    for (size_t i = 0; i + 1 < DEEP; i++)
        v[i] = (struct value){.kind = VALUE_LIST, .n = 1, .item = &v[i + 1]};
    uint64_t steps = 1 << 20;
    bool same = value_equal(&v[0], &v[0], NULL, &steps);
    assert_true(same || steps == 0);
    struct arena a;
    struct value out;
    arena_init(&a, NULL);
    bool copied = value_copy(&v[0], &a, 64 << 20, &out);
    (void)copied;
    arena_finish(&a);
    for (size_t i = 0; i + 1 < DEEP; i++)
        v[i] = (struct value){.kind = VALUE_OPTIONAL, .of = &v[i + 1]};
    steps = 50;
    assert_false(value_equal(&v[0], &v[0], NULL, &steps)); /* each one is a step */
    assert_int_equal(steps, 0);
    free(v);
}

static void test_look_up(void **state) {
    (void)state;
    struct value_member m[] = {{text("a"), value_int(1)},
                               {value_int(2), text("two")},
                               {value_bool(true), text("yes")},
                               {value_uint(UINT64_MAX), text("max")}};
    struct value map = {.kind = VALUE_MAP, .n = 4, .member = m}, out;
    const struct value keys[] = {text("a"), value_double(2), value_bool(true),
                                 value_uint(UINT64_MAX)};
    for (size_t i = 0; i < array_len(keys); i++) {
        out = VALUE_NOTHING;
        assert_true(value_get(&map, NULL, &keys[i], &out));
        assert_int_equal(out.kind, m[i].value.kind);
    }
    const struct value strangers[] = {text("b"),
                                      value_double(2.5),
                                      value_bool(false),
                                      value_int(-1),
                                      VALUE_NOTHING,
                                      value_double(NAN),
                                      value_text(VALUE_BYTES, SPAN("a"))};
    for (size_t i = 0; i < array_len(strangers); i++)
        assert_false(value_get(&map, NULL, &strangers[i], &out));
    assert_ptr_equal(value_find(&map, SPAN("a")), &m[0].value);
    assert_null(value_find(&map, SPAN("2")));
    struct value list = {.kind = VALUE_LIST};
    assert_null(value_find(&list, SPAN("a")));
    assert_int_equal(value_count(&map), 4);
}

static uint32_t host_count(const struct value_host *h) {
    (void)h;
    return 3;
}
static void host_at(const struct value_host *h, struct arena *a, uint32_t i, struct value *key,
                    struct value *out) {
    (void)h;
    *key = value_string(span_z(arena_fmt(a, "k%u", i)));
    *out = value_int(i);
}
static bool host_get(const struct value_host *h, struct arena *a, const struct value *key,
                     struct value *out) {
    (void)h;
    (void)a;
    *out = value_int(key->p[1] - '0');
    return key->n == 2 && key->p[0] == 'k' && key->p[1] < '3';
}

/* Somebody's own map equals a plain one, and becomes one when it is copied. */
static void test_host(void **state) {
    (void)state;
    static const struct value_host_ops ops = {host_count, host_at, host_get, false};
    static const struct value_host host = {&ops, NULL};
    struct value_member m[] = {
        {text("k2"), value_int(2)}, {text("k0"), value_int(0)}, {text("k1"), value_int(1)}};
    struct value theirs = {.kind = VALUE_MAP, .form = VALUE_HOST, .host = &host};
    struct value plain = {.kind = VALUE_MAP, .n = 3, .member = m}, out;
    struct arena a;
    uint64_t steps = 100;
    arena_init(&a, NULL);
    assert_true(value_equal(&theirs, &plain, &a, &steps));
    assert_true(value_equal(&plain, &theirs, &a, &steps));
    assert_true(value_copy(&theirs, &a, 4096, &out));
    assert_int_equal(out.form, VALUE_PLAIN);
    assert_true(value_equal(&out, &plain, &a, &steps));
    arena_finish(&a);
}

/* The copy stands when everything that it was made of is gone. */
static void test_copy(void **state) {
    (void)state;
    char *bytes = malloc(4);
    memcpy(bytes, "abcd", 4);
    struct value *item = calloc(3, sizeof *item);
    struct value_member *member = calloc(1, sizeof *member);
    item[0] = value_string(span_of(bytes, 4));
    item[1] = value_text(VALUE_NUMBER, SPAN("1.0000000000000000001"));
    item[2] = (struct value){.kind = VALUE_LIST};
    member->key = value_string(span_of(bytes, 2));
    member->value = (struct value){.kind = VALUE_LIST, .n = 3, .item = item};
    struct value map = {.kind = VALUE_MAP, .n = 1, .member = member}, out;
    struct arena a;
    arena_init(&a, NULL);
    for (size_t max = 0; max < 100; max += 4) {
        bool fine = value_copy(&map, &a, max, &out);
        if (fine && max < 32 + 2 + 48 + 4)
            fail_msg("%zu bytes cannot hold it", max);
    }
    assert_true(value_copy(&map, &a, 4096, &out));
    free(bytes);
    free(item);
    free(member);
    const struct value *list = value_find(&out, SPAN("ab"));
    assert_non_null(list);
    assert_int_equal(list->n, 3);
    assert_true(span_eq(value_span(&list->item[0]), SPAN("abcd")));
    assert_true(span_eq(value_span(&list->item[1]), SPAN("1.0000000000000000001")));
    assert_int_equal(list->item[2].n, 0);
    arena_finish(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settle),     cmocka_unit_test(test_type_names),
        cmocka_unit_test(test_order),      cmocka_unit_test(test_no_order),
        cmocka_unit_test(test_moments),    cmocka_unit_test(test_deep_equality),
        cmocka_unit_test(test_bottomless), cmocka_unit_test(test_look_up),
        cmocka_unit_test(test_host),       cmocka_unit_test(test_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
