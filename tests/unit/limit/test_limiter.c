/* limit/limiter: how much one gateway lets through, by a clock of the test's own. */
#include "limit/limiter_in.h"
#include "base/env.h"
#include "base/hash.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <pthread.h>

enum { THREADS = 64 };
#define MS 1000000ull
#define SECOND (1000 * MS)
enum { MINUTE_MS = 60000, DAY_MS = 86400000 };
#define YEAR_MS (365ull * DAY_MS)

/* ---- the house: threads by turns, and a clock ---- */

static struct thread *house[THREADS];
static uint64_t clock_ns;
static int64_t wall_ahead;

static uint64_t now_ns(void) {
    return clock_ns;
}
static int64_t wall_ns(void) {
    return (int64_t)clock_ns + wall_ahead;
}

static void become(unsigned i, uint64_t at) {
    me = &house[i]->loop;
    me->now = at;
    house[i]->date_until = 0;
}

static void pass(uint64_t ns) {
    clock_ns += ns;
    become(0, clock_ns);
}

static int begin(void **state) {
    (void)state;
    clock_ns = 36000 * SECOND;
    wall_ahead = (int64_t)(1764000000 * SECOND - clock_ns); /* a full hour, here and there */
    env.now_ns = now_ns;
    env.wall_ns = wall_ns;
    for (unsigned i = 0; i < THREADS; i++) {
        house[i] = calloc(1, sizeof *house[i]);
        assert_non_null(house[i]);
        house[i]->index = i;
    }
    become(0, clock_ns);
    return 0;
}
static int end(void **state) {
    (void)state;
    for (unsigned i = 0; i < THREADS; i++)
        free(house[i]);
    me = NULL;
    env = env_os;
    return 0;
}

/* ---- a limit ---- */

struct limit {
    struct snapshot snapshot;
    struct rate_limit_conf conf;
};

static struct limit *limit_of(const struct rate_limit_conf *how) {
    struct limit *l = calloc(1, sizeof *l);
    assert_non_null(l);
    arena_init(&l->snapshot.arena, NULL);
    l->conf = *how;
    struct schema_rate *rate = arena_zero(&l->snapshot.arena, how->rates * sizeof *rate);
    memcpy(rate, how->rate, how->rates * sizeof *rate);
    l->conf.rate = rate;
    l->conf.scope = LIMIT_THIS_GATEWAY;
    assert_null(rate_limit_finish(&l->snapshot.arena, &l->conf));
    limiter_attach(&l->snapshot, &l->conf, SPAN("routes[0].policies"));
    assert_non_null(l->conf.limiter);
    return l;
}
static void limit_free(struct limit *l) {
    limiter_detach(&l->conf);
    assert_null(l->conf.limiter);
    arena_finish(&l->snapshot.arena);
    free(l);
}

static struct limit *gcra(uint64_t count, uint64_t per_ms, uint64_t burst) {
    struct schema_rate rate = {count, per_ms};
    struct limit *l = limit_of(&(struct rate_limit_conf){
        .rate = &rate, .rates = 1, .burst = burst, .name = SPAN("test"), .keys = 1024});
    return l;
}

static struct limit_ask ask_of(struct limit *l, const char *key, uint64_t cost) {
    return (struct limit_ask){.limiter = l->conf.limiter, .key = span_z(key), .cost = cost};
}
static enum limit_verdict ask(struct limit *l, const char *key, uint64_t cost) {
    struct limit_ask a = ask_of(l, key, cost);
    assert_true(limiter_ask(&a));
    return a.answer.verdict;
}

/* ---- plays ---- */

#define A LIMIT_ALLOWED
#define D LIMIT_DELAYED
#define R LIMIT_REFUSED
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

/* ---- never more, hardly less ---- */

static uint64_t seed;
static uint64_t random_below(uint64_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % n;
}

/* What the rate itself says, exactly: a bucket that leaks `count` in `per_ms`. Level in costs times
 * per_ns. */
struct bucket {
    unsigned __int128 level;
    uint64_t at;
};
static void pour(struct bucket *b, const struct schema_rate *r, uint64_t at, uint64_t cost) {
    unsigned __int128 gone = at > b->at ? (unsigned __int128)(at - b->at) * r->count : 0;
    b->level = b->level > gone ? b->level - gone : 0;
    b->level += (unsigned __int128)cost * r->per_ms * MS;
    b->at = at > b->at ? at : b->at;
}
static bool overflows(const struct bucket *b, const struct schema_rate *r, uint64_t burst) {
    return b->level > (unsigned __int128)burst * r->per_ms * MS;
}

