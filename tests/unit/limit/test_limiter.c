/* limit/limiter: what one gateway lets through and says of it, by a clock of the test's own. */
#include "limit_house.h"

/* ---- plays ---- */

#define never UINT64_MAX

struct line { /* times in ms */
    uint64_t at, cost, max_wait;
    uint64_t verdict, remaining, wait, reset;
};
struct play {
    const char *name;
    struct schema_rate rate;
    uint64_t burst;
    int algorithm;
    struct line line[16]; /* cost 0 at 0: the end */
};

static const struct play plays[] = {
    {"a bucket of three",
     {10, 1000},
     3,
     LIMIT_GCRA,
     {{0, 1, 0, A, 2, 0, 100},
      {0, 1, 0, A, 1, 0, 200},
      {0, 1, 0, A, 0, 0, 300},
      {0, 1, 0, R, 0, 100, 300},
      {99, 1, 0, R, 0, 1, 201},
      {100, 1, 0, A, 0, 0, 300},
      {250, 0, 0, A, 1, 0, 150},
      {250, 2, 0, R, 1, 50, 150},
      {250, 1, 0, A, 0, 0, 250},
      {1000, 4, 0, R, 3, never, 0},
      {1000, 3, 0, A, 0, 0, 300}}},
    {"all of the rate at once, unless burst says otherwise",
     {5, 60000},
     0,
     LIMIT_GCRA,
     {{0, 5, 0, A, 0, 0, 60000}, {1, 1, 0, R, 0, 11999, 59999}, {12000, 1, 0, A, 0, 0, 60000}}},
    {"waiting for a turn",
     {10, 1000},
     1,
     LIMIT_GCRA,
     {{0, 1, 250, A, 0, 0, 100},
      {0, 1, 250, D, 0, 100, 200},
      {0, 1, 250, D, 0, 200, 300},
      {0, 1, 250, R, 0, 300, 300},
      {50, 1, 250, D, 0, 250, 350},
      {50, 1, 0, R, 0, 350, 350},
      {350, 1, 0, R, 0, 50, 50},
      {400, 1, 0, A, 0, 0, 100}}},
    {"a sliding window",
     {10, 1000},
     0,
     LIMIT_SLIDING_WINDOW,
     {{0, 10, 0, A, 0, 0, 2000},
      {0, 1, 0, R, 0, 1100, 2000},
      {999, 1, 0, R, 0, 101, 1001},
      {1000, 1, 0, R, 0, 100, 1000},
      {1100, 1, 0, A, 0, 0, 1900},
      {1500, 5, 0, R, 4, 100, 1500},
      {1500, 4, 0, A, 0, 0, 1500},
      {2000, 11, 0, R, 5, never, 1000},
      {2000, 5, 0, A, 0, 0, 2000},
      {9000, 10, 0, A, 0, 0, 2000}}},
    {"a fixed window begins with the minute",
     {3, 60000},
     0,
     LIMIT_FIXED_WINDOW,
     {{59000, 2, 0, A, 1, 0, 1000},
      {59000, 2, 0, R, 1, 1000, 1000},
      {59000, 4, 0, R, 1, never, 1000},
      {59999, 1, 0, A, 0, 0, 1},
      {60000, 3, 0, A, 0, 0, 60000},
      {60000, 1, 0, R, 0, 60000, 60000},
      {180000, 0, 0, A, 3, 0, 0}}},
};

