/* limit/cells: counts of many keys in little memory, changed by many at once. */
#include "limit/cells.h"
#include "base/env.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SLOW 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SLOW 1
#endif
#endif
#ifdef SLOW
enum { MANY_KEYS = 1000000 };
#else
enum { MANY_KEYS = 10000000 };
#endif

/* ---- a rule: a value is the time until which all is paid for ---- */

static uint64_t owes(const void *rule, uint64_t value, uint64_t now) {
    (void)rule;
    return value > now ? value - now : 0;
}
static uint64_t join(const void *rule, uint64_t value, uint64_t other, uint64_t now) {
    return (value > now ? value : now) + owes(rule, other, now);
}
static const struct cell_rule rule = {owes, join, NULL};

struct charge {
    struct cell_change change;       /* first */
    uint64_t more, most;             /* nobody may owe more than that */
    uint64_t seen;                   /* what the key owed before */
    void (*before)(struct charge *); /* what others do between looking and changing */
};

static bool charge(struct cell_change *c, uint64_t value, uint64_t *next) {
    struct charge *g = (struct charge *)c;
    void (*before)(struct charge *) = g->before;
    g->before = NULL;
    if (before)
        before(g);
    g->seen = owes(NULL, value, c->now);
    *next = c->now + g->seen + g->more;
    return g->seen + g->more <= g->most;
}

static uint64_t hash_of(uint64_t key) { /* all bits of it matter */
    key += 0x9e3779b97f4a7c15u;
    key = (key ^ key >> 30) * 0xbf58476d1ce4e5b9u;
    key = (key ^ key >> 27) * 0x94d049bb133111ebu;
    return key ^ key >> 31;
}

static struct charge charge_of(uint64_t key, uint64_t now, uint64_t more) {
    return (struct charge){
        .change = {.change = charge, .rule = &rule, .hash = hash_of(key), .now = now},
        .more = more,
        .most = UINT64_MAX};
}

static bool add(struct cells *t, uint64_t key, uint64_t now, uint64_t more, uint64_t most) {
    struct charge c = charge_of(key, now, more);
    c.most = most;
    return cells_change(t, &c.change);
}

static uint64_t owed(struct cells *t, uint64_t key, uint64_t now) {
    struct charge c = charge_of(key, now, 1);
    c.most = 0; /* looks only */
    assert_false(cells_change(t, &c.change));
    return c.seen;
}

/* ---- one bucket ---- */

static void a_key_has_a_cell(void **state) {
    (void)state;
    struct cells *t = cells_get(SPAN("one"), 4);
    assert_int_equal(cells_size(t), 4);
    assert_int_equal(cells_memory(t), 64);
    assert_int_equal(owed(t, 1, 100), 0);
    assert_true(add(t, 1, 100, 5, 100));
    assert_true(add(t, 1, 100, 5, 100));
    assert_true(add(t, 2, 100, 7, 100));
    assert_int_equal(owed(t, 1, 100), 10);
    assert_int_equal(owed(t, 2, 100), 7);
    assert_int_equal(owed(t, 2, 104), 3);
    assert_false(add(t, 1, 100, 91, 100));
    assert_int_equal(owed(t, 1, 100), 10);
    assert_true(cells_forget(t, hash_of(1)));
    assert_false(cells_forget(t, hash_of(1)));
    assert_int_equal(owed(t, 1, 100), 0);
    assert_int_equal(owed(t, 2, 100), 7);
    cells_unref(t);
}

static void it_lasts_by_its_name(void **state) {
    (void)state;
    struct cells *t = cells_get(SPAN("lasting|gcra|0"), 100), *same;
    assert_int_equal(cells_size(t), 128);
    add(t, 1, 100, 5, 100);
    same = cells_get(SPAN("lasting|gcra|0"), 100);
    assert_ptr_equal(t, same);
    cells_unref(t);
    assert_int_equal(owed(same, 1, 100), 5);
    cells_unref(same);
    t = cells_get(SPAN("lasting|gcra|0"), 100);
    assert_int_equal(owed(t, 1, 100), 0);
    cells_unref(t);
}

