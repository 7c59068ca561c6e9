/* base/str: spans, numbers from outside, the bounded builder, escaping. */
#include "base/str.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define assert_span(s, text) assert_true(span_eq((s), span_z(text)))

static void spans(void **state) {
    (void)state;
    struct span s = SPAN("abcdef");
    assert_true(span_eq(SPAN_NONE, SPAN("")));
    assert_true(span_eq(SPAN_NONE, SPAN_NONE));
    assert_false(span_eq(SPAN("a"), SPAN("b")));
    assert_false(span_eq(SPAN("a"), SPAN("ab")));
    assert_span(span_from(s, 2), "cdef");
    assert_span(span_from(s, 6), "");
    assert_ptr_equal(span_from(s, 99).p, s.p + 6); /* never beyond the end */
    assert_span(span_cut(s, 1, 3), "bcd");
    assert_span(span_cut(s, 4, 99), "ef");
    assert_span(span_cut(s, 9, 1), "");
    assert_int_equal(span_z(NULL).n, 0);
    assert_int_equal(span_find(s, 'd'), 3);
    assert_int_equal(span_find(s, 'x'), -1);
    assert_int_equal(span_find(SPAN_NONE, 'x'), -1);
}

static void comparing(void **state) {
    (void)state;
    static const struct {
        const char *a, *b;
        bool eq_nocase, starts, ends;
        int cmp;
    } cases[] = {
        {"", "", true, true, true, 0},
        {"a", "", false, true, true, 1},
        {"", "a", false, false, false, -1},
        {"Ab", "aB", true, false, false, -1},
        {"abc", "ab", false, true, false, 1},
        {"abc", "bc", false, false, true, -1},
        {"a\xc4", "a\xe4", false, false, false, -1}, /* ASCII only */
        {"@", "`", false, false, false, -1},         /* one bit apart, but no letters */
        {"[", "{", false, false, false, -1},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct span a = span_z(cases[i].a), b = span_z(cases[i].b);
        int c = span_cmp(a, b);
        assert_int_equal(span_eq_nocase(a, b), cases[i].eq_nocase);
        assert_int_equal(span_starts(a, b), cases[i].starts);
        assert_int_equal(span_ends(a, b), cases[i].ends);
        assert_int_equal((c > 0) - (c < 0), cases[i].cmp);
    }
}

static void trimming(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},          {" ", ""},          {"\t \t", ""},    {"a", "a"},
        {" a b\t", "a b"}, {"\na\n", "\na\n"}, {"\v a", "\v a"},
    };
    for (size_t i = 0; i < array_len(cases); i++)
        assert_span(span_trim(span_z(cases[i][0])), cases[i][1]);
}

static void splitting(void **state) {
    (void)state;
    static const struct {
        const char *text, *parts[5];
    } cases[] = {
        {"a,b", {"a", "b"}},         {"", {""}}, {",", {"", ""}}, {"a,", {"a", ""}},
        {",a,,", {"", "a", "", ""}},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct span rest = span_z(cases[i].text);
        size_t n = 0;
        for (; rest.p; n++)
            assert_span(span_split(&rest, ','), cases[i].parts[n]);
        assert_true(n == 5 || !cases[i].parts[n]);
    }
}

