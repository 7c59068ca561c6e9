#include "base/page.h"
#include "base/env.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

enum { MANY = 1000 };

static bool in_memory(void *page) {
    unsigned char there = 0;
    assert_int_equal(mincore(page, PAGE_SIZE, &there), 0);
    return there & 1;
}

/* What a burst needed goes back once nobody has wanted it for a whole period; addresses serve
 * again. */
static void memory_follows_use(void **state) {
    (void)state;
    struct pages p;
    void *page[MANY];
    pages_init(&p);
    if (p.single)
        skip(); /* sanitizers and test builds: nothing is kept */
    for (int i = 0; i < MANY; i++) {
        assert_non_null(page[i] = page_take(&p));
        memset(page[i], 1, PAGE_SIZE);
    }
    for (int i = 0; i < MANY; i++)
        page_give(&p, page[i]);
    pages_trim(&p); /* they were in use since the last time */
    assert_int_equal(p.warm_count, MANY);
    pages_trim(&p);
    assert_int_equal(p.warm_count, PAGES_WARM);
    unsigned there = 0;
    for (int i = 0; i < MANY; i++)
        there += in_memory(page[i]);
    assert_int_equal(there, PAGES_WARM);
    for (int i = 0; i < MANY; i++)
        assert_non_null(page[i] = page_take(&p));
    for (int i = 0; i < MANY; i++)
        for (int k = 0; k < i; k++)
            assert_ptr_not_equal(page[i], page[k]);
    for (int i = 0; i < MANY; i++)
        page_give(&p, page[i]);
    pages_finish(&p);
}

static void objects_lie_close(void **state) {
    (void)state;
    struct pages p;
    struct slab s;
    char *object[MANY];
    pages_init(&p);
    slab_init(&s, 300, &p);
    for (int i = 0; i < MANY; i++) {
        assert_non_null(object[i] = slab_take(&s));
        memset(object[i], i & 127, 300);
        assert_int_equal((uintptr_t)object[i] & 15, 0);
    }
    for (int i = 0; i < MANY; i++)
        for (int k = 0; k < 300; k++)
            assert_int_equal(object[i][k], i & 127);
    for (int i = 0; i < MANY; i++)
        slab_give(&s, object[i]);
    slab_finish(&s);
    pages_finish(&p);
}

static int given;
static void *none(size_t n) {
    (void)n;
    return NULL;
}
static void *counted(size_t n) {
    given++;
    return env_os.alloc(n);
}

static void without_memory(void **state) {
    (void)state;
    struct pages p;
    struct slab s;
    env.alloc = none;
    pages_init(&p);
    slab_init(&s, 100, &p);
    assert_null(page_take(&p));
    assert_null(slab_take(&s));
    env.alloc = counted;
    void *o = slab_take(&s);
    assert_non_null(o);
    assert_int_equal(given, 1);
    slab_give(&s, o);
    slab_finish(&s);
    pages_finish(&p);
    env = env_os;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_follows_use),
        cmocka_unit_test(objects_lie_close),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
