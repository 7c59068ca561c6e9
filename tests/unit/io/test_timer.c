/*
 * io/timer: the wheel beside a plain list of times. Timers start, move, stop at random while time
 * creeps and jumps; none may fire early, none late, and the wheel must ask to be turned in time.
 */
#include "io/timer.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <base/check.h>
#include <cmocka.h>

enum { TIMERS = 40 };

static struct {
    struct timers wheel;
    struct timer timer[TIMERS];
    uint64_t due[TIMERS]; /* ms; 0: not running */
    uint64_t now, seed;
    unsigned fired;
} t;

static uint64_t random_below(uint64_t n) {
    t.seed = t.seed * 6364136223846793005u + 1442695040888963407u;
    return (t.seed >> 20) % n;
}

static void begin(uint64_t seed, uint64_t now) {
    memset(&t, 0, sizeof t);
    t.seed = seed;
    t.now = now;
    timers_init(&t.wheel, now);
}

/* As the loop does it: what is due fires, what was moved goes back into the wheel. */
static void turn(void) {
    timers_turn(&t.wheel, t.now);
    for (struct timer *f; (f = timers_next_due(&t.wheel));) {
        size_t i = (size_t)(f - t.timer);
        assert_false(timer_running(f));
        if (f->at > t.now) {
            timer_start(&t.wheel, f, f->at - 1, 0);
            continue;
        }
        if (t.due[i] == 0 || t.due[i] > t.now)
            fail_msg("timer %zu at %" PRIu64 ", wanted %" PRIu64, i, t.now, t.due[i]);
        t.due[i] = 0;
        t.fired++;
    }
    for (size_t i = 0; i < TIMERS; i++) {
        assert_int_equal(timer_running(&t.timer[i]), t.due[i] != 0);
        if (t.due[i] && t.due[i] <= t.now)
            fail_msg("timer %zu is late at %" PRIu64 ", due %" PRIu64, i, t.now, t.due[i]);
    }
}

static uint64_t next_due(void) {
    uint64_t least = 0;
    for (size_t i = 0; i < TIMERS; i++)
        if (t.due[i] && (!least || t.due[i] < least))
            least = t.due[i];
    return least;
}

/* It may ask to be woken too early, to move timers down, but never too late. */
static void check_wait(void) {
    uint64_t due = next_due();
    int64_t wait = timers_wait(&t.wheel, t.now, -1);
    if (!due)
        return; /* slots of stopped timers may still ask for a turn */
    assert_true(wait >= 0);
    if (t.now + (uint64_t)wait > due)
        fail_msg("waits %" PRId64 " at %" PRIu64 ", due %" PRIu64, wait, t.now, due);
    assert_true(timers_wait(&t.wheel, t.now, 5) <= 5);
}

static uint64_t some_delay(void) {
    static const uint64_t kind[] = {1,     3,      64,      65,       1000,      4096,
                                    60000, 262144, 3600000, 20000000, 1ull << 38};
    return random_below(kind[random_below(array_len(kind))] + 1);
}

static void step(void) {
    size_t i = random_below(TIMERS);
    switch (random_below(8)) {
    case 0:
        timer_stop(&t.timer[i]);
        t.due[i] = 0;
        break;
    case 1: /* time passes, perhaps to the millisecond that was asked for */
        t.now += random_below(3) ? (uint64_t)timers_wait(&t.wheel, t.now, 100000) : some_delay();
        turn();
        break;
    case 2:
        t.now += random_below(70);
        turn();
        break;
    default: {
        uint64_t delay = some_delay();
        timer_start(&t.wheel, &t.timer[i], t.now, delay);
        t.due[i] = t.now + delay + 1; /* "now" is cut to ms: one more, so never early */
    }
    }
    check_wait();
}

static void random_lives(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        begin(seed, seed % 3 ? seed * 977 : 0);
        for (int i = 0; i < 3000; i++)
            step();
        assert_true(t.fired > 100);
        while (next_due()) { /* only turned when it asks: everything fires in the end */
            int64_t wait = timers_wait(&t.wheel, t.now, -1);
            assert_true(wait >= 0);
            t.now += (uint64_t)wait;
            turn();
        }
    }
}

/* Waiting exactly as long as is asked for, a timer fires in its millisecond, however far away. */
static void to_the_millisecond(void **state) {
    (void)state;
    for (uint64_t start = 0; start < 5000; start += 37)
        for (uint64_t delay = 0; delay < 300000; delay = delay * 3 / 2 + 1) {
            begin(1, start);
            timer_start(&t.wheel, &t.timer[0], t.now, delay);
            t.due[0] = t.now + delay + 1;
            unsigned turns = 0;
            for (; t.due[0]; turns++) {
                t.now += (uint64_t)timers_wait(&t.wheel, t.now, -1);
                turn();
            }
            assert_int_equal(t.now, start + delay + 1);
            assert_true(turns <= 8); /* once a level */
        }
}

/* A timer that moves with every request stays where it is until its old place comes up. */
static void lazily_moved(void **state) {
    (void)state;
    begin(1, 0);
    timer_start(&t.wheel, &t.timer[0], 0, 60000);
    uint64_t filed = t.timer[0].filed;
    for (t.now = 1; t.now < 50000; t.now += 10)
        timer_start(&t.wheel, &t.timer[0], t.now, 60000);
    assert_int_equal(t.timer[0].filed, filed);
    t.due[0] = t.timer[0].at;
    while (t.due[0]) {
        t.now += (uint64_t)timers_wait(&t.wheel, t.now, -1);
        turn();
    }
    assert_int_equal(t.now, 49991 + 60000 + 1);
    timer_start(&t.wheel, &t.timer[0], t.now, 60000);
    timer_start(&t.wheel, &t.timer[0], t.now, 5); /* and to an earlier time at once */
    t.due[0] = t.now + 6;
    t.now += 6;
    turn();
    assert_int_equal(t.due[0], 0);
}

/* Who is due in the same millisecond can still be stopped or moved by who comes first. */
static void stopped_while_due(void **state) {
    (void)state;
    begin(1, 100);
    for (size_t i = 0; i < 3; i++)
        timer_start(&t.wheel, &t.timer[i], 100, 10);
    timers_turn(&t.wheel, 111);
    struct timer *first = timers_next_due(&t.wheel);
    assert_ptr_equal(first, &t.timer[0]);
    assert_int_equal(timers_wait(&t.wheel, 111, -1), 0);
    timer_stop(&t.timer[1]);
    timer_start(&t.wheel, &t.timer[2], 111, 50);
    assert_ptr_equal(timers_next_due(&t.wheel), &t.timer[2]);
    assert_int_equal(t.timer[2].at, 162); /* the loop sees that it has moved */
    assert_null(timers_next_due(&t.wheel));
    assert_int_equal(timers_wait(&t.wheel, 111, 77), 77);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_lives),
        cmocka_unit_test(to_the_millisecond),
        cmocka_unit_test(lazily_moved),
        cmocka_unit_test(stopped_while_due),
    };
    return cmocka_run_group_tests_name("io/timer", tests, NULL, NULL);
}