static void a_play(const struct play *p) {
    struct limit *l = limit_of(&(struct rate_limit_conf){
        .rate = &p->rate, .rates = 1, .burst = p->burst, .algorithm = p->algorithm, .keys = 64});
    pass(3600 * SECOND - clock_ns % (3600 * SECOND));
    uint64_t start = clock_ns;
    for (const struct line *i = p->line; i->at || i->cost; i++) {
        clock_ns = start;
        pass(i->at * MS);
        struct limit_ask a = ask_of(l, "somebody", i->cost);
        a.max_wait_ns = i->max_wait * MS;
        assert_true(limiter_ask(&a));
        const struct limit_answer *got = &a.answer;
        struct line is = {i->at,
                          i->cost,
                          i->max_wait,
                          got->verdict,
                          got->remaining,
                          got->wait_ns == never ? never : (got->wait_ns + MS - 1) / MS,
                          (got->reset_ns + MS - 1) / MS};
        if (memcmp(&is, i, sizeof is) != 0)
            fail_msg("%s, line %d: verdict %d, %llu left, wait %llu, reset %llu", p->name,
                     (int)(i - p->line), (int)is.verdict, (unsigned long long)is.remaining,
                     (unsigned long long)is.wait, (unsigned long long)is.reset);
        assert_int_equal(got->limit, p->burst ? p->burst : p->rate.count);
    }
    limit_free(l);
}

static void verdicts(void **state) {
    (void)state;
    for (unsigned i = 0; i < array_len(plays); i++)
        a_play(&plays[i]);
}

static void keys_are_apart(void **state) {
    (void)state;
    struct limit *l = gcra(1, 1000, 1);
    assert_int_equal(ask(l, "a", 1), A);
    assert_int_equal(ask(l, "b", 1), A);
    assert_int_equal(ask(l, "", 1), A);
    assert_int_equal(ask(l, "a", 1), R);
    assert_int_equal(ask(l, "b", 1), R);
    assert_int_equal(ask(l, "", 1), R);
    limit_free(l);
}

/* Nothing runs over: the largest rates, periods and costs that can be written. */
static void extremes(void **state) {
    (void)state;
    const struct {
        struct schema_rate rate;
        uint64_t burst;
        int algorithm;
        uint64_t cost, wait_ns; /* what may come at once, and then how long 1 more takes */
    } rows[] = {
        {{1, YEAR_MS}, 0, LIMIT_GCRA, 1, YEAR_MS * MS},
        {{1, YEAR_MS}, 0, LIMIT_FIXED_WINDOW, 1, 0},
        {{1000000000, 1000}, 0, LIMIT_GCRA, 1000000000, 1},
        {{1000000000, 1000}, 1, LIMIT_GCRA, 1, 1},
        {{1000000000, YEAR_MS}, 0, LIMIT_GCRA, 1000000000, 31536000},
        {{16777215, YEAR_MS}, 0, LIMIT_SLIDING_WINDOW, 16777215, 0},
        {{1000000000, DAY_MS}, 0, LIMIT_FIXED_WINDOW, 1000000000, 0},
        {{16777215, 1000}, 0, LIMIT_SLIDING_WINDOW, 16777215, 0},
    };
    for (unsigned i = 0; i < array_len(rows); i++) {
        struct limit *l = limit_of(&(struct rate_limit_conf){.rate = &rows[i].rate,
                                                             .rates = 1,
                                                             .burst = rows[i].burst,
                                                             .algorithm = rows[i].algorithm,
                                                             .keys = 64});
        struct limit_ask a = ask_of(l, "k", 1);
        assert_int_equal(ask(l, "k", rows[i].cost), A);
        assert_true(limiter_ask(&a));
        assert_int_equal(a.answer.verdict, R);
        if (rows[i].wait_ns)
            assert_int_equal(a.answer.wait_ns, rows[i].wait_ns);
        limiter_correct(&a, 1000000000);
        limiter_correct(&a, 1000000000);
        assert_int_equal(ask(l, "k", 1), R);
        assert_int_equal(ask(l, "k", 1000000000), R);
        limit_free(l);
    }
}

/* ---- several windows ---- */

