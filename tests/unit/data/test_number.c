/* Doubles and points in time as text, in a process whose locale has other ideas of a point. */
#include "data/number.h"
#include <float.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct {
    const char *text;
    bool fine;
    double d;
} reads[] = {
    {"0", true, 0},
    {"-0", true, -0.0},
    {"123456789012345", true, 123456789012345},
    {"9007199254740993", true, 9007199254740992},
    {"-1.5", true, -1.5},
    {"+1.5", true, 1.5},
    {".5", true, 0.5},
    {"5.", true, 5},
    {"1e3", true, 1000},
    {"1E-3", true, 0.001},
    {"1e400", true, INFINITY},
    {"-1e400", true, -INFINITY},
    {"1e-400", true, 0},
    {"1e99999999999999999999", true, INFINITY},
    {"2.2250738585072014e-308", true, DBL_MIN},
    {"", false, 0},
    {"-", false, 0},
    {".", false, 0},
    {"1e", false, 0},
    {"1e+", false, 0},
    {" 1", false, 0},
    {"1 ", false, 0},
    {"0x10", false, 0},
    {"1,5", false, 0},
    {"inf", false, 0},
    {"NaN", false, 0},
    {"1.2.3", false, 0},
    {"--1", false, 0},
};

static void test_read(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(reads); i++) {
        double d = 0;
        if (number_read(span_z(reads[i].text), &d) != reads[i].fine)
            fail_msg("%s was %s", reads[i].text, reads[i].fine ? "refused" : "read");
        if (reads[i].fine && (d != reads[i].d || signbit(d) != signbit(reads[i].d)))
            fail_msg("%s: %.17g", reads[i].text, d);
    }
}

/* As many digits as somebody likes to send. */
static void test_long(void **state) {
    enum { N = 1 << 20 };
    char *text = malloc(N);
    double d = 0;
    (void)state;
    memset(text, '0', N);
    text[1] = '.';
    text[N - 1] = '1';
    assert_true(number_read(span_of(text, N), &d));
    assert_true(d == 0);
    text[0] = '7';
    assert_true(number_read(span_of(text, N), &d));
    assert_true(d == 7);
    free(text);
}

static const struct {
    double d;
    const char *text;
} texts[] = {
    {0, "0"},
    {-0.0, "-0"},
    {1, "1"},
    {-42, "-42"},
    {0.1, "0.1"},
    {1.5, "1.5"},
    {0.1 + 0.2, "0.30000000000000004"},
    {1e15, "1e+15"},
    {999999999999999, "999999999999999"},
    {1e21, "1e+21"},
    {1.0 / 3, "0.3333333333333333"},
    {5e-324, "5e-324"},
    {DBL_MAX, "1.7976931348623157e+308"},
    {INFINITY, "Infinity"},
    {-INFINITY, "-Infinity"},
    {NAN, "NaN"},
};

static void test_text(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(texts); i++) {
        char text[NUMBER_TEXT];
        size_t n = number_text(texts[i].d, text);
        if (!span_eq(span_of(text, n), span_z(texts[i].text)))
            fail_msg("%s: %.*s", texts[i].text, (int)n, text);
    }
}

/* Whatever is written is read as the same. */
static void test_both_ways(void **state) {
    uint64_t bits = 0x9e3779b97f4a7c15;
    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        char text[NUMBER_TEXT];
        double d, again = 0;
        bits = bits * 6364136223846793005u + 1442695040888963407u;
        memcpy(&d, &bits, sizeof d);
        if (!isfinite(d))
            continue;
        size_t n = number_text(d, text);
        assert_true(n < sizeof text);
        assert_true(number_read(span_of(text, n), &again));
        assert_true(memcmp(&d, &again, sizeof d) == 0);
    }
}

static const struct {
    int64_t seconds;
    int32_t nanos;
    const char *text;
} times[] = {
    {0, 0, "1970-01-01T00:00:00Z"},
    {951782399, 0, "2000-02-28T23:59:59Z"},
    {951782400, 0, "2000-02-29T00:00:00Z"},
    {951868800, 0, "2000-03-01T00:00:00Z"},
    {-2203891201, 0, "1900-02-28T23:59:59Z"},
    {-2203891200, 0, "1900-03-01T00:00:00Z"}, /* no leap year */
    {1764070000, 120000000, "2025-11-25T11:26:40.12Z"},
    {-62135596800, 1, "0001-01-01T00:00:00.000000001Z"},
    {253402300799, 0, "9999-12-31T23:59:59Z"},
};

static void test_times(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(times); i++) {
        char text[MOMENT_TEXT];
        size_t n = timestamp_text(times[i].seconds, times[i].nanos, text);
        if (!span_eq(span_of(text, n), span_z(times[i].text)))
            fail_msg("%s: %.*s", times[i].text, (int)n, text);
    }
    char text[MOMENT_TEXT]; /* beyond every calendar, still within the buffer */
    assert_true(timestamp_text(INT64_MAX, 999999999, text) < sizeof text);
    assert_true(timestamp_text(INT64_MIN, 0, text) < sizeof text);
    assert_true(duration_text(INT64_MIN, -999999999, text) < sizeof text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),      cmocka_unit_test(test_long),  cmocka_unit_test(test_text),
        cmocka_unit_test(test_both_ways), cmocka_unit_test(test_times),
    };
    setlocale(LC_ALL, "de_DE.UTF-8"); /* where there is one */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
