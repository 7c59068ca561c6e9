/* What is noticed of a client's frames before nghttp2 sees them, however they are cut. */
#include "front/h2_frames.h"
#include <nghttp2/nghttp2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
enum {
    DATA,
    HEADERS,
    PRIORITY,
    RST,
    SETTINGS,
    PUSH,
    PING,
    GOAWAY,
    WINDOW,
    CONT,
    END = 1,
    BLOCK = 4
};

struct wire {
    char bytes[200000];
    size_t n, last; /* last: where the last frame begins */
};

static void add(struct wire *w, unsigned type, unsigned flags, uint32_t stream, const char *payload,
                size_t n) {
    const unsigned char head[] = {
        (unsigned char)(n >> 16),      (unsigned char)(n >> 8),      (unsigned char)n,
        (unsigned char)type,           (unsigned char)flags,         (unsigned char)(stream >> 24),
        (unsigned char)(stream >> 16), (unsigned char)(stream >> 8), (unsigned char)stream};
    assert_true(w->n + sizeof head + n <= sizeof w->bytes);
    w->last = w->n;
    memcpy(w->bytes + w->n, head, sizeof head);
    if (n)
        memcpy(w->bytes + w->n + sizeof head, payload, n);
    w->n += sizeof head + n;
}

static void start(struct wire *w) {
    w->n = 0;
    memcpy(w->bytes, PREFACE, sizeof PREFACE - 1);
    w->n = sizeof PREFACE - 1;
    add(w, SETTINGS, 0, 0, "", 0);
}

static struct h2_guard lenient(void) {
    struct h2_guard g = {.empties = 0};
    return g; /* bursts of 0: no limit */
}

/* In pieces of `step` bytes. Returns how many nghttp2 may have. */
static size_t look(const struct wire *w, size_t step, struct h2_guard *g, struct h2_frames *f,
                   struct h2_trouble *t) {
    h2_frames_init(f);
    for (size_t at = 0; at < w->n; at += step) {
        size_t n = w->n - at < step ? w->n - at : step;
        size_t may = h2_frames_look(f, g, 1, span_of(w->bytes + at, n), t);
        if (t->code)
            return at + may;
        assert_int_equal(may, n);
    }
    return w->n;
}

struct step {
    unsigned type, flags;
    uint32_t stream;
    const char *payload;
    size_t n;
};
static const struct row {
    const char *what;
    uint32_t code;
    struct step step[6];
} rows[] = {
    {"a request", 0, {{HEADERS, END | BLOCK, 1, "x", 1}}},
    {"two", 0, {{HEADERS, END | BLOCK, 1, "x", 1}, {HEADERS, END | BLOCK, 3, "x", 1}}},
    {"a body", 0, {{HEADERS, BLOCK, 1, "x", 1}, {DATA, 0, 1, "abc", 3}, {DATA, END, 1, "", 0}}},
    {"trailers",
     0,
     {{HEADERS, BLOCK, 1, "x", 1}, {DATA, 0, 1, "abc", 3}, {HEADERS, END | BLOCK, 1, "x", 1}}},
    {"a stream that was passed over",
     NGHTTP2_PROTOCOL_ERROR,
     {{HEADERS, END | BLOCK, 5, "x", 1}, {HEADERS, END | BLOCK, 3, "x", 1}}},
    {"DATA of one that was passed over",
     NGHTTP2_STREAM_CLOSED,
     {{HEADERS, END | BLOCK, 5, "x", 1}, {DATA, 0, 3, "x", 1}}},
    {"HEADERS behind END_STREAM",
     NGHTTP2_STREAM_CLOSED,
     {{HEADERS, END | BLOCK, 1, "x", 1}, {HEADERS, END | BLOCK, 1, "x", 1}}},
    {"DATA behind END_STREAM",
     NGHTTP2_STREAM_CLOSED,
     {{HEADERS, END | BLOCK, 1, "x", 1}, {DATA, 0, 1, "x", 1}}},
    {"DATA behind RST_STREAM",
     NGHTTP2_STREAM_CLOSED,
     {{HEADERS, BLOCK, 1, "x", 1}, {RST, 0, 1, "\0\0\0\1", 4}, {DATA, 0, 1, "x", 1}}},
    {"RST_STREAM behind END_STREAM",
     0,
     {{HEADERS, END | BLOCK, 1, "x", 1}, {RST, 0, 1, "\0\0\0\1", 4}}},
    {"PRIORITY", 0, {{PRIORITY, 0, 3, "\0\0\0\1\1", 5}, {HEADERS, END | BLOCK, 3, "x", 1}}},
    {"PRIORITY on stream 0", NGHTTP2_PROTOCOL_ERROR, {{PRIORITY, 0, 0, "\0\0\0\1\1", 5}}},
    {"PRIORITY of 4 bytes is nghttp2's", 0, {{PRIORITY, 0, 3, "\0\0\0\3", 4}}},
    {"a block in pieces",
     0,
     {{HEADERS, END, 1, "x", 1},
      {CONT, 0, 1, "", 0},
      {CONT, BLOCK, 1, "y", 1},
      {PING, 0, 0, "12345678", 8}}},
    {"a frame too large is nghttp2's", 0, {{0x77, 0, 0, NULL, 16385}}},
    {"an even stream is nghttp2's", 0, {{HEADERS, END | BLOCK, 2, "x", 1}}},
};