static void decimal(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t max, value;
        bool ok;
    } cases[] = {
        {"0", 0, 0, true},
        {"1", 0, 0, false},
        {"65535", 65535, 65535, true},
        {"65536", 65535, 0, false},
        {"18446744073709551615", UINT64_MAX, UINT64_MAX, true},
        {"18446744073709551616", UINT64_MAX, 0, false},
        {"18446744073709551621", UINT64_MAX, 0, false},
        {"99999999999999999999", UINT64_MAX, 0, false},
        {"184467440737095516150", UINT64_MAX, 0, false},
        {"", 9, 0, false},
        {"00", 9, 0, false},
        {"05", 9, 0, false},
        {"+5", 9, 0, false},
        {"-5", 9, 0, false},
        {" 5", 9, 0, false},
        {"5 ", 9, 0, false},
        {"5a", 9, 0, false},
        {"0x5", 9, 0, false},
        {"5_0", 99, 0, false},
        {"1e1", 99, 0, false},
        {"5.0", 9, 0, false},
        {"/", 99, 0, false},
        {":", 99, 0, false},
        {"\xb5", 9, 0, false},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        uint64_t v = 77;
        bool ok = parse_dec(span_z(cases[i].text), cases[i].max, &v);
        if (ok != cases[i].ok || (ok && v != cases[i].value))
            fail_msg("%s: %d %" PRIu64, cases[i].text, ok, v);
    }
    uint64_t v;
    assert_false(parse_dec(span_of("5\0", 2), 99, &v));
    assert_false(parse_dec(SPAN_NONE, 99, &v));
}

static void hexadecimal(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
        bool ok;
    } cases[] = {
        {"0", 0, true},
        {"00000000000000ff", 255, true},
        {"DeadBeef", 0xdeadbeef, true},
        {"ffffffffffffffff", UINT64_MAX, true},
        {"00000000000000000", 0, false}, /* 17 digits */
        {"10000000000000000", 0, false},
        {"", 0, false},
        {"0x5", 0, false},
        {"+5", 0, false},
        {" 5", 0, false},
        {"5;", 0, false},
        {"g", 0, false},
        {"@", 0, false},
        {"`", 0, false},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        uint64_t v = 77;
        bool ok = parse_hex(span_z(cases[i].text), &v);
        if (ok != cases[i].ok || (ok && v != cases[i].value))
            fail_msg("%s: %d %" PRIx64, cases[i].text, ok, v);
    }
}

/* Past its maximum it appends nothing, and says so; the byte behind it is never touched. */
static void builder(void **state) {
    (void)state;
    for (size_t max = 0; max <= 12; max++) {
        char buf[16];
        memset(buf, '#', sizeof buf);
        struct str s = str_on(buf, max);
        str_lit(&s, "ab");
        str_u64(&s, 1234);
        str_char(&s, '-');
        str_fmt(&s, "%s", "xyz");
        str_add(&s, SPAN_NONE);
        assert_int_equal(s.full, max < 10);
        assert_true(s.n <= max);
        for (size_t i = s.n; i < sizeof buf; i++)
            assert_int_equal(buf[i], '#');
        if (max >= 10)
            assert_span(str_span(&s), "ab1234-xyz");
    }
    char big[2048];
    struct str s = str_on(big, sizeof big);
    str_fmt(&s, "%01500d", 1); /* more than one piece may be */
    assert_true(s.full && s.n == 0);
}

static void numbers_printed(void **state) {
    (void)state;
    uint64_t v = 1;
    for (int i = 0; i < 64; i++, v = v * 3 + 1) {
        char buf[24], want[24];
        struct str s = str_on(buf, sizeof buf);
        str_u64(&s, v);
        snprintf(want, sizeof want, "%" PRIu64, v);
        assert_span(str_span(&s), want);
    }
    char buf[24];
    struct str s = str_on(buf, sizeof buf);
    str_u64(&s, 0);
    str_u64(&s, UINT64_MAX);
    assert_span(str_span(&s), "018446744073709551615");
}

/* Against a second reading of RFC 3629: every sequence of up to 3 bytes over a sample of bytes. */
static size_t utf8_plain(const unsigned char *p, size_t n) {
    static const struct {
        unsigned char first_lo, first_hi, second_lo, second_hi;
        size_t len;
    } table[] = {
        /* RFC 3629 section 4, its grammar row by row */
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t i = 0; i < array_len(table); i++) {
        if (p[0] < table[i].first_lo || p[0] > table[i].first_hi || n < table[i].len)
            continue;
        bool ok = table[i].len == 1 || (p[1] >= table[i].second_lo && p[1] <= table[i].second_hi);
        for (size_t k = 2; k < table[i].len; k++)
            ok = ok && p[k] >= 0x80 && p[k] <= 0xbf;
        return ok ? table[i].len : 0;
    }
    return 0;
}