static void all_windows_or_none(void **state) {
    (void)state;
    const struct schema_rate rates[] = {{10, 1000}, {12, 60000}};
    for (int algorithm = LIMIT_GCRA; algorithm <= LIMIT_FIXED_WINDOW; algorithm++) {
        struct limit *l = limit_of(&(struct rate_limit_conf){
            .rate = rates, .rates = 2, .algorithm = algorithm, .keys = 64});
        struct limit_ask a = ask_of(l, "k", 1);
        for (unsigned i = 0; i < 10; i++)
            assert_int_equal(ask(l, "k", 1), A);
        for (unsigned i = 0; i < 5; i++) { /* refused by the first: the second is not charged */
            assert_true(limiter_ask(&a));
            assert_int_equal(a.answer.verdict, R);
            assert_int_equal(a.answer.window, 0);
            assert_int_equal(a.answer.limit, 10);
        }
        pass(3 * SECOND);
        assert_true(limiter_ask(&a));
        assert_int_equal(a.answer.verdict, A);
        assert_int_equal(a.answer.window, 1); /* has least left */
        assert_int_equal(a.answer.limit, 12);
        assert_int_equal(a.answer.remaining, 1);
        assert_int_equal(ask(l, "k", 1), A);
        for (unsigned i = 0; i < 5; i++) {
            assert_true(limiter_ask(&a));
            assert_int_equal(a.answer.verdict, R);
            assert_int_equal(a.answer.window, 1);
        }
        limiter_reset(SPAN_NONE, SPAN("k"));
        assert_int_equal(ask(l, "k", 10), A);
        limit_free(l);
        pass(120 * SECOND);
    }
}

static void the_longest_wait_is_told(void **state) {
    (void)state;
    const struct schema_rate rates[] = {{1, 1000}, {1, 60000}};
    struct limit *l = limit_of(&(struct rate_limit_conf){.rate = rates, .rates = 2, .keys = 64});
    struct limit_ask a = ask_of(l, "k", 1);
    assert_int_equal(ask(l, "k", 1), A);
    assert_true(limiter_ask(&a));
    assert_int_equal(a.answer.window, 1);
    assert_int_equal(a.answer.wait_ns, 60 * SECOND);
    limit_free(l);
}

/* ---- giving back ---- */

static void a_refund_gives_back(void **state) {
    (void)state;
    const struct schema_rate rates[] = {{3, 60000}, {5, 3600000}};
    for (int algorithm = LIMIT_GCRA; algorithm <= LIMIT_FIXED_WINDOW; algorithm++) {
        struct limit *l = limit_of(&(struct rate_limit_conf){
            .rate = rates, .rates = 2, .algorithm = algorithm, .keys = 64});
        for (unsigned i = 0; i < 20; i++) {
            struct limit_ask a = ask_of(l, "k", 3);
            assert_true(limiter_ask(&a));
            assert_int_equal(a.answer.verdict, A);
            limiter_refund(&a);
        }
        assert_int_equal(ask(l, "k", 3), A);
        assert_int_equal(ask(l, "k", 1), R);
        limit_free(l);
    }
}

static void a_delayed_turn_is_given_back(void **state) {
    (void)state;
    struct limit *l = gcra(10, 1000, 1);
    struct limit_ask a = ask_of(l, "k", 1), b = a, c = a;
    b.max_wait_ns = c.max_wait_ns = SECOND;
    assert_true(limiter_ask(&a));
    assert_true(limiter_ask(&b));
    assert_int_equal(b.answer.wait_ns, 100 * MS);
    limiter_refund(&b);
    assert_true(limiter_ask(&c));
    assert_int_equal(c.answer.verdict, D);
    assert_int_equal(c.answer.wait_ns, 100 * MS);
    limit_free(l);
}

/* What time has paid for is no more to be given back. */
static void a_late_refund_gives_nothing(void **state) {
    (void)state;
    for (int algorithm = LIMIT_GCRA; algorithm <= LIMIT_FIXED_WINDOW; algorithm++) {
        const struct schema_rate rate = {2, 1000};
        struct limit *l = limit_of(&(struct rate_limit_conf){
            .rate = &rate, .rates = 1, .algorithm = algorithm, .keys = 64});
        struct limit_ask late = ask_of(l, "k", 2);
        assert_true(limiter_ask(&late));
        assert_int_equal(late.answer.verdict, A);
        pass(5 * SECOND);
        assert_int_equal(ask(l, "k", 2), A);
        limiter_refund(&late);
        assert_int_equal(ask(l, "k", 1), R);
        limit_free(l);
        pass(5 * SECOND);
    }
}