static void verdicts(void **state) {
    static char zeros[20000];
    static struct wire w;
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++) {
        start(&w);
        for (const struct step *s = rows[i].step; s < rows[i].step + 6 && (s->n || s->flags); s++)
            add(&w, s->type, s->flags, s->stream, s->payload ? s->payload : zeros, s->n);
        for (size_t step = 1; step <= w.n; step++) {
            struct h2_frames f;
            struct h2_trouble t = {.code = 0};
            struct h2_guard g = lenient();
            size_t may = look(&w, step, &g, &f, &t);
            if (t.code != rows[i].code)
                fail_msg("%s, in pieces of %zu: code %u, wanted %u", rows[i].what, step, t.code,
                         rows[i].code);
            /* Up to the frame's begin, or as much of its head as came before. */
            if (t.code && (may < w.last || may > w.last + H2_FRAME_HEAD))
                fail_msg("%s, in pieces of %zu: %zu bytes, the frame begins at %zu", rows[i].what,
                         step, may, w.last);
        }
    }
}

/* The stream that PRIORITY names stands behind its head, and may come later. */
static void depends_on_itself(void **state) {
    static struct wire w;
    (void)state;
    start(&w);
    add(&w, PRIORITY, 0, 7, "\x80\0\0\7\1", 5);
    for (size_t step = 1; step <= w.n; step++) {
        struct h2_frames f;
        struct h2_trouble t = {.code = 0};
        struct h2_guard g = lenient();
        look(&w, step, &g, &f, &t);
        assert_int_equal(t.code, NGHTTP2_PROTOCOL_ERROR);
    }
}

/* Eight CONTINUATION frames and 64 KiB of a block are fine, one more of either is not. */
static void blocks(void **state) {
    static char part[16384];
    static struct wire w;
    (void)state;
    for (unsigned parts = 8; parts <= 9; parts++) {
        start(&w);
        add(&w, HEADERS, END, 1, "x", 1);
        for (unsigned i = 1; i <= parts; i++)
            add(&w, CONT, i == parts ? BLOCK : 0, 1, "", 0);
        struct h2_frames f;
        struct h2_trouble t = {.code = 0};
        struct h2_guard g = lenient();
        look(&w, 7, &g, &f, &t);
        assert_int_equal(t.flood, parts == 9 ? H2_FLOOD_HEADERS : H2_CALM);
        assert_int_equal(t.code, parts == 9 ? NGHTTP2_ENHANCE_YOUR_CALM : 0);
    }
    for (size_t more = 0; more <= 1; more++) {
        start(&w);
        add(&w, HEADERS, END, 1, part, sizeof part);
        for (unsigned i = 1; i < 4; i++)
            add(&w, CONT, 0, 1, part, sizeof part);
        if (more)
            add(&w, CONT, BLOCK, 1, part, 1);
        struct h2_frames f;
        struct h2_trouble t = {.code = 0};
        struct h2_guard g = lenient();
        look(&w, 1000, &g, &f, &t);
        assert_int_equal(t.flood, more ? H2_FLOOD_HEADERS : H2_CALM);
        assert_int_equal(f.block, !more);
    }
}

