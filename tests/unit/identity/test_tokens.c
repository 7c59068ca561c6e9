/*
 * What a thread remembers of tokens: found whole or not at all, bounded, held by who uses it.
 */
#include "jose.h"
#include "identity/tokens.h"

static struct arena_cache cache;

/* A text of n bytes that ends in a number. */
static struct span text_of(char *buf, size_t n, unsigned number) {
    memset(buf, 'x', n);
    snprintf(buf + n - 9, 10, ".%08u", number);
    return span_of(buf, n);
}

static struct token *put(struct tokens *t, uint64_t owner, struct span text) {
    struct token *k = token_create(t, text);
    assert_non_null(k);
    k->owner = owner;
    tokens_put(t, k);
    token_unref(k);
    return k;
}

static void found_whole(void **state) {
    (void)state;
    char buf[300], other[300];
    arena_cache_init(&cache);
    struct tokens *t = tokens_create(&cache);
    static const size_t lengths[] = {9, 10, 16, 63, 64, 65, 127, 200};
    for (size_t i = 0; i < array_len(lengths); i++) {
        struct span text = text_of(buf, lengths[i], (unsigned)i);
        struct token *k = put(t, 7, text);
        assert_ptr_equal(tokens_get(t, 7, text), k);
        assert_null(tokens_get(t, 8, text)); /* another authenticator's */
        for (size_t at = 0; at < text.n; at++) {
            memcpy(other, buf, text.n);
            other[at] ^= 1;
            assert_null(tokens_get(t, 7, span_of(other, text.n)));
        }
        assert_null(tokens_get(t, 7, span_cut(text, 0, text.n - 1)));
        assert_null(tokens_get(t, 7, span_from(text, 1)));
    }
    assert_int_equal(tokens_count(t), array_len(lengths));
    tokens_destroy(t);
    arena_cache_finish(&cache);
}

static void bounded_by_count(void **state) {
    (void)state;
    char buf[64];
    arena_cache_init(&cache);
    struct tokens *t = tokens_create(&cache);
    struct span first = text_of(buf, 40, 0);
    char kept[40];
    memcpy(kept, first.p, 40);
    put(t, 1, first);
    for (unsigned i = 1; i < 3 * TOKENS_MAX; i++) {
        put(t, 1, text_of(buf, 40, i));
        assert_non_null(tokens_get(t, 1, span_of(kept, 40))); /* asked for: it stays */
        assert_true(tokens_count(t) <= TOKENS_MAX);
        assert_true(tokens_bytes(t) <= TOKENS_BYTES_MAX);
    }
    assert_null(tokens_get(t, 1, text_of(buf, 40, 1))); /* nobody asked for it */
    assert_non_null(tokens_get(t, 1, text_of(buf, 40, 3 * TOKENS_MAX - 1)));
    tokens_destroy(t);
    arena_cache_finish(&cache);
}

static void bounded_by_bytes(void **state) {
    (void)state;
    char *buf = malloc(70000);
    arena_cache_init(&cache);
    struct tokens *t = tokens_create(&cache);
    for (unsigned i = 0; i < 600; i++) {
        put(t, 1, text_of(buf, 65536, i));
        assert_true(tokens_bytes(t) <= TOKENS_BYTES_MAX);
    }
    assert_true(tokens_count(t) > 200 && tokens_count(t) < 256);
    for (unsigned i = 0; i < 600; i++)
        (void)tokens_get(t, 1, text_of(buf, 65536, i)); /* all asked for: one goes nevertheless */
    put(t, 1, text_of(buf, 65536, 601));
    assert_true(tokens_bytes(t) <= TOKENS_BYTES_MAX);
    tokens_destroy(t);
    arena_cache_finish(&cache);
    free(buf);
}

/* Out of the memory of the thread, but not out of that of who holds it. */
static void held(void **state) {
    (void)state;
    char buf[64];
    arena_cache_init(&cache);
    struct tokens *t = tokens_create(&cache);
    struct span text = text_of(buf, 40, 1);
    struct token *k = put(t, 1, text);
    token_ref(k);
    tokens_drop(t, k);
    assert_null(tokens_get(t, 1, text));
    assert_int_equal(tokens_count(t), 0);
    assert_int_equal(tokens_bytes(t), 0);
    assert_memory_equal(k->text.p, text.p, text.n);
    tokens_destroy(t);
    assert_memory_equal(k->text.p, text.p, text.n);
    token_unref(k);
    arena_cache_finish(&cache);
}

static void *no_memory(size_t n) {
    (void)n;
    return NULL;
}

static void without_memory(void **state) {
    (void)state;
    struct tokens *t = tokens_create(NULL);
    env.alloc = no_memory;
    assert_null(token_create(t, SPAN("a.b.c")));
    env = env_os;
    tokens_destroy(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(found_whole),
                                       cmocka_unit_test(bounded_by_count),
                                       cmocka_unit_test(bounded_by_bytes), cmocka_unit_test(held),
                                       cmocka_unit_test(without_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