static void a_refund_after_the_edge(void **state) {
    (void)state;
    const struct schema_rate rate = {10, 1000};
    struct limit *l = limit_of(&(struct rate_limit_conf){
        .rate = &rate, .rates = 1, .algorithm = LIMIT_SLIDING_WINDOW, .keys = 64});
    struct limit_ask a = ask_of(l, "k", 6);
    assert_true(limiter_ask(&a));
    pass(1500 * MS); /* half of the 6 still count */
    assert_int_equal(ask(l, "k", 7), A);
    assert_int_equal(ask(l, "k", 1), R);
    limiter_refund(&a);
    assert_int_equal(ask(l, "k", 4), R);
    assert_int_equal(ask(l, "k", 3), A);
    limit_free(l);
}

/* Of a key that has lost its place: others do not pay for it. */
static void a_refund_of_the_forgotten(void **state) {
    (void)state;
    struct limit *l = gcra(10, 60000, 10);
    struct limit_ask a = ask_of(l, "k", 10);
    assert_true(limiter_ask(&a));
    assert_int_equal(limiter_reset(SPAN("test"), SPAN("k")), 1);
    assert_int_equal(ask(l, "k", 5), A);
    limiter_reset(SPAN("test"), SPAN("k"));
    limiter_refund(&a);
    struct limit_ask look = ask_of(l, "k", 0);
    assert_true(limiter_ask(&look));
    assert_int_equal(look.answer.remaining, 10);
    limit_free(l);
}

static uint64_t left(struct limit *l, const char *key) {
    struct limit_ask look = ask_of(l, key, 0);
    assert_true(limiter_ask(&look));
    return look.answer.remaining;
}

static void a_refund_of_the_evicted(void **state) {
    (void)state;
    static const char *const keys[] = {"b", "c", "d", "e"};
    const struct schema_rate rate = {10, 60000};
    struct limit *l = limit_of(&(struct rate_limit_conf){.rate = &rate, .rates = 1, .keys = 4});
    struct limit_ask a = ask_of(l, "a", 2);
    assert_true(limiter_ask(&a));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(ask(l, keys[i], 3), A);
    assert_int_equal(ask(l, "e", 1), A); /* in the place of a, with what a has used */
    limiter_refund(&a);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(left(l, keys[i]), 7);
    limit_free(l);
}

static void corrections(void **state) {
    (void)state;
    const struct schema_rate rate = {10, 10000};
    for (int algorithm = LIMIT_GCRA; algorithm <= LIMIT_FIXED_WINDOW; algorithm++) {
        struct limit *l = limit_of(&(struct rate_limit_conf){
            .rate = &rate, .rates = 1, .algorithm = algorithm, .keys = 64});
        struct limit_ask a = ask_of(l, "k", 4), look = ask_of(l, "k", 0);
        assert_true(limiter_ask(&a));
        limiter_correct(&a, -3);
        assert_true(limiter_ask(&look));
        assert_int_equal(look.answer.remaining, 9);
        limiter_correct(&a, 5);
        assert_true(limiter_ask(&look));
        assert_int_equal(look.answer.remaining, 4);
        limiter_correct(&a, 10); /* more than there was: owed */
        assert_int_equal(ask(l, "k", 1), R);
        pass(5 * SECOND);
        assert_int_equal(ask(l, "k", 1), R);
        limit_free(l);
        pass(60 * SECOND);
    }
}

/* ---- what lasts ---- */

