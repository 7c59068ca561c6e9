#include "shared_store.h"
#include "core/state.h"
#include "limit/shared_counter.h"
#include "limit/shared_key.h"

/* ---- gateways: limits of different ids, so that nothing but the store is shared ---- */

enum { GATEWAYS = 3 };

static struct state_conf shared_state = {.kind = STATE_REDIS};
static struct snapshot snapshot;
static struct snapshot_ref hold;
static struct rate_limit_conf conf[GATEWAYS];
static struct schema_rate rate;

static void open_gateways(struct rate_limit_conf c, uint64_t count, uint64_t per_ms) {
    static const char *const name[GATEWAYS] = {"a", "b", "c"};
    memset(&snapshot, 0, sizeof snapshot);
    arena_init(&snapshot.arena, NULL);
    snapshot.state = &shared_state;
    rate = (struct schema_rate){count, per_ms};
    for (unsigned i = 0; i < GATEWAYS; i++) {
        conf[i] = c;
        conf[i].rate = &rate;
        conf[i].rates = 1;
        conf[i].keys = 1024;
        conf[i].name = span_z(name[i]);
        limiter_attach(&snapshot, &conf[i], SPAN("route x"));
    }
    hold = (struct snapshot_ref){.snapshot = &snapshot, .refs = 1};
    thread_me()->snap = &hold;
}
static void close_gateways(void) {
    store_deliver();
    assert_int_equal(hold.refs, 1);
    thread_me()->snap = NULL;
    for (unsigned i = 0; i < GATEWAYS; i++)
        limiter_detach(&conf[i]);
    arena_finish(&snapshot.arena);
}

static bool told;
static void ready(struct limit_ask *a) {
    (void)a;
    told = true;
}

static struct limit_ask last;
static struct list ops;
static enum limit_verdict come_with(unsigned gateway, const char *key, uint64_t cost,
                                    uint64_t max_wait_ms) {
    last = (struct limit_ask){.limiter = conf[gateway].limiter,
                              .key = span_z(key),
                              .cost = cost,
                              .max_wait_ns = max_wait_ms * 1000000,
                              .ops = &ops,
                              .ready = ready};
    list_init(&ops);
    told = false;
    bool now = limiter_ask(&last);
    assert_false(told); /* never from inside */
    if (!now) {
        store_deliver();
        assert_true(told);
    }
    assert_false(list_linked(&ops));
    return last.answer.verdict;
}
static enum limit_verdict come(unsigned gateway) {
    return come_with(gateway, "ann", 1, 0);
}
static unsigned come_often(unsigned gateway, unsigned times) {
    unsigned passed = 0;
    while (times--)
        passed += come(gateway) == LIMIT_ALLOWED;
    return passed;
}

/* ---- arithmetic ---- */

static void units_are_whole_and_never_faster(void **state) {
    static const struct {
        uint64_t count, per_ms, burst;
    } row[] = {
        {1, 1000, 1},
        {3, 1000, 3},
        {7, 60000, 100},
        {1000000, 1000, 1000000},
        {999983, 86400000, 5},
        {999983, 86400000, 999983},
        {1000000000, 1000, 1},
        {1000000000, 86400000ull * 366, 1000000000},
        {1, 86400000ull * 366, 1000000000},
        {999999937, 86400000ull * 365, 999999937},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        struct schema_rate r = {row[i].count, row[i].per_ms};
        struct rate_limit_conf c = {.rate = &r, .rates = 1, .burst = row[i].burst};
        struct shared_windows w;
        struct arena a;
        arena_init(&a, NULL);
        shared_windows_make(&a, &w, &c);
        const struct shared_window *s = &w.window[0];
        unsigned __int128 given = (unsigned __int128)s->x * row[i].count;
        unsigned __int128 wanted = (unsigned __int128)row[i].per_ms * 1000 * s->y;
        assert_true(s->x >= 1 && s->y >= 1 && s->z == row[i].burst);
        assert_true(given >= wanted);                                   /* a token takes no less */
        assert_true((given - wanted) * 4000000 <= wanted || s->y == 1); /* and hardly more */
        if (s->y > 1)
            assert_true((unsigned __int128)s->x * s->z <= ((unsigned __int128)1 << 52) + s->z);
        arena_finish(&a);
    }
}

