/* base/arena: placing, growing, the cache and its reserve, and what happens without memory. */
#include "../must.h"
#include "base/arena.h"
#include "base/env.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static size_t live, refuse; /* blocks out; refuse: no more are given */
static void *counted_alloc(size_t n) {
    if (refuse || n > 1 << 30)
        return NULL;
    void *p = malloc(n);
    live += p != NULL;
    return p;
}
static void counted_release(void *p) {
    live--;
    free(p);
}

static struct arena_cache cache;
static int begin(void **state) {
    (void)state;
    env.alloc = counted_alloc;
    env.release = counted_release;
    live = refuse = 0;
    arena_cache_init(&cache);
    return live == ARENA_RESERVE ? 0 : -1;
}
/* Whatever a test did: nothing is left. */
static int finish(void **state) {
    (void)state;
    refuse = 0;
    arena_cache_finish(&cache);
    env.alloc = env_os.alloc;
    env.release = env_os.release;
    return live == 0 ? 0 : -1;
}

static void pieces(void **state) {
    (void)state;
    struct arena a;
    unsigned char *piece[3000];
    arena_init(&a, &cache);
    for (size_t i = 0; i < array_len(piece); i++) {
        size_t n = 1 + i * 7 % 9000; /* some larger than a block */
        piece[i] = arena_alloc(&a, n);
        assert_int_equal((uintptr_t)piece[i] % 16, 0);
        memset(piece[i], (int)(i % 251), n);
    }
    for (size_t i = 0; i < array_len(piece); i++) /* nobody wrote over anybody */
        for (size_t k = 0; k < 1 + i * 7 % 9000; k++)
            assert_int_equal(piece[i][k], i % 251);
    unsigned char *z = arena_zero(&a, 500);
    for (size_t k = 0; k < 500; k++)
        assert_int_equal(z[k], 0);
    assert_false(a.failed);
    arena_finish(&a);
    assert_int_equal(a.used, 0);
    assert_non_null(arena_try(&a, 0)); /* NULL would say that there is no memory */
    arena_finish(&a);
}

static void large_leave_the_block(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, &cache);
    char *one = arena_alloc(&a, 16);
    assert_non_null(arena_alloc(&a, 100000));
    char *two = arena_alloc(&a, 16);
    assert_ptr_equal(two, one + 16); /* what was left of the block is still used */
    arena_finish(&a);
}

static void texts(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, NULL);
    struct span s = arena_span(&a, SPAN("abc"));
    assert_memory_equal(s.p, "abc", 4);
    assert_string_equal(arena_text(&a, SPAN_NONE), "");
    assert_string_equal(arena_fmt(&a, "%d-%s", 7, "x"), "7-x");
    assert_int_equal(strlen(arena_fmt(&a, "%09000d", 1)), 9000);
    arena_finish(&a);
}

struct thing {
    char first[100];
    struct arena arena;
    char last[100];
};

static void object_and_arena_in_one(void **state) {
    (void)state;
    struct thing *t = arena_create(&cache, sizeof *t, offsetof(struct thing, last),
                                   offsetof(struct thing, arena));
    assert_non_null(t);
    assert_int_equal(live, ARENA_RESERVE + 1);
    for (size_t i = 0; i < sizeof t->first; i++)
        assert_int_equal(t->first[i], 0);
    char *p = arena_alloc(&t->arena, 64);
    assert_true(p >= (char *)(t + 1) && p + 64 <= (char *)t + ARENA_BLOCK);
    memset(t->last, 1, sizeof t->last);
    memset(p, 2, 64);
    assert_int_equal(t->last[99], 1);
    struct arena copy = t->arena;
    arena_finish(&copy); /* frees the object, too */
}

/* Without memory what must go on goes on from the reserve, and says so. */
static void reserve(void **state) {
    (void)state;
    struct arena a, b;
    arena_init(&a, &cache);
    assert_non_null(arena_alloc(&a, 4000));
    assert_false(a.failed);
    while (cache.pages.warm_count) /* what the cache kept is no reserve */
        assert_non_null(arena_alloc(&a, ARENA_BLOCK - 16));
    refuse = 1;
    for (unsigned i = 1; i <= ARENA_RESERVE; i++) {
        memset(arena_alloc(&a, ARENA_BLOCK - 16), 1, ARENA_BLOCK - 16);
        assert_true(a.failed);
        assert_int_equal(cache.reserved, ARENA_RESERVE - i);
    }
    arena_init(&b, &cache);
    assert_null(arena_try(&b, 10)); /* it does not touch the reserve */
    assert_null(arena_try(&b, 10000));
    assert_null(arena_create(&cache, 100, 100, 0));
    assert_false(b.failed);
    arena_finish(&a);
    assert_int_equal(cache.reserved, ARENA_RESERVE); /* filled first */
    arena_finish(&b);
}

/* Every allocation of a little life fails in turn: the same result, or a clean refusal. */
static size_t fuse;
static void *fused_alloc(size_t n) {
    return fuse && --fuse == 0 ? NULL : counted_alloc(n);
}

static void each_allocation_fails(void **state) {
    (void)state;
    bool failed = true;
    for (size_t n = 1; failed; n++) {
        struct arena a;
        failed = false;
        arena_init(&a, &cache);
        env.alloc = fused_alloc;
        fuse = n;
        for (int i = 0; i < 40; i++) {
            char *p = i % 3 ? arena_alloc(&a, 500) : arena_try(&a, (size_t)i * 400);
            if (p)
                memset(p, 3, 400);
            failed |= !p;
        }
        failed |= a.failed;
        fuse = 0;
        env.alloc = counted_alloc;
        arena_finish(&a);
        assert_int_equal(live, ARENA_RESERVE + cache.pages.warm_count);
        assert_true(n < 100);
    }
}

static void too_much(void *arg) {
    struct arena a;
    (void)arg;
    arena_init(&a, NULL);
    refuse = 1;
    arena_alloc(&a, 10); /* nobody to refuse and no reserve */
}
static void huge(void *arg) {
    struct arena *a = arg;
    arena_more(a, SIZE_MAX - 4);
}

static void broken_invariants(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, &cache);
    assert_true(ends_process(too_much, NULL));
    assert_true(ends_process(huge, &a));
    assert_null(arena_try(&a, SIZE_MAX - 4));
    assert_null(arena_try(&a, SIZE_MAX / 2));
    arena_finish(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pieces, begin, finish),
        cmocka_unit_test_setup_teardown(large_leave_the_block, begin, finish),
        cmocka_unit_test_setup_teardown(texts, begin, finish),
        cmocka_unit_test_setup_teardown(object_and_arena_in_one, begin, finish),
        cmocka_unit_test_setup_teardown(reserve, begin, finish),
        cmocka_unit_test_setup_teardown(each_allocation_fails, begin, finish),
        cmocka_unit_test_setup_teardown(broken_invariants, begin, finish),
    };
    return cmocka_run_group_tests_name("base/arena", tests, NULL, NULL);
}
