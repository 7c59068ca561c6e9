/* core/lasting: one object per kind and key, closed by the last reference. */
#include "core/lasting.h"
#include "base/env.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include <pthread.h>

struct thing {
    uint64_t value;
    atomic_int users;
};
static atomic_int made, closed;

static void make(void *obj, struct span key) {
    struct thing *t = obj;
    assert_int_equal(t->value, 0); /* zeroed memory */
    t->value = key.n;
    atomic_fetch_add(&made, 1);
}
static void gone(void *obj) {
    assert_int_equal(atomic_load(&((struct thing *)obj)->users), 0);
    atomic_fetch_add(&closed, 1);
}
static const struct lasting_kind kind_a = {"a", sizeof(struct thing), make, gone};
static const struct lasting_kind kind_b = {"b", sizeof(struct thing), NULL, NULL};

static int reset(void **state) {
    (void)state;
    atomic_store(&made, 0);
    atomic_store(&closed, 0);
    return 0;
}

static void same_key_same_object(void **state) {
    char key[] = "name";
    (void)state;
    struct thing *t = lasting_get(&kind_a, span_of(key, 4));
    key[0] = 'x'; /* the key is copied */
    assert_int_equal(t->value, 4);
    assert_ptr_equal(lasting_get(&kind_a, SPAN("name")), t);
    assert_true(span_eq(lasting_key(t), SPAN("name")));
    assert_int_equal(atomic_load(&made), 1);
    lasting_unref(t);
    assert_int_equal(atomic_load(&closed), 0);
    lasting_unref(t);
    assert_int_equal(atomic_load(&closed), 1);
}

static void kinds_and_keys_are_apart(void **state) {
    (void)state;
    struct thing *a = lasting_get(&kind_a, SPAN("k")), *b = lasting_get(&kind_b, SPAN("k"));
    struct thing *c = lasting_get(&kind_a, SPAN("")), *d = lasting_get(&kind_a, SPAN("k\0"));
    assert_ptr_not_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_ptr_not_equal(a, d);
    lasting_unref(a);
    lasting_unref(b);
    lasting_unref(c);
    lasting_unref(d);
    lasting_unref(NULL);
    assert_int_equal(atomic_load(&closed), 3);
}

static void closed_and_made_anew(void **state) {
    (void)state;
    struct thing *t = lasting_get(&kind_a, SPAN("k"));
    t->value = 99;
    lasting_ref(t);
    lasting_unref(t);
    assert_int_equal(((struct thing *)lasting_get(&kind_a, SPAN("k")))->value, 99);
    lasting_unref(t);
    lasting_unref(t);
    t = lasting_get(&kind_a, SPAN("k"));
    assert_int_equal(t->value, 1);
    lasting_unref(t);
}

static void count(void *obj, void *ctx) {
    *(uint64_t *)ctx += ((struct thing *)obj)->value;
}

static void many(void **state) {
    enum { N = 1000 };
    static struct thing *all[N];
    char key[16];
    uint64_t sum = 0;
    (void)state;
    struct thing *other = lasting_get(&kind_b, SPAN("other"));
    other->value = 1000000;
    for (int i = 0; i < N; i++)
        all[i] = lasting_get(&kind_a, span_of(key, (size_t)snprintf(key, sizeof key, "%d", i)));
    for (int i = 0; i < N; i++) {
        struct thing *t =
            lasting_get(&kind_a, span_of(key, (size_t)snprintf(key, sizeof key, "%d", i)));
        assert_ptr_equal(t, all[i]);
        lasting_unref(t);
    }
    lasting_each(&kind_a, count, &sum);
    assert_int_equal(sum, 10 + 90 * 2 + 900 * 3);
    for (int i = 0; i < N; i++)
        lasting_unref(all[i]);
    lasting_unref(other);
    assert_int_equal(atomic_load(&closed), N);
    sum = 0;
    lasting_each(&kind_a, count, &sum);
    assert_int_equal(sum, 0);
}

static void *hammer(void *seed) {
    static const char *const key[] = {"a", "b", "c"};
    unsigned n = (unsigned)(uintptr_t)seed;
    for (int i = 0; i < 20000; i++) {
        n = n * 1103515245 + 12345;
        struct thing *t = lasting_get(&kind_a, span_z(key[(n >> 16) % 3]));
        atomic_fetch_add(&t->users, 1);
        lasting_ref(t);
        lasting_unref(t);
        atomic_fetch_sub(&t->users, 1);
        lasting_unref(t);
    }
    return NULL;
}

static void two_threads(void **state) {
    pthread_t t[2];
    (void)state;
    for (uintptr_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&t[i], NULL, hammer, (void *)(i + 1)), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    assert_true(atomic_load(&made) > 0);
    assert_int_equal(atomic_load(&made), atomic_load(&closed));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(same_key_same_object, reset),
        cmocka_unit_test_setup(kinds_and_keys_are_apart, reset),
        cmocka_unit_test_setup(closed_and_made_anew, reset),
        cmocka_unit_test_setup(many, reset),
        cmocka_unit_test_setup(two_threads, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