static void keys_tell_apart_and_tell_nothing(void **state) {
    struct shared_key a, b, c, d;
    (void)state;
    shared_key_make(&a, &(struct shared_name){SPAN("sluice:"), SPAN("limit"), SPAN("ab"),
                                              SPAN("c-secret-token")});
    shared_key_make(&b, &(struct shared_name){SPAN("sluice:"), SPAN("limit"), SPAN("a"),
                                              SPAN("bc-secret-token")});
    shared_key_make(&c, &(struct shared_name){SPAN("sluice:"), SPAN("count"), SPAN("ab"),
                                              SPAN("c-secret-token")});
    shared_key_make(&d, &(struct shared_name){SPAN("sluice:"), SPAN("limit"), SPAN("ab"),
                                              SPAN("c-secret-token")});
    assert_false(span_eq(shared_key_span(&a), shared_key_span(&b)));
    assert_false(span_eq(shared_key_span(&a), shared_key_span(&c)));
    assert_true(span_eq(shared_key_span(&a), shared_key_span(&d)));
    assert_int_equal(a.n, 7 + 6 + 2 + SHARED_KEY_HEX);
    assert_null(memmem(a.text, a.n, "secret", 6));
}

/* ---- the store answers ---- */

static void gateways_share_one_burst(void **state) {
    unsigned passed = 0;
    (void)state;
    open_gateways((struct rate_limit_conf){.burst = 0}, 100, 86400000);
    for (unsigned i = 0; i < 300; i++)
        passed += come(i % GATEWAYS) == LIMIT_ALLOWED;
    assert_int_equal(passed, 100);
    assert_int_equal(last.answer.limit, 100);
    assert_int_equal(last.answer.remaining, 0);
    assert_false(last.answer.away);
    close_gateways();
}

static void a_refusal_is_remembered_until_it_is_over(void **state) {
    (void)state;
    open_gateways((struct rate_limit_conf){.burst = 5}, 10, 1000);
    assert_int_equal(come_often(0, 6), 5);
    assert_int_equal(store.asked, 6);
    uint64_t wait = last.answer.wait_ns;
    assert_true(wait > 90000000 && wait <= 100001000);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(come(0), LIMIT_REFUSED);
    assert_int_equal(store.asked, 6);
    assert_true(last.answer.wait_ns > 90000000 && last.answer.wait_ns <= wait);
    assert_true(last.answer.reset_ns >= 400000000 && last.answer.reset_ns <= 600000000);
    assert_int_equal(come_with(0, "bob", 1, 0), LIMIT_REFUSED); /* the store has one key */
    assert_int_equal(store.asked, 7);                           /* but he was asked for */
    pass_ms(101);
    assert_int_equal(come(0), LIMIT_ALLOWED);
    close_gateways();
}

static void what_costs_less_may_still_pass(void **state) {
    (void)state;
    open_gateways((struct rate_limit_conf){.burst = 10}, 10, 86400000);
    assert_int_equal(come_with(0, "ann", 6, 0), LIMIT_ALLOWED);
    assert_int_equal(come_with(0, "ann", 6, 0), LIMIT_REFUSED);
    assert_int_equal(come_with(0, "ann", 4, 0), LIMIT_ALLOWED);
    assert_int_equal(come_with(0, "ann", 0, 0), LIMIT_ALLOWED); /* a look */
    assert_int_equal(last.answer.remaining, 0);
    uint64_t asked = store.asked;
    assert_int_equal(come_with(0, "ann", 11, 0), LIMIT_REFUSED); /* more than may ever come */
    assert_true(last.answer.wait_ns == UINT64_MAX);
    assert_int_equal(store.asked, asked);
    close_gateways();
}

