#include "../must.h"
#include "../service/house.h"
#include "limit/concurrency.h"
#include <sched.h>
#include <stdio.h>
#include <string.h>

static uint64_t clock_ns;
static uint64_t now_ns(void) {
    return clock_ns;
}

static void pass(uint64_t ms) {
    clock_ns += ms * 1000000;
    loop_turn(me, 0);
}

/* One who asks, and what became of him. */
struct guest {
    struct turn turn;
    struct list ops;
    enum turn_result got;
    bool told;
    unsigned order; /* in which they were told */
};
static _Atomic unsigned told; /* of all threads */

static void ready(struct turn *t, enum turn_result r) {
    struct guest *g = container_of(t, struct guest, turn);
    g->got = r;
    g->told = true;
    g->order = ++told;
}

static enum turn_result come(struct concurrency *c, struct guest *g, const char *key,
                             struct turn_ask ask) {
    *g = (struct guest){.turn.ready = ready};
    list_init(&g->ops);
    ask.ops = &g->ops;
    return g->got = concurrency_take(c, span_z(key), &g->turn, &ask);
}

static void go(struct guest *g) {
    ops_cancel(&g->ops);
    turn_leave(&g->turn);
    loop_drain(me);
}

static struct concurrency_state state_of(const char *id);
static struct concurrency_state found;
static const char *looked_for;
static void look(void *ctx, const struct concurrency_state *s) {
    (void)ctx;
    if (span_eq(s->id, span_z(looked_for)))
        found = *s;
}
static struct concurrency_state state_of(const char *id) {
    found = (struct concurrency_state){.keys = 0};
    looked_for = id;
    concurrency_walk(look, NULL);
    return found;
}

static const struct turn_ask two = {.limit = 2, .class = TURN_NORMAL};
static const struct turn_ask queued = {
    .limit = 1, .queue = 3, .wait_ms = 1000, .class = TURN_NORMAL};

static struct turn_ask of_class(enum turn_class class) {
    struct turn_ask a = queued;
    a.class = class;
    return a;
}

static void a_key_has_so_many_turns(void **state) {
    struct guest g[5];
    struct concurrency *c = concurrency_get(SPAN("a"), 64);
    (void)state;
    assert_int_equal(come(c, &g[0], "ann", two), TURN_TAKEN);
    assert_int_equal(come(c, &g[1], "ann", two), TURN_TAKEN);
    assert_int_equal(come(c, &g[2], "ann", two), TURN_FULL);
    assert_int_equal(come(c, &g[3], "bob", two), TURN_TAKEN);
    assert_int_equal(state_of("a").in_flight, 3);
    assert_int_equal(state_of("a").keys_in_use, 2);
    assert_int_equal(state_of("a").busiest, 2);
    assert_int_equal(state_of("a").refused_full, 1);
    go(&g[0]);
    go(&g[0]); /* nothing is given twice */
    assert_int_equal(come(c, &g[4], "ann", two), TURN_TAKEN);
    assert_true(concurrency_is(c, SPAN("ann"), &g[4].turn));
    assert_false(concurrency_is(c, SPAN("bob"), &g[4].turn));
    go(&g[1]), go(&g[3]), go(&g[4]);
    assert_int_equal(state_of("a").in_flight, 0);
    concurrency_unref(c);
    assert_int_equal(state_of("a").keys, 0);
}

static void force_is_counted(void **state) {
    struct guest g[2];
    struct concurrency *c = concurrency_get(SPAN("a"), 64);
    struct turn_ask one = {.limit = 1};
    (void)state;
    assert_int_equal(come(c, &g[0], "ann", one), TURN_TAKEN);
    assert_int_equal(come(c, &g[1], "ann", one), TURN_FULL);
    concurrency_force(c, SPAN("ann"), &g[1].turn);
    assert_int_equal(state_of("a").busiest, 2);
    go(&g[0]);
    assert_int_equal(come(c, &g[0], "ann", one), TURN_FULL);
    go(&g[1]);
    assert_int_equal(come(c, &g[0], "ann", one), TURN_TAKEN);
    go(&g[0]);
    concurrency_unref(c);
}

