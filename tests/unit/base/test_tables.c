/* base/hash, base/map, base/list: against published vectors and against plain models. */
#include "base/list.h"
#include "base/map.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* SipHash-1-3 written from the paper once more, byte by byte and without tricks. */
static uint64_t rotate(uint64_t x, unsigned b) {
    return x << b | x >> (64 - b);
}
static void round_of(uint64_t v[4]) {
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}
static uint64_t siphash13(uint64_t k0, uint64_t k1, const unsigned char *p, size_t n) {
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                     k1 ^ 0x7465646279746573u};
    for (size_t word = 0; word <= n / 8; word++) {
        uint64_t m = word == n / 8 ? (uint64_t)(n & 255) << 56 : 0;
        for (size_t i = 0; i < 8 && word * 8 + i < n; i++)
            m |= (uint64_t)p[word * 8 + i] << (8 * i);
        v[3] ^= m;
        round_of(v);
        v[0] ^= m;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        round_of(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void hash(void **state) {
    (void)state;
    unsigned char text[300];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (unsigned char)(i * 7 + 1);
    /* Key 00 01 .. 0f, no input: the first vector that implementations of SipHash-1-3 share. */
    hash_seed(0x0706050403020100u, 0x0f0e0d0c0b0a0908u);
    assert_true(hash_bytes("", 0) == 0xabac0158050fc4dcu);
    for (size_t n = 0; n <= sizeof text; n++)
        assert_true(hash_bytes(text, n) ==
                    siphash13(0x0706050403020100u, 0x0f0e0d0c0b0a0908u, text, n));
    uint64_t before = hash_bytes(text, 20);
    hash_seed(1, 2);
    assert_true(hash_bytes(text, 20) != before);
    assert_true(hash_bytes(text, 20) == siphash13(1, 2, text, 20));
}

static void map(void **state) {
    (void)state;
    enum { KEYS = 5000 };
    static char text[KEYS][8];
    static int value[KEYS][2];
    struct map m = {0};
    assert_null(map_get(&m, SPAN("none")));
    for (size_t i = 0; i < KEYS; i++) {
        snprintf(text[i], sizeof text[i], "%zu", i);
        assert_null(map_put(&m, span_z(text[i]), &value[i][0]));
        assert_int_equal(m.count, i + 1);
        assert_true(m.count * 4 <= m.cap * 3 && (m.cap & (m.cap - 1)) == 0);
    }
    for (size_t i = 0; i < KEYS; i += 2)
        assert_ptr_equal(map_put(&m, span_z(text[i]), &value[i][1]), &value[i][0]);
    assert_int_equal(m.count, KEYS);
    for (size_t i = 0; i < KEYS; i++)
        assert_ptr_equal(map_get(&m, span_z(text[i])), &value[i][i % 2 == 0]);
    assert_null(map_get(&m, SPAN("5000")));
    assert_null(map_get(&m, SPAN("00")));
    assert_null(map_get(&m, SPAN("")));
    map_finish(&m);
    assert_null(map_get(&m, SPAN("1")));
}

/* Keys with NUL, empty keys, and many that share a slot. */
static void map_odd_keys(void **state) {
    (void)state;
    struct map m = {0};
    int a, b, c;
    assert_null(map_put(&m, span_of("\0", 1), &a));
    assert_null(map_put(&m, span_of("\0\0", 2), &b));
    assert_null(map_put(&m, SPAN(""), &c));
    assert_ptr_equal(map_get(&m, span_of("\0", 1)), &a);
    assert_ptr_equal(map_get(&m, span_of("\0\0", 2)), &b);
    assert_ptr_equal(map_get(&m, SPAN_NONE), &c);
    map_finish(&m);
}

struct node {
    struct list list;
    int number;
};
static int number(const struct list *n) {
    return ((const struct node *)(const void *)n)->number;
}

static void assert_list(const struct list *l, const int *want, size_t n) {
    const struct list *at = l->next, *back = l->prev;
    for (size_t i = 0; i < n; i++, at = at->next, back = back->prev) {
        assert_int_equal(number(at), want[i]);
        assert_int_equal(number(back), want[n - 1 - i]);
    }
    assert_ptr_equal(at, l);
    assert_ptr_equal(back, l);
    assert_int_equal(list_linked(l), n > 0);
}

/* A zeroed head may be asked too. */
static void list_basics(void **state) {
    (void)state;
    struct list l, zero = {NULL, NULL};
    struct node n = {.number = 1};
    assert_false(list_linked(&zero));
    assert_null(list_shift(&zero));
    list_init(&l);
    assert_null(list_shift(&l));
    list_remove(&n.list); /* unlinked: nothing happens */
    list_append(&l, &n.list);
    assert_true(list_linked(&n.list));
    assert_ptr_equal(list_shift(&l), &n.list);
    assert_true(!n.list.next && !n.list.prev);
    list_remove(&n.list);
    assert_false(list_linked(&l));
}

/* Random operations on two lists beside two arrays. */
static void list_random(void **state) {
    (void)state;
    enum { N = 12 };
    struct node node[N];
    struct list l[2];
    int model[2][N];
    size_t len[2] = {0, 0}, where[N];
    uint64_t seed = 3;
    memset(node, 0, sizeof node);
    list_init(&l[0]);
    list_init(&l[1]);
    for (int i = 0; i < N; i++)
        node[i].number = i, where[i] = 2;
    for (int step = 0; step < 20000; step++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t i = (seed >> 33) % N, k = (seed >> 45) % 2, op = (seed >> 50) % 5;
        if (op == 4 && (seed >> 56) % 4 == 0) { /* splice */
            list_splice(&l[k], &l[1 - k]);
            memcpy(model[k] + len[k], model[1 - k], len[1 - k] * sizeof(int));
            len[k] += len[1 - k];
            len[1 - k] = 0;
            for (int n = 0; n < N; n++)
                where[n] = where[n] == 1 - k ? k : where[n];
        } else if (where[i] < 2) { /* out */
            size_t w = where[i], at = 0;
            list_remove(&node[i].list);
            while (model[w][at] != (int)i)
                at++;
            memmove(model[w] + at, model[w] + at + 1, (--len[w] - at) * sizeof(int));
            where[i] = 2;
        } else if (op < 2) {
            list_append(&l[k], &node[i].list);
            model[k][len[k]++] = (int)i;
            where[i] = k;
        } else {
            list_prepend(&l[k], &node[i].list);
            memmove(model[k] + 1, model[k], len[k]++ * sizeof(int));
            model[k][0] = (int)i;
            where[i] = k;
        }
        assert_list(&l[0], model[0], len[0]);
        assert_list(&l[1], model[1], len[1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash),         cmocka_unit_test(map),
        cmocka_unit_test(map_odd_keys), cmocka_unit_test(list_basics),
        cmocka_unit_test(list_random),
    };
    return cmocka_run_group_tests_name("base/tables", tests, NULL, NULL);
}
