/* The chunked coding, at every cut in two and byte by byte. */
#include "cases.h"
#include "http/h1.h"

/* data, then "end N" (N bytes of what follows the coding are left), "more" or the refusal. */
static void read_pieces(struct span s, size_t at, struct str *got) {
    struct h1_chunked c;
    enum h1_chunk what = CHUNK_MORE;
    size_t done = 0, came = 0;
    h1_chunked_init(&c);
    while (came < s.n && what != CHUNK_FAULT && what != CHUNK_TRAILERS) {
        came = at == 0 ? came + 1 : came < at ? at : s.n;
        if (came > s.n)
            came = s.n;
        do {
            size_t used, have = came - done;
            struct span data;
            char *block = malloc(have + !have);
            assert_non_null(block);
            memcpy(block, s.p + done, have);
            what = h1_chunked_read(&c, block, have, &used, &data);
            assert_true(used <= have && (what == CHUNK_DATA) == (data.n > 0));
            assert_true(data.n == 0 || (data.p >= block && data.p + data.n == block + used));
            str_add(got, data);
            free(block);
            done += used;
        } while (what == CHUNK_DATA && done < came);
        if (what == CHUNK_MORE)
            assert_int_equal(done, came);
    }
    if (what == CHUNK_FAULT)
        str_fmt(got, "[%s]", fault_table[c.fault].code);
    else if (what == CHUNK_TRAILERS)
        str_fmt(got, "[end %zu]", s.n - done);
    else
        str_lit(got, "[more]");
}

static void run(struct span input, struct str *got) {
    static char room[CASE_MAX];
    read_pieces(input, input.n, got);
    for (size_t at = 0; at < input.n; at++) {
        struct str again = str_on(room, sizeof room);
        read_pieces(input, at, &again);
        if (!span_eq(str_span(&again), str_span(got)))
            fail_msg("cut at %zu: %.*s", at, SPAN_ARG(str_span(&again)));
    }
}

static void test_cases(void **state) {
    (void)state;
    assert_true(cases_run("h1_chunked.txt", run) > 50);
}

/* One chunk of `size` bytes with an extension of `ext` bytes, the ";" among them. */
static enum fault chunk(struct h1_chunked *c, unsigned size, unsigned ext) {
    char line[2048];
    struct str s = str_on(line, sizeof line);
    str_fmt(&s, "%x", size);
    for (unsigned i = 0; i < ext; i++)
        str_char(&s, i ? 'e' : ';');
    str_lit(&s, "\r\n");
    for (unsigned i = 0; i < size; i++)
        str_char(&s, 'd');
    str_lit(&s, "\r\n");
    for (size_t at = 0, used; at < s.n; at += used) {
        struct span data;
        if (h1_chunked_read(c, s.p + at, s.n - at, &used, &data) == CHUNK_FAULT)
            return c->fault;
    }
    return FAULT_NONE;
}

/* So many of them; *done: how many were taken. */
static enum fault many(unsigned count, unsigned size, unsigned ext, unsigned *done) {
    struct h1_chunked c;
    h1_chunked_init(&c);
    for (*done = 0; *done < count; ++*done) {
        enum fault f = chunk(&c, size, ext);
        if (f != FAULT_NONE)
            return f;
    }
    return FAULT_NONE;
}

/* 66 chunks of one byte cost 261 bytes each: of 16384 + 16 * 66 remain 214 for the next size line.
 */
static void test_overhead_exact(void **state) {
    (void)state;
    for (unsigned ext = 211; ext <= 212; ext++) {
        struct h1_chunked c;
        h1_chunked_init(&c);
        for (unsigned i = 0; i < 66; i++)
            assert_int_equal(chunk(&c, 1, 256), FAULT_NONE);
        assert_int_equal(chunk(&c, 1, ext), ext == 211 ? FAULT_NONE : FAULT_CHUNK_OVERHEAD);
    }
}

static void test_overhead(void **state) {
    (void)state;
    unsigned done;
    /* One byte a chunk is wasteful, and legal. */
    assert_int_equal(many(20000, 1, 0, &done), FAULT_NONE);
    assert_int_equal(many(20000, 1, 11, &done), FAULT_NONE); /* 16 bytes of overhead a byte */
    /* 17 a byte: one too many each, once the first 16 KiB are spent (and a line is not yet paid
     * for). */
    assert_int_equal(many(20000, 1, 12, &done), FAULT_CHUNK_OVERHEAD);
    assert_in_range(done, 16384 - 20, 16384 + 1);
    assert_int_equal(many(1000, 1, 256, &done), FAULT_CHUNK_OVERHEAD);
    assert_in_range(done, 60, 70);
    assert_int_equal(many(1000, 1000, 256, &done), FAULT_NONE);
    assert_int_equal(many(1, 1000, 257, &done), FAULT_CHUNK_OVERHEAD);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_overhead),
        cmocka_unit_test(test_overhead_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