static void a_newcomer_inherits_the_least(void **state) {
    (void)state;
    struct cells *t = cells_get(SPAN("full"), 4);
    for (uint64_t k = 1; k <= 4; k++)
        add(t, k, 100, 10 * k, 1000);
    struct charge c = charge_of(5, 100, 1);
    c.most = 10; /* with what it inherits, too much: it takes no place */
    assert_false(cells_change(t, &c.change));
    assert_true(c.change.inherited);
    assert_int_equal(c.seen, 10);
    for (uint64_t k = 1; k <= 4; k++)
        assert_int_equal(owed(t, k, 100), 10 * k);
    c.most = 11;
    assert_true(cells_change(t, &c.change));
    assert_true(c.change.inherited);
    assert_int_equal(owed(t, 5, 100), 11);
    assert_int_equal(owed(t, 1, 100), 11); /* evicted: not less than it owed */
    for (uint64_t k = 2; k <= 4; k++)
        assert_int_equal(owed(t, k, 100), 10 * k);
    cells_unref(t);
}

static void what_is_paid_is_free(void **state) {
    (void)state;
    struct cells *t = cells_get(SPAN("paid"), 4);
    for (uint64_t k = 1; k <= 4; k++)
        add(t, k, 100, 10 * k, 1000);
    struct charge c = charge_of(5, 110, 1); /* key 1 owes nothing any more */
    assert_true(cells_change(t, &c.change));
    assert_false(c.change.inherited);
    assert_int_equal(owed(t, 5, 110), 1);
    assert_int_equal(owed(t, 2, 110), 10);
    cells_unref(t);
}

/* Whoever gives back must not take the place of others. */
static bool only_own(struct cell_change *c, uint64_t value, uint64_t *next) {
    *next = value;
    return c->own;
}
static void who_is_not_there_changes_nothing(void **state) {
    (void)state;
    struct cells *t = cells_get(SPAN("own"), 4);
    add(t, 1, 100, 10, 100);
    struct cell_change c = {.change = only_own, .rule = &rule, .hash = hash_of(2), .now = 100};
    assert_false(cells_change(t, &c));
    c.hash = hash_of(1);
    assert_true(cells_change(t, &c));
    cells_unref(t);
}

/* Hashes of which nothing may be lost: those that mean something as a tag. */
static void strange_hashes(void **state) {
    (void)state;
    static const uint64_t hashes[] = {0, 1, UINT64_MAX, 1ull << 63, 1ull << 32};
    struct cells *t = cells_get(SPAN("strange"), 1024);
    for (unsigned i = 0; i < array_len(hashes); i++) {
        struct charge c = charge_of(0, 100, 3);
        c.change.hash = hashes[i];
        assert_true(cells_change(t, &c.change));
        assert_true(cells_change(t, &c.change));
        assert_int_equal(c.seen, 3);
        assert_true(cells_forget(t, hashes[i]));
    }
    cells_unref(t);
}

/* ---- two who bring the same key at once ---- */

static struct cells *racing;
static unsigned raced;

static void others_are_faster(struct charge *g) {
    (void)g;
    for (unsigned i = 0; i < 6; i++) /* with an older clock, by which the first cell is taken */
        raced += add(racing, 7, 50, 1, 8);
}

static void two_cells_become_one(void **state) {
    (void)state;
    racing = cells_get(SPAN("race"), 4);
    raced = 0;
    add(racing, 1, 40, 60, 1000); /* until 100 */
    struct charge c = charge_of(7, 200, 1);
    c.before = others_are_faster;
    c.most = 1000;
    /* It has looked, and would take the first cell; then others give the key the second one. */
    assert_true(cells_change(racing, &c.change));
    assert_int_equal(raced, 6);
    assert_true(cells_forget(racing, hash_of(7)));
    assert_false(cells_forget(racing, hash_of(7)));
    cells_unref(racing);
}

static void a_race_gives_nothing_for_free(void **state) {
    (void)state;
    racing = cells_get(SPAN("race"), 4);
    raced = 0;
    add(racing, 1, 40, 5, 1000); /* until 45 */
    struct charge c = charge_of(7, 50, 1);
    c.before = others_are_faster;
    c.most = 6; /* what the others have taken */
    assert_false(cells_change(racing, &c.change));
    assert_int_equal(raced, 6);
    assert_int_equal(owed(racing, 7, 50), 6);
    cells_unref(racing);
}

