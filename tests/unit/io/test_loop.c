/*
 * io/loop: the order of things in a turn, messages from other threads, readers that go on in the
 * next turn, the scratch and what is lent from it.
 */
#include "io/loop.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static struct loop l;
static char log_text[512];
static void note(const char *what) {
    strncat(log_text, what, sizeof log_text - strlen(log_text) - 1);
    strncat(log_text, " ", sizeof log_text - strlen(log_text) - 1);
}

static int begin(void **state) {
    (void)state;
    log_text[0] = 0;
    me = &l;
    return loop_init(&l) ? 0 : -1;
}
static int finish(void **state) {
    (void)state;
    loop_finish(&l);
    return 0;
}

/* One of each kind, that notes its name and may start others. */
struct actor {
    struct task task;
    struct output output;
    struct reader reader;
    struct deferred deferred;
    struct message message;
    struct timer timer;
    const char *name;
    void (*then)(struct actor *);
    unsigned calls;
};
static void act(struct actor *a) {
    a->calls++;
    note(a->name);
    if (a->then)
        a->then(a);
}
static void run_task(struct task *t) {
    act(container_of(t, struct actor, task));
}
static void run_output(struct output *o) {
    act(container_of(o, struct actor, output));
}
static void run_reader(struct reader *r) {
    act(container_of(r, struct actor, reader));
}
static void run_deferred(struct deferred *d) {
    act(container_of(d, struct actor, deferred));
}
static void run_message(struct message *m) {
    act(container_of(m, struct actor, message));
}
static void run_timer(struct timer *t) {
    act(container_of(t, struct actor, timer));
}
#define ACTOR(n)                                                                                   \
    {                                                                                              \
        .task.run = run_task, .output.flush = run_output, .reader.again = run_reader,              \
        .deferred.run = run_deferred, .message.receive = run_message, .timer.fire = run_timer,     \
        .name = n                                                                                  \
    }

static struct actor task_a, task_b, out_a, out_b, late, drained, turned;
static void actors(void) {
    task_a = (struct actor)ACTOR("task-a");
    task_b = (struct actor)ACTOR("task-b");
    out_a = (struct actor)ACTOR("out-a");
    out_b = (struct actor)ACTOR("out-b");
    late = (struct actor)ACTOR("late");
    drained = (struct actor)ACTOR("drained");
    turned = (struct actor)ACTOR("turned");
}

static void post_b(struct actor *a) {
    if (a->calls == 1)
        loop_post(&l, &task_b.task);
}
static void post_a(struct actor *a) {
    if (a->calls == 1)
        loop_post(&l, &task_a.task);
}
static void mark_again(struct actor *a) {
    if (a->calls == 1) {
        loop_output(&l, &a->output);
        loop_post(&l, &task_b.task);
    }
}

/* Tasks until there are none, then outputs; again until quiet; then what waits for the drain. */
static void order_of_a_drain(void **state) {
    (void)state;
    actors();
    loop_after_drain(&l, &drained.deferred);
    loop_output(&l, &out_a.output);
    loop_output(&l, &out_b.output);
    loop_output(&l, &out_a.output); /* twice is once */
    loop_post(&l, &task_a.task);
    loop_post(&l, &task_a.task);
    task_a.then = post_b;
    out_a.then = mark_again;
    drained.then = post_a; /* what it starts is part of this drain */
    loop_drain(&l);
    assert_string_equal(log_text, "task-a task-b out-a out-b task-b out-a drained task-a ");
}

static void mark_late(struct actor *a) {
    (void)a;
    loop_late_output(&l, &late.output);
    loop_after_turn(&l, &turned.deferred);
    loop_post(&l, &task_a.task);
}
static void late_again(struct actor *a) {
    if (a->calls > 1)
        return;
    loop_late_output(&l, &a->output);
    loop_post(&l, &task_b.task);
    loop_after_drain(&l, &drained.deferred);
}

