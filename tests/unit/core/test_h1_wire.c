/*
 * core/h1_wire: what the writer makes of a body is the same bytes however they are taken, and the
 * reader makes the same body of them however they are cut.
 */
#include "base/env.h"
#include "core/h1_wire.h"
#include "core/thread.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct thread *thread;
static struct exchange x;
static struct arena arena;

static int begin(void **state) {
    (void)state;
    thread = calloc(1, sizeof *thread);
    assert_true(thread_init(thread, 0));
    me = &thread->loop;
    memset(&x, 0, sizeof x);
    x.thread = thread;
    half_init(&x.up_half, &x);
    half_init(&x.down_half, &x);
    arena_init(&arena, &thread->loop.arenas);
    return 0;
}
static int finish(void **state) {
    (void)state;
    half_reset(&x.up_half);
    half_reset(&x.down_half);
    arena_finish(&arena);
    env.alloc = env_os.alloc;
    thread_finish(thread);
    free(thread);
    return 0;
}

/* ---- the writer ---- */

#define HEAD "HTTP/1.1 200 OK\r\n\r\n"
static const char *const pieces[] = {"hello ", "w", "", "orld, this is a body", "!"};
static const char *const wholes[] = {"hello ", "hello w", "hello w", "hello world, this is a body",
                                     "hello world, this is a body!"};

struct out {
    char p[4096];
    size_t n;
};

/* Takes at most `most` bytes of what there is, as a socket would; all there is to take. */
static void take_all(struct h1_writer *w, struct out *o, size_t most, size_t *budget) {
    struct iovec iov[H1_WRITER_IOV];
    for (int n; *budget && (n = h1_writer_gather(w, &arena, iov)) > 0;) {
        size_t took = 0, may = most < *budget ? most : *budget;
        assert_true(n <= H1_WRITER_IOV);
        for (int i = 0; i < n && took < may; i++) {
            size_t part = iov[i].iov_len < may - took ? iov[i].iov_len : may - took;
            assert_true(iov[i].iov_len > 0 && o->n + part <= sizeof o->p);
            memcpy(o->p + o->n, iov[i].iov_base, part);
            o->n += part;
            took += part;
        }
        *budget -= took;
        h1_writer_took(w, took);
        assert_false(took < may && h1_writer_done(w) && h1_writer_gather(w, &arena, iov) > 0);
    }
}

static struct head *trailers_of(bool some) {
    if (!some)
        return NULL;
    struct head *t = arena_alloc(&arena, sizeof *t);
    head_init(t, &arena);
    assert_int_equal(hdr_put(t, SPAN("x-sum"), SPAN("12"), ORIGIN_UPSTREAM), FAULT_NONE);
    assert_int_equal(hdr_put(t, SPAN("x-b"), SPAN(""), ORIGIN_UPSTREAM), FAULT_NONE);
    return t;
}

/* One life: pieces come and are taken in bits; `end_late`: the end comes when all is taken. */
static void write_out(enum framing f, size_t most, bool trailers, bool end_late, struct out *o) {
    struct body *b = &x.down_half.source;
    struct h1_writer w;
    size_t endless = SIZE_MAX;
    half_reset(&x.down_half);
    o->n = 0;
    h1_writer_start(&w, SPAN(HEAD), f, strlen(wholes[4]), b);
    assert_false(h1_writer_done(&w));
    for (size_t i = 0; i < array_len(pieces); i++) {
        size_t some = end_late ? endless : 1 + i * 3; /* or pieces pile up */
        assert_true(body_push_static(b, pieces[i], strlen(pieces[i])));
        if (i == array_len(pieces) - 1 && !end_late)
            body_end(b, trailers_of(trailers));
        take_all(&w, o, most, &some);
    }
    if (end_late && f != FRAMING_LENGTH)
        assert_false(f != FRAMING_NONE && h1_writer_done(&w));
    body_end(b, trailers_of(trailers));
    take_all(&w, o, most, &endless);
    assert_true(h1_writer_done(&w));
}

/* What a strict reader, written here once more, finds in chunks. */
static void unchunk(struct span in, struct out *o, struct span *rest) {
    o->n = 0;
    for (;;) {
        uint64_t n = 0;
        ptrdiff_t cr = span_find(in, '\r');
        assert_true(cr > 0 && parse_hex(span_cut(in, 0, (size_t)cr), &n));
        in = span_from(in, (size_t)cr + 2);
        if (n == 0)
            break;
        assert_true(in.n >= n + 2);
        memcpy(o->p + o->n, in.p, n);
        o->n += n;
        assert_memory_equal(in.p + n, "\r\n", 2);
        in = span_from(in, n + 2);
    }
    *rest = in;
}

