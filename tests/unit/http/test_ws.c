/* WebSocket frames from a text file, cut in every way; long ones made here. */
#include "cuts.h"
#include "http/ws.h"

static void start(void *scan, const void *how) {
    const struct span *words = how;
    struct ws_limits limits = {.frame_max = word_value(*words, "frame"),
                               .message_max = word_value(*words, "message"),
                               .fragments_max = (uint32_t)word_value(*words, "fragments"),
                               .utf8 = word_value(*words, "utf8")};
    ws_scan_start(scan, word_value(*words, "client") ? WS_FROM_CLIENT : WS_FROM_SERVICE, &limits,
                  word_value(*words, "ext"));
}

static size_t feed(void *scan, struct span piece) {
    const struct ws_scan *s = scan;
    size_t before = s->held, n = ws_scan(scan, piece);
    assert_true(n <= before + piece.n);
    if (s->close == 0) {
        assert_int_equal(s->held, before + piece.n - n);
        assert_in_range(s->held, 0, 131);
    }
    return n;
}

static void tell(const void *scan, size_t passed, size_t n, struct str *got) {
    const struct ws_scan *s = scan;
    str_fmt(got, "%zu of %zu, %llu frames", passed, n, (unsigned long long)s->frames);
    if (s->pings)
        str_fmt(got, ", %u pings", s->pings);
    if (!ws_scan_between(s))
        str_lit(got, ", inside");
    if (s->closed)
        str_lit(got, ", closed");
    if (s->close)
        str_fmt(got, ", fault %u", s->close);
}

static const struct cut_ops ops = {start, feed, tell};

static void run_case(struct span input, struct str *got) {
    struct ws_scan s;
    struct span words = span_split(&input, '|');
    assert_non_null(input.p);
    cuts_run(&ops, &s, &words, input, got);
}

static void test_cases(void **state) {
    (void)state;
    unsigned n = cases_run("ws.txt", run_case);
    assert_true(n > 60);
    print_message("# %u cases\n", n);
}

/* Every code that a close frame may or may not carry (RFC 6455 7.4, IANA). */
static void test_codes(void **state) {
    (void)state;
    for (unsigned code = 0; code < 65536; code++) {
        char frame[] = {(char)0x88, 2, (char)(code >> 8), (char)code};
        struct ws_scan s;
        bool legal = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
                     (code >= 3000 && code <= 4999);
        ws_scan_start(&s, WS_FROM_SERVICE, &(struct ws_limits){0}, false);
        size_t n = ws_scan(&s, span_of(frame, sizeof frame));
        assert_int_equal(n, legal ? 4 : 0);
        assert_int_equal(s.close, legal ? 0 : WS_MALFORMED);
        assert_true(s.closed == legal);
    }
}

static size_t head_of(unsigned char *out, unsigned first, uint64_t n, const unsigned char *mask) {
    size_t at = 2, bytes = n > 65535 ? 8 : n > 125 ? 2 : 0;
    out[0] = (unsigned char)first;
    out[1] = (unsigned char)((mask ? 128 : 0) | (n > 65535 ? 127 : n > 125 ? 126 : n));
    for (size_t i = bytes; i > 0; i--)
        out[at++] = (unsigned char)(n >> 8 * (i - 1));
    for (size_t i = 0; mask && i < 4; i++)
        out[at++] = mask[i];
    return at;
}

/* Texts of every length around the strides of the check, with one bad byte at every place. */
static void test_bad_byte(void **state) {
    (void)state;
    static const unsigned char mask[] = {0x37, 0xfa, 0x21, 0x3d};
    unsigned char frame[200];
    for (size_t n = 1; n < 150; n++)
        for (size_t bad = 0; bad <= n; bad++) {
            struct ws_scan s;
            struct ws_limits limits = {.utf8 = true};
            size_t at = head_of(frame, 0x81, n, mask);
            for (size_t i = 0; i < n; i++)
                frame[at + i] = (unsigned char)((i == bad ? 0xff : 'a' + i % 26) ^ mask[i & 3]);
            ws_scan_start(&s, WS_FROM_CLIENT, &limits, false);
            size_t passed = ws_scan(&s, span_of((char *)frame, at + n));
            assert_int_equal(passed, at + bad);
            assert_int_equal(s.close, bad < n ? WS_NOT_UTF8 : 0);
        }
}

/* All that one, two, three and four bytes can be, against the decoder of base/str. */
static void test_utf8(void **state) {
    (void)state;
    for (uint32_t v = 0; v < 1u << 24; v += 1 + (v >> 16 == 0 ? 0 : v % 251)) {
        unsigned char frame[6] = {
            0x81, 4, 'a', (unsigned char)(v >> 16), (unsigned char)(v >> 8), (unsigned char)v};
        struct ws_scan s;
        ws_scan_start(&s, WS_FROM_SERVICE, &(struct ws_limits){.utf8 = true}, false);
        ws_scan(&s, span_of((char *)frame, sizeof frame));
        size_t at = 0, len = 1;
        for (; at < 3 && len; at += len)
            len = utf8_len(frame + 3 + at, 3 - at);
        assert_int_equal(s.close, len ? 0 : WS_NOT_UTF8);
    }
}

static void test_close_frame(void **state) {
    (void)state;
    static const unsigned char mask[] = {1, 2, 3, 4};
    static const char *const reasons[] = {"", "going away", "a reason that is longer than twenty"};
    for (unsigned i = 0; i < array_len(reasons); i++)
        for (unsigned masked = 0; masked < 2; masked++) {
            unsigned char out[32];
            struct ws_scan s;
            struct ws_limits limits = {.utf8 = true};
            size_t n = ws_close_frame(out, WS_GOING_AWAY, reasons[i], masked ? mask : NULL);
            size_t text = strlen(reasons[i]) > 20 ? 20 : strlen(reasons[i]);
            assert_int_equal(n, 4 + 4 * masked + text);
            ws_scan_start(&s, masked ? WS_FROM_CLIENT : WS_FROM_SERVICE, &limits, false);
            assert_int_equal(ws_scan(&s, span_of((char *)out, n)), n);
            assert_true(s.closed && s.close == 0 && s.code == WS_GOING_AWAY);
        }
}

/* Lengths that add up beyond 64 bits: the third frame is too much, not a small one. */
static void test_overflow(void **state) {
    (void)state;
    unsigned char head[16];
    struct ws_scan s;
    struct ws_limits limits = {.message_max = UINT64_MAX - 1};
    ws_scan_start(&s, WS_FROM_SERVICE, &limits, false);
    for (unsigned i = 0; i < 3; i++) {
        size_t n = head_of(head, i ? 0x00 : 0x02, INT64_MAX, NULL);
        assert_int_equal(ws_scan(&s, span_of((char *)head, n)), i < 2 ? n : 0);
        assert_int_equal(s.close, i < 2 ? 0 : WS_TOO_BIG);
        s.left = 0; /* as if the payload had passed */
        s.payload = s.inside = false;
        s.head_len = 0;
        s.head_need = 2;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),       cmocka_unit_test(test_codes),
        cmocka_unit_test(test_bad_byte),    cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_close_frame), cmocka_unit_test(test_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