/* Late outputs come at the end of the turn; what they cause does not wait for the next event. */
static void order_of_a_turn(void **state) {
    (void)state;
    actors();
    struct actor timer = ACTOR("timer"), reader = ACTOR("reader"), message = ACTOR("message");
    timer.then = mark_late;
    late.then = late_again;
    timer_start(&l.timers, &timer.timer, l.now / 1000000, 0);
    loop_unfinished(&l, &reader.reader);
    loop_send(&l, &message.message);
    while (!timer.calls)
        loop_turn(&l, -1); /* the timer is due within 2 ms: a turn ends by itself */
    assert_string_equal(log_text, "message reader timer task-a late task-b drained turned ");
    assert_int_equal(loop_wait_ms(&l, l.now, -1), 0); /* it has marked itself again */
    loop_turn(&l, -1);
    assert_int_equal(late.calls, 2);
    assert_int_equal(loop_wait_ms(&l, l.now, 1000), 1000);
}

static void mark_reader(struct actor *a) {
    if (a->calls < 3)
        loop_unfinished(&l, &a->reader);
}

/* Who had more to read than his share goes on once in every turn. */
static void unfinished_readers(void **state) {
    (void)state;
    struct actor a = ACTOR("a"), b = ACTOR("b");
    a.then = b.then = mark_reader;
    loop_unfinished(&l, &a.reader);
    loop_unfinished(&l, &b.reader);
    for (unsigned turn = 1; turn <= 3; turn++) {
        loop_turn(&l, -1);
        assert_int_equal(a.calls, turn);
        assert_int_equal(b.calls, turn);
    }
    assert_string_equal(log_text, "a b a b a b ");
    struct actor c = ACTOR("c"), d = ACTOR("d");
    loop_unfinished(&l, &c.reader);
    loop_unfinished(&l, &d.reader);
    list_remove(&d.reader.node); /* its connection is closed meanwhile */
    loop_turn(&l, -1);
    assert_int_equal(c.calls, 1);
    assert_int_equal(d.calls, 0);
}

/* ---- descriptors */

struct pair {
    struct watch watch;
    int peer;
    uint32_t events;
    unsigned calls;
    struct pair *closes;
};
static void pair_ready(struct watch *w, uint32_t events) {
    struct pair *p = container_of(w, struct pair, watch);
    p->events |= events;
    p->calls++;
    if (p->closes)
        loop_unwatch(&l, &p->closes->watch);
}
static void pair_open(struct pair *p) {
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    *p = (struct pair){.watch.ready = pair_ready, .peer = fd[1]};
    assert_true(loop_watch(&l, &p->watch, fd[0]));
}
static void pair_close(struct pair *p) {
    loop_unwatch(&l, &p->watch);
    loop_unwatch(&l, &p->watch); /* again: nothing */
    close(p->peer);
}

static void edges(void **state) {
    (void)state;
    struct pair p;
    pair_open(&p);
    loop_turn(&l, 0);
    assert_true(p.events & EPOLLOUT);
    assert_int_equal(p.calls, 1);
    loop_turn(&l, 0);
    assert_int_equal(p.calls, 1); /* an edge comes once */
    assert_int_equal(write(p.peer, "x", 1), 1);
    loop_turn(&l, 0);
    assert_true(p.calls == 2 && (p.events & EPOLLIN));
    shutdown(p.peer, SHUT_WR);
    loop_turn(&l, 0);
    assert_true(p.calls == 3 && (p.events & EPOLLRDHUP));
    pair_close(&p);
}

/* Two events in one batch, the first handler closes the second's descriptor: that one is not
 * called. */
static void closed_in_the_batch(void **state) {
    (void)state;
    struct pair a, b;
    pair_open(&a);
    pair_open(&b);
    a.closes = &b;
    b.closes = &a;
    loop_turn(&l, 0);
    assert_int_equal(a.calls + b.calls, 1);
    pair_close(&a);
    pair_close(&b);
}

/* ---- the scratch */

static void lend_from_scratch(void **state) {
    (void)state;
    memcpy(l.scratch, "abcdef", 6);
    l.scratch_used = 6;
    struct slice *kept = slice_new(&l.pond, l.scratch + 1, 4, NULL);
    unsigned char *before = l.scratch;
    loop_drain(&l);
    assert_ptr_equal(l.scratch, before); /* it never changes hands */
    assert_int_equal(l.scratch_used, 0);
    assert_memory_equal(kept->p, "bcde", 4);
    assert_int_equal(l.pond.settled, 4);
#ifdef SLUICE_TEST_BUILD
    for (int i = 0; i < 6; i++) /* a pointer that was kept shows itself */
        assert_int_equal(l.scratch[i], 0xEE);
#endif
    slice_free(&l.pond, kept);
}