static void writing(void **state) {
    (void)state;
    static const enum framing framing[] = {FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED,
                                           FRAMING_CLOSE, FRAMING_TUNNEL};
    static struct out o, plain;
    const size_t head = strlen(HEAD);
    for (size_t f = 0; f < array_len(framing); f++)
        for (size_t most = 1; most <= 120; most++)
            for (int how = 0; how < 4; how++) {
                write_out(framing[f], most, how & 1, how & 2, &o);
                assert_memory_equal(o.p, HEAD, head);
                struct span body = span_of(o.p + head, o.n - head);
                if (framing[f] == FRAMING_NONE) {
                    assert_int_equal(body.n, 0);
                } else if (framing[f] != FRAMING_CHUNKED) {
                    assert_true(span_eq(body, span_z(wholes[4])));
                } else {
                    struct span rest;
                    unchunk(body, &plain, &rest);
                    assert_true(span_eq(span_of(plain.p, plain.n), span_z(wholes[4])));
                    assert_true(
                        span_eq(rest, how & 1 ? SPAN("x-sum: 12\r\nx-b: \r\n\r\n") : SPAN("\r\n")));
                }
            }
}

/* Body bytes beyond the length that the head named never leave; short of it nobody says done. */
static void lengths_are_kept(void **state) {
    (void)state;
    for (uint64_t length = 0; length < 8; length++) {
        struct h1_writer w;
        static struct out o;
        size_t endless = SIZE_MAX;
        half_reset(&x.down_half);
        o.n = 0;
        h1_writer_start(&w, SPAN("H"), FRAMING_LENGTH, length, &x.down_half.source);
        assert_true(body_push_static(&x.down_half.source, "abcde", 5));
        body_end(&x.down_half.source, NULL);
        take_all(&w, &o, 100, &endless);
        assert_int_equal(o.n, 1 + (length < 5 ? length : 5));
        assert_int_equal(h1_writer_done(&w), length <= 5);
    }
}

/* More slices than vectors. */
static void many_slices(void **state) {
    (void)state;
    struct h1_writer w;
    static struct out o, plain;
    struct span rest;
    size_t endless = SIZE_MAX;
    o.n = 0;
    for (int i = 0; i < 100; i++)
        assert_true(body_push_static(&x.down_half.source, &"abcdefghij"[i % 10], 1));
    body_end(&x.down_half.source, NULL);
    h1_writer_start(&w, SPAN(""), FRAMING_CHUNKED, 0, &x.down_half.source);
    take_all(&w, &o, 1000, &endless);
    assert_true(h1_writer_done(&w));
    unchunk(span_of(o.p, o.n), &plain, &rest);
    assert_true(plain.n == 100 && plain.p[99] == 'j' && rest.n == 2);
}

static void *none(size_t n) {
    (void)n;
    return NULL;
}

/* Without memory for the trailers the body still ends: it is not cut off, nor does it hang. */
static void no_memory_for_trailers(void **state) {
    (void)state;
    for (int first = 0; first < 2; first++) {
        struct h1_writer w;
        static struct out o, plain;
        struct span rest;
        struct arena empty;
        struct iovec iov[H1_WRITER_IOV];
        half_reset(&x.down_half);
        o.n = 0;
        if (!first)
            assert_true(body_push_static(&x.down_half.source, "abc", 3));
        body_end(&x.down_half.source, trailers_of(true));
        h1_writer_start(&w, SPAN(""), FRAMING_CHUNKED, 0, &x.down_half.source);
        arena_init(&empty, NULL);
        env.alloc = none;
        int n = h1_writer_gather(&w, &empty, iov);
        env.alloc = env_os.alloc;
        for (int i = 0; i < n; i++) {
            memcpy(o.p + o.n, iov[i].iov_base, iov[i].iov_len);
            o.n += iov[i].iov_len;
        }
        h1_writer_took(&w, o.n);
        assert_true(h1_writer_done(&w));
        unchunk(span_of(o.p, o.n), &plain, &rest);
        assert_true(plain.n == (first ? 0 : 3) && span_eq(rest, SPAN("\r\n")));
    }
}

/* ---- the reader ---- */

struct reading {
    enum h1_read result;
    enum fault fault;
    size_t used;
    char body[512];
    size_t body_n;
    bool ended, trailers;
    size_t trailer_count;
};

/* Feeds the bytes cut at `cuts` (bit i: behind byte i), each piece on a scratch that is
 * overwritten. */
