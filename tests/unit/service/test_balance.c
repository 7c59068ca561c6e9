#include "house.h"
#include <stdio.h>
#include <string.h>

static uint64_t fixed_random;

static void not_random(void *p, size_t n) {
    memset(p, 0, n);
    memcpy(p, &fixed_random, n < sizeof fixed_random ? n : sizeof fixed_random);
}

static const char *name_of(uint32_t i, char out[32]) {
    snprintf(out, 32, "10.0.%u.%u:80", i / 250, i % 250 + 1);
    return out;
}

static struct services *with_weights(const uint32_t *weight, uint32_t count, enum balance how) {
    struct services *s = services_new();
    struct service_conf *c = services_add_service(s, "a");
    char text[32];
    for (uint32_t i = 0; i < count; i++)
        services_add(s, c, name_of(i, text), weight ? weight[i] : 1);
    c->balance = how;
    service_attach(&s->snapshot);
    return s;
}

static struct endpoint *pick(const struct services *s, const struct balance_avoid *avoid) {
    enum fault why = FAULT_NONE;
    struct endpoint *e = balance_pick(thread_me(), &s->conf[0], avoid, &why);
    if (e)
        endpoint_unref(e); /* the set holds it */
    else
        assert_int_not_equal(why, FAULT_NONE);
    return e;
}

static uint32_t place_of(const struct services *s, const struct endpoint *e) {
    const struct endpoint_set *set = service_local(thread_me(), &s->conf[0])->set;
    uint32_t i = 0;
    while (set->entry[i].endpoint != e)
        i++;
    assert_true(i < set->count);
    return i;
}

static void round_robin_keeps_weights(void **state) {
    static const struct {
        uint32_t count, weight[4], round, longest_run;
    } cases[] = {
        {1, {1}, 1, 1000}, {3, {1, 1, 1}, 3, 1}, {2, {2, 1}, 3, 2},       {3, {5, 1, 1}, 7, 3},
        {2, {3, 2}, 5, 2}, {2, {10, 10}, 2, 1},  {2, {100, 1}, 101, 100}, {4, {4, 3, 2, 1}, 10, 2},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct services *s = with_weights(cases[i].weight, cases[i].count, BALANCE_ROUND_ROBIN);
        uint32_t got[4] = {0}, run = 0, longest = 0, sum = 0;
        struct endpoint *last = NULL;
        for (uint32_t k = 0; k < cases[i].round * 7; k++) {
            struct endpoint *e = pick(s, NULL);
            got[place_of(s, e)]++;
            run = e == last ? run + 1 : 1;
            longest = run > longest ? run : longest;
            last = e;
        }
        for (uint32_t k = 0; k < cases[i].count; k++)
            sum += cases[i].weight[k];
        for (uint32_t k = 0; k < cases[i].count; k++)
            assert_int_equal((uint64_t)got[k] * sum,
                             (uint64_t)cases[i].weight[k] * cases[i].round * 7);
        assert_true(longest <= cases[i].longest_run);
        services_free(s);
    }
}

static void weights_are_bounded(void **state) {
    static const uint32_t weight[] = {1000000, 1, 500000};
    uint32_t got[3] = {0};
    (void)state;
    struct services *s = with_weights(weight, 3, BALANCE_ROUND_ROBIN);
    uint32_t round = service_local(thread_me(), &s->conf[0])->set->turn_count;
    assert_in_range(round, 4000, 4200);
    for (uint32_t i = 0; i < round; i++)
        got[place_of(s, pick(s, NULL))]++;
    assert_int_equal(got[1], 1); /* little, but not never */
    assert_in_range(got[0] * 100 / got[2], 198, 202);
    services_free(s);
}

static void threads_begin_elsewhere(void **state) {
    (void)state;
    struct services *s = with_weights(NULL, 10, BALANCE_ROUND_ROBIN);
    uint32_t first[3];
    for (uint32_t i = 0; i < 3; i++) {
        fixed_random = i + 4;
        struct thread *t = house_thread(i + 5, false);
        enum fault why;
        struct endpoint *e = balance_pick(t, &s->conf[0], NULL, &why);
        first[i] = place_of(s, e);
        endpoint_unref(e);
        house_thread_end(t);
    }
    assert_int_equal(first[0], 4);
    assert_int_equal(first[1], 5);
    assert_int_equal(first[2], 6);
    services_free(s);
}

static void tried_ones_are_skipped(void **state) {
    (void)state;
    for (int how = BALANCE_ROUND_ROBIN; how <= BALANCE_LEAST_REQUESTS; how++) {
        struct services *s = with_weights(NULL, 4, (enum balance)how);
        struct balance_avoid avoid = {0};
        for (int i = 0; i < 4; i++) {
            struct endpoint *e = pick(s, &avoid);
            assert_non_null(e);
            for (unsigned k = 0; k < avoid.count; k++)
                assert_ptr_not_equal(avoid.tried[k], e);
            avoid.tried[avoid.count++] = e;
        }
        enum fault why = FAULT_NONE;
        assert_null(balance_pick(thread_me(), &s->conf[0], &avoid, &why));
        assert_int_equal(why, FAULT_NO_ENDPOINT);
        services_free(s);
    }
}