/* More keys at once than cells: they share, and nobody gets a free turn. */
static void more_keys_than_cells(void **state) {
    static struct guest g[400];
    struct concurrency *c = concurrency_get(SPAN("a"), 64);
    struct turn_ask one = {.limit = 1};
    unsigned in = 0;
    (void)state;
    for (unsigned i = 0; i < array_len(g); i++) {
        char key[8];
        snprintf(key, sizeof key, "k%u", i);
        in += come(c, &g[i], key, one) == TURN_TAKEN;
    }
    assert_true(in <= 64 && in > 40);
    assert_int_equal(state_of("a").in_flight, in);
    assert_true(state_of("a").shared >= 400 - 64);
    for (unsigned i = 0; i < array_len(g); i++)
        go(&g[i]);
    for (unsigned i = 0; i < 4000; i++) { /* cells of keys that have gone are taken over */
        char key[8];
        snprintf(key, sizeof key, "n%u", i);
        assert_int_equal(come(c, &g[0], key, one), TURN_TAKEN);
        go(&g[0]);
    }
    concurrency_unref(c);
}

static void turns_are_handed_on_in_order(void **state) {
    struct guest g[5];
    struct concurrency *c = concurrency_get(SPAN("a"), 64);
    (void)state;
    assert_int_equal(come(c, &g[0], "ann", queued), TURN_TAKEN);
    for (int i = 1; i < 4; i++)
        assert_int_equal(come(c, &g[i], "ann", queued), TURN_WAIT);
    assert_int_equal(come(c, &g[4], "ann", queued), TURN_FULL);
    assert_int_equal(state_of("a").waiting, 3);
    go(&g[0]);
    assert_true(g[1].told && g[1].got == TURN_TAKEN && !g[2].told);
    assert_int_equal(come(c, &g[0], "ann", queued), TURN_WAIT); /* it does not snatch a turn */
    go(&g[2]);                                                  /* its client has left */
    go(&g[1]);
    assert_true(g[3].told && !g[0].told);
    go(&g[3]);
    assert_true(g[0].told);
    assert_int_equal(state_of("a").in_flight, 1);
    go(&g[0]);
    assert_int_equal(state_of("a").in_flight, 0);
    assert_int_equal(come(c, &g[0], "ann", queued), TURN_TAKEN); /* the queue is gone */
    go(&g[0]);
    concurrency_unref(c);
}

/* He leaves between being given a turn and being told: the next one has it. */
static void a_turn_that_nobody_takes_goes_on(void **state) {
    struct guest g[3];
    struct concurrency *c = concurrency_get(SPAN("a"), 64);
    (void)state;
    assert_int_equal(come(c, &g[0], "ann", queued), TURN_TAKEN);
    assert_int_equal(come(c, &g[1], "ann", queued), TURN_WAIT);
    assert_int_equal(come(c, &g[2], "ann", queued), TURN_WAIT);
    turn_leave(&g[0].turn);
    ops_cancel(&g[1].ops);
    loop_drain(me);
    assert_true(!g[1].told && g[2].told && g[2].got == TURN_TAKEN);
    turn_leave(&g[2].turn);
    turn_leave(&g[1].turn);
    assert_int_equal(state_of("a").in_flight, 0);
    concurrency_unref(c);
}

static void who_waits_too_long_is_refused(void **state) {
    struct guest g[3];
    struct concurrency *c = concurrency_get(SPAN("a"), 64);
    struct turn_ask late = queued;
    (void)state;
    assert_int_equal(come(c, &g[0], "ann", queued), TURN_TAKEN);
    assert_int_equal(come(c, &g[1], "ann", queued), TURN_WAIT);
    late.wait_ms = 0; /* its deadline has come */
    assert_int_equal(come(c, &g[2], "ann", late), TURN_LATE);
    pass(990);
    assert_false(g[1].told);
    pass(30);
    assert_true(g[1].told && g[1].got == TURN_LATE);
    assert_int_equal(state_of("a").waiting, 0);
    assert_int_equal(state_of("a").refused_late, 2);
    assert_true(state_of("a").waited_ns >= 990000000u);
    go(&g[1]);
    go(&g[0]);
    assert_int_equal(state_of("a").in_flight, 0);
    concurrency_unref(c);
}

