/* shed: a loop on a virtual clock, askers of all kinds. Counts, never times of this machine. */
#include "core/shed.h"
#include "base/check.h"
#include <math.h>
#include <string.h>
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

enum { ASKERS = 64, QUEUE = 1 << 16, REFUSAL_NS = 20000, TARGET_NS = 20000000 };

struct asker {
    double every_ns; /* between two requests */
    uint64_t cost_ns;
    enum shed_ease ease;
    bool many; /* every request has a key of its own */
    double next;
    unsigned asked, passed;
};

struct world {
    struct shed shed;
    uint64_t now, seed, keys;
    struct asker asker[ASKERS];
    unsigned askers;
    unsigned queue[QUEUE], head, tail;
    unsigned began, ended, dropped;
    uint64_t worked; /* ns, for requests that passed */
    bool counting;
};

static double chance(struct world *w) {
    w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(w->seed >> 11) * 0x1p-53;
}

static unsigned add(struct world *w, double per_second, uint64_t cost_us) {
    w->asker[w->askers] = (struct asker){.every_ns = 1e9 / per_second, .cost_ns = cost_us * 1000};
    return w->askers++;
}

/* Requests come at random, `every_ns` apart on average. */
static void arrive(struct world *w) {
    for (unsigned i = 0; i < w->askers; i++) {
        struct asker *a = &w->asker[i];
        while (a->every_ns > 0 && a->next <= (double)w->now) {
            a->next += -log(1 - chance(w)) * a->every_ns;
            if (w->tail - w->head < QUEUE)
                w->queue[w->tail++ % QUEUE] = i;
            else
                w->dropped++;
        }
    }
}

static double next_arrival(const struct world *w) {
    double at = HUGE_VAL;
    for (unsigned i = 0; i < w->askers; i++)
        if (w->asker[i].every_ns > 0)
            at = fmin(at, w->asker[i].next);
    return at;
}

static void handle(struct world *w, unsigned i) {
    struct asker *a = &w->asker[i];
    uint64_t key = a->many ? ++w->keys * 0x9e3779b97f4a7c15u | 1 : (i + 1) * 0x9e3779b97f4a7c15u;
    bool goes = !w->shed.on || shed_asks(&w->shed, key, a->ease);
    a->asked += w->counting;
    a->passed += w->counting && goes;
    w->now += goes ? a->cost_ns : REFUSAL_NS;
    w->worked += w->counting && goes ? a->cost_ns : 0;
    if (w->shed.on && goes)
        shed_charge(&w->shed, key, a->cost_ns);
}

static void turn(struct world *w) {
    arrive(w);
    if (w->head == w->tail) {
        w->now = (uint64_t)next_arrival(w) + 1;
        arrive(w);
    }
    struct lap t = {.began = w->now};
    unsigned stop = w->tail;
    for (; w->head != stop && t.events < LOOP_EVENTS; t.events++)
        handle(w, w->queue[w->head++ % QUEUE]);
    t.ended = w->now;
    enum shed_change c = shed_turn(&w->shed, &t, TARGET_NS);
    w->began += c == SHED_BEGAN;
    w->ended += c == SHED_ENDED;
}

static void run(struct world *w, unsigned ms, bool counting) {
    uint64_t until = w->now + ms * 1000000ull;
    w->counting = counting;
    while (w->now < until)
        turn(w);
}

static struct world *world(uint64_t seed) {
    static struct world w;
    shed_finish(&w.shed);
    memset(&w, 0, sizeof w);
    w.seed = w.shed.seed = seed;
    w.now = 1000000000;
    return &w;
}

static double share(const struct asker *a) {
    return a->asked ? (double)a->passed / a->asked : 1;
}

/* One asks a hundred times as much as each of nine others, and there is capacity for ten: the nine
 * lose hardly anything, however their requests bunch, and the loop goes on working. */
static void noisy_one(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world *w = world(seed);
        for (int i = 0; i < 9; i++)
            add(w, 18, 5000);
        unsigned noisy = add(w, 1800, 5000), asked = 0, passed = 0;
        run(w, 2000, false);
        run(w, 30000, true);
        for (unsigned i = 0; i < noisy; i++) {
            asked += w->asker[i].asked;
            passed += w->asker[i].passed;
            assert_true(share(&w->asker[i]) >= 0.9);
        }
        assert_true(passed >= asked * 0.95);
        assert_true(share(&w->asker[noisy]) < 0.05);
        assert_true(w->asker[noisy].passed > 30 * 5); /* not nothing */
        assert_true((double)w->worked >= 30 * 85e7);  /* refusing takes some of the time too */
        assert_int_equal(w->dropped, 0);
        assert_true(w->began >= 1);
    }
}

/* The cost of a request counts, not their number. */
static void dear_one(void **state) {
    (void)state;
    struct world *w = world(3);
    for (int i = 0; i < 8; i++)
        add(w, 100, 500); /* 40 % together */
    unsigned dear = add(w, 100, 20000);
    run(w, 2000, false);
    run(w, 20000, true);
    for (unsigned i = 0; i < dear; i++)
        assert_true(share(&w->asker[i]) >= 0.95);
    assert_true(share(&w->asker[dear]) < 0.6);
    assert_true((double)w->worked >= 20 * 80e7);
}

