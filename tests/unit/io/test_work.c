/* io/work: jobs run elsewhere and come back to their loop. */
#include "io/work.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>

struct sum {
    struct job job; /* first */
    unsigned input;
    uint64_t result;
    pthread_t ran_in;
};

static struct loop loop;
static unsigned back;
static uint64_t total;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint ran;

static void add_up(struct job *j) {
    struct sum *s = container_of(j, struct sum, job);
    for (unsigned i = 1; i <= s->input; i++)
        s->result += i;
    s->ran_in = pthread_self();
    atomic_fetch_add(&ran, 1);
}
static void behind_the_gate(struct job *j) {
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    add_up(j);
}
static void came_back(struct job *j) {
    struct sum *s = container_of(j, struct sum, job);
    assert_ptr_equal(me, &loop);
    assert_false(pthread_equal(s->ran_in, pthread_self()));
    total += s->result;
    back++;
    mem_free(s);
}

static bool give(unsigned input, void (*run)(struct job *)) {
    struct sum *s = mem_alloc(sizeof *s);
    s->input = input;
    if (work_give(&s->job, run, came_back))
        return true;
    mem_free(s);
    return false;
}

static int begin(void **state) {
    (void)state;
    back = 0;
    total = 0;
    atomic_store(&ran, 0);
    return loop_init(&loop) ? (me = &loop, 0) : -1;
}
static int finish(void **state) {
    (void)state;
    loop_finish(&loop);
    return 0;
}

static void wait_for(unsigned n) {
    while (back < n)
        loop_turn(&loop, -1);
}

static void jobs_come_back(void **state) {
    (void)state;
    assert_true(work_start(2));
    for (unsigned i = 0; i < 100; i++)
        assert_true(give(i, add_up));
    wait_for(100);
    assert_int_equal(total, 166650); /* of the triangular numbers below 100 */
    work_stop();
}

static void the_queue_is_bounded(void **state) {
    unsigned taken = 0;
    (void)state;
    pthread_mutex_lock(&gate);
    assert_true(work_start(1));
    while (taken < 2 * WORK_QUEUE_MAX && give(1, behind_the_gate))
        taken++;
    /* one may have left the queue for the helper */
    assert_in_range(taken, WORK_QUEUE_MAX, WORK_QUEUE_MAX + 1);
    pthread_mutex_unlock(&gate);
    wait_for(taken);
    assert_true(give(1, add_up)); /* there is room again */
    wait_for(taken + 1);
    work_stop();
}

static void without_helpers_nothing_is_taken(void **state) {
    (void)state;
    assert_false(give(1, add_up));
    assert_true(work_start(1));
    work_stop();
    assert_false(give(1, add_up));
}

static void *stopper(void *unused) {
    work_stop();
    return unused;
}

/* What has begun ends, what has not is dropped; nothing leaks (the sanitizer says so). */
static void stopping_drops_what_waits(void **state) {
    pthread_t t;
    (void)state;
    pthread_mutex_lock(&gate);
    assert_true(work_start(1));
    for (unsigned i = 0; i < 10; i++)
        assert_true(give(1, behind_the_gate));
    assert_int_equal(pthread_create(&t, NULL, stopper, NULL), 0);
    pthread_mutex_unlock(&gate);
    pthread_join(t, NULL);
    loop_turn(&loop, 0);
    assert_int_equal(back, atomic_load(&ran));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jobs_come_back, begin, finish),
        cmocka_unit_test_setup_teardown(the_queue_is_bounded, begin, finish),
        cmocka_unit_test_setup_teardown(without_helpers_nothing_is_taken, begin, finish),
        cmocka_unit_test_setup_teardown(stopping_drops_what_waits, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