static unsigned drains;
static void count_drain(struct loop *x) {
    assert_ptr_equal(x, &l);
    assert_null(x->pond.lent); /* settled before */
    drains++;
}
static void told_after_settling(void **state) {
    (void)state;
    l.on_drained = count_drain;
    drains = 0;
    l.scratch_used = 1;
    struct slice *s = slice_new(&l.pond, l.scratch, 1, NULL);
    loop_drain(&l);
    assert_int_equal(drains, 1);
    slice_free(&l.pond, s);
    l.on_drained = NULL;
}

/* ---- messages */

enum { SENDERS = 4, EACH = 20000 };
struct letter {
    struct message message;
    unsigned from, number;
};
static struct letter letters[SENDERS][EACH];
static unsigned got[SENDERS], got_all;
static pthread_t receiver;

static void receive(struct message *m) {
    struct letter *x = container_of(m, struct letter, message);
    assert_true(pthread_equal(pthread_self(), receiver));
    assert_int_equal(x->number, got[x->from]); /* of one sender: in order, each once */
    got[x->from]++;
    got_all++;
}
static void *sender(void *arg) {
    struct letter *mine = arg;
    for (unsigned i = 0; i < EACH; i++)
        loop_send(&l, &mine[i].message);
    return NULL;
}

/* The loop sleeps without a limit between messages: one lost wake-up and this never ends. */
static void messages_from_threads(void **state) {
    (void)state;
    pthread_t th[SENDERS];
    receiver = pthread_self();
    memset(got, 0, sizeof got);
    got_all = 0;
    for (unsigned s = 0; s < SENDERS; s++) {
        for (unsigned i = 0; i < EACH; i++)
            letters[s][i] = (struct letter){.message.receive = receive, .from = s, .number = i};
        assert_int_equal(pthread_create(&th[s], NULL, sender, letters[s]), 0);
    }
    while (got_all < SENDERS * EACH)
        loop_turn(&l, -1);
    for (unsigned s = 0; s < SENDERS; s++)
        pthread_join(th[s], NULL);
    assert_null(atomic_load(&l.inbox));
}

/* Ping and pong between two loops: every message is the only one, so each wake-up counts. */
enum { PINGS = 3000 };
static struct loop other;
static struct letter ping, pong;
static void got_ping(struct message *m) {
    (void)m;
    pong.number++;
    loop_send(&l, &pong.message);
    other.stop = pong.number == PINGS;
}
static void got_pong(struct message *m) {
    (void)m;
    if (pong.number < PINGS)
        loop_send(&other, &ping.message);
    else
        l.stop = true;
}
static void *run_other(void *arg) {
    (void)arg;
    loop_run(&other);
    return NULL;
}
static void ping_pong(void **state) {
    (void)state;
    pthread_t th;
    assert_true(loop_init(&other));
    ping = (struct letter){.message.receive = got_ping};
    pong = (struct letter){.message.receive = got_pong};
    assert_int_equal(pthread_create(&th, NULL, run_other, NULL), 0);
    loop_send(&other, &ping.message);
    loop_run(&l);
    pthread_join(th, NULL);
    assert_int_equal(pong.number, PINGS);
    loop_finish(&other);
}

/* A message that nobody received any more is freed with the loop. */
static void undelivered(void **state) {
    (void)state;
    assert_true(loop_init(&other));
    struct message *m = mem_alloc(sizeof *m);
    loop_send(&other, m);
    loop_finish(&other);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, begin, finish)
    const struct CMUnitTest tests[] = {
        T(order_of_a_drain),    T(order_of_a_turn),
        T(unfinished_readers),  T(edges),
        T(closed_in_the_batch), T(lend_from_scratch),
        T(told_after_settling), T(messages_from_threads),
        T(ping_pong),           T(undelivered),
    };
    return cmocka_run_group_tests_name("io/loop", tests, NULL, NULL);
}
