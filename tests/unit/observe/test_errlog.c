/* observe/errlog: many threads log, one writes; a full queue drops and counts. */
#include "observe/errlog.h"
#include "base/env.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

enum { OUT = 8 << 20 };
static char out[OUT];
static size_t out_n;
static bool broken;
static size_t at_once;

static ssize_t take(int fd, const void *p, size_t n) {
    assert_int_equal(fd, 2);
    if (broken) {
        errno = EAGAIN;
        return -1;
    }
    n = at_once && n > at_once ? at_once : n;
    assert_true(out_n + n < OUT);
    memcpy(out + out_n, p, n);
    out_n += n;
    out[out_n] = 0;
    return (ssize_t)n;
}

static int begin(void **state) {
    (void)state;
    env = env_os;
    env.write = take;
    out_n = at_once = 0;
    broken = false;
    errlog_start();
    return 0;
}
static int finish(void **state) {
    (void)state;
    errlog_stop();
    env = env_os;
    return 0;
}

static void events_wait_for_the_flush(void **state) {
    (void)state;
    log_event(LEVEL_ERROR, "errlog_a", "one");
    log_event(LEVEL_ERROR, "errlog_b", "two");
    assert_int_equal(out_n, 0);
    at_once = 7; /* in pieces */
    errlog_flush();
    char *one = strstr(out, " error errlog_a: one\n"), *two = strstr(out, " error errlog_b: two\n");
    assert_true(one && two && one < two);
    out_n = 0;
    errlog_flush();
    assert_int_equal(out_n, 0);
}

static void full_drops(void **state) {
    uint64_t before = errlog_dropped();
    (void)state;
    for (unsigned i = 0; i < ERRLOG_LINES + 5; i++)
        errlog_put("line\n", 5);
    assert_int_equal(errlog_dropped() - before, 5);
    errlog_flush();
    assert_int_equal(out_n, ERRLOG_LINES * 5);
    errlog_put("again\n", 6);
    errlog_flush();
    assert_int_equal(out_n, ERRLOG_LINES * 5 + 6);
}

static void standard_error_is_gone(void **state) {
    uint64_t before = errlog_dropped();
    (void)state;
    broken = true;
    errlog_put("a\n", 2);
    errlog_put("b\n", 2);
    errlog_flush();
    assert_int_equal(errlog_dropped() - before, 2);
}

static void after_the_stop_lines_go_out_at_once(void **state) {
    (void)state;
    errlog_put("left\n", 5);
    errlog_stop();
    assert_string_equal(out, "left\n");
    log_event(LEVEL_ERROR, "errlog_c", "late");
    assert_non_null(strstr(out, "errlog_c: late"));
}

enum { WRITERS = 3, EACH = 20000 };
static atomic_uint running;

static void *many(void *number) {
    for (unsigned i = 0; i < EACH; i++) {
        char line[64];
        int n = snprintf(line, sizeof line, "%u %u %*s\n", (unsigned)(uintptr_t)number, i,
                         (int)(i % 20), "");
        errlog_put(line, (size_t)n);
        if (i % 32 == 0)
            sched_yield(); /* so that more is seen than a full queue */
    }
    atomic_fetch_sub(&running, 1);
    return NULL;
}

/* Lines are whole; those of one thread stay in order; what is missing was counted. */
static void torture(void **state) {
    pthread_t t[WRITERS];
    uint64_t before = errlog_dropped(), lines = 0;
    unsigned next[WRITERS] = {0};
    (void)state;
    atomic_store(&running, WRITERS);
    for (uintptr_t i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, many, (void *)i), 0);
    while (atomic_load(&running))
        errlog_flush();
    for (int i = 0; i < WRITERS; i++)
        pthread_join(t[i], NULL);
    errlog_flush();
    for (char *p = out, *end; p < out + out_n; p = end + 1, lines++) {
        unsigned writer, number;
        int used;
        end = strchr(p, '\n');
        assert_non_null(end);
        assert_int_equal(sscanf(p, "%u %u %n", &writer, &number, &used), 2);
        assert_true(writer < WRITERS && number >= next[writer]);
        assert_int_equal(end - p,
                         snprintf(NULL, 0, "%u %u %*s", writer, number, (int)(number % 20), ""));
        next[writer] = number + 1;
    }
    assert_int_equal(lines + errlog_dropped() - before, WRITERS * EACH);
    print_message("# %u lines, %u dropped\n", (unsigned)lines,
                  (unsigned)(errlog_dropped() - before));
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, finish)
    const struct CMUnitTest tests[] = {
        T(events_wait_for_the_flush),           T(full_drops), T(standard_error_is_gone),
        T(after_the_stop_lines_go_out_at_once), T(torture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