static void read_cut(const struct h1_message *m, bool request, struct span in, uint64_t cuts,
                     struct reading *r) {
    static struct h1_limits limits = {
        .line_max = 100, .total_max = 64, .field_max = 40, .name_max = 20, .count_max = 3};
    struct h1_reader reader;
    struct body *b = &x.up_half.source;
    struct loop *l = &thread->loop;
    *r = (struct reading){.result = H1_READ_MORE};
    half_reset(&x.up_half);
    arena_finish(&arena);
    arena_init(&arena, &l->arenas);
    body_want(b);
    h1_reader_start(&reader, m, request, &limits);
    for (size_t at = 0, n; r->result == H1_READ_MORE && (at < in.n || at == 0); at += n) {
        size_t used = 0;
        for (n = in.n ? 1 : 0; at + n < in.n && !(cuts >> (at + n - 1) & 1); n++)
            ;
        memcpy(l->scratch, in.p + at, n);
        l->scratch_used = n;
        r->result = h1_reader_feed(&reader, b, &arena, span_of((char *)l->scratch, n), &used);
        assert_true(used <= n);
        if (r->result == H1_READ_MORE)
            assert_int_equal(used, n);
        r->used += used;
        loop_drain(l); /* settles and poisons */
        if (!in.n)
            break;
    }
    r->fault = r->result == H1_READ_FAULT ? reader.fault : FAULT_NONE;
    struct iovec iov[BODY_IOV];
    for (int n; (n = body_get(b, iov, BODY_IOV, SIZE_MAX)) > 0;)
        for (int i = 0; i < n; i++) {
            if (iov[i].iov_base) /* else there was no memory to keep it */
                memcpy(r->body + r->body_n, iov[i].iov_base, iov[i].iov_len);
            r->body_n += iov[i].iov_len;
            body_pop(b, iov[i].iov_len);
        }
    r->ended = b->ended;
    r->trailers = b->trailers != NULL;
    r->trailer_count = b->trailers ? b->trailers->count : 0;
}

static const struct wire_case {
    enum framing framing;
    uint64_t length;
    bool request;
    const char *in;
    enum h1_read result;
    enum fault fault;
    const char *body;
    size_t rest;  /* bytes behind the message */
    int trailers; /* fields; -1: no head of them */
} wire_cases[] = {
    {FRAMING_NONE, 0, true, "GET /", H1_READ_END, 0, "", 5, -1},
    {FRAMING_LENGTH, 5, true, "helloGET", H1_READ_END, 0, "hello", 3, -1},
    {FRAMING_LENGTH, 9, true, "hello", H1_READ_MORE, 0, "hello", 0, -1},
    {FRAMING_CLOSE, 0, false, "hello\r\n0\r\n", H1_READ_MORE, 0, "hello\r\n0\r\n", 0, -1},
    {FRAMING_CHUNKED, 0, true, "3\r\nabc\r\n0\r\n\r\nGET", H1_READ_END, 0, "abc", 3, -1},
    {FRAMING_CHUNKED, 0, true, "0\r\n\r\n", H1_READ_END, 0, "", 0, -1},
    {FRAMING_CHUNKED, 0, true, "3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX-A: 1\r\n\r\nx", H1_READ_END, 0,
     "abcde", 1, 1},
    {FRAMING_CHUNKED, 0, true, "1\r\na\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n", H1_READ_END, 0, "a", 0,
     2},
    {FRAMING_CHUNKED, 0, true, "1\r\na\r\n0\r\nHost: b\r\n\r\n", H1_READ_FAULT, FAULT_BAD_TRAILER,
     "a", 0, -1},
    {FRAMING_CHUNKED, 0, false, "1\r\na\r\n0\r\nHost: b\r\n\r\n", H1_READ_END, 0, "a", 0, 0},
    {FRAMING_CHUNKED, 0, true, "3\r\nabcd\r\n", H1_READ_FAULT, FAULT_BAD_CHUNK, "abc", 3, -1},
    {FRAMING_CHUNKED, 0, true, "g\r\n", H1_READ_FAULT, FAULT_BAD_CHUNK, "", 2, -1},
    {FRAMING_CHUNKED, 0, true, "1\r\na\r\n0\r\nX: 1\n", H1_READ_FAULT, FAULT_BARE_LF, "a", 0, -1},
    {FRAMING_CHUNKED, 0, true, "0\r\nX-A: 12345678901234567890123456789012345678901\r\n\r\n",
     H1_READ_FAULT, FAULT_HEADER_TOO_LONG, "", 0, -1},
    {FRAMING_CHUNKED, 0, true, "1\r\na\r\n0\r\nX-A: 123456\r\nX-B: 12345\r\nX-C: 1", H1_READ_MORE,
     0, "a", 0, -1},
};

static void check_case(const struct wire_case *c, const struct reading *r, uint64_t cuts) {
    struct span in = span_z(c->in);
    bool same = r->result == c->result && r->fault == c->fault &&
                span_eq(span_of(r->body, r->body_n), span_z(c->body)) &&
                r->ended == (c->result == H1_READ_END) && r->trailers == (c->trailers >= 0) &&
                (c->trailers < 0 || r->trailer_count == (size_t)c->trailers);
    if (c->result == H1_READ_END)
        same = same && r->used == in.n - c->rest;
    if (!same)
        fail_msg("%s cut %llx: %d, fault %s, body %.*s, used %zu, %zu trailers", c->in,
                 (unsigned long long)cuts, r->result, fault_table[r->fault].code, (int)r->body_n,
                 r->body, r->used, r->trailer_count);
}

