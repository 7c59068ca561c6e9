#include "base/env.h"
#include "shared/resp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* A reply as text: "[1 \"a\" null !ERR [..]]". */
static void write_reply(struct str *o, const struct redis_reply *top) {
    const struct redis_reply *stack[RESP_DEPTH + 1] = {top};
    uint32_t at[RESP_DEPTH + 1] = {0};
    for (int depth = 0; depth >= 0;) {
        const struct redis_reply *r = stack[depth];
        if (r->kind == REDIS_LIST) {
            if (at[depth] == 0)
                str_char(o, '[');
            if (at[depth] < r->count) {
                if (at[depth])
                    str_char(o, ' ');
                stack[depth + 1] = &r->item[at[depth]++];
                at[++depth] = 0;
                continue;
            }
            str_char(o, ']');
        } else if (r->kind == REDIS_INTEGER) {
            str_fmt(o, "%lld", (long long)r->integer);
        } else if (r->kind == REDIS_NULL) {
            str_lit(o, "null");
        } else {
            str_char(o, r->kind == REDIS_ERROR ? '!' : '"');
            str_add(o, r->text);
            str_char(o, '"');
        }
        depth--;
    }
    str_char(o, ';');
}

/* What comes of the bytes, given in pieces; "bad" and "more" say how it ends. */
static void read_pieces(struct span in, size_t piece, struct str *out) {
    struct resp r;
    enum resp_result x = RESP_MORE;
    resp_init(&r);
    for (size_t i = 0; i < in.n && x != RESP_BAD; i += piece) {
        struct span part = span_cut(in, i, piece);
        char *copy = mem_alloc(part.n); /* gone as soon as resp_next says RESP_MORE */
        memcpy(copy, part.p, part.n);
        if (!resp_feed(&r, span_of(copy, part.n)))
            x = RESP_BAD;
        else
            for (const struct redis_reply *reply; (x = resp_next(&r, &reply)) == RESP_REPLY;)
                write_reply(out, reply);
        mem_free(copy);
    }
    if (x == RESP_BAD)
        str_lit(out, "bad");
    else if (r.n)
        str_lit(out, "more");
    resp_finish(&r);
}

static const struct {
    const char *in, *out;
} rows[] = {
    {"+OK\r\n", "\"OK\";"},
    {"+\r\n", "\"\";"},
    {"-ERR no\r\n", "!ERR no\";"},
    {":0\r\n:-1\r\n:42\r\n", "0;-1;42;"},
    {":9223372036854775807\r\n", "9223372036854775807;"},
    {":-9223372036854775808\r\n", "-9223372036854775808;"},
    {":9223372036854775808\r\n", "bad"},
    {":-9223372036854775809\r\n", "bad"},
    {":\r\n", "bad"},
    {":+1\r\n", "bad"},
    {":1 \r\n", "bad"},
    {":01\r\n", "bad"},
    {"$-1\r\n", "null;"},
    {"$0\r\n\r\n", "\"\";"},
    {"$3\r\na\nb\r\n", "\"a\nb\";"},
    {"$3\r\nabcd\r\n", "bad"},
    {"$3\r\nabc\n\r", "bad"},
    {"$-2\r\n", "bad"},
    {"$536870912\r\n", "bad"},
    {"$65536\r\n", "bad"},
    {"*-1\r\n", "null;"},
    {"*0\r\n", "[];"},
    {"*2\r\n:1\r\n$1\r\na\r\n", "[1 \"a\"];"},
    {"*3\r\n*0\r\n*-1\r\n*1\r\n*2\r\n+a\r\n-b\r\n:7\r\n", "[[] null [[\"a\" !b\"]]];7;"},
    {"*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "[[[[1]]]];"},
    {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "bad"},
    {"*1\r\n*1\r\n*1\r\n*1\r\n*0\r\n", "bad"},
    {"*8193\r\n", "bad"},
    {"*1000000\r\n", "bad"},
    {"*-2\r\n", "bad"},
    {"*2\r\n:1\r\n", "more"},
    {"$5\r\nab", "more"},
    {":1", "more"},
    {":1\n", "bad"},
    {"hello\r\n", "bad"},
    {"#t\r\n", "bad"},
    {"\r\n", "bad"},
    {"_\r\n", "bad"},
};

static void every_cut_reads_the_same(void **state) {
    char got[512];
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        struct span in = span_z(rows[i].in);
        for (size_t piece = 1; piece <= in.n; piece++) {
            struct str out = str_on(got, sizeof got - 1);
            read_pieces(in, piece, &out);
            got[out.n] = 0;
            if (strcmp(got, rows[i].out) != 0)
                print_message("row %zu, pieces of %zu\n", i, piece);
            assert_string_equal(got, rows[i].out);
        }
    }
}

