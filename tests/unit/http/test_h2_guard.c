/* http: how much useless traffic an HTTP/2 connection bears. */
#include "http/h2_guard.h"
#include "http/h2_memory.h"
#include "base/env.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define SECOND 1000000000ull

static void buckets(void **state) {
    struct h2_bucket b;
    (void)state;
    h2_bucket_init(&b, 10, 2, 5 * SECOND);
    assert_true(h2_bucket_spend(&b, 10, 5 * SECOND));
    assert_false(h2_bucket_spend(&b, 1, 5 * SECOND));
    assert_false(h2_bucket_spend(&b, 1, 5 * SECOND + SECOND / 2 - 1));
    assert_true(h2_bucket_spend(&b, 1, 5 * SECOND + SECOND / 2));
    assert_false(h2_bucket_spend(&b, 1, 6 * SECOND - 1)); /* the part of a token is not lost */
    assert_true(h2_bucket_spend(&b, 1, 6 * SECOND));
    assert_true(h2_bucket_spend(&b, 10, 100 * SECOND)); /* never more than the burst */
    assert_false(h2_bucket_spend(&b, 1, 100 * SECOND));
    h2_bucket_earn(&b, 3);
    assert_true(h2_bucket_spend(&b, 3, 100 * SECOND));
    h2_bucket_earn(&b, UINT32_MAX);
    assert_int_equal(b.tokens, 10);
    h2_bucket_init(&b, 0, 0, 0); /* no limit */
    assert_true(h2_bucket_spend(&b, UINT32_MAX, 0));
    h2_bucket_init(&b, 5, 0, 0); /* what costs more than there can ever be is borne once */
    assert_true(h2_bucket_spend(&b, 16, 0));
    assert_false(h2_bucket_spend(&b, 16, 0));
    h2_bucket_init(&b, 1, 0, 0); /* nothing comes back */
    assert_true(h2_bucket_spend(&b, 1, 0));
    assert_false(h2_bucket_spend(&b, 1, 1000 * SECOND));
}

/* How many of them in a row a budget of 100 bears. */
struct row {
    const char *name;
    uint8_t type, flags;
    size_t length;
    bool live;
    unsigned borne;
};

static void frames(void **state) {
    static const struct row rows[] = {
        {"PING", NGHTTP2_PING, 0, 8, false, 100},
        {"PING ACK", NGHTTP2_PING, NGHTTP2_FLAG_ACK, 8, false, 100},
        {"SETTINGS", NGHTTP2_SETTINGS, 0, 0, false, 100 / H2_SETTINGS_COST},
        {"SETTINGS ACK", NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, false, 100},
        {"PRIORITY", NGHTTP2_PRIORITY, 0, 5, true, 100},
        {"WINDOW_UPDATE", NGHTTP2_WINDOW_UPDATE, 0, 4, true, 100},
        {"CONTINUATION", NGHTTP2_CONTINUATION, 0, 4, true, 100},
        {"unknown", 0x77, 0, 4, false, 100},
        {"HEADERS", NGHTTP2_HEADERS, 0, 100, true, 1000},
        {"HEADERS of nobody", NGHTTP2_HEADERS, 0, 100, false, 100},
        {"RST_STREAM", NGHTTP2_RST_STREAM, 0, 4, true, 1000},
        {"RST_STREAM of nobody", NGHTTP2_RST_STREAM, 0, 4, false, 100},
        {"DATA", NGHTTP2_DATA, 0, 100, true, 1000},
        {"DATA of nobody", NGHTTP2_DATA, 0, 100, false, 100},
        {"empty DATA", NGHTTP2_DATA, 0, 0, true, H2_EMPTY_FRAMES_MAX},
        {"empty DATA, END_STREAM", NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 0, true, 1000},
    };
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        struct h2_guard g = {0};
        nghttp2_frame_hd hd = {
            .type = rows[i].type, .flags = rows[i].flags, .length = rows[i].length};
        unsigned n = 0;
        h2_bucket_init(&g.glitches, 100, 0, 0);
        while (n < 1000 && !h2_guard_frame(&g, &hd, rows[i].live, 0))
            n++;
        if (n != rows[i].borne)
            fail_msg("%s: %u of them are borne, wanted %u", rows[i].name, n, rows[i].borne);
    }
}

/* Who reads our DATA answers with windows. */
static void sent_data_earns(void **state) {
    struct h2_guard g = {0};
    const nghttp2_frame_hd window = {.type = NGHTTP2_WINDOW_UPDATE, .length = 4};
    (void)state;
    h2_bucket_init(&g.glitches, 100, 0, 0);
    for (int i = 0; i < 1000; i++) {
        h2_guard_sent(&g);
        for (int j = 0; j < H2_SENT_EARNS; j++)
            assert_null(h2_guard_frame(&g, &window, true, 0));
    }
}