static void utf8(void **state) {
    (void)state;
    static const unsigned char tail[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90,
                                         0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    for (unsigned first = 0; first < 256; first++)
        for (size_t i = 0; i < array_len(tail) * array_len(tail) * array_len(tail); i++) {
            unsigned char p[4] = {(unsigned char)first, tail[i % 11], tail[i / 11 % 11],
                                  tail[i / 121]};
            for (size_t n = 1; n <= 4; n++)
                if (utf8_len(p, n) != utf8_plain(p, n))
                    fail_msg("%02x %02x %02x %02x of %zu", p[0], p[1], p[2], p[3], n);
        }
}

static void escaping(void **state) {
    (void)state;
    static const struct {
        const char *text, *json, *html;
    } cases[] = {
        {"", "", ""},
        {"plain", "plain", "plain"},
        {"a\"b\\c", "a\\\"b\\\\c", "a&quot;b\\c"},
        {"\n\r\t", "\\n\\r\\t", "\n\r\t"},
        {"\x01\x1f\x7f", "\\u0001\\u001f\\u007f", "\x01\x1f\x7f"},
        {"<a href='x'>&", "<a href='x'>&", "&lt;a href=&#39;x&#39;&gt;&amp;"},
        {"\xc3\xa9", "\xc3\xa9", "\xc3\xa9"},
        {"\xe9", "\\u00e9", "\xe9"},
        {"a\xff\xc3", "a\\u00ff\\u00c3", "a\xff\xc3"},
        {"\xed\xa0\x80", "\\u00ed\\u00a0\\u0080", "\xed\xa0\x80"},
        {"\xf0\x9f\x98\x80!", "\xf0\x9f\x98\x80!", "\xf0\x9f\x98\x80!"},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        char buf[128];
        struct str s = str_on(buf, sizeof buf);
        str_json(&s, span_z(cases[i].text));
        if (!span_eq(str_span(&s), span_z(cases[i].json)))
            fail_msg("%s: %.*s", cases[i].text, SPAN_ARG(str_span(&s)));
        s = str_on(buf, sizeof buf);
        str_html(&s, span_z(cases[i].text));
        assert_span(str_span(&s), cases[i].html);
    }
}

/* Whatever the bytes: one line of valid UTF-8 without a bare quote, or `full`. */
static void json_of_anything(void **state) {
    (void)state;
    uint64_t seed = 42;
    for (int round = 0; round < 20000; round++) {
        char in[24], out[160];
        size_t n = (seed >> 33) % sizeof in;
        for (size_t i = 0; i < n; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            in[i] = (char)(seed >> 56);
        }
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        struct str s = str_on(out, sizeof out);
        str_json(&s, span_of(in, n));
        assert_false(s.full); /* 6 bytes for one at most */
        for (size_t at = 0, len; at < s.n; at += len) {
            unsigned char c = (unsigned char)out[at];
            len = utf8_len((unsigned char *)out + at, s.n - at);
            assert_true(len > 0 && c >= 0x20 && c != 0x7f && c != '"');
            if (c == '\\')
                len = out[at + 1] == 'u' ? 6 : 2;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans),
        cmocka_unit_test(comparing),
        cmocka_unit_test(trimming),
        cmocka_unit_test(splitting),
        cmocka_unit_test(decimal),
        cmocka_unit_test(hexadecimal),
        cmocka_unit_test(builder),
        cmocka_unit_test(numbers_printed),
        cmocka_unit_test(utf8),
        cmocka_unit_test(escaping),
        cmocka_unit_test(json_of_anything),
    };
    return cmocka_run_group_tests_name("base/str", tests, NULL, NULL);
}
