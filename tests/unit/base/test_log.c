/* base/log: one line per event, escaped, bounded, rate limited. */
#include "base/env.h"
#include "base/log.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static char out[64 * 1024];
static size_t out_n;
static int64_t wall;

static void take(const char *line, size_t n) {
    assert_true(n <= LOG_EVENT_MAX && line[n - 1] == '\n');
    assert_null(memchr(line, '\n', n - 1));
    assert_true(out_n + n < sizeof out);
    memcpy(out + out_n, line, n);
    out_n += n;
    out[out_n] = 0;
}

static int64_t wall_now(void) {
    return wall;
}

static int reset(void **state) {
    (void)state;
    env = env_os;
    env.wall_ns = wall_now;
    wall += 10000000000; /* no test shares a second with the one before */
    if (wall < 1700000000000000000)
        wall = 1700000000123456789;
    log_event_output(take);
    log_event_level(LEVEL_INFO);
    log_event_tick();
    out_n = 0;
    out[0] = 0;
    return 0;
}

static unsigned lines(void) {
    unsigned n = 0;
    for (size_t i = 0; i < out_n; i++)
        n += out[i] == '\n';
    return n;
}

static void times(void **state) {
    static const struct {
        int64_t ns;
        const char *text;
    } row[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {951782399999999999, "2000-02-28T23:59:59.999Z"},
        {951782400000000000, "2000-02-29T00:00:00.000Z"},
        {951868800000000000, "2000-03-01T00:00:00.000Z"},
        {1709164800001000000, "2024-02-29T00:00:00.001Z"},
        {1735689599000999999, "2024-12-31T23:59:59.000Z"},
        {4107542400000000000, "2100-03-01T00:00:00.000Z"},
        {-5, "1970-01-01T00:00:00.000Z"},
    };
    char text[TIME_TEXT + 1] = "";
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        time_text(row[i].ns, text);
        assert_string_equal(text, row[i].text);
    }
}

static void one_line(void **state) {
    (void)state;
    wall = 1700000000123456789;
    log_event(LEVEL_WARNING, "code_a", "text of %d events service=%s", 3, "shop");
    assert_string_equal(out,
                        "2023-11-14T22:13:20.123Z warning code_a: text of 3 events service=shop\n");
}

/* THREATS.md K15 */
static void nothing_starts_a_line_of_its_own(void **state) {
    static const struct {
        const char *in, *line;
    } row[] = {
        {"a\r\nb", "a\\r\\nb"},
        {"\x1b[2J", "\\u001b[2J"},
        {"say \"x\" \\", "say \"x\" \\"},
        {"\xff\xc3(", "\\u00ff\\u00c3("},
        {"\xc2\x9b", "\\u009b"},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
         "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"cut \xe2\x82", "cut \\u00e2\\u0082"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        out_n = 0;
        log_event(LEVEL_INFO, "code_b", "%s", row[i].in);
        char wanted[256];
        snprintf(wanted, sizeof wanted, " info code_b: %s\n", row[i].line);
        assert_string_equal(out + TIME_TEXT, wanted);
    }
}

static void long_lines_are_cut_with_a_mark(void **state) {
    static const char *const text[] = {"x", "\x01", "\xe2\x82\xac"};
    (void)state;
    for (size_t i = 0; i < array_len(text); i++) {
        char big[5000] = "";
        while (strlen(big) + 4 < sizeof big)
            snprintf(big + strlen(big), 5, "%s", text[i]);
        out_n = 0;
        log_event(LEVEL_INFO, "code_c", "%s", big);
        assert_int_equal(lines(), 1);
        assert_memory_equal(out + out_n - 4, "\xe2\x80\xa6\n", 4);
        assert_true(out_n > LOG_EVENT_MAX - 64);
    }
}