static void who_may_wait_is_delayed(void **state) {
    (void)state;
    open_gateways((struct rate_limit_conf){.burst = 1}, 10, 1000);
    assert_int_equal(come(0), LIMIT_ALLOWED);
    assert_int_equal(come_with(0, "ann", 1, 250), LIMIT_DELAYED);
    assert_true(last.answer.wait_ns > 99000000 && last.answer.wait_ns <= 100002000);
    assert_int_equal(come_with(1, "ann", 1, 250), LIMIT_DELAYED); /* behind him */
    assert_true(last.answer.wait_ns > 199000000);
    assert_int_equal(come_with(1, "ann", 1, 250), LIMIT_REFUSED);
    pass_ms(60); /* now it could wait: the refusal that is remembered does not hold for it */
    assert_int_equal(come_with(1, "ann", 1, 250), LIMIT_DELAYED);
    close_gateways();
}

static void what_is_given_back_or_cost_more_is_told(void **state) {
    (void)state;
    open_gateways((struct rate_limit_conf){.burst = 10}, 10, 86400000);
    assert_int_equal(come_with(0, "ann", 4, 0), LIMIT_ALLOWED);
    limiter_refund(&last);
    store_deliver();
    assert_int_equal(come_with(1, "ann", 10, 0), LIMIT_ALLOWED);
    limiter_correct(&last, -5);
    store_deliver();
    assert_int_equal(come_with(2, "ann", 2, 0), LIMIT_ALLOWED);
    limiter_correct(&last, 3);
    store_deliver();
    assert_int_equal(store.forced, 3);
    assert_int_equal(come_with(0, "ann", 1, 0), LIMIT_REFUSED);
    close_gateways();
}

static void who_leaves_while_it_waits_is_forgotten(void **state) {
    struct limit_ask a = {.cost = 1, .ready = ready, .ops = &ops};
    (void)state;
    open_gateways((struct rate_limit_conf){.burst = 10, .sync = LIMIT_LEASE}, 10, 1000);
    for (unsigned i = 0; i < 4; i++) {
        a.limiter = conf[0].limiter;
        a.key = SPAN("ann");
        list_init(&ops);
        told = false;
        assert_false(limiter_ask(&a));
        ops_cancel(&ops);
        store_deliver();
        assert_false(told);
    }
    close_gateways();
}

static void a_key_is_forgotten_everywhere(void **state) {
    (void)state;
    open_gateways((struct rate_limit_conf){.burst = 2}, 1, 86400000);
    assert_int_equal(come_often(0, 3), 2);
    shared_limit_forget(SPAN("nobody's"), SPAN("ann"));
    assert_int_equal(store.other, 0);
    shared_limit_forget(SPAN("a"), SPAN("ann"));
    assert_int_equal(store.other, 1);
    store_deliver();
    store.debt = 0; /* what DEL does */
    assert_int_equal(come(0), LIMIT_ALLOWED);
    close_gateways();
}

/* ---- the store is away ---- */

static void shares_together_are_the_limit(void **state) {
    static const struct {
        uint64_t burst;
        uint32_t gateways;
        unsigned each;
    } row[] = {{100, 3, 33}, {100, 2, 50}, {100, 1, 100}, {2, 3, 1}, {7, 3, 2}};
    (void)state;
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        open_gateways((struct rate_limit_conf){.burst = row[i].burst}, row[i].burst, 86400000);
        store.mood = STORE_AWAY;
        store.gateways = row[i].gateways;
        for (unsigned g = 0; g < GATEWAYS; g++)
            assert_int_equal(come_often(g, 200), row[i].each);
        assert_true(last.answer.away);
        close_gateways();
    }
}

static const struct {
    const char *name;
    enum store_mood mood;
} moods[] = {{"away", STORE_AWAY},
             {"late", STORE_LATE},
             {"broken", STORE_BROKEN},
             {"garbage", STORE_GARBAGE},
             {"full", STORE_FULL}};

