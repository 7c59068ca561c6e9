#include "core/targets.h"
#include "desk.h"

enum { KEYS = 100000, TARGETS = 4 };

static struct service_conf service[TARGETS] = {
    {.name = {"alpha", 5}}, {.name = {"beta", 4}}, {.name = {"gamma", 5}}, {.name = {"delta", 5}}};
static struct target target[TARGETS];

static struct forward_conf weights(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    const uint32_t w[TARGETS] = {a, b, c, d};
    struct forward_conf conf = {.target = target, .target_count = TARGETS};
    for (int i = 0; i < TARGETS; i++) {
        target[i] = (struct target){.service = &service[i], .weight = w[i]};
        conf.weight_sum += w[i];
    }
    return conf;
}

static void keys_to(const struct forward_conf *c, unsigned char *to, uint32_t count[TARGETS]) {
    char text[32];
    memset(count, 0, TARGETS * sizeof *count);
    for (int i = 0; i < KEYS; i++) {
        struct str s = str_on(text, sizeof text);
        str_fmt(&s, "user-%d", i);
        to[i] = (unsigned char)(targets_by_key(c, str_span(&s)) - target);
        count[to[i]]++;
    }
}

static unsigned char before[KEYS], after[KEYS];

/* Shares are the weights; a changed weight moves keys only to or from its target, a fair share of
 * them. */
static void test_by_key(void **state) {
    (void)state;
    uint32_t n[TARGETS], m[TARGETS], moved = 0;
    struct forward_conf c = weights(50, 30, 15, 5);
    keys_to(&c, before, n);
    assert_in_range(n[0], 49000, 51000);
    assert_in_range(n[1], 29000, 31000);
    assert_in_range(n[2], 14300, 15700);
    assert_in_range(n[3], 4600, 5400);
    c = weights(50, 30, 15, 25);
    keys_to(&c, after, m);
    for (int i = 0; i < KEYS; i++) {
        if (before[i] == after[i])
            continue;
        assert_int_equal(after[i], 3);
        moved++;
    }
    /* 25/120 - 5/100 of all */
    assert_in_range(moved, 15200, 16500);
}

static void test_edges_of_weights(void **state) {
    (void)state;
    uint32_t n[TARGETS];
    struct forward_conf c = weights(0, 1, 0, 0);
    keys_to(&c, before, n);
    assert_int_equal(n[1], KEYS);
    c = weights(0, 0, 0, 1000000);
    keys_to(&c, before, n);
    assert_int_equal(n[3], KEYS);
    /* The order in the file does not matter, the name does. */
    struct target *t = target;
    *t = (struct target){.service = &service[1], .weight = 7};
    t[1] = (struct target){.service = &service[0], .weight = 7};
    c.target_count = 2;
    const struct target *first = targets_by_key(&c, SPAN("k"));
    const char *name = first->service->name.p;
    t[0].service = &service[0];
    t[1].service = &service[1];
    assert_ptr_equal(targets_by_key(&c, SPAN("k"))->service->name.p, name);
}

/* By turn: exact shares, and a small weight never twice in a row. */
static void test_by_turn(void **state) {
    (void)state;
    desk_open();
    struct exchange *x = desk_exchange("GET", "a.test", "/", NULL);
    struct forward_conf c = weights(95, 0, 0, 5);
    uint32_t n[TARGETS] = {0}, last = 0;
    for (uint32_t i = 1; i <= 10000; i++) {
        desk.thread.request_seq = i;
        size_t at = (size_t)(targets_choose(x, &c) - target);
        assert_true(at == 0 || at == 3);
        n[at]++;
        if (at == 3) {
            assert_true(last == 0 || i - last > 10);
            last = i;
        }
    }
    assert_in_range(n[3], 495, 505);
    c.target_count = 1;
    assert_ptr_equal(targets_choose(x, &c), &target[0]);
    desk_drop(x);
    desk_close();
}

static void test_sticky(void **state) {
    (void)state;
    desk_open();
    struct forward_conf c = weights(1, 1, 1, 1);
    c.sticky = desk_template("${header[\"x-user\"]}", PLACE_TEXT, SCOPE_REQUEST, NULL);
    const struct target *first = NULL;
    unsigned others = 0;
    for (int i = 0; i < 50; i++) {
        struct exchange *x = desk_exchange("GET", "a.test", "/", "x-user", "ann", NULL);
        struct exchange *y = desk_exchange("GET", "a.test", "/", NULL);
        desk.thread.request_seq++;
        first = first ? first : targets_choose(x, &c);
        assert_ptr_equal(targets_choose(x, &c), first);
        others += targets_choose(y, &c) != first; /* without a key by turn */
        desk_drop(x);
        desk_drop(y);
    }
    assert_in_range(others, 30, 45);
    desk_close();
}

/* The first whose `when` is true, else those without by weight; what fails is false. */
static void test_when(void **state) {
    static const struct {
        const char *target, *want;
    } row[] = {{"/?x=1", "alpha"},
               {"/?x=2", "delta"},
               {"/?x=1&y=1", "alpha"},
               {"/", "gamma"},
               {"/?y=1", "beta"}};
    struct facts_names names;
    struct expr_error e;
    (void)state;
    desk_open();
    struct forward_conf c = weights(0, 0, 1, 0);
    struct arena *a = &desk.snapshot->arena;
    facts_names(&names, SCOPE_REQUEST, NULL);
    target[0].when = expr_compile(a, SPAN("query.x == \"1\""), &names.scope, &e);
    target[1].when = expr_compile(a, SPAN("query.y == \"1\""), &names.scope, &e);
    target[3].when = expr_compile(a, SPAN("1 / int(query.x) == 0"), &names.scope, &e);
    assert_true(target[0].when && target[1].when && target[3].when);
    c.conditional = true;
    for (size_t i = 0; i < array_len(row); i++) {
        struct exchange *x = desk_exchange("GET", "a.test", row[i].target, NULL);
        uint64_t failures = desk.thread.counters.expression_errors;
        struct span got = targets_choose(x, &c)->service->name;
        if (!span_eq(got, span_z(row[i].want)))
            fail_msg("%s: want %s, got %.*s", row[i].target, row[i].want, SPAN_ARG(got));
        assert_int_equal(desk.thread.counters.expression_errors - failures,
                         strcmp(row[i].target, "/") == 0);
        desk_drop(x);
    }
    desk_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_key), cmocka_unit_test(test_edges_of_weights),
        cmocka_unit_test(test_by_turn), cmocka_unit_test(test_sticky), cmocka_unit_test(test_when)};
    return cmocka_run_group_tests_name("targets", tests, NULL, NULL);
}