static bool owe_less(struct cell_change *c, uint64_t value, uint64_t *next) {
    *next = value - 15;
    return c->own;
}
static void others_find_another_place(struct charge *g) {
    (void)g;
    struct cell_change c = {.change = owe_less, .rule = &rule, .hash = hash_of(2), .now = 100};
    assert_true(cells_change(racing, &c)); /* now this one owes least: 5 */
    for (unsigned i = 0; i < 6; i++)
        raced += add(racing, 7, 100, 1, 100);
}

/* Both cells owe: the key owes both, and who had to leave finds what he owed. */
static void two_cells_that_owe(void **state) {
    (void)state;
    racing = cells_get(SPAN("race"), 4);
    raced = 0;
    for (uint64_t k = 1; k <= 4; k++)
        add(racing, k, 100, 10 * k, 1000);
    struct charge c = charge_of(7, 100, 1);
    c.before = others_find_another_place;
    assert_true(cells_change(racing, &c.change));
    assert_int_equal(raced, 6);
    assert_int_equal(owed(racing, 7, 100), (5 + 6) + 10 + 1);
    assert_int_equal(owed(racing, 1, 100), 10);
    assert_int_equal(owed(racing, 3, 100), 30);
    assert_int_equal(owed(racing, 4, 100), 40);
    assert_true(cells_forget(racing, hash_of(7)));
    assert_false(cells_forget(racing, hash_of(7)));
    cells_unref(racing);
}

/* ---- any order ---- */

static uint64_t seed;
static uint64_t random_below(uint64_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % n;
}

enum { KEYS = 40, STEP = 100, BURST = 5, SKEW = 60 };
static uint64_t truly[KEYS]; /* until when each key's own requests are paid for */
static uint64_t now_is;
static unsigned depth, admitted, refused;
static struct cells *small;

static void somebody_asks(struct charge *g) {
    (void)g;
    if (depth == 3)
        return;
    depth++;
    uint64_t key = random_below(KEYS);
    struct charge c = charge_of(key, now_is - random_below(SKEW), STEP);
    c.most = (uint64_t)BURST * STEP;
    c.before = random_below(3) ? NULL : somebody_asks;
    if (cells_change(small, &c.change)) {
        uint64_t *t = &truly[key];
        *t = (*t > c.change.now ? *t : c.change.now) + STEP;
        /* Never more than the limit allows, whoever was evicted when. */
        assert_true(*t - c.change.now <= (uint64_t)BURST * STEP);
        assert_true(owed(small, key, c.change.now) >= *t - c.change.now);
        admitted++;
    } else {
        refused++;
    }
    depth--;
}

static void never_too_much_in_a_table_too_small(void **state) {
    (void)state;
    unsigned refused_all = 0;
    for (unsigned run = 0; run < 64; run++) {
        seed = run + 1;
        small = cells_get(SPAN("small"), 4u << run % 3);
        memset(truly, 0, sizeof truly);
        now_is = 1000;
        admitted = refused = 0;
        for (unsigned i = 0; i < 20000; i++) {
            somebody_asks(NULL);
            now_is += random_below(run % 8 ? 6 : 40);
        }
        assert_true(admitted > 1000);
        refused_all += refused;
        cells_unref(small);
    }
    assert_true(refused_all > 100000);
}

/* ---- at once ---- */

enum { THREADS = 8, RACED_KEYS = 2000, EACH = 10 };
static struct {
    struct cells *cells;
    atomic_uint admitted[RACED_KEYS];
    atomic_uint at; /* the key that all ask for */
    atomic_uint ready;
} field;

static void *ask_for_all(void *arg) {
    (void)arg;
    for (unsigned k = 0; k < RACED_KEYS; k++) {
        atomic_fetch_add(&field.ready, 1); /* all begin each key together */
        while (atomic_load(&field.ready) < (k + 1) * THREADS)
            sched_yield();
        for (unsigned i = 0; i < EACH; i++)
            if (add(field.cells, k, 1000, 1, EACH))
                atomic_fetch_add(&field.admitted[k], 1);
    }
    return NULL;
}