/* Two that ask for too much, and equally: each gets as much as the other. */
static void two_equals(void **state) {
    (void)state;
    struct world *w = world(4);
    add(w, 400, 5000);
    add(w, 400, 5000);
    run(w, 3000, false);
    run(w, 20000, true);
    double a = w->asker[0].passed, b = w->asker[1].passed;
    assert_true(a > b * 0.85 && b > a * 0.85);
    assert_true((double)w->worked >= 20 * 75e7);
}

/* shed: last may use more, but is no way around it all. */
static void last_ones(void **state) {
    (void)state;
    struct world *w = world(5);
    unsigned fair = add(w, 150, 5000), last = add(w, 150, 5000);
    w->asker[last].ease = SHED_LAST;
    run(w, 3000, false);
    run(w, 20000, true);
    assert_true(share(&w->asker[last]) > share(&w->asker[fair]));
    w = world(6);
    last = add(w, 2000, 5000);
    w->asker[last].ease = SHED_LAST;
    run(w, 3000, false);
    run(w, 20000, true);
    assert_true(share(&w->asker[last]) < 0.2);
}

/* More askers than the table holds, each with one request: nobody uses more than others, so all are
 * refused by chance, and the loop keeps up. */
static void crowd(void **state) {
    (void)state;
    struct world *w = world(7);
    unsigned all = add(w, 3000, 1000);
    w->asker[all].many = true;
    run(w, 5000, false);
    run(w, 20000, true);
    assert_true(share(&w->asker[all]) > 0.1 && share(&w->asker[all]) < 0.5);
    assert_true((double)w->worked >= 20 * 60e7);
    assert_int_equal(w->dropped, 0);
}

/* It ends when the noise does, and begins anew with the next one. */
static void noise_ends(void **state) {
    (void)state;
    struct world *w = world(8);
    unsigned quiet = add(w, 50, 1000), noisy = add(w, 3000, 1000);
    for (unsigned round = 1; round <= 3; round++) {
        w->asker[noisy].next = (double)w->now;
        w->asker[noisy].every_ns = 1e9 / 3000;
        run(w, 10000, false);
        assert_int_equal(w->began, round);
        assert_true(w->shed.on && shed_cuts(&w->shed));
        w->asker[noisy].every_ns = 0;
        run(w, 30000, false);
        assert_int_equal(w->ended, round);
        assert_false(w->shed.on);
    }
    w->asker[quiet].asked = w->asker[quiet].passed = 0;
    run(w, 5000, true);
    assert_int_equal(w->asker[quiet].passed, w->asker[quiet].asked);
}

/* What is no overload: a loop that is half busy in long turns, one that is busy in short ones, a
 * burst that is worked off. */
static void no_overload(void **state) {
    static const struct {
        uint64_t took_ms, idle_ms;
        unsigned events;
    } row[] = {{150, 150, 64}, {60, 0, 64}, {20, 1, 5}, {400, 0, 1}};
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        struct shed s = {.seed = 1};
        uint64_t now = 1000000000;
        for (int turns = 0; turns < 200; turns++) {
            struct lap l = {.began = now, .events = row[i].events};
            l.ended = now += row[i].took_ms * 1000000;
            shed_turn(&s, &l, 100000000);
            now += row[i].idle_ms * 1000000;
            if (row[i].events > 1)
                assert_false(s.on);
        }
        shed_finish(&s);
    }
    struct world *w = world(9);
    add(w, 100, 1000);
    for (int burst = 0; burst < 5; burst++) {
        for (int i = 0; i < 60; i++)
            w->queue[w->tail++ % QUEUE] = 0;
        run(w, 2000, true);
    }
    assert_int_equal(w->asker[0].passed, w->asker[0].asked);
}

/* Requests that each take longer than the target: two who ask in turn are let be, a flood is not.
 */
static void long_requests(void **state) {
    (void)state;
    struct world *w = world(10);
    unsigned a = add(w, 3, 60000), b = add(w, 3, 60000);
    run(w, 20000, true);
    assert_true(share(&w->asker[a]) >= 0.95 && share(&w->asker[b]) >= 0.95);
    unsigned noisy = add(w, 100, 60000);
    w->asker[noisy].next = (double)w->now;
    run(w, 3000, false);
    run(w, 20000, true);
    assert_true(share(&w->asker[noisy]) < 0.3);
    assert_true(share(&w->asker[a]) >= 0.85 && share(&w->asker[b]) >= 0.85);
}

/* A mark that waited behind many short turns tells of a queue that no single turn shows. */
static void marks(void **state) {
    (void)state;
    struct shed s = {.seed = 1};
    uint64_t now = 1000000000;
    for (int turns = 0; turns < 200 && !s.on; turns++) {
        struct lap l = {.began = now, .events = LOOP_EVENTS, .queued = turns % 20 ? 0 : 300000000};
        l.ended = now += 5000000;
        shed_turn(&s, &l, 100000000);
    }
    assert_true(s.on);
    shed_finish(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noisy_one),   cmocka_unit_test(dear_one), cmocka_unit_test(two_equals),
        cmocka_unit_test(last_ones),   cmocka_unit_test(crowd),    cmocka_unit_test(noise_ends),
        cmocka_unit_test(no_overload), cmocka_unit_test(marks),    cmocka_unit_test(long_requests),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    shed_finish(&world(1)->shed);
    return failed;
}