static const struct load {
    struct schema_rate rate;
    uint64_t burst, step_ns, cost, skew_ns;
    unsigned threads, seconds;
} loads[] = {
    {{10, 1000}, 20, 20 * MS, 1, 0, 1, 600},
    {{10, 1000}, 20, 20 * MS, 1, MS, 64, 600},
    {{1000, 1000}, 5, 100000, 1, 0, 8, 20},
    {{333, 60000}, 0, 50 * MS, 3, MS, 17, 3600},
    {{7, 1000}, 7, 10 * MS, 1, MS, 64, 600},
    {{1000, 86400000}, 0, 10 * SECOND, 1, MS, 3, 864000},
    {{10000000, 1000}, 0, 50000, 1000, 10000, 64, 4},
    {{9999991, 1000}, 0, 50000, 997, 10000, 64, 4},
};

static void accuracy_of(const struct load *d) {
    struct limit *l = gcra(d->rate.count, d->rate.per_ms, d->burst);
    uint64_t burst = d->burst ? d->burst : d->rate.count, start = clock_ns, let = 0;
    struct bucket b = {0, 0};
    clock_ns += SECOND;
    start = clock_ns;
    while (clock_ns - start < d->seconds * SECOND) {
        clock_ns += 1 + random_below(2 * d->step_ns);
        uint64_t late = d->skew_ns ? random_below(d->skew_ns) : 0;
        become((unsigned)random_below(d->threads), clock_ns - late);
        if (ask(l, "k", d->cost) != A)
            continue;
        let += d->cost;
        /* Over any time so much: burst + rate * time. By the clocks of those who asked, of which
         * one may be behind by the skew. */
        pour(&b, &d->rate, clock_ns - late, d->cost);
        assert_false(overflows(&b, &d->rate, burst));
    }
    long double whole =
        (long double)d->seconds * 1000 * (long double)d->rate.count / (long double)d->rate.per_ms +
        (long double)burst;
    if ((long double)let < whole * 0.999L - (long double)d->cost)
        fail_msg("rate %llu: %llu of %Lf", (unsigned long long)d->rate.count,
                 (unsigned long long)let, whole);
    assert_true((long double)let <= whole);
    limit_free(l);
}

static void never_more_and_hardly_less(void **state) {
    (void)state;
    for (unsigned i = 0; i < array_len(loads); i++) {
        seed = i + 1;
        accuracy_of(&loads[i]);
    }
}

/* Those who were given back did not come: the others keep to the limit all the same, and nobody
 * loses more than what cannot be told apart. */
static void refunds_keep_to_the_limit(void **state) {
    (void)state;
    enum { MOST = 20000 };
    struct {
        struct limit_ask ask;
        uint64_t at, back_at; /* back_at 0: it stays */
    } *come = calloc(MOST, sizeof *come);
    assert_non_null(come);
    const struct schema_rate rate = {10, 1000};
    for (unsigned run = 0; run < 20; run++) {
        seed = run + 100;
        struct limit *l = gcra(10, 1000, 5);
        unsigned n = 0, oldest = 0, refunds = 0;
        struct bucket b = {0, 0};
        while (n < 2000) {
            pass(random_below(60 * MS));
            for (unsigned i = oldest; i < n; i++)
                if (come[i].back_at && come[i].back_at <= clock_ns) {
                    limiter_refund(&come[i].ask);
                    come[i].at = come[i].back_at = 0;
                    refunds++;
                }
            while (oldest < n && !come[oldest].back_at)
                oldest++;
            come[n].ask = ask_of(l, "k", 1 + random_below(2));
            assert_true(limiter_ask(&come[n].ask));
            if (come[n].ask.answer.verdict != A)
                continue;
            come[n].at = clock_ns;
            come[n++].back_at = random_below(3) ? 0 : clock_ns + random_below(2 * SECOND);
        }
        for (unsigned i = 0; i < n; i++)
            if (come[i].at) {
                pour(&b, &rate, come[i].at, come[i].ask.cost);
                assert_false(overflows(&b, &rate, 5));
            }
        assert_true(refunds > 100);
        limit_free(l);
    }
    free(come);
}

/* THREATS I03: all at the end of one window, and all again at the beginning of the next. */
static void no_burst_at_a_window_edge(void **state) {
    (void)state;
    const struct schema_rate rate = {100, 60000};
    static const unsigned most[] = {101, 104, 200}; /* fixed windows do that: docs say so */
    for (int algorithm = LIMIT_GCRA; algorithm <= LIMIT_FIXED_WINDOW; algorithm++) {
        struct limit *l = limit_of(&(struct rate_limit_conf){
            .rate = &rate, .rates = 1, .algorithm = algorithm, .keys = 64});
        unsigned let = 0;
        uint64_t clock = algorithm == LIMIT_FIXED_WINDOW ? (uint64_t)wall_ns() : clock_ns;
        pass(60 * SECOND - clock % (60 * SECOND) - 500 * MS);
        for (unsigned i = 0; i < 1000; i++) {
            let += ask(l, "k", 1) == A;
            pass(MS);
        }
        assert_true(let >= 100);
        assert_true(let <= most[algorithm]);
        limit_free(l);
    }
}