static void nul_bytes_are_refused_at_once(void **state) {
    char got[16];
    struct str out = str_on(got, sizeof got);
    (void)state;
    read_pieces(span_of("\0\0\0", 3), 3, &out);
    assert_true(span_eq(str_span(&out), SPAN("bad")));
}

/* A text of n bytes, and what is before and behind it. */
static void long_text(size_t n, size_t piece, const char *want) {
    size_t max = n + 64;
    char *all = mem_alloc(max), got[64];
    struct str in = str_on(all, max), out = str_on(got, sizeof got - 1);
    str_fmt(&in, "$%zu\r\n", n);
    memset(all + in.n, 'x', n);
    in.n += n;
    str_lit(&in, "\r\n:5\r\n");
    struct resp r;
    resp_init(&r);
    struct span whole = str_span(&in);
    enum resp_result x = RESP_MORE;
    for (size_t i = 0; i < whole.n && x != RESP_BAD; i += piece) {
        struct span part = span_cut(whole, i, piece);
        const struct redis_reply *reply;
        assert_true(resp_feed(&r, part));
        while ((x = resp_next(&r, &reply)) == RESP_REPLY)
            str_fmt(&out, "%zu,%lld;", reply->text.n, (long long)reply->integer);
    }
    str_add(&out, x == RESP_BAD ? SPAN("bad") : SPAN_NONE);
    got[out.n] = 0;
    assert_string_equal(got, want);
    resp_finish(&r);
    mem_free(all);
}

static void a_reply_has_at_most_64_kib(void **state) {
    (void)state;
    long_text(65000, 65536 * 2, "65000,0;0,5;");
    long_text(65000, 1000, "65000,0;0,5;");
    long_text(65000, 1, "65000,0;0,5;");
    long_text(RESP_MAX - 10, 4096, "65526,0;0,5;"); /* "$65526\r\n", "\r\n" */
    long_text(RESP_MAX - 9, 4096, "bad");
    long_text(RESP_MAX + 1, 4096, "bad");
}

static void a_line_without_end_is_refused(void **state) {
    struct resp r;
    char piece[4096];
    const struct redis_reply *reply;
    unsigned n = 0;
    enum resp_result x = RESP_MORE;
    (void)state;
    memset(piece, 'x', sizeof piece);
    piece[0] = '+';
    resp_init(&r);
    for (; x == RESP_MORE && n < 100; n++) {
        assert_true(resp_feed(&r, span_of(piece, sizeof piece)));
        x = resp_next(&r, &reply);
        piece[0] = 'x';
    }
    assert_int_equal(x, RESP_BAD);
    assert_int_equal(n, RESP_MAX / sizeof piece + 1);
    resp_finish(&r);
}

static void many_items_and_no_more(void **state) {
    static char all[9 + 4 * RESP_ITEMS_MAX];
    (void)state;
    for (unsigned n = RESP_ITEMS_MAX - 1; n <= RESP_ITEMS_MAX; n++) {
        struct str in = str_on(all, sizeof all);
        struct resp r;
        const struct redis_reply *reply;
        str_fmt(&in, "*%u\r\n", n);
        for (unsigned i = 0; i < n; i++)
            str_fmt(&in, ":%u\r\n", i % 10);
        resp_init(&r);
        assert_true(resp_feed(&r, str_span(&in)));
        bool fits = n < RESP_ITEMS_MAX; /* the list itself is one */
        assert_int_equal(resp_next(&r, &reply), fits ? RESP_REPLY : RESP_BAD);
        if (fits)
            assert_int_equal(reply->item[n - 1].integer, (n - 1) % 10);
        resp_finish(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_reads_the_same),
        cmocka_unit_test(nul_bytes_are_refused_at_once),
        cmocka_unit_test(a_reply_has_at_most_64_kib),
        cmocka_unit_test(a_line_without_end_is_refused),
        cmocka_unit_test(many_items_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