/* The time is over in the very moment in which it is given its turn: it has it. */
static void late_and_granted_at_once(void **state) {
    struct guest g[2];
    struct concurrency *c = concurrency_get(SPAN("a"), 64);
    (void)state;
    assert_int_equal(come(c, &g[0], "ann", queued), TURN_TAKEN);
    assert_int_equal(come(c, &g[1], "ann", queued), TURN_WAIT);
    clock_ns += 5000 * 1000000ull;
    turn_leave(&g[0].turn); /* the timer has not fired yet */
    g[1].turn.timer.fire(&g[1].turn.timer);
    assert_false(g[1].told);
    loop_drain(me);
    assert_true(g[1].told && g[1].got == TURN_TAKEN);
    go(&g[1]);
    concurrency_unref(c);
}

/* classes as they come, and who has which turn */
static const struct {
    const char *come, *order;
} orders[] = {{"nnn", "123"}, {"lnh", "321"}, {"hnh", "132"}, {"llh", "231"}, {"nln", "132"}};

static enum turn_class class_of(char c) {
    return c == 'h' ? TURN_HIGH : c == 'l' ? TURN_LOW : TURN_NORMAL;
}

static void classes_go_in_order(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(orders); i++) {
        struct guest first, g[3];
        struct concurrency *c = concurrency_get(SPAN("a"), 64);
        assert_int_equal(come(c, &first, "ann", queued), TURN_TAKEN);
        for (int k = 0; k < 3; k++)
            assert_int_equal(come(c, &g[k], "ann", of_class(class_of(orders[i].come[k]))),
                             TURN_WAIT);
        told = 0;
        go(&first);
        for (unsigned n = 1; n <= 3; n++)
            for (int k = 0; k < 3; k++)
                if (g[k].told && g[k].order == n)
                    go(&g[k]);
        for (int k = 0; k < 3; k++)
            assert_int_equal(g[k].order, orders[i].order[k] - '0');
        concurrency_unref(c);
    }
}

/* One low, and high ones without end: it has its turn within TURN_FAIR. */
static void low_does_not_starve(void **state) {
    struct guest first, low, high[2 * TURN_FAIR];
    struct turn_ask ask = queued;
    struct concurrency *c = concurrency_get(SPAN("a"), 64);
    unsigned before = 0;
    (void)state;
    ask.queue = 100;
    assert_int_equal(come(c, &first, "ann", ask), TURN_TAKEN);
    ask.class = TURN_LOW;
    assert_int_equal(come(c, &low, "ann", ask), TURN_WAIT);
    ask.class = TURN_HIGH;
    for (int i = 0; i < 2 * TURN_FAIR; i++)
        assert_int_equal(come(c, &high[i], "ann", ask), TURN_WAIT);
    go(&first);
    while (!low.told)
        for (int i = 0; i < 2 * TURN_FAIR && !low.told; i++)
            if (high[i].told && high[i].turn.held) {
                before++;
                go(&high[i]);
            }
    assert_int_equal(before, TURN_FAIR - 1);
    go(&low);
    for (int i = 0; i < 2 * TURN_FAIR; i++)
        go(&high[i]);
    assert_int_equal(state_of("a").in_flight, 0);
    concurrency_unref(c);
}

static void a_higher_class_takes_a_place(void **state) {
    struct guest first, g[6];
    struct concurrency *c = concurrency_get(SPAN("a"), 64);
    (void)state;
    assert_int_equal(come(c, &first, "ann", queued), TURN_TAKEN);
    assert_int_equal(come(c, &g[0], "ann", of_class(TURN_LOW)), TURN_WAIT);
    assert_int_equal(come(c, &g[1], "ann", of_class(TURN_NORMAL)), TURN_WAIT);
    assert_int_equal(come(c, &g[2], "ann", of_class(TURN_LOW)), TURN_WAIT);
    assert_int_equal(come(c, &g[3], "ann", of_class(TURN_LOW)), TURN_FULL);
    assert_int_equal(come(c, &g[3], "ann", of_class(TURN_HIGH)), TURN_WAIT);
    loop_drain(me);
    assert_true(g[2].told && g[2].got == TURN_DISPLACED && !g[0].told); /* the youngest low one */
    assert_int_equal(come(c, &g[4], "ann", of_class(TURN_NORMAL)), TURN_WAIT);
    loop_drain(me);
    assert_true(g[0].told && g[0].got == TURN_DISPLACED);
    assert_int_equal(come(c, &g[5], "ann", of_class(TURN_NORMAL)), TURN_FULL);
    assert_int_equal(state_of("a").displaced, 2);
    go(&g[1]), go(&g[3]), go(&g[4]), go(&first);
    assert_int_equal(state_of("a").in_flight, 0);
    concurrency_unref(c);
}

