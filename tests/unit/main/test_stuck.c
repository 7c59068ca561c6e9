/* A worker that hangs in one handler is told of, with what it is at; one that is busy with many
 * things is not. */
#include "base/log.h"
#include "main/gateway.h"
#include "main/stuck.h"
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct gateway gateway;
static struct worker worker;
static atomic_bool let_go, told;
static char line[LOG_EVENT_MAX];

/* In the control thread, which is the test's. */
static void heard(const char *text, size_t n) {
    if (!memmem(text, n, "worker_stuck", 12))
        return;
    memcpy(line, text, n < sizeof line ? n : sizeof line - 1);
    line[n < sizeof line ? n : sizeof line - 1] = 0;
    atomic_store(&told, true);
}

struct deed {
    struct message message;
    struct exchange *x;
};

static void hang(struct message *m) {
    struct deed *d = container_of(m, struct deed, message);
    atomic_store(&worker.thread.doing, d->x);
    while (!atomic_load(&let_go))
        poll(NULL, 0, 1); /* under TSan a signal is handled where a call may block */
    atomic_store(&worker.thread.doing, NULL);
    mem_free(d);
}

/* 300 ms of work, in pieces. */
static void go_on(struct message *m) {
    uint64_t until = env.now_ns() + 5000000;
    while (env.now_ns() < until)
        ;
    mem_free(container_of(m, struct deed, message));
}

static void stop(struct message *m) {
    worker.thread.loop.stop = true;
    mem_free(container_of(m, struct deed, message));
}

static void order(void (*what)(struct message *), struct exchange *x) {
    struct deed *d = mem_alloc(sizeof *d);
    d->x = x;
    d->message.receive = what;
    loop_send(&worker.thread.loop, &d->message);
}

static void *serve(void *arg) {
    (void)arg;
    loop_run(&worker.thread.loop);
    return NULL;
}

static int begin(void **state) {
    (void)state;
    atomic_store(&let_go, false);
    atomic_store(&told, false);
    assert_true(thread_init(&gateway.control, 1) && thread_init(&worker.thread, 0));
    gateway.control.control = true;
    gateway.worker = &worker;
    gateway.workers = 1;
    log_event_output(heard);
    assert_int_equal(pthread_create(&worker.id, NULL, serve, NULL), 0);
    worker.running = true;
    me = &gateway.control.loop;
    stuck_start(&gateway);
    return 0;
}

static int finish(void **state) {
    (void)state;
    order(stop, NULL);
    pthread_join(worker.id, NULL);
    stuck_stop();
    log_event_output(NULL);
    thread_finish(&worker.thread);
    thread_finish(&gateway.control);
    return 0;
}

static void look(int turns) {
    for (int i = 0; i < turns && !atomic_load(&told); i++)
        loop_turn(&gateway.control.loop, 1000);
}

static void tells_what_hangs(void **state) {
    static const struct filter_ops ops = {.name = "authorize"};
    const struct filter filter = {.ops = &ops};
    struct plan plan = {.filter = &filter, .count = 1};
    struct route route = {.name = SPAN("shop \"x\"")};
    static struct exchange x;
    (void)state;
    x = (struct exchange){.state = X_REQUEST, .calling = true, .depth = 1};
    x.plan = &plan;
    x.route = &route;
    memcpy(x.facts.request_id, "abc-1", 5);
    x.facts.request_id_len = 5;
    order(hang, &x);
    look(100);
    assert_true(atomic_load(&told));
    assert_non_null(
        strstr(line, "worker 0 is busy for over 100 ms with one request, in authorize"));
    assert_non_null(strstr(line, "request_id=\"abc-1\""));
    assert_non_null(strstr(line, "route=\"shop \\\"x\\\"\""));
    assert_int_equal(gateway.control.counters.workers_stuck, 1);
    atomic_store(&told, false);
    look(3); /* once for one hang */
    assert_false(atomic_load(&told));
    assert_int_equal(gateway.control.counters.workers_stuck, 1);
    atomic_store(&let_go, true);
}

static void tells_without_a_request(void **state) {
    (void)state;
    order(hang, NULL);
    look(100);
    assert_true(atomic_load(&told));
    assert_non_null(strstr(line, "with one thing"));
    atomic_store(&let_go, true);
}

static void busy_is_not_stuck(void **state) {
    (void)state;
    for (int i = 0; i < 100; i++)
        order(go_on, NULL);
    look(4);
    assert_false(atomic_load(&told));
    assert_int_equal(gateway.control.counters.workers_stuck, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tells_what_hangs, begin, finish),
        cmocka_unit_test_setup_teardown(tells_without_a_request, begin, finish),
        cmocka_unit_test_setup_teardown(busy_is_not_stuck, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