/* What the client did is known of the latest streams; of older ones nothing is claimed. */
static void memory_of_streams(void **state) {
    static struct wire w;
    struct h2_frames f;
    struct h2_trouble t = {.code = 0};
    struct h2_guard g = lenient();
    (void)state;
    start(&w);
    for (uint32_t id = 1; id <= 2001; id += 4)
        add(&w, HEADERS, BLOCK, id, "x", 1);
    look(&w, 1000, &g, &f, &t);
    assert_int_equal(t.code, 0);
    assert_int_equal(f.last, 2001);
    assert_int_equal(f.streams, 501);
    assert_true(h2_frames_opened(&f, 2001) && h2_frames_opened(&f, 1997));
    assert_false(h2_frames_opened(&f, 1999)); /* passed over */
    assert_false(h2_frames_opened(&f, 2003)); /* not yet */
    assert_false(h2_frames_opened(&f, 1));    /* forgotten */
    assert_true(h2_frames_opened(&f, 2001 - 2 * (H2_KNOWN_IDS - 1) + 2));
    w.n = 0; /* trailers of a forgotten one: nghttp2 decides */
    add(&w, HEADERS, END | BLOCK, 1, "x", 1);
    assert_int_equal(h2_frames_look(&f, &g, 1, span_of(w.bytes, w.n), &t), w.n);
    w.n = 0; /* far ahead: all in between are passed over */
    add(&w, HEADERS, END | BLOCK, 0x7fffffff, "x", 1);
    h2_frames_look(&f, &g, 1, span_of(w.bytes, w.n), &t);
    assert_int_equal(t.code, 0);
    assert_true(h2_frames_opened(&f, 0x7fffffff));
    assert_false(h2_frames_opened(&f, 0x7ffffffd));
}

/* Frames that nghttp2 would ignore are counted, too. */
static void floods(void **state) {
    static const struct step kinds[] = {
        {0x77, 0, 0, "", 0},           {PING, 0, 0, "12345678", 8},       {SETTINGS, 0, 0, "", 0},
        {WINDOW, 0, 0, "\0\0\0\1", 4}, {PRIORITY, 0, 9, "\0\0\0\1\1", 5}, {DATA, 0, 1, "", 0},
        {RST, 0, 1, "\0\0\0\1", 4}};
    static struct wire w;
    (void)state;
    for (size_t k = 0; k < array_len(kinds); k++) {
        struct h2_guard g = {.empties = 0};
        h2_bucket_init(&g.glitches, 100, 10, 1);
        start(&w);
        add(&w, HEADERS, BLOCK, 1, "x", 1);
        for (int i = 0; i < 150; i++)
            add(&w, kinds[k].type, kinds[k].flags, kinds[k].stream, kinds[k].payload, kinds[k].n);
        struct h2_frames f;
        struct h2_trouble t = {.code = 0};
        look(&w, 100, &g, &f, &t);
        assert_int_equal(t.flood, H2_FLOOD_CONTROL);
        assert_true(f.glitches > 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts), cmocka_unit_test(depends_on_itself),
        cmocka_unit_test(blocks),   cmocka_unit_test(memory_of_streams),
        cmocka_unit_test(floods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