/* Empty frames between others are no flood. */
static void empties_in_a_row(void **state) {
    struct h2_guard g = {0};
    nghttp2_frame_hd hd = {.type = NGHTTP2_DATA};
    (void)state;
    for (int i = 0; i < 100; i++) {
        hd.length = i % H2_EMPTY_FRAMES_MAX == 0 ? 10 : 0;
        assert_null(h2_guard_frame(&g, &hd, true, 0));
    }
}

static void overhead(void **state) {
    struct h2_guard g = {0};
    (void)state;
    assert_null(h2_guard_bytes(&g, 8 << 20)); /* that much is free */
    assert_non_null(h2_guard_bytes(&g, 16));
    h2_guard_payload(&g, 1000);
    assert_null(h2_guard_bytes(&g, 7000));
    assert_non_null(h2_guard_bytes(&g, 2000));
}

static bool none;
static void *refuse(size_t n) {
    return none ? NULL : env_os.alloc(n);
}

static void memory_of(bool keeps) {
    struct h2_memory memory;
    h2_memory_init(&memory, keeps);
    nghttp2_mem *m = h2_memory(&memory);
    void *ctx = m->mem_user_data;
    env.alloc = refuse;
    char *p = m->malloc(10, ctx);
    memcpy(p, "0123456789", 10);
    p = m->realloc(p, 1000, ctx);
    assert_memory_equal(p, "0123456789", 10);
    p = m->realloc(p, 5, ctx);
    assert_memory_equal(p, "01234", 5);
    none = true;
    assert_null(m->realloc(p, 6000, ctx)); /* the old one stays */
    assert_memory_equal(p, "01234", 5);
    char *small = m->realloc(NULL, 4, ctx); /* is never refused */
    assert_non_null(small);
    assert_null(m->malloc(1000, ctx));
    assert_null(m->calloc(1, 1000, ctx));
    none = false;
    m->free(p, ctx);
    m->free(small, ctx);
    m->free(NULL, ctx);
    p = m->calloc(3, 7, ctx);
    for (int i = 0; i < 21; i++)
        assert_int_equal(p[i], 0);
    m->free(p, ctx);
    assert_null(m->calloc(SIZE_MAX / 2, 3, ctx));
    assert_null(m->malloc(SIZE_MAX, ctx));
    none = true; /* what was given back is kept, or not */
    p = m->malloc(20, ctx);
    assert_int_equal(p != NULL, keeps);
    none = false;
    m->free(p, ctx);
    h2_memory_finish(&memory);
    env.alloc = env_os.alloc;
}

static void memory(void **state) {
    (void)state;
    memory_of(true);
    memory_of(false);
}

/* A bounded number of each size. */
static void memory_kept(void **state) {
    enum { N = 2 * H2_MEMORY_KEPT };
    static void *p[N];
    struct h2_memory memory;
    (void)state;
    h2_memory_init(&memory, true);
    nghttp2_mem *m = h2_memory(&memory);
    for (size_t n = 0; n <= H2_MEMORY_SIZES * H2_MEMORY_STEP + 1; n += 31) {
        for (int i = 0; i < N; i++) {
            p[i] = m->malloc(n, m->mem_user_data);
            memset(p[i], 1, n);
        }
        for (int i = 0; i < N; i++)
            m->free(p[i], m->mem_user_data);
    }
    for (int i = 0; i < H2_MEMORY_SIZES; i++)
        assert_int_equal(memory.count[i], H2_MEMORY_KEPT);
    h2_memory_finish(&memory);
}

/* Low is said before it is empty, and time refills. */
static void low(void **state) {
    struct h2_bucket b;
    (void)state;
    h2_bucket_init(&b, 100, 10, SECOND);
    assert_true(h2_bucket_spend(&b, 75, SECOND));
    assert_false(h2_bucket_low(&b, SECOND));
    assert_true(h2_bucket_spend(&b, 1, SECOND));
    assert_true(h2_bucket_low(&b, SECOND));
    assert_false(h2_bucket_low(&b, 2 * SECOND));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets),         cmocka_unit_test(frames),
        cmocka_unit_test(sent_data_earns), cmocka_unit_test(empties_in_a_row),
        cmocka_unit_test(overhead),        cmocka_unit_test(memory),
        cmocka_unit_test(memory_kept),     cmocka_unit_test(low),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
