/* limit/limiter: never more than the limit, hardly less, whoever asks when. */
#include "limit_house.h"

/* ---- never more, hardly less ---- */

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
        assert_int_equal(seen.count[0] + seen.count[1], CROWD * ASKS); /* allowed, refused */
        limit_free(shared);
        pass(86400 * SECOND);
    }
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(never_more_and_hardly_less), T(refunds_keep_to_the_limit), T(no_burst_at_a_window_edge),
        T(a_table_too_small),          T(threads_count_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