static void none_says_why(void **state) {
    (void)state;
    struct services *s = services_new();
    services_add_service(s, "empty");
    services_add(s, services_add_service(s, "unknown"), "nowhere.test:80", 1);
    service_attach(&s->snapshot);
    enum fault why = FAULT_NONE;
    assert_null(balance_pick(thread_me(), &s->conf[0], NULL, &why));
    assert_int_equal(why, FAULT_NO_ENDPOINT);
    assert_null(balance_pick(thread_me(), &s->conf[1], NULL, &why));
    assert_int_equal(why, FAULT_DNS_FAILED);
    services_free(s);
}

/* Requests that stay: each pick begins one. */
static void fill(struct services *s, uint32_t n, uint32_t *got) {
    for (uint32_t i = 0; i < n; i++) {
        struct endpoint *e = pick(s, NULL);
        endpoint_begin(e);
        got[place_of(s, e)]++;
    }
}

static void finish_all(struct services *s, const uint32_t *got, uint32_t count) {
    const struct endpoint_set *set = service_local(thread_me(), &s->conf[0])->set;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < got[i]; k++)
            endpoint_end(set->entry[i].endpoint);
}

static void least_requests_levels_out(void **state) {
    static const struct {
        uint32_t count, weight[4], busy, requests, want[4];
    } cases[] = {
        {2, {1, 1}, 0, 10, {5, 5}},          {2, {1, 1}, 6, 6, {6, 6}},
        {2, {2, 1}, 0, 30, {20, 10}},        {3, {1, 1, 1}, 4, 8, {4, 4, 4}},
        {3, {1, 2, 3}, 0, 60, {10, 20, 30}},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct services *s = with_weights(cases[i].weight, cases[i].count, BALANCE_LEAST_REQUESTS);
        uint32_t got[4] = {cases[i].busy};
        struct endpoint *first = service_local(thread_me(), &s->conf[0])->set->entry[0].endpoint;
        for (uint32_t k = 0; k < cases[i].busy; k++)
            endpoint_begin(first);
        fill(s, cases[i].requests, got);
        for (uint32_t k = 0; k < cases[i].count; k++)
            assert_int_equal(got[k], cases[i].want[k]);
        finish_all(s, got, cases[i].count);
        services_free(s);
    }
}

/* Idle endpoints: every request finds all equal, so they go round by weight. */
static void ties_go_round(void **state) {
    static const uint32_t weight[] = {3, 1};
    uint32_t got[2] = {0};
    (void)state;
    struct services *s = with_weights(weight, 2, BALANCE_LEAST_REQUESTS);
    for (int i = 0; i < 40; i++)
        got[place_of(s, pick(s, NULL))]++;
    assert_int_equal(got[0], 30);
    assert_int_equal(got[1], 10);
    services_free(s);
}

static void large_sets_take_the_better_of_two(void **state) {
    (void)state;
    struct services *s = with_weights(NULL, 1000, BALANCE_LEAST_REQUESTS);
    const struct endpoint_set *set = service_local(thread_me(), &s->conf[0])->set;
    uint32_t busy[1000] = {0}, hit = 0;
    for (uint32_t i = 0; i < 500; i++)
        endpoint_begin(set->entry[i].endpoint), busy[i] = 1;
    for (int i = 0; i < 4000; i++)
        hit += place_of(s, pick(s, NULL)) < 500;
    /* One in two of the round is busy, and then one in two of those drawn: a quarter. */
    assert_in_range(hit, 800, 1200);
    finish_all(s, busy, 1000);
    services_free(s);
}

static void the_same_address_twice_is_one(void **state) {
    uint32_t got[2] = {0};
    (void)state;
    struct services *s = services_new();
    struct service_conf *c = services_add_service(s, "a");
    services_add(s, c, "10.0.0.1:80", 1);
    services_add(s, c, "10.0.0.2:80", 1);
    services_add(s, c, "10.0.0.1:80", 2);
    service_attach(&s->snapshot);
    assert_int_equal(count_endpoints(c), 2);
    for (int i = 0; i < 40; i++)
        got[place_of(s, pick(s, NULL))]++;
    assert_int_equal(got[0], 30);
    services_free(s);
}

static int set_up(void **state) {
    env.random = not_random;
    *state = house_thread(0, false);
    return 0;
}

static int tear_down(void **state) {
    house_thread_end(*state);
    env.random = env_os.random;
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_robin_keeps_weights),
        cmocka_unit_test(weights_are_bounded),
        cmocka_unit_test(threads_begin_elsewhere),
        cmocka_unit_test(tried_ones_are_skipped),
        cmocka_unit_test(none_says_why),
        cmocka_unit_test(least_requests_levels_out),
        cmocka_unit_test(ties_go_round),
        cmocka_unit_test(large_sets_take_the_better_of_two),
        cmocka_unit_test(the_same_address_twice_is_one),
    };
    return cmocka_run_group_tests_name("balance", tests, set_up, tear_down);
}