/* Once a queue's pace is known nobody waits in vain: one turn comes every 100 ms, and who would be
 * the third has 250 ms. */
static void hopeless_ones_are_refused_at_once(void **state) {
    enum { MANY = 2 * TURN_PACE_KNOWN };
    struct guest g[MANY], second, third;
    struct turn_ask ask = {.limit = 1, .queue = 100, .wait_ms = 9000, .class = TURN_NORMAL};
    struct concurrency *c = concurrency_get(SPAN("a"), 64);
    (void)state;
    assert_int_equal(come(c, &g[0], "ann", ask), TURN_TAKEN);
    for (int i = 1; i < MANY; i++)
        assert_int_equal(come(c, &g[i], "ann", ask), TURN_WAIT);
    for (int i = 1; i < MANY - 1; i++) {
        pass(100);
        go(&g[i - 1]);
        assert_true(g[i].told && !g[i + 1].told);
    }
    ask.wait_ms = 250; /* one waits still */
    assert_int_equal(come(c, &second, "ann", ask), TURN_WAIT);
    assert_int_equal(come(c, &third, "ann", ask), TURN_LATE);
    assert_int_equal(third.turn.pace / 1000000, 300);
    ask.class = TURN_HIGH; /* before both of them */
    assert_int_equal(come(c, &third, "ann", ask), TURN_WAIT);
    go(&third), go(&second), go(&g[MANY - 2]), go(&g[MANY - 1]);
    assert_int_equal(state_of("a").in_flight, 0);
    concurrency_unref(c);
}

static void a_larger_limit_wakes(void **state) {
    _Atomic uint32_t moving = 1;
    struct guest g[4];
    struct turn_ask ask = {
        .limit = 100, .moving = &moving, .queue = 10, .wait_ms = 1000, .class = TURN_NORMAL};
    struct concurrency *c = concurrency_get(SPAN("a"), 64);
    (void)state;
    assert_int_equal(come(c, &g[0], "ann", ask), TURN_TAKEN);
    for (int i = 1; i < 4; i++)
        assert_int_equal(come(c, &g[i], "ann", ask), TURN_WAIT);
    moving = 3;
    turns_look_again(g[0].turn.turns, g[0].turn.cell);
    loop_drain(me);
    assert_true(g[1].told && g[2].told && !g[3].told);
    for (int i = 0; i < 4; i++)
        go(&g[i]);
    assert_int_equal(state_of("a").in_flight, 0);
    concurrency_unref(c);
}

static void give_twice(void *g) {
    struct guest *guest = g;
    turn_leave(&guest->turn);
    guest->turn.held = true;
    turn_leave(&guest->turn);
}
static void close_with_turns(void *c) {
    concurrency_unref(c);
}

static void leaks_are_seen(void **state) {
    struct guest g;
    struct concurrency *c = concurrency_get(SPAN("a"), 64);
    (void)state;
    assert_int_equal(come(c, &g, "ann", two), TURN_TAKEN);
    assert_true(ends_process(give_twice, &g));
    assert_true(ends_process(close_with_turns, c));
    go(&g);
    concurrency_unref(c);
}

/* A reload: the same table, so the counts stay. */
static void counts_last(void **state) {
    struct guest g[2];
    struct concurrency *old = concurrency_get(SPAN("a"), 64), *new;
    struct turn_ask one = {.limit = 1};
    (void)state;
    assert_int_equal(come(old, &g[0], "ann", one), TURN_TAKEN);
    new = concurrency_get(SPAN("a"), 64);
    assert_ptr_equal(old, new);
    assert_int_equal(come(new, &g[1], "ann", one), TURN_FULL);
    concurrency_unref(old);
    go(&g[0]);
    concurrency_unref(new);
}

