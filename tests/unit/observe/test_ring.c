/* observe/ring: pieces arrive whole and in order, or are refused. */
#include "observe/ring.h"
#include "base/env.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

static bool put(struct ring *r, const char *text, size_t n, uint32_t tag) {
    char *p = ring_reserve(r, n);
    if (!p)
        return false;
    memcpy(p, text, n);
    ring_commit(r, n, tag);
    return true;
}

static void in_order(void **state) {
    struct ring r;
    struct span piece;
    uint32_t tag;
    (void)state;
    assert_true(ring_init(&r, 1024));
    assert_false(ring_peek(&r, &piece, &tag));
    assert_true(put(&r, "one", 3, 1));
    assert_true(put(&r, "", 0, 2));
    assert_true(put(&r, "three", 5, 3));
    static const char *const want[] = {"one", "", "three"};
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(ring_peek(&r, &piece, &tag));
        assert_true(span_eq(piece, span_z(want[i])));
        assert_int_equal(tag, i + 1);
        ring_pop(&r);
    }
    assert_false(ring_peek(&r, &piece, &tag));
    ring_finish(&r);
}

/* A reserve that is not committed leaves nothing. */
static void reserve_alone_is_nothing(void **state) {
    struct ring r;
    struct span piece;
    uint32_t tag;
    (void)state;
    assert_true(ring_init(&r, 1024));
    assert_non_null(ring_reserve(&r, 200));
    assert_false(ring_peek(&r, &piece, &tag));
    assert_true(put(&r, "x", 1, 9));
    assert_true(ring_peek(&r, &piece, &tag) && piece.n == 1 && tag == 9);
    ring_finish(&r);
}

static void full_refuses_and_recovers(void **state) {
    struct ring r;
    struct span piece;
    uint32_t tag;
    char text[100];
    (void)state;
    memset(text, 'x', sizeof text);
    assert_true(ring_init(&r, 1024));
    unsigned n = 0, got = 0;
    while (put(&r, text, sizeof text, n))
        n++;
    assert_int_equal(n, 1024 / 112); /* 8 + 100, in eights */
    assert_true(ring_peek(&r, &piece, &tag) && tag == 0);
    ring_pop(&r);
    /* The freed room lies at the beginning, behind an end that is too short. */
    assert_true(put(&r, text, 80, n));
    assert_false(put(&r, text, sizeof text, n));
    while (ring_peek(&r, &piece, &tag)) {
        assert_int_equal(tag, ++got);
        ring_pop(&r);
    }
    assert_int_equal(got, n);
    ring_finish(&r);
}

/* Read in time, it stays in its first part and touches no more memory. */
static void an_empty_ring_begins_again(void **state) {
    struct ring r;
    struct span piece;
    uint32_t tag;
    char text[1000] = "";
    (void)state;
    assert_true(ring_init(&r, 1024 * 1024));
    size_t furthest = 0;
    for (unsigned i = 0; i < 5000; i++) {
        assert_true(put(&r, text, sizeof text, i));
        assert_true(ring_peek(&r, &piece, &tag) && tag == i);
        size_t at = (size_t)(piece.p - r.p);
        furthest = at > furthest ? at : furthest;
        ring_pop(&r);
    }
    assert_true(furthest < 530 * 1024);
    ring_finish(&r);
}

static void *none(size_t n) {
    (void)n;
    return NULL;
}
static void no_memory(void **state) {
    struct ring r;
    (void)state;
    env.alloc = none;
    assert_false(ring_init(&r, 1024));
    env = env_os;
}

enum { PIECES = 200000 };
static struct ring shared;
static atomic_uint refused;

/* Lengths and bytes follow from the number, so the reader knows what to expect. */
static void *produce(void *unused) {
    for (uint32_t i = 0; i < PIECES;) {
        size_t n = 4 + i * 7 % 120;
        char *p = ring_reserve(&shared, 128);
        if (!p) {
            atomic_fetch_add(&refused, 1);
            sched_yield();
            continue;
        }
        memset(p, (int)(i & 0x7f), n);
        memcpy(p, &i, 4);
        ring_commit(&shared, n, i ^ 0x5a5a);
        i++;
    }
    return unused;
}

static void torture(void **state) {
    pthread_t t;
    (void)state;
    assert_true(ring_init(&shared, 4096));
    assert_int_equal(pthread_create(&t, NULL, produce, NULL), 0);
    for (uint32_t i = 0; i < PIECES;) {
        struct span piece;
        uint32_t tag, number;
        if (!ring_peek(&shared, &piece, &tag)) {
            sched_yield();
            continue;
        }
        memcpy(&number, piece.p, 4);
        assert_int_equal(number, i);
        assert_int_equal(tag, i ^ 0x5a5a);
        assert_int_equal(piece.n, 4 + i * 7 % 120);
        for (size_t k = 4; k < piece.n; k++)
            if (piece.p[k] != (char)(i & 0x7f))
                fail_msg("piece %u is torn", i);
        ring_pop(&shared);
        i++;
    }
    pthread_join(t, NULL);
    print_message("# refused %u times\n", atomic_load(&refused));
    ring_finish(&shared);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order),
        cmocka_unit_test(reserve_alone_is_nothing),
        cmocka_unit_test(full_refuses_and_recovers),
        cmocka_unit_test(an_empty_ring_begins_again),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(torture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
