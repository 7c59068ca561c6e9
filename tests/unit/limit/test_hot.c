/* limit/hot: the keys that ask most. */
#include "limit_house.h"

/* ---- the hottest ---- */

static struct hot_key hottest;
static unsigned hot_keys;
static uint64_t hot_all;
static void heat(void *ctx, struct span id, const struct hot_key *k) {
    (void)ctx;
    assert_true(span_eq(id, SPAN("test")));
    hot_keys++;
    hot_all += k->asks;
    if (k->asks > hottest.asks)
        hottest = *k;
}
static void look_for_hottest(void) {
    hottest = (struct hot_key){.asks = 0};
    hot_all = hot_keys = 0;
    limiter_hot(SPAN("test"), heat, NULL);
}

static void note(struct limit *l, const char *key) {
    struct limit_ask a = ask_of(l, key, 1);
    assert_true(limiter_ask(&a));
    limiter_note(&a, false);
}

static void the_hottest_key(void **state) {
    (void)state;
    struct limit *l = gcra(1000000, 1000, 0);
    seed = 3;
    for (unsigned i = 0; i < 100000; i++) { /* a third of all, among thousands */
        char key[16];
        snprintf(key, sizeof key, "k%u", (unsigned)random_below(5000));
        note(l, i % 3 ? key : "the hottest");
    }
    look_for_hottest();
    assert_int_equal(hot_keys, HOT_KEYS);
    assert_true(span_eq(span_of(hottest.text, hottest.text_len), SPAN("the hottest")));
    assert_true(hottest.hash == hash_span(SPAN("the hottest")));
    assert_in_range(hottest.asks, 33333 * 9 / 10, 33333 * 12 / 10);
    assert_in_range(hot_all, 90000, 110000);
    pass(60 * SECOND);
    uint64_t before = hottest.asks;
    look_for_hottest();
    assert_int_equal(hottest.asks, before / 2);
    note(l, "x"), pass(3600 * SECOND);
    look_for_hottest();
    assert_int_equal(hot_keys, 0);
    limit_free(l);
}

/* Sixteen clients by turns: a regular sample would see but one of them. */
static void clients_by_turns(void **state) {
    (void)state;
    struct limit *l = gcra(1000000, 1000, 0);
    for (unsigned i = 0; i < 32000; i++) {
        char key[16];
        snprintf(key, sizeof key, "client %u", i % HOT_SAMPLE);
        note(l, key);
    }
    look_for_hottest();
    assert_int_equal(hot_keys, HOT_SAMPLE);
    assert_in_range(hottest.asks, 2000, 3000);
    limit_free(l);
}

static void refusals_are_all_seen(void **state) {
    (void)state;
    struct limit *l = gcra(1, 3600000, 1);
    for (unsigned i = 0; i < 1001; i++)
        note(l, "greedy");
    look_for_hottest();
    assert_int_equal(hot_keys, 1);
    assert_int_equal(hottest.refused, 1000);
    limit_free(l);
}

static atomic_bool over;
static void *look_all_the_time(void *arg) {
    (void)arg;
    struct hot_key copy[HOT_KEYS];
    struct hot *h = arg;
    while (!atomic_load(&over)) {
        unsigned n = hot_read(h, 0, copy);
        for (unsigned i = 0; i < n; i++) /* all of one piece */
            assert_true(copy[i].text_len == 1 && copy[i].hash == (uint64_t)copy[i].text[0]);
    }
    return NULL;
}

static void copies_are_not_torn(void **state) {
    (void)state;
    struct hot *h = calloc(1, sizeof *h);
    pthread_t t;
    assert_non_null(h);
    atomic_store(&over, false);
    assert_int_equal(pthread_create(&t, NULL, look_all_the_time, h), 0);
    for (unsigned i = 0; i < 300000; i++) {
        char c = (char)(1 + i % 100);
        hot_note(h, span_of(&c, 1), (uint64_t)c, true, 0);
    }
    atomic_store(&over, true);
    pthread_join(t, NULL);
    free(h);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(the_hottest_key),
        T(clients_by_turns),
        T(refusals_are_all_seen),
        T(copies_are_not_torn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