static void on_failure_decides(void **state) {
    static const struct {
        int on_failure;
        enum limit_verdict first, later;
    } row[] = {{LIMIT_LOCAL_SHARE, LIMIT_ALLOWED, LIMIT_REFUSED},
               {LIMIT_OPEN, LIMIT_ALLOWED, LIMIT_ALLOWED},
               {LIMIT_CLOSED, LIMIT_UNKNOWN, LIMIT_UNKNOWN}};
    (void)state;
    for (unsigned m = 0; m < sizeof moods / sizeof *moods; m++)
        for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
            open_gateways((struct rate_limit_conf){.burst = 3, .on_failure = row[i].on_failure}, 3,
                          86400000);
            store.mood = moods[m].mood;
            assert_int_equal(come(0), row[i].first);
            assert_true(last.answer.away);
            assert_int_equal(come(0), row[i].later);
            store.mood = STORE_FINE;
            close_gateways();
        }
}

static void what_the_store_let_pass_counts_to_the_share(void **state) {
    (void)state;
    open_gateways((struct rate_limit_conf){.burst = 90}, 90, 86400000);
    for (unsigned g = 0; g < GATEWAYS; g++)
        assert_int_equal(come_often(g, 20), 20);
    store.mood = STORE_AWAY;
    for (unsigned g = 0; g < GATEWAYS; g++)
        assert_int_equal(come_often(g, 50), 10); /* 90 in all */
    close_gateways();
}

static void a_busy_gateway_owes_no_more_than_its_share(void **state) {
    (void)state;
    open_gateways((struct rate_limit_conf){.burst = 30}, 30, 1000);
    for (unsigned i = 0; i < 3000; i++) { /* all of the rate here, for a minute and a half */
        (void)come(0);
        pass_ms(33);
    }
    store.mood = STORE_AWAY;
    pass_ms(101);
    assert_int_equal(come(0), LIMIT_ALLOWED); /* ten a second */
    close_gateways();
}

/* ---- the store is back ---- */

static void it_is_told_what_passed_meanwhile(void **state) {
    (void)state;
    open_gateways((struct rate_limit_conf){.burst = 90}, 90, 86400000);
    store.mood = STORE_AWAY;
    for (unsigned g = 0; g < GATEWAYS; g++)
        assert_int_equal(come_often(g, 50), 30);
    store_back(false);
    pass_ms(120000); /* long enough that the shares are not asked any more */
    for (unsigned g = 0; g < GATEWAYS; g++)
        (void)come(g);
    assert_int_equal(come_often(0, 50) + come_often(1, 50) + come_often(2, 50), 0);
    close_gateways();
}

static void an_emptied_store_gives_no_spike(void **state) {
    unsigned passed = 0;
    (void)state;
    open_gateways((struct rate_limit_conf){.burst = 90}, 90, 86400000);
    for (unsigned i = 0; i < 90; i++)
        assert_int_equal(come(i % GATEWAYS), LIMIT_ALLOWED);
    store.mood = STORE_AWAY;
    passed += come_often(0, 9) + come_often(1, 9) + come_often(2, 9);
    store_back(true);
    for (unsigned i = 0; i < 59; i++) {
        pass_ms(1000);
        for (unsigned g = 0; g < GATEWAYS; g++)
            passed += come_often(g, 3);
    }
    assert_int_equal(passed, 0);
    close_gateways();
}

static uint32_t seed;
static uint32_t draw(uint32_t n) {
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(seed >> 4) * n) >> 28);
}

/* Whatever the outages, and whoever has the traffic: never more than the limit and what the shares
 * of those that had none can add. With even traffic: the limit. */
static void outages_in_any_order(void **state) {
    (void)state;
    for (seed = 1; seed < 40000000; seed += 1000003) {
        bool even = draw(2), away = false;
        unsigned passed = 0, turn = 0;
        open_gateways((struct rate_limit_conf){.burst = 90}, 90, 86400000);
        for (unsigned i = 0; i < 600; i++) {
            if (draw(60) == 0) {
                away = !away;
                if (away)
                    store.mood = STORE_AWAY;
                else
                    store_back(false);
            }
            passed += come(even      ? turn++ % GATEWAYS
                           : draw(8) ? 0
                                     : draw(GATEWAYS)) == LIMIT_ALLOWED;
            pass_ms(draw(300));
        }
        if (passed > (even ? 90 : 150))
            fail_msg("seed %u: %u of 90 passed, traffic %s", seed, passed,
                     even ? "even" : "uneven");
        if (away)
            store_back(false);
        close_gateways();
        store_reset();
    }
}