static void quoted_values(void **state) {
    char buf[LOG_QUOTED_MAX], big[300];
    (void)state;
    assert_string_equal(log_quoted(SPAN("a\" b=\"c\\\n"), buf), "\"a\\\" b=\\\"c\\\\\\n\"");
    assert_string_equal(log_quoted(SPAN(""), buf), "\"\"");
    memset(big, 1, sizeof big);
    log_quoted(span_of(big, sizeof big), buf); /* the worst: six bytes for each */
    assert_int_equal(strlen(buf), 128 * 6 + 5);
    for (size_t i = 0; i < sizeof big; i += 3)
        memcpy(big + i, "\xe2\x82\xac", 3);
    log_quoted(span_of(big, sizeof big), buf);
    assert_memory_equal(buf + 1 + 126, "\xe2\x80\xa6\"", 5); /* not within a character */
}

static void levels(void **state) {
    (void)state;
    log_event(LEVEL_DEBUG, "code_d", "hidden");
    assert_int_equal(out_n, 0);
    assert_false(log_event_wanted(LEVEL_DEBUG));
    log_event_level(LEVEL_ERROR);
    log_event(LEVEL_WARNING, "code_d", "hidden");
    assert_int_equal(out_n, 0);
    log_event(LEVEL_ERROR, "code_d", "seen");
    assert_int_equal(lines(), 1);
}

static void too_many_of_one_code_are_counted(void **state) {
    uint64_t before = log_events_suppressed();
    (void)state;
    for (unsigned i = 0; i < LOG_EVENT_RATE + 7; i++)
        log_event(LEVEL_INFO, "code_e", "storm");
    log_event(LEVEL_INFO, "code_f", "another code is not touched");
    assert_int_equal(lines(), LOG_EVENT_RATE + 1);
    assert_int_equal(log_events_suppressed() - before, 7);
    out_n = 0;
    wall += 1000000000;
    log_event(LEVEL_INFO, "code_e", "calm");
    assert_non_null(strstr(out, "code_e: calm suppressed=7\n"));
    out_n = 0;
    log_event(LEVEL_INFO, "code_e", "calm");
    assert_null(strstr(out, "suppressed"));
}

static void the_tick_tells_what_was_held_back(void **state) {
    (void)state;
    for (unsigned i = 0; i < LOG_EVENT_RATE + 3; i++)
        log_event(LEVEL_INFO, "code_g", "storm");
    out_n = 0;
    out[0] = 0;
    log_event_tick(); /* its second is not over */
    assert_int_equal(out_n, 0);
    wall += 1000000000;
    log_event_tick();
    assert_non_null(strstr(out, "warning code_g: more of these were held back suppressed=3\n"));
    out_n = 0;
    log_event_tick();
    assert_int_equal(out_n, 0);
}

static void more_codes_than_places(void **state) {
    static char name[LOG_EVENT_CODES + 20][16];
    (void)state;
    for (unsigned i = 0; i < array_len(name); i++) {
        snprintf(name[i], sizeof name[i], "many_%u", i);
        out_n = 0;
        log_event(LEVEL_ERROR, name[i], "x");
        assert_int_equal(lines(), 1);
        wall += 1000000000;
    }
}

static char written[256];
static size_t written_n;
static ssize_t short_write(int fd, const void *p, size_t n) {
    assert_int_equal(fd, 2);
    n = n > 10 ? 10 : n;
    memcpy(written + written_n, p, n);
    written_n += n;
    return (ssize_t)n;
}

static void standard_error_by_default(void **state) {
    (void)state;
    log_event_output(NULL);
    env.write = short_write;
    log_event(LEVEL_ERROR, "code_h", "in pieces");
    written[written_n] = 0;
    assert_string_equal(written + TIME_TEXT, " error code_h: in pieces\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(times, reset),
        cmocka_unit_test_setup(one_line, reset),
        cmocka_unit_test_setup(nothing_starts_a_line_of_its_own, reset),
        cmocka_unit_test_setup(long_lines_are_cut_with_a_mark, reset),
        cmocka_unit_test_setup(quoted_values, reset),
        cmocka_unit_test_setup(levels, reset),
        cmocka_unit_test_setup(too_many_of_one_code_are_counted, reset),
        cmocka_unit_test_setup(the_tick_tells_what_was_held_back, reset),
        cmocka_unit_test_setup(standard_error_by_default, reset),
        cmocka_unit_test_setup(more_codes_than_places, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