static void a_reload_forgets_nothing(void **state) {
    (void)state;
    struct limit *old = gcra(10, 60000, 10), *new;
    assert_int_equal(ask(old, "k", 9), A);
    struct schema_rate rate = {20, 60000};
    new = limit_of(&(struct rate_limit_conf){
        .rate = &rate, .rates = 1, .burst = 10, .name = SPAN("test"), .keys = 5000});
    limiter_walk(see, NULL);
    assert_int_equal(seen.keys, 8192);
    assert_int_equal(seen.memory, (1024 + 8192) * 16);
    assert_int_equal(ask(old, "k", 2), R); /* what moved counts for both */
    limit_free(old);
    struct limit_ask look = ask_of(new, "k", 0);
    assert_true(limiter_ask(&look));
    assert_int_equal(look.answer.remaining, 0); /* 9 of the old rate are 18 of this one */
    limit_free(new);
    seen = (struct limiter_state){.keys = 0};
    limiter_walk(see, NULL);
    assert_int_equal(seen.keys, 0);
}

static void a_constant_key_needs_one_bucket(void **state) {
    (void)state;
    struct template key = {.source = SPAN("all"), .constant = true};
    const struct schema_rate rate = {10, 1000};
    struct limit *l = limit_of(&(struct rate_limit_conf){.rate = &rate, .rates = 1, .key = &key});
    limiter_walk(see, NULL);
    assert_int_equal(seen.memory, 64);
    assert_int_equal(ask(l, "all", 10), A);
    assert_int_equal(ask(l, "all", 1), R);
    limit_free(l);
}

static void parts_of_a_limit(void **state) {
    (void)state;
    struct limit *l = gcra(9, 1000, 9);
    struct limit_ask a = ask_of(l, "k", 1);
    unsigned let = 0;
    a.hash = hash_span(a.key);           /* as limiter_ask does */
    for (unsigned i = 0; i < 300; i++) { /* 3 s */
        pass(10 * MS);
        limiter_judge(&a, 3);
        let += a.answer.verdict == A;
        assert_int_equal(a.answer.limit, 3);
    }
    assert_in_range(let, 11, 12); /* a burst of 3, and 3 a second */
    limiter_reset(SPAN("test"), SPAN("k"));
    for (unsigned i = 0; i < 20; i++) {
        limiter_judge(&a, 9);
        assert_int_equal(a.answer.verdict, A);
        limiter_give_back(&a, 9);
    }
    limit_free(l);
}

static void forgetting(void **state) {
    (void)state;
    const struct schema_rate rates[] = {{1, 60000}, {1, 3600000}};
    struct limit *l = limit_of(
        &(struct rate_limit_conf){.rate = rates, .rates = 2, .name = SPAN("mine"), .keys = 64});
    struct limit *other = gcra(1, 60000, 1);
    assert_int_equal(ask(l, "k", 1), A);
    assert_int_equal(ask(other, "k", 1), A);
    assert_int_equal(limiter_reset(SPAN("mine"), SPAN("nobody")), 0);
    assert_int_equal(limiter_reset(SPAN("min"), SPAN("k")), 0);
    assert_int_equal(limiter_reset(SPAN("mine"), SPAN("k")), 2);
    assert_int_equal(ask(l, "k", 1), A);
    assert_int_equal(ask(other, "k", 1), R);
    assert_int_equal(limiter_reset(SPAN_NONE, SPAN("k")), 3);
    assert_int_equal(ask(other, "k", 1), A);
    limit_free(other);
    limit_free(l);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(verdicts),
        T(keys_are_apart),
        T(extremes),
        T(all_windows_or_none),
        T(the_longest_wait_is_told),
        T(a_refund_gives_back),
        T(a_delayed_turn_is_given_back),
        T(a_late_refund_gives_nothing),
        T(a_refund_after_the_edge),
        T(a_refund_of_the_forgotten),
        T(a_refund_of_the_evicted),
        T(corrections),
        T(a_reload_forgets_nothing),
        T(a_constant_key_needs_one_bucket),
        T(parts_of_a_limit),
        T(forgetting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