/* ---- leases ---- */

static struct shared_limit_state counts;
static void add_counts(void *ctx, const struct shared_limit_state *s) {
    (void)ctx;
    for (unsigned i = 0; i < sizeof counts.count / sizeof *counts.count; i++)
        counts.count[i] += s->count[i];
    counts.lost += s->lost;
}

static void leases_ask_seldom(void **state) {
    (void)state;
    open_gateways((struct rate_limit_conf){.burst = 1000, .sync = LIMIT_LEASE, .lease = 100}, 5000,
                  1000);
    unsigned passed = 0;
    for (unsigned i = 0; i < 4000; i++) {
        passed += come(i % GATEWAYS) == LIMIT_ALLOWED;
        store_deliver();
        pass_ms(1);
    }
    assert_int_equal(passed, 4000);
    assert_true(store.asked < 4000 / 20);
    memset(&counts, 0, sizeof counts);
    shared_limit_walk(add_counts, NULL);
    assert_int_equal(counts.count[0], store.asked);
    assert_true(counts.count[3] > 3800);
    assert_true(counts.count[5] >= counts.count[3]);
    close_gateways();
}

static void a_rare_key_leases_nothing(void **state) {
    (void)state;
    open_gateways((struct rate_limit_conf){.burst = 100, .sync = LIMIT_LEASE, .lease = 50}, 1,
                  86400000);
    unsigned passed = 0;
    for (unsigned i = 0; i < 130; i++) {
        passed += come(i % GATEWAYS) == LIMIT_ALLOWED;
        pass_ms(1500);
    }
    assert_int_equal(passed, 100); /* nothing was taken and lost */
    close_gateways();
}

static void the_shipped_lease(void **state) {
    static const struct {
        uint64_t count, per_ms, burst, lease;
        uint32_t gateways;
        uint64_t wanted;
    } row[] = {{1000, 1000, 1000, 0, 3, 100},
               {10, 1000, 10, 0, 3, 1},
               {1, 86400000, 1, 0, 3, 1},
               {1000, 1000, 60, 0, 3, 10},
               {1000, 1000, 60, 0, 0, 30},
               {10, 1000, 10, 7, 3, 7},
               {1000000000, 1, 1000000000, 0, 1, LEASE_MAX}};
    (void)state;
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        struct schema_rate r = {row[i].count, row[i].per_ms};
        struct rate_limit_conf c = {.rate = &r,
                                    .rates = 1,
                                    .burst = row[i].burst,
                                    .sync = LIMIT_LEASE,
                                    .lease = row[i].lease};
        assert_int_equal(shared_limit_lease(&c, row[i].gateways), row[i].wanted);
        c.sync = LIMIT_EXACT;
        assert_int_equal(shared_limit_lease(&c, row[i].gateways), 0);
    }
}

enum { PASSED_MAX = 40000 };
static uint64_t passed_at[PASSED_MAX];

/* From any one that passed to any later one: at most rate * time + burst + gateways * lease. */
static void within(unsigned n, uint64_t per_s, uint64_t most, uint32_t of_seed) {
    for (unsigned i = 0; i < n; i += 1 + n / 400)
        for (unsigned k = i; k < n; k += 1 + n / 800) {
            uint64_t took = passed_at[k] - passed_at[i];
            if (k - i + 1 > took * per_s / 1000000000 + 1 + most)
                fail_msg("seed %u: %u within %llu ns", of_seed, k - i + 1,
                         (unsigned long long)took);
        }
}