/* Every way to cut a short one, every pair of cuts and single bytes of a longer one. */
static void reading_at_every_cut(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(wire_cases); i++) {
        const struct wire_case *c = &wire_cases[i];
        struct h1_message m = {.framing = c->framing, .length = c->length};
        struct span in = span_z(c->in);
        struct reading r;
        assert_true(in.n <= 64);
        read_cut(&m, c->request, in, UINT64_MAX, &r);
        check_case(c, &r, UINT64_MAX);
        for (uint64_t cuts = 0; in.n <= 12 && cuts < (uint64_t)1 << in.n; cuts++) {
            read_cut(&m, c->request, in, cuts, &r);
            check_case(c, &r, cuts);
        }
        for (size_t a = 0; a < in.n; a++)
            for (size_t b = a; b < in.n; b++) {
                uint64_t cuts = (uint64_t)1 << a | (uint64_t)1 << b;
                read_cut(&m, c->request, in, cuts, &r);
                check_case(c, &r, cuts);
            }
    }
}

/* Trailers that come in ever so small pieces are bounded by their limit. */
static void endless_trailers(void **state) {
    (void)state;
    static char in[64] = "0\r\n";
    struct h1_message m = {.framing = FRAMING_CHUNKED};
    struct reading r;
    for (size_t i = 3; i < sizeof in; i++)
        in[i] = "X: 1\r\n"[(i - 3) % 6];
    for (uint64_t cuts = 1; cuts; cuts <<= 1) {
        read_cut(&m, true, span_of(in, sizeof in), cuts, &r);
        assert_true(r.result == H1_READ_FAULT);
        assert_int_equal(fault_table[r.fault].status, 431);
    }
    read_cut(&m, true, span_of(in, sizeof in), UINT64_MAX, &r);
    assert_true(r.result == H1_READ_FAULT && fault_table[r.fault].status == 431);
}

static void the_end_of_the_stream(void **state) {
    (void)state;
    static const struct {
        enum framing framing;
        enum h1_read result;
    } cases[] = {{FRAMING_LENGTH, H1_READ_FAULT},
                 {FRAMING_CHUNKED, H1_READ_FAULT},
                 {FRAMING_CLOSE, H1_READ_END},
                 {FRAMING_TUNNEL, H1_READ_END}};
    for (size_t i = 0; i < array_len(cases); i++) {
        struct h1_message m = {.framing = cases[i].framing, .length = 3};
        struct h1_reader r;
        half_reset(&x.up_half);
        h1_reader_start(&r, &m, false, &h1_trailer_limits);
        assert_int_equal(h1_reader_eof(&r, &x.up_half.source), cases[i].result);
        assert_int_equal(x.up_half.source.ended, cases[i].result == H1_READ_END);
    }
}

static uint64_t fuse;
static void *fused(size_t n) {
    return fuse && --fuse == 0 ? NULL : malloc(n);
}

/* Each allocation of a chunked body with trailers fails in turn: a fault, or nothing of it. */
static void each_allocation_fails(void **state) {
    (void)state;
    struct span in = SPAN("3\r\nabc\r\n0\r\nX-A: 1\r\n\r\n");
    struct h1_message m = {.framing = FRAMING_CHUNKED};
    struct reading r;
    unsigned faults = 0;
    for (uint64_t n = 1; n < 30; n++) {
        pond_finish(&thread->loop.pond); /* nothing in reserve */
        env.alloc = fused;
        fuse = n;
        read_cut(&m, true, in, n % 2 ? 0 : UINT64_MAX, &r);
        bool failed = fuse == 0;
        fuse = 0;
        env.alloc = env_os.alloc;
        faults += r.result == H1_READ_FAULT;
        if (r.result == H1_READ_FAULT)
            assert_true(failed && r.fault == FAULT_OUT_OF_MEMORY);
        else if (!thread->loop.pond.failed)
            assert_true(r.ended && r.trailer_count == 1);
        thread->loop.pond.failed = false;
    }
    assert_true(faults > 0);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, begin, finish)
    const struct CMUnitTest tests[] = {
        T(writing),
        T(lengths_are_kept),
        T(many_slices),
        T(no_memory_for_trailers),
        T(reading_at_every_cut),
        T(endless_trailers),
        T(the_end_of_the_stream),
        T(each_allocation_fails),
    };
    return cmocka_run_group_tests_name("core/h1_wire", tests, NULL, NULL);
}
