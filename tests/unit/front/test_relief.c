/* front: what connections give up while memory is short, over real loopback sockets with a virtual
 * clock. */
#include "clients.h"

#define GET "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"

enum { MANY = 600 };

/* A door as those of clients are: counted, and not the operator's. */
static void open_public(void) {
    static struct listener_conf conf;
    conf = (struct listener_conf){.name = SPAN("door"), .plan = *house_plan(&house, 0)};
    thread->snap->snapshot->listener = &conf;
    thread->snap->snapshot->listener_count = 1;
    open_door("127.0.0.1:0", NULL);
}

static void set(enum overload_level l) {
    overload_set_level(thread, l, 0);
    turns();
}

static uint64_t spared(void) {
    return thread->counters.client_connections_spared;
}

/* Idle for two seconds: closed. Fresh, at work, or the operator's: not. */
static void idle_ones_go(void **state) {
    (void)state;
    open_door("127.0.0.1:0", house_plan(&house, 0));
    int operator_s = connect_from(NULL);
    say(operator_s, GET);
    open_public();
    int idle = connect_from(NULL), silent = connect_from(NULL), half = connect_from(NULL);
    say(idle, GET);
    assert_int_equal(hear(idle), 0);
    assert_int_equal(count("Connection: close"), 0);
    say(half, "GET / HT");
    time_passes(5000);
    set(OVERLOAD_SPARE);
    time_passes(100);
    assert_int_equal(spared(), 2);
    assert_int_equal(hear(idle), 1);
    assert_int_equal(hear(silent), 1);
    assert_int_equal(hear(operator_s), 0);
    int fresh = connect_from(NULL);
    time_passes(1500);
    assert_int_equal(hear(fresh), 0);
    say(half, "TP/1.1\r\nHost: a\r\n\r\n"); /* what was begun is answered, and is the last */
    assert_int_equal(hear(half), 1);
    assert_int_equal(count("HTTP/1.1 200"), 1);
    assert_int_equal(count("Connection: close"), 1);
    time_passes(1500);
    assert_int_equal(hear(fresh), 1);
    assert_int_equal(spared(), 3);
    set(OVERLOAD_NONE);
    int later = connect_from(NULL);
    time_passes(5000);
    say(later, GET);
    assert_int_equal(hear(later), 0);
    assert_int_equal(count("Connection: close"), 0);
    int all[] = {operator_s, idle, silent, half, fresh, later};
    for (size_t i = 0; i < array_len(all); i++)
        close(all[i]);
}

/* More than one turn looks at: all are found, some turns later. */
static void many_idle_ones(void **state) {
    static int c[MANY];
    (void)state;
    open_public();
    for (int i = 0; i < MANY; i++) {
        c[i] = connect_from(NULL);
        if (i % 32 == 0)
            turns();
    }
    turns();
    assert_int_equal(listener_total(), MANY);
    time_passes(3000);
    overload_set_level(thread, OVERLOAD_SPARE, 0);
    clock_ns += MS;
    loop_turn(&thread->loop, 0);
    assert_in_range(spared(), 1, MANY - 1);
    time_passes(100);
    assert_int_equal(spared(), MANY);
    assert_int_equal(listener_total(), 0);
    for (int i = 0; i < MANY; i++)
        close(c[i]);
    set(OVERLOAD_NONE);
}

/* Who connects waits, and is taken in when it is over; the operator at once. */
static void nobody_is_accepted(void **state) {
    (void)state;
    open_public();
    int before = connect_from(NULL);
    say(before, GET);
    assert_int_equal(hear(before), 0);
    set(OVERLOAD_STOP);
    uint64_t accepted = thread->counters.client_connections_accepted;
    int c = connect_from(NULL);
    say(c, GET);
    time_passes(1000);
    assert_int_equal(hear(c), 0);
    assert_string_equal(heard, "");
    assert_int_equal(thread->counters.client_connections_accepted, accepted);
    struct address public = door;
    open_door("127.0.0.1:0", house_plan(&house, 0));
    int operator_s = connect_from(NULL);
    say(operator_s, GET);
    assert_int_equal(hear(operator_s), 1);
    assert_int_equal(count("HTTP/1.1 200"), 1);
    set(OVERLOAD_REFUSE);
    time_passes(10);
    assert_int_equal(hear(c), 1);
    assert_int_equal(count("HTTP/1.1 200"), 1);
    door = public;
    set(OVERLOAD_NONE);
    close(before);
    close(c);
    close(operator_s);
}

/* A listener that goes while a round is at it. */
static void listener_goes(void **state) {
    static int c[MANY];
    (void)state;
    open_public();
    for (int i = 0; i < MANY; i++) {
        c[i] = connect_from(NULL);
        if (i % 32 == 0)
            turns();
    }
    time_passes(3000);
    overload_set_level(thread, OVERLOAD_STOP, 0);
    loop_turn(&thread->loop, 0);
    listener_close(thread, SPAN("door"));
    time_passes(1000);
    assert_int_equal(listener_total(), 0);
    for (int i = 0; i < MANY; i++)
        close(c[i]);
    set(OVERLOAD_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(idle_ones_go, begin, finish),
        cmocka_unit_test_setup_teardown(many_idle_ones, begin, finish),
        cmocka_unit_test_setup_teardown(nobody_is_accepted, begin, finish),
        cmocka_unit_test_setup_teardown(listener_goes, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