static void leases_stay_within_their_bound(void **state) {
    (void)state;
    for (seed = 7; seed < 20000000; seed += 2000003) {
        uint32_t of_seed = seed;
        unsigned lease = 1 + draw(40), n = 0;
        open_gateways((struct rate_limit_conf){.burst = 60, .sync = LIMIT_LEASE, .lease = lease},
                      300, 1000);
        for (unsigned i = 0; i < 20000 && n < PASSED_MAX; i++) {
            if (come(draw(GATEWAYS)) == LIMIT_ALLOWED)
                passed_at[n++] = clock_ns;
            if (draw(3) == 0)
                store_deliver();
            if (draw(4) == 0)
                pass_ms(draw(500) ? draw(12) : draw(4000));
        }
        within(n, 300, 60 + GATEWAYS * lease, of_seed);
        assert_true(n > 1000);
        close_gateways();
        store_reset();
    }
}

/* No more is here than `most`, whatever came of fetches; nothing is used after its life; a cell
 * that goes to another key gives him nothing. */
static void lease_cells(void **state) {
    static struct lease_table t;
    _Atomic uint64_t lost = 0;
    uint64_t left, now = 100000;
    (void)state;
    memset(&t, 0, sizeof t);
    t.lost = &lost;
    struct lease_cell *c = lease_find(&t, 5, now);
    assert_false(lease_take(c, 5, 1, now, &left));
    lease_put(&t, c, &(struct lease_put){5, 30, 20, now});
    assert_int_equal(lost, 10);
    assert_true(lease_take(c, 5, 3, now, &left));
    assert_int_equal(left, 17);
    assert_false(lease_take(c, 5, 18, now, &left));
    lease_put(&t, c, &(struct lease_put){5, 30, 20, now});
    assert_int_equal(lost, 37);
    assert_false(lease_take(c, 6ull << 60, 1, now, &left)); /* somebody else's */
    assert_true(lease_take(c, 5, 1, now + LEASE_LIFE_MS - 100, &left));
    assert_false(lease_take(c, 5, 1, now + LEASE_LIFE_MS, &left));
    for (uint64_t k = 1; k <= LEASE_WAYS; k++) /* all of its set */
        (void)lease_find(&t, 5 + k * LEASE_SETS, now + 2000 + k * 100);
    assert_int_equal(lost, 56);
    lease_put(&t, c, &(struct lease_put){5, 4, 20, now}); /* came too late */
    assert_int_equal(lost, 60);
}

static void one_fetch_at_a_time(void **state) {
    static struct lease_table t;
    uint64_t left, now = 100000;
    (void)state;
    memset(&t, 0, sizeof t);
    struct lease_cell *c = lease_find(&t, 9, now);
    assert_int_equal(lease_want(c, 9, 20, now), 0); /* nobody came yet */
    for (unsigned i = 0; i < 5; i++)
        (void)lease_take(c, 9, 1, now, &left);
    assert_int_equal(lease_want(c, 9, 20, now + 1), 20);
    assert_int_equal(lease_want(c, 9, 20, now + 1), 0);
    lease_fetched_none(c, 9);
    assert_int_equal(lease_want(c, 9, 20, now + 2), 20);
    assert_int_equal(lease_want(c, 9, 20, now + 3 + LEASE_FETCH_MS), 20); /* never came back */
    lease_put(&t, c, &(struct lease_put){9, 20, 20, now + 4});
    assert_int_equal(lease_want(c, 9, 20, now + 5), 0); /* there are enough */
}

static void owed_is_bounded_and_taken_once(void **state) {
    static struct shared_owed t;
    uint64_t age;
    (void)state;
    memset(&t, 0, sizeof t);
    shared_owed_add(&t, 77, 3, 1000);
    shared_owed_add(&t, 77, 4, 1500);
    assert_int_equal(shared_owed_take(&t, 78, 2000, &age), 0);
    assert_int_equal(shared_owed_take(&t, 77, 2000, &age), 7);
    assert_int_equal(age, 500);
    assert_int_equal(shared_owed_take(&t, 77, 2000, &age), 0);
    shared_owed_add(&t, 77, 1, 1000);
    shared_owed_add(&t, 77 + SHARED_OWED_CELLS, 1, 1000);
    assert_int_equal(shared_owed_take(&t, 77, 2000, &age), 0);
    assert_int_equal(shared_owed_take(&t, 77 + SHARED_OWED_CELLS, 2000, &age), 1);
}

