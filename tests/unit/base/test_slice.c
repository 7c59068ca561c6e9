/* base/slice: counted, lent, shared and static pieces, and settling them; against a model. */
#include "../must.h"
#include "base/env.h"
#include "base/slice.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static size_t live;
static uint64_t fuse; /* the nth allocation fails; 0: none does */
static void *counted_alloc(size_t n) {
    if (fuse && --fuse == 0)
        return NULL;
    live++;
    return malloc(n);
}
static void counted_release(void *p) {
    live--;
    free(p);
}

static struct pond pond;
static int begin(void **state) {
    (void)state;
    env.alloc = counted_alloc;
    env.release = counted_release;
    live = 0;
    fuse = 0;
    pond = (struct pond){0};
    return 0;
}
static int finish(void **state) {
    (void)state;
    fuse = 0;
    pond_finish(&pond);
    env = env_os;
    return live == 0 ? 0 : -1;
}

static void owning(void **state) {
    (void)state;
    struct slice *s = slice_own(&pond, 5);
    memcpy(slice_bytes(s), "hello", 5);
    assert_memory_equal(s->p, "hello", 5);
    struct slice *t = slice_share(&pond, s);
    assert_ptr_equal(t->buf, s->buf);
    slice_free(&pond, s);
    assert_memory_equal(t->p, "hello", 5);
    slice_free(&pond, t);
    assert_int_equal(live, 2); /* the two slices, kept for the next */
    struct slice *u = slice_own(&pond, 1);
    assert_int_equal(live, 3); /* one of them, and a buffer */
    slice_free(&pond, u);
}

static unsigned released;
static void release(struct buf *b) {
    released++;
    free(b);
}

static void own_release(void **state) {
    (void)state;
    struct buf *b = calloc(1, sizeof *b + 4);
    b->refs = 1;
    b->release = release;
    struct slice *s = slice_new(&pond, b->data, 4, b), *t = slice_share(&pond, s);
    released = 0;
    slice_free(&pond, t);
    assert_int_equal(released, 0);
    slice_free(&pond, s);
    assert_int_equal(released, 1);
}

static void settling(void **state) {
    (void)state;
    char scratch[] = "abcdefgh";
    static const char fixed[] = "fixed";
    struct slice *a = slice_new(&pond, scratch, 3, NULL);
    struct slice *b = slice_new(&pond, scratch + 3, 2, NULL);
    struct slice *c = slice_new(&pond, scratch + 5, 3, NULL);
    struct slice *shared = slice_share(&pond, b);
    struct slice *f = slice_static(&pond, fixed, 5), *g = slice_share(&pond, f);
    a->p++, a->n--; /* a part of it has been taken */
    slice_free(&pond, c);
    assert_int_equal(pond.settled, 0);
    assert_true(pond_settle(&pond));
    memset(scratch, 'X', sizeof scratch);
    assert_int_equal(pond.settled, 2 + 2 + 2);
    assert_memory_equal(a->p, "bc", 2);
    assert_memory_equal(b->p, "de", 2);
    assert_memory_equal(shared->p, "de", 2);
    assert_ptr_equal(f->p, fixed); /* what outlives everything is not copied */
    assert_ptr_equal(g->p, fixed);
    assert_true(pond_settle(&pond)); /* once */
    assert_int_equal(pond.settled, 6);
    struct slice *after = slice_share(&pond, a);
    assert_ptr_equal(after->buf, a->buf);
    struct slice *all[] = {a, b, shared, f, g, after};
    for (size_t i = 0; i < array_len(all); i++)
        slice_free(&pond, all[i]);
}

/* Settling without memory: the slice keeps its length, has no bytes, and the pond says so. */
static void settling_fails(void **state) {
    (void)state;
    for (uint64_t n = 1; n <= 3; n++) {
        char scratch[] = "abc";
        struct slice *s[3];
        unsigned lost = 0;
        pond.failed = false;
        for (size_t i = 0; i < 3; i++)
            s[i] = slice_new(&pond, scratch + i, 1, NULL);
        fuse = n;
        assert_false(pond_settle(&pond));
        assert_true(pond.failed && !pond.lent);
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(s[i]->n, 1);
            lost += s[i]->p == NULL;
            assert_true(!s[i]->p || *s[i]->p == scratch[i]);
            slice_free(&pond, s[i]);
        }
        assert_int_equal(lost, 1);
    }
}