/* Of new keys that all threads bring at once, each gets what one may have: no more, no less. */
static void threads_share_exactly(void **state) {
    (void)state;
    pthread_t t[THREADS];
    memset(&field, 0, sizeof field);
    field.cells = cells_get(SPAN("threads"), 4 * RACED_KEYS * 4);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, ask_for_all, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    for (unsigned k = 0; k < RACED_KEYS; k++) {
        assert_int_equal(atomic_load(&field.admitted[k]), EACH);
        assert_int_equal(owed(field.cells, k, 1000), EACH);
    }
    cells_unref(field.cells);
}

/* In one full bucket, each with a clock of its own: nobody gets more than the limit. */
static atomic_uint crowd[16];
static void *crowd_in(void *arg) {
    uint64_t r = (uintptr_t)arg;
    for (unsigned i = 0; i < 30000; i++) {
        r = r * 6364136223846793005u + 1442695040888963407u;
        unsigned key = (unsigned)(r >> 33) % 16;
        if (add(field.cells, key, 1000 - (r >> 40) % 50, 100, 1000))
            atomic_fetch_add(&crowd[key], 1);
    }
    return NULL;
}
static void a_crowd_gets_no_more(void **state) {
    (void)state;
    pthread_t t[THREADS];
    memset(crowd, 0, sizeof crowd);
    field.cells = cells_get(SPAN("crowd"), 4);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, crowd_in, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    unsigned all = 0;
    for (unsigned k = 0; k < 16; k++) {
        assert_true(atomic_load(&crowd[k]) <= 10);
        all += atomic_load(&crowd[k]);
    }
    assert_true(all >= 10);
    cells_unref(field.cells);
}

/* ---- size ---- */

static void a_larger_table_takes_over(void **state) {
    (void)state;
    struct cells *t = cells_get(SPAN("grows"), 256);
    for (uint64_t k = 0; k < 32; k++)
        add(t, k, 100, 10 + k, 1000);
    cells_grow(t, 10, &rule, 100); /* never smaller */
    assert_int_equal(cells_size(t), 256);
    uint64_t before[32];
    for (uint64_t k = 0; k < 32; k++)
        before[k] = owed(t, k, 100);
    cells_grow(t, 1000, &rule, 100);
    assert_int_equal(cells_size(t), 1024);
    assert_int_equal(cells_memory(t), (256 + 1024) * 16);
    for (uint64_t k = 0; k < 32; k++)
        assert_int_equal(owed(t, k, 100), before[k]);
    cells_unref(t);
}

static size_t resident(void) {
    unsigned long size = 0, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu %lu", &size, &pages), 2);
    fclose(f);
    return pages * 4096;
}

/* THREATS I02: keys without number, and the one that has used up its limit stays refused. */
static void many_keys_in_constant_memory(void **state) {
    (void)state;
    struct cells *t = cells_get(SPAN("many"), 65536);
    assert_int_equal(cells_memory(t), 1 << 20);
    const uint64_t hot = UINT64_MAX - 1;
    for (unsigned i = 0; i < 100; i++)
        assert_true(add(t, hot, 1000, 10, 1000));
    for (uint64_t k = 0; k < 200000; k++) /* all of it is touched */
        (void)add(t, k, 1000, 10, 1000);
    size_t before = resident();
    for (uint64_t k = 200000; k < MANY_KEYS; k++) {
        (void)add(t, k, 1000, 10, 1000);
        if (k % 1000 == 0)
            assert_false(add(t, hot, 1000, 10, 1000));
    }
    size_t after = resident();
    assert_int_equal(cells_memory(t), 1 << 20);
#ifndef SLOW
    assert_true(after < before + (1 << 20));
#else
    (void)before, (void)after; /* the sanitizer's own memory grows */
#endif
    cells_unref(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_has_a_cell),
        cmocka_unit_test(it_lasts_by_its_name),
        cmocka_unit_test(a_newcomer_inherits_the_least),
        cmocka_unit_test(what_is_paid_is_free),
        cmocka_unit_test(who_is_not_there_changes_nothing),
        cmocka_unit_test(strange_hashes),
        cmocka_unit_test(two_cells_become_one),
        cmocka_unit_test(a_race_gives_nothing_for_free),
        cmocka_unit_test(two_cells_that_owe),
        cmocka_unit_test(never_too_much_in_a_table_too_small),
        cmocka_unit_test(threads_share_exactly),
        cmocka_unit_test(a_crowd_gets_no_more),
        cmocka_unit_test(a_larger_table_takes_over),
        cmocka_unit_test(many_keys_in_constant_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