/* ---- the counter of quotas ---- */

static bool counted;
static void counter_ready(struct shared_counter_ask *c) {
    (void)c;
    counted = true;
}

static enum shared_counted count(struct shared_counter_ask *c, uint64_t n, uint64_t limit) {
    *c = (struct shared_counter_ask){.redis = &the_store,
                                     .id = SPAN("quota:gold 2026-11"),
                                     .key = SPAN("ann"),
                                     .n = n,
                                     .limit = limit,
                                     .ends_ms = 1800000000000,
                                     .ops = &ops,
                                     .ready = counter_ready};
    list_init(&ops);
    counted = false;
    if (!shared_counter_add(c)) {
        assert_false(counted);
        store_deliver();
        assert_true(counted);
    }
    return c->verdict;
}

static void a_counter_is_counted_together(void **state) {
    struct shared_counter_ask c;
    (void)state;
    assert_int_equal(count(&c, 3, 5), SHARED_COUNTED);
    assert_int_equal(c.used, 3);
    assert_int_equal(count(&c, 3, 5), SHARED_OVER);
    assert_int_equal(c.used, 3);
    assert_int_equal(count(&c, 0, 5), SHARED_COUNTED);
    assert_int_equal(count(&c, 9, UINT64_MAX), SHARED_COUNTED);
    assert_int_equal(c.used, 12);
    assert_true(shared_counter_give(&the_store, c.id, c.key, -4, c.ends_ms));
    store_deliver();
    assert_int_equal(count(&c, 0, 5), SHARED_COUNTED);
    assert_int_equal(c.used, 8);
    assert_true(shared_counter_forget(&the_store, c.id, c.key));
    assert_int_equal(store.other, 1);
    store_deliver();
}

static void a_counter_says_what_failed(void **state) {
    static const enum redis_failure why[] = {REDIS_AWAY, REDIS_LATE, REDIS_BROKEN, REDIS_BROKEN,
                                             REDIS_FULL};
    struct shared_counter_ask c;
    (void)state;
    for (unsigned i = 0; i < sizeof moods / sizeof *moods; i++) {
        store.mood = moods[i].mood;
        assert_int_equal(count(&c, 1, 5), SHARED_AWAY);
        assert_int_equal(c.why, why[i]);
    }
    assert_false(shared_counter_give(&the_store, c.id, c.key, 1, c.ends_ms));
    store.mood = STORE_FINE;
    assert_false(shared_counter_add(&c));
    ops_cancel(&ops); /* who asked has gone */
    counted = false;
    store_deliver();
    assert_false(counted);
}

/* ---- all ---- */

static int begin(void **state) {
    clock_ns = 1000000000000;
    env.now_ns = test_now;
    store_reset();
    *state = house_thread(0, false);
    me->now = clock_ns;
    limiter_set_shared(&shared_limits);
    return 0;
}
static int end(void **state) {
    limiter_set_shared(NULL);
    house_thread_end(*state);
    return 0;
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(units_are_whole_and_never_faster),
        T(keys_tell_apart_and_tell_nothing),
        T(gateways_share_one_burst),
        T(a_refusal_is_remembered_until_it_is_over),
        T(what_costs_less_may_still_pass),
        T(who_may_wait_is_delayed),
        T(what_is_given_back_or_cost_more_is_told),
        T(who_leaves_while_it_waits_is_forgotten),
        T(a_key_is_forgotten_everywhere),
        T(shares_together_are_the_limit),
        T(on_failure_decides),
        T(what_the_store_let_pass_counts_to_the_share),
        T(a_busy_gateway_owes_no_more_than_its_share),
        T(it_is_told_what_passed_meanwhile),
        T(an_emptied_store_gives_no_spike),
        T(outages_in_any_order),
        T(leases_ask_seldom),
        T(a_rare_key_leases_nothing),
        T(the_shipped_lease),
        T(leases_stay_within_their_bound),
        T(lease_cells),
        T(one_fetch_at_a_time),
        T(owed_is_bounded_and_taken_once),
        T(a_counter_is_counted_together),
        T(a_counter_says_what_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