static void no_memory(void **state) {
    (void)state;
    fuse = 1;
    assert_null(slice_new(&pond, "", 0, NULL));
    fuse = 1;
    assert_null(slice_static(&pond, "", 0));
    for (uint64_t n = 1; n <= 2; n++) {
        fuse = n;
        assert_null(slice_own(&pond, 100));
        assert_int_equal(live, 0);
    }
    struct slice *s = slice_own(&pond, 4);
    fuse = 1;
    assert_null(slice_share(&pond, s));
    assert_int_equal(s->buf->refs, 1);
    slice_free(&pond, s);
}

static void spare_is_bounded(void **state) {
    (void)state;
    enum { N = 3000 };
    static struct slice *s[N];
    for (size_t i = 0; i < N; i++)
        s[i] = slice_static(&pond, "x", 1);
    for (size_t i = 0; i < N; i++)
        slice_free(&pond, s[i]);
    assert_int_equal(live, pond.spare);
    assert_true(pond.spare < N / 2);
}

/* A long random life beside a model that keeps its own copy of what every slice must show. */
static void random_life(void **state) {
    (void)state;
    enum { HELD = 64, SCRATCH = 4096 };
    static unsigned char scratch[SCRATCH];
    struct {
        struct slice *s;
        unsigned char want[32];
    } held[HELD] = {{0}};
    uint64_t seed = 7, used = 0;
#define RANDOM(n) ((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 33) % (n)
    for (int step = 0; step < 60000; step++) {
        size_t i = RANDOM(HELD), j = RANDOM(HELD), n = 1 + RANDOM(32);
        if (RANDOM(16) == 0 || used + 32 > SCRATCH) {
            assert_true(pond_settle(&pond));
            memset(scratch, 0xee, sizeof scratch);
            used = 0;
        } else if (held[i].s) {
            assert_memory_equal(held[i].s->p, held[i].want, held[i].s->n);
            slice_free(&pond, held[i].s);
            held[i].s = NULL;
        } else if (held[j].s && RANDOM(2)) {
            held[i].s = slice_share(&pond, held[j].s);
            memcpy(held[i].want, held[j].want, sizeof held[i].want);
        } else {
            for (size_t k = 0; k < n; k++)
                held[i].want[k] = (unsigned char)RANDOM(256);
            bool lent = RANDOM(3);
            held[i].s = lent ? slice_new(&pond, scratch + used, n, NULL) : slice_own(&pond, n);
            memcpy(lent ? scratch + used : slice_bytes(held[i].s), held[i].want, n);
            used += lent ? n : 0;
        }
    }
    for (size_t i = 0; i < HELD; i++)
        if (held[i].s) {
            assert_memory_equal(held[i].s->p, held[i].want, held[i].s->n);
            slice_free(&pond, held[i].s);
        }
}

static void finish_while_lent(void *arg) {
    (void)arg;
    if (slice_new(&pond, "a", 1, NULL))
        pond_finish(&pond);
}
static void broken_invariants(void **state) {
    (void)state;
    assert_true(ends_process(finish_while_lent, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(owning, begin, finish),
        cmocka_unit_test_setup_teardown(own_release, begin, finish),
        cmocka_unit_test_setup_teardown(settling, begin, finish),
        cmocka_unit_test_setup_teardown(settling_fails, begin, finish),
        cmocka_unit_test_setup_teardown(no_memory, begin, finish),
        cmocka_unit_test_setup_teardown(spare_is_bounded, begin, finish),
        cmocka_unit_test_setup_teardown(random_life, begin, finish),
        cmocka_unit_test_setup_teardown(broken_invariants, begin, finish),
    };
    return cmocka_run_group_tests_name("base/slice", tests, NULL, NULL);
}