/* ---- threads ------------------------------------------------------------------------------------
 */

enum { CREW = 4, ROUNDS = 4000, KEYS = 3, LIMIT = 1 };
struct worker {
    struct thread *thread;
    unsigned rounds, waits, late, cancelled;
};
static struct worker crew[CREW];
static struct concurrency *shared_table;
static atomic_int in_now[KEYS], in_most[KEYS];
static atomic_uint finished;

static void enter(unsigned key) {
    int n = atomic_fetch_add(&in_now[key], 1) + 1, most = atomic_load(&in_most[key]);
    while (n > most && !atomic_compare_exchange_weak(&in_most[key], &most, n))
        ;
}

static void one_round(struct worker *w, unsigned seed) {
    static const char *const name[KEYS] = {"a", "b", "c"};
    struct guest g;
    unsigned key = seed % KEYS;
    struct turn_ask ask = {.limit = LIMIT,
                           .queue = seed % 5 ? 50 : 0,
                           .wait_ms = 10000,
                           .class = (enum turn_class)(seed % TURN_CLASSES)};
    enum turn_result r = come(shared_table, &g, name[key], ask);
    if (r == TURN_WAIT) {
        w->waits++;
        if (seed % 11 == 0) { /* leaves, perhaps after it has been given a turn */
            loop_turn(me, 0);
            w->cancelled++;
        }
        while (seed % 11 && !g.told)
            loop_turn(me, 1);
    }
    if (g.turn.held) {
        enter(key);
        if (seed % 3 == 0)
            sched_yield();
        atomic_fetch_sub(&in_now[key], 1);
    }
    ops_cancel(&g.ops);
    turn_leave(&g.turn);
}

static void *work(void *arg) {
    struct worker *w = arg;
    me = &w->thread->loop;
    for (unsigned i = 0; i < ROUNDS; i++)
        one_round(w, i * 7 + w->thread->index);
    atomic_fetch_add(&finished, 1);
    while (atomic_load(&finished) < CREW)
        loop_turn(me, 1);
    return NULL;
}

/* A lost wake-up would be a test that never ends. */
static void threads_share_turns(void **state) {
    pthread_t id[CREW];
    (void)state;
    env.now_ns = env_os.now_ns;
    shared_table = concurrency_get(SPAN("threads"), 64);
    for (unsigned i = 0; i < CREW; i++)
        crew[i].thread = i ? house_thread(i, false) : thread_me();
    for (unsigned i = 0; i < CREW; i++)
        assert_int_equal(pthread_create(&id[i], NULL, work, &crew[i]), 0);
    unsigned waits = 0;
    for (unsigned i = 0; i < CREW; i++) {
        assert_int_equal(pthread_join(id[i], NULL), 0);
        waits += crew[i].waits;
    }
    for (unsigned i = 1; i < CREW; i++)
        house_thread_end(crew[i].thread);
    while (atomic_load(&me->inbox))
        loop_turn(me, 0);
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(atomic_load(&in_most[i]), LIMIT);
    assert_true(waits > 0);
    assert_int_equal(state_of("threads").in_flight, 0);
    assert_int_equal(state_of("threads").waiting, 0);
    assert_int_equal(state_of("threads").queued, waits);
    concurrency_unref(shared_table);
    env.now_ns = now_ns;
}

static int begin(void **state) {
    clock_ns = 1000000000;
    env.now_ns = now_ns;
    *state = house_thread(0, false);
    return 0;
}
static int end(void **state) {
    house_thread_end(*state);
    return 0;
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(a_key_has_so_many_turns),
        T(force_is_counted),
        T(more_keys_than_cells),
        T(turns_are_handed_on_in_order),
        T(a_turn_that_nobody_takes_goes_on),
        T(who_waits_too_long_is_refused),
        T(late_and_granted_at_once),
        T(classes_go_in_order),
        T(low_does_not_starve),
        T(a_higher_class_takes_a_place),
        T(hopeless_ones_are_refused_at_once),
        T(a_larger_limit_wakes),
        T(leaks_are_seen),
        T(counts_last),
        T(threads_share_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