/* Many keys in a small table: nobody gets more than one may have. */
static void a_table_too_small(void **state) {
    (void)state;
    enum { KEYS = 500, LIMIT = 5 };
    const struct schema_rate rate = {LIMIT, MINUTE_MS};
    for (int algorithm = LIMIT_GCRA; algorithm <= LIMIT_FIXED_WINDOW; algorithm++) {
        struct limit *l = limit_of(&(struct rate_limit_conf){
            .rate = &rate, .rates = 1, .algorithm = algorithm, .keys = 64});
        unsigned let[KEYS] = {0}, all = 0;
        struct bucket b[KEYS] = {{0, 0}};
        uint64_t window[KEYS] = {0};
        seed = 7;
        for (unsigned i = 0; i < 200000; i++) {
            pass(random_below(20 * MS));
            uint64_t k = random_below(KEYS), of = (uint64_t)wall_ns() / (60 * SECOND);
            char key[16];
            snprintf(key, sizeof key, "key %u", (unsigned)k);
            if (window[k] != of)
                let[k] = 0;
            window[k] = of;
            if (ask(l, key, 1) != A)
                continue;
            all++;
            let[k]++;
            pour(&b[k], &rate, clock_ns, 1);
            if (algorithm == LIMIT_GCRA)
                assert_false(overflows(&b[k], &rate, LIMIT));
            if (algorithm == LIMIT_FIXED_WINDOW)
                assert_true(let[k] <= LIMIT);
            if (algorithm == LIMIT_SLIDING_WINDOW) /* twice, at worst */
                assert_false(overflows(&b[k], &rate, 3 * LIMIT));
        }
        assert_true(all > 1000);
        assert_true(limiter_counts(l->conf.limiter, house[0])->shared_cells > 1000);
        limit_free(l);
    }
}

/* ---- really at once ---- */

enum { CROWD = 8, ASKS = 20000, LET = 50000 };
static struct limit *shared;
static atomic_uint let_in;

static void *crowd_in(void *arg) {
    struct thread *t = arg;
    me = &t->loop;
    unsigned n = 0;
    for (unsigned i = 0; i < ASKS; i++) {
        struct limit_ask a = ask_of(shared, "k", 1);
        assert_true(limiter_ask(&a));
        limiter_note(&a, false);
        n += a.answer.verdict == LIMIT_ALLOWED;
        if (a.answer.verdict == LIMIT_ALLOWED && i % 4 == 0) {
            limiter_refund(&a);
            n--;
        }
    }
    atomic_fetch_add(&let_in, n);
    return NULL;
}

static uint64_t noted[sizeof(struct limit_counts) / sizeof(uint64_t)];
static struct limiter_state seen;
static void see(void *ctx, const struct limiter_state *s) {
    (void)ctx;
    seen = *s;
    memcpy(noted, s->count, sizeof noted);
}

static void threads_count_exactly(void **state) {
    (void)state;
    const struct schema_rate rates[] = {{LET, 3600000}, {2 * LET, 86400000}};
    pthread_t t[CROWD];
    for (int algorithm = LIMIT_GCRA; algorithm <= LIMIT_FIXED_WINDOW; algorithm++) {
        shared = limit_of(&(struct rate_limit_conf){
            .rate = rates, .rates = 2, .algorithm = algorithm, .keys = 64});
        atomic_store(&let_in, 0);
        for (unsigned i = 0; i < CROWD; i++) {
            house[i]->loop.now = clock_ns;
            assert_int_equal(pthread_create(&t[i], NULL, crowd_in, house[i]), 0);
        }
        for (unsigned i = 0; i < CROWD; i++)
            pthread_join(t[i], NULL);
        assert_int_equal(atomic_load(&let_in), LET);
        assert_int_equal(ask(shared, "k", 1), R);
        limiter_walk(see, NULL);
        assert_int_equal(noted[0] + noted[1], CROWD * ASKS); /* allowed, refused */
        limit_free(shared);
        pass(86400 * SECOND);
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
        T(never_more_and_hardly_less),
        T(refunds_keep_to_the_limit),
        T(no_burst_at_a_window_edge),
        T(a_table_too_small),
        T(threads_count_exactly),
        T(a_reload_forgets_nothing),
        T(a_constant_key_needs_one_bucket),
        T(parts_of_a_limit),
        T(forgetting),
        T(the_hottest_key),
        T(clients_by_turns),
        T(refusals_are_all_seen),
        T(copies_are_not_torn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
